//! GPP strings, version 1: which sections apply and what those of the United States say.
//!
//! Read as the IAB Tech Lab's "Global Privacy Platform String" and its sections' specifications draw them.
//!
//! ```text
//! string    header ~ section ~ section …            in the order of the sections' ids
//! header    6 bits type = 3, 6 version = 1, then ids: 12 bits n, n × (0, step | 1, step, length)     steps in Fibonacci's code, from the id before
//! section   core . part . part …                    of the United States: 6 bits version, then fields of 2 bits, of which Layout knows the places
//! part      2 bits kind; of kind 1 the next bit is Gpc
//! ```

use super::bits::Bits;
use super::tcf;
use crate::record::flag;

/// Ids of sections.
mod section {
    pub(super) const TCF_EU_V2: u32 = 2;
    pub(super) const HEADER: u32 = 3;
    pub(super) const INTEGRITY: u32 = 4;
    pub(super) const US_PRIVACY_V1: u32 = 6;
    pub(super) const US_NATIONAL: u32 = 7;
}

/// Greatest id of a section that is looked at: the greatest given out is 27.
const ID_MAX: u32 = 63;

/// The value of an opt-out field that says so.
const OPTED_OUT: u32 = 1;

/// The kind of a part that holds `Gpc`.
const PART_GPC: u32 = 1;

/// Characters of the second form of the national section's core: 70 bits. The first has 60.
const US_NATIONAL_V2_CHARS: usize = 12;

/// What a GPP string says.
#[derive(Clone, Copy, Default)]
pub(super) struct Read<'a> {
    /// [`flag`] bits, but not that of the TCF.
    pub(super) flags: u32,
    /// The TCF applies.
    pub(super) tcf_applies: bool,
    /// Its string.
    pub(super) tcf: Option<&'a [u8]>,
}

/// Where a section of the United States has its answers: places in bits from its begin, each answer 2 bits.
struct Layout {
    id: u32,
    version: u32,
    /// Of sale, sharing, targeted advertising, as far as it knows them: they stand side by side.
    opt_outs: (usize, usize),
    /// Whether the person is a known child: the place and the number of answers.
    child: (usize, usize),
}

/// Every section of the United States that has the form of 2023; those of 2026 (Maryland, Indiana, Kentucky, Rhode Island) are not read.
const LAYOUTS: [Layout; 18] = [
    // The whole country; its second version has more kinds of sensitive data.
    layout(7, 1, (18, 3), (48, 2)),
    layout(7, 2, (18, 3), (56, 3)),
    // California, Virginia, Colorado, Utah, Connecticut
    layout(8, 1, (12, 2), (34, 2)),
    layout(9, 1, (12, 2), (32, 1)),
    layout(10, 1, (12, 2), (30, 1)),
    layout(11, 1, (14, 2), (34, 1)),
    layout(12, 1, (12, 2), (32, 3)),
    // Florida, Montana, Oregon, Texas, Delaware, Iowa
    layout(13, 1, (12, 2), (32, 3)),
    layout(14, 1, (12, 2), (32, 3)),
    layout(15, 1, (12, 2), (38, 3)),
    layout(16, 1, (12, 2), (32, 1)),
    layout(17, 1, (12, 2), (34, 5)),
    layout(18, 1, (14, 2), (34, 1)),
    // Nebraska, New Hampshire, New Jersey, Tennessee, Minnesota
    layout(19, 1, (12, 2), (32, 1)),
    layout(20, 1, (12, 2), (32, 3)),
    layout(21, 1, (12, 2), (36, 5)),
    layout(22, 1, (12, 2), (32, 1)),
    layout(23, 1, (12, 2), (32, 1)),
];

const fn layout(id: u32, version: u32, opt_outs: (usize, usize), child: (usize, usize)) -> Layout {
    Layout { id, version, opt_outs, child }
}

/// A set of ids.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Ids(u64);

impl Ids {
    fn with(self, id: u32) -> Option<Self> {
        (1..=ID_MAX).contains(&id).then(|| Self(self.0 | 1 << id))
    }

    fn has(self, id: u32) -> bool {
        self.0 >> id & 1 == 1
    }

    fn iter(self) -> impl Iterator<Item = u32> {
        (1..=ID_MAX).filter(move |id| self.has(*id))
    }
}

/// Reads a string and the ids of the sections that apply; not called where `ids` says that none does.
pub(super) fn read<'a>(text: Option<&'a [u8]>, ids: Option<&[u8]>) -> Read<'a> {
    let unreadable = Read { flags: flag::WITHHELD_GPP, ..Read::default() };
    let wanted = match ids.map(applying) {
        Some(None) => return unreadable,
        Some(Some(ids)) => Some(ids),
        None => None,
    };
    let Some(text) = text else { return read_nothing(wanted) };
    if text.first() == Some(&tcf::FIRST) {
        return Read { tcf_applies: true, tcf: Some(text), ..read_nothing(wanted) };
    }
    if let Some(flags) = us_privacy(text) {
        let others = wanted.is_some_and(|ids| ids.iter().any(|id| id != section::US_PRIVACY_V1));
        return if others { unreadable } else { Read { flags, ..Read::default() } };
    }
    let mut parts = text.split(|byte| *byte == b'~');
    let Some(there) = header(parts.next().unwrap_or_default()) else { return unreadable };
    let wanted = wanted.unwrap_or(there);
    if wanted == Ids::default() {
        // Nothing says which sections apply, nor that none does.
        return unreadable;
    }
    let mut read = Read { tcf_applies: wanted.has(section::TCF_EU_V2), ..Read::default() };
    for id in there.iter() {
        let Some(part) = parts.next() else { return Read { flags: flag::WITHHELD_GPP, ..read } };
        if id == section::TCF_EU_V2 {
            read.tcf = Some(part);
        } else if wanted.has(id) {
            read.flags |= answers(id, part).unwrap_or(flag::WITHHELD_GPP);
        }
    }
    let is_missing = wanted.iter().any(|id| id != section::TCF_EU_V2 && !there.has(id));
    if is_missing || parts.next().is_some() {
        read.flags |= flag::WITHHELD_GPP;
    }
    read
}

/// Sections apply, and no string says what was chosen there. The TCF's may stand in a parameter of its own.
fn read_nothing<'a>(wanted: Option<Ids>) -> Read<'a> {
    let wanted = wanted.unwrap_or_default();
    let others = wanted.iter().any(|id| id != section::TCF_EU_V2);
    Read {
        flags: if others { flag::WITHHELD_GPP } else { 0 },
        tcf_applies: wanted.has(section::TCF_EU_V2),
        tcf: None,
    }
}

/// The ids of `gpp_sid`: numbers with commas or, as some write them in URLs, underscores between them.
fn applying(text: &[u8]) -> Option<Ids> {
    text.split(|byte| matches!(byte, b',' | b'_')).try_fold(Ids::default(), |ids, id| {
        ids.with(std::str::from_utf8(id.trim_ascii()).ok()?.parse().ok()?)
    })
}

/// The ids of the sections that a string has.
fn header(text: &[u8]) -> Option<Ids> {
    let mut bits = Bits::new(text);
    if (bits.number(6)?, bits.number(6)?) != (section::HEADER, 1) {
        return None;
    }
    let (mut ids, mut last) = (Ids::default(), 0_u32);
    for _ in 0..bits.number(12)? {
        let is_group = bits.bit()?;
        let first = last + bits.fibonacci()?;
        last = if is_group { first + bits.fibonacci()? } else { first };
        if last > ID_MAX {
            return None;
        }
        ids = (first..=last).try_fold(ids, Ids::with)?;
    }
    Some(ids)
}

/// What a section that applies says; `None` if that cannot be read.
fn answers(id: u32, text: &[u8]) -> Option<u32> {
    if matches!(id, section::HEADER | section::INTEGRITY) {
        return Some(0);
    }
    if id == section::US_PRIVACY_V1 {
        return us_privacy(text);
    }
    let mut parts = text.split(|byte| *byte == b'.');
    let text = parts.next()?;
    let core = Bits::new(text);
    let version = match { core }.number(6)? {
        // The second form was written under the first one's number too; it is longer.
        1 if id == section::US_NATIONAL && text.len() >= US_NATIONAL_V2_CHARS => 2,
        version => version,
    };
    let layout = LAYOUTS.iter().find(|layout| (layout.id, layout.version) == (id, version))?;
    let mut flags = 0;
    if any(core, layout.opt_outs, |answer| answer == OPTED_OUT)? {
        flags |= flag::WITHHELD_GPP;
    }
    if any(core, layout.child, |answer| answer != 0)? {
        flags |= flag::WITHHELD_CHILD;
    }
    for part in parts {
        let mut bits = Bits::new(part);
        if bits.number(2)? == PART_GPC && bits.bit()? {
            flags |= flag::WITHHELD_GPC;
        }
    }
    Some(flags)
}

/// Whether one of so many answers from a place on is such a one.
fn any(core: Bits<'_>, (place, count): (usize, usize), is_such: impl Fn(u32) -> bool) -> Option<bool> {
    let mut bits = core;
    bits.skip(place);
    (0..count).try_fold(false, |any, _| Some(any | is_such(bits.number(2)?)))
}

/// A US Privacy string, `1YNN`: version, notice given, opted out of sale, covered by the LSPA; `-` where that does not apply.
fn us_privacy(text: &[u8]) -> Option<u32> {
    let [b'1', answers @ ..] = text else { return None };
    let [_, opted_out, _] = answers else { return None };
    let is_answer = |answer: &u8| matches!(answer.to_ascii_uppercase(), b'Y' | b'N' | b'-');
    answers
        .iter()
        .all(is_answer)
        .then(|| if opted_out.eq_ignore_ascii_case(&b'Y') { flag::WITHHELD_GPP } else { 0 })
}
