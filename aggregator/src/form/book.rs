//! A workbook of several tables, with what is known of them all on a first sheet: what somebody sends on, who asks no API.

use rust_xlsxwriter::{Url, Worksheet, XlsxError};
use serde_json::Value;

use super::xlsx::{Formats, begun, broken, has_room, hide_bare, rows};
use super::{Cell, FormError, Language, Table, Type};
use event::clock::UnixMs;

/// Width of the first sheet's columns, in characters.
const WIDTHS: [f64; 6] = [38.0, 22.0, 14.0, 14.0, 14.0, 14.0];

/// A sheet.
pub(crate) struct Leaf<'a> {
    /// What it is called: at most 31 characters, none of `[]:*?/\`.
    pub(crate) name: &'static str,
    /// What is in it.
    pub(crate) table: Table<'a>,
}

/// A figure by itself.
pub(crate) struct Figure<'a> {
    /// What it is.
    pub(crate) heading: String,
    /// Its value; nothing where it is left out or there is none.
    pub(crate) cell: Cell<'a>,
    /// How it is written.
    pub(crate) kind: Type,
    /// What is said in place of nothing.
    pub(crate) instead: &'static str,
}

/// A workbook.
pub(crate) struct Book<'a> {
    /// In whose words.
    pub(crate) language: Language,
    /// Name of the first sheet, and its first line.
    pub(crate) front: (&'static str, String),
    /// What is known of all of it, by the API's names.
    pub(crate) facts: Vec<(String, Vec<Value>)>,
    /// What it comes to.
    pub(crate) figures: Vec<Figure<'a>>,
    /// Which sheets there are, a row for each of the leaves.
    pub(crate) contents: Table<'a>,
    /// What a reader has to know.
    pub(crate) notes: Vec<String>,
    /// The other sheets.
    pub(crate) leaves: Vec<Leaf<'a>>,
}

impl Book<'_> {
    /// The bytes of a workbook, made at a time.
    ///
    /// # Errors
    /// See [`FormError`].
    pub(crate) fn write(&self, made_ms: UnixMs) -> Result<Vec<u8>, FormError> {
        self.leaves.iter().try_for_each(|leaf| has_room(&leaf.table))?;
        self.written(made_ms).map_err(broken)
    }

    fn written(&self, made_ms: UnixMs) -> Result<Vec<u8>, XlsxError> {
        let formats = Formats::new();
        let mut workbook = begun(&self.front.1, made_ms)?;
        self.first(workbook.add_worksheet().set_name(self.front.0)?, &formats)?;
        for leaf in &self.leaves {
            let sheet = workbook.add_worksheet().set_name(leaf.name)?;
            rows(sheet, &leaf.table, &formats)?;
            hide_bare(sheet, &leaf.table)?;
            sheet.set_paper_size(9).set_print_fit_to_pages(1, 0);
        }
        workbook.save_to_buffer()
    }

    fn first(&self, sheet: &mut Worksheet, formats: &Formats) -> Result<(), XlsxError> {
        for (at, width) in (0_u16..).zip(WIDTHS) {
            sheet.set_column_width(at, width)?;
        }
        sheet.write_string_with_format(0, 0, &self.front.1, &formats.title)?;
        let mut line = 2;
        for (name, values) in &self.facts {
            formats.write_fact(sheet, line, (name, values), Some(self.language))?;
            line += 1;
        }
        line += 1;
        for figure in &self.figures {
            sheet.write_string_with_format(line, 0, &figure.heading, &formats.header)?;
            let cell = match figure.cell {
                Cell::Nothing => Cell::Text(figure.instead),
                cell => cell,
            };
            formats.write(sheet, (line, 1), cell, figure.kind)?;
            line += 1;
        }
        line = self.contents(sheet, line + 1, formats)?;
        for note in &self.notes {
            line += 1;
            formats.write(sheet, (line, 0), Cell::Text(note), Type::Text)?;
        }
        sheet.set_landscape().set_paper_size(9).set_print_fit_to_pages(1, 0);
        Ok(())
    }

    /// The list of sheets, each a link to it. Answers the line behind it.
    fn contents(&self, sheet: &mut Worksheet, first: u32, formats: &Formats) -> Result<u32, XlsxError> {
        for (at, column) in (0_u16..).zip(&self.contents.columns) {
            sheet.write_string_with_format(first, at, self.contents.heading(column), &formats.header)?;
        }
        for ((line, row), leaf) in (first + 1..).zip(&self.contents.rows).zip(&self.leaves) {
            for ((at, column), cell) in (0_u16..).zip(&self.contents.columns).zip(row) {
                formats.write(sheet, (line, at), *cell, column.kind)?;
            }
            let link = Url::new(format!("internal:'{}'!A1", leaf.name)).set_text(leaf.name);
            sheet.write_url(line, 0, link)?;
        }
        Ok(first + 1 + self.contents.rows.len() as u32)
    }
}
