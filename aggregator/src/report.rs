//! Reports: what is asked of the settled figures and of the events, as rows.
//!
//! Identities that hold in every row: gross = net + the removed; the sum of `exactly` is 1+; N+ does not grow with N; the sum over all N of N+ is
//! the identified impressions; cumulative reach does not fall.

mod adjustment;
mod asked;
mod beside;
mod book;
mod campaigns;
mod cells;
mod closed;
mod closing;
mod columns;
mod creatives;
mod days;
mod delivery;
mod facts;
mod ids;
mod keys;
mod overlap;
mod plan;
mod privacy;
mod reach;
mod regions;
mod reported;
mod request;
mod rows;
mod sample;
mod universe;
mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::clock::Clock;
use serde_json::json;

use self::asked::seen;
use self::cells::{Histogram, key_text};
use self::days::Days;
use self::rows::{Report, Rows, Versions};
use crate::closings::{ClosingError, Closings};
use crate::form::Names;
use crate::numbers::{Numbers, NumbersError};
use crate::rules::Rules;
use crate::store::{Store, StoreError, day_text};

pub(crate) use beside::Beside;
pub(crate) use book::Asked as BookAsked;
pub(crate) use closed::moment;
pub(crate) use closing::{CloseError, Wanted};
pub(crate) use days::local_day;
pub(crate) use facts::Kept;
pub(crate) use privacy::{Limits, Shaped};
pub(crate) use request::{By, Filter, Kind, Refused, Request, day};
pub(crate) use sample::Sampling;

/// The key of the row of all that have none of their own. No id of a placement holds parentheses; a creative that is called so is among the others.
const OTHERS: &str = "(others)";
/// How often a report is computed at most, if events or pairs came in between its statements, so that its figures would not add up.
const TRIES_MAX: u32 = 3;
/// A report that took longer is not computed again: figures of events that keep coming would never stand still for so long.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(20);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// Caller: no such campaign, neither in the catalog nor in the store.
    #[error("no campaign of that id is known")]
    UnknownCampaign,
    /// Caller: the devices of some of the days are no longer kept, so that nothing can be said of them.
    #[error(
        "devices are kept until the events of their day expire, and some of these days have none any more: ask from {first} on; \
         delivery shows older days"
    )]
    DevicesExpired {
        /// The first day behind them.
        first: String,
    },
    /// Caller: understood, and not to be had of this campaign.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nobody's: some of the members that a closing holds have no part in the campaign any more.
    #[error("the campaign does not have all of these members any more")]
    OtherMembers,
    /// Us or the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Media's own numbers.
    #[error(transparent)]
    Numbers(#[from] NumbersError),
    /// Closed periods.
    #[error(transparent)]
    Closings(#[from] ClosingError),
    /// Caller: a version of a closing that there is not.
    #[error(
        "no closing of exactly these days has this version: GET /v1/campaigns/{{campaign}}/closings lists them"
    )]
    NotClosed,
}

/// Answers reports.
pub(crate) struct Reporter {
    pub(crate) store: Arc<Store>,
    pub(crate) catalog: catalog::Shared,
    pub(crate) rules: Arc<Rules>,
    pub(crate) clock: Clock,
    pub(crate) retention_ms: i64,
    /// What is shown of a report to whom it is not shown exactly.
    pub(crate) limits: Limits,
    /// Media's own numbers.
    pub(crate) numbers: Numbers,
    /// When devices are estimated from a sample.
    pub(crate) sampling: Sampling,
    /// Hits that one statement judges at once.
    pub(crate) portion_hits: u64,
    /// What campaigns have on days that stand still.
    pub(crate) facts: Kept,
    /// Closed periods.
    pub(crate) closings: Closings,
    /// What stands beside them.
    pub(crate) beside: Beside,
}

impl Reporter {
    /// Computes a report, and makes of it what whoever asks may see. Blocks for as long as the store needs.
    ///
    /// # Errors
    /// An unknown campaign, or the store's.
    pub(crate) fn report(&self, request: &Request) -> Result<Shaped, ReportError> {
        let shaped = match self.closed(request)? {
            Some(closed) => closed,
            None => privacy::shape(self.present(request)?, self.limits),
        };
        Ok(match request.language.filter(|_| request.form.is_of_sheets()) {
            Some(language) => shaped.in_words(language, self.names(request)),
            None => shaped,
        })
    }

    /// What rows are called, where they are keyed by ids: by the catalog, as far as whoever asks sees it.
    fn names(&self, request: &Request) -> Names {
        let catalog = self.catalog.load();
        let Some(campaign) = catalog.campaigns.get(&request.campaign) else { return Names::default() };
        match request.by {
            By::Placement => {
                let seen = campaign.placements.values().filter(|placement| request.sight.sees(placement));
                let of = |placement: &Arc<catalog::Placement>| {
                    (placement.id.clone(), vec![placement.name.clone(), placement.medium.clone()])
                };
                Names { columns: &["name", "medium"], of: seen.map(of).collect() }
            }
            By::Creative if !campaign.creatives.is_empty() => {
                let named = campaign.creatives.iter();
                let of = named.map(|creative| (creative.id.clone(), vec![creative.name.clone()]));
                Names { columns: &["name"], of: of.collect() }
            }
            _ => Names::default(),
        }
    }

    /// A report by what is stored now.
    fn present(&self, request: &Request) -> Result<Report, ReportError> {
        let mut tries = 0;
        loop {
            let started = Instant::now();
            let mut days = self.days(request)?;
            if request.counts_devices() {
                days.keys = self.keys(&days)?;
                days.sample = self.sample(request, &days);
            }
            let report = self.report_of(request, &days)?;
            tries += 1;
            // The settled figures that a report reads stay as they are; events and pairs do not.
            let from_events = if request.is_settled() { &days.live } else { &days.with_events };
            let is_last = tries == TRIES_MAX || started.elapsed() > TRY_AGAIN_MAX;
            if is_last
                || (self.stood_still(&days.marks, from_events)? && self.pairs_stood_still(&days.keys)?)
            {
                return Ok(report);
            }
        }
    }

    fn report_of(&self, request: &Request, days: &Days) -> Result<Report, ReportError> {
        let mut behind = reported::Behind::default();
        // Asked first: a refusal costs nothing.
        let universe = if request.kind == Kind::Reach { Some(json!(self.universe(request)?)) } else { None };
        let mut masks = None;
        let rows = match request.kind {
            Kind::Delivery => Rows::Delivery(self.delivery(request, days, &mut behind)?),
            Kind::Reach => Rows::Reach(self.reach(request, days)?),
            Kind::Frequency => Rows::Frequency(self.frequency(request, days)?),
            Kind::Ids => Rows::Ids(self.ids(request, days)?),
            Kind::Overlap => {
                let settled_until = days.settled_until.map(day_text);
                let rows =
                    masks.insert(self.overlap(request, days)?).rows(days.sample, settled_until.as_deref());
                Rows::Overlap(rows)
            }
        };
        Ok(Report {
            campaign: request.campaign.clone(),
            kind: request.kind.name(),
            from: days.from.map(day_text),
            to: days.to.map(day_text),
            time_zone: self.time_zone(&request.campaign).name().to_owned(),
            by: request.by.name(),
            filter: request.filter.name(),
            settled_until: days.settled_until.map(day_text),
            provisional_days: days.provisional.iter().copied().map(day_text).collect(),
            key_changes: if request.kind.is_of_devices() { days.keys.changes.clone() } else { Vec::new() },
            identified_impressions: rows.identified_impressions(),
            share: request.kind.is_of_devices().then(|| json!(days.sample.share())),
            universe,
            universes: self.universes(request).iter().map(|universe| json!(universe)).collect(),
            region_libraries: match request.by {
                By::Region => Some(self.region_libraries(&request.campaign, days)?),
                _ => None,
            },
            versions: self.versions(),
            closed: closed::ClosedBy::Nothing,
            adjustment: None,
            levels: request.levels,
            sample: days.sample,
            masks,
            devices: self.devices_behind(request, days)?,
            compared: behind,
            sight: request.sight.clone(),
            rows,
        })
    }

    /// Devices of each row of a report that does not count them and is to be shaped.
    fn devices_behind(&self, request: &Request, days: &Days) -> Result<BTreeMap<String, u64>, StoreError> {
        let filter = match request.kind {
            Kind::Reach | Kind::Frequency | Kind::Overlap => return Ok(BTreeMap::new()),
            _ if request.sight.is_exact() => return Ok(BTreeMap::new()),
            // Net is what stands in each row, in either filter.
            Kind::Delivery => Filter::Net,
            Kind::Ids => request.filter,
        };
        let histograms = self.histograms(&Request { filter, ..request.clone() }, days)?;
        let devices = |histogram: &Histogram| histogram.n_plus(1).first().copied().unwrap_or(0);
        Ok(histograms
            .into_iter()
            .map(|(key, histogram)| (key_text(request.by, key), devices(&histogram)))
            .collect())
    }

    fn versions(&self) -> Versions {
        Versions {
            program: env!("CARGO_PKG_VERSION").into(),
            catalog: format!("{:08x}", self.catalog.load().version),
            rules: format!("{:016x}", self.rules.version),
        }
    }
}
