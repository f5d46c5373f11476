//! What an operator can choose about a lane, with the limits of each choice. Owns no state and reads no file: the caller fills it in.

use std::time::Duration;

use crate::error::Error;
use crate::format::{FRAME_BYTES_LIMIT, FRAME_HEADER_BYTES, RECORD_PREFIX_BYTES_MAX, SEGMENT_HEADER_BYTES};

/// Most that `queue_bytes_max` may be: recovery takes a longer uncertain tail for damage.
const QUEUE_BYTES_LIMIT: usize = 16 * 1024 * 1024;

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// One `fdatasync` for each group: what was answered survives the loss of power.
    Fsync,
    /// The write alone: what was answered survives the end of the process, not the loss of power.
    Os,
}

/// Whether the payload of a frame is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Never.
    Off,
    /// zstd, for frames whose plain payload has at least `payload_bytes_min` bytes, and only kept if it makes them smaller.
    Zstd {
        /// Level of zstd, 1 to 9; negative levels are its fast modes.
        level: i32,
        /// Plain payloads below this many bytes are stored as they are: alone they repeat too little.
        payload_bytes_min: usize,
    },
}

/// The named limits of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What a commit waits for. Default [`Durability::Fsync`].
    pub durability: Durability,
    /// Bytes of one frame, header included: 512 bytes to 16 MiB, default 512 KiB. A record must fit into one frame.
    pub frame_bytes_max: usize,
    /// Bytes after which a segment is closed and the next begun, default 64 MiB. At least two frames; passed by at most one batch.
    pub segment_bytes_max: u64,
    /// Age after which a segment with records in it is closed, default 1 hour: retention removes whole segments only.
    pub segment_age_max: Duration,
    /// Bytes of the batch that forms while another is being committed: at most 16 MiB, default 4 MiB. Beyond it `append` answers `QueueFull`.
    pub queue_bytes_max: usize,
    /// Bytes of all segments of the lane, default 16 GiB. What happens there: see the crate's head.
    pub disk_bytes_max: u64,
    /// How long a segment is kept after its last record although every cursor has passed it, default 7 days.
    pub retention_age: Duration,
    /// Payload compression. Default: zstd at level −1 for payloads of at least 1,024 bytes; measured in the crate's head.
    pub compression: Compression,
    /// Time between two attempts to take up work again after a failed write or sync, default 1 s.
    pub probe_interval: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            durability: Durability::Fsync,
            frame_bytes_max: 512 * 1024,
            segment_bytes_max: 64 * 1024 * 1024,
            segment_age_max: Duration::from_hours(1),
            queue_bytes_max: 4 * 1024 * 1024,
            disk_bytes_max: 16 * 1024 * 1024 * 1024,
            retention_age: Duration::from_hours(7 * 24),
            compression: Compression::Zstd { level: -1, payload_bytes_min: 1024 },
            probe_interval: Duration::from_secs(1),
        }
    }
}

impl Settings {
    /// The longest record that `append` takes, in bytes.
    pub fn record_bytes_max(&self) -> usize {
        self.frame_bytes_max - FRAME_HEADER_BYTES - RECORD_PREFIX_BYTES_MAX
    }

    /// Holds each value against its limits.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first value that is out of its limits; the caller's fault, retrying is of no use.
    pub fn check(&self) -> Result<(), Error> {
        let bad = |name, value: u64, allowed| Err(Error::Setting { name, value, allowed });
        if !(512..=FRAME_BYTES_LIMIT).contains(&self.frame_bytes_max) {
            return bad("frame_bytes_max", self.frame_bytes_max as u64, "512 to 16777216");
        }
        if self.queue_bytes_max < self.frame_bytes_max || self.queue_bytes_max > QUEUE_BYTES_LIMIT {
            return bad("queue_bytes_max", self.queue_bytes_max as u64, "frame_bytes_max to 16777216");
        }
        if self.segment_bytes_max < SEGMENT_HEADER_BYTES as u64 + self.frame_bytes_max as u64 {
            return bad("segment_bytes_max", self.segment_bytes_max, "at least frame_bytes_max + 64");
        }
        if self.disk_bytes_max < self.segment_bytes_max {
            return bad("disk_bytes_max", self.disk_bytes_max, "at least segment_bytes_max");
        }
        if self.probe_interval.is_zero() {
            return bad("probe_interval", 0, "more than 0");
        }
        match self.compression {
            Compression::Zstd { level, .. } if !(-7..=9).contains(&level) => {
                bad("compression level", u64::from(level.unsigned_abs()), "-7 to 9")
            }
            _ => Ok(()),
        }
    }
}
