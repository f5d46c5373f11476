//! Registers of others, on the admin port: `POST /v1/opt-outs/import`, a portion of ids at a time ([`opt_out::import`] has the body's form).
//!
//! It asks for the operator's token (`Authorization: Bearer`), unlike what only looks: whoever may import can leave out any device whose id he has.
//! It must never answer, log or count with an identifier.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::{Method, Request, StatusCode};
use opt_out::RegistryError;
use opt_out::import::{BODY_BYTES_MAX, ImportError, Importer, Outcome};
use serde_json::{Value, json};

/// Where it is.
pub(crate) const PATH: &str = "/v1/opt-outs/import";
/// Longest that a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the route works on.
#[derive(Clone)]
pub(crate) struct Desk {
    /// Into the registry of this process.
    pub(crate) importer: Importer,
    /// The operator's token.
    pub(crate) token: aggregator::Token,
}

/// An answer: its status and body.
pub(crate) type Told = (StatusCode, Value);

fn problem(status: StatusCode, message: impl std::fmt::Display) -> Told {
    (status, json!({ "error": message.to_string() }))
}

/// Answers a request to [`PATH`]. `desk` is `None` where this process keeps no registry.
pub(crate) async fn answer<B>(desk: Option<&Desk>, request: Request<B>) -> Told
where
    B: Body<Data: Send>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if request.method() != Method::POST {
        return problem(StatusCode::METHOD_NOT_ALLOWED, "only POST");
    }
    let Some(desk) = desk else {
        return problem(
            StatusCode::NOT_IMPLEMENTED,
            "this process keeps no opt-out registry: ask one that runs `standalone` or `opt-out`",
        );
    };
    if !super::is_operator(request.headers(), &desk.token) {
        return problem(StatusCode::UNAUTHORIZED, super::TOKEN_NEEDED);
    }
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return problem(StatusCode::PAYLOAD_TOO_LARGE, ImportError::TooMany);
        }
        Ok(Err(_)) => return problem(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    };
    match desk.importer.take(body).await {
        Ok(imported) => {
            let results: Vec<&str> = imported.outcomes.into_iter().map(Outcome::name).collect();
            (StatusCode::OK, json!({ "results": results }))
        }
        Err(error) => problem(status_of(&error), error),
    }
}

fn status_of(error: &ImportError) -> StatusCode {
    match error {
        ImportError::Body | ImportError::Register => StatusCode::BAD_REQUEST,
        ImportError::TooMany => StatusCode::PAYLOAD_TOO_LARGE,
        ImportError::Registry(RegistryError::Full { .. }) => StatusCode::INSUFFICIENT_STORAGE,
        ImportError::Audit(_) | ImportError::Registry(RegistryError::Unavailable(_)) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ImportError::Registry(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
