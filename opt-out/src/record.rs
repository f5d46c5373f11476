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
//! | key in the topic | record |
//! |---|---|
//! | `begun` | begun |
//! | the receipt's number as a person writes it, `7K3D-9QTA-0M1X-5ZBE` | opted out, taken back |
//! | `heartbeat/` and the instance, 16 hex digits drawn at its start | heartbeat |

use event::clock::UnixMs;
use event::key::OptOutHash;
use thiserror::Error;

use crate::receipt::{ReceiptId, SecretDigest};

/// The version of what stands in journals, and in topics too.
pub const VERSION: u8 = 1;
/// The version of what stands in topics only.
pub const VERSION_TOPIC: u8 = 2;

const OPTED_OUT: u8 = 1;
const OPTED_IN: u8 = 2;
const BEGUN: u8 = 3;
const TAKEN_BACK: u8 = 4;
const HEARTBEAT: u8 = 5;

const BEGUN_KEY: &str = "begun";
const HEARTBEAT_KEY: &str = "heartbeat/";

/// Hashes of one receipt: what the record's counter holds. The service's own limit lies far below.
pub const HASHES_MAX: usize = u16::MAX as usize;

/// By which way an opt-out came in. Purpose: telling a person, and an auditor, how it was made. Stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Source {
    /// The form of the opt-out page.
    Page = 1,
    /// `POST /v1/opt-outs`.
    Api = 2,
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
        "record version {0} is not known to this program (it knows 1 and 2): run the version that wrote it, or a newer one"
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
                let mut bytes = head(VERSION_TOPIC, TAKEN_BACK, record.at_ms, &record.receipt.0);
                bytes.push(record.source as u8);
                bytes.extend(record.policy_version.to_le_bytes());
                bytes.extend(record.secret.0);
                bytes.extend(record.opted_out_ms.to_le_bytes());
                bytes
            }
            Self::OptedOut(record) => {
                let mut bytes = head(VERSION, OPTED_OUT, record.at_ms, &record.receipt.0);
                bytes.push(record.source as u8);
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
        OPTED_OUT => {
            let source = source(rest)?;
            let policy_version = u16::from_le_bytes(take(rest)?);
            let secret = SecretDigest(take(rest)?);
            let count = u16::from_le_bytes(take(rest)?);
            let hashes = (0..count).map(|_| take(rest).map(OptOutHash)).collect::<Option<Box<[_]>>>()?;
            let record = OptedOut { receipt, at_ms, source, policy_version, secret, hashes };
            (count > 0).then_some(Record::OptedOut(record))
        }
        _ => None,
    }
}

fn decode_v2(rest: &mut &[u8]) -> Option<Record> {
    let [what] = take(rest)?;
    let at_ms = i64::from_le_bytes(take(rest)?);
    match what {
        HEARTBEAT => Some(Record::Heartbeat { at_ms, registry_ms: i64::from_le_bytes(take(rest)?) }),
        TAKEN_BACK => Some(Record::TakenBack(TakenBack {
            at_ms,
            receipt: ReceiptId(take(rest)?),
            source: source(rest)?,
            policy_version: u16::from_le_bytes(take(rest)?),
            secret: SecretDigest(take(rest)?),
            opted_out_ms: i64::from_le_bytes(take(rest)?),
        })),
        _ => None,
    }
}

fn source(rest: &mut &[u8]) -> Option<Source> {
    match take(rest)? {
        [1] => Some(Source::Page),
        [2] => Some(Source::Api),
        _ => None,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Random;

    const OPT_OUT_V1: &[u8] = include_bytes!("../golden/opted-out-v1.bin");
    const BEGUN_V1: &[u8] = include_bytes!("../golden/begun-v1.bin");
    const OPT_IN_V1: &[u8] = include_bytes!("../golden/opted-in-v1.bin");
    const TAKEN_BACK_V2: &[u8] = include_bytes!("../golden/taken-back-v2.bin");
    const HEARTBEAT_V2: &[u8] = include_bytes!("../golden/heartbeat-v2.bin");
    const ALL: [&[u8]; 5] = [OPT_OUT_V1, OPT_IN_V1, BEGUN_V1, TAKEN_BACK_V2, HEARTBEAT_V2];

    fn opted_out() -> Record {
        Record::OptedOut(OptedOut {
            receipt: ReceiptId(*b"0123456789"),
            at_ms: 1_795_300_000_123,
            source: Source::Api,
            policy_version: 0x0102,
            secret: SecretDigest([0xa5; 32]),
            hashes: Box::new([OptOutHash([1; 16]), OptOutHash(*b"abcdefghijklmnop")]),
        })
    }

    fn opted_in() -> Record {
        Record::OptedIn { receipt: ReceiptId(*b"0123456789"), at_ms: -1 }
    }

    fn begun() -> Record {
        Record::Begun { key_check: OptOutHash(*b"abcdefghijklmnop"), at_ms: 1 }
    }

    fn taken_back() -> Record {
        Record::TakenBack(TakenBack {
            receipt: ReceiptId(*b"0123456789"),
            at_ms: 1_795_300_000_456,
            opted_out_ms: 1_795_300_000_123,
            source: Source::Page,
            policy_version: 0x0102,
            secret: SecretDigest([0xa5; 32]),
        })
    }

    fn heartbeat() -> Record {
        Record::Heartbeat { at_ms: 1_795_300_000_789, registry_ms: 1 }
    }

    #[test]
    fn the_bytes_equal_the_golden_files() {
        let records = [opted_out(), opted_in(), begun(), taken_back(), heartbeat()];
        for (record, golden) in records.into_iter().zip(ALL) {
            assert_eq!(record.encode(), golden);
            assert_eq!(format!("{:?}", Record::decode(golden).unwrap()), format!("{record:?}"));
        }
    }

    #[test]
    fn an_unknown_version_is_named_and_not_guessed() {
        let mut bytes = OPT_IN_V1.to_vec();
        bytes[0] = 3;
        assert_eq!(Record::decode(&bytes).err(), Some(RecordError::UnknownVersion(3)));
        assert!(RecordError::UnknownVersion(3).to_string().contains("record version 3 is not known"));
    }

    #[test]
    fn no_version_takes_the_records_of_the_other() {
        for golden in ALL {
            let mut bytes = golden.to_vec();
            bytes[0] = 3 - bytes[0];
            assert_eq!(Record::decode(&bytes).err(), Some(RecordError::Malformed));
        }
    }

    #[test]
    fn in_a_topic_a_record_stands_under_its_own_key() {
        let receipt = ReceiptId(*b"0123456789").to_string();
        let beat = heartbeat_key(0xa5);
        assert_eq!(beat, "heartbeat/00000000000000a5");
        let sound =
            [(&*receipt, opted_out()), (&receipt, taken_back()), ("begun", begun()), (&beat, heartbeat())];
        for (key, record) in &sound {
            let read = Record::of_topic(key.as_bytes(), &record.encode()).unwrap();
            assert_eq!(format!("{read:?}"), format!("{:?}", Some(record)));
            for (other, _) in sound.iter().filter(|(other, _)| other != key) {
                assert!(Record::of_topic(other.as_bytes(), &record.encode()).is_err(), "{other}: {record:?}");
            }
        }
        assert!(Record::of_topic(receipt.as_bytes(), &opted_in().encode()).is_err(), "of a journal");
        assert!(matches!(Record::of_topic(beat.as_bytes(), b""), Ok(None)));
        assert!(Record::of_topic(receipt.as_bytes(), b"").is_err(), "an opt-out that somebody deleted");
    }

    #[test]
    fn every_cut_and_every_surplus_is_malformed() {
        for golden in ALL {
            for length in 0..golden.len() {
                assert!(Record::decode(&golden[..length]).is_err(), "cut at {length}");
            }
            assert!(Record::decode(&[golden, &[0]].concat()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut random = Random::announced();
        for round in 0..20_000 {
            let mut bytes = if round % 2 == 0 { OPT_OUT_V1 } else { TAKEN_BACK_V2 }.to_vec();
            bytes.truncate(1 + random.below(bytes.len() as u64) as usize);
            for _ in 0..4 {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.next_u64() as u8;
            }
            if let Ok(record) = Record::decode(&bytes) {
                assert_eq!(record.encode(), bytes, "what is read is written back alike");
            }
        }
    }
}
