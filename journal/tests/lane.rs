//! A lane in normal life: appending, committing, following, cursors, retention, limits, the driving task.

#![allow(clippy::indexing_slicing, reason = "a test that fails should say where")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::storage::lossy::LossyStorage;
use journal::{
    AppendError, CommitError, Compression, Durability, Error, Health, Lane, Position, Settings, Writer,
    read_all, verify,
};
use support::{HandClock, Records, drain, eventually, open, open_dir, replay, small};

#[test]
fn what_was_answered_is_read_again_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (writer, recovery) = open_dir(dir.path(), Settings::default());
    assert!(recovery.clean);
    for (record, seq) in [(b"one".as_slice(), 0), (b"", 1), (b"three", 2)] {
        assert_eq!(writer.append(record).expect("taken").wait(), Ok(seq));
    }
    let id = writer.id();
    drop(writer);
    let (writer, recovery) = open_dir(dir.path(), Settings::default());
    assert!(recovery.clean);
    assert_eq!((recovery.segments, recovery.scanned_records), (1, 3));
    assert_ne!(writer.id(), id, "an opening is an incarnation");
    let mut reader = writer.reader("a").expect("a reader");
    let expected =
        Records::from([((id, 0), b"one".to_vec()), ((id, 1), Vec::new()), ((id, 2), b"three".to_vec())]);
    assert_eq!(drain(&mut reader), expected);
    assert_eq!(reader.position(), writer.committed());
    assert_eq!(reader.lag_bytes(), 0);
}

#[test]
fn a_second_opening_is_refused_and_says_who_holds_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let (writer, _) = open_dir(dir.path(), Settings::default());
    let refused = Lane::open(dir.path(), Settings::default(), HandClock::new().clock()).expect_err("locked");
    assert!(matches!(refused, Error::Locked { .. }));
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    drop(writer);
    drop(open_dir(dir.path(), Settings::default()));
}

#[test]
fn a_reader_holds_the_lock_so_that_its_cursor_stays_its_own() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    writer.append(b"one").expect("taken").wait().expect("stored");
    let mut reader = writer.reader("late").expect("a reader");
    drop(writer);
    assert!(matches!(open(&storage, small()), Err(Error::Locked { .. })));
    assert_eq!(drain(&mut reader).len(), 1);
    reader.commit(reader.position()).expect("a cursor moves after closing too");
    drop(reader);
    let (writer, _) = open(&storage, small()).expect("opens");
    assert_eq!(drain(&mut writer.reader("late").expect("a reader")).len(), 0);
}

#[test]
fn settings_out_of_their_limits_are_refused() {
    let storage = LossyStorage::new();
    let bad = [
        Settings { frame_bytes_max: 100, ..small() },
        Settings { frame_bytes_max: 17 << 20, queue_bytes_max: 20 << 20, ..small() },
        Settings { queue_bytes_max: 100, ..small() },
        Settings { queue_bytes_max: (16 << 20) + 1, ..small() },
        Settings { segment_bytes_max: 512, ..small() },
        Settings { disk_bytes_max: 600, ..small() },
        Settings { probe_interval: Duration::ZERO, ..small() },
        Settings { compression: Compression::Zstd { level: 22, payload_bytes_min: 0 }, ..small() },
    ];
    for settings in bad {
        assert!(matches!(open(&storage, settings.clone()), Err(Error::Setting { .. })), "{settings:?}");
    }
    Settings::default().check().expect("the defaults are within their limits");
}

#[test]
fn a_record_as_long_as_a_frame_is_taken_and_a_longer_one_refused() {
    let storage = LossyStorage::new();
    for compression in [Compression::Off, small().compression] {
        let settings = Settings { compression, ..small() };
        let longest = vec![b'x'; settings.record_bytes_max()];
        let (writer, _) = open(&storage, settings).expect("opens");
        assert_eq!(
            writer.append(&[longest.as_slice(), b"x"].concat()).map(|_| ()),
            Err(AppendError::TooLong)
        );
        let commits: Vec<_> = (0..3).map(|_| writer.append(&longest).expect("taken")).collect();
        for commit in commits {
            commit.wait().expect("stored");
        }
        assert!(replay(&writer).values().all(|record| *record == longest));
    }
}

#[test]
fn a_full_queue_refuses_until_the_batch_is_handed_over() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let record = [7; 100];
    let mut taken = Vec::new();
    let refused = loop {
        match writer.append(&record) {
            Ok(commit) => taken.push(commit),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AppendError::QueueFull);
    assert_eq!(taken.len(), 40, "101 bytes each; the 41st might take 105 and pass 4096");
    assert_eq!(writer.stats().refused_queue_full, 1);
    let count = taken.len() as u64;
    let seqs: Vec<_> = taken.into_iter().map(|commit| commit.wait().expect("stored")).collect();
    assert_eq!(seqs, (0..count).collect::<Vec<_>>());
    let stats = writer.stats();
    assert_eq!((stats.groups, stats.syncs), (1, 1), "one write and one sync for the whole batch");
    assert!(stats.frames > 1, "cut into frames");
    writer.append(&record).expect("taken again").wait().expect("stored");
}

#[test]
fn a_reader_sees_only_what_is_committed() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let mut reader = writer.reader("one").expect("a reader");
    let commit = writer.append(b"forming").expect("taken");
    assert_eq!(reader.next_frame().expect("readable"), None);
    assert!(!reader.wait(Duration::ZERO));
    commit.wait().expect("stored");
    assert!(reader.wait(Duration::ZERO));
    assert_eq!(drain(&mut reader).len(), 1);
}

#[test]
fn a_waiting_reader_is_woken_by_the_next_commit_and_by_closing() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let mut reader = writer.reader("one").expect("a reader");
    let follower = std::thread::spawn(move || {
        let mut seen = 0;
        while reader.wait(Duration::from_secs(30)) {
            seen += drain(&mut reader).len();
        }
        seen
    });
    for n in 0..50u8 {
        writer.append(&[n]).expect("taken").wait().expect("stored");
    }
    let begun = Instant::now();
    writer.close();
    assert_eq!(follower.join().expect("no panic"), 50);
    assert!(begun.elapsed() < Duration::from_secs(20), "closing woke it");
}

#[test]
fn cursors_stand_where_they_were_committed_and_are_their_readers_own() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    for n in 0..6u8 {
        writer.append(&[n]).expect("taken").wait().expect("stored");
    }
    let mut one = writer.reader("one").expect("a reader");
    assert!(matches!(writer.reader("one"), Err(Error::ReaderOpen { .. })));
    for bad in ["", "Upper", "a/b", "..", "a b", &"x".repeat(65)] {
        assert!(matches!(writer.reader(bad), Err(Error::CursorName { .. })), "{bad:?}");
    }
    let mut positions = vec![one.position()];
    while let Some(frame) = one.next_frame().expect("readable") {
        positions.push(frame.end());
    }
    assert!(positions.is_sorted());
    one.commit(positions[2]).expect("committed");
    let beyond = Position { segment: 99, ..positions[2] };
    assert!(matches!(one.commit(beyond), Err(Error::PositionBeyondEnd { segment: 99, .. })));
    drop(one);
    let mut again = writer.reader("one").expect("a reader");
    assert_eq!(drain(&mut again).into_values().collect::<Vec<_>>(), [[2], [3], [4], [5]]);
    again.seek(Position::START);
    assert_eq!(drain(&mut again).len(), 6);
    assert!(matches!(writer.remove_cursor("one"), Err(Error::ReaderOpen { .. })));
    drop(again);
    writer.remove_cursor("one").expect("removed");
    assert_eq!(drain(&mut writer.reader("one").expect("a reader")).len(), 6);
}

/// A lane with many closed segments, on a clock set by hand.
fn many_segments(settings: Settings) -> (LossyStorage, HandClock, Writer) {
    let (storage, clock) = (LossyStorage::new(), HandClock::new());
    let opened = Lane::open_on(Arc::new(storage.clone()), &support::dir(), settings, clock.clock());
    let writer = opened.expect("opens").0;
    for n in 0..40u8 {
        writer.append(&[n; 100]).expect("taken").wait().expect("stored");
    }
    assert!(writer.stats().segments >= 8);
    (storage, clock, writer)
}

#[test]
fn segments_go_when_they_are_behind_every_cursor_and_old() {
    let settings = Settings { retention_age: Duration::from_secs(100), ..small() };
    let (_storage, clock, writer) = many_segments(settings);
    let before = writer.stats();
    clock.advance(Duration::from_secs(1000));
    assert_eq!(writer.retain().expect("retained").segments, 0, "nobody has read it: nothing goes");
    let (mut one, mut two) =
        (writer.reader("one").expect("a reader"), writer.reader("two").expect("a reader"));
    drain(&mut one);
    one.commit(one.position()).expect("committed");
    assert_eq!(writer.retain().expect("retained").segments, 0, "two has not read it");
    drain(&mut two);
    assert_eq!(writer.retain().expect("retained").segments, 0, "two has not said so");
    two.commit(two.position()).expect("committed");
    let retained = writer.retain().expect("retained");
    assert_eq!(retained.segments, before.segments - 1, "all but the one being written");
    let after = writer.stats();
    assert_eq!((after.segments, after.segments_expired), (1, retained.segments));
    assert_eq!(after.disk_bytes, before.disk_bytes - retained.bytes);
    let commit = writer.append(b"young").expect("taken");
    commit.wait().expect("stored");
    assert_eq!(drain(&mut one).len(), 1);
}

#[test]
fn a_reader_that_went_back_behind_its_cursor_steps_over_what_is_removed_meanwhile() {
    let settings = Settings { retention_age: Duration::ZERO, ..small() };
    let (_storage, _clock, writer) = many_segments(settings);
    let mut one = writer.reader("one").expect("a reader");
    drain(&mut one);
    let end = one.position();
    one.seek(Position::START);
    let first = one.next_frame().expect("readable").expect("a frame");
    assert_eq!(first.first_seq, 0);
    one.commit(end).expect("committed");
    assert!(writer.retain().expect("retained").segments > 2);
    let (mut last, mut longest_step) = (0, 0);
    while let Some(frame) = one.next_frame().expect("readable") {
        assert_eq!(frame.lost_before, 0, "removed is not lost");
        longest_step = longest_step.max(frame.first_seq - last);
        last = frame.first_seq;
    }
    assert!(longest_step > 20, "most of it was removed: {longest_step}");
}

#[test]
fn young_segments_stay_although_everybody_has_read_them() {
    let settings = Settings { retention_age: Duration::from_secs(100), ..small() };
    let (_storage, clock, writer) = many_segments(settings);
    let mut one = writer.reader("one").expect("a reader");
    drain(&mut one);
    one.commit(one.position()).expect("committed");
    clock.advance(Duration::from_secs(99));
    assert_eq!(writer.retain().expect("retained").segments, 0);
    clock.advance(Duration::from_secs(1));
    assert!(writer.retain().expect("retained").segments > 0);
}

#[test]
fn a_segment_is_closed_at_its_age() {
    let (storage, clock) = (LossyStorage::new(), HandClock::new());
    let settings = Settings { segment_age_max: Duration::from_secs(10), ..small() };
    let opened = Lane::open_on(Arc::new(storage), &support::dir(), settings, clock.clock());
    let writer = opened.expect("opens").0;
    let store = || writer.append(b"x").expect("taken").wait().expect("stored");
    store();
    clock.advance(Duration::from_secs(10));
    store();
    assert_eq!(writer.stats().segments, 1);
    clock.advance(Duration::from_secs(1));
    store();
    assert_eq!(writer.stats().segments, 2);
    assert_eq!(replay(&writer).len(), 3);
}

#[test]
fn at_the_size_limit_read_segments_go_first_and_then_appends_are_refused() {
    let settings = Settings { disk_bytes_max: 4000, ..small() };
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, settings).expect("opens");
    let fill = || {
        let mut count = 0u64;
        loop {
            match writer.append(&[count as u8; 100]) {
                Ok(commit) => commit.wait().expect("stored"),
                Err(error) => break (count, error),
            };
            count += 1;
        }
    };
    let (unread, error) = fill();
    assert_eq!(error, AppendError::DiskFull);
    assert!(unread > 10);
    eventually("the lane says that it is full", || writer.health() == Health::Full);
    assert!(writer.stats().disk_bytes <= 4000);
    // Nothing was removed: nobody has read it.
    assert_eq!(replay(&writer).len() as u64, unread);
    let mut one = writer.reader("one").expect("a reader");
    assert_eq!(drain(&mut one).len() as u64, unread);
    one.commit(one.position()).expect("committed");
    eventually("the lane has made room", || support::is_open(&writer));
    assert!(writer.stats().segments_evicted > 0);
    let (more, error) = fill();
    assert!(more > 0);
    assert_eq!(error, AppendError::DiskFull);
    assert!(writer.stats().disk_bytes <= 4000);
    assert_eq!(drain(&mut one).len() as u64, more, "what was not read is not removed");
    let bytes: usize = storage.files().values().map(Vec::len).sum();
    assert!(bytes <= 4000 + 36, "segments and one cursor: {bytes}");
}

#[test]
fn a_lane_whose_only_segment_is_full_and_read_goes_on_too() {
    let settings = Settings { disk_bytes_max: 2000, segment_bytes_max: 2000, ..small() };
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, settings).expect("opens");
    let mut one = writer.reader("one").expect("a reader");
    for round in 0..3 {
        let mut stored = 0;
        while let Ok(commit) = writer.append(&[1; 100]) {
            commit.wait().expect("stored");
            stored += 1;
        }
        assert!(stored > 2, "round {round}");
        assert_eq!(drain(&mut one).len(), stored);
        one.commit(one.position()).expect("committed");
        eventually("the lane has made room", || support::is_open(&writer));
    }
}

#[test]
fn many_threads_append_and_every_record_has_its_own_number() {
    let dir = tempfile::tempdir().expect("a directory");
    let (writer, _) = open_dir(dir.path(), Settings { segment_bytes_max: 1 << 20, ..Settings::default() });
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let writer = writer.clone();
            std::thread::spawn(move || {
                let numbers = (0..200u64).map(|n| {
                    let record = [thread.to_le_bytes(), n.to_le_bytes()].concat();
                    (writer.append(&record).expect("taken").wait().expect("stored"), record)
                });
                numbers.collect::<Vec<_>>()
            })
        })
        .collect();
    let id = writer.id();
    let mut answered = Records::new();
    for thread in threads {
        for (seq, record) in thread.join().expect("no panic") {
            assert_eq!(answered.insert((id, seq), record), None, "a number is given once");
        }
    }
    assert_eq!(answered.keys().map(|(_, seq)| *seq).collect::<Vec<_>>(), (0..1600).collect::<Vec<_>>());
    assert_eq!(replay(&writer), answered);
    let stats = writer.stats();
    assert_eq!((stats.records, stats.groups), (1600, stats.syncs));
    assert!(stats.groups <= 1600);
    writer.close();
    let mut read = Records::new();
    let report = read_all(dir.path(), |id, seq, record| {
        read.insert((id, seq), record.to_vec());
    });
    assert_eq!(read, answered);
    let report = report.expect("readable");
    assert!(report.is_whole());
    assert_eq!((report.records, report.record_bytes), (1600, 1600 * 16));
    assert_eq!(report.journal_ids, [id]);
}

#[test]
fn verify_tells_damage_from_a_torn_tail_and_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = Settings { compression: Compression::Off, ..Settings::default() };
    let (writer, _) = open_dir(dir.path(), settings);
    for n in 0..4u8 {
        writer.append(&[n; 50]).expect("taken").wait().expect("stored");
    }
    // Beside the open lane: whole, no lock needed.
    let report = verify(dir.path()).expect("readable");
    assert!(report.is_whole());
    assert_eq!((report.records, report.torn_tail, report.segments), (4, None, 1));
    let path = dir.path().join("0000000000000001.segment");
    let bytes = std::fs::read(&path).expect("readable");
    let borders = support::frame_borders(&bytes);
    let check = |changed: &[u8]| {
        std::fs::write(&path, changed).expect("written");
        let report = verify(dir.path()).expect("readable");
        assert_eq!(std::fs::read(&path).expect("readable"), changed);
        report
    };
    let mut middle = bytes.clone();
    middle[borders[1].0 + 45] ^= 1;
    let report = check(&middle);
    assert_eq!(
        (report.records, report.damaged.len(), report.lost_records, report.torn_tail),
        (3, 1, 1, None)
    );
    assert!(!report.is_whole());
    let report = check(&bytes[..bytes.len() - 3]);
    assert_eq!((report.records, report.damaged.len()), (3, 0));
    assert_eq!(report.torn_tail.map(|tail| tail.from), Some(borders[3].0 as u64));
    assert!(report.is_whole());
    std::fs::write(&path, &bytes).expect("written");
}

#[test]
fn closing_commits_what_is_queued_and_ends_the_driving_task() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let driving = writer.drive();
    let commits: Vec<_> = (0..5u8).map(|n| writer.append(&[n]).expect("taken")).collect();
    writer.close();
    runtime.block_on(driving);
    for commit in commits {
        assert!(runtime.block_on(commit).is_ok());
    }
    assert_eq!(writer.append(b"late").map(|_| ()), Err(AppendError::Closed));
    assert_eq!(writer.health(), Health::Closed);
}

#[test]
fn without_a_driving_task_a_polled_commit_still_ends() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    assert_eq!(runtime.block_on(writer.append(b"one").expect("taken")), Ok(0));
    // A driving task that goes away hands over what it would have driven.
    let driving = writer.drive();
    let commit = writer.append(b"two").expect("taken");
    drop(driving);
    assert_eq!(runtime.block_on(commit), Ok(1));
}

/// Runs tasks that append and wait, in rounds, and fails if the whole does not end.
fn drive_rounds(writer: &Writer, tasks: u64, rounds: u64) -> BTreeSet<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let refused = Arc::new(AtomicU64::new(0));
    runtime.block_on(async {
        let driver = tokio::spawn(writer.drive());
        let mut running = tokio::task::JoinSet::new();
        for task in 0..tasks {
            let (writer, refused) = (writer.clone(), refused.clone());
            running.spawn(async move {
                let mut seqs = Vec::new();
                for round in 0..rounds {
                    match writer.append(&(task * rounds + round).to_le_bytes()) {
                        Ok(commit) if (task + round) % 7 == 3 => {
                            // Given up, as a click's answer does: the record is stored all the same.
                            let _ = tokio::time::timeout(Duration::ZERO, commit).await;
                        }
                        Ok(commit) => seqs.push(commit.await.expect("stored")),
                        Err(_) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    for _ in 0..(task + round) % 3 {
                        tokio::task::yield_now().await;
                    }
                }
                seqs
            });
        }
        let all = async {
            let mut all = BTreeSet::new();
            while let Some(seqs) = running.join_next().await {
                for seq in seqs.expect("no panic") {
                    assert!(all.insert(seq), "a number is given once");
                }
            }
            all
        };
        let all = tokio::time::timeout(Duration::from_mins(1), all).await.expect("no wake-up is lost");
        assert_eq!(refused.load(Ordering::Relaxed), 0);
        driver.abort();
        all
    })
}

#[test]
fn driven_tasks_are_all_woken_and_share_groups() {
    let storage = LossyStorage::new();
    let settings =
        Settings { queue_bytes_max: 1 << 20, segment_bytes_max: 1 << 16, disk_bytes_max: 1 << 30, ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    for (tasks, rounds) in [(1, 500 * support::soak()), (2, 500), (64, 100), (200, 20)] {
        let before = writer.stats();
        let seqs = drive_rounds(&writer, tasks, rounds);
        assert!(seqs.len() as u64 > tasks * rounds / 2);
        // Those given up may still be on their way.
        eventually("all are stored", || writer.stats().records == before.records + tasks * rounds);
        let groups = writer.stats().groups - before.groups;
        assert!(groups <= tasks * rounds, "{tasks} tasks: {groups} groups");
        if tasks >= 64 {
            assert!(
                groups < tasks * rounds / 4,
                "{tasks} tasks share groups: {groups} of {} records",
                tasks * rounds
            );
        }
    }
    let seqs: Vec<_> = replay(&writer).into_keys().map(|(_, seq)| seq).collect();
    assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn driven_tasks_are_woken_with_an_error_when_the_disk_fails() {
    let storage = LossyStorage::new();
    let (writer, _) = open(&storage, small()).expect("opens");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let driver = tokio::spawn(writer.drive());
        storage.fail_at(storage.operations() + 1, std::io::ErrorKind::Other);
        let commits: Vec<_> = (0..20u8).map(|n| writer.append(&[n]).expect("taken")).collect();
        let mut running = tokio::task::JoinSet::new();
        for commit in commits {
            running.spawn(commit);
        }
        let all =
            tokio::time::timeout(Duration::from_mins(1), running.join_all()).await.expect("all are woken");
        assert!(all.iter().all(|result| *result == Err(CommitError::Storage(std::io::ErrorKind::Other))));
        driver.abort();
    });
}

#[test]
fn under_os_durability_no_group_is_synced() {
    let storage = LossyStorage::new();
    let settings = Settings { durability: Durability::Os, segment_bytes_max: 1 << 16, ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    let before = storage.operations();
    for n in 0..5u8 {
        writer.append(&[n]).expect("taken").wait().expect("stored");
    }
    assert_eq!(storage.operations(), before + 5, "one write each and nothing else");
    assert_eq!(writer.stats().syncs, 0);
}

#[test]
fn a_record_meant_for_one_incarnation_is_not_taken_in_another() {
    let storage = LossyStorage::new();
    let settings = Settings { probe_interval: Duration::from_millis(1), ..small() };
    let (writer, _) = open(&storage, settings).expect("opens");
    let first = writer.id();
    let one = writer.append_in(first, b"one").expect("taken");
    let two = writer.append(b"two").expect("taken");
    assert!(one.is_with(&two));
    let again = one.clone();
    assert_eq!((one.wait(), again.wait()), (Ok(0), Ok(0)));
    storage.fail_at(storage.operations(), std::io::ErrorKind::Other);
    let lost = writer.append(b"lost").expect("taken");
    assert!(!lost.is_with(&two));
    lost.wait().expect_err("the disk failed");
    eventually("the lane is open again", || support::is_open(&writer));
    assert_eq!(writer.append_in(first, b"late").map(|_| ()), Err(AppendError::Failed));
    writer.append_in(writer.id(), b"new").expect("taken").wait().expect("stored");
}
