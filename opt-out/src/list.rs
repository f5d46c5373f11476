//! Who must not be measured, as the beacon's path asks: one immutable snapshot, read without a lock.
//!
//! It owns the snapshot and its rebuilding. It must never answer "listed" for a hash that nobody lodged, and never forget one between
//! two snapshots; it keeps nothing on disk, [`crate::registry`] does.
//!
//! # A look-up
//!
//! ```text
//! overlay (what changed since the rebuild: added or removed) ──found──► that is the answer
//!    │ not there, or empty as it mostly is
//! filter  (one cache line) ──"certainly not"──► not listed          99.87 % of all devices that did not opt out end here
//!    │ "perhaps"
//! exact set ──► the answer
//! ```
//!
//! Overlay, filter and set hang on one pointer that is swapped as a whole, so that a look-up sees one state, never half of two.
//! A change copies the overlay (some kilobytes); past [`ListSettings::overlay_rebuild_entries`] a thread of its own merges it into a new filter and
//! set. At [`ListSettings::overlay_entries_max`] the writer merges itself, and so waits: the overlay stays bounded.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, Cache};
use event::key::OptOutHash;
use thiserror::Error;

use crate::exact::{ExactError, ExactSet, Key};
use crate::filter::Filter;
use crate::settings::ListSettings;

/// Why a list refuses a new snapshot. The one in force stays.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ListError {
    /// The new set would be much smaller: a truncated source, unless somebody says that it is meant. Ours or the operator's; force it or mend the source.
    #[error(
        "the new list has {after} entries, the one in force {before}: that is more than {percent_max} % smaller; \
         check the source, or force the replacement if it is meant"
    )]
    Shrinks {
        /// Entries in force.
        before: u64,
        /// Entries of the refused set.
        after: u64,
        /// The setting [`ListSettings::shrink_percent_max`].
        percent_max: u32,
    },
    /// A rebuild came out with another number of entries than it went in. Ours: a bug; do not retry.
    #[error("the rebuilt list has {after} entries instead of {before}")]
    Miscounted {
        /// Entries in force.
        before: u64,
        /// Entries of the refused set.
        after: u64,
    },
    /// The set could not be built.
    #[error(transparent)]
    Exact(#[from] ExactError),
}

/// What the list holds, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListStats {
    /// Hashes listed.
    pub entries: u64,
    /// Changes since the last rebuild.
    pub overlay_entries: u64,
    /// Bytes of filter and exact set.
    pub memory_bytes: u64,
    /// Rebuilds done.
    pub rebuilds: u64,
    /// Rebuilds that failed or were refused.
    pub rebuilds_failed: u64,
    /// How long the last rebuild took, microseconds.
    pub rebuild_last_us: u64,
}

/// The list of opted-out hashes. Cheap to clone; every clone sees the same list.
#[derive(Clone)]
pub struct List(Arc<Shared>);

struct Shared {
    settings: ListSettings,
    state: Arc<ArcSwap<State>>,
    /// Held while a new state is derived from the one in force.
    writer: Mutex<()>,
    /// Held by the one rebuild that runs. Taken before `writer`.
    rebuild: Mutex<()>,
    /// A background rebuild is under way or about to start.
    rebuild_scheduled: AtomicBool,
    /// Replaced snapshots that some reader may still hold. They are freed from here, so that no look-up pays for returning a gigabyte to
    /// the system. At most one for each reader, and one.
    retired: Mutex<Vec<Arc<Base>>>,
    rebuilds: AtomicU64,
    rebuilds_failed: AtomicU64,
    rebuild_last_us: AtomicU64,
}

/// One immutable snapshot.
struct State {
    overlay: Overlay,
    base: Arc<Base>,
    /// Hashes listed by overlay and base together.
    entries: u64,
}

/// Changes since the base was built: `true` listed, `false` removed.
type Overlay = HashMap<Key, bool, BuildHasherDefault<OwnBits>>;

/// Filter and set over the same entries.
struct Base {
    filter: Filter,
    exact: ExactSet,
}

impl Base {
    fn new(exact: ExactSet, settings: &ListSettings) -> Self {
        let (bits, blocks_max) = (settings.filter_bits_per_key, settings.filter_blocks_max);
        let mut filter = Filter::with_capacity(exact.len() as u64, bits, blocks_max);
        exact.iter().for_each(|key| filter.insert(key.leading_u64()));
        Self { filter, exact }
    }

    #[inline]
    fn contains(&self, key: Key) -> bool {
        self.filter.may_contain(key.leading_u64()) && self.exact.contains(key)
    }

    fn memory_bytes(&self) -> usize {
        self.filter.memory_bytes() + self.exact.memory_bytes()
    }
}

impl State {
    #[inline]
    fn contains(&self, key: Key) -> bool {
        if !self.overlay.is_empty()
            && let Some(listed) = self.overlay.get(&key)
        {
            return *listed;
        }
        self.base.contains(key)
    }

    #[inline]
    fn contains_any(&self, hashes: &[OptOutHash]) -> bool {
        if self.overlay.is_empty() {
            // All the filter's cache lines are fetched side by side; nearly always that is the whole answer.
            let filter = &self.base.filter;
            let perhaps =
                |perhaps, hash: &OptOutHash| perhaps | filter.may_contain(Key::of(hash.0).leading_u64());
            if !hashes.iter().fold(false, perhaps) {
                return false;
            }
        }
        hashes.iter().any(|hash| self.contains(Key::of(hash.0)))
    }
}

/// One thread's view of a [`List`]: remembers the snapshot and notices at each look-up whether another is in force. That costs a plain read
/// instead of the memory barrier of [`List::contains`], so that look-ups overlap. An idle reader keeps the snapshot that it saw last alive.
pub struct Reader(Cache<Arc<ArcSwap<State>>, Arc<State>>);

impl Reader {
    /// As [`List::contains`].
    #[inline]
    pub fn contains(&mut self, hash: &OptOutHash) -> bool {
        self.0.load().contains(Key::of(hash.0))
    }

    /// As [`List::contains_any`].
    #[inline]
    pub fn contains_any(&mut self, hashes: &[OptOutHash]) -> bool {
        self.0.load().contains_any(hashes)
    }
}

impl List {
    /// An empty list.
    pub fn new(settings: ListSettings) -> Self {
        let base = Arc::new(Base::new(ExactSet::empty(), &settings));
        Self(Arc::new(Shared {
            settings,
            state: Arc::new(ArcSwap::from_pointee(State { overlay: Overlay::default(), base, entries: 0 })),
            writer: Mutex::new(()),
            rebuild: Mutex::new(()),
            rebuild_scheduled: AtomicBool::new(false),
            retired: Mutex::default(),
            rebuilds: AtomicU64::new(0),
            rebuilds_failed: AtomicU64::new(0),
            rebuild_last_us: AtomicU64::new(0),
        }))
    }

    /// Whether this hash must not be measured. Takes no lock, allocates nothing.
    #[inline]
    pub fn contains(&self, hash: &OptOutHash) -> bool {
        self.0.state.load().contains(Key::of(hash.0))
    }

    /// Whether any of a hit's hashes must not be measured: one snapshot for all of them.
    #[inline]
    pub fn contains_any(&self, hashes: &[OptOutHash]) -> bool {
        self.0.state.load().contains_any(hashes)
    }

    /// A view for one thread that looks up all the time.
    pub fn reader(&self) -> Reader {
        Reader(Cache::new(Arc::clone(&self.0.state)))
    }

    /// How many hashes are listed.
    pub fn len(&self) -> u64 {
        self.0.state.load().entries
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lists a hash: in force for every look-up that begins after this returns. For the registry only, which made it durable before.
    pub fn insert(&self, hash: &OptOutHash) {
        self.apply(&[(*hash, true)]);
    }

    /// Takes a hash off the list. For the registry only.
    pub fn remove(&self, hash: &OptOutHash) {
        self.apply(&[(*hash, false)]);
    }

    /// Applies changes in order, all at once for every look-up: `true` lists, `false` removes.
    pub fn apply(&self, changes: &[(OptOutHash, bool)]) {
        if self.0.state.load().overlay.len() >= self.0.settings.overlay_entries_max {
            // Waits: the only way to keep the overlay bounded is to make its writers as slow as the rebuild.
            self.rebuild_reported();
        }
        let overlay_entries = {
            let _writer = self.writer();
            let state = self.0.state.load();
            let mut overlay = state.overlay.clone();
            let mut entries = state.entries;
            for (hash, listed) in changes {
                let key = Key::of(hash.0);
                let was = overlay.get(&key).copied().unwrap_or_else(|| state.base.contains(key));
                if was != *listed {
                    overlay.insert(key, *listed);
                    entries = if *listed { entries + 1 } else { entries - 1 };
                }
            }
            let overlay_entries = overlay.len();
            self.0.state.store(Arc::new(State { overlay, base: Arc::clone(&state.base), entries }));
            overlay_entries
        };
        if overlay_entries >= self.0.settings.overlay_rebuild_entries {
            self.rebuild_in_background();
        }
    }

    /// Merges the overlay into a new filter and set, on the calling thread. Look-ups and changes go on meanwhile.
    ///
    /// # Errors
    /// [`ListError::Miscounted`] if the merge lost or gained an entry; the snapshot in force stays.
    pub fn rebuild(&self) -> Result<(), ListError> {
        let _one_at_a_time = self.0.rebuild.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let before = self.0.state.load_full();
        let mut changes: Vec<(Key, bool)> =
            before.overlay.iter().map(|(key, listed)| (*key, *listed)).collect();
        changes.sort_unstable_by_key(|(key, _)| *key);
        let exact = before.base.exact.merge(&changes)?;
        if exact.len() as u64 != before.entries {
            return Err(ListError::Miscounted { before: before.entries, after: exact.len() as u64 });
        }
        let base = Arc::new(Base::new(exact, &self.0.settings));
        {
            let _writer = self.writer();
            let now = self.0.state.load();
            // What was merged leaves the overlay; what came, or turned round, meanwhile stays.
            let merged = |key: &Key, listed: &bool| before.overlay.get(key) == Some(listed);
            let overlay = now
                .overlay
                .iter()
                .filter(|(key, listed)| !merged(key, listed))
                .map(|(k, l)| (*k, *l))
                .collect();
            self.0.state.store(Arc::new(State { overlay, base, entries: now.entries }));
        }
        self.0.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.0.rebuild_last_us.store(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.retire(before);
        Ok(())
    }

    /// Puts a whole new list in force, read from its source of truth: `hashes` are all of them, in any order, repeats allowed. Changes wait
    /// meanwhile, look-ups do not.
    ///
    /// # Errors
    /// [`ListError::Shrinks`] if the new list is smaller by more than [`ListSettings::shrink_percent_max`] and `force` is not set.
    pub fn replace(&self, hashes: Vec<OptOutHash>, force: bool) -> Result<(), ListError> {
        let _one_at_a_time = self.0.rebuild.lock().unwrap_or_else(PoisonError::into_inner);
        let _writer = self.writer();
        let began = Instant::now();
        let before = self.0.state.load_full();
        let exact = sorted_set(hashes)?;
        let (had, has) = (before.entries, exact.len() as u64);
        let percent_max = self.0.settings.shrink_percent_max;
        if !force && had.saturating_sub(has).saturating_mul(100) > had.saturating_mul(u64::from(percent_max))
        {
            self.0.rebuilds_failed.fetch_add(1, Ordering::Relaxed);
            return Err(ListError::Shrinks { before: had, after: has, percent_max });
        }
        let base = Arc::new(Base::new(exact, &self.0.settings));
        self.0.state.store(Arc::new(State { overlay: Overlay::default(), base, entries: has }));
        self.0.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.0.rebuild_last_us.store(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.retire(before);
        Ok(())
    }

    /// What the list holds now. Called every second, it also frees replaced snapshots whose last reader has gone.
    pub fn stats(&self) -> ListStats {
        self.free_retired();
        let state = self.0.state.load();
        ListStats {
            entries: state.entries,
            overlay_entries: state.overlay.len() as u64,
            memory_bytes: state.base.memory_bytes() as u64,
            rebuilds: self.0.rebuilds.load(Ordering::Relaxed),
            rebuilds_failed: self.0.rebuilds_failed.load(Ordering::Relaxed),
            rebuild_last_us: self.0.rebuild_last_us.load(Ordering::Relaxed),
        }
    }

    fn writer(&self) -> MutexGuard<'_, ()> {
        // A poisoned lock guards nothing that could be half done: a state is swapped in whole or not at all.
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees the replaced snapshots that nobody holds any more, keeps the others for later.
    fn free_retired(&self) {
        self.0
            .retired
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|base| Arc::strong_count(base) > 1);
    }

    fn retire(&self, old: Arc<State>) {
        self.0.retired.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&old.base));
        drop(old);
        self.free_retired();
    }

    fn rebuild_in_background(&self) {
        if self.0.rebuild_scheduled.swap(true, Ordering::AcqRel) {
            return;
        }
        let list = self.clone();
        let spawned = std::thread::Builder::new().name("opt-out-rebuild".into()).spawn(move || {
            // Changes that came during a rebuild may be due for the next one already.
            loop {
                list.rebuild_reported();
                list.0.rebuild_scheduled.store(false, Ordering::Release);
                let due = list.0.state.load().overlay.len() >= list.0.settings.overlay_rebuild_entries;
                if !due || list.0.rebuild_scheduled.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
        if let Err(error) = spawned {
            // The next change tries again; the overlay's own limit holds until then.
            self.0.rebuild_scheduled.store(false, Ordering::Release);
            self.0.rebuilds_failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "opt-out list: no thread for a rebuild");
        }
    }

    fn rebuild_reported(&self) {
        if let Err(error) = self.rebuild() {
            self.0.rebuilds_failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "opt-out list: rebuild refused, the snapshot in force stays");
        }
    }
}

/// The set of hashes in any order, repeats allowed.
fn sorted_set(mut hashes: Vec<OptOutHash>) -> Result<ExactSet, ExactError> {
    hashes.sort_unstable_by_key(|hash| u128::from_be_bytes(hash.0));
    let mut last = None;
    let keys = hashes.iter().map(|hash| Key::of(hash.0)).filter(|key| last.replace(*key) != Some(*key));
    ExactSet::from_sorted(hashes.len(), keys)
}

/// A hasher that passes a [`Key`]'s own bits through: they are a keyed hash already, which nobody without the key can aim.
#[derive(Default)]
struct OwnBits(u64);

impl Hasher for OwnBits {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    #[inline]
    fn write_u128(&mut self, bits: u128) {
        self.0 = bits as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
