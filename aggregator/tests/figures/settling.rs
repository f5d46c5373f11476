//! Generations, marks, late events, and what a crash leaves.

use aggregator::Settings;
use serde_json::json;

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, hit, unhurried};

#[test]
fn late_events_restate_their_day_and_only_it() {
    let rig = Rig::new();
    rig.push(&[hit(NOON_MS - 3 * DAY_MS), hit(NOON_MS - DAY_MS)]);
    let first = rig.settle();
    assert_eq!(first["days"].as_array().expect("days").len(), 2);
    assert_eq!(rig.report("utc/reach")["settled_until"], "2026-11-19");
    // Nothing changed: nothing is done.
    assert_eq!(rig.settle()["days"], json!([]));
    // The late one is named as provisional, and the settled figures stay, until the day is settled again.
    rig.push(&[Hit { received_ms: NOON_MS, ..hit(NOON_MS - 3 * DAY_MS + 5) }]);
    rig.load();
    let report = rig.report("utc/reach?by=day");
    assert_eq!(report["provisional_days"], json!(["2026-11-17"]));
    assert_eq!(report["settled_until"], json!(null));
    assert_eq!(report["rows"][0]["impressions"], 1);
    let again = rig.settle();
    assert_eq!(again["days"].as_array().expect("days").len(), 1);
    assert_eq!(again["days"][0]["day"], "2026-11-17");
    assert_eq!(again["days"][0]["outcome"], "settled");
    let report = rig.report("utc/reach?by=day");
    assert_eq!(
        (&report["rows"][0]["impressions"], &report["settled_until"]),
        (&2.into(), &"2026-11-19".into())
    );
    assert_eq!(report["provisional_days"], json!([]));
}

#[test]
fn today_is_live_until_it_is_settled_and_again_after_new_events() {
    let rig = Rig::new();
    rig.push(&[hit(NOON_MS - 60_000)]);
    rig.load();
    let live = rig.report("utc/reach");
    assert_eq!((&live["rows"][0]["impressions"], &live["settled_until"]), (&1.into(), &json!(null)));
    assert_eq!(live["provisional_days"], json!(["2026-11-20"]));
    rig.settle();
    // Settled or not, today is not over.
    let settled = rig.report("utc/reach");
    assert_eq!((&settled["rows"][0]["impressions"], &settled["settled_until"]), (&1.into(), &json!(null)));
    assert_eq!(settled["provisional_days"], json!(["2026-11-20"]));
    rig.push(&[hit(NOON_MS - 50_000)]);
    rig.load();
    let live = rig.report("utc/reach");
    assert_eq!((&live["rows"][0]["impressions"], &live["settled_until"]), (&2.into(), &json!(null)));
}

#[test]
fn a_day_settled_before_its_end_is_live_after_midnight_until_it_is_settled_again() {
    let rig = Rig::new();
    rig.push(&[hit(NOON_MS - 60_000)]);
    rig.settle();
    rig.push(&[hit(NOON_MS + 60_000), hit(NOON_MS + 120_000)]);
    rig.load();
    rig.clock.advance_ms(DAY_MS / 2 + 60_000);
    let report = rig.report("utc/delivery");
    assert_eq!((&report["rows"][0]["impressions"], &report["settled_until"]), (&3.into(), &json!(null)));
    assert_eq!(report["provisional_days"], json!(["2026-11-20"]));
    rig.settle();
    let report = rig.report("utc/delivery");
    assert_eq!(
        (&report["rows"][0]["impressions"], &report["settled_until"]),
        (&3.into(), &"2026-11-20".into())
    );
    assert_eq!(report["provisional_days"], json!([]));
}

#[test]
fn settled_until_stops_at_the_first_day_that_is_not() {
    let rig = Rig::new();
    rig.push(&[hit(NOON_MS - 3 * DAY_MS), hit(NOON_MS - 2 * DAY_MS), hit(NOON_MS - DAY_MS)]);
    rig.settle();
    rig.push(&[Hit { received_ms: NOON_MS, ..hit(NOON_MS - 2 * DAY_MS) }]);
    rig.load();
    assert_eq!(rig.report("utc/reach")["settled_until"], "2026-11-17");
    // A range without the changed day is settled; days without events too, but not today.
    assert_eq!(rig.report("utc/reach?from=2026-11-19&to=2026-11-19")["settled_until"], "2026-11-19");
    assert_eq!(rig.report("utc/reach?from=2026-11-19&to=2026-11-20")["settled_until"], "2026-11-19");
    assert_eq!(rig.report("utc/reach?from=2026-01-01&to=2026-01-05")["settled_until"], "2026-01-05");
}

#[test]
fn old_generations_are_dropped_while_their_day_is_settled_again_and_again() {
    let rig = Rig::new();
    for n in 0..5 {
        rig.push(&[hit(NOON_MS - DAY_MS + n)]);
        rig.settle();
        rig.clock.advance_ms(10 * 60_000);
    }
    // The first two were superseded 30 and 20 minutes ago.
    assert_eq!(
        rig.sql("SELECT uniqExact(generation), max(generation) = (SELECT max(generation) FROM settled) FROM deliveries"),
        "3\t1"
    );
    assert_eq!(rig.row("utc/delivery")["impressions"], 5);
}

#[test]
fn a_day_that_lost_events_keeps_its_figures() {
    let rig = Rig::new();
    rig.push(&[hit(NOON_MS - DAY_MS), hit(NOON_MS - DAY_MS + 1)]);
    rig.settle();
    rig.push(&[hit(NOON_MS - DAY_MS + 2)]);
    rig.load();
    rig.sql("ALTER TABLE events DELETE WHERE toUnixTimestamp64Milli(time) >= 1795089600001 SETTINGS mutations_sync = 1");
    assert_eq!(rig.sql("SELECT count() FROM events"), "1");
    assert_eq!(rig.settle()["days"], json!([]));
    let report = rig.report("utc/delivery");
    assert_eq!(
        (&report["rows"][0]["impressions"], &report["settled_until"]),
        (&2.into(), &"2026-11-19".into())
    );
}

#[test]
fn a_day_whose_events_begin_to_expire_is_frozen() {
    let rig = Rig::with(CATALOG, Settings { retention_days: 40, ..Settings::default() });
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.settle();
    rig.clock.advance_ms(39 * DAY_MS);
    rig.push(&[Hit { received_ms: NOON_MS + 39 * DAY_MS, ..hit(NOON_MS - DAY_MS) }]);
    assert_eq!(rig.settle()["days"], json!([]));
    assert_eq!(rig.row("utc/delivery")["impressions"], 1);
    assert_eq!(rig.report("utc/delivery")["provisional_days"], json!([]));
}

/// Reports of figures that are made in portions, of the events as of the settled devices.
const OF_PORTIONS: [&str; 4] = ["delivery?by=hour", "reach?by=medium", "ids?by=placement", "overlap"];

#[test]
fn settling_and_counting_by_portions_gives_the_same() {
    let small = Settings { portion_hits: 300, portion_device_days: 300, ..unhurried() };
    let rigs = [Rig::with(CATALOG, unhurried()), Rig::with(CATALOG, small)];
    let hits = |from_ms: i64, salt: u64| -> Vec<Hit> {
        (0..400_u64)
            .map(|n| Hit {
                // All over the range of device keys, as hashes are.
                device: Some((n % 140 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                view: (n % 380 + 1).wrapping_mul(salt),
                placement: ["p1", "p2", "p3"][(n % 3) as usize],
                ..hit(from_ms + n as i64 * 50_000)
            })
            .collect()
    };
    let asked =
        |rig: &Rig| OF_PORTIONS.map(|query| (query, rig.report(&format!("utc/{query}"))["rows"].clone()));
    let same = |when: &str| {
        let [whole, portions] = rigs.each_ref().map(asked);
        for (whole, portions) in whole.into_iter().zip(portions) {
            assert_eq!(portions, whole, "{when}");
        }
    };
    let each = |change: &dyn Fn(&Rig)| rigs.iter().for_each(change);
    let two_days = [hits(NOON_MS - 2 * DAY_MS, 3), hits(NOON_MS - DAY_MS, 5)].concat();
    each(&|rig| {
        rig.push(&two_days);
        rig.load();
    });
    same("all from events");
    let live = rigs.each_ref().map(|rig| rig.row("utc/reach"));
    each(&|rig| drop(rig.settle()));
    same("all settled");
    for (rig, mut live) in rigs.iter().zip(live) {
        live["settled_until"] = json!("2026-11-19");
        assert_eq!(rig.row("utc/reach"), live);
    }
    // What is settled stands beside each portion of what is not, and counts once.
    let today = hits(NOON_MS - DAY_MS / 4, 7);
    each(&|rig| {
        rig.push(&today);
        rig.load();
    });
    same("some settled, some from events");
    assert_eq!(rigs[1].row("utc/delivery")["gross_impressions"], 1_200);
}

#[test]
fn devices_of_a_day_go_before_its_first_event_and_its_counts_stay() {
    const HOUR_MS: i64 = DAY_MS / 24;
    let rig = Rig::with(CATALOG, Settings { retention_days: 40, ..Settings::default() });
    let day = |back: i64| NOON_MS - back * DAY_MS;
    let of_device = |device: u64, ms: i64| Hit { device: Some(device), ..hit(ms) };
    // To the 18th somebody has brought past beacons, ten days later; to the 17th too, which had some of its own.
    let late = |device: u64, ms: i64| Hit { received_ms: day(-8), ..of_device(device, ms) };
    rig.push(&[of_device(7, day(1)), late(7, day(2)), of_device(7, day(3)), late(8, day(3))]);
    rig.clock.advance_ms(9 * DAY_MS);
    rig.settle();
    let devices = || rig.sql("SELECT toString(day), count() FROM device_days GROUP BY day ORDER BY day");
    assert_eq!(devices(), "2026-11-17\t2\n2026-11-18\t1\n2026-11-19\t1");

    // The first event of the 17th expires at noon on the 27th of December.
    rig.clock.advance_ms(28 * DAY_MS - 2 * HOUR_MS - 1);
    rig.settle();
    assert_eq!(rig.report("utc/reach")["from"], "2026-11-17");
    rig.clock.advance_ms(1);
    rig.settle();
    assert_eq!(devices().lines().count(), 3, "a report may still be reading them");
    let (status, refused) = rig.call("GET", "/v1/campaigns/utc/reach?from=2026-11-17&to=2026-11-19");
    assert_eq!(status, 422, "but none begins to: {refused}");
    assert!(refused.contains("2026-11-18"), "{refused}");
    rig.clock.advance_ms(HOUR_MS / 4 - 1);
    rig.settle();
    assert_eq!(devices().lines().count(), 3, "not while one that began before that may run");
    rig.clock.advance_ms(1);
    rig.settle();
    assert_eq!(devices(), "2026-11-18\t1\n2026-11-19\t1", "also the one whose event is kept for longer");
    assert_eq!(rig.row("utc/delivery?from=2026-11-17&to=2026-11-17")["impressions"], 2, "counts stay");
    let whole = rig.report("utc/reach");
    assert_eq!((&whole["from"], &whole["rows"][0]["reach"]), (&"2026-11-18".into(), &1.into()));

    rig.clock.advance_ms(2 * DAY_MS);
    rig.settle();
    rig.clock.advance_ms(HOUR_MS);
    rig.settle();
    assert_eq!(devices(), "2026-11-18\t1", "a day whose every event came later is kept for longer");
    rig.clock.advance_ms(9 * DAY_MS);
    rig.settle();
    rig.clock.advance_ms(HOUR_MS);
    rig.settle();
    assert_eq!(devices(), "");
    assert_eq!(rig.row("utc/delivery")["impressions"], 4);
}

#[test]
fn devices_go_also_where_their_first_events_expired_while_nobody_looked() {
    let rig = Rig::with(CATALOG, Settings { retention_days: 40, ..Settings::default() });
    let of_device = |device: u64| Hit { device: Some(device), ..hit(NOON_MS - DAY_MS) };
    rig.push(&[of_device(7), Hit { received_ms: NOON_MS + 20 * DAY_MS, ..of_device(8) }]);
    rig.clock.advance_ms(21 * DAY_MS);
    rig.settle();
    // The store let the first one go, and somebody brings two more of that day.
    rig.clock.advance_ms(30 * DAY_MS);
    let before = format!("received < fromUnixTimestamp64Milli({})", NOON_MS + DAY_MS);
    rig.sql(&format!("ALTER TABLE events DELETE WHERE {before} SETTINGS mutations_sync = 1"));
    let late = |device: u64| Hit { received_ms: NOON_MS + 51 * DAY_MS, ..of_device(device) };
    rig.push(&[late(9), late(10)]);
    rig.settle();
    rig.clock.advance_ms(DAY_MS / 24);
    rig.settle();
    assert_eq!(rig.sql("SELECT count() FROM device_days"), "0");
}

#[test]
fn the_store_itself_lets_events_go_by_their_age() {
    let rig = Rig::with(CATALOG, Settings { retention_days: 190, ..Settings::default() });
    // By the machine's clock, which is the store's.
    let now_ms = event::clock::Clock::System.now_ms();
    rig.push(&[hit(now_ms - 191 * DAY_MS), hit(now_ms - 189 * DAY_MS)]);
    rig.load();
    rig.sql("SYSTEM START TTL MERGES events");
    rig.sql("OPTIMIZE TABLE events FINAL");
    assert_eq!(
        rig.sql("SELECT count(), min(toUnixTimestamp64Milli(received)) FROM events"),
        format!("1\t{}", now_ms - 189 * DAY_MS)
    );
}
