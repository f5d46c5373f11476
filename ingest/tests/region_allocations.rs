//! Looking up a region allocates nothing: counted in a program of its own, for the counter takes the place of the allocator.

use std::net::IpAddr;
use std::sync::Arc;

use ingest::{RegionLibrary, Regions, SharedRegions};

#[path = "mmdb/mod.rs"]
mod mmdb;

#[test]
fn a_look_up_allocates_nothing() {
    let networks = [("203.0.113.0/24", "CN", "SH"), ("2001:db8::/32", "CN", "BJ"), ("192.0.2.0/24", "", "")];
    let library = RegionLibrary::read(mmdb::library("Test-City", 1, &networks)).expect("a library");
    let shared = SharedRegions::default();
    shared.store(Some(Arc::new(library)));
    let mut regions = Regions::new(&shared);
    let addresses: Vec<IpAddr> = ["203.0.113.7", "2001:db8::7", "192.0.2.7", "10.0.0.1", "203.0.113.8"]
        .into_iter()
        .map(|address| address.parse().expect("an address"))
        .collect();
    let mut found = 0;
    // The first look-up of each place reads its record, the others remember it.
    let counted = allocation_counter::measure(|| {
        for _ in 0..3 {
            found += addresses.iter().filter(|address| !regions.find(**address).as_str().is_empty()).count();
        }
    });
    assert_eq!((found, counted.count_total), (9, 0));
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8])));
    assert_eq!(counted.count_total, 1, "the counter counts");
}
