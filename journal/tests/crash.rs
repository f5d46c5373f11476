//! Loss of power and failing disks: whatever was answered under `Fsync` is there afterwards, whatever is there was sent, and nobody
//! but the clock is needed to go on.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

mod support;

use std::io;
use std::sync::Arc;

use journal::storage::lossy::{Dice, Loss, LossyStorage, Operation};
use journal::{AppendError, CommitError, Compression, Durability, Health, Lane, Settings, Writer};
use support::{
    FRAME_HEADER, HandClock, Records, SEGMENT_HEADER, drain, eventually, frame_borders, is_open, open,
    replay, segment, small,
};

/// What the outside of a lane knows.
#[derive(Default)]
struct Outside {
    /// Sent, whether answered or not.
    sent: Records,
    /// Answered as stored.
    answered: Records,
    /// Taken over by the consumer, before it moved its cursor.
    consumed: Records,
}

impl Outside {
    /// Sends a group and waits for it; false if any of it failed.
    fn send(&mut self, writer: &Writer, group: &[Vec<u8>]) -> bool {
        let id = writer.id();
        let commits: Vec<_> = group.iter().map(|record| (record, writer.append(record))).collect();
        let mut all = true;
        for (record, commit) in commits {
            let Ok(commit) = commit else {
                all = false;
                continue;
            };
            let seq = commit.seq();
            self.sent.insert((id, seq), record.clone());
            match commit.wait() {
                Ok(answered) => {
                    assert_eq!(answered, seq);
                    self.answered.insert((id, seq), record.clone());
                }
                Err(_) => all = false,
            }
        }
        all
    }

    /// Takes over what is new and moves the cursor; errors are the disk's.
    fn consume(&mut self, writer: &Writer, frames: usize) -> Result<(), String> {
        let mut reader = writer.reader("consumer").map_err(|error| error.to_string())?;
        for _ in 0..frames {
            let Some(frame) = reader.next_frame().map_err(|error| error.to_string())? else { break };
            for (seq, record) in frame.records() {
                self.consumed.insert((frame.journal_id, seq), record.to_vec());
            }
            reader.commit(frame.end()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Holds what a disk has against what was answered.
    fn check(&self, storage: &LossyStorage, context: &str) {
        let (writer, recovery) = open(storage, small()).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!((&recovery.damaged, &recovery.missing_segments), (&vec![], &vec![]), "{context}");
        let mut everything = writer.replay();
        let mut records = Records::new();
        while let Some(frame) = everything.next_frame().expect("readable") {
            assert_eq!(frame.lost_before, 0, "{context}: no gap");
            records.extend(frame.records().map(|(seq, record)| ((frame.journal_id, seq), record.to_vec())));
        }
        for (identity, record) in &records {
            assert_eq!(self.sent.get(identity), Some(record), "{context}: what is read was sent");
        }
        let mut reader = writer.reader("consumer").expect("a reader");
        let rest = drain(&mut reader);
        for (identity, record) in &self.answered {
            let there = rest.get(identity).or_else(|| self.consumed.get(identity));
            assert_eq!(there, Some(record), "{context}: what was answered is there or consumed");
        }
        assert_eq!(writer.stats().damaged_ranges, 0, "{context}");
    }
}

fn group(from: u64, count: u64) -> Vec<Vec<u8>> {
    (from..from + count).map(|n| format!("record {n} ").repeat(1 + n as usize % 4).into_bytes()).collect()
}

/// A short life of a lane with everything in it: groups, rotation, cursor, retention, a clean close, a new opening.
fn life(storage: &LossyStorage, settings: &Settings, outside: &mut Outside) {
    for round in 0..3 {
        let Ok((writer, _)) = open(storage, settings.clone()) else { return };
        for step in 0..4 {
            if !outside.send(&writer, &group(round * 100 + step * 10, 1 + (round + step) % 5)) {
                return;
            }
            if outside.consume(&writer, 2).is_err() {
                return;
            }
        }
        if round == 1 {
            // Everything consumed may go, whatever its age.
            let _ = writer.retain();
        }
    }
}

fn short_lived() -> Settings {
    Settings { retention_age: std::time::Duration::ZERO, ..small() }
}

#[test]
fn what_was_answered_survives_a_loss_of_power_after_every_operation() {
    let whole = LossyStorage::new();
    life(&whole, &short_lived(), &mut Outside::default());
    let operations = whole.operations();
    assert!(operations > 100, "the life is long enough: {operations}");
    for after in 0..=operations {
        for loss in
            [Loss::Nothing, Loss::Everything, Loss::Some(after as u64), Loss::Some(after as u64 + 1_000_000)]
        {
            let storage = LossyStorage::new();
            storage.power_off_after(after);
            let mut outside = Outside::default();
            life(&storage, &short_lived(), &mut outside);
            let context = format!("power off after {after} of {operations}, {loss:?}");
            outside.check(&storage.crash(loss), &context);
        }
    }
}

#[test]
fn a_second_loss_of_power_during_recovery_loses_nothing_either() {
    let whole = LossyStorage::new();
    life(&whole, &short_lived(), &mut Outside::default());
    for after in (0..=whole.operations()).step_by(7) {
        for second in 0..6 {
            let storage = LossyStorage::new();
            storage.power_off_after(after);
            let mut outside = Outside::default();
            life(&storage, &short_lived(), &mut outside);
            let found = storage.crash(Loss::Some(after as u64));
            found.power_off_after(second);
            drop(open(&found, small()));
            let context = format!("power off after {after}, again after {second} of the recovery");
            outside.check(&found.crash(Loss::Some(second as u64)), &context);
        }
    }
}

#[test]
fn under_os_durability_the_end_of_the_process_loses_nothing_and_a_loss_of_power_invents_nothing() {
    let settings = Settings { durability: Durability::Os, ..short_lived() };
    let whole = LossyStorage::new();
    life(&whole, &settings, &mut Outside::default());
    for after in 0..=whole.operations() {
        let storage = LossyStorage::new();
        storage.power_off_after(after);
        let mut outside = Outside::default();
        life(&storage, &settings, &mut outside);
        outside.check(&storage.crash(Loss::Nothing), &format!("killed after {after}"));
        let (writer, _) = open(&storage.crash(Loss::Some(after as u64)), small()).expect("opens");
        for (identity, record) in replay(&writer) {
            assert_eq!(outside.sent.get(&identity), Some(&record), "what is read was sent");
        }
    }
}

#[test]
fn every_operation_may_fail_once_and_nothing_answered_is_lost() {
    let whole = LossyStorage::new();
    life(&whole, &short_lived(), &mut Outside::default());
    for failing in 0..whole.operations() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
            let storage = LossyStorage::new();
            storage.fail_at(failing, kind);
            let mut outside = Outside::default();
            life(&storage, &short_lived(), &mut outside);
            let context = format!("operation {failing} fails with {kind:?}");
            let log = storage.log();
            assert_eq!(touched_after_failure(&log, failing), None, "{context}: {log:?}");
            outside.check(&storage.crash(Loss::Some(failing as u64)), &context);
        }
    }
}

/// A write to, or a sync of, a segment after a write or sync of it has failed.
fn touched_after_failure(log: &[Operation], failing: usize) -> Option<&Operation> {
    let (Operation::Write(path) | Operation::Sync(path)) = &log[failing] else { return None };
    if !path.to_string_lossy().ends_with(".segment") {
        return None;
    }
    // A recovery may cut and sync it; a new file of this name is another one.
    let until_reopened = log[failing + 1..].iter().take_while(
        |operation| !matches!(operation, Operation::Truncate(cut) | Operation::Create(cut) if cut == path),
    );
    until_reopened
        .into_iter()
        .find(|operation| matches!(operation, Operation::Write(p) | Operation::Sync(p) if p == path))
}

#[test]
fn a_cut_at_every_byte_leaves_the_frames_before_it() {
    let storage = LossyStorage::new();
    let mut outside = Outside::default();
    let settings = Settings { segment_bytes_max: 1 << 16, compression: Compression::Off, ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    for step in 0..5 {
        assert!(outside.send(&writer, &group(step * 10, 1 + step % 3)));
    }
    // Looked at while the lane is open: no mark of a clean close.
    let files = storage.files();
    let bytes = &files[&segment(1)];
    let borders = frame_borders(bytes);
    assert_eq!(borders.len(), 5);
    for cut in 0..=bytes.len() {
        let mut files = files.clone();
        files.insert(segment(1), bytes[..cut].to_vec());
        let found = LossyStorage::with_files(files);
        let (writer, recovery) = open(&found, small()).expect("opens");
        let whole = borders.iter().filter(|(_, end)| *end <= cut).count();
        let border =
            borders.iter().map(|(_, end)| *end).filter(|end| *end <= cut).max().unwrap_or(SEGMENT_HEADER);
        let torn = (cut > border && cut > SEGMENT_HEADER).then_some((border as u64, cut as u64));
        assert_eq!(recovery.torn_tail.map(|tail| (tail.from, tail.to)), torn, "cut at {cut}");
        assert!(recovery.damaged.is_empty(), "cut at {cut}");
        let expected: u64 = (0..whole as u64).map(|step| 1 + step % 3).sum();
        let records = replay(&writer);
        assert_eq!(records.len() as u64, expected, "cut at {cut}");
        assert!(
            records.iter().all(|(identity, record)| outside.sent.get(identity) == Some(record)),
            "cut at {cut}"
        );
        let commit = writer.append(b"goes on").expect("taken");
        assert_eq!(commit.wait(), Ok(0));
        assert_eq!(replay(&writer).len() as u64, expected + 1, "cut at {cut}");
    }
}

#[test]
fn a_cursor_beyond_a_cut_goes_on_with_the_next_segment() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, Settings { durability: Durability::Os, ..small() }).expect("opens");
    let mut outside = Outside::default();
    assert!(outside.send(&writer, &group(0, 3)));
    assert!(outside.send(&writer, &group(10, 3)));
    outside.consume(&writer, 2).expect("consumed");
    let found = storage.crash(Loss::Everything);
    drop(writer);
    let (writer, recovery) = open(&found, small()).expect("opens");
    assert_eq!(recovery.scanned_records, 0);
    assert!(outside.send(&writer, &group(20, 2)));
    let mut reader = writer.reader("consumer").expect("a reader");
    let seen = drain(&mut reader);
    assert_eq!(seen.values().collect::<Vec<_>>(), group(20, 2).iter().collect::<Vec<_>>());
}

#[test]
fn after_a_failed_sync_the_lane_refuses_and_then_goes_on_by_itself_under_a_new_id() {
    let storage = LossyStorage::new();
    let settings = Settings { probe_interval: std::time::Duration::from_millis(1), ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    let mut outside = Outside::default();
    assert!(outside.send(&writer, &group(0, 3)));
    let before = writer.id();
    // The next group: its write, then its sync. Probes: the first creates, writes, and fails to sync its header.
    let next = storage.operations();
    storage.fail_at(next + 1, io::ErrorKind::Other);
    storage.fail_at(next + 4, io::ErrorKind::Other);
    let first = writer.append(b"lost").expect("taken");
    assert_eq!(first.wait(), Err(CommitError::Storage(io::ErrorKind::Other)));
    eventually("the lane is open again", || is_open(&writer));
    assert_ne!(writer.id(), before);
    assert_eq!(writer.stats().failures, 1);
    assert_eq!(writer.stats().probes_failed, 1);
    assert!(outside.send(&writer, &group(10, 2)));
    // The frame whose sync failed was never answered and is not served, although its bytes are there.
    assert_eq!(replay(&writer), outside.answered);
    drop(writer);
    let log = storage.log();
    assert_eq!(touched_after_failure(&log, next + 1), None, "{log:?}");
    let (writer, recovery) = open(&storage, small()).expect("opens");
    assert!(recovery.damaged.is_empty());
    assert_eq!(replay(&writer), outside.answered);
}

#[test]
fn while_failed_appends_are_refused_and_the_forming_batch_is_told() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    storage.fail_at(storage.operations(), io::ErrorKind::Other);
    let one = writer.append(b"one").expect("taken");
    assert_eq!(one.wait(), Err(CommitError::Storage(io::ErrorKind::Other)));
    assert_eq!(writer.append(b"two").map(|_| ()), Err(AppendError::Failed));
    assert_eq!(writer.health(), Health::Failed(io::ErrorKind::Other));
    assert_eq!(writer.stats().refused_failed, 1);
    writer.close();
    assert_eq!(writer.append(b"three").map(|_| ()), Err(AppendError::Closed));
}

#[test]
fn a_full_disk_refuses_and_recovers_once_there_is_space() {
    let storage = LossyStorage::new();
    let settings = Settings { probe_interval: std::time::Duration::from_millis(1), ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    let mut outside = Outside::default();
    assert!(outside.send(&writer, &group(0, 3)));
    let used: usize = storage.files().values().map(Vec::len).sum();
    storage.set_capacity(Some(used as u64 + FRAME_HEADER as u64));
    assert!(!outside.send(&writer, &group(10, 2)));
    assert_eq!(writer.health(), Health::Failed(io::ErrorKind::StorageFull));
    eventually("a probe found no space", || writer.stats().probes_failed > 2);
    assert_eq!(writer.append(b"refused").map(|_| ()), Err(AppendError::Failed));
    storage.set_capacity(None);
    eventually("the lane is open again", || is_open(&writer));
    assert!(outside.send(&writer, &group(20, 4)));
    assert_eq!(replay(&writer), outside.answered);
}

#[test]
fn a_full_disk_gives_up_what_every_cursor_has_passed() {
    let storage = LossyStorage::new();
    let settings = Settings { probe_interval: std::time::Duration::from_millis(1), ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    let mut outside = Outside::default();
    for step in 0..100 {
        assert!(outside.send(&writer, &group(step * 10, 4)));
    }
    outside.consume(&writer, usize::MAX).expect("consumed");
    assert!(writer.stats().segments > 8, "enough to free");
    let used: usize = storage.files().values().map(Vec::len).sum();
    storage.set_capacity(Some(used as u64 + 10));
    assert!(!outside.send(&writer, &group(1000, 2)));
    eventually("the lane made itself room", || is_open(&writer));
    assert!(writer.stats().segments_evicted > 0);
    assert!(outside.send(&writer, &group(2000, 2)));
    drop(writer);
    outside.check(&storage.crash(Loss::Everything), "after making room");
}

#[test]
fn the_order_of_operations_is_the_promised_one() {
    let (storage, clock) = (LossyStorage::new(), HandClock::new());
    let opened = Lane::open_on(Arc::new(storage.clone()), &support::dir(), small(), clock.clock());
    let writer = opened.expect("opens").0;
    let mut outside = Outside::default();
    for step in 0..8 {
        assert!(outside.send(&writer, &group(step * 10, 5)));
    }
    outside.consume(&writer, usize::MAX).expect("consumed");
    clock.advance(small().retention_age);
    let before_removal = storage.operations();
    assert!(writer.retain().expect("retained").segments > 1);
    let log = storage.log();
    let is_segment = |path: &std::path::Path| path.to_string_lossy().ends_with(".segment");
    let sync_dir = Operation::SyncDir(support::dir());
    let (mut created, mut renamed, mut removed) = (0, 0, 0);
    for (at, operation) in log.iter().enumerate() {
        match operation {
            // A new segment: created, header written, file synced, directory synced, and only then written to.
            Operation::Create(path) if is_segment(path) => {
                let expected =
                    [Operation::Write(path.clone()), Operation::Sync(path.clone()), sync_dir.clone()];
                assert_eq!(log[at + 1..at + 4], expected);
                created += 1;
            }
            // A cursor: written, synced, renamed, directory synced.
            Operation::Rename(from, _) => {
                assert_eq!((&log[at - 1], &log[at + 1]), (&Operation::Sync(from.clone()), &sync_dir));
                renamed += 1;
            }
            // Segments go after the cursor is durable, one by one, so that no hole is left.
            Operation::Remove(path) if is_segment(path) => {
                assert!(at >= before_removal);
                assert_eq!(log[at + 1], sync_dir);
                removed += 1;
            }
            // Frames: one write, one sync.
            Operation::Write(path) if is_segment(path) => {
                assert_eq!(log[at + 1], Operation::Sync(path.clone()));
            }
            _ => {}
        }
    }
    assert!(created > 2 && renamed > 2 && removed > 1, "{created} {renamed} {removed}");
}

#[test]
fn a_new_id_is_drawn_at_every_opening_so_that_a_restored_copy_reuses_no_identity() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let mut outside = Outside::default();
    assert!(outside.send(&writer, &group(0, 3)));
    let snapshot = storage.files();
    assert!(outside.send(&writer, &group(10, 3)));
    drop(writer);
    let restored = LossyStorage::with_files(snapshot);
    let (writer, _) = open(&restored, small()).expect("opens");
    let mut after = Outside::default();
    assert!(after.send(&writer, &group(20, 3)));
    assert!(after.answered.keys().all(|identity| !outside.answered.contains_key(identity)));
    let all = replay(&writer);
    assert!(after.answered.keys().all(|identity| all.contains_key(identity)));
    assert_eq!(all.len(), 6);
}

#[test]
fn dice_are_the_same_for_the_same_seed() {
    let roll = |seed| (0..8).map(|_| Dice::new(seed).below(1000)).collect::<Vec<_>>();
    assert_eq!(roll(7), roll(7));
    assert_ne!(Dice::new(1).below(1 << 40), Dice::new(2).below(1 << 40));
}
