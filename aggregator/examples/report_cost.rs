//! What reports of devices cost against the size of a campaign: `cargo run --release -p aggregator --example report_cost -- [DEVICE_DAYS_MAX] [PLOT.svg]`.
//!
//! Campaigns of 0.1, 0.3, 1, 3 … million device days on 30 settled days, ten placements of five media, devices with a long tail, are put into the settled tables
//! of an embedded store, with their events and the marks of their days, and merged as they are some time later; then the report API is asked, each question once to warm up and three times to measure. Prints CSV
//! (the median by the clock; seconds of processors, which a busy computer changes little), and draws it. Generating them is the engine's work, and so is answering: a debug build shows nearly the same.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a tool at the bench, which prints"
)]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use aggregator::engine::{Engine, find_library};
use aggregator::{DATABASE, Parts, Settings, Source, StoreAt, Token, Tokens};
use catalog::Catalog;
use event::clock::Clock;
use journal::Lane;

const DAY_MS: i64 = 86_400_000;
const DAYS: u64 = 30;
const PLACEMENTS: u64 = 10;
const TOKEN: &str = "cost";
const ROUNDS: usize = 3;
/// Tables that the store merges by itself in time.
const MERGED: [&str; 5] = ["device_days", "deliveries", "events", "settled", "marks"];
const SIZES: [u64; 5] = [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];
/// Name, path, and its colour in the plot.
const REPORTS: [(&str, &str, &str); 4] = [
    ("reach 1-10+", "reach?by=total", "#1b6ca8"),
    ("frequency", "frequency?by=total", "#d1495b"),
    ("reach by day", "reach?by=day", "#66a182"),
    ("overlap of media", "overlap?by=medium", "#8d5a97"),
];

/// One measured question.
struct Cost {
    device_days: u64,
    report: usize,
    precision: &'static str,
    cpu_seconds: f64,
    peak_mib: u64,
}

fn catalog(sizes: &[u64]) -> Catalog {
    let mut text = String::new();
    for size in sizes {
        let _ = writeln!(text, "[[campaign]]\nid = \"c{size}\"\nname = \"{size}\"\ntime_zone = \"UTC\"");
        for n in 0..PLACEMENTS {
            let medium = n / 2;
            let _ = writeln!(
                text,
                "[[campaign.placement]]\nid = \"p{n}\"\nname = \"{n}\"\nmedium = \"M{medium}\""
            );
        }
    }
    Catalog::parse(&text, "catalog.toml").expect("a catalog")
}

/// Puts campaigns into the settled tables. The days end with yesterday.
fn fill(store: &Path, sizes: &[u64], today: i64) {
    let library = find_library(None).expect("the engine");
    let engine = Engine::open(&library, store).expect("it opens");
    let sql = engine.connect(&[]).expect("a session");
    let run = |text: &str| {
        sql.query(text, "Null", &[]).unwrap_or_else(|error| panic!("{error}: {text}"));
    };
    run(&format!("USE {DATABASE}"));
    let first = today - DAYS as i64;
    for size in sizes {
        // Devices: half as many as device days, those at the beginning far more often than those at the end.
        run(&format!(
            "INSERT INTO device_days SELECT 'c{size}', cityHash64(toUInt64({size} / 2 * pow(cityHash64(number, 1) / 18446744073709551615., 2)), 'd'), \
             concat('p', toString(toUInt64({PLACEMENTS} * pow(cityHash64(number, 2) / 18446744073709551616., 2)))), toDate({first} + number % {DAYS}), 1, 3, \
             1 + (number % 7 = 0) + (number % 31 = 0), 1 + (number % 7 = 0) + (number % 31 = 0), 0, 0 FROM numbers({size})"
        ));
        run(&format!(
            "INSERT INTO deliveries (campaign, day, generation, placement, hour, class, impressions, identified) \
             SELECT campaign, day, 1, placement, 12, 'valid', sum(impressions), sum(impressions) FROM device_days WHERE campaign = 'c{size}' \
             GROUP BY campaign, day, placement"
        ));
        // An event for each impression, one day after another, as they come.
        for day in first..today {
            run(&format!(
                "INSERT INTO events (journal, seq, received, time, day, hour, campaign, placement, stage, source, platform, device_kind, epoch, device, view, \
                 bucket, network, agent) SELECT cityHash64(campaign), {day} * 10000000 + rowNumberInAllBlocks(), moment, moment, day, toHour(moment), campaign, \
                 placement, 2, 1, 1, 3, 1, device, cityHash64(device, n) AS view, view % 16, bitShiftLeft(toUInt64(4), 56) + device % 16777216, \
                 concat('agent ', toString(device % 5000)) \
                 FROM (SELECT *, toDateTime64(day, 3, 'UTC') + device % 86400 AS moment FROM device_days WHERE campaign = 'c{size}' AND day = toDate({day})) \
                 ARRAY JOIN range(impressions) AS n"
            ));
        }
    }
    run(&format!(
        "INSERT INTO marks SELECT toDate({first} + number), 1, 2, 3, now64(3) FROM numbers({DAYS})"
    ));
    run("INSERT INTO settled (day, generation, as_of, marks, rules, events, oldest) \
         SELECT day, 1, now64(3), groupBitXor(sipHash64(writer, opened, closed)), 0, 1, now64(3) FROM marks GROUP BY day");
    for table in MERGED {
        run(&format!("OPTIMIZE TABLE {table} FINAL"));
    }
}

fn ask(url: &str) -> f64 {
    let request = ureq::http::Request::builder().uri(url).header("authorization", format!("Bearer {TOKEN}"));
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let started = Instant::now();
    let mut answer = agent.run(request.body(()).expect("a request")).expect("an answer");
    let text = answer.body_mut().read_to_string().expect("text");
    let seconds = started.elapsed().as_secs_f64();
    assert!(
        answer.status().is_success() && text.contains("\"reach\"") | text.contains("n_plus"),
        "{url}: {text}"
    );
    seconds
}

/// Seconds of processors that this process has taken.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// The most memory that was resident since the last call, MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) / 1024
}

fn measure(base: &str, sizes: &[u64]) -> Vec<Cost> {
    let mut costs = Vec::new();
    println!("device_days,report,precision,seconds,cpu_seconds,peak_mib");
    for device_days in sizes {
        for (report, (name, path, _)) in REPORTS.iter().enumerate() {
            for precision in ["exact", "sampled"] {
                let url = format!("{base}/v1/campaigns/c{device_days}/{path}&precision={precision}");
                ask(&url);
                peak_mib();
                let before = cpu_seconds();
                let mut seconds: Vec<f64> = (0..ROUNDS).map(|_| ask(&url)).collect();
                seconds.sort_by(f64::total_cmp);
                let cpu_seconds = (cpu_seconds() - before) / ROUNDS as f64;
                let seconds = seconds[ROUNDS / 2];
                let cost =
                    Cost { device_days: *device_days, report, precision, cpu_seconds, peak_mib: peak_mib() };
                println!("{device_days},{name},{precision},{seconds:.4},{cpu_seconds:.4},{}", cost.peak_mib);
                costs.push(cost);
            }
        }
    }
    costs
}

/// Seconds of processors against device days, both by powers of ten.
fn plot(costs: &[Cost]) -> String {
    let x = |device_days: f64| 70.0 + (device_days.log10() - 5.0) * 240.0;
    let y = |seconds: f64| 330.0 - (seconds.max(0.001).log10() + 3.0) * 80.0;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 390\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"760\" height=\"390\" fill=\"white\"/>\n",
    );
    let mut line = |from: (f64, f64), to: (f64, f64), text: &str, at: (f64, f64)| {
        let _ = writeln!(
            svg,
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"#ccc\"/><text x=\"{}\" y=\"{}\">{text}</text>",
            from.0, from.1, to.0, to.1, at.0, at.1
        );
    };
    for (seconds, text) in [(0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (10.0, "10 s")] {
        line((70.0, y(seconds)), (550.0, y(seconds)), text, (15.0, y(seconds) + 4.0));
    }
    for (days, text) in
        [(1e5, "0.1 M"), (3e5, "0.3 M"), (1e6, "1 M"), (3e6, "3 M"), (1e7, "10 M device days")]
    {
        line((x(days), 10.0), (x(days), 330.0), text, (x(days) - 15.0, 350.0));
    }
    for (report, (name, _, colour)) in REPORTS.iter().enumerate() {
        for (precision, dash) in [("exact", ""), ("sampled", "5 4")] {
            let of = costs.iter().filter(|cost| cost.report == report && cost.precision == precision);
            let points: Vec<String> = of
                .map(|cost| format!("{:.1},{:.1}", x(cost.device_days as f64), y(cost.cpu_seconds)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>",
                points.join(" ")
            );
        }
        let _ = writeln!(svg, "<text x=\"600\" y=\"{}\" fill=\"{colour}\">{name}</text>", 40 + report * 20);
    }
    svg + "<text x=\"600\" y=\"140\">seconds of processors</text><text x=\"600\" y=\"160\">lines: exact</text><text x=\"600\" y=\"180\">dashes: sampled</text>\n</svg>\n"
}

fn main() {
    let argument = |n: usize| std::env::args().nth(n);
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let most: u64 = argument(1).and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let sizes: Vec<u64> = SIZES.into_iter().filter(|size| *size <= most).collect();
    let dir = tempfile::tempdir().expect("a folder");
    let now_ms = Clock::System.now_ms();
    let lane = Lane::open(&dir.path().join("lane"), journal::Settings::default(), Arc::new(move || now_ms))
        .expect("a lane")
        .0;
    let parts = Parts {
        source: Source::Lanes(vec![lane]),
        catalog: catalog(&sizes).into_shared(),
        tokens: Tokens {
            operator: Token::new(TOKEN),
            desk: desk::Desk::folder(&dir.path().join("desk")).expect("a desk"),
        },
        tombstones: Vec::new(),
        audit: audit::Log::scratch(&dir.path().join("audit")).expect("a log"),
        security: security_log::SecurityLog::off(),
        links: aggregator::LinkParts::default(),
        listeners: TcpListener::bind("127.0.0.1:0").expect("a port").into(),
        catalog_text: None,
        alerts: aggregator::Alerts::default(),
        clock: Clock::System,
        store: StoreAt::Embedded { engine: None, path: dir.path().join("store") },
        database: DATABASE.to_owned(),
    };
    let settings = Settings { settle_interval_seconds: 36_000, ..Settings::default() };
    let handle = aggregator::start(&settings, parts).expect("it starts");
    fill(&dir.path().join("store"), &sizes, now_ms / DAY_MS);
    let costs = measure(&format!("http://{}", handle.address()), &sizes);
    if let Some(file) = argument(2) {
        std::fs::write(&file, plot(&costs)).expect("the plot is written");
    }
    handle.stop();
}
