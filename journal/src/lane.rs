//! Opening a lane for writing: lock, recovery, a new incarnation with a segment of its own, and the committer's thread.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::Clock;
use crate::active::{create_segment, draw_journal_id};
use crate::committer::Committer;
use crate::error::Error;
use crate::format::SegmentHeader;
use crate::inventory::{Segment, segment_path};
use crate::mailbox::Mailbox;
use crate::recovery::{Recovery, recover};
use crate::settings::Settings;
use crate::storage::{Disk, Storage};
use crate::writer::{Parts, Shared, Writer};

/// The file that holds a directory against a second writer.
const LOCK_FILE: &str = "lock";

/// A directory with segments and cursors.
#[derive(Clone, Copy, Debug)]
pub struct Lane;

impl Lane {
    /// Opens the lane in `dir` for writing, on this machine's disk; makes the directory if need be. `clock` tells unix milliseconds.
    ///
    /// # Errors
    /// [`Error::Locked`] if another has it open, [`Error::Setting`], or the disk's.
    pub fn open(dir: &Path, settings: Settings, clock: Clock) -> Result<(Writer, Recovery), Error> {
        Lane::open_on(Arc::new(Disk), dir, settings, clock)
    }

    /// Opens a lane on the given storage. See [`Lane::open`].
    ///
    /// # Errors
    /// As [`Lane::open`].
    pub fn open_on(
        storage: Arc<dyn Storage>,
        dir: &Path,
        settings: Settings,
        clock: Clock,
    ) -> Result<(Writer, Recovery), Error> {
        settings.check()?;
        storage.create_dir(dir).map_err(|error| Error::io("create", dir, error))?;
        let lock = storage.lock(&dir.join(LOCK_FILE)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked { dir: dir.to_path_buf(), holder: error.to_string() },
            _ => Error::io("lock", dir, error),
        })?;
        let now_ms = clock();
        let mut recovered = recover(&*storage, dir, now_ms)?;
        let journal_id = draw_journal_id()?;
        let number = recovered.next_number;
        let header =
            SegmentHeader { journal_id, number, created_ms: now_ms, first_seq: 0, previous: recovered.last };
        let active = create_segment(&*storage, dir, header)
            .map_err(|error| Error::io("create", &segment_path(dir, number), error))?;
        remove_empty(&*storage, dir, &recovered.empty)?;
        recovered.report.empty_removed = recovered.empty;
        recovered.inventory.segments.insert(number, Segment::fresh(number, journal_id, 0));
        log(dir, &recovered.report);
        let parts = Parts { settings, dir: dir.to_path_buf(), storage, clock, lock };
        let shared = Arc::new(Shared::new(parts, Mailbox::default(), recovered.inventory, journal_id));
        let committer = Committer::new(shared.clone(), active);
        let handle = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| Error::io("start the committer of", dir, error))?;
        Ok((Writer::new(shared, handle), recovered.report))
    }
}

/// Removes segments without a record, durably: one that came back after records were stored behind it would look like damage.
fn remove_empty(storage: &dyn Storage, dir: &Path, numbers: &[u64]) -> Result<(), Error> {
    for number in numbers {
        let path = segment_path(dir, *number);
        storage.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
    }
    if numbers.is_empty() {
        return Ok(());
    }
    storage.sync_dir(dir).map_err(|error| Error::io("sync", dir, error))
}

/// Says what recovery found: WARN where nothing confirmed is lost, ERROR where it is or a person is needed.
fn log(dir: &Path, report: &Recovery) {
    let dir = dir.display();
    tracing::info!(
        dir = %dir, segments = report.segments, bytes = report.bytes, scanned_bytes = report.scanned_bytes,
        scanned_records = report.scanned_records, clean = report.clean,
        took_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX), "journal opened"
    );
    if let Some(tail) = report.torn_tail {
        tracing::warn!(dir = %dir, segment = tail.segment, from = tail.from, to = tail.to, "torn tail of the journal cut");
    }
    for damage in &report.damaged {
        tracing::error!(dir = %dir, segment = damage.segment, from = damage.from, to = damage.to, "journal is damaged");
    }
    for segment in &report.missing_segments {
        tracing::error!(dir = %dir, segment, "journal segment is missing");
    }
    for segment in &report.set_aside {
        tracing::error!(dir = %dir, segment, "journal segment of an unknown version is neither read nor removed");
    }
    for cursor in &report.cursors_lost {
        tracing::warn!(dir = %dir, cursor, "journal cursor is unreadable: its reader begins again at the oldest record");
    }
}
