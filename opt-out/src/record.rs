//! The registry's records: what is written to its journal, and its bytes.
//!
//! A record holds no identifier, only hashes under the opt-out key, and no secret, only its digest. Every version ever written stays readable:
//! the registry never expires. `golden/` holds one file for each form.
//!
//! # Layout, version 1
//!
//! Little-endian. The frame of the journal around it carries the checksum.
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

use event::clock::UnixMs;
use event::key::OptOutHash;
use thiserror::Error;

use crate::receipt::{ReceiptId, SecretDigest};

/// The version written today.
pub const VERSION: u8 = 1;

const OPTED_OUT: u8 = 1;
const OPTED_IN: u8 = 2;
const BEGUN: u8 = 3;

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
    /// A receipt was taken back.
    OptedIn {
        /// Which.
        receipt: ReceiptId,
        /// When. Unix milliseconds.
        at_ms: UnixMs,
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

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Written by a newer program. The operator's to solve: run that one. Never skipped, for it may say that somebody opted out.
    #[error(
        "record version {0} is not known to this program (it knows 1): run the version that wrote it, or a newer one"
    )]
    UnknownVersion(u8),
    /// A known version, but not its form. Ours or the disk's.
    #[error("record of version 1 is malformed")]
    Malformed,
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Begun { key_check, at_ms } => head(BEGUN, *at_ms, &key_check.0),
            Self::OptedIn { receipt, at_ms } => head(OPTED_IN, *at_ms, &receipt.0),
            Self::OptedOut(record) => {
                let mut bytes = head(OPTED_OUT, record.at_ms, &record.receipt.0);
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
        if *version != VERSION {
            return Err(RecordError::UnknownVersion(*version));
        }
        decode_v1(&mut rest).filter(|_| rest.is_empty()).ok_or(RecordError::Malformed)
    }
}

fn head(what: u8, at_ms: UnixMs, subject: &[u8]) -> Vec<u8> {
    let mut bytes = vec![VERSION, what];
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
            let source = match take(rest)? {
                [1] => Source::Page,
                [2] => Source::Api,
                _ => return None,
            };
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

    #[test]
    fn the_bytes_equal_the_golden_files() {
        for (record, golden) in [(opted_out(), OPT_OUT_V1), (opted_in(), OPT_IN_V1), (begun(), BEGUN_V1)] {
            assert_eq!(record.encode(), golden);
            assert_eq!(format!("{:?}", Record::decode(golden).unwrap()), format!("{record:?}"));
        }
    }

    #[test]
    fn an_unknown_version_is_named_and_not_guessed() {
        let mut bytes = OPT_IN_V1.to_vec();
        bytes[0] = 2;
        assert_eq!(Record::decode(&bytes).err(), Some(RecordError::UnknownVersion(2)));
    }

    #[test]
    fn every_cut_and_every_surplus_is_malformed() {
        for golden in [OPT_OUT_V1, OPT_IN_V1, BEGUN_V1] {
            for length in 0..golden.len() {
                assert!(Record::decode(&golden[..length]).is_err(), "cut at {length}");
            }
            assert!(Record::decode(&[golden, &[0]].concat()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused() {
        let mut random = Random::announced();
        for _ in 0..20_000 {
            let mut bytes = OPT_OUT_V1.to_vec();
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
