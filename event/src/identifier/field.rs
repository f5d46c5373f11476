//! The names of the trade: kinds of identifiers, their forms, and the fields in which dialects bring them.

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

    /// Whether a raw value and a digest of it are told apart by their looks in this field, so that either is understood.
    pub(crate) fn is_told_by_looks(self) -> bool {
        match self {
            Self::Imei
            | Self::ImeiMd5
            | Self::Aaid
            | Self::AaidMd5
            | Self::AndroidId
            | Self::AndroidIdMd5
            | Self::Mac
            | Self::MacMd5
            | Self::Mac2
            | Self::Mac3
            | Self::Mac4
            | Self::Idfa
            | Self::IdfaMd5
            | Self::Idfv => true,
            Self::MacColonsMd5
            | Self::Oaid
            | Self::OaidMd5
            | Self::Ifa
            | Self::Caid
            | Self::CaidMd5
            | Self::OpenUdid
            | Self::Cookie => false,
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
    /// Whether both are key spaces of one identifier: a MAC has two.
    pub fn is_same_id(self, other: Self) -> bool {
        let one = |kind| if kind == Self::MacColons { Self::Mac } else { kind };
        one(self) == one(other)
    }

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
