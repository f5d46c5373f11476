//! Persons' requests for the operator, on the admin port: the queue, and his yes or no.
//!
//! | | |
//! |---|---|
//! | `GET /v1/requests`, `…?all=1` | those that wait or are overdue, or all |
//! | `GET /v1/requests/{number}` | one |
//! | `POST /v1/requests/{number}/match` `{"kind":"imei","value":"…"}` | whether an identifier that the person shows is one of the request's |
//! | `POST /v1/requests/{number}/accept` | yes, once all of its identifiers were shown |
//! | `POST /v1/requests/{number}/refuse` `{"why":"…"}` | no, and why, which the person reads |
//!
//! Unlike the rest of this port these ask for the operator's token (`Authorization: Bearer`). Nothing here can show an identifier: there is none. It must
//! never show a key or a secret either, and never keep or log an identifier that is shown: it is compared, and gone with the body.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use event::identifier::IdKind;
use event::key::KeyRing;
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use opt_out::Requests;
use opt_out::requests::matching::{Matching, Shown};
use opt_out::requests::{Request as PersonsRequest, RequestError, WHY_BYTES_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

/// Requests of one answer.
const LISTED_MAX: usize = 1_000;
/// Longest body: a reason, as JSON writes it at its longest.
const BODY_BYTES_MAX: usize = 6 * WHY_BYTES_MAX + 100;

/// What the routes work on.
#[derive(Clone)]
pub(crate) struct Desk {
    /// The requests of this process.
    pub(crate) requests: Requests,
    /// The operator's token.
    pub(crate) token: aggregator::Token,
    /// By which an identifier that is shown becomes what is compared.
    pub(crate) keys: Arc<KeyRing>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    why: String,
}

/// An identifier that a person shows. Neither `Debug` nor `Serialize`: it is raw.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShownId<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    #[serde(borrow, default)]
    version: Option<Cow<'a, str>>,
}

/// What the operator does with a request.
enum Act {
    Match(Shown),
    Accept,
    Refuse(String),
}

/// An answer: its status and body.
pub(crate) type Told = (StatusCode, Value);

fn problem(status: StatusCode, message: impl std::fmt::Display) -> Told {
    (status, json!({ "error": message.to_string() }))
}

/// Answers a request whose path begins with `/v1/requests`. `desk` is `None` where this process keeps no requests.
pub(crate) async fn answer<B>(desk: Option<&Desk>, request: Request<B>) -> Told
where
    B: Body<Data: Send>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(desk) = desk else {
        return problem(
            StatusCode::NOT_IMPLEMENTED,
            "this process keeps no requests: they are taken by an opt-out role that has an aggregator, in its process or by aggregator_url",
        );
    };
    if !super::is_operator(request.headers(), &desk.token) {
        return problem(StatusCode::UNAUTHORIZED, super::TOKEN_NEEDED);
    }
    let (head, body) = request.into_parts();
    let parts: Vec<&str> =
        head.uri.path().trim_start_matches("/v1/requests").trim_matches('/').split('/').collect();
    let number = |text: &str| text.parse::<u32>().ok();
    match (parts.as_slice(), &head.method) {
        ([""], &Method::GET) => {
            let (requests, number) = desk.requests.list(head.uri.query() != Some("all=1"), LISTED_MAX);
            let rows: Vec<Value> = requests.iter().map(|request| told(desk, request)).collect();
            (
                StatusCode::OK,
                json!({"requests": rows, "number": number, "overdue": desk.requests.stats().overdue}),
            )
        }
        ([one], &Method::GET) => match number(one).and_then(|number| desk.requests.get(number)) {
            Some(request) => (StatusCode::OK, told(desk, &request)),
            None => problem(StatusCode::NOT_FOUND, RequestError::Unknown),
        },
        ([one, act @ ("match" | "accept" | "refuse")], &Method::POST) => {
            let Some(number) = number(one) else {
                return problem(StatusCode::NOT_FOUND, RequestError::Unknown);
            };
            match read(desk, act, body).await {
                Ok(act) => perform(desk.clone(), number, act).await,
                Err(told) => told,
            }
        }
        ([_] | [_, "match" | "accept" | "refuse"], _) => {
            problem(StatusCode::METHOD_NOT_ALLOWED, "GET to look, POST to decide")
        }
        _ => problem(StatusCode::NOT_FOUND, "no such path"),
    }
}

/// What the body says that is to be done.
async fn read<B>(desk: &Desk, act: &str, body: B) -> Result<Act, Told>
where
    B: Body<Data: Send>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if act == "accept" {
        return Ok(Act::Accept);
    }
    // No error of JSON is passed on: it may hold a part of what was sent.
    let wrong = |form: &str| problem(StatusCode::BAD_REQUEST, format!("the body is no {form}"));
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    if act == "refuse" {
        let refusal = serde_json::from_slice::<Refusal>(&bytes);
        return refusal.map(|refusal| Act::Refuse(refusal.why)).map_err(|_| wrong("{\"why\":\"…\"}"));
    }
    let id: ShownId<'_> =
        serde_json::from_slice(&bytes).map_err(|_| wrong("{\"kind\":\"…\",\"value\":\"…\"}"))?;
    let Some(kind) = IdKind::from_name(&id.kind) else {
        let kinds = IdKind::ALL.map(IdKind::name).join(", ");
        return Err(problem(StatusCode::UNPROCESSABLE_ENTITY, format!("the kind is none of {kinds}")));
    };
    let version = id.version.as_ref().map(|version| version.as_bytes());
    if version.is_some() && kind != IdKind::Caid {
        return Err(problem(StatusCode::UNPROCESSABLE_ENTITY, "only a caid has a version"));
    }
    let shown = Shown::of(kind, id.value.as_bytes(), version, &desk.keys);
    shown.map(Act::Match).map_err(|error| problem(StatusCode::UNPROCESSABLE_ENTITY, error))
}

/// Waits for the disk, so it is done where that may be.
async fn perform(desk: Desk, number: u32, act: Act) -> Told {
    let done = tokio::task::spawn_blocking(move || match act {
        Act::Match(shown) => {
            desk.requests.match_shown(number, &shown).map(|matching| told_match(&desk, &matching))
        }
        Act::Accept => desk.requests.accept(number, desk.keys.epoch()).map(|request| told(&desk, &request)),
        Act::Refuse(why) => desk.requests.refuse(number, &why).map(|request| told(&desk, &request)),
    });
    match done.await {
        Ok(Ok(told)) => (StatusCode::OK, told),
        Ok(Err(error)) => {
            let status = match &error {
                RequestError::Unknown => StatusCode::NOT_FOUND,
                RequestError::NotWaiting(_) | RequestError::NotMatched { .. } | RequestError::Rotated => {
                    StatusCode::CONFLICT
                }
                RequestError::Why | RequestError::TooManyKeys => StatusCode::UNPROCESSABLE_ENTITY,
                RequestError::Full { .. }
                | RequestError::Audit(_)
                | RequestError::Unavailable(_)
                | RequestError::Damaged(_)
                | RequestError::Journal(_)
                | RequestError::Read(_)
                | RequestError::Io(_)
                | RequestError::Random(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            problem(status, error)
        }
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "it was not done: see the log"),
    }
}

fn told_match(desk: &Desk, matching: &Matching) -> Value {
    let mut told = told(desk, &matching.request);
    if let Some(fields) = told.as_object_mut() {
        fields.insert("ids_this".to_owned(), matching.ids.into());
        fields.insert("ids_this_in_part".to_owned(), matching.ids_in_part.into());
    }
    told
}

/// What the operator sees of a request.
fn told(desk: &Desk, request: &PersonsRequest) -> Value {
    let mut kinds: Vec<&str> = request.ids.iter().map(|id| id.kind.name()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    json!({
        "number": request.number,
        "receipt": request.receipt.to_string(),
        "kind": request.kind.name(),
        "state": request.state.name(),
        "proof": request.proof.name(),
        "app": request.proof.app(),
        "asked_at": utc(Some(request.asked_ms)),
        "due_on": desk.requests.due(request).to_string(),
        "overdue": desk.requests.is_overdue(request),
        "decided_at": utc(request.decided_ms),
        "finished_at": utc(request.finished_ms),
        "identifiers": kinds,
        "ids": request.ids.len(),
        "ids_matched": request.ids_matched(),
        "matched_at": utc(request.matched_ms),
        "why": request.why,
        "hits": request.counts.events + request.counts.unresolved + request.counts.trial_events + request.counts.rows,
        "days_made_again": request.counts.days_settled,
        "days_standing": request.counts.days_standing,
    })
}

fn utc(at_ms: Option<i64>) -> Option<String> {
    let at = DateTime::from_timestamp_millis(at_ms?)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
