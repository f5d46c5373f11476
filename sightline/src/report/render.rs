//! Reports as tables. The API's rows come in; nothing is added up here.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::Question;
use crate::cli::ReportKind;
use crate::table::{self, thousands};

/// Columns that come first, in this order, with their heads. What a row has beyond them follows by name.
const HEADS: &[(&str, &str)] = &[
    ("key", ""),
    ("impressions", "impressions"),
    ("identified_impressions", "identified"),
    ("id_coverage", "id coverage"),
    ("clicks", "clicks"),
    ("reach", "reach"),
    ("average_frequency", "frequency"),
];
/// Not columns of a table: said above it, or shown in the other report.
const SAID_ELSEWHERE: &[&str] =
    &["settled_until", "exact", "provisional", "n_plus", "exactly", "standard_error"];

/// Prints a report as a table.
pub(super) fn print(question: &Question<'_>, report: &Value, out: &mut dyn Write) -> io::Result<()> {
    let rows = rows(report);
    head(question, report, &rows, out)?;
    if rows.is_empty() {
        return writeln!(out, "no events in this period");
    }
    match question.kind {
        ReportKind::Frequency => {
            for row in &rows {
                frequency(row, rows.len() > 1, out)?;
            }
            Ok(())
        }
        ReportKind::Reach => flat(&rows, true, out),
        ReportKind::Delivery => flat(&rows, false, out),
    }
}

/// Prints what was settled.
pub(super) fn print_settled(done: &Value, out: &mut dyn Write) -> io::Result<()> {
    let days = done.get("days").or(Some(done)).and_then(Value::as_array);
    match days {
        Some(days) if days.is_empty() => writeln!(out, "nothing had changed"),
        Some(days) => {
            let names: Vec<String> = days.iter().map(|day| text(day.get("day").unwrap_or(day))).collect();
            writeln!(out, "settled {} days: {}", days.len(), names.join(" "))
        }
        None => writeln!(out, "{done}"),
    }
}

fn rows(report: &Value) -> Vec<Map<String, Value>> {
    let rows = report.get("rows").or(Some(report)).and_then(Value::as_array);
    rows.map(|rows| rows.iter().filter_map(Value::as_object).cloned().collect()).unwrap_or_default()
}

/// What the figures are of, and how final they are.
fn head(
    question: &Question<'_>,
    report: &Value,
    rows: &[Map<String, Value>],
    out: &mut dyn Write,
) -> io::Result<()> {
    let said = |name: &str| report.get(name).map(text).filter(|t| !t.is_empty());
    let period = match (said("from"), said("to")) {
        (Some(from), Some(to)) => format!(", {from} to {to}"),
        _ => String::new(),
    };
    let zone = said("time_zone").map_or_else(String::new, |zone| format!(" ({zone})"));
    let filter = said("filter").unwrap_or_else(|| format!("{:?}", question.filter).to_lowercase());
    writeln!(out, "{} of {}{period}{zone}, {filter}", question.kind.name(), question.campaign)?;
    let of_rows = |name: &str| rows.first().and_then(|row| row.get(name));
    let settled =
        said("settled_until").or_else(|| of_rows("settled_until").map(text).filter(|t| !t.is_empty()));
    match settled {
        Some(until) => writeln!(out, "settled until {until}; later days are provisional")?,
        None => writeln!(out, "provisional: nothing is settled yet (--settle brings it up to date)")?,
    }
    if of_rows("exact").and_then(Value::as_bool) == Some(false) {
        writeln!(out, "estimated from a sample of devices; ± is one standard error")?;
    }
    writeln!(out)
}

/// One line for each row; with the N+ columns if asked.
fn flat(rows: &[Map<String, Value>], with_n_plus: bool, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Map<String, Value>> = rows.iter().map(flattened).collect();
    let mut names: Vec<String> = HEADS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .filter(|n| rows.iter().any(|r| r.contains_key(n)))
        .collect();
    for row in &rows {
        for name in row.keys() {
            let is_known = names.contains(name) || SAID_ELSEWHERE.contains(&name.as_str());
            if !is_known && !row.get(name).is_some_and(Value::is_array) {
                names.push(name.clone());
            }
        }
    }
    let widest =
        if with_n_plus { rows.iter().map(|row| numbers(row, "n_plus").len()).max().unwrap_or(0) } else { 0 };
    let mut heads: Vec<String> = names.iter().map(|name| head_of(name)).collect();
    heads.extend((1..=widest).map(|n| format!("{n}+")));
    let mut shown = table::plain(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for row in &rows {
        let mut cells: Vec<String> = names.iter().map(|name| cell(name, row.get(name))).collect();
        let n_plus = numbers(row, "n_plus");
        cells.extend((0..widest).map(|n| n_plus.get(n).map_or_else(String::new, |value| whole(*value))));
        shown.add_row(cells);
    }
    table::right_align(&mut shown, &(1..heads.len()).collect::<Vec<_>>());
    table::print(&shown, out)
}

/// The distribution of one row, a line for each N.
fn frequency(row: &Map<String, Value>, with_key: bool, out: &mut dyn Write) -> io::Result<()> {
    let (n_plus, exactly, errors) =
        (numbers(row, "n_plus"), numbers(row, "exactly"), numbers(row, "standard_error"));
    let reach = n_plus.first().copied().unwrap_or(0.0);
    if with_key {
        writeln!(out, "{}", row.get("key").map(text).unwrap_or_default())?;
    }
    let mut shown = table::plain(&["times", "devices", "of reach", "at least", "of reach", "±"]);
    let share =
        |value: f64| if reach > 0.0 { format!("{:.1} %", value / reach * 100.0) } else { String::new() };
    let last = n_plus.len().max(exactly.len());
    // Lines beyond the highest frequency say nothing but zeros.
    let shown_max = (0..last).rev().find(|n| n_plus.get(*n).is_some_and(|v| *v > 0.0)).map_or(1, |n| n + 1);
    for n in 0..shown_max {
        let (exact, plus) = (exactly.get(n).copied(), n_plus.get(n).copied());
        let name = if n + 1 == exactly.len() { format!("{} or more", n + 1) } else { (n + 1).to_string() };
        shown.add_row([
            name,
            exact.map_or_else(String::new, whole),
            exact.map_or_else(String::new, share),
            plus.map_or_else(String::new, whole),
            plus.map_or_else(String::new, share),
            errors.get(n).filter(|e| **e > 0.0).map_or_else(String::new, |e| whole(*e)),
        ]);
    }
    table::right_align(&mut shown, &[0, 1, 2, 3, 4, 5]);
    table::print(&shown, out)
}

/// Nested objects (`removed`: reason → count) as columns of their own.
fn flattened(row: &Map<String, Value>) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in row {
        match value.as_object() {
            Some(inner) => {
                let columns = inner.iter().map(|(key, value)| (format!("{name}: {key}"), value.clone()));
                flat.extend(columns);
            }
            None => {
                flat.insert(name.clone(), value.clone());
            }
        }
    }
    flat
}

fn head_of(name: &str) -> String {
    HEADS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or_else(|| name.replace('_', " "), |(_, head)| (*head).to_owned())
}

fn cell(name: &str, value: Option<&Value>) -> String {
    match (name, value) {
        (_, None | Some(Value::Null)) => String::new(),
        ("id_coverage", Some(value)) => {
            value.as_f64().map_or_else(String::new, |v| format!("{:.1} %", v * 100.0))
        }
        ("average_frequency", Some(value)) => value.as_f64().map_or_else(String::new, |v| format!("{v:.3}")),
        (_, Some(value)) => text(value),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), thousands),
        other => other.to_string(),
    }
}

fn numbers(row: &Map<String, Value>, name: &str) -> Vec<f64> {
    row.get(name)
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_f64).collect())
        .unwrap_or_default()
}

/// A count; a sampled one is rounded to devices.
fn whole(value: f64) -> String {
    thousands(value.round().max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::{By, Filter};

    fn question(kind: ReportKind) -> Question<'static> {
        Question { kind, campaign: "demo", from: None, to: None, by: By::Total, filter: Filter::Net }
    }

    fn printed(kind: ReportKind, report: &Value) -> String {
        let mut out = Vec::new();
        print(&question(kind), report, &mut out).expect("prints");
        String::from_utf8(out).expect("text")
    }

    fn reach() -> Value {
        json!({"rows": [{"key": "total", "impressions": 9960, "identified_impressions": 9960, "id_coverage": 1.0, "clicks": 442,
            "reach": 8861, "average_frequency": 1.124_026, "n_plus": [8861, 838, 235, 23, 3, 0], "exactly": [8023, 603, 212, 20, 3, 0],
            "standard_error": [0, 0, 0, 0, 0, 0], "exact": true, "settled_until": "2026-11-20"}]})
    }

    #[test]
    fn reach_shows_the_figures_and_every_n_plus() {
        let text = printed(ReportKind::Reach, &reach());
        for part in ["9,960", "8,861", "100.0 %", "1.124", "1+", "6+", "838", "settled until 2026-11-20"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("standard"), "{text}");
    }

    #[test]
    fn frequency_has_a_line_for_each_n_that_occurs() {
        let text = printed(ReportKind::Frequency, &reach());
        assert!(text.contains("8,023") && text.contains("90.5 %") && text.contains("603"), "{text}");
        assert!(!text.contains("6 or more"), "{text}");
    }

    #[test]
    fn what_was_removed_becomes_columns_and_nothing_settled_is_said() {
        let report =
            json!({"rows": [{"key": "p1", "impressions": 12, "removed": {"duplicate": 3, "robot": 1}}]});
        let text = printed(ReportKind::Delivery, &report);
        assert!(text.contains("removed: duplicate") && text.contains("provisional"), "{text}");
        assert!(printed(ReportKind::Delivery, &json!({"rows": []})).contains("no events"));
    }
}
