//! The `[tracker]` section of the configuration: every limit of the tracker by name and unit.
//!
//! It owns what can be set and the range of each value ([`Settings::check`]). It must never read a file or the environment: key files are read
//! by `crate::senders`.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;

use serde::Deserialize;

use crate::Error;
use crate::address::Cidr;
use crate::senders;

/// Most that any of the waits in seconds may be.
const SECONDS_MAX: u32 = 3600;
/// Most that a click may wait, milliseconds: the second promise of the tracker.
const CLICK_WAIT_MS_MAX: u64 = 20;

/// Longest domain, bytes (RFC 1035).
const DOMAIN_BYTES_MAX: usize = 253;

/// Settings of the tracker.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address and port of the tracker. Port 0 takes a free one. Default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// Address and port of the tracker with TLS, beside `listen`; `[tls]` names the certificate. Port 0 takes a free one. Default: none.
    pub listen_tls: Option<SocketAddr>,
    /// Threads that serve beacons, each with its own listening socket and journal lane: 0–1,024. 0, the default, is one for each core.
    pub lanes: usize,
    /// Networks of our own proxies, as `10.0.0.0/8`. Only when one of them connects is `X-Forwarded-For` believed, and then its rightmost
    /// address that is not itself in this list. Default: none, the connection's address is the viewer's.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether `DNT: 1` withholds the device key, as `Sec-GPC: 1` always does. Default false.
    pub honour_dnt: bool,
    /// Our id in the TCF's global vendor list: where the TCF applies, a device key is kept only if the consent string gives it consent for purposes 1
    /// and 7. 0, the default: none, and a device key is kept for nobody there.
    pub tcf_vendor_id: u16,
    /// Whether a browser gets an id cookie, which stands for its device where media send no other id. Never against a signal of the person or the
    /// page. Default false.
    pub id_cookie: bool,
    /// `Domain` of the id cookie: the `cookie_domain` of `[opt_out]`, so that the page can take it away, and a browser can show there that it is the
    /// one whose data it asks for. Default: none, the tracker's own host.
    pub id_cookie_domain: Option<String>,
    /// Registered servers. Default: none.
    pub server: Vec<Server>,
    /// File with the key that makes `x-sightline-debug` work, as `key_file` below. Default: none, nobody is told an outcome in a header.
    pub debug_key_file: Option<PathBuf>,
    /// Public address of the tracker, with scheme and without a slash at the end: what URLs in VAST wrappers begin with. It stands at the
    /// top of the configuration, where `sightline links` reads it too. Default: none, URLs begin with the `Host` that was asked.
    #[serde(skip)]
    pub public_url: Option<String>,
    /// Limits.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            listen_tls: None,
            lanes: 0,
            trusted_proxies: Vec::new(),
            honour_dnt: false,
            tcf_vendor_id: 0,
            id_cookie: false,
            id_cookie_domain: None,
            server: Vec::new(),
            debug_key_file: None,
            public_url: None,
            limits: Limits::default(),
        }
    }
}

/// A registered server: whoever sends its key as `Authorization: Bearer …`, or signs with one of its signing keys, has its rights. It needs one or
/// the other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Name, for people and for metrics; under it the server signs (then 1 to 64 visible ASCII characters, no two alike).
    pub name: String,
    /// SHA-256 of the bearer key, 64 hex digits. Either this or `key_file`.
    #[serde(default)]
    pub key_sha256: Option<String>,
    /// File that holds the key itself, one line, at most 1 KiB, readable by its owner only (mode 0600).
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// Files with its signing keys, each one line of 32 to 256 bytes, readable by its owner only (mode 0600). Several while a new one takes the place
    /// of an old one; at most 8. Default: none.
    #[serde(default)]
    pub signing_key_files: Vec<PathBuf>,
    /// Networks that it sends from, as `203.0.113.0/24`: from there it needs no key to speak for viewers, for media fire tracking URLs as they are. Never
    /// gives the right to backdate. Default: none.
    #[serde(default)]
    pub networks: Vec<Cidr>,
    /// Whether its requests have to be signed. Default: optional, the bearer key suffices.
    #[serde(default)]
    pub signature: Signature,
    /// What it may say. Default: nothing, which still tells its hits from those of viewers.
    #[serde(default)]
    pub rights: Vec<Right>,
}

/// Whether a registered server has to sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signature {
    /// Its bearer key suffices.
    #[default]
    Optional,
    /// Its bearer key alone is refused.
    Required,
}

/// What a registered server may say about a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// The viewer's address.
    Ip,
    /// The viewer's agent.
    Ua,
    /// Times outside the window of 7 days.
    Backdate,
}

/// The tracker's limits. A value outside its range is refused by [`Settings::check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest request target, bytes; longer: 414. Default 8,192 (the longest template of a medium is 3,800), 256–65,000.
    pub url_bytes_max: usize,
    /// Longest head of a request beyond its URL, bytes: request line and headers together may have this and `url_bytes_max`; longer: 431.
    /// Default 16,384, 1,024–262,144.
    pub header_bytes_max: usize,
    /// Largest body as sent, bytes; larger: 413. Default 1 MiB, 256 bytes to 64 MiB.
    pub body_bytes_max: usize,
    /// Largest body after decompression, bytes; larger: 413, so that a small bomb stays small. Default 8 MiB, 256 bytes to 256 MiB.
    pub body_decoded_bytes_max: usize,
    /// Most items of a batch; more: 413. Default 5,000, 1–100,000.
    pub batch_items_max: usize,
    /// Batches worked on at the same time by one lane, from the end of the body on; more: 503 with `Retry-After`. Bounds memory together
    /// with the two body limits. Default 8, 1–1,000.
    pub batches_in_flight_max: usize,
    /// Bytes that one lane holds of bodies that have not come whole; what comes beyond: 503 with `Retry-After`. Default 64 MiB, so that
    /// slow senders of 64 of the largest bodies keep nobody else out; `body_bytes_max` to 4 GiB.
    pub bodies_coming_bytes_max: usize,
    /// Open connections of one lane; more are closed at once and counted. Default 10,000, 1–1,000,000.
    pub connections_max: usize,
    /// Requests of one HTTP/2 connection at the same time; more are refused by the protocol. Default 100 (the least that RFC 9113 recommends),
    /// 1–1,000. Those of all connections of a lane are at most `connections_max`; more: 503 with `Retry-After`.
    pub streams_max: u32,
    /// A request's head must be complete this long after its first byte; else 408. Seconds, default 10, 1–3,600.
    pub head_seconds_max: u32,
    /// A request's body must be complete this long after its head; else 408. Seconds, default 30, 1–3,600.
    pub body_seconds_max: u32,
    /// A connection without a request is closed after this. Seconds, default 60, 1–3,600.
    pub idle_seconds_max: u32,
    /// A peer that takes nothing of an answer is cut off after this. Seconds, default 30, 1–3,600.
    pub write_seconds_max: u32,
    /// A pixel or batch waits this long for the journal; then 503. Seconds, default 5, 1–3,600.
    pub storage_seconds_max: u32,
    /// A click waits this long for the journal; then it is redirected and counted as unconfirmed. Milliseconds, default 20, 0–20:
    /// no person is kept longer than that by a disk.
    pub click_wait_ms_max: u64,
    /// At a stop, requests that are under way get this long. Seconds, default 10, 0–3,600.
    pub drain_seconds_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            url_bytes_max: 8 * 1024,
            header_bytes_max: 16 * 1024,
            body_bytes_max: 1024 * 1024,
            body_decoded_bytes_max: 8 * 1024 * 1024,
            batch_items_max: 5_000,
            batches_in_flight_max: 8,
            bodies_coming_bytes_max: 64 * 1024 * 1024,
            connections_max: 10_000,
            streams_max: 100,
            head_seconds_max: 10,
            body_seconds_max: 30,
            idle_seconds_max: 60,
            write_seconds_max: 30,
            storage_seconds_max: 5,
            click_wait_ms_max: 20,
            drain_seconds_max: 10,
        }
    }
}

impl Settings {
    /// Our id in the TCF's global vendor list, if one is configured.
    pub fn tcf_vendor(&self) -> Option<NonZeroU16> {
        NonZeroU16::new(self.tcf_vendor_id)
    }

    /// Holds every value against its range. Reads no file: a key file is looked at by [`start`](crate::start).
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value out of its range, or what is wrong with the key of a registered server.
    pub fn check(&self) -> Result<(), Error> {
        within("tracker.lanes", self.lanes, 0, 1024)?;
        if let Some(domain) = self.id_cookie_domain.as_ref().filter(|domain| !is_domain(domain)) {
            let (value, allowed) = (format!("{domain:?}"), "a domain, as \"example.com\"".to_owned());
            return Err(Error::Setting { key: "tracker.id_cookie_domain", value, allowed });
        }
        senders::check(&self.server)?;
        self.limits.check()
    }

    /// Reads the key files of the registered servers, as a start would.
    ///
    /// # Errors
    /// A file that is missing, that others may read, or that holds no key.
    pub fn check_keys(&self) -> Result<(), Error> {
        senders::check_keys(&self.server)
    }
}

/// Letters, digits and hyphens, joined by dots.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= DOMAIN_BYTES_MAX && text.split('.').all(is_label)
}

/// Refuses a value outside its range.
fn within<T: Copy + PartialOrd + Display>(
    key: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), Error> {
    if value < least || value > most {
        let (value, allowed) = (value.to_string(), format!("{least} to {most}"));
        return Err(Error::Setting { key, value, allowed });
    }
    Ok(())
}

impl Limits {
    fn check(&self) -> Result<(), Error> {
        within("tracker.limits.url_bytes_max", self.url_bytes_max, 256, 65_000)?;
        within("tracker.limits.header_bytes_max", self.header_bytes_max, 1024, 256 << 10)?;
        within("tracker.limits.body_bytes_max", self.body_bytes_max, 256, 64 << 20)?;
        within("tracker.limits.body_decoded_bytes_max", self.body_decoded_bytes_max, 256, 256 << 20)?;
        within("tracker.limits.batch_items_max", self.batch_items_max, 1, 100_000)?;
        within("tracker.limits.batches_in_flight_max", self.batches_in_flight_max, 1, 1000)?;
        within(
            "tracker.limits.bodies_coming_bytes_max",
            self.bodies_coming_bytes_max,
            self.body_bytes_max,
            4 << 30,
        )?;
        within("tracker.limits.connections_max", self.connections_max, 1, 1_000_000)?;
        within("tracker.limits.streams_max", self.streams_max, 1, 1000)?;
        within("tracker.limits.head_seconds_max", self.head_seconds_max, 1, SECONDS_MAX)?;
        within("tracker.limits.body_seconds_max", self.body_seconds_max, 1, SECONDS_MAX)?;
        within("tracker.limits.idle_seconds_max", self.idle_seconds_max, 1, SECONDS_MAX)?;
        within("tracker.limits.write_seconds_max", self.write_seconds_max, 1, SECONDS_MAX)?;
        within("tracker.limits.storage_seconds_max", self.storage_seconds_max, 1, SECONDS_MAX)?;
        within("tracker.limits.click_wait_ms_max", self.click_wait_ms_max, 0, CLICK_WAIT_MS_MAX)?;
        within("tracker.limits.drain_seconds_max", self.drain_seconds_max, 0, SECONDS_MAX)
    }

    /// Longest head of a request, bytes: request line and headers.
    pub(crate) fn head_bytes_max(&self) -> usize {
        self.url_bytes_max + self.header_bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_is_the_default() {
        let settings: Settings = toml::from_str("").expect("an empty section is valid");
        assert_eq!(settings, Settings::default());
        Settings::default().check().expect("the defaults are in their ranges");
    }

    #[test]
    fn a_value_out_of_its_range_is_refused_by_name() {
        for (text, expected) in [
            ("lanes = 1025", "tracker.lanes = 1025 is not allowed: 0 to 1024"),
            (
                "[limits]\nurl_bytes_max = 10",
                "tracker.limits.url_bytes_max = 10 is not allowed: 256 to 65000",
            ),
            (
                "[limits]\nbody_bytes_max = 0",
                "tracker.limits.body_bytes_max = 0 is not allowed: 256 to 67108864",
            ),
            (
                "[limits]\nbatch_items_max = 0",
                "tracker.limits.batch_items_max = 0 is not allowed: 1 to 100000",
            ),
            (
                "[limits]\nidle_seconds_max = 0",
                "tracker.limits.idle_seconds_max = 0 is not allowed: 1 to 3600",
            ),
            (
                "[limits]\nclick_wait_ms_max = 3600000",
                "tracker.limits.click_wait_ms_max = 3600000 is not allowed: 0 to 20",
            ),
            (
                "[limits]\nbodies_coming_bytes_max = 1000",
                "tracker.limits.bodies_coming_bytes_max = 1000 is not allowed: 1048576 to 4294967296",
            ),
            (
                "[[server]]\nname = \"s\"",
                "server \"s\" needs key_sha256, key_file, signing_key_files or networks",
            ),
            (
                "[[server]]\nname = \"s\"\nkey_sha256 = \"12\"",
                "server \"s\" has a key_sha256 that is not 64 hex digits",
            ),
        ] {
            let settings: Settings = toml::from_str(text).expect("its form is right");
            let error = settings.check().expect_err("out of its range").to_string();
            assert!(error.contains(expected), "{error}");
        }
        let ends = "[limits]\nurl_bytes_max = 256\nclick_wait_ms_max = 0\ndrain_seconds_max = 0\nidle_seconds_max = 3600";
        toml::from_str::<Settings>(ends).expect("valid").check().expect("the ends are inside");
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            listen = "0.0.0.0:80"
            lanes = 2
            trusted_proxies = ["10.0.0.0/8", "fd00::/8"]
            honour_dnt = true
            id_cookie = true
            debug_key_file = "debug.key"
            [limits]
            url_bytes_max = 4096
            [[server]]
            name = "stitcher"
            key_file = "stitcher.key"
            signing_key_files = ["new.key", "old.key"]
            signature = "required"
            rights = ["ip", "ua", "backdate"]
        "#;
        let settings: Settings = toml::from_str(text).expect("valid");
        assert_eq!(settings.limits.url_bytes_max, 4096);
        assert_eq!(settings.server[0].signature, Signature::Required);
        assert_eq!(settings.server[0].signing_key_files.len(), 2);
        assert_eq!(settings.server[0].rights, [Right::Ip, Right::Ua, Right::Backdate]);
        assert_eq!(settings.trusted_proxies.len(), 2);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(toml::from_str::<Settings>("listn = \"127.0.0.1:80\"").is_err());
        assert!(toml::from_str::<Settings>("[limits]\nurl_max = 1").is_err());
        assert!(toml::from_str::<Settings>("trusted_proxies = [\"10.0.0.0/33\"]").is_err());
    }
}
