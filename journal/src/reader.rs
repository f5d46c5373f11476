//! Following a lane: frame by frame over segments and incarnations, never beyond what is committed; durable cursors. A reader never
//! returns a record that did not verify, and never stops at damage: it skips, counts and reports it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use std::{io, mem};

use crate::error::{Error, ReadError};
use crate::format::{Decoder, FrameHeader, JournalId, Position, Take};
use crate::inventory::{Cursor, Segment, cursor_name_is_valid, cursor_path, segment_path};
use crate::storage::StorageFile;
use crate::walk::{Step, Walk};
use crate::writer::{Shared, lock};

/// The records of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The incarnation that wrote it.
    pub journal_id: JournalId,
    /// Sequence number of its first record; the others follow without a gap.
    pub first_seq: u64,
    /// Records in it, at least 1.
    pub count: u32,
    /// Bytes that it takes in the segment.
    pub bytes: u64,
    /// Records of the same incarnation that should have come before it and were lost to damage.
    pub lost_before: u64,
    start: Position,
    end: Position,
    payload: Vec<u8>,
}

impl Frame {
    /// Each record with its sequence number.
    pub fn records(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = Take(&self.payload);
        (self.first_seq..self.first_seq + u64::from(self.count))
            .map_while(move |seq| Some((seq, rest.record()?)))
    }

    /// Where it begins.
    pub fn start(&self) -> Position {
        self.start
    }

    /// Behind it: the position to commit once its records are dealt with.
    pub fn end(&self) -> Position {
        self.end
    }

    /// The frame of a header and its stored payload; `None` if that does not decode.
    pub(crate) fn decode(
        decoder: &mut Decoder,
        header: &FrameHeader,
        stored: &[u8],
        start: Position,
    ) -> Option<Frame> {
        let bytes = header.frame_bytes() as u64;
        let start = Position { journal_id: header.journal_id, ..start };
        Some(Frame {
            journal_id: header.journal_id,
            first_seq: header.first_seq,
            count: header.count,
            bytes,
            lost_before: 0,
            start,
            end: Position { offset: start.offset + bytes, ..start },
            payload: decoder.decode(header, stored)?,
        })
    }
}

/// Tells how many records are missing between frames that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Continuity {
    expected: Option<(JournalId, u64)>,
}

impl Continuity {
    /// A segment is entered at its begin.
    pub(crate) fn enter(&mut self, segment: &Segment) {
        let known = segment.journal_id.zip(segment.first_seq);
        if self.expected.map(|(id, _)| id) != segment.journal_id {
            self.expected = known;
        }
    }

    /// A frame is read: the records missing before it.
    pub(crate) fn frame(&mut self, header: &FrameHeader) -> u64 {
        let next = header.first_seq + u64::from(header.count);
        let before = self.expected.replace((header.journal_id, next));
        match before {
            Some((id, expected)) if id == header.journal_id => header.first_seq.saturating_sub(expected),
            _ => 0,
        }
    }
}

/// The segment a reader is in.
struct Open {
    segment: Segment,
    file: Box<dyn StorageFile>,
    walk: Walk,
}

/// Reads a lane while it is written.
pub struct Reader {
    shared: Arc<Shared>,
    /// Name of the cursor; `None` for a reader without one.
    name: Option<String>,
    position: Position,
    open: Option<Open>,
    continuity: Continuity,
    decoder: Decoder,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("name", &self.name)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Reader {
    pub(crate) fn anonymous(shared: &Arc<Shared>) -> Reader {
        Reader {
            shared: shared.clone(),
            name: None,
            position: Position::START,
            open: None,
            continuity: Continuity::default(),
            decoder: Decoder::default(),
        }
    }

    pub(crate) fn named(shared: &Arc<Shared>, name: &str) -> Result<Reader, Error> {
        if !cursor_name_is_valid(name) {
            return Err(Error::CursorName { name: name.to_owned() });
        }
        let mut inventory = lock(&shared.inventory);
        let new = Cursor { position: Position::START, durable: false, open: false };
        let cursor = inventory.cursors.entry(name.to_owned()).or_insert(new);
        if mem::replace(&mut cursor.open, true) {
            return Err(Error::ReaderOpen { name: name.to_owned() });
        }
        let Cursor { position, durable, .. } = *cursor;
        drop(inventory);
        let mut reader = Reader::anonymous(shared);
        reader.name = Some(name.to_owned());
        reader.position = position;
        if !durable {
            reader.commit(Position::START)?;
        }
        Ok(reader)
    }

    /// The next frame, or `None` when everything committed has been read.
    ///
    /// Damaged ranges are skipped, counted ([`crate::Stats::damaged_ranges`]) and logged; [`Frame::lost_before`] says how many records
    /// were in them.
    ///
    /// # Errors
    /// [`ReadError`]: the disk refused; the reader has not moved.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ReadError> {
        loop {
            let Some(mut open) = self.enter()? else { return Ok(None) };
            let step = match open.walk.step(&*open.file, open.segment.end) {
                Ok(step) => step,
                Err(source) => {
                    return Err(ReadError::Io {
                        path: segment_path(&self.shared.dir, open.segment.number),
                        offset: self.position.offset,
                        source,
                    });
                }
            };
            let from = mem::replace(&mut self.position.offset, open.walk.offset());
            let mut frame = None;
            match step {
                Step::Frame { header, .. } if header.count == 0 => {}
                Step::Frame { header, .. } => {
                    let start = Position { offset: from, ..self.position };
                    frame = Frame::decode(&mut self.decoder, &header, open.walk.payload(), start);
                    match &mut frame {
                        Some(frame) => frame.lost_before = self.continuity.frame(&header),
                        None => self.report_damage(from, self.position.offset),
                    }
                }
                Step::Bad { from, to } => self.report_damage(from, to),
                Step::End => {}
            }
            self.open = Some(open);
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// Behind the last frame returned; where [`Reader::next_frame`] goes on.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Goes on elsewhere, for instance at [`Position::START`] to read everything again. The cursor stays until it is committed.
    pub fn seek(&mut self, position: Position) {
        self.position = position;
        self.open = None;
        self.continuity = Continuity::default();
    }

    /// Bytes of committed frames that this reader has not returned yet.
    pub fn lag_bytes(&self) -> u64 {
        lock(&self.shared.inventory).lag_bytes(self.position)
    }

    /// Waits until there is something to read; false after `timeout`, or at once when everything is read and the lane is closed.
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut inventory = lock(&self.shared.inventory);
        loop {
            if inventory.lag_bytes(self.position) > 0 {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || inventory.closed {
                return false;
            }
            inventory.readers_sleeping += 1;
            let waited = self.shared.news.wait_timeout(inventory, left);
            inventory = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
            inventory.readers_sleeping -= 1;
        }
    }

    /// Moves the cursor, durably: when this has answered, segments behind it may be removed. A reader without a cursor does nothing.
    ///
    /// # Errors
    /// [`Error::PositionBeyondEnd`], or the disk's: the cursor then stands at its old or its new position after a restart.
    pub fn commit(&mut self, position: Position) -> Result<(), Error> {
        let Some(name) = &self.name else { return Ok(()) };
        let end = lock(&self.shared.inventory).committed();
        if (position.segment, position.offset) > (end.segment, end.offset) {
            return Err(Error::PositionBeyondEnd { segment: position.segment, offset: position.offset });
        }
        write_cursor(&self.shared, name, position)?;
        if let Some(cursor) = lock(&self.shared.inventory).cursors.get_mut(name) {
            cursor.position = position;
            cursor.durable = true;
        }
        self.shared.cursor_moved();
        Ok(())
    }

    /// The segment to read in, open, with its present end; `None` when everything committed has been read.
    fn enter(&mut self) -> Result<Option<Open>, ReadError> {
        if let Some(open) = self.open.take_if(|open| self.position.offset < open.segment.end) {
            return Ok(Some(open));
        }
        loop {
            let segment = {
                let inventory = lock(&self.shared.inventory);
                let position = inventory.resolve(self.position);
                if !inventory.segments.contains_key(&self.position.segment) {
                    // What retention removed is not lost to damage.
                    self.continuity = Continuity::default();
                }
                let moved =
                    position.segment != self.position.segment || position.offset != self.position.offset;
                self.position = position;
                if moved {
                    self.open = None;
                }
                inventory.segments.get(&position.segment).copied()
            };
            let Some(segment) = segment.filter(|segment| self.position.offset < segment.end) else {
                return Ok(None);
            };
            if self.position.offset == segment.start {
                self.continuity.enter(&segment);
            }
            if let Some(mut open) = self.open.take() {
                open.segment = segment;
                return Ok(Some(open));
            }
            let path = segment_path(&self.shared.dir, segment.number);
            match self.shared.storage.open(&path, false) {
                Ok(file) => {
                    let walk = Walk::new(segment.number, segment.journal_id, self.position.offset);
                    return Ok(Some(Open { segment, file, walk }));
                }
                // Removed by retention since the look into the inventory: only what is behind every cursor is, so go on behind it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if lock(&self.shared.inventory).segments.contains_key(&segment.number) {
                        return Err(ReadError::Io { path, offset: self.position.offset, source: error });
                    }
                }
                Err(source) => return Err(ReadError::Io { path, offset: self.position.offset, source }),
            }
        }
    }

    fn report_damage(&self, from: u64, to: u64) {
        self.shared.counters.damaged_ranges.fetch_add(1, Ordering::Relaxed);
        self.shared.counters.damaged_bytes.fetch_add(to.saturating_sub(from), Ordering::Relaxed);
        tracing::error!(
            dir = %self.shared.dir.display(), reader = self.name.as_deref().unwrap_or("-"),
            segment = self.position.segment, from, to, "journal is damaged here: the range is skipped"
        );
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        if let Some(cursor) = lock(&self.shared.inventory).cursors.get_mut(name) {
            cursor.open = false;
        }
    }
}

/// Puts a cursor file in the place of the old one: temporary file, sync, rename, sync of the directory.
fn write_cursor(shared: &Shared, name: &str, position: Position) -> Result<(), Error> {
    let path = cursor_path(&shared.dir, name);
    let temporary = path.with_extension("tmp");
    let storage = &shared.storage;
    match storage.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &temporary, error));
        }
        _ => {}
    }
    let written = storage.create(&temporary).and_then(|file| {
        file.write_at(&position.encode(), 0)?;
        file.sync()
    });
    written.map_err(|error| Error::io("write", &temporary, error))?;
    storage.rename(&temporary, &path).map_err(|error| Error::io("rename", &temporary, error))?;
    storage.sync_dir(&shared.dir).map_err(|error| Error::io("sync", &shared.dir, error))
}

/// Forgets a cursor and its file.
pub(crate) fn remove_cursor(shared: &Shared, name: &str) -> Result<(), Error> {
    if !cursor_name_is_valid(name) {
        return Err(Error::CursorName { name: name.to_owned() });
    }
    if lock(&shared.inventory).cursors.get(name).is_some_and(|cursor| cursor.open) {
        return Err(Error::ReaderOpen { name: name.to_owned() });
    }
    let path = cursor_path(&shared.dir, name);
    match shared.storage.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &path, error));
        }
        _ => {}
    }
    shared.storage.sync_dir(&shared.dir).map_err(|error| Error::io("sync", &shared.dir, error))?;
    lock(&shared.inventory).cursors.remove(name);
    shared.cursor_moved();
    Ok(())
}
