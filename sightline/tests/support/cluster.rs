//! A whole cluster on this machine: three Kafka nodes, a store over HTTP, the opt-out role, ingest nodes and aggregators, each a process of its
//! own, with one key ring.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use test_server::{Faults, TestServer};

use super::http::{Connection, Response};
use super::{CATALOG, Instance, Options, wait_for};

#[path = "../../../kafka/tests/support/mod.rs"]
mod broker;

pub(crate) use broker::Broker;

/// The OAID that opted out before there was a Kafka.
pub(crate) const EARLY: &str = "99999999-2222-4333-8444-555555555555";
/// Longest wait for a state that comes by itself.
const PATIENCE: Duration = Duration::from_secs(90);

/// The cluster. Everything is stopped and removed when it is dropped.
pub(crate) struct Cluster {
    /// The opt-out role.
    pub(crate) opt_out: Instance,
    /// Nodes that take beacons.
    pub(crate) ingest: Vec<Instance>,
    /// Nodes that make figures.
    pub(crate) aggregators: Vec<Instance>,
    /// The store.
    store: TestServer,
    /// Kafka.
    pub(crate) broker: Broker,
    shared: tempfile::TempDir,
    /// Last, so that the engine is closed before the next cluster opens it.
    _alone: MutexGuard<'static, ()>,
}

/// A process can have one engine open, and ten processes are load enough: one cluster at a time.
static ALONE: Mutex<()> = Mutex::new(());

impl Cluster {
    /// Starts one with so many ingest nodes and aggregators and waits until all are ready.
    pub(crate) fn start(ingest: usize, aggregators: usize) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = tempfile::tempdir().expect("a folder");
        let library = aggregator::engine::find_library(None).expect("the engine: run deploy/engine/fetch");
        let store = TestServer::start(&library, &shared.path().join("store")).expect("the store starts");
        let broker = Broker::start(3);
        write_keys(&shared.path().join("device.keys"));
        let options = |role, sections: &str| Options {
            role,
            head: format!("key_file = \"{}/device.keys\"", shared.path().display()),
            sections: format!(
                "[kafka]\nbrokers = {:?}\npartitions = 4\nreplication = 3\nsession_seconds_max = 6\ndelivery_seconds_max = 20\n{sections}",
                broker.settings.brokers
            ),
            ..Options::default()
        };
        let operator = Instance::prepare(options("opt-out", ""));
        let file = shared.path().join("catalog.toml");
        fs::write(&file, CATALOG).expect("written");
        let file = file.to_str().expect("a name of ASCII").to_owned();
        let published = operator.command(&["catalog", "publish", &file, "--config", "config.toml"]);
        assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));

        // The opt-out role was there before there was a Kafka: whoever opted out then is still left out.
        let mut opt_out = Instance::start(Options { sections: String::new(), ..options("opt-out", "") });
        let lodged = lodge(&opt_out, "oaid", EARLY);
        assert_eq!(lodged.status, 200, "{}", lodged.text());
        assert!(opt_out.terminate().success(), "{}", opt_out.log_tail());
        opt_out.set_options(options("opt-out", ""));
        opt_out.restart();
        let servers = format!(
            "[store]\nservers = [\"{}\"]\nretry_seconds_max = 5\nstatement_seconds_max = 10\n",
            store.url()
        );
        let reports = "settle_interval_seconds = 2\nmarks_open_seconds_max = 60\n".to_owned();
        let node =
            |_| Instance::start(Options { reports: reports.clone(), ..options("aggregator", &servers) });
        let aggregators: Vec<Instance> = (0..aggregators).map(node).collect();
        // Persons' requests are carried out by the first of them.
        let requests = aggregators.first().map_or_else(String::new, |first| {
            let token = first.data().join("keys/operator.token");
            format!(
                "[opt_out.limits]\nrequests_burst_max = 100000\n[opt_out.requests]\naggregator_url = \"http://{}\"\naggregator_token_file = {:?}\n",
                first.admin(),
                token.display().to_string()
            )
        });
        assert!(opt_out.terminate().success(), "{}", opt_out.log_tail());
        opt_out.set_options(Options { opt_out: requests, ..options("opt-out", "") });
        opt_out.restart();
        let ask = format!("heartbeat_urls = [\"http://{}\"]\n", opt_out.opt_out());
        let node = |_| Instance::start(Options { opt_out: ask.clone(), ..options("ingest", "") });
        let ingest = (0..ingest).map(node).collect();
        Self { opt_out, ingest, aggregators, store, broker, shared, _alone: alone }
    }

    /// What goes wrong with the store.
    pub(crate) fn store_faults(&self) -> &Faults {
        self.store.faults()
    }

    /// The folder with what all nodes share.
    pub(crate) fn shared(&self) -> &Path {
        self.shared.path()
    }

    /// Number of the aggregator that settles, once there is exactly one.
    pub(crate) fn settler(&self) -> usize {
        let mut found = 0;
        wait_for("exactly one aggregator settles", PATIENCE, || {
            let settles = |node: &Instance| node.metric("aggregator_settler_count") == 1;
            let settlers: Vec<usize> =
                (0..self.aggregators.len()).filter(|n| settles(&self.aggregators[*n])).collect();
            found = settlers.first().copied().unwrap_or(0);
            settlers.len() == 1
        });
        found
    }

    /// Waits until everything that was answered is in the store: no backlog at the ingest nodes, no lag of the group.
    pub(crate) fn drain(&self) {
        wait_for("the ingest nodes have forwarded all", PATIENCE, || {
            self.ingest.iter().all(|node| node.metric("ingest_forward_backlog_bytes") == 0)
        });
        // Settling waits for the group's offsets to reach the ends of all partitions as of now.
        wait_for("the aggregators have loaded all", PATIENCE, || {
            let answer = self.aggregators[self.settler()].try_ask("POST", "/v1/settle");
            answer.is_ok_and(|answer| answer.status == 200)
        });
    }

    /// Lodges an opt-out, as the page's API does.
    pub(crate) fn lodge(&self, kind: &str, value: &str) -> Response {
        lodge(&self.opt_out, kind, value)
    }
}

fn lodge(role: &Instance, kind: &str, value: &str) -> Response {
    let body: Value = serde_json::json!({"ids": [{"kind": kind, "value": value}]});
    let mut connection = Connection::open(role.opt_out()).expect("the opt-out role listens");
    connection.post_json("/v1/opt-outs", &[], &body).expect("it answers")
}

/// One key ring for all nodes.
fn write_keys(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mut state = 0x5ee_d0f4_u64;
    let ring = event::key::KeyRing::generate(|bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 33) as u8;
        }
    });
    fs::write(path, ring.to_file_text().as_bytes()).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
}
