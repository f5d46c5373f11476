//! What a role may see of a report.
//!
//! Operator and auditor see figures as they were counted. Tokens of advertisers and media see what [`shape`] leaves of them, and nothing is written
//! out that did not go through it: a [`Report`] has no written form and never leaves [`super`]; a [`Shaped`] one does, and only this module makes one.
//!
//! # What it does, within one report
//!
//! * **No row below k devices.** A row stands for the devices that it counts and for its hits without a device, each of which stands for itself. Where
//!   these are fewer than k the row's figures are left out. So are those of the smallest row that is left then: whoever knows the total cannot subtract
//!   the others and find the small row, but only a sum in which k devices stand.
//! * **No bucket of a histogram below k devices, and no difference of two counts.** N+ is shown for those N only whose distance to the next one shown
//!   is at least k devices, and down to k; the rest is left out. Cumulative reach is shown on those days only on which at least k devices came in
//!   since it was shown last, and at least k came again. An empty bucket is left out as a small one is: the two cannot be told apart.
//! * **Device counts are rounded down** to a multiple of `device_step`, and with them what would give them away: identified impressions (where every
//!   device saw one ad they are the reach), and what is computed from the two. Sums and differences are made of what is shown, so that `exactly` still
//!   adds up to 1+. k counts as the next multiple of the step, so rounding never shows less.
//!   Down and not to the nearest: so no count passes what it is a part of, and distances of k stay distances of k.
//! * Counts of impressions by a property of the viewer (signals, kinds of id, devices at risk) are left out below k, with a second one of the same
//!   group. What media say is their own word; ours beside it is shown unless it is a small part of its row, or all but a small one. Other counts of hits (clicks, stages, removed) stand exactly where their row does: they say what k or more devices did.
//! * Every row says `suppressed` where something was left out, and `rounded`.
//!
//! Which days are offered is decided where the report is computed: only those that were settled after their end ([`super`]).
//!
//! # What it cannot do
//!
//! Two reports can be subtracted from each other. Rounding leaves such a difference of devices unsure by up to a step either way; one of impressions is
//! exact. REPORTS.md says what that tells.
//!
//! Must never: ask the store, or draw: equal reports have to come out equal, or asking often enough would give the figure.

mod overlap;

use std::collections::BTreeSet;

use event::clock::UnixMs;
use serde_json::json;

use super::adjustment;
use super::cells::{exactly, ratio};
use super::ids::IdsRow;
use super::reported::Behind;
use super::rows::{DeliveryRow, FrequencyRow, ReachRow, Report, Rows};
use super::sample::Sample;
use super::universe::percent;
use crate::form::{Cell, Column, Form, FormError, Place, Table, Type};

/// What stays of a row that is left out: what it is keyed by, and what says so.
const KEPT: [&str; 8] =
    ["key", "kind", "frequency", "or_more", "exact", "settled_until", "suppressed", "rounded"];

/// Names of whom an overlap is of, likewise.
const MEMBERS: &str = "members_";

/// Cumulative reach with what it may be off by.
const CUMULATIVE: [&str; 3] = ["cumulative_reach", "cumulative_low", "cumulative_high"];

/// The limits of what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Fewest devices, a multiple of the step.
    k: u64,
    /// What device counts are rounded down to.
    step: u64,
}

impl Limits {
    /// `k` counts as the next multiple of `step`; both from 1.
    pub(crate) fn new(k: u64, step: u64) -> Self {
        let step = step.max(1);
        Self { k: k.max(1).div_ceil(step) * step, step }
    }

    /// Fewest devices behind what is shown.
    pub(crate) fn k(self) -> u64 {
        self.k
    }

    /// What device counts are rounded down to.
    pub(crate) fn step(self) -> u64 {
        self.step
    }

    /// The same for estimates: of the devices that were counted, k are behind what is shown.
    fn of_sample(self, sample: Sample) -> Self {
        Self { k: self.k.saturating_mul(sample.weight()), step: self.step.saturating_mul(sample.weight()) }
    }

    /// Whether this many hits, being some, are fewer than may be told.
    pub(super) fn is_few(self, hits: u64) -> bool {
        (1..self.k).contains(&hits)
    }

    fn round(self, count: u64) -> u64 {
        count - count % self.step
    }

    /// Whether this many devices are too few to be shown.
    pub(crate) fn is_small(self, devices: u64) -> bool {
        devices < self.k
    }
}

/// A report that may be written out.
pub(crate) struct Shaped {
    report: Report,
    /// What is left out, row by row.
    hidden: Vec<Hidden>,
    limits: Option<Limits>,
    /// Of a closed period: what the same report is now.
    present: Option<Box<Shaped>>,
}

/// What is left out of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hidden {
    /// Everything but its key.
    all: bool,
    /// These cells, by the names of their columns.
    cells: BTreeSet<String>,
}

impl Hidden {
    fn row() -> Self {
        Self { all: true, cells: BTreeSet::new() }
    }

    fn is_any(&self) -> bool {
        self.all || !self.cells.is_empty()
    }

    fn hide(&mut self, cells: &[&str]) {
        self.cells.extend(cells.iter().map(|cell| (*cell).to_owned()));
    }

    fn hides(&self, column: &str) -> bool {
        let is_kept = KEPT.contains(&column) || column.starts_with(MEMBERS);
        self.cells.contains(column) || (self.all && !is_kept)
    }
}

/// Turns a finished report into what may be seen of it by whom it was computed for.
pub(super) fn shape(mut report: Report, limits: Limits) -> Shaped {
    if report.sight.is_exact() {
        let hidden = vec![Hidden::default(); report.rows.len()];
        return Shaped { report, hidden, limits: None, present: None };
    }
    let limits = limits.of_sample(report.sample);
    let devices = std::mem::take(&mut report.devices);
    let of = |key: &str| devices.get(key).copied().unwrap_or(0);
    let hidden = match &mut report.rows {
        Rows::Reach(rows) => reach(rows, report.sample, limits),
        Rows::Frequency(rows) => frequency(rows, report.sample, limits),
        Rows::Delivery(rows) => {
            let mut hidden = delivery(rows, limits, of);
            compared(rows, &mut hidden, (&report.compared, limits));
            hidden
        }
        Rows::Ids(rows) => ids(rows, limits, of),
        Rows::Overlap(rows) => {
            let until = report.settled_until.as_deref();
            let (shown, hidden) = match &report.masks {
                Some(masks) => overlap::overlap(masks, (report.sample, until), limits),
                None => (Vec::new(), Vec::new()),
            };
            *rows = shown;
            hidden
        }
    };
    report.identified_impressions = report.identified_impressions.map(|_| match &report.rows {
        // What is shown, and no more: the sum over all rows would give away those that are not.
        Rows::Frequency(rows) => {
            let shown = rows.iter().zip(&hidden).filter(|(_, hidden)| !hidden.hides("impressions"));
            shown.map(|(row, _)| row.impressions).sum()
        }
        Rows::Delivery(_) | Rows::Reach(_) | Rows::Ids(_) | Rows::Overlap(_) => 0,
    });
    Shaped { report, hidden, limits: Some(limits), present: None }
}

impl Shaped {
    /// The bytes of a form, made at a time.
    ///
    /// # Errors
    /// See [`FormError`].
    pub(crate) fn write(&self, form: Form, made_ms: UnixMs) -> Result<Vec<u8>, FormError> {
        self.table().write(form, made_ms)
    }

    /// With what the same report is now, beside a closed one.
    pub(super) fn beside(self, present: Option<Self>) -> Self {
        Self { present: present.map(Box::new), ..self }
    }

    /// A name for its file.
    pub(crate) fn file_name(&self, extension: &str) -> String {
        self.report.file_name(extension)
    }

    fn table(&self) -> Table<'_> {
        let mut table = self.report.table();
        let columns: Vec<String> = table.columns.iter().map(|column| column.place.flat()).collect();
        for (row, hidden) in table.rows.iter_mut().zip(&self.hidden) {
            for (cell, column) in row.iter_mut().zip(&columns) {
                if hidden.hides(column) {
                    *cell = Cell::Nothing;
                }
            }
            row.extend([Cell::Flag(hidden.is_any()), Cell::Flag(self.limits.is_some())]);
        }
        if let Some(limits) = self.limits {
            for (column, name) in table.columns.iter_mut().zip(&columns) {
                column.may_be_empty |= !KEPT.contains(&name.as_str());
            }
            let suppressed = self.hidden.iter().filter(|hidden| hidden.is_any()).count();
            let privacy = json!({"k": limits.k, "device_step": limits.step, "rounded": true, "suppressed_rows": suppressed});
            table.about.insert("privacy".to_owned(), privacy);
        }
        let mark = |name| Column { place: Place::Alone(name), kind: Type::Flag, may_be_empty: false };
        table.columns.extend([mark("suppressed"), mark("rounded")]);
        if self.report.adjustment.is_some() {
            let present = self.present.as_ref().map(|present| present.table());
            adjustment::add(&mut table, present, self.limits.map(|limits| limits.k));
        }
        table
    }
}

/// Which rows are left out: those that stand for fewer than k, and then the smallest other one. `None` is a row without any figure.
fn small_rows(stands_for: &[Option<u64>], limits: Limits) -> Vec<Hidden> {
    let mut left_out: Vec<bool> =
        stands_for.iter().map(|count| count.is_some_and(|count| limits.is_small(count))).collect();
    if left_out.contains(&true) {
        let others = stands_for.iter().enumerate().filter_map(|(index, count)| {
            let is_shown = left_out.get(index) == Some(&false);
            count.filter(|_| is_shown).map(|count| (count, index))
        });
        if let Some((_, smallest)) = others.min()
            && let Some(row) = left_out.get_mut(smallest)
        {
            *row = true;
        }
    }
    left_out.into_iter().map(|is_out| if is_out { Hidden::row() } else { Hidden::default() }).collect()
}

/// Which of some counts that do not grow may be shown, so that each is at least k and so is each distance between two of them.
fn apart(counts: impl IntoIterator<Item = u64>, limits: Limits) -> Vec<bool> {
    let mut last = None;
    let is_shown = |count: u64| {
        let is_apart = last.is_none_or(|last: u64| !limits.is_small(last.saturating_sub(count)));
        let is_shown = !limits.is_small(count) && is_apart;
        if is_shown {
            last = Some(count);
        }
        is_shown
    };
    counts.into_iter().map(is_shown).collect()
}

fn reach(rows: &mut [ReachRow], sample: Sample, limits: Limits) -> Vec<Hidden> {
    let stands_for: Vec<Option<u64>> = rows
        .iter()
        .map(|row| {
            let without_device = row.impressions.saturating_sub(row.identified_impressions);
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
            hidden.hide(&[&format!("exactly_{number}")]);
        }
    }
    if limits.is_small(row.reach) {
        hidden.hide(&["reach", "reach_percent", "average_frequency", "frequency_standard_error"]);
        hidden.hide(&["identified_impressions", "identified_standard_error", "id_coverage"]);
    }
    row.reach = limits.round(row.reach);
    row.n_plus.iter_mut().for_each(|devices| *devices = limits.round(*devices));
    row.exactly = exactly(&row.n_plus);
    row.identified_impressions = limits.round(row.identified_impressions);
    row.id_coverage = ratio(row.identified_impressions, row.impressions);
    row.average_frequency = ratio(row.identified_impressions, row.reach);
    row.reach_percent = percent(row.reach, row.universe);
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

fn frequency(rows: &mut Vec<FrequencyRow>, sample: Sample, limits: Limits) -> Vec<Hidden> {
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
            hidden.hide(&["devices", "impressions"]);
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

fn delivery(rows: &mut [DeliveryRow], limits: Limits, devices: impl Fn(&str) -> u64) -> Vec<Hidden> {
    let stands_for: Vec<Option<u64>> = rows
        .iter()
        .map(|row| {
            // What was removed is nobody's: robots, data centres, repeats of a hit that stands elsewhere.
            let hits = match row.net_impressions {
                0 => row.gross_impressions,
                net => devices(&row.key) + net.saturating_sub(row.identified_impressions),
            };
            (!is_empty(row)).then_some(hits)
        })
        .collect();
    let mut hidden = small_rows(&stands_for, limits);
    for ((row, hidden), stands_for) in rows.iter_mut().zip(&mut hidden).zip(stands_for) {
        if hidden.all || stands_for.is_none() {
            continue;
        }
        if limits.is_small(devices(&row.key)) {
            hidden.hide(&["identified_impressions", "id_coverage", "unidentified_impressions"]);
        }
        let signals = &row.signals;
        let signals = [
            ("signals_gpc", signals.gpc),
            ("signals_dnt", signals.dnt),
            ("signals_limit_ad_tracking", signals.limit_ad_tracking),
            ("signals_no_consent", signals.no_consent),
            ("signals_gpp", signals.gpp),
            ("signals_child_directed", signals.child_directed),
        ];
        if small_cells(&signals, limits, hidden) || (1..limits.k).contains(&row.withheld_impressions) {
            hidden.hide(&["withheld_impressions", "unidentified_impressions"]);
        }
        row.identified_impressions = limits.round(row.identified_impressions);
        row.id_coverage = ratio(row.identified_impressions, row.impressions);
        row.unidentified_impressions =
            row.impressions.saturating_sub(row.identified_impressions + row.withheld_impressions);
    }
    hidden
}

/// What media say is their own word and stands where its row does. What of ours it is held against is a part of the row that a medium can choose by
/// what it gives numbers for: it is shown if it is the whole row, or if k stand behind a placement's day within it and behind one of the rest.
fn compared(rows: &[DeliveryRow], hidden: &mut [Hidden], (behind, limits): (&Behind, Limits)) {
    for (row, hidden) in rows.iter().zip(hidden) {
        let Some(impressions) = row.compared_impressions else { continue };
        let part = behind.of(&row.key);
        let is_whole =
            impressions == row.impressions && row.compared_clicks.is_none_or(|clicks| clicks == row.clicks);
        let is_small = limits.is_small(part.compared) || limits.is_small(part.rest);
        if part.has_hits && !is_whole && is_small {
            hidden.hide(&["compared_impressions", "gap"]);
        }
        if part.has_hits && ((is_small && !is_whole) || !part.clicks_everywhere) {
            hidden.hide(&["compared_clicks"]);
        }
    }
}

/// Whether nothing of ours was counted in a row.
pub(super) fn is_empty(row: &DeliveryRow) -> bool {
    *row == DeliveryRow {
        key: row.key.clone(),
        unresolved: row.unresolved,
        reported_impressions: row.reported_impressions,
        reported_clicks: row.reported_clicks,
        compared_impressions: row.compared_impressions,
        compared_clicks: row.compared_clicks,
        gap: row.gap,
        planned: row.planned,
        fulfilment: row.fulfilment,
        settled_until: row.settled_until.clone(),
        ..DeliveryRow::default()
    }
}

/// Leaves out cells of fewer than k hits, and with them the smallest other one. Whether there was any.
fn small_cells(cells: &[(&str, u64)], limits: Limits, hidden: &mut Hidden) -> bool {
    let (small, others): (Vec<_>, Vec<_>) =
        cells.iter().filter(|(_, hits)| *hits > 0).partition(|(_, hits)| limits.is_small(*hits));
    if small.is_empty() {
        return false;
    }
    for (cell, _) in small {
        hidden.hide(&[cell]);
    }
    if let Some((cell, _)) = others.iter().min_by_key(|(_, hits)| *hits) {
        hidden.hide(&[cell]);
    }
    true
}

fn ids(rows: &mut [IdsRow], limits: Limits, devices: impl Fn(&str) -> u64) -> Vec<Hidden> {
    let stands_for: Vec<Option<u64>> = rows
        .iter()
        .map(|row| {
            let without_device = row.impressions.saturating_sub(row.identified);
            (row.impressions > 0).then_some(devices(&row.key) + without_device)
        })
        .collect();
    let mut hidden = small_rows(&stands_for, limits);
    for ((row, hidden), stands_for) in rows.iter_mut().zip(&mut hidden).zip(stands_for) {
        if hidden.all || stands_for.is_none() {
            continue;
        }
        let kinds: Vec<(String, u64)> = row
            .identified_by_kind
            .iter()
            .map(|(kind, hits)| (format!("identified_by_kind_{kind}"), hits))
            .collect();
        let kinds: Vec<(&str, u64)> = kinds.iter().map(|(cell, hits)| (cell.as_str(), *hits)).collect();
        if limits.is_small(devices(&row.key)) {
            hidden.hide(&["identified", "id_coverage", "usable", "return_rate", "absent", "sha_only"]);
            for (cell, _) in &kinds {
                hidden.hide(&[cell]);
            }
        }
        small_cells(&kinds, limits, hidden);
        let risks = &row.device_risks;
        for (cell, hits) in [
            ("device_risks_root", risks.root),
            ("device_risks_emulator", risks.emulator),
            ("device_risks_hook", risks.hook),
            ("device_risks_adb", risks.adb),
            ("sha_only", row.sha_only),
            ("withheld", row.withheld),
        ] {
            // Who has the property, and who has not.
            if hits > 0 && (limits.is_small(hits) || limits.is_small(row.impressions.saturating_sub(hits))) {
                hidden.hide(&[cell]);
            }
        }
        row.identified = limits.round(row.identified);
        row.identified_by_kind.change(|hits| limits.round(hits));
        let usable = limits.round(row.usable);
        // The rest goes where no id was, so that the four still add up to the impressions.
        row.absent += row.usable - usable;
        row.usable = usable;
        row.id_coverage = ratio(row.identified, row.impressions);
        row.return_rate = ratio(row.usable, row.impressions);
    }
    hidden
}

#[cfg(test)]
mod tests;
