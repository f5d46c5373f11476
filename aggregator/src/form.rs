//! Tables and the forms in which they leave the program: JSON, CSV, XLSX and Parquet.
//!
//! Owns how a typed cell is written in each form. A table is one list of columns and, for each row, one cell for each of them; every form is written from
//! that list and nothing else, so that no column can be missing in one of them. Groups and lists are nested in JSON (`"n_plus":[3,1]`) and spread
//! over columns elsewhere (`n_plus_1`, `n_plus_2`).
//!
//! CSV and XLSX may be written in the words of a language ([`words`]): other headings, the same figures.
//!
//! Must never: write a text that a spreadsheet would run as a formula, or a number or date as text where the form has numbers and dates.

pub(crate) mod book;
mod csv;
mod parquet;
pub(crate) mod words;
mod xlsx;

use chrono::NaiveDate;
use event::clock::UnixMs;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::{Map, Value};

pub(crate) use self::words::{Language, Names};

/// Beginnings of texts that spreadsheets take for formulas, the wide ones of Chinese input included.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A written form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One object with its rows.
    Json,
    /// A header and the rows, UTF-8.
    Csv {
        /// Whether it begins with the byte order mark, without which Excel takes it for another encoding.
        mark: bool,
    },
    /// A workbook: the rows, and what is known about them on a second sheet.
    Xlsx,
    /// The rows, typed, with what is known about them in the file's key-value metadata.
    Parquet,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Text.
    Text,
    /// A day, `YYYY-MM-DD`.
    Day,
    /// A whole number.
    Count,
    /// A part of a whole; 1 is all of it.
    Rate,
    /// A difference of two whole numbers.
    Change,
    /// Any other number.
    Number,
    /// Yes or no.
    Flag,
}

/// Where a column stands in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// By itself.
    Alone(&'static str),
    /// In the object of this name.
    Member(&'static str, &'static str),
    /// In the list of this name, at this place from 1 on.
    Item(&'static str, usize),
    /// The same of a list of names, which ends where they do.
    Name(&'static str, usize),
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) place: Place,
    pub(crate) kind: Type,
    /// Whether there may be nothing in it.
    pub(crate) may_be_empty: bool,
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Of [`Type::Text`].
    Text(&'a str),
    /// Of [`Type::Day`]: `YYYY-MM-DD`.
    Day(&'a str),
    /// Of [`Type::Count`].
    Count(u64),
    /// Of [`Type::Change`].
    Change(i64),
    /// Of [`Type::Rate`] and [`Type::Number`].
    Number(f64),
    /// Of [`Type::Flag`].
    Flag(bool),
    /// Not known, or not defined.
    Nothing,
}

/// A finished table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table<'a> {
    /// Its name: that of the first sheet.
    pub(crate) name: &'static str,
    /// What is known about all rows.
    pub(crate) about: Map<String, Value>,
    /// More of it in words, where there is a place for words.
    pub(crate) notes: Vec<(&'static str, String)>,
    /// The list.
    pub(crate) columns: Vec<Column>,
    /// One cell for each column.
    pub(crate) rows: Vec<Vec<Cell<'a>>>,
    /// In whose words a sheet of it is headed; the API's own names without one.
    pub(crate) language: Option<Language>,
}

/// Why a table cannot be written in a form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormError {
    /// Caller: the form has no room for it.
    #[error("{0}: ask for fewer rows, or for csv")]
    TooLarge(String),
    /// Ours: a column and its cells do not fit.
    #[error("the report cannot be written as {form}: {why}")]
    Broken {
        /// The form.
        form: &'static str,
        /// The library's words.
        why: String,
    },
}

impl Form {
    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv { .. } => "text/csv; charset=utf-8; header=present",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// Whether people open it as a sheet.
    pub(crate) fn is_of_sheets(self) -> bool {
        matches!(self, Self::Csv { .. } | Self::Xlsx)
    }

    /// How a file of it ends, where it is one to be saved.
    pub(crate) fn extension(self) -> Option<&'static str> {
        match self {
            Self::Json => None,
            Self::Csv { .. } => Some("csv"),
            Self::Xlsx => Some("xlsx"),
            Self::Parquet => Some("parquet"),
        }
    }
}

impl Place {
    /// The name where there are no groups.
    pub(crate) fn flat(&self) -> String {
        match self {
            Self::Alone(name) => (*name).to_owned(),
            Self::Member(group, name) => format!("{group}_{name}"),
            Self::Item(list, number) | Self::Name(list, number) => format!("{list}_{number}"),
        }
    }

    fn is_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Member(one, _), Self::Member(other, _))
            | (Self::Item(one, _), Self::Item(other, _))
            | (Self::Name(one, _), Self::Name(other, _)) => one == other,
            _ => false,
        }
    }
}

impl<'a> Table<'a> {
    /// Puts the names of ids beside them.
    pub(crate) fn with_names(&mut self, names: &'a Names) {
        let column =
            |name: &&'static str| Column { place: Place::Alone(name), kind: Type::Text, may_be_empty: true };
        self.columns.splice(1..1, names.columns.iter().map(column));
        for row in &mut self.rows {
            let Some(Cell::Text(key)) = row.first() else { continue };
            let of = names.of.get(*key);
            let cell =
                |at: usize| of.and_then(|of| of.get(at)).map_or(Cell::Nothing, |name| Cell::Text(name));
            row.splice(1..1, (0..names.columns.len()).map(cell));
        }
    }
}

impl Table<'_> {
    /// The bytes of a form, made at a time.
    ///
    /// # Errors
    /// See [`FormError`].
    pub(crate) fn write(&self, form: Form, made_ms: UnixMs) -> Result<Vec<u8>, FormError> {
        match form {
            Form::Json => serde_json::to_vec(self)
                .map_err(|error| FormError::Broken { form: "json", why: error.to_string() }),
            Form::Csv { mark } => Ok(csv::write(self, mark)),
            Form::Xlsx => xlsx::write(self, made_ms),
            Form::Parquet => parquet::write(self),
        }
    }

    /// What the rows are keyed by.
    fn by(&self) -> &str {
        self.about.get("by").and_then(Value::as_str).unwrap_or_default()
    }

    /// The heading of a column in a sheet.
    pub(crate) fn heading(&self, column: &Column) -> String {
        let Some(language) = self.language else { return column.place.flat() };
        let entries = self.columns.iter().filter(|other| column.place.is_with(&other.place)).count();
        words::heading(column, (self.by(), entries), language)
    }

    /// A text in a sheet.
    fn worded<'t>(&self, column: &Column, text: &'t str) -> &'t str {
        self.language.and_then(|language| words::value(column, self.by(), text, language)).unwrap_or(text)
    }

    /// What is known about the rows, by flat names: one value, or those of a list.
    pub(crate) fn facts(&self) -> Vec<(String, Vec<Value>)> {
        let mut facts = Vec::new();
        for (name, value) in &self.about {
            flatten(name.clone(), value, &mut facts);
        }
        facts.extend(self.notes.iter().map(|(name, words)| ((*name).to_owned(), vec![words.clone().into()])));
        facts
    }
}

fn flatten(name: String, value: &Value, facts: &mut Vec<(String, Vec<Value>)>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(field, value)| flatten(format!("{name}_{field}"), value, facts));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in (1..).zip(items) {
                flatten(format!("{name}_{number}"), item, facts);
            }
        }
        Value::Array(items) => facts.push((name, items.clone())),
        Value::Null => facts.push((name, Vec::new())),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => facts.push((name, vec![value.clone()])),
    }
}

/// Whether a spreadsheet would take a text for a formula.
pub(crate) fn is_formula(text: &str) -> bool {
    // Blanks in front are dropped by some of them.
    text.trim_start_matches([' ', '\u{a0}', '\u{3000}', '\u{feff}']).starts_with(FORMULA_STARTS)
}

fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) | Self::Day(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Change(change) => serializer.serialize_i64(*change),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Nothing => serializer.serialize_none(),
        }
    }
}

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.about {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("rows", &Rows(self))?;
        map.end()
    }
}

struct Rows<'t, 'a>(&'t Table<'a>);

impl Serialize for Rows<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let places: Vec<&Place> = self.0.columns.iter().map(|column| &column.place).collect();
        let mut list = serializer.serialize_seq(Some(self.0.rows.len()))?;
        for cells in &self.0.rows {
            list.serialize_element(&Entries { places: &places, cells })?;
        }
        list.end()
    }
}

struct Entries<'t, 'a> {
    places: &'t [&'t Place],
    cells: &'t [Cell<'a>],
}

impl Serialize for Entries<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entries(&mut map, self.places, self.cells)?;
        map.end()
    }
}

/// Writes cells into an object, those of one group or list together.
fn entries<M: SerializeMap>(map: &mut M, places: &[&Place], cells: &[Cell<'_>]) -> Result<(), M::Error> {
    let mut rest = cells;
    for run in places.chunk_by(|one, next| one.is_with(next)) {
        let (here, behind) = rest.split_at_checked(run.len()).unwrap_or((rest, &[]));
        rest = behind;
        match (run, here) {
            ([Place::Alone(name)], [cell]) => map.serialize_entry(name, cell)?,
            ([Place::Member(group, _), ..], _) => {
                map.serialize_entry(group, &Members { places: run, cells: here })?;
            }
            ([Place::Item(list, _), ..], _) => map.serialize_entry(list, here)?,
            ([Place::Name(list, _), ..], _) => {
                let names: Vec<&Cell<'_>> = here.iter().filter(|cell| **cell != Cell::Nothing).collect();
                map.serialize_entry(list, &names)?;
            }
            _ => {}
        }
    }
    Ok(())
}

struct Members<'t, 'a> {
    places: &'t [&'t Place],
    cells: &'t [Cell<'a>],
}

impl Serialize for Members<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = self.places.iter().zip(self.cells).filter_map(|(place, cell)| match place {
            Place::Member(_, name) => Some((*name, cell)),
            Place::Alone(_) | Place::Item(..) | Place::Name(..) => None,
        });
        serializer.collect_map(named)
    }
}
