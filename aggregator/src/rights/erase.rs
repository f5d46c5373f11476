//! An erasure, step by step; see [`crate::rights`].

use std::collections::BTreeSet;

use serde::Deserialize;

use super::tombstones::DEVICES_STATEMENT_MAX;
use super::{Erased, Erasure, Inner, RightsError};
use crate::batch::{device_number, put, put_length};
use crate::judge;
use crate::metrics;
use crate::pairs;
use crate::settle::SettleOutcome;
use crate::statement;
use crate::store::{INSERT_DAYS_MAX, StoreError, Value, Values, Work, partitions};

/// What an erasure found, before it changed anything.
#[derive(Clone, Debug, Default, Deserialize)]
struct Found {
    version: u64,
    events: u64,
    unresolved: u64,
    trial_events: u64,
    /// Never 0 while days may stand that hold the device.
    salt: u64,
    days: BTreeSet<u16>,
    /// Days whose figures stand, in which the device was found.
    days_standing: BTreeSet<u16>,
}

#[derive(Deserialize)]
struct Count {
    kept_in: String,
    hits: u64,
    days: Vec<u16>,
}

#[derive(Deserialize)]
struct Standing {
    day: u16,
}

pub(super) fn erase(inner: &Inner, erasure: &Erasure<'_>) -> Result<Erased, RightsError> {
    let devices: BTreeSet<u64> = erasure.devices.iter().map(device_number).collect();
    let devices: Vec<u64> = devices.into_iter().collect();
    // What the loader blanks is in no count: what was received before goes in as it is.
    inner.catch_up()?;
    inner.tombstones.add(&inner.store, &devices, erasure.until_ms, inner.clock.now_ms())?;
    // Whoever inserts from now on finds them, on whatever replica.
    inner.store.catch_up_replicas()?;
    inner.catch_up()?;
    let mut found = inner.worker.without_adoption(|| {
        let found = find(inner, erasure, &devices)?;
        blank(inner, erasure, &devices, &found)?;
        Ok::<_, RightsError>(found)
    })?;
    let days_settled = settle_again(inner, &found.days)?;
    unlink_standing(inner, erasure.request, &devices, &mut found)?;
    found.version += 1;
    found.salt = 0;
    keep(inner, erasure.request, &found)?;
    // The rows before, which say what the salt was, need not wait for a merge.
    let request = vec![("request", Value::Number(erasure.request))];
    let change = statement::FORGET_SALT.sql();
    inner.store.alter_by(Work::Settle, statement::ERASURES.file, change, &request)?;
    let erased = Erased {
        events: found.events,
        unresolved: found.unresolved,
        trial_events: found.trial_events,
        days_settled,
        days_standing: found.days_standing.len() as u32,
    };
    metrics::hits_erased(erased.events + erased.unresolved + erased.trial_events);
    Ok(erased)
}

fn values(erasure: &Erasure<'_>, devices: &[u64]) -> Values {
    vec![("devices", Value::Numbers(devices.to_vec())), ("until_ms", Value::Signed(erasure.until_ms))]
}

/// What there is to erase, and what was found by an earlier try that was broken off; kept before anything is changed.
fn find(inner: &Inner, erasure: &Erasure<'_>, devices: &[u64]) -> Result<Found, RightsError> {
    let store = &inner.store;
    let request = vec![("request", Value::Number(erasure.request))];
    let before: Vec<Found> = store.rows(Work::Settle, statement::ERASURES_READ, &request)?;
    let mut found = before.into_iter().next().unwrap_or_default();
    let (mut events, mut unresolved, mut trial_events) = (0, 0, 0);
    for devices in devices.chunks(DEVICES_STATEMENT_MAX) {
        let counts: Vec<Count> =
            store.rows(Work::Settle, statement::ERASE_COUNT, &values(erasure, devices))?;
        for count in counts {
            match count.kept_in.as_str() {
                "events" => {
                    events += count.hits;
                    found.days.extend(count.days);
                }
                "unresolved" => unresolved += count.hits,
                _ => trial_events += count.hits,
            }
        }
    }
    // Of an earlier try that was broken off, some are erased already; what it had found is the whole.
    found.events = found.events.max(events);
    found.unresolved = found.unresolved.max(unresolved);
    found.trial_events = found.trial_events.max(trial_events);
    found.version += 1;
    if found.salt == 0 {
        found.salt = getrandom::u64().map_err(RightsError::Random)?.max(1);
    }
    keep(inner, erasure.request, &found)?;
    Ok(found)
}

fn keep(inner: &Inner, request: u64, found: &Found) -> Result<(), StoreError> {
    let mut row = Vec::new();
    put(&mut row, request);
    row.extend_from_slice(&inner.clock.now_ms().to_le_bytes());
    for number in [found.version, found.events, found.unresolved, found.trial_events, found.salt] {
        put(&mut row, number);
    }
    for days in [&found.days, &found.days_standing] {
        put_length(&mut row, days.len());
        for day in days {
            row.extend_from_slice(&day.to_le_bytes());
        }
    }
    inner.store.insert(Work::Settle, statement::ERASURES, &row)
}

/// Blanks the rows, under a mark on the days whose figures that can change.
fn blank(inner: &Inner, erasure: &Erasure<'_>, devices: &[u64], found: &Found) -> Result<(), RightsError> {
    if found.events + found.unresolved + found.trial_events == 0 {
        // Nothing is stored under them that a pair could tie: none is left either.
        return Ok(pairs::erase(&inner.store, devices)?);
    }
    let days: Vec<u16> = found.days.iter().copied().collect();
    let changed: BTreeSet<u16> = judge::around(&days).into_iter().collect();
    inner
        .worker
        .settler
        .change(&changed, |store| inner.tombstones.blank(store, devices, erasure.until_ms))?;
    Ok(())
}

/// Makes the figures of the days again that were settled. How many.
fn settle_again(inner: &Inner, days: &BTreeSet<u16>) -> Result<u32, RightsError> {
    let settler = &inner.worker.settler;
    let published: BTreeSet<u16> = settler.published()?.into_iter().map(|day| day.day).collect();
    let own: Vec<u16> = days.iter().copied().collect();
    let mut settled = 0;
    for day in judge::around(&own).into_iter().filter(|day| published.contains(day)) {
        // `None`: it is up to date, for somebody else settled it since.
        let is_made = match settler.settle(day)?.map(|done| done.outcome) {
            None | Some(SettleOutcome::Settled | SettleOutcome::Empty) => true,
            Some(SettleOutcome::Frozen) => false,
            Some(SettleOutcome::TooLong) => return Err(RightsError::Behind),
        };
        settled += u32::from(is_made && days.contains(&day));
    }
    Ok(settled)
}

/// Makes the device unknown in settled figures: in those that stand for good it becomes another, in all others it goes with their generation.
/// Keeps which days stand before the device is gone from them: one that is broken off after that still knows.
fn unlink_standing(
    inner: &Inner,
    request: u64,
    devices: &[u64],
    found: &mut Found,
) -> Result<(), RightsError> {
    let store = &inner.store;
    // A generation that another replica has just published is looked into as well.
    store.catch_up_replicas()?;
    let published: Vec<(u16, u64)> =
        inner.worker.settler.published()?.into_iter().map(|day| (day.day, day.generation)).collect();
    for devices in devices.chunks(DEVICES_STATEMENT_MAX) {
        for published in published.chunks(INSERT_DAYS_MAX) {
            let mut values =
                vec![("devices", Value::Numbers(devices.to_vec())), ("published", partitions(published))];
            let days: Vec<Standing> = store.rows(Work::Settle, statement::ERASE_SETTLED_DAYS, &values)?;
            if days.is_empty() {
                continue;
            }
            let before = found.days_standing.len();
            found.days_standing.extend(days.iter().map(|day| day.day));
            if found.days_standing.len() > before {
                found.version += 1;
                keep(inner, request, found)?;
            }
            values.push(("salt", Value::Number(found.salt)));
            values.push(("request", Value::Number(request)));
            store.execute(Work::Settle, statement::ERASE_SETTLED, &values)?;
        }
        let values = vec![("devices", Value::Numbers(devices.to_vec()))];
        for table in [statement::DEVICE_DAYS, statement::DEVICES_SET_ASIDE] {
            store.alter_by(Work::Settle, table.file, statement::FORGET_DEVICE.sql(), &values)?;
        }
    }
    Ok(())
}
