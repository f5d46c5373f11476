//! From the journal to reach and frequency: what was stored becomes figures that add up and say how sure they are.
//!
//! # From a record to a report
//!
//! 1. [`loader`] reads the lanes of the journal, or the frames that Kafka carries, decodes records into a [`batch`] of rows and inserts it. Before
//!    that [`changed`] opens a mark, durably, on the days whose figures the rows change, and closes it behind them; cursors or offsets move last.
//! 2. [`settle`] makes a changed day's figures anew from its events ([`judge`] and `sql/part/judged.sql`: each hit once, with its class by
//!    [`rules`]), next to those in force, and publishes them with one row.
//! 3. [`report`] answers from settled figures, and from events where there are none yet, and makes of it what the token that asked ([`tokens`]) may see
//!    ([`view`]); [`api`] writes the answer, in the forms of [`form`].
//!
//! [`numbers`] keeps what media say that they delivered, beside it; [`closings`] keeps figures of periods that were closed. [`pairs`] ties devices over a change of keys for as long as the two overlap. [`rights`] erases a device from all of it and copies what is stored of one. [`adopt`] turns unresolved hits into events when the catalog was mended, and marks days whose rules changed. [`work`] runs all of this in the
//! background. [`store`] is the database as this crate sees it; [`engine`] is the one file that calls it.
//!
//! # What holds
//!
//! * Figures are a function of the stored events and the rules. Everything else in the store can be dropped and made again.
//! * A row may stand in the store twice, after a crash: whoever counts drops repeats of (journal, seq) first.
//! * A day is up to date if and only if none of its marks is open and their state is the one that its figures were published with.

mod adopt;
mod alerts;
mod api;
mod batch;
mod catalog_text;
mod changed;
mod closings;
pub mod engine;
mod form;
mod judge;
mod loader;
pub mod metrics;
mod numbers;
mod orphans;
mod pairs;
mod report;
mod rights;
mod rules;
mod server;
mod settings;
mod settle;
mod sheet;
mod statement;
pub mod store;
mod tokens;
mod told;
mod turns;
mod view;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use event::clock::Clock;
use journal::Writer;
use security_log::SecurityLog;
use tokio::sync::{Semaphore, watch};

use crate::alerts::Watch;
use crate::api::Api;
use crate::closings::Closings;
use crate::loader::{Loader, Progress};
use crate::numbers::Numbers;
use crate::report::Reporter;
use crate::rights::tombstones::Tombstones;
use crate::rules::Rules;
use crate::settle::Settler;
use crate::store::Store;
use crate::tokens::Gate;
use crate::turns::Turns;
use crate::work::Worker;

pub use alerts::{AlertSettings, Alerts, Webhook, WebhookError};
pub use api::LinkParts;
pub use catalog_text::{CatalogText, CatalogTextError};
pub use loader::CURSOR;
pub use rights::{COPY_BYTES_MAX, COPY_ROWS_MAX, Copied, Erased, Erasure, Rights, RightsError, Tombstone};
pub use settings::{Settings, SettingsError};
pub use store::{Password, ServerError, Servers, StoreAt, StoreError, StoreSettings};
pub use tokens::{Token, Tokens};

/// The store's database where nothing else is said.
pub const DATABASE: &str = "sightline";

/// Bodies of requests that are held in memory at the same time, each of at most 8 MiB.
const BODIES_MAX: usize = 4;
/// Uploads of media's numbers at the same time, each of at most 8 MiB and what is made of them.
const UPLOADS_MAX: usize = 2;

/// Where events come from.
pub enum Source {
    /// The lanes of the journal in this process: this aggregator is the only one that reads them.
    Lanes(Vec<Writer>),
    /// The events topic, shared with the other aggregators of the group. Its topics exist ([`kafka::Cluster::create_topics`]).
    Kafka(kafka::Cluster),
}

/// What the aggregator needs from outside.
pub struct Parts {
    /// Where events come from.
    pub source: Source,
    /// The catalog in force.
    pub catalog: catalog::Shared,
    /// Where the catalog's text is kept; `None` where it cannot be changed through the API.
    pub catalog_text: Option<Arc<dyn CatalogText>>,
    /// Who may read reports.
    pub tokens: Tokens,
    /// Where the report API listens.
    pub listeners: tls::Listeners,
    /// What tracking URLs are made by.
    pub links: LinkParts,
    /// The time.
    pub clock: Clock,
    /// Where the store is.
    pub store: StoreAt,
    /// Devices that are erased, as far as others remember it: at a start with an empty store what comes again from the journal must not bring
    /// them back. The store has its own memory of what was erased in it.
    pub tombstones: Vec<Tombstone>,
    /// How alerts are looked for and told.
    pub alerts: Alerts,
    /// Where it is noted that a request came and how it was answered.
    pub security: SecurityLog,
    /// Where every access to reports is entered.
    pub audit: audit::Log,
    /// The store's database: letters, digits and underscores. [`DATABASE`] unless several share an engine, as in tests.
    pub database: String,
}

/// Why the aggregator does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Operator: a setting is out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Operator: where alerts are to be told cannot be used.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// Operator or machine: the engine or its data.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Operator or machine: the journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Operator: the settings for Kafka cannot be used.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// Machine: the system gives no random bytes.
    #[error("the system's random source failed: {0}")]
    Random(getrandom::Error),
    /// Machine: no thread or no socket.
    #[error("the aggregator cannot start: {0}")]
    Io(#[from] std::io::Error),
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Random(error)
    }
}

/// Whether the aggregator does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Loading and reporting work.
    Ready,
    /// The store or what is loaded from cannot be reached at present, which is tried again; reports show what is in the store.
    Degraded(String),
}

/// The running aggregator. Call [`Handle::stop`]: dropping it leaves the threads running.
pub struct Handle {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    progress: Arc<Progress>,
    worker: Arc<Worker>,
    stop_server: watch::Sender<bool>,
    watch: Arc<Watch>,
    threads: Vec<JoinHandle<()>>,
    rights: Rights,
}

/// Opens the store and starts loading, settling and reporting. Blocks while the engine starts (about a second).
///
/// # Errors
/// See [`Error`]; nothing runs then.
pub fn start(settings: &Settings, parts: Parts) -> Result<Handle, Error> {
    settings.check()?;
    metrics::declare();
    let rules = Arc::new(Rules::new(settings)?);
    // The engine holds its folder for one process; servers serve many.
    let is_alone = matches!(parts.store, StoreAt::Embedded { .. });
    let store = Arc::new(Store::open(parts.store, &parts.database, settings.limits())?);
    let tombstones = prepare(&store, settings, (&rules, !is_alone), (&parts.tombstones, &parts.clock))?;
    let others_load = matches!(parts.source, Source::Kafka(_));
    let (loader, progress) = Loader::new(
        settings,
        loader::Parts {
            store: Arc::clone(&store),
            catalog: Arc::clone(&parts.catalog),
            clock: parts.clock.clone(),
            tombstones: Arc::clone(&tombstones),
        },
        parts.source,
    )?;
    let settled = settle::Parts {
        store: Arc::clone(&store),
        catalog: Arc::clone(&parts.catalog),
        rules: Arc::clone(&rules),
        clock: parts.clock.clone(),
        tombstones: Arc::clone(&tombstones),
        is_alone,
    };
    let (settler, interval) = (Settler::open(settled, settings)?, settings.settle_interval());
    let worker = Arc::new(Worker::new(settler, Arc::clone(&progress), interval, others_load));
    let rights = Rights::new(rights::Parts {
        store: Arc::clone(&store),
        worker: Arc::clone(&worker),
        catalog: Arc::clone(&parts.catalog),
        clock: parts.clock.clone(),
        tombstones,
    });
    let reporter = reporter(settings, (store, parts.catalog, rules), (&parts.clock, &parts.tokens.desk));
    let (told, desk) = (parts.alerts, parts.tokens.desk.clone());
    let watch = Arc::new(Watch::new(told, desk, Arc::clone(&reporter), Arc::clone(&worker))?);
    let api = Arc::new(Api {
        gate: Gate::new(parts.tokens, settings.token_rate()),
        links: parts.links,
        catalog_text: parts.catalog_text,
        edits: Turns::new(1),
        bodies: Semaphore::new(BODIES_MAX),
        uploads: Semaphore::new(UPLOADS_MAX),
        audit: parts.audit,
        security: parts.security.recorder(),
        clock: parts.clock.clone(),
        reporter,
        worker: Arc::clone(&worker),
        statement_bytes_max: settings.statement_bytes_max,
        reports: Turns::new(settings.reports_max),
        settles: Turns::new(1),
    });
    let (address, tls_address) = (parts.listeners.plain.local_addr()?, parts.listeners.tls_address()?);
    let (stop_server, stopping) = watch::channel(false);
    let (listeners, settling, watching) = (parts.listeners, Arc::clone(&worker), Arc::clone(&watch));
    let threads = vec![
        spawn("reports", move || serve(listeners, api, stopping))?,
        spawn("loader", move || loader.run())?,
        spawn("settle", move || settling.run())?,
        spawn("alerts", move || watching.run())?,
    ];
    Ok(Handle { address, tls_address, progress, worker, stop_server, watch, threads, rights })
}

fn serve(listeners: tls::Listeners, api: Arc<Api>, stopping: watch::Receiver<bool>) {
    if let Err(error) = server::serve(listeners, api, stopping) {
        tracing::error!(%error, "the report API cannot run");
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run)
}

fn reporter(
    settings: &Settings,
    (store, catalog, rules): (Arc<Store>, catalog::Shared, Arc<Rules>),
    (clock, desk): (&Clock, &desk::Desk),
) -> Arc<Reporter> {
    Arc::new(Reporter {
        store,
        catalog,
        rules,
        clock: clock.clone(),
        retention_ms: settle::retention_ms(settings.retention_days),
        limits: report::Limits::new(settings.k, settings.device_step),
        numbers: Numbers::new(desk.clone()),
        sampling: settings.sampling(),
        portion_hits: settings.portion_hits,
        facts: report::Kept::default(),
        closings: Closings::new(desk.clone()),
        beside: report::Beside::default(),
    })
}

/// Brings the tables to what this program knows, and reads what may not come back into them.
fn prepare(
    store: &Store,
    settings: &Settings,
    (rules, is_shared): (&Arc<Rules>, bool),
    (remembered, clock): (&[Tombstone], &Clock),
) -> Result<Arc<Tombstones>, Error> {
    store::migrate(store, settings.retention_days)?;
    changed::upgrade(store)?;
    let dates = (clock.now_ms(), settle::retention_ms(settings.retention_days));
    Ok(Arc::new(Tombstones::open(store, remembered, (Arc::clone(rules), is_shared), dates)?))
}

impl Handle {
    /// Where the report API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens with TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Erasures and copies.
    pub fn rights(&self) -> Rights {
        self.rights.clone()
    }

    /// Looks for alerts now, as is done at an interval. Blocks for as long as the store needs.
    pub fn look_for_alerts(&self) {
        self.watch.look();
    }

    /// Whether the work goes on.
    pub fn readiness(&self) -> Readiness {
        self.progress.failing().map_or(Readiness::Ready, Readiness::Degraded)
    }

    /// Whether every thread is there. If one has ended by itself, only a new start helps.
    pub fn is_running(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }

    /// Ends: answers what is asked, stores what was read, finishes the settle step in hand. Blocks until then. What is left in the journal comes
    /// with the next start; close the lanes first if all of it is to be in the store.
    pub fn stop(self) {
        let _ = self.stop_server.send(true);
        self.worker.stop();
        self.watch.stop();
        self.progress.stop();
        for thread in self.threads {
            // A panic was reported by its own message; the others are still to be ended.
            let _ = thread.join();
        }
    }
}
