//! Regions from one end to the other: a library in the configuration, beacons, reports that name it, another library while everything runs.

#![cfg(test)]

mod support;

#[path = "../../ingest/tests/mmdb/mod.rs"]
mod mmdb;

use std::fs;
use std::time::Duration;

use support::http::Connection;
use support::truth::{number, rows};
use support::{Instance, Options, wait_for};

/// Longest wait for something that takes a second or two.
const SOON: Duration = Duration::from_secs(30);
/// 2026-11-03.
const BUILT: u64 = 1_793_664_000;

fn library(name: &str, subdivision: &str) -> Vec<u8> {
    mmdb::library(name, BUILT, &[("127.0.0.0/8", "CN", subdivision), ("203.0.113.0/24", "CN", "GD")])
}

fn fire(instance: &Instance, number: u32, headers: &[(&str, &str)]) {
    let mut connection = Connection::open(instance.tracker()).expect("connects");
    let target = format!("/i?c=demo&p=p1&rid=r{number}&cookie=c{number}&ip=203.0.113.9");
    assert_eq!(connection.get(&target, headers).expect("answers").status, 200);
}

/// Impressions by region, and the names of the libraries.
fn by_region(instance: &Instance) -> (Vec<(String, u64)>, Vec<String>) {
    instance.settle();
    let report = instance.report("demo/delivery", "by=region");
    let counts = rows(&report)
        .iter()
        .map(|row| (row["key"].as_str().expect("a key").to_owned(), number(row, "impressions")))
        .collect();
    let names = report["region_libraries"].as_array().expect("a list").iter().map(|library| {
        assert_eq!(library["built"], "2026-11-03");
        library["name"].as_str().expect("a name").to_owned()
    });
    (counts, names.collect())
}

fn expected(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
    counts.iter().map(|(region, count)| ((*region).to_owned(), *count)).collect()
}

#[test]
fn regions_come_from_the_library_in_force_and_reports_name_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("regions.mmdb");
    fs::write(&path, library("First-City", "SH")).expect("written");
    let sections = format!("[regions]\nfile = \"{}\"\n", path.display());
    let instance = Instance::start(Options { sections, ..Options::default() });
    assert_eq!(instance.metric("region_library_loads_total{result=\"taken\"}"), 1);
    fire(&instance, 1, &[]);
    let key = format!("Bearer {}", instance.secret("replay.key"));
    fire(&instance, 2, &[("authorization", &key)]);
    assert_eq!(
        by_region(&instance),
        (expected(&[("CN-GD", 1), ("CN-SH", 1)]), vec!["First-City".to_owned()])
    );

    fs::write(&path, b"no library").expect("written");
    wait_for("the wrong one is refused", SOON, || {
        instance.metric("region_library_loads_total{result=\"refused\"}") == 1
    });
    fire(&instance, 3, &[]);
    fs::write(&path, library("Second-City", "BJ")).expect("written");
    wait_for("the right one is taken", SOON, || {
        instance.metric("region_library_loads_total{result=\"taken\"}") == 2
    });
    fire(&instance, 4, &[]);
    let names = || by_region(&instance).1;
    // A lane notes it within a second.
    wait_for("both are named", SOON, || names() == ["First-City", "Second-City"]);
    assert_eq!(by_region(&instance).0, expected(&[("CN-BJ", 1), ("CN-GD", 1), ("CN-SH", 2)]));
    let taken = instance.command(&["audit", "list", "--act", "regions", "--format", "json"]);
    let lines = String::from_utf8(taken.stdout).expect("text");
    assert!(lines.contains("First-City") && lines.contains("Second-City"), "{lines}");
}

#[test]
fn a_library_that_is_none_stops_the_start_with_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("regions.mmdb");
    let sections = format!("[regions]\nfile = \"{}\"\n", path.display());
    let instance = Instance::prepare(Options { sections, ..Options::default() });
    let config = instance.config();
    fs::write(&config, format!("[regions]\nfile = \"{}\"\n", path.display())).expect("written");
    let config = config.display().to_string();
    let said = |words: &[&str]| {
        let output = instance.command(words);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, words) = said(&["check-config", &config]);
    assert!(code == Some(2) && words.contains("regions.mmdb: it cannot be read"), "{code:?} {words}");
    fs::write(&path, &library("Cut", "SH")[..100]).expect("written");
    let (code, words) = said(&["standalone", "--config", &config]);
    assert!(code == Some(2) && words.contains("no whole library in MaxMind's format"), "{code:?} {words}");
    fs::write(&path, library("Whole", "SH")).expect("written");
    let (code, words) = said(&["check-config", &config]);
    assert!(code == Some(0) && words.contains("right, Whole of 2026-11-03, version "), "{code:?} {words}");
}
