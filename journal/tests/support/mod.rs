//! What the journal's tests share: small settings, a clock that stands still until it is set, and the check of a lane against what was sent.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::indexing_slicing, reason = "a test that fails should say where")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use journal::storage::lossy::LossyStorage;
use journal::{Clock, Compression, Durability, Health, JournalId, Lane, Reader, Recovery, Settings, Writer};

/// A record's identity.
pub(crate) type Identity = (JournalId, u64);
/// Records by identity.
pub(crate) type Records = BTreeMap<Identity, Vec<u8>>;

/// The directory of the lane on a disk in memory.
pub(crate) fn dir() -> PathBuf {
    PathBuf::from("/lane")
}

/// Limits so small that every edge is reached, and no probing by itself.
pub(crate) fn small() -> Settings {
    Settings {
        durability: Durability::Fsync,
        frame_bytes_max: 512,
        segment_bytes_max: 700,
        queue_bytes_max: 4096,
        disk_bytes_max: 1 << 20,
        compression: Compression::Zstd { level: 1, payload_bytes_min: 200 },
        probe_interval: Duration::from_hours(1),
        ..Settings::default()
    }
}

/// A clock that is set by hand.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub(crate) fn new() -> HandClock {
        HandClock(Arc::new(AtomicI64::new(1_763_700_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> Clock {
        let time = self.0.clone();
        Arc::new(move || time.load(Ordering::Relaxed))
    }
}

pub(crate) fn open(storage: &LossyStorage, settings: Settings) -> Result<(Writer, Recovery), journal::Error> {
    Lane::open_on(Arc::new(storage.clone()), &dir(), settings, HandClock::new().clock())
}

/// Everything a reader returns from where it stands, each record once.
pub(crate) fn drain(reader: &mut Reader) -> Records {
    let mut seen = Records::new();
    while let Some(frame) = reader.next_frame().expect("readable") {
        for (seq, record) in frame.records() {
            let twice = seen.insert((frame.journal_id, seq), record.to_vec());
            assert_eq!(twice, None, "a record is read once: {} {seq}", frame.journal_id);
        }
    }
    seen
}

pub(crate) fn replay(writer: &Writer) -> Records {
    drain(&mut writer.replay())
}

/// Waits until something has come about in another thread; fails after a long while.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "still not so: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn is_open(writer: &Writer) -> bool {
    matches!(writer.health(), Health::Open { .. })
}

/// How many times the usual count of rounds: `SIGHTLINE_SOAK`, 1 if it is not set.
pub(crate) fn soak() -> u64 {
    std::env::var("SIGHTLINE_SOAK").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// The only file with this end of its name.
pub(crate) fn files_with(files: &BTreeMap<PathBuf, Vec<u8>>, suffix: &str) -> Vec<PathBuf> {
    files.keys().filter(|path| path.to_string_lossy().ends_with(suffix)).cloned().collect()
}

pub(crate) fn segment(number: u64) -> PathBuf {
    dir().join(format!("{number:016}.segment"))
}

/// Bytes of a frame's header, a segment's header.
pub(crate) const FRAME_HEADER: usize = 40;
pub(crate) const SEGMENT_HEADER: usize = 64;

/// Where the frames of a segment's bytes begin and end, from their headers alone.
pub(crate) fn frame_borders(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut at = SEGMENT_HEADER;
    let mut borders = Vec::new();
    while at + FRAME_HEADER <= bytes.len() {
        let stored = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        borders.push((at, at + FRAME_HEADER + stored));
        at += FRAME_HEADER + stored;
    }
    borders
}

/// Runs the lane on a real directory.
pub(crate) fn open_dir(dir: &Path, settings: Settings) -> (Writer, Recovery) {
    Lane::open(dir, settings, HandClock::new().clock()).expect("opens")
}
