//! The load driver by itself: a fixed rate with honest latencies, or saturation.

use std::io::{Write, stdout};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use benches::beacon::{Beacons, Campaign};
use benches::load::{Pace, Plan, Report, run};
use clap::Parser;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Sends impressions to a tracker and says how it took them.
///
/// At a fixed rate latency counts from the moment each request was due, so a stall is paid for by every request it delays.
/// Example: load --rate 20000 --seconds 30 --pid "$(pidof sightline)"
#[derive(Parser)]
#[command(name = "load")]
struct Options {
    /// The tracker. Only loopback addresses, unless --anywhere is given.
    #[arg(long, default_value = "127.0.0.1:8080")]
    address: String,
    /// Drive a machine that is not this one.
    #[arg(long)]
    anywhere: bool,
    /// Requests a second; without it, as many as the server takes.
    #[arg(long)]
    rate: Option<f64>,
    /// Keep-alive connections, one request under way on each.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Length of the measured window, seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Time before it in which nothing is counted, seconds.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    /// Campaign id.
    #[arg(long, default_value = "demo")]
    campaign: String,
    /// Placement id.
    #[arg(long, default_value = "p1")]
    placement: String,
    /// The server's process: its CPU time is read, children included.
    #[arg(long)]
    pid: Option<u32>,
    /// Run on this CPU only.
    #[arg(long)]
    cpu: Option<usize>,
    /// Seed of the identifiers; another one sends other devices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let address = resolve(&options)?;
    if let Some(cpu) = options.cpu {
        let mut cpus = CpuSet::new();
        cpus.set(cpu);
        sched_setaffinity(None, &cpus).with_context(|| format!("cannot run on CPU {cpu}"))?;
    }
    let campaign = Campaign { campaign: options.campaign.clone(), placement: options.placement.clone() };
    let mut beacons = Beacons::new(&options.address, &campaign, options.seed);
    let plan = Plan {
        address,
        connections: options.connections,
        pace: options.rate.map_or(Pace::Saturation, Pace::PerSecond),
        warm_up: Duration::from_secs(options.warm_up),
        measured: Duration::from_secs(options.seconds),
        server_pid: options.pid,
    };
    let report = run(&plan, &mut beacons)?;
    print(&options, &beacons, &report)?;
    ensure!(report.errors() == 0, "{} requests were not answered as they should be", report.errors());
    Ok(())
}

fn resolve(options: &Options) -> Result<SocketAddr> {
    let address = options
        .address
        .to_socket_addrs()
        .with_context(|| format!("{:?} is no address: take host:port", options.address))?
        .next()
        .with_context(|| format!("{:?} has no address", options.address))?;
    ensure!(
        options.anywhere || address.ip().is_loopback(),
        "{address} is another machine: say --anywhere if you may load it"
    );
    Ok(address)
}

fn print(options: &Options, beacons: &Beacons, report: &Report) -> Result<()> {
    let mut out = stdout().lock();
    let pace = options.rate.map_or("saturation".to_owned(), |rate| format!("{rate} requests/s, open loop"));
    writeln!(
        out,
        "{pace}; {} connections, {} s, URL {} bytes, seed {}",
        options.connections,
        options.seconds,
        beacons.url_bytes(),
        options.seed
    )?;
    writeln!(out, "answered    {:>12}   {:.0} a second", report.answered, report.rate())?;
    writeln!(
        out,
        "errors      {:>12}   {} refused, {} broken, {} unanswered",
        report.errors(),
        report.refused,
        report.broken,
        report.unanswered
    )?;
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        writeln!(out, "{name:<12}{:>12.1} µs", report.latency_us(quantile))?;
    }
    if !report.cpu.is_empty() {
        writeln!(out, "server CPU  {:>12.2} µs a request", report.cpu_us())?;
        for (thread, nanoseconds) in report.cpu.iter().filter(|(_, nanoseconds)| **nanoseconds > 0) {
            let each = *nanoseconds as f64 / 1e3 / report.answered.max(1) as f64;
            writeln!(out, "  {thread:<16}{each:>6.2}")?;
        }
    }
    Ok(())
}
