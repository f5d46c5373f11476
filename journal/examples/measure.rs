//! Measures a lane on the disk of a directory: bytes and CPU per record by group size and compression, records per second through
//! `drive()` on a single-threaded runtime, and the speed of reading, verifying and recovering.
//!
//! `cargo run --release -p journal --example measure -- [DIR]` (default: a temporary directory under the system's).

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program whose output is its purpose, run by hand"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use journal::storage::lossy::Dice;
use journal::{Clock, Compression, Durability, Lane, Settings, Writer};

fn main() {
    let dir = env::args().nth(1).map_or_else(env::temp_dir, PathBuf::from).join("journal-measure");
    let records = Arc::new(beacons(20_000));
    let plain: usize = records.iter().map(Vec::len).sum();
    println!("records: {} bytes on average", plain / records.len());
    println!("\ncompression      group  bytes/record  CPU us/record (append + commit, os durability)");
    let zstd = |level, payload_bytes_min| Compression::Zstd { level, payload_bytes_min };
    for compression in [Compression::Off, zstd(3, 0), zstd(1, 0), zstd(-1, 0), zstd(-3, 0)] {
        for group in [1, 4, 8, 16, 32, 64, 256] {
            by_group(&dir, &records, group, compression);
        }
    }
    println!(
        "\ndurability  compression        tasks  records/s  us/record CPU  group  sync us  p50 us  p99 us"
    );
    for durability in [Durability::Os, Durability::Fsync] {
        for compression in [Compression::Off, Settings::default().compression] {
            for tasks in [1, 8, 64, 256] {
                driven(&dir, &records, tasks, Settings { durability, compression, ..Settings::default() });
            }
        }
    }
    println!();
    for compression in [Compression::Off, Settings::default().compression] {
        reading(&dir, &records, compression);
    }
    remove(&dir);
}

fn remove(dir: &Path) {
    if dir.exists() {
        fs::remove_dir_all(dir).expect("the measuring directory can be removed");
    }
}

fn open(dir: &Path, settings: Settings) -> Writer {
    let clock: Clock = Arc::new(|| 0);
    Lane::open(dir, settings, clock).expect("the lane opens").0
}

/// Records shaped like an event's: a random key and view, times that follow each other, names that repeat, an agent of about 120 bytes.
fn beacons(count: usize) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(1);
    let agents: Vec<String> = (0..400)
        .map(|agent| match agent % 3 {
            0 => format!(
                "Mozilla/5.0 (Linux; Android {}; SM-G{:03}0 Build/TP1A.{:06}.014) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.{}.{} Mobile Safari/537.36",
                9 + dice.below(6), dice.below(1000), dice.below(1_000_000), 100 + dice.below(30), 4000 + dice.below(2000), dice.below(200)
            ),
            1 => format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS {}_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.0 Mobile/{:X} Safari/604.1",
                13 + dice.below(5), dice.below(7), 13 + dice.below(5), dice.below(0xff_ffff)
            ),
            _ => format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
                90 + dice.below(40)
            ),
        })
        .collect();
    let mut now = 1_763_700_000_000u64;
    (0..count)
        .map(|_| {
            now += dice.below(2);
            let mut record = vec![1, 1, 29];
            record.extend_from_slice(&now.to_le_bytes()[..6]);
            record.extend_from_slice(&[0, 2, 1, 1 + dice.below(3) as u8, 13, 0x4a, 0x50, 0]);
            record.extend_from_slice(&0x1234_5678_9abc_def0u64.to_le_bytes());
            (0..4).for_each(|_| record.extend_from_slice(&dice.below(1 << 32).to_le_bytes()[..4]));
            record.extend_from_slice(&[3, 1]);
            (0..2).for_each(|_| record.extend_from_slice(&dice.below(1 << 32).to_le_bytes()[..4]));
            record.extend_from_slice(&[
                3,
                100 + dice.below(20) as u8,
                dice.below(256) as u8,
                dice.below(256) as u8,
            ]);
            // A few agents are common, most are rare.
            let agent = agents[(dice.below(20) * dice.below(20)) as usize].clone();
            let campaign = format!("campaign-{:02}", dice.below(8));
            let placement = format!("placement-{:03}", dice.below(40));
            let creative = format!("cr{}", dice.below(6));
            for text in [campaign, placement, creative, format!("CN-{:02}", dice.below(31)), agent] {
                record.push(text.len() as u8);
                record.extend_from_slice(text.as_bytes());
            }
            record
        })
        .collect()
}

/// Processor time of this process so far, all threads, user and system.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("a Linux machine");
    let after_name = stat.rsplit_once(')').expect("a name in brackets").1;
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 10)
}

fn micros(duration: Duration, count: u64) -> f64 {
    duration.as_secs_f64() * 1e6 / count as f64
}

fn by_group(dir: &Path, records: &[Vec<u8>], group: usize, compression: Compression) {
    remove(dir);
    let writer = open(dir, Settings { durability: Durability::Os, compression, ..Settings::default() });
    let (begun, cpu_begun) = (Instant::now(), cpu());
    let mut groups = records.chunks(group).cycle();
    while begun.elapsed() < Duration::from_millis(700) {
        let commits: Vec<_> = groups
            .next()
            .expect("endless")
            .iter()
            .map(|record| writer.append(record).expect("taken"))
            .collect();
        for commit in commits {
            commit.wait().expect("stored");
        }
    }
    let (used, stats) = (cpu().saturating_sub(cpu_begun), writer.stats());
    println!(
        "{:16} {group:5}  {:12.1}  {:13.2}",
        name(compression),
        stats.stored_bytes as f64 / stats.records as f64,
        micros(used, stats.records)
    );
}

fn name(compression: Compression) -> String {
    match compression {
        Compression::Off => "off".to_owned(),
        Compression::Zstd { level, payload_bytes_min } => format!("zstd {level} from {payload_bytes_min}"),
    }
}

fn driven(dir: &Path, records: &Arc<Vec<Vec<u8>>>, tasks: usize, settings: Settings) {
    remove(dir);
    let (durability, compression) = (settings.durability, settings.compression);
    let writer = open(dir, settings);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let cpu_begun = cpu();
    let begun = Instant::now();
    let mut latencies = runtime.block_on(async {
        let driver = tokio::spawn(writer.drive());
        let mut running = tokio::task::JoinSet::new();
        for task in 0..tasks {
            let (writer, records) = (writer.clone(), records.clone());
            running.spawn(async move {
                let mut took = Vec::new();
                let mut at = task * 37;
                while begun.elapsed() < Duration::from_secs(1) {
                    let sent = Instant::now();
                    at = (at + 1) % records.len();
                    writer.append(&records[at]).expect("taken").await.expect("stored");
                    took.push(sent.elapsed());
                }
                took
            });
        }
        let mut all = Vec::new();
        while let Some(took) = running.join_next().await {
            all.extend(took.expect("no panic"));
        }
        driver.abort();
        all
    });
    let (wall, used, stats) = (begun.elapsed(), cpu().saturating_sub(cpu_begun), writer.stats());
    latencies.sort_unstable();
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize].as_micros();
    println!(
        "{:10}  {:17} {tasks:6}  {:9.0}  {:13.2}  {:5.1}  {:7.0}  {:6}  {:6}",
        format!("{durability:?}"),
        name(compression),
        stats.records as f64 / wall.as_secs_f64(),
        micros(used, stats.records),
        stats.records as f64 / stats.groups as f64,
        stats.sync_nanos as f64 / 1e3 / stats.syncs.max(1) as f64,
        quantile(0.5),
        quantile(0.99)
    );
}

fn reading(dir: &Path, records: &[Vec<u8>], compression: Compression) {
    remove(dir);
    let settings = Settings {
        durability: Durability::Os,
        compression,
        segment_bytes_max: 2 << 30,
        disk_bytes_max: 4 << 30,
        ..Settings::default()
    };
    let writer = open(dir, settings.clone());
    while writer.stats().stored_bytes < 512 << 20 {
        for group in records.chunks(64) {
            let mut last = None;
            for record in group {
                last = Some(writer.append(record).expect("taken"));
            }
            last.expect("not empty").wait().expect("stored");
        }
    }
    let stats = writer.stats();
    drop(writer);
    let gigabytes = stats.stored_bytes as f64 / 1e9;
    let report = |what: &str, begun: Instant, cpu_begun: Duration| {
        let (wall, used) = (begun.elapsed().as_secs_f64(), cpu().saturating_sub(cpu_begun).as_secs_f64());
        println!(
            "{:18} {what:9} {:.2} GB/s, {:.2} GB and {:.0} records per second of processor time",
            name(compression),
            gigabytes / wall,
            gigabytes / used,
            stats.records as f64 / used
        );
    };
    let (begun, cpu_begun) = (Instant::now(), cpu());
    let writer = open(dir, settings);
    report("recovery", begun, cpu_begun);
    let (begun, cpu_begun) = (Instant::now(), cpu());
    let mut reader = writer.replay();
    let mut seen = 0u64;
    while let Some(frame) = reader.next_frame().expect("readable") {
        seen += frame.records().count() as u64;
    }
    report("reader", begun, cpu_begun);
    assert_eq!(seen, stats.records);
    let (begun, cpu_begun) = (Instant::now(), cpu());
    let verified = journal::verify(dir).expect("readable");
    report("verify", begun, cpu_begun);
    assert!(verified.is_whole());
}
