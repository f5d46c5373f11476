//! Reports by creative: strangers can name any number of creatives, and rows are for so many.

use aggregator::Settings;
use serde_json::{Value, json};

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit};

const CATALOG: &str = r#"
[[campaign]]
id = "c"
name = "C"
time_zone = "UTC"
[[campaign.creative]]
id = "named"
name = "Named"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
"#;
/// Creatives with a row each that the catalog does not name.
const ROWS_MAX: u64 = 1000;
/// Yesterday.
const RANGE: &str = "from=2026-11-19&to=2026-11-19";

/// As many creatives as there are rows, with two impressions each, and ten more with one each, of two devices.
fn hits() -> Vec<Hit> {
    let mut hits: Vec<(String, Option<u64>)> = Vec::new();
    for n in 0..ROWS_MAX {
        hits.extend([(format!("c{n:04}"), Some(1 + n % 50)), (format!("c{n:04}"), None)]);
    }
    hits.extend((0..10).map(|n| (format!("b{n}"), Some(100 + n / 5))));
    hits.extend([("named".to_owned(), Some(200)), (String::new(), Some(201))]);
    let hit = |(n, (creative, device)): (usize, (String, Option<u64>))| Hit {
        campaign: "c",
        creative: creative.leak(),
        device,
        ..hit(NOON_MS - DAY_MS + n as i64)
    };
    hits.into_iter().enumerate().map(hit).collect()
}

fn rows(rig: &Rig, kind: &str) -> Vec<Value> {
    rig.rows(&format!("c/{kind}?by=creative&{RANGE}"))
}

fn of<'r>(rows: &'r [Value], key: &str) -> &'r Value {
    rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no row {key}"))
}

fn check(rig: &Rig, when: &str) {
    let all = hits().len() as u64;
    for kind in ["delivery", "reach"] {
        let rows = rows(rig, kind);
        assert_eq!(rows.len() as u64, ROWS_MAX + 3, "{kind} {when}");
        let impressions = |key: &str| of(&rows, key)["impressions"].as_u64().expect("a number");
        assert_eq!(
            (impressions("(others)"), impressions("named"), impressions("unknown"), impressions("c0999")),
            (10, 1, 1, 2),
            "{kind} {when}"
        );
        assert_eq!(rows.iter().filter_map(|row| row["impressions"].as_u64()).sum::<u64>(), all);
    }
    let reach = rows(rig, "reach");
    let others = of(&reach, "(others)");
    assert_eq!((&others["reach"], &others["identified_impressions"]), (&json!(2), &json!(10)), "{when}");
    assert_eq!(others["n_plus"][4], 2, "{when}: each saw five");
    let frequency = rows(rig, "frequency");
    let others: Vec<&Value> =
        frequency.iter().filter(|row| row["key"] == "(others)" && row["devices"] != 0).collect();
    let [five] = &others[..] else { panic!("{when}: {others:?}") };
    assert_eq!(
        (&five["frequency"], &five["devices"], &five["impressions"]),
        (&json!(5), &json!(2), &json!(10))
    );
}

#[test]
fn creatives_beyond_a_thousand_share_a_row_whose_devices_are_distinct() {
    let rig = Rig::with(CATALOG, Settings::default());
    rig.push(&hits());
    rig.load();
    check(&rig, "live");
    rig.settle();
    check(&rig, "settled");
    // A late one with more has a row of its own, and another one joins the others, also before the day is settled again.
    let late =
        |n: i64| Hit { campaign: "c", creative: "late", device: Some(300), ..hit(NOON_MS - DAY_MS + n) };
    rig.push(&(0..3).map(late).collect::<Vec<_>>());
    rig.load();
    assert_eq!(of(&rows(&rig, "reach"), "late")["impressions"], 3);
    rig.settle();
    for kind in ["delivery", "reach"] {
        let rows = rows(&rig, kind);
        assert_eq!(
            (rows.len() as u64, &of(&rows, "late")["impressions"]),
            (ROWS_MAX + 3, &json!(3)),
            "{kind}"
        );
        assert_eq!(of(&rows, "(others)")["impressions"], 12, "{kind}");
    }
    let body = json!({"from": "2026-11-19", "to": "2026-11-19", "note": ""}).to_string();
    let (status, answer) =
        rig.send_as("POST", "/v1/campaigns/c/closings", Some(&format!("Bearer {TOKEN}")), &body);
    assert_eq!(status, 201, "{answer}");
    let closed = rig.report(&format!("c/reach?by=creative&{RANGE}"));
    assert_eq!(closed["closed"]["version"], 1);
    let others = of(closed["rows"].as_array().expect("rows"), "(others)").clone();
    assert_eq!((&others["impressions"], &others["reach"]), (&json!(12), &json!(3)));
    assert_eq!(others["adjustment"]["reach"], 0);
}
