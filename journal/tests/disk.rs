//! Disks that hang, and a committer that panics: nobody waits for ever, and what is refused is refused at once.

mod support;

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use journal::storage::lossy::LossyStorage;
use journal::storage::{Lock, Storage, StorageFile};
use journal::{AppendError, CommitError, Health, Lane, Writer};
use support::{HandClock, eventually, replay, small};

/// A disk that calls `before_write` before each write of a frame.
struct Hooked {
    disk: LossyStorage,
    before_write: Arc<dyn Fn() + Send + Sync>,
}

struct HookedFile {
    file: Box<dyn StorageFile>,
    before_write: Arc<dyn Fn() + Send + Sync>,
}

impl Storage for Hooked {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(HookedFile { file: self.disk.create(path)?, before_write: self.before_write.clone() }))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Box<dyn StorageFile>> {
        self.disk.open(path, write)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.disk.lock(path)
    }
}

impl StorageFile for HookedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset > 0 {
            (self.before_write)();
        }
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }
}

fn open_hooked(before_write: impl Fn() + Send + Sync + 'static) -> Writer {
    let storage = Hooked { disk: LossyStorage::new(), before_write: Arc::new(before_write) };
    Lane::open_on(Arc::new(storage), &support::dir(), small(), HandClock::new().clock()).expect("opens").0
}

/// Lets writes through one by one.
#[derive(Default)]
struct Gate {
    passes: Mutex<u64>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut passes = self
            .changed
            .wait_while(self.passes.lock().expect("whole"), |passes| *passes == 0)
            .expect("whole");
        *passes -= 1;
    }

    fn open(&self, writes: u64) {
        *self.passes.lock().expect("whole") += writes;
        self.changed.notify_all();
    }
}

#[test]
fn behind_a_hung_disk_a_batch_forms_then_appends_are_refused_and_nothing_is_lost() {
    let gate = Arc::new(Gate::default());
    let hung = gate.clone();
    let writer = open_hooked(move || hung.pass());
    let first = writer.append(&[0; 100]).expect("taken");
    writer.flush();
    let mut waiting = Vec::new();
    let refused = loop {
        match writer.append(&[1; 100]) {
            Ok(commit) => waiting.push(commit),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AppendError::QueueFull);
    assert!(waiting.len() > 10, "a batch formed meanwhile: {}", waiting.len());
    writer.flush();
    let running = |at_least: Duration| matches!(writer.health(), Health::Open { commit_running } if commit_running >= at_least);
    eventually("health shows the hung commit", || running(Duration::from_millis(5)));
    // One write for what was running, one for all that formed.
    gate.open(2);
    assert_eq!(first.wait(), Ok(0));
    let count = waiting.len() as u64;
    let seqs: Vec<_> = waiting.into_iter().map(|commit| commit.wait().expect("stored")).collect();
    assert_eq!(seqs, (1..=count).collect::<Vec<_>>());
    assert_eq!(writer.stats().groups, 2);
    assert_eq!(replay(&writer).len() as u64, count + 1);
    gate.open(1);
}

#[test]
fn a_driven_batch_that_formed_behind_a_slow_write_goes_without_another_append() {
    let gate = Arc::new(Gate::default());
    let slow = gate.clone();
    let writer = open_hooked(move || slow.pass());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let driver = tokio::spawn(writer.drive());
        for _ in 0..200 {
            let first = tokio::spawn(writer.append(b"first").expect("taken"));
            tokio::task::yield_now().await;
            let second = tokio::spawn(writer.append(b"second").expect("taken"));
            let third = tokio::spawn(writer.append(b"third").expect("taken"));
            gate.open(2);
            let all = async { (first.await, second.await, third.await) };
            let all = tokio::time::timeout(Duration::from_mins(1), all).await.expect("no wake-up is lost");
            assert!(
                all.0.is_ok_and(|r| r.is_ok())
                    && all.1.is_ok_and(|r| r.is_ok())
                    && all.2.is_ok_and(|r| r.is_ok())
            );
        }
        driver.abort();
    });
    gate.open(1);
}

#[test]
fn a_panic_of_the_committer_tells_everybody_and_closes_the_lane() {
    let writer = open_hooked(|| std::panic::panic_any("a bug in the disk"));
    let mut reader = writer.reader("one").expect("a reader");
    let running = writer.append(b"running").expect("taken");
    assert_eq!(running.wait(), Err(CommitError::Closed));
    eventually("the lane is closed", || writer.health() == Health::Closed);
    assert_eq!(writer.append(b"late").map(|_| ()), Err(AppendError::Closed));
    assert!(!reader.wait(Duration::from_mins(1)), "a closed lane has nothing to wait for");
    assert_eq!(reader.next_frame().expect("readable"), None);
}
