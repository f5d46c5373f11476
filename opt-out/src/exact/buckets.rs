//! Where a large list's keys stand: in buckets of fixed size that a key finds without a table, so that a look-up waits for memory once.
//!
//! It owns what is in a bucket. What no longer fits into one goes to the [`super::sorted`] set beside it, and a full bucket says so.
//!
//! # Layout
//!
//! The first 64 bits of a hash pick one of `m` buckets by multiplication, as the filter does: bucket = bits × m >> 64. So a bucket is a stretch of
//! neighbouring keys, shorter than 2⁶⁴, and a key's last 64 deciding bits tell it from all others there.
//!
//! ```text
//! hash     |<--------------- 64 bits: which bucket --------------->|
//!          |<- 16 bits ->|<-- 64 bits, little-endian: the entry ----------------->|<- 48 bits, not looked at ->|
//! bucket   [entry; 16], ascending by key; 128 bytes, two cache lines that are fetched side by side
//! ```
//!
//! A bucket that is not full repeats its last entry to the end, and an empty one holds a number that is no key of its stretch: the one before it. So the
//! last two entries differ exactly where all are taken, and some of its keys may stand elsewhere.
//!
//! Keys are as random as the hashes: at [`ENTRIES_MEAN`] keys a bucket, one in twenty finds its own full. Were they not random, any number of
//! them might: then the sorted set is what is searched, in logarithmic time.

use super::Key;
use crate::pages::Pages;

/// Keys that a bucket holds.
pub(super) const ENTRIES: usize = 16;

/// Keys for which a bucket is made: 9.14 bytes each, and the twentieth in the sorted set 8.7 more.
pub(super) const ENTRIES_MEAN: usize = 14;

/// Fewest buckets: with fewer a bucket's stretch would reach 2⁶⁴.
pub(super) const BUCKETS_MIN: usize = (1 << 16) + 1;

const ENTRY_BYTES: usize = 8;
const BUCKET_BYTES: usize = ENTRIES * ENTRY_BYTES;

/// The buckets. See the module's documentation for the layout.
pub(super) struct Buckets {
    pages: Pages,
    /// Keys in them.
    len: usize,
}

/// Where to look for a key that is not in its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Here,
    /// The bucket is full.
    PerhapsElsewhere,
    Nowhere,
}

impl Buckets {
    #[inline]
    pub(super) fn find(&self, key: Key) -> Place {
        let all = self.all();
        let Some(bucket) = all.get(index(key, all.len())) else {
            return Place::Nowhere;
        };
        let wanted = key.low_u64();
        let entries = bucket.as_chunks::<ENTRY_BYTES>().0;
        // No early exit: sixteen comparisons in two lines cost less than a branch that is hard to predict.
        let equal = entries.iter().map(|entry| u32::from(u64::from_le_bytes(*entry) == wanted));
        if equal.sum::<u32>() > 0 {
            return Place::Here;
        }
        match entries {
            [.., before, last] if before != last => Place::PerhapsElsewhere,
            _ => Place::Nowhere,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.pages.memory_bytes()
    }

    /// Every key in them, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = Key> + '_ {
        let all = self.all();
        all.iter().enumerate().flat_map(|(index, bucket)| {
            let (first, end) = (first_key(index, all.len()), first_key(index + 1, all.len()));
            let mut last = None;
            bucket.as_chunks::<ENTRY_BYTES>().0.iter().map_while(move |entry| {
                let above = u64::from_le_bytes(*entry).wrapping_sub(first.low_u64());
                let key = Key(first.0 + u128::from(above));
                (key < end && last.replace(key) != Some(key)).then_some(key)
            })
        })
    }

    #[inline]
    fn all(&self) -> &[[u8; BUCKET_BYTES]] {
        self.pages.as_chunks().0
    }
}

/// Which of `count` buckets a key belongs to: below `count`, since (2⁶⁴−1) × count >> 64 < count.
#[inline]
fn index(key: Key, count: usize) -> usize {
    ((u128::from(key.leading_u64()) * count as u128) >> u64::BITS) as usize
}

/// The smallest key that belongs to this one of `count` buckets, or to a later one; for `index = count` the first number that is no key.
fn first_key(index: usize, count: usize) -> Key {
    Key((((index as u128) << u64::BITS).div_ceil(count as u128)) << Key::AFTER_LEADING_BITS)
}

/// Fills them with strictly ascending keys.
pub(super) struct Builder {
    pages: Pages,
    count: usize,
    /// The one in hand; those before it are written.
    bucket: usize,
    entries: [u64; ENTRIES],
    /// Entries in hand.
    taken: usize,
    len: usize,
}

impl Builder {
    /// At least [`BUCKETS_MIN`] of them.
    pub(super) fn new(count: usize) -> Self {
        let count = count.max(BUCKETS_MIN);
        Self {
            pages: Pages::zeroed(count.saturating_mul(BUCKET_BYTES)),
            count,
            bucket: 0,
            entries: [0; ENTRIES],
            taken: 0,
            len: 0,
        }
    }

    /// Adds a key larger than the one before; `false`: its bucket is full.
    pub(super) fn push(&mut self, key: Key) -> bool {
        self.write_before(index(key, self.count));
        let Some(entry) = self.entries.get_mut(self.taken) else {
            return false;
        };
        *entry = key.low_u64();
        self.taken += 1;
        self.len += 1;
        true
    }

    /// Writes the bucket in hand and the empty ones after it.
    fn write_before(&mut self, bucket: usize) {
        while self.bucket < bucket {
            let filler = match self.taken.checked_sub(1).and_then(|last| self.entries.get(last)) {
                Some(last) => *last,
                None => first_key(self.bucket, self.count).low_u64().wrapping_sub(1),
            };
            self.entries.iter_mut().skip(self.taken).for_each(|entry| *entry = filler);
            let written = self.pages.as_chunks_mut::<BUCKET_BYTES>().0.get_mut(self.bucket);
            if let Some(written) = written {
                for (bytes, entry) in written.as_chunks_mut().0.iter_mut().zip(self.entries) {
                    *bytes = entry.to_le_bytes();
                }
            }
            self.taken = 0;
            self.bucket += 1;
        }
    }

    pub(super) fn finish(mut self) -> Buckets {
        self.write_before(self.count);
        Buckets { pages: self.pages, len: self.len }
    }
}
