//! Aggregators that share a real Kafka and one store: the production loaders, their group, what it costs them to lose a partition.
//!
//! The engine serves one data path in a process: two aggregators of one process on one database stand for two machines on one cluster.

use std::time::{Duration, Instant};

use aggregator::Readiness;
use kafka::{Cluster, Producer, Topic, frame};
use serde_json::Value;

use crate::broker::Broker;
use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, hit};

const DEADLINE: Duration = Duration::from_secs(90);
const STEP: Duration = Duration::from_millis(100);
/// Journals, more than partitions.
const JOURNALS: u64 = 16;

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(STEP);
    }
}

/// What ingest nodes send.
struct Nodes {
    producer: Producer,
    /// The next sequence number of every journal.
    next: u64,
    /// Impressions sent, each by a device of its own.
    sent: u64,
}

impl Nodes {
    fn new(cluster: &Cluster) -> Self {
        Self { producer: cluster.producer().expect("a producer"), next: 0, sent: 0 }
    }

    fn send(&self, journal: u64, value: &[u8]) {
        let mut delivery =
            self.producer.send(Topic::Events, &journal.to_le_bytes(), value, &[]).expect("there is room");
        until("a delivery", || delivery.wait(STEP)).expect("acknowledged");
    }

    /// A frame of three impressions.
    fn frame(&mut self, rig: &Rig, journal: u64) -> Vec<u8> {
        let records: Vec<Vec<u8>> = (0..3)
            .map(|_| {
                self.sent += 1;
                rig.record(&Hit { device: Some(self.sent), ..hit(NOON_MS - DAY_MS + self.sent as i64) })
            })
            .collect();
        frame::encode(journal, self.next, 0, records.iter().map(Vec::as_slice)).remove(0)
    }

    /// A frame of every journal.
    fn round(&mut self, rig: &Rig) -> Vec<(u64, Vec<u8>)> {
        let frames: Vec<_> = (1..=JOURNALS).map(|journal| (journal, self.frame(rig, journal))).collect();
        self.next += 3;
        for (journal, value) in &frames {
            self.send(*journal, value);
        }
        frames
    }
}

/// Settles with whichever aggregator does that, once there is one.
fn settle<'a>(rigs: &[&'a Rig]) -> &'a Rig {
    until("one settles", || {
        rigs.iter().copied().find(|rig| {
            let (status, body) = rig.call("POST", "/v1/settle");
            assert!(status == 200 || (status == 409 && body.contains("not_settler")), "{status}: {body}");
            status == 200
        })
    })
}

/// What any of them reports for yesterday, settled.
fn reach(rig: &Rig) -> (Value, Value) {
    let row = rig.row("utc/reach");
    assert_eq!(row["settled_until"], "2026-11-19");
    (row["impressions"].clone(), row["reach"].clone())
}

fn assert_figures(rigs: &[&Rig], nodes: &Nodes) {
    settle(rigs);
    for rig in rigs {
        assert_eq!(reach(rig), (nodes.sent.into(), nodes.sent.into()));
    }
}

/// Writers that did not end their newest insert by themselves; the start of another aggregator gives its mark up.
const UNDER_WAY: &str = "c != o + 1";

fn writers(rig: &Rig, with: &str) -> u32 {
    rig.sql(&format!("SELECT uniqExact(writer) FROM (SELECT writer, max(opened) AS o, max(closed) AS c FROM marks GROUP BY day, writer) WHERE {with}"))
        .parse()
        .expect("a number")
}

/// Rows that stand in the store once more.
fn repeats(rig: &Rig) -> u64 {
    rig.sql("SELECT count() - uniqExact(journal, seq) FROM events").parse().expect("a number")
}

#[test]
fn a_group_shares_the_frames_and_what_is_none_lands_in_the_dead_letters() {
    let (broker, cluster) = Broker::start();
    let one = Rig::of_group("shared", &cluster);
    let two = Rig::of_group("shared", &cluster);
    let both = [&one, &two];
    let mut nodes = Nodes::new(&cluster);
    // Until each of them inserts again and again: marks tell who did, and rules are marked by another writer once.
    let frames = until("both take part", || {
        let frames = nodes.round(&one);
        (writers(&one, "o >= 8") >= 2).then_some(frames)
    });
    assert_figures(&both, &nodes);
    let status = both.map(|rig| rig.call("POST", "/v1/settle").0);
    assert_eq!(status.iter().sum::<u16>(), 200 + 409, "{status:?}: one of them settles");

    // Sent again, and out of order; and what nobody can read between them.
    let (journal, again) = &frames[3];
    nodes.send(*journal, again);
    let unknown = [&[9], &again[1..]].concat();
    nodes.send(1, &unknown);
    nodes.send(2, b"garbage");
    let mut bent = again.clone();
    *bent.last_mut().expect("bytes") ^= 1;
    nodes.send(3, &bent);
    nodes.round(&two);
    assert_figures(&both, &nodes);
    // The repeats are stored and not counted; partitions that changed hands on the way may have brought more.
    assert!(repeats(&one) >= 3);

    let mut letters = cluster.follow(Topic::DeadLetters).expect("a follower");
    let mut values: Vec<Vec<u8>> =
        (0..3).map(|_| until("a dead letter", || letters.next(STEP).expect("readable")).value).collect();
    values.sort();
    let mut expected = vec![unknown, b"garbage".to_vec(), bent];
    expected.sort();
    assert_eq!(values, expected);
    let headers = broker.print(cluster.topic(Topic::DeadLetters), 3).join("\n");
    for part in
        ["reason:unknown_version 9", "reason:corrupt: ", "topic:sightline.events", "partition:", "offset:"]
    {
        assert!(headers.contains(part), "{part}: {headers}");
    }
    assert_eq!(headers.matches("reason:corrupt").count(), 2, "{headers}");
}

#[test]
fn an_aggregator_that_loses_its_partitions_with_a_batch_in_hand_changes_nothing() {
    let (_broker, cluster) = Broker::start();
    let one = Rig::of_group("paused", &cluster);
    let mut nodes = Nodes::new(&cluster);
    nodes.round(&one);
    assert_figures(&[&one], &nodes);
    // It cannot insert, and does not ask Kafka for more while it tries.
    one.sql("ALTER TABLE events ADD CONSTRAINT refused CHECK 0");
    nodes.round(&one);
    until("a batch is in hand", || (writers(&one, UNDER_WAY) == 1).then_some(()));
    let two = Rig::of_group("paused", &cluster);
    // Its partitions go to the other one, which reads the same frames.
    until("the other one has them too", || (writers(&two, UNDER_WAY) == 2).then_some(()));
    assert!(matches!(one.readiness(), Readiness::Degraded(_)));
    one.sql("ALTER TABLE events DROP CONSTRAINT refused");
    nodes.round(&two);
    assert_figures(&[&one, &two], &nodes);
    until("both have inserted", || (writers(&two, UNDER_WAY) == 0).then_some(()));
    assert_figures(&[&one, &two], &nodes);
    assert!(repeats(&one) > 0, "both inserted what one had in hand when it lost its partitions");
    // And both go on.
    for _ in 0..3 {
        nodes.round(&one);
    }
    assert_figures(&[&one, &two], &nodes);
    until("it is well again", || (one.readiness() == Readiness::Ready).then_some(()));
}

#[test]
fn a_kafka_that_goes_away_is_told_and_waited_for() {
    let (broker, cluster) = Broker::start();
    let mut rig = Rig::of_group("away", &cluster);
    let mut nodes = Nodes::new(&cluster);
    nodes.round(&rig);
    assert_figures(&[&rig], &nodes);
    assert_eq!(rig.readiness(), Readiness::Ready);
    broker.kill();
    let why = until("it is noticed", || match rig.readiness() {
        Readiness::Ready => None,
        Readiness::Degraded(why) => Some(why),
    });
    assert!(why.contains("Kafka"), "{why}");
    // Reports go on, also after a start without it.
    assert_eq!(reach(&rig), (nodes.sent.into(), nodes.sent.into()));
    let stopping = Instant::now();
    rig.restart(|_| println!("stopped after {:?}", stopping.elapsed()));
    assert!(matches!(rig.readiness(), Readiness::Degraded(_)));
    assert_eq!(reach(&rig), (nodes.sent.into(), nodes.sent.into()));
    broker.restart();
    nodes.round(&rig);
    until("it is well again", || (rig.readiness() == Readiness::Ready).then_some(()));
    assert_figures(&[&rig], &nodes);
    assert_eq!(rig.sql("SELECT count() = uniqExact(journal, seq) FROM events"), "1");
}
