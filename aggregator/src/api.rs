//! The report API over HTTP.
//!
//! Owns routes, authorisation and the form of answers; what is in them comes from [`crate::report`] and [`crate::settle`].
//!
//! | | |
//! |---|---|
//! | `GET /v1/campaigns` | the campaigns |
//! | `GET /v1/campaigns/{campaign}/delivery`, `…/reach`, `…/frequency` | a report (`from`, `to`, `by`, `filter`, `format`, `levels`) |
//! | `GET /v1/books` | outcome counts of each journal and their sum |
//! | `POST /v1/settle[?day=YYYY-MM-DD]` | brings changed days up to date, today too, and says what was done; 409 where another aggregator settles |
//!
//! Every request needs `Authorization: Bearer <operator token>`. An error is `{"error":{"code":"…","message":"…"}}`.
//!
//! Must never: run a statement on the runtime's own thread, or show the engine's words to a caller.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::outcome::Outcome;
use http_body_util::Full;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE,
    HeaderMap, HeaderValue, TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::metrics;
use crate::report::{Format, Kind, Refused, ReportError, Reporter, Request, file_name};
use crate::settle::SettledDay;
use crate::statement;
use crate::store::{REPORT_SECONDS_MAX, StoreError, Work, day_number};
use crate::work::Worker;

/// Longest a settle request waits for the journal to be in the store.
const CATCH_UP_MAX: Duration = Duration::from_mins(10);
/// The engine's code for a statement that would take more memory than it may.
const MEMORY_LIMIT_EXCEEDED: u32 = 241;
/// The engine's code for a statement that takes longer than it may.
const TIMEOUT_EXCEEDED: u32 = 159;
/// Longest query string, bytes.
const QUERY_BYTES_MAX: usize = 2048;

/// The operator's token, as its hash: comparing takes the same time whatever was sent.
pub struct Token([u8; 32]);

impl Token {
    /// A token as it stands in its file, without blanks around it.
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token.trim().as_bytes()).into())
    }

    fn is(&self, sent: &str) -> bool {
        let sent: [u8; 32] = Sha256::digest(sent.as_bytes()).into();
        self.0.ct_eq(&sent).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// The tokens that open the report API.
#[derive(Debug)]
pub struct Tokens {
    /// The operator's: everything.
    pub operator: Token,
}

/// Answers requests.
pub(crate) struct Api {
    pub(crate) tokens: Tokens,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) worker: Arc<Worker>,
    /// Memory of one statement, bytes.
    pub(crate) statement_bytes_max: u64,
    /// Reports that are computed at the same time.
    pub(crate) reports: Arc<Semaphore>,
    /// One: settling goes on one at a time, and reports do not wait for it.
    pub(crate) settles: Arc<Semaphore>,
}

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// `GET /v1/books`.
#[derive(Debug, Serialize)]
struct Books {
    total: BooksRow,
    journals: Vec<BooksRow>,
    /// Records of a version that this program does not know.
    records_set_aside: u64,
}

#[derive(Debug, Default, Serialize)]
struct BooksRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    journal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    received: u64,
    pending: u64,
    outcomes: serde_json::Map<String, serde_json::Value>,
    /// received = the sum of the outcomes + pending.
    balanced: bool,
}

#[derive(Serialize)]
struct Settled {
    days: Vec<SettledDay>,
    adopted: u64,
}

enum Problem {
    Unauthorized,
    NotFound(&'static str),
    Method(&'static str),
    Refused(Refused),
    UnknownCampaign,
    Behind,
    NotSettler,
    Store(StoreError),
    Busy,
}

impl Api {
    /// Answers one request. Its body is never read: no route takes one.
    pub(crate) async fn answer<B>(self: Arc<Self>, request: hyper::Request<B>) -> Result<Answer, Infallible> {
        let with_body = may_have_body(request.headers());
        let answer = self.route(&request).await;
        let mut answer = answer.unwrap_or_else(Problem::answer);
        if with_body {
            // Where the body ends is not ours to guess: what follows on this connection is not taken for a request.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    }

    async fn route<B>(self: &Arc<Self>, request: &hyper::Request<B>) -> Result<Answer, Problem> {
        self.authorize(request)?;
        let path = request.uri().path();
        let query = query(request.uri().query().unwrap_or(""))?;
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["v1", "campaigns"] => {
                only(request.method(), &Method::GET)?;
                none(&query)?;
                self.blocking(&self.reports, |api| {
                    let rows = api.reporter.campaigns().map_err(Problem::Store)?;
                    Ok(json_answer(StatusCode::OK, &json!({ "campaigns": rows })))
                })
                .await
            }
            ["v1", "campaigns", campaign, report] => {
                let kind = Kind::from_name(report)
                    .ok_or(Problem::NotFound("no such report; there are delivery, reach, frequency"))?;
                only(request.method(), &Method::GET)?;
                let campaign = decode(campaign)?;
                let request = Request::parse(kind, &campaign, &query).map_err(Problem::Refused)?;
                self.report(request).await
            }
            ["v1", "books"] => {
                only(request.method(), &Method::GET)?;
                none(&query)?;
                let books = self.blocking(&self.reports, |api| api.books().map_err(Problem::Store)).await?;
                Ok(json_answer(StatusCode::OK, &books))
            }
            ["v1", "settle"] => {
                only(request.method(), &Method::POST)?;
                let day = settle_day(&query)?;
                let settled = self.blocking(&self.settles, move |api| api.settle(day)).await?;
                Ok(json_answer(StatusCode::OK, &settled))
            }
            _ => Err(Problem::NotFound("no such path")),
        }
    }

    fn authorize<B>(&self, request: &hyper::Request<B>) -> Result<(), Problem> {
        let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent.and_then(|sent| {
            let (scheme, token) = sent.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        if token.is_some_and(|token| self.tokens.operator.is(token)) {
            Ok(())
        } else {
            Err(Problem::Unauthorized)
        }
    }

    async fn report(self: &Arc<Self>, request: Request) -> Result<Answer, Problem> {
        self.blocking(&self.reports, move |api| {
            let report = api.reporter.report(&request).map_err(|error| match error {
                ReportError::UnknownCampaign => Problem::UnknownCampaign,
                ReportError::Store(error) => too_large(error, api.statement_bytes_max),
            })?;
            Ok(match request.format {
                Format::Json => body(StatusCode::OK, "application/json", report.json()),
                Format::Csv => {
                    let mut answer = body(
                        StatusCode::OK,
                        "text/csv; charset=utf-8; header=present",
                        report.csv(request.levels),
                    );
                    let disposition = HeaderValue::from_str(&format!(
                        "attachment; filename=\"{}\"",
                        file_name(request.kind)
                    ));
                    answer.headers_mut().insert(CONTENT_DISPOSITION, disposition.expect("a plain file name"));
                    answer
                }
            })
        })
        .await
    }

    fn books(&self) -> Result<Books, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            journal: String,
            at_ms: i64,
            received: u64,
            pending: u64,
            outcomes: Vec<u64>,
        }
        #[derive(Deserialize)]
        struct Count {
            records: u64,
        }
        let store = &self.reporter.store;
        let rows: Vec<Row> = store.rows(Work::Report, statement::BOOKS_READ, &Vec::new())?;
        let set_aside: Vec<Count> = store.rows(Work::Report, statement::SET_ASIDE_COUNT, &Vec::new())?;
        let named = |received: u64, pending: u64, counts: &[u64]| BooksRow {
            journal: None,
            at_ms: None,
            received,
            pending,
            outcomes: Outcome::ALL
                .iter()
                .zip(counts.iter().chain(std::iter::repeat(&0)))
                .map(|(outcome, count)| (outcome.name().to_owned(), (*count).into()))
                .collect(),
            balanced: received == pending + counts.iter().sum::<u64>(),
        };
        let mut sums = vec![0; Outcome::COUNT];
        for row in &rows {
            sums.iter_mut().zip(&row.outcomes).for_each(|(sum, count)| *sum += count);
        }
        Ok(Books {
            total: named(rows.iter().map(|r| r.received).sum(), rows.iter().map(|r| r.pending).sum(), &sums),
            journals: rows
                .into_iter()
                .map(|row| BooksRow {
                    journal: Some(row.journal),
                    at_ms: Some(row.at_ms),
                    ..named(row.received, row.pending, &row.outcomes)
                })
                .collect(),
            records_set_aside: set_aside.first().map_or(0, |row| row.records),
        })
    }

    fn settle(&self, day: Option<u16>) -> Result<Settled, Problem> {
        if !self.worker.is_settler() {
            return Err(Problem::NotSettler);
        }
        if !self.worker.catch_up(CATCH_UP_MAX) {
            return Err(Problem::Behind);
        }
        self.worker.look_for_unresolved();
        let adopted = self.worker.follow_rules().map_err(Problem::Store)?;
        let days = self.worker.settle_changed(day).map_err(Problem::Store)?;
        Ok(Settled { days, adopted })
    }

    /// Runs work that waits for the store on a thread of its own, when it is its turn. The turn ends with the work, even if the caller went away.
    async fn blocking<T, F>(self: &Arc<Self>, turns: &Arc<Semaphore>, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    {
        let turn = Arc::clone(turns).acquire_owned().await.map_err(|_| Problem::Busy)?;
        let api = Arc::clone(self);
        let work = move || {
            let done = work(&api);
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(Problem::Busy))
    }
}

impl Problem {
    fn answer(self) -> Answer {
        let allowed = match &self {
            Self::Method(allowed) => Some(HeaderValue::from_static(allowed)),
            _ => None,
        };
        let (status, code, message) = match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send Authorization: Bearer with the operator's token".to_owned(),
            ),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, "not_found", message.to_owned()),
            Self::Method(allowed) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                format!("only {allowed} is allowed here"),
            ),
            Self::Refused(Refused::Bad(message)) => (StatusCode::BAD_REQUEST, "bad_parameter", message),
            Self::Refused(Refused::NotOffered(message)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "not_offered", message)
            }
            Self::UnknownCampaign => {
                (StatusCode::NOT_FOUND, "unknown_campaign", "no campaign of that id is known".to_owned())
            }
            Self::Behind => (
                StatusCode::SERVICE_UNAVAILABLE,
                "behind",
                "what has come could not be brought into the store in time; try again".to_owned(),
            ),
            Self::NotSettler => (
                StatusCode::CONFLICT,
                "not_settler",
                "another aggregator settles, the one that holds the first partition of the events topic: ask the one whose metric \
                 aggregator_settler_count is 1"
                    .to_owned(),
            ),
            Self::Store(error) if error.is_passing() => {
                metrics::reports_failed(1);
                tracing::error!(%error, "the store cannot be reached");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store_away",
                    "the store cannot be reached at present; try again".to_owned(),
                )
            }
            Self::Store(error) => {
                metrics::reports_failed(1);
                tracing::error!(%error, "a request to the report API failed");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "store",
                    "the store could not answer; see the log".to_owned(),
                )
            }
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping", "the program is being stopped".to_owned())
            }
        };
        let mut answer = json_answer(status, &json!({ "error": { "code": code, "message": message } }));
        if status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allowed) = allowed {
            answer.headers_mut().insert(ALLOW, allowed);
        }
        answer
    }
}

/// A report that the store broke off, because it takes in more than it may: the caller can ask for less.
fn too_large(error: StoreError, statement_bytes_max: u64) -> Problem {
    let limit = match error.code() {
        Some(MEMORY_LIMIT_EXCEEDED) => format!("{statement_bytes_max} bytes of memory (statement_bytes_max)"),
        Some(TIMEOUT_EXCEEDED) => format!("{REPORT_SECONDS_MAX} seconds"),
        _ => return Problem::Store(error),
    };
    tracing::warn!(%error, "a report takes in more than one statement may");
    Problem::Refused(Refused::NotOffered(format!(
        "this report takes in too many events that are not settled, more than {limit} allow: ask for fewer days, or settle them first (POST /v1/settle)"
    )))
}

/// Whether a request announces a body, in whatever way.
fn may_have_body(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING)
        || lengths.iter().count() > 1
        || lengths.iter().any(|length| length.as_bytes() != b"0")
}

fn only(method: &Method, allowed: &Method) -> Result<(), Problem> {
    if method == allowed {
        Ok(())
    } else {
        Err(Problem::Method(if *allowed == Method::POST { "POST" } else { "GET" }))
    }
}

fn none(query: &[(String, String)]) -> Result<(), Problem> {
    if query.is_empty() {
        Ok(())
    } else {
        Err(Problem::Refused(Refused::Bad("no parameters are known here".to_owned())))
    }
}

fn settle_day(query: &[(String, String)]) -> Result<Option<u16>, Problem> {
    let bad =
        || Problem::Refused(Refused::Bad("the only parameter is day, such as day=2026-11-21".to_owned()));
    match query {
        [] => Ok(None),
        [(name, value)] if name == "day" => {
            let date = chrono::NaiveDate::parse_from_str(value, "%Y-%m-%d").map_err(|_| bad())?;
            day_number(date).map(Some).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

/// Splits and decodes a query string. `+` is a blank.
fn query(text: &str) -> Result<Vec<(String, String)>, Problem> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(Problem::Refused(Refused::Bad(format!(
            "the query is longer than {QUERY_BYTES_MAX} bytes"
        ))));
    }
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| Problem::Refused(Refused::Bad("an escape is not UTF-8".to_owned())))
}

fn json_answer(status: StatusCode, value: &impl Serialize) -> Answer {
    body(status, "application/json", serde_json::to_vec(value).expect("answers can always be written"))
}

fn body(status: StatusCode, media_type: &'static str, bytes: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(bytes)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_whole() {
        let token = Token::new(" secret\n");
        assert!(token.is("secret"));
        assert!(!token.is("secre") && !token.is("secret1") && !token.is(""));
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn a_report_beyond_the_memory_is_the_callers_to_mend() {
        let failed = |code: u32| {
            let message = format!("Code: {code}. DB::Exception: words");
            StoreError::Engine(crate::engine::EngineError::Statement { message })
        };
        let status = |code| too_large(failed(code), 1 << 30).answer().status();
        assert_eq!(status(MEMORY_LIMIT_EXCEEDED), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(TIMEOUT_EXCEEDED), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(status(60), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn a_body_is_seen_however_it_is_announced() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            headers
        };
        assert!(!may_have_body(&headers(&[("content-length", "0")])) && !may_have_body(&headers(&[])));
        for pairs in [
            &[("content-length", "5")][..],
            &[("content-length", "0"), ("content-length", "0")],
            &[("transfer-encoding", "chunked"), ("content-length", "0")],
        ] {
            assert!(may_have_body(&headers(pairs)), "{pairs:?}");
        }
    }

    #[test]
    fn queries_are_split_before_they_are_decoded() {
        let pairs = query("a=b%26c&d=1+2&&e").map_err(|_| ()).expect("a query");
        let expected = [("a", "b&c"), ("d", "1 2"), ("e", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs, expected);
        assert!(query("a=%ff").is_err());
        assert!(query(&"a".repeat(QUERY_BYTES_MAX + 1)).is_err());
    }
}
