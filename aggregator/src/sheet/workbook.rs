//! XLSX, read within limits of our own.
//!
//! The archive is unpacked first, each part up to what is left of one limit, and packed again without compression: so the reader behind it never sees a
//! byte that was not counted, whatever the archive's directory says. Cells come one by one, never as a table from the first to the last: two cells
//! in far corners cost no more than two others.

use std::io::{Cursor, Read as _, Write as _};

use calamine::{DataRef, Reader as _, SheetType, SheetVisible, Xlsx};
use chrono::NaiveDate;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{Cell, Grid, SheetError, cell_text, limit};

/// An attribute by which a workbook says how many texts it has. Its reader makes room for as many as that before it has seen one.
const COUNT: &[u8] = b"uniqueCount";

/// The rows of the first sheet that can be seen and is not empty.
pub(super) fn read(bytes: &[u8]) -> Result<Grid, SheetError> {
    let plain = unpack(bytes)?;
    // It was written for files of good will; should one make it panic, that is a file that cannot be read.
    let read = std::panic::catch_unwind(move || first_sheet(plain));
    read.unwrap_or(Err(SheetError::Workbook))
}

fn first_sheet(plain: Vec<u8>) -> Result<Grid, SheetError> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(plain)).map_err(|_| SheetError::Workbook)?;
    let sheets = book.sheets_metadata().to_vec();
    let seen = sheets
        .into_iter()
        .filter(|sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet);
    for sheet in seen {
        let grid = read_sheet(&mut book, &sheet.name)?;
        if !grid.rows.is_empty() {
            return Ok(grid);
        }
    }
    Ok(Grid::default())
}

fn read_sheet(book: &mut Xlsx<Cursor<Vec<u8>>>, name: &str) -> Result<Grid, SheetError> {
    let mut reader = book.worksheet_cells_reader(name).map_err(|_| SheetError::Workbook)?;
    let mut grid = Grid::default();
    let (mut row, mut cells, mut count, mut text_bytes) = (0, Vec::new(), 0, 0);
    while let Some(cell) = reader.next_cell().map_err(|_| SheetError::Workbook)? {
        let (at, column) = cell.get_position();
        let Some(value) = value(cell.get_value())? else { continue };
        count += 1;
        if column as usize >= limit::COLUMNS_MAX {
            return Err(SheetError::TooLarge(format!("{} columns", limit::COLUMNS_MAX)));
        }
        if count > limit::CELLS_MAX {
            return Err(SheetError::TooLarge(format!("{} cells", limit::CELLS_MAX)));
        }
        // A text that stands in the file once may stand in every cell.
        text_bytes += if let Cell::Text(text) = &value { text.len() } else { 0 };
        if text_bytes > limit::TEXT_BYTES_MAX {
            return Err(SheetError::TooLarge(format!("{} bytes of text", limit::TEXT_BYTES_MAX)));
        }
        if at < row {
            return Err(SheetError::Workbook);
        }
        if at > row {
            grid.push(row as usize + 1, std::mem::take(&mut cells))?;
            row = at;
        }
        if cells.len() <= column as usize {
            cells.resize(column as usize + 1, None);
        }
        if let Some(place) = cells.get_mut(column as usize) {
            *place = Some(value);
        }
    }
    grid.push(row as usize + 1, cells)?;
    Ok(grid)
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
