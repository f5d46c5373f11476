//! The catalog: which campaigns and placements exist, in whose time zone a campaign's days are counted, and where its clicks may land.
//!
//! It is a file (`catalog.toml`) read whole, checked whole, and swapped whole: a wrong one is refused with line and reason, and the
//! one before it stays in force. Resolving a hit is a look-up without allocation. This crate does no I/O.

use std::sync::Arc;

use event::clock::UnixMs;
use event::record::SourceKind;

/// A checked catalog. Immutable; shared behind an `Arc` and swapped.
#[derive(Debug, Default)]
pub struct Catalog {
    /// First 32 bits of the SHA-256 of the file's text: stamped on each event.
    pub version: u32,
    /// By campaign id.
    pub campaigns: ahash::HashMap<String, Arc<Campaign>>,
}

/// One campaign.
#[derive(Debug)]
pub struct Campaign {
    /// Id as it stands in tracking URLs (at most 64 bytes of `A-Za-z0-9._-`).
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Time zone in which its days are counted.
    pub time_zone: chrono_tz::Tz,
    /// First day of its flight, if it has one.
    pub starts: Option<chrono::NaiveDate>,
    /// Last day of its flight, if it has one.
    pub ends: Option<chrono::NaiveDate>,
    /// Clicks of one device on one placement within this many seconds after another are duplicates. 0 = off.
    pub double_click_seconds: u32,
    /// Hosts that clicks of this campaign may land on: lower case, exact, or `.example.com` for all below it.
    pub landing_hosts: Vec<String>,
    /// By placement id.
    pub placements: ahash::HashMap<String, Arc<Placement>>,
}

/// One placement of a campaign.
#[derive(Debug)]
pub struct Placement {
    /// Id as it stands in tracking URLs.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Medium that sells it.
    pub medium: String,
    /// How its beacons reach us.
    pub source: SourceKind,
    /// Hosts that its clicks may land on besides the campaign's.
    pub landing_hosts: Vec<String>,
    /// Where a click goes that asks for nothing or for an unregistered host.
    pub landing_page: Option<String>,
}

/// The campaign-local day and hour of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Days since 1970-01-01 in the campaign's time zone.
    pub day: u16,
    /// Hour 0–23 on the campaign's clock.
    pub hour: u8,
}

impl Campaign {
    /// Day and hour of `at` on this campaign's clock. Days before 1970 read as 0.
    pub fn local_time(&self, at: UnixMs) -> LocalTime {
        let _ = at;
        todo!()
    }
}
