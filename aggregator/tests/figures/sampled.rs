//! Estimates from a sample: to the digit what plain code makes of the same devices, so that every identity holds on them; and when one is taken.
//!
//! How often the truth lies in the interval is tried on two hundred campaigns beside the estimator (`report/sample/tests.rs`).

use std::collections::BTreeSet;

use aggregator::Settings;
use serde_json::{Value, json};

use crate::oracle::{Asked, ZONES, catalog, check_campaign, check_campaign_as, judge, workload};
use crate::rig::{DAY_MS, Hit, NOON_MS, Random, Rig, hit, seed};

/// 2026-11-23, three days after the clock of the tests.
const UNTIL_DAY: u16 = 20_780;

fn settings() -> Settings {
    Settings { sample_device_days: 100, batch_events_max: 700, ..Settings::default() }
}

/// Device keys as hashes are: all over their range.
fn spread(device: u64) -> u64 {
    Random(device).next()
}

fn spread_out(hits: Vec<Hit>) -> Vec<Hit> {
    hits.into_iter().map(|hit| Hit { device: hit.device.map(spread), ..hit }).collect()
}

/// How a campaign is asked so that it is sampled.
fn asked(rig: &Rig, campaign: &str) -> Asked {
    let query = "&precision=sampled";
    let share =
        rig.report(&format!("{campaign}/reach?by=total{query}"))["sample"].as_f64().expect("a sample");
    let weight = (1.0 / share) as u64;
    assert!((4..=64).contains(&weight) && weight.is_power_of_two(), "{weight}");
    Asked { query, weight }
}

#[test]
fn estimates_are_what_plain_code_makes_of_the_same_devices() {
    let hits = spread_out(workload(&mut Random(seed())));
    let rig = Rig::with(&catalog(), settings());
    rig.push(&hits);
    rig.load();
    for is_settled in [false, true] {
        for (campaign, zone) in ZONES {
            let judged = judge(&hits, campaign, zone);
            check_campaign_as(&rig, campaign, &judged, asked(&rig, campaign));
            if is_settled {
                check_campaign(&rig, campaign, &judged);
            }
        }
        rig.settle();
    }
}

/// Large campaigns are counted in portions; here every one is.
#[test]
fn portions_add_up_to_what_one_pass_counts() {
    let hits = spread_out(workload(&mut Random(seed())));
    let rig = Rig::with(&catalog(), Settings { portion_device_days: 40, ..settings() });
    rig.push(&hits);
    rig.settle();
    for (campaign, zone) in ZONES {
        let judged = judge(&hits, campaign, zone);
        check_campaign(&rig, campaign, &judged);
        check_campaign_as(&rig, campaign, &judged, asked(&rig, campaign));
    }
}

#[test]
fn a_device_at_the_end_of_a_portion_counts_once() {
    const QUARTER: u64 = 1 << 62;
    let rig = Rig::with(crate::rig::CATALOG, Settings { portion_device_days: 2, ..settings() });
    let ends = [0, QUARTER, 2 * QUARTER, 3 * QUARTER];
    let devices = ends.into_iter().flat_map(|end| [end.max(1), end + (QUARTER - 1)]);
    let hits: Vec<Hit> =
        devices.map(|device| Hit { device: Some(device), ..hit(NOON_MS - DAY_MS) }).collect();
    rig.push(&hits);
    rig.settle();
    for query in ["reach", "reach?by=day", "reach?by=placement", "reach?by=medium", "frequency", "overlap"] {
        for row in rig.rows(&format!("utc/{query}")) {
            let reach = row.get("reach").unwrap_or_else(|| &row["devices"]);
            assert_eq!(*reach, 8, "{query}: {row}");
        }
    }
    assert_eq!(rig.row("utc/reach?by=day")["cumulative_reach"], 8);
}

/// A device of two keys is one, in the sample or not.
#[test]
fn over_a_rotation_a_device_is_chosen_by_its_present_key() {
    let number = seed();
    let mut random = Random(number);
    let former = |device: u64| spread(device ^ 0x5eed);
    let rotation_ms = NOON_MS - 19 * DAY_MS;
    let mut hits = workload(&mut random);
    let mut tied = BTreeSet::new();
    let mut as_one = hits.clone();
    for hit in &mut hits {
        let Some(device) = hit.device else { continue };
        if hit.time_ms < rotation_ms {
            (hit.device, hit.epoch) = (Some(former(device)), 1);
        } else {
            (hit.device, hit.epoch) = (Some(spread(device)), 2);
            if hit.time_ms < rotation_ms + DAY_MS {
                hit.former = Some((former(device), UNTIL_DAY));
                tied.insert(device);
            }
        }
    }
    for (one, hit) in as_one.iter_mut().zip(&hits) {
        let is_tied = |device: &u64| tied.contains(device);
        one.device = if one.device.is_some_and(|device| is_tied(&device)) {
            one.device.map(spread)
        } else {
            hit.device
        };
    }
    let rig = Rig::with(&catalog(), settings());
    rig.push(&hits);
    rig.settle();
    for (campaign, zone) in ZONES {
        check_campaign_as(&rig, campaign, &judge(&as_one, campaign, zone), asked(&rig, campaign));
    }
}

fn many(devices: u64) -> Vec<Hit> {
    (0..devices).map(|n| Hit { device: Some(spread(n)), ..hit(NOON_MS - DAY_MS + n as i64) }).collect()
}

#[test]
fn a_sample_is_taken_above_the_limit_or_where_it_is_asked_for() {
    let limits = Settings { exact_device_days: 1_000, ..settings() };
    let rig = Rig::with(crate::rig::CATALOG, limits);
    let exact = |query: &str| -> (Value, Value) {
        let report = rig.report(&format!("utc/{query}"));
        (report["sample"].clone(), report["rows"][0]["exact"].clone())
    };
    rig.push(&many(90));
    rig.settle();
    // No larger than a sample.
    assert_eq!(exact("reach?precision=sampled"), (Value::Null, json!(true)));
    rig.push(&many(1_000));
    rig.settle();
    assert_eq!(exact("reach"), (Value::Null, json!(true)));
    assert_eq!(exact("reach?precision=sampled"), (json!(1.0 / 16.0), json!(false)));
    rig.push(&many(1_001));
    rig.settle();
    for kind in ["reach", "frequency", "overlap"] {
        assert_eq!(exact(kind), (json!(1.0 / 16.0), json!(false)), "{kind}");
        assert_eq!(exact(&format!("{kind}?precision=exact")), (Value::Null, json!(true)), "{kind}");
    }
    for by in ["creative", "region", "platform", "hour"] {
        assert_eq!(exact(&format!("reach?by={by}")), (Value::Null, json!(true)), "{by}");
        let (status, body) = rig.call("GET", &format!("/v1/campaigns/utc/reach?by={by}&precision=sampled"));
        assert!(status == 422 && body.contains("every device"), "{body}");
    }
    let row = rig.row("utc/reach");
    assert_eq!(row["impressions"], 2_091, "hits are counted");
    let of = |name: &str| row[name][0].as_u64().expect("a number");
    assert!(of("interval_low") < 1_001 && of("interval_high") > 1_001, "{row}");
    assert_eq!(row["n_plus"][0].as_u64().map(|reach| reach % 16), Some(0));
    let (status, csv) = rig.call("GET", "/v1/campaigns/utc/reach?format=csv&bom=false&levels=1");
    assert!(
        status == 200 && csv.contains("interval_low_1,interval_high_1,exactly_standard_error_1"),
        "{csv}"
    );
    let ends = |low: &str, figure: &str, high: &str| {
        let of = |name: &str| row[name].as_f64().expect("a number");
        assert!(of(low) < of(figure) && of(figure) < of(high), "{low} {figure} {high}: {row}");
    };
    ends("identified_low", "identified_impressions", "identified_high");
    ends("id_coverage_low", "id_coverage", "id_coverage_high");
    ends("frequency_low", "average_frequency", "frequency_high");
    // Each device was reached twice at the least.
    let exactly = |name: &str| row[name][1].as_f64().expect("a number");
    assert!(
        exactly("exactly_low") < exactly("exactly") && exactly("exactly") < exactly("exactly_high"),
        "{row}"
    );
    let frequencies = rig.report("utc/frequency");
    let twice = &frequencies["rows"][1];
    assert_eq!(
        (&twice["devices_standard_error"], &twice["devices_low"], &twice["devices_high"]),
        (&row["exactly_standard_error"][1], &row["exactly_low"][1], &row["exactly_high"][1]),
        "the same estimate"
    );
}
