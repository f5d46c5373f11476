//! The audit log from outside: what is entered is there, and what is changed shows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use audit::{Entry, Error, Head, Key, Line, Log, Parts, Problem, Report, Settings, kept_head, verify};
use event::clock::Clock;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

const NOW_MS: i64 = 1_795_348_800_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn key() -> Key {
    Key::from_text("sightline_audit_00112233445566778899aabbccddeeff").expect("a key")
}

struct Folder {
    dir: TempDir,
    clock: Clock,
    settings: Settings,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        Self { dir, clock: Clock::manual(NOW_MS), settings: Settings::default() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    fn kept_head(&self) -> PathBuf {
        self.dir.path().join("audit.head")
    }

    fn try_open(&self) -> Result<Log, Error> {
        Log::open(Parts {
            dir: self.path(),
            key: key(),
            head_file: Some(self.kept_head()),
            settings: self.settings.clone(),
            clock: self.clock.clone(),
        })
    }

    fn open(&self) -> Log {
        self.try_open().expect("opened")
    }

    fn verify(&self, noted: &[Head]) -> (Report, Vec<Line>) {
        verified(&self.path(), noted)
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path().join(format!("audit-{number:06}.jsonl"))
    }
}

fn verified(dir: &Path, noted: &[Head]) -> (Report, Vec<Line>) {
    let mut lines = Vec::new();
    let report = verify(dir, &key(), noted, |line| lines.push(line.clone())).expect("read");
    (report, lines)
}

fn read_report(n: usize) -> Entry {
    Entry::new("operator", "report.read", format!("campaign c{n}"), json!({"kind": "reach", "status": 200}))
}

/// The bytes of a log of `count` entries, and its head.
fn written(count: usize) -> (Vec<u8>, Head) {
    let folder = Folder::new();
    let log = folder.open();
    for n in 0..count {
        log.append(&read_report(n)).expect("entered");
    }
    log.close();
    (fs::read(folder.file(1)).expect("read"), log.head())
}

/// Whether a log of these bytes is whole, held against a noted head.
fn is_whole(bytes: &[u8], noted: &[Head]) -> bool {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("audit-000001.jsonl"), bytes).expect("written");
    verified(dir.path(), noted).0.broken.is_none()
}

/// The head that a line is.
fn head_of(line: &[u8]) -> Head {
    serde_json::from_slice::<Line>(line).expect("a line").head().expect("a head")
}

fn lines_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn entries_are_read_back_as_they_were_made_and_over_reopening() {
    let folder = Folder::new();
    let log = folder.open();
    assert_eq!(log.append(&read_report(1)).expect("entered"), 1);
    log.close();
    assert!(matches!(log.append(&read_report(2)), Err(Error::Closed)));
    let log = folder.open();
    assert_eq!(log.append(&read_report(2)).expect("entered"), 2);
    let (report, lines) = folder.verify(&[log.head()]);
    assert_eq!((report.broken, report.entries, report.head), (None, 2, Some(log.head())));
    let [first, second] = &lines[..] else { panic!("two lines, not {lines:?}") };
    assert_eq!(
        (first.actor.as_str(), first.act.as_str(), first.object.as_str()),
        ("operator", "report.read", "campaign c1")
    );
    assert_eq!(first.time, "2026-11-22T12:00:00.000Z");
    assert_eq!(first.details["status"], 200);
    assert_eq!(second.previous, first.mac);
}

#[test]
fn every_flipped_byte_is_noticed() {
    let (bytes, _) = written(3);
    assert!(is_whole(&bytes, &[]));
    for at in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            assert!(!is_whole(&changed, &[]), "byte {at} of {} changed by {flip:#x}", bytes.len());
        }
    }
}

#[test]
fn every_cut_is_noticed_within_a_line_and_with_a_noted_head_between_lines() {
    let (bytes, head) = written(3);
    for end in 0..bytes.len() {
        let cut = &bytes[..end];
        let is_between = cut.is_empty() || cut.ends_with(b"\n");
        assert_eq!(is_whole(cut, &[]), is_between, "cut at {end}");
        assert!(!is_whole(cut, &[head]), "cut at {end}, beside a noted head");
    }
    assert!(is_whole(&bytes, &[head]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_other_order_or_choice_of_lines_is_noticed(picks in prop::collection::vec(0_usize..6, 0..9)) {
        let (bytes, head) = written(6);
        let lines = lines_of(&bytes);
        let chosen: Vec<u8> = picks.iter().flat_map(|pick| lines[*pick].clone()).collect();
        let is_same = chosen == bytes;
        prop_assert_eq!(is_whole(&chosen, &[head]), is_same);
        // Without a noted head a beginning of the log is all that may look whole.
        let is_beginning = bytes.starts_with(&chosen);
        prop_assert_eq!(is_whole(&chosen, &[]), is_beginning);
    }

    #[test]
    fn any_bytes_put_in_place_of_others_are_noticed(
        from in 0_usize..900, length in 0_usize..200, with in prop::collection::vec(any::<u8>(), 0..200)
    ) {
        let (bytes, head) = written(3);
        let from = from.min(bytes.len());
        let to = (from + length).min(bytes.len());
        let mut changed = bytes.clone();
        changed.splice(from..to, with);
        prop_assert_eq!(is_whole(&changed, &[head]), changed == bytes);
    }
}

#[test]
fn a_log_that_was_written_anew_does_not_hold_a_noted_head() {
    let (_, head) = written(3);
    let folder = Folder::new();
    let log = folder.open();
    for n in [7, 8, 9, 10] {
        log.append(&read_report(n)).expect("entered");
    }
    assert_eq!(folder.verify(&[]).0.broken, None);
    let broken = folder.verify(&[head]).0.broken.expect("another history");
    assert_eq!(broken.problem, Problem::Head { seq: 3 });
    let (bytes, _) = written(5);
    let cut: Vec<u8> = lines_of(&bytes)[..2].concat();
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("audit-000001.jsonl"), cut).expect("written");
    let broken = verified(dir.path(), &[head_of(&lines_of(&bytes)[4])]).0.broken.expect("cut");
    assert_eq!(broken.problem, Problem::CutOff { seq: 5, last: 2 });
    assert!(broken.problem.to_string().contains("entries 3 to 5 are missing"), "{}", broken.problem);
}

#[test]
fn what_a_crash_leaves_of_a_line_is_set_aside_and_entered() {
    let (bytes, _) = written(3);
    let two = head_of(&lines_of(&bytes)[1]);
    let acknowledged: usize = lines_of(&bytes)[..2].iter().map(Vec::len).sum();
    for end in acknowledged..bytes.len() {
        let folder = Folder::new();
        fs::create_dir_all(folder.path()).expect("made");
        fs::write(folder.file(1), &bytes[..end]).expect("written");
        fs::write(folder.kept_head(), two.to_string()).expect("written");
        let log = folder.open();
        log.append(&read_report(9)).expect("entered");
        let (report, lines) = folder.verify(&[]);
        assert_eq!((report.broken, report.damage_found), (None, Vec::new()), "cut at {end}");
        let is_torn = end > acknowledged;
        assert_eq!(report.tails_set_aside, u64::from(is_torn), "cut at {end}");
        assert_eq!(lines.len(), 3 + usize::from(is_torn));
        if is_torn {
            let aside = fs::read(folder.path().join(&lines[2].object)).expect("set aside");
            assert_eq!(aside, bytes[acknowledged..end], "cut at {end}");
            assert_eq!(lines[2].details["bytes"], aside.len());
        }
    }
}

#[test]
fn damage_in_the_middle_is_told_at_the_next_start_and_stays_provable() {
    let folder = Folder::new();
    let log = folder.open();
    for n in 0..3 {
        log.append(&read_report(n)).expect("entered");
    }
    log.close();
    let mut bytes = fs::read(folder.file(1)).expect("read");
    bytes[20] ^= 1;
    fs::write(folder.file(1), &bytes).expect("written");
    let log = folder.open();
    log.append(&read_report(4)).expect("entered");
    let broken = folder.verify(&[]).0.broken.expect("the first line was changed");
    assert_eq!((broken.line, broken.problem), (1, Problem::Mac));
    let after = String::from_utf8(fs::read(folder.file(1)).expect("read")).expect("text");
    assert_eq!(after.matches("audit.damage_found").count(), 1, "{after}");
    assert!(after.as_bytes().starts_with(&bytes), "what was there is left as it is");
}

#[test]
fn entries_cut_off_the_end_while_the_process_was_down_are_told_for_good() {
    let folder = Folder::new();
    let log = folder.open();
    for n in 0..3 {
        log.append(&read_report(n)).expect("entered");
    }
    log.close();
    let bytes = fs::read(folder.file(1)).expect("read");
    let two: Vec<u8> = lines_of(&bytes)[..2].concat();
    fs::write(folder.file(1), two).expect("written");
    let kept = kept_head(&folder.kept_head()).expect("read").expect("kept at the end");
    assert_eq!(
        folder.verify(&[kept]).0.broken.expect("noticed").problem,
        Problem::CutOff { seq: 3, last: 2 },
        "before anything is written behind the cut"
    );
    folder.open().close();
    // The head that is kept is another now; what was found stands in the log itself.
    folder.open().close();
    let kept = kept_head(&folder.kept_head()).expect("read").expect("kept");
    let (report, lines) = folder.verify(&[kept]);
    assert_eq!((report.broken, lines.len()), (None, 3), "{lines:?}");
    let [damage] = &report.damage_found[..] else { panic!("once: {:?}", report.damage_found) };
    assert_eq!(damage.seq, 3);
    assert!(damage.what.contains("entries 3 to 3 are missing"), "{}", damage.what);
}

#[test]
fn a_head_that_is_gone_or_spoilt_is_told() {
    for spoil in [|path: &Path| fs::remove_file(path), |path: &Path| fs::write(path, "3:00")] {
        let folder = Folder::new();
        let log = folder.open();
        log.append(&read_report(1)).expect("entered");
        log.close();
        spoil(&folder.kept_head()).expect("spoilt");
        folder.open().close();
        let damage = folder.verify(&[]).0.damage_found;
        assert!(damage.len() == 1 && damage[0].what.contains("is gone"), "{damage:?}");
    }
}

#[test]
fn a_whole_line_at_the_end_that_is_not_right_is_damage_and_a_line_without_an_end_is_not() {
    let (bytes, _) = written(3);
    let lines = lines_of(&bytes);
    let (two, third) = (lines[..2].concat(), &lines[2]);
    let mut changed = third.clone();
    changed[10] ^= 1;
    for (end, is_damage) in [
        (changed.clone(), true),
        (b"hello\n".to_vec(), true),
        ([&changed[..], b"and half"].concat(), true),
        (third[..third.len() - 1].to_vec(), false),
    ] {
        let folder = Folder::new();
        fs::create_dir_all(folder.path()).expect("made");
        fs::write(folder.file(1), [&two[..], &end].concat()).expect("written");
        fs::write(folder.kept_head(), head_of(&lines[1]).to_string()).expect("written");
        folder.open().close();
        let (report, lines) = folder.verify(&[]);
        assert_eq!((report.broken, report.entries), (None, 3), "the chain goes on");
        assert_eq!(report.damage_found.len(), usize::from(is_damage), "{:?}", report.damage_found);
        assert_eq!(report.tails_set_aside, u64::from(!is_damage));
        let name =
            if is_damage { lines[2].details["set_aside"].as_str() } else { Some(lines[2].object.as_str()) };
        let aside = fs::read(folder.path().join(name.expect("a name"))).expect("set aside");
        assert_eq!(aside, end, "nothing of it is lost");
    }
}

#[test]
fn the_head_is_kept_each_minute_and_at_the_end() {
    let folder = Folder::new();
    let kept = || kept_head(&folder.kept_head()).expect("read").expect("kept").seq();
    let log = folder.open();
    assert_eq!(kept(), 0, "from the first start on");
    log.append(&read_report(1)).expect("entered");
    folder.clock.advance_ms(59_000);
    log.append(&read_report(2)).expect("entered");
    assert_eq!(kept(), 0);
    folder.clock.advance_ms(1_000);
    log.append(&read_report(3)).expect("entered");
    assert_eq!(kept(), 3, "with the first entry after a minute");
    log.append(&read_report(4)).expect("entered");
    log.upkeep().expect("done");
    assert_eq!(kept(), 4, "without any entry, by who looks after it");
    log.append(&read_report(5)).expect("entered");
    log.close();
    assert_eq!(kept(), 5);
}

#[test]
fn many_threads_share_one_chain_and_a_file_follows_the_other() {
    const THREADS: usize = 8;
    const EACH: usize = 50;
    let mut folder = Folder::new();
    folder.settings.file_bytes_max = 20_000;
    let log = folder.open();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let log = log.clone();
                scope.spawn(move || {
                    for n in 0..EACH {
                        log.append(&read_report(thread * EACH + n)).expect("entered");
                    }
                })
            })
            .collect();
        // An auditor looks on meanwhile: what is being written is no damage.
        let folder = &folder;
        let is_done = &is_done;
        let looker = scope.spawn(move || {
            while !is_done.load(Ordering::Acquire) {
                let broken = folder.verify(&[]).0.broken;
                assert!(broken.iter().all(|broken| broken.problem == Problem::Torn), "{broken:?}");
            }
        });
        for writer in writers {
            writer.join().expect("wrote");
        }
        is_done.store(true, Ordering::Release);
        looker.join().expect("looked");
    });
    let (report, lines) = folder.verify(&[log.head()]);
    assert_eq!((report.broken, report.entries), (None, (THREADS * EACH) as u64));
    assert!(report.files > 3, "{} files", report.files);
    let mut objects: Vec<_> = lines.iter().map(|line| line.object.clone()).collect();
    objects.sort();
    objects.dedup();
    assert_eq!(objects.len(), THREADS * EACH);

    fs::remove_file(folder.file(2)).expect("removed");
    assert!(matches!(folder.verify(&[]).0.broken.expect("a file is missing").problem, Problem::Seq { .. }));
    fs::remove_file(folder.file(1)).expect("removed");
    assert!(matches!(
        folder.verify(&[]).0.broken.expect("it begins late").problem,
        Problem::Beginning { .. }
    ));
}

#[test]
fn an_entry_that_cannot_be_written_is_refused_and_the_chain_goes_on_when_it_can() {
    let mut folder = Folder::new();
    folder.settings.file_bytes_max = 1;
    let log = folder.open();
    log.append(&read_report(1)).expect("entered");
    let elsewhere = folder.dir.path().join("elsewhere");
    fs::rename(folder.path(), &elsewhere).expect("moved");
    assert!(matches!(log.append(&read_report(2)), Err(Error::Group(_))));
    assert!(matches!(log.append(&read_report(2)), Err(Error::Group(_))));
    fs::rename(&elsewhere, folder.path()).expect("moved back");
    assert_eq!(log.append(&read_report(3)).expect("entered"), 2);
    let (report, lines) = folder.verify(&[log.head()]);
    assert_eq!((report.broken, lines.len()), (None, 2));
    assert_eq!(lines[1].object, "campaign c3");
}

#[test]
fn entries_go_by_their_age_whole_files_at_a_time_and_the_log_says_so() {
    let mut folder = Folder::new();
    folder.settings.file_bytes_max = 1;
    folder.settings.retention_days = 183;
    let log = folder.open();
    for n in 0..3 {
        log.append(&read_report(n)).expect("entered");
        folder.clock.advance_ms(DAY_MS);
    }
    log.expire().expect("nothing to do");
    assert_eq!(folder.verify(&[]).0.entries, 3);
    let noted = log.head();
    folder.clock.advance_ms(182 * DAY_MS + 1);
    log.upkeep().expect("expired, in a process that runs on");
    let (report, lines) = folder.verify(&[noted]);
    assert_eq!(report.broken, None);
    assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [3, 4], "{lines:?}");
    assert_eq!(lines[1].act, "audit.expired");
    // Whoever removes the next file himself is found out.
    fs::remove_file(folder.file(3)).expect("removed");
    assert_eq!(folder.verify(&[]).0.broken.expect("noticed").problem, Problem::Beginning { found: 4 });
}

#[test]
fn another_key_opens_nothing_and_a_short_one_is_none() {
    let folder = Folder::new();
    let log = folder.open();
    log.append(&read_report(1)).expect("entered");
    log.close();
    let other = Key::from_text(&"7".repeat(64)).expect("a key");
    assert_eq!(
        verify(&folder.path(), &other, &[], |_| {}).expect("read").broken.expect("wrong key").problem,
        Problem::Mac
    );
    let opened = Log::open(Parts {
        dir: folder.path(),
        key: other,
        head_file: None,
        settings: Settings::default(),
        clock: Clock::System,
    });
    assert!(matches!(opened, Err(Error::OtherKey { .. })));
    assert!(matches!(Key::from_text("secret"), Err(Error::WeakKey { .. })));
}

#[test]
fn an_entry_has_a_limit_and_names_are_cut() {
    let folder = Folder::new();
    let log = folder.open();
    let too_long = Entry::new("operator", "report.read", "c", json!({"text": "x".repeat(20_000)}));
    assert!(matches!(log.append(&too_long), Err(Error::TooLong { .. })));
    log.append(&Entry::new("é".repeat(300), "report.read", "c", json!(null))).expect("entered");
    let lines = folder.verify(&[]).1;
    assert_eq!(lines[0].actor, "é".repeat(128));
    assert_eq!(lines[0].seq, 1);
}

#[test]
fn a_head_is_read_as_it_is_printed() {
    let (_, head) = written(2);
    assert_eq!(head.to_string().parse::<Head>(), Ok(head));
    assert_eq!(head.seq(), 2);
    for wrong in ["", "2", "2:ab", "x:00"] {
        assert!(wrong.parse::<Head>().is_err(), "{wrong}");
    }
    assert!(head.to_string().to_uppercase().parse::<Head>().is_err());
}
