//! Whether this node may measure: whether it can know that it has heard every opt-out that somebody was told is in force.
//!
//! It owns the deadline up to which a node may measure, and the reason when it may not. It must never go on saying yes by itself: a yes has an
//! end, and whoever gives it ([`Grant`]) has to give it again before. So a follower that hangs or is gone stops the node as well.
//!
//! The question is asked for every beacon, so it takes no lock and makes no system call: two loads, and the kernel's coarse monotonic clock, which is
//! read from memory that the kernel shares with every process (4 ms steps at most, whatever the machine's clock source is).
//!
//! A deadline stands on two clocks, and the one that comes first counts. The monotonic one cannot be set back, so a corrected system clock
//! prolongs no lease; but it stands still while a machine is suspended, and then the system clock ends it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event::clock::UnixMs;
use rustix::time::{ClockId, clock_gettime};

/// What a node is told that was never told anything.
const NOT_YET: &str = "the opt-outs have not been read yet";

/// What a node is told whose deadline passed and nobody said why.
const LAPSED: &str = "no opt-out role was heard for longer than opt_out.lease_seconds";

/// Asks whether this node may measure. Cheap to clone; every clone asks the same.
#[derive(Clone, Debug)]
pub struct Standing(Option<Arc<Deadline>>);

/// Says whether the node may measure, for those who hold its [`Standing`].
#[derive(Debug)]
pub struct Grant {
    deadline: Arc<Deadline>,
    /// One moment on the monotonic clock and on its coarse form, which is never ahead.
    began: (Instant, u64),
}

#[derive(Debug)]
struct Deadline {
    /// Milliseconds of the coarse monotonic clock; 0 from the start.
    until_ms: AtomicU64,
    /// The same moment by the system's clock.
    until_unix_ms: AtomicI64,
    /// Why not, for people. Read when somebody asks, never for a beacon.
    reason: Mutex<String>,
}

impl Standing {
    /// The standing of a node that has the registry itself, on one machine: it always knows every opt-out.
    pub fn always() -> Self {
        Self(None)
    }

    /// Whether a beacon that comes now may be measured. `now_ms` is the system's time, Unix milliseconds.
    #[inline]
    pub fn may_measure(&self, now_ms: UnixMs) -> bool {
        match &self.0 {
            None => true,
            // Acquire: who sees the deadline also sees the list as it was when the deadline was set.
            Some(deadline) => {
                coarse_ms() < deadline.until_ms.load(Ordering::Acquire)
                    && now_ms < deadline.until_unix_ms.load(Ordering::Relaxed)
            }
        }
    }

    /// Why the node may not measure, for an operator; `None` while it may.
    pub fn refusal(&self, now_ms: UnixMs) -> Option<String> {
        let deadline = self.0.as_ref().filter(|_| !self.may_measure(now_ms))?;
        let reason = deadline.reason.lock().unwrap_or_else(PoisonError::into_inner);
        Some(if reason.is_empty() { LAPSED.to_owned() } else { reason.clone() })
    }
}

impl Default for Grant {
    fn default() -> Self {
        Self::new()
    }
}

impl Grant {
    /// A node that may not measure yet.
    pub fn new() -> Self {
        // In this order: a pause between the two ends a lease early, never late.
        let began_ms = coarse_ms();
        Self {
            began: (Instant::now(), began_ms),
            deadline: Arc::new(Deadline {
                until_ms: AtomicU64::new(0),
                until_unix_ms: AtomicI64::new(i64::MIN),
                reason: Mutex::new(NOT_YET.to_owned()),
            }),
        }
    }

    /// The view of it that a tracker gets.
    pub fn standing(&self) -> Standing {
        Standing(Some(Arc::clone(&self.deadline)))
    }

    /// Lets the node measure until then: a moment, not a duration, so that a thread which is held up gives nothing away. `now_ms` is the system's time,
    /// Unix milliseconds, read before. The moment may lie before one that was given earlier.
    pub fn extend(&self, until: Instant, now_ms: UnixMs) {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (began, began_ms) = self.began;
        let until_ms = began_ms.saturating_add(milliseconds(until.saturating_duration_since(began)));
        let left_ms = milliseconds(until.saturating_duration_since(Instant::now()));
        self.reason().clear();
        self.deadline.until_unix_ms.store(now_ms.saturating_add_unsigned(left_ms), Ordering::Relaxed);
        self.deadline.until_ms.store(until_ms, Ordering::Release);
    }

    /// Forbids the node to measure, at once, and says why.
    pub fn revoke(&self, reason: impl Into<String>) {
        *self.reason() = reason.into();
        self.deadline.until_ms.store(0, Ordering::Release);
    }

    fn reason(&self) -> std::sync::MutexGuard<'_, String> {
        // A text is replaced whole or not at all.
        self.deadline.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds of the kernel's coarse monotonic clock.
#[inline]
fn coarse_ms() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By how much the coarse clock may be behind, with the slowest of the kernel's timers.
    const TICK: Duration = Duration::from_millis(10);

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn alone_a_node_always_measures() {
        for now_ms in [i64::MIN, 0, i64::MAX] {
            assert!(Standing::always().may_measure(now_ms));
            assert_eq!(Standing::always().refusal(now_ms), None);
        }
    }

    #[test]
    fn nobody_measures_before_it_is_granted_or_after_it_was_revoked() {
        let grant = Grant::new();
        let standing = grant.standing();
        assert!(!standing.may_measure(0));
        assert_eq!(standing.refusal(0).as_deref(), Some(NOT_YET));
        grant.extend(after(3_600), 0);
        assert!(standing.may_measure(0) && standing.clone().may_measure(1));
        assert_eq!(standing.refusal(0), None);
        grant.revoke("the topic is gone");
        assert!(!standing.may_measure(0));
        assert_eq!(standing.refusal(0).as_deref(), Some("the topic is gone"));
        grant.extend(after(3_600), 0);
        assert!(standing.may_measure(0));
    }

    #[test]
    fn a_grant_ends_by_itself() {
        let grant = Grant::new();
        let began = Instant::now();
        let until = began + Duration::from_millis(40);
        grant.extend(until, 0);
        let standing = grant.standing();
        // However long a thread is held up between the two, what it saw was so not before it looked.
        let mut looked = Instant::now();
        while standing.may_measure(0) {
            assert!(looked < until + TICK, "it does not end");
            looked = Instant::now();
        }
        assert!(Instant::now() >= until.checked_sub(TICK).expect("after the start"), "too early");
        assert_eq!(standing.refusal(0).as_deref(), Some(LAPSED));
    }

    #[test]
    fn the_system_clock_ends_a_grant_too_and_cannot_prolong_it() {
        let grant = Grant::new();
        grant.extend(after(5), 100_000);
        let standing = grant.standing();
        assert!(standing.may_measure(100_000) && standing.may_measure(104_000) && standing.may_measure(0));
        assert!(!standing.may_measure(105_000), "suspended for longer than the lease");
        grant.extend(Instant::now(), 100_000);
        assert!(!standing.may_measure(0), "set back");
    }
}
