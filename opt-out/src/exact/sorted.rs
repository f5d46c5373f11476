//! A sorted set of keys in the least memory: a small list's whole set, and what found no place in a large one's [`super::buckets`].
//!
//! # Layout
//!
//! The first `b` bits of a hash pick a bucket of a prefix table, the bits after them, up to bit [`super::DECIDING_BITS`], are what the
//! bucket stores. `b` follows the size (16 to 24), so that a bucket holds four to eight entries, one or two cache lines, and the table costs at
//! most one byte an entry.
//!
//! ```text
//! hash      |<---- b bits ---->|<------- 80 − b bits ------->|<- 48 bits, not looked at ->|
//! prefixes  [u32; 2^b + 1]      where each bucket starts in `suffixes`
//! suffixes  [u64; n]            bits b..80 of each hash, at the top of the word, ascending within a bucket
//! ```
//!
//! Hashes of which far too many begin alike make a bucket large, which is then searched by halves.

use super::{DECIDING_BITS, ExactError, Key};

/// Smallest prefix, bits: a table of 256 KiB. A word stores the other deciding bits.
const PREFIX_BITS_MIN: u32 = DECIDING_BITS - u64::BITS;

/// Largest prefix, bits: a table of 64 MiB, for 100 M entries 0.64 bytes an entry.
const PREFIX_BITS_MAX: u32 = 24;

/// Entries that a bucket shall hold, at least, on average.
const BUCKET_ENTRIES: usize = 4;

/// Up to so many a scan which stops at the first larger one beats a search by halves.
const SCANNED_MAX: usize = 32;

/// The keys. See the module's documentation for the layout.
pub(super) struct Sorted {
    prefix_bits: u32,
    /// `prefixes[p]..prefixes[p + 1]` is bucket `p`'s range in `suffixes`. Length 2^prefix_bits + 1.
    prefixes: Box<[u32]>,
    suffixes: Box<[u64]>,
}

impl Sorted {
    #[inline]
    pub(super) fn contains(&self, key: Key) -> bool {
        let bucket = bucket(key, self.prefix_bits);
        let suffix = suffix(key, self.prefix_bits);
        let (Some(start), Some(end)) = (self.prefixes.get(bucket), self.prefixes.get(bucket + 1)) else {
            return false;
        };
        self.suffixes.get(*start as usize..*end as usize).is_some_and(|bucket| {
            if bucket.len() > SCANNED_MAX {
                bucket.binary_search(&suffix).is_ok()
            } else {
                bucket.iter().find(|entry| **entry >= suffix) == Some(&suffix)
            }
        })
    }

    pub(super) fn len(&self) -> usize {
        self.suffixes.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.prefixes) + size_of_val(&*self.suffixes)
    }

    /// Every key, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        let ends = self.prefixes.iter().skip(1).map(|end| *end as usize);
        let mut start = 0;
        ends.enumerate().flat_map(move |(bucket, end)| {
            let entries = self.suffixes.get(start..end).unwrap_or_default();
            start = end;
            entries.iter().map(move |suffix| from_parts(bucket, *suffix, self.prefix_bits))
        })
    }
}

#[inline]
fn bucket(key: Key, prefix_bits: u32) -> usize {
    (key.0 >> (DECIDING_BITS - prefix_bits)) as usize
}

/// The bits after the prefix, at the top of a word. The prefix falls off.
#[inline]
fn suffix(key: Key, prefix_bits: u32) -> u64 {
    key.low_u64() << (prefix_bits - PREFIX_BITS_MIN)
}

fn from_parts(bucket: usize, suffix: u64, prefix_bits: u32) -> Key {
    let low = u128::from(suffix >> (prefix_bits - PREFIX_BITS_MIN));
    Key((bucket as u128) << (DECIDING_BITS - prefix_bits) | low)
}

/// Builds it from strictly ascending keys.
pub(super) struct Builder {
    prefix_bits: u32,
    /// Buckets before this one are closed: their end is written.
    bucket: usize,
    prefixes: Vec<u32>,
    suffixes: Vec<u64>,
}

impl Builder {
    /// `expected` sizes the table; a wrong guess costs only memory or time.
    pub(super) fn new(expected: usize) -> Self {
        let prefix_bits =
            expected.div_ceil(BUCKET_ENTRIES).max(1).ilog2().clamp(PREFIX_BITS_MIN, PREFIX_BITS_MAX);
        Self {
            prefix_bits,
            bucket: 0,
            prefixes: vec![0; (1 << prefix_bits) + 1],
            suffixes: Vec::with_capacity(expected),
        }
    }

    /// Adds a key, larger than the one before.
    ///
    /// # Errors
    /// [`ExactError::TooMany`].
    pub(super) fn push(&mut self, key: Key) -> Result<(), ExactError> {
        if self.suffixes.len() >= u32::MAX as usize {
            return Err(ExactError::TooMany);
        }
        let bucket = bucket(key, self.prefix_bits);
        self.close_buckets_before(bucket);
        self.suffixes.push(suffix(key, self.prefix_bits));
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

    pub(super) fn finish(mut self) -> Sorted {
        self.close_buckets_before(1 << self.prefix_bits);
        Sorted {
            prefix_bits: self.prefix_bits,
            prefixes: self.prefixes.into_boxed_slice(),
            suffixes: self.suffixes.into_boxed_slice(),
        }
    }
}
