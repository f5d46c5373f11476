//! Reach and frequency: histograms of devices by frequency, and what is read off them.

use std::collections::BTreeMap;

use event::stage::Stage;
use serde::Deserialize;

use super::cells::{Histogram, HistogramRow, exactly, is_counted, key_text, ratio};
use super::ids::IdCellRow;
use super::request::{By, Request};
use super::rows::{FrequencyRow, ReachRow};
use super::{Days, ReportError, Reporter};
use crate::statement::{self, Statement};
use crate::store::{StoreError, Values, day_text};

/// Hits of a key, with and without a device.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hits {
    pub(super) impressions: u64,
    pub(super) clicks: u64,
    /// Impressions without a device, every one of them counted.
    pub(super) without_device: u64,
}

/// By key.
pub(super) type Totals = BTreeMap<String, Hits>;

#[derive(Deserialize)]
struct TotalRow {
    key: String,
    class: String,
    impressions: u64,
    clicks: u64,
    identified: u64,
}

/// What [`HistogramRow`] is, with a number for its key.
#[derive(Deserialize)]
struct CodedRow {
    code: u64,
    frequency: u64,
    devices: u64,
    impressions: u64,
}

#[derive(Deserialize)]
struct CodeRow {
    key: String,
    code: u64,
}

/// Cumulative reach of a day behind days that had `before`. It is `read` by a statement of its own; where events or pairs came or went beside every try,
/// that is of another moment than the day's `reach`, and whoever was reached on the day was reached until then all the same.
fn cumulative_of(before: u64, read: u64, reach: u64) -> u64 {
    before.max(read).max(reach)
}

impl Reporter {
    pub(super) fn reach(&self, request: &Request, days: &Days) -> Result<Vec<ReachRow>, ReportError> {
        let histograms = self.histograms(request, days)?;
        let mut totals = self.totals(request, days, &histograms)?;
        if request.by == By::Total {
            totals.entry(String::new()).or_default();
        }
        totals.retain(|_, hits| request.by == By::Total || hits.impressions > 0 || hits.clicks > 0);
        let mut cumulative =
            if request.by == By::Day { self.first_days(request, days)? } else { BTreeMap::new() };
        let mut sum = 0;
        for devices in cumulative.values_mut() {
            sum += *devices;
            *devices = days.sample.estimate(sum);
        }
        let none = Histogram::default();
        let mut until_now = 0;
        let row = |(key, hits): (String, Hits)| {
            let Hits { impressions, clicks, without_device } = hits;
            let histogram = histograms.get(&key).unwrap_or(&none);
            let identified = histogram.identified();
            let n_plus = histogram.n_plus(request.levels);
            let reach = n_plus.first().copied().unwrap_or(0);
            let cumulative_reach = (request.by == By::Day).then(|| {
                let read = cumulative.range(..=key.clone()).next_back().map_or(0, |(_, devices)| *devices);
                until_now = cumulative_of(until_now, read, reach);
                until_now
            });
            let cumulative_ends = cumulative_reach.map(|devices| days.sample.interval(devices));
            let spread = days.sample.spread(&n_plus);
            ReachRow {
                key: key_text(request.by, key),
                impressions,
                identified_impressions: identified,
                without_device,
                identified_standard_error: days.sample.standard_error_of_sum(histogram.squares(days.sample)),
                id_coverage: ratio(identified, impressions),
                clicks,
                reach,
                average_frequency: ratio(identified, reach),
                frequency_standard_error: days.sample.standard_error_of_average(
                    reach as f64,
                    identified as f64,
                    histogram.squares(days.sample),
                ),
                exactly: exactly(&n_plus),
                standard_error: spread.standard_error,
                interval_low: spread.interval_low,
                interval_high: spread.interval_high,
                n_plus,
                exact: days.sample.is_all(),
                cumulative_reach,
                cumulative_low: cumulative_ends.map(|(low, _)| low),
                cumulative_high: cumulative_ends.map(|(_, high)| high),
                universe: None,
                reach_percent: None,
                grp: None,
                cost_per_point: None,
                settled_until: days.settled_until.map(day_text),
            }
        };
        let mut rows: Vec<ReachRow> = totals.into_iter().map(row).collect();
        self.hold_against_universe(request, days, &mut rows);
        Ok(rows)
    }

    /// Hits of every key.
    pub(super) fn totals(
        &self,
        request: &Request,
        days: &Days,
        histograms: &BTreeMap<String, Histogram>,
    ) -> Result<Totals, StoreError> {
        let stages = [Stage::Impression, Stage::Click];
        let mut totals = Totals::new();
        let mut add = |key: String, hits: Hits| {
            let total = totals.entry(key).or_default();
            total.impressions += hits.impressions;
            total.clicks += hits.clicks;
            total.without_device += hits.without_device;
        };
        if request.by == By::IdKind {
            let cells: Vec<IdCellRow> = self.cells(statement::REPORT_IDS, request, days, &stages)?;
            for cell in cells.iter().filter(|cell| cell.counts(request.filter)) {
                let without_device = if cell.device_kind == 0 { cell.impressions } else { 0 };
                let hits = Hits { impressions: cell.impressions, clicks: cell.clicks, without_device };
                add(cell.device_kind.to_string(), hits);
            }
        } else if request.by.is_settled_by_device() {
            let cells: Vec<TotalRow> = self.cells(statement::REPORT_TOTALS, request, days, &stages)?;
            for cell in cells.into_iter().filter(|cell| is_counted(&cell.class, request.filter)) {
                let without_device = cell.impressions.saturating_sub(cell.identified);
                let hits = Hits { impressions: cell.impressions, clicks: cell.clicks, without_device };
                add(cell.key, hits);
            }
        } else {
            for (key, histogram) in histograms {
                let without_device = histogram.unidentified;
                let impressions = histogram.identified() + without_device;
                add(key.clone(), Hits { impressions, clicks: histogram.clicks, without_device });
            }
        }
        Ok(totals)
    }

    pub(super) fn frequency(&self, request: &Request, days: &Days) -> Result<Vec<FrequencyRow>, ReportError> {
        let mut rows = Vec::new();
        for (key, histogram) in self.histograms(request, days)? {
            let n_plus = histogram.n_plus(request.levels);
            let devices = exactly(&n_plus);
            let key = key_text(request.by, key);
            for (index, (n_plus, devices)) in n_plus.iter().zip(devices).enumerate() {
                let frequency = index + 1;
                // The last level is open-ended.
                let range = if frequency == request.levels {
                    frequency as u64..u64::MAX
                } else {
                    frequency as u64..frequency as u64 + 1
                };
                rows.push(FrequencyRow {
                    key: key.clone(),
                    frequency,
                    or_more: frequency == request.levels,
                    devices,
                    n_plus: *n_plus,
                    impressions: histogram
                        .by_frequency
                        .range(range)
                        .map(|(_, (_, impressions))| impressions)
                        .sum(),
                    standard_error: days.sample.standard_error(*n_plus),
                    interval_low: days.sample.interval(*n_plus).0,
                    interval_high: days.sample.interval(*n_plus).1,
                    exact: days.sample.is_all(),
                    settled_until: days.settled_until.map(day_text),
                });
                if histogram.by_frequency.keys().next_back().is_none_or(|last| *last <= frequency as u64) {
                    break;
                }
            }
        }
        Ok(rows)
    }

    pub(super) fn histograms(
        &self,
        request: &Request,
        days: &Days,
    ) -> Result<BTreeMap<String, Histogram>, StoreError> {
        let stages = [Stage::Impression, Stage::Click];
        let is_paired = !days.keys.overlaps.is_empty();
        let (statement, live): (Statement, &[u16]) = match (request.by.is_settled_by_device(), is_paired) {
            (true, false) if request.by == By::Total => (statement::REPORT_FREQUENCY_TOTAL, &days.live),
            (true, true) if request.by == By::Total => (statement::REPORT_FREQUENCY_TOTAL_PAIRED, &days.live),
            (true, false) => (statement::REPORT_FREQUENCY, &days.live),
            (true, true) => (statement::REPORT_FREQUENCY_PAIRED, &days.live),
            (false, false) => (statement::REPORT_FREQUENCY_EVENTS, &days.with_events),
            (false, true) => (statement::REPORT_FREQUENCY_EVENTS_PAIRED, &days.with_events),
        };
        let values = self.values(request, days, live, &stages)?;
        let rows: Vec<HistogramRow> = if Self::is_of_settled_devices(request, days) {
            match self.coded(request, days, &values)? {
                Some(rows) => rows,
                None => self.of_settled_devices(statement, days, values)?,
            }
        } else {
            self.figures(statement, live, &values)?
        };
        let mut histograms: BTreeMap<String, Histogram> = BTreeMap::new();
        for row in rows {
            let histogram = histograms.entry(row.key).or_default();
            histogram.clicks += row.clicks;
            if row.frequency == 0 {
                histogram.unidentified += row.impressions;
            } else {
                let (devices, impressions) = histogram.by_frequency.entry(row.frequency).or_default();
                *devices += days.sample.estimate(row.devices);
                *impressions += days.sample.estimate(row.impressions);
            }
        }
        Ok(histograms)
    }

    /// Rows of histograms of settled devices that are grouped by a number instead of the key's text. `None` where the key is none that has one, or where a
    /// number is nobody's whom the settled counts know.
    fn coded(
        &self,
        request: &Request,
        days: &Days,
        values: &Values,
    ) -> Result<Option<Vec<HistogramRow>>, StoreError> {
        let texts: BTreeMap<u64, String> = match request.by {
            By::Day | By::IdKind => BTreeMap::new(),
            By::Placement | By::Medium => {
                let codes: Vec<CodeRow> = self.store.rows_settled(statement::REPORT_CODES, values)?;
                codes.into_iter().map(|row| (row.code, row.key)).collect()
            }
            _ => return Ok(None),
        };
        let key = |code: u64| match request.by {
            By::Day => u16::try_from(code).ok().map(day_text),
            By::IdKind => Some(code.to_string()),
            _ => texts.get(&code).cloned(),
        };
        let rows: Vec<CodedRow> =
            self.of_settled_devices(statement::REPORT_FREQUENCY_CODED, days, values.clone())?;
        let row = |row: CodedRow| {
            let CodedRow { code, frequency, devices, impressions } = row;
            Some(HistogramRow { key: key(code)?, frequency, devices, impressions, clicks: 0 })
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// Devices by the day (as a key) on which they were reached first within the range.
    fn first_days(&self, request: &Request, days: &Days) -> Result<BTreeMap<String, u64>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            day: u16,
            devices: u64,
        }
        let values = self.values(request, days, &days.live, &[Stage::Impression, Stage::Click])?;
        let rows: Vec<Row> = if Self::is_of_settled_devices(request, days) {
            self.of_settled_devices(statement::REPORT_FIRST_DAYS, days, values)?
        } else if days.keys.overlaps.is_empty() {
            self.figures(statement::REPORT_FIRST_DAYS, &days.live, &values)?
        } else {
            self.figures(statement::REPORT_FIRST_DAYS_PAIRED, &days.live, &values)?
        };
        let mut of_days = BTreeMap::new();
        for row in rows {
            *of_days.entry(day_text(row.day)).or_insert(0) += row.devices;
        }
        Ok(of_days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cumulative_reach_neither_falls_nor_lies_below_the_days_reach() {
        // (read, reach): two devices were paired after the days' reach was read, and one was erased before the last day was.
        let days = [(4, 6), (9, 3), (8, 2), (8, 0)];
        let mut until_now = 0;
        let told = days.map(|(read, reach)| {
            until_now = cumulative_of(until_now, read, reach);
            until_now
        });
        assert_eq!(told, [6, 9, 9, 9]);
    }
}
