//! Random workloads in three time zones, computed once more in plain code; every identity of reach and frequency holds in every answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use aggregator::Settings;
use chrono::{TimeZone, Timelike};
use event::record::Platform;
use event::stage::Stage;
use serde_json::Value;

use crate::rig::{DAY_MS, Hit, NOON_MS, Random, Rig, hit, seed};
use crate::stacks::check_rows;

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

/// How reports are asked for: what stands behind each query, and how many devices one that is counted stands for.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) query: &'static str,
    pub(crate) weight: u64,
}

/// Every device counted.
pub(crate) const EXACT: Asked = Asked { query: "", weight: 1 };

fn figures(seen: &[Seen], by: &str, (net, asked): (bool, Asked)) -> BTreeMap<String, Figures> {
    let is_counted = |device: &u64| *device <= u64::MAX / asked.weight;
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    for one in seen.iter().filter(|seen| seen.valid || !net) {
        let figures = all.entry(key(one, by)).or_default();
        if one.hit.stage == Stage::Click {
            figures.clicks += 1;
        } else {
            figures.impressions += 1;
            if let Some(device) = one.hit.device.filter(is_counted) {
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

fn check_row(row: &Value, expected: &Figures, weight: u64) {
    let at_least = |n: u64| weight * expected.devices.values().filter(|f| **f >= n).count() as u64;
    assert_eq!(number(&row["impressions"]), expected.impressions);
    assert_eq!(number(&row["clicks"]), expected.clicks);
    assert_eq!(number(&row["reach"]), weight * expected.devices.len() as u64);
    let n_plus = numbers(&row["n_plus"]);
    assert_eq!(n_plus, (1..=n_plus.len() as u64).map(at_least).collect::<Vec<_>>());
    assert_eq!(number(&row["identified_impressions"]), weight * expected.devices.values().sum::<u64>());
    check_identities(row, weight);
}

/// What holds of every row of a reach report, counted or estimated.
fn check_identities(row: &Value, weight: u64) {
    let (n_plus, exactly) = (numbers(&row["n_plus"]), numbers(&row["exactly"]));
    let (identified, impressions) = (number(&row["identified_impressions"]), number(&row["impressions"]));
    let is_near = |name: &str, expected: f64| {
        let value = row[name].as_f64().expect("a number");
        assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{name}: {value} {expected}");
    };
    assert_eq!(exactly.iter().sum::<u64>(), n_plus[0]);
    assert!(n_plus.is_sorted_by(|a, b| a >= b));
    assert_eq!(n_plus[0], number(&row["reach"]));
    let above: u64 = n_plus.iter().sum();
    assert!(above <= identified);
    if exactly.last() == Some(&0) {
        assert_eq!(above, identified, "N+ over all N");
    }
    if n_plus[0] > 0 {
        is_near("average_frequency", identified as f64 / n_plus[0] as f64);
    }
    if impressions > 0 {
        is_near("id_coverage", identified as f64 / impressions as f64);
    }
    if let (Some(universe), true) = (row["universe"].as_u64(), identified > 0) {
        let figure = |name: &str| row[name].as_f64().expect("a number");
        is_near("reach_percent", n_plus[0] as f64 * 100.0 / universe as f64);
        is_near("grp", impressions as f64 * 100.0 / universe as f64);
        is_near("grp", figure("reach_percent") * figure("average_frequency") / figure("id_coverage"));
    }
    assert_eq!(row["exact"], weight == 1);
    let (low, high) = (numbers(&row["interval_low"]), numbers(&row["interval_high"]));
    let errors = row["standard_error"].as_array().expect("a list");
    for ((devices, error), (low, high)) in n_plus.iter().zip(errors).zip(low.into_iter().zip(high)) {
        assert!(
            devices.is_multiple_of(weight) && low <= *devices && *devices <= high,
            "{low} {devices} {high}"
        );
        let expected = (*devices as f64 * (weight - 1) as f64).sqrt();
        assert!((error.as_f64().expect("a number") - expected).abs() < 1e-9 * (1.0 + expected));
        assert!(weight > 1 || (low, high) == (*devices, *devices));
    }
}

pub(crate) fn check_campaign(rig: &Rig, campaign: &str, seen: &[Seen]) {
    check_campaign_as(rig, campaign, seen, EXACT);
}

pub(crate) fn check_campaign_as(rig: &Rig, campaign: &str, seen: &[Seen], asked: Asked) {
    let from_events = ["creative", "region", "platform", "hour"];
    for by in ["total", "day", "placement", "medium"]
        .into_iter()
        .chain(from_events.into_iter().filter(|_| asked.weight == 1))
    {
        for filter in ["net", "gross"] {
            let expected = figures(seen, by, (filter == "net", asked));
            let rows =
                rig.rows(&format!("{campaign}/reach?by={by}&filter={filter}&levels=12{}", asked.query));
            assert_eq!(rows.len(), expected.len(), "{campaign} {by} {filter}");
            let mut reached = BTreeSet::new();
            let mut before = 0;
            for row in &rows {
                let key = row["key"].as_str().expect("a key");
                let expected = expected.get(key).unwrap_or_else(|| panic!("{campaign} {by}: {key}"));
                check_row(row, expected, asked.weight);
                if by == "day" {
                    reached.extend(expected.devices.keys().copied());
                    let cumulative = number(&row["cumulative_reach"]);
                    assert_eq!(cumulative, asked.weight * reached.len() as u64, "{campaign} {key}");
                    assert!(cumulative >= before);
                    assert!(
                        (number(&row["cumulative_low"])..=number(&row["cumulative_high"]))
                            .contains(&cumulative)
                    );
                    before = cumulative;
                }
            }
            if asked.weight == 1 {
                check_delivery(rig, campaign, by, filter, &expected);
            }
            if ["placement", "medium"].contains(&by) {
                let sets = expected.iter().filter(|(_, figures)| figures.impressions > 0);
                let sets =
                    sets.map(|(key, figures)| (key.clone(), figures.devices.keys().copied().collect()));
                let rows = rig.rows(&format!("{campaign}/overlap?by={by}&filter={filter}{}", asked.query));
                check_rows(&rows, &sets.collect(), asked.weight);
            }
        }
    }
    check_frequency(rig, campaign, &figures(seen, "total", (true, asked)), asked);
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

fn check_frequency(rig: &Rig, campaign: &str, expected: &BTreeMap<String, Figures>, asked: Asked) {
    let report = rig.report(&format!("{campaign}/frequency?by=total{}", asked.query));
    let rows = report["rows"].as_array().expect("rows");
    let devices = &expected["total"].devices;
    assert_eq!(rows.len() as u64, *devices.values().max().expect("devices"));
    // Uncapped: the sum over all N of N+ is the identified impressions.
    let sum: u64 = rows.iter().map(|row| number(&row["n_plus"])).sum();
    assert_eq!(sum, asked.weight * devices.values().sum::<u64>());
    assert_eq!(number(&report["identified_impressions"]), sum);
    for row in rows {
        let frequency = number(&row["frequency"]);
        let exactly = asked.weight * devices.values().filter(|f| **f == frequency).count() as u64;
        assert_eq!(row["exact"], asked.weight == 1);
        assert!(
            (number(&row["interval_low"])..=number(&row["interval_high"])).contains(&number(&row["n_plus"]))
        );
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
