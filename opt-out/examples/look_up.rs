//! Measures the list: nanoseconds a look-up and bytes an entry. `cargo run --release -p opt-out --example look_up -- [ENTRIES…]`
//!
//! Columns: a miss on the shared list, a miss on a thread's own reader, the same for one of four hashes asked for together, and a hit. A processor
//! looks past a miss that it expects, so that misses overlap. Every listed hash must be found and every stranger must not, so that a list that
//! answers nothing cannot look fast.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

use std::hint::black_box;
use std::time::Instant;

use event::key::OptOutHash;
use opt_out::{List, ListSettings};

/// Look-ups in a round, a multiple of four.
const PROBES: u64 = 40_000;

/// Rounds for each figure; the quietest counts, for the machine may be busy.
const ROUNDS: u64 = 400;

fn main() {
    let sizes: Vec<u64> =
        std::env::args().skip(1).filter_map(|size| size.replace('_', "").parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000_000, 10_000_000] } else { sizes };
    println!("    entries  build s  B/entry  miss ns  reader's ns  of 4 ns   hit ns  wrong");
    for entries in sizes {
        measure(entries);
    }
}

fn measure(entries: u64) {
    let list = List::new(ListSettings::default());
    let began = Instant::now();
    // Listed hashes are those of the numbers below `entries`; strangers those above.
    list.replace((0..entries).map(hash).collect(), false).expect("an empty list may grow");
    let build = began.elapsed().as_secs_f64();

    let mut wrong = 0;
    let miss = best(|first| {
        wrong += (first..first + PROBES).filter(|n| list.contains(&hash(entries + *n))).count();
    });
    let mut reader = list.reader();
    let reader_miss = best(|first| {
        wrong += (first..first + PROBES).filter(|n| reader.contains(&hash(entries + *n))).count();
    });
    let miss_four = best(|first| {
        for n in (first..first + PROBES).step_by(4) {
            black_box(reader.contains_any(&[0, 1, 2, 3].map(|i| hash(entries + n + i))));
        }
    });
    let hit = best(|first| {
        let found = (first..first + PROBES)
            .filter(|n| list.contains(&hash(n.wrapping_mul(0x9e37_79b9) % entries)))
            .count();
        assert_eq!(found as u64, PROBES, "every listed hash is found");
    });
    let hashing = best(|first| {
        (first..first + PROBES).for_each(|n| {
            black_box(hash(n));
        });
    });

    let bytes = list.stats().memory_bytes as f64 / entries as f64;
    println!(
        "{entries:>11} {build:>8.2} {bytes:>8.2} {:>8.1} {:>12.1} {:>8.1} {:>8.1} {wrong:>6}",
        miss - hashing,
        reader_miss - hashing,
        miss_four - hashing,
        hit - hashing
    );
}

/// Nanoseconds a probe in the quietest of the rounds. Each round gets a number to start from that no other round reaches.
fn best(mut round: impl FnMut(u64)) -> f64 {
    (0..ROUNDS)
        .map(|number| {
            let began = Instant::now();
            round(number * PROBES);
            began.elapsed().as_nanos() as f64 / PROBES as f64
        })
        .fold(f64::INFINITY, f64::min)
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
