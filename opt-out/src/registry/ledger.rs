//! The registry's books in memory: receipts, what each covers, and how often a hash is covered.
//!
//! A pure value: it reads no clock and no disk, and changes no list, it says what a record changes. It must never count a hash as free while a
//! receipt in force covers it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use event::clock::UnixMs;
use event::key::OptOutHash;

use super::RegistryError;
use crate::list::List;
use crate::receipt::{ReceiptId, SecretDigest};
use crate::record::{OptedOut, Record, Source};

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) key_check: Option<OptOutHash>,
    pub(super) receipts: HashMap<ReceiptId, Receipt, ahash::RandomState>,
    /// How many active receipts cover a hash, where several do.
    pub(super) shared: HashMap<OptOutHash, u32, ahash::RandomState>,
    pub(super) active: u64,
    pub(super) hashes: usize,
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
    /// Takes a record of the past in. What it does to the list is worked out at the end, by [`Ledger::share_and_collect`].
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
            Record::OptedOut(record) => self.hold(record),
            Record::OptedIn { receipt, at_ms } => self.withdraw(receipt, at_ms).map(|_| ()),
        }
    }

    /// Takes a new record in. What it changes on the list, given the list as it is.
    pub(super) fn enter(
        &mut self,
        record: Record,
        list: &List,
    ) -> Result<Vec<(OptOutHash, bool)>, RegistryError> {
        let mut changes = Vec::new();
        match record {
            Record::Begun { key_check, .. } => self.key_check = Some(key_check),
            Record::OptedOut(record) => {
                for hash in &record.hashes {
                    match self.shared.entry(*hash) {
                        Entry::Occupied(mut count) => *count.get_mut() += 1,
                        Entry::Vacant(count) if list.contains(hash) => {
                            count.insert(2);
                        }
                        Entry::Vacant(_) => changes.push((*hash, true)),
                    }
                }
                self.hold(record)?;
            }
            Record::OptedIn { receipt, at_ms } => {
                for hash in self.withdraw(receipt, at_ms)? {
                    match self.shared.entry(hash) {
                        Entry::Occupied(mut count) if *count.get() > 2 => *count.get_mut() -= 1,
                        Entry::Occupied(count) => {
                            count.remove();
                        }
                        Entry::Vacant(_) => changes.push((hash, false)),
                    }
                }
            }
        }
        Ok(changes)
    }

    fn hold(&mut self, record: OptedOut) -> Result<(), RegistryError> {
        let Entry::Vacant(place) = self.receipts.entry(record.receipt) else {
            return Err(RegistryError::Damaged(format!("receipt {} stands in it twice", record.receipt)));
        };
        self.hashes += record.hashes.len();
        self.active += 1;
        place.insert(Receipt {
            secret: record.secret,
            at_ms: record.at_ms,
            withdrawn_ms: None,
            source: record.source,
            policy_version: record.policy_version,
            hashes: record.hashes,
        });
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
}
