//! The key file's text. Reading and writing the file, and its mode 0600, are the caller's.
//!
//! ```text
//! # comment
//! sightline-keys 1
//! epoch 1 sealed  <64 hex> [<when it was sealed, Unix seconds>]
//! epoch 2 current <64 hex>
//! opt-out         <64 hex>
//! checksum        <32 hex>
//! ```
//!
//! The time makes it `sightline-keys 2`, which earlier programs refuse; a file without one is written as version 1, as ever. So does an overlap with
//! version 3: the epoch before the current one, and no other, may be
//!
//! ```text
//! epoch 1 overlap <64 hex> <a midnight in UTC at which it is sealed, Unix seconds>
//! ```
//!
//! Words are separated by blanks, lines that are empty or begin with `#` mean nothing. Exactly one epoch is current, and it has the highest
//! number. The checksum is the first 16 bytes of SHA-256 over the other lines that mean something, each with single blanks and a line feed:
//! a damaged, cut or hand-edited key is refused, because a wrong key would silently turn every device into a new one.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{DAY_SECONDS, Epoch, KEY_BYTES, KeyRing, Secret, is_weak};
use crate::dialect::hex_digit;

/// Most epochs in one file, the current one included.
pub(super) const EPOCHS_MAX: usize = 64;
/// Longest key file, bytes: a full one with comments has about 6,000.
const FILE_BYTES_MAX: usize = 16 * 1024;
/// The version without times.
const VERSION: &str = "1";
/// The version that says when an epoch was sealed.
const VERSION_WITH_TIMES: &str = "2";
/// The version that says until when two epochs overlap.
const VERSION_WITH_OVERLAP: &str = "3";

const HEADER: &str = "\
# SECRET. Sightline's keys. Whoever has this file can test guesses of device identifiers against what is stored.
# Keep it apart from the data, readable for the service alone (mode 0600), and keep a copy in a safe place:
# without it, devices seen before cannot be recognised, and nobody who opted out can be recognised either.
# Do not edit it: the checksum would not fit. The opt-out key never changes.
";

/// Why a key file was refused, or a ring cannot grow. Says where, never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A line is not what the format says.
    #[error("line {line}: {problem}")]
    Line {
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Something that every key file has is missing.
    #[error("the key file has no {0}: it is cut or not a key file")]
    Missing(&'static str),
    /// The checksum does not fit: the file is damaged or was edited.
    #[error("the checksum does not fit: the file is damaged or was edited; restore it from its copy")]
    Checksum,
    /// More bytes than a key file can have.
    #[error("the key file is longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// No room for another epoch.
    #[error(
        "no room for another epoch (at most {EPOCHS_MAX}): destroy sealed ones whose last event has expired"
    )]
    TooManyEpochs,
    /// An overlap runs already.
    #[error("epoch {epoch} still overlaps with the current one: see `sightline keys list`")]
    Overlapping {
        /// The one before the current one.
        epoch: u16,
    },
    /// There is no such sealed epoch.
    #[error("epoch {epoch} is not sealed: see `sightline keys list`")]
    NotSealed {
        /// The number asked for.
        epoch: u16,
    },
}

impl KeyRing {
    /// The key file's text, wiped when dropped. Its one use is to be written to a file of mode 0600.
    pub fn to_file_text(&self) -> Zeroizing<String> {
        // Room for everything at once: a string that grows leaves copies behind that nobody wipes.
        let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX));
        text.push_str(HEADER);
        let has_times = self.sealed.iter().any(|epoch| epoch.sealed_at.is_some());
        let has_overlap = self.sealed.iter().any(|epoch| epoch.overlaps);
        let version = match (has_overlap, has_times) {
            (true, _) => VERSION_WITH_OVERLAP,
            (false, true) => VERSION_WITH_TIMES,
            (false, false) => VERSION,
        };
        let _ = writeln!(text, "sightline-keys {version}");
        for epoch in &self.sealed {
            let state = if epoch.overlaps { "overlap" } else { "sealed" };
            put_key(&mut text, &format!("epoch {} {state}", epoch.number), &epoch.secret.bytes);
            if let Some(seconds) = epoch.sealed_at {
                let _ = write!(text, " {seconds}");
            }
            text.push('\n');
        }
        put_key(&mut text, &format!("epoch {} current", self.current.number), &self.current.secret.bytes);
        text.push('\n');
        put_key(&mut text, "opt-out", &self.opt_out.bytes);
        text.push('\n');
        let sum = checksum(text.lines().skip_while(|line| line.starts_with('#')));
        text.push_str("checksum ");
        put_hex(&mut text, &sum);
        text.push('\n');
        text
    }

    /// Reads a key file's text.
    ///
    /// # Errors
    /// When the text is damaged, incomplete or not of this format; says which line.
    pub fn from_file_text(text: &str) -> Result<Self, KeyError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(KeyError::TooLong);
        }
        let mut found = Found::default();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            if !words.is_empty() && !line.trim_start().starts_with('#') {
                found.line(&words).map_err(|problem| KeyError::Line { line: index + 1, problem })?;
            }
        }
        let sum = found.checksum.ok_or(KeyError::Missing("checksum"))?;
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let sum_of_text = checksum(lines.filter(|line| !line.trim_start().starts_with("checksum")));
        if sum != sum_of_text {
            return Err(KeyError::Checksum);
        }
        found.finish()
    }
}

/// What the lines read so far said.
#[derive(Default)]
struct Found {
    /// 0 before it was read.
    version: u8,
    epochs: Vec<Epoch>,
    current: Option<u16>,
    opt_out: Option<Secret>,
    checksum: Option<[u8; 16]>,
}

impl Found {
    fn line(&mut self, words: &[&str]) -> Result<(), &'static str> {
        if self.checksum.is_some() {
            return Err("nothing may follow the checksum");
        }
        if self.version == 0 && words.first() != Some(&"sightline-keys") {
            return Err("a key file begins with `sightline-keys 1`");
        }
        match *words {
            ["sightline-keys", VERSION] if self.version == 0 => self.version = 1,
            ["sightline-keys", VERSION_WITH_TIMES] if self.version == 0 => self.version = 2,
            ["sightline-keys", VERSION_WITH_OVERLAP] if self.version == 0 => self.version = 3,
            ["sightline-keys", VERSION | VERSION_WITH_TIMES | VERSION_WITH_OVERLAP] => {
                return Err("`sightline-keys` stands twice");
            }
            ["sightline-keys", _] => return Err("this version of the key file is not known to this program"),
            ["epoch", number, state, key] => self.epoch(number, state, key, None)?,
            ["epoch", number, "sealed", key, seconds] if self.version >= 2 => {
                let seconds = seconds.parse().map_err(|_| "an epoch is sealed at a time in Unix seconds")?;
                self.epoch(number, "sealed", key, Some(seconds))?;
            }
            ["epoch", number, "overlap", key, seconds] if self.version == 3 => {
                let is_day = |seconds: &u64| {
                    seconds.is_multiple_of(DAY_SECONDS) && u16::try_from(seconds / DAY_SECONDS).is_ok()
                };
                let seconds = seconds.parse().ok().filter(is_day);
                let seconds = seconds.ok_or("an overlap ends at a midnight in UTC, in Unix seconds")?;
                self.epoch(number, "overlap", key, Some(seconds))?;
            }
            ["opt-out", key] if self.opt_out.is_none() => self.opt_out = Some(read_key(key)?),
            ["opt-out", _] => return Err("`opt-out` stands twice"),
            ["checksum", sum] => self.checksum = Some(read_hex(sum).ok_or("a checksum is 32 hex digits")?),
            _ => {
                return Err(
                    "expected `epoch <number> current|sealed <key>`, `opt-out <key>` or `checksum <sum>`",
                );
            }
        }
        Ok(())
    }

    fn epoch(
        &mut self,
        number: &str,
        state: &str,
        key: &str,
        sealed_at: Option<u64>,
    ) -> Result<(), &'static str> {
        let number: u16 =
            number.parse().ok().filter(|n| *n > 0).ok_or("an epoch is a number from 1 to 65535")?;
        if self.epochs.len() >= EPOCHS_MAX {
            return Err("too many epochs");
        }
        if self.epochs.last().is_some_and(|last| last.number >= number) {
            return Err("epochs stand in ascending order, each once");
        }
        match state {
            "sealed" => {}
            "overlap" if sealed_at.is_some() => {}
            "current" if self.current.is_none() => self.current = Some(number),
            "current" => return Err("only one epoch is current"),
            _ => return Err("an epoch is `current` or `sealed`"),
        }
        let overlaps = state == "overlap";
        self.epochs.push(Epoch { number, secret: read_key(key)?, sealed_at, overlaps });
        Ok(())
    }

    fn finish(mut self) -> Result<KeyRing, KeyError> {
        let last = self.epochs.pop().filter(|epoch| Some(epoch.number) == self.current);
        let current = last.ok_or(KeyError::Missing("current epoch as the highest one"))?;
        let before = self.epochs.iter().rev().skip(1);
        let is_last = |epoch: &Epoch| epoch.number.checked_add(1) == Some(current.number);
        if before.clone().any(|epoch| epoch.overlaps)
            || self.epochs.last().is_some_and(|epoch| epoch.overlaps && !is_last(epoch))
        {
            return Err(KeyError::Missing("current epoch right behind the one that overlaps"));
        }
        let opt_out = self.opt_out.ok_or(KeyError::Missing("opt-out key"))?;
        Ok(KeyRing::of(current, self.epochs, opt_out))
    }
}

fn checksum<'a>(lines: impl Iterator<Item = &'a str>) -> [u8; 16] {
    let mut sum = Sha256::new();
    for line in lines {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        sum.update(first);
        for word in words {
            sum.update(b" ");
            sum.update(word);
        }
        sum.update(b"\n");
    }
    let mut first = [0; 16];
    first.iter_mut().zip(sum.finalize()).for_each(|(to, from)| *to = from);
    first
}

fn put_key(text: &mut String, name: &str, key: &[u8; KEY_BYTES]) {
    text.push_str(name);
    text.push(' ');
    put_hex(text, key);
}

fn put_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
}

fn read_key(hex: &str) -> Result<Secret, &'static str> {
    let bytes = Zeroizing::new(read_hex(hex).ok_or("a key is 64 hex digits")?);
    if is_weak(&bytes) {
        return Err("a key of one repeated byte is none");
    }
    Ok(Secret::new(bytes))
}

fn read_hex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}
