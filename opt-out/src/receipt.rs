//! What a person keeps in hand: a receipt's number, which is public, and its secret, which alone takes the opt-out back.
//!
//! Both are written in Crockford's base32 (no I, L, O or U), so that they can be read out over a telephone and typed from paper: upper
//! or lower case, with or without dashes, `O` read as `0`, `I` and `L` as `1`. A secret is never stored, printed or compared in the open: the
//! registry keeps its SHA-256.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Crockford's alphabet: 32 digits and letters that are not mistaken for one another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Bits of one character.
const CHARACTER_BITS: usize = 5;

/// Characters between two dashes.
const GROUP: usize = 4;

/// Number of a receipt: 80 random bits. Public: it may stand in a letter or a log, and opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceiptId(pub [u8; Self::BYTES]);

impl ReceiptId {
    /// Bytes of a number.
    pub const BYTES: usize = 10;

    /// Reads a number as a person writes it. `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }
}

impl std::fmt::Display for ReceiptId {
    /// Four groups of four: `7K3D-9QTA-0M1X-5ZBE`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

/// Secret of a receipt: 256 random bits. Cannot be printed; [`Secret::reveal`] is for the answer that hands it to the person.
pub struct Secret([u8; Self::BYTES]);

impl Secret {
    /// Bytes of a secret.
    pub const BYTES: usize = 32;

    /// A secret from random bytes.
    pub fn new(random: [u8; Self::BYTES]) -> Self {
        Self(random)
    }

    /// Reads a secret as a person writes it. `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        decode(text).map(Self)
    }

    pub(crate) fn copy(&self) -> Self {
        Self(self.0)
    }

    /// Its text, for the person it belongs to.
    pub fn reveal(&self) -> String {
        encode(&self.0)
    }

    /// What the registry keeps of it. 256 random bits need no salt and no slow hash: they cannot be guessed.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(self.0).into())
    }
}

/// SHA-256 of a receipt's secret.
#[derive(Clone, Copy, Debug)]
pub struct SecretDigest(pub [u8; 32]);

impl SecretDigest {
    /// Whether this is the digest of `secret`, in a time that does not depend on where they differ.
    pub fn matches(&self, secret: &Secret) -> bool {
        self.0.ct_eq(&secret.digest().0).into()
    }
}

/// Groups of four characters. The last character's unused bits are zero.
fn encode(bytes: &[u8]) -> String {
    let characters = (bytes.len() * 8).div_ceil(CHARACTER_BITS);
    let mut text = String::with_capacity(characters + characters / GROUP);
    for index in 0..characters {
        if index > 0 && index % GROUP == 0 {
            text.push('-');
        }
        let value = (0..CHARACTER_BITS)
            .fold(0_u8, |value, bit| value << 1 | bit_at(bytes, index * CHARACTER_BITS + bit));
        text.push(ALPHABET.get(usize::from(value)).map_or('0', |character| char::from(*character)));
    }
    text
}

/// Bit `index` of the bytes, most significant first; 0 past their end.
fn bit_at(bytes: &[u8], index: usize) -> u8 {
    bytes.get(index / 8).map_or(0, |byte| byte >> (7 - index % 8) & 1)
}

/// The opposite of [`encode`], forgiving as the module's head says. `None` for another length or a foreign character.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut bit = 0;
    for character in text.bytes().filter(|byte| !matches!(byte, b'-' | b' ' | b'\t' | b'\r' | b'\n')) {
        let value = value_of(character)?;
        for shift in (0..CHARACTER_BITS).rev() {
            let set = value >> shift & 1;
            match bytes.get_mut(bit / 8) {
                Some(byte) => *byte |= set << (7 - bit % 8),
                None if set == 0 => {}
                None => return None,
            }
            bit += 1;
        }
    }
    (bit == (N * 8).div_ceil(CHARACTER_BITS) * CHARACTER_BITS).then_some(bytes)
}

fn value_of(character: u8) -> Option<u8> {
    let character = match character.to_ascii_uppercase() {
        b'O' => b'0',
        b'I' | b'L' => b'1',
        other => other,
    };
    ALPHABET.iter().position(|known| *known == character).map(|position| position as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Random;

    #[test]
    fn what_is_printed_can_be_read_back() {
        let mut random = Random::announced();
        for _ in 0..1_000 {
            let bytes = [random.hash(), random.hash()].concat();
            let id = ReceiptId(bytes[..10].try_into().unwrap());
            let secret = Secret::new(bytes.try_into().unwrap());
            assert_eq!(ReceiptId::parse(&id.to_string()), Some(id));
            assert!(secret.digest().matches(&Secret::parse(&secret.reveal()).unwrap()));
        }
    }

    #[test]
    fn a_person_may_write_it_in_many_ways() {
        let id = ReceiptId([0x08, 0x42, 0x10, 0x84, 0x21, 0x00, 0x00, 0x00, 0x00, 0x00]);
        assert_eq!(id.to_string(), "1111-1111-0000-0000");
        for text in ["1111111100000000", " iIlL-1111 oOoO-0000\n", "1111-1111-0000-0000"] {
            assert_eq!(ReceiptId::parse(text), Some(id), "{text}");
        }
        for text in
            ["", "1111-1111-0000-000", "1111-1111-0000-00000", "1111-1111-0000-000U", "1111-1111-0000-000é"]
        {
            assert_eq!(ReceiptId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_that_differs_in_one_bit_does_not_match() {
        let digest = Secret::new([7; 32]).digest();
        assert!(digest.matches(&Secret::new([7; 32])));
        for bit in 0..256 {
            let mut other = [7; 32];
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!digest.matches(&Secret::new(other)), "bit {bit}");
        }
    }

    #[test]
    fn unused_bits_at_the_end_must_be_zero() {
        // 32 bytes are 51 characters and one bit: the 52nd character has four bits that mean nothing.
        let text = Secret::new([0xff; 32]).reveal().replace('-', "");
        assert_eq!(text.len(), 52);
        assert!(text.ends_with('G'));
        assert!(Secret::parse(&format!("{}H", &text[..51])).is_none());
    }
}
