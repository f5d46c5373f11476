//! Libraries that the tests write.

#![allow(clippy::indexing_slicing, reason = "a test that fails panics")]

#[path = "../../tests/mmdb/mod.rs"]
mod mmdb;

use self::mmdb::library;
use super::*;

const BUILT: u64 = 1_793_664_000;

fn shared(bytes: Vec<u8>) -> SharedRegions {
    let library = RegionLibrary::read(bytes).expect("a library");
    Arc::new(ArcSwapOption::from_pointee(library))
}

fn find(regions: &mut Regions, address: &str) -> String {
    regions.find(address.parse().expect("an address")).as_str().to_owned()
}

#[test]
fn an_address_has_the_code_of_its_network() {
    let bytes = library(
        "Test-City",
        BUILT,
        &[
            ("203.0.113.0/24", "CN", "SH"),
            ("198.51.100.0/25", "CN", ""),
            ("198.51.100.128/25", "GB", "ENG"),
            ("2001:db8::/32", "CN", "BJ"),
            ("192.0.2.0/24", "", ""),
            ("192.0.3.0/24", "zz", "A"),
            ("192.0.4.0/24", "DE", "be_too_long"),
        ],
    );
    let shared = shared(bytes);
    let regions = &mut Regions::new(&shared);
    // Twice: the second time each is remembered.
    for _ in 0..2 {
        for (address, expected) in [
            ("203.0.113.7", "CN-SH"),
            ("198.51.100.7", "CN"),
            ("198.51.100.200", "GB-ENG"),
            ("2001:db8::7", "CN-BJ"),
            ("192.0.2.1", ""),
            ("192.0.3.1", ""),
            ("192.0.4.1", "DE"),
            ("10.0.0.1", ""),
            ("::1", ""),
            ("2400::1", ""),
        ] {
            assert_eq!(find(regions, address), expected, "{address}");
        }
    }
    let library = shared.load_full().expect("is there");
    assert_eq!((library.name(), library.built()), ("Test-City", BUILT));
}

#[test]
fn nothing_is_known_without_a_library() {
    let regions = &mut Regions::new(&SharedRegions::default());
    assert!(regions.library().is_none());
    assert_eq!(find(regions, "203.0.113.7"), "");
}

#[test]
fn another_library_is_in_force_at_once() {
    let networks = |code| [("203.0.113.0/24", "CN", code)];
    let shared = shared(library("One", BUILT, &networks("SH")));
    let regions = &mut Regions::new(&shared);
    assert_eq!(find(regions, "203.0.113.7"), "CN-SH");
    // Its record stands at the same offset.
    let next = RegionLibrary::read(library("One", BUILT, &networks("BJ"))).expect("a library");
    assert_ne!(next.version(), shared.load_full().expect("is there").version());
    shared.store(Some(Arc::new(next)));
    assert_eq!(find(regions, "203.0.113.7"), "CN-BJ");
}

#[test]
fn what_is_no_region_library_is_refused_with_words() {
    let good = library("Test-City", BUILT, &[("203.0.113.0/24", "CN", "SH")]);
    let words = |bytes: Vec<u8>| RegionLibrary::read(bytes).expect_err("is refused").to_string();
    for length in [0, 1, good.len() / 2, good.len() - 1] {
        assert!(words(good[..length].to_vec()).contains("no whole library"), "{length}");
    }
    // Both ends of the first node lead out of the file.
    let mut damaged = good.clone();
    damaged[..6].fill(0xff);
    assert!(words(damaged).contains("no whole library"));
    let asn = library("Test-ASN", BUILT, &[("203.0.113.0/24", "", "")]);
    assert!(words(asn).contains("Test-ASN says the country of no address"));
    let long = library(&"x".repeat(LIBRARY_NAME_BYTES_MAX + 1), BUILT, &[("203.0.113.0/24", "CN", "")]);
    assert!(words(long).contains("its type must have"));
    let missing = RegionLibrary::open(Path::new("no such file")).expect_err("is refused");
    assert!(matches!(missing, RegionError::Io(_)));
}
