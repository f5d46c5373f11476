//! Random numbers that can be had again: the seed is printed, and `SIGHTLINE_SEED` sets it.

/// SplitMix64: small, and good enough to choose what a test does.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// From `SIGHTLINE_SEED`, else from the clock; prints the seed with the name of the test.
    pub(crate) fn announced(test: &str) -> Self {
        let seed = std::env::var("SIGHTLINE_SEED").ok().map_or_else(from_clock, |text| {
            text.trim().parse().unwrap_or_else(|_| panic!("SIGHTLINE_SEED={text} is not a number"))
        });
        println!("{test}: SIGHTLINE_SEED={seed}");
        Self(seed)
    }

    /// From a number.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// `true` this often in a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// Random lower-case hex digits.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[self.below(16) as usize])).collect()
    }

    /// A random UUID in lower case.
    pub(crate) fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}

/// How often the randomised tests are to be repeated beyond the usual: `SIGHTLINE_SOAK`, 1 by default.
pub(crate) fn soak() -> u64 {
    let text = std::env::var("SIGHTLINE_SOAK").unwrap_or_else(|_| "1".to_owned());
    text.trim().parse::<u64>().unwrap_or_else(|_| panic!("SIGHTLINE_SOAK={text} is not a number")).max(1)
}

fn from_clock() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
}
