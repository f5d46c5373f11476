//! What an event costs on its way through a cluster: journal → Kafka → store, each stage by itself, processor time by process and kind of thread.
//!
//! The roads of production: a lane of the journal, the forwarder, a real broker (`deploy/kafka/start`), the aggregator as a member of the group. The
//! store is the engine inside, or, with `--server`, the tests' stand-in for a ClickHouse server in a process of its own.
//!
//! Stages run one after the other, so that what each takes is seen; in production they run side by side.

#![expect(clippy::print_stdout, reason = "a tool at the bench, which prints")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregator::{DATABASE, Parts, Settings, Source, StoreAt, StoreSettings, Token, Tokens};
use anyhow::{Context, Result, bail};
use benches::cpu::{Reading, Tree};
use benches::sample;
use catalog::Catalog;
use clap::Parser;
use event::clock::Clock;
use ingest::forwarder;
use journal::{Durability, Lane, Writer};
use kafka::Cluster;

const TOKEN: &str = "pipeline";
/// Longest wait for a stage.
const PATIENCE: Duration = Duration::from_mins(30);

/// What an event costs on its way through a cluster.
#[derive(Parser)]
struct Options {
    /// Events.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Store into a stand-in for a ClickHouse server, over HTTP, in place of the engine inside.
    #[arg(long)]
    server: bool,
    /// Compression on the way to Kafka.
    #[arg(long, default_value = "zstd", value_parser = ["zstd", "lz4", "none"])]
    compression: String,
    /// Be the stand-in on this folder, until standard input ends.
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    match &options.serve {
        Some(path) => serve(path),
        None => measure(&options),
    }
}

fn serve(path: &Path) -> Result<()> {
    let library = aggregator::engine::find_library(None)?;
    let server = test_server::TestServer::start(&library, path)?;
    println!("{}", server.url());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// A Kafka of one node, stopped when it is dropped.
struct Broker {
    scripts: PathBuf,
    dir: PathBuf,
    pid: u32,
    settings: kafka::Settings,
}

impl Broker {
    fn start(dir: &Path, compression: &str) -> Result<Self> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka");
        // As it would run in production, with the second compiler.
        let started = Command::new(scripts.join("start"))
            .env("KAFKA_JVM_OPTS", "-Xms512m -Xmx1g")
            .arg(dir)
            .stderr(Stdio::inherit())
            .output()
            .context("deploy/kafka/start does not run")?;
        if !started.status.success() {
            bail!("Kafka does not start");
        }
        let brokers = String::from_utf8_lossy(&started.stdout).trim().split(',').map(str::to_owned).collect();
        let pid = std::fs::read_to_string(dir.join("node-1/pid"))?.trim().parse()?;
        let settings = kafka::Settings {
            brokers,
            compression: match compression {
                "lz4" => kafka::Compression::Lz4,
                "none" => kafka::Compression::None,
                _ => kafka::Compression::Zstd,
            },
            ..kafka::Settings::default()
        };
        Ok(Self { scripts, dir: dir.to_owned(), pid, settings })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = Command::new(self.scripts.join("stop")).arg("-k").arg(&self.dir).status();
    }
}

/// Processor seconds of a stage by who spent them.
struct Stage {
    name: &'static str,
    begun: Instant,
    trees: Vec<(&'static str, Tree, Reading)>,
}

impl Stage {
    fn begin(name: &'static str, processes: &[(&'static str, u32)]) -> Self {
        let of = |(name, pid): &(&'static str, u32)| {
            // The stand-in is a child of ours and a row of its own.
            let tree = Tree::alone(*pid);
            let reading = tree.read();
            (*name, tree, reading)
        };
        Self { name, begun: Instant::now(), trees: processes.iter().map(of).collect() }
    }

    /// Rows of what was spent, nanoseconds.
    fn end(self, events: u64) -> Vec<(String, u64)> {
        let seconds = self.begun.elapsed().as_secs_f64();
        println!("\n{}: {seconds:.2} s, {:.0} events a second", self.name, events as f64 / seconds);
        let mut rows = Vec::new();
        for (process, tree, before) in &self.trees {
            let mut kinds = std::collections::BTreeMap::<&str, u64>::new();
            for (thread, nanoseconds) in tree.read().since(before) {
                *kinds.entry(kind(process, &thread)).or_default() += nanoseconds;
            }
            rows.extend(kinds.into_iter().map(|(kind, spent)| (format!("{}: {kind}", self.name), spent)));
        }
        rows
    }
}

/// What a thread does, by its name.
fn kind(process: &'static str, thread: &str) -> &'static str {
    match (process, thread) {
        ("us", name) if name.starts_with("rdk:") => "Kafka's client (packing, checksums, network)",
        ("us", "forwarder") => "forwarder (reading the journal, building messages)",
        ("us", "loader") => "loader (decoding, rows, insert)",
        ("us", _) => "engine and the rest",
        (other, _) => other,
    }
}

fn measure(options: &Options) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let broker = Broker::start(&dir.path().join("kafka"), &options.compression)?;
    let cluster = Cluster::new(&broker.settings)?;
    cluster.create_topics()?;
    let us = ("us", std::process::id());
    let kafka = ("broker", broker.pid);

    let lane = lane(dir.path(), options.events)?;
    let mut rows = Vec::new();
    let stage = Stage::begin("journal to Kafka", &[us, kafka]);
    let forwarder = forwarder::start(cluster.clone(), std::slice::from_ref(&lane))?;
    until(|| lane.cursors().iter().all(|cursor| cursor.lag_bytes == 0))?;
    rows.extend(stage.end(options.events));
    lane.close();
    forwarder.stop(PATIENCE);

    let (store, server) = store(options, dir.path())?;
    let parts = Parts {
        source: Source::Kafka(cluster),
        catalog: Catalog::parse("", "catalog.toml")?.into_shared(),
        catalog_text: None,
        alerts: aggregator::Alerts::default(),
        tokens: Tokens { operator: Token::new(TOKEN), desk: desk::Desk::folder(&dir.path().join("desk"))? },
        tombstones: Vec::new(),
        audit: audit::Log::scratch(&dir.path().join("audit"))?,
        security: security_log::SecurityLog::off(),
        links: aggregator::LinkParts::default(),
        listeners: TcpListener::bind("127.0.0.1:0")?.into(),
        clock: Clock::System,
        store,
        database: DATABASE.to_owned(),
    };
    let mut processes = vec![us, kafka];
    processes.extend(server.as_ref().map(|server| ("server", server.0.id())));
    let stage = Stage::begin("Kafka to store", &processes);
    let settings = Settings { settle_interval_seconds: 36_000, ..Settings::default() };
    let aggregator = aggregator::start(&settings, parts)?;
    // A day without events: the answer comes when everything is in the store, and nothing is settled.
    let url = format!("http://{}/v1/settle?day=1971-01-01", aggregator.address());
    until(|| ureq::post(&url).header("authorization", format!("Bearer {TOKEN}")).send_empty().is_ok())?;
    rows.extend(stage.end(options.events));
    aggregator.stop();
    print(&rows, options.events);
    Ok(())
}

fn lane(dir: &Path, events: u64) -> Result<Writer> {
    let now_ms = Clock::System.now_ms();
    let settings = journal::Settings {
        durability: Durability::Os,
        disk_bytes_max: 1 << 40,
        ..journal::Settings::default()
    };
    let (lane, _) = Lane::open(&dir.join("lane"), settings, Arc::new(move || now_ms))?;
    let mut record = Vec::new();
    for number in 0..events {
        sample::record(number, &mut record);
        while lane.append(&record).is_err() {
            lane.flush();
            std::thread::yield_now();
        }
    }
    lane.flush();
    let begun = Instant::now();
    while lane.stats().queue_bytes > 0 && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(lane)
}

/// The stand-in's process, ended when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn store(options: &Options, dir: &Path) -> Result<(StoreAt, Option<Server>)> {
    let path = dir.join("store");
    if !options.server {
        return Ok((StoreAt::Embedded { engine: None, path }, None));
    }
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--serve")
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut url = String::new();
    let out = child.stdout.take().context("its standard output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut url)?;
    let settings = StoreSettings { servers: vec![url.trim().to_owned()], ..StoreSettings::default() };
    Ok((settings.at(path)?, Some(Server(child))))
}

fn until(mut is_so: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > PATIENCE {
            bail!("not within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn print(rows: &[(String, u64)], events: u64) {
    let all: u64 = rows.iter().map(|(_, spent)| spent).sum();
    println!("\n| stage | µs an event | share |\n|---|---|---|");
    for (name, spent) in rows.iter().filter(|(_, spent)| *spent * 1000 > all) {
        let (us, share) = (*spent as f64 / 1000.0 / events as f64, *spent as f64 * 100.0 / all as f64);
        println!("| {name} | {us:.2} | {share:.0} % |");
    }
    let seconds = all as f64 / 1e9;
    println!("| all | {:.2} | |", all as f64 / 1000.0 / events as f64);
    println!("\n{:.0} events a second and core, all processes together", events as f64 / seconds);
    let ours: u64 = rows.iter().filter(|(name, _)| !name.ends_with("broker")).map(|(_, spent)| spent).sum();
    println!("{:.0} without the broker", events as f64 * 1e9 / ours as f64);
}
