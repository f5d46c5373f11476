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
//! * Standard errors that are no function of what is shown have two significant digits: more would give the devices of the sample away.
//! * What is of others is not told: the catalog's version, and to media the universes.
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

mod delivery;
mod devices;
mod ids;
mod overlap;

use std::collections::BTreeSet;

use event::clock::UnixMs;
use serde_json::json;

pub(super) use self::delivery::{behind_gap, is_empty};
use super::adjustment;
use super::rows::{Report, Rows};
use super::sample::Sample;
use crate::form::{Cell, Column, Form, FormError, Language, Names, Place, Table, Type};

/// What stays of a row that is left out: what it is keyed by, and what says so.
const KEPT: [&str; 8] =
    ["key", "kind", "frequency", "or_more", "exact", "settled_until", "suppressed", "rounded"];

/// Names of whom an overlap is of, likewise.
const MEMBERS: &str = "members_";

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

    /// So many hits, as far as they may be told where nothing else hides one person's among others: a multiple of k, if any.
    pub(super) fn roughly(self, hits: u64) -> Option<u64> {
        Some(hits - hits % self.k).filter(|hits| *hits > 0)
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
    /// In whose words a sheet of it is headed, and what its rows are called.
    words: Option<(Language, Names)>,
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
        return Shaped { report, hidden, limits: None, present: None, words: None };
    }
    leave_out_what_is_of_others(&mut report);
    let limits = limits.of_sample(report.sample);
    let behind = std::mem::take(&mut report.devices);
    let of = |key: &str| behind.get(key).copied().unwrap_or(0);
    let hidden = match &mut report.rows {
        Rows::Reach(rows) => devices::reach(rows, report.sample, limits),
        Rows::Frequency(rows) => devices::frequency(rows, report.sample, limits),
        Rows::Delivery(rows) => {
            let mut hidden = delivery::delivery(rows, limits, of);
            delivery::compared(rows, &mut hidden, (&report.compared, limits));
            hidden
        }
        Rows::Ids(rows) => ids::ids(rows, limits, of),
        Rows::Overlap(rows) => {
            let until = report.settled_until.as_deref();
            let (shown, hidden) = match &mut report.masks {
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
    Shaped { report, hidden, limits: Some(limits), present: None, words: None }
}

/// What of a report is not its reader's at all: the catalog's version, which every tenant's edits change, and to who sees some placements alone the
/// universes, which are the advertiser's.
fn leave_out_what_is_of_others(report: &mut Report) {
    report.versions.catalog.clear();
    if let Some(since) = &mut report.adjustment {
        since.catalog = None;
    }
    if report.sight.only().is_none() {
        return;
    }
    report.universe = report.universe.as_ref().map(|_| serde_json::Value::Null);
    report.universes.clear();
    if let Rows::Reach(rows) = &mut report.rows {
        for row in rows {
            (row.universe, row.reach_percent, row.grp, row.cost_per_point) = (None, None, None, None);
        }
    }
}

impl Shaped {
    /// The bytes of a form, made at a time.
    ///
    /// # Errors
    /// See [`FormError`].
    pub(crate) fn write(&self, form: Form, made_ms: UnixMs) -> Result<Vec<u8>, FormError> {
        self.table().write(form, made_ms)
    }

    /// With what the same report is now, beside a closed one. Of an overlap that is of other members, nothing: who is of nobody else is not the same.
    pub(super) fn beside(self, present: Option<Self>) -> Self {
        let members = |shaped: &Self| shaped.report.masks.as_ref().map(|masks| masks.names().to_vec());
        let present = present.filter(|present| members(present) == members(&self));
        Self { present: present.map(Box::new), ..self }
    }

    /// In the words of a language, with what its rows are called.
    pub(super) fn in_words(self, language: Language, names: Names) -> Self {
        Self { words: Some((language, names)), ..self }
    }

    /// A name for its file.
    pub(crate) fn file_name(&self, extension: &str) -> String {
        self.report.file_name(extension)
    }

    /// A name for a workbook with all reports of its days.
    pub(super) fn book_name(&self, extension: &str) -> String {
        self.report.book_name(extension)
    }

    /// What is written of it.
    pub(super) fn table(&self) -> Table<'_> {
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
        if let Some((language, names)) = &self.words {
            table.language = Some(*language);
            table.with_names(names);
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

#[cfg(test)]
mod tests;
