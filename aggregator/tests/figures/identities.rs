//! Every identity of delivery, reach, frequency, ids and overlap, on every report that can be asked for: each kind, key and filter, live and settled,
//! counted and estimated, as the house and as tenants are shown it, and out of a closing.
//!
//! No figure is computed here: [`crate::oracle`] does that. What is looked for is a report that contradicts itself, or two of one moment that
//! contradict each other. In a shaped report an identity is held wherever all its terms are shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use event::record::flag;
use event::stage::Stage;
use serde_json::{Value, json};

use crate::access::bearer;
use crate::attack;
use crate::rig::{Hit, NOON_MS, Random, Rig, TOKEN, seed, unhurried};
use aggregator::Settings;

mod holds;

use self::holds::Held;

/// All days of the workload.
const RANGE: &str = "from=2026-11-16&to=2026-11-17";

fn catalog() -> String {
    let universe = |of: &str, persons: u32| {
        format!("[[campaign.universe]]\n{of}persons = {persons}\nsource = \"Panel\"\ndate = 2026-06-30\n")
    };
    let placement = |(id, medium): &(&str, &str)| {
        format!(
            "[[campaign.placement]]\nid = \"{id}\"\nname = \"{id}\"\nmedium = \"{medium}\"\ncost = 50.00\n\
             plan = [{{ from = 2026-11-16, to = 2026-11-17, impressions = 400 }}]\n"
        )
    };
    format!(
        "[[campaign]]\nid = \"ours\"\nname = \"Ours\"\ntime_zone = \"UTC\"\nadvertiser = \"acme\"\ncurrency = \"CNY\"\n{}{}{}",
        universe("", 5_000),
        universe("region = \"CN-31\"\n", 900),
        // One is called as that is which is not known.
        attack::PLACEMENTS.iter().chain(&[("p7", "unknown"), ("p8", "E")]).map(placement).collect::<String>()
    )
}

/// The workload of the attack, with keys as hashes are, verdicts on viewability, ids that are known by their SHA alone or bad, and creatives and regions
/// called as those are that are not known.
fn workload(random: &mut Random) -> Vec<Hit> {
    let mut hits = attack::workload(random);
    for hit in &mut hits {
        hit.device = hit.device.map(|device| Random(device).next());
        match random.below(12) {
            0 => hit.creative = "unknown",
            1 => hit.region = "unknown",
            2 => hit.placement = "p7",
            3 => hit.placement = "p8",
            4 if hit.device.is_some() => hit.flags |= flag::ID_SHA_ONLY,
            5 if hit.device.is_none() => hit.flags |= flag::ID_BAD,
            _ => {}
        }
    }
    let verdicts = [Stage::Viewable, Stage::NotViewable, Stage::NotMeasurable, Stage::Complete];
    let of_view = |hit: &Hit, n: u64| Hit {
        stage: verdicts[n as usize % verdicts.len()],
        time_ms: hit.time_ms + 1_000,
        received_ms: hit.received_ms + 1_000,
        ..hit.clone()
    };
    let seen: Vec<Hit> = hits.iter().filter(|hit| hit.stage == Stage::Impression).cloned().collect();
    hits.extend(seen.iter().filter_map(|hit| match random.below(6) {
        n @ 0..4 => Some(of_view(hit, n)),
        _ => None,
    }));
    hits
}

/// Who asks, and how.
struct Asked {
    name: &'static str,
    bearer: String,
    query: &'static str,
    /// Whether nothing is left out.
    is_exact: bool,
}

const BY: [&str; 9] =
    ["total", "day", "placement", "medium", "creative", "region", "platform", "hour", "id_kind"];

/// Whether a kind of report is broken down by a key, estimated or not.
fn is_offered(kind: &str, by: &str, is_estimate: bool) -> bool {
    let is_of_devices = ["total", "day", "placement", "medium", "id_kind"].contains(&by);
    match kind {
        "delivery" => by != "id_kind" && !is_estimate,
        "ids" => ["total", "day", "placement", "medium", "platform"].contains(&by) && !is_estimate,
        "overlap" => ["placement", "medium", "id_kind"].contains(&by),
        _ => is_of_devices || !is_estimate,
    }
}

fn ask(rig: &Rig, asked: &Asked, path: &str) -> Value {
    let path = format!("/v1/campaigns/ours/{path}{}", asked.query);
    let (status, body) = rig.call_as("GET", &path, Some(&asked.bearer));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Every report of somebody's, each by itself and against the others. Answers which identities were held against a figure.
fn hold_all(rig: &Rig, asked: &Asked) -> BTreeSet<&'static str> {
    let mut held = BTreeSet::new();
    let is_estimate = asked.query.contains("sampled");
    // Of shaped reports few frequencies, so that all of them are shown somewhere.
    let levels = if asked.is_exact { 80 } else { 2 };
    for filter in ["net", "gross"] {
        let mut reports: BTreeMap<(&str, &str), Value> = BTreeMap::new();
        for kind in ["delivery", "reach", "frequency", "ids", "overlap"] {
            for by in BY.into_iter().filter(|by| is_offered(kind, by, is_estimate)) {
                let levels = if kind == "reach" { format!("&levels={levels}") } else { String::new() };
                let report = ask(rig, asked, &format!("{kind}?by={by}&filter={filter}&{RANGE}{levels}"));
                reports.insert((kind, by), report);
            }
        }
        for ((kind, by), report) in &reports {
            let place = format!("{} {kind} by {by} {filter}", asked.name);
            held.extend(Held::new(place, report, asked.is_exact).all());
        }
        for ((kind, by), report) in &reports {
            let place = format!("{} {kind} by {by} {filter} beside others", asked.name);
            let mut one = Held::new(place, report, asked.is_exact);
            if let Some(total) = reports.get(&(*kind, "total")).filter(|_| *kind != "frequency") {
                one.parts_of(total);
            }
            match *kind {
                "frequency" => one.frequencies_of(&reports[&("reach", *by)]),
                "overlap" if asked.is_exact => {
                    one.overlap_of(&reports[&("reach", *by)], &reports[&("reach", "total")]);
                }
                _ => {}
            }
            held.extend(one.names);
        }
    }
    held
}

fn rig() -> Rig {
    let settings = Settings { sample_device_days: 400, ..unhurried() };
    let rig = Rig::with(&catalog(), settings);
    rig.push(&workload(&mut Random(seed())));
    rig.load();
    // p8 leaves, so that it is of no medium that is known.
    rig.set_catalog(&catalog().replace("\"p8\"", "\"p9\""));
    rig
}

fn numbers(rig: &Rig) {
    let mut text = "placement,day,impressions,clicks\n".to_owned();
    for (placement, _) in attack::PLACEMENTS {
        let _ = writeln!(text, "{placement},2026-11-16,{},3", 300 + placement.len());
    }
    let operator = format!("Bearer {TOKEN}");
    let (status, body) = rig.send_as("PUT", "/v1/campaigns/ours/media-numbers", Some(&operator), &text);
    assert_eq!(status, 200, "{body}");
}

/// What there is to hold, wherever nothing is left out.
fn nothing_is_missing(asked: &Asked, held: &BTreeSet<&'static str>, expected: &BTreeSet<&'static str>) {
    let missing: Vec<_> = expected.difference(held).collect();
    assert!(missing.is_empty(), "{}: never held were {missing:?}", asked.name);
}

#[test]
fn every_report_keeps_every_identity() {
    let rig = rig();
    numbers(&rig);
    let operator = || format!("Bearer {TOKEN}");
    let token = |role: &str, scope: &str, name: &str| {
        bearer(&rig, &json!({"name": name, "role": role, scope: [name]}))
    };
    let (advertiser, medium) = (token("advertiser", "advertisers", "acme"), token("medium", "media", "B"));
    let house = |name, query| Asked { name, bearer: operator(), query, is_exact: true };
    let live = house("live", "");
    let all = hold_all(&rig, &live);
    assert!(all.len() > 40, "{all:?}");
    rig.settle();
    nothing_is_missing(&live, &hold_all(&rig, &house("settled", "")), &all);
    let sampled = house("sampled", "&precision=sampled");
    assert!(ask(&rig, &sampled, "reach?by=total")["sample"].as_f64().is_some_and(|share| share < 1.0));
    let of_devices = hold_all(&rig, &sampled);
    assert!(of_devices.len() > 20, "{of_devices:?}");
    let closing = json!({"from": "2026-11-16", "to": "2026-11-17"}).to_string();
    for is_closed in [false, true] {
        for (name, bearer, query) in [
            ("advertiser", &advertiser, ""),
            ("medium", &medium, ""),
            ("advertiser, sampled", &advertiser, "&precision=sampled"),
            ("medium, sampled", &medium, "&precision=sampled"),
        ] {
            let asked = Asked { name, bearer: bearer.clone(), query, is_exact: false };
            let held = hold_all(&rig, &asked);
            let expected = if query.is_empty() { 25 } else { 5 };
            assert!(held.len() >= expected, "{name}: {held:?}");
        }
        if !is_closed {
            let (status, body) =
                rig.send_as("POST", "/v1/campaigns/ours/closings", Some(&operator()), &closing);
            assert_eq!(status, 201, "{body}");
            rig.clock.advance_ms(60_000);
            rig.push(&[Hit {
                campaign: "ours",
                device: Some(1),
                ..crate::rig::hit(NOON_MS - 4 * crate::rig::DAY_MS)
            }]);
            rig.settle();
        }
    }
    nothing_is_missing(&live, &hold_all(&rig, &house("closed", "")), &all);
}
