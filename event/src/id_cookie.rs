//! The id cookie of browsers as a form: its name and what a value looks like. The tracker gives it and reads it; whoever brings it to the opt-out
//! role shows that he is the browser of its hits.

/// Name of the cookie.
pub const NAME: &str = "sightline_id";

/// Digits of an id: 128 bits in lower-case hex.
pub const DIGITS: usize = 32;

/// The id in a `Cookie` header, if it has the form of ours.
pub fn find(header: &[u8]) -> Option<&[u8]> {
    memchr::memmem::find(header, NAME.as_bytes())?;
    header.split(|byte| *byte == b';').find_map(|pair| {
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
