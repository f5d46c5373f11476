//! Erasures and copies on the admin port of an aggregator, for an opt-out role in another process.
//!
//! | | |
//! |---|---|
//! | `POST /v1/rights/erasures` `{"request":7,"devices":["32 hex digits",…],"until_ms":…}` | erases; answers with what was done, when it is |
//! | `POST /v1/rights/copies` `{"devices":[…]}` | the file |
//!
//! With the operator's token, over a network of the operator's own: a device key is a person's, even if nobody can tell whose. Both can be asked for again
//! at any time. Must never: write a key to a log.

use std::path::{Path, PathBuf};

use aggregator::{Copied, Erased, Erasure, Rights};
use bytes::Bytes;
use event::key::DeviceKey;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use opt_out::requests::KEYS_MAX;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Where erasures are asked for.
pub(crate) const ERASURES: &str = "/v1/rights/erasures";
/// Where copies are.
pub(crate) const COPIES: &str = "/v1/rights/copies";
/// Bytes of a device key.
const KEY_BYTES: usize = 16;
/// Longest body: the keys of one request in hex, with quotes and commas, and the rest.
const BODY_BYTES_MAX: usize = KEYS_MAX * (2 * KEY_BYTES + 3) + 200;
/// How long a body may take.
const BODY_TIME: std::time::Duration = std::time::Duration::from_secs(30);

/// What the routes work on.
#[derive(Clone)]
pub(crate) struct Desk {
    /// Of the aggregator of this process.
    pub(crate) rights: Rights,
    /// The operator's token.
    pub(crate) token: aggregator::Token,
    /// Where what is done is entered.
    pub(crate) audit: audit::Log,
    /// A folder for files of copies on their way.
    pub(crate) dir: PathBuf,
}

/// What is asked for, by whoever keeps the requests.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// A number of the request's own.
    #[serde(default)]
    pub(crate) request: u64,
    /// Device keys in hex.
    pub(crate) devices: Vec<String>,
    /// Of an erasure: what was received before is erased. Unix milliseconds.
    #[serde(default)]
    pub(crate) until_ms: i64,
}

/// What an erasure did.
#[derive(Deserialize, Serialize)]
pub(crate) struct Done {
    events: u64,
    unresolved: u64,
    trial_events: u64,
    days_settled: u32,
    days_standing: u32,
}

impl From<Erased> for Done {
    fn from(erased: Erased) -> Self {
        let Erased { events, unresolved, trial_events, days_settled, days_standing } = erased;
        Self { events, unresolved, trial_events, days_settled, days_standing }
    }
}

impl From<Done> for Erased {
    fn from(done: Done) -> Self {
        let Done { events, unresolved, trial_events, days_settled, days_standing } = done;
        Self { events, unresolved, trial_events, days_settled, days_standing }
    }
}

impl Asked {
    /// Of these keys.
    pub(crate) fn of(request: u64, devices: &[DeviceKey], until_ms: i64) -> Self {
        let hex = |key: &DeviceKey| format!("{:032x}", u128::from_be_bytes(key.0));
        Self { request, devices: devices.iter().map(hex).collect(), until_ms }
    }

    fn keys(&self) -> Option<Vec<DeviceKey>> {
        let key = |text: &String| {
            let is_hex = text.len() == 2 * KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
            Some(DeviceKey(number.to_be_bytes()))
        };
        self.devices.iter().map(key).collect()
    }
}

/// Answers a request whose path is one of the two. `desk` is `None` where this process runs no aggregator.
pub(crate) async fn answer<B>(desk: Option<&Desk>, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data: Send>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(desk) = desk else {
        return problem(StatusCode::NOT_IMPLEMENTED, "this process runs no aggregator");
    };
    if !super::is_operator(request.headers(), &desk.token) {
        return problem(StatusCode::UNAUTHORIZED, super::TOKEN_NEEDED);
    }
    if request.method() != Method::POST {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "only POST");
    }
    let is_erasure = request.uri().path() == ERASURES;
    let body =
        tokio::time::timeout(BODY_TIME, Limited::new(request.into_body(), BODY_BYTES_MAX).collect()).await;
    let asked: Option<Asked> =
        body.ok().and_then(Result::ok).and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
    let Some((asked, keys)) = asked.and_then(|asked| asked.keys().map(|keys| (asked, keys))) else {
        return problem(StatusCode::BAD_REQUEST, "the body is no request for an erasure or a copy");
    };
    let desk = desk.clone();
    let work = move || if is_erasure { erase(&desk, &asked, &keys) } else { copy(&desk, &asked, &keys) };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(body)) => response(StatusCode::OK, body),
        Ok(Err(error)) => {
            tracing::error!(error = format_args!("{error:#}"), "an erasure or a copy failed");
            problem(StatusCode::SERVICE_UNAVAILABLE, "it was not done, or not whole: ask again")
        }
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "it was not done: see the log"),
    }
}

fn erase(desk: &Desk, asked: &Asked, keys: &[DeviceKey]) -> anyhow::Result<Vec<u8>> {
    enter(desk, "rights.erase", asked)?;
    let erasure = Erasure { request: asked.request, devices: keys, until_ms: asked.until_ms };
    let erased = desk.rights.erase(&erasure)?;
    Ok(serde_json::to_vec(&Done::from(erased))?)
}

fn copy(desk: &Desk, asked: &Asked, keys: &[DeviceKey]) -> anyhow::Result<Vec<u8>> {
    enter(desk, "rights.copy", asked)?;
    std::fs::create_dir_all(&desk.dir)?;
    let path = desk.dir.join(format!("copy-{:016x}.json", getrandom::u64()?));
    let copied = desk.rights.copy(keys, &path);
    let read = copied.map_err(anyhow::Error::from).and_then(|_| Ok(std::fs::read(&path)?));
    // Nothing of it is kept here.
    let _ = std::fs::remove_file(&path);
    read
}

fn enter(desk: &Desk, act: &'static str, asked: &Asked) -> Result<u64, audit::Error> {
    let object = format!("request {:016x}", asked.request);
    desk.audit.append(&audit::Entry::new("operator", act, object, json!({})))
}

/// What the end of a copy's file says of it.
pub(crate) fn copied(file: &[u8]) -> serde_json::Result<Copied> {
    #[derive(Deserialize)]
    struct Tail {
        number_of_rows: u64,
        complete: bool,
    }
    let Tail { number_of_rows, complete } = serde_json::from_slice(file)?;
    Ok(Copied { rows: number_of_rows, bytes: file.len() as u64, is_complete: complete })
}

/// Removes what a crash left of copies on their way.
pub(crate) fn tidy(dir: &Path) {
    // It is made again when it is needed.
    let _ = std::fs::remove_dir_all(dir);
}

fn problem(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    response(status, json!({ "error": message }).to_string().into_bytes())
}

fn response(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_there_as_they_are_and_nothing_else_does() {
        let keys = [DeviceKey([0; 16]), DeviceKey(*b"abcdefghijklmnop"), DeviceKey([0xff; 16])];
        assert_eq!(Asked::of(7, &keys, 1).keys(), Some(keys.to_vec()));
        for wrong in ["", "00", "+1111111111111111111111111111111", &"0".repeat(34), &"g".repeat(32)] {
            let asked = Asked { request: 1, devices: vec![wrong.to_owned()], until_ms: 1 };
            assert_eq!(asked.keys(), None, "{wrong}");
        }
    }

    #[test]
    fn a_copy_says_what_it_holds() {
        let file = br#"{"made_at":"x","rows":[{"complete":false}],"number_of_rows":1,"complete":true}"#;
        assert_eq!(
            copied(file).expect("a copy"),
            Copied { rows: 1, bytes: file.len() as u64, is_complete: true }
        );
        assert!(copied(b"{\"rows\":[]").is_err(), "cut short");
    }
}
