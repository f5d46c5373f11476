//! Tokens: who is let in, what each sees, and what somebody finds who holds one tenant's token and looks for more.

use std::collections::BTreeSet;

use event::record::{Platform, flag};
use event::stage::Stage;
use serde_json::{Value, json};

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit, unhurried};
use aggregator::Settings;

const CATALOG: &str = r#"
[[campaign]]
id = "ours"
name = "Ours"
time_zone = "UTC"
advertiser = "acme"
landing_hosts = ["www.example.com"]
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
[[campaign.placement]]
id = "p2"
name = "Two"
medium = "Medium B"
[[campaign.placement]]
id = "p3"
name = "Three"
medium = "Medium A"
signed_links = true
[[campaign.placement]]
id = "trial"
name = "Trial"
medium = "Medium B"
state = "trial"
[[campaign]]
id = "theirs"
name = "Theirs"
time_zone = "UTC"
advertiser = "globex"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium C"
[[campaign]]
id = "nobodys"
name = "Nobody's"
time_zone = "UTC"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium C"
"#;

fn rig() -> Rig {
    let mut rig = Rig::with(CATALOG, unhurried());
    rig.public_url = Some("https://t.example.com".to_owned());
    rig.restart(|_| {});
    rig
}

/// Makes a token and gives its id and itself as a header.
pub(crate) fn token(rig: &Rig, wanted: &Value) -> (String, String) {
    let (status, body) =
        rig.send_as("POST", "/v1/tokens", Some(&format!("Bearer {TOKEN}")), &wanted.to_string());
    assert_eq!(status, 201, "{body}");
    let made: Value = serde_json::from_str(&body).expect("JSON");
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    assert!(text("token").starts_with(&format!("sightline_{}_{}_", text("role"), text("id"))));
    (text("id"), format!("Bearer {}", text("token")))
}

/// The header that a token made like this is sent with.
pub(crate) fn bearer(rig: &Rig, wanted: &Value) -> String {
    token(rig, wanted).1
}

fn advertiser(rig: &Rig) -> String {
    token(rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]})).1
}

fn medium(rig: &Rig, name: &str) -> String {
    token(rig, &json!({"name": name, "role": "medium", "media": [name]})).1
}

fn get(rig: &Rig, path: &str, bearer: &str) -> Value {
    let (status, body) = rig.call_as("GET", path, Some(bearer));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

/// `devices` devices from `first` on, each seen `times` on a placement.
fn seen(campaign: &'static str, placement: &'static str, first: u64, devices: u64, times: u64) -> Vec<Hit> {
    let one = |n: u64| Hit {
        campaign,
        placement,
        device: Some(first + n % devices),
        ..hit(NOON_MS - 2 * DAY_MS + n as i64)
    };
    (0..devices * times).map(one).collect()
}

#[test]
fn tokens_are_made_listed_used_and_revoked_and_the_audit_log_says_so() {
    let rig = rig();
    let (id, bearer) = token(
        &rig,
        &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"], "expires_days": 30}),
    );
    assert_eq!(rig.call_as("GET", "/v1/campaigns", Some(&bearer)).0, 200);
    let secret = bearer.rsplit('_').next().expect("a secret").to_owned();
    let list = || {
        let (status, body) = rig.call("GET", "/v1/tokens");
        assert!(status == 200 && !body.contains(&secret), "{body}");
        serde_json::from_str::<Value>(&body).expect("JSON")["tokens"][0].clone()
    };
    // The use is written behind the answer.
    let row = loop {
        let row = list();
        if !row["last_used"].is_null() {
            break row;
        }
        std::thread::yield_now();
    };
    for (name, expected) in [
        ("id", json!(id)),
        ("role", json!("advertiser")),
        ("scope", json!(["acme"])),
        ("state", json!("in_force")),
        ("made_by", json!("operator")),
        ("last_used", json!("2026-11-20T12:00:00Z")),
        ("expires", json!("2026-12-20T12:00:00Z")),
    ] {
        assert_eq!(row[name], expected, "{name}");
    }
    assert_eq!(rig.call("DELETE", &format!("/v1/tokens/{id}")).0, 200);
    assert_eq!(rig.call_as("GET", "/v1/campaigns", Some(&bearer)).0, 401, "at once");
    assert_eq!(list()["state"], "revoked");
    assert_eq!(rig.call("DELETE", &format!("/v1/tokens/{id}")).0, 200, "revoked is revoked");
    for unknown in ["0000000000000000", "..%2Ftokens", "x"] {
        let (status, body) = rig.call("DELETE", &format!("/v1/tokens/{unknown}"));
        assert!(status == 404 && body.contains("unknown_token"), "{unknown}: {body}");
    }
    let entries = rig.audited();
    for part in ["\"token.create\"", "\"token.revoke\"", &format!("\"actor\":\"advertiser {id} ACME\"")] {
        assert!(entries.contains(part), "{part} is not in\n{entries}");
    }
    assert!(!entries.contains(&secret), "the token itself is nowhere");
    // Of two nodes that start later none lets it in.
    let mut rig = rig;
    rig.restart(|_| {});
    assert_eq!(rig.call_as("GET", "/v1/campaigns", Some(&bearer)).0, 401);
}

#[test]
fn each_role_may_do_its_own() {
    let rig = rig();
    let auditor = token(&rig, &json!({"name": "Audit", "role": "auditor"})).1;
    let operator = token(&rig, &json!({"name": "Second", "role": "operator"})).1;
    let (advertiser, medium) = (advertiser(&rig), medium(&rig, "Medium A"));
    let status = |method: &str, path: &str, bearer: &str| {
        rig.send_as(method, path, Some(bearer), r#"{"name":"x","role":"auditor"}"#).0
    };
    for (method, path, allowed) in [
        ("GET", "/v1/campaigns", [200, 200, 200, 200]),
        ("GET", "/v1/campaigns/ours/reach", [200, 200, 200, 200]),
        ("GET", "/v1/campaigns/theirs/reach", [200, 200, 404, 404]),
        ("GET", "/v1/books", [200, 200, 403, 403]),
        ("GET", "/v1/set-aside", [200, 200, 403, 403]),
        ("GET", "/v1/tokens", [200, 200, 403, 403]),
        ("POST", "/v1/tokens", [201, 403, 403, 403]),
        ("DELETE", "/v1/tokens/0000000000000000", [404, 403, 403, 403]),
        ("POST", "/v1/settle", [200, 403, 403, 403]),
    ] {
        let found = [&operator, &auditor, &advertiser, &medium].map(|bearer| status(method, path, bearer));
        assert_eq!(found, allowed, "{method} {path}");
    }
}

#[test]
fn a_token_that_asks_too_often_waits() {
    let settings =
        Settings { token_requests_burst_max: 3, token_requests_per_minute_max: 6, ..Settings::default() };
    let rig = Rig::with(CATALOG, settings);
    let bearer = advertiser(&rig);
    for _ in 0..3 {
        assert_eq!(rig.call_as("GET", "/v1/campaigns", Some(&bearer)).0, 200);
    }
    let (status, body) = rig.call_as("GET", "/v1/campaigns", Some(&bearer));
    assert!(status == 429 && body.contains("again in 10 s"), "{body}");
    assert_eq!(rig.call("GET", "/v1/campaigns").0, 200, "the data folder's own has no limit");
    rig.clock.advance_ms(10_000);
    assert_eq!(rig.call_as("GET", "/v1/campaigns", Some(&bearer)).0, 200);
}

/// What reports and links may be asked, and may not.
fn queries() -> Vec<String> {
    let mut queries: Vec<String> = vec![String::new()];
    for by in [
        "total",
        "day",
        "placement",
        "medium",
        "creative",
        "region",
        "platform",
        "hour",
        "id_kind",
        "nonsense",
    ] {
        queries.push(format!("?by={by}"));
        queries.push(format!("?by={by}&format=csv&filter=gross&from=2026-11-18&to=2026-11-18"));
    }
    queries.extend(
        [
            "?format=parquet",
            "?format=xlsx&by=day",
            "?format=csv&dialect=all&stages=all",
            "?base=https://t.example.com&days=9",
            "?levels=80",
            "?from=2026-13-01",
            "?x=1",
            "?filter=total_net",
            "?sign=true",
            "?limit=5",
        ]
        .map(str::to_owned),
    );
    queries
}

/// Nothing that can be asked tells another tenant's campaign, or another medium's placement, from one that nobody has.
#[test]
fn another_tenants_are_like_those_that_do_not_exist() {
    let rig = rig();
    rig.push(&seen("theirs", "p1", 1, 200, 1));
    rig.push(&seen("nobodys", "p1", 1, 200, 1));
    rig.push(&seen("ours", "p2", 1, 200, 1));
    rig.settle();
    let (acme, a) = (advertiser(&rig), medium(&rig, "Medium A"));
    let queries = queries();
    for bearer in [&acme, &a] {
        for route in
            ["delivery", "reach", "frequency", "ids", "links", "placements/p1/hits", "overlap", "placements"]
        {
            for query in &queries {
                let path = |campaign: &str| format!("/v1/campaigns/{campaign}/{route}{query}");
                let none = rig.call_as("GET", &path("does-not-exist"), Some(bearer));
                assert_ne!(none.0, 200, "{route}{query}");
                for campaign in ["theirs", "nobodys", "%74heirs", "theirs%00", "ours%2F..%2Ftheirs"] {
                    assert_eq!(
                        rig.call_as("GET", &path(campaign), Some(bearer)),
                        none,
                        "{campaign}/{route}{query}"
                    );
                }
            }
        }
    }
    for (bearer, hidden, seen) in [(&acme, "none", "trial"), (&a, "p2", "p1")] {
        let hits = |placement: &str| {
            rig.call_as("GET", &format!("/v1/campaigns/ours/placements/{placement}/hits"), Some(bearer))
        };
        assert_eq!(hits(hidden), hits("does-not-exist"));
        assert_eq!((hits(hidden).0, hits(seen).0), (404, 200));
    }
    let ids = |bearer: &str| -> Vec<String> {
        let list = get(&rig, "/v1/campaigns", bearer);
        list["campaigns"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| row["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!((ids(&acme), ids(&a)), (vec!["ours".to_owned()], vec!["ours".to_owned()]));
    assert_eq!(ids(&medium(&rig, "Medium C")), ["nobodys", "theirs"]);
    assert_eq!(ids(&medium(&rig, "Medium")), Vec::<String>::new(), "a name is not a beginning of one");
}

/// A medium's reports, in every form and by every key, hold its placements and no trace of the others.
#[test]
fn a_medium_sees_its_placements_alone() {
    let rig = rig();
    rig.push(&seen("ours", "p1", 1, 300, 2));
    rig.push(&seen("ours", "p3", 201, 200, 1));
    // The other medium, on the same day and on one more: more devices, under another key, and another creative, region and platform.
    let others = seen("ours", "p2", 1, 900, 3).into_iter();
    let others =
        others.map(|hit| Hit { creative: "other", region: "CN-44", platform: Platform::Tv, epoch: 2, ..hit });
    let others: Vec<Hit> =
        others.flat_map(|hit| [Hit { time_ms: hit.time_ms - DAY_MS, ..hit.clone() }, hit]).collect();
    rig.push(&others);
    rig.settle();
    let (a, b) = (medium(&rig, "Medium A"), medium(&rig, "Medium B"));
    let report = |kind: &str, by: &str| get(&rig, &format!("/v1/campaigns/ours/{kind}?by={by}"), &a);
    let total = report("reach", "total");
    let row = &total["rows"][0];
    assert_eq!(
        (&row["impressions"], &row["reach"], &row["identified_impressions"]),
        (&800.into(), &400.into(), &800.into())
    );
    assert_eq!(
        (&total["from"], &total["to"]),
        (&"2026-11-18".into(), &"2026-11-18".into()),
        "the other's day is not told"
    );
    for kind in ["delivery", "reach", "frequency", "ids", "overlap"] {
        for by in ["total", "day", "placement", "medium", "creative", "region", "platform", "hour"] {
            if kind == "ids" && ["creative", "region", "hour"].contains(&by) {
                continue;
            }
            if kind == "overlap" && !["placement", "medium"].contains(&by) {
                continue;
            }
            let text = report(kind, by).to_string();
            for foreign in
                ["p2", "Medium B", "other", "CN-44", "\"tv\"", "2026-11-17", "trial", "key_changes"]
            {
                assert!(!text.contains(foreign), "{kind} by {by} tells {foreign}: {text}");
            }
            let rows = report(kind, by)["rows"].as_array().expect("rows").clone();
            if !["frequency", "overlap"].contains(&kind) {
                let sum: u64 = rows.iter().filter_map(|row| row["impressions"].as_u64()).sum();
                assert_eq!(sum, 800, "{kind} by {by}");
            }
        }
    }
    let text =
        get(&rig, "/v1/campaigns", &a).to_string() + &get(&rig, "/v1/campaigns/ours/links", &a).to_string();
    assert!(text.contains("p1") && !text.contains("p2") && !text.contains("Medium B"), "{text}");
    // How long a signed link is good is not the medium's to say.
    let links = get(&rig, "/v1/campaigns/ours/links?days=3650", &a);
    assert!(
        links["links"].as_array().expect("a list").iter().all(|link| link["placement"] == "p1"),
        "{links}"
    );
    assert!(links["left_out"].to_string().contains("operator"), "{links}");
    let other = get(&rig, "/v1/campaigns/ours/reach", &b);
    assert_eq!((&other["rows"][0]["reach"], &other["rows"][0]["impressions"]), (&900.into(), &5400.into()));
}

/// Only days that were settled after their end, and no further than the first that was not.
#[test]
fn only_settled_whole_days_are_offered() {
    let rig = rig();
    let on = |day: i64, first: u64| -> Vec<Hit> {
        (0..200)
            .map(|n| Hit { campaign: "ours", device: Some(first + n), ..hit(NOON_MS + day * DAY_MS) })
            .collect()
    };
    rig.push(&on(-2, 1));
    rig.push(&on(0, 1000));
    rig.settle();
    let bearer = advertiser(&rig);
    let ask = |query: &str| get(&rig, &format!("/v1/campaigns/ours/reach{query}"), &bearer);
    let reach = |report: &Value| report["rows"][0]["reach"].clone();
    let report = ask("");
    assert_eq!(
        (reach(&report), &report["to"], &report["provisional_days"]),
        (200.into(), &"2026-11-18".into(), &json!([]))
    );
    assert_eq!(rig.row("ours/reach")["reach"], 400, "the operator sees today");
    for by in ["total", "creative", "hour"] {
        for query in [format!("?from=2026-11-20&by={by}"), format!("?from=2026-11-20&to=2026-11-20&by={by}")]
        {
            let report = ask(&query);
            assert!(report["to"].is_null(), "{query}: {report}");
            assert!(
                report["rows"].as_array().expect("rows").iter().all(|row| row["impressions"] == 0),
                "{query}: {report}"
            );
        }
    }
    // A day behind its end whose figures are of its noon: what came in the afternoon is missing from them.
    let afternoon: Vec<Hit> = on(0, 1000)
        .into_iter()
        .take(100)
        .map(|hit| Hit { device: hit.device.map(|d| d + 5000), ..hit })
        .collect();
    rig.push(&afternoon);
    rig.load();
    rig.clock.advance_ms(DAY_MS);
    assert_eq!(ask("")["to"], "2026-11-18");
    assert_eq!(ask("?by=creative")["to"], "2026-11-18");
    rig.push(&on(-1, 2000));
    rig.load();
    assert_eq!(reach(&ask("")), 200, "a day that was never settled ends what is offered");
    rig.settle();
    let report = ask("");
    assert_eq!((reach(&report), &report["to"]), (700.into(), &"2026-11-20".into()));
    // What comes late to a settled day is not seen before it is settled again, by any key.
    let late: Vec<Hit> =
        on(-1, 3000).into_iter().map(|hit| Hit { received_ms: NOON_MS + DAY_MS, ..hit }).collect();
    rig.push(&late);
    rig.load();
    assert_eq!(reach(&ask("?from=2026-11-19&to=2026-11-19")), 200);
    assert!(ask("?from=2026-11-19&to=2026-11-19&by=hour")["rows"].as_array().expect("rows").is_empty());
    rig.settle();
    assert_eq!(reach(&ask("?from=2026-11-19&to=2026-11-19")), 400);
}

/// What stands in any report, form and export of an advertiser: no device count that is not rounded, no row below k, and a mark at each.
#[test]
fn every_form_of_every_report_is_shaped() {
    let rig = rig();
    let mut hits = seen("ours", "p1", 1, 333, 2);
    hits.extend(seen("ours", "p2", 1001, 77, 1));
    // Three devices of a placement, and of a creative, region and platform of their own.
    hits.extend(seen("ours", "p3", 2001, 3, 40).into_iter().map(|hit| Hit {
        creative: "rare",
        region: "CN-54",
        platform: Platform::Tv,
        ..hit
    }));
    hits.push(Hit { stage: Stage::Click, ..hits[0].clone() });
    hits.extend((0..2).map(|n| Hit {
        campaign: "ours",
        flags: flag::WITHHELD_CHILD,
        ..hit(NOON_MS - 2 * DAY_MS + n)
    }));
    rig.push(&hits);
    rig.settle();
    let bearer = advertiser(&rig);
    let exact: BTreeSet<u64> = [333, 77, 3, 413, 120, 416].into();
    for kind in ["delivery", "reach", "frequency", "ids", "overlap"] {
        for by in ["total", "day", "placement", "medium", "creative", "region", "platform", "hour"] {
            if kind == "ids" && ["creative", "region", "hour"].contains(&by) {
                continue;
            }
            if kind == "overlap" && !["placement", "medium"].contains(&by) {
                continue;
            }
            let path = format!("/v1/campaigns/ours/{kind}?by={by}");
            let report = get(&rig, &path, &bearer);
            assert_eq!(
                (&report["privacy"]["k"], &report["privacy"]["device_step"]),
                (&50.into(), &10.into())
            );
            for row in report["rows"].as_array().expect("rows") {
                assert_eq!(row["rounded"], true, "{path}");
                for name in [
                    "reach",
                    "devices",
                    "n_plus",
                    "exactly",
                    "identified_impressions",
                    "identified",
                    "cumulative_reach",
                    "unique",
                    "stacked_reach",
                    "incremental_reach",
                    "shared",
                ] {
                    numbers(&row[name])
                        .for_each(|n| assert!(n % 10 == 0 && !exact.contains(&n), "{path} {name} {row}"));
                }
                if ["p3", "rare", "CN-54", "tv"].iter().any(|rare| row["key"] == *rare) {
                    assert!(row["suppressed"] == true && row["impressions"].is_null(), "{path}: {row}");
                }
            }
            csv_says_the_same(&rig, &path, (&report, &bearer));
        }
    }
    let child = get(&rig, "/v1/campaigns/ours/delivery", &bearer)["rows"][0].clone();
    assert!(
        child["signals"]["child_directed"].is_null() && child["withheld_impressions"].is_null(),
        "{child}"
    );
    assert_eq!((&child["impressions"], &child["clicks"]), (&865.into(), &1.into()), "hits stand exactly");
    let auditor = token(&rig, &json!({"name": "Audit", "role": "auditor"})).1;
    assert_eq!(get(&rig, "/v1/campaigns/ours/reach", &auditor)["rows"][0]["reach"], 413);
}

/// The export says the same, cell by cell.
fn csv_says_the_same(rig: &Rig, path: &str, (report, bearer): (&Value, &str)) {
    let (_, csv) = rig.call_as("GET", &format!("{path}&format=csv&bom=false"), Some(bearer));
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    assert!(header.ends_with(&["suppressed", "rounded"]), "{csv}");
    for (line, row) in lines.zip(report["rows"].as_array().expect("rows")) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), header.len(), "{csv}");
        for (name, cell) in header
            .iter()
            .zip(cells)
            .filter(|(name, _)| ["impressions", "reach", "devices", "clicks"].contains(name))
        {
            let figure = if row[*name].is_null() { String::new() } else { row[*name].to_string() };
            assert_eq!(cell, figure, "{path} {name}");
        }
    }
}

/// Every number in a figure or a list of them.
fn numbers(value: &Value) -> Box<dyn Iterator<Item = u64> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter().flat_map(numbers)),
        other => Box::new(other.as_u64().into_iter()),
    }
}

/// The trial hits of one's own are not shaped: they are one by one.
#[test]
fn hits_of_a_trial_placement_are_shown_to_whose_it_is() {
    let rig = rig();
    for bearer in [advertiser(&rig), medium(&rig, "Medium B")] {
        let list = get(&rig, "/v1/campaigns/ours/placements/trial/hits", &bearer);
        assert_eq!(list["state"], "trial");
    }
    let (status, _) =
        rig.call_as("GET", "/v1/campaigns/ours/placements/trial/hits", Some(&medium(&rig, "Medium A")));
    assert_eq!(status, 404);
}
