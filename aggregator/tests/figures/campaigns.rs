//! Campaigns over the API: what each role is shown of one, and that only the operator changes it.

use serde_json::{Value, json};

use crate::access::bearer;
use crate::rig::{CATALOG_BYTES_MAX, Hit, Rig, TOKEN, hit};

const CATALOG: &str = r#"
[[campaign]]
id = "ours"
name = "Ours"
time_zone = "UTC"
advertiser = "acme"
starts = 2026-11-01
ends = 2026-12-31
landing_hosts = ["www.example.com"]
currency = "CNY"
cost = 120000.50
universe = [{ region = "all", persons = 5000000, source = "Panel of a secret firm", date = 2026-01-01 }]
creative = [{ id = "cr1", name = "Spring" }]
[campaign.alerts]
silent_hours = 6
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
cost = 70000
plan = [{ from = 2026-11-01, to = 2026-11-10, impressions = 1000 }]
[[campaign.placement]]
id = "p2"
name = "Two"
medium = "Medium B"
cost = 50000
plan = [{ from = 2026-11-01, to = 2026-11-10, impressions = 777777 }]
[[campaign]]
id = "theirs"
name = "Theirs"
time_zone = "UTC"
advertiser = "globex"
[[campaign.placement]]
id = "p3"
name = "Three"
medium = "Medium B"
"#;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn each_role_is_shown_its_own_of_a_campaign() {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    let auditor = bearer(&rig, &json!({"name": "A", "role": "auditor"}));
    let acme = bearer(&rig, &json!({"name": "A", "role": "advertiser", "advertisers": ["acme"]}));
    let medium = bearer(&rig, &json!({"name": "A", "role": "medium", "media": ["Medium A"]}));
    let get = |path: &str, bearer: &str| {
        let (status, body) = rig.call_as("GET", path, Some(bearer));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str::<Value>(&body).expect("JSON")
    };
    let ours = "/v1/campaigns/ours";
    let whole = rig.get(ours);
    assert_eq!(
        (
            &whole["cost"],
            &whole["currency"],
            &whole["universes"][0]["persons"],
            &whole["alerts"]["silent_hours"]
        ),
        (&json!(120_000.5), &json!("CNY"), &json!(5_000_000), &json!(6))
    );
    assert_eq!((&whole["starts"], &whole["creatives"][0]["name"]), (&json!("2026-11-01"), &json!("Spring")));
    assert_eq!(whole["placements"][1]["plan"][0]["impressions"], 777_777);
    assert_eq!(get(ours, &auditor), whole);

    // All but the version, which changes with what is not theirs.
    let mut but_version = whole.clone();
    let version = but_version.as_object_mut().and_then(|all| all.remove("version"));
    assert!(version.is_some_and(|version| version.as_str().is_some_and(|text| text.len() == 8)));
    assert_eq!(get(ours, &acme), but_version);

    let seen = get(ours, &medium);
    let not_told = ["version", "advertiser", "cost", "currency", "universes"];
    let expected: Vec<&str> = keys(&whole).into_iter().filter(|key| !not_told.contains(key)).collect();
    assert_eq!(keys(&seen), expected);
    let mut first = whole["placements"][0].clone();
    first.as_object_mut().and_then(|all| all.remove("cost")).expect("a cost");
    assert_eq!(seen["placements"], json!([first]));
    assert_eq!(get(&format!("{ours}/placements"), &medium), json!({ "placements": [first] }));
    assert_eq!(get(&format!("{ours}/placements/p1"), &medium), first);
    let listed = get("/v1/campaigns", &medium);
    assert!(listed["campaigns"][0].get("advertiser").is_none(), "{listed}");
    assert_eq!(get("/v1/campaigns", &acme)["campaigns"][0]["advertiser"], "acme");
    let text = format!("{seen}{listed}");
    for hidden in ["acme", "120000", "70000", "Panel", "Medium B", "777777", "p2", "theirs"] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }

    // What is not theirs is answered like what nobody has.
    for (bearer, hidden, missing) in [
        (&medium, "/v1/campaigns/theirs", "/v1/campaigns/none"),
        (&acme, "/v1/campaigns/theirs", "/v1/campaigns/none"),
        (&medium, "/v1/campaigns/theirs/placements", "/v1/campaigns/none/placements"),
        (&medium, "/v1/campaigns/theirs/placements/p3", "/v1/campaigns/none/placements/p3"),
        (&medium, "/v1/campaigns/ours/placements/p2", "/v1/campaigns/ours/placements/none"),
    ] {
        let of = |path: &str| rig.call_as("GET", path, Some(bearer));
        assert_eq!(of(hidden), of(missing), "{hidden}");
        assert_eq!(of(hidden).0, 404);
    }
}

#[test]
fn only_the_operator_changes_a_campaign_and_the_audit_log_says_who_did() {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    let before = rig.catalog.load().version;
    let body = r#"{"id":"n","name":"N","time_zone":"UTC","medium":"M"}"#;
    let changes = [
        ("POST", "/v1/campaigns"),
        ("PATCH", "/v1/campaigns/{c}"),
        ("DELETE", "/v1/campaigns/{c}"),
        ("POST", "/v1/campaigns/{c}/placements"),
        ("POST", "/v1/campaigns/{c}/placements/import"),
        ("PATCH", "/v1/campaigns/{c}/placements/p1"),
        ("DELETE", "/v1/campaigns/{c}/placements/p1"),
    ];
    for wanted in [
        json!({"name": "A", "role": "auditor"}),
        json!({"name": "A", "role": "advertiser", "advertisers": ["acme"]}),
        json!({"name": "A", "role": "medium", "media": ["Medium A"]}),
    ] {
        let bearer = bearer(&rig, &wanted);
        for (method, path) in changes {
            let of = |campaign: &str| {
                let target = format!("{}?version={before:08x}", path.replace("{c}", campaign));
                rig.send_as(method, &target, Some(&bearer), body)
            };
            assert_eq!(of("ours").0, 403, "{wanted} {method} {path}");
            assert_eq!(of("ours"), of("none"), "{wanted} {method} {path}");
        }
    }
    assert_eq!(rig.catalog.load().version, before);

    let other = bearer(&rig, &json!({"name": "Second", "role": "operator"}));
    let plan = r#"{"plan":[{"from":"2026-11-01","to":"2026-11-02","impressions":5}]}"#;
    let target = format!("/v1/campaigns/ours/placements/p1?version={before:08x}");
    let (status, answer) = rig.send_as("PATCH", &target, Some(&other), plan);
    assert_eq!(status, 200, "{answer}");
    let audited = rig.audited();
    let entry = audited.lines().find(|line| line.contains("\"placement.change\"")).expect("it is entered");
    for said in [" Second", "campaign ours placement p1", "impressions = 5", &format!("{before:08x}")] {
        assert!(entry.contains(said), "{said}: {entry}");
    }
}

#[test]
fn nothing_is_changed_that_cannot_be_entered_in_the_audit_log() {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    rig.audit.close();
    let (status, body) = rig.send_as(
        "POST",
        "/v1/campaigns",
        Some(&format!("Bearer {TOKEN}")),
        r#"{"id":"n","name":"N","time_zone":"UTC"}"#,
    );
    assert_eq!(status, 503, "{body}");
    assert!(!rig.catalog.load().campaigns.contains_key("n"));
}

#[test]
fn a_change_that_makes_the_catalog_longer_than_can_be_kept_changes_nothing() {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    let before = rig.catalog.load().version;
    let bearer = format!("Bearer {TOKEN}");
    let hosts: Vec<String> = (0..900).map(|n| format!("{n}.{}.example.com", "x".repeat(60))).collect();
    for n in 0..4 {
        let body = json!({"id": format!("n{n}"), "name": "N", "medium": "M", "landing_hosts": hosts});
        let target = "/v1/campaigns/ours/placements";
        let (status, answer) = rig.send_as("POST", target, Some(&bearer), &body.to_string());
        if n < 3 {
            assert_eq!(status, 201, "{answer}");
        } else {
            let answer: Value = serde_json::from_str(&answer).expect("JSON");
            assert_eq!((status, &answer["error"]["code"]), (422, &json!("refused")), "{answer}");
            let said = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(said.contains(&format!("at most {CATALOG_BYTES_MAX} can be kept")), "{said}");
        }
    }
    let catalog = rig.catalog.load();
    assert!(catalog.version != before && !catalog.campaigns["ours"].placements.contains_key("n3"));
    assert!(!rig.audited().contains("\"n3\""), "and nothing is entered as begun");
}

#[test]
fn a_campaign_with_hits_keeps_its_clock() {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    let bearer = format!("Bearer {TOKEN}");
    let change = |zone: &str| {
        let target = format!("/v1/campaigns/ours?version={:08x}", rig.catalog.load().version);
        rig.send_as("PATCH", &target, Some(&bearer), &json!({ "time_zone": zone }).to_string())
    };
    assert_eq!(change("Asia/Shanghai").0, 200, "nothing was counted on it yet");
    rig.push(&[Hit { campaign: "ours", ..hit(rig.clock.now_ms()) }]);
    rig.load();
    let (status, answer) = change("UTC");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((status, &answer["error"]["fields"][0]["key"]), (422, &json!("time_zone")), "{answer}");
    assert_eq!(rig.catalog.load().campaigns["ours"].time_zone.name(), "Asia/Shanghai");
    assert_eq!(change("Asia/Shanghai").0, 200, "what changes nothing is no change");
}

#[test]
fn a_sheet_says_what_becomes_of_plans_before_it_is_taken() {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    let sheet = "Placement ID,2026-11-01,2026-11-02\np1,0,0\np2,5,5\n";
    let target = format!(
        "/v1/campaigns/ours/placements/import?existing=replace&dry_run=true&version={:08x}",
        rig.catalog.load().version
    );
    let (status, said) = rig.send_as("POST", &target, Some(&format!("Bearer {TOKEN}")), sheet);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let planned = json!([
        { "placement": "p1", "before": 10_000, "after": 8_000, "first_day": "2026-11-03", "last_day": "2026-11-10" },
        { "placement": "p2", "before": 7_777_770, "after": 6_222_226, "first_day": "2026-11-01", "last_day": "2026-11-10" },
    ]);
    assert_eq!((status, &said["planned"], &said["changed"]), (200, &planned, &json!(["p1", "p2"])), "{said}");
    assert_eq!((&said["sheet"], &said["unread_sheets"]), (&json!(""), &json!([])));
}

#[test]
fn a_sheet_is_proposed_profiles_by_its_media_and_gets_them_where_that_is_asked_for() {
    let rig = Rig::with(CATALOG, aggregator::Settings::default());
    let sheet = "Placement ID,Placement name,Medium,Macro profile\nfeed,Feed,\u{5feb}\u{624b},\nown,Own,\u{5feb}\u{624b},standard\nelse,Else,Anybody,\n";
    let import = |query: &str| -> Value {
        let target = format!("/v1/campaigns/ours/placements/import?{query}");
        let (status, said) = rig.send_as("POST", &target, Some(&format!("Bearer {TOKEN}")), sheet);
        assert_eq!(status, 200, "{said}");
        serde_json::from_str(&said).expect("JSON")
    };
    let proposed = json!([{ "placement": "feed", "medium": "\u{5feb}\u{624b}", "profile": "kuaishou" }]);
    assert_eq!(import("dry_run=true")["proposed_profiles"], proposed);
    assert_eq!(import("profiles=proposed")["proposed_profiles"], proposed);
    let catalog = rig.catalog.load();
    let placements = &catalog.campaigns["ours"].placements;
    let profiles =
        ["feed", "own", "else"].map(|id| placements[id].profile.as_ref().map(|one| one.name().to_owned()));
    assert_eq!(profiles, [Some("kuaishou".to_owned()), Some("standard".to_owned()), None]);
}
