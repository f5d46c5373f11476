//! An explanation as text: lines of at most 80 columns, and a table of the parts, which is as wide as its values.

use std::io::{self, Write};

use super::Explanation;
use crate::table;

/// Columns of a terminal.
const COLUMNS_MAX: usize = 80;
/// Columns of what stands before a line.
const HEAD_COLUMNS: usize = 12;

/// Prints it.
pub(super) fn print(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    if let Some(found) = &explanation.found {
        line(out, "found", found)?;
    }
    match &explanation.dialect {
        Some(dialect) => line(out, "dialect", &format!("{dialect}, answered with a {}", explanation.answer))?,
        None => line(out, "dialect", "none")?,
    }
    line(out, "stage", &format!("{}: {}", explanation.stage.unwrap_or("none"), explanation.stage_because))?;
    if explanation.dialect.is_some() {
        hit(explanation, out)?;
    }
    list(out, "missing", &explanation.missing)?;
    list(out, "note", &explanation.notes)?;
    line(out, "outcome", &format!("{}: {}", explanation.outcome, explanation.hint))
}

fn hit(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    line(out, "campaign", &explanation.campaign)?;
    line(out, "placement", &explanation.placement)?;
    line(out, "time", &explanation.time)?;
    list(out, "device", &explanation.device)?;
    list(out, "privacy", &explanation.signals)?;
    line(out, "repeats", &explanation.view)?;
    if let Some(signature) = &explanation.signature {
        line(out, "signature", signature)?;
    }
    if let Some(landing) = &explanation.landing {
        line(out, "landing", landing)?;
    }
    writeln!(out)?;
    let mut parts = table::plain(&["parameter", "value", "what it is", "what becomes of it"]);
    for part in &explanation.parts {
        let name = if part.name.is_empty() { "(by its place)" } else { &part.name };
        parts.add_row([name, &part.value, &part.meaning, &part.state]);
    }
    table::print(&parts, out)?;
    writeln!(out)
}

fn list(out: &mut dyn Write, head: &str, lines: &[String]) -> io::Result<()> {
    for (index, text) in lines.iter().enumerate() {
        line(out, if index == 0 { head } else { "" }, text)?;
    }
    Ok(())
}

/// One line, broken between words where it is longer than a terminal.
fn line(out: &mut dyn Write, head: &str, text: &str) -> io::Result<()> {
    let mut head = head;
    let mut row = String::new();
    for word in text.split(' ') {
        if !row.is_empty() && HEAD_COLUMNS + row.chars().count() + 1 + word.chars().count() > COLUMNS_MAX {
            writeln!(out, "{head:<HEAD_COLUMNS$}{row}")?;
            head = "";
            row.clear();
        }
        if !row.is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    writeln!(out, "{head:<HEAD_COLUMNS$}{row}")
}
