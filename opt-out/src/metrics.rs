//! The role's metrics: every name, declared once, typed, at zero from the start.
//!
//! It owns names, labels and help texts. Nothing in a label may come from a request.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use event::identifier::IdKind;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::import::Outcome;
use crate::list::ListStats;
use crate::registry::RegistryStats;
use crate::requests::RequestStats;

const REQUESTS: &str = "opt_out_requests_total";
const IDS: &str = "opt_out_ids_total";
const OPT_OUTS: &str = "opt_out_lodgings_total";
const OPT_INS: &str = "opt_out_withdrawals_total";
const DELETIONS: &str = "opt_out_deletion_requests_total";
const PERSONS: &str = "opt_out_persons_requests_total";
const PERSONS_WAITING: &str = "opt_out_persons_requests_waiting";
const PERSONS_OVERDUE: &str = "opt_out_persons_requests_overdue";
const PERSONS_LOST: &str = "opt_out_persons_requests_lost";
const PERSONS_RUNNING: &str = "opt_out_persons_requests_running";
const CONNECTIONS: &str = "opt_out_connections";
const ACCEPT_FAILURES: &str = "opt_out_accept_failures_total";
const RECEIPTS: &str = "opt_out_registry_receipts";
const RECEIPTS_ACTIVE: &str = "opt_out_registry_receipts_active";
const HASHES: &str = "opt_out_registry_hashes";
const DISK: &str = "opt_out_registry_disk_bytes";
const WRITABLE: &str = "opt_out_registry_writable";
const LISTED: &str = "opt_out_list_entries";
const OVERLAY: &str = "opt_out_list_overlay_entries";
const MEMORY: &str = "opt_out_list_memory_bytes";
const REBUILDS: &str = "opt_out_list_rebuilds_total";
const REBUILDS_FAILED: &str = "opt_out_list_rebuild_failures_total";
const REBUILD_LAST: &str = "opt_out_list_rebuild_last_seconds";
const LOOKUPS: &str = "opt_out_list_lookups_total";
const FALSE_ALARMS: &str = "opt_out_list_false_alarms_total";
const IMPORTED: &str = "opt_out_imported_ids_total";
const RECORDS_APPLIED: &str = "opt_out_records_applied_total";
const LAG: &str = "opt_out_lag_records";
const HEARD_AGO: &str = "opt_out_heard_ago_seconds";
const MAY_MEASURE: &str = "opt_out_may_measure";
const POLLS: &str = "opt_out_heartbeat_polls_total";
const HEARTBEATS: &str = "opt_out_heartbeats_total";
const PRODUCE_FAILURES: &str = "opt_out_produce_failures_total";

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            pub(crate) const ALL: [Self; [$($label),*].len()] = [$(Self::$variant),*];

            pub(crate) fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

mod deletion;

pub(crate) use deletion::Deletion;

labels! {
    /// What was asked for.
    Route {
        /// `GET /`, `GET /opt-out`.
        Page = "page",
        /// What belongs to the page: style sheet, scripts, the frame that finds out about cookies.
        Asset = "asset",
        /// `POST /opt-out`.
        Form = "form",
        /// `POST /v1/opt-outs`.
        OptOuts = "opt_outs",
        /// `POST /v1/opt-ins`.
        OptIns = "opt_ins",
        /// `POST /v1/status`.
        Status = "status",
        /// `POST /v1/erasures`.
        Erasures = "erasures",
        /// `POST /v1/copies`.
        Copies = "copies",
        /// `GET /v1/requests/{receipt}`.
        Request = "request",
        /// `GET /v1/requests/{receipt}/copy`.
        RequestCopy = "request_copy",
        /// `POST /v1/dsr`.
        Deletion = "dsr",
        /// `GET /dsrdelete.json` and our keys.
        DeletionFile = "dsr_file",
        /// `GET /v1/heartbeat`.
        Heartbeat = "heartbeat",
        /// `GET /openapi.yaml`.
        Description = "description",
        /// Anything else.
        Other = "other",
    }
}

labels! {
    /// How a request ended.
    Answer {
        /// Done as asked.
        Done = "done",
        /// The caller has to change something.
        Refused = "refused",
        /// Too many requests from one address or app.
        RateLimited = "rate_limited",
        /// The registry could not take it; the caller may try again.
        Unavailable = "unavailable",
    }
}

labels! {
    /// What became of an identifier.
    IdResult {
        /// In the registry.
        Lodged = "lodged",
        /// Sought in what is stored: of a request for erasure or a copy.
        Sought = "sought",
        /// A value that many devices send.
        KnownBad = "known_bad",
        /// Not of its kind's form.
        Malformed = "malformed",
    }
}

labels! {
    /// What a person asks for.
    Asked {
        /// To be erased.
        Erasure = "erasure",
        /// A copy.
        Copy = "copy",
    }
}

labels! {
    /// What proves that it is the person's device.
    Proved {
        /// The browser's id cookie.
        Browser = "browser",
        /// An app's signature.
        App = "app",
        /// Nothing.
        Nothing = "none",
    }
}

/// The role's metrics.
pub(crate) struct Metrics {
    requests: Vec<Vec<Counter>>,
    ids: Vec<Vec<Counter>>,
    /// Opt-outs by receipt, by a signed call of an app, from a register of others, and by the browser's cookie.
    pub(crate) opt_outs_receipt: Counter,
    pub(crate) opt_outs_app: Counter,
    pub(crate) opt_outs_register: Counter,
    pub(crate) opt_outs_cookie: Counter,
    pub(crate) opt_ins_receipt: Counter,
    pub(crate) opt_ins_cookie: Counter,
    deletions: Vec<Counter>,
    persons: Vec<Vec<Counter>>,
    persons_waiting: Gauge,
    persons_overdue: Gauge,
    persons_lost: Gauge,
    persons_running: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) accept_failures: Counter,
    receipts: Gauge,
    receipts_active: Gauge,
    hashes: Gauge,
    disk_bytes: Gauge,
    writable: Gauge,
    list: ListMetrics,
    may_measure: Gauge,
}

impl Metrics {
    /// Declares every metric with the recorder in force; all of them are there at once, at zero.
    pub(crate) fn new() -> Self {
        describe();
        let request = |route: Route, answer: Answer| {
            zero_counter(counter!(REQUESTS, "route" => route.label(), "answer" => answer.label()))
        };
        let id = |kind: IdKind, result: IdResult| {
            zero_counter(counter!(IDS, "kind" => kind.name(), "result" => result.label()))
        };
        let person = |asked: Asked, proved: Proved| {
            zero_counter(counter!(PERSONS, "kind" => asked.label(), "proof" => proved.label()))
        };
        // What a cluster's node and role say is declared on one machine too, so that an alert on it need not know.
        drop(TopicMetrics::new());
        let FollowMetrics { list, may_measure, .. } = FollowMetrics::new();
        Self {
            requests: Route::ALL.map(|route| Answer::ALL.map(|answer| request(route, answer)).into()).into(),
            ids: IdKind::ALL.map(|kind| IdResult::ALL.map(|result| id(kind, result)).into()).into(),
            opt_outs_receipt: zero_counter(counter!(OPT_OUTS, "by" => "receipt")),
            opt_outs_app: zero_counter(counter!(OPT_OUTS, "by" => "app")),
            opt_outs_register: ImportMetrics::new().lodged,
            opt_outs_cookie: zero_counter(counter!(OPT_OUTS, "by" => "cookie")),
            opt_ins_receipt: zero_counter(counter!(OPT_INS, "by" => "receipt")),
            opt_ins_cookie: zero_counter(counter!(OPT_INS, "by" => "cookie")),
            deletions: Deletion::ALL
                .map(|outcome| zero_counter(counter!(DELETIONS, "outcome" => outcome.label())))
                .into(),
            persons: Asked::ALL.map(|asked| Proved::ALL.map(|proved| person(asked, proved)).into()).into(),
            persons_waiting: zero_gauge(gauge!(PERSONS_WAITING)),
            persons_overdue: zero_gauge(gauge!(PERSONS_OVERDUE)),
            persons_lost: zero_gauge(gauge!(PERSONS_LOST)),
            persons_running: zero_gauge(gauge!(PERSONS_RUNNING)),
            connections: zero_gauge(gauge!(CONNECTIONS)),
            accept_failures: zero_counter(counter!(ACCEPT_FAILURES)),
            receipts: zero_gauge(gauge!(RECEIPTS)),
            receipts_active: zero_gauge(gauge!(RECEIPTS_ACTIVE)),
            hashes: zero_gauge(gauge!(HASHES)),
            disk_bytes: zero_gauge(gauge!(DISK)),
            writable: zero_gauge(gauge!(WRITABLE)),
            list,
            may_measure,
        }
    }

    /// Counts a request.
    pub(crate) fn request(&self, route: Route, answer: Answer) {
        if let Some(counter) =
            self.requests.get(route as usize).and_then(|answers| answers.get(answer as usize))
        {
            counter.increment(1);
        }
    }

    /// Counts an identifier.
    pub(crate) fn id(&self, kind: IdKind, result: IdResult) {
        let place = IdKind::ALL.iter().position(|known| *known == kind);
        let results = place.and_then(|place| self.ids.get(place));
        if let Some(counter) = results.and_then(|results| results.get(result as usize)) {
            counter.increment(1);
        }
    }

    /// Counts a person's request that was taken in.
    pub(crate) fn person(&self, asked: Asked, proved: Proved) {
        let counter = self.persons.get(asked as usize).and_then(|proofs| proofs.get(proved as usize));
        if let Some(counter) = counter {
            counter.increment(1);
        }
    }

    /// Counts another company's deletion request.
    pub(crate) fn deletion(&self, outcome: Deletion) {
        if let Some(counter) = self.deletions.get(outcome as usize) {
            counter.increment(1);
        }
    }

    /// Once a second: how persons' requests are.
    pub(crate) fn observe_persons(&self, stats: &RequestStats) {
        self.persons_waiting.set(stats.waiting as f64);
        self.persons_overdue.set(stats.overdue as f64);
        self.persons_lost.set(stats.lost as f64);
        self.persons_running.set(stats.running as f64);
    }

    /// Once a second: how the registry and the list are, and whether a tracker may measure by that list.
    pub(crate) fn observe(&self, registry: &RegistryStats, list: &ListStats, may_measure: bool) {
        self.may_measure.set(f64::from(u8::from(may_measure)));
        self.receipts.set(registry.receipts as f64);
        self.receipts_active.set(registry.receipts_active as f64);
        self.hashes.set(registry.hashes as f64);
        self.disk_bytes.set(registry.disk_bytes as f64);
        self.writable.set(f64::from(u8::from(registry.is_writable)));
        self.list.observe(list);
    }
}

/// The list, on every node that holds one.
struct ListMetrics {
    entries: Gauge,
    overlay: Gauge,
    memory_bytes: Gauge,
    rebuilds: Counter,
    rebuilds_failed: Counter,
    rebuild_last: Gauge,
    lookups: Counter,
    false_alarms: Counter,
}

impl ListMetrics {
    fn new() -> Self {
        describe_gauge!(LISTED, "Hashes on the list that beacons are held against.");
        describe_gauge!(OVERLAY, "Changes of the list since its last rebuild.");
        describe_gauge!(MEMORY, "Bytes of the list's filter and exact set.");
        describe_counter!(REBUILDS, "Rebuilds of the list.");
        describe_counter!(
            REBUILDS_FAILED,
            "Rebuilds of the list that failed or were refused; the list before stays in force."
        );
        describe_gauge!(REBUILD_LAST, "How long the last rebuild of the list took.");
        describe_counter!(LOOKUPS, "Hashes of beacons that were looked up on the list.");
        describe_counter!(
            FALSE_ALARMS,
            "Look-ups for which the filter said perhaps and the exact set no: their share of all is the filter's false-positive rate."
        );
        Self {
            entries: zero_gauge(gauge!(LISTED)),
            overlay: zero_gauge(gauge!(OVERLAY)),
            memory_bytes: zero_gauge(gauge!(MEMORY)),
            rebuilds: zero_counter(counter!(REBUILDS)),
            rebuilds_failed: zero_counter(counter!(REBUILDS_FAILED)),
            rebuild_last: zero_gauge(gauge!(REBUILD_LAST)),
            lookups: zero_counter(counter!(LOOKUPS)),
            false_alarms: zero_counter(counter!(FALSE_ALARMS)),
        }
    }

    fn observe(&self, list: &ListStats) {
        self.entries.set(list.entries as f64);
        self.overlay.set(list.overlay_entries as f64);
        self.memory_bytes.set(list.memory_bytes as f64);
        self.rebuilds.absolute(list.rebuilds);
        self.rebuilds_failed.absolute(list.rebuilds_failed);
        self.rebuild_last.set(list.rebuild_last_us as f64 / 1e6);
        self.lookups.absolute(list.lookups);
        self.false_alarms.absolute(list.false_alarms);
    }
}

/// What became of the ids of registers.
pub(crate) struct ImportMetrics {
    outcomes: Vec<Counter>,
    lodged: Counter,
    taken_back: Counter,
}

impl ImportMetrics {
    /// Declares them with the recorder in force.
    pub(crate) fn new() -> Self {
        describe_counter!(IMPORTED, "Ids of registers of others that were imported, by what became of them.");
        let of = |outcome: Outcome| zero_counter(counter!(IMPORTED, "result" => outcome.name()));
        Self {
            outcomes: Outcome::ALL.map(of).into(),
            lodged: zero_counter(counter!(OPT_OUTS, "by" => "register")),
            taken_back: zero_counter(counter!(OPT_INS, "by" => "register")),
        }
    }

    /// Counts an id.
    pub(crate) fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.increment(1);
        }
        match outcome {
            Outcome::Lodged | Outcome::LodgedInPart => self.lodged.increment(1),
            Outcome::TakenBack => self.taken_back.increment(1),
            Outcome::Already
            | Outcome::NotThere
            | Outcome::KnownBad
            | Outcome::Malformed
            | Outcome::UnknownKind => {}
        }
    }
}

/// What a node of a cluster says of its following the registry.
pub(crate) struct FollowMetrics {
    pub(crate) records_applied: Counter,
    lag: Gauge,
    heard_ago: Gauge,
    may_measure: Gauge,
    list: ListMetrics,
    polls_answered: Counter,
    polls_failed: Counter,
    began: Instant,
    end: AtomicI64,
}

impl FollowMetrics {
    /// Declares them with the recorder in force.
    pub(crate) fn new() -> Self {
        describe_counter!(
            RECORDS_APPLIED,
            "Records of the registry's topic that were applied, heartbeats included."
        );
        describe_gauge!(
            LAG,
            "Records between what is applied and the end of the registry's topic, as last heard."
        );
        describe_gauge!(
            HEARD_AGO,
            "Age of the newest proof that every opt-out is known; at opt_out.lease_seconds the node stops measuring."
        );
        describe_gauge!(MAY_MEASURE, "1 while the node may measure, 0 while it cannot know every opt-out.");
        describe_counter!(POLLS, "Questions to opt-out roles how far the registry reaches, by result.");
        Self {
            records_applied: zero_counter(counter!(RECORDS_APPLIED)),
            lag: zero_gauge(gauge!(LAG)),
            heard_ago: zero_gauge(gauge!(HEARD_AGO)),
            may_measure: zero_gauge(gauge!(MAY_MEASURE)),
            list: ListMetrics::new(),
            polls_answered: zero_counter(counter!(POLLS, "result" => "answered")),
            polls_failed: zero_counter(counter!(POLLS, "result" => "failed")),
            began: Instant::now(),
            end: AtomicI64::new(0),
        }
    }

    /// A role was asked how far the registry reaches, and answered or not.
    pub(crate) fn polled(&self, is_answered: bool) {
        if is_answered { &self.polls_answered } else { &self.polls_failed }.increment(1);
    }

    /// Where the topic ends, as Kafka says.
    pub(crate) fn end(&self, end: i64) {
        self.end.store(end, Ordering::Relaxed);
    }

    /// Several times a second. `applied` is the offset after the last record applied; `heard_ago` is `None` if nothing was heard yet.
    pub(crate) fn observe(
        &self,
        applied: i64,
        heard_ago: Option<Duration>,
        may_measure: bool,
        list: &ListStats,
    ) {
        self.list.observe(list);
        self.lag.set(self.end.load(Ordering::Relaxed).saturating_sub(applied).max(0) as f64);
        self.heard_ago.set(heard_ago.unwrap_or_else(|| self.began.elapsed()).as_secs_f64());
        self.may_measure.set(f64::from(u8::from(may_measure)));
    }
}

/// What an opt-out role says of its writing to the topic.
pub(crate) struct TopicMetrics {
    pub(crate) heartbeats_sent: Counter,
    pub(crate) heartbeats_failed: Counter,
    pub(crate) produce_failures: Counter,
}

impl TopicMetrics {
    /// Declares them with the recorder in force.
    pub(crate) fn new() -> Self {
        describe_counter!(HEARTBEATS, "Heartbeats for the registry's topic: sent are those that Kafka took.");
        describe_counter!(PRODUCE_FAILURES, "Records and heartbeats that Kafka did not take or confirm.");
        Self {
            heartbeats_sent: zero_counter(counter!(HEARTBEATS, "result" => "sent")),
            heartbeats_failed: zero_counter(counter!(HEARTBEATS, "result" => "failed")),
            produce_failures: zero_counter(counter!(PRODUCE_FAILURES)),
        }
    }
}

fn zero_counter(counter: Counter) -> Counter {
    counter.increment(0);
    counter
}

fn zero_gauge(gauge: Gauge) -> Gauge {
    gauge.set(0.0);
    gauge
}

fn describe() {
    describe_counter!(REQUESTS, "Requests by route and how they ended.");
    describe_counter!(IDS, "Identifiers that people and apps sent, by kind and what became of them.");
    describe_counter!(
        OPT_OUTS,
        "Opt-outs done: a receipt for identifiers, one for a signed call of an app, an id of a register of others, or the browser's cookie."
    );
    describe_counter!(
        OPT_INS,
        "Opt-outs taken back: by receipt, the browser's cookie, or the next edition of a register of others."
    );
    describe_counter!(
        DELETIONS,
        "Deletion requests of other companies (opt_out.dsr), by what became of them."
    );
    describe_counter!(
        PERSONS,
        "Persons' requests that were taken in, by what is asked for and what proves it."
    );
    describe_gauge!(
        PERSONS_WAITING,
        "Persons' requests that wait for the operator: sightline requests list."
    );
    describe_gauge!(
        PERSONS_OVERDUE,
        "Persons' requests that wait or run longer than opt_out.requests.answer_working_days: answer them now."
    );
    describe_gauge!(
        PERSONS_LOST,
        "Persons' requests that the folder once held and does not hold any more: restore DATA/requests from a copy."
    );
    describe_gauge!(PERSONS_RUNNING, "Persons' requests that are accepted and not done yet.");
    describe_gauge!(CONNECTIONS, "Open connections.");
    describe_counter!(ACCEPT_FAILURES, "Connections that the system could not hand over.");
    describe_gauge!(RECEIPTS, "Receipts in the registry, withdrawn ones included.");
    describe_gauge!(RECEIPTS_ACTIVE, "Receipts in force.");
    describe_gauge!(HASHES, "Hashes that receipts in force hold, repeats included.");
    describe_gauge!(DISK, "Bytes of the registry's journal.");
    describe_gauge!(WRITABLE, "1 while the registry takes records, else 0: new opt-outs get 503.");
}

#[cfg(test)]
mod tests;
