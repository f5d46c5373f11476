//! The registry's log on one machine: a journal lane of its own that is never trimmed.
//!
//! It owns the folder. It must never open one of which a part is missing, and write nothing into one that was lost.

use std::path::Path;
use std::sync::{Arc, Mutex};

use event::clock::Clock;

use super::{Ledger, RegistryError, unavailable};
use crate::record::Record;
use crate::settings::RegistrySettings;

/// Cursor that stands at the first record for good, so that the journal never removes a segment.
const CURSOR: &str = "registry";

pub(super) struct JournalLog {
    writer: journal::Writer,
    /// Holds the whole journal back from removal.
    _cursor: Mutex<journal::Reader>,
}

impl JournalLog {
    /// Opens the journal and replays it into a ledger.
    pub(super) fn open(
        dir: &Path,
        settings: &RegistrySettings,
        clock: Clock,
        receipts_known: Option<u64>,
    ) -> Result<(Self, Ledger), RegistryError> {
        if let Some(expected) = receipts_known
            && is_missing_or_empty(dir)
        {
            return Err(RegistryError::Lost { expected, found: 0 });
        }
        let (writer, recovery) =
            journal::Lane::open(dir, settings.journal(), Arc::new(move || clock.now_ms()))?;
        refuse_gaps(&recovery)?;
        let mut reader = writer.reader(CURSOR)?;
        let mut ledger = Ledger::default();
        while let Some(frame) = reader.next_frame()? {
            if frame.lost_before > 0 {
                return Err(RegistryError::Damaged(format!("{} records are missing", frame.lost_before)));
            }
            for (_, bytes) in frame.records() {
                ledger.replay(Record::decode(bytes)?)?;
            }
        }
        let read = writer.stats();
        if read.damaged_ranges > 0 {
            return Err(RegistryError::Damaged(format!("{} bytes are unreadable", read.damaged_bytes)));
        }
        let found = ledger.receipts.len() as u64;
        if let Some(expected) = receipts_known
            && (ledger.key_check.is_none() || found < expected)
        {
            return Err(RegistryError::Lost { expected, found });
        }
        Ok((Self { writer, _cursor: Mutex::new(reader) }, ledger))
    }

    /// Appends a record; resolves once it is durable.
    pub(super) fn append(&self, record: &Record) -> Result<journal::Commit, RegistryError> {
        self.writer.append(&record.encode()).map_err(unavailable)
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.writer.stats().disk_bytes
    }

    pub(super) fn is_writable(&self) -> bool {
        matches!(self.writer.health(), journal::Health::Open { .. })
    }

    pub(super) fn close(&self) {
        self.writer.close();
    }
}

/// Whether there is nothing in a folder that could be a registry. A folder that cannot be read is left to the journal, which says why.
fn is_missing_or_empty(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Refuses a journal of which a part is missing or unreadable.
fn refuse_gaps(recovery: &journal::Recovery) -> Result<(), RegistryError> {
    let damaged = |what: &str, count: usize| Err(RegistryError::Damaged(format!("{count} {what}")));
    match recovery {
        recovery if !recovery.damaged.is_empty() => damaged("unreadable ranges", recovery.damaged.len()),
        recovery if !recovery.missing_segments.is_empty() => {
            damaged("files are missing", recovery.missing_segments.len())
        }
        recovery if !recovery.set_aside.is_empty() => {
            damaged("files are of an unknown version", recovery.set_aside.len())
        }
        _ => Ok(()),
    }
}
