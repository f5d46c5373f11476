//! Bits of a string in which each character holds six (RFC 4648, table 2), first bit first; read in place.
//!
//! It must never read beyond the end, nor a character that is none of the 64.

/// A place in such a string. Copies are places of their own.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Whether every character of a text is one of the 64.
    pub(super) fn are_in(text: &[u8]) -> bool {
        text.iter().all(|character| six(*character).is_some())
    }

    /// Goes on by so many bits, to the end or beyond it.
    pub(super) fn skip(&mut self, bits: usize) {
        self.at = self.at.saturating_add(bits);
    }

    /// The next bit; `None` at the end.
    pub(super) fn bit(&mut self) -> Option<bool> {
        let six = six(*self.text.get(self.at / 6)?)?;
        let bit = six >> (5 - self.at % 6) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// The next `bits` bits, at most 32, as a number.
    pub(super) fn number(&mut self, bits: u32) -> Option<u32> {
        (0..bits).try_fold(0, |number: u32, _| Some(number << 1 | u32::from(self.bit()?)))
    }

    /// The next number in Fibonacci's code; `None` for one above 2 million too.
    pub(super) fn fibonacci(&mut self) -> Option<u32> {
        let (mut sum, mut last) = (0, false);
        let (mut weight, mut next) = (1_u32, 2_u32);
        for _ in 0..30 {
            let bit = self.bit()?;
            if bit && last {
                return Some(sum);
            }
            if bit {
                sum += weight;
            }
            (last, weight, next) = (bit, next, weight + next);
        }
        None
    }
}

/// The six bits of a character, in the alphabet for URLs or the older one.
fn six(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' | b'+' => 62,
        b'_' | b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_from_the_first_and_never_beyond_the_end() {
        // D = 3, B = 1, _ = 63.
        let mut bits = Bits::new(b"DB_");
        assert_eq!((bits.number(6), bits.number(6), bits.number(5)), (Some(3), Some(1), Some(31)));
        assert_eq!((bits.number(2), bits.bit()), (None, None));
        assert_eq!(Bits::new(b"=").bit(), None);
        let mut beyond = Bits::new(b"A");
        beyond.skip(usize::MAX);
        assert_eq!(beyond.bit(), None);
    }

    #[test]
    fn fibonaccis_code_is_that_of_the_specification() {
        // 1 to 7 as the GPP's own table has them, one after the other: 11 011 0011 1011 00011 10011 01011.
        let text: String = "11 011 0011 1011 00011 10011 01011".replace(' ', "");
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let packed: Vec<u8> = text
            .as_bytes()
            .chunks(6)
            .map(|six| {
                let six = String::from_utf8_lossy(six).into_owned() + "000000";
                alphabet[usize::from_str_radix(&six[..6], 2).unwrap()]
            })
            .collect();
        let mut bits = Bits::new(&packed);
        for number in 1..=7 {
            assert_eq!(bits.fibonacci(), Some(number));
        }
        assert_eq!(Bits::new(&b"A".repeat(100)).fibonacci(), None, "zeros without an end");
        assert_eq!(Bits::new(&b"V".repeat(100)).fibonacci(), None, "and ones that never meet");
    }
}
