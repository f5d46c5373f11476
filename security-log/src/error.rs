//! Why the security log cannot be written or read.

use std::io;
use std::path::PathBuf;

/// Why the security log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Operator: a key file does not hold a key of this log.
    #[error("a key of the security log is {prefix} and 64 hex digits")]
    Key {
        /// What it begins with.
        prefix: &'static str,
    },
    /// Machine: the system gives no random bytes.
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
    /// Machine: the disk, or no thread.
    #[error("the security log: {0}")]
    Io(#[from] io::Error),
    /// Operator: this private key opens no file.
    #[error("{file} was not sealed for this key")]
    OtherKey {
        /// The file.
        file: PathBuf,
    },
}
