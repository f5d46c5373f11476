//! The desk on a real Kafka: what one node writes, others read, and nobody answers who cannot know.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

#[path = "../../kafka/tests/support/mod.rs"]
mod broker;

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

#[test]
fn what_one_node_writes_is_in_force_on_others_and_after_a_start() {
    let broker = Broker::start(1);
    let cluster = Cluster::new(&broker.settings).expect("settings");
    let one = Desk::topic(cluster.clone()).expect("a thread");
    let two = Desk::topic(cluster.clone()).expect("a thread");
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
    let parts = one.put_parts("long", &long).expect("written and read back");
    until("the other has all parts", || two.get_parts(&parts).is_ok_and(|bytes| bytes == long));

    let three = Desk::topic(cluster).expect("a thread");
    until("a new node has read the topic", || three.behind().is_none());
    assert_eq!(says(&three, "a1").as_deref(), Some("revoked"));
    for desk in [one, two, three] {
        desk.close();
        assert!(matches!(desk.get(Kind::Tokens, "a1"), Err(Error::Behind(_))), "closed, it answers nothing");
    }
}

#[test]
fn a_node_without_kafka_answers_nothing_after_the_lease_and_goes_on_when_it_is_back() {
    let broker = Broker::start(1);
    let cluster = Cluster::new(&broker.settings).expect("settings");
    let desk = Desk::topic(cluster).expect("a thread");
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
