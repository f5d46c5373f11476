//! The roles of this process while they run: started in order, watched, stopped in order.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use journal::Writer;
use opt_out::{List, Registry};
use tokio::task::JoinHandle;

use super::{Ground, Roles, Signals, Want, registry};
use crate::admin::{self, Part, Readiness};
use crate::catalog_file::Watch;
use crate::cli::RoleArgs;
use crate::data_dir::{DataDir, Lock};
use crate::instance::{Instance, http_url};
use crate::metrics::Exporter;

/// The roles' handles. The admin port asks them whether they are ready until they are taken out to be stopped.
#[derive(Default)]
struct Handles {
    tracker: Option<ingest::Handle>,
    registry: Option<Registry>,
    page: Option<opt_out::Handle>,
    aggregator: Option<aggregator::Handle>,
}

/// Everything that runs.
pub(crate) struct Running {
    data: DataDir,
    instance: Instance,
    handles: Arc<Mutex<Handles>>,
    lanes: Vec<Writer>,
    tasks: Vec<JoinHandle<()>>,
    roles: Roles,
    catalog: PathBuf,
    operator_token: String,
    is_first_start: bool,
    _lock: Arc<Lock>,
}

impl Running {
    /// Starts roles. Call it on the process's runtime.
    ///
    /// # Errors
    /// What stops a role from starting. Those that were started before it are stopped in order first.
    pub(crate) async fn start(roles: Roles, args: &RoleArgs) -> anyhow::Result<Self> {
        let want = roles.want();
        let ground = Ground::lay(args, want)?;
        let mut instance = Instance::this_process();
        instance.public_url.clone_from(&ground.config.public_url);
        let mut running = Self {
            data: ground.data.clone(),
            instance,
            handles: Arc::default(),
            lanes: ground.lanes.clone(),
            tasks: Vec::new(),
            roles,
            catalog: ground.config.catalog_path(),
            operator_token: ground.operator_token.clone(),
            is_first_start: ground.is_first_start,
            _lock: Arc::clone(&ground.lock),
        };
        match running.start_roles(&ground, want) {
            Ok(()) => Ok(running),
            Err(error) => {
                if let Err(second) = running.stop().await {
                    tracing::error!(
                        error = format_args!("{second:#}"),
                        "stopping after a failed start failed too"
                    );
                }
                Err(error)
            }
        }
    }

    fn start_roles(&mut self, ground: &Ground, want: Want) -> anyhow::Result<()> {
        let admin_listener = bind("admin", ground.config.admin.listen)?;
        self.instance.admin = Some(address_of(&admin_listener)?);
        // Handed over one by one, so that a start that fails knows what to stop.
        if want.opt_out {
            let (registry, list) = registry::open(ground)?;
            self.handles().registry = Some(registry.clone());
            if want.page {
                let page = start_page(ground, registry)?;
                self.instance.opt_out = Some(page.address());
                self.handles().page = Some(page);
            }
            if want.tracker {
                let tracker = start_tracker(ground, list)?;
                self.instance.tracker = Some(tracker.address());
                self.handles().tracker = Some(tracker);
            }
        }
        if want.aggregator {
            let aggregator = start_aggregator(ground)?;
            self.instance.reports = Some(aggregator.address());
            self.handles().aggregator = Some(aggregator);
        } else if want.lanes {
            hold_for_aggregator(&ground.lanes)?;
        }
        let watch = Watch::new(ground.config.catalog_path(), ground.catalog.clone());
        let admin = serve_admin(admin_listener, readiness(&self.handles), ground.exporter.clone());
        self.tasks = vec![tokio::spawn(watch.run()), tokio::spawn(admin)];
        self.instance.write(&ground.data)
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it listens.
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &DataDir {
        &self.data
    }

    /// The operator's report token.
    pub(crate) fn operator_token(&self) -> &str {
        &self.operator_token
    }

    /// Says where everything is, and at the first start the token.
    pub(crate) fn print_addresses(&self, out: &mut dyn Write) -> io::Result<()> {
        let data = self.data.root().display();
        writeln!(out, "sightline {} on {data}", env!("CARGO_PKG_VERSION"))?;
        let shown = [
            ("tracker", self.instance.tracker, "/i?c=CAMPAIGN&p=PLACEMENT   URLs for media: sightline links"),
            ("opt-out", self.instance.opt_out, "/opt-out"),
            ("reports", self.instance.reports, "/v1/campaigns"),
            ("admin", self.instance.admin, "/ready  /metrics"),
        ];
        for (name, address, path) in shown {
            if let Some(address) = address {
                writeln!(out, "  {name:<8} {}{path}", http_url(address))?;
            }
        }
        writeln!(out, "  catalog  {}   read again within a second of a change", self.catalog.display())?;
        if self.is_first_start {
            writeln!(
                out,
                "  operator token, shown this once (kept in {}):",
                self.data.operator_token().display()
            )?;
            writeln!(out, "           {}", self.operator_token)?;
        }
        match self.roles {
            Roles::Standalone => {}
            Roles::Ingest => writeln!(
                out,
                "the tracker runs alone: beacons stay in {} until `standalone` or `aggregator` reads them; \
                 opt-outs lodged elsewhere do not reach it before roles are linked over Kafka",
                self.data.journal().display()
            )?,
            Roles::OptOut => writeln!(
                out,
                "the opt-out page runs alone: what is lodged holds for trackers that are started on {data} later; \
                 it does not reach trackers elsewhere before roles are linked over Kafka"
            )?,
            Roles::Aggregator => writeln!(
                out,
                "the aggregator runs alone: it reads the journal in {} and nothing that trackers elsewhere take before \
                 roles are linked over Kafka",
                self.data.journal().display()
            )?,
        }
        out.flush()
    }

    /// Waits for a signal, or for a role that ends by itself, which is an error.
    pub(crate) async fn until(&self, mut signals: Signals) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            tokio::select! {
                name = signals.next() => {
                    tracing::info!(signal = name, "stopping");
                    return Ok(());
                }
                _ = looks.tick() => {
                    if let Some(role) = self.dead_role() {
                        bail!("the {role} ended by itself; see the log");
                    }
                }
            }
        }
    }

    fn dead_role(&self) -> Option<&'static str> {
        let handles = self.handles();
        if handles.tracker.as_ref().is_some_and(|tracker| !tracker.readiness().clicks) {
            return Some("tracker");
        }
        if handles.page.as_ref().is_some_and(|page| !page.is_running()) {
            return Some("opt-out page");
        }
        if handles.aggregator.as_ref().is_some_and(|aggregator| !aggregator.is_running()) {
            return Some("aggregator");
        }
        None
    }

    /// Stops everything: no new work first, then what was taken is finished.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let handles = std::mem::take(&mut *self.handles());
        let mut result = Ok(());
        if let Some(tracker) = handles.tracker {
            result = tracker.stop().await.context("the tracker did not stop well");
        }
        let (lanes, data) = (self.lanes, self.data.clone());
        let rest = tokio::task::spawn_blocking(move || {
            if let Some(page) = handles.page {
                page.stop();
            }
            if let Some(opt_outs) = handles.registry {
                opt_outs.close();
                if let Err(error) = registry::keep(&data, &opt_outs) {
                    tracing::error!(error = format_args!("{error:#}"), "the number of receipts was not kept");
                }
            }
            // Closed lanes are read to their end: what was answered is in the store before the process ends.
            lanes.iter().for_each(Writer::close);
            if let Some(aggregator) = handles.aggregator {
                aggregator.stop();
            }
        });
        rest.await.context("stopping failed")?;
        for task in self.tasks {
            task.abort();
        }
        Instance::remove(&self.data);
        tracing::info!("stopped");
        result
    }
}

/// Binds a listener, saying whose it is when that fails.
fn bind(section: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!("cannot listen on {address}: stop what listens there, or set another address in [{section}] listen")
    })?;
    // What a runtime expects of a socket that it is given.
    listener.set_nonblocking(true).with_context(|| format!("cannot use the socket on {address}"))?;
    Ok(listener)
}

fn address_of(listener: &TcpListener) -> anyhow::Result<SocketAddr> {
    listener.local_addr().context("a listener has no address")
}

fn start_page(ground: &Ground, registry: Registry) -> anyhow::Result<opt_out::Handle> {
    let settings = ground.config.opt_out.clone();
    let listener = bind("opt_out", settings.listen)?;
    let parts =
        opt_out::Parts { settings, registry, keys: Arc::clone(&ground.keys), clock: ground.clock.clone() };
    opt_out::start(parts, listener).context("cannot start the opt-out page")
}

fn start_tracker(ground: &Ground, opt_outs: List) -> anyhow::Result<ingest::Handle> {
    let settings = ground.config.tracker.clone();
    let threads = if settings.lanes == 0 { ground.threads } else { settings.lanes };
    let parts = ingest::Parts {
        keys: Arc::clone(&ground.keys),
        catalog: ground.catalog.clone(),
        opt_outs,
        standing: opt_out::Standing::always(),
        lanes: ground.lanes.iter().take(threads).cloned().collect(),
        clock: ground.clock.clone(),
    };
    ingest::start(settings, parts).context("cannot start the tracker; its address stands in [tracker] listen")
}

fn start_aggregator(ground: &Ground) -> anyhow::Result<aggregator::Handle> {
    let settings = &ground.config.reports;
    let parts = aggregator::Parts {
        source: aggregator::Source::Lanes(ground.lanes.clone()),
        catalog: ground.catalog.clone(),
        tokens: aggregator::Tokens { operator: aggregator::Token::new(&ground.operator_token) },
        listener: bind("reports", settings.listen)?,
        clock: ground.clock.clone(),
        store: aggregator::StoreAt::Embedded {
            engine: ground.config.store.engine.clone(),
            path: ground.data.store(),
        },
        database: aggregator::DATABASE.to_owned(),
    };
    aggregator::start(settings, parts).context("cannot start the aggregator")
}

/// Where no aggregator runs, its cursors still have to hold the segments that it will read.
fn hold_for_aggregator(lanes: &[Writer]) -> anyhow::Result<()> {
    for lane in lanes {
        lane.reader(aggregator::CURSOR).context("cannot keep the journal for the aggregator")?;
    }
    Ok(())
}

/// What the admin port says of each part that runs here.
fn readiness(handles: &Arc<Mutex<Handles>>) -> Readiness {
    let handles = Arc::clone(handles);
    Arc::new(move || {
        let handles = handles.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parts = Vec::new();
        if let Some(tracker) = &handles.tracker {
            let ready = tracker.readiness();
            parts.push(Part { name: "pixels", not_ready: ready.pixels_refusal });
            let clicks = (!ready.clicks).then(|| "a lane of the tracker has ended".to_owned());
            parts.push(Part { name: "clicks", not_ready: clicks });
        }
        if let Some(aggregator) = &handles.aggregator {
            let not_ready = match aggregator.readiness() {
                aggregator::Readiness::Ready => None,
                aggregator::Readiness::Degraded(why) => Some(why),
            };
            parts.push(Part { name: "store", not_ready });
        }
        if handles.registry.is_some() {
            // The registry was replayed to its end before the tracker was started.
            parts.push(Part { name: "opt_out", not_ready: None });
        }
        if parts.is_empty() {
            parts.push(Part { name: "process", not_ready: Some("stopping".to_owned()) });
        }
        parts
    })
}

async fn serve_admin(listener: TcpListener, readiness: Readiness, exporter: Exporter) {
    if let Err(error) = admin::serve(listener, readiness, exporter).await {
        tracing::error!(error = format_args!("{error:#}"), "the admin port ended");
    }
}
