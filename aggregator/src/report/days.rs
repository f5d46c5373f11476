//! The days of a report: which there are, where each is answered from, and how it stands.
//!
//! Owns which days are answered from settled figures and which from events: a day that was settled after its end from its published generation,
//! even if it changed since (it is named as provisional until it is settled again), but days that were never settled or that changed after they
//! were settled before their end from their events, by the same SQL that settles them. Today is provisional, settled or not. Reach by creative,
//! region, platform or hour comes from events for all days.
//!
//! Must never say of a day that it is settled which changed since, or is not over on the campaign's clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use event::clock::UnixMs;
use serde::Deserialize;

use super::facts::Facts;
use super::keys::Keys;
use super::request::Request;
use super::sample::Sample;
use super::{ReportError, Reporter};
use crate::changed::{self, DayMarks};
use crate::judge;
use crate::settle::{DirtyDay, Published};
use crate::statement;
use crate::store::{StoreError, Work, day_text};

/// The days of a report and where each is answered from.
#[derive(Default)]
pub(super) struct Days {
    pub(super) from: Option<u16>,
    pub(super) to: Option<u16>,
    /// From events.
    pub(super) live: Vec<u16>,
    /// From settled figures, with the generation.
    pub(super) published: Vec<(u16, u64)>,
    /// All that have events.
    pub(super) with_events: Vec<u16>,
    /// Events on the days of `live`.
    pub(super) live_hits: u64,
    pub(super) provisional: Vec<u16>,
    pub(super) settled_until: Option<u16>,
    /// Whether these are all days of the campaign that are offered.
    pub(super) is_whole: bool,
    /// Of a report by creative: the numbers of those with a row of their own, once they are known.
    pub(super) creatives: OnceLock<Vec<u64>>,
    /// Settled device days on them; of a report that counts devices.
    pub(super) settled_devices: u64,
    /// Keys of the devices that the campaign reached on them, with the first day of each.
    pub(super) epochs: BTreeMap<u16, u16>,
    /// The marks of all days, before anything else was looked at.
    pub(super) marks: Vec<DayMarks>,
    /// Of a report of devices.
    pub(super) keys: Keys,
    /// Of a report of devices: which of them are counted.
    pub(super) sample: Sample,
}

/// How days stand.
pub(super) struct DayStates {
    /// Changed since they were settled.
    pub(super) dirty: BTreeSet<u16>,
    /// The figures in force.
    pub(super) published: BTreeMap<u16, Published>,
    /// All that anything is known of.
    pub(super) days: Vec<u16>,
    /// Those whose figures in force are up to date: their generation, and how many events are stored.
    pub(super) up_to_date: BTreeMap<u16, (u64, u64)>,
    /// Those whose devices are no longer kept.
    pub(super) gone: BTreeSet<u16>,
    pub(super) marks: Vec<DayMarks>,
    /// On the campaign's clock.
    pub(super) today: u16,
}

/// How one day stands, as the store answers it.
#[derive(Deserialize)]
struct Standing {
    #[serde(flatten)]
    day: DirtyDay,
    is_marked: u8,
    /// Marks that are open.
    open: u64,
    /// When its figures were made.
    as_of_ms: i64,
    /// Whether its devices are no longer kept.
    is_gone: u8,
}

impl Standing {
    fn marks(&self) -> Option<DayMarks> {
        (self.is_marked == 1).then_some(DayMarks {
            day: self.day.day,
            marks: self.day.marks,
            open: self.open,
        })
    }

    fn published(&self) -> Option<Published> {
        let Self { day, as_of_ms, .. } = self;
        (day.generation > 0).then_some(Published {
            day: day.day,
            generation: day.generation,
            as_of_ms: *as_of_ms,
        })
    }

    /// Whether it changed since its figures were made, or is changing.
    fn is_dirty(&self) -> bool {
        (self.open > 0 || self.day.moved == 1) && (self.day.generation > 0 || self.day.hits > 0)
    }
}

impl Reporter {
    pub(super) fn days(&self, request: &Request) -> Result<Days, ReportError> {
        let now = self.standing(&request.campaign)?;
        let mut with_data = self.facts(request, &now)?;
        if with_data.is_empty() && !self.catalog.load().campaigns.contains_key(&request.campaign) {
            return Err(ReportError::UnknownCampaign);
        }
        let gone = if request.counts_devices() { &now.gone } else { &BTreeSet::new() };
        if !request.sight.is_exact() {
            let first = request.from.unwrap_or(0);
            let is_offered = |day: &&Facts| day.day < first || self.is_offered(request, &now, day.day);
            let offered = with_data.iter().take_while(is_offered).count();
            with_data.truncate(offered);
        }
        // Unless asked otherwise, a report begins behind the last day without devices.
        let is_kept = |day: &&Facts| gone.last().is_none_or(|gone| day.day > *gone);
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
        let is_whole = with_data.iter().all(|day| inside(day.day));
        let mut days = Days { from, to, is_whole, ..Days::default() };
        for day in with_data.iter().filter(|day| inside(day.day)) {
            self.add_day(&mut days, request, &now, day);
        }
        if let (Some(from), Some(to)) = (from, to) {
            let settled = |day: &u16| {
                *day < now.today
                    && !now.dirty.contains(day)
                    && (now.published.contains_key(day) || !days.with_events.contains(day))
            };
            days.settled_until = (from..=to).take_while(settled).last();
        }
        days.marks = now.marks;
        Ok(days)
    }

    /// Takes in a day on which the campaign has something.
    fn add_day(&self, days: &mut Days, request: &Request, now: &DayStates, day: &Facts) {
        if day.events > 0 {
            days.with_events.push(day.day);
            for epoch in &day.epochs {
                // Days come in their order.
                days.epochs.entry(*epoch).or_insert(day.day);
            }
        }
        let is_dirty = now.dirty.contains(&day.day);
        match now.published.get(&day.day) {
            Some(published)
                if !is_dirty || day.events == 0 || self.is_of_whole_day(&request.campaign, published) =>
            {
                days.published.push((day.day, published.generation));
                days.settled_devices += day.device_days;
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

    /// Which days are settled, and which of them changed since.
    pub(super) fn standing(&self, campaign: &str) -> Result<DayStates, StoreError> {
        let days: Vec<Standing> = self.store.rows(Work::Report, statement::REPORT_STANDING, &Vec::new())?;
        let now_ms = self.clock.now_ms();
        let is_dirty = |one: &&Standing| one.is_dirty() && !one.day.is_frozen(self.retention_ms, now_ms);
        let is_up_to_date = |one: &&Standing| one.day.generation > 0 && one.open == 0 && one.day.moved == 0;
        let number = |one: &Standing| one.day.day;
        let of_day = |one: &Standing| (number(one), (one.day.generation, one.day.hits));
        Ok(DayStates {
            dirty: days.iter().filter(is_dirty).map(number).collect(),
            published: days.iter().filter_map(Standing::published).map(|one| (one.day, one)).collect(),
            days: days.iter().map(number).collect(),
            up_to_date: days.iter().filter(is_up_to_date).map(of_day).collect(),
            gone: days.iter().filter(|one| one.is_gone == 1).map(number).collect(),
            marks: days.iter().filter_map(Standing::marks).collect(),
            today: self.today(campaign),
        })
    }

    /// Whether a day is offered to whom figures are not shown exactly: whole, and settled after its end or with nothing that came since; the latter
    /// where events are counted. What is behind the first other day of a report is offered once that one is.
    pub(super) fn is_offered(&self, request: &Request, now: &DayStates, day: u16) -> bool {
        let Some(published) = now.published.get(&day) else { return false };
        let is_whole = request.is_settled() && self.is_of_whole_day(&request.campaign, published);
        day < now.today && (is_whole || !now.dirty.contains(&day))
    }

    /// Whether figures were made when their day was over on the campaign's clock.
    pub(super) fn is_of_whole_day(&self, campaign: &str, published: &Published) -> bool {
        let catalog = self.catalog.load();
        let next = published.day.saturating_add(1);
        let end_ms = match catalog.campaigns.get(campaign) {
            Some(campaign) => campaign.day_start_ms(next).unwrap_or(i64::MAX),
            None => i64::from(next) * 24 * 60 * 60 * 1000,
        };
        published.as_of_ms >= end_ms
    }

    /// Whether no event came into days, nor beside them, since the marks were looked at.
    pub(super) fn stood_still(&self, before: &[DayMarks], days: &[u16]) -> Result<bool, StoreError> {
        if days.is_empty() {
            return Ok(true);
        }
        let around = judge::around(days);
        let of_report = |marks: &&DayMarks| around.binary_search(&marks.day).is_ok();
        let now = changed::now(&self.store, Work::Report)?;
        let is_still = now.iter().filter(of_report).eq(before.iter().filter(of_report));
        Ok(is_still && now.iter().filter(of_report).all(|marks| marks.open == 0))
    }

    pub(super) fn time_zone(&self, campaign: &str) -> chrono_tz::Tz {
        self.catalog.load().campaigns.get(campaign).map_or(chrono_tz::UTC, |campaign| campaign.time_zone)
    }

    pub(super) fn today(&self, campaign: &str) -> u16 {
        local_day(self.clock.now_ms(), self.catalog.load().campaigns.get(campaign).map(Arc::as_ref))
    }
}

/// The day of a moment on a campaign's clock, or in UTC without one.
pub(crate) fn local_day(at: UnixMs, campaign: Option<&catalog::Campaign>) -> u16 {
    match campaign {
        Some(campaign) => campaign.local_time(at).day,
        None => u16::try_from(at.div_euclid(24 * 60 * 60 * 1000)).unwrap_or(0),
    }
}
