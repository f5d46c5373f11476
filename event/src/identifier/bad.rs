//! Values that never count as a device, because many devices send them: zeros, words for *nothing*, placeholders, unreplaced macros,
//! cloned ids, and the digests of each of these (`bad_ids.tsv`).
//!
//! The table is made once, from the file and from rules: every digest (MD5, SHA-1, SHA-256, SHA-256 of the MD5) of every value in every
//! letter case and padding. Only the first 64 bits of a digest are kept; that a good id shares them has a probability of 10⁻¹⁵.

use std::sync::LazyLock;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use smallvec::SmallVec;

use super::{Canonical, Form, IdKind, Unusable, canonical};
use crate::dialect::is_unreplaced_macro;

/// The values, by hand. See its head for the form.
const FILE: &str = include_str!("bad_ids.tsv");

/// Lengths at which zeros and other repeated characters occur: half and whole identifiers, digests.
const REPEATED_LENGTHS: [usize; 14] = [8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 32, 40, 64];

/// The opening and closing of macros (DOMAIN §2.4), to hash a name in each.
const MACRO_STYLES: [(&str, &str); 8] =
    [("__", "__"), ("{", "}"), ("{{", "}}"), ("[", "]"), ("${", "}"), ("%%", "%%"), ("$", ""), ("{$", "}")];

/// Longest value of the file, bytes: a longer one need not be looked up.
const WORD_BYTES_MAX: usize = 24;

/// How many zeros make a padding: fewer belong to ids that begin or end with them.
const PADDING_MIN: usize = 8;
/// From this many zeros on, what they fill up (at most 8 characters of 32) is too short to be anybody's.
const PADDING_MAX: usize = 24;
/// Shortest value that is looked for without the zeros that it began with.
const UNPADDED_BYTES_MIN: usize = 4;
/// The length to which values are filled up.
const PADDED_BYTES: usize = 32;

static TABLE: LazyLock<Table> = LazyLock::new(Table::make);

#[derive(Default)]
struct Table {
    /// Nearly every identifier is looked for and not found: this says so with one bit.
    sieve: Sieve,
    /// First 64 bits of every digest of a bad value.
    digests: ahash::HashSet<u64>,
    /// Those of zeros.
    zeros: ahash::HashSet<u64>,
    /// The values of the file, lower case.
    words: ahash::HashSet<Box<[u8]>>,
}

/// One bit for each digest, at the place that its first bits name; of other digests one in thirty hits a bit that is set.
struct Sieve(Box<[u64]>);

impl Sieve {
    /// 128 KiB for some 38,000 digests.
    const WORDS_BITS: u32 = 14;

    fn add(&mut self, bits: u64) {
        if let Some(word) = self.0.get_mut(Self::place(bits)) {
            *word |= 1 << (bits & 63);
        }
    }

    fn word(&self, bits: u64) -> u64 {
        self.0.get(Self::place(bits)).copied().unwrap_or_default()
    }

    fn may_hold(&self, bits: u64) -> bool {
        self.word(bits) >> (bits & 63) & 1 == 1
    }

    fn place(bits: u64) -> usize {
        (bits >> (64 - Self::WORDS_BITS)) as usize
    }
}

impl Default for Sieve {
    fn default() -> Self {
        Self(vec![0; 1 << Self::WORDS_BITS].into_boxed_slice())
    }
}

/// Fetches what the values of a hit will be looked for in. Between two hits it leaves the processor's caches; fetched one by one, each look-up
/// would wait for memory, fetched at once they wait together.
pub(super) fn fetch<'a>(values: impl Iterator<Item = &'a [u8]>) {
    let sieve = &TABLE.sieve;
    let words = values.filter_map(first_bits).fold(0, |words, bits| words | sieve.word(bits));
    // Nobody asks for the result: the reading is the purpose.
    std::hint::black_box(words);
}

/// Makes the table now.
pub(super) fn prepare() {
    LazyLock::force(&TABLE);
}

/// What is known of a digest (lower-case hex of any form).
pub(super) fn of_digest(hex: &[u8]) -> Option<Unusable> {
    // No digest at all, but a field filled up to the length of one.
    if let [first, rest @ ..] = hex
        && rest.iter().all(|byte| byte == first)
    {
        return Some(if *first == b'0' { Unusable::Zero } else { Unusable::Bad });
    }
    let bits = first_bits(hex)?;
    let table = &*TABLE;
    if !table.sieve.may_hold(bits) || !table.digests.contains(&bits) {
        return None;
    }
    Some(if table.zeros.contains(&bits) { Unusable::Zero } else { Unusable::Bad })
}

/// What is known of a value that was taken as a raw one before it was brought to its canonical form, for the kinds in which that says more:
/// those without a shape of their own, where a word may have any letter case and a bad value's digest looks like an id, and those that
/// are filled up to their length.
pub(super) fn of_sent(kind: IdKind, value: &[u8]) -> Option<Unusable> {
    match kind {
        IdKind::Oaid | IdKind::Cookie | IdKind::Caid | IdKind::OpenUdid => {
            of_raw(value).or_else(|| of_padded(value)).or_else(|| {
                let digest = canonical::digest(kind, value)?;
                of_digest(digest.hex())
            })
        }
        IdKind::AndroidId if value.len() < 16 => of_raw(value),
        IdKind::Imei if value.len() > 15 => of_padded(value),
        _ => None,
    }
}

/// What is known of a value that was filled up with zeros, before or behind it, or that has lost those that it began with.
fn of_padded(value: &[u8]) -> Option<Unusable> {
    let is_zero = |byte: &u8| *byte == b'0';
    let before = value.iter().take_while(|byte| is_zero(byte)).count();
    let behind = value.iter().rev().take_while(|byte| is_zero(byte)).count();
    if before.max(behind) >= PADDING_MAX {
        return Some(Unusable::Bad);
    }
    let unpadded =
        |padding: usize, text: Option<&[u8]>| text.filter(|_| padding >= PADDING_MIN).and_then(of_raw);
    unpadded(before, value.get(before..))
        .or_else(|| unpadded(behind, value.len().checked_sub(behind).and_then(|end| value.get(..end))))
}

/// What is known of a raw value of any shape, whatever its case.
pub(super) fn of_raw(value: &[u8]) -> Option<Unusable> {
    let is_separator = |byte: &u8| matches!(byte, b'-' | b':' | b'_' | b'.' | b'0');
    if value.iter().all(is_separator) {
        return Some(if value.contains(&b'0') { Unusable::Zero } else { Unusable::Bad });
    }
    if is_unreplaced_macro(value) || is_repeated(value) {
        return Some(Unusable::Bad);
    }
    if value.len() > WORD_BYTES_MAX {
        return None;
    }
    let mut lower: SmallVec<[u8; WORD_BYTES_MAX]> = SmallVec::from_slice(value);
    lower.make_ascii_lowercase();
    TABLE.words.contains(lower.as_slice()).then_some(Unusable::Bad)
}

/// The values and names of macros in the file.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    FILE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut columns = line.split('\t');
        columns.next().filter(|kind| matches!(*kind, "value" | "macro")).and_then(|_| columns.next())
    })
}

/// Whether a value is one character over and over, and long enough to stand for an identifier.
fn is_repeated(value: &[u8]) -> bool {
    match value {
        [first, rest @ ..] => rest.len() >= 7 && rest.iter().all(|byte| byte == first),
        [] => false,
    }
}

/// The number that the first 16 digits are (hex of either case; of anything else some number).
fn first_bits(hex: &[u8]) -> Option<u64> {
    let (digits, _) = hex.first_chunk::<16>()?.as_chunks::<8>();
    Some(digits.iter().fold(0, |bits, eight| bits << 32 | u64::from(number_of(*eight))))
}

/// The number that eight digits of hex are, all of them at once.
fn number_of(digits: [u8; 8]) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let digits = u64::from_be_bytes(digits);
    // A letter has the bit above those of the digits set, and counts nine more than its low bits.
    let nibbles = (digits & (ONES * 0x0f)) + (digits >> 6 & ONES) * 9;
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    (pairs | pairs >> 16) as u32
}

impl Table {
    fn make() -> Self {
        let mut table = Self::default();
        for length in 1..=64 {
            table.add(&"0".repeat(length), Unusable::Zero);
        }
        let padding = "0".repeat(PADDED_BYTES - "00:00:00:00:00:00".len());
        for separator in ["-", ":"] {
            let address = ["00"; 6].join(separator);
            for text in [&address, &format!("{padding}{address}"), &format!("{address}{padding}")] {
                table.add(text, Unusable::Zero);
            }
        }
        table.add("00000000-0000-0000-0000-000000000000", Unusable::Zero);
        for digit in ('1'..='9').chain('a'..='f') {
            let group = |length| digit.to_string().repeat(length);
            for length in REPEATED_LENGTHS {
                table.add_cases(&group(length));
            }
            table.add_cases(&[8, 4, 4, 4, 12].map(group).join("-"));
            table.add_cases(&[2; 6].map(group).join(":"));
        }
        for line in FILE.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            match (columns.next(), columns.next()) {
                (Some("value"), Some(value)) => table.add_word(value),
                (Some("macro"), Some(name)) => {
                    table.add_word(name);
                    for (open, close) in MACRO_STYLES {
                        table.add_cases(&format!("{open}{name}{close}"));
                    }
                }
                (Some("md5"), Some(hex)) => {
                    if let Some(bits) = first_bits(hex.as_bytes()) {
                        table.digests.insert(bits);
                        table.sieve.add(bits);
                    }
                    table.add_digest::<Sha256>(hex.as_bytes(), Unusable::Bad);
                }
                _ => debug_assert!(line.is_empty(), "a line of bad_ids.tsv that says nothing"),
            }
        }
        table
    }

    fn add_word(&mut self, word: &str) {
        debug_assert!(word.len() <= WORD_BYTES_MAX, "a value of bad_ids.tsv that would never be found");
        let unpadded = word.trim_start_matches('0');
        for text in
            [word, unpadded].into_iter().filter(|text| text.len() >= UNPADDED_BYTES_MIN || *text == word)
        {
            self.words.insert(text.to_lowercase().into_bytes().into_boxed_slice());
            self.add_cases(text);
        }
    }

    /// A value as it is and filled up with zeros, in each case.
    fn add_cases(&mut self, value: &str) {
        let padding = "0".repeat(PADDED_BYTES.saturating_sub(value.chars().count()));
        self.add_each_case(value);
        if !padding.is_empty() {
            self.add_each_case(&format!("{padding}{value}"));
            self.add_each_case(&format!("{value}{padding}"));
        }
    }

    fn add_each_case(&mut self, value: &str) {
        let lower = value.to_lowercase();
        // Also `Null` and `[Imei]`: only the first letter large.
        let mut capital = lower.clone();
        if let Some(at) = lower.find(|letter: char| letter.is_ascii_alphabetic())
            && let Some(first) = capital.get_mut(at..=at)
        {
            first.make_ascii_uppercase();
        }
        let mut cases = [value, &lower, &value.to_uppercase(), &capital].map(str::to_owned);
        cases.sort_unstable();
        let mut before = None;
        for text in &cases {
            if before.replace(text) != Some(text) {
                self.add(text, Unusable::Bad);
            }
        }
    }

    fn add(&mut self, value: &str, unusable: Unusable) {
        self.add_digest::<Md5>(value.as_bytes(), unusable);
        self.add_digest::<Sha1>(value.as_bytes(), unusable);
        self.add_digest::<Sha256>(value.as_bytes(), unusable);
        let md5 = Canonical::new(IdKind::Cookie, Form::Md5, &Md5::digest(value));
        self.add_digest::<Sha256>(md5.hex(), unusable);
        // Hashed twice, by a medium that took the digest for an id.
        self.add_digest::<Md5>(md5.hex(), unusable);
    }

    fn add_digest<D: Digest>(&mut self, value: &[u8], unusable: Unusable) {
        if let Some(first) = D::digest(value).first_chunk::<8>() {
            let bits = u64::from_be_bytes(*first);
            self.digests.insert(bits);
            self.sieve.add(bits);
            if unusable == Unusable::Zero {
                self.zeros.insert(bits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_all_at_once() {
        for number in
            [0_u64, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX, 0x9a00_000f_0f0f_0a90]
        {
            for hex in [format!("{number:016x}ffff"), format!("{number:016X}0000")] {
                assert_eq!(first_bits(hex.as_bytes()), Some(number), "{hex}");
            }
        }
        assert_eq!(first_bits(b"0123456789abcde"), None, "too short");
    }

    #[test]
    fn the_sieve_lets_every_bad_digest_through_and_few_others() {
        let table = &*TABLE;
        assert!(table.digests.iter().all(|bits| table.sieve.may_hold(*bits)));
        let set: u32 = table.sieve.0.iter().map(|word| word.count_ones()).sum();
        let all = 64 << Sieve::WORDS_BITS;
        assert!(set * 16 < all, "{set} of {all} bits are set: make it larger");
    }
}
