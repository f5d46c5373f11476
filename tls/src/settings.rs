//! The `[tls]` section of the configuration. It owns what can be set and what is allowed; it must never read a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

/// Shortest and longest time for a handshake, seconds.
const HANDSHAKE_SECONDS: (u64, u64) = (1, 60);

/// `[tls]`. Which role listens with it says its own `listen_tls`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Certificate chain, PEM, the server's own first. Default: none, nobody speaks TLS.
    pub certificate_file: Option<PathBuf>,
    /// Its private key, PEM, readable by its owner only (mode 0600).
    pub key_file: Option<PathBuf>,
    /// A handshake must be complete after this, seconds; else the connection is closed. Default 10, 1–60.
    pub handshake_seconds_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { certificate_file: None, key_file: None, handshake_seconds_max: 10 }
    }
}

/// A setting that cannot be used. The operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("tls.{key} {problem}")]
pub struct SettingsError {
    /// Its name in the section.
    pub key: &'static str,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl Settings {
    /// Holds each value against what is allowed.
    ///
    /// # Errors
    /// The first one that is not.
    pub fn check(&self) -> Result<(), SettingsError> {
        let (least, most) = HANDSHAKE_SECONDS;
        if !(least..=most).contains(&self.handshake_seconds_max) {
            let problem = format!("= {} is not allowed: {least} to {most}", self.handshake_seconds_max);
            return Err(SettingsError { key: "handshake_seconds_max", problem });
        }
        let half = |key, other| {
            let problem = format!("is set and {other} is not: a certificate goes with its key");
            Err(SettingsError { key, problem })
        };
        match (&self.certificate_file, &self.key_file) {
            (Some(_), None) => half("certificate_file", "key_file"),
            (None, Some(_)) => half("key_file", "certificate_file"),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }

    /// Certificate and key, where both are named.
    pub fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.certificate_file.as_deref()?, self.key_file.as_deref()?))
    }

    pub(crate) fn handshake_wait(&self) -> Duration {
        Duration::from_secs(self.handshake_seconds_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_and_key_come_together_and_the_time_is_bounded() {
        Settings::default().check().expect("nothing is fine");
        let both = Settings {
            certificate_file: Some("c".into()),
            key_file: Some("k".into()),
            ..Settings::default()
        };
        both.check().expect("both are fine");
        assert_eq!(both.files(), Some((Path::new("c"), Path::new("k"))));
        let half = Settings { key_file: None, ..both.clone() };
        assert_eq!(half.files(), None);
        let told = half.check().expect_err("half").to_string();
        assert!(told.starts_with("tls.certificate_file is set and key_file is not"), "{told}");
        for seconds in [0, 61] {
            let slow = Settings { handshake_seconds_max: seconds, ..both.clone() };
            let told = slow.check().expect_err("out of range").to_string();
            assert_eq!(told, format!("tls.handshake_seconds_max = {seconds} is not allowed: 1 to 60"));
        }
    }
}
