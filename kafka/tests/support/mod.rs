//! A Kafka of this test's own: `deploy/kafka/start` on a temporary folder, stopped when it is dropped. Its ports are its own for as long as
//! the folder exists, also while nodes are down: tests may run side by side.

// Each test program uses its own part of this module.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// How long nodes may take to be ready: minutes, for a machine that runs everything else at the same time.
const START_SECONDS: &str = "240";

/// A cluster. Its settings have a topic prefix of their own.
pub(crate) struct Broker {
    dir: tempfile::TempDir,
    pub(crate) settings: kafka::Settings,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka").join(name)
}

impl Broker {
    /// Starts nodes and waits until they are ready.
    pub(crate) fn start(nodes: usize) -> Self {
        Self::start_with(nodes, &[])
    }

    /// The same with properties of the brokers, each as `key=value`.
    pub(crate) fn start_with(nodes: usize, properties: &[String]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let started = Command::new(script("start"))
            .args(["-n", &nodes.to_string()])
            .args(properties.iter().flat_map(|property| ["-s", property]))
            .arg(dir.path())
            .env("KAFKA_START_SECONDS", START_SECONDS)
            .output()
            .expect("deploy/kafka/start runs");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let brokers = String::from_utf8_lossy(&started.stdout).trim().split(',').map(str::to_owned).collect();
        let settings =
            kafka::Settings { brokers, partitions: 4, session_seconds_max: 6, ..kafka::Settings::default() };
        Self { dir, settings }
    }

    /// Kills all nodes, as a crash would.
    pub(crate) fn kill(&self) {
        self.run("stop", &["-k"]);
    }

    /// Starts them again with their data.
    pub(crate) fn restart(&self) {
        self.run("start", &[]);
    }

    /// Kills one node (from 1), as a crash would.
    pub(crate) fn kill_node(&self, node: usize) {
        self.run_for("stop", &["-k"], Some(node));
    }

    /// Starts one node again with its data.
    pub(crate) fn restart_node(&self, node: usize) {
        self.run_for("start", &[], Some(node));
    }

    /// Runs one of Kafka's own tools, by the name of its class.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let fetched = Command::new(script("fetch")).output().expect("deploy/kafka/fetch runs");
        let libs = format!("{}/libs/*", String::from_utf8_lossy(&fetched.stdout).trim());
        let done = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-cp", &libs, class, "--bootstrap-server"])
            .arg(self.settings.brokers.join(","))
            .args(arguments)
            .output()
            .expect("java runs");
        let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{class} {arguments:?}: {said}");
    }

    fn run(&self, name: &str, arguments: &[&str]) {
        self.run_for(name, arguments, None);
    }

    fn run_for(&self, name: &str, arguments: &[&str], node: Option<usize>) {
        let done = Command::new(script(name))
            .args(arguments)
            .arg(self.dir.path())
            .env("KAFKA_START_SECONDS", START_SECONDS)
            .args(node.map(|node| node.to_string()))
            .output()
            .expect("the script runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.run("stop", &["-k"]);
    }
}
