//! A disk that can be made to hang or to fail.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use journal::storage::{Disk, Lock, Storage, StorageFile};

/// What the disk does with writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Writes wait until it is well again.
    Hung,
    /// Writes and new files fail.
    Failing,
}

/// The disk of this machine behind a [`Mood`].
#[derive(Clone)]
pub(crate) struct MoodyDisk(Arc<(Mutex<Mood>, Condvar)>);

impl MoodyDisk {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new(Mood::Well), Condvar::new())))
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = mood;
        self.0.1.notify_all();
    }

    fn ask(&self) -> io::Result<()> {
        let mut mood = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *mood == Mood::Hung {
            mood = self.0.1.wait(mood).unwrap_or_else(PoisonError::into_inner);
        }
        if *mood == Mood::Failing { Err(io::Error::other("a failing disk")) } else { Ok(()) }
    }
}

impl Storage for MoodyDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.create_dir(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.ask()?;
        Ok(Box::new(MoodyFile(self.clone(), Disk.create(path)?)))
    }
    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(MoodyFile(self.clone(), Disk.open(path, write)?)))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        Disk.list(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.sync_dir(dir)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        Disk.free_bytes(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Lock> {
        Disk.lock(path)
    }
}

struct MoodyFile(MoodyDisk, Box<dyn StorageFile>);

impl StorageFile for MoodyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.ask()?;
        self.1.write_at(bytes, offset)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.read_at(buffer, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.sync()
    }
    fn bytes(&self) -> io::Result<u64> {
        self.1.bytes()
    }
    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.1.truncate(bytes)
    }
}
