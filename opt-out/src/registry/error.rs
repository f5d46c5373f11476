//! Why a registry cannot be opened, or did not do what was asked: whose it is to mend, and what to do.

use thiserror::Error;

use crate::list::ListError;
use crate::record::{HASHES_MAX, RecordError};
use crate::settings::SettingsError;

/// Why the registry cannot be opened, or did not do what was asked.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// No receipt of that number with that secret. The caller's; nothing tells which of the two is wrong.
    #[error("no receipt has this number and this secret")]
    UnknownReceipt,
    /// Nothing to opt out, or more than a record can hold. The caller's.
    #[error("an opt-out takes 1 to {HASHES_MAX} hashes")]
    HashCount,
    /// The registry is at a limit. The operator's: raise it. The caller may retry later.
    #[error("the registry has reached {limit}: raise it")]
    Full {
        /// The setting.
        limit: &'static str,
    },
    /// The log did not take or confirm the record, or was not read yet. Ours or Kafka's; the caller may retry. What was asked for may turn out to be
    /// in force later.
    #[error("the registry takes no records now: {0}")]
    Unavailable(String),
    /// [`bind_key`](super::Registry::bind_key) was not called. Ours: a bug.
    #[error("the registry is not bound to a key")]
    NotBound,
    /// Records are missing or unreadable. The operator's: restore the folder from a copy.
    #[error(
        "the registry is damaged: {0}; restore its folder from a copy, for nobody who opted out may be measured"
    )]
    Damaged(String),
    /// The registry has fewer receipts than it once had, or was never begun: its folder was lost or an old copy was put back. The
    /// operator's: restore it.
    #[error(
        "the registry has {found} receipts and had {expected} before: its folder is missing or an old copy, or its topic was made anew; restore \
         it, for whoever opted out would be measured again. Only if it is lost for good, set start_empty = true in [opt_out.registry] for one start"
    )]
    Lost {
        /// Receipts that it had at least.
        expected: u64,
        /// Receipts that it has.
        found: u64,
    },
    /// A record cannot be read.
    #[error("the registry cannot be read: {0}")]
    Record(#[from] RecordError),
    /// The registry was made with another opt-out key. The operator's: bring back the key file that belongs to it.
    #[error(
        "the registry was made with another opt-out key: put back the key file that belongs to it; in a cluster key_file must be the same on all nodes"
    )]
    OtherKey,
    /// The topic is not the one that was read: made anew, trimmed, or another registry in its place. The operator's.
    #[error(
        "the registry's topic is not the one that was read before: {0}; restore it, for nobody who opted out may be measured, and start this process again"
    )]
    Replaced(String),
    /// The journal cannot be opened or read.
    #[error("the registry's journal: {0}")]
    Journal(#[from] ::journal::Error),
    /// The journal's disk cannot be read.
    #[error("the registry's journal: {0}")]
    Read(#[from] ::journal::ReadError),
    /// Kafka's client cannot be made or used. The operator's, as it says.
    #[error("the registry's topic: {0}")]
    Kafka(#[from] kafka::Error),
    /// A setting cannot be used. The operator's.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A thread cannot be started. The machine's; may pass.
    #[error("cannot start a thread of the registry: {0}")]
    Thread(std::io::Error),
    /// The list cannot be built.
    #[error("the opt-out list: {0}")]
    List(#[from] ListError),
    /// The system gave no random bytes. Ours; may pass.
    #[error("no random bytes for a receipt: {0}")]
    Random(getrandom::Error),
}
