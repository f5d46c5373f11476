//! Campaigns and placements as JSON, with the catalog's own names: what is shown can be sent back.

use catalog::{Alerts, Campaign, Money, Placement};
use serde_json::{Map, Value, json};

use crate::view::{Sight, View};

/// What of the catalog is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Costs, universes, and whose a campaign is.
    is_all: bool,
}

impl Told {
    pub(super) const ALL: Self = Self { is_all: true };

    /// What is told to who asks.
    pub(super) fn to(view: &View) -> Self {
        Self { is_all: view.sees_costs() }
    }
}

/// A campaign without its placements. A key of which nothing is told is not there.
pub(super) fn campaign(campaign: &Campaign, told: Told) -> Map<String, Value> {
    let creative = |creative: &catalog::Creative| json!({ "id": creative.id, "name": creative.name });
    let Alerts { id_coverage_min, gap_max, over_delivery_max, silent_hours } = campaign.alerts;
    let mut shown = Map::new();
    let mut show = |key: &str, value: Value| shown.insert(key.to_owned(), value);
    show("id", json!(campaign.id));
    show("name", json!(campaign.name));
    if told.is_all {
        show("advertiser", json!(campaign.advertiser));
    }
    show("time_zone", json!(campaign.time_zone.name()));
    show("starts", json!(campaign.starts.map(|day| day.to_string())));
    show("ends", json!(campaign.ends.map(|day| day.to_string())));
    show("double_click_seconds", json!(campaign.double_click_seconds));
    show("landing_hosts", json!(campaign.landing_hosts));
    if told.is_all {
        show("cost", json!(campaign.cost.map(amount)));
        show("currency", json!(campaign.currency));
        show("universes", campaign.universe.iter().map(universe).collect());
    }
    show("creatives", campaign.creatives.iter().map(creative).collect());
    show(
        "alerts",
        json!({
            "id_coverage_min": id_coverage_min,
            "gap_max": gap_max,
            "over_delivery_max": over_delivery_max,
            "silent_hours": silent_hours,
        }),
    );
    shown
}

fn universe(universe: &catalog::Universe) -> Value {
    json!({
        "region": universe.region,
        "audience": universe.audience,
        "persons": universe.persons,
        "unit": universe.unit.name(),
        "source": universe.source,
        "date": universe.date.to_string(),
    })
}

/// Those of its placements that are seen, by id.
pub(super) fn placements(campaign: &Campaign, sight: &Sight, told: Told) -> Value {
    let mut seen: Vec<&Placement> =
        campaign.placements.values().map(AsRef::as_ref).filter(|placement| sight.sees(placement)).collect();
    seen.sort_by(|a, b| a.id.cmp(&b.id));
    seen.into_iter().map(|one| Value::Object(placement(one, told))).collect()
}

/// One placement.
pub(super) fn placement(placement: &Placement, told: Told) -> Map<String, Value> {
    let range = |range: &catalog::Planned| json!({ "from": range.from.to_string(), "to": range.to.to_string(), "impressions": range.impressions });
    let mut shown = Map::new();
    let mut show = |key: &str, value: Value| shown.insert(key.to_owned(), value);
    show("id", json!(placement.id));
    show("name", json!(placement.name));
    show("medium", json!(placement.medium));
    show("source", json!(placement.source.name()));
    show("state", json!(placement.state.name()));
    show("landing_hosts", json!(placement.landing_hosts));
    show("landing_page", json!(placement.landing_page));
    show("profile", json!(placement.profile.as_ref().map(|profile| profile.name())));
    show("dialect", json!(placement.dialect));
    show("signed_links", json!(placement.signed_links));
    show("vast_tag", json!(placement.vast_tag));
    if told.is_all {
        show("cost", json!(placement.cost.map(amount)));
    }
    show("plan", placement.plan.iter().map(range).collect());
    shown
}

/// Hundredths of at most ten billion are exact enough in floating point to be read back as the same amount.
fn amount(money: Money) -> f64 {
    money.hundredths as f64 / 100.0
}
