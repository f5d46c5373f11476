//! `sightline import-opt-outs`: a register of others from a file into the opt-out registry of the running instance, through its admin port.
//!
//! 1. [`rows`] makes an id of each line; a packed file is told by its first bytes.
//! 2. [`send`] sends portions from a few threads, counts what became of each, and lists the lines that were refused.
//!
//! Memory is bounded by portions × threads, whatever the file's size. Messages and files name lines, never a value of the file. An import may be
//! broken off and made again: what is there already changes nothing.

mod rows;
mod send;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use opt_out::import::{Act, Outcome};

pub(crate) use self::rows::RegisterFormat;
use self::rows::{Broken, Rows};
use self::send::{Portion, Sender, Tally};
use crate::cli::ImportArgs;
use crate::client::{Client, Listener, report_token, unreachable};
use crate::config::ConfigError;
use crate::data_dir::DataDir;
use crate::replay::lines::{Line, Lines};
use crate::table;

/// Ids of one portion, and their bytes: less than the instance takes.
const PORTION: (usize, usize) = (1_000, 512 * 1024);
/// Read buffer, bytes.
const BUFFER_BYTES: usize = 256 * 1024;
/// Most memory that unpacking zstd may ask for, as a power of two: 128 MiB, what its own tool allows.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Runs the command. `Ok(false)` if a line could not be delivered.
pub(crate) fn run(args: &ImportArgs, out: &mut dyn Write) -> anyhow::Result<bool> {
    let format = format_of(args)?;
    if opt_out::record::AppName::new(&args.register).is_none() {
        return Err(ConfigError::usage("--register takes 1 to 64 visible ASCII characters".to_owned()).into());
    }
    if format == RegisterFormat::Lines && args.kind.is_none() {
        return Err(ConfigError::usage("--format lines needs --kind: what the values are".to_owned()).into());
    }
    let bar = progress_bar(&args.file);
    let mut lines = Lines::new(open(&args.file, &bar)?);
    let mut rows = Rows::new(format, args.kind.clone());
    let in_file = || format!("cannot read {}", args.file.display());
    if rows.has_header() {
        let mut header = Vec::new();
        lines.next_into(&mut header).with_context(in_file)?;
        rows.name_columns(&header).map_err(|why| ConfigError::in_file(&args.file, why.to_string()))?;
    }
    let client = instance(args)?;
    let act = if args.take_back { Act::TakeBack } else { Act::Lodge };
    let refused = args.refused.clone().unwrap_or_else(|| beside(&args.file));
    remove_earlier(&refused)?;
    let sender = Sender::start(&client, &args.register, act, usize::from(args.parallel), refused);
    let all_read = feed(&mut lines, &rows, &sender);
    let last_line = lines.number;
    let tally = sender.finish();
    bar.finish_and_clear();
    let reached_end = all_read.with_context(in_file)?;
    print_outcomes(&tally, out).context("cannot print the outcomes")?;
    if tally.has_refused() {
        writeln!(out, "refused lines: {}", tally.refused.display())?;
    }
    if let Some(why) = &tally.fatal {
        eprintln!("error: {why}");
    }
    let is_whole = tally.undelivered == 0 && tally.fatal.is_none() && reached_end;
    if !is_whole {
        let from = tally.undelivered_first.unwrap_or(last_line);
        eprintln!(
            "error: not everything from line {from} on is in force; run the same command again: what is there already changes nothing"
        );
    }
    Ok(is_whole)
}

fn format_of(args: &ImportArgs) -> anyhow::Result<RegisterFormat> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    let name = args.file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => Ok(RegisterFormat::Csv),
        Some("tsv" | "tab") => Ok(RegisterFormat::Tsv),
        Some("ndjson" | "jsonl" | "json") => Ok(RegisterFormat::Ndjson),
        _ => Err(ConfigError::usage(format!(
            "cannot tell how {} is written: give --format csv, tsv, ndjson or lines",
            args.file.display()
        ))
        .into()),
    }
}

fn instance(args: &ImportArgs) -> anyhow::Result<Client> {
    let data = DataDir::new(&args.data);
    let client = Client::find(&data, args.url.as_deref(), Listener::Admin)?;
    let token = report_token(&data, args.token_file.as_deref())?;
    // Whether somebody is there, before the first id leaves.
    client.get("/live").map_err(|error| unreachable(&client, &error))?;
    Ok(client.with_bearer(token))
}

/// The file's bytes, unpacked where they are packed. The bar hears how far it is in the file itself.
fn open(path: &Path, bar: &ProgressBar) -> anyhow::Result<Box<dyn BufRead>> {
    let input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| ConfigError::in_file(path, error.to_string()))?)
    };
    let mut packed = BufReader::with_capacity(BUFFER_BYTES, bar.wrap_read(input));
    let begin = packed.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    Ok(match begin {
        [0x1f, 0x8b, ..] => unpacked(flate2::bufread::MultiGzDecoder::new(packed)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(packed).context("cannot unpack zstd")?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).context("cannot unpack zstd")?;
            unpacked(decoder)
        }
        _ => Box::new(packed),
    })
}

fn unpacked(decoder: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
}

/// Reads the file to its end. `Ok(false)` if sending stopped before it.
fn feed(lines: &mut Lines<Box<dyn BufRead>>, rows: &Rows, sender: &Sender) -> io::Result<bool> {
    let (ids_max, bytes_max) = PORTION;
    let (mut portion, mut line) = (Portion::default(), Vec::new());
    while let Some(kind) = lines.next_into(&mut line)? {
        match (kind, line.trim_ascii()) {
            (Line::TooLong, _) => sender.refuse(Broken::LineTooLong.name(), lines.number),
            (Line::Whole, []) => {}
            (Line::Whole, _) => match rows.id(&line) {
                Ok(id) => portion.add(lines.number, &id)?,
                Err(broken) => sender.refuse(broken.name(), lines.number),
            },
        }
        if (portion.len() >= ids_max || portion.bytes() >= bytes_max)
            && !sender.send(std::mem::take(&mut portion))
        {
            return Ok(false);
        }
    }
    Ok(portion.len() == 0 || sender.send(portion))
}

/// Removes the list of an earlier run, which would be taken for this one's. A file that is none is not touched.
fn remove_earlier(refused: &Path) -> anyhow::Result<()> {
    let begin = match File::open(refused) {
        Ok(file) => {
            let mut begin = Vec::new();
            file.take(send::LIST_HEAD.len() as u64).read_to_end(&mut begin).map(|_| begin)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
    }
    .with_context(|| format!("cannot read {}", refused.display()))?;
    if !begin.is_empty() && begin != send::LIST_HEAD {
        let why = format!(
            "{} is there and no list of refused lines: name another with --refused",
            refused.display()
        );
        return Err(ConfigError::usage(why).into());
    }
    std::fs::remove_file(refused).with_context(|| format!("cannot replace {}", refused.display()))
}

/// Where refused lines are listed unless told otherwise.
fn beside(file: &Path) -> PathBuf {
    if file.as_os_str() == "-" {
        return PathBuf::from("stdin.refused.tsv");
    }
    let mut name = file.as_os_str().to_owned();
    name.push(".refused.tsv");
    PathBuf::from(name)
}

fn progress_bar(file: &Path) -> ProgressBar {
    let bytes = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
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

/// The closing table, to `out`.
fn print_outcomes(tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
    let mut shown = table::plain(&["outcome", "lines", "meaning"]);
    // What is in force first, then the rest in the order of its names.
    let mut rows: Vec<(&str, u64)> = tally.lines.iter().map(|(name, lines)| (*name, *lines)).collect();
    rows.sort_by_key(|(name, _)| {
        Outcome::ALL.iter().position(|outcome| outcome.name() == *name).unwrap_or(99)
    });
    if tally.undelivered > 0 {
        rows.push(("not_delivered", tally.undelivered));
    }
    for (name, lines) in &rows {
        shown.add_row([(*name).to_owned(), table::thousands(*lines), meaning(name).to_owned()]);
    }
    let total = rows.iter().map(|(_, lines)| lines).sum();
    shown.add_row(["total".to_owned(), table::thousands(total), String::new()]);
    table::right_align(&mut shown, &[1]);
    table::print(&shown, out)
}

/// What an outcome tells the person who imports.
fn meaning(name: &str) -> &'static str {
    match name {
        "lodged" => "opted out, in every form that media send",
        "lodged_in_part" => {
            "opted out by a digest: hits that carry another form than it and what follows from it are not recognised"
        }
        "already" => "this register had lodged it before: nothing changed",
        "taken_back" => "no longer lodged by this register",
        "not_there" => "this register had not lodged it: nothing changed",
        "known_bad" => "refused: a value that many devices send",
        "malformed" => "refused: not of its kind's form",
        "unknown_kind" => "refused: no such kind of id",
        "line_too_long" => "not sent: the line is over 64 KiB",
        "not_utf8" => "not sent: the line is not UTF-8",
        "broken_json" => "not sent: no JSON object with the texts kind and value",
        "wrong_columns" => "not sent: more or fewer columns than the header",
        "no_kind" => "not sent: the line says no kind, and there is no --kind",
        "not_delivered" => "not in force: import again",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_meaning() {
        for name in Outcome::ALL.map(Outcome::name) {
            assert!(!meaning(name).is_empty(), "{name}");
        }
        let broken = [Broken::LineTooLong, Broken::NotUtf8, Broken::Json, Broken::Columns, Broken::NoKind];
        assert!(broken.iter().all(|broken| !meaning(broken.name()).is_empty()));
    }

    #[test]
    fn an_earlier_list_goes_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.refused.tsv");
        remove_earlier(&path).expect("there is none");
        std::fs::write(&path, b"line\treason\n3\tmalformed\n").expect("written");
        remove_earlier(&path).expect("it is one");
        assert!(!path.exists());
        std::fs::write(&path, b"kind,value\noaid,x\n").expect("written");
        let error = remove_earlier(&path).expect_err("somebody's register");
        assert!(path.exists() && error.to_string().contains("--refused"), "{error}");
    }

    #[test]
    fn a_kind_that_is_none_is_wrong_usage() {
        use clap::Parser;
        let parse = |kind: &str| {
            crate::cli::Cli::try_parse_from([
                "sightline",
                "import-opt-outs",
                "ids.txt",
                "--register",
                "r",
                "--kind",
                kind,
            ])
        };
        assert!(parse("oaid").is_ok());
        let error = parse("oiad").expect_err("a slip");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("oaid"), "{error}");
    }

    #[test]
    fn packed_files_are_told_by_their_first_bytes() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = b"kind,value\noaid,abc\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).expect("packed");
        let gzip = gzip.finish().expect("packed");
        // As `cat a.gz b.gz` makes it.
        let twice = [gzip.clone(), gzip.clone()].concat();
        let zstd = zstd::encode_all(&text[..], 3).expect("packed");
        for (name, bytes, expected) in [
            ("plain", text.to_vec(), text.to_vec()),
            ("gzip", gzip, text.to_vec()),
            ("twice", twice, text.repeat(2)),
            ("zstd", zstd, text.to_vec()),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            let bar = ProgressBar::hidden();
            let mut read = Vec::new();
            open(&path, &bar).expect("opens").read_to_end(&mut read).expect("reads");
            assert_eq!(read, expected, "{name}");
            assert_eq!(bar.position(), std::fs::metadata(&path).expect("there").len(), "{name}");
        }
    }
}
