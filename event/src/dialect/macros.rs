//! Macros that the medium should have replaced (DOMAIN §2.4): `__X__`, `{X}`, `{{X}}`, `[X]`, `${X}`, `%%X%%`, `$X`, `$X$` (OPPO), `<X>`, `#X#`, in any
//! case. Also with blanks around the name (`{{ X }}`), and percent-encoded once more than the URL: a templating system did that.

use smallvec::SmallVec;

use super::value;

/// Longest name of a macro, bytes. The longest seen has 20.
const NAME_BYTES_MAX: usize = 64;
/// Longest value that can be a macro with each of its bytes escaped.
const ESCAPED_BYTES_MAX: usize = 3 * (NAME_BYTES_MAX + 8);

/// Opening and closing of each style; a longer one comes before one that it begins with.
const STYLES: [(&[u8], &[u8]); 10] = [
    (b"__", b"__"),
    (b"{{", b"}}"),
    (b"{", b"}"),
    (b"[", b"]"),
    (b"${", b"}"),
    (b"%%", b"%%"),
    (b"$", b"$"),
    (b"$", b""),
    (b"<", b">"),
    (b"#", b"#"),
];

/// Whether a value is nothing but a macro that nobody replaced. Its name must begin with a letter or underscore and hold only
/// letters, digits, `_`, `-`, `.`, `:`, and blanks where a sign ends it; `[300]` or `$5` are values.
pub fn is_unreplaced_macro(value: &[u8]) -> bool {
    // Nearly every value begins with something else: look no further.
    if !matches!(value.first(), Some(b'_' | b'{' | b'[' | b'$' | b'%' | b'<' | b'#')) {
        return false;
    }
    is_macro(value) || is_escaped_macro(value)
}

fn is_macro(value: &[u8]) -> bool {
    STYLES.iter().any(|(open, close)| {
        let name = value.strip_prefix(*open).and_then(|rest| rest.strip_suffix(*close));
        name.is_some_and(|name| is_name(name, !close.is_empty()))
    })
}

/// The same under one more layer of percent escapes.
fn is_escaped_macro(value: &[u8]) -> bool {
    if value.len() > ESCAPED_BYTES_MAX || memchr::memchr(b'%', value).is_none() {
        return false;
    }
    let mut text: SmallVec<[u8; ESCAPED_BYTES_MAX]> = SmallVec::from_slice(value);
    let len = value::decode_whole(&mut text);
    text.get(..len).is_some_and(is_macro)
}

fn is_name(name: &[u8], may_hold_blanks: bool) -> bool {
    // A plus is a blank that nobody decoded.
    let is_blank = |byte: u8| may_hold_blanks && matches!(byte, b' ' | b'+' | b'\t');
    let Some(first) = name.iter().position(|byte| !is_blank(*byte)) else { return false };
    let name = name.get(first..).unwrap_or_default();
    let body = name.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':') || is_blank(*byte)
    });
    let begins = matches!(name.first(), Some(b'_' | b'a'..=b'z' | b'A'..=b'Z'));
    begins && body && name.len() <= NAME_BYTES_MAX && name.iter().any(u8::is_ascii_alphabetic)
}
