//! What is said about a wrong configuration: file, line, what is wrong, the nearest known key and what is allowed.
//! It must never print a secret: a configuration holds none (secrets come from files and the environment), so it may quote its lines.

use std::fmt;
use std::path::{Path, PathBuf};

/// How far a name may be from a known one to be offered as what was meant: Jaro-Winkler, 0–1. 0.7 takes in a doubled or
/// missing letter and a plural, and leaves out words that only share a beginning.
const SIMILARITY_MIN: f64 = 0.7;

/// A configuration that cannot be used. Exit code 2.
#[derive(Debug)]
pub(crate) struct ConfigError {
    /// The file; `None` where the error lies in arguments or the environment.
    pub(crate) file: Option<PathBuf>,
    /// Line, counted from 1.
    pub(crate) line: Option<usize>,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

impl ConfigError {
    /// An error in a file, at no line in particular.
    pub(crate) fn in_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: Some(file.to_path_buf()), line: None, message: message.into() }
    }

    /// An error in arguments or the environment.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { file: None, line: None, message: message.into() }
    }

    /// What the TOML reader or serde said, in our words.
    pub(super) fn from_toml(file: Option<&Path>, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map(|span| line_of(text, span.start));
        let quoted = line.and_then(|n| text.lines().nth(n - 1)).map(str::trim).filter(|l| !l.is_empty());
        let mut message = reword(error.message(), error.span().and_then(|span| section_of(text, span.start)));
        if let Some(quoted) = quoted {
            message.push_str("\n  the line: ");
            message.push_str(quoted);
        }
        Self { file: file.map(Path::to_path_buf), line, message }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: {}", file.display(), self.message),
            (Some(file), None) => write!(f, "{}: {}", file.display(), self.message),
            (None, _) => write!(f, "{}", self.message),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The known name nearest to `wrong`, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Line on which a key stands, given its dotted name, in which the tables of a list are counted from 0; `None` where the text leaves it to the
/// default. A key that is missing from a table of a list has the line of that table.
pub(super) fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let mut table = table.get_ref();
    let mut listed = None;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref().as_ref() == part) else {
            return listed;
        };
        if parts.peek().is_none() {
            return Some(line_of(text, name.span().start));
        }
        table = match (value.get_ref().as_array(), parts.peek().map(|next| next.parse::<usize>())) {
            (Some(list), Some(Ok(place))) => {
                parts.next();
                let element = list.get(place)?;
                listed = Some(line_of(text, element.span().start));
                element.get_ref().as_table()?
            }
            _ => value.get_ref().as_table()?,
        };
    }
    listed
}

/// Line of a byte offset, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// The `[section]` that a byte offset lies in.
fn section_of(text: &str, offset: usize) -> Option<String> {
    let end = text.get(offset..)?.find('\n').map_or(text.len(), |n| offset + n);
    text.get(..end)?
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| line.starts_with('['))
        .map(|line| line.split('#').next().unwrap_or(line).trim().to_owned())
}

/// Turns serde's "unknown field `x`, expected one of `a`, `b`" into a sentence that says what was probably meant.
fn reword(message: &str, section: Option<String>) -> String {
    let place = section.map_or_else(String::new, |s| format!(" in {s}"));
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        let Some(rest) = message.strip_prefix(start) else { continue };
        let Some((wrong, expected)) = rest.split_once('`') else { continue };
        // Every second piece between back-quotes is a name: "expected one of `a`, `b`".
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let meant = nearest(wrong, known.iter().copied())
            .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        let allowed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return format!("unknown {what} `{wrong}`{place}{meant}\n  allowed here: {allowed}");
    }
    // What an address has to look like is said in no reader's own words.
    let example = if message.contains("invalid socket address") {
        "; an address and a port, such as \"127.0.0.1:8080\""
    } else {
        ""
    };
    format!("{}{place}{example}", message.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("listn", ["listen", "threads"]), Some("listen"));
        assert_eq!(nearest("Device-ID", ["device_id", "ip"]), Some("device_id"));
        assert_eq!(nearest("colour", ["listen", "threads"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn lines_and_sections_are_counted_from_the_top() {
        let text = "a = 1\n[journal] # here\nb = 2\n";
        assert_eq!(line_of(text, 0), 1);
        assert_eq!(line_of(text, text.find('b').expect("is there")), 3);
        assert_eq!(section_of(text, text.find("b = ").expect("is there")).as_deref(), Some("[journal]"));
        assert_eq!(section_of(text, 0), None);
        assert_eq!(line_of_key(text, "journal.b"), Some(3));
        assert_eq!(line_of_key("a.b = 1\nc = { d = 2 }\n", "c.d"), Some(2));
        assert_eq!(line_of_key(text, "journal.a"), None);
        assert_eq!(line_of_key(text, "a.b"), None);
        let list = "[[a.b]]\nc = 1\n\n[[a.b]]\nd = 2\n[[a.b]]\nc = 3\n";
        assert_eq!(line_of_key(list, "a.b.0.c"), Some(2));
        assert_eq!(line_of_key(list, "a.b.2.c"), Some(7));
        assert_eq!(line_of_key(list, "a.b.1.c"), Some(4), "it is missing: its table");
        assert_eq!(line_of_key(list, "a.b.1"), Some(4));
        assert_eq!(line_of_key(list, "a.b.3.c"), None);
        assert_eq!(line_of_key("a = [{ c = 1 },\n  { c = 2 }]\n", "a.1.c"), Some(2));
    }
}
