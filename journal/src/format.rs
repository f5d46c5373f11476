//! The bytes of segments, frames and cursors: encoding, decoding, checking. Pure: no I/O, no clock. The formats are drawn in the
//! crate's head. It must never accept a byte that its checksum does not cover.

use std::fmt;

use crate::settings::Compression;

/// Version of every form below.
pub(crate) const VERSION: u8 = 1;
/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 40;
/// Bytes of a cursor file.
pub(crate) const CURSOR_BYTES: usize = 36;
/// Longest frame that is ever read or written, header included: what a reader must be ready to hold.
pub(crate) const FRAME_BYTES_LIMIT: usize = 16 * 1024 * 1024;
/// Most bytes of the length before a record (LEB128 of a u32).
pub(crate) const RECORD_PREFIX_BYTES_MAX: usize = 5;

const SEGMENT_MAGIC: &[u8; 7] = b"SEGMENT";
const CURSOR_MAGIC: &[u8; 7] = b"CURSOR\0";
/// Version and magic of a frame as they stand on disk.
pub(crate) const FRAME_START: [u8; 4] = [VERSION, b'F', b'R', b'M'];
const CODEC_NONE: u8 = 0;
const CODEC_ZSTD: u8 = 1;
const FLAG_CONTINUES: u8 = 1;

/// The id of one incarnation of a lane: drawn at random each time the lane is opened for writing, and each time it takes up work
/// again after a failure. With a sequence number it is the identity of a record, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalId(pub u64);

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why a segment's header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Written by a version that this program does not know.
    UnknownVersion(u8),
    /// Too short, or its checksum does not match.
    Damaged,
}

/// The end of the segment before, as the header of the next one states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Link {
    /// Number of the segment before; 0 if there was none (numbers start at 1).
    pub(crate) segment: u64,
    /// Where its committed frames end, bytes.
    pub(crate) end: u64,
    /// Checksum of its last committed frame; 0 if it has none.
    pub(crate) chain: u32,
}

/// What the first 64 bytes of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) journal_id: JournalId,
    pub(crate) number: u64,
    pub(crate) created_ms: i64,
    pub(crate) first_seq: u64,
    pub(crate) previous: Link,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.push(VERSION);
        out.extend_from_slice(SEGMENT_MAGIC);
        out.extend_from_slice(&self.journal_id.0.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        out.extend_from_slice(&self.first_seq.to_le_bytes());
        out.extend_from_slice(&self.previous.segment.to_le_bytes());
        out.extend_from_slice(&self.previous.end.to_le_bytes());
        out.extend_from_slice(&self.previous.chain.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        debug_assert_eq!(out.len(), SEGMENT_HEADER_BYTES);
        out
    }

    /// Decodes and checks a header; `number` comes from the file's name and must be the one in it.
    pub(crate) fn decode(bytes: &[u8], number: u64) -> Result<SegmentHeader, HeaderFault> {
        let head = bytes.get(..SEGMENT_HEADER_BYTES).ok_or(HeaderFault::Damaged)?;
        let (body, crc) = head.split_at(SEGMENT_HEADER_BYTES - 4);
        let mut take = Take(body);
        let version = take.u8().ok_or(HeaderFault::Damaged)?;
        let magic = take.bytes(7).ok_or(HeaderFault::Damaged)?;
        if magic == SEGMENT_MAGIC && version != VERSION && crc32c::crc32c(body).to_le_bytes() == crc {
            return Err(HeaderFault::UnknownVersion(version));
        }
        if magic != SEGMENT_MAGIC || version != VERSION || crc32c::crc32c(body).to_le_bytes() != crc {
            return Err(HeaderFault::Damaged);
        }
        let header = (|| {
            Some(SegmentHeader {
                journal_id: JournalId(take.u64()?),
                number: take.u64()?,
                created_ms: take.u64()? as i64,
                first_seq: take.u64()?,
                previous: Link { segment: take.u64()?, end: take.u64()?, chain: take.u32()? },
            })
        })()
        .ok_or(HeaderFault::Damaged)?;
        if header.number == number { Ok(header) } else { Err(HeaderFault::Damaged) }
    }
}

/// Where a frame lies: part of what its checksum covers, so that a frame in another place never verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// What the first 40 bytes of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) crc: u32,
    /// Bytes of the payload as stored.
    pub(crate) stored_bytes: u32,
    /// Bytes of the payload once decompressed.
    pub(crate) plain_bytes: u32,
    pub(crate) journal_id: JournalId,
    pub(crate) first_seq: u64,
    /// Records in the frame; 0 only for the mark of a clean close.
    pub(crate) count: u32,
    pub(crate) codec: u8,
    /// It was written together with the frame before it: both are committed, or neither.
    pub(crate) continues: bool,
}

impl FrameHeader {
    /// Decodes a header whose values are plausible; nothing is checked by sum here.
    pub(crate) fn decode(bytes: &[u8]) -> Option<FrameHeader> {
        let mut take = Take(bytes);
        if take.bytes(4)? != FRAME_START {
            return None;
        }
        let mut header = FrameHeader {
            crc: take.u32()?,
            stored_bytes: take.u32()?,
            plain_bytes: take.u32()?,
            journal_id: JournalId(take.u64()?),
            first_seq: take.u64()?,
            count: take.u32()?,
            codec: take.u8()?,
            continues: false,
        };
        let flags = take.u8()?;
        header.continues = flags & FLAG_CONTINUES != 0;
        let reserved = take.bytes(2)?;
        let fits = |bytes: u32| bytes as usize <= FRAME_BYTES_LIMIT - FRAME_HEADER_BYTES;
        (fits(header.stored_bytes)
            && fits(header.plain_bytes)
            && flags <= FLAG_CONTINUES
            && reserved == [0, 0])
        .then_some(header)
    }

    /// Bytes of the whole frame on disk.
    pub(crate) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.stored_bytes as usize
    }

    fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        let parts: [&[u8]; 9] = [
            &FRAME_START,
            &self.crc.to_le_bytes(),
            &self.stored_bytes.to_le_bytes(),
            &self.plain_bytes.to_le_bytes(),
            &self.journal_id.0.to_le_bytes(),
            &self.first_seq.to_le_bytes(),
            &self.count.to_le_bytes(),
            &[self.codec],
            &[if self.continues { FLAG_CONTINUES } else { 0 }],
        ];
        let mut at = 0;
        for part in parts {
            if let Some(slot) = out.get_mut(at..at + part.len()) {
                slot.copy_from_slice(part);
            }
            at += part.len();
        }
        out
    }
}

/// The checksum of a frame: CRC-32C over its place, its header without the checksum itself, and its payload.
fn frame_crc(place: Place, header: &[u8], payload: &[u8]) -> u32 {
    let mut seed = [0u8; 16];
    let (segment, offset) = seed.split_at_mut(8);
    segment.copy_from_slice(&place.segment.to_le_bytes());
    offset.copy_from_slice(&place.offset.to_le_bytes());
    let mut crc = crc32c::crc32c(&seed);
    crc = crc32c::crc32c_append(crc, header.get(..4).unwrap_or_default());
    crc = crc32c::crc32c_append(crc, header.get(8..).unwrap_or_default());
    crc32c::crc32c_append(crc, payload)
}

/// Whether `bytes` is, as a whole, the frame that `header` (its first bytes, decoded) announces at `place`.
pub(crate) fn frame_verifies(place: Place, header: &FrameHeader, bytes: &[u8]) -> bool {
    bytes.len() == header.frame_bytes()
        && bytes
            .split_at_checked(FRAME_HEADER_BYTES)
            .is_some_and(|(head, payload)| frame_crc(place, head, payload) == header.crc)
}

/// Makes frames out of payloads. Keeps its compressor and its buffer between calls.
pub(crate) struct Encoder {
    compression: Compression,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    scratch: Vec<u8>,
}

/// The records of one frame.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    pub(crate) journal_id: JournalId,
    pub(crate) first_seq: u64,
    pub(crate) count: u32,
    /// See [`FrameHeader::continues`].
    pub(crate) continues: bool,
    /// Records, each behind its length.
    pub(crate) payload: &'a [u8],
}

impl Encoder {
    pub(crate) fn new(compression: Compression) -> Encoder {
        // A compressor that cannot be made costs only space: frames are then stored as they are.
        let compressor = match compression {
            Compression::Off => None,
            Compression::Zstd { level, .. } => zstd::bulk::Compressor::new(level).ok(),
        };
        Encoder { compression, compressor, scratch: Vec::new() }
    }

    /// Appends one frame to `out`, made for `place`. Returns its checksum.
    pub(crate) fn push_frame(&mut self, place: Place, plain: Plain<'_>, out: &mut Vec<u8>) -> u32 {
        let (codec, stored) = if self.compress(plain.payload) {
            (CODEC_ZSTD, self.scratch.as_slice())
        } else {
            (CODEC_NONE, plain.payload)
        };
        let mut header = FrameHeader {
            crc: 0,
            stored_bytes: stored.len() as u32,
            plain_bytes: plain.payload.len() as u32,
            journal_id: plain.journal_id,
            first_seq: plain.first_seq,
            count: plain.count,
            codec,
            continues: plain.continues,
        };
        header.crc = frame_crc(place, &header.encode(), stored);
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(stored);
        header.crc
    }

    /// Compresses into the scratch buffer; false if it is not wanted or does not pay.
    fn compress(&mut self, payload: &[u8]) -> bool {
        let Compression::Zstd { payload_bytes_min, .. } = self.compression else { return false };
        let Some(compressor) = &mut self.compressor else { return false };
        if payload.len() < payload_bytes_min {
            return false;
        }
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(payload.len()));
        match compressor.compress_to_buffer(payload, &mut self.scratch) {
            Ok(bytes) => bytes + payload.len() / 16 < payload.len(),
            Err(_) => false,
        }
    }
}

/// Undoes what [`Encoder`] did. Keeps its decompressor between calls.
#[derive(Default)]
pub(crate) struct Decoder {
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
}

impl Decoder {
    /// The plain payload of a frame that verified, its records held against their count. `None`: the frame is not what its header says,
    /// although its checksum matches; it must be treated as damaged.
    pub(crate) fn decode(&mut self, header: &FrameHeader, stored: &[u8]) -> Option<Vec<u8>> {
        let plain = match header.codec {
            CODEC_NONE => stored.to_vec(),
            CODEC_ZSTD => self.decompress(stored, header.plain_bytes as usize)?,
            _ => return None,
        };
        if plain.len() != header.plain_bytes as usize {
            return None;
        }
        let mut rest = Take(&plain);
        for _ in 0..header.count {
            rest.record()?;
        }
        rest.0.is_empty().then_some(plain)
    }

    fn decompress(&mut self, stored: &[u8], plain_bytes: usize) -> Option<Vec<u8>> {
        if self.decompressor.is_none() {
            self.decompressor = zstd::bulk::Decompressor::new().ok();
        }
        self.decompressor.as_mut()?.decompress(stored, plain_bytes).ok()
    }
}

/// Appends a record behind its length.
pub(crate) fn push_record(record: &[u8], out: &mut Vec<u8>) {
    let mut rest = record.len() as u32;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend_from_slice(record);
}

/// Bytes that are taken from the front.
#[derive(Clone, Copy)]
pub(crate) struct Take<'a>(pub(crate) &'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next record of a payload.
    pub(crate) fn record(&mut self) -> Option<&'a [u8]> {
        let mut length: u32 = 0;
        for shift in 0..RECORD_PREFIX_BYTES_MAX as u32 {
            let byte = self.u8()?;
            length |= u32::from(byte & 0x7f).checked_shl(7 * shift)?;
            if byte & 0x80 == 0 {
                return self.bytes(length as usize);
            }
        }
        None
    }
}

/// A place between two frames of a lane. Ordered by segment and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment, from 1, growing over the incarnations of the lane.
    pub segment: u64,
    /// Offset in the segment's file, bytes.
    pub offset: u64,
    /// The incarnation that wrote the segment.
    pub journal_id: JournalId,
}

impl Position {
    /// Before everything.
    pub const START: Position = Position { segment: 0, offset: 0, journal_id: JournalId(0) };

    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CURSOR_BYTES);
        out.push(VERSION);
        out.extend_from_slice(CURSOR_MAGIC);
        out.extend_from_slice(&self.journal_id.0.to_le_bytes());
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Position> {
        let (body, crc) = bytes.split_at_checked(CURSOR_BYTES - 4)?;
        let mut take = Take(body);
        let known = take.u8()? == VERSION && take.bytes(7)? == CURSOR_MAGIC;
        if !known || crc32c::crc32c(body).to_le_bytes() != crc {
            return None;
        }
        let journal_id = JournalId(take.u64()?);
        Some(Position { segment: take.u64()?, offset: take.u64()?, journal_id })
    }
}

#[cfg(test)]
mod tests;
