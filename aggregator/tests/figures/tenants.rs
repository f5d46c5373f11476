//! What one tenant's work tells another one: nothing, whatever is edited, handed over or called alike.

use serde_json::{Value, json};

use crate::access::bearer;
use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit, unhurried};

const CATALOG: &str = r#"
[[campaign]]
id = "ours"
name = "Ours"
time_zone = "UTC"
advertiser = "acme"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
[[campaign.placement]]
id = "p2"
name = "Two"
medium = "Medium B"
[[campaign]]
id = "theirs"
name = "Theirs"
time_zone = "UTC"
advertiser = "globex"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium C"
"#;
/// The closed days.
const RANGE: &str = "from=2026-11-18&to=2026-11-18";

fn rig() -> Rig {
    let rig = Rig::with(CATALOG, unhurried());
    for (placement, days) in [("p1", 1), ("p1", 2), ("p2", 2)] {
        let at = NOON_MS - days * DAY_MS;
        let one = |n: u64| Hit { campaign: "ours", placement, device: Some(1 + n), ..hit(at + n as i64) };
        rig.push(&(0..200).map(one).collect::<Vec<_>>());
    }
    rig.settle();
    rig
}

fn operator(rig: &Rig, (method, path): (&str, &str), body: &str) {
    let (status, answer) = rig.send_as(method, path, Some(&format!("Bearer {TOKEN}")), body);
    assert!((200..300).contains(&status), "{path}: {answer}");
}

fn tokens(rig: &Rig) -> [String; 2] {
    [
        bearer(rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]})),
        bearer(rig, &json!({"name": "A", "role": "medium", "media": ["Medium A"]})),
    ]
}

fn get(rig: &Rig, path: &str, bearer: &str) -> String {
    let (status, body) = rig.call_as("GET", path, Some(bearer));
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[test]
fn anothers_edits_change_nothing_that_is_told() {
    let rig = rig();
    let closing = json!({"from": "2026-11-18", "to": "2026-11-18"}).to_string();
    operator(&rig, ("POST", "/v1/campaigns/ours/closings"), &closing);
    let paths: Vec<String> = ["delivery", "reach", "frequency", "ids", "overlap"]
        .iter()
        .flat_map(|kind| ["", RANGE].map(|range| format!("/v1/campaigns/ours/{kind}?by=medium&{range}")))
        .chain(["/v1/campaigns", "/v1/campaigns/ours", "/v1/campaigns/ours/placements"].map(str::to_owned))
        .chain(
            ["/v1/campaigns/ours/links?base=https://t.example.com", "/v1/alerts", "/v1/me"]
                .map(str::to_owned),
        )
        .collect();
    let tokens = tokens(&rig);
    let told = || -> Vec<String> {
        paths.iter().flat_map(|path| [0, 1].map(|who| get(&rig, path, &tokens[who]))).collect()
    };
    let head = || -> Value { rig.report(&format!("ours/reach?{RANGE}")) };
    let (before, version) = (told(), head()["versions"]["catalog"].clone());
    rig.set_catalog(&CATALOG.replace("name = \"Theirs\"", "name = \"Theirs, renamed\""));
    let now = head();
    assert_eq!(
        (&now["versions"]["catalog"], &now["adjustment"]["catalog"]["closed"]),
        (&version, &version),
        "a closing names the catalog that it was made by"
    );
    assert_ne!(now["adjustment"]["catalog"]["present"], version);
    for (n, (before, after)) in before.iter().zip(told()).enumerate() {
        assert_eq!(*before, after, "{}", paths[n / 2]);
    }
}

#[test]
fn a_closing_is_not_told_to_the_medium_that_has_the_placements_now() {
    let rig = rig();
    let [_, before] = tokens(&rig);
    let numbers = "placement,day,impressions,clicks\np1,2026-11-18,150,3\n";
    operator(&rig, ("PUT", "/v1/campaigns/ours/media-numbers"), numbers);
    let closing = json!({"from": "2026-11-18", "to": "2026-11-18"}).to_string();
    operator(&rig, ("POST", "/v1/campaigns/ours/closings"), &closing);
    let report = |kind: &str, by: &str, bearer: &str| {
        get(&rig, &format!("/v1/campaigns/ours/{kind}?by={by}&{RANGE}"), bearer)
    };
    let told = report("delivery", "medium", &before);
    assert!(told.contains("Medium A") && told.contains("\"reported_impressions\":150"), "{told}");
    // The very placements go to a medium that has no others, and then all there is.
    let after = bearer(&rig, &json!({"name": "D", "role": "medium", "media": ["Medium D"]}));
    rig.set_catalog(&CATALOG.replace("\"Medium A\"", "\"Medium D\""));
    for (kind, by) in
        [("delivery", "total"), ("delivery", "medium"), ("reach", "medium"), ("overlap", "medium")]
    {
        let told = report(kind, by, &after);
        assert!(told.contains("\"closed\":null") && !told.contains("Medium A"), "{told}");
        assert!(!told.contains("\"reported_impressions\":1") && !told.contains("\"gap\":0"), "{told}");
    }
    let gone = rig.call_as("GET", &format!("/v1/campaigns/ours/delivery?{RANGE}"), Some(&before));
    assert_eq!(gone.0, 404);
}

#[test]
fn what_a_medium_said_of_a_placement_is_not_told_to_the_next_one() {
    let rig = rig();
    let [advertiser, medium] = tokens(&rig);
    let numbers = "placement,day,impressions,clicks\np1,2026-11-18,150,3\np2,2026-11-18,190,1\n";
    operator(&rig, ("PUT", "/v1/campaigns/ours/media-numbers"), numbers);
    let said = |bearer: &str| -> Vec<Value> {
        let body = get(&rig, "/v1/campaigns/ours/delivery?by=placement", bearer);
        let report: Value = serde_json::from_str(&body).expect("JSON");
        let rows = report["rows"].as_array().expect("rows");
        rows.iter()
            .map(|row| json!([row["key"], row["reported_impressions"], row["gap"].is_null()]))
            .collect()
    };
    assert_eq!(said(&medium), [json!(["p1", 150, false])]);
    // The second one goes to the first one's medium.
    rig.set_catalog(&CATALOG.replace("medium = \"Medium B\"", "medium = \"Medium A\""));
    assert_eq!(said(&medium), [json!(["p1", 150, false]), json!(["p2", null, true])]);
    let all = [json!(["p1", 150, false]), json!(["p2", 190, false])];
    assert_eq!(said(&advertiser), all, "who sees all of the campaign is told whose word there is");
    assert!(get(&rig, "/v1/campaigns/ours/delivery", &medium).contains("\"reported_impressions\":150"));
}
