//! Judging a log: every line of every file, in order.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{self, Lines};
use crate::line::{self, DAMAGE_FOUND, EXPIRED, Head, Key, Line, Mac};

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It has no end.
    #[error("the line is cut, or longer than a line can be")]
    Torn,
    /// It does not look like a line of an audit log.
    #[error("the line is not of the form of an entry")]
    Form,
    /// The mac does not fit.
    #[error("the entry was changed, or written under another key")]
    Mac,
    /// Another number was due.
    #[error("entry {found} stands where {due} is due: entries were removed, inserted or swapped")]
    Seq {
        /// The number that was due.
        due: u64,
        /// The number that stands there.
        found: u64,
    },
    /// It follows another line than the one before it.
    #[error("the entry followed another one when it was written: entries were replaced")]
    Previous,
    /// The first line is not the first of the log, and none says that the ones before it expired.
    #[error(
        "the log begins with entry {found}, and no entry says that those before it were removed by their age"
    )]
    Beginning {
        /// The number that stands there.
        found: u64,
    },
    /// Another entry stands where a head was noted.
    #[error("entry {seq} is another than the one whose head was noted: the log was written anew")]
    Head {
        /// The noted number.
        seq: u64,
    },
    /// The log ends before an entry whose head was noted.
    #[error("entries {} to {seq} are missing: a head was noted of entry {seq}, and the log ends with {last}", last + 1)]
    CutOff {
        /// The noted number.
        seq: u64,
        /// The last that is there.
        last: u64,
    },
}

/// What the process found when it opened the log, and entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Number of the entry that says so.
    pub seq: u64,
    /// When it was found, RFC 3339 in UTC.
    pub time: String,
    /// What was found.
    pub what: String,
}

/// The first place that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The file; the folder for what concerns all of it.
    pub file: PathBuf,
    /// Its line, from 1; 0 for what concerns all of it.
    pub line: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Files looked at.
    pub files: usize,
    /// Entries that are right, up to the first that is not.
    pub entries: u64,
    /// The last of them.
    pub head: Option<Head>,
    /// The first place that is wrong.
    pub broken: Option<Broken>,
    /// Ends of lines that a crash left, set aside by the process and entered.
    pub tails_set_aside: u64,
    /// Damage that the process found at a start.
    pub damage_found: Vec<Damage>,
}

/// Judges every line in `dir`, and that each noted head is among them. The end of the last file may be torn because a running process writes it just
/// now: look again then. `see` is given each right line before the first wrong one.
///
/// # Errors
/// The files cannot be read.
pub fn verify(dir: &Path, key: &Key, noted: &[Head], mut see: impl FnMut(&Line)) -> io::Result<Report> {
    let files = files::list(dir)?;
    let mut judge = Judge { noted: noted.to_vec(), ..Judge::default() };
    let mut broken = None;
    'files: for file in &files {
        let mut lines = Lines::open(&file.path)?;
        let mut number = 0;
        loop {
            number += 1;
            let Some(line) = lines.next()? else { break };
            match judge.take(key, line) {
                Ok(line) => see(&line),
                Err(problem) => {
                    broken = Some(Broken { file: file.path.clone(), line: number, problem });
                    break 'files;
                }
            }
        }
    }
    if broken.is_none() {
        broken = judge.whole().map(|problem| Broken { file: dir.to_path_buf(), line: 0, problem });
    }
    Ok(Report {
        files: files.len(),
        entries: judge.entries,
        head: judge.head,
        broken,
        tails_set_aside: judge.tails_set_aside,
        damage_found: judge.damage_found,
    })
}

#[derive(Default)]
struct Judge {
    noted: Vec<Head>,
    entries: u64,
    /// Number and previous mac of the first line, if it is not the log's first.
    begins: Option<(u64, String)>,
    /// Numbers and previous macs that entries say the log begins with: where the process died before it had removed what is older, one of the last two holds.
    expired: Vec<(u64, String)>,
    head: Option<Head>,
    tails_set_aside: u64,
    damage_found: Vec<Damage>,
}

impl Judge {
    fn take(&mut self, key: &Key, line: &[u8]) -> Result<Line, Problem> {
        let (line, head) = line::read(key, line)?;
        match self.head {
            None if head.seq == 1 && line.previous != Mac::NONE.as_str() => return Err(Problem::Previous),
            None if head.seq != 1 => self.begins = Some((head.seq, line.previous.clone())),
            Some(last) if head.seq != last.seq + 1 => {
                return Err(Problem::Seq { due: last.seq + 1, found: head.seq });
            }
            Some(last) if line.previous != last.mac.as_str() => return Err(Problem::Previous),
            None | Some(_) => {}
        }
        match line.act.as_str() {
            EXPIRED => {
                let first = line.details.get("first").and_then(serde_json::Value::as_u64);
                let previous = line.details.get("previous").and_then(serde_json::Value::as_str);
                self.expired.extend(first.zip(previous.map(str::to_owned)));
            }
            DAMAGE_FOUND => {
                let (time, what) = (line.time.clone(), line.object.clone());
                self.damage_found.push(Damage { seq: head.seq, time, what });
            }
            "audit.tail_set_aside" => self.tails_set_aside += 1,
            _ => {}
        }
        if self.noted.iter().any(|noted| noted.seq == head.seq && noted.mac != head.mac) {
            return Err(Problem::Head { seq: head.seq });
        }
        self.noted.retain(|noted| noted.seq != head.seq);
        self.entries += 1;
        self.head = Some(head);
        Ok(line)
    }

    /// What is wrong with the log as a whole.
    fn whole(&self) -> Option<Problem> {
        if let Some(begins) = &self.begins
            && !self.expired.contains(begins)
        {
            return Some(Problem::Beginning { found: begins.0 });
        }
        let first = self.begins.as_ref().map_or(1, |(seq, _)| *seq);
        // What was noted of entries that have expired since cannot be held against anything.
        let missing = self.noted.iter().filter(|noted| noted.seq >= first).max_by_key(|noted| noted.seq);
        missing.map(|noted| Problem::CutOff { seq: noted.seq, last: self.head.map_or(0, |head| head.seq) })
    }
}
