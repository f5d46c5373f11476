//! Sends batches to `POST /v1/events` from a few threads, sends again what was not stored, and counts every row's outcome.
//!
//! A row is delivered when the tracker gave it an outcome that is not `storage_failed`. A request whose answer was lost is sent
//! again: the tracker may have stored it, and drops the repeat in net by its request id.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::client::{Answer, Client};

/// Most rejected rows of one reason whose line numbers are kept.
pub(super) const LINES_SHOWN_MAX: usize = 5;
/// How long a batch is tried while nothing answers or the tracker says 503, seconds.
const RETRY_SECONDS_MAX: u64 = 120;
/// Longest single wait between two tries, whatever `Retry-After` says.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);
/// First wait between two tries.
const RETRY_WAIT_FIRST: Duration = Duration::from_millis(100);

/// Rows on their way.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Each row's item, JSON, and its line.
    pub(super) items: Vec<(u64, Vec<u8>)>,
    /// Bytes of the items.
    pub(super) item_bytes: usize,
    /// Bytes of the file that it stands for, for the progress bar.
    pub(super) file_bytes: u64,
}

/// Rows of one outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// How many.
    pub(super) rows: u64,
    /// The first few lines.
    pub(super) lines: Vec<u64>,
}

/// What became of every row so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// By outcome or reason.
    pub(super) outcomes: BTreeMap<String, Count>,
    /// Not delivered.
    pub(super) undelivered: Count,
    /// Requests that were sent again because their answer was lost.
    pub(super) lost_answers: u64,
    /// Why nothing more can be sent.
    pub(super) fatal: Option<String>,
}

impl Tally {
    /// Counts a row.
    pub(super) fn count(&mut self, name: &str, line: u64) {
        let count = match self.outcomes.get_mut(name) {
            Some(count) => count,
            None => self.outcomes.entry(name.to_owned()).or_default(),
        };
        count.add(line);
    }
}

impl Count {
    /// Adds a row. Threads finish out of order, so the lines are kept sorted.
    fn add(&mut self, line: u64) {
        self.rows += 1;
        let at = self.lines.partition_point(|known| *known < line);
        if at < LINES_SHOWN_MAX {
            self.lines.insert(at, line);
            self.lines.truncate(LINES_SHOWN_MAX);
        }
    }
}

/// The sending threads.
pub(super) struct Sender {
    queue: Option<SyncSender<Batch>>,
    threads: Vec<JoinHandle<()>>,
    tally: Arc<Mutex<Tally>>,
}

impl Sender {
    /// Starts `parallel` threads. At most twice as many batches are in memory.
    pub(super) fn start(client: &Client, parallel: usize, bar: &ProgressBar) -> Self {
        let (queue, receiver) = sync_channel(parallel);
        let receiver = Arc::new(Mutex::new(receiver));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let threads = (0..parallel)
            .map(|_| {
                let (client, receiver, tally, bar) =
                    (client.clone(), Arc::clone(&receiver), Arc::clone(&tally), bar.clone());
                thread::spawn(move || work(&client, &receiver, &tally, &bar))
            })
            .collect();
        Self { queue: Some(queue), threads, tally }
    }

    /// Hands over a batch; waits while the queue is full. `false` once nothing more can be sent.
    pub(super) fn send(&self, batch: Batch) -> bool {
        let is_stopped = lock(&self.tally).fatal.is_some();
        !is_stopped && self.queue.as_ref().is_some_and(|queue| queue.send(batch).is_ok())
    }

    /// Counts a row that was not sent.
    pub(super) fn skip(&self, name: &str, line: u64) {
        lock(&self.tally).count(name, line);
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
        lock(&self.tally).clone()
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(client: &Client, receiver: &Mutex<Receiver<Batch>>, tally: &Mutex<Tally>, bar: &ProgressBar) {
    loop {
        let batch = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        let file_bytes = batch.file_bytes;
        if lock(tally).fatal.is_some() {
            give_up(&batch.items, tally);
        } else {
            deliver(client, batch.items, tally);
        }
        bar.inc(file_bytes);
    }
}

/// Sends rows until each has an outcome or the patience is over.
fn deliver(client: &Client, mut items: Vec<(u64, Vec<u8>)>, tally: &Mutex<Tally>) {
    let started = Instant::now();
    let mut wait = RETRY_WAIT_FIRST;
    loop {
        let asked = match client.post("/v1/events", "application/json", &body(&items)) {
            Ok(answer) => match read(&answer, &items, tally) {
                Verdict::Done => return,
                Verdict::Again { rows, after } => {
                    items = rows;
                    after
                }
                Verdict::Fatal(why) => {
                    lock(tally).fatal.get_or_insert(why);
                    give_up(&items, tally);
                    return;
                }
            },
            Err(error) => {
                lock(tally).lost_answers += u64::from(error.kind() != std::io::ErrorKind::ConnectionRefused);
                None
            }
        };
        if started.elapsed() > Duration::from_secs(RETRY_SECONDS_MAX) {
            lock(tally).fatal.get_or_insert(format!(
                "{} took no beacons for {RETRY_SECONDS_MAX} s: look at its /ready",
                client.base()
            ));
            give_up(&items, tally);
            return;
        }
        thread::sleep(asked.unwrap_or(wait).min(RETRY_WAIT_MAX));
        wait = (wait * 2).min(RETRY_WAIT_MAX);
    }
}

fn give_up(items: &[(u64, Vec<u8>)], tally: &Mutex<Tally>) {
    let mut tally = lock(tally);
    for (line, _) in items {
        tally.undelivered.add(*line);
    }
}

fn body(items: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::with_capacity(items.iter().map(|(_, item)| item.len() + 1).sum::<usize>() + 1);
    for (index, (_, item)) in items.iter().enumerate() {
        body.push(if index == 0 { b'[' } else { b',' });
        body.extend_from_slice(item);
    }
    body.push(b']');
    body
}

/// What an answer means for its batch.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Every row has its outcome.
    Done,
    /// These rows were not stored: send them again, after a while.
    Again { rows: Vec<(u64, Vec<u8>)>, after: Option<Duration> },
    /// Sending again cannot help.
    Fatal(String),
}

#[derive(serde::Deserialize)]
struct Results {
    results: Vec<ItemResult>,
}

#[derive(serde::Deserialize)]
struct ItemResult {
    outcome: String,
    #[serde(default)]
    reason: Option<String>,
}

fn read(answer: &Answer, items: &[(u64, Vec<u8>)], tally: &Mutex<Tally>) -> Verdict {
    let after = answer.retry_after_seconds.map(Duration::from_secs);
    let results: Option<Results> = serde_json::from_slice(&answer.body).ok();
    match (answer.status, results) {
        (200 | 503, Some(Results { results })) if results.len() == items.len() => {
            let mut rows = Vec::new();
            let mut tally = lock(tally);
            for ((line, item), result) in items.iter().zip(results) {
                let name = result.reason.unwrap_or(result.outcome);
                if name == event::outcome::Outcome::StorageFailed.name() {
                    rows.push((*line, item.clone()));
                } else {
                    tally.count(&name, *line);
                }
            }
            if rows.is_empty() { Verdict::Done } else { Verdict::Again { rows, after } }
        }
        (429 | 502 | 503 | 504, _) => Verdict::Again { rows: items.to_vec(), after },
        (401 | 403, _) => Verdict::Fatal(format!(
            "the tracker does not know the server key ({}): use the key file of its own data folder",
            answer.status
        )),
        (status, _) => {
            let text: String = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
            Verdict::Fatal(format!("the tracker refused a batch with status {status}: {}", text.trim()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after_seconds: Some(2), body: body.as_bytes().to_vec() }
    }

    fn items() -> Vec<(u64, Vec<u8>)> {
        vec![(7, b"{\"a\":1}".to_vec()), (9, b"{}".to_vec())]
    }

    #[test]
    fn a_batch_is_one_json_array() {
        assert_eq!(body(&items()), b"[{\"a\":1},{}]");
    }

    #[test]
    fn rows_that_were_not_stored_are_sent_again_and_the_others_are_counted() {
        let tally = Mutex::new(Tally::default());
        let text = r#"{"results":[{"outcome":"accepted"},{"outcome":"rejected","reason":"storage_failed"}]}"#;
        let verdict = read(&answer(200, text), &items(), &tally);
        assert_eq!(
            verdict,
            Verdict::Again { rows: vec![(9, b"{}".to_vec())], after: Some(Duration::from_secs(2)) }
        );
        assert_eq!(lock(&tally).outcomes["accepted"], Count { rows: 1, lines: vec![7] });
    }

    #[test]
    fn a_busy_tracker_is_asked_again_and_a_refusal_ends_it() {
        let tally = Mutex::new(Tally::default());
        assert!(
            matches!(read(&answer(503, "busy"), &items(), &tally), Verdict::Again { rows, .. } if rows.len() == 2)
        );
        assert!(
            matches!(read(&answer(401, ""), &items(), &tally), Verdict::Fatal(why) if why.contains("server key"))
        );
        assert!(matches!(read(&answer(200, "{}"), &items(), &tally), Verdict::Fatal(_)));
    }

    #[test]
    fn the_first_lines_of_a_reason_are_kept_in_order() {
        let mut count = Count::default();
        for line in [30, 10, 20, 70, 60, 50, 40] {
            count.add(line);
        }
        assert_eq!(count, Count { rows: 7, lines: vec![10, 20, 30, 40, 50] });
    }
}
