//! The values of a CAID parameter. Two versions of the CAID live at a time, and media send both of them in one value:
//!
//! | form | seen at |
//! |---|---|
//! | `value`, with the version in a parameter of its own or nowhere | the MMA China SDK's grammar |
//! | `20230330_value` | |
//! | `20230330_value,20220111_value`, also with a bar between them; the version `0` says that there is none | Weibo, Alimama |
//! | `[{"caid":"value","version":"20230330"},…]`, the names after the medium, a digest beside the value or instead of it | Kuaishou (`kenyId`), Tencent (`qaid`, `hash_qaid`), Ocean Engine (`caid_md5`) |
//!
//! The device of a hit is its newest version's. Version 1 and version 2 of one device are different values that nothing connects but such a
//! pair, and pairs are not kept (they would be a table of people). So:
//!
//! * two media that both send (old, new), or both send the same single version, meet;
//! * a medium that sends the old version only and one that sends (old, new) do **not** meet, until the first has changed over;
//! * an opt-out is looked up for both values of a pair, so one that was lodged with either holds for the pair.

use smallvec::SmallVec;

use super::IdField;

/// Most values of one parameter: twice as many as there are live versions.
const PARTS_MAX: usize = 4;
/// Longest version in front of a CAID, bytes.
const VERSION_BYTES_MAX: usize = 16;

/// Names under which media put the value into JSON, lower case.
const VALUE_NAMES: [&[u8]; 3] = [b"caid", b"qaid", b"kenyid"];
/// Names under which they put a digest of it.
const DIGEST_NAMES: [&[u8]; 4] = [b"caid_md5", b"hash_caid", b"hash_qaid", b"kenyid_md5"];

/// One value of a CAID parameter. Holds a raw identifier: it cannot be printed.
pub(super) struct Part<'a> {
    /// [`IdField::Caid`] or [`IdField::CaidMd5`].
    pub(super) field: IdField,
    pub(super) value: &'a [u8],
    pub(super) version: Option<&'a [u8]>,
}

/// The values of a CAID parameter, in the order in which they stand; the version of a value wins over `version`, the one of a parameter
/// of its own. What cannot be taken apart is handed out whole, to be refused.
pub(super) fn parts<'a>(
    field: IdField,
    value: &'a [u8],
    version: Option<&'a [u8]>,
) -> SmallVec<[Part<'a>; PARTS_MAX]> {
    let value = value.trim_ascii();
    if matches!(value.first(), Some(b'[' | b'{')) {
        return from_json(value);
    }
    value
        .split(|byte| matches!(byte, b',' | b'|'))
        .take(PARTS_MAX)
        .map(|part| {
            let (value, version) = split_version(part.trim_ascii(), version);
            Part { field, value, version }
        })
        .collect()
}

/// Whether the first version is newer. Versions are days (`20230330`) or counters; one that says nothing is the oldest.
pub(super) fn is_newer(version: &[u8], than: &[u8]) -> bool {
    (version.len(), version) > (than.len(), than)
}

/// A value without the version in front of it, and the version.
fn split_version<'a>(value: &'a [u8], version: Option<&'a [u8]>) -> (&'a [u8], Option<&'a [u8]>) {
    let split = value.iter().position(|byte| *byte == b'_').and_then(|at| value.split_at_checked(at));
    match split {
        Some((own, [_, rest @ ..])) if is_version(own) => (rest, known(own)),
        _ => (value, version.and_then(known)),
    }
}

fn is_version(version: &[u8]) -> bool {
    (1..=VERSION_BYTES_MAX).contains(&version.len()) && version.iter().all(u8::is_ascii_alphanumeric)
}

/// A version, unless it says that there is none.
fn known(version: &[u8]) -> Option<&[u8]> {
    Some(version).filter(|version| *version != b"0")
}

/// The values of a list of flat objects. Not a general reader: a text with escapes, or anything that is not closed, ends the list.
fn from_json(text: &[u8]) -> SmallVec<[Part<'_>; PARTS_MAX]> {
    let mut parts = SmallVec::new();
    let mut rest = text;
    while parts.len() < PARTS_MAX
        && let Some(open) = memchr::memchr(b'{', rest)
        && let Some(object) = rest.get(open + 1..)
        && let Some(close) = memchr::memchr(b'}', object)
        && let Some((object, behind)) = object.split_at_checked(close)
    {
        parts.extend(from_object(object));
        rest = behind;
    }
    parts
}

/// The value of one object's members; the raw one if there is a digest beside it.
fn from_object(members: &[u8]) -> Option<Part<'_>> {
    let (mut raw, mut digest, mut version) = (None, None, None);
    for member in members.split(|byte| *byte == b',') {
        let colon = memchr::memchr(b':', member)?;
        let (name, value) = member.split_at_checked(colon)?;
        let (name, value) = (unquoted(name)?, unquoted(value.get(1..)?)?);
        let is_one_of = |names: &[&[u8]]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if is_one_of(&VALUE_NAMES) {
            raw = Some(value);
        } else if is_one_of(&DIGEST_NAMES) {
            digest = Some(value);
        } else if name.eq_ignore_ascii_case(b"version") {
            version = Some(value).filter(|value| is_version(value)).and_then(known);
        }
    }
    let raw =
        raw.filter(|value| !value.is_empty()).map(|value| Part { field: IdField::Caid, value, version });
    raw.or_else(|| digest.map(|value| Part { field: IdField::CaidMd5, value, version }))
}

/// A word, with or without quotes. `None` when it holds what would have to be escaped.
fn unquoted(word: &[u8]) -> Option<&[u8]> {
    let word = word.trim_ascii();
    let bare = match word {
        [b'"', inner @ .., b'"'] => inner,
        _ => word,
    };
    (!bare.iter().any(|byte| matches!(byte, b'"' | b'\\'))).then_some(bare)
}
