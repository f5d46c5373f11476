//! What an SDK says of a device's integrity (`svl`, DOMAIN §2.1): four flags out of an object that also carries the phone's name, its boot time
//! and its disk size. It must never look at more than the four, and never hand out a byte of the value.
//!
//! The object comes as JSON (`{"l1":"0","l2":1}`) or with unquoted strings (`{l1:0,l2:1,e1:iPhone of X}`), which a JSON parser refuses.

use crate::hit::risk;

/// The bits of [`risk`] that a value sets. Of a name that stands twice, the first counts.
pub(super) fn flags(value: &[u8]) -> u8 {
    const NAMES: [(u8, u8); 4] =
        [(b'1', risk::ROOT), (b'2', risk::EMULATOR), (b'3', risk::HOOK), (b'4', risk::ADB)];
    let (mut seen, mut set) = (0, 0);
    for at in memchr::memchr_iter(b'l', value) {
        let begins =
            at.checked_sub(1).and_then(|before| value.get(before)).is_none_or(|byte| is_around(*byte));
        let digit = value.get(at + 1).copied();
        let Some((_, bit)) = NAMES.iter().find(|(name, _)| begins && Some(*name) == digit) else { continue };
        let Some(is_set) = value.get(at + 2..).and_then(flag) else { continue };
        if seen & bit == 0 {
            set |= if is_set { *bit } else { 0 };
        }
        seen |= bit;
    }
    set
}

/// The value behind a name: whether it is yes, or `None` if there is no value there.
fn flag(text: &[u8]) -> Option<bool> {
    let skip = |text: &mut &[u8]| {
        while let [first, rest @ ..] = text
            && matches!(first, b'"' | b'\'' | b' ' | b'\t')
        {
            *text = rest;
        }
    };
    let mut rest = text;
    skip(&mut rest);
    rest = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"="))?;
    skip(&mut rest);
    let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let word = rest.get(..end)?;
    Some(word == b"1" || word.eq_ignore_ascii_case(b"true") || word.eq_ignore_ascii_case(b"yes"))
}

/// What may stand before a name.
fn is_around(byte: u8) -> bool {
    matches!(byte, b'{' | b',' | b'"' | b'\'' | b' ' | b'\t' | b'[' | b';' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_flags_and_nothing_else() {
        for (value, bits) in [
            ("{l1:0,l2:1,e1:iPhone of X,e4:127989493760}", risk::EMULATOR),
            ("{\"l1\":\"1\",\"l2\":\"0\",\"l3\":\"1\",\"l4\":1}", risk::ROOT | risk::HOOK | risk::ADB),
            ("{ \"l4\" : 1 }", risk::ADB),
            ("{e1:l1's phone,l1:1}", risk::ROOT),
            ("{l1:0,e1:X,l1:1}", 0),
            ("{l1:true,l2:false}", risk::ROOT),
            ("{l1:10,l2:01,l3:,l4}", 0),
            ("{xl1:1,l11:1,l5:1,L1:1}", 0),
            ("l1:1", risk::ROOT),
            ("{'l3':'1'}", risk::HOOK),
            ("", 0),
            ("l", 0),
            ("{l1", 0),
            ("{l1:", 0),
            ("null", 0),
        ] {
            assert_eq!(flags(value.as_bytes()), bits, "{value}");
        }
    }
}
