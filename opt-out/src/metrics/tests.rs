//! The rendered list of metrics against the golden file that dashboards and alerts are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use event::key::OptOutHash;

use super::*;
use crate::exact;
use crate::filter::Filter;
use crate::list::List;
use crate::settings::ListSettings;
use crate::tests::Random;

/// Remembers what is declared, and its value.
#[derive(Default)]
struct Declared {
    help: Mutex<BTreeMap<String, (&'static str, String)>>,
    series: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

impl Declared {
    fn describe(&self, name: &KeyName, kind: &'static str, help: &SharedString) {
        let before = self.help.lock().unwrap().insert(name.as_str().to_owned(), (kind, help.to_string()));
        assert!(before.is_none(), "{} is described twice", name.as_str());
    }

    fn series(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        // Anything but zero: what is not set to zero at the start shows.
        Arc::clone(
            self.series.lock().unwrap().entry(name).or_insert_with(|| Arc::new(AtomicU64::new(u64::MAX))),
        )
    }
}

struct Handle(Arc<AtomicU64>);

impl metrics::CounterFn for Handle {
    fn increment(&self, by: u64) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(if now == u64::MAX { by } else { now + by }, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl metrics::GaugeFn for Handle {
    fn increment(&self, by: f64) {
        self.set(f64::from_bits(self.0.load(Ordering::Relaxed)) + by);
    }

    fn decrement(&self, by: f64) {
        self.increment(-by);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Recorder for Declared {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, "counter", &help);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, "gauge", &help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&name, "histogram", &help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Handle(self.series(key))))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Handle(self.series(key))))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn the_list_equals_the_golden_file_and_starts_at_zero() {
    let declared = Declared::default();
    let metrics = metrics::with_local_recorder(&declared, Metrics::new);
    let series = declared.series.lock().unwrap().clone();
    assert!(series.values().all(|value| value.load(Ordering::Relaxed) == 0), "zero at the start: {series:?}");

    let help = declared.help.lock().unwrap();
    let mut rendered = String::new();
    for (name, (kind, help)) in help.iter() {
        let own = series.keys().filter_map(|series| series.strip_prefix(name.as_str())?.strip_prefix('{'));
        let labels: BTreeSet<&str> =
            own.filter_map(|labels| labels.strip_suffix('}')).filter(|l| !l.is_empty()).collect();
        writeln!(rendered, "{name} {kind}\n  # {help}").unwrap();
        for labels in labels {
            writeln!(rendered, "  {labels}").unwrap();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/metrics.txt");
    if std::env::var_os("SIGHTLINE_GOLDEN").is_some() {
        std::fs::write(path, &rendered).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert_eq!(rendered, golden, "golden/metrics.txt differs from what is declared");
    let described: BTreeSet<&str> = help.keys().map(String::as_str).collect();
    let registered: BTreeSet<&str> = series.keys().filter_map(|name| name.split('{').next()).collect();
    assert_eq!(described, registered, "each has a help text, and each is there from the start");
    assert!(registered.iter().all(|name| name.starts_with("opt_out_")));

    metrics.request(Route::OptOuts, Answer::Done);
    metrics.id(IdKind::Cookie, IdResult::Malformed);
    for name in [
        "opt_out_requests_total{route=opt_outs,answer=done}",
        "opt_out_ids_total{kind=cookie,result=malformed}",
    ] {
        assert_eq!(series[name].load(Ordering::Relaxed), 1, "{name}");
    }
}

#[test]
fn the_filters_false_positives_are_exported_as_they_are() {
    let mut random = Random::announced();
    let hashes: Vec<OptOutHash> = (0..50_000).map(|_| random.opt_out_hash()).collect();
    let strangers: Vec<OptOutHash> = (0..200_000).map(|_| random.opt_out_hash()).collect();
    let settings = ListSettings::default();
    // The same filter by itself says for whom it says perhaps.
    let leading = |hash: &OptOutHash| exact::Key::of(hash.0).leading_u64();
    let mut filter = Filter::with_capacity(hashes.len() as u64, settings.filter_bits_per_key, u32::MAX);
    for hash in &hashes {
        filter.insert(leading(hash));
    }
    let perhaps = strangers.iter().filter(|hash| filter.may_contain(leading(hash))).count() as u64;

    let list = List::new(settings);
    list.replace(hashes, false).unwrap();
    let mut reader = list.reader();
    assert!(!strangers.iter().any(|hash| reader.contains(hash)));
    drop(reader);
    let declared = Declared::default();
    metrics::with_local_recorder(&declared, ListMetrics::new).observe(&list.stats());
    let series = declared.series.lock().unwrap().clone();
    let value = |name: &str| series[&format!("{name}{{}}")].load(Ordering::Relaxed);
    assert_eq!((value(LOOKUPS), value(FALSE_ALARMS)), (strangers.len() as u64, perhaps));
    let rate = value(FALSE_ALARMS) as f64 / value(LOOKUPS) as f64;
    assert!((0.9e-3..1.8e-3).contains(&rate), "16 bits an entry let {rate} through");
}

#[test]
fn the_security_log_knows_every_route_but_the_unknown() {
    let noted = |name: &str| security_log::Route::named(security_log::Role::Page, name);
    for route in Route::ALL {
        assert_eq!(noted(route.label()) == noted("unknown"), route == Route::Other, "{route:?}");
    }
}
