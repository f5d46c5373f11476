//! The list against a plain set, under random changes, rebuilds and concurrent readers.

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use event::identifier::{IdField, RawId};
use event::key::KeyRing;

use super::*;
use crate::tests::Random;

fn small() -> ListSettings {
    // Limits small enough that a short run crosses each of them many times.
    ListSettings { overlay_rebuild_entries: 20, overlay_entries_max: 50, ..ListSettings::default() }
}

fn filled(settings: ListSettings, hashes: &[OptOutHash]) -> List {
    let list = List::new(settings);
    list.replace(hashes.to_vec(), false).unwrap();
    list
}

#[test]
fn equals_a_set_under_random_changes_and_rebuilds() {
    let mut random = Random::announced();
    for blocks_max in [1, u32::MAX] {
        let list = List::new(ListSettings { filter_blocks_max: blocks_max, ..small() });
        let pool: Vec<OptOutHash> = (0..400).map(|_| random.opt_out_hash()).collect();
        let mut model = HashSet::new();
        for step in 0..4_000 {
            let hash = pool[random.below(pool.len() as u64) as usize];
            match random.below(100) {
                0..50 => {
                    list.insert(&hash);
                    model.insert(hash);
                }
                50..95 => {
                    list.remove(&hash);
                    model.remove(&hash);
                }
                95..98 => list.rebuild().unwrap(),
                _ => {
                    list.replace(model.iter().copied().collect(), false).unwrap();
                }
            }
            assert_eq!(list.contains(&hash), model.contains(&hash), "step {step}");
            assert_eq!(list.len(), model.len() as u64, "step {step}");
            assert!(list.stats().overlay_entries <= 50);
            if step % 100 == 0 {
                assert!(pool.iter().all(|hash| list.contains(hash) == model.contains(hash)), "step {step}");
            }
        }
    }
}

#[test]
fn nobody_who_did_not_opt_out_is_dropped() {
    let mut random = Random::announced();
    let soak = std::env::var("SIGHTLINE_SOAK")
        .ok()
        .and_then(|factor| factor.parse::<u64>().ok())
        .unwrap_or(1)
        .max(1);
    let probes = if cfg!(debug_assertions) { 500_000 } else { 10_000_000 } * soak;
    let listed: Vec<_> = (0..100_000).map(|_| random.opt_out_hash()).collect();
    // One filter as in production, one that is forced to let everybody through to the exact set.
    for blocks_max in [u32::MAX, 1] {
        let list = filled(ListSettings { filter_blocks_max: blocks_max, ..ListSettings::default() }, &listed);
        assert!(listed.iter().all(|hash| list.contains(hash)));
        let dropped = (0..probes).filter(|_| list.contains(&random.opt_out_hash())).count();
        assert_eq!(dropped, 0, "of {probes} with at most {blocks_max} blocks");
    }
}

#[test]
fn of_a_million_random_ids_none_is_dropped_by_ten_million_others() {
    const OTHERS: u64 = 10_000_000;
    const IDS: u64 = 1_000_000;
    let mut random = Random::announced();
    let keys = KeyRing::generate(|bytes| getrandom::fill(bytes).unwrap());
    // Random within each of as many equal parts of all hashes: in order already, which a test without optimisation has no time for.
    let part = u128::MAX / u128::from(OTHERS);
    let others: Vec<OptOutHash> = (0..u128::from(OTHERS))
        .map(|n| OptOutHash((n * part + u128::from(random.next_u64()) * (part >> 64)).to_be_bytes()))
        .collect();
    let controls: Vec<OptOutHash> = others.iter().copied().step_by(9_973).collect();
    let list = filled(ListSettings::default(), &[]);
    list.replace(others, false).unwrap();
    assert_eq!(list.len(), OTHERS);
    let mut reader = list.reader();
    let dropped = (0..IDS)
        .filter(|_| {
            let oaid = format!("{:016x}{:016x}", random.next_u64(), random.next_u64());
            let id = RawId::new(IdField::Oaid, oaid.as_bytes(), None).reduce();
            reader.contains(&keys.opt_out_hash(&id.unwrap_or_else(|_| panic!("{oaid} is an id"))))
        })
        .count();
    assert_eq!(dropped, 0, "of {IDS} random ids against {OTHERS} others");
    drop(reader);
    let stats = list.stats();
    let rate = stats.false_alarms as f64 / stats.lookups as f64;
    // Half of what quite random ones cause: spread so evenly, they crowd no block of the filter.
    assert!(
        stats.lookups == IDS && (0.3e-3..1.8e-3).contains(&rate),
        "false-positive rate {rate} of {stats:?}"
    );
    assert!(controls.iter().all(|hash| list.contains(hash)), "and the ten million are there");
}

#[test]
fn a_large_list_equals_a_set_under_changes_before_and_while_it_is_rebuilt() {
    const OTHERS: u128 = 1_200_000;
    let mut random = Random::announced();
    let part = u128::MAX / OTHERS;
    let others: Vec<OptOutHash> = (0..OTHERS)
        .map(|n| OptOutHash((n * part + u128::from(random.next_u64()) * (part >> 64)).to_be_bytes()))
        .collect();
    let steady: Vec<OptOutHash> = others.iter().copied().step_by(1_009).collect();
    let mut pool: Vec<OptOutHash> = others.iter().copied().skip(1).step_by(1_009).collect();
    pool.extend((0..pool.len()).map(|_| random.opt_out_hash()));
    let mut model: HashSet<OptOutHash> = pool[..pool.len() / 2].iter().copied().collect();
    let unchanged = others.len() - model.len();
    let list = filled(ListSettings::default(), &others);
    drop(others);
    for round in 0..3 {
        let mut change = |count: usize, model: &mut HashSet<OptOutHash>| {
            for _ in 0..count {
                let hash = pool[random.below(pool.len() as u64) as usize];
                if random.below(2) == 0 {
                    list.insert(&hash);
                    model.insert(hash);
                } else {
                    list.remove(&hash);
                    model.remove(&hash);
                }
                assert_eq!(list.contains(&hash), model.contains(&hash), "round {round}");
            }
        };
        change(400, &mut model);
        std::thread::scope(|scope| {
            let rebuilding = scope.spawn(|| list.rebuild());
            while !rebuilding.is_finished() {
                change(10, &mut model);
            }
            rebuilding.join().unwrap().unwrap();
        });
        assert_eq!(list.len(), (unchanged + model.len()) as u64, "round {round}");
        assert!(pool.iter().all(|hash| list.contains(hash) == model.contains(hash)), "round {round}");
        assert!(steady.iter().all(|hash| list.contains(hash)), "round {round}");
    }
    list.rebuild().unwrap();
    let stats = list.stats();
    assert_eq!((stats.overlay_entries, stats.rebuilds_failed), (0, 0), "{stats:?}");
    assert!(pool.iter().all(|hash| list.contains(hash) == model.contains(hash)));
}

#[test]
fn opting_in_again_needs_no_rebuild() {
    let mut random = Random::announced();
    let hash = random.opt_out_hash();
    let list = filled(ListSettings::default(), &[hash]);
    list.remove(&hash);
    assert!(!list.contains(&hash) && list.stats().overlay_entries == 1);
    list.rebuild().unwrap();
    assert!(!list.contains(&hash) && list.stats().overlay_entries == 0 && list.is_empty());
}

#[test]
fn a_hit_is_listed_if_any_of_its_hashes_is() {
    let mut random = Random::announced();
    let (listed, other) = (random.opt_out_hash(), random.opt_out_hash());
    let list = filled(ListSettings::default(), &[listed]);
    assert!(list.contains_any(&[other, listed]));
    assert!(!list.contains_any(&[other]) && !list.contains_any(&[]));
}

#[test]
fn a_list_that_would_shrink_by_more_than_five_percent_is_refused_unless_forced() {
    let mut random = Random::announced();
    let all: Vec<_> = (0..1_000).map(|_| random.opt_out_hash()).collect();
    let list = filled(ListSettings::default(), &all);
    let part = |count: usize| all[..count].to_vec();
    let refused = list.replace(part(949), false);
    assert_eq!(refused, Err(ListError::Shrinks { before: 1_000, after: 949, percent_max: 5 }));
    assert!(all.iter().all(|hash| list.contains(hash)), "the list in force stays");
    assert_eq!(list.stats().rebuilds_failed, 1);

    list.replace(part(950), false).expect("five percent is allowed");
    assert_eq!(list.len(), 950);
    list.replace(part(10), true).expect("forced");
    assert_eq!(list.len(), 10);
    assert!(!list.contains(&all[500]));
}

#[test]
fn the_overlay_is_merged_in_the_background_and_stays_bounded() {
    let mut random = Random::announced();
    let list = List::new(small());
    let hashes: Vec<_> = (0..2_000).map(|_| random.opt_out_hash()).collect();
    for hash in &hashes {
        list.insert(hash);
        assert!(list.contains(hash));
        assert!(list.stats().overlay_entries <= 50);
    }
    assert!(list.stats().rebuilds >= 2_000 / 50, "{:?}", list.stats());
    assert_eq!(list.stats().rebuilds_failed, 0);
    assert!(hashes.iter().all(|hash| list.contains(hash)));
}

#[test]
fn readers_never_miss_an_entry_while_lists_are_swapped() {
    let mut random = Random::announced();
    let steady: Vec<_> = (0..1_000).map(|_| random.opt_out_hash()).collect();
    let strangers: Vec<_> = (0..1_000).map(|_| random.opt_out_hash()).collect();
    let list = filled(small(), &steady);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looked = 0_u64;
            let mut own = list.reader();
            while !stop.load(Ordering::Relaxed) || looked == 0 {
                assert!(steady.iter().all(|hash| list.contains(hash)));
                assert!(!strangers.iter().any(|hash| list.contains(hash)));
                assert!(steady.iter().all(|hash| own.contains(hash)));
                assert!(!own.contains_any(&strangers) && own.contains_any(&steady[..1]));
                looked += 1;
            }
            looked
        });
        for _ in 0..1_000 {
            let passing = random.opt_out_hash();
            list.insert(&passing);
            assert!(list.contains(&passing));
            list.remove(&passing);
            assert!(!list.contains(&passing));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(list.len(), 1_000);
}

#[test]
fn an_entry_costs_about_ten_bytes() {
    let mut random = Random::announced();
    let hashes: Vec<_> = (0..100_000).map(|_| random.opt_out_hash()).collect();
    let stats = filled(ListSettings::default(), &hashes).stats();
    let table_bytes = 4 * ((1 << 16) + 1);
    assert_eq!(
        stats.memory_bytes,
        100_000 * (8 + 2) + table_bytes,
        "8 in the set, 2 in the filter, and the smallest prefix table"
    );
}

#[test]
fn a_reader_sees_the_next_change_and_an_idle_one_delays_only_the_freeing() {
    let mut random = Random::announced();
    let hash = random.opt_out_hash();
    let list = List::new(ListSettings::default());
    let (mut reader, mut idle) = (list.reader(), list.reader());
    for _ in 0..10 {
        list.insert(&hash);
        assert!(reader.contains(&hash) && reader.contains_any(&[random.opt_out_hash(), hash]));
        list.rebuild().unwrap();
        list.remove(&hash);
        assert!(!reader.contains(&hash) && !reader.contains_any(&[hash]));
        list.rebuild().unwrap();
        assert!(!reader.contains(&hash));
    }
    list.stats();
    assert_eq!(list.0.retired.lock().unwrap().len(), 1, "what the idle reader saw last");
    assert!(!idle.contains(&hash));
    list.stats();
    assert_eq!(list.0.retired.lock().unwrap().len(), 0);
}
