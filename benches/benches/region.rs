//! What it costs to look up where a viewer is, in a library of as many networks as those of cities have in a country.

#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use benches::beacon::mix;
use criterion::{Criterion, criterion_group, criterion_main};
use ingest::{RegionLibrary, Regions, SharedRegions};

#[path = "../../ingest/tests/mmdb/mod.rs"]
mod mmdb;

/// Networks of the library, /24 each: 13 million addresses.
const NETWORKS: u32 = 50_000;
/// Provinces of China, and more places than a lane remembers.
const PLACES: [usize; 2] = [34, 4_000];
/// Addresses that are gone through in turn.
const ADDRESSES: usize = 4_096;

fn regions(places: usize) -> Regions {
    let codes: Vec<String> = (0..places).map(|place| format!("{:03X}", place % 0x1000)).collect();
    let networks: Vec<String> =
        (0..NETWORKS).map(|n| format!("{}/24", Ipv4Addr::from_bits((16 << 24) + (n << 8)))).collect();
    let place = |n: usize| codes.get(mix(n as u64) as usize % places).expect("below their number").as_str();
    let networks: Vec<(&str, &str, &str)> =
        networks.iter().enumerate().map(|(n, network)| (network.as_str(), "CN", place(n))).collect();
    let library = RegionLibrary::read(mmdb::library("Bench-City", 1, &networks)).expect("a library");
    let shared = SharedRegions::default();
    shared.store(Some(Arc::new(library)));
    Regions::new(&shared)
}

fn region(criterion: &mut Criterion) {
    let addresses: Vec<IpAddr> = (0..ADDRESSES as u64)
        .map(|n| Ipv4Addr::from_bits((16 << 24) + mix(n) as u32 % (NETWORKS << 8)).into())
        .collect();
    let mut group = criterion.benchmark_group("region");
    for places in PLACES {
        let (mut regions, mut turn) = (regions(places), 0);
        group.bench_function(format!("{NETWORKS} networks of {places} places"), |bench| {
            bench.iter(|| {
                turn = (turn + 1) % ADDRESSES;
                regions.find(black_box(*addresses.get(turn).expect("turn is below their number")))
            });
        });
    }
    let mut none = Regions::new(&SharedRegions::default());
    group.bench_function("no library", |bench| {
        bench.iter(|| none.find(black_box(Ipv4Addr::LOCALHOST.into())));
    });
    group.finish();
}

criterion_group!(benches, region);
criterion_main!(benches);
