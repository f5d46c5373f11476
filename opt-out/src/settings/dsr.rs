//! `[opt_out.dsr]`: signed deletion requests of other companies, as IAB Tech Lab's Data Deletion Request Framework has them.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Settings, SettingsError, is_domain, is_origin, within};
use crate::record::AppName;

/// Most parties, and most key files of one.
const PARTIES_MAX: usize = 1_000;
const PARTY_FILES_MAX: usize = 8;
/// Most keys of our own: one in force, and those before it.
const OWN_KEYS_MAX: usize = 8;
/// Most used tokens that all parties together may make us remember, about 60 bytes of memory each.
const USED_MAX: u64 = 16_000_000;

/// What others may ask for by signed requests, and how we tell them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DsrSettings {
    /// Our registrable domain, such as `example.com`: what acknowledgements say as `iss`, and where others look for `dsrdelete.json`. Default: none,
    /// and there is neither file nor endpoint.
    pub domain: String,
    /// Address of the page as others reach it, such as `https://privacy.example.com`: endpoint and keys are named below it. Default: the first of
    /// `public_origins`.
    pub url: String,
    /// Files with our signing keys (a P-256 key as PKCS#8 PEM, mode 0600): the first one signs, all are published. At most 8. Default: none, and
    /// one machine keeps a key of its own in its data folder.
    pub key_files: Vec<PathBuf>,
    /// How often others are asked to read the file and the keys again, seconds, 3,600 to 2,592,000. Default 86,400.
    pub poll_seconds: u32,
    /// Oldest request that is taken, hours since it was signed, 1 to 168. A used one is remembered for so long. Default 24.
    pub age_hours_max: u32,
    /// Requests of one party that may come at once; more: 429. Default 200.
    pub requests_burst_max: u32,
    /// How many of them one party gets back in a minute. Default 60.
    pub requests_per_minute: u32,
    /// Who may ask. At most 1,000. Default: nobody.
    pub party: Vec<DsrParty>,
}

impl Default for DsrSettings {
    fn default() -> Self {
        Self {
            domain: String::new(),
            url: String::new(),
            key_files: Vec::new(),
            poll_seconds: 86_400,
            age_hours_max: 24,
            requests_burst_max: 200,
            requests_per_minute: 60,
            party: Vec::new(),
        }
    }
}

/// A company whose signed requests are taken, as requester or as the first party on whose behalf another one asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DsrParty {
    /// Its registrable domain, as its tokens say it in `iss`: at most 64 bytes, lower case.
    pub domain: String,
    /// Files with its public keys: its `jwks.json`, its `dsrdelete.json`, or one key as JWK. Fetched by the operator, never by the program. At most 8.
    pub key_files: Vec<PathBuf>,
    /// What its word suffices for. Default: opting out; the erasure then waits for the operator.
    #[serde(default = "opting_out")]
    pub rights: Vec<PartyRight>,
    /// Whether its requests have to name our domain in `aud`. The framework knows no such claim, so a request that it signed for another recipient is good
    /// here too; a party that adds it can be held to it. Default: no, but an `aud` that names somebody else is refused.
    #[serde(default)]
    pub require_audience: bool,
}

/// What a party's signature suffices for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyRight {
    /// Each request also opts the device out, so that what comes later is not measured.
    OptOut,
    /// What is stored is erased without the operator's looking at it.
    Erasure,
}

fn opting_out() -> Vec<PartyRight> {
    vec![PartyRight::OptOut]
}

impl DsrSettings {
    /// Whether there are file and endpoint.
    pub fn is_on(&self) -> bool {
        !self.domain.is_empty()
    }

    /// Most used tokens that are remembered: what the rate limit of all parties lets through while a token is good.
    pub(crate) fn used_max(&self) -> u64 {
        let minutes = u64::from(self.age_hours_max) * 60 + 2 * crate::dsr::SKEW_MINUTES;
        let of_one = u64::from(self.requests_burst_max) + minutes * u64::from(self.requests_per_minute);
        of_one * self.party.len().max(1) as u64
    }
}

impl Settings {
    /// Where others reach the page: without a slash at the end.
    pub(crate) fn dsr_url(&self) -> &str {
        let url = if self.dsr.url.is_empty() { self.public_origins.first() } else { Some(&self.dsr.url) };
        url.map_or("", |url| url.trim_end_matches('/'))
    }

    pub(super) fn check_dsr(&self) -> Result<(), SettingsError> {
        let dsr = &self.dsr;
        let refused =
            |key: &str, problem| Err(SettingsError { key: format!("opt_out.dsr.{key}").into(), problem });
        within("opt_out.dsr.poll_seconds", dsr.poll_seconds.into(), 3_600, 2_592_000)?;
        within("opt_out.dsr.age_hours_max", dsr.age_hours_max.into(), 1, 168)?;
        within("opt_out.dsr.requests_burst_max", dsr.requests_burst_max.into(), 1, 100_000)?;
        within("opt_out.dsr.requests_per_minute", dsr.requests_per_minute.into(), 1, 100_000)?;
        if !dsr.is_on() {
            let is_alone = dsr.party.is_empty() && dsr.url.is_empty() && dsr.key_files.is_empty();
            let problem = "is missing: write your registrable domain, as \"example.com\"".to_owned();
            return if is_alone { Ok(()) } else { refused("domain", problem) };
        }
        if !is_domain(&dsr.domain) || !is_lower(&dsr.domain) {
            let problem = format!("= {:?} is no domain: write it as \"example.com\"", dsr.domain);
            return refused("domain", problem);
        }
        let url = self.dsr_url();
        if !is_origin(url) || !(url.starts_with("https://") || is_here(url)) {
            let problem = format!(
                "= {url:?} is not where others reach this page: write it as \"https://privacy.example.com\", without a path"
            );
            return refused("url", problem);
        }
        if dsr.key_files.len() > OWN_KEYS_MAX {
            let count = dsr.key_files.len();
            return refused("key_files", format!("names {count} files, at most {OWN_KEYS_MAX} are allowed"));
        }
        if dsr.party.len() > PARTIES_MAX {
            let count = dsr.party.len();
            return refused("party", format!("has {count} parties, at most {PARTIES_MAX} are allowed"));
        }
        if dsr.used_max() > USED_MAX {
            let problem = format!(
                "= {} lets {} parties make us remember {} requests, at most {USED_MAX} are allowed: lower it, requests_burst_max or age_hours_max",
                dsr.requests_per_minute,
                dsr.party.len(),
                dsr.used_max()
            );
            return refused("requests_per_minute", problem);
        }
        dsr.party.iter().enumerate().try_for_each(|(place, party)| self.check_party(place, party))
    }

    fn check_party(&self, place: usize, party: &DsrParty) -> Result<(), SettingsError> {
        let refused = |key: &str, problem| {
            Err(SettingsError { key: format!("opt_out.dsr.party.{place}.{key}").into(), problem })
        };
        let domain = &party.domain;
        if !is_domain(domain) || !is_lower(domain) || AppName::new(domain).is_none() {
            let problem = format!(
                "= {domain:?} is no domain: write it in lower case, with at most 64 bytes, as \"publisher.example\""
            );
            return refused("domain", problem);
        }
        let mut others = self.dsr.party.iter().take(place).map(|other| &other.domain);
        if others.any(|other| other == domain) || self.app.iter().any(|app| app.name == *domain) {
            return refused("domain", format!("= {domain:?} is the name of another party or app too"));
        }
        if !(1..=PARTY_FILES_MAX).contains(&party.key_files.len()) {
            let count = party.key_files.len();
            return refused("key_files", format!("names {count} files: 1 to {PARTY_FILES_MAX} are allowed"));
        }
        Ok(())
    }
}

fn is_lower(text: &str) -> bool {
    !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Whether an origin is this machine: then nobody else can read what is sent without TLS.
fn is_here(url: &str) -> bool {
    ["http://localhost", "http://127.0.0.1", "http://[::1]"]
        .iter()
        .filter_map(|here| url.strip_prefix(here))
        .any(|rest| rest.is_empty() || rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: &str = r#""domain":"m.example","url":"https://privacy.m.example""#;

    fn check(dsr: &str) -> Result<(), SettingsError> {
        serde_json::from_str::<Settings>(&format!("{{\"dsr\":{{{dsr}}}}}")).expect(dsr).check()
    }

    #[test]
    fn a_value_that_cannot_be_used_is_named_with_what_is_allowed() {
        let party = |rest: &str| format!(r#"{ON},"party":[{{"domain":"p.example",{rest}}}]"#);
        let two = r#"{"domain":"p.example","key_files":["k"]}"#;
        let many = vec![two; 1_001].join(",");
        for (text, key, said) in [
            (r#""url":"https://p.m.example""#.to_owned(), "domain", "is missing"),
            (format!(r#""party":[{two}]"#), "domain", "is missing"),
            (r#""domain":"M.example","url":"https://p.m.example""#.to_owned(), "domain", "is no domain"),
            (r#""domain":"https://m.example""#.to_owned(), "domain", "is no domain"),
            (r#""domain":"m.example""#.to_owned(), "url", "= \"\" is not where"),
            (r#""domain":"m.example","url":"http://p.m.example""#.to_owned(), "url", "https://privacy"),
            (
                r#""domain":"m.example","url":"http://localhost.m.example""#.to_owned(),
                "url",
                "https://privacy",
            ),
            (r#""domain":"m.example","url":"https://p.m.example/dsr""#.to_owned(), "url", "without a path"),
            (format!(r#"{ON},"poll_seconds":60"#), "poll_seconds", "3600 to 2592000"),
            (format!(r#"{ON},"age_hours_max":0"#), "age_hours_max", "1 to 168"),
            (format!(r#"{ON},"requests_per_minute":0"#), "requests_per_minute", "1 to 100000"),
            (
                format!(r#"{ON},"requests_per_minute":100000,"age_hours_max":168"#),
                "requests_per_minute",
                "at most 16000000",
            ),
            (format!(r#"{ON},"party":[{many}]"#), "party", "at most 1000"),
            (format!(r#"{ON},"party":[{two},{two}]"#), "party.1.domain", "another party or app"),
            (party(r#""key_files":[]"#), "party.0.key_files", "1 to 8"),
            (
                format!(r#"{ON},"party":[{{"domain":"P.example","key_files":["k"]}}]"#),
                "party.0.domain",
                "in lower case",
            ),
        ] {
            let error = check(&text).expect_err(&text);
            assert_eq!(error.key, format!("opt_out.dsr.{key}"), "{text}");
            assert!(error.problem.contains(said), "{text}: {error}");
        }
        for text in [
            ON.to_owned(),
            r#""domain":"m.example","url":"http://127.0.0.1:8081""#.to_owned(),
            party(r#""key_files":["k"],"rights":[],"require_audience":true"#),
        ] {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        assert!(
            serde_json::from_str::<DsrParty>(r#"{"domain":"a.b","key_files":[],"rights":["copy"]}"#).is_err()
        );
    }

    #[test]
    fn a_name_is_an_apps_or_a_partys() {
        let text = format!(
            r#"{{"app":[{{"name":"p.example","key_files":["k"]}}],"dsr":{{{ON},"party":[{{"domain":"p.example","key_files":["k"]}}]}}}}"#
        );
        let error =
            serde_json::from_str::<Settings>(&text).expect("settings").check().expect_err("two of a name");
        assert_eq!(error.key, "opt_out.dsr.party.0.domain");
    }
}
