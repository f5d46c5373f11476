//! Writing: buffers that lanes fill, and the one thread that takes them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use event::clock::{Clock, UnixMs};

use crate::error::Error;
use crate::metrics;
use crate::record::{END, Hit, RECORD_BYTES, columns};
use crate::seal::{PublicKey, Sealer};
use crate::settings::Settings;

/// How often buffers are taken.
const TAKE: Duration = Duration::from_secs(1);
/// Records that one buffer holds between two takings: what comes beyond is dropped and counted. 1.75 MiB.
const BUFFER_RECORDS_MAX: usize = 1 << 16;
/// Bytes of records that wait while the disk fails; what comes beyond is dropped and counted.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Records of one frame.
const FRAME_RECORDS_MAX: usize = 1 << 16;
/// A file is written for so long.
const FILE_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// How often the age and size of files are looked at.
const LOOK_MS: i64 = 60 * 60 * 1000;
/// How hard a frame is packed.
const LEVEL: i32 = 3;

/// What a log is opened with.
pub struct Parts {
    /// Its folder.
    pub dir: PathBuf,
    /// For whom it is sealed.
    pub key: PublicKey,
    /// Limits.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
}

/// The log, or none. A clone is the same one.
#[derive(Clone, Default)]
pub struct SecurityLog(Option<Arc<Shared>>);

struct Shared {
    buffers: Mutex<Vec<Arc<Buffer>>>,
    is_closed: Mutex<bool>,
    closed: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Takes the hits of one thread.
#[derive(Clone, Default)]
pub struct Recorder(Option<Arc<Buffer>>);

#[derive(Default)]
struct Buffer {
    records: Mutex<Vec<u8>>,
    dropped: AtomicU64,
}

impl Recorder {
    /// Notes a request. Never waits for more than another thread's swap of two pointers.
    #[inline]
    pub fn note(&self, hit: &Hit) {
        if let Some(buffer) = &self.0 {
            let mut records = buffer.records.lock().unwrap_or_else(PoisonError::into_inner);
            if records.len() < BUFFER_RECORDS_MAX * RECORD_BYTES {
                records.extend_from_slice(&hit.encode());
            } else {
                buffer.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Whether what is noted is kept.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl SecurityLog {
    /// None: nothing is kept.
    pub fn off() -> Self {
        Self(None)
    }

    /// Begins a log in its folder.
    ///
    /// # Errors
    /// The disk, the random source, no thread.
    pub fn open(parts: Parts) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(&parts.dir)?;
        let mut writer =
            Writer { parts, open: None, waiting: Vec::new(), looked_ms: None, is_failing: false };
        writer.look()?;
        let shared = Arc::new(Shared {
            buffers: Mutex::default(),
            is_closed: Mutex::new(false),
            closed: Condvar::new(),
            thread: Mutex::default(),
        });
        let its_own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("security-log".to_owned()).spawn(move || {
            while !its_own.pause() {
                writer.take(&its_own);
            }
            writer.take(&its_own);
            writer.end();
        })?;
        *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(Self(Some(shared)))
    }

    /// A buffer for one thread.
    pub fn recorder(&self) -> Recorder {
        Recorder(self.0.as_ref().map(|shared| {
            let buffer = Arc::new(Buffer::default());
            shared.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&buffer));
            buffer
        }))
    }

    /// Writes what was noted, and ends. Blocks until then.
    pub fn close(&self) {
        let Some(shared) = &self.0 else { return };
        *shared.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        shared.closed.notify_all();
        let thread = shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the security log's thread panicked");
        }
    }
}

impl Shared {
    /// Waits until it is time again; whether the log is closed.
    fn pause(&self) -> bool {
        let is_closed = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.closed.wait_timeout_while(is_closed, TAKE, |is_closed| !*is_closed);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

struct Writer {
    parts: Parts,
    open: Option<Open>,
    /// Records that are taken and not written.
    waiting: Vec<u8>,
    looked_ms: Option<UnixMs>,
    is_failing: bool,
}

struct Open {
    file: File,
    sealer: Sealer,
    began_ms: UnixMs,
}

impl Writer {
    /// Takes what stands in the buffers, and writes it.
    fn take(&mut self, shared: &Shared) {
        let buffers = shared.buffers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut dropped = 0;
        for buffer in &buffers {
            // A buffer of the same size, so that the lane does not grow one step by step; made while the lane is not kept waiting.
            let filled = buffer.records.lock().unwrap_or_else(PoisonError::into_inner).len();
            let room = Vec::with_capacity(filled);
            let taken = {
                let mut records = buffer.records.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *records, room)
            };
            dropped += buffer.dropped.swap(0, Ordering::Relaxed);
            let room = WAITING_BYTES_MAX.saturating_sub(self.waiting.len()) / RECORD_BYTES * RECORD_BYTES;
            let kept = taken.get(..taken.len().min(room)).unwrap_or_default();
            self.waiting.extend_from_slice(kept);
            dropped += ((taken.len() - kept.len()) / RECORD_BYTES) as u64;
        }
        // Threads that ended take their buffer with them, once it is empty.
        let mut known = shared.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|buffer| {
            let is_empty = buffer.records.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            // The list's own, and the copy that was made above.
            !is_empty || Arc::strong_count(buffer) > 2
        });
        drop((known, buffers));
        if dropped > 0 {
            metrics::dropped(dropped);
        }
        match self.write() {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                metrics::failed();
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(%error, "the security log cannot be written; it is tried again");
                }
                // What follows a torn frame could not be read.
                self.open = None;
            }
        }
    }

    fn write(&mut self) -> Result<(), Error> {
        let now_ms = self.parts.clock.now_ms();
        if self.looked_ms.is_none_or(|looked_ms| now_ms - looked_ms >= LOOK_MS) {
            self.look()?;
        }
        if self.open.as_ref().is_some_and(|open| now_ms - open.began_ms >= FILE_MS_MAX) {
            self.end();
        }
        while !self.waiting.is_empty() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => begin(&self.parts, now_ms)?,
            };
            let bytes = self.waiting.len().min(FRAME_RECORDS_MAX * RECORD_BYTES);
            let records = self.waiting.get(..bytes).unwrap_or_default();
            let mut plain = ((bytes / RECORD_BYTES) as u32).to_le_bytes().to_vec();
            plain.extend(zstd::bulk::compress(&columns(records), LEVEL)?);
            open.file.write_all(&open.sealer.seal(plain))?;
            metrics::written((bytes / RECORD_BYTES) as u64);
            self.waiting.drain(..bytes);
            self.open = Some(open);
        }
        Ok(())
    }

    /// Ends the file in hand: a reader sees by its last frame that nothing was cut off.
    fn end(&mut self) {
        let ended = self.open.take().map(|mut open| {
            open.file.write_all(&open.sealer.seal(END.to_le_bytes().to_vec()))?;
            open.file.sync_all()
        });
        if let Some(Err(error)) = ended {
            metrics::failed();
            tracing::error!(%error, "the end of a file of the security log is perhaps not on the disk");
        }
    }

    /// Removes files by their age, and by the size of all.
    fn look(&mut self) -> io::Result<()> {
        let now_ms = self.parts.clock.now_ms();
        self.looked_ms = Some(now_ms);
        let settings = &self.parts.settings;
        let retention_ms = i64::from(settings.retention_days) * FILE_MS_MAX;
        let mut files = files(&self.parts.dir)?;
        files.retain(|file| {
            // What it holds was written within a day of its beginning.
            let is_old = file.began_ms + FILE_MS_MAX + retention_ms < now_ms;
            !(is_old && removed(&file.path))
        });
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        // The last one is being written.
        files.pop();
        for file in files {
            if bytes <= settings.disk_bytes_max {
                break;
            }
            tracing::error!(
                disk_bytes_max = settings.disk_bytes_max,
                "the security log is too large: its oldest file goes before its time"
            );
            if removed(&file.path) {
                metrics::cut();
                bytes -= file.bytes;
            }
        }
        metrics::bytes(bytes);
        Ok(())
    }
}

fn removed(path: &Path) -> bool {
    fs::remove_file(path)
        .inspect_err(|error| tracing::error!(%error, "a file of the security log was not removed"))
        .is_ok()
}

fn begin(parts: &Parts, now_ms: UnixMs) -> Result<Open, Error> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(Error::Random)?;
    let name = format!("security-{:010}-{:08x}.log", now_ms / 1000, u32::from_le_bytes(random));
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(parts.dir.join(name))?;
    let sealer = Sealer::new(&parts.key)?;
    file.write_all(&sealer.head)?;
    Ok(Open { file, sealer, began_ms: now_ms })
}

/// A file of the log.
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    pub(crate) began_ms: UnixMs,
    bytes: u64,
}

/// The log's files, oldest first.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let seconds = name.to_str().and_then(|name| {
            let rest = name.strip_prefix("security-")?.strip_suffix(".log")?;
            rest.split_once('-')?.0.parse::<i64>().ok()
        });
        if let Some(seconds) = seconds {
            let bytes = entry.metadata()?.len();
            files.push(Listed { path: entry.path(), began_ms: seconds * 1000, bytes });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}
