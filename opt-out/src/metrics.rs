//! The role's metrics: every name, declared once, typed, at zero from the start.
//!
//! It owns names, labels and help texts. Nothing in a label may come from a request.

use event::identifier::IdKind;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::list::ListStats;
use crate::registry::RegistryStats;

const REQUESTS: &str = "opt_out_requests_total";
const IDS: &str = "opt_out_ids_total";
const OPT_OUTS: &str = "opt_out_lodgings_total";
const OPT_INS: &str = "opt_out_withdrawals_total";
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

labels! {
    /// What was asked for.
    Route {
        /// `GET /`, `GET /opt-out`.
        Page = "page",
        /// The page's style sheet.
        Style = "style",
        /// `POST /opt-out`.
        Form = "form",
        /// `POST /v1/opt-outs`.
        OptOuts = "opt_outs",
        /// `POST /v1/opt-ins`.
        OptIns = "opt_ins",
        /// `POST /v1/status`.
        Status = "status",
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
        /// Too many requests from one address.
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
        /// A value that many devices send.
        KnownBad = "known_bad",
        /// Not of its kind's form.
        Malformed = "malformed",
    }
}

/// The role's metrics.
pub(crate) struct Metrics {
    requests: Vec<Vec<Counter>>,
    ids: Vec<Vec<Counter>>,
    /// Opt-outs by receipt, and by the browser's cookie.
    pub(crate) opt_outs_receipt: Counter,
    pub(crate) opt_outs_cookie: Counter,
    pub(crate) opt_ins_receipt: Counter,
    pub(crate) opt_ins_cookie: Counter,
    pub(crate) connections: Gauge,
    pub(crate) accept_failures: Counter,
    receipts: Gauge,
    receipts_active: Gauge,
    hashes: Gauge,
    disk_bytes: Gauge,
    writable: Gauge,
    listed: Gauge,
    overlay: Gauge,
    memory_bytes: Gauge,
    rebuilds: Counter,
    rebuilds_failed: Counter,
    rebuild_last: Gauge,
}

impl Metrics {
    /// Declares every metric with the recorder in force; all of them are there at once, at zero.
    pub(crate) fn new() -> Self {
        describe();
        let zero_counter = |counter: Counter| {
            counter.increment(0);
            counter
        };
        let zero_gauge = |gauge: Gauge| {
            gauge.set(0.0);
            gauge
        };
        let request = |route: Route, answer: Answer| {
            zero_counter(counter!(REQUESTS, "route" => route.label(), "answer" => answer.label()))
        };
        let id = |kind: IdKind, result: IdResult| {
            zero_counter(counter!(IDS, "kind" => kind.name(), "result" => result.label()))
        };
        Self {
            requests: Route::ALL.map(|route| Answer::ALL.map(|answer| request(route, answer)).into()).into(),
            ids: IdKind::ALL.map(|kind| IdResult::ALL.map(|result| id(kind, result)).into()).into(),
            opt_outs_receipt: zero_counter(counter!(OPT_OUTS, "by" => "receipt")),
            opt_outs_cookie: zero_counter(counter!(OPT_OUTS, "by" => "cookie")),
            opt_ins_receipt: zero_counter(counter!(OPT_INS, "by" => "receipt")),
            opt_ins_cookie: zero_counter(counter!(OPT_INS, "by" => "cookie")),
            connections: zero_gauge(gauge!(CONNECTIONS)),
            accept_failures: zero_counter(counter!(ACCEPT_FAILURES)),
            receipts: zero_gauge(gauge!(RECEIPTS)),
            receipts_active: zero_gauge(gauge!(RECEIPTS_ACTIVE)),
            hashes: zero_gauge(gauge!(HASHES)),
            disk_bytes: zero_gauge(gauge!(DISK)),
            writable: zero_gauge(gauge!(WRITABLE)),
            listed: zero_gauge(gauge!(LISTED)),
            overlay: zero_gauge(gauge!(OVERLAY)),
            memory_bytes: zero_gauge(gauge!(MEMORY)),
            rebuilds: zero_counter(counter!(REBUILDS)),
            rebuilds_failed: zero_counter(counter!(REBUILDS_FAILED)),
            rebuild_last: zero_gauge(gauge!(REBUILD_LAST)),
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

    /// Once a second: how the registry and the list are.
    pub(crate) fn observe(&self, registry: &RegistryStats, list: &ListStats) {
        self.receipts.set(registry.receipts as f64);
        self.receipts_active.set(registry.receipts_active as f64);
        self.hashes.set(registry.hashes as f64);
        self.disk_bytes.set(registry.disk_bytes as f64);
        self.writable.set(f64::from(u8::from(registry.is_writable)));
        self.listed.set(list.entries as f64);
        self.overlay.set(list.overlay_entries as f64);
        self.memory_bytes.set(list.memory_bytes as f64);
        self.rebuilds.absolute(list.rebuilds);
        self.rebuilds_failed.absolute(list.rebuilds_failed);
        self.rebuild_last.set(list.rebuild_last_us as f64 / 1e6);
    }
}

fn describe() {
    describe_counter!(REQUESTS, "Requests by route and how they ended.");
    describe_counter!(IDS, "Identifiers that people and apps sent, by kind and what became of them.");
    describe_counter!(OPT_OUTS, "Opt-outs done: a receipt for identifiers, or the browser's cookie.");
    describe_counter!(OPT_INS, "Opt-outs taken back: by receipt, or the browser's cookie.");
    describe_gauge!(CONNECTIONS, "Open connections.");
    describe_counter!(ACCEPT_FAILURES, "Connections that the system could not hand over.");
    describe_gauge!(RECEIPTS, "Receipts in the registry, withdrawn ones included.");
    describe_gauge!(RECEIPTS_ACTIVE, "Receipts in force.");
    describe_gauge!(HASHES, "Hashes that receipts in force hold, repeats included.");
    describe_gauge!(DISK, "Bytes of the registry's journal.");
    describe_gauge!(WRITABLE, "1 while the registry takes records, else 0: new opt-outs get 503.");
    describe_gauge!(LISTED, "Hashes on the list that beacons are held against.");
    describe_gauge!(OVERLAY, "Changes of the list since its last rebuild.");
    describe_gauge!(MEMORY, "Bytes of the list's filter and exact set.");
    describe_counter!(REBUILDS, "Rebuilds of the list.");
    describe_counter!(
        REBUILDS_FAILED,
        "Rebuilds of the list that failed or were refused; the list before stays in force."
    );
    describe_gauge!(REBUILD_LAST, "How long the last rebuild of the list took.");
}

#[cfg(test)]
mod tests;
