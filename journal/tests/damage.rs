//! Bytes that changed on the disk: never served, always reported, and everything around them still served.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use journal::storage::lossy::{Dice, LossyStorage};
use journal::{Compression, JournalId, Settings, Writer};
use support::{
    FRAME_HEADER, Records, SEGMENT_HEADER, drain, frame_borders, open, replay, segment, small, soak,
};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A journal of two segments with compressed and plain frames, looked at while it is open; the second segment's end is not vouched for.
fn two_segments() -> (Files, Records) {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let mut sent = Records::new();
    let mut n = 0;
    while storage.files().len() < 2 || frame_borders(&storage.files()[&segment(2)]).len() < 3 {
        send(&writer, &mut sent, 2 + n % 3, n);
        n += 1;
    }
    assert!(!storage.files().contains_key(&segment(3)));
    (storage.files(), sent)
}

fn send(writer: &Writer, sent: &mut Records, count: u64, n: u64) {
    let commits: Vec<_> = (0..count)
        .map(|i| {
            let record = format!("{n} {i} ").repeat(1 + (n as usize * 7) % 20).into_bytes();
            let commit = writer.append(&record).expect("taken");
            sent.insert((writer.id(), commit.seq()), record);
            commit
        })
        .collect();
    for commit in commits {
        commit.wait().expect("stored");
    }
}

/// What a lane serves of these files, and whether it said that something is wrong.
struct Served {
    records: Records,
    torn: bool,
    damaged: bool,
}

fn serve(files: Files) -> Served {
    let storage = LossyStorage::with_files(files);
    let (writer, recovery) = open(&storage, small()).expect("opens");
    let records = replay(&writer);
    let damaged = !recovery.damaged.is_empty() || writer.stats().damaged_ranges > 0;
    Served { records, torn: recovery.torn_tail.is_some(), damaged }
}

/// The records of the frame that covers this byte, if one does.
fn records_at(files: &Files, sent: &Records, path: &Path, at: usize) -> Vec<(JournalId, u64)> {
    let bytes = &files[path];
    let Some((from, _)) = frame_borders(bytes).into_iter().find(|(from, to)| (*from..*to).contains(&at))
    else {
        return Vec::new();
    };
    let number = |at: usize, count: usize| {
        bytes[at..at + count].iter().rev().fold(0u64, |number, byte| (number << 8) | u64::from(*byte))
    };
    let (first, count) = (number(from + 24, 8), number(from + 32, 4));
    sent.keys().filter(|(_, seq)| (first..first + count).contains(seq)).copied().collect()
}

fn without(sent: &Records, lost: &[(JournalId, u64)]) -> Records {
    sent.iter()
        .filter(|(identity, _)| !lost.contains(identity))
        .map(|(identity, r)| (*identity, r.clone()))
        .collect()
}

#[test]
fn every_flipped_bit_is_detected_and_everything_else_is_served() {
    let (files, sent) = two_segments();
    for path in [segment(1), segment(2)] {
        let bytes = &files[&path];
        let last_frame = frame_borders(bytes).last().expect("frames").0;
        for bit in 0..bytes.len() * 8 {
            let at = bit / 8;
            let mut changed = files.clone();
            changed.get_mut(&path).expect("a file")[at] ^= 1 << (bit % 8);
            let served = serve(changed);
            let context = format!("bit {bit} of {}", path.display());
            assert_eq!(served.records, without(&sent, &records_at(&files, &sent, &path, at)), "{context}");
            // Nothing tells a damaged last frame of an open segment from a torn one; anywhere else it is damage.
            let is_tail = path == segment(2) && at >= last_frame;
            assert_eq!((served.torn, served.damaged), (is_tail, !is_tail), "{context}");
        }
    }
}

#[test]
fn after_a_clean_close_a_damaged_last_frame_is_damage_and_no_torn_tail() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let mut sent = Records::new();
    send(&writer, &mut sent, 2, 1);
    send(&writer, &mut sent, 2, 2);
    drop(writer);
    let files = storage.files();
    let borders = frame_borders(&files[&segment(1)]);
    assert_eq!(borders.len(), 3, "two frames and the mark");
    let mut changed = files.clone();
    changed.get_mut(&segment(1)).expect("a file")[borders[1].1 - 1] ^= 1;
    let served = serve(changed);
    assert_eq!((served.torn, served.damaged), (false, true));
    assert_eq!(served.records.len(), 2);
}

#[test]
fn a_write_of_several_frames_is_torn_or_committed_as_a_whole() {
    let storage = LossyStorage::new();
    let settings = Settings { compression: Compression::Off, segment_bytes_max: 4096, ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    let mut sent = Records::new();
    send(&writer, &mut sent, 1, 1);
    // Records of 20 times 5 bytes: six of them fill one frame and a half.
    send(&writer, &mut sent, 6, 17);
    let torn = storage.files();
    let borders = frame_borders(&torn[&segment(1)]);
    assert_eq!(borders.len(), 3, "one frame, then two in one write");
    send(&writer, &mut sent, 1, 2);
    let followed = storage.files();
    let flip = |files: &Files| {
        let mut files = files.clone();
        files.get_mut(&segment(1)).expect("a file")[borders[1].0 + 50] ^= 1;
        serve(files)
    };
    // Sectors reach the disk in any order: the second frame is there, the first is not, and neither was answered.
    let served = flip(&torn);
    assert_eq!((served.torn, served.damaged, served.records.len()), (true, false, 1));
    // With a later write behind it the same is damage, and everything else is served.
    let served = flip(&followed);
    let lost = records_at(&followed, &sent, &segment(1), borders[1].0);
    assert_eq!((served.torn, served.damaged), (false, true));
    assert_eq!(served.records, without(&sent, &lost));
}

#[test]
fn blocks_that_are_zeroed_or_overwritten_with_noise_are_never_served() {
    let (files, sent) = two_segments();
    for seed in 0..300 * soak() {
        let mut dice = Dice::new(seed);
        let path = segment(1 + dice.below(2));
        let bytes = files[&path].clone();
        let from = dice.below(bytes.len() as u64) as usize;
        let to = (from + 1 + dice.below(256) as usize).min(bytes.len());
        let mut changed = bytes.clone();
        let zero = dice.one_in(2);
        changed[from..to].fill_with(|| if zero { 0 } else { dice.below(256) as u8 });
        let lost: Vec<_> = (from..to)
            .filter(|at| changed[*at] != bytes[*at])
            .flat_map(|at| records_at(&files, &sent, &path, at))
            .collect();
        let mut files = files.clone();
        files.insert(path, changed);
        assert_eq!(serve(files).records, without(&sent, &lost), "seed {seed}");
    }
}

#[test]
fn swapped_and_copied_frames_never_verify_in_another_place() {
    let storage = LossyStorage::new();
    let settings = Settings { compression: Compression::Off, segment_bytes_max: 4096, ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    let mut sent = Records::new();
    for n in 0..6u8 {
        let record = vec![n; 60];
        let commit = writer.append(&record).expect("taken");
        sent.insert((writer.id(), commit.seq()), record);
        commit.wait().expect("stored");
    }
    let files = storage.files();
    let borders = frame_borders(&files[&segment(1)]);
    let bytes = FRAME_HEADER + 61;
    assert!(borders.iter().all(|(from, to)| to - from == bytes), "frames of the same length");
    for (one, other) in [(0, 1), (1, 4), (2, 3), (0, 5)] {
        let mut changed = files[&segment(1)].clone();
        for i in 0..bytes {
            changed.swap(borders[one].0 + i, borders[other].0 + i);
        }
        let served = serve(BTreeMap::from([(segment(1), changed)]));
        let lost = [(writer.id(), one as u64), (writer.id(), other as u64)];
        assert_eq!(served.records, without(&sent, &lost), "{one} and {other} swapped");
        assert!(served.damaged || served.torn);
    }
    // A frame written twice: the copy is in the place of another.
    let mut changed = files[&segment(1)].clone();
    changed.copy_within(borders[1].0..borders[1].1, borders[3].0);
    let served = serve(BTreeMap::from([(segment(1), changed)]));
    assert_eq!(served.records, without(&sent, &[(writer.id(), 3)]));
}

#[test]
fn frames_of_another_incarnation_or_another_segment_are_not_taken_for_this_ones() {
    let (old, _) = two_segments();
    let (new, sent) = two_segments();
    // The same places, the same lengths, another journal id: what a recycled block would hold.
    let mut changed = new[&segment(1)].clone();
    let tail = changed.len() / 2;
    let stale = &old[&segment(1)];
    assert_eq!(changed.len(), stale.len());
    changed[tail..].copy_from_slice(&stale[tail..]);
    let mut files = new.clone();
    files.insert(segment(1), changed);
    let served = serve(files);
    assert!(served.damaged);
    assert!(served.records.iter().all(|(identity, record)| sent.get(identity) == Some(record)));
    assert!(served.records.len() < sent.len());
    // A segment under the name of another.
    let mut files = new.clone();
    files.insert(segment(1), new[&segment(2)].clone());
    let served = serve(files);
    assert!(served.damaged);
    assert!(served.records.iter().all(|(identity, record)| sent.get(identity) == Some(record)));
}

#[test]
fn a_record_made_of_a_frames_bytes_is_never_read_as_a_frame() {
    let (files, sent) = two_segments();
    let borders = frame_borders(&files[&segment(1)]);
    let forged = files[&segment(1)][borders[0].0..borders[0].1].to_vec();
    let storage = LossyStorage::new();
    let settings = Settings { compression: Compression::Off, ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    writer.append(&forged).expect("taken").wait().expect("stored");
    writer.append(b"behind").expect("taken").wait().expect("stored");
    let mut files = storage.files();
    files.get_mut(&segment(1)).expect("a file")[SEGMENT_HEADER] ^= 1;
    let served = serve(files);
    assert_eq!(served.records.values().collect::<Vec<_>>(), [b"behind"]);
    assert!(served.records.keys().all(|identity| !sent.contains_key(identity)));
}

#[test]
fn a_segment_cut_before_its_stated_end_is_reported_and_the_rest_served() {
    let (files, sent) = two_segments();
    let bytes = &files[&segment(1)];
    let borders = frame_borders(bytes);
    for cut in SEGMENT_HEADER + 1..bytes.len() {
        let mut changed = files.clone();
        changed.get_mut(&segment(1)).expect("a file").truncate(cut);
        let served = serve(changed);
        let gone = borders.iter().filter(|(_, to)| *to > cut);
        let lost: Vec<_> = gone.flat_map(|(from, _)| records_at(&files, &sent, &segment(1), *from)).collect();
        assert_eq!(served.records, without(&sent, &lost), "cut at {cut}");
        assert!(served.damaged && !served.torn, "cut at {cut}");
    }
}

#[test]
fn lost_records_are_counted_where_the_next_frame_is_read() {
    let (files, sent) = two_segments();
    let borders = frame_borders(&files[&segment(1)]);
    let lost = records_at(&files, &sent, &segment(1), borders[1].0);
    let mut changed = files.clone();
    changed.get_mut(&segment(1)).expect("a file")[borders[1].0 + 50] ^= 1;
    let storage = LossyStorage::with_files(changed);
    let (writer, _) = open(&storage, small()).expect("opens");
    let mut reader = writer.reader("one").expect("a reader");
    let first = reader.next_frame().expect("readable").expect("a frame");
    assert_eq!(first.lost_before, 0);
    let second = reader.next_frame().expect("readable").expect("a frame");
    assert_eq!(second.lost_before, lost.len() as u64);
    assert_eq!(second.first_seq, first.first_seq + u64::from(first.count) + lost.len() as u64);
    let stats = writer.stats();
    assert_eq!((stats.damaged_ranges, stats.damaged_bytes), (1, (borders[1].1 - borders[1].0) as u64));
}

#[test]
fn a_missing_segment_is_reported_and_a_removed_oldest_one_is_normal() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let mut sent = Records::new();
    for n in 0..20 {
        send(&writer, &mut sent, 2, n);
    }
    drop(writer);
    let files = storage.files();
    assert!(files.contains_key(&segment(4)));
    let open_without = |number| {
        let mut files = files.clone();
        files.remove(&segment(number));
        open(&LossyStorage::with_files(files), small()).expect("opens")
    };
    let (writer, recovery) = open_without(2);
    assert_eq!(recovery.missing_segments, [2]);
    let mut reader = writer.replay();
    let mut lost = 0;
    while let Some(frame) = reader.next_frame().expect("readable") {
        lost += frame.lost_before;
    }
    assert!(lost > 0);
    let (_, recovery) = open_without(1);
    assert!(recovery.missing_segments.is_empty());
}

#[test]
fn a_segment_of_an_unknown_version_is_set_aside_and_kept() {
    let (mut files, sent) = two_segments();
    let header = files.get_mut(&segment(1)).expect("a file");
    header[0] = 2;
    let crc = crc32c::crc32c(&header[..60]);
    header[60..64].copy_from_slice(&crc.to_le_bytes());
    let storage = LossyStorage::with_files(files);
    let (writer, recovery) = open(&storage, small()).expect("opens");
    assert_eq!(recovery.set_aside, [1]);
    assert!(recovery.damaged.is_empty());
    let mut reader = writer.reader("one").expect("a reader");
    let seen = drain(&mut reader);
    assert!(!seen.is_empty() && seen.len() < sent.len());
    reader.commit(reader.position()).expect("committed");
    writer.retain().expect("retained");
    assert!(storage.files().contains_key(&segment(1)));
}

#[test]
fn an_unreadable_cursor_begins_again_and_holds_everything_back() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let mut sent = Records::new();
    for n in 0..10 {
        send(&writer, &mut sent, 2, n);
    }
    let mut reader = writer.reader("one").expect("a reader");
    drain(&mut reader);
    reader.commit(reader.position()).expect("committed");
    drop((reader, writer));
    let mut files = storage.files();
    let cursor = support::files_with(&files, ".cursor").remove(0);
    for bit in 0..files[&cursor].len() * 8 {
        let mut changed = files.clone();
        changed.get_mut(&cursor).expect("a file")[bit / 8] ^= 1 << (bit % 8);
        let (writer, recovery) = open(&LossyStorage::with_files(changed), small()).expect("opens");
        assert_eq!(recovery.cursors_lost, ["one"], "bit {bit}");
        assert_eq!(writer.retain().expect("retained").segments, 0, "bit {bit}");
        assert_eq!(drain(&mut writer.reader("one").expect("a reader")), sent, "bit {bit}");
    }
    files.get_mut(&cursor).expect("a file").push(0);
    let (_, recovery) = open(&LossyStorage::with_files(files), small()).expect("opens");
    assert_eq!(recovery.cursors_lost, ["one"], "a longer file is no cursor either");
}
