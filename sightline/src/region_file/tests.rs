//! A library that changes, is cut, goes away.

#![allow(clippy::indexing_slicing, reason = "a test that fails panics")]

use super::*;

#[path = "../../../ingest/tests/mmdb/mod.rs"]
mod mmdb;

fn library(code: &str) -> Vec<u8> {
    mmdb::library("Test-City", 1_793_664_000, &[("203.0.113.0/24", "CN", code)])
}

#[test]
fn a_changed_library_is_taken_once_it_stands_still_and_a_wrong_one_is_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("regions.mmdb");
    let audit = audit::Log::scratch(&dir.path().join("audit")).expect("a log");
    let missing = Regions::open(Some(&path), &audit).err().expect("is refused").to_string();
    assert!(missing.contains("regions.mmdb: it cannot be read"), "{missing}");
    std::fs::write(&path, library("SH")).expect("written");
    let regions = Regions::open(Some(&path), &audit).expect("a library");
    let version = || regions.shared.load().as_ref().expect("is there").version();
    let first = version();
    assert_eq!(audit.head().seq(), 1);

    let mut watch = regions.watch().expect("is watched");
    watch.look();
    assert_eq!((version(), audit.head().seq()), (first, 1), "nothing changed");

    let next = library("BJ");
    std::fs::write(&path, &next[..next.len() / 2]).expect("written");
    watch.look();
    watch.look();
    assert_eq!(version(), first, "half a file is refused");
    std::fs::write(&path, &next).expect("written");
    watch.look();
    assert_eq!(version(), first, "it may still be written");
    watch.look();
    let second = version();
    assert_ne!(second, first);
    std::fs::remove_file(&path).expect("removed");
    watch.look();
    watch.look();
    assert_eq!((version(), audit.head().seq()), (second, 2), "a missing file changes nothing");

    audit.close();
    std::fs::write(&path, library("GD")).expect("written");
    watch.look();
    watch.look();
    assert_eq!(version(), second, "what cannot be entered is not taken");
}

#[test]
fn a_library_is_told_by_name_day_and_version() {
    let library = RegionLibrary::read(library("SH")).expect("a library");
    let text = described(&library);
    assert!(text.starts_with("Test-City of 2026-11-03, version ") && text.len() == 41, "{text}");
}
