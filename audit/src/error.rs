//! Why an entry was not written, or a log not opened.

use std::io;
use std::path::PathBuf;

/// Why an entry was not written, or a log not opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Operator: the key is too short to be one.
    #[error("an audit key has at least {min} characters; restore it from its copy")]
    WeakKey {
        /// Fewest characters.
        min: usize,
    },
    /// Operator: lines are there and not one of them was written under this key.
    #[error(
        "no line in {dir} was written under this audit key: restore the key, or move the folder away to an auditor and begin a new one"
    )]
    OtherKey {
        /// The log's folder.
        dir: PathBuf,
    },
    /// Ours: an entry is longer than a line may be.
    #[error("an audit entry has {bytes} bytes; at most {max} fit")]
    TooLong {
        /// Bytes of the line.
        bytes: usize,
        /// Most bytes of a line.
        max: usize,
    },
    /// Operator: the log is closed; the process ends.
    #[error("the audit log is closed")]
    Closed,
    /// Machine: the disk.
    #[error("the audit log cannot be written: {0}")]
    Io(#[from] io::Error),
    /// Machine: the group that this entry was written with was not stored.
    #[error("the audit log cannot be written: {0}")]
    Group(String),
}
