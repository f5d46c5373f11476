//! What ids were like: coverage, return rate, kinds, by placement and medium; reach by kind of id.

use event::identifier::IdKind;
use event::record::flag;
use event::stage::Stage;
use serde_json::{Value, json};

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, hit};

fn on(placement: &'static str, device: Option<u64>, flags: u32) -> Hit {
    Hit { placement, device, flags, ..hit(NOON_MS - DAY_MS) }
}

/// Medium A (`p1`, `p3`) sends ids of two kinds, some withheld; Medium B (`p2`) nothing of use.
fn hits() -> Vec<Hit> {
    let idfa = |device| Hit { kind: IdKind::Idfa, ..on("p3", Some(device), flag::ID_USABLE) };
    vec![
        on("p1", Some(1), flag::ID_USABLE | flag::DEVICE_ROOT),
        on("p1", Some(1), flag::ID_USABLE | flag::ID_SHA_ONLY),
        // Of a program before the flag.
        on("p1", Some(2), 0),
        on("p1", None, flag::ID_USABLE | flag::WITHHELD_GPC),
        on("p1", None, flag::WITHHELD_LMT),
        idfa(3),
        idfa(4),
        Hit { stage: Stage::Click, ..idfa(4) },
        on("p2", None, flag::ID_BAD | flag::MACRO_UNREPLACED),
        on("p2", None, flag::ID_BAD | flag::DEVICE_EMULATOR | flag::DEVICE_HOOK),
        on("p2", None, flag::DEVICE_ADB),
        // A click, and a robot's impression, are not among net impressions.
        Hit { stage: Stage::Click, ..on("p2", Some(9), flag::ID_USABLE) },
        Hit { agent: "curl/8.5.0".to_owned(), ..on("p2", Some(9), flag::ID_USABLE) },
    ]
}

#[test]
fn a_medium_without_usable_ids_is_seen_at_once() {
    let rig = Rig::new();
    rig.push(&hits());
    rig.load();
    for _ in ["live", "settled"] {
        let rows = rig.rows("utc/ids?by=medium");
        let (a, b) = (&rows[0], &rows[1]);
        assert_eq!((&a["key"], &b["key"]), (&"Medium A".into(), &"Medium B".into()));
        for (row, name, value) in [
            (a, "impressions", 7),
            (a, "identified", 5),
            (a, "usable", 6),
            (a, "withheld", 2),
            (a, "bad", 0),
            (a, "absent", 1),
            (a, "sha_only", 1),
            (b, "impressions", 3),
            (b, "identified", 0),
            (b, "usable", 0),
            (b, "bad", 2),
            (b, "absent", 1),
            (b, "macros_unreplaced", 1),
            (b, "set_aside", 0),
        ] {
            assert_eq!(row[name], value, "{name}");
        }
        assert_eq!((&a["id_coverage"], &a["return_rate"]), (&(5.0 / 7.0).into(), &(6.0 / 7.0).into()));
        assert_eq!((&b["id_coverage"], &b["return_rate"]), (&0.0.into(), &0.0.into()));
        assert_eq!(
            (&a["identified_by_kind"]["oaid"], &a["identified_by_kind"]["idfa"]),
            (&3.into(), &2.into())
        );
        assert_eq!(a["device_risks"], json!({"root": 1, "emulator": 0, "hook": 0, "adb": 0}));
        assert_eq!(b["device_risks"], json!({"root": 0, "emulator": 1, "hook": 1, "adb": 1}));
        rig.settle();
    }
}

#[test]
fn every_cut_adds_up_to_the_total() {
    let rig = Rig::new();
    rig.push(&hits());
    rig.settle();
    for filter in ["net", "gross"] {
        let total = rig.row(&format!("utc/ids?filter={filter}"));
        let delivery = rig.row(&format!("utc/delivery?filter={filter}"));
        assert_eq!(total["impressions"], delivery["impressions"]);
        assert_eq!(total["identified"], delivery["identified_impressions"]);
        for by in ["day", "placement", "medium", "platform"] {
            let rows = rig.rows(&format!("utc/ids?by={by}&filter={filter}"));
            for name in ["impressions", "identified", "usable", "withheld", "bad", "absent", "set_aside"] {
                let sum: u64 = rows.iter().map(|row| row[name].as_u64().expect("a number")).sum();
                assert_eq!(total[name], sum, "{by} {filter} {name}");
            }
        }
        let parts =
            ["usable", "bad", "absent", "set_aside"].map(|name| total[name].as_u64().expect("a number"));
        assert_eq!(total["impressions"], parts.iter().sum::<u64>());
        let kinds = total["identified_by_kind"].as_object().expect("kinds");
        let sum: u64 = kinds.values().map(|count| count.as_u64().expect("a number")).sum();
        assert_eq!(total["identified"], sum);
    }
    assert_eq!(rig.row("utc/ids?filter=gross")["impressions"], 11);
}

#[test]
fn reach_by_kind_of_id() {
    let rig = Rig::new();
    rig.push(&hits());
    rig.load();
    for _ in ["live", "settled"] {
        let rows = rig.rows("utc/reach?by=id_kind");
        let row = |key: &str| {
            rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("{key}: {rows:?}"))
        };
        let figures = |key: &str| {
            ["impressions", "identified_impressions", "reach", "clicks"].map(|name| row(key)[name].clone())
        };
        assert_eq!(figures("none"), [json!(5), json!(0), json!(0), json!(0)]);
        assert_eq!(figures("oaid"), [json!(3), json!(3), json!(2), json!(1)]);
        assert_eq!(figures("idfa"), [json!(2), json!(2), json!(2), json!(1)]);
        assert_eq!(rows.len(), 3);
        let frequency = rig.rows("utc/frequency?by=id_kind");
        assert!(
            frequency.iter().any(|row| row["key"] == "oaid" && row["frequency"] == 2 && row["devices"] == 1)
        );
        rig.settle();
    }
}

#[test]
fn what_is_not_offered_is_told() {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    for (path, word) in [
        ("/v1/campaigns/utc/ids?by=creative", "platform"),
        ("/v1/campaigns/utc/ids?by=id_kind", "medium"),
        ("/v1/campaigns/utc/delivery?by=id_kind", "creative"),
    ] {
        let (status, body) = rig.call("GET", path);
        assert_eq!(status, 400, "{path}: {body}");
        assert!(body.contains(word) && !body.contains("id_kind"), "{body}");
    }
    let row = rig.row("utc/ids");
    assert_eq!((&row["impressions"], &row["return_rate"]), (&0.into(), &Value::Null));
    let (_, csv) = rig.call("GET", "/v1/campaigns/utc/ids?by=medium&format=csv");
    assert!(csv.contains("identified_by_kind_oaid") && csv.contains("device_risks_adb"), "{csv}");
    assert_eq!(csv.lines().count(), 1);
}
