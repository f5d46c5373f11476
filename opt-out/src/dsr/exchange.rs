//! The routes of the exchange: the two files, and the endpoint.
//!
//! It owns bodies and statuses. It must never say more of a refused request than its sender knows.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use hyper::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::published::{ENDPOINT, FILE, KEYS};
use super::transaction::{self, Ended, Taken};
use super::verdict::{self, Version};
use super::{Dsr, Refused};
use crate::desk::Desk;
use crate::http::{self, JSON, data, refused};
use crate::metrics::{Answer, Deletion, Route};
use crate::problem::Problem;
use crate::receipt::ReceiptId;
use crate::rights::{self, OptedOut, Told};
use crate::shape::{Field, Shape, Shaped};
use crate::{address, api};

/// A bare token (RFC 7519).
const JWT: &str = "application/jwt";
/// How long others may keep the files: an hour, so that a new key is known soon.
const KEPT: &str = "public, max-age=3600";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Neither `Debug` nor `Serialize`: the token holds an identifier.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    #[serde(borrow, rename = "rqJWT")]
    request: Cow<'a, str>,
}

impl Shaped for Asked<'_> {
    const SHAPE: Shape = Shape::Object(&[Field::needed("rqJWT", Shape::Text)]);
}

#[derive(Serialize)]
struct TakenAnswer {
    #[serde(rename = "acJWT")]
    acknowledgement: String,
    request: Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    opt_out: Option<OptedOut>,
}

#[derive(Serialize)]
struct RepeatedAnswer {
    #[serde(rename = "acJWT")]
    acknowledgement: String,
    receipt: String,
    detail: &'static str,
}

#[derive(Serialize)]
struct RefusedAnswer {
    #[serde(rename = "acJWT")]
    acknowledgement: String,
    error: &'static str,
    detail: &'static str,
}

/// The route of a path, and the methods that it takes.
pub(crate) fn route(path: &str) -> Option<(Route, &'static str)> {
    match path {
        ENDPOINT => Some((Route::Deletion, "POST")),
        _ if path == KEYS || FILE.contains(&path) => Some((Route::DeletionFile, "GET, HEAD")),
        _ => None,
    }
}

/// `dsrdelete.json` or our keys.
pub(crate) fn file(desk: &Desk, path: &str) -> (Answer, Response<Full<Bytes>>) {
    let Some(dsr) = &desk.dsr else { return refused(&Problem::NoExchange) };
    let body = if path == KEYS { &dsr.published.keys } else { &dsr.published.file };
    let mut response = data(StatusCode::OK, body.clone());
    for (name, value) in
        [(CACHE_CONTROL, KEPT), (RESOURCE_POLICY, "cross-origin"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    (Answer::Done, response)
}

/// The endpoint.
pub(crate) async fn post(
    desk: &Desk,
    peer: IpAddr,
    request: Request<Incoming>,
) -> (Answer, Response<Full<Bytes>>) {
    let Some(dsr) = &desk.dsr else { return refused(&Problem::NoExchange) };
    let (head, body) = request.into_parts();
    let body = match taken_in(desk, dsr, peer, &head.headers, body).await {
        Ok(body) => body,
        Err(problem) => return unanswered(desk, &problem),
    };
    let text = match text_of(&head.headers, &body) {
        Ok(text) => text,
        Err(problem) => return unanswered(desk, &counted(desk, peer, &head.headers, problem)),
    };
    match transaction::take(desk, dsr, &text).await {
        Ok(taken) => acknowledged(desk, dsr, &text, taken),
        Err(Ended::Refused(why)) => {
            // What is not shown to be a party's counts against the address that it came from.
            match why.sender().map_or_else(|| http::admit_address(desk, peer, &head.headers), |_| Ok(())) {
                Ok(()) => declined(desk, dsr, &text, why),
                Err(problem) => unanswered(desk, &problem),
            }
        }
        // Anybody who saw the token can send it again.
        Err(Ended::Repeated(version, receipt)) => match http::admit_address(desk, peer, &head.headers) {
            Ok(()) => repeated(desk, dsr, &text, (version, receipt)),
            Err(problem) => unanswered(desk, &problem),
        },
        Err(Ended::Problem(problem)) => unanswered(desk, &problem),
    }
}

/// The body, within the limits of its address and of every body.
async fn taken_in(
    desk: &Desk,
    dsr: &Dsr,
    peer: IpAddr,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Bytes, Problem> {
    let client = address::client(peer, headers, &desk.settings.trusted_proxies);
    let subscriber = address::subscriber(client);
    dsr.rates().addresses.take(subscriber, desk.now_ms()).map_err(Problem::RateLimited)?;
    http::collected(desk, headers, if is_bare(headers) { JWT } else { JSON }, body).await
}

fn is_bare(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    declared.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(JWT)
}

/// The token's text in a body.
fn text_of<'b>(headers: &HeaderMap, body: &'b [u8]) -> Result<Cow<'b, str>, Problem> {
    if is_bare(headers) {
        let text =
            std::str::from_utf8(body).map_err(|_| Problem::Json { line: 1, column: 0, fault: None })?;
        return Ok(Cow::Borrowed(text.trim_ascii()));
    }
    Ok(api::parse::<Asked<'_>>(body)?.request)
}

/// A body without a token counts against its address.
fn counted(desk: &Desk, peer: IpAddr, headers: &HeaderMap, problem: Problem) -> Problem {
    match http::admit_address(desk, peer, headers) {
        Ok(()) => problem,
        Err(limit) => limit,
    }
}

fn acknowledged(desk: &Desk, dsr: &Dsr, text: &str, taken: Taken) -> (Answer, Response<Full<Bytes>>) {
    let Taken { version, submitted, opted_out } = taken;
    let receipt = submitted.request.receipt.to_string();
    let code = verdict::success(version);
    let signed = transaction::acknowledge(desk, dsr, text, (version, code), Some(receipt));
    let (Some(acknowledgement), Some(requests)) = (signed, &desk.requests) else {
        return unanswered(desk, &Problem::Unavailable);
    };
    let request = rights::told_first(requests, &submitted);
    let body = api::to_json(&TakenAnswer { acknowledgement, request, opt_out: opted_out });
    (Answer::Done, data(StatusCode::ACCEPTED, body))
}

/// The acknowledgement of what was taken before, for a sender whom the first one did not reach. No secret, and nothing of how far it is: whoever sends it may
/// have kept another's token.
fn repeated(
    desk: &Desk,
    dsr: &Dsr,
    text: &str,
    (version, receipt): (Version, ReceiptId),
) -> (Answer, Response<Full<Bytes>>) {
    desk.metrics.deletion(Deletion::Used);
    let receipt = receipt.to_string();
    let code = verdict::success(version);
    let signed = transaction::acknowledge(desk, dsr, text, (version, code), Some(receipt.clone()));
    let Some(acknowledgement) = signed else { return unanswered(desk, &Problem::Unavailable) };
    let detail = "the same request was taken before, under this receipt; nothing was done again";
    let body = api::to_json(&RepeatedAnswer { acknowledgement, receipt, detail });
    (Answer::Done, data(StatusCode::OK, body))
}

fn declined(desk: &Desk, dsr: &Dsr, text: &str, why: Refused) -> (Answer, Response<Full<Bytes>>) {
    let code = why.fault.code(why.version);
    let Some(acknowledgement) = transaction::acknowledge(desk, dsr, text, (why.version, code), None) else {
        return unanswered(desk, &Problem::Unavailable);
    };
    let (_, error) = why.fault.code(Version::Two);
    let body = api::to_json(&RefusedAnswer { acknowledgement, error, detail: why.fault.detail() });
    (Answer::Refused, data(StatusCode::BAD_REQUEST, body))
}

/// An answer without an acknowledgement.
fn unanswered(desk: &Desk, problem: &Problem) -> (Answer, Response<Full<Bytes>>) {
    desk.metrics.deletion(match problem.answer() {
        Answer::RateLimited => Deletion::RateLimited,
        Answer::Unavailable => Deletion::Unavailable,
        Answer::Done | Answer::Refused => Deletion::Malformed,
    });
    refused(problem)
}
