//! Counters and gauges of a lane, for metrics and readiness. Owns numbers only; naming metrics is the caller's business.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::AppendError;
use crate::mailbox::{Mailbox, Reclaim, State};
use crate::writer::{Shared, lock};

/// Whether a lane takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Open {
        /// How long the running commit has been on the disk; zero if none runs. Seconds mean a hung disk.
        commit_running: Duration,
    },
    /// It is at `disk_bytes_max` and nothing may be removed.
    Full,
    /// A write or sync failed; it probes every `probe_interval`.
    Failed(io::ErrorKind),
    /// It was closed, or its thread ended.
    Closed,
}

impl Health {
    pub(crate) fn of(mailbox: &Mailbox) -> Health {
        match mailbox.state {
            State::Open if mailbox.closing => Health::Closed,
            State::Open if mailbox.reclaim != Reclaim::Idle => Health::Full,
            State::Open => {
                let running = mailbox.running_since.map(|since| since.elapsed());
                Health::Open { commit_running: running.unwrap_or_default() }
            }
            State::Failed(kind) => Health::Failed(kind),
            State::Closed => Health::Closed,
        }
    }
}

/// A lane in numbers. Counters count from the opening of the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records stored.
    pub records: u64,
    /// Frames stored.
    pub frames: u64,
    /// Groups stored: one write each.
    pub groups: u64,
    /// Bytes written as frames.
    pub stored_bytes: u64,
    /// Syncs of groups.
    pub syncs: u64,
    /// Time spent in them, nanoseconds.
    pub sync_nanos: u64,
    /// The longest of them, nanoseconds.
    pub sync_nanos_max: u64,
    /// Time spent in writes and syncs of groups, nanoseconds.
    pub commit_nanos: u64,
    /// Appends refused because the forming batch was full.
    pub refused_queue_full: u64,
    /// Appends refused because of a failed disk.
    pub refused_failed: u64,
    /// Appends refused at `disk_bytes_max`.
    pub refused_disk_full: u64,
    /// Appends refused for their length or after closing.
    pub refused_other: u64,
    /// Segments given up after a failed write or sync.
    pub failures: u64,
    /// Attempts to resume that failed.
    pub probes_failed: u64,
    /// Segments removed by age.
    pub segments_expired: u64,
    /// Segments removed before their age to make room.
    pub segments_evicted: u64,
    /// Damaged ranges that readers skipped.
    pub damaged_ranges: u64,
    /// Bytes of those ranges.
    pub damaged_bytes: u64,
    /// Segments now.
    pub segments: u64,
    /// Bytes of all segments now.
    pub disk_bytes: u64,
    /// Bytes in the forming batch now.
    pub queue_bytes: u64,
    /// Records in the forming batch now.
    pub queue_records: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    records: AtomicU64,
    frames: AtomicU64,
    groups: AtomicU64,
    stored_bytes: AtomicU64,
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
    sync_nanos_max: AtomicU64,
    commit_nanos: AtomicU64,
    refused_queue_full: AtomicU64,
    refused_failed: AtomicU64,
    refused_disk_full: AtomicU64,
    refused_other: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) probes_failed: AtomicU64,
    pub(crate) segments_expired: AtomicU64,
    pub(crate) segments_evicted: AtomicU64,
    pub(crate) damaged_ranges: AtomicU64,
    pub(crate) damaged_bytes: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Counters {
    pub(crate) fn synced(&self, took: Duration) {
        add(&self.syncs, 1);
        add(&self.sync_nanos, nanos(took));
        self.sync_nanos_max.fetch_max(nanos(took), Ordering::Relaxed);
    }

    pub(crate) fn stored(&self, frames: u64, records: u64, bytes: u64, took: Duration) {
        add(&self.groups, 1);
        add(&self.frames, frames);
        add(&self.records, records);
        add(&self.stored_bytes, bytes);
        add(&self.commit_nanos, nanos(took));
    }

    pub(crate) fn refused(&self, error: AppendError) {
        let counter = match error {
            AppendError::QueueFull => &self.refused_queue_full,
            AppendError::Failed => &self.refused_failed,
            AppendError::DiskFull => &self.refused_disk_full,
            AppendError::TooLong | AppendError::Closed => &self.refused_other,
        };
        add(counter, 1);
    }
}

impl Stats {
    pub(crate) fn of(shared: &Shared) -> Stats {
        let counters = &shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (queue_bytes, queue_records) = {
            let forming = &lock(&shared.mailbox).forming;
            (forming.bytes.len() as u64, forming.records())
        };
        Stats {
            records: get(&counters.records),
            frames: get(&counters.frames),
            groups: get(&counters.groups),
            stored_bytes: get(&counters.stored_bytes),
            syncs: get(&counters.syncs),
            sync_nanos: get(&counters.sync_nanos),
            sync_nanos_max: get(&counters.sync_nanos_max),
            commit_nanos: get(&counters.commit_nanos),
            refused_queue_full: get(&counters.refused_queue_full),
            refused_failed: get(&counters.refused_failed),
            refused_disk_full: get(&counters.refused_disk_full),
            refused_other: get(&counters.refused_other),
            failures: get(&counters.failures),
            probes_failed: get(&counters.probes_failed),
            segments_expired: get(&counters.segments_expired),
            segments_evicted: get(&counters.segments_evicted),
            damaged_ranges: get(&counters.damaged_ranges),
            damaged_bytes: get(&counters.damaged_bytes),
            segments: lock(&shared.inventory).segments.len() as u64,
            disk_bytes: get(&shared.disk_bytes),
            queue_bytes,
            queue_records,
        }
    }
}
