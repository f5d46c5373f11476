//! What the journal costs: an append, a group of 64 made durable, reading back, recovery; and how many bytes an event takes.

// A step that fails here ends the measurement.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::beacon::mix;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use event::identifier::IdKind;
use event::key::DeviceKey;
use event::record::{Device, Event, Platform, SourceKind, encode_event};
use event::stage::Stage;
use journal::{Durability, Lane, Settings, Writer};

/// Records of the lane that is read back and recovered: about 300 MB of plain records.
const RECORDS: u64 = 2_000_000;

/// Agents that phones send most; the journal keeps them with each event.
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (Linux; Android 14; V2309A) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Dalvik/2.1.0 (Linux; U; Android 13; 22081212C Build/TKQ1.220829.002)",
];

/// The n-th event: devices, views and times as they come from a campaign on phones.
fn record(n: u64, into: &mut Vec<u8>) {
    let draw = mix(n);
    let device = mix(draw % 10_000_000);
    let key = (u128::from(device) << 64 | u128::from(mix(device))).to_le_bytes();
    let received_ms = 1_795_000_000_000 + (n / 20) as i64;
    let time_ms = received_ms - (draw % 3000) as i64;
    into.clear();
    encode_event(
        &Event {
            received_ms,
            time_ms,
            client_time_ms: Some(time_ms),
            day: Some(20_775),
            hour: 7,
            stage: if draw.is_multiple_of(50) { Stage::Click } else { Stage::Impression },
            source: SourceKind::Client,
            platform: Platform::Android,
            flags: 0,
            campaign: "autumn-2026",
            placement: ["home", "feed-3", "pre-roll"].get((draw >> 8) as usize % 3).expect("below three"),
            creative: "a1",
            region: "",
            catalog_version: 0x1234_5678,
            device: Some(Device { key: DeviceKey(key), kind: IdKind::Oaid, epoch: 1 }),
            view: mix(draw),
            network: &(draw as u32).to_le_bytes()[..3],
            agent: AGENTS.get((draw >> 16) as usize % 3).expect("below three"),
        },
        into,
    );
}

fn open(dir: &Path, durability: Durability) -> Writer {
    let clock: journal::Clock = Arc::new(|| event::clock::Clock::System.now_ms());
    let settings =
        Settings { durability, queue_bytes_max: 64 << 20, disk_bytes_max: 1 << 40, ..Settings::default() };
    Lane::open(dir, settings, clock).expect("the lane opens").0
}

fn append(criterion: &mut Criterion) {
    let mut records = vec![Vec::new(); 64];
    for (n, bytes) in records.iter_mut().enumerate() {
        record(n as u64, bytes);
    }
    for (name, durability) in [("os", Durability::Os), ("fsync", Durability::Fsync)] {
        let dir = tempfile::tempdir().expect("a folder");
        let writer = open(dir.path(), durability);
        let mut group = criterion.benchmark_group(format!("journal, {name}"));
        group.throughput(Throughput::Elements(64));
        group.bench_function("a group of 64 appended and committed", |bench| {
            bench.iter(|| {
                let commits: Vec<_> = records
                    .iter()
                    .map(|bytes| writer.append(black_box(bytes)).expect("there is room"))
                    .collect();
                writer.flush();
                commits.into_iter().map(|commit| commit.wait().expect("the disk works")).max()
            });
        });
        group.finish();
        writer.close();
    }
}

fn read_back(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let plain_bytes = fill(dir.path());
    let stats = journal::verify(dir.path()).expect("the lane can be read");
    println!(
        "journal: {:.1} bytes an event as a record, {:.1} on disk, in frames of {:.0} events",
        plain_bytes as f64 / RECORDS as f64,
        stats.bytes as f64 / RECORDS as f64,
        RECORDS as f64 / stats.frames as f64
    );
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Bytes(stats.bytes));
    group.bench_function("verify", |bench| {
        bench.iter(|| journal::verify(dir.path()).expect("readable").records);
    });
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("read back", |bench| {
        bench.iter(|| {
            let mut bytes = 0;
            journal::read_all(dir.path(), |_, _, record| bytes += record.len()).expect("readable");
            bytes
        });
    });
    group.bench_function("open again after a clean end", |bench| {
        bench.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                let began = Instant::now();
                let writer = open(dir.path(), Durability::Os);
                took += began.elapsed();
                writer.close();
            }
            took
        });
    });
    group.finish();
}

/// Writes [`RECORDS`] events; answers how many bytes their records have.
fn fill(dir: &Path) -> u64 {
    let writer = open(dir, Durability::Os);
    let (mut bytes, mut total) = (Vec::new(), 0);
    for n in 0..RECORDS {
        record(n, &mut bytes);
        total += bytes.len() as u64;
        let commit = writer.append(&bytes).expect("there is room");
        if n % 2000 == 1999 {
            writer.flush();
            commit.wait().expect("the disk works");
        }
    }
    writer.close();
    total
}

criterion_group!(benches, append, read_back);
criterion_main!(benches);
