//! Random workloads in three time zones, computed once more in plain code; every identity of reach and frequency holds in every answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use aggregator::Settings;
use chrono::{TimeZone, Timelike};
use event::record::Platform;
use event::stage::Stage;
use serde_json::Value;

use crate::rig::{DAY_MS, Hit, NOON_MS, Random, Rig, hit, seed};

pub(crate) const ZONES: [(&str, chrono_tz::Tz); 3] = [
    ("shanghai", chrono_tz::Asia::Shanghai),
    ("kolkata", chrono_tz::Asia::Kolkata),
    ("new-york", chrono_tz::America::New_York),
];
const PLACEMENTS: [(&str, &str); 3] = [("a", "Medium A"), ("b", "Medium B"), ("c", "Medium A")];
const CREATIVES: [&str; 3] = ["", "k1", "k2"];
const PLATFORMS: [Platform; 3] = [Platform::Android, Platform::Ios, Platform::Tv];
const ROBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1)";

pub(crate) fn catalog() -> String {
    let mut text = String::new();
    for (id, zone) in ZONES {
        writeln!(text, "[[campaign]]\nid = \"{id}\"\nname = \"{id}\"\ntime_zone = \"{}\"", zone.name())
            .unwrap();
        for (id, medium) in PLACEMENTS {
            writeln!(text, "[[campaign.placement]]\nid = \"{id}\"\nname = \"{id}\"\nmedium = \"{medium}\"")
                .unwrap();
        }
    }
    text
}

/// Impressions and clicks around the change of clocks in New York (2026-11-01), some without device, some repeated, some by a robot.
pub(crate) fn workload(random: &mut Random) -> Vec<Hit> {
    let start = NOON_MS - 21 * DAY_MS;
    let mut hits = Vec::new();
    for n in 0..3_000_u64 {
        let (campaign, _) = ZONES[random.below(3) as usize];
        let time_ms = start + random.below(4 * DAY_MS as u64) as i64;
        // Few devices see much, many see little.
        let device = 1 + random.below(400) * random.below(400) / 400;
        let one = Hit {
            campaign,
            placement: PLACEMENTS[random.below(3) as usize].0,
            creative: CREATIVES[random.below(3) as usize],
            platform: PLATFORMS[random.below(3) as usize],
            device: (random.below(10) >= 3).then_some(device),
            view: n + 1,
            stage: if random.below(20) == 0 { Stage::Click } else { Stage::Impression },
            agent: if random.below(25) == 0 { ROBOT.to_owned() } else { crate::rig::PHONE.to_owned() },
            received_ms: NOON_MS - 2 * DAY_MS + n as i64,
            ..hit(time_ms)
        };
        if random.below(20) == 0 {
            hits.push(Hit { time_ms: one.time_ms + 1 + random.below(60_000) as i64, ..one.clone() });
        }
        hits.push(one);
    }
    hits
}

/// A hit as the oracle sees it.
pub(crate) struct Seen {
    hit: Hit,
    day: String,
    hour: u32,
    valid: bool,
}

pub(crate) fn judge(hits: &[Hit], campaign: &str, zone: chrono_tz::Tz) -> Vec<Seen> {
    let mut hits: Vec<&Hit> = hits.iter().filter(|hit| hit.campaign == campaign).collect();
    hits.sort_by_key(|hit| hit.time_ms);
    let mut views = BTreeSet::new();
    hits.into_iter()
        .map(|hit| {
            let local = zone.timestamp_millis_opt(hit.time_ms).unwrap();
            let valid = views.insert((hit.view, hit.stage as u8)) && hit.agent != ROBOT;
            Seen { hit: hit.clone(), day: local.date_naive().to_string(), hour: local.hour(), valid }
        })
        .collect()
}

fn key(seen: &Seen, by: &str) -> String {
    let or_unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    match by {
        "day" => seen.day.clone(),
        "placement" => seen.hit.placement.to_owned(),
        "medium" => PLACEMENTS.iter().find(|(id, _)| *id == seen.hit.placement).expect("known").1.to_owned(),
        "creative" => or_unknown(seen.hit.creative),
        "region" => or_unknown(seen.hit.region),
        "platform" => seen.hit.platform.name().to_owned(),
        "hour" => format!("{:02}", seen.hour),
        _ => "total".to_owned(),
    }
}

#[derive(Default, PartialEq, Debug)]
struct Figures {
    impressions: u64,
    clicks: u64,
    devices: HashMap<u64, u64>,
}

fn figures(seen: &[Seen], by: &str, net: bool) -> BTreeMap<String, Figures> {
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    for one in seen.iter().filter(|seen| seen.valid || !net) {
        let figures = all.entry(key(one, by)).or_default();
        if one.hit.stage == Stage::Click {
            figures.clicks += 1;
        } else {
            figures.impressions += 1;
            if let Some(device) = one.hit.device {
                *figures.devices.entry(device).or_default() += 1;
            }
        }
    }
    all
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

fn check_row(row: &Value, expected: &Figures) {
    let at_least = |n: u64| expected.devices.values().filter(|f| **f >= n).count() as u64;
    assert_eq!(number(&row["impressions"]), expected.impressions);
    assert_eq!(number(&row["clicks"]), expected.clicks);
    assert_eq!(number(&row["reach"]), expected.devices.len() as u64);
    let (n_plus, exactly) = (numbers(&row["n_plus"]), numbers(&row["exactly"]));
    assert_eq!(n_plus, (1..=n_plus.len() as u64).map(at_least).collect::<Vec<_>>());
    // The identities of a report.
    let identified = number(&row["identified_impressions"]);
    assert_eq!(identified, expected.devices.values().sum::<u64>());
    assert_eq!(exactly.iter().sum::<u64>(), n_plus[0]);
    assert!(n_plus.is_sorted_by(|a, b| a >= b));
    assert_eq!(n_plus[0], number(&row["reach"]));
    if n_plus[0] > 0 {
        let average = row["average_frequency"].as_f64().expect("a number");
        assert!((average - identified as f64 / n_plus[0] as f64).abs() < 1e-12);
    }
    if expected.impressions > 0 {
        let coverage = row["id_coverage"].as_f64().expect("a number");
        assert!((coverage - identified as f64 / expected.impressions as f64).abs() < 1e-12);
    }
    assert!(row["standard_error"].as_array().expect("a list").iter().all(|error| error == 0.0));
    assert_eq!(row["exact"], true);
}

pub(crate) fn check_campaign(rig: &Rig, campaign: &str, seen: &[Seen]) {
    for by in ["total", "day", "placement", "medium", "creative", "region", "platform", "hour"] {
        for filter in ["net", "gross"] {
            let expected = figures(seen, by, filter == "net");
            let rows = rig.rows(&format!("{campaign}/reach?by={by}&filter={filter}&levels=12"));
            assert_eq!(rows.len(), expected.len(), "{campaign} {by} {filter}");
            let mut reached = BTreeSet::new();
            let mut before = 0;
            for row in &rows {
                let key = row["key"].as_str().expect("a key");
                let expected = expected.get(key).unwrap_or_else(|| panic!("{campaign} {by}: {key}"));
                check_row(row, expected);
                if by == "day" {
                    reached.extend(expected.devices.keys().copied());
                    let cumulative = number(&row["cumulative_reach"]);
                    assert_eq!(cumulative, reached.len() as u64, "{campaign} {key}");
                    assert!(cumulative >= before);
                    before = cumulative;
                }
            }
            check_delivery(rig, campaign, by, filter, &expected);
        }
    }
    check_frequency(rig, campaign, &figures(seen, "total", true));
}

fn check_delivery(rig: &Rig, campaign: &str, by: &str, filter: &str, expected: &BTreeMap<String, Figures>) {
    let removed = |value: &Value| value.as_object().expect("reasons").values().map(number).sum::<u64>();
    let rows = rig.rows(&format!("{campaign}/delivery?by={by}&filter={filter}"));
    for row in &rows {
        let none = Figures::default();
        let expected = expected.get(row["key"].as_str().expect("a key")).unwrap_or(&none);
        assert_eq!(number(&row["impressions"]), expected.impressions, "{campaign} {by} {filter}");
        assert_eq!(number(&row["clicks"]), expected.clicks);
        assert_eq!(number(&row["identified_impressions"]), expected.devices.values().sum::<u64>());
        let gross = |of: &str| number(&row[format!("gross_{of}")]);
        let net = |of: &str| number(&row[format!("net_{of}")]);
        assert_eq!(gross("impressions"), net("impressions") + removed(&row["removed_impressions"]));
        assert_eq!(gross("clicks"), net("clicks") + removed(&row["removed_clicks"]));
    }
}

fn check_frequency(rig: &Rig, campaign: &str, expected: &BTreeMap<String, Figures>) {
    let rows = rig.rows(&format!("{campaign}/frequency"));
    let devices = &expected["total"].devices;
    assert_eq!(rows.len() as u64, *devices.values().max().expect("devices"));
    // Uncapped: the sum over all N of N+ is the identified impressions.
    let sum: u64 = rows.iter().map(|row| number(&row["n_plus"])).sum();
    assert_eq!(sum, devices.values().sum::<u64>());
    for row in &rows {
        let frequency = number(&row["frequency"]);
        let exactly = devices.values().filter(|f| **f == frequency).count() as u64;
        assert_eq!((number(&row["devices"]), number(&row["impressions"])), (exactly, exactly * frequency));
    }
}

#[test]
fn random_workloads_agree_with_plain_code() {
    let number = seed();
    let mut random = Random(number);
    let hits = workload(&mut random);
    let rig = Rig::with(&catalog(), Settings { batch_events_max: 700, ..Settings::default() });
    let all: Vec<_> = ZONES.map(|(campaign, zone)| (campaign, judge(&hits, campaign, zone))).into();
    // In any order of arrival.
    let (first, second) = hits.split_at(random.below(hits.len() as u64) as usize);
    rig.push(second);
    rig.settle();
    rig.push(first);
    rig.settle();
    for (campaign, judged) in &all {
        check_campaign(&rig, campaign, judged);
    }
}

#[test]
fn live_figures_agree_with_plain_code() {
    let number = seed();
    let hits = workload(&mut Random(number));
    let rig = Rig::with(&catalog(), Settings::default());
    rig.push(&hits);
    rig.load();
    let (campaign, zone) = ZONES[(number % 3) as usize];
    check_campaign(&rig, campaign, &judge(&hits, campaign, zone));
}
