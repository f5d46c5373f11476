//! The tracker: takes beacons over HTTP, decides what becomes of each, and answers once that is in the journal.
//!
//! # The path of a beacon
//!
//! 1. `listener` — a lane (one thread, one runtime, one socket, one journal lane) accepts the connection. Its bytes pass the guard of
//!    `connection`, which keeps the deadlines and refuses heads that two readers could understand in two ways, into the HTTP library. `secure`
//!    puts TLS and HTTP/2 between the two.
//! 2. `route` — path and method say what the request is, and in which dialect. A pixel's parameters are read by the dialect's table, its headers by
//!    `caller`; a `click` first decides where it lands, a `batch` takes its body apart and does the rest for each item.
//! 3. `beacon` — *the* decision, one pure function: rejected for a reason, opted out, or stored as this event, whose bytes it encodes.
//! 4. `lane` — the event is appended to the journal and the beacon counted in the `books`; then it waits for its group's commit. The books
//!    give each beacon exactly one outcome and go to the journal themselves once a second.
//! 5. `answer` — the pixel, the redirect, the results: the same bytes whatever became of the beacon, but 503 when it could not be stored.
//!
//! In a cluster the `forwarder` then takes the frames of the journal to Kafka, in their order and in its own time.
//!
//! Nothing on this way is shared between threads but what is read: catalog, keys, region library, opt-out list, and whether that list is known to be complete.
//! While it is not, `beacon` stops before it looks at any identifier: the answer is 503, a click still lands, and nothing is stored.
//!
//! # What an opted-out device's caller can see
//!
//! Nothing. The opt-out is the last question of `beacon`, so that a beacon which would be rejected is rejected either way; the outcome
//! shown is the one that it would have had; and the answer waits for a commit like any other, because in place of the event
//! the lane's books are appended. Latency, status and headers are of one class.

mod address;
mod answer;
mod batch;
mod beacon;
mod books;
mod caller;
mod click;
mod connection;
mod dry_run;
pub mod forwarder;
mod framing;
mod id_cookie;
mod lane;
mod listener;
pub mod metrics;
mod region;
mod route;
mod sdk_config;
mod secure;
mod senders;
pub mod settings;
mod tag;
mod trial;
mod vast;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use address::{Cidr, CidrError};
#[doc(hidden)]
pub use batch::decode_batch;
pub use dry_run::{Counted, DryRun, Verdict};
use event::clock::Clock;
use event::dialect::Dialects;
use event::key::KeyRing;
use event::link::LinkKeys;
use journal::{Health, Writer};
#[doc(hidden)]
pub use region::{Region, Regions};
pub use region::{RegionError, RegionLibrary, SharedRegions};
pub use sdk_config::{SdkConfigError, company as sdk_company, sdk_config};
use security_log::SecurityLog;
use senders::Senders;
pub use settings::{Limits, Right, Server, Settings, Signature};
use tokio::sync::watch;

/// A commit that takes longer than this is a hung disk: pixels wait in vain.
const COMMIT_RUNNING_MAX: Duration = Duration::from_secs(2);

/// What the tracker works with.
pub struct Parts {
    /// The grammars that are understood.
    pub dialects: Arc<Dialects>,
    /// The device keys.
    pub keys: Arc<KeyRing>,
    /// The keys of signed links. Without one, no link to a placement with `signed_links = true` is good.
    pub link_keys: Arc<LinkKeys>,
    /// The catalog in force.
    pub catalog: catalog::Shared,
    /// Where viewers are: empty where no region library is configured.
    pub regions: SharedRegions,
    /// Who must not be measured.
    pub opt_outs: opt_out::List,
    /// Whether that list is known to be complete: while it is not, nothing is measured. [`opt_out::Standing::always`] on one machine.
    pub standing: opt_out::Standing,
    /// One journal lane for each thread; they are closed when the tracker has stopped.
    pub lanes: Vec<Writer>,
    /// The time.
    pub clock: Clock,
    /// Where it is noted that a request came and how it was answered; nothing of what it said.
    pub security: SecurityLog,
    /// TLS, for `listen_tls`.
    pub tls: Option<tls::Acceptor>,
}

/// Why the tracker could not start, or did not stop well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on. The operator's to solve: another address, or stop who listens there.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The key of the configuration that asks for it.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// A thread could not be started. The machine's fault; may pass.
    #[error("cannot start a thread of the tracker: {0}")]
    Thread(io::Error),
    /// There is nowhere to store beacons. The caller's fault.
    #[error("the tracker needs at least one journal lane")]
    NoLanes,
    /// A setting is out of its range. The operator's to solve.
    #[error("{key} = {value} is not allowed: {allowed}")]
    Setting {
        /// The key, with the names of its tables.
        key: &'static str,
        /// Its value.
        value: String,
        /// The range.
        allowed: String,
    },
    /// A registered server cannot be known as the settings say. The operator's to solve.
    #[error("server {name:?} {problem}")]
    Server {
        /// The key, with the names of its tables and the server's place.
        key: String,
        /// The server.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A key file cannot be read, or others may. The operator's to solve.
    #[error("the key of {name:?}: {source}")]
    KeyFile {
        /// The server, or the debug key.
        name: String,
        /// Which file, and why.
        source: opt_out::KeyFileError,
    },
    /// A key is too easy to guess, or too long to be sent.
    #[error("the key of {name:?} must have {bytes_min} to {bytes_max} bytes")]
    KeyLength {
        /// The server, or the debug key.
        name: String,
        /// Shortest.
        bytes_min: usize,
        /// Longest.
        bytes_max: usize,
    },
    /// A lane of the journal cannot be read. The operator's or the machine's.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Kafka's client cannot be made. The operator's to solve.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// A lane ended without being told to. Ours: what it had answered is in its journal.
    #[error("a lane of the tracker ended early: {0}")]
    Lane(String),
}

impl Error {
    /// The key of the configuration that is at fault, with the names of its tables; in a list of tables their places count from 0.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Setting { key, .. } | Self::Bind { key, .. } => Some(key),
            Self::Server { key, .. } => Some(key),
            Self::KeyFile { .. } | Self::KeyLength { .. } => Some("tracker.server"),
            Self::Thread(_) | Self::NoLanes | Self::Lane(_) | Self::Journal(_) | Self::Kafka(_) => None,
        }
    }
}

/// What all lanes have in common.
pub(crate) struct Shared {
    settings: Arc<Settings>,
    senders: Arc<Senders>,
    dialects: Arc<Dialects>,
    keys: Arc<KeyRing>,
    link_keys: Arc<LinkKeys>,
    catalog: catalog::Shared,
    regions: SharedRegions,
    opt_outs: opt_out::List,
    standing: opt_out::Standing,
    clock: Clock,
    security: SecurityLog,
    tls: Option<tls::Acceptor>,
}

/// Whether the tracker should get traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Pixels and batches can be stored: every lane's journal takes records, and every opt-out is known.
    pub pixels: bool,
    /// Why not, for an operator. There exactly when `pixels` is false.
    pub pixels_refusal: Option<String>,
    /// Clicks are redirected: every lane runs, whatever its journal does.
    pub clicks: bool,
}

/// A running tracker. Dropped, it stops taking connections and drains by itself; [`Handle::stop`] waits for that.
pub struct Handle {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    lanes: Vec<Writer>,
    standing: opt_out::Standing,
    clock: Clock,
    stop: watch::Sender<bool>,
    running: watch::Receiver<usize>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// Starts the tracker: one thread for each journal lane.
///
/// # Errors
/// See [`Error`]; nothing runs then.
pub fn start(settings: Settings, parts: Parts) -> Result<Handle, Error> {
    if parts.lanes.is_empty() {
        return Err(Error::NoLanes);
    }
    settings.check()?;
    let senders = Arc::new(Senders::load(&settings)?);
    let settings = Arc::new(settings);
    if let (Some(address), None) = (settings.listen_tls, &parts.tls) {
        let allowed = "none without a certificate and its key in [tls]".to_owned();
        return Err(Error::Setting { key: "tracker.listen_tls", value: address.to_string(), allowed });
    }
    let (sockets, address, tls_address) = listener::bind(&settings, parts.lanes.len())?;
    metrics::declare();
    let shared = Arc::new(Shared {
        settings,
        senders,
        dialects: parts.dialects,
        keys: parts.keys,
        link_keys: parts.link_keys,
        catalog: parts.catalog,
        regions: parts.regions,
        opt_outs: parts.opt_outs,
        standing: parts.standing.clone(),
        clock: parts.clock.clone(),
        security: parts.security,
        tls: parts.tls,
    });
    let (stop, stopping) = watch::channel(false);
    let (count, running) = watch::channel(0);
    let count = Arc::new(count);
    let mut threads = Vec::with_capacity(parts.lanes.len());
    for (number, (writer, sockets)) in parts.lanes.iter().cloned().zip(sockets).enumerate() {
        let shared = Arc::clone(&shared);
        let stopping = stopping.clone();
        let running = Running::begin(&count);
        let thread = std::thread::Builder::new().name(format!("ingest-{number}")).spawn(move || {
            let _running = running;
            listener::run(&shared, writer, sockets, stopping)
        });
        threads.push(thread.map_err(Error::Thread)?);
    }
    tracing::info!(%address, lanes = threads.len(), has_tls = tls_address.is_some(), "tracker_started");
    let Parts { lanes, standing, clock, .. } = parts;
    Ok(Handle { address, tls_address, lanes, standing, clock, stop, running, threads })
}

impl Handle {
    /// The address that is listened on, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that is listened on with TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Whether the tracker should get traffic, as of now.
    pub fn readiness(&self) -> Readiness {
        let clicks = *self.running.borrow() == self.threads.len() && !*self.stop.borrow();
        let pixels_refusal = if !clicks {
            Some("a lane of the tracker has ended, or it stops".to_owned())
        } else if !self.lanes.iter().all(takes_records) {
            Some("a journal lane takes no records: see journal_ready_ratio and the log".to_owned())
        } else {
            self.standing.refusal(self.clock.now_ms())
        };
        Readiness { pixels: pixels_refusal.is_none(), pixels_refusal, clicks }
    }

    /// Begins to stop: no new connections; requests under way are finished. Returns at once.
    pub fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Resolves when a lane has ended, by [`begin_stop`](Self::begin_stop) or by itself.
    pub async fn ended(&self) {
        let lanes = self.threads.len();
        let mut running = self.running.clone();
        // The sender lives in the threads: gone, they have ended too.
        let _ = running.wait_for(|count| *count < lanes).await;
    }

    /// Stops, waits until every lane has drained and closed its journal, at most `drain_seconds_max` and `storage_seconds_max`.
    ///
    /// # Errors
    /// [`Error::Lane`] if a lane had ended before.
    pub async fn stop(self) -> Result<(), Error> {
        self.begin_stop();
        let mut running = self.running.clone();
        let _ = running.wait_for(|count| *count == 0).await;
        self.join()
    }

    /// As [`stop`](Self::stop), for callers without a runtime. Blocks.
    ///
    /// # Errors
    /// See [`stop`](Self::stop).
    pub fn stop_blocking(self) -> Result<(), Error> {
        self.begin_stop();
        self.join()
    }

    fn join(self) -> Result<(), Error> {
        let mut result = Ok(());
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => result = Err(Error::Lane(error.to_string())),
                Err(_) => result = Err(Error::Lane("panic".to_owned())),
            }
        }
        result
    }
}

fn takes_records(lane: &Writer) -> bool {
    match lane.health() {
        Health::Open { commit_running } => commit_running <= COMMIT_RUNNING_MAX,
        Health::Full | Health::Failed(_) | Health::Closed => false,
    }
}

/// Counts a lane as running.
struct Running(Arc<watch::Sender<usize>>);

impl Running {
    fn begin(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
