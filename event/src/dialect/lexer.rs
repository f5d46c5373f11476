//! From the text of a target to its items, one after the other, each cut out of the text once. It owns what a grammar's separators mean, and
//! never looks into a value.
//!
//! The text ends with [`PAD_BYTES`] zeros, so that eight bytes can be looked at wherever an item begins: a name and its equalizer are
//! found in one word nearly always.

use super::names::WORD_BYTES;
use super::{Joint, Table, is_unreplaced_macro, value};

/// Zeros behind the text.
pub(super) const PAD_BYTES: usize = WORD_BYTES;

/// One item.
pub(super) struct Item<'a> {
    /// Its name as it stands; all of a glued item that begins with no known name.
    pub(super) name: &'a [u8],
    /// The number of its parameter in the table.
    pub(super) number: Option<usize>,
    /// Its value as it stands.
    pub(super) value: &'a mut [u8],
    /// The value holds no `%`.
    pub(super) is_clean: bool,
}

/// The items that are left.
pub(super) struct Lexer<'t, 'a> {
    table: &'t Table,
    rest: &'a mut [u8],
    joint: Joint,
}

impl<'t, 'a> Lexer<'t, 'a> {
    /// `text` ends with the padding.
    pub(super) fn new(table: &'t Table, text: &'a mut [u8], joint: Joint) -> Self {
        Self { table, rest: text, joint }
    }

    /// The first item as a whole, where it has no name.
    pub(super) fn take_first(&mut self) -> Item<'a> {
        let len = self.rest.len().saturating_sub(PAD_BYTES);
        let text = self.rest.get(..len).unwrap_or_default();
        let end = memchr::memchr(self.table.grammar.separator, text).unwrap_or(len);
        self.cut(0, None, 0, end)
    }

    /// The next item that is not empty.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Item<'a>> {
        loop {
            let len = self.rest.len().checked_sub(PAD_BYTES).filter(|len| *len > 0)?;
            if self.joint.is_landing && self.rest.len() == self.joint.bytes_after {
                return Some(self.landing(len));
            }
            let word = u64::from_le_bytes(*self.rest.first_chunk::<WORD_BYTES>()?);
            if word as u8 == self.table.grammar.separator {
                self.advance(1);
                continue;
            }
            if self.table.grammar.amp_entity && word as u32 == u32::from_le_bytes(*b"amp;") {
                self.advance(4);
                continue;
            }
            return Some(match self.table.grammar.equalizer {
                Some(equalizer) => self.named(word, len, equalizer),
                None => self.glued(len),
            });
        }
    }

    /// An item whose name ends at the equalizer.
    #[inline]
    fn named(&mut self, word: u64, len: usize, equalizer: u8) -> Item<'a> {
        let separator = self.table.grammar.separator;
        let found = first_of(word, separator, equalizer);
        let (name_len, first) = if found < WORD_BYTES.min(len) {
            (found, word & !(u64::MAX << (8 * found)))
        } else if found < WORD_BYTES || len <= WORD_BYTES {
            // The text ends within the word: what is behind it are zeros.
            (len, word)
        } else {
            let behind = self.rest.get(WORD_BYTES..len).unwrap_or_default();
            (memchr::memchr2(separator, equalizer, behind).map_or(len, |at| at + WORD_BYTES), word)
        };
        let name = self.rest.get(..name_len).unwrap_or_default();
        let number = self.table.names.find_word(first, name);
        let has_value = self.rest.get(name_len).is_some_and(|byte| *byte == equalizer) && name_len < len;
        if !has_value {
            return self.cut(name_len, number, name_len, name_len);
        }
        let value_at = name_len + 1;
        let parameter = number.and_then(|number| self.table.parameters.get(number));
        if parameter.is_some_and(|parameter| parameter.is_rest) {
            return self.cut_rest(name_len, number, value_at, len);
        }
        let text = self.rest.get(value_at..len).unwrap_or_default();
        if parameter.is_none() {
            let end = memchr::memchr(separator, text).map_or(len, |at| at + value_at);
            return self.cut(name_len, number, value_at, end);
        }
        // One look for the end and for an escape.
        match memchr::memchr2(separator, b'%', text) {
            None => self.cut_clean(name_len, number, value_at, len),
            Some(at) if text.get(at) == Some(&separator) => {
                self.cut_clean(name_len, number, value_at, at + value_at)
            }
            Some(at) => {
                let behind = text.get(at..).unwrap_or_default();
                let end = memchr::memchr(separator, behind).map_or(len, |more| more + at + value_at);
                self.cut(name_len, number, value_at, end)
            }
        }
    }

    /// An item whose name is glued to its value: the longest known name that it begins with.
    fn glued(&mut self, len: usize) -> Item<'a> {
        let text = self.rest.get(..len).unwrap_or_default();
        let end = memchr::memchr(self.table.grammar.separator, text).unwrap_or(len);
        let item = text.get(..end).unwrap_or_default();
        let longest = self.table.names.longest().min(end);
        let found = (1..=longest).rev().find_map(|name_len| {
            let number = self.table.names.find(item.get(..name_len)?)?;
            Some((name_len, number))
        });
        let Some((name_len, number)) = found else {
            return self.cut(end, None, end, end);
        };
        // Some write the equals sign that the grammar does without.
        let value_at = if item.get(name_len) == Some(&b'=') { name_len + 1 } else { name_len };
        if self.table.parameters.get(number).is_some_and(|parameter| parameter.is_rest) {
            let value = item.get(value_at..).unwrap_or_default();
            let is_url = value::begins_as_url(value) || value.is_empty() || is_unreplaced_macro(value);
            return if is_url {
                self.cut_rest(name_len, Some(number), value_at, len)
            } else {
                self.cut(end, None, end, end)
            };
        }
        self.cut(name_len, Some(number), value_at, end)
    }

    /// The query behind the joint, where it is the landing URL.
    fn landing(&mut self, len: usize) -> Item<'a> {
        self.joint.is_landing = false;
        self.cut(0, self.table.landing, 0, len)
    }

    /// Cuts an item that takes the rest of the text.
    fn cut_rest(&mut self, name_len: usize, number: Option<usize>, value_at: usize, len: usize) -> Item<'a> {
        // What joined path and query was part of the value.
        let after = self.joint.bytes_after;
        if let Some(at) = self.rest.len().checked_sub(after + 1).filter(|at| after > 0 && *at >= value_at)
            && let Some(byte) = self.rest.get_mut(at)
        {
            *byte = b'?';
        }
        self.cut(name_len, number, value_at, len)
    }

    #[inline]
    fn cut(&mut self, name_len: usize, number: Option<usize>, value_at: usize, end: usize) -> Item<'a> {
        let mut item = self.cut_clean(name_len, number, value_at, end);
        item.is_clean = item.value.is_empty();
        item
    }

    /// Cuts the text at the end of an item, which is a separator or the end of all.
    #[inline]
    fn cut_clean(&mut self, name_len: usize, number: Option<usize>, value_at: usize, end: usize) -> Item<'a> {
        let (item, tail) = std::mem::take(&mut self.rest).split_at_mut(end);
        self.rest = tail;
        let (name, value) = item.split_at_mut(name_len);
        Item { name, number, value: value.get_mut(value_at - name_len..).unwrap_or_default(), is_clean: true }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = std::mem::take(&mut self.rest).get_mut(bytes..).unwrap_or_default();
    }
}

/// Where the first of two bytes stands in a word, [`WORD_BYTES`] if neither does.
#[inline]
fn first_of(word: u64, one: u8, other: u8) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The lowest set bit is right; those above it may not be.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let hits = zeros(word ^ (ONES * u64::from(one))) | zeros(word ^ (ONES * u64::from(other)));
    (hits.trailing_zeros() / 8) as usize
}
