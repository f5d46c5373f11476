//! Devices that were erased, as the loader knows them: in memory, and durable in the table `tombstones`.
//!
//! # A store that several aggregators share
//!
//! Another one's tombstones are in the table only. Whoever puts rows of events in looks there behind it ([`Tombstones::since`]) and blanks what it
//! put in of devices that were erased meanwhile. So whichever comes first, no row keeps its device: rows that were in before the tombstone are
//! blanked by whoever erases, who wrote the tombstone first, and all others by whoever inserted them. Where that one died in between, its mark stays
//! open, and whoever gives the mark up blanks before ([`Tombstones::sweep`]).
//!
//! Must never: forget one that events can still come of.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ahash::HashMap;
use event::clock::UnixMs;
use event::givt::{self, Automated};
use event::key::DeviceKey;
use event::record::{Event, flag};
use serde::Deserialize;

use crate::batch::{device_number, put};
use crate::pairs;
use crate::rules::{Networks, Rules, network_number};
use crate::statement::{self, Statement};
use crate::store::{Store, StoreError, Value, Work};

/// The tables that hold events, of whatever kind.
const EVENT_TABLES: [Statement; 3] = [statement::EVENTS, statement::UNRESOLVED, statement::TRIAL_EVENTS];
/// Keys that one statement names; a device has a few for each epoch.
pub(super) const DEVICES_STATEMENT_MAX: usize = 256;
/// By how much the clocks of aggregators on one store may differ, milliseconds: so much older tombstones are looked at again.
const CLOCKS_MS_MAX: i64 = 600_000;
/// Tombstones that a mark's writer may not have known, milliseconds before the mark is given up: much longer than any insert takes.
const SWEPT_MS: i64 = 86_400_000;

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
pub(crate) struct Tombstones {
    erased: RwLock<Erased>,
    rules: Arc<Rules>,
    /// Whether others write into the same store.
    is_shared: bool,
}

/// Until when each device is erased, and what may be kept of its hits.
#[derive(Default)]
pub(crate) struct Erased {
    until_ms: HashMap<u64, UnixMs>,
    /// In the order in which this process heard of them.
    heard: Vec<(u64, UnixMs)>,
    /// When the newest that was read from the store was made. Unix milliseconds.
    made_ms: UnixMs,
    data_centers: Networks,
}

#[derive(Deserialize)]
struct Row {
    device: u64,
    until_ms: i64,
    made_ms: i64,
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
        (rules, is_shared): (Arc<Rules>, bool),
        (now_ms, retention_ms): (UnixMs, i64),
    ) -> Result<Self, StoreError> {
        let since_ms = now_ms - retention_ms;
        let erased = RwLock::new(Erased { data_centers: rules.networks.clone(), ..Erased::default() });
        let tombstones = Self { erased, rules, is_shared };
        tombstones.learn(read(store, Work::Settle, (since_ms, i64::MIN))?);
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
        // Not `made_ms`: what others made before may not be known yet.
        self.learn(new.into_iter().map(|device| Row { device, until_ms, made_ms: i64::MIN }).collect());
        Ok(())
    }

    fn learn(&self, rows: Vec<Row>) {
        let mut known = self.erased.write().unwrap_or_else(PoisonError::into_inner);
        for Row { device, until_ms, made_ms } in rows {
            known.made_ms = known.made_ms.max(made_ms);
            if !known.covers(device, until_ms - 1) {
                known.until_ms.insert(device, until_ms);
                known.heard.push((device, until_ms));
            }
        }
    }

    /// How many were heard of by now: for [`Self::since`].
    pub(crate) fn heard(&self) -> usize {
        self.read().heard.len()
    }

    /// Blanks what stands under those that were heard of since there were so many, and are heard of now. For whoever put rows of events in: before
    /// its mark is closed.
    ///
    /// # Errors
    /// The store's: it is to be done again.
    pub(crate) fn since(&self, store: &Store, heard: usize) -> Result<(), StoreError> {
        if !self.is_shared {
            // Whoever erases waits for the one that inserts.
            return Ok(());
        }
        let since_ms = self.read().made_ms - CLOCKS_MS_MAX;
        self.learn(read(store, Work::Load, (i64::MIN, since_ms))?);
        let new: Vec<_> = self.read().heard.get(heard..).unwrap_or_default().to_vec();
        self.blank_all(store, &new)
    }

    /// Blanks what somebody may have put in who did not come to [`Self::since`].
    ///
    /// # Errors
    /// The store's: it is to be done again.
    pub(crate) fn sweep(&self, store: &Store, now_ms: UnixMs) -> Result<(), StoreError> {
        let made = read(store, Work::Settle, (i64::MIN, now_ms - SWEPT_MS))?;
        let recent: Vec<_> = made.iter().map(|row| (row.device, row.until_ms)).collect();
        self.learn(made);
        self.blank_all(store, &recent)
    }

    fn blank_all(&self, store: &Store, erased: &[(u64, UnixMs)]) -> Result<(), StoreError> {
        let mut by_until: BTreeMap<UnixMs, Vec<u64>> = BTreeMap::new();
        for (device, until_ms) in erased {
            by_until.entry(*until_ms).or_default().push(*device);
        }
        by_until.iter().try_for_each(|(until_ms, devices)| self.blank(store, devices, *until_ms))
    }

    /// Blanks what is stored under some devices and was received before. The caller has a mark on the days.
    ///
    /// # Errors
    /// The store's: it may go on by itself, and can be done again.
    pub(crate) fn blank(&self, store: &Store, devices: &[u64], until_ms: UnixMs) -> Result<(), StoreError> {
        for table in EVENT_TABLES {
            for devices in devices.chunks(DEVICES_STATEMENT_MAX) {
                let mut values = self.rules.lists();
                values.extend([
                    ("robot", Value::Text(ROBOT.to_owned())),
                    ("program", Value::Text(PROGRAM.to_owned())),
                    ("devices", Value::Numbers(devices.to_vec())),
                    ("until_ms", Value::Signed(until_ms)),
                ]);
                store.alter_by(Work::Settle, table.file, statement::ERASE_ROWS.sql(), &values)?;
            }
        }
        pairs::erase(store, devices)
    }

    /// What is erased now.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Erased> {
        // Entries are put in whole: a panic elsewhere leaves nothing half done.
        self.erased.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of the store that erase what was received after one moment and were made after another.
fn read(store: &Store, work: Work, (since_ms, made_ms): (UnixMs, UnixMs)) -> Result<Vec<Row>, StoreError> {
    let values = vec![("since_ms", Value::Signed(since_ms)), ("made_ms", Value::Signed(made_ms))];
    store.rows(work, statement::TOMBSTONES_READ, &values)
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
                Event { device: None, network, agent, flags: event.flags | flag::ERASED, ..event }
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
