//! Who runs an installation and what his policy says: what the page has to tell people before it may be shown to them.

use std::net::SocketAddr;

use chrono::NaiveDate;
use serde::Deserialize;

use super::{Settings, SettingsError};

/// Longest text about the operator, bytes.
const OPERATOR_BYTES_MAX: usize = 1_024;
/// Most versions of the policy.
const POLICIES_MAX: usize = 100;

/// Who runs an installation, as the page names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operator {
    /// The legal name. Needed where the page listens on anything but loopback, or has `public_origins`. Default: none, and the page says that this is a
    /// trial installation.
    pub name: String,
    /// The same in Chinese. Default: as `name`.
    pub name_zh: String,
    /// Where a person can turn to: a telephone number, a mail address. Default: none, nothing is shown.
    pub contact: String,
    /// Postal address. Default: none, nothing is shown.
    pub address: String,
    /// The operator's own privacy policy, `https://…`. Default: none, nothing is shown.
    pub privacy_url: String,
    /// Number in a register of companies or sites (such as ICP). Default: none, nothing is shown.
    pub register_number: String,
}

impl Operator {
    fn check(&self) -> Result<(), SettingsError> {
        let texts = [
            ("name", &self.name),
            ("name_zh", &self.name_zh),
            ("contact", &self.contact),
            ("address", &self.address),
            ("privacy_url", &self.privacy_url),
            ("register_number", &self.register_number),
        ];
        for (key, text) in texts {
            let key = || format!("opt_out.operator.{key}").into();
            if text.len() > OPERATOR_BYTES_MAX {
                let problem = format!("has {} bytes, at most {OPERATOR_BYTES_MAX} are allowed", text.len());
                return Err(SettingsError { key: key(), problem });
            }
        }
        let url = self.privacy_url.trim();
        if !url.is_empty() && !url.starts_with("https://") {
            let problem = format!("= {url:?} is no link: it has to begin with https://");
            return Err(SettingsError { key: "opt_out.operator.privacy_url".into(), problem });
        }
        Ok(())
    }
}

/// A version of the privacy policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its number; each is above the one before it.
    pub version: u16,
    /// The day from which it holds, `2026-11-22`.
    pub date: String,
    /// What is new in it.
    pub changes: String,
    /// The same in Chinese. Default: as `changes`.
    #[serde(default)]
    pub changes_zh: String,
}

impl Policy {
    /// The version that the page stands for where the operator describes none of his own.
    pub(crate) const BUILT_IN_VERSION: u16 = 1;
}

impl Settings {
    /// Whoever shows the page to others says who he is.
    pub(super) fn check_operator(&self) -> Result<(), SettingsError> {
        self.operator.check()?;
        let is_open = |address: &SocketAddr| !address.ip().is_loopback();
        let seen_by =
            if let Some(address) = [Some(self.listen), self.listen_tls].into_iter().flatten().find(is_open) {
                format!("the page listens on {address}")
            } else if let Some(origin) = self.public_origins.first() {
                format!("browsers know the page as {origin}")
            } else {
                return Ok(());
            };
        if self.operator.name.trim().is_empty() {
            let problem = format!(
                "is missing: {seen_by}, where others see it, so it has to say who runs this installation: set name in [opt_out.operator]"
            );
            return Err(SettingsError { key: "opt_out.operator.name".into(), problem });
        }
        Ok(())
    }

    pub(super) fn check_policy(&self) -> Result<(), SettingsError> {
        let refused =
            |key: &str, problem| Err(SettingsError { key: format!("opt_out.{key}").into(), problem });
        if self.policy.len() > POLICIES_MAX {
            let problem = format!("has {} versions, at most {POLICIES_MAX} are allowed", self.policy.len());
            return refused("policy", problem);
        }
        for (index, policy) in self.policy.iter().enumerate() {
            if NaiveDate::parse_from_str(&policy.date, "%Y-%m-%d").is_err() {
                let problem = format!("= {:?} is no day: write it as \"2026-11-22\"", policy.date);
                return refused(&format!("policy.{index}.date"), problem);
            }
            if policy.changes.trim().is_empty() {
                return refused(&format!("policy.{index}.changes"), "is empty: say what changed".to_owned());
            }
            if self.policy.iter().take(index).any(|earlier| earlier.version >= policy.version) {
                let problem = format!("= {} is not above the one before it", policy.version);
                return refused(&format!("policy.{index}.version"), problem);
            }
        }
        let newest = self.policy.last().map_or(Policy::BUILT_IN_VERSION, |policy| policy.version);
        if newest != self.policy_version {
            let problem = format!(
                "= {} is not the newest version that is described, which is {newest}: add it to [[opt_out.policy]]",
                self.policy_version
            );
            return refused("policy_version", problem);
        }
        Ok(())
    }
}
