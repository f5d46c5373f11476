//! Hits of unknown campaigns and placements: kept apart, and adopted when the catalog is mended.

use aggregator::Settings;
use event::record::flag;

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, hit};

fn mended() -> String {
    format!(
        "{CATALOG}[[campaign.placement]]\nid = \"new\"\nname = \"New\"\nmedium = \"Medium C\"\nsource = \"s2s\"\n\
         [[campaign]]\nid = \"later\"\nname = \"Later\"\ntime_zone = \"Asia/Shanghai\"\nstarts = 2026-11-19\n\
         [[campaign.placement]]\nid = \"x\"\nname = \"X\"\nmedium = \"Medium D\"\n"
    )
}

#[test]
fn a_mended_catalog_adopts_what_was_unresolved() {
    let mut rig = Rig::new();
    let unknown = Hit { placement: "new", device: Some(4), view: 3, ..hit(NOON_MS - DAY_MS) };
    rig.push(&[hit(NOON_MS - DAY_MS), unknown.clone(), Hit { time_ms: unknown.time_ms + 1, ..unknown }]);
    // 20:00 UTC is the next day in Shanghai; a time before the campaign is a broken clock.
    let early = NOON_MS - 5 * DAY_MS;
    let later = Hit { campaign: "later", placement: "x", ..hit(NOON_MS - DAY_MS + 8 * 3_600_000) };
    rig.push(&[later.clone(), Hit { time_ms: early, client_time_ms: Some(early), ..later }]);
    rig.settle();
    let row = rig.row("utc/delivery");
    assert_eq!((&row["gross_impressions"], &row["unresolved"]), (&1.into(), &2.into()));
    assert_eq!(rig.call("GET", "/v1/campaigns/later/delivery").0, 404);

    rig.set_catalog(&mended());
    // The background may have adopted them already: both do the same.
    rig.settle();
    assert_eq!(rig.sql("SELECT count() FROM events"), "5");
    let row = rig.row("utc/delivery");
    assert_eq!((&row["gross_impressions"], &row["net_impressions"]), (&3.into(), &2.into()));
    assert_eq!(row["unresolved"], 0);
    let days = rig.rows("later/delivery?by=day");
    assert_eq!((days.len(), &days[0]["key"], &days[0]["impressions"]), (1, &"2026-11-20".into(), &2.into()));
    assert_eq!(
        rig.sql(&format!(
            "SELECT count() FROM events WHERE bitAnd(flags, {}) != 0",
            flag::CLIENT_CLOCK_BROKEN
        )),
        "1"
    );
    assert_eq!(rig.sql("SELECT DISTINCT source FROM events WHERE placement = 'new'"), "2");
    let media = rig.rows("utc/reach?by=medium");
    assert_eq!((&media[1]["key"], &media[1]["reach"]), (&"Medium C".into(), &1.into()));

    // Adopting is done once, also over a restart and when everything is loaded again.
    rig.restart(|rig| rig.lane.remove_cursor("aggregator").expect("the cursor goes"));
    rig.settle();
    assert_eq!(rig.row("utc/delivery")["gross_impressions"], 3);
}

#[test]
fn unresolved_hits_are_shown_by_placement() {
    let rig = Rig::with(CATALOG, Settings::default());
    rig.push(&[Hit { placement: "typo", ..hit(NOON_MS - DAY_MS) }, hit(NOON_MS - DAY_MS)]);
    rig.settle();
    let rows = rig.rows("utc/delivery?by=placement");
    assert_eq!((&rows[0]["key"], &rows[0]["unresolved"]), (&"p1".into(), &0.into()));
    assert_eq!((&rows[1]["key"], &rows[1]["unresolved"]), (&"typo".into(), &1.into()));
    assert_eq!(rows[1]["gross_impressions"], 0);
}

#[test]
fn placements_of_strangers_beyond_a_thousand_share_a_row() {
    let rig = Rig::with(CATALOG, Settings::default());
    let names: Vec<&'static str> = (0..1_005).map(|n| &*format!("typo-{n:04}").leak()).collect();
    let of = |placement: &&'static str| Hit { placement, ..hit(NOON_MS - DAY_MS) };
    let hits: Vec<Hit> = names.iter().chain(&names[..10]).map(of).collect();
    rig.push(&hits);
    rig.load();
    let rows = rig.rows("utc/delivery?by=placement");
    assert_eq!(rows.len(), 1_001);
    assert_eq!((&rows[0]["key"], &rows[0]["unresolved"]), (&"(others)".into(), &5.into()));
    assert_eq!((&rows[1]["key"], &rows[1]["unresolved"]), (&"typo-0000".into(), &2.into()));
    assert_eq!(rig.row("utc/delivery")["unresolved"], 1_015);
}
