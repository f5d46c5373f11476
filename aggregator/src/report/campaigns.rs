//! The list of campaigns: those of the catalog and those that have events.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Reporter;
use crate::statement;
use crate::store::{StoreError, Work, day_text};
use crate::view::View;

/// A campaign as `GET /v1/campaigns` lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct CampaignRow {
    /// Id.
    pub id: String,
    /// Name, empty if the catalog no longer has it.
    pub name: String,
    /// Whose it is, or null; not there for media.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertiser: Option<serde_json::Value>,
    /// Time zone.
    pub time_zone: String,
    /// First day of its flight, if it has one.
    pub starts: Option<String>,
    /// Last day of it.
    pub ends: Option<String>,
    /// Whether the catalog has it.
    pub in_catalog: bool,
    /// First day with data.
    pub first_day: Option<String>,
    /// Last day with data.
    pub last_day: Option<String>,
    /// Impressions planned for the whole flight of the placements that are seen, null where nothing is planned.
    pub planned: Option<u64>,
    /// Its placements.
    pub placements: Vec<PlacementRow>,
}

/// A placement of [`CampaignRow`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct PlacementRow {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Medium.
    pub medium: String,
    /// `c2s`, `s2s` or `ssai`: figures of the latter two rest on the sender's word for address and agent.
    pub source: &'static str,
    /// `live`, or `trial`: its hits are in no figure.
    pub state: &'static str,
}

impl Reporter {
    /// Whether the store has an event or a figure of a campaign.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn has_data(&self, campaign: &str) -> Result<bool, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            campaign: String,
        }
        let stored: Vec<Row> = self.store.rows(Work::Report, statement::CAMPAIGNS, &Vec::new())?;
        Ok(stored.iter().any(|row| row.campaign == campaign))
    }

    /// Every campaign of the catalog or the store that is in view. On which days there is data is told only to who sees all of it.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn campaigns(&self, view: &View) -> Result<Vec<CampaignRow>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            campaign: String,
            first_day: u16,
            last_day: u16,
        }
        let stored: Vec<Row> = self.store.rows(Work::Report, statement::CAMPAIGNS, &Vec::new())?;
        let stored: BTreeMap<&String, &Row> = stored.iter().map(|row| (&row.campaign, row)).collect();
        let catalog = self.catalog.load();
        let mut ids: Vec<&String> = catalog.campaigns.keys().chain(stored.keys().copied()).collect();
        ids.sort();
        ids.dedup();
        let row = |id: &String| {
            let sight = view.of(&catalog, id)?;
            let known = catalog.campaigns.get(id);
            let data = stored.get(id).filter(|_| sight.is_exact());
            let seen = || {
                let all = known.iter().flat_map(|campaign| campaign.placements.values());
                all.filter(|placement| sight.sees(placement))
            };
            let planned = seen().flat_map(|placement| &placement.plan);
            let mut placements: Vec<PlacementRow> = seen()
                .map(|placement| PlacementRow {
                    id: placement.id.clone(),
                    name: placement.name.clone(),
                    medium: placement.medium.clone(),
                    source: placement.source.name(),
                    state: placement.state.name(),
                })
                .collect();
            placements.sort_by(|a, b| a.id.cmp(&b.id));
            Some(CampaignRow {
                id: id.clone(),
                name: known.map(|campaign| campaign.name.clone()).unwrap_or_default(),
                advertiser: view
                    .sees_costs()
                    .then(|| known.and_then(|campaign| campaign.advertiser.clone()).into()),
                starts: known.and_then(|campaign| campaign.starts).map(|day| day.to_string()),
                ends: known.and_then(|campaign| campaign.ends).map(|day| day.to_string()),
                time_zone: self.time_zone(id).name().to_owned(),
                in_catalog: known.is_some(),
                first_day: data.map(|data| day_text(data.first_day)),
                last_day: data.map(|data| day_text(data.last_day)),
                planned: planned
                    .map(|range| range.days().saturating_mul(range.impressions))
                    .reduce(u64::saturating_add),
                placements,
            })
        };
        Ok(ids.into_iter().filter_map(row).collect())
    }
}
