//! Media's own numbers: given, kept, refused, and held against ours.

use serde_json::{Value, json};

use crate::access::bearer;
use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit, unhurried};

const CATALOG: &str = r#"
[[campaign]]
id = "c"
name = "C"
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
[[campaign.placement]]
id = "p3"
name = "Three"
medium = "Medium A"
[[campaign]]
id = "other"
name = "Other"
time_zone = "UTC"
advertiser = "globex"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium C"
"#;

const PATH: &str = "/v1/campaigns/c/media-numbers";

fn rig() -> Rig {
    Rig::with(CATALOG, unhurried())
}

fn medium(rig: &Rig, name: &str) -> String {
    bearer(rig, &json!({"name": name, "role": "medium", "media": [name]}))
}

fn advertiser(rig: &Rig, name: &str) -> String {
    bearer(rig, &json!({"name": name, "role": "advertiser", "advertisers": [name]}))
}

fn give(rig: &Rig, body: &str) -> Value {
    put(rig, PATH, None, body, 200)
}

fn put(rig: &Rig, path: &str, bearer: Option<&str>, body: &str, expected: u16) -> Value {
    let operator = format!("Bearer {TOKEN}");
    let (status, answer) = rig.send_as("PUT", path, Some(bearer.unwrap_or(&operator)), body);
    assert_eq!(status, expected, "{answer}");
    serde_json::from_str(&answer).expect("JSON")
}

fn get(rig: &Rig, path: &str, bearer: &str) -> Value {
    let (status, body) = rig.call_as("GET", path, Some(bearer));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

/// `devices` devices from `first` on, each seen once on a placement, `days` before today.
fn seen(placement: &'static str, first: u64, devices: u64, days: i64) -> Vec<Hit> {
    let at = NOON_MS - days * DAY_MS;
    let one = |n: u64| Hit { campaign: "c", placement, device: Some(first + n), ..hit(at + n as i64) };
    (0..devices).map(one).collect()
}

fn compared(row: &Value) -> Value {
    json!([
        row["key"],
        row["reported_impressions"],
        row["reported_clicks"],
        row["compared_impressions"],
        row["compared_clicks"],
        row["gap"]
    ])
}

fn all(rig: &Rig, by: &str) -> Vec<Value> {
    rig.rows(&format!("c/delivery?by={by}")).iter().map(compared).collect()
}

#[test]
fn only_what_a_medium_gave_numbers_for_is_compared() {
    let mut rig = rig();
    rig.push(&seen("p1", 1, 80, 2));
    rig.push(&seen("p1", 1, 100, 1));
    rig.push(&seen("p2", 1, 60, 1));
    rig.push(&[Hit { agent: "Googlebot/2.1".to_owned(), ..seen("p1", 500, 1, 2)[0].clone() }]);
    rig.settle();
    let before = all(&rig, "total");
    assert_eq!(before, [json!(["total", null, null, null, null, null])]);
    // p3 was never seen by us; of p1 nothing is said of the second day.
    give(
        &rig,
        "placement,day,impressions,clicks\np1,2026-11-18,100,4\np2,2026-11-19,50,\np3,2026-11-19,30,0\n",
    );
    let check = |rig: &Rig| {
        assert_eq!(all(rig, "total"), [json!(["total", 180, 4, 140, 0, 40.0 / 180.0])]);
        assert_eq!(
            all(rig, "placement"),
            [
                json!(["p1", 100, 4, 80, 0, 0.2]),
                json!(["p2", 50, null, 60, null, -0.2]),
                json!(["p3", 30, 0, 0, 0, 1.0]),
            ]
        );
        assert_eq!(
            all(rig, "medium"),
            [json!(["Medium A", 130, 4, 80, 0, 50.0 / 130.0]), json!(["Medium B", 50, null, 60, null, -0.2])]
        );
        assert_eq!(
            all(rig, "day"),
            [json!(["2026-11-18", 100, 4, 80, 0, 0.2]), json!(["2026-11-19", 80, 0, 60, 0, 0.25])]
        );
    };
    check(&rig);
    // In the report's filter: the robot counts in gross.
    assert_eq!(rig.row("c/delivery?filter=gross")["compared_impressions"], 141);
    assert_eq!(rig.row("c/delivery?from=2026-11-19")["reported_impressions"], 80);
    for by in ["creative", "hour", "platform", "region"] {
        assert!(
            all(&rig, by).iter().all(|row| row[1].is_null()),
            "{by} is nothing that media gave numbers by"
        );
    }
    rig.restart(|_| {});
    check(&rig);
    let (_, csv) = rig.call("GET", "/v1/campaigns/c/delivery?by=placement&format=csv&bom=false");
    assert!(csv.lines().next().is_some_and(|header| {
        header.contains("reported_impressions,reported_clicks,compared_impressions,compared_clicks,gap,")
    }));
}

#[test]
fn an_upload_is_taken_whole_or_not_at_all_and_versions_stay() {
    let rig = rig();
    let refused =
        put(&rig, PATH, None, "placement,day,impressions\np1,2026-11-18,5\nnone,2026-11-18,x\n", 422);
    assert_eq!((&refused["error"]["code"], &refused["error"]["cell_count"]), (&"sheet".into(), &2.into()));
    assert_eq!(refused["error"]["cells"][1]["column"], "C");
    assert_eq!(rig.get(PATH)["media"], json!([]));
    let dry = put(&rig, &format!("{PATH}?dry_run=true"), None, "placement,day,imp\np1,2026-11-18,5\n", 200);
    assert_eq!((&dry["rows"], &rig.get(PATH)["media"]), (&1.into(), &json!([])));

    let first = give(
        &rig,
        r#"{"rows":[{"placement":"p1","day":"2026-11-18","impressions":5,"clicks":1},{"placement":"p2","day":"2026-11-18","impressions":6}]}"#,
    );
    assert_eq!(first["media"][0]["version"]["version"], 1);
    rig.clock.advance_ms(60_000);
    give(
        &rig,
        r#"{"rows":[{"placement":"p1","day":"2026-11-18","impressions":7},{"placement":"p3","day":"2026-11-19","impressions":8}]}"#,
    );
    let list = rig.get(PATH);
    let versions = &list["media"][0]["versions"];
    assert_eq!(
        (
            &versions[0]["version"],
            &versions[0]["given_rows"],
            &versions[0]["rows"],
            &versions[0]["impressions"]
        ),
        (&2.into(), &2.into(), &2.into(), &15.into())
    );
    assert_eq!(
        (&versions[0]["given"], &versions[0]["given_by"]),
        (&"2026-11-20T12:01:00Z".into(), &"operator".into())
    );
    assert_eq!(list["media"][1]["versions"].as_array().map(Vec::len), Some(1), "nothing was said by B");
    let rows = |query: &str| rig.get(&format!("{PATH}?medium=Medium+A{query}"))["rows"].clone();
    assert_eq!(
        rows(""),
        json!([{"placement": "p1", "day": "2026-11-18", "impressions": 7, "clicks": null},
            {"placement": "p3", "day": "2026-11-19", "impressions": 8, "clicks": null}])
    );
    assert_eq!(
        rows("&version=1"),
        json!([{"placement": "p1", "day": "2026-11-18", "impressions": 5, "clicks": 1}])
    );
    assert_eq!(rig.call("GET", &format!("{PATH}?medium=Medium+A&version=9")).0, 404);
    put(&rig, &format!("{PATH}?existing=replace"), None, "placement,day,imp\np3,2026-11-18,1\n", 200);
    assert_eq!(rows(""), json!([{"placement": "p3", "day": "2026-11-18", "impressions": 1, "clicks": null}]));

    let entries = rig.audited();
    let given: Vec<&str> = entries.lines().filter(|line| line.contains("\"numbers.give\"")).collect();
    assert_eq!(given.len(), 3, "neither what was refused nor what was only tried: {entries}");
    let place = |act: &str| entries.rfind(act).expect("is entered");
    assert!(place("\"numbers.give\"") < place("\"numbers.given\",\"object\":\"campaign c\""), "{entries}");
}

#[test]
fn who_may_give_and_see_which_numbers() {
    let rig = rig();
    let (a, b) = (medium(&rig, "Medium A"), medium(&rig, "Medium B"));
    let (acme, globex) = (advertiser(&rig, "acme"), advertiser(&rig, "globex"));
    let auditor = bearer(&rig, &json!({"name": "Audit", "role": "auditor"}));
    let row = "placement,day,impressions\np1,2026-11-18,5\n";
    put(&rig, PATH, Some(&a), row, 200);
    for (who, expected) in [(&acme, 403), (&auditor, 403), (&globex, 404)] {
        put(&rig, PATH, Some(who), row, expected);
    }
    // Another medium's placement is answered like one that nobody has.
    let message = |placement: &str| {
        let body = format!("placement,day,impressions\n{placement},2026-11-18,5\n");
        let refused = put(&rig, PATH, Some(&b), &body, 422);
        refused["error"]["cells"][0]["message"].as_str().expect("words").to_owned()
    };
    assert_eq!(message("p1"), message("none"));
    put(&rig, PATH, Some(&b), "placement,day,impressions\np2,2026-11-18,9\n", 200);

    let names = |who: &str| -> Vec<String> {
        let list = get(&rig, PATH, who);
        let media = list["media"].as_array().expect("a list");
        media.iter().map(|of| of["medium"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!((names(&a), names(&b)), (vec!["Medium A".to_owned()], vec!["Medium B".to_owned()]));
    assert_eq!(names(&acme), ["Medium A", "Medium B"]);
    assert!(get(&rig, &format!("{PATH}?medium=Medium+A"), &b)["rows"].is_null());
    assert_eq!(get(&rig, PATH, &acme)["media"][0]["versions"][0]["given_by"], "medium");
    assert!(
        rig.get(PATH)["media"][0]["versions"][0]["given_by"]
            .as_str()
            .is_some_and(|by| by.ends_with("Medium A"))
    );
    for who in [&a, &b, &globex] {
        let none = rig.call_as("GET", "/v1/campaigns/none/media-numbers", Some(who));
        let others = rig.call_as("GET", "/v1/campaigns/other/media-numbers", Some(who));
        assert_eq!(none.0, 404);
        assert!(*who == globex || others == none);
    }
}

/// A medium chooses what it gives numbers for: what of ours stands beside it must not cut a row into parts that are too small to be shown.
#[test]
fn comparing_tells_no_part_of_a_row_that_is_too_small_to_be_shown() {
    let rig = rig();
    rig.push(&seen("p1", 1, 100, 2));
    rig.push(&seen("p1", 200, 8, 1));
    rig.push(&seen("p2", 400, 90, 2));
    rig.push(&seen("p2", 400, 90, 1));
    rig.settle();
    let (a, acme) = (medium(&rig, "Medium A"), advertiser(&rig, "acme"));
    let ask = |who: &str, by: &str| -> Vec<Value> {
        let report = get(&rig, &format!("/v1/campaigns/c/delivery?by={by}"), who);
        report["rows"].as_array().expect("rows").iter().map(compared).collect()
    };
    // The eight devices of the second day, and all but them.
    for (day, exact) in [("2026-11-19", 8), ("2026-11-18", 100)] {
        put(
            &rig,
            &format!("{PATH}?existing=replace"),
            None,
            &format!("placement,day,imp,clicks\np1,{day},10,0\n"),
            200,
        );
        let row = json!(["p1", 10, 0, null, null, null]);
        for who in [&a, &acme] {
            assert_eq!(ask(who, "placement")[0], row, "{day}");
        }
        assert_eq!(ask(&a, "total"), [json!(["total", 10, 0, null, null, null])]);
        assert_eq!(all(&rig, "placement")[0][3], exact);
    }
    // Both days are the whole row, and a day of p2 is large, as is the other.
    give(&rig, "placement,day,imp\np1,2026-11-19,10\np2,2026-11-18,100\n");
    assert_eq!(
        ask(&acme, "placement"),
        [json!(["p1", 20, 0, 108, null, -4.4]), json!(["p2", 100, null, 90, null, 0.1])]
    );
    let csv = rig.call_as("GET", "/v1/campaigns/c/delivery?by=day&format=csv&bom=false", Some(&acme)).1;
    assert_eq!(csv.lines().count(), 3, "{csv}");
}
