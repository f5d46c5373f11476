//! Who opted out and who took it back: the durable truth behind the [`List`], in a log that never expires.
//!
//! It owns the receipts. It must never see an identifier, only hashes; never put a hash in force before its record is durable; and never
//! serve a list of which it cannot know that it is whole: it refuses to open rather than measure somebody who opted out.
//!
//! # Two logs
//!
//! On one machine the log is a journal of its own, which this process alone writes ([`Registry::open`]). In a cluster it is a compacted topic that
//! every opt-out role writes and every node reads ([`Registry::open_on_topic`], [`follow()`]). The first changes its ledger when its own record is durable;
//! the second changes it by nothing but records as they stand in the log, its own among them.
//!
//! # An opt-out
//!
//! record → log, durable → list → answer. Whoever asks after the answer is told "listed". If the program dies between log and
//! answer, the person has no receipt and is left out all the same.
//!
//! # Whose opt-out it is
//!
//! A hash is listed while *any* receipt covers it. Whoever lodges your id and takes his own receipt back does not cancel yours. The list itself
//! says "at least one"; a count is kept only for hashes that several receipts cover.
//!
//! # Opening
//!
//! A folder that was deleted, or is not mounted, looks like the first start, and so does a topic that was made anew. So whoever opens the registry
//! keeps the number of its receipts elsewhere ([`Registry::open_with`]), and an emptier one is refused unless the operator says that it is meant.
//!
//! The whole log is replayed, then the list is built in one go. Damage, a missing part, an unknown version or another key end the opening with
//! an error that says what to do. Receipts are small and rare next to beacons, so that a journal is never compacted: a million receipts replay in
//! seconds.

mod copy;
mod error;
mod follow;
pub mod import;
mod journal;
mod ledger;
mod node;
mod topic;

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::clock::{Clock, UnixMs};
use event::identifier::{IdField, RawId};
use event::key::{KeyRing, OptOutHash};

pub use self::error::RegistryError;
pub use self::follow::{FollowParts, Following, follow};
use self::journal::JournalLog;
use self::ledger::{Changes, Ledger};
pub use self::node::FollowState;
use self::node::Node;
use self::topic::{Producers, TopicLog, Voice};
use crate::heartbeat::Beat;
use crate::list::List;
use crate::receipt::{ReceiptId, Secret, SecretDigest};
use crate::record::{HASHES_MAX, OptedOut, Record, Source, TakenBack};
use crate::settings::{RegistrySettings, Settings};
use crate::standing::Standing;

/// The check value of the opt-out key is its hash of this cookie id, which is nobody's. Stored: never change it.
const KEY_CHECK_ID: &[u8] = b"sightline-opt-out-registry";

/// What the holder of a new receipt gets.
pub struct Lodging {
    /// Number of the receipt.
    pub receipt: ReceiptId,
    /// Its secret, told once and never again.
    pub secret: Secret,
    /// Since when the opt-out holds. Unix milliseconds.
    pub at_ms: UnixMs,
    /// Version of the privacy policy that it names.
    pub policy_version: u16,
}

/// What the holder of a receipt may know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Number of the receipt.
    pub receipt: ReceiptId,
    /// Since when. Unix milliseconds.
    pub opted_out_ms: UnixMs,
    /// When it was taken back, if it was. Unix milliseconds.
    pub opted_in_ms: Option<UnixMs>,
    /// By which way it came.
    pub source: Source,
    /// Version of the privacy policy that was shown.
    pub policy_version: u16,
}

/// The registry in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryStats {
    /// Receipts in force.
    pub receipts_active: u64,
    /// Receipts, withdrawn ones included.
    pub receipts: u64,
    /// Hashes that receipts hold, repeats included.
    pub hashes: u64,
    /// Hashes that several receipts cover.
    pub hashes_shared: u64,
    /// Bytes of the journal; 0 where the log is a topic.
    pub disk_bytes: u64,
    /// The log takes records.
    pub is_writable: bool,
}

/// The registry. Cheap to clone; every clone is the same registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    settings: RegistrySettings,
    clock: Clock,
    list: List,
    log: Log,
    /// Held by the one import that goes on.
    import: tokio::sync::Mutex<()>,
}

/// Where the records stand.
enum Log {
    /// On one machine. The ledger is changed by whoever wrote.
    Journal { log: Box<JournalLog>, ledger: Box<Mutex<Ledger>> },
    /// In a cluster. The ledger is changed by whoever reads.
    Topic { log: TopicLog, node: Arc<Node>, following: Following },
}

impl Registry {
    /// Opens the registry in `dir`, makes it if it is not there, and replays it. The list is complete when this returns.
    ///
    /// Call [`Registry::bind_key`] next, before anybody relies on the list.
    ///
    /// # Errors
    /// [`RegistryError`]: damage, an unknown version, the disk, or another process that has it open. Nothing may be measured then.
    pub fn open(dir: &Path, settings: &Settings, clock: Clock) -> Result<(Self, List), RegistryError> {
        Self::open_with(dir, settings, clock, None)
    }

    /// Opens the registry as [`Registry::open`] does. `receipts_known` is how many receipts it had when that was last looked at
    /// ([`RegistryStats::receipts`], which never falls); `None` where it was never bound to a key.
    ///
    /// # Errors
    /// [`RegistryError::Lost`] if there are fewer, or the registry was never begun, unless
    /// [`RegistrySettings::start_empty`] is set; nothing is written into a folder that is missing or empty. Else as [`Registry::open`].
    pub fn open_with(
        dir: &Path,
        settings: &Settings,
        clock: Clock,
        receipts_known: Option<u64>,
    ) -> Result<(Self, List), RegistryError> {
        let receipts_known = receipts_known.filter(|_| !settings.registry.start_empty);
        if settings.registry.start_empty {
            tracing::warn!("opt_out.registry.start_empty is set: remove it after this start");
        }
        let (log, mut ledger) = JournalLog::open(dir, &settings.registry, clock.clone(), receipts_known)?;
        let list = List::new(settings.list.clone());
        list.replace(ledger.share_and_collect(), false)?;
        tracing::info!(
            receipts = ledger.receipts.len(),
            active = ledger.active,
            listed = list.len(),
            "opt-out registry opened"
        );
        let log = Log::Journal { log: Box::new(log), ledger: Box::new(Mutex::new(ledger)) };
        let inner = Inner {
            settings: settings.registry,
            clock,
            list: list.clone(),
            log,
            import: tokio::sync::Mutex::default(),
        };
        Ok((Self(Arc::new(inner)), list))
    }

    /// Opens the registry of a cluster, for an opt-out role: reads its topic from the beginning, begins it if it is empty and none was known, writes a
    /// heartbeat every second, and answers for it. Waits at most [`crate::Limits::storage_seconds_max`].
    ///
    /// If Kafka is away or the topic is long, this returns before everything is read: until it is, changes and questions are
    /// [`RegistryError::Unavailable`], and the role serves what needs no registry, which is the browser's cookie.
    ///
    /// # Errors
    /// What was found wrong with the topic in that time, as [`Registry::open_with`]; later it stands in [`Registry::follow_state`].
    pub fn open_on_topic(parts: FollowParts) -> Result<(Self, List), RegistryError> {
        let node = Node::new(&parts)?;
        let producers = Producers::new(parts.cluster.clone());
        let voice = Voice::new(Arc::clone(&producers), u64::from_le_bytes(random()?));
        let (opened, is_open) = sync_channel(1);
        let following = Following::start(&node, parts.cluster, Some(voice), Some(opened))?;
        let patience = Duration::from_secs(parts.settings.limits.storage_seconds_max);
        match is_open.recv_timeout(patience) {
            Ok(opened) => opened?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                tracing::warn!(
                    waited_seconds = patience.as_secs(),
                    "opt-out registry: not read yet; until it is, nobody can opt out but by the browser's cookie"
                );
            }
        }
        let list = node.list.clone();
        let log = Log::Topic { log: TopicLog::new(Arc::clone(&node), producers), node, following };
        let inner = Inner {
            settings: parts.settings.registry,
            clock: parts.clock,
            list: list.clone(),
            log,
            import: tokio::sync::Mutex::default(),
        };
        Ok((Self(Arc::new(inner)), list))
    }

    /// Binds a new registry to the opt-out key, or checks that an old one was made with it. Waits for the disk once, at the first start.
    ///
    /// # Errors
    /// [`RegistryError::OtherKey`]: the list would recognise nobody. [`RegistryError::Unavailable`]: the disk.
    pub fn bind_key(&self, keys: &KeyRing) -> Result<(), RegistryError> {
        let key_check = key_check(keys)?;
        match (self.ledger().key_check, &self.0.log) {
            (Some(known), _) if known == key_check => return Ok(()),
            (Some(_), _) => return Err(RegistryError::OtherKey),
            // Its reader holds the key against the topic, whenever that is read.
            (None, Log::Topic { .. }) => return Ok(()),
            (None, Log::Journal { log, .. }) => {
                let record = Record::Begun { key_check, at_ms: self.0.clock.now_ms() };
                log.append(&record)?.wait().map_err(unavailable)?;
            }
        }
        self.ledger().key_check = Some(key_check);
        Ok(())
    }

    /// Opts the hashes out: durable, then in force, then answered.
    ///
    /// Once begun it must be polled to its end, or an opt-out may be durable and not in force until the next start: spawn it.
    ///
    /// # Errors
    /// [`RegistryError::Full`], [`RegistryError::Unavailable`], [`RegistryError::HashCount`].
    pub async fn opt_out(
        &self,
        hashes: &[OptOutHash],
        source: Source,
        policy_version: u16,
    ) -> Result<Lodging, RegistryError> {
        let mut hashes = hashes.to_vec();
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.is_empty() || hashes.len() > HASHES_MAX {
            return Err(RegistryError::HashCount);
        }
        let receipt = self.new_receipt(hashes.len())?;
        let secret = Secret::new(random()?);
        let at_ms = self.0.clock.now_ms();
        let record = OptedOut {
            receipt,
            at_ms,
            source,
            policy_version,
            secret: secret.digest(),
            hashes: hashes.into(),
        };
        self.commit(Record::OptedOut(record)).await?;
        Ok(Lodging { receipt, secret, at_ms, policy_version })
    }

    /// Takes a receipt's opt-out back. Doing it again changes nothing and is no error.
    ///
    /// Once begun it must be polled to its end: spawn it.
    ///
    /// # Errors
    /// [`RegistryError::UnknownReceipt`], [`RegistryError::Unavailable`].
    pub async fn opt_in(&self, receipt: ReceiptId, secret: &Secret) -> Result<Status, RegistryError> {
        let status = self.status(receipt, secret)?;
        if status.opted_in_ms.is_none() {
            let at_ms = self.0.clock.now_ms();
            let record = match &self.0.log {
                Log::Journal { .. } => Record::OptedIn { receipt, at_ms },
                Log::Topic { .. } => Record::TakenBack(TakenBack {
                    receipt,
                    at_ms,
                    opted_out_ms: status.opted_out_ms,
                    source: status.source,
                    policy_version: status.policy_version,
                    secret: secret.digest(),
                }),
            };
            self.commit(record).await?;
        }
        self.status(receipt, secret)
    }

    /// What became of a receipt, for its holder.
    ///
    /// # Errors
    /// [`RegistryError::UnknownReceipt`]; [`RegistryError::Unavailable`] while the registry of a cluster is not read.
    pub fn status(&self, id: ReceiptId, secret: &Secret) -> Result<Status, RegistryError> {
        /// Compared with when there is no such receipt, so that the answer takes as long.
        const NOBODYS: SecretDigest = SecretDigest([0; 32]);
        self.check_ready()?;
        let ledger = self.ledger();
        let receipt = ledger.receipts.get(&id);
        let matches = receipt.map_or(&NOBODYS, |receipt| &receipt.secret).matches(secret);
        match receipt {
            Some(receipt) if matches => Ok(Status {
                receipt: id,
                opted_out_ms: receipt.at_ms,
                opted_in_ms: receipt.withdrawn_ms,
                source: receipt.source.clone(),
                policy_version: receipt.policy_version,
            }),
            Some(_) | None => Err(RegistryError::UnknownReceipt),
        }
    }

    /// Builds the list anew from the receipts. It is refused, and the list in force stays, if it would shrink by more than
    /// [`crate::ListSettings::shrink_percent_max`] and `force` is not set.
    ///
    /// # Errors
    /// [`RegistryError::List`].
    pub fn rebuild(&self, force: bool) -> Result<(), RegistryError> {
        // Held throughout: no receipt may come or go between reading them and putting the list in force.
        let mut ledger = self.ledger();
        let hashes = ledger.share_and_collect();
        Ok(self.0.list.replace(hashes, force)?)
    }

    /// The registry in numbers.
    pub fn stats(&self) -> RegistryStats {
        let (disk_bytes, is_writable) = match &self.0.log {
            Log::Journal { log, .. } => (log.disk_bytes(), log.is_writable()),
            Log::Topic { node, .. } => (0, node.check_ready().is_ok() && node.is_kafka_there()),
        };
        let ledger = self.ledger();
        RegistryStats {
            receipts_active: ledger.active,
            receipts: ledger.receipts.len() as u64,
            hashes: ledger.hashes as u64,
            hashes_shared: ledger.shared.len() as u64,
            disk_bytes,
            is_writable,
        }
    }

    /// The list that this registry keeps.
    pub fn list(&self) -> &List {
        &self.0.list
    }

    /// Whether a tracker in this process may measure by that list.
    pub fn standing(&self) -> Standing {
        match &self.0.log {
            Log::Journal { .. } => Standing::always(),
            Log::Topic { node, .. } => node.standing.clone(),
        }
    }

    /// How far the reading of the topic is; `None` where the log is a journal, which is read before it is served.
    pub fn follow_state(&self) -> Option<FollowState> {
        match &self.0.log {
            Log::Journal { .. } => None,
            Log::Topic { following, .. } => Some(following.state()),
        }
    }

    /// Why this registry can be neither asked nor changed now; `None` while it can.
    pub fn refusal(&self) -> Option<String> {
        self.check_ready().err().map(|error| error.to_string())
    }

    /// Commits what is under way and closes the log. Blocks until that is done. Opt-outs are refused from now on; the list stays.
    pub fn close(&self) {
        match &self.0.log {
            Log::Journal { log, .. } => log.close(),
            Log::Topic { log, following, .. } => {
                // First what is on its way, so that whoever waits for it is answered.
                log.close();
                following.end();
            }
        }
    }

    /// What is answered to a node that asks how far the registry reaches; `None` where no node asks.
    pub(crate) fn beat(&self) -> Option<Result<Beat, RegistryError>> {
        match &self.0.log {
            Log::Journal { .. } => None,
            Log::Topic { node, .. } => Some(node.beat()),
        }
    }

    fn check_ready(&self) -> Result<(), RegistryError> {
        match &self.0.log {
            Log::Journal { .. } => Ok(()),
            Log::Topic { node, .. } => node.check_ready(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let ledger = match &self.0.log {
            Log::Journal { ledger, .. } => &**ledger,
            Log::Topic { node, .. } => &node.ledger,
        };
        // Its changes are few and cannot panic half way; a poisoned lock is some other bug's, and must not switch the page off.
        ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no receipt has, if there is room for one with so many hashes.
    fn new_receipt(&self, hashes: usize) -> Result<ReceiptId, RegistryError> {
        self.check_ready()?;
        let ledger = self.ledger();
        if ledger.key_check.is_none() {
            return Err(RegistryError::NotBound);
        }
        if ledger.receipts.len() >= self.0.settings.receipts_max {
            return Err(RegistryError::Full { limit: "opt_out.registry.receipts_max" });
        }
        if ledger.hashes + hashes > self.0.settings.hashes_max {
            return Err(RegistryError::Full { limit: "opt_out.registry.hashes_max" });
        }
        loop {
            let id = ReceiptId(random()?);
            if !ledger.receipts.contains_key(&id) {
                return Ok(id);
            }
        }
    }

    /// Makes a record durable and puts it in force. Records of different receipts may come in any order: their effects do not depend on it.
    async fn commit(&self, record: Record) -> Result<(), RegistryError> {
        match &self.0.log {
            Log::Topic { log, .. } => log.append(&record).await,
            Log::Journal { log, ledger } => {
                log.append(&record)?.await.map_err(unavailable)?;
                // Held until the list has changed too: what the next record does to the list depends on it.
                let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
                let mut changes = Changes::default();
                ledger.enter(record, &self.0.list, &mut changes)?;
                self.0.list.apply(changes);
                Ok(())
            }
        }
    }
}

/// What the opt-out key makes of an id that is nobody's: by it a registry is told from one of another key.
fn key_check(keys: &KeyRing) -> Result<OptOutHash, RegistryError> {
    let id = RawId::new(IdField::Cookie, KEY_CHECK_ID, None).reduce();
    Ok(keys.opt_out_hash(&id.map_err(|_| RegistryError::NotBound)?))
}

fn unavailable(error: impl std::error::Error) -> RegistryError {
    RegistryError::Unavailable(error.to_string())
}

fn random<const N: usize>() -> Result<[u8; N], RegistryError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(RegistryError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
