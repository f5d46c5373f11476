//! Tables for people: plain columns, numbers right-aligned with thousands separators.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// An empty table with these column heads.
pub(crate) fn plain(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads.iter().map(|head| (*head).to_owned()));
    table
}

/// Prints a table without white space at the ends of its lines.
pub(crate) fn print(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Aligns these columns (from 0) to the right.
pub(crate) fn right_align(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A cell of a CSV file (RFC 4180): quoted where it has to be. A cell that a spreadsheet would run as a formula gets a
/// space in front.
pub(crate) fn csv_cell(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let text =
        if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!(" {text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_are_quoted_and_never_a_formula() {
        assert_eq!(csv_cell("a"), "a");
        assert_eq!(csv_cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_cell("=1+1"), " =1+1");
    }

    #[test]
    fn thousands_are_separated_from_the_right() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn numbers_stand_under_each_other() {
        let mut table = plain(&["what", "rows"]);
        table.add_row(["a", "1"]).add_row(["b", "1,000"]);
        right_align(&mut table, &[1]);
        let lines: Vec<String> = table.lines().collect();
        assert!(lines[1].trim_end().ends_with("    1") && lines[2].trim_end().ends_with("1,000"), "{table}");
    }
}
