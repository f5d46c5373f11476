//! The background work on figures: adopting, settling what changed, dropping what is old.
//!
//! Owns the thread that does so at an interval, and the same work on demand for `POST /v1/settle`. Today is settled on demand only; until then
//! reports compute it from its events.
//!
//! Of several aggregators on Kafka one at a time does this work: the one that holds the first partition of the events topic. Two at once, for as
//! long as it takes to notice that it went elsewhere, do no harm (see [`crate::settle`]).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::adopt;
use crate::loader::{Progress, Trouble};
use crate::metrics;
use crate::report::local_day;
use crate::settle::{SettledDay, Settler};
use crate::statement;
use crate::store::{StoreError, Value, Work};

/// A day is not settled again before this many times the duration of its last settle step has passed.
const REST_FACTOR: u32 = 10;
/// Pause between two looks at the catalog, for adoption.
const LOOK: Duration = Duration::from_secs(1);
/// How often the store is asked whether it is there.
const PROBE: Duration = Duration::from_secs(5);
/// Days whose last settle step is remembered.
const REMEMBERED_MAX: usize = 1000;

/// Does the work.
pub(crate) struct Worker {
    pub(crate) settler: Settler,
    pub(crate) progress: Arc<Progress>,
    pub(crate) interval: Duration,
    /// Whether other aggregators load into the same store.
    others_load: bool,
    /// Version of the catalog that adoption and rules have seen, `None` before the first. Locked while they are followed: two at a time would
    /// adopt twice.
    seen_catalog: Mutex<Option<u32>>,
    rest: Mutex<std::collections::HashMap<u16, Instant>>,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

impl Worker {
    pub(crate) fn new(
        settler: Settler,
        progress: Arc<Progress>,
        interval: Duration,
        others_load: bool,
    ) -> Self {
        Self {
            settler,
            progress,
            interval,
            others_load,
            seen_catalog: Mutex::new(None),
            rest: Mutex::default(),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
        }
    }

    /// Runs until it is stopped. Blocks: give it a thread.
    pub(crate) fn run(&self) {
        let mut settle_at = Instant::now() + self.interval;
        let mut probe_at = Instant::now() + PROBE;
        while !self.pause(LOOK) {
            if probe_at <= Instant::now() {
                self.probe();
                probe_at = Instant::now() + PROBE;
            }
            metrics::is_settler(self.is_settler());
            if !self.is_settler() {
                // Whatever it followed, others follow it from now on; and if the work comes back, it follows everything anew.
                *self.seen_catalog.lock().unwrap_or_else(PoisonError::into_inner) = None;
                continue;
            }
            if let Err(error) = self.follow_rules() {
                tracing::error!(%error, "adopting failed; it is tried again");
            }
            if Instant::now() < settle_at {
                continue;
            }
            settle_at = Instant::now() + self.interval;
            self.look_for_unresolved();
            if let Err(error) = self.step(|| self.settle_past()) {
                metrics::settles_failed(1);
                tracing::error!(%error, "settling failed; it is tried again");
            }
        }
    }

    /// Ends [`Self::run`] after the step in hand.
    pub(crate) fn stop(&self) {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.notify_all();
    }

    fn pause(&self, length: Duration) -> bool {
        let stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let (stopping, _) = self
            .stopped
            .wait_timeout_while(stopping, length, |stopping| !*stopping)
            .unwrap_or_else(PoisonError::into_inner);
        *stopping
    }

    /// Waits until everything that has come by now is in the store; false when it takes too long.
    pub(crate) fn catch_up(&self, timeout: Duration) -> bool {
        self.progress.catch_up(timeout)
    }

    /// Whether this aggregator is the one that settles.
    pub(crate) fn is_settler(&self) -> bool {
        self.progress.is_settler()
    }

    /// Lets [`Self::follow_rules`] look for what others loaded: nobody tells of it.
    pub(crate) fn look_for_unresolved(&self) {
        if self.others_load {
            self.progress.unresolved.store(true, Ordering::Release);
        }
    }

    /// Asks the store whether it is there.
    fn probe(&self) {
        let asked = self.settler.store.execute_text(Work::Settle, "SELECT 1", &Vec::new());
        self.progress.set(Trouble::Store, asked.err().map(|error| error.to_string()));
    }

    /// Follows a changed catalog or newly loaded unresolved hits: adopts what is known by now, and marks days whose rules changed. How many
    /// hits were adopted.
    pub(crate) fn follow_rules(&self) -> Result<u64, StoreError> {
        let mut seen = self.seen_catalog.lock().unwrap_or_else(PoisonError::into_inner);
        let version = self.settler.catalog.load().version;
        let new_catalog = *seen != Some(version);
        let new_hits = self.progress.unresolved.swap(false, Ordering::AcqRel);
        if !new_catalog && !new_hits {
            return Ok(0);
        }
        let followed = adopt::mark_for_rules(&self.settler).and_then(|()| adopt::adopt(&self.settler));
        match followed {
            Ok(adopted) => {
                *seen = Some(version);
                Ok(adopted)
            }
            Err(error) => {
                self.progress.unresolved.store(true, Ordering::Release);
                Err(error)
            }
        }
    }

    /// Does something while nothing is adopted.
    pub(crate) fn without_adoption<T>(&self, work: impl FnOnce() -> T) -> T {
        let _seen = self.seen_catalog.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }

    /// Settles every day that changed, or only `day` if it did.
    pub(crate) fn settle_changed(&self, day: Option<u16>) -> Result<Vec<SettledDay>, StoreError> {
        self.step(|| {
            self.settler.give_up_marks()?;
            let dirty = self.settler.dirty_days(Work::Settle)?;
            let wanted = dirty.iter().filter(|dirty| day.is_none_or(|day| day == dirty.day));
            wanted.filter_map(|dirty| self.settler.settle(dirty.day).transpose()).collect()
        })
    }

    /// Drops what is old, and settles between. What may be kept no longer goes first and each part is done whatever became of the others: a day that
    /// cannot be settled must not keep devices or pairs past theirs. The first error of all, settling's before the others'.
    fn step<T>(&self, settle: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let expired = self.settler.drop_expired_devices().map(drop);
        let ended = self.settler.drop_ended_pairs().map(drop);
        let settled = settle();
        let superseded = self.settler.drop_generations(false).map(drop);
        let measured = self.settler.measure_set_aside();
        let others =
            [("devices", expired), ("pairs", ended), ("generations", superseded), ("set_aside", measured)];
        for (what, error) in others.iter().filter_map(|(what, done)| Some((what, done.as_ref().err()?))) {
            tracing::error!(%error, what, "a part of the settle step failed; it is tried again");
        }
        let others = others.into_iter().try_for_each(|(_, done)| done);
        settled.and_then(|settled| others.map(|()| settled))
    }

    /// Changed days that are over for every campaign that has events on them.
    fn past_days(&self) -> Result<Vec<u16>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            campaign: String,
        }
        let now_ms = self.settler.clock.now_ms();
        let catalog = self.settler.catalog.load_full();
        let today = |campaign: Option<&Arc<catalog::Campaign>>| local_day(now_ms, campaign.map(Arc::as_ref));
        // A catalog of one campaign that is behind all others must not hold up the others' days: it is looked at who has events.
        let everywhere = catalog.campaigns.values().map(|campaign| today(Some(campaign)));
        let first = everywhere.chain(std::iter::once(today(None))).min().unwrap_or(0);
        let mut past = Vec::new();
        for dirty in self.settler.dirty_days(Work::Settle)? {
            let is_past = dirty.day < first || {
                let values = vec![("days", Value::Days(vec![dirty.day]))];
                let rows: Vec<Row> =
                    self.settler.store.rows(Work::Settle, statement::CAMPAIGNS_OF_DAYS, &values)?;
                rows.iter().all(|row| dirty.day < today(catalog.campaigns.get(&row.campaign)))
            };
            if is_past {
                past.push(dirty.day);
            }
        }
        Ok(past)
    }

    /// Settles the days that are over and changed.
    fn settle_past(&self) -> Result<(), StoreError> {
        self.settler.give_up_marks()?;
        let past = self.past_days()?;
        metrics::days_dirty(past.len());
        for day in past {
            let rested = {
                let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
                rest.get(&day).is_none_or(|until| *until <= Instant::now())
            };
            if *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) {
                break;
            }
            if rested {
                let Some(done) = self.settler.settle(day)? else { continue };
                let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
                if rest.len() >= REMEMBERED_MAX {
                    rest.clear();
                }
                rest.insert(day, Instant::now() + Duration::from_secs_f64(done.seconds) * REST_FACTOR);
            }
        }
        Ok(())
    }
}
