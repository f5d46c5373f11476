//! The admin port: `GET /live`, `/ready`, `/metrics`. Never for the public: it has no token, so it listens on this machine only
//! unless told otherwise. It shows no figure of a campaign and no identifier.
//!
//! `/live` answers 200 while the process runs. `/ready` answers 200 if every part is ready and 503 if one is not, with a JSON
//! object of the parts; `/ready?part=clicks` asks for one part, for balancers that send clicks and pixels different ways.
//!
//! `/v1/requests` is the operator's queue of persons' requests ([`requests`]), `/v1/opt-outs/import` takes registers of others ([`import`]); they do
//! ask for a token, and so do `/v1/rights/` ([`rights`]), by which an opt-out role in another process has them carried out, and `/v1/acts/`
//! ([`acts`]), by which a command enters what it does in the audit log of the process that writes it.

pub(crate) mod acts;
pub(crate) mod import;
pub(crate) mod requests;
pub(crate) mod rights;

use std::convert::Infallible;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use event::clock::Clock;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue,
    TRANSFER_ENCODING,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use security_log::{Hit, Role};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::metrics::Exporter;

/// Most connections at once; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 64;
/// A request's head must be complete after this.
const HEAD_SECONDS_MAX: u64 = 5;
/// Where persons' requests are.
const REQUESTS: &str = "/v1/requests";
/// Longest that an answer about them may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// What whoever comes without it is told.
const TOKEN_NEEDED: &str = "the operator's token is needed: Authorization: Bearer …";
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Whether a part takes work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// `pixels`, `clicks`, `store`, `opt_out`.
    pub(crate) name: &'static str,
    /// `None` if ready, else why not.
    pub(crate) not_ready: Option<String>,
}

/// What asks for the operator's token; absent where this process keeps nothing of the kind.
#[derive(Clone, Default)]
pub(crate) struct Desks {
    /// Persons' requests.
    pub(crate) requests: Option<requests::Desk>,
    /// Registers of others.
    pub(crate) import: Option<import::Desk>,
    /// Erasures and copies for an opt-out role elsewhere.
    pub(crate) rights: Option<rights::Desk>,
    /// Acts of commands, for the audit log.
    pub(crate) acts: Option<acts::Desk>,
    /// Where the port's own requests are noted.
    pub(crate) security: security_log::Recorder,
}

/// Asks every part that runs in this process.
pub(crate) type Readiness = Arc<dyn Fn() -> Vec<Part> + Send + Sync>;

/// Serves the port until the task is dropped.
///
/// # Errors
/// When the listener cannot be used.
pub(crate) async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    exporter: Exporter,
    desks: Desks,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true).context("cannot use the admin listener")?;
    let listener = tokio::net::TcpListener::from_std(listener).context("cannot use the admin listener")?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.context("the admin port's slots are gone")?;
        let (stream, peer) = match listener.accept().await {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::warn!(%error, "admin connection not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (readiness, exporter, desks) = (Arc::clone(&readiness), exporter.clone(), desks.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (readiness, exporter, desks) = (Arc::clone(&readiness), exporter.clone(), desks.clone());
                async move {
                    // Where a body ends, a proxy may see otherwise: what follows it is nobody's request.
                    let headers = request.headers();
                    let with_body =
                        headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
                    let mut noted = noted(&request, peer);
                    let mut answer = if request.uri().path().starts_with(REQUESTS) {
                        of_requests(desks.requests.as_ref(), request).await
                    } else if request.uri().path() == import::PATH {
                        as_json(import::answer(desks.import.as_ref(), request).await)
                    } else if request.uri().path() == acts::SECURITY_LOG_READ {
                        as_json(acts::answer(desks.acts.as_ref(), &request).await)
                    } else if matches!(request.uri().path(), rights::ERASURES | rights::COPIES) {
                        rights::answer(desks.rights.as_ref(), request).await
                    } else {
                        answer(&request, &readiness, &exporter)
                    };
                    if with_body {
                        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    noted.status = answer.status().as_u16();
                    noted.bytes = answer.body().size_hint().exact().unwrap_or(0);
                    desks.security.note(&noted);
                    Ok::<_, Infallible>(answer)
                }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(HEAD_SECONDS_MAX))
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "admin connection ended");
            }
            drop(slot);
        });
    }
}

/// A request as the security log has it, by the name of its route.
fn noted<B>(request: &Request<B>, peer: IpAddr) -> Hit {
    let name = match request.uri().path() {
        "/live" | "/ready" | "/metrics" => "probe",
        path if path.starts_with(REQUESTS) => "requests",
        import::PATH => "import",
        rights::ERASURES | rights::COPIES => "rights",
        acts::SECURITY_LOG_READ => "acts",
        _ => "unknown",
    };
    let method = security_log::Method::named(request.method().as_str());
    let now_ms = Clock::System.now_ms();
    Hit { method, ..Hit::unanswered(Role::Admin, name, peer, now_ms) }
}

/// Whether the request brings the operator's token.
fn is_operator(headers: &HeaderMap, token: &aggregator::Token) -> bool {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    sent.and_then(|sent| sent.split_once(' '))
        .is_some_and(|(scheme, sent)| scheme.eq_ignore_ascii_case("bearer") && token.is(sent.trim()))
}

/// Persons' requests, within a time limit: a body may be sent slowly.
async fn of_requests(desk: Option<&requests::Desk>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let told = tokio::time::timeout(REQUEST_TIMEOUT, requests::answer(desk, request)).await;
    as_json(told.unwrap_or_else(|_| (StatusCode::REQUEST_TIMEOUT, json!({"error": "it took too long"}))))
}

fn as_json((status, body): (StatusCode, Value)) -> Response<Full<Bytes>> {
    let mut response = text(status, body.to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn answer<B>(request: &Request<B>, readiness: &Readiness, exporter: &Exporter) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/live" => text(StatusCode::OK, "live\n"),
        "/ready" => ready(&readiness(), part_asked(request.uri().query())),
        "/metrics" => {
            let mut response = text(StatusCode::OK, exporter.render());
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there are /live, /ready and /metrics\n"),
    }
}

fn part_asked(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("part="))
}

fn ready(parts: &[Part], asked: Option<&str>) -> Response<Full<Bytes>> {
    let chosen: Vec<&Part> = parts.iter().filter(|part| asked.is_none_or(|name| name == part.name)).collect();
    if chosen.is_empty() {
        return text(StatusCode::NOT_FOUND, "no such part runs here\n");
    }
    let is_ready = chosen.iter().all(|part| part.not_ready.is_none());
    let described: Map<String, Value> = chosen
        .iter()
        .map(|part| {
            let state = match &part.not_ready {
                None => json!({"ready": true}),
                Some(why) => json!({"ready": false, "reason": why}),
            };
            (part.name.to_owned(), state)
        })
        .collect();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = text(status, json!({"ready": is_ready, "parts": described}).to_string());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn parts() -> Vec<Part> {
        vec![
            Part { name: "pixels", not_ready: Some("journal lane 0: disk full".to_owned()) },
            Part { name: "clicks", not_ready: None },
        ]
    }

    fn body(response: Response<Full<Bytes>>) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let bytes = runtime.block_on(response.into_body().collect()).expect("whole").to_bytes();
        serde_json::from_slice(&bytes).expect("JSON")
    }

    #[test]
    fn one_part_that_is_not_ready_turns_all_red_and_the_others_can_be_asked_alone() {
        let all = ready(&parts(), None);
        assert_eq!(all.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body(all)["parts"]["pixels"]["reason"], "journal lane 0: disk full");
        assert_eq!(ready(&parts(), part_asked(Some("part=clicks"))).status(), StatusCode::OK);
        assert_eq!(ready(&parts(), Some("store")).status(), StatusCode::NOT_FOUND);
    }
}
