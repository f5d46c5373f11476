//! What stands in a data folder's journal, read from its files, and whether its books balance.

use std::collections::HashMap;
use std::path::Path;

use event::outcome::Outcome;
use event::record::{OutcomeCounts, Record, decode};
use event::stage::Stage;

use super::load::Ledger;

/// The journal of every lane.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// How many events there are of a view and stage.
    pub(crate) events: HashMap<(u64, Stage), u64>,
    /// Events in all.
    pub(crate) event_count: u64,
    /// The last record of books of each incarnation that has one.
    pub(crate) books: HashMap<u64, OutcomeCounts>,
    /// Incarnations, over all lanes.
    pub(crate) incarnations: u64,
}

/// One incarnation of a lane while it is read.
#[derive(Default)]
struct Incarnation {
    id: u64,
    next_seq: u64,
    events: u64,
    last: Option<OutcomeCounts>,
}

/// Reads every lane below `DATA/journal`, and holds each record of the books against what stands before it:
///
/// ```text
/// received                            = Σ outcomes + pending
/// events of the incarnation before it = accepted + unresolved + unconfirmed clicks + pending
/// ```
///
/// # Panics
/// When anything that was committed cannot be read, or the books do not balance.
pub(crate) fn read(data: &Path) -> Journal {
    let mut journal = Journal::default();
    let lanes = std::fs::read_dir(data.join("journal")).expect("the journal's folder");
    for lane in lanes {
        let dir = lane.expect("a lane").path();
        let mut of = Incarnation::default();
        let report = journal::read_all(&dir, |id, seq, bytes| {
            if journal.incarnations == 0 || of.id != id.0 || of.next_seq == 0 {
                of = Incarnation { id: id.0, next_seq: seq, ..Incarnation::default() };
                journal.incarnations += 1;
            }
            assert_eq!(seq, of.next_seq, "{}: a gap in incarnation {:016x}", dir.display(), id.0);
            of.next_seq += 1;
            journal.take(&mut of, decode(bytes).unwrap_or_else(|e| panic!("{}: {e}", dir.display())));
        })
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        assert!(report.is_whole(), "{}: {report:?}", dir.display());
    }
    journal
}

/// The version of the catalog that each view's last event was resolved with. The node may run: what was answered is read.
pub(crate) fn catalog_versions(data: &Path) -> HashMap<u64, u32> {
    let mut versions = HashMap::new();
    for lane in std::fs::read_dir(data.join("journal")).expect("the journal's folder") {
        let dir = lane.expect("a lane").path();
        let read = journal::read_all(&dir, |_, _, bytes| {
            if let Ok(Record::Event(event)) = decode(bytes) {
                versions.insert(event.view, event.catalog_version);
            }
        });
        read.unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    }
    versions
}

impl Journal {
    fn take(&mut self, of: &mut Incarnation, record: Record<'_>) {
        match record {
            Record::Event(event) => {
                of.events += 1;
                self.event_count += 1;
                *self.events.entry((event.view, event.stage)).or_default() += 1;
            }
            Record::Outcomes(counts) => {
                of.balance(&counts);
                of.last = Some(counts.clone());
                self.books.insert(of.id, counts);
            }
            // Says what became of a hit that is counted elsewhere.
            Record::TrialHit(_) | Record::RegionLibrary(_) => {}
        }
    }

    /// Adds the journal of another node.
    pub(crate) fn merge(&mut self, other: Self) {
        for (of, count) in other.events {
            *self.events.entry(of).or_default() += count;
        }
        self.event_count += other.event_count;
        self.books.extend(other.books);
        self.incarnations += other.incarnations;
    }

    /// Every beacon that was answered as stored is there, and none more often than it was sent.
    pub(crate) fn hold_against(&self, ledger: &Ledger) {
        let expected = ledger.expected();
        for ((view, stage), (answered, sent)) in &expected {
            let stored = self.count(*view, *stage);
            let about = || format!("{stage:?} of {:?}", ledger.views.get(view));
            assert!(
                stored >= *answered,
                "lost: {answered} answered as stored, {stored} in the journal: {}",
                about()
            );
            assert!(stored <= *sent, "twice: {sent} sent, {stored} in the journal: {}", about());
        }
        for (view, stage) in self.events.keys() {
            assert!(expected.contains_key(&(*view, *stage)), "nobody sent {stage:?} of view {view:016x}");
        }
    }

    /// How many events there are of a view and stage.
    pub(crate) fn count(&self, view: u64, stage: Stage) -> u64 {
        self.events.get(&(view, stage)).copied().unwrap_or(0)
    }
}

impl Incarnation {
    fn balance(&self, counts: &OutcomeCounts) {
        let of = |outcome: Outcome| counts.outcomes[outcome as usize];
        let sum: u64 = counts.outcomes.iter().sum();
        assert_eq!(
            counts.received,
            sum + counts.pending,
            "received, in incarnation {:016x}: {counts:?}",
            self.id
        );
        let stored = of(Outcome::Accepted) + of(Outcome::Unresolved) + of(Outcome::UnconfirmedClick);
        assert_eq!(
            self.events,
            stored + counts.pending,
            "events before the books of incarnation {:016x}: {counts:?}",
            self.id
        );
        if let Some(last) = &self.last {
            assert!(
                last.received <= counts.received && last.at_ms <= counts.at_ms,
                "{last:?} then {counts:?}"
            );
        }
    }
}
