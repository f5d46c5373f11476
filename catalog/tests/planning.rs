//! What a campaign is planned with: each key is read, and each mistake refused with its line and with what would be right.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod mistakes;

use catalog::{ALL, Alerts, Catalog, Creative, Money, Planned, UniverseUnit};
use chrono::NaiveDate;

use mistakes::Mistake;

const TEXT: &str = r#"[[campaign]]
id = "demo"
name = "Demo campaign"
time_zone = "Asia/Shanghai"
starts = 2026-11-01
ends = 2026-12-31
advertiser = "acme"
cost = 120000.50
currency = "CNY"
[campaign.alerts]
id_coverage_min = 0.9
gap_max = 0.05
over_delivery_max = 1
silent_hours = 6
[[campaign.universe]]
persons = 1_400_000_000
source = "Census 2020"
date = 2020-11-01
[[campaign.universe]]
region = "CN-31"
audience = "women 20-40"
persons = 5000000
unit = "devices"
source = "Panel"
date = 2026-01-01
[[campaign.creative]]
id = "cr 1"
name = "Spring, 15 s"
[[campaign.placement]]
id = "p1"
name = "Homepage banner"
medium = "Example Video"
cost = 20000
plan = [
  { from = 2026-11-11, to = 2026-11-11, impressions = 500000 },
  { from = 2026-11-01, to = 2026-11-10, impressions = 100000 },
]
[[campaign.placement]]
id = "p2"
name = "Second"
medium = "Example Video"
[[campaign]]
id = "bare"
name = "Bare"
time_zone = "UTC"
"#;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn reads_every_key() {
    let catalog = Catalog::parse(TEXT, "catalog.toml").unwrap();
    let demo = &catalog.campaigns["demo"];
    assert_eq!(demo.advertiser.as_deref(), Some("acme"));
    assert_eq!((demo.cost, demo.currency.as_deref()), (Some(Money { hundredths: 12_000_050 }), Some("CNY")));
    let alerts = Alerts {
        id_coverage_min: Some(0.9),
        gap_max: Some(0.05),
        over_delivery_max: Some(1.0),
        silent_hours: Some(6),
    };
    assert_eq!(demo.alerts, alerts);
    let all = demo.universe_of(ALL, ALL).unwrap();
    assert_eq!(
        (all.persons, all.unit, all.source.as_str()),
        (1_400_000_000, UniverseUnit::Persons, "Census 2020")
    );
    assert_eq!(all.date, day("2020-11-01"));
    let women = demo.universe_of("CN-31", "women 20-40").unwrap();
    assert_eq!((women.persons, women.unit), (5_000_000, UniverseUnit::Devices));
    assert_eq!(demo.universe_of("CN-31", ALL), None);
    assert_eq!(demo.creatives, [Creative { id: "cr 1".into(), name: "Spring, 15 s".into() }]);
    assert_eq!((demo.creative_name("cr 1"), demo.creative_name("cr 2")), (Some("Spring, 15 s"), None));
    let (first, second) = (&demo.placements["p1"], &demo.placements["p2"]);
    let range = |from, to, impressions| Planned { from: day(from), to: day(to), impressions };
    assert_eq!(
        first.plan,
        [range("2026-11-01", "2026-11-10", 100_000), range("2026-11-11", "2026-11-11", 500_000)],
        "in the order of days"
    );
    assert_eq!(first.planned_on(day("2026-11-11")), Some(500_000));
    assert_eq!(first.planned_between(day("2026-11-10"), day("2026-12-31")), 600_000);
    assert_eq!((first.cost, second.cost), (Some(Money { hundredths: 2_000_000 }), None));
    assert!(second.plan.is_empty());
    let bare = &catalog.campaigns["bare"];
    assert!(bare.advertiser.is_none() && bare.cost.is_none() && bare.currency.is_none());
    assert!(bare.universe.is_empty() && bare.creatives.is_empty() && bare.alerts == Alerts::default());
}

const MISTAKES: &[Mistake] = &[
    ("\"acme\"", "\"ac me\"", "catalog.toml:7: an advertiser's id has 1 to 64 characters"),
    ("120000.50", "120000.505", "catalog.toml:8: `cost`: an amount is a number from 0 to 10000000000"),
    ("120000.50", "-1", "catalog.toml:8: `cost`: an amount"),
    ("120000.50", "1.2e5", "catalog.toml:8: `cost`: an amount"),
    ("120000.50", "nan", "catalog.toml:8: `cost`: an amount"),
    ("120000.50", "\"120000\"", "catalog.toml:8: `cost`: an amount"),
    ("\"CNY\"", "\"cny\"", "catalog.toml:9: `currency` is a code of three capital letters"),
    ("currency = \"CNY\"", "", "needs a currency: add currency = \"CNY\" to the campaign"),
    (
        "id_coverage_min = 0.9",
        "gap_maxx = 0.9",
        "catalog.toml:11: unknown key `gap_maxx`; did you mean `gap_max`?",
    ),
    ("= 0.9", "= 90", "catalog.toml:11: `id_coverage_min` is a share from 0 to 1"),
    ("= 0.05", "= \"5%\"", "catalog.toml:12: `gap_max` is a share from 0 to 1"),
    (
        "over_delivery_max = 1",
        "over_delivery_max = 10.5",
        "catalog.toml:13: `over_delivery_max` is a share from 0 to 10",
    ),
    (
        "silent_hours = 6",
        "silent_hours = 0",
        "catalog.toml:14: `silent_hours` is a whole number from 1 to 720",
    ),
    ("persons = 1_400_000_000", "persons = 0", "catalog.toml:16: `persons` is a whole number from 1 to"),
    ("persons = 1_400_000_000\n", "", "catalog.toml:15: `persons` is missing here"),
    ("source = \"Census 2020\"\n", "", "catalog.toml:15: `source` is missing here"),
    ("date = 2020-11-01\n", "", "catalog.toml:15: `date` is missing here"),
    ("\"CN-31\"", "\"上海\"", "catalog.toml:20: `region` is a code"),
    (
        "region = \"CN-31\"\naudience = \"women 20-40\"\n",
        "",
        "catalog.toml:19: there is another universe of region `all` and audience `all`",
    ),
    ("\"devices\"", "\"phones\"", "catalog.toml:23: `phones` is no unit of a universe: persons or devices"),
    ("\"cr 1\"", "\"\"", "catalog.toml:27: a creative's id has 1 to 64 bytes"),
    (
        "name = \"Spring, 15 s\"",
        "name = \"Spring, 15 s\"\n[[campaign.creative]]\nid = \"cr 1\"",
        "catalog.toml:30: creative `cr 1` stands twice",
    ),
    ("cost = 20000", "cost = [1]", "catalog.toml:33: `cost`: an amount"),
    ("from = 2026-11-11, ", "", "catalog.toml:35: `from` is missing here"),
    ("from = 2026-11-11", "from = \"2026-11-11\"", "catalog.toml:35: `from` is a day without quotes"),
    (
        "from = 2026-11-11",
        "from = 2026-11-12",
        "catalog.toml:35: `to` (2026-11-11) is before `from` (2026-11-12)",
    ),
    ("from = 2026-11-11", "from = 2026-11-10", "catalog.toml:34: two ranges of the plan have 2026-11-10"),
    ("from = 2026-11-01,", "from = 2026-10-31,", "catalog.toml:36: the plan has 2026-10-31, which is before"),
    (
        "starts = 2026-11-01",
        "starts = 2026-11-02",
        "catalog.toml:36: the plan has 2026-11-01, which is before",
    ),
    ("ends = 2026-12-31", "ends = 2026-11-10", "catalog.toml:35: the plan has 2026-11-11, which is behind"),
    (
        "impressions = 500000",
        "impressions = -1",
        "catalog.toml:35: `impressions` is a whole number from 0 to",
    ),
    (
        "impressions = 500000",
        "impressions = 5e5",
        "catalog.toml:35: `impressions` is a whole number from 0 to",
    ),
    ("impressions = 500000", "impression = 5", "catalog.toml:35: unknown key `impression`; did you mean"),
];

#[test]
fn each_mistake_is_refused_with_line_and_remedy() {
    mistakes::are_told(TEXT, MISTAKES);
}
