//! Device identifiers (DOMAIN §4): which there are, which of a hit's stands for its device, and what is looked up in the opt-out list.
//!
//! A value becomes a [`RawId`], which cannot be printed, copied or serialised; hashing consumes it into a [`Canonical`] digest
//! (`canonical`), unless it is a value that many devices send (`bad`). Only keyed hashes of the canonical digest leave this module.

mod bad;
mod caid;
mod canonical;
mod field;
mod imei;
mod line;
mod lodge;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

pub use canonical::{Canonical, RawId, Unusable};
pub use field::{Form, IdField, IdKind};
pub use imei::has_wrong_check_digit;
pub use line::line_hash;
pub use lodge::{
    ArrivingForm, LodgeError, Lodged, TEXTS_MAX, TextDigests, devices, devices_of_digests, lacks_version,
    lodge, lodge_hashed,
};

use crate::hit::Hit;
use crate::key::{KeyRing, OptOutHash};
use crate::profile::Remap;
use crate::record::{Device, Platform, flag};

/// Who a hit is, as far as it may be known.
pub struct Identity {
    /// The device by the platform's order of preference; `None` when no identifier is usable or the person limits tracking.
    pub device: Option<Device>,
    /// One or more for every usable identifier of the hit: look up all of them, whatever the device.
    pub opt_out: SmallVec<[OptOutHash; 8]>,
    /// Bits of [`flag`]: `ID_USABLE`, `ID_BAD`, `ID_SHA_ONLY`, `WITHHELD_LMT`.
    pub flags: u32,
    /// Which identifier fields of the dialect held something: bit n for the [`IdField`] with number n.
    pub ids_present: u32,
    /// Which of them held a usable identifier.
    pub ids_usable: u32,
}

/// The device of an Android hit (DOMAIN §4). What stands behind the cookie does not belong to the platform and is better than nothing.
const ANDROID: [IdKind; 11] = [
    IdKind::Oaid,
    IdKind::Imei,
    IdKind::Aaid,
    IdKind::AndroidId,
    IdKind::Mac,
    IdKind::MacColons,
    IdKind::OpenUdid,
    IdKind::Cookie,
    IdKind::Idfa,
    IdKind::Caid,
    IdKind::Idfv,
];

/// The device of an iOS hit (DOMAIN §4); OpenUDID is what apps of old systems send.
const IOS: [IdKind; 11] = [
    IdKind::Idfa,
    IdKind::Caid,
    IdKind::Idfv,
    IdKind::OpenUdid,
    IdKind::Cookie,
    IdKind::Oaid,
    IdKind::Imei,
    IdKind::Aaid,
    IdKind::AndroidId,
    IdKind::Mac,
    IdKind::MacColons,
];

/// The device where the platform is unknown: Android's order, then that of iOS, then the cookie.
const UNKNOWN: [IdKind; 11] = [
    IdKind::Oaid,
    IdKind::Imei,
    IdKind::Aaid,
    IdKind::AndroidId,
    IdKind::Mac,
    IdKind::MacColons,
    IdKind::Idfa,
    IdKind::Caid,
    IdKind::Idfv,
    IdKind::OpenUdid,
    IdKind::Cookie,
];

/// The device of a hit from a PC: its browser's cookie; anything else is unusual there.
const PC: [IdKind; 11] = [
    IdKind::Cookie,
    IdKind::Oaid,
    IdKind::Imei,
    IdKind::Aaid,
    IdKind::AndroidId,
    IdKind::Mac,
    IdKind::MacColons,
    IdKind::Idfa,
    IdKind::Caid,
    IdKind::Idfv,
    IdKind::OpenUdid,
];

/// Which kinds are preferred as the device of a hit, best first. Televisions run Android in the main; other mobile systems are
/// treated as an unknown one.
fn preference(platform: Platform) -> &'static [IdKind; 11] {
    match platform {
        Platform::Android | Platform::Tv => &ANDROID,
        Platform::Ios => &IOS,
        Platform::Pc => &PC,
        Platform::Unknown | Platform::OtherMobile => &UNKNOWN,
    }
}

/// Device and opt-out hashes of a hit. `remap` says what its medium puts into the dialect's fields.
///
/// * While two keys overlap ([`KeyRing::overlap`]) the device says what it was under the key before; whoever stores it has to look whether the overlap is over
///   ([`Former::is_in_force`](crate::record::Former::is_in_force)).
/// * The device is the usable identifier that comes first in the platform's order. A digest that can meet no other form (SHA-1,
///   SHA-256) is chosen only when there is nothing else, and flagged. Of one kind the first in the order of [`IdField::ALL`] is taken (the raw
///   value, where it came raw and as MD5), of CAIDs the newest version.
/// * Every usable identifier gives an opt-out hash; a raw MAC gives two, because its digests with and without colons are two spaces. So does
///   each value that another of the same parameter took the place of ([`Hit::overwritten`]); it stands for the device only if none behind it is usable.
/// * A zero OAID or IDFA says that the person limits tracking (DOMAIN §7): no device, whatever else was sent. It says so only where
///   that identifier belongs: a server that fills `idfa` with zeros for an Android phone has said nothing about the phone. A zero `ifa` is that
///   of the device itself and says so wherever it stands, unless its type says that it is Android's.
/// * An `ifa` is read as the kind that `ifa_type` says, and looked up for opt-out as every kind that it may be; other kinds than ours (those of consoles and televisions: `rida`, `tifa`, `afai`, …)
///   have no key space here and are not usable.
/// * What goes by the system of the device (Tencent's one macro) is looked up as each that it may be, and stands for no device where the
///   system is not known and the looks do not tell.
pub fn identify(hit: &Hit<'_>, platform: Platform, keys: &KeyRing, remap: &Remap) -> Identity {
    bad::fetch(hit.ids.iter().flatten().copied());
    let mut finder = Finder::new(hit, keys, platform);
    for (slot, (value, held)) in hit.ids.iter().zip(remap.on(platform)).enumerate() {
        let Some(value) = *value else { continue };
        let reading = match (remap.by_system(slot), *held) {
            (Some(fields), held) => Reading::BySystem(fields, held),
            (None, Some(held)) => Reading::Held(held),
            (None, None) => continue,
        };
        let bit = 1 << slot;
        finder.present |= bit;
        let mut worth = finder.read(reading, value);
        if !hit.overwritten.is_empty() {
            worth = finder.read_overwritten(slot, reading, worth);
        }
        finder.usable |= if worth == Worth::Usable { bit } else { 0 };
    }
    finder.finish()
}

/// How the values of one field are read.
#[derive(Clone, Copy)]
enum Reading {
    /// As this field.
    Held(IdField),
    /// By the system of the device: on Android, on iOS, elsewhere; and what holds for this hit's.
    BySystem([Option<IdField>; 3], Option<IdField>),
}

/// What a value is good for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Nothing,
    /// The system withholds the identifier.
    Zero,
    Usable,
}

/// Every field in which an advertising id may be understood.
const IFA_FIELDS: [IdField; 4] = [IdField::Idfa, IdField::Idfv, IdField::Aaid, IdField::Oaid];

/// The field in which an advertising id is understood: by its declared type, else by the platform. `None` for types of other kinds.
fn ifa_field(ifa_type: Option<&[u8]>, platform: Platform) -> Option<IdField> {
    let Some(declared) = ifa_type.map(<[u8]>::trim_ascii).filter(|declared| !declared.is_empty()) else {
        return Some(if platform == Platform::Ios { IdField::Idfa } else { IdField::Aaid });
    };
    let known: [(&[u8], IdField); 6] = [
        (b"idfa", IdField::Idfa),
        (b"idfv", IdField::Idfv),
        (b"aaid", IdField::Aaid),
        (b"gaid", IdField::Aaid),
        (b"adid", IdField::Aaid),
        (b"oaid", IdField::Oaid),
    ];
    known.iter().find(|(name, _)| declared.eq_ignore_ascii_case(name)).map(|(_, field)| *field)
}

/// Whether an `ifa` is said to be Android's own, of which zeros say nothing.
fn is_declared_aaid(ifa_type: Option<&[u8]>) -> bool {
    ifa_type.is_some() && ifa_field(ifa_type, Platform::Unknown) == Some(IdField::Aaid)
}

/// Goes through the identifiers of one hit.
struct Finder<'k, 'h, 'a> {
    hit: &'h Hit<'a>,
    keys: &'k KeyRing,
    platform: Platform,
    order: &'static [IdKind; 11],
    /// The best so far, with its place in the order.
    best: Option<(usize, Canonical<'a>)>,
    opt_out: SmallVec<[OptOutHash; 8]>,
    /// Bits of the fields.
    present: u32,
    usable: u32,
    seen: Seen,
}

impl<'k, 'h, 'a> Finder<'k, 'h, 'a> {
    fn new(hit: &'h Hit<'a>, keys: &'k KeyRing, platform: Platform) -> Self {
        Self {
            hit,
            keys,
            platform,
            order: preference(platform),
            best: None,
            opt_out: SmallVec::new(),
            present: 0,
            usable: 0,
            seen: Seen::default(),
        }
    }

    /// Takes the value of a field.
    #[inline]
    fn read(&mut self, reading: Reading, value: &'a [u8]) -> Worth {
        match reading {
            Reading::Held(field) => self.read_as(field, value),
            Reading::BySystem(fields, held) => self.read_by_system(fields, held, value),
        }
    }

    fn read_as(&mut self, field: IdField, value: &'a [u8]) -> Worth {
        match field {
            IdField::Caid | IdField::CaidMd5 => {
                let parts = caid::parts(field, value, self.hit.caid_version).into_iter();
                parts.fold(Worth::Nothing, |worth, part| {
                    worth.max(self.take(part.field, part.value, part.version))
                })
            }
            IdField::Ifa => {
                let taken = ifa_field(self.hit.ifa_type, self.platform);
                let worth = taken.map_or(Worth::Nothing, |field| self.take(field, value, None));
                // What it is said to be may be wrong: an opt-out of the person holds whichever it is.
                for field in IFA_FIELDS.into_iter().filter(|field| Some(*field) != taken) {
                    self.look_up_as(field, value);
                }
                self.seen.zero_ifa |= worth == Worth::Zero && !is_declared_aaid(self.hit.ifa_type);
                worth
            }
            _ => self.take(field, value, None),
        }
    }

    /// Takes a value that is one thing on one system and another on the next.
    #[cold]
    fn read_by_system(
        &mut self,
        fields: [Option<IdField>; 3],
        held: Option<IdField>,
        value: &'a [u8],
    ) -> Worth {
        for field in fields.into_iter().flatten() {
            self.look_up_in(field, value);
        }
        if matches!(self.platform, Platform::Android | Platform::Tv | Platform::Ios) {
            return held.map_or(Worth::Nothing, |field| self.read_as(field, value));
        }
        let mut only: Option<IdField> = None;
        let mut worth = Worth::Nothing;
        for field in fields.into_iter().flatten() {
            match RawId::new(field, value, None).reduce() {
                Ok(_) if only.is_some_and(|only| !only.kind().is_same_id(field.kind())) => {
                    return Worth::Nothing;
                }
                Ok(_) => only = Some(field),
                Err(Unusable::Zero) => {
                    self.seen.zero |= bit(field.kind());
                    worth = Worth::Zero;
                }
                Err(Unusable::Bad | Unusable::Shape) => {}
            }
        }
        only.map_or(worth, |field| self.read_as(field, value))
    }

    /// Takes the values that the one of a field took the place of. One that stands for nothing (a word, the hash of nothing) took nobody's place.
    #[cold]
    fn read_overwritten(&mut self, slot: usize, reading: Reading, mut worth: Worth) -> Worth {
        let hit = self.hit;
        for (_, value) in hit.overwritten.iter().rev().filter(|(field, _)| *field as usize == slot) {
            if worth == Worth::Nothing {
                worth = self.read(reading, value);
                continue;
            }
            match reading {
                Reading::Held(field) => self.look_up_in(field, value),
                Reading::BySystem(fields, _) => {
                    fields.into_iter().flatten().for_each(|field| self.look_up_in(field, value));
                }
            }
        }
        worth
    }

    /// Takes one value; gives what it is good for.
    fn take(&mut self, field: IdField, value: &'a [u8], caid_version: Option<&'a [u8]>) -> Worth {
        let id = match RawId::new(field, value, caid_version).reduce() {
            Ok(id) => id,
            Err(Unusable::Zero) => {
                self.seen.zero |= bit(field.kind());
                return Worth::Zero;
            }
            Err(Unusable::Bad | Unusable::Shape) => return Worth::Nothing,
        };
        self.seen.usable |= bit(id.kind());
        self.look_up_in_its_spaces(&id, field, value);
        let place = self.order.iter().position(|kind| *kind == id.kind()).unwrap_or(self.order.len());
        let rank = if id.form() == Form::Md5 { place } else { place + self.order.len() };
        let is_better = self.best.as_ref().is_none_or(|(best_rank, best)| {
            rank < *best_rank
                || (rank == *best_rank && caid::is_newer(id.caid_version(), best.caid_version()))
        });
        if is_better {
            self.best = Some((rank, id));
        }
        Worth::Usable
    }

    /// Looks the value of a field up for opt-out, and takes nothing else from it.
    fn look_up_in(&mut self, field: IdField, value: &[u8]) {
        match field {
            IdField::Caid | IdField::CaidMd5 => {
                for part in caid::parts(field, value, None) {
                    self.look_up_as(part.field, part.value);
                }
            }
            IdField::Ifa => IFA_FIELDS.into_iter().for_each(|field| self.look_up_as(field, value)),
            _ => self.look_up_as(field, value),
        }
    }

    /// Looks a value up for opt-out as if its field held it, and takes nothing else from it.
    fn look_up_as(&mut self, field: IdField, value: &[u8]) {
        if let Ok(id) = RawId::new(field, value, None).reduce() {
            self.look_up_in_its_spaces(&id, field, value);
        }
    }

    /// Looks up an identifier, and a raw MAC also in the space of those with colons.
    fn look_up_in_its_spaces(&mut self, id: &Canonical<'_>, field: IdField, value: &[u8]) {
        self.look_up(id);
        if id.kind() == IdKind::Mac
            && let Ok(colons) = RawId::new(field, value, None).reduce_mac_with_colons()
        {
            self.look_up(&colons);
        }
    }

    fn look_up(&mut self, id: &Canonical<'_>) {
        let hash = self.keys.opt_out_hash(id);
        if !self.opt_out.contains(&hash) {
            self.opt_out.push(hash);
        }
    }

    fn finish(self) -> Identity {
        let limited = self.seen.limits_tracking(self.platform);
        let mut flags = if limited { flag::WITHHELD_LMT } else { 0 };
        flags |= match (self.present, self.seen.usable) {
            (0, _) => 0,
            (_, 0) => flag::ID_BAD,
            _ => flag::ID_USABLE,
        };
        let device = self.best.filter(|_| !limited).map(|(_, id)| {
            flags |= if id.form() == Form::Md5 { 0 } else { flag::ID_SHA_ONLY };
            Device {
                key: self.keys.device_key(&id),
                kind: id.kind(),
                epoch: self.keys.epoch(),
                former: self.keys.former(&id),
            }
        });
        Identity { device, opt_out: self.opt_out, flags, ids_present: self.present, ids_usable: self.usable }
    }
}

/// Whether a value is one that many senders write where they have none: zeros, `null`, `unknown`, `-1`, a macro … For ids of views as well.
pub fn stands_for_nothing(value: &[u8]) -> bool {
    bad::of_raw(value).is_some()
}

/// The words and placeholders among the values that identify nobody, for a page that refuses them before it sends anything. In no particular case.
pub fn words_for_nothing() -> impl Iterator<Item = &'static str> {
    bad::words()
}

/// Builds the table of bad values; see [`crate::prepare`].
pub(crate) fn prepare() {
    bad::prepare();
}

/// What a hit's identifiers were, as bits by kind.
#[derive(Default)]
struct Seen {
    usable: u16,
    zero: u16,
    /// An `ifa` of zeros that may be any system's.
    zero_ifa: bool,
}

impl Seen {
    fn limits_tracking(&self, platform: Platform) -> bool {
        let android = self.usable
            & (bit(IdKind::Oaid) | bit(IdKind::Imei) | bit(IdKind::Aaid) | bit(IdKind::AndroidId))
            != 0;
        let ios = self.usable & (bit(IdKind::Idfa) | bit(IdKind::Caid) | bit(IdKind::Idfv)) != 0;
        let zero = self.zero & !self.usable;
        let is_android = platform == Platform::Android || (platform != Platform::Ios && android);
        let is_ios = platform == Platform::Ios || (platform != Platform::Android && ios);
        (zero & bit(IdKind::Oaid) != 0 && !is_ios)
            || (zero & bit(IdKind::Idfa) != 0 && !is_android)
            || (self.zero_ifa && self.usable & bit(IdKind::Idfa) == 0)
    }
}

fn bit(kind: IdKind) -> u16 {
    1 << kind as u8
}
