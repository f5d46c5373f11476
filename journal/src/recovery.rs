//! Reading what lies in a lane's directory, and putting its end in order before it is written to again. Decides what is a torn tail (cut)
//! and what is damage (kept, reported). It never removes a byte that a caller may have been told is stored.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::format::{FRAME_HEADER_BYTES, HeaderFault, Link, Position, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::inventory::{
    Cursor, Inventory, Segment, TEMPORARY_SUFFIX, cursor_name, cursor_path, segment_number, segment_path,
};
use crate::storage::{Storage, StorageFile};
use crate::walk::{Step, Walk};

/// Bytes at the end of the last segment that are uncertain after a crash: more than the longest write (`queue_bytes_max` at its limit of
/// 16 MiB, and the headers of its frames).
const TAIL_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The same after a clean close: its mark alone.
const MARK_BYTES_MAX: u64 = 4096;

/// A range of a segment that holds no readable frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the segment.
    pub segment: u64,
    /// First byte.
    pub from: u64,
    /// Byte after the last.
    pub to: u64,
}

/// What opening a lane for writing found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Segments kept.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that were scanned: those of the last segment; the ends of the others are known from their successors.
    pub scanned_bytes: u64,
    /// Records found in them.
    pub scanned_records: u64,
    /// How long the recovery took.
    pub took: Duration,
    /// The lane was closed cleanly the last time (true also for an empty one).
    pub clean: bool,
    /// A tail that was cut: written but never answered, as far as the disk kept its promises.
    pub torn_tail: Option<Damage>,
    /// Damage in what was committed: kept as it is, the rest around it is served.
    pub damaged: Vec<Damage>,
    /// Segments that the header of a later one names and that are not there, although an older one is.
    pub missing_segments: Vec<u64>,
    /// Segments of an unknown version: neither read nor removed.
    pub set_aside: Vec<u64>,
    /// Segments without a record that were removed.
    pub empty_removed: Vec<u64>,
    /// Cursors that could not be read: their readers begin again at the oldest record.
    pub cursors_lost: Vec<String>,
}

/// A segment as found.
pub(crate) struct Found {
    pub(crate) number: u64,
    pub(crate) file_bytes: u64,
    pub(crate) header: Result<SegmentHeader, HeaderFault>,
}

/// Reads exactly `buffer.len()` bytes unless the file ends before; returns how many.
pub(crate) fn read_full(file: &dyn StorageFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

/// All segments of a directory, by number, each with its header.
pub(crate) fn survey(storage: &dyn Storage, dir: &Path, names: &[String]) -> Result<Vec<Found>, Error> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    let mut found = Vec::with_capacity(numbers.len());
    for number in numbers {
        let path = segment_path(dir, number);
        let read = storage.open(&path, false).and_then(|file| {
            let mut head = [0; SEGMENT_HEADER_BYTES];
            let read = read_full(&*file, &mut head, 0)?;
            Ok((file.bytes()?, SegmentHeader::decode(head.get(..read).unwrap_or_default(), number)))
        });
        match read {
            Ok((file_bytes, header)) => found.push(Found { number, file_bytes, header }),
            // Removed between the listing and now, by a retention pass of the process that writes here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", &path, error)),
        }
    }
    Ok(found)
}

/// The end of a segment as its successor states it, if there is a successor that does.
pub(crate) fn stated_end(found: &[Found], at: usize) -> Option<Link> {
    let number = found.get(at)?.number;
    let later = found.get(at + 1..)?;
    later
        .iter()
        .filter_map(|next| next.header.ok())
        .map(|header| header.previous)
        .find(|link| link.segment == number)
}

/// Segments that a header names as its predecessor and that are missing although an older one is there.
pub(crate) fn missing_segments(found: &[Found]) -> Vec<u64> {
    let Some(oldest) = found.first().map(|first| first.number) else { return Vec::new() };
    let named = found.iter().filter_map(|segment| segment.header.ok()).map(|header| header.previous.segment);
    named.filter(|number| *number > oldest && !found.iter().any(|found| found.number == *number)).collect()
}

/// Result of scanning one segment to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scan {
    pub(crate) records: u64,
    /// Behind the last frame that verified.
    pub(crate) end: u64,
    /// Checksum of that frame.
    pub(crate) chain: u32,
    /// The last frame is the mark of a clean close.
    pub(crate) clean: bool,
    /// Damage with a later write behind it: what was damaged had been committed.
    pub(crate) damaged: Vec<Damage>,
    /// Damage in the last write: it may never have been complete. All that follows it belongs to that write as well.
    pub(crate) tail: Option<Damage>,
}

/// Walks over a whole segment. If its tail is damaged, the counts are those of what lies before the tail.
pub(crate) fn scan(file: &dyn StorageFile, segment: &Segment, file_end: u64) -> io::Result<Scan> {
    let mut walk = Walk::new(segment.number, segment.journal_id, segment.start);
    let mut scan = Scan { end: segment.start, ..Scan::default() };
    // As it was before damage that no later write has followed yet.
    let mut before: Option<Scan> = None;
    loop {
        match walk.step(file, file_end)? {
            Step::Frame { header, .. } => {
                if !header.continues {
                    before = None;
                }
                scan.records += u64::from(header.count);
                scan.end = walk.offset();
                scan.chain = header.crc;
                scan.clean = header.count == 0;
            }
            Step::Bad { from, to } => {
                before.get_or_insert_with(|| scan.clone());
                scan.damaged.push(Damage { segment: segment.number, from, to });
            }
            Step::End => break,
        }
    }
    let Some(mut settled) = before else { return Ok(scan) };
    let from = scan.damaged.get(settled.damaged.len()).map_or(file_end, |damage| damage.from);
    settled.tail = Some(Damage { segment: segment.number, from, to: file_end });
    Ok(settled)
}

/// A segment as it is entered into the inventory, before its end is known.
pub(crate) fn segment_of(found: &Found) -> Segment {
    let header = found.header.ok();
    Segment {
        number: found.number,
        journal_id: header.map(|header| header.journal_id),
        start: if header.is_some() { SEGMENT_HEADER_BYTES as u64 } else { 0 },
        end: found.file_bytes,
        file_bytes: found.file_bytes,
        first_seq: header.map(|header| header.first_seq),
        closed_ms: None,
        set_aside: matches!(found.header, Err(HeaderFault::UnknownVersion(_))),
    }
}

/// What recovery leaves to the opening of the lane.
pub(crate) struct Recovered {
    pub(crate) inventory: Inventory,
    pub(crate) report: Recovery,
    /// The end of the last segment, for the header of the next.
    pub(crate) last: Link,
    /// Number of the next segment.
    pub(crate) next_number: u64,
    /// Segments without a record, to be removed once the next segment exists: its number is then higher than theirs.
    pub(crate) empty: Vec<u64>,
}

/// Puts the end of the lane in order: cuts a torn tail, finds damage, loads the cursors.
pub(crate) fn recover(storage: &dyn Storage, dir: &Path, now_ms: i64) -> Result<Recovered, Error> {
    let begun = Instant::now();
    let names = storage.list(dir).map_err(|error| Error::io("list", dir, error))?;
    for name in names.iter().filter(|name| name.strip_suffix(TEMPORARY_SUFFIX).is_some()) {
        // Left by a cursor's move that a crash cut short; its target still holds the old position.
        let _ = storage.remove(&dir.join(name));
    }
    let found = survey(storage, dir, &names)?;
    let mut report =
        Recovery { missing_segments: missing_segments(&found), clean: true, ..Recovery::default() };
    let mut inventory = Inventory::default();
    let (mut last, mut empty) = (Link::default(), Vec::new());
    for (at, this) in found.iter().enumerate() {
        let mut segment = segment_of(this);
        let stated = stated_end(&found, at);
        let is_last = found.get(at + 1..).unwrap_or_default().iter().all(holds_nothing);
        if segment.set_aside {
            report.set_aside.push(this.number);
        } else if holds_nothing(this) && stated.is_none() {
            // One that a later header names stays, so that no hole is seen where none is.
            empty.push(this.number);
            continue;
        } else if let Some(link) = stated {
            segment.end = link.end;
            last = link;
            if this.header.is_err() {
                report.damaged.push(Damage {
                    segment: this.number,
                    from: 0,
                    to: SEGMENT_HEADER_BYTES as u64,
                });
            }
            if this.file_bytes < link.end {
                report.damaged.push(Damage { segment: this.number, from: this.file_bytes, to: link.end });
            }
        } else {
            last = settle_end(storage, dir, &mut segment, is_last, &mut report)?;
        }
        let created_ms = found.get(at + 1).and_then(|next| next.header.ok()).map(|header| header.created_ms);
        segment.closed_ms = Some(created_ms.unwrap_or(now_ms));
        inventory.segments.insert(this.number, segment);
    }
    load_cursors(storage, dir, &names, &mut inventory, &mut report)?;
    report.segments = inventory.segments.len();
    report.bytes = inventory.file_bytes();
    report.took = begun.elapsed();
    let next_number = found.last().map_or(0, |found| found.number) + 1;
    Ok(Recovered { inventory, report, last, next_number, empty })
}

/// A segment that was begun but never got a frame: a crash came before, or right after, its header was durable.
fn holds_nothing(found: &Found) -> bool {
    let unknown = matches!(found.header, Err(HeaderFault::UnknownVersion(_)));
    found.file_bytes <= SEGMENT_HEADER_BYTES as u64 && !unknown
}

/// Finds the end of a segment that no successor states, by scanning it. Only the last one may have a torn tail, which is cut.
fn settle_end(
    storage: &dyn Storage,
    dir: &Path,
    segment: &mut Segment,
    is_last: bool,
    report: &mut Recovery,
) -> Result<Link, Error> {
    let path = segment_path(dir, segment.number);
    let file = storage.open(&path, true).map_err(|error| Error::io("open", &path, error))?;
    let scan = scan(&*file, segment, segment.file_bytes).map_err(|error| Error::io("read", &path, error))?;
    report.scanned_bytes += segment.file_bytes;
    report.scanned_records += scan.records;
    report.clean = scan.clean && scan.damaged.is_empty() && scan.tail.is_none();
    report.damaged.extend(scan.damaged);
    match scan.tail {
        Some(tail) if is_last && is_torn(tail) => {
            file.truncate(tail.from).map_err(|error| Error::io("truncate", &path, error))?;
            segment.file_bytes = tail.from;
            segment.end = tail.from;
            report.torn_tail = Some(tail);
        }
        tail => report.damaged.extend(tail),
    }
    let uncertain = if scan.clean { MARK_BYTES_MAX } else { TAIL_BYTES_MAX };
    make_durable(&*file, segment, uncertain).map_err(|error| Error::io("sync", &path, error))?;
    Ok(Link { segment: segment.number, end: segment.end, chain: scan.chain })
}

/// Whether the damaged end of the last segment can be a write that a crash cut short. A file without a header, or a longer stretch than
/// is ever written at once, is damage, and evidence: it stays.
pub(crate) fn is_torn(tail: Damage) -> bool {
    tail.from > 0 && tail.to - tail.from <= TAIL_BYTES_MAX
}

/// Makes what was read durable, before the next segment's header vouches for it. After the end of a process alone, frames are here that
/// were never synced; and if a sync had failed, the system may take their bytes for clean although the disk never got them. So the last
/// bytes, which a failed sync can have concerned, are written once more as they are.
fn make_durable(file: &dyn StorageFile, segment: &Segment, uncertain: u64) -> io::Result<()> {
    let from = segment.end.saturating_sub(uncertain).max(segment.start);
    let mut tail = vec![0; usize::try_from(segment.end - from).unwrap_or(0)];
    let read = read_full(file, &mut tail, from)?;
    file.write_at(tail.get(..read).unwrap_or_default(), from)?;
    file.sync()
}

fn load_cursors(
    storage: &dyn Storage,
    dir: &Path,
    names: &[String],
    inventory: &mut Inventory,
    report: &mut Recovery,
) -> Result<(), Error> {
    for name in names.iter().filter_map(|file| cursor_name(file)) {
        let path = cursor_path(dir, name);
        let position = read_cursor(storage, &path).map_err(|error| Error::io("read", &path, error))?;
        if position.is_none() {
            report.cursors_lost.push(name.to_owned());
        }
        let position = position.unwrap_or(Position::START);
        inventory.cursors.insert(name.to_owned(), Cursor { position, durable: true, open: false });
    }
    Ok(())
}

/// The position in a cursor file; `None` if its bytes are not a cursor that this version knows.
fn read_cursor(storage: &dyn Storage, path: &Path) -> io::Result<Option<Position>> {
    let file = storage.open(path, false)?;
    let mut bytes = [0; FRAME_HEADER_BYTES];
    let read = read_full(&*file, &mut bytes, 0)?;
    Ok(Position::decode(bytes.get(..read).unwrap_or_default()))
}
