//! What it costs to bring events through the journal into the embedded store: append, read, decode, write as rows, insert, with every column and the
//! marks of changed days; the road of production. `cargo run --release -p aggregator --example volume` goes on from there to settling,
//! reports and bytes on disk.

// A step that fails here ends the measurement.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregator::{DATABASE, Parts, Settings, Source, StoreAt, Token, Tokens};
use benches::sample::{CAMPAIGN, FIRST_MS, PLACEMENTS, record};
use catalog::Catalog;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use event::clock::Clock;
use journal::{Durability, Lane, Writer};

/// Events of one measurement: several inserts, so that the wait for the last one weighs little.
const EVENTS: u64 = 1_000_000;

const TOKEN: &str = "measurement-of-the-store";

fn lane(dir: &Path) -> Writer {
    let settings = journal::Settings {
        durability: Durability::Os,
        disk_bytes_max: 1 << 40,
        ..journal::Settings::default()
    };
    Lane::open(dir, settings, Arc::new(|| FIRST_MS)).expect("the lane opens").0
}

fn start(dir: &Path, lane: Writer) -> aggregator::Handle {
    let placements = PLACEMENTS
        .map(|id| format!("[[campaign.placement]]\nid = \"{id}\"\nname = \"{id}\"\nmedium = \"M\"\n"));
    let campaign = format!(
        "[[campaign]]\nid = \"{CAMPAIGN}\"\nname = \"Measurement\"\ntime_zone = \"UTC\"\n{}",
        placements.concat()
    );
    let parts = Parts {
        source: Source::Lanes(vec![lane]),
        catalog: Catalog::parse(&campaign, "catalog.toml").expect("a catalog").into_shared(),
        catalog_text: None,
        alerts: aggregator::Alerts::default(),
        tokens: Tokens {
            operator: Token::new(TOKEN),
            desk: desk::Desk::folder(&dir.join("desk")).expect("a desk"),
        },
        tombstones: Vec::new(),
        audit: audit::Log::scratch(&dir.join("audit")).expect("a log"),
        security: security_log::SecurityLog::off(),
        links: aggregator::LinkParts::default(),
        listeners: TcpListener::bind("127.0.0.1:0").expect("a port").into(),
        clock: Clock::manual(FIRST_MS + 86_400_000),
        store: StoreAt::Embedded { engine: None, path: dir.join("store") },
        database: DATABASE.to_owned(),
    };
    let settings =
        Settings { settle_interval_seconds: 36_000, statement_threads_max: 1, ..Settings::default() };
    aggregator::start(&settings, parts).expect("the store opens")
}

/// Waits until everything in the journal is in the store. No event has the day that is settled with it.
fn wait_until_loaded(address: SocketAddr) {
    let answer = ureq::post(format!("http://{address}/v1/settle?day=1971-01-01"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .send_empty()
        .expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
}

fn insert(criterion: &mut Criterion) {
    if let Err(missing) = aggregator::engine::find_library(None) {
        println!("the store is not measured: {missing}");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let writer = lane(&dir.path().join("lane"));
    let handle = start(dir.path(), writer.clone());
    wait_until_loaded(handle.address());
    let (mut next, mut records) = (0, vec![Vec::new(); EVENTS as usize]);
    let mut group = criterion.benchmark_group("store");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).measurement_time(Duration::from_secs(15));
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("events through the journal into the store", |bench| {
        bench.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                for (bytes, n) in records.iter_mut().zip(next..) {
                    record(n, bytes);
                }
                next += EVENTS;
                let began = Instant::now();
                for bytes in &records {
                    while writer.append(bytes).is_err() {
                        writer.flush();
                        std::thread::yield_now();
                    }
                }
                writer.flush();
                wait_until_loaded(handle.address());
                took += began.elapsed();
            }
            took
        });
    });
    group.finish();
    writer.close();
    handle.stop();
}

criterion_group!(benches, insert);
criterion_main!(benches);
