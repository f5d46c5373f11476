//! The configuration: one TOML file, one struct for each part, every key with its unit and default (`deploy/full.toml`
//! documents and proves them). Unknown keys are refused with the nearest known name. It holds no secret, only paths to them.
//!
//! Relative paths are taken from the working directory. The command line stands above the file, the file above the defaults.

mod error;
mod sections;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use event::clock::Clock;
use serde::Deserialize;
use tls::Certificates;

pub(crate) use error::{ConfigError, nearest};
pub(crate) use sections::{Admin, Journal, Links, Regions};

use crate::data_dir::DataDir;

/// Largest configuration file, bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Data folder. Default `sightline-data`.
    pub(crate) data: PathBuf,
    /// Catalog of campaigns and placements. Default `catalog.toml` in the data folder.
    pub(crate) catalog: Option<PathBuf>,
    /// Folder with dialect tables and medium profiles besides those of the program. Default: none.
    pub(crate) grammars: Option<PathBuf>,
    /// Key ring for device keys. Default `keys/device.keys` in the data folder, created at the first start.
    pub(crate) key_file: Option<PathBuf>,
    /// Public address of the tracker, such as `https://t.example.com`: what `sightline links` prints. Default: the listener's.
    pub(crate) public_url: Option<String>,
    /// Certificate and key of the listeners with TLS.
    pub(crate) tls: tls::Settings,
    /// The tracker.
    pub(crate) tracker: ingest::Settings,
    /// Signed links.
    pub(crate) links: Links,
    /// The region library.
    pub(crate) regions: Regions,
    /// The journal's lanes.
    pub(crate) journal: Journal,
    /// The opt-out page and registry.
    pub(crate) opt_out: opt_out::Settings,
    /// The report API.
    pub(crate) reports: aggregator::Settings,
    /// Alerts and where they are told.
    pub(crate) alerts: aggregator::AlertSettings,
    /// The event store.
    pub(crate) store: aggregator::StoreSettings,
    /// Kafka: empty brokers mean that the journal is read directly.
    pub(crate) kafka: kafka::Settings,
    /// The audit log.
    pub(crate) audit: audit::Settings,
    /// The security log.
    pub(crate) security_log: security_log::Settings,
    /// The admin port.
    pub(crate) admin: Admin,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("sightline-data"),
            catalog: None,
            grammars: None,
            key_file: None,
            public_url: None,
            tls: tls::Settings::default(),
            tracker: ingest::Settings::default(),
            links: Links::default(),
            regions: Regions::default(),
            journal: Journal::default(),
            opt_out: opt_out::Settings::default(),
            reports: aggregator::Settings::default(),
            alerts: aggregator::AlertSettings::default(),
            store: aggregator::StoreSettings::default(),
            kafka: kafka::Settings::default(),
            audit: audit::Settings::default(),
            security_log: security_log::Settings::default(),
            admin: Admin::default(),
        }
    }
}

impl Config {
    /// Reads `file` if one is given, then lets `data` stand above it.
    pub(crate) fn load(file: Option<&Path>, data: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = match file {
            None => Self::default(),
            Some(file) => {
                let text = read_text(file)?;
                Self::parse(&text, Some(file))?
            }
        };
        if let Some(data) = data {
            config.data = data.to_path_buf();
        }
        Ok(config)
    }

    /// Reads and checks a configuration's text.
    pub(crate) fn parse(text: &str, file: Option<&Path>) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(file, text, &error))?;
        let refused = |line, message| ConfigError { file: file.map(Path::to_path_buf), line, message };
        let of = |section, key| error::line_of_key(text, &format!("{section}.{key}"));
        config.tls.check().map_err(|error| refused(of("tls", error.key), error.to_string()))?;
        config.check_tls().map_err(|(section, message)| refused(of(section, "listen_tls"), message))?;
        config.kafka.check().map_err(|error| refused(of("kafka", error.key), error.to_string()))?;
        config.store.check().map_err(|error| refused(of("store", error.key), format!("[store] {error}")))?;
        config
            .reports
            .check()
            .map_err(|error| refused(of("reports", error.key), format!("[reports] {error}")))?;
        config
            .alerts
            .check()
            .map_err(|error| refused(of("alerts", error.key), format!("[alerts] {error}")))?;
        let audit = config.audit.check();
        audit.map_err(|(key, message)| refused(of("audit", key), format!("[audit] {message}")))?;
        let security = config.security_log.check();
        security
            .map_err(|error| refused(of("security_log", error.key), format!("[security_log] {error}")))?;
        config.check().map_err(|message| refused(None, message))?;
        config
            .opt_out
            .check()
            .map_err(|error| refused(error::line_of_key(text, &error.key), error.to_string()))?;
        config.tracker.check().map_err(|error| {
            let line = error.key().and_then(|key| error::line_of_key(text, key));
            refused(line, error.to_string())
        })?;
        Ok(config)
    }

    /// Holds the values against their limits and against each other.
    fn check(&self) -> Result<(), String> {
        self.journal.check().map_err(|error| format!("[journal]: {error}"))?;
        self.links.check()?;
        self.check_cluster()?;
        let plain = [
            ("tracker", self.tracker.listen),
            ("opt_out", self.opt_out.listen),
            ("reports", self.reports.listen),
            ("admin", self.admin.listen),
        ];
        let secure = self.listeners_with_tls();
        let listeners: Vec<_> = plain.into_iter().chain(secure.iter().copied()).collect();
        for (index, (name, address)) in listeners.iter().enumerate() {
            let same =
                listeners.iter().skip(index + 1).find(|(_, other)| address.port() != 0 && other == address);
            if let Some((other, _)) = same {
                let other = if other == name { "the same with TLS" } else { other };
                return Err(format!(
                    "[{name}] and [{other}] both listen on {address}: give one of them another port"
                ));
            }
        }
        if let Some(url) = &self.public_url
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            return Err(format!("public_url = \"{url}\" has to begin with https:// or http://"));
        }
        Ok(())
    }

    /// The sections that listen with TLS, and where.
    fn listeners_with_tls(&self) -> Vec<(&'static str, SocketAddr)> {
        [
            ("tracker", self.tracker.listen_tls),
            ("opt_out", self.opt_out.listen_tls),
            ("reports", self.reports.listen_tls),
        ]
        .into_iter()
        .filter_map(|(section, address)| Some((section, address?)))
        .collect()
    }

    /// Whoever listens with TLS needs a certificate. The section at fault, and what is wrong.
    fn check_tls(&self) -> Result<(), (&'static str, String)> {
        match (self.listeners_with_tls().first(), self.tls.files()) {
            (Some((section, _)), None) => {
                let problem = "listen_tls needs a certificate: name certificate_file and key_file in [tls]";
                Err((section, format!("[{section}] {problem}")))
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// Certificate and key, read and judged; `None` where none are configured.
    ///
    /// # Errors
    /// They cannot be used.
    pub(crate) fn certificates(&self, clock: &Clock) -> Result<Option<Certificates>, ConfigError> {
        Certificates::load(&self.tls, clock).map_err(|error| ConfigError::usage(format!("[tls] {error}")))
    }

    /// What the roles need when Kafka links them.
    fn check_cluster(&self) -> Result<(), String> {
        if !self.kafka.is_on() {
            return Ok(());
        }
        if self.key_file.is_none() {
            return Err("[kafka] links several nodes, which need the same keys: copy one key ring to all of them and name it in key_file \
                 (a first `sightline standalone` draws one, in keys/device.keys of its data folder)"
                .to_owned());
        }
        if self.catalog.is_some() {
            return Err(
                "with [kafka] the catalog comes from its topic: leave catalog out, and put it in force with \
                 `sightline catalog publish FILE`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The data folder.
    pub(crate) fn data_dir(&self) -> DataDir {
        DataDir::new(&self.data)
    }

    /// Where the catalog lies.
    pub(crate) fn catalog_path(&self) -> PathBuf {
        self.catalog.clone().unwrap_or_else(|| self.data_dir().catalog())
    }

    /// Where the key ring lies.
    pub(crate) fn key_path(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.data_dir().device_keys())
    }
}

/// The text of a configuration file, or of a grammar.
pub(crate) fn read_text(file: &Path) -> Result<String, ConfigError> {
    read_text_up_to(file, FILE_BYTES_MAX)
}

/// The text of a file of at most so many bytes.
pub(crate) fn read_text_up_to(file: &Path, bytes_max: u64) -> Result<String, ConfigError> {
    let size = std::fs::metadata(file)
        .map_err(|e| ConfigError::in_file(file, format!("cannot be read: {e}")))?
        .len();
    if size > bytes_max {
        return Err(ConfigError::in_file(file, format!("has {size} bytes; at most {bytes_max} are read")));
    }
    let bytes =
        std::fs::read(file).map_err(|e| ConfigError::in_file(file, format!("cannot be read: {e}")))?;
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count() + 1;
        ConfigError {
            file: Some(file.to_path_buf()),
            line: Some(line),
            message: "is not UTF-8 text".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests;
