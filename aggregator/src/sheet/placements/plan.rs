//! The plan of a placement: ranges of rows, or a column for each day; and what it leaves of the plan that is there.
//!
//! Rows with ranges are the whole plan. Columns of days say something of those days alone, for a sheet of the next two weeks must not take away what was
//! planned for the last ones; and they do so where a row says something on one of them, for a sheet may be about landing pages.

use std::collections::{BTreeSet, HashMap};

use catalog::edit::Value;
use catalog::{Placement, Planned, mistake};
use chrono::NaiveDate;

use super::super::columns::{Column, allowed};
use super::super::headings::Heading;
use super::super::totals::Over;
use super::super::{Cell, cells};
use super::{Forming, InAll, Range, Reader};

/// What becomes of a placement's plan.
pub(super) struct PlanChange {
    /// What is written, if it does not stay; without a value where it goes.
    pub(super) field: Option<(String, Option<Value>)>,
    /// The plan before and behind it, where that is something else.
    pub(super) planned: Option<(InAll, InAll)>,
}

impl Reader<'_> {
    pub(super) fn day(&mut self, forming: usize, day: NaiveDate, (row, at): (usize, usize), cell: &Cell) {
        if let Some(forming) = self.forming.get_mut(forming) {
            forming.says_days = true;
        }
        // Signs that people put where nothing is planned.
        let is_nothing =
            matches!(cell, Cell::Text(text) if ["-", "—", "–", "/", "\\", "无"].contains(&text.as_str()));
        if is_nothing {
            return;
        }
        match cells::whole(cell) {
            Some(0) => {}
            Some(impressions) => self.plan(forming, Range { from: day, to: day, impressions, row }, at),
            None => self.wrong(row, Some(at), cell, allowed(Column::Impressions)),
        }
    }

    pub(super) fn range(&mut self, forming: usize, row: usize, planned: &HashMap<Column, &Cell>) {
        let from = self.planned(row, planned, Column::From, cells::day);
        let to = self.planned(row, planned, Column::To, cells::day);
        let impressions = self.planned(row, planned, Column::Impressions, cells::whole);
        let (Some(from), Some(to), Some(impressions)) = (from, to, impressions) else { return };
        if to < from {
            let at = self.place_of(Column::To);
            let mistake = mistake!("cell_first", "this is before the first day, {from}", from);
            return self.error(row, at, &to.to_string(), mistake);
        }
        let at = self.place_of(Column::From).unwrap_or_default();
        self.plan(forming, Range { from, to, impressions, row }, at);
    }

    /// One of the three cells of a range.
    fn planned<T>(
        &mut self,
        row: usize,
        planned: &HashMap<Column, &Cell>,
        column: Column,
        read: fn(&Cell) -> Option<T>,
    ) -> Option<T> {
        let at = self.place_of(column);
        let Some(cell) = planned.get(&column) else {
            self.error(row, at, "", super::missing(column));
            return None;
        };
        let value = read(cell);
        if value.is_none() {
            self.wrong(row, at, cell, allowed(column));
        }
        value
    }

    /// Adds to a plan what lies in the flight.
    fn plan(&mut self, forming: usize, range: Range, at: usize) {
        let campaign = self.around.campaign;
        let (row, value) = (range.row, range.shown());
        if let Some(starts) = campaign.starts.filter(|starts| range.from < *starts) {
            let mistake = mistake!("cell_before", "the campaign's first day is {starts}", starts);
            return self.error(row, Some(at), &value, mistake);
        }
        if let Some(ends) = campaign.ends.filter(|ends| range.to > *ends) {
            let mistake = mistake!("cell_behind", "the campaign's last day is {ends}", ends);
            return self.error(row, Some(at), &value, mistake);
        }
        self.sums.add(Over::Plan, in_all(&[range.planned()]).impressions);
        if let Some(forming) = self.forming.get_mut(forming) {
            forming.plan.push(range);
        }
    }

    /// The plan behind the import. `None` if a day is planned twice.
    pub(super) fn plan_of(&mut self, forming: &Forming, exists: Option<&Placement>) -> Option<PlanChange> {
        let mut said = forming.plan.clone();
        said.sort_by_key(|range| range.from);
        let twice = said.iter().zip(said.iter().skip(1)).find(|(a, b)| b.from <= a.to);
        if let Some((first, second)) = twice {
            let (day, other) = (second.from, first.row);
            let mistake = mistake!(
                "cell_planned_twice",
                "{day} is planned in row {other} too: a day may stand in one range only",
                day,
                other
            );
            let at = self.place_of(Column::From).or_else(|| self.place_of(Column::Id));
            self.error(second.row, at, &second.shown(), mistake);
            return None;
        }
        let before = exists.map(|exists| exists.plan.as_slice()).unwrap_or_default();
        let mut plan: Vec<Planned> = said.iter().map(Range::planned).collect();
        if self.has_days() {
            let days: BTreeSet<NaiveDate> = self
                .used
                .iter()
                .filter_map(|used| if let Heading::Day(day) = used.heading { Some(day) } else { None })
                .collect();
            plan.extend(before.iter().flat_map(|range| without(*range, &days)));
            plan = joined(plan);
        }
        let says = if self.has_days() { forming.says_days } else { !plan.is_empty() };
        let changes = says && plan != before;
        if !changes {
            return Some(PlanChange { field: None, planned: None });
        }
        let ranges: Vec<Value> = plan.iter().map(written).collect();
        let value = (!ranges.is_empty()).then_some(Value::List(ranges));
        Some(PlanChange {
            field: Some(("plan".to_owned(), value)),
            planned: Some((in_all(before), in_all(&plan))),
        })
    }
}

impl Range {
    pub(super) fn planned(&self) -> Planned {
        Planned { from: self.from, to: self.to, impressions: self.impressions }
    }

    fn shown(&self) -> String {
        if self.from == self.to { self.from.to_string() } else { format!("{} to {}", self.from, self.to) }
    }
}

/// What is left of a range without some days.
fn without(range: Planned, days: &BTreeSet<NaiveDate>) -> Vec<Planned> {
    let mut left = Vec::new();
    let mut rest = Some(range.from);
    for day in days.range(range.from..=range.to) {
        if let Some(from) = rest
            && let Some(to) = day.pred_opt().filter(|to| from <= *to)
        {
            left.push(Planned { from, to, ..range });
        }
        rest = day.succ_opt();
    }
    left.extend(rest.filter(|from| *from <= range.to).map(|from| Planned { from, ..range }));
    left
}

/// Ranges in the order of days; those one behind the other with one number are one.
fn joined(mut plan: Vec<Planned>) -> Vec<Planned> {
    plan.sort_by_key(|range| range.from);
    let mut joined: Vec<Planned> = Vec::new();
    for range in plan {
        match joined.last_mut() {
            Some(last) if last.to.succ_opt() == Some(range.from) && last.impressions == range.impressions => {
                last.to = range.to;
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// A plan in short.
pub(super) fn in_all(plan: &[Planned]) -> InAll {
    let of = |range: &Planned| range.days().saturating_mul(range.impressions);
    let days = plan.iter().map(|range| range.from).min().zip(plan.iter().map(|range| range.to).max());
    InAll { impressions: plan.iter().fold(0, |all: u64, range| all.saturating_add(of(range))), days }
}

fn written(range: &Planned) -> Value {
    Value::Table(vec![
        ("from".to_owned(), Value::Date(range.from)),
        ("to".to_owned(), Value::Date(range.to)),
        ("impressions".to_owned(), Value::Whole(range.impressions)),
    ])
}
