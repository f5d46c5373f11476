//! Who must not be measured, as the beacon's path asks: one immutable snapshot, read without a lock.
//!
//! It owns the snapshot and its rebuilding. It must never answer "listed" for a hash that nobody lodged, and never forget one between
//! two snapshots; it keeps nothing on disk, [`crate::registry`] does.
//!
//! # A look-up
//!
//! ```text
//! overlay (what changed since the rebuild: added or removed), newest layer first ──found──► that is the answer
//!    │ not there, or empty as it mostly is
//! filter  (one cache line) ──"certainly not"──► not listed          99.87 % of all devices that did not opt out end here
//!    │ "perhaps"
//! exact set ──► the answer
//! ```
//!
//! Overlay, filter and set hang on one pointer that is swapped as a whole, so that a look-up sees one state, never half of two.
//!
//! # A change
//!
//! It is laid on the [`overlay`]. Past [`ListSettings::overlay_rebuild_entries`], or a 32nd of the list where that is more, a thread of its own merges the overlay into a new
//! filter and set. At [`ListSettings::overlay_entries_max`] the writer merges itself, and so waits: the overlay stays bounded. Whoever has many
//! changes asks [`List::has_room`] first, and leaves the second half to others.
//!
//! # How good the filter is
//!
//! A [`Reader`] counts its look-ups, and those where the filter said "perhaps" and the set "no": their share is the false-positive rate of the ids
//! that really come ([`ListStats`]).

mod overlay;
mod reader;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use event::key::OptOutHash;
use thiserror::Error;

use crate::exact::{ExactError, ExactSet, Key};
use crate::filter::Filter;
use crate::settings::ListSettings;
use overlay::{Changes, Overlay};
pub use reader::Reader;

/// The share of the list's entries that are worth a rebuild: one in so many.
const REBUILD_SHARE: u64 = 32;

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
    /// Hashes that readers looked up; up to 1,024 of each reader come later.
    pub lookups: u64,
    /// Those among them for which the filter said "perhaps" and the set "no".
    pub false_alarms: u64,
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
    lookups: AtomicU64,
    false_alarms: AtomicU64,
}

/// One immutable snapshot.
struct State {
    overlay: Overlay,
    base: Arc<Base>,
    /// Hashes listed by overlay and base together.
    entries: u64,
}

/// What a look-up found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Listed,
    NotListed,
    /// Not listed, and only the exact set knew.
    FalseAlarm,
}

impl Found {
    fn new(listed: bool, otherwise: Self) -> Self {
        if listed { Self::Listed } else { otherwise }
    }
}

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
    fn look_up(&self, key: Key) -> Found {
        if !self.filter.may_contain(key.leading_u64()) {
            return Found::NotListed;
        }
        Found::new(self.exact.contains(key), Found::FalseAlarm)
    }

    fn memory_bytes(&self) -> usize {
        self.filter.memory_bytes() + self.exact.memory_bytes()
    }
}

impl State {
    #[inline]
    fn look_up(&self, key: Key) -> Found {
        if !self.overlay.layers.is_empty()
            && let Some(listed) = self.overlay.get(key)
        {
            return Found::new(listed, Found::NotListed);
        }
        self.base.look_up(key)
    }

    #[inline]
    fn contains(&self, key: Key) -> bool {
        self.look_up(key) == Found::Listed
    }

    /// Whether it is not listed, as far as one look into the filter tells.
    #[inline]
    fn rules_out(&self, hash: &OptOutHash) -> bool {
        self.overlay.layers.is_empty() && !self.base.filter.may_contain(Key::of(hash.0).leading_u64())
    }

    /// Whether any is listed, and how many of them the filter took for listed in vain.
    #[inline]
    fn contains_any(&self, hashes: &[OptOutHash]) -> (bool, u32) {
        if self.overlay.layers.is_empty() {
            // All the filter's cache lines are fetched side by side; nearly always that is the whole answer.
            let filter = &self.base.filter;
            let perhaps =
                |perhaps, hash: &OptOutHash| perhaps | filter.may_contain(Key::of(hash.0).leading_u64());
            if !hashes.iter().fold(false, perhaps) {
                return (false, 0);
            }
        }
        let mut false_alarms = 0;
        let is_listed = hashes.iter().any(|hash| {
            let found = self.look_up(Key::of(hash.0));
            false_alarms += u32::from(found == Found::FalseAlarm);
            found == Found::Listed
        });
        (is_listed, false_alarms)
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
            lookups: AtomicU64::new(0),
            false_alarms: AtomicU64::new(0),
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
        self.0.state.load().contains_any(hashes).0
    }

    /// A view for one thread that looks up all the time.
    pub fn reader(&self) -> Reader {
        Reader::new(&self.0)
    }

    /// Whether the overlay is less than half full: whoever has many changes waits until it is, so that a person's own never waits for a rebuild.
    pub fn has_room(&self) -> bool {
        self.0.state.load().overlay.len() < self.0.settings.overlay_entries_max.div_ceil(2)
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
        self.apply([(*hash, true)]);
    }

    /// Takes a hash off the list. For the registry only.
    pub fn remove(&self, hash: &OptOutHash) {
        self.apply([(*hash, false)]);
    }

    /// Applies changes in order, all at once for every look-up: `true` lists, `false` removes.
    pub fn apply(&self, changes: impl IntoIterator<Item = (OptOutHash, bool)>) {
        if self.0.state.load().overlay.len() >= self.0.settings.overlay_entries_max {
            // Waits: the only way to keep the overlay bounded is to make its writers as slow as the rebuild.
            self.rebuild_reported();
        }
        let is_due = {
            let _writer = self.writer();
            let state = self.0.state.load();
            let mut top = Changes::default();
            let mut entries = state.entries;
            for (hash, listed) in changes {
                let key = Key::of(hash.0);
                let was = top.get(&key).copied().unwrap_or_else(|| state.contains(key));
                if was != listed {
                    top.insert(key, listed);
                    entries = if listed { entries + 1 } else { entries - 1 };
                }
            }
            let next = State { overlay: state.overlay.with(top), base: Arc::clone(&state.base), entries };
            let is_due = self.is_rebuild_due(&next);
            self.0.state.store(Arc::new(next));
            is_due
        };
        if is_due {
            self.rebuild_in_background();
        }
    }

    fn is_rebuild_due(&self, state: &State) -> bool {
        let ListSettings { overlay_rebuild_entries, overlay_entries_max, .. } = self.0.settings;
        let share = usize::try_from(state.entries / REBUILD_SHARE).unwrap_or(usize::MAX);
        state.overlay.len() >= overlay_rebuild_entries.max(share).min(overlay_entries_max.div_ceil(2))
    }

    /// Merges the overlay into a new filter and set, on the calling thread. Look-ups and changes go on meanwhile.
    ///
    /// # Errors
    /// [`ListError::Miscounted`] if the merge lost or gained an entry; the snapshot in force stays.
    pub fn rebuild(&self) -> Result<(), ListError> {
        let _one_at_a_time = self.0.rebuild.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let before = self.freeze();
        let exact = before.base.exact.merge(&before.overlay.changes())?;
        if exact.len() as u64 != before.entries {
            return Err(ListError::Miscounted { before: before.entries, after: exact.len() as u64 });
        }
        let base = Arc::new(Base::new(exact, &self.0.settings));
        {
            let _writer = self.writer();
            let now = self.0.state.load();
            // What was merged leaves the overlay; what came meanwhile lies on top of it.
            let layers = now.overlay.layers.iter().skip(now.overlay.frozen).cloned().collect();
            let overlay = Overlay { layers, frozen: 0 };
            self.0.state.store(Arc::new(State { overlay, base, entries: now.entries }));
        }
        self.0.rebuilds.fetch_add(1, Ordering::Relaxed);
        self.0.rebuild_last_us.store(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.retire(before);
        Ok(())
    }

    /// The state as it is, whose layers are left as they are from now on.
    fn freeze(&self) -> Arc<State> {
        let _writer = self.writer();
        let state = self.0.state.load();
        let mut overlay = state.overlay.clone();
        overlay.frozen = overlay.layers.len();
        let frozen = Arc::new(State { overlay, base: Arc::clone(&state.base), entries: state.entries });
        self.0.state.store(Arc::clone(&frozen));
        frozen
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
            lookups: self.0.lookups.load(Ordering::Relaxed),
            false_alarms: self.0.false_alarms.load(Ordering::Relaxed),
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
                let due = list.is_rebuild_due(&list.0.state.load());
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

#[cfg(test)]
mod tests;
