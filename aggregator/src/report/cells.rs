//! Counts as the store answers them, and what is made of them by plain arithmetic: gross and net, N+, names of keys.
//!
//! Must never ask the store.

use std::collections::BTreeMap;

use event::identifier::IdKind;
use event::record::Platform;
use serde::Deserialize;

use super::request::{By, Filter};
use super::rows::{DeliveryRow, Removed};
use super::sample::Sample;

/// What stands for a key that is not known: no creative, no region, a placement without a medium.
const UNKNOWN: &str = "unknown";
/// The key of hits without a device, by kind of id.
const NO_DEVICE: &str = "none";
/// The class of verdicts that another verdict of their view stands above.
const OUTDONE: &str = "outdone_verdict";

#[derive(Deserialize)]
pub(super) struct CellRow {
    pub(super) key: String,
    pub(super) class: String,
    pub(super) tracked: u64,
    pub(super) impressions: u64,
    pub(super) viewable: u64,
    pub(super) not_viewable: u64,
    pub(super) not_measurable: u64,
    pub(super) starts: u64,
    pub(super) first_quartiles: u64,
    pub(super) midpoints: u64,
    pub(super) third_quartiles: u64,
    pub(super) completes: u64,
    pub(super) clicks: u64,
    pub(super) conversions: u64,
    pub(super) identified: u64,
    pub(super) withheld: u64,
    pub(super) bad_ids: u64,
    pub(super) macros_unreplaced: u64,
    pub(super) conflicts: u64,
    pub(super) signal_gpc: u64,
    pub(super) signal_dnt: u64,
    pub(super) signal_lmt: u64,
    pub(super) signal_consent: u64,
    pub(super) signal_gpp: u64,
    pub(super) signal_child: u64,
}

#[derive(Deserialize)]
pub(super) struct HistogramRow {
    pub(super) key: String,
    pub(super) frequency: u64,
    pub(super) devices: u64,
    pub(super) impressions: u64,
    #[serde(default)]
    pub(super) clicks: u64,
}

/// Devices and impressions by frequency.
#[derive(Default)]
pub(super) struct Histogram {
    pub(super) by_frequency: BTreeMap<u64, (u64, u64)>,
    /// Impressions without a device, where the histogram comes from events.
    pub(super) unidentified: u64,
    pub(super) clicks: u64,
}

impl Histogram {
    pub(super) fn identified(&self) -> u64 {
        self.by_frequency.values().map(|(_, impressions)| impressions).sum()
    }

    /// The sum of the squares of what each device of a sample saw.
    pub(super) fn squares(&self, sample: Sample) -> f64 {
        let of_devices = |(devices, impressions): &(u64, u64)| {
            let seen = if *devices == 0 { 0.0 } else { *impressions as f64 / *devices as f64 };
            *devices as f64 / sample.weight() as f64 * seen * seen
        };
        self.by_frequency.values().map(of_devices).sum()
    }

    /// Devices with at least 1 … `levels` impressions.
    pub(super) fn n_plus(&self, levels: usize) -> Vec<u64> {
        let at_least = |n: u64| self.by_frequency.range(n..).map(|(_, (devices, _))| devices).sum();
        (1..=levels as u64).map(at_least).collect()
    }
}

/// Devices with exactly 1, 2, …; the last entry stays open-ended.
pub(super) fn exactly(n_plus: &[u64]) -> Vec<u64> {
    let next = n_plus.iter().skip(1).chain(std::iter::once(&0));
    n_plus.iter().zip(next).map(|(n, next)| n.saturating_sub(*next)).collect()
}

pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

pub(super) fn is_counted(class: &str, filter: Filter) -> bool {
    filter == Filter::Gross || class == "valid"
}

pub(super) fn add_cell(row: &mut DeliveryRow, cell: &CellRow, filter: Filter) {
    row.gross_impressions += cell.impressions;
    row.gross_clicks += cell.clicks;
    let removed = |removed: &mut Removed, hits: u64| match cell.class.as_str() {
        "duplicate" => removed.duplicate += hits,
        "robot" => removed.robot += hits,
        "non_browser" => removed.non_browser += hits,
        "data_center" => removed.data_center += hits,
        "double_click" => removed.double_click += hits,
        _ => {}
    };
    removed(&mut row.removed_impressions, cell.impressions);
    removed(&mut row.removed_clicks, cell.clicks);
    if cell.class == "valid" {
        row.net_impressions += cell.impressions;
        row.net_clicks += cell.clicks;
    }
    row.macros_unreplaced += cell.macros_unreplaced;
    row.conflicts += cell.conflicts;
    if cell.class == OUTDONE {
        // In neither filter a verdict of the view.
        row.outdone_verdicts += cell.viewable + cell.not_viewable + cell.not_measurable;
        return;
    }
    if is_counted(&cell.class, filter) {
        row.impressions += cell.impressions;
        row.clicks += cell.clicks;
        row.identified_impressions += cell.identified;
        row.withheld_impressions += cell.withheld;
        let signals = &mut row.signals;
        signals.gpc += cell.signal_gpc;
        signals.dnt += cell.signal_dnt;
        signals.limit_ad_tracking += cell.signal_lmt;
        signals.no_consent += cell.signal_consent;
        signals.gpp += cell.signal_gpp;
        signals.child_directed += cell.signal_child;
        row.bad_id_impressions += cell.bad_ids;
        let stages = &mut row.stages;
        stages.tracked += cell.tracked;
        stages.viewable += cell.viewable;
        stages.not_viewable += cell.not_viewable;
        stages.not_measurable += cell.not_measurable;
        stages.starts += cell.starts;
        stages.first_quartiles += cell.first_quartiles;
        stages.midpoints += cell.midpoints;
        stages.third_quartiles += cell.third_quartiles;
        stages.completes += cell.completes;
        stages.conversions += cell.conversions;
    }
}

/// What follows from a row's sums.
pub(super) fn finish_delivery(row: &mut DeliveryRow) {
    row.unidentified_impressions =
        row.impressions.saturating_sub(row.identified_impressions + row.withheld_impressions);
    row.id_coverage = ratio(row.identified_impressions, row.impressions);
    row.measured = row.stages.viewable + row.stages.not_viewable;
    row.unmeasured = row.impressions.saturating_sub(row.measured);
    row.measured_rate = ratio(row.measured, row.impressions);
    row.viewable_rate = ratio(row.stages.viewable, row.measured);
}

/// The key that a name of the catalog's has in the store's answers. What is called as that is which is not known has its key too: under one name there is
/// one row, which counts a device once and is shaped by all that it stands for. `report_key.sql` does the same with names out of events.
pub(super) fn stored_key(name: &str) -> &str {
    if name == UNKNOWN { "" } else { name }
}

/// The name of a key in answers.
pub(super) fn key_text(by: By, key: String) -> String {
    match by {
        By::Total => "total".to_owned(),
        By::Platform => {
            let platform = key.parse().ok().and_then(Platform::from_number);
            platform.map_or(UNKNOWN, Platform::name).to_owned()
        }
        By::IdKind => {
            let kind = key.parse().ok().and_then(IdKind::from_number);
            kind.map_or(NO_DEVICE, IdKind::name).to_owned()
        }
        By::Medium | By::Creative | By::Region if key.is_empty() => UNKNOWN.to_owned(),
        By::Day | By::Placement | By::Medium | By::Creative | By::Region | By::Hour | By::PlacementDay => key,
    }
}
