//! The catalog's text as the report API changes it: the file of one machine, the topic of a cluster.
//!
//! Must never: replace a text that is not the one the change was made from. For the file the look and the replacement are two steps, so a person who saves
//! it in the millisecond between them is overwritten; for the topic so is a `sightline catalog publish` in the moment between. Within the process one
//! change is made at a time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregator::{CatalogText, CatalogTextError};
use catalog::edit::{Edited, TEXT_BYTES_MAX};
use catalog::{Shared, version_of};
use event::profile::Profiles;
use kafka::Cluster;

use crate::catalog_file::Taken;
use crate::catalog_topic;
use crate::data_dir::write_durably;

/// How long a published catalog may take to come back over the topic.
const READ_BACK: Duration = Duration::from_secs(15);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// The catalog file.
pub(crate) struct FileText {
    path: PathBuf,
    taken: Taken,
}

impl FileText {
    /// The file at `path`, whose catalog is in force in `taken`.
    pub(crate) fn new(path: PathBuf, taken: Taken) -> Self {
        Self { path, taken }
    }

    fn is_still(&self, before: u32) -> Result<(), CatalogTextError> {
        let present = version_of(&self.read()?);
        if present == before { Ok(()) } else { Err(CatalogTextError::Changed { present }) }
    }
}

impl CatalogText for FileText {
    fn read(&self) -> Result<String, CatalogTextError> {
        fs::read_to_string(&self.path)
            .map_err(|error| CatalogTextError::Away(format!("{}: {error}", self.path.display())))
    }

    fn bytes_max(&self) -> usize {
        TEXT_BYTES_MAX
    }

    fn replace(&self, before: u32, Edited { text, catalog }: Edited) -> Result<(), CatalogTextError> {
        let away = |error: &dyn std::fmt::Display| {
            CatalogTextError::Away(format!("{}: {error}", self.path.display()))
        };
        // A link stays one: what it leads to is replaced.
        let path = fs::canonicalize(&self.path).map_err(|error| away(&error))?;
        let mode = fs::metadata(&path).map_err(|error| away(&error))?.permissions().mode() & 0o777;
        self.is_still(before)?;
        self.taken.enter(&catalog, &self.path.display().to_string()).map_err(|error| away(&error))?;
        // The log waited for the disk.
        self.is_still(before)?;
        if let Err(error) = write_durably(&path, mode, text.as_bytes()) {
            let is_as_before = self.read().is_ok_and(|text| version_of(&text) == before);
            return Err(if is_as_before {
                away(&error)
            } else {
                CatalogTextError::Unsure(error.to_string())
            });
        }
        tracing::info!(
            path = %path.display(),
            version = format_args!("{:08x}", catalog.version),
            campaigns = catalog.campaigns.len(),
            "catalog changed over the API"
        );
        self.taken.store(catalog);
        Ok(())
    }
}

/// The catalog topic.
pub(crate) struct TopicText {
    cluster: Cluster,
    profiles: Arc<Profiles>,
    shared: Shared,
}

impl TopicText {
    /// The topic of a cluster, which somebody follows into `shared`.
    pub(crate) fn new(cluster: Cluster, profiles: Arc<Profiles>, shared: Shared) -> Self {
        Self { cluster, profiles, shared }
    }
}

impl CatalogText for TopicText {
    fn read(&self) -> Result<String, CatalogTextError> {
        let newest = catalog_topic::in_force(&self.cluster, &self.profiles)
            .map_err(|error| CatalogTextError::Away(format!("{error:#}")))?;
        Ok(newest.map(|(_, text)| text).unwrap_or_default())
    }

    fn bytes_max(&self) -> usize {
        catalog_topic::text_bytes_max(&self.cluster)
    }

    fn replace(&self, before: u32, Edited { text, catalog }: Edited) -> Result<(), CatalogTextError> {
        let present = version_of(&self.read()?);
        if present != before {
            return Err(CatalogTextError::Changed { present });
        }
        catalog_topic::publish(&self.cluster, &catalog, &text, &self.profiles)
            .map_err(|error| CatalogTextError::Unsure(format!("{error:#}")))?;
        // Whoever follows the topic takes it, here as on every other node.
        let until = Instant::now() + READ_BACK;
        while self.shared.load().version != catalog.version {
            if Instant::now() > until {
                let seconds = READ_BACK.as_secs();
                return Err(CatalogTextError::Unsure(format!(
                    "published, and not read back from the topic within {seconds} s"
                )));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::Catalog;
    use catalog::edit::{Change, Value, edit};

    const ONE: &str = "# ours\n[[campaign]]\nid = \"a\"\nname = \"A\"\ntime_zone = \"UTC\"\n";

    fn renamed(name: &str) -> Edited {
        let fields = vec![("name".to_owned(), Some(Value::Text(name.to_owned())))];
        let change = Change::SetCampaign { campaign: "a".to_owned(), fields };
        edit(ONE, &[change], Profiles::built_in()).expect("a right change")
    }

    #[test]
    fn a_file_is_replaced_only_where_it_is_what_was_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, link) = (dir.path().join("real.toml"), dir.path().join("catalog.toml"));
        fs::write(&path, ONE).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        let shared = Catalog::parse(ONE, "a").expect("is right").into_shared();
        let audit = audit::Log::scratch(&dir.path().join("audit")).expect("a log");
        let text = FileText::new(link.clone(), Taken { shared: shared.clone(), audit: audit.clone() });
        assert_eq!(text.read().as_deref(), Ok(ONE));

        text.replace(version_of(ONE), renamed("B")).expect("replaced");
        let after = ONE.replace("\"A\"", "\"B\"");
        assert_eq!(fs::read_to_string(&path).expect("is there"), after);
        assert_eq!(shared.load().version, version_of(&after), "in force at once");
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("is there").is_symlink());

        let other = text.replace(version_of(ONE), renamed("C"));
        assert_eq!(other, Err(CatalogTextError::Changed { present: version_of(&after) }));
        assert_eq!(text.read().as_deref(), Ok(after.as_str()));

        audit.close();
        assert!(matches!(text.replace(version_of(&after), renamed("D")), Err(CatalogTextError::Away(_))));
        assert_eq!(text.read().as_deref(), Ok(after.as_str()), "what cannot be entered is not done");
    }
}
