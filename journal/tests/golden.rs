//! A journal written by version 1 of the format is read by this program, now and later.

mod support;

use std::path::Path;

use journal::{JournalId, Settings, read_all};

/// What the golden segment was written from.
fn expected() -> Vec<(u64, Vec<u8>)> {
    let mut records = vec![b"first".to_vec(), Vec::new(), vec![0xff; 200]];
    records.extend((0..20).map(|n| format!("a record that repeats itself, number {n}").into_bytes()));
    records.push(b"continues".to_vec());
    (7..).zip(records).collect()
}

#[test]
fn version_1_is_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1");
    let mut seen = Vec::new();
    let report = read_all(&dir, |id, seq, record| {
        assert_eq!(id, JournalId(0x0123_4567_89ab_cdef));
        seen.push((seq, record.to_vec()));
    });
    assert_eq!(seen, expected());
    let report = report.expect("readable");
    assert!(report.is_whole());
    assert_eq!((report.segments, report.frames, report.records, report.torn_tail), (1, 4, 24, None));
}

#[test]
fn a_lane_of_version_1_is_taken_over_with_its_cursor() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1");
    let dir = tempfile::tempdir().expect("a directory");
    for file in ["0000000000000001.segment", "store.cursor"] {
        std::fs::copy(golden.join(file), dir.path().join(file)).expect("copied");
    }
    let (writer, recovery) = support::open_dir(dir.path(), Settings::default());
    assert!(recovery.clean);
    assert_eq!((recovery.scanned_records, recovery.damaged.len()), (24, 0));
    let rest: Vec<_> = support::drain(&mut writer.reader("store").expect("a reader"))
        .into_iter()
        .map(|((_, seq), record)| (seq, record))
        .collect();
    assert_eq!(rest, expected()[3..], "the cursor stands behind the first frame");
    assert_eq!(support::replay(&writer).len(), 24);
}
