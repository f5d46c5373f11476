//! The settle step: a day's figures, made anew from its events.
//!
//! Owns the generations. A generation of a day is written next to the one in force and becomes visible with one row in `settled`; the old one is
//! dropped later, when no report can still be reading it. What a crash left unpublished is dropped at the next start; its number is never given
//! out again. So a report sees one whole generation of a day or the other.
//!
//! A day's figures are a function of its events, of those of the days beside it, and of the rules: settling twice gives the same. The work is
//! cut into portions (`events.bucket`), so that memory does not grow with the day.
//!
//! Must never: publish a mark whose inserts are not complete, or settle a day whose events have begun to expire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use event::clock::{Clock, UnixMs};
use event::stage::Stage;
use serde::{Deserialize, Serialize};

use crate::batch::{BUCKETS, put};
use crate::changed::Marks;
use crate::judge::{self, Question};
use crate::metrics;
use crate::rules::Rules;
use crate::statement;
use crate::store::{Store, StoreError, Value, Values, Work, day_text};

/// Hits that one portion holds, those of the day before included.
pub(crate) const PORTION_HITS: u64 = 3_000_000;
/// How long an old generation stays for reports that are reading it, milliseconds. Longer than any report may run.
const OLD_GENERATION_MS: i64 = 15 * 60 * 1000;
/// A day is frozen this long before its oldest event expires, milliseconds.
const FREEZE_EARLY_MS: i64 = 2 * DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Makes days' figures. One at a time in a store.
pub(crate) struct Settler {
    pub(crate) store: Arc<Store>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) catalog: catalog::Shared,
    pub(crate) rules: Arc<Rules>,
    pub(crate) clock: Clock,
    retention_ms: i64,
    /// The lock is held during a settle step.
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    /// Newest number given out.
    last: u64,
    /// Since when (at the latest) a generation of a day is not in force any more, for those that were not dropped yet.
    superseded: HashMap<(u16, u64), UnixMs>,
}

/// What settling needs.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) catalog: catalog::Shared,
    pub(crate) rules: Arc<Rules>,
    pub(crate) clock: Clock,
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
}

/// A day that is not up to date.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct DirtyDay {
    pub(crate) day: u16,
    oldest_ms: i64,
    generation: u64,
    /// Events that the published figures were made from.
    events: u64,
    /// Events that are there.
    hits: u64,
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

#[derive(Deserialize)]
struct Number {
    number: u64,
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
    pub(crate) fn open(parts: Parts, retention_days: u16) -> Result<Self, StoreError> {
        let Parts { store, marks, catalog, rules, clock } = parts;
        let numbers: Vec<Number> = store.rows(Work::Settle, statement::GENERATION_MAX, &Vec::new())?;
        let last = numbers.first().map_or(0, |row| row.number);
        let settler = Self {
            store,
            marks,
            catalog,
            rules,
            clock,
            retention_ms: retention_ms(retention_days),
            generations: Mutex::new(Generations { last, superseded: HashMap::new() }),
        };
        settler.drop_generations(true)?;
        Ok(settler)
    }

    /// Days that changed since they were settled, oldest first; frozen ones left out.
    pub(crate) fn dirty_days(&self, work: Work) -> Result<Vec<DirtyDay>, StoreError> {
        let days: Vec<DirtyDay> = self.store.rows(work, statement::DIRTY_DAYS, &Vec::new())?;
        Ok(days.into_iter().filter(|day| !self.is_frozen(day)).collect())
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
        let marks_until = self.marks.complete_until();
        let all: Vec<DirtyDay> = self.store.rows(Work::Settle, statement::DIRTY_DAYS, &Vec::new())?;
        let Some(dirty) = all.iter().find(|dirty| dirty.day == day) else { return Ok(None) };
        let size = self.size(day)?;
        let answer = |outcome| SettledDay {
            day: day_text(day),
            outcome,
            events: size.own_hits,
            seconds: started.elapsed().as_secs_f64(),
        };
        if self.is_frozen(dirty) {
            return Ok(Some(answer(SettleOutcome::Frozen)));
        }
        if size.own_hits == 0 && dirty.generation == 0 {
            return Ok(Some(answer(SettleOutcome::Empty)));
        }
        generations.last += 1;
        let number = generations.last;
        let mut row = vec![0];
        put(&mut row, number);
        self.store.insert(Work::Settle, statement::GENERATIONS, &row)?;
        if size.own_hits > 0 {
            self.compute(day, number, size.hits)?;
        }
        self.publish(day, number, marks_until, &size)?;
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

    fn size(&self, day: u16) -> Result<Size, StoreError> {
        let values = vec![("days", Value::Days(vec![day])), ("around", Value::Days(judge::around(&[day])))];
        let sizes: Vec<Size> = self.store.rows(Work::Settle, statement::DAY_SIZE, &values)?;
        Ok(sizes.into_iter().next().unwrap_or(Size { hits: 0, own_hits: 0, oldest_ms: 0 }))
    }

    fn compute(&self, day: u16, generation: u64, hits: u64) -> Result<(), StoreError> {
        let question = Question { days: &[day], campaign: "", stages: &Stage::ALL };
        let catalog = self.catalog.load_full();
        let values = judge::values(&self.store, Work::Settle, &self.rules, &catalog, &question)?;
        let portion = (PORTION_HITS * BUCKETS / hits.max(1)).clamp(1, BUCKETS);
        let mut first = 0;
        while first < BUCKETS {
            let mut values: Values = values.clone();
            values.push(judge::buckets(first, portion));
            values.push(("generation", Value::Number(generation)));
            self.clear_judged()?;
            for step in [statement::SETTLE_JUDGE, statement::SETTLE_DELIVERIES, statement::SETTLE_DEVICE_DAYS]
            {
                self.store.execute(Work::Settle, step, &values)?;
            }
            first += portion;
        }
        self.clear_judged()
    }

    fn clear_judged(&self) -> Result<(), StoreError> {
        self.store.execute_text(Work::Settle, "TRUNCATE TABLE judged", &Vec::new())
    }

    fn publish(&self, day: u16, generation: u64, marks_until: u64, size: &Size) -> Result<(), StoreError> {
        let mut row = day.to_le_bytes().to_vec();
        put(&mut row, generation);
        row.extend_from_slice(&self.clock.now_ms().to_le_bytes());
        put(&mut row, marks_until);
        put(&mut row, self.rules.version);
        put(&mut row, size.own_hits);
        row.extend_from_slice(&size.oldest_ms.to_le_bytes());
        self.store.insert(Work::Settle, statement::SETTLED, &row)
    }

    fn published(&self) -> Result<Vec<Published>, StoreError> {
        self.store.rows(Work::Settle, statement::PUBLISHED, &Vec::new())
    }

    /// Drops generations that are no longer in force; at the start also those that were never published.
    pub(crate) fn drop_generations(&self, starting: bool) -> Result<u64, StoreError> {
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
            // The lock is held: what is newer than the published one is a leftover.
            let old = part.generation < generation && (starting || since_ms <= now_ms - OLD_GENERATION_MS);
            if old || part.generation > generation {
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
        let table = if part.table == "deliveries" { "deliveries" } else { "device_days" };
        let values =
            vec![("day", Value::Text(day_text(part.day))), ("generation", Value::Number(part.generation))];
        let sql = format!("ALTER TABLE {table} DROP PARTITION ({{day:Date}}, {{generation:UInt64}})");
        self.store.execute_text(Work::Settle, &sql, &values)
    }
}

/// How long events are kept, milliseconds.
pub(crate) fn retention_ms(days: u16) -> i64 {
    i64::from(days) * DAY_MS
}
