//! The registry's books in memory: receipts, what each covers, and how often a hash is covered.
//!
//! A pure value: it reads no clock and no disk, and changes no list, it says what a record changes. It must never count a hash as free while a
//! receipt in force covers it.
//!
//! It is filled in one of two ways. Records of the past go in first, without a list ([`Ledger::replay`] from a journal, [`Ledger::restore`] from a
//! topic), and the list is made from all of them at the end. Then records go in as they come ([`Ledger::enter`], [`Ledger::change`]), and each says
//! what it changes on the list.
//!
//! A journal holds every record once, in order, so whatever contradicts that is damage. In a compacted topic the newest record of a receipt stands
//! for all before it, so each replaces what was known of its receipt, and the same records give the same books whatever compaction left out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use event::clock::UnixMs;
use event::key::OptOutHash;

use super::RegistryError;
use crate::list::List;
use crate::receipt::{ReceiptId, SecretDigest};
use crate::record::{AppName, OptedOut, Record, RecordError, Source, TakenBack};

/// What becomes of hashes on the list, by records that go there together: `true` listed, `false` removed.
pub(super) type Changes = HashMap<OptOutHash, bool, ahash::RandomState>;

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) key_check: Option<OptOutHash>,
    pub(super) receipts: HashMap<ReceiptId, Receipt, ahash::RandomState>,
    /// How many active receipts cover a hash, where several do.
    pub(super) shared: HashMap<OptOutHash, u32, ahash::RandomState>,
    pub(super) active: u64,
    pub(super) hashes: usize,
    /// The name of each app and register once, for the receipts to share: there are few, and they may have millions of receipts.
    names: Vec<AppName>,
}

pub(super) struct Receipt {
    pub(super) secret: SecretDigest,
    pub(super) at_ms: UnixMs,
    pub(super) withdrawn_ms: Option<UnixMs>,
    pub(super) source: Source,
    pub(super) policy_version: u16,
    /// Empty once it is withdrawn.
    pub(super) hashes: Box<[OptOutHash]>,
}

impl Ledger {
    /// Takes a record of a journal's past in. What it does to the list is worked out at the end, by [`Ledger::share_and_collect`].
    pub(super) fn replay(&mut self, record: Record) -> Result<(), RegistryError> {
        match record {
            Record::Begun { key_check, .. } => match self.key_check.replace(key_check) {
                // A first start that was cut short may have written it twice.
                Some(known) if known != key_check => {
                    Err(RegistryError::Damaged("it begins twice, with two keys".to_owned()))
                }
                Some(_) | None => Ok(()),
            },
            _ if self.key_check.is_none() => {
                Err(RegistryError::Damaged("its beginning is missing".to_owned()))
            }
            Record::OptedOut(record) if self.is_repeat(&record) => Ok(()),
            Record::OptedOut(record) => self.hold(record),
            Record::OptedIn { receipt, at_ms } => self.withdraw(receipt, at_ms).map(|_| ()),
            Record::TakenBack(_) | Record::Heartbeat { .. } => Err(misplaced("a journal")),
        }
    }

    /// Takes a new record of a journal in, and adds what it changes on the list to `changes`, which the list has not heard yet.
    pub(super) fn enter(
        &mut self,
        record: Record,
        list: &List,
        changes: &mut Changes,
    ) -> Result<(), RegistryError> {
        match record {
            Record::Begun { key_check, .. } => self.key_check = Some(key_check),
            Record::OptedOut(record) if !self.is_repeat(&record) => {
                self.cover(&record.hashes, list, changes);
                self.hold(record)?;
            }
            Record::OptedOut(_) => {}
            Record::OptedIn { receipt, at_ms } => {
                let hashes = self.withdraw(receipt, at_ms)?;
                self.release(&hashes, changes);
            }
            Record::TakenBack(_) | Record::Heartbeat { .. } => return Err(misplaced("a journal")),
        }
        Ok(())
    }

    /// Takes a record of a topic's past in. What it does to the list is worked out at the end, by [`Ledger::share_and_collect`].
    pub(super) fn restore(&mut self, record: Record) -> Result<(), RegistryError> {
        match record {
            Record::Begun { key_check, .. } => self.begin(key_check)?,
            Record::OptedOut(record) => {
                let (id, receipt) = Receipt::opted_out(record);
                self.put(id, receipt);
            }
            Record::TakenBack(record) => {
                let (id, receipt) = Receipt::taken_back(&record);
                self.put(id, receipt);
            }
            Record::Heartbeat { .. } => {}
            Record::OptedIn { .. } => return Err(misplaced("a topic")),
        }
        Ok(())
    }

    /// Takes a new record of a topic in. What it changes on the list, given the list as it is.
    pub(super) fn change(&mut self, record: Record, list: &List) -> Result<Changes, RegistryError> {
        let (id, receipt) = match record {
            Record::OptedOut(record) => Receipt::opted_out(record),
            Record::TakenBack(record) => Receipt::taken_back(&record),
            Record::Begun { .. } | Record::Heartbeat { .. } | Record::OptedIn { .. } => {
                self.restore(record)?;
                return Ok(Changes::default());
            }
        };
        let mut changes = Changes::default();
        let before = self.receipts.get(&id).map(|receipt| receipt.hashes.clone()).unwrap_or_default();
        let without = |some: &[OptOutHash], others: &[OptOutHash]| -> Vec<OptOutHash> {
            some.iter().filter(|hash| !others.contains(hash)).copied().collect()
        };
        self.cover(&without(&receipt.hashes, &before), list, &mut changes);
        self.release(&without(&before, &receipt.hashes), &mut changes);
        self.put(id, receipt);
        Ok(changes)
    }

    /// The records of a topic that make these receipts.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.receipts.iter().map(|(id, receipt)| receipt.record(*id))
    }

    /// Every hash that is covered, once; and counts anew those that several receipts cover.
    pub(super) fn share_and_collect(&mut self) -> Vec<OptOutHash> {
        let mut hashes = Vec::with_capacity(self.hashes);
        hashes.extend(self.receipts.values().flat_map(|receipt| receipt.hashes.iter().copied()));
        hashes.sort_unstable_by_key(|hash| u128::from_be_bytes(hash.0));
        self.shared = hashes
            .chunk_by(|a, b| a == b)
            .filter_map(|same| Some((*same.first()?, u32::try_from(same.len()).unwrap_or(u32::MAX))))
            .filter(|(_, count)| *count > 1)
            .collect();
        hashes.dedup();
        hashes
    }

    fn begin(&mut self, key_check: OptOutHash) -> Result<(), RegistryError> {
        match self.key_check.replace(key_check) {
            // Two roles that were started at once may both have written it.
            Some(known) if known != key_check => Err(RegistryError::OtherKey),
            Some(_) | None => Ok(()),
        }
    }

    /// Another receipt covers these.
    fn cover(&mut self, hashes: &[OptOutHash], list: &List, changes: &mut Changes) {
        for hash in hashes {
            let is_listed = changes.get(hash).copied().unwrap_or_else(|| list.contains(hash));
            match self.shared.entry(*hash) {
                Entry::Occupied(mut count) => *count.get_mut() += 1,
                Entry::Vacant(count) if is_listed => {
                    count.insert(2);
                }
                Entry::Vacant(_) => {
                    changes.insert(*hash, true);
                }
            }
        }
    }

    /// A receipt covers these no longer.
    fn release(&mut self, hashes: &[OptOutHash], changes: &mut Changes) {
        for hash in hashes {
            match self.shared.entry(*hash) {
                Entry::Occupied(mut count) if *count.get() > 2 => *count.get_mut() -= 1,
                Entry::Occupied(count) => {
                    count.remove();
                }
                Entry::Vacant(_) => {
                    changes.insert(*hash, false);
                }
            }
        }
    }

    /// Whether a register's id is there already, as this record says it. A write that was reported as failed may be on the disk after all, and the
    /// import was made again: its receipts are made of what they cover, so they are the same.
    fn is_repeat(&self, record: &OptedOut) -> bool {
        matches!(record.source, Source::Register(_))
            && self.receipts.get(&record.receipt).is_some_and(|known| known.source == record.source)
    }

    fn hold(&mut self, record: OptedOut) -> Result<(), RegistryError> {
        if self.receipts.contains_key(&record.receipt) {
            return Err(RegistryError::Damaged(format!("receipt {} stands in it twice", record.receipt)));
        }
        let (id, receipt) = Receipt::opted_out(record);
        self.put(id, receipt);
        Ok(())
    }

    /// The hashes that the receipt no longer covers; none if it was withdrawn before.
    fn withdraw(&mut self, id: ReceiptId, at_ms: UnixMs) -> Result<Box<[OptOutHash]>, RegistryError> {
        let Some(receipt) = self.receipts.get_mut(&id) else {
            return Err(RegistryError::Damaged(format!("receipt {id} is withdrawn and was never given")));
        };
        if receipt.withdrawn_ms.is_some() {
            return Ok(Box::default());
        }
        receipt.withdrawn_ms = Some(at_ms);
        let hashes = std::mem::take(&mut receipt.hashes);
        self.hashes -= hashes.len();
        self.active -= 1;
        Ok(hashes)
    }

    /// Puts a receipt in, in place of what was known of it.
    fn put(&mut self, id: ReceiptId, mut receipt: Receipt) {
        if let Source::App(name) | Source::Register(name) = &mut receipt.source {
            match self.names.iter().find(|known| *known == name) {
                Some(known) => name.clone_from(known),
                None => self.names.push(name.clone()),
            }
        }
        self.hashes += receipt.hashes.len();
        self.active += u64::from(receipt.withdrawn_ms.is_none());
        if let Some(before) = self.receipts.insert(id, receipt) {
            self.hashes -= before.hashes.len();
            self.active -= u64::from(before.withdrawn_ms.is_none());
        }
    }
}

impl Receipt {
    /// The newest record of a topic that makes this receipt.
    fn record(&self, id: ReceiptId) -> Record {
        let (secret, source, policy_version) = (self.secret, self.source.clone(), self.policy_version);
        match self.withdrawn_ms {
            None => Record::OptedOut(OptedOut {
                receipt: id,
                at_ms: self.at_ms,
                source,
                policy_version,
                secret,
                hashes: self.hashes.clone(),
            }),
            Some(at_ms) => Record::TakenBack(TakenBack {
                receipt: id,
                at_ms,
                opted_out_ms: self.at_ms,
                source,
                policy_version,
                secret,
            }),
        }
    }

    fn opted_out(record: OptedOut) -> (ReceiptId, Self) {
        let receipt = Self {
            secret: record.secret,
            at_ms: record.at_ms,
            withdrawn_ms: None,
            source: record.source,
            policy_version: record.policy_version,
            hashes: record.hashes,
        };
        (record.receipt, receipt)
    }

    fn taken_back(record: &TakenBack) -> (ReceiptId, Self) {
        let receipt = Self {
            secret: record.secret,
            at_ms: record.opted_out_ms,
            withdrawn_ms: Some(record.at_ms),
            source: record.source.clone(),
            policy_version: record.policy_version,
            hashes: Box::default(),
        };
        (record.receipt, receipt)
    }
}

/// A record of the one kind of log in the other: somebody copied one into the other.
fn misplaced(log: &str) -> RegistryError {
    tracing::error!(log, "a record stands where none of its kind belongs");
    RegistryError::Record(RecordError::Malformed)
}
