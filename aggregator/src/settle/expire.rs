//! Settled devices, which are kept no longer than the events that they were made from.
//!
//! A settled day stands when its events expire: its counts are nobody's data. Its devices are, and which of them is of which event is not kept, so all of
//! a day's go before the first of its events does: `device_days` and `devices_set_aside` of all its generations. Where past beacons were brought to a day
//! that had some already, their devices go with the others', before their own events.
//!
//! That they went is written first, so that a report says so and never shows a reach without them; they go when no report can be reading them any more,
//! and so early that they are gone when the event expires.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use event::clock::UnixMs;
use serde::Deserialize;

use super::{DAY_MS, OLD_GENERATION_MS, Part, Settler};
use crate::metrics;
use crate::pairs;
use crate::statement;
use crate::store::{StoreError, Value, Work};

/// So long before its first event expires, a day's devices are said to be gone, milliseconds: what takes them away comes by in time even where it comes by
/// once an hour.
const EARLY_MS: i64 = 2 * 60 * 60 * 1000;

/// A published day and what it was made from.
#[derive(Deserialize)]
struct Made {
    day: u16,
    as_of_ms: UnixMs,
    events: u64,
}

/// What is left of a day's events.
#[derive(Deserialize)]
struct Left {
    oldest_ms: UnixMs,
    hits: u64,
}

#[derive(Deserialize)]
struct Expired {
    day: u16,
    at_ms: UnixMs,
}

/// Days whose devices are no longer kept, with the time at which that was said.
fn marked(store: &crate::store::Store, work: Work) -> Result<BTreeMap<u16, UnixMs>, StoreError> {
    let rows: Vec<Expired> = store.rows(work, statement::DEVICES_EXPIRED_READ, &Vec::new())?;
    Ok(rows.into_iter().map(|row| (row.day, row.at_ms)).collect())
}

impl Settler {
    /// Drops the pairs of overlaps of keys that are over. How many overlaps.
    ///
    /// # Errors
    /// The store's; it is tried again with the next step.
    pub(crate) fn drop_ended_pairs(&self) -> Result<u64, StoreError> {
        pairs::drop_ended(&self.store, self.clock.now_ms())
    }

    /// Says which days' devices are no longer kept, because their first event is about to expire, and drops those of which that was said a while ago.
    /// How many days have lost theirs.
    ///
    /// # Errors
    /// The store's; it is tried again with the next step.
    pub(crate) fn drop_expired_devices(&self) -> Result<u64, StoreError> {
        // No day is settled meanwhile.
        let _generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now_ms();
        let before_ms = now_ms - self.retention_ms + EARLY_MS;
        let parts: Vec<Part> = self.store.rows(Work::Settle, statement::GENERATION_PARTS, &Vec::new())?;
        let of_devices = [statement::DEVICE_DAYS.file, statement::DEVICES_SET_ASIDE.file];
        // No event of a day came before the day had begun on the first clock; past beacons came later, which is looked at next.
        let may_be_old = |day: u16| (i64::from(day) - 1) * DAY_MS <= before_ms;
        let parts: Vec<Part> = parts
            .into_iter()
            .filter(|part| of_devices.contains(&part.table.as_str()) && may_be_old(part.day))
            .collect();
        if parts.is_empty() {
            return Ok(0);
        }
        let said = marked(&self.store, Work::Settle)?;
        let days = parts.iter().map(|part| part.day).filter(|day| !said.contains_key(day)).collect();
        self.say_expired(&days, before_ms, now_ms)?;
        let mut gone = BTreeSet::new();
        for part in &parts {
            if said.get(&part.day).is_some_and(|at_ms| *at_ms <= now_ms - OLD_GENERATION_MS) {
                self.drop_part(part)?;
                gone.insert(part.day);
            }
        }
        metrics::devices_expired(gone.len() as u64);
        if !gone.is_empty() {
            tracing::info!(days = gone.len(), "devices of days whose events expire were dropped");
        }
        Ok(gone.len() as u64)
    }

    /// Says of those of the days whose first event was received before `before_ms` that their devices are no longer kept.
    fn say_expired(&self, days: &BTreeSet<u16>, before_ms: UnixMs, now_ms: UnixMs) -> Result<(), StoreError> {
        if days.is_empty() {
            return Ok(());
        }
        let made: Vec<Made> = self.store.rows(Work::Settle, statement::PUBLISHED, &Vec::new())?;
        let mut rows = Vec::new();
        for made in made.iter().filter(|made| days.contains(&made.day)) {
            let values = vec![
                ("days", Value::Days(vec![made.day])),
                ("as_of_ms", Value::Number(made.as_of_ms.unsigned_abs())),
            ];
            let left: Vec<Left> = self.store.rows(Work::Settle, statement::DAY_LEFT, &values)?;
            // Of those that its figures were made from, some may be gone while nobody looked: then the oldest that is left tells nothing.
            let is_kept =
                left.first().is_some_and(|left| left.hits >= made.events && left.oldest_ms > before_ms);
            if !is_kept {
                rows.extend_from_slice(&made.day.to_le_bytes());
                rows.extend_from_slice(&now_ms.to_le_bytes());
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        self.store.insert(Work::Settle, statement::DEVICES_EXPIRED, &rows)?;
        // A report that begins from now on hears of it from every replica.
        self.store.catch_up_replicas()
    }
}
