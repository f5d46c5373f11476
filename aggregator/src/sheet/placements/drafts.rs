//! What was read of each placement, joined and held against the catalog.

use std::collections::BTreeSet;

use catalog::edit::{Fields, Value, check_placement};
use catalog::{Placement, mistake};

use super::super::columns::{self, Column, Heading};
use super::{Draft, Forming, Range, Reader, Source};

impl Reader<'_> {
    /// Makes drafts of what was read, and holds each against the catalog.
    pub(super) fn finish(&mut self) {
        self.missing_columns();
        for forming in std::mem::take(&mut self.forming) {
            let exists = self.around.campaign.placements.get(&forming.id);
            if exists.is_some() && !self.around.replaces {
                let at = self.place_of(Column::Id);
                let mistake = mistake!(
                    "placement_exists",
                    "the campaign has this placement already: leave the row out, or import with existing=replace to change it"
                );
                self.error(forming.row, at, &forming.id, mistake);
                continue;
            }
            let Some(plan) = self.joined(&forming) else { continue };
            let mut fields: Fields = Vec::new();
            for known in columns::KNOWN {
                if let Some((value, _)) = forming.values.get(&known.column) {
                    fields.push((known.key.to_owned(), Some(value.clone())));
                }
            }
            if !plan.is_empty() {
                fields.push(("plan".to_owned(), Some(Value::List(plan.iter().map(planned).collect()))));
            }
            if self.check(&forming, &fields, exists.map(AsRef::as_ref)) {
                self.reading.drafts.push(Draft { id: forming.id, fields, exists: exists.is_some() });
            }
        }
    }

    /// Says once, and not in each row, that a column is missing which new placements need.
    fn missing_columns(&mut self) {
        let is_new = |forming: &Forming| !self.around.campaign.placements.contains_key(&forming.id);
        let Some(row) = self.forming.iter().find(|forming| is_new(forming)).map(|forming| forming.row) else {
            return;
        };
        for (column, name) in [(Column::Name, "Placement name (点位名称)"), (Column::Medium, "Medium (媒体)")]
        {
            if self.place_of(column).is_none() {
                self.error(
                    row,
                    None,
                    "",
                    mistake!("column_missing", "new placements need the column {name}", name),
                );
            }
        }
    }

    /// The plan in the order of days; days one behind the other with one number are one range. `None` if a day is planned twice.
    fn joined(&mut self, forming: &Forming) -> Option<Vec<Range>> {
        let mut plan = forming.plan.clone();
        plan.sort_by_key(|range| range.from);
        let mut joined: Vec<Range> = Vec::new();
        let has_days = self.used.iter().any(|used| matches!(used.heading, Heading::Day(_)));
        let at = self.place_of(Column::From).or_else(|| self.place_of(Column::Id));
        for range in plan {
            match joined.last_mut() {
                Some(last) if range.from <= last.to => {
                    let (day, other) = (range.from, last.row);
                    let mistake = mistake!(
                        "cell_planned_twice",
                        "{day} is planned in row {other} too: a day may stand in one range only",
                        day,
                        other
                    );
                    self.error(range.row, at, &format!("{} to {}", range.from, range.to), mistake);
                    return None;
                }
                Some(last)
                    if has_days
                        && last.to.succ_opt() == Some(range.from)
                        && last.impressions == range.impressions =>
                {
                    last.to = range.to;
                }
                _ => joined.push(range),
            }
        }
        Some(joined)
    }

    /// Holds a placement against the catalog's rules; false if something is wrong.
    fn check(&mut self, forming: &Forming, fields: &Fields, exists: Option<&Placement>) -> bool {
        let checked = standing(fields, exists);
        let mut is_right = true;
        let mut told = BTreeSet::new();
        for error in check_placement(self.around.campaign, &checked, self.around.profiles) {
            is_right = false;
            let column = columns::column_of(&error.key);
            let at = column.and_then(|column| self.place_of(column));
            if at.is_none() && ["name", "medium"].contains(&error.key.as_str()) {
                // That the column is missing is said already.
                continue;
            }
            let source =
                column.and_then(|column| forming.values.get(&column)).map(|(_, source)| source.clone());
            let Source { row, value } = source.unwrap_or(Source { row: forming.row, value: String::new() });
            if told.insert((row, at, error.problem.words.clone())) {
                self.error(row, at, &value, error.problem);
            }
        }
        if let Some((Value::Text(name), source)) = forming.values.get(&Column::Dialect)
            && self.around.dialects.get(name).is_none()
        {
            let known: Vec<&str> =
                self.around.dialects.tables().iter().map(event::dialect::Table::name).collect();
            let known = known.join(", ");
            let (row, value, at) = (source.row, source.value.clone(), self.place_of(Column::Dialect));
            self.error(row, at, &value, mistake!("dialect", "allowed is one of {known}", known));
            is_right = false;
        }
        is_right
    }
}

/// Fields of a placement together with what stays of it and other values rest on.
pub(crate) fn standing(fields: &Fields, exists: Option<&Placement>) -> Fields {
    let mut all = fields.clone();
    if let Some(exists) = exists {
        let hosts = exists.landing_hosts.iter().cloned().map(Value::Text).collect();
        let stays = [
            ("id", Value::Text(exists.id.clone())),
            ("name", Value::Text(exists.name.clone())),
            ("medium", Value::Text(exists.medium.clone())),
            ("landing_hosts", Value::List(hosts)),
        ];
        for (key, value) in stays {
            if !all.iter().any(|(name, _)| name == key) {
                all.push((key.to_owned(), Some(value)));
            }
        }
    }
    all
}

fn planned(range: &Range) -> Value {
    Value::Table(vec![
        ("from".to_owned(), Value::Date(range.from)),
        ("to".to_owned(), Value::Date(range.to)),
        ("impressions".to_owned(), Value::Whole(range.impressions)),
    ])
}
