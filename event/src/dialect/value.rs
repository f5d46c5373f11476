//! From a value as it stands in a URL to its bytes: percent escapes, base64, patterns. Everything happens where the value stands, because each
//! decoding is at most as long as what it decodes; nothing is allocated.

use super::hex_digit;

/// Undoes percent escapes where they stand. `None` when one is broken.
pub(super) fn decode(value: &mut [u8], plus_is_space: bool) -> Option<&[u8]> {
    decode_mut(value, plus_is_space).map(|value| &*value)
}

/// As [`decode`], for a value that is decoded further.
pub(super) fn decode_mut(value: &mut [u8], plus_is_space: bool) -> Option<&mut [u8]> {
    if plus_is_space {
        for byte in value.iter_mut().filter(|byte| **byte == b'+') {
            *byte = b' ';
        }
    }
    let Some(first) = memchr::memchr(b'%', value) else {
        return Some(value);
    };
    let (mut from, mut to) = (first, first);
    while let Some(&byte) = value.get(from) {
        let decoded = if byte == b'%' {
            let high = hex_digit(*value.get(from + 1)?)?;
            let low = hex_digit(*value.get(from + 2)?)?;
            from += 3;
            high << 4 | low
        } else {
            from += 1;
            byte
        };
        *value.get_mut(to)? = decoded;
        to += 1;
    }
    value.get_mut(..to)
}

/// Undoes one layer of percent escapes of a whole string and says how long it is then. What is no escape stays as it stands: each value is
/// looked at again on its own.
pub(super) fn decode_whole(text: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while let Some(&byte) = text.get(from) {
        let escape = (byte == b'%').then(|| {
            let high = hex_digit(*text.get(from + 1)?)?;
            Some(high << 4 | hex_digit(*text.get(from + 2)?)?)
        });
        let decoded = escape.flatten();
        from += if decoded.is_some() { 3 } else { 1 };
        if let Some(place) = text.get_mut(to) {
            *place = decoded.unwrap_or(byte);
        }
        to += 1;
    }
    to
}

/// Whether a byte stands in the text percent-encoded, with digits of either case.
pub(super) fn has_escaped(text: &[u8], byte: u8) -> bool {
    memchr::memchr_iter(b'%', text).any(|at| {
        let digit = |place: usize| text.get(place).copied().and_then(hex_digit);
        digit(at + 1).zip(digit(at + 2)).is_some_and(|(high, low)| high << 4 | low == byte)
    })
}

/// `&amp;` as the `&` that it stands for, where it stands.
pub(super) fn decode_amp(text: &mut [u8]) -> &[u8] {
    const AMP: &[u8] = b"&amp;";
    let Some(first) = memchr::memmem::find(text, AMP) else { return text };
    let (mut from, mut to) = (first, first);
    while let Some(&byte) = text.get(from) {
        let is_entity = text.get(from..).is_some_and(|rest| rest.starts_with(AMP));
        if let Some(place) = text.get_mut(to) {
            *place = byte;
        }
        from += if is_entity { AMP.len() } else { 1 };
        to += 1;
    }
    text.get(..to).unwrap_or_default()
}

/// A web address whose escapes were undone, with a second layer undone if its colon still stands escaped.
pub(super) fn decode_again(text: &mut [u8]) -> &[u8] {
    let begins = |head: &[u8]| text.get(..head.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(head));
    let len = if begins(b"http%3a") || begins(b"https%3a") { decode_whole(text) } else { text.len() };
    text.get(..len).unwrap_or_default()
}

/// Whether the text begins as an absolute web address.
pub(super) fn is_plain_url(text: &[u8]) -> bool {
    let begins =
        |scheme: &[u8]| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    begins(b"http://") || begins(b"https://")
}

/// Whether the text can be the beginning of an absolute web address, plain or percent-encoded.
pub(super) fn begins_as_url(text: &[u8]) -> bool {
    text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"http"))
}

/// Whether the value can be an MD5 in hexadecimal.
pub(super) fn is_md5(value: &[u8]) -> bool {
    value.len() == 32 && value.iter().all(u8::is_ascii_hexdigit)
}

/// Undoes base64 where it stands: the standard and the URL-safe alphabet, with or without padding, blanks around it left out. `None` when it is
/// neither, or when one digit is left over.
pub(super) fn decode_base64(value: &mut [u8]) -> Option<&[u8]> {
    let begin = value.len() - value.trim_ascii_start().len();
    let end = begin + value.get(begin..)?.trim_ascii().len();
    let value = value.get_mut(begin..end)?;
    // A plus behind the padding, or one digit too many, is a blank that nobody decoded.
    let is_blank = match &*value {
        [.., b'=', b'+'] => true,
        [.., b'+'] => value.len() % 4 == 1,
        _ => false,
    };
    let len = value.len() - usize::from(is_blank);
    let value = value.get_mut(..len)?;
    let padding = value.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = value.len() - padding;
    if padding > 2 || digits % 4 == 1 {
        return None;
    }
    let (mut bits, mut held, mut to) = (0_u32, 0_u32, 0);
    for from in 0..digits {
        bits = bits << 6 | u32::from(base64_digit(*value.get(from)?)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            *value.get_mut(to)? = (bits >> held) as u8;
            to += 1;
        }
    }
    value.get(..to)
}

/// The standard base64 of some bytes, with padding.
pub(super) fn encode_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            text.push(char::from(if place <= chunk.len() { digit } else { b'=' }));
        }
    }
    text
}

fn base64_digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        // A blank is a plus that a form decoder met.
        b'+' | b'-' | b' ' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_either_alphabet_with_and_without_padding() {
        for (text, bytes) in [
            ("QyYyJjgwMDAwNTQzJjEwMDA5NjIy", &b"C&2&80000543&10009622"[..]),
            ("YQ==", b"a"),
            ("YQ", b"a"),
            ("YWI=", b"ab"),
            ("_-8", &[0xff, 0xef]),
            ("/+8=", &[0xff, 0xef]),
            ("/ 8=", &[0xff, 0xef]),
            ("", b""),
        ] {
            assert_eq!(decode_base64(&mut text.as_bytes().to_vec()), Some(bytes), "{text}");
        }
        for text in ["Y", "YQ===", "Y=Q=", "YW*I", "YWJjZ", "====="] {
            assert_eq!(decode_base64(&mut text.as_bytes().to_vec()), None, "{text}");
        }
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for len in 0..20 {
            let bytes: Vec<u8> = (0..len).map(|byte: u8| byte.wrapping_mul(37).wrapping_add(200)).collect();
            let mut text = encode_base64(&bytes).into_bytes();
            assert_eq!(text.len(), bytes.len().div_ceil(3) * 4);
            assert_eq!(decode_base64(&mut text), Some(&*bytes));
        }
        assert_eq!(encode_base64(b"C&2&80000543"), "QyYyJjgwMDAwNTQz");
    }

    #[test]
    fn a_whole_string_is_decoded_once_and_broken_escapes_stay() {
        for (text, decoded) in [
            ("k%3D1%26o%3dhttp%253A%252F", "k=1&o=http%3A%2F"),
            ("a%", "a%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%%41", "%A"),
            ("", ""),
        ] {
            let mut bytes = text.as_bytes().to_vec();
            let len = decode_whole(&mut bytes);
            assert_eq!(&bytes[..len], decoded.as_bytes(), "{text}");
        }
    }
}
