//! What goes wrong with Kafka, and whose it is to mend.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

/// Why a call to Kafka did not do what was asked. Try again later unless [`Error::is_final`] says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Operator: a setting cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Operator: librdkafka refuses the settings.
    #[error("Kafka's client refuses its settings: {0}")]
    Client(String),
    /// Operator: a topic is there but not as it has to be.
    #[error(
        "the topic {topic} has {property} = {found}, it needs {needed}: change it with Kafka's tools (deploy/kafka/README.md)"
    )]
    Topic {
        /// The topic.
        topic: String,
        /// The property.
        property: &'static str,
        /// Its value.
        found: String,
        /// What it has to be.
        needed: &'static str,
    },
    /// Downstream: brokers that cannot be reached, or that refuse. Passes by itself, or the message says what to do.
    #[error("Kafka: {0}")]
    Broker(String),
    /// Downstream: the part of the log that was to be read is not there any more (the topic was made anew, or trimmed).
    #[error("the topic {topic} does not go on where it was read last: it was made anew or trimmed")]
    Gone {
        /// The topic.
        topic: String,
    },
    /// Downstream: this client is of no use any more; make another.
    #[error("Kafka's client has ended: {0}")]
    Fatal(String),
}

impl Error {
    /// Whether only a new client, or a person, helps.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Client(_) | Self::Topic { .. } | Self::Gone { .. } | Self::Fatal(_) => {
                true
            }
            Self::Broker(_) => false,
        }
    }

    pub(crate) fn of(error: &KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, description, key, _) => Self::Client(format!("{key}: {description}")),
            KafkaError::ClientCreation(why) => Self::Client(why.clone()),
            error if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) => {
                Self::Fatal(error.to_string())
            }
            error => Self::Broker(error.to_string()),
        }
    }
}

impl From<KafkaError> for Error {
    fn from(error: KafkaError) -> Self {
        Self::of(&error)
    }
}

/// A setting that cannot be used. The operator's.
#[derive(Debug, thiserror::Error)]
#[error("kafka.{key}: {problem}")]
pub struct SettingsError {
    /// The key below `[kafka]`.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The queue has reached `buffer_bytes_max`: wait for deliveries, then send again.
    #[error("the queue to Kafka is full")]
    QueueFull,
    /// The message is longer than the topic takes. Ours: it will never go.
    #[error("a message of {bytes} bytes is longer than the topic takes")]
    TooLarge {
        /// Bytes of key and value.
        bytes: usize,
    },
    /// The client refuses; see [`crate::Producer::is_fatal`].
    #[error("Kafka's client refuses the message: {0}")]
    Other(String),
}
