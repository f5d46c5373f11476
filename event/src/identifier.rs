//! Device identifiers (DOMAIN §4): what each looks like raw, how it is brought to its canonical form, and which values never
//! count as a device. A [`RawId`] cannot be printed, copied or serialised; hashing consumes it.

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
    pub const ALL: [Self; 18] = [
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
        Self::Idfa,
        Self::IdfaMd5,
        Self::Caid,
        Self::CaidMd5,
        Self::Idfv,
        Self::OpenUdid,
        Self::Cookie,
    ];

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

use smallvec::SmallVec;

use crate::hit::Hit;
use crate::key::{KeyRing, OptOutHash};
use crate::record::{Device, Platform};

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
    /// The device by the platform's order of preference.
    pub device: Option<Device>,
    /// One or more for every usable identifier of the hit: look up all of them.
    pub opt_out: SmallVec<[OptOutHash; 8]>,
    /// Bits of [`crate::record::flag`].
    pub flags: u32,
}

/// A form in which an identifier arrives at the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArrivingForm {
    /// The raw value.
    Raw,
    /// MD5 of it.
    Md5,
    /// SHA-1 of it.
    Sha1,
    /// SHA-256 of it.
    Sha256,
    /// SHA-256 of the MD5's lower-case hex.
    Sha256OfMd5,
    /// A MAC's digest with the other separators than what was lodged.
    MacOther,
    /// A digest of the OAID in another case than what was lodged.
    OaidOtherCase,
}

/// What an opt-out by one identifier reaches.
pub struct Lodged {
    /// Put all of these into the registry.
    pub hashes: SmallVec<[OptOutHash; 8]>,
    /// Hits that carry one of these forms are recognised.
    pub covered: SmallVec<[ArrivingForm; 8]>,
    /// Hits that carry only one of these are not.
    pub uncovered: SmallVec<[ArrivingForm; 8]>,
}

/// Why an identifier cannot be lodged. Never holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LodgeError {
    /// Many devices send this value: it is nobody's.
    #[error("known bad value: many devices send it, so it identifies nobody")]
    Bad,
    /// Neither the raw form of this kind nor a digest of it.
    #[error("neither a {} nor a digest of one", .0.name())]
    Malformed(IdKind),
}

/// Device and opt-out hashes of a hit.
pub fn identify(_hit: &Hit<'_>, _platform: Platform, _keys: &KeyRing) -> Identity {
    todo!()
}

/// Every opt-out hash that can be derived from what was lodged.
///
/// # Errors
/// When the value identifies nobody.
pub fn lodge(_kind: IdKind, _value: &[u8], _keys: &KeyRing) -> Result<Lodged, LodgeError> {
    todo!()
}
