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

/// The handle through which everybody reads the catalog in force; `sightline` swaps it.
pub type Shared = Arc<arc_swap::ArcSwap<Catalog>>;

/// Why a catalog was refused; prints `catalog.toml:12: …`.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct Error {
    /// Name of the file as given.
    pub file: String,
    /// Line from 1.
    pub line: usize,
    /// What is wrong and what is allowed.
    pub problem: String,
}

/// What the catalog knows of a campaign and placement.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// Both.
    Known(&'a Arc<Campaign>, &'a Arc<Placement>),
    /// The campaign, but it has no such placement.
    UnknownPlacement(&'a Arc<Campaign>),
    /// No such campaign.
    UnknownCampaign,
}

/// Where a click goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing<'a> {
    /// To the asked URL: its host is registered.
    To(&'a str),
    /// To the placement's landing page; `refused` says that another host was asked for.
    Page {
        /// The registered page.
        url: &'a str,
        /// Whether an unregistered host was asked for.
        refused: bool,
    },
    /// An unregistered host or no valid URL was asked for, and there is no page.
    Refused,
    /// Nothing was asked for, and there is no page.
    Nothing,
}

impl Catalog {
    /// Reads and checks a catalog.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(_text: &str, _file_name: &str) -> Result<Self, Error> {
        todo!()
    }
    /// Looks up a hit.
    pub fn find(&self, _campaign: &[u8], _placement: &[u8]) -> Found<'_> {
        todo!()
    }
    /// Decides a click.
    pub fn landing<'a>(&'a self, _found: Found<'a>, _url: Option<&'a [u8]>) -> Landing<'a> {
        todo!()
    }
    /// Whether some campaign or placement registered this host.
    pub fn is_registered_anywhere(&self, _host: &str) -> bool {
        todo!()
    }
    /// The handle of this catalog.
    pub fn into_shared(self) -> Shared {
        Arc::new(arc_swap::ArcSwap::from_pointee(self))
    }
}

impl Campaign {
    /// First moment of the flight: midnight of `starts` on the campaign's clock, Unix milliseconds.
    pub fn campaign_start_ms(&self) -> Option<UnixMs> {
        todo!()
    }
}
