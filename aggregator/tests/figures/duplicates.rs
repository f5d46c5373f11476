//! Repeats of a hit leave net and stay in gross; another device or placement under the same key is a conflict.

use event::record::flag;
use event::stage::Stage;

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, hit};

#[test]
fn repeats_leave_net_whether_settled_or_not() {
    let rig = Rig::new();
    let view =
        |n: u64, after_ms: i64| Hit { view: n, device: Some(n), ..hit(NOON_MS - 2 * DAY_MS + after_ms) };
    // 100 views; every fifth is repeated 46 s later, every tenth once more.
    let mut hits: Vec<Hit> = (1..=100).map(|n| view(n, 0)).collect();
    hits.extend((1..=100).filter(|n| n % 5 == 0).map(|n| view(n, 46_000)));
    hits.extend((1..=100).filter(|n| n % 10 == 0).map(|n| view(n, 47_000)));
    // Clicks of the same views are no repeats of their impressions.
    hits.extend((1..=10).map(|n| Hit { stage: Stage::Click, ..view(n, 1_000) }));
    rig.push(&hits);
    rig.load();
    for settled in [false, true] {
        let row = rig.row("utc/delivery");
        assert_eq!(row["gross_impressions"], 130, "{settled}");
        assert_eq!(row["net_impressions"], 100);
        assert_eq!(row["removed_impressions"]["duplicate"], 30);
        assert_eq!(row["net_clicks"], 10);
        let reach = rig.row("utc/reach");
        assert_eq!((&reach["reach"], &reach["impressions"]), (&100.into(), &100.into()));
        let gross = rig.row("utc/reach?filter=gross");
        assert_eq!((&gross["reach"], &gross["impressions"]), (&100.into(), &130.into()));
        assert_eq!(gross["exactly"][2], 10);
        rig.settle();
    }
}

#[test]
fn the_first_by_time_stays_and_a_repeat_on_the_next_day_is_one() {
    let rig = Rig::new();
    let midnight = NOON_MS - DAY_MS / 2;
    let first = Hit { view: 7, device: Some(1), ..hit(midnight - 10_000) };
    let repeat =
        Hit { received_ms: midnight + 20_000, ..Hit { time_ms: midnight + 20_000, ..first.clone() } };
    // The later one arrives first.
    rig.push(&[repeat]);
    rig.settle();
    assert_eq!(rig.row("utc/delivery")["net_impressions"], 1);
    rig.push(&[first]);
    rig.settle();
    let days = rig.rows("utc/delivery?by=day");
    assert_eq!((&days[0]["key"], &days[0]["net_impressions"]), (&"2026-11-19".into(), &1.into()));
    assert_eq!((&days[1]["gross_impressions"], &days[1]["net_impressions"]), (&1.into(), &0.into()));
}

#[test]
fn a_group_id_repeats_only_with_its_time() {
    let rig = Rig::new();
    let group = |client: i64, after_ms: i64| Hit {
        view: 9,
        device: Some(1),
        flags: flag::DUPLICATE_BY_TIME,
        client_time_ms: Some(client),
        ..hit(NOON_MS - DAY_MS + after_ms)
    };
    rig.push(&[group(5_000, 0), group(5_000, 3_000), group(6_000, 1_000)]);
    rig.settle();
    let row = rig.row("utc/delivery");
    assert_eq!((&row["gross_impressions"], &row["net_impressions"]), (&3.into(), &2.into()));
}

#[test]
fn conflicts_are_kept_and_counted() {
    let rig = Rig::new();
    let one = Hit { view: 5, device: Some(1), ..hit(NOON_MS - DAY_MS) };
    let other_device = Hit { device: Some(2), time_ms: one.time_ms + 1, ..one.clone() };
    let other_placement = Hit { placement: "p2", time_ms: one.time_ms + 2, ..one.clone() };
    let repeat = Hit { time_ms: one.time_ms + 3, ..one.clone() };
    rig.push(&[one, other_device, other_placement, repeat]);
    rig.settle();
    let row = rig.row("utc/delivery");
    assert_eq!((&row["gross_impressions"], &row["net_impressions"]), (&4.into(), &3.into()));
    assert_eq!((&row["conflicts"], &row["removed_impressions"]["duplicate"]), (&2.into(), &1.into()));
}

/// A browser sends the cookie that it was just given, a phone's owner turns a signal on, keys change between a hit and its retry.
#[test]
fn a_repeat_whose_device_is_withheld_or_new_is_a_repeat() {
    let of = |view: u64, after_ms: i64, device: Option<u64>, epoch: u16| Hit {
        device,
        epoch,
        view,
        ..hit(NOON_MS - DAY_MS + after_ms)
    };
    let rig = Rig::new();
    rig.push(&[
        // Without a device first, and the other way round.
        of(1, 0, None, 1),
        of(1, 1, Some(1), 1),
        of(2, 0, Some(2), 1),
        of(2, 1, None, 1),
        of(2, 2, Some(2), 1),
        // Under the next epoch's key.
        of(3, 0, Some(3), 1),
        of(3, 1, Some(1_003), 2),
        of(3, 2, None, 2),
        // Two devices under one key are a conflict all the same, and which of them the one without is nobody knows.
        of(4, 0, Some(4), 1),
        of(4, 1, Some(104), 1),
        of(4, 2, None, 1),
        of(4, 3, Some(4), 1),
    ]);
    rig.load();
    for _ in ["live", "settled"] {
        let row = rig.row("utc/delivery");
        assert_eq!((&row["gross_impressions"], &row["net_impressions"]), (&12.into(), &6.into()));
        assert_eq!((&row["conflicts"], &row["removed_impressions"]["duplicate"]), (&2.into(), &6.into()));
        rig.settle();
    }
}

/// A verdict without the device is one on the view all the same.
#[test]
fn a_verdict_without_device_does_not_count_beside_one_with_it() {
    let rig = Rig::new();
    let of = |stage: Stage, after_ms: i64, device: Option<u64>| Hit {
        stage,
        view: 8,
        device,
        ..hit(NOON_MS - DAY_MS + after_ms)
    };
    rig.push(&[
        of(Stage::Impression, 0, Some(8)),
        of(Stage::NotViewable, 1_000, None),
        of(Stage::Viewable, 2_000, Some(8)),
    ]);
    rig.settle();
    let row = rig.row("utc/delivery");
    assert_eq!((&row["stages"]["viewable"], &row["stages"]["not_viewable"]), (&1.into(), &0.into()));
}

#[test]
fn one_request_id_in_two_campaigns_ties_nothing() {
    let catalog = format!("{}{}", crate::rig::CATALOG, crate::rig::CATALOG.replace("\"utc\"", "\"other\""));
    let rig = Rig::with(&catalog, aggregator::Settings::default());
    let one = Hit { view: 5, device: Some(1), ..hit(NOON_MS - DAY_MS) };
    rig.push(&[one.clone(), Hit { campaign: "other", ..one }]);
    rig.settle();
    for campaign in ["utc", "other"] {
        let row = rig.row(&format!("{campaign}/delivery"));
        assert_eq!((&row["net_impressions"], &row["conflicts"]), (&1.into(), &0.into()));
    }
}

#[test]
fn without_view_nothing_is_a_repeat() {
    let rig = Rig::new();
    rig.push(&vec![Hit { device: Some(1), ..hit(NOON_MS - DAY_MS) }; 3]);
    rig.settle();
    assert_eq!(rig.row("utc/delivery")["net_impressions"], 3);
}
