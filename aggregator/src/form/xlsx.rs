//! XLSX: a sheet with the rows below their names, and the sheet `about` with what is known of them all.
//!
//! Texts are written as texts, never as formulas, and those that look like one carry the mark that keeps Excel from reading them again when they are edited.

use chrono::{Datelike, NaiveDate};
use event::clock::UnixMs;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet, XlsxError};
use serde_json::Value;

use super::{Cell, FormError, Table, Type, day, is_formula};

/// Rows of a sheet, its header included (Excel's limit).
const SHEET_ROWS_MAX: usize = 1_048_576;
/// Columns of a sheet (Excel's limit).
const SHEET_COLUMNS_MAX: usize = 16_384;
/// Narrowest column, in characters.
const WIDTH_MIN: usize = 11;
/// Width of a column of text, in characters.
const WIDTH_TEXT: usize = 24;

/// The formats of cells.
struct Formats {
    header: Format,
    day: Format,
    count: Format,
    change: Format,
    rate: Format,
    number: Format,
    quoted: Format,
}

pub(super) fn write(table: &Table<'_>, made_ms: UnixMs) -> Result<Vec<u8>, FormError> {
    if table.rows.len() >= SHEET_ROWS_MAX || table.columns.len() > SHEET_COLUMNS_MAX {
        return Err(FormError::TooLarge(format!("a sheet has no room for {} rows", table.rows.len())));
    }
    workbook(table, made_ms).map_err(|error| match error {
        XlsxError::MaxStringLengthExceeded => {
            FormError::TooLarge("a cell of a sheet has no room for one of the texts".to_owned())
        }
        error => FormError::Broken { form: "xlsx", why: error.to_string() },
    })
}

fn workbook(table: &Table<'_>, made_ms: UnixMs) -> Result<Vec<u8>, XlsxError> {
    let formats = Formats::new();
    let mut workbook = Workbook::new();
    let made = ExcelDateTime::from_timestamp(made_ms.div_euclid(1000))?;
    workbook.set_properties(
        &DocProperties::new().set_title(table.name).set_author("Sightline").set_creation_datetime(&made),
    );
    rows(workbook.add_worksheet().set_name(table.name)?, table, &formats)?;
    about(workbook.add_worksheet().set_name("about")?, table, &formats)?;
    workbook.save_to_buffer()
}

fn rows(sheet: &mut Worksheet, table: &Table<'_>, formats: &Formats) -> Result<(), XlsxError> {
    for (at, column) in (0_u16..).zip(&table.columns) {
        let name = column.place.flat();
        let width = name.chars().count().max(if column.kind == Type::Text { WIDTH_TEXT } else { WIDTH_MIN });
        sheet.set_column_width(at, (width + 1) as f64)?;
        sheet.write_string_with_format(0, at, &name, &formats.header)?;
        for (line, row) in (1_u32..).zip(&table.rows) {
            if let Some(cell) = row.get(usize::from(at)) {
                formats.write(sheet, (line, at), *cell, column.kind)?;
            }
        }
    }
    sheet.set_freeze_panes(1, 1)?;
    let (last_row, last_column) = (table.rows.len() as u32, table.columns.len().saturating_sub(1) as u16);
    sheet.autofilter(0, 0, last_row, last_column)?;
    sheet.set_landscape().set_repeat_rows(0, 0)?;
    Ok(())
}

fn about(sheet: &mut Worksheet, table: &Table<'_>, formats: &Formats) -> Result<(), XlsxError> {
    sheet.set_column_width(0, WIDTH_TEXT as f64)?;
    sheet.set_column_width(1, WIDTH_TEXT as f64)?;
    for (line, (name, values)) in (0_u32..).zip(table.facts()) {
        sheet.write_string_with_format(line, 0, &name, &formats.header)?;
        for (at, value) in (1_u16..).zip(values.iter().take(SHEET_COLUMNS_MAX - 1)) {
            let (cell, kind) = match value {
                Value::String(text) if day(text).is_some() => (Cell::Day(text), Type::Day),
                Value::String(text) => (Cell::Text(text), Type::Text),
                Value::Bool(flag) => (Cell::Flag(*flag), Type::Flag),
                Value::Number(number) => match number.as_u64() {
                    Some(count) => (Cell::Count(count), Type::Count),
                    None => (number.as_f64().map_or(Cell::Nothing, Cell::Number), Type::Number),
                },
                Value::Null | Value::Array(_) | Value::Object(_) => (Cell::Nothing, Type::Text),
            };
            formats.write(sheet, (line, at), cell, kind)?;
        }
    }
    Ok(())
}

impl Formats {
    fn new() -> Self {
        Self {
            header: Format::new().set_bold().set_align(FormatAlign::Left),
            day: Format::new().set_num_format("yyyy-mm-dd").set_align(FormatAlign::Left),
            count: Format::new().set_num_format("#,##0"),
            change: Format::new().set_num_format("+#,##0;-#,##0;0"),
            rate: Format::new().set_num_format("0.00%"),
            number: Format::new().set_num_format("#,##0.00"),
            quoted: Format::new().set_quote_prefix(),
        }
    }

    fn write(
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
