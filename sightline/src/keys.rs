//! `sightline keys list`, `rotate` and `destroy`: the epochs of the device keys. They work on the key file of a stopped instance, enter what they do in
//! its audit log before they do it, and never print a key.
//!
//! After a rotation with an overlap the tracker says for some days of each device what it was under the key before, so that reports over both count it
//! once; then the key before is sealed, by the clock alone. A rotation without one is a cut: whoever saw an ad on both sides counts twice at once. That has
//! to be said in so many words (`--without-overlap`). Sealed keys serve erasures and copies until the last event under them has expired; then they
//! are destroyed: out of the file, and the old file's bytes are overwritten.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use audit::Entry;
use event::clock::Clock;
use event::key::{KeyError, KeyRing, Overlap};
use serde_json::json;

use crate::cli::{KeysArgs, KeysCommand};
use crate::config::Config;
use crate::data_dir::{self, DataDir, Lock, read_secret};
use crate::key_file;
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
        KeysCommand::Rotate { overlap, args, .. } => {
            let desk = Desk::open(args)?;
            desk.rotate(*overlap, out)
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
    let overlapping = ring.running_overlap(now).map(|overlap| overlap.epoch);
    for (epoch, sealed_at) in ring.sealed() {
        let from = sealed_at.map(|at| unused_from(at, retention_days));
        let state = if overlapping == Some(epoch) { "overlaps" } else { "sealed" };
        let hint = if from.is_some_and(|from| from <= now) { "destroy it" } else { "" };
        let shown = |at: Option<u64>| at.map_or_else(|| "not noted".to_owned(), day);
        printed.add_row([&epoch.to_string(), state, &shown(sealed_at), &shown(from), hint]);
    }
    printed.add_row([&ring.epoch().to_string(), "current", "", "", ""]);
    table::right_align(&mut printed, &[0]);
    table::print(&printed, out)?;
    Ok(())
}

/// The first midnight in UTC that is so many days ahead or more; days since 1970-01-01.
fn overlap_end(now: u64, days: u16, retention_days: u64) -> anyhow::Result<u16> {
    if u64::from(days) > retention_days {
        bail!(
            "an overlap of {days} days would tie devices for longer than their events are kept: [reports] retention_days is {retention_days}"
        );
    }
    let end = now.div_ceil(DAY_SECONDS) + u64::from(days);
    u16::try_from(end).context("the clock is wrong")
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

    fn rotate(&self, overlap_days: Option<u16>, out: &mut dyn Write) -> anyhow::Result<()> {
        let now = now_seconds();
        let running = self.ring.running_overlap(now);
        if let (Some(Overlap { epoch, .. }), Some(_)) = (running, overlap_days) {
            let ends = running.map_or(now, |overlap| overlap.ends_at());
            return Err(anyhow::Error::new(KeyError::Overlapping { epoch }).context(format!(
                "the overlap of epochs {epoch} and {} ends on {}; the next one waits for it",
                self.ring.epoch(),
                day(ends)
            )));
        }
        let end = |days| overlap_end(now, days, self.retention_days);
        let until_day = overlap_days.map(end).transpose()?;
        // A source that fails shows here, before keys are asked to be made of nothing.
        data_dir::random(&mut [0; 32])?;
        let mut failed = None;
        let random = |bytes: &mut [u8]| failed = data_dir::random(bytes).err();
        let rotated = match until_day {
            Some(until_day) => self.ring.rotated_with_overlap(now, until_day, random),
            None => self.ring.rotated_at(now, random),
        }?;
        if let Some(error) = failed {
            return Err(error);
        }
        let ends = rotated.overlap().map(|overlap| day(overlap.ends_at()));
        let details = json!({ "from": self.ring.epoch(), "to": rotated.epoch(), "overlap": ends.is_some(), "overlap_until": ends });
        self.change("keys.rotate", details, &rotated)?;
        self.tell_rotated(&rotated, running, out)?;
        Ok(())
    }

    fn tell_rotated(&self, rotated: &KeyRing, ended: Option<Overlap>, out: &mut dyn Write) -> io::Result<()> {
        let (was, is) = (self.ring.epoch(), rotated.epoch());
        if let Some(Overlap { epoch, .. }) = ended {
            writeln!(
                out,
                "the overlap of epochs {epoch} and {was} is broken off; pairs that are stored live on until its day"
            )?;
        }
        match rotated.overlap() {
            Some(overlap) => writeln!(
                out,
                "epoch {is} is current, epoch {was} overlaps with it until {} and is sealed then",
                day(overlap.ends_at())
            )?,
            None => writeln!(out, "epoch {is} is current, epoch {was} is sealed")?,
        }
        let order = if rotated.overlap().is_some() {
            "restart them one after another, those with the opt-out page first"
        } else {
            "restart them together"
        };
        writeln!(
            out,
            "Keep a copy of {}. In a cluster, give every node this file and {order}.",
            self.path.display()
        )
    }

    fn destroy(&self, epoch: u16, early: bool, out: &mut dyn Write) -> anyhow::Result<()> {
        let now = now_seconds();
        let left = self.ring.without(epoch, now).map_err(|error| self.not_destroyed(error, now))?;
        let sealed_at = self.ring.sealed().find(|(number, _)| *number == epoch).and_then(|(_, at)| at);
        let from = sealed_at.map(|at| unused_from(at, self.retention_days));
        if !early && from.is_none_or(|from| now < from) {
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

    /// Why a key is not destroyed, and what to do.
    fn not_destroyed(&self, error: KeyError, now: u64) -> anyhow::Error {
        let running =
            self.ring.running_overlap(now).filter(|_| matches!(error, KeyError::Overlapping { .. }));
        let error = anyhow::Error::new(error);
        let Some(overlap) = running else { return error };
        error.context(format!(
            "the overlap of epochs {} and {} needs its key until {}: wait for that day, or first break the overlap off with \
             `sightline keys rotate --without-overlap`",
            overlap.epoch,
            self.ring.epoch(),
            day(overlap.ends_at())
        ))
    }

    /// Enters a change, then makes it.
    fn change(&self, act: &'static str, details: serde_json::Value, ring: &KeyRing) -> anyhow::Result<()> {
        self.audit.append(&Entry::new("command line", act, self.path.display().to_string(), details))?;
        let replaced = key_file::replace(&self.path, &ring.to_file_text());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlap_ends_at_the_first_midnight_that_is_late_enough() {
        let midnight = 20_778 * DAY_SECONDS;
        for (now, end) in [(midnight, 20_792), (midnight + 1, 20_793), (midnight + DAY_SECONDS - 1, 20_793)] {
            assert_eq!(overlap_end(now, 14, 31).expect("a day"), end, "{now}");
        }
        assert!(overlap_end(u64::from(u16::MAX) * DAY_SECONDS, 1, 31).is_err());
        assert!(overlap_end(midnight, 31, 31).is_ok() && overlap_end(midnight, 32, 31).is_err());
    }
}
