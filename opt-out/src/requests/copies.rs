//! The files of copies, and until when requests and files are kept.
//!
//! An erasure takes the files of copies of the same device with it: what is erased must not lie in a folder of ours.

use std::io::ErrorKind;
use std::path::PathBuf;

use event::clock::{Clock, UnixMs};

use super::record::{Key, Kind, Request, State};
use super::{RequestSettings, Requests};
use crate::receipt::ReceiptId;

const DAY_MS: i64 = 86_400_000;

impl Requests {
    /// Where the file of a copy stands.
    pub fn copy_path(&self, receipt: ReceiptId) -> PathBuf {
        self.0.copies.join(format!("{receipt}.json"))
    }

    /// Until when the file of a copy that was finished is kept, unless an erasure takes it with it. Unix milliseconds.
    pub fn copy_until_ms(&self, request: &Request) -> Option<UnixMs> {
        let is_copy = request.kind == Kind::Copy && request.state == State::Done;
        let days = i64::from(self.0.settings.copy_days_max);
        request.finished_ms.filter(|_| is_copy).map(|finished_ms| finished_ms + days * DAY_MS)
    }

    /// Forgets what was answered long enough ago; then removes the files of copies that were kept long enough, and what belongs to no request. How
    /// many.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove_old_copies(&self) -> std::io::Result<usize> {
        let now_ms = self.0.clock.now_ms();
        {
            let mut book = self.book();
            book.forget_answered(answered_since(&self.0.settings, &self.0.clock));
            book.drop_keys_of_copies(now_ms - i64::from(self.0.settings.copy_days_max) * DAY_MS);
        }
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.0.copies)? {
            let path = entry?.path();
            let receipt = path.file_stem().and_then(|stem| stem.to_str()).and_then(ReceiptId::parse);
            let keep = receipt.is_some_and(|receipt| {
                let book = self.book();
                let request = book.by_receipt.get(&receipt).and_then(|number| book.by_number.get(number));
                request.is_some_and(|request| {
                    request.state == State::Running
                        || self.copy_until_ms(request).is_some_and(|until_ms| now_ms < until_ms)
                })
            });
            if !keep {
                std::fs::remove_file(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes the files of copies that hold a device of these keys.
    pub(super) fn remove_copies_of(&self, keys: &[Key]) -> std::io::Result<()> {
        let receipts = self.book().copies_of(keys);
        for receipt in receipts {
            match std::fs::remove_file(self.copy_path(receipt)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Forgets erasures whose devices nothing can bring back any more: all that was received before them has expired. For whoever knows how long events
    /// are kept. Unix milliseconds.
    pub fn forget_erased(&self, before_ms: UnixMs) {
        self.book().forget_erased(before_ms);
    }
}

/// What was answered before this moment is forgotten. Unix milliseconds.
pub(super) fn answered_since(settings: &RequestSettings, clock: &Clock) -> UnixMs {
    clock.now_ms() - i64::from(settings.answered_days_max) * DAY_MS
}
