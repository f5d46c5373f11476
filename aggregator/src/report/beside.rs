//! What closed figures would be now, kept while they can be no other ones.
//!
//! Beside a closed figure stands what it would be now, so that each look at a closed period would cost as much as counting it again, and more: what came
//! since is looked for among all its events. Such periods hardly ever change. Both are kept with how their days stood: the generation of each and the number
//! of its events, as in [`super::facts`], and the catalog in force. Of reports, those that count settled devices, which take the time; what is
//! computed from events, or reads anything else that may change, is asked anew.
//!
//! Must never: answer what was kept while a day of the period may change.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use event::clock::UnixMs;

use super::request::{Request, State};
use super::rows::Report;
use super::{ReportError, Reporter};
use crate::form::Form;
use crate::store::StoreError;
use crate::view::Sight;

/// Answers kept of each kind. One more, and the oldest goes.
const KEPT_MAX: usize = 64;
/// Most rows of a report that is kept: together that is some tens of mebibytes at most.
const ROWS_MAX: usize = 500;

/// How the days of a period stood: day, generation and events stored; and the catalog in force.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standstill {
    days: Vec<(u16, (u64, u64))>,
    catalog: u32,
}

/// What came since: of a campaign, by whom it is seen, in a range, since a moment.
type SinceOf = (String, Option<Vec<String>>, (u16, u16), UnixMs);

/// What is kept.
#[derive(Default)]
pub(crate) struct Beside {
    reports: Recent<(Request, Standstill), Report>,
    since: Recent<(SinceOf, Standstill), (u64, u64)>,
}

/// The newest answers.
struct Recent<K, V>(Mutex<VecDeque<(K, V)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(of, _)| of == key).map(|(_, value)| value.clone())
    }

    fn put(&self, key: K, value: V) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(of, _)| *of != key);
        kept.push_back((key, value));
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }
}

impl Reporter {
    /// What a report of a closed range is now.
    ///
    /// # Errors
    /// As of any report.
    pub(super) fn present_beside(&self, request: &Request, range: (u16, u16)) -> Result<Report, ReportError> {
        let is_of_settled = request.kind.is_of_devices() && request.by.is_settled_by_device();
        let Some(still) = self.standstill(&request.campaign, range)?.filter(|_| is_of_settled) else {
            return self.present(request);
        };
        let plain = Request { form: Form::Json, state: State::Present, version: None, ..request.clone() };
        let key = (plain, still);
        if let Some(report) = self.beside.reports.get(&key) {
            return Ok(report);
        }
        let report = self.present(request)?;
        // Devices under two keys are tied by pairs, which come and go.
        let is_kept = report.key_changes.is_empty() && report.rows.len() <= ROWS_MAX;
        if is_kept && self.standstill(&request.campaign, range)?.as_ref() == Some(&key.1) {
            self.beside.reports.put(key, report.clone());
        }
        Ok(report)
    }

    /// Hits that came to a closed range since a moment, and those in it whose device was erased.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn since_beside(
        &self,
        campaign: &str,
        range: (u16, u16),
        (sight, since_ms): (&Sight, UnixMs),
    ) -> Result<(u64, u64), ReportError> {
        let Some(still) = self.standstill(campaign, range)? else {
            return self.since(campaign, range, (sight, since_ms));
        };
        let of = (campaign.to_owned(), sight.only().map(<[String]>::to_vec), range, since_ms);
        let key = (of, still);
        if let Some(since) = self.beside.since.get(&key) {
            return Ok(since);
        }
        let since = self.since(campaign, range, (sight, since_ms))?;
        if self.standstill(campaign, range)?.as_ref() == Some(&key.1) {
            self.beside.since.put(key, since);
        }
        Ok(since)
    }

    /// How the days of a range stand; `None` while any of them may change.
    fn standstill(&self, campaign: &str, (from, to): (u16, u16)) -> Result<Option<Standstill>, StoreError> {
        let now = self.standing(campaign)?;
        let of_day = |day: &u16| {
            let stands = *day < now.today && !now.gone.contains(day);
            now.up_to_date.get(day).filter(|_| stands).map(|state| (*day, *state))
        };
        let inside = now.days.iter().filter(|day| (from..=to).contains(*day));
        let days: Option<Vec<_>> = inside.map(of_day).collect();
        Ok(days.map(|days| Standstill { days, catalog: self.catalog.load().version }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_answers_are_kept_and_no_more() {
        let kept = Recent::default();
        for n in 0..=KEPT_MAX {
            kept.put(n, n);
            kept.put(KEPT_MAX / 2, 1);
        }
        assert_eq!(kept.0.lock().expect("nobody panicked").len(), KEPT_MAX);
        assert_eq!(
            (kept.get(&0), kept.get(&KEPT_MAX), kept.get(&(KEPT_MAX / 2))),
            (None, Some(KEPT_MAX), Some(1))
        );
    }
}
