//! `GET /v1/alerts`: what is open at present, as far as whoever asks sees the campaign and placement.
//!
//! Who sees figures shaped is told that, since when and by which limit, but not by how much: the figure takes in today, and such tokens are offered
//! whole settled days. That ids are missing, and that a medium counts otherwise, is not told where fewer than k stand behind it: a medium chooses what it
//! says, and would find by trying what we counted. What is about a campaign as a whole is not told to who sees some of its placements.
//!
//! Must never: tell of a campaign or placement that is not seen.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::json;

use super::problem::Problem;
use super::{Answer, Api, bad, json_answer};
use crate::alerts::judge::Kind;
use crate::alerts::state::{self, Kept};
use crate::alerts::webhook::Shown;
use crate::view::{Sight, View};

/// Most alerts of an answer.
const ALERTS_MAX: usize = 1000;

impl Api {
    /// Blocks.
    pub(super) fn alerts(&self, query: &[(String, String)], view: &View) -> Result<Answer, Problem> {
        let only = match query {
            [] => None,
            [(name, campaign)] if name == "campaign" => Some(campaign),
            _ => return Err(bad("the only parameter is campaign")),
        };
        let catalog = self.reporter.catalog.load();
        if let Some(only) = only {
            view.of(&catalog, only).ok_or(Problem::UnknownCampaign)?;
            if !catalog.campaigns.contains_key(only) {
                return Err(Problem::UnknownCampaign);
            }
        }
        let documents = self.gate.desk().list(desk::Kind::Alerts).map_err(|error| {
            tracing::error!(%error, "alerts cannot be listed");
            Problem::Behind
        })?;
        let mut alerts: Vec<(String, Kept)> = documents
            .iter()
            .filter_map(|(_, document)| state::read(document))
            .filter(|(campaign, _)| only.is_none_or(|only| only == campaign))
            .flat_map(|(campaign, state)| state.alerts.into_iter().map(move |kept| (campaign.clone(), kept)))
            .collect();
        alerts.retain(|(_, kept)| kept.is_open());
        alerts.sort_by(|(_, a), (_, b)| (b.since_ms, &a.id).cmp(&(a.since_ms, &b.id)));
        let shown: Vec<Shown> = alerts
            .iter()
            .filter_map(|(id, kept)| {
                let sight = view.of(&catalog, id)?;
                let campaign = catalog.campaigns.get(id).map(Arc::as_ref);
                self.is_told(kept, &sight).then(|| Shown::of(id, kept, campaign, sight.is_exact()))
            })
            .collect();
        let has_more = shown.len() > ALERTS_MAX;
        let shown = shown.get(..ALERTS_MAX).unwrap_or(&shown);
        Ok(json_answer(StatusCode::OK, &json!({ "alerts": shown, "has_more": has_more })))
    }

    /// Whether an alert is told to who sees its campaign so.
    fn is_told(&self, kept: &Kept, sight: &Sight) -> bool {
        if sight.is_exact() {
            return true;
        }
        let is_seen = match &kept.placement {
            Some(placement) => sight.sees_id(placement),
            None => sight.only().is_none(),
        };
        let is_of_k = matches!(kept.kind, Kind::IdCoverage | Kind::Gap);
        is_seen && !(is_of_k && self.reporter.limits.is_small(kept.devices.unwrap_or(0)))
    }
}
