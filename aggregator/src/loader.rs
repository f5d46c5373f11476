//! From the journal's lanes or from Kafka into the store.
//!
//! Owns the thread that reads its [`feed`], gathers whole frames into one batch, inserts it under a mark ([`crate::changed`]), and only then
//! moves on: cursors of lanes, offsets in Kafka. So a record is in the store at least once, whatever crashes where; who counts drops the repeats by (journal, seq).
//!
//! Must never: move on before the rows are on the disk and their mark is closed, drop a batch that could not be inserted, or put more than
//! [`INSERT_DAYS_MAX`] days into one insert.

mod feed;
mod lanes;
mod letters;
mod progress;
mod topic;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use event::clock::Clock;

use self::feed::{Feed, Taker};
use self::lanes::Lanes;
use self::topic::Topic;
use crate::batch::{Batch, Context, ViewKeys};
use crate::changed::{self, OpenMark};
use crate::metrics;
use crate::pairs::Paired;
use crate::rights::tombstones::Tombstones;
use crate::settings::Settings;
use crate::statement::{self, Statement};
use crate::store::{INSERT_DAYS_MAX, Store, StoreError, Work};
use crate::{Error, Source};

pub use self::lanes::CURSOR;
pub(crate) use self::progress::{Progress, Trouble};

/// How long what is in hand waits while somebody asks for it.
const ASKED_DELAY: Duration = Duration::from_millis(100);
/// After this an asking is aimed anew: nobody waits as long.
const ASKED_MAX: Duration = Duration::from_mins(10);
/// How long the loader waits for news when there are none.
const IDLE: Duration = Duration::from_millis(50);
/// Pauses between tries of a failed insert or reading: doubled from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What loading needs.
pub(crate) struct Parts {
    pub(crate) store: Arc<Store>,
    pub(crate) catalog: catalog::Shared,
    pub(crate) clock: Clock,
    pub(crate) tombstones: Arc<Tombstones>,
}

/// The loader's own.
pub(crate) struct Loader {
    store: Arc<Store>,
    writer: changed::Writer,
    catalog: catalog::Shared,
    progress: Arc<Progress>,
    clock: Clock,
    tombstones: Arc<Tombstones>,
    feed: Feed,
    batch: Batch,
    keys: ViewKeys,
    paired: Paired,
    events_max: usize,
    delay_max: Duration,
    oldest: Option<Instant>,
    /// Tombstones that were heard of when the batch in hand was begun.
    heard: usize,
    /// How long to wait before the feed is read again, while reading it fails.
    read_pause: Option<Duration>,
    /// The asking for everything that had come by then that is being worked on.
    asked: Option<(u64, Instant)>,
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
        // Before the events, so that no report counts a device twice in between.
        rows.push_back((statement::DEVICE_PAIRS, std::mem::take(&mut batch.pairs)));
        let mut events = std::mem::take(&mut batch.events).into_values().peekable();
        while events.peek().is_some() {
            let of_days = events.by_ref().take(INSERT_DAYS_MAX).reduce(|mut all, day| {
                all.extend_from_slice(&day);
                all
            });
            rows.push_back((statement::EVENTS, of_days.unwrap_or_default()));
        }
        let books = std::mem::take(&mut batch.books).into_values().flat_map(|(_, row)| row).collect();
        rows.extend([
            (statement::UNRESOLVED, std::mem::take(&mut batch.unresolved)),
            (statement::TRIAL_EVENTS, std::mem::take(&mut batch.trial_events)),
            (statement::TRIAL_HITS, std::mem::take(&mut batch.trial_hits)),
            (statement::SET_ASIDE, std::mem::take(&mut batch.set_aside)),
            (statement::BOOKS, books),
            (statement::REGION_LIBRARIES, std::mem::take(&mut batch.region_libraries)),
        ]);
        rows.retain(|(_, rows)| !rows.is_empty());
        Self { days: (!days.is_empty()).then_some(days), mark: None, rows }
    }
}

impl Loader {
    pub(crate) fn new(
        settings: &Settings,
        parts: Parts,
        source: Source,
    ) -> Result<(Self, Arc<Progress>), Error> {
        let Parts { store, catalog, clock, tombstones } = parts;
        let feed = match source {
            Source::Lanes(writers) => Feed::Lanes(Lanes::open(&writers)?),
            Source::Kafka(cluster) => Feed::Topic(Box::new(Topic::join(cluster)?)),
        };
        let progress = Progress::new();
        progress.set_settler(feed.is_settler());
        progress.set(Trouble::Source, feed.trouble());
        let loader = Self {
            store,
            writer: changed::Writer::new(clock.clone())?,
            catalog,
            progress: Arc::clone(&progress),
            clock,
            tombstones,
            feed,
            batch: Batch::default(),
            keys: ViewKeys::default(),
            paired: Paired::default(),
            events_max: settings.batch_events_max,
            delay_max: settings.batch_delay(),
            oldest: None,
            heard: 0,
            read_pause: None,
            asked: None,
        };
        Ok((loader, progress))
    }

    /// Runs until it is stopped. Blocks: give it a thread.
    pub(crate) fn run(mut self) {
        while self.turn() {}
        self.progress.set_settler(false);
        self.feed.close();
        self.progress.end();
    }

    /// Reads once, and stores what is due. False at the end.
    fn turn(&mut self) -> bool {
        let stopping = self.progress.is_stopping();
        self.aim();
        let caught_up = if stopping && !self.feed.is_finite() { true } else { self.read() };
        let full = self.batch.records as usize >= self.events_max || self.feed.is_full();
        let waited = self.oldest.is_some_and(|oldest| oldest.elapsed() >= self.delay_max);
        if full || waited || stopping || self.is_asked_for() {
            if !self.store() {
                return false;
            }
            self.answer();
        }
        self.feed.measure();
        self.progress.set_settler(self.feed.is_settler());
        if caught_up {
            if stopping {
                return false;
            }
            match self.read_pause {
                Some(pause) => self.progress.pause(pause),
                None => self.feed.wait(self.due_in().min(IDLE)),
            }
        }
        true
    }

    /// Whether somebody waits for what is in hand. Of a feed without an end small batches would come without end while others lag behind.
    fn is_asked_for(&self) -> bool {
        let is_ripe = self.oldest.is_none_or(|oldest| oldest.elapsed() >= ASKED_DELAY);
        self.asked.is_some() && (self.feed.is_finite() || is_ripe)
    }

    /// How long what is in hand may wait.
    fn due_in(&self) -> Duration {
        let delay = if self.asked.is_some() { self.delay_max.min(ASKED_DELAY) } else { self.delay_max };
        self.oldest.map_or(IDLE, |oldest| delay.saturating_sub(oldest.elapsed()))
    }

    /// Reads what the feed has, up to a full batch. True if it was read to its end.
    fn read(&mut self) -> bool {
        let catalog = self.catalog.load_full();
        if self.oldest.is_none() {
            let heard = self.tombstones.heard();
            if heard != self.heard {
                self.paired.forget();
            }
            self.heard = heard;
        }
        let erased = self.tombstones.read();
        let context = Context {
            keys: &mut self.keys,
            paired: &mut self.paired,
            catalog: &catalog,
            now_ms: self.clock.now_ms(),
            erased: &erased,
        };
        let mut taker = Taker { batch: &mut self.batch, context, events_max: self.events_max };
        let reading = self.feed.read(&mut taker);
        if self.feed.has_taken() {
            self.oldest.get_or_insert_with(Instant::now);
        }
        // A feed with a trouble of its own waits by itself, and hears of its end by being read.
        let fails = reading.trouble.is_some() && self.feed.is_finite();
        self.read_pause = fails.then(|| self.read_pause.map_or(RETRY.0, |pause| (pause * 2).min(RETRY.1)));
        self.progress.set(Trouble::Source, reading.trouble);
        reading.caught_up
    }

    /// Inserts the batch and moves on in the feed; tries until it succeeds. False if it was stopped while failing: the records are read again then.
    fn store(&mut self) -> bool {
        if self.oldest.is_none() {
            return true;
        }
        let mut pause = RETRY.0;
        let mut hand = Hand::of(&mut self.batch);
        while let Err(error) = self.complete(&mut hand) {
            metrics::inserts_failed(1);
            tracing::error!(error, records = self.batch.records, "inserting failed; it is tried again");
            self.progress.set(Trouble::Insert, Some(error));
            if self.progress.is_stopping() {
                return false;
            }
            self.progress.pause(pause);
            pause = (pause * 2).min(RETRY.1);
        }
        let moved = self.feed.advance().err();
        if let Some(error) = &moved {
            // The records come again after a restart, which is harmless.
            tracing::error!(error, "what was stored could not be ticked off");
        }
        self.progress.set(Trouble::Insert, moved);
        self.oldest = None;
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
        true
    }

    /// Does what is left of storing a batch.
    fn complete(&mut self, hand: &mut Hand) -> Result<(), String> {
        let started = Instant::now();
        self.insert(hand).map_err(|error| error.to_string())?;
        metrics::insert_seconds(started.elapsed().as_secs_f64());
        self.feed.secure()
    }

    /// Opens the mark, inserts, closes the mark: whatever of it is left.
    fn insert(&mut self, hand: &mut Hand) -> Result<(), StoreError> {
        if let Some(days) = &hand.days {
            hand.mark = Some(self.writer.open(&self.store, Work::Load, days)?);
            hand.days = None;
        }
        while let Some((table, rows)) = hand.rows.front() {
            self.store.insert(Work::Load, *table, rows)?;
            metrics::inserts(1);
            hand.rows.pop_front();
        }
        self.paired.measure(&self.store)?;
        self.tombstones.since(&self.store, self.heard)?;
        if let Some(mark) = &hand.mark {
            mark.close(&self.store, Work::Load)?;
            hand.mark = None;
        }
        Ok(())
    }

    /// Remembers where everything ends, for those who ask for what has come by now.
    fn aim(&mut self) {
        let (asked, answered) = self.progress.asked();
        // What could not be reached for so long is looked at anew: nobody waits for it any more.
        let is_old = self.asked.is_some_and(|(_, since)| since.elapsed() >= ASKED_MAX);
        if (self.asked.is_none() || is_old) && answered < asked {
            match self.feed.aim() {
                Ok(()) => self.asked = Some((asked, Instant::now())),
                Err(error) => self.progress.set(Trouble::Source, Some(error)),
            }
        }
    }

    /// Answers them if it is all in the store. Nothing is in hand.
    fn answer(&mut self) {
        let Some((asked, _)) = self.asked else { return };
        match self.feed.has_reached() {
            Ok(true) => {
                self.progress.answer(asked);
                self.asked = None;
            }
            Ok(false) => {}
            Err(error) => self.progress.set(Trouble::Source, Some(error)),
        }
    }
}
