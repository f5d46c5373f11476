//! From a line of a register's file to one id: which column is what, and why a line is none.

use std::borrow::Cow;

use anyhow::bail;
use serde::Deserialize;

/// How a register is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RegisterFormat {
    /// Columns separated by commas, named in the first line.
    Csv,
    /// Columns separated by tabs, named in the first line.
    Tsv,
    /// One JSON object a line: {"kind":"…","value":"…"}.
    Ndjson,
    /// One value a line and nothing else; --kind says what they are.
    Lines,
}

/// Why a line is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    LineTooLong,
    NotUtf8,
    Json,
    Columns,
    NoKind,
}

impl Broken {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::NotUtf8 => "not_utf8",
            Self::Json => "broken_json",
            Self::Columns => "wrong_columns",
            Self::NoKind => "no_kind",
        }
    }
}

/// How a file's lines are read.
#[derive(Debug)]
pub(super) struct Rows {
    format: RegisterFormat,
    /// Of every row that says none itself.
    kind: Option<String>,
    /// Places of the columns `kind` and `value`, and how many columns there are.
    columns: Option<(Option<usize>, usize, usize)>,
}

/// An id as a register has it. Neither `Debug` nor `Clone`: it is an identifier.
#[derive(Deserialize)]
pub(super) struct Id<'a> {
    #[serde(borrow, default)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) value: Cow<'a, str>,
}

impl Rows {
    /// Reads rows of this format. The first line of a file with columns goes to [`Rows::name_columns`].
    pub(super) fn new(format: RegisterFormat, kind: Option<String>) -> Self {
        Self { format, kind, columns: None }
    }

    /// Whether the first line names the columns.
    pub(super) fn has_header(&self) -> bool {
        matches!(self.format, RegisterFormat::Csv | RegisterFormat::Tsv)
    }

    /// Takes the names of the columns.
    pub(super) fn name_columns(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let Ok(line) = std::str::from_utf8(line) else { bail!("the first line is not UTF-8") };
        let names: Vec<String> =
            self.cells(line).iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        let find = |wanted: &str| names.iter().position(|name| name == wanted);
        // What stands in the line instead is not said: it may be an id.
        let Some(value) = find("value") else {
            bail!(
                "the first line names no column `value`: it has to name the columns, `kind` and `value` among them, with a comma \
                 (csv) or a tab (tsv) between; a file of bare values is read with --format lines --kind KIND"
            );
        };
        let kind = find("kind");
        if kind.is_none() && self.kind.is_none() {
            bail!("the first line names no column `kind`: say what the values are with --kind");
        }
        self.columns = Some((kind, value, names.len()));
        Ok(())
    }

    /// The id of a line.
    pub(super) fn id<'a>(&self, line: &'a [u8]) -> Result<Id<'a>, Broken> {
        let line = std::str::from_utf8(line).map_err(|_| Broken::NotUtf8)?;
        let mut id = match self.format {
            RegisterFormat::Lines => Id { kind: Cow::Borrowed(""), value: Cow::Borrowed(line) },
            RegisterFormat::Ndjson => serde_json::from_str(line).map_err(|_| Broken::Json)?,
            RegisterFormat::Csv | RegisterFormat::Tsv => {
                let (kind, value, count) = self.columns.ok_or(Broken::Columns)?;
                let mut cells = self.cells(line);
                if cells.len() != count {
                    return Err(Broken::Columns);
                }
                let mut take = |at: usize| cells.get_mut(at).map(std::mem::take).unwrap_or_default();
                Id { value: take(value), kind: kind.map(&mut take).unwrap_or_default() }
            }
        };
        if id.kind.trim().is_empty() {
            id.kind = Cow::Owned(self.kind.clone().ok_or(Broken::NoKind)?);
        }
        Ok(id)
    }

    /// The cells of a line. Of CSV a cell may stand in quotes (RFC 4180), within its line.
    fn cells<'a>(&self, line: &'a str) -> Vec<Cow<'a, str>> {
        if self.format == RegisterFormat::Tsv {
            return line.split('\t').map(Cow::Borrowed).collect();
        }
        let (mut cells, mut start, mut is_quoted) = (Vec::new(), 0, false);
        for (at, character) in line.char_indices().chain([(line.len(), ',')]) {
            match character {
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted || at == line.len() => {
                    cells.push(unquoted(line.get(start..at).unwrap_or_default()));
                    start = at + 1;
                }
                _ => {}
            }
        }
        cells
    }
}

fn unquoted(cell: &str) -> Cow<'_, str> {
    let inner = cell.trim().strip_prefix('"').and_then(|cell| cell.strip_suffix('"'));
    match inner {
        Some(inner) if inner.contains('"') => Cow::Owned(inner.replace("\"\"", "\"")),
        Some(inner) => Cow::Borrowed(inner),
        None => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rows: &Rows, line: &str) -> Result<(String, String), &'static str> {
        let id = rows.id(line.as_bytes()).map_err(Broken::name)?;
        Ok((id.kind.into_owned(), id.value.into_owned()))
    }

    type Pair = (String, String);

    fn pair(kind: &str, value: &str) -> Pair {
        (kind.to_owned(), value.to_owned())
    }

    #[test]
    fn columns_are_found_by_their_names_in_any_order() {
        let mut rows = Rows::new(RegisterFormat::Csv, None);
        rows.name_columns(b"\xef\xbb\xbfsince, \"Value\",KIND").expect("named");
        assert_eq!(read(&rows, "2026-01-02,abc,oaid"), Ok(pair("oaid", "abc")));
        assert_eq!(read(&rows, "\"a, b\",\"x\"\"y\",\"imei\""), Ok(pair("imei", "x\"y")));
        assert_eq!(read(&rows, "abc,oaid"), Err("wrong_columns"));
        assert_eq!(read(&rows, "1,abc,"), Err("no_kind"));
        let mut rows = Rows::new(RegisterFormat::Tsv, Some("imei".to_owned()));
        rows.name_columns(b"value").expect("named");
        assert_eq!(read(&rows, "12"), Ok(pair("imei", "12")));
        assert_eq!(read(&rows, "1\t2"), Err("wrong_columns"));
    }

    #[test]
    fn other_forms_are_read_and_what_is_broken_is_named() {
        let rows = Rows::new(RegisterFormat::Ndjson, Some("oaid".to_owned()));
        assert_eq!(read(&rows, r#"{"kind":"idfa","value":"A","since":2020}"#), Ok(pair("idfa", "A")));
        assert_eq!(read(&rows, r#"{"value":"A"}"#), Ok(pair("oaid", "A")));
        assert_eq!(read(&rows, r#"{"kind":"idfa"}"#), Err("broken_json"));
        assert_eq!(read(&rows, r#"{"kind":"imei","value":12}"#), Err("broken_json"));
        let rows = Rows::new(RegisterFormat::Lines, Some("oaid".to_owned()));
        assert_eq!(read(&rows, "abc"), Ok(pair("oaid", "abc")));
        assert_eq!(rows.id(b"\xff").map(|_| ()).map_err(Broken::name), Err("not_utf8"));
    }

    #[test]
    fn a_header_that_is_a_row_is_refused_without_showing_it() {
        let mut rows = Rows::new(RegisterFormat::Csv, None);
        for line in ["imei,490154203237518", "value", "\u{e4}"] {
            let error = rows.name_columns(line.as_bytes()).expect_err(line).to_string();
            assert!(error.contains("kind") && !error.contains("490154203237518"), "{error}");
        }
    }
}
