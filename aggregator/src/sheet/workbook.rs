//! XLSX, read within limits of our own.
//!
//! The archive is unpacked first, each part up to what is left of one limit, and packed again without compression: so the reader behind it never sees a
//! byte that was not counted, whatever the archive's directory says. Cells come one by one, never as a table from the first to the last: rows
//! between two cells in far corners cost nothing, and empty places in a row are counted.

use std::collections::HashMap;
use std::io::{Cursor, Read as _, Write as _};
use std::panic::AssertUnwindSafe;

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Style, Xlsx};
use chrono::NaiveDate;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::cells::DIGITS_KEPT;
use super::header::HEADER_ROW_MAX;
use super::{Cell, Grid, IsWanted, Sheet, SheetError, cell_text, limit};

type Book = Xlsx<Cursor<Vec<u8>>>;
/// How many digits the cells show at least that show zeros ahead of a number, by row and column.
type Padded = HashMap<(u32, u32), usize>;
/// Longest number that zeros are put ahead of, digits.
const DIGITS_MAX: usize = 64;

/// An attribute by which a workbook says how many texts it has. Its reader makes room for as many as that before it has seen one.
const COUNT: &[u8] = b"uniqueCount";

/// One sheet of those that can be seen: the only one whose first rows are wanted, or else the first that is not empty.
pub(super) fn read(bytes: &[u8], is_wanted: IsWanted<'_>) -> Result<Sheet, SheetError> {
    let plain = unpack(bytes)?;
    // It was written for files of good will; should one make it panic, that is a file that cannot be read.
    let read = std::panic::catch_unwind(AssertUnwindSafe(move || chosen(plain, is_wanted)));
    read.unwrap_or(Err(SheetError::Workbook))
}

fn chosen(plain: Vec<u8>, is_wanted: IsWanted<'_>) -> Result<Sheet, SheetError> {
    let mut book: Book = Xlsx::new(Cursor::new(plain)).map_err(|_| SheetError::Workbook)?;
    let sheets = book.sheets_metadata().to_vec();
    let (mut filled, mut wanted, mut wrong) = (Vec::new(), Vec::new(), None);
    for sheet in sheets {
        if sheet.visible != SheetVisible::Visible || sheet.typ != SheetType::WorkSheet {
            continue;
        }
        // Its first rows only: another sheet may hold whatever it likes.
        match read_sheet(&mut book, &sheet.name, (HEADER_ROW_MAX + 2, &Padded::new())) {
            Ok(head) if head.rows.is_empty() => {}
            Ok(head) => {
                if is_wanted(&head) {
                    wanted.push(sheet.name.clone());
                }
                filled.push(sheet.name);
            }
            Err(error) => {
                filled.push(sheet.name);
                wrong = wrong.or(Some(error));
            }
        }
    }
    let name = match (wanted.as_slice(), wrong) {
        // It may be the one.
        ([], Some(error)) => return Err(error),
        ([], None) => filled.first().cloned().unwrap_or_default(),
        ([one], _) => one.clone(),
        ([one, other, ..], _) => return Err(SheetError::Several(one.clone(), other.clone())),
    };
    if filled.is_empty() {
        return Ok(Sheet::default());
    }
    let padded = padded(&mut book, &name)?;
    let grid = read_sheet(&mut book, &name, (usize::MAX, &padded))?;
    filled.retain(|other| *other != name);
    Ok(Sheet { name, grid, unread: filled })
}

/// Where cells show zeros ahead of their number, for the format says how many digits: that many.
fn padded(book: &mut Book, name: &str) -> Result<Padded, SheetError> {
    let broken = |_| SheetError::Workbook;
    let mut reader = book.worksheet_cells_reader(name).map_err(broken)?;
    let digits = |style: &Style| {
        let code = &style.number_format.as_ref()?.format_code;
        let is_zeros = code.len() > 1 && code.len() <= DIGITS_MAX && code.bytes().all(|byte| byte == b'0');
        is_zeros.then_some(code.len())
    };
    let digits: HashMap<usize, usize> =
        reader.styles().iter().enumerate().filter_map(|(id, style)| Some((id, digits(style)?))).collect();
    let mut padded = Padded::new();
    if digits.is_empty() {
        return Ok(padded);
    }
    while let Some((row, column, style)) = reader.next_style_id().map_err(broken)? {
        if let Some(digits) = digits.get(&style) {
            if padded.len() >= limit::CELLS_MAX {
                return Err(SheetError::TooLarge(format!("{} cells", limit::CELLS_MAX)));
            }
            padded.insert((row, column), *digits);
        }
    }
    Ok(padded)
}

/// The rows of a sheet, at most so many of them.
fn read_sheet(book: &mut Book, name: &str, (rows_max, padded): (usize, &Padded)) -> Result<Grid, SheetError> {
    let too_large = |count: usize, what: &str| SheetError::TooLarge(format!("{count} {what}"));
    let mut reader = book.worksheet_cells_reader(name).map_err(|_| SheetError::Workbook)?;
    let mut grid = Grid::default();
    let (mut row, mut cells, mut count, mut places, mut text_bytes) = (0, Vec::new(), 0, 0, 0);
    while let Some(record) = reader.next_cell_with_formula_metadata().map_err(|_| SheetError::Workbook)? {
        let (at, column) = record.pos;
        let value = match value(&record.value)? {
            // A program that computes nothing wrote it.
            None if record.formula.is_some() && record.value == DataRef::Empty => {
                Some(Cell::Failed(String::new()))
            }
            Some(Cell::Number(number)) => Some(shown(number, padded.get(&record.pos).copied())),
            other => other,
        };
        let Some(value) = value else { continue };
        count += 1;
        if column as usize >= limit::COLUMNS_MAX {
            return Err(too_large(limit::COLUMNS_MAX, "columns"));
        }
        if count > limit::CELLS_MAX {
            return Err(too_large(limit::CELLS_MAX, "cells"));
        }
        // A text that stands in the file once may stand in every cell.
        text_bytes += if let Cell::Text(text) = &value { text.len() } else { 0 };
        if text_bytes > limit::TEXT_BYTES_MAX {
            return Err(too_large(limit::TEXT_BYTES_MAX, "bytes of text"));
        }
        if at < row {
            return Err(SheetError::Workbook);
        }
        if at > row {
            grid.push(row as usize + 1, std::mem::take(&mut cells))?;
            if grid.rows.len() >= rows_max {
                return Ok(grid);
            }
            row = at;
        }
        if cells.len() <= column as usize {
            // Empty places take memory too.
            places += column as usize + 1 - cells.len();
            if places > limit::PLACES_MAX {
                return Err(too_large(limit::PLACES_MAX, "cells, empty ones ahead of others included"));
            }
            cells.resize(column as usize + 1, None);
        }
        if let Some(place) = cells.get_mut(column as usize) {
            *place = Some(value);
        }
    }
    grid.push(row as usize + 1, cells)?;
    Ok(grid)
}

/// A number the way that its cell shows it, where that has zeros ahead: those of an id belong to it.
fn shown(number: f64, digits: Option<usize>) -> Cell {
    match digits {
        Some(digits) if number.fract() == 0.0 && (0.0..DIGITS_KEPT).contains(&number) => {
            Cell::Text(format!("{number:0>digits$.0}"))
        }
        _ => Cell::Number(number),
    }
}

fn value(data: &DataRef<'_>) -> Result<Option<Cell>, SheetError> {
    Ok(match data {
        DataRef::Empty => None,
        DataRef::Int(number) => Some(Cell::Number(*number as f64)),
        DataRef::Float(number) => Some(Cell::Number(*number)),
        DataRef::Bool(flag) => Some(Cell::Flag(*flag)),
        DataRef::DateTime(moment) if moment.is_datetime() => {
            let (year, month, day, ..) = moment.to_ymd_hms_milli();
            let found = NaiveDate::from_ymd_opt(i32::from(year), month.into(), day.into());
            // Day 0 and the day that Excel invented are numbers in the clothes of a date.
            Some(found.map_or(Cell::Number(moment.as_f64()), Cell::Date))
        }
        DataRef::DateTime(duration) => Some(Cell::Number(duration.as_f64())),
        DataRef::DateTimeIso(text) => {
            let found: Option<NaiveDate> = text.get(..10).and_then(|day| day.parse().ok());
            found.map(Cell::Date).map_or_else(|| cell_text(text), |day| Ok(Some(day)))?
        }
        DataRef::String(text) | DataRef::DurationIso(text) => cell_text(text)?,
        DataRef::SharedString(text) => cell_text(text)?,
        DataRef::Error(error) => Some(Cell::Failed(error.to_string())),
    })
}

/// The parts of a workbook that a reader needs, in an archive without compression.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, SheetError> {
    let broken = |_| SheetError::Workbook;
    let too_large = || SheetError::TooLarge(format!("{} bytes, unpacked", limit::UNPACKED_BYTES_MAX));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if archive.len() > limit::PARTS_MAX {
        return Err(SheetError::TooLarge(format!("{} files in the workbook", limit::PARTS_MAX)));
    }
    let mut plain = ZipWriter::new(Cursor::new(Vec::new()));
    let mut left = limit::UNPACKED_BYTES_MAX;
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(broken)?;
        let name = part.name().map_err(broken)?.into_owned();
        let is_read = [".xml", ".rels"].iter().any(|end| name.to_ascii_lowercase().ends_with(end));
        if part.is_dir() || !is_read {
            continue;
        }
        let mut content = Vec::new();
        part.take(left + 1).read_to_end(&mut content).map_err(|_| SheetError::Workbook)?;
        left = left.checked_sub(content.len() as u64).ok_or_else(too_large)?;
        // Another encoding than UTF-8 could hide from the look below.
        if content.contains(&0) {
            return Err(SheetError::Workbook);
        }
        if claims_too_many(&content) {
            return Err(SheetError::TooLarge(format!("{} texts", limit::CELLS_MAX)));
        }
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        plain.start_file(name, options).map_err(broken)?;
        plain.write_all(&content).map_err(|_| SheetError::Workbook)?;
    }
    plain.finish().map(Cursor::into_inner).map_err(broken)
}

/// Whether a part says that more texts come than a sheet may have cells.
fn claims_too_many(content: &[u8]) -> bool {
    let behind = |at: usize| content.get(at + COUNT.len()..).map(<[u8]>::trim_ascii_start);
    let claims = content.windows(COUNT.len()).enumerate().filter(|(_, window)| *window == COUNT);
    claims.filter_map(|(at, _)| behind(at)?.strip_prefix(b"=")).any(|value| {
        let digits = value.trim_ascii_start().get(1..).unwrap_or_default().trim_ascii_start();
        let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits
            .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        number > limit::CELLS_MAX as u64
    })
}
