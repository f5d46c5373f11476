//! Walks over the frames of one segment, in order, and finds its way again behind damage. Owns the read buffer; it never decides
//! what damage means (torn tail or corruption): its callers do.

use std::io;

use crate::format::{
    FRAME_BYTES_LIMIT, FRAME_HEADER_BYTES, FRAME_START, FrameHeader, JournalId, Place, frame_verifies,
};
use crate::storage::StorageFile;

/// Bytes asked from the disk at once: they are still in the processor's cache when they are judged.
const READ_BYTES: usize = 256 * 1024;

/// What lies at the place reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A frame that verified; its bytes are in [`Walk::payload`] until the next step.
    Frame { offset: u64, header: FrameHeader },
    /// Bytes that are no frame, up to the next frame that verifies or to the end.
    Bad { from: u64, to: u64 },
    /// The end that was given.
    End,
}

/// A walk through one segment.
pub(crate) struct Walk {
    segment: u64,
    /// The incarnation whose frames belong here; `None` as long as it is not known (damaged segment header).
    journal_id: Option<JournalId>,
    buffer: Vec<u8>,
    /// How much of `buffer` has been read from the file.
    filled: usize,
    /// Offset in the file of the first byte of `buffer`.
    base: u64,
    /// Index in `buffer` of the next byte to judge.
    at: usize,
    payload: std::ops::Range<usize>,
}

impl Walk {
    pub(crate) fn new(segment: u64, journal_id: Option<JournalId>, offset: u64) -> Walk {
        Walk { segment, journal_id, buffer: Vec::new(), filled: 0, base: offset, at: 0, payload: 0..0 }
    }

    /// Offset of the next byte to judge.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The stored payload of the last frame.
    pub(crate) fn payload(&self) -> &[u8] {
        self.buffer.get(self.payload.clone()).unwrap_or_default()
    }

    /// The next step; nothing at or behind `end` is looked at. After an error the walk is spent: begin a new one.
    pub(crate) fn step(&mut self, file: &dyn StorageFile, end: u64) -> io::Result<Step> {
        self.payload = 0..0;
        let from = self.offset();
        if from >= end {
            return Ok(Step::End);
        }
        if let Some(header) = self.frame_here(file, end)? {
            return Ok(self.take(from, header));
        }
        self.search(file, end)?;
        let to = self.offset();
        Ok(Step::Bad { from, to })
    }

    fn take(&mut self, offset: u64, header: FrameHeader) -> Step {
        self.journal_id.get_or_insert(header.journal_id);
        let end = self.at + header.frame_bytes();
        self.payload = self.at + FRAME_HEADER_BYTES..end;
        self.at = end;
        Step::Frame { offset, header }
    }

    /// Moves to the next frame that verifies, or to the end.
    fn search(&mut self, file: &dyn StorageFile, end: u64) -> io::Result<()> {
        // A file that is shorter than its segment should be has nothing here at all.
        self.at = self.filled.min(self.at + 1);
        loop {
            let have = self.fill(file, FRAME_HEADER_BYTES, end)?;
            if have < FRAME_HEADER_BYTES {
                // Too short for any frame: the rest is bad as well, also what the file lacks.
                self.filled = 0;
                self.base = end;
                self.at = 0;
                return Ok(());
            }
            let rest = self.buffer.get(self.at..self.filled).unwrap_or_default();
            let rest_bytes = rest.len();
            match rest.windows(FRAME_START.len()).position(|window| window == FRAME_START) {
                Some(0) if self.frame_here(file, end)?.is_some() => return Ok(()),
                Some(0) => self.at += 1,
                Some(skip) => self.at += skip,
                None => self.at += rest_bytes - (FRAME_START.len() - 1),
            }
        }
    }

    /// The header of the frame at `at`, if a whole one lies there and verifies.
    fn frame_here(&mut self, file: &dyn StorageFile, end: u64) -> io::Result<Option<FrameHeader>> {
        if self.fill(file, FRAME_HEADER_BYTES, end)? < FRAME_HEADER_BYTES {
            return Ok(None);
        }
        let Some(header) = FrameHeader::decode(self.buffer.get(self.at..self.filled).unwrap_or_default())
        else {
            return Ok(None);
        };
        // The id is drawn at random and never leaves the disk: a sender cannot make frames that pass here out of a record's bytes.
        if self.journal_id.is_some_and(|id| id != header.journal_id) {
            return Ok(None);
        }
        let bytes = header.frame_bytes();
        if bytes > FRAME_BYTES_LIMIT || self.fill(file, bytes, end)? < bytes {
            return Ok(None);
        }
        let place = Place { segment: self.segment, offset: self.offset() };
        let whole = self.buffer.get(self.at..self.at + bytes).unwrap_or_default();
        Ok(frame_verifies(place, &header, whole).then_some(header))
    }

    /// Sees to it that `want` bytes lie in the buffer from `at` on; says how many do (fewer only before the end).
    fn fill(&mut self, file: &dyn StorageFile, want: usize, end: u64) -> io::Result<usize> {
        loop {
            let have = self.filled - self.at;
            let left = end.saturating_sub(self.offset() + have as u64);
            if have >= want || left == 0 {
                return Ok(have);
            }
            self.buffer.copy_within(self.at..self.filled, 0);
            self.base += self.at as u64;
            (self.at, self.filled) = (0, have);
            let ask = READ_BYTES.max(want - have).min(usize::try_from(left).unwrap_or(usize::MAX));
            if self.buffer.len() < have + ask {
                self.buffer.resize(have + ask, 0);
            }
            let free = self.buffer.get_mut(have..have + ask).unwrap_or_default();
            match file.read_at(free, self.base + have as u64)? {
                0 => return Ok(have),
                read => self.filled += read,
            }
        }
    }
}
