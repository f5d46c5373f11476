//! A real Kafka for tests, opt-out roles and nodes on it, and a line between two of them that can be cut.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use event::clock::Clock;
use event::identifier::{IdKind, lodge};
use event::key::{KeyRing, OptOutHash};
use kafka::Cluster;
use opt_out::{FollowParts, Following, Limits, List, Registry, RegistryError, Settings};

use crate::support::Role;

/// One broker on a folder of its own, by `deploy/kafka/start`. Stopped when it is dropped.
pub(crate) struct Broker {
    dir: tempfile::TempDir,
    brokers: Vec<String>,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let printed = script("start", &[], dir.path());
        Self { brokers: printed.trim().split(',').map(str::to_owned).collect(), dir }
    }

    /// The one that all tests share which leave it alone; gone with the last of them.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(Self::start());
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    /// Topics of one test's own.
    pub(crate) fn cluster(&self) -> Cluster {
        let cluster = self.bare_cluster();
        cluster.create_topics().expect("topics are made");
        cluster
    }

    /// The names of topics of one test's own, which nobody has made.
    pub(crate) fn bare_cluster(&self) -> Cluster {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let topic_prefix = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let settings =
            kafka::Settings { brokers: self.brokers.clone(), topic_prefix, ..kafka::Settings::default() };
        Cluster::new(&settings).expect("sound settings")
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        script("stop", &["-k"], self.dir.path());
    }

    /// The same broker with the same data.
    pub(crate) fn restart(&self) {
        script("start", &[], self.dir.path());
    }

    /// One of Kafka's own tools.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let home = script("fetch", &[], Path::new(""));
        let done = Command::new("java")
            .args(["-cp", &format!("{}/libs/*", home.trim()), class, "--bootstrap-server"])
            .arg(self.brokers.join(","))
            .args(arguments)
            .output()
            .expect("java runs");
        assert!(done.status.success(), "{class}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn script(name: &str, options: &[&str], dir: &Path) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka").join(name);
    let mut command = Command::new(path);
    command.args(options);
    if !dir.as_os_str().is_empty() {
        command.arg(dir);
    }
    let done = command.output().expect("the script runs");
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

/// Settings under which one address may ask as often as tests do, and nothing waits longer than they like.
pub(crate) fn settings() -> Settings {
    let limits = Limits { requests_burst_max: 1_000_000, storage_seconds_max: 20, ..Limits::default() };
    Settings { limits, ..Settings::default() }
}

pub(crate) fn parts(cluster: &Cluster, settings: &Settings, keys: &Arc<KeyRing>) -> FollowParts {
    FollowParts {
        cluster: cluster.clone(),
        settings: settings.clone(),
        keys: Arc::clone(keys),
        clock: Clock::System,
        receipts_known: None,
    }
}

pub(crate) fn open(parts: FollowParts) -> Result<(Registry, List), RegistryError> {
    Registry::open_on_topic(parts)
}

/// An opt-out role of a cluster, as in production.
pub(crate) fn role(cluster: &Cluster, settings: &Settings, keys: &Arc<KeyRing>) -> Role {
    let (registry, list) = open(parts(cluster, settings, keys)).expect("the registry opens");
    Role::serve(registry, list, settings.clone(), Arc::clone(keys), Clock::System)
}

/// A node that measures.
pub(crate) fn node(cluster: &Cluster, settings: &Settings, keys: &Arc<KeyRing>) -> Following {
    opt_out::follow(parts(cluster, settings, keys)).expect("a node follows")
}

pub(crate) fn may_measure(node: &Following) -> bool {
    node.standing().may_measure(Clock::System.now_ms())
}

/// A different OAID for each number.
pub(crate) fn oaid(number: u32) -> String {
    format!("3f8c2d9e-7a41-4b6f-9c1e-{:012x}", u64::from(number) + 0x5d2a_8b7c_6e10)
}

/// Every hash under which an OAID may arrive.
pub(crate) fn hashes(oaid: &str, keys: &KeyRing) -> Vec<OptOutHash> {
    lodge(IdKind::Oaid, oaid.as_bytes(), keys).expect("a good id").hashes.to_vec()
}

/// Whether every form of it is listed; none must be if not all are.
pub(crate) fn is_listed(list: &List, oaid: &str, keys: &KeyRing) -> bool {
    hashes(oaid, keys).iter().all(|hash| list.contains(hash))
}

/// A line to a role: every connection goes through it, or none.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Line {
    pub(crate) fn to(role: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let line = Self { address: listener.local_addr().expect("its address"), is_cut: Arc::default() };
        let is_cut = Arc::clone(&line.is_cut);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_cut.load(Ordering::Acquire) {
                    drop(stream);
                } else {
                    std::thread::spawn(move || pass(stream, role));
                }
            }
        });
        line
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Release);
    }
}

/// One request there and its answer back.
fn pass(mut asker: TcpStream, role: SocketAddr) {
    let Ok(mut answerer) = TcpStream::connect(role) else { return };
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(asker.read(&mut byte), Ok(1)) {
        head.extend(byte);
    }
    let _ = answerer.write_all(&head);
    let _ = std::io::copy(&mut answerer, &mut asker);
}
