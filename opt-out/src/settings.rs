//! The `[opt_out]` section of the configuration: every key and limit of the role by name and unit.
//!
//! It owns what can be set and what is allowed ([`Settings::check`]): a value outside is refused, never brought into its range. It must
//! never read a file or the environment.

mod dsr;
mod operator;

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use serde::Deserialize;
use thiserror::Error;

use crate::address::Cidr;
use crate::apps::Apps;
use crate::key_file::KeyFileError;
use crate::record::AppName;

pub use dsr::{DsrParty, DsrSettings, PartyRight};
pub use operator::{Operator, Policy};

/// Longest time that a setting may give, seconds: a day.
const SECONDS_MAX: u64 = 24 * 3_600;
/// Largest body that may be allowed, bytes. Each connection may hold one in memory.
const BODY_BYTES_MAX: u64 = 16 << 20;
/// Shortest and longest request head that may be allowed, bytes. The shorter is the HTTP library's own.
const HEAD_BYTES: (u64, u64) = (8 << 10, 1 << 20);
/// Most identifiers that may be allowed in a request: their hashes fit into a record several times over.
const IDS_MAX: u64 = 1_000;
/// Most of what is counted in memory that may be allowed: what a 32-bit count holds.
const COUNT_MAX: u64 = u32::MAX as u64;
/// Shortest and longest lease, seconds: shorter than two heartbeats would stop nodes for nothing, longer would make a promise of nothing.
const LEASE_SECONDS: (u64, u64) = (2, 60);
/// Most opt-out roles that a node asks.
const HEARTBEAT_URLS_MAX: usize = 16;
/// Most apps, and most keys of one.
const APPS_MAX: usize = 1_000;
const APP_KEYS_MAX: usize = 8;
/// Most days that may be named as holidays.
const HOLIDAYS_MAX: usize = 1_000;
/// Longest domain, bytes (RFC 1035).
const DOMAIN_BYTES_MAX: usize = 253;

/// A setting that cannot be used. The operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key} {problem}")]
pub struct SettingsError {
    /// Its dotted name in the configuration; in a list of tables their places count from 0.
    pub key: Cow<'static, str>,
    /// The value, and what is allowed.
    pub problem: String,
}

/// Settings of the opt-out role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port of the page and the API. Port 0 takes a free one. Default 127.0.0.1:8081.
    pub listen: SocketAddr,
    /// Address and port of the same with TLS, beside `listen`; `[tls]` names the certificate. Port 0 takes a free one. Default: none.
    pub listen_tls: Option<SocketAddr>,
    /// Version of the privacy policy that the page stands for; written into every receipt. Raise it when the policy changes. Default 1.
    pub policy_version: u16,
    /// Versions of the privacy policy, which the page lists. The highest is `policy_version`. Default: the program's own first.
    pub policy: Vec<Policy>,
    /// Who runs this installation, as the page names it.
    pub operator: Operator,
    /// `Domain` of the cookies, where page and tracker are hosts of one domain: `example.com` serves both `www` and `t`. Default: none, the
    /// page's own host, on whatever port.
    pub cookie_domain: Option<String>,
    /// Origins under which browsers know the page, as `https://privacy.example.com`, where a proxy changes the `Host` header. Default: none, a
    /// form must come from the host that it is sent to.
    pub public_origins: Vec<String>,
    /// Networks of our own proxies, as `10.0.0.0/8`. Only when one of them connects is `X-Forwarded-For` believed, and then its rightmost
    /// address that is not itself in this list. Default: none. Behind a proxy that is not named here all people share one rate limit.
    pub trusted_proxies: Vec<Cidr>,
    /// In a cluster: a node that has heard from no opt-out role for so long, neither over Kafka nor over HTTP, stops measuring. Seconds, 2 to 60,
    /// default 5. The system clocks of the nodes have to agree within a fraction of it.
    pub lease_seconds: u64,
    /// In a cluster: addresses of all opt-out roles as the ingest nodes reach them, `http://opt-out-1:8081`. They are asked every second how far the
    /// registry reaches, so that the nodes go on measuring while Kafka is away. All of them have to answer. At most 16. Default: none, over
    /// Kafka only.
    pub heartbeat_urls: Vec<String>,
    /// Apps that may opt out the devices of their users by signed calls. At most 1,000. Default: none.
    pub app: Vec<App>,
    /// Limits of the service.
    pub limits: Limits,
    /// The registry.
    pub registry: RegistrySettings,
    /// The list that beacons are held against.
    pub list: ListSettings,
    /// Requests for erasure and for copies.
    pub requests: RequestSettings,
    /// Signed deletion requests of other companies.
    pub dsr: DsrSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            listen_tls: None,
            policy_version: 1,
            policy: Vec::new(),
            operator: Operator::default(),
            cookie_domain: None,
            public_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            lease_seconds: 5,
            heartbeat_urls: Vec::new(),
            app: Vec::new(),
            limits: Limits::default(),
            registry: RegistrySettings::default(),
            list: ListSettings::default(),
            requests: RequestSettings::default(),
            dsr: DsrSettings::default(),
        }
    }
}

/// A registered app. Its server signs what it sends; a key in an app that people install is nobody's secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Name that it sends in `x-sightline-key`, and that stands in the receipts: 1 to 64 visible ASCII characters, such as `com.example.player`.
    pub name: String,
    /// Files with its signing keys, each one line of 32 to 256 bytes, readable by its owner only (mode 0600). Several while a new one takes the
    /// place of an old one; at most 8.
    pub key_files: Vec<PathBuf>,
    /// What its word suffices for. A request for what is not here waits for the operator, as one that somebody typed. Default: opting out.
    #[serde(default = "opting_out")]
    pub rights: Vec<AppRight>,
}

/// What an app's signature suffices for, of any identifier that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppRight {
    /// To opt out. An unsigned call may that too; the receipt of this one names the app.
    OptOut,
    /// To have erased what is stored.
    Erasure,
    /// To be given a copy of it.
    Copy,
}

fn opting_out() -> Vec<AppRight> {
    vec![AppRight::OptOut]
}

impl Settings {
    /// Reads the key files of the registered apps, as a start would.
    ///
    /// # Errors
    /// A file that is missing, that others may read, or that holds no key.
    pub fn check_keys(&self) -> Result<(), KeyFileError> {
        Apps::load(&self.app).map(drop)
    }

    /// Holds each value against what is allowed.
    ///
    /// # Errors
    /// [`SettingsError`] names the first key whose value is not, the value and the range.
    pub fn check(&self) -> Result<(), SettingsError> {
        if let Some(domain) = &self.cookie_domain
            && !is_domain(domain)
        {
            let problem = format!("= {domain:?} is no domain: write it as \"example.com\"");
            return Err(SettingsError { key: "opt_out.cookie_domain".into(), problem });
        }
        if let Some(origin) = self.public_origins.iter().find(|origin| !is_origin(origin)) {
            let problem = format!(
                "holds {origin:?}, which is no origin: write scheme, host and, if it is not the scheme's own, port, as \
                 \"https://privacy.example.com\""
            );
            return Err(SettingsError { key: "opt_out.public_origins".into(), problem });
        }
        let (lease_least, lease_most) = LEASE_SECONDS;
        within("opt_out.lease_seconds", self.lease_seconds, lease_least, lease_most)?;
        let heartbeat_urls = |problem| Err(SettingsError { key: "opt_out.heartbeat_urls".into(), problem });
        if let Some(url) = self.heartbeat_urls.iter().find(|url| !is_heartbeat_url(url)) {
            return heartbeat_urls(format!(
                "holds {url:?}: write the address of an opt-out role itself, without TLS or a path, as \"http://opt-out-1:8081\""
            ));
        }
        if self.heartbeat_urls.len() > HEARTBEAT_URLS_MAX {
            return heartbeat_urls(format!(
                "holds {} addresses, at most {HEARTBEAT_URLS_MAX} are allowed",
                self.heartbeat_urls.len()
            ));
        }
        self.check_operator()?;
        self.check_policy()?;
        self.check_apps()?;
        self.check_dsr()?;
        self.limits.check()?;
        self.registry.check()?;
        self.list.check()?;
        self.requests.check()
    }

    fn check_apps(&self) -> Result<(), SettingsError> {
        if self.app.len() > APPS_MAX {
            let problem = format!("has {} apps, at most {APPS_MAX} are allowed", self.app.len());
            return Err(SettingsError { key: "opt_out.app".into(), problem });
        }
        for (index, app) in self.app.iter().enumerate() {
            let refused = |key: &str, problem| {
                Err(SettingsError { key: format!("opt_out.app.{index}.{key}").into(), problem })
            };
            if AppName::new(&app.name).is_none() {
                let problem =
                    format!("= {:?} is no name: 1 to 64 visible ASCII characters are allowed", app.name);
                return refused("name", problem);
            }
            if self.app.iter().take(index).any(|other| other.name == app.name) {
                return refused("name", format!("= {:?} is another app's name too", app.name));
            }
            if !(1..=APP_KEYS_MAX).contains(&app.key_files.len()) {
                let count = app.key_files.len();
                return refused("key_files", format!("names {count} files: 1 to {APP_KEYS_MAX} are allowed"));
            }
        }
        Ok(())
    }
}

/// Where a cookie may be set: browsers take none for a whole top level.
fn is_domain(text: &str) -> bool {
    (text.contains('.') || text == "localhost") && is_host(text)
}

/// Host names of letters, digits and hyphens, joined by dots. In an inner network one word is a name.
fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= DOMAIN_BYTES_MAX && text.split('.').all(is_label)
}

/// Scheme, host and perhaps a port, as browsers send it: no path (but a slash at the end is taken), no user.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.trim_end_matches('/')).unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_ipv6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    (is_host(host) || is_ipv6) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// An origin of the inner network. The role speaks no TLS itself; a proxy in front of several roles would answer for one of them only.
fn is_heartbeat_url(text: &str) -> bool {
    text.starts_with("http://") && is_origin(text)
}

fn within(key: &'static str, value: u64, least: u64, most: u64) -> Result<(), SettingsError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(SettingsError { key: key.into(), problem: format!("= {value} is not allowed: {least} to {most}") })
}

/// The service's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest body, bytes; larger: 413. Default 64 KiB.
    pub body_bytes_max: usize,
    /// Identifiers in one request; more: 422. Default 20.
    pub ids_per_request_max: usize,
    /// Longest request head, line and headers together, bytes; longer: 431. At least 8 KiB, default 16 KiB.
    pub head_bytes_max: usize,
    /// A request's head must be complete this long after the connection is ready for it; else the connection is closed. Seconds, default 10.
    pub head_seconds_max: u64,
    /// A request's body must be complete this long after its head; else 408. Seconds, default 10.
    pub body_seconds_max: u64,
    /// A connection is closed after this, whatever it does: nobody keeps one of the places for good. Seconds, default 120.
    pub connection_seconds_max: u64,
    /// Open connections. At the limit new ones wait in the system's queue. Default 1,024.
    pub connections_max: usize,
    /// A request waits this long for the registry's disk, or for Kafka; then 503. Seconds, default 5.
    pub storage_seconds_max: u64,
    /// Requests of one client address (IPv6: /64) that may come at once; more: 429. Pages are not counted. Default 20.
    pub requests_burst_max: u32,
    /// How many of them one address gets back in a minute. Default 20.
    pub requests_per_minute: u32,
    /// Signed calls of one app that may come at once; more: 429. They are not counted against an address. Default 200.
    pub app_requests_burst_max: u32,
    /// How many of them one app gets back in a minute. Default 600. A used signature is remembered while it is good, at most 10 minutes and about 50
    /// bytes each, by each opt-out role for itself: so both limits bound that memory too.
    pub app_requests_per_minute: u32,
    /// Client addresses that are remembered; beyond, those that have been quiet longest are forgotten. Default 65,536.
    pub addresses_max: usize,
    /// At a stop, requests that are under way get this long. Seconds, default 10.
    pub drain_seconds_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 * 1024,
            ids_per_request_max: 20,
            head_bytes_max: 16 * 1024,
            head_seconds_max: 10,
            body_seconds_max: 10,
            connection_seconds_max: 120,
            connections_max: 1_024,
            storage_seconds_max: 5,
            requests_burst_max: 20,
            requests_per_minute: 20,
            app_requests_burst_max: 200,
            app_requests_per_minute: 600,
            addresses_max: 65_536,
            drain_seconds_max: 10,
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), SettingsError> {
        let (head_least, head_most) = HEAD_BYTES;
        within("opt_out.limits.body_bytes_max", self.body_bytes_max as u64, 1, BODY_BYTES_MAX)?;
        within("opt_out.limits.ids_per_request_max", self.ids_per_request_max as u64, 1, IDS_MAX)?;
        within("opt_out.limits.head_bytes_max", self.head_bytes_max as u64, head_least, head_most)?;
        within("opt_out.limits.head_seconds_max", self.head_seconds_max, 1, SECONDS_MAX)?;
        within("opt_out.limits.body_seconds_max", self.body_seconds_max, 1, SECONDS_MAX)?;
        within("opt_out.limits.connection_seconds_max", self.connection_seconds_max, 1, SECONDS_MAX)?;
        within("opt_out.limits.connections_max", self.connections_max as u64, 1, 1 << 20)?;
        within("opt_out.limits.storage_seconds_max", self.storage_seconds_max, 1, SECONDS_MAX)?;
        within("opt_out.limits.requests_burst_max", self.requests_burst_max.into(), 1, COUNT_MAX)?;
        within("opt_out.limits.requests_per_minute", self.requests_per_minute.into(), 1, COUNT_MAX)?;
        within("opt_out.limits.app_requests_burst_max", self.app_requests_burst_max.into(), 1, COUNT_MAX)?;
        within("opt_out.limits.app_requests_per_minute", self.app_requests_per_minute.into(), 1, COUNT_MAX)?;
        within("opt_out.limits.addresses_max", self.addresses_max as u64, 2, COUNT_MAX)?;
        within("opt_out.limits.drain_seconds_max", self.drain_seconds_max, 0, SECONDS_MAX)
    }
}

/// The registry's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrySettings {
    /// Receipts, withdrawn ones included; at the limit new opt-outs get 503 and an alert is due. About 200 bytes of memory each. Default 25 M.
    pub receipts_max: usize,
    /// Hashes that receipts hold; at the limit new opt-outs get 503 and an alert is due. About 26 bytes of memory each, list included. Default 100 M.
    pub hashes_max: usize,
    /// Bytes of the registry's journal; at the limit new opt-outs get 503. It is never trimmed. Default 64 GiB.
    pub disk_bytes_max: u64,
    /// Bytes of one file of the journal. Default 64 MiB.
    pub segment_bytes_max: u64,
    /// Start although the registry has fewer receipts than it had before. Whoever opted out with a lost one is measured again. For the
    /// one start after the registry was lost for good. Default false.
    pub start_empty: bool,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            receipts_max: 25_000_000,
            hashes_max: 100_000_000,
            disk_bytes_max: 64 << 30,
            segment_bytes_max: 64 << 20,
            start_empty: false,
        }
    }
}

impl RegistrySettings {
    fn check(&self) -> Result<(), SettingsError> {
        let frame_bytes = self.journal().frame_bytes_max as u64;
        let segment_least = 2 * frame_bytes;
        within("opt_out.registry.receipts_max", self.receipts_max as u64, 1, COUNT_MAX)?;
        within("opt_out.registry.hashes_max", self.hashes_max as u64, 1, COUNT_MAX)?;
        // A terabyte: TOML's numbers end at 2⁶³, a file long before.
        within("opt_out.registry.segment_bytes_max", self.segment_bytes_max, segment_least, 1 << 40)?;
        within(
            "opt_out.registry.disk_bytes_max",
            self.disk_bytes_max,
            self.segment_bytes_max,
            i64::MAX as u64,
        )
    }

    /// The journal's settings: every commit is synced, and no age ever removes or closes anything.
    pub(crate) fn journal(&self) -> journal::Settings {
        /// Longer than any installation lives, and far from the end of a 64-bit count of milliseconds.
        const NEVER: Duration = Duration::from_hours(1_000 * 365 * 24);
        journal::Settings {
            durability: journal::Durability::Fsync,
            disk_bytes_max: self.disk_bytes_max,
            segment_bytes_max: self.segment_bytes_max,
            segment_age_max: NEVER,
            retention_age: NEVER,
            // Keyed hashes do not compress.
            compression: journal::Compression::Off,
            ..journal::Settings::default()
        }
    }
}

/// Requests for erasure and for copies, and the clock of their answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestSettings {
    /// Requests of any state; at the limit those answered longest ago are forgotten, and where there is none of them new ones get 503. Erasures are remembered for good, so that nothing of them comes back: about 2 KiB of
    /// memory each. Default 100,000.
    pub requests_max: usize,
    /// Days for which a request that was refused, found nothing, or was a copy can be asked after; then it is forgotten. Not less than
    /// `copy_days_max`. Default 90.
    pub answered_days_max: u32,
    /// Requests by a typed identifier that wait for the operator; at the limit new ones get 503. Apps and other companies may hold half of this,
    /// and of `requests_max`. Default 1,000.
    pub waiting_max: usize,
    /// Working days within which a request is to be answered, Monday to Friday; the day of asking is not counted. Default 15.
    pub answer_working_days: u32,
    /// Days that are no working days, as "2027-01-01": public holidays are not known by themselves. At most 1,000. Default: none.
    #[serde(deserialize_with = "days")]
    pub holidays: Vec<NaiveDate>,
    /// Saturdays and Sundays that are working days, likewise: China works some in the place of holidays. At most 1,000. Default: none.
    #[serde(deserialize_with = "days")]
    pub working_weekend_days: Vec<NaiveDate>,
    /// Offset of the calendar on which working days are counted, minutes east of UTC, -720 to 840. Default 480, China.
    pub utc_offset_minutes: i32,
    /// Days for which the file of a copy can be fetched; then it is deleted. Default 7.
    pub copy_days_max: u32,
    /// Admin port of an aggregator that carries requests out, as "http://aggregator-1:9090", where none runs in this process. Empty, and none does: no
    /// requests are taken, 501. Default: empty.
    pub aggregator_url: String,
    /// File with that aggregator's operator token, mode 0600. Default: none.
    pub aggregator_token_file: Option<PathBuf>,
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self {
            requests_max: 100_000,
            answered_days_max: 90,
            waiting_max: 1_000,
            answer_working_days: 15,
            holidays: Vec::new(),
            working_weekend_days: Vec::new(),
            utc_offset_minutes: 480,
            copy_days_max: 7,
            aggregator_url: String::new(),
            aggregator_token_file: None,
        }
    }
}

impl RequestSettings {
    fn check(&self) -> Result<(), SettingsError> {
        within("opt_out.requests.requests_max", self.requests_max as u64, 1, 10_000_000)?;
        within("opt_out.requests.waiting_max", self.waiting_max as u64, 1, 1_000_000)?;
        within("opt_out.requests.answer_working_days", u64::from(self.answer_working_days), 1, 365)?;
        within("opt_out.requests.copy_days_max", u64::from(self.copy_days_max), 1, 365)?;
        let copies = u64::from(self.copy_days_max);
        within("opt_out.requests.answered_days_max", u64::from(self.answered_days_max), copies, 3_650)?;
        if !(-720..=840).contains(&self.utc_offset_minutes) {
            let problem = format!("= {} is not allowed: -720 to 840", self.utc_offset_minutes);
            return Err(SettingsError { key: "opt_out.requests.utc_offset_minutes".into(), problem });
        }
        let (url, token) = (&self.aggregator_url, &self.aggregator_token_file);
        if !url.is_empty() && !is_heartbeat_url(url) {
            let problem = format!("= {url:?} is not of the form http://host:port");
            return Err(SettingsError { key: "opt_out.requests.aggregator_url".into(), problem });
        }
        if url.is_empty() != token.is_none() {
            let problem = "needs aggregator_url, and the other way round".to_owned();
            return Err(SettingsError { key: "opt_out.requests.aggregator_token_file".into(), problem });
        }
        for (key, days) in
            [("holidays", &self.holidays), ("working_weekend_days", &self.working_weekend_days)]
        {
            if days.len() > HOLIDAYS_MAX {
                let problem = format!("has {} days, at most {HOLIDAYS_MAX} are allowed", days.len());
                return Err(SettingsError { key: format!("opt_out.requests.{key}").into(), problem });
            }
        }
        Ok(())
    }
}

/// Days as texts.
fn days<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<NaiveDate>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let day = |text: String| {
        text.parse()
            .map_err(|_| serde::de::Error::custom(format!("{text:?} is no day: write it as \"2027-01-01\"")))
    };
    texts.into_iter().map(day).collect()
}

/// How the list is built.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListSettings {
    /// Bits of the filter for each entry. 16 gives 1.3 false positives in 1,000 and 2 bytes an entry; 8 to 32 are sensible. Default 16.
    pub filter_bits_per_key: u32,
    /// Largest filter, blocks of 32 bytes. 1 makes every look-up reach the exact set: for tests. Default 2²⁶ (2 GiB).
    pub filter_blocks_max: u32,
    /// Changes since the last rebuild that start the next one in the background; a 32nd of the list where that is more. Default 4,096.
    pub overlay_rebuild_entries: usize,
    /// Changes since the last rebuild at which a writer waits for a rebuild, about 80 bytes of memory each; an import waits at half of them.
    /// Default 1,048,576.
    pub overlay_entries_max: usize,
    /// By how much a replacement may shrink the list unless forced, percent. Default 5.
    pub shrink_percent_max: u32,
}

impl Default for ListSettings {
    fn default() -> Self {
        Self {
            filter_bits_per_key: 16,
            filter_blocks_max: 1 << 26,
            overlay_rebuild_entries: 4_096,
            overlay_entries_max: 1 << 20,
            shrink_percent_max: 5,
        }
    }
}

impl ListSettings {
    fn check(&self) -> Result<(), SettingsError> {
        let (rebuild, entries) = (self.overlay_rebuild_entries as u64, self.overlay_entries_max as u64);
        within("opt_out.list.filter_bits_per_key", self.filter_bits_per_key.into(), 8, 32)?;
        within("opt_out.list.filter_blocks_max", self.filter_blocks_max.into(), 1, COUNT_MAX)?;
        within("opt_out.list.overlay_entries_max", entries, 1, 1 << 24)?;
        // At the larger a writer would wait before the background had begun.
        within("opt_out.list.overlay_rebuild_entries", rebuild, 1, entries)?;
        within("opt_out.list.shrink_percent_max", self.shrink_percent_max.into(), 0, 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_is_the_default_and_the_default_is_within_its_ranges() {
        let settings: Settings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(Settings::default().check(), Ok(()));
        RegistrySettings::default().journal().check().unwrap();
    }

    #[test]
    fn a_value_out_of_its_range_names_its_key_the_value_and_what_is_allowed() {
        for (text, key, said) in [
            (
                r#"{"limits":{"body_bytes_max":0}}"#,
                "opt_out.limits.body_bytes_max",
                "= 0 is not allowed: 1 to",
            ),
            (r#"{"limits":{"head_bytes_max":100}}"#, "opt_out.limits.head_bytes_max", "8192 to"),
            (r#"{"limits":{"requests_per_minute":0}}"#, "opt_out.limits.requests_per_minute", "= 0"),
            (
                r#"{"limits":{"connections_max":9999999999}}"#,
                "opt_out.limits.connections_max",
                "1 to 1048576",
            ),
            (r#"{"limits":{"head_seconds_max":86401}}"#, "opt_out.limits.head_seconds_max", "1 to 86400"),
            (r#"{"registry":{"receipts_max":0}}"#, "opt_out.registry.receipts_max", "1 to"),
            (r#"{"registry":{"segment_bytes_max":1}}"#, "opt_out.registry.segment_bytes_max", "= 1 "),
            (r#"{"registry":{"disk_bytes_max":5}}"#, "opt_out.registry.disk_bytes_max", "67108864 to"),
            (r#"{"list":{"filter_bits_per_key":0}}"#, "opt_out.list.filter_bits_per_key", "8 to 32"),
            (
                r#"{"list":{"overlay_rebuild_entries":2000000}}"#,
                "opt_out.list.overlay_rebuild_entries",
                "1 to 1048576",
            ),
            (r#"{"list":{"shrink_percent_max":101}}"#, "opt_out.list.shrink_percent_max", "0 to 100"),
            (r#"{"lease_seconds":1}"#, "opt_out.lease_seconds", "= 1 is not allowed: 2 to 60"),
            (r#"{"lease_seconds":61}"#, "opt_out.lease_seconds", "2 to 60"),
            (r#"{"heartbeat_urls":["https://a:1"]}"#, "opt_out.heartbeat_urls", "without TLS"),
            (
                r#"{"heartbeat_urls":["http://a:1/v1/heartbeat"]}"#,
                "opt_out.heartbeat_urls",
                "http://opt-out-1",
            ),
            (
                r#"{"limits":{"app_requests_per_minute":0}}"#,
                "opt_out.limits.app_requests_per_minute",
                "= 0 is not allowed",
            ),
            (r#"{"app":[{"name":"a b","key_files":["k"]}]}"#, "opt_out.app.0.name", "1 to 64 visible ASCII"),
            (
                r#"{"app":[{"name":"a","key_files":["k"]},{"name":"a","key_files":["l"]}]}"#,
                "opt_out.app.1.name",
                "another app's",
            ),
            (r#"{"app":[{"name":"a","key_files":[]}]}"#, "opt_out.app.0.key_files", "names 0 files: 1 to 8"),
            (r#"{"cookie_domain":"a b"}"#, "opt_out.cookie_domain", "\"a b\" is no domain"),
            (r#"{"cookie_domain":"com"}"#, "opt_out.cookie_domain", "\"com\" is no domain"),
            (r#"{"public_origins":["p.example.com"]}"#, "opt_out.public_origins", "\"https://privacy"),
        ] {
            let error = serde_json::from_str::<Settings>(text).unwrap().check().expect_err(text);
            assert_eq!(error.key, key, "{text}");
            assert!(error.problem.contains(said), "{error}");
        }
    }

    #[test]
    fn whoever_shows_the_page_to_others_has_to_name_himself_and_what_changed() {
        for (text, key, said) in [
            (r#"{"listen":"0.0.0.0:8081"}"#, "opt_out.operator.name", "listens on 0.0.0.0:8081"),
            (r#"{"listen_tls":"[::]:443"}"#, "opt_out.operator.name", "listens on [::]:443"),
            (
                r#"{"listen":"10.0.0.1:80","operator":{"name":" "}}"#,
                "opt_out.operator.name",
                "set name in [opt_out.operator]",
            ),
            (
                r#"{"public_origins":["https://p.example.com"]}"#,
                "opt_out.operator.name",
                "browsers know the page as https://p.example.com",
            ),
            (
                r#"{"operator":{"privacy_url":"javascript:alert(1)"}}"#,
                "opt_out.operator.privacy_url",
                "begin with https",
            ),
            (
                r#"{"operator":{"privacy_url":"http://example.com"}}"#,
                "opt_out.operator.privacy_url",
                "begin with https",
            ),
            (
                r#"{"policy_version":2}"#,
                "opt_out.policy_version",
                "the newest version that is described, which is 1",
            ),
            (
                r#"{"policy":[{"version":1,"date":"22.11.2026","changes":"a"}]}"#,
                "opt_out.policy.0.date",
                "\"2026-11-22\"",
            ),
            (
                r#"{"policy":[{"version":1,"date":"2026-11-22","changes":" "}]}"#,
                "opt_out.policy.0.changes",
                "is empty",
            ),
            (
                r#"{"policy_version":1,"policy":[{"version":1,"date":"2026-11-22","changes":"a"},{"version":1,"date":"2026-11-22","changes":"a"}]}"#,
                "opt_out.policy.1.version",
                "not above",
            ),
        ] {
            let error = serde_json::from_str::<Settings>(text).unwrap().check().expect_err(text);
            assert_eq!(error.key, key, "{text}");
            assert!(error.problem.contains(said), "{error}");
        }
    }

    #[test]
    fn an_operator_with_a_name_may_listen_anywhere() {
        for text in [
            r#"{"listen":"0.0.0.0:8081","operator":{"name":"A Ltd"}}"#,
            r#"{"listen":"[::1]:8081","listen_tls":"127.0.0.2:443"}"#,
            r#"{"policy_version":3,"policy":[{"version":1,"date":"2026-11-22","changes":"a"},{"version":3,"date":"2027-01-01","changes":"b","changes_zh":"乙"}]}"#,
        ] {
            assert_eq!(serde_json::from_str::<Settings>(text).unwrap().check(), Ok(()), "{text}");
        }
    }

    #[test]
    fn domains_and_origins_are_told_from_what_is_none() {
        for domain in ["example.com", "t-1.example.co.uk", "localhost"] {
            assert!(is_domain(domain), "{domain}");
        }
        for domain in
            ["", ".example.com", "example..com", "a b", "-a.com", "https://example.com", "a;b", "例.cn"]
        {
            assert!(!is_domain(domain), "{domain}");
        }
        for origin in
            ["https://p.example.com", "http://localhost:8081", "https://p.example.com/", "https://[::1]:1"]
        {
            assert!(is_origin(origin), "{origin}");
        }
        for origin in [
            "p.example.com",
            "https://",
            "https://p.example.com/opt-out",
            "https://p.example.com:0",
            "https://p.example.com:a",
            "https://a@p.example.com",
            "ftp://p.example.com",
            "https://[::x]",
            " https://p.example.com",
        ] {
            assert!(!is_origin(origin), "{origin}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        for text in [
            r#"{"listn":"127.0.0.1:1"}"#,
            r#"{"limits":{"body_max":1}}"#,
            r#"{"registry":{"retention_age":1}}"#,
            r#"{"list":{"bits":1}}"#,
            r#"{"app":[{"name":"a","key_file":"k"}]}"#,
            r#"{"trusted_proxies":["10.0.0.0/33"]}"#,
        ] {
            assert!(serde_json::from_str::<Settings>(text).is_err(), "{text}");
        }
    }
}
