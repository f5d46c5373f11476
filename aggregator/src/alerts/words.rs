//! Alerts in words, Chinese and English.

use catalog::Campaign;
use serde::Serialize;

use super::judge::Kind;
use super::state::Kept;

/// What an alert says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Words {
    pub(crate) en: String,
    pub(crate) zh: String,
}

/// An alert in words; without its figures where these are not to be told.
pub(crate) fn words(kept: &Kept, campaign: Option<&Campaign>, tells_value: bool) -> Words {
    let id = kept.placement.as_deref().unwrap_or_default();
    let known = campaign.and_then(|campaign| campaign.placements.get(id));
    let name = known.map_or_else(
        || id.to_owned(),
        |placement| format!("{} ({id}, {})", placement.name, placement.medium),
    );
    let zh_name = known.map_or_else(
        || id.to_owned(),
        |placement| format!("{}（{id}，{}）", placement.name, placement.medium),
    );
    let value = tells_value.then_some(kept.value);
    let share = percent(kept.limit);
    let is = |what: String| if tells_value { what } else { String::new() };
    let (en, zh) = match kept.kind {
        Kind::NotStarted | Kind::Stopped => silence(kept, (&name, &zh_name), tells_value),
        Kind::OverDelivery => (
            format!(
                "{name} has delivered more than {share} above its plan{}.",
                is(format!(": {} above it", percent(kept.value)))
            ),
            format!(
                "点位 {zh_name} 的投放量超出计划 {share} 以上{}。",
                is(format!("，已超出 {}", percent(kept.value)))
            ),
        ),
        Kind::IdCoverage => (
            format!(
                "Of the impressions of {name} yesterday and today, fewer than {share} have a usable device id{}.",
                is(format!(": {}", percent(kept.value)))
            ),
            format!(
                "点位 {zh_name} 昨日至今的曝光中，带有有效设备号的不足 {share}{}。",
                is(format!("，目前为 {}", percent(kept.value)))
            ),
        ),
        Kind::Gap => (
            format!(
                "The medium's own numbers for {name} differ from ours by more than {share}{}.",
                is(format!(": by {}", percent(kept.value)))
            ),
            format!(
                "点位 {zh_name} 的媒体后台数据与我方数据相差超过 {share}{}。",
                is(format!("，目前相差 {}", percent(kept.value)))
            ),
        ),
        Kind::Unresolved => {
            let hits = value.map_or_else(|| "Hits".to_owned(), |hits| format!("{hits:.0} hits"));
            let zh_hits = value.map_or_else(String::new, |hits| format!(" {hits:.0} 次"));
            (
                format!(
                    "{hits} of yesterday and today name placements that the catalog does not have: the report by placement lists them."
                ),
                format!("昨日至今收到{zh_hits}未登记点位的数据，可在分点位报表中查看。"),
            )
        }
    };
    Words { en, zh }
}

/// Of a placement of which nothing comes.
fn silence(kept: &Kept, (name, zh_name): (&str, &str), tells_value: bool) -> (String, String) {
    let (limit, hours) = (kept.limit, kept.value.floor());
    let (by_now, zh_by_now) = if tells_value {
        (format!(", {hours:.0} by now"), format!("，至今 {hours:.0} 小时"))
    } else {
        (String::new(), String::new())
    };
    if kept.kind == Kind::NotStarted {
        return (
            format!(
                "{name} has not started: for {limit} hours or more nothing has come of what is planned{by_now}."
            ),
            format!("点位 {zh_name} 应投放已超过 {limit} 小时，尚未收到任何数据{zh_by_now}。"),
        );
    }
    (
        format!("{name} has had no hit for {limit} hours or more{by_now}."),
        format!("点位 {zh_name} 已超过 {limit} 小时没有收到数据{zh_by_now}。"),
    )
}

/// A share as people read it: a tenth of a percent is as close as it needs to be.
fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_said_in_both_languages_with_its_figures_or_without() {
        let text = "[[campaign]]\nid = \"c\"\nname = \"C\"\ntime_zone = \"UTC\"\n[[campaign.placement]]\nid = \"p1\"\nname = \"开机\"\nmedium = \"One\"\n";
        let catalog = catalog::Catalog::parse(text, "catalog.toml").expect("a catalog");
        let campaign = catalog.campaigns.get("c").map(AsRef::as_ref);
        for kind in Kind::ALL {
            let kept = Kept {
                id: String::new(),
                placement: (kind != Kind::Unresolved).then(|| "p1".to_owned()),
                kind,
                since_ms: 0,
                value: 37.0,
                limit: 0.25,
                devices: None,
                resolved_ms: None,
                told: 0,
            };
            let (open, closed) = (words(&kept, campaign, true), words(&kept, campaign, false));
            for (with, without) in [(open.en, closed.en), (open.zh, closed.zh)] {
                assert!(with.contains("37") && !without.contains("37"), "{with} {without}");
                assert!(
                    kind == Kind::Unresolved || without.contains("p1") && without.contains("25"),
                    "{without}"
                );
            }
        }
        assert_eq!((percent(0.1), percent(0.1234)), ("10 %".to_owned(), "12.3 %".to_owned()));
    }
}
