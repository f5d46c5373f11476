//! An explanation as text for a terminal of 80 columns and more.

use std::io::{self, Write};

use super::Explanation;
use crate::table;

/// Prints it.
pub(super) fn print(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    if let Some(found) = &explanation.found {
        writeln!(out, "found       {found}")?;
    }
    match &explanation.dialect {
        Some(dialect) => writeln!(out, "dialect     {dialect}, answered with a {}", explanation.answer)?,
        None => writeln!(out, "dialect     none")?,
    }
    writeln!(out, "stage       {}: {}", explanation.stage.unwrap_or("none"), explanation.stage_because)?;
    if explanation.dialect.is_some() {
        hit(explanation, out)?;
    }
    list(out, "missing", &explanation.missing)?;
    list(out, "note", &explanation.notes)?;
    writeln!(out, "outcome     {}: {}", explanation.outcome, explanation.hint)
}

fn hit(explanation: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "campaign    {}", explanation.campaign)?;
    writeln!(out, "placement   {}", explanation.placement)?;
    writeln!(out, "time        {}", explanation.time)?;
    list(out, "device", &explanation.device)?;
    list(out, "privacy", &explanation.signals)?;
    writeln!(out, "repeats     {}", explanation.view)?;
    if let Some(signature) = &explanation.signature {
        writeln!(out, "signature   {signature}")?;
    }
    if let Some(landing) = &explanation.landing {
        writeln!(out, "landing     {landing}")?;
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
    for (index, line) in lines.iter().enumerate() {
        writeln!(out, "{:<11} {line}", if index == 0 { head } else { "" })?;
    }
    Ok(())
}
