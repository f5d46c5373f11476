//! A frame of a journal on its way through Kafka: the bytes of a message of the events topic.
//!
//! Owns the form. It must never hand out a record that its checksum does not cover. What is in the records it does not know.
//!
//! # Layout, version 1
//!
//! Little-endian.
//!
//! ```text
//! offset  bytes  field
//!      0      1  version = 1
//!      1      3  "FRM"
//!      4      8  journal id
//!     12      8  sequence number of the first record; the others follow without a gap
//!     20      8  records of the same journal that should have come before and were lost to damage
//!     28      4  n, number of records, at least 1
//!     32      …  n times: length (LEB128 of a u32), bytes
//!      …      4  CRC-32C of all before
//! ```

/// The version written today.
pub const VERSION: u8 = 1;
/// Most bytes of a frame in one message.
pub const BYTES_MAX: usize = 512 * 1024;

const MAGIC: &[u8; 3] = b"FRM";
const HEADER_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;

/// Why a message is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Written by a newer program: kept for one that knows it.
    #[error("unknown_version {0}")]
    UnknownVersion(u8),
    /// Not a frame, or not whole.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
}

/// A frame that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The journal that it comes from.
    pub journal_id: u64,
    /// Sequence number of its first record.
    pub first_seq: u64,
    /// Records of the journal that should have come before it and were lost to damage.
    pub lost_before: u64,
    /// Records in it.
    pub count: u32,
    records: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Each record with its sequence number.
    pub fn records(&self) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
        let mut rest = self.records;
        let (first, count) = (self.first_seq, u64::from(self.count));
        (0..count).map_while(move |n| Some((first.checked_add(n)?, take_record(&mut rest)?)))
    }
}

/// Builds messages out of the records of one journal, in order.
pub struct Builder {
    journal_id: u64,
    first_seq: u64,
    lost_before: u64,
    count: u32,
    bytes: Vec<u8>,
}

impl Builder {
    /// Begins a frame whose first record has this number.
    pub fn new(journal_id: u64, first_seq: u64, lost_before: u64) -> Self {
        Self { journal_id, first_seq, lost_before, count: 0, bytes: vec![0; HEADER_BYTES] }
    }

    /// Whether a record of this length can come in without passing [`BYTES_MAX`]. The first one always can.
    pub fn has_room(&self, record_bytes: usize) -> bool {
        self.count == 0 || self.bytes.len() + record_bytes + 5 + CHECKSUM_BYTES <= BYTES_MAX
    }

    /// Takes in the next record.
    pub fn push(&mut self, record: &[u8]) {
        let mut length = record.len() as u32;
        while length >= 0x80 {
            self.bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }

    /// The message's value.
    pub fn finish(mut self) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.push(VERSION);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&self.journal_id.to_le_bytes());
        header.extend_from_slice(&self.first_seq.to_le_bytes());
        header.extend_from_slice(&self.lost_before.to_le_bytes());
        header.extend_from_slice(&self.count.to_le_bytes());
        if let Some(place) = self.bytes.get_mut(..HEADER_BYTES) {
            place.copy_from_slice(&header);
        }
        let checksum = crc32c::crc32c(&self.bytes);
        self.bytes.extend_from_slice(&checksum.to_le_bytes());
        self.bytes
    }
}

/// The messages of a run of records that follow each other: one, or several if they pass [`BYTES_MAX`] together.
pub fn encode<'a>(
    journal_id: u64,
    first_seq: u64,
    lost_before: u64,
    records: impl Iterator<Item = &'a [u8]>,
) -> Vec<Vec<u8>> {
    let mut out = Vec::with_capacity(1);
    let mut builder = Builder::new(journal_id, first_seq, lost_before);
    for record in records {
        if !builder.has_room(record.len()) {
            let next = Builder::new(journal_id, builder.first_seq + u64::from(builder.count), 0);
            out.push(std::mem::replace(&mut builder, next).finish());
        }
        builder.push(record);
    }
    if builder.count > 0 {
        out.push(builder.finish());
    }
    out
}

/// Reads a message's value.
///
/// # Errors
/// [`FrameError`]. The version is looked at before the checksum: another version may have another one.
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let corrupt = FrameError::Corrupt;
    match bytes.first_chunk::<4>() {
        Some([VERSION, magic @ ..]) if magic == MAGIC => {}
        Some([version, magic @ ..]) if magic == MAGIC => return Err(FrameError::UnknownVersion(*version)),
        _ => return Err(corrupt("no frame's beginning")),
    }
    let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(corrupt("too short"))?;
    let (header, records) = covered.split_first_chunk::<HEADER_BYTES>().ok_or(corrupt("too short"))?;
    if crc32c::crc32c(covered) != u32::from_le_bytes(*checksum) {
        return Err(corrupt("its checksum does not match"));
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 8).and_then(<[u8]>::first_chunk).copied();
        bytes.map(u64::from_le_bytes).ok_or(corrupt("too short"))
    };
    let count = header.last_chunk().copied().map(u32::from_le_bytes).ok_or(corrupt("too short"))?;
    let frame =
        Frame { journal_id: number(4)?, first_seq: number(12)?, lost_before: number(20)?, count, records };
    let mut rest = records;
    let whole = (0..count).all(|_| take_record(&mut rest).is_some()) && rest.is_empty();
    let numbered = frame.first_seq.checked_add(u64::from(count)).is_some();
    if !whole || count == 0 || !numbered {
        return Err(corrupt("its records do not fill it"));
    }
    Ok(frame)
}

fn take_record<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        length |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            let (record, after) = rest.split_at_checked(length as usize)?;
            *rest = after;
            return Some(record);
        }
    }
    None
}

#[cfg(test)]
mod tests;
