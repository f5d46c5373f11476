//! Acts of commands that do not need the process, entered in its audit log because it alone writes that: `POST /v1/acts/security-log-read?since=DAY`.
//!
//! It asks for the operator's token, and enters nothing but what has a route here: nobody writes a line of his own wording.

use audit::Entry;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

/// Somebody is about to read the security log.
pub(crate) const SECURITY_LOG_READ: &str = "/v1/acts/security-log-read";

/// What the route works on.
#[derive(Clone)]
pub(crate) struct Desk {
    /// Where acts are entered.
    pub(crate) audit: audit::Log,
    /// The operator's token.
    pub(crate) token: aggregator::Token,
}

/// The entry of a reading of the security log, from a day on.
pub(crate) fn security_log_read(since: Option<chrono::NaiveDate>) -> Entry {
    let details = json!({ "since": since.map(|day| day.to_string()) });
    Entry::new("command line", "security_log.read", "security log", details)
}

/// Answers a request to [`SECURITY_LOG_READ`]. `desk` is `None` before the process has started.
pub(crate) async fn answer<B>(desk: Option<&Desk>, request: &Request<B>) -> (StatusCode, Value) {
    let problem = |status, why: String| (status, json!({ "error": why }));
    if request.method() != Method::POST {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "only POST".to_owned());
    }
    let Some(desk) = desk else {
        return problem(StatusCode::NOT_IMPLEMENTED, "this process writes no audit log".to_owned());
    };
    if !super::is_operator(request.headers(), &desk.token) {
        return problem(StatusCode::UNAUTHORIZED, super::TOKEN_NEEDED.to_owned());
    }
    let since = request.uri().query().and_then(|query| query.strip_prefix("since="));
    let Ok(since) = since.map(str::parse).transpose() else {
        return problem(StatusCode::BAD_REQUEST, "since is a day such as 2026-11-01".to_owned());
    };
    let audit = desk.audit.clone();
    let entered = tokio::task::spawn_blocking(move || audit.append(&security_log_read(since))).await;
    match entered {
        Ok(Ok(number)) => (StatusCode::OK, json!({ "entry": number })),
        Ok(Err(error)) => problem(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}
