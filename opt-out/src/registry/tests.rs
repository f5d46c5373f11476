//! The registry against a plain model, over reopenings, and what it refuses.

use std::collections::HashSet;

use tempfile::{TempDir, tempdir};

use super::*;
use crate::ListSettings;
use crate::list::ListError;
use crate::tests::Random;

pub(super) fn keys() -> KeyRing {
    KeyRing::generate(|bytes| getrandom::fill(bytes).unwrap())
}

fn settings() -> Settings {
    // Few enough changes between rebuilds that a short run crosses them often.
    let list =
        ListSettings { overlay_rebuild_entries: 30, overlay_entries_max: 60, ..ListSettings::default() };
    Settings { list, ..Settings::default() }
}

pub(super) fn open(dir: &TempDir, keys: &KeyRing) -> (Registry, List) {
    let (registry, list) = Registry::open(dir.path(), &settings(), Clock::manual(1_000)).unwrap();
    registry.bind_key(keys).unwrap();
    (registry, list)
}

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

pub(super) fn opt_out(registry: &Registry, hashes: &[OptOutHash]) -> Lodging {
    wait(registry.opt_out(hashes, Source::Api, 7)).unwrap()
}

#[test]
fn a_hash_is_listed_while_any_receipt_covers_it_over_reopenings() {
    let mut random = Random::announced();
    let (dir, keys) = (tempdir().unwrap(), keys());
    let (mut registry, mut list) = open(&dir, &keys);
    // Few hashes and many receipts: most hashes are covered several times over.
    let pool: Vec<_> = (0..60).map(|_| random.opt_out_hash()).collect();
    let mut active: Vec<(ReceiptId, Secret, Vec<OptOutHash>)> = Vec::new();
    for step in 0..600 {
        match random.below(100) {
            0..50 => {
                let count = 1 + random.below(6);
                let hashes: Vec<_> = (0..count).map(|_| pool[random.below(60) as usize]).collect();
                let lodging = opt_out(&registry, &hashes);
                active.push((lodging.receipt, lodging.secret, hashes));
            }
            50..97 if !active.is_empty() => {
                let (receipt, secret, _) = active.swap_remove(random.below(active.len() as u64) as usize);
                assert!(wait(registry.opt_in(receipt, &secret)).unwrap().opted_in_ms.is_some());
            }
            97 => registry.rebuild(false).unwrap(),
            98 => list.rebuild().unwrap(),
            _ => {
                registry.close();
                drop((registry, list));
                (registry, list) = open(&dir, &keys);
            }
        }
        let expected: HashSet<_> = active.iter().flat_map(|(_, _, hashes)| hashes.iter().copied()).collect();
        assert!(pool.iter().all(|hash| list.contains(hash) == expected.contains(hash)), "step {step}");
        assert_eq!(
            (list.len(), registry.stats().receipts_active),
            (expected.len() as u64, active.len() as u64)
        );
        let held: usize =
            active.iter().map(|(_, _, hashes)| hashes.iter().collect::<HashSet<_>>().len()).sum();
        assert_eq!(registry.stats().hashes, held as u64);
    }
}

#[test]
fn what_a_receipt_says_is_what_was_recorded() {
    let (dir, keys) = (tempdir().unwrap(), keys());
    let (registry, _) = open(&dir, &keys);
    let lodging = opt_out(&registry, &[OptOutHash([1; 16])]);
    let status = registry.status(lodging.receipt, &lodging.secret).unwrap();
    let expected = Status {
        receipt: lodging.receipt,
        opted_out_ms: 1_000,
        opted_in_ms: None,
        source: Source::Api,
        policy_version: 7,
    };
    assert_eq!(status, expected);
    assert!(registry.status(lodging.receipt, &Secret::new([0; 32])).is_err());
    assert!(registry.status(ReceiptId([0; 10]), &lodging.secret).is_err());
}

#[test]
fn a_rebuild_that_would_shrink_the_list_is_refused_unless_forced() {
    let (dir, keys) = (tempdir().unwrap(), keys());
    let (registry, list) = open(&dir, &keys);
    let lodging = opt_out(&registry, &[OptOutHash([1; 16])]);
    // Entries that the registry knows nothing of stand for receipts that it lost.
    (2..40).for_each(|number| list.insert(&OptOutHash([number; 16])));
    assert!(matches!(
        registry.rebuild(false),
        Err(RegistryError::List(ListError::Shrinks { before: 39, after: 1, .. }))
    ));
    assert_eq!(list.len(), 39);
    registry.rebuild(true).unwrap();
    assert!(list.len() == 1 && list.contains(&OptOutHash([1; 16])));
    assert!(wait(registry.opt_in(lodging.receipt, &lodging.secret)).is_ok());
}

#[test]
fn nothing_is_lodged_without_hashes_or_before_the_key_is_bound() {
    let dir = tempdir().unwrap();
    let (registry, _) = Registry::open(dir.path(), &settings(), Clock::manual(0)).unwrap();
    let lodge = |hashes: &[OptOutHash]| wait(registry.opt_out(hashes, Source::Page, 1)).err();
    assert!(matches!(lodge(&[OptOutHash([1; 16])]), Some(RegistryError::NotBound)));
    registry.bind_key(&keys()).unwrap();
    assert!(matches!(lodge(&[]), Some(RegistryError::HashCount)));
    let many: Vec<_> = (0..=HASHES_MAX as u128).map(|number| OptOutHash(number.to_be_bytes())).collect();
    assert!(matches!(lodge(&many), Some(RegistryError::HashCount)));
    assert!(lodge(&vec![OptOutHash([1; 16]); HASHES_MAX + 1]).is_none(), "repeats count once");
}

#[test]
fn two_at_once_are_refused_and_so_is_everything_after_the_close() {
    let (dir, keys) = (tempdir().unwrap(), keys());
    let (registry, list) = open(&dir, &keys);
    assert!(matches!(
        Registry::open(dir.path(), &settings(), Clock::manual(0)),
        Err(RegistryError::Journal(_))
    ));
    registry.close();
    let refused = wait(registry.opt_out(&[OptOutHash([1; 16])], Source::Api, 1)).err();
    assert!(matches!(refused, Some(RegistryError::Unavailable(_))));
    assert!(list.is_empty() && !registry.stats().is_writable, "nothing is in force that is not durable");
}

#[test]
fn a_registry_that_was_lost_is_not_taken_for_a_new_one() {
    let (dir, keys) = (tempdir().unwrap(), keys());
    let reopen = |dir: &Path, start_empty: bool, known: Option<u64>| {
        let mut settings = settings();
        settings.registry.start_empty = start_empty;
        Registry::open_with(dir, &settings, Clock::manual(1_000), known)
    };
    let (registry, _) = open(&dir, &keys);
    opt_out(&registry, &[OptOutHash([1; 16])]);
    opt_out(&registry, &[OptOutHash([2; 16])]);
    registry.close();
    drop(registry);
    for known in [None, Some(0), Some(2)] {
        let (registry, list) = reopen(dir.path(), false, known).expect("it is all there");
        assert_eq!((registry.stats().receipts, list.len()), (2, 2));
        registry.close();
    }
    // An old copy, an empty folder, and none: each is refused, and nothing is made that a restored copy would lie among.
    let (empty, missing) = (dir.path().join("empty"), dir.path().join("missing"));
    std::fs::create_dir(&empty).unwrap();
    for (place, known, found) in [(dir.path(), 3, 2), (&empty, 2, 0), (&empty, 0, 0), (&missing, 2, 0)] {
        let error = reopen(place, false, Some(known)).err().expect("is refused");
        assert!(
            matches!(error, RegistryError::Lost { expected, found: has } if (expected, has) == (known, found)),
            "{error}"
        );
        assert!(error.to_string().contains("start_empty = true"), "{error}");
    }
    assert!(std::fs::read_dir(&empty).unwrap().next().is_none() && !missing.exists());
    // Made, but never begun.
    drop(reopen(&empty, false, None).expect("a first start"));
    assert!(matches!(reopen(&empty, false, Some(0)).err(), Some(RegistryError::Lost { .. })));
    let (registry, list) = reopen(&empty, true, Some(2)).expect("is meant");
    registry.bind_key(&keys).unwrap();
    assert!(list.is_empty());
}

#[test]
fn a_record_that_cannot_be_understood_ends_the_opening() {
    let begun = Record::Begun { key_check: OptOutHash([1; 16]), at_ms: 0 };
    let other = Record::Begun { key_check: OptOutHash([2; 16]), at_ms: 0 };
    let opted_in = Record::OptedIn { receipt: ReceiptId([1; 10]), at_ms: 0 };
    let opted_out = Record::OptedOut(OptedOut {
        receipt: ReceiptId([1; 10]),
        at_ms: 0,
        source: Source::Api,
        policy_version: 1,
        secret: SecretDigest([0; 32]),
        hashes: Box::new([OptOutHash([1; 16])]),
    });
    let cases: [(Vec<Vec<u8>>, &str); 6] = [
        (vec![begun.encode(), vec![9, 1, 2]], "record version 9"),
        (vec![begun.encode(), vec![1, 7]], "malformed"),
        (vec![opted_out.encode()], "its beginning is missing"),
        (vec![begun.encode(), other.encode()], "two keys"),
        (vec![begun.encode(), opted_in.encode()], "never given"),
        (vec![begun.encode(), opted_out.encode(), opted_out.encode()], "stands in it twice"),
    ];
    for (records, said) in cases {
        let dir = tempdir().unwrap();
        let journal = settings().registry.journal();
        let (writer, _) = ::journal::Lane::open(dir.path(), journal, Arc::new(|| 0)).unwrap();
        for record in records {
            writer.append(&record).unwrap().wait().unwrap();
        }
        writer.close();
        drop(writer);
        let error = Registry::open(dir.path(), &settings(), Clock::manual(0)).err().expect(said).to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// What compaction may leave of a log: of each key the newest record, and of the older ones any.
fn compacted(log: &[Record], random: &mut Random) -> Vec<Record> {
    let is_newest =
        |index: usize| log.iter().skip(index + 1).all(|later| later.topic_key() != log[index].topic_key());
    let kept = (0..log.len()).filter(|index| is_newest(*index) || random.below(3) == 0);
    kept.map(|index| log[index].clone()).collect()
}

#[test]
fn in_a_topic_compaction_and_restarts_change_nothing() {
    let mut random = Random::announced();
    let pool: Vec<_> = (0..40).map(|_| random.opt_out_hash()).collect();
    let begun = Record::Begun { key_check: OptOutHash([1; 16]), at_ms: 0 };
    let mut log = vec![begun];
    let (mut ledger, mut list) = (Ledger::default(), List::new(ListSettings::default()));
    ledger.restore(log[0].clone()).unwrap();
    let mut active: Vec<OptedOut> = Vec::new();
    let mut receipts = 0_u64;
    for step in 0..600_i64 {
        let record = match random.below(100) {
            0..55 => {
                receipts += 1;
                let mut hashes: Vec<_> =
                    (0..=random.below(6)).map(|_| pool[random.below(40) as usize]).collect();
                hashes.sort_unstable();
                hashes.dedup();
                let mut receipt = [0; ReceiptId::BYTES];
                receipt[..8].copy_from_slice(&receipts.to_le_bytes());
                let record = OptedOut {
                    receipt: ReceiptId(receipt),
                    at_ms: step,
                    source: Source::Page,
                    policy_version: 1,
                    secret: SecretDigest([0; 32]),
                    hashes: hashes.into(),
                };
                active.push(record.clone());
                Record::OptedOut(record)
            }
            55..90 if !active.is_empty() => {
                let taken_back = active.swap_remove(random.below(active.len() as u64) as usize);
                Record::TakenBack(TakenBack {
                    receipt: taken_back.receipt,
                    at_ms: step,
                    opted_out_ms: taken_back.at_ms,
                    source: taken_back.source,
                    policy_version: taken_back.policy_version,
                    secret: taken_back.secret,
                })
            }
            90..95 => Record::Heartbeat { at_ms: step, registry_ms: 0 },
            // The same record once more, as a copy of the topic may hold it.
            _ => log[log.len() - 1].clone(),
        };
        let changes = ledger.change(record.clone(), &list).unwrap();
        list.apply(changes);
        log.push(record);
        if random.below(10) == 0 {
            log = compacted(&log, &mut random);
            (ledger, list) = (Ledger::default(), List::new(ListSettings::default()));
            for record in &log {
                ledger.restore(record.clone()).unwrap();
            }
            list.replace(ledger.share_and_collect(), true).unwrap();
        }
        let expected: HashSet<_> = active.iter().flat_map(|record| record.hashes.iter().copied()).collect();
        assert!(pool.iter().all(|hash| list.contains(hash) == expected.contains(hash)), "step {step}");
        let held: usize = active.iter().map(|record| record.hashes.len()).sum();
        assert_eq!((ledger.active, ledger.hashes), (active.len() as u64, held), "step {step}");
        assert_eq!(ledger.receipts.len() as u64, receipts);
    }
}

#[test]
fn a_record_of_the_one_log_does_not_belong_into_the_other() {
    let opted_in = Record::OptedIn { receipt: ReceiptId([1; 10]), at_ms: 0 };
    let heartbeat = Record::Heartbeat { at_ms: 0, registry_ms: 0 };
    let begun = Record::Begun { key_check: OptOutHash([1; 16]), at_ms: 0 };
    let other = Record::Begun { key_check: OptOutHash([2; 16]), at_ms: 0 };
    let list = List::new(ListSettings::default());
    let mut ledger = Ledger::default();
    ledger.restore(begun).unwrap();
    assert!(matches!(ledger.restore(opted_in.clone()), Err(RegistryError::Record(_))));
    assert!(matches!(ledger.change(opted_in, &list), Err(RegistryError::Record(_))));
    assert!(matches!(ledger.replay(heartbeat.clone()), Err(RegistryError::Record(_))));
    assert!(matches!(ledger.enter(heartbeat, &list, &mut Changes::default()), Err(RegistryError::Record(_))));
    assert!(matches!(ledger.change(other, &list), Err(RegistryError::OtherKey)));
}
