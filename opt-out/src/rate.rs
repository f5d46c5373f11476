//! How often one address may ask: a token bucket for each, in a table that cannot grow beyond its limit.
//!
//! It owns the buckets, in memory only; nothing of it is ever logged or stored. A flood from more addresses than the table holds makes it
//! forget the quietest ones, never refuse people whom it does not know.

use std::collections::HashMap;

use event::clock::UnixMs;

/// Tokens are counted in thousandths, so that a slow refill adds up.
const TOKEN: u64 = 1_000;

/// The limit of every address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Requests at once.
    pub(crate) burst: u32,
    /// Requests given back in a minute, at least 1.
    pub(crate) per_minute: u32,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// Thousandths of a request left.
    tokens: u64,
    at_ms: UnixMs,
}

/// Buckets by address, in two generations: who asked since the last change of generation, and who asked in the one before. When the young
/// one is full the old one is forgotten whole, so that making room costs nothing for each request.
pub(crate) struct Table {
    rate: Rate,
    generation_max: usize,
    young: HashMap<u128, Bucket, ahash::RandomState>,
    old: HashMap<u128, Bucket, ahash::RandomState>,
}

impl Table {
    pub(crate) fn new(rate: Rate, addresses_max: usize) -> Self {
        Self {
            rate,
            generation_max: (addresses_max / 2).max(1),
            young: HashMap::default(),
            old: HashMap::default(),
        }
    }

    /// Takes one request from an address's bucket.
    ///
    /// # Errors
    /// The seconds, at least 1, after which the address may ask again.
    pub(crate) fn take(&mut self, address: u128, now_ms: UnixMs) -> Result<(), u64> {
        let full = u64::from(self.rate.burst) * TOKEN;
        let known = self.young.get(&address).or_else(|| self.old.get(&address)).copied();
        let mut bucket = known.unwrap_or(Bucket { tokens: full, at_ms: now_ms });
        // A clock that was set back gives nothing and takes nothing.
        let passed_ms = u64::try_from(now_ms - bucket.at_ms).unwrap_or(0);
        let refilled = passed_ms.saturating_mul(u64::from(self.rate.per_minute)) / (60_000 / TOKEN);
        bucket = Bucket { tokens: bucket.tokens.saturating_add(refilled).min(full), at_ms: now_ms };
        let taken = if bucket.tokens >= TOKEN {
            bucket.tokens -= TOKEN;
            Ok(())
        } else {
            let missing_ms = (TOKEN - bucket.tokens) * (60_000 / TOKEN) / u64::from(self.rate.per_minute);
            Err(missing_ms.div_ceil(1_000).max(1))
        };
        if self.young.len() >= self.generation_max && !self.young.contains_key(&address) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(address, bucket);
        taken
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_minute: 6 };

    #[test]
    fn a_burst_then_a_steady_rate() {
        let mut table = Table::new(RATE, 100);
        for _ in 0..3 {
            assert_eq!(table.take(1, 0), Ok(()));
        }
        assert_eq!(table.take(1, 0), Err(10), "six a minute: one in ten seconds");
        assert_eq!(table.take(2, 0), Ok(()), "another address has a bucket of its own");
        assert_eq!(table.take(1, 9_000), Err(1));
        assert_eq!(table.take(1, 10_000), Ok(()));
        assert_eq!(table.take(1, 10_000), Err(10));
    }

    #[test]
    fn asking_while_refused_does_not_push_the_end_away() {
        let mut table = Table::new(RATE, 100);
        (0..3).for_each(|_| table.take(1, 0).unwrap());
        for second in 1..10 {
            assert!(table.take(1, second * 1_000).is_err(), "second {second}");
        }
        assert_eq!(table.take(1, 10_000), Ok(()));
    }

    #[test]
    fn rest_fills_the_bucket_and_no_more() {
        let mut table = Table::new(RATE, 100);
        (0..3).for_each(|_| table.take(1, 0).unwrap());
        (0..3).for_each(|_| table.take(1, i64::MAX / 2).unwrap());
        assert!(table.take(1, i64::MAX / 2).is_err());
    }

    #[test]
    fn a_clock_set_back_neither_gives_nor_locks_out() {
        let mut table = Table::new(RATE, 100);
        (0..3).for_each(|_| table.take(1, 1_000_000).unwrap());
        assert!(table.take(1, 0).is_err());
        assert_eq!(table.take(1, 10_000), Ok(()));
    }

    #[test]
    fn the_table_stays_bounded_and_remembers_who_keeps_asking() {
        let mut table = Table::new(RATE, 100);
        (0..3).for_each(|_| table.take(0, 0).unwrap());
        for address in 1..10_000 {
            table.take(address, 0).unwrap();
            assert!(table.len() <= 100);
            if address % 20 == 0 {
                assert!(table.take(0, 0).is_err(), "still known at {address}");
            }
        }
    }
}
