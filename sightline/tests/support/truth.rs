//! The figures that plain code computes from what was sent and what the journal holds, and the comparison with the reports.
//!
//! Every view of the load has one device, one creative and one time, and the campaign has no double-click window: so net is one hit for each
//! view and stage, and everything beyond is a repeat.

use std::collections::BTreeMap;

use event::stage::Stage;
use serde_json::Value;

use super::Instance;
use super::journal::Journal;
use super::load::Ledger;

/// Impressions and clicks of one creative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// Impressions, gross.
    pub(crate) impressions_gross: u64,
    /// Impressions, net.
    pub(crate) impressions: u64,
    /// Clicks, gross.
    pub(crate) clicks_gross: u64,
    /// Clicks, net.
    pub(crate) clicks: u64,
}

impl Delivered {
    fn is_at_most(self, other: Self) -> bool {
        self.impressions_gross <= other.impressions_gross
            && self.impressions <= other.impressions
            && self.clicks_gross <= other.clicks_gross
            && self.clicks <= other.clicks
    }
}

/// What the reports must say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Truth {
    /// By creative.
    pub(crate) creatives: BTreeMap<String, Delivered>,
    /// How many devices had exactly this many net impressions.
    pub(crate) exactly: BTreeMap<u64, u64>,
}

impl Truth {
    /// From the journal's events and the ledger's knowledge of the views.
    pub(crate) fn of(journal: &Journal, ledger: &Ledger) -> Self {
        let mut truth = Self::default();
        let mut devices: BTreeMap<u64, u64> = BTreeMap::new();
        for ((hash, stage), count) in &journal.events {
            let view = ledger
                .views
                .get(hash)
                .unwrap_or_else(|| panic!("an event of a view that nobody sent: {hash:016x}"));
            let delivered = truth.creatives.entry(view.creative.clone()).or_default();
            match stage {
                Stage::Impression => {
                    delivered.impressions_gross += count;
                    delivered.impressions += 1;
                    *devices.entry(view.device).or_default() += 1;
                }
                Stage::Click => {
                    delivered.clicks_gross += count;
                    delivered.clicks += 1;
                }
                _ => {}
            }
        }
        for frequency in devices.values() {
            *truth.exactly.entry(*frequency).or_default() += 1;
        }
        truth
    }

    /// All creatives together.
    pub(crate) fn total(&self) -> Delivered {
        self.creatives.values().fold(Delivered::default(), |sum, one| Delivered {
            impressions_gross: sum.impressions_gross + one.impressions_gross,
            impressions: sum.impressions + one.impressions,
            clicks_gross: sum.clicks_gross + one.clicks_gross,
            clicks: sum.clicks + one.clicks,
        })
    }
}

/// Settles, asks for delivery by creative and for reach, and compares them with the truth.
pub(crate) fn compare(instance: &Instance, truth: &Truth) {
    instance.settle();
    let mut creatives = truth.creatives.clone();
    creatives.retain(|_, delivered| *delivered != Delivered::default());
    assert_eq!(reported(instance), creatives, "delivery by creative: left reported, right true");

    let report = instance.report("demo/reach", "filter=net");
    let row = rows(&report).first().cloned().unwrap_or_default();
    let reach: u64 = truth.exactly.values().sum();
    if reach == 0 {
        return;
    }
    assert_eq!(number(&row, "reach"), reach, "reach: {row}");
    assert_eq!(number(&row, "identified_impressions"), truth.total().impressions, "{row}");
    let exactly: Vec<u64> =
        row["exactly"].as_array().expect("a histogram").iter().filter_map(Value::as_u64).collect();
    let last = exactly.len() as u64;
    for (index, reported) in exactly.iter().enumerate() {
        let frequency = index as u64 + 1;
        let is_open = frequency == last;
        let expected: u64 = truth
            .exactly
            .iter()
            .filter(|(f, _)| **f == frequency || (is_open && **f > frequency))
            .map(|(_, n)| n)
            .sum();
        assert_eq!(*reported, expected, "exactly {frequency} (the last is open-ended): {row}");
    }
}

/// Without settling, right after a recovery: the figures may lag behind the journal, but they are those of whole generations and whole rows.
/// So nothing is less than what was true, and reported, `before`, and nothing is more than what is true now.
pub(crate) fn compare_unsettled(instance: &Instance, before: &Truth, now: &Truth) {
    let reported = reported(instance);
    let of = |truth: &BTreeMap<String, Delivered>, creative: &str| {
        truth.get(creative).copied().unwrap_or_default()
    };
    for creative in reported.keys().chain(now.creatives.keys()) {
        let [least, shown, most] =
            [&before.creatives, &reported, &now.creatives].map(|truth| of(truth, creative));
        assert!(
            least.is_at_most(shown) && shown.is_at_most(most),
            "{creative}: before {least:?}, shown {shown:?}, true {most:?}"
        );
    }
    let report = instance.report("demo/reach", "filter=net");
    let Some(row) = rows(&report).first() else { return };
    let reach = number(row, "reach");
    let [least, most] = [before, now].map(|truth| truth.exactly.values().sum::<u64>());
    assert!((least..=most).contains(&reach), "before {least}, true {most}: {row}");
    let exactly: u64 = row["exactly"].as_array().expect("a histogram").iter().filter_map(Value::as_u64).sum();
    assert_eq!(exactly, reach, "{row}");
}

/// Delivery by creative, gross and net.
fn reported(instance: &Instance) -> BTreeMap<String, Delivered> {
    let mut reported: BTreeMap<String, Delivered> = BTreeMap::new();
    for (filter, is_gross) in [("gross", true), ("net", false)] {
        let report = instance.report("demo/delivery", &format!("by=creative&filter={filter}"));
        for row in rows(&report) {
            let key = row["key"].as_str().unwrap_or_else(|| panic!("a row without a key: {row}")).to_owned();
            let delivered = reported.entry(key).or_default();
            let [impressions, clicks] = ["impressions", "clicks"].map(|name| number(row, name));
            if is_gross {
                (delivered.impressions_gross, delivered.clicks_gross) = (impressions, clicks);
            } else {
                (delivered.impressions, delivered.clicks) = (impressions, clicks);
            }
        }
    }
    reported.retain(|_, delivered| *delivered != Delivered::default());
    reported
}

/// The rows of a report.
pub(crate) fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().unwrap_or_else(|| panic!("a report without rows: {report}"))
}

/// A whole number of a row.
pub(crate) fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"))
}
