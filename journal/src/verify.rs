//! Looking through a lane's directory without opening it for writing: every frame, decoded, read-only. Takes no lock, so that it also
//! works beside a running instance; what that one is writing at the moment then shows as a torn tail.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::format::{Decoder, JournalId, Position};
use crate::inventory::segment_path;
use crate::reader::{Continuity, Frame};
use crate::recovery::{Damage, Found, is_torn, missing_segments, scan, segment_of, stated_end, survey};
use crate::storage::{Disk, Storage};
use crate::walk::{Step, Walk};

/// What looking through a lane found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments.
    pub segments: u64,
    /// Incarnations that wrote them, oldest first.
    pub journal_ids: Vec<JournalId>,
    /// Bytes of the segments.
    pub bytes: u64,
    /// Frames that verified, marks of a clean close included.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of the records as they were appended.
    pub record_bytes: u64,
    /// Ranges that hold no readable frame although their segment goes on behind them, or its successor says that it was longer.
    pub damaged: Vec<Damage>,
    /// Records known to be missing, from gaps in the sequence numbers.
    pub lost_records: u64,
    /// Bytes at the end of the last segment that are no frame: normal after a crash, cut at the next opening.
    pub torn_tail: Option<Damage>,
    /// Bytes behind the committed end of a segment whose disk failed: never answered, never read.
    pub abandoned_bytes: u64,
    /// Segments that a later one names and that are not there, although an older one is.
    pub missing_segments: Vec<u64>,
    /// Segments whose last frame is not the one that their successor names.
    pub broken_chains: Vec<u64>,
    /// Segments of an unknown version, not looked into.
    pub set_aside: Vec<u64>,
    /// How long it took.
    pub took: Duration,
}

impl VerifyReport {
    /// Nothing that was committed is missing, as far as the files can tell.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty()
            && self.missing_segments.is_empty()
            && self.broken_chains.is_empty()
            && self.set_aside.is_empty()
            && self.lost_records == 0
    }
}

/// Looks through every segment in `dir`, read-only.
///
/// # Errors
/// [`Error::Io`]: the directory or a segment cannot be read at all. Damage is no error; it is in the report.
pub fn verify(dir: &Path) -> Result<VerifyReport, Error> {
    look_through(&Disk, dir, |_| {})
}

/// Calls `record` with every readable record in `dir`, oldest first, read-only. The report says what was not readable.
///
/// # Errors
/// As [`verify`].
pub fn read_all(dir: &Path, record: impl FnMut(JournalId, u64, &[u8])) -> Result<VerifyReport, Error> {
    read_all_on(&Disk, dir, record)
}

/// [`read_all`] on a given storage.
///
/// # Errors
/// As [`verify`].
pub fn read_all_on(
    storage: &dyn Storage,
    dir: &Path,
    mut record: impl FnMut(JournalId, u64, &[u8]),
) -> Result<VerifyReport, Error> {
    look_through(storage, dir, |frame| {
        for (seq, bytes) in frame.records() {
            record(frame.journal_id, seq, bytes);
        }
    })
}

/// Calls `each` with every readable frame that holds records.
fn look_through(
    storage: &dyn Storage,
    dir: &Path,
    mut each: impl FnMut(&Frame),
) -> Result<VerifyReport, Error> {
    let begun = Instant::now();
    let names = storage.list(dir).map_err(|error| Error::io("list", dir, error))?;
    let found = survey(storage, dir, &names)?;
    let mut report = VerifyReport { missing_segments: missing_segments(&found), ..VerifyReport::default() };
    let mut state = State::default();
    for at in 0..found.len() {
        look_into((storage, dir), (&found, at), &mut report, &mut state, &mut each)?;
    }
    report.took = begun.elapsed();
    Ok(report)
}

/// What goes on from segment to segment.
#[derive(Default)]
struct State {
    continuity: Continuity,
    decoder: Decoder,
}

fn look_into(
    (storage, dir): (&dyn Storage, &Path),
    (found, at): (&[Found], usize),
    report: &mut VerifyReport,
    State { continuity, decoder }: &mut State,
    each: &mut impl FnMut(&Frame),
) -> Result<(), Error> {
    let Some(this) = found.get(at) else { return Ok(()) };
    let segment = segment_of(this);
    report.segments += 1;
    report.bytes += this.file_bytes;
    if segment.set_aside {
        report.set_aside.push(this.number);
        return Ok(());
    }
    let stated = stated_end(found, at);
    let mut end = stated.map_or(this.file_bytes, |link| link.end);
    report.abandoned_bytes += this.file_bytes.saturating_sub(end);
    let path = segment_path(dir, this.number);
    let file = match storage.open(&path, false) {
        Ok(file) => file,
        // Removed since the listing by the process that writes here.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("open", &path, error)),
    };
    if stated.is_none() && at + 1 == found.len() {
        let scan = scan(&*file, &segment, end).map_err(|error| Error::io("read", &path, error))?;
        report.torn_tail = scan.tail.filter(|tail| is_torn(*tail));
        end = report.torn_tail.map_or(end, |tail| tail.from);
    }
    continuity.enter(&segment);
    let mut walk = Walk::new(this.number, segment.journal_id, segment.start);
    let mut chain = 0;
    loop {
        let from = walk.offset();
        let mut bad = None;
        match walk.step(&*file, end).map_err(|error| Error::io("read", &path, error))? {
            Step::End => break,
            Step::Bad { from, to } => bad = Some(Damage { segment: this.number, from, to }),
            Step::Frame { header, offset } => {
                let start = Position { segment: this.number, offset, journal_id: header.journal_id };
                chain = header.crc;
                match Frame::decode(decoder, &header, walk.payload(), start) {
                    Some(frame) => {
                        report.lost_records += continuity.frame(&header);
                        report.frames += 1;
                        report.records += u64::from(header.count);
                        report.record_bytes +=
                            frame.records().map(|(_, record)| record.len() as u64).sum::<u64>();
                        if report.journal_ids.last() != Some(&header.journal_id) {
                            report.journal_ids.push(header.journal_id);
                        }
                        if header.count > 0 {
                            each(&frame);
                        }
                    }
                    None => bad = Some(Damage { segment: this.number, from, to: walk.offset() }),
                }
            }
        }
        report.damaged.extend(bad);
    }
    if stated.is_some_and(|link| link.chain != chain) {
        report.broken_chains.push(this.number);
    }
    Ok(())
}
