//! The record of a beacon in the journal, and its bytes.

use crate::clock::UnixMs;
use crate::identifier::IdKind;
use crate::key::DeviceKey;
use crate::outcome::Outcome;
use crate::stage::Stage;

/// How the beacon reached us, as the placement declares it (DOMAIN §5). Stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[repr(u8)]
pub enum SourceKind {
    /// From the viewer's own device.
    #[serde(rename = "c2s")]
    Client = 1,
    /// From the medium's server.
    #[serde(rename = "s2s")]
    Server = 2,
    /// From a stitching server.
    #[serde(rename = "ssai")]
    Stitching = 3,
}

/// What the ad was shown on. Stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Platform {
    /// Neither parameter nor agent says.
    Unknown = 0,
    /// Android.
    Android = 1,
    /// iOS or iPadOS.
    Ios = 2,
    /// A desktop or laptop.
    Pc = 3,
    /// A television or set-top box.
    Tv = 4,
    /// Some other mobile system.
    OtherMobile = 5,
}

/// Bits that say what is special about an event. Stored: never change one, only add.
pub mod flag {
    /// The client's time was absent.
    pub const CLIENT_TIME_ABSENT: u32 = 1 << 0;
    /// The client's clock is broken (older than 30 days, before the campaign, or more than 10 minutes ahead): receipt time is used.
    pub const CLIENT_CLOCK_BROKEN: u32 = 1 << 1;
    /// No user agent.
    pub const AGENT_EMPTY: u32 = 1 << 2;
    /// A value was an unreplaced macro.
    pub const MACRO_UNREPLACED: u32 = 1 << 3;
    /// An identifier was present, but all were bad values.
    pub const ID_BAD: u32 = 1 << 4;
    /// `Sec-GPC: 1`: no device key.
    pub const WITHHELD_GPC: u32 = 1 << 5;
    /// Limit ad tracking: no device key.
    pub const WITHHELD_LMT: u32 = 1 << 6;
    /// GDPR or GPP without consent for us: no device key.
    pub const WITHHELD_CONSENT: u32 = 1 << 7;
    /// Child-directed: no device key.
    pub const WITHHELD_CHILD: u32 = 1 << 8;
    /// `DNT: 1`, where the setting honours it: no device key.
    pub const WITHHELD_DNT: u32 = 1 << 9;
    /// Campaign or placement were not in the catalog at receipt.
    pub const UNRESOLVED: u32 = 1 << 10;
    /// The duplicate key includes the client's time (hits tied by a group id); else the id alone tells repeats.
    pub const DUPLICATE_BY_TIME: u32 = 1 << 11;
    /// Only a form that cannot meet the others (SHA-1, SHA-256) was sent: not de-duplicable with the rest.
    pub const ID_SHA_ONLY: u32 = 1 << 12;
    /// A landing host that is not registered for the campaign was asked for.
    pub const LANDING_REFUSED: u32 = 1 << 13;
    /// Loaded by a registered server with the right to backdate.
    pub const BACKDATED: u32 = 1 << 14;
}

/// The device of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Keyed hash of the chosen identifier.
    pub key: DeviceKey,
    /// Which kind of identifier was chosen.
    pub kind: IdKind,
    /// Epoch of the key that made the hash.
    pub epoch: u16,
}

/// One accepted (or unresolved) beacon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Receipt.
    pub received_ms: UnixMs,
    /// The time by which the event counts: the client's if plausible, else receipt.
    pub time_ms: UnixMs,
    /// The client's time as sent, where it was a number; else `None`.
    pub client_time_ms: Option<UnixMs>,
    /// Campaign-local day, days since 1970-01-01. `None` while unresolved.
    pub day: Option<u16>,
    /// Campaign-local hour 0–23. 0 while unresolved.
    pub hour: u8,
    /// What happened.
    pub stage: Stage,
    /// How it reached us.
    pub source: SourceKind,
    /// What it was shown on.
    pub platform: Platform,
    /// [`flag`] bits.
    pub flags: u32,
    /// Campaign id as in the catalog.
    pub campaign: &'a str,
    /// Placement id as in the catalog.
    pub placement: &'a str,
    /// Creative id or empty.
    pub creative: &'a str,
    /// Region by the region library, empty while none is configured.
    pub region: &'a str,
    /// Version of the catalog it was resolved with.
    pub catalog_version: u32,
    /// The device, if the hit has a usable id and no signal withholds it.
    pub device: Option<Device>,
    /// Hash of the request or group id that ties the hits of one view; 0 = none. See [`view_hash`].
    pub view: u64,
    /// Address cut to /24 (3 bytes) or /48 (6 bytes); empty = none.
    pub network: &'a [u8],
    /// User agent, at most [`AGENT_BYTES_MAX`] bytes, valid UTF-8.
    pub agent: &'a str,
}

/// Longest agent kept, bytes.
pub const AGENT_BYTES_MAX: usize = 512;

/// A lane's books at one moment; see the crate's documentation of [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// When.
    pub at_ms: UnixMs,
    /// Beacons received by this lane since it was opened.
    pub received: u64,
    /// Appended to the journal, not yet answered.
    pub pending: u64,
    /// By [`Outcome`] number, since the lane was opened.
    pub outcomes: [u64; Outcome::COUNT],
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A beacon.
    Event(Event<'a>),
    /// A lane's books.
    Outcomes(OutcomeCounts),
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer program: set aside, count, never guess.
    #[error("record version {0} is not known")]
    UnknownVersion(u8),
    /// Of this version, but of no known kind.
    #[error("record kind {0} is not known")]
    UnknownKind(u8),
    /// The bytes end inside the named field.
    #[error("record ends inside {0}")]
    Truncated(&'static str),
    /// The named field holds what it cannot hold.
    #[error("record field {0} holds an impossible value")]
    Malformed(&'static str),
    /// Bytes are left over.
    #[error("record has {0} bytes too many")]
    Trailing(usize),
}

/// Appends an event's bytes.
pub fn encode_event(_event: &Event<'_>, _into: &mut Vec<u8>) {
    todo!()
}

/// Appends the bytes of a lane's books.
pub fn encode_outcomes(_counts: &OutcomeCounts, _into: &mut Vec<u8>) {
    todo!()
}

/// Reads a record's bytes.
///
/// # Errors
/// See [`DecodeError`]; never panics on any bytes.
pub fn decode(_bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    todo!()
}

/// A request or group id as it is kept: stable, never 0.
pub fn view_hash(_request_id: &[u8]) -> u64 {
    todo!()
}
