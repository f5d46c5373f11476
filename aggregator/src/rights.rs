//! What a person may ask of what is stored: to be erased from it, and a copy of it (DESIGN §§7, 8).
//!
//! Owns both as work on the store; who may ask, and the state of a request, are the opt-out role's. The work is blocking, one piece at a time, and
//! can be begun again after a crash at any point: [`Rights::erase`] ends with the same store and the same answer.
//!
//! # An erasure
//!
//! 1. The loader stores what it has in hand: what was received before is in the store, where it is counted.
//! 2. A [`tombstones`] row for each key of the device, durable; from then on the loader blanks what it reads of it. What it read before it stores.
//! 3. What will be blanked is counted, and kept, so that an erasure that was broken off in the next step still knows.
//! 4. The rows are blanked in place, under a mark on their days ([`crate::changed`]), with adoption held up: it would carry a device over.
//! 5. Days that were settled are settled again. In those whose events have begun to expire, and whose figures therefore stand, each key becomes
//!    another that nobody can tell: the counts stay, the device is in them no more.
//!
//! While two keys overlap, the pairs of the device go with step 4.
//!
//! Blanked are device, kind of id, network and agent. Where a list takes the hit out of net by its agent, a word that says so stays in the
//! agent's place; where by its network, the data centre's: so net impressions stay too, and later lists say nothing of it. Region, view and the
//! signals stay; so does the host of the page, which says where an ad ran. Gross figures never change by it. What only another hit of its device
//! took out of net (a double click, a device over the ceiling) is in net afterwards. A flag says that a device was erased, and the key's epoch stays, so that
//! another device of the same view stays another one; two devices of a view that were both erased are one.
//!
//! Aggregators that share a store do it for each other: see [`tombstones`].
//!
//! A tombstone covers what was received before it. What comes later is a new device, unless the person opted out.
//!
//! Must never: write an identifier or a key to a log, or answer before the store has.

mod copy;
mod erase;
pub(crate) mod tombstones;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event::clock::{Clock, UnixMs};
use event::key::DeviceKey;

use self::tombstones::Tombstones;
use crate::store::{Store, StoreError};
use crate::work::Worker;

pub use self::copy::{COPY_BYTES_MAX, COPY_ROWS_MAX};
pub use self::tombstones::Tombstone;

/// How long a request waits for the loader to store what has come before it. It is tried again after that.
const CATCH_UP_MAX: Duration = Duration::from_mins(2);

/// Why a request was not done. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// The store or the loader: what came before the request is not all in the store.
    #[error("the store is behind: what has come before is not all in it")]
    Behind,
    /// Machine: no random bytes.
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk, for the file of a copy.
    #[error("the copy cannot be written: {0}")]
    Io(#[from] std::io::Error),
}

/// An erasure to be done.
pub struct Erasure<'a> {
    /// A number of the request's own, the same when it is tried again.
    pub request: u64,
    /// Every key that the device can have.
    pub devices: &'a [DeviceKey],
    /// What was received before is erased. Unix milliseconds.
    pub until_ms: UnixMs,
}

/// What an erasure did. Rows that are stored twice are one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Events that lost their device.
    pub events: u64,
    /// Hits of campaigns or placements that the catalog does not have, which lost theirs.
    pub unresolved: u64,
    /// Events of placements in their trial state, likewise.
    pub trial_events: u64,
    /// Settled days whose figures were made again.
    pub days_settled: u32,
    /// Days whose figures stand, in which the device became one that nobody can tell.
    pub days_standing: u32,
}

impl Erased {
    /// Whether nothing was stored under any of the keys.
    pub fn is_nothing(&self) -> bool {
        let Self { events, unresolved, trial_events, days_settled: _, days_standing } = self;
        events + unresolved + trial_events + u64::from(*days_standing) == 0
    }
}

/// What a copy holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Hits in it.
    pub rows: u64,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// Whether it holds all: it ends at [`COPY_ROWS_MAX`] rows and [`COPY_BYTES_MAX`] bytes.
    pub is_complete: bool,
}

/// Does such work on the running aggregator. Cheap to clone. Blocks: call it from a thread of its own.
#[derive(Clone)]
pub struct Rights(Arc<Inner>);

/// What it works on.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) worker: Arc<Worker>,
    pub(crate) catalog: catalog::Shared,
    pub(crate) clock: Clock,
    pub(crate) tombstones: Arc<Tombstones>,
}

struct Inner {
    store: Arc<Store>,
    worker: Arc<Worker>,
    catalog: catalog::Shared,
    clock: Clock,
    tombstones: Arc<Tombstones>,
    /// One piece of work at a time.
    turn: Mutex<()>,
}

impl Rights {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { store, worker, catalog, clock, tombstones } = parts;
        Self(Arc::new(Inner { store, worker, catalog, clock, tombstones, turn: Mutex::new(()) }))
    }

    /// Erases a device from everything that is stored. Doing it again changes nothing, and says the same while the first is remembered, which
    /// is as long as events are kept.
    ///
    /// # Errors
    /// See [`RightsError`]: it is to be tried again until it succeeds, for it may be half done.
    pub fn erase(&self, erasure: &Erasure<'_>) -> Result<Erased, RightsError> {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        erase::erase(&self.0, erasure)
    }

    /// Writes what is stored of a device into a new file that only its owner may read, whole or not at all.
    ///
    /// # Errors
    /// See [`RightsError`].
    pub fn copy(&self, devices: &[DeviceKey], path: &Path) -> Result<Copied, RightsError> {
        let _turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        copy::copy(&self.0, devices, path)
    }
}

impl Inner {
    fn catch_up(&self) -> Result<(), RightsError> {
        if self.worker.catch_up(CATCH_UP_MAX) { Ok(()) } else { Err(RightsError::Behind) }
    }
}
