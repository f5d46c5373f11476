//! Dialects as data: a table says how a grammar separates its parameters and which field of a [`Hit`] each one fills
//! (`dialects/native.toml` shows the form). Reading is one pass; a known parameter costs no allocation.
//!
//! Rules that hold in every dialect:
//!
//! * A parameter that is in no table is dropped unread (its escapes too) and only counted: nothing that nobody asked for is kept.
//! * An empty value is an absent one. So is an unreplaced macro of any style ([`is_unreplaced_macro`]), which is counted.
//! * ASCII blanks around a value are not part of it.
//! * The same parameter twice with one value is fine, with two values is [`Outcome::Contradictory`].
//! * A broken escape in a known parameter, or a value that its field cannot take, is [`Outcome::Malformed`]; a value over its field's
//!   limit is [`Outcome::TooLong`].
//! * The whole string is read even after a defect, because a click lands whatever else is wrong with it ([`Table::read`]).

mod field;
mod load;
mod macros;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use field::limit;
pub use load::TableError;
pub use macros::is_unreplaced_macro;

use crate::hit::{Field, Hit};
use crate::outcome::Outcome;

/// A dialect, ready for look-ups.
pub struct Table {
    name: String,
    separator: u8,
    equalizer: u8,
    amp_entity: bool,
    /// Longest name in the table, bytes: a longer one is not even looked up.
    name_bytes_max: usize,
    parameters: ahash::HashMap<Box<[u8]>, Parameter>,
}

/// What a table says of one parameter.
#[derive(Clone, Copy)]
struct Parameter {
    field: Field,
    plus_is_space: bool,
    json_only: bool,
}

/// The buffer in which a query is taken apart; its owner keeps it from one query to the next, so that it need not grow again.
/// It holds raw identifiers until then and therefore cannot be printed.
#[derive(Default)]
pub struct Scratch {
    bytes: Vec<u8>,
}

impl Scratch {
    /// An empty buffer; it grows to the longest query that it has seen.
    pub fn new() -> Self {
        Self::default()
    }
}

/// What a query said, also when it is to be rejected: a click lands even then.
pub struct Reading<'a> {
    /// The fields that could be read. After [`Outcome::Contradictory`] a field holds its first value.
    pub hit: Hit<'a>,
    /// The first reason to reject the hit, if there is one.
    pub defect: Option<Outcome>,
}

impl Table {
    /// The native dialect (DESIGN §9).
    ///
    /// # Panics
    /// Never in a build whose tests are green: the table is part of the program.
    pub fn native() -> &'static Self {
        static NATIVE: LazyLock<Table> = LazyLock::new(|| {
            Table::parse_toml(include_str!("../dialects/native.toml")).expect("checked by a test")
        });
        &NATIVE
    }

    /// Name of the dialect.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a query in one pass, or says why the hit is rejected.
    ///
    /// # Errors
    /// The first defect: malformed, contradictory, too long. A missing campaign or placement is not judged here.
    pub fn parse<'a>(&self, query: &[u8], scratch: &'a mut Scratch) -> Result<Hit<'a>, Outcome> {
        let reading = self.read(query, scratch);
        reading.defect.map_or(Ok(reading.hit), Err)
    }

    /// As [`parse`](Self::parse), but hands out what could be read beside the first defect.
    pub fn read<'a>(&self, query: &[u8], scratch: &'a mut Scratch) -> Reading<'a> {
        scratch.bytes.clear();
        scratch.bytes.extend_from_slice(query);
        let mut reading = Reading { hit: Hit::default(), defect: None };
        let mut rest = scratch.bytes.as_mut_slice();
        while !rest.is_empty() {
            let end = memchr::memchr(self.separator, rest).unwrap_or(rest.len());
            let (segment, tail) = rest.split_at_mut(end);
            rest = tail.get_mut(1..).unwrap_or_default();
            if let Err(defect) = self.read_segment(&mut reading.hit, segment) {
                reading.defect.get_or_insert(defect);
            }
        }
        reading
    }

    /// Fills one field of a JSON item: the same names, the same rules, the value already decoded.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and [`Outcome::UnknownStage`].
    pub fn set<'a>(&self, hit: &mut Hit<'a>, name: &str, value: &'a [u8]) -> Result<(), Outcome> {
        let Some(parameter) = self.parameters.get(name.as_bytes()) else {
            hit.parameters_unknown = hit.parameters_unknown.saturating_add(1);
            return Ok(());
        };
        field::fill(hit, parameter.field, value)
    }

    fn read_segment<'a>(&self, hit: &mut Hit<'a>, segment: &'a mut [u8]) -> Result<(), Outcome> {
        if segment.is_empty() {
            return Ok(());
        }
        let name_end = memchr::memchr(self.equalizer, segment).unwrap_or(segment.len());
        let (name, value) = segment.split_at_mut(name_end);
        let value = value.get_mut(1..).unwrap_or_default();
        let Some(parameter) = self.find(name).filter(|parameter| !parameter.json_only) else {
            hit.parameters_unknown = hit.parameters_unknown.saturating_add(1);
            return Ok(());
        };
        // `%%X%%` is a macro and a broken escape: it has to be looked at before decoding.
        if value.starts_with(b"%%") && is_unreplaced_macro(value) {
            hit.macros_unreplaced = hit.macros_unreplaced.saturating_add(1);
            return Ok(());
        }
        let value = decode(value, parameter.plus_is_space).ok_or(Outcome::Malformed)?;
        field::fill(hit, parameter.field, value)
    }

    fn find(&self, name: &[u8]) -> Option<&Parameter> {
        if name.len() <= self.name_bytes_max
            && let Some(parameter) = self.parameters.get(name)
        {
            return Some(parameter);
        }
        let name = name.strip_prefix(b"amp;").filter(|_| self.amp_entity)?;
        self.parameters.get(name)
    }
}

/// Undoes percent escapes where they stand. `None` when one is broken.
fn decode(value: &mut [u8], plus_is_space: bool) -> Option<&[u8]> {
    if plus_is_space {
        for byte in value.iter_mut().filter(|byte| **byte == b'+') {
            *byte = b' ';
        }
    }
    let Some(first) = memchr::memchr(b'%', value) else {
        return Some(value);
    };
    let (mut from, mut to) = (first, first);
    while let Some(&byte) = value.get(from) {
        let decoded = if byte == b'%' {
            let high = hex_digit(*value.get(from + 1)?)?;
            let low = hex_digit(*value.get(from + 2)?)?;
            from += 3;
            high << 4 | low
        } else {
            from += 1;
            byte
        };
        *value.get_mut(to)? = decoded;
        to += 1;
    }
    value.get(..to)
}

/// Value of a hexadecimal digit of either case. By table: identifiers are read digit by digit several times for each beacon.
#[inline]
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    HEX_DIGITS.get(usize::from(byte)).copied().filter(|value| *value < 16)
}

/// Value of each byte as a hexadecimal digit; 16 for those that are none.
const HEX_DIGITS: [u8; 256] = {
    let mut table = [16; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::indexing_slicing, reason = "a constant, checked when it is compiled")]
        {
            table[byte] = match byte as u8 {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'f' => digit - b'a' + 10,
                digit @ b'A'..=b'F' => digit - b'A' + 10,
                _ => 16,
            };
        }
        byte += 1;
    }
    table
};
