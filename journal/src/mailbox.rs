//! What lies between the runtime's thread and the committer: the forming batch, the one handed over, the groups that have ended. Pure
//! bookkeeping under one lock that both hold for moments only; it does no I/O.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;
use std::{io, mem};

use crate::commit::{Group, abandon};
use crate::error::CommitError;
use crate::format::{FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, push_record};

/// Between the runtime's thread and the committer.
#[derive(Default)]
pub(crate) struct Mailbox {
    pub(crate) state: State,
    /// Sequence number of the next record.
    pub(crate) next_seq: u64,
    pub(crate) forming: Batch,
    pub(crate) handed: Option<Batch>,
    /// A batch is handed over or being committed.
    pub(crate) running: bool,
    /// Most bytes that the running batch can take on disk.
    pub(crate) running_bytes: u64,
    pub(crate) running_since: Option<Instant>,
    /// The forming batch goes as soon as the running one has ended.
    pub(crate) flush_wanted: bool,
    pub(crate) closing: bool,
    pub(crate) reclaim: Reclaim,
    /// Ended groups whose tasks the driving task has still to wake.
    pub(crate) finished: Vec<Arc<Group>>,
    /// Woken when a batch begins to form and when a group has ended.
    pub(crate) driver: Option<Waker>,
    pub(crate) spare: Option<Batch>,
}

/// Whether records are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Open,
    /// A write or sync failed; the committer probes.
    Failed(io::ErrorKind),
    Closed,
}

/// Where making room under `disk_bytes_max` stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reclaim {
    #[default]
    Idle,
    /// The committer is to look for segments to remove.
    Wanted,
    /// It looked and found none; worth another look once a cursor has moved.
    Hopeless,
}

/// Records on their way to the disk.
#[derive(Default)]
pub(crate) struct Batch {
    /// The records, each behind its length.
    pub(crate) bytes: Vec<u8>,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) first_seq: u64,
    pub(crate) group: Option<Arc<Group>>,
}

/// The end of one frame in a batch.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cut {
    /// Where its records end in the batch's bytes.
    pub(crate) end: usize,
    pub(crate) count: u32,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    pub(crate) fn records(&self) -> u64 {
        self.cuts.iter().map(|cut| u64::from(cut.count)).sum()
    }

    /// Most bytes that it can take on disk, a new segment included.
    pub(crate) fn disk_bytes_max(&self) -> u64 {
        (self.bytes.len() + self.cuts.len() * FRAME_HEADER_BYTES + SEGMENT_HEADER_BYTES) as u64
    }

    pub(crate) fn push(&mut self, record: &[u8], payload_bytes_max: usize) {
        let start = self.bytes.len();
        push_record(record, &mut self.bytes);
        let end = self.bytes.len();
        let frame_start =
            self.cuts.len().checked_sub(2).and_then(|at| self.cuts.get(at)).map_or(0, |cut| cut.end);
        match self.cuts.last_mut() {
            Some(cut) if end - frame_start <= payload_bytes_max => *cut = Cut { end, count: cut.count + 1 },
            _ => {
                debug_assert!(end - start <= payload_bytes_max);
                self.cuts.push(Cut { end, count: 1 });
            }
        }
    }

    /// Empties it, keeping its buffers.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.cuts.clear();
        self.group = None;
    }
}

impl Drop for Batch {
    /// Whoever waits for a batch that is dropped on its way, by a panic, is told.
    fn drop(&mut self) {
        abandon(self.group.take(), CommitError::Closed);
    }
}

impl Mailbox {
    /// Hands the forming batch over if the committer is idle, else notes that it is to go next. True: wake the committer.
    pub(crate) fn flush(&mut self) -> bool {
        if self.forming.is_empty() {
            return false;
        }
        if self.running {
            self.flush_wanted = true;
            return false;
        }
        let spare = self.spare.take().unwrap_or_default();
        let batch = mem::replace(&mut self.forming, spare);
        self.running = true;
        self.flush_wanted = false;
        self.running_bytes = batch.disk_bytes_max();
        self.running_since = Some(Instant::now());
        self.handed = Some(batch);
        true
    }
}
