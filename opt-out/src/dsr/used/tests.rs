//! What was used stays used: restarts, torn and changed files, the turn of the two files, the limit.

use super::*;

const NOW: i64 = 1_795_255_200;

fn mark(number: u8) -> Mark {
    [number; 16]
}

fn open_at(dir: &Path, now: i64) -> Used {
    Used::open(dir, 100, now).expect("it opens")
}

fn note(used: &Used, number: u8, until: i64, now: i64) {
    good(used.reserve(mark(number), until, now)).note(now, None).expect("noted");
}

fn good(reserved: Result<Reserved, Denied>) -> Reserved {
    match reserved {
        Ok(reserved) => reserved,
        Err(denied) => panic!("{denied:?}"),
    }
}

fn is_used(used: &Used, number: u8, now: i64) -> bool {
    used.reserve(mark(number), now + 10, now).is_err()
}

#[test]
fn what_is_noted_is_used_behind_a_restart_and_what_was_dropped_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let used = open_at(dir.path(), NOW);
    note(&used, 1, NOW + 100, NOW);
    let in_hand = good(used.reserve(mark(2), NOW + 100, NOW));
    assert!(is_used(&used, 1, NOW) && is_used(&used, 2, NOW), "nobody else may do it meanwhile");
    assert_eq!(used.reserve(mark(2), NOW + 100, NOW).err(), Some(Denied::InHand));
    drop(in_hand);
    assert!(!is_used(&used, 2, NOW));
    let used = open_at(dir.path(), NOW + 50);
    assert!(is_used(&used, 1, NOW + 100) && !is_used(&used, 1, NOW + 101) && !is_used(&used, 2, NOW));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&dir.path().join(NEW).metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_receipt_of_what_was_done_is_known_until_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let used = open_at(dir.path(), NOW);
    let done = Done { receipt: ReceiptId(*b"0123456789"), about: 7 };
    good(used.reserve(mark(1), NOW + 100, NOW)).note(NOW, Some(done)).expect("noted");
    assert_eq!(used.reserve(mark(1), NOW + 100, NOW).err(), Some(Denied::Used(Some(done))));
    let used = open_at(dir.path(), NOW);
    assert_eq!(used.reserve(mark(1), NOW + 100, NOW).err(), Some(Denied::Used(None)));
}

#[test]
fn a_torn_end_is_cut_off_and_a_changed_record_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let used = open_at(dir.path(), NOW);
    (1..=3).for_each(|number| note(&used, number, NOW + 100, NOW));
    // Three notes stand in two files: the first one made the other the old one.
    let path = dir.path().join(NEW);
    let whole = std::fs::read(&path).unwrap();
    let records = (whole.len() - HEAD.len()) / RECORD_BYTES;
    assert!(records >= 2, "{records}");
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let used = open_at(dir.path(), NOW);
        let left = cut.saturating_sub(HEAD.len()) / RECORD_BYTES;
        assert_eq!(used.marks().len(), 3 - records + left, "cut at {cut}");
        // And what is written next stands where it is found again.
        note(&used, 9, NOW + 100, NOW);
        assert!(is_used(&open_at(dir.path(), NOW), 9, NOW), "cut at {cut}");
    }
    for place in 0..whole.len() - RECORD_BYTES {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let error = Used::open(dir.path(), 100, NOW).err().map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::InvalidData), "changed at {place}");
    }
}

#[test]
fn the_files_hold_what_is_good_and_not_much_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut used = open_at(dir.path(), NOW);
    let (life, mut largest) = (20, 0);
    for step in 0..300_i64 {
        let now = NOW + step;
        let number = Mark::try_from(format!("{step:016}").as_bytes()).unwrap();
        good(used.reserve(number, now + life, now)).note(now, None).expect("noted");
        if step % 7 == 0 {
            used = open_at(dir.path(), now);
        }
        let good = (step - life).max(0)..=step;
        for old in [*good.start(), step - 1, step] {
            let number = Mark::try_from(format!("{:016}", old.max(0)).as_bytes()).unwrap();
            assert!(used.reserve(number, now, now).is_err(), "{old} at {step}");
        }
        let bytes = [NEW, OLD].map(|name| dir.path().join(name).metadata().map_or(0, |meta| meta.len()));
        largest = largest.max(bytes.iter().sum());
    }
    assert!(largest <= 2 * 8 + 3 * (life as u64 + 2) * RECORD_BYTES as u64, "{largest} bytes");
}

#[test]
fn at_the_limit_nothing_is_forgotten_that_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let used = Used::open(dir.path(), 3, NOW).unwrap();
    (1..=3).for_each(|number| note(&used, number, NOW + i64::from(number), NOW));
    assert_eq!(used.reserve(mark(4), NOW + 9, NOW).err(), Some(Denied::Full));
    assert!((1..=3).all(|number| is_used(&used, number, NOW)));
    note(&used, 4, NOW + 9, NOW + 2);
    assert!(is_used(&used, 2, NOW + 2) || used.marks().len() <= 3);
}

#[test]
fn the_bytes_of_a_record_never_change() {
    const GOLDEN: &[u8] = include_bytes!("../../../golden/used-deletion-v1.bin");
    let own = [&HEAD[..], &encode(mark(7), NOW)].concat();
    assert_eq!(own, GOLDEN);
    assert_eq!(decode(GOLDEN.get(8..).unwrap()), Some((mark(7), NOW)));
}
