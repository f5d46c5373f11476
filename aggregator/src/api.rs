//! The report API over HTTP.
//!
//! Owns routes, authorisation and the form of answers; what is in them comes from [`crate::report`] and [`crate::settle`].
//!
//! | | |
//! |---|---|
//! | `GET /v1/campaigns` | the campaigns |
//! | `GET /v1/campaigns/{campaign}/delivery`, `…/reach`, `…/frequency`, `…/ids` | a report (`from`, `to`, `by`, `filter`, `format`, `levels`) |
//! | `GET /v1/campaigns/{campaign}/links` | its tracking URLs (`dialect`, `stages`, `format`, `sign`, `days`, `base`) |
//! | `GET /v1/campaigns/{campaign}/placements/{placement}/hits` | newest hits on a placement in its trial state (`limit`) |
//! | `GET /v1/set-aside` | devices that are set aside (`from`, `to`) |
//! | `GET /v1/books` | outcome counts of each journal and their sum |
//! | `POST /v1/settle[?day=YYYY-MM-DD]` | brings changed days up to date, today too, and says what was done; 409 where another aggregator settles |
//! | `GET /openapi.yaml` | this API described; the only path that needs no token |
//!
//! Every request needs `Authorization: Bearer <operator token>`. An error is `{"error":{"code":"…","message":"…"}}`.
//!
//! Every access is entered in the audit log (`access`) before the answer leaves; where that cannot be done, the answer is 503.
//!
//! Must never: run a statement on the runtime's own thread, or show the engine's words to a caller.

mod access;
mod books;
mod links;
mod problem;
mod trial;

pub(crate) use trial::flag_names;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
    HeaderValue, TRANSFER_ENCODING,
};
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use self::access::Access;
pub use self::links::LinkParts;
use self::problem::{Problem, too_large};
use crate::report::{Kind, Refused, ReportError, Reporter, Request, day};
use crate::settle::SettledDay;
use crate::store::day_number;
use crate::work::Worker;

/// Longest a settle request waits for the journal to be in the store.
const CATCH_UP_MAX: Duration = Duration::from_mins(10);
/// Longest query string, bytes.
const QUERY_BYTES_MAX: usize = 2048;

/// Where the API is described.
const DESCRIPTION_PATH: &str = "/openapi.yaml";
/// The description.
const DESCRIPTION: &str = include_str!("../openapi.yaml");

/// The operator's token, as its hash: comparing takes the same time whatever was sent.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// A token as it stands in its file, without blanks around it.
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token.trim().as_bytes()).into())
    }

    /// Whether this is the token. Takes as long for any that is not.
    pub fn is(&self, sent: &str) -> bool {
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
    /// What links are made by.
    pub(crate) links: LinkParts,
    /// The time.
    pub(crate) clock: event::clock::Clock,
    /// Where every access is entered.
    pub(crate) audit: audit::Log,
    /// That a request came and how it was answered; nothing of what it asked for.
    pub(crate) security: security_log::Recorder,
}

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

#[derive(Serialize)]
struct Settled {
    days: Vec<SettledDay>,
    adopted: u64,
}

impl Api {
    /// Answers one request. Its body is never read: no route takes one.
    pub(crate) async fn answer<B>(
        self: Arc<Self>,
        peer: IpAddr,
        request: hyper::Request<B>,
    ) -> Result<Answer, Infallible> {
        let with_body = may_have_body(request.headers());
        let mut answer = match self.authorize(&request) {
            _ if request.uri().path() == DESCRIPTION_PATH => description(request.method()),
            Ok(actor) => {
                let access = Access::of(request.uri().path(), request.uri().query().unwrap_or(""));
                let answer = self.route(&request, actor).await;
                self.entered(actor, access, answer.unwrap_or_else(Problem::answer)).await
            }
            Err(problem) => problem.answer(),
        };
        if with_body {
            // Where the body ends is not ours to guess: what follows on this connection is not taken for a request.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        access::note(&self, peer, &request, &answer);
        Ok(answer)
    }

    async fn route<B>(
        self: &Arc<Self>,
        request: &hyper::Request<B>,
        actor: &'static str,
    ) -> Result<Answer, Problem> {
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
            ["v1", "campaigns", campaign, "links"] => {
                only(request.method(), &Method::GET)?;
                let request = links::Request::parse(decode(campaign)?, &query)?;
                let list = self.make_links(&request, self.clock.now_ms())?;
                Ok(if request.is_csv {
                    body(StatusCode::OK, "text/csv; charset=utf-8; header=present", links::csv(&list.links))
                } else {
                    json_answer(StatusCode::OK, &list)
                })
            }
            ["v1", "campaigns", campaign, report] => {
                let kind = Kind::from_name(report)
                    .ok_or(Problem::NotFound("no such report; there are delivery, reach, frequency, ids"))?;
                only(request.method(), &Method::GET)?;
                let campaign = decode(campaign)?;
                let request = Request::parse(kind, &campaign, &query).map_err(Problem::Refused)?;
                self.report(request).await
            }
            ["v1", "campaigns", campaign, "placements", placement, "hits"] => {
                only(request.method(), &Method::GET)?;
                let hits = trial::Request::parse(decode(campaign)?, decode(placement)?, &query)?;
                let hits = self.blocking(&self.reports, move |api| api.trial_hits(&hits)).await?;
                Ok(json_answer(StatusCode::OK, &hits))
            }
            ["v1", "set-aside"] => {
                only(request.method(), &Method::GET)?;
                let (from, to) = days(&query)?;
                let list = move |api: &Self| api.reporter.set_aside(from, to).map_err(Problem::Store);
                let (devices, has_more) = self.blocking(&self.reports, list).await?;
                let max = self.reporter.rules.ceiling;
                let answer =
                    json!({ "device_day_impressions_max": max, "devices": devices, "has_more": has_more });
                Ok(json_answer(StatusCode::OK, &answer))
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
                self.enter_settle(actor, &query).await?;
                let settled = self.blocking(&self.settles, move |api| api.settle(day)).await?;
                Ok(json_answer(StatusCode::OK, &settled))
            }
            _ => Err(Problem::NotFound("no such path")),
        }
    }

    /// Who asks: the name of the token, for the audit log.
    fn authorize<B>(&self, request: &hyper::Request<B>) -> Result<&'static str, Problem> {
        let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent.and_then(|sent| {
            let (scheme, token) = sent.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        if token.is_some_and(|token| self.tokens.operator.is(token)) {
            Ok("operator")
        } else {
            Err(Problem::Unauthorized)
        }
    }

    async fn report(self: &Arc<Self>, request: Request) -> Result<Answer, Problem> {
        self.blocking(&self.reports, move |api| {
            let report = api.reporter.report(&request).map_err(|error| match error {
                ReportError::UnknownCampaign => Problem::UnknownCampaign,
                error @ ReportError::DevicesExpired { .. } => {
                    Problem::Refused(Refused::NotOffered(error.to_string()))
                }
                ReportError::Store(error) => too_large(error, api.statement_bytes_max),
            })?;
            let bytes = report.write(request.form, api.clock.now_ms()).map_err(Problem::from)?;
            let mut answer = body(StatusCode::OK, request.form.media_type(), bytes);
            if let Some(extension) = request.form.extension() {
                let disposition = format!("attachment; filename=\"{}\"", report.file_name(extension));
                let disposition = HeaderValue::from_str(&disposition).expect("a plain file name");
                answer.headers_mut().insert(CONTENT_DISPOSITION, disposition);
            }
            Ok(answer)
        })
        .await
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

/// `from` and `to`.
fn days(query: &[(String, String)]) -> Result<(Option<u16>, Option<u16>), Problem> {
    let (mut from, mut to) = (None, None);
    for (name, value) in query {
        let end = match name.as_str() {
            "from" => &mut from,
            "to" => &mut to,
            _ => return Err(bad("the only parameters are from and to")),
        };
        if end.replace(day(name, value).map_err(Problem::Refused)?).is_some() {
            return Err(bad("a parameter stands there twice"));
        }
    }
    Ok((from, to))
}

fn bad(message: &str) -> Problem {
    Problem::Refused(Refused::Bad(message.to_owned()))
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

/// Nothing of what is stored: no token is asked for, and no access entered.
fn description(method: &Method) -> Answer {
    match *method {
        Method::GET => body(StatusCode::OK, "application/yaml", DESCRIPTION.into()),
        Method::HEAD => body(StatusCode::OK, "application/yaml", Vec::new()),
        _ => Problem::Method("GET, HEAD").answer(),
    }
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
