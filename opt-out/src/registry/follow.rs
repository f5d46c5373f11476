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
//! * **Following.** Each record changes ledger and list as it comes. The [`Lease`] decides whether the node measures. Kafka away: what is known stays.
//! * **Refused.** An unknown version, a malformed record, another key, fewer receipts than once, a log that is not the one that was read: whoever opted
//!   out might be measured. The reason stands in the log, in the readiness and in [`FollowState::refusal`].

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::clock::{Clock, UnixMs};
use event::key::{KeyRing, OptOutHash};
use kafka::{Cluster, Follower, Message, Topic};
use tokio::sync::watch;

use super::topic::Voice;
use super::{Ledger, RegistryError, key_check};
use crate::heartbeat::{self, Beat, Hears};
use crate::lease::{Lease, Moment};
use crate::list::List;
use crate::metrics::FollowMetrics;
use crate::record::Record;
use crate::settings::Settings;
use crate::standing::{Grant, Standing};

/// Longest wait for a message before the rest is looked after: lease, heartbeats, stop.
const TICK: Duration = Duration::from_millis(100);

/// Longest wait for the end of the log while reading, and while following, where messages wait meanwhile.
const END_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(250));

/// How often the end of the log is asked for while following: for the lag, and to see a log that was cut off.
const END_INTERVAL: Duration = Duration::from_secs(5);

/// Pause after an error of Kafka's.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Beginnings that are remembered: of one registry there are several only if roles were first started at once.
const BEGINNINGS_MAX: usize = 16;

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

/// How far a node is with the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowState {
    /// The registry was read to its end as of the start.
    pub is_caught_up: bool,
    /// Why this node does not measure; `None` while it does.
    pub refusal: Option<String>,
    /// How long ago the newest proof was given that every opt-out is known; `None`: never yet.
    pub heard_ago: Option<Duration>,
    /// Offset after the last record applied.
    pub applied: i64,
    /// Receipts, withdrawn ones included: to be kept for the next start.
    pub receipts: u64,
}

/// A node that follows the registry, on threads of its own. Dropped, it stops without waiting.
pub struct Following {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Follows the registry, for a node that measures. Returns at once: the list is empty and nothing may be measured until it is read.
///
/// # Errors
/// [`RegistryError::Settings`], [`RegistryError::Kafka`] for settings that Kafka's client refuses, [`RegistryError::Thread`].
pub fn follow(parts: FollowParts) -> Result<Following, RegistryError> {
    let core = Core::new(&parts)?;
    Following::start(&core, parts.cluster, None, None)
}

impl Following {
    /// `opened` hears once how the reading ended.
    pub(super) fn start(
        core: &Arc<Core>,
        cluster: Cluster,
        voice: Option<Voice>,
        opened: Option<SyncSender<Result<(), RegistryError>>>,
    ) -> Result<Self, RegistryError> {
        let follower = cluster.follow(Topic::OptOuts)?;
        let following = Self { core: Arc::clone(core), threads: Mutex::default() };
        let now = Instant::now();
        let reader = Reader {
            core: Arc::clone(core),
            cluster,
            voice,
            opened,
            target: None,
            look: now,
            look_at_end: now,
        };
        let thread = std::thread::Builder::new().name("opt-out-follow".into());
        let mut threads = vec![thread.spawn(move || reader.run(follower)).map_err(RegistryError::Thread)?];
        for (role, url) in core.settings.heartbeat_urls.iter().enumerate() {
            threads
                .push(heartbeat::ask_for_ever(url, role, Arc::clone(core)).map_err(RegistryError::Thread)?);
        }
        *following.threads() = threads;
        Ok(following)
    }

    /// The list that beacons are held against. Empty until the registry was read.
    pub fn list(&self) -> &List {
        &self.core.list
    }

    /// Whether this node may measure.
    pub fn standing(&self) -> Standing {
        self.core.standing.clone()
    }

    /// How far this node is.
    pub fn state(&self) -> FollowState {
        self.core.state()
    }

    /// Stops reading. Blocks until the threads have ended. The node measures no more.
    pub fn stop(self) {
        self.end();
    }

    pub(super) fn end(&self) {
        self.core.stop();
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
        self.core.stop();
        self.threads().iter().for_each(|thread| thread.thread().unpark());
    }
}

/// What the threads of a node know together.
pub(super) struct Core {
    pub(super) settings: Settings,
    clock: Clock,
    pub(super) list: List,
    pub(super) ledger: Mutex<Ledger>,
    key_check: OptOutHash,
    receipts_known: Option<u64>,
    pub(super) standing: Standing,
    progress: watch::Sender<Progress>,
    /// Offset after the last record that was more than a heartbeat.
    reach: AtomicI64,
    /// When the registry was begun, as each of its beginnings says; the last is in force.
    beginnings: Mutex<VecDeque<UnixMs>>,
    hearing: Mutex<Hearing>,
    is_stopped: AtomicBool,
    metrics: FollowMetrics,
}

/// How far the reading is.
#[derive(Clone)]
struct Progress {
    /// Offset after the last record applied.
    applied: i64,
    phase: Phase,
}

#[derive(Clone, PartialEq, Eq)]
enum Phase {
    Reading(&'static str),
    Following,
    Refused(Arc<str>),
    Stopped,
}

/// What was heard, and what follows from it. One lock for both: nobody gives a lease on what another has just taken back.
struct Hearing {
    lease: Lease,
    grant: Grant,
    /// Why a role did not answer, by its number.
    silent: Vec<Option<String>>,
    /// When Kafka took our own heartbeat last.
    acknowledged: Option<Instant>,
}

impl Core {
    pub(super) fn new(parts: &FollowParts) -> Result<Arc<Self>, RegistryError> {
        parts.settings.check()?;
        let roles = parts.settings.heartbeat_urls.len();
        let grant = Grant::new();
        let start_empty = parts.settings.registry.start_empty;
        if start_empty {
            tracing::warn!("opt_out.registry.start_empty is set: remove it after this start");
        }
        let phase = Phase::Reading("the opt-outs have not been read: Kafka has not answered yet");
        Ok(Arc::new(Self {
            clock: parts.clock.clone(),
            list: List::new(parts.settings.list.clone()),
            ledger: Mutex::default(),
            key_check: key_check(&parts.keys)?,
            receipts_known: parts.receipts_known.filter(|_| !start_empty),
            standing: grant.standing(),
            progress: watch::Sender::new(Progress { applied: 0, phase }),
            reach: AtomicI64::new(0),
            beginnings: Mutex::default(),
            hearing: Mutex::new(Hearing {
                lease: Lease::new(Duration::from_secs(parts.settings.lease_seconds), roles),
                grant,
                silent: vec![None; roles],
                acknowledged: None,
            }),
            is_stopped: AtomicBool::new(false),
            metrics: FollowMetrics::new(),
            settings: parts.settings.clone(),
        }))
    }

    /// Whether the registry can be asked and changed.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`] says why not.
    pub(super) fn check_ready(&self) -> Result<(), RegistryError> {
        let why = match &self.progress.borrow().phase {
            Phase::Following => return Ok(()),
            Phase::Reading(why) => (*why).to_owned(),
            Phase::Refused(why) => why.to_string(),
            Phase::Stopped => "it is closed".to_owned(),
        };
        Err(RegistryError::Unavailable(why))
    }

    /// Waits until the record at this offset is applied.
    pub(super) async fn applied(&self, offset: i64) -> Result<(), RegistryError> {
        let mut progress = self.progress.subscribe();
        let is_over = |phase: &Phase| matches!(phase, Phase::Refused(_) | Phase::Stopped);
        let seen = progress.wait_for(|progress| progress.applied > offset || is_over(&progress.phase)).await;
        if seen.is_ok_and(|progress| progress.applied > offset) {
            return Ok(());
        }
        self.check_ready()
    }

    /// The first record of a registry.
    pub(super) fn beginning(&self) -> Record {
        Record::Begun { key_check: self.key_check, at_ms: self.clock.now_ms() }
    }

    /// The heartbeat of an opt-out role, once it follows.
    pub(super) fn heartbeat(&self) -> Option<Record> {
        self.check_ready().ok()?;
        let registry_ms = self.registry_ms()?;
        Some(Record::Heartbeat { at_ms: self.clock.now_ms(), registry_ms })
    }

    /// What an opt-out role answers over HTTP.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`] while it cannot answer for the registry.
    pub(super) fn beat(&self) -> Result<Beat, RegistryError> {
        self.check_ready()?;
        let registry_ms = self.registry_ms().ok_or(RegistryError::NotBound)?;
        Ok(Beat { reach: self.reach.load(Ordering::Acquire), registry_ms, kafka: self.is_kafka_there() })
    }

    /// Kafka took a heartbeat of ours just now.
    pub(super) fn acknowledged(&self) {
        self.hearing().acknowledged = Some(Instant::now());
    }

    /// Whether Kafka took a heartbeat of ours within the lease.
    pub(super) fn is_kafka_there(&self) -> bool {
        let lease = Duration::from_secs(self.settings.lease_seconds);
        self.hearing().acknowledged.is_some_and(|at| at.elapsed() < lease)
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Its changes are few and cannot panic half way; a poisoned lock is some other bug's, and must not switch the page off.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> FollowState {
        let progress = self.progress.borrow().clone();
        FollowState {
            is_caught_up: progress.phase == Phase::Following,
            refusal: self.standing.refusal(self.clock.now_ms()),
            heard_ago: self.hearing().lease.heard(progress.applied).map(|at| at.elapsed()),
            applied: progress.applied,
            receipts: self.ledger().receipts.len() as u64,
        }
    }

    fn stop(&self) {
        self.is_stopped.store(true, Ordering::Release);
    }

    fn registry_ms(&self) -> Option<UnixMs> {
        self.beginnings().back().copied()
    }

    fn beginnings(&self) -> MutexGuard<'_, VecDeque<UnixMs>> {
        self.beginnings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hearing(&self) -> MutexGuard<'_, Hearing> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        let mut hearing = self.hearing();
        self.progress.send_modify(|progress| progress.phase = phase);
        self.decide(&mut hearing);
    }

    /// Gives or takes the right to measure, by what is known now.
    fn decide(&self, hearing: &mut Hearing) {
        let Progress { applied, phase } = self.progress.borrow().clone();
        match phase {
            Phase::Following => {
                if let Some(left) = hearing.lease.left(applied, Instant::now()) {
                    hearing.grant.extend(left, self.clock.now_ms());
                } else {
                    let why = self.silence(hearing, applied);
                    hearing.grant.revoke(why);
                }
            }
            Phase::Reading(why) => hearing.grant.revoke(why),
            Phase::Refused(why) => hearing.grant.revoke(&*why),
            Phase::Stopped => hearing.grant.revoke("the opt-outs are no longer followed: the node stops"),
        }
    }

    /// Why nothing was heard for too long.
    fn silence(&self, hearing: &mut Hearing, applied: i64) -> String {
        let mut why = match hearing.lease.heard(applied) {
            Some(at) => format!("no opt-out role was heard for {} s", at.elapsed().as_secs()),
            None => "no opt-out role was heard yet".to_owned(),
        };
        why.push_str(
            ": no fresh heartbeat came over Kafka (is an opt-out role running, and do the clocks agree?)",
        );
        for (url, silent) in self.settings.heartbeat_urls.iter().zip(&hearing.silent) {
            let said = silent.as_deref().unwrap_or("it reaches further than this node");
            let _ = write!(why, "; {url}: {said}");
        }
        why
    }
}

impl Hears for Core {
    fn answered(&self, role: usize, sent: Instant, beat: Result<Beat, String>) {
        let beat = beat.and_then(|beat| {
            let is_ours = self.beginnings().contains(&beat.registry_ms);
            let other = "it answers for another registry, or one that this node has not read yet";
            is_ours.then_some(beat).ok_or_else(|| other.to_owned())
        });
        self.metrics.polled(beat.is_ok());
        let mut hearing = self.hearing();
        let applied = self.progress.borrow().applied;
        let silent = match beat {
            Ok(beat) => {
                hearing.lease.answer(role, sent, beat.reach, applied);
                None
            }
            Err(why) => Some(why),
        };
        if let Some(place) = hearing.silent.get_mut(role) {
            *place = silent;
        }
        self.decide(&mut hearing);
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }
}

/// The thread that reads.
struct Reader {
    core: Arc<Core>,
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
        if let Err(error) = &ended {
            tracing::error!(%error, "opt-out registry: refused, nothing is measured");
            self.core.enter(Phase::Refused(error.to_string().into()));
        } else {
            self.core.enter(Phase::Stopped);
        }
        self.report();
        if let (Some(opened), Err(error)) = (self.opened.take(), ended) {
            // Nobody waits any longer: the log has it.
            let _ = opened.try_send(Err(error));
        }
    }

    fn follow(&mut self, mut follower: Follower) -> Result<(), RegistryError> {
        let mut is_away = false;
        while !self.core.is_stopped() {
            match follower.next(TICK) {
                Ok(Some(message)) => {
                    is_away = false;
                    self.take(&message)?;
                }
                Ok(None) => {}
                Err(error @ kafka::Error::Gone { .. }) => return Err(replaced(&error)),
                Err(kafka::Error::Fatal(why)) => {
                    tracing::warn!(why, "opt-out registry: the reader has ended, another takes over");
                    std::thread::sleep(ERROR_PAUSE);
                    // It begins at the beginning; what was applied is passed over.
                    follower = self.cluster.follow(Topic::OptOuts)?;
                }
                Err(error) if error.is_final() => return Err(error.into()),
                Err(error) => {
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!(%error, "opt-out registry: Kafka is away, what is known stays");
                    }
                    std::thread::sleep(ERROR_PAUSE);
                }
            }
            if self.look <= Instant::now() {
                self.look = Instant::now() + TICK;
                self.look_after(&follower)?;
            }
        }
        Ok(())
    }

    /// Applies a message.
    fn take(&mut self, message: &Message) -> Result<(), RegistryError> {
        let Progress { applied, phase } = self.core.progress.borrow().clone();
        if message.offset < applied {
            return Ok(());
        }
        let is_following = phase == Phase::Following;
        let record = Record::of_topic(&message.key, &message.value)?;
        let mut heard = None;
        match &record {
            Some(Record::Heartbeat { at_ms, registry_ms }) => {
                heard = Some(*at_ms);
                if is_following && !self.core.beginnings().contains(registry_ms) {
                    return Err(replaced("a heartbeat speaks of another registry"));
                }
            }
            Some(Record::Begun { key_check, at_ms }) => {
                if *key_check != self.core.key_check {
                    return Err(RegistryError::OtherKey);
                }
                let mut beginnings = self.core.beginnings();
                if beginnings.len() >= BEGINNINGS_MAX {
                    beginnings.pop_front();
                }
                beginnings.push_back(*at_ms);
            }
            Some(Record::OptedOut(_) | Record::TakenBack(_) | Record::OptedIn { .. }) | None => {}
        }
        if let Some(record) = record {
            // Held until the list has changed too: what the next record does to the list depends on it.
            let mut ledger = self.core.ledger();
            if is_following {
                let changes = ledger.change(record, &self.core.list)?;
                self.core.list.apply(&changes);
            } else {
                ledger.restore(record)?;
            }
        }
        if heard.is_none() {
            self.core.reach.store(message.offset + 1, Ordering::Release);
        }
        self.core.metrics.records_applied.increment(1);
        let mut hearing = self.core.hearing();
        self.core.progress.send_modify(|progress| progress.applied = message.offset + 1);
        if let Some(written_ms) = heard {
            let now = Moment { at: Instant::now(), unix_ms: self.core.clock.now_ms() };
            hearing.lease.heartbeat(written_ms, now);
        }
        if is_following {
            self.core.decide(&mut hearing);
        }
        Ok(())
    }

    /// What is to be done beside reading.
    fn look_after(&mut self, follower: &Follower) -> Result<(), RegistryError> {
        let is_following = self.core.progress.borrow().phase == Phase::Following;
        if is_following {
            let mut hearing = self.core.hearing();
            self.core.decide(&mut hearing);
        } else {
            self.catch_up(follower)?;
        }
        if let Some(voice) = &mut self.voice {
            voice.beat(&self.core);
        }
        if self.look_at_end <= Instant::now() {
            self.look_at_end = Instant::now() + END_INTERVAL;
            match follower.end(END_TIMEOUT.1) {
                Ok(end) => self.core.metrics.end(end),
                Err(error) if error.is_final() => return Err(replaced(&error)),
                // Kafka is away: what is read next will say so.
                Err(_) => {}
            }
        }
        self.report();
        Ok(())
    }

    fn report(&self) {
        let (applied, heard) = {
            let mut hearing = self.core.hearing();
            let applied = self.core.progress.borrow().applied;
            (applied, hearing.lease.heard(applied))
        };
        let may_measure = self.core.standing.may_measure(self.core.clock.now_ms());
        self.core.metrics.observe(applied, heard.map(|at| at.elapsed()), may_measure);
    }

    /// Goes from reading to following once everything is there.
    fn catch_up(&mut self, follower: &Follower) -> Result<(), RegistryError> {
        let target = match self.target {
            Some(target) => target,
            None => match follower.end(END_TIMEOUT.0) {
                Ok(target) => target,
                Err(error) if error.is_final() => return Err(replaced(&error)),
                Err(_) => return Ok(()),
            },
        };
        self.target = Some(target);
        let applied = self.core.progress.borrow().applied;
        if applied < target {
            self.core.enter(Phase::Reading("the opt-outs are being read"));
            return Ok(());
        }
        let mut ledger = self.core.ledger();
        let found = ledger.receipts.len() as u64;
        if let Some(expected) = self.core.receipts_known
            && (ledger.key_check.is_none() || found < expected)
        {
            return Err(RegistryError::Lost { expected, found });
        }
        if ledger.key_check.is_none() {
            if found > 0 {
                return Err(RegistryError::Damaged("its beginning is missing".to_owned()));
            }
            drop(ledger);
            self.core.enter(Phase::Reading("the registry was not begun yet: start an opt-out role"));
            if let Some(voice) = &mut self.voice {
                voice.begin(&self.core);
            }
            return Ok(());
        }
        self.core.list.replace(ledger.share_and_collect(), true)?;
        let active = ledger.active;
        drop(ledger);
        self.core.enter(Phase::Following);
        tracing::info!(receipts = found, active, listed = self.core.list.len(), "opt-out registry read");
        if let Some(opened) = self.opened.take() {
            // Nobody waits any longer: it was long, and is ready now.
            let _ = opened.try_send(Ok(()));
        }
        Ok(())
    }
}

/// The log is not the one that was read.
fn replaced(why: impl std::fmt::Display) -> RegistryError {
    RegistryError::Replaced(why.to_string())
}
