//! Settled devices, which are kept no longer than the events of their day.
//!
//! A settled day stands when its events expire: its counts are nobody's data. Its devices are, so they go with the last event: `device_days` and
//! `devices_set_aside` of all its generations. That they went is written first, so that a report says so and never shows a reach without them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use serde::Deserialize;

use super::{DAY_MS, Part, Settler};
use crate::metrics;
use crate::statement;
use crate::store::{StoreError, Value, Work};

#[derive(Deserialize)]
struct Newest {
    day: u16,
    newest_ms: i64,
}

#[derive(Deserialize)]
struct Expired {
    day: u16,
}

/// Days whose devices are no longer kept.
pub(crate) fn expired(store: &crate::store::Store, work: Work) -> Result<BTreeSet<u16>, StoreError> {
    let rows: Vec<Expired> = store.rows(work, statement::DEVICES_EXPIRED_READ, &Vec::new())?;
    Ok(rows.into_iter().map(|row| row.day).collect())
}

impl Settler {
    /// Drops the devices of days whose last event has expired. How many days.
    ///
    /// # Errors
    /// The store's; it is tried again with the next step.
    pub(crate) fn drop_expired_devices(&self) -> Result<u64, StoreError> {
        // No day is settled meanwhile.
        let _generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now_ms();
        let before_ms = now_ms - self.retention_ms;
        let parts: Vec<Part> = self.store.rows(Work::Settle, statement::GENERATION_PARTS, &Vec::new())?;
        let of_devices = [statement::DEVICE_DAYS.file, statement::DEVICES_SET_ASIDE.file];
        // What came on a day came before the day was over on every clock; past beacons came later, which is looked at next.
        let may_be_old = |day: u16| (i64::from(day) + 2) * DAY_MS <= before_ms;
        let parts: Vec<Part> = parts
            .into_iter()
            .filter(|part| of_devices.contains(&part.table.as_str()) && may_be_old(part.day))
            .collect();
        if parts.is_empty() {
            return Ok(0);
        }
        let days: BTreeSet<u16> = parts.iter().map(|part| part.day).collect();
        let values = vec![("days", Value::Days(days.iter().copied().collect()))];
        let newest: Vec<Newest> = self.store.rows(Work::Settle, statement::DAYS_NEWEST, &values)?;
        let newest: BTreeMap<u16, i64> = newest.into_iter().map(|row| (row.day, row.newest_ms)).collect();
        let gone: BTreeSet<u16> =
            days.into_iter().filter(|day| newest.get(day).is_none_or(|ms| *ms <= before_ms)).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let row = |day: &u16| [&day.to_le_bytes()[..], &now_ms.to_le_bytes()[..]].concat();
        let rows: Vec<u8> = gone.iter().flat_map(row).collect();
        self.store.insert(Work::Settle, statement::DEVICES_EXPIRED, &rows)?;
        for part in parts.iter().filter(|part| gone.contains(&part.day)) {
            self.drop_part(part)?;
        }
        metrics::devices_expired(gone.len() as u64);
        tracing::info!(days = gone.len(), "devices of days whose events have expired were dropped");
        Ok(gone.len() as u64)
    }
}
