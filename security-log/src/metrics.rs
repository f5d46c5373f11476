//! What is counted of the security log, declared once.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const RECORDS: &str = "security_log_records_total";
const DROPPED: &str = "security_log_dropped_total";
const FAILURES: &str = "security_log_failures_total";
const CUT: &str = "security_log_files_cut_total";
const BYTES: &str = "security_log_bytes";

/// Declares the metrics at zero. The recorder must be installed before.
pub fn declare() {
    describe_counter!(RECORDS, Unit::Count, "Requests written to the security log.");
    describe_counter!(
        DROPPED,
        Unit::Count,
        "Requests that the security log lost: a full buffer, or a disk that failed for long."
    );
    describe_counter!(FAILURES, Unit::Count, "Writes of the security log that failed; they are tried again.");
    describe_counter!(
        CUT,
        Unit::Count,
        "Files of the security log that were removed before their time to stay within disk_bytes_max."
    );
    describe_gauge!(BYTES, Unit::Bytes, "Bytes of the security log's files.");
    for name in [RECORDS, DROPPED, FAILURES, CUT] {
        counter!(name).increment(0);
    }
    gauge!(BYTES).set(0.0);
}

pub(crate) fn written(records: u64) {
    counter!(RECORDS).increment(records);
}

pub(crate) fn dropped(records: u64) {
    counter!(DROPPED).increment(records);
}

pub(crate) fn failed() {
    counter!(FAILURES).increment(1);
}

pub(crate) fn cut() {
    counter!(CUT).increment(1);
}

pub(crate) fn bytes(bytes: u64) {
    gauge!(BYTES).set(bytes as f64);
}
