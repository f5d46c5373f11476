//! The catalog file: read at start, watched while the process runs, swapped whole. A wrong one is refused with file and line in
//! the log and a metric, and the one before it stays in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use audit::Entry;
use catalog::{Catalog, Shared};
use event::profile::Profiles;
use serde_json::json;

use crate::config::{ConfigError, read_text_up_to};
use crate::data_dir::write_durably;
use crate::metrics;

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the first start writes where there is no catalog.
const EXAMPLE: &str = include_str!("catalog_example.toml");

/// Reads the catalog at `path`.
///
/// # Errors
/// File, line, what is wrong and what is allowed.
pub(crate) fn read(path: &Path, profiles: &Profiles) -> Result<Catalog, ConfigError> {
    parse(&text(path)?, path, profiles)
}

/// The text of the catalog at `path`, as long as a catalog may be: whatever the program may write it has to be able to read at its next start.
///
/// # Errors
/// It cannot be read, is longer, or no text.
pub(crate) fn text(path: &Path) -> Result<String, ConfigError> {
    read_text_up_to(path, catalog::limit::FILE_BYTES_MAX as u64)
}

/// Checks the text of a catalog that was read from `path`.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn parse(text: &str, path: &Path, profiles: &Profiles) -> Result<Catalog, ConfigError> {
    Catalog::parse_with(text, &path.display().to_string(), profiles)
        .map_err(|error| ConfigError::usage(error.to_string()))
}

/// Writes the example where no catalog is. Answers whether it did.
pub(crate) fn write_example_if_missing(path: &Path) -> anyhow::Result<bool> {
    if path.exists() {
        return Ok(false);
    }
    write_durably(path, 0o644, EXAMPLE.as_bytes())
        .with_context(|| format!("cannot write the example catalog {}", path.display()))?;
    Ok(true)
}

/// How a file looked: what changes when somebody writes it. Editors and deployments replace files, so the inode counts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// Most campaigns with another clock that are named.
const CLOCKS_ENTERED_MAX: usize = 20;

/// Where a catalog goes that is taken.
#[derive(Clone)]
pub(crate) struct Taken {
    /// The catalog in force.
    pub(crate) shared: Shared,
    /// Where that is entered.
    pub(crate) audit: audit::Log,
}

impl Taken {
    /// Enters a catalog in the audit log before it is put in force.
    ///
    /// # Errors
    /// It could not be entered.
    pub(crate) fn enter(&self, catalog: &Catalog, from: &str) -> Result<(), audit::Error> {
        let before = self.shared.load();
        let mut details = json!({
            "version": format!("{:08x}", catalog.version),
            "before": format!("{:08x}", before.version),
            "campaigns": catalog.campaigns.len(),
        });
        let clocks = catalog.other_clocks(&before);
        if let (false, Some(details)) = (clocks.is_empty(), details.as_object_mut()) {
            let shown = clocks.iter().take(CLOCKS_ENTERED_MAX).collect::<Vec<_>>();
            tracing::warn!(
                campaigns = ?shown,
                "time zones were changed: what came before keeps its days and hours, so figures around the change are of two clocks"
            );
            details.insert("other_time_zones".to_owned(), json!(shown));
        }
        self.audit.append(&Entry::new("system", "catalog.taken", from, details)).map(drop)
    }

    /// Puts a catalog in force.
    pub(crate) fn store(&self, catalog: Catalog) {
        metrics::catalog_taken(catalog.campaigns.len());
        self.shared.store(Arc::new(catalog));
    }
}

/// Watches a catalog file.
pub(crate) struct Watch {
    path: PathBuf,
    taken: Taken,
    profiles: Arc<Profiles>,
    seen: Option<Look>,
}

impl Watch {
    /// Watches `path`, whose content as of `shared` was read just before.
    pub(crate) fn new(path: PathBuf, taken: Taken, profiles: Arc<Profiles>) -> Self {
        // Not what the file looks like now: it may have been written since it was read. The first look reads it again.
        Self { path, taken, profiles, seen: None }
    }

    /// Looks at the file once a second until the task is dropped.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look();
        }
    }

    /// Reads the file if it changed and swaps the catalog if it is a right one.
    fn look(&mut self) {
        let look = look(&self.path);
        if look == self.seen {
            return;
        }
        self.seen = look;
        match read(&self.path, &self.profiles) {
            Ok(catalog) if catalog.version == self.taken.shared.load().version => {}
            Ok(catalog) => {
                if let Err(error) = self.taken.enter(&catalog, &self.path.display().to_string()) {
                    tracing::error!(%error, "catalog not taken, for that cannot be entered in the audit log; it is tried again");
                    self.seen = None;
                    return;
                }
                tracing::info!(
                    path = %self.path.display(),
                    version = format_args!("{:08x}", catalog.version),
                    campaigns = catalog.campaigns.len(),
                    "catalog taken"
                );
                self.taken.store(catalog);
            }
            Err(error) => {
                tracing::error!(%error, "catalog refused; the one before it stays in force");
                metrics::catalog_refused();
            }
        }
    }
}

pub(crate) fn look(path: &Path) -> Option<Look> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some(Look { modified: meta.modified().ok(), bytes: meta.len(), inode: meta.ino() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[campaign]]\nid = \"a\"\nname = \"A\"\ntime_zone = \"UTC\"\n";

    #[test]
    fn the_example_is_a_right_catalog_and_is_written_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("catalog.toml");
        assert!(write_example_if_missing(&path).expect("written"));
        let catalog = read(&path, Profiles::built_in()).expect("is right");
        assert!(catalog.campaigns.contains_key("demo"));
        std::fs::write(&path, ONE).expect("written");
        assert!(!write_example_if_missing(&path).expect("left alone"));
        assert!(read(&path, Profiles::built_in()).expect("is right").campaigns.contains_key("a"));
    }

    #[test]
    fn a_catalog_is_read_as_long_as_one_may_be() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("catalog.toml");
        let long = format!("{ONE}#{}\n", "x".repeat(17 << 20));
        std::fs::write(&path, &long).expect("written");
        let shared = read(&path, Profiles::built_in()).expect("is right").into_shared();
        assert!(shared.load().campaigns.contains_key("a"), "a start reads what an edit may write and more");
        assert!(crate::catalog_topic::kept(&path, Profiles::built_in()).is_some(), "what was kept too");

        std::fs::write(&path, long.replace("\"a\"", "\"b\"")).expect("written");
        let audit = audit::Log::scratch(&dir.path().join("audit")).expect("a log");
        let taken = Taken { shared: shared.clone(), audit };
        Watch::new(path.clone(), taken, Arc::clone(Profiles::built_in())).look();
        assert!(shared.load().campaigns.contains_key("b"), "and a change of it is taken");

        let file = std::fs::File::create(&path).expect("made");
        file.set_len(catalog::limit::FILE_BYTES_MAX as u64 + 1).expect("longer");
        let error = read(&path, Profiles::built_in()).expect_err("is too long").to_string();
        assert!(error.contains("at most 67108864"), "{error}");
    }

    #[test]
    fn a_right_change_is_taken_and_a_wrong_one_leaves_the_old_in_force() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("catalog.toml");
        std::fs::write(&path, ONE).expect("written");
        let shared = read(&path, Profiles::built_in()).expect("is right").into_shared();
        let audit = audit::Log::scratch(&dir.path().join("audit")).expect("a log");
        let taken = Taken { shared: shared.clone(), audit: audit.clone() };
        let mut watch = Watch::new(path.clone(), taken, Arc::clone(Profiles::built_in()));
        watch.look();
        let version = shared.load().version;

        std::fs::write(&path, "[[campaign]]\nid = 5\n").expect("written");
        watch.look();
        assert_eq!(shared.load().version, version, "a wrong file changes nothing");
        let error = read(&path, Profiles::built_in()).expect_err("is wrong").to_string();
        assert!(error.contains("catalog.toml:"), "{error}");

        std::fs::remove_file(&path).expect("removed");
        watch.look();
        assert_eq!(shared.load().version, version, "a missing file changes nothing");

        std::fs::write(&path, ONE.replace("\"a\"", "\"b\"")).expect("written");
        watch.look();
        assert!(shared.load().campaigns.contains_key("b"));
        assert_eq!(audit.head().seq(), 1, "only what was taken is entered");
        let entered = || -> String {
            let files = std::fs::read_dir(dir.path().join("audit")).expect("a folder");
            files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok()).collect()
        };
        assert!(!entered().contains("other_time_zones"));
        std::fs::write(&path, ONE.replace("\"a\"", "\"b\"").replace("UTC", "Asia/Shanghai"))
            .expect("written");
        watch.look();
        assert!(entered().contains(r#""other_time_zones":["b"]"#), "{}", entered());

        audit.close();
        std::fs::write(&path, ONE.replace("\"a\"", "\"c\"")).expect("written");
        watch.look();
        assert!(shared.load().campaigns.contains_key("b"), "what cannot be entered is not taken");
    }
}
