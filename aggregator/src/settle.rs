//! The settle step: a day's figures, made anew from its events.
//!
//! Owns the generations. A generation of a day is written next to the one in force and becomes visible with one row in `settled`; the old one is
//! dropped later, when no report can still be reading it. So a report sees one whole generation of a day or the other.
//!
//! A generation's number is the time of its making in milliseconds, then the settler's own random number ([`next_generation`]): two processes
//! never give out the same, and a later one is greater. Should two settle one day at once, each publishes a whole generation; the greater is in
//! force, and the marks published with it tell whether it is up to date. What was never published is dropped at the start where the store belongs to this
//! process alone, else an hour after its number was made; a settle step that took half of that does not publish.
//!
//! A day's figures are a function of its events, of those of the days beside it, and of the rules: settling twice gives the same. The work is
//! cut into portions (`events.bucket`), so that memory does not grow with the day.
//!
//! Must never: look at an event before the marks that are published with the figures were read, or settle a day whose events have begun to expire.

mod aside;
mod expire;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event::clock::{Clock, UnixMs};
use event::stage::Stage;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::batch::put;
use crate::changed;
use crate::judge::{self, Aside, Question};
use crate::metrics;
use crate::rights::tombstones::Tombstones;
use crate::rules::Rules;
use crate::settings::Settings;
use crate::statement::{self, Statement};
use crate::store::{Store, StoreError, Value, Values, Work, day_text};

/// How long an old generation stays for reports that are reading it, milliseconds. Longer than any report may run.
const OLD_GENERATION_MS: i64 = 15 * 60 * 1000;
/// A day is frozen this long before its oldest event expires, milliseconds.
const FREEZE_EARLY_MS: i64 = 2 * DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A generation that is not published so long after its number was made never will be, milliseconds.
const ABANDONED_MS: i64 = 60 * 60 * 1000;
/// A settle step that took longer does not publish, for its generation may be taken for abandoned.
const STEP_MAX: Duration = Duration::from_millis(ABANDONED_MS as u64 / 2);
/// Bits of a generation's number that are the settler's own; above them stands the time.
const OWN_BITS: u32 = 22;

/// The tables that hold generations.
const GENERATION_TABLES: [Statement; 4] =
    [statement::DELIVERIES, statement::DEVICE_DAYS, statement::ID_DAYS, statement::DEVICES_SET_ASIDE];

/// What is done with each portion of a day.
const STEPS: [Statement; 4] = [
    statement::SETTLE_JUDGE,
    statement::SETTLE_DELIVERIES,
    statement::SETTLE_DEVICE_DAYS,
    statement::SETTLE_ID_DAYS,
];

/// Makes days' figures. One at a time in a process.
pub(crate) struct Settler {
    pub(crate) store: Arc<Store>,
    pub(crate) catalog: catalog::Shared,
    pub(crate) rules: Arc<Rules>,
    pub(crate) clock: Clock,
    pub(crate) tombstones: Arc<Tombstones>,
    is_alone: bool,
    retention_ms: i64,
    portion_hits: u64,
    marks_open_ms_max: i64,
    /// The lock is held while days change, from before the mark is opened until it is closed.
    writer: Mutex<changed::Writer>,
    /// The lock is held during a settle step.
    generations: Mutex<Generations>,
}

struct Generations {
    /// Newest number given out.
    last: u64,
    /// What this settler's numbers end in: drawn at random.
    own: u64,
    /// Since when (at the latest) a generation of a day is not in force any more, for those that were not dropped yet.
    superseded: HashMap<(u16, u64), UnixMs>,
}

/// What settling needs.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) catalog: catalog::Shared,
    pub(crate) rules: Arc<Rules>,
    pub(crate) clock: Clock,
    pub(crate) tombstones: Arc<Tombstones>,
    /// Whether no other process works on this store.
    pub(crate) is_alone: bool,
}

/// What became of a day.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SettledDay {
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// What was done.
    pub outcome: SettleOutcome,
    /// Events of that day that the figures were made from, repeats included.
    pub events: u64,
    /// How long it took, seconds.
    pub seconds: f64,
}

/// See [`SettledDay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SettleOutcome {
    /// New figures are published.
    Settled,
    /// There is nothing on that day.
    Empty,
    /// Its events have begun to expire: the figures stay as they are.
    Frozen,
    /// It took so long that its result may have been swept away: the figures stay as they are.
    TooLong,
}

/// A day that is not up to date.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct DirtyDay {
    pub(crate) day: u16,
    /// The state of its marks now.
    pub(crate) marks: u64,
    /// 1 if that is not the state that its figures were made under; 0 if only a mark is open, whose end will change the state.
    pub(crate) moved: u8,
    oldest_ms: i64,
    pub(crate) generation: u64,
    /// Events that the published figures were made from.
    events: u64,
    /// Events that are there.
    pub(crate) hits: u64,
}

impl DirtyDay {
    /// Whether its events have begun to expire, or are about to: its figures stay as they are. Events leave in no other way than by their age.
    pub(crate) fn is_frozen(&self, retention_ms: i64, now_ms: UnixMs) -> bool {
        self.generation > 0
            && (self.hits < self.events || self.oldest_ms + retention_ms - FREEZE_EARLY_MS <= now_ms)
    }
}

#[derive(Deserialize)]
struct Size {
    hits: u64,
    own_hits: u64,
    oldest_ms: i64,
}

/// A published day.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Published {
    pub(crate) day: u16,
    pub(crate) generation: u64,
    pub(crate) as_of_ms: i64,
}

#[derive(Deserialize)]
struct Part {
    table: String,
    day: u16,
    generation: u64,
}

impl Settler {
    /// Clears away what a crash left, where no other process can be at work on it.
    ///
    /// # Errors
    /// The store's, or no random bytes.
    pub(crate) fn open(parts: Parts, settings: &Settings) -> Result<Self, Error> {
        let Parts { store, catalog, rules, clock, tombstones, is_alone } = parts;
        let own = getrandom::u64()? & own_mask();
        let settler = Self {
            store,
            catalog,
            rules,
            tombstones,
            is_alone,
            retention_ms: retention_ms(settings.retention_days),
            portion_hits: settings.portion_hits,
            marks_open_ms_max: settings.marks_open_ms_max(),
            writer: Mutex::new(changed::Writer::new(clock.clone())?),
            clock,
            generations: Mutex::new(Generations { last: 0, own, superseded: HashMap::new() }),
        };
        if is_alone {
            changed::give_up(&settler.store, Work::Settle, i64::MAX, || Ok(()))?;
            settler.drop_generations(true)?;
        }
        Ok(settler)
    }

    /// Gives up the marks of inserts that must have ended by now.
    pub(crate) fn give_up_marks(&self) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        let before_ms = now_ms - self.marks_open_ms_max;
        // Whoever left it may have put in what was erased meanwhile.
        let sweep = || self.tombstones.sweep(&self.store, now_ms);
        changed::give_up(&self.store, Work::Settle, before_ms, sweep).map(drop)
    }

    /// Changes days: under a mark that is opened before and closed after. If it fails, the mark stays open until it is given up, for the
    /// store may still be at it.
    pub(crate) fn change(
        &self,
        days: &BTreeSet<u16>,
        change: impl FnOnce(&Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = writer.open(&self.store, Work::Settle, days)?;
        change(&self.store)?;
        mark.close(&self.store, Work::Settle)
    }

    /// Days that changed since they were settled, oldest first; frozen ones left out, and those on which only an insert is under way.
    pub(crate) fn dirty_days(&self, work: Work) -> Result<Vec<DirtyDay>, StoreError> {
        let days: Vec<DirtyDay> = self.store.rows(work, statement::DIRTY_DAYS, &Vec::new())?;
        Ok(days.into_iter().filter(|day| day.moved != 0 && !self.is_frozen(day)).collect())
    }

    fn is_frozen(&self, day: &DirtyDay) -> bool {
        day.is_frozen(self.retention_ms, self.clock.now_ms())
    }

    /// Makes a day's figures and publishes them. `None` if it is up to date, perhaps since a moment ago.
    ///
    /// # Errors
    /// The store's: the figures in force stay.
    pub(crate) fn settle(&self, day: u16) -> Result<Option<SettledDay>, StoreError> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let all: Vec<DirtyDay> = self.store.rows(Work::Settle, statement::DIRTY_DAYS, &Vec::new())?;
        let Some(dirty) = all.iter().find(|dirty| dirty.day == day && dirty.moved != 0) else {
            return Ok(None);
        };
        // What a closed mark stands for is on some replica: it has to be on the one that is read next.
        self.store.catch_up_replicas()?;
        let size = self.size(day)?;
        let answer = |outcome| SettledDay {
            day: day_text(day),
            outcome,
            events: size.own_hits,
            seconds: started.elapsed().as_secs_f64(),
        };
        if self.is_frozen(&DirtyDay { hits: size.own_hits, ..*dirty }) {
            return Ok(Some(answer(SettleOutcome::Frozen)));
        }
        if size.own_hits == 0 && dirty.generation == 0 {
            return Ok(Some(answer(SettleOutcome::Empty)));
        }
        let after = generations.last.max(dirty.generation);
        let number = next_generation(after, self.clock.now_ms(), generations.own);
        generations.last = number;
        if size.own_hits > 0 {
            self.compute(day, number, &size)?;
            // A report may read another replica than the one that took the figures.
            self.store.catch_up_replicas()?;
        }
        if self.is_too_long(started) {
            metrics::settles_failed(1);
            tracing::error!(
                day = day_text(day),
                generation = number,
                "a settle step took too long to be published"
            );
            return Ok(Some(answer(SettleOutcome::TooLong)));
        }
        self.publish(day, number, dirty.marks, &size)?;
        self.tell_set_aside(day, dirty.generation, number)?;
        if self.is_too_long(started) {
            // Held up on the way: nobody knows whether what was published is still there.
            self.change(&BTreeSet::from([day]), |_| Ok(()))?;
        }
        let done = answer(SettleOutcome::Settled);
        metrics::days_settled(1);
        metrics::settle_seconds(done.seconds);
        tracing::info!(
            day = done.day,
            generation = number,
            events = done.events,
            seconds = done.seconds,
            "day settled"
        );
        Ok(Some(done))
    }

    fn is_too_long(&self, started: Instant) -> bool {
        !self.is_alone && started.elapsed() > STEP_MAX
    }

    fn size(&self, day: u16) -> Result<Size, StoreError> {
        let values = vec![("days", Value::Days(vec![day])), ("around", Value::Days(judge::around(&[day])))];
        let sizes: Vec<Size> = self.store.rows(Work::Settle, statement::DAY_SIZE, &values)?;
        Ok(sizes.into_iter().next().unwrap_or(Size { hits: 0, own_hits: 0, oldest_ms: 0 }))
    }

    fn compute(&self, day: u16, generation: u64, size: &Size) -> Result<(), StoreError> {
        self.set_aside(day, generation, size.own_hits)?;
        let aside = Aside { published: &[(day, generation)], days: &[], hits: 0 };
        let question = Question { days: &[day], campaign: "", stages: &Stage::ALL, aside };
        let catalog = self.catalog.load_full();
        let values = judge::values(&self.store, Work::Settle, &self.rules, &catalog, &question)?;
        self.store.execute(Work::Settle, statement::SETTLE_PREPARE, &Vec::new())?;
        for portion in judge::portions(size.hits, self.portion_hits) {
            let mut values: Values = values.clone();
            values.push(portion);
            values.push(("generation", Value::Number(generation)));
            self.clear_judged()?;
            for step in STEPS {
                self.store.execute(Work::Settle, step, &values)?;
            }
        }
        self.clear_judged()
    }

    fn clear_judged(&self) -> Result<(), StoreError> {
        self.store.execute_text(Work::Settle, "TRUNCATE TABLE judged", &Vec::new())
    }

    fn publish(&self, day: u16, generation: u64, marks: u64, size: &Size) -> Result<(), StoreError> {
        let mut row = day.to_le_bytes().to_vec();
        put(&mut row, generation);
        row.extend_from_slice(&self.clock.now_ms().to_le_bytes());
        put(&mut row, marks);
        put(&mut row, self.rules.version);
        put(&mut row, size.own_hits);
        row.extend_from_slice(&size.oldest_ms.to_le_bytes());
        self.store.insert(Work::Settle, statement::SETTLED, &row)
    }

    /// What is in force.
    pub(crate) fn published(&self) -> Result<Vec<Published>, StoreError> {
        self.store.rows(Work::Settle, statement::PUBLISHED, &Vec::new())
    }

    /// Drops generations that are no longer in force or were never published: `at_once`, or when nobody can be at work on them any more.
    pub(crate) fn drop_generations(&self, at_once: bool) -> Result<u64, StoreError> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let newest: HashMap<u16, u64> =
            self.published()?.into_iter().map(|p| (p.day, p.generation)).collect();
        let parts: Vec<Part> = self.store.rows(Work::Settle, statement::GENERATION_PARTS, &Vec::new())?;
        let now_ms = self.clock.now_ms();
        let mut dropped = 0;
        let mut superseded = HashMap::new();
        for part in parts {
            let generation = newest.get(&part.day).copied().unwrap_or(0);
            let id = (part.day, part.generation);
            let since_ms = generations.superseded.get(&id).copied().unwrap_or(now_ms);
            let old = part.generation < generation && (at_once || since_ms <= now_ms - OLD_GENERATION_MS);
            let abandoned = part.generation > generation
                && (at_once || made_ms(part.generation) <= now_ms - ABANDONED_MS);
            if old || abandoned {
                self.drop_part(&part)?;
                dropped += 1;
            } else if part.generation < generation {
                superseded.insert(id, since_ms);
            }
        }
        generations.superseded = superseded;
        drop(generations);
        metrics::generations_dropped(dropped);
        Ok(dropped)
    }

    fn drop_part(&self, part: &Part) -> Result<(), StoreError> {
        let table = GENERATION_TABLES.iter().find(|table| table.file == part.table);
        table.map_or(Ok(()), |table| self.store.drop_generation(table.file, part.day, part.generation))
    }
}

/// How long events are kept, milliseconds.
pub(crate) fn retention_ms(days: u16) -> i64 {
    i64::from(days) * DAY_MS
}

fn own_mask() -> u64 {
    (1 << OWN_BITS) - 1
}

/// A number greater than `after` that no other settler gives out.
///
/// ```text
/// bit 63                        22 21          0
///     Unix milliseconds           | the settler's
/// ```
fn next_generation(after: u64, now_ms: UnixMs, own: u64) -> u64 {
    // A clock that was set back does not make numbers smaller.
    let moment = now_ms.max(0).unsigned_abs().max((after >> OWN_BITS) + 1);
    moment << OWN_BITS | own & own_mask()
}

/// When a generation's number was made.
fn made_ms(generation: u64) -> UnixMs {
    (generation >> OWN_BITS) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_even_if_the_clock_does_not() {
        let now_ms = 1_795_176_000_000;
        let first = next_generation(0, now_ms, 7);
        assert_eq!(made_ms(first), now_ms);
        let second = next_generation(first, now_ms, 7);
        assert!(second > first && made_ms(second) == now_ms + 1);
        assert!(next_generation(second, now_ms - 60_000, 7) > second);
        // The numbers of the earlier form were counted from 1.
        assert!(next_generation(77, now_ms, 7) > 77 && made_ms(77) == 0);
    }

    #[test]
    fn settlers_at_the_same_moment_give_out_different_numbers() {
        let now_ms = 1_795_176_000_000;
        assert_ne!(next_generation(0, now_ms, 7), next_generation(0, now_ms, 8));
        assert_ne!(next_generation(5 << OWN_BITS, 0, 7), next_generation(5 << OWN_BITS, 0, 8));
        assert!(next_generation(0, now_ms, u64::MAX) < next_generation(0, now_ms + 1, 0));
    }
}
