//! The first look: a split-block bloom filter that answers "certainly not listed" from one cache line.
//!
//! It may say "perhaps" for an entry that was never inserted (about 1.3 in 1,000 at 16 bits per key); it must never say "no" for
//! one that was. Nothing is decided on "perhaps": the [`crate::exact::ExactSet`] confirms.
//!
//! # Layout
//!
//! Parquet's split-block filter (Apache Parquet format, `BloomFilter.md`): blocks of eight 32-bit words. The upper half of
//! the 64 hash bits picks the block by multiplication, the lower half, multiplied by eight odd salts, picks one bit in each word.
//! The entries are keyed hashes already, so their own first 64 bits are used and nothing is hashed again.
//!
//! ```text
//! bits   0..32 of the opt-out hash   → block  = (bits × blocks) >> 32
//! bits  32..64 of the opt-out hash   → bit i  = (bits × SALT[i]) >> 27,  i = 0..8, one in each word of the block
//! ```

use crate::pages::Pages;

/// Words in a block.
const WORDS: usize = 8;

/// So many are looked at before the others: fifteen of sixteen strangers are known by them, and the processor has room for more look-ups at a time
/// than with all eight. With fewer it guesses wrong too often, and with a branch after each word more often still.
const WORDS_FIRST: usize = 3;

/// Bits in a block: 32 bytes.
const BLOCK_BITS: u64 = 256;

/// The salts of Parquet's split-block bloom filter.
const SALT: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

const WORD_BYTES: usize = 4;

/// In a filter of some size aligned so that a block never straddles two cache lines, since [`Pages`] are.
const BLOCK_BYTES: usize = WORDS * WORD_BYTES;

/// A split-block bloom filter over 64-bit keys that are uniformly distributed already.
pub struct Filter {
    /// Blocks of little-endian words. Never empty.
    pages: Pages,
}

impl Filter {
    /// An empty filter for `keys` keys at `bits_per_key`, but never with more than `blocks_max` blocks of 32 bytes.
    ///
    /// `blocks_max = 1` makes every key share one block: tests use it to force collisions.
    pub fn with_capacity(keys: u64, bits_per_key: u32, blocks_max: u32) -> Self {
        let wanted = keys.saturating_mul(u64::from(bits_per_key)).div_ceil(BLOCK_BITS);
        let blocks = wanted.clamp(1, u64::from(blocks_max.max(1)));
        Self { pages: Pages::zeroed(blocks as usize * BLOCK_BYTES) }
    }

    /// Adds a key.
    pub fn insert(&mut self, key: u64) {
        let index = block_index(key, self.blocks().len());
        if let Some(block) = self.pages.as_chunks_mut::<BLOCK_BYTES>().0.get_mut(index) {
            for (word, salt) in block.as_chunks_mut::<WORD_BYTES>().0.iter_mut().zip(SALT) {
                *word = (u32::from_le_bytes(*word) | 1 << bit(key as u32, salt)).to_le_bytes();
            }
        }
    }

    /// Whether the key may have been inserted. `false` is certain.
    #[inline]
    pub fn may_contain(&self, key: u64) -> bool {
        let blocks = self.blocks();
        blocks.get(block_index(key, blocks.len())).is_some_and(|block| {
            let (first, others) = block.as_chunks::<WORD_BYTES>().0.split_at(WORDS_FIRST);
            let (first_salts, other_salts) = SALT.split_at(WORDS_FIRST);
            all_set(key as u32, first, first_salts) && all_set(key as u32, others, other_salts)
        })
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.pages.memory_bytes()
    }

    #[inline]
    fn blocks(&self) -> &[[u8; BLOCK_BYTES]] {
        self.pages.as_chunks().0
    }
}

/// Below the number of blocks for every key, since (2³²−1) × blocks >> 32 < blocks.
#[inline]
fn block_index(key: u64, blocks: usize) -> usize {
    (((key >> 32) * blocks as u64) >> 32) as usize
}

/// Whether the key's bit is set in each of these words. No branch between them: they are in one cache line.
#[inline]
fn all_set(key: u32, words: &[[u8; WORD_BYTES]], salts: &[u32]) -> bool {
    let bits = words.iter().zip(salts).map(|(word, salt)| u32::from_le_bytes(*word) >> bit(key, *salt));
    bits.fold(1, |all, bit| all & bit) & 1 == 1
}

/// Which bit of a word.
#[inline]
fn bit(key: u32, salt: u32) -> u32 {
    key.wrapping_mul(salt) >> 27
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Random;

    #[test]
    fn an_inserted_key_is_never_denied() {
        let mut random = Random::announced();
        for bits_per_key in [1, 8, 16] {
            let keys: Vec<u64> = (0..20_000).map(|_| random.next_u64()).collect();
            let mut filter = Filter::with_capacity(keys.len() as u64, bits_per_key, u32::MAX);
            for key in &keys {
                filter.insert(*key);
            }
            assert!(keys.iter().all(|key| filter.may_contain(*key)));
        }
    }

    #[test]
    fn sixteen_bits_per_key_let_one_in_seven_hundred_through() {
        let mut random = Random::announced();
        let entries = 200_000;
        let mut filter = Filter::with_capacity(entries, 16, u32::MAX);
        (0..entries).for_each(|_| filter.insert(random.next_u64()));
        let probes = 1_000_000;
        let passed = (0..probes).filter(|_| filter.may_contain(random.next_u64())).count();
        let rate = passed as f64 / f64::from(probes);
        // Measured before the first line was written: 1.31e-3 (split blocks, 16 bits per key).
        assert!((0.9e-3..1.8e-3).contains(&rate), "false-positive rate {rate}");
        assert_eq!(filter.memory_bytes() as u64, entries * 2, "16 bits an entry are 2 bytes an entry");
    }

    #[test]
    fn one_block_lets_nearly_everything_through() {
        let mut random = Random::announced();
        let mut filter = Filter::with_capacity(1_000, 16, 1);
        (0..1_000).for_each(|_| filter.insert(random.next_u64()));
        assert_eq!(filter.memory_bytes(), 32);
        assert!((0..1_000).all(|_| filter.may_contain(random.next_u64())));
    }

    #[test]
    fn an_empty_filter_denies_and_has_one_block() {
        let filter = Filter::with_capacity(0, 16, u32::MAX);
        assert_eq!(filter.memory_bytes(), 32);
        assert!(!filter.may_contain(0) && !filter.may_contain(u64::MAX));
    }

    #[test]
    fn the_edges_of_the_key_space_stay_inside_the_blocks() {
        for blocks in [1, 2, 3, 7, 1_000] {
            let mut filter = Filter::with_capacity(u64::MAX, 16, blocks);
            for key in [0, u64::MAX, u64::MAX << 32, u64::from(u32::MAX)] {
                assert!(block_index(key, blocks as usize) < blocks as usize);
                filter.insert(key);
                assert!(filter.may_contain(key));
            }
        }
    }
}
