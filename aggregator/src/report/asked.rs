//! How the statements of reports are asked: their values, and in which portions.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::stage::Stage;
use serde::de::DeserializeOwned;

use super::cells::stored_key;
use super::days::Days;
use super::request::{Filter, Request};
use super::{Reporter, sample};
use crate::judge::{self, Aside, Question};
use crate::statement::Statement;
use crate::store::{StoreError, Value, Values, Work, partitions};
use crate::view::Sight;

/// Frequencies told apart when counting; above, devices stand in one last class.
const FREQUENCY_MAX: u64 = 10_000;

impl Reporter {
    /// Values of the statements that read settled figures and events side by side.
    pub(super) fn values(
        &self,
        request: &Request,
        days: &Days,
        live: &[u16],
        stages: &[Stage],
    ) -> Result<Values, StoreError> {
        let catalog = self.catalog.load_full();
        let aside = Aside { published: &days.published, days: &days.live, hits: days.live_hits };
        let question = Question { days: live, campaign: &request.campaign, stages, aside };
        let mut values = judge::values(&self.store, Work::Report, &self.rules, &catalog, &question)?;
        let placements = catalog.campaigns.get(&request.campaign).map(|campaign| {
            let of = |p: &Arc<catalog::Placement>| (p.id.clone(), stored_key(&p.medium).to_owned());
            campaign.placements.values().map(of).collect::<BTreeMap<_, _>>()
        });
        let (ids, media) = placements.unwrap_or_default().into_iter().unzip();
        values.extend([
            judge::all_buckets(),
            ("published", partitions(&days.published)),
            ("overlaps", Value::Days(days.keys.overlaps.clone())),
            ("placements", Value::Texts(ids)),
            ("media", Value::Texts(media)),
            ("by", Value::Text(request.by.name().to_owned())),
            ("net", Value::Number(u64::from(request.filter == Filter::Net))),
            ("frequency_max", Value::Number(FREQUENCY_MAX)),
        ]);
        values.extend(self.creative_values(request, days)?);
        values.extend(seen(&request.sight));
        values.extend(sample::values(days.sample, !days.keys.overlaps.is_empty()));
        Ok(values)
    }

    /// Rows of figures; `live` are the days that have to be computed from events.
    pub(super) fn figures<Row: DeserializeOwned>(
        &self,
        statement: Statement,
        live: &[u16],
        values: &Values,
    ) -> Result<Vec<Row>, StoreError> {
        if live.is_empty() {
            self.store.rows_settled(statement, values)
        } else {
            self.store.rows(Work::Report, statement, values)
        }
    }

    /// Whether devices are counted from settled figures alone, each under one key.
    pub(super) fn is_of_settled_devices(request: &Request, days: &Days) -> bool {
        request.by.is_settled_by_device() && days.live.is_empty() && days.keys.overlaps.is_empty()
    }

    /// Rows of a statement over settled devices. They are counted in portions by their keys, by which the table is ordered, so that memory does not grow with
    /// the campaign: a row may come once for each portion, and its counts add up.
    pub(super) fn of_settled_devices<Row: DeserializeOwned>(
        &self,
        statement: Statement,
        days: &Days,
        mut values: Values,
    ) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for (first, last) in days.sample.ranges(self.sampling.portions(days.sample, days.settled_devices)) {
            set(&mut values, ("half_first", Value::Number(first)));
            set(&mut values, ("half_last", Value::Number(last)));
            rows.extend(self.store.rows_settled::<Row>(statement, &values)?);
        }
        Ok(rows)
    }

    /// Counts by key and class; a key and class may come more than once.
    pub(super) fn cells<Row: DeserializeOwned>(
        &self,
        statement: Statement,
        request: &Request,
        days: &Days,
        stages: &[Stage],
    ) -> Result<Vec<Row>, StoreError> {
        let mut values = self.values(request, days, &days.live, stages)?;
        let mut cells = Vec::new();
        // In portions, so that memory does not grow with the events.
        for portion in judge::portions(days.live_hits, self.portion_hits) {
            set(&mut values, portion);
            cells.extend(self.figures(statement, &days.live, &values)?);
            // The settled figures are in the first portion's answer.
            set(&mut values, ("published", partitions(&[])));
        }
        Ok(cells)
    }
}

/// The values of `seen.sql`.
pub(super) fn seen(sight: &Sight) -> Values {
    let only = sight.only().unwrap_or_default().to_vec();
    vec![("limited", Value::Number(u64::from(sight.only().is_some()))), ("only", Value::Texts(only))]
}

/// Gives a bound value another value.
pub(super) fn set(values: &mut Values, (name, value): (&'static str, Value)) {
    values.retain(|(old, _)| *old != name);
    values.push((name, value));
}
