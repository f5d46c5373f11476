//! The sections of the configuration that belong to the binary; a role's own settings stand in its crate.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Smallest frame that holds every event, bytes; the journal itself would take smaller ones.
const FRAME_BYTES_MIN: usize = 4096;

/// `[journal]`: see `journal::Settings` for what happens at each limit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Journal {
    /// What an answer waits for: `fsync` survives the loss of power, `os` the end of the process.
    pub(crate) durability: Durability,
    /// Bytes of one frame, from 4 KiB.
    pub(crate) frame_bytes_max: usize,
    /// Bytes after which a segment is closed.
    pub(crate) segment_bytes_max: u64,
    /// Age after which a segment is closed, seconds.
    pub(crate) segment_seconds_max: u64,
    /// Bytes of the batch that forms while another is committed, for each lane.
    pub(crate) queue_bytes_max: usize,
    /// Bytes of all segments of a lane.
    pub(crate) disk_bytes_max: u64,
    /// How long a segment is kept after everybody has read it, hours.
    pub(crate) retention_hours: u64,
}

/// Spelling of `journal::Durability` in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durability {
    /// Sync each group.
    Fsync,
    /// Write each group.
    Os,
}

impl Default for Journal {
    fn default() -> Self {
        let settings = journal::Settings::default();
        Self {
            durability: Durability::Fsync,
            frame_bytes_max: settings.frame_bytes_max,
            segment_bytes_max: settings.segment_bytes_max,
            segment_seconds_max: settings.segment_age_max.as_secs(),
            queue_bytes_max: settings.queue_bytes_max,
            disk_bytes_max: settings.disk_bytes_max,
            retention_hours: settings.retention_age.as_secs() / 3600,
        }
    }
}

impl Journal {
    /// Holds the values against their limits.
    pub(crate) fn check(&self) -> Result<(), journal::Error> {
        if self.frame_bytes_max < FRAME_BYTES_MIN {
            return Err(journal::Error::Setting {
                name: "frame_bytes_max",
                value: self.frame_bytes_max as u64,
                allowed: "4096 to 16777216",
            });
        }
        self.settings().check()
    }

    /// As the journal takes them.
    pub(crate) fn settings(&self) -> journal::Settings {
        journal::Settings {
            durability: match self.durability {
                Durability::Fsync => journal::Durability::Fsync,
                Durability::Os => journal::Durability::Os,
            },
            frame_bytes_max: self.frame_bytes_max,
            segment_bytes_max: self.segment_bytes_max,
            segment_age_max: Duration::from_secs(self.segment_seconds_max),
            queue_bytes_max: self.queue_bytes_max,
            disk_bytes_max: self.disk_bytes_max,
            retention_age: Duration::from_secs(self.retention_hours.saturating_mul(3600)),
            ..journal::Settings::default()
        }
    }
}

/// `[links]`: the keys of signed links. What a signature says stands in `event::link`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Links {
    /// Files with one key each: the first one signs, all of them verify. Empty: one machine keeps a key of its own in its data folder, a
    /// cluster has none.
    pub(crate) key_files: Vec<PathBuf>,
}

impl Links {
    /// Holds the values against their limits.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.key_files.len() > event::link::KEYS_MAX {
            let most = event::link::KEYS_MAX;
            return Err(format!(
                "[links] key_files names {} files; at most {most} keys are held at a time: leave out those whose links have all expired",
                self.key_files.len()
            ));
        }
        Ok(())
    }
}

/// `[regions]`: where viewers are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Regions {
    /// Region library in MaxMind's format. Default: none, and every region is unknown.
    pub(crate) file: Option<PathBuf>,
}

/// `[admin]`: liveness, readiness, metrics. Never for the public.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// Address and port. Port 0 takes a free one.
    pub(crate) listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)) }
    }
}
