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

use super::keys::Keys;
use super::request::Request;
use super::sample::Sample;
use super::{ReportError, Reporter, seen};
use crate::changed::{self, DayMarks};
use crate::judge;
use crate::settle::{self, DirtyDay, Published};
use crate::statement;
use crate::store::{StoreError, Value, Work, day_text};

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
    /// On the campaign's clock.
    pub(super) today: u16,
}

#[derive(Deserialize)]
struct DayEvents {
    day: u16,
    events: u64,
}

impl Reporter {
    pub(super) fn days(&self, request: &Request) -> Result<Days, ReportError> {
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
    pub(super) fn standing(&self, campaign: &str) -> Result<DayStates, StoreError> {
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
