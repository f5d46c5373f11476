//! The opt-outs of this process: the registry that it keeps, or the one of the cluster that it follows. Opened only if it is the one that was
//! there before.
//!
//! It owns `keys/opt-out.receipts`, the number of receipts when that was last looked at. The registry's own folder or topic cannot tell that it is
//! gone: an empty one looks like a first start, and everybody who opted out would be measured again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use opt_out::{FollowParts, Following, List, Registry, Standing};

use super::{Ground, Want};
use crate::data_dir::{DataDir, write_durably};

/// Who opted out, as this process knows it.
pub(super) enum OptOuts {
    /// It keeps the registry: its own journal, or the cluster's topic.
    Registry(Registry),
    /// It hears the cluster's registry.
    Following(Following),
}

/// Opens the registry, or follows that of the cluster.
///
/// # Errors
/// A registry that is damaged, belongs to another key or lacks receipts that it had.
pub(super) fn open(ground: &Ground, want: Want) -> anyhow::Result<OptOuts> {
    let mark = ground.data.opt_out_receipts();
    let known = read(&mark).with_context(|| format!("cannot read {}", mark.display()))?;
    let opt_outs = match &ground.cluster {
        None => OptOuts::Registry(open_journal(ground, known)?),
        Some(cluster) => {
            let parts = FollowParts {
                cluster: cluster.clone(),
                settings: ground.config.opt_out.clone(),
                keys: Arc::clone(&ground.keys),
                clock: ground.clock.clone(),
                receipts_known: known,
            };
            if want.page {
                bring_over(ground, cluster, known)?;
                let opened = Registry::open_on_topic(parts)
                    .context("the cluster's opt-out registry cannot be used")?;
                OptOuts::Registry(opened.0)
            } else {
                OptOuts::Following(
                    opt_out::follow(parts).context("the cluster's opt-out registry cannot be followed")?,
                )
            }
        }
    };
    opt_outs.keep(&ground.data)?;
    Ok(opt_outs)
}

/// A folder that kept a registry of its own before there was a Kafka gives it to the cluster: nobody who opted out is forgotten by a change of the
/// configuration. The folder is renamed afterwards, so that it is done once.
fn bring_over(ground: &Ground, cluster: &kafka::Cluster, known: Option<u64>) -> anyhow::Result<()> {
    let dir = ground.data.opt_out();
    let is_there = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
    if !is_there {
        return Ok(());
    }
    let registry = open_journal(ground, known)?;
    let receipts = registry.stats().receipts;
    let copied =
        registry.copy_to_topic(cluster).context("this folder's opt-outs cannot be brought to Kafka")?;
    registry.close();
    if copied.is_none() && receipts > 0 {
        bail!(
            "the opt-out registry of the cluster was begun already, and {} holds another one with {receipts} receipts, whose people would be \
             measured again: start the first opt-out role of a new cluster on this folder, or move it away if it was brought over before",
            dir.display()
        );
    }
    let kept = dir.with_extension("brought-to-kafka");
    std::fs::rename(&dir, &kept).with_context(|| format!("cannot rename {}", dir.display()))?;
    tracing::info!(receipts, kept = %kept.display(), "opt-outs brought to Kafka");
    Ok(())
}

fn open_journal(ground: &Ground, known: Option<u64>) -> anyhow::Result<Registry> {
    let dir = ground.data.opt_out();
    if known.is_none() || ground.config.opt_out.registry.start_empty {
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let (registry, _) = Registry::open_with(&dir, &ground.config.opt_out, ground.clock.clone(), known)
        .with_context(|| {
            format!("the opt-out registry {} cannot be opened, so nothing may be measured", dir.display())
        })?;
    registry
        .bind_key(&ground.keys)
        .context("the opt-out registry cannot be used, so nothing may be measured")?;
    Ok(registry)
}

impl OptOuts {
    /// The registry, where this process keeps it.
    pub(super) fn registry(&self) -> Option<&Registry> {
        match self {
            Self::Registry(registry) => Some(registry),
            Self::Following(_) => None,
        }
    }

    /// What beacons are held against.
    pub(super) fn list(&self) -> &List {
        match self {
            Self::Registry(registry) => registry.list(),
            Self::Following(following) => following.list(),
        }
    }

    /// Whether a tracker here may measure.
    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::Registry(registry) => registry.standing(),
            Self::Following(following) => following.standing(),
        }
    }

    /// Why it is not ready, if so.
    pub(super) fn not_ready(&self) -> Option<String> {
        match self {
            Self::Registry(registry) => registry.refusal(),
            Self::Following(following) => following.state().refusal,
        }
    }

    /// Takes no more, and ends what runs. Blocks until then.
    pub(super) fn close(&self) {
        match self {
            Self::Registry(registry) => registry.close(),
            // It ends with its last handle, which is this one.
            Self::Following(_) => {}
        }
    }

    /// Keeps the number of receipts for the next start, once it is known.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn keep(&self, data: &DataDir) -> anyhow::Result<()> {
        let state = match self {
            Self::Registry(registry) => registry.follow_state(),
            Self::Following(following) => Some(following.state()),
        };
        let receipts = match (self, state) {
            (_, Some(state)) if state.is_caught_up => state.receipts,
            (Self::Registry(registry), None) => registry.stats().receipts,
            (_, _) => return Ok(()),
        };
        let mark = data.opt_out_receipts();
        if read(&mark).ok().flatten() == Some(receipts) {
            return Ok(());
        }
        write_durably(&mark, 0o600, format!("{receipts}\n").as_bytes())
            .with_context(|| format!("cannot write {}", mark.display()))
    }
}

fn read(mark: &Path) -> io::Result<Option<u64>> {
    match std::fs::read_to_string(mark) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "it holds no number; write the number of receipts that the registry had, or 0",
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_number_or_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        let mark = dir.path().join("mark");
        assert_eq!(read(&mark).expect("no file is no mark"), None);
        std::fs::write(&mark, "17\n").expect("written");
        assert_eq!(read(&mark).expect("a number"), Some(17));
        std::fs::write(&mark, "").expect("written");
        assert!(read(&mark).expect_err("is refused").to_string().contains("holds no number"));
    }
}
