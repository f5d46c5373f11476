//! The id cookie of browsers as a form: its name, and what a value is made of. The tracker gives it and reads it; whoever brings it to the opt-out
//! role shows that he is the browser of its hits.
//!
//! ```text
//! id = lower-case hex of: 10 random bytes · 6 bytes of a keyed tag over them
//! ```
//!
//! The tag is what makes it a proof. Media send cookie ids of their own, some of which look the same and are no secret of a browser: such a one
//! would otherwise open that browser's rows to whoever knows it. As the id of a device any value of the form is taken.

use std::fmt::Write as _;

use crate::dialect::hex_digit;
use crate::key::KeyRing;

/// Name of the cookie.
pub const NAME: &str = "sightline_id";

/// Digits of an id: 128 bits in lower-case hex.
pub const DIGITS: usize = 32;

/// Random bytes of an id.
pub const RANDOM_BYTES: usize = 10;

/// A new id of these random bytes.
pub fn mint(random: [u8; RANDOM_BYTES], keys: &KeyRing) -> String {
    let tag = keys.id_cookie_tag(&random);
    random.iter().chain(&tag).fold(String::with_capacity(DIGITS), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether an id was given by us. One that an earlier program gave is not known for ours.
pub fn is_ours(id: &[u8], keys: &KeyRing) -> bool {
    let (pairs, rest) = id.as_chunks::<2>();
    let mut bytes = [0; DIGITS / 2];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return false;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else { return false };
        *byte = high << 4 | low;
    }
    let (random, tag) = bytes.split_at(RANDOM_BYTES);
    // Without an early end: how long it takes does not say how much of the tag is right.
    keys.id_cookie_tag(random)
        .iter()
        .zip(tag)
        .fold(0, |differing, (ours, theirs)| differing | (ours ^ theirs))
        == 0
}

/// The id in a `Cookie` header, if it has the form of ours.
pub fn find(header: &[u8]) -> Option<&[u8]> {
    memchr::memmem::find(header, NAME.as_bytes())?;
    find_all(header).next()
}

/// Every such id: a browser brings two where one was given for a host and another for its domain.
pub fn find_all(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    header.split(|byte| *byte == b';').filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")?;
        let fits =
            value.len() == DIGITS && value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_minted_under_the_key_is_ours() {
        let mut next = 0;
        let keys = KeyRing::generate(|bytes| {
            for byte in bytes {
                next += 1;
                *byte = next;
            }
        });
        let id = mint([7; RANDOM_BYTES], &keys);
        assert_eq!(find(format!("{NAME}={id}").as_bytes()), Some(id.as_bytes()));
        assert!(is_ours(id.as_bytes(), &keys));
        let rotated =
            keys.rotated_at(1_795_348_800, |bytes| bytes.iter_mut().zip(1..).for_each(|(byte, n)| *byte = n));
        assert!(is_ours(id.as_bytes(), &rotated.expect("room")), "a rotation makes nobody a stranger");
        for at in 0..DIGITS {
            let mut other = id.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            assert!(!is_ours(&other, &keys), "digit {at}");
        }
        assert!(
            !is_ours(b"", &keys) && !is_ours(&[b'0'; DIGITS], &keys) && !is_ours(&id.as_bytes()[1..], &keys)
        );
        // Browsers keep it for months.
        assert_eq!(id, "0707070707070707070701723a01f184");
    }

    #[test]
    fn only_an_id_of_our_form_is_one() {
        let id = "0123456789abcdef0123456789abcdef";
        for (header, is_one) in [
            (format!("sightline_id={id}"), true),
            (format!("a=b; sightline_id={id}; c=d"), true),
            (format!("sightline_id={id}0"), false),
            (format!("not_sightline_id={id}"), false),
            (format!("sightline_id={}", id.to_uppercase()), false),
            ("sightline_id=".to_owned(), false),
            (format!("a=sightline_id={id}"), false),
        ] {
            assert_eq!(find(header.as_bytes()).is_some(), is_one, "{header}");
        }
    }
}
