//! CSV (RFC 4180, lines end with a line feed): the rows only.

use super::{Cell, Table, is_formula};

/// The byte order mark.
const MARK: &str = "\u{feff}";
/// What a field is quoted for: the separators of Excel in any language, quotes and ends of lines.
const QUOTED: [char; 6] = ['"', ',', ';', '\t', '\r', '\n'];

pub(super) fn write(table: &Table<'_>, mark: bool) -> Vec<u8> {
    let mut text = if mark { MARK.to_owned() } else { String::new() };
    line(&mut text, table.columns.iter().map(|column| field(&table.heading(column))));
    for row in &table.rows {
        let cells = row.iter().zip(&table.columns).map(|(cell, column)| match cell {
            Cell::Text(text) => field(table.worded(column, text)),
            cell => value(cell),
        });
        line(&mut text, cells);
    }
    text.into_bytes()
}

fn line(text: &mut String, fields: impl Iterator<Item = String>) {
    for (number, field) in fields.enumerate() {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&field);
    }
    text.push('\n');
}

fn value(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Text(text) | Cell::Day(text) => field(text),
        Cell::Count(count) => count.to_string(),
        Cell::Change(change) => change.to_string(),
        Cell::Number(number) => format!("{number:?}"),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Nothing => String::new(),
    }
}

/// A text that no spreadsheet takes for a formula: such a one gets an apostrophe in front. Where lists are separated by semicolons Excel splits a line at
/// those, within quotes too unless they begin the line; so what stands behind one is looked at in the same way.
fn field(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 2);
    for (number, piece) in text.split_inclusive([';', '\t', '\r', '\n']).enumerate() {
        let bare = if number == 0 { piece } else { piece.trim_start_matches('"') };
        if is_formula(bare) {
            safe.push('\'');
        }
        safe.push_str(piece);
    }
    if safe.contains(QUOTED) || safe.starts_with(' ') || safe.ends_with(' ') {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_a_formula_whatever_excel_splits_lines_at() {
        for (text, expected) in [
            ("a", "a"),
            ("a,\"b\"", "\"a,\"\"b\"\"\""),
            ("=1+1", "'=1+1"),
            (" =1+1", "' =1+1"),
            ("＝1+1", "'＝1+1"),
            ("x;=1+1", "\"x;'=1+1\""),
            ("x;\"=1+1", "\"x;'\"\"=1+1\""),
            ("x\n@SUM(A1)", "\"x\n'@SUM(A1)\""),
            ("https://t.example/i?a=b", "https://t.example/i?a=b"),
        ] {
            assert_eq!(field(text), expected, "{text:?}");
        }
    }
}
