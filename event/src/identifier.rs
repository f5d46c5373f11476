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
    pub const COUNT: usize = 18;
}
