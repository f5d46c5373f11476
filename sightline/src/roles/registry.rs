//! The opt-out registry of this process: opened only if it is the one that was there before.
//!
//! It owns `keys/opt-out.receipts`, the number of receipts at the last start or stop. The registry's own folder cannot tell that it is
//! gone: an empty one looks like a first start, and everybody who opted out would be measured again.

use std::io;
use std::path::Path;

use anyhow::Context;
use opt_out::{List, Registry};

use super::Ground;
use crate::data_dir::{DataDir, write_durably};

/// Opens the registry and binds it to its key.
///
/// # Errors
/// A registry that is damaged, belongs to another key or lacks receipts that it had.
pub(super) fn open(ground: &Ground) -> anyhow::Result<(Registry, List)> {
    let dir = ground.data.opt_out();
    let mark = ground.data.opt_out_receipts();
    let known = read(&mark).with_context(|| format!("cannot read {}", mark.display()))?;
    if known.is_none() || ground.config.opt_out.registry.start_empty {
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let (registry, list) = Registry::open_with(&dir, &ground.config.opt_out, ground.clock.clone(), known)
        .with_context(|| {
            format!("the opt-out registry {} cannot be opened, so nothing may be measured", dir.display())
        })?;
    registry
        .bind_key(&ground.keys)
        .context("the opt-out registry cannot be used, so nothing may be measured")?;
    keep(&ground.data, &registry)?;
    Ok((registry, list))
}

/// Keeps the number of receipts for the next start.
///
/// # Errors
/// The disk's.
pub(super) fn keep(data: &DataDir, registry: &Registry) -> anyhow::Result<()> {
    let (mark, receipts) = (data.opt_out_receipts(), registry.stats().receipts);
    if read(&mark).ok().flatten() == Some(receipts) {
        return Ok(());
    }
    write_durably(&mark, 0o600, format!("{receipts}\n").as_bytes())
        .with_context(|| format!("cannot write {}", mark.display()))
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
