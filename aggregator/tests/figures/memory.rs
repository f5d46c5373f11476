//! What a report holds in memory: one portion of its devices, however many there are.
//!
//! From a third of `statement_bytes_max` on, the engine goes on on the disk and counts that it did: so many devices do not fit in at once, and a portion of
//! them has to.

use aggregator::Settings;

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, hit, unhurried};

const DEVICES: u64 = 2_000_000;

/// With the least memory that may be set.
fn settings(portion_device_days: u64) -> Settings {
    Settings {
        statement_bytes_max: 256 << 20,
        exact_device_days: u64::MAX,
        portion_device_days,
        ..unhurried()
    }
}

/// How often grouping went on on the disk, in this process.
fn spilled(rig: &Rig) -> u64 {
    let count = rig.sql("SELECT sum(value) FROM system.events WHERE event = 'ExternalAggregationWritePart'");
    count.parse().expect("a number")
}

#[test]
fn a_report_of_many_devices_holds_one_portion_of_them_in_memory() {
    let mut rig = Rig::with(CATALOG, settings(100_000));
    rig.push(&[Hit { device: Some(1), ..hit(NOON_MS - DAY_MS) }]);
    rig.settle();
    rig.sql(&format!(
        "INSERT INTO device_days SELECT campaign, cityHash64(number) AS device, placement, day, generation, device_kind, 1, 1, 0, 0 \
         FROM numbers({DEVICES}) AS numbers CROSS JOIN device_days"
    ));
    let before = spilled(&rig);
    for query in ["reach", "reach?by=placement", "reach?by=day", "overlap?by=placement"] {
        let rows = rig.rows(&format!("utc/{query}"));
        assert_eq!(rows[0]["reach"], DEVICES + 1, "{query}");
        assert_eq!(spilled(&rig), before, "{query} held more than a portion");
    }
    // All of them at once are too many, so what was looked at tells.
    rig.settings = settings(u64::MAX);
    rig.restart(|_| {});
    assert_eq!(rig.row("utc/reach")["reach"], DEVICES + 1);
    assert!(spilled(&rig) > before, "all devices at once fit in");
}
