//! Sends portions to the admin port from a few threads, sends again what was not taken, and counts what became of every id. A line that was
//! refused goes into the file of refused lines: its number and the reason, never the id.
//!
//! Sending again is harmless: an id that is there already changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use opt_out::import::{Act, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rows::Id;
use crate::admin::import::PATH;
use crate::client::{Answer, Client};

/// How long a portion is tried while nothing answers or the registry says 503, seconds.
const RETRY_SECONDS_MAX: u64 = 120;
/// First and longest wait between two tries.
const RETRY_WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// First line of the list of refused lines.
pub(super) const LIST_HEAD: &[u8] = b"line\treason\n";

/// Ids on their way, as JSON.
#[derive(Default)]
pub(super) struct Portion {
    ids: Vec<u8>,
    lines: Vec<u64>,
}

#[derive(Serialize)]
struct Item<'a> {
    kind: &'a str,
    value: &'a str,
}

impl Portion {
    pub(super) fn add(&mut self, line: u64, id: &Id<'_>) -> io::Result<()> {
        if !self.ids.is_empty() {
            self.ids.push(b',');
        }
        self.lines.push(line);
        Ok(serde_json::to_writer(&mut self.ids, &Item { kind: id.kind.trim(), value: &id.value })?)
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.ids.len()
    }
}

/// What became of every line so far.
pub(super) struct Tally {
    /// Lines by outcome or reason.
    pub(super) lines: BTreeMap<&'static str, u64>,
    /// Lines that were not delivered, and the first of them.
    pub(super) undelivered: u64,
    pub(super) undelivered_first: Option<u64>,
    /// Lines that were refused: where they are listed, and how many of them.
    pub(super) refused: PathBuf,
    file: Option<BufWriter<File>>,
    /// Why nothing more can be sent.
    pub(super) fatal: Option<String>,
}

impl Tally {
    fn new(refused: PathBuf) -> Self {
        Self {
            lines: BTreeMap::new(),
            undelivered: 0,
            undelivered_first: None,
            refused,
            file: None,
            fatal: None,
        }
    }

    /// Whether any line was refused.
    pub(super) fn has_refused(&self) -> bool {
        self.file.is_some()
    }

    fn count(&mut self, name: &'static str) {
        *self.lines.entry(name).or_default() += 1;
    }

    fn refuse(&mut self, name: &'static str, line: u64) {
        self.count(name);
        if let Err(error) = self.list(name, line) {
            let why = format!("cannot write {}: {error}", self.refused.display());
            self.fatal.get_or_insert(why);
        }
    }

    fn list(&mut self, name: &str, line: u64) -> io::Result<()> {
        let file = if let Some(file) = &mut self.file {
            file
        } else {
            let mut file = BufWriter::new(File::create(&self.refused)?);
            file.write_all(LIST_HEAD)?;
            self.file.insert(file)
        };
        writeln!(file, "{line}\t{name}")
    }
}

/// The sending threads.
pub(super) struct Sender {
    queue: Option<SyncSender<Portion>>,
    threads: Vec<JoinHandle<()>>,
    tally: Arc<Mutex<Tally>>,
}

impl Sender {
    /// Starts `parallel` threads. At most twice as many portions are in memory.
    pub(super) fn start(
        client: &Client,
        register: &str,
        act: Act,
        parallel: usize,
        refused: PathBuf,
    ) -> Self {
        let (queue, receiver) = sync_channel(parallel);
        let receiver = Arc::new(Mutex::new(receiver));
        let tally = Arc::new(Mutex::new(Tally::new(refused)));
        let act = match act {
            Act::Lodge => "lodge",
            Act::TakeBack => "take_back",
        };
        let head = format!(r#"{{"register":{},"act":"{act}","ids":["#, json!(register));
        let threads = (0..parallel)
            .map(|_| {
                let (client, receiver, tally) = (client.clone(), Arc::clone(&receiver), Arc::clone(&tally));
                let head = head.clone();
                thread::spawn(move || work(&client, &head, &receiver, &tally))
            })
            .collect();
        Self { queue: Some(queue), threads, tally }
    }

    /// Hands over a portion; waits while the queue is full. `false` once nothing more can be sent.
    pub(super) fn send(&self, portion: Portion) -> bool {
        let is_stopped = lock(&self.tally).fatal.is_some();
        !is_stopped && self.queue.as_ref().is_some_and(|queue| queue.send(portion).is_ok())
    }

    /// Notes a line that was not sent.
    pub(super) fn refuse(&self, name: &'static str, line: u64) {
        lock(&self.tally).refuse(name, line);
    }

    /// Waits for the last answers.
    pub(super) fn finish(mut self) -> Tally {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                lock(&self.tally).fatal =
                    Some("a sending thread failed: this is a defect of the program".to_owned());
            }
        }
        let mut tally = std::mem::replace(&mut *lock(&self.tally), Tally::new(PathBuf::new()));
        if let Some(Err(error)) = tally.file.as_mut().map(Write::flush) {
            tally.fatal.get_or_insert(format!("cannot write {}: {error}", tally.refused.display()));
        }
        tally
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(client: &Client, head: &str, receiver: &Mutex<Receiver<Portion>>, tally: &Mutex<Tally>) {
    loop {
        let portion = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(portion) = portion else { return };
        let is_stopped = lock(tally).fatal.is_some();
        let delivered =
            if is_stopped { Err(None) } else { deliver(client, head, &portion, tally).map_err(Some) };
        if let Err(why) = delivered {
            let mut tally = lock(tally);
            tally.fatal = tally.fatal.take().or(why);
            tally.undelivered += portion.lines.len() as u64;
            let first = portion.lines.first().copied();
            tally.undelivered_first = tally.undelivered_first.into_iter().chain(first).min();
        }
    }
}

/// Sends a portion until it is taken, or says why that will not be.
fn deliver(client: &Client, head: &str, portion: &Portion, tally: &Mutex<Tally>) -> Result<(), String> {
    let body = [head.as_bytes(), &portion.ids, b"]}"].concat();
    let started = Instant::now();
    let (mut wait, wait_max) = RETRY_WAIT;
    loop {
        match client.post(PATH, "application/json", &body) {
            Ok(answer) => match read(&answer, portion.lines.len()) {
                Ok(Some(outcomes)) => {
                    let mut tally = lock(tally);
                    for (outcome, line) in outcomes.into_iter().zip(&portion.lines) {
                        if is_refusal(outcome) {
                            tally.refuse(outcome.name(), *line);
                        } else {
                            tally.count(outcome.name());
                        }
                    }
                    return Ok(());
                }
                Ok(None) => {}
                Err(why) => return Err(why),
            },
            Err(error) if started.elapsed() > Duration::from_secs(RETRY_SECONDS_MAX) => {
                return Err(crate::client::unreachable(client, &error).to_string());
            }
            Err(_) => {}
        }
        if started.elapsed() > Duration::from_secs(RETRY_SECONDS_MAX) {
            return Err(format!(
                "{} took nothing for {RETRY_SECONDS_MAX} s: look at its /ready",
                client.base()
            ));
        }
        thread::sleep(wait);
        wait = (wait * 2).min(wait_max);
    }
}

#[derive(Deserialize)]
struct Results {
    results: Vec<String>,
}

/// The outcome of each id; `None` to send again.
fn read(answer: &Answer, ids: usize) -> Result<Option<Vec<Outcome>>, String> {
    let by_name = |name: &String| Outcome::ALL.into_iter().find(|outcome| outcome.name() == name);
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .ok()
            .and_then(|Results { results }| results.iter().map(by_name).collect::<Option<Vec<_>>>())
            .filter(|outcomes| outcomes.len() == ids)
            .map(Some)
            .ok_or_else(|| {
                "the answer is not that of this version: run the client of the instance's own".to_owned()
            }),
        429 | 502..=504 => Ok(None),
        401 | 403 => Err("the instance does not know the token: use that of its own data folder".to_owned()),
        status => {
            #[derive(Deserialize)]
            struct Problem {
                error: String,
            }
            let said = serde_json::from_slice(&answer.body).map(|Problem { error }| error);
            Err(format!("the instance refused with status {status}: {}", said.unwrap_or_default()))
        }
    }
}

fn is_refusal(outcome: Outcome) -> bool {
    match outcome {
        Outcome::KnownBad | Outcome::Malformed | Outcome::UnknownKind => true,
        Outcome::Lodged
        | Outcome::LodgedInPart
        | Outcome::Already
        | Outcome::TakenBack
        | Outcome::NotThere => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after_seconds: None, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn an_answer_is_done_to_be_asked_again_or_the_end() {
        let done = read(&answer(200, r#"{"results":["lodged","known_bad"]}"#), 2);
        assert_eq!(done, Ok(Some(vec![Outcome::Lodged, Outcome::KnownBad])));
        assert!(read(&answer(200, r#"{"results":["lodged"]}"#), 2).is_err());
        assert!(read(&answer(200, r#"{"results":["else"]}"#), 1).is_err());
        assert_eq!(read(&answer(503, "x"), 1), Ok(None));
        let full = read(&answer(507, r#"{"error":"raise opt_out.registry.hashes_max"}"#), 1);
        assert!(full.expect_err("is full").contains("hashes_max"));
        assert!(read(&answer(401, ""), 1).expect_err("no").contains("token"));
    }

    #[test]
    fn refused_lines_are_listed_by_number_and_reason() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("refused.tsv");
        let mut tally = Tally::new(path.clone());
        tally.count("lodged");
        assert!(!tally.has_refused() && !path.exists());
        tally.refuse("known_bad", 7);
        tally.file.as_mut().expect("open").flush().expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "line\treason\n7\tknown_bad\n");
    }
}
