//! The desk of one machine: a folder with a file for each document.
//!
//! ```text
//! desk/                     0700
//!   tokens/<id>.json        0600, the document as it was given; replaced by a rename, file and folder synced
//!   parts/<id>.json         part of what is longer; bytes, whatever its ending says. Read when it is asked for, the rest at the start
//!   tokens/<id>.json.tmp    what a crash left of one that was never acknowledged; removed at the start
//! ```

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::{DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, Document, Kind, is_id};

/// What the name of a document's file ends with.
const ENDING: &str = ".json";
/// What the name of a file ends with until it is whole.
const UNFINISHED: &str = ".json.tmp";

/// Documents by kind and id.
pub(crate) type Documents = BTreeMap<(Kind, String), Document>;

pub(crate) struct Folder {
    dir: PathBuf,
    documents: Mutex<Documents>,
}

impl Folder {
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let mut documents = Documents::new();
        for kind in Kind::ALL {
            let dir = dir.join(kind.name());
            let failed = |error| Error::File { path: dir.clone(), error };
            DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(failed)?;
            for entry in fs::read_dir(&dir).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                take(kind, &path, &mut documents).map_err(|error| Error::File { path, error })?;
            }
        }
        Ok(Self { dir: dir.to_owned(), documents: Mutex::new(documents) })
    }

    pub(crate) fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>, Error> {
        let found = self.documents().get(&(kind, id.to_owned())).cloned();
        if found.is_none() || !kind.is_left_on_disk() {
            return Ok(found);
        }
        let path = self.path(kind, id);
        read(&path).map(Some).map_err(|error| Error::File { path, error })
    }

    fn path(&self, kind: Kind, id: &str) -> PathBuf {
        self.dir.join(kind.name()).join(format!("{id}{ENDING}"))
    }

    pub(crate) fn list(&self, kind: Kind) -> Vec<(String, Document)> {
        of_kind(&self.documents(), kind)
    }

    pub(crate) fn put(&self, kind: Kind, id: &str, document: &[u8]) -> Result<(), Error> {
        // Held until the file is there: of two writers the one that is in force is the one on the disk.
        let mut documents = self.documents();
        has_room(&documents, kind, id)?;
        let path = self.path(kind, id);
        replace(&path, document).map_err(|error| Error::File { path, error })?;
        let kept = if kind.is_left_on_disk() { Document::default() } else { document.into() };
        documents.insert((kind, id.to_owned()), kept);
        Ok(())
    }

    fn documents(&self) -> MutexGuard<'_, Documents> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Takes in what stands in a folder.
fn take(kind: Kind, path: &Path, documents: &mut Documents) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.ends_with(UNFINISHED) {
        return fs::remove_file(path);
    }
    let Some(id) = name.strip_suffix(ENDING).filter(|id| is_id(id)) else {
        tracing::warn!(path = %path.display(), "a file that is no document of the desk is passed over");
        return Ok(());
    };
    let document = if kind.is_left_on_disk() { Document::default() } else { read(path)? };
    documents.insert((kind, id.to_owned()), document);
    Ok(())
}

fn read(path: &Path) -> io::Result<Document> {
    let mut bytes = Vec::new();
    File::open(path)?.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than a document of the desk may be"));
    }
    Ok(bytes.into())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("json.tmp");
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
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
}
