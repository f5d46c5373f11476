//! Reading a compacted topic whole and going on with what comes: a registry that many nodes hold alike.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{Cluster, Topic};
use crate::error::Error;
use crate::{Message, client};

/// The only partition of such a topic.
const PARTITION: i32 = 0;

/// Reads a topic of one partition from its beginning. One thread. Belongs to no group and commits nothing.
///
/// The end of the log is reached when [`Follower::position`] is [`Follower::end`]: nothing in these topics is ever deleted by a tombstone, so
/// their last message stays.
pub struct Follower {
    topic: String,
    inner: BaseConsumer<client::Logging>,
    position: i64,
}

impl Follower {
    pub(crate) fn new(cluster: &Cluster, topic: Topic) -> Result<Self, Error> {
        let settings = cluster.settings();
        let mut config = client::config(settings)?;
        config
            // Never used: whole topics are read, and nothing is committed.
            .set("group.id", format!("{}-follower", settings.topic_prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A log that does not go on where it was read is another log: that must be seen.
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("queued.max.messages.kbytes", (settings.fetch_bytes_max / 1024).to_string())
            .set("fetch.wait.max.ms", "250")
            .set("fetch.error.backoff.ms", "50")
            .set("check.crcs", "true");
        let inner: BaseConsumer<client::Logging> = config.create_with_context(client::Logging)?;
        let topic = cluster.topic(topic).to_owned();
        let mut whole = TopicPartitionList::new();
        whole.add_partition_offset(&topic, PARTITION, Offset::Beginning)?;
        inner.assign(&whole)?;
        Ok(Self { topic, inner, position: 0 })
    }

    /// The next message; `None` if there is none in time.
    ///
    /// # Errors
    /// [`Error::Gone`] if the log does not go on where it was read last; else go on calling unless the error is final.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Message>, Error> {
        match self.inner.poll(timeout) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Ok(message)) => {
                let message = Message::of(&message);
                if message.offset < self.position {
                    // Read before: the log began anew under our feet.
                    return Err(Error::Gone { topic: self.topic.clone() });
                }
                self.position = message.offset + 1;
                Ok(Some(message))
            }
            Some(Err(error)) => Err(match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                    Error::Gone { topic: self.topic.clone() }
                }
                _ => match self.inner.client().fatal_error() {
                    Some((_, why)) => Error::Fatal(why),
                    None => Error::of(&error),
                },
            }),
        }
    }

    /// Offset after the last message returned.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Where the log ends now: offset of the next message that comes.
    ///
    /// # Errors
    /// [`Error::Gone`] if it ends before what was read already; else the brokers cannot be asked.
    pub fn end(&self, timeout: Duration) -> Result<i64, Error> {
        let (_, end) = self.inner.fetch_watermarks(&self.topic, PARTITION, timeout)?;
        if end < self.position {
            return Err(Error::Gone { topic: self.topic.clone() });
        }
        Ok(end)
    }
}
