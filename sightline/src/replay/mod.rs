//! `sightline replay`: past beacons from a file, through the tracker's real HTTP port, each at its recorded time.
//!
//! 1. [`lines`] reads lines with a bound; [`mapping`] decides which column fills which field, and what was decided is printed.
//! 2. [`rows`] turns a line into one item of `POST /v1/events` (with [`values`] for times and stages).
//! 3. [`send`] sends batches from a few threads, sends again what was not stored, and counts every row's outcome.
//!
//! Memory is bounded by batches × threads, whatever the file's size. Messages name line numbers, never a value of the file.

pub(crate) mod lines;
mod mapping;
mod rows;
mod send;
mod values;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{FileFormat, ReplayArgs};
use crate::client::{Client, Listener, unreachable};
use crate::config::ConfigError;
use crate::data_dir::{DataDir, read_secret};
use crate::table;
use lines::{Line, Lines};
use mapping::{Columns, Pair, Wish};
use rows::{Fixed, NGINX_COLUMNS, Rows, Skip};
use send::{Batch, Count, Sender, Tally};

/// Most bytes of items in one request: well under the tracker's default limit of a body.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Rows of JSON that are looked at to learn the names in them.
const ROWS_LOOKED_AT: usize = 100;
/// Read buffer, bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// An open file of past beacons, with the lines read ahead to learn its columns.
struct Input {
    lines: Lines<Box<dyn BufRead>>,
    ahead: VecDeque<(u64, Line, Vec<u8>)>,
    /// Bytes of the file, if it has a size.
    bytes: Option<u64>,
    names: Vec<String>,
}

/// Runs the command. `Ok(false)` if a row could not be delivered.
pub(crate) fn run(args: &ReplayArgs, out: &mut dyn Write) -> anyhow::Result<bool> {
    let data = DataDir::new(&args.data);
    let format = format_of(args)?;
    let mut input = open(&args.file, format)?;
    let wish = Wish {
        map: &args.map,
        stage_column: args.stage_column.as_deref(),
        has_campaign: args.campaign.is_some(),
        has_placement: args.placement.is_some(),
    };
    let columns = Columns { names: &input.names, open_ended: format != FileFormat::Tsv };
    let pairs = mapping::decide(&wish, &columns).map_err(|error| ConfigError::usage(error.to_string()))?;
    let client = tracker(args, &data)?;
    print_mapping(args, &pairs, &client);
    let fixed = Fixed {
        campaign: args.campaign.clone(),
        placement: args.placement.clone(),
        stage: values::stage(&args.stage).into_owned(),
        path: args.path.clone(),
    };
    let rows = Rows::new(format, input.names.clone(), pairs, fixed);
    let bar = progress_bar(input.bytes);
    let sender = Sender::start(&client, usize::from(args.parallel), &bar);
    let all_read = feed(&mut input, &rows, &sender, usize::from(args.batch));
    let last_line = input.lines.number;
    let tally = sender.finish();
    bar.finish_and_clear();
    let reached_end = all_read.with_context(|| format!("cannot read on in {}", args.file.display()))?;
    print_outcomes(&tally, out).context("cannot print the outcomes")?;
    if let Some(why) = &tally.fatal {
        eprintln!("error: {why}");
    }
    if !reached_end {
        eprintln!(
            "error: stopped after line {last_line}; run the same command again: rows with a request id are not counted twice"
        );
    }
    Ok(tally.undelivered.rows == 0 && tally.fatal.is_none() && reached_end)
}

fn format_of(args: &ReplayArgs) -> anyhow::Result<FileFormat> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    match args.file.extension().and_then(|e| e.to_str()) {
        Some("tsv" | "tab") => Ok(FileFormat::Tsv),
        Some("ndjson" | "jsonl" | "json") => Ok(FileFormat::Ndjson),
        Some("log") => Ok(FileFormat::Nginx),
        _ if !is_stdin(&args.file) && !args.file.exists() => {
            Err(ConfigError::in_file(&args.file, "there is no such file").into())
        }
        _ => Err(ConfigError::usage(format!(
            "cannot tell how {} is written: give --format tsv, ndjson or nginx",
            args.file.display()
        ))
        .into()),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn open(path: &Path, format: FileFormat) -> anyhow::Result<Input> {
    let (reader, bytes): (Box<dyn BufRead>, _) = if is_stdin(path) {
        (Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin())), None)
    } else {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
        (Box::new(BufReader::with_capacity(BUFFER_BYTES, file)), bytes)
    };
    let mut input = Input { lines: Lines::new(reader), ahead: VecDeque::new(), bytes, names: Vec::new() };
    learn_columns(&mut input, format).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(input)
}

fn learn_columns(input: &mut Input, format: FileFormat) -> anyhow::Result<()> {
    match format {
        FileFormat::Tsv => {
            let mut header = Vec::new();
            match input.lines.next_into(&mut header)? {
                None => bail!("the file is empty; its first line has to name the columns"),
                Some(Line::TooLong) => bail!("the first line is too long to name columns"),
                Some(Line::Whole) => {}
            }
            let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header);
            let header = std::str::from_utf8(header).context("the first line is not UTF-8")?;
            input.names = header.split('\t').map(|name| name.trim().to_owned()).collect();
            if input.names.iter().any(|name| name.parse::<f64>().is_ok() || name.is_empty()) {
                bail!(
                    "the first line has to name the columns, but it looks like a row: {} cells",
                    input.names.len()
                );
            }
        }
        FileFormat::Nginx => {
            input.names = NGINX_COLUMNS.iter().map(|name| (*name).to_owned()).collect();
            look_ahead(input, rows::argument_names)?;
        }
        FileFormat::Ndjson => look_ahead(input, |line| {
            let row: Option<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(line).ok();
            row.map(|row| row.keys().cloned().collect()).unwrap_or_default()
        })?,
    }
    Ok(())
}

/// Reads the first rows and collects the names that they use.
fn look_ahead(input: &mut Input, names: impl Fn(&[u8]) -> Vec<String>) -> io::Result<()> {
    while input.ahead.len() < ROWS_LOOKED_AT {
        let mut line = Vec::new();
        let Some(kind) = input.lines.next_into(&mut line)? else { break };
        for name in names(&line) {
            if !input.names.contains(&name) {
                input.names.push(name);
            }
        }
        input.ahead.push_back((input.lines.number, kind, line));
    }
    Ok(())
}

fn tracker(args: &ReplayArgs, data: &DataDir) -> anyhow::Result<Client> {
    let client = Client::find(data, args.url.as_deref(), Listener::Tracker)?;
    let key_file = args.key_file.clone().unwrap_or_else(|| data.replay_key());
    let key = read_secret(&key_file).context(
        "replay needs a server key with the rights ip, ua and backdate: name its file with --key-file",
    )?;
    // Anything but a beacon will do to see whether somebody is there.
    client.get("/").map_err(|error| unreachable(&client, &error))?;
    Ok(client.with_bearer(key))
}

/// Reads the file to its end. `Ok(false)` if sending stopped before it.
fn feed(input: &mut Input, rows: &Rows, sender: &Sender, batch_rows: usize) -> io::Result<bool> {
    let mut batch = Batch::default();
    let mut bytes_before = 0;
    let mut line = Vec::new();
    loop {
        let (number, kind) = if let Some((number, kind, ahead)) = input.ahead.pop_front() {
            line = ahead;
            (number, kind)
        } else {
            let Some(kind) = input.lines.next_into(&mut line)? else { break };
            (input.lines.number, kind)
        };
        if kind == Line::TooLong {
            sender.skip(Skip::LineTooLong.name(), number);
        } else if !line.is_empty() {
            let mut item = Vec::with_capacity(line.len() + 128);
            match rows.item(&line, &mut item) {
                Ok(()) => {
                    batch.item_bytes += item.len();
                    batch.items.push((number, item));
                }
                Err(skip) => sender.skip(skip.name(), number),
            }
        }
        if batch.items.len() >= batch_rows || batch.item_bytes >= BATCH_BYTES_MAX {
            batch.file_bytes = input.lines.bytes - bytes_before;
            bytes_before = input.lines.bytes;
            if !sender.send(std::mem::take(&mut batch)) {
                return Ok(false);
            }
        }
    }
    batch.file_bytes = input.lines.bytes - bytes_before;
    Ok(batch.items.is_empty() || sender.send(batch))
}

fn progress_bar(bytes: Option<u64>) -> ProgressBar {
    match bytes {
        Some(bytes) => ProgressBar::new(bytes).with_style(
            ProgressStyle::with_template(
                "{bar:40} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
        ),
        None => ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {bytes}  {bytes_per_sec}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        ),
    }
}

/// Says on standard error what will be read as what.
fn print_mapping(args: &ReplayArgs, pairs: &[Pair], client: &Client) {
    eprintln!("replaying {} to {}/v1/events", args.file.display(), client.base());
    for (field, value) in [("c", &args.campaign), ("p", &args.placement)] {
        if let Some(value) = value {
            eprintln!("  {field:<12} = {value} (every row)");
        }
    }
    for pair in pairs {
        let how = if pair.guessed { " (by its name)" } else { "" };
        eprintln!("  {:<12} = column {}{how}", pair.field, pair.column);
    }
    if !mapping::names_a_device(pairs) {
        eprintln!(
            "  no column names a device: impressions will count, reach will not. Map one, such as --map cookie=COLUMN"
        );
    }
    for (field, what) in
        [("rid", "a request id: repeats cannot be told"), ("t", "a time: rows count at their receipt")]
    {
        if !pairs.iter().any(|pair| pair.field == field) {
            eprintln!("  no column holds {what}. Map one with --map {field}=COLUMN");
        }
    }
}

/// The closing table, to `out`.
fn print_outcomes(tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<(&str, &Count)> =
        tally.outcomes.iter().map(|(name, count)| (name.as_str(), count)).collect();
    if tally.undelivered.rows > 0 {
        rows.push(("not_delivered", &tally.undelivered));
    }
    rows.sort_by_key(|(name, count)| (*name != "accepted", std::cmp::Reverse(count.rows)));
    let total: u64 = rows.iter().map(|(_, count)| count.rows).sum();
    let mut shown = table::plain(&["outcome", "rows", "first lines", "meaning"]);
    for (name, count) in rows {
        let lines: Vec<String> =
            if name == "accepted" { vec![] } else { count.lines.iter().map(ToString::to_string).collect() };
        shown.add_row([
            name.to_owned(),
            table::thousands(count.rows),
            lines.join(" "),
            meaning(name).to_owned(),
        ]);
    }
    shown.add_row(["total".to_owned(), table::thousands(total), String::new(), String::new()]);
    table::right_align(&mut shown, &[1]);
    table::print(&shown, out)?;
    if tally.lost_answers > 0 {
        writeln!(
            out,
            "{} requests were sent again because their answer was lost; the tracker may hold their rows twice.\n\
             Rows with a request id count once in net.",
            table::thousands(tally.lost_answers)
        )?;
    }
    Ok(())
}

/// What an outcome tells the person who replays.
fn meaning(name: &str) -> &'static str {
    match name {
        "accepted" => "stored (or the device opted out: that is not told)",
        "unresolved" => "stored; campaign or placement is not in the catalog: mend it within 7 days",
        "missing_campaign" => "the row has no campaign",
        "missing_placement" => "the row has no placement",
        "malformed" => "a value is not what its field takes",
        "contradictory" => "one field twice with different values",
        "unknown_stage" => "the stage is none of the tracker's",
        "too_late" => "7 to 30 days old, and the key may not backdate",
        "not_permitted" => "the key lacks the right ip, ua or backdate",
        "too_long" => "a value is longer than its field takes",
        "not_delivered" => "not stored: send again",
        "line_too_long" => "not sent: the line is over 64 KiB",
        "wrong_columns" => "not sent: more or fewer columns than the header",
        "broken_json" => "not sent: not a JSON object of texts and numbers",
        "broken_log_line" => "not sent: not a line of the combined log format",
        "not_a_beacon" => "not sent: a request for something else",
        "no_time" => "not sent: no time that can be read (a number, RFC 3339, or as in access logs)",
        "not_utf8" => "not sent: an id is not UTF-8",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_table_shows_reasons_and_lines_and_adds_up() {
        let mut tally = Tally::default();
        for line in 2..1_502 {
            tally.count("accepted", line);
        }
        tally.count("malformed", 1_502);
        let mut out = Vec::new();
        print_outcomes(&tally, &mut out).expect("prints");
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("1,500") && text.contains("1,501") && text.contains("1502"), "{text}");
    }

    #[test]
    fn a_header_that_is_a_row_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("rows.tsv");
        std::fs::write(&path, "1382351342623\timp\n").expect("written");
        let error = open(&path, FileFormat::Tsv).err().expect("is refused");
        assert!(format!("{error:#}").contains("name the columns"), "{error:#}");
    }
}
