//! What a beacon's way costs where it only computes: parse, identify, encode, and the three in a row.

// A step that fails here ends the measurement.
#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;

use benches::beacon::{Beacons, Campaign, mix};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use event::agent;
use event::dialect::{Scratch, Table};
use event::identifier::{Identity, identify};
use event::key::KeyRing;
use event::profile::Remap;
use event::record::{Event, Platform, SourceKind, encode_event};
use event::stage::Stage;

/// Receipt of every event.
const RECEIVED_MS: i64 = 1_795_000_000_000;

/// A request id as an SDK sends it.
const REQUEST_ID: &[u8; 32] = b"0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Queries that are gone through in turn, so that no branch is learned by heart.
const QUERIES: usize = 1024;

fn queries() -> Vec<(Vec<u8>, Vec<u8>)> {
    let campaign = Campaign { campaign: "bench".to_owned(), placement: "p1".to_owned() };
    let mut beacons = Beacons::new("127.0.0.1:8080", &campaign, 1);
    let mut next = || {
        let (query, agent) = beacons.next_query();
        (query.to_vec(), agent.to_vec())
    };
    (0..QUERIES).map(|_| next()).collect()
}

fn random(mut state: u64) -> impl FnMut(&mut [u8]) {
    move |bytes| {
        bytes.fill_with(|| {
            state = mix(state);
            state as u8
        });
    }
}

fn keys() -> KeyRing {
    KeyRing::generate(random(1))
}

/// Another key, while the first overlaps with it.
fn rotated() -> KeyRing {
    keys().rotated_with_overlap(0, u16::MAX, random(2)).expect("room for an epoch")
}

fn event<'a>(query: &Identity, view: u64, agent: &'a [u8]) -> Event<'a> {
    Event {
        received_ms: RECEIVED_MS,
        time_ms: RECEIVED_MS - 412,
        client_time_ms: Some(RECEIVED_MS - 412),
        day: Some(20_775),
        hour: 7,
        stage: Stage::Impression,
        source: SourceKind::Client,
        platform: Platform::Android,
        flags: query.flags,
        campaign: "bench",
        placement: "p1",
        creative: "a1",
        region: "",
        catalog_version: 0x1234_5678,
        device: query.device,
        view,
        network: &[203, 0, 113],
        agent: agent::cut(agent),
        site: "",
    }
}

fn beacon(criterion: &mut Criterion) {
    event::prepare();
    let (queries, keys) = (queries(), keys());
    let mut group = criterion.benchmark_group("beacon");
    group.throughput(Throughput::Elements(1));
    let mut turn = 0;
    let mut next = || {
        turn = (turn + 1) % QUERIES;
        queries.get(turn).expect("turn is below their number")
    };
    let mut scratch = Scratch::new();
    group.bench_function("parse (213 bytes of URL)", |bench| {
        bench.iter(|| Table::native().parse(black_box(&next().0), &mut scratch).is_ok());
    });
    let mut scratch = Scratch::new();
    let hit = Table::native()
        .parse(&queries.first().expect("there are some").0, &mut scratch)
        .expect("it is whole");
    group.bench_function("identify (three ids as MD5)", |bench| {
        bench.iter(|| identify(black_box(&hit), Platform::Android, &keys, &Remap::NONE));
    });
    let rotated = rotated();
    group.bench_function("identify (three ids as MD5), two keys overlap", |bench| {
        bench.iter(|| identify(black_box(&hit), Platform::Android, &rotated, &Remap::NONE));
    });
    let raw = b"c=bench&p=p1&oaid=8f3a2b1c-4d5e-6f70-8192-a3b4c5d6e7f8&imei=490154203237518&android_id=9774d56d682e549c";
    let mut scratch = Scratch::new();
    let raw = Table::native().parse(raw, &mut scratch).expect("it is whole");
    group.bench_function("identify (three raw ids)", |bench| {
        bench.iter(|| identify(black_box(&raw), Platform::Android, &keys, &Remap::NONE));
    });
    group.bench_function("view (32 bytes of request id)", |bench| {
        bench.iter(|| keys.view_hash(black_box(REQUEST_ID)));
    });
    let identity = identify(&hit, Platform::Android, &keys, &Remap::NONE);
    let event = event(&identity, keys.view_hash(REQUEST_ID), &queries.first().expect("some").1);
    group.bench_function("encode", |bench| {
        bench.iter_batched_ref(
            || Vec::with_capacity(512),
            |bytes| encode_event(black_box(&event), bytes),
            BatchSize::SmallInput,
        );
    });
    let identity = identify(&hit, Platform::Android, &rotated, &Remap::NONE);
    let event = self::event(&identity, keys.view_hash(REQUEST_ID), &queries.first().expect("some").1);
    group.bench_function("encode, two keys overlap", |bench| {
        bench.iter_batched_ref(
            || Vec::with_capacity(512),
            |bytes| encode_event(black_box(&event), bytes),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn in_a_row(criterion: &mut Criterion) {
    let queries = queries();
    for (name, keys) in [("", keys()), (", two keys overlap", rotated())] {
        let (mut scratch, mut bytes, mut turn) = (Scratch::new(), Vec::with_capacity(512), 0);
        criterion.bench_function(&format!("beacon/parse, identify, encode{name}"), |bench| {
            bench.iter(|| {
                turn = (turn + 1) % QUERIES;
                let (query, agent) = queries.get(turn).expect("turn is below their number");
                let hit = Table::native().parse(query, &mut scratch).expect("it is whole");
                let identity = identify(&hit, agent::platform(hit.os, agent), &keys, &Remap::NONE);
                bytes.clear();
                let view = keys.view_hash(hit.request_id.unwrap_or_default());
                encode_event(&event(&identity, view, agent), &mut bytes);
                bytes.len()
            });
        });
    }
}

criterion_group!(benches, beacon, in_a_row);
criterion_main!(benches);
