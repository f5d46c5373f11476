//! Promise 1 (an answered beacon is a durable beacon, counted once) against `kill -9` at random moments, and against a kill at each
//! rename of an insert and of a generation switch.
//!
//! What is compared: the notes of the senders (what left, what was answered as stored), the records in the journal, the reports. For each view
//! and stage the journal must hold at least what was answered and at most what was sent; the figures must be those that plain code
//! computes from the journal's records; the books must balance at each of their records.
//!
//! `SIGHTLINE_SEED` repeats a run's choices, `SIGHTLINE_SOAK` multiplies the rounds.

#![cfg(test)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use support::journal::{self, Journal};
use support::load::{Ledger, Sender};
use support::random::{Random, soak};
use support::truth::{Truth, compare, compare_unsettled, number};
use support::{Instance, Options, program, signal, wait_for};

/// Rounds of load, kill and restart.
const ROUNDS: u64 = 50;
/// Connections in a round.
const SENDERS: u64 = 3;
/// Devices of the whole load.
const DEVICES: u64 = 400;
/// Shortest and longest load before a kill, milliseconds.
const LOAD_MS: (u64, u64) = (30, 300);
/// The same for loads during which each lane writes its books, once a second; and how many of a hundred rounds have such a load.
const LONG_LOAD_MS: (u64, u64) = (900, 2_500);
const LONG_LOAD_PERCENT: u64 = 12;
/// How often in a hundred rounds the process is killed while it starts instead.
const START_KILLED_PERCENT: u64 = 10;
/// Longest start that is cut short, milliseconds.
const START_MS_MAX: u64 = 900;

#[test]
fn killed_at_random_moments_it_loses_nothing_and_counts_nothing_twice() {
    let mut random = Random::announced("killed_at_random_moments_it_loses_nothing_and_counts_nothing_twice");
    let mut instance = Instance::start(Options::default());
    let debug_key = instance.secret("debug.key");
    let mut ledger = Ledger::default();
    let rounds = ROUNDS * soak();
    for round in 0..rounds {
        let before = ledger.answered();
        let (shortest, longest) = if random.percent(LONG_LOAD_PERCENT) { LONG_LOAD_MS } else { LOAD_MS };
        let load = Duration::from_millis(shortest + random.below(longest - shortest));
        ledger.merge(load_and_kill(&mut instance, &debug_key, round, load, &mut random));
        assert!(round % 10 != 9 || ledger.answered() > before, "round {round}: nothing was answered");
        let journal = journal::read(&instance.data());
        journal.hold_against(&ledger);
        if random.percent(START_KILLED_PERCENT) {
            instance.start_and_kill_after(Duration::from_millis(random.below(START_MS_MAX)));
        }
        instance.restart();
        if round % 5 == 4 {
            compare(&instance, &Truth::of(&journal, &ledger));
        }
    }
    let status = instance.terminate();
    assert!(status.success(), "{status}\n{}", instance.log_tail());
    let verified = instance.command(&["journal", "verify", "data/journal"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let journal = journal::read(&instance.data());
    journal.hold_against(&ledger);
    assert!(journal.incarnations > rounds && !journal.books.is_empty(), "{journal:?}");
    instance.restart();
    let truth = Truth::of(&journal, &ledger);
    compare(&instance, &truth);
    compare_books(&instance, &journal);
    println!(
        "{rounds} kills: {} beacons sent, {} answered as stored, {} in the journal, books of {} of {} incarnations, {:?}",
        ledger.sent.len(),
        ledger.answered(),
        journal.event_count,
        journal.books.len(),
        journal.incarnations,
        truth.total()
    );
}

/// Sends over several connections for `load`, then kills the process; what was sent.
fn load_and_kill(
    instance: &mut Instance,
    debug_key: &str,
    round: u64,
    load: Duration,
    random: &mut Random,
) -> Ledger {
    let is_killed = AtomicBool::new(false);
    let times = [now_seconds(), now_seconds() - 86_400];
    let creative = format!("round-{round}");
    let (address, keys) = (instance.tracker(), instance.key_ring());
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| {
                let random = Random::new(random.next());
                let (is_killed, creative, keys) = (&is_killed, &creative, &keys);
                scope.spawn(move || {
                    let name = format!("v{round}-{number}");
                    let mut sender = Sender::open(address, debug_key, keys, &name, random)
                        .expect("the tracker takes a connection")
                        .sending(creative, DEVICES, &times);
                    if let Err(error) = sender.run(is_killed) {
                        assert!(
                            is_killed.load(Ordering::Acquire),
                            "{name}: {error}, and nobody had killed it yet"
                        );
                    }
                    sender.ledger
                })
            })
            .collect();
        let moment = Instant::now() + load;
        while Instant::now() < moment {
            std::thread::sleep(Duration::from_millis(1));
        }
        is_killed.store(true, Ordering::Release);
        instance.kill9();
        let mut ledger = Ledger::default();
        for sender in senders {
            ledger.merge(sender.join().expect("a sender does not fail"));
        }
        ledger
    })
}

/// The report API shows the last books of every incarnation as the journal holds them.
fn compare_books(instance: &Instance, journal: &Journal) {
    let books = instance.books();
    let listed: HashMap<u64, &Value> = books["journals"]
        .as_array()
        .expect("books by journal")
        .iter()
        .map(|row| (row["journal"].as_str().and_then(|id| id.parse().ok()).expect("a journal's id"), row))
        .collect();
    for (id, counts) in &journal.books {
        let row = listed.get(id).unwrap_or_else(|| panic!("no books of journal {id}: {books}"));
        let outcomes: u64 =
            row["outcomes"].as_object().expect("outcomes").values().filter_map(Value::as_u64).sum();
        let shown = [number(row, "received"), number(row, "pending"), outcomes];
        assert_eq!(
            shown,
            [counts.received, counts.pending, counts.outcomes.iter().sum()],
            "journal {id}: {row}"
        );
        assert_eq!(row["balanced"], true, "{row}");
    }
    assert_eq!(books["total"]["balanced"], true, "{books}");
    assert_eq!(books["records_set_aside"], 0, "{books}");
}

/// Beacons before each kill at a rename.
const RENAME_STEPS: usize = 12;
/// How long each rename is held up before it is done, microseconds: long enough to see it and kill.
const RENAME_DELAY_US: u32 = 30_000;
/// More renames than an insert into two days and their settling can have.
const RENAMES_MAX: usize = 400;
/// Longest wait for the tracing to begin, seconds.
const TRACE_SECONDS_MAX: u64 = 20;

/// The process is traced, each rename is held up before it happens, and the process is killed at the first, the second … of them, until an
/// insert and a settling get through with fewer renames than that.
#[test]
fn killed_at_each_rename_of_an_insert_and_of_a_generation_switch_the_figures_are_right() {
    let mut random = Random::announced(
        "killed_at_each_rename_of_an_insert_and_of_a_generation_switch_the_figures_are_right",
    );
    let mut instance = Instance::start(Options::default());
    let debug_key = instance.secret("debug.key");
    let mut ledger = Ledger::default();
    let mut killed_at = Vec::new();
    let mut before = Truth::default();
    loop {
        let target = killed_at.len() + 1;
        assert!(target <= RENAMES_MAX, "more than {RENAMES_MAX} renames: {killed_at:#?}");
        let renames = Renames::watch(&instance);
        let name = format!("rename-{target}");
        ledger.merge(send_some(&instance, &debug_key, &name, &mut random));
        let hit = settle_and_kill_at(&mut instance, &renames, target);
        drop(renames);
        let Some(hit) = hit else { break };
        killed_at.push(hit);
        instance.restart();
        let journal = journal::read(&instance.data());
        journal.hold_against(&ledger);
        let truth = Truth::of(&journal, &ledger);
        compare_unsettled(&instance, &before, &truth);
        compare(&instance, &truth);
        before = truth;
    }
    let journal = journal::read(&instance.data());
    compare(&instance, &Truth::of(&journal, &ledger));
    println!("{} kills:\n{}", killed_at.len(), killed_at.join("\n"));
    // Of which kind they were: parts of one partition (marks, the row that publishes a generation), of a day (events), of a day's
    // generation (figures), and the cursor of the journal.
    let part = |line: &&String, partition: fn(&str) -> bool| {
        let name = line.split("/tmp_insert_").nth(1).and_then(|rest| rest.split('_').next());
        name.is_some_and(partition)
    };
    let count = |partition: fn(&str) -> bool| killed_at.iter().filter(|line| part(line, partition)).count();
    let kinds = [
        count(|partition| partition == "all"),
        count(|partition| partition.len() == 8),
        count(|partition| partition.contains('-')),
        killed_at.iter().filter(|line| line.contains("aggregator.cursor")).count(),
    ];
    assert!(kinds.iter().all(|kind| *kind > 0), "a kind of rename was never hit: {kinds:?}");
}

/// A few beacons of two days.
fn send_some(instance: &Instance, debug_key: &str, name: &str, random: &mut Random) -> Ledger {
    let times = [now_seconds(), now_seconds() - 86_400];
    let (keys, own) = (instance.key_ring(), Random::new(random.next()));
    let mut sender = Sender::open(instance.tracker(), debug_key, &keys, name, own)
        .expect("the tracker takes a connection")
        .sending(name, DEVICES, &times);
    for step in 0..RENAME_STEPS {
        if sender.step().is_err() {
            // A rename of the consumer came before the settling was asked for.
            assert!(step > 0, "not even one beacon was taken");
            break;
        }
    }
    sender.ledger
}

/// Asks for settling, and kills the process at the given rename; its line in the trace. `None` if settling was done before there were as many.
fn settle_and_kill_at(instance: &mut Instance, renames: &Renames, target: usize) -> Option<String> {
    let is_settled = AtomicBool::new(false);
    let deadline = Instant::now() + Duration::from_secs(RENAME_SECONDS_MAX);
    let hit = std::thread::scope(|scope| {
        let asked: &Instance = instance;
        let settling = scope.spawn(|| {
            let answer = asked.try_ask("POST", "/v1/settle");
            is_settled.store(true, Ordering::Release);
            answer
        });
        let hit = loop {
            // Settled first, then looked: else a rename between the two looks would be missed.
            let settled = is_settled.load(Ordering::Acquire);
            let lines = renames.lines();
            if let Some(line) = lines.get(target - 1) {
                signal(&asked.pid().to_string(), "KILL");
                break Some(line.clone());
            }
            if settled {
                break None;
            }
            assert!(Instant::now() < deadline, "neither settled nor {target} renames: {lines:?}");
            std::thread::sleep(Duration::from_millis(1));
        };
        let answer = settling.join().expect("asking does not fail");
        if hit.is_none() {
            let answer = answer.expect("a process that was not killed answers");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        hit
    });
    if hit.is_some() {
        wait_for("the killed process is gone", Duration::from_secs(TRACE_SECONDS_MAX), || {
            instance.has_ended()
        });
    }
    hit
}

/// Longest wait for a rename or the end of settling, seconds.
const RENAME_SECONDS_MAX: u64 = 120;

/// A tracer that holds up every rename of a process and writes it down before it happens. (`when=` of the tracer counts for each thread by
/// itself, and the engine has many: so the count is taken here.)
struct Renames {
    tracer: Child,
    trace: tempfile::NamedTempFile,
}

impl Renames {
    fn watch(instance: &Instance) -> Self {
        const CALLS: &str = "rename,renameat,renameat2";
        let trace = tempfile::NamedTempFile::new().expect("a file");
        let said = tempfile::NamedTempFile::new().expect("a file");
        let tracer = Command::new(program(&["strace"]))
            .args(["-f", "-p", &instance.pid().to_string(), "-e", &format!("trace={CALLS}")])
            .args(["-e", &format!("inject={CALLS}:delay_enter={RENAME_DELAY_US}"), "-o"])
            .arg(trace.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.reopen().expect("a second handle"))
            .spawn()
            .expect("strace runs");
        let mut renames = Self { tracer, trace };
        wait_for("strace is attached", Duration::from_secs(TRACE_SECONDS_MAX), || {
            let text = fs::read_to_string(said.path()).expect("it can be read");
            let ended = renames.tracer.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "strace ended: {text}");
            text.contains("attached")
        });
        renames
    }

    /// The renames so far, each as it was begun.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.trace.path()).expect("it can be read");
        text.lines()
            .filter(|line| line.contains("rename") && !line.contains("resumed"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Renames {
    fn drop(&mut self) {
        // Asked, not killed: it lets go of the process before it ends.
        signal(&self.tracer.id().to_string(), "INT");
        let _ = self.tracer.wait();
    }
}

fn now_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}
