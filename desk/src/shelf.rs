//! Parts in a folder, a file each: written once, read when they are asked for. In memory stand their names, lengths and when they were put.
//!
//! ```text
//! <dir>/<id>.part       its bytes; put in place by a rename
//! <dir>/<id>.part.tmp   what a crash left of one that was never acknowledged; removed at the start
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::files::{self, Durability};
use crate::parts::PART_BYTES_MIN;
use crate::{PARTS_BYTES_MAX, is_id};

/// What the name of a file ends with.
const ENDING: &str = ".part";

pub(crate) struct Shelf {
    dir: PathBuf,
    parts: Mutex<BTreeMap<String, Part>>,
}

#[derive(Clone, Copy)]
struct Part {
    bytes: u64,
    /// When it was put, Unix milliseconds; 0 for one that was there at the start.
    put_ms: i64,
}

impl Shelf {
    /// The parts in a folder, which is made where it is missing.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let mut parts = BTreeMap::new();
        for path in files::of(dir)? {
            if let Some(id) = files::id(&path, ENDING) {
                let read = fs::metadata(&path).map_err(|error| Error::File { path: path.clone(), error })?;
                parts.insert(id.to_owned(), Part { bytes: read.len(), put_ms: 0 });
            }
        }
        Ok(Self { dir: dir.to_owned(), parts: Mutex::new(parts) })
    }

    /// The same without what is there: it is put again.
    pub(crate) fn empty(dir: &Path) -> Result<Self, Error> {
        let shelf = Self::open(dir)?;
        shelf.keep_only(&BTreeSet::new());
        Ok(shelf)
    }

    /// # Errors
    /// No room for so many more bytes.
    pub(crate) fn has_room(&self, bytes: usize) -> Result<(), Error> {
        let held: u64 = self.parts().values().map(|part| part.bytes.max(PART_BYTES_MIN)).sum();
        if held + (bytes as u64).max(PART_BYTES_MIN) > PARTS_BYTES_MAX {
            return Err(Error::NoRoom { max: PARTS_BYTES_MAX });
        }
        Ok(())
    }

    /// Puts a part. Only one of the same id may be under way at a time.
    pub(crate) fn put(
        &self,
        (id, bytes): (&str, &[u8]),
        put_ms: i64,
        durability: Durability,
    ) -> Result<(), Error> {
        let path = self.path(id);
        files::replace(&path, bytes, durability).map_err(|error| Error::File { path, error })?;
        self.parts().insert(id.to_owned(), Part { bytes: bytes.len() as u64, put_ms });
        Ok(())
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.parts().contains_key(id)
    }

    pub(crate) fn get(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        if !self.has(id) || !is_id(id) {
            return Ok(None);
        }
        let path = self.path(id);
        files::read(&path).map(Some).map_err(|error| Error::File { path, error })
    }

    /// Those of which something holds and that were put so long ago, or by whoever is gone.
    pub(crate) fn old(&self, is_wanted: impl Fn(&str) -> bool, age: Duration) -> Vec<String> {
        let before_ms = now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let parts = self.parts();
        let old = parts.iter().filter(|(id, part)| part.put_ms <= before_ms && is_wanted(id));
        old.map(|(id, _)| id.clone()).collect()
    }

    /// Takes a part away. What stays of it on the disk is looked at again at the next start.
    pub(crate) fn remove(&self, id: &str) {
        if self.parts().remove(id).is_some()
            && let Err(error) = fs::remove_file(self.path(id))
        {
            tracing::warn!(id, %error, "a part that nothing leads to cannot be removed");
        }
    }

    pub(crate) fn keep_only(&self, ids: &BTreeSet<String>) {
        let others: Vec<String> = self.parts().keys().filter(|id| !ids.contains(*id)).cloned().collect();
        for id in &others {
            self.remove(id);
        }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}{ENDING}"))
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<String, Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock: what other nodes' records are dated by.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_bytes_and_small_parts_count_as_a_block() {
        let dir = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::open(dir.path()).expect("opened");
        let part = |bytes| Part { bytes, put_ms: 0 };
        shelf.parts().insert("a-0".to_owned(), part(PARTS_BYTES_MAX - 2 * PART_BYTES_MIN));
        shelf.parts().insert("b-0".to_owned(), part(1));
        assert!(shelf.has_room(1).is_ok() && shelf.has_room(PART_BYTES_MIN as usize).is_ok());
        assert!(matches!(shelf.has_room(PART_BYTES_MIN as usize + 1), Err(Error::NoRoom { .. })));
        shelf.parts().insert("c-0".to_owned(), part(1));
        assert!(matches!(shelf.has_room(0), Err(Error::NoRoom { .. })));
    }
}
