//! A Kafka of this test's own: `deploy/kafka/start` on a temporary folder, stopped when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One broker.
pub(crate) struct Broker {
    dir: tempfile::TempDir,
    pub(crate) settings: kafka::Settings,
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka").join(name)
}

fn output(command: &mut Command) -> String {
    let done = command.output().expect("the command runs");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

impl Broker {
    /// Starts it and makes the topics. Members that are silent go soon.
    pub(crate) fn start() -> (Self, kafka::Cluster) {
        let dir = tempfile::tempdir().expect("a folder");
        let brokers = output(Command::new(script("start")).arg(dir.path()));
        let settings = kafka::Settings {
            brokers: vec![brokers],
            partitions: 4,
            session_seconds_max: 6,
            poll_seconds_max: 10,
            ..kafka::Settings::default()
        };
        let cluster = kafka::Cluster::new(&settings).expect("settings");
        cluster.create_topics().expect("topics");
        (Self { dir, settings }, cluster)
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(&self) {
        output(Command::new(script("stop")).arg("-k").arg(self.dir.path()));
    }

    /// Starts it again with its data.
    pub(crate) fn restart(&self) {
        output(Command::new(script("start")).arg(self.dir.path()));
    }

    /// The first messages of a topic as Kafka's own tool prints them: headers, then value.
    pub(crate) fn print(&self, topic: &str, count: usize) -> Vec<String> {
        let libs = format!("{}/libs/*", output(&mut Command::new(script("fetch"))));
        let mut tool = Command::new("java");
        tool.args([
            "-Xmx128m",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            &libs,
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
        ])
        .args(["--bootstrap-server", &self.settings.brokers.join(","), "--topic", topic, "--from-beginning"])
        .args(["--max-messages", &count.to_string(), "--timeout-ms", "30000"])
        .args([
            "--formatter-property",
            "print.headers=true",
            "--formatter-property",
            "print.value=false",
        ]);
        output(&mut tool).lines().map(str::to_owned).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
