//! Why a change was not made, in a way that a program can act on.

use hyper::StatusCode;
use serde_json::{Map, Value};

use super::super::problem::Problem;

/// Why the catalog was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Code {
    /// Body or sheet are over a limit.
    TooLarge,
    /// The body did not come in time.
    Timeout,
    /// Values that are not allowed; `fields` says which.
    Refused,
    /// The sheet cannot be read, or some of its `cells` are wrong.
    Sheet,
    /// What is to be added is there already.
    Exists,
    /// The text has to be mended by hand first.
    NotEditable,
    /// The text cannot be reached; nothing was changed.
    Away,
    /// The text may have been changed.
    Unsure,
    /// Based on another `version` than the one in force.
    Version,
    /// It does not say what it is based on.
    NoVersion,
    /// The catalog cannot be changed here.
    NotHere,
}

impl Code {
    #[cfg(test)]
    pub(in super::super) const ALL: [Self; 11] = [
        Self::TooLarge,
        Self::Timeout,
        Self::Refused,
        Self::Sheet,
        Self::Exists,
        Self::NotEditable,
        Self::Away,
        Self::Unsure,
        Self::Version,
        Self::NoVersion,
        Self::NotHere,
    ];

    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Sheet => "sheet",
            Self::Exists => "exists",
            Self::NotEditable => "catalog_not_editable",
            Self::Away => "catalog_away",
            Self::Unsure => "catalog_unsure",
            Self::Version => "version",
            Self::NoVersion => "no_version",
            Self::NotHere => "not_here",
        }
    }

    pub(in super::super) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Refused | Self::Sheet => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Exists | Self::NotEditable => StatusCode::CONFLICT,
            Self::Away | Self::Unsure => StatusCode::SERVICE_UNAVAILABLE,
            Self::Version => StatusCode::PRECONDITION_FAILED,
            Self::NoVersion => StatusCode::PRECONDITION_REQUIRED,
            Self::NotHere => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

/// A change that was not made.
pub(in super::super) struct NotChanged {
    pub(in super::super) code: Code,
    pub(in super::super) message: String,
    /// What stands beside code and message.
    pub(in super::super) more: Map<String, Value>,
}

/// A refusal in words.
pub(super) fn refusal(code: Code, message: impl Into<String>) -> Problem {
    refusal_with(code, message, Map::new())
}

/// A refusal with more than words.
pub(super) fn refusal_with(code: Code, message: impl Into<String>, more: Map<String, Value>) -> Problem {
    Problem::NotChanged(NotChanged { code, message: message.into(), more })
}
