//! Rust text taken apart just far enough for the rules: comments and the insides of literals blanked, string literals listed,
//! test code marked, functions and blocks found by their braces. It is no parser: what `rustc` and clippy already refuse is
//! theirs, and text that does not compile gives no promise.

use crate::{is_word_byte, line_of, words_at};

/// A string literal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Offset of its first byte in the text.
    pub offset: usize,
    /// What stands between its quotes, escapes as written.
    pub text: String,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Line of the word `fn`, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
    /// Offset of the word `fn`.
    pub offset: usize,
}

/// A Rust file, taken apart.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// Path from the root of the tree.
    pub path: &'a str,
    /// The text as it is.
    pub text: &'a str,
    /// The text with comments and the insides of literals as spaces: same length, same lines.
    pub code: String,
    /// String literals in order.
    pub literals: Vec<Literal>,
    /// Byte ranges of items under `#[cfg(test)]`; the whole file where it is a test by its place.
    tests: Vec<(usize, usize)>,
}

impl<'a> Source<'a> {
    /// Takes a file apart.
    pub fn new(path: &'a str, text: &'a str) -> Self {
        let (code, literals) = blank(text);
        let tests = if is_test_path(path) { vec![(0, text.len())] } else { test_items(&code) };
        Self { path, text, code, literals, tests }
    }

    /// Whether the byte at `offset` belongs to a test.
    pub fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|(start, end)| (*start..*end).contains(&offset))
    }

    /// Line of an offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        line_of(self.text, offset)
    }

    /// Lines of the file without those of its tests.
    pub fn lines_without_tests(&self) -> usize {
        let tests: usize = self
            .tests
            .iter()
            .filter_map(|(start, end)| self.text.get(*start..*end))
            .map(|part| part.lines().count())
            .sum();
        self.text.lines().count().saturating_sub(tests)
    }

    /// Every function with a body, nested ones too.
    pub fn functions(&self) -> Vec<Function> {
        words_at(&self.code, "fn").filter_map(|offset| self.function_at(offset)).collect()
    }

    fn function_at(&self, offset: usize) -> Option<Function> {
        let rest = self.code.get(offset + 2..)?;
        let name: String =
            rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            return None;
        }
        let open = offset + 2 + body_start(rest)?;
        let end = closing(&self.code, open)?;
        let lines = self.line(end) - self.line(offset) + 1;
        Some(Function { name, line: self.line(offset), lines, offset })
    }

    /// What stands before the opening brace of each block around `offset`, innermost first.
    pub fn blocks_around(&self, offset: usize) -> Vec<String> {
        let mut open: Vec<String> = Vec::new();
        let mut head = String::new();
        for c in self.code.get(..offset).unwrap_or_default().chars() {
            match c {
                '{' => open.push(std::mem::take(&mut head)),
                '}' => {
                    open.pop();
                    head.clear();
                }
                ';' => head.clear(),
                other => head.push(other),
            }
        }
        open.reverse();
        open
    }
}

/// Whether a file is a test by its place: below `tests/` or `benches/benches/`, or called `tests.rs`.
pub fn is_test_path(path: &str) -> bool {
    path.starts_with("benches/benches/")
        || path.split('/').any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
}

/// Offset of the brace that closes the one at `open`, which must be a `{` of blanked code.
pub fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Offset of the body's `{` after a function's name; `None` for a declaration without a body.
fn body_start(signature: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in signature.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Byte ranges of the items that `#[cfg(test)]` or `#[cfg(all(test, …))]` keeps out of the product.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    for start in ["#[cfg(test)]", "#[cfg(all(test"].iter().flat_map(|m| code.match_indices(m)).map(|m| m.0) {
        let rest = code.get(start..).unwrap_or_default();
        let end = match body_start(rest) {
            Some(open) => closing(code, start + open).map_or(code.len(), |end| end + 1),
            None => start + rest.find(';').map_or(rest.len(), |at| at + 1),
        };
        items.push((start, end));
    }
    items
}

/// Blanks comments and the insides of literals; lists the string literals.
fn blank(text: &str) -> (String, Vec<Literal>) {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut literals = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let after_word = at.checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(|b| is_word_byte(*b));
        let (skip, inside) = match token(rest, after_word) {
            Token::Plain => (1, None),
            Token::Comment { length } => (length, Some((0, length))),
            Token::Char { length } => (length, Some((1, length.saturating_sub(1)))),
            Token::Text { length, start, end } => {
                let text = String::from_utf8_lossy(rest.get(start..end).unwrap_or_default()).into_owned();
                literals.push(Literal { offset: at, text });
                (length, Some((start, end)))
            }
        };
        if let Some((start, end)) = inside {
            for byte in code.get_mut(at + start..at + end).unwrap_or_default() {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at += skip.max(1);
    }
    (String::from_utf8_lossy(&code).into_owned(), literals)
}

/// What begins at a place of the text. Lengths and places in bytes from it.
enum Token {
    Plain,
    Comment { length: usize },
    Char { length: usize },
    Text { length: usize, start: usize, end: usize },
}

fn token(rest: &[u8], after_word: bool) -> Token {
    if rest.starts_with(b"//") {
        return Token::Comment { length: find(rest, b"\n").unwrap_or(rest.len()) };
    }
    if rest.starts_with(b"/*") {
        return Token::Comment { length: block_comment(rest) };
    }
    if rest.starts_with(b"\"") {
        return quoted(rest, 0);
    }
    if rest.starts_with(b"'") {
        return character(rest);
    }
    if !after_word {
        for prefix in ["b\"", "c\""] {
            if rest.starts_with(prefix.as_bytes()) {
                return quoted(rest, 1);
            }
        }
        for prefix in ["r", "br", "cr"] {
            if let Some(raw) = rest.strip_prefix(prefix.as_bytes())
                && let Some(token) = raw_string(raw, prefix.len())
            {
                return token;
            }
        }
    }
    Token::Plain
}

fn quoted(rest: &[u8], prefix: usize) -> Token {
    let start = prefix + 1;
    let mut at = start;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return Token::Text { length: at + 1, start, end: at },
            _ => at += 1,
        }
    }
    Token::Text { length: rest.len(), start, end: rest.len() }
}

/// A raw string after its `r`: `#…#"…"#…#`.
fn raw_string(raw: &[u8], prefix: usize) -> Option<Token> {
    let hashes = raw.iter().take_while(|byte| **byte == b'#').count();
    if raw.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut end_mark = vec![b'"'];
    end_mark.resize(1 + hashes, b'#');
    let body = raw.get(hashes + 1..)?;
    let length = find(body, &end_mark).unwrap_or(body.len());
    let start = prefix + hashes + 1;
    Some(Token::Text { length: start + length + end_mark.len(), start, end: start + length })
}

/// A character literal, or a lifetime, which is plain.
fn character(rest: &[u8]) -> Token {
    if rest.get(1) == Some(&b'\\') {
        let end = rest.iter().skip(3).position(|byte| *byte == b'\'').unwrap_or(0);
        return Token::Char { length: end + 4 };
    }
    let width = match rest.get(1) {
        Some(0xF0..) => 4,
        Some(0xE0..) => 3,
        Some(0xC0..) => 2,
        _ => 1,
    };
    if rest.get(1 + width) == Some(&b'\'') { Token::Char { length: width + 2 } } else { Token::Plain }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lifetimes_are_not() {
        let text = "let a = \"unsafe // no\"; // unsafe\nfn f<'a>(c: &'a str) { let q = '\\''; let b = b\"x{\"; /* { /* { */ */ }";
        let (code, literals) = blank(text);
        assert_eq!(code.len(), text.len());
        assert!(!code.contains("unsafe"));
        assert!(code.contains("fn f<'a>(c: &'a str)"));
        assert_eq!(code.matches('{').count(), 1);
        let texts: Vec<_> = literals.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(texts, ["unsafe // no", "x{"]);
    }

    #[test]
    fn raw_strings_end_at_their_own_mark() {
        let (code, literals) = blank("let a = r#\"one \" two\"#; let b = br\"{\"; let c = for_r;");
        let texts: Vec<_> = literals.iter().map(|l| l.text.as_str()).collect();
        assert_eq!(texts, ["one \" two", "{"]);
        assert!(code.contains("let c = for_r;"));
    }

    #[test]
    fn non_ascii_text_keeps_its_length() {
        let text = "let c = '中'; let s = \"中文\"; // 注\nfn g() {}";
        let (code, _) = blank(text);
        assert_eq!(code.len(), text.len());
        assert!(code.ends_with("fn g() {}"));
    }

    #[test]
    fn functions_are_measured_with_their_bodies() {
        let source = Source::new(
            "x.rs",
            "trait T { fn no(&self) -> [u8; 4]; }\nfn two(a: fn(u8) -> u8) {\n    a(1);\n}\n",
        );
        let functions = source.functions();
        assert_eq!(functions.len(), 1);
        assert_eq!(functions.first().map(|f| (f.name.as_str(), f.line, f.lines)), Some(("two", 2, 3)));
    }

    #[test]
    fn test_code_is_told_from_product_code() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(test)]\nmod more;\nfn c() {}\n";
        let source = Source::new("journal/src/x.rs", text);
        let tests: Vec<_> =
            source.functions().iter().map(|f| (f.name.clone(), source.is_test(f.offset))).collect();
        assert_eq!(tests, [("a".to_owned(), false), ("b".to_owned(), true), ("c".to_owned(), false)]);
        assert_eq!(source.lines_without_tests(), 2);
        assert!(Source::new("journal/tests/x.rs", text).is_test(0));
        assert!(Source::new("journal/src/lane/tests.rs", text).is_test(0));
    }

    #[test]
    fn the_blocks_around_a_place_are_named_by_their_heads() {
        let source = Source::new("x.rs", "fn a() { while x { if y { here } } }");
        let at = source.code.find("here").unwrap_or(0);
        let blocks: Vec<_> = source.blocks_around(at).iter().map(|head| head.trim().to_owned()).collect();
        assert_eq!(blocks, ["if y", "while x", "fn a()"]);
    }
}
