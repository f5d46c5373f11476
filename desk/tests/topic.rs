//! The desk on a real Kafka: what one node writes, others read, and nobody answers who cannot know.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

#[path = "../../kafka/tests/support/mod.rs"]
mod broker;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use broker::Broker;
use desk::{Desk, Error, Kind, LEASE};
use kafka::Cluster;

const DEADLINE: Duration = Duration::from_mins(1);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn says(desk: &Desk, id: &str) -> Option<String> {
    let document = desk.get(Kind::Tokens, id).ok()??;
    Some(String::from_utf8(document.to_vec()).unwrap())
}

fn open(cluster: &Cluster) -> (Desk, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Desk::topic(cluster.clone(), &dir.path().join("parts")).expect("a thread"), dir)
}

#[test]
fn what_one_node_writes_is_in_force_on_others_and_after_a_start() {
    let broker = Broker::start(1);
    let cluster = Cluster::new(&broker.settings).expect("settings");
    let ((one, _of_one), (two, of_two)) = (open(&cluster), open(&cluster));
    until("both have read the topic", || one.behind().is_none() && two.behind().is_none());
    one.put(Kind::Tokens, "a1", b"made").expect("written and read back");
    assert_eq!(says(&one, "a1").as_deref(), Some("made"), "in force here when it is answered");
    until("the other hears of it", || says(&two, "a1").as_deref() == Some("made"));

    one.put(Kind::Tokens, "a1", b"revoked").expect("written and read back");
    let begun = Instant::now();
    until("the other hears of the revocation", || says(&two, "a1").as_deref() == Some("revoked"));
    assert!(begun.elapsed() < LEASE, "took {:?}", begun.elapsed());

    // Longer than a message may be.
    let long: Vec<u8> = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    let put = |bytes: &[u8]| {
        let mut stack = one.stack("long").unwrap();
        let piece = stack.add(bytes).expect("written and read back");
        stack.finish().expect("written and read back");
        piece
    };
    let (piece, orphan) = (put(&long), put(b"nothing leads to it"));
    until("the other has all parts", || two.get_piece(&orphan).is_ok());
    assert_eq!(two.get_piece(&piece).unwrap(), long);
    let parts = std::fs::read_dir(of_two.path().join("parts")).unwrap().count();
    assert_eq!(parts, 32, "on the disk");

    let kept = BTreeSet::from([piece.stack.clone()]);
    assert_eq!(one.sweep(&kept, Duration::from_hours(1)).unwrap(), 0, "its document may still come");
    assert_eq!(one.sweep(&kept, Duration::ZERO).unwrap(), 1);
    until("the other hears that it is gone", || two.get_piece(&orphan).is_err());

    let (three, _of_three) = open(&cluster);
    until("a new node has read the topic", || three.behind().is_none());
    assert_eq!(says(&three, "a1").as_deref(), Some("revoked"));
    assert_eq!(three.get_piece(&piece).unwrap(), long);
    assert!(matches!(three.get_piece(&orphan), Err(Error::Part { .. })));
    for desk in [one, two, three] {
        desk.close();
        assert!(matches!(desk.get(Kind::Tokens, "a1"), Err(Error::Behind(_))), "closed, it answers nothing");
    }
}

#[test]
fn a_node_without_kafka_answers_nothing_after_the_lease_and_goes_on_when_it_is_back() {
    let broker = Broker::start(1);
    let cluster = Cluster::new(&broker.settings).expect("settings");
    let (desk, _dir) = open(&cluster);
    until("it has read the topic", || desk.behind().is_none());
    desk.put(Kind::Tokens, "a1", b"made").expect("written");
    broker.kill();
    let begun = Instant::now();
    until("it stops answering", || desk.behind().is_some());
    assert!(begun.elapsed() < LEASE + Duration::from_secs(2), "took {:?}", begun.elapsed());
    assert!(matches!(desk.get(Kind::Tokens, "a1"), Err(Error::Behind(_))));
    assert_eq!(
        desk.get_heard(Kind::Tokens, "a1").unwrap().as_deref(),
        Some(&b"made"[..]),
        "what is only added to"
    );
    assert!(matches!(desk.put(Kind::Tokens, "a2", b"made"), Err(Error::Behind(_))));
    broker.restart();
    until("it answers again", || says(&desk, "a1").as_deref() == Some("made"));
    desk.close();
}
