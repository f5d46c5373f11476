//! Look-ups in the list beside their floor: reads of one cache line at a random place of as much memory, which nothing that keeps so much can beat.
//!
//! All are measured in turn in each round, so that whatever else the machine does falls on all alike, and a ratio means something where the
//! nanoseconds do not; they are of processor time. What the numbers themselves cost is taken off, round by round.
//!
//! A look-up whose answer the processor has guessed right is passed before its memory has come; so those that "wait for the last" wait only as far as they must,
//! while the floor's next place is made of what was read, and waits. Where listed and unlisted ones alternate at random, there is nothing to guess.

#![expect(clippy::indexing_slicing, reason = "a measurement may stop")]

use std::hint::black_box;

use memmap2::{Advice, MmapMut};
use opt_out::List;
use rustix::time::{ClockId, clock_gettime};

use super::{hash, mix};

/// Look-ups of a round, and rounds.
const ROUND: (u64, usize) = (500_000, 9);

/// One line of the table: its name, and the line that is its floor.
type Line<'a> = (&'static str, Option<&'static str>, Box<dyn FnMut(u64) -> u64 + 'a>);

const OWN: &str = "the numbers themselves";
const OWN_CHAINED: &str = "the numbers, each made of the last";
const FLOOR: &str = "floor: a line as far as the filter reaches";
const FLOOR_CHAINED: &str = "floor: each waiting for the last";
const FLOOR_SET: &str = "floor: waiting, as far as the set reaches";

pub(super) fn measure(list: &List, entries: u64) {
    let filter_bytes = entries * 2;
    let set_bytes = list.stats().memory_bytes - filter_bytes;
    let (filter, set) = (memory(filter_bytes, true), memory(set_bytes, true));
    let plain = memory(set_bytes, false);
    let look_up = || {
        let mut reader = list.reader();
        move |n: u64| u64::from(reader.contains(&hash(n)))
    };
    let (mut strange, mut strange_chained, mut listed_alone) = (look_up(), look_up(), look_up());
    let (mut listed_chained, mut mixed) = (look_up(), look_up());
    let listed = move |n: u64| ((u128::from(n) * u128::from(entries)) >> 64) as u64;
    let mut lines: Vec<Line<'_>> = vec![
        (OWN, None, each(|n| u64::from(hash(n).0[0]))),
        (OWN_CHAINED, None, chained(|n| u64::from(hash(n).0[0] == hash(n).0[15]))),
        (FLOOR, None, each(|n| line(&filter, n))),
        ("a stranger", Some(FLOOR), each(move |n| strange(n | 1 << 63))),
        (FLOOR_CHAINED, None, chained(|n| line(&filter, n))),
        ("a stranger, each waiting", Some(FLOOR_CHAINED), chained(move |n| strange_chained(n | 1 << 63))),
        (FLOOR_SET, None, chained(|n| line(&set, n))),
        ("floor: waiting, the same with plain pages", Some(FLOOR_SET), chained(|n| line(&plain, n))),
        ("a listed one, each waiting", Some(FLOOR_SET), chained(move |n| listed_chained(listed(n)))),
        (
            "one or the other, each waiting",
            Some(FLOOR_SET),
            chained(move |n| mixed(if n & 1 == 0 { listed(n) } else { n | 1 << 63 })),
        ),
        ("a listed one", Some(FLOOR), each(move |n| listed_alone(listed(mix(n))))),
    ];
    let mut rounds = vec![Vec::new(); lines.len()];
    for number in 0..ROUND.1 as u64 {
        for ((_, _, run), times) in lines.iter_mut().zip(&mut rounds) {
            let began = own_time_ns();
            black_box(run(number * ROUND.0));
            times.push((own_time_ns() - began) as f64 / ROUND.0 as f64);
        }
    }
    let names: Vec<_> = lines.iter().map(|(name, floor, _)| (*name, *floor)).collect();
    print(&names, &rounds);
}

fn print(names: &[(&'static str, Option<&'static str>)], rounds: &[Vec<f64>]) {
    let of = |name: &str| {
        let own = usize::from(name.contains("waiting"));
        let line = names.iter().position(|(other, _)| *other == name).expect("a line of the table");
        rounds[line].iter().zip(&rounds[own]).map(|(time, own)| (time - own).max(0.1)).collect::<Vec<_>>()
    };
    println!("{:<44} {:>9} {:>9} {:>9}", "ns a look-up", "least", "median", "× floor");
    for (name, floor) in names.iter().skip(2) {
        let times = of(name);
        let ratio = floor.map_or(String::from("1"), |floor| {
            format!("{:.2}", median(times.iter().zip(of(floor)).map(|(time, floor)| time / floor).collect()))
        });
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{name:<44} {least:>9.0} {:>9.0} {ratio:>9}", median(times));
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Processor time of this thread: another's turn on the processor is none of a look-up's, though what it leaves in the caches is.
fn own_time_ns() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Look-ups that do not wait for each other.
fn each<'a>(mut one: impl FnMut(u64) -> u64 + 'a) -> Box<dyn FnMut(u64) -> u64 + 'a> {
    Box::new(move |first| (first..first + ROUND.0).map(&mut one).fold(0, u64::wrapping_add))
}

/// Each number is made of what the one before it found.
fn chained<'a>(mut one: impl FnMut(u64) -> u64 + 'a) -> Box<dyn FnMut(u64) -> u64 + 'a> {
    Box::new(move |first| (0..ROUND.0).fold(mix(first), |n, _| mix(n ^ one(n))))
}

/// Memory as the list's, with huge pages or without, all of it in use.
fn memory(bytes: u64, huge: bool) -> MmapMut {
    let mut map = MmapMut::map_anon((bytes as usize).next_multiple_of(2 << 20)).expect("memory");
    let _plain_ones_do = map.advise(if huge { Advice::HugePage } else { Advice::NoHugePage });
    map.iter_mut().step_by(64).for_each(|byte| *byte = 1);
    map
}

/// A word of one line at the place that a hash names, as far as the memory reaches.
fn line(memory: &[u8], n: u64) -> u64 {
    let lines = memory.as_chunks::<64>().0;
    let hash = u64::from_be_bytes(hash(n).0[..8].try_into().expect("eight bytes"));
    let line = &lines[((u128::from(hash) * lines.len() as u128) >> 64) as usize];
    u64::from_le_bytes(line[..8].try_into().expect("eight bytes"))
}
