//! Opting out by an identifier: from what a person or an app lodged to every opt-out hash that can be derived from it.
//!
//! Which lodged form is recognised in which arriving form (the tracker computes one hash of each identifier that arrives: of its MD5 if
//! it came raw or as MD5, of the digest itself if it came as SHA):
//!
//! | lodged \ arriving | raw | MD5 | SHA-256 of the MD5 | SHA-1 | SHA-256 |
//! |---|---|---|---|---|---|
//! | raw | yes | yes | yes | yes | yes |
//! | MD5 | yes | yes | yes | – | – |
//! | SHA-1 | – | – | – | yes | – |
//! | SHA-256 (of the raw form, or of the MD5: they look alike) | – | – | as lodged | – | as lodged |
//!
//! To meet a lodged SHA digest, the tracker would have to hash every raw identifier three more times, for a form that hardly anybody
//! sends; so the lodger is told what is not covered. A raw OAID is lodged as it is, in lower and in upper case; an IMEI with and
//! without its check digit; a raw MAC with and without colons, in the key spaces of both; a CAID whatever its version, and all of a list
//! of them. Where a value may
//! be a raw identifier or a digest (an OAID of 32 hex), both readings are lodged: a reading that is wrong is nobody's.
//!
//! Media also put a digest where the raw value belongs, and for an OAID, a CAID, an OpenUDID or a cookie id it then looks like a raw one and
//! is hashed once more. The columns hold there too: with every text goes the MD5 of each of its digests that has the raw shape, its hex
//! in either case.
//!
//! A UUID whose dashes somebody took out looks like an MD5 and is taken for one: it goes with the UUID, and the UUID with it.

use std::collections::HashSet;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::canonical::{self, Canonical};
use super::imei::with_check_digit;
use super::{Form, IdField, IdKind, bad, caid};
use crate::dialect::limit::{CAID_BYTES_MAX, ID_BYTES_MAX};
use crate::key::{DeviceKey, KeyRing, OptOutHash};

/// A form in which an identifier arrives at the tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArrivingForm {
    /// The raw value.
    Raw,
    /// MD5 of it.
    Md5,
    /// SHA-1 of it.
    Sha1,
    /// SHA-256 of it. Of a lodged SHA-256, whatever it was made from: the same digest.
    Sha256,
    /// SHA-256 of the MD5's lower-case hex.
    Sha256OfMd5,
    /// A MAC's digest with the other separators than what was lodged.
    MacOtherSeparators,
    /// An OAID in another letter case than the one that was hashed.
    OaidOtherCase,
    /// A UUID whose dashes somebody took out, where a digest belongs. Only of what was hashed before it was lodged ([`lodge_hashed`]): to cover it, the
    /// identifier itself would have to be sent.
    RawWithoutDashes,
}

impl ArrivingForm {
    /// Every form, in the order of what is told. Their places are stored: new ones go to the end.
    pub const ALL: [Self; 8] = [
        Self::Raw,
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
        Self::Sha256OfMd5,
        Self::MacOtherSeparators,
        Self::OaidOtherCase,
        Self::RawWithoutDashes,
    ];

    /// The form of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// The name in the opt-out API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha256OfMd5 => "sha256_of_md5",
            Self::MacOtherSeparators => "mac_other_separators",
            Self::OaidOtherCase => "oaid_other_case",
            Self::RawWithoutDashes => "raw_without_dashes",
        }
    }
}

/// What an opt-out by one identifier reaches.
pub struct Lodged {
    /// Put all of these into the registry: each once.
    pub hashes: SmallVec<[OptOutHash; 8]>,
    /// Hits that carry one of these forms are recognised. In the order of [`ArrivingForm`]. Of an ambiguous value: in either reading.
    pub covered: SmallVec<[ArrivingForm; 8]>,
    /// Hits that carry only one of these are not.
    pub uncovered: SmallVec<[ArrivingForm; 8]>,
    /// Whether the value can be the raw identifier as well as a digest of one (an OAID or CAID of 32 hex, an OpenUDID). If it is the
    /// raw identifier, every form is covered.
    pub ambiguous: bool,
}

/// Why an identifier cannot be lodged: the caller has to send another. Never holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LodgeError {
    /// Many devices send this value: opting it out would opt out all of them.
    #[error("many devices send this value, so it identifies nobody: look up the device's own")]
    Bad,
    /// Neither the raw form of this kind nor a digest of it.
    #[error("neither a {} nor its MD5, SHA-1 or SHA-256 in hex", .0.name())]
    Malformed(IdKind),
}

/// Every opt-out hash that can be derived from a raw identifier or a digest of one.
///
/// # Errors
/// When the value identifies nobody.
pub fn lodge(kind: IdKind, value: &[u8], keys: &KeyRing) -> Result<Lodged, LodgeError> {
    let mut hashes = SmallVec::new();
    let readings = derive(kind, value, &mut |id, _| {
        let hash = keys.opt_out_hash(id);
        if !hashes.contains(&hash) {
            hashes.push(hash);
        }
    })?;
    Ok(finish(kind, &readings, hashes))
}

/// The digests of one canonical raw text, made where the identifier is: the page makes them so that it need not send the identifier.
pub struct TextDigests {
    /// MD5.
    pub md5: [u8; 16],
    /// SHA-1.
    pub sha1: [u8; 20],
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// Most canonical texts of one identifier: an OAID as it is, in lower and upper case, and without its dashes.
pub const TEXTS_MAX: usize = 8;

/// Every opt-out hash that can be derived from the digests of all canonical raw texts of one identifier. What [`lodge`] makes of the identifier
/// itself, but for one form.
///
/// # Errors
/// When a digest is one of those that many devices send, or there are no digests, or too many.
pub fn lodge_hashed(kind: IdKind, texts: &[TextDigests], keys: &KeyRing) -> Result<Lodged, LodgeError> {
    if texts.is_empty() || texts.len() > TEXTS_MAX {
        return Err(LodgeError::Malformed(kind));
    }
    let mut hashes: SmallVec<[OptOutHash; 8]> = SmallVec::new();
    let mut sink = |id: &Canonical<'_>, _: Option<&[u8]>| {
        let hash = keys.opt_out_hash(id);
        if !hashes.contains(&hash) {
            hashes.push(hash);
        }
    };
    let mut lodging = Lodging { sink: &mut sink, version: None, readings: SmallVec::new(), is_bad: false };
    for text in texts {
        for kind in spaces(&kind) {
            lodging.digests(*kind, &text.md5, &text.sha1, &text.sha256);
        }
    }
    if lodging.is_bad {
        return Err(LodgeError::Bad);
    }
    let mut lodged = finish(kind, &SmallVec::from_iter([RAW]), hashes);
    if matches!(kind, IdKind::Aaid | IdKind::Idfa | IdKind::Idfv) {
        lodged.uncovered.push(ArrivingForm::RawWithoutDashes);
    }
    Ok(lodged)
}

/// The key spaces of a kind. Nobody can see how a digest of a MAC was written, and which of the two a medium hashed does not always stand in the
/// field that it belongs to: both are tried.
fn spaces(kind: &IdKind) -> &[IdKind] {
    match kind {
        IdKind::Mac | IdKind::MacColons => &[IdKind::Mac, IdKind::MacColons],
        _ => std::slice::from_ref(kind),
    }
}

/// Every key that a device with this identifier can have in what is stored, under every epoch whose key is still here: what an erasure or a
/// copy looks for. Each once, with the number of its epoch.
///
/// The forms are those of an opt-out ([`lodge`]). A CAID's key depends on its version: `version` is that of a CAID which carries none of its own;
/// the key of a hit that told no version is always among them, that of another version is not.
///
/// # Errors
/// When the value identifies nobody.
pub fn devices(
    kind: IdKind,
    value: &[u8],
    version: Option<&[u8]>,
    keys: &KeyRing,
) -> Result<Vec<(u16, DeviceKey)>, LodgeError> {
    let mut found = Vec::new();
    derive(kind, value, &mut |id, own| {
        for version in [None, own.or(version).filter(|version| *version != b"0")] {
            for key in keys.device_keys(&id.of_version(version)) {
                if !found.contains(&key) {
                    found.push(key);
                }
            }
        }
    })?;
    Ok(found)
}

/// Whether a CAID says nothing of its version, and nothing is said beside it: then [`devices`] finds only the hits that told none. The version `0` says that
/// there is none.
pub fn lacks_version(value: &[u8], version: Option<&[u8]>) -> bool {
    version.is_none() && caid::parts(IdField::Caid, value, None).iter().any(|part| part.version.is_none())
}

/// Every key that [`devices`] gives of a digest of this identifier: what somebody asked for who typed a digest of it. Some may be among its own.
///
/// A digest may have been typed in any of the forms that the identifier has, in lower or upper case, and where it looks like a raw value it was read as
/// one too. All of that comes of this identifier, so none of it is another device's.
///
/// # Errors
/// When the value identifies nobody.
pub fn devices_of_digests(
    kind: IdKind,
    value: &[u8],
    version: Option<&[u8]>,
    keys: &KeyRing,
) -> Result<Vec<(u16, DeviceKey)>, LodgeError> {
    let mut digests: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
    derive(kind, value, &mut |id, own| {
        let digest = (id.hex().to_vec(), own.or(version).map(<[u8]>::to_vec));
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    })?;
    let mut found = HashSet::new();
    for (digest, version) in &digests {
        for digest in [digest.clone(), digest.to_ascii_uppercase()] {
            // One that many devices send was refused when it was typed.
            found.extend(devices(kind, &digest, version.as_deref(), keys).unwrap_or_default());
        }
    }
    Ok(found.into_iter().collect())
}

/// What takes a canonical digest and, of a CAID, the version that stood in front of it.
type Sink<'s> = &'s mut dyn FnMut(&Canonical<'_>, Option<&[u8]>);

/// What each possible reading of a value covers.
type Readings = SmallVec<[&'static [ArrivingForm]; 2]>;

/// A value and, of a CAID, its version.
type Versioned<'v> = (&'v [u8], Option<&'v [u8]>);

/// Hands every canonical digest that a value can arrive as to `sink`, some perhaps twice.
fn derive(kind: IdKind, value: &[u8], sink: Sink<'_>) -> Result<Readings, LodgeError> {
    let typed = value.trim_ascii();
    let bytes_max = if kind == IdKind::Caid { CAID_BYTES_MAX } else { ID_BYTES_MAX };
    if typed.len() > bytes_max {
        return Err(LodgeError::Malformed(kind));
    }
    // People copy an IMEI from a settings page or a box, where it is set in groups. What holds letters is none, and no digest either with its dashes.
    let is_grouped = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-');
    let bare: SmallVec<[u8; 64]> = match kind {
        IdKind::Imei if typed.iter().all(is_grouped) => {
            typed.iter().copied().filter(|byte| !matches!(byte, b' ' | b'-')).collect()
        }
        _ => SmallVec::from_slice(typed),
    };
    // An app lodges what media send: the CAIDs of two versions. An opt-out holds whatever the version.
    let values: SmallVec<[Versioned<'_>; 4]> = match kind {
        IdKind::Caid => {
            let parts = caid::parts(IdField::Caid, &bare, None);
            parts.into_iter().map(|part| (part.value, part.version)).collect()
        }
        _ => SmallVec::from_iter([(bare.as_slice(), None)]),
    };
    let mut lodging = Lodging { sink, version: None, readings: SmallVec::new(), is_bad: false };
    for (value, version) in values {
        lodging.version = version;
        let readings = lodging.readings.len();
        lodging.raw(kind, value);
        lodging.digest(kind, value);
        if lodging.readings.len() == readings && !lodging.is_bad && bad::of_raw(typed).is_none() {
            return Err(LodgeError::Malformed(kind));
        }
    }
    if lodging.is_bad || bad::of_raw(typed).is_some() {
        return Err(LodgeError::Bad);
    }
    if lodging.readings.is_empty() {
        return Err(LodgeError::Malformed(kind));
    }
    Ok(lodging.readings)
}

struct Lodging<'s> {
    sink: Sink<'s>,
    /// Of the value in hand.
    version: Option<&'s [u8]>,
    readings: Readings,
    is_bad: bool,
}

/// Every form: what a raw identifier covers.
const RAW: &[ArrivingForm] = &[
    ArrivingForm::Raw,
    ArrivingForm::Md5,
    ArrivingForm::Sha1,
    ArrivingForm::Sha256,
    ArrivingForm::Sha256OfMd5,
    ArrivingForm::MacOtherSeparators,
    ArrivingForm::OaidOtherCase,
];

impl Lodging<'_> {
    /// Lodges the reading of the value as a raw identifier, if it can be one.
    fn raw(&mut self, kind: IdKind, value: &[u8]) {
        let Some(raw) = canonical::raw(kind, value) else { return };
        let bytes = raw.bytes();
        match kind {
            IdKind::Mac | IdKind::MacColons => {
                let pairs: Vec<&[u8]> = bytes.chunks(2).collect();
                for kind in spaces(&kind) {
                    self.raw_text(*kind, bytes);
                    self.raw_text(*kind, &pairs.join(&b':'));
                }
            }
            IdKind::Imei => {
                self.raw_text(kind, bytes);
                // The first 14 digits are the device; the fifteenth is computed from them, and some systems leave it out.
                if let Some(device) = bytes.first_chunk() {
                    self.raw_text(kind, device);
                    self.raw_text(kind, &with_check_digit(device));
                }
            }
            IdKind::Oaid => {
                self.raw_text(kind, bytes);
                self.raw_text(kind, &bytes.to_ascii_lowercase());
                self.raw_text(kind, &bytes.to_ascii_uppercase());
            }
            IdKind::Aaid
            | IdKind::AndroidId
            | IdKind::Idfa
            | IdKind::Caid
            | IdKind::Idfv
            | IdKind::OpenUdid
            | IdKind::Cookie => self.raw_text(kind, bytes),
        }
        self.without_dashes(kind, bytes);
        self.is_bad |= bad::of_sent(kind, value).is_some();
        self.readings.push(RAW);
    }

    /// A UUID as it arrives where its dashes were taken out: like an MD5, and in an OAID's own field like another OAID.
    fn without_dashes(&mut self, kind: IdKind, text: &[u8]) {
        if !canonical::is_uuid(text) {
            return;
        }
        let bare: SmallVec<[u8; 32]> = text.iter().copied().filter(|byte| *byte != b'-').collect();
        if let Some(id) = canonical::digest(kind, &bare) {
            self.digest_in_either_field(&id);
        }
    }

    /// Every digest of one canonical raw text.
    fn raw_text(&mut self, kind: IdKind, text: &[u8]) {
        self.digests(kind, &Md5::digest(text), &Sha1::digest(text), &Sha256::digest(text));
    }

    fn digests(&mut self, kind: IdKind, md5: &[u8], sha1: &[u8], sha256: &[u8]) {
        self.md5(&Canonical::new(kind, Form::Md5, md5));
        self.digest_in_either_field(&Canonical::new(kind, Form::Sha1, sha1));
        self.digest_in_either_field(&Canonical::new(kind, Form::Sha256, sha256));
    }

    /// An MD5 and the SHA-256 of its hex.
    fn md5(&mut self, id: &Canonical<'_>) {
        self.digest_in_either_field(id);
        self.digest_in_either_field(&Canonical::new(id.kind(), Form::Sha256, &Sha256::digest(id.hex())));
    }

    /// A digest as a digest's field brings it, and as the raw value's field does, if it would pass for a raw value there.
    fn digest_in_either_field(&mut self, id: &Canonical<'_>) {
        self.push(id);
        for hex in [id.hex().to_ascii_lowercase(), id.hex().to_ascii_uppercase()] {
            if let Some(raw) = canonical::raw(id.kind(), &hex) {
                self.push(&canonical::md5_of(id.kind(), raw.bytes()));
            }
        }
    }

    /// Lodges the reading of the value as a digest, if it can be one.
    fn digest(&mut self, kind: IdKind, value: &[u8]) {
        // No dialect takes a digest of these: a hit's value is hashed as it is.
        if kind == IdKind::Cookie {
            return;
        }
        let Some(form) = canonical::digest(kind, value).map(|id| id.form()) else { return };
        for id in spaces(&kind).iter().filter_map(|kind| canonical::digest(*kind, value)) {
            match form {
                Form::Md5 => self.md5(&id),
                Form::Sha1 | Form::Sha256 => self.digest_in_either_field(&id),
            }
        }
        if form == Form::Md5
            && let Some(raw) = canonical::uuid_of_digits(kind, value)
        {
            self.raw_text(kind, raw.bytes());
        }
        self.readings.push(match form {
            Form::Md5 => &[ArrivingForm::Raw, ArrivingForm::Md5, ArrivingForm::Sha256OfMd5],
            Form::Sha1 => &[ArrivingForm::Sha1],
            Form::Sha256 => &[ArrivingForm::Sha256],
        });
    }

    fn push(&mut self, id: &Canonical<'_>) {
        self.is_bad |= bad::of_digest(id.hex()).is_some();
        (self.sink)(id, self.version);
    }
}

fn finish(kind: IdKind, readings: &Readings, hashes: SmallVec<[OptOutHash; 8]>) -> Lodged {
    let applies = |form: &ArrivingForm| match form {
        ArrivingForm::MacOtherSeparators => matches!(kind, IdKind::Mac | IdKind::MacColons),
        ArrivingForm::OaidOtherCase => kind == IdKind::Oaid,
        ArrivingForm::RawWithoutDashes => false,
        ArrivingForm::Raw
        | ArrivingForm::Md5
        | ArrivingForm::Sha1
        | ArrivingForm::Sha256
        | ArrivingForm::Sha256OfMd5 => true,
    };
    let forms = RAW.iter().copied().filter(applies);
    let (covered, uncovered) = forms.partition(|form| readings.iter().all(|reading| reading.contains(form)));
    Lodged { hashes, covered, uncovered, ambiguous: readings.len() > 1 }
}
