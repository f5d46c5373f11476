//! A member of the aggregators' group: frames of the partitions that it holds.
//!
//! Offsets are committed by hand. Partitions move cooperatively: those that stay are read on while others come and go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataPartition;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{Cluster, Topic};
use crate::error::Error;
use crate::{Message, client};

/// The partition whose holder settles.
const SETTLER_PARTITION: i32 = 0;
/// Heartbeats in a session.
const HEARTBEATS: u64 = 10;
/// How often the lag is told, milliseconds.
const STATISTICS_MS: u32 = 1000;
/// Longest that the coordinator is waited for when offsets are committed is librdkafka's `socket.timeout.ms`; it is cut to this, milliseconds.
const SOCKET_TIMEOUT_MS: u32 = 10_000;

/// A member of the group. One thread; drop it, or [`EventsConsumer::close`] it, where blocking for some seconds does no harm.
pub struct EventsConsumer {
    cluster: Cluster,
    inner: BaseConsumer<Membership>,
    membership: Arc<State>,
}

impl EventsConsumer {
    pub(crate) fn new(cluster: &Cluster) -> Result<Self, Error> {
        let settings = cluster.settings();
        let session_ms = u64::from(settings.session_seconds_max) * 1000;
        let mut config = client::config(settings)?;
        config
            .set("group.id", &settings.group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A group that is new reads everything that is there; one whose offsets have gone reads what is left, and the books show the gap.
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", session_ms.to_string())
            .set("heartbeat.interval.ms", (session_ms / HEARTBEATS).min(3000).to_string())
            .set("max.poll.interval.ms", (u64::from(settings.poll_seconds_max) * 1000).to_string())
            .set("socket.timeout.ms", SOCKET_TIMEOUT_MS.to_string())
            .set("queued.max.messages.kbytes", (settings.fetch_bytes_max / 1024).to_string())
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "200")
            .set("statistics.interval.ms", STATISTICS_MS.to_string())
            .set("check.crcs", "true");
        let membership = Arc::new(State::default());
        let topic = cluster.topic(Topic::Events);
        let context = Membership { topic: topic.to_owned(), state: Arc::clone(&membership) };
        let inner: BaseConsumer<Membership> = config.create_with_context(context)?;
        inner.subscribe(&[topic])?;
        Ok(Self { cluster: cluster.clone(), inner, membership })
    }

    /// The next message of any partition held; `None` if there is none in time. Call it often: it also keeps the membership alive.
    ///
    /// # Errors
    /// [`Error`]: go on calling unless it is final.
    pub fn poll(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        match self.inner.poll(timeout) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => Ok(Some(Message::of(&message))),
            Some(Err(error)) => Err(self.error(&error)),
        }
    }

    /// Changes whenever partitions come or go.
    pub fn rebalances(&self) -> u64 {
        self.membership.rebalances.load(Ordering::Acquire)
    }

    /// The partitions held now.
    pub fn assigned(&self) -> Vec<i32> {
        self.membership.assigned().clone()
    }

    /// Whether this member holds the first partition: it is the one that settles. While Kafka cannot be reached, nobody else gets it, and this
    /// member keeps it in its own eyes.
    pub fn is_settler(&self) -> bool {
        self.membership.assigned().contains(&SETTLER_PARTITION)
    }

    /// Commits where to go on from, partition by partition. Those that are not held any more are left out: their messages come again, to whoever
    /// holds their partition then. False if nothing was committed because the group changes hands at this moment: try again.
    ///
    /// # Errors
    /// [`Error`]: nothing was committed; harmless, but to be tried again.
    pub fn commit(&self, next: &[(i32, i64)]) -> Result<bool, Error> {
        let held = self.assigned();
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in next.iter().filter(|(partition, _)| held.contains(partition)) {
            offsets.add_partition_offset(
                self.cluster.topic(Topic::Events),
                *partition,
                Offset::Offset(*offset),
            )?;
        }
        if offsets.count() == 0 {
            return Ok(true);
        }
        match self.inner.commit(&offsets, CommitMode::Sync) {
            Ok(()) => Ok(true),
            Err(error) => match error.rdkafka_error_code() {
                Some(
                    RDKafkaErrorCode::IllegalGeneration
                    | RDKafkaErrorCode::UnknownMemberId
                    | RDKafkaErrorCode::RebalanceInProgress
                    | RDKafkaErrorCode::NoOffset
                    | RDKafkaErrorCode::AssignmentLost,
                ) => {
                    tracing::info!(%error, "offsets not committed: the group is changing hands");
                    Ok(false)
                }
                _ => Err(self.error(&error)),
            },
        }
    }

    /// Where each partition of the topic ends now: offset of the next message that comes; 0 where no message is left, whatever there was.
    ///
    /// # Errors
    /// [`Error`].
    pub fn ends(&self, timeout: Duration) -> Result<Vec<(i32, i64)>, Error> {
        self.partitions(timeout)?
            .into_iter()
            .map(|partition| {
                let (begin, end) =
                    self.inner.fetch_watermarks(self.cluster.topic(Topic::Events), partition, timeout)?;
                Ok((partition, if begin < end { end } else { 0 }))
            })
            .collect()
    }

    /// Where the group goes on from in each partition of the topic, also those that others hold; 0 where nothing was committed yet.
    ///
    /// # Errors
    /// [`Error`].
    pub fn committed(&self, timeout: Duration) -> Result<Vec<(i32, i64)>, Error> {
        let mut all = TopicPartitionList::new();
        for partition in self.partitions(timeout)? {
            all.add_partition(self.cluster.topic(Topic::Events), partition);
        }
        let committed = self.inner.committed_offsets(all, timeout)?;
        Ok(committed
            .elements()
            .iter()
            .map(|element| (element.partition(), element.offset().to_raw().unwrap_or(0).max(0)))
            .collect())
    }

    /// Messages behind, in the partitions held, as Kafka said last (within a second).
    pub fn lag(&self) -> u64 {
        self.membership.lag.load(Ordering::Relaxed)
    }

    /// Leaves the group, so that its partitions go to the others at once. Blocks until that is done.
    pub fn close(self) {
        self.inner.unsubscribe();
        drop(self.inner);
    }

    fn partitions(&self, timeout: Duration) -> Result<Vec<i32>, Error> {
        let topic = self.cluster.topic(Topic::Events);
        let metadata = self.inner.fetch_metadata(Some(topic), timeout)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let mut partitions: Vec<i32> = found
            .map(|topic| topic.partitions().iter().map(MetadataPartition::id).collect())
            .unwrap_or_default();
        if partitions.is_empty() {
            return Err(Error::Broker(format!("the topic {topic} is not there")));
        }
        partitions.sort_unstable();
        Ok(partitions)
    }

    fn error(&self, error: &KafkaError) -> Error {
        match self.inner.client().fatal_error() {
            Some((_, why)) => Error::Fatal(why),
            None => Error::of(error),
        }
    }
}

/// What the callbacks know.
#[derive(Default)]
struct State {
    assigned: Mutex<Vec<i32>>,
    rebalances: AtomicU64,
    lag: AtomicU64,
}

impl State {
    fn assigned(&self) -> std::sync::MutexGuard<'_, Vec<i32>> {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Membership {
    topic: String,
    state: Arc<State>,
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client::log_error(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let held = self.state.assigned().clone();
        let behind = statistics.topics.get(&self.topic).map_or(0, |topic| {
            let of_held = topic.partitions.values().filter(|partition| held.contains(&partition.partition));
            of_held.map(|partition| u64::try_from(partition.consumer_lag).unwrap_or(0)).sum()
        });
        self.state.lag.store(behind, Ordering::Relaxed);
    }
}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        // What goes is given up before the group hears of it.
        if let Rebalance::Revoke(gone) = rebalance {
            let gone: Vec<i32> = numbers(gone);
            self.state.assigned().retain(|partition| !gone.contains(partition));
            self.state.rebalances.fetch_add(1, Ordering::AcqRel);
            tracing::info!(partitions = ?gone, "partitions given up");
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(new) = rebalance {
            let new: Vec<i32> = numbers(new);
            let mut assigned = self.state.assigned();
            assigned.extend(&new);
            assigned.sort_unstable();
            assigned.dedup();
            drop(assigned);
            self.state.rebalances.fetch_add(1, Ordering::AcqRel);
            tracing::info!(partitions = ?new, "partitions taken over");
        }
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        rdkafka::util::Timeout::After(Duration::from_millis(100))
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions.elements().iter().map(TopicPartitionListElem::partition).collect()
}
