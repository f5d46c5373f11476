//! The desk of one machine: a folder with a file for each document.
//!
//! ```text
//! desk/                     0700
//!   tokens/<id>.json        0600, the document as it was given; replaced by a rename, file and folder synced
//!   tokens/<id>.json.tmp    what a crash left of one that was never acknowledged; removed at the start
//!   parts/                  what is longer than a document: see `shelf.rs`
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::files::{self, Durability};
use crate::shelf::{Shelf, now_ms};
use crate::{DOCUMENTS_MAX, Document, Kind, PARTS};

/// What the name of a document's file ends with.
const ENDING: &str = ".json";

/// Documents by kind and id.
pub(crate) type Documents = BTreeMap<(Kind, String), Document>;

pub(crate) struct Folder {
    dir: PathBuf,
    documents: Mutex<Documents>,
    /// Held while a file is written: of two writers the one that is in force is the one on the disk. Who reads does not wait for it.
    writing: Mutex<()>,
    parts: Shelf,
}

impl Folder {
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let mut documents = Documents::new();
        for kind in Kind::ALL {
            for path in files::of(&dir.join(kind.name()))? {
                if let Some(id) = files::id(&path, ENDING) {
                    let read =
                        files::read(&path).map_err(|error| Error::File { path: path.clone(), error })?;
                    documents.insert((kind, id.to_owned()), read.into());
                }
            }
        }
        let parts = Shelf::open(&dir.join(PARTS))?;
        Ok(Self { dir: dir.to_owned(), documents: Mutex::new(documents), writing: Mutex::default(), parts })
    }

    pub(crate) fn get(&self, kind: Kind, id: &str) -> Option<Document> {
        self.documents().get(&(kind, id.to_owned())).cloned()
    }

    pub(crate) fn list(&self, kind: Kind) -> Vec<(String, Document)> {
        of_kind(&self.documents(), kind)
    }

    pub(crate) fn put(&self, kind: Kind, id: &str, document: &[u8]) -> Result<(), Error> {
        let _turn = self.turn();
        has_room(&self.documents(), kind, id)?;
        let path = self.path(kind, id);
        files::replace(&path, document, Durability::Synced).map_err(|error| Error::File { path, error })?;
        self.documents().insert((kind, id.to_owned()), document.into());
        Ok(())
    }

    pub(crate) fn remove(&self, kind: Kind, id: &str) -> Result<(), Error> {
        let _turn = self.turn();
        if self.get(kind, id).is_some() {
            let path = self.path(kind, id);
            files::remove(&path).map_err(|error| Error::File { path, error })?;
            self.documents().remove(&(kind, id.to_owned()));
        }
        Ok(())
    }

    fn path(&self, kind: Kind, id: &str) -> PathBuf {
        self.dir.join(kind.name()).join(format!("{id}{ENDING}"))
    }

    pub(crate) fn put_part(&self, id: &str, bytes: &[u8]) -> Result<(), Error> {
        let _turn = self.turn();
        self.parts.has_room(bytes.len())?;
        self.parts.put((id, bytes), now_ms(), Durability::Synced)
    }

    pub(crate) fn get_part(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        self.parts.get(id)
    }

    pub(crate) fn sweep(&self, is_orphan: impl Fn(&str) -> bool, age: Duration) -> usize {
        let _turn = self.turn();
        let orphans = self.parts.old(is_orphan, age);
        for id in &orphans {
            self.parts.remove(id);
        }
        orphans.len()
    }

    fn documents(&self) -> MutexGuard<'_, Documents> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn of_kind(documents: &Documents, kind: Kind) -> Vec<(String, Document)> {
    let of_kind = documents.iter().filter(|((of, _), _)| *of == kind);
    of_kind.map(|((_, id), document)| (id.clone(), Document::clone(document))).collect()
}

/// # Errors
/// A document that is new, and no room for one.
pub(crate) fn has_room(documents: &Documents, kind: Kind, id: &str) -> Result<(), Error> {
    let is_new = !documents.contains_key(&(kind, id.to_owned()));
    if is_new && documents.keys().filter(|(of, _)| *of == kind).count() >= DOCUMENTS_MAX {
        return Err(Error::Full { kind: kind.name(), max: DOCUMENTS_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::{DOCUMENT_BYTES_MAX, Desk, Error, Kind};

    #[test]
    fn what_was_put_is_there_after_a_start_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().join("desk");
        let desk = Desk::folder(&root).expect("opened");
        desk.put(Kind::Tokens, "a1", b"one").expect("put");
        desk.put(Kind::Tokens, "a1", b"two").expect("replaced");
        desk.put(Kind::TokenUses, "a1", b"use").expect("put");
        let again = Desk::folder(&root).expect("opened again");
        for desk in [&desk, &again] {
            assert_eq!(desk.get(Kind::Tokens, "a1").expect("known").as_deref(), Some(&b"two"[..]));
            assert_eq!(desk.get(Kind::Tokens, "a2").expect("known"), None);
            let uses = desk.list(Kind::TokenUses).expect("known");
            assert_eq!(
                uses.iter().map(|(id, bytes)| (id.as_str(), &**bytes)).collect::<Vec<_>>(),
                [("a1", &b"use"[..])]
            );
        }
        let mode =
            |path: &str| std::fs::metadata(root.join(path)).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode("tokens"), mode("tokens/a1.json")), (0o700, 0o600));
    }

    #[test]
    fn what_was_removed_is_gone_after_a_start_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("opened");
        desk.put(Kind::Alerts, "a1", b"one").expect("put");
        desk.put(Kind::Alerts, "a2", b"two").expect("put");
        desk.remove(Kind::Alerts, "a1").expect("removed");
        desk.remove(Kind::Alerts, "a1").expect("nothing is there");
        for desk in [&desk, &Desk::folder(dir.path()).expect("opened again")] {
            let left = desk.list(Kind::Alerts).expect("known");
            assert_eq!(left.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a2"]);
        }
        assert!(matches!(desk.remove(Kind::Alerts, "../a2"), Err(Error::Id)));
    }

    #[test]
    fn what_a_crash_left_is_no_document_and_strange_files_stay() {
        let dir = tempfile::tempdir().expect("a folder");
        drop(Desk::folder(dir.path()).expect("made"));
        let tokens = dir.path().join("tokens");
        std::fs::write(tokens.join("a1.json.tmp"), b"half").expect("written");
        std::fs::write(tokens.join("notes.txt"), b"mine").expect("written");
        std::fs::write(tokens.join("..x.json"), b"mine").expect("written");
        let desk = Desk::folder(dir.path()).expect("opened");
        assert!(desk.list(Kind::Tokens).expect("known").is_empty());
        assert!(!tokens.join("a1.json.tmp").exists() && tokens.join("notes.txt").exists());
        std::fs::write(tokens.join("long.json"), vec![b' '; DOCUMENT_BYTES_MAX + 1]).expect("written");
        assert!(
            matches!(Desk::folder(dir.path()), Err(Error::File { .. })),
            "what cannot be read may be a revocation"
        );
    }

    #[test]
    fn an_id_leads_nowhere_else_and_a_document_has_a_limit() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("opened");
        for id in ["", "../a", "a/b", ".", "a.b", "ä", &"a".repeat(129)] {
            assert!(matches!(desk.put(Kind::Tokens, id, b""), Err(Error::Id)), "{id}");
        }
        let long = vec![0; DOCUMENT_BYTES_MAX + 1];
        assert!(matches!(desk.put(Kind::Tokens, "a", &long), Err(Error::TooLong { .. })));
    }

    #[test]
    fn a_write_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("opened");
        desk.put(Kind::Tokens, "a1", b"one").expect("put");
        // A folder in the place of the unfinished file: nothing can be written there, whoever runs the test.
        std::fs::create_dir(dir.path().join("tokens/a1.json.tmp")).expect("made");
        assert!(matches!(desk.put(Kind::Tokens, "a1", b"two"), Err(Error::File { .. })));
        assert_eq!(desk.get(Kind::Tokens, "a1").expect("known").as_deref(), Some(&b"one"[..]));
    }

    /// Who asks whether a token is in force does not wait for somebody's write: a pipe in the place of the file is one that takes for ever.
    #[test]
    fn what_is_in_force_is_told_while_something_is_being_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let desk = Desk::folder(dir.path()).expect("opened");
        desk.put(Kind::Tokens, "a1", b"one").expect("put");
        let pipe = dir.path().join("numbers/n1.json.tmp");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("is there").success());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| desk.put(Kind::Numbers, "n1", b"two"));
            let crate::Place::Folder(folder) = &*desk.0 else { panic!("a folder") };
            while folder.writing.try_lock().is_ok() {
                std::thread::yield_now();
            }
            assert_eq!(desk.get(Kind::Tokens, "a1").expect("known").as_deref(), Some(&b"one"[..]));
            drop(std::fs::File::open(&pipe).expect("the other end"));
            // A pipe that nobody reads from cannot be synced, whatever became of its bytes.
            assert!(writer.join().expect("ended").is_err());
        });
    }
}
