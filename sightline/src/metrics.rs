//! Metrics of the binary itself and of the parts that name none (journal lanes, catalog): declared here, once, typed.
//! The exporter is installed here too. Zero at start, base units, no label that a caller can choose.

use std::time::Instant;

use anyhow::Context;
use journal::{Health, Stats, Writer};
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

const CATALOG_LOADS: &str = "catalog_loads_total";
const CATALOG_CAMPAIGNS: &str = "catalog_campaigns_count";
const REGION_LOADS: &str = "region_library_loads_total";
const REGION_BUILT: &str = "region_library_built_unix_seconds";
const PROCESS_INFO: &str = "sightline_build_info";
const PROCESS_UP: &str = "sightline_up_seconds";

/// A counter or gauge of a lane.
struct OfLane {
    name: &'static str,
    unit: Unit,
    is_counter: bool,
    help: &'static str,
    value: fn(&Stats) -> f64,
}

const OF_LANES: &[OfLane] = &[
    OfLane {
        name: "journal_records_total",
        unit: Unit::Count,
        is_counter: true,
        help: "Records stored.",
        value: |s| s.records as f64,
    },
    OfLane {
        name: "journal_groups_total",
        unit: Unit::Count,
        is_counter: true,
        help: "Groups committed: one write each.",
        value: |s| s.groups as f64,
    },
    OfLane {
        name: "journal_written_bytes_total",
        unit: Unit::Bytes,
        is_counter: true,
        help: "Bytes written as frames.",
        value: |s| s.stored_bytes as f64,
    },
    OfLane {
        name: "journal_syncs_total",
        unit: Unit::Count,
        is_counter: true,
        help: "Syncs of groups.",
        value: |s| s.syncs as f64,
    },
    OfLane {
        name: "journal_sync_seconds",
        unit: Unit::Seconds,
        is_counter: false,
        help: "Time spent in syncs since the start.",
        value: |s| s.sync_nanos as f64 / 1e9,
    },
    OfLane {
        name: "journal_sync_max_seconds",
        unit: Unit::Seconds,
        is_counter: false,
        help: "Longest sync since the start.",
        value: |s| s.sync_nanos_max as f64 / 1e9,
    },
    OfLane {
        name: "journal_refused_total",
        unit: Unit::Count,
        is_counter: true,
        help: "Records refused: forming batch full, disk failed or full.",
        value: |s| (s.refused_queue_full + s.refused_failed + s.refused_disk_full + s.refused_other) as f64,
    },
    OfLane {
        name: "journal_failures_total",
        unit: Unit::Count,
        is_counter: true,
        help: "Segments given up after a failed write or sync.",
        value: |s| s.failures as f64,
    },
    OfLane {
        name: "journal_segments_evicted_total",
        unit: Unit::Count,
        is_counter: true,
        help: "Segments removed before their age to make room.",
        value: |s| s.segments_evicted as f64,
    },
    OfLane {
        name: "journal_damaged_bytes_total",
        unit: Unit::Bytes,
        is_counter: true,
        help: "Bytes that readers skipped as damaged.",
        value: |s| s.damaged_bytes as f64,
    },
    OfLane {
        name: "journal_disk_bytes",
        unit: Unit::Bytes,
        is_counter: false,
        help: "Bytes of all segments.",
        value: |s| s.disk_bytes as f64,
    },
    OfLane {
        name: "journal_queue_bytes",
        unit: Unit::Bytes,
        is_counter: false,
        help: "Bytes in the forming batch.",
        value: |s| s.queue_bytes as f64,
    },
];
/// Roles that may listen with TLS, as their acceptors are named.
pub(crate) const TLS_ROLES: [&str; 3] = ["tracker", "opt_out", "reports"];
const LANE_READY: &str = "journal_ready_ratio";

/// The installed exporter.
#[derive(Clone)]
pub(crate) struct Exporter {
    handle: PrometheusHandle,
    started: Instant,
    lanes: Vec<Writer>,
}

/// Installs the exporter for the process and describes the metrics of this module. Roles describe theirs when they start.
///
/// # Errors
/// When one is installed already.
pub(crate) fn install() -> anyhow::Result<Exporter> {
    let handle =
        PrometheusBuilder::new().install_recorder().context("cannot install the metrics exporter")?;
    describe_counter!(
        CATALOG_LOADS,
        Unit::Count,
        "Readings of the catalog file, by result: taken or refused."
    );
    for result in ["taken", "refused"] {
        counter!(CATALOG_LOADS, "result" => result).increment(0);
    }
    describe_gauge!(CATALOG_CAMPAIGNS, Unit::Count, "Campaigns in the catalog in force.");
    gauge!(CATALOG_CAMPAIGNS).set(0.0);
    describe_counter!(
        REGION_LOADS,
        Unit::Count,
        "Readings of the region library, by result: taken or refused."
    );
    for result in ["taken", "refused"] {
        counter!(REGION_LOADS, "result" => result).increment(0);
    }
    describe_gauge!(
        REGION_BUILT,
        Unit::Seconds,
        "When the region library in force was built; 0 without one."
    );
    gauge!(REGION_BUILT).set(0.0);
    describe_gauge!(PROCESS_INFO, Unit::Count, "1, with the version of the program.");
    gauge!(PROCESS_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    describe_gauge!(PROCESS_UP, Unit::Seconds, "Time since the start of the process.");
    describe_gauge!(LANE_READY, Unit::Count, "1 while the lane takes records, else 0.");
    tls::metrics::declare(&TLS_ROLES);
    audit::metrics::declare();
    security_log::metrics::declare();
    for metric in OF_LANES {
        if metric.is_counter {
            describe_counter!(metric.name, metric.unit, metric.help);
        } else {
            describe_gauge!(metric.name, metric.unit, metric.help);
        }
    }
    Ok(Exporter { handle, started: Instant::now(), lanes: Vec::new() })
}

impl Exporter {
    /// Also renders these lanes.
    #[must_use]
    pub(crate) fn with_lanes(mut self, lanes: Vec<Writer>) -> Self {
        self.lanes = lanes;
        self
    }

    /// Everything, in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        gauge!(PROCESS_UP).set(self.started.elapsed().as_secs_f64());
        for (number, lane) in self.lanes.iter().enumerate() {
            let label = number.to_string();
            let ready = matches!(lane.health(), Health::Open { .. });
            gauge!(LANE_READY, "lane" => label.clone()).set(f64::from(u8::from(ready)));
            let stats = lane.stats();
            for metric in OF_LANES {
                let value = (metric.value)(&stats);
                if metric.is_counter {
                    counter!(metric.name, "lane" => label.clone()).absolute(value as u64);
                } else {
                    gauge!(metric.name, "lane" => label.clone()).set(value);
                }
            }
        }
        self.handle.run_upkeep();
        self.handle.render()
    }
}

/// A catalog was read and taken.
pub(crate) fn catalog_taken(campaigns: usize) {
    counter!(CATALOG_LOADS, "result" => "taken").increment(1);
    gauge!(CATALOG_CAMPAIGNS).set(campaigns as f64);
}

/// A region library was read and taken.
pub(crate) fn regions_taken(built: u64) {
    counter!(REGION_LOADS, "result" => "taken").increment(1);
    gauge!(REGION_BUILT).set(built as f64);
}

/// A region library was read and refused.
pub(crate) fn regions_refused() {
    counter!(REGION_LOADS, "result" => "refused").increment(1);
}

/// A catalog was read and refused.
pub(crate) fn catalog_refused() {
    counter!(CATALOG_LOADS, "result" => "refused").increment(1);
}
