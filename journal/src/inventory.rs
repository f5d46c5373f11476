//! What lies in a lane's directory: segments, how far each is committed, cursors. Shared between the committer, which adds, the
//! readers, which look, and retention, which removes. It never does I/O while it is locked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::format::{JournalId, Position, SEGMENT_HEADER_BYTES};

const SEGMENT_SUFFIX: &str = ".segment";
const CURSOR_SUFFIX: &str = ".cursor";
/// A cursor file that has not got its name yet.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// The file of a segment: sixteen digits, so that names sort as numbers do.
pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016}{SEGMENT_SUFFIX}"))
}

/// The number in a segment's file name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    (digits.len() == 16).then(|| digits.parse().ok())?.filter(|number| *number > 0)
}

/// The file of a cursor.
pub(crate) fn cursor_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{CURSOR_SUFFIX}"))
}

/// The name in a cursor's file name.
pub(crate) fn cursor_name(file: &str) -> Option<&str> {
    file.strip_suffix(CURSOR_SUFFIX).filter(|name| cursor_name_is_valid(name))
}

/// Whether a cursor may be called so.
pub(crate) fn cursor_name_is_valid(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// From the header; `None` if that is damaged: the frames themselves then say whose they are.
    pub(crate) journal_id: Option<JournalId>,
    /// Where the frames begin, bytes: behind the header, or 0 if that is damaged.
    pub(crate) start: u64,
    /// Where the committed frames end, bytes.
    pub(crate) end: u64,
    /// Length of the file, bytes: counts against `disk_bytes_max`.
    pub(crate) file_bytes: u64,
    /// First sequence number, if the header tells it.
    pub(crate) first_seq: Option<u64>,
    /// When the last record was written, at the latest; `None` while the segment is being written.
    pub(crate) closed_ms: Option<i64>,
    /// Written by an unknown version: never read, never removed.
    pub(crate) set_aside: bool,
}

impl Segment {
    /// A segment that was begun a moment ago.
    pub(crate) fn fresh(number: u64, journal_id: JournalId, first_seq: u64) -> Segment {
        let header = SEGMENT_HEADER_BYTES as u64;
        Segment {
            number,
            journal_id: Some(journal_id),
            start: header,
            end: header,
            file_bytes: header,
            first_seq: Some(first_seq),
            closed_ms: None,
            set_aside: false,
        }
    }

    fn position(&self, offset: u64) -> Position {
        Position { segment: self.number, offset, journal_id: self.journal_id.unwrap_or(JournalId(0)) }
    }
}

/// Everything in the directory.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) segments: BTreeMap<u64, Segment>,
    /// Cursors by name.
    pub(crate) cursors: BTreeMap<String, Cursor>,
    /// The lane was closed: nothing more will come.
    pub(crate) closed: bool,
    /// Readers that sleep until there is news: to wake none costs a call of the system all the same.
    pub(crate) readers_sleeping: usize,
}

/// A named cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// Where it stands; the start if it has no file yet.
    pub(crate) position: Position,
    /// It has a file: it holds segments back over a restart as well.
    pub(crate) durable: bool,
    /// A reader of this name is open.
    pub(crate) open: bool,
}

impl Inventory {
    /// Behind the last committed frame.
    pub(crate) fn committed(&self) -> Position {
        let last = self.segments.values().rev().find(|segment| !segment.set_aside);
        last.map_or(Position::START, |segment| segment.position(segment.end))
    }

    /// The readable segment of this number, or the first one after it.
    pub(crate) fn at_or_after(&self, number: u64) -> Option<Segment> {
        self.segments.range(number..).map(|(_, segment)| *segment).find(|segment| !segment.set_aside)
    }

    /// Where reading goes on for one who stood at `position`: it may lie in a segment that is gone, was cut, or is another now.
    pub(crate) fn resolve(&self, position: Position) -> Position {
        let Some(mut segment) = self.at_or_after(position.segment) else { return position };
        let same = segment.number == position.segment
            && (segment.journal_id.is_none() || segment.journal_id == Some(position.journal_id));
        let mut offset = if same { position.offset.max(segment.start) } else { segment.start };
        while offset >= segment.end {
            let Some(next) = self.at_or_after(segment.number + 1) else {
                return segment.position(segment.end);
            };
            (segment, offset) = (next, next.start);
        }
        segment.position(offset)
    }

    /// Bytes of committed frames behind `position`.
    pub(crate) fn lag_bytes(&self, position: Position) -> u64 {
        let position = self.resolve(position);
        let after =
            self.segments.range(position.segment..).map(|(_, segment)| segment).filter(|s| !s.set_aside);
        after
            .map(|s| {
                s.end.saturating_sub(if s.number == position.segment { position.offset } else { s.start })
            })
            .sum()
    }

    /// The cursor that stands furthest back.
    pub(crate) fn slowest_cursor(&self) -> Option<String> {
        let slowest = self.cursors.iter().min_by_key(|(_, cursor)| cursor.position)?;
        Some(slowest.0.clone())
    }

    /// Bytes of all segments.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.file_bytes).sum()
    }

    /// The oldest segment, if nobody needs it any more: closed and behind every cursor. Without any cursor nobody has read it yet.
    pub(crate) fn oldest_done(&self) -> Option<Segment> {
        let oldest = *self.segments.values().find(|segment| !segment.set_aside)?;
        oldest.closed_ms?;
        // The last one stays, also when its disk has failed: cursors stand at its end.
        self.at_or_after(oldest.number + 1)?;
        let passed = |cursor: &Cursor| self.resolve(cursor.position).segment > oldest.number;
        (!self.cursors.is_empty() && self.cursors.values().all(passed)).then_some(oldest)
    }
}
