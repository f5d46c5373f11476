//! The segment being written: making one that may be written to, and giving one up. The order of its operations is what recovery builds on.

use std::io;
use std::path::Path;

use crate::error::Error;
use crate::format::{JournalId, Link, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::inventory::segment_path;
use crate::storage::{Storage, StorageFile};

/// The segment being written.
pub(crate) struct Active {
    pub(crate) file: Box<dyn StorageFile>,
    pub(crate) journal_id: JournalId,
    pub(crate) created_ms: i64,
    /// Its number, where its committed frames end, and the checksum of the last of them.
    pub(crate) end: Link,
}

impl Active {
    pub(crate) fn is_empty(&self) -> bool {
        self.end.end == SEGMENT_HEADER_BYTES as u64
    }
}

/// Draws the id of a new incarnation.
pub(crate) fn draw_journal_id() -> Result<JournalId, Error> {
    getrandom::u64().map(JournalId).map_err(Error::Random)
}

/// Makes a segment that may be written to: created, header written, file synced, directory synced, in this order.
pub(crate) fn create_segment(storage: &dyn Storage, dir: &Path, header: SegmentHeader) -> io::Result<Active> {
    let path = segment_path(dir, header.number);
    let file = storage.create(&path)?;
    let made =
        file.write_at(&header.encode(), 0).and_then(|()| file.sync()).and_then(|()| storage.sync_dir(dir));
    if let Err(error) = made {
        // Best effort: a segment without a frame holds nothing, and the next open for writing removes it.
        let _ = storage.remove(&path);
        return Err(error);
    }
    let end = Link { segment: header.number, end: SEGMENT_HEADER_BYTES as u64, chain: 0 };
    Ok(Active { file, journal_id: header.journal_id, created_ms: header.created_ms, end })
}

/// Cuts what was written but not committed off a segment that is given up; its length then. After a failed sync those bytes can be
/// read although they are not on the disk: the next opening would take them for stored. If even this fails, they are records that
/// nobody was told are stored, and may appear or not.
pub(crate) fn give_up(file: &dyn StorageFile, committed: u64) -> Option<u64> {
    let _ = file.truncate(committed);
    file.bytes().ok()
}
