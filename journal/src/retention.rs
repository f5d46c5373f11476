//! Removing segments: which may go, in which order. Oldest first, only behind every durable cursor; the directory is synced after each
//! removal, so that a loss of power never leaves a hole between two kept segments.

use std::io;
use std::sync::atomic::Ordering;

use crate::error::Error;
use crate::inventory::{Segment, segment_path};
use crate::writer::{Shared, lock};

/// Why segments are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Those older than `retention_age`.
    Age,
    /// Any, until this many bytes are free under `disk_bytes_max`.
    Space { bytes: u64 },
    /// Any, until this many bytes are free on the disk itself.
    Disk { bytes: u64 },
}

/// What a retention pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Segments removed.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes what may go. See [`Need`].
pub(crate) fn retain(shared: &Shared, need: Need) -> Result<Retained, Error> {
    let _one = lock(&shared.retaining);
    let mut removed = Retained::default();
    while let Some(segment) = victim(shared, need) {
        let path = segment_path(&shared.dir, segment.number);
        // Readers must not be sent to a file that is going.
        lock(&shared.inventory).segments.remove(&segment.number);
        match shared.storage.remove(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                lock(&shared.inventory).segments.insert(segment.number, segment);
                return Err(Error::io("remove", &path, error));
            }
        }
        shared.disk_bytes.fetch_sub(segment.file_bytes, Ordering::Relaxed);
        shared.storage.sync_dir(&shared.dir).map_err(|error| Error::io("sync", &shared.dir, error))?;
        removed.segments += 1;
        removed.bytes += segment.file_bytes;
        report(shared, need, segment);
    }
    Ok(removed)
}

fn victim(shared: &Shared, need: Need) -> Option<Segment> {
    let segment = lock(&shared.inventory).oldest_done()?;
    let go = match need {
        Need::Age => {
            let age_ms = shared.now_ms().saturating_sub(segment.closed_ms?);
            age_ms >= i64::try_from(shared.settings.retention_age.as_millis()).unwrap_or(i64::MAX)
        }
        Need::Space { bytes } => {
            shared.disk_bytes.load(Ordering::Relaxed).saturating_add(bytes) > shared.settings.disk_bytes_max
        }
        // Where the disk does not tell, its next write will.
        Need::Disk { bytes } => shared.storage.free_bytes(&shared.dir).is_ok_and(|free| free < bytes),
    };
    go.then_some(segment)
}

fn report(shared: &Shared, need: Need, segment: Segment) {
    let dir = shared.dir.display();
    match need {
        Need::Age => {
            shared.counters.segments_expired.fetch_add(1, Ordering::Relaxed);
            tracing::info!(dir = %dir, segment = segment.number, bytes = segment.file_bytes, "journal segment expired");
        }
        Need::Space { .. } | Need::Disk { .. } => {
            shared.counters.segments_evicted.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                dir = %dir, segment = segment.number, bytes = segment.file_bytes,
                disk_bytes_max = shared.settings.disk_bytes_max,
                "journal segment removed before its age to make room: events can be rebuilt from a shorter past"
            );
        }
    }
}
