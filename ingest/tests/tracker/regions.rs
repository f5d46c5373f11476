//! Regions by the operator's library: of the viewer's address, whoever sends it, and of nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingest::RegionLibrary;

use crate::mmdb::library;
use crate::rig::{NOW_MS, PATIENCE, Rig, SERVER_KEY};

const BUILT: u64 = 1_793_664_000;
const NETWORKS: [(&str, &str, &str); 3] =
    [("127.0.0.0/8", "CN", "BJ"), ("203.0.113.0/25", "CN", "SH"), ("203.0.113.128/25", "CN", "GD")];

fn put(rig: &Rig, name: &str, networks: &[(&str, &str, &str)]) {
    let library = RegionLibrary::read(library(name, BUILT, networks)).expect("a library");
    rig.regions.store(Some(Arc::new(library)));
}

#[test]
fn without_a_library_every_region_is_unknown() {
    let rig = Rig::start();
    assert!(rig.get("/i?c=demo&p=p1").is_pixel());
    let stored = rig.stop();
    assert_eq!((stored.only().region.as_str(), stored.libraries.len()), ("", 0));
}

#[test]
fn a_region_is_that_of_the_viewer() {
    let rig = Rig::start();
    put(&rig, "Test-City", &NETWORKS);
    let mut client = rig.connect();
    let key = format!("Bearer {SERVER_KEY}");
    let server = [("authorization", key.as_str())];
    let past = format!("/i?c=demo&p=p1&ip=203.0.113.200&t={}", NOW_MS - 40 * 86_400_000);
    let cases: [(&str, &[(&str, &str)], &str); 7] = [
        // The viewer's own connection, whatever it says.
        ("/i?c=demo&p=p1", &[], "CN-BJ"),
        ("/i?c=demo&p=p1&ip=203.0.113.7", &[], "CN-BJ"),
        // A server's word for the viewer: the whole address counts, of which no more than a /24 is kept.
        ("/i?c=demo&p=s2s&ip=203.0.113.7", &server, "CN-SH"),
        ("/i?c=demo&p=s2s&ip=203.0.113.200", &server, "CN-GD"),
        // The server's own place is nobody's.
        ("/i?c=demo&p=s2s", &server, ""),
        ("/i?c=demo&p=s2s", &[], ""),
        // Past beacons.
        (&past, &server, "CN-GD"),
    ];
    for (target, headers, _) in cases {
        assert!(client.get(target, headers).is_pixel(), "{target}");
    }
    let item = r#"[{"stage":"impression","c":"demo","p":"s2s","ip":"203.0.113.7"}]"#;
    let reply = client.request("POST", "/v1/events", &server, item.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
    let stored = rig.stop();
    let regions: Vec<&str> = stored.events.iter().map(|event| event.region.as_str()).collect();
    let expected: Vec<&str> = cases.iter().map(|case| case.2).chain(["CN-SH"]).collect();
    assert_eq!(regions, expected);
    let (near, far) = (&stored.events[2], &stored.events[3]);
    assert_eq!(near.network, far.network, "the address itself is not kept");
    for event in &stored.events {
        assert!(event.network.len() <= 3);
        let address: &[u8] = &[203, 0, 113, 200];
        assert!(!event.bytes.windows(4).any(|bytes| bytes == address));
    }
}

#[test]
fn the_journal_says_which_library_was_in_force() {
    let rig = Rig::start();
    put(&rig, "First", &NETWORKS);
    // A lane looks once a second; its books tell when it has.
    let wait = |name: &str, region: &str| {
        put(&rig, name, &[("127.0.0.0/8", "CN", region)]);
        let end = Instant::now() + PATIENCE;
        while !rig.notes().contains(name) {
            assert!(Instant::now() < end, "{name} is not noted");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(rig.get("/i?c=demo&p=p1").is_pixel());
    };
    wait("Second", "SH");
    wait("Third", "GD");
    let stored = rig.stop();
    let regions: Vec<&str> = stored.events.iter().map(|event| event.region.as_str()).collect();
    assert_eq!(regions, ["CN-SH", "CN-GD"]);
    assert!(
        stored.libraries.ends_with(&[format!("Second {BUILT}"), format!("Third {BUILT}")]),
        "{:?}",
        stored.libraries
    );
    assert!(stored.libraries.len() <= 3, "each is noted once: {:?}", stored.libraries);
}
