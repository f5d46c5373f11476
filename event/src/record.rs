//! What is kept of a beacon: the [`Event`], a lane's books ([`OutcomeCounts`]), and their bytes ([`codec`]).
//!
//! Nothing in here may hold a raw identifier, a full address or a URL. Each field says its purpose, sensitivity and retention;
//! [`FIELDS`] is the same as a table, from which the privacy page is made.

pub mod codec;
mod fields;

use crate::clock::UnixMs;
use crate::identifier::IdKind;
use crate::key::DeviceKey;
use crate::outcome::Outcome;
use crate::stage::Stage;

pub use codec::{
    DecodeError, Record, decode, encode_event, encode_outcomes, encode_region_library, encode_trial_hit,
};
pub use fields::{FIELDS, FieldNote, Retention, Sensitivity, Words};

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

impl SourceKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 3] = [Self::Client, Self::Server, Self::Stitching];

    /// The name in the catalog and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "c2s",
            Self::Server => "s2s",
            Self::Stitching => "ssai",
        }
    }

    /// The kind of a name; case matters.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
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

impl Platform {
    /// Every platform, in the order of its number.
    pub const ALL: [Self; 6] =
        [Self::Unknown, Self::Android, Self::Ios, Self::Pc, Self::Tv, Self::OtherMobile];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Android => "android",
            Self::Ios => "ios",
            Self::Pc => "pc",
            Self::Tv => "tv",
            Self::OtherMobile => "other-mobile",
        }
    }

    /// The platform of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| *platform as u8 == number)
    }
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
    /// TCF without consent for us: no device key. In events of a program that did not know [`WITHHELD_GPP`], GPP too.
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
    /// A usable identifier stood in the hit, whether or not a signal withholds the device key: the device-id return rate counts it.
    pub const ID_USABLE: u32 = 1 << 15;
    /// The placement was in its trial state: in no figure.
    pub const TRIAL: u32 = 1 << 16;
    /// The SDK says that the device is rooted.
    pub const DEVICE_ROOT: u32 = 1 << 17;
    /// The SDK says that the device is an emulator.
    pub const DEVICE_EMULATOR: u32 = 1 << 18;
    /// The SDK says that a hooking framework is at work.
    pub const DEVICE_HOOK: u32 = 1 << 19;
    /// The SDK says that ADB is on.
    pub const DEVICE_ADB: u32 = 1 << 20;
    /// The agent is a robot's ([`crate::givt`]): net leaves the hit out. Of trial hits only: of events the agent itself is kept.
    pub const AGENT_ROBOT: u32 = 1 << 21;
    /// The agent is that of a program and no browser, likewise.
    pub const AGENT_NO_BROWSER: u32 = 1 << 22;
    /// GPP: opted out of sale, sharing or targeted advertising, or a section that applies cannot be read: no device key.
    pub const WITHHELD_GPP: u32 = 1 << 23;
    /// The device was erased at its person's request. Only in stored rows, never in a record.
    pub const ERASED: u32 = 1 << 24;

    /// Every flag of a signal that withholds the device key.
    pub const WITHHELD: u32 =
        WITHHELD_GPC | WITHHELD_LMT | WITHHELD_CONSENT | WITHHELD_CHILD | WITHHELD_DNT | WITHHELD_GPP;
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
    /// During an overlap of two keys, the same identifier under the one before.
    pub former: Option<Former>,
}

/// A device under the key before, as long as the two overlap (DESIGN §6). It ties what was stored before a rotation to what is stored behind it, in reports,
/// until a day; from then on nobody may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// Keyed hash of the identifier under the key before.
    pub key: DeviceKey,
    /// Epoch of that key.
    pub epoch: u16,
    /// The first day, in UTC, on which the two keys overlap no more; days since 1970-01-01.
    pub until_day: u16,
}

impl Former {
    /// Whether the two keys still overlap.
    pub fn is_in_force(&self, now_ms: UnixMs) -> bool {
        now_ms < i64::from(self.until_day) * DAY_MS
    }
}

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// One accepted (or unresolved) beacon.
///
/// Retention of every field is the event's own ([`Retention::Event`]), counted from receipt, where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Receipt, Unix milliseconds. Purpose: order, retention, plausibility of the client's time. Not sensitive by itself.
    pub received_ms: UnixMs,
    /// The time by which the event counts: the client's if plausible, else receipt. Purpose: day and hour of the figures, order of the
    /// hits of one view. Not sensitive by itself.
    pub time_ms: UnixMs,
    /// The client's time as sent, where it was a time ([`crate::time::TIME_MS_BEGIN`] to [`crate::time::TIME_MS_END`]); else `None`. Purpose: duplicate key, checks of
    /// clocks. Not sensitive by itself.
    pub client_time_ms: Option<UnixMs>,
    /// Campaign-local day, days since 1970-01-01. `None` while unresolved. Purpose: figures by day. Not sensitive.
    pub day: Option<u16>,
    /// Campaign-local hour 0–23. 0 while unresolved. Purpose: figures by hour. Not sensitive.
    pub hour: u8,
    /// What happened. Purpose: what is counted. Not sensitive.
    pub stage: Stage,
    /// How it reached us. Purpose: which validity rules apply. Not sensitive.
    pub source: SourceKind,
    /// What it was shown on. Purpose: figures by platform, choice of the identifier. Not sensitive.
    pub platform: Platform,
    /// [`flag`] bits. Purpose: validity and why a device key is missing. Personal: says which privacy signals a person sent.
    pub flags: u32,
    /// Campaign id as in the catalog. Purpose: what is counted. Not sensitive.
    pub campaign: &'a str,
    /// Placement id as in the catalog. Purpose: what is counted. Not sensitive.
    pub placement: &'a str,
    /// Creative id or empty. Purpose: figures by creative. Not sensitive.
    pub creative: &'a str,
    /// Region by the region library, empty while none is configured. Purpose: figures by region. Personal: coarse place.
    pub region: &'a str,
    /// Version of the catalog it was resolved with. Purpose: audit. Not sensitive.
    pub catalog_version: u32,
    /// The device, if the hit has a usable id and no signal withholds it. Purpose: reach and frequency. Pseudonym: links the events of
    /// one device for whoever holds them; cannot be tested against guesses without the key. Blanked by an erasure.
    pub device: Option<Device>,
    /// Keyed hash of the request or group id that ties the hits of one view, or of what a hit without one is called; 0 = none. See
    /// [`KeyRing::view_hash`](crate::key::KeyRing::view_hash), [`batch_item_hash`](crate::key::KeyRing::batch_item_hash) and
    /// [`signed_item_hash`](crate::key::KeyRing::signed_item_hash). Purpose: duplicates, clicks and viewability of a view. Pseudonym of one ad view; if a
    /// medium puts a device's identifier there, of a device, which cannot be tested against guesses without the key.
    pub view: u64,
    /// Address cut to /24 (3 bytes) or /48 (6 bytes); empty = none. Purpose: robot and data-centre lists of later months. Personal.
    /// Blanked by an erasure.
    pub network: &'a [u8],
    /// User agent, at most [`AGENT_BYTES_MAX`] bytes, valid UTF-8. Purpose: robot lists of later months. Personal. Blanked by an erasure.
    pub agent: &'a str,
    /// Host of the `Referer`, lower case, at most [`SITE_BYTES_MAX`] bytes; empty = none. Nothing else of that header is kept. Purpose: where a
    /// web placement ran. Not sensitive by itself.
    pub site: &'a str,
}

/// Longest agent kept, bytes.
pub const AGENT_BYTES_MAX: usize = 512;

/// Longest host of a site kept, bytes (RFC 1035).
pub const SITE_BYTES_MAX: usize = 253;

/// Longest name of a dialect in a [`TrialHit`], bytes.
pub const DIALECT_BYTES_MAX: usize = 64;

/// Longest list of dropped names in a [`TrialHit`], bytes.
pub const DROPPED_BYTES_MAX: usize = 1024;

/// What became of one hit on a placement in its trial state: for whoever integrates it. Holds no value that was sent but the two ids of the
/// catalog, no address and no agent, and says nothing of opt-outs: an opted-out hit looks like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialHit<'a> {
    /// Receipt, Unix milliseconds.
    pub received_ms: UnixMs,
    /// The client's time less receipt, milliseconds, where it was sent and a time.
    pub client_clock_ms: Option<i64>,
    /// Campaign id as in the catalog.
    pub campaign: &'a str,
    /// Placement id as in the catalog.
    pub placement: &'a str,
    /// Name of the dialect.
    pub dialect: &'a str,
    /// What the hit says happened, if it says so.
    pub stage: Option<Stage>,
    /// What the caller may be told.
    pub outcome: Outcome,
    /// How it reached us.
    pub source: SourceKind,
    /// What it was shown on.
    pub platform: Platform,
    /// [`flag`] bits.
    pub flags: u32,
    /// Which identifiers were sent: bit n for the [`IdField`](crate::identifier::IdField) with number n.
    pub ids_present: u32,
    /// Which of them identify a device.
    pub ids_usable: u32,
    /// Values that were unreplaced macros.
    pub macros_unreplaced: u8,
    /// Parameters that no table knows.
    pub parameters_unknown: u8,
    /// Names of known parameters that were dropped, separated by blanks, at most [`DROPPED_BYTES_MAX`] bytes.
    pub dropped: &'a str,
}

/// Longest name of a region library, bytes.
pub const LIBRARY_NAME_BYTES_MAX: usize = 64;

/// The region library by which the regions of the records behind this one were looked up. Before the first of a journal there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionLibrary<'a> {
    /// When it came into force in this lane, Unix milliseconds.
    pub at_ms: UnixMs,
    /// When it was built, Unix seconds.
    pub built: u64,
    /// First 32 bits of the SHA-256 of its file.
    pub version: u32,
    /// Its type as it says itself, such as `GeoLite2-City`, at most [`LIBRARY_NAME_BYTES_MAX`] bytes.
    pub name: &'a str,
}

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
