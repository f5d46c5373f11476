//! From the name of a parameter to its number: a table of open slots, made once, so that the common case is one multiplication and one
//! comparison. A name counts by its first and last eight bytes until the comparison; the whole of a longer one is compared then.

/// How many bytes of a name are looked at at once.
pub(super) const WORD_BYTES: usize = 8;

/// Tried in turn; the one that needs the fewest steps is kept. Odd numbers without a pattern (from the digits of pi).
const MULTIPLIERS: [u64; 8] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6d,
    0xc0ac_29b7_c97c_50dd,
    0x3f84_d5b5_b547_0917,
];

/// The names of one table.
#[derive(Default)]
pub(super) struct Names {
    slots: Vec<Slot>,
    multiplier: u64,
    shift: u32,
    /// The names by number.
    by_number: Vec<Box<[u8]>>,
    /// Longest name, bytes.
    longest: usize,
}

/// A place of the table. Length 0 is an empty one.
#[derive(Clone, Copy, Default)]
struct Slot {
    first: u64,
    number: u16,
    len: u8,
}

impl Names {
    /// A table of these names; a name's number is its place. Each must have 1 to 255 bytes, and none stand twice.
    pub(super) fn new(names: Vec<Box<[u8]>>) -> Self {
        let size = (names.len() * 2 + 1).next_power_of_two().max(16);
        let shift = 64 - size.trailing_zeros();
        let built = MULTIPLIERS.map(|multiplier| Self::fill(&names, multiplier, shift, size));
        let best = built.into_iter().min_by_key(|(_, steps)| *steps).map(|(table, _)| table);
        let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
        Self { by_number: names, longest, ..best.unwrap_or_default() }
    }

    fn fill(names: &[Box<[u8]>], multiplier: u64, shift: u32, size: usize) -> (Self, usize) {
        let mut table = Self { slots: vec![Slot::default(); size], multiplier, shift, ..Self::default() };
        let mut steps = 0;
        for (number, name) in names.iter().enumerate() {
            let first = word_of(name);
            let mut at = table.place(first, tail_of(name));
            while table.slots.get(at).is_some_and(|slot| slot.len != 0) {
                at = (at + 1) % size;
                steps += 1;
            }
            if let Some(slot) = table.slots.get_mut(at) {
                *slot = Slot { first, number: number as u16, len: name.len() as u8 };
            }
        }
        (table, steps)
    }

    /// The number of a name.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        if name.is_empty() || name.len() > self.longest {
            return None;
        }
        self.find_word(word_of(name), name)
    }

    /// The number of a name whose first bytes stand in `first` (the rest of it zeros).
    #[inline]
    pub(super) fn find_word(&self, first: u64, name: &[u8]) -> Option<usize> {
        if name.is_empty() || name.len() > self.longest {
            return None;
        }
        let mut at = self.place(first, if name.len() <= WORD_BYTES { 0 } else { tail_of(name) });
        loop {
            let slot = self.slots.get(at)?;
            if slot.len == 0 {
                return None;
            }
            if slot.first == first
                && usize::from(slot.len) == name.len()
                && (name.len() <= WORD_BYTES || self.is(slot.number, name))
            {
                return Some(usize::from(slot.number));
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The name of a number.
    pub(super) fn name(&self, number: usize) -> &[u8] {
        self.by_number.get(number).map_or(&[], |name| name)
    }

    /// Longest name, bytes.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    fn is(&self, number: u16, name: &[u8]) -> bool {
        self.name(usize::from(number)) == name
    }

    #[inline]
    fn place(&self, first: u64, tail: u64) -> usize {
        ((first ^ tail.rotate_left(29)).wrapping_mul(self.multiplier) >> self.shift) as usize
    }
}

/// The first eight bytes, zeros behind a shorter name.
fn word_of(name: &[u8]) -> u64 {
    let mut word = [0; WORD_BYTES];
    for (to, from) in word.iter_mut().zip(name) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

/// The last eight bytes of a longer name, 0 of a shorter one.
fn tail_of(name: &[u8]) -> u64 {
    if name.len() <= WORD_BYTES {
        return 0;
    }
    name.last_chunk::<WORD_BYTES>().map_or(0, |tail| u64::from_le_bytes(*tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        let names: Vec<Box<[u8]>> = [
            "k",
            "p",
            "m11a",
            "m11",
            "tag_for_child_directed_treatment",
            "12345678",
            "123456789",
            "android_id",
            "android_ie",
            "androidXid",
        ]
        .map(|name| name.as_bytes().into())
        .to_vec();
        let table = Names::new(names.clone());
        for (number, name) in names.iter().enumerate() {
            assert_eq!(table.find(name), Some(number));
            assert_eq!(table.name(number), &**name);
        }
        for other in ["", "kk", "k\0", "m1", "m11b", "1234567", "123456780", "1234567890", "android_if", "\0"]
        {
            assert_eq!(table.find(other.as_bytes()), None, "{other}");
        }
        assert_eq!(Names::new(Vec::new()).find(b"k"), None);
    }

    #[test]
    fn a_full_table_has_an_empty_slot() {
        let names: Vec<Box<[u8]>> =
            (0..500).map(|n| format!("n{n}").into_bytes().into_boxed_slice()).collect();
        let table = Names::new(names);
        assert_eq!(table.find(b"n499"), Some(499));
        assert_eq!(table.find(b"n500"), None);
    }
}
