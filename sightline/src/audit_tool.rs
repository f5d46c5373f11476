//! `sightline audit verify`, `list` and `head`: looking into the audit log, also while a process writes it. Changes nothing.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use audit::{Head, Key, Line, Problem, Report};

use crate::cli::{AuditArgs, AuditCommand, OutputFormat};
use crate::config::Config;
use crate::data_dir::read_secret;
use crate::table::{self, csv_cell, thousands};

/// How often the end of the log is looked at again while a running process writes it.
const LOOKS: usize = 20;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs the command. False if the log is not whole.
pub(crate) fn run(command: &AuditCommand, out: &mut dyn Write) -> anyhow::Result<bool> {
    match command {
        AuditCommand::Verify { head, known, args } => {
            let found = look(args, head, |_| false)?;
            print_found(&found, known, out)
        }
        AuditCommand::Head { args } => {
            let found = look(args, &[], |_| false)?;
            if found.report.broken.is_some() {
                return print_found(&found, &[], out);
            }
            let head = found.report.head.context("the audit log has no entry yet")?;
            writeln!(out, "{head}")?;
            Ok(true)
        }
        AuditCommand::List { since, act, format, args } => {
            let is_wanted = |line: &Line| {
                act.as_ref().is_none_or(|act| line.act.starts_with(act.as_str()))
                    && since.is_none_or(|since| line.time.as_str() >= since.to_string().as_str())
            };
            let found = look(args, &[], is_wanted)?;
            print_lines(&found.lines, *format, out)?;
            if found.report.broken.is_none() { Ok(true) } else { print_found(&found, &[], out) }
        }
    }
}

struct Found {
    dir: String,
    /// Whether there was a head beside the key to hold the log against.
    has_kept_head: bool,
    report: Report,
    /// The entries that were wanted.
    lines: Vec<Line>,
}

/// Judges the log, and keeps the entries that are wanted: those of one judgement. What a running process is about to finish is waited for.
fn look(args: &AuditArgs, noted: &[Head], is_wanted: impl Fn(&Line) -> bool) -> anyhow::Result<Found> {
    let config = Config::load(args.config.as_deref(), args.config.is_none().then_some(args.data.as_path()))?;
    let data = config.data_dir();
    let (dir, key_file) = (data.audit(), config.audit.key_file.clone().unwrap_or_else(|| data.audit_key()));
    if !dir.is_dir() {
        bail!("there is no audit log in {}: name the data folder with --data", data.root().display());
    }
    let key = Key::from_text(&read_secret(&key_file)?)?;
    // Before the log: what is entered meanwhile stands behind it.
    let kept = audit::kept_head(&data.audit_head())
        .with_context(|| format!("the head kept in {} was changed", data.audit_head().display()))?;
    let noted: Vec<Head> = noted.iter().copied().chain(kept).collect();
    let dir_shown = dir.display().to_string();
    let mut looks = 0;
    loop {
        looks += 1;
        let mut lines = Vec::new();
        let see = |line: &Line| {
            if is_wanted(line) {
                lines.push(line.clone());
            }
        };
        let report =
            audit::verify(&dir, &key, &noted, see).with_context(|| format!("cannot read {dir_shown}"))?;
        let is_being_written = report.broken.as_ref().is_some_and(|broken| broken.problem == Problem::Torn);
        if !is_being_written || looks >= LOOKS {
            return Ok(Found { dir: dir_shown, has_kept_head: kept.is_some(), report, lines });
        }
        std::thread::sleep(PAUSE);
    }
}

/// Prints what was found. True if the log is whole, but for the damage that is known.
fn print_found(found: &Found, known: &[u64], out: &mut dyn Write) -> anyhow::Result<bool> {
    let Report { files, entries, head, broken, tails_set_aside, damage_found } = &found.report;
    let (told, new): (Vec<_>, Vec<_>) = damage_found.iter().partition(|damage| known.contains(&damage.seq));
    match broken {
        None if !new.is_empty() => writeln!(
            out,
            "{}: DAMAGED before: {} of its {} entries say what was missing or changed at a start",
            found.dir,
            thousands(new.len() as u64),
            thousands(*entries)
        )?,
        None => writeln!(
            out,
            "{}: whole, {} entries in {} files",
            found.dir,
            thousands(*entries),
            thousands(*files as u64)
        )?,
        Some(broken) if broken.line == 0 => {
            writeln!(out, "{}: CHANGED: {}", broken.file.display(), broken.problem)?;
        }
        Some(broken) => {
            writeln!(out, "{}:{}: CHANGED: {}", broken.file.display(), broken.line, broken.problem)?;
            writeln!(out, "  the {} entries before it are right", thousands(*entries))?;
        }
    }
    if let Some(head) = head {
        writeln!(out, "  head: {head}")?;
    }
    for damage in &new {
        writeln!(out, "  entry {} of {}: {}", damage.seq, damage.time, damage.what)?;
    }
    for damage in &told {
        writeln!(out, "  known, entry {} of {}: {}", damage.seq, damage.time, damage.what)?;
    }
    if !found.has_kept_head {
        writeln!(out, "  no head is kept beside the key: entries cut off the end show only with --head")?;
    }
    if *tails_set_aside > 0 {
        writeln!(
            out,
            "  unacknowledged ends of lines set aside after a crash: {tails_set_aside} (entries audit.tail_set_aside)"
        )?;
    }
    Ok(broken.is_none() && new.is_empty())
}

fn print_lines(lines: &[Line], format: OutputFormat, out: &mut dyn Write) -> anyhow::Result<()> {
    let details = |line: &Line| serde_json::to_string(&line.details).context("cannot print");
    match format {
        OutputFormat::Json => {
            for line in lines {
                writeln!(out, "{}", serde_json::to_string(line).context("cannot print")?)?;
            }
        }
        OutputFormat::Csv => {
            writeln!(out, "seq,time,actor,act,object,details")?;
            for line in lines {
                let cells = [&line.time, &line.actor, &line.act, &line.object].map(csv_cell).join(",");
                writeln!(out, "{},{cells},{}", line.seq, csv_cell(details(line)?))?;
            }
        }
        OutputFormat::Table => {
            let mut printed = table::plain(&["seq", "time", "actor", "act", "object", "details"]);
            for line in lines {
                let Line { seq, time, actor, act, object, .. } = line;
                printed.add_row([&seq.to_string(), time, actor, act, object, &details(line)?]);
            }
            table::right_align(&mut printed, &[0]);
            table::print(&printed, out)?;
        }
    }
    Ok(())
}
