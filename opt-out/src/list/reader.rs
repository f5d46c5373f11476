//! One thread's view of the list, as a lane of the tracker has it.
//!
//! It owns what of a look-up is a thread's own: which snapshot it saw last, and how many look-ups it has not told yet. It must never answer from a snapshot
//! once another is in force.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::{ArcSwap, Cache};
use event::key::OptOutHash;

use super::{Shared, State};

/// Look-ups that a reader counts by itself before it tells the others.
const LOOKUPS_TOLD_AT: u32 = 1_024;

/// One thread's view of a [`List`](super::List): remembers the snapshot and notices at each look-up whether another is in force. That costs a plain read
/// instead of the memory barrier of [`List::contains`](super::List::contains), so that look-ups overlap. An idle reader keeps the snapshot that it saw last alive.
pub struct Reader {
    state: Cache<Arc<ArcSwap<State>>, Arc<State>>,
    shared: Arc<Shared>,
    /// Not told yet.
    lookups: u32,
}

impl Reader {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { state: Cache::new(Arc::clone(&shared.state)), shared: Arc::clone(shared), lookups: 0 }
    }

    /// As [`List::contains`](super::List::contains).
    #[inline]
    pub fn contains(&mut self, hash: &OptOutHash) -> bool {
        // So few steps for a stranger that the processor is at the next look-ups' memory before this one's has come.
        if self.lookups < LOOKUPS_TOLD_AT && self.state.load().rules_out(hash) {
            self.lookups += 1;
            return false;
        }
        self.look_up_any(std::slice::from_ref(hash))
    }

    /// As [`List::contains_any`](super::List::contains_any).
    #[inline]
    pub fn contains_any(&mut self, hashes: &[OptOutHash]) -> bool {
        self.look_up_any(hashes)
    }

    #[inline(never)]
    fn look_up_any(&mut self, hashes: &[OptOutHash]) -> bool {
        let (is_listed, false_alarms) = self.state.load().contains_any(hashes);
        self.lookups += hashes.len() as u32;
        if self.lookups >= LOOKUPS_TOLD_AT || false_alarms > 0 {
            self.tell(false_alarms);
        }
        is_listed
    }

    /// Tells what was counted.
    #[cold]
    fn tell(&mut self, false_alarms: u32) {
        self.shared.lookups.fetch_add(u64::from(std::mem::take(&mut self.lookups)), Ordering::Relaxed);
        self.shared.false_alarms.fetch_add(u64::from(false_alarms), Ordering::Relaxed);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.tell(0);
    }
}
