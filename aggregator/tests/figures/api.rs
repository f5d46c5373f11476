//! The API's doors and forms.

use event::record::Platform;
use event::stage::Stage;
use serde_json::{Value, json};

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit};

#[test]
fn nothing_opens_without_the_token() {
    let rig = Rig::new();
    let wrong =
        ["Bearer wrong".to_owned(), format!("Basic {TOKEN}"), TOKEN.to_owned(), format!("Bearer {TOKEN}x")];
    let tries = std::iter::once(None).chain(wrong.iter().map(|w| Some(w.as_str())));
    for authorization in tries {
        for (method, path) in [
            ("GET", "/v1/campaigns"),
            ("GET", "/v1/campaigns/utc/reach"),
            ("GET", "/v1/campaigns/none/reach"),
            ("GET", "/v1/books"),
            ("POST", "/v1/settle"),
            ("GET", "/nothing"),
        ] {
            let (status, body) = rig.call_as(method, path, authorization);
            assert_eq!(status, 401, "{authorization:?} {path}");
            assert!(body.contains("unauthorized") && !body.contains("utc"), "{body}");
        }
    }
    assert_eq!(rig.call_as("GET", "/v1/campaigns", Some(&format!("bearer  {TOKEN}"))).0, 200);
}

#[test]
fn what_is_wrong_is_told_by_status_and_words() {
    let rig = Rig::new();
    for (method, path, status, word) in [
        ("GET", "/v1/campaigns/none/reach", 404, "unknown_campaign"),
        ("GET", "/v1/campaigns/utc/overlaps", 404, "frequency"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/campaigns/utc/reach", 405, "GET"),
        ("GET", "/v1/settle", 405, "POST"),
        ("GET", "/v1/campaigns/utc/reach?by=week", 400, "placement"),
        ("GET", "/v1/campaigns/utc/reach?from=yesterday", 400, "2026-11-21"),
        ("GET", "/v1/campaigns/utc/reach?from=2026-11-02&to=2026-11-01", 400, "after"),
        ("GET", "/v1/campaigns/utc/reach?x=1", 400, "filter"),
        ("GET", "/v1/campaigns/utc/reach?filter=total_net", 422, "sophisticated"),
        ("GET", "/v1/campaigns/utc/reach?format=xml", 400, "parquet"),
        ("POST", "/v1/settle?day=x", 400, "day="),
        ("GET", "/v1/campaigns?x=1", 400, "bad_parameter"),
    ] {
        let (answered, body) = rig.call(method, path);
        assert_eq!(answered, status, "{path}: {body}");
        assert!(body.contains(word), "{path}: {body}");
    }
}

#[test]
fn a_campaign_without_events_has_an_empty_report() {
    let rig = Rig::new();
    let row = rig.row("utc/reach");
    assert_eq!(
        (&row["reach"], &row["id_coverage"], &row["average_frequency"]),
        (&0.into(), &Value::Null, &Value::Null)
    );
    assert_eq!(rig.rows("utc/reach?by=day"), Vec::<Value>::new());
    let report = rig.report("utc/delivery");
    assert_eq!((&report["from"], &report["settled_until"]), (&Value::Null, &Value::Null));
    let campaigns = rig.get("/v1/campaigns");
    assert_eq!(
        campaigns["campaigns"][0]["placements"][1],
        json!({"id":"p2","name":"Two","medium":"Medium B","source":"c2s","state":"live"})
    );
}

#[test]
fn csv_has_a_header_and_no_formulas() {
    let rig = Rig::new();
    rig.push(&[Hit { creative: "=1+1", device: Some(1), ..hit(NOON_MS - DAY_MS) }]);
    rig.settle();
    let (status, body) = rig.call("GET", "/v1/campaigns/utc/reach?by=creative&format=csv&levels=3&bom=false");
    assert_eq!(status, 200);
    assert_eq!(
        body,
        "key,impressions,identified_impressions,identified_standard_error,identified_low,identified_high,id_coverage,id_coverage_low,id_coverage_high,\
         clicks,reach,average_frequency,frequency_standard_error,frequency_low,frequency_high,\
         n_plus_1,n_plus_2,n_plus_3,exactly_1,exactly_2,exactly_3,standard_error_1,standard_error_2,standard_error_3,\
         interval_low_1,interval_low_2,interval_low_3,interval_high_1,interval_high_2,interval_high_3,\
         exactly_standard_error_1,exactly_standard_error_2,exactly_standard_error_3,exactly_low_1,exactly_low_2,exactly_low_3,\
         exactly_high_1,exactly_high_2,exactly_high_3,exact,universe,reach_percent,reach_percent_low,reach_percent_high,grp,cost_per_point,settled_until,suppressed,rounded\n\
         '=1+1,1,1,0.0,1,1,1.0,1.0,1.0,0,1,1.0,0.0,1.0,1.0,1,0,0,1,0,0,0.0,0.0,0.0,1,0,0,1,0,0,0.0,0.0,0.0,1,0,0,1,0,0,true,,,,,,,2026-11-19,false,false\n"
    );
    let open = rig.report("utc/frequency?levels=1");
    assert_eq!((&open["rows"][0]["or_more"], &open["identified_impressions"]), (&true.into(), &1.into()));
    let (_, body) = rig.call("GET", "/v1/campaigns/utc/frequency?format=csv&bom=false");
    assert_eq!(
        body,
        "key,frequency,or_more,devices,n_plus,impressions,standard_error,interval_low,interval_high,devices_standard_error,devices_low,devices_high,exact,settled_until,suppressed,rounded\n\
         total,1,false,1,1,1,0.0,1,1,0.0,1,1,true,2026-11-19,false,false\n"
    );
    let (_, body) = rig.call("GET", "/v1/campaigns/utc/delivery?format=csv&bom=false");
    assert!(
        body.starts_with("key,impressions,gross_impressions,net_impressions,removed_impressions_duplicate,"),
        "{body}"
    );
    assert_eq!(body.lines().count(), 2);
}

#[test]
fn keys_are_names() {
    let rig = Rig::new();
    rig.push(&[
        Hit { platform: Platform::Tv, region: "CN-11", device: Some(1), ..hit(NOON_MS - DAY_MS) },
        Hit { stage: Stage::Click, platform: Platform::Unknown, device: Some(1), ..hit(NOON_MS - DAY_MS) },
    ]);
    rig.settle();
    let keys = |by: &str| -> Vec<String> {
        let rows = rig.rows(&format!("utc/reach?by={by}"));
        rows.iter().map(|row| row["key"].as_str().expect("a key").to_owned()).collect()
    };
    assert_eq!(keys("platform"), ["unknown", "tv"]);
    assert_eq!(keys("region"), ["unknown", "CN-11"]);
    assert_eq!(keys("creative"), ["unknown"]);
    assert_eq!(keys("medium"), ["Medium A"]);
    assert_eq!(keys("hour"), ["12"]);
    assert_eq!(keys("total"), ["total"]);
}

#[test]
fn a_range_can_be_asked_and_is_inclusive() {
    let rig = Rig::new();
    rig.push(
        &(0..5)
            .map(|n| Hit { device: Some(n + 1), ..hit(NOON_MS - (n as i64 + 1) * DAY_MS) })
            .collect::<Vec<_>>(),
    );
    rig.settle();
    assert_eq!(rig.row("utc/reach?from=2026-11-17&to=2026-11-18")["reach"], 2);
    assert_eq!(rig.row("utc/reach?from=2026-11-18")["reach"], 2);
    assert_eq!(rig.row("utc/reach?to=2026-11-15")["reach"], 1);
    assert_eq!(rig.row("utc/reach")["reach"], 5);
    assert_eq!(rig.row("utc/reach?from=2027-01-01&to=2027-01-02")["reach"], 0);
}
