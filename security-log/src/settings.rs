//! `[security_log]` of the configuration.

use std::path::PathBuf;

use serde::Deserialize;

/// Fewest days that a security log is kept: six months (Cybersecurity Law of the PRC, Art. 21).
pub(crate) const RETENTION_DAYS_MIN: u16 = 183;
/// Fewest bytes that the log may take.
const DISK_BYTES_MIN: u64 = 16 << 20;

/// `[security_log]`: whether it is kept, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether it is kept at all.
    pub enabled: bool,
    /// File with the public key. Default: `keys/security.public` in the data folder, drawn with its private half at the first start.
    pub public_key_file: Option<PathBuf>,
    /// How long it is kept, days, from 183.
    pub retention_days: u16,
    /// Bytes that it may take, from 16 MiB. Beyond, the oldest files go before their time, which is an error in the log and a metric.
    pub disk_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, public_key_file: None, retention_days: 190, disk_bytes_max: 32 << 30 }
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
        if self.retention_days < RETENTION_DAYS_MIN {
            let days = self.retention_days;
            let problem = format!(
                "{days} is less than {RETENTION_DAYS_MIN}, the six months of the Cybersecurity Law; where that does not apply, \
                 enabled = false keeps no such log at all"
            );
            return Err(SettingsError { key: "retention_days", problem });
        }
        if self.disk_bytes_max < DISK_BYTES_MIN {
            let problem = format!("{} is less than {DISK_BYTES_MIN}", self.disk_bytes_max);
            return Err(SettingsError { key: "disk_bytes_max", problem });
        }
        Ok(())
    }
}
