//! A durable, ordered, append-only log of opaque records.
//!
//! A record that was answered is on the disk; a record that is read was appended; nothing is read that did not verify. The crate knows no
//! runtime and no record: it stores bytes and gives them back with an identity that is never used twice.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let clock: journal::Clock = std::sync::Arc::new(|| 1_763_700_000_000);
//! let (writer, recovery) = journal::Lane::open("DATA/journal/lane-0".as_ref(), journal::Settings::default(), clock)?;
//! // once, on the runtime whose tasks append: tokio::spawn(writer.drive());
//! let seq = writer.append(b"a record")?.await?; // on the disk now
//! let mut reader = writer.reader("store")?; // in another thread
//! while let Some(frame) = reader.next_frame()? {
//!     for (seq, record) in frame.records() { /* take it over, durably */ }
//!     reader.commit(frame.end())?; // only now may it be removed
//! }
//! # Ok(()) }
//! ```
//!
//! # Words
//!
//! * A **lane** is a directory that one process writes to. A tracker has one for each of its threads, so that they share nothing.
//! * A **segment** is a file of it: a header, then frames. Segments are numbered from 1 over the whole life of the lane.
//! * A **frame** holds records under one checksum. A **group** is what is written with one write and made durable with one sync: one
//!   frame as a rule, several when the batch is longer than `frame_bytes_max`. A group is committed as a whole or not at all.
//! * An **incarnation** is the time from one opening for writing (or from one recovery from a failed disk) to the next. It has a
//!   [`JournalId`] of its own, drawn at random, and counts its records from 0. (journal id, sequence number) is the identity of a record.
//! * A **cursor** is the durable place of a named reader.
//!
//! # What is promised
//!
//! 1. A [`Commit`] that resolves to `Ok` under [`Durability::Fsync`] survives the loss of power; under [`Durability::Os`] it survives the
//!    end of the process.
//! 2. A record whose commit failed, or was never answered, appears once or not at all.
//! 3. Within an incarnation readers see sequence numbers in order, without gaps other than reported damage ([`Frame::lost_before`]).
//! 4. An identity is never used for two records, also when a copy of the disk is restored, a disk is wiped or a tail is lost. This is why
//!    an id belongs to an incarnation and not to the directory: a lane that was set back to yesterday and went on counting would give new
//!    records the numbers of lost ones, and whatever drops repeats behind it would drop them.
//! 5. Segments go only when they are behind every cursor, and a cursor is durable before anything is removed on its word.
//! 6. Every wait and every size has a limit (see [`Settings`]); at each limit the caller is told at once.
//!
//! What is not promised: that a file system keeps what it acknowledged, or that a sector that is being rewritten keeps its old bytes when
//! the power fails (frames are not aligned to sectors; the last committed frame and the next one may share one).
//!
//! # The path of a record
//!
//! ```text
//!   runtime's thread                                 mailbox                      committer's thread
//!   append ──► copy behind its length ──────────► forming batch
//!   (first of a batch: wakes the driving task)
//!   drive  ──► after the tasks that were ready ──► handed batch ───────────────► frames, compressed if it pays
//!              (at once if the committer is idle,                                 one write, one fdatasync
//!               else when the running group ends)                                 watermark for the readers
//!   drive  ◄── ONE wake across threads ◄───────── ended groups ◄────────────────  the group ends
//!     └──────► wakes the tasks of the group, locally; each answers its caller
//! ```
//!
//! There is no timer: a group is as large as what arrived while the one before it was on the disk, so that a quiet lane commits each record
//! by itself and a busy one hundreds together. The mailbox's lock is taken by the one runtime thread and its committer only, for moments,
//! and never held during I/O or a wake. A disk that hangs stops the committer, not the runtime: the forming batch fills up to
//! `queue_bytes_max`, then `append` answers [`AppendError::QueueFull`], and [`Health::Open`] tells for how long the running commit has run.
//!
//! # The bytes
//!
//! All numbers are little-endian. Every form begins with its version and ends or begins with a CRC-32C; all forms that were ever written
//! stay as golden files. An unknown version is set aside (neither read nor removed) and reported.
//!
//! ```text
//! segment header, 64 bytes                          frame header, 40 bytes, before its payload
//!  0 version     u8  = 1                             0 version      u8 = 1
//!  1 magic       7   "SEGMENT"                       1 magic        3  "FRM"
//!  8 journal id  u64                                 4 crc32c       u32 over: segment number u64, offset of the
//! 16 number      u64  as in the file's name                              frame u64, bytes 0..4 and 8.., payload
//! 24 created     i64  unix milliseconds              8 stored       u32 bytes of the payload as stored
//! 32 first seq   u64                                12 plain        u32 bytes of the payload decompressed
//! 40 previous    u64  number of the segment         16 journal id   u64
//!                     before, 0 = none              24 first seq    u64
//! 48 previous's  u64  where its committed           32 count        u32 records; 0 = the mark of a clean close
//!    end              frames end                    36 codec        u8  0 = plain, 1 = zstd
//! 56 previous's  u32  checksum of its last          37 flags        u8  1 = written together with the frame before
//!    chain            committed frame               38 reserved     u16 = 0
//! 60 crc32c      u32  over bytes 0..60              payload: each record behind its length (LEB128 u32)
//!
//! cursor, 36 bytes: version u8 = 1, "CURSOR\0", journal id u64, segment u64, offset u64, crc32c u32
//!
//! a lane:  lock   0000000000000007.segment   0000000000000008.segment   store.cursor   forwarder.cursor
//! ```
//!
//! The checksum covers the place of a frame: a block that was recycled, swapped, copied or written to the wrong place never verifies,
//! not even in the same segment. As it covers the journal id too, which never leaves the machine, nobody can send a record whose bytes
//! pass for a frame after damage.
//!
//! The header of a segment states where the one before it ends. So the end of every segment but the last is known: bytes behind it belong
//! to a write that failed (they were never answered, and are not read), and if the file is shorter, answered records are lost, and that is
//! known as well.
//!
//! # Order of operations
//!
//! * New segment: create, write the header, sync the file, sync the directory; then it is written to.
//! * Rotation: sync the old segment (under `Os` too), then begin the new one. So only the last segment can have an uncertain end.
//! * Cursor: write a temporary file, sync it, rename it, sync the directory; then segments behind it may go.
//! * Removal: oldest first, the directory synced after each, so that no hole can appear between two kept segments.
//!
//! # When the disk fails
//!
//! After a failed write or sync nothing is known about what was written since the last good sync, and a second sync that succeeds proves
//! nothing (Linux drops the pages and says yes). Therefore the segment is closed for good and cut at its committed end, the waiting
//! requests get [`CommitError::Storage`], the forming batch as well, and `append` answers [`AppendError::Failed`]. Every `probe_interval` the
//! committer then tries to begin a **new segment under a new journal id**; when that works, the lane takes records again. Nobody is needed.
//! A full disk is the same, except that the probe asks for room for two batches first and gives up segments behind every cursor
//! for it. A committer that panics closes the lane and tells everybody who waits.
//!
//! # At the size limit
//!
//! At `disk_bytes_max` the oldest segments behind every cursor go although they are younger than `retention_age`: logged as a
//! warning and counted ([`Stats::segments_evicted`]), for the past that can be rebuilt becomes shorter. If none is behind every cursor, records
//! are refused with [`AppendError::DiskFull`] and [`Health::Full`] until a reader moves on; the log names the cursor that stands furthest back.
//! **Without any cursor nothing is ever removed**: nobody has read it yet (and the opt-out registry, which nobody moves a cursor over, is kept
//! whole). A cursor that is no longer wanted must be removed by name, or it holds everything. Segments of an unknown version count but stay.
//!
//! # Opening again
//!
//! Recovery reads the headers of all segments and scans the last one. What it finds there is judged so:
//!
//! | found | is | what happens |
//! |---|---|---|
//! | whole frames that were never answered | the process ended between write and answer | kept and served |
//! | bad bytes, and behind them no frame of a later group | a torn tail: the last write did not get whole to the disk | cut, synced, reported as a warning |
//! | bad bytes, then a frame of a later group, or the mark of a clean close | damage in what was committed | kept, skipped by readers, the rest served; reported as an error and counted |
//! | more bad bytes at the end than are ever written at once | damage | as above |
//! | a file shorter than its successor states, a segment missing between two others | lost records | reported as an error; the rest is served |
//! | a segment without a frame | a start that came to nothing | removed once the new segment exists |
//! | a cursor that does not verify | | its reader begins again at the oldest record; reported as a warning |
//! | a cursor in a segment that is gone, was cut, or is another now | retention, a lost tail, a restored copy | goes on at the next place that exists |
//!
//! A damaged last frame of a lane that was not closed cleanly cannot be told from a torn one. What recovery keeps, it writes again and
//! syncs before the new segment's header vouches for it: after a failed sync the system may show bytes that the disk never got.
//! Segments of earlier incarnations are never appended to.
//!
//! # Following
//!
//! A [`Reader`] sees what is committed and nothing else, over segments and incarnations. Delivery is at least once: it goes on at its cursor,
//! and what was read but not committed comes again with the same identity. [`Writer::committed`] is the place that a reader must reach
//! to have seen everything that was answered until now. A disk that refuses to read is an error that may be tried again, not
//! damage: nothing is skipped because of it.
//!
//! # Compression
//!
//! Events repeat themselves: agent strings, names, times. Measured with `examples/measure.rs` on records of 227 bytes (half of it an agent
//! string), bytes stored and processor time for append and commit together, two shared cores:
//!
//! | records in the group | plain | zstd −3 | zstd −1 | zstd 1 | zstd 3 |
//! |---|---|---|---|---|---|
//! | 8 | 234 B, 1.3 µs | 117 B, 1.5 µs | 106 B, 1.9 µs | 103 B, 2.1 µs | 103 B, 2.4 µs |
//! | 64 | 230 B, 0.4 µs | 73 B, 0.6 µs | 64 B, 0.6 µs | 61 B, 0.7 µs | 60 B, 0.8 µs |
//! | 256 | 229 B, 0.2 µs | 65 B, 0.4 µs | 56 B, 0.5 µs | 54 B, 0.6 µs | 52 B, 0.6 µs |
//!
//! So the default is zstd at level −1 for payloads of at least 1,024 bytes (about five such records): it costs 0.2 to 0.6 µs a record, on
//! the committer's thread, and saves half to three quarters of what the disk takes. Shorter ones are stored as they are, since alone they hardly shrink.
//!
//! # How it is held to this
//!
//! `tests/model.rs`: random actions, crashes and failing disks against a plain model. `tests/crash.rs`: loss of power after every operation of a lane's
//! life on [`storage::lossy`], a disk that keeps only what it promised; every operation failing once; a file cut at every byte. `tests/damage.rs`:
//! every bit flipped, blocks zeroed, swapped, recycled. `tests/disk.rs`: disks that hang. `tests/golden.rs`: what version 1 wrote.

mod active;
mod commit;
mod committer;
mod drive;
mod error;
mod format;
mod inventory;
mod lane;
mod mailbox;
mod reader;
mod recovery;
mod retention;
mod settings;
mod stats;
pub mod storage;
mod verify;
mod walk;
mod writer;

use std::sync::Arc;

pub use commit::Commit;
pub use error::{AppendError, CommitError, Error, ReadError};
pub use format::{JournalId, Position};
pub use lane::Lane;
pub use reader::{Frame, Reader};
pub use recovery::{Damage, Recovery};
pub use retention::Retained;
pub use settings::{Compression, Durability, Settings};
pub use stats::{Health, Stats};
pub use verify::{VerifyReport, read_all, read_all_on, verify};
pub use writer::{CursorState, Writer};

/// Tells the time: milliseconds since 1970-01-01 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;
