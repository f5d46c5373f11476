//! Ids of a register of others: each a receipt of its own, whose number is made of the register's name and of the line that the id is.
//!
//! So an import can be broken off and made again: an id that is there already changes nothing, however its file is cut or sorted. And the register's
//! next edition can take back what is no longer in it, by the ids alone, without a secret that somebody would have to keep. Nobody else can: a
//! register's receipt has no secret.
//!
//! A program that derives more forms of an id than the one before it finds the line by the same number, and lodges what is missing under the next
//! ([`number`]'s `turn`); taking back takes all of them. Numbers of the first form were made of the hashes; what was lodged under them is found as well,
//! as long as the same forms are derived.
//!
//! It must never let two receipts of one number into the log, nor come between a person and his own opt-out: one import at a time, in portions,
//! and none while the list's overlay is half full.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use event::key::OptOutHash;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use super::ledger::Changes;
use super::{Ledger, Log, Registry, RegistryError};
use crate::receipt::{ReceiptId, SecretDigest};
use crate::record::{AppName, HASHES_MAX, OptedOut, Record, Source, TakenBack};

/// What the number of a receipt is made of, first. Stored: never change it.
const NUMBER_OF: &[u8] = b"sightline register receipt v2\0";
/// The same of the first form: the number was made of all hashes of an id.
const NUMBER_OF_FIRST: &[u8] = b"sightline register receipt v1\0";

/// Records on their way to Kafka at the same time: others find room beside them.
const PENDING_MAX: usize = 256;

/// Longest wait for room in the overlay: a rebuild of 100 million entries takes a tenth of it.
const ROOM_TIMEOUT: Duration = Duration::from_mins(1);
/// Between two looks for it.
const ROOM_LOOK: Duration = Duration::from_millis(20);

/// What is to be done with a register's ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Leave them out.
    #[default]
    Lodge,
    /// Take back what this register lodged before. What others lodged stays.
    TakeBack,
}

/// An id of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// What names its line: [`event::identifier::line_hash`].
    pub line: OptOutHash,
    /// All hashes under which it may arrive.
    pub hashes: Vec<OptOutHash>,
}

/// What became of one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// It was lodged, or taken back.
    Done,
    /// It was there already, or this register had not lodged it.
    Nothing,
}

/// What is to be written, and what to answer once it is.
struct Plan {
    entered: Vec<Entered>,
    records: Vec<Record>,
}

impl Registry {
    /// Does this with the ids of a register: durable, then in force, then answered. One answer for each id, in their order.
    ///
    /// Once begun it must be polled to its end: spawn it.
    ///
    /// # Errors
    /// [`RegistryError::Full`], [`RegistryError::Unavailable`], [`RegistryError::HashCount`]. A part may be in force then: do the same again.
    pub async fn import(
        &self,
        register: &AppName,
        act: Act,
        ids: &[Id],
    ) -> Result<Vec<Entered>, RegistryError> {
        let _one_at_a_time = self.0.import.lock().await;
        self.check_ready()?;
        self.wait_for_room().await?;
        let Plan { entered, records } = match act {
            Act::Lodge => self.plan_lodging(register, ids)?,
            Act::TakeBack => self.plan_taking_back(register, ids)?,
        };
        self.commit_all(records).await?;
        Ok(entered)
    }

    async fn wait_for_room(&self) -> Result<(), RegistryError> {
        let began = Instant::now();
        while !self.0.list.has_room() {
            if began.elapsed() > ROOM_TIMEOUT {
                return Err(RegistryError::Unavailable("the list is not rebuilt".to_owned()));
            }
            tokio::time::sleep(ROOM_LOOK).await;
        }
        Ok(())
    }

    fn plan_lodging(&self, register: &AppName, ids: &[Id]) -> Result<Plan, RegistryError> {
        let settings = &self.0.settings;
        let at_ms = self.0.clock.now_ms();
        let source = Source::Register(register.clone());
        let ledger = self.ledger();
        if ledger.key_check.is_none() {
            return Err(RegistryError::NotBound);
        }
        let mut plan = Plan { entered: Vec::with_capacity(ids.len()), records: Vec::new() };
        let (mut numbers, mut hashes_new) = (HashSet::new(), 0);
        for id in ids {
            let mut hashes = sorted(&id.hashes)?;
            let found = ledger.find(&source, id.line, &hashes);
            // What a later program derives beside what an earlier one did.
            hashes.retain(|hash| !ledger.covers(&found.active, hash));
            let receipt = found.next;
            if hashes.is_empty() || !numbers.insert(receipt) {
                plan.entered.push(Entered::Nothing);
                continue;
            }
            if ledger.receipts.len() + numbers.len() > settings.receipts_max {
                return Err(RegistryError::Full { limit: "opt_out.registry.receipts_max" });
            }
            hashes_new += hashes.len();
            if ledger.hashes + hashes_new > settings.hashes_max {
                return Err(RegistryError::Full { limit: "opt_out.registry.hashes_max" });
            }
            plan.entered.push(Entered::Done);
            plan.records.push(Record::OptedOut(OptedOut {
                receipt,
                at_ms,
                source: source.clone(),
                policy_version: 0,
                secret: NOBODYS,
                hashes: hashes.into(),
            }));
        }
        Ok(plan)
    }

    fn plan_taking_back(&self, register: &AppName, ids: &[Id]) -> Result<Plan, RegistryError> {
        let at_ms = self.0.clock.now_ms();
        let source = Source::Register(register.clone());
        let ledger = self.ledger();
        let mut plan = Plan { entered: Vec::with_capacity(ids.len()), records: Vec::new() };
        let mut numbers = HashSet::new();
        for id in ids {
            let mut active = ledger.find(&source, id.line, &sorted(&id.hashes)?).active;
            active.retain(|receipt| numbers.insert(*receipt));
            plan.entered.push(if active.is_empty() { Entered::Nothing } else { Entered::Done });
            let known =
                active.into_iter().filter_map(|receipt| Some((receipt, ledger.receipts.get(&receipt)?)));
            plan.records.extend(known.map(|(receipt, known)| match &self.0.log {
                Log::Journal { .. } => Record::OptedIn { receipt, at_ms },
                Log::Topic { .. } => Record::TakenBack(TakenBack {
                    receipt,
                    at_ms,
                    opted_out_ms: known.at_ms,
                    source: source.clone(),
                    policy_version: known.policy_version,
                    secret: known.secret,
                }),
            }));
        }
        Ok(plan)
    }

    /// Makes records durable and puts in force what is. Records that are durable are in force even if others fail.
    async fn commit_all(&self, records: Vec<Record>) -> Result<(), RegistryError> {
        let mut failed = None;
        match &self.0.log {
            Log::Topic { log, .. } => {
                for portion in records.chunks(PENDING_MAX) {
                    let appended = join_all(portion.iter().map(|record| log.append(record))).await;
                    failed = failed.or_else(|| appended.into_iter().find_map(Result::err));
                }
            }
            Log::Journal { log, ledger } => {
                // All of them first: they go to the disk together.
                let appended: Vec<_> =
                    records.into_iter().map(|record| (log.append(&record), record)).collect();
                let mut durable = Vec::with_capacity(appended.len());
                for (commit, record) in appended {
                    let committed = match commit {
                        Ok(commit) => commit.await.map_err(super::unavailable).map(drop),
                        Err(error) => Err(error),
                    };
                    match committed {
                        Ok(()) => durable.push(record),
                        Err(error) => failed = failed.or(Some(error)),
                    }
                }
                // Held until the list has changed too: what the next record does to the list depends on it.
                let mut ledger = ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let mut changes = Changes::default();
                for record in durable {
                    ledger.enter(record, &self.0.list, &mut changes)?;
                }
                self.0.list.apply(changes);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The digest of no secret.
const NOBODYS: SecretDigest = SecretDigest([0; 32]);

fn sorted(hashes: &[OptOutHash]) -> Result<Vec<OptOutHash>, RegistryError> {
    let mut hashes = hashes.to_vec();
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.is_empty() || hashes.len() > HASHES_MAX {
        return Err(RegistryError::HashCount);
    }
    Ok(hashes)
}

/// What the ledger knows of a line.
struct Found {
    /// Its receipts in force.
    active: Vec<ReceiptId>,
    /// The number of the next one.
    next: ReceiptId,
}

impl Ledger {
    /// The receipts of a line, in force or to come.
    fn find(&self, source: &Source, line: OptOutHash, hashes: &[OptOutHash]) -> Found {
        let mut active = Vec::new();
        let first = self.turns(NUMBER_OF_FIRST, source, hashes, &mut active);
        let next = self.turns(NUMBER_OF, source, &[line], &mut active);
        debug_assert_ne!(first, next, "the two forms are told apart");
        Found { active, next }
    }

    /// Gathers the receipts in force that have a number of this form; the first number that is free.
    fn turns(
        &self,
        form: &[u8],
        source: &Source,
        of: &[OptOutHash],
        active: &mut Vec<ReceiptId>,
    ) -> ReceiptId {
        let mut turn = 0_u32;
        loop {
            let number = number(form, source, of, turn);
            match self.receipts.get(&number) {
                None => return number,
                Some(known) if known.withdrawn_ms.is_none() && known.source == *source => active.push(number),
                // Lodged and taken back before; a journal holds each number once.
                Some(_) => {}
            }
            turn += 1;
        }
    }

    fn covers(&self, receipts: &[ReceiptId], hash: &OptOutHash) -> bool {
        receipts
            .iter()
            .filter_map(|receipt| self.receipts.get(receipt))
            .any(|known| known.hashes.contains(hash))
    }
}

/// The number of the receipt of a register's id that is lodged for the (`turn` + 1)th time.
fn number(form: &[u8], source: &Source, of: &[OptOutHash], turn: u32) -> ReceiptId {
    let name = match source {
        Source::App(name) | Source::Register(name) => name.as_str(),
        Source::Page | Source::Api => "",
    };
    let mut digest = Sha256::new();
    digest.update(form);
    // A name has no line end.
    digest.update(name);
    digest.update(b"\n");
    digest.update(turn.to_le_bytes());
    for hash in of {
        digest.update(hash.0);
    }
    let digest: [u8; 32] = digest.finalize().into();
    let mut number = [0; 10];
    number.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    ReceiptId(number)
}

#[cfg(test)]
mod tests;
