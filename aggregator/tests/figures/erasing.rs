//! Erasures and copies: what goes, what stays, what a rebuild of the store brings back, and what happens when one is broken off.

use aggregator::{Erased, Erasure, Settings, Tombstone};
use event::key::DeviceKey;
use event::record::flag;
use serde_json::Value;

use crate::rig::{DAY_MS, Hit, NOON_MS, PHONE, Rig, hit};

/// When the erasures here are asked for: after every hit but the late ones.
const UNTIL_MS: i64 = NOON_MS + 1;

fn key(device: u64) -> DeviceKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&device.to_be_bytes());
    DeviceKey(key)
}

fn erase(rig: &Rig, request: u64, devices: &[u64]) -> Erased {
    let devices: Vec<DeviceKey> = devices.iter().copied().map(key).collect();
    let erasure = Erasure { request, devices: &devices, until_ms: UNTIL_MS };
    rig.rights().erase(&erasure).expect("it is erased")
}

/// Two days and today: device 7 on each, others beside it, one unresolved and hits of a view.
fn traffic() -> Vec<Hit> {
    let mut hits = Vec::new();
    for (day, others) in [(2, 1..5), (1, 3..9), (0, 1..3)] {
        for device in others.chain([7, 7]) {
            let time_ms = NOON_MS - day * DAY_MS - hits.len() as i64;
            hits.push(Hit { device: Some(device), view: 100 + hits.len() as u64, ..hit(time_ms) });
        }
    }
    hits.push(Hit { placement: "new", device: Some(7), ..hit(NOON_MS - DAY_MS) });
    hits
}

fn reach(rig: &Rig) -> (u64, u64, u64) {
    let row = rig.row("utc/reach");
    let number = |name: &str| row[name].as_u64().expect("a number");
    (number("reach"), number("impressions"), number("identified_impressions"))
}

/// What of the device is in any table of events.
fn stored(rig: &Rig, what: &str) -> String {
    rig.sql(&format!(
        "SELECT count() FROM (SELECT device, network, agent FROM events UNION ALL SELECT device, network, agent FROM unresolved \
         UNION ALL SELECT device, network, agent FROM trial_events) WHERE {what}"
    ))
}

#[test]
fn erasing_a_device_takes_one_from_the_reach_and_nothing_from_the_impressions() {
    let mut rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    let before = reach(&rig);
    let delivered = rig.report("utc/delivery?by=day");
    let erased = erase(&rig, 1, &[7, 4_000]);
    // On yesterday another hit of device 7 stands among the others.
    assert_eq!((erased.events, erased.unresolved, erased.trial_events), (7, 1, 0));
    assert_eq!((erased.days_settled, erased.days_standing), (3, 0));
    let after = reach(&rig);
    assert_eq!((after.0, after.1, after.2), (before.0 - 1, before.1, before.2 - 7));
    for (row, then) in rig.report("utc/delivery?by=day")["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .zip(delivered["rows"].as_array().expect("rows"))
    {
        assert_eq!(
            (&row["gross_impressions"], &row["net_impressions"]),
            (&then["gross_impressions"], &then["net_impressions"])
        );
    }
    assert_eq!(stored(&rig, "device = 7"), "0");
    assert_eq!(stored(&rig, "device = 0 AND (network != 0 OR agent != '')"), "0");
    assert_eq!(rig.sql("SELECT count() FROM device_days WHERE device = 7"), "0");

    // Once more it says the same and changes nothing.
    let again = erase(&rig, 1, &[7, 4_000]);
    assert_eq!((again.events, again.unresolved), (7, 1));
    assert_eq!(reach(&rig), after);

    // The rest is loaded again from the journal, as it came: nothing comes back.
    rig.restart(|rig| {
        rig.lane.remove_cursor("aggregator").expect("the cursor goes");
        for table in ["events", "unresolved", "settled", "device_days", "deliveries", "marks"] {
            rig.sql(&format!("TRUNCATE TABLE {table}"));
        }
    });
    rig.settle();
    assert_eq!(reach(&rig), after);
    assert_eq!(stored(&rig, "device = 7"), "0");
    assert_eq!(stored(&rig, "device = 0 AND (network != 0 OR agent != '')"), "0");
}

/// Net impressions by what the lists say of agent and network stay as they are, over a rebuild too.
#[test]
fn what_the_lists_take_out_of_net_stays_out_when_it_is_erased() {
    let settings =
        Settings { data_center_networks: vec!["198.51.100.0/24".to_owned()], ..Settings::default() };
    let mut rig = Rig::with(crate::rig::CATALOG, settings);
    let agents = [
        "Mozilla/5.0 (compatible; Googlebot/2.1)",
        "Somebot/1.0",
        "curl/8.0",
        "Python/3.12 aiohttp/3.9",
        PHONE,
    ];
    let mut hits: Vec<Hit> = Vec::new();
    for (placement, device) in [("p1", 7), ("new", 7), ("p1", 8)] {
        hits.extend(agents.iter().map(|agent| Hit {
            placement,
            device: Some(device),
            agent: (*agent).to_owned(),
            ..hit(NOON_MS - DAY_MS)
        }));
        let network = vec![198, 51, 100];
        hits.push(Hit { placement, device: Some(device), network, ..hit(NOON_MS - DAY_MS) });
    }
    let net = |rig: &Rig| {
        rig.settle();
        let row = rig.row("utc/delivery");
        ["gross_impressions", "net_impressions", "robot", "non_browser", "data_center"].map(|name| {
            row.get(name).or_else(|| row["removed_impressions"].get(name)).and_then(Value::as_u64)
        })
    };
    rig.push(&hits);
    let before = net(&rig);
    assert_eq!(before, [Some(12), Some(2), Some(4), Some(4), Some(2)]);
    erase(&rig, 1, &[7]);
    assert_eq!(net(&rig), before);
    let kept = "SELECT DISTINCT agent, network FROM events WHERE device = 0 ORDER BY ALL";
    let words = format!("\t0\n\t{}\ncurl/erased\t0\nerasedbot\t0", 0x0400_0000_00c6_3364_u64);
    assert_eq!(rig.sql(kept), words.trim());
    rig.restart(|rig| {
        rig.lane.remove_cursor("aggregator").expect("the cursor goes");
        for table in ["events", "unresolved", "settled", "device_days", "deliveries", "marks"] {
            rig.sql(&format!("TRUNCATE TABLE {table}"));
        }
    });
    assert_eq!(net(&rig), before);
    assert_eq!(rig.sql(kept), words.trim());
    // Adopted, they are judged like the others.
    rig.set_catalog(&format!(
        "{}[[campaign.placement]]\nid = \"new\"\nname = \"New\"\nmedium = \"Medium C\"\n",
        crate::rig::CATALOG
    ));
    assert_eq!(net(&rig), [Some(18), Some(3), Some(6), Some(6), Some(3)]);
}

/// Two devices at one placement of one view are two impressions. When one is erased the other stays what it was.
#[test]
fn the_other_device_of_a_shared_view_stays_in_net_and_in_the_reach() {
    let mut rig = Rig::new();
    let of = |device: u64, minutes: i64| Hit {
        device: Some(device),
        view: 5,
        ..hit(NOON_MS - DAY_MS + minutes * 60_000)
    };
    // Device 8 once more: a repeat.
    rig.push(&[of(7, 0), of(8, 10), of(8, 20)]);
    let counted = |rig: &Rig| {
        rig.settle();
        let row = rig.row("utc/delivery");
        let number = |name: &str| row[name].as_u64().expect("a number");
        (number("gross_impressions"), number("net_impressions"), reach(rig).0)
    };
    let before = counted(&rig);
    assert_eq!(before, (3, 2, 2));
    erase(&rig, 1, &[7]);
    for _ in 0..2 {
        assert_eq!(counted(&rig), (3, 2, 1));
        assert_eq!(
            rig.sql("SELECT count() FROM events WHERE device = 0 AND bitTest(flags, 24) AND epoch = 1"),
            "1"
        );
        rig.restart(|rig| {
            rig.lane.remove_cursor("aggregator").expect("the cursor goes");
            for table in ["events", "settled", "device_days", "deliveries", "marks"] {
                rig.sql(&format!("TRUNCATE TABLE {table}"));
            }
        });
    }
}

/// The tables beside events: tests of placements, and devices over the ceiling.
#[test]
fn what_stands_beside_the_events_goes_too() {
    let settings = Settings { device_day_impressions_max: 20, ..Settings::default() };
    let mut rig = Rig::with(crate::rig::CATALOG, settings);
    let seen = |device, flags, count| {
        (0..count).map(move |n| Hit { device: Some(device), flags, ..hit(NOON_MS - DAY_MS - n) })
    };
    let hits: Vec<Hit> =
        seen(7, 0, 30).chain(seen(8, 0, 30)).chain(seen(7, flag::TRIAL, 2)).chain(seen(9, 0, 1)).collect();
    rig.push(&hits);
    rig.settle();
    let before = reach(&rig);
    assert_eq!(before, (1, 61, 1), "both are over the ceiling");
    assert_eq!(rig.sql("SELECT arraySort(groupArray(device)) FROM devices_set_aside"), "[7,8]");
    assert_eq!(stored(&rig, "device = 7"), "32");
    let erased = erase(&rig, 1, &[7]);
    assert_eq!((erased.events, erased.trial_events, erased.unresolved), (30, 2, 0));
    for _ in 0..2 {
        assert_eq!(reach(&rig), before);
        assert_eq!(rig.sql("SELECT arraySort(groupUniqArray(device)) FROM devices_set_aside"), "[8]");
        assert_eq!(stored(&rig, "device = 7"), "0");
        assert_eq!(stored(&rig, "device = 0 AND (network != 0 OR agent != '')"), "0");
        rig.restart(|rig| {
            rig.lane.remove_cursor("aggregator").expect("the cursor goes");
            for table in ["events", "trial_events", "settled", "device_days", "deliveries", "marks"] {
                rig.sql(&format!("TRUNCATE TABLE {table}"));
            }
        });
        rig.settle();
    }
}

#[test]
fn a_store_that_was_lost_does_not_bring_an_erased_device_back() {
    let mut rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    erase(&rig, 1, &[7]);
    let after = reach(&rig);
    rig.tombstones = vec![Tombstone { devices: vec![key(7)], until_ms: UNTIL_MS }];
    rig.restart(|rig| {
        rig.lane.remove_cursor("aggregator").expect("the cursor goes");
        // A folder that was deleted.
        rig.sql(&format!("DROP DATABASE {}", rig.database));
    });
    rig.settle();
    assert_eq!(reach(&rig), after);
    assert_eq!(stored(&rig, "device = 7"), "0");
}

#[test]
fn a_hit_received_later_is_a_device_and_one_that_was_only_late_is_not() {
    let rig = Rig::new();
    rig.push(&[Hit { device: Some(7), ..hit(NOON_MS) }]);
    rig.load();
    erase(&rig, 1, &[7]);
    rig.push(&[
        Hit { device: Some(7), ..hit(UNTIL_MS - 1) },
        Hit { device: Some(7), received_ms: UNTIL_MS, ..hit(NOON_MS) },
    ]);
    rig.load();
    assert_eq!(rig.sql("SELECT count(), countIf(device = 7) FROM events"), "3\t1");
}

#[test]
fn who_was_never_stored_is_not_found() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    let before = rig.report("utc/reach?by=day");
    let erased = erase(&rig, 1, &[77]);
    assert!(erased.is_nothing());
    assert_eq!(rig.report("utc/reach?by=day"), before);
}

#[test]
fn an_erasure_that_was_broken_off_goes_on_and_knows_what_it_found() {
    let mut rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    let before = reach(&rig);
    // As a crash leaves it in the midst of blanking: counted, marked, one table done.
    rig.restart(|rig| {
        rig.sql("INSERT INTO erasures SELECT 1, now64(3), 1, 7, 1, 0, 5, groupUniqArray(day), [] FROM events WHERE device = 7");
        rig.sql("ALTER TABLE events UPDATE device = 0, device_kind = 0, epoch = 0, network = 0, agent = '' WHERE device = 7 SETTINGS mutations_sync = 1");
    });
    let erased = erase(&rig, 1, &[7]);
    assert_eq!((erased.events, erased.unresolved, erased.days_settled), (7, 1, 3));
    let after = reach(&rig);
    assert_eq!((after.0, after.1), (before.0 - 1, before.1));
    assert_eq!(stored(&rig, "device = 7"), "0");
    assert_eq!(
        rig.sql("SELECT count() FROM erasures WHERE salt != 0"),
        "0",
        "nobody can tell what became of the device"
    );
}

#[test]
fn figures_that_stand_keep_their_counts_and_know_the_device_no_more() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    // The events of the first day have expired.
    rig.sql("ALTER TABLE events DELETE WHERE day = '2026-11-18' SETTINGS mutations_sync = 1");
    let first = |rig: &Rig| rig.row("utc/reach?from=2026-11-18&to=2026-11-18");
    let before = first(&rig);
    let erased = erase(&rig, 1, &[7]);
    assert_eq!((erased.events, erased.days_settled, erased.days_standing), (5, 2, 1));
    assert_eq!(first(&rig), before);
    assert_eq!(rig.sql("SELECT count() FROM device_days WHERE device = 7"), "0");
    // Once more: nothing is there to be made unknown, and it says what it found.
    assert_eq!(erase(&rig, 1, &[7]), Erased { days_settled: 2, ..erased });
    assert_eq!(first(&rig), before);
}

/// Two devices of a person: who knows what tied them before must not find one by the other.
#[test]
fn devices_of_one_erasure_are_not_tied_by_what_they_become() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    rig.sql("ALTER TABLE events DELETE WHERE day = '2026-11-18' SETTINGS mutations_sync = 1");
    let first_day = "FROM device_days WHERE day = '2026-11-18' AND (day, generation) IN (SELECT day, max(generation) FROM settled GROUP BY day)";
    let difference = |devices: &str| {
        rig.sql(&format!(
            "SELECT groupBitXor(device) FROM (SELECT DISTINCT device {first_day} AND device {devices})"
        ))
    };
    assert_eq!(difference("IN (3, 4)"), "7", "both stand in the figures of that day");
    assert_eq!(erase(&rig, 1, &[3, 4]).days_standing, 1);
    assert_eq!(difference("IN (3, 4)"), "0");
    assert_eq!(rig.sql(&format!("SELECT uniqExact(device) {first_day} AND device > 9")), "2");
    assert_ne!(difference("> 9"), "7");
}

/// Broken off when the device is gone from the figures, before anybody heard of it: it must not say then that nothing was there.
#[test]
fn an_erasure_that_found_the_device_only_in_figures_that_stand_still_knows() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    for table in ["events", "unresolved"] {
        rig.sql(&format!("ALTER TABLE {table} DELETE WHERE 1 SETTINGS mutations_sync = 1"));
    }
    let erased = erase(&rig, 1, &[7]);
    assert_eq!((erased.events, erased.unresolved, erased.days_standing), (0, 0, 3));
    let again = erase(&rig, 1, &[7]);
    assert!(!again.is_nothing());
    assert_eq!(again.days_standing, 3);
}

/// What stands in the journal when the erasure is asked for is found, whether or not the loader had come to it.
#[test]
fn what_is_not_loaded_yet_is_found_and_counted() {
    let rig = Rig::new();
    rig.push(&traffic());
    let erased = erase(&rig, 1, &[7]);
    assert_eq!((erased.events, erased.unresolved), (7, 1));
}

#[test]
fn what_was_erased_is_adopted_without_its_device() {
    let rig = Rig::new();
    rig.push(&[Hit { placement: "new", device: Some(7), ..hit(NOON_MS - DAY_MS) }]);
    rig.load();
    assert_eq!(erase(&rig, 1, &[7]).unresolved, 1);
    rig.set_catalog(&format!(
        "{}[[campaign.placement]]\nid = \"new\"\nname = \"New\"\nmedium = \"Medium C\"\n",
        crate::rig::CATALOG
    ));
    rig.settle();
    assert_eq!(
        rig.sql("SELECT count(), countIf(device != 0 OR agent != '' OR network != 0) FROM events"),
        "1\t0"
    );
}

#[test]
fn a_copy_holds_the_rows_of_the_device_and_no_others() {
    use std::os::unix::fs::PermissionsExt;

    let rig = Rig::new();
    let mut hits = traffic();
    hits.push(Hit { device: Some(9_000), agent: "somebody else's".to_owned(), ..hit(NOON_MS) });
    // More than one portion.
    hits.extend((0..4_500).map(|n| Hit { device: Some(8_000), ..hit(NOON_MS - n) }));
    rig.push(&hits);
    rig.load();
    let dir = tempfile::tempdir().expect("a folder");
    let read = |device: u64| -> (Value, String) {
        let path = dir.path().join(format!("{device}.json"));
        let copied = rig.rights().copy(&[key(device), key(77)], &path).expect("it is copied");
        assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!((copied.bytes, copied.is_complete), (text.len() as u64, true));
        let json: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["number_of_rows"], copied.rows);
        assert_eq!(json["rows"].as_array().expect("rows").len() as u64, copied.rows);
        (json, text)
    };
    let (own, text) = read(7);
    assert_eq!(own["number_of_rows"], 8);
    assert!(!text.contains("somebody else's"));
    let row = &own["rows"][0];
    assert_eq!(
        (
            &row["campaign"]["name"],
            &row["placement"]["medium"],
            &row["happened"],
            &row["network"],
            &row["agent"]
        ),
        (&"UTC".into(), &"Medium A".into(), &"impression".into(), &"203.0.113.0/24".into(), &PHONE.into())
    );
    assert_eq!(row["recognised_by"], "oaid");
    assert!(own["fields"]["network"]["kept_for"].as_str().is_some_and(|purpose| purpose.contains("robot")));
    assert_eq!(own["rows"].as_array().expect("rows").iter().filter(|row| row["counted"] != "yes").count(), 1);
    let (many, _) = read(8_000);
    assert_eq!(many["number_of_rows"], 4_500);
    let times: Vec<&str> =
        many["rows"].as_array().expect("rows").iter().filter_map(|row| row["time"].as_str()).collect();
    assert!(times.is_sorted() && times.windows(2).all(|pair| pair[0] < pair[1]), "each once, in order");
    let (nobody, _) = read(5_555);
    assert_eq!((&nobody["number_of_rows"], &nobody["complete"]), (&0.into(), &true.into()));
}
