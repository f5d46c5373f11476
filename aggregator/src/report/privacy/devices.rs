//! What a role may see of reach and frequency: counts of devices.

use super::super::cells::{exactly, ratio};
use super::super::rows::{FrequencyRow, ReachRow};
use super::super::sample::Sample;
use super::super::universe::percent;
use super::{Hidden, Limits, apart, small_rows};

/// Cumulative reach with what it may be off by.
const CUMULATIVE: [&str; 3] = ["cumulative_reach", "cumulative_low", "cumulative_high"];

pub(super) fn reach(rows: &mut [ReachRow], sample: Sample, limits: Limits) -> Vec<Hidden> {
    let stands_for: Vec<Option<u64>> = rows
        .iter()
        .map(|row| {
            // Of an estimate the rest would be made of devices that the sample missed.
            let without_device = if sample.is_all() {
                row.impressions.saturating_sub(row.identified_impressions)
            } else {
                row.without_device
            };
            (row.impressions > 0 || row.clicks > 0).then_some(row.reach + without_device)
        })
        .collect();
    let mut hidden = small_rows(&stands_for, limits);
    cumulative(rows, &mut hidden, (sample, limits));
    for ((row, hidden), stands_for) in rows.iter_mut().zip(&mut hidden).zip(stands_for) {
        if !hidden.all && stands_for.is_some() {
            reach_row(row, hidden, (sample, limits));
        }
    }
    hidden
}

fn reach_row(row: &mut ReachRow, hidden: &mut Hidden, (sample, limits): (Sample, Limits)) {
    let shown = apart(row.n_plus.iter().copied(), limits);
    let is_shown = |index: usize| shown.get(index).copied().unwrap_or(false);
    for index in 0..row.n_plus.len() {
        let number = index + 1;
        if !is_shown(index) {
            for name in ["n_plus", "standard_error", "interval_low", "interval_high"] {
                hidden.hide(&[&format!("{name}_{number}")]);
            }
        }
        let is_last = number == row.n_plus.len();
        if !(is_shown(index) && (is_last || is_shown(index + 1))) {
            for name in ["exactly", "exactly_standard_error", "exactly_low", "exactly_high"] {
                hidden.hide(&[&format!("{name}_{number}")]);
            }
        }
    }
    if limits.is_small(row.reach) {
        hidden.hide(&["reach", "reach_percent", "reach_percent_low", "reach_percent_high"]);
        hidden.hide(&["average_frequency", "frequency_standard_error", "frequency_low", "frequency_high"]);
        hidden.hide(&[
            "identified_impressions",
            "identified_standard_error",
            "identified_low",
            "identified_high",
        ]);
        hidden.hide(&["id_coverage", "id_coverage_low", "id_coverage_high"]);
    }
    row.reach = limits.round(row.reach);
    row.n_plus.iter_mut().for_each(|devices| *devices = limits.round(*devices));
    row.exactly = exactly(&row.n_plus);
    row.identified_impressions = limits.round(row.identified_impressions);
    row.id_coverage = ratio(row.identified_impressions, row.impressions);
    row.average_frequency = ratio(row.identified_impressions, row.reach);
    row.reach_percent = percent(row.reach, row.universe);
    row.identified_standard_error = significant(row.identified_standard_error);
    row.frequency_standard_error = significant(row.frequency_standard_error);
    let spread = sample.spread(&row.n_plus);
    (row.standard_error, row.interval_low, row.interval_high) =
        (spread.standard_error, spread.interval_low, spread.interval_high);
}

/// Cumulative reach by day. Of two days on which it is shown the difference is the devices that came in between, and what the days' own reach has
/// more than that are those that came again: neither may be fewer than k.
fn cumulative(rows: &mut [ReachRow], hidden: &mut [Hidden], (sample, limits): (Sample, Limits)) {
    let (mut last, mut reach_since, mut is_known) = (0, 0, true);
    let mut is_first = true;
    for (row, hidden) in rows.iter_mut().zip(hidden) {
        let Some(cumulative) = row.cumulative_reach else { continue };
        if row.impressions == 0 && row.clicks == 0 {
            hidden.hide(&CUMULATIVE);
            continue;
        }
        reach_since += row.reach;
        // What is left out cannot be added up.
        is_known &= !hidden.all && !limits.is_small(row.reach);
        let new = cumulative.saturating_sub(last);
        let again = reach_since.saturating_sub(new);
        // On the first day nobody can come again.
        let tells_again = is_known && !is_first;
        is_first = false;
        if hidden.all || limits.is_small(new) || (tells_again && limits.is_small(again)) {
            hidden.hide(&CUMULATIVE);
        } else {
            (last, reach_since, is_known) = (cumulative, 0, true);
        }
        let shown = limits.round(cumulative);
        let (low, high) = sample.interval(shown);
        (row.cumulative_reach, row.cumulative_low, row.cumulative_high) =
            (Some(shown), Some(low), Some(high));
    }
}

/// A number to two significant digits.
fn significant(number: f64) -> f64 {
    if number <= 0.0 || !number.is_finite() {
        return 0.0;
    }
    let unit = 10_f64.powf(number.log10().floor() - 1.0);
    (number / unit).round() * unit
}

pub(super) fn frequency(rows: &mut Vec<FrequencyRow>, sample: Sample, limits: Limits) -> Vec<Hidden> {
    let mut groups: Vec<Vec<FrequencyRow>> = Vec::new();
    for row in std::mem::take(rows) {
        match groups.last_mut() {
            Some(group) if group.first().is_some_and(|first| first.key == row.key) => group.push(row),
            _ => groups.push(vec![row]),
        }
    }
    let stands_for: Vec<_> = groups.iter().map(|group| group.first().map(|row| row.n_plus)).collect();
    let mut all_hidden = Vec::new();
    for (group, hidden) in groups.into_iter().zip(small_rows(&stands_for, limits)) {
        if hidden.all {
            // How often its most frequent device was reached is nobody's business either.
            rows.extend(group.into_iter().next().map(|row| FrequencyRow { or_more: true, ..row }));
            all_hidden.push(hidden);
        } else {
            frequency_group(group, (sample, limits), rows, &mut all_hidden);
        }
    }
    all_hidden
}

/// The rows of one key down to the last N+ that is shown, which takes in all above it.
fn frequency_group(
    mut group: Vec<FrequencyRow>,
    (sample, limits): (Sample, Limits),
    rows: &mut Vec<FrequencyRow>,
    all_hidden: &mut Vec<Hidden>,
) {
    let shown = apart(group.iter().map(|row| row.n_plus), limits);
    let Some(last) = shown.iter().rposition(|is_shown| *is_shown) else { return };
    let above: u64 = group.iter().skip(last).map(|row| row.impressions).sum();
    group.truncate(last + 1);
    let next: Vec<Option<u64>> =
        (0..group.len()).map(|index| group.get(index + 1).map(|row| row.n_plus)).collect();
    for ((index, mut row), next) in group.into_iter().enumerate().zip(next) {
        let is_shown = |index: usize| shown.get(index).copied().unwrap_or(false);
        let mut hidden = Hidden::default();
        if !is_shown(index) {
            hidden.hide(&["n_plus", "standard_error", "interval_low", "interval_high"]);
        }
        if !is_shown(index) || (index < last && !is_shown(index + 1)) {
            hidden.hide(&["devices", "devices_standard_error", "devices_low", "devices_high", "impressions"]);
        }
        row.n_plus = limits.round(row.n_plus);
        row.standard_error = sample.standard_error(row.n_plus);
        (row.interval_low, row.interval_high) = sample.interval(row.n_plus);
        row.devices = row.n_plus.saturating_sub(next.map_or(0, |next| limits.round(next)));
        row.impressions = row.devices * row.frequency as u64;
        if index == last {
            row.or_more = true;
            row.impressions = limits.round(above).max(row.impressions);
        }
        rows.push(row);
        all_hidden.push(hidden);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_two_significant_digits() {
        for (number, shown) in [(1234.5, 1200.0), (0.012_34, 0.012), (9.96, 10.0), (45.0, 45.0), (0.0, 0.0)] {
            assert!((significant(number) - shown).abs() < 1e-9 * (1.0 + shown), "{number}");
        }
    }
}
