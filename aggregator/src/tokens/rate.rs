//! How often a token may ask: a bucket for each. There are at most as many as there are tokens that were let in.
//!
//! Must never be asked for a token that is not in force: buckets are made for whoever asks.

use std::collections::HashMap;

use event::clock::UnixMs;

/// A request, in thousandths: a slow refill adds up.
const REQUEST: u64 = 1000;
/// Milliseconds of a minute for each thousandth of a request.
const MINUTE: u64 = 60_000 / REQUEST;

/// The limit of every token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Requests at once.
    pub(crate) burst: u32,
    /// Requests given back in a minute.
    pub(crate) per_minute: u32,
}

pub(super) struct Buckets {
    rate: Rate,
    /// Thousandths of a request left, and as of when.
    left: HashMap<String, (u64, UnixMs)>,
}

impl Buckets {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, left: HashMap::new() }
    }

    /// Takes one request from a token's bucket.
    ///
    /// # Errors
    /// Seconds, at least 1, after which it may ask again.
    pub(super) fn take(&mut self, token: &str, now_ms: UnixMs) -> Result<(), u64> {
        let full = u64::from(self.rate.burst.max(1)) * REQUEST;
        let per_minute = u64::from(self.rate.per_minute.max(1));
        let (left, at_ms) = self.left.get(token).copied().unwrap_or((full, now_ms));
        // A clock that was set back gives nothing and takes nothing.
        let passed_ms = u64::try_from(now_ms - at_ms).unwrap_or(0);
        let left = left.saturating_add(passed_ms.saturating_mul(per_minute) / MINUTE).min(full);
        let (rest, answer) = if let Some(rest) = left.checked_sub(REQUEST) {
            (rest, Ok(()))
        } else {
            let missing_ms = (REQUEST - left) * MINUTE / per_minute;
            (left, Err(missing_ms.div_ceil(1000).max(1)))
        };
        self.left.insert(token.to_owned(), (rest, now_ms));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_steady_rate_and_rest_fills_no_more_than_the_bucket() {
        let mut buckets = Buckets::new(Rate { burst: 3, per_minute: 6 });
        (0..3).for_each(|_| assert_eq!(buckets.take("a", 0), Ok(())));
        assert_eq!(buckets.take("a", 0), Err(10));
        for second in 1..10 {
            assert!(buckets.take("a", second * 1000).is_err(), "asking does not push the end away");
        }
        assert_eq!(buckets.take("a", 10_000), Ok(()));
        (0..3).for_each(|_| assert_eq!(buckets.take("a", i64::MAX / 2), Ok(())));
        assert!(buckets.take("a", i64::MAX / 2).is_err());
        assert!(buckets.take("a", 0).is_err(), "a clock that was set back gives nothing");
    }
}
