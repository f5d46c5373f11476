//! What was read of each placement, joined and held against the catalog.

use std::collections::BTreeSet;

use catalog::edit::{Fields, Value, check_placement};
use catalog::{Placement, mistake};

use super::super::columns::{self, Column};
use super::{Draft, Forming, Reader, Source};

impl Reader<'_> {
    /// Makes drafts of what was read, and holds each against the catalog.
    pub(super) fn finish(&mut self) {
        self.missing_columns();
        self.hold_sums();
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
            let Some(plan) = self.plan_of(&forming, exists.map(AsRef::as_ref)) else { continue };
            let mut fields: Fields = Vec::new();
            for known in columns::KNOWN {
                if let Some((value, _)) = forming.values.get(&known.column) {
                    fields.push((known.key.to_owned(), Some(value.clone())));
                }
            }
            fields.extend(plan.field);
            if self.check(&forming, &fields, exists.map(AsRef::as_ref)) {
                let (id, planned) = (forming.id, plan.planned);
                self.reading.drafts.push(Draft { id, fields, exists: exists.is_some(), planned });
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
