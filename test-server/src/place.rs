//! Which server the tests speak to: this crate's, or the real one that `CLICKHOUSE_URL` names (with `CLICKHOUSE_USER` and `CLICKHOUSE_PASSWORD`).
//! This is the one place where that is decided.

use std::path::Path;

use aggregator::StoreSettings;
use tempfile::TempDir;

use crate::{Login, StartError, TestServer};

/// A server for tests.
pub struct Place {
    /// This crate's, unless a real one is named.
    own: Option<TestServer>,
    url: String,
    login: Login,
    /// Holds the password's file.
    dir: TempDir,
}

impl Place {
    /// The server of the environment, else one of our own over the engine on `path`.
    ///
    /// # Errors
    /// Ours does not start, or the password cannot be written to its file.
    pub fn find(library: &Path, path: &Path) -> Result<Self, StartError> {
        let of = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(url) = of("CLICKHOUSE_URL") else {
            return Self::own(TestServer::start(library, path)?, &Login::default());
        };
        let login = Login {
            user: of("CLICKHOUSE_USER").unwrap_or_else(|| Login::default().user),
            password: of("CLICKHOUSE_PASSWORD").unwrap_or_default(),
        };
        Self::new(None, url, &login)
    }

    /// A server of this crate that was started for `login`.
    ///
    /// # Errors
    /// The password cannot be written to its file.
    pub fn own(server: TestServer, login: &Login) -> Result<Self, StartError> {
        let url = server.url().to_owned();
        Self::new(Some(server), url, login)
    }

    fn new(own: Option<TestServer>, url: String, login: &Login) -> Result<Self, StartError> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("password"), &login.password)?;
        Ok(Self { own, url, login: login.clone(), dir })
    }

    /// The server of this crate; `None` for a real one, which has no faults to be switched.
    pub fn server(&self) -> Option<&TestServer> {
        self.own.as_ref()
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// User and password.
    pub fn login(&self) -> (&str, &str) {
        (&self.login.user, &self.login.password)
    }

    /// What a statement answers, tab-separated; asked past the product's own client.
    ///
    /// # Errors
    /// The server's words.
    pub fn sql(&self, database: &str, text: &str) -> Result<String, String> {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let answer = agent
            .post(format!("{}/", self.url))
            .query("database", database)
            .query("wait_end_of_query", "1")
            .header("X-ClickHouse-User", &self.login.user)
            .header("X-ClickHouse-Key", &self.login.password)
            .send(text);
        let mut answer = answer.map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(text) } else { Err(text) }
    }

    /// `[store]` settings for a database of this server.
    pub fn settings(&self, database: &str) -> StoreSettings {
        let has_password = !self.login.password.is_empty();
        StoreSettings {
            servers: vec![self.url.clone()],
            database: database.to_owned(),
            user: self.login.user.clone(),
            password_file: has_password.then(|| self.dir.path().join("password")),
            ..StoreSettings::default()
        }
    }
}
