//! Alerts: what about a campaign somebody has to be told.
//!
//! 1. About once a minute, on the aggregator that settles, every campaign that is running is looked at: its figures come from [`crate::report`], as
//!    its reports would show them; [`judge`] holds them against the catalog's limits.
//! 2. What is wrong and was not opens an alert; what has not been wrong for [`state::CLEAR_LOOKS`] looks resolves it, silence a single one. What is open
//!    is kept on the desk, one document for each campaign ([`state`]): a restart, or another aggregator that settles from then on, opens nothing twice.
//!    Beside it stands since when each placement has to deliver ([`due`]).
//! 3. Where a webhook is set, both are told to it ([`webhook`]), in order, at least once each.
//!
//! Looking takes at most a tenth of the time: after a look that took long the next one waits for ten times as long.
//!
//! Must never: compute a figure in another way than a report does, or tell before it is kept.

mod due;
pub(crate) mod judge;
mod settings;
pub(crate) mod state;
pub(crate) mod webhook;
pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use desk::Desk;
use event::clock::UnixMs;

use self::due::Due;
use self::judge::{Judged, Kind, Watched};
use self::state::{Kept, Reconciled, State};
use self::webhook::{Message, Sender};
use crate::metrics;
use crate::report::Reporter;
use crate::work::Worker;

pub use self::settings::{AlertSettings, Alerts};
pub use self::webhook::{Webhook, WebhookError};

/// Pause between two turns of the thread: messages that wait are sent in each.
const TURN: Duration = Duration::from_secs(1);
/// The next look comes after this many times the duration of the last one, at the earliest.
const REST_FACTOR: u32 = 10;
/// Longest that a look waits for what came before it to be in the store.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);
/// Messages of one turn.
const MESSAGES_MAX: usize = 20;
/// First pause after a message that could not be delivered; it doubles with each failure in a row.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const BACKOFF_MAX: Duration = Duration::from_mins(5);
/// How long a message is tried.
const GIVE_UP_MS: i64 = 24 * 60 * 60 * 1000;

/// Looks and tells.
pub(crate) struct Watch {
    reporter: Arc<Reporter>,
    worker: Arc<Worker>,
    desk: Desk,
    interval: Duration,
    sender: Option<Sender>,
    /// What is open or to be told, by campaign; `None` while another aggregator settles. Locked while it is looked, so that two never look at once.
    known: Mutex<Option<Known>>,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

/// What was read from the desk, and has become of it since.
#[derive(Default)]
struct Known {
    campaigns: BTreeMap<String, State>,
    /// Campaigns whose document could not be written: nothing is told of them before it is.
    unwritten: BTreeSet<String>,
    /// Looks in a row at which an open alert was not found wrong, by its id.
    clear: HashMap<String, u32>,
}

impl Watch {
    /// # Errors
    /// The webhook cannot be used.
    pub(crate) fn new(
        Alerts { interval, webhook }: Alerts,
        desk: Desk,
        reporter: Arc<Reporter>,
        worker: Arc<Worker>,
    ) -> Result<Self, WebhookError> {
        let sender = webhook.map(Sender::new).transpose()?;
        Ok(Self {
            reporter,
            worker,
            desk,
            interval,
            sender,
            known: Mutex::default(),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
        })
    }

    /// Runs until it is stopped. Blocks: give it a thread.
    pub(crate) fn run(&self) {
        let mut look_at = Instant::now() + self.interval;
        let (mut tell_at, mut failures) = (Instant::now(), 0_u32);
        while !self.pause(TURN) {
            if !self.worker.is_settler() {
                *self.known() = None;
                metrics::alerts_open(&BTreeMap::new());
                continue;
            }
            if look_at <= Instant::now() {
                let begun = Instant::now();
                self.look();
                look_at = Instant::now() + self.interval.max(begun.elapsed() * REST_FACTOR);
            }
            if tell_at <= Instant::now() {
                failures = if self.tell() { 0 } else { failures.saturating_add(1) };
                let pause =
                    BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(BACKOFF_MAX);
                tell_at = Instant::now() + if failures == 0 { Duration::ZERO } else { pause };
            }
        }
    }

    /// Ends [`Self::run`] after the turn in hand.
    pub(crate) fn stop(&self) {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.notify_all();
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause(&self, length: Duration) -> bool {
        let stopping = self.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let (stopping, _) = self
            .stopped
            .wait_timeout_while(stopping, length, |stopping| !*stopping)
            .unwrap_or_else(PoisonError::into_inner);
        *stopping
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every campaign once. Blocks for as long as the store needs. What cannot be looked at stays as it is.
    pub(crate) fn look(&self) {
        // A placement that is silent in the store need not be silent while events wait to be loaded: also those that wait without any trouble, behind an
        // outage or while the store is made anew. Said before any figure is read, and without the lock.
        let is_loaded = self.worker.catch_up(CATCH_UP_MAX) && self.worker.progress.failing().is_none();
        let mut guard = self.known();
        let known = match &mut *guard {
            Some(known) => known,
            none => match self.read() {
                Ok(known) => none.insert(known),
                Err(error) => {
                    tracing::error!(%error, "alerts cannot be read from the desk; nothing is looked at");
                    return;
                }
            },
        };
        let catalog = self.reporter.catalog.load_full();
        let now_ms = self.reporter.clock.now_ms();
        let mut campaigns: BTreeSet<String> = known.campaigns.keys().cloned().collect();
        campaigns.extend(catalog.campaigns.keys().cloned());
        for id in campaigns {
            if self.is_stopping() {
                break;
            }
            let running = catalog.campaigns.get(&id).filter(|campaign| judge::is_watched(campaign, now_ms));
            let mut due = known.campaigns.get(&id).map(|state| state.due.clone()).unwrap_or_default();
            let is_moved = due.follow(&running.map_or(Vec::new(), |one| judge::due(one, now_ms)), now_ms);
            let mut judged = match running {
                None => Judged::default(),
                Some(campaign) => match self.reporter.watched(campaign, now_ms) {
                    Ok(watched) => judge::judge(campaign, &Watched { due: due.clone(), ..watched }, now_ms),
                    Err(error) => {
                        tracing::error!(%error, campaign = id, "a campaign cannot be looked at for alerts; it is tried again");
                        continue;
                    }
                },
            };
            if !is_loaded {
                judged.leave_out_silence();
            }
            self.take(known, &id, (judged, due, is_moved), now_ms);
        }
        known
            .clear
            .retain(|id, _| known.campaigns.values().flat_map(|one| &one.alerts).any(|kept| kept.id == *id));
        let mut open: BTreeMap<Kind, usize> = BTreeMap::new();
        let kept = known.campaigns.values().flat_map(|state| &state.alerts);
        for kept in kept.filter(|kept| kept.is_open()) {
            *open.entry(kept.kind).or_default() += 1;
        }
        metrics::alerts_open(&open);
    }

    /// Takes over what was found at one campaign, and since when its placements are due, which may have moved.
    fn take(
        &self,
        known: &mut Known,
        campaign: &str,
        (judged, due, is_moved): (Judged, Due, bool),
        now_ms: UnixMs,
    ) {
        let before = known.campaigns.get(campaign).map(|state| state.alerts.clone()).unwrap_or_default();
        let Reconciled { kept: alerts, opened, resolved, is_changed } =
            state::reconcile(campaign, before, judged, &mut known.clear, (now_ms, self.sender.is_some()));
        for (what, ids) in [("alert opened", &opened), ("alert resolved", &resolved)] {
            for one in ids {
                tracing::info!(campaign, kind = one.kind.name(), placement = one.placement.as_deref(), what);
            }
        }
        let state = State { alerts, due };
        if is_changed || is_moved || known.unwritten.contains(campaign) {
            self.keep(known, campaign, state);
        } else if !state.is_empty() {
            known.campaigns.insert(campaign.to_owned(), state);
        }
    }

    /// Writes what is known of a campaign.
    fn keep(&self, known: &mut Known, campaign: &str, state: State) {
        let id = state::document_id(campaign);
        let done = if state.is_empty() {
            self.desk.remove(desk::Kind::Alerts, &id)
        } else {
            self.desk.put(desk::Kind::Alerts, &id, &state::write(campaign, &state))
        };
        match done {
            Ok(()) => {
                known.unwritten.remove(campaign);
            }
            Err(error) => {
                tracing::error!(%error, campaign, "alerts cannot be kept; nothing is told of them until they are");
                known.unwritten.insert(campaign.to_owned());
            }
        }
        if state.is_empty() && !known.unwritten.contains(campaign) {
            known.campaigns.remove(campaign);
        } else {
            known.campaigns.insert(campaign.to_owned(), state);
        }
    }

    fn read(&self) -> Result<Known, desk::Error> {
        let documents = self.desk.list(desk::Kind::Alerts)?;
        let campaigns = documents.iter().filter_map(|(_, document)| state::read(document));
        Ok(Known {
            campaigns: campaigns.filter(|(_, state)| !state.is_empty()).collect(),
            ..Known::default()
        })
    }

    /// Sends what waits to be told. False if the webhook did not take it.
    fn tell(&self) -> bool {
        let Some(sender) = &self.sender else { return true };
        let now_ms = self.reporter.clock.now_ms();
        for _ in 0..MESSAGES_MAX {
            // Not while it is locked: an answer may take its time.
            let Some((campaign, kept)) = self.next() else { return true };
            if self.is_stopping() {
                return true;
            }
            let catalog = self.reporter.catalog.load_full();
            let message = Message::of(&campaign, &kept, catalog.campaigns.get(&campaign).map(Arc::as_ref));
            match sender.send(&message) {
                Ok(()) => metrics::alert_messages("delivered"),
                Err(why) if now_ms - kept.moment_ms() > GIVE_UP_MS => {
                    tracing::error!(
                        why,
                        campaign,
                        alert = kept.id,
                        "an alert could not be told within a day and is not tried any more"
                    );
                    metrics::alert_messages("given_up");
                }
                Err(why) => {
                    tracing::warn!(
                        why,
                        campaign,
                        alert = kept.id,
                        "the webhook does not take alerts; it is tried again"
                    );
                    metrics::alert_messages("failed");
                    return false;
                }
            }
            self.told(&campaign, &kept);
        }
        true
    }

    /// The oldest that waits to be told.
    fn next(&self) -> Option<(String, Kept)> {
        let guard = self.known();
        let known = guard.as_ref()?;
        let waiting = known.campaigns.iter().filter(|(campaign, _)| !known.unwritten.contains(*campaign));
        waiting
            .flat_map(|(campaign, state)| state.alerts.iter().map(move |kept| (campaign, kept)))
            .filter(|(_, kept)| kept.waits())
            .min_by_key(|(_, kept)| kept.moment_ms())
            .map(|(campaign, kept)| (campaign.clone(), kept.clone()))
    }

    fn told(&self, campaign: &str, told: &Kept) {
        let mut guard = self.known();
        let Some(known) = &mut *guard else { return };
        let Some(mut state) = known.campaigns.get(campaign).cloned() else { return };
        for kept in state.alerts.iter_mut().filter(|kept| kept.id == told.id) {
            kept.told = told.told + 1;
        }
        state.alerts.retain(|kept| kept.is_open() || kept.waits());
        self.keep(known, campaign, state);
    }
}
