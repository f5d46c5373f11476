//! What is wrong with a campaign, by its figures and its limits.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{Campaign, Placement, PlacementState};
use chrono::NaiveDate;
use event::clock::UnixMs;

use super::due::Due;

/// Limits where the catalog names none. Of id coverage there is no usual one: websites and apps differ too much, so without an agreed rate nothing is
/// held against it.
pub(crate) mod default {
    /// Hours without a hit.
    pub(crate) const SILENT_HOURS: u32 = 12;
    /// Share above the plan.
    pub(crate) const OVER_DELIVERY_MAX: f64 = 0.1;
    /// Share by which a medium's number may differ from ours.
    pub(crate) const GAP_MAX: f64 = 0.1;
}

/// Fewer impressions of a placement in two days say nothing of its id coverage.
pub(crate) const COVERAGE_IMPRESSIONS_MIN: u64 = 100;
/// Fewer hits of unknown placements in two days are strangers' or trials.
pub(crate) const UNRESOLVED_MIN: u64 = 10;
/// Days behind the flight on which a campaign is still looked at.
const WATCHED_DAYS: i64 = 7;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A live placement with a plan for today never had a hit.
    NotStarted,
    /// A live placement with a plan for today had hits, and is silent.
    Stopped,
    /// More net impressions than planned.
    OverDelivery,
    /// Too few impressions with a usable id.
    IdCoverage,
    /// The medium counts otherwise than we do.
    Gap,
    /// Hits whose placement the catalog does not know.
    Unresolved,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::NotStarted, Self::Stopped, Self::OverDelivery, Self::IdCoverage, Self::Gap, Self::Unresolved];

    /// The name in answers, messages, metrics and documents of the desk.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Stopped => "stopped",
            Self::OverDelivery => "over_delivery",
            Self::IdCoverage => "id_coverage",
            Self::Gap => "gap",
            Self::Unresolved => "unresolved",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it says that nothing came.
    pub(crate) fn is_silence(self) -> bool {
        matches!(self, Self::NotStarted | Self::Stopped)
    }
}

/// Figures of a campaign, as its reports show them to who sees everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Watched {
    /// Net impressions from the first planned day to today, by placement.
    pub(crate) delivered: BTreeMap<String, u64>,
    /// Placements with any hit since the first planned day.
    pub(crate) started: BTreeSet<String>,
    /// Since when each placement is due, which is not a report's to say; `None` of one that is not.
    pub(crate) due: Due,
    /// (the medium's number − ours) / the medium's, by placement, where it gave numbers; 1 where it says 0 and we counted any.
    pub(crate) gaps: BTreeMap<String, f64>,
    /// Fewest that stand behind a gap that is too large, by placement; none of one that a tenant's report would not show, and no more than k.
    pub(crate) behind_gaps: BTreeMap<String, u64>,
    /// Net impressions of yesterday and today, by placement.
    pub(crate) recent: BTreeMap<String, Recent>,
    /// When the newest hit came, by placement, since `looked_from_ms`.
    pub(crate) last_hit_ms: BTreeMap<String, UnixMs>,
    /// Further back than the longest silence that is allowed.
    pub(crate) looked_from_ms: UnixMs,
    /// Hits of unknown placements, yesterday and today.
    pub(crate) unresolved: u64,
}

/// Impressions of yesterday and today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recent {
    pub(crate) impressions: u64,
    pub(crate) identified: u64,
    /// Distinct ones behind the identified that were counted, no more than k.
    pub(crate) devices: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// `None`: the campaign.
    pub(crate) placement: Option<String>,
    pub(crate) kind: Kind,
    /// Hours (at least), a share, or hits, by kind.
    pub(crate) value: f64,
    /// What it may be.
    pub(crate) limit: f64,
    /// Fewest that stand behind a share of ids or a gap, no more than k: it is told to tenants where there are as many.
    pub(crate) devices: Option<u64>,
}

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Judged {
    pub(crate) findings: Vec<Finding>,
    /// Of these nothing can be said now: alerts stay as they are.
    pub(crate) unknown: Vec<Kind>,
}

impl Judged {
    /// Takes silence back, because it cannot be told at present.
    pub(crate) fn leave_out_silence(&mut self) {
        self.findings.retain(|finding| !finding.kind.is_silence());
        self.unknown.extend(Kind::ALL.into_iter().filter(|kind| kind.is_silence()));
    }
}

/// How long a placement of the campaign may be silent, hours.
pub(crate) fn silent_hours(campaign: &Campaign) -> u32 {
    campaign.alerts.silent_hours.unwrap_or(default::SILENT_HOURS)
}

/// How far a medium's numbers may be from ours, as a share of them.
pub(crate) fn gap_max(campaign: &Campaign) -> f64 {
    campaign.alerts.gap_max.unwrap_or(default::GAP_MAX)
}

/// Whether a campaign is looked at: until some days behind its flight, if it has a last day.
pub(crate) fn is_watched(campaign: &Campaign, now_ms: UnixMs) -> bool {
    let Some(today) = today(campaign, now_ms) else { return false };
    let is_over = campaign.ends.is_some_and(|ends| (today - ends).num_days() > WATCHED_DAYS);
    !is_over && campaign.placements.values().any(|placement| placement.state == PlacementState::Live)
}

fn today(campaign: &Campaign, now_ms: UnixMs) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::from(campaign.local_time(now_ms).day))
}

/// The first day of a campaign's plans, days since 1970-01-01; `None` where nothing is planned until today.
pub(crate) fn first_planned(campaign: &Campaign, now_ms: UnixMs) -> Option<u16> {
    let today = campaign.local_time(now_ms).day;
    let first =
        campaign.placements.values().filter_map(|placement| placement.plan.first()).map(|plan| plan.from);
    let first = u16::try_from(first.min()?.to_epoch_days()).ok()?;
    (first <= today).then_some(first)
}

/// Its placements that have to deliver today.
pub(crate) fn due(campaign: &Campaign, now_ms: UnixMs) -> Vec<&str> {
    let Some(today) = today(campaign, now_ms) else { return Vec::new() };
    let placements = campaign.placements.values().filter(|placement| is_due(placement, today));
    placements.map(|placement| placement.id.as_str()).collect()
}

fn is_due(placement: &Placement, day: NaiveDate) -> bool {
    placement.state == PlacementState::Live && placement.planned_on(day).is_some_and(|planned| planned > 0)
}

/// Holds a campaign's figures against its limits.
pub(crate) fn judge(campaign: &Campaign, watched: &Watched, now_ms: UnixMs) -> Judged {
    let mut findings = Vec::new();
    let Some(today) = today(campaign, now_ms) else { return Judged::default() };
    let mut placements: Vec<&Placement> = campaign.placements.values().map(AsRef::as_ref).collect();
    placements.sort_by(|a, b| a.id.cmp(&b.id));
    for placement in placements.into_iter().filter(|placement| placement.state == PlacementState::Live) {
        let found = [
            silent(campaign, placement, watched, (today, now_ms)),
            over_delivery(campaign, placement, watched, today),
            id_coverage(campaign, placement, watched),
            gap(campaign, placement, watched),
        ];
        findings.extend(found.into_iter().flatten());
    }
    if watched.unresolved >= UNRESOLVED_MIN {
        findings.push(Finding {
            placement: None,
            kind: Kind::Unresolved,
            value: watched.unresolved as f64,
            limit: (UNRESOLVED_MIN - 1) as f64,
            devices: None,
        });
    }
    Judged { findings, unknown: Vec::new() }
}

fn finding(placement: &Placement, kind: Kind, value: f64, limit: f64) -> Finding {
    Finding { placement: Some(placement.id.clone()), kind, value, limit, devices: None }
}

/// Silent for too long: since its last hit, the begin of its plan, or when it was found due, whichever came last.
fn silent(
    campaign: &Campaign,
    placement: &Placement,
    watched: &Watched,
    (today, now_ms): (NaiveDate, UnixMs),
) -> Option<Finding> {
    let due_ms = watched.due.since_ms(&placement.id).filter(|_| is_due(placement, today))?;
    // The first of the days up to today that are planned without a gap.
    let mut began = today;
    while let Some(before) = began.pred_opt().filter(|day| is_due(placement, *day)) {
        began = before;
    }
    let began_ms = campaign.day_start_ms(u16::try_from(began.to_epoch_days()).ok()?)?;
    let last_ms = watched.last_hit_ms.get(&placement.id).copied();
    let since_ms = last_ms.unwrap_or(watched.looked_from_ms).max(began_ms).max(due_ms);
    let limit = silent_hours(campaign);
    let silent_ms = now_ms - since_ms;
    let has_started = last_ms.is_some() || watched.started.contains(&placement.id);
    let kind = if has_started { Kind::Stopped } else { Kind::NotStarted };
    (silent_ms >= i64::from(limit) * HOUR_MS)
        .then(|| finding(placement, kind, silent_ms as f64 / HOUR_MS as f64, f64::from(limit)))
}

/// More than planned until and with today.
fn over_delivery(
    campaign: &Campaign,
    placement: &Placement,
    watched: &Watched,
    today: NaiveDate,
) -> Option<Finding> {
    let first = placement.plan.first()?.from;
    let planned = placement.planned_between(first, today);
    let delivered = watched.delivered.get(&placement.id).copied().unwrap_or(0);
    let limit = campaign.alerts.over_delivery_max.unwrap_or(default::OVER_DELIVERY_MAX);
    if planned == 0 {
        return None;
    }
    let over = (delivered as f64 - planned as f64) / planned as f64;
    (over > limit).then(|| finding(placement, Kind::OverDelivery, over, limit))
}

fn id_coverage(campaign: &Campaign, placement: &Placement, watched: &Watched) -> Option<Finding> {
    let limit = campaign.alerts.id_coverage_min?;
    let recent = watched.recent.get(&placement.id)?;
    if recent.impressions < COVERAGE_IMPRESSIONS_MIN {
        return None;
    }
    let coverage = recent.identified as f64 / recent.impressions as f64;
    (coverage < limit).then(|| Finding {
        devices: Some(recent.devices),
        ..finding(placement, Kind::IdCoverage, coverage, limit)
    })
}

fn gap(campaign: &Campaign, placement: &Placement, watched: &Watched) -> Option<Finding> {
    let gap = watched.gaps.get(&placement.id)?.abs();
    let limit = gap_max(campaign);
    (gap > limit).then(|| Finding {
        devices: watched.behind_gaps.get(&placement.id).copied(),
        ..finding(placement, Kind::Gap, gap, limit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::Catalog;

    /// 2026-11-20T12:00:00Z, 20:00 in Shanghai.
    const NOON_MS: i64 = 1_795_176_000_000;

    fn campaign(alerts: &str, placement: &str) -> std::sync::Arc<Campaign> {
        let text = format!(
            "[[campaign]]\nid = \"c\"\nname = \"C\"\ntime_zone = \"Asia/Shanghai\"\nends = 2026-11-30\n{alerts}\n\
             [[campaign.placement]]\nid = \"p\"\nname = \"P\"\nmedium = \"M\"\n{placement}\n"
        );
        let catalog = Catalog::parse(&text, "catalog.toml").expect("a catalog");
        catalog.campaigns["c"].clone()
    }

    fn found(campaign: &Campaign, watched: &Watched, now_ms: i64) -> Vec<(Kind, f64, f64)> {
        let judged = judge(campaign, watched, now_ms);
        judged.findings.iter().map(|finding| (finding.kind, finding.value, finding.limit)).collect()
    }

    fn of(count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("p".to_owned(), count)])
    }

    const PLAN: &str = "plan = [{ from = 2026-11-19, to = 2026-11-20, impressions = 100 }]";

    /// Due since so long before noon.
    fn due(ago_ms: i64) -> Watched {
        let mut due = Due::default();
        due.follow(&["p"], NOON_MS - ago_ms);
        Watched { due, ..Watched::default() }
    }

    #[test]
    fn a_placement_stopped_when_it_is_silent_for_as_long_as_agreed() {
        let campaign = campaign("[campaign.alerts]\nsilent_hours = 6", PLAN);
        let hit = |ago_ms: i64| Watched {
            last_hit_ms: BTreeMap::from([("p".to_owned(), NOON_MS - ago_ms)]),
            ..due(44 * HOUR_MS)
        };
        assert_eq!(found(&campaign, &hit(6 * HOUR_MS - 1), NOON_MS), []);
        assert_eq!(found(&campaign, &hit(6 * HOUR_MS), NOON_MS), [(Kind::Stopped, 6.0, 6.0)]);
        // A hit before the plan began does not begin the silence.
        let began_ms = NOON_MS - 44 * HOUR_MS;
        assert_eq!(found(&campaign, &hit(400 * HOUR_MS), began_ms + 5 * HOUR_MS), []);
        assert_eq!(found(&campaign, &hit(400 * HOUR_MS), began_ms + 6 * HOUR_MS).len(), 1);
        // Its last hit is too long ago to be looked for.
        let started = Watched { started: BTreeSet::from(["p".to_owned()]), ..due(44 * HOUR_MS) };
        assert_eq!(found(&campaign, &started, NOON_MS), [(Kind::Stopped, 44.0, 6.0)]);
        // Nothing is planned on the next day, and nothing is missed then.
        assert_eq!(found(&campaign, &started, NOON_MS + 12 * HOUR_MS), []);
    }

    #[test]
    fn a_placement_that_never_had_a_hit_did_not_start_and_is_late_from_when_it_could_deliver() {
        let by_default = campaign("", PLAN);
        // The plan began at midnight of the 19th in Shanghai, whenever before it was entered.
        for ago in [44, 50] {
            assert_eq!(
                found(&by_default, &due(ago * HOUR_MS), NOON_MS),
                [(Kind::NotStarted, 44.0, 12.0)],
                "by default"
            );
        }
        // Entered behind its first day.
        assert_eq!(found(&by_default, &due(0), NOON_MS), []);
        assert_eq!(found(&by_default, &due(12 * HOUR_MS - 1), NOON_MS), []);
        assert_eq!(found(&by_default, &due(12 * HOUR_MS), NOON_MS), [(Kind::NotStarted, 12.0, 12.0)]);
        assert_eq!(
            found(&by_default, &Watched::default(), NOON_MS),
            [],
            "of none that is not known to be due"
        );
    }

    #[test]
    fn trial_placements_and_those_without_a_plan_do_not_stop() {
        for placement in ["", &format!("state = \"trial\"\n{PLAN}")] {
            let campaign = campaign("", placement);
            assert_eq!(super::due(&campaign, NOON_MS), Vec::<&str>::new());
            assert_eq!(found(&campaign, &due(44 * HOUR_MS), NOON_MS), []);
        }
        assert_eq!(super::due(&campaign("", PLAN), NOON_MS), ["p"]);
    }

    #[test]
    fn over_delivery_is_held_against_the_plan_until_today() {
        let live = BTreeMap::from([("p".to_owned(), NOON_MS)]);
        let watched =
            |delivered| Watched { delivered: of(delivered), last_hit_ms: live.clone(), ..Watched::default() };
        let by_default = campaign("", PLAN);
        assert_eq!(found(&by_default, &watched(220), NOON_MS), []);
        assert_eq!(found(&by_default, &watched(221), NOON_MS), [(Kind::OverDelivery, 0.105, 0.1)]);
        // On the first day only its own plan counts.
        assert_eq!(found(&by_default, &watched(111), NOON_MS - 24 * HOUR_MS).len(), 1);
        let agreed = campaign("[campaign.alerts]\nover_delivery_max = 1.0", PLAN);
        assert_eq!(found(&agreed, &watched(400), NOON_MS), []);
        assert_eq!(found(&agreed, &watched(401), NOON_MS).len(), 1);
    }

    #[test]
    fn coverage_is_held_against_an_agreed_rate_only_and_not_by_a_handful() {
        let watched = |impressions, identified| Watched {
            recent: BTreeMap::from([("p".to_owned(), Recent { impressions, identified, devices: 7 })]),
            ..Watched::default()
        };
        let agreed = campaign("[campaign.alerts]\nid_coverage_min = 0.9", "");
        assert_eq!(found(&agreed, &watched(100, 90), NOON_MS), []);
        assert_eq!(found(&agreed, &watched(100, 89), NOON_MS), [(Kind::IdCoverage, 0.89, 0.9)]);
        assert_eq!(judge(&agreed, &watched(100, 89), NOON_MS).findings[0].devices, Some(7));
        assert_eq!(found(&agreed, &watched(99, 0), NOON_MS), []);
        assert_eq!(found(&campaign("", ""), &watched(1000, 0), NOON_MS), []);
    }

    #[test]
    fn a_gap_counts_either_way_and_strangers_count_from_ten_on() {
        let gap = |gap| Watched { gaps: BTreeMap::from([("p".to_owned(), gap)]), ..Watched::default() };
        let campaign = campaign("", "");
        assert_eq!(found(&campaign, &gap(0.1), NOON_MS), []);
        for far in [0.2, -0.2] {
            assert_eq!(found(&campaign, &gap(far), NOON_MS), [(Kind::Gap, 0.2, 0.1)]);
        }
        let strangers = |unresolved| Watched { unresolved, ..Watched::default() };
        assert_eq!(found(&campaign, &strangers(9), NOON_MS), []);
        assert_eq!(found(&campaign, &strangers(10), NOON_MS), [(Kind::Unresolved, 10.0, 9.0)]);
    }

    #[test]
    fn a_campaign_is_looked_at_until_a_week_behind_its_flight() {
        let campaign = campaign("", "");
        let days = |days: i64| NOON_MS + days * 24 * HOUR_MS;
        assert!(is_watched(&campaign, days(17)) && !is_watched(&campaign, days(18)));
        assert_eq!(first_planned(&campaign, NOON_MS), None);
    }
}
