//! The `[kafka]` section: where the brokers are, how to speak to them, what the topics are called.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::SettingsError;

/// What a property may begin with: transport security and authentication. All else has a key of its own, or is not to be changed.
const PASSED_ON: [&str; 3] = ["security.", "ssl.", "sasl."];
/// Properties that would switch a check off.
const REFUSED: [&str; 2] = ["enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm"];
/// How properties end whose value is a secret: they are read from a file.
const SECRET: [&str; 6] = [".password", ".passphrase", ".secret", ".pem", ".token", "oauthbearer.config"];
/// What ends so and is none.
const PUBLIC: [&str; 2] = ["ssl.ca.pem", "ssl.certificate.pem"];

/// How batches of messages are packed on their way and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Smallest. The default.
    Zstd,
    /// Cheapest.
    Lz4,
    /// As they are.
    None,
}

impl Compression {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::None => "none",
        }
    }
}

/// `[kafka]`. With `brokers` empty there is no Kafka: the journal is read directly.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Brokers to begin with, as `host:port`. Empty (the default): no Kafka.
    pub brokers: Vec<String>,
    /// What the topics' names begin with. Letters, digits, `.`, `_`, `-`. Default `sightline`.
    pub topic_prefix: String,
    /// Group of the aggregators. Default `sightline-aggregator`.
    pub group: String,
    /// Partitions of the events topic when it is made, 1 to 1,000: at most as many aggregators share the work. Default 12.
    pub partitions: u16,
    /// Copies of each topic when it is made; 0 (the default) is what the brokers have as `default.replication.factor`.
    pub replication: u16,
    /// How messages are packed. Default `zstd`.
    pub compression: Compression,
    /// Bytes on their way to the brokers, 1 MiB to 1 GiB; beyond, the journal keeps them. Default 64 MiB.
    pub buffer_bytes_max: usize,
    /// Bytes read ahead by a consumer, 1 MiB to 1 GiB. Default 32 MiB.
    pub fetch_bytes_max: usize,
    /// How long a message is tried before it is sent anew from the journal, seconds, 5 to 3,600. Default 120.
    pub delivery_seconds_max: u32,
    /// An aggregator that is silent for so long loses its partitions to the others, seconds, 6 to 300. Default 10.
    pub session_seconds_max: u32,
    /// An aggregator that has not finished an insert for so long loses its partitions to the others, seconds, 10 to 3,600, not less than
    /// `session_seconds_max`. Default 300.
    pub poll_seconds_max: u32,
    /// Properties of librdkafka that begin with `security.`, `ssl.` or `sasl.`, passed on as they are. Certificate checks cannot be switched off.
    pub properties: BTreeMap<String, String>,
    /// File with the password for SASL (`sasl.password`). Mode 0600.
    pub sasl_password_file: Option<PathBuf>,
    /// File with the password of the client's key (`ssl.key.password`). Mode 0600.
    pub ssl_key_password_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topic_prefix: "sightline".to_owned(),
            group: "sightline-aggregator".to_owned(),
            partitions: 12,
            replication: 0,
            compression: Compression::Zstd,
            buffer_bytes_max: 64 << 20,
            fetch_bytes_max: 32 << 20,
            delivery_seconds_max: 120,
            session_seconds_max: 10,
            poll_seconds_max: 300,
            properties: BTreeMap::new(),
            sasl_password_file: None,
            ssl_key_password_file: None,
        }
    }
}

impl Settings {
    /// Whether there is a Kafka.
    pub fn is_on(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// Holds the values against their limits. Files of secrets are read later.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn check(&self) -> Result<(), SettingsError> {
        let refuse = |key, problem: String| Err(SettingsError { key, problem });
        for broker in &self.brokers {
            let port = broker.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
            if !matches!(port, Some((host, Ok(1..))) if !host.is_empty() && !host.contains("//")) {
                return refuse("brokers", format!("{broker:?} is not of the form \"host:9092\""));
            }
        }
        for (key, name, length_max) in
            [("topic_prefix", &self.topic_prefix, 200), ("group", &self.group, 249)]
        {
            let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if name.is_empty() || name.len() > length_max || !name.bytes().all(is_legal) {
                return refuse(
                    key,
                    format!("{name:?} needs 1 to {length_max} letters, digits, '.', '_' or '-'"),
                );
            }
        }
        let ranges = [
            ("partitions", u64::from(self.partitions), 1, 1_000),
            ("replication", u64::from(self.replication), 0, 15),
            ("buffer_bytes_max", self.buffer_bytes_max as u64, 1 << 20, 1 << 30),
            ("fetch_bytes_max", self.fetch_bytes_max as u64, 1 << 20, 1 << 30),
            ("delivery_seconds_max", u64::from(self.delivery_seconds_max), 5, 3_600),
            ("session_seconds_max", u64::from(self.session_seconds_max), 6, 300),
            (
                "poll_seconds_max",
                u64::from(self.poll_seconds_max),
                u64::from(self.session_seconds_max.max(10)),
                3_600,
            ),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return refuse(key, format!("{value} is not allowed: {least} to {most}"));
            }
        }
        self.check_properties()
    }

    fn check_properties(&self) -> Result<(), SettingsError> {
        for name in self.properties.keys() {
            let problem = if REFUSED.contains(&name.as_str()) {
                format!("{name} cannot be set: the brokers' certificates are always checked")
            } else if SECRET.iter().any(|end| name.ends_with(end)) && !PUBLIC.contains(&name.as_str()) {
                let file = match name.as_str() {
                    "sasl.password" => "put it into a file and name it in sasl_password_file",
                    "ssl.key.password" => "put it into a file and name it in ssl_key_password_file",
                    _ => "use a file that librdkafka reads itself, such as ssl.key.location",
                };
                format!("{name} is a secret and does not belong here: {file}")
            } else if !PASSED_ON.iter().any(|prefix| name.starts_with(prefix)) {
                format!(
                    "{name} cannot be set: only properties that begin with security., ssl. or sasl. are passed on"
                )
            } else {
                continue;
            };
            return Err(SettingsError { key: "properties", problem });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings { brokers: vec!["kafka-1:9092".to_owned()], ..Settings::default() };
        change(&mut settings);
        settings.check().expect_err("is refused").to_string()
    }

    #[test]
    fn the_defaults_are_right_and_mean_no_kafka() {
        let settings = Settings::default();
        settings.check().expect("right");
        assert!(!settings.is_on());
        assert!(Settings { brokers: vec!["[::1]:9092".to_owned()], ..settings }.check().is_ok());
    }

    #[test]
    fn wrong_values_are_named_with_what_is_allowed() {
        assert!(problem(|s| s.brokers.push("kafka".to_owned())).contains("\"kafka\" is not of the form"));
        assert!(problem(|s| s.brokers.push("https://kafka:9092".to_owned())).contains("host:9092"));
        assert!(problem(|s| s.topic_prefix = "a b".to_owned()).starts_with("kafka.topic_prefix"));
        assert!(problem(|s| s.partitions = 0).contains("1 to 1000"));
        assert!(problem(|s| s.poll_seconds_max = 9).contains("10 to 3600"));
    }

    #[test]
    fn certificate_checks_stay_on_and_secrets_stay_out() {
        let with = |name: &str| {
            let name = name.to_owned();
            problem(|s| drop(s.properties.insert(name, "none".to_owned())))
        };
        assert!(with("ssl.endpoint.identification.algorithm").contains("always checked"));
        assert!(with("enable.ssl.certificate.verification").contains("always checked"));
        assert!(with("sasl.password").contains("sasl_password_file"));
        assert!(with("sasl.oauthbearer.assertion.private.key.passphrase").contains("is a secret"));
        assert!(with("acks").contains("only properties that begin with"));
    }
}
