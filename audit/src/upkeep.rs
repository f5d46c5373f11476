//! What the log needs now and then: its head kept and told, its old files removed.
//!
//! The head is kept beside the key with the first entry after a minute, and by [`Log::upkeep`], which the process calls about once a minute: so at most
//! the entries of the last minute before a crash can be cut off the end unseen.

use std::fs;
use std::sync::PoisonError;

use event::clock::UnixMs;
use serde_json::json;

use crate::error::Error;
use crate::files;
use crate::line::{self, Head};
use crate::log::{DAY_MS, Entry, Log, SELF};

/// The head is kept again after this, if it moved.
const KEEP_INTERVAL_MS: i64 = 60 * 1000;
/// The head is told to the process's log again after this, if it moved.
const TELL_INTERVAL_MS: i64 = 60 * 60 * 1000;

/// What was done last, and when.
pub(crate) struct Care {
    kept: Option<Head>,
    kept_ms: UnixMs,
    told: Option<Head>,
    told_ms: UnixMs,
    expired_ms: UnixMs,
}

impl Care {
    pub(crate) fn new(now_ms: UnixMs) -> Self {
        Self { kept: None, kept_ms: now_ms, told: None, told_ms: now_ms, expired_ms: now_ms }
    }
}

impl Log {
    /// Does what is due by the clock: the head is kept each minute and told each hour, files beyond their retention go each day. To be called about once
    /// a minute, from a thread that may wait for the disk.
    ///
    /// # Errors
    /// Files could not be removed; it is tried again a day later.
    pub fn upkeep(&self) -> Result<(), Error> {
        self.keep_head();
        let now_ms = self.shared.clock.now_ms();
        let (is_told_due, is_expiry_due) = {
            let mut care = self.care();
            let is_expiry_due = now_ms - care.expired_ms >= DAY_MS;
            if is_expiry_due {
                care.expired_ms = now_ms;
            }
            (now_ms - care.told_ms >= TELL_INTERVAL_MS, is_expiry_due)
        };
        if is_told_due {
            self.tell_head();
        }
        if is_expiry_due { self.expire() } else { Ok(()) }
    }

    /// Removes files whose every entry is older than the retention, and enters where the log begins now.
    ///
    /// # Errors
    /// That could not be entered; nothing is removed then.
    pub fn expire(&self) -> Result<(), Error> {
        let before_ms = self.shared.clock.now_ms() - i64::from(self.shared.settings.retention_days) * DAY_MS;
        let listed = files::list(&self.shared.dir)?;
        let mut first = None;
        let mut expired = Vec::new();
        for pair in listed.windows(2) {
            let [file, next] = pair else { break };
            // The first entry behind a file is younger than all in it.
            let mut lines = files::Lines::open(&next.path)?;
            let Some(read) = lines.next()?.and_then(|line| line::read(&self.shared.key, line).ok()) else {
                break;
            };
            if read.0.time_ms().is_none_or(|time_ms| time_ms >= before_ms) {
                break;
            }
            first = Some(read.0);
            expired.push(file.path.clone());
        }
        let Some(first) = first else { return Ok(()) };
        let details = json!({ "first": first.seq, "previous": first.previous, "files": expired.len() });
        self.append(&Entry::new(
            SELF,
            line::EXPIRED,
            String::from("entries beyond their retention"),
            details,
        ))?;
        for path in expired {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    pub(crate) fn keep_head_if_due(&self) {
        let now_ms = self.shared.clock.now_ms();
        if now_ms - self.care().kept_ms >= KEEP_INTERVAL_MS {
            self.keep_head();
        }
    }

    /// Keeps the head, if it moved.
    pub(crate) fn keep_head(&self) {
        let mut care = self.care();
        // Asked for under the lock: an older head never replaces a newer one.
        let head = self.head();
        care.kept_ms = self.shared.clock.now_ms();
        let Some(path) = self.shared.head_file.as_deref().filter(|_| care.kept != Some(head)) else { return };
        match files::keep_head(path, head) {
            Ok(()) => care.kept = Some(head),
            Err(error) => tracing::error!(%error, "the head of the audit log was not kept"),
        }
    }

    /// Tells the head to the process's log, if it moved: an earlier one that somebody noted proves all entries up to it.
    pub(crate) fn tell_head(&self) {
        let mut care = self.care();
        let head = self.head();
        care.told_ms = self.shared.clock.now_ms();
        if care.told != Some(head) {
            care.told = Some(head);
            tracing::info!(head = %head, "audit log");
        }
    }

    fn care(&self) -> std::sync::MutexGuard<'_, Care> {
        self.shared.care.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
