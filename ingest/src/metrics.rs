//! The tracker's metrics, declared once.
//!
//! It owns their names, labels and help, and the tallies of a lane from which they are fed once a second, so that no counter is shared between
//! cores on a beacon's way. It must never carry a path, an address or anything else that a caller chose.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::dialect::{Dialects, Table};
use event::hit::Hit;
use event::outcome::Outcome;
use hyper::StatusCode;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::books::Books;
use crate::connection::Pace;
use crate::route::RouteKind;

/// What a metric's value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It moves both ways.
    Gauge,
}

/// A declared metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name as it is scraped.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// Its label and all values that the label takes; `None` has no label.
    pub label: Option<(&'static str, &'static [&'static str])>,
    /// What it says.
    pub help: &'static str,
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse a bad index")]
const OUTCOMES: [&str; Outcome::COUNT] = {
    let mut names = [""; Outcome::COUNT];
    let mut index = 0;
    while index < names.len() {
        names[index] = Outcome::ALL[index].name();
        index += 1;
    }
    names
};

/// Route and class of the status in one label: the two are only ever looked at together.
const ANSWERS: [&str; RouteKind::NAMES.len() * CLASSES] = [
    "pixel_2xx",
    "pixel_3xx",
    "pixel_4xx",
    "pixel_5xx",
    "click_2xx",
    "click_3xx",
    "click_4xx",
    "click_5xx",
    "batch_2xx",
    "batch_3xx",
    "batch_4xx",
    "batch_5xx",
    "tag_2xx",
    "tag_3xx",
    "tag_4xx",
    "tag_5xx",
    "sdk_config_2xx",
    "sdk_config_3xx",
    "sdk_config_4xx",
    "sdk_config_5xx",
    "description_2xx",
    "description_3xx",
    "description_4xx",
    "description_5xx",
    "vast_2xx",
    "vast_3xx",
    "vast_4xx",
    "vast_5xx",
    "unknown_2xx",
    "unknown_3xx",
    "unknown_4xx",
    "unknown_5xx",
];
const CLASSES: usize = 4;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After an answer, or without a request.
    Done,
    /// What came was not sound HTTP, or over a limit of its head.
    BadHttp,
    /// Cut off inside a request or an answer, or too slow.
    Broken,
    /// Closed unread: there were too many.
    Refused,
    /// TLS was not agreed on.
    NoHandshake,
}

impl End {
    /// Its name: the metric's label, and the security log's word.
    pub(crate) fn name(self) -> &'static str {
        ENDS.get(self as usize).copied().unwrap_or_default()
    }
}

const ENDS: [&str; 5] = ["done", "bad_http", "broken", "refused", "no_handshake"];

/// Upper ends of the buckets of waiting for the journal, and the names that stand for them.
const WAITS: [(Duration, &str); 7] = [
    (Duration::from_micros(500), "0.0005"),
    (Duration::from_millis(1), "0.001"),
    (Duration::from_millis(2), "0.002"),
    (Duration::from_millis(5), "0.005"),
    (Duration::from_millis(20), "0.02"),
    (Duration::from_millis(100), "0.1"),
    (Duration::MAX, "more"),
];

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse a bad index")]
const WAIT_NAMES: [&str; WAITS.len()] = {
    let mut names = [""; WAITS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = WAITS[index].1;
        index += 1;
    }
    names
};

/// One wait of so many is measured: reading the clock twice is a tenth of what a beacon costs.
const WAIT_SAMPLE: u32 = 16;

const BEACONS: Metric = Metric {
    name: "ingest_beacons_total",
    kind: Kind::Counter,
    label: Some(("outcome", &OUTCOMES)),
    help: "Beacons by what became of them. Their sum is what was received, but for those that wait for the journal.",
};
const REQUESTS: Metric = Metric {
    name: "ingest_requests_total",
    kind: Kind::Counter,
    label: Some(("answer", &ANSWERS)),
    help: "Requests by route and class of the answer's status.",
};
const CONNECTIONS: Metric = Metric {
    name: "ingest_connections_total",
    kind: Kind::Counter,
    label: Some(("end", &ENDS)),
    help: "Connections by how they ended.",
};
const CONNECTIONS_OPEN: Metric = Metric {
    name: "ingest_connections_open_count",
    kind: Kind::Gauge,
    label: None,
    help: "Open connections.",
};
const ACCEPT_ERRORS: Metric = Metric {
    name: "ingest_accept_errors_total",
    kind: Kind::Counter,
    label: None,
    help: "Connections that the system could not hand over, for want of file descriptors as a rule.",
};
const RECEIVED_BYTES: Metric = Metric {
    name: "ingest_received_bytes_total",
    kind: Kind::Counter,
    label: None,
    help: "Bytes read from connections, without what TLS adds.",
};
const MACROS: Metric = Metric {
    name: "ingest_macros_unreplaced_total",
    kind: Kind::Counter,
    label: None,
    help: "Parameter values that were macros which the medium did not replace.",
};
const PARAMETERS_DROPPED: Metric = Metric {
    name: "ingest_parameters_dropped_total",
    kind: Kind::Counter,
    label: Some(("name", &["other"])),
    help: "Parameters that nobody needs and that were dropped unread: `other`, or dialect and name where the dialect's table lists the name.",
};
const COMMIT_WAITS: Metric = Metric {
    name: "ingest_commit_waits_total",
    kind: Kind::Counter,
    label: Some(("up_to_seconds", &WAIT_NAMES)),
    help: "One in 16 waits of a pixel for the journal, by its length: each in the first bucket that holds it.",
};
const FORWARDED: Metric = Metric {
    name: "ingest_forward_messages_total",
    kind: Kind::Counter,
    label: None,
    help: "Messages with frames of the journal that Kafka has acknowledged.",
};
const FORWARDED_BYTES: Metric = Metric {
    name: "ingest_forward_bytes_total",
    kind: Kind::Counter,
    label: None,
    help: "Bytes of these messages before compression.",
};
const FORWARD_RETRIES: Metric = Metric {
    name: "ingest_forward_retries_total",
    kind: Kind::Counter,
    label: None,
    help: "Times that Kafka did not acknowledge, so that frames were sent again.",
};
const FORWARD_PRODUCERS: Metric = Metric {
    name: "ingest_forward_producers_total",
    kind: Kind::Counter,
    label: None,
    help: "Producers made in place of one that had ended for good.",
};
const FORWARD_BACKLOG: Metric = Metric {
    name: "ingest_forward_backlog_bytes",
    kind: Kind::Gauge,
    label: None,
    help: "Bytes of the journal that Kafka has not acknowledged.",
};
const FORWARD_IN_FLIGHT: Metric = Metric {
    name: "ingest_forward_in_flight_count",
    kind: Kind::Gauge,
    label: None,
    help: "Messages on their way to Kafka.",
};
const FORWARD_WAIT: Metric = Metric {
    name: "ingest_forward_wait_seconds",
    kind: Kind::Gauge,
    label: None,
    help: "Age of the oldest message on its way to Kafka; 0 if there is none.",
};

/// Every metric of the tracker.
pub const METRICS: &[Metric] = &[
    BEACONS,
    REQUESTS,
    CONNECTIONS,
    CONNECTIONS_OPEN,
    ACCEPT_ERRORS,
    RECEIVED_BYTES,
    MACROS,
    PARAMETERS_DROPPED,
    COMMIT_WAITS,
    FORWARDED,
    FORWARDED_BYTES,
    FORWARD_RETRIES,
    FORWARD_PRODUCERS,
    FORWARD_BACKLOG,
    FORWARD_IN_FLIGHT,
    FORWARD_WAIT,
];

/// Describes every metric and sets it to zero. The recorder must be installed before.
pub(crate) fn declare() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
        }
    }
    drop(Handles::new());
    for metric in [FORWARDED, FORWARDED_BYTES, FORWARD_RETRIES, FORWARD_PRODUCERS] {
        counter!(metric.name).increment(0);
    }
    forward_state(0, 0, Duration::ZERO);
}

/// Kafka has acknowledged a message of so many bytes.
pub(crate) fn forward_acknowledged(bytes: usize) {
    counter!(FORWARDED.name).increment(1);
    counter!(FORWARDED_BYTES.name).increment(bytes as u64);
}

/// Frames are sent again.
pub(crate) fn forward_failed() {
    counter!(FORWARD_RETRIES.name).increment(1);
}

/// A producer was made in place of one that had ended.
pub(crate) fn forward_producer_made() {
    counter!(FORWARD_PRODUCERS.name).increment(1);
}

/// How far behind the forwarder is.
pub(crate) fn forward_state(backlog_bytes: u64, in_flight: usize, oldest: Duration) {
    gauge!(FORWARD_BACKLOG.name).set(backlog_bytes as f64);
    gauge!(FORWARD_IN_FLIGHT.name).set(in_flight as f64);
    gauge!(FORWARD_WAIT.name).set(oldest.as_secs_f64());
}

/// What one lane counted, and how far that was reported.
pub(crate) struct Tally {
    handles: Handles,
    answers: [Cell<u64>; ANSWERS.len()],
    ends: [Cell<u64>; ENDS.len()],
    accept_errors: Cell<u64>,
    macros: Cell<u64>,
    /// Parameters that no table lists.
    unknown: Cell<u64>,
    /// For each dialect, those that its table lists as dropped. The names are the table's, so they are as many as were written there.
    dropped: Vec<Vec<Cell<u64>>>,
    dialects: Arc<Dialects>,
    waits: [Cell<u64>; WAITS.len()],
    waits_seen: Cell<u32>,
    reported: RefCell<Reported>,
}

struct Handles {
    beacons: [Counter; Outcome::COUNT],
    answers: [Counter; ANSWERS.len()],
    ends: [Counter; ENDS.len()],
    accept_errors: Counter,
    received_bytes: Counter,
    macros: Counter,
    unknown: Counter,
    waits: [Counter; WAITS.len()],
    open: Gauge,
}

#[derive(Default)]
struct Reported {
    beacons: [u64; Outcome::COUNT],
    bytes: u64,
    open: usize,
}

impl Handles {
    fn new() -> Self {
        Self {
            beacons: labelled(BEACONS, OUTCOMES),
            answers: labelled(REQUESTS, ANSWERS),
            ends: labelled(CONNECTIONS, ENDS),
            accept_errors: counter!(ACCEPT_ERRORS.name),
            received_bytes: counter!(RECEIVED_BYTES.name),
            macros: counter!(MACROS.name),
            unknown: counter!(PARAMETERS_DROPPED.name, "name" => "other"),
            waits: labelled(COMMIT_WAITS, WAIT_NAMES),
            open: gauge!(CONNECTIONS_OPEN.name),
        }
    }
}

fn labelled<const N: usize>(metric: Metric, values: [&'static str; N]) -> [Counter; N] {
    let label = metric.label.map_or("", |(label, _)| label);
    values.map(|value| counter!(metric.name, label => value))
}

impl Tally {
    pub(crate) fn new(dialects: &Arc<Dialects>) -> Self {
        let dropped = |table: &Table| table.dropped_names().iter().map(|_| Cell::default()).collect();
        Self {
            handles: Handles::new(),
            unknown: Cell::default(),
            dropped: dialects.tables().iter().map(dropped).collect(),
            dialects: Arc::clone(dialects),
            answers: Default::default(),
            ends: Default::default(),
            accept_errors: Cell::default(),
            macros: Cell::default(),
            waits: Default::default(),
            waits_seen: Cell::default(),
            reported: RefCell::default(),
        }
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: RouteKind, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(2).min(CLASSES - 1);
        bump(self.answers.get(route as usize * CLASSES + class), 1);
    }

    /// A connection ended.
    pub(crate) fn ended(&self, end: End) {
        bump(self.ends.get(end as usize), 1);
    }

    /// The system could not hand over a connection.
    pub(crate) fn accept_failed(&self) {
        bump(Some(&self.accept_errors), 1);
    }

    /// A hit was read in the dialect of this number.
    pub(crate) fn read(&self, dialect: usize, hit: &Hit<'_>) {
        if hit.macros_unreplaced > 0 {
            bump(Some(&self.macros), u64::from(hit.macros_unreplaced));
        }
        if hit.parameters_unknown > 0 {
            bump(Some(&self.unknown), u64::from(hit.parameters_unknown));
        }
        let Some(dropped) = self.dropped.get(dialect) else { return };
        for number in hit.parameters_dropped.iter() {
            bump(dropped.get(usize::from(number)), 1);
        }
    }

    /// A wait for the journal begins; the moment, if this one is measured.
    pub(crate) fn begin_wait(&self) -> Option<Instant> {
        let seen = self.waits_seen.get().wrapping_add(1);
        self.waits_seen.set(seen);
        seen.is_multiple_of(WAIT_SAMPLE).then(Instant::now)
    }

    /// It is over.
    pub(crate) fn end_wait(&self, began: Option<Instant>) {
        if let Some(began) = began {
            let waited = began.elapsed();
            let bucket = WAITS.iter().position(|(end, _)| waited <= *end);
            bump(bucket.and_then(|bucket| self.waits.get(bucket)), 1);
        }
    }

    /// Hands on what was counted since the last time.
    pub(crate) fn report(&self, books: &Books, pace: &Rc<Pace>) {
        let handles = &self.handles;
        let mut reported = self.reported.borrow_mut();
        let beacons = books.total();
        for ((counter, now), before) in handles.beacons.iter().zip(beacons).zip(reported.beacons) {
            counter.increment(now - before);
        }
        reported.beacons = beacons;
        handles.received_bytes.increment(pace.bytes_received() - reported.bytes);
        reported.bytes = pace.bytes_received();
        handles.open.increment(pace.open_count() as f64 - reported.open as f64);
        reported.open = pace.open_count();
        let counted = (handles.answers.iter().zip(&self.answers))
            .chain(handles.ends.iter().zip(&self.ends))
            .chain(handles.waits.iter().zip(&self.waits))
            .chain([(&handles.accept_errors, &self.accept_errors), (&handles.macros, &self.macros)])
            .chain([(&handles.unknown, &self.unknown)]);
        for (counter, count) in counted {
            counter.increment(count.take());
        }
        self.report_dropped();
    }

    /// The series of a listed name begins with its first parameter: most of them never come.
    fn report_dropped(&self) {
        for (table, dropped) in self.dialects.tables().iter().zip(&self.dropped) {
            for (name, count) in
                table.dropped_names().iter().zip(dropped).filter(|(_, count)| count.get() > 0)
            {
                let name = format!("{}.{name}", table.name());
                counter!(PARAMETERS_DROPPED.name, "name" => name).increment(count.take());
            }
        }
    }
}

fn bump(count: Option<&Cell<u64>>, by: u64) {
    if let Some(count) = count {
        count.set(count.get() + by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_and_labels_are_in_order() {
        for metric in METRICS {
            assert!(metric.name.starts_with("ingest_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert_eq!(METRICS.iter().filter(|other| other.name == metric.name).count(), 1);
        }
        for (index, name) in ANSWERS.iter().enumerate() {
            let route = RouteKind::NAMES[index / CLASSES];
            assert_eq!(*name, format!("{route}_{}xx", index % CLASSES + 2));
        }
        assert_eq!(ENDS[End::Refused as usize], "refused");
        assert_eq!(ENDS[End::NoHandshake as usize], "no_handshake");
        assert_eq!(WAITS.last().map(|(end, _)| *end), Some(Duration::MAX));
    }
}
