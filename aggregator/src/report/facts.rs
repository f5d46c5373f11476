//! What a campaign has on each day, kept while the day stands still.
//!
//! Which days have events, under which keys their devices stand and how many settled devices there are costs a look at all events of a campaign, for
//! every report, and hardly ever changes. It is kept for days whose settled figures are up to date, with their generation and the number of
//! events that are stored of the day: an insert, an adoption or an erasure marks the day, and settling it gives another generation; events that expire make
//! another number. Of all other days, today above all, it is asked anew.
//!
//! Must never: keep a figure, or anything of a day that is not up to date.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::days::DayStates;
use super::request::Request;
use super::{Reporter, seen};
use crate::statement;
use crate::store::{StoreError, Value, Work, partitions};

/// Campaigns, as they are seen by some token, of which facts are kept: about 20 KiB each with 190 days. One more, and all are forgotten.
const KEPT_MAX: usize = 500;

/// What a campaign has on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Facts {
    pub(super) day: u16,
    /// Events stored, repeats included.
    pub(super) events: u64,
    /// Settled device days; asked for reports that count devices.
    pub(super) device_days: u64,
    /// Keys of the devices that it reached.
    pub(super) epochs: Vec<u16>,
}

/// A campaign, the placements that are seen of it, and whether devices are counted.
type Asked = (String, Option<Vec<String>>, bool);

/// Days with what they stand for: generation and events stored. A day without facts is one on which the campaign has nothing.
type OfDays = BTreeMap<u16, ((u64, u64), Option<Facts>)>;

/// What is kept.
#[derive(Default)]
pub(crate) struct Kept(Mutex<HashMap<Asked, OfDays>>);

impl Kept {
    fn get(&self, asked: &Asked) -> OfDays {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(asked).cloned().unwrap_or_default()
    }

    fn put(&self, asked: Asked, of_days: OfDays) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX && !kept.contains_key(&asked) {
            kept.clear();
        }
        kept.insert(asked, of_days);
    }
}

impl Reporter {
    /// What the campaign has, by day; only days on which it has something.
    pub(super) fn facts(&self, request: &Request, now: &DayStates) -> Result<Vec<Facts>, StoreError> {
        let only = request.sight.only().map(<[String]>::to_vec);
        let asked: Asked = (request.campaign.clone(), only, request.counts_devices());
        let mut of_days = self.facts.get(&asked);
        of_days.retain(|day, (standing, _)| now.up_to_date.get(day) == Some(standing));
        let missing: Vec<u16> = now.days.iter().copied().filter(|day| !of_days.contains_key(day)).collect();
        let mut facts: Vec<Facts> = of_days.values().filter_map(|(_, facts)| facts.clone()).collect();
        if !missing.is_empty() {
            let found = self.facts_of(request, now, &missing)?;
            for day in missing {
                if let Some(standing) = now.up_to_date.get(&day) {
                    let of_day = found.iter().find(|facts| facts.day == day).cloned();
                    of_days.insert(day, (*standing, of_day));
                }
            }
            facts.extend(found);
            self.facts.put(asked, of_days);
        }
        facts.sort_by_key(|facts| facts.day);
        Ok(facts)
    }

    fn facts_of(&self, request: &Request, now: &DayStates, days: &[u16]) -> Result<Vec<Facts>, StoreError> {
        let published = days.iter().filter_map(|day| now.published.get(day));
        let published: Vec<(u16, u64)> = published.map(|of_day| (of_day.day, of_day.generation)).collect();
        let published = if request.counts_devices() { published } else { Vec::new() };
        let mut values = vec![
            ("campaign", Value::Text(request.campaign.clone())),
            ("asked", Value::Days(days.to_vec())),
            ("published", partitions(&published)),
        ];
        values.extend(seen(&request.sight));
        self.store.rows(Work::Report, statement::REPORT_FACTS, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let kept = Kept::default();
        for number in 0..=KEPT_MAX {
            kept.put((number.to_string(), None, true), OfDays::from([(1, ((1, 1), None))]));
        }
        let held = kept.0.lock().expect("nobody panicked").len();
        assert_eq!(held, 1);
        assert_eq!(kept.get(&(KEPT_MAX.to_string(), None, true)).len(), 1);
        assert!(kept.get(&("0".to_owned(), None, true)).is_empty());
        assert!(kept.get(&(KEPT_MAX.to_string(), Some(Vec::new()), true)).is_empty(), "another sight");
    }
}
