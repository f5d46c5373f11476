//! The registry's log in a cluster: a compacted topic that every opt-out role writes and every node reads.
//!
//! It owns the writing side of a role. It must never say that a record is in force before this role's own reader has applied it, and it changes no
//! ledger: records change it in the order of the log only, so that all nodes come to the same state.
//!
//! # A record on its way
//!
//! producer → acknowledged by all in-sync replicas, at this offset → applied by our own reader → answer. A record that was not acknowledged in time
//! may still arrive: whoever asked was told that nothing is promised, and it is in force on every node once it is there. That is on the safe side:
//! the person wanted it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka::{Cluster, Delivery, Producer, Topic};
use tokio::sync::Semaphore;

use super::node::Node;
use super::{RegistryError, unavailable};
use crate::heartbeat;
use crate::metrics::TopicMetrics;
use crate::record::{Record, heartbeat_key};

/// Changes that wait for Kafka at the same time; more are refused at once.
const CHANGES_PENDING_MAX: usize = 1_024;

/// How long a stop waits for what is on its way to Kafka.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a first record may be on its way before it is sent again.
const BEGIN_AGAIN: Duration = Duration::from_secs(10);

/// Sends records.
pub(super) struct TopicLog {
    node: Arc<Node>,
    producers: Arc<Producers>,
    places: Semaphore,
}

impl TopicLog {
    pub(super) fn new(node: Arc<Node>, producers: Arc<Producers>) -> Self {
        Self { node, producers, places: Semaphore::new(CHANGES_PENDING_MAX) }
    }

    /// Writes a record; resolves once this node has applied it.
    pub(super) async fn append(&self, record: &Record) -> Result<(), RegistryError> {
        let _place = self.places.try_acquire().map_err(unavailable)?;
        self.node.check_ready()?;
        let delivery = self.producers.send(record)?;
        let placed = delivery.await.map_err(|error| {
            self.producers.metrics.produce_failures.increment(1);
            unavailable(error)
        })?;
        self.node.wait_applied(placed.offset).await
    }

    pub(super) fn close(&self) {
        self.producers.close();
    }
}

/// The producer in use: another one when the one before is of no use any more.
pub(super) struct Producers {
    cluster: Cluster,
    current: Mutex<Option<Arc<Producer>>>,
    metrics: TopicMetrics,
}

impl Producers {
    pub(super) fn new(cluster: Cluster) -> Arc<Self> {
        Arc::new(Self { cluster, current: Mutex::default(), metrics: TopicMetrics::new() })
    }

    fn send(&self, record: &Record) -> Result<Delivery, RegistryError> {
        let key = record.topic_key().ok_or(RegistryError::NotBound)?;
        self.send_as(&key, record)
    }

    fn send_as(&self, key: &str, record: &Record) -> Result<Delivery, RegistryError> {
        let sent = self.get().and_then(|producer| {
            producer.send(Topic::OptOuts, key.as_bytes(), &record.encode(), &[]).map_err(unavailable)
        });
        if sent.is_err() {
            self.metrics.produce_failures.increment(1);
        }
        sent
    }

    fn get(&self) -> Result<Arc<Producer>, RegistryError> {
        let mut current = self.current();
        if let Some(why) = current.as_ref().and_then(|producer| producer.is_fatal()) {
            tracing::warn!(why, "opt-out registry: the producer has ended, another takes over");
            *current = None;
        }
        if let Some(producer) = &*current {
            return Ok(Arc::clone(producer));
        }
        let producer = Arc::new(self.cluster.producer().map_err(unavailable)?);
        *current = Some(Arc::clone(&producer));
        Ok(producer)
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Arc<Producer>>> {
        // A pointer is replaced whole or not at all.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        if let Some(producer) = self.current().take()
            && !producer.flush(FLUSH_TIMEOUT)
        {
            tracing::warn!(
                messages = producer.in_flight(),
                "opt-out registry: stopped before Kafka answered"
            );
        }
    }
}

/// What an opt-out role says into the topic by itself: that the registry begins, and every second that it lives.
pub(super) struct Voice {
    producers: Arc<Producers>,
    key: String,
    next: Instant,
    /// The one heartbeat that is on its way: while Kafka is away they do not pile up.
    pending: Option<Delivery>,
    /// The first record of all and when it was sent.
    begun: Option<(Delivery, Instant)>,
}

impl Voice {
    /// `instance` is drawn at the start.
    pub(super) fn new(producers: Arc<Producers>, instance: u64) -> Self {
        Self { producers, key: heartbeat_key(instance), next: Instant::now(), pending: None, begun: None }
    }

    /// Begins a registry that has no record yet. Called until it has one.
    pub(super) fn begin(&mut self, node: &Node) {
        if self.begun.as_ref().is_some_and(|(_, sent)| sent.elapsed() < BEGIN_AGAIN) {
            return;
        }
        match self.producers.send(&node.beginning()) {
            Ok(delivery) => self.begun = Some((delivery, Instant::now())),
            Err(error) => tracing::warn!(%error, "opt-out registry: cannot be begun yet"),
        }
    }

    /// Sends the heartbeat that is due, and hears what became of the last.
    pub(super) fn beat(&mut self, node: &Node) {
        match self.pending.as_mut().map(|delivery| delivery.wait(Duration::ZERO)) {
            Some(None) => return,
            Some(Some(Ok(_))) => {
                self.producers.metrics.heartbeats_sent.increment(1);
                node.acknowledged();
            }
            Some(Some(Err(error))) => {
                self.producers.metrics.heartbeats_failed.increment(1);
                tracing::warn!(%error, "opt-out registry: Kafka did not take a heartbeat");
            }
            None => {}
        }
        self.pending = None;
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = (self.next + heartbeat::INTERVAL).max(now);
        if let Some(record) = node.heartbeat() {
            match self.producers.send_as(&self.key, &record) {
                Ok(delivery) => self.pending = Some(delivery),
                Err(error) => {
                    self.producers.metrics.heartbeats_failed.increment(1);
                    tracing::warn!(%error, "opt-out registry: a heartbeat cannot be sent");
                }
            }
        }
    }
}
