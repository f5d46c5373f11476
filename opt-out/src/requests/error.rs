//! Why a request was not taken or not changed.

use thiserror::Error;

use super::record::State;
use super::{KEYS_MAX, WHY_BYTES_MAX};

/// Why a request was not taken or not changed.
#[derive(Debug, Error)]
pub enum RequestError {
    /// No request of this number and secret. The caller's; nothing tells which of the two is wrong.
    #[error("no request has this number")]
    Unknown,
    /// It does not wait for the operator. The caller's.
    #[error("the request does not wait for a decision: it is {}", .0.name())]
    NotWaiting(State),
    /// Nobody has shown that all of its identifiers are the asker's. The caller's.
    #[error(
        "{left} of the request's {ids} identifiers were not shown to be the person's: compare what he shows with `sightline requests match` first"
    )]
    NotMatched {
        /// Identifiers that were named.
        ids: usize,
        /// Those of them that what was shown does not cover.
        left: usize,
    },
    /// Devices are made with a newer key than when it was asked for. The caller's.
    #[error(
        "the device keys were rotated since this was asked for, so what came since would not be found: match its identifiers once more"
    )]
    Rotated,
    /// A reason that is empty or too long. The caller's.
    #[error("say why, in 1 to {WHY_BYTES_MAX} bytes")]
    Why,
    /// More keys than a record holds. The caller's.
    #[error("too many identifiers for one request: at most {KEYS_MAX} keys can be looked for")]
    TooManyKeys,
    /// Too many requests that wait, run, or erased something. The operator's: answer those that wait, or raise the limit.
    #[error("there are as many requests as {limit} allows")]
    Full {
        /// The setting.
        limit: &'static str,
    },
    /// It could not be entered in the audit log, so it was not done. Ours or the disk's; the caller may retry.
    #[error("the audit log takes nothing now: {0}")]
    Audit(#[from] audit::Error),
    /// The journal took it not. Ours or the disk's; the caller may retry.
    #[error("the requests' journal takes nothing now: {0}")]
    Unavailable(String),
    /// The journal is damaged. The operator's: restore the folder from a copy.
    #[error(
        "the requests' journal is damaged: {0}; restore its folder from a copy, or erased devices may come back"
    )]
    Damaged(String),
    /// The journal cannot be opened.
    #[error("the requests' journal: {0}")]
    Journal(#[from] ::journal::Error),
    /// The disk cannot be read.
    #[error("the requests' journal: {0}")]
    Read(#[from] ::journal::ReadError),
    /// The folders cannot be made, or the disk.
    #[error("the folder of the requests: {0}")]
    Io(#[from] std::io::Error),
    /// The system gave no random bytes. Ours; may pass.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}
