//! The registry's records: what is written to its journal or its topic, and its bytes.
//!
//! A record holds no identifier, only hashes under the opt-out key, and no secret, only its digest. Every version ever written stays readable:
//! the registry never expires. `golden/` holds one file for each form.
//!
//! # Layout, version 1
//!
//! Little-endian. The frame of the journal around it carries the checksum; in a topic, Kafka's batch does.
//!
//! ```text
//! offset  bytes  field
//!      0      1  version = 1
//!      1      1  what: 1 opted out, 2 opted in again, 3 begun
//!      2      8  when, Unix milliseconds, signed
//!                — begun, the first record of every registry —
//!     10     16  check value of the opt-out key
//!                — the other two —
//!     10     10  receipt's number
//!                — opted in again ends here; opted out goes on —
//!     20      1  by which way: 1 page, 2 API
//!     21      2  version of the privacy policy that was shown
//!     23     32  SHA-256 of the receipt's secret
//!     55      2  n, number of hashes, at least 1
//!     57   16·n  hashes under the opt-out key, no two alike
//! ```
//!
//! # Layout, version 2: what stands in a topic only
//!
//! A topic is compacted: of each key only the newest record stays. So a receipt that was taken back has to say all that its status needs, and no
//! hash any more. "Opted in again" of version 1 stands in no topic.
//!
//! ```text
//! offset  bytes  field
//!      0      1  version = 2
//!      1      1  what: 4 taken back, 5 heartbeat
//!      2      8  when, Unix milliseconds, signed
//!                — heartbeat —
//!     10      8  which registry: when it was begun, Unix milliseconds, signed
//!                — taken back —
//!     10     10  receipt's number
//!     20      1  by which way it had come: 1 page, 2 API
//!     21      2  version of the privacy policy that was shown
//!     23     32  SHA-256 of the receipt's secret
//!     55      8  when it was opted out, Unix milliseconds, signed
//! ```
//!
//! # Layout, version 3: what came from a registered app
//!
//! In journals and topics; the name says whose word it was. Opting in again is version 1's in a journal.
//!
//! ```text
//! offset  bytes  field
//!      0      1  version = 3
//!      1      1  what: 1 opted out, 4 taken back (in a topic only)
//!      2      8  when, Unix milliseconds, signed
//!     10     10  receipt's number
//!     20      1  by which way: 3 app
//!     21      1  a, length of the app's name, 1 to 64
//!     22      a  the app's name as it was registered, visible ASCII
//!   22+a      2  version of the privacy policy
//!   24+a     32  SHA-256 of the receipt's secret
//!                — taken back —
//!   56+a      8  when it was opted out, Unix milliseconds, signed
//!                — opted out —
//!   56+a      2  n, number of hashes, at least 1
//!   58+a   16·n  hashes under the opt-out key, no two alike
//! ```
//!
//! # Layout, version 4: what stands in a register of others
//!
//! As version 3, with 4 (register) at offset 20 and the register's name for the app's. The receipt's number is made of the hashes ([`crate::registry::import`]),
//! and nobody has a secret of that digest: 32 zeros.
//!
//! A program that knows version 2 only refuses such a record by its number and stops measuring, so all nodes of a cluster are brought up to date
//! before the first app is registered; and likewise before the first register is imported.
//!
//! | key in the topic | record |
//! |---|---|
//! | `begun` | begun |
//! | the receipt's number as a person writes it, `7K3D-9QTA-0M1X-5ZBE` | opted out, taken back |
//! | `heartbeat/` and the instance, 16 hex digits drawn at its start | heartbeat |

use std::sync::Arc;

use event::clock::UnixMs;
use event::key::OptOutHash;
use event::key::signature::NAME_BYTES_MAX;
use thiserror::Error;

use crate::receipt::{ReceiptId, SecretDigest};

/// The version of what stands in journals, and in topics too.
pub const VERSION: u8 = 1;
/// The version of what stands in topics only.
pub const VERSION_TOPIC: u8 = 2;
/// The version of what came from an app, in journals and topics.
pub const VERSION_APP: u8 = 3;
/// The version of what came from a register of others, in journals and topics.
pub const VERSION_REGISTER: u8 = 4;

const OPTED_OUT: u8 = 1;
const OPTED_IN: u8 = 2;
const BEGUN: u8 = 3;
const TAKEN_BACK: u8 = 4;
const HEARTBEAT: u8 = 5;

const BEGUN_KEY: &str = "begun";
const HEARTBEAT_KEY: &str = "heartbeat/";

/// Hashes of one receipt: what the record's counter holds. The service's own limit lies far below.
pub const HASHES_MAX: usize = u16::MAX as usize;

/// By which way an opt-out came in. Purpose: telling a person, and an auditor, how it was made; what an app signed was read from the device's
/// system, not typed. Sensitivity: none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The form of the opt-out page.
    Page,
    /// `POST /v1/opt-outs`.
    Api,
    /// The same, signed by this app.
    App(AppName),
    /// Imported from this register of others.
    Register(AppName),
}

/// The name of a registered app, as it was registered when it signed, or of a register: 1 to 64 visible ASCII characters. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppName(Arc<str>);

impl AppName {
    /// The name, if it can be one.
    pub fn new(name: &str) -> Option<Self> {
        let is_name =
            (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_name.then(|| Self(name.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Source {
    const PAGE: u8 = 1;
    const API: u8 = 2;
    const APP: u8 = 3;
    const REGISTER: u8 = 4;

    /// The version of a record that holds it, where another source's record has this one.
    fn version(&self, otherwise: u8) -> u8 {
        match self {
            Self::Page | Self::Api => otherwise,
            Self::App(_) => VERSION_APP,
            Self::Register(_) => VERSION_REGISTER,
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Page => bytes.push(Self::PAGE),
            Self::Api => bytes.push(Self::API),
            Self::App(AppName(name)) | Self::Register(AppName(name)) => {
                let by = if matches!(self, Self::App(_)) { Self::APP } else { Self::REGISTER };
                // A name has at most 64 bytes.
                bytes.extend([by, name.len() as u8]);
                bytes.extend(name.as_bytes());
            }
        }
    }

    fn decode(rest: &mut &[u8]) -> Option<Self> {
        match take(rest)? {
            [Self::PAGE] => Some(Self::Page),
            [Self::API] => Some(Self::Api),
            _ => None,
        }
    }

    fn decode_named(by: u8, rest: &mut &[u8]) -> Option<Self> {
        let [way, length] = take(rest)?;
        let (name, left) = rest.split_at_checked(usize::from(length))?;
        *rest = left;
        let name = AppName::new(std::str::from_utf8(name).ok()?)?;
        match way {
            Self::APP if by == Self::APP => Some(Self::App(name)),
            Self::REGISTER if by == Self::REGISTER => Some(Self::Register(name)),
            _ => None,
        }
    }
}

/// One record.
#[derive(Clone, Debug)]
pub enum Record {
    /// The registry begins. First record of all: without it the beginning is lost.
    Begun {
        /// What the opt-out key makes of a fixed text. Purpose: hashes mean nothing under another key, and this tells. Sensitivity: none.
        key_check: OptOutHash,
        /// When. Unix milliseconds.
        at_ms: UnixMs,
    },
    /// Hashes to leave out from now on.
    OptedOut(OptedOut),
    /// A receipt was taken back; in a journal, where what it covered stands before.
    OptedIn {
        /// Which.
        receipt: ReceiptId,
        /// When. Unix milliseconds.
        at_ms: UnixMs,
    },
    /// A receipt was taken back; in a topic, where this takes the place of what it covered.
    TakenBack(TakenBack),
    /// An opt-out role lives, and every record before this one is told. In a topic only.
    Heartbeat {
        /// When it was written, by the role's clock. Unix milliseconds. Purpose: the lease. Sensitivity: none.
        at_ms: UnixMs,
        /// When the registry was begun that the role answers for. Purpose: to tell a registry from another one in its place. Sensitivity: none.
        registry_ms: UnixMs,
    },
}

/// One opt-out.
#[derive(Clone, Debug)]
pub struct OptedOut {
    /// Number of the receipt. Purpose: to be found again. Sensitivity: public. Retention: for good.
    pub receipt: ReceiptId,
    /// When, Unix milliseconds. Purpose: proof of when it took effect. Sensitivity: low. Retention: for good.
    pub at_ms: UnixMs,
    /// By which way. Purpose and retention as the time's.
    pub source: Source,
    /// Version of the privacy policy that was shown. Purpose and retention as the time's.
    pub policy_version: u16,
    /// Digest of the secret. Purpose: only its holder may opt in again. Sensitivity: none without the secret. Retention: for good.
    pub secret: SecretDigest,
    /// Hashes under the opt-out key. Purpose: to be recognised and left out. Sensitivity: pseudonymous while the key exists. Retention: for good.
    pub hashes: Box<[OptOutHash]>,
}

/// A receipt that was taken back: what its status tells. Purposes and sensitivities as in [`OptedOut`]; it holds no hash.
#[derive(Clone, Debug)]
pub struct TakenBack {
    /// Number of the receipt.
    pub receipt: ReceiptId,
    /// When it was taken back. Unix milliseconds.
    pub at_ms: UnixMs,
    /// When it had been opted out. Unix milliseconds.
    pub opted_out_ms: UnixMs,
    /// By which way it had come.
    pub source: Source,
    /// Version of the privacy policy that was shown.
    pub policy_version: u16,
    /// Digest of the secret.
    pub secret: SecretDigest,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Written by a newer program. The operator's to solve: run that one. Never skipped, for it may say that somebody opted out.
    #[error(
        "record version {0} is not known to this program (it knows 1 to 4): run the version that wrote it, or a newer one"
    )]
    UnknownVersion(u8),
    /// A known version, but not its form. Ours or the disk's.
    #[error("a record is malformed")]
    Malformed,
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Begun { key_check, at_ms } => head(VERSION, BEGUN, *at_ms, &key_check.0),
            Self::OptedIn { receipt, at_ms } => head(VERSION, OPTED_IN, *at_ms, &receipt.0),
            Self::Heartbeat { at_ms, registry_ms } => {
                head(VERSION_TOPIC, HEARTBEAT, *at_ms, &registry_ms.to_le_bytes())
            }
            Self::TakenBack(record) => {
                let version = record.source.version(VERSION_TOPIC);
                let mut bytes = head(version, TAKEN_BACK, record.at_ms, &record.receipt.0);
                record.source.encode(&mut bytes);
                bytes.extend(record.policy_version.to_le_bytes());
                bytes.extend(record.secret.0);
                bytes.extend(record.opted_out_ms.to_le_bytes());
                bytes
            }
            Self::OptedOut(record) => {
                let mut bytes =
                    head(record.source.version(VERSION), OPTED_OUT, record.at_ms, &record.receipt.0);
                record.source.encode(&mut bytes);
                bytes.extend(record.policy_version.to_le_bytes());
                bytes.extend(record.secret.0);
                debug_assert!(record.hashes.len() <= HASHES_MAX, "the registry refuses more");
                bytes.extend((record.hashes.len() as u16).to_le_bytes());
                record.hashes.iter().for_each(|hash| bytes.extend(hash.0));
                bytes
            }
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`]; the caller must not go on without it.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (version, mut rest) = bytes.split_first().ok_or(RecordError::Malformed)?;
        let record = match *version {
            VERSION => decode_v1(&mut rest),
            VERSION_TOPIC => decode_v2(&mut rest),
            VERSION_APP => decode_named(Source::APP, &mut rest),
            VERSION_REGISTER => decode_named(Source::REGISTER, &mut rest),
            other => return Err(RecordError::UnknownVersion(other)),
        };
        record.filter(|_| rest.is_empty()).ok_or(RecordError::Malformed)
    }

    /// Its key in a topic, but for a heartbeat, whose key is its writer's ([`heartbeat_key`]), and for what stands in no topic.
    pub(crate) fn topic_key(&self) -> Option<String> {
        match self {
            Self::Begun { .. } => Some(BEGUN_KEY.to_owned()),
            Self::OptedOut(record) => Some(record.receipt.to_string()),
            Self::TakenBack(record) => Some(record.receipt.to_string()),
            Self::Heartbeat { .. } | Self::OptedIn { .. } => None,
        }
    }

    /// Reads a message of the topic. `None` for a heartbeat's key without a value: the trace of an instance that somebody cleared away.
    ///
    /// # Errors
    /// [`RecordError`], also for a record under a key that is not its own: compaction would then keep the wrong one.
    pub(crate) fn of_topic(key: &[u8], value: &[u8]) -> Result<Option<Self>, RecordError> {
        let is_heartbeat = key.starts_with(HEARTBEAT_KEY.as_bytes());
        if is_heartbeat && value.is_empty() {
            return Ok(None);
        }
        let record = Self::decode(value)?;
        let is_own = match record.topic_key() {
            Some(own) => own.as_bytes() == key,
            None => is_heartbeat && matches!(record, Self::Heartbeat { .. }),
        };
        if is_own { Ok(Some(record)) } else { Err(RecordError::Malformed) }
    }
}

/// Key of the heartbeats of one instance of the opt-out role.
pub(crate) fn heartbeat_key(instance: u64) -> String {
    format!("{HEARTBEAT_KEY}{instance:016x}")
}

fn head(version: u8, what: u8, at_ms: UnixMs, subject: &[u8]) -> Vec<u8> {
    let mut bytes = vec![version, what];
    bytes.extend(at_ms.to_le_bytes());
    bytes.extend(subject);
    bytes
}

fn decode_v1(rest: &mut &[u8]) -> Option<Record> {
    let [what] = take(rest)?;
    let at_ms = i64::from_le_bytes(take(rest)?);
    if what == BEGUN {
        return Some(Record::Begun { key_check: OptOutHash(take(rest)?), at_ms });
    }
    let receipt = ReceiptId(take(rest)?);
    match what {
        OPTED_IN => Some(Record::OptedIn { receipt, at_ms }),
        OPTED_OUT => opted_out(receipt, at_ms, Source::decode(rest)?, rest),
        _ => None,
    }
}

fn decode_v2(rest: &mut &[u8]) -> Option<Record> {
    let [what] = take(rest)?;
    let at_ms = i64::from_le_bytes(take(rest)?);
    match what {
        HEARTBEAT => Some(Record::Heartbeat { at_ms, registry_ms: i64::from_le_bytes(take(rest)?) }),
        TAKEN_BACK => {
            let receipt = ReceiptId(take(rest)?);
            taken_back(receipt, at_ms, Source::decode(rest)?, rest)
        }
        _ => None,
    }
}

/// Versions 3 and 4.
fn decode_named(by: u8, rest: &mut &[u8]) -> Option<Record> {
    let [what] = take(rest)?;
    let at_ms = i64::from_le_bytes(take(rest)?);
    let receipt = ReceiptId(take(rest)?);
    let source = Source::decode_named(by, rest)?;
    match what {
        OPTED_OUT => opted_out(receipt, at_ms, source, rest),
        TAKEN_BACK => taken_back(receipt, at_ms, source, rest),
        _ => None,
    }
}

/// What follows the source of an opt-out.
fn opted_out(receipt: ReceiptId, at_ms: UnixMs, source: Source, rest: &mut &[u8]) -> Option<Record> {
    let policy_version = u16::from_le_bytes(take(rest)?);
    let secret = SecretDigest(take(rest)?);
    let count = u16::from_le_bytes(take(rest)?);
    let hashes = (0..count).map(|_| take(rest).map(OptOutHash)).collect::<Option<Box<[_]>>>()?;
    let record = OptedOut { receipt, at_ms, source, policy_version, secret, hashes };
    (count > 0).then_some(Record::OptedOut(record))
}

/// What follows the source of a receipt that was taken back.
fn taken_back(receipt: ReceiptId, at_ms: UnixMs, source: Source, rest: &mut &[u8]) -> Option<Record> {
    Some(Record::TakenBack(TakenBack {
        receipt,
        at_ms,
        source,
        policy_version: u16::from_le_bytes(take(rest)?),
        secret: SecretDigest(take(rest)?),
        opted_out_ms: i64::from_le_bytes(take(rest)?),
    }))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests;
