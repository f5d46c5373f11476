//! The tracker's metrics as a scraper sees them: all there at zero from the start, and the outcomes add up.
//! A process of its own: the recorder is one for the whole process.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event::clock::Clock;
use event::key::KeyRing;
use event::outcome::Outcome;
use ingest::metrics::{Kind, METRICS};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Keeps every value by name and label.
#[derive(Clone, Default)]
struct Scraped(Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>);

impl Scraped {
    fn slot(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default())
    }

    fn get(&self, name: &str) -> Option<u64> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.get(name).map(|value| value.load(Ordering::Relaxed))
    }
}

impl Recorder for Scraped {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.slot(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.slot(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn names() -> Vec<(String, Kind)> {
    METRICS
        .iter()
        .flat_map(|metric| match metric.label {
            None => vec![(format!("{}{{}}", metric.name), metric.kind)],
            Some((label, values)) => values
                .iter()
                .map(|value| (format!("{}{{{label}={value}}}", metric.name), metric.kind))
                .collect(),
        })
        .collect()
}

fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_is_declared_is_reported() {
    let scraped = Scraped::default();
    metrics::set_global_recorder(scraped.clone()).expect("the only recorder of this process");
    let folder = tempfile::tempdir().expect("a folder");
    let settings = journal::Settings { durability: journal::Durability::Os, ..journal::Settings::default() };
    let (writer, _) = journal::Lane::open(folder.path(), settings, Arc::new(|| 0)).expect("a lane opens");
    let settings = ingest::Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Default::default() };
    let parts = ingest::Parts {
        dialects: Arc::clone(event::dialect::Dialects::built_in()),
        keys: Arc::new(keys()),
        link_keys: Arc::default(),
        catalog: catalog::Catalog::default().into_shared(),
        regions: ingest::SharedRegions::default(),
        opt_outs: opt_out::List::new(opt_out::ListSettings::default()),
        standing: opt_out::Standing::always(),
        lanes: vec![writer],
        clock: Clock::manual(1_795_262_400_000),
        security: security_log::SecurityLog::off(),
        tls: None,
    };
    let handle = ingest::start(settings, parts).expect("the tracker starts");
    for (name, _) in names() {
        assert_eq!(scraped.get(&name), Some(0), "{name} is not there from the start");
    }

    let address = handle.address();
    for _ in 0..3 {
        assert!(get(address, "/i?c=new&p=new&oaid=__OAID__").starts_with("HTTP/1.1 200 "));
    }
    assert!(get(address, "/i?p=new").starts_with("HTTP/1.1 200 "));
    assert!(get(address, "/c?c=new&p=new&u=https%3A%2F%2Felsewhere.example%2F").starts_with("HTTP/1.1 200 "));
    assert!(get(address, "/nowhere").starts_with("HTTP/1.1 404 "));
    assert!(get(address, "/x/p=new&mj=Home&mm=31.2,121.4&whatsoever=1&mj=Home").starts_with("HTTP/1.1 200 "));
    // They are handed on once a second, while the tracker runs.
    let end = Instant::now() + Duration::from_secs(20);
    let unresolved = "ingest_beacons_total{outcome=unresolved}";
    while scraped.get(unresolved) != Some(4) {
        assert!(Instant::now() < end, "{:?}", scraped.get(unresolved));
        std::thread::sleep(Duration::from_millis(5));
    }
    handle.stop_blocking().expect("the tracker stops");
    let value = |name: &str| scraped.get(name).unwrap_or_else(|| panic!("{name} is not there"));
    assert_eq!(value("ingest_beacons_total{outcome=missing_campaign}"), 2);
    let sum: u64 = Outcome::ALL
        .iter()
        .map(|outcome| value(&format!("ingest_beacons_total{{outcome={}}}", outcome.name())))
        .sum();
    assert_eq!(sum, 6);
    assert_eq!(value("ingest_requests_total{answer=pixel_2xx}"), 5);
    assert_eq!(value("ingest_requests_total{answer=click_2xx}"), 1);
    assert_eq!(value("ingest_requests_total{answer=unknown_4xx}"), 1);
    assert_eq!(value("ingest_connections_total{end=done}"), 7);
    assert_eq!(value("ingest_macros_unreplaced_total{}"), 3);
    let dropped = |name: &str| value(&format!("ingest_parameters_dropped_total{{name={name}}}"));
    assert_eq!(
        (dropped("other"), dropped("miaozhen.mj"), dropped("miaozhen.mm")),
        (1, 1, 1),
        "once for each hit"
    );
    assert_eq!(value("ingest_connections_open_count{}"), 0);
    assert!(value("ingest_received_bytes_total{}") > 6 * 40);
    check_declared(&scraped);
}

/// Nothing is reported that is not declared.
fn check_declared(scraped: &Scraped) {
    let declared: Vec<String> = ["mj", "mm"]
        .map(|name| format!("ingest_parameters_dropped_total{{name=miaozhen.{name}}}"))
        .into_iter()
        .chain(names().into_iter().map(|(name, _)| name))
        .collect();
    let reported = scraped.0.lock().unwrap_or_else(PoisonError::into_inner);
    for name in reported.keys().filter(|name| name.starts_with("ingest_")) {
        assert!(declared.contains(name), "{name} is not declared");
    }
}

fn keys() -> KeyRing {
    let mut next = 0_u8;
    KeyRing::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(31).wrapping_add(7);
            *byte = next;
        }
    })
}
