//! General invalid traffic by list (GIVT): which agents are robots, which are no browsers, which networks are data centres.
//!
//! Owns the expressions made of the lists of agents ([`event::givt`]), the networks of the settings, and the number that stands for them. The lists are applied when a
//! day is settled, to the agent and network that each event keeps: a new list changes past days too. Must never judge an event when it is loaded.

use std::net::{Ipv4Addr, Ipv6Addr};

use event::givt;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::settings::{Settings, SettingsError};
use crate::statement;
use crate::store::{Store, StoreError, Value, Values, Work};

/// Any other name that ends in what it is (`FooBot/1.0`), for agents in lower case: [`givt::ROBOT_ENDINGS`] behind
/// [`givt::ROBOT_LETTERS_MIN`] letters.
const ROBOT_NAMES: &str = "[a-z]{3,}(?:bot|spider|crawler)(?:[/;)+]|$)";

/// Agents named one by one in a statement; beyond that the patterns themselves are given along.
const AGENTS_MAX: u64 = 20_000;

/// Changes with what is made of the same events by the same lists: days that were settled by an earlier form are settled again.
/// 2: verdicts, counts of ids, devices set aside.
const FORM: u32 = 2;

/// The lists in force.
pub(crate) struct Rules {
    robots: Vec<String>,
    non_browsers: Vec<String>,
    /// Of data centres.
    pub networks: Networks,
    /// Impressions of one device on a day beyond which it is no device; 0 = no ceiling.
    pub ceiling: u64,
    /// Changes with any of the lists and the ceiling.
    pub version: u64,
}

/// Ranges of networks, as the events' `network` column numbers them; low and high ends in two lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks {
    lows: Vec<u64>,
    highs: Vec<u64>,
}

impl Rules {
    /// The built-in lists and the settings' networks.
    ///
    /// # Errors
    /// A network that cannot be read.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let (mut robots, non_browsers) = (patterns(givt::ROBOTS), patterns(givt::NON_BROWSERS));
        robots.push(ROBOT_NAMES.to_owned());
        let networks = networks(&settings.data_center_networks)?;
        let ceiling = settings.device_day_impressions_max;
        let digest = Sha256::digest(format!("{FORM}\0{robots:?}\0{non_browsers:?}\0{networks:?}\0{ceiling}"));
        let version = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(Self { robots, non_browsers, networks, ceiling, version })
    }

    /// The lists themselves, as values for a statement that cannot ask first which agents and networks there are.
    pub(crate) fn lists(&self) -> Values {
        vec![
            ("robot_patterns", Value::Texts(self.robots.clone())),
            ("non_browser_patterns", Value::Texts(self.non_browsers.clone())),
            ("lows", Value::Numbers(self.networks.lows.clone())),
            ("highs", Value::Numbers(self.networks.highs.clone())),
        ]
    }

    /// What of these days the lists hit, as values for `judged.sql`. `around` are the days whose events are looked at; an empty campaign
    /// means all.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn values(
        &self,
        store: &Store,
        work: Work,
        campaign: &str,
        around: &[u16],
    ) -> Result<Values, StoreError> {
        let scope: Values =
            vec![("campaign", Value::Text(campaign.to_owned())), ("around", Value::Days(around.to_vec()))];
        let (robots, robot_patterns) = Self::agents(store, work, &scope, &self.robots, around)?;
        let (non_browsers, non_browser_patterns) =
            Self::agents(store, work, &scope, &self.non_browsers, around)?;
        Ok(vec![
            ("robots", robots),
            ("robot_patterns", robot_patterns),
            ("non_browsers", non_browsers),
            ("non_browser_patterns", non_browser_patterns),
            ("data_centers", self.data_centers(store, work, scope)?),
        ])
    }

    /// The agents that match, or, if they are too many to be named, none of them and the patterns.
    fn agents(
        store: &Store,
        work: Work,
        scope: &Values,
        patterns: &[String],
        days: &[u16],
    ) -> Result<(Value, Value), StoreError> {
        #[derive(Deserialize)]
        struct Row {
            agent: String,
        }
        if days.is_empty() {
            // Nothing to judge.
            return Ok((Value::Texts(Vec::new()), Value::Texts(Vec::new())));
        }
        let mut values = scope.clone();
        values.push(("patterns", Value::Texts(patterns.to_vec())));
        values.push(("limit", Value::Number(AGENTS_MAX + 1)));
        let rows: Vec<Row> = store.rows(work, statement::AGENTS_MATCHING, &values)?;
        let are_too_many = rows.len() as u64 > AGENTS_MAX;
        let agents = Value::Texts(rows.into_iter().map(|row| row.agent).collect());
        if are_too_many || !store.takes(&agents) {
            return Ok((Value::Texts(Vec::new()), Value::Texts(patterns.to_vec())));
        }
        Ok((agents, Value::Texts(Vec::new())))
    }

    fn data_centers(&self, store: &Store, work: Work, mut values: Values) -> Result<Value, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            network: u64,
        }
        if self.networks.lows.is_empty() {
            return Ok(Value::Numbers(Vec::new()));
        }
        values.push(("lows", Value::Numbers(self.networks.lows.clone())));
        values.push(("highs", Value::Numbers(self.networks.highs.clone())));
        let rows: Vec<Row> = store.rows(work, statement::NETWORKS_WITHIN, &values)?;
        Ok(Value::Numbers(rows.into_iter().map(|row| row.network).collect()))
    }
}

impl Networks {
    /// Whether a network lies within one of these; both as numbers of the store.
    pub(crate) fn hold(&self, network: u64) -> bool {
        self.lows.iter().zip(&self.highs).any(|(low, high)| (*low..=*high).contains(&network))
    }
}

/// One regular expression for each name of a list, for agents in lower case.
fn patterns(list: &str) -> Vec<String> {
    givt::names(list).map(pattern).collect()
}

/// A name, bounded by anything but letters and digits where it begins or ends with one.
fn pattern(line: &str) -> String {
    let (tied, name) = line.strip_prefix('^').map_or((false, line), |rest| (true, rest));
    let (whole, name) = name.strip_suffix('$').map_or((false, name), |name| (true, name));
    let mut out = String::with_capacity(name.len() + 32);
    out.push_str(if tied { "^" } else { "(?:^|[^a-z0-9])" });
    for c in name.chars() {
        if ".+*?()[]{}|^$\\/-".contains(c) {
            out.push('\\');
        }
        out.push(c.to_ascii_lowercase());
    }
    if whole {
        out.push('$');
    } else if name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
        out.push_str("(?:[^a-z0-9]|$)");
    }
    out
}

/// The number under which a cut address stands in the store: 4 << 56 | the first 3 bytes, or 6 << 56 | the first 6; 0 = none.
pub(crate) fn network_number(cut: &[u8]) -> u64 {
    let family = match cut.len() {
        3 => 4,
        6 => 6,
        _ => return 0,
    };
    cut.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) | family << 56
}

/// Reads CIDR networks.
pub(crate) fn networks(list: &[String]) -> Result<Networks, SettingsError> {
    let mut out = Networks::default();
    for text in list {
        let (low, high) = network(text).map_err(|problem| SettingsError {
            key: "data_center_networks",
            problem: format!("{text:?} {problem}"),
        })?;
        out.lows.push(low);
        out.highs.push(high);
    }
    Ok(out)
}

fn network(text: &str) -> Result<(u64, u64), String> {
    let form = || "is not of the form 192.0.2.0/24 or 2001:db8::/32".to_owned();
    let (address, length) = text.split_once('/').ok_or_else(form)?;
    let length: u32 = length.parse().map_err(|_| form())?;
    let (kept, family, bits) = if let Ok(v4) = address.parse::<Ipv4Addr>() {
        (24, 4_u64, u64::from(v4.to_bits()) >> 8)
    } else {
        let v6: Ipv6Addr = address.parse().map_err(|_| form())?;
        (48, 6_u64, (v6.to_bits() >> 80) as u64)
    };
    if length > kept {
        return Err(format!("is longer than /{kept}: no more of an address is kept"));
    }
    let host = (1_u64 << (kept - length)) - 1;
    let low = family << 56 | bits & !host;
    Ok((low, low | host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_ranges_of_cut_addresses() {
        assert_eq!(network("192.0.2.0/24"), Ok((network_number(&[192, 0, 2]), network_number(&[192, 0, 2]))));
        assert_eq!(network("10.0.0.0/8"), Ok((network_number(&[10, 0, 0]), network_number(&[10, 255, 255]))));
        let v6 = network("2001:db8::/32").expect("a network");
        assert_eq!(v6.0, network_number(&[0x20, 0x01, 0x0d, 0xb8, 0, 0]));
        assert_eq!(v6.1, network_number(&[0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff]));
        assert!(network("192.0.2.1/32").expect_err("too long").contains("/24"));
        assert!(network("example").is_err());
        assert_eq!(network_number(&[]), 0);
    }

    #[test]
    fn names_are_bounded_and_escaped() {
        assert_eq!(pattern("bot"), "(?:^|[^a-z0-9])bot(?:[^a-z0-9]|$)");
        assert_eq!(pattern("^Curl/"), "^curl\\/");
        assert_eq!(pattern("^ruby$"), "^ruby$");
        assert_eq!(patterns("# a\n\nx\n").len(), 1);
    }

    #[test]
    fn the_version_changes_with_the_networks_and_the_ceiling() {
        let plain = Rules::new(&Settings::default()).expect("rules").version;
        let settings =
            Settings { data_center_networks: vec!["192.0.2.0/24".to_owned()], ..Settings::default() };
        assert_ne!(Rules::new(&settings).expect("rules").version, plain);
        let settings = Settings { device_day_impressions_max: 0, ..Settings::default() };
        assert_ne!(Rules::new(&settings).expect("rules").version, plain);
    }
}
