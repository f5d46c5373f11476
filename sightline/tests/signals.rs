//! Privacy signals from the socket to the reports: beacons with every mixture of them, some of people who opted out, some that are wrong. Each is one
//! outcome, received is their sum, and the report counts each signal as often as it was sent, live and settled.

#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::http::Connection;
use support::load::APP;
use support::random::{Random, soak};
use support::truth::{number, rows};
use support::{Instance, LOOK_EVERY, Options};

const BEACONS: u64 = 1_500;
const BEACONS_MAX: u64 = 200_000;
/// Our id in the vendor list; [`CONSENT`] names it.
const VENDOR: u16 = 2;
const CONSENT: &str = "CPi8wgAPi8wgAAOACBENCuCoAP_AAEfAACiQJHNd_H__bX9n-f7_6ft0eY1f9_r37uQzDhfNk-8F3L_W_LwX_2E7NF36tq4KmR4ku1LBIUNtHMnUDUmxaokVrzHsak2cpzNKJ_BkknsZe2dYGF9vm5tj-QKZ7_5_d3f52T_9_9v-39z33913v3d93-_13LjdV5_9H_v9fR_b8_Kf9_5-_4v8_____3_e______8AEEggCTDVuIAuxLHAm0DCKBECMKwkKoFABBQDC0QGADg4KdlYBPrCBAAgFAEYEQIcAUYEAgAAAgCQiACQIsEAAAIgEAAIAEQiEABAwCCgAsDAIAAQDQMUQoABAkIMiAiKUwICIEggJbKhBKC6Q0wgCrLACgkRsFAAiAAAUgACAsHAMESAlYsECTFG-QAjBCgFEqFaAGGgAwABBI4RABgACCRwqADAAEEjgA";
const NO_CONSENT: &str = "CPSG_8APSG_8ANwAAAENAwCAAAAAAAAAAAAAAAAAAAAA.QAAA.IAAA";

/// What may stand in a beacon: its parameter or header, and the signals that it is.
const PARTS: [(&str, &str, &[&str]); 14] = [
    ("sec-gpc:", "1", &["gpc"]),
    ("sec-gpc:", "0", &[]),
    ("dnt:", "1", &["dnt"]),
    ("lmt", "1", &["limit_ad_tracking"]),
    ("lmt", "0", &[]),
    ("coppa", "1", &["child_directed"]),
    ("gdpr_consent", CONSENT, &[]),
    ("gdpr_consent", NO_CONSENT, &["no_consent"]),
    ("gpp", "DBABLA~BVQVAAAACg", &["gpp"]),
    ("gpp", "DBABLA~BVQqAAAACg.YA", &["gpc"]),
    ("gpp", "DBABLA~BVVVkkkkkpFY", &["gpp", "child_directed"]),
    ("gpp", "1YNN", &[]),
    ("gpp", "not a string", &["gpp"]),
    // An advertising id of zeros says it too, whatever stands beside it.
    ("idfa", "00000000-0000-0000-0000-000000000000", &["limit_ad_tracking"]),
];

/// What was sent, by plain counting.
#[derive(Debug, Default, PartialEq, Eq)]
struct Truth {
    outcomes: BTreeMap<String, u64>,
    signals: BTreeMap<String, u64>,
    /// Impressions of each placement: all, withheld, with a device.
    placements: BTreeMap<String, [u64; 3]>,
}

fn send(instance: &Instance, random: &mut Random, beacons: u64, opted_out: &str) -> Truth {
    let mut truth = Truth::default();
    let mut tracker = Connection::open(instance.tracker()).expect("a connection");
    for view in 0..beacons {
        let placement = if random.percent(50) { "p1" } else { "p2" };
        let mut items = vec![format!("/i?c=demo&rid=view-{view}&os=1")];
        let is_wrong = random.percent(5);
        if !is_wrong {
            items.push(format!("p={placement}"));
        }
        let has_opted_out = random.percent(10);
        let has_id = has_opted_out || random.percent(80);
        if has_opted_out {
            items.push(format!("idfv={opted_out}"));
        } else if has_id {
            items.push(format!("idfv={}", random.uuid().to_ascii_uppercase()));
        }
        let (mut headers, mut names) = (vec![("user-agent", APP)], Vec::new());
        let mut signals: Vec<&str> = Vec::new();
        for (name, value, says) in PARTS {
            // Each name once: a second value would contradict the first.
            if random.percent(8) && !names.contains(&name) {
                names.push(name);
                signals.extend(says);
                match name.strip_suffix(':') {
                    Some(header) => headers.push((header, value)),
                    None => items.push(format!("{name}={}", value.replace(' ', "%20"))),
                }
            }
        }
        let answer = tracker.get(&items.join("&"), &headers).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let outcome = match (is_wrong, has_opted_out) {
            (true, _) => "missing_placement",
            (false, true) => "opted_out",
            (false, false) => "accepted",
        };
        *truth.outcomes.entry(outcome.to_owned()).or_default() += 1;
        if outcome != "accepted" {
            continue;
        }
        signals.sort_unstable();
        signals.dedup();
        let [all, withheld, identified] = truth.placements.entry(placement.to_owned()).or_default();
        *all += 1;
        *withheld += u64::from(!signals.is_empty());
        *identified += u64::from(signals.is_empty() && has_id);
        for signal in signals {
            *truth.signals.entry(signal.to_owned()).or_default() += 1;
        }
    }
    truth
}

/// Holds the books against what was sent: each beacon has one outcome, and nothing else happened.
fn check_books(books: &Value, truth: &Truth, beacons: u64) {
    let total = &books["total"];
    assert_eq!((number(total, "received"), number(total, "pending")), (beacons, 0), "{total}");
    assert_eq!(total["balanced"], true, "{total}");
    let outcomes = total["outcomes"].as_object().expect("outcomes");
    let counted: BTreeMap<String, u64> = outcomes
        .iter()
        .map(|(name, count)| (name.clone(), count.as_u64().expect("a number")))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(counted, truth.outcomes);
    assert_eq!(counted.values().sum::<u64>(), beacons, "received = the sum of the outcomes");
}

fn check_report(instance: &Instance, truth: &Truth) {
    let report = instance.report("demo/delivery", "filter=gross");
    let total = &rows(&report)[0];
    let signals: BTreeMap<String, u64> = total["signals"]
        .as_object()
        .expect("signals")
        .iter()
        .map(|(name, count)| (name.clone(), count.as_u64().expect("a number")))
        .collect();
    assert_eq!(signals, truth.signals, "each signal as often as it was sent");
    assert_eq!(number(total, "impressions"), truth.outcomes["accepted"], "{total}");
    let by_placement = instance.report("demo/delivery", "filter=gross&by=placement");
    for row in rows(&by_placement) {
        let [all, withheld, identified] = truth.placements[row["key"].as_str().expect("a key")];
        assert_eq!(number(row, "impressions"), all, "{row}");
        assert_eq!(number(row, "withheld_impressions"), withheld, "{row}");
        assert_eq!(number(row, "identified_impressions"), identified, "{row}");
        assert_eq!(number(row, "unidentified_impressions"), all - withheld - identified, "{row}");
    }
    let sum = |name: &str| rows(&by_placement).iter().map(|row| number(row, name)).sum::<u64>();
    for name in ["impressions", "withheld_impressions", "identified_impressions", "unidentified_impressions"]
    {
        assert_eq!(sum(name), number(total, name), "{name}");
    }
    for (name, count) in &signals {
        let column = format!("/signals/{name}");
        let parts = rows(&by_placement).iter().map(|row| row.pointer(&column).and_then(Value::as_u64));
        assert_eq!(parts.map(|part| part.expect("a number")).sum::<u64>(), *count, "{name}");
    }
}

#[test]
fn each_signal_is_an_outcome_or_a_flag_whose_sums_balance_the_books() {
    let mut random = Random::announced("each_signal_is_an_outcome_or_a_flag");
    let beacons = (BEACONS * soak()).min(BEACONS_MAX);
    let tracker = format!("honour_dnt = true\ntcf_vendor_id = {VENDOR}");
    let instance = Instance::start(Options { tracker, ..Options::default() });
    let opted_out = random.uuid().to_ascii_uppercase();
    let mut page = Connection::open(instance.opt_out()).expect("a connection");
    let body = json!({"ids": [{"kind": "idfv", "value": opted_out}]});
    assert_eq!(page.post_json("/v1/opt-outs", &[], &body).expect("an answer").status, 200);

    let truth = send(&instance, &mut random, beacons, &opted_out);
    assert_eq!(truth.signals.len(), 6, "every signal was sent: {truth:?}");
    let deadline = Instant::now() + Duration::from_mins(1);
    let books = loop {
        let books = instance.books();
        if books["total"]["received"] == beacons {
            break books;
        }
        assert!(Instant::now() < deadline, "{beacons} beacons and {books}");
        std::thread::sleep(LOOK_EVERY);
    };
    check_books(&books, &truth, beacons);
    loop {
        let report = instance.report("demo/delivery", "filter=gross");
        if number(&rows(&report)[0], "impressions") == truth.outcomes["accepted"] {
            break;
        }
        assert!(Instant::now() < deadline, "not all accepted beacons are in the store: {report}");
        std::thread::sleep(LOOK_EVERY);
    }
    check_report(&instance, &truth);
    instance.settle();
    check_report(&instance, &truth);
}
