//! Device identifiers (DOMAIN §4): which there are, which of a hit's stands for its device, and what is looked up in the opt-out list.
//!
//! A value becomes a [`RawId`], which cannot be printed, copied or serialised; hashing consumes it into a [`Canonical`] digest
//! (`canonical`), unless it is a value that many devices send (`bad`). Only keyed hashes of the canonical digest leave this module.

mod bad;
mod canonical;
mod lodge;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

pub use canonical::{Canonical, RawId, Unusable};
pub use lodge::{ArrivingForm, LodgeError, Lodged, lodge};

use crate::hit::Hit;
use crate::key::{KeyRing, OptOutHash};
use crate::record::{Device, Platform, flag};

/// Kind of identifier: the key space in which two forms of one id meet. The number is stored: never change one, only add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum IdKind {
    /// Open anonymous device id (Android, MSA).
    Oaid = 1,
    /// International mobile equipment identity.
    Imei = 2,
    /// Google advertising id.
    Aaid = 3,
    /// Android id.
    AndroidId = 4,
    /// MAC address, hashed without colons.
    Mac = 5,
    /// MAC address, known only as a hash of the form with colons: a space of its own.
    MacColons = 6,
    /// Apple advertising id.
    Idfa = 7,
    /// China advertising id, with its version.
    Caid = 8,
    /// Apple vendor id.
    Idfv = 9,
    /// OpenUDID.
    OpenUdid = 10,
    /// A browser's cookie id of the medium or of ours.
    Cookie = 11,
}

/// Which form a value has after canonicalisation. MD5 is the meeting form; the others cannot be turned into it and keep
/// key spaces of their own. The number is part of the hashed message: never change one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Form {
    /// MD5 of the canonical raw form (raw values are reduced to it).
    Md5 = 0,
    /// SHA-1 of the raw form.
    Sha1 = 1,
    /// SHA-256 of the raw form or of its MD5 hex: the two cannot be told apart by their looks.
    Sha256 = 2,
}

/// An identifier parameter of a dialect: a kind and how its value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum IdField {
    /// `oaid`
    Oaid,
    /// `oaid_md5`
    OaidMd5,
    /// `imei`
    Imei,
    /// `imei_md5`
    ImeiMd5,
    /// `aaid`
    Aaid,
    /// `aaid_md5`
    AaidMd5,
    /// `android_id`
    AndroidId,
    /// `android_id_md5`
    AndroidIdMd5,
    /// `mac`
    Mac,
    /// `mac_md5`: without colons
    MacMd5,
    /// MD5 of the form with colons
    MacColonsMd5,
    /// `mac2`: a further address of a television, in any form
    Mac2,
    /// `mac3`
    Mac3,
    /// `mac4`
    Mac4,
    /// `ifa`: an advertising id whose kind another parameter or the platform says
    Ifa,
    /// `idfa`
    Idfa,
    /// `idfa_md5`
    IdfaMd5,
    /// `caid`
    Caid,
    /// MD5 of a CAID
    CaidMd5,
    /// `idfv`
    Idfv,
    /// `openudid`
    OpenUdid,
    /// `cookie`
    Cookie,
}

impl IdField {
    /// How many there are: the length of [`crate::hit::Hit::ids`].
    pub const COUNT: usize = Self::ALL.len();

    /// Every field, in the order of its place in [`crate::hit::Hit::ids`].
    pub const ALL: [Self; 22] = [
        Self::Oaid,
        Self::OaidMd5,
        Self::Imei,
        Self::ImeiMd5,
        Self::Aaid,
        Self::AaidMd5,
        Self::AndroidId,
        Self::AndroidIdMd5,
        Self::Mac,
        Self::MacMd5,
        Self::MacColonsMd5,
        Self::Mac2,
        Self::Mac3,
        Self::Mac4,
        Self::Ifa,
        Self::Idfa,
        Self::IdfaMd5,
        Self::Caid,
        Self::CaidMd5,
        Self::Idfv,
        Self::OpenUdid,
        Self::Cookie,
    ];

    /// The key space that its values belong to.
    pub fn kind(self) -> IdKind {
        match self {
            Self::Oaid | Self::OaidMd5 => IdKind::Oaid,
            Self::Imei | Self::ImeiMd5 => IdKind::Imei,
            // Of an advertising id that says nothing of its kind; see `identify`.
            Self::Ifa | Self::Aaid | Self::AaidMd5 => IdKind::Aaid,
            Self::AndroidId | Self::AndroidIdMd5 => IdKind::AndroidId,
            Self::Mac | Self::MacMd5 | Self::Mac2 | Self::Mac3 | Self::Mac4 => IdKind::Mac,
            Self::MacColonsMd5 => IdKind::MacColons,
            Self::Idfa | Self::IdfaMd5 => IdKind::Idfa,
            Self::Caid | Self::CaidMd5 => IdKind::Caid,
            Self::Idfv => IdKind::Idfv,
            Self::OpenUdid => IdKind::OpenUdid,
            Self::Cookie => IdKind::Cookie,
        }
    }

    /// The name in dialect tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oaid => "oaid",
            Self::OaidMd5 => "oaid_md5",
            Self::Imei => "imei",
            Self::ImeiMd5 => "imei_md5",
            Self::Aaid => "aaid",
            Self::AaidMd5 => "aaid_md5",
            Self::AndroidId => "android_id",
            Self::AndroidIdMd5 => "android_id_md5",
            Self::Mac => "mac",
            Self::MacMd5 => "mac_md5",
            Self::MacColonsMd5 => "mac_colons_md5",
            Self::Mac2 => "mac2",
            Self::Mac3 => "mac3",
            Self::Mac4 => "mac4",
            Self::Ifa => "ifa",
            Self::Idfa => "idfa",
            Self::IdfaMd5 => "idfa_md5",
            Self::Caid => "caid",
            Self::CaidMd5 => "caid_md5",
            Self::Idfv => "idfv",
            Self::OpenUdid => "openudid",
            Self::Cookie => "cookie",
        }
    }

    /// The field of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

impl IdKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 11] = [
        Self::Oaid,
        Self::Imei,
        Self::Aaid,
        Self::AndroidId,
        Self::Mac,
        Self::MacColons,
        Self::Idfa,
        Self::Caid,
        Self::Idfv,
        Self::OpenUdid,
        Self::Cookie,
    ];
    /// The name in the opt-out API and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oaid => "oaid",
            Self::Imei => "imei",
            Self::Aaid => "aaid",
            Self::AndroidId => "android_id",
            Self::Mac => "mac",
            Self::MacColons => "mac_colons",
            Self::Idfa => "idfa",
            Self::Caid => "caid",
            Self::Idfv => "idfv",
            Self::OpenUdid => "openudid",
            Self::Cookie => "cookie",
        }
    }
    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
    /// The kind of a stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Who a hit is, as far as it may be known.
pub struct Identity {
    /// The device by the platform's order of preference; `None` when no identifier is usable or the person limits tracking.
    pub device: Option<Device>,
    /// One or more for every usable identifier of the hit: look up all of them, whatever the device.
    pub opt_out: SmallVec<[OptOutHash; 8]>,
    /// Bits of [`flag`]: `ID_BAD`, `ID_SHA_ONLY`, `WITHHELD_LMT`.
    pub flags: u32,
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

/// Device and opt-out hashes of a hit.
///
/// * The device is the usable identifier that comes first in the platform's order. A digest that can meet no other form (SHA-1,
///   SHA-256) is chosen only when there is nothing else, and flagged. Where one kind came raw and as MD5, the raw one is taken.
/// * Every usable identifier gives an opt-out hash; a raw MAC gives two, because its digests with and without colons are two spaces.
/// * A zero OAID or IDFA says that the person limits tracking (DOMAIN §7): no device, whatever else was sent. It says so only where
///   that identifier belongs: a server that fills `idfa` with zeros for an Android phone has said nothing about the phone.
pub fn identify(hit: &Hit<'_>, platform: Platform, keys: &KeyRing) -> Identity {
    let order = preference(platform);
    let mut opt_out = SmallVec::new();
    let mut best: Option<(usize, Canonical<'_>)> = None;
    let mut seen = Seen::default();
    for (field, value) in IdField::ALL.into_iter().zip(hit.ids) {
        let Some(value) = value else { continue };
        seen.present = true;
        let id = match RawId::new(field, value, hit.caid_version).reduce() {
            Ok(id) => id,
            Err(unusable) => {
                seen.zero |= if unusable == Unusable::Zero { bit(field.kind()) } else { 0 };
                continue;
            }
        };
        seen.usable |= bit(id.kind());
        opt_out.push(keys.opt_out_hash(&id));
        if field == IdField::Mac
            && let Ok(colons) = RawId::new(field, value, None).reduce_mac_with_colons()
        {
            opt_out.push(keys.opt_out_hash(&colons));
        }
        let place = order.iter().position(|kind| *kind == id.kind()).unwrap_or(order.len());
        let rank = if id.form() == Form::Md5 { place } else { place + order.len() };
        if best.as_ref().is_none_or(|(best_rank, _)| rank < *best_rank) {
            best = Some((rank, id));
        }
    }
    let limited = seen.limits_tracking(platform);
    let mut flags = 0;
    flags |= if seen.present && seen.usable == 0 { flag::ID_BAD } else { 0 };
    flags |= if seen.usable == 0 { 0 } else { flag::ID_USABLE };
    flags |= if limited { flag::WITHHELD_LMT } else { 0 };
    let device = best.filter(|_| !limited).map(|(_, id)| {
        flags |= if id.form() == Form::Md5 { 0 } else { flag::ID_SHA_ONLY };
        Device { key: keys.device_key(&id), kind: id.kind(), epoch: keys.epoch() }
    });
    Identity { device, opt_out, flags }
}

/// Builds the table of bad values; see [`crate::prepare`].
pub(crate) fn prepare() {
    bad::prepare();
}

/// What a hit's identifiers were, as bits by kind.
#[derive(Default)]
struct Seen {
    present: bool,
    usable: u16,
    zero: u16,
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
        (zero & bit(IdKind::Oaid) != 0 && !is_ios) || (zero & bit(IdKind::Idfa) != 0 && !is_android)
    }
}

fn bit(kind: IdKind) -> u16 {
    1 << kind as u8
}
