//! The bytes of a record. Little-endian, canonical: one value has one encoding, and every other byte string is refused.
//!
//! They carry no checksum and no length of their own: the journal's frame and Kafka's batch do that. A form once written stays
//! readable for ever; `tests/golden/` holds one file of each.
//!
//! ```text
//! record   = version u8 (1, 2, 3) · kind u8 (1 event, 2 outcomes, 3 trial hit, 4 region library) · body
//! event    = shape u8            bits: 0 client time present, 1 it equals time, 2 day present, 3 device present,
//!                                      4 view present, 5 former device present (version 3, which an event has only then), 6–7 zero
//!            received_ms zigzag · received_ms − time_ms zigzag
//!            [client time: received_ms − client_time_ms zigzag, if bit 0 and not bit 1]
//!            stage u8 · source u8 · platform u8 · hour u8 · [day u16, if bit 2]
//!            flags varint · catalog_version u32
//!            [device: key 16 bytes · kind u8 · epoch varint, if bit 3]
//!            [former device: key 16 bytes · epoch varint · until day u16, if bit 5, which needs bit 3]
//!            [view u64, not 0, if bit 4]
//!            network: length u8 (0, 3, 6) · bytes
//!            campaign · placement · creative · region · agent: each length varint · UTF-8
//!            [site: length varint, not 0 · UTF-8; in version 2, which an event has only then; in version 3 always, may be of length 0]
//! outcomes = at_ms zigzag · received varint · pending varint · count u8 · count × varint
//! trial    = shape u8            bits: 0 stage present, 1 client clock present, 2–7 zero; always version 2
//!            received_ms zigzag · [client_clock_ms zigzag] · [stage u8]
//!            outcome u8 · source u8 · platform u8 · flags varint · ids_present varint · ids_usable varint
//!            macros_unreplaced u8 · parameters_unknown u8
//!            campaign · placement · dialect · dropped: each length varint · UTF-8
//! library  = at_ms zigzag · built varint · version u32 · name: length varint · UTF-8; always version 2
//! ```
//!
//! `varint` is LEB128 of at most 10 bytes without superfluous zeros; `zigzag` maps 0, −1, 1, −2 … to 0, 1, 2, 3 … first.
//! Fewer outcomes than today are read as zeros for the rest; more mean a newer writer and are refused.

use super::{
    AGENT_BYTES_MAX, DIALECT_BYTES_MAX, DROPPED_BYTES_MAX, Device, Event, Former, LIBRARY_NAME_BYTES_MAX,
    OutcomeCounts, Platform, RegionLibrary, SITE_BYTES_MAX, SourceKind, TrialHit,
};
use crate::identifier::IdKind;
use crate::key::DeviceKey;
use crate::outcome::Outcome;
use crate::stage::Stage;

/// The newest version that is written, and read. What an older one can hold is written in that, so that a program of yesterday reads it.
pub const VERSION: u8 = 3;
/// The version of an event without a site, and of books.
const VERSION_FIRST: u8 = 1;
/// The version of an event with a site and without a former device, of hits on trial placements, and of region libraries.
const VERSION_SITE: u8 = 2;
/// Kind byte of an event.
pub const KIND_EVENT: u8 = 1;
/// Kind byte of a lane's books.
pub const KIND_OUTCOMES: u8 = 2;
/// Kind byte of a hit on a trial placement.
pub const KIND_TRIAL_HIT: u8 = 3;
/// Kind byte of a region library that came into force.
pub const KIND_REGION_LIBRARY: u8 = 4;

const CLIENT_TIME: u8 = 1 << 0;
const CLIENT_TIME_USED: u8 = 1 << 1;
const DAY: u8 = 1 << 2;
const DEVICE: u8 = 1 << 3;
const VIEW: u8 = 1 << 4;
const FORMER: u8 = 1 << 5;
const SHAPES: u8 = CLIENT_TIME | CLIENT_TIME_USED | DAY | DEVICE | VIEW;

const TRIAL_STAGE: u8 = 1 << 0;
const TRIAL_CLOCK: u8 = 1 << 1;

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A beacon.
    Event(Event<'a>),
    /// A lane's books.
    Outcomes(OutcomeCounts),
    /// What became of a hit on a trial placement.
    TrialHit(TrialHit<'a>),
    /// Which region library is in force from here on.
    RegionLibrary(RegionLibrary<'a>),
}

/// Why bytes are not a record. Never holds the bytes themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer program: set aside, count, never guess.
    #[error("record version {0} is not known (this program reads up to {VERSION}): written by a newer one")]
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

/// Appends an event's bytes to `into`: usually 60–90 bytes beside the agent, at most about 1.2 KiB with every field at its limit; during an overlap of keys 20 more.
pub fn encode_event(event: &Event<'_>, into: &mut Vec<u8>) {
    debug_assert!(matches!(event.network.len(), 0 | 3 | 6), "an address is cut before it is kept");
    debug_assert!(event.agent.len() <= AGENT_BYTES_MAX, "an agent is cut before it is kept");
    debug_assert!(event.hour < 24, "an hour of the day");
    let mut shape = 0;
    shape |= if event.client_time_ms.is_some() { CLIENT_TIME } else { 0 };
    shape |= if event.client_time_ms == Some(event.time_ms) { CLIENT_TIME_USED } else { 0 };
    shape |= if event.day.is_some() { DAY } else { 0 };
    shape |= if event.device.is_some() { DEVICE } else { 0 };
    shape |= if event.view == 0 { 0 } else { VIEW };
    debug_assert!(event.site.len() <= SITE_BYTES_MAX, "a site is a host name");
    let former = event.device.and_then(|device| device.former);
    shape |= if former.is_some() { FORMER } else { 0 };
    let version = match (former, event.site) {
        (Some(_), _) => VERSION,
        (None, "") => VERSION_FIRST,
        (None, _) => VERSION_SITE,
    };
    into.extend_from_slice(&[version, KIND_EVENT, shape]);
    put_zigzag(into, event.received_ms);
    put_zigzag(into, event.received_ms.wrapping_sub(event.time_ms));
    if let Some(client) = event.client_time_ms.filter(|client| *client != event.time_ms) {
        put_zigzag(into, event.received_ms.wrapping_sub(client));
    }
    into.extend_from_slice(&[event.stage as u8, event.source as u8, event.platform as u8, event.hour]);
    if let Some(day) = event.day {
        into.extend_from_slice(&day.to_le_bytes());
    }
    put_varint(into, u64::from(event.flags));
    into.extend_from_slice(&event.catalog_version.to_le_bytes());
    if let Some(device) = &event.device {
        into.extend_from_slice(&device.key.0);
        into.push(device.kind as u8);
        put_varint(into, u64::from(device.epoch));
    }
    if let Some(former) = &former {
        into.extend_from_slice(&former.key.0);
        put_varint(into, u64::from(former.epoch));
        into.extend_from_slice(&former.until_day.to_le_bytes());
    }
    if event.view != 0 {
        into.extend_from_slice(&event.view.to_le_bytes());
    }
    into.push(event.network.len() as u8);
    into.extend_from_slice(event.network);
    for text in [event.campaign, event.placement, event.creative, event.region, event.agent] {
        put_text(into, text);
    }
    if version != VERSION_FIRST {
        put_text(into, event.site);
    }
}

/// Appends the bytes of a hit on a trial placement to `into`.
pub fn encode_trial_hit(hit: &TrialHit<'_>, into: &mut Vec<u8>) {
    debug_assert!(hit.dialect.len() <= DIALECT_BYTES_MAX, "a dialect's name is short");
    debug_assert!(hit.dropped.len() <= DROPPED_BYTES_MAX, "the list is cut");
    let mut shape = 0;
    shape |= if hit.stage.is_some() { TRIAL_STAGE } else { 0 };
    shape |= if hit.client_clock_ms.is_some() { TRIAL_CLOCK } else { 0 };
    into.extend_from_slice(&[VERSION_SITE, KIND_TRIAL_HIT, shape]);
    put_zigzag(into, hit.received_ms);
    if let Some(clock_ms) = hit.client_clock_ms {
        put_zigzag(into, clock_ms);
    }
    if let Some(stage) = hit.stage {
        into.push(stage as u8);
    }
    into.extend_from_slice(&[hit.outcome as u8, hit.source as u8, hit.platform as u8]);
    for bits in [hit.flags, hit.ids_present, hit.ids_usable] {
        put_varint(into, u64::from(bits));
    }
    into.extend_from_slice(&[hit.macros_unreplaced, hit.parameters_unknown]);
    for text in [hit.campaign, hit.placement, hit.dialect, hit.dropped] {
        put_text(into, text);
    }
}

/// Appends the bytes of a lane's books to `into`.
pub fn encode_outcomes(counts: &OutcomeCounts, into: &mut Vec<u8>) {
    into.extend_from_slice(&[VERSION_FIRST, KIND_OUTCOMES]);
    put_zigzag(into, counts.at_ms);
    put_varint(into, counts.received);
    put_varint(into, counts.pending);
    into.push(Outcome::COUNT as u8);
    for count in counts.outcomes {
        put_varint(into, count);
    }
}

/// Appends the bytes of a region library that came into force to `into`.
pub fn encode_region_library(library: &RegionLibrary<'_>, into: &mut Vec<u8>) {
    debug_assert!(library.name.len() <= LIBRARY_NAME_BYTES_MAX, "a library's name is short");
    into.extend_from_slice(&[VERSION_SITE, KIND_REGION_LIBRARY]);
    put_zigzag(into, library.at_ms);
    put_varint(into, library.built);
    into.extend_from_slice(&library.version.to_le_bytes());
    put_text(into, library.name);
}

/// Reads a record's bytes, which must be exactly one record. Borrows from them, allocates nothing.
///
/// # Errors
/// See [`DecodeError`]. Whatever the bytes are, this returns.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    let mut input = Input { rest: bytes };
    let version = input.byte("version")?;
    if !(VERSION_FIRST..=VERSION).contains(&version) {
        return Err(DecodeError::UnknownVersion(version));
    }
    let record = match (input.byte("kind")?, version) {
        (KIND_EVENT, _) => Record::Event(input.event(version)?),
        (KIND_OUTCOMES, VERSION_FIRST) => Record::Outcomes(input.outcomes()?),
        (KIND_TRIAL_HIT, VERSION_SITE) => Record::TrialHit(input.trial_hit()?),
        (KIND_REGION_LIBRARY, VERSION_SITE) => Record::RegionLibrary(input.region_library()?),
        (kind, _) => return Err(DecodeError::UnknownKind(kind)),
    };
    match input.rest.len() {
        0 => Ok(record),
        left => Err(DecodeError::Trailing(left)),
    }
}

fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    put_varint(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

fn put_zigzag(into: &mut Vec<u8>, value: i64) {
    put_varint(into, ((value << 1) ^ (value >> 63)) as u64);
}

/// What is left to read.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn event(&mut self, version: u8) -> Result<Event<'a>, DecodeError> {
        let shape = self.shape(version)?;
        let received_ms = self.zigzag("received_ms")?;
        let time_ms = received_ms.wrapping_sub(self.zigzag("time_ms")?);
        let client_time_ms = match (shape & CLIENT_TIME != 0, shape & CLIENT_TIME_USED != 0) {
            (false, _) => None,
            (true, true) => Some(time_ms),
            (true, false) => Some(received_ms.wrapping_sub(self.zigzag("client_time_ms")?))
                .filter(|client| *client != time_ms)
                .ok_or(DecodeError::Malformed("client_time_ms"))
                .map(Some)?,
        };
        let stage = Stage::from_number(self.byte("stage")?).ok_or(DecodeError::Malformed("stage"))?;
        let source = SourceKind::from_number(self.byte("source")?).ok_or(DecodeError::Malformed("source"))?;
        let platform =
            Platform::from_number(self.byte("platform")?).ok_or(DecodeError::Malformed("platform"))?;
        let hour =
            Some(self.byte("hour")?).filter(|hour| *hour < 24).ok_or(DecodeError::Malformed("hour"))?;
        let day = if shape & DAY == 0 { None } else { Some(u16::from_le_bytes(self.array("day")?)) };
        let flags = self.bits("flags")?;
        let catalog_version = u32::from_le_bytes(self.array("catalog_version")?);
        let device = if shape & DEVICE == 0 { None } else { Some(self.device(shape & FORMER != 0)?) };
        let view = if shape & VIEW == 0 { 0 } else { u64::from_le_bytes(self.array("view")?) };
        if (view == 0) != (shape & VIEW == 0) {
            return Err(DecodeError::Malformed("view"));
        }
        let network = match self.byte("network")? {
            length @ (0 | 3 | 6) => self.bytes(usize::from(length), "network")?,
            _ => return Err(DecodeError::Malformed("network")),
        };
        Ok(Event {
            received_ms,
            time_ms,
            client_time_ms,
            day,
            hour,
            stage,
            source,
            platform,
            flags,
            campaign: self.text("campaign")?,
            placement: self.text("placement")?,
            creative: self.text("creative")?,
            region: self.text("region")?,
            catalog_version,
            device,
            view,
            network,
            agent: self.text("agent")?,
            site: match version {
                VERSION_FIRST => "",
                _ => Some(self.text("site")?)
                    .filter(|site| (version == VERSION || !site.is_empty()) && site.len() <= SITE_BYTES_MAX)
                    .ok_or(DecodeError::Malformed("site"))?,
            },
        })
    }

    /// An event's shape. Version 3 is that of a former device and of nothing else.
    fn shape(&mut self, version: u8) -> Result<u8, DecodeError> {
        let shape = self.byte("shape")?;
        let is_known = match version {
            VERSION => shape & !(SHAPES | FORMER) == 0 && shape & DEVICE != 0 && shape & FORMER != 0,
            _ => shape & !SHAPES == 0,
        };
        if !is_known || (shape & CLIENT_TIME_USED != 0 && shape & CLIENT_TIME == 0) {
            return Err(DecodeError::Malformed("shape"));
        }
        Ok(shape)
    }

    fn trial_hit(&mut self) -> Result<TrialHit<'a>, DecodeError> {
        let shape = self.byte("shape")?;
        if shape & !(TRIAL_STAGE | TRIAL_CLOCK) != 0 {
            return Err(DecodeError::Malformed("shape"));
        }
        let received_ms = self.zigzag("received_ms")?;
        let client_clock_ms =
            if shape & TRIAL_CLOCK == 0 { None } else { Some(self.zigzag("client_clock_ms")?) };
        let stage = match shape & TRIAL_STAGE {
            0 => None,
            _ => Some(Stage::from_number(self.byte("stage")?).ok_or(DecodeError::Malformed("stage"))?),
        };
        Ok(TrialHit {
            received_ms,
            client_clock_ms,
            stage,
            outcome: Outcome::from_number(self.byte("outcome")?).ok_or(DecodeError::Malformed("outcome"))?,
            source: SourceKind::from_number(self.byte("source")?).ok_or(DecodeError::Malformed("source"))?,
            platform: Platform::from_number(self.byte("platform")?)
                .ok_or(DecodeError::Malformed("platform"))?,
            flags: self.bits("flags")?,
            ids_present: self.bits("ids_present")?,
            ids_usable: self.bits("ids_usable")?,
            macros_unreplaced: self.byte("macros_unreplaced")?,
            parameters_unknown: self.byte("parameters_unknown")?,
            campaign: self.text("campaign")?,
            placement: self.text("placement")?,
            dialect: self.text_of("dialect", DIALECT_BYTES_MAX)?,
            dropped: self.text_of("dropped", DROPPED_BYTES_MAX)?,
        })
    }

    fn region_library(&mut self) -> Result<RegionLibrary<'a>, DecodeError> {
        Ok(RegionLibrary {
            at_ms: self.zigzag("at_ms")?,
            built: self.varint("built")?,
            version: u32::from_le_bytes(self.array("version")?),
            name: self.text_of("name", LIBRARY_NAME_BYTES_MAX)?,
        })
    }

    fn device(&mut self, has_former: bool) -> Result<Device, DecodeError> {
        let key = DeviceKey(self.array("device key")?);
        let kind =
            IdKind::from_number(self.byte("device kind")?).ok_or(DecodeError::Malformed("device kind"))?;
        let epoch = self.epoch("device epoch")?;
        let former = if has_former { Some(self.former()?) } else { None };
        Ok(Device { key, kind, epoch, former })
    }

    fn former(&mut self) -> Result<Former, DecodeError> {
        let key = DeviceKey(self.array("former device key")?);
        let epoch = self.epoch("former device epoch")?;
        let until_day = u16::from_le_bytes(self.array("former device until")?);
        Ok(Former { key, epoch, until_day })
    }

    fn epoch(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        u16::try_from(self.varint(field)?).map_err(|_| DecodeError::Malformed(field))
    }

    fn outcomes(&mut self) -> Result<OutcomeCounts, DecodeError> {
        let at_ms = self.zigzag("at_ms")?;
        let received = self.varint("received")?;
        let pending = self.varint("pending")?;
        let count = usize::from(self.byte("count")?);
        let mut outcomes = [0; Outcome::COUNT];
        for slot in outcomes.get_mut(..count).ok_or(DecodeError::Malformed("count"))? {
            *slot = self.varint("outcomes")?;
        }
        Ok(OutcomeCounts { at_ms, received, pending, outcomes })
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let (first, rest) = self.rest.split_first().ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (first, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(*first)
    }

    fn bytes(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (first, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(first)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let length = usize::try_from(self.varint(field)?).map_err(|_| DecodeError::Malformed(field))?;
        std::str::from_utf8(self.bytes(length, field)?).map_err(|_| DecodeError::Malformed(field))
    }

    fn text_of(&mut self, field: &'static str, bytes_max: usize) -> Result<&'a str, DecodeError> {
        Some(self.text(field)?).filter(|text| text.len() <= bytes_max).ok_or(DecodeError::Malformed(field))
    }

    fn bits(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        u32::try_from(self.varint(field)?).map_err(|_| DecodeError::Malformed(field))
    }

    fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(field)?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit; a last byte of zero would be a second way to write a shorter number.
            if (shift == 63 && bits > 1) || (byte == 0 && shift > 0) {
                return Err(DecodeError::Malformed(field));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Malformed(field))
    }

    fn zigzag(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        let value = self.varint(field)?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }
}
