//! Speaking to the running instance over HTTP: addresses, tokens, limits and what to tell a person when it does not work.
//! Tokens and keys go into the `Authorization` header only; they never appear in an error.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::data_dir::{DataDir, read_secret};
use crate::instance::{Instance, http_url};

/// Longest wait for one answer, seconds. Settling a large day takes a while.
const ANSWER_SECONDS_MAX: u64 = 600;
/// Longest wait for a connection, seconds.
const CONNECT_SECONDS_MAX: u64 = 5;
/// Largest answer taken, bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which listener of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Beacons.
    Tracker,
    /// Report API.
    Reports,
    /// Admin port.
    Admin,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// `Retry-After`, seconds.
    pub(crate) retry_after_seconds: Option<u64>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// A connection pool to one listener. Cheap to clone, usable from many threads.
#[derive(Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    bearer: Option<String>,
}

impl Client {
    /// A client of the listener at `base` (`http://host:port`), with a bearer token if one is needed.
    pub(crate) fn new(base: &str, bearer: Option<String>) -> anyhow::Result<Self> {
        if base.starts_with("https://") {
            bail!(
                "{base}: this command speaks plain HTTP; run it on the machine of the instance, or through a tunnel to it"
            );
        }
        let base = base.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(CONNECT_SECONDS_MAX)))
            .timeout_global(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))
            .build()
            .new_agent();
        Ok(Self { agent, base, bearer })
    }

    /// Finds the listener through `--url` or the data folder's `instance.json`.
    pub(crate) fn find(data: &DataDir, url: Option<&str>, listener: Listener) -> anyhow::Result<Self> {
        if let Some(url) = url {
            return Self::new(url, None);
        }
        let instance = Instance::read(data)?;
        let (address, role) = match listener {
            Listener::Tracker => (instance.tracker, "tracker"),
            Listener::Reports => (instance.reports, "report API"),
            Listener::Admin => (instance.admin, "admin port"),
        };
        let Some(address) = address else {
            bail!("the instance on {} (pid {}) runs no {role}", data.root().display(), instance.pid);
        };
        Self::new(&http_url(address), None)
    }

    /// The same client with a bearer token.
    #[must_use]
    pub(crate) fn with_bearer(mut self, token: String) -> Self {
        self.bearer = Some(token);
        self
    }

    /// Where it connects to.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// `GET path`.
    pub(crate) fn get(&self, path: &str) -> io::Result<Answer> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        answer(request.call())
    }

    /// `GET path` as a viewer's browser or app: with its agent, without a token.
    pub(crate) fn get_as_viewer(&self, path: &str, agent: &str) -> io::Result<Answer> {
        answer(self.agent.get(format!("{}{path}", self.base)).header("user-agent", agent).call())
    }

    /// `POST path` with a body.
    pub(crate) fn post(&self, path: &str, content_type: &str, body: &[u8]) -> io::Result<Answer> {
        let mut request =
            self.agent.post(format!("{}{path}", self.base)).header("content-type", content_type);
        if let Some(token) = &self.bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        answer(request.send(body))
    }

    /// `DELETE path`.
    pub(crate) fn delete(&self, path: &str) -> io::Result<Answer> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some(token) = &self.bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        answer(request.call())
    }
}

/// A token for the report API: from `--token-file`, the variable `SIGHTLINE_TOKEN`, or the data folder.
pub(crate) fn report_token(data: &DataDir, file: Option<&Path>) -> anyhow::Result<String> {
    if let Some(file) = file {
        return read_secret(file);
    }
    if let Ok(token) = std::env::var("SIGHTLINE_TOKEN")
        && !token.trim().is_empty()
    {
        return Ok(token.trim().to_owned());
    }
    read_secret(&data.operator_token())
        .context("no report token: give one with --token-file or in the variable SIGHTLINE_TOKEN")
}

/// What to tell a person about an instance that does not answer.
pub(crate) fn unreachable(client: &Client, error: &io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "nothing listens there: the instance has stopped, or died without tidying up. Start it with `sightline standalone`"
        }
        io::ErrorKind::TimedOut => "no answer in time: look at the instance's log and its /ready",
        _ => "look at the instance's log",
    };
    anyhow::anyhow!("{} does not answer ({error}): {hint}", client.base())
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> io::Result<Answer> {
    let mut response = result.map_err(ureq::Error::into_io)?;
    let status = response.status().as_u16();
    let retry_after_seconds = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok());
    let body = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(ureq::Error::into_io)?;
    Ok(Answer { status, retry_after_seconds, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_come_without_scheme_and_never_with_https() {
        assert_eq!(Client::new("127.0.0.1:8080/", None).expect("is fine").base(), "http://127.0.0.1:8080");
        let error = Client::new("https://t.example", None).err().expect("is refused").to_string();
        assert!(error.contains("plain HTTP"), "{error}");
    }

    #[test]
    fn an_instance_that_is_not_there_is_said_so() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let client = Client::new(&address.to_string(), None).expect("is fine");
        let error = client.get("/").expect_err("nobody listens");
        assert!(unreachable(&client, &error).to_string().contains("sightline standalone"));
    }
}
