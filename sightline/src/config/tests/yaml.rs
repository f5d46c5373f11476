//! As much of YAML as `deploy/compose.yaml` is written in: block maps and lists, flow lists, plain and double-quoted scalars without escapes, comments,
//! anchors, aliases and merge keys. Whatever else is refused with its line: a file that this reads, any reader reads alike.

use std::collections::BTreeMap;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A scalar; plain ones are not told from quoted ones.
    Text(String),
    /// A list.
    List(Vec<Yaml>),
    /// A map.
    Map(BTreeMap<String, Yaml>),
}

impl Yaml {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("{other:?} is no scalar"),
        }
    }

    pub(super) fn list(&self) -> &[Yaml] {
        match self {
            Self::List(list) => list,
            other => panic!("{other:?} is no list"),
        }
    }

    pub(super) fn map(&self) -> &BTreeMap<String, Yaml> {
        match self {
            Self::Map(map) => map,
            other => panic!("{other:?} is no map"),
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<&Yaml> {
        self.map().get(key)
    }

    pub(super) fn get(&self, key: &str) -> &Yaml {
        self.find(key).unwrap_or_else(|| panic!("no `{key}` among {:?}", self.map().keys()))
    }
}

/// Reads a document.
///
/// # Errors
/// The line that is not of the subset, and why.
pub(super) fn read(text: &str) -> Result<Yaml, String> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start_matches(' ');
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if content.starts_with('\t') || line.ends_with(' ') || content.contains(" #") {
            return Err(format!("line {}: a tab, a blank at the end or a comment behind a value", index + 1));
        }
        lines.push(Line { number: index + 1, indent: line.len() - content.len(), content });
    }
    let mut reader = Reader { lines: &lines, anchors: BTreeMap::new() };
    let document = reader.block(0)?;
    match reader.lines.first() {
        None => Ok(document),
        Some(line) => Err(format!("line {}: indented unlike what it belongs to", line.number)),
    }
}

struct Line<'a> {
    number: usize,
    indent: usize,
    content: &'a str,
}

struct Reader<'a> {
    lines: &'a [Line<'a>],
    anchors: BTreeMap<&'a str, Yaml>,
}

impl<'a> Reader<'a> {
    /// The map or list whose lines are indented by `indent`.
    fn block(&mut self, indent: usize) -> Result<Yaml, String> {
        let mut map = BTreeMap::new();
        let mut merged = BTreeMap::new();
        let mut list = Vec::new();
        while let Some((line, rest)) = self.lines.split_first().filter(|(line, _)| line.indent == indent) {
            self.lines = rest;
            let error = |what: &str| format!("line {}: {what}", line.number);
            if let Some(item) = line.content.strip_prefix("- ") {
                list.push(scalar(item).ok_or_else(|| error("not a plain item"))?);
            } else {
                let (key, value) =
                    line.content.split_once(':').ok_or_else(|| error("neither key nor item"))?;
                let is_key =
                    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-<".contains(&b));
                if !is_key || !(value.is_empty() || value.starts_with(' ')) {
                    return Err(error("not a plain key"));
                }
                let value = self.value(value.trim_start(), indent).map_err(|what| error(&what))?;
                if key == "<<" {
                    merged = value.map().clone();
                } else if map.insert(key.to_owned(), value).is_some() {
                    return Err(error("the key stands twice"));
                }
            }
        }
        match (map.is_empty() && merged.is_empty(), list.is_empty()) {
            (false, true) => {
                merged.extend(map);
                Ok(Yaml::Map(merged))
            }
            (true, false) => Ok(Yaml::List(list)),
            _ => Err("a block is a map or a list, and not empty".to_owned()),
        }
    }

    /// What stands behind a key, or below it.
    fn value(&mut self, text: &'a str, indent: usize) -> Result<Yaml, String> {
        if let Some(name) = text.strip_prefix('*') {
            return self.anchors.get(name).cloned().ok_or_else(|| format!("nothing is called {name}"));
        }
        let (anchor, text) = match text.strip_prefix('&') {
            Some(rest) => match rest.split_once(' ') {
                Some((name, text)) => (Some(name), text),
                None => (Some(rest), ""),
            },
            None => (None, text),
        };
        let value = if text.is_empty() {
            let below = self.lines.first().filter(|line| line.indent > indent);
            self.block(below.ok_or("a key without a value")?.indent)?
        } else if text == "{}" {
            Yaml::Map(BTreeMap::new())
        } else if let Some(items) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let items = items.split(", ").map(|item| scalar(item).ok_or("not a plain item of a list"));
            Yaml::List(items.collect::<Result<_, _>>()?)
        } else {
            scalar(text).ok_or("a value that has to be quoted")?
        };
        if let Some(name) = anchor {
            self.anchors.insert(name, value.clone());
        }
        Ok(value)
    }
}

/// A scalar: in double quotes without an escape, or of letters that mean nothing else.
fn scalar(text: &str) -> Option<Yaml> {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b) || b == b':')
            && !text.starts_with(['-', ':'])
            && !text.ends_with(':')
    };
    match quoted {
        Some(inner) => (!inner.contains(['"', '\\'])).then(|| Yaml::Text(inner.to_owned())),
        None => is_plain(text).then(|| Yaml::Text(text.to_owned())),
    }
}

#[test]
fn what_is_read_is_what_stands_there() {
    let text = "x-a: &a\n  k: v\n  l: [A, \"b c\"]\ns:\n  # a comment\n  one:\n    <<: *a\n    k: \"w\"\n    d:\n      - \"p:q\"\n  two: {}\n";
    let document = read(text).expect("the subset");
    let one = document.get("s").get("one");
    assert_eq!(one.get("k").text(), "w", "what stands there goes before what is merged");
    assert_eq!(one.get("l").list(), [Yaml::Text("A".to_owned()), Yaml::Text("b c".to_owned())]);
    assert_eq!(one.get("d").list()[0].text(), "p:q");
    assert!(document.get("s").get("two").map().is_empty());
}

#[test]
fn what_is_not_of_the_subset_is_refused_with_its_line() {
    for (text, line) in [
        ("a: b\n\tc: d\n", "line 2"),
        ("a: b # why\n", "line 1"),
        ("a: b\na: c\n", "line 2"),
        ("a: 'b'\n", "line 1"),
        ("a: {b: c}\n", "line 1"),
        ("a: *b\n", "line 1"),
        ("a:\n", "line 1"),
        ("a:\n    b: c\n  d: e\n", "line 3"),
        ("a: |\n  b\n", "line 1"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(line), "{text:?}: {error}");
    }
}
