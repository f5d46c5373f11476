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
    /// The value is known to hold no `%`.
    pub(super) is_clean: bool,
}

/// Where an item stands at the beginning of the text that is left.
struct Span {
    name_len: usize,
    number: Option<usize>,
    value_at: usize,
    end: usize,
    is_clean: bool,
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
        self.cut(&Span { name_len: 0, number: None, value_at: 0, end, is_clean: false })
    }

    /// The next item that is not empty.
    #[expect(
        clippy::inline_always,
        reason = "handed over in memory, an item is read before its halves are written: a fifth of the reading"
    )]
    #[inline(always)]
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
            let span = match self.table.grammar.equalizer {
                Some(equalizer) => self.named(word, len, equalizer),
                None => self.glued(len),
            };
            // One place to cut: the compiler keeps the span in registers.
            return Some(self.cut(&span));
        }
    }

    /// An item whose name ends at the equalizer.
    #[inline]
    fn named(&mut self, word: u64, len: usize, equalizer: u8) -> Span {
        let separator = self.table.grammar.separator;
        let found = first_of(word, separator, equalizer);
        let (name_len, first) = if found < WORD_BYTES.min(len) {
            (found, word & !(u64::MAX << (8 * found)))
        } else if len <= WORD_BYTES {
            // The text ends within the word: what is behind it are zeros.
            (len, word)
        } else {
            let behind = self.rest.get(WORD_BYTES..len).unwrap_or_default();
            (memchr::memchr2(separator, equalizer, behind).map_or(len, |at| at + WORD_BYTES), word)
        };
        let number = self.table.names.find_word(first, self.rest.get(..name_len).unwrap_or_default());
        if name_len >= len || self.rest.get(name_len) != Some(&equalizer) {
            return Span { name_len, number, value_at: name_len, end: name_len, is_clean: true };
        }
        let value_at = name_len + 1;
        let Some(parameter) = number.and_then(|number| self.table.parameters.get(number)) else {
            let end = self.find(separator, separator, value_at, len);
            return Span { name_len, number, value_at, end, is_clean: false };
        };
        if parameter.is_rest {
            let end = self.find(separator, separator, value_at, len);
            let is_rest = !says_nothing(self.rest.get(value_at..end).unwrap_or_default());
            if is_rest {
                self.mend_joint(value_at);
            }
            return Span {
                name_len,
                number,
                value_at,
                end: if is_rest { len } else { end },
                is_clean: false,
            };
        }
        // One look for the end and for an escape.
        let at = self.find(separator, b'%', value_at, len);
        let is_clean = self.rest.get(at) != Some(&b'%');
        let end = if is_clean { at } else { self.find(separator, separator, at, len) };
        Span { name_len, number, value_at, end, is_clean }
    }

    /// Where the first of two bytes stands in the text from `from` to `len`; `len` if neither does.
    #[inline]
    fn find(&self, one: u8, other: u8, from: usize, len: usize) -> usize {
        // Most values are shorter than a word or two; beyond that a wide search pays.
        let text = self.rest.get(from..).unwrap_or_default();
        if let Some(head) = text.first_chunk::<WORD_BYTES>() {
            let at = first_of(u64::from_le_bytes(*head), one, other);
            if at < WORD_BYTES {
                return (from + at).min(len);
            }
        }
        let behind = self.rest.get(from + WORD_BYTES..len).unwrap_or_default();
        memchr::memchr2(one, other, behind).map_or(len, |at| from + WORD_BYTES + at)
    }

    /// An item whose name is glued to its value: the longest known name that it begins with and whose value it can hold. An item of others, as
    /// `idfa…` beside the creative `i…`, must not be taken for one of ours: its value would be kept.
    fn glued(&mut self, len: usize) -> Span {
        let text = self.rest.get(..len).unwrap_or_default();
        let end = memchr::memchr(self.table.grammar.separator, text).unwrap_or(len);
        let item = text.get(..end).unwrap_or_default();
        let longest = self.table.names.longest().min(end);
        let found = (1..=longest).rev().find_map(|name_len| {
            let (name, value) = item.split_at_checked(name_len)?;
            let number = self.table.names.find(name)?;
            let parameter = self.table.parameters.get(number);
            let fits = parameter.is_none_or(|parameter| parameter.shape.fits(value));
            fits.then_some((name_len, number))
        });
        let nameless = Span { name_len: end, number: None, value_at: end, end, is_clean: true };
        let Some((name_len, number)) = found else { return nameless };
        // Some write the equals sign that the grammar does without.
        let value_at = if item.get(name_len) == Some(&b'=') { name_len + 1 } else { name_len };
        let number = Some(number);
        if number
            .and_then(|number| self.table.parameters.get(number))
            .is_some_and(|parameter| parameter.is_rest)
        {
            let value = item.get(value_at..).unwrap_or_default();
            if value::begins_as_url(value) {
                self.mend_joint(value_at);
                return Span { name_len, number, value_at, end: len, is_clean: false };
            }
            if !says_nothing(value) {
                return nameless;
            }
        }
        Span { name_len, number, value_at, end, is_clean: false }
    }

    /// The query behind the joint, where it is the landing URL.
    fn landing(&mut self, len: usize) -> Item<'a> {
        self.joint.is_landing = false;
        self.cut(&Span { name_len: 0, number: self.table.landing, value_at: 0, end: len, is_clean: false })
    }

    /// What joined path and query was a part of the value, where the value takes the rest of the text.
    fn mend_joint(&mut self, value_at: usize) {
        let after = self.joint.bytes_after;
        if let Some(at) = self.rest.len().checked_sub(after + 1).filter(|at| after > 0 && *at >= value_at)
            && let Some(byte) = self.rest.get_mut(at)
        {
            *byte = b'?';
        }
    }

    /// Cuts the text at the end of an item, which is a separator or the end of all.
    #[inline]
    fn cut(&mut self, span: &Span) -> Item<'a> {
        let (item, tail) = std::mem::take(&mut self.rest).split_at_mut(span.end);
        self.rest = tail;
        let (name, value) = item.split_at_mut(span.name_len);
        let value = value.get_mut(span.value_at - span.name_len..).unwrap_or_default();
        Item { name, number: span.number, value, is_clean: span.is_clean }
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = std::mem::take(&mut self.rest).get_mut(bytes..).unwrap_or_default();
    }
}

/// Whether the value of a parameter that takes the rest of the text is empty or a macro: then others may follow it, from somebody who appends
/// to what he does not know.
pub(super) fn says_nothing(value: &[u8]) -> bool {
    value.is_empty() || is_unreplaced_macro(value)
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
