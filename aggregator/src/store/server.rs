//! Sessions of ClickHouse servers: statements and rows over HTTP(S), by the `clickhouse` crate.
//!
//! Owns the settings that go with a request, the time limits and second tries. Every setting on which our statements rely goes with each
//! request, whatever the server's profile says. `wait_end_of_query` makes the server hold an answer back until the statement has ended, so that
//! what fails half-way comes as an error and not as a shorter answer; an answer that is cut on its way fails for its missing end.
//!
//! What is tried again, and where:
//! * no connection: nothing was sent, so the next address is tried, for every statement;
//! * a connection that broke, something that is not ClickHouse's answer (a 503 of a balancer), or an exception that passes by itself: a statement
//!   that can be repeated goes to the next address, and round again with growing pauses, for `retry_seconds_max`. An insert is handed back:
//!   whoever inserts knows whether to send the same again;
//! * no answer within the statement's time: never.
//!
//! Settling has one session (`session_id`) on one address, and temporary tables live in it. When the session breaks, a new one begins with the
//! next statement, without those tables: a step that was using them fails there and is made again. After the first statement of a session
//! `session_check` lets the server say that it does not know it any more (a restart, a balancer that chose another server), in place of
//! beginning an empty one silently.
//!
//! Must never: send a password but in the client's header, or tell one in an error.

use std::error::Error as _;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clickhouse::error::Error as ClientError;
use clickhouse::{Client, Compression};

use super::error::ServerError;
use super::wire::{self, Waiter};
use super::{Limits, Password, REPORT_SECONDS_MAX, Servers, Value, Values, Work, settings};
use crate::metrics;

/// Bytes of rows that are compressed and sent as one block.
const PIECE_BYTES: usize = 1 << 20;
/// Longest answer that is read, bytes: far more than any of our statements answers.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// First pause before a second try.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest pause before a second try.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a server keeps an idle session and its temporary tables, seconds. Servers allow up to 3,600 (`max_session_timeout`).
const SESSION_SECONDS: u64 = 300;

/// The servers, one client for each address.
pub(super) struct Server {
    addresses: Vec<Address>,
    user: String,
    password: Password,
    /// The address that answered last, for statements without a session.
    current: AtomicUsize,
    session: Mutex<Session>,
    statement_max: Duration,
    answer_margin: Duration,
    retry_max: Duration,
    value_bytes_max: usize,
    waiter: Waiter,
}

struct Address {
    /// `host:port`.
    name: String,
    /// By kind of work: their settings differ.
    clients: [Client; 3],
}

/// The settle step's session.
#[derive(Default)]
struct Session {
    /// None: the next statement begins one.
    id: Option<String>,
    address: usize,
}

impl Server {
    /// Makes the clients, asks the first server that answers for its version, and creates the database where it is missing.
    ///
    /// # Errors
    /// No server that lets us in.
    pub(super) fn open(
        servers: Servers,
        database: &str,
        limits: Limits,
        create_database: &str,
    ) -> Result<Self, ServerError> {
        let wire = wire::client(&servers)?;
        let address = |url: &String| Address {
            name: url.split_once("://").map_or(url.as_str(), |(_, name)| name).to_owned(),
            clients: [Work::Load, Work::Settle, Work::Report]
                .map(|work| client(&wire, url, &servers, work, limits)),
        };
        let mut server = Self {
            addresses: servers.addresses.iter().map(address).collect(),
            current: AtomicUsize::new(0),
            session: Mutex::default(),
            statement_max: servers.statement_max,
            answer_margin: servers.answer_margin,
            retry_max: servers.retry_max,
            value_bytes_max: servers.value_bytes_max,
            waiter: Waiter::start()?,
            user: servers.user,
            password: servers.password,
        };
        let none = Values::new();
        let version = server.query(Work::Load, "SELECT version()", "TSVRaw", &none)?;
        tracing::info!(version = String::from_utf8_lossy(&version).trim(), "the store's servers answer");
        server.query(Work::Load, create_database, "Null", &none)?;
        // From here on in our database; before, it may not be there.
        for client in server.addresses.iter_mut().flat_map(|address| &mut address.clients) {
            *client = client.clone().with_database(database);
        }
        Ok(server)
    }

    pub(super) fn query(
        &self,
        work: Work,
        sql: &str,
        format: &str,
        values: &Values,
    ) -> Result<Vec<u8>, ServerError> {
        let mut bound = Vec::with_capacity(values.len());
        for (name, value) in values {
            let text = value.text();
            let (bytes, limit) = (text.len(), self.value_bytes_max);
            if bytes > limit {
                return Err(ServerError::ValueTooLong { name, bytes, limit });
            }
            bound.push((format!("param_{name}"), text));
        }
        let ask = |client: Client| ask(client, sql, format, &bound);
        let repeatable = is_repeatable(sql);
        if work == Work::Settle {
            self.in_session(repeatable, ask)
        } else {
            self.anywhere(work, repeatable, ask)
        }
    }

    pub(super) fn takes(&self, value: &Value) -> bool {
        value.text().len() <= self.value_bytes_max
    }

    pub(super) fn insert(&self, work: Work, table: &str, rows: &[u8]) -> Result<(), ServerError> {
        let sql = format!("INSERT INTO {table} FORMAT RowBinary");
        self.anywhere(work, false, |client| send(client, &sql, rows)).map(drop)
    }

    /// What each address answers that can be reached, by name; `None` for the others.
    pub(super) fn each(&self, sql: &str) -> Vec<(&str, Option<Vec<u8>>)> {
        let ask = |client| ask(client, sql, "TSVRaw", &[]);
        let addresses = self.addresses.iter().enumerate();
        addresses.map(|(at, address)| (address.name.as_str(), self.once(at, Work::Load, ask).ok())).collect()
    }

    /// Runs a statement on any address, as the module's header says.
    fn anywhere<F: Future<Output = Result<Vec<u8>, ClientError>> + Send>(
        &self,
        work: Work,
        repeatable: bool,
        request: impl Fn(Client) -> F,
    ) -> Result<Vec<u8>, ServerError> {
        let mut tries = Tries::new(self.retry_max);
        loop {
            let mut failed = None;
            for _ in &self.addresses {
                let at = self.current.load(Ordering::Relaxed);
                let error = match self.once(at, work, &request) {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                };
                let next = (at + 1) % self.addresses.len().max(1);
                let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
                if !(error.is_unsent() || repeatable && error.is_passing()) {
                    return Err(error);
                }
                failed = Some(error);
            }
            let Some(error) = failed else {
                return Err(ServerError::Client("no server is named".to_owned()));
            };
            if !(repeatable && tries.pause(&error)) {
                return Err(error);
            }
        }
    }

    /// Runs a statement in the settle step's session, as the module's header says.
    fn in_session<F: Future<Output = Result<Vec<u8>, ClientError>> + Send>(
        &self,
        repeatable: bool,
        request: impl Fn(Client) -> F,
    ) -> Result<Vec<u8>, ServerError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tries = Tries::new(self.retry_max);
        let mut unsent = 0;
        loop {
            let is_begun = session.id.is_some();
            let id = session.id.get_or_insert_with(session_id).clone();
            let error = match self.once(session.address, Work::Settle, |client| {
                let client = client
                    .with_setting("session_id", &id)
                    .with_setting("session_timeout", SESSION_SECONDS.to_string());
                request(if is_begun { client.with_setting("session_check", "1") } else { client })
            }) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // What the server refused was in a session that lives on, unless it was its first statement.
            if error.ends_session() || !is_begun {
                session.id = None;
            }
            if error.is_unsent() || error.is_passing() {
                session.address = (session.address + 1) % self.addresses.len().max(1);
                session.id = None;
            }
            // It was not run: at most every address is asked once, and a lost session is begun anew once.
            if (error.is_unsent() && unsent < self.addresses.len()) || (error.is_lost_session() && is_begun) {
                unsent += 1;
                continue;
            }
            if !(repeatable && (error.is_passing() || error.is_lost_session()) && tries.pause(&error)) {
                return Err(error);
            }
        }
    }

    fn once<F: Future<Output = Result<Vec<u8>, ClientError>> + Send>(
        &self,
        at: usize,
        work: Work,
        request: impl Fn(Client) -> F,
    ) -> Result<Vec<u8>, ServerError> {
        let Some(address) = self.addresses.get(at) else {
            return Err(ServerError::Client("no server is named".to_owned()));
        };
        let limit = statement_max(work, self.statement_max) + self.answer_margin;
        let [load, settle, report] = &address.clients;
        let client = match work {
            Work::Load => load,
            Work::Settle => settle,
            Work::Report => report,
        };
        let request = request(client.clone());
        let answer = self.waiter.wait(async { tokio::time::timeout(limit, request).await });
        match answer {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(self.error(&address.name, &error)),
            Err(_) => Err(ServerError::TimedOut { address: address.name.clone(), seconds: limit.as_secs() }),
        }
    }

    fn error(&self, address: &str, error: &ClientError) -> ServerError {
        let told = |text: String| match self.password.text() {
            "" => text,
            password => text.replace(password, "…"),
        };
        let own = address.to_owned();
        match error {
            ClientError::BadResponse(text) => match exception_code(text) {
                Some(code) => ServerError::of_exception(address, &self.user, code, &told(text.clone())),
                None => ServerError::broken(address, &told(text.clone())),
            },
            ClientError::Network(source) => {
                let http = source.downcast_ref::<hyper_util::client::legacy::Error>();
                let reason = told(chain(error));
                if http.is_some_and(hyper_util::client::legacy::Error::is_connect) {
                    ServerError::Unreachable { address: own, reason }
                } else {
                    ServerError::broken(address, &reason)
                }
            }
            ClientError::Unsupported(_) | ClientError::InvalidParams(_) | ClientError::Compression(_) => {
                ServerError::Client(told(chain(error)))
            }
            ClientError::Other(source) if source.is::<AnswerTooLong>() => {
                ServerError::AnswerTooLong { address: own, limit: ANSWER_BYTES_MAX }
            }
            other => ServerError::broken(address, &told(chain(other))),
        }
    }
}

/// Pauses between tries, until the time is up.
struct Tries {
    until: Instant,
    pause: Duration,
}

impl Tries {
    fn new(max: Duration) -> Self {
        Self { until: Instant::now() + max, pause: PAUSE }
    }

    /// Waits before the next try; false when there is no time for one.
    fn pause(&mut self, error: &ServerError) -> bool {
        if Instant::now() + self.pause > self.until {
            return false;
        }
        metrics::store_retries(1);
        tracing::warn!(%error, pause_ms = self.pause.as_millis() as u64, "the store is asked again");
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

fn client(wire: &Client, url: &str, servers: &Servers, work: Work, limits: Limits) -> Client {
    let mut client = wire
        .clone()
        .with_url(url)
        .with_user(&servers.user)
        .with_compression(Compression::Lz4)
        .with_product_info("sightline", env!("CARGO_PKG_VERSION"));
    if !servers.password.text().is_empty() {
        client = client.with_password(servers.password.text());
    }
    let seconds = statement_max(work, servers.statement_max).as_secs();
    let mut all = settings(work, limits);
    all.extend([
        ("wait_end_of_query", "1".to_owned()),
        ("enable_http_compression", "1".to_owned()),
        ("max_execution_time", seconds.to_string()),
        ("timeout_overflow_mode", "throw".to_owned()),
        // What a profile may have set otherwise, and our statements rely on.
        ("join_use_nulls", "0".to_owned()),
        ("prefer_column_name_to_alias", "0".to_owned()),
        ("transform_null_in", "0".to_owned()),
        ("max_partitions_per_insert_block", "100".to_owned()),
    ]);
    if work == Work::Report {
        // It reads only, and is ended when nobody waits for it any more.
        all.extend([
            ("readonly", "2".to_owned()),
            ("cancel_http_readonly_queries_on_client_close", "1".to_owned()),
        ]);
    }
    if !servers.cluster.is_empty() {
        all.extend(super::cluster::settings(servers.insert_quorum, seconds));
    }
    all.into_iter().fold(client, |client, (name, value)| client.with_setting(name, value))
}

fn statement_max(work: Work, all: Duration) -> Duration {
    match work {
        Work::Load | Work::Settle => all,
        Work::Report => all.min(Duration::from_secs(u64::from(REPORT_SECONDS_MAX))),
    }
}

/// Whether running a statement twice leaves what running it once leaves: everything of ours but inserts.
fn is_repeatable(sql: &str) -> bool {
    !sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("INSERT"))
}

async fn ask(
    client: Client,
    sql: &str,
    format: &str,
    bound: &[(String, String)],
) -> Result<Vec<u8>, ClientError> {
    // The values are text in the engine's form already: `param()` of the crate would escape them once more.
    let query =
        bound.iter().fold(client.query_raw(sql), |query, (name, text)| query.with_setting(name, text));
    let mut cursor = query.fetch_bytes(format)?;
    let mut answer = Vec::new();
    while let Some(piece) = cursor.next().await? {
        if answer.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::Other(Box::new(AnswerTooLong)));
        }
        answer.extend_from_slice(&piece);
    }
    Ok(answer)
}

async fn send(client: Client, sql: &str, rows: &[u8]) -> Result<Vec<u8>, ClientError> {
    let mut insert = client.insert_formatted_with(sql);
    for piece in rows.chunks(PIECE_BYTES) {
        if let Err(error) = insert.send(Bytes::copy_from_slice(piece)).await {
            // The server answered before it had read everything: the answer says why.
            return match (insert.end().await, error) {
                (Err(answer @ ClientError::BadResponse(_)), _) => Err(answer),
                (_, error) => Err(error),
            };
        }
    }
    insert.end().await.map(|()| Vec::new())
}

#[derive(Debug, thiserror::Error)]
#[error("the answer is too long")]
struct AnswerTooLong;

/// `Code: 241. DB::Exception: …`, wherever it begins: some exceptions say a word before it.
fn exception_code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// An error and what caused it.
fn chain(error: &ClientError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// A name that no other session has.
fn session_id() -> String {
    // Two differently seeded hashes of nothing: the standard library seeds them at random.
    let [a, b] = [(); 2].map(|()| RandomState::new().hash_one(std::process::id()));
    format!("sightline-{a:016x}{b:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_inserts_can_be_repeated() {
        for (sql, expected) in [
            ("SELECT 1", true),
            ("\nINSERT INTO a SELECT 1", false),
            ("insert into a", false),
            ("ALTER TABLE a DROP PARTITION 1", true),
            ("", true),
        ] {
            assert_eq!(is_repeatable(sql), expected, "{sql}");
        }
        let repeatable =
            crate::statement::STATEMENTS.iter().filter(|statement| is_repeatable(statement.sql()));
        for statement in repeatable {
            let begins = |word| statement.sql().trim_start().starts_with(word);
            assert!(begins("SELECT") || begins("CREATE TEMPORARY TABLE IF NOT EXISTS"), "{}", statement.file);
        }
    }

    #[test]
    fn an_exceptions_code_is_found() {
        for (text, expected) in [
            ("Code: 60. DB::Exception: no", Some(60)),
            ("Poco::Exception. Code: 1000, e.code() = 0", Some(1000)),
            ("Code: 516", Some(516)),
            ("503 Service Unavailable", None),
        ] {
            assert_eq!(exception_code(text), expected, "{text}");
        }
    }

    #[test]
    fn sessions_have_names_of_their_own() {
        assert_ne!(session_id(), session_id());
    }
}
