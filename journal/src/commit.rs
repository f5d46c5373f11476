//! Waiting for a group: the future that `append` returns, and the group that many of them share. A group ends exactly once; who waits
//! is woken after that, never before, and never while a lock is held.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::{io, mem};

use crate::error::CommitError;
use crate::format::JournalId;
use crate::writer::{Shared, lock};

const PENDING: u8 = 0;
const STORED: u8 = 1;
const ENDED: u8 = 2;

/// Records that are written and synced together, and those who wait for it.
pub(crate) struct Group {
    /// `PENDING`, `STORED` or `ENDED` (with an error in `waiters`): the quick look of a poll.
    state: AtomicU8,
    waiters: Mutex<Waiters>,
    ended: Condvar,
}

#[derive(Default)]
struct Waiters {
    result: Option<Result<(), CommitError>>,
    wakers: Vec<Waker>,
    /// Threads that sleep on `ended`: to wake none costs a call of the system all the same.
    sleeping: usize,
}

impl Group {
    /// A group of about `records` records.
    pub(crate) fn new(records: usize) -> Arc<Group> {
        let waiters = Waiters { result: None, wakers: Vec::with_capacity(records), sleeping: 0 };
        Arc::new(Group { state: AtomicU8::new(PENDING), waiters: Mutex::new(waiters), ended: Condvar::new() })
    }

    /// Ends the group. Threads that wait are woken here, tasks by [`Group::wake`].
    pub(crate) fn end(&self, result: Result<(), CommitError>) {
        let mut waiters = lock(&self.waiters);
        debug_assert!(waiters.result.is_none(), "a group ends once");
        waiters.result = Some(result);
        self.state.store(if result.is_ok() { STORED } else { ENDED }, Ordering::Release);
        let is_slept_on = waiters.sleeping > 0;
        drop(waiters);
        if is_slept_on {
            self.ended.notify_all();
        }
    }

    /// Wakes the tasks that wait.
    pub(crate) fn wake(&self) {
        let wakers = mem::take(&mut lock(&self.waiters).wakers);
        for waker in wakers {
            waker.wake();
        }
    }

    /// The result, if there is one; else has `waker` woken when there is. `slot` remembers where the waker lies.
    fn poll(&self, waker: &Waker, slot: &mut Option<usize>) -> Option<Result<(), CommitError>> {
        if self.state.load(Ordering::Acquire) == STORED {
            return Some(Ok(()));
        }
        let mut waiters = lock(&self.waiters);
        if waiters.result.is_some() {
            return waiters.result;
        }
        if let Some(old) = slot.and_then(|slot| waiters.wakers.get_mut(slot)) {
            old.clone_from(waker);
        } else {
            *slot = Some(waiters.wakers.len());
            waiters.wakers.push(waker.clone());
        }
        None
    }

    fn wait(&self) -> Result<(), CommitError> {
        let mut waiters = lock(&self.waiters);
        loop {
            if let Some(result) = waiters.result {
                return result;
            }
            waiters.sleeping += 1;
            waiters = self.ended.wait(waiters).unwrap_or_else(std::sync::PoisonError::into_inner);
            waiters.sleeping -= 1;
        }
    }
}

/// Ends the groups of batches that will never be stored. Wakes those who wait.
pub(crate) fn abandon(groups: impl IntoIterator<Item = Arc<Group>>, error: CommitError) {
    for group in groups {
        group.end(Err(error));
        group.wake();
    }
}

/// The promise for one record. Resolves to its sequence number once it is stored as [`crate::Durability`] says.
///
/// Dropping it takes nothing back: the record is written all the same.
#[must_use = "nothing is known about the record before its commit has answered"]
pub struct Commit {
    pub(crate) group: Arc<Group>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal_id: JournalId,
    pub(crate) seq: u64,
    pub(crate) slot: Option<usize>,
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commit").field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// A second promise for the same record.
impl Clone for Commit {
    fn clone(&self) -> Commit {
        Commit {
            group: self.group.clone(),
            shared: self.shared.clone(),
            journal_id: self.journal_id,
            seq: self.seq,
            slot: None,
        }
    }
}

impl Commit {
    /// Whether both records are stored together, or neither is.
    pub fn is_with(&self, other: &Commit) -> bool {
        Arc::ptr_eq(&self.group, &other.group)
    }

    /// The incarnation that took the record.
    pub fn journal_id(&self) -> JournalId {
        self.journal_id
    }

    /// The sequence number that the record has if it is stored; with [`Commit::journal_id`] its identity.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Blocks the thread until the record is stored; hands the batch over first, so that it needs no [`crate::Writer::drive`].
    /// Not for a runtime's thread.
    ///
    /// # Errors
    /// [`CommitError`]: the record is not confirmed.
    pub fn wait(self) -> Result<u64, CommitError> {
        self.shared.flush();
        self.group.wait().map(|()| self.seq)
    }
}

impl Future for Commit {
    type Output = Result<u64, CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let first = this.slot.is_none();
        if let Some(result) = this.group.poll(context.waker(), &mut this.slot) {
            return Poll::Ready(result.map(|()| this.seq));
        }
        // Without a driving task nobody else would hand the batch over.
        if first && !this.shared.is_driven() {
            this.shared.flush();
        }
        Poll::Pending
    }
}

impl From<&io::Error> for CommitError {
    fn from(error: &io::Error) -> CommitError {
        CommitError::Storage(error.kind())
    }
}
