//! What was delivered and reached against what was planned: plan, universe, GRP and cost for each point.

use serde_json::{Value, json};

use crate::access::bearer;
use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit};

const CATALOG: &str = r#"
[[campaign]]
id = "utc"
name = "UTC"
time_zone = "UTC"
advertiser = "acme"
currency = "CNY"
cost = 1000.00
[[campaign.universe]]
persons = 2000
unit = "devices"
source = "Panel 2026"
date = 2026-06-30
[[campaign.universe]]
region = "CN-SH"
persons = 500
source = "Census"
date = 2025-12-31
[[campaign.universe]]
audience = "f25-35"
persons = 400
source = "Panel 2026"
date = 2026-06-30
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
cost = 500.00
plan = [{ from = 2026-11-18, to = 2026-11-25, impressions = 100 }]
[[campaign.placement]]
id = "p2"
name = "Two"
medium = "Medium B"
plan = [{ from = 2026-11-19, to = 2026-11-19, impressions = 30 }]
[[campaign.placement]]
id = "p3"
name = "Three"
medium = "Medium A"
cost = 250.00
[[campaign]]
id = "bare"
name = "Bare"
time_zone = "UTC"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
"#;

/// 100 devices on p1 twice, 100 hits without one; 50 of the devices on p2 in Shanghai. A robot on p1.
fn rig() -> Rig {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    let yesterday = NOON_MS - DAY_MS;
    let mut hits: Vec<Hit> =
        (0..200).map(|n| Hit { device: Some(1 + n % 100), ..hit(yesterday + n as i64) }).collect();
    hits.extend((0..100).map(|n| hit(yesterday - DAY_MS + n)));
    hits.extend((1..=50).map(|n| Hit {
        device: Some(n),
        placement: "p2",
        region: "CN-SH",
        ..hit(yesterday + n as i64)
    }));
    hits.push(Hit { agent: "SOME-BOT/1.0".to_owned(), ..hit(yesterday) });
    rig.push(&hits);
    rig.settle();
    rig
}

fn near(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() < 1e-9 * expected)
}

#[test]
fn reach_is_held_against_the_universe_that_is_named() {
    let rig = rig();
    let report = rig.report("utc/reach");
    let said = json!({"region": "all", "audience": "all", "persons": 2000, "unit": "devices", "source": "Panel 2026", "date": "2026-06-30"});
    assert_eq!(report["universe"], said);
    let row = &report["rows"][0];
    assert_eq!(
        (&row["reach"], &row["impressions"], &row["universe"]),
        (&json!(100), &json!(350), &json!(2000))
    );
    assert!(near(&row["reach_percent"], 5.0) && near(&row["grp"], 17.5), "{row}");
    let figure = |name: &str| row[name].as_f64().expect("a number");
    assert!(near(&row["grp"], figure("reach_percent") * figure("average_frequency") / figure("id_coverage")));
    assert!(near(&row["cost_per_point"], 1000.0 / 17.5), "{row}");
    let of_audience = rig.report("utc/reach?audience=f25-35");
    assert_eq!(
        (&of_audience["universe"]["persons"], &of_audience["universe"]["unit"]),
        (&json!(400), &json!("persons"))
    );
    assert!(near(&of_audience["rows"][0]["reach_percent"], 25.0));
    let (status, body) = rig.call("GET", "/v1/campaigns/utc/reach?audience=m50");
    assert!(status == 422 && body.contains("all, f25-35"), "{body}");
    let by_region = rig.report("utc/reach?by=region");
    assert_eq!(
        (&by_region["universe"]["region"], &by_region["universes"][0]["region"]),
        (&json!("all"), &json!("CN-SH"))
    );
    for row in by_region["rows"].as_array().expect("rows") {
        let expected = if row["key"] == "CN-SH" { json!(500) } else { Value::Null };
        assert_eq!((&row["universe"], row["grp"].is_null()), (&expected, expected.is_null()), "{row}");
    }
    let bare = rig.report("bare/reach");
    assert!(bare["universe"].is_null() && bare.as_object().expect("a head").contains_key("universe"));
    assert!(bare["rows"][0]["grp"].is_null() && bare["rows"][0]["cost_per_point"].is_null());
}

#[test]
fn a_point_costs_what_is_known_of_all_its_placements() {
    let rig = rig();
    let cost = |query: &str| -> Vec<(String, Value)> {
        let rows = rig.rows(&format!("utc/reach?{query}"));
        rows.iter()
            .map(|row| (row["key"].as_str().expect("a key").to_owned(), row["cost_per_point"].clone()))
            .collect()
    };
    let by_placement = cost("by=placement");
    assert!(near(&by_placement[0].1, 500.0 / 15.0) && by_placement[1].1.is_null(), "{by_placement:?}");
    let by_medium = cost("by=medium");
    assert!(near(&by_medium[0].1, 750.0 / 15.0) && by_medium[1].1.is_null(), "{by_medium:?}");
    assert!(cost("by=day").iter().all(|(_, cost)| cost.is_null()));
    assert!(cost("from=2026-11-19")[0].1.is_null(), "the whole cost is not that of some days");
    assert!(!cost("from=2026-11-18&to=2026-11-20")[0].1.is_null());
}

#[test]
fn delivery_is_held_against_the_plan() {
    let rig = rig();
    let planned = |query: &str| -> Vec<Value> {
        let rows = rig.rows(&format!("utc/delivery?{query}"));
        rows.iter()
            .map(|row| json!([row["key"], row["net_impressions"], row["planned"], row["fulfilment"]]))
            .collect()
    };
    // Two days of p1, one of p2.
    assert_eq!(planned(""), [json!(["total", 350, 230, 350.0 / 230.0])]);
    assert_eq!(planned("filter=gross"), planned(""), "of net, in either filter");
    assert_eq!(planned("by=placement"), [json!(["p1", 300, 200, 1.5]), json!(["p2", 50, 30, 50.0 / 30.0])]);
    assert_eq!(
        planned("by=medium"),
        [json!(["Medium A", 300, 200, 1.5]), json!(["Medium B", 50, 30, 50.0 / 30.0])]
    );
    assert_eq!(
        planned("by=day"),
        [json!(["2026-11-18", 100, 100, 1.0]), json!(["2026-11-19", 250, 130, 250.0 / 130.0])]
    );
    assert!(
        planned("by=hour")
            .iter()
            .chain(&planned("by=region"))
            .all(|row| row[2].is_null() && row[3].is_null())
    );
    // Days, placements and media with a plan and no hit have a row.
    assert_eq!(
        planned("by=day&from=2026-11-20&to=2026-11-21"),
        [json!(["2026-11-20", 0, 100, 0.0]), json!(["2026-11-21", 0, 100, 0.0])]
    );
    assert_eq!(planned("by=placement&from=2026-11-18&to=2026-11-18"), [json!(["p1", 100, 100, 1.0])]);
    assert_eq!(planned("from=2026-11-01&to=2026-11-02"), [json!(["total", 0, null, null])]);
    let days: u64 = rig.rows("utc/delivery?by=day").iter().filter_map(|row| row["planned"].as_u64()).sum();
    assert_eq!(rig.row("utc/delivery")["planned"], days);
}

#[test]
fn a_medium_sees_its_plan_and_neither_universe_nor_cost() {
    let rig = rig();
    let medium = bearer(&rig, &json!({"name": "A", "role": "medium", "media": ["Medium A"]}));
    let advertiser = bearer(&rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let ask = |path: &str, bearer: &str| -> Value {
        let (status, body) = rig.call_as("GET", &format!("/v1/campaigns/utc/{path}"), Some(bearer));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    };
    let delivery = ask("delivery", &medium);
    assert_eq!(
        (&delivery["rows"][0]["planned"], &delivery["rows"][0]["net_impressions"]),
        (&json!(200), &json!(300))
    );
    let range = "from=2026-11-18&to=2026-11-19";
    for closed in [false, true] {
        for by in ["total", "placement", "medium", "region", "day"] {
            let report = ask(&format!("reach?by={by}&{range}"), &medium);
            assert_eq!((&report["universe"], report.get("universes")), (&Value::Null, None), "{report}");
            assert_eq!(report["closed"]["version"], if closed { json!(1) } else { Value::Null });
            for row in report["rows"].as_array().expect("rows") {
                for name in ["universe", "reach_percent", "grp", "cost_per_point"] {
                    assert!(row[name].is_null(), "{name} by {by}: {row}");
                }
            }
        }
        let refused = |query: &str, bearer: &str| {
            let (status, body) =
                rig.call_as("GET", &format!("/v1/campaigns/utc/reach?{range}&{query}"), Some(bearer));
            assert_eq!(status, 422, "{body}");
            body
        };
        // One that there is and one that there is not.
        let words = refused("audience=f25-35", &medium);
        assert_eq!(words, refused("audience=m50", &medium));
        assert!(!words.contains("f25-35"), "{words}");
        assert!(refused("audience=m50", &advertiser).contains("all, f25-35"));
        let report = ask(&format!("reach?{range}"), &advertiser);
        let row = &report["rows"][0];
        assert!(near(&row["cost_per_point"], 1000.0 / 17.5) && near(&row["reach_percent"], 5.0), "{row}");
        assert_eq!(report["universe"]["persons"], 2000);
        let by_region = ask(&format!("reach?by=region&{range}"), &advertiser);
        assert_eq!(by_region["universes"][0]["region"], "CN-SH", "{by_region}");
        let wanted = json!({"from": "2026-11-18", "to": "2026-11-19", "note": ""});
        let operator = format!("Bearer {TOKEN}");
        let (status, body) =
            rig.send_as("POST", "/v1/campaigns/utc/closings", Some(&operator), &wanted.to_string());
        assert!(closed || status == 201, "{body}");
    }
    assert!(ask("overlap", &medium)["rows"].to_string().find("Medium B").is_none());
}
