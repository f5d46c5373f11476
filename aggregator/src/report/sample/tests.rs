//! The estimator on plain counts: two hundred campaigns of known truth, each sampled as the store samples it.

use std::collections::BTreeMap;

use super::*;
use crate::report::overlap::{Masks, OverlapRow};

const TRIALS: u64 = 200;
const LEVELS: u64 = 10;
/// Of 200 trials at least so many have to hold the truth in their 95 % interval.
const HELD_LEAST: usize = 180;

/// SplitMix64: as evenly spread as the first bytes of a keyed hash.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A device with how often it was reached and by which of four members.
struct Device {
    key: u64,
    frequency: u64,
    mask: u32,
}

/// A campaign of some ten thousand devices, drawn with a fixed seed: many seen once, few often; members of very different size.
fn campaign(seed: u64) -> Vec<Device> {
    let device = |n: u64| {
        let key = mix(mix(seed) ^ n);
        let draw = mix(key);
        let one_of = |n: u64, bit: u32| if mix(draw ^ n).is_multiple_of(n) { 1 << bit } else { 0 };
        let mask = one_of(3, 1) | one_of(7, 2) | one_of(50, 3);
        let mask = if mask == 0 { 1 } else { mask | one_of(2, 0) };
        Device { key, frequency: 1 + u64::from(draw.trailing_zeros()) + draw % 3, mask }
    };
    (0..20_000 + mix(seed) % 20_000).map(device).collect()
}

fn overlap<'d>(devices: impl Iterator<Item = &'d Device>, sample: Sample) -> Vec<OverlapRow> {
    let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let counts = devices.map(|device| (device.mask, sample.estimate(1)));
    Masks::new(names, vec![0, 1, 2, 3], counts).rows(sample, None)
}

/// The figures of a row with their intervals.
fn cells(row: &OverlapRow) -> Vec<(&'static str, u64, u64, u64)> {
    let (low, high) = (&row.interval_low, &row.interval_high);
    let some =
        |name, figure: Option<u64>, low: Option<u64>, high: Option<u64>| Some((name, figure?, low?, high?));
    [
        Some(("reach", row.reach, low.reach, high.reach)),
        some("unique", row.unique, low.unique, high.unique),
        some("stacked", row.stacked_reach, low.stacked_reach, high.stacked_reach),
        some("incremental", row.incremental_reach, low.incremental_reach, high.incremental_reach),
        some("shared", row.shared, low.shared, high.shared),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn the_truth_lies_in_the_interval_in_nine_of_ten_trials() {
    let mut held: BTreeMap<String, usize> = BTreeMap::new();
    for trial in 0..TRIALS {
        let devices = campaign(trial);
        let sample = Sample::one_in([4, 16, 64][(trial % 3) as usize]);
        let chosen = || devices.iter().filter(|device| device.key <= sample.last_device());
        for level in 1..=LEVELS {
            let of = |device: &&Device| device.frequency >= level;
            let estimate = sample.estimate(chosen().filter(of).count() as u64);
            let (low, high) = sample.interval(estimate);
            assert!(low <= estimate && estimate <= high, "{low} {estimate} {high}");
            let truth = devices.iter().filter(of).count() as u64;
            *held.entry(format!("{level}+")).or_default() += usize::from((low..=high).contains(&truth));
        }
        for (found, truth) in overlap(chosen(), sample).iter().zip(overlap(devices.iter(), Sample::ALL)) {
            assert_eq!(found.key, truth.key);
            for ((name, _, low, high), (_, truth, ..)) in cells(found).into_iter().zip(cells(&truth)) {
                *held.entry(format!("{name} of {}", found.key)).or_default() +=
                    usize::from((low..=high).contains(&truth));
            }
        }
    }
    println!("{held:?}");
    assert_eq!(held.len(), 10 + 4 * 4 + 6 * 2 + 1);
    for (what, held) in held {
        assert!(held >= HELD_LEAST, "{what}: {held} of {TRIALS}");
    }
}

/// The error of a sum of impressions and of an average frequency: as often within 1.96 of it as is said.
#[test]
fn the_errors_of_impressions_and_average_frequency_are_those_of_many_trials() {
    let sample = Sample::one_in(16);
    let (mut held, mut held_average) = (0, 0);
    for trial in 0..TRIALS {
        let devices = campaign(trial);
        let sums = |chosen: &dyn Fn(&&Device) -> bool| {
            let of = |power: i32| {
                devices.iter().filter(chosen).map(|device| (device.frequency as f64).powi(power)).sum::<f64>()
            };
            (of(0), of(1), of(2))
        };
        let (count, sum, squares) = sums(&|device| device.key <= sample.last_device());
        let (all, all_sum, _) = sums(&|_| true);
        let error = sample.standard_error_of_sum(squares);
        held += usize::from((sum * 16.0 - all_sum).abs() <= Z * error);
        let error = sample.standard_error_of_average(count * 16.0, sum * 16.0, squares);
        held_average += usize::from((sum / count - all_sum / all).abs() <= Z * error);
    }
    assert!(held >= HELD_LEAST && held_average >= HELD_LEAST, "{held}, {held_average}");
    // And it is not merely wide: 95 % are 190.
    assert!(held < 200 && held_average < 200, "{held}, {held_average}");
}

#[test]
fn errors_follow_the_formula() {
    let sample = Sample::one_in(64);
    let (q, n) = (1.0 / 64.0, 4_021_273_f64);
    assert!((sample.standard_error(4_021_273) / n - ((1.0 - q) / (q * n)).sqrt()).abs() < 1e-12);
    let (low, high) = sample.interval(4_021_248);
    let error = 1.96 * sample.standard_error(4_021_248);
    assert!(
        (4_021_248.0 - error - low as f64).abs() < 200.0 && (4_021_248.0 + error - high as f64).abs() < 200.0
    );
    assert_eq!(
        sample.interval(0),
        (0, 243),
        "a sample without any says that there are few, not that there are none"
    );
    assert_eq!(
        (Sample::ALL.interval(7), Sample::ALL.standard_error(7), Sample::ALL.share()),
        ((7, 7), 0.0, None)
    );
}

#[test]
fn samples_lie_within_each_other_and_are_of_the_size_that_is_asked_for() {
    for (number, taken) in [(0, 1), (1, 1), (2, 2), (3, 4), (40, 64), (64, 64)] {
        assert_eq!(Sample::one_in(number).weight(), taken);
    }
    assert_eq!(Sample::ALL.last_device(), u64::MAX);
    assert_eq!(Sample::one_in(2).last_device(), u64::MAX / 2);
    let sampling = Sampling { exact: 1_000, sample: 100, portion: 50 };
    for (precision, device_days, taken) in [
        (Precision::Auto, 1_000, 1),
        (Precision::Auto, 1_001, 16),
        (Precision::Exact, 1_000_000, 1),
        (Precision::Sampled, 100, 1),
        (Precision::Sampled, 101, 2),
        (Precision::Sampled, 0, 1),
    ] {
        assert_eq!(sampling.of(precision, device_days).weight(), taken, "{precision:?} {device_days}");
    }
}

#[test]
fn portions_are_ranges_that_hold_every_device_of_the_sample_once() {
    for sample in [Sample::ALL, Sample::one_in(2), Sample::one_in(64), Sample::one_in(1 << 40)] {
        for number in [0, 1, 2, 3, 7, 1000] {
            let ranges = sample.ranges(number);
            assert_eq!(ranges.len() as u64, number.max(1));
            assert_eq!(ranges.first().map(|range| range.0), Some(0));
            assert_eq!(ranges.last().map(|range| range.1), Some(sample.last_device()));
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.iter().zip(ranges.iter().skip(1)).all(|(one, next)| one.1 + 1 == next.0));
        }
    }
    let sampling = Sampling { exact: 1_000, sample: 100, portion: 50 };
    for (weight, device_days, portions) in [(1, 0, 1), (1, 50, 1), (1, 51, 2), (2, 100, 1), (4, 1_000, 5)] {
        assert_eq!(sampling.portions(Sample::one_in(weight), device_days), portions);
    }
    assert_eq!(sampling.portions(Sample::ALL, u64::MAX), PORTIONS_MAX);
}
