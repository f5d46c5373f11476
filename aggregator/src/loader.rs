//! From the journal's lanes into the store.
//!
//! Owns the thread that reads every lane in order, gathers whole frames into one batch, inserts it, and only then moves the lanes' cursors. So a
//! record is in the store at least once, whatever crashes where; who counts drops the repeats by (journal, seq).
//!
//! Must never: move a cursor before the rows are on the disk, drop a batch that could not be inserted, or put more than
//! [`INSERT_DAYS_MAX`] days into one insert.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event::clock::Clock;
use journal::{Position, Reader, Writer};

use crate::Error;
use crate::batch::{Batch, Context, ViewKeys};
use crate::changed::{self, OpenMark};
use crate::metrics;
use crate::settings::Settings;
use crate::statement::{self, Statement};
use crate::store::{INSERT_DAYS_MAX, Store, StoreError, Work};

/// Name of the cursor with which every lane of the journal is read.
pub const CURSOR: &str = "aggregator";
/// Bytes of rows in one batch.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// How long the loader waits for news when there are none.
const IDLE: Duration = Duration::from_millis(50);
/// Pauses between tries of a failed insert or reading: doubled from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What others see of the loader.
pub(crate) struct Progress {
    state: Mutex<State>,
    moved: Condvar,
    hurry: AtomicBool,
    stop: AtomicBool,
    /// Lets adoption know that there is something to adopt.
    pub(crate) unresolved: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Up to here each lane is in the store.
    durable: Vec<Position>,
    failing: Option<String>,
    ended: bool,
}

/// What loading needs.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) catalog: catalog::Shared,
    pub(crate) clock: Clock,
}

/// The loader's own.
pub(crate) struct Loader {
    store: Arc<Store>,
    writer: changed::Writer,
    catalog: catalog::Shared,
    progress: Arc<Progress>,
    clock: Clock,
    lanes: Vec<Lane>,
    batch: Batch,
    keys: ViewKeys,
    events_max: usize,
    delay_max: Duration,
    oldest: Option<Instant>,
    /// How long to wait before the journal is read again, while reading it fails.
    read_pause: Option<Duration>,
}

/// What is left to do of an insert.
struct Hand {
    /// Days to be marked before anything goes in.
    days: Option<BTreeSet<u16>>,
    /// The mark to be closed behind the rows.
    mark: Option<OpenMark>,
    rows: VecDeque<(Statement, Vec<u8>)>,
}

impl Hand {
    /// Takes the rows out of a batch.
    fn of(batch: &mut Batch) -> Self {
        let days = std::mem::take(&mut batch.days);
        let mut rows = VecDeque::new();
        let mut events = std::mem::take(&mut batch.events).into_values().peekable();
        while events.peek().is_some() {
            let some = events.by_ref().take(INSERT_DAYS_MAX);
            rows.push_back((
                statement::EVENTS,
                some.reduce(|mut all, day| {
                    all.extend_from_slice(&day);
                    all
                })
                .unwrap_or_default(),
            ));
        }
        let books = std::mem::take(&mut batch.books).into_values().flatten().collect();
        rows.extend([
            (statement::UNRESOLVED, std::mem::take(&mut batch.unresolved)),
            (statement::SET_ASIDE, std::mem::take(&mut batch.set_aside)),
            (statement::BOOKS, books),
        ]);
        rows.retain(|(_, rows)| !rows.is_empty());
        Self { days: (!days.is_empty()).then_some(days), mark: None, rows }
    }
}

struct Lane {
    writer: Writer,
    reader: Reader,
    /// Everything before is in the batch or in the store.
    read: Position,
}

impl Progress {
    pub(crate) fn new(lanes: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { durable: vec![Position::START; lanes], ..State::default() }),
            moved: Condvar::new(),
            hurry: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            unresolved: AtomicBool::new(true),
        })
    }

    /// Waits until everything that the lanes have committed by now is in the store; false when it takes longer than `timeout` or loading has
    /// ended.
    pub(crate) fn wait_for(&self, targets: &[Position], timeout: Duration) -> bool {
        self.hurry.store(true, Ordering::Release);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = |state: &mut State| {
            !state.ended && targets.iter().zip(&state.durable).any(|(target, durable)| durable < target)
        };
        let (state, _) =
            self.moved.wait_timeout_while(state, timeout, behind).unwrap_or_else(PoisonError::into_inner);
        targets.iter().zip(&state.durable).all(|(target, durable)| durable >= target)
    }

    /// Ends the loader after what it has read.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Why inserting fails at present, if it does.
    pub(crate) fn failing(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended { Some("the loader has ended".to_owned()) } else { state.failing.clone() }
    }

    fn set_failing(&self, failing: Option<String>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failing = failing;
    }
}

impl Loader {
    pub(crate) fn new(
        settings: &Settings,
        parts: Parts,
        writers: &[Writer],
    ) -> Result<(Self, Arc<Progress>), Error> {
        let Parts { store, catalog, clock } = parts;
        let progress = Progress::new(writers.len());
        let lanes = writers
            .iter()
            .map(|writer| {
                let reader = writer.reader(CURSOR)?;
                Ok(Lane { writer: writer.clone(), read: reader.position(), reader })
            })
            .collect::<Result<_, journal::Error>>()?;
        let loader = Self {
            store,
            writer: changed::Writer::new(clock.clone())?,
            catalog,
            progress: Arc::clone(&progress),
            clock,
            lanes,
            batch: Batch::default(),
            keys: ViewKeys::default(),
            events_max: settings.batch_events_max,
            delay_max: settings.batch_delay(),
            oldest: None,
            read_pause: None,
        };
        Ok((loader, progress))
    }

    /// Runs until it is stopped. Blocks: give it a thread.
    pub(crate) fn run(mut self) {
        loop {
            let stopping = self.progress.stop.load(Ordering::Acquire);
            let hurry = self.progress.hurry.swap(false, Ordering::AcqRel);
            let caught_up = self.read();
            let full = self.batch.records as usize >= self.events_max;
            let waited = self.oldest.is_some_and(|oldest| oldest.elapsed() >= self.delay_max);
            if full || waited || hurry || stopping {
                if !self.store() {
                    break;
                }
                self.publish();
            }
            if stopping && caught_up {
                break;
            }
            if caught_up && !hurry {
                self.idle();
            }
        }
        self.progress.state.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.progress.moved.notify_all();
    }

    /// Reads what the lanes have, up to a full batch. True if every lane was read to its end.
    fn read(&mut self) -> bool {
        let mut caught_up = true;
        let mut failed = false;
        let catalog = self.catalog.load_full();
        let mut context = Context { keys: &mut self.keys, catalog: &catalog, now_ms: self.clock.now_ms() };
        for lane in &mut self.lanes {
            let committed = lane.writer.committed();
            loop {
                if self.batch.records as usize >= self.events_max || self.batch.bytes() >= BATCH_BYTES_MAX {
                    caught_up = false;
                    break;
                }
                match lane.reader.next_frame() {
                    Ok(Some(frame)) => {
                        for (seq, record) in frame.records() {
                            self.batch.add(&mut context, (frame.journal_id.0, seq), record);
                        }
                        self.batch.lost += frame.lost_before;
                        lane.read = frame.end();
                        self.oldest.get_or_insert_with(Instant::now);
                    }
                    Ok(None) => {
                        lane.read = lane.read.max(committed);
                        break;
                    }
                    Err(error) => {
                        tracing::error!(%error, "reading the journal failed");
                        self.progress.set_failing(Some(error.to_string()));
                        failed = true;
                        break;
                    }
                }
            }
        }
        self.read_pause = failed.then(|| self.read_pause.map_or(RETRY.0, |pause| (pause * 2).min(RETRY.1)));
        caught_up
    }

    /// Inserts the batch and moves the cursors; tries until it succeeds. False if it was stopped while failing: the records are still in the
    /// journal then.
    fn store(&mut self) -> bool {
        if self.batch.is_empty() {
            return true;
        }
        let mut pause = RETRY.0;
        let mut hand = Hand::of(&mut self.batch);
        while let Err(error) = self.insert(&mut hand) {
            metrics::inserts_failed(1);
            tracing::error!(%error, records = self.batch.records, "inserting failed; it is tried again");
            self.progress.set_failing(Some(error.to_string()));
            if self.progress.stop.load(Ordering::Acquire) {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(RETRY.1);
        }
        for lane in &mut self.lanes {
            let position = lane.reader.position();
            if let Err(error) = lane.reader.commit(position) {
                // The records come again after a restart, which is harmless.
                tracing::error!(%error, "moving the cursor failed");
                self.progress.set_failing(Some(error.to_string()));
            }
        }
        let batch = std::mem::take(&mut self.batch);
        metrics::records_loaded(batch.records);
        metrics::records_set_aside(batch.records_set_aside);
        metrics::records_lost(batch.lost);
        if batch.records_set_aside > 0 {
            tracing::error!(
                records = batch.records_set_aside,
                "records of an unknown version were set aside"
            );
        }
        // A catalog that came while the batch was on its way may have been followed before these hits were there.
        let new_catalog = batch.catalogs.iter().any(|version| *version != self.catalog.load().version);
        if batch.adoptable || new_catalog {
            self.progress.unresolved.store(true, Ordering::Release);
        }
        self.oldest = None;
        true
    }

    /// Does what is left of an insert: opens the mark, inserts, closes the mark.
    fn insert(&mut self, hand: &mut Hand) -> Result<(), StoreError> {
        if let Some(days) = &hand.days {
            hand.mark = Some(self.writer.open(&self.store, Work::Load, days)?);
            hand.days = None;
        }
        while let Some((table, rows)) = hand.rows.front() {
            self.store.insert(Work::Load, *table, rows)?;
            hand.rows.pop_front();
        }
        if let Some(mark) = &hand.mark {
            mark.close(&self.store, Work::Load)?;
            hand.mark = None;
        }
        Ok(())
    }

    /// Tells how far the store is.
    fn publish(&self) {
        metrics::journal_lag_bytes(self.lanes.iter().map(|lane| lane.reader.lag_bytes()).sum());
        let mut state = self.progress.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.durable = self.lanes.iter().map(|lane| lane.read).collect();
        if self.read_pause.is_none() {
            state.failing = None;
        }
        drop(state);
        self.progress.moved.notify_all();
    }

    fn idle(&self) {
        if let Some(pause) = self.read_pause {
            std::thread::sleep(pause);
            return;
        }
        // Lanes are looked at in turn; with several, each gets its share of the pause. A closed lane does not wait.
        let until = Instant::now() + IDLE;
        let share = IDLE / self.lanes.len().max(1) as u32;
        if !self.lanes.iter().any(|lane| lane.reader.wait(share)) {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }
}
