//! What a node knows of the registry, whichever of its threads found out, and what follows from it: whether it may measure.
//!
//! It owns the ledger, the list and the standing of a node in a cluster. It must never let a node measure that has not applied everything up to the end
//! of the log as it was at the start, or that has read something which it does not understand.
//!
//! # Locks
//!
//! In this order: `hearing`, then `progress`. `ledger` alone, and the list inside it. Whoever decides whether the node measures holds `hearing`, so that
//! nobody gives a lease on what another has just taken back.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event::clock::{Clock, UnixMs};
use event::key::OptOutHash;
use tokio::sync::watch;

use super::follow::FollowParts;
use super::{Ledger, RegistryError, key_check};
use crate::heartbeat::{Beat, Hears};
use crate::lease::{Lease, Moment};
use crate::list::List;
use crate::metrics::FollowMetrics;
use crate::record::Record;
use crate::settings::Settings;
use crate::standing::{Grant, Standing};

/// Beginnings that are remembered: of one registry there are several only if roles were first started at once.
const BEGINNINGS_MAX: usize = 16;

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

/// What the threads of a node know together.
pub(super) struct Node {
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
    pub(super) metrics: FollowMetrics,
}

/// Whether a registry was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    Yes,
    /// There are receipts, and no beginning: it is being copied from elsewhere ([`super::copy`]), or lost its beginning.
    NotYet,
    /// There is nothing.
    Empty,
}

/// How far the reading is.
#[derive(Clone)]
struct Progress {
    /// Offset after the last record applied.
    applied: i64,
    phase: Phase,
}

/// See [`mod@super::follow`].
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// And why it takes as long as it does.
    Reading(&'static str),
    Following,
    /// Why.
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

impl Node {
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
    pub(super) async fn wait_applied(&self, offset: i64) -> Result<(), RegistryError> {
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
        // One lock after the other, never both.
        let heard_ago = self.hearing().lease.heard(progress.applied).map(|at| at.elapsed());
        let receipts = self.ledger().receipts.len() as u64;
        FollowState {
            is_caught_up: progress.phase == Phase::Following,
            refusal: self.standing.refusal(self.clock.now_ms()),
            heard_ago,
            applied: progress.applied,
            receipts,
        }
    }

    pub(super) fn stop(&self) {
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

    /// Offset after the last record applied.
    pub(super) fn applied(&self) -> i64 {
        self.progress.borrow().applied
    }

    pub(super) fn is_following(&self) -> bool {
        self.progress.borrow().phase == Phase::Following
    }

    /// Applies the record at this offset; `None` is a message that says nothing.
    ///
    /// # Errors
    /// What this node does not understand, or must not follow. It stays as it was before the record.
    pub(super) fn take(&self, offset: i64, record: Option<Record>) -> Result<(), RegistryError> {
        let is_following = self.is_following();
        let mut heard = None;
        match &record {
            Some(Record::Heartbeat { at_ms, registry_ms }) => {
                heard = Some(*at_ms);
                // Those from before the start may speak of a beginning that compaction has left out since.
                if is_following && !self.beginnings().contains(registry_ms) {
                    return Err(RegistryError::Replaced("a heartbeat speaks of another registry".to_owned()));
                }
            }
            Some(Record::Begun { key_check, at_ms }) => {
                if *key_check != self.key_check {
                    return Err(RegistryError::OtherKey);
                }
                let mut beginnings = self.beginnings();
                if beginnings.len() >= BEGINNINGS_MAX {
                    beginnings.pop_front();
                }
                beginnings.push_back(*at_ms);
            }
            Some(Record::OptedOut(_) | Record::TakenBack(_) | Record::OptedIn { .. }) | None => {}
        }
        if let Some(record) = record {
            // Held until the list has changed too: what the next record does to the list depends on it.
            let mut ledger = self.ledger();
            if is_following {
                let changes = ledger.change(record, &self.list)?;
                self.list.apply(changes);
            } else {
                ledger.restore(record)?;
            }
        }
        self.metrics.records_applied.increment(1);
        let mut hearing = self.hearing();
        if let Some(written_ms) = heard {
            let now = Moment { at: Instant::now(), unix_ms: self.clock.now_ms() };
            hearing.lease.heartbeat(written_ms, now);
        } else {
            self.reach.store(offset + 1, Ordering::Release);
        }
        self.progress.send_modify(|progress| progress.applied = offset + 1);
        if is_following {
            self.decide(&mut hearing);
        }
        Ok(())
    }

    /// Everything up to the end as of the start is applied: puts the list in force, unless the registry was not begun.
    ///
    /// # Errors
    /// [`RegistryError::Lost`].
    pub(super) fn follow(&self) -> Result<Begun, RegistryError> {
        let mut ledger = self.ledger();
        let found = ledger.receipts.len() as u64;
        let is_begun = ledger.key_check.is_some();
        if let Some(expected) = self.receipts_known
            && (!is_begun || found < expected)
        {
            return Err(RegistryError::Lost { expected, found });
        }
        if is_begun {
            self.list.replace(ledger.share_and_collect(), true)?;
            let active = ledger.active;
            drop(ledger);
            self.enter(Phase::Following);
            tracing::info!(receipts = found, active, listed = self.list.len(), "opt-out registry read");
        }
        Ok(match (is_begun, found) {
            (true, _) => Begun::Yes,
            (false, 0) => Begun::Empty,
            (false, 1..) => Begun::NotYet,
        })
    }

    pub(super) fn enter(&self, phase: Phase) {
        let mut hearing = self.hearing();
        self.progress.send_modify(|progress| progress.phase = phase);
        self.decide(&mut hearing);
    }

    /// Looks again whether this node may measure.
    pub(super) fn decide_now(&self) {
        self.decide(&mut self.hearing());
    }

    /// Hands the metrics what changes with time.
    pub(super) fn report(&self) {
        let (applied, heard) = {
            let mut hearing = self.hearing();
            let applied = self.applied();
            (applied, hearing.lease.heard(applied))
        };
        let may_measure = self.standing.may_measure(self.clock.now_ms());
        self.metrics.observe(applied, heard.map(|at| at.elapsed()), may_measure, &self.list.stats());
    }

    /// Gives or takes the right to measure, by what is known now.
    fn decide(&self, hearing: &mut Hearing) {
        let Progress { applied, phase } = self.progress.borrow().clone();
        match phase {
            Phase::Following => {
                let now_ms = self.clock.now_ms();
                if let Some(end) = hearing.lease.end(applied, Instant::now()) {
                    hearing.grant.extend(end, now_ms);
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

impl Hears for Node {
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
