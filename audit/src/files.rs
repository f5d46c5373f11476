//! The log's files: which there are, and what their end looks like after a crash.
//!
//! Must never: change or remove bytes of a whole line. Only bytes behind the last whole line are moved, into a file of their own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use event::clock::UnixMs;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::line::{self, Head, Key, LINE_BYTES_MAX};
use crate::verify::Problem;

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) number: u32,
    pub(crate) path: PathBuf,
}

/// The folder's files in their order.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<Numbered>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if let Some(number) = number_of(&path) {
            files.push(Numbered { number, path });
        }
    }
    files.sort_by_key(|file| file.number);
    Ok(files)
}

fn number_of(path: &Path) -> Option<u32> {
    let digits = path.file_name()?.to_str()?.strip_prefix("audit-")?.strip_suffix(".jsonl")?;
    (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

pub(crate) fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("audit-{number:06}.jsonl"))
}

/// Makes the folder, for its owner alone.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Opens a file for appending behind its first `bytes` bytes; what stands behind them goes. Durable when it returns.
pub(crate) fn open_at(dir: &Path, number: u32, bytes: u64) -> io::Result<File> {
    let path = path_of(dir, number);
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    if file.metadata()?.len() < bytes {
        return Err(io::Error::other("a file of the audit log was cut or replaced while the process ran"));
    }
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes))?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}

/// Reads lines one after the other, each of a bounded length.
pub(crate) struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(path)?), line: Vec::new() })
    }

    /// The next line with its line feed; without one where the file ends or the line is too long.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut limited = (&mut self.file).take(LINE_BYTES_MAX as u64);
        limited.read_until(b'\n', &mut self.line)?;
        Ok((!self.line.is_empty()).then_some(&self.line))
    }
}

/// What a log's newest lines say when it is opened.
#[derive(Debug)]
pub(crate) struct End {
    /// The file that is written on.
    pub(crate) number: u32,
    /// Its bytes up to the end of its last whole line.
    pub(crate) bytes: u64,
    /// When its first entry was written.
    pub(crate) began_ms: Option<UnixMs>,
    /// The last whole line; number 0 in a new log.
    pub(crate) head: Head,
    /// Bytes behind it.
    pub(crate) tail: u64,
    /// Whole lines are among these bytes: no crash leaves that.
    pub(crate) is_tail_changed: bool,
    /// A line before it is wrong, whole lines behind it are, or the head that was kept is not in it.
    pub(crate) damage: Option<String>,
}

/// The head that was kept beside the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nobody keeps one.
    Never,
    /// There is none, or none that can be read.
    Gone,
    /// This one.
    Head(Head),
}

impl Kept {
    /// What stands in the file.
    pub(crate) fn read(path: Option<&Path>) -> Self {
        match path.map(kept_head) {
            None => Self::Never,
            Some(Ok(Some(head))) => Self::Head(head),
            Some(Ok(None) | Err(_)) => Self::Gone,
        }
    }

    fn head(self) -> Option<Head> {
        match self {
            Self::Head(head) => Some(head),
            Self::Never | Self::Gone => None,
        }
    }
}

/// Looks for the end of the chain. Changes nothing. `kept` is the head that the process noted last.
pub(crate) fn find_end(dir: &Path, key: &Key, kept: Kept) -> Result<End, Error> {
    let files = list(dir)?;
    let mut end = End {
        number: files.last().map_or(1, |file| file.number),
        bytes: 0,
        began_ms: None,
        head: Head { seq: 0, mac: line::Mac::NONE },
        tail: 0,
        is_tail_changed: false,
        damage: None,
    };
    let mut has_lines = false;
    for (index, file) in files.iter().rev().enumerate() {
        let found = look(&file.path, key, kept.head())?;
        has_lines |= found.has_lines;
        if index == 0 {
            (end.bytes, end.began_ms, end.tail) = (found.bytes, found.began_ms, found.tail);
            end.is_tail_changed = found.is_tail_changed;
        }
        if let Some(head) = found.head {
            end.head = head;
            end.damage = found.damage;
            break;
        }
        // An earlier file's lines are the end only where the crash came before the first line of the next.
        if found.has_lines {
            end.damage = Some(format!("no line of {} is right", file.path.display()));
        }
    }
    if end.head.seq == 0 && has_lines {
        return Err(Error::OtherKey { dir: dir.to_path_buf() });
    }
    if end.is_tail_changed && end.damage.is_none() {
        end.damage = Some(format!("lines behind entry {} are not right", end.head.seq));
    }
    match kept {
        Kept::Head(Head { seq, .. }) if seq > end.head.seq => {
            let last = end.head.seq;
            let missing = format!("entries {} to {seq} are missing: it ended with {seq} once", last + 1);
            end.damage = Some(end.damage.map_or(missing.clone(), |damage| format!("{missing}; {damage}")));
        }
        Kept::Gone if end.head.seq > 0 && end.damage.is_none() => {
            let last = end.head.seq;
            end.damage = Some(format!(
                "the head that is kept beside the key is gone: entries behind {last} may be missing"
            ));
        }
        Kept::Never | Kept::Gone | Kept::Head(_) => {}
    }
    Ok(end)
}

struct Found {
    bytes: u64,
    began_ms: Option<UnixMs>,
    head: Option<Head>,
    tail: u64,
    is_tail_changed: bool,
    has_lines: bool,
    damage: Option<String>,
}

fn look(path: &Path, key: &Key, kept: Option<Head>) -> io::Result<Found> {
    let mut found = Found {
        bytes: 0,
        began_ms: None,
        head: None,
        tail: 0,
        is_tail_changed: false,
        has_lines: false,
        damage: None,
    };
    let mut lines = Lines::open(path)?;
    let mut number = 0_u64;
    let mut first_wrong = None;
    while let Some(line) = lines.next()? {
        number += 1;
        let length = line.len() as u64;
        match line::read(key, line) {
            Ok((read, head)) => {
                if let Some(wrong) = first_wrong.take() {
                    found.damage = Some(format!("line {wrong} of {}", path.display()));
                }
                if kept.is_some_and(|kept| kept.seq == head.seq && kept.mac != head.mac) {
                    found.damage = Some(format!("entry {} is another than it was", head.seq));
                }
                found.began_ms = found.began_ms.or_else(|| read.time_ms());
                found.head = Some(head);
                found.bytes += found.tail + length;
                found.tail = 0;
                found.is_tail_changed = false;
                found.has_lines = true;
            }
            Err(problem) => {
                // A write that was cut short has no line's end behind the last right line.
                found.is_tail_changed |= problem != Problem::Torn;
                found.has_lines |= problem != Problem::Torn;
                first_wrong = first_wrong.or(Some(number));
                found.tail += length;
            }
        }
    }
    Ok(found)
}

/// A tail that was set aside.
pub(crate) struct Torn {
    pub(crate) name: String,
    pub(crate) sha256: String,
}

/// Copies what stands behind the first `bytes` bytes of a file into one of its own, durably.
pub(crate) fn set_aside(dir: &Path, end: &End, now_ms: UnixMs) -> io::Result<Torn> {
    let mut from = File::open(path_of(dir, end.number))?;
    from.seek(SeekFrom::Start(end.bytes))?;
    let kind = if end.is_tail_changed { "damaged" } else { "torn" };
    let name = format!("{kind}-{}-{now_ms}.bin", end.head.seq + 1);
    let mut to =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(dir.join(&name))?;
    let mut sum = Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        sum.update(bytes);
        to.write_all(bytes)?;
    }
    to.sync_all()?;
    let sha256 = line::hex(&sum.finalize());
    Ok(Torn { name, sha256 })
}

/// The head that is kept in a file; `None` where there is no such file.
///
/// # Errors
/// It cannot be read, or holds no head.
pub fn kept_head(path: &Path) -> io::Result<Option<Head>> {
    match fs::read_to_string(path) {
        Ok(text) => text.parse().map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps the head: whole or not at all.
pub(crate) fn keep_head(path: &Path, head: Head) -> io::Result<()> {
    let temporary = path.with_extension("head.tmp");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{head}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// Bytes of all files.
pub(crate) fn bytes(dir: &Path) -> u64 {
    let sizes = list(dir).unwrap_or_default().into_iter().filter_map(|file| fs::metadata(file.path).ok());
    sizes.map(|meta| meta.len()).sum()
}
