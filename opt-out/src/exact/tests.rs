//! The set against a plain one, in each layout.

use std::collections::BTreeSet;

use super::buckets::{BUCKETS_MIN, ENTRIES, ENTRIES_MEAN};
use super::*;
use crate::tests::Random;

fn keys(random: &mut Random, count: usize) -> BTreeSet<Key> {
    (0..count).map(|_| Key::of(random.hash())).collect()
}

fn in_buckets(count: usize, keys: &BTreeSet<Key>) -> ExactSet {
    Builder::with_buckets(count, 0).fill(keys.iter().copied()).unwrap()
}

/// Keys of one bucket of so many: its first and last, and others, `of` in all.
fn crowd(random: &mut Random, bucket: usize, count: usize, of: usize) -> BTreeSet<Key> {
    let edge = |bucket: usize| (((bucket as u128) << 64).div_ceil(count as u128)) << 16;
    let (first, end) = (edge(bucket), edge(bucket + 1));
    let mut keys: BTreeSet<Key> = [first, end - 1].into_iter().take(of).map(Key).collect();
    while keys.len() < of {
        let random = u128::from_be_bytes(random.hash()) >> IGNORED_BITS;
        keys.insert(Key(first + random % (end - first)));
    }
    keys
}

/// Holds exactly these, reads them back in order, and knows no neighbour.
fn assert_equals(set: &ExactSet, model: &BTreeSet<Key>) {
    assert_eq!((set.len(), set.is_empty()), (model.len(), model.is_empty()));
    assert!(set.iter().eq(model.iter().copied()), "it is read back in order");
    for key in model {
        assert!(set.contains(*key), "{key:?}");
        // The last deciding bit, one that only the entry holds, and one that only the place holds.
        for bit in [0, 40, DECIDING_BITS - 1] {
            let neighbour = Key(key.0 ^ 1 << bit);
            assert_eq!(set.contains(neighbour), model.contains(&neighbour), "{neighbour:?}");
        }
        for neighbour in [key.0.wrapping_sub(1), key.0 + 1].map(|key| Key(key & ((1 << DECIDING_BITS) - 1))) {
            assert_eq!(set.contains(neighbour), model.contains(&neighbour), "{neighbour:?}");
        }
    }
}

#[test]
fn holds_what_was_put_in_and_nothing_else() {
    let mut random = Random::announced();
    for count in [0, 1, 2, 1_000, 50_000] {
        let listed = keys(&mut random, count);
        let sorted = ExactSet::from_sorted(count, listed.iter().copied()).unwrap();
        for set in [sorted, in_buckets(0, &listed), in_buckets(1 << 17, &listed)] {
            assert_equals(&set, &listed);
            let strangers = (0..50_000).map(|_| Key::of(random.hash()));
            assert!(strangers.into_iter().all(|key| listed.contains(&key) == set.contains(key)));
        }
    }
}

#[test]
fn each_number_of_keys_in_a_bucket_has_its_form() {
    let mut random = Random::announced();
    for count in [BUCKETS_MIN, 70_000, 1 << 17] {
        let mut listed = BTreeSet::new();
        // Empty ones between, the first and the last among them, and twice as many keys as a bucket holds.
        for of in 0..=2 * ENTRIES {
            let last = count - 1 - 2 * of;
            listed.extend(crowd(&mut random, 2 * of, count, of));
            listed.extend(crowd(&mut random, last, count, 2 * ENTRIES - of));
        }
        let set = in_buckets(count, &listed);
        assert_equals(&set, &listed);
        let elsewhere: usize = (1..=ENTRIES).sum();
        assert_eq!(set.sorted.len(), 2 * elsewhere, "what is beyond sixteen stands elsewhere");
        // And no bucket, empty or not, claims what it is filled up with.
        for bucket in 0..=4 * ENTRIES {
            let first = (((bucket as u128) << 64).div_ceil(count as u128)) << 16;
            for key in [first.saturating_sub(1), first].map(Key) {
                assert_eq!(set.contains(key), listed.contains(&key));
            }
        }
    }
}

#[test]
fn hashes_that_are_not_random_at_all_change_nothing_but_the_place() {
    let mut random = Random::announced();
    let evenly = |count: u128, step: u128| -> BTreeSet<Key> { (0..count).map(|n| Key(n * step)).collect() };
    let all_ones = (1 << DECIDING_BITS) - 1;
    for (what, listed) in [
        ("one stretch without a gap", evenly(20_000, 1)),
        ("alike in the last 64 bits", evenly(1 << 16, 1 << 64)),
        ("the end of all keys", (0..5_000).map(|n| Key(all_ones - n)).collect()),
        ("one crowded bucket", crowd(&mut random, 12_345, BUCKETS_MIN, 20_000)),
    ] {
        eprintln!("{what}");
        assert_equals(&ExactSet::from_sorted(listed.len(), listed.iter().copied()).unwrap(), &listed);
        assert_equals(&in_buckets(0, &listed), &listed);
    }
}

#[test]
fn a_large_set_of_random_hashes_lies_in_buckets_but_for_one_in_nineteen() {
    let mut random = Random::announced();
    // Ascending by random steps, so that nothing is sorted: what falls into a bucket is as in a sorted set of random ones.
    let (mut key, mean) = (0_u128, (1_u128 << DECIDING_BITS) / BUCKETS_FROM_ENTRIES as u128);
    let steps = iter::from_fn(|| {
        let uniform = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        key += 1 + (-(1.0 - uniform).ln() * mean as f64) as u128;
        (key < 1 << DECIDING_BITS).then_some(Key(key))
    });
    let set = ExactSet::from_sorted(BUCKETS_FROM_ENTRIES, steps).unwrap();
    let elsewhere = set.sorted.len() as f64 / set.len() as f64;
    assert!((0.047..0.057).contains(&elsewhere), "{elsewhere} stand elsewhere");
    let bytes = set.memory_bytes() as f64 / set.len() as f64;
    assert!(bytes < 12.0, "{bytes} bytes a key, of which the last huge page is up to 2 here");
    assert!(set.iter().is_sorted() && set.iter().step_by(997).all(|key| set.contains(key)));

    let small = ExactSet::from_sorted(BUCKETS_FROM_ENTRIES - 1, []).unwrap();
    assert!(set.buckets.is_some() && small.buckets.is_none());
    const { assert!(BUCKETS_FROM_ENTRIES / ENTRIES_MEAN > BUCKETS_MIN, "as many buckets as are wanted") };
}

#[test]
fn neighbours_in_the_last_deciding_bit_are_told_apart_at_every_prefix() {
    let mut random = Random::announced();
    for expected in [1, 1 << 19, 1 << 20, 1 << 24] {
        let listed = keys(&mut random, 1_000);
        assert_equals(&ExactSet::from_sorted(expected, listed.iter().copied()).unwrap(), &listed);
    }
}

#[test]
fn the_first_and_last_hash_have_a_place() {
    let edges = [Key::of([0; 16]), Key::of([0xff; 16])];
    for set in [ExactSet::from_sorted(2, edges).unwrap(), in_buckets(0, &BTreeSet::from(edges))] {
        assert!(edges.into_iter().all(|key| set.contains(key)));
        assert!(!set.contains(Key::of([0x7f; 16])));
    }
    for set in [ExactSet::empty(), in_buckets(0, &BTreeSet::new())] {
        assert!(edges.into_iter().all(|key| !set.contains(key)));
    }
}

#[test]
fn merging_equals_set_arithmetic() {
    let mut random = Random::announced();
    let mut model = keys(&mut random, 5_000);
    let mut set = ExactSet::from_sorted(model.len(), model.iter().copied()).unwrap();
    for round in 0..20 {
        if round == 10 {
            // From here on over a set in buckets, of which each merge makes a sorted one again, too small as it is for them.
            model.extend(crowd(&mut random, 99, BUCKETS_MIN, 100));
        }
        if round >= 10 {
            set = in_buckets(0, &model);
        }
        let mut changes: Vec<(Key, bool)> =
            keys(&mut random, 500).into_iter().map(|key| (key, random.next_u64() & 3 != 0)).collect();
        changes.extend(model.iter().step_by(17).map(|key| (*key, random.next_u64() & 1 == 0)));
        changes.sort_unstable_by_key(|(key, _)| *key);
        set = set.merge(&changes).unwrap();
        for (key, listed) in changes {
            if listed {
                model.insert(key)
            } else {
                model.remove(&key)
            };
        }
        assert!(set.iter().eq(model.iter().copied()));
    }
}

#[test]
fn a_wrong_guess_of_the_size_changes_nothing() {
    let mut random = Random::announced();
    let listed = keys(&mut random, 3_000);
    for expected in [0, 1 << 24] {
        assert_equals(&ExactSet::from_sorted(expected, listed.iter().copied()).unwrap(), &listed);
    }
}

#[test]
fn keys_out_of_order_are_refused() {
    let key = Key::of([7; 16]);
    for mut builder in [Builder::new(2), Builder::with_buckets(0, 0)] {
        builder.push(key).unwrap();
        assert_eq!(builder.push(key), Err(ExactError::NotSorted));
    }
}
