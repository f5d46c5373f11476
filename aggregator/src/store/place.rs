//! Where the store is: the embedded engine's folder, or ClickHouse servers over HTTP.
//!
//! Owns the `[store]` section of the config file and its limits. The password comes from a file and leaves this module only towards the
//! client's headers: it has no `Debug`, `Display`, `Clone` or `Serialize`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::settings::SettingsError;

/// Most addresses in `servers`.
const SERVERS_MAX: usize = 64;
/// How much longer is waited for an answer than the server may take for the statement.
const ANSWER_MARGIN: Duration = Duration::from_secs(15);
/// Longest password file, bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// `[store]`. No server named: the embedded engine. Unknown keys are refused by the caller that reads the file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// The embedded engine's library (`libchdb.so`). Default: the variable `SIGHTLINE_ENGINE`, else the cache that `deploy/engine/fetch` fills.
    pub engine: Option<PathBuf>,
    /// ClickHouse servers, `http://host:8123` or `https://host:8443`, without user and password. The first one that answers is used; the
    /// others are replicas of it or other nodes of the same cluster. Empty: the embedded engine.
    pub servers: Vec<String>,
    /// Database, created where it is missing: letters, digits, underscores.
    pub database: String,
    /// User of the servers.
    pub user: String,
    /// File with the user's password, on one line. None: no password.
    pub password_file: Option<PathBuf>,
    /// File with the certificates (PEM) of the authorities that sign the servers', in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Name of the servers' cluster (`system.clusters`): tables are replicated and distributed over it. Empty: plain tables.
    pub cluster: String,
    /// Replicas of a shard that have to have an insert before it is answered; 0: the one that took it. Only with `cluster`.
    pub insert_quorum: u32,
    /// Longest that connecting to a server may take, milliseconds; from 100.
    pub connect_ms_max: u64,
    /// Longest that a statement may run, seconds, from 10; a report has a limit of its own. Then the server breaks it off.
    pub statement_seconds_max: u64,
    /// How long a statement that can be repeated is tried again while the servers are away, seconds. 0: not at all.
    pub retry_seconds_max: u64,
    /// Longest value that the servers take with a statement, bytes, from 64 KiB: what `http_max_field_value_size` is in their default profile.
    pub value_bytes_max: usize,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            engine: None,
            servers: Vec::new(),
            database: crate::DATABASE.to_owned(),
            user: "default".to_owned(),
            password_file: None,
            ca_file: None,
            cluster: String::new(),
            insert_quorum: 0,
            connect_ms_max: 5_000,
            statement_seconds_max: 300,
            retry_seconds_max: 20,
            value_bytes_max: 128 * 1024,
        }
    }
}

/// Where the store is.
pub enum StoreAt {
    /// The engine inside this process.
    Embedded {
        /// The engine's library where it is configured; else it is looked up ([`crate::engine::find_library`]).
        engine: Option<PathBuf>,
        /// The store's folder.
        path: PathBuf,
    },
    /// ClickHouse servers.
    Servers(Box<Servers>),
}

/// ClickHouse servers and how to speak to them; made by [`StoreSettings::at`].
pub struct Servers {
    /// `http(s)://host:port`, at least one.
    pub addresses: Vec<String>,
    /// Who we are.
    pub user: String,
    /// Its password, empty for none.
    pub password: Password,
    /// Authorities' certificates in PEM; `None`: the system's.
    pub authorities: Option<Vec<u8>>,
    /// The cluster's name; empty: plain tables.
    pub cluster: String,
    /// Replicas that have to have an insert before it is answered.
    pub insert_quorum: u32,
    /// Longest that connecting may take.
    pub connect_max: Duration,
    /// Longest that a statement may run.
    pub statement_max: Duration,
    /// How much longer is waited for its answer than it may run.
    pub answer_margin: Duration,
    /// How long a statement that can be repeated is tried again.
    pub retry_max: Duration,
    /// Longest value of a statement, bytes.
    pub value_bytes_max: usize,
}

/// A password: overwritten when it is dropped, and not to be printed.
#[derive(Default)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reads the first line of a file.
    ///
    /// # Errors
    /// The file cannot be read, is empty, too long or not text.
    pub fn read(file: &Path) -> Result<Self, SettingsError> {
        let refused = |problem: String| SettingsError {
            key: "password_file",
            problem: format!("{}: {problem}", file.display()),
        };
        let size = std::fs::metadata(file).map_err(|error| refused(error.to_string()))?.len();
        if size > PASSWORD_BYTES_MAX {
            return Err(refused(format!("{size} bytes; a password has at most {PASSWORD_BYTES_MAX}")));
        }
        let bytes = Zeroizing::new(std::fs::read(file).map_err(|error| refused(error.to_string()))?);
        let text = std::str::from_utf8(&bytes).map_err(|_| refused("not UTF-8 text".to_owned()))?;
        let line = text.lines().next().unwrap_or_default();
        // It travels in a header.
        if line.is_empty() || line.chars().any(char::is_control) {
            return Err(refused(
                "its first line has to hold the password, without control characters".to_owned(),
            ));
        }
        Ok(Self::new(line.to_owned()))
    }

    /// For the client's header, and for taking it out of error texts.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl StoreSettings {
    /// Whether servers take the embedded engine's place.
    pub fn has_servers(&self) -> bool {
        !self.servers.is_empty()
    }

    /// Checks every value's range. Reads no file.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let refused = |key, problem: String| Err(SettingsError { key, problem });
        for (key, name, may_be_empty) in
            [("database", &self.database, false), ("cluster", &self.cluster, true)]
        {
            let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let begins = !name.starts_with(|c: char| c.is_ascii_digit());
            if !(fits && begins && name.len() <= 64 && (may_be_empty || !name.is_empty())) {
                return refused(
                    key,
                    format!(
                        "\"{name}\" has to be letters, digits and underscores, not begin with a digit, at most 64"
                    ),
                );
            }
        }
        if self.servers.len() > SERVERS_MAX {
            return refused("servers", format!("{} addresses; at most {SERVERS_MAX}", self.servers.len()));
        }
        for address in &self.servers {
            check_address(address).map_err(|problem| SettingsError { key: "servers", problem })?;
        }
        if self.user.is_empty() || self.user.chars().any(char::is_control) {
            return refused("user", "a user has a name without control characters".to_owned());
        }
        if self.servers.is_empty() && !self.cluster.is_empty() {
            return refused("cluster", "there is a cluster but `servers` names no server".to_owned());
        }
        if self.cluster.is_empty() && self.insert_quorum > 0 {
            return refused(
                "insert_quorum",
                "only replicated tables have a quorum: set `cluster` too".to_owned(),
            );
        }
        let at_least = |key, value: u64, least: u64| {
            if value >= least { Ok(()) } else { refused(key, format!("{value} is less than {least}")) }
        };
        at_least("connect_ms_max", self.connect_ms_max, 100)?;
        at_least("statement_seconds_max", self.statement_seconds_max, 10)?;
        at_least("value_bytes_max", self.value_bytes_max as u64, 64 * 1024)
    }

    /// Where the store is by these settings; `path` is the embedded engine's folder. Reads the password's and the authorities' file.
    ///
    /// # Errors
    /// A value out of its range, or a file that cannot be read.
    pub fn at(&self, path: PathBuf) -> Result<StoreAt, SettingsError> {
        self.check()?;
        if !self.has_servers() {
            return Ok(StoreAt::Embedded { engine: self.engine.clone(), path });
        }
        let password =
            self.password_file.as_deref().map_or_else(|| Ok(Password::default()), Password::read)?;
        let read = |file: &PathBuf| {
            std::fs::read(file).map_err(|error| SettingsError {
                key: "ca_file",
                problem: format!("{}: {error}", file.display()),
            })
        };
        let authorities = self.ca_file.as_ref().map(read).transpose()?;
        Ok(StoreAt::Servers(Box::new(Servers {
            addresses: self.servers.iter().map(|address| address.trim_end_matches('/').to_owned()).collect(),
            user: self.user.clone(),
            password,
            authorities,
            cluster: self.cluster.clone(),
            insert_quorum: self.insert_quorum,
            connect_max: Duration::from_millis(self.connect_ms_max),
            statement_max: Duration::from_secs(self.statement_seconds_max),
            answer_margin: ANSWER_MARGIN,
            retry_max: Duration::from_secs(self.retry_seconds_max),
            value_bytes_max: self.value_bytes_max,
        })))
    }
}

/// `http(s)://host:port` and nothing else. The address itself is not repeated where it may hold a password.
fn check_address(address: &str) -> Result<(), String> {
    let shape = "an address is http://host:port or https://host:port";
    if address.contains('@') {
        return Err(format!(
            "{shape}; the user stands in `user`, the password in the file of `password_file`"
        ));
    }
    let uri: hyper::Uri = address.parse().map_err(|_| format!("\"{address}\": {shape}"))?;
    let scheme_fits = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !address.contains('#');
    if scheme_fits && is_bare && uri.host().is_some_and(|host| !host.is_empty()) && uri.port_u16().is_some() {
        Ok(())
    } else {
        Err(format!("\"{address}\": {shape}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(settings: &StoreSettings) -> String {
        settings.check().expect_err("refused").to_string()
    }

    #[test]
    fn the_default_is_the_embedded_engine() {
        let settings = StoreSettings::default();
        assert_eq!(settings.check(), Ok(()));
        assert!(matches!(settings.at(PathBuf::from("x")), Ok(StoreAt::Embedded { engine: None, .. })));
    }

    #[test]
    fn addresses_have_a_scheme_a_host_a_port_and_no_secret() {
        let of =
            |address: &str| StoreSettings { servers: vec![address.to_owned()], ..StoreSettings::default() };
        for fits in ["http://a:8123", "https://a.example:8443/", "http://[::1]:8123"] {
            assert_eq!(of(fits).check(), Ok(()), "{fits}");
        }
        for wrong in
            ["a:8123", "http://a", "tcp://a:9000", "http://a:8123/x", "http://a:8123/?user=u", "http://:8123"]
        {
            assert!(problem(&of(wrong)).starts_with("servers: "), "{wrong}");
        }
        let told = problem(&of("http://u:secret@a:8123"));
        assert!(told.contains("password_file") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn names_and_limits_are_checked() {
        let servers = vec!["http://a:8123".to_owned()];
        let base = StoreSettings { servers, ..StoreSettings::default() };
        for (settings, key) in [
            (StoreSettings { database: "a-b".to_owned(), ..base.clone() }, "database"),
            (StoreSettings { database: String::new(), ..base.clone() }, "database"),
            (StoreSettings { cluster: "a'b".to_owned(), ..base.clone() }, "cluster"),
            (StoreSettings { insert_quorum: 2, ..base.clone() }, "insert_quorum"),
            (StoreSettings { connect_ms_max: 1, ..base.clone() }, "connect_ms_max"),
            (StoreSettings { value_bytes_max: 1, ..base.clone() }, "value_bytes_max"),
            (StoreSettings { user: String::new(), ..base }, "user"),
            (StoreSettings { cluster: "c".to_owned(), ..StoreSettings::default() }, "cluster"),
        ] {
            assert!(problem(&settings).starts_with(&format!("{key}: ")), "{key}");
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("password");
        for (text, expected) in
            [("geheim\n", Some("geheim")), ("a b", Some("a b")), ("", None), ("\nx", None), ("a\u{7}", None)]
        {
            std::fs::write(&file, text).expect("written");
            let read = Password::read(&file).ok();
            assert_eq!(read.as_ref().map(Password::text), expected, "{text:?}");
        }
        assert!(Password::read(&dir.path().join("none")).is_err());
    }
}
