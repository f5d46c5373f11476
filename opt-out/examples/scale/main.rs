//! Measures the list and the registry with many entries: `cargo run --release -p opt-out --example scale -- ENTRIES [HASHES_OF_AN_ID]`
//!
//! 1. The list: building it, bytes an entry, look-ups beside the floor of this machine's memory, a million random hashes of which none may be
//!    dropped, how often the filter said perhaps in vain, a rebuild with a thousandth of changes, how long a change takes meanwhile, memory at the most.
//! 2. With HASHES_OF_AN_ID (27 is what an OAID that is a UUID has, an MD5 two to eight) the registry too: importing as many ids as hold the entries, and opening it again, which
//!    is what stands between a restart and readiness.

#![expect(clippy::print_stdout, reason = "the figures are what this is for")]

mod look_up;

use std::time::{Duration, Instant};

use event::clock::Clock;
use event::key::{KeyRing, OptOutHash};
use opt_out::record::AppName;
use opt_out::registry::import::{Act, Id};
use opt_out::{List, ListSettings, Registry, Settings};

/// Random hashes that nobody lodged.
const STRANGERS: u64 = 1_000_000;
/// Ids of one portion, as the command sends them.
const PORTION: u64 = 1_000;

fn main() {
    let numbers: Vec<u64> =
        std::env::args().skip(1).filter_map(|number| number.replace('_', "").parse().ok()).collect();
    let entries = numbers.first().copied().unwrap_or(10_000_000);
    list(entries);
    if let Some(of_an_id) = numbers.get(1) {
        registry(entries, *of_an_id);
    }
}

fn list(entries: u64) {
    let list = List::new(ListSettings::default());
    let hashes: Vec<OptOutHash> = (0..entries).map(hash).collect();
    let (began, before) = (Instant::now(), memory_mib("VmRSS:"));
    list.replace(hashes, false).expect("an empty list may grow");
    let stats = list.stats();
    println!(
        "list of {entries}: built in {:.1} s; {} MiB of filter and set, {:.2} bytes an entry; at most {} MiB beside {before} MiB of hashes",
        began.elapsed().as_secs_f64(),
        stats.memory_bytes >> 20,
        stats.memory_bytes as f64 / entries as f64,
        memory_mib("VmHWM:").saturating_sub(before)
    );
    look_up::measure(&list, entries);
    let (before, mut reader) = (list.stats(), list.reader());
    let dropped = (0..STRANGERS).filter(|n| reader.contains(&hash(u64::MAX - n))).count();
    drop(reader);
    let false_alarms = list.stats().false_alarms - before.false_alarms;
    println!(
        "{STRANGERS} random hashes: {dropped} dropped; for {false_alarms} of them the filter said perhaps, {:.2e}",
        false_alarms as f64 / STRANGERS as f64
    );
    assert_eq!(dropped, 0, "nobody else is hit");
    rebuild(&list, entries);
}

fn rebuild(list: &List, entries: u64) {
    let changes = (entries / 1_000).max(1);
    list.apply((0..changes).map(|n| (hash(1 << 62 | n), true)));
    // The most in use from here on; where the system does not forget, it is that of the whole run.
    let _forgotten = std::fs::write("/proc/self/clear_refs", "5");
    let began = Instant::now();
    let (mut slowest, mut done) = (Duration::ZERO, 0);
    std::thread::scope(|scope| {
        let rebuilding = scope.spawn(|| list.rebuild());
        while !rebuilding.is_finished() {
            let began = Instant::now();
            list.insert(&hash(1 << 61 | done));
            slowest = slowest.max(began.elapsed());
            done += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        rebuilding.join().expect("it does not panic").expect("the list is rebuilt");
    });
    println!(
        "rebuilt with {changes} changes in {:.1} s; meanwhile {done} changes, the slowest in {:.1} ms; at most {} MiB in all",
        began.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1e3,
        memory_mib("VmHWM:")
    );
}

fn registry(entries: u64, of_an_id: u64) {
    let dir = std::env::temp_dir().join(format!("sightline-scale-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("a new folder");
    let keys = KeyRing::generate(|bytes| getrandom::fill(bytes).expect("random bytes"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let register = AppName::new("scale").expect("a name");
    let open = || {
        let (registry, list) = Registry::open(&dir, &Settings::default(), Clock::System).expect("opens");
        registry.bind_key(&keys).expect("its own key");
        (registry, list)
    };
    let (registry, list) = open();
    let ids = entries / of_an_id;
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    for first in (0..ids).step_by(PORTION as usize) {
        let portion: Vec<Id> = (first..(first + PORTION).min(ids))
            .map(|id| Id {
                line: hash(id * of_an_id),
                hashes: (0..of_an_id).map(|n| hash(id * of_an_id + n)).collect(),
            })
            .collect();
        let began = Instant::now();
        runtime.block_on(registry.import(&register, Act::Lodge, &portion)).expect("imported");
        slowest = slowest.max(began.elapsed());
    }
    let took = began.elapsed().as_secs_f64();
    println!(
        "registry: {ids} ids with {of_an_id} hashes each imported in {took:.1} s, {:.0} ids/s; a portion of {PORTION} took {:.2} s at most; \
         {} rebuilds; {} MiB on disk",
        ids as f64 / took,
        slowest.as_secs_f64(),
        list.stats().rebuilds,
        registry.stats().disk_bytes >> 20
    );
    registry.close();
    drop((registry, list));
    let began = Instant::now();
    let (registry, list) = open();
    println!(
        "opened again, list and all, in {:.1} s; {} receipts, {} hashes listed; {} MiB in use",
        began.elapsed().as_secs_f64(),
        registry.stats().receipts,
        list.len(),
        memory_mib("VmRSS:")
    );
    assert_eq!(list.len(), ids * of_an_id, "each hash is listed");
    registry.close();
    std::fs::remove_dir_all(&dir).expect("our own folder");
}

/// A line of this process's status, MiB.
fn memory_mib(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|text| text.strip_prefix(line)?.trim().strip_suffix(" kB")?.parse().ok());
    kib.unwrap_or(0_u64) >> 10
}

/// One step of splitmix64.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash as uniform as a keyed one.
fn hash(number: u64) -> OptOutHash {
    let first = mix(number);
    OptOutHash((u128::from(first) << 64 | u128::from(mix(first))).to_be_bytes())
}
