//! The roles of this process while they run: started in order, watched, stopped in order.

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use audit::Entry;
use desk::Desk;
use ingest::forwarder::{self, Forwarder};
use journal::Writer;
use opt_out::import::Importer;
use opt_out::{Registry, Requests};
use serde_json::json;
use tokio::task::JoinHandle;

use super::certificates;
use super::deletions;
use super::listening::{address_of, bind, listeners};
use super::registry::{self, OptOuts};
use super::rights::{Doer, Runner};
use super::{Ground, Roles, Signals, Want, requests, upkeep};
use crate::admin::{self, Desks, Part, Readiness};
use crate::catalog_file::{Taken, Watch};
use crate::catalog_text::{FileText, TopicText};
use crate::catalog_topic::Following;
use crate::cli::RoleArgs;
use crate::config::ConfigError;
use crate::data_dir::{DataDir, Lock};
use crate::instance::{Instance, http_url, sole_name};
use crate::metrics::Exporter;

/// How long a stop waits until Kafka has what the journal holds. What is left goes with the next start.
const FORWARD_PATIENCE: Duration = Duration::from_secs(10);
/// How often the number of receipts is kept.
const KEEP_INTERVAL: Duration = Duration::from_mins(1);

/// The roles' handles. The admin port asks them whether they are ready until they are taken out to be stopped.
#[derive(Default)]
struct Handles {
    tracker: Option<ingest::Handle>,
    forwarder: Option<Forwarder>,
    opt_outs: Option<OptOuts>,
    catalog: Option<Following>,
    page: Option<opt_out::Handle>,
    aggregator: Option<aggregator::Handle>,
    requests: Option<Requests>,
    rights: Option<Runner>,
    desk: Option<Desk>,
}

/// Everything that runs.
pub(crate) struct Running {
    data: DataDir,
    instance: Instance,
    handles: Arc<Mutex<Handles>>,
    lanes: Vec<Writer>,
    tasks: Vec<JoinHandle<()>>,
    roles: Roles,
    /// Where the catalog comes from, for people.
    catalog: String,
    is_linked: bool,
    operator_token: String,
    is_first_start: bool,
    security: security_log::SecurityLog,
    /// The audit log, from the moment that the start is entered.
    audit: Option<audit::Log>,
    _lock: Arc<Lock>,
}

impl Running {
    /// Starts roles. Call it on the process's runtime.
    ///
    /// # Errors
    /// What stops a role from starting. Those that were started before it are stopped in order first.
    pub(crate) async fn start(roles: Roles, args: &RoleArgs) -> anyhow::Result<Self> {
        let want = roles.want();
        let mut ground = Ground::lay(args, want)?;
        let mut instance = Instance::this_process();
        instance.public_url.clone_from(&ground.config.public_url);
        let mut running = Self {
            data: ground.data.clone(),
            instance,
            handles: Arc::new(Mutex::new(Handles { catalog: ground.following.take(), ..Handles::default() })),
            lanes: ground.lanes.clone(),
            tasks: Vec::new(),
            roles,
            catalog: match &ground.cluster {
                None => format!(
                    "{}   read again within a second of a change",
                    ground.config.catalog_path().display()
                ),
                Some(cluster) => format!("Kafka topic {}", cluster.topic(kafka::Topic::Catalog)),
            },
            is_linked: ground.cluster.is_some(),
            operator_token: ground.operator_token.clone(),
            is_first_start: ground.is_first_start,
            security: ground.security.clone(),
            audit: None,
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
        let admin_listener = bind("admin", "listen", ground.config.admin.listen)?;
        self.instance.admin = Some(address_of(&admin_listener)?);
        let requests = requests::open(ground, want)?;
        // Handed over one by one, so that a start that fails knows what to stop.
        self.handles().requests.clone_from(&requests);
        if want.opt_out {
            let opt_outs = registry::open(ground, want)?;
            let (list, standing) = (opt_outs.list().clone(), opt_outs.standing());
            let registry = opt_outs.registry().cloned();
            self.handles().opt_outs = Some(opt_outs);
            if let Some(registry) = registry.filter(|_| want.page) {
                let page = start_page(ground, registry, requests.clone())?;
                self.instance.opt_out = Some(page.address());
                self.instance.opt_out_tls = page.tls_address();
                self.handles().page = Some(page);
            }
            if want.tracker {
                let tracker = start_tracker(ground, list, standing)?;
                self.instance.tracker = Some(tracker.address());
                self.instance.tracker_tls = tracker.tls_address();
                self.handles().tracker = Some(tracker);
            }
        }
        if let Some(cluster) = ground.cluster.as_ref().filter(|_| !ground.lanes.is_empty()) {
            let forwarder =
                forwarder::start(cluster.clone(), &ground.lanes).context("cannot start the forwarder")?;
            self.handles().forwarder = Some(forwarder);
            // Only now: a lane without any cursor may lose what nobody has read.
            forget_reader(&ground.lanes, aggregator::CURSOR)?;
        }
        if want.aggregator {
            self.start_reports(ground, requests.as_ref())?;
        } else if ground.cluster.is_none() && want.lanes {
            hold_for_aggregator(&ground.lanes)?;
        }
        if ground.cluster.is_none() {
            forget_reader(&ground.lanes, forwarder::CURSOR)?;
            let watch = Watch::new(
                ground.config.catalog_path(),
                Taken { shared: ground.catalog.clone(), audit: ground.audit.clone() },
                Arc::clone(&ground.grammars.profiles),
            );
            self.tasks.push(tokio::spawn(watch.run()));
        }
        if let Some(watch) = ground.regions.watch() {
            self.tasks.push(tokio::spawn(watch.run()));
        }
        if let Some(requests) = &requests {
            let here = self.handles().aggregator.as_ref().map(aggregator::Handle::rights);
            let doer = Doer::of(here, &ground.config.opt_out.requests)?;
            let runner = Runner::start(requests.clone(), doer, ground.config.reports.retention_days)?;
            self.handles().rights = Some(runner);
        }
        let desks = desks(ground, requests, &self.handles());
        let admin = serve_admin(
            admin_listener,
            readiness(&self.handles, self.is_linked),
            ground.exporter.clone(),
            desks,
        );
        self.tasks.push(tokio::spawn(admin));
        if let Some(certificates) = &ground.certificates {
            self.instance.certificate_name = sole_name(&certificates.names());
            self.tasks.push(tokio::spawn(certificates::follow(Arc::clone(certificates))?));
        }
        self.instance.write(&ground.data)?;
        let details = json!({ "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id() });
        ground.audit.append(&Entry::new("system", "process.started", self.roles.name(), details))?;
        self.audit = Some(ground.audit.clone());
        self.tasks.push(tokio::spawn(upkeep::look_after(ground.audit.clone())));
        Ok(())
    }

    fn start_reports(&mut self, ground: &Ground, requests: Option<&Requests>) -> anyhow::Result<()> {
        let desk = ground.open_desk()?;
        self.handles().desk = Some(desk.clone());
        let aggregator = start_aggregator(ground, requests, desk)?;
        self.instance.reports = Some(aggregator.address());
        self.instance.reports_tls = aggregator.tls_address();
        self.handles().aggregator = Some(aggregator);
        Ok(())
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
            ("reports", self.instance.reports, "/   dashboard; its API is under /v1"),
            ("admin", self.instance.admin, "/ready  /metrics"),
        ];
        let secure = [self.instance.tracker_tls, self.instance.opt_out_tls, self.instance.reports_tls, None];
        for ((name, address, path), secure) in shown.into_iter().zip(secure) {
            if let Some(address) = secure {
                writeln!(out, "  {name:<8} {}{path}", self.instance.https_url(address))?;
            }
            if let Some(address) = address {
                writeln!(out, "  {name:<8} {}{path}", http_url(address))?;
            }
        }
        writeln!(out, "  catalog  {}", self.catalog)?;
        if self.is_first_start {
            writeln!(
                out,
                "  operator token, shown this once (kept in {}):",
                self.data.operator_token().display()
            )?;
            writeln!(out, "           {}", self.operator_token)?;
        }
        match self.roles {
            _ if self.is_linked => writeln!(out, "linked over Kafka")?,
            Roles::Standalone => {}
            Roles::Ingest => writeln!(
                out,
                "the tracker runs alone: beacons stay in {} until `standalone` or `aggregator` reads them; \
                 opt-outs lodged elsewhere do not reach it unless [kafka] brokers link the roles",
                self.data.journal().display()
            )?,
            Roles::OptOut => writeln!(
                out,
                "the opt-out page runs alone: what is lodged holds for trackers that are started on {data} later; \
                 it does not reach trackers elsewhere unless [kafka] brokers link the roles"
            )?,
            Roles::Aggregator => writeln!(
                out,
                "the aggregator runs alone: it reads the journal in {} and nothing that trackers elsewhere take \
                 unless [kafka] brokers link the roles",
                self.data.journal().display()
            )?,
        }
        out.flush()
    }

    /// Waits for a signal, or for a role that ends by itself, which is an error.
    pub(crate) async fn until(&self, mut signals: Signals) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(Duration::from_secs(1));
        let mut keep_at = Instant::now() + KEEP_INTERVAL;
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
                    if Instant::now() >= keep_at {
                        keep_at = Instant::now() + KEEP_INTERVAL;
                        keep_receipts(self.handles().opt_outs.as_ref(), &self.data);
                        requests::keep(self.handles().requests.as_ref(), &self.data);
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
        if handles.rights.as_ref().is_some_and(|rights| !rights.is_running()) {
            return Some("thread of persons' requests");
        }
        if handles.forwarder.as_ref().is_some_and(|forwarder| !forwarder.is_running()) {
            return Some("forwarder");
        }
        if handles.catalog.as_ref().is_some_and(|catalog| !catalog.is_running()) {
            return Some("catalog's follower");
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
        let security = self.security;
        let (lanes, data, audit, roles) = (self.lanes, self.data.clone(), self.audit, self.roles);
        let rest = tokio::task::spawn_blocking(move || {
            if let Some(page) = handles.page {
                page.stop();
            }
            if let Some(rights) = handles.rights {
                rights.stop();
            }
            if let Some(requests) = handles.requests {
                requests::keep(Some(&requests), &data);
                requests.close();
            }
            if let Some(opt_outs) = handles.opt_outs {
                keep_receipts(Some(&opt_outs), &data);
                opt_outs.close();
            }
            // Closed lanes are read to their end: what was answered is in the store before the process ends.
            lanes.iter().for_each(Writer::close);
            if let Some(forwarder) = handles.forwarder {
                forwarder.stop(FORWARD_PATIENCE);
            }
            if let Some(aggregator) = handles.aggregator {
                aggregator.stop();
            }
            if let Some(desk) = handles.desk {
                desk.close();
            }
            if let Some(catalog) = handles.catalog {
                catalog.stop();
            }
            security.close();
            if let Some(audit) = audit {
                // Stopping goes on without it: a beginning without an end says as much.
                if let Err(error) =
                    audit.append(&Entry::new("system", "process.stopped", roles.name(), json!(null)))
                {
                    tracing::error!(%error, "that the process stops is not in the audit log");
                }
                audit.close();
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

/// Keeps the number of receipts; that it could not be kept is no reason to stop.
fn keep_receipts(opt_outs: Option<&OptOuts>, data: &DataDir) {
    if let Some(Err(error)) = opt_outs.map(|opt_outs| opt_outs.keep(data)) {
        tracing::error!(error = format_args!("{error:#}"), "the number of receipts was not kept");
    }
}

fn start_page(
    ground: &Ground,
    registry: Registry,
    requests: Option<Requests>,
) -> anyhow::Result<opt_out::Handle> {
    let settings = ground.config.opt_out.clone();
    let listeners = listeners(ground, "opt_out", settings.listen, settings.listen_tls)?;
    let log = &ground.config.security_log;
    let dsr = deletions::open(ground, requests.is_some())?;
    let parts = opt_out::Parts {
        settings,
        registry,
        requests,
        dsr,
        keys: Arc::clone(&ground.keys),
        clock: ground.clock.clone(),
        security: ground.security.clone(),
        kept: opt_out::Kept {
            event_days: ground.config.reports.retention_days,
            security_log_days: log.enabled.then_some(log.retention_days),
        },
    };
    opt_out::start(parts, listeners).context("cannot start the opt-out page")
}

fn start_tracker(
    ground: &Ground,
    opt_outs: opt_out::List,
    standing: opt_out::Standing,
) -> anyhow::Result<ingest::Handle> {
    let mut settings = ground.config.tracker.clone();
    settings.public_url.clone_from(&ground.config.public_url);
    let threads = if settings.lanes == 0 { ground.threads } else { settings.lanes };
    let parts = ingest::Parts {
        dialects: Arc::clone(&ground.grammars.dialects),
        keys: Arc::clone(&ground.keys),
        link_keys: Arc::clone(&ground.link_keys),
        catalog: ground.catalog.clone(),
        regions: Arc::clone(&ground.regions.shared),
        opt_outs,
        standing,
        lanes: ground.lanes.iter().take(threads).cloned().collect(),
        clock: ground.clock.clone(),
        security: ground.security.clone(),
        tls: ground.certificates.as_ref().map(|certificates| certificates.acceptor("tracker")),
    };
    ingest::start(settings, parts).map_err(|error| {
        let hint = match error.key() {
            Some("tracker.listen") => ": stop what listens there, or set another address in [tracker] listen",
            Some("tracker.listen_tls") => {
                ": stop what listens there, or set another address in [tracker] listen_tls"
            }
            Some(_) | None => "",
        };
        anyhow!("cannot start the tracker: {error}{hint}")
    })
}

fn start_aggregator(
    ground: &Ground,
    requests: Option<&Requests>,
    desk: Desk,
) -> anyhow::Result<aggregator::Handle> {
    let settings = &ground.config.reports;
    let store = &ground.config.store;
    let source = match &ground.cluster {
        None => aggregator::Source::Lanes(ground.lanes.clone()),
        Some(cluster) => {
            if !store.has_servers() {
                tracing::warn!(
                    group = ground.config.kafka.group,
                    "the events are kept by the engine inside: this has to be the only aggregator of its group, for several would keep a share each"
                );
            }
            aggregator::Source::Kafka(cluster.clone())
        }
    };
    let parts = aggregator::Parts {
        source,
        catalog: ground.catalog.clone(),
        catalog_text: Some(catalog_text(ground)),
        alerts: super::alerts::alerts(&ground.config)?,
        tokens: aggregator::Tokens { operator: aggregator::Token::new(&ground.operator_token), desk },
        audit: ground.audit.clone(),
        security: ground.security.clone(),
        tombstones: requests.map(Requests::erased).unwrap_or_default().into_iter().map(tombstone).collect(),
        links: aggregator::LinkParts {
            base: ground.config.public_url.clone(),
            dialects: Arc::clone(&ground.grammars.dialects),
            profiles: Arc::clone(&ground.grammars.profiles),
            keys: Arc::clone(&ground.link_keys),
        },
        listeners: listeners(ground, "reports", settings.listen, settings.listen_tls)?,
        clock: ground.clock.clone(),
        store: store
            .at(ground.data.store())
            .map_err(|error| ConfigError::usage(format!("[store] {error}")))?,
        database: store.database.clone(),
    };
    // A thread of its own: the store's servers are asked by blocking calls, which have no place on a runtime's thread.
    let started = std::thread::scope(|scope| scope.spawn(|| aggregator::start(settings, parts)).join());
    started
        .map_err(|_| anyhow!("the aggregator panicked while it started"))?
        .context("cannot start the aggregator")
}

/// Where campaigns that are set up over the API are written.
fn catalog_text(ground: &Ground) -> Arc<dyn aggregator::CatalogText> {
    let taken = Taken { shared: ground.catalog.clone(), audit: ground.audit.clone() };
    match &ground.cluster {
        None => Arc::new(FileText::new(ground.config.catalog_path(), taken)),
        Some(cluster) => {
            let profiles = Arc::clone(&ground.grammars.profiles);
            Arc::new(TopicText::new(cluster.clone(), profiles, ground.catalog.clone()))
        }
    }
}

fn tombstone((devices, until_ms): (Vec<event::key::DeviceKey>, i64)) -> aggregator::Tombstone {
    aggregator::Tombstone { devices, until_ms }
}

/// Where no aggregator runs, its cursors still have to hold the segments that it will read.
fn hold_for_aggregator(lanes: &[Writer]) -> anyhow::Result<()> {
    for lane in lanes {
        lane.reader(aggregator::CURSOR).context("cannot keep the journal for the aggregator")?;
    }
    Ok(())
}

/// Nobody reads under this name any more: its cursor must not hold the journal back.
fn forget_reader(lanes: &[Writer], cursor: &str) -> anyhow::Result<()> {
    for lane in lanes {
        if lane.cursors().iter().any(|found| found.name == cursor) {
            tracing::info!(
                cursor,
                "the journal is read by another way now: its former reader's cursor is forgotten"
            );
            lane.remove_cursor(cursor).context("cannot forget a cursor of the journal")?;
        }
    }
    Ok(())
}

/// What the admin port says of each part that runs here.
fn readiness(handles: &Arc<Mutex<Handles>>, is_linked: bool) -> Readiness {
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
        if let Some(desk) = handles.desk.as_ref().filter(|_| is_linked) {
            parts.push(Part { name: "desk", not_ready: desk.behind() });
        }
        if let Some(opt_outs) = &handles.opt_outs {
            parts.push(Part { name: "opt_out", not_ready: opt_outs.not_ready() });
        }
        if let Some(catalog) = &handles.catalog {
            parts.push(Part { name: "catalog", not_ready: catalog.not_ready() });
        }
        if parts.is_empty() {
            parts.push(Part { name: "process", not_ready: Some("stopping".to_owned()) });
        }
        parts
    })
}

/// What the operator may do at the admin port, as far as this process keeps it.
fn desks(ground: &Ground, requests: Option<Requests>, handles: &Handles) -> Desks {
    let token = || aggregator::Token::new(&ground.operator_token);
    let registry = handles.opt_outs.as_ref().and_then(OptOuts::registry).cloned();
    let rights = handles.aggregator.as_ref().map(aggregator::Handle::rights);
    let dir = ground.data.requests().join("sent");
    admin::rights::tidy(&dir);
    let importer =
        registry.map(|registry| Importer::new(registry, Arc::clone(&ground.keys), ground.audit.clone()));
    Desks {
        requests: requests.map(|requests| {
            let keys = Arc::clone(&ground.keys);
            admin::requests::Desk { requests, token: token(), keys }
        }),
        security: ground.security.recorder(),
        acts: Some(admin::acts::Desk { audit: ground.audit.clone(), token: token() }),
        import: importer.map(|importer| admin::import::Desk { importer, token: token() }),
        rights: rights.map(|rights| admin::rights::Desk {
            rights,
            token: token(),
            audit: ground.audit.clone(),
            dir,
        }),
    }
}

async fn serve_admin(listener: TcpListener, readiness: Readiness, exporter: Exporter, desks: Desks) {
    if let Err(error) = admin::serve(listener, readiness, exporter, desks).await {
        tracing::error!(error = format_args!("{error:#}"), "the admin port ended");
    }
}
