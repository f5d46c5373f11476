//! Persons' requests for the operator, on the admin port: the queue, and his yes or no.
//!
//! | | |
//! |---|---|
//! | `GET /v1/requests`, `…?all=1` | those that wait, or all |
//! | `GET /v1/requests/{number}` | one |
//! | `POST /v1/requests/{number}/accept` | yes |
//! | `POST /v1/requests/{number}/refuse` `{"why":"…"}` | no, and why, which the person reads |
//!
//! Unlike the rest of this port these ask for the operator's token (`Authorization: Bearer`). Nothing here can show an identifier: there is none. It must
//! never show a key or a secret either.

use chrono::{DateTime, SecondsFormat};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use opt_out::Requests;
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    why: String,
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
        ([one, act @ ("accept" | "refuse")], &Method::POST) => {
            let Some(number) = number(one) else {
                return problem(StatusCode::NOT_FOUND, RequestError::Unknown);
            };
            let why = if *act == "refuse" {
                match why(body).await {
                    Some(why) => Some(why),
                    None => return problem(StatusCode::BAD_REQUEST, "the body is no {\"why\":\"…\"}"),
                }
            } else {
                None
            };
            decide(desk.clone(), number, why).await
        }
        ([_] | [_, "accept" | "refuse"], _) => {
            problem(StatusCode::METHOD_NOT_ALLOWED, "GET to look, POST to decide")
        }
        _ => problem(StatusCode::NOT_FOUND, "no such path"),
    }
}

async fn why<B>(body: B) -> Option<String>
where
    B: Body<Data: Send>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = Limited::new(body, BODY_BYTES_MAX).collect().await.ok()?.to_bytes();
    serde_json::from_slice::<Refusal>(&bytes).ok().map(|refusal| refusal.why)
}

/// Waits for the disk, so it is done where that may be.
async fn decide(desk: Desk, number: u32, why: Option<String>) -> Told {
    let decided = tokio::task::spawn_blocking(move || {
        let decided = match why {
            Some(why) => desk.requests.refuse(number, &why),
            None => desk.requests.accept(number),
        };
        decided.map(|request| told(&desk, &request))
    });
    match decided.await {
        Ok(Ok(told)) => (StatusCode::OK, told),
        Ok(Err(error)) => {
            let status = match &error {
                RequestError::Unknown => StatusCode::NOT_FOUND,
                RequestError::NotWaiting(_) => StatusCode::CONFLICT,
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

/// What the operator sees of a request.
fn told(desk: &Desk, request: &PersonsRequest) -> Value {
    let mut kinds: Vec<&str> = request.keys.iter().map(|key| key.kind.name()).collect();
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
