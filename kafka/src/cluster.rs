//! The topics: their names, how they are made, and whether those that are there will do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResourceResult, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::types::RDKafkaErrorCode;

use crate::client::{self, Logging};
use crate::error::Error;
use crate::events::EventsConsumer;
use crate::follower::Follower;
use crate::producer::Producer;
use crate::settings::Settings;

/// Longest message that is sent, bytes: a frame of 512 KiB with room to spare, and a large catalog.
pub(crate) const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// What a record has besides its value, at most: key, headers, and what the log writes around them.
const AROUND_BYTES_MAX: usize = 16 << 10;
/// Longest wait for the brokers when topics are made.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait until a broker knows the properties of topics that were just made, and the pause between two looks.
const TOLD_TIMEOUT: Duration = Duration::from_secs(5);
const TOLD_PAUSE: Duration = Duration::from_millis(50);

/// A topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Frames of events, by journal.
    Events,
    /// What came as a frame and is none.
    DeadLetters,
    /// The opt-out registry: one partition, compacted.
    OptOuts,
    /// The catalog by version: one partition, compacted.
    Catalog,
    /// What people enter: one partition, compacted.
    Desk,
}

impl Topic {
    const ALL: [Self; 5] = [Self::Events, Self::DeadLetters, Self::OptOuts, Self::Catalog, Self::Desk];

    fn suffix(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::DeadLetters => "dead-letters",
            Self::OptOuts => "opt-outs",
            Self::Catalog => "catalog",
            Self::Desk => "desk",
        }
    }

    fn is_registry(self) -> bool {
        match self {
            Self::OptOuts | Self::Catalog | Self::Desk => true,
            Self::Events | Self::DeadLetters => false,
        }
    }

    /// Properties beside the brokers' own. `deploy/kafka/topics.md` gives the reasons.
    fn properties(self) -> &'static [(&'static str, &'static str)] {
        match self {
            // 7 days: as far back as figures can be rebuilt.
            Self::Events => &[
                ("cleanup.policy", "delete"),
                ("retention.ms", "604800000"),
                ("max.message.bytes", "1048576"),
                ("compression.type", "producer"),
                ("unclean.leader.election.enable", "false"),
            ],
            // 30 days: a person looks at these. A little longer than a message of events, for the headers.
            Self::DeadLetters => &[
                ("cleanup.policy", "delete"),
                ("retention.ms", "2592000000"),
                ("max.message.bytes", "2097152"),
                ("compression.type", "producer"),
                ("unclean.leader.election.enable", "false"),
            ],
            // Each second brings a heartbeat: compaction keeps the newest of each role.
            Self::OptOuts => &[
                ("cleanup.policy", "compact"),
                ("retention.ms", "-1"),
                ("segment.ms", "3600000"),
                ("max.message.bytes", "2097152"),
                ("unclean.leader.election.enable", "false"),
            ],
            Self::Catalog => &[
                ("cleanup.policy", "compact"),
                ("retention.ms", "-1"),
                ("max.message.bytes", "8388608"),
                ("unclean.leader.election.enable", "false"),
            ],
            Self::Desk => &[
                ("cleanup.policy", "compact"),
                ("retention.ms", "-1"),
                ("max.message.bytes", "1048576"),
                ("unclean.leader.election.enable", "false"),
            ],
        }
    }
}

/// The way to a Kafka. Cheap to clone; nothing is connected before a client is made.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    settings: Settings,
    names: [String; Topic::ALL.len()],
}

impl Cluster {
    /// Checks the settings and reads the files of secrets once, so that a wrong one shows at the start.
    ///
    /// # Errors
    /// [`Error::Settings`].
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        drop(client::config(settings)?);
        let names = Topic::ALL.map(|topic| format!("{}.{}", settings.topic_prefix, topic.suffix()));
        Ok(Self(Arc::new(Inner { settings: settings.clone(), names })))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Longest value that a message of a registry's topic takes, bytes.
    pub fn value_bytes_max(&self) -> usize {
        MESSAGE_BYTES_MAX.min(self.settings().buffer_bytes_max).saturating_sub(AROUND_BYTES_MAX)
    }

    /// The whole name of a topic.
    pub fn topic(&self, topic: Topic) -> &str {
        let [events, dead_letters, opt_outs, catalog, desk] = &self.0.names;
        match topic {
            Topic::Events => events,
            Topic::DeadLetters => dead_letters,
            Topic::OptOuts => opt_outs,
            Topic::Catalog => catalog,
            Topic::Desk => desk,
        }
    }

    /// Makes the topics that are missing, and looks whether the registries among those that are there are kept for good. Blocks; any number of
    /// nodes may do it at once.
    ///
    /// # Errors
    /// [`Error::Topic`] for a registry that would lose records; else the brokers cannot be reached or refuse.
    pub fn create_topics(&self) -> Result<(), Error> {
        // A thread of its own: the admin client is asynchronous, and whoever calls may be inside a runtime.
        let admin = std::thread::scope(|scope| {
            let made = std::thread::Builder::new().name("kafka-admin".to_owned()).spawn_scoped(scope, || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .map_err(|error| Error::Client(error.to_string()))?;
                runtime.block_on(self.make_and_check())
            });
            made.map(std::thread::ScopedJoinHandle::join)
        });
        match admin {
            // The client says no more than that it waited; why stands in its own messages.
            Ok(Ok(Err(Error::Broker(why)))) => Err(Error::Broker(format!(
                "{} did not do what was asked ({why}): look at [kafka] brokers and properties, and at the log for the reason",
                self.settings().brokers.join(", ")
            ))),
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Client("the admin thread panicked".to_owned())),
            Err(error) => Err(Error::Client(error.to_string())),
        }
    }

    async fn make_and_check(&self) -> Result<(), Error> {
        let admin: AdminClient<Logging> = client::config(self.settings())?.create_with_context(Logging)?;
        let options =
            AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT));
        let replication = match i32::from(self.settings().replication) {
            0 => -1,
            copies => copies,
        };
        // With three copies and more, an answer waits for two disks at least.
        let in_sync = if replication >= 3 { "2" } else { "1" };
        let topics: Vec<NewTopic<'_>> = Topic::ALL
            .iter()
            .map(|topic| {
                let partitions =
                    if *topic == Topic::Events { i32::from(self.settings().partitions) } else { 1 };
                let new = NewTopic::new(self.topic(*topic), partitions, TopicReplication::Fixed(replication));
                let new = topic.properties().iter().fold(new, |new, (key, value)| new.set(key, value));
                if replication > 0 { new.set("min.insync.replicas", in_sync) } else { new }
            })
            .collect();
        for made in admin.create_topics(&topics, &options).await? {
            match made {
                Ok(name) => tracing::info!(topic = name, "topic made"),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    return Err(Error::Broker(format!("the topic {name} cannot be made: {code}")));
                }
            }
        }
        self.check_registries(&admin, &options).await
    }

    /// A registry in a topic that forgets would let people be measured again who opted out.
    async fn check_registries(
        &self,
        admin: &AdminClient<Logging>,
        options: &AdminOptions,
    ) -> Result<(), Error> {
        let registries: Vec<&str> =
            Topic::ALL.iter().filter(|topic| topic.is_registry()).map(|topic| self.topic(*topic)).collect();
        let asked: Vec<ResourceSpecifier<'_>> =
            registries.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let begun = Instant::now();
        let described = loop {
            let described = admin.describe_configs(&asked, options).await?;
            // A broker that has not heard of a new topic yet says that it does not know it. rdkafka passes no such word on, nor one that we are
            // not allowed to ask: either is a resource without entries.
            let is_told = |described: &ConfigResourceResult| {
                described.as_ref().is_ok_and(|described| !described.entries.is_empty())
            };
            if described.iter().all(is_told) || begun.elapsed() > TOLD_TIMEOUT {
                break described;
            }
            std::thread::sleep(TOLD_PAUSE);
        };
        for (described, name) in described.into_iter().zip(&registries) {
            let policy = match described {
                Ok(described) => described.get("cleanup.policy").and_then(|entry| entry.value.clone()),
                Err(code) => {
                    return Err(Error::Broker(format!("the topic {name} cannot be looked at: {code}")));
                }
            };
            let Some(policy) = policy else {
                tracing::warn!(topic = name, "not allowed to look whether this topic is kept for good");
                continue;
            };
            if policy != "compact" {
                return Err(Error::Topic {
                    topic: (*name).to_owned(),
                    property: "cleanup.policy",
                    found: policy,
                    needed: "compact",
                });
            }
        }
        Ok(())
    }

    /// A new producer.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub fn producer(&self) -> Result<Producer, Error> {
        Producer::new(self)
    }

    /// A new member of the aggregators' group.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub fn events(&self) -> Result<EventsConsumer, Error> {
        EventsConsumer::new(self)
    }

    /// A reader of a whole topic of one partition.
    ///
    /// # Errors
    /// [`Error::Client`].
    pub fn follow(&self, topic: Topic) -> Result<Follower, Error> {
        Follower::new(self, topic)
    }
}

#[cfg(test)]
mod tests;
