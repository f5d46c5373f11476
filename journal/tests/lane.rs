//! The lane on a real disk: appending, committing, following, cursors, limits.

use std::path::Path;
use std::sync::Arc;

use journal::{Clock, Lane, Recovery, Settings, Writer};

fn clock() -> Clock {
    Arc::new(|| 1_700_000_000_000)
}

fn open(dir: &Path) -> (Writer, Recovery) {
    Lane::open(dir, Settings::default(), clock()).expect("opens")
}

#[test]
fn what_was_answered_is_read_again_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (writer, recovery) = open(dir.path());
    assert!(recovery.clean);
    for (record, seq) in [(b"one".as_slice(), 0), (b"", 1), (b"three", 2)] {
        assert_eq!(writer.append(record).expect("taken").wait(), Ok(seq));
    }
    let id = writer.id();
    drop(writer);
    let (writer, recovery) = open(dir.path());
    assert!(recovery.clean);
    assert_ne!(writer.id(), id);
    let mut reader = writer.reader("a").expect("a reader");
    let mut seen = Vec::new();
    while let Some(frame) = reader.next_frame().expect("readable") {
        seen.extend(frame.records().map(|(seq, record)| (frame.journal_id, seq, record.to_vec())));
    }
    assert_eq!(seen, [(id, 0, b"one".to_vec()), (id, 1, b"".to_vec()), (id, 2, b"three".to_vec())]);
    assert_eq!(reader.position(), writer.committed());
}
