//! Values that never count as a device, because many devices send them: zeros, words for *nothing*, placeholders, unreplaced macros,
//! cloned ids, and the digests of each of these (`bad_ids.tsv`).
//!
//! The table is made once, from the file and from rules: every digest (MD5, SHA-1, SHA-256, SHA-256 of the MD5) of every value in every
//! letter case and padding. Only the first 64 bits of a digest are kept; that a good id shares them has a probability of 10⁻¹⁵.

use std::sync::LazyLock;

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::{Canonical, Form, IdKind, Unusable};
use crate::dialect::{hex_digit, is_unreplaced_macro};

/// The values, by hand. See its head for the form.
const FILE: &str = include_str!("bad_ids.tsv");

/// Lengths at which zeros and other repeated characters occur: half and whole identifiers, digests.
const REPEATED_LENGTHS: [usize; 14] = [8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 32, 40, 64];

/// The opening and closing of macros (DOMAIN §2.4), to hash a name in each.
const MACRO_STYLES: [(&str, &str); 8] =
    [("__", "__"), ("{", "}"), ("{{", "}}"), ("[", "]"), ("${", "}"), ("%%", "%%"), ("$", ""), ("{$", "}")];

/// First 64 bits of every digest of a bad value.
static DIGESTS: LazyLock<ahash::HashMap<u64, Unusable>> = LazyLock::new(make);

/// Makes the table now.
pub(super) fn prepare() {
    LazyLock::force(&DIGESTS);
}

/// What is known of a digest (lower-case hex of any form).
pub(super) fn of_digest(hex: &[u8]) -> Option<Unusable> {
    // No digest at all, but a field filled up to the length of one.
    if let [first, rest @ ..] = hex
        && rest.iter().all(|byte| byte == first)
    {
        return Some(if *first == b'0' { Unusable::Zero } else { Unusable::Bad });
    }
    DIGESTS.get(&first_bits(hex)?).copied()
}

/// What is known of a value before it was brought to its canonical form, for the kinds in which that says more: those without a shape of
/// their own, where a word may have any letter case, and an Android id that is filled up to its length.
pub(super) fn of_sent(kind: IdKind, value: &[u8]) -> Option<Unusable> {
    match kind {
        IdKind::Oaid | IdKind::Cookie => of_raw(value),
        IdKind::AndroidId if value.len() < 16 => of_raw(value),
        _ => None,
    }
}

/// What is known of a raw value of any shape, whatever its case.
pub(super) fn of_raw(value: &[u8]) -> Option<Unusable> {
    let is_separator = |byte: &u8| matches!(byte, b'-' | b':' | b'_' | b'.' | b'0');
    if value.iter().all(is_separator) {
        return Some(if value.contains(&b'0') { Unusable::Zero } else { Unusable::Bad });
    }
    if is_unreplaced_macro(value) {
        return Some(Unusable::Bad);
    }
    // Longer ones are no words, and need not be copied.
    let mut lower = [0; 40];
    let lower = lower.get_mut(..value.len())?;
    lower.copy_from_slice(value);
    lower.make_ascii_lowercase();
    let digest = Md5::digest(&*lower);
    DIGESTS.get(&u64::from_be_bytes(*digest.first_chunk::<8>()?)).copied()
}

fn first_bits(hex: &[u8]) -> Option<u64> {
    let first = hex.first_chunk::<16>()?;
    first.iter().try_fold(0, |bits, byte| Some(bits << 4 | u64::from(hex_digit(*byte)?)))
}

fn make() -> ahash::HashMap<u64, Unusable> {
    let mut digests = ahash::HashMap::default();
    for length in 1..=64 {
        add(&mut digests, &"0".repeat(length), Unusable::Zero);
    }
    for separator in ["-", ":"] {
        add(&mut digests, &["00"; 6].join(separator), Unusable::Zero);
    }
    add(&mut digests, "00000000-0000-0000-0000-000000000000", Unusable::Zero);
    for digit in "123456789abcdef".chars() {
        for length in REPEATED_LENGTHS {
            add_cases(&mut digests, &digit.to_string().repeat(length));
        }
        let group = |length| digit.to_string().repeat(length);
        add_cases(&mut digests, &[group(8), group(4), group(4), group(4), group(12)].join("-"));
        add_cases(&mut digests, &vec![group(2); 6].join(":"));
    }
    for line in FILE.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        match (columns.next(), columns.next()) {
            (Some("value"), Some(value)) => add_cases(&mut digests, value),
            (Some("macro"), Some(name)) => {
                add_cases(&mut digests, name);
                for (open, close) in MACRO_STYLES {
                    add_cases(&mut digests, &format!("{open}{name}{close}"));
                }
            }
            (Some("md5"), Some(hex)) => {
                if let Some(bits) = first_bits(hex.as_bytes()) {
                    digests.entry(bits).or_insert(Unusable::Bad);
                }
                add_digest::<Sha256>(&mut digests, hex.as_bytes(), Unusable::Bad);
            }
            _ => debug_assert!(line.is_empty(), "a line of bad_ids.tsv that says nothing"),
        }
    }
    digests
}

fn add_cases(digests: &mut ahash::HashMap<u64, Unusable>, value: &str) {
    let lower = value.to_lowercase();
    // Also `Null` and `[Imei]`: only the first letter large.
    let mut capital = String::with_capacity(lower.len());
    for letter in lower.chars() {
        if letter.is_ascii_alphabetic() && !capital.contains(|c: char| c.is_ascii_alphabetic()) {
            capital.push(letter.to_ascii_uppercase());
        } else {
            capital.push(letter);
        }
    }
    for text in [value, &lower, &value.to_uppercase(), &capital] {
        add(digests, text, Unusable::Bad);
    }
}

fn add(digests: &mut ahash::HashMap<u64, Unusable>, value: &str, unusable: Unusable) {
    let md5 = Md5::digest(value);
    add_digest::<Md5>(digests, value.as_bytes(), unusable);
    add_digest::<Sha1>(digests, value.as_bytes(), unusable);
    add_digest::<Sha256>(digests, value.as_bytes(), unusable);
    let md5 = Canonical::new(IdKind::Cookie, Form::Md5, &md5);
    add_digest::<Sha256>(digests, md5.hex(), unusable);
    // Hashed twice, by a medium that took the digest for an id.
    add_digest::<Md5>(digests, md5.hex(), unusable);
}

fn add_digest<D: Digest>(digests: &mut ahash::HashMap<u64, Unusable>, value: &[u8], unusable: Unusable) {
    if let Some(first) = D::digest(value).first_chunk::<8>() {
        digests.entry(u64::from_be_bytes(*first)).or_insert(unusable);
    }
}
