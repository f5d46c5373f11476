//! The comparison with nginx: the same requests, the same CPU, every server in turn, several rounds in one run.
//!
//! Absolute figures move by a third between runs on a shared machine; ratios within a round do not. So each ratio is taken within a round,
//! and the median of the rounds is what counts.

use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use benches::beacon::{Beacons, Grammar};
use benches::load::{Pace, Plan, Report, run};
use benches::server::{Server, beside, campaign, stay_on};
use clap::Parser;

/// Compares the beacon's road with nginx and prints the tables of benches/README.md.
///
/// Each server runs alone on one CPU, the driver on another. Example: compare --rounds 5
#[derive(Parser)]
#[command(name = "compare")]
struct Options {
    /// Rounds; in each, every server is measured once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one measurement at saturation and at half of it, seconds. At low rates it is twice as long.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Measure at saturation only: the quick look while tuning.
    #[arg(long)]
    saturation_only: bool,
    /// Low rates, requests a second.
    #[arg(long, value_delimiter = ',', default_value = "100,1000")]
    low_rates: Vec<f64>,
    /// Grammar of the impressions.
    #[arg(long, value_enum, default_value_t = Grammar::Native)]
    grammar: Grammar,
    /// CPU of the servers.
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// CPU of the driver.
    #[arg(long, default_value_t = 1)]
    driver_cpu: usize,
    /// The product's binary. Default: beside this program.
    #[arg(long)]
    sightline: Option<PathBuf>,
    /// nginx's configuration.
    #[arg(long, default_value = "benches/nginx.conf")]
    nginx_conf: PathBuf,
}

/// What is measured, in the order of the tables. Ports as in nginx.conf and beyond.
const SUBJECTS: [(&str, u16); 5] = [
    ("nginx `empty_gif`", 18081),
    ("nginx `empty_gif`, buffered log", 18082),
    ("hyper, constant answer", 18083),
    ("**sightline**, `os`", 18084),
    ("**sightline**, `fsync`", 18085),
];

/// Places in [`SUBJECTS`].
const NGINX: usize = 0;
const NGINX_LOG: usize = 1;

/// One kind of load, measured on every subject in every round: `reports[subject][round]`.
struct Series {
    title: String,
    reports: Vec<Vec<Report>>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(options.rounds > 0 && options.seconds > 0, "there must be a round and a second in it");
    // Before the servers and the driver take their CPUs: both would be seen in these.
    let (cpus, load) = (thread::available_parallelism()?.get(), first_line("/proc/loadavg"));
    ensure!(
        cpus > options.server_cpu.max(options.driver_cpu),
        "{cpus} CPUs are not enough: see --server-cpu, --driver-cpu"
    );
    stay_on(options.server_cpu)?;
    let mut servers = start(&options)?;
    stay_on(options.driver_cpu)?;

    let saturation = measure(&options, &servers, "Saturation", Pace::Saturation)?;
    let mut paced = Vec::new();
    if !options.saturation_only {
        let half = saturation.lowest_rate() / 2.0;
        let title = format!("Half of saturation: {half:.0} requests/s, open loop");
        paced.push(measure(&options, &servers, &title, Pace::PerSecond(half))?);
        for rate in &options.low_rates {
            let title = format!("{rate} requests/s, open loop");
            paced.push(measure(&options, &servers, &title, Pace::PerSecond(*rate))?);
        }
    }

    let mut out = stdout().lock();
    describe(&mut out, &options, cpus, &load)?;
    saturation.print_cpu(&mut out)?;
    for series in &paced {
        series.print_latency(&mut out)?;
    }
    let answered = std::iter::once(&saturation).chain(&paced).map(|series| series.answered(3)).sum();
    finish(&mut out, &mut servers, answered)
}

/// Starts every subject. nginx is one process for both of its own.
fn start(options: &Options) -> Result<[Server; 4]> {
    let at = |subject: usize| address(subject);
    let program = options.sightline.clone().map_or_else(|| beside("sightline"), Ok)?;
    ensure!(program.exists(), "{} is not there: build it with cargo build --release", program.display());
    Ok([
        Server::nginx(&options.nginx_conf, &[at(NGINX), at(NGINX_LOG)])?,
        Server::floor(at(2))?,
        Server::sightline(&program, at(3), "os")?,
        Server::sightline(&program, at(4), "fsync")?,
    ])
}

fn address(subject: usize) -> SocketAddr {
    let port = SUBJECTS.get(subject).map_or(0, |(_, port)| *port);
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn measure(options: &Options, servers: &[Server; 4], title: &str, pace: Pace) -> Result<Series> {
    let mut reports: Vec<Vec<Report>> = vec![Vec::new(); SUBJECTS.len()];
    let is_low = matches!(pace, Pace::PerSecond(rate) if rate < 5000.0);
    let seconds = if is_low { 2 * options.seconds } else { options.seconds };
    for round in 0..options.rounds {
        for (subject, (name, _)) in SUBJECTS.iter().enumerate() {
            write!(stderr(), "\r\x1b[K{title}: round {} of {}, {name}", round + 1, options.rounds)?;
            let server = servers.get(subject.saturating_sub(1)).context("every subject has its server")?;
            let plan = Plan {
                address: address(subject),
                connections: options.connections,
                pace,
                warm_up: Duration::from_secs(1),
                measured: Duration::from_secs(seconds),
                server_pid: Some(server.pid()),
            };
            let host = plan.address.to_string();
            let mut beacons = Beacons::written(options.grammar, &host, &campaign(), round as u64 + 1);
            let report = run(&plan, &mut beacons)?;
            ensure!(
                report.errors() == 0,
                "{name}: {} refused, {} broken, {} unanswered: this server cannot be compared",
                report.refused,
                report.broken,
                report.unanswered
            );
            reports.get_mut(subject).context("every subject has its reports")?.push(report);
        }
    }
    writeln!(stderr(), "\r\x1b[K{title}: done")?;
    Ok(Series { title: title.to_owned(), reports })
}

impl Series {
    fn of(&self, subject: usize) -> &[Report] {
        self.reports.get(subject).map(Vec::as_slice).unwrap_or_default()
    }

    fn values(&self, subject: usize, value: impl Fn(&Report) -> f64) -> Vec<f64> {
        self.of(subject).iter().map(value).collect()
    }

    /// The median over the rounds of this subject's CPU over another's in the same round.
    fn ratio(&self, subject: usize, to: usize) -> f64 {
        let own = self.values(subject, Report::cpu_us);
        median(own.iter().zip(self.values(to, Report::cpu_us)).map(|(own, other)| own / other).collect())
    }

    fn lowest_rate(&self) -> f64 {
        let rates = (0..SUBJECTS.len()).map(|subject| median(self.values(subject, Report::rate)));
        rates.fold(f64::INFINITY, f64::min)
    }

    fn answered(&self, from: usize) -> u64 {
        self.reports.iter().skip(from).flatten().map(|report| report.answered).sum()
    }

    fn print_cpu(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "\n### {}\n", self.title)?;
        writeln!(
            out,
            "| server | CPU µs a request, median (range) | requests/s | × nginx | × nginx with log | by thread, µs |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        for (subject, (name, _)) in SUBJECTS.iter().enumerate() {
            let cpu = self.values(subject, Report::cpu_us);
            writeln!(
                out,
                "| {name} | {:.2} ({:.2}–{:.2}) | {:.0} | {:.2} | {:.2} | {} |",
                median(cpu.clone()),
                cpu.iter().copied().fold(f64::INFINITY, f64::min),
                cpu.iter().copied().fold(0.0, f64::max),
                median(self.values(subject, Report::rate)),
                self.ratio(subject, NGINX),
                self.ratio(subject, NGINX_LOG),
                self.threads(subject)
            )?;
        }
        Ok(())
    }

    /// What each thread took, over all rounds.
    fn threads(&self, subject: usize) -> String {
        let mut threads = std::collections::BTreeMap::<&str, u64>::new();
        for (name, nanoseconds) in self.of(subject).iter().flat_map(|report| &report.cpu) {
            *threads.entry(name).or_default() += nanoseconds;
        }
        let answered = self.of(subject).iter().map(|report| report.answered).sum::<u64>().max(1);
        let each =
            threads.iter().map(|(name, nanoseconds)| (name, *nanoseconds as f64 / 1e3 / answered as f64));
        let shown: Vec<_> =
            each.filter(|(_, us)| *us >= 0.005).map(|(name, us)| format!("{name} {us:.2}")).collect();
        shown.join(", ")
    }

    fn print_latency(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "\n### {}\n", self.title)?;
        writeln!(
            out,
            "| server | p50 µs | p90 µs | p99 µs (range) | p99.9 µs | max µs | CPU µs a request |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        for (subject, (name, _)) in SUBJECTS.iter().enumerate() {
            let at = |quantile: f64| self.values(subject, |report| report.latency_us(quantile));
            let p99 = at(0.99);
            writeln!(
                out,
                "| {name} | {:.0} | {:.0} | {:.0} ({:.0}–{:.0}) | {:.0} | {:.0} | {:.1} |",
                median(at(0.5)),
                median(at(0.9)),
                median(p99.clone()),
                p99.iter().copied().fold(f64::INFINITY, f64::min),
                p99.iter().copied().fold(0.0, f64::max),
                median(at(0.999)),
                median(at(1.0)),
                median(self.values(subject, Report::cpu_us))
            )?;
        }
        Ok(())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

/// What the figures were taken on. `load` is the machine's before the first measurement: above some tenths, others were at work too.
fn describe(out: &mut impl Write, options: &Options, cpus: usize, load: &str) -> Result<()> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load_before = load.split(' ').next().unwrap_or_default();
    writeln!(
        out,
        "{}, {cpus} CPUs, Linux {}; load average before: {load_before}",
        model.map_or("unknown CPU", |(_, name)| name),
        first_line("/proc/sys/kernel/osrelease")
    )?;
    let url_bytes = Beacons::written(options.grammar, "127.0.0.1:18084", &campaign(), 1).url_bytes();
    writeln!(
        out,
        "{} rounds of {} s; {} keep-alive connections; URL of {url_bytes} bytes; servers on CPU {}, driver on CPU {}",
        options.rounds, options.seconds, options.connections, options.server_cpu, options.driver_cpu
    )?;
    Ok(())
}

/// Memory, and the proof that what was answered is in the journals.
fn finish(out: &mut impl Write, servers: &mut [Server; 4], answered: u64) -> Result<()> {
    writeln!(out, "\n### Memory and journal\n")?;
    let mut records = 0;
    for (server, (name, _)) in servers.iter_mut().zip(SUBJECTS.iter().skip(1)).skip(2) {
        let resident = server.resident_bytes();
        server.stop()?;
        let lane = server.folder().join("data/journal/lane-0");
        let report =
            journal::verify(Path::new(&lane)).with_context(|| format!("no journal in {}", lane.display()))?;
        ensure!(report.is_whole(), "{name}: the journal is not whole");
        records += report.records;
        writeln!(
            out,
            "- {name}: {:.0} MiB resident; {} records, {:.1} bytes each on disk, {:.0} a frame",
            resident as f64 / f64::from(1 << 20),
            report.records,
            report.bytes as f64 / report.records.max(1) as f64,
            report.records as f64 / report.frames.max(1) as f64
        )?;
    }
    ensure!(records >= answered, "{answered} beacons were answered, but only {records} are in the journals");
    writeln!(out, "- every one of the {answered} answers that were counted has its record")?;
    Ok(())
}
