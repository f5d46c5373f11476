//! What is longer than a document, in parts of a document's length each.
//!
//! ```text
//! parts/<id>-0, <id>-1, …   the bytes, cut every 64 KiB
//! ```
//!
//! [`Parts`] says how many there are, how long they are together, and the first 16 bytes of their SHA-256: parts of something that was put again under
//! the same id, or half of it, are not taken for it.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{DOCUMENT_BYTES_MAX, Desk, Error, Kind};

/// Most bytes that are kept in parts under one id.
pub const PARTS_BYTES_MAX: usize = 16 << 20;
/// Bytes of the hash that are kept.
const HASH_BYTES: usize = 16;

/// What leads to something that is kept in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The id that it was put under.
    pub id: String,
    /// Its bytes.
    pub bytes: usize,
    /// The first 16 bytes of its SHA-256, as hexadecimal digits.
    pub sha256: String,
}

impl Desk {
    /// Keeps bytes in parts, in place of those that were kept under this id, which cannot be read from its beginning on. Blocks until they are durable.
    ///
    /// # Errors
    /// As [`Desk::put`].
    pub fn put_parts(&self, id: &str, bytes: &[u8]) -> Result<Parts, Error> {
        if bytes.len() > PARTS_BYTES_MAX {
            return Err(Error::TooLong { bytes: bytes.len(), max: PARTS_BYTES_MAX });
        }
        for (number, part) in bytes.chunks(DOCUMENT_BYTES_MAX).enumerate() {
            self.put(Kind::Parts, &part_id(id, number), part)?;
        }
        Ok(Parts { id: id.to_owned(), bytes: bytes.len(), sha256: hash(bytes) })
    }

    /// The bytes that were kept in parts.
    ///
    /// # Errors
    /// As [`Desk::get_heard`], and [`Error::Part`] where they are no longer what was put.
    pub fn get_parts(&self, parts: &Parts) -> Result<Vec<u8>, Error> {
        let is_lost = |number| Error::Part { id: parts.id.clone(), number };
        if parts.bytes > PARTS_BYTES_MAX {
            return Err(is_lost(0));
        }
        let mut bytes = Vec::with_capacity(parts.bytes);
        for number in 0..parts.bytes.div_ceil(DOCUMENT_BYTES_MAX) {
            let part =
                self.get_heard(Kind::Parts, &part_id(&parts.id, number))?.ok_or_else(|| is_lost(number))?;
            bytes.extend_from_slice(&part);
        }
        if bytes.len() == parts.bytes && hash(&bytes) == parts.sha256 { Ok(bytes) } else { Err(is_lost(0)) }
    }
}

fn part_id(id: &str, number: usize) -> String {
    format!("{id}-{number}")
}

fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let hash = Sha256::digest(bytes);
    hash.iter().take(HASH_BYTES).fold(String::with_capacity(2 * HASH_BYTES), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_comes_back_whole_after_a_start_and_not_at_all_once_it_was_changed() {
        let dir = tempfile::tempdir().expect("a folder");
        let bytes: Vec<u8> = (0..3 * DOCUMENT_BYTES_MAX + 7).map(|n| (n % 251) as u8).collect();
        let desk = Desk::folder(dir.path()).expect("opened");
        let parts = desk.put_parts("a", &bytes).expect("kept");
        let empty = desk.put_parts("b", b"").expect("kept");
        let again = Desk::folder(dir.path()).expect("opened again");
        for desk in [&desk, &again] {
            assert_eq!(desk.get_parts(&parts).expect("whole"), bytes);
            assert_eq!(desk.get_parts(&empty).expect("whole"), b"");
        }
        // Something else under the same id, as long as the first.
        let other: Vec<u8> = bytes.iter().map(|byte| byte ^ 1).collect();
        desk.put_parts("a", &other).expect("kept");
        assert!(matches!(desk.get_parts(&parts), Err(Error::Part { .. })));
        let other = desk.put_parts("a", &other).expect("kept");
        std::fs::remove_file(dir.path().join("parts/a-2.json")).expect("removed");
        assert!(matches!(again.get_parts(&other), Err(Error::File { .. })), "known at its start, and gone");
        let third = Desk::folder(dir.path()).expect("opened again");
        assert!(matches!(third.get_parts(&other), Err(Error::Part { number: 2, .. })));
    }

    #[test]
    fn there_is_a_limit() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("opened");
        let long = vec![0; PARTS_BYTES_MAX + 1];
        assert!(matches!(desk.put_parts("a", &long), Err(Error::TooLong { .. })));
    }
}
