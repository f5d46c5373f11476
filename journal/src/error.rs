//! What can go wrong, whose fault it is and whether trying again helps.

use std::io;
use std::path::{Path, PathBuf};

/// Opening a lane, its cursors or its readers failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process (or another part of this one) has the lane open for writing. The operator's to solve: stop that one first.
    #[error(
        "the journal {dir} is in use by {holder}: stop it first, or give this instance another data folder"
    )]
    Locked {
        /// The lane's directory.
        dir: PathBuf,
        /// Who holds it, as far as the lock file tells.
        holder: String,
    },
    /// The disk refused. Ours or the machine's fault; may pass.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A setting is out of its limits. The caller's fault; do not retry.
    #[error("setting {name} = {value} is out of its limits: allowed is {allowed}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A cursor's name has other characters than `a-z 0-9 -`, or not 1 to 64 of them. The caller's fault.
    #[error("cursor name {name:?} is not 1 to 64 of the characters a-z, 0-9 and -")]
    CursorName {
        /// The name.
        name: String,
    },
    /// A reader of this name is open already: two would move one cursor. The caller's fault.
    #[error("a reader named {name} is open already")]
    ReaderOpen {
        /// The name.
        name: String,
    },
    /// A cursor was to be moved to where nothing is committed yet. The caller's fault.
    #[error("position {segment}:{offset} lies beyond what is committed")]
    PositionBeyondEnd {
        /// The segment's number.
        segment: u64,
        /// Offset in it, bytes.
        offset: u64,
    },
    /// The system gave no random bytes for a journal id. The machine's fault; may pass.
    #[error("no random bytes for a journal id: {0}")]
    Random(getrandom::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        Error::Io { action, path: path.to_path_buf(), source }
    }
}

/// A record was not taken. Nothing of it is in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The forming batch is full: the disk is slower than the callers. Retry later.
    #[error("the forming batch is full (queue_bytes_max)")]
    QueueFull,
    /// A write or a sync failed; the lane takes records again once a new segment could be opened. Retry later. Also said by
    /// [`Writer::append_in`](crate::Writer::append_in) when it takes them again in another incarnation than the caller meant.
    #[error("the journal's disk failed; a new segment is being tried")]
    Failed,
    /// The lane has reached `disk_bytes_max` and no segment may be removed. Retry later.
    #[error("the journal has reached its size limit (disk_bytes_max)")]
    DiskFull,
    /// The record is longer than `Settings::record_bytes_max`. The caller's fault; do not retry.
    #[error("the record is longer than a frame can hold (frame_bytes_max)")]
    TooLong,
    /// The lane is closed. Do not retry.
    #[error("the journal is closed")]
    Closed,
}

/// A record was taken, but whether it is in the journal is not known: it was never confirmed. It appears there once or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The write or the sync of its group failed. May be sent again.
    #[error("the journal could not store the record: {0}")]
    Storage(io::ErrorKind),
    /// The lane was closed, or its thread ended, before the group's turn.
    #[error("the journal was closed before the record was stored")]
    Closed,
}

/// A reader could not read. Its position is unchanged; the same call may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refused. Not the same as damage, which is skipped, counted and reported. If it lasts, a person is needed.
    #[error("cannot read {path} at {offset}: {source}")]
    Io {
        /// The segment.
        path: PathBuf,
        /// Where in it, bytes.
        offset: u64,
        /// The system's answer.
        source: io::Error,
    },
}
