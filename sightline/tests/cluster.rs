//! The same program spread over processes: two ingest nodes, three Kafka nodes, two aggregators on one store, the opt-out role.
//!
//! Promise 10 (one machine or many: the same figures, one by one), and promise 1 while parts of the cluster die, pause, refuse or answer too late.
//! What is compared is what `chaos.rs` compares on one machine: what left and was answered, the nodes' journals, the reports of each aggregator.
//!
//! `SIGHTLINE_SEED` repeats a run's choices, `SIGHTLINE_SOAK` multiplies the rounds.

#![cfg(test)]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event::stage::Stage;
use serde_json::Value;
use test_server::Fault;

use support::cluster::{Cluster, EARLY};
use support::http::Connection;
use support::journal;
use support::load::{APP, Ledger, Sender};
use support::random::{Random, soak};
use support::truth::{Truth, compare, rows};
use support::{Instance, Options, signal, wait_for};

/// Requests of each sender of the known workload.
const STEPS: usize = 400;
/// Devices of the whole load.
const DEVICES: u64 = 300;
/// Longest wait for a state that comes by itself.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often each fault happens.
const EACH: u64 = 2;
/// How long all brokers are away.
const OUTAGE: Duration = Duration::from_mins(1);
/// How long the store refuses, and how long is sent before a fault and after it.
const SPELL: Duration = Duration::from_secs(3);
/// Pause of each sender between two requests: the faults are to meet a load, not a machine that is busy with itself.
const PACE: Duration = Duration::from_millis(4);
/// An answer of the store comes after this: longer than anybody waits for it (see `statement_seconds_max` of the cluster's aggregators).
const TOO_LATE: Duration = Duration::from_mins(1);
/// By how much an ingest node may grow while Kafka is away, bytes: queues and windows on the way to Kafka have named limits below that.
const GROWTH_BYTES_MAX: u64 = 160 << 20;

#[test]
fn a_known_workload_makes_the_figures_of_standalone_one_by_one() {
    let mut random = Random::announced("a_known_workload_makes_the_figures_of_standalone_one_by_one");
    let seeds: Vec<u64> = (0..4).map(|_| random.next()).collect();
    let times = [now_seconds(), now_seconds() - 86_400, now_seconds() - 2 * 86_400];
    let cluster = Cluster::start(2, 2);
    let alone = Instance::start(Options::default());
    // The same requests, in the same order by sender: to the nodes in turn, and to the machine alone.
    let mut ledger = Ledger::default();
    for (number, seed) in seeds.iter().enumerate() {
        let node = &cluster.ingest[number % cluster.ingest.len()];
        ledger.merge(send(node, number, *seed, &times));
        send(&alone, number, *seed, &times);
    }
    // A click does not wait for a slow disk, and is stored all the same.
    let refused = ledger.sent.iter().filter(|one| !one.is_answered && one.stage != Stage::Click).count();
    assert_eq!(refused, 0, "every beacon was answered as stored");
    cluster.drain();
    alone.settle();
    let settler = &cluster.aggregators[cluster.settler()];
    settler.settle();
    let expected = figures(&alone);
    for node in &cluster.aggregators {
        let found = figures(node);
        assert_eq!(found.len(), expected.len());
        for ((asked, found), (_, expected)) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{asked}: left the cluster, right standalone");
        }
    }
    let whole: usize = expected.iter().map(|(_, rows)| rows.len()).sum();
    println!(
        "{} beacons, {} reports of {whole} rows equal on both aggregators",
        ledger.sent.len(),
        expected.len()
    );

    // Who does not settle says so, and who asks for nothing wrong gets the same reports.
    let other = cluster.aggregators.iter().find(|node| node.pid() != settler.pid()).expect("two");
    let refused = other.try_ask("POST", "/v1/settle").expect("it answers");
    assert_eq!(refused.status, 409, "{}", refused.text());
    tokens_hold_on_every_aggregator(settler, other);
    a_campaign_is_set_up_on_the_settler_and_counts_on_every_node(&cluster, settler, other);
}

/// What is entered on the aggregator that settles is in force on all nodes, by way of the catalog's topic; nobody else takes it.
fn a_campaign_is_set_up_on_the_settler_and_counts_on_every_node(
    cluster: &Cluster,
    settler: &Instance,
    other: &Instance,
) {
    let ask = |node: &Instance, method: &str, target: &str, body: &str| {
        let token = format!("Bearer {}", node.secret("operator.token"));
        let mut connection = Connection::open(node.reports()).expect("it listens");
        connection.request(method, target, &[("authorization", &token)], body.as_bytes()).expect("it answers")
    };
    let wanted = r#"{"id":"spring","name":"Spring","time_zone":"UTC"}"#;
    let refused = ask(other, "POST", "/v1/campaigns", wanted);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (409, &"not_settler".into()));
    let made = ask(settler, "POST", "/v1/campaigns", wanted);
    assert_eq!(made.status, 201, "{}\n{}", made.text(), settler.log_tail());
    let sheet = "Placement ID,Placement name,Medium\nx1,First,One\nx2,Second,Two\n";
    let imported = ask(settler, "POST", "/v1/campaigns/spring/placements/import", sheet);
    assert_eq!(imported.status, 200, "{}\n{}", imported.text(), settler.log_tail());
    let version = imported.json()["version"].clone();
    let shown = ask(settler, "GET", "/v1/campaigns/spring", "").json();
    assert_eq!((&shown["version"], shown["placements"].as_array().map(Vec::len)), (&version, Some(2)));
    wait_for("the other aggregator has it", PATIENCE, || {
        let answer = ask(other, "GET", "/v1/campaigns/spring", "");
        answer.status == 200 && answer.json() == shown
    });
    for node in &cluster.ingest {
        let debug = node.secret("debug.key");
        wait_for("the tracker has it", PATIENCE, || {
            let mut connection = Connection::open(node.tracker()).expect("connects");
            let headers = [("x-sightline-debug", debug.as_str()), ("user-agent", APP)];
            let answer = connection.get("/i?c=spring&p=x2", &headers).expect("answers");
            answer.header("x-sightline-outcome") == Some("accepted")
        });
    }
    // What was there before is there still, and what is changed has to be what was read.
    assert_eq!(ask(settler, "GET", "/v1/campaigns/demo", "").status, 200);
    let stale = ask(settler, "PATCH", "/v1/campaigns/spring?version=00000000", r#"{"name":"S"}"#);
    assert_eq!(stale.status, 412, "{}", stale.text());
}

/// A token is made and revoked on the aggregator that settles, and opens all of them, and none of them five seconds later.
fn tokens_hold_on_every_aggregator(settler: &Instance, other: &Instance) {
    let ask = |node: &Instance, method: &str, target: &str, token: &str, body: &str| {
        let token = format!("Bearer {token}");
        let mut connection = Connection::open(node.reports()).expect("it listens");
        connection.request(method, target, &[("authorization", &token)], body.as_bytes()).expect("it answers")
    };
    let operator = |node: &Instance| node.secret("operator.token");
    let wanted = r#"{"name":"One","role":"medium","media":["One"]}"#;
    let refused = ask(other, "POST", "/v1/tokens", &operator(other), wanted);
    assert_eq!(refused.status, 409, "{}", refused.text());
    let made = ask(settler, "POST", "/v1/tokens", &operator(settler), wanted);
    assert_eq!(made.status, 201, "{}", made.text());
    let text = |name: &str| made.json()[name].as_str().expect("a text").to_owned();
    let (token, id) = (text("token"), text("id"));
    let opens = |node: &Instance| ask(node, "GET", "/v1/campaigns", &token, "").status == 200;
    assert!(opens(settler), "at once where it was made");
    wait_for("the other hears of it", PATIENCE, || opens(other));
    let revoked = ask(settler, "DELETE", &format!("/v1/tokens/{id}"), &operator(settler), "");
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let begun = Instant::now();
    assert!(!opens(settler), "at once where it was revoked");
    wait_for("the other hears of the revocation", PATIENCE, || !opens(other));
    assert!(begun.elapsed() < Duration::from_secs(5), "took {:?}", begun.elapsed());
}

fn send(node: &Instance, number: usize, seed: u64, times: &[i64]) -> Ledger {
    let mut sender = Sender::open(
        node.tracker(),
        &node.secret("debug.key"),
        &node.key_ring(),
        &format!("known-{number}"),
        Random::new(seed),
    )
    .expect("the tracker takes a connection")
    .sending(&format!("creative-{}", number % 3), DEVICES, times);
    for _ in 0..STEPS {
        sender.step().expect("answered");
    }
    sender.ledger
}

/// Every figure of the campaign, without what depends on when it was settled.
fn figures(node: &Instance) -> Vec<(String, Vec<Value>)> {
    let mut all = Vec::new();
    for filter in ["net", "gross"] {
        for by in ["total", "day", "placement", "medium", "creative", "platform", "hour", "region"] {
            for report in ["delivery", "reach", "frequency"] {
                let query = format!("by={by}&filter={filter}");
                let answer =
                    node.try_ask("GET", &format!("/v1/campaigns/demo/{report}?{query}")).expect("it answers");
                if answer.status == 422 {
                    // Not every report goes by everything.
                    continue;
                }
                assert_eq!(answer.status, 200, "{}", answer.text());
                let mut rows = rows(&answer.json()).clone();
                for row in rows.iter_mut().filter_map(Value::as_object_mut) {
                    row.remove("settled_until");
                }
                all.push((format!("{report}?{query}"), rows));
            }
        }
    }
    assert!(all.len() > 20, "only {} reports", all.len());
    all
}

/// What happens to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    KillIngest,
    KillAggregator,
    KillBroker,
    StopAllBrokers,
    PauseAggregator,
    StoreRefuses,
    StoreDropsTheAnswer,
    StoreTimesOut,
}

const BLOWS: [Blow; 8] = [
    Blow::KillIngest,
    Blow::KillAggregator,
    Blow::KillBroker,
    Blow::StopAllBrokers,
    Blow::PauseAggregator,
    Blow::StoreRefuses,
    Blow::StoreDropsTheAnswer,
    Blow::StoreTimesOut,
];

#[test]
fn whatever_part_dies_pauses_or_refuses_nothing_is_lost_and_nothing_counts_twice() {
    let mut random =
        Random::announced("whatever_part_dies_pauses_or_refuses_nothing_is_lost_and_nothing_counts_twice");
    let mut cluster = Cluster::start(2, 2);
    let mut blows: Vec<Blow> = (0..EACH * soak()).flat_map(|_| BLOWS).collect();
    for last in (1..blows.len()).rev() {
        blows.swap(last, random.below(last as u64 + 1) as usize);
    }
    let load = Load::start(&cluster, &mut random);
    for (round, blow) in blows.iter().enumerate() {
        let begun = Instant::now();
        rest(SPELL / 3 + Duration::from_millis(random.below(1000)));
        strike(&mut cluster, *blow, &load, &mut random);
        rest(SPELL / 2);
        println!("round {round}: {blow:?}, {:.1} s", begun.elapsed().as_secs_f64());
    }
    let ledger = load.stop();
    cluster.drain();
    let mut found = journal::Journal::default();
    for node in &mut cluster.ingest {
        assert!(node.terminate().success(), "{}", node.log_tail());
        found.merge(journal::read(&node.data()));
    }
    found.hold_against(&ledger);
    let truth = Truth::of(&found, &ledger);
    // What the nodes wrote last while they ended (their books) is consumed, too, before the figures are asked for.
    compare(&cluster.aggregators[cluster.settler()], &truth);
    let [one, other] = [0, 1].map(|n| figures(&cluster.aggregators[n]));
    assert_eq!(one, other, "both aggregators say the same");
    println!(
        "{} blows: {} beacons sent, {} answered as stored, {} in the journals of {} incarnations, {:?}",
        blows.len(),
        ledger.sent.len(),
        ledger.answered(),
        found.event_count,
        found.incarnations,
        truth.total()
    );
}

fn strike(cluster: &mut Cluster, blow: Blow, load: &Load, random: &mut Random) {
    match blow {
        Blow::KillIngest => {
            let number = random.below(cluster.ingest.len() as u64) as usize;
            cluster.ingest[number].kill9();
            cluster.ingest[number].restart();
            load.moved(number, &cluster.ingest[number]);
        }
        Blow::KillAggregator => {
            let number = random.below(cluster.aggregators.len() as u64) as usize;
            cluster.aggregators[number].kill9();
            rest(Duration::from_millis(random.below(3000)));
            cluster.aggregators[number].restart();
        }
        Blow::KillBroker => {
            let node = 1 + random.below(3) as usize;
            cluster.broker.kill_node(node);
            rest(Duration::from_millis(random.below(3000)));
            cluster.broker.restart_node(node);
        }
        Blow::StopAllBrokers => stop_all_brokers(cluster, load),
        Blow::PauseAggregator => pause_aggregator(cluster, random),
        Blow::StoreRefuses => {
            cluster.store_faults().refuse(true);
            rest(SPELL);
            cluster.store_faults().clear();
        }
        Blow::StoreDropsTheAnswer => {
            // The block is stored, and whoever sent it never hears of it.
            let times = 1 + random.below(4);
            cluster.store_faults().next("INSERT INTO events", Fault::CutAfter, times);
            rest(SPELL);
            cluster.store_faults().clear();
        }
        Blow::StoreTimesOut => {
            // The same, but the connection stays: the sender gives up by its own clock.
            let failed = || -> u64 {
                cluster.aggregators.iter().map(|node| node.metric("aggregator_inserts_failed_total")).sum()
            };
            let before = failed();
            cluster.store_faults().next("INSERT INTO events", Fault::LateAfter(TOO_LATE), 1);
            wait_for("an insert is given up", PATIENCE, || failed() > before);
            cluster.store_faults().clear();
        }
    }
}

/// Measuring goes on for a minute without any Kafka: every beacon is stored, the answers are as fast, memory stays bounded, and what piled up
/// drains afterwards.
fn stop_all_brokers(cluster: &Cluster, load: &Load) {
    let before = load.pace();
    let resident: Vec<u64> = cluster.ingest.iter().map(Instance::resident_bytes).collect();
    cluster.broker.kill();
    load.begin_pace();
    let refused_before = load.refused();
    rest(OUTAGE);
    let during = load.pace();
    assert_eq!(load.refused(), refused_before, "a beacon was refused while Kafka was away");
    let backlog: u64 = cluster.ingest.iter().map(|node| node.metric("ingest_forward_backlog_bytes")).sum();
    assert!(backlog > 0, "nothing piled up: was Kafka away?");
    for (node, before) in cluster.ingest.iter().zip(resident) {
        let grown = node.resident_bytes().saturating_sub(before);
        assert!(grown < GROWTH_BYTES_MAX, "an ingest node grew by {grown} bytes");
    }
    cluster.broker.restart();
    println!(
        "  brokers away for {} s: answers before p50 {:?} p99 {:?}, during p50 {:?} p99 {:?} of {}, {backlog} bytes piled up",
        OUTAGE.as_secs(),
        before.p50,
        before.p99,
        during.p50,
        during.p99,
        during.count
    );
    assert!(during.count > 1000, "only {} answers while Kafka was away", during.count);
    // As fast: the medians are compared with room for the machine's moods; a wait for Kafka would be seconds.
    assert!(during.p50 <= before.p50 * 3 + Duration::from_millis(5), "{during:?} after {before:?}");
    let drained = || cluster.ingest.iter().all(|node| node.metric("ingest_forward_backlog_bytes") < 200_000);
    wait_for("the backlog drains", PATIENCE, drained);
}

/// One aggregator stands still until the group has given its partitions away, and then goes on as if nothing had been.
fn pause_aggregator(cluster: &Cluster, random: &mut Random) {
    let number = random.below(cluster.aggregators.len() as u64) as usize;
    let (paused, other) = (&cluster.aggregators[number], &cluster.aggregators[1 - number]);
    let rebalances = other.metric("aggregator_rebalances_total");
    signal(&paused.pid().to_string(), "STOP");
    wait_for("the other aggregator takes its partitions over", PATIENCE, || {
        other.metric("aggregator_rebalances_total") > rebalances
    });
    rest(SPELL);
    signal(&paused.pid().to_string(), "CONT");
}

/// Senders that go on whatever happens, two to a node.
struct Load {
    targets: Vec<Arc<Mutex<(SocketAddr, String)>>>,
    stop: Arc<AtomicBool>,
    times: Arc<Mutex<Vec<Duration>>>,
    refused: Arc<std::sync::atomic::AtomicU64>,
    threads: Vec<std::thread::JoinHandle<Ledger>>,
}

/// How fast answers came.
#[derive(Clone, Copy, Debug)]
struct Pace {
    p50: Duration,
    p99: Duration,
    count: usize,
}

impl Load {
    fn start(cluster: &Cluster, random: &mut Random) -> Self {
        let target = |node: &Instance| Arc::new(Mutex::new((node.tracker(), node.secret("debug.key"))));
        let mut load = Self {
            targets: cluster.ingest.iter().map(target).collect(),
            stop: Arc::default(),
            times: Arc::default(),
            refused: Arc::default(),
            threads: Vec::new(),
        };
        for number in 0..2 * load.targets.len() {
            let target = Arc::clone(&load.targets[number % load.targets.len()]);
            let (stop, times, refused) =
                (Arc::clone(&load.stop), Arc::clone(&load.times), Arc::clone(&load.refused));
            let (keys, random) = (cluster.ingest[0].key_ring(), Random::new(random.next()));
            load.threads.push(std::thread::spawn(move || {
                let (address, debug_key) = locked(&target).clone();
                let client_times = [now_seconds(), now_seconds() - 86_400];
                let mut sender = Sender::open(address, &debug_key, &keys, &format!("load-{number}"), random)
                    .expect("the tracker takes a connection")
                    .sending(&format!("creative-{}", number % 3), DEVICES, &client_times);
                while !stop.load(Ordering::Acquire) {
                    let (begun, before) = (Instant::now(), sender.ledger.sent.len());
                    if sender.step().is_err() {
                        // The node was killed: it comes back, perhaps elsewhere.
                        rest(Duration::from_millis(50));
                        let (address, debug_key) = locked(&target).clone();
                        let _ = sender.reconnect(address, &debug_key);
                        continue;
                    }
                    locked(&times).push(begun.elapsed());
                    refused.fetch_add(refused_since(&sender.ledger, before), Ordering::AcqRel);
                    rest(PACE);
                }
                sender.ledger
            }));
        }
        load
    }

    /// A node is elsewhere now.
    fn moved(&self, number: usize, node: &Instance) {
        *locked(&self.targets[number]) = (node.tracker(), node.secret("debug.key"));
    }

    fn begin_pace(&self) {
        locked(&self.times).clear();
    }

    fn pace(&self) -> Pace {
        let mut times = locked(&self.times).clone();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        Pace { p50: at(50), p99: at(99), count: times.len() }
    }

    /// Beacons that were answered as not stored.
    fn refused(&self) -> u64 {
        self.refused.load(Ordering::Acquire)
    }

    fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::Release);
        let mut ledger = Ledger::default();
        for thread in self.threads {
            ledger.merge(thread.join().expect("a sender does not fail"));
        }
        ledger
    }
}

/// How many of the beacons that came after were answered as not stored.
fn refused_since(ledger: &Ledger, before: usize) -> u64 {
    let after = ledger.sent[before..].iter();
    // A click lands before its record is confirmed.
    after.filter(|one| !one.is_answered && one.stage != Stage::Click).count() as u64
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets time pass while others work: the length of a blow is part of the test, not a wait for a condition.
fn rest(length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1).min(until.saturating_duration_since(Instant::now())));
    }
}

#[test]
fn an_opt_out_lodged_on_one_machine_holds_on_the_others_and_a_node_that_hears_nothing_stops() {
    let cluster = Cluster::start(2, 1);
    let device = "11111111-2222-4333-8444-555555555555";
    let sent = |node: &Instance, request: &str, device: &str| {
        let mut connection = Connection::open(node.tracker()).expect("connects");
        let target = format!("/i?c=demo&p=p1&rid={request}&os=android&oaid={device}");
        connection.get(&target, &[("user-agent", APP)]).expect("answers").status
    };
    let stored = |node: &Instance, request: &str| sent(node, request, device);
    for (number, node) in cluster.ingest.iter().enumerate() {
        assert_eq!(stored(node, &format!("before-{number}")), 200);
        assert_eq!(sent(node, &format!("early-{number}"), EARLY), 200);
    }
    let answer = cluster.lodge("oaid", device);
    assert_eq!(answer.status, 200, "{}", answer.text());
    // One second after the answer it holds everywhere.
    rest(Duration::from_secs(1));
    for (number, node) in cluster.ingest.iter().enumerate() {
        assert_eq!(stored(node, &format!("after-{number}")), 200, "its caller sees no difference");
    }
    let opted_out = "ingest_beacons_total{outcome=\"opted_out\"}";
    wait_for("both nodes left it out", PATIENCE, || {
        cluster.ingest.iter().all(|node| node.metric(opted_out) == 2)
    });
    cluster.drain();
    let delivery = cluster.aggregators[0].report("demo/delivery", "by=total&filter=gross");
    assert_eq!(rows(&delivery)[0]["impressions"], 2, "only those before: {delivery}");

    publish_another_catalog(&cluster, &sent);

    // Without Kafka the opt-out role's own heartbeats keep the nodes measuring; without that, too, they stop within the lease.
    cluster.broker.kill();
    rest(Duration::from_secs(7));
    assert_eq!(stored(&cluster.ingest[0], "kafka-away"), 200, "{}", cluster.ingest[0].log_tail());
    let refused = cluster.lodge("oaid", "22222222-2222-4333-8444-555555555555");
    assert_eq!(refused.status, 503, "{}", refused.text());
    signal(&cluster.opt_out.pid().to_string(), "STOP");
    let begun = Instant::now();
    wait_for("the node stops measuring", Duration::from_secs(10), || {
        stored(&cluster.ingest[0], "deaf") == 503
    });
    let stopped_after = begun.elapsed();
    // The bound that promise 4 names, with a moment for the request that finds it out.
    assert!(stopped_after < Duration::from_millis(5_500), "it measured for {stopped_after:?} more");
    let mut connection = Connection::open(cluster.ingest[0].tracker()).expect("connects");
    let click = connection.get("/c?c=demo&p=p1&u=https%3A%2F%2Fwww.example.com%2F", &[("user-agent", APP)]);
    assert_eq!(click.expect("answers").status, 302, "a click lands all the same");
    let ready =
        Connection::open(cluster.ingest[0].admin()).and_then(|mut c| c.get("/ready", &[])).expect("answers");
    assert_eq!(ready.status, 503, "{}", ready.text());
    signal(&cluster.opt_out.pid().to_string(), "CONT");
    wait_for("it measures again", PATIENCE, || stored(&cluster.ingest[0], "again") == 200);
    println!("stopped measuring {stopped_after:?} after the last that could be heard");
}

/// A catalog that is published while the nodes run is in force on all of them, and each event says by which one it was resolved.
fn publish_another_catalog(cluster: &Cluster, sent: &dyn Fn(&Instance, &str, &str) -> u16) {
    let text = support::CATALOG.replace("name = \"End to end\"", "name = \"Renamed\"");
    let (before, after) = [support::CATALOG, &text]
        .map(|text| catalog::Catalog::parse(text, "catalog").expect("right").version)
        .into();
    assert_ne!(before, after);
    let file = cluster.shared().join("renamed.toml");
    std::fs::write(&file, &text).expect("written");
    let arguments = ["catalog", "publish", file.to_str().expect("ASCII"), "--config", "config.toml"];
    let published = cluster.opt_out.command(&arguments);
    let said = String::from_utf8_lossy(&published.stdout).into_owned();
    assert!(published.status.success() && said.contains(&format!("{after:08x} published")), "{said}");
    wait_for("both nodes have it", PATIENCE, || {
        cluster.ingest.iter().all(|node| node.metric("catalog_loads_total{result=\"taken\"}") == 2)
    });
    for (number, node) in cluster.ingest.iter().enumerate() {
        assert_eq!(sent(node, &format!("renamed-{number}"), "33333333-2222-4333-8444-555555555555"), 200);
        let versions = journal::catalog_versions(&node.data());
        let keys = node.key_ring();
        let at = |request: String| versions.get(&keys.view_hash(request.as_bytes())).copied();
        assert_eq!(at(format!("before-{number}")), Some(before));
        assert_eq!(at(format!("renamed-{number}")), Some(after));
    }
}

/// The opt-out role takes a request, another process carries it out, and no aggregator brings back what was erased.
#[test]
fn a_persons_request_is_carried_out_by_an_aggregator_elsewhere() {
    let cluster = Cluster::start(1, 2);
    let [own, other] = ["11111111-2222-4333-8444-555555555555", "22222222-2222-4333-8444-555555555555"];
    let fire = |device: &str, request: &str| {
        let mut connection = Connection::open(cluster.ingest[0].tracker()).expect("connects");
        let target = format!("/i?c=demo&p=p1&rid={request}&os=android&oaid={device}");
        assert_eq!(connection.get(&target, &[("user-agent", APP)]).expect("answers").status, 200);
    };
    for (number, device) in [own, own, own, other].into_iter().enumerate() {
        fire(device, &format!("view-{number}"));
    }
    let reach = || {
        cluster.drain();
        let found = [0, 1].map(|n| {
            let report = cluster.aggregators[n].report("demo/reach", "");
            let row = rows(&report)[0].clone();
            (row["reach"].as_u64(), row["impressions"].as_u64())
        });
        assert_eq!(found[0], found[1], "both aggregators say the same");
        found[0]
    };
    assert_eq!(reach(), (Some(2), Some(4)));

    let page = || Connection::open(cluster.opt_out.opt_out()).expect("connects");
    let body = serde_json::json!({"ids": [{"kind": "oaid", "value": own}]});
    let mut held = Vec::new();
    for (number, path) in ["/v1/copies", "/v1/erasures"].into_iter().enumerate() {
        let asked = page().post_json(path, &[], &body).expect("an answer");
        assert_eq!(asked.status, 202, "{}", asked.text());
        let (receipt, secret) = (asked.json()["receipt"].clone(), asked.json()["secret"].clone());
        let data = cluster.opt_out.data().display().to_string();
        let number = (number + 1).to_string();
        let shown = ["requests", "match", &number, "--kind", "oaid", "--data", &data];
        assert!(cluster.opt_out.command_with(&shown, own).status.success());
        let accepted = cluster.opt_out.command(&["requests", "accept", &number, "--data", &data]);
        assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
        let path = format!("/v1/requests/{}", receipt.as_str().expect("a receipt"));
        let bearer = format!("Bearer {}", secret.as_str().expect("a secret"));
        let mut told = Value::Null;
        wait_for("the request to be carried out", PATIENCE, || {
            told = page().get(&path, &[("authorization", &bearer)]).expect("an answer").json();
            told["state"] != "running"
        });
        assert_eq!((&told["state"], &told["result"]["hits"]), (&"done".into(), &3.into()), "{told}");
        held.push((path, bearer));
        let (path, bearer) = &held[0];
        let answer = page().get(&format!("{path}/copy"), &[("authorization", bearer)]).expect("an answer");
        if held.len() > 1 {
            assert_eq!(answer.status, 404, "the erasure took it along");
            break;
        }
        let copy = answer.json();
        assert_eq!((&copy["number_of_rows"], &copy["complete"]), (&3.into(), &true.into()));
        assert!(!copy.to_string().contains(own));
    }
    assert_eq!((reach(), held.len()), ((Some(1), Some(4)), 2));

    // Both aggregators have heard of it, whoever loads: only what comes now is a device again.
    fire(own, "view-later");
    assert_eq!(reach(), (Some(2), Some(5)));

    // Without the operator's token nobody erases.
    for headers in [&[][..], &[("authorization", "Bearer wrong")]] {
        let mut admin = Connection::open(cluster.aggregators[0].admin()).expect("connects");
        let asked = serde_json::json!({"request": 1, "devices": ["00".repeat(16)], "until_ms": 1});
        let answer = admin.post_json("/v1/rights/erasures", headers, &asked).expect("an answer");
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
}

fn now_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}
