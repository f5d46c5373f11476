//! The desk: what people enter into the running system and what is a cache of nothing. Small documents, `(kind, id) → bytes`, durable.
//!
//! Figures can be made again from events, and events from the journal; a token that somebody was given cannot be made again from anything. So it is
//! kept here and not in the store: *everything in the store can be dropped and made again* stays true.
//!
//! # Two places, one interface
//!
//! * [`Desk::folder`]: alone, a folder of the data folder, `<kind>/<id>.json`, each file replaced atomically and synced. All of it is read at the start.
//! * [`Desk::topic`]: in a cluster, the compacted topic `…desk`. A record's key is `<kind>/<id>`, its value the form's version (1) and the document. It is
//!   read to its end at the start and followed; a write is answered when it was read back.
//!
//! # What holds
//!
//! * [`Desk::put`] returns when the document is durable and in force here. After an error it may be in force or come into force: whoever asked looks.
//! * Of two writers of one document the later one in the log wins, whole. So what several nodes write must be right whichever wins, and everything else
//!   is written by one node: the aggregator that settles. Its callers keep that.
//! * In a cluster a node that has not seen the end of the topic within [`LEASE`] answers no question ([`Error::Behind`]): a revocation that it cannot
//!   have heard of holds there all the same. Alone there is nothing to hear of.
//! * A document of an unknown form is no document: what it replaced is not in force either.
//! * What is longer than a document ([`Desk::stack`]) is kept in parts that nobody finds by themselves: whoever put them keeps what leads to them
//!   ([`Piece`]) in a document, which is written behind them and says what they have to be. A part that is not what it was is an error, never a figure.
//!   Parts are written once and never over, and lie on the disk, not in memory; a node of a cluster has a copy of the topic's in a folder of its own.
//! * Parts that no document leads to are taken away by whoever writes ([`Desk::sweep`]), once they are so old that no document can come behind them.
//!   In the topic an empty record takes their place, and not a tombstone: its last record stays there, by which a node knows that it has read everything.
//!
//! # What it must never do
//!
//! Understand a document, or log one.

mod error;
mod files;
mod folder;
mod parts;
mod shelf;
mod topic;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use error::Error;
pub use parts::{PARTS_BYTES_MAX, PIECE_BYTES_MAX, Piece, Stack};

use crate::folder::Folder;
use crate::topic::Topic;

/// Longest that a node of a cluster goes on without having seen the end of the topic.
pub const LEASE: Duration = Duration::from_secs(5);
/// Longest document, bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// Most documents of a kind.
pub const DOCUMENTS_MAX: usize = 10_000;
/// Longest id, bytes.
pub const ID_BYTES_MAX: usize = 128;

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Tokens, without their secrets. Written by the aggregator that settles.
    Tokens,
    /// When a token was used last. Written by every aggregator: it only grows, so whichever wins is right to within the pause between two writes.
    TokenUses,
    /// Media's own numbers: who gave which when. Written by the aggregator that settles, like all that follow.
    Numbers,
    /// Closed periods of campaigns.
    Closings,
    /// Alerts that are open or to be told, by campaign.
    Alerts,
}

/// The folder of what is longer than a document, and what the keys of its parts begin with. Like the names of kinds never changed.
const PARTS: &str = "parts";

impl Kind {
    const ALL: [Self; 5] = [Self::Tokens, Self::TokenUses, Self::Numbers, Self::Closings, Self::Alerts];

    /// Its folder, and what its keys begin with. Stands in files and records: never changed.
    fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::TokenUses => "token-uses",
            Self::Numbers => "numbers",
            Self::Closings => "closings",
            Self::Alerts => "alerts",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A document as it was written.
pub type Document = Arc<[u8]>;

/// The desk. A clone is the same one.
#[derive(Clone)]
pub struct Desk(Arc<Place>);

enum Place {
    Folder(Folder),
    Topic(Topic),
}

impl Desk {
    /// The desk of one machine, in `dir`, which is made where it is missing. Its process is the only one: it holds the data folder's lock.
    ///
    /// # Errors
    /// A file that cannot be read: what it says may be a revocation.
    pub fn folder(dir: &Path) -> Result<Self, Error> {
        Ok(Self(Arc::new(Place::Folder(Folder::open(dir)?))))
    }

    /// The desk of a cluster. Returns at once; a thread reads the topic, makes it where it is missing, and follows it. Kafka may be away. `dir` is this
    /// process's alone and holds a copy of the long documents, made anew at each start.
    ///
    /// # Errors
    /// No thread, or no folder.
    pub fn topic(cluster: kafka::Cluster, dir: &Path) -> Result<Self, Error> {
        Ok(Self(Arc::new(Place::Topic(Topic::follow(cluster, dir)?))))
    }

    /// A document in force.
    ///
    /// # Errors
    /// [`Error::Behind`]
    pub fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>, Error> {
        match &*self.0 {
            Place::Folder(folder) => Ok(folder.get(kind, id)),
            Place::Topic(topic) => topic.get(kind, id),
        }
    }

    /// A document as it was heard of last, also while this node may not have heard everything: for what is never taken back, only added to.
    ///
    /// # Errors
    /// [`Error::Behind`] before everything was heard for the first time.
    pub fn get_heard(&self, kind: Kind, id: &str) -> Result<Option<Document>, Error> {
        match &*self.0 {
            Place::Folder(folder) => Ok(folder.get(kind, id)),
            Place::Topic(topic) => topic.get_heard(kind, id),
        }
    }

    /// All documents of a kind, by id.
    ///
    /// # Errors
    /// [`Error::Behind`]
    pub fn list(&self, kind: Kind) -> Result<Vec<(String, Document)>, Error> {
        match &*self.0 {
            Place::Folder(folder) => Ok(folder.list(kind)),
            Place::Topic(topic) => topic.list(kind),
        }
    }

    /// Puts a document in force in place of the one of its kind and id. Blocks until it is durable and in force here.
    ///
    /// # Errors
    /// It is not known to be in force; see each error.
    pub fn put(&self, kind: Kind, id: &str, document: &[u8]) -> Result<(), Error> {
        if !is_id(id) {
            return Err(Error::Id);
        }
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(Error::TooLong { bytes: document.len(), max: DOCUMENT_BYTES_MAX });
        }
        match &*self.0 {
            Place::Folder(folder) => folder.put(kind, id, document),
            Place::Topic(topic) => topic.put(kind, id, document),
        }
    }

    /// Takes a document out of force, if there is one. Blocks until that is durable and so here.
    ///
    /// # Errors
    /// It is not known to be gone; see each error.
    pub fn remove(&self, kind: Kind, id: &str) -> Result<(), Error> {
        if !is_id(id) {
            return Err(Error::Id);
        }
        match &*self.0 {
            Place::Folder(folder) => folder.remove(kind, id),
            Place::Topic(topic) if topic.get(kind, id)?.is_none() => Ok(()),
            Place::Topic(topic) => topic.put(kind, id, &[]),
        }
    }

    /// Why questions are not answered at present, if so.
    pub fn behind(&self) -> Option<String> {
        match &*self.0 {
            Place::Folder(_) => None,
            Place::Topic(topic) => topic.behind(),
        }
    }

    /// Ends the thread that follows the topic. Nothing is answered from then on.
    pub fn close(&self) {
        match &*self.0 {
            Place::Folder(_) => {}
            Place::Topic(topic) => topic.close(),
        }
    }
}

/// 1 to 128 of `A-Za-z0-9_-`: a file's name on every system, and nothing that leads out of a folder.
fn is_id(id: &str) -> bool {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_sign)
}
