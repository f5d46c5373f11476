//! The region library: read and checked at the start, watched while the process runs, swapped whole. A file that is none is refused with the reason in the
//! log and a metric, and the one before it stays in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use audit::Entry;
use ingest::{RegionLibrary, SharedRegions};
use serde_json::json;

use crate::catalog_file::{Look, look};
use crate::config::ConfigError;
use crate::metrics;

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Reads and checks the library at `path`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(path: &Path) -> Result<RegionLibrary, ConfigError> {
    RegionLibrary::open(path)
        .map_err(|error| ConfigError::usage(format!("[regions] file {}: {error}", path.display())))
}

/// What a person is told of a library.
pub(crate) fn described(library: &RegionLibrary) -> String {
    let built =
        i64::try_from(library.built()).ok().and_then(|built| chrono::DateTime::from_timestamp(built, 0));
    let built =
        built.map_or_else(|| "an unknown day".to_owned(), |built| built.format("%Y-%m-%d").to_string());
    format!("{} of {built}, version {:08x}", library.name(), library.version())
}

/// The library in force, and how it is followed.
pub(crate) struct Regions {
    /// In force; empty where none is configured.
    pub(crate) shared: SharedRegions,
    watch: Option<Watch>,
}

impl Regions {
    /// Reads the configured library.
    ///
    /// # Errors
    /// It cannot be read or is none.
    pub(crate) fn open(path: Option<&Path>, audit: &audit::Log) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { shared: SharedRegions::default(), watch: None }) };
        // Before it is read: what is written since then is seen as a change.
        let seen = look(path);
        let mut watch = Watch {
            path: path.to_owned(),
            shared: SharedRegions::default(),
            audit: audit.clone(),
            seen,
            last: seen,
        };
        watch.take(read(path)?)?;
        Ok(Self { shared: Arc::clone(&watch.shared), watch: Some(watch) })
    }

    /// What follows the file.
    pub(crate) fn watch(&self) -> Option<Watch> {
        self.watch.clone()
    }
}

/// Watches the file.
#[derive(Clone)]
pub(crate) struct Watch {
    path: PathBuf,
    shared: SharedRegions,
    audit: audit::Log,
    /// How the file looked when it was read last.
    seen: Option<Look>,
    /// How it looked a moment ago: a large file takes a while to be written.
    last: Option<Look>,
}

impl Watch {
    /// Looks at the file once a second until the task is dropped.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Reading and checking takes a second or two.
            let Ok(watch) = tokio::task::spawn_blocking(move || {
                self.look();
                self
            })
            .await
            else {
                tracing::error!("the region library is not watched any more");
                return;
            };
            self = watch;
        }
    }

    /// Reads the file if it changed and then stood still, and swaps the library if it is one.
    fn look(&mut self) {
        let now = look(&self.path);
        let is_still = std::mem::replace(&mut self.last, now) == now;
        if now == self.seen || !is_still {
            return;
        }
        self.seen = now;
        match read(&self.path) {
            Ok(library)
                if self.shared.load().as_ref().is_some_and(|old| old.version() == library.version()) => {}
            Ok(library) => {
                if let Err(error) = self.take(library) {
                    tracing::error!(%error, "region library not taken, for that cannot be entered in the audit log; it is tried again");
                    self.seen = None;
                }
            }
            Err(error) => {
                tracing::error!(%error, "region library refused; the one before it stays in force");
                metrics::regions_refused();
            }
        }
    }

    /// Puts a library in force, once that is entered.
    fn take(&mut self, library: RegionLibrary) -> Result<(), audit::Error> {
        let before = self.shared.load().as_ref().map(|old| format!("{:08x}", old.version()));
        let details = json!({
            "name": library.name(),
            "built": library.built(),
            "version": format!("{:08x}", library.version()),
            "before": before,
        });
        let from = self.path.display().to_string();
        self.audit.append(&Entry::new("system", "regions.taken", from, details))?;
        tracing::info!(library = described(&library), "region library taken");
        metrics::regions_taken(library.built());
        self.shared.store(Some(Arc::new(library)));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
