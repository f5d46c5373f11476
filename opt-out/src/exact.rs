//! The last word: a sorted set of opt-out hashes that decides by 80 bits and keeps 8 bytes for each.
//!
//! It is immutable: a change makes a new set by merging ([`ExactSet::merge`]), in one pass and in order.
//!
//! # Layout
//!
//! The first `b` bits of a hash pick a bucket of a prefix table, the bits after them, up to bit [`DECIDING_BITS`], are what the
//! bucket stores. `b` follows the size (16 to 24), so that a bucket holds four to eight entries, one or two cache lines, and the table costs at
//! most one byte an entry.
//!
//! ```text
//! hash      |<---- b bits ---->|<------- 80 − b bits ------->|<- 48 bits, not looked at ->|
//! prefixes  [u32; 2^b + 1]      where each bucket starts in `suffixes`
//! suffixes  [u64; n]            bits b..80 of each hash, at the top of the word, ascending within a bucket
//! ```
//!
//! # Why 80 bits are enough
//!
//! A hash that is not listed is confused with a listed one with probability n / 2⁸⁰: 8 × 10⁻¹⁷ at 100 M entries. At 10¹⁰ look-ups a
//! day that is one wrong answer in three thousand years. The number of bits is the same whatever `b` is, so that a set can grow and shrink by
//! merging without ever needing the bits that it did not keep.

use thiserror::Error;

/// How many leading bits of a hash decide whether it is listed: the smallest prefix and one stored word.
pub const DECIDING_BITS: u32 = PREFIX_BITS_MIN + u64::BITS;

/// Smallest prefix, bits: a table of 256 KiB.
const PREFIX_BITS_MIN: u32 = 16;

/// Largest prefix, bits: a table of 64 MiB, for 100 M entries 0.64 bytes an entry.
const PREFIX_BITS_MAX: u32 = 24;

/// Entries that a bucket shall hold, at least, on average.
const BUCKET_ENTRIES: usize = 4;

/// Bits of a hash that are not looked at.
const IGNORED_BITS: u32 = u128::BITS - DECIDING_BITS;

/// A hash reduced to the bits that decide: [`DECIDING_BITS`] at the bottom of the number, ordered like the hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u128);

impl Key {
    /// The deciding bits of a 16-byte hash, first byte most significant.
    #[inline]
    pub fn of(hash: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(hash) >> IGNORED_BITS)
    }

    /// The first 64 bits of the hash: what the filter reads.
    #[inline]
    pub fn leading_u64(self) -> u64 {
        (self.0 >> (DECIDING_BITS - u64::BITS)) as u64
    }

    #[inline]
    fn bucket(self, prefix_bits: u32) -> usize {
        (self.0 >> (DECIDING_BITS - prefix_bits)) as usize
    }

    /// The bits after the prefix, at the top of a word. The prefix falls off.
    #[inline]
    fn suffix(self, prefix_bits: u32) -> u64 {
        (self.0 as u64) << (prefix_bits - PREFIX_BITS_MIN)
    }

    fn from_parts(bucket: usize, suffix: u64, prefix_bits: u32) -> Self {
        let low = u128::from(suffix >> (prefix_bits - PREFIX_BITS_MIN));
        Self((bucket as u128) << (DECIDING_BITS - prefix_bits) | low)
    }
}

/// Why a set cannot be built.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ExactError {
    /// More entries than the prefix table can count. Ours: the registry's limit lies far below.
    #[error("an exact set holds at most {} entries", u32::MAX)]
    TooMany,
    /// The keys did not ascend. Ours: a bug in the caller.
    #[error("keys must be strictly ascending")]
    NotSorted,
}

/// A sorted set of hashes. See the module's documentation for the layout.
pub struct ExactSet {
    prefix_bits: u32,
    /// `prefixes[p]..prefixes[p + 1]` is bucket `p`'s range in `suffixes`. Length 2^prefix_bits + 1.
    prefixes: Box<[u32]>,
    suffixes: Box<[u64]>,
}

impl ExactSet {
    /// The set of no hash.
    pub fn empty() -> Self {
        Self {
            prefix_bits: PREFIX_BITS_MIN,
            prefixes: vec![0; (1 << PREFIX_BITS_MIN) + 1].into_boxed_slice(),
            suffixes: Box::default(),
        }
    }

    /// Builds a set from strictly ascending keys; `expected` sizes the table, a wrong guess costs only memory or time.
    ///
    /// # Errors
    /// [`ExactError::NotSorted`] and [`ExactError::TooMany`].
    pub fn from_sorted(expected: usize, keys: impl IntoIterator<Item = Key>) -> Result<Self, ExactError> {
        let mut builder = Builder::new(expected);
        for key in keys {
            builder.push(key)?;
        }
        Ok(builder.finish())
    }

    /// This set with `changes` applied: `(key, true)` lists, `(key, false)` removes; strictly ascending. One pass over both.
    ///
    /// # Errors
    /// [`ExactError::NotSorted`] and [`ExactError::TooMany`].
    pub fn merge(&self, changes: &[(Key, bool)]) -> Result<Self, ExactError> {
        let added = changes.iter().filter(|(_, listed)| *listed).count();
        let mut builder = Builder::new(self.len() + added);
        let mut changes = changes.iter().copied().peekable();
        for key in self.iter() {
            while let Some((changed, listed)) = changes.next_if(|(changed, _)| *changed < key) {
                if listed {
                    builder.push(changed)?;
                }
            }
            if changes.next_if(|(changed, _)| *changed == key).is_none_or(|(_, listed)| listed) {
                builder.push(key)?;
            }
        }
        for (changed, listed) in changes {
            if listed {
                builder.push(changed)?;
            }
        }
        Ok(builder.finish())
    }

    /// Whether the key is listed.
    #[inline]
    pub fn contains(&self, key: Key) -> bool {
        let bucket = key.bucket(self.prefix_bits);
        let suffix = key.suffix(self.prefix_bits);
        let (Some(start), Some(end)) = (self.prefixes.get(bucket), self.prefixes.get(bucket + 1)) else {
            return false;
        };
        self.suffixes.get(*start as usize..*end as usize).is_some_and(|bucket| {
            // So few entries that a scan which stops at the first larger one beats a search by halves.
            bucket.iter().find(|entry| **entry >= suffix) == Some(&suffix)
        })
    }

    /// How many hashes are listed.
    pub fn len(&self) -> usize {
        self.suffixes.len()
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.suffixes.is_empty()
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.prefixes) + size_of_val(&*self.suffixes)
    }

    /// Every key, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        let ends = self.prefixes.iter().skip(1).map(|end| *end as usize);
        let mut start = 0;
        ends.enumerate().flat_map(move |(bucket, end)| {
            let entries = self.suffixes.get(start..end).unwrap_or_default();
            start = end;
            entries.iter().map(move |suffix| Key::from_parts(bucket, *suffix, self.prefix_bits))
        })
    }
}

/// Builds a set from ascending keys.
struct Builder {
    prefix_bits: u32,
    /// Buckets before this one are closed: their end is written.
    bucket: usize,
    prefixes: Vec<u32>,
    suffixes: Vec<u64>,
    last: Option<Key>,
}

impl Builder {
    fn new(expected: usize) -> Self {
        let prefix_bits =
            expected.div_ceil(BUCKET_ENTRIES).max(1).ilog2().clamp(PREFIX_BITS_MIN, PREFIX_BITS_MAX);
        Self {
            prefix_bits,
            bucket: 0,
            prefixes: vec![0; (1 << prefix_bits) + 1],
            suffixes: Vec::with_capacity(expected),
            last: None,
        }
    }

    fn push(&mut self, key: Key) -> Result<(), ExactError> {
        if self.last.is_some_and(|last| last >= key) {
            return Err(ExactError::NotSorted);
        }
        if self.suffixes.len() >= u32::MAX as usize {
            return Err(ExactError::TooMany);
        }
        self.last = Some(key);
        let bucket = key.bucket(self.prefix_bits);
        self.close_buckets_before(bucket);
        self.suffixes.push(key.suffix(self.prefix_bits));
        Ok(())
    }

    /// Writes where the buckets up to `bucket` start.
    fn close_buckets_before(&mut self, bucket: usize) {
        let start = self.suffixes.len() as u32;
        if let Some(closed) = self.prefixes.get_mut(self.bucket + 1..=bucket) {
            closed.fill(start);
        }
        self.bucket = bucket;
    }

    fn finish(mut self) -> ExactSet {
        self.close_buckets_before(1 << self.prefix_bits);
        ExactSet {
            prefix_bits: self.prefix_bits,
            prefixes: self.prefixes.into_boxed_slice(),
            suffixes: self.suffixes.into_boxed_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tests::Random;

    fn keys(random: &mut Random, count: usize) -> BTreeSet<Key> {
        (0..count).map(|_| Key::of(random.hash())).collect()
    }

    #[test]
    fn holds_what_was_put_in_and_nothing_else() {
        let mut random = Random::announced();
        for count in [0, 1, 2, 1_000, 50_000] {
            let listed = keys(&mut random, count);
            let set = ExactSet::from_sorted(count, listed.iter().copied()).unwrap();
            assert_eq!(set.len(), listed.len());
            assert!(listed.iter().all(|key| set.contains(*key)));
            assert!(set.iter().eq(listed.iter().copied()), "the set can be read back in order");
            assert!(
                (0..50_000)
                    .map(|_| Key::of(random.hash()))
                    .all(|key| listed.contains(&key) == set.contains(key))
            );
        }
    }

    #[test]
    fn neighbours_in_the_last_deciding_bit_are_told_apart_at_every_prefix() {
        let mut random = Random::announced();
        for expected in [1, 1 << 20, 1 << 24] {
            let listed: BTreeSet<Key> =
                (0..1_000).map(|_| Key(u128::from_be_bytes(random.hash()) >> IGNORED_BITS)).collect();
            let set = ExactSet::from_sorted(expected, listed.iter().copied()).unwrap();
            assert!(set.iter().eq(listed.iter().copied()));
            for key in &listed {
                let neighbour = Key(key.0 ^ 1);
                assert!(set.contains(*key));
                assert_eq!(set.contains(neighbour), listed.contains(&neighbour));
            }
        }
    }

    #[test]
    fn the_first_and_last_hash_have_a_place() {
        let edges = [Key::of([0; 16]), Key::of([0xff; 16])];
        let set = ExactSet::from_sorted(2, edges).unwrap();
        assert!(edges.into_iter().all(|key| set.contains(key)));
        assert!(!set.contains(Key::of([0x7f; 16])));
        assert!(!ExactSet::empty().contains(edges[0]) && !ExactSet::empty().contains(edges[1]));
    }

    #[test]
    fn merging_equals_set_arithmetic() {
        let mut random = Random::announced();
        let mut model = keys(&mut random, 5_000);
        let mut set = ExactSet::from_sorted(model.len(), model.iter().copied()).unwrap();
        for _ in 0..20 {
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
            let set = ExactSet::from_sorted(expected, listed.iter().copied()).unwrap();
            assert!(set.iter().eq(listed.iter().copied()));
        }
    }

    #[test]
    fn keys_out_of_order_are_refused() {
        let key = Key::of([7; 16]);
        assert_eq!(ExactSet::from_sorted(2, [key, key]).err(), Some(ExactError::NotSorted));
    }
}
