//! Ids with more impressions on a day than one device sees: found before a day is judged, told, counted.
//!
//! Must never: put a device's key into the log.

use event::identifier::IdKind;
use serde::Deserialize;

use super::Settler;
use crate::judge::{self, Aside};
use crate::metrics;
use crate::statement;
use crate::store::{StoreError, Value, Work, day_text, partitions};

/// New devices set aside that one settle step names in the log.
const SET_ASIDE_TOLD_MAX: u64 = 20;
/// Settled days over which devices set aside are counted for the metric.
const SET_ASIDE_DAYS: usize = 7;

impl Settler {
    /// Lists the devices over the ceiling, before any hit is judged.
    pub(super) fn set_aside(&self, day: u16, generation: u64, own_hits: u64) -> Result<(), StoreError> {
        if self.rules.ceiling == 0 {
            return Ok(());
        }
        let aside = Aside { published: &[], days: &[day], hits: own_hits };
        let mut values = judge::aside_values(&self.rules, aside);
        values.push(("generation", Value::Number(generation)));
        self.store.execute(Work::Settle, statement::SETTLE_SET_ASIDE, &values)?;
        // What is judged next may ask another replica.
        self.store.catch_up_replicas()
    }

    /// Says which devices were set aside that the figures before did not set aside.
    pub(super) fn tell_set_aside(&self, day: u16, before: u64, generation: u64) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct New {
            kind: u8,
            impressions: u64,
            campaigns: Vec<String>,
            placements: Vec<String>,
        }
        let values = vec![
            ("day", Value::Days(vec![day])),
            ("before", Value::Number(before)),
            ("generation", Value::Number(generation)),
            ("limit", Value::Number(SET_ASIDE_TOLD_MAX)),
        ];
        let new: Vec<New> = self.store.rows(Work::Settle, statement::SET_ASIDE_NEW, &values)?;
        for device in new {
            tracing::info!(
                day = day_text(day),
                kind = IdKind::from_number(device.kind).map_or("unknown", IdKind::name),
                impressions = device.impressions,
                campaign = device.campaigns.first().map_or("", String::as_str),
                placement = device.placements.first().map_or("", String::as_str),
                "an id with more impressions than one device sees was set aside"
            );
        }
        Ok(())
    }

    /// Tells how many devices are set aside on the newest settled days.
    pub(crate) fn measure_set_aside(&self) -> Result<(), StoreError> {
        #[derive(Deserialize)]
        struct Count {
            devices: u64,
        }
        let mut published = self.published()?;
        published.sort_unstable_by_key(|p| std::cmp::Reverse(p.day));
        published.truncate(SET_ASIDE_DAYS);
        let published: Vec<(u16, u64)> = published.iter().map(|p| (p.day, p.generation)).collect();
        let values = vec![("published", partitions(&published))];
        let count: Vec<Count> = self.store.rows(Work::Settle, statement::SET_ASIDE_DEVICE_COUNT, &values)?;
        metrics::devices_set_aside(count.first().map_or(0, |count| count.devices));
        Ok(())
    }
}
