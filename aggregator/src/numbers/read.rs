//! An upload of media's own numbers, read row by row: JSON, or a sheet ([`crate::sheet`]) with a header.
//!
//! ```text
//! placement,day,impressions,clicks          names of columns in English or Chinese, in any order; clicks may be missing
//! p1,2026-11-01,120000,340
//! ```
//!
//! All that is wrong is told, by row and column, with what is allowed; then nothing is taken.
//!
//! Must never: guess, or tell a placement that whoever gives the numbers does not see from one that nobody has.

mod json;
mod units;

use std::collections::BTreeMap;

use catalog::{Campaign, Mistake, mistake};

use super::{Cells, Said};
use crate::sheet::totals::{Over, Sums, differs, is_total};
use crate::sheet::{self, Cell, CellError, Grid, Sheet, SheetError, cells, header, letters, limit};
use crate::store::{day_number, day_text};
use crate::view::Sight;

/// Most bytes of an upload.
pub(crate) const BYTES_MAX: usize = limit::FILE_BYTES_MAX;
/// Most rows of an upload, the header of a sheet included.
pub(crate) const ROWS_MAX: usize = limit::ROWS_MAX;
/// Most impressions or clicks of one placement on one day.
pub(crate) const COUNT_MAX: u64 = 1_000_000_000_000;
/// Most errors that are listed; behind them they are only counted.
const WRONG_MAX: usize = 200;

/// Columns, by what their names are without blanks, signs and capitals.
const COLUMNS: [(Column, &[&str]); 4] = [
    (
        Column::Placement,
        &[
            "placement",
            "placementid",
            "id",
            "spot",
            "spotid",
            "点位",
            "点位id",
            "点位编号",
            "广告位",
            "广告位id",
        ],
    ),
    (Column::Day, &["day", "date", "日期", "投放日期"]),
    (
        Column::Impressions,
        &[
            "impressions",
            "impression",
            "imp",
            "imps",
            "pv",
            "曝光",
            "曝光量",
            "曝光数",
            "展示",
            "展示量",
            "展现量",
        ],
    ),
    (Column::Clicks, &["clicks", "click", "clk", "点击", "点击量", "点击数"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Placement,
    Day,
    Impressions,
    Clicks,
}

impl Column {
    fn is_count(self) -> bool {
        matches!(self, Self::Impressions | Self::Clicks)
    }
}

/// What an upload is held against.
pub(crate) struct Around<'a> {
    /// The campaign.
    pub(crate) campaign: &'a Campaign,
    /// How whoever gives the numbers sees it.
    pub(crate) sight: &'a Sight,
    /// On the campaign's clock.
    pub(crate) today: u16,
}

/// What an upload says.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// What is said, by medium. Not to be used where something is wrong.
    pub(crate) media: BTreeMap<String, Cells>,
    /// Rows.
    pub(crate) rows: usize,
    /// What is wrong. Of JSON the row is the place in `rows`, from 1, the header the field's name, and the column has no letters.
    pub(crate) wrong: Vec<CellError>,
    /// How much is wrong, also where it is not listed.
    pub(crate) wrong_count: usize,
    /// Headers of columns that nothing was read from.
    pub(crate) ignored: Vec<String>,
    /// Name of the sheet that was read; empty where the file is one sheet.
    pub(crate) sheet: String,
    /// Names of the other sheets that can be seen and are not empty.
    pub(crate) unread: Vec<String>,
    /// What somebody should look at, and is not wrong for sure, by row.
    pub(crate) warnings: Vec<CellError>,
    /// Rows of sums, from which nothing was read.
    pub(crate) sum_rows: Vec<usize>,
}

/// Why an upload cannot be read at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("there are no rows; give at least one")]
    Empty,
    #[error(transparent)]
    Sheet(#[from] SheetError),
    #[error(
        "the body is no JSON of the form {{\"rows\":[{{\"placement\":\"p1\",\"day\":\"2026-11-01\",\"impressions\":1000,\"clicks\":10}}]}}: {0}"
    )]
    Json(String),
    #[error("there are more than {ROWS_MAX} rows: give them in several parts")]
    TooLarge,
    #[error(
        "there is no header row: one of the first rows has to name the columns placement (点位ID), day (日期) and impressions (曝光量), and may name clicks (点击量)"
    )]
    Header,
}

impl Unreadable {
    /// The same with a code, for whoever words it in another language.
    pub(crate) fn mistake(&self) -> Mistake {
        let told = match self {
            Self::Empty => mistake!("numbers_empty", ""),
            Self::Sheet(error) => error.mistake(),
            // A program wrote it.
            Self::Json(_) => Mistake::default(),
            Self::TooLarge => {
                let max = ROWS_MAX;
                mistake!("numbers_large", "{max}", max)
            }
            Self::Header => mistake!("numbers_header", ""),
        };
        Mistake { words: self.to_string(), ..told }
    }
}

/// A column of the upload that something is read from.
struct Used {
    column: Column,
    at: usize,
    header: String,
}

struct Reader<'a> {
    around: &'a Around<'a>,
    used: Vec<Used>,
    /// Whether columns have letters.
    is_sheet: bool,
    rows_by_cell: BTreeMap<(String, u16), usize>,
    sums: Sums,
    reading: Reading,
}

/// Reads an upload. Blocks for as long as that takes.
///
/// # Errors
/// It cannot be read; what is wrong in a row that can stands in the [`Reading`].
pub(crate) fn read(bytes: &[u8], around: &Around<'_>) -> Result<Reading, Unreadable> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_sheet = first != Some(&b'{');
    let Sheet { name: sheet, grid, unread } = if is_sheet {
        sheet::read_wanted(bytes, &|grid| find(grid).is_some()).map_err(|error| match error {
            SheetError::Empty => Unreadable::Empty,
            error => error.into(),
        })?
    } else {
        Sheet { grid: json::read(bytes)?, ..Sheet::default() }
    };
    let mut reader = Reader {
        around,
        used: Vec::new(),
        is_sheet,
        rows_by_cell: BTreeMap::new(),
        sums: Sums::default(),
        reading: Reading { sheet, unread, ..Reading::default() },
    };
    let below = reader.header(&grid)?;
    for (row, cells) in grid.rows.iter().skip(below) {
        if reader.is_of_sums(cells) {
            reader.sum_row(*row, cells);
        } else {
            reader.row(*row, cells);
        }
    }
    reader.hold_sums();
    if reader.reading.rows == 0 {
        return Err(Unreadable::Empty);
    }
    Ok(reader.reading)
}

/// Which column a header names.
fn column(header: &Cell) -> Option<Column> {
    let Cell::Text(text) = header else { return None };
    let of = |name: &str| COLUMNS.iter().find(|(_, names)| names.contains(&name)).map(|(column, _)| *column);
    header::names(text).iter().find_map(|name| of(name))
}

/// The header of a sheet of numbers.
fn find(grid: &Grid) -> Option<header::Header> {
    let has = |cells: &[Option<Cell>], wanted: Column| {
        cells.iter().flatten().any(|cell| column(cell) == Some(wanted))
    };
    let is_header = |cells: &[Option<Cell>]| has(cells, Column::Placement) && has(cells, Column::Day);
    let is_named = |cell: &Cell| column(cell).is_some();
    header::find(grid, is_header, (is_named, is_named)).filter(|found| has(&found.cells, Column::Impressions))
}

impl Reader<'_> {
    /// Finds the header. Answers how many rows of the grid are above the first one with values.
    fn header(&mut self, grid: &Grid) -> Result<usize, Unreadable> {
        let found = find(grid).ok_or(Unreadable::Header)?;
        self.titles(grid.rows.get(..found.at).unwrap_or_default());
        for (at, cell) in found.cells.iter().enumerate() {
            let Some(cell) = cell else { continue };
            let header = cells::shown(cell);
            let column = column(cell);
            if matches!(cell, Cell::Text(text) if units::is_other(column, text)) {
                let mistake = mistake!(
                    "number_unit",
                    "numbers are read as they stand, as whole impressions or clicks that were delivered on one day: write them so, and leave the unit \
                     out here"
                );
                self.wrong_at(found.row, Some((at, &header)), &header, mistake);
            }
            match column {
                None => self.reading.ignored.push(header),
                Some(column) if self.used.iter().any(|used| used.column == column) => {
                    let mistake = mistake!(
                        "column_twice",
                        "another column says the same: rename the one that is not to be read"
                    );
                    self.wrong_at(found.row, Some((at, &header)), &header, mistake);
                }
                Some(column) => self.used.push(Used { column, at, header }),
            }
        }
        Ok(found.below)
    }

    fn wrong_at(&mut self, row: usize, at: Option<(usize, &str)>, value: &str, mistake: Mistake) {
        self.reading.wrong_count += 1;
        if self.reading.wrong.len() < WRONG_MAX {
            let column = at.filter(|_| self.is_sheet).map(|(at, _)| letters(at)).unwrap_or_default();
            let header = at.map(|(_, header)| header.to_owned()).unwrap_or_default();
            self.reading.wrong.push(CellError {
                row,
                column,
                header,
                value: value.to_owned(),
                mistake: mistake.into(),
            });
        }
    }

    fn wrong(&mut self, row: usize, column: Column, cell: Option<&Cell>, allowed: Mistake) {
        let used = self.used.iter().find(|used| used.column == column);
        let at = used.map(|used| (used.at, used.header.clone()));
        let value = cell.map(cells::shown).unwrap_or_default();
        let at = at.as_ref().map(|(at, header)| (*at, header.as_str()));
        let mistake =
            if cell.is_some() { allowed } else { mistake!("cell_missing", "missing; {allowed}", allowed) };
        self.wrong_at(row, at, &value, mistake);
    }

    /// Whether a row is one of sums: it is called so, and no placement of the campaign is.
    fn is_of_sums(&self, cells: &[Option<Cell>]) -> bool {
        let id = self.used.iter().find(|used| used.column == Column::Placement);
        let id = id.and_then(|used| cells.get(used.at)).and_then(Option::as_ref).and_then(cells::text);
        let is_known = id.is_some_and(|id| self.around.campaign.placements.contains_key(&id));
        self.is_sheet && !is_known && cells.iter().flatten().any(is_total)
    }

    fn sum_row(&mut self, row: usize, cells: &[Option<Cell>]) {
        for used in self.used.iter().filter(|used| used.column.is_count()) {
            if let Some(value) = cells.get(used.at).and_then(Option::as_ref).and_then(cells::whole) {
                self.sums.say((row, used.at), value, &[Over::Column(used.at)]);
            }
        }
        self.sums.end_row(row);
    }

    /// Says what the sheet sums up otherwise than its rows, where these are right.
    fn hold_sums(&mut self) {
        self.reading.sum_rows.clone_from(&self.sums.rows);
        if self.reading.wrong_count > 0 {
            return;
        }
        for differing in self.sums.differing().into_iter().take(WRONG_MAX) {
            let header =
                self.used.iter().find(|used| used.at == differing.at).map(|used| used.header.clone());
            self.reading.warnings.push(CellError {
                row: differing.row,
                column: letters(differing.at),
                header: header.unwrap_or_default(),
                value: differing.said.to_string(),
                mistake: differs(differing.counted).into(),
            });
        }
    }

    fn row(&mut self, row: usize, cells: &[Option<Cell>]) {
        for used in self.used.iter().filter(|used| used.column.is_count()) {
            if let Some(value) = cells.get(used.at).and_then(Option::as_ref).and_then(cells::whole) {
                self.sums.add(Over::Column(used.at), value);
            }
        }
        let cell = |column: Column| {
            let used = self.used.iter().find(|used| used.column == column);
            used.and_then(|used| cells.get(used.at)).and_then(Option::as_ref)
        };
        let [placement, day, impressions, clicks] =
            [Column::Placement, Column::Day, Column::Impressions, Column::Clicks].map(cell);
        if [placement, day, impressions, clicks].iter().all(Option::is_none) {
            return;
        }
        self.reading.rows += 1;
        let placed = self.placement(row, placement);
        let on = self.day(row, day);
        let impressions = self.count(row, Column::Impressions, impressions);
        let clicks =
            if clicks.is_none() { Some(None) } else { self.count(row, Column::Clicks, clicks).map(Some) };
        let (Some((id, medium)), Some(on), Some(impressions), Some(clicks)) =
            (placed, on, impressions, clicks)
        else {
            return;
        };
        let place = (id, on);
        if let Some(other) = self.rows_by_cell.get(&place) {
            let mistake = mistake!("number_twice", "row {other} is about the same placement and day", other);
            return self.wrong(row, Column::Day, day, mistake);
        }
        self.rows_by_cell.insert(place.clone(), row);
        self.reading.media.entry(medium).or_default().insert(place, Said { impressions, clicks });
    }

    /// A placement and its medium.
    fn placement(&mut self, row: usize, cell: Option<&Cell>) -> Option<(String, String)> {
        let id = cell.and_then(cells::text);
        let placement = id.as_ref().and_then(|id| self.around.campaign.placements.get(id));
        let seen = placement.filter(|placement| self.around.sight.sees(placement));
        if seen.is_none() {
            let mistake = if cell.is_none() {
                mistake!("number_placement", "allowed is the id of a placement of this campaign")
            } else {
                mistake!(
                    "number_placement",
                    "no placement of that id is known; allowed is the id of a placement of this campaign"
                )
            };
            self.wrong(row, Column::Placement, cell, mistake);
        }
        id.zip(seen.map(|placement| placement.medium.clone()))
    }

    fn day(&mut self, row: usize, cell: Option<&Cell>) -> Option<u16> {
        let Some(day) = cell.and_then(cells::day).and_then(day_number) else {
            self.wrong(row, Column::Day, cell, mistake!("number_day", "allowed is a day such as 2026-11-01"));
            return None;
        };
        if day > self.around.today {
            let today = day_text(self.around.today);
            let mistake = mistake!("number_ahead", "this day has not begun; today is {today} there", today);
            self.wrong(row, Column::Day, cell, mistake);
            return None;
        }
        Some(day)
    }

    fn count(&mut self, row: usize, column: Column, cell: Option<&Cell>) -> Option<u64> {
        let count = cell.and_then(cells::whole).filter(|count| *count <= COUNT_MAX);
        if count.is_none() {
            let max = COUNT_MAX;
            self.wrong(
                row,
                column,
                cell,
                mistake!("number_count", "allowed is a whole number from 0 to {max}", max),
            );
        }
        count
    }
}

#[cfg(test)]
mod tests;
