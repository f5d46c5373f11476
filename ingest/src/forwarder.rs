//! The journal's way to Kafka.
//!
//! Owns the thread that reads every lane in order and hands its frames to the events topic, a frame a message. A lane's cursor moves, durably, when
//! Kafka has acknowledged everything before it. So each record is in the topic at least once, whatever crashes where, and one that is there twice has
//! the same identity (journal id, sequence number) both times.
//!
//! Kafka may be away for days: a bounded number of bytes is on its way, all else waits in the journal, and nobody who answers a beacon knows of it.
//!
//! # When a message is not acknowledged
//!
//! It may be in the log all the same, and those behind it may be too. All that the lane has on its way is forgotten, and after a pause the lane is read
//! again from what was acknowledged last. The other lanes go on. A producer that has ended for good is replaced, and every lane begins again so.
//!
//! Must never: move a cursor beyond what was acknowledged, skip a frame, or hold more than [`LANE_BYTES_MAX`] of a lane in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use journal::{Position, Reader, Writer};
use kafka::{Cluster, Delivery, Producer, SendError, Topic, frame};

use crate::metrics;

/// Name of the cursor with which every lane of the journal is read.
pub const CURSOR: &str = "kafka";
/// Bytes of a lane that are on their way.
const LANE_BYTES_MAX: usize = 8 << 20;
/// How often a cursor that could move is moved at least; each time is a sync of the disk.
const COMMIT_EVERY: Duration = Duration::from_millis(200);
/// How long the thread waits for news when there are none.
const IDLE: Duration = Duration::from_millis(20);
/// Pauses after what failed: doubled from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The running forwarder. Call [`Forwarder::stop`]: dropping it leaves the thread running.
pub struct Forwarder {
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    /// Whether to end before all is forwarded.
    at_once: AtomicBool,
}

/// Starts forwarding the lanes. Their cursors hold the segments from now on, whether Kafka is there or not.
///
/// # Errors
/// [`crate::Error::Journal`] if a cursor cannot be opened, [`crate::Error::Thread`], or [`crate::Error::Kafka`] if the client refuses its settings.
pub fn start(cluster: Cluster, lanes: &[Writer]) -> Result<Forwarder, crate::Error> {
    metrics::declare();
    let lanes = lanes.iter().map(Lane::open).collect::<Result<Vec<_>, journal::Error>>()?;
    let producer = cluster.producer()?;
    let stop = Arc::new(Stop::default());
    let mut forward = Forward {
        cluster,
        producer: Some(producer),
        lanes,
        stop: Arc::clone(&stop),
        producer_at: Instant::now(),
    };
    let thread = std::thread::Builder::new()
        .name("forwarder".to_owned())
        .spawn(move || forward.run())
        .map_err(crate::Error::Thread)?;
    Ok(Forwarder { stop, thread })
}

impl Forwarder {
    /// Whether the thread is there. It ends by itself only if it panics.
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends when all that the closed lanes hold is acknowledged, or after `patience`: what is left goes with the next start. Blocks until then.
    pub fn stop(self, patience: Duration) {
        self.stop.asked.store(true, Ordering::Release);
        let until = Instant::now() + patience;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(IDLE);
        }
        self.stop.at_once.store(true, Ordering::Release);
        if self.thread.join().is_err() {
            tracing::error!("the forwarder's thread panicked");
        }
    }
}

/// The thread's own.
struct Forward {
    cluster: Cluster,
    /// None while it could not be made.
    producer: Option<Producer>,
    lanes: Vec<Lane>,
    stop: Arc<Stop>,
    /// No producer is made before this.
    producer_at: Instant,
}

/// Why a lane does not go on.
enum Failure {
    /// The journal cannot be read: the reader has not moved.
    Read(String),
    /// Kafka's client did not take or confirm a message.
    Send(String),
}

/// A lane and what of it is on its way.
struct Lane {
    reader: Reader,
    writer: Writer,
    /// In the order of the journal.
    sent: VecDeque<Sent>,
    /// Messages of a frame that found the queue full, next first.
    unsent: VecDeque<Unsent>,
    bytes: usize,
    /// Everything before is acknowledged.
    acknowledged: Position,
    /// Where the cursor stands on the disk.
    committed: Position,
    committed_at: Instant,
    /// Nothing is sent before this, after a failure; and how long the pause was.
    pause: Option<(Instant, Duration)>,
}

struct Sent {
    delivery: Delivery,
    bytes: usize,
    /// Behind the frame that ends with this message.
    end: Option<Position>,
    at: Instant,
}

struct Unsent {
    key: [u8; 8],
    value: Vec<u8>,
    end: Option<Position>,
}

impl Forward {
    fn run(&mut self) {
        loop {
            let is_asked = self.stop.asked.load(Ordering::Acquire);
            let sent = self.send();
            let heard = self.hear();
            self.commit(is_asked);
            self.report();
            let is_done = is_asked && self.lanes.iter().all(Lane::is_done);
            if is_done || self.stop.at_once.load(Ordering::Acquire) {
                break;
            }
            if !sent && !heard {
                self.idle();
            }
        }
        self.commit(true);
        self.report();
        let left: u64 = self.lanes.iter().map(Lane::backlog_bytes).sum();
        tracing::info!(backlog_bytes = left, "forwarder stopped");
    }

    /// Hands over what there is room for. Whether anything was.
    fn send(&mut self) -> bool {
        if self.producer.is_none() {
            self.make_producer();
        }
        let Some(producer) = &self.producer else { return false };
        let mut sent = false;
        for lane in &mut self.lanes {
            match lane.send(producer) {
                Ok(some) => sent |= some,
                Err(failure) => lane.fail(&failure),
            }
        }
        sent
    }

    /// Takes in acknowledgements. Whether there were any.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        for lane in &mut self.lanes {
            match lane.hear() {
                Ok(some) => heard |= some,
                Err(failure) => lane.fail(&failure),
            }
        }
        if let Some(why) = self.producer.as_ref().and_then(Producer::is_fatal) {
            tracing::warn!(error = why, "Kafka's producer has ended for good; another one takes its place");
            self.producer = None;
            self.producer_at = Instant::now() + RETRY.0;
            // What it had on its way nobody will confirm.
            self.lanes.iter_mut().for_each(Lane::begin_again);
        }
        heard
    }

    fn make_producer(&mut self) {
        if Instant::now() < self.producer_at {
            return;
        }
        match self.cluster.producer() {
            Ok(producer) => {
                metrics::forward_producer_made();
                self.producer = Some(producer);
            }
            Err(error) => {
                self.producer_at = Instant::now() + RETRY.1;
                tracing::error!(%error, "no producer can be made; it is tried again");
            }
        }
    }

    fn commit(&mut self, now: bool) {
        for lane in &mut self.lanes {
            lane.commit(now);
        }
    }

    fn report(&self) {
        let now = Instant::now();
        let oldest = self.lanes.iter().filter_map(|lane| lane.sent.front()).map(|sent| now - sent.at).max();
        metrics::forward_state(
            self.lanes.iter().map(Lane::backlog_bytes).sum(),
            self.lanes.iter().map(|lane| lane.sent.len()).sum(),
            oldest.unwrap_or_default(),
        );
    }

    fn idle(&mut self) {
        let oldest = self.lanes.iter_mut().find_map(|lane| lane.sent.front_mut());
        if let Some(sent) = oldest {
            // Woken by the acknowledgement; what is new in the journal goes a moment later.
            let _ = sent.delivery.wait(IDLE / 4);
            return;
        }
        if self.producer.is_none() || self.lanes.iter().any(|lane| lane.pause.is_some()) {
            std::thread::sleep(IDLE);
            return;
        }
        let until = Instant::now() + IDLE;
        let share = IDLE / self.lanes.len().max(1) as u32;
        if !self.lanes.iter().any(|lane| lane.reader.wait(share)) {
            // Closed lanes do not wait.
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }
}

impl Lane {
    fn open(writer: &Writer) -> Result<Self, journal::Error> {
        let reader = writer.reader(CURSOR)?;
        let position = reader.position();
        Ok(Self {
            reader,
            writer: writer.clone(),
            sent: VecDeque::new(),
            unsent: VecDeque::new(),
            bytes: 0,
            acknowledged: position,
            committed: position,
            committed_at: Instant::now(),
            pause: None,
        })
    }

    /// Sends frames while there is room. Whether there were any.
    fn send(&mut self, producer: &Producer) -> Result<bool, Failure> {
        if self.pause.is_some_and(|(until, _)| Instant::now() < until) {
            return Ok(false);
        }
        let mut sent = false;
        loop {
            while let Some(next) = self.unsent.front() {
                match producer.send(Topic::Events, &next.key, &next.value, &[]) {
                    Ok(delivery) => {
                        let bytes = next.value.len();
                        let end = next.end;
                        self.unsent.pop_front();
                        self.bytes += bytes;
                        self.sent.push_back(Sent { delivery, bytes, end, at: Instant::now() });
                        sent = true;
                    }
                    Err(SendError::QueueFull) => return Ok(sent),
                    Err(error) => return Err(Failure::Send(error.to_string())),
                }
            }
            if self.bytes >= LANE_BYTES_MAX {
                return Ok(sent);
            }
            match self.reader.next_frame() {
                Ok(Some(frame)) => self.pack(&frame),
                Ok(None) => return Ok(sent),
                Err(error) => return Err(Failure::Read(error.to_string())),
            }
        }
    }

    /// A frame's messages: one, or several where the journal has longer frames than Kafka takes.
    fn pack(&mut self, frame: &journal::Frame) {
        let id = frame.journal_id.0;
        let records = frame.records().map(|(_, record)| record);
        let messages = frame::encode(id, frame.first_seq, frame.lost_before, records);
        let last = messages.len();
        self.unsent.extend(messages.into_iter().enumerate().map(|(n, value)| Unsent {
            key: id.to_le_bytes(),
            value,
            end: (n + 1 == last).then(|| frame.end()),
        }));
    }

    /// Takes in the acknowledgements of the oldest messages. Whether there were any.
    fn hear(&mut self) -> Result<bool, Failure> {
        let mut heard = false;
        while let Some(oldest) = self.sent.front_mut() {
            match oldest.delivery.wait(Duration::ZERO) {
                None => break,
                Some(Ok(_)) => {
                    metrics::forward_acknowledged(oldest.bytes);
                    self.bytes -= oldest.bytes;
                    self.acknowledged = oldest.end.unwrap_or(self.acknowledged);
                    self.sent.pop_front();
                    self.pause = None;
                    heard = true;
                }
                Some(Err(error)) => return Err(Failure::Send(error.to_string())),
            }
        }
        Ok(heard)
    }

    /// Rests for a while. Other lanes go on: their messages are no worse for it.
    fn fail(&mut self, failure: &Failure) {
        metrics::forward_failed();
        let pause = self.pause.map_or(RETRY.0, |(_, pause)| (pause * 2).min(RETRY.1));
        self.pause = Some((Instant::now() + pause, pause));
        let pause_ms = pause.as_millis() as u64;
        match failure {
            Failure::Read(error) => tracing::error!(error, pause_ms, "a lane of the journal cannot be read"),
            Failure::Send(error) => {
                tracing::warn!(error, pause_ms, "frames are sent again");
                self.begin_again();
            }
        }
    }

    /// Forgets what is on its way and goes back to what was acknowledged last.
    fn begin_again(&mut self) {
        self.sent.clear();
        self.unsent.clear();
        self.bytes = 0;
        self.reader.seek(self.acknowledged);
    }

    fn commit(&mut self, now: bool) {
        if self.sent.is_empty() && self.unsent.is_empty() {
            // All that was read is acknowledged; the reader may stand further, behind the mark of a lane that was closed.
            self.acknowledged = self.reader.position();
        }
        let is_due = now || self.committed_at.elapsed() >= COMMIT_EVERY;
        if !is_due || self.committed == self.acknowledged {
            return;
        }
        self.committed_at = Instant::now();
        match self.reader.commit(self.acknowledged) {
            Ok(()) => self.committed = self.acknowledged,
            // The frames are sent again after a restart, which is harmless.
            Err(error) => tracing::error!(%error, "moving the cursor failed; it is tried again"),
        }
    }

    /// Bytes of the journal that Kafka has not acknowledged, as nearly as is known without reading: what was not read, and what is on its way.
    fn backlog_bytes(&self) -> u64 {
        self.reader.lag_bytes() + self.bytes as u64
    }

    /// Nothing is left to be read or acknowledged, nor will there be.
    fn is_done(&self) -> bool {
        self.sent.is_empty()
            && self.unsent.is_empty()
            && self.reader.lag_bytes() == 0
            && matches!(self.writer.health(), journal::Health::Closed)
    }
}
