//! What a start clears away where the store belongs to this process alone: nobody else can be at work on it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

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

/// Whether the eight bytes of a number stand in any file of a folder.
fn holds(folder: &Path, number: u64) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, number);
        }
        fs::read(path).is_ok_and(|bytes| bytes.windows(8).any(|eight| eight == number.to_le_bytes()))
    })
}

#[test]
fn a_pair_is_gone_from_the_disk_when_its_overlap_is_over() {
    const FORMER: u64 = 0x7f3a_91c4_55d2_e80b;
    const UNTIL_DAY: u16 = 20_780;
    let rig = Rig::new();
    rig.push(&[Hit {
        device: Some(1),
        epoch: 2,
        former: Some((FORMER, UNTIL_DAY)),
        ..hit(NOON_MS - DAY_MS)
    }]);
    rig.settle();
    let folders = "SELECT arrayJoin(data_paths) FROM system.tables WHERE database = currentDatabase() AND name = 'device_pairs'";
    let folder = rig.sql(folders);
    let folder = Path::new(&folder);
    assert!(holds(folder, FORMER), "it is found while the overlap runs");
    rig.clock.advance_ms(i64::from(UNTIL_DAY) * DAY_MS - NOON_MS);
    rig.settle();
    let since = Instant::now();
    while holds(folder, FORMER) {
        assert!(since.elapsed() < Duration::from_mins(1), "it is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}
