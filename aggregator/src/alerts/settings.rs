//! The configuration of alerts (`[alerts]` of the config file).

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::webhook::{self, Webhook};
use crate::settings::SettingsError;

/// `[alerts]`. Limits of a campaign stand in the catalog.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct AlertSettings {
    /// How often campaigns are looked at, seconds; from 10. A look that takes long is followed by a longer pause.
    pub interval_seconds: u64,
    /// Where what opens and resolves is told: an absolute http or https URL. None: it stands in the report API and the metrics only.
    pub webhook_url: Option<String>,
    /// The file of the secret that messages are signed with, from 16 bytes; needed with `webhook_url`.
    pub secret_file: Option<PathBuf>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self { interval_seconds: 60, webhook_url: None, secret_file: None }
    }
}

impl AlertSettings {
    /// Checks every value.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |key, problem: &str| Err(SettingsError { key, problem: problem.to_owned() });
        if self.interval_seconds < 10 {
            return wrong("interval_seconds", &format!("{} is less than 10", self.interval_seconds));
        }
        match (&self.webhook_url, &self.secret_file) {
            (Some(_), None) => {
                wrong("webhook_url", "messages are signed: name the secret's file in secret_file")
            }
            (None, Some(_)) => wrong("secret_file", "nothing is signed without webhook_url"),
            (Some(url), _) if webhook::url(url).is_err() => {
                wrong("webhook_url", "not an absolute http or https URL without user and password")
            }
            _ => Ok(()),
        }
    }

    /// What the aggregator is given; `secret` is what stands in the file.
    pub fn with_secret(&self, secret: Option<String>) -> Alerts {
        let webhook = self.webhook_url.clone().zip(secret).map(|(url, secret)| Webhook { url, secret });
        Alerts { interval: Duration::from_secs(self.interval_seconds), webhook }
    }
}

/// How alerts are looked for, and where they are told.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// Between two looks.
    pub interval: Duration,
    /// Where they are told.
    pub webhook: Option<Webhook>,
}

impl Default for Alerts {
    fn default() -> Self {
        AlertSettings::default().with_secret(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_by_its_key() {
        let settings = |url: Option<&str>, file: Option<&str>, interval_seconds| AlertSettings {
            interval_seconds,
            webhook_url: url.map(str::to_owned),
            secret_file: file.map(PathBuf::from),
        };
        let url = Some("https://hooks.example.com/x");
        for right in [AlertSettings::default(), settings(url, Some("f"), 10)] {
            assert_eq!(right.check(), Ok(()));
        }
        for (wrong, key) in [
            (settings(None, None, 9), "interval_seconds"),
            (settings(url, None, 60), "webhook_url"),
            (settings(None, Some("f"), 60), "secret_file"),
            (settings(Some("hooks.example.com"), Some("f"), 60), "webhook_url"),
        ] {
            assert_eq!(wrong.check().expect_err("is wrong").key, key);
        }
    }
}
