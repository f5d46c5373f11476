//! Ids of a register of others: each a receipt of its own, whose number is made of what it covers.
//!
//! So an import can be broken off and made again: an id that is there already changes nothing, however its file is cut or sorted. And the register's
//! next edition can take back what is no longer in it, by the ids alone, without a secret that somebody would have to keep. Nobody else can: a
//! register's receipt has no secret.
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
const NUMBER_OF: &[u8] = b"sightline register receipt v1\0";

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
    /// Does this with the ids of a register, each given by all hashes under which it may arrive: durable, then in force, then answered. One answer for
    /// each id, in their order.
    ///
    /// Once begun it must be polled to its end: spawn it.
    ///
    /// # Errors
    /// [`RegistryError::Full`], [`RegistryError::Unavailable`], [`RegistryError::HashCount`]. A part may be in force then: do the same again.
    pub async fn import(
        &self,
        register: &AppName,
        act: Act,
        ids: &[Vec<OptOutHash>],
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

    fn plan_lodging(&self, register: &AppName, ids: &[Vec<OptOutHash>]) -> Result<Plan, RegistryError> {
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
            let hashes = sorted(id)?;
            let (receipt, is_active) = ledger.find(&source, &hashes);
            if is_active || !numbers.insert(receipt) {
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

    fn plan_taking_back(&self, register: &AppName, ids: &[Vec<OptOutHash>]) -> Result<Plan, RegistryError> {
        let at_ms = self.0.clock.now_ms();
        let source = Source::Register(register.clone());
        let ledger = self.ledger();
        let mut plan = Plan { entered: Vec::with_capacity(ids.len()), records: Vec::new() };
        let mut numbers = HashSet::new();
        for id in ids {
            let (receipt, is_active) = ledger.find(&source, &sorted(id)?);
            let known = ledger.receipts.get(&receipt).filter(|_| is_active && numbers.insert(receipt));
            plan.entered.push(if known.is_some() { Entered::Done } else { Entered::Nothing });
            plan.records.extend(known.map(|known| match &self.0.log {
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

impl Ledger {
    /// The receipt in force of these hashes, or the number of the next one.
    fn find(&self, source: &Source, hashes: &[OptOutHash]) -> (ReceiptId, bool) {
        let mut turn = 0_u32;
        loop {
            let number = number(source, hashes, turn);
            match self.receipts.get(&number) {
                None => return (number, false),
                Some(known) if known.withdrawn_ms.is_none() && known.source == *source => {
                    return (number, true);
                }
                // Lodged and taken back before; a journal holds each number once.
                Some(_) => turn += 1,
            }
        }
    }
}

/// The number of the receipt of a register's id that is lodged for the (`turn` + 1)th time.
fn number(source: &Source, hashes: &[OptOutHash], turn: u32) -> ReceiptId {
    let name = match source {
        Source::App(name) | Source::Register(name) => name.as_str(),
        Source::Page | Source::Api => "",
    };
    let mut digest = Sha256::new();
    digest.update(NUMBER_OF);
    // A name has no line end.
    digest.update(name);
    digest.update(b"\n");
    digest.update(turn.to_le_bytes());
    for hash in hashes {
        digest.update(hash.0);
    }
    let digest: [u8; 32] = digest.finalize().into();
    let mut number = [0; 10];
    number.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    ReceiptId(number)
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::super::tests::{keys, open, opt_out, wait};
    use super::*;
    use crate::tests::Random;

    fn register(name: &str) -> AppName {
        AppName::new(name).unwrap()
    }

    #[test]
    fn an_import_that_is_made_again_changes_nothing_however_it_is_cut_and_over_reopenings() {
        let mut random = Random::announced();
        let (dir, keys, name) = (tempdir().unwrap(), keys(), register("national"));
        let ids: Vec<Vec<OptOutHash>> =
            (0..200).map(|_| (0..4).map(|_| random.opt_out_hash()).collect()).collect();
        let (registry, list) = open(&dir, &keys);
        let lodge = |registry: &Registry, ids: &[Vec<OptOutHash>]| {
            let entered = wait(registry.import(&name, Act::Lodge, ids)).unwrap();
            entered.iter().filter(|entered| **entered == Entered::Done).count()
        };
        assert_eq!(lodge(&registry, &ids[..150]), 150);
        let mut turned: Vec<Vec<OptOutHash>> = ids.iter().rev().cloned().collect();
        for id in &mut turned {
            id.reverse();
        }
        turned.push(ids[7].clone());
        assert_eq!(lodge(&registry, &turned), 50, "what was not there yet, and no repeat");
        assert_eq!((list.len(), registry.stats().receipts, registry.stats().hashes), (800, 200, 800));
        registry.close();
        drop((registry, list));

        let (registry, list) = open(&dir, &keys);
        assert!(ids.iter().flatten().all(|hash| list.contains(hash)));
        assert_eq!(lodge(&registry, &ids), 0);
        assert_eq!((list.len(), registry.stats().hashes_shared), (800, 0));
    }

    #[test]
    fn what_a_register_takes_back_stays_listed_where_another_or_the_person_lodged_it_too() {
        let (dir, keys) = (tempdir().unwrap(), keys());
        let (registry, list) = open(&dir, &keys);
        let (mine, others) = (register("mine"), register("others"));
        let hash = |number: u8| OptOutHash([number; 16]);
        // Two ids that share a form, within one import.
        let ids = vec![vec![hash(1), hash(2)], vec![hash(2), hash(3)], vec![hash(4)], vec![hash(5)]];
        let import =
            |name: &AppName, act, ids: &[Vec<OptOutHash>]| wait(registry.import(name, act, ids)).unwrap();
        import(&mine, Act::Lodge, &ids);
        import(&others, Act::Lodge, &ids[2..3]);
        opt_out(&registry, &ids[3]);
        let listed = || (1..=5).filter(|number| list.contains(&hash(*number))).collect::<Vec<_>>();

        assert_eq!(import(&mine, Act::TakeBack, &ids[..1]), [Entered::Done]);
        assert_eq!(listed(), [2, 3, 4, 5], "what two ids share stays with the other");
        assert_eq!(
            import(&mine, Act::TakeBack, &ids),
            [Entered::Nothing, Entered::Done, Entered::Done, Entered::Done]
        );
        assert_eq!(listed(), [4, 5]);
        assert_eq!(import(&others, Act::TakeBack, &ids[3..]), [Entered::Nothing], "it never lodged that");
        assert_eq!(import(&mine, Act::Lodge, &ids[..1]), [Entered::Done], "and back in");
        assert_eq!(listed(), [1, 2, 4, 5]);
        registry.close();
        drop(registry);

        let (_, list) = open(&dir, &keys);
        assert_eq!((1..=5).filter(|number| list.contains(&hash(*number))).count(), 4);
    }

    #[test]
    fn a_record_that_was_written_although_that_was_said_to_fail_is_no_damage() {
        let (dir, keys) = (tempdir().unwrap(), keys());
        let (registry, _) = open(&dir, &keys);
        let plan = registry.plan_lodging(&register("r"), &[vec![OptOutHash([1; 16])]]).unwrap();
        let Log::Journal { log, .. } = &registry.0.log else { panic!("a journal") };
        // On the disk, and unknown to the ledger; then once more.
        wait(log.append(&plan.records[0]).unwrap()).unwrap();
        wait(registry.import(&register("r"), Act::Lodge, &[vec![OptOutHash([1; 16])]])).unwrap();
        registry.close();
        drop(registry);
        let (registry, list) = open(&dir, &keys);
        assert_eq!((registry.stats().receipts, registry.stats().hashes, list.len()), (1, 1, 1));
    }

    #[test]
    fn the_limits_hold_for_a_whole_portion() {
        let dir = tempdir().unwrap();
        let mut settings = crate::Settings::default();
        settings.registry.receipts_max = 10;
        let (registry, list) = Registry::open(dir.path(), &settings, event::clock::Clock::manual(0)).unwrap();
        registry.bind_key(&keys()).unwrap();
        let ids: Vec<Vec<OptOutHash>> = (0..11).map(|number| vec![OptOutHash([number; 16])]).collect();
        let import = |ids: &[Vec<OptOutHash>]| wait(registry.import(&register("r"), Act::Lodge, ids));
        assert!(matches!(import(&ids), Err(RegistryError::Full { limit: "opt_out.registry.receipts_max" })));
        assert!(list.is_empty(), "none of it");
        assert_eq!(import(&ids[..10]).unwrap().len(), 10);
        assert!(matches!(import(&[vec![]]), Err(RegistryError::HashCount)));
    }

    #[test]
    fn the_number_of_a_registers_receipt_is_for_good() {
        let number = number(&Source::Register(register("national")), &[OptOutHash([1; 16])], 0);
        assert_eq!(number.to_string(), "3FSY-K3NE-15VA-VP4H");
    }
}
