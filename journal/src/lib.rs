//! A durable, ordered, append-only log of opaque records.

mod active;
mod commit;
mod committer;
mod drive;
mod error;
mod format;
mod inventory;
mod lane;
mod mailbox;
mod reader;
mod recovery;
mod retention;
mod settings;
mod stats;
pub mod storage;
mod verify;
mod walk;
mod writer;

use std::sync::Arc;

pub use commit::Commit;
pub use error::{AppendError, CommitError, Error, ReadError};
pub use format::{JournalId, Position};
pub use lane::Lane;
pub use reader::{Frame, Reader};
pub use recovery::{Damage, Recovery};
pub use retention::Retained;
pub use settings::{Compression, Durability, Settings};
pub use stats::{Health, Stats};
pub use verify::{VerifyReport, read_all, read_all_on, verify};
pub use writer::{CursorState, Writer};

/// Tells the time: milliseconds since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;
