//! Devices that were erased, as the loader knows them: in memory, and durable in the table `tombstones`.
//!
//! Must never: forget one that events can still come of.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use ahash::HashMap;
use event::clock::UnixMs;
use event::givt::{self, Automated};
use event::key::DeviceKey;
use event::record::Event;
use serde::Deserialize;

use crate::batch::{device_number, put};
use crate::rules::{Networks, network_number};
use crate::statement;
use crate::store::{Store, StoreError, Value, Work};

/// Stands for the agent of an erased hit that the lists take for a robot's: a name that says so by itself, and nothing else.
pub(crate) const ROBOT: &str = "erasedbot";
/// Likewise for a program's that is no browser.
pub(crate) const PROGRAM: &str = "curl/erased";

/// Keys of a device that were erased.
#[derive(Clone, Debug)]
pub struct Tombstone {
    /// Every key that the device can have.
    pub devices: Vec<DeviceKey>,
    /// What was received before is erased. Unix milliseconds.
    pub until_ms: UnixMs,
}

/// See the module.
pub(crate) struct Tombstones(RwLock<Erased>);

/// Until when each device is erased, and what may be kept of its hits.
#[derive(Default)]
pub(crate) struct Erased {
    until_ms: HashMap<u64, UnixMs>,
    data_centers: Networks,
}

#[derive(Deserialize)]
struct Row {
    device: u64,
    until_ms: i64,
}

impl Tombstones {
    /// Reads those of the store, of which events may still be there or come, and adds those that others remember: whoever keeps the requests
    /// has them even where the store was lost.
    ///
    /// # Errors
    /// The store's: then nothing may be loaded.
    pub(crate) fn open(
        store: &Store,
        remembered: &[Tombstone],
        data_centers: Networks,
        (now_ms, retention_ms): (UnixMs, i64),
    ) -> Result<Self, StoreError> {
        let since_ms = now_ms - retention_ms;
        let rows: Vec<Row> = store.rows(
            Work::Settle,
            statement::TOMBSTONES_READ,
            &vec![("since_ms", Value::Signed(since_ms))],
        )?;
        let until_ms = rows.into_iter().map(|row| (row.device, row.until_ms)).collect();
        let tombstones = Self(RwLock::new(Erased { until_ms, data_centers }));
        for tombstone in remembered.iter().filter(|tombstone| tombstone.until_ms > since_ms) {
            let devices: Vec<u64> = tombstone.devices.iter().map(device_number).collect();
            tombstones.add(store, &devices, tombstone.until_ms, now_ms)?;
        }
        Ok(tombstones)
    }

    /// Adds devices, durably first. Those that are known to be erased until then are left out.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn add(
        &self,
        store: &Store,
        devices: &[u64],
        until_ms: UnixMs,
        now_ms: UnixMs,
    ) -> Result<(), StoreError> {
        let new: Vec<u64> = {
            let known = self.read();
            devices.iter().copied().filter(|device| !known.covers(*device, until_ms - 1)).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::new();
        for device in &new {
            put(&mut rows, *device);
            rows.extend_from_slice(&until_ms.to_le_bytes());
            rows.extend_from_slice(&now_ms.to_le_bytes());
        }
        store.insert(Work::Settle, statement::TOMBSTONES, &rows)?;
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for device in new {
            let until = known.until_ms.entry(device).or_insert(until_ms);
            *until = (*until).max(until_ms);
        }
        Ok(())
    }

    /// What is erased now.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Erased> {
        // Entries are put in whole: a panic elsewhere leaves nothing half done.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Erased {
    fn covers(&self, device: u64, received_ms: UnixMs) -> bool {
        self.until_ms.get(&device).is_some_and(|until_ms| received_ms < *until_ms)
    }

    /// An event as it may be kept. As in `sql/change/erase_rows.sql`.
    pub(crate) fn blank<'e>(&self, event: Event<'e>) -> Event<'e> {
        match event.device {
            Some(device) if self.covers(device_number(&device.key), event.received_ms) => {
                let network =
                    if self.data_centers.hold(network_number(event.network)) { event.network } else { &[] };
                let agent = match givt::automated(event.agent.as_bytes()) {
                    Some(Automated::Robot) => ROBOT,
                    Some(Automated::NonBrowser) => PROGRAM,
                    None => "",
                };
                Event { device: None, network, agent, ..event }
            }
            Some(_) | None => event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_an_agent_says_of_itself_what_it_was() {
        assert_eq!(givt::automated(ROBOT.as_bytes()), Some(Automated::Robot));
        assert_eq!(givt::automated(PROGRAM.as_bytes()), Some(Automated::NonBrowser));
    }
}
