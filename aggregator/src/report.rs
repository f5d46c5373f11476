//! Reports: what is asked of the settled figures and of the events, as rows.
//!
//! Owns which days are answered from settled figures and which from events: a day that was settled after its end from its published generation,
//! even if it changed since (it is named as provisional until it is settled again), but days that were never settled or that changed after they
//! were settled before their end from their events, by the same SQL that settles them. Today is provisional, settled or not. Reach by creative,
//! region, platform or hour comes from events for all days.
//!
//! Identities that hold in every row: gross = net + the removed; the sum of `exactly` is 1+; N+ does not grow with N; the sum over all N of N+ is
//! the identified impressions; cumulative reach does not fall.

mod adjustment;
mod campaigns;
mod cells;
mod closed;
mod columns;
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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::clock::{Clock, UnixMs};
use event::stage::Stage;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use self::cells::{CellRow, Histogram, add_cell, finish_delivery, key_text};
use self::keys::Keys;
use self::rows::{DeliveryRow, Report, Rows, Versions};
use self::sample::Sample;
use crate::adopt::UNRESOLVED_MS;
use crate::batch::BUCKETS;
use crate::changed::{self, DayMarks};
use crate::closings::{ClosingError, Closings};
use crate::judge::{self, Aside, Question};
use crate::numbers::{Numbers, NumbersError};
use crate::rules::Rules;
use crate::settle::{self, DirtyDay, PORTION_HITS, Published};
use crate::statement::{self, Statement};
use crate::store::{Store, StoreError, Value, Values, Work, day_text};
use crate::view::Sight;

pub(crate) use closed::{CloseError, Wanted, moment};
pub(crate) use privacy::{Limits, Shaped};
pub(crate) use request::{By, Filter, Kind, Refused, Request, day};
pub(crate) use sample::Sampling;

/// Frequencies told apart when counting; above, devices stand in one last class.
const FREQUENCY_MAX: u64 = 10_000;
/// How often a report is computed at most, if events or pairs came in between its statements, so that its figures would not add up.
const TRIES_MAX: u32 = 3;
/// A report that took longer is not computed again: figures of events that keep coming would never stand still for so long.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(20);
/// Unresolved placements with a row each; the others share one.
const UNRESOLVED_ROWS_MAX: u64 = 1000;
/// The key of that row: no id of a catalog, for those hold no parentheses.
const OTHERS: &str = "(others)";

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
    /// Closed periods.
    pub(crate) closings: Closings,
}

/// The days of a report and where each is answered from.
#[derive(Default)]
struct Days {
    from: Option<u16>,
    to: Option<u16>,
    /// From events.
    live: Vec<u16>,
    /// From settled figures, with the generation.
    published: Vec<(u16, u64)>,
    /// All that have events.
    with_events: Vec<u16>,
    /// Events on the days of `live`.
    live_hits: u64,
    provisional: Vec<u16>,
    settled_until: Option<u16>,
    /// Whether these are all days of the campaign that are offered.
    is_whole: bool,
    /// Of a report of devices.
    keys: Keys,
    /// Of a report of devices: which of them are counted.
    sample: Sample,
}

/// How days stand.
struct DayStates {
    /// Changed since they were settled.
    dirty: BTreeSet<u16>,
    /// The figures in force.
    published: BTreeMap<u16, Published>,
    /// On the campaign's clock.
    today: u16,
}

#[derive(Deserialize)]
struct DayEvents {
    day: u16,
    events: u64,
}

impl Reporter {
    /// Computes a report, and makes of it what whoever asks may see. Blocks for as long as the store needs.
    ///
    /// # Errors
    /// An unknown campaign, or the store's.
    pub(crate) fn report(&self, request: &Request) -> Result<Shaped, ReportError> {
        match self.closed(request)? {
            Some(closed) => Ok(closed),
            None => Ok(privacy::shape(self.present(request)?, self.limits)),
        }
    }

    /// A report by what is stored now.
    fn present(&self, request: &Request) -> Result<Report, ReportError> {
        let mut tries = 0;
        loop {
            let (started, before) = (Instant::now(), changed::now(&self.store, Work::Report)?);
            let mut days = self.days(request)?;
            if request.counts_devices() {
                days.keys = self.keys(request, &days)?;
                days.sample = self.sample(request, &days)?;
            }
            let report = self.report_of(request, &days)?;
            tries += 1;
            // The settled figures that a report reads stay as they are; events and pairs do not.
            let from_events = if request.is_settled() { &days.live } else { &days.with_events };
            let is_last = tries == TRIES_MAX || started.elapsed() > TRY_AGAIN_MAX;
            if is_last || (self.stood_still(&before, from_events)? && self.pairs_stood_still(&days.keys)?) {
                return Ok(report);
            }
        }
    }

    /// Whether no event came into days, nor beside them, since the marks were looked at.
    fn stood_still(&self, before: &[DayMarks], days: &[u16]) -> Result<bool, StoreError> {
        if days.is_empty() {
            return Ok(true);
        }
        let around = judge::around(days);
        let of_report = |marks: &&DayMarks| around.binary_search(&marks.day).is_ok();
        let now = changed::now(&self.store, Work::Report)?;
        let is_still = now.iter().filter(of_report).eq(before.iter().filter(of_report));
        Ok(is_still && now.iter().filter(of_report).all(|marks| marks.open == 0))
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

    fn time_zone(&self, campaign: &str) -> chrono_tz::Tz {
        self.catalog.load().campaigns.get(campaign).map_or(chrono_tz::UTC, |campaign| campaign.time_zone)
    }

    fn today(&self, campaign: &str) -> u16 {
        local_day(self.clock.now_ms(), self.catalog.load().campaigns.get(campaign).map(Arc::as_ref))
    }

    fn days(&self, request: &Request) -> Result<Days, ReportError> {
        let mut values = vec![("campaign", Value::Text(request.campaign.clone()))];
        values.extend(seen(&request.sight));
        let mut with_data: Vec<DayEvents> =
            self.store.rows(Work::Report, statement::CAMPAIGN_DAYS, &values)?;
        if with_data.is_empty() && !self.catalog.load().campaigns.contains_key(&request.campaign) {
            return Err(ReportError::UnknownCampaign);
        }
        let gone = if request.counts_devices() {
            settle::expired(&self.store, Work::Report)?
        } else {
            BTreeSet::new()
        };
        let now = self.standing(&request.campaign)?;
        if !request.sight.is_exact() {
            let first = request.from.unwrap_or(0);
            let is_offered = |day: &&DayEvents| day.day < first || self.is_offered(request, &now, day.day);
            let offered = with_data.iter().take_while(is_offered).count();
            with_data.truncate(offered);
        }
        // Unless asked otherwise, a report begins behind the last day without devices.
        let is_kept = |day: &&DayEvents| gone.last().is_none_or(|gone| day.day > *gone);
        let from = request.from.or_else(|| with_data.iter().find(is_kept).map(|day| day.day));
        let last = with_data.last().map(|day| day.day);
        let to = if request.sight.is_exact() { request.to.or(last) } else { last.min(request.to).or(last) };
        // Nothing of what was asked for is offered yet.
        let to = to.filter(|to| request.sight.is_exact() || from.is_none_or(|from| from <= *to));
        let inside = |day: u16| from.is_some_and(|from| from <= day) && to.is_some_and(|to| day <= to);
        if with_data.iter().any(|day| inside(day.day) && gone.contains(&day.day)) {
            let first = gone.last().map_or(0, |day| day.saturating_add(1));
            return Err(ReportError::DevicesExpired { first: day_text(first) });
        }
        let mut days =
            Days { from, to, is_whole: with_data.iter().all(|day| inside(day.day)), ..Days::default() };
        for day in with_data.iter().filter(|day| inside(day.day)) {
            if day.events > 0 {
                days.with_events.push(day.day);
            }
            let is_dirty = now.dirty.contains(&day.day);
            match now.published.get(&day.day) {
                Some(published)
                    if !is_dirty || day.events == 0 || self.is_of_whole_day(&request.campaign, published) =>
                {
                    days.published.push((day.day, published.generation));
                }
                _ => {
                    days.live.push(day.day);
                    days.live_hits += day.events;
                }
            }
            if is_dirty || day.day >= now.today || !now.published.contains_key(&day.day) {
                days.provisional.push(day.day);
            }
        }
        if let (Some(from), Some(to)) = (from, to) {
            let settled = |day: &u16| {
                *day < now.today
                    && !now.dirty.contains(day)
                    && (now.published.contains_key(day) || !days.with_events.contains(day))
            };
            days.settled_until = (from..=to).take_while(settled).last();
        }
        Ok(days)
    }

    /// Which days are settled, and which of them changed since.
    fn standing(&self, campaign: &str) -> Result<DayStates, StoreError> {
        // In this order: a day that is settled in between is named as provisional once more, instead of old figures as settled ones.
        let dirty: Vec<DirtyDay> = self.store.rows(Work::Report, statement::DIRTY_DAYS, &Vec::new())?;
        let published: Vec<Published> = self.store.rows(Work::Report, statement::PUBLISHED, &Vec::new())?;
        let now_ms = self.clock.now_ms();
        let dirty = dirty.iter().filter(|day| !day.is_frozen(self.retention_ms, now_ms));
        Ok(DayStates {
            dirty: dirty.map(|day| day.day).collect(),
            published: published.into_iter().map(|published| (published.day, published)).collect(),
            today: self.today(campaign),
        })
    }

    /// Whether a day is offered to whom figures are not shown exactly: whole, and settled after its end or with nothing that came since; the latter
    /// where events are counted. What is behind the first other day of a report is offered once that one is.
    fn is_offered(&self, request: &Request, now: &DayStates, day: u16) -> bool {
        let Some(published) = now.published.get(&day) else { return false };
        let is_whole = request.is_settled() && self.is_of_whole_day(&request.campaign, published);
        day < now.today && (is_whole || !now.dirty.contains(&day))
    }

    /// Whether figures were made when their day was over on the campaign's clock.
    fn is_of_whole_day(&self, campaign: &str, published: &Published) -> bool {
        let catalog = self.catalog.load();
        let next = published.day.saturating_add(1);
        let end_ms = match catalog.campaigns.get(campaign) {
            Some(campaign) => campaign.day_start_ms(next).unwrap_or(i64::MAX),
            None => i64::from(next) * 24 * 60 * 60 * 1000,
        };
        published.as_of_ms >= end_ms
    }

    /// Values of the statements that read settled figures and events side by side.
    fn values(
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
            campaign.placements.values().map(|p| (p.id.clone(), p.medium.clone())).collect::<BTreeMap<_, _>>()
        });
        let (ids, media) = placements.unwrap_or_default().into_iter().unzip();
        values.extend([
            judge::buckets(0, BUCKETS),
            ("published", Value::Generations(days.published.clone())),
            ("overlaps", Value::Days(days.keys.overlaps.clone())),
            ("placements", Value::Texts(ids)),
            ("media", Value::Texts(media)),
            ("by", Value::Text(request.by.name().to_owned())),
            ("net", Value::Number(u64::from(request.filter == Filter::Net))),
            ("frequency_max", Value::Number(FREQUENCY_MAX)),
        ]);
        values.extend(seen(&request.sight));
        values.extend(sample::values(days.sample, !days.keys.overlaps.is_empty()));
        Ok(values)
    }

    /// Rows of figures; `live` are the days that have to be computed from events.
    fn figures<Row: DeserializeOwned>(
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

    fn delivery(
        &self,
        request: &Request,
        days: &Days,
        behind: &mut reported::Behind,
    ) -> Result<Vec<DeliveryRow>, ReportError> {
        let mut rows: BTreeMap<String, DeliveryRow> = BTreeMap::new();
        if request.by == By::Total {
            rows.entry(String::new()).or_default();
        }
        let cells: Vec<CellRow> = self.cells(statement::REPORT_DELIVERY, request, days, &Stage::ALL)?;
        for cell in &cells {
            add_cell(rows.entry(cell.key.clone()).or_default(), cell, request.filter);
        }
        // Nobody's placement is in nobody's sight but the operator's.
        if matches!(request.by, By::Total | By::Placement) && request.sight.is_exact() {
            for (placement, hits) in self.unresolved(request, days)? {
                let key = if request.by == By::Total { String::new() } else { placement };
                *rows.entry(key).or_default().unresolved.get_or_insert(0) += hits;
            }
            for row in rows.values_mut() {
                row.unresolved.get_or_insert(0);
            }
        }
        *behind = self.compare(request, days, &mut rows)?;
        self.add_plan(request, days, &mut rows);
        let finish = |(key, mut row): (String, DeliveryRow)| {
            row.key = key_text(request.by, key);
            finish_delivery(&mut row);
            row.settled_until = days.settled_until.map(day_text);
            row
        };
        Ok(rows.into_iter().map(finish).collect())
    }

    /// Counts by key and class; a key and class may come more than once.
    fn cells<Row: DeserializeOwned>(
        &self,
        statement: Statement,
        request: &Request,
        days: &Days,
        stages: &[Stage],
    ) -> Result<Vec<Row>, StoreError> {
        let mut values = self.values(request, days, &days.live, stages)?;
        // In portions, so that memory does not grow with the events.
        let portion = (PORTION_HITS * BUCKETS / days.live_hits.max(1)).clamp(1, BUCKETS);
        let mut cells = Vec::new();
        let mut first = 0;
        while first < BUCKETS {
            set(&mut values, judge::buckets(first, portion));
            cells.extend(self.figures(statement, &days.live, &values)?);
            if days.live.is_empty() {
                break;
            }
            // The settled figures are in the first portion's answer.
            set(&mut values, ("published", Value::Generations(Vec::new())));
            first += portion;
        }
        Ok(cells)
    }

    fn unresolved(&self, request: &Request, days: &Days) -> Result<Vec<(String, u64)>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            placement: String,
            is_rest: u8,
            hits: u64,
        }
        // Without a range of its own the report takes in unresolved hits of any day.
        let values = vec![
            ("campaign", Value::Text(request.campaign.clone())),
            ("zone", Value::Text(self.time_zone(&request.campaign).name().to_owned())),
            ("from", Value::Text(day_text(request.from.and(days.from).unwrap_or(0)))),
            ("to", Value::Text(day_text(request.to.and(days.to).unwrap_or(u16::MAX)))),
            ("since_ms", Value::Signed(self.clock.now_ms() - UNRESOLVED_MS)),
            ("rows", Value::Number(if request.by == By::Total { 0 } else { UNRESOLVED_ROWS_MAX })),
        ];
        let rows: Vec<Row> = self.store.rows(Work::Report, statement::REPORT_UNRESOLVED, &values)?;
        let key = |row: Row| if row.is_rest == 1 { OTHERS.to_owned() } else { row.placement };
        Ok(rows.into_iter().map(|row| (row.hits, key(row))).map(|(hits, key)| (key, hits)).collect())
    }
}

/// The values of `seen.sql`.
fn seen(sight: &Sight) -> Values {
    let only = sight.only().unwrap_or_default().to_vec();
    vec![("limited", Value::Number(u64::from(sight.only().is_some()))), ("only", Value::Texts(only))]
}

/// Gives a bound value another value.
fn set(values: &mut Values, (name, value): (&'static str, Value)) {
    values.retain(|(old, _)| *old != name);
    values.push((name, value));
}

/// The day of a moment on a campaign's clock, or in UTC without one.
pub(crate) fn local_day(at: UnixMs, campaign: Option<&catalog::Campaign>) -> u16 {
    match campaign {
        Some(campaign) => campaign.local_time(at).day,
        None => u16::try_from(at.div_euclid(24 * 60 * 60 * 1000)).unwrap_or(0),
    }
}
