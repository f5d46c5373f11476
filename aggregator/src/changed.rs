//! Marks of changed days: what tells settled figures from figures that have to be made again.
//!
//! Owns the numbers of the marks. A mark is on the disk (table `changed`) before the rows that change a day, and counts as in flight until these
//! are on the disk too. A settle step publishes up to which mark it saw everything: the newest one below all that are in flight. So a day is up
//! to date if and only if its newest mark is not above what its published figures cover, whatever crashed in between.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use event::stage::Stage;
use serde::Deserialize;

use crate::statement;
use crate::store::{Store, StoreError, Work};

/// Hours on either side of a midnight within which a later stage of a view still finds its impression on the other side.
pub(crate) const STRADDLE_HOURS: u8 = 3;

/// Gives out marks.
pub(crate) struct Marks {
    state: Mutex<State>,
}

struct State {
    last: u64,
    /// Inserts that are complete or were given up.
    ended: u64,
    in_flight: BTreeSet<u64>,
}

/// A mark whose rows are being inserted.
#[must_use = "the mark is in flight until this is dropped"]
pub(crate) struct InFlight {
    marks: Arc<Marks>,
    mark: u64,
}

impl Marks {
    /// Goes on after the newest mark in the store.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn open(store: &Store) -> Result<Arc<Self>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            number: u64,
        }
        let rows: Vec<Row> = store.rows(Work::Settle, statement::MARK_MAX, &Vec::new())?;
        let last = rows.first().map_or(0, |row| row.number);
        Ok(Arc::new(Self { state: Mutex::new(State { last, ended: 0, in_flight: BTreeSet::new() }) }))
    }

    /// Marks days durably. The rows that change them may be inserted from now on, and are complete when the answer is dropped.
    ///
    /// # Errors
    /// The store's: then nothing may be inserted.
    pub(crate) fn mark(
        self: &Arc<Self>,
        store: &Store,
        work: Work,
        days: &BTreeSet<u16>,
    ) -> Result<InFlight, StoreError> {
        let mark = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.last += 1;
            let mark = state.last;
            state.in_flight.insert(mark);
            mark
        };
        let in_flight = InFlight { marks: Arc::clone(self), mark };
        let mut rows = Vec::with_capacity(days.len() * 10);
        for day in days {
            rows.extend_from_slice(&day.to_le_bytes());
            rows.extend_from_slice(&mark.to_le_bytes());
        }
        store.insert(work, statement::CHANGED, &rows)?;
        Ok(in_flight)
    }

    /// A number that stays the same for as long as no event comes into the store; `None` while some are coming.
    pub(crate) fn moves(&self) -> Option<u64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight.is_empty().then_some(state.ended)
    }

    /// Every insert of a mark up to this one is complete.
    pub(crate) fn complete_until(&self) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight.first().map_or(state.last, |first| first - 1)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.marks.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_flight.remove(&self.mark);
        state.ended += 1;
    }
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
