//! The registry in a real Kafka: what one role is told is in force on every node, soon and for good, and nobody measures by what is not whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event::identifier::{IdKind, line_hash, lodge as lodge_id};
use kafka::{Cluster, Topic};
use opt_out::record::{AppName, Record};
use opt_out::registry::import::{Act, Entered, Id};
use opt_out::{RegistryError, Settings};

use crate::kafka::{Broker, is_listed, may_measure, node, oaid, open, parts, role, settings};
use crate::support::{Answer, PATIENCE, Role, ids_json, keys, receipt_json, send, wait_until};

/// Opt-outs in the test of their delays.
const TRIES: u32 = 200;

/// Promise 4: in force on every node that hears the registry.
const DELAY_MAX: Duration = Duration::from_secs(1);

fn lodge(role: &Role, number: u32) -> (String, String) {
    role.lodge(&[("oaid", &oaid(number))])
}

fn opt_in(role: &Role, (receipt, secret): &(String, String)) -> Answer {
    role.call("/v1/opt-ins", &receipt_json(receipt, secret))
}

fn status(role: &Role, (receipt, secret): &(String, String)) -> Answer {
    role.call("/v1/status", &receipt_json(receipt, secret))
}

/// The delay that so many of a thousand do not exceed.
fn part(mut delays: Vec<Duration>, per_mille: usize) -> Duration {
    delays.sort_unstable();
    let index = (delays.len() * per_mille).div_ceil(1_000).saturating_sub(1);
    *delays.get(index).expect("some delays")
}

#[test]
fn an_opt_out_is_in_force_on_another_node_within_a_second_of_the_answer() {
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    let role = role(&cluster, &settings, &keys);
    let node = node(&cluster, &settings, &keys);
    wait_until("a node that measures", || may_measure(&node));
    let (mut whole, mut after) = (Vec::new(), Vec::new());
    for number in 0..TRIES {
        let began = Instant::now();
        let receipt = lodge(&role, number);
        let answered = Instant::now();
        assert!(is_listed(&role.list, &oaid(number), &keys), "in force here before it is answered");
        while !is_listed(node.list(), &oaid(number), &keys) {
            assert!(answered.elapsed() < PATIENCE, "never in force");
            std::thread::yield_now();
        }
        after.push(answered.elapsed());
        whole.push(began.elapsed());
        assert!(may_measure(&node), "{:?}", node.state());
        if number % 10 == 0 {
            assert_eq!(opt_in(&role, &receipt).status, 200);
            wait_until("taken back on the other node", || !is_listed(node.list(), &oaid(number), &keys));
        }
    }
    for (what, delays) in [("from the answer", &after), ("from the request", &whole)] {
        let [p50, p90, p99, most] = [500, 900, 990, 1_000].map(|part_of| part(delays.clone(), part_of));
        eprintln!(
            "opt-out in force on another node, {what}, {TRIES} tries: p50 {p50:?} p90 {p90:?} p99 {p99:?} max {most:?}"
        );
    }
    assert!(part(after, 990) < DELAY_MAX);
    assert_eq!(node.list().len(), role.list.len());
    node.stop();
    role.handle.stop();
}

#[test]
fn an_imported_register_is_in_force_on_another_node_and_delays_nobody() {
    /// Ids of a portion, and portions.
    const REGISTER: (u32, u32) = (500, 4);
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    let role = role(&cluster, &settings, &keys);
    let node = node(&cluster, &settings, &keys);
    wait_until("a node that measures", || may_measure(&node));
    let register = AppName::new("national").expect("a name");
    let portion = |portion: u32| -> Vec<Id> {
        let ids = portion * REGISTER.0..(portion + 1) * REGISTER.0;
        let id = |number| {
            let lodged = lodge_id(IdKind::Oaid, oaid(number).as_bytes(), &keys).expect("an id");
            Id {
                line: line_hash(IdKind::Oaid, oaid(number).as_bytes(), &keys),
                hashes: lodged.hashes.to_vec(),
            }
        };
        ids.map(id).collect()
    };
    let import = |act: Act| -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let imported = (0..REGISTER.1).map(|number| {
            let entered = runtime.block_on(role.registry.import(&register, act, &portion(number)));
            entered.expect("imported").into_iter().filter(|entered| *entered == Entered::Done).count()
        });
        imported.sum()
    };
    let all = REGISTER.0 * REGISTER.1;
    let mut delays = Vec::new();
    std::thread::scope(|scope| {
        let importing = scope.spawn(|| import(Act::Lodge));
        let mut number = all;
        while !importing.is_finished() {
            lodge(&role, number);
            let answered = Instant::now();
            wait_until("in force on the other node", || is_listed(node.list(), &oaid(number), &keys));
            delays.push(answered.elapsed());
            number += 1;
        }
        assert_eq!(importing.join().expect("it ends"), all as usize);
    });
    let persons = delays.len() as u32;
    assert!(part(delays, 500) < DELAY_MAX, "half of {persons} opt-outs took longer");
    wait_until("all of it on the other node", || node.list().len() == role.list.len());
    assert!((0..all + persons).all(|number| is_listed(node.list(), &oaid(number), &keys)));
    assert!(may_measure(&node), "{:?}", node.state());
    assert_eq!(import(Act::Lodge), 0, "made again, it changes nothing");
    assert_eq!(import(Act::TakeBack), all as usize);
    wait_until("taken back on the other node", || node.list().len() == role.list.len());
    assert!(!(0..all).any(|number| is_listed(node.list(), &oaid(number), &keys)));
    assert!((all..all + persons).all(|number| is_listed(node.list(), &oaid(number), &keys)), "people stay");
    node.stop();
    role.handle.stop();
}

#[test]
fn what_was_said_holds_over_restarts_and_through_every_role() {
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    // Two roles at once on an empty topic: both begin it, and it has begun.
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| role(&cluster, &settings, &keys));
        let other = scope.spawn(|| role(&cluster, &settings, &keys));
        (one.join().expect("starts"), other.join().expect("starts"))
    });
    let (kept, taken_back) = (lodge(&one, 1), lodge(&one, 2));
    wait_until("heard by the other role", || is_listed(&other.list, &oaid(2), &keys));
    let lodged = status(&one, &taken_back).json();
    assert_eq!(opt_in(&other, &taken_back).status, 200);
    wait_until("taken back here too", || !is_listed(&one.list, &oaid(2), &keys));
    let stranger = (taken_back.0.clone(), kept.1.clone());
    assert_eq!((opt_in(&one, &stranger).status, status(&one, &stranger).status), (403, 403));
    let before = [&kept, &taken_back].map(|receipt| status(&one, receipt).json());
    assert_eq!(before[1]["state"], "opted_in");
    for same in ["opted_out_at", "by", "policy_version"] {
        assert_eq!(before[1][same], lodged[same], "{same}");
    }
    let receipts = one.registry.stats().receipts;
    one.handle.stop();
    other.handle.stop();

    let mut known = parts(&cluster, &settings, &keys);
    known.receipts_known = Some(receipts);
    let (registry, list) = open(known).expect("it is all there");
    let again = Role::serve(registry, list, settings.clone(), Arc::clone(&keys), event::clock::Clock::System);
    assert!(is_listed(&again.list, &oaid(1), &keys) && !is_listed(&again.list, &oaid(2), &keys));
    assert_eq!([&kept, &taken_back].map(|receipt| status(&again, receipt).json()), before);
    assert_eq!((again.registry.stats().receipts, again.registry.stats().receipts_active), (2, 1));
    // Taken back twice is taken back once.
    assert_eq!(opt_in(&again, &taken_back).json(), before[1]);
    again.handle.stop();
}

#[test]
fn compaction_keeps_what_is_in_force() {
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    let topic = cluster.topic(Topic::OptOuts).to_owned();
    let eager =
        "segment.ms=300,min.cleanable.dirty.ratio=0.01,max.compaction.lag.ms=1000,delete.retention.ms=100";
    broker.tool("kafka.admin.ConfigCommand", &["--alter", "--topic", &topic, "--add-config", eager]);
    let role = role(&cluster, &settings, &keys);
    // Three receipts cover the first device, of which one stays; two the second, of which none stays.
    let receipts: Vec<_> = [1, 1, 1, 2, 2, 3].map(|number| lodge(&role, number)).into();
    for receipt in [0, 2, 3, 4] {
        assert_eq!(opt_in(&role, &receipts[receipt]).status, 200);
    }
    let compacted = |messages: &[kafka::Message]| {
        let is_of = |message: &kafka::Message, receipt: usize| message.key == receipts[receipt].0.as_bytes();
        [0, 2, 3, 4]
            .iter()
            .all(|receipt| messages.iter().filter(|message| is_of(message, *receipt)).count() == 1)
    };
    wait_until("compaction", || compacted(&whole(&cluster)));
    let kept = whole(&cluster);
    let heartbeats = kept.iter().filter(|message| message.key.starts_with(b"heartbeat/")).count();
    eprintln!("{} messages are left, {heartbeats} of them heartbeats", kept.len());
    let node = node(&cluster, &settings, &keys);
    wait_until("a node that measures", || may_measure(&node));
    for list in [node.list(), &role.list] {
        assert_eq!([1, 2, 3].map(|number| is_listed(list, &oaid(number), &keys)), [true, false, true]);
        assert_eq!(list.len(), role.list.len());
    }
    assert_eq!(node.state().receipts, 6, "{:?}", node.state());
    // The count of those that cover the first device is right as well: the last one frees it.
    assert_eq!(opt_in(&role, &receipts[1]).status, 200);
    wait_until("free", || !is_listed(node.list(), &oaid(1), &keys));
    node.stop();
    role.handle.stop();
}

/// Every message that the topic holds now.
fn whole(cluster: &Cluster) -> Vec<kafka::Message> {
    let mut follower = cluster.follow(Topic::OptOuts).expect("a follower");
    let end = follower.end(PATIENCE).expect("an end");
    let mut messages = Vec::new();
    while follower.position() < end {
        messages.extend(follower.next(Duration::from_millis(100)).expect("readable"));
    }
    messages
}

#[test]
fn nobody_measures_by_another_key_or_by_a_registry_that_was_lost() {
    let broker = Broker::shared();
    let (cluster, own, settings) = (broker.cluster(), keys(), settings());
    let early = node(&cluster, &settings, &own);
    let refusal = |following: &opt_out::Following| following.state().refusal.unwrap_or_default();
    wait_until("it says that there is none yet", || refusal(&early).contains("not begun yet"));
    let known = |count: u64, settings: &Settings| {
        let mut parts = parts(&cluster, settings, &own);
        parts.receipts_known = Some(count);
        parts
    };
    let gone = open(known(0, &settings)).err().expect("refused");
    assert!(matches!(gone, RegistryError::Lost { expected: 0, found: 0 }), "{gone}");

    let mut meant = settings.clone();
    meant.registry.start_empty = true;
    let (registry, list) = open(known(7, &meant)).expect("is meant");
    let role = Role::serve(registry, list, meant, Arc::clone(&own), event::clock::Clock::System);
    lodge(&role, 1);
    wait_until("a node that was there before", || may_measure(&early));
    let poor = opt_out::follow(known(2, &settings)).expect("follows");
    wait_until("it says what is missing", || refusal(&poor).contains("has 1 receipts and had 2 before"));

    let other = keys();
    let error = open(parts(&cluster, &settings, &other)).err().expect("refused");
    assert!(matches!(error, RegistryError::OtherKey) && error.to_string().contains("key_file"), "{error}");
    let foreign = node(&cluster, &settings, &other);
    wait_until("it says whose fault it is", || {
        refusal(&foreign).contains("key_file must be the same on all nodes")
    });
    assert!(!may_measure(&foreign) && foreign.list().is_empty() && may_measure(&early));
    role.handle.stop();
}

#[test]
fn an_unknown_version_stops_the_nodes_and_the_role() {
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    let role = role(&cluster, &settings, &keys);
    let receipt = lodge(&role, 1);
    let node = node(&cluster, &settings, &keys);
    wait_until("a node that measures", || may_measure(&node));
    let producer = cluster.producer().expect("a producer");
    let mut delivery =
        producer.send(Topic::OptOuts, b"7K3D-9QTA-0M1X-5ZBE", &[9, 1, 2, 3], &[]).expect("sent");
    delivery.wait(PATIENCE).expect("in time").expect("acknowledged");
    wait_until("the node stops", || !may_measure(&node));
    let refusal = node.state().refusal.expect("a reason");
    assert!(refusal.contains("record version 9 is not known"), "{refusal}");
    assert!(is_listed(node.list(), &oaid(1), &keys), "what it knows it keeps");
    wait_until("the role stops", || role.registry.refusal().is_some());
    for answer in
        [role.call("/v1/opt-outs", r#"{"ids":[{"kind":"oaid","value":"x"}]}"#), opt_in(&role, &receipt)]
    {
        assert!([422, 503].contains(&answer.status), "{}", answer.body);
    }
    let heartbeat = send(role.address(), "GET", "/v1/heartbeat", &[], b"");
    assert_eq!((heartbeat.status, heartbeat.header("retry-after")), (503, Some("30")));
    let late = open(parts(&cluster, &settings, &keys)).err().expect("refused");
    assert!(late.to_string().contains("record version 9"), "{late}");
    role.handle.stop();
}

#[test]
fn a_topic_that_was_made_anew_stops_the_nodes() {
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    let first = role(&cluster, &settings, &keys);
    lodge(&first, 1);
    let node = node(&cluster, &settings, &keys);
    wait_until("a node that measures", || may_measure(&node));
    first.handle.stop();
    let topic = cluster.topic(Topic::OptOuts).to_owned();
    broker.tool("org.apache.kafka.tools.TopicCommand", &["--delete", "--topic", &topic]);
    cluster.create_topics().expect("made anew");
    // Somebody starts over, in spite of all: heartbeats come again, and the node must not believe them.
    let second = role(&cluster, &settings, &keys);
    wait_until("it says why", || {
        let refusal = node.state().refusal.unwrap_or_default();
        refusal.contains("not the one that was read before")
    });
    assert!(!may_measure(&node) && is_listed(node.list(), &oaid(1), &keys));
    second.handle.stop();
}

#[test]
fn heartbeats_tell_how_far_the_registry_reaches_and_nothing_else() {
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    let role = role(&cluster, &settings, &keys);
    let beat = || {
        let answer = send(role.address(), "GET", "/v1/heartbeat", &[], b"");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    wait_until("Kafka took a heartbeat", || beat()["kafka"] == true);
    let before = beat();
    // As a set: whether JSON keeps the order of fields is another crate's choice.
    let fields: std::collections::BTreeSet<&str> =
        before.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(fields, ["kafka", "reach", "registry_ms"].into());
    lodge(&role, 1);
    let after = beat();
    assert!(after["reach"].as_i64() > before["reach"].as_i64(), "{before} {after}");
    assert_eq!(after["registry_ms"], before["registry_ms"]);
    let written = whole(&cluster);
    let registry_ms = written.iter().find_map(|message| match Record::decode(&message.value) {
        Ok(Record::Begun { at_ms, .. }) => Some(at_ms),
        _ => None,
    });
    assert_eq!(after["registry_ms"].as_i64(), registry_ms);
    assert_eq!(send(role.address(), "POST", "/v1/heartbeat", &[], b"").status, 405);
    role.handle.stop();
}

#[test]
fn a_registry_moves_from_one_machine_into_a_cluster_once() {
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    let dir = tempfile::tempdir().expect("a folder");
    let alone =
        Role::start_with(dir.path(), settings.clone(), Arc::clone(&keys), event::clock::Clock::System);
    let receipts: Vec<_> = [1, 1, 2, 3].map(|number| lodge(&alone, number)).into();
    assert_eq!(opt_in(&alone, &receipts[0]).status, 200);
    assert_eq!(opt_in(&alone, &receipts[2]).status, 200);
    let before: Vec<_> = receipts.iter().map(|receipt| status(&alone, receipt).json()).collect();
    assert_eq!(alone.registry.copy_to_topic(&cluster).expect("copied"), Some(4));

    let mut known = parts(&cluster, &settings, &keys);
    known.receipts_known = Some(alone.registry.stats().receipts);
    let (registry, list) = open(known).expect("it is all there");
    let role = Role::serve(registry, list, settings, Arc::clone(&keys), event::clock::Clock::System);
    let after: Vec<_> = receipts.iter().map(|receipt| status(&role, receipt).json()).collect();
    assert_eq!(after, before);
    assert_eq!([1, 2, 3].map(|number| is_listed(&role.list, &oaid(number), &keys)), [true, false, true]);
    // What was taken back in the cluster since stays taken back.
    assert_eq!(opt_in(&role, &receipts[3]).status, 200);
    assert_eq!(alone.registry.copy_to_topic(&cluster).expect("looked"), None);
    assert!(!is_listed(&role.list, &oaid(3), &keys));
    assert!(matches!(role.registry.copy_to_topic(&cluster), Err(RegistryError::NotBound)));
    role.handle.stop();
    alone.handle.stop();
}

#[test]
fn a_copy_that_was_cut_short_is_not_taken_for_a_registry() {
    let broker = Broker::shared();
    let (cluster, keys, settings) = (broker.cluster(), keys(), settings());
    let dir = tempfile::tempdir().expect("a folder");
    let alone =
        Role::start_with(dir.path(), settings.clone(), Arc::clone(&keys), event::clock::Clock::System);
    let (receipt, _) = lodge(&alone, 1);
    let record = Record::TakenBack(opt_out::record::TakenBack {
        receipt: opt_out::receipt::ReceiptId::parse(&receipt).expect("a number"),
        at_ms: 2,
        opted_out_ms: 1,
        source: opt_out::record::Source::Api,
        policy_version: 1,
        secret: opt_out::receipt::Secret::new([0; 32]).digest(),
    });
    let producer = cluster.producer().expect("a producer");
    let mut sent =
        producer.send(Topic::OptOuts, receipt.as_bytes(), &record.encode(), &[]).expect("there is room");
    sent.wait(PATIENCE).expect("in time").expect("acknowledged");
    let node = node(&cluster, &settings, &keys);
    wait_until("it says what is missing", || {
        node.state().refusal.is_some_and(|why| why.contains("receipts and no beginning"))
    });
    assert_eq!(alone.registry.copy_to_topic(&cluster).expect("copied"), Some(1));
    let role = role(&cluster, &settings, &keys);
    wait_until("a node that measures", || may_measure(&node));
    assert!(is_listed(node.list(), &oaid(1), &keys));
    role.handle.stop();
    alone.handle.stop();
}

#[test]
fn whoever_is_started_before_the_topics_finds_them_once_they_are_there() {
    let broker = Broker::shared();
    let cluster = broker.bare_cluster();
    let keys = keys();
    let impatient = opt_out::Limits { storage_seconds_max: 1, ..settings().limits };
    let settings = Settings { limits: impatient, ..settings() };
    let node = node(&cluster, &settings, &keys);
    let role = role(&cluster, &settings, &keys);
    assert_eq!(role.call("/v1/opt-outs", &ids_json(&[("oaid", &oaid(1))])).status, 503);
    assert!(!may_measure(&node));
    cluster.create_topics().expect("topics are made");
    wait_until("an opt-out", || role.call("/v1/opt-outs", &ids_json(&[("oaid", &oaid(1))])).status == 200);
    wait_until("a node that measures", || may_measure(&node));
    wait_until("the opt-out on the node", || is_listed(node.list(), &oaid(1), &keys));
    role.handle.stop();
}
