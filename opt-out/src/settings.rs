//! The `[opt_out]` section of the configuration: every key and limit of the role by name and unit.
//!
//! It owns what can be set and what happens at the ends of each value. It must never read a file or the environment.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use crate::address::Cidr;

/// Settings of the opt-out role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port of the page and the API. Port 0 takes a free one. Default 127.0.0.1:8081.
    pub listen: SocketAddr,
    /// Who runs this installation, as the page names it. Default: none, the page says "the operator of this service".
    pub operator_name: String,
    /// Where a person can turn to: a telephone number, an address, a mail address. Shown on the page. Default: none, nothing is shown.
    pub operator_contact: String,
    /// Version of the privacy policy that the page stands for; written into every receipt. Raise it when the policy changes. Default 1.
    pub policy_version: u16,
    /// `Domain` of the cookies, where page and tracker are hosts of one domain: `example.com` serves both `www` and `t`. Default: none, the
    /// page's own host, on whatever port.
    pub cookie_domain: Option<String>,
    /// Origins under which browsers know the page, as `https://privacy.example.com`, where a proxy changes the `Host` header. Default: none, a
    /// form must come from the host that it is sent to.
    pub public_origins: Vec<String>,
    /// Networks of our own proxies, as `10.0.0.0/8`. Only when one of them connects is `X-Forwarded-For` believed, and then its rightmost
    /// address that is not itself in this list. Default: none. Behind a proxy that is not named here all people share one rate limit.
    pub trusted_proxies: Vec<Cidr>,
    /// Limits of the service.
    pub limits: Limits,
    /// The registry.
    pub registry: RegistrySettings,
    /// The list that beacons are held against.
    pub list: ListSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            operator_name: String::new(),
            operator_contact: String::new(),
            policy_version: 1,
            cookie_domain: None,
            public_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            registry: RegistrySettings::default(),
            list: ListSettings::default(),
        }
    }
}

/// The service's limits. Zeros are read as 1.
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
    /// A request waits this long for the registry's disk; then 503. Seconds, default 5.
    pub storage_seconds_max: u64,
    /// Requests of one client address (IPv6: /64) that may come at once; more: 429. Pages are not counted. Default 20.
    pub requests_burst_max: u32,
    /// How many of them one address gets back in a minute. Default 20.
    pub requests_per_minute: u32,
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
            addresses_max: 65_536,
            drain_seconds_max: 10,
        }
    }
}

impl Limits {
    /// The limits brought into their ranges.
    pub(crate) fn clamped(self) -> Self {
        Self {
            body_bytes_max: self.body_bytes_max.max(1),
            ids_per_request_max: self.ids_per_request_max.max(1),
            head_bytes_max: self.head_bytes_max.max(8 * 1024),
            head_seconds_max: self.head_seconds_max.max(1),
            body_seconds_max: self.body_seconds_max.max(1),
            connection_seconds_max: self.connection_seconds_max.max(1),
            connections_max: self.connections_max.max(1),
            storage_seconds_max: self.storage_seconds_max.max(1),
            requests_burst_max: self.requests_burst_max.max(1),
            requests_per_minute: self.requests_per_minute.max(1),
            addresses_max: self.addresses_max.max(2),
            drain_seconds_max: self.drain_seconds_max,
        }
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

/// How the list is built.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListSettings {
    /// Bits of the filter for each entry. 16 gives 1.3 false positives in 1,000 and 2 bytes an entry; 8 to 32 are sensible. Default 16.
    pub filter_bits_per_key: u32,
    /// Largest filter, blocks of 32 bytes. 1 makes every look-up reach the exact set: for tests. Default 2²⁶ (2 GiB).
    pub filter_blocks_max: u32,
    /// Changes since the last rebuild that start the next one in the background. Default 4,096.
    pub overlay_rebuild_entries: usize,
    /// Changes since the last rebuild at which a writer waits for a rebuild. Default 65,536.
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
            overlay_entries_max: 65_536,
            shrink_percent_max: 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_is_the_default_and_the_default_is_within_its_ranges() {
        let settings: Settings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(Limits::default().clamped(), Limits::default());
        RegistrySettings::default().journal().check().unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused() {
        for text in [
            r#"{"listn":"127.0.0.1:1"}"#,
            r#"{"limits":{"body_max":1}}"#,
            r#"{"registry":{"retention_age":1}}"#,
            r#"{"list":{"bits":1}}"#,
            r#"{"trusted_proxies":["10.0.0.0/33"]}"#,
        ] {
            assert!(serde_json::from_str::<Settings>(text).is_err(), "{text}");
        }
    }
}
