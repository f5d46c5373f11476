//! Erasures on a store that several aggregators share: what one erases, the others do not bring back.

use aggregator::{Erased, Erasure};
use event::key::DeviceKey;

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, hit};

/// After every hit here.
const UNTIL_MS: i64 = NOON_MS + 1;

fn erase(rig: &Rig) -> Erased {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&7_u64.to_be_bytes());
    let erasure = Erasure { request: 1, devices: &[DeviceKey(key)], until_ms: UNTIL_MS };
    rig.rights().erase(&erasure).expect("it is erased")
}

fn traffic(placement: &'static str) -> [Hit; 2] {
    [7, 8].map(|device| Hit { placement, device: Some(device), ..hit(NOON_MS - DAY_MS) })
}

/// Hits, those with a device, those with an agent.
fn stored(rig: &Rig) -> String {
    rig.sql(
        "SELECT count(), countIf(device != 0), countIf(agent != '') FROM (SELECT device, agent FROM events UNION ALL \
         SELECT device, agent FROM unresolved UNION ALL SELECT device, agent FROM trial_events)",
    )
}

#[test]
fn who_did_not_hear_of_an_erasure_blanks_behind_its_insert() {
    let one = Rig::new();
    let other = one.beside();
    one.push(&traffic("p1"));
    one.load();
    assert_eq!(erase(&one).events, 1);
    assert_eq!(stored(&one), "2\t1\t1");
    // The other one runs, and has only the table to know it from.
    other.push(&traffic("p2"));
    other.push(&traffic("new"));
    other.load();
    assert_eq!(stored(&one), "6\t3\t3");
    other.settle();
    assert_eq!(one.sql("SELECT uniqExact(device) FROM device_days WHERE device != 0"), "1");
}

#[test]
fn what_a_dead_aggregator_left_is_blanked_when_its_mark_is_given_up() {
    let one = Rig::new();
    one.push(&traffic("p1"));
    one.settle();
    erase(&one);
    // As an aggregator leaves it that died behind its insert: the rows, and an open mark.
    one.sql("INSERT INTO events SELECT * REPLACE (9 AS journal, 7 AS device, 'left' AS agent) FROM events LIMIT 1");
    one.sql("INSERT INTO marks SELECT day, 99, 2, 0, fromUnixTimestamp64Milli(0, 'UTC') FROM events LIMIT 1");
    assert_eq!(stored(&one), "3\t2\t2");
    one.settle();
    assert_eq!(stored(&one), "3\t1\t1");
    assert_eq!(one.row("utc/reach")["reach"], 1);
}

/// A hit that one of them adopts while another erases its device.
#[test]
fn adoption_by_another_one_carries_no_device_over() {
    let one = Rig::new();
    let other = one.beside();
    one.push(&traffic("new"));
    one.load();
    // The tombstone alone, as the other one finds it when it erases a moment later.
    one.sql(&format!(
        "INSERT INTO tombstones VALUES (7, fromUnixTimestamp64Milli({UNTIL_MS}, 'UTC'), now64(3))"
    ));
    other.set_catalog(&format!(
        "{CATALOG}[[campaign.placement]]\nid = \"new\"\nname = \"New\"\nmedium = \"Medium C\"\n"
    ));
    other.settle();
    assert_eq!(one.sql("SELECT count(), countIf(device = 7) FROM events"), "2\t0");
}
