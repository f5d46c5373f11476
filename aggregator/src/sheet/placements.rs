//! Rows to placements: the header is found, rows of one placement are joined, and every cell that is wrong is listed.

mod drafts;
mod header;
mod plan;
mod sums;

use std::collections::HashMap;

use catalog::edit::{Fields, Value};
use catalog::{Campaign, Mistake, mistake};
use chrono::NaiveDate;
use event::dialect::Dialects;
use event::profile::Profiles;

pub(crate) use self::drafts::standing;
pub(crate) use self::header::has_header;
use self::sums::amount;
use super::columns::{self, Column, allowed};
use super::headings::{self, Heading};
use super::totals::{Over, Sums};
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
    /// Its plan before and behind it, where that changes.
    pub(crate) planned: Option<(InAll, InAll)>,
}

/// A plan in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InAll {
    /// Impressions of all days.
    pub(crate) impressions: u64,
    /// First and last day.
    pub(crate) days: Option<(NaiveDate, NaiveDate)>,
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
    /// What somebody should look at, and is not wrong for sure, by row.
    pub(crate) warnings: Vec<CellError>,
    /// Rows of sums, from which nothing was read.
    pub(crate) sum_rows: Vec<usize>,
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
    /// Whether a column of a day says something, if only that nothing is planned.
    says_days: bool,
    /// Impressions of all days as the sheet sums them up, and where it does.
    in_all: Option<(u64, Place)>,
}

/// Row and column of a cell.
type Place = (usize, usize);

struct Reader<'a> {
    around: &'a Around<'a>,
    used: Vec<Used>,
    forming: Vec<Forming>,
    by_id: HashMap<String, usize>,
    /// Columns of impressions of all days, and their headers.
    in_all: Vec<(usize, String)>,
    sums: Sums,
    reading: Reading,
}

/// Reads the placements of a sheet.
pub(crate) fn read(grid: &Grid, around: &Around<'_>) -> Reading {
    let mut reader = Reader {
        around,
        used: Vec::new(),
        forming: Vec::new(),
        by_id: HashMap::new(),
        in_all: Vec::new(),
        sums: Sums::default(),
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

    /// Whether each day of the plan has a column.
    fn has_days(&self) -> bool {
        self.used.iter().any(|used| matches!(used.heading, Heading::Day(_)))
    }

    /// Says that a cell is wrong, and what is allowed there.
    fn wrong(&mut self, row: usize, at: Option<usize>, cell: &Cell, allowed: Mistake) {
        let mistake = match cell {
            Cell::Failed(_) => mistake!("cell_formula", "the formula here has no value"),
            Cell::Number(number) if number.abs() >= cells::DIGITS_KEPT => mistake!(
                "cell_digits",
                "a spreadsheet keeps 15 digits of a number: format the column as text, and enter it again"
            ),
            _ => allowed,
        };
        self.error(row, at, &cells::shown(cell), mistake);
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
        if self.is_of_sums(cells, id_at) {
            self.sum_row(row, cells);
            return None;
        }
        let is_plan = |heading: &Heading| {
            matches!(
                heading,
                Heading::Day(_) | Heading::Known(Column::From | Column::To | Column::Impressions)
            )
        };
        let forming = match cell(id_at) {
            Some(value) => {
                // Of a number with a point the zeros at its end are gone.
                let is_whole = !matches!(value, Cell::Number(number) if number.fract() != 0.0);
                let Some(id) = cells::text(value).filter(|_| is_whole) else {
                    let mistake = mistake!(
                        "cell_id",
                        "allowed is text of 1 to 64 characters of A-Z a-z 0-9 . _ -, in a column that is formatted as text"
                    );
                    self.wrong(row, Some(id_at), value, mistake);
                    return None;
                };
                self.forming_of(&id, row)
            }
            // Cells that are merged over several rows have their value in the first.
            None if filled.iter().all(|(_, heading)| is_plan(heading))
                && last.is_some()
                && !self.has_days() =>
            {
                last?
            }
            None => {
                self.error(row, Some(id_at), "", self.no_id());
                return None;
            }
        };
        let mut planned: HashMap<Column, &Cell> = HashMap::new();
        self.in_all(forming, row, cells);
        for (at, heading) in filled {
            let Some(value) = cell(at) else { continue };
            if let Some(amount) = amount(&heading, value) {
                self.sums.add(Over::Column(at), amount);
            }
            match heading {
                Heading::Known(column @ (Column::From | Column::To | Column::Impressions)) => {
                    planned.insert(column, value);
                }
                Heading::Known(column) => self.value(forming, column, (row, at), value),
                Heading::Day(day) => self.day(forming, day, (row, at), value),
                Heading::SomeDay | Heading::Total | Heading::Unknown { .. } => {}
            }
        }
        if !planned.is_empty() {
            self.range(forming, row, &planned);
        }
        Some(forming)
    }

    fn no_id(&self) -> Mistake {
        if self.has_days() {
            mistake!(
                "cell_missing_day",
                "the placement's id is missing: where each day has a column, each placement has one row"
            )
        } else {
            mistake!("cell_missing", "the placement's id is missing")
        }
    }

    fn forming_of(&mut self, id: &str, row: usize) -> usize {
        if let Some(at) = self.by_id.get(id) {
            return *at;
        }
        let at = self.forming.len();
        self.by_id.insert(id.to_owned(), at);
        self.forming.push(Forming {
            id: id.to_owned(),
            row,
            values: HashMap::new(),
            plan: Vec::new(),
            says_days: false,
            in_all: None,
        });
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
        let currency = self.around.campaign.currency.as_deref();
        let is_foreign = column == Column::Cost
            && matches!(cell, Cell::Text(text) if headings::has_foreign_sign(text, currency));
        let Some(value) = value.filter(|_| !is_foreign) else {
            let allowed = match currency {
                Some(currency) if is_foreign => mistake!(
                    "cell_currency",
                    "amounts are in {currency}, the campaign's currency: write them in it",
                    currency
                ),
                _ => allowed(column),
            };
            return self.wrong(row, Some(at), cell, allowed);
        };
        let shown = cells::shown(cell);
        let Some(forming) = self.forming.get_mut(forming) else { return };
        let before = forming.values.get(&column);
        // Two costs may be one that was written twice, or parts of a sum.
        let is_same = |before: &Value| *before == value && column != Column::Cost;
        let differs = before.filter(|(before, _)| !is_same(before)).map(|(_, source)| source.row);
        match differs {
            Some(other) => {
                let mistake = match column {
                    Column::Cost => mistake!(
                        "cell_cost_twice",
                        "row {other} has a cost of the same placement: write what all of its rows cost together into one of them",
                        other
                    ),
                    _ => mistake!(
                        "cell_differs",
                        "row {other} says something else of the same placement",
                        other
                    ),
                };
                self.error(row, Some(at), &shown, mistake);
            }
            None if before.is_none() => {
                forming.values.insert(column, (value, Source { row, value: shown }));
            }
            None => {}
        }
    }
}

/// Nothing stands where something has to.
fn missing(column: Column) -> Mistake {
    let allowed = allowed(column);
    mistake!("cell_missing", "missing; {allowed}", allowed)
}
