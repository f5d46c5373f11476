//! The configuration of the aggregator and its report API (`[reports]` of the config file), with every limit it keeps.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::report::Sampling;
use crate::store::Limits;
use crate::tokens::Rate;

/// Largest step of device counts.
const DEVICE_STEP_MAX: u64 = 1000;

/// `[reports]`. Unknown keys are refused by the caller that reads the file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the report API listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where it listens with TLS, beside `listen`; `[tls]` names the certificate. Port 0 takes a free one.
    pub listen_tls: Option<SocketAddr>,
    /// Events of one insert. More make larger parts and fewer of them; from 1.
    pub batch_events_max: usize,
    /// Longest a read event waits for its insert, milliseconds. 0 inserts whatever one reading found.
    pub batch_delay_ms_max: u64,
    /// How often past days that changed are settled, seconds; from 1. A day that takes long to settle is settled less often.
    pub settle_interval_seconds: u64,
    /// How long an insert may take at most, seconds; from 60. One that has not ended for so long is given up: its days are settled without it, and
    /// once more if it ends after all. With the embedded store, which one process works on, inserts that a crash broke off are given up
    /// at the start.
    pub marks_open_seconds_max: u64,
    /// How long an event is kept, days since its receipt, from 31.
    pub retention_days: u16,
    /// Memory that one statement of the store may take, bytes; from 256 MiB. Beyond a third of it, sorting and grouping go on on the disk.
    pub statement_bytes_max: u64,
    /// Threads of one statement; from 1.
    pub statement_threads_max: u32,
    /// Reports computed at the same time; from 1. Others wait.
    pub reports_max: usize,
    /// Addresses of data centres in CIDR form, at most /24 (IPv4) or /48 (IPv6) long, since no more of an address is kept. Hits from
    /// there leave net.
    pub data_center_networks: Vec<String>,
    /// Impressions of one device on one day, over all campaigns, beyond which its id is no device's: its hits of that day count without a
    /// device, and it is listed. 0 sets nothing aside. A change judges past days anew.
    pub device_day_impressions_max: u64,
    /// Fewest devices behind anything that a token of an advertiser or a medium is shown; from 1, and counted as the next multiple of `device_step`.
    pub k: u64,
    /// What device counts are rounded down to for these tokens; from 1, at most 1,000.
    pub device_step: u64,
    /// Most settled device days (a device on a placement on a day) that a report of devices counts one by one unless it is told to; above, it estimates
    /// from a sample. A computer that is slower than the one that the default was measured on needs fewer for the same time.
    pub exact_device_days: u64,
    /// Device days of such a sample, at most; at least half of them. From 1; four times as many halve the error.
    pub sample_device_days: u64,
    /// Settled device days that one statement groups by their devices, about; from 1. A report of more counts them in portions by device, one after another,
    /// and adds them up: with the default a portion takes 200 to 320 MiB, less than the third of `statement_bytes_max` from which on a statement goes on
    /// on the disk at half the speed.
    pub portion_device_days: u64,
    /// Events that one statement judges at once, about, where a day is settled or counted from its events; from 1. A day of more is judged in portions, at most 16,
    /// one after another.
    pub portion_hits: u64,
    /// Requests of one token in a minute; from 1. The token of the data folder has no limit.
    pub token_requests_per_minute_max: u32,
    /// Requests of one token at once, before that rate holds; from 1.
    pub token_requests_burst_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8082)),
            listen_tls: None,
            batch_events_max: 200_000,
            batch_delay_ms_max: 500,
            settle_interval_seconds: 60,
            marks_open_seconds_max: 600,
            retention_days: 190,
            statement_bytes_max: 1 << 30,
            statement_threads_max: 2,
            reports_max: 2,
            data_center_networks: Vec::new(),
            device_day_impressions_max: 1000,
            k: 50,
            device_step: 10,
            exact_device_days: 10_000_000,
            sample_device_days: 250_000,
            portion_device_days: 2_500_000,
            portion_hits: 3_000_000,
            token_requests_per_minute_max: 120,
            token_requests_burst_max: 60,
        }
    }
}

/// A value that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingsError {
    /// The key.
    pub key: &'static str,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl Settings {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let at_least = |key, value: u64, least: u64| {
            if value >= least {
                Ok(())
            } else {
                Err(SettingsError { key, problem: format!("{value} is less than {least}") })
            }
        };
        at_least("batch_events_max", self.batch_events_max as u64, 1)?;
        at_least("settle_interval_seconds", self.settle_interval_seconds, 1)?;
        at_least("marks_open_seconds_max", self.marks_open_seconds_max, 60)?;
        at_least("retention_days", u64::from(self.retention_days), 31)?;
        at_least("statement_bytes_max", self.statement_bytes_max, 256 << 20)?;
        at_least("statement_threads_max", u64::from(self.statement_threads_max), 1)?;
        at_least("reports_max", self.reports_max as u64, 1)?;
        at_least("k", self.k, 1)?;
        at_least("device_step", self.device_step, 1)?;
        if self.device_step > DEVICE_STEP_MAX {
            let problem = format!("{} is more than {DEVICE_STEP_MAX}", self.device_step);
            return Err(SettingsError { key: "device_step", problem });
        }
        at_least("sample_device_days", self.sample_device_days, 1)?;
        at_least("portion_device_days", self.portion_device_days, 1)?;
        at_least("portion_hits", self.portion_hits, 1)?;
        at_least("token_requests_per_minute_max", u64::from(self.token_requests_per_minute_max), 1)?;
        at_least("token_requests_burst_max", u64::from(self.token_requests_burst_max), 1)?;
        crate::rules::networks(&self.data_center_networks).map(drop)
    }

    pub(crate) fn token_rate(&self) -> Rate {
        Rate { burst: self.token_requests_burst_max, per_minute: self.token_requests_per_minute_max }
    }

    pub(crate) fn sampling(&self) -> Sampling {
        Sampling {
            exact: self.exact_device_days,
            sample: self.sample_device_days,
            portion: self.portion_device_days,
        }
    }

    pub(crate) fn batch_delay(&self) -> Duration {
        Duration::from_millis(self.batch_delay_ms_max)
    }

    pub(crate) fn settle_interval(&self) -> Duration {
        Duration::from_secs(self.settle_interval_seconds)
    }

    pub(crate) fn marks_open_ms_max(&self) -> i64 {
        i64::try_from(self.marks_open_seconds_max).unwrap_or(i64::MAX).saturating_mul(1000)
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            statement_bytes: self.statement_bytes_max,
            threads: self.statement_threads_max,
            reports: self.reports_max,
        }
    }
}
