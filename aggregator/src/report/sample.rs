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
use super::{Days, ReportError, Reporter, seen};
use crate::statement;
use crate::store::{Value, Work};

/// Standard errors within which 95 % of a normal distribution lie.
const Z: f64 = 1.959_963_984_540_054;

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

/// When a sample is taken and how large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// Most device days that a report counts one by one unless it is told to.
    pub(crate) exact_device_days: u64,
    /// Device days of a sample, about: at most so many, and half of them at the least.
    pub(crate) sample_device_days: u64,
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
            Precision::Auto => device_days > self.exact_device_days,
            Precision::Sampled => true,
        };
        if is_sampled {
            Sample::one_in(device_days.div_ceil(self.sample_device_days.max(1)))
        } else {
            Sample::ALL
        }
    }
}

impl Reporter {
    /// Which devices a report counts. What is computed from events by keys that settled devices do not know is counted whole: finding the hits takes the time there,
    /// not counting them.
    pub(super) fn sample(&self, request: &Request, days: &Days) -> Result<Sample, ReportError> {
        #[derive(serde::Deserialize)]
        struct Row {
            device_days: u64,
        }
        if request.precision == Precision::Exact
            || !request.kind.is_of_devices()
            || !request.by.is_settled_by_device()
        {
            return Ok(Sample::ALL);
        }
        let mut values = vec![
            ("campaign", Value::Text(request.campaign.clone())),
            ("published", Value::Generations(days.published.clone())),
        ];
        values.extend(seen(&request.sight));
        let rows: Vec<Row> = self.store.rows(Work::Report, statement::REPORT_DEVICE_DAYS, &values)?;
        let settled: u64 = rows.iter().map(|row| row.device_days).sum();
        Ok(self.sampling.of(request.precision, settled + days.live_hits))
    }
}

/// The values of `sampled.sql` and `sampled_one.sql`.
pub(super) fn values(sample: Sample, is_paired: bool) -> [(&'static str, Value); 2] {
    let last = sample.last_device();
    let of_half = if is_paired { u64::MAX } else { last };
    [("half_last", Value::Number(of_half)), ("device_last", Value::Number(last))]
}

#[cfg(test)]
mod tests;
