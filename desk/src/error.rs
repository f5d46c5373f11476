//! Why the desk did not do what was asked.

use std::io;
use std::path::PathBuf;

/// Why the desk did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Ours: an id that no document can have.
    #[error("an id of the desk has 1 to 128 of A-Z a-z 0-9 _ -")]
    Id,
    /// Caller: the document is too long.
    #[error("a document of {bytes} bytes; at most {max} are kept")]
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// Most bytes.
        max: usize,
    },
    /// Operator: there are as many documents of this kind as there may be.
    #[error("there are {max} {kind} already, the most that are kept")]
    Full {
        /// What there are too many of.
        kind: &'static str,
        /// Most of them.
        max: usize,
    },
    /// Operator: what is kept in parts takes up as much as it may.
    #[error("long documents take up {max} bytes already, the most that are kept")]
    NoRoom {
        /// Most bytes of all together.
        max: u64,
    },
    /// Machine: the system gives no random bytes.
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
    /// Machine, or whoever changed files by hand: a part is missing, or is not what was put.
    #[error("part {number} of {id} is missing or changed")]
    Part {
        /// What it is a part of.
        id: String,
        /// Its number, from 0.
        number: u64,
    },
    /// Machine: a file of the desk.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// Downstream, passes by itself: this node does not know whether it has heard everything.
    #[error("the desk's topic is not followed at present: {0}")]
    Behind(String),
    /// Downstream: Kafka did not say that it has the document, or it was not read back in time. It may be in force all the same, now or later.
    #[error("Kafka did not confirm it in time ({0}): look whether it is in force before you try again")]
    Unconfirmed(String),
    /// Machine: no thread.
    #[error("the desk's thread cannot start: {0}")]
    Thread(io::Error),
}
