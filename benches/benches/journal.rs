//! What the journal costs: an append, a group of 64 made durable, reading back, recovery; and how many bytes an event takes.

// A step that fails here ends the measurement.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::sample::record;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use journal::{Durability, Lane, Settings, Writer};

/// Records of the lane that is read back and recovered: about 300 MB of plain records.
const RECORDS: u64 = 2_000_000;

fn open(dir: &Path, durability: Durability) -> Writer {
    let clock: journal::Clock = Arc::new(|| event::clock::Clock::System.now_ms());
    let settings = Settings { durability, disk_bytes_max: 1 << 40, ..Settings::default() };
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
