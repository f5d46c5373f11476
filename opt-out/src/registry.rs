//! Who opted out and who took it back: the durable truth behind the [`List`], in a journal of its own that is never trimmed.
//!
//! It owns the receipts. It must never see an identifier, only hashes; never put a hash in force before its record is durable; and never
//! serve a list of which it cannot know that it is whole: it refuses to open rather than measure somebody who opted out.
//!
//! # An opt-out
//!
//! record → journal, synced → list → answer. Whoever asks after the answer is told "listed". If the program dies between journal and
//! answer, the person has no receipt and is left out all the same.
//!
//! # Whose opt-out it is
//!
//! A hash is listed while *any* receipt covers it. Whoever lodges your id and takes his own receipt back does not cancel yours. The list itself
//! says "at least one"; a count is kept only for hashes that several receipts cover.
//!
//! # Opening
//!
//! A folder that was deleted, or is not mounted, looks like the first start. So whoever opens the registry keeps the number of its receipts
//! elsewhere ([`Registry::open_with`]), and an emptier one is refused unless the operator says that it is meant.
//!
//! The whole journal is replayed, then the list is built in one go. Damage, a missing part, an unknown version or another key end the opening with
//! an error that says what to do. Receipts are small and rare next to beacons, so that nothing is compacted: a million receipts replay in seconds.

mod ledger;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::clock::{Clock, UnixMs};
use event::identifier::{IdField, RawId};
use event::key::{KeyRing, OptOutHash};
use thiserror::Error;

use self::ledger::Ledger;
use crate::list::{List, ListError};
use crate::receipt::{ReceiptId, Secret, SecretDigest};
use crate::record::{HASHES_MAX, OptedOut, Record, RecordError, Source};
use crate::settings::{RegistrySettings, Settings};

/// Cursor that stands at the first record for good, so that the journal never removes a segment.
const CURSOR: &str = "registry";

/// The check value of the opt-out key is its hash of this cookie id, which is nobody's. Stored: never change it.
const KEY_CHECK_ID: &[u8] = b"sightline-opt-out-registry";

/// Why the registry cannot be opened, or did not do what was asked.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// No receipt of that number with that secret. The caller's; nothing tells which of the two is wrong.
    #[error("no receipt has this number and this secret")]
    UnknownReceipt,
    /// Nothing to opt out, or more than a record can hold. The caller's.
    #[error("an opt-out takes 1 to {HASHES_MAX} hashes")]
    HashCount,
    /// The registry is at a limit. The operator's: raise it. The caller may retry later.
    #[error("the registry has reached {limit}: raise it")]
    Full {
        /// The setting.
        limit: &'static str,
    },
    /// The journal did not take or confirm the record. Ours; the caller may retry. It may turn out to be in force after a restart.
    #[error("the registry's journal refuses records: {0}")]
    Unavailable(String),
    /// [`Registry::bind_key`] was not called. Ours: a bug.
    #[error("the registry is not bound to a key")]
    NotBound,
    /// Records are missing or unreadable. The operator's: restore the folder from a copy.
    #[error(
        "the registry is damaged: {0}; restore its folder from a copy, for nobody who opted out may be measured"
    )]
    Damaged(String),
    /// The registry has fewer receipts than it once had, or was never begun: its folder was lost or an old copy was put back. The
    /// operator's: restore it.
    #[error(
        "the registry has {found} receipts and had {expected} before: its folder is missing or an old copy; restore it, for whoever opted \
         out would be measured again. Only if it is lost for good, set start_empty = true in [opt_out.registry] for one start"
    )]
    Lost {
        /// Receipts that it had at least.
        expected: u64,
        /// Receipts that it has.
        found: u64,
    },
    /// A record cannot be read.
    #[error("the registry cannot be read: {0}")]
    Record(#[from] RecordError),
    /// The registry was made with another opt-out key. The operator's: bring back the key file that belongs to it.
    #[error("the registry was made with another opt-out key: put back the key file that belongs to it")]
    OtherKey,
    /// The journal cannot be opened or read.
    #[error("the registry's journal: {0}")]
    Journal(#[from] journal::Error),
    /// The journal's disk cannot be read.
    #[error("the registry's journal: {0}")]
    Read(#[from] journal::ReadError),
    /// The list cannot be built.
    #[error("the opt-out list: {0}")]
    List(#[from] ListError),
    /// The system gave no random bytes. Ours; may pass.
    #[error("no random bytes for a receipt: {0}")]
    Random(getrandom::Error),
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Bytes of the journal.
    pub disk_bytes: u64,
    /// The journal takes records.
    pub is_writable: bool,
}

/// The registry. Cheap to clone; every clone is the same registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    settings: RegistrySettings,
    clock: Clock,
    list: List,
    ledger: Mutex<Ledger>,
    writer: journal::Writer,
    /// Holds the whole journal back from removal.
    _cursor: Mutex<journal::Reader>,
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
        if let Some(expected) = receipts_known
            && is_missing_or_empty(dir)
        {
            return Err(RegistryError::Lost { expected, found: 0 });
        }
        let journal_clock = clock.clone();
        let (writer, recovery) =
            journal::Lane::open(dir, settings.registry.journal(), Arc::new(move || journal_clock.now_ms()))?;
        refuse_gaps(&recovery)?;
        let mut reader = writer.reader(CURSOR)?;
        let mut ledger = Ledger::default();
        while let Some(frame) = reader.next_frame()? {
            if frame.lost_before > 0 {
                return Err(RegistryError::Damaged(format!("{} records are missing", frame.lost_before)));
            }
            for (_, bytes) in frame.records() {
                ledger.replay(Record::decode(bytes)?)?;
            }
        }
        let read = writer.stats();
        if read.damaged_ranges > 0 {
            return Err(RegistryError::Damaged(format!("{} bytes are unreadable", read.damaged_bytes)));
        }
        let found = ledger.receipts.len() as u64;
        if let Some(expected) = receipts_known
            && (ledger.key_check.is_none() || found < expected)
        {
            return Err(RegistryError::Lost { expected, found });
        }
        let list = List::new(settings.list.clone());
        list.replace(ledger.share_and_collect(), false)?;
        tracing::info!(
            receipts = ledger.receipts.len(),
            active = ledger.active,
            listed = list.len(),
            "opt-out registry opened"
        );
        let inner = Inner {
            settings: settings.registry,
            clock,
            list: list.clone(),
            ledger: Mutex::new(ledger),
            writer,
            _cursor: Mutex::new(reader),
        };
        Ok((Self(Arc::new(inner)), list))
    }

    /// Binds a new registry to the opt-out key, or checks that an old one was made with it. Waits for the disk once, at the first start.
    ///
    /// # Errors
    /// [`RegistryError::OtherKey`]: the list would recognise nobody. [`RegistryError::Unavailable`]: the disk.
    pub fn bind_key(&self, keys: &KeyRing) -> Result<(), RegistryError> {
        let id = RawId::new(IdField::Cookie, KEY_CHECK_ID, None).reduce();
        let key_check = keys.opt_out_hash(&id.map_err(|_| RegistryError::NotBound)?);
        match self.ledger().key_check {
            Some(known) if known == key_check => return Ok(()),
            Some(_) => return Err(RegistryError::OtherKey),
            None => {}
        }
        let record = Record::Begun { key_check, at_ms: self.0.clock.now_ms() };
        self.append(&record)?.wait().map_err(unavailable)?;
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
        let record = Record::OptedOut(record);
        self.append(&record)?.await.map_err(unavailable)?;
        self.apply(record)?;
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
            let record = Record::OptedIn { receipt, at_ms: self.0.clock.now_ms() };
            self.append(&record)?.await.map_err(unavailable)?;
            self.apply(record)?;
        }
        self.status(receipt, secret)
    }

    /// What became of a receipt, for its holder.
    ///
    /// # Errors
    /// [`RegistryError::UnknownReceipt`].
    pub fn status(&self, id: ReceiptId, secret: &Secret) -> Result<Status, RegistryError> {
        /// Compared with when there is no such receipt, so that the answer takes as long.
        const NOBODYS: SecretDigest = SecretDigest([0; 32]);
        let ledger = self.ledger();
        let receipt = ledger.receipts.get(&id);
        let matches = receipt.map_or(&NOBODYS, |receipt| &receipt.secret).matches(secret);
        match receipt {
            Some(receipt) if matches => Ok(Status {
                receipt: id,
                opted_out_ms: receipt.at_ms,
                opted_in_ms: receipt.withdrawn_ms,
                source: receipt.source,
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
        let is_writable = matches!(self.0.writer.health(), journal::Health::Open { .. });
        let disk_bytes = self.0.writer.stats().disk_bytes;
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

    /// Commits what is under way and closes the journal. Blocks until that is done. Opt-outs are refused from now on; the list stays.
    pub fn close(&self) {
        self.0.writer.close();
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Its changes are few and cannot panic half way; a poisoned lock is some other bug's, and must not switch the page off.
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no receipt has, if there is room for one with so many hashes.
    fn new_receipt(&self, hashes: usize) -> Result<ReceiptId, RegistryError> {
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

    fn append(&self, record: &Record) -> Result<journal::Commit, RegistryError> {
        self.0.writer.append(&record.encode()).map_err(unavailable)
    }

    /// Puts a durable record in force. Records of different receipts may come in any order: their effects do not depend on it.
    fn apply(&self, record: Record) -> Result<(), RegistryError> {
        // Held until the list has changed too: what the next record does to the list depends on it.
        let mut ledger = self.ledger();
        let changes = ledger.enter(record, &self.0.list)?;
        self.0.list.apply(&changes);
        Ok(())
    }
}

/// Whether there is nothing in a folder that could be a registry. A folder that cannot be read is left to the journal, which says why.
fn is_missing_or_empty(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Refuses a journal of which a part is missing or unreadable.
fn refuse_gaps(recovery: &journal::Recovery) -> Result<(), RegistryError> {
    let damaged = |what: &str, count: usize| Err(RegistryError::Damaged(format!("{count} {what}")));
    match recovery {
        recovery if !recovery.damaged.is_empty() => damaged("unreadable ranges", recovery.damaged.len()),
        recovery if !recovery.missing_segments.is_empty() => {
            damaged("files are missing", recovery.missing_segments.len())
        }
        recovery if !recovery.set_aside.is_empty() => {
            damaged("files are of an unknown version", recovery.set_aside.len())
        }
        _ => Ok(()),
    }
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
