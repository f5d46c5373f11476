//! A lane's books: how many beacons came, and what became of each. Every beacon of the tracker is counted here and nowhere else.
//!
//! It owns the counts and their record in the journal. It must never count a beacon twice or leave one out: a beacon enters by
//! [`Books::receive`] and leaves by [`Books::settle`], once each.
//!
//! # What a record says
//!
//! The books are kept for one incarnation of the lane's journal (a [`JournalId`]) and begin anew with the next, which follows when the lane
//! was opened again or took up work after its disk failed. In the second case they begin with what could not be recorded while the disk
//! was failing: the outcomes that leave no event, beyond those of the last record that was stored. For each [`OutcomeCounts`] record of an incarnation, exactly:
//!
//! ```text
//! received                            = Σ outcomes + pending
//! event records of the incarnation    = accepted + unresolved + unconfirmed_click + pending
//!   that stand before this one
//! ```
//!
//! *pending* are the beacons whose event was appended and whose outcome is still open. The second line holds because
//!
//! * an event is appended and counted as pending in one stroke, with nothing of this thread in between;
//! * a commit that fails ends the incarnation, so `storage_failed` and `lost_click` of beacons that were appended never reach a record
//!   of the same incarnation: they are counted in the next, where no event of theirs is;
//! * events of the incarnation before are none of this one, so `accepted`, `unresolved` and `unconfirmed_click` are not carried over: as
//!   after a crash, the events themselves tell them;
//! * a click that was redirected before the journal answered is pending until it does, too;
//! * a caller that went away, or that was sent off with 503 because the journal took too long, leaves its beacon pending: the outcome is
//!   what the journal answers in the end ([`crate::lane::Waiting`]). So a 503 is `accepted` here if the record was stored after all;
//! * an opted-out beacon is counted when it is decided. No event of it exists, whatever its caller waits for.
//!
//! A record is written once a second if anything changed, and at the end. After a crash the outcomes since the last record are unknown,
//! the events are not. The time in a record is cut to whole seconds: it is not to date a single opted-out beacon.

use std::cell::{Cell, RefCell};

use event::clock::UnixMs;
use event::outcome::Outcome;
use event::record::OutcomeCounts;
use journal::JournalId;

/// The counts of one lane.
pub(crate) struct Books {
    incarnation: Cell<JournalId>,
    current: RefCell<Counts>,
    /// Outcomes that the last stored record of the incarnation says.
    stored: Cell<[u64; Outcome::COUNT]>,
    /// Outcomes since the lane began, over all incarnations: for metrics.
    total: RefCell<[u64; Outcome::COUNT]>,
    /// `received` and `pending` of the last record.
    recorded: Cell<Option<(u64, u64)>>,
}

#[derive(Clone, Default)]
struct Counts {
    received: u64,
    pending: u64,
    outcomes: [u64; Outcome::COUNT],
}

/// A beacon that was received and has no outcome yet. It cannot be copied, and is given up only for an outcome or to be pending.
#[must_use = "a beacon that was received has an outcome"]
pub(crate) struct Open(());

/// What a record says that was appended in an incarnation.
pub(crate) struct Recorded {
    incarnation: JournalId,
    outcomes: [u64; Outcome::COUNT],
}

/// A beacon whose event was appended in an incarnation.
#[must_use = "a pending beacon gets an outcome"]
#[derive(Debug)]
pub(crate) struct Pending {
    incarnation: JournalId,
}

#[expect(clippy::needless_pass_by_value, reason = "a token is spent by being handed in")]
impl Books {
    pub(crate) fn new(incarnation: JournalId) -> Self {
        Self {
            incarnation: Cell::new(incarnation),
            current: RefCell::default(),
            stored: Cell::new([0; Outcome::COUNT]),
            total: RefCell::new([0; Outcome::COUNT]),
            recorded: Cell::new(None),
        }
    }

    /// A beacon was recognised.
    pub(crate) fn receive() -> Open {
        Open(())
    }

    /// Its outcome, where no event of it was appended.
    pub(crate) fn settle(&self, beacon: Open, outcome: Outcome) {
        let Open(()) = beacon;
        self.current.borrow_mut().received += 1;
        self.count(outcome);
    }

    /// The incarnation that they are kept for.
    pub(crate) fn incarnation(&self) -> JournalId {
        self.incarnation.get()
    }

    /// Its event was appended to this incarnation just now.
    pub(crate) fn appended(&self, beacon: Open) -> Pending {
        let Open(()) = beacon;
        let mut current = self.current.borrow_mut();
        current.received += 1;
        current.pending += 1;
        Pending { incarnation: self.incarnation.get() }
    }

    /// The outcome of a beacon whose event was appended.
    pub(crate) fn settle_pending(&self, beacon: Pending, outcome: Outcome) {
        if beacon.incarnation == self.incarnation.get() {
            self.current.borrow_mut().pending -= 1;
            self.count(outcome);
        } else if leaves_event(outcome) {
            self.count_total(outcome);
        } else {
            self.current.borrow_mut().received += 1;
            self.count(outcome);
        }
    }

    /// A record was stored.
    pub(crate) fn stored(&self, recorded: &Recorded) {
        if recorded.incarnation == self.incarnation.get() {
            self.stored.set(recorded.outcomes);
        }
    }

    /// Begins the books of another incarnation, with the outcomes that no stored record says and no event stands for.
    pub(crate) fn follow(&self, incarnation: JournalId) {
        let stored = self.stored.replace([0; Outcome::COUNT]);
        let mut next = Counts::default();
        let mut current = self.current.borrow_mut();
        let counts = next.outcomes.iter_mut().zip(current.outcomes).zip(stored);
        for (outcome, ((carried, count), stored)) in Outcome::ALL.into_iter().zip(counts) {
            if !leaves_event(outcome) {
                *carried = count - stored;
                next.received += *carried;
            }
        }
        *current = next;
        self.incarnation.set(incarnation);
        self.recorded.set(None);
    }

    /// The books as a record; they balance at every moment at which nothing is under way on this thread.
    pub(crate) fn record(&self, now_ms: UnixMs) -> OutcomeCounts {
        let current = self.current.borrow();
        debug_assert_eq!(current.received, current.outcomes.iter().sum::<u64>() + current.pending);
        OutcomeCounts {
            at_ms: now_ms - now_ms.rem_euclid(1000),
            received: current.received,
            pending: current.pending,
            outcomes: current.outcomes,
        }
    }

    /// Whether something changed since [`mark_recorded`](Self::mark_recorded).
    pub(crate) fn is_record_due(&self) -> bool {
        self.recorded.get().unwrap_or_default() != self.state()
    }

    /// The books were appended as they stand, to the incarnation that they are kept for.
    pub(crate) fn mark_recorded(&self) -> Recorded {
        self.recorded.set(Some(self.state()));
        Recorded { incarnation: self.incarnation.get(), outcomes: self.current.borrow().outcomes }
    }

    /// Outcomes since the lane began.
    pub(crate) fn total(&self) -> [u64; Outcome::COUNT] {
        *self.total.borrow()
    }

    fn state(&self) -> (u64, u64) {
        let current = self.current.borrow();
        (current.received, current.pending)
    }

    fn count(&self, outcome: Outcome) {
        if let Some(count) = self.current.borrow_mut().outcomes.get_mut(outcome as usize) {
            *count += 1;
        }
        self.count_total(outcome);
    }

    fn count_total(&self, outcome: Outcome) {
        if let Some(count) = self.total.borrow_mut().get_mut(outcome as usize) {
            *count += 1;
        }
    }
}

/// Whether a stored event stands for a beacon with this outcome.
fn leaves_event(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Accepted | Outcome::Unresolved | Outcome::UnconfirmedClick => true,
        Outcome::LostClick
        | Outcome::StorageFailed
        | Outcome::OptedOut
        | Outcome::Prefetch
        | Outcome::OptOutUnknown
        | Outcome::MissingCampaign
        | Outcome::MissingPlacement
        | Outcome::Malformed
        | Outcome::Contradictory
        | Outcome::UnknownStage
        | Outcome::TooLate
        | Outcome::NotPermitted
        | Outcome::TooLong
        | Outcome::BadSignature
        | Outcome::LinkExpired
        | Outcome::UncountedEvent => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: JournalId = JournalId(1);
    const SECOND: JournalId = JournalId(2);

    #[test]
    fn they_balance_at_every_step() {
        let books = Books::new(FIRST);
        assert!(!books.is_record_due());
        books.settle(Books::receive(), Outcome::Prefetch);
        let pending = books.appended(Books::receive());
        assert!(books.is_record_due());
        let record = books.record(1_999);
        assert_eq!((record.at_ms, record.received, record.pending), (1_000, 2, 1));
        assert_eq!(record.outcomes.iter().sum::<u64>(), 1);
        let _ = books.mark_recorded();
        assert!(!books.is_record_due());
        books.settle_pending(pending, Outcome::Accepted);
        assert!(books.is_record_due());
        let record = books.record(2_000);
        assert_eq!((record.received, record.pending), (2, 0));
        assert_eq!(record.outcomes[Outcome::Accepted as usize], 1);
    }

    fn of(record: &OutcomeCounts, outcome: Outcome) -> u64 {
        record.outcomes[outcome as usize]
    }

    #[test]
    fn a_new_incarnation_begins_with_what_could_not_be_recorded() {
        let books = Books::new(FIRST);
        books.settle(Books::receive(), Outcome::Prefetch);
        let accepted = books.appended(Books::receive());
        books.settle_pending(accepted, Outcome::Accepted);
        let stored = books.mark_recorded();
        books.stored(&stored);
        // Its group fails, and with it what it says.
        books.settle(Books::receive(), Outcome::Malformed);
        let _ = books.mark_recorded();
        let early = books.appended(Books::receive());
        let late = books.appended(Books::receive());
        let known_late = books.appended(Books::receive());
        books.settle_pending(early, Outcome::StorageFailed);
        books.settle(Books::receive(), Outcome::LostClick);
        books.follow(SECOND);
        assert!(books.is_record_due());
        let record = books.record(0);
        assert_eq!((record.received, record.pending), (3, 0));
        for outcome in [Outcome::Malformed, Outcome::StorageFailed, Outcome::LostClick] {
            assert_eq!(of(&record, outcome), 1, "{outcome:?}");
        }
        // A beacon of the incarnation before: lost, it is said in this one; stored, its event says it.
        books.settle_pending(late, Outcome::LostClick);
        books.settle_pending(known_late, Outcome::Accepted);
        let record = books.record(0);
        assert_eq!((record.received, record.pending, of(&record, Outcome::Accepted)), (4, 0, 0));
        assert_eq!(of(&record, Outcome::LostClick), 2);
        // A record of the incarnation before says nothing about this one.
        books.stored(&stored);
        books.follow(FIRST);
        assert_eq!(books.record(0).received, 4);
        assert_eq!(books.total().iter().sum::<u64>(), 7);
    }
}
