//! Tidy: what is structure in this repository, held by a test instead of by memory.
//!
//! Every check is a pure function from text to [`Finding`]s, so that each can be tried on a planted violation (beside it), and is
//! then run over the tree by `tests/tidy.rs`, where the lists of the rules stand: which crate may use which, which licences are taken.
//!
//! * [`rust`]: Rust text taken apart just far enough: code without comments and literals, what is test, where functions begin and end.
//! * [`sources`]: rules for Rust files.
//! * [`manifests`]: rules for `Cargo.toml` and the lock file: arrows, versions, licences, bans.
//! * [`documents`]: paths and commands that the documents name exist.
//! * [`words`]: what must stand in no file of the tree.
//!
//! It never changes a file, asks no network and knows no crate's code.

pub mod documents;
pub mod manifests;
pub mod rust;
pub mod sources;
pub mod words;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Longest file that is read, bytes; what is larger is data, not text.
const TEXT_BYTES_MAX: u64 = 2 << 20;

/// Folders that hold what is built, fetched or recorded, never the tree's own text. By name or by path from the root.
const SKIPPED: [&str; 8] = [
    ".git",
    "target",
    "node_modules",
    "sightline-data",
    "fuzz/target",
    "fuzz/corpus",
    "fuzz/artifacts",
    "fuzz/coverage",
];

/// One violation: where it is and what is wrong, with what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path from the root of the tree, with `/`.
    pub path: String,
    /// Line, from 1; 0 = the file as a whole.
    pub line: usize,
    /// What is wrong and what to do.
    pub what: String,
}

impl Finding {
    /// A finding at a line of a file.
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A text file of the tree.
#[derive(Clone, Debug)]
pub struct File {
    /// Path from the root of the tree, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Every text file below `root`, sorted by path. Folders of [`SKIPPED`], files that are not UTF-8 and links are left out.
///
/// # Errors
/// When a folder or a file cannot be read.
pub fn text_files(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let relative = folder.join(entry.file_name());
            let path = relative.to_string_lossy().replace('\\', "/");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !SKIPPED.iter().any(|skipped| *skipped == name || *skipped == path) {
                    folders.push(relative);
                }
            } else if kind.is_file()
                && entry.metadata()?.len() <= TEXT_BYTES_MAX
                && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
            {
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The 1-based line of a byte offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Whether a byte may stand in an identifier.
pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Offsets at which `word` stands in `text` with no identifier byte on either side.
pub(crate) fn words_at<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|i| text.as_bytes().get(i));
        let after = text.as_bytes().get(at + word.len());
        !before.is_some_and(|b| is_word_byte(*b)) && !after.is_some_and(|b| is_word_byte(*b))
    })
}
