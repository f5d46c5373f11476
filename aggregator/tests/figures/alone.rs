//! What a start clears away where the store belongs to this process alone: nobody else can be at work on it.

use serde_json::json;

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, hit, sql};

#[test]
fn what_a_crash_left_unpublished_is_dropped() {
    let mut rig = Rig::new();
    rig.push(&[Hit { device: Some(1), ..hit(NOON_MS - DAY_MS) }]);
    rig.settle();
    let reach = rig.report("utc/reach?by=day");
    let database = rig.database.clone();
    rig.restart(|_| {
        // A settle step that died before it published.
        for text in [
            "INSERT INTO device_days SELECT campaign, 5, placement, day, generation + 77, device_kind, 9, 9, 9, 9 FROM device_days",
            "INSERT INTO deliveries SELECT * REPLACE (generation + 77 AS generation) FROM deliveries",
        ] {
            sql(&database, text);
        }
    });
    assert_eq!(rig.report("utc/reach?by=day"), reach);
    assert_eq!(rig.sql("SELECT uniqExact(generation) FROM device_days"), "1");
    assert_eq!(rig.sql("SELECT uniqExact(generation) FROM deliveries"), "1");
    rig.push(&[Hit { device: Some(2), ..hit(NOON_MS - DAY_MS) }]);
    rig.settle();
    assert_eq!(rig.row("utc/reach")["reach"], 2);
}

#[test]
fn a_mark_without_its_rows_only_settles_the_day_once_more() {
    let mut rig = Rig::new();
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.settle();
    let database = rig.database.clone();
    // A crash between the mark and the insert.
    rig.restart(|_| {
        sql(&database, "INSERT INTO marks VALUES ('2026-11-19', 7, 2, 0, '2026-11-20 12:00:00')");
    });
    assert_eq!(rig.report("utc/reach")["settled_until"], json!(null));
    assert_eq!(rig.settle()["days"].as_array().expect("days").len(), 1);
    assert_eq!(rig.report("utc/reach")["settled_until"], "2026-11-19");
    rig.push(&[hit(NOON_MS - DAY_MS + 1)]);
    rig.load();
    assert_eq!(rig.report("utc/reach")["settled_until"], json!(null));
}

#[test]
fn old_generations_are_dropped_when_no_report_can_read_them() {
    let mut rig = Rig::new();
    for n in 0..3 {
        rig.push(&[hit(NOON_MS - DAY_MS + n)]);
        rig.settle();
    }
    assert_eq!(rig.sql("SELECT uniqExact(generation) FROM deliveries"), "3");
    rig.restart(|_| ());
    assert_eq!(rig.sql("SELECT uniqExact(generation) FROM deliveries"), "1");
    assert_eq!(rig.row("utc/delivery")["impressions"], 3);
}
