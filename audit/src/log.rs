//! Writing: entries of several threads go in one write and one sync.
//!
//! Who comes while nobody writes becomes the writer of all that has gathered; the others wait. After a failed write all of its group and of the one that
//! has formed behind it fail, the file is cut to what was synced, and the chain goes on from there with the next entry.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use event::clock::{Clock, UnixMs};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::files::{self, End, Kept, Torn};
use crate::line::{self, Fields, Head, Key};
use crate::metrics;
use crate::upkeep::Care;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A file is closed after this, so that retention can take it away whole.
const FILE_AGE_MS_MAX: i64 = 31 * DAY_MS;
/// Fewest days that entries are kept.
const RETENTION_DAYS_MIN: u16 = 183;
/// Fewest bytes of a file: some lines fit.
const FILE_BYTES_MIN: u64 = 64 << 10;

/// The key of [`Log::scratch`], which proves nothing.
pub const SCRATCH_KEY: &str = "this key is known to everybody: for tests";

/// Who the log itself is, in its own entries.
pub(crate) const SELF: &str = "audit";

/// `[audit]`: limits of the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// File with the key, mode 0600. Default: `keys/audit.key` in the data folder, drawn at the first start.
    pub key_file: Option<PathBuf>,
    /// How long entries are kept, days, from 183. A file goes when its last entry is older.
    pub retention_days: u16,
    /// Bytes after which the next file begins, from 64 KiB.
    pub file_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { key_file: None, retention_days: 1096, file_bytes_max: 64 << 20 }
    }
}

impl Settings {
    /// Holds the values against their limits: the key at fault, and what is wrong.
    ///
    /// # Errors
    /// The first value out of its range.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.retention_days < RETENTION_DAYS_MIN {
            let days = self.retention_days;
            return Err((
                "retention_days",
                format!("retention_days = {days} is less than {RETENTION_DAYS_MIN}"),
            ));
        }
        if self.file_bytes_max < FILE_BYTES_MIN {
            let bytes = self.file_bytes_max;
            return Err((
                "file_bytes_max",
                format!("file_bytes_max = {bytes} is less than {FILE_BYTES_MIN}"),
            ));
        }
        Ok(())
    }
}

/// What a log is opened with.
pub struct Parts {
    /// Its folder.
    pub dir: PathBuf,
    /// Its key.
    pub key: Key,
    /// Where the newest head is kept: beside the key, not in the log's folder.
    pub head_file: Option<PathBuf>,
    /// Limits.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
}

/// What is entered.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Who: the name of a token, an app or a role of ours; never a token. Cut at 256 bytes, like the next two.
    pub actor: String,
    /// What: `area.verb`, as `report.read`.
    pub act: &'static str,
    /// On what: `campaign demo`, `receipt …`.
    pub object: String,
    /// More, a JSON object; anything else counts as empty. No device identifier, no token, no address of an end user.
    pub details: Value,
}

/// The log. A clone writes to the same one.
#[derive(Clone)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) key: Key,
    pub(crate) head_file: Option<PathBuf>,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// Held while the head is kept.
    pub(crate) care: Mutex<Care>,
    state: Mutex<State>,
    written: Condvar,
}

struct State {
    /// `None` before it is opened, after a failure, and when the log is closed.
    file: Option<File>,
    number: u32,
    /// Bytes of the file that are synced.
    bytes: u64,
    began_ms: Option<UnixMs>,
    /// The last line that is synced.
    durable: Head,
    /// The last line that was made.
    made: Head,
    /// Lines that nobody writes yet.
    forming: Group,
    is_writing: bool,
    is_closed: bool,
}

/// Lines that go together.
#[derive(Default)]
struct Group {
    lines: Vec<u8>,
    entries: u64,
    outcome: Arc<OnceLock<Result<(), String>>>,
}

impl Log {
    /// Opens or begins a log. What a crash left of unacknowledged lines is set aside, and an entry says so; damage is told and does not stop it.
    ///
    /// # Errors
    /// The disk; a key that fits none of the lines.
    pub fn open(parts: Parts) -> Result<Self, Error> {
        files::make_dir(&parts.dir)?;
        let kept = Kept::read(parts.head_file.as_deref());
        let end = files::find_end(&parts.dir, &parts.key, kept)?;
        let now_ms = parts.clock.now_ms();
        let torn = (end.tail > 0).then(|| files::set_aside(&parts.dir, &end, now_ms)).transpose()?;
        let file = files::open_at(&parts.dir, end.number, end.bytes)?;
        let state = State {
            file: Some(file),
            number: end.number,
            bytes: end.bytes,
            began_ms: end.began_ms,
            durable: end.head,
            made: end.head,
            forming: Group::default(),
            is_writing: false,
            is_closed: false,
        };
        let log = Self {
            shared: Arc::new(Shared {
                dir: parts.dir,
                key: parts.key,
                head_file: parts.head_file,
                settings: parts.settings,
                clock: parts.clock,
                care: Mutex::new(Care::new(now_ms)),
                state: Mutex::new(state),
                written: Condvar::new(),
            }),
        };
        log.enter_what_was_found(&end, torn)?;
        log.expire()?;
        metrics::bytes(files::bytes(&log.shared.dir));
        log.keep_head();
        log.tell_head();
        Ok(log)
    }

    fn enter_what_was_found(&self, end: &End, torn: Option<Torn>) -> Result<(), Error> {
        let aside = torn.map(|Torn { name, sha256 }| (name, json!({ "bytes": end.tail, "sha256": sha256 })));
        let Some(damage) = &end.damage else {
            let Some((name, details)) = aside else { return Ok(()) };
            tracing::warn!(file = name, bytes = end.tail, "unacknowledged end of the audit log set aside");
            return self.append(&Entry::new(SELF, "audit.tail_set_aside", name, details)).map(drop);
        };
        metrics::damage_found();
        tracing::error!(damage, "the audit log was changed; run `sightline audit verify`");
        let details = json!({ "set_aside": aside.as_ref().map(|(name, _)| name), "of": aside.as_ref().map(|(_, of)| of) });
        self.append(&Entry::new(SELF, line::DAMAGE_FOUND, damage.as_str(), details)).map(drop)
    }

    /// A log in `dir` under a key that everybody knows: for tests and benches of what enters something.
    ///
    /// # Errors
    /// The disk.
    pub fn scratch(dir: &Path) -> Result<Self, Error> {
        let (settings, clock) = (Settings::default(), Clock::System);
        Self::open(Parts {
            dir: dir.to_path_buf(),
            key: Key::from_text(SCRATCH_KEY)?,
            head_file: None,
            settings,
            clock,
        })
    }

    /// Enters one entry; its number, once it is synced. Blocks for as long as a write and a sync take: not for a runtime's own thread.
    ///
    /// # Errors
    /// It was not stored: what it stands for must not be done.
    pub fn append(&self, entry: &Entry) -> Result<u64, Error> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Error::Closed);
        }
        let none = Map::new();
        let (line, mac) = line::write(
            &self.shared.key,
            &Fields {
                seq: state.made.seq + 1,
                time_ms: self.shared.clock.now_ms(),
                actor: &entry.actor,
                act: entry.act,
                object: &entry.object,
                details: entry.details.as_object().unwrap_or(&none),
                previous: state.made.mac,
            },
        )
        .inspect_err(|_| metrics::failed(1))?;
        let seq = state.made.seq + 1;
        state.made = Head { seq, mac };
        state.forming.lines.extend_from_slice(&line);
        state.forming.entries += 1;
        let outcome = Arc::clone(&state.forming.outcome);
        loop {
            if let Some(outcome) = outcome.get() {
                drop(state);
                self.keep_head_if_due();
                return outcome.clone().map(|()| seq).map_err(Error::Group);
            }
            if state.is_writing {
                state = self.shared.written.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                state = self.write_group(state);
            }
        }
    }

    /// The last synced line.
    pub fn head(&self) -> Head {
        self.state().durable
    }

    /// Ends the log: nothing is taken any more, the head is told and kept. Again does nothing.
    pub fn close(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_closed, true) {
            return;
        }
        while state.is_writing {
            state = self.shared.written.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.file = None;
        drop(state);
        self.keep_head();
        self.tell_head();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what has gathered; the lock is not held meanwhile.
    fn write_group<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.is_writing = true;
        let group = std::mem::take(&mut state.forming);
        let through = state.made;
        let now_ms = self.shared.clock.now_ms();
        let age_ms = state.began_ms.map_or(0, |began_ms| now_ms - began_ms);
        let is_full = state.bytes + group.lines.len() as u64 > self.shared.settings.file_bytes_max;
        if state.bytes > 0 && (is_full || age_ms > FILE_AGE_MS_MAX) {
            (state.file, state.number, state.bytes, state.began_ms) = (None, state.number + 1, 0, None);
        }
        let (file, number, bytes) = (state.file.take(), state.number, state.bytes);
        drop(state);
        let file = file.map_or_else(|| files::open_at(&self.shared.dir, number, bytes), Ok);
        let written = file.and_then(|mut file| {
            file.write_all(&group.lines)?;
            file.sync_data()?;
            Ok(file)
        });
        let mut state = self.state();
        state.is_writing = false;
        let outcome = match written {
            Ok(file) => {
                state.file = Some(file);
                state.bytes += group.lines.len() as u64;
                state.began_ms = state.began_ms.or(Some(now_ms));
                state.durable = through;
                metrics::stored(group.entries);
                metrics::bytes(files::bytes(&self.shared.dir));
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the audit log cannot be written; what was to be entered is refused");
                // What has formed meanwhile continues a chain that is not there.
                let late = std::mem::take(&mut state.forming);
                state.made = state.durable;
                metrics::failed(group.entries + late.entries);
                let error = error.to_string();
                let _ = late.outcome.set(Err(error.clone()));
                Err(error)
            }
        };
        let _ = group.outcome.set(outcome);
        self.shared.written.notify_all();
        state
    }
}

impl Entry {
    /// An entry of these parts.
    pub fn new(
        actor: impl Into<String>,
        act: &'static str,
        object: impl Into<String>,
        details: Value,
    ) -> Self {
        Self { actor: actor.into(), act, object: object.into(), details }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("dir", &self.shared.dir).field("head", &self.head()).finish()
    }
}
