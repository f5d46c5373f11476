//! The last word: a set of opt-out hashes that decides by 80 bits and keeps 8 to 10 bytes for each.
//!
//! It is immutable: a change makes a new set by merging ([`ExactSet::merge`]), in one pass and in order.
//!
//! # Layout
//!
//! A large set lies in `buckets`, where a look-up waits for memory once; the one key in twenty whose bucket is full lies in a `sorted` set beside
//! them, in less memory, where it waits three times. A small set is a sorted one alone: it stays in the processor's caches anyhow.
//!
//! # Why 80 bits are enough
//!
//! A hash that is not listed is confused with a listed one with probability n / 2⁸⁰: 8 × 10⁻¹⁷ at 100 M entries. At 10¹⁰ look-ups a
//! day that is one wrong answer in three thousand years. The number of bits is the same whatever the layout, so that a set can grow and shrink by
//! merging without ever needing the bits that it did not keep.

mod buckets;
mod sorted;

use std::iter;

use thiserror::Error;

use buckets::{Buckets, Place};
use sorted::Sorted;

/// How many leading bits of a hash decide whether it is listed.
pub const DECIDING_BITS: u32 = 80;

/// Bits of a hash that are not looked at.
const IGNORED_BITS: u32 = u128::BITS - DECIDING_BITS;

/// Sets of so many entries or more lie in buckets. In about 9 MiB a sorted set's look-up finds most of what it reads in a cache.
const BUCKETS_FROM_ENTRIES: usize = 1 << 20;

/// Of the entries of a set in buckets, one in so many is expected in the sorted set. It is one in nineteen, if the hashes are random.
const ELSEWHERE_SHARE: usize = 18;

/// A hash reduced to the bits that decide: [`DECIDING_BITS`] at the bottom of the number, ordered like the hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(u128);

impl Key {
    /// Bits of a key after the first 64.
    const AFTER_LEADING_BITS: u32 = DECIDING_BITS - u64::BITS;

    /// The deciding bits of a 16-byte hash, first byte most significant.
    #[inline]
    pub fn of(hash: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(hash) >> IGNORED_BITS)
    }

    /// The first 64 bits of the hash: what the filter reads.
    #[inline]
    pub fn leading_u64(self) -> u64 {
        (self.0 >> Self::AFTER_LEADING_BITS) as u64
    }

    /// The last 64 bits that decide.
    #[inline]
    fn low_u64(self) -> u64 {
        self.0 as u64
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

/// A set of hashes. See the module's documentation for the layout.
pub struct ExactSet {
    buckets: Option<Buckets>,
    /// What is not in them.
    sorted: Sorted,
}

impl ExactSet {
    /// The set of no hash.
    pub fn empty() -> Self {
        Self { buckets: None, sorted: sorted::Builder::new(0).finish() }
    }

    /// Builds a set from strictly ascending keys; `expected` chooses the layout and its size, a wrong guess costs only memory or time.
    ///
    /// # Errors
    /// [`ExactError::NotSorted`] and [`ExactError::TooMany`].
    pub fn from_sorted(expected: usize, keys: impl IntoIterator<Item = Key>) -> Result<Self, ExactError> {
        Builder::new(expected).fill(keys)
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
        match self.buckets.as_ref().map_or(Place::PerhapsElsewhere, |buckets| buckets.find(key)) {
            Place::Here => true,
            Place::PerhapsElsewhere => self.sorted.contains(key),
            Place::Nowhere => false,
        }
    }

    /// How many hashes are listed.
    pub fn len(&self) -> usize {
        self.buckets.as_ref().map_or(0, Buckets::len) + self.sorted.len()
    }

    /// Whether none is listed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.buckets.as_ref().map_or(0, Buckets::memory_bytes) + self.sorted.memory_bytes()
    }

    /// Every key, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        let mut buckets = self.buckets.iter().flat_map(Buckets::iter).peekable();
        let mut sorted = self.sorted.iter().peekable();
        iter::from_fn(move || match (buckets.peek(), sorted.peek()) {
            (Some(here), Some(elsewhere)) if elsewhere < here => sorted.next(),
            (Some(_), _) => buckets.next(),
            (None, _) => sorted.next(),
        })
    }
}

/// Builds a set from ascending keys.
struct Builder {
    buckets: Option<buckets::Builder>,
    sorted: sorted::Builder,
    last: Option<Key>,
}

impl Builder {
    fn new(expected: usize) -> Self {
        if expected < BUCKETS_FROM_ENTRIES {
            return Self { buckets: None, sorted: sorted::Builder::new(expected), last: None };
        }
        Self::with_buckets(expected.div_ceil(buckets::ENTRIES_MEAN), expected / ELSEWHERE_SHARE)
    }

    fn with_buckets(count: usize, elsewhere: usize) -> Self {
        let sorted = sorted::Builder::new(elsewhere);
        Self { buckets: Some(buckets::Builder::new(count)), sorted, last: None }
    }

    fn fill(mut self, keys: impl IntoIterator<Item = Key>) -> Result<ExactSet, ExactError> {
        for key in keys {
            self.push(key)?;
        }
        Ok(self.finish())
    }

    #[inline]
    fn push(&mut self, key: Key) -> Result<(), ExactError> {
        if self.last.is_some_and(|last| last >= key) {
            return Err(ExactError::NotSorted);
        }
        self.last = Some(key);
        if self.buckets.as_mut().is_some_and(|buckets| buckets.push(key)) {
            return Ok(());
        }
        self.sorted.push(key)
    }

    fn finish(self) -> ExactSet {
        ExactSet { buckets: self.buckets.map(buckets::Builder::finish), sorted: self.sorted.finish() }
    }
}

#[cfg(test)]
mod tests;
