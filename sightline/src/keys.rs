//! `sightline keys list`, `rotate` and `destroy`: the epochs of the device keys. They work on the key file of a stopped instance, enter what they do in
//! its audit log before they do it, and never print a key.
//!
//! A rotation is a cut: nothing links a device before it to the same one behind it, so whoever saw an ad on both sides counts twice in a report over
//! both. It has to be said in so many words (`--without-overlap`). Sealed keys serve erasures and copies until the last event under them has
//! expired; then they are destroyed: out of the file, and the old file's bytes are overwritten.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use audit::Entry;
use event::clock::Clock;
use event::key::KeyRing;
use serde_json::json;

use crate::cli::{KeysArgs, KeysCommand};
use crate::config::Config;
use crate::data_dir::{self, DataDir, Lock, read_secret, write_durably};
use crate::roles::open_audit;
use crate::table;

/// Seconds of a day.
const DAY_SECONDS: u64 = 24 * 60 * 60;
/// Settled devices of a day can outlive the day's last event by so many days: a day is over on every clock only a day later.
const MARGIN_DAYS: u64 = 3;

/// Runs the command.
pub(crate) fn run(command: &KeysCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        KeysCommand::List { args } => {
            let config = load(args)?;
            list(&read(&config)?.1, retention_days(&config), now_seconds(), out)
        }
        KeysCommand::Rotate { without_overlap, args } => {
            if !without_overlap {
                bail!(
                    "a rotation is a cut: whoever saw an ad before and after it counts as two devices in a report over both. \
                     Say --without-overlap if that is meant; best between two campaigns"
                );
            }
            let desk = Desk::open(args)?;
            desk.rotate(out)
        }
        KeysCommand::Destroy { epoch, early, args } => {
            let desk = Desk::open(args)?;
            desk.destroy(*epoch, *early, out)
        }
    }
}

fn load(args: &KeysArgs) -> anyhow::Result<Config> {
    Ok(Config::load(args.config.as_deref(), args.config.is_none().then_some(args.data.as_path()))?)
}

fn read(config: &Config) -> anyhow::Result<(PathBuf, KeyRing)> {
    let path = config.key_path();
    let ring = KeyRing::from_file_text(&read_secret(&path)?)
        .with_context(|| format!("the key file {} is damaged", path.display()))?;
    Ok((path, ring))
}

fn retention_days(config: &Config) -> u64 {
    u64::from(config.reports.retention_days)
}

fn now_seconds() -> u64 {
    (Clock::System.now_ms() / 1000).unsigned_abs()
}

/// From when on an epoch that was sealed then has no stored event or device any more, Unix seconds.
fn unused_from(sealed_at: u64, retention_days: u64) -> u64 {
    sealed_at + (retention_days + MARGIN_DAYS) * DAY_SECONDS
}

fn list(ring: &KeyRing, retention_days: u64, now: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut printed = table::plain(&["epoch", "state", "sealed", "unused from", ""]);
    for (epoch, sealed_at) in ring.sealed() {
        let from = sealed_at.map(|at| unused_from(at, retention_days));
        let hint = if from.is_some_and(|from| from <= now) { "destroy it" } else { "" };
        let shown = |at: Option<u64>| at.map_or_else(|| "not noted".to_owned(), day);
        printed.add_row([&epoch.to_string(), "sealed", &shown(sealed_at), &shown(from), hint]);
    }
    printed.add_row([&ring.epoch().to_string(), "current", "", "", ""]);
    table::right_align(&mut printed, &[0]);
    table::print(&printed, out)?;
    Ok(())
}

fn day(unix_seconds: u64) -> String {
    let time = chrono::DateTime::from_timestamp(unix_seconds as i64, 0).unwrap_or_default();
    time.format("%Y-%m-%d").to_string()
}

/// A stopped instance whose keys are changed.
struct Desk {
    path: PathBuf,
    ring: KeyRing,
    retention_days: u64,
    audit: audit::Log,
    _lock: Lock,
}

impl Desk {
    fn open(args: &KeysArgs) -> anyhow::Result<Self> {
        let config = load(args)?;
        let data = config.data_dir();
        // Before the keys are read: what another command writes meanwhile would be written over.
        let lock = locked(&data)?;
        let (path, ring) = read(&config)?;
        let audit = open_audit(&config, &data, &Clock::System)?;
        Ok(Self { path, ring, retention_days: retention_days(&config), audit, _lock: lock })
    }

    fn rotate(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        // A source that fails shows here, before keys are asked to be made of nothing.
        data_dir::random(&mut [0; 32])?;
        let mut failed = None;
        let rotated = self.ring.rotated_at(now_seconds(), |bytes| failed = data_dir::random(bytes).err())?;
        if let Some(error) = failed {
            return Err(error);
        }
        let details = json!({ "from": self.ring.epoch(), "to": rotated.epoch(), "overlap": false });
        self.change("keys.rotate", details, &rotated)?;
        writeln!(out, "epoch {} is current, epoch {} is sealed", rotated.epoch(), self.ring.epoch())?;
        writeln!(
            out,
            "Keep a copy of {}. In a cluster, give every node this file and restart them together.",
            self.path.display()
        )?;
        Ok(())
    }

    fn destroy(&self, epoch: u16, early: bool, out: &mut dyn Write) -> anyhow::Result<()> {
        let left = self.ring.without(epoch)?;
        let sealed_at = self.ring.sealed().find(|(number, _)| *number == epoch).and_then(|(_, at)| at);
        let from = sealed_at.map(|at| unused_from(at, self.retention_days));
        if !early && from.is_none_or(|from| now_seconds() < from) {
            let until = from.map_or_else(
                || "nobody noted when it was sealed".to_owned(),
                |from| format!("events under epoch {epoch} are kept until {}", day(from)),
            );
            bail!(
                "{until}: without its key, nobody can have them erased or copied any more. --early destroys it all the same"
            );
        }
        let details = json!({ "epoch": epoch, "sealed_at": sealed_at.map(day), "early": early });
        self.change("keys.destroy", details, &left)?;
        writeln!(out, "the key of epoch {epoch} is destroyed in {}", self.path.display())?;
        writeln!(out, "Destroy the copies of the old file too, on every node: it held that key.")?;
        Ok(())
    }

    /// Enters a change, then makes it.
    fn change(&self, act: &'static str, details: serde_json::Value, ring: &KeyRing) -> anyhow::Result<()> {
        self.audit.append(&Entry::new("command line", act, self.path.display().to_string(), details))?;
        let replaced = replace(&self.path, &ring.to_file_text());
        if replaced.is_err() {
            let failed =
                Entry::new("command line", "keys.failed", self.path.display().to_string(), json!(null));
            self.audit.append(&failed)?;
        }
        self.audit.close();
        replaced.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn locked(data: &DataDir) -> anyhow::Result<Lock> {
    data.open().context("keys are changed while nothing runs on the data folder")
}

/// Writes a new key file in the place of the old one, whole or not at all, and overwrites the bytes of the old one, which holds a key that may be
/// destroyed by that. On disks that copy on write, or remember what was overwritten, only destroying the disk's own key does more.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut old = OpenOptions::new().write(true).open(path)?;
    write_durably(path, 0o600, text.as_bytes())?;
    let bytes = old.metadata()?.len() as usize;
    old.write_all(&vec![b'0'; bytes])?;
    old.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_bytes_of_an_old_key_file_are_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("device.keys");
        write_durably(&path, 0o600, b"the old key\n").expect("written");
        // Another name for the old file shows what becomes of its bytes.
        let old = dir.path().join("old");
        std::fs::hard_link(&path, &old).expect("linked");
        replace(&path, "the new one\n").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("read"), b"the new one\n");
        assert_eq!(std::fs::read(&old).expect("read"), b"000000000000");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }
}
