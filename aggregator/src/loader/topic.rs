//! The frames that Kafka carries, as a feed: a member of the group of aggregators.
//!
//! Owns the membership and the offsets. An offset is committed when everything before it is in the store, under a closed mark, or among the
//! dead letters. What is in hand when partitions go to another member is inserted all the same: that member reads it again, and whoever counts
//! drops the repeats by identity. Frames that were seen before are counted and inserted: dropping them would take it for granted that what
//! was seen is in the store.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use kafka::frame::{self, Frame};
use kafka::{Cluster, EventsConsumer, Message};

use super::feed::{Reading, Taker};
use super::letters::Letters;
use crate::metrics;

/// Longest wait for an answer of Kafka beside the messages.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long Kafka may be silent before it is asked whether it is there: when all is well, and while there is trouble.
const SILENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// Pause between two looks at how far the group is, while somebody waits for that.
const LOOK: Duration = Duration::from_millis(100);
/// Journals whose newest frame is remembered, to count repeats.
const JOURNALS_MAX: usize = 65_536;

/// See the module.
pub(super) struct Topic {
    cluster: Cluster,
    /// `None` after one has come to its end, until another is made.
    consumer: Option<EventsConsumer>,
    letters: Letters,
    /// Came while the loader waited for news.
    waiting: Option<Message>,
    has_taken: bool,
    /// Where to go on behind what is in hand, by partition; only those held since.
    taken: BTreeMap<i32, i64>,
    /// The same behind what is durable.
    stored: BTreeMap<i32, i64>,
    /// Whether a commit failed and is to be tried again.
    is_uncommitted: bool,
    rebalances: u64,
    /// Where each journal goes on.
    journals: HashMap<u64, u64>,
    target: Vec<(i32, i64)>,
    looked: Option<Instant>,
    heard: Instant,
    asked: Option<Instant>,
    trouble: Option<String>,
}

impl Topic {
    pub(super) fn join(cluster: Cluster) -> Result<Self, kafka::Error> {
        let consumer = Some(cluster.events()?);
        Ok(Self {
            letters: Letters::new(cluster.clone()),
            cluster,
            consumer,
            waiting: None,
            has_taken: false,
            taken: BTreeMap::new(),
            stored: BTreeMap::new(),
            is_uncommitted: false,
            rebalances: 0,
            journals: HashMap::new(),
            target: Vec::new(),
            looked: None,
            heard: Instant::now(),
            asked: None,
            trouble: Some("Kafka has not answered yet".to_owned()),
        })
    }

    pub(super) fn read(&mut self, taker: &mut Taker<'_>) -> Reading {
        loop {
            if taker.is_full() || self.is_full() {
                return Reading { caught_up: false, trouble: self.trouble.clone() };
            }
            match self.waiting.take().or_else(|| self.poll(Duration::ZERO)) {
                Some(message) => self.take(message, taker),
                None => return Reading { caught_up: true, trouble: self.trouble.clone() },
            }
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }

    pub(super) fn is_full(&self) -> bool {
        self.letters.is_full()
    }

    pub(super) fn has_taken(&self) -> bool {
        self.has_taken
    }

    fn take(&mut self, message: Message, taker: &mut Taker<'_>) {
        self.has_taken = true;
        self.taken.insert(message.partition, message.offset + 1);
        match frame::decode(&message.value) {
            Ok(frame) => {
                metrics::frames_consumed(1);
                if self.is_repeat(&frame) {
                    metrics::frames_repeated(1);
                } else {
                    taker.batch.lost += frame.lost_before;
                }
                taker.take(frame.journal_id, frame.records());
            }
            Err(error) => self.letters.add(message, &error),
        }
    }

    fn is_repeat(&mut self, frame: &Frame<'_>) -> bool {
        if self.journals.len() >= JOURNALS_MAX && !self.journals.contains_key(&frame.journal_id) {
            self.journals.clear();
        }
        let next = self.journals.entry(frame.journal_id).or_insert(0);
        let is_repeat = frame.first_seq < *next;
        *next = (*next).max(frame.first_seq.saturating_add(u64::from(frame.count)));
        is_repeat
    }

    /// The next message, and whatever else the membership brings.
    fn poll(&mut self, wait: Duration) -> Option<Message> {
        let Some(consumer) = &mut self.consumer else {
            self.join_again();
            return None;
        };
        let polled = consumer.poll(wait);
        self.follow_rebalances();
        match polled {
            Ok(Some(message)) => {
                self.heard = Instant::now();
                if !self.is_uncommitted {
                    self.trouble = None;
                }
                Some(message)
            }
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "reading from Kafka failed");
                self.trouble = Some(error.to_string());
                if error.is_final() {
                    self.leave();
                }
                None
            }
        }
    }

    /// Forgets the offsets of partitions that went to others: what was taken of them is theirs to commit.
    fn follow_rebalances(&mut self) {
        let Some(consumer) = &self.consumer else { return };
        let rebalances = consumer.rebalances();
        if rebalances != self.rebalances {
            metrics::rebalances(rebalances.saturating_sub(self.rebalances));
            self.rebalances = rebalances;
            let held = consumer.assigned();
            for offsets in [&mut self.taken, &mut self.stored] {
                offsets.retain(|partition, _| held.contains(partition));
            }
        }
    }

    fn leave(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            consumer.close();
        }
        self.taken.clear();
        self.stored.clear();
        self.is_uncommitted = false;
        self.rebalances = 0;
    }

    fn join_again(&mut self) {
        if self.asked.is_some_and(|asked| asked.elapsed() < SILENCE.1) {
            return;
        }
        self.asked = Some(Instant::now());
        match self.cluster.events() {
            Ok(consumer) => self.consumer = Some(consumer),
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    pub(super) fn secure(&mut self) -> Result<(), String> {
        self.letters.deliver()
    }

    /// What cannot be committed now is committed later: it comes again to whoever reads next, no more.
    pub(super) fn advance(&mut self) {
        self.has_taken = false;
        self.stored.append(&mut self.taken);
        if let Err(error) = self.commit() {
            tracing::error!(error, "offsets were not committed; it is tried again");
            self.trouble = Some(error);
        }
    }

    /// Commits all of it each time: a commit that came to nothing because the group changed hands is made up for with the next.
    fn commit(&mut self) -> Result<(), String> {
        let next: Vec<(i32, i64)> =
            self.stored.iter().map(|(partition, offset)| (*partition, *offset)).collect();
        let Some(consumer) = self.consumer.as_ref().filter(|_| !next.is_empty()) else { return Ok(()) };
        let committed = consumer.commit(&next);
        self.is_uncommitted = !matches!(committed, Ok(true));
        committed.map(drop).map_err(|error| {
            if error.is_final() {
                self.leave();
            }
            format!("offsets were not committed: {error}")
        })
    }

    pub(super) fn aim(&mut self) -> Result<(), String> {
        let consumer = self.consumer.as_ref().ok_or("Kafka's client has ended; another one is made")?;
        self.target = consumer.ends(ANSWER_MAX).map_err(|error| error.to_string())?;
        self.looked = None;
        Ok(())
    }

    pub(super) fn has_reached(&mut self) -> Result<bool, String> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(false);
        }
        self.looked = Some(Instant::now());
        let consumer = self.consumer.as_ref().ok_or("Kafka's client has ended; another one is made")?;
        let committed: BTreeMap<i32, i64> =
            consumer.committed(ANSWER_MAX).map_err(|error| error.to_string())?.into_iter().collect();
        let behind = |partition: &i32, end: i64| committed.get(partition).is_none_or(|next| *next < end);
        if self.stored.iter().any(|(partition, next)| behind(partition, *next)) {
            self.commit()?;
        }
        Ok(!self.target.iter().any(|(partition, end)| behind(partition, *end)))
    }

    pub(super) fn is_settler(&self) -> bool {
        self.consumer.as_ref().is_some_and(EventsConsumer::is_settler)
    }

    pub(super) fn measure(&self) {
        metrics::lag_messages(self.consumer.as_ref().map_or(0, EventsConsumer::lag));
    }

    pub(super) fn wait(&mut self, length: Duration) {
        if self.waiting.is_some() {
            return;
        }
        let until = Instant::now() + length;
        self.waiting = self.poll(length);
        if self.waiting.is_none() {
            self.ask();
            // A client that has ended does not wait.
            if self.consumer.is_none() {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Asks whether Kafka is there, when nothing came from it for some time.
    fn ask(&mut self) {
        let is_urgent = self.trouble.is_some() || self.is_uncommitted;
        let silence = if is_urgent { SILENCE.1 } else { SILENCE.0 };
        let quiet = self.heard.elapsed() >= silence || is_urgent;
        if !quiet || self.asked.is_some_and(|asked| asked.elapsed() < silence) {
            return;
        }
        let Some(consumer) = &self.consumer else { return };
        self.asked = Some(Instant::now());
        // The group's coordinator answers either: members are heard.
        let answered = if self.is_uncommitted {
            self.commit()
        } else {
            consumer.committed(ANSWER_MAX).map(drop).map_err(|error| error.to_string())
        };
        match answered {
            Ok(()) => {
                self.heard = Instant::now();
                self.trouble = None;
            }
            Err(error) => self.trouble = Some(error),
        }
    }

    pub(super) fn close(mut self: Box<Self>) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_repeat_if_its_journal_is_further_on() {
        let settings =
            kafka::Settings { brokers: vec!["127.0.0.1:1".to_owned()], ..kafka::Settings::default() };
        let cluster = Cluster::new(&settings).expect("settings that will do");
        let mut topic = Topic::join(cluster).expect("nothing is connected yet");
        let mut repeats = |journal_id: u64, first_seq: u64, count: usize| {
            let records = vec![b"record".as_slice(); count];
            let message = frame::encode(journal_id, first_seq, 0, records.into_iter()).remove(0);
            topic.is_repeat(&frame::decode(&message).expect("a frame"))
        };
        assert!(!repeats(1, 5, 2) && !repeats(1, 7, 1) && !repeats(2, 0, 9));
        assert!(repeats(1, 5, 2) && repeats(1, 7, 1) && repeats(1, 7, 3));
        // Frames that are missing are no repeats.
        assert!(!repeats(1, 100, 1) && !repeats(2, 9, 1));
    }
}
