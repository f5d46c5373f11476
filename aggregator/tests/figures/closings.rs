//! Closed periods: what they stay, what stands beside them, and who sees it.

use aggregator::Erasure;
use event::key::DeviceKey;
use event::stage::Stage;
use serde_json::{Value, json};

use crate::access::bearer;
use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, TOKEN, hit, unhurried};

const CATALOG: &str = r#"
[[campaign]]
id = "c"
name = "C"
time_zone = "UTC"
advertiser = "acme"
double_click_seconds = 0
landing_hosts = ["www.example.com"]
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
[[campaign.placement]]
id = "p2"
name = "Two"
medium = "Medium B"
"#;

const PATH: &str = "/v1/campaigns/c/closings";
/// The closed days: the two before yesterday.
const RANGE: &str = "from=2026-11-17&to=2026-11-18";
const REPORTS: [(&str, &[&str]); 5] = [
    ("delivery", &["total", "day", "placement", "medium", "creative", "region", "platform", "hour"]),
    ("reach", &["total", "day", "placement", "medium", "creative", "region", "platform", "hour", "id_kind"]),
    (
        "frequency",
        &["total", "day", "placement", "medium", "creative", "region", "platform", "hour", "id_kind"],
    ),
    ("ids", &["total", "day", "placement", "medium", "platform"]),
    ("overlap", &["placement", "medium", "id_kind"]),
];

fn rig() -> Rig {
    Rig::with(CATALOG, unhurried())
}

/// On a day before today: `devices` devices from `first` on, each `times` on a placement, and clicks of some.
fn traffic(days: i64, placement: &'static str, (first, devices, times): (u64, u64, u64)) -> Vec<Hit> {
    let at = NOON_MS - days * DAY_MS;
    let view = |n: u64| Hit {
        campaign: "c",
        placement,
        creative: if n.is_multiple_of(3) { "a" } else { "b" },
        region: if n.is_multiple_of(2) { "CN-31" } else { "" },
        device: Some(first + n % devices),
        ..hit(at + 1000 * n as i64)
    };
    let mut hits: Vec<Hit> = (0..devices * times).map(view).collect();
    // Two clicks of one device, two seconds apart.
    hits.extend([0, 2000].map(|later| Hit {
        stage: Stage::Click,
        time_ms: at + later,
        received_ms: at + later,
        ..view(0)
    }));
    hits
}

fn all_traffic() -> Vec<Hit> {
    let mut hits = traffic(3, "p1", (1, 120, 2));
    hits.extend(traffic(2, "p1", (60, 130, 1)));
    hits.extend(traffic(2, "p2", (1, 90, 3)));
    hits.extend(traffic(1, "p1", (1, 10, 1)));
    hits.push(Hit { agent: "Googlebot/2.1".to_owned(), ..hits[0].clone() });
    hits
}

fn close_as(rig: &Rig, bearer: &str, body: &Value) -> (u16, Value) {
    let (status, answer) = rig.send_as("POST", PATH, Some(bearer), &body.to_string());
    (status, serde_json::from_str(&answer).expect("JSON"))
}

fn close(rig: &Rig, note: &str) -> (u16, Value) {
    let body = json!({"from": "2026-11-17", "to": "2026-11-18", "note": note});
    close_as(rig, &format!("Bearer {TOKEN}"), &body)
}

/// Late hits of new and old devices and on another creative, an erased device, and a limit between two clicks.
fn change_everything(rig: &Rig) {
    rig.clock.advance_ms(DAY_MS);
    let late = traffic(3, "p2", (500, 70, 2)).into_iter().chain(traffic(2, "p1", (1, 60, 1)));
    let late: Vec<Hit> =
        late.map(|hit| Hit { received_ms: NOON_MS + DAY_MS - 1000, creative: "late", ..hit }).collect();
    rig.push(&late);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&1_u64.to_be_bytes());
    let erasure = Erasure { request: 1, devices: &[DeviceKey(key)], until_ms: NOON_MS };
    rig.settle();
    rig.rights().erase(&erasure).expect("it is erased");
    rig.set_catalog(&CATALOG.replace("double_click_seconds = 0", "double_click_seconds = 5"));
    rig.settle();
}

fn get(rig: &Rig, path: &str, bearer: &str) -> Value {
    let (status, body) = rig.call_as("GET", path, Some(bearer));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Every report of the range, each with its path.
fn all(rig: &Rig, bearer: &str) -> Vec<(String, Value)> {
    let mut reports = Vec::new();
    for (kind, bys) in REPORTS {
        for by in bys {
            // Each by one filter, in turn.
            let filter = ["net", "gross"][reports.len() % 2];
            let path = format!("/v1/campaigns/c/{kind}?{RANGE}&by={by}&filter={filter}");
            let report = get(rig, &path, bearer);
            reports.push((path, report));
        }
    }
    reports
}

/// The rows that were there when the period was closed, without what stands beside them, as they are written.
fn figures(report: &Value) -> String {
    let rows = report["rows"].as_array().expect("rows").iter();
    let closed = rows.filter(|row| !row["settled_until"].is_null()).map(|row| {
        let mut row = row.clone();
        row.as_object_mut().expect("a row").shift_remove("adjustment");
        row.to_string()
    });
    closed.collect::<Vec<_>>().join("\n")
}

fn key(row: &Value) -> String {
    format!("{} {} {}", row["key"], row["frequency"], row["or_more"])
}

/// Holds that closed + adjustment = present in every figure that is adjusted, and counts the figures that changed.
fn check_sum(path: &str, closed: &Value, present: &Value) -> usize {
    let rows = closed["rows"].as_array().expect("rows");
    let now = present["rows"].as_array().expect("rows");
    let mut changed = 0;
    for row in now {
        assert!(rows.iter().any(|one| key(one) == key(row)), "{path}: {row} is nowhere");
    }
    for row in rows {
        let after = now.iter().find(|one| key(one) == key(row));
        let adjustment = row["adjustment"].as_object().expect("an adjustment");
        assert!(!adjustment.is_empty(), "{path}");
        for (name, change) in adjustment {
            let figure = |of: &Value| {
                let (group, rest) = name.split_at(name.find("s_").map_or(0, |at| at + 1));
                let is_nested = name.starts_with("removed_") || name.starts_with("stages_");
                let nested = if is_nested { &of[group][&rest[1..]] } else { &of[name.as_str()] };
                nested.as_i64().unwrap_or(0)
            };
            if path.contains("/overlap") && row[name].is_null() {
                continue;
            }
            let change = change.as_i64().unwrap_or_else(|| panic!("{path}: {name} of {row}"));
            assert_eq!(figure(row) + change, after.map_or(0, figure), "{path}: {name} of {row}");
            changed += usize::from(change != 0);
        }
    }
    changed
}

#[test]
fn a_closed_period_stays_the_same_to_the_digit_and_the_adjustment_is_the_difference() {
    let mut rig = rig();
    let operator = format!("Bearer {TOKEN}");
    rig.push(&all_traffic());
    rig.settle();
    let before = all(&rig, &operator);
    let (status, made) = close(&rig, "as agreed");
    assert_eq!((status, &made["version"], &made["newest"]), (201, &1.into(), &true.into()), "{made}");
    for ((path, report), (_, closed)) in before.iter().zip(all(&rig, &operator)) {
        assert_eq!(figures(report), figures(&closed), "{path}");
        assert_eq!(closed["closed"]["note"], "as agreed", "{path}");
        assert_eq!(report["versions"], closed["versions"], "{path}");
        assert_eq!(check_sum(path, &closed, report), 0, "{path}: nothing has changed yet");
    }
    let fewer =
        |state: &str| get(&rig, &format!("/v1/campaigns/c/reach?{RANGE}&levels=2&state={state}"), &operator);
    assert_eq!(figures(&fewer("closed")), figures(&fewer("present")));
    let csv = |rig: &Rig| rig.call("GET", &format!("/v1/campaigns/c/reach?{RANGE}&by=day&format=csv")).1;
    let (rows, width) = (csv(&rig), |line: &str| line.split(',').count());
    assert!(rows.lines().all(|line| width(line) == width(rows.lines().next().expect("a header"))), "{rows}");

    change_everything(&rig);
    let hold = |rig: &Rig| {
        let mut changed = 0;
        for ((path, report), (_, closed)) in before.iter().zip(all(rig, &operator)) {
            assert_eq!(figures(report), figures(&closed), "{path}");
            let present = get(rig, &format!("{path}&state=present"), &operator);
            assert!(present.get("closed").is_none() && present.get("adjustment").is_none());
            changed += check_sum(path, &closed, &present);
            let why = &closed["adjustment"];
            assert_eq!(why["late_hits"], 204, "{why}");
            assert_eq!(why["erased_hits"], 10, "{why}");
            assert_eq!(why["double_click_seconds"], json!({"closed": 0, "present": 5}));
        }
        assert!(changed > 100, "{changed} figures changed");
    };
    hold(&rig);
    let total = rig.row(&format!("c/delivery?{RANGE}&filter=net"));
    assert_eq!(total["adjustment"]["removed_clicks_double_click"], 3, "{total}");
    let reach = rig.row(&format!("c/reach?{RANGE}"));
    assert_eq!((&reach["reach"], &reach["adjustment"]["reach"]), (&189.into(), &70.into()));
    for form in ["xlsx", "parquet"] {
        assert_eq!(rig.bytes(&format!("/v1/campaigns/c/delivery?{RANGE}&by=creative&format={form}")).0, 200);
    }
    rig.restart(|_| {});
    for (path, report) in before.iter().filter(|(path, _)| path.contains("by=placement")) {
        assert_eq!(figures(report), figures(&get(&rig, path, &operator)), "{path}");
    }

    // Again, and both are there.
    assert_eq!(close(&rig, "").0, 400, "a range that is closed again needs a reason");
    let (status, made) = close(&rig, "late hits accepted");
    assert_eq!((status, &made["version"]), (201, &2.into()), "{made}");
    let reach_of = |more: &str| rig.row(&format!("c/reach?{RANGE}{more}"))["reach"].clone();
    assert_eq!(
        (reach_of(""), reach_of("&version=1"), reach_of("&version=2")),
        (259.into(), 189.into(), 259.into())
    );
    assert_eq!(rig.call("GET", &format!("/v1/campaigns/c/reach?{RANGE}&version=3")).0, 422);
    let list = rig.get(PATH)["closings"].clone();
    assert_eq!(
        (&list[0]["newest"], &list[1]["newest"], &list[1]["note"]),
        (&false.into(), &true.into(), &"late hits accepted".into())
    );
    let entries = rig.audited();
    assert_eq!(entries.matches("\"period.close\"").count(), 2, "{entries}");
}

#[test]
fn what_closed_figures_would_be_now_is_counted_again_when_their_days_change() {
    let rig = rig();
    rig.push(&all_traffic());
    rig.settle();
    assert_eq!(close(&rig, "").0, 201);
    let path = format!("c/reach?{RANGE}");
    let adjustment = || rig.row(&path)["adjustment"]["reach"].clone();
    let late_hits = || rig.report(&path)["adjustment"]["late_hits"].clone();
    assert_eq!((adjustment(), late_hits()), (0.into(), 0.into()));
    // Behind everybody's back, so that whether it is counted shows.
    rig.sql("TRUNCATE TABLE device_days");
    assert_eq!(rig.row(&format!("{path}&state=present"))["reach"], 0);
    assert_eq!(adjustment(), 0, "the days stand still");
    change_everything(&rig);
    assert_ne!(adjustment(), 0);
    assert_ne!(late_hits(), 0);
}

#[test]
fn a_closed_period_outlives_the_devices_of_its_days() {
    let rig = rig();
    rig.push(&all_traffic());
    rig.settle();
    assert_eq!(close(&rig, "").0, 201);
    let before = get(&rig, &format!("/v1/campaigns/c/reach?{RANGE}&by=day"), &format!("Bearer {TOKEN}"));
    rig.clock.advance_ms(200 * DAY_MS);
    rig.settle();
    let (status, _) = rig.call("GET", &format!("/v1/campaigns/c/reach?{RANGE}&by=day&state=present"));
    assert_eq!(status, 422);
    let after = rig.report(&format!("c/reach?{RANGE}&by=day"));
    assert_eq!(figures(&after), figures(&before));
    assert_eq!(after["adjustment"]["devices_expired"], true);
    assert!(after["rows"][0]["adjustment"]["reach"].is_null());
}

#[test]
fn only_settled_days_are_closed() {
    let rig = rig();
    rig.push(&all_traffic());
    let refused = |from: &str, to: &str| {
        let (status, answer) = close_as(&rig, &format!("Bearer {TOKEN}"), &json!({"from": from, "to": to}));
        (status, answer["error"]["code"].clone(), answer["error"]["message"].to_string())
    };
    rig.load();
    let (status, code, message) = refused("2026-11-17", "2026-11-18");
    assert_eq!((status, code), (409, "not_settled".into()));
    assert!(message.contains("2026-11-17, 2026-11-18"), "{message}");
    rig.settle();
    assert_eq!(refused("2026-11-17", "2026-11-20").0, 409, "today is not over");
    assert_eq!(refused("2026-11-18", "2026-11-17").0, 400);
    assert_eq!(refused("2026-11-18", "soon").0, 400);
    assert_eq!(rig.get(PATH)["closings"], json!([]));
    assert_eq!(refused("2026-11-10", "2026-11-18").0, 201, "days without a hit are settled");
    // Another range is not closed by it.
    assert!(rig.report(&format!("c/reach?{RANGE}")).get("closed").is_none());
}

#[test]
fn each_role_is_shown_closed_figures_as_it_may_see_them() {
    let rig = rig();
    rig.push(&all_traffic());
    rig.settle();
    let acme = bearer(&rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let other = bearer(&rig, &json!({"name": "Other", "role": "advertiser", "advertisers": ["globex"]}));
    let auditor = bearer(&rig, &json!({"name": "Audit", "role": "auditor"}));
    let a = bearer(&rig, &json!({"name": "A", "role": "medium", "media": ["Medium A"]}));
    let both = bearer(&rig, &json!({"name": "AB", "role": "medium", "media": ["Medium A", "Medium B"]}));
    let body = json!({"from": "2026-11-17", "to": "2026-11-18", "note": "between us"});
    for (who, expected) in [(&acme, 403), (&auditor, 403), (&a, 403), (&other, 404)] {
        assert_eq!(close_as(&rig, who, &body).0, expected);
    }
    let before: Vec<_> = [&acme, &a].map(|who| (who, all(&rig, who))).into();
    assert_eq!(close(&rig, "between us").0, 201);
    change_everything(&rig);
    for (who, before) in &before {
        for ((path, report), (_, closed)) in before.iter().zip(all(&rig, who)) {
            assert_eq!(figures(report), figures(&closed), "{path}");
            for row in closed["rows"].as_array().expect("rows") {
                for name in
                    ["reach", "devices", "n_plus", "identified_impressions", "identified", "cumulative_reach"]
                {
                    let change = row["adjustment"][name].as_i64().unwrap_or(0);
                    assert_eq!(change % 10, 0, "{path}: {name} of {row}");
                }
                for (name, change) in row["adjustment"].as_object().expect("an adjustment") {
                    let change = change.as_i64().unwrap_or(0).abs();
                    assert!(change == 0 || change >= 50, "{path}: {name} of {row}");
                }
            }
        }
    }
    let head = |who: &str| get(&rig, &format!("/v1/campaigns/c/delivery?{RANGE}"), who);
    assert_eq!(head(&acme)["closed"]["note"], "between us");
    assert_eq!(head(&acme)["adjustment"]["late_hits"], 200, "a multiple of k");
    assert!(head(&acme)["adjustment"]["erased_hits"].is_null(), "ten hits of one device");
    assert!(head(&acme)["adjustment"]["catalog"].is_null(), "what others changed too");
    assert!(head(&a)["closed"]["note"].is_null() && head(&a)["closed"]["version"] == 1);
    let of_both = head(&both);
    assert!(of_both["closed"].is_null() && of_both.get("closed").is_some(), "{of_both}");
    assert_eq!(rig.call_as("GET", PATH, Some(&other)).0, 404);
    assert_eq!(rig.call_as("GET", &format!("/v1/campaigns/c/reach?{RANGE}"), Some(&other)).0, 404);
    let listed = get(&rig, PATH, &a)["closings"][0].clone();
    assert!(listed["note"].is_null() && listed["closed_by"].is_null() && listed["version"] == 1, "{listed}");
    let listed = get(&rig, PATH, &acme)["closings"][0].clone();
    assert_eq!(listed["closed_by"], "operator");
    assert!(listed["rows"].is_null() && listed["versions"]["catalog"].is_null(), "{listed}");
    let listed = get(&rig, PATH, &auditor)["closings"][0].clone();
    assert!(listed["rows"].is_u64() && listed["versions"]["catalog"].is_string(), "{listed}");
}

#[test]
fn a_closed_period_is_answered_while_the_store_is_not() {
    let rig = rig();
    rig.push(&all_traffic());
    rig.settle();
    assert_eq!(close(&rig, "").0, 201);
    let acme = bearer(&rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let some = |who: &str| {
        let path = |kind: &str| format!("/v1/campaigns/c/{kind}?{RANGE}&by=placement");
        REPORTS.map(|(kind, _)| (path(kind), get(&rig, &path(kind), who)))
    };
    let before = [format!("Bearer {TOKEN}"), acme].map(|who| (some(&who), who));
    rig.sql("RENAME TABLE events TO events_away");
    for (reports, who) in &before {
        for ((path, report), (_, now)) in reports.iter().zip(some(who)) {
            assert_eq!(figures(report), figures(&now), "{path}");
            let why = &now["adjustment"];
            assert!(why["unavailable"] == true && why["late_hits"].is_null(), "{path}: {why}");
            for row in now["rows"].as_array().expect("rows") {
                let changes = row["adjustment"].as_object().expect("an adjustment");
                assert!(changes.values().all(Value::is_null), "{path}: {row}");
            }
        }
    }
    rig.sql("RENAME TABLE events_away TO events");
    assert_eq!(rig.report(&format!("c/reach?{RANGE}"))["adjustment"]["unavailable"], false);
}

#[test]
fn of_two_that_close_a_range_at_once_the_second_has_to_say_why() {
    let rig = rig();
    rig.push(&all_traffic());
    rig.settle();
    let mut answers = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| close(&rig, "").0));
        both.map(|one| one.join().expect("answered"))
    });
    answers.sort_unstable();
    assert_eq!(answers, [201, 400]);
    assert_eq!(rig.get(PATH)["closings"].as_array().map(Vec::len), Some(1));
}

#[test]
fn figures_of_more_than_one_catalog_are_no_closing() {
    let rig = rig();
    rig.push(&all_traffic());
    rig.settle();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for edit in 0.. {
                if is_over.load(std::sync::atomic::Ordering::Acquire) {
                    break;
                }
                rig.set_catalog(&format!("{CATALOG}# {edit}\n"));
                // At the pace of requests.
                rig.get("/v1/me");
            }
        });
        let (status, answer) = close(&rig, "");
        is_over.store(true, std::sync::atomic::Ordering::Release);
        assert_eq!((status, &answer["error"]["code"]), (409, &"not_settled".into()), "{answer}");
    });
    assert_eq!(rig.get(PATH)["closings"], json!([]));
    assert_eq!(close(&rig, "").0, 201);
}

#[test]
fn members_of_a_closed_overlap_are_chosen_as_of_a_present_one() {
    let rig = rig();
    rig.push(&all_traffic());
    rig.settle();
    let paths = ["", "&stack=Medium+B", "&members=Medium+B", "&members=Medium+B,Medium+A&stack=Medium+B"]
        .map(|more| format!("/v1/campaigns/c/overlap?{RANGE}&by=medium{more}"));
    let operator = format!("Bearer {TOKEN}");
    let before = paths.clone().map(|path| get(&rig, &path, &operator));
    assert_eq!(close(&rig, "").0, 201);
    change_everything(&rig);
    for (path, before) in paths.iter().zip(&before) {
        let closed = get(&rig, path, &operator);
        assert_eq!(figures(before), figures(&closed), "{path}");
        assert_eq!(closed["closed"]["version"], 1, "{path}");
        assert!(check_sum(path, &closed, &get(&rig, &in_order(path, &closed), &operator)) > 0);
    }
    assert_eq!(rig.call("GET", &format!("{}&members=Nobody", paths[0])).0, 400);
}

/// The present overlap with the stack of the closed one: what each member adds depends on who is before it.
fn in_order(path: &str, closed: &Value) -> String {
    let rows = closed["rows"].as_array().expect("rows").iter();
    let members: Vec<String> = rows
        .filter(|row| row["kind"] == "member")
        .map(|row| row["key"].as_str().expect("a name").replace(' ', "+"))
        .collect();
    let path = path.split("&stack=").next().expect("a path");
    format!("{path}&state=present&stack={}", members.join(","))
}

#[test]
fn a_closed_overlap_is_held_against_its_own_members_or_nothing() {
    // One name is made of the two others.
    let catalog = format!(
        "{}[[campaign.placement]]\nid = \"p3\"\nname = \"Three\"\nmedium = \"A,B\"\n",
        CATALOG.replace("\"Medium A\"", "\"A\"").replace("\"Medium B\"", "\"B\"")
    );
    let rig = Rig::with(&catalog, unhurried());
    rig.push(&all_traffic());
    rig.settle();
    assert_eq!(close(&rig, "").0, 201);
    rig.clock.advance_ms(DAY_MS);
    let late = traffic(3, "p2", (500, 70, 2));
    let late: Vec<Hit> =
        late.into_iter().map(|hit| Hit { received_ms: NOON_MS + DAY_MS - 1000, ..hit }).collect();
    rig.push(&late);
    rig.settle();
    let overlap = || rig.report(&format!("c/overlap?{RANGE}&by=medium"));
    let changes = |report: &Value, name: &str| -> Vec<Value> {
        let rows = report["rows"].as_array().expect("rows").iter();
        rows.map(|row| json!([row["key"], row["adjustment"][name]])).collect()
    };
    let closed = overlap();
    assert_eq!(closed["adjustment"]["members_changed"], false, "{closed}");
    let expected = [json!(["A", 0]), json!(["B", 70]), json!(["A + B", 70]), json!(["all", 70])];
    assert_eq!(changes(&closed, "reach"), expected);
    assert_eq!(
        changes(&closed, "incremental_reach")[1],
        json!(["B", 70]),
        "with A before it, as it was closed"
    );

    rig.set_catalog(&catalog.replace("\"B\"", "\"B and sons\""));
    let closed = overlap();
    let why = &closed["adjustment"];
    assert_eq!((&why["members_changed"], &why["unavailable"]), (&true.into(), &false.into()), "{why}");
    assert!(changes(&closed, "reach").iter().all(|change| change[1].is_null()), "{closed}");
}

#[test]
fn what_is_billed_by_stages_is_adjusted_too() {
    let rig = rig();
    rig.push(&all_traffic());
    let day = NOON_MS - 3 * DAY_MS;
    let stages = |first: u64, stage: Stage, count: u64| -> Vec<Hit> {
        let one = |n: u64| Hit {
            campaign: "c",
            placement: "p1",
            stage,
            device: Some(first + n),
            ..hit(day + n as i64)
        };
        (0..count).map(one).collect()
    };
    rig.push(&stages(1, Stage::Viewable, 60));
    rig.settle();
    assert_eq!(close(&rig, "").0, 201);
    rig.clock.advance_ms(DAY_MS);
    let mut late = stages(61, Stage::Viewable, 55);
    late.extend(stages(61, Stage::Complete, 52));
    late.extend(stages(61, Stage::NotViewable, 3));
    let late: Vec<Hit> =
        late.into_iter().map(|hit| Hit { received_ms: NOON_MS + DAY_MS - 1000, ..hit }).collect();
    rig.push(&late);
    rig.settle();
    let total = rig.row(&format!("c/delivery?{RANGE}"));
    let change = &total["adjustment"];
    assert_eq!(
        (&total["stages"]["viewable"], &change["stages_viewable"]),
        (&60.into(), &55.into()),
        "{total}"
    );
    assert_eq!(
        (&change["stages_completes"], &change["stages_not_viewable"]),
        (&52.into(), &3.into()),
        "{total}"
    );
    assert_eq!((&change["measured"], &change["unmeasured"]), (&58.into(), &(-58).into()), "{total}");
    let acme = bearer(&rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let told =
        get(&rig, &format!("/v1/campaigns/c/delivery?{RANGE}"), &acme)["rows"][0]["adjustment"].clone();
    assert_eq!(
        (&told["stages_viewable"], &told["stages_not_viewable"]),
        (&55.into(), &Value::Null),
        "{told}"
    );
}
