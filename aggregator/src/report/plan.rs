//! What was delivered against what was planned: the impressions that the catalog plans for the days and placements of a row.
//!
//! A day, placement or medium that has a plan and no hit has a row of its own: nothing delivered is what the plan is looked at for.

use std::collections::BTreeMap;

use catalog::Planned;

use super::cells::{ratio, stored_key};
use super::request::{By, Request};
use super::rows::DeliveryRow;
use super::{Days, Reporter};
use crate::store::{day_number, day_text};

impl Reporter {
    /// Adds the plan to the rows of a delivery report, by key.
    pub(super) fn add_plan(&self, request: &Request, days: &Days, rows: &mut BTreeMap<String, DeliveryRow>) {
        let (Some(from), Some(to)) = (days.from, days.to) else { return };
        let catalog = self.catalog.load();
        let Some(campaign) = catalog.campaigns.get(&request.campaign) else { return };
        for placement in campaign.placements.values().filter(|placement| request.sight.sees(placement)) {
            for (first, last, impressions) in
                placement.plan.iter().filter_map(|range| within(range, from, to))
            {
                let mut add = |key: String, days: u64| {
                    let planned = rows.entry(key).or_default().planned.get_or_insert(0);
                    *planned = planned.saturating_add(days.saturating_mul(impressions));
                };
                let count = u64::from(last - first) + 1;
                match request.by {
                    By::Total => add(String::new(), count),
                    By::Placement => add(placement.id.clone(), count),
                    By::Medium => add(stored_key(&placement.medium).to_owned(), count),
                    By::Day => (first..=last).for_each(|day| add(day_text(day), 1)),
                    By::Creative | By::Region | By::Platform | By::Hour | By::IdKind | By::PlacementDay => {}
                }
            }
        }
        for row in rows.values_mut() {
            row.fulfilment = row.planned.and_then(|planned| ratio(row.net_impressions, planned));
        }
    }
}

/// The part of a range that lies between two days, as numbers of days, with the impressions of each.
fn within(range: &Planned, from: u16, to: u16) -> Option<(u16, u16, u64)> {
    let first = day_number(range.from).unwrap_or(0).max(from);
    let last = day_number(range.to).unwrap_or(u16::MAX).min(to);
    (first <= last).then_some((first, last, range.impressions))
}
