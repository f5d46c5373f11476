//! Sending messages, and what became of each.
//!
//! Owns an idempotent producer: within its life, messages of one partition stand in the log once and in the order in which they were sent. Its end
//! is the end of that: whoever sends again after it needs an identity in the message.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

use crate::client;
use crate::cluster::{Cluster, MESSAGE_BYTES_MAX, Topic};
use crate::error::{Error, SendError};

/// How long messages of one partition wait for company, milliseconds. Short: an opt-out is to be everywhere within a second.
const LINGER_MS: u32 = 2;
/// Pause before a refused batch is sent again, milliseconds; doubled up to the second.
const RETRY_MS: (u32, u32) = (50, 1000);

/// Sends messages. Share it between threads by reference or `Arc`.
pub struct Producer {
    cluster: Cluster,
    inner: ThreadedProducer<Fates>,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
}

/// A message was not acknowledged. It may be in the log all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not acknowledged: {0}")]
pub struct DeliveryError(pub String);

/// The fate of one message. Dropping it changes nothing.
#[must_use = "whether the message was acknowledged is told here only"]
pub struct Delivery(Arc<Fate>);

impl Producer {
    pub(crate) fn new(cluster: &Cluster) -> Result<Self, Error> {
        let settings = cluster.settings();
        let mut config = client::config(settings)?;
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", settings.compression.name())
            .set("linger.ms", LINGER_MS.to_string())
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
            .set("message.timeout.ms", (u64::from(settings.delivery_seconds_max) * 1000).to_string())
            .set("retry.backoff.ms", RETRY_MS.0.to_string())
            .set("retry.backoff.max.ms", RETRY_MS.1.to_string())
            .set("queue.buffering.max.kbytes", (settings.buffer_bytes_max / 1024).to_string())
            .set("queue.buffering.max.messages", "100000");
        Ok(Self { cluster: cluster.clone(), inner: config.create_with_context(Fates)? })
    }

    /// Puts a message into the queue. Copies it and does not wait. Messages with one key stand in one partition.
    ///
    /// # Errors
    /// [`SendError`]: it was not taken.
    pub fn send(
        &self,
        topic: Topic,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<Delivery, SendError> {
        let fate = Arc::new(Fate::default());
        let delivery = Delivery(Arc::clone(&fate));
        let mut record = BaseRecord::with_opaque_to(self.cluster.topic(topic), Box::new(Sender(fate)))
            .key(key)
            .payload(value);
        if !headers.is_empty() {
            let all = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header { key, value: Some(*value) })
            });
            record = record.headers(all);
        }
        match self.inner.send(record) {
            Ok(()) => Ok(delivery),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Err(SendError::QueueFull),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                Err(SendError::TooLarge { bytes: key.len() + value.len() })
            }
            Err((error, _)) => Err(SendError::Other(error.to_string())),
        }
    }

    /// Why this producer is of no use any more, if it is: drop it and make another.
    pub fn is_fatal(&self) -> Option<String> {
        self.inner.client().fatal_error().map(|(_, why)| why)
    }

    /// Waits until the fate of every message is known; false if it takes longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.inner.flush(timeout).is_ok()
    }

    /// Messages whose fate is not known yet.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.inner.in_flight_count()).unwrap_or(0)
    }
}

impl Delivery {
    /// Waits for the fate; `None` if it is not known after `timeout`. A duration of zero looks only.
    pub fn wait(&mut self, timeout: Duration) -> Option<Result<Placed, DeliveryError>> {
        let state = self.0.lock();
        let (state, _) = self
            .0
            .known
            .wait_timeout_while(state, timeout, |state| state.outcome.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        state.outcome.clone()
    }
}

impl Future for Delivery {
    type Output = Result<Placed, DeliveryError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        if let Some(outcome) = state.outcome.clone() {
            return Poll::Ready(outcome);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// What sender and receiver of a fate share.
#[derive(Default)]
struct Fate {
    state: Mutex<State>,
    known: Condvar,
}

#[derive(Default)]
struct State {
    outcome: Option<Result<Placed, DeliveryError>>,
    waker: Option<Waker>,
}

impl Fate {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, outcome: Result<Placed, DeliveryError>) {
        let mut state = self.lock();
        if state.outcome.is_some() {
            return;
        }
        state.outcome = Some(outcome);
        let waker = state.waker.take();
        drop(state);
        self.known.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The telling end. Dropped without a word, it says that nothing is known.
struct Sender(Arc<Fate>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.tell(Err(DeliveryError("the producer ended before".to_owned())));
    }
}

/// Tells each message's fate.
struct Fates;

impl ClientContext for Fates {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }
}

impl ProducerContext for Fates {
    type DeliveryOpaque = Box<Sender>;

    fn delivery(&self, result: &DeliveryResult<'_>, sender: Box<Sender>) {
        use rdkafka::Message as _;
        sender.0.tell(match result {
            Ok(message) => Ok(Placed { partition: message.partition(), offset: message.offset() }),
            Err((error, _)) => Err(DeliveryError(error.to_string())),
        });
    }
}
