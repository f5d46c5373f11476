//! The files of a lane, as a disk may give them back. The first byte of an input says what is done with the rest:
//!
//! * damage: a lane written by the journal itself is cut, overwritten or lengthened. Whatever is read must be what was written under
//!   that incarnation and sequence number, in order; a record may be missing, never changed.
//! * forged: the rest is the payload of frames whose checksums are right, so that what lies behind the checksum is reached. Nothing
//!   may panic, and no frame may hold more than it has room for.
//! * raw: the rest is a segment file. Nothing may panic.
//!
//! Each time the lane is opened for writing (recovery), read to its end, written to, and read again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use journal::storage::lossy::LossyStorage;
use journal::{Compression, Durability, JournalId, Lane, Settings};

/// A disk's files, and the incarnations that wrote them, oldest first.
type Written = (BTreeMap<PathBuf, Vec<u8>>, Vec<JournalId>);

/// A record as it is read: incarnation, sequence number, bytes.
type Read = (JournalId, u64, Vec<u8>);

/// Where the lane lies in the disk of memory.
const LANE: &str = "lane";

/// Records of the lane that is damaged.
const RECORDS: u64 = 40;

/// Longest input that is looked at, bytes.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// The files of a lane with two incarnations and several segments, and which incarnation wrote which records.
static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let disk = LossyStorage::new();
    let mut ids = Vec::new();
    for half in [0..RECORDS / 2, RECORDS / 2..RECORDS] {
        let (writer, _) = open(&disk);
        ids.push(writer.id());
        for number in half {
            let commit = writer.append(&record(number)).expect("an empty disk takes records");
            commit.wait().expect("a disk of memory does not fail");
        }
        writer.close();
    }
    (disk.files(), ids)
});

/// One input.
pub fn run(input: &[u8]) {
    let Some((mode, rest)) = input.split_first().filter(|_| input.len() <= INPUT_BYTES_MAX) else { return };
    match mode % 3 {
        0 => {
            let (files, ids) = &*WRITTEN;
            let mut files = files.clone();
            damage(&mut files, rest);
            read(files, Some(ids));
        }
        1 => read(BTreeMap::from([segment(1, forge(rest))]), None),
        _ => read(BTreeMap::from([segment(1, rest.to_vec())]), None),
    }
}

fn open(disk: &LossyStorage) -> (journal::Writer, journal::Recovery) {
    let settings = Settings {
        durability: Durability::Os,
        frame_bytes_max: 512,
        segment_bytes_max: 1024,
        queue_bytes_max: 64 * 1024,
        compression: Compression::Zstd { level: 1, payload_bytes_min: 64 },
        ..Settings::default()
    };
    let clock: journal::Clock = Arc::new(|| 1_795_000_000_000);
    Lane::open_on(Arc::new(disk.clone()), Path::new(LANE), settings, clock)
        .expect("damage does not stop a lane")
}

/// The n-th record: some compress, some do not, all differ.
fn record(number: u64) -> Vec<u8> {
    let length = 1 + (number * 37) as usize % 180;
    (0..length as u64)
        .map(|at| if number.is_multiple_of(2) { number as u8 } else { ((at * number * 131) >> 3) as u8 })
        .collect()
}

fn segment(number: u64, bytes: Vec<u8>) -> (PathBuf, Vec<u8>) {
    (Path::new(LANE).join(format!("{number:016}.segment")), bytes)
}

/// Takes the input five bytes at a time: which file, what is done, where, with what.
fn damage(files: &mut BTreeMap<PathBuf, Vec<u8>>, input: &[u8]) {
    let paths: Vec<PathBuf> = files.keys().cloned().collect();
    for step in input.chunks_exact(5) {
        let [file, action, high, low, value] = *step else { return };
        let Some(bytes) = files.get_mut(&paths[file as usize % paths.len()]) else { continue };
        let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        match action % 5 {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= value),
            1 => bytes.iter_mut().skip(at).take(usize::from(value)).for_each(|byte| *byte = 0),
            2 => bytes.truncate(at),
            3 => bytes.extend(std::iter::repeat_n(value, at % 600)),
            _ => bytes.copy_within(at.., at.saturating_sub(usize::from(value))),
        }
    }
}

/// Opens the lane, reads it, writes to it, reads it again. `ids`: what is read must be what [`WRITTEN`] holds.
fn read(files: BTreeMap<PathBuf, Vec<u8>>, ids: Option<&[JournalId]>) {
    let disk = LossyStorage::with_files(files);
    let (writer, _) = open(&disk);
    let before = frames(&writer, ids);
    let commit = writer.append(b"one more").expect("a recovered lane takes records");
    let seq = commit.wait().expect("a disk of memory does not fail");
    let mut after = frames(&writer, ids);
    assert_eq!(after.pop(), Some((writer.id(), seq, b"one more".to_vec())));
    assert_eq!(after, before);
}

fn frames(writer: &journal::Writer, ids: Option<&[JournalId]>) -> Vec<Read> {
    let mut reader = writer.replay();
    let mut found = Vec::new();
    while let Some(frame) = reader.next_frame().expect("a disk of memory does not fail") {
        assert_eq!(frame.records().count(), frame.count as usize);
        found.extend(frame.records().map(|(seq, bytes)| (frame.journal_id, seq, bytes.to_vec())));
    }
    let Some(ids) = ids else { return found };
    let place = |id: &JournalId| ids.iter().position(|known| known == id);
    let old = || found.iter().filter_map(|(id, seq, bytes)| Some((place(id)?, *seq, bytes)));
    for (incarnation, seq, bytes) in old() {
        let number = incarnation as u64 * (RECORDS / 2) + seq;
        assert_eq!(bytes, &record(number), "record {number} is not what was written");
    }
    assert!(found.iter().all(|(id, ..)| place(id).is_some() || *id == writer.id()), "a record of nobody");
    assert!(old().is_sorted_by(|(a, s, _), (b, t, _)| (a, s) < (b, t)), "records come in order, none twice");
    found
}

/// A segment of frames whose headers and checksums are right, with payloads and counts from the input.
fn forge(input: &[u8]) -> Vec<u8> {
    const ID: u64 = 0x1122_3344_5566_7788;
    let mut out = vec![1];
    out.extend_from_slice(b"SEGMENT");
    for value in [ID, 1, 1_795_000_000_000, 0, 0, 0] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&0u32.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    let mut first_seq = 0u64;
    let mut rest = input;
    while let Some((head, tail)) = rest.split_at_checked(6) {
        let [length, codec, count, extra, skip, plain] = *head else { break };
        let (body, tail) = tail.split_at(tail.len().min(usize::from(length)));
        rest = tail;
        let compressed = zstd::bulk::compress(body, 1).unwrap_or_default();
        let payload = if codec & 4 == 0 { body } else { compressed.as_slice() };
        // What it says to hold may be right, a little wrong, or very wrong.
        let plain_bytes = if plain < 128 { body.len() as u32 } else { u32::from(plain) << (extra % 24) };
        first_seq += u64::from(skip % 4);
        let mut frame = vec![1, b'F', b'R', b'M', 0, 0, 0, 0];
        frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        frame.extend_from_slice(&plain_bytes.to_le_bytes());
        frame.extend_from_slice(&ID.to_le_bytes());
        frame.extend_from_slice(&first_seq.to_le_bytes());
        frame.extend_from_slice(&u32::from(count).to_le_bytes());
        frame.extend_from_slice(&[codec & 3, 0, 0, 0]);
        frame.extend_from_slice(payload);
        let mut place = 1u64.to_le_bytes().to_vec();
        place.extend_from_slice(&(out.len() as u64).to_le_bytes());
        let mut crc = crc32c::crc32c(&place);
        crc = crc32c::crc32c_append(crc, &frame[..4]);
        crc = crc32c::crc32c_append(crc, &frame[8..]);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&frame);
        first_seq += u64::from(count);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_that_is_damaged_is_read_whole_when_it_is_not() {
        let (files, ids) = &*WRITTEN;
        assert!(files.len() > 4, "{:?}", files.keys());
        let disk = LossyStorage::with_files(files.clone());
        let (writer, recovery) = open(&disk);
        assert!(recovery.damaged.is_empty());
        assert_eq!(frames(&writer, Some(ids)).len() as u64, RECORDS);
    }

    #[test]
    fn forged_frames_are_taken_for_real_ones() {
        // Two records of two bytes, plain.
        let forged = forge(&[6, 0, 2, 0, 0, 0, 2, b'a', b'b', 2, b'c', b'd']);
        let disk = LossyStorage::with_files(BTreeMap::from([segment(1, forged)]));
        let (writer, _) = open(&disk);
        let records: Vec<_> = frames(&writer, None).into_iter().map(|(_, seq, bytes)| (seq, bytes)).collect();
        assert_eq!(records, [(0, b"ab".to_vec()), (1, b"cd".to_vec())]);
    }
}
