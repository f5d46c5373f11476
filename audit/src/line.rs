//! One line: how it is written, how it is judged. The format stands at the head of the crate.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat};
use event::clock::UnixMs;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::verify::Problem;

/// Hex digits of a mac.
pub const MAC_HEX: usize = 64;
/// Most bytes of a line, its line feed included.
pub(crate) const LINE_BYTES_MAX: usize = 16 << 10;
/// Fewest characters of a key: 128 bits as hex.
const KEY_CHARACTERS_MIN: usize = 32;
/// Most bytes of actor, act and object; what is longer is cut.
const TEXT_BYTES_MAX: usize = 256;
/// The act that says where the log begins now.
pub(crate) const EXPIRED: &str = "audit.expired";
/// The act that says that the log was found changed or cut when it was opened.
pub(crate) const DAMAGE_FOUND: &str = "audit.damage_found";
/// What stands before a line's mac.
const BEFORE_MAC: &[u8] = b",\"mac\":\"";
/// What stands behind it.
const BEHIND_MAC: &[u8] = b"\"}";

/// The key under which lines are written. Kept apart from the log; wiped when dropped.
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// A key as it stands in its file, without blanks around it.
    ///
    /// # Errors
    /// It is too short.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.len() < KEY_CHARACTERS_MIN {
            return Err(Error::WeakKey { min: KEY_CHARACTERS_MIN });
        }
        Ok(Self(Zeroizing::new(text.as_bytes().to_vec())))
    }

    fn mac(&self, bytes: &[u8]) -> Mac {
        let mut state = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        state.update(bytes);
        let hex = hex(&state.finalize().into_bytes());
        Mac(hex.as_bytes().try_into().expect("a hash has 32 bytes"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// A line's mac, in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mac([u8; MAC_HEX]);

impl Mac {
    /// What stands for the line before the first.
    pub(crate) const NONE: Self = Self([b'0'; MAC_HEX]);

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("hex digits")
    }

    fn read(text: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let hex: [u8; MAC_HEX] = text.try_into().ok()?;
        hex.iter().all(is_digit).then_some(Self(hex))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in the chain that proves all before it: a line's number and mac, written `SEQ:MAC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub(crate) seq: u64,
    pub(crate) mac: Mac,
}

impl Head {
    /// The line's number; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.mac.as_str())
    }
}

/// What is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a head is written SEQ:MAC, a line's number and its 64 hex digits, as `sightline audit head` prints it"
)]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (seq, mac) = text.trim().split_once(':').ok_or(HeadError)?;
        let seq = seq.parse().map_err(|_| HeadError)?;
        Ok(Self { seq, mac: Mac::read(mac.as_bytes()).ok_or(HeadError)? })
    }
}

/// An entry as it is read back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Its number, from 1, without gaps over all files.
    pub seq: u64,
    /// When, RFC 3339 in UTC, to the millisecond.
    pub time: String,
    /// Who: the name of a token or role, never the token.
    pub actor: String,
    /// What: `area.verb`.
    pub act: String,
    /// On what.
    pub object: String,
    /// More, by act.
    pub details: Map<String, Value>,
    /// Mac of the line before it.
    pub previous: String,
    /// Its own.
    pub mac: String,
}

impl Line {
    /// Its place in the chain.
    pub fn head(&self) -> Option<Head> {
        Some(Head { seq: self.seq, mac: Mac::read(self.mac.as_bytes())? })
    }

    pub(crate) fn time_ms(&self) -> Option<UnixMs> {
        DateTime::parse_from_rfc3339(&self.time).ok().map(|time| time.timestamp_millis())
    }
}

/// What a line is made of.
pub(crate) struct Fields<'a> {
    pub(crate) seq: u64,
    pub(crate) time_ms: UnixMs,
    pub(crate) actor: &'a str,
    pub(crate) act: &'a str,
    pub(crate) object: &'a str,
    pub(crate) details: &'a Map<String, Value>,
    pub(crate) previous: Mac,
}

/// The line with its line feed, and its mac.
pub(crate) fn write(key: &Key, fields: &Fields<'_>) -> Result<(Vec<u8>, Mac), Error> {
    #[derive(Serialize)]
    struct Unsigned<'a> {
        seq: u64,
        time: String,
        actor: &'a str,
        act: &'a str,
        object: &'a str,
        details: &'a Map<String, Value>,
        previous: &'a str,
    }
    let unsigned = Unsigned {
        seq: fields.seq,
        time: time(fields.time_ms),
        actor: cut(fields.actor),
        act: cut(fields.act),
        object: cut(fields.object),
        details: fields.details,
        previous: fields.previous.as_str(),
    };
    let mut line = serde_json::to_vec(&unsigned).expect("texts and numbers can always be written");
    // The closing brace comes behind the mac.
    line.pop();
    let mac = key.mac(&line);
    line.extend_from_slice(BEFORE_MAC);
    line.extend_from_slice(mac.as_str().as_bytes());
    line.extend_from_slice(BEHIND_MAC);
    line.push(b'\n');
    if line.len() > LINE_BYTES_MAX {
        return Err(Error::TooLong { bytes: line.len(), max: LINE_BYTES_MAX });
    }
    Ok((line, mac))
}

/// Judges a line, given with its line feed.
pub(crate) fn read(key: &Key, line: &[u8]) -> Result<(Line, Head), Problem> {
    let line = line.strip_suffix(b"\n").ok_or(Problem::Torn)?;
    let (signed, mac) = split(line).ok_or(Problem::Form)?;
    if key.mac(signed) != mac {
        return Err(Problem::Mac);
    }
    let read: Line = serde_json::from_slice(line).map_err(|_| Problem::Form)?;
    let head = Head { seq: read.seq, mac };
    Ok((read, head))
}

/// A line's signed bytes and its mac.
fn split(line: &[u8]) -> Option<(&[u8], Mac)> {
    let rest = line.strip_suffix(BEHIND_MAC)?;
    let (rest, mac) = rest.split_at_checked(rest.len().checked_sub(MAC_HEX)?)?;
    Some((rest.strip_suffix(BEFORE_MAC)?, Mac::read(mac)?))
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn time(ms: UnixMs) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The text, cut where it is longer than a line has room for.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
