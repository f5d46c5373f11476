//! Files of the desk: written whole or not at all, readable by their owner alone, of a document's length at most.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::{DOCUMENT_BYTES_MAX, is_id};

/// What the name of a file ends with until it is whole, behind its own ending.
const UNFINISHED: &str = "tmp";

/// Whether a file has to outlive the machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// File and folder are synced.
    Synced,
    /// It is a copy of what is durable elsewhere.
    Copy,
}

/// The files in a folder, which is made where it is missing; unfinished ones go.
pub(crate) fn of(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::File { path: dir.to_owned(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == UNFINISHED) {
            fs::remove_file(&path).map_err(|error| Error::File { path, error })?;
        } else {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// What a file is of, by its name; `None` for one that is not the desk's.
pub(crate) fn id<'p>(path: &'p Path, ending: &str) -> Option<&'p str> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let id = name.strip_suffix(ending).filter(|id| is_id(id));
    if id.is_none() {
        tracing::warn!(path = %path.display(), "a file that is none of the desk's is passed over");
    }
    id
}

pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than a document of the desk may be"));
    }
    Ok(bytes)
}

pub(crate) fn replace(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".");
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    if durability == Durability::Copy {
        return fs::rename(&unfinished, path);
    }
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    sync_folder(path)
}

/// Durably.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
