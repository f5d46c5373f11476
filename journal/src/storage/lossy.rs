//! A disk in memory that keeps only what it promised: for tests. What was not synced is lost at a power failure, wholly, in part or not at
//! all, by seed, in sectors; names that were not synced with their directory likewise; and any operation can be made to fail.
//!
//! It is stricter than file systems are in practice: it keeps no order between unsynced operations. After a failed sync the unsynced
//! bytes count as clean (they may or may not be there, and a later sync does not save them), as on Linux.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{Lock, Storage, StorageFile};
use crate::writer::lock;

/// Bytes that reach a disk together or not at all.
const SECTOR_BYTES: usize = 512;

/// Numbers that look random and are the same for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice for a seed.
    pub fn new(seed: u64) -> Dice {
        // The generator must not start at 0, and neighbouring seeds must not start alike.
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d | 1)
    }

    /// A number below `limit` (which is above 0).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit.max(1)
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What a power failure leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of it reached the disk.
    Nothing,
    /// None of it did.
    Everything,
    /// Some operations and some sectors did, by seed.
    Some(u64),
}

/// An operation that changes something, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A file was created.
    Create(PathBuf),
    /// Bytes were written.
    Write(PathBuf),
    /// A file was synced.
    Sync(PathBuf),
    /// A file was cut.
    Truncate(PathBuf),
    /// A file took the name of another.
    Rename(PathBuf, PathBuf),
    /// A file was removed.
    Remove(PathBuf),
    /// A directory was synced.
    SyncDir(PathBuf),
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct LossyStorage(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<Renaming>,
    locked: BTreeSet<PathBuf>,
    log: Vec<Operation>,
    faults: BTreeMap<usize, io::ErrorKind>,
    power_off_after: Option<usize>,
    capacity_bytes: Option<u64>,
}

#[derive(Clone, Default)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Unsynced when a sync failed: a later sync does not touch them.
    forsaken: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { bytes: usize },
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Truncate { bytes } => to.resize(*bytes, 0),
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                if let Some(place) = to.get_mut(*offset..end) {
                    place.copy_from_slice(bytes);
                }
            }
        }
    }

    /// Applies the sectors of it that the dice let through.
    fn apply_some(&self, to: &mut Vec<u8>, dice: &mut Dice) {
        let Change::Write { offset, bytes } = self else {
            if dice.one_in(2) {
                self.apply(to);
            }
            return;
        };
        let mut at = 0;
        while at < bytes.len() {
            let to_border = SECTOR_BYTES - (offset + at) % SECTOR_BYTES;
            let end = bytes.len().min(at + to_border);
            if dice.one_in(2) {
                let sector = bytes.get(at..end).unwrap_or_default().to_vec();
                Change::Write { offset: offset + at, bytes: sector }.apply(to);
            }
            at = end;
        }
    }
}

/// One change of names: both happen or neither.
struct Renaming {
    cleared: Option<PathBuf>,
    set: Option<(PathBuf, usize)>,
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(path) = &self.cleared {
            names.remove(path);
        }
        if let Some((path, file)) = &self.set {
            names.insert(path.clone(), *file);
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

impl State {
    fn is_off(&self) -> bool {
        self.power_off_after.is_some_and(|after| self.log.len() >= after)
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off() { Err(power_is_off()) } else { Ok(()) }
    }

    /// Notes an operation; its fault, if one was planned for it.
    fn begin(&mut self, operation: Operation) -> io::Result<Option<io::ErrorKind>> {
        self.check_power()?;
        let fault = self.faults.remove(&self.log.len());
        self.log.push(operation);
        Ok(fault)
    }

    fn file(&mut self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(*file)).map(|file| file.live.len() as u64).sum()
    }

    fn free_bytes(&self) -> u64 {
        self.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used_bytes()))
    }

    fn rename_names(&mut self, renaming: Renaming) {
        renaming.apply(&mut self.names);
        self.unsynced_names.push(renaming);
    }
}

impl LossyStorage {
    /// An empty disk.
    pub fn new() -> LossyStorage {
        LossyStorage::default()
    }

    /// How many operations that change something were asked for.
    pub fn operations(&self) -> usize {
        lock(&self.0).log.len()
    }

    /// The operations so far, in order.
    pub fn log(&self) -> Vec<Operation> {
        lock(&self.0).log.clone()
    }

    /// Has the operation with this index (counted from 0 over the life of the disk) fail: a write after half of its bytes, a sync as on
    /// Linux, anything else without an effect.
    pub fn fail_at(&self, operation: usize, kind: io::ErrorKind) {
        lock(&self.0).faults.insert(operation, kind);
    }

    /// Lets no operation happen once so many have.
    pub fn power_off_after(&self, operations: usize) {
        lock(&self.0).power_off_after = Some(operations);
    }

    /// Limits the bytes of all files, or lifts the limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.0).capacity_bytes = bytes;
    }

    /// Pulls the plug and puts it in again: the disk as it is found afterwards. This one stays off.
    #[must_use]
    pub fn crash(&self, loss: Loss) -> LossyStorage {
        let mut state = lock(&self.0);
        state.power_off_after = Some(0);
        let mut dice = Dice::new(if let Loss::Some(seed) = loss { seed } else { 0 });
        let mut names = state.durable_names.clone();
        for renaming in &state.unsynced_names {
            if loss == Loss::Nothing || (loss != Loss::Everything && dice.one_in(2)) {
                renaming.apply(&mut names);
            }
        }
        let mut next = State { capacity_bytes: state.capacity_bytes, ..State::default() };
        for file in &state.files {
            let mut bytes = file.durable.clone();
            for change in file.forsaken.iter().chain(&file.unsynced) {
                match loss {
                    Loss::Nothing => change.apply(&mut bytes),
                    Loss::Everything => {}
                    Loss::Some(_) => change.apply_some(&mut bytes, &mut dice),
                }
            }
            next.files.push(Contents { live: bytes.clone(), durable: bytes, ..Contents::default() });
        }
        next.names.clone_from(&names);
        next.durable_names = names;
        LossyStorage(Arc::new(Mutex::new(next)))
    }

    /// The files and their bytes, as a running program sees them.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = lock(&self.0);
        let bytes = |file: usize| state.files.get(file).map(|file| file.live.clone()).unwrap_or_default();
        state.names.iter().map(|(path, file)| (path.clone(), bytes(*file))).collect()
    }

    /// A disk with these files, all durable.
    pub fn with_files(files: BTreeMap<PathBuf, Vec<u8>>) -> LossyStorage {
        let mut state = State::default();
        for (path, bytes) in files {
            state.names.insert(path, state.files.len());
            state.files.push(Contents { live: bytes.clone(), durable: bytes, ..Contents::default() });
        }
        state.durable_names = state.names.clone();
        LossyStorage(Arc::new(Mutex::new(state)))
    }
}

impl Storage for LossyStorage {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        lock(&self.0).check_power()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut state = lock(&self.0);
        if let Some(kind) = state.begin(Operation::Create(path.to_path_buf()))? {
            return Err(kind.into());
        }
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Contents::default());
        state.rename_names(Renaming { cleared: None, set: Some((path.to_path_buf(), file)) });
        Ok(Box::new(LossyFile { disk: self.clone(), path: path.to_path_buf(), file }))
    }

    fn open(&self, path: &Path, _write: bool) -> io::Result<Box<dyn StorageFile>> {
        let mut state = lock(&self.0);
        state.check_power()?;
        let file = state.file(path)?;
        Ok(Box::new(LossyFile { disk: self.clone(), path: path.to_path_buf(), file }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = lock(&self.0);
        state.check_power()?;
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        if let Some(kind) = state.begin(Operation::Rename(from.to_path_buf(), to.to_path_buf()))? {
            return Err(kind.into());
        }
        let file = state.file(from)?;
        state.rename_names(Renaming {
            cleared: Some(from.to_path_buf()),
            set: Some((to.to_path_buf(), file)),
        });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.check_power()?;
        state.file(path)?;
        if let Some(kind) = state.begin(Operation::Remove(path.to_path_buf()))? {
            return Err(kind.into());
        }
        state.rename_names(Renaming { cleared: Some(path.to_path_buf()), set: None });
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = lock(&self.0);
        if let Some(kind) = state.begin(Operation::SyncDir(dir.to_path_buf()))? {
            return Err(kind.into());
        }
        state.durable_names = state.names.clone();
        state.unsynced_names.clear();
        Ok(())
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = lock(&self.0);
        state.check_power()?;
        Ok(state.free_bytes())
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let mut state = lock(&self.0);
        state.check_power()?;
        if !state.locked.insert(path.to_path_buf()) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another lane in this test"));
        }
        Ok(Lock::new(Held { disk: self.clone(), path: path.to_path_buf() }))
    }
}

struct Held {
    disk: LossyStorage,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.disk.0).locked.remove(&self.path);
    }
}

struct LossyFile {
    disk: LossyStorage,
    path: PathBuf,
    file: usize,
}

impl LossyFile {
    /// Looks at the file's bytes, or changes them.
    fn with<T>(&self, state: &mut State, act: impl FnOnce(&mut Contents) -> T) -> io::Result<T> {
        state.files.get_mut(self.file).map(act).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl StorageFile for LossyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        let mut fault = state.begin(Operation::Write(self.path.clone()))?;
        let mut taken = if fault.is_some() { bytes.len() / 2 } else { bytes.len() };
        let free = usize::try_from(state.free_bytes()).unwrap_or(usize::MAX);
        if taken > free {
            (taken, fault) = (free, fault.or(Some(io::ErrorKind::StorageFull)));
        }
        let bytes = bytes.get(..taken).unwrap_or_default().to_vec();
        let change = Change::Write { offset: usize::try_from(offset).unwrap_or(usize::MAX), bytes };
        self.with(&mut state, |contents| {
            change.apply(&mut contents.live);
            contents.unsynced.push(change);
        })?;
        fault.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = lock(&self.disk.0);
        state.check_power()?;
        self.with(&mut state, |contents| {
            let rest = contents.live.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
                to.copy_from_slice(from);
            }
            count
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        let fault = state.begin(Operation::Sync(self.path.clone()))?;
        self.with(&mut state, |contents| {
            let unsynced = std::mem::take(&mut contents.unsynced);
            if fault.is_some() {
                contents.forsaken.extend(unsynced);
                return;
            }
            for change in unsynced {
                change.apply(&mut contents.durable);
            }
        })?;
        fault.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn bytes(&self) -> io::Result<u64> {
        let mut state = lock(&self.disk.0);
        state.check_power()?;
        self.with(&mut state, |contents| contents.live.len() as u64)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        if let Some(kind) = state.begin(Operation::Truncate(self.path.clone()))? {
            return Err(kind.into());
        }
        let change = Change::Truncate { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) };
        self.with(&mut state, |contents| {
            change.apply(&mut contents.live);
            contents.unsynced.push(change);
        })
    }
}
