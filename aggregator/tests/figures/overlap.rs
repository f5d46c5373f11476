//! Over a rotation of the device keys: while the two overlap a device that is seen on both sides counts once, afterwards twice, and what is settled
//! never changes by it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use aggregator::{Erased, Erasure, Settings};
use event::key::DeviceKey;
use event::record::Platform;
use serde_json::{Value, json};

use crate::access::token;
use crate::oracle::{ZONES, catalog, check_campaign, judge, workload};
use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Random, Rig, hit, seed};

const PATIENCE: Duration = Duration::from_mins(1);
const HOUR_MS: i64 = 3_600_000;
/// 2026-11-23, three days after the clock of the tests.
const UNTIL_DAY: u16 = 20_780;

/// What a device is under the key before.
fn former(device: u64) -> u64 {
    device + 1_000_000
}

/// A hit of a device from before the rotation.
fn before(device: u64, time_ms: i64) -> Hit {
    Hit { device: Some(former(device)), epoch: 1, ..hit(time_ms) }
}

/// A hit of a device from the time of the overlap.
fn within(device: u64, time_ms: i64) -> Hit {
    Hit { device: Some(device), epoch: 2, former: Some((former(device), UNTIL_DAY)), ..hit(time_ms) }
}

fn end_the_overlap(rig: &Rig) {
    rig.clock.advance_ms(i64::from(UNTIL_DAY) * DAY_MS - NOON_MS);
}

fn reach(rig: &Rig, query: &str) -> (u64, u64) {
    let row = rig.row(&format!("utc/reach{query}"));
    let number = |name: &str| row[name].as_u64().expect("a number");
    (number("reach"), number("impressions"))
}

fn pairs(rig: &Rig, what: &str) -> String {
    rig.sql(&format!("SELECT count() FROM device_pairs WHERE {what}"))
}

fn load_again(rig: &mut Rig) {
    rig.restart(|rig| {
        rig.lane.remove_cursor("aggregator").expect("the cursor goes");
        for table in ["events", "settled", "device_days", "id_days", "deliveries", "marks", "device_pairs"] {
            rig.sql(&format!("TRUNCATE TABLE {table}"));
        }
    });
    rig.settle();
}

/// Devices 1 to 6 three days ago, 4 to 9 behind the rotation, of which 4 and 5 today as well.
fn traffic() -> Vec<Hit> {
    let mut hits: Vec<Hit> =
        (1..=6).map(|device| before(device, NOON_MS - 3 * DAY_MS + device as i64)).collect();
    hits.extend((4..=9).map(|device| within(device, NOON_MS - DAY_MS + device as i64)));
    hits.push(within(4, NOON_MS - 1_000));
    hits.push(Hit { former: None, ..within(5, NOON_MS - 1_000) });
    hits
}

#[test]
fn a_device_on_both_sides_counts_once_while_the_overlap_runs() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.load();
    assert_eq!(pairs(&rig, "1"), "6", "once for each device");
    assert_eq!(pairs(&rig, "former = device + 1000000 AND epoch_former = 1 AND epoch = 2"), "6");
    for settled in [false, true] {
        assert_eq!(reach(&rig, ""), (9, 14), "settled: {settled}");
        for by in ["placement", "medium", "id_kind", "creative", "region", "platform"] {
            assert_eq!(reach(&rig, &format!("?by={by}")), (9, 14), "by {by}, settled: {settled}");
        }
        let days: Vec<Value> = rig
            .rows("utc/reach?by=day")
            .iter()
            .map(|row| json!([row["key"], row["reach"], row["cumulative_reach"]]))
            .collect();
        assert_eq!(json!(days), json!([["2026-11-17", 6, 6], ["2026-11-19", 6, 9], ["2026-11-20", 2, 9]]));
        let frequency: Vec<Value> =
            rig.rows("utc/frequency").iter().map(|row| row["devices"].clone()).collect();
        // 4 and 5 three times, 6 twice, the others once.
        assert_eq!(json!(frequency), json!([6, 1, 2]));
        rig.settle();
    }
    let told = json!([{"day": "2026-11-19", "matched": "yes", "until": "2026-11-23"}]);
    assert_eq!(rig.report("utc/reach")["key_changes"], told);
    assert_eq!(rig.report("utc/frequency")["key_changes"], told);
    // Nobody has to know where only one key is.
    assert_eq!(rig.report("utc/reach?from=2026-11-18")["key_changes"], Value::Null);
    assert_eq!(rig.report("utc/delivery")["key_changes"], Value::Null);
}

/// Thirty devices with two hits each are too few to be shown; taken for sixty they would not be.
#[test]
fn a_row_that_is_shaped_stands_for_the_devices_of_both_keys_once() {
    let rig = Rig::new();
    let medium = token(&rig, &json!({"name": "A", "role": "medium", "media": ["Medium A"]})).1;
    let on_both = |devices: RangeInclusive<u64>, change: fn(Hit) -> Hit| -> Vec<Hit> {
        let of = |device| {
            let after = device as i64;
            [before(device, NOON_MS - 3 * DAY_MS + after), within(device, NOON_MS - DAY_MS + after)]
        };
        devices.flat_map(of).map(change).collect()
    };
    rig.push(&on_both(1..=200, |hit| hit));
    let rare = |hit| Hit { region: "CN-54", creative: "rare", platform: Platform::Tv, ..hit };
    rig.push(&on_both(301..=330, rare));
    rig.push(&on_both(401..=430, |hit| Hit { placement: "p3", ..hit }));
    rig.settle();
    let ask = |query: &str| -> Value {
        let (status, body) = rig.call_as("GET", &format!("/v1/campaigns/utc/{query}"), Some(&medium));
        assert_eq!(status, 200, "{query}: {body}");
        serde_json::from_str(&body).expect("JSON")
    };
    let told = json!([{"day": "2026-11-19", "matched": "yes", "until": "2026-11-23"}]);
    for is_over in [false, true] {
        let total = ask("reach");
        let (reach, key_changes) = if is_over {
            (520, json!([{"day": "2026-11-19", "matched": "no"}]))
        } else {
            (260, told.clone())
        };
        assert_eq!((&total["rows"][0]["reach"], &total["key_changes"]), (&reach.into(), &key_changes));
        assert_eq!(ask("delivery")["key_changes"], Value::Null, "it counts devices for itself alone");
        for (by, key) in [("region", "CN-54"), ("creative", "rare"), ("platform", "tv"), ("placement", "p3")]
        {
            for kind in ["reach", "delivery", "frequency", "ids"] {
                if kind == "ids" && ["region", "creative"].contains(&by) {
                    continue;
                }
                let report = ask(&format!("{kind}?by={by}"));
                let row = report["rows"].as_array().expect("rows").iter().find(|row| row["key"] == key);
                let impressions = &row.expect("a row")["impressions"];
                let shown = if is_over { json!(60) } else { Value::Null };
                assert_eq!(impressions, &shown, "{kind} by {by}, the overlap is over: {is_over}");
            }
        }
        end_the_overlap(&rig);
    }
}

#[test]
fn nothing_ties_the_two_keys_when_the_overlap_is_over() {
    let mut rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    let stored = "SELECT count(), sum(cityHash64(*)) FROM device_days";
    let settled = rig.sql(stored);
    assert_eq!(reach(&rig, ""), (9, 14));
    end_the_overlap(&rig);
    // By the clock, before anybody has dropped the pairs.
    assert_eq!(reach(&rig, ""), (12, 14));
    assert_eq!(rig.report("utc/reach")["key_changes"], json!([{"day": "2026-11-19", "matched": "no"}]));
    assert_eq!(rig.report("utc/reach")["provisional_days"], json!([]), "no day is to be settled again");
    assert_eq!(pairs(&rig, "1"), "6");
    rig.settle();
    assert_eq!(pairs(&rig, "1"), "0");
    assert_eq!(rig.sql(stored), settled, "what is settled stays");
    // The journal still holds both keys; nobody takes them from there any more.
    load_again(&mut rig);
    assert_eq!((pairs(&rig, "1"), reach(&rig, "")), ("0".to_owned(), (12, 14)));
}

#[test]
fn pairs_go_on_their_day_though_nothing_can_be_settled() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.load();
    end_the_overlap(&rig);
    assert_eq!(pairs(&rig, "1"), "6");
    // The first that settling reads.
    rig.sql("RENAME TABLE marks TO marks_away");
    let (status, text) = rig.call("POST", "/v1/settle");
    assert_eq!((status, pairs(&rig, "1").as_str()), (500, "0"), "{text}");
    rig.sql("RENAME TABLE marks_away TO marks");
    rig.settle();
    assert_eq!(reach(&rig, ""), (12, 14));
}

/// A cut breaks an overlap off, and another one may follow at once: the pairs of both live, and no key stands in both.
#[test]
fn pairs_of_two_overlaps_with_a_cut_between_tie_two_and_two() {
    let rig = Rig::new();
    let at = |device: u64, epoch: u16, days: i64, former: Option<u64>| Hit {
        device: Some(device),
        epoch,
        former: former.map(|former| (former, UNTIL_DAY)),
        ..hit(NOON_MS - days * DAY_MS)
    };
    rig.push(&[at(11, 1, 4, None), at(12, 2, 3, Some(11)), at(13, 3, 2, None), at(14, 4, 1, Some(13))]);
    rig.settle();
    assert_eq!(reach(&rig, ""), (2, 4));
    let changes = rig.report("utc/reach")["key_changes"].clone();
    let matched: Vec<&Value> =
        changes.as_array().expect("a list").iter().map(|one| &one["matched"]).collect();
    assert_eq!(matched, ["yes", "no", "yes"]);
}

#[test]
fn an_erasure_takes_both_keys_and_their_pair() {
    let key = |device: u64| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&device.to_be_bytes());
        DeviceKey(key)
    };
    let mut rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    assert_eq!(reach(&rig, ""), (9, 14));
    let devices = [key(former(4)), key(4)];
    let erasure = Erasure { request: 1, devices: &devices, until_ms: NOON_MS + 1 };
    let erased: Erased = rig.rights().erase(&erasure).expect("it is erased");
    assert_eq!(erased.events, 3);
    assert_eq!(reach(&rig, ""), (8, 14), "exactly one less");
    assert_eq!((pairs(&rig, "1"), pairs(&rig, "device = 4 OR former = 1000004")), ("5".into(), "0".into()));

    // Behind the erasure it is a new device, with a pair of its own that ties it to nothing.
    rig.clock.advance_ms(60_000);
    rig.push(&[within(4, NOON_MS + 30_000)]);
    rig.settle();
    assert_eq!((reach(&rig, ""), pairs(&rig, "device = 4").as_str()), ((9, 15), "1"));
    load_again(&mut rig);
    assert_eq!(
        (reach(&rig, ""), pairs(&rig, "1"), pairs(&rig, "device = 4")),
        ((9, 15), "6".into(), "1".into())
    );
}

#[test]
fn an_overlap_that_is_over_when_a_hit_is_read_gives_no_pair() {
    let rig = Rig::new();
    end_the_overlap(&rig);
    rig.push(&traffic());
    // Without a settle step, which would drop what there should not be.
    let since = Instant::now();
    while rig.sql("SELECT count() FROM events") != "14" {
        assert!(since.elapsed() < PATIENCE, "the loader stands still");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((pairs(&rig, "1"), reach(&rig, "")), ("0".to_owned(), (12, 14)));
}

#[test]
fn a_hit_of_a_trial_placement_gives_no_pair() {
    let rig = Rig::new();
    rig.push(&[Hit { flags: event::record::flag::TRIAL, ..within(2, NOON_MS) }, within(3, NOON_MS)]);
    rig.load();
    assert_eq!((pairs(&rig, "1"), pairs(&rig, "device = 3")), ("1".into(), "1".into()));
}

#[test]
fn a_device_known_from_an_unresolved_hit_alone_is_tied_when_that_is_adopted() {
    let rig = Rig::new();
    rig.push(&[before(1, NOON_MS - DAY_MS), Hit { placement: "new", ..within(1, NOON_MS) }]);
    rig.settle();
    assert_eq!(reach(&rig, ""), (1, 1));
    rig.set_catalog(&format!(
        "{CATALOG}[[campaign.placement]]\nid = \"new\"\nname = \"New\"\nmedium = \"Medium C\"\n"
    ));
    rig.settle();
    assert_eq!(reach(&rig, ""), (1, 2));
}

#[test]
fn a_table_that_was_full_is_told() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    rig.sql(&format!("INSERT INTO device_pairs VALUES (0, 0, 1, 2, {UNTIL_DAY})"));
    assert_eq!(reach(&rig, ""), (9, 14), "those that there are tie");
    assert_eq!(reach(&rig, "?by=creative"), (9, 14));
    assert_eq!(rig.report("utc/reach")["key_changes"][0]["matched"], "some");
}

/// The workload of the oracle with a rotation on its third day and a day of overlap, in plain code and by the reports. Nodes rotate within six hours:
/// then a device may be stored by one under the new key, and by another under the old one.
#[test]
fn random_workloads_over_a_rotation_agree_with_plain_code() {
    let number = seed();
    let mut random = Random(number);
    let rotation_ms = NOON_MS - 19 * DAY_MS;
    let mut hits = workload(&mut random);
    let mut tied = BTreeSet::new();
    for hit in &mut hits {
        let Some(device) = hit.device else { continue };
        let is_between = (rotation_ms - 6 * HOUR_MS..rotation_ms).contains(&hit.time_ms);
        if hit.time_ms < rotation_ms && (!is_between || random.below(2) == 0) {
            (hit.device, hit.epoch) = (Some(former(device)), 1);
        } else {
            hit.epoch = 2;
            if hit.time_ms < rotation_ms + DAY_MS {
                hit.former = Some((former(device), UNTIL_DAY));
                tied.insert(former(device));
            }
        }
    }
    assert!(tied.len() > 50, "there is something to tie");
    let rig = Rig::with(&catalog(), Settings { batch_events_max: 700, ..Settings::default() });
    let (first, second) = hits.split_at(random.below(hits.len() as u64) as usize);
    rig.push(second);
    rig.settle();
    rig.push(first);
    rig.settle();
    let one = |hit: &Hit| {
        let device =
            hit.device.map(|device| if tied.contains(&device) { device - former(0) } else { device });
        Hit { device, ..hit.clone() }
    };
    let as_one: Vec<Hit> = hits.iter().map(one).collect();
    for (campaign, zone) in ZONES {
        check_campaign(&rig, campaign, &judge(&as_one, campaign, zone));
    }
    end_the_overlap(&rig);
    for (campaign, zone) in ZONES {
        check_campaign(&rig, campaign, &judge(&hits, campaign, zone));
    }
}
