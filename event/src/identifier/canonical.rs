//! From a value as it was sent to its canonical digest: shape, letter case, lost zeros, padding, bad values.
//!
//! | kind | raw shape | before MD5 | also taken in the raw field |
//! |---|---|---|---|
//! | OAID, cookie | up to 64 (128) characters | as is | nothing: a digest looks like an id (see below) |
//! | IMEI | 14 or 15 digits; 15 padded with 17 zeros to 32, on either side | digits | MD5, SHA-1, SHA-256 |
//! | Android id | 10–16 hex, padded to 16 with the zeros it lost | lower | MD5, SHA-1, SHA-256 |
//! | AAID · IDFA, IDFV | UUID with dashes | lower · upper | MD5, SHA-1, SHA-256 |
//! | MAC | 12 hex, bare or separated by `:` or `-` | upper, without (or with) colons | MD5, SHA-1, SHA-256 |
//! | CAID | 32 hex | lower; the version goes into the key | SHA-1, SHA-256 |
//! | OpenUDID | 40 hex | lower | MD5, SHA-256 |
//!
//! A digest is hex of either case; one to three leading zeros that a number-like encoder lost are put back. A `…_md5` field that holds
//! 40 or 64 digits holds a SHA digest, and one that holds what can be no digest but is plainly a raw value (of an OAID: a UUID or 16 hex)
//! holds that: media fill parameters that were made for a digest with the raw value.
//!
//! A medium that puts the MD5 of an OAID or CAID (or the SHA-1 of an OpenUDID) into the raw field cannot be told from one whose ids look like
//! that: unless the medium's profile says it ([`crate::profile`]), the value is taken as a raw one, and such a device does not meet itself in
//! other forms. Taking 32 hex as a digest instead would part the many devices whose raw OAID is 32 hex from their own MD5. An opt-out
//! meets it either way (`lodge`).
//!
//! The check digit of an IMEI is not looked at: its MD5 would come from another medium unchecked,
//! and the two would not meet.

use md5::{Digest, Md5};

use super::bad;
use super::{Form, IdField, IdKind};
use crate::dialect::hex_digit;

/// Longest OAID, characters (DOMAIN §4).
const OAID_BYTES_MAX: usize = 64;
/// Shortest OAID: anything shorter is a placeholder.
const OAID_BYTES_MIN: usize = 8;
/// Shortest Android id: one in 16⁶ has lost more than six zeros.
const ANDROID_ID_BYTES_MIN: usize = 10;
/// How many leading zeros of a digest may be missing: one in 65,536 has lost more.
const DIGEST_ZEROS_LOST_MAX: usize = 3;
/// An IMEI padded to the length of an MD5 carries this many zeros (DOMAIN §4).
const IMEI_PADDING: &[u8] = b"00000000000000000";
/// A digest does not begin or end with this many zeros (one in 10¹⁴ does): it is another value, filled up to a digest's length.
const DIGEST_PADDING_MIN: usize = 12;

/// A device identifier as it was sent. It cannot be printed, copied or serialised, and hashing consumes it:
///
/// ```compile_fail,E0277
/// fn print(id: event::identifier::RawId<'_>) -> String { format!("{id:?}") }
/// ```
/// ```compile_fail,E0277
/// fn print(id: event::identifier::RawId<'_>) -> String { format!("{id}") }
/// ```
/// ```compile_fail,E0277
/// fn copy<T: Clone>(_: T) {}
/// fn twice(id: event::identifier::RawId<'_>) { copy(id) }
/// ```
/// ```compile_fail,E0382
/// fn twice(id: event::identifier::RawId<'_>) { let _ = id.reduce(); let _ = id.reduce(); }
/// ```
/// ```compile_fail,E0277
/// fn write<T: serde::Serialize>(_: T) {}
/// fn leak(id: event::identifier::RawId<'_>) { write(id) }
/// ```
pub struct RawId<'a> {
    field: IdField,
    value: &'a [u8],
    caid_version: Option<&'a [u8]>,
}

/// An identifier reduced to the digest in which its forms meet. Still personal data (an MD5 of an IMEI can be reversed by trying them
/// all), so it cannot be printed, copied or serialised either; only [`crate::key::KeyRing`] reads it.
///
/// ```compile_fail,E0277
/// fn print(id: event::identifier::Canonical<'_>) -> String { format!("{id:?}") }
/// ```
/// ```compile_fail,E0277
/// fn copy<T: Clone>(_: T) {}
/// fn twice(id: event::identifier::Canonical<'_>) { copy(id) }
/// ```
/// ```compile_fail,E0616
/// fn look(id: event::identifier::Canonical<'_>) -> [u8; 64] { id.hex }
/// ```
pub struct Canonical<'a> {
    kind: IdKind,
    form: Form,
    /// Lower-case hex; [`Form::hex_len`] bytes of it count.
    hex: [u8; 64],
    caid_version: &'a [u8],
}

/// Why a value is no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Zeros, or a digest of zeros: the system withholds the identifier.
    Zero,
    /// Another value that many devices send.
    Bad,
    /// Neither of the kind's shape nor a digest.
    Shape,
}

impl Form {
    /// Length of the digest in hex, bytes.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }
}

impl<'a> RawId<'a> {
    /// Takes a value as its field holds it. The version matters to a CAID alone.
    pub fn new(field: IdField, value: &'a [u8], caid_version: Option<&'a [u8]>) -> Self {
        Self { field, value: value.trim_ascii(), caid_version }
    }

    /// Brings the identifier to its canonical digest.
    ///
    /// # Errors
    /// When it identifies no single device.
    pub fn reduce(self) -> Result<Canonical<'a>, Unusable> {
        let (kind, value) = (self.field.kind(), self.value);
        let raw_kind = match self.field {
            // A raw address has one space of its own, whatever the field was made for.
            IdField::MacColonsMd5 => Some(IdKind::Mac),
            IdField::OaidMd5 => is_plainly_oaid(value).then_some(kind),
            IdField::CaidMd5 => None,
            _ => Some(kind),
        };
        if let Some(kind) = raw_kind
            && let Some(raw) = raw(kind, value)
        {
            let id = md5_of(kind, raw.bytes()).with_version(self.caid_version);
            let unusable = bad::of_digest(id.hex()).or_else(|| bad::of_sent(kind, value));
            return unusable.map_or(Ok(id), Err);
        }
        let takes = |form| match self.field {
            IdField::Oaid | IdField::Cookie => false,
            // Its MD5 looks like a raw one: what is left of that length has lost digits.
            IdField::Caid => form != Form::Md5,
            _ => true,
        };
        match digest(kind, value).filter(|id| takes(id.form)) {
            Some(id) => {
                let id = id.with_version(self.caid_version);
                bad::of_digest(id.hex()).map_or(Ok(id), Err)
            }
            None => Err(bad::of_raw(value).unwrap_or(Unusable::Shape)),
        }
    }

    /// The digest of a raw MAC written with colons: the other key space of the same address.
    ///
    /// # Errors
    /// When the value is not a raw MAC, or one that many devices have.
    pub(super) fn reduce_mac_with_colons(self) -> Result<Canonical<'a>, Unusable> {
        let bare = raw(IdKind::Mac, self.value).ok_or(Unusable::Shape)?;
        let mut colons = Text::default();
        for (index, pair) in bare.bytes().chunks(2).enumerate() {
            if index > 0 {
                colons.push(b':');
            }
            for byte in pair {
                colons.push(*byte);
            }
        }
        let id = md5_of(IdKind::MacColons, colons.bytes());
        bad::of_digest(id.hex()).map_or(Ok(id), Err)
    }
}

impl<'a> Canonical<'a> {
    /// The key space.
    pub fn kind(&self) -> IdKind {
        self.kind
    }

    /// The form of the digest.
    pub fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn hex(&self) -> &[u8] {
        self.hex.get(..self.form.hex_len()).unwrap_or_default()
    }

    pub(crate) fn caid_version(&self) -> &[u8] {
        self.caid_version
    }

    pub(super) fn new(kind: IdKind, form: Form, digest: &[u8]) -> Self {
        let mut hex = [0; 64];
        for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
            *pair = [hex_of(byte >> 4), hex_of(byte & 15)];
        }
        Self { kind, form, hex, caid_version: b"" }
    }

    /// The same digest of another version, if it is a CAID.
    pub(super) fn of_version<'v>(&self, version: Option<&'v [u8]>) -> Canonical<'v> {
        Canonical { kind: self.kind, form: self.form, hex: self.hex, caid_version: b"" }.with_version(version)
    }

    /// With a version, if it is a CAID.
    fn with_version(self, version: Option<&'a [u8]>) -> Self {
        match self.kind {
            IdKind::Caid => Self { caid_version: version.unwrap_or_default(), ..self },
            _ => self,
        }
    }
}

/// A short text on the stack: the longest raw identifier that has to be rewritten is an OpenUDID.
pub(super) struct Text {
    bytes: [u8; 40],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 40], len: 0 }
    }
}

impl Text {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The canonical raw text of an identifier: as it was sent, or rewritten.
pub(super) enum Raw<'a> {
    AsIs(&'a [u8]),
    Rewritten(Text),
}

impl Raw<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::AsIs(bytes) => bytes,
            Self::Rewritten(text) => text.bytes(),
        }
    }
}

/// The canonical raw text of a value, if the value has the raw shape of its kind.
pub(super) fn raw(kind: IdKind, value: &[u8]) -> Option<Raw<'_>> {
    match kind {
        IdKind::Oaid => {
            let fits = (OAID_BYTES_MIN..=OAID_BYTES_MAX).contains(&value.len())
                && value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
            fits.then_some(Raw::AsIs(value))
        }
        IdKind::Cookie => {
            let fits = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
            fits.then_some(Raw::AsIs(value))
        }
        IdKind::Imei => {
            let is_bare = matches!(value.len(), 14 | 15) && value.iter().all(u8::is_ascii_digit);
            if is_bare { Some(value) } else { imei_padded(value) }.map(Raw::AsIs)
        }
        IdKind::AndroidId => {
            let fits = (ANDROID_ID_BYTES_MIN..=16).contains(&value.len());
            fits.then(|| hex_text(value, 16, <[u8]>::make_ascii_lowercase)).flatten()
        }
        IdKind::Aaid => uuid(value, <[u8]>::make_ascii_lowercase),
        IdKind::Idfa | IdKind::Idfv => uuid(value, <[u8]>::make_ascii_uppercase),
        IdKind::Mac | IdKind::MacColons => mac(value),
        IdKind::Caid => {
            (value.len() == 32).then(|| hex_text(value, 32, <[u8]>::make_ascii_lowercase)).flatten()
        }
        IdKind::OpenUdid => {
            (value.len() == 40).then(|| hex_text(value, 40, <[u8]>::make_ascii_lowercase)).flatten()
        }
    }
}

/// The MD5 of a canonical raw text.
pub(super) fn md5_of<'a>(kind: IdKind, raw: &[u8]) -> Canonical<'a> {
    Canonical::new(kind, Form::Md5, &Md5::digest(raw))
}

/// A digest as it was sent, its form known by its length.
#[inline]
pub(super) fn digest<'a>(kind: IdKind, value: &[u8]) -> Option<Canonical<'a>> {
    // Nearly all are whole MD5s: of a known length the check and the letter case are one look at all digits at once.
    if let Some(value) = value.as_array::<32>() {
        let lower = lower_hex(value).filter(|_| !is_padded(value))?;
        let mut hex = [b'0'; 64];
        *hex.first_chunk_mut::<32>()? = lower;
        return Some(Canonical { kind, form: Form::Md5, hex, caid_version: b"" });
    }
    odd_digest(kind, value)
}

/// The same for one of any other length: SHA, or with lost zeros.
fn odd_digest<'a>(kind: IdKind, value: &[u8]) -> Option<Canonical<'a>> {
    let form = [Form::Md5, Form::Sha1, Form::Sha256]
        .into_iter()
        .find(|form| (form.hex_len() - DIGEST_ZEROS_LOST_MAX..=form.hex_len()).contains(&value.len()))?;
    if !is_hex(value) || is_padded(value) {
        return None;
    }
    let mut hex = [b'0'; 64];
    let kept = hex.get_mut(form.hex_len() - value.len()..form.hex_len())?;
    kept.copy_from_slice(value);
    kept.make_ascii_lowercase();
    Some(Canonical { kind, form, hex, caid_version: b"" })
}

/// The hexadecimal digits in lower case, if they are nothing else.
fn lower_hex<const LEN: usize>(value: &[u8; LEN]) -> Option<[u8; LEN]> {
    // The bit that parts the cases of letters is set in every digit.
    is_hex(value).then(|| value.map(|byte| byte | 0x20))
}

/// Whether something was filled up with zeros to the length of a digest. Zeros alone are a digest's place left empty, which `bad` knows.
fn is_padded(value: &[u8]) -> bool {
    let zeros = |end: Option<&[u8]>| end.is_some_and(|end| end.iter().all(|byte| *byte == b'0'));
    let ends = zeros(value.get(..DIGEST_PADDING_MIN))
        || zeros(value.len().checked_sub(DIGEST_PADDING_MIN).and_then(|at| value.get(at..)));
    ends && value.iter().any(|byte| *byte != b'0')
}

/// Whether a value cannot be a digest of an OAID but an OAID: a UUID or 16 hex.
fn is_plainly_oaid(value: &[u8]) -> bool {
    match value.len() {
        16 => is_hex(value),
        36 => uuid(value, |_| {}).is_some(),
        _ => false,
    }
}

/// The 15 digits of an IMEI that somebody padded to 32 characters.
fn imei_padded(value: &[u8]) -> Option<&[u8]> {
    let digits = value.strip_prefix(IMEI_PADDING).or_else(|| value.strip_suffix(IMEI_PADDING))?;
    (digits.len() == 15 && digits.iter().all(u8::is_ascii_digit)).then_some(digits)
}

fn mac(value: &[u8]) -> Option<Raw<'_>> {
    let mut text = Text::default();
    match value.len() {
        12 => return hex_text(value, 12, <[u8]>::make_ascii_uppercase),
        17 => {}
        _ => return None,
    }
    let separator = *value.get(2).filter(|byte| matches!(byte, b':' | b'-'))?;
    for (index, byte) in value.iter().enumerate() {
        if index % 3 == 2 {
            (*byte == separator).then_some(())?;
        } else {
            hex_digit(*byte)?;
            text.push(byte.to_ascii_uppercase());
        }
    }
    Some(Raw::Rewritten(text))
}

fn uuid(value: &[u8], case: impl Fn(&mut [u8])) -> Option<Raw<'_>> {
    let (groups, last) = value.split_at_checked(24).filter(|(_, last)| last.len() == 12)?;
    let (first, groups) = groups.split_at_checked(8)?;
    let fits = is_hex(first)
        && groups.first() == Some(&b'-')
        && groups.chunks(5).all(|group| {
            // `-` and four digits; the last is the dash before the last group.
            matches!(group, [b'-', digits @ ..] if matches!(digits.len(), 0 | 4) && is_hex(digits))
        })
        && is_hex(last);
    if !fits {
        return None;
    }
    let mut text = Text { bytes: [0; 40], len: value.len() };
    let kept = text.bytes.get_mut(..value.len())?;
    kept.copy_from_slice(value);
    case(kept);
    Some(Raw::Rewritten(text))
}

/// Whether this is a UUID with its dashes.
pub(super) fn is_uuid(value: &[u8]) -> bool {
    uuid(value, |_| {}).is_some()
}

/// The UUID whose digits these are, if identifiers of this kind are UUIDs.
pub(super) fn uuid_of_digits(kind: IdKind, digits: &[u8]) -> Option<Raw<'static>> {
    let case = match kind {
        IdKind::Aaid => <[u8]>::make_ascii_lowercase,
        IdKind::Idfa | IdKind::Idfv => <[u8]>::make_ascii_uppercase,
        _ => return None,
    };
    if digits.len() != 32 || !is_hex(digits) {
        return None;
    }
    let mut text = Text::default();
    for (place, digit) in digits.iter().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push(b'-');
        }
        text.push(*digit);
    }
    case(text.bytes.get_mut(..text.len)?);
    Some(Raw::Rewritten(text))
}

/// Hex of one case, filled up with the leading zeros that it lost.
fn hex_text(value: &[u8], len: usize, case: impl Fn(&mut [u8])) -> Option<Raw<'_>> {
    if !is_hex(value) {
        return None;
    }
    let mut text = Text { bytes: [b'0'; 40], len };
    let kept = text.bytes.get_mut(len.checked_sub(value.len())?..len)?;
    kept.copy_from_slice(value);
    case(kept);
    Some(Raw::Rewritten(text))
}

/// Whether every byte is a hexadecimal digit. Without an early end, so that the compiler looks at many bytes at once.
fn is_hex(value: &[u8]) -> bool {
    value.iter().fold(true, |is_hex, byte| is_hex & byte.is_ascii_hexdigit())
}

fn hex_of(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}
