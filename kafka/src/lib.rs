//! Kafka as the rest of the program speaks to it: topics by name, frames as messages, whole compacted topics from their beginning.
//!
//! Owns the connection settings, the names and properties of the topics, and the bytes of a frame on its way ([`frame`]). It is the only crate that
//! names rdkafka. It knows no event, no opt-out and no catalog: keys and values are bytes.
//!
//! # The three ways in which a topic is used
//!
//! * [`Producer`]: idempotent, acknowledged by all in-sync replicas. A [`Delivery`] tells what became of a message. A failed one may be in the log
//!   all the same: whoever sends again relies on an identity in the message, never on Kafka.
//! * [`EventsConsumer`]: a member of the group that shares the partitions of the events topic. Offsets are committed by hand, after what they stand
//!   for is durable elsewhere. The member that holds partition 0 is the one that settles.
//! * [`Follower`]: reads the only partition of a compacted topic from its beginning and goes on with what comes: a registry.
//!
//! Calls block; whoever calls brings a thread of its own. Nothing here is counted: the roles do that.
//!
//! # What it must never do
//!
//! Log or return a secret of the settings, switch certificate checks off, or make a topic whose retention would lose the registry.

mod client;
mod cluster;
mod error;
mod events;
mod follower;
pub mod frame;
mod producer;
mod settings;

pub use cluster::{Cluster, Topic};
pub use error::{Error, SendError, SettingsError};
pub use events::EventsConsumer;
pub use follower::Follower;
pub use producer::{Delivery, DeliveryError, Placed, Producer};
pub use settings::{Compression, Settings};

/// A message of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The partition that it stands in.
    pub partition: i32,
    /// Its place there, from 0.
    pub offset: i64,
    /// Its key; empty if it has none.
    pub key: Vec<u8>,
    /// Its value; empty if it has none.
    pub value: Vec<u8>,
    /// When it was made or taken, Unix milliseconds, as Kafka says; -1 if it says nothing.
    pub timestamp_ms: i64,
}

impl Message {
    fn of(message: &rdkafka::message::BorrowedMessage<'_>) -> Self {
        use rdkafka::Message as _;
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().unwrap_or_default().to_vec(),
            value: message.payload().unwrap_or_default().to_vec(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        }
    }
}
