//! One lane: a thread's own journal, books and tools, and the way of a decided beacon into the journal.
//!
//! It owns the order append → count → wait → outcome. It must never answer before the journal has, and never let a beacon whose caller went away
//! go uncounted.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use arc_swap::ArcSwap;
use catalog::Catalog;
use event::clock::Clock;
use event::dialect::{Dialects, Scratch, Table};
use event::key::{KeyRing, OptOutHash};
use event::link::LinkKeys;
use event::outcome::Outcome;
use event::record::{RegionLibrary, encode_outcomes, encode_region_library};
use journal::{Commit, JournalId, Writer};
use opt_out::Standing;

use crate::beacon::Decision;
use crate::books::{Books, Open, Pending, Recorded};
use crate::connection::{Connection, Pace};
use crate::metrics::Tally;
use crate::region::Regions;
use crate::senders::Senders;
use crate::settings::Settings;
use crate::trial;

/// Everything the beacons of one thread need. Not shared with other threads, except what lies behind an `Arc`.
pub(crate) struct Lane {
    pub(crate) settings: Arc<Settings>,
    pub(crate) senders: Arc<Senders>,
    pub(crate) dialects: Arc<Dialects>,
    /// Number of the dialect whose names JSON has.
    pub(crate) native: usize,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) link_keys: Arc<LinkKeys>,
    pub(crate) standing: Standing,
    pub(crate) clock: Clock,
    pub(crate) writer: Writer,
    pub(crate) books: Books,
    pub(crate) pace: Rc<Pace>,
    pub(crate) tally: Tally,
    pub(crate) security: security_log::Recorder,
    pub(crate) batches_in_flight: Cell<usize>,
    /// How many more hits of trial placements are listed in this second.
    trial_turns: Cell<u32>,
    /// The incarnation of the journal and the region library of which it was noted that the one is in force in the other.
    library_noted: Cell<Option<(JournalId, u32)>>,
    /// Bytes held of bodies that have not come whole.
    pub(crate) body_bytes_coming: Cell<usize>,
    desk: RefCell<Desk>,
    /// Beacons whose callers are gone. As many as were appended and not committed, which the journal's queue bounds.
    orphans: RefCell<Vec<(Commit, Settling)>>,
    /// Records of the books that are not known to be stored: the last of each group, so at most one for each group under way.
    records: RefCell<Vec<(Commit, Recorded)>>,
}

/// What is used for one beacon after the other.
pub(crate) struct Desk {
    pub(crate) catalog: arc_swap::Cache<Arc<ArcSwap<Catalog>>, Arc<Catalog>>,
    pub(crate) opt_outs: opt_out::Reader,
    pub(crate) regions: Regions,
    pub(crate) scratch: Scratch,
    /// The record being made.
    pub(crate) record: Vec<u8>,
}

/// How far a decided beacon has come.
pub(crate) enum Fate {
    /// Its outcome is counted, and nothing is waited for.
    Settled(Outcome),
    /// Its event is appended.
    Appended(Waiting),
    /// Opted out and counted. Its caller waits for the journal as if an event had been appended, and is shown this outcome.
    Masked(Commit, Outcome),
    /// The journal does not take it, or the node does not measure: the caller gets 503, or for a click its redirect. Counted.
    Refused(Outcome),
}

/// A beacon whose event is appended, until its outcome is known. Resolves to the outcome; dropped before that, the lane goes on waiting
/// in its place.
pub(crate) struct Waiting {
    lane: Rc<Lane>,
    /// `None` once settled.
    rest: Option<(Commit, Settling)>,
}

/// Which outcome a commit's answer means.
struct Settling {
    beacon: Pending,
    stored: Outcome,
    failed: Outcome,
}

/// What became of waiting for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// It answered, and the beacon has its outcome.
    Outcome(Outcome),
    /// It did not in time.
    TooLong,
}

impl Lane {
    pub(crate) fn new(shared: &crate::Shared, writer: Writer, tally: Tally) -> Rc<Self> {
        Rc::new(Self {
            settings: Arc::clone(&shared.settings),
            senders: Arc::clone(&shared.senders),
            dialects: Arc::clone(&shared.dialects),
            native: shared
                .dialects
                .tables()
                .iter()
                .position(|table| table.name() == Table::native().name())
                .unwrap_or(usize::MAX),
            keys: Arc::clone(&shared.keys),
            link_keys: Arc::clone(&shared.link_keys),
            standing: shared.standing.clone(),
            clock: shared.clock.clone(),
            books: Books::new(writer.id()),
            writer,
            pace: Pace::new(shared.settings.limits),
            tally,
            security: shared.security.recorder(),
            batches_in_flight: Cell::new(0),
            trial_turns: Cell::new(trial::HITS_PER_SECOND_MAX),
            library_noted: Cell::new(None),
            body_bytes_coming: Cell::new(0),
            desk: RefCell::new(Desk {
                catalog: arc_swap::Cache::new(Arc::clone(&shared.catalog)),
                opt_outs: shared.opt_outs.reader(),
                regions: Regions::new(&shared.regions),
                scratch: Scratch::new(),
                record: Vec::new(),
            }),
            orphans: RefCell::default(),
            records: RefCell::default(),
        })
    }

    /// The desk, for as long as nothing is awaited.
    pub(crate) fn desk(&self) -> std::cell::RefMut<'_, Desk> {
        self.desk.borrow_mut()
    }

    /// Whether one more hit of a trial placement is listed in this second.
    pub(crate) fn take_trial_turn(&self) -> bool {
        let turns = self.trial_turns.get();
        self.trial_turns.set(turns.saturating_sub(1));
        turns > 0
    }

    /// Carries out what was decided about a beacon; `record` is its event, `failed` what it is if the journal does not store it.
    pub(crate) fn carry_out(
        self: &Rc<Self>,
        beacon: Open,
        decision: Decision,
        record: &mut Vec<u8>,
        failed: Outcome,
    ) -> Fate {
        match decision {
            Decision::Reject(outcome) => {
                self.books.settle(beacon, outcome);
                Fate::Settled(outcome)
            }
            Decision::Unknown => {
                self.books.settle(beacon, Outcome::OptOutUnknown);
                Fate::Refused(Outcome::OptOutUnknown)
            }
            Decision::Store(stored) => {
                let Ok(commit) = self.writer.append(record) else {
                    self.books.settle(beacon, failed);
                    return Fate::Refused(failed);
                };
                // The incarnation that took it, whichever that was when the beacon came.
                self.follow(commit.journal_id());
                let beacon = self.books.appended(beacon);
                let rest = Some((commit, Settling { beacon, stored, failed }));
                Fate::Appended(Waiting { lane: Rc::clone(self), rest })
            }
            Decision::OptOut { shown } => {
                self.books.settle(beacon, Outcome::OptedOut);
                // The books go where the event would have gone, so that the caller waits for the same group and sees the same refusal.
                match self.append_books(record) {
                    Some(commit) => Fate::Masked(commit, shown),
                    None => Fate::Refused(failed),
                }
            }
        }
    }

    /// Once a second: deadlines, what the gone callers left, books, metrics.
    pub(crate) fn tick(&self) {
        self.trial_turns.set(trial::HITS_PER_SECOND_MAX);
        self.pace.sweep();
        self.settle_orphans();
        self.follow(self.writer.id());
        self.note_library();
        if self.books.is_record_due() {
            // Nobody waits for it: it goes with the next group, and what it says is said again by the next.
            drop(self.append_books(&mut self.desk().record));
        }
        self.desk().let_go();
        self.tally.report(&self.books, &self.pace);
    }

    /// The last record of the books.
    pub(crate) async fn finish(&self) {
        let orphans = self.orphans.take();
        for (commit, settling) in orphans {
            let result = commit.await.is_ok();
            settling.settle(&self.books, result);
        }
        let commit = self.append_books(&mut self.desk().record);
        if let Some(commit) = commit {
            // If it fails, the one before it stays the last: nothing answered is lost by that.
            let _ = commit.await;
        }
        self.tally.report(&self.books, &self.pace);
    }

    /// Notes in the journal which region library is in force, so that reports can name it: at the beginning, when another one came, and in each
    /// incarnation.
    fn note_library(&self) {
        let desk = &mut *self.desk();
        let Some(library) = desk.regions.library() else { return };
        let noted = (self.writer.id(), library.version());
        if self.library_noted.get() == Some(noted) {
            return;
        }
        desk.record.clear();
        let record = RegionLibrary {
            at_ms: self.clock.now_ms(),
            built: library.built(),
            version: library.version(),
            name: library.name(),
        };
        encode_region_library(&record, &mut desk.record);
        // If its group fails, the incarnation ends with it, and the next one gets a note of its own.
        if self.writer.append_in(noted.0, &desk.record).is_ok() {
            self.library_noted.set(Some(noted));
        }
    }

    /// Appends the books as they stand; `record` is made anew for it.
    fn append_books(&self, record: &mut Vec<u8>) -> Option<Commit> {
        loop {
            let incarnation = self.writer.id();
            self.follow(incarnation);
            record.clear();
            encode_outcomes(&self.books.record(self.clock.now_ms()), record);
            match self.writer.append_in(incarnation, record) {
                Ok(commit) => {
                    self.note_recorded(&commit);
                    return Some(commit);
                }
                // The journal took up work between the two: what was said of the one incarnation is not true of the next.
                Err(_) if self.writer.id() != incarnation => {}
                Err(_) => return None,
            }
        }
    }

    fn note_recorded(&self, commit: &Commit) {
        self.settle_records();
        let mut records = self.records.borrow_mut();
        if records.last().is_some_and(|(last, _)| last.is_with(commit)) {
            records.pop();
        }
        records.push((commit.clone(), self.books.mark_recorded()));
    }

    /// Has the books follow the journal into another incarnation. All groups of the one before have ended by then.
    fn follow(&self, incarnation: JournalId) {
        if incarnation != self.books.incarnation() {
            self.settle_records();
            self.books.follow(incarnation);
        }
    }

    /// Learns which records of the books are stored.
    fn settle_records(&self) {
        let mut context = Context::from_waker(Waker::noop());
        self.records.borrow_mut().retain_mut(|(commit, recorded)| {
            match Pin::new(commit).poll(&mut context) {
                Poll::Ready(result) => {
                    if result.is_ok() {
                        self.books.stored(recorded);
                    }
                    false
                }
                Poll::Pending => true,
            }
        });
    }

    fn settle_orphans(&self) {
        let mut context = Context::from_waker(Waker::noop());
        let orphans = self.orphans.take();
        for (mut commit, settling) in orphans {
            match Pin::new(&mut commit).poll(&mut context) {
                Poll::Ready(result) => settling.settle(&self.books, result.is_ok()),
                Poll::Pending => self.orphans.borrow_mut().push((commit, settling)),
            }
        }
    }
}

impl Desk {
    /// Looks for a newer catalog and opt-out list, so that a lane without beacons does not keep old ones in memory.
    fn let_go(&mut self) {
        self.catalog.load();
        self.regions.let_go();
        self.opt_outs.contains(&OptOutHash([0; 16]));
    }
}

impl Settling {
    fn settle(self, books: &Books, is_stored: bool) {
        books.settle_pending(self.beacon, if is_stored { self.stored } else { self.failed });
    }
}

impl Waiting {
    /// Gives up waiting: if the journal stores the beacon after all, this is its outcome.
    pub(crate) fn leave_as(mut self, stored: Outcome) {
        if let Some((_, settling)) = &mut self.rest {
            settling.stored = stored;
        }
    }
}

impl Future for Waiting {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let Some((commit, _)) = &mut self.rest else {
            return Poll::Pending;
        };
        let result = ready!(Pin::new(commit).poll(context));
        let Some((_, settling)) = self.rest.take() else {
            return Poll::Pending;
        };
        let outcome = if result.is_ok() { settling.stored } else { settling.failed };
        self.lane.books.settle_pending(settling.beacon, outcome);
        Poll::Ready(outcome)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            self.lane.orphans.borrow_mut().push(rest);
        }
    }
}

/// Waits for the journal, until the connection's [`Phase::Storage`](crate::connection::Phase::Storage) is late. What was appended stays
/// pending then.
pub(crate) async fn wait(connection: &Connection, mut waiting: Waiting) -> Waited {
    poll_fn(|context| poll_wait(connection, &mut waiting, context)).await
}

/// The same, for who polls.
pub(crate) fn poll_wait(
    connection: &Connection,
    waiting: &mut Waiting,
    context: &mut Context<'_>,
) -> Poll<Waited> {
    match Pin::new(waiting).poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Waited::Outcome(outcome)),
        Poll::Pending => connection.poll_late(context).map(|()| Waited::TooLong),
    }
}

/// The same for an opted-out beacon, which has its outcome: whether the journal answered well and in time.
pub(crate) async fn wait_masked(connection: &Connection, mut commit: Commit) -> bool {
    poll_fn(|context| poll_wait_masked(connection, &mut commit, context)).await
}

/// The same, for who polls.
pub(crate) fn poll_wait_masked(
    connection: &Connection,
    commit: &mut Commit,
    context: &mut Context<'_>,
) -> Poll<bool> {
    match Pin::new(commit).poll(context) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => connection.poll_late(context).map(|()| false),
    }
}
