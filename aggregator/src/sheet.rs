//! Sheets that people fill in, with placements or with numbers of media's own: CSV of any make, and XLSX.
//!
//! 1. [`read`] turns the bytes of a file into rows of cells, within named limits, whatever the file claims of itself.
//! 2. [`header::find`] finds the row or two that name the columns.
//! 3. [`placements::Draft`]s are made of the rows below: columns are told by their Chinese or English names, values read the way that Excel
//!    leaves them. What is wrong is told by row, column, value and what is allowed, all of it at once.
//! 4. [`totals`]: rows of sums are passed over, and held against what the others add up to.
//! 5. [`template`] is an empty one to begin with.
//!
//! Must never: guess. A cell that can be read in two ways is refused.

pub(crate) mod cells;
mod columns;
pub(crate) mod header;
pub(crate) mod headings;
pub(crate) mod placements;
pub(crate) mod template;
mod text;
pub(crate) mod totals;
mod workbook;

#[cfg(test)]
mod tests;

use catalog::{Mistake, mistake};
use chrono::NaiveDate;
use serde::Serialize;

use crate::told::Told;

/// How large a sheet may be.
pub(crate) mod limit {
    /// Longest file, bytes.
    pub(crate) const FILE_BYTES_MAX: usize = 8 << 20;
    /// Longest content of a workbook, unpacked, bytes.
    pub(crate) const UNPACKED_BYTES_MAX: u64 = 64 << 20;
    /// Most files in a workbook.
    pub(crate) const PARTS_MAX: usize = 1_000;
    /// Most rows that are not empty, header included.
    pub(crate) const ROWS_MAX: usize = 20_000;
    /// Most columns.
    pub(crate) const COLUMNS_MAX: usize = 500;
    /// Most cells; of a workbook that are not empty.
    pub(crate) const CELLS_MAX: usize = 1_000_000;
    /// Most places of cells of a workbook, the empty ones in a row ahead of its last cell included: 64 MiB of memory.
    pub(crate) const PLACES_MAX: usize = 2_000_000;
    /// Most text of all cells, bytes.
    pub(crate) const TEXT_BYTES_MAX: usize = 32 << 20;
    /// Longest cell, bytes.
    pub(crate) const CELL_BYTES_MAX: usize = 8 << 10;
}

/// A cell that is not empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Text, without blanks around it.
    Text(String),
    /// A number.
    Number(f64),
    /// A day; of a moment its day.
    Date(NaiveDate),
    /// True or false.
    Flag(bool),
    /// A formula that has no value, as `#REF!`.
    Failed(String),
}

/// Rows of a sheet, without those that are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grid {
    /// Number of the row, from 1 as spreadsheets show it, and its cells by column from 0.
    pub(crate) rows: Vec<(usize, Vec<Option<Cell>>)>,
}

/// A sheet of a file, and what else is in there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sheet {
    /// Its name; empty where the file is one sheet.
    pub(crate) name: String,
    /// Its rows.
    pub(crate) grid: Grid,
    /// Names of the other sheets that can be seen and are not empty.
    pub(crate) unread: Vec<String>,
}

/// A cell that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CellError {
    /// Row as spreadsheets show it, from 1.
    pub(crate) row: usize,
    /// Letters of the column; empty where it is about the whole row.
    pub(crate) column: String,
    /// What stands in the header there.
    pub(crate) header: String,
    /// What stands in the cell, shortened; empty for an empty one.
    pub(crate) value: String,
    /// What is wrong and what is allowed.
    #[serde(flatten)]
    pub(crate) mistake: Told,
}

/// Whether a sheet of these first rows is the one to be read.
pub(crate) type IsWanted<'a> = &'a dyn Fn(&Grid) -> bool;

/// Why a file cannot be read as a sheet. All of it is the caller's to mend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SheetError {
    #[error("the file is empty")]
    Empty,
    #[error(
        "this is an Excel file of the old form, or one with a password: save it as .xlsx without a password, or as CSV"
    )]
    Old,
    #[error("the file cannot be read as an Excel workbook (.xlsx): save it again, or as CSV")]
    Workbook,
    #[error(
        "the file is no text in UTF-8, UTF-16 or GB 18030 (GBK), and no Excel workbook: save it as .xlsx or as CSV UTF-8"
    )]
    Encoding,
    #[error("the file cannot be read as CSV: {0}")]
    Csv(String),
    #[error("the sheet has more than {0}")]
    TooLarge(String),
    #[error(
        "the sheets `{0}` and `{1}` both have a header: put their rows into one, or hide or save away those that are not to be read"
    )]
    Several(String, String),
}

impl SheetError {
    /// The same with a code, for whoever words it in another language.
    pub(crate) fn mistake(&self) -> Mistake {
        let told = match self {
            Self::Empty => mistake!("sheet_empty", ""),
            Self::Old => mistake!("sheet_old", ""),
            Self::Workbook => mistake!("sheet_workbook", ""),
            Self::Encoding => mistake!("sheet_encoding", ""),
            Self::Csv(_) => mistake!("sheet_csv", ""),
            Self::TooLarge(limit) => mistake!("sheet_large", "{limit}", limit),
            Self::Several(first, second) => mistake!("sheet_several", "{first} {second}", first, second),
        };
        Mistake { words: self.to_string(), ..told }
    }
}

impl Grid {
    /// Adds a row, unless it is empty.
    fn push(&mut self, row: usize, mut cells: Vec<Option<Cell>>) -> Result<(), SheetError> {
        while cells.last().is_some_and(Option::is_none) {
            cells.pop();
        }
        if cells.is_empty() {
            return Ok(());
        }
        if cells.len() > limit::COLUMNS_MAX {
            return Err(SheetError::TooLarge(format!("{} columns", limit::COLUMNS_MAX)));
        }
        if self.rows.len() >= limit::ROWS_MAX {
            return Err(SheetError::TooLarge(format!("{} rows", limit::ROWS_MAX)));
        }
        self.rows.push((row, cells));
        Ok(())
    }
}

/// Text of a cell: without blanks around it, also those of Chinese input and those that cannot be seen. `None` if nothing is left.
pub(crate) fn cell_text(text: &str) -> Result<Option<Cell>, SheetError> {
    let text = text.trim_matches(|c: char| {
        c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
    });
    if text.len() > limit::CELL_BYTES_MAX {
        return Err(SheetError::TooLarge(format!("{} bytes in one cell", limit::CELL_BYTES_MAX)));
    }
    Ok((!text.is_empty()).then(|| Cell::Text(text.to_owned())))
}

/// The one sheet of a file whose first rows are those that are wanted; without one, the first that can be seen and is not empty. Blocks, and may take a second.
///
/// # Errors
/// It is no sheet, or too large a one, or two are wanted.
pub(crate) fn read_wanted(bytes: &[u8], is_wanted: IsWanted<'_>) -> Result<Sheet, SheetError> {
    const ZIP: &[u8] = b"PK\x03\x04";
    const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
    if bytes.len() > limit::FILE_BYTES_MAX {
        return Err(SheetError::TooLarge(format!("{} bytes", limit::FILE_BYTES_MAX)));
    }
    let sheet = if bytes.starts_with(ZIP) {
        workbook::read(bytes, is_wanted)?
    } else if bytes.starts_with(OLE) {
        return Err(SheetError::Old);
    } else {
        Sheet { grid: text::read(bytes)?, ..Sheet::default() }
    };
    if sheet.grid.rows.is_empty() { Err(SheetError::Empty) } else { Ok(sheet) }
}

/// The letters of a column, as spreadsheets show them: `A`, `Z`, `AA`.
pub(crate) fn letters(column: usize) -> String {
    let mut rest = column + 1;
    let mut letters = Vec::new();
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect()
}
