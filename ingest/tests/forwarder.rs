//! From the journal to a real Kafka: whole, in order, through the death of the broker and of the forwarder.

#[path = "../../kafka/tests/support/mod.rs"]
mod broker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Broker;
use ingest::forwarder;
use journal::{Lane, Writer};
use kafka::{Cluster, frame};

const STEP: Duration = Duration::from_millis(50);
const DEADLINE: Duration = Duration::from_mins(1);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn lane(dir: &std::path::Path) -> Writer {
    Lane::open(dir, journal::Settings::default(), Arc::new(|| 1_795_262_400_000)).expect("a lane").0
}

fn append(lane: &Writer, numbers: std::ops::Range<u64>, record_bytes: usize) {
    let commits: Vec<_> = numbers
        .map(|n| {
            let mut record = n.to_le_bytes().to_vec();
            record.resize(record_bytes.max(8), 7);
            lane.append(&record).expect("taken")
        })
        .collect();
    lane.flush();
    for commit in commits {
        commit.wait().expect("committed");
    }
}

fn cursor_lag(lane: &Writer) -> u64 {
    let cursors = lane.cursors();
    let cursor =
        cursors.iter().find(|cursor| cursor.name == forwarder::CURSOR).expect("the forwarder's cursor");
    cursor.lag_bytes
}

#[test]
fn every_record_reaches_the_topic_under_its_identity() {
    let broker = Broker::start(1);
    let cluster = Cluster::new(&broker.settings).expect("settings");
    cluster.create_topics().expect("made");
    let dirs = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let mut lanes: Vec<Writer> = dirs.iter().map(|dir| lane(dir.path())).collect();

    // Before there is a forwarder, while it runs, and while Kafka is dead.
    append(&lanes[0], 0..500, 60);
    let running = forwarder::start(cluster.clone(), &lanes).expect("runs");
    append(&lanes[0], 500..1000, 60);
    append(&lanes[1], 0..300, 5_000);
    until("the first part is acknowledged", || lanes.iter().all(|lane| cursor_lag(lane) == 0));
    broker.kill();
    append(&lanes[0], 1000..1500, 60);
    append(&lanes[1], 300..600, 60);
    assert!(cursor_lag(&lanes[0]) > 0, "what Kafka did not take is kept");

    // The forwarder ends without having got rid of it; the next one begins where the cursor stands.
    let begun = Instant::now();
    running.stop(Duration::from_millis(300));
    assert!(begun.elapsed() < Duration::from_secs(20), "a stop does not wait for Kafka");
    for lane in lanes.drain(..) {
        lane.close();
    }
    let lanes: Vec<Writer> = dirs.iter().map(|dir| lane(dir.path())).collect();
    let running = forwarder::start(cluster.clone(), &lanes).expect("runs without a Kafka");
    append(&lanes[0], 1500..1600, 60);
    broker.restart();
    for lane in &lanes {
        lane.close();
    }
    running.stop(DEADLINE);
    let lags: Vec<u64> = lanes.iter().map(cursor_lag).collect();
    assert_eq!(lags, [0, 0], "a stop waits until all is acknowledged");

    let mut consumer = cluster.events().expect("a member");
    let mut seen: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut last_of_journal: BTreeMap<u64, u64> = BTreeMap::new();
    until("all records", || {
        if let Some(message) = consumer.poll(STEP).expect("readable") {
            let frame = frame::decode(&message.value).expect("a frame");
            assert_eq!(message.key, frame.journal_id.to_le_bytes());
            assert_eq!(frame.lost_before, 0);
            for (seq, record) in frame.records() {
                let number = u64::from_le_bytes(record[..8].try_into().expect("eight bytes"));
                let known = seen.insert((frame.journal_id, seq), number);
                assert!(known.is_none_or(|known| known == number), "one identity, two records");
                let last = last_of_journal.insert(frame.journal_id, seq);
                assert!(
                    known.is_some() || last.is_none_or(|last| last + 1 == seq),
                    "in the order of the journal"
                );
            }
        }
        seen.len() >= 2200
    });
    let mut numbers: Vec<u64> = seen.into_values().collect();
    numbers.sort_unstable();
    let mut wanted: Vec<u64> = (0..1600).chain(0..600).collect();
    wanted.sort_unstable();
    assert_eq!(numbers, wanted);
    consumer.close();
}

/// A broker that knows its users; nobody but the administrator may do anything yet.
fn guarded() -> (Broker, tempfile::TempDir) {
    let plain = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    let properties = [
        "listener.security.protocol.map=CLIENT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        "sasl.enabled.mechanisms=PLAIN".to_owned(),
        "sasl.mechanism.inter.broker.protocol=PLAIN".to_owned(),
        format!(
            "listener.name.client.plain.sasl.jaas.config={plain} username=\"admin\" password=\"admin\" user_admin=\"admin\" \
             user_ingest=\"ingest\";"
        ),
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
        // The controller's listener, which nobody but the broker itself uses, knows no names.
        "super.users=User:admin;User:ANONYMOUS".to_owned(),
    ];
    let dir = tempfile::tempdir().expect("a folder");
    let client = format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config={plain} username=\"admin\" password=\"admin\";\n"
    );
    std::fs::write(dir.path().join("admin.properties"), client).expect("written");
    (Broker::start_with(1, &properties), dir)
}

fn user(broker: &Broker, dir: &std::path::Path, name: &str) -> Cluster {
    use std::os::unix::fs::PermissionsExt;
    let file = dir.join(name);
    std::fs::write(&file, name).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let properties =
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.username", name)];
    let settings = kafka::Settings {
        properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        sasl_password_file: Some(file),
        ..broker.settings.clone()
    };
    Cluster::new(&settings).expect("settings")
}

/// Without any right to write, Kafka gives a producer no number for its messages, which ends it for good. The rights come later: only a new producer
/// can use them.
#[test]
fn a_producer_that_ended_for_good_is_replaced() {
    let (broker, dir) = guarded();
    let admin = dir.path().join("admin.properties").display().to_string();
    let allow = |what: &[&str]| {
        let common = ["--command-config", &admin, "--add", "--allow-principal", "User:ingest"];
        broker.tool("org.apache.kafka.tools.AclCommand", &[common.as_slice(), what].concat());
    };
    user(&broker, dir.path(), "admin").create_topics().expect("made");
    allow(&["--operation", "Describe", "--topic", "sightline.events"]);
    let cluster = user(&broker, dir.path(), "ingest");

    let producer = cluster.producer().expect("a producer");
    let mut delivery = producer.send(kafka::Topic::Events, b"k", b"v", &[]).expect("there is room");
    until("the fate of a message that may not be sent", || {
        delivery.wait(STEP).is_some_and(|fate| fate.is_err())
    });
    until("the end of the producer", || producer.is_fatal().is_some());

    let lane_dir = tempfile::tempdir().expect("a folder");
    let lane = lane(lane_dir.path());
    append(&lane, 0..100, 60);
    let running = forwarder::start(cluster, std::slice::from_ref(&lane)).expect("runs");
    // As long as the first producer takes to end, and several times.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert!(cursor_lag(&lane) > 0 && running.is_running(), "nothing may be sent yet");
        std::thread::sleep(STEP);
    }
    allow(&["--operation", "Write", "--topic", "sightline.events"]);
    until("the frames go after all", || cursor_lag(&lane) == 0);
    lane.close();
    running.stop(DEADLINE);
}
