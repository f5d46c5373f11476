//! XLSX: a sheet with the rows below their names, and the sheet `about` with what is known of them all.
//!
//! In the words of a language the sheets and what is known are called by them too; figures, dates and formats are the same.
//!
//! Texts are written as texts, never as formulas, and those that look like one carry the mark that keeps Excel from reading them again when they are edited.

use chrono::{Datelike, NaiveDate};
use event::clock::UnixMs;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet, XlsxError};
use serde_json::Value;

use super::{Cell, Column, FormError, Language, Place, Table, Type, day, is_formula, words};

/// Rows of a sheet, its header included (Excel's limit).
const SHEET_ROWS_MAX: usize = 1_048_576;
/// Columns of a sheet (Excel's limit).
const SHEET_COLUMNS_MAX: usize = 16_384;
/// Narrowest column, in characters.
const WIDTH_MIN: usize = 11;
/// Width of a column of text, in characters.
const WIDTH_TEXT: usize = 24;
/// Widest column in words, whose headings take several lines.
const WIDTH_WORDS: usize = 16;

/// The formats of cells.
pub(super) struct Formats {
    pub(super) title: Format,
    pub(super) header: Format,
    wrapped: Format,
    day: Format,
    count: Format,
    change: Format,
    rate: Format,
    number: Format,
    quoted: Format,
}

pub(super) fn write(table: &Table<'_>, made_ms: UnixMs) -> Result<Vec<u8>, FormError> {
    has_room(table)?;
    workbook(table, made_ms).map_err(broken)
}

/// Whether a sheet has room for a table.
pub(super) fn has_room(table: &Table<'_>) -> Result<(), FormError> {
    if table.rows.len() < SHEET_ROWS_MAX && table.columns.len() <= SHEET_COLUMNS_MAX {
        return Ok(());
    }
    Err(FormError::TooLarge(format!("a sheet has no room for {} rows", table.rows.len())))
}

pub(super) fn broken(error: XlsxError) -> FormError {
    match error {
        XlsxError::MaxStringLengthExceeded => {
            FormError::TooLarge("a cell of a sheet has no room for one of the texts".to_owned())
        }
        error => FormError::Broken { form: "xlsx", why: error.to_string() },
    }
}

fn workbook(table: &Table<'_>, made_ms: UnixMs) -> Result<Vec<u8>, XlsxError> {
    let formats = Formats::new();
    let mut workbook = begun(table.name, made_ms)?;
    let name = table.language.and_then(|language| language.value("report", table.name));
    rows(workbook.add_worksheet().set_name(name.unwrap_or(table.name))?, table, &formats)?;
    let about_name = table.language.map_or("about", |language| language.of("About", "说明"));
    let sheet = workbook.add_worksheet().set_name(about_name)?;
    sheet.set_column_width(0, WIDTH_TEXT as f64)?;
    sheet.set_column_width(1, WIDTH_TEXT as f64)?;
    for (line, fact) in (0_u32..).zip(table.facts()) {
        formats.write_fact(sheet, line, (&fact.0, &fact.1), table.language)?;
    }
    workbook.save_to_buffer()
}

/// A workbook without sheets.
pub(super) fn begun(title: &str, made_ms: UnixMs) -> Result<Workbook, XlsxError> {
    let mut workbook = Workbook::new();
    let made = ExcelDateTime::from_timestamp(made_ms.div_euclid(1000))?;
    workbook.set_properties(
        &DocProperties::new().set_title(title).set_author("Sightline").set_creation_datetime(&made),
    );
    Ok(workbook)
}

/// Writes the rows below their headings.
pub(super) fn rows(sheet: &mut Worksheet, table: &Table<'_>, formats: &Formats) -> Result<(), XlsxError> {
    for (at, column) in (0_u16..).zip(&table.columns) {
        let name = table.heading(column);
        // Chinese signs are as wide as two others.
        let length: usize = name.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
        let (most, header) = match table.language {
            Some(_) => (WIDTH_WORDS, &formats.wrapped),
            None => (usize::MAX, &formats.header),
        };
        let width = length.min(most).max(if column.kind == Type::Text { WIDTH_TEXT } else { WIDTH_MIN });
        sheet.set_column_width(at, (width + 1) as f64)?;
        sheet.write_string_with_format(0, at, &name, header)?;
        for (line, row) in (1_u32..).zip(&table.rows) {
            match row.get(usize::from(at)) {
                Some(Cell::Text(text)) => {
                    formats.write(sheet, (line, at), Cell::Text(table.worded(column, text)), column.kind)?;
                }
                Some(cell) => formats.write(sheet, (line, at), *cell, column.kind)?,
                None => {}
            }
        }
    }
    sheet.set_freeze_panes(1, 1)?;
    let (last_row, last_column) = (table.rows.len() as u32, table.columns.len().saturating_sub(1) as u16);
    sheet.autofilter(0, 0, last_row, last_column)?;
    sheet.set_landscape().set_repeat_rows(0, 0)?;
    Ok(())
}

/// Hides columns that say nothing in any row: what nothing was of, and the errors of figures that are counted. They are all there when they are shown again.
pub(super) fn hide_bare(sheet: &mut Worksheet, table: &Table<'_>) -> Result<(), XlsxError> {
    let cells = |at: usize| table.rows.iter().filter_map(move |row| row.get(at));
    let exact = table.columns.iter().position(|column| column.place == Place::Alone("exact"));
    let is_counted = exact.is_some_and(|at| cells(at).all(|cell| *cell == Cell::Flag(true)));
    for (at, column) in table.columns.iter().enumerate() {
        let is_nothing = cells(at).all(|cell| *cell == Cell::Nothing);
        let is_zero = || {
            let mut cells = cells(at);
            cells.all(|cell| {
                matches!(cell, Cell::Nothing | Cell::Count(0) | Cell::Change(0) | Cell::Flag(false))
            })
        };
        let is_bare = is_nothing
            || (is_of_some(column) && is_zero())
            || (is_counted && (is_of_estimates(column) || Some(at) == exact));
        if is_bare && at > 0 {
            sheet.set_column_hidden(at as u16)?;
        }
    }
    Ok(())
}

/// Whether a column is about something that most campaigns have nothing of.
fn is_of_some(column: &Column) -> bool {
    let seldom = [
        "outdone_verdicts",
        "conflicts",
        "withheld_impressions",
        "unresolved",
        "or_more",
        "suppressed",
        "rounded",
    ];
    match column.place {
        Place::Member(..) => true,
        Place::Alone(name) => seldom.contains(&name),
        Place::Item(..) | Place::Name(..) => false,
    }
}

fn is_of_estimates(column: &Column) -> bool {
    let name = column.place.flat();
    ["standard_error", "_low", "_high"].iter().any(|part| name.contains(part))
}

impl Formats {
    pub(super) fn new() -> Self {
        let header = Format::new().set_bold().set_align(FormatAlign::Left);
        Self {
            title: Format::new().set_bold().set_font_size(16),
            wrapped: header.clone().set_text_wrap().set_align(FormatAlign::Top),
            header,
            day: Format::new().set_num_format("yyyy-mm-dd").set_align(FormatAlign::Left),
            count: Format::new().set_num_format("#,##0"),
            change: Format::new().set_num_format("+#,##0;-#,##0;0"),
            rate: Format::new().set_num_format("0.00%"),
            number: Format::new().set_num_format("#,##0.00"),
            quoted: Format::new().set_quote_prefix(),
        }
    }

    /// Writes a fact and its values into a line.
    pub(super) fn write_fact(
        &self,
        sheet: &mut Worksheet,
        line: u32,
        (name, values): (&str, &[Value]),
        language: Option<Language>,
    ) -> Result<(), XlsxError> {
        let worded = language.and_then(|language| language.fact(name)).unwrap_or(name);
        sheet.write_string_with_format(line, 0, worded, &self.header)?;
        for (at, value) in (1_u16..).zip(values.iter().take(SHEET_COLUMNS_MAX - 1)) {
            let (cell, kind) = match value {
                Value::String(text) if day(text).is_some() => (Cell::Day(text), Type::Day),
                Value::String(text) => {
                    let worded = language.and_then(|language| words::fact(name, text, language));
                    (Cell::Text(worded.unwrap_or(text)), Type::Text)
                }
                Value::Bool(flag) => (Cell::Flag(*flag), Type::Flag),
                Value::Number(number) => match number.as_u64() {
                    Some(count) => (Cell::Count(count), Type::Count),
                    None => (number.as_f64().map_or(Cell::Nothing, Cell::Number), Type::Number),
                },
                Value::Null | Value::Array(_) | Value::Object(_) => (Cell::Nothing, Type::Text),
            };
            self.write(sheet, (line, at), cell, kind)?;
        }
        Ok(())
    }

    pub(super) fn write(
        &self,
        sheet: &mut Worksheet,
        (line, at): (u32, u16),
        cell: Cell<'_>,
        kind: Type,
    ) -> Result<(), XlsxError> {
        match cell {
            Cell::Text(text) if is_formula(text) => {
                sheet.write_string_with_format(line, at, text, &self.quoted)?;
            }
            Cell::Text(text) => {
                sheet.write_string(line, at, text)?;
            }
            Cell::Day(text) => match day(text).map(moment) {
                Some(date) => {
                    sheet.write_datetime_with_format(line, at, &date?, &self.day)?;
                }
                None => {
                    sheet.write_string(line, at, text)?;
                }
            },
            // More of them than 2^53 would be rounded: spreadsheets have no other numbers.
            Cell::Count(count) => {
                sheet.write_number_with_format(line, at, count as f64, &self.count)?;
            }
            Cell::Change(change) => {
                sheet.write_number_with_format(line, at, change as f64, &self.change)?;
            }
            Cell::Number(number) => {
                let format = if kind == Type::Rate { &self.rate } else { &self.number };
                sheet.write_number_with_format(line, at, number, format)?;
            }
            Cell::Flag(flag) => {
                sheet.write_boolean(line, at, flag)?;
            }
            Cell::Nothing => {}
        }
        Ok(())
    }
}

fn moment(date: NaiveDate) -> Result<ExcelDateTime, XlsxError> {
    ExcelDateTime::from_ymd(u16::try_from(date.year()).unwrap_or(0), date.month() as u8, date.day() as u8)
}
