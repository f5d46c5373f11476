//! What is longer than a document, or small and many: pieces, one behind the other in a stack, cut into parts of a document's length.
//!
//! ```text
//! parts/<name>-<nonce>-0, -1, …   the bytes of all pieces of a stack, cut every 64 KiB
//! ```
//!
//! The nonce is drawn for each stack, so that no part is ever written over: what a write that nobody confirmed left behind, now or later, is of another
//! stack. [`Piece`] says where a piece stands, how long it is, and the first 16 bytes of its SHA-256.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{DOCUMENT_BYTES_MAX, Desk, Error, Place, is_id};

/// Longest piece, bytes.
pub const PIECE_BYTES_MAX: usize = 16 << 20;
/// Most bytes of all parts together. Each counts as [`PART_BYTES_MIN`] at least.
pub const PARTS_BYTES_MAX: u64 = 1 << 30;
/// What a part takes up at least: a block of the disk, and its name in memory.
pub(crate) const PART_BYTES_MIN: u64 = 4 << 10;
/// Bytes of the hash that are kept.
const HASH_BYTES: usize = 16;
/// Random bytes in the id of a stack.
const NONCE_BYTES: usize = 8;

/// What leads to a piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The stack that it stands in.
    pub stack: String,
    /// Where it begins, bytes.
    pub at: u64,
    /// Its bytes.
    pub bytes: usize,
    /// The first 16 bytes of its SHA-256, as hexadecimal digits.
    pub sha256: String,
}

/// Pieces that are being put. None of them can be read before [`Stack::finish`].
#[must_use = "what was added last is put by finish"]
pub struct Stack<'d> {
    desk: &'d Desk,
    id: String,
    /// Bytes before `rest`.
    put: u64,
    /// What fills no part yet.
    rest: Vec<u8>,
}

impl Desk {
    /// Begins a stack. The name, with room for a nonce and a number behind it, is an id of the desk.
    ///
    /// # Errors
    /// [`Error::Random`]
    pub fn stack(&self, name: &str) -> Result<Stack<'_>, Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(Error::Random)?;
        Ok(Stack { desk: self, id: format!("{name}-{}", hex(&nonce)), put: 0, rest: Vec::new() })
    }

    /// A piece.
    ///
    /// # Errors
    /// [`Error::Behind`] before everything was heard for the first time, [`Error::File`], and [`Error::Part`] where it is no longer what was put.
    pub fn get_piece(&self, piece: &Piece) -> Result<Vec<u8>, Error> {
        const LENGTH: u64 = DOCUMENT_BYTES_MAX as u64;
        let is_lost = |number| Error::Part { id: piece.stack.clone(), number };
        if piece.bytes > PIECE_BYTES_MAX {
            return Err(is_lost(0));
        }
        let mut bytes = Vec::with_capacity(piece.bytes);
        let mut number = piece.at / LENGTH;
        let mut skip = usize::try_from(piece.at % LENGTH).unwrap_or_default();
        while bytes.len() < piece.bytes {
            let part = self.get_part(&part_id(&piece.stack, number))?.ok_or_else(|| is_lost(number))?;
            let left = piece.bytes - bytes.len();
            let of_piece = part.get(skip..).unwrap_or_default();
            if of_piece.is_empty() {
                return Err(is_lost(number));
            }
            bytes.extend_from_slice(of_piece.get(..left).unwrap_or(of_piece));
            (number, skip) = (number + 1, 0);
        }
        if hash(&bytes) == piece.sha256 { Ok(bytes) } else { Err(is_lost(number)) }
    }

    /// Takes away the parts of stacks that nothing leads to, other than those which were put less than `age` ago: their document may still come. `kept`
    /// names every stack that a document of any kind leads to. For the node that writes. How many went.
    ///
    /// # Errors
    /// [`Error::Behind`] while this node may not have heard of every document; else as [`Desk::put`].
    pub fn sweep(&self, kept: &BTreeSet<String>, age: Duration) -> Result<usize, Error> {
        let is_orphan = |id: &str| id.rsplit_once('-').is_some_and(|(stack, _)| !kept.contains(stack));
        match &*self.0 {
            Place::Folder(folder) => Ok(folder.sweep(is_orphan, age)),
            Place::Topic(topic) => topic.sweep(is_orphan, age),
        }
    }

    fn put_part(&self, id: &str, bytes: &[u8]) -> Result<(), Error> {
        if !is_id(id) {
            return Err(Error::Id);
        }
        match &*self.0 {
            Place::Folder(folder) => folder.put_part(id, bytes),
            Place::Topic(topic) => topic.put_part(id, bytes),
        }
    }

    fn get_part(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        match &*self.0 {
            Place::Folder(folder) => folder.get_part(id),
            Place::Topic(topic) => topic.get_part(id),
        }
    }
}

impl Stack<'_> {
    /// Puts a piece behind those before it. Blocks while parts that are full are made durable.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::NoRoom`], and as [`Desk::put`].
    pub fn add(&mut self, bytes: &[u8]) -> Result<Piece, Error> {
        if bytes.len() > PIECE_BYTES_MAX {
            return Err(Error::TooLong { bytes: bytes.len(), max: PIECE_BYTES_MAX });
        }
        let at = self.put + self.rest.len() as u64;
        self.rest.extend_from_slice(bytes);
        let full = self.rest.len() - self.rest.len() % DOCUMENT_BYTES_MAX;
        let parts: Vec<u8> = self.rest.drain(..full).collect();
        self.put_all(&parts)?;
        Ok(Piece { stack: self.id.clone(), at, bytes: bytes.len(), sha256: hash(bytes) })
    }

    /// Blocks until all pieces are durable.
    ///
    /// # Errors
    /// As [`Stack::add`].
    pub fn finish(mut self) -> Result<(), Error> {
        let rest = std::mem::take(&mut self.rest);
        self.put_all(&rest)
    }

    fn put_all(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for part in bytes.chunks(DOCUMENT_BYTES_MAX) {
            let number = self.put / DOCUMENT_BYTES_MAX as u64;
            self.desk.put_part(&part_id(&self.id, number), part)?;
            self.put += part.len() as u64;
        }
        Ok(())
    }
}

fn part_id(stack: &str, number: u64) -> String {
    format!("{stack}-{number}")
}

fn hash(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).get(..HASH_BYTES).unwrap_or_default())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    fn put(desk: &Desk, name: &str, pieces: &[&[u8]]) -> Vec<Piece> {
        let mut stack = desk.stack(name).expect("begun");
        let pieces = pieces.iter().map(|bytes| stack.add(bytes).expect("kept")).collect();
        stack.finish().expect("kept");
        pieces
    }

    fn files(dir: &Path) -> Vec<String> {
        let files = std::fs::read_dir(dir.join("parts")).expect("a folder");
        let mut names: Vec<String> =
            files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_long_and_what_is_small_comes_back_whole_after_a_start() {
        let dir = tempfile::tempdir().expect("a folder");
        let long = bytes(3 * DOCUMENT_BYTES_MAX + 7);
        let desk = Desk::folder(dir.path()).expect("opened");
        let all: [&[u8]; 5] = [b"small", &long, b"", &long[..DOCUMENT_BYTES_MAX], b"last"];
        let pieces = put(&desk, "a", &all);
        assert_eq!(files(dir.path()).len(), 5, "small ones lie together");
        let again = Desk::folder(dir.path()).expect("opened again");
        for desk in [&desk, &again] {
            for (piece, bytes) in pieces.iter().zip(all) {
                assert_eq!(desk.get_piece(piece).expect("whole"), bytes);
            }
        }
        let name = files(dir.path()).remove(0);
        std::fs::write(dir.path().join("parts").join(&name), b"smell").expect("changed");
        assert!(matches!(again.get_piece(&pieces[0]), Err(Error::Part { .. })));
        std::fs::remove_file(dir.path().join("parts").join(&name)).expect("removed");
        assert!(
            matches!(again.get_piece(&pieces[0]), Err(Error::File { .. })),
            "known at its start, and gone"
        );
        let third = Desk::folder(dir.path()).expect("opened again");
        assert!(matches!(third.get_piece(&pieces[0]), Err(Error::Part { number: 0, .. })));
        assert_eq!(third.get_piece(&pieces[4]).expect("whole"), b"last");
    }

    #[test]
    fn what_was_put_under_one_name_is_not_written_over_under_the_same() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("opened");
        let (one, two) = (put(&desk, "a", &[b"one"]), put(&desk, "a", &[b"two"]));
        assert_eq!(desk.get_piece(&one[0]).expect("whole"), b"one");
        assert_eq!(desk.get_piece(&two[0]).expect("whole"), b"two");
    }

    #[test]
    fn what_nothing_leads_to_goes_and_what_is_being_put_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("opened");
        let (kept, orphan) = (put(&desk, "a", &[b"one"]), put(&desk, "a", &[b"two"]));
        let named = BTreeSet::from([kept[0].stack.clone()]);
        let age = Duration::from_hours(1);
        assert_eq!(desk.sweep(&named, age).expect("swept"), 0, "its document may still come");
        // Whoever put it is gone.
        let again = Desk::folder(dir.path()).expect("opened again");
        assert_eq!(again.sweep(&named, age).expect("swept"), 1);
        assert_eq!(again.get_piece(&kept[0]).expect("whole"), b"one");
        assert!(matches!(again.get_piece(&orphan[0]), Err(Error::Part { .. })));
        assert_eq!(files(dir.path()).len(), 1);
        assert_eq!(desk.sweep(&named, Duration::ZERO).expect("swept"), 1, "old enough");
    }

    #[test]
    fn a_piece_has_a_limit_and_leads_nowhere_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("opened");
        let mut stack = desk.stack("a").expect("begun");
        assert!(matches!(stack.add(&vec![0; PIECE_BYTES_MAX + 1]), Err(Error::TooLong { .. })));
        assert!(matches!(stack.finish(), Ok(())));
        let piece = put(&desk, "a", &[b"one"]).remove(0);
        for changed in [
            Piece { stack: "../tokens/a".to_owned(), ..piece.clone() },
            Piece { at: u64::MAX, ..piece.clone() },
            Piece { bytes: usize::MAX, ..piece.clone() },
            Piece { bytes: 4, ..piece.clone() },
            Piece { at: 1, bytes: 2, ..piece },
        ] {
            assert!(matches!(desk.get_piece(&changed), Err(Error::Part { .. })), "{changed:?}");
        }
    }
}
