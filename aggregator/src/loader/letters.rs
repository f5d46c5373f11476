//! What came as a frame and is none: sent on to the dead-letter topic, with the reason, before its offset is committed.
//!
//! Must never: let a message go that was not acknowledged there.

use std::collections::VecDeque;
use std::time::Duration;

use kafka::frame::FrameError;
use kafka::{Cluster, Delivery, Message, Producer, Topic};

use crate::metrics;

/// Most letters in hand.
const LETTERS_MAX: usize = 1000;
/// Most bytes of letters in hand.
const LETTERS_BYTES_MAX: usize = 16 << 20;
/// Longest wait for an acknowledgement before the loader looks whether it shall end.
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Letters {
    cluster: Cluster,
    /// Made when there is something to send.
    producer: Option<Producer>,
    queue: VecDeque<Letter>,
    bytes: usize,
}

struct Letter {
    message: Message,
    reason: String,
    kind: &'static str,
    delivery: Option<Delivery>,
}

impl Letters {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, producer: None, queue: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= LETTERS_MAX || self.bytes >= LETTERS_BYTES_MAX
    }

    /// Takes a message in and sends it, if that is possible now.
    pub(super) fn add(&mut self, message: Message, error: &FrameError) {
        let kind = match error {
            FrameError::UnknownVersion(_) => "unknown_version",
            FrameError::Corrupt(_) => "corrupt",
        };
        tracing::error!(
            reason = %error,
            partition = message.partition,
            offset = message.offset,
            bytes = message.value.len(),
            "a message of the events topic cannot be read; it goes to the dead letters"
        );
        self.bytes += message.value.len();
        let mut letter = Letter { message, reason: error.to_string(), kind, delivery: None };
        // What fails here is tried again, and told, when it has to be delivered.
        let _ = self.send(&mut letter);
        self.queue.push_back(letter);
    }

    fn send(&mut self, letter: &mut Letter) -> Result<(), String> {
        let producer = match &mut self.producer {
            Some(producer) => producer,
            none => none.insert(self.cluster.producer().map_err(|error| error.to_string())?),
        };
        let (partition, offset) = (letter.message.partition.to_string(), letter.message.offset.to_string());
        let headers = [
            ("reason", letter.reason.as_str()),
            ("topic", self.cluster.topic(Topic::Events)),
            ("partition", &partition),
            ("offset", &offset),
        ];
        let sent = producer.send(Topic::DeadLetters, &letter.message.key, &letter.message.value, &headers);
        letter.delivery = Some(sent.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Waits until every letter is acknowledged; those that were not are sent again.
    ///
    /// # Errors
    /// What is in the way: call it again.
    pub(super) fn deliver(&mut self) -> Result<(), String> {
        while let Some(mut letter) = self.queue.pop_front() {
            let delivered = self.deliver_one(&mut letter);
            if let Err(error) = delivered {
                self.queue.push_front(letter);
                if self.producer.as_ref().is_some_and(|producer| producer.is_fatal().is_some()) {
                    self.producer = None;
                    self.queue.iter_mut().for_each(|letter| letter.delivery = None);
                }
                return Err(format!("a dead letter is not acknowledged: {error}"));
            }
            self.bytes -= letter.message.value.len();
            metrics::dead_letters(letter.kind);
        }
        Ok(())
    }

    fn deliver_one(&mut self, letter: &mut Letter) -> Result<(), String> {
        if letter.delivery.is_none() {
            self.send(letter)?;
        }
        let outcome = letter.delivery.as_mut().and_then(|delivery| delivery.wait(ACKNOWLEDGED_MAX));
        match outcome {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => {
                letter.delivery = None;
                Err(error.to_string())
            }
            None => Err("Kafka does not answer".to_owned()),
        }
    }
}
