//! Why a request is not answered as asked, and what the caller is told of it.
//!
//! Must never: show the engine's words to a caller.

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::{Value, json};

use super::campaigns::NotChanged;
use super::{Answer, json_answer};
use crate::form::FormError;
use crate::metrics;
use crate::report::Refused;
use crate::sheet::CellError;
use crate::store::{MEMORY_LIMIT_EXCEEDED, REPORT_SECONDS_MAX, StoreError, TIMEOUT_EXCEEDED};
use crate::tokens::Refusal;
use crate::told::Told;

/// Why there is no answer.
pub(super) enum Problem {
    Unauthorized,
    Forbidden,
    Limited(u64),
    TokensUnknown,
    NotFound(&'static str),
    Method(&'static str),
    Refused(Refused),
    /// What is entered is wrong at one key, or as a whole.
    Field {
        key: &'static str,
        mistake: Told,
    },
    UnknownCampaign,
    UnknownPlacement,
    UnknownToken,
    Desk(desk::Error),
    Entry(Entry),
    Behind,
    NotSettler,
    Store(StoreError),
    Form(FormError),
    Busy,
    Audit,
    /// A change to the catalog that was not made.
    NotChanged(NotChanged),
}

/// Why what people enter is not taken, or not shown.
pub(super) enum Entry {
    Unread,
    Full(String),
    /// Which days, where that is why.
    NotSettled {
        message: String,
        days: Vec<String>,
    },
    Changing(String),
    Sheet(Box<Wrong>),
    TooLong(usize),
}

impl Entry {
    fn words(self) -> (StatusCode, &'static str, String) {
        match self {
            Self::Unread => (
                StatusCode::SERVICE_UNAVAILABLE,
                "desk_unread",
                "what people entered cannot be read at present; the log says why".to_owned(),
            ),
            Self::NotSettled { message, .. } => (StatusCode::CONFLICT, "not_settled", message),
            Self::Changing(message) => (StatusCode::SERVICE_UNAVAILABLE, "not_confirmed", message),
            Self::Full(message) => (StatusCode::UNPROCESSABLE_ENTITY, "full", message),
            Self::Sheet(wrong) => (StatusCode::UNPROCESSABLE_ENTITY, "sheet", wrong.message),
            Self::TooLong(max) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the body is longer than {max} bytes: give it in several parts"),
            ),
        }
    }
}

/// What is wrong in an upload.
#[derive(Debug, Default, Serialize)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) cells: Vec<CellError>,
    /// Those that are not listed too.
    pub(super) cell_count: usize,
    pub(super) ignored_columns: Vec<String>,
    /// Why the file as a whole cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mistake: Option<Told>,
}

impl Problem {
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Unknown => Self::Unauthorized,
            Refusal::Limited(seconds) => Self::Limited(*seconds),
            Refusal::Behind => Self::TokensUnknown,
        }
    }

    pub(super) fn answer(self) -> Answer {
        let header = match &self {
            Self::Method(allowed) => Some((ALLOW, HeaderValue::from_static(allowed))),
            Self::Limited(seconds) => Some((RETRY_AFTER, HeaderValue::from(*seconds))),
            Self::Unauthorized => Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => None,
        };
        let more = match &self {
            Self::Entry(Entry::Sheet(wrong)) => serde_json::to_value(wrong).unwrap_or_default(),
            Self::NotChanged(refused) => Value::Object(refused.more.clone()),
            Self::Field { key, mistake } => {
                let mut wrong = serde_json::to_value(mistake).unwrap_or_default();
                if let Some(wrong) = wrong.as_object_mut() {
                    wrong.insert("key".to_owned(), (*key).into());
                }
                json!({ "fields": [wrong] })
            }
            Self::Entry(Entry::NotSettled { days, .. }) => json!({ "days": days }),
            _ => Value::Null,
        };
        let (status, code, message) = self.words();
        let mut error = json!({ "code": code, "message": message });
        if let (Some(error), Value::Object(more)) = (error.as_object_mut(), more) {
            error.extend(more);
        }
        let mut answer = json_answer(status, &json!({ "error": error }));
        if let Some((name, value)) = header {
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    /// Status, code and message; what is ours to mend is counted and logged.
    fn words(self) -> (StatusCode, &'static str, String) {
        match self {
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send Authorization: Bearer with a token that is in force".to_owned(),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "forbidden",
                "a token of another role is needed for this".to_owned(),
            ),
            Self::Limited(seconds) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                format!("this token asks too often; again in {seconds} s"),
            ),
            Self::TokensUnknown => (
                StatusCode::SERVICE_UNAVAILABLE,
                "tokens_unknown",
                "which tokens are in force cannot be said at present; try again".to_owned(),
            ),
            Self::NotFound(message) => (StatusCode::NOT_FOUND, "not_found", message.to_owned()),
            Self::Method(allowed) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                format!("only {allowed} is allowed here"),
            ),
            Self::Refused(Refused::Bad(message)) => (StatusCode::BAD_REQUEST, "bad_parameter", message),
            Self::Field { mistake, .. } => (StatusCode::BAD_REQUEST, "bad_parameter", mistake.message),
            Self::Refused(Refused::NotOffered(message)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "not_offered", message)
            }
            Self::UnknownCampaign => {
                (StatusCode::NOT_FOUND, "unknown_campaign", "no campaign of that id is known".to_owned())
            }
            Self::UnknownPlacement => {
                (StatusCode::NOT_FOUND, "unknown_placement", "no placement of that id is known".to_owned())
            }
            Self::UnknownToken => {
                (StatusCode::NOT_FOUND, "unknown_token", "no token of that id is known".to_owned())
            }
            Self::Desk(error) => desk_words(&error),
            Self::Entry(entry) => entry.words(),
            Self::NotChanged(refused) => (refused.code.status(), refused.code.name(), refused.message),
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
            Self::Store(error) => store_words(&error),
            Self::Form(error) => form_words(&error),
            Self::Audit => (
                StatusCode::SERVICE_UNAVAILABLE,
                "audit",
                "the audit log cannot be written, so nothing is shown and nothing done; try again".to_owned(),
            ),
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping", "the program is being stopped".to_owned())
            }
        }
    }
}

/// The store does not answer.
fn store_words(error: &StoreError) -> (StatusCode, &'static str, String) {
    metrics::reports_failed(1);
    if error.is_passing() {
        tracing::error!(%error, "the store cannot be reached");
        let words = "the store cannot be reached at present; try again";
        return (StatusCode::SERVICE_UNAVAILABLE, "store_away", words.to_owned());
    }
    tracing::error!(%error, "a request to the report API failed");
    let words = "the store could not answer; see the log";
    (StatusCode::INTERNAL_SERVER_ERROR, "store", words.to_owned())
}

/// A report that cannot be written in the form that was asked for.
fn form_words(error: &FormError) -> (StatusCode, &'static str, String) {
    match error {
        FormError::TooLarge(_) => (StatusCode::UNPROCESSABLE_ENTITY, "not_offered", error.to_string()),
        FormError::Broken { .. } => {
            metrics::reports_failed(1);
            tracing::error!(%error, "a report cannot be written");
            let words = "the report could not be written; see the log";
            (StatusCode::INTERNAL_SERVER_ERROR, "form", words.to_owned())
        }
    }
}

/// A write to the desk that is not known to be in force.
fn desk_words(error: &desk::Error) -> (StatusCode, &'static str, String) {
    tracing::error!(%error, "what was entered was not kept");
    match error {
        desk::Error::Full { .. } | desk::Error::NoRoom { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "full", error.to_string()),
        desk::Error::Behind(_) | desk::Error::Unconfirmed(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not_confirmed",
            "it is not confirmed that this is kept: it may be in force now or later; look before you try again".to_owned(),
        ),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "not_kept",
            "this could not be kept; see the log".to_owned(),
        ),
    }
}

impl From<FormError> for Problem {
    fn from(error: FormError) -> Self {
        Self::Form(error)
    }
}

/// A report that the store broke off, because it takes in more than it may: the caller can ask for less.
pub(super) fn too_large(error: StoreError, statement_bytes_max: u64) -> Problem {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::campaigns::Code;

    #[test]
    fn every_code_is_in_the_description() {
        let description: Value = yaml_serde::from_str(crate::api::answers::DESCRIPTION).expect("YAML");
        let pointer = "/components/schemas/Problem/properties/error/properties/code/enum";
        let mut described: Vec<&str> = description
            .pointer(pointer)
            .and_then(Value::as_array)
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let store = |code: u32| {
            let message = format!("Code: {code}. DB::Exception: words");
            StoreError::Engine(crate::engine::EngineError::Statement { message })
        };
        let broken = || FormError::Broken { form: "xlsx", why: String::new() };
        for problem in [
            Problem::Unauthorized,
            Problem::Forbidden,
            Problem::Limited(1),
            Problem::TokensUnknown,
            Problem::UnknownPlacement,
            Problem::UnknownToken,
            Problem::Desk(desk::Error::Full { kind: "tokens", max: 1 }),
            Problem::Desk(desk::Error::Unconfirmed(String::new())),
            Problem::Desk(desk::Error::Id),
            Problem::Entry(Entry::Unread),
            Problem::Entry(Entry::Full(String::new())),
            Problem::Entry(Entry::NotSettled { message: String::new(), days: Vec::new() }),
            Problem::Field { key: "", mistake: Told::default() },
            Problem::Entry(Entry::Changing(String::new())),
            Problem::Entry(Entry::Sheet(Box::default())),
            Problem::Entry(Entry::TooLong(1)),
            Problem::NotFound(""),
            Problem::Method("GET"),
            Problem::Refused(Refused::Bad(String::new())),
            Problem::Refused(Refused::NotOffered(String::new())),
            Problem::UnknownCampaign,
            Problem::Behind,
            Problem::NotSettler,
            Problem::Store(store(60)),
            Problem::Form(broken()),
            Problem::Form(FormError::TooLarge(String::new())),
            Problem::Busy,
            Problem::Audit,
        ] {
            let (_, code, _) = problem.words();
            assert!(described.contains(&code), "{code}");
        }
        for code in Code::ALL {
            assert!(described.contains(&code.name()), "{}", code.name());
        }
        described.retain(|code| *code != "store_away" && Code::ALL.iter().all(|one| one.name() != *code));
        assert_eq!(described.len(), 22, "every code above is another one");
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
}
