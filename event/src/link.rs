//! Signed, expiring links: only who holds a link key can make a tracking URL that counts for a placement with `signed_links = true`.
//!
//! ```text
//! message   = "sightline link" · version u8 (1) · campaign bytes u8 · campaign · placement bytes u8 · placement · expires u64
//! signature = first 16 bytes of HMAC-SHA-256(link key, message), as 32 hex digits
//! expires   = Unix seconds until which the link is good, itself included; 0 = it never ends
//! ```
//!
//! What is signed is the place that is paid for, not the rest: macros are filled in by the medium after the link was made, and one signature
//! serves every stage and dialect. So a signature says "this URL was handed out by us", never "this hit is true": who saw the URL can fire it
//! until it expires. Both numbers are checked at receipt: an end should leave room for the seven days that offline queues may take.
//!
//! The keys are their own: whoever makes links needs no device key, and a leaked link key identifies nobody. The first key signs, all of
//! them verify, so that links which were handed out before a rotation stay good.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::clock::UnixMs;
use crate::dialect::{hex_digit, limit};
use crate::key::{KEY_BYTES, hmac::Keyed, is_weak};
use crate::outcome::Outcome;

/// What a key's text begins with, so that people and secret scanners recognise one that got out.
pub const KEY_PREFIX: &str = "sightline_link_";
/// Hexadecimal digits of a signature.
pub const SIGNATURE_DIGITS: usize = 32;
/// Most keys at a time: the one that signs, and former ones whose links are still out.
pub const KEYS_MAX: usize = 8;

const DOMAIN: &[u8] = b"sightline link";
const VERSION: u8 = 1;

/// The secret keys of links. The first one signs, each of them verifies. Without any, no link is good.
///
/// It cannot be printed, copied or serialised, and is wiped when dropped:
///
/// ```compile_fail,E0277
/// fn print(keys: &event::link::LinkKeys) -> String { format!("{keys:?}") }
/// ```
/// ```compile_fail,E0277
/// fn copy(keys: &event::link::LinkKeys) -> event::link::LinkKeys { fn f<T: Clone>(t: &T) -> T { t.clone() } f(keys) }
/// ```
#[derive(Default)]
pub struct LinkKeys(Vec<Keyed>);

/// Why link keys were refused. Never says what stands in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkKeyError {
    /// A key's text is not a key.
    #[error("link key {number}: a link key is {KEY_PREFIX} and 64 hex digits")]
    Form {
        /// Which one, from 1.
        number: usize,
    },
    /// A key of one repeated byte.
    #[error("link key {number}: a key of one repeated byte is none")]
    Weak {
        /// Which one, from 1.
        number: usize,
    },
    /// More keys than are kept.
    #[error("at most {KEYS_MAX} link keys are held at a time: leave out those whose links have all expired")]
    TooMany,
}

/// A campaign or placement id that no catalog has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link cannot be signed: {0}")]
pub struct CannotSign(&'static str);

/// What a link says that is to be verified; the two parameters as the hit has them.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Campaign id.
    pub campaign: &'a [u8],
    /// Placement id.
    pub placement: &'a [u8],
    /// Its end as sent; absent for a link without end.
    pub expires: Option<&'a [u8]>,
    /// Its signature as sent.
    pub signature: Option<&'a [u8]>,
}

impl LinkKeys {
    /// Reads keys, each of the form `sightline_link_<64 hex digits>` with blanks around it; the first one signs.
    ///
    /// # Errors
    /// When one of them is not of that form, or there are more than [`KEYS_MAX`].
    pub fn from_texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, LinkKeyError> {
        let mut keys = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            let number = index + 1;
            if number > KEYS_MAX {
                return Err(LinkKeyError::TooMany);
            }
            let digits = text.as_ref().trim().strip_prefix(KEY_PREFIX).map(str::as_bytes);
            let key = digits.and_then(read_hex::<KEY_BYTES>).ok_or(LinkKeyError::Form { number })?;
            if is_weak(&key) {
                return Err(LinkKeyError::Weak { number });
            }
            keys.push(Keyed::new(&key));
        }
        Ok(Self(keys))
    }

    /// Whether there is no key: then nothing can be signed and no link is good.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The signature of a link to a placement, lower-case hex. `expires` in Unix seconds; `None` never ends.
    ///
    /// # Errors
    /// Without a key, with an id that no catalog can hold, or an end before 1970.
    pub fn sign(&self, campaign: &str, placement: &str, expires: Option<i64>) -> Result<String, CannotSign> {
        let key = self.0.first().ok_or(CannotSign("there is no link key"))?;
        let expires = match expires {
            None => 0,
            Some(seconds) => u64::try_from(seconds)
                .ok()
                .filter(|s| *s > 0)
                .ok_or(CannotSign("its end lies before 1970"))?,
        };
        let hash = hash(key, campaign.as_bytes(), placement.as_bytes(), expires)
            .ok_or(CannotSign("no catalog holds such an id"))?;
        let mut digits = String::with_capacity(SIGNATURE_DIGITS);
        for byte in hash {
            let _ = write!(digits, "{byte:02x}");
        }
        Ok(digits)
    }

    /// Whether a link was handed out by us and is still good at `now_ms`. What it takes does not depend on where a wrong signature
    /// differs, nor on which key fits.
    ///
    /// # Errors
    /// [`Outcome::BadSignature`] when the signature is absent or fits no key, or the end is no number; [`Outcome::LinkExpired`] when it
    /// is ours and has ended. No other.
    pub fn verify(&self, link: &Signed<'_>, now_ms: UnixMs) -> Result<(), Outcome> {
        let expires = match link.expires {
            None => 0,
            Some(text) => number(text).ok_or(Outcome::BadSignature)?,
        };
        let sent = link.signature.and_then(read_hex::<16>).ok_or(Outcome::BadSignature)?;
        let mut is_ours = false;
        for key in &self.0 {
            let expected = hash(key, link.campaign, link.placement, expires).ok_or(Outcome::BadSignature)?;
            is_ours |= is_equal(&expected, &sent);
        }
        if !is_ours {
            return Err(Outcome::BadSignature);
        }
        let is_over = expires != 0 && now_ms.div_euclid(1000) > i64::try_from(expires).unwrap_or(i64::MAX);
        if is_over { Err(Outcome::LinkExpired) } else { Ok(()) }
    }
}

/// The first 16 bytes of the HMAC; `None` when an id is longer than any catalog's. Lengths stand before the ids, so that no two pairs of
/// ids make one message.
fn hash(key: &Keyed, campaign: &[u8], placement: &[u8], expires: u64) -> Option<[u8; 16]> {
    const { assert!(limit::CATALOG_ID_BYTES_MAX <= u8::MAX as usize) };
    let length = |id: &[u8]| {
        u8::try_from(id.len()).ok().filter(|n| (1..=limit::CATALOG_ID_BYTES_MAX).contains(&usize::from(*n)))
    };
    let (campaign_bytes, placement_bytes) = (length(campaign)?, length(placement)?);
    Some(key.hash(&[
        DOMAIN,
        &[VERSION],
        &[campaign_bytes],
        campaign,
        &[placement_bytes],
        placement,
        &expires.to_le_bytes(),
    ]))
}

/// Compares without stopping at the first difference.
fn is_equal(one: &[u8; 16], other: &[u8; 16]) -> bool {
    // A number of its own type, so that the compiler sees no bytes to leave the loop at.
    let difference = u128::from_le_bytes(*one) ^ u128::from_le_bytes(*other);
    std::hint::black_box(difference) == 0
}

/// A decimal number of seconds; no sign, no blanks, no leading zero: one number has one text.
fn number(text: &[u8]) -> Option<u64> {
    let is_plain = text.iter().all(u8::is_ascii_digit) && !text.starts_with(b"0");
    std::str::from_utf8(text).ok().filter(|_| is_plain)?.parse().ok()
}

fn read_hex<const N: usize>(digits: &[u8]) -> Option<Zeroizing<[u8; N]>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = Zeroizing::new([0; N]);
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use hmac::{KeyInit, Mac};
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMs = 1_795_219_200_123;
    const END: i64 = 1_795_219_200;

    fn key(seed: u8) -> String {
        (0..32_u8).fold(KEY_PREFIX.to_owned(), |text, n| format!("{text}{:02x}", n.wrapping_mul(7) ^ seed))
    }

    fn keys(seeds: &[u8]) -> LinkKeys {
        LinkKeys::from_texts(seeds.iter().map(|seed| key(*seed))).expect("keys")
    }

    fn verify(
        keys: &LinkKeys,
        place: (&str, &str),
        expires: Option<&str>,
        signature: &str,
    ) -> Result<(), Outcome> {
        keys.verify(
            &Signed {
                campaign: place.0.as_bytes(),
                placement: place.1.as_bytes(),
                expires: expires.map(str::as_bytes),
                signature: Some(signature.as_bytes()),
            },
            NOW,
        )
    }

    #[test]
    fn what_is_signed_is_good_for_that_placement_alone() {
        let keys = keys(&[1]);
        let signature = keys.sign("demo", "p1", None).expect("signs");
        assert_eq!(signature.len(), SIGNATURE_DIGITS);
        assert_eq!(verify(&keys, ("demo", "p1"), None, &signature), Ok(()));
        assert_eq!(verify(&keys, ("demo", "p1"), None, &signature.to_uppercase()), Ok(()));
        for place in [("demo", "p2"), ("demp", "p1"), ("demop", "1"), ("dem", "op1"), ("", "demop1")] {
            assert_eq!(verify(&keys, place, None, &signature), Err(Outcome::BadSignature), "{place:?}");
        }
        assert_eq!(
            verify(&keys, ("demo", "p1"), Some("1795219200"), &signature),
            Err(Outcome::BadSignature),
            "an end cannot be added"
        );
    }

    #[test]
    fn a_link_ends_when_it_says() {
        let keys = keys(&[1]);
        for (end, expected) in
            [(END - 1, Err(Outcome::LinkExpired)), (END, Ok(())), (END + 1, Ok(())), (i64::MAX, Ok(()))]
        {
            let signature = keys.sign("demo", "p1", Some(end)).expect("signs");
            assert_eq!(verify(&keys, ("demo", "p1"), Some(&end.to_string()), &signature), expected, "{end}");
            assert_eq!(
                verify(&keys, ("demo", "p1"), Some(&(end - 1).to_string()), &signature),
                Err(Outcome::BadSignature),
                "the end cannot be moved"
            );
            assert_eq!(
                verify(&keys, ("demo", "p1"), None, &signature),
                Err(Outcome::BadSignature),
                "nor left out"
            );
        }
        for end in ["", "0", "00", "01795219300", "-1", "+5", " 5", "5.0", "soon", "99999999999999999999"] {
            let signature = keys.sign("demo", "p1", None).expect("signs");
            assert_eq!(
                verify(&keys, ("demo", "p1"), Some(end), &signature),
                Err(Outcome::BadSignature),
                "{end}"
            );
        }
        assert!(keys.sign("demo", "p1", Some(0)).is_err() && keys.sign("demo", "p1", Some(-5)).is_err());
    }

    #[test]
    fn links_of_a_former_key_stay_good_until_it_goes() {
        let (old, both, new) = (keys(&[1]), keys(&[2, 1]), keys(&[2]));
        let before = old.sign("demo", "p1", None).expect("signs");
        let after = both.sign("demo", "p1", None).expect("signs");
        assert_ne!(before, after);
        assert_eq!(after, new.sign("demo", "p1", None).expect("signs"), "the first key signs");
        assert_eq!(verify(&both, ("demo", "p1"), None, &before), Ok(()));
        assert_eq!(verify(&both, ("demo", "p1"), None, &after), Ok(()));
        assert_eq!(verify(&new, ("demo", "p1"), None, &before), Err(Outcome::BadSignature));
    }

    #[test]
    fn without_a_key_or_a_signature_nothing_is_good() {
        let none = LinkKeys::default();
        assert!(none.is_empty() && none.sign("demo", "p1", None).is_err());
        assert_eq!(verify(&none, ("demo", "p1"), None, &"0".repeat(32)), Err(Outcome::BadSignature));
        let keys = keys(&[1]);
        let link = Signed { campaign: b"demo", placement: b"p1", expires: None, signature: None };
        assert_eq!(keys.verify(&link, NOW), Err(Outcome::BadSignature));
        for signature in ["", "0", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32), &"0".repeat(64)] {
            assert_eq!(verify(&keys, ("demo", "p1"), None, signature), Err(Outcome::BadSignature));
        }
        assert!(keys.sign("", "p1", None).is_err() && keys.sign("demo", &"p".repeat(65), None).is_err());
    }

    #[test]
    fn the_message_is_the_documented_one() {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(
            &read_hex::<32>(&key(1).as_bytes()[KEY_PREFIX.len()..]).expect("hex")[..],
        )
        .expect("any length");
        mac.update(b"sightline link\x01\x04demo\x02p1\x40\x17\x01\x6b\0\0\0\0");
        let hash = mac.finalize().into_bytes();
        let expected: [u8; 16] = hash[..16].try_into().expect("16 bytes");
        let end = i64::from_le_bytes(*b"\x40\x17\x01\x6b\0\0\0\0");
        let signed = keys(&[1]).sign("demo", "p1", Some(end)).expect("signs");
        assert_eq!(*read_hex::<16>(signed.as_bytes()).expect("hex"), expected);
    }

    #[test]
    fn a_signature_keeps_its_value_for_good() {
        // Links are handed out for months: a changed value here makes all of them worthless.
        let golden = "751a43e41bed1d39ca5b2c16b5daccb6";
        assert_eq!(keys(&[1]).sign("demo", "p1", Some(END)).expect("signs"), golden);
    }

    #[test]
    fn keys_are_read_strictly() {
        let good = key(1);
        assert!(LinkKeys::from_texts([format!("  {good}\n")]).is_ok());
        let digits = &good[KEY_PREFIX.len()..];
        for text in
            [digits, "sightline_link_", &good[..good.len() - 1], &format!("{good}0"), "sightline_debug_00"]
        {
            assert_eq!(
                LinkKeys::from_texts([good.as_str(), text]).err(),
                Some(LinkKeyError::Form { number: 2 }),
                "{}",
                text.len()
            );
        }
        let weak = format!("{KEY_PREFIX}{}", "00".repeat(32));
        assert_eq!(LinkKeys::from_texts([weak]).err(), Some(LinkKeyError::Weak { number: 1 }));
        assert_eq!(LinkKeys::from_texts((0..9).map(key)).err(), Some(LinkKeyError::TooMany));
    }

    proptest! {
        #[test]
        fn only_the_same_place_and_end_fit(
            one in ("[a-z]{1,4}", "[a-z]{1,4}", proptest::option::of(END..END + 4)),
            other in ("[a-z]{1,4}", "[a-z]{1,4}", proptest::option::of(END..END + 4)),
        ) {
            let keys = keys(&[3]);
            let signature = keys.sign(&one.0, &one.1, one.2).expect("signs");
            let end = other.2.map(|end| end.to_string());
            let fits = verify(&keys, (&other.0, &other.1), end.as_deref(), &signature).is_ok();
            prop_assert_eq!(fits, one == other);
        }

        #[test]
        fn nothing_that_is_sent_makes_it_panic(
            expires in proptest::option::of(any::<Vec<u8>>()),
            signature in proptest::option::of(any::<Vec<u8>>()),
            campaign in any::<Vec<u8>>(),
        ) {
            let link = Signed {
                campaign: &campaign,
                placement: b"p",
                expires: expires.as_deref(),
                signature: signature.as_deref(),
            };
            prop_assert_eq!(keys(&[3]).verify(&link, NOW), Err(Outcome::BadSignature));
        }
    }
}
