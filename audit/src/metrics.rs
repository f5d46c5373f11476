//! What is counted of the audit log, declared once.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const ENTRIES: &str = "audit_entries_total";
const FAILURES: &str = "audit_failures_total";
const BYTES: &str = "audit_log_bytes";
const DAMAGE: &str = "audit_damage_found_count";

/// Declares the metrics at zero. The recorder must be installed before.
pub fn declare() {
    describe_counter!(ENTRIES, Unit::Count, "Entries of the audit log that were stored.");
    describe_counter!(
        FAILURES,
        Unit::Count,
        "Entries of the audit log that could not be stored; what they stood for was refused."
    );
    describe_gauge!(BYTES, Unit::Bytes, "Bytes of the audit log's files.");
    describe_gauge!(
        DAMAGE,
        Unit::Count,
        "1 if the audit log was found changed or cut when it was opened, else 0: run `sightline audit verify`."
    );
    counter!(ENTRIES).increment(0);
    counter!(FAILURES).increment(0);
    gauge!(BYTES).set(0.0);
    gauge!(DAMAGE).set(0.0);
}

pub(crate) fn stored(entries: u64) {
    counter!(ENTRIES).increment(entries);
}

pub(crate) fn failed(entries: u64) {
    counter!(FAILURES).increment(entries);
}

pub(crate) fn bytes(bytes: u64) {
    gauge!(BYTES).set(bytes as f64);
}

pub(crate) fn damage_found() {
    gauge!(DAMAGE).set(1.0);
}
