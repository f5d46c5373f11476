//! Reading the registry's topic: on every node, from its beginning, and on with what comes. One state for opt-out roles and ingest nodes alike.
//!
//! It owns what is known of the registry and whether this node may measure. It must never let a node measure that has not applied everything up to the
//! end of the log as it was at the start, or that has read something which it does not understand.
//!
//! # Phases
//!
//! ```text
//! reading ──end as of the start applied, begun with our key──► following ──► (stopped)
//!    └───────────────── refused: for good, until a person looks and starts the process again ◄──┘
//! ```
//!
//! * **Reading.** Records go into the ledger alone; nothing is measured. Kafka away: tried again and again.
//! * **Following.** Each record changes ledger and list as it comes. The [lease](crate::lease) decides whether the node measures. Kafka away: what is known stays.
//! * **Refused.** An unknown version, a malformed record, another key, fewer receipts than once, a log that is not the one that was read: whoever opted
//!   out might be measured. The reason stands in the log, in the readiness and in [`FollowState::refusal`].

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::clock::Clock;
use event::key::KeyRing;
use kafka::{Cluster, Follower, Message, Topic};

use super::RegistryError;
use super::node::{Begun, FollowState, Node, Phase};
use super::topic::Voice;
use crate::heartbeat::{self, Hears as _};
use crate::list::List;
use crate::record::Record;
use crate::settings::Settings;
use crate::standing::Standing;

/// Longest wait for a message before the rest is looked after: lease, heartbeats, stop.
const TICK: Duration = Duration::from_millis(100);

/// Longest wait for the end of the log while reading, and while following, where messages wait meanwhile.
const END_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(250));

/// How often the end of the log is asked for while following: for the lag, and to see a log that was cut off.
const END_INTERVAL: Duration = Duration::from_secs(5);

/// Pause before another reader takes over.
const AGAIN_PAUSE: Duration = Duration::from_millis(100);

/// What a node follows the registry with.
pub struct FollowParts {
    /// The way to Kafka. Its topics have to be there.
    pub cluster: Cluster,
    /// Settings of the role: list, lease, addresses to ask.
    pub settings: Settings,
    /// The keys, the same on all nodes; only the opt-out key is used.
    pub keys: Arc<KeyRing>,
    /// Where the time comes from.
    pub clock: Clock,
    /// How many receipts the registry had when this node last looked; `None` where it never did. As for [`super::Registry::open_with`].
    pub receipts_known: Option<u64>,
}

/// A node that follows the registry, on threads of its own. Dropped, it stops without waiting.
pub struct Following {
    node: Arc<Node>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Follows the registry, for a node that measures. Returns at once: the list is empty and nothing may be measured until it is read.
///
/// # Errors
/// [`RegistryError::Settings`], [`RegistryError::Kafka`] for settings that Kafka's client refuses, [`RegistryError::Thread`].
pub fn follow(parts: FollowParts) -> Result<Following, RegistryError> {
    let node = Node::new(&parts)?;
    Following::start(&node, parts.cluster, None, None)
}

impl Following {
    /// `opened` hears once how the reading ended.
    pub(super) fn start(
        node: &Arc<Node>,
        cluster: Cluster,
        voice: Option<Voice>,
        opened: Option<SyncSender<Result<(), RegistryError>>>,
    ) -> Result<Self, RegistryError> {
        let follower = cluster.follow(Topic::OptOuts)?;
        let following = Self { node: Arc::clone(node), threads: Mutex::default() };
        let now = Instant::now();
        let reader = Reader {
            node: Arc::clone(node),
            cluster,
            voice,
            opened,
            target: None,
            look: now,
            look_at_end: now,
        };
        let thread = std::thread::Builder::new().name("opt-out-follow".into());
        let mut threads = vec![thread.spawn(move || reader.run(follower)).map_err(RegistryError::Thread)?];
        for (role, url) in node.settings.heartbeat_urls.iter().enumerate() {
            threads
                .push(heartbeat::ask_for_ever(url, role, Arc::clone(node)).map_err(RegistryError::Thread)?);
        }
        *following.threads() = threads;
        Ok(following)
    }

    /// The list that beacons are held against. Empty until the registry was read.
    pub fn list(&self) -> &List {
        &self.node.list
    }

    /// Whether this node may measure.
    pub fn standing(&self) -> Standing {
        self.node.standing.clone()
    }

    /// How far this node is.
    pub fn state(&self) -> FollowState {
        self.node.state()
    }

    /// Stops reading. Blocks until the threads have ended. The node measures no more.
    pub fn stop(self) {
        self.end();
    }

    pub(super) fn end(&self) {
        self.node.stop();
        for thread in std::mem::take(&mut *self.threads()) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread of the opt-out follower panicked");
            }
        }
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.node.stop();
        self.threads().iter().for_each(|thread| thread.thread().unpark());
    }
}

/// The thread that reads.
struct Reader {
    node: Arc<Node>,
    cluster: Cluster,
    /// Of an opt-out role.
    voice: Option<Voice>,
    opened: Option<SyncSender<Result<(), RegistryError>>>,
    /// End of the log as of the start.
    target: Option<i64>,
    look: Instant,
    look_at_end: Instant,
}

impl Reader {
    fn run(mut self, follower: Follower) {
        let ended = self.follow(follower);
        match &ended {
            Ok(()) => self.node.enter(Phase::Stopped),
            Err(error) => {
                tracing::error!(%error, "opt-out registry: refused, nothing is measured");
                self.node.enter(Phase::Refused(error.to_string().into()));
            }
        }
        self.node.report();
        if let (Some(opened), Err(error)) = (self.opened.take(), ended) {
            // Nobody waits any longer: the log has it.
            let _ = opened.try_send(Err(error));
        }
    }

    fn follow(&mut self, mut follower: Follower) -> Result<(), RegistryError> {
        let mut is_away = false;
        while !self.node.is_stopped() {
            match follower.next(TICK) {
                Ok(Some(message)) => {
                    is_away = false;
                    self.take(&message)?;
                }
                Ok(None) => {}
                Err(error @ kafka::Error::Gone { .. }) => return Err(replaced(&error)),
                Err(kafka::Error::Fatal(why)) => {
                    tracing::warn!(why, "opt-out registry: the reader has ended, another takes over");
                    std::thread::sleep(AGAIN_PAUSE);
                    // It begins at the beginning; what was applied is passed over.
                    follower = self.cluster.follow(Topic::OptOuts)?;
                }
                Err(error) if error.is_final() => return Err(error.into()),
                Err(error) => {
                    // No pause: errors stand in one queue with the messages, and each keeps those behind it waiting.
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(%error, "opt-out registry: Kafka is away, what is known stays");
                    }
                }
            }
            if self.look <= Instant::now() {
                self.look = Instant::now() + TICK;
                self.look_after(&follower)?;
            }
        }
        Ok(())
    }

    fn take(&self, message: &Message) -> Result<(), RegistryError> {
        if message.offset < self.node.applied() {
            return Ok(());
        }
        self.node.take(message.offset, Record::of_topic(&message.key, &message.value)?)
    }

    /// What is to be done beside reading.
    fn look_after(&mut self, follower: &Follower) -> Result<(), RegistryError> {
        if self.node.is_following() {
            self.node.decide_now();
        } else {
            self.catch_up(follower)?;
        }
        if let Some(voice) = &mut self.voice {
            voice.beat(&self.node);
        }
        if self.look_at_end <= Instant::now() {
            self.look_at_end = Instant::now() + END_INTERVAL;
            if let Some(end) = ask_end(follower, END_TIMEOUT.1)? {
                self.node.metrics.end(end);
            }
        }
        self.node.report();
        Ok(())
    }

    /// Goes from reading to following once everything is there.
    fn catch_up(&mut self, follower: &Follower) -> Result<(), RegistryError> {
        if self.target.is_none() {
            self.target = ask_end(follower, END_TIMEOUT.0)?;
        }
        let Some(target) = self.target else { return Ok(()) };
        if self.node.applied() < target {
            self.node.enter(Phase::Reading("the opt-outs are being read"));
            return Ok(());
        }
        match self.node.follow()? {
            Begun::Yes => {
                if let Some(opened) = self.opened.take() {
                    // Nobody waits any longer: it was long, and is ready now.
                    let _ = opened.try_send(Ok(()));
                }
            }
            Begun::NotYet => self.node.enter(Phase::Reading(
                "the registry has receipts and no beginning: it is being copied into the topic, or was not to its end",
            )),
            Begun::Empty => {
                self.node.enter(Phase::Reading("the registry was not begun yet: start an opt-out role"));
                if let Some(voice) = &mut self.voice {
                    voice.begin(&self.node);
                }
            }
        }
        Ok(())
    }
}

/// Where the log ends; `None` if Kafka is away, which the next reading says too.
fn ask_end(follower: &Follower, timeout: Duration) -> Result<Option<i64>, RegistryError> {
    match follower.end(timeout) {
        Ok(end) => Ok(Some(end)),
        Err(error) if error.is_final() => Err(replaced(&error)),
        Err(_) => Ok(None),
    }
}

/// The log is not the one that was read.
fn replaced(why: impl std::fmt::Display) -> RegistryError {
    RegistryError::Replaced(why.to_string())
}
