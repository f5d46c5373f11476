//! How fast a day of events is loaded, settled and reported, and what it takes on the disk: `cargo run --release -p aggregator --example volume
//! -- 10000000`. It takes the road of production: records in a journal lane, the loader, `POST /v1/settle`, reports. The second argument is the
//! number of threads of a statement; with `overlap` as the third the keys were rotated behind the first of the three days, and overlap.
//!
//! The events: impressions and their later stages (one in two), 3 % clicks, 30 % without a device, 0.5 % repeats, 20 campaigns, devices and agents
//! with long tails. Beside the journal of the day stand those of the days before and after it with a tenth of the events.

#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "a tool at the bench, which prints")]

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use aggregator::{DATABASE, Parts, Settings, Source, StoreAt, Token, Tokens};
use catalog::Catalog;
use event::clock::Clock;
use event::identifier::IdKind;
use event::key::DeviceKey;
use event::record::{Device, Event, Former, Platform, SourceKind, encode_event};
use event::stage::Stage;
use journal::{Durability, Lane};

const DAY_MS: i64 = 86_400_000;
const CAMPAIGNS: u64 = 20;
const TOKEN: &str = "volume";

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number below `n` with a long tail.
fn tail(hash: u64, n: f64) -> u64 {
    let unit = hash as f64 / u64::MAX as f64;
    (n * unit * unit * unit) as u64
}

fn stage_of(number: u64) -> Stage {
    match (number % 2, mix(number) % 1000) {
        (0, _) | (1, 930..=934) => Stage::Impression,
        (1, 0..=699) => Stage::Viewable,
        (1, 700..=899) => Stage::Start,
        (1, 900..=929) => Stage::Click,
        (1, 935..=959) => Stage::Complete,
        _ => Stage::NotViewable,
    }
}

/// What holds for all events.
struct World {
    now_ms: i64,
    /// The first day under another key, which overlaps with the one before.
    rotated_on: Option<u16>,
}

/// A device on a day.
fn device_of(world: &World, device: u64, day: u16) -> Device {
    let key = |device: u64| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&device.to_be_bytes());
        DeviceKey(key)
    };
    let before = Device { key: key(device), kind: IdKind::Oaid, epoch: 1, former: None };
    match world.rotated_on {
        Some(rotated_on) if day >= rotated_on => Device {
            key: key(mix(device)),
            epoch: 2,
            former: Some(Former { key: before.key, epoch: 1, until_day: rotated_on + 14 }),
            ..before
        },
        _ => before,
    }
}

fn record(world: &World, number: u64, day: u16, of_day: u64, into: &mut Vec<u8>) {
    let view = mix(number / 2 + u64::from(day) * 1_000_000_007).max(1);
    let device = mix(tail(mix(view ^ 1), 6_700_000.0));
    let start_ms = i64::from(day) * DAY_MS;
    let time_ms = start_ms
        + (number / 2) as i64 * (DAY_MS - 60_000) / (of_day as i64 / 2).max(1)
        + (number % 2) as i64 * 2_000;
    let agent = format!(
        "Mozilla/5.0 (Linux; Android {}; Model {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1{}.0.0.0 Mobile Safari/537.36",
        6 + device % 9,
        tail(mix(device ^ 0x9), 3_000.0),
        mix(device ^ 0xb) % 15
    );
    let network = mix(if view.is_multiple_of(3) { device } else { view % 100_000 }).to_be_bytes();
    let event = Event {
        received_ms: world.now_ms,
        time_ms,
        client_time_ms: None,
        day: Some(day),
        hour: (time_ms % DAY_MS / 3_600_000) as u8,
        stage: stage_of(number),
        source: SourceKind::Client,
        platform: if device.is_multiple_of(2) { Platform::Android } else { Platform::Ios },
        flags: 0,
        campaign: &format!("campaign-{}", tail(mix(view ^ 2), CAMPAIGNS as f64)),
        placement: &format!("placement-{}", mix(view ^ 3) % 50),
        creative: &format!("creative-{}", mix(view ^ 4) % 8),
        region: "",
        catalog_version: 1,
        device: (mix(view ^ 5) % 10 >= 3).then(|| device_of(world, device, day)),
        view,
        network: &network[..3],
        agent: &agent,
        site: "",
    };
    into.clear();
    encode_event(&event, into);
}

/// Resident memory now and at most since the last reset, MiB.
fn memory(reset: bool) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) / 1024
    };
    let text = format!("{} MiB, at most {} MiB", of("VmRSS:"), of("VmHWM:"));
    if reset {
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
    text
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

struct Step(&'static str, Instant, f64);

impl Step {
    fn begin(name: &'static str) -> Self {
        memory(true);
        Self(name, Instant::now(), cpu_seconds())
    }

    fn end(self, events: u64) {
        let (seconds, cpu) = (self.1.elapsed().as_secs_f64(), cpu_seconds() - self.2);
        println!(
            "{:<34} {seconds:8.2} s, {cpu:8.2} s of processors, {:9.0} events a processor second, {}",
            self.0,
            events as f64 / cpu.max(0.001),
            memory(false)
        );
    }
}

fn call(method: &str, url: &str) -> String {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {TOKEN}"));
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.run(request.body(()).expect("a request")).expect("an answer");
    let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().expect("text");
    assert!(answer.status().is_success(), "{text}");
    text
}

/// Writes the day and its neighbours. How many events in all.
fn write_journal(lane: &journal::Writer, today: u16, events: u64, world: &World) -> u64 {
    let step = Step::begin("journal written");
    let mut bytes = Vec::new();
    let mut all = 0;
    for (day, count) in [(today - 3, events / 10), (today - 2, events), (today - 1, events / 10)] {
        for number in 0..count {
            record(world, number, day, count, &mut bytes);
            while lane.append(&bytes).is_err() {
                lane.flush();
                std::thread::yield_now();
            }
        }
        all += count;
    }
    lane.flush();
    step.end(all);
    all
}

/// What the tables take on the disk.
fn print_sizes(store: &std::path::Path) {
    let library = aggregator::engine::find_library(None).expect("found");
    let sql = aggregator::engine::Engine::open(&library, store)
        .and_then(|engine| engine.connect(&[]))
        .expect("a session");
    for query in [
        "SELECT table, count() AS parts, sum(rows) AS table_rows, round(sum(bytes_on_disk) / table_rows, 2) AS bytes_a_row \
         FROM system.parts WHERE database = 'sightline' AND active GROUP BY table ORDER BY table_rows DESC LIMIT 3",
        "SELECT column, round(sum(column_data_compressed_bytes) / sum(rows), 2) AS bytes FROM system.parts_columns \
         WHERE database = 'sightline' AND active AND table = 'events' GROUP BY column HAVING bytes > 0.1 ORDER BY bytes DESC",
    ] {
        println!("{}", String::from_utf8_lossy(&sql.query(query, "TSV", &[]).expect("sizes")));
    }
}

fn main() {
    let argument = |n: usize| std::env::args().nth(n);
    // RUST_LOG=aggregator=debug shows what each statement takes.
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let events: u64 = argument(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let threads: u32 = argument(2).and_then(|n| n.parse().ok()).unwrap_or(1);
    let dir = tempfile::tempdir().expect("a folder");
    let now_ms = Clock::System.now_ms();
    let today = (now_ms / DAY_MS) as u16;
    let settings = journal::Settings {
        durability: Durability::Os,
        disk_bytes_max: 1 << 40,
        ..journal::Settings::default()
    };
    let lane = Lane::open(&dir.path().join("lane"), settings, Arc::new(move || now_ms)).expect("a lane").0;
    let rotated_on = argument(3).is_some_and(|word| word == "overlap").then_some(today - 2);
    let all = write_journal(&lane, today, events, &World { now_ms, rotated_on });

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let campaigns = (0..CAMPAIGNS).map(|n| {
        format!("[[campaign]]\nid = \"campaign-{n}\"\nname = \"{n}\"\ntime_zone = \"UTC\"\n[[campaign.placement]]\nid = \"placement-1\"\nname = \"1\"\nmedium = \"M\"\n")
    });
    let parts = Parts {
        source: Source::Lanes(vec![lane]),
        catalog: Catalog::parse(&campaigns.collect::<String>(), "catalog.toml")
            .expect("a catalog")
            .into_shared(),
        catalog_text: None,
        alerts: aggregator::Alerts::default(),
        tokens: Tokens {
            operator: Token::new(TOKEN),
            desk: desk::Desk::folder(&dir.path().join("desk")).expect("a desk"),
        },
        tombstones: Vec::new(),
        audit: audit::Log::scratch(&dir.path().join("audit")).expect("a log"),
        security: security_log::SecurityLog::off(),
        links: aggregator::LinkParts::default(),
        listeners: listener.into(),
        clock: Clock::System,
        store: StoreAt::Embedded { engine: None, path: dir.path().join("store") },
        database: DATABASE.to_owned(),
    };
    let step = Step::begin("started");
    let settings =
        Settings { settle_interval_seconds: 36_000, statement_threads_max: threads, ..Settings::default() };
    let handle = aggregator::start(&settings, parts).expect("it starts");
    step.end(0);
    let base = format!("http://{}", handle.address());
    let step = Step::begin("loaded");
    call("POST", &format!("{base}/v1/settle?day=1971-01-01"));
    step.end(all);

    let day = |n: u16| chrono::NaiveDate::default() + chrono::Days::new(u64::from(n));
    let step = Step::begin("settled, one day");
    call("POST", &format!("{base}/v1/settle?day={}", day(today - 2)));
    step.end(events);
    let step = Step::begin("settled, the rest");
    call("POST", &format!("{base}/v1/settle"));
    step.end(all - events);
    for path in
        ["reach", "reach?by=day", "reach?by=placement", "reach?by=creative", "frequency", "delivery?by=hour"]
    {
        let step = Step::begin("report, largest campaign");
        let text = call("GET", &format!("{base}/v1/campaigns/campaign-0/{path}"));
        print!("{path:>20} ({:>5} B) ", text.len());
        step.end(events);
    }
    print_sizes(&dir.path().join("store"));
    handle.stop();
}
