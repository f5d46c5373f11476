//! From a request to its answer: routes, limits of the body, the rate limit, and the headers that every answer carries.
//!
//! | path | methods |
//! |---|---|
//! | `/`, `/opt-out` | `GET`, `HEAD`: the page; `/opt-out` also `POST`: its form |
//! | `/opt-out.css`, `/opt-out.js`, `/opt-out-hash.js` | `GET`, `HEAD`: what the page loads |
//! | `/opt-out/probe`, `…/probe.js`, `…/probe.svg` | `GET`, `HEAD`: the frame that finds out whether cookies come from pages of other sites |
//! | `/v1/opt-outs`, `/v1/opt-ins`, `/v1/status` | `POST` |
//! | `/v1/erasures`, `/v1/copies` | `POST` |
//! | `/v1/requests/{receipt}`, `/v1/requests/{receipt}/copy` | `GET`, `HEAD`: with the receipt's secret |
//! | `/dsrdelete.json`, `/.well-known/iabtl/…` | `GET`, `HEAD`: what other companies may have deleted, and our keys |
//! | `/v1/dsr` | `POST`: their signed requests |
//! | `/openapi.yaml` | `GET`, `HEAD`: the API described |
//! | `/v1/heartbeat` | `GET`, `HEAD`: for the nodes of a cluster; on one machine there is none |
//!
//! A request that announces a body is the last one of its connection. Where its end lies, a proxy may see otherwise than we do (lengths that
//! contradict each other), and then what it takes for the body of one request would be read here as the next, of somebody else.
//!
//! It must never log or count anything that a request says about a person: path names below are our own, never the request's.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_ENCODING,
    CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, TRANSFER_ENCODING, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use security_log::{Hit, Role};

use crate::cookies::{self, Cookies};
use crate::desk::Desk;
use crate::dsr::exchange;
use crate::form::{self, Fields, To};
use crate::metrics::{Answer, Route};
use crate::page::{self, Language, Notice, View};
use crate::problem::Problem;
use crate::record::Source;
use crate::requests::Kind;
use crate::{address, api, heartbeat, origin, rights};

pub(crate) const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// The API described, OpenAPI 3.1.
const DESCRIPTION: &str = include_str!("../openapi.yaml");

/// Nothing but our own style sheet, scripts, frame and forms; nobody may put the page into a frame.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; \
                           frame-ancestors 'none'";
/// A frame of the page that has no origin, and so counts as another site.
const PROBE_POLICY: &str = "sandbox allow-scripts; default-src 'none'; script-src 'self'; img-src 'self'; base-uri 'none'; \
                            frame-ancestors 'self'";
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A picture by whose width the frame sees whether its cookie came along.
const PROBE_PICTURE: &str = "/opt-out/probe.svg";
const PICTURE_WIDE: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"2\" height=\"1\"/>";
const PICTURE_NARROW: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"/>";

/// Answers one request. `peer` is the connection's other end.
pub(crate) async fn answer(desk: &Desk, peer: IpAddr, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let is_last = announces_body(request.headers());
    let (route, allowed) = route(request.method(), request.uri().path());
    let method = security_log::Method::named(request.method().as_str());
    let address = address::client(peer, request.headers(), &desk.settings.trusted_proxies);
    let (ended, mut response) = match route {
        _ if allowed.is_some_and(|allowed| {
            !allowed.split(", ").any(|method| method == request.method().as_str())
        }) =>
        {
            refused(&Problem::Method(allowed.unwrap_or_default()))
        }
        Route::Page => (Answer::Done, home(desk, &request)),
        Route::Asset => (Answer::Done, asset(&request)),
        Route::Form => submit(desk, peer, request).await,
        Route::OptOuts | Route::OptIns | Route::Status | Route::Erasures | Route::Copies => {
            call(desk, peer, route, request).await
        }
        Route::Request | Route::RequestCopy => request_of(desk, peer, route, &request).await,
        Route::DeletionFile => exchange::file(desk, request.uri().path()),
        Route::Deletion => exchange::post(desk, peer, request).await,
        Route::Heartbeat => beat(desk),
        Route::Description => {
            (Answer::Done, respond(StatusCode::OK, "application/yaml", DATA_POLICY, DESCRIPTION.into()))
        }
        Route::Other => refused(&Problem::NotFound),
    };
    desk.metrics.request(route, ended);
    desk.security.note(&Hit {
        time_ms: desk.now_ms(),
        address: Some(address),
        route: security_log::Route::named(Role::Page, route.label()),
        method,
        status: response.status().as_u16(),
        bytes: response.body().size_hint().exact().unwrap_or(0),
    });
    if is_last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a head says that a body follows, of whatever length.
fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0")
}

/// The route of a path, and the methods that it takes.
fn route(method: &Method, path: &str) -> (Route, Option<&'static str>) {
    match path {
        "/" => (Route::Page, Some("GET, HEAD")),
        "/opt-out" if method == Method::POST => (Route::Form, Some("GET, HEAD, POST")),
        "/opt-out" => (Route::Page, Some("GET, HEAD, POST")),
        "/opt-out.css" | "/opt-out.js" | "/opt-out-hash.js" | "/opt-out/probe" | "/opt-out/probe.js"
        | PROBE_PICTURE => (Route::Asset, Some("GET, HEAD")),
        "/v1/opt-outs" => (Route::OptOuts, Some("POST")),
        "/v1/opt-ins" => (Route::OptIns, Some("POST")),
        "/v1/status" => (Route::Status, Some("POST")),
        "/v1/erasures" => (Route::Erasures, Some("POST")),
        "/v1/copies" => (Route::Copies, Some("POST")),
        "/openapi.yaml" => (Route::Description, Some("GET, HEAD")),
        heartbeat::PATH => (Route::Heartbeat, Some("GET, HEAD")),
        _ => match receipt_of(path) {
            Some((_, "")) => (Route::Request, Some("GET, HEAD")),
            Some((_, "copy")) => (Route::RequestCopy, Some("GET, HEAD")),
            Some(_) | None => match exchange::route(path) {
                Some((route, allowed)) => (route, Some(allowed)),
                None => (Route::Other, None),
            },
        },
    }
}

/// The receipt in the path of a request, and what is asked of it.
fn receipt_of(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/v1/requests/")?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

fn home(desk: &Desk, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let query = Fields::parse(request.uri().query().unwrap_or_default().as_bytes());
    let language = language(request.headers(), &query);
    let cookies = Cookies::read(request.headers());
    let notice = form::Changed::said(&query, cookies.opted_out);
    let view = View::of(request.headers(), notice, None);
    let html = page::home(desk, language, &cookies, &view);
    // Each visit renews the cookies: browsers forget them after 400 days.
    let domain = desk.settings.cookie_domain.as_deref();
    let renewed = cookies.opted_out.then(|| cookies::set_opt_out(domain)).flatten();
    let receipts = (!cookies.receipts.is_empty()).then(|| cookies.set_receipts()).flatten();
    page(StatusCode::OK, language, html, renewed.into_iter().chain(receipts))
}

/// The page's form.
async fn submit(desk: &Desk, peer: IpAddr, request: Request<Incoming>) -> (Answer, Response<Full<Bytes>>) {
    let (head, body) = request.into_parts();
    let body = admitted(desk, peer, &head.headers, FORM, body).await;
    let fields = Fields::parse(body.as_deref().unwrap_or_default());
    let (language, kind) = (language(&head.headers, &fields), form::kind(&fields));
    let cookies = || Cookies::read(&head.headers);
    let from = origin::of(&head.headers, &desk.settings.public_origins);
    let done = match &body {
        Ok(_) => form::post(desk, &fields, language, cookies(), from).await,
        Err(_) => Err(Problem::Form),
    };
    match body.and(done) {
        Ok(form::Answer { to: To::Html(html), cookies }) => {
            (Answer::Done, page(StatusCode::OK, language, html, cookies))
        }
        Ok(form::Answer { to: To::File(file), .. }) => (Answer::Done, copy_file(file)),
        Ok(form::Answer { to: To::Home(changed), cookies }) => {
            let mut response = page(StatusCode::SEE_OTHER, language, String::new(), cookies);
            let target = format!("/opt-out?lang={}&done={}", language.code(), changed.name());
            let target = HeaderValue::try_from(target).expect("names of our own");
            response.headers_mut().insert(LOCATION, target);
            (Answer::Done, response)
        }
        Err(problem) => {
            let view = View::of(&head.headers, Some(Notice::Problem(&problem)), kind);
            let html = page::home(desk, language, &cookies(), &view);
            let response = page(problem.status(), language, html, None);
            (problem.answer(), with_retry(response, &problem))
        }
    }
}

/// The API.
async fn call(
    desk: &Desk,
    peer: IpAddr,
    route: Route,
    request: Request<Incoming>,
) -> (Answer, Response<Full<Bytes>>) {
    let (head, body) = request.into_parts();
    let taken = match route {
        Route::OptOuts | Route::Erasures | Route::Copies => admitted_from_app(desk, peer, &head, body).await,
        _ => admitted(desk, peer, &head.headers, JSON, body).await.map(|body| (body, Source::Api)),
    };
    let (body, source) = match taken {
        Ok(taken) => taken,
        Err(problem) => return refused(&problem),
    };
    let cookies = Cookies::read(&head.headers);
    let from = origin::of(&head.headers, &desk.settings.public_origins);
    let done = match route {
        Route::OptOuts => api::opt_outs(desk, &body, source).await,
        Route::OptIns => api::opt_ins(desk, &body, cookies, from).await,
        Route::Status => api::status(desk, &body, cookies, from),
        Route::Erasures => rights::ask(desk, Kind::Erasure, &body, source, (&head.headers, from)).await,
        Route::Copies => rights::ask(desk, Kind::Copy, &body, source, (&head.headers, from)).await,
        Route::Page
        | Route::Asset
        | Route::Form
        | Route::Request
        | Route::RequestCopy
        | Route::Deletion
        | Route::DeletionFile
        | Route::Heartbeat
        | Route::Description
        | Route::Other => Err(Problem::NotFound),
    };
    match done {
        Ok(done) => {
            let is_begun = matches!(route, Route::Erasures | Route::Copies);
            let status = if is_begun { StatusCode::ACCEPTED } else { StatusCode::OK };
            let mut response = data(status, done.body);
            done.cookies.into_iter().for_each(|cookie| {
                response.headers_mut().append(SET_COOKIE, cookie);
            });
            (Answer::Done, response)
        }
        Err(problem) => refused(&problem),
    }
}

/// A person's request, asked after by its holder.
async fn request_of(
    desk: &Desk,
    peer: IpAddr,
    route: Route,
    request: &Request<Incoming>,
) -> (Answer, Response<Full<Bytes>>) {
    let (receipt, _) = receipt_of(request.uri().path()).unwrap_or_default();
    if let Err(problem) = admit_address(desk, peer, request.headers()) {
        return refused(&problem);
    }
    let body = match route {
        Route::RequestCopy => rights::copy(desk, receipt, request.headers()).await,
        _ => rights::state(desk, receipt, request.headers()).map(|answer| answer.body),
    };
    match body {
        Ok(body) => {
            let is_copy = route == Route::RequestCopy;
            (Answer::Done, if is_copy { copy_file(body) } else { data(StatusCode::OK, body) })
        }
        Err(problem) => refused(&problem),
    }
}

/// A copy of a person's data, as a file to be saved.
fn copy_file(body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = data(StatusCode::OK, body);
    let saved = HeaderValue::from_static("attachment; filename=\"sightline-copy.json\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, saved);
    response
}

/// The body of a request that is within its limits: rate, type, length, time.
async fn admitted(
    desk: &Desk,
    peer: IpAddr,
    headers: &HeaderMap,
    media_type: &'static str,
    body: Incoming,
) -> Result<Bytes, Problem> {
    admit_address(desk, peer, headers)?;
    collected(desk, headers, media_type, body).await
}

/// The body of a call that an app may have signed, and who asks. What is not shown to be an app's counts against the address that it came from.
async fn admitted_from_app(
    desk: &Desk,
    peer: IpAddr,
    head: &Parts,
    body: Incoming,
) -> Result<(Bytes, Source), Problem> {
    let refuse = |refused| match admit_address(desk, peer, &head.headers) {
        Ok(()) => Problem::Signature(refused),
        Err(problem) => problem,
    };
    let Some(claim) = desk.apps.claim(&head.headers, desk.now_ms()) else {
        return Ok((admitted(desk, peer, &head.headers, JSON, body).await?, Source::Api));
    };
    let claim = claim.map_err(refuse)?;
    let body = collected(desk, &head.headers, JSON, body).await?;
    let app = claim.verify(head, &body).map_err(refuse)?;
    desk.admit_app(&app).map_err(|problem| match problem {
        Problem::Signature(refused) => refuse(refused),
        other => other,
    })?;
    Ok((body, Source::App(app.name)))
}

pub(crate) fn admit_address(desk: &Desk, peer: IpAddr, headers: &HeaderMap) -> Result<(), Problem> {
    let client = address::client(peer, headers, &desk.settings.trusted_proxies);
    desk.admit(address::subscriber(client))
}

/// A body of this type that is within its limits: length, time.
pub(crate) async fn collected(
    desk: &Desk,
    headers: &HeaderMap,
    media_type: &'static str,
    body: Incoming,
) -> Result<Bytes, Problem> {
    let limits = &desk.settings.limits;
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(media_type) || headers.contains_key(CONTENT_ENCODING) {
        return Err(Problem::MediaType(media_type));
    }
    let too_large = Problem::BodyTooLarge(limits.body_bytes_max);
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.body_bytes_max as u64) {
        return Err(too_large);
    }
    let collected = Limited::new(body, limits.body_bytes_max).collect();
    match tokio::time::timeout(Duration::from_secs(limits.body_seconds_max), collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_)) => Err(Problem::BodyBroken),
        Err(_) => Err(Problem::BodyTimeout),
    }
}

fn language(headers: &HeaderMap, fields: &Fields<'_>) -> Language {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::choose(fields.text("lang"), accepted)
}

fn page(
    status: StatusCode,
    language: Language,
    html: String,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response<Full<Bytes>> {
    let mut response = respond(status, "text/html; charset=utf-8", PAGE_POLICY, html.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(VARY, HeaderValue::from_static("Accept-Language, Cookie, Sec-GPC"));
    // Not `no-referrer`: with it browsers send `Origin: null` with the page's own form, and the older ones could not prove that it is ours.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    cookies.into_iter().for_each(|cookie| {
        headers.append(SET_COOKIE, cookie);
    });
    response
}

/// What the page loads. The two parts of the frame are asked for by a frame without an origin, which is another site's for the browser.
fn asset(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let (media_type, policy, body) = match request.uri().path() {
        "/opt-out.js" => (SCRIPT, DATA_POLICY, page::SCRIPT),
        "/opt-out-hash.js" => (SCRIPT, DATA_POLICY, page::HASH_SCRIPT),
        "/opt-out/probe" => ("text/html; charset=utf-8", PROBE_POLICY, page::PROBE),
        "/opt-out/probe.js" => (SCRIPT, DATA_POLICY, page::PROBE_SCRIPT),
        PROBE_PICTURE => {
            let seen = cookies::has_probe(request.headers(), request.uri().query().unwrap_or_default());
            ("image/svg+xml", DATA_POLICY, if seen { PICTURE_WIDE } else { PICTURE_NARROW })
        }
        _ => ("text/css; charset=utf-8", DATA_POLICY, page::STYLE),
    };
    let mut response = respond(StatusCode::OK, media_type, policy, body.into());
    if matches!(request.uri().path(), "/opt-out/probe.js" | PROBE_PICTURE) {
        response.headers_mut().insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    }
    response
}

pub(crate) fn data(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    respond(status, JSON, DATA_POLICY, body.into())
}

/// How far the registry reaches. No log line for a refusal: nodes ask every second, and the registry has said why it is not ready.
fn beat(desk: &Desk) -> (Answer, Response<Full<Bytes>>) {
    match desk.registry.beat() {
        Some(Ok(beat)) => (Answer::Done, data(StatusCode::OK, api::to_json(&beat))),
        Some(Err(_)) => refused(&Problem::Unavailable),
        None => refused(&Problem::NotFound),
    }
}

pub(crate) fn refused(problem: &Problem) -> (Answer, Response<Full<Bytes>>) {
    (problem.answer(), with_retry(data(problem.status(), api::problem(problem)), problem))
}

fn with_retry(mut response: Response<Full<Bytes>>, problem: &Problem) -> Response<Full<Bytes>> {
    if let Some(seconds) = problem.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Problem::Signature(_) = problem {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Sightline-Signature"));
    }
    if let Problem::Method(allowed) = problem {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

fn respond(
    status: StatusCode,
    media_type: &'static str,
    policy: &'static str,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
