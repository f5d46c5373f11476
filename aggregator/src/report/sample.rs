//! Estimates from a sample of devices, and what they may be off by.
//!
//! Device keys are keyed hashes, so a range of them is a random choice of devices that nobody can steer, and the same one in every report: a device is in the
//! sample of one in 128 only if it is in that of one in 64. Which is chosen is the device that a report counts: where two keys overlap, the one that a pair
//! makes of two.
//!
//! One device in `m` is counted and stands for `m`. As `m` is whole, every count of devices and of their impressions is `m` times a count over the same
//! devices, and whatever holds of counts (sums, differences, unions, N+ that do not grow) holds of the estimates to the last digit.
//!
//! # Error
//!
//! Of `n` devices c are in the sample, binomial with q = 1/m. The estimate is mc; its standard error, with the estimate for n, is
//! `sqrt(n (1 - q) / q)` = `sqrt(n (m - 1))`: relative to n that is `sqrt((1 - q) / (q n))`. The 95 % interval holds every n of which c is not further than
//! 1.96 of *its* standard errors away (the score interval): for many devices it is the estimate and 1.96 standard errors either way; for few it is wider
//! above than below, and not empty where the sample has none.

use super::request::{Precision, Request};
use super::{Days, Reporter};
use crate::store::Value;

/// Standard errors within which 95 % of a normal distribution lie.
const Z: f64 = 1.959_963_984_540_054;

/// Most portions in which settled devices are counted: each reads a granule of every part at the least, so that more would cost more than they spare.
const PORTIONS_MAX: u64 = 1000;

/// What estimates may be off by, one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Spread {
    pub(super) standard_error: Vec<f64>,
    pub(super) interval_low: Vec<u64>,
    pub(super) interval_high: Vec<u64>,
}

/// The share of devices that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// How many devices one that is counted stands for; 1: every device is counted.
    one_in: u64,
}

/// When a sample is taken, how large it is, and in which portions devices are counted; in device days.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// Most that a report counts one by one unless it is told to.
    pub(crate) exact: u64,
    /// Those of a sample, about: at most so many, and half of them at the least.
    pub(crate) sample: u64,
    /// Those that one statement groups by their devices, about.
    pub(crate) portion: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Self::ALL
    }
}

impl Sample {
    /// Every device.
    pub(crate) const ALL: Self = Self { one_in: 1 };

    /// One device in so many; a power of two, from 1.
    pub(crate) fn one_in(number: u64) -> Self {
        Self { one_in: number.max(1).next_power_of_two() }
    }

    /// How many devices one stands for.
    pub(super) fn weight(self) -> u64 {
        self.one_in
    }

    /// Whether every device is counted.
    pub(super) fn is_all(self) -> bool {
        self.one_in == 1
    }

    /// The share of devices in it, where it is not all of them.
    pub(super) fn share(self) -> Option<f64> {
        (!self.is_all()).then(|| 1.0 / self.one_in as f64)
    }

    /// The largest device key in it.
    pub(super) fn last_device(self) -> u64 {
        u64::MAX / self.one_in
    }

    /// Its device keys in so many ranges of one size, one behind the other: first and last key of each.
    pub(super) fn ranges(self, number: u64) -> Vec<(u64, u64)> {
        let last = u128::from(self.last_device());
        let number = u128::from(number.max(1)).min(last + 1);
        let end = |n: u128| u64::try_from((last + 1) * n / number).unwrap_or(u64::MAX);
        let range = |n: u128| (end(n), if n + 1 == number { self.last_device() } else { end(n + 1) - 1 });
        (0..number).map(range).collect()
    }

    /// What a count over the sample says of all devices.
    pub(super) fn estimate(self, counted: u64) -> u64 {
        counted.saturating_mul(self.one_in)
    }

    /// The standard error of an estimate of devices; 0 where every device is counted.
    pub(super) fn standard_error(self, devices: u64) -> f64 {
        (devices as f64 * (self.one_in - 1) as f64).sqrt()
    }

    /// The standard error of an estimate of impressions: `squares` is the sum of the squares of what each device of the sample saw.
    pub(super) fn standard_error_of_sum(self, squares: f64) -> f64 {
        (squares * self.one_in as f64 * (self.one_in - 1) as f64).sqrt()
    }

    /// The standard error of the impressions of a device, by the estimates of devices and their impressions; `squares` as above.
    pub(super) fn standard_error_of_average(self, devices: f64, impressions: f64, squares: f64) -> f64 {
        let counted = devices / self.one_in as f64;
        if self.is_all() || counted <= 0.0 {
            return 0.0;
        }
        let average = impressions / devices;
        let variance = (squares / counted - average * average).max(0.0);
        (variance * (1.0 - 1.0 / self.one_in as f64) / counted).sqrt()
    }

    /// The 95 % interval of an estimate of devices; the estimate itself where every device is counted.
    pub(super) fn interval(self, devices: u64) -> (u64, u64) {
        if self.is_all() {
            return (devices, devices);
        }
        let q = 1.0 / self.one_in as f64;
        let counted = devices as f64 * q;
        let spread = Z * Z * (1.0 - q);
        let middle = 2.0 * counted + spread;
        let root = (spread * (4.0 * counted + spread)).sqrt();
        let low = ((middle - root) / (2.0 * q)).floor().max(counted);
        (low as u64, ((middle + root) / (2.0 * q)).ceil() as u64)
    }

    /// Both of them for a list of estimates.
    pub(super) fn spread(self, estimates: &[u64]) -> Spread {
        let (interval_low, interval_high) = estimates.iter().map(|devices| self.interval(*devices)).unzip();
        let standard_error = estimates.iter().map(|devices| self.standard_error(*devices)).collect();
        Spread { standard_error, interval_low, interval_high }
    }
}

impl Sampling {
    /// The sample of a report that reads so many device days.
    fn of(self, precision: Precision, device_days: u64) -> Sample {
        let is_sampled = match precision {
            Precision::Exact => false,
            Precision::Auto => device_days > self.exact,
            Precision::Sampled => true,
        };
        if is_sampled { Sample::one_in(device_days.div_ceil(self.sample.max(1))) } else { Sample::ALL }
    }

    /// In how many portions the devices of a sample are counted, of so many device days in all: what one statement holds in memory does not grow with the
    /// campaign.
    pub(super) fn portions(self, sample: Sample, device_days: u64) -> u64 {
        let counted = device_days / sample.weight();
        counted.div_ceil(self.portion.max(1)).clamp(1, PORTIONS_MAX)
    }
}

impl Reporter {
    /// Which devices a report counts. What is computed from events by keys that settled devices do not know is counted whole: finding the hits takes the time there,
    /// not counting them.
    pub(super) fn sample(&self, request: &Request, days: &Days) -> Sample {
        if !request.kind.is_of_devices() || !request.by.is_settled_by_device() {
            return Sample::ALL;
        }
        self.sampling.of(request.precision, days.settled_devices + days.live_hits)
    }
}

/// The 95 % interval of a figure that is as good as normal about its own standard error, and not below 0.
pub(super) fn around(figure: f64, standard_error: f64) -> (f64, f64) {
    let off = Z * standard_error;
    ((figure - off).max(0.0), figure + off)
}

/// The values of `sampled.sql` and `sampled_one.sql`.
pub(super) fn values(sample: Sample, is_paired: bool) -> [(&'static str, Value); 3] {
    let last = sample.last_device();
    let of_half = if is_paired { u64::MAX } else { last };
    [
        ("half_first", Value::Number(0)),
        ("half_last", Value::Number(of_half)),
        ("device_last", Value::Number(last)),
    ]
}

#[cfg(test)]
mod tests;
