//! The figures that alerts are judged by: those of the reports, as they stand, computed once for a look and shown to nobody.

use std::collections::BTreeMap;

use catalog::Campaign;
use event::clock::UnixMs;
use serde::Deserialize;

use super::privacy::behind_gap;
use super::rows::{DeliveryRow, Rows};
use super::sample::Sample;
use super::{Kind, ReportError, Reporter, Request};
use crate::alerts::judge::{Recent, Watched, first_planned, gap_max, silent_hours};
use crate::statement;
use crate::store::{StoreError, Value, Work, day_text};
use crate::view::{Sight, View};

/// The last day that a report can name.
const LAST: u16 = u16::MAX - 1;
const HOUR_MS: i64 = 60 * 60 * 1000;

impl Reporter {
    /// What alerts are judged by. Events that come in between its statements are in some of the figures only; the next look has them in all.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn watched(&self, campaign: &Campaign, now_ms: UnixMs) -> Result<Watched, ReportError> {
        let mut watched = Watched::default();
        let yesterday = campaign.local_time(now_ms).day.saturating_sub(1);
        if let Some(first) = first_planned(campaign, now_ms) {
            let rows = self.delivered(&self.request(Kind::Delivery, campaign, (first, LAST))?)?;
            let any = rows.iter().filter(|row| row.gross_impressions > 0 || row.gross_clicks > 0);
            watched.started = any.map(|row| row.key.clone()).collect();
            watched.delivered = rows.into_iter().map(|row| (row.key, row.net_impressions)).collect();
            let from = campaign
                .local_time(now_ms - i64::from(silent_hours(campaign)) * HOUR_MS)
                .day
                .saturating_sub(1);
            watched.looked_from_ms = campaign.day_start_ms(from).unwrap_or(0);
            watched.last_hit_ms = self.last_hits(campaign, from)?;
        }
        // What media say of today is not all of today. What they say of days before our first hit is a gap like any other.
        if !self.numbers.media(&campaign.id)?.is_empty() {
            let request = self.request(Kind::Delivery, campaign, (0, yesterday))?;
            // The alert asks something of the medium that has the placement, and only its own word can be held against it.
            let rows = self.delivered(&Request { is_present_word: true, ..request })?;
            watched.gaps = rows.into_iter().filter_map(|row| gap(&row).map(|gap| (row.key, gap))).collect();
            watched.behind_gaps = self.behind_gaps(campaign, yesterday, &watched.gaps)?;
        }
        let recent = self.delivered(&self.request(Kind::Delivery, campaign, (yesterday, LAST))?)?;
        watched.unresolved = recent.iter().filter_map(|row| row.unresolved).sum();
        // Counted in hits: those of a sample's devices would be an estimate, which may lie on the wrong side of the limit.
        if campaign.alerts.id_coverage_min.is_some() {
            let devices = self.devices(campaign, (yesterday, LAST))?;
            let of_row = |row: DeliveryRow| {
                let devices = devices.get(&row.key).copied().unwrap_or(0);
                let (impressions, identified) = (row.impressions, row.identified_impressions);
                (row.key, Recent { impressions, identified, devices })
            };
            watched.recent = recent.into_iter().map(of_row).collect();
        }
        Ok(watched)
    }

    /// What was delivered by placement.
    fn delivered(&self, request: &Request) -> Result<Vec<DeliveryRow>, ReportError> {
        let days = self.days(request)?;
        match self.report_of(request, &days)?.rows {
            Rows::Delivery(rows) => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }

    /// Fewest that stand behind each gap that is too large. Those of placements alone that have one are computed.
    fn behind_gaps(
        &self,
        campaign: &Campaign,
        yesterday: u16,
        gaps: &BTreeMap<String, f64>,
    ) -> Result<BTreeMap<String, u64>, ReportError> {
        let is_far = |(_, gap): &(&String, &f64)| gap.abs() > gap_max(campaign);
        let far: Vec<String> = gaps.iter().filter(is_far).map(|(placement, _)| placement.clone()).collect();
        if far.is_empty() {
            return Ok(BTreeMap::new());
        }
        let of_devices = self.request(Kind::Reach, campaign, (0, yesterday))?;
        let mut days = match self.days(&of_devices) {
            // How many they were nobody can say any more.
            Err(ReportError::DevicesExpired { .. }) => return Ok(BTreeMap::new()),
            days => days?,
        };
        days.keys = self.keys(&days)?;
        days.sample = self.sample(&of_devices, &days);
        let request = Request { kind: Kind::Delivery, sight: Sight::of_placements(far), ..of_devices };
        let report = self.report_of(&request, &days)?;
        let Rows::Delivery(rows) = &report.rows else { return Ok(BTreeMap::new()) };
        let behind = |row: &DeliveryRow| {
            let devices = report.devices.get(&row.key).copied().unwrap_or(0);
            let fewest = behind_gap(row, devices, report.compared.of(&row.key));
            // As a report is shaped: of an estimate, k that were counted.
            fewest.map_or(self.limits.k(), |fewest| self.counted(fewest, days.sample))
        };
        // Without a gap is what is said by whose placement it was before.
        let rows = rows.iter().filter(|row| gap(row).is_some());
        Ok(rows.map(|row| (row.key.clone(), behind(row))).collect())
    }

    /// How many devices an estimate was counted from, no more than k.
    fn counted(&self, estimate: u64, sample: Sample) -> u64 {
        (estimate / sample.weight()).min(self.limits.k())
    }

    /// How many devices of each placement were counted, from a sample where there are many; no more than k.
    fn devices(&self, campaign: &Campaign, range: (u16, u16)) -> Result<BTreeMap<String, u64>, ReportError> {
        let request = self.request(Kind::Reach, campaign, range)?;
        let mut days = self.days(&request)?;
        days.keys = self.keys(&days)?;
        days.sample = self.sample(&request, &days);
        match self.report_of(&request, &days)?.rows {
            Rows::Reach(rows) => {
                Ok(rows.into_iter().map(|row| (row.key, self.counted(row.reach, days.sample))).collect())
            }
            _ => Ok(BTreeMap::new()),
        }
    }

    fn request(
        &self,
        kind: Kind,
        campaign: &Campaign,
        (from, to): (u16, u16),
    ) -> Result<Request, ReportError> {
        let sight =
            View::Auditor.of(&self.catalog.load(), &campaign.id).ok_or(ReportError::UnknownCampaign)?;
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let query =
            [pair("by", "placement".to_owned()), pair("from", day_text(from)), pair("to", day_text(to))];
        Request::parse(kind, (&campaign.id, sight), &query).map_err(|_| ReportError::UnknownCampaign)
    }

    /// When the newest hit of each placement came, on the days from one on.
    fn last_hits(&self, campaign: &Campaign, from: u16) -> Result<BTreeMap<String, UnixMs>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            placement: String,
            last_ms: i64,
        }
        let values =
            vec![("campaign", Value::Text(campaign.id.clone())), ("from", Value::Text(day_text(from)))];
        let rows: Vec<Row> = self.store.rows(Work::Report, statement::LAST_HITS, &values)?;
        Ok(rows.into_iter().map(|row| (row.placement, row.last_ms)).collect())
    }
}

/// The gap of a row. Of a reported 0 there is no share, and a medium that denies what we counted is as far off as one that reports what we never saw.
fn gap(row: &DeliveryRow) -> Option<f64> {
    let is_denied =
        row.reported_impressions == Some(0) && row.compared_impressions.is_some_and(|ours| ours > 0);
    row.gap.or_else(|| is_denied.then_some(1.0))
}
