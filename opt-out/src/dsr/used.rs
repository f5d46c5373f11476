//! Which requests were acknowledged: each `jti` of a party is good once, over restarts too.
//!
//! A request is noted when its work is done and before that is acknowledged. A crash in between leaves it good: its party, which has no acknowledgement,
//! may send it again, and doing it twice changes nothing. It is kept until its age alone refuses it.
//!
//! The answer to one that was done may have been lost all the same: until the next start its receipt is known too, so that it can be given again.
//!
//! # The files
//!
//! Two, `used-new.bin` and `used-old.bin`, 0600. When all that the old one holds is past, it goes, the new one takes its place, and another is begun. So
//! they hold what came in twice the time for which a request is good. Little-endian; whole records only, appended and synced one by one.
//!
//! ```text
//! offset  bytes  field
//!      0      8  "SLDSR\0\0" and the version, 1
//!           — then records —
//!      0      8  until when it is kept, Unix seconds
//!      8     16  keyed hash of issuer and jti, under keys made from the opt-out key
//!     24      4  CRC-32C of the 24 bytes before
//! ```
//!
//! What a crash left of a record that nobody waited for any more is cut off. Each opt-out role of a cluster remembers for itself.
//!
//! It owns what was used. It must never forget what is still good, keep more than its limit, or hold a `jti` itself, which may be an identifier.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::receipt::ReceiptId;

const HEAD: [u8; 8] = *b"SLDSR\0\0\x01";
const RECORD_BYTES: usize = 28;
const NEW: &str = "used-new.bin";
const OLD: &str = "used-old.bin";

/// Keyed hash of an issuer and a `jti`.
pub(crate) type Mark = [u8; 16];

/// A request that was done, as its sender may be told once more. Known since the start only: the files do not hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// The receipt's number.
    pub(crate) receipt: ReceiptId,
    /// Keyed hash of what it was about: another one of the same `jti` was not done.
    pub(crate) about: u64,
}

#[derive(Clone, Copy)]
struct Kept {
    until_seconds: i64,
    how_far: HowFar,
}

#[derive(Clone, Copy)]
enum HowFar {
    InHand,
    Used(Option<Done>),
}

/// The used requests.
#[derive(Clone)]
pub(crate) struct Used(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    marks_max: usize,
    marks: Mutex<HashMap<Mark, Kept, ahash::RandomState>>,
    log: Mutex<Log>,
}

struct Log {
    file: File,
    /// Bytes of whole records in it.
    end: u64,
    /// The latest time until which something in either file is kept, Unix seconds.
    new_until: i64,
    old_until: i64,
}

/// A request that is being done: nobody else may do it meanwhile. Dropped, it is good again; noted, it is used.
pub(crate) struct Reserved {
    used: Used,
    mark: Mark,
    until_seconds: i64,
    is_noted: bool,
}

/// Why a request cannot be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It was done, and what is known of it.
    Used(Option<Done>),
    /// It is being done.
    InHand,
    /// As many are remembered as may be.
    Full,
}

impl Used {
    /// Opens the folder, makes it if it is not there, and reads what was used and is still good.
    ///
    /// # Errors
    /// The disk's, and damage.
    pub(crate) fn open(dir: &Path, marks_max: usize, now_seconds: i64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut marks = HashMap::default();
        let (old_until, _) = match open(&dir.join(OLD), false) {
            Ok(mut file) => read(&mut file, &mut marks)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, 0),
            Err(error) => return Err(error),
        };
        let mut file = open(&dir.join(NEW), true)?;
        let (new_until, mut end) = read(&mut file, &mut marks)?;
        if end == 0 {
            begin(&mut file, dir)?;
            end = HEAD.len() as u64;
        }
        marks.retain(|_, kept| kept.until_seconds >= now_seconds);
        let log = Mutex::new(Log { file, end, new_until, old_until });
        Ok(Self(Arc::new(Inner { dir: dir.to_owned(), marks_max, marks: Mutex::new(marks), log })))
    }

    /// Takes a request in hand.
    ///
    /// # Errors
    /// [`Denied`].
    pub(crate) fn reserve(
        &self,
        mark: Mark,
        until_seconds: i64,
        now_seconds: i64,
    ) -> Result<Reserved, Denied> {
        let mut marks = self.marks();
        if let Some(kept) = marks.get(&mark).filter(|kept| kept.until_seconds >= now_seconds) {
            return Err(match kept.how_far {
                HowFar::InHand => Denied::InHand,
                HowFar::Used(done) => Denied::Used(done),
            });
        }
        if marks.len() >= self.0.marks_max {
            marks.retain(|_, kept| kept.until_seconds >= now_seconds);
            if marks.len() >= self.0.marks_max {
                return Err(Denied::Full);
            }
        }
        marks.insert(mark, Kept { until_seconds, how_far: HowFar::InHand });
        drop(marks);
        Ok(Reserved { used: self.clone(), mark, until_seconds, is_noted: false })
    }

    fn marks(&self) -> MutexGuard<'_, HashMap<Mark, Kept, ahash::RandomState>> {
        self.0.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved {
    /// Notes it as used, durably. Blocks for a write and a sync.
    ///
    /// # Errors
    /// The disk's: then it must not be acknowledged.
    pub(crate) fn note(mut self, now_seconds: i64, done: Option<Done>) -> io::Result<()> {
        let mut log = self.used.0.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.old_until < now_seconds && log.new_until > 0 {
            log.turn(&self.used.0.dir)?;
        }
        log.append(self.mark, self.until_seconds)?;
        drop(log);
        if let Some(kept) = self.used.marks().get_mut(&self.mark) {
            kept.how_far = HowFar::Used(done);
        }
        self.is_noted = true;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_noted {
            self.used.marks().remove(&self.mark);
        }
    }
}

impl Log {
    /// The new file becomes the old one, of which nothing is good any more.
    fn turn(&mut self, dir: &Path) -> io::Result<()> {
        std::fs::rename(dir.join(NEW), dir.join(OLD))?;
        self.old_until = self.new_until;
        self.file = open(&dir.join(NEW), true)?;
        begin(&mut self.file, dir)?;
        (self.end, self.new_until) = (HEAD.len() as u64, 0);
        Ok(())
    }

    fn append(&mut self, mark: Mark, until_seconds: i64) -> io::Result<()> {
        // Behind what a failed write may have left.
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&encode(mark, until_seconds))?;
        self.file.sync_data()?;
        self.end += RECORD_BYTES as u64;
        self.new_until = self.new_until.max(until_seconds);
        Ok(())
    }
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)
}

fn begin(file: &mut File, dir: &Path) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&HEAD)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}

fn encode(mark: Mark, until_seconds: i64) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let (time, rest) = record.split_at_mut(8);
    time.copy_from_slice(&until_seconds.to_le_bytes());
    rest.iter_mut().zip(mark).for_each(|(to, from)| *to = from);
    let (body, sum) = record.split_at_mut(RECORD_BYTES - 4);
    sum.copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    record
}

fn decode(record: &[u8]) -> Option<(Mark, i64)> {
    let (body, sum) = record.split_last_chunk()?;
    let (time, mark) = body.split_first_chunk()?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*sum)).then_some(())?;
    Some((mark.try_into().ok()?, i64::from_le_bytes(*time)))
}

/// Reads a file into `marks`; until when its last one is kept, and its length in whole records (0 where not even its head is whole).
fn read(file: &mut File, marks: &mut HashMap<Mark, Kept, ahash::RandomState>) -> io::Result<(i64, u64)> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let Some((head, records)) = bytes.split_first_chunk::<8>() else { return Ok((0, 0)) };
    if *head != HEAD {
        return Err(damaged("not begun by this version of the program"));
    }
    let (mut latest, mut length) = (0, HEAD.len() as u64);
    let mut left = records.chunks_exact(RECORD_BYTES).peekable();
    while let Some(record) = left.next() {
        let Some((mark, until)) = decode(record) else {
            // The last one may be what a crash left.
            if left.peek().is_none() {
                break;
            }
            return Err(damaged("a record has another checksum"));
        };
        marks.insert(mark, Kept { until_seconds: until, how_far: HowFar::Used(None) });
        latest = latest.max(until);
        length += RECORD_BYTES as u64;
    }
    Ok((latest, length))
}

#[cfg(test)]
mod tests;
