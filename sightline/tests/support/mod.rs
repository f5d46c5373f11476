//! What the end-to-end tests share: the real binary, started on a folder of its own with ports that the system chose, spoken to
//! over its real ports, and stopped in every way that a process can be stopped.
//!
//! Everything here waits for a condition with a deadline and fails with the tail of the instance's log. It must never reach into the
//! product: what it knows is the contract (ports, files of the data folder, command line).
//!
//! ```text
//! ROOT/config.toml      made from Options
//! ROOT/catalog.toml     Options::catalog
//! ROOT/data/            the data folder
//! ROOT/log/<n>.log      standard error of the n-th process
//! ```

// Each test program uses its own part of this module.
#![allow(dead_code)]

pub(crate) mod barriers;
pub(crate) mod cluster;
pub(crate) mod dashboard;
pub(crate) mod http;
pub(crate) mod journal;
pub(crate) mod load;
pub(crate) mod random;
pub(crate) mod scanner;
pub(crate) mod site;
pub(crate) mod truth;
pub(crate) mod webdriver;

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::key::KeyRing;
use serde_json::Value;

use http::{Connection, Response};

/// Longest wait for a start, seconds: the engine opens in half a second where nothing else runs.
const START_SECONDS_MAX: u64 = 90;
/// Longest wait for a clean end, seconds.
const STOP_SECONDS_MAX: u64 = 60;
/// Between two looks at a condition.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Address of a role that does not run: nothing listens there.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// Lines of the log that a failure shows.
const LOG_LINES_SHOWN: usize = 40;

/// A campaign in Shanghai with three placements, whose clicks land on this machine or on example.com.
pub(crate) const CATALOG: &str = r#"
[[campaign]]
id = "demo"
name = "End to end"
time_zone = "Asia/Shanghai"
landing_hosts = ["www.example.com", "127.0.0.1", "localhost"]

[[campaign.placement]]
id = "p1"
name = "First"
medium = "One"
landing_page = "https://www.example.com/"

[[campaign.placement]]
id = "p2"
name = "Second"
medium = "Two"
landing_page = "https://www.example.com/"

[[campaign.placement]]
id = "s1"
name = "From a server"
medium = "Three"
source = "s2s"
"#;

/// How to start an instance. `..Options::default()` leaves the rest as it is delivered.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The command that runs: `standalone` or a role.
    pub(crate) role: &'static str,
    /// Lines at the top in place of `catalog`, which then is not the file beside the configuration.
    pub(crate) head: String,
    /// Lines for `[tracker]` beside `listen`.
    pub(crate) tracker: String,
    /// Lines for `[opt_out]` beside `listen`.
    pub(crate) opt_out: String,
    /// Lines for `[reports]` beside `listen`.
    pub(crate) reports: String,
    /// Lines for `[journal]`.
    pub(crate) journal: String,
    /// Sections at the end of the file.
    pub(crate) sections: String,
    /// Text of the catalog.
    pub(crate) catalog: String,
    /// `--log`.
    pub(crate) log: String,
    /// A program that runs the binary, with its arguments (`strace …`).
    pub(crate) under: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            role: "standalone",
            head: String::new(),
            tracker: String::new(),
            opt_out: String::new(),
            reports: String::new(),
            journal: String::new(),
            sections: String::new(),
            catalog: CATALOG.to_owned(),
            log: "info".to_owned(),
            under: Vec::new(),
        }
    }
}

/// A `sightline standalone` or a role, and the folder that it works on. Dropping it kills the process and removes the folder.
pub(crate) struct Instance {
    root: tempfile::TempDir,
    options: Options,
    child: Option<Child>,
    /// Process id of the binary itself, also when another program runs it.
    pid: u32,
    addresses: Addresses,
    starts: usize,
}

#[derive(Clone, Copy)]
struct Addresses {
    tracker: SocketAddr,
    opt_out: SocketAddr,
    reports: SocketAddr,
    admin: SocketAddr,
}

impl Instance {
    /// Starts one on a new folder and waits until it is ready.
    pub(crate) fn start(options: Options) -> Self {
        let mut instance = Self::prepare(options);
        instance.restart();
        instance
    }

    /// A new folder with its configuration, in which nothing runs yet: for commands.
    pub(crate) fn prepare(options: Options) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("log")).expect("a folder for logs");
        let addresses = Addresses { tracker: NOWHERE, opt_out: NOWHERE, reports: NOWHERE, admin: NOWHERE };
        let instance = Self { root, options, child: None, pid: 0, addresses, starts: 0 };
        fs::write(instance.config(), instance.config_text()).expect("the configuration is written");
        instance
    }

    /// Starts again on the same folder; what still runs is terminated first. Ports change.
    pub(crate) fn restart(&mut self) {
        self.try_restart()
            .unwrap_or_else(|why| panic!("the instance did not start: {why}\n{}", self.log_tail()));
    }

    /// As [`restart`](Self::restart), for a process that may end before it is ready.
    pub(crate) fn try_restart(&mut self) -> Result<(), String> {
        if self.child.is_some() {
            self.terminate();
        }
        self.spawn();
        self.wait_until_ready()
    }

    /// Other options from the next start on.
    pub(crate) fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// The options in force from the next start on.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The whole value of a metric as it is scraped, its labels included in the name; 0 where it is not there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let scraped = Connection::open(self.admin()).and_then(|mut c| c.request("GET", "/metrics", &[], b""));
        let text = scraped.map(|answer| answer.text()).unwrap_or_default();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<f64>().ok());
        value.unwrap_or(0.0) as u64
    }

    /// Resident memory of the process, bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Where beacons go.
    pub(crate) fn tracker(&self) -> SocketAddr {
        self.addresses.tracker
    }

    /// The opt-out page and API.
    pub(crate) fn opt_out(&self) -> SocketAddr {
        self.addresses.opt_out
    }

    /// The report API.
    pub(crate) fn reports(&self) -> SocketAddr {
        self.addresses.reports
    }

    /// Liveness, readiness, metrics.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// The folder that holds everything: configuration, catalog, data, logs.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.root.path().join("config.toml")
    }

    /// Process id of the binary.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What all processes so far wrote to standard error.
    pub(crate) fn logs(&self) -> String {
        (1..=self.starts).map(|n| fs::read_to_string(self.log_path(n)).unwrap_or_default()).collect()
    }

    /// A secret of the data folder: `operator.token`, `replay.key`, `debug.key`.
    pub(crate) fn secret(&self, name: &str) -> String {
        let path = self.data().join("keys").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        text.trim().to_owned()
    }

    /// The key ring: of the file that the first lines of the configuration name, or of the data folder.
    pub(crate) fn key_ring(&self) -> Arc<KeyRing> {
        let named = self.options.head.lines().find_map(|line| line.strip_prefix("key_file = "));
        let path = named.map_or_else(
            || self.data().join("keys").join("device.keys"),
            |name| PathBuf::from(name.trim_matches('"')),
        );
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Arc::new(KeyRing::from_file_text(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// Ends the process at once, as `kill -9` does, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        signal(&self.pid.to_string(), "KILL");
        self.wait_for_end("kill -9");
    }

    /// Asks the process to end and waits for it.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        signal(&self.pid.to_string(), "TERM");
        self.wait_for_end("SIGTERM")
    }

    /// Starts and kills the process after `delay`, ready or not. Nothing may run before.
    pub(crate) fn start_and_kill_after(&mut self, delay: Duration) {
        assert!(self.child.is_none(), "a process still runs");
        self.spawn();
        let moment = Instant::now() + delay;
        while Instant::now() < moment && !self.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(mut child) = self.child.take() {
            child.kill().expect("our own process can be killed");
            child.wait().expect("a killed process ends");
        }
    }

    /// Whether the process has ended by itself (or by a signal that somebody else sent).
    pub(crate) fn has_ended(&mut self) -> bool {
        let Some(child) = &mut self.child else { return true };
        let ended = child.try_wait().expect("the process can be asked").is_some();
        if ended {
            self.child = None;
        }
        ended
    }

    /// `GET /v1/campaigns/{of}?{query}` of the report API with the operator's token; `of` is such as `demo/reach`.
    pub(crate) fn report(&self, of: &str, query: &str) -> Value {
        self.ask("GET", &format!("/v1/campaigns/{of}?{query}"))
    }

    /// Reach and impressions of the demo campaign, settled.
    pub(crate) fn reach(&self) -> (u64, u64) {
        self.settle();
        let report = self.report("demo/reach", "");
        let row = &truth::rows(&report)[0];
        (truth::number(row, "reach"), truth::number(row, "impressions"))
    }

    /// Brings every changed day up to date.
    pub(crate) fn settle(&self) -> Value {
        self.ask("POST", "/v1/settle")
    }

    /// The books of every lane.
    pub(crate) fn books(&self) -> Value {
        self.ask("GET", "/v1/books")
    }

    /// A request to the report API with the operator's token, which has to succeed.
    pub(crate) fn ask(&self, method: &str, target: &str) -> Value {
        let answer = self
            .try_ask(method, target)
            .unwrap_or_else(|e| panic!("{method} {target}: {e}\n{}", self.log_tail()));
        assert_eq!(answer.status, 200, "{method} {target}: {}\n{}", answer.text(), self.log_tail());
        answer.json()
    }

    /// As [`ask`](Self::ask), whatever comes of it.
    pub(crate) fn try_ask(&self, method: &str, target: &str) -> std::io::Result<Response> {
        let token = format!("Bearer {}", self.secret("operator.token"));
        Connection::open(self.reports())?.request(method, target, &[("authorization", &token)], b"")
    }

    /// Runs a command of the binary in the instance's folder; client commands find the data folder by `SIGHTLINE_DATA`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sightline"))
            .args(arguments)
            .current_dir(self.root())
            .env("SIGHTLINE_DATA", self.data())
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs")
    }

    /// The same, with something on standard input.
    pub(crate) fn command_with(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = Command::new(env!("CARGO_BIN_EXE_sightline"))
            .args(arguments)
            .current_dir(self.root())
            .env("SIGHTLINE_DATA", self.data())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // One that ends before it has read is judged by what it says.
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
        child.wait_with_output().expect("the binary ends")
    }

    /// The last lines of the current log.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log_path(self.starts)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
        format!("--- log of process {} ---\n{}", self.starts, lines[from..].join("\n"))
    }

    fn log_path(&self, start: usize) -> PathBuf {
        self.root.path().join(format!("log/{start}.log"))
    }

    fn spawn(&mut self) {
        self.starts += 1;
        fs::write(self.config(), self.config_text()).expect("the configuration is written");
        fs::write(self.root().join("catalog.toml"), &self.options.catalog).expect("the catalog is written");
        let log = File::create(self.log_path(self.starts)).expect("a log");
        let binary = env!("CARGO_BIN_EXE_sightline").to_owned();
        let mut words = self.options.under.iter().cloned().chain([binary]);
        let mut command = Command::new(words.next().expect("the binary at least"));
        command
            .args(words)
            .args([self.options.role, "--log", &self.options.log, "--config"])
            .arg(self.config())
            .current_dir(self.root())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        self.child = Some(command.spawn().unwrap_or_else(|e| panic!("{command:?} does not run: {e}")));
    }

    fn config_text(&self) -> String {
        let any = "listen = \"127.0.0.1:0\"";
        let Options { tracker, opt_out, reports, journal, sections, .. } = &self.options;
        let root = self.root().display();
        let head = match self.options.head.as_str() {
            "" => format!("catalog = \"{root}/catalog.toml\""),
            head => head.to_owned(),
        };
        format!(
            "data = \"{root}/data\"\n{head}\n[tracker]\n{any}\n{tracker}\n[opt_out]\n{any}\n{opt_out}\n\
             [reports]\n{any}\n{reports}\n[admin]\n{any}\n[journal]\n{journal}\n{sections}\n"
        )
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let before = self.pid;
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        loop {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok()).flatten() {
                self.child = None;
                return Err(format!("it ended with {status}"));
            }
            if let Some((pid, addresses)) =
                self.read_instance().filter(|(pid, _)| self.may_be_ours(*pid, before))
            {
                (self.pid, self.addresses) = (pid, addresses);
                if self.is_ready() {
                    return Ok(());
                }
            }
            if Instant::now() > deadline {
                return Err(format!("it was not ready after {START_SECONDS_MAX} s"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether `instance.json` may be of the process that was started last, and not left behind by one that was killed.
    fn may_be_ours(&self, pid: u32, before: u32) -> bool {
        match &self.child {
            Some(child) if self.options.under.is_empty() => pid == child.id(),
            _ => pid != before,
        }
    }

    fn is_ready(&self) -> bool {
        let answer = Connection::open(self.admin()).and_then(|mut c| c.request("GET", "/ready", &[], b""));
        answer.is_ok_and(|answer| answer.status == 200)
    }

    fn read_instance(&self) -> Option<(u32, Addresses)> {
        let text = fs::read(self.data().join("instance.json")).ok()?;
        let instance: Value = serde_json::from_slice(&text).ok()?;
        // A role that does not run has no address.
        let address = |name: &str| instance[name].as_str().map_or(Some(NOWHERE), |text| text.parse().ok());
        let addresses = Addresses {
            tracker: address("tracker")?,
            opt_out: address("opt_out")?,
            reports: address("reports")?,
            admin: address("admin")?,
        };
        Some((instance["pid"].as_u64()? as u32, addresses))
    }

    fn wait_for_end(&mut self, after: &str) -> ExitStatus {
        let mut child = self.child.take().expect("a process that runs");
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        loop {
            if let Some(status) = child.try_wait().expect("the process can be asked") {
                return status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("the process still ran {STOP_SECONDS_MAX} s after {after}\n{}", self.log_tail());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if !self.options.under.is_empty() && self.pid != 0 {
                signal(&self.pid.to_string(), "KILL");
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal by name to a process, or to a group (`-<id>`). One that is gone already is fine.
pub(crate) fn signal(target: &str, name: &str) {
    let status =
        Command::new("kill").args([&format!("-{name}"), "--", target]).stderr(Stdio::null()).status();
    assert!(status.is_ok(), "`kill` does not run: {status:?}");
}

/// Waits until `condition` holds; fails with `what` after `limit`.
pub(crate) fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The path of a program that the tests need; fails with what to do where it is missing.
pub(crate) fn program(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
        .find(|candidate| candidate.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "{} is not on this machine, and this test needs it: run `deploy/tools/install test`",
            names.join(" or ")
        )
    })
}
