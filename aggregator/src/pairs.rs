//! Pairs of devices while two keys overlap (DESIGN §6): who was which device under the key before.
//!
//! Owns the table `device_pairs` and what the loader remembers of it. A hit that was stored under the present key and says what its device was under the
//! former one gives a pair, once for each device as far as [`PLACES`] reach; a repeat is harmless. So does an unresolved hit, for it may be adopted. Reports
//! look pairs up (`sql/part/pairs.sql`); nothing that is stored or settled depends on them, so they can come late, twice, and go.
//!
//! Pairs live until the day that came with them. From then on the loader passes over what still carries a former device (a rebuild from the
//! journal, a late frame), reports ask for none of them, and the settle step drops their partition.
//!
//! Must never: keep a pair past its day, or one of a device that was erased.

use event::clock::UnixMs;
use event::record::{Device, Former};
use serde::Deserialize;

use crate::batch::{device_number, put};
use crate::metrics;
use crate::statement;
use crate::store::{Store, StoreError, Value, Work, day_text};

/// Most rows of the table, repeats that no merge has dropped yet included: about 2 GB. Beyond it no pair is taken; a row of former device 0 says so, for
/// reports to tell.
pub(crate) const PAIRS_MAX: u64 = 100_000_000;
/// Devices that a loader remembers to have paired: 32 MiB, held from the first pair on. A power of two.
const PLACES: usize = 1 << 22;
/// Keys that one statement names.
const DEVICES_STATEMENT_MAX: usize = 256;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What the loader remembers of the pairs that it wrote: for each place the last device that came there.
#[derive(Default)]
pub(crate) struct Paired {
    /// Empty until the first pair. A device is never 0.
    places: Vec<u64>,
    /// Rows of the table when they were counted last.
    stored: u64,
    /// Whether they are to be counted anew: rows were added, or it was full and may be no more.
    is_count_old: bool,
    /// The end of the overlap of which it is stored that pairs are missing.
    missing_until_day: Option<u16>,
}

impl Paired {
    /// Appends the row of a pair to `rows`, unless the overlap is over or the pair was written not long ago.
    pub(crate) fn take(&mut self, rows: &mut Vec<u8>, device: &Device, now_ms: UnixMs) {
        let Some(former) = device.former.filter(|former| former.is_in_force(now_ms)) else { return };
        let number = device_number(&device.key);
        if self.stored >= PAIRS_MAX {
            metrics::device_pairs_refused(1);
            self.is_count_old = true;
            if self.missing_until_day.replace(former.until_day) != Some(former.until_day) {
                put_row(rows, (0, 0), device.epoch, &former);
            }
        } else if self.is_new(number) {
            self.is_count_old = true;
            put_row(rows, (device_number(&former.key), number), device.epoch, &former);
        }
    }

    /// Whether a device was not there lately; from now on it was. Devices are hashes: their last bits are as good as any.
    fn is_new(&mut self, device: u64) -> bool {
        if self.places.is_empty() {
            self.places = vec![0; PLACES];
        }
        let at = device as usize & (PLACES - 1);
        self.places.get_mut(at).is_some_and(|place| std::mem::replace(place, device) != device)
    }

    /// After an erasure: its pairs are gone from the table, so that one that comes again has to be written again.
    pub(crate) fn forget(&mut self) {
        self.places = Vec::new();
    }

    /// Counts the rows of the table where that is needed: after each insert of a batch.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn measure(&mut self, store: &Store) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct Row {
            pairs: u64,
        }
        if self.is_count_old {
            let rows: Vec<Row> = store.rows(Work::Load, statement::PAIRS_COUNT, &Vec::new())?;
            self.note(rows.first().map_or(0, |row| row.pairs));
        }
        Ok(())
    }

    fn note(&mut self, stored: u64) {
        (self.stored, self.is_count_old) = (stored, false);
    }
}

fn put_row(rows: &mut Vec<u8>, (before, now): (u64, u64), epoch: u16, former: &Former) {
    put(rows, before);
    put(rows, now);
    for number in [former.epoch, epoch, former.until_day] {
        rows.extend_from_slice(&number.to_le_bytes());
    }
}

/// Removes the pairs of some devices, under whichever key.
///
/// # Errors
/// The store's: it is to be done again.
pub(crate) fn erase(store: &Store, devices: &[u64]) -> Result<(), StoreError> {
    for devices in devices.chunks(DEVICES_STATEMENT_MAX) {
        let values = vec![("devices", Value::Numbers(devices.to_vec()))];
        store.alter_by(Work::Settle, statement::DEVICE_PAIRS.file, statement::FORGET_PAIRS.sql(), &values)?;
    }
    Ok(())
}

/// An overlap of two keys that is not over.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) epoch_former: u16,
    pub(crate) epoch: u16,
    /// The first day, in UTC, on which they overlap no more.
    pub(crate) until_day: u16,
    /// 1 where the table was full, so that pairs are missing.
    pub(crate) has_gaps: u8,
    /// Rows, repeats that no merge has dropped yet included: it changes when pairs come or go (and when a merge drops some).
    pub(crate) pairs: u64,
}

/// The overlaps that are not over.
///
/// # Errors
/// The store's.
pub(crate) fn overlaps(store: &Store, now_ms: UnixMs) -> Result<Vec<Overlap>, StoreError> {
    store.rows(Work::Report, statement::REPORT_OVERLAPS, &vec![("today", today(now_ms))])
}

/// Drops the pairs of overlaps that are over. How many overlaps.
///
/// # Errors
/// The store's; it is tried again with the next step.
pub(crate) fn drop_ended(store: &Store, now_ms: UnixMs) -> Result<u64, StoreError> {
    #[derive(Deserialize)]
    struct Ended {
        until_day: u16,
    }
    let values = vec![("today", today(now_ms))];
    let ended: Vec<Ended> = store.rows(Work::Settle, statement::PAIRS_ENDED, &values)?;
    for Ended { until_day } in &ended {
        let change = format!("DROP PARTITION '{}'", day_text(*until_day));
        store.alter(Work::Settle, statement::DEVICE_PAIRS.file, &change)?;
        tracing::info!(
            until = day_text(*until_day),
            "the overlap of two device keys is over; its pairs were dropped"
        );
    }
    Ok(ended.len() as u64)
}

/// The day in UTC.
fn today(now_ms: UnixMs) -> Value {
    Value::Text(day_text(u16::try_from(now_ms.div_euclid(DAY_MS)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use event::identifier::IdKind;
    use event::key::DeviceKey;

    use super::*;

    const UNTIL: u16 = 20_792;
    const NOW_MS: i64 = (UNTIL as i64) * DAY_MS - 1;

    fn device(number: u64, former: Option<u64>) -> Device {
        let key = |number: u64| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&number.to_be_bytes());
            DeviceKey(key)
        };
        let former = former.map(|number| Former { key: key(number), epoch: 1, until_day: UNTIL });
        Device { key: key(number), kind: IdKind::Oaid, epoch: 2, former }
    }

    #[test]
    fn a_pair_is_written_once_while_the_overlap_runs() {
        let (mut paired, mut rows) = (Paired::default(), Vec::new());
        paired.take(&mut rows, &device(7, None), NOW_MS);
        paired.take(&mut rows, &device(7, Some(70)), NOW_MS + 1);
        assert!(rows.is_empty() && paired.places.is_empty(), "nothing to pair, or the overlap is over");
        paired.take(&mut rows, &device(7, Some(70)), NOW_MS);
        paired.take(&mut rows, &device(7, Some(70)), NOW_MS);
        let row =
            [&70_u64.to_le_bytes()[..], &7_u64.to_le_bytes(), &[1, 0, 2, 0], &UNTIL.to_le_bytes()].concat();
        assert_eq!(rows, row);
        paired.forget();
        paired.take(&mut rows, &device(7, Some(70)), NOW_MS);
        assert_eq!(rows.len(), 2 * row.len(), "an erasure took it from the table");
    }

    #[test]
    fn a_device_that_lost_its_place_is_written_again_and_no_other_is_left_out() {
        let mut paired = Paired::default();
        let other = 7 + PLACES as u64;
        assert!(paired.is_new(7) && !paired.is_new(7));
        assert!(paired.is_new(other) && paired.is_new(7));
    }

    #[test]
    fn a_full_table_takes_no_more_until_there_is_room_and_says_so_once() {
        let (mut paired, mut rows) = (Paired::default(), Vec::new());
        paired.note(PAIRS_MAX);
        paired.take(&mut rows, &device(7, Some(70)), NOW_MS);
        paired.take(&mut rows, &device(8, Some(80)), NOW_MS);
        assert_eq!(rows, [&[0; 16][..], &[1, 0, 2, 0], &UNTIL.to_le_bytes()].concat(), "pairs are missing");
        assert!(paired.is_count_old, "an overlap may have ended meanwhile");
        paired.note(PAIRS_MAX - 1);
        rows.clear();
        paired.take(&mut rows, &device(7, Some(70)), NOW_MS);
        assert_eq!(rows[..8], 70_u64.to_le_bytes());
    }
}
