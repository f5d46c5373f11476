//! Catalogs with one mistake in them, and what is said of each.

use catalog::Catalog;

/// What stands in the text, what stands there instead, and what the refusal says.
pub(crate) type Mistake = (&'static str, &'static str, &'static str);

/// The message for a text with the first `from` replaced by `to`.
pub(crate) fn refused(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    match Catalog::parse(&text.replacen(from, to, 1), "catalog.toml") {
        Ok(_) => "accepted".into(),
        Err(error) => error.to_string(),
    }
}

/// Each is refused in one line that names the place and what would be right.
pub(crate) fn are_told(text: &str, mistakes: &[Mistake]) {
    for (from, to, says) in mistakes {
        let message = refused(text, from, to);
        assert!(
            message.starts_with("catalog.toml:") && message.contains(says),
            "{message:?}\nshould say {says:?}"
        );
        assert!(!message.contains('\n'), "{message:?}");
    }
}
