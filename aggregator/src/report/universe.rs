//! Reach held against a universe, and what it cost: reach percent, gross rating points, cost for each of them.
//!
//! reach percent = reach / universe × 100; GRP = impressions / universe × 100, which is reach percent × average frequency / id coverage; CPRP = cost / GRP.
//! Reach counts devices. Where the universe counts persons the percentage is one of devices to persons, and the report's head says so (`unit`).
//!
//! Media are shown none of it: universes and costs are the advertiser's ([`super::privacy`] leaves them out, closed or present).
//!
//! Must never: show a cost to a medium, or hold the cost of a whole campaign against part of its days.

use catalog::{ALL, Campaign, Placement, Universe};
use serde::Serialize;

use super::request::{By, Kind, Refused, Request};
use super::rows::ReachRow;
use super::{Days, ReportError, Reporter};

/// A universe, as the head of a report names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UniverseSaid {
    /// `all`, or a region.
    pub region: String,
    /// `all`, or an audience.
    pub audience: String,
    /// How many.
    pub persons: u64,
    /// What is counted: `persons` or `devices`.
    pub unit: &'static str,
    /// Where the number is from.
    pub source: String,
    /// Of which day it is.
    pub date: String,
}

impl UniverseSaid {
    fn of(universe: &Universe) -> Self {
        Self {
            region: universe.region.clone(),
            audience: universe.audience.clone(),
            persons: universe.persons,
            unit: universe.unit.name(),
            source: universe.source.clone(),
            date: universe.date.to_string(),
        }
    }
}

impl Reporter {
    /// The universe that the rows of a report are held against; by region that of all regions together.
    ///
    /// # Errors
    /// An audience that the campaign has no universe for, or any where they are not shown.
    pub(super) fn universe(&self, request: &Request) -> Result<Option<UniverseSaid>, ReportError> {
        let catalog = self.catalog.load();
        let Some(campaign) = catalog.campaigns.get(&request.campaign) else { return Ok(None) };
        let audience = &request.audience;
        if audience != ALL && request.sight.only().is_some() {
            // Whether there is one of that name is not told either.
            return Err(Refused::NotOffered(
                "audience is offered to who sees the whole campaign: its universes are the advertiser's"
                    .to_owned(),
            )
            .into());
        }
        if audience != ALL && !campaign.universe.iter().any(|universe| universe.audience == *audience) {
            let mut known: Vec<&str> =
                campaign.universe.iter().map(|universe| universe.audience.as_str()).collect();
            known.sort_unstable();
            known.dedup();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Refused::NotOffered(format!(
                "the campaign has no universe of that audience; it has {known}"
            ))
            .into());
        }
        Ok(campaign.universe_of(ALL, audience).map(UniverseSaid::of))
    }

    /// By region: the universe of each region that has one.
    pub(super) fn universes(&self, request: &Request) -> Vec<UniverseSaid> {
        if request.kind != Kind::Reach || request.by != By::Region {
            return Vec::new();
        }
        let catalog = self.catalog.load();
        let of_campaign = catalog.campaigns.get(&request.campaign).map(|campaign| campaign.universe.iter());
        let of_audience = of_campaign.into_iter().flatten().filter(|one| one.audience == request.audience);
        of_audience.filter(|one| one.region != ALL).map(UniverseSaid::of).collect()
    }

    /// Holds rows against their universe and their cost.
    pub(super) fn hold_against_universe(&self, request: &Request, days: &Days, rows: &mut [ReachRow]) {
        let catalog = self.catalog.load();
        let Some(campaign) = catalog.campaigns.get(&request.campaign) else { return };
        // Who sees some placements only sells them.
        let shows_cost = days.is_whole && request.sight.only().is_none();
        for row in rows {
            let region = if request.by == By::Region { row.key.as_str() } else { ALL };
            row.universe = campaign.universe_of(region, &request.audience).map(|universe| universe.persons);
            row.reach_percent = percent(row.reach, row.universe);
            row.grp = percent(row.impressions, row.universe);
            let cost = if shows_cost { cost_of(campaign, request.by, &row.key) } else { None };
            row.cost_per_point =
                cost.zip(row.grp).filter(|(_, grp)| *grp > 0.0).map(|(cost, grp)| cost as f64 / 100.0 / grp);
        }
    }
}

/// How many of a hundred.
pub(super) fn percent(part: u64, whole: Option<u64>) -> Option<f64> {
    whole.filter(|whole| *whole > 0).map(|whole| part as f64 * 100.0 / whole as f64)
}

/// What the placements of a row cost, in hundredths; `None` where that is not known of all of them.
fn cost_of(campaign: &Campaign, by: By, key: &str) -> Option<u64> {
    let sum = |is_of: &dyn Fn(&Placement) -> bool| {
        let mut placements = campaign.placements.values().filter(|placement| is_of(placement)).peekable();
        placements.peek()?;
        placements.map(|placement| placement.cost.map(|cost| cost.hundredths)).sum::<Option<u64>>()
    };
    match by {
        By::Total => campaign.cost.map(|cost| cost.hundredths).or_else(|| sum(&|_| true)),
        By::Placement => sum(&|placement| placement.id == key),
        By::Medium => sum(&|placement| placement.medium == key),
        By::Day | By::Creative | By::Region | By::Platform | By::Hour | By::IdKind | By::PlacementDay => None,
    }
}
