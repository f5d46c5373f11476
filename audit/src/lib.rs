//! The audit log: who looked at which figures, and who changed what. Append-only, and a change of it shows.
//!
//! # The file
//!
//! ```text
//! DATA/audit/audit-000001.jsonl     0600; a new file by size or age, the chain goes on in it
//! DATA/audit/torn-<seq>-<ms>.bin    what a crash left of a line that was never acknowledged
//! DATA/audit/damaged-<seq>-<ms>.bin whole lines at the end that were not right when the log was opened
//!
//! {"seq":7,"time":"2026-11-22T12:00:00.123Z","actor":"operator","act":"report.read","object":"campaign demo",
//!  "details":{…},"previous":"<mac of line 6>","mac":"<64 hex>"}        one line, ended by a line feed
//! ```
//!
//! `mac` is the HMAC-SHA-256 of the line's bytes before `,"mac"`, under a key that is kept apart from the log (`keys/audit.key`). `previous` of line 1
//! is 64 zeros. So a changed, inserted, swapped or removed line shows to whoever has the key, and nobody without it can write one.
//!
//! Who has the key *and* may write the files could write another history. Against them, and against lines cut off the end, stands the **head**, the
//! last line's number and mac: `sightline audit head` prints it, and the process logs it at its start, at its end and once an hour while it moves, so
//! that it stands wherever logs are shipped to. `sightline audit verify --head SEQ:MAC` holds the log against one that was noted.
//! The newest head is also kept beside the key, each minute and at the end. The log is held against it when it is opened, which enters
//! `audit.damage_found` where it does not fit, and by `sightline audit verify`, which counts such entries as damage for as long as they stand there.
//!
//! # What holds
//!
//! * [`Log::append`] answers when the line is synced. If it cannot be, the caller refuses what was asked: nothing happens unseen.
//! * What a crash leaves of a line that has no end was never acknowledged. It is set aside in a file, and a line says so. A line that has an end and is
//!   not right is damage, at the end of the log too.
//! * An entry holds no token, no key, no device identifier and no address of an end user. That is the caller's to keep.
//! * It is written by one process: the one that holds the data folder's lock.

mod error;
mod files;
mod line;
mod log;
pub mod metrics;
mod upkeep;
mod verify;

pub use error::Error;
pub use files::kept_head;
pub use line::{Head, HeadError, Key, Line, MAC_HEX};
pub use log::{Entry, Log, Parts, SCRATCH_KEY, Settings};
pub use verify::{Broken, Damage, Problem, Report, verify};
