//! Rows to placements: the header is found, rows of one placement are joined, and every cell that is wrong is listed.

mod drafts;
mod header;

use std::collections::HashMap;

use catalog::edit::{Fields, Value};
use catalog::{Campaign, Mistake, mistake};
use chrono::NaiveDate;
use event::dialect::Dialects;
use event::profile::Profiles;

pub(crate) use self::drafts::standing;
use super::columns::{self, Column, Heading, allowed};
use super::{Cell, CellError, Grid, cells, letters};

/// Most errors that are listed; behind them they are only counted.
const ERRORS_MAX: usize = 200;

/// A placement of the sheet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Draft {
    /// Its id.
    pub(crate) id: String,
    /// What the sheet says of it, in the template's order.
    pub(crate) fields: Fields,
    /// Whether the campaign has it already.
    pub(crate) exists: bool,
}

/// What a sheet says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// Placements in the order of the sheet; not to be used where there are errors.
    pub(crate) drafts: Vec<Draft>,
    /// What is wrong, by row.
    pub(crate) errors: Vec<CellError>,
    /// How much is wrong, also where it is not listed.
    pub(crate) error_count: usize,
    /// Headers of columns that nothing was read from.
    pub(crate) ignored: Vec<String>,
}

/// What rows are held against.
pub(crate) struct Around<'a> {
    pub(crate) campaign: &'a Campaign,
    pub(crate) profiles: &'a Profiles,
    pub(crate) dialects: &'a Dialects,
    /// Whether placements that are there already get the sheet's values.
    pub(crate) replaces: bool,
}

/// A column of the sheet that something is read from.
struct Used {
    at: usize,
    header: String,
    heading: Heading,
}

/// Where a value was read.
#[derive(Clone, Debug)]
struct Source {
    row: usize,
    value: String,
}

#[derive(Clone, Debug)]
struct Range {
    from: NaiveDate,
    to: NaiveDate,
    impressions: u64,
    row: usize,
}

/// A placement that is being read.
struct Forming {
    id: String,
    row: usize,
    values: HashMap<Column, (Value, Source)>,
    plan: Vec<Range>,
}

struct Reader<'a> {
    around: &'a Around<'a>,
    used: Vec<Used>,
    forming: Vec<Forming>,
    by_id: HashMap<String, usize>,
    reading: Reading,
}

/// Reads the placements of a sheet.
pub(crate) fn read(grid: &Grid, around: &Around<'_>) -> Reading {
    let mut reader = Reader {
        around,
        used: Vec::new(),
        forming: Vec::new(),
        by_id: HashMap::new(),
        reading: Reading::default(),
    };
    if let Some(first) = reader.header(grid) {
        let mut last = None;
        for (row, cells) in grid.rows.iter().skip(first) {
            last = reader.row(*row, cells, last);
        }
        reader.finish();
    }
    reader.reading.errors.sort_by_key(|error| error.row);
    reader.reading
}

impl Reader<'_> {
    fn error(&mut self, row: usize, at: Option<usize>, value: &str, mistake: impl Into<Mistake>) {
        self.reading.error_count += 1;
        if self.reading.errors.len() < ERRORS_MAX {
            let used = self.used.iter().find(|used| Some(used.at) == at);
            self.reading.errors.push(CellError {
                row,
                column: at.map(letters).unwrap_or_default(),
                header: used.map(|used| used.header.clone()).unwrap_or_default(),
                value: value.to_owned(),
                mistake: mistake.into().into(),
            });
        }
    }

    fn place_of(&self, column: Column) -> Option<usize> {
        self.used.iter().find(|used| used.heading == Heading::Known(column)).map(|used| used.at)
    }

    /// Reads one row; `last` is the placement of the row above. Answers the placement of this one.
    fn row(&mut self, row: usize, cells: &[Option<Cell>], last: Option<usize>) -> Option<usize> {
        let cell = |at: usize| cells.get(at).and_then(Option::as_ref);
        let filled: Vec<(usize, Heading)> = self
            .used
            .iter()
            .filter(|used| cell(used.at).is_some())
            .map(|used| (used.at, used.heading.clone()))
            .collect();
        if filled.is_empty() {
            return last;
        }
        let id_at = self.place_of(Column::Id)?;
        let is_plan = |heading: &Heading| {
            matches!(
                heading,
                Heading::Day(_) | Heading::Known(Column::From | Column::To | Column::Impressions)
            )
        };
        let forming = match cell(id_at) {
            Some(value) => {
                let Some(id) = cells::text(value) else {
                    let what = "placement";
                    let mistake = mistake!(
                        "id_form",
                        "a {what}'s id is text: 1 to 64 characters of A-Z a-z 0-9 . _ -",
                        what
                    );
                    self.error(row, Some(id_at), &cells::shown(value), mistake);
                    return None;
                };
                self.forming_of(&id, row)
            }
            // Cells that are merged over several rows have their value in the first.
            None if filled.iter().all(|(_, heading)| is_plan(heading)) && last.is_some() => last?,
            None => {
                self.error(row, Some(id_at), "", mistake!("cell_missing", "the placement's id is missing"));
                return None;
            }
        };
        let mut planned: HashMap<Column, &Cell> = HashMap::new();
        for (at, heading) in filled {
            let Some(value) = cell(at) else { continue };
            match heading {
                Heading::Known(column @ (Column::From | Column::To | Column::Impressions)) => {
                    planned.insert(column, value);
                }
                Heading::Known(column) => self.value(forming, column, (row, at), value),
                Heading::Day(day) => self.day(forming, day, (row, at), value),
                Heading::Unknown { .. } => {}
            }
        }
        if !planned.is_empty() {
            self.range(forming, row, &planned);
        }
        Some(forming)
    }

    fn forming_of(&mut self, id: &str, row: usize) -> usize {
        if let Some(at) = self.by_id.get(id) {
            return *at;
        }
        let at = self.forming.len();
        self.by_id.insert(id.to_owned(), at);
        self.forming.push(Forming { id: id.to_owned(), row, values: HashMap::new(), plan: Vec::new() });
        at
    }

    fn value(&mut self, forming: usize, column: Column, (row, at): (usize, usize), cell: &Cell) {
        let value = match (column, cell) {
            (_, Cell::Failed(_)) => None,
            (Column::Source | Column::State | Column::SignedLinks, Cell::Flag(flag)) => {
                (column == Column::SignedLinks).then_some(Value::Flag(*flag))
            }
            (Column::Source | Column::State | Column::SignedLinks, cell) => {
                cells::text(cell).and_then(|text| columns::word(column, &text))
            }
            (Column::Cost, cell) => cells::money(cell).map(|money| Value::Decimal(money.to_string())),
            (Column::LandingHosts, cell) => cells::text(cell).map(|text| {
                let parts =
                    text.split(|c: char| c.is_whitespace() || [',', ';', '，', '；', '、'].contains(&c));
                Value::List(
                    parts.filter(|host| !host.is_empty()).map(|host| Value::Text(host.to_owned())).collect(),
                )
            }),
            (_, cell) => cells::text(cell).map(Value::Text),
        };
        let shown = cells::shown(cell);
        let Some(value) = value else {
            let mistake = match cell {
                Cell::Failed(_) => mistake!("cell_formula", "the formula here has no value"),
                _ => allowed(column),
            };
            return self.error(row, Some(at), &shown, mistake);
        };
        let Some(forming) = self.forming.get_mut(forming) else { return };
        let before = forming.values.get(&column);
        let differs = before.filter(|(before, _)| *before != value).map(|(_, source)| source.row);
        match differs {
            Some(other) => {
                let mistake =
                    mistake!("cell_differs", "row {other} says something else of the same placement", other);
                self.error(row, Some(at), &shown, mistake);
            }
            None if before.is_none() => {
                forming.values.insert(column, (value, Source { row, value: shown }));
            }
            None => {}
        }
    }

    fn day(&mut self, forming: usize, day: NaiveDate, (row, at): (usize, usize), cell: &Cell) {
        // Signs that people put where nothing is planned.
        let is_nothing =
            matches!(cell, Cell::Text(text) if ["-", "—", "–", "/", "\\", "无"].contains(&text.as_str()));
        if is_nothing {
            return;
        }
        match cells::whole(cell) {
            Some(0) => {}
            Some(impressions) => self.plan(forming, Range { from: day, to: day, impressions, row }, at),
            None => {
                self.error(row, Some(at), &cells::shown(cell), allowed(Column::Impressions));
            }
        }
    }

    fn range(&mut self, forming: usize, row: usize, planned: &HashMap<Column, &Cell>) {
        let mut day = |column| -> Option<NaiveDate> {
            let at = self.place_of(column);
            let Some(cell) = planned.get(&column) else {
                self.error(row, at, "", missing(column));
                return None;
            };
            let day = cells::day(cell);
            if day.is_none() {
                self.error(row, at, &cells::shown(cell), allowed(column));
            }
            day
        };
        let (from, to) = (day(Column::From), day(Column::To));
        let at = self.place_of(Column::Impressions);
        let impressions = planned.get(&Column::Impressions);
        let Some(number) = impressions.and_then(|cell| cells::whole(cell)) else {
            let shown = impressions.map(|cell| cells::shown(cell)).unwrap_or_default();
            let column = Column::Impressions;
            let mistake = if impressions.is_none() { missing(column) } else { allowed(column) };
            return self.error(row, at, &shown, mistake);
        };
        let (Some(from), Some(to)) = (from, to) else { return };
        if to < from {
            let at = self.place_of(Column::To);
            let mistake = mistake!("cell_first", "this is before the first day, {from}", from);
            return self.error(row, at, &to.to_string(), mistake);
        }
        let at = self.place_of(Column::From).unwrap_or_default();
        self.plan(forming, Range { from, to, impressions: number, row }, at);
    }

    /// Adds to a plan what lies in the flight.
    fn plan(&mut self, forming: usize, range: Range, at: usize) {
        let campaign = self.around.campaign;
        let (row, value) = (
            range.row,
            if range.from == range.to {
                range.from.to_string()
            } else {
                format!("{} to {}", range.from, range.to)
            },
        );
        if let Some(starts) = campaign.starts.filter(|starts| range.from < *starts) {
            let mistake = mistake!("cell_before", "the campaign's first day is {starts}", starts);
            return self.error(row, Some(at), &value, mistake);
        }
        if let Some(ends) = campaign.ends.filter(|ends| range.to > *ends) {
            let mistake = mistake!("cell_behind", "the campaign's last day is {ends}", ends);
            return self.error(row, Some(at), &value, mistake);
        }
        if let Some(forming) = self.forming.get_mut(forming) {
            forming.plan.push(range);
        }
    }
}

/// Nothing stands where something has to.
fn missing(column: Column) -> Mistake {
    let allowed = allowed(column);
    mistake!("cell_missing", "missing; {allowed}", allowed)
}
