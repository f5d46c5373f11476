//! Against a real Kafka: messages arrive in order, a group shares its partitions, a follower reads a registry whole.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka::{Cluster, Delivery, Error, EventsConsumer, Message, Topic, frame};

use support::Broker;

/// Longest that an answer about offsets takes.
const ANSWER: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(100);
const DEADLINE: Duration = Duration::from_mins(1);

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
    }
}

/// A message, whatever passing trouble there is.
fn next(consumer: &mut EventsConsumer) -> Option<Message> {
    match consumer.poll(STEP) {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.is_final(), "{error}");
            None
        }
    }
}

#[test]
fn topics_are_made_once_and_a_registry_that_forgets_is_refused() {
    let broker = Broker::start(1);
    let cluster = Cluster::new(&broker.settings).expect("settings");
    cluster.create_topics().expect("made");
    cluster.create_topics().expect("are there already");

    let other = kafka::Settings { topic_prefix: "other".to_owned(), ..broker.settings.clone() };
    let wrong = Cluster::new(&other).expect("settings");
    std::thread::scope(|scope| {
        let made: Vec<_> = (0..3).map(|_| scope.spawn(|| wrong.create_topics())).collect();
        for made in made {
            made.join().expect("no panic").expect("several at once");
        }
    });
    let mut follower = wrong.follow(Topic::Catalog).expect("a follower");
    assert_eq!(follower.end(ANSWER).expect("the end"), 0);
    assert_eq!(follower.next(STEP).expect("nothing yet"), None);
}

/// Frames of one record each, of eight journals, and what came back of them.
struct Traffic {
    producer: kafka::Producer,
    seen: BTreeMap<u64, Vec<u64>>,
    next: BTreeMap<i32, i64>,
}

impl Traffic {
    fn send(&self, numbers: std::ops::Range<u64>) -> Vec<Delivery> {
        let all = numbers.flat_map(|seq| (1..=8_u64).map(move |journal| (journal, seq)));
        all.map(|(journal, seq)| {
            let record = (journal * 1000 + seq).to_le_bytes();
            let value = frame::encode(journal, seq, 0, std::iter::once(record.as_slice())).remove(0);
            let sent = self.producer.send(Topic::Events, &journal.to_le_bytes(), &value, &[]);
            sent.expect("there is room")
        })
        .collect()
    }

    fn take(&mut self, member: &mut EventsConsumer) {
        let Some(message) = next(member) else { return };
        let frame = frame::decode(&message.value).expect("a frame");
        assert_eq!(message.key, frame.journal_id.to_le_bytes());
        self.seen.entry(frame.journal_id).or_default().extend(frame.records().map(|(seq, _)| seq));
        self.next.insert(message.partition, message.offset + 1);
    }

    /// Frames that came, each once however often it was read again.
    fn count(&self) -> usize {
        self.seen.values().map(|numbers| numbers.iter().collect::<BTreeSet<_>>().len()).sum()
    }
}

fn acknowledged(deliveries: Vec<Delivery>) {
    for mut delivery in deliveries {
        until("a delivery", || delivery.wait(STEP)).expect("acknowledged");
    }
}

#[test]
fn frames_keep_their_order_through_a_crash_and_the_group_shares_the_work() {
    let broker = Broker::start(1);
    let cluster = Cluster::new(&broker.settings).expect("settings");
    cluster.create_topics().expect("made");
    let producer = cluster.producer().expect("a producer");
    let mut traffic = Traffic { producer, seen: BTreeMap::new(), next: BTreeMap::new() };
    acknowledged(traffic.send(0..50));

    let mut one = cluster.events().expect("a member");
    until("all frames", || {
        traffic.take(&mut one);
        (traffic.count() == 400).then_some(())
    });
    assert!(one.is_settler(), "the only member holds every partition: {:?}", one.assigned());
    assert_eq!(one.assigned(), [0, 1, 2, 3]);
    let positions: Vec<_> = std::mem::take(&mut traffic.next).into_iter().collect();
    one.commit(&positions).expect("committed");
    let (ends, committed) = (one.ends(ANSWER).expect("ends"), one.committed(ANSWER).expect("committed"));
    assert_eq!(ends, committed, "everything that is there was committed");

    // The broker dies with messages on their way; they come once and in order all the same.
    let mut second = traffic.send(50..60);
    broker.kill();
    second.extend(traffic.send(60..70));
    broker.restart();
    acknowledged(second);
    assert_eq!(traffic.producer.is_fatal(), None);

    let mut two = cluster.events().expect("another member");
    until("both have partitions, and the rest", || {
        traffic.take(&mut one);
        traffic.take(&mut two);
        (one.assigned().len() == 2 && two.assigned().len() == 2 && traffic.count() == 560).then_some(())
    });
    assert_ne!(one.is_settler(), two.is_settler(), "one of them settles");
    let wanted: Vec<u64> = (0..70).collect();
    for (journal, mut numbers) in traffic.seen {
        // A partition that moved is read again from what was committed: repeats are allowed, gaps are not.
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, wanted, "journal {journal}");
    }
    let before = two.rebalances();
    one.close();
    until("the partitions of the one that left", || {
        next(&mut two);
        (two.assigned().len() == 4).then_some(())
    });
    assert!(two.rebalances() > before && two.is_settler());
}

#[test]
fn a_follower_reads_all_follows_and_sees_a_log_that_began_anew() {
    let broker = Broker::start(1);
    let cluster = Cluster::new(&broker.settings).expect("settings");
    cluster.create_topics().expect("made");
    let producer = cluster.producer().expect("a producer");
    let put = |key: &str, value: &str| {
        let mut delivery = producer
            .send(Topic::OptOuts, key.as_bytes(), value.as_bytes(), &[("reason", "test")])
            .expect("room");
        until("a delivery", || delivery.wait(STEP)).expect("acknowledged")
    };
    put("a", "1");
    put("b", "2");
    let mut follower = cluster.follow(Topic::OptOuts).expect("a follower");
    let end = follower.end(ANSWER).expect("the end");
    assert_eq!(end, 2);
    let mut read = Vec::new();
    until("the end", || {
        read.extend(follower.next(STEP).expect("readable"));
        (follower.position() == end).then_some(())
    });
    let read: Vec<_> =
        read.iter().map(|message| (message.key.as_slice(), message.value.as_slice())).collect();
    assert_eq!(read, [(b"a".as_slice(), b"1".as_slice()), (b"b", b"2")]);

    let placed = put("a", "3");
    let message = until("what comes", || follower.next(STEP).expect("readable"));
    assert_eq!((message.offset, message.value.as_slice()), (placed.offset, b"3".as_slice()));

    // Kafka goes away and comes back: the follower goes on.
    broker.kill();
    for _ in 0..5 {
        assert!(matches!(follower.next(STEP), Ok(None) | Err(Error::Broker(_))));
    }
    broker.restart();
    put("c", "4");
    let message = until("what comes after the crash", || match follower.next(STEP) {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.is_final(), "{error}");
            None
        }
    });
    assert_eq!(message.value, b"4");
}
