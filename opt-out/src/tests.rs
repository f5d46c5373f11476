//! What the crate's unit tests share: random numbers from a seed that is printed. Compiled for tests only.

use event::key::OptOutHash;

/// A small generator (splitmix64): the same seed gives the same run on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded from `SIGHTLINE_SEED` or at random; prints the seed, so that a failure can be run again.
    pub(crate) fn announced() -> Self {
        let seed =
            std::env::var("SIGHTLINE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
                let mut bytes = [0; 8];
                getrandom::fill(&mut bytes).expect("the system gives random bytes");
                u64::from_le_bytes(bytes)
            });
        eprintln!("SIGHTLINE_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next_u64() % end
    }

    pub(crate) fn hash(&mut self) -> [u8; 16] {
        (u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())).to_be_bytes()
    }

    pub(crate) fn opt_out_hash(&mut self) -> OptOutHash {
        OptOutHash(self.hash())
    }
}
