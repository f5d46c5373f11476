//! What it costs to ask whether a device opted out. 10 million entries; SIGHTLINE_BENCH_ENTRIES=100000000 for another number.

// A step that fails here ends the measurement.
#![allow(clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::env;
use std::hint::black_box;
use std::time::Instant;

use benches::beacon::mix;
use criterion::{Criterion, criterion_group, criterion_main};
use event::key::OptOutHash;
use opt_out::{List, ListSettings};

/// The n-th hash that is listed (even numbers) or not (odd ones).
fn hash(n: u64) -> OptOutHash {
    let mut bytes = [0; 16];
    let (high, low) = bytes.split_at_mut(8);
    high.copy_from_slice(&mix(n).to_le_bytes());
    low.copy_from_slice(&mix(!n).to_le_bytes());
    OptOutHash(bytes)
}

fn look_up(criterion: &mut Criterion) {
    let entries: u64 = env::var("SIGHTLINE_BENCH_ENTRIES")
        .map_or(10_000_000, |text| text.parse().expect("a number of entries"));
    let list = List::new(ListSettings::default());
    let began = Instant::now();
    list.replace((0..entries).map(|n| hash(2 * n)).collect(), false).expect("the first list shrinks nothing");
    let stats = list.stats();
    println!(
        "opt-out list of {entries}: built in {:.1} s, {:.2} bytes an entry in memory (filter and exact set)",
        began.elapsed().as_secs_f64(),
        stats.memory_bytes as f64 / entries as f64
    );
    let mut reader = list.reader();
    let mut group = criterion.benchmark_group(format!("opt-out of {entries}"));
    let mut n = 0;
    group.bench_function("miss", |bench| {
        bench.iter(|| {
            n += 1;
            reader.contains(&hash(black_box(2 * n + 1)))
        });
    });
    group.bench_function("hit", |bench| {
        bench.iter(|| {
            n += 1;
            reader.contains(&hash(black_box(2 * (n % entries))))
        });
    });
    group.bench_function("miss, each waiting for the last", |bench| {
        bench.iter(|| {
            let listed = reader.contains(&hash(2 * n + 1));
            n = mix(n ^ u64::from(listed)) >> 1;
        });
    });
    group.bench_function("the hash of the measurement itself", |bench| {
        bench.iter(|| {
            n = mix(n) >> 1;
            hash(black_box(2 * n + 1))
        });
    });
    let hits: Vec<[OptOutHash; 3]> = (0..1024).map(|n| [1, 3, 5].map(|odd| hash(2 * mix(n) + odd))).collect();
    let mut turn = hits.iter().cycle();
    group.bench_function("a hit's three hashes, none listed", |bench| {
        bench.iter(|| reader.contains_any(turn.next().expect("it cycles")));
    });
    group.finish();
}

criterion_group!(benches, look_up);
criterion_main!(benches);
