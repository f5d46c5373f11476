//! The aggregator's metrics, declared once: names, labels, help. Fed where the thing happens, through the functions below.

use std::collections::BTreeMap;

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::alerts::judge::Kind;

/// Counters: name and help.
const COUNTERS: [(&str, &str); 17] = [
    (
        "aggregator_records_loaded_total",
        "Records of the journal that are in the store, repeats after a crash included",
    ),
    ("aggregator_records_set_aside_total", "Records of an unknown version, kept undecoded"),
    ("aggregator_records_lost_total", "Records that damage to the journal took before they were read"),
    ("aggregator_inserts_total", "Inserts into the store, tables counted one by one"),
    ("aggregator_inserts_failed_total", "Inserts that failed and are tried again"),
    ("aggregator_store_retries_total", "Statements that were sent to the store's servers once more"),
    ("aggregator_frames_consumed_total", "Frames read from Kafka, repeats included"),
    (
        "aggregator_frames_repeated_total",
        "Frames read from Kafka again: sent or handed over twice, counted once in figures",
    ),
    ("aggregator_rebalances_total", "Times that partitions of the events topic came or went"),
    ("aggregator_events_adopted_total", "Unresolved hits that became events"),
    (
        "aggregator_hits_erased_total",
        "Stored hits that lost device, address and agent because a person asked for it",
    ),
    ("aggregator_days_settled_total", "Settle steps that published a day"),
    ("aggregator_settles_failed_total", "Settle steps that failed and are tried again"),
    ("aggregator_generations_dropped_total", "Old or unfinished generations that were dropped"),
    (
        "aggregator_days_without_devices_total",
        "Settled days that lost their devices because their last event had expired",
    ),
    (
        "aggregator_device_pairs_refused_total",
        "Hits during an overlap of two device keys that came while the table of pairs was full",
    ),
    ("aggregator_reports_failed_total", "Reports that failed by our fault"),
];

/// Gauges: name and help.
const GAUGES: [(&str, &str); 7] = [
    ("aggregator_journal_lag_bytes", "Bytes of the journal that are not in the store yet"),
    ("aggregator_lag_messages", "Messages of the partitions held that were not read yet"),
    ("aggregator_insert_seconds", "Time spent in inserts since the start, seconds"),
    ("aggregator_settler_count", "1 in the aggregator that settles, 0 in the others"),
    ("aggregator_settle_seconds", "Duration of the last settle step, seconds"),
    ("aggregator_days_dirty", "Past days that changed since they were settled"),
    (
        "aggregator_devices_set_aside",
        "Ids with more impressions on a day than one device sees, on the seven newest settled days, each day's counted apart",
    ),
];

/// Messages that were no frames, by reason.
const DEAD_LETTERS: &str = "aggregator_dead_letters_total";
const REASONS: [&str; 2] = ["unknown_version", "corrupt"];

/// Alerts that are open, by kind.
const ALERTS: &str = "aggregator_alerts_open_count";
/// Messages about alerts, by what became of one try.
const ALERT_MESSAGES: &str = "aggregator_alert_messages_total";
const ALERT_OUTCOMES: [&str; 3] = ["delivered", "failed", "given_up"];

/// Every metric, for the list that dashboards are made from.
pub fn names() -> impl Iterator<Item = &'static str> {
    COUNTERS.iter().chain(&GAUGES).map(|(name, _)| *name).chain([DEAD_LETTERS, ALERTS, ALERT_MESSAGES])
}

/// Declares them, at zero.
pub(crate) fn declare() {
    for (name, help) in COUNTERS {
        describe_counter!(name, help);
        counter!(name).absolute(0);
    }
    describe_counter!(
        DEAD_LETTERS,
        "Messages of the events topic that are no frames and went to the dead letters"
    );
    for reason in REASONS {
        counter!(DEAD_LETTERS, "reason" => reason).absolute(0);
    }
    describe_gauge!(ALERTS, "Alerts that are open, on the aggregator that settles");
    alerts_open(&BTreeMap::new());
    describe_counter!(ALERT_MESSAGES, "Tries to tell the webhook that an alert opened or resolved");
    for outcome in ALERT_OUTCOMES {
        counter!(ALERT_MESSAGES, "outcome" => outcome).absolute(0);
    }
    for (name, help) in GAUGES {
        describe_gauge!(name, help);
        gauge!(name).set(0.0);
    }
}

macro_rules! counters {
    ($($function:ident = $name:literal;)*) => {
        $(pub(crate) fn $function(count: u64) { counter!($name).increment(count); })*
    };
}

counters! {
    records_loaded = "aggregator_records_loaded_total";
    records_set_aside = "aggregator_records_set_aside_total";
    records_lost = "aggregator_records_lost_total";
    inserts = "aggregator_inserts_total";
    store_retries = "aggregator_store_retries_total";
    frames_consumed = "aggregator_frames_consumed_total";
    frames_repeated = "aggregator_frames_repeated_total";
    rebalances = "aggregator_rebalances_total";
    inserts_failed = "aggregator_inserts_failed_total";
    events_adopted = "aggregator_events_adopted_total";
    hits_erased = "aggregator_hits_erased_total";
    days_settled = "aggregator_days_settled_total";
    settles_failed = "aggregator_settles_failed_total";
    generations_dropped = "aggregator_generations_dropped_total";
    devices_expired = "aggregator_days_without_devices_total";
    device_pairs_refused = "aggregator_device_pairs_refused_total";
    reports_failed = "aggregator_reports_failed_total";
}

pub(crate) fn journal_lag_bytes(bytes: u64) {
    gauge!("aggregator_journal_lag_bytes").set(bytes as f64);
}

pub(crate) fn lag_messages(messages: u64) {
    gauge!("aggregator_lag_messages").set(messages as f64);
}

pub(crate) fn insert_seconds(seconds: f64) {
    gauge!("aggregator_insert_seconds").increment(seconds);
}

pub(crate) fn is_settler(is_settler: bool) {
    gauge!("aggregator_settler_count").set(f64::from(u8::from(is_settler)));
}

/// One more, for one of the reasons.
pub(crate) fn dead_letters(reason: &'static str) {
    counter!(DEAD_LETTERS, "reason" => reason).increment(1);
}

/// How many alerts of each kind are open.
pub(crate) fn alerts_open(open: &BTreeMap<Kind, usize>) {
    for kind in Kind::ALL {
        let count = open.get(&kind).copied().unwrap_or(0);
        gauge!(ALERTS, "kind" => kind.name()).set(count as f64);
    }
}

/// One more message, with one of the outcomes.
pub(crate) fn alert_messages(outcome: &'static str) {
    counter!(ALERT_MESSAGES, "outcome" => outcome).increment(1);
}

pub(crate) fn settle_seconds(seconds: f64) {
    gauge!("aggregator_settle_seconds").set(seconds);
}

pub(crate) fn days_dirty(days: usize) {
    gauge!("aggregator_days_dirty").set(days as f64);
}

pub(crate) fn devices_set_aside(devices: u64) {
    gauge!("aggregator_devices_set_aside").set(devices as f64);
}
