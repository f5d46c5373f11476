//! The caller's side of a lane: taking records into the forming batch, handing it over, waking those who wait. Owns the mailbox between
//! the one runtime thread and its committer. It never does I/O on the append path and never holds the mailbox while it wakes anyone.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::Clock;
use crate::commit::{Commit, Group};
use crate::drive::Drive;
use crate::error::{AppendError, Error};
use crate::format::{FRAME_HEADER_BYTES, JournalId, Position, RECORD_PREFIX_BYTES_MAX, SEGMENT_HEADER_BYTES};
use crate::inventory::{Cursor, Inventory};
use crate::mailbox::{Mailbox, Reclaim, State};
use crate::reader::Reader;
use crate::retention::{self, Need, Retained};
use crate::settings::Settings;
use crate::stats::{Counters, Health, Stats};
use crate::storage::{Lock, Storage};

/// Locks, also after a thread panicked with the lock held: what the locks here guard is never left half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the writer, its committer and its readers share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) dir: PathBuf,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Clock,
    pub(crate) mailbox: Mutex<Mailbox>,
    /// The committer sleeps here.
    pub(crate) work: Condvar,
    pub(crate) inventory: Mutex<Inventory>,
    /// Readers that have caught up sleep here.
    pub(crate) news: Condvar,
    /// One retention pass at a time.
    pub(crate) retaining: Mutex<()>,
    pub(crate) counters: Counters,
    /// Bytes of all segments, as the inventory last counted them.
    pub(crate) disk_bytes: AtomicU64,
    /// The incarnation that takes records now.
    pub(crate) journal_id: AtomicU64,
    /// A driving task exists.
    pub(crate) driven: AtomicBool,
    _lock: Lock,
}

impl Shared {
    pub(crate) fn new(parts: Parts, mailbox: Mailbox, inventory: Inventory, journal_id: JournalId) -> Shared {
        let disk_bytes = AtomicU64::new(inventory.file_bytes());
        Shared {
            settings: parts.settings,
            dir: parts.dir,
            storage: parts.storage,
            clock: parts.clock,
            mailbox: Mutex::new(mailbox),
            work: Condvar::new(),
            inventory: Mutex::new(inventory),
            news: Condvar::new(),
            retaining: Mutex::new(()),
            counters: Counters::default(),
            disk_bytes,
            journal_id: AtomicU64::new(journal_id.0),
            driven: AtomicBool::new(false),
            _lock: parts.lock,
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    pub(crate) fn is_driven(&self) -> bool {
        self.driven.load(Ordering::Relaxed)
    }

    pub(crate) fn flush(&self) {
        if lock(&self.mailbox).flush() {
            self.work.notify_one();
        }
    }

    /// A cursor moved: looking for room may be worth it again.
    pub(crate) fn cursor_moved(&self) {
        let mut mailbox = lock(&self.mailbox);
        if mailbox.reclaim == Reclaim::Hopeless {
            mailbox.reclaim = Reclaim::Wanted;
            drop(mailbox);
            self.work.notify_one();
        }
    }

    /// Takes a record, if the incarnation is the given one.
    fn append(
        self: &Arc<Self>,
        record: &[u8],
        incarnation: Option<JournalId>,
    ) -> Result<Commit, AppendError> {
        if record.len() > self.settings.record_bytes_max() {
            return Err(AppendError::TooLong);
        }
        let mut mailbox = lock(&self.mailbox);
        match mailbox.state {
            State::Open if !mailbox.closing => {}
            State::Failed(_) => return Err(AppendError::Failed),
            State::Open | State::Closed => return Err(AppendError::Closed),
        }
        // Read under the lock: a probe changes it together with the sequence.
        let journal_id = JournalId(self.journal_id.load(Ordering::Acquire));
        if incarnation.is_some_and(|meant| meant != journal_id) {
            return Err(AppendError::Failed);
        }
        let record_bytes = record.len() + RECORD_PREFIX_BYTES_MAX;
        if mailbox.forming.bytes.len() + record_bytes > self.settings.queue_bytes_max {
            return Err(AppendError::QueueFull);
        }
        let pending = mailbox.running_bytes + mailbox.forming.disk_bytes_max() + record_bytes as u64;
        // Room for what a rotation, a clean close and a cut into one more frame add.
        let extra = (SEGMENT_HEADER_BYTES + 2 * FRAME_HEADER_BYTES) as u64;
        if self.disk_bytes.load(Ordering::Relaxed) + pending + extra > self.settings.disk_bytes_max {
            if mailbox.reclaim == Reclaim::Idle {
                mailbox.reclaim = Reclaim::Wanted;
                drop(mailbox);
                self.work.notify_one();
            }
            return Err(AppendError::DiskFull);
        }
        // There is room, whoever made it.
        mailbox.reclaim = Reclaim::Idle;
        let seq = mailbox.next_seq;
        mailbox.next_seq += 1;
        let first = mailbox.forming.is_empty();
        let wake = if first { mailbox.driver.clone() } else { None };
        let batch = &mut mailbox.forming;
        if first {
            batch.first_seq = seq;
        }
        batch.push(record, self.settings.frame_bytes_max - FRAME_HEADER_BYTES);
        let group = batch.group.get_or_insert_with(|| Group::new(GROUP_RECORDS_EXPECTED)).clone();
        drop(mailbox);
        if let Some(waker) = wake {
            waker.wake();
        }
        Ok(Commit { group, shared: self.clone(), journal_id, seq, slot: None })
    }
}

/// Room made for the wakers of a group when it begins.
const GROUP_RECORDS_EXPECTED: usize = 16;

/// What a lane was opened with.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) dir: PathBuf,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Clock,
    pub(crate) lock: Lock,
}

/// The writing end of a lane. Cheap to clone; when the last clone is dropped, the lane is closed as by [`Writer::close`].
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Arc<Thread>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("dir", &self.shared.dir)
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// A cursor as it stands on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorState {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub position: Position,
    /// Bytes of committed frames behind it: what its reader has still to confirm.
    pub lag_bytes: u64,
}

/// The committer's thread, which ends with the last writer.
struct Thread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Thread {
    fn close(&self) {
        lock(&self.shared.mailbox).closing = true;
        self.shared.work.notify_one();
        // Held until the thread has ended, so that a second caller waits for it too.
        let mut handle = lock(&self.handle);
        // A panic of the thread has ended the lane and was reported by its guard.
        let _ = handle.take().map(JoinHandle::join);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.close();
    }
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, handle: JoinHandle<()>) -> Writer {
        let thread = Thread { shared: shared.clone(), handle: Mutex::new(Some(handle)) };
        Writer { shared, thread: Arc::new(thread) }
    }

    /// Takes a record into the forming batch. Copies it and never blocks on the disk.
    ///
    /// # Errors
    /// [`AppendError`]: the record was not taken; the variant says whether to try again.
    pub fn append(&self, record: &[u8]) -> Result<Commit, AppendError> {
        self.counted(self.shared.append(record, None))
    }

    /// The same, for a record that is true of one incarnation only.
    ///
    /// # Errors
    /// As [`Writer::append`]; [`AppendError::Failed`] also if that incarnation has ended.
    pub fn append_in(&self, incarnation: JournalId, record: &[u8]) -> Result<Commit, AppendError> {
        self.counted(self.shared.append(record, Some(incarnation)))
    }

    fn counted(&self, result: Result<Commit, AppendError>) -> Result<Commit, AppendError> {
        if let Err(error) = result {
            self.shared.counters.refused(error);
        }
        result
    }

    /// The incarnation that takes records now. It changes when the lane takes up work again after a failure.
    pub fn id(&self) -> JournalId {
        JournalId(self.shared.journal_id.load(Ordering::Acquire))
    }

    /// Hands the forming batch to the committer's thread if that is idle, else has it go when the running commit ends.
    pub fn flush(&self) {
        self.shared.flush();
    }

    /// The task that drives the lane from a runtime: spawn it once, on the runtime whose tasks append. It hands the batch over when
    /// the tasks that were ready with the first append have run, and wakes the waiting tasks of ended groups from the runtime's own
    /// thread, at the cost of one wake across threads for each group. It ends when the lane is closed.
    ///
    /// Without it a batch goes when a commit is polled or waited for, or by [`Writer::flush`].
    pub fn drive(&self) -> impl Future<Output = ()> + Send + use<> {
        Drive::new(self.shared.clone())
    }

    /// How the lane is.
    pub fn health(&self) -> Health {
        Health::of(&lock(&self.shared.mailbox))
    }

    /// Counters and gauges of the lane.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.shared)
    }

    /// Behind the last committed frame: a reader whose position has reached it has seen everything that was answered until now.
    pub fn committed(&self) -> Position {
        lock(&self.shared.inventory).committed()
    }

    /// Every cursor, with what its reader has still to read.
    pub fn cursors(&self) -> Vec<CursorState> {
        let inventory = lock(&self.shared.inventory);
        let state = |(name, cursor): (&String, &Cursor)| CursorState {
            name: name.clone(),
            position: cursor.position,
            lag_bytes: inventory.lag_bytes(cursor.position),
        };
        inventory.cursors.iter().map(state).collect()
    }

    /// A reader that goes on where the cursor of this name stands; a new cursor is made at the oldest segment. From now on, and over
    /// restarts, nothing behind the cursor's back is removed.
    ///
    /// # Errors
    /// [`Error`]: a bad name, a second reader of that name, or the disk.
    pub fn reader(&self, name: &str) -> Result<Reader, Error> {
        Reader::named(&self.shared, name)
    }

    /// A reader without a cursor, from the oldest record on. It holds nothing back from removal.
    pub fn replay(&self) -> Reader {
        Reader::anonymous(&self.shared)
    }

    /// Forgets a cursor for good, so that it no longer holds segments back.
    ///
    /// # Errors
    /// [`Error::ReaderOpen`] while its reader is open, or the disk.
    pub fn remove_cursor(&self, name: &str) -> Result<(), Error> {
        crate::reader::remove_cursor(&self.shared, name)
    }

    /// Removes the segments that are behind every cursor and older than `retention_age`, oldest first. The committer does so by itself
    /// when it closes a segment and while it is idle.
    ///
    /// # Errors
    /// The disk's; what was removed until then stays removed.
    pub fn retain(&self) -> Result<Retained, Error> {
        retention::retain(&self.shared, Need::Age)
    }

    /// Commits what is queued, marks the lane as closed cleanly, and ends the thread. Blocks until that is done. Appends are refused
    /// from now on; readers can still read and move their cursors. The lock on the directory goes with the last writer and reader.
    pub fn close(&self) {
        self.thread.close();
    }
}
