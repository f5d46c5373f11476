//! The figures that alerts are judged by: those of the reports, as they stand, computed once for a look and shown to nobody.

use std::collections::BTreeMap;

use catalog::Campaign;
use event::clock::UnixMs;
use serde::Deserialize;

use super::rows::Rows;
use super::{Kind, ReportError, Reporter, Request};
use crate::alerts::judge::{Recent, Watched, first_planned, silent_hours};
use crate::statement;
use crate::store::{StoreError, Value, Work, day_text};
use crate::view::View;

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
            if let Rows::Delivery(rows) = self.rows_of(Kind::Delivery, campaign, (Some(first), LAST))? {
                watched.delivered = rows.into_iter().map(|row| (row.key, row.net_impressions)).collect();
            }
            let from = campaign
                .local_time(now_ms - i64::from(silent_hours(campaign)) * HOUR_MS)
                .day
                .saturating_sub(1);
            watched.looked_from_ms = campaign.day_start_ms(from).unwrap_or(0);
            watched.last_hit_ms = self.last_hits(campaign, from)?;
        }
        // What media say of today is not all of today.
        if !self.numbers.media(&campaign.id)?.is_empty()
            && let Rows::Delivery(rows) = self.rows_of(Kind::Delivery, campaign, (None, yesterday))?
        {
            watched.gaps = rows.into_iter().filter_map(|row| Some((row.key, row.gap?))).collect();
        }
        if let Rows::Reach(rows) = self.rows_of(Kind::Reach, campaign, (Some(yesterday), LAST))? {
            let recent = |impressions, identified, devices| Recent { impressions, identified, devices };
            watched.recent = rows
                .into_iter()
                .map(|row| (row.key, recent(row.impressions, row.identified_impressions, row.reach)))
                .collect();
        }
        let request = self.request(Kind::Delivery, campaign, (Some(yesterday), LAST))?;
        let days = self.days(&request)?;
        watched.unresolved = self.unresolved(&request, &days)?.iter().map(|(_, hits)| hits).sum();
        Ok(watched)
    }

    fn request(
        &self,
        kind: Kind,
        campaign: &Campaign,
        (from, to): (Option<u16>, u16),
    ) -> Result<Request, ReportError> {
        let sight =
            View::Auditor.of(&self.catalog.load(), &campaign.id).ok_or(ReportError::UnknownCampaign)?;
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let mut query = vec![pair("by", "placement".to_owned()), pair("to", day_text(to))];
        query.extend(from.map(|from| pair("from", day_text(from))));
        Request::parse(kind, (&campaign.id, sight), &query).map_err(|_| ReportError::UnknownCampaign)
    }

    fn rows_of(
        &self,
        kind: Kind,
        campaign: &Campaign,
        range: (Option<u16>, u16),
    ) -> Result<Rows, ReportError> {
        let request = self.request(kind, campaign, range)?;
        let mut days = self.days(&request)?;
        if request.counts_devices() {
            days.keys = self.keys(&request, &days)?;
            days.sample = self.sample(&request, &days)?;
        }
        Ok(self.report_of(&request, &days)?.rows)
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
