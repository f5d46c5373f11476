//! Which signatures the apps have used: a signed call is done once, so whoever could read one gets no receipt by sending it again.
//!
//! A signature is kept until its time is out of the window in which it is good, and the app's rate limit says how many there can be. They are kept in memory,
//! by each opt-out role for itself: another role of a cluster, or this one after a restart, would take a call once more within the window.
//!
//! It owns what was used. It must never forget a signature that is still good, nor keep more of them than the limit.

use std::collections::BTreeSet;

use event::clock::UnixMs;
use event::key::signature::WINDOW_SECONDS;

use crate::rate::Rate;

/// Minutes from the first moment at which a signature is good to the last one, rounded up: what is signed ahead of the clock is good for the window
/// twice.
const GOOD_MINUTES: u64 = 2 * WINDOW_SECONDS.unsigned_abs() / 60 + 1;

/// Digits of a signature that tell it from every other: 128 bits.
const DIGITS: usize = 32;

/// A signature: when it was signed, Unix seconds, and its first hex digits.
type Signature = (i64, [u8; DIGITS]);

/// The used signatures of one app.
pub(crate) struct Used {
    signatures: BTreeSet<Signature>,
    signatures_max: usize,
}

impl Used {
    /// For an app with this rate limit: as many as it lets through while a signature is good.
    pub(crate) fn new(rate: Rate) -> Self {
        let most = u64::from(rate.burst) + GOOD_MINUTES * u64::from(rate.per_minute);
        Self { signatures: BTreeSet::new(), signatures_max: usize::try_from(most).unwrap_or(usize::MAX) }
    }

    /// Whether this signature was used.
    pub(crate) fn holds(&self, time_seconds: i64, signature: &[u8; 64]) -> bool {
        self.signatures.contains(&short(time_seconds, signature))
    }

    /// Notes this signature, and forgets those whose time is out of the window.
    pub(crate) fn note(&mut self, time_seconds: i64, signature: &[u8; 64], now_ms: UnixMs) {
        let good_from_seconds = now_ms.div_euclid(1_000) - WINDOW_SECONDS;
        let is_past = |first: Option<&Signature>| first.is_some_and(|(time, _)| *time < good_from_seconds);
        // Only a clock that is set back can fill it with more than the rate limit lets through: then the oldest go.
        while is_past(self.signatures.first()) || self.signatures.len() >= self.signatures_max.max(1) {
            self.signatures.pop_first();
        }
        self.signatures.insert(short(time_seconds, signature));
    }
}

fn short(time_seconds: i64, signature: &[u8; 64]) -> Signature {
    (time_seconds, signature.first_chunk().copied().unwrap_or([0; DIGITS]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_minute: 2 };
    /// 2026-11-21T12:00:00Z.
    const NOW: i64 = 1_795_262_400;

    fn signature(number: usize) -> [u8; 64] {
        let mut digits = [b'0'; 64];
        let text = format!("{number:016x}");
        digits.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        digits
    }

    #[test]
    fn a_signature_is_known_so_long_as_it_is_good() {
        let mut used = Used::new(RATE);
        // Signed as far ahead of the clock as may be.
        let (time, one) = (NOW + WINDOW_SECONDS, signature(1));
        assert!(!used.holds(time, &one));
        used.note(time, &one, NOW * 1_000);
        assert!(used.holds(time, &one));
        assert!(!used.holds(time, &signature(2)) && !used.holds(time + 1, &one));
        // The last millisecond of its window, then the first one after it.
        let end_ms = (time + WINDOW_SECONDS) * 1_000 + 999;
        used.note(time + WINDOW_SECONDS, &signature(3), end_ms);
        assert!(used.holds(time, &one), "as good as ever");
        used.note(time + WINDOW_SECONDS, &signature(4), end_ms + 1);
        assert!(!used.holds(time, &one) && used.holds(time + WINDOW_SECONDS, &signature(3)));
        assert_eq!(used.signatures.len(), 2);
    }

    #[test]
    fn there_is_room_for_all_that_the_rate_limit_lets_through_and_no_more() {
        let mut used = Used::new(RATE);
        let most = 3 + 11 * 2;
        for number in 0..most {
            used.note(NOW, &signature(number), NOW * 1_000);
        }
        assert!((0..most).all(|number| used.holds(NOW, &signature(number))));
        for number in most..10 * most {
            used.note(NOW, &signature(number), NOW * 1_000);
            assert!(used.signatures.len() <= most && used.holds(NOW, &signature(number)));
        }
    }
}
