//! The thread that stores batches: one write and one sync for each, rotation of segments, and taking up work again after a failure. The
//! only code that writes frames. It never writes to a segment after a write or sync on it has failed, and never repeats a failed sync.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::active::{Active, create_segment, draw_journal_id, give_up};
use crate::commit::{Group, abandon};
use crate::error::CommitError;
use crate::format::{Encoder, JournalId, Link, Place, Plain, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::inventory::Segment;
use crate::mailbox::{Batch, Reclaim, State};
use crate::retention::{self, Need};
use crate::settings::Durability;
use crate::writer::{Shared, lock};

/// How often an idle committer looks whether its segment has become old and whether old ones may go.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(10);
/// Output buffer kept between batches, bytes; a larger one is given back.
const BUFFER_BYTES_KEPT: usize = 8 * 1024 * 1024;

/// What the thread is to do next.
enum Job {
    Commit(Batch),
    Probe,
    Reclaim,
    Housekeeping,
    Close,
}

pub(crate) struct Committer {
    shared: Arc<Shared>,
    /// None after a failure, until a probe has made a new one.
    active: Option<Active>,
    /// The end of the last segment, for the header of the next.
    last: Link,
    /// Number of the next segment.
    next_number: u64,
    encoder: Encoder,
    out: Vec<u8>,
    /// A segment was closed: others may be old enough to go.
    retain_due: bool,
    /// That the lane is full has been said.
    full_reported: bool,
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, active: Active) -> Committer {
        let encoder = Encoder::new(shared.settings.compression);
        let (last, next_number) = (active.end, active.end.segment + 1);
        Committer {
            shared,
            active: Some(active),
            last,
            next_number,
            encoder,
            out: Vec::new(),
            retain_due: false,
            full_reported: false,
        }
    }

    /// Runs until the lane is closed.
    pub(crate) fn run(mut self) {
        // If anything below panics, nobody may wait for ever.
        let _guard = EndGuard(self.shared.clone());
        loop {
            match self.next_job() {
                Job::Commit(batch) => self.commit(batch),
                Job::Probe => self.probe(),
                Job::Reclaim => self.reclaim(),
                Job::Housekeeping => self.housekeeping(),
                Job::Close => return self.close(),
            }
        }
    }

    fn next_job(&self) -> Job {
        let mut mailbox = lock(&self.shared.mailbox);
        loop {
            if let Some(batch) = mailbox.handed.take() {
                return Job::Commit(batch);
            }
            if mailbox.closing {
                if mailbox.flush() {
                    continue;
                }
                return Job::Close;
            }
            if mailbox.reclaim == Reclaim::Wanted {
                return Job::Reclaim;
            }
            let (wait, then) = match mailbox.state {
                State::Failed(_) => (self.shared.settings.probe_interval, Job::Probe),
                State::Open | State::Closed => (HOUSEKEEPING_INTERVAL, Job::Housekeeping),
            };
            let waited = self.shared.work.wait_timeout(mailbox, wait);
            let (guard, timeout) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
            mailbox = guard;
            let idle = mailbox.handed.is_none() && !mailbox.closing && mailbox.reclaim != Reclaim::Wanted;
            if timeout.timed_out() && idle {
                return then;
            }
        }
    }

    fn commit(&mut self, mut batch: Batch) {
        let result = self.store(&batch);
        let group = batch.group.take();
        match result {
            Ok(()) => {
                if let Some(group) = &group {
                    group.end(Ok(()));
                }
            }
            Err(error) => {
                self.fail(&error);
                abandon(group.clone(), CommitError::from(&error));
            }
        }
        batch.clear();
        self.hand_back(batch, group);
        if std::mem::take(&mut self.retain_due) {
            // Only now: removing a large file takes its time, and nobody is to wait for it.
            self.retain(Need::Age);
            self.retain(Need::Space { bytes: self.shared.settings.segment_bytes_max });
        }
        if self.out.capacity() > BUFFER_BYTES_KEPT {
            self.out = Vec::new();
        }
    }

    /// Ends the running batch in the mailbox, takes the next one if it was asked for, and has the group's tasks woken.
    fn hand_back(&self, batch: Batch, group: Option<Arc<Group>>) {
        let mut mailbox = lock(&self.shared.mailbox);
        mailbox.running = false;
        mailbox.running_bytes = 0;
        mailbox.running_since = None;
        mailbox.spare = Some(batch);
        if mailbox.flush_wanted || mailbox.closing {
            mailbox.flush();
        }
        let driver = mailbox.driver.clone();
        let undriven = match (driver.is_some(), group) {
            (true, Some(group)) => {
                mailbox.finished.push(group);
                None
            }
            (_, group) => group,
        };
        drop(mailbox);
        if let Some(group) = undriven {
            group.wake();
        }
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Writes the batch as one or more frames with one write and, by setting, one sync.
    fn store(&mut self, batch: &Batch) -> io::Result<()> {
        self.rotate_if_due(batch.disk_bytes_max(), batch.first_seq)?;
        let Some(active) = &mut self.active else {
            return Err(io::Error::other("no segment is open"));
        };
        self.out.clear();
        let mut end = active.end;
        let (mut start, mut seq) = (0, batch.first_seq);
        for cut in &batch.cuts {
            let payload = batch.bytes.get(start..cut.end).unwrap_or_default();
            let place = Place { segment: end.segment, offset: active.end.end + self.out.len() as u64 };
            let continues = start > 0;
            let plain =
                Plain { journal_id: active.journal_id, first_seq: seq, count: cut.count, continues, payload };
            end.chain = self.encoder.push_frame(place, plain, &mut self.out);
            start = cut.end;
            seq += u64::from(cut.count);
        }
        end.end += self.out.len() as u64;
        let begun = Instant::now();
        active.file.write_at(&self.out, active.end.end)?;
        let written = Instant::now();
        if self.shared.settings.durability == Durability::Fsync {
            active.file.sync()?;
            self.shared.counters.synced(written.elapsed());
        }
        self.shared.counters.stored(
            batch.cuts.len() as u64,
            batch.records(),
            self.out.len() as u64,
            begun.elapsed(),
        );
        active.end = end;
        self.last = end;
        self.publish(end);
        Ok(())
    }

    /// Lets the readers see what is committed now.
    fn publish(&self, end: Link) {
        let mut inventory = lock(&self.shared.inventory);
        if let Some(segment) = inventory.segments.get_mut(&end.segment) {
            let added = end.end.saturating_sub(segment.file_bytes);
            segment.end = end.end;
            segment.file_bytes += added;
            self.shared.disk_bytes.fetch_add(added, Ordering::Relaxed);
        }
        let is_awaited = inventory.readers_sleeping > 0;
        drop(inventory);
        if is_awaited {
            self.shared.news.notify_all();
        }
    }

    fn rotate_if_due(&mut self, bytes: u64, first_seq: u64) -> io::Result<()> {
        let Some(active) = &self.active else { return Ok(()) };
        let age_ms = self.shared.now_ms().saturating_sub(active.created_ms);
        let old =
            age_ms > i64::try_from(self.shared.settings.segment_age_max.as_millis()).unwrap_or(i64::MAX);
        let full = active.end.end + bytes > self.shared.settings.segment_bytes_max;
        if active.is_empty() || !(old || full) {
            return Ok(());
        }
        self.retain_due = true;
        self.rotate(first_seq)
    }

    /// Closes the segment and begins the next of the same incarnation.
    fn rotate(&mut self, first_seq: u64) -> io::Result<()> {
        let Some(active) = self.active.take() else { return Ok(()) };
        // Also under `Os`: recovery relies on nothing but the last segment having an uncertain end.
        active.file.sync()?;
        self.begin_segment(active.journal_id, first_seq)
    }

    fn begin_segment(&mut self, journal_id: JournalId, first_seq: u64) -> io::Result<()> {
        let now_ms = self.shared.now_ms();
        let header =
            |number| SegmentHeader { journal_id, number, created_ms: now_ms, first_seq, previous: self.last };
        let shared = &self.shared;
        let active = loop {
            match create_segment(&*shared.storage, &shared.dir, header(self.next_number)) {
                // Left by an attempt that failed and could not clean up.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.next_number += 1,
                other => break other?,
            }
        };
        let number = self.next_number;
        self.next_number += 1;
        let mut inventory = lock(&shared.inventory);
        if let Some(previous) = inventory.segments.get_mut(&self.last.segment) {
            previous.closed_ms.get_or_insert(now_ms);
        }
        inventory.segments.insert(number, Segment::fresh(number, journal_id, first_seq));
        shared.disk_bytes.fetch_add(SEGMENT_HEADER_BYTES as u64, Ordering::Relaxed);
        drop(inventory);
        shared.news.notify_all();
        tracing::info!(dir = %shared.dir.display(), segment = number, journal_id = %journal_id, "journal segment begun");
        self.last = active.end;
        self.active = Some(active);
        Ok(())
    }

    /// Closes the segment for good and refuses records until a probe succeeds.
    fn fail(&mut self, error: &io::Error) {
        let shared = &self.shared;
        let file_bytes = self.active.take().and_then(|active| give_up(&*active.file, active.end.end));
        let mut inventory = lock(&shared.inventory);
        if let Some(segment) = inventory.segments.get_mut(&self.last.segment) {
            segment.closed_ms.get_or_insert(shared.now_ms());
            // What could not be cut off takes room as well.
            let added = file_bytes.unwrap_or(0).saturating_sub(segment.file_bytes);
            segment.file_bytes += added;
            shared.disk_bytes.fetch_add(added, Ordering::Relaxed);
        }
        drop(inventory);
        let mut mailbox = lock(&shared.mailbox);
        mailbox.state = State::Failed(error.kind());
        mailbox.flush_wanted = false;
        let forming = mailbox.forming.group.take();
        mailbox.forming.clear();
        drop(mailbox);
        shared.counters.failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            dir = %shared.dir.display(), segment = self.last.segment, committed_bytes = self.last.end, error = %error,
            "journal segment failed and is closed; records are refused until a new one can be opened"
        );
        abandon(forming, CommitError::from(error));
    }

    /// Tries to take up work again: a new segment of a new incarnation.
    fn probe(&mut self) {
        let begun = self.try_resume();
        let shared = &self.shared;
        match begun {
            Ok(journal_id) => {
                let mut mailbox = lock(&shared.mailbox);
                shared.journal_id.store(journal_id.0, Ordering::Release);
                mailbox.next_seq = 0;
                mailbox.state = State::Open;
                drop(mailbox);
                tracing::warn!(dir = %shared.dir.display(), journal_id = %journal_id, "journal takes records again");
            }
            Err(error) => {
                shared.counters.probes_failed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(dir = %shared.dir.display(), error = %error, "journal still cannot open a segment");
            }
        }
    }

    fn try_resume(&mut self) -> io::Result<JournalId> {
        let shared = self.shared.clone();
        // A segment's header fits where no batch does: without this look the lane would fail again with the next batch.
        let needed = 2 * shared.settings.queue_bytes_max as u64;
        if shared.storage.free_bytes(&shared.dir)? < needed {
            self.retain(Need::Disk { bytes: needed });
            if shared.storage.free_bytes(&shared.dir)? < needed {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let journal_id = draw_journal_id().map_err(io::Error::other)?;
        self.begin_segment(journal_id, 0)?;
        Ok(journal_id)
    }

    /// Makes room under `disk_bytes_max`: closed segments behind every cursor, whatever their age.
    fn reclaim(&mut self) {
        let shared = self.shared.clone();
        let bytes = shared.settings.segment_bytes_max.min(shared.settings.disk_bytes_max / 2);
        let before = shared.disk_bytes.load(Ordering::Relaxed);
        self.retain(Need::Space { bytes });
        let everything_read = {
            let inventory = lock(&shared.inventory);
            let end = inventory.committed();
            !inventory.cursors.is_empty()
                && inventory.cursors.values().all(|c| inventory.resolve(c.position) >= end)
        };
        let written = self.active.as_ref().is_some_and(|active| !active.is_empty());
        if shared.disk_bytes.load(Ordering::Relaxed) == before && everything_read && written {
            self.rotate_now();
            self.retain(Need::Space { bytes });
        }
        let freed = shared.disk_bytes.load(Ordering::Relaxed) < before;
        let mut mailbox = lock(&shared.mailbox);
        mailbox.reclaim = if freed { Reclaim::Idle } else { Reclaim::Hopeless };
        drop(mailbox);
        if !freed && !self.full_reported {
            let held_by = lock(&shared.inventory).slowest_cursor();
            tracing::error!(
                dir = %shared.dir.display(), disk_bytes = before, disk_bytes_max = shared.settings.disk_bytes_max,
                held_by = held_by.as_deref().unwrap_or("no cursor exists"),
                "journal is full: no segment is behind every cursor; records are refused until a reader moves on"
            );
        }
        self.full_reported = !freed;
    }

    /// Rotates outside a commit, between two batches.
    fn rotate_now(&mut self) {
        // The forming batch may have begun already: the new segment's first record is the first that is not stored yet.
        let first_seq = {
            let mailbox = lock(&self.shared.mailbox);
            let waiting =
                mailbox.handed.as_ref().or((!mailbox.forming.is_empty()).then_some(&mailbox.forming));
            waiting.map_or(mailbox.next_seq, |batch| batch.first_seq)
        };
        if let Err(error) = self.rotate(first_seq) {
            self.fail(&error);
            let groups = {
                let mut mailbox = lock(&self.shared.mailbox);
                mailbox.running = false;
                mailbox.running_bytes = 0;
                mailbox.running_since = None;
                mailbox.handed.take().and_then(|mut batch| batch.group.take())
            };
            abandon(groups, CommitError::from(&error));
        }
    }

    fn housekeeping(&mut self) {
        let Some(active) = &self.active else { return };
        let age_ms = self.shared.now_ms().saturating_sub(active.created_ms);
        let old =
            age_ms > i64::try_from(self.shared.settings.segment_age_max.as_millis()).unwrap_or(i64::MAX);
        if old && !active.is_empty() {
            self.rotate_now();
        }
        self.retain(Need::Age);
    }

    fn retain(&self, need: Need) {
        if let Err(error) = retention::retain(&self.shared, need) {
            tracing::warn!(dir = %self.shared.dir.display(), error = %error, "journal segments could not be removed");
        }
    }

    /// Writes the mark of a clean close, so that recovery can tell a damaged last frame from a torn one.
    fn close(&mut self) {
        if let Some(active) = self.active.take().filter(|active| !active.is_empty()) {
            let mut out = Vec::new();
            let place = Place { segment: active.end.segment, offset: active.end.end };
            let seq = lock(&self.shared.mailbox).next_seq;
            let mark = Plain {
                journal_id: active.journal_id,
                first_seq: seq,
                count: 0,
                continues: false,
                payload: &[],
            };
            let chain = self.encoder.push_frame(place, mark, &mut out);
            let marked = active.file.write_at(&out, active.end.end).and_then(|()| active.file.sync());
            match marked {
                Ok(()) => self.publish(Link { end: active.end.end + out.len() as u64, chain, ..active.end }),
                Err(error) => {
                    give_up(&*active.file, active.end.end);
                    tracing::warn!(
                        dir = %self.shared.dir.display(), error = %error, "journal could not be marked as closed cleanly"
                    );
                }
            }
        }
    }
}

/// Ends the lane however the thread ends.
struct EndGuard(Arc<Shared>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        let mut mailbox = lock(&self.0.mailbox);
        mailbox.state = State::Closed;
        mailbox.closing = true;
        let handed = mailbox.handed.take().and_then(|mut batch| batch.group.take());
        let forming = mailbox.forming.group.take();
        mailbox.forming.clear();
        let driver = mailbox.driver.clone();
        drop(mailbox);
        if std::thread::panicking() {
            tracing::error!(dir = %self.0.dir.display(), "journal thread panicked; the lane is closed");
        }
        abandon(handed.into_iter().chain(forming), CommitError::Closed);
        lock(&self.0.inventory).closed = true;
        self.0.news.notify_all();
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
