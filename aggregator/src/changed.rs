//! Marks of changing days: what tells settled figures from figures that have to be made again.
//!
//! Owns the table `marks`. A [`Writer`] opens a mark on each day that an insert changes before it inserts, and closes it when the rows are on the
//! disk; both are durable. The state of a day's marks is one number over the marks of all writers of all processes. A settle step reads it before
//! it looks at any event and publishes it with the figures. So a day is up to date if and only if none of its marks is open and their state is the
//! published one:
//!
//! * An insert that runs beside a settle step changes the state when it ends: the day is settled once more.
//! * What a writer left half done when it died comes again under the mark of another one. Its open mark is given up ([`give_up`]): at the start
//!   where the store belongs to one process, else when it is older than any insert may be.
//! * A writer that was given up too early, because it was held up, ends its mark in its own way later, which changes the state again.
//!
//! Must never: close a mark before its rows are on the disk, or have two inserts of one writer under way at a time.

use std::collections::BTreeSet;

use event::clock::{Clock, UnixMs};
use event::stage::Stage;
use serde::Deserialize;

use crate::statement;
use crate::store::{Store, StoreError, Value, Work};

/// Hours on either side of a midnight within which a later stage of a view still finds its impression on the other side.
pub(crate) const STRADDLE_HOURS: u8 = 3;

/// Whatever inserts events, one insert at a time: it counts its inserts under a number of its own, drawn at each start.
pub(crate) struct Writer {
    id: u64,
    inserts: u64,
    clock: Clock,
}

/// The mark of an insert under way. Left open if it is dropped: it is given up by its age then.
#[must_use = "the days stay open until the mark is closed"]
pub(crate) struct OpenMark {
    writer: u64,
    number: u64,
    days: Vec<u16>,
}

/// The state of a day's marks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct DayMarks {
    pub(crate) day: u16,
    /// Changes whenever one of the marks does.
    pub(crate) marks: u64,
    /// How many are open.
    pub(crate) open: u64,
}

#[derive(Deserialize)]
struct Left {
    day: u16,
    writer: u64,
    opened: u64,
}

impl Writer {
    /// A writer that nobody has met.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(crate) fn new(clock: Clock) -> Result<Self, getrandom::Error> {
        // 0 is the writer of marks that were carried over from an earlier form.
        Ok(Self { id: getrandom::u64()?.max(1), inserts: 0, clock })
    }

    /// Opens a mark on days, durably. The rows that change them may be inserted from now on.
    ///
    /// # Errors
    /// The store's: then nothing may be inserted.
    pub(crate) fn open(
        &mut self,
        store: &Store,
        work: Work,
        days: &BTreeSet<u16>,
    ) -> Result<OpenMark, StoreError> {
        self.inserts += 1;
        let mark = OpenMark { writer: self.id, number: self.inserts, days: days.iter().copied().collect() };
        let now_ms = self.clock.now_ms();
        let rows = mark.days.iter().map(|day| Row {
            day: *day,
            writer: self.id,
            opened: 2 * mark.number,
            closed: 0,
            now_ms,
        });
        insert(store, work, rows)?;
        Ok(mark)
    }
}

impl OpenMark {
    /// Closes the mark, durably: the rows are on the disk.
    ///
    /// # Errors
    /// The store's: the mark is perhaps still open.
    pub(crate) fn close(&self, store: &Store, work: Work) -> Result<(), StoreError> {
        let closed = 2 * self.number + 1;
        insert(
            store,
            work,
            self.days.iter().map(|day| Row { day: *day, writer: self.writer, opened: 0, closed, now_ms: 0 }),
        )
    }
}

/// Closes marks that were opened before a moment, whoever opened them; does something else `first` if there are any. How many.
///
/// # Errors
/// The store's.
pub(crate) fn give_up(
    store: &Store,
    work: Work,
    before_ms: UnixMs,
    first: impl FnOnce() -> Result<(), StoreError>,
) -> Result<usize, StoreError> {
    let left: Vec<Left> =
        store.rows(work, statement::MARKS_OPEN, &vec![("before_ms", Value::Signed(before_ms))])?;
    if left.is_empty() {
        return Ok(0);
    }
    first()?;
    tracing::warn!(marks = left.len(), "inserts did not end; their days are settled again");
    let rows = left.iter().map(|mark| Row {
        day: mark.day,
        writer: mark.writer,
        opened: 0,
        closed: mark.opened,
        now_ms: 0,
    });
    insert(store, work, rows)?;
    Ok(left.len())
}

/// The state of every day's marks.
///
/// # Errors
/// The store's.
pub(crate) fn now(store: &Store, work: Work) -> Result<Vec<DayMarks>, StoreError> {
    store.rows(work, statement::MARKS_NOW, &Vec::new())
}

/// Brings a store of the form before marks had writers into the present one. Every day that was ever marked is settled again. Does nothing
/// to any other store; broken off, it goes on at the next start.
///
/// # Errors
/// The store's.
pub(crate) fn upgrade(store: &Store) -> Result<(), StoreError> {
    #[derive(Deserialize)]
    struct Table {
        name: String,
    }
    let earlier: Vec<Table> = store.rows(Work::Settle, statement::EARLIER_TABLES, &Vec::new())?;
    let Some(table) = earlier.first() else { return Ok(()) };
    tracing::info!(table = table.name, "the store has an earlier form; it is brought into the present one");
    let run = |sql: &str| store.execute_text(Work::Settle, sql, &Vec::new());
    run("ALTER TABLE settled RENAME COLUMN IF EXISTS marks_until TO marks")?;
    store.execute(Work::Settle, statement::EARLIER_MARKS, &Vec::new())?;
    run("DROP TABLE IF EXISTS generations")?;
    run("DROP TABLE IF EXISTS judged")?;
    // Last: it says that there is something left to do.
    run("DROP TABLE IF EXISTS changed")
}

/// A row of `marks`.
struct Row {
    day: u16,
    writer: u64,
    opened: u64,
    closed: u64,
    now_ms: UnixMs,
}

fn insert(store: &Store, work: Work, rows: impl Iterator<Item = Row>) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    for row in rows {
        bytes.extend_from_slice(&row.day.to_le_bytes());
        for number in [row.writer, row.opened, row.closed] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&row.now_ms.to_le_bytes());
    }
    store.insert(work, statement::MARKS, &bytes)
}

/// Adds the days whose figures a hit can change: its own; the next one, on which its repeats stand; and the one before, if it may belong to a
/// view that began there.
pub(crate) fn add_days(days: &mut BTreeSet<u16>, day: u16, hour: u8, stage: Stage, view: u64) {
    days.insert(day);
    if view != 0 || stage == Stage::Click {
        days.insert(day.saturating_add(1));
    }
    let of_a_view = match stage {
        Stage::Impression
        | Stage::Viewable
        | Stage::NotViewable
        | Stage::NotMeasurable
        | Stage::Start
        | Stage::FirstQuartile
        | Stage::Midpoint
        | Stage::ThirdQuartile
        | Stage::Complete => view != 0,
        Stage::Tracked | Stage::Click | Stage::Conversion => false,
    };
    if of_a_view && hour < STRADDLE_HOURS {
        days.insert(day.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(hour: u8, stage: Stage, view: u64) -> Vec<u16> {
        let mut days = BTreeSet::new();
        add_days(&mut days, 100, hour, stage, view);
        days.into_iter().collect()
    }

    #[test]
    fn a_hit_marks_the_days_that_it_can_change() {
        assert_eq!(days(12, Stage::Impression, 0), [100]);
        assert_eq!(days(12, Stage::Impression, 7), [100, 101]);
        assert_eq!(days(1, Stage::Viewable, 7), [99, 100, 101]);
        assert_eq!(days(1, Stage::Click, 0), [100, 101]);
    }
}
