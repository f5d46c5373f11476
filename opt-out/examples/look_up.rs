//! Measures the list: nanoseconds a look-up and bytes an entry. `cargo run --release -p opt-out --example look_up -- [ENTRIES…]`
//!
//! *Independent* misses overlap in the processor, as those of a hit's several hashes do; *dependent* ones wait for the last, which is what a
//! single cold look-up costs. Every fourth probe of a listed hash is checked, so that a list that answers nothing cannot look fast.

use std::hint::black_box;
use std::time::Instant;

use event::key::OptOutHash;
use opt_out::{List, ListSettings};

/// Look-ups for each figure.
const PROBES: u64 = 10_000_000;

fn main() {
    let sizes: Vec<u64> =
        std::env::args().skip(1).filter_map(|size| size.replace('_', "").parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000_000, 10_000_000] } else { sizes };
    println!(
        "{:>11} {:>9} {:>9} {:>8} {:>9} {:>8} {:>8}",
        "entries", "build s", "B/entry", "miss ns", "dep. ns", "hit ns", "wrong"
    );
    for entries in sizes {
        measure(entries);
    }
}

fn measure(entries: u64) {
    let list = List::new(ListSettings::default());
    let began = Instant::now();
    // Listed hashes are those of the numbers below `entries`; strangers those above.
    list.replace(
        |range| {
            (0..entries)
                .map(hash)
                .filter(move |hash| hash.0.first().is_some_and(|first| range.contains(first)))
        },
        false,
    )
    .expect("an empty list may grow");
    let build = began.elapsed().as_secs_f64();

    let began = Instant::now();
    let wrong = (entries..entries + PROBES).filter(|number| list.contains(&hash(*number))).count();
    let miss = nanos(began) - hashing_nanos();

    let began = Instant::now();
    let mut number = entries;
    for _ in 0..PROBES {
        number += 1 + u64::from(list.contains(&hash(number)));
    }
    black_box(number);
    let dependent = nanos(began) - hashing_nanos();

    let began = Instant::now();
    let found =
        (0..PROBES).filter(|number| list.contains(&hash(number.wrapping_mul(0x9e37_79b9) % entries))).count();
    let hit = nanos(began) - hashing_nanos();
    assert_eq!(found as u64, PROBES, "every listed hash is found");

    let bytes = list.stats().memory_bytes as f64 / entries as f64;
    println!("{entries:>11} {build:>9.2} {bytes:>9.2} {miss:>8.1} {dependent:>9.1} {hit:>8.1} {wrong:>8}");
}

fn nanos(began: Instant) -> f64 {
    began.elapsed().as_nanos() as f64 / PROBES as f64
}

/// What making the probes costs alone.
fn hashing_nanos() -> f64 {
    let began = Instant::now();
    (0..PROBES).for_each(|number| {
        black_box(hash(number));
    });
    nanos(began)
}

/// A hash as uniform as a keyed one (two rounds of splitmix64).
fn hash(number: u64) -> OptOutHash {
    let mix = |number: u64| {
        let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let first = mix(number);
    OptOutHash((u128::from(first) << 64 | u128::from(mix(first))).to_be_bytes())
}
