//! The grammars in force: the dialects and medium profiles of the program, and those of the folder that the configuration names.
//!
//! ```text
//! <grammars>/dialects/NAME.toml    a dialect, as event/dialects/native.toml shows it
//! <grammars>/profiles/NAME.toml    a medium profile, as event/profiles/standard.toml shows it
//! ```
//!
//! A file that says the name of a built-in one takes its place. All are read and checked once, at the start: a wrong one stops it.

use std::path::Path;
use std::sync::Arc;

use event::dialect::Dialects;
use event::profile::Profiles;

use crate::config::{ConfigError, read_text};

/// Most files of one kind.
const FILES_MAX: usize = 256;

/// What hits are understood by.
#[derive(Clone)]
pub(crate) struct Grammars {
    /// The dialects.
    pub(crate) dialects: Arc<Dialects>,
    /// The medium profiles, compiled against them.
    pub(crate) profiles: Arc<Profiles>,
}

impl Grammars {
    /// Those of the program, and those of `folder`.
    ///
    /// # Errors
    /// What is wrong in which file.
    pub(crate) fn load(folder: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(folder) = folder else {
            return Ok(Self {
                dialects: Arc::clone(Dialects::built_in()),
                profiles: Arc::clone(Profiles::built_in()),
            });
        };
        if !folder.is_dir() {
            return Err(ConfigError::in_file(
                folder,
                "is no folder: `grammars` names one with dialects/ and profiles/".to_owned(),
            ));
        }
        let usage = |error: String| ConfigError::usage(error);
        let dialects =
            Dialects::with(texts(&folder.join("dialects"))?).map_err(|error| usage(error.to_string()))?;
        let profiles = Profiles::with(texts(&folder.join("profiles"))?, dialects.tables())
            .map_err(|error| usage(error.to_string()))?;
        Ok(Self { dialects: Arc::new(dialects), profiles: Arc::new(profiles) })
    }
}

/// Names and texts of the tables in a folder, by name; none where there is no folder.
fn texts(folder: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let failed = |error: std::io::Error| ConfigError::in_file(folder, format!("cannot be read: {error}"));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(ConfigError::in_file(folder, format!("holds more than {FILES_MAX} tables")));
        }
    }
    paths.sort();
    paths.into_iter().map(|path| Ok((path.display().to_string(), read_text(&path)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GAUDY: &str = r#"
name = "gaudy"
separator = "|"
equalizer = ":"
[[paths]]
path = "/gaudy/{parameters}"
stage = "impression"
[parameters]
cmp = "campaign"
plc = "placement"
"#;

    #[test]
    fn a_table_in_the_folder_needs_no_code() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("dialects")).expect("made");
        fs::write(folder.path().join("dialects/gaudy.toml"), GAUDY).expect("written");
        let grammars = Grammars::load(Some(folder.path())).expect("sound tables");
        let entry = grammars.dialects.route("/gaudy/cmp:a|plc:b", None).expect("its path is known");
        assert_eq!(entry.table.name(), "gaudy");
        assert!(grammars.dialects.get("miaozhen").is_some(), "the built-in ones stay");
    }

    #[test]
    fn a_wrong_table_is_refused_by_file_and_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("dialects")).expect("made");
        fs::write(folder.path().join("dialects/gaudy.toml"), GAUDY.replace("campaign", "campain"))
            .expect("written");
        let error = Grammars::load(Some(folder.path())).err().expect("refused").to_string();
        assert!(error.contains("gaudy.toml") && error.contains("campain"), "{error}");
        let error = Grammars::load(Some(Path::new("no/such/folder"))).err().expect("refused").to_string();
        assert!(error.contains("no/such/folder"), "{error}");
    }
}
