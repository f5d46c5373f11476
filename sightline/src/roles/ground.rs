//! What every role stands on: configuration, data folder and its lock, secrets, catalog, key ring, journal lanes.
//! The first start creates what is missing; nothing that exists is overwritten.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use audit::Entry;
use desk::Desk;
use event::clock::Clock;
use event::key::KeyRing;
use event::link::LinkKeys;
use event::profile::Profiles;
use journal::{Lane, Writer};
use kafka::Cluster;
use security_log::{PrivateKey, PublicKey, SecurityLog};
use serde_json::json;
use tls::Certificates;

use crate::catalog_file::{self, Taken};
use crate::catalog_topic::{self, Following};
use crate::cli::RoleArgs;
use crate::config::{Config, ConfigError};
use crate::data_dir::{self, DataDir, Lock, Secret};
use crate::grammars::Grammars;
use crate::key_file;
use crate::link_keys;
use crate::metrics::{self, Exporter};
use crate::region_file::Regions;

/// How long a start waits for the catalog of a cluster. A node whose catalog comes later is not ready until then.
const CATALOG_PATIENCE: Duration = Duration::from_secs(10);
/// Most lanes: more than any machine has cores for one tracker.
const LANES_MAX: usize = 256;

/// Which parts a process needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of parts, never passed side by side")]
pub(crate) struct Want {
    /// Journal lanes.
    pub(crate) lanes: bool,
    /// The opt-out list.
    pub(crate) opt_out: bool,
    /// The page on which people opt out.
    pub(crate) page: bool,
    /// The tracker.
    pub(crate) tracker: bool,
    /// The aggregator.
    pub(crate) aggregator: bool,
}

/// The ground of a process.
pub(crate) struct Ground {
    /// The configuration, with the data folder's keys entered.
    pub(crate) config: Config,
    /// The data folder.
    pub(crate) data: DataDir,
    /// Device and opt-out keys.
    pub(crate) keys: Arc<KeyRing>,
    /// The keys of signed links.
    pub(crate) link_keys: Arc<LinkKeys>,
    /// The way to Kafka, where there is one.
    pub(crate) cluster: Option<Cluster>,
    /// What hits are understood by.
    pub(crate) grammars: Grammars,
    /// The catalog in force.
    pub(crate) catalog: catalog::Shared,
    /// The region library, where the tracker runs.
    pub(crate) regions: Regions,
    /// What brings the catalog of a cluster.
    pub(crate) following: Option<Following>,
    /// Certificate and key, where a listener speaks TLS.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// The operator's report token.
    pub(crate) operator_token: String,
    /// The journal's lanes, by number.
    pub(crate) lanes: Vec<Writer>,
    /// Threads of the tracker where the configuration says none: one for each core.
    pub(crate) threads: usize,
    /// Metrics.
    pub(crate) exporter: Exporter,
    /// The time.
    pub(crate) clock: Clock,
    /// This is the first start on the folder.
    pub(crate) is_first_start: bool,
    /// The audit log.
    pub(crate) audit: audit::Log,
    /// The security log.
    pub(crate) security: SecurityLog,
    /// Keeps other processes out as long as it lives.
    pub(crate) lock: Arc<Lock>,
}

impl Ground {
    /// Lays the ground.
    ///
    /// # Errors
    /// A wrong configuration or catalog ([`ConfigError`]), a locked folder, a secret that others may read, a journal that
    /// cannot be opened.
    pub(crate) fn lay(args: &RoleArgs, want: Want) -> anyhow::Result<Self> {
        let mut config = Config::load(args.config.as_deref(), args.data.as_deref())?;
        let data = config.data_dir();
        let lock = data.open()?;
        let cluster = if config.kafka.is_on() {
            Some(Cluster::new(&config.kafka).map_err(|error| ConfigError::usage(error.to_string()))?)
        } else {
            None
        };
        if want.aggregator && !config.store.has_servers() {
            // Looked for before anything starts: the one thing that a new machine may lack.
            aggregator::engine::find_library(config.store.engine.as_deref())?;
        }
        let grammars = Grammars::load(config.grammars.as_deref())?;
        let clock = Clock::System;
        // Judged before anything is made; once more below, where its end can be told to the metrics.
        config.certificates(&clock)?;
        let exporter = metrics::install()?;
        let audit = open_audit(&config, &data, &clock)?;
        let keys = key_ring(&config, &audit)?;
        let security = open_security(&config, &data, &clock, &audit)?;
        let link_keys = if want.tracker || want.aggregator {
            link_keys::load_or_draw(&config, &data, &audit)?
        } else {
            LinkKeys::default()
        };
        let operator = drawn_token(&data.operator_token(), "sightline_operator_", &audit)?;
        if want.tracker {
            enter_own_keys(&mut config, &data, &audit)?;
        }
        let certificates = config.certificates(&clock)?.map(Arc::new);
        let (catalog, following) = match &cluster {
            Some(cluster) => follow_catalog(cluster, &data, &grammars.profiles, &audit)?,
            None => (read_catalog(&config, &grammars.profiles)?, None),
        };
        let library = config.regions.file.as_deref().filter(|_| want.tracker);
        let regions = Regions::open(library, &audit)?;
        let reads_lanes = want.tracker || (want.aggregator && cluster.is_none());
        let lanes = if want.lanes && reads_lanes { open_lanes(&config, &data, &clock)? } else { Vec::new() };
        Ok(Self {
            exporter: exporter.with_lanes(lanes.clone()),
            certificates,
            cluster,
            catalog,
            regions,
            following,
            grammars,
            keys: Arc::new(keys),
            link_keys: Arc::new(link_keys),
            operator_token: operator.text,
            threads: cores(),
            is_first_start: operator.is_new,
            config,
            data,
            lanes,
            clock,
            audit,
            security,
            lock: Arc::new(lock),
        })
    }
}

impl Ground {
    /// What people entered: in the data folder, or in its topic, which may still be read when this returns.
    ///
    /// # Errors
    /// A file that cannot be read, or no thread.
    pub(crate) fn open_desk(&self) -> anyhow::Result<Desk> {
        match &self.cluster {
            Some(cluster) => {
                Desk::topic(cluster.clone(), &self.data.desk_copy()).context("cannot follow the desk's topic")
            }
            None => Desk::folder(&self.data.desk()).context("cannot open the desk"),
        }
    }
}

/// The catalog of the configured file, or the example.
fn read_catalog(config: &Config, profiles: &Profiles) -> anyhow::Result<catalog::Shared> {
    let path = config.catalog_path();
    // Only the default place is filled: a path that was configured and is missing is a mistake to be told.
    if config.catalog.is_none() && catalog_file::write_example_if_missing(&path)? {
        tracing::info!(path = %path.display(), "example catalog written");
    }
    let catalog = catalog_file::read(&path, profiles)?;
    metrics::catalog_taken(catalog.campaigns.len());
    Ok(catalog.into_shared())
}

/// The catalog of the cluster, or the one that was kept while Kafka is away.
fn follow_catalog(
    cluster: &Cluster,
    data: &DataDir,
    profiles: &Arc<Profiles>,
    audit: &audit::Log,
) -> anyhow::Result<(catalog::Shared, Option<Following>)> {
    let path = data.catalog_kept();
    let kept = catalog_topic::kept(&path, profiles);
    let has_kept = kept.is_some();
    let shared = kept.unwrap_or_default().into_shared();
    let taken = Taken { shared: shared.clone(), audit: audit.clone() };
    let following = Following::start(cluster.clone(), taken, Arc::clone(profiles), path, has_kept)?;
    if !following.wait(CATALOG_PATIENCE)? {
        tracing::warn!(has_kept, "the catalog's topic was not read yet; it is tried on");
    }
    Ok((shared, Some(following)))
}

/// The audit log; its key is drawn at the first start.
pub(crate) fn open_audit(config: &Config, data: &DataDir, clock: &Clock) -> anyhow::Result<audit::Log> {
    let key = match &config.audit.key_file {
        Some(path) => data_dir::read_secret(path)?,
        None => data_dir::token(&data.audit_key(), "sightline_audit_")?.text,
    };
    let parts = audit::Parts {
        dir: data.audit(),
        key: audit::Key::from_text(&key)?,
        head_file: Some(data.audit_head()),
        settings: config.audit.clone(),
        clock: clock.clone(),
    };
    audit::Log::open(parts).with_context(|| format!("cannot open the audit log {}", data.audit().display()))
}

/// The security log. The first start draws its keys; what opens it is for somebody else to keep.
fn open_security(
    config: &Config,
    data: &DataDir,
    clock: &Clock,
    audit: &audit::Log,
) -> anyhow::Result<SecurityLog> {
    let settings = config.security_log.clone();
    if !settings.enabled {
        tracing::warn!("no security log is kept: security_log.enabled = false");
        return Ok(SecurityLog::off());
    }
    let public = match &settings.public_key_file {
        Some(path) => data_dir::read_secret(path)?,
        None if data.security_public_key().exists() => data_dir::read_secret(&data.security_public_key())?,
        None => {
            let drawn = PrivateKey::draw()?;
            // A private key that is there and has lost its public half is used again.
            let path = data.security_private_key();
            let private = data_dir::secret(&path, || Ok(drawn.to_text().to_string()))?;
            let public = PrivateKey::from_text(&private.text)?.public().to_text();
            data_dir::secret(&data.security_public_key(), || Ok(public.clone()))?;
            audit.append(&Entry::new(
                "system",
                "security_log.key_drawn",
                path.display().to_string(),
                json!(null),
            ))?;
            public
        }
    };
    let private = data.security_private_key();
    if private.exists() {
        // At each start: whoever takes this machine could read whom the log is about.
        tracing::warn!(
            path = %private.display(),
            "the key that opens the security log lies on the machine that writes it: give it to whoever may read that log, and remove it here"
        );
    }
    let key = PublicKey::from_text(&public)?;
    let parts = security_log::Parts { dir: data.security(), key, settings, clock: clock.clone() };
    SecurityLog::open(parts)
        .with_context(|| format!("cannot open the security log {}", data.security().display()))
}

fn key_ring(config: &Config, audit: &audit::Log) -> anyhow::Result<KeyRing> {
    let path = config.key_path();
    key_file::finish(&path)
        .with_context(|| format!("cannot clear away what replacing {} left", path.display()))?;
    let secret = data_dir::secret(&path, || {
        if config.key_file.is_some() {
            // A configured path that is empty is more likely a mount that is missing than a wish for new keys: with
            // others, every device would count as new.
            return Err(ConfigError::usage(format!(
                "key_file {} does not exist: restore it, or leave key_file out of the configuration to have one made",
                path.display()
            ))
            .into());
        }
        // A source that fails shows here, before a key ring is asked to be made of nothing.
        data_dir::random(&mut [0; 32])?;
        let mut failed = None;
        let ring = KeyRing::generate(|bytes| failed = data_dir::random(bytes).err());
        match failed {
            Some(error) => Err(error),
            None => Ok(ring.to_file_text().to_string()),
        }
    })?;
    if secret.is_new {
        audit.append(&Entry::new(
            "system",
            "keys.drawn",
            path.display().to_string(),
            json!({ "epoch": 1 }),
        ))?;
        tracing::info!(path = %path.display(), "device keys drawn: keep a copy, without them old and new figures cannot be joined");
    }
    let ring = KeyRing::from_file_text(&secret.text)
        .with_context(|| format!("the key file {} is damaged", path.display()))?;
    let ring = ring.without_ended_overlap((Clock::System.now_ms() / 1000).unsigned_abs());
    if let Some(overlap) = ring.overlap() {
        tracing::info!(
            epoch = overlap.epoch,
            until = overlap.ends_at(),
            "the device key before the current one still overlaps with it"
        );
    }
    Ok(ring)
}

/// Registers the data folder's replay key and debug key with the tracker.
fn enter_own_keys(config: &mut Config, data: &DataDir, audit: &audit::Log) -> anyhow::Result<()> {
    drawn_token(&data.replay_key(), "sightline_replay_", audit)?;
    config.tracker.server.push(ingest::Server {
        networks: Vec::new(),
        name: "replay".to_owned(),
        key_sha256: None,
        key_file: Some(data.replay_key()),
        signing_key_files: Vec::new(),
        signature: ingest::Signature::Optional,
        rights: vec![ingest::Right::Ip, ingest::Right::Ua, ingest::Right::Backdate],
    });
    if config.tracker.debug_key_file.is_none() {
        drawn_token(&data.debug_key(), "sightline_debug_", audit)?;
        config.tracker.debug_key_file = Some(data.debug_key());
    }
    Ok(())
}

/// The token or key in `path`; that it is drawn is an act, entered before.
///
/// # Errors
/// It cannot be read, entered or written.
pub(crate) fn drawn_token(path: &Path, prefix: &str, audit: &audit::Log) -> anyhow::Result<Secret> {
    if !path.exists() {
        audit.append(&Entry::new("system", "secrets.drawn", path.display().to_string(), json!(null)))?;
    }
    data_dir::token(path, prefix)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn open_lanes(config: &Config, data: &DataDir, clock: &Clock) -> anyhow::Result<Vec<Writer>> {
    let wanted = if config.tracker.lanes == 0 { cores() } else { config.tracker.lanes };
    // Lanes of an earlier start with more threads still hold events that nobody has read: they are opened too.
    let existing = (0..LANES_MAX).rev().find(|n| data.lane(*n).is_dir()).map_or(0, |n| n + 1);
    let mut lanes = Vec::new();
    for number in 0..wanted.max(existing).min(LANES_MAX) {
        let dir = data.lane(number);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let clock = clock.clone();
        // What recovery found, damage above all, the journal logs itself.
        let (writer, _) = Lane::open(&dir, config.journal.settings(), Arc::new(move || clock.now_ms()))
            .with_context(|| format!("cannot open the journal lane {}", dir.display()))?;
        lanes.push(writer);
    }
    Ok(lanes)
}
