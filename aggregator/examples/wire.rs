//! What the way over HTTP costs: the same rows into the embedded engine and through the stand-in for a server over the same engine, and an answer of
//! many rows back. `cargo run --release -p aggregator --example wire -- 2000000`. The difference is the client, LZ4 both ways, loopback and the
//! stand-in; a real server adds a network and takes away the engine's work.

#![allow(clippy::print_stdout, reason = "a tool at the bench, which prints")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use aggregator::engine::find_library;
use aggregator::store::{Limits, Store, StoreAt, StoreSettings, Values, Work, migrate};
use serde::Deserialize;
use test_server::TestServer;

/// Rows of one insert, as the loader has them by default.
const BATCH: u64 = 200_000;
const LIMITS: Limits = Limits { statement_bytes: 1 << 30, threads: 1, reports: 1 };

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 31)
}

fn text(row: &mut Vec<u8>, text: &str) {
    row.push(text.len() as u8);
    row.extend_from_slice(text.as_bytes());
}

/// A row of `events`, columns in its order.
fn put(rows: &mut Vec<u8>, seq: u64) {
    let device = mix(seq / 3);
    let time = (1_795_176_000_000 + seq / 10).to_le_bytes();
    rows.extend_from_slice(&7u64.to_le_bytes());
    rows.extend_from_slice(&seq.to_le_bytes());
    rows.extend_from_slice(&time);
    rows.extend_from_slice(&time);
    rows.extend_from_slice(&0i64.to_le_bytes());
    rows.extend_from_slice(&20_777u16.to_le_bytes());
    rows.push(12);
    text(rows, &format!("campaign-{}", seq % 20));
    text(rows, &format!("placement-{}", device % 50));
    text(rows, "");
    text(rows, "CN-SH");
    rows.extend_from_slice(&[2, 1, 1, 1]);
    rows.extend_from_slice(&1u16.to_le_bytes());
    rows.extend_from_slice(&0u32.to_le_bytes());
    rows.extend_from_slice(&1u32.to_le_bytes());
    rows.extend_from_slice(&device.to_le_bytes());
    rows.extend_from_slice(&mix(seq).to_le_bytes());
    rows.push((seq % 16) as u8);
    rows.extend_from_slice(&((4 << 56) | (device % 100_000)).to_le_bytes());
    text(
        rows,
        &format!(
            "Mozilla/5.0 (Linux; Android 14; Model {}) Chrome/120.0 Mobile Safari/537.36",
            device % 3_000
        ),
    );
}

fn measure(name: &str, at: StoreAt, batches: u64) {
    #[derive(Deserialize)]
    struct Row {
        n: u64,
    }
    let store = Store::open(at, name, LIMITS).expect("the store opens");
    migrate(&store, 190).expect("the tables are there");
    let (mut bytes, mut seconds) = (0, 0.0);
    for batch in 0..batches {
        let mut rows = Vec::new();
        (batch * BATCH..(batch + 1) * BATCH).for_each(|seq| put(&mut rows, seq));
        bytes += rows.len();
        let started = Instant::now();
        store.insert_into(Work::Load, "events", &rows).expect("stored");
        seconds += started.elapsed().as_secs_f64();
    }
    let rows = batches * BATCH;
    let rate = rows as f64 / seconds;
    println!("{name}: {rows} rows, {bytes} bytes of RowBinary in {seconds:.2} s: {rate:.0} rows/s");
    let started = Instant::now();
    let sql = "SELECT device AS n FROM events";
    let answer: Vec<Row> = store.rows_text(Work::Report, "devices", sql, &Values::new()).expect("answered");
    let seconds = started.elapsed().as_secs_f64();
    let sum = answer.iter().fold(0, |sum, row| sum ^ row.n);
    println!("{name}: {} rows as JSONEachRow in {seconds:.2} s (all of them: {sum:x})", answer.len());
    for _ in 0..3 {
        store.execute_text(Work::Report, "SELECT 1", &Values::new()).expect("answered");
    }
    let started = Instant::now();
    for _ in 0..200 {
        store.execute_text(Work::Report, "SELECT 1", &Values::new()).expect("answered");
    }
    println!("{name}: {:.2} ms for a small statement", started.elapsed().as_secs_f64() * 1000.0 / 200.0);
}

fn run(library: &Path, folder: &Path, batches: u64) {
    let path = folder.to_path_buf();
    measure("embedded", StoreAt::Embedded { engine: Some(library.to_path_buf()), path }, batches);
    let server = TestServer::start(library, folder).expect("the stand-in starts");
    let settings = StoreSettings { servers: vec![server.url().to_owned()], ..StoreSettings::default() };
    measure("server", settings.at(PathBuf::new()).expect("settings that fit"), batches);
}

fn main() {
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    let library = find_library(None).expect("the engine");
    run(&library, folder.path(), (rows / BATCH).max(1));
}
