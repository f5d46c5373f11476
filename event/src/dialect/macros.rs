//! Macros that the medium should have replaced (DOMAIN §2.4): `__X__`, `{X}`, `{{X}}`, `[X]`, `${X}`, `%%X%%`, `$X`, `$X$` (OPPO), in any case.

/// Longest name of a macro, bytes. The longest seen has 20.
const NAME_BYTES_MAX: usize = 64;

/// Opening and closing of each style; a longer one comes before one that it begins with.
const STYLES: [(&[u8], &[u8]); 8] = [
    (b"__", b"__"),
    (b"{{", b"}}"),
    (b"{", b"}"),
    (b"[", b"]"),
    (b"${", b"}"),
    (b"%%", b"%%"),
    (b"$", b"$"),
    (b"$", b""),
];

/// Whether a value is nothing but a macro that nobody replaced. Its name must begin with a letter or underscore and hold only
/// letters, digits, `_`, `-`, `.` and `:`; `[300]` or `$5` are values.
pub fn is_unreplaced_macro(value: &[u8]) -> bool {
    // Nearly every value begins with something else: look no further.
    if !matches!(value.first(), Some(b'_' | b'{' | b'[' | b'$' | b'%')) {
        return false;
    }
    STYLES.iter().any(|(open, close)| {
        value.strip_prefix(*open).and_then(|rest| rest.strip_suffix(*close)).is_some_and(is_name)
    })
}

fn is_name(name: &[u8]) -> bool {
    let body = name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'));
    let begins = matches!(name.first(), Some(b'_' | b'a'..=b'z' | b'A'..=b'Z'));
    begins && body && name.len() <= NAME_BYTES_MAX && name.iter().any(u8::is_ascii_alphabetic)
}
