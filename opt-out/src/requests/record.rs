//! The bytes of a request in its journal: each record is a whole request as it is now.
//!
//! No identifier and no secret: keyed hashes of the one, a digest of the other. `golden/` holds one file for each form.
//!
//! # Layout, version 3
//!
//! Little-endian. The frame of the journal around it carries the checksum.
//!
//! ```text
//! offset  bytes  field
//!      0      1  version: 3 where the proof is 4, else 2, which an earlier program reads too
//!      1      1  kind: 1 erasure, 2 copy
//!      2      1  state: 1 waiting, 2 running, 3 refused, 4 done, 5 not linkable
//!      3      1  proof: 1 the browser's id cookie, 2 an app's signature, 3 none, 4 none, though an app signed
//!      4      4  number
//!      8     10  receipt's number
//!     18     32  SHA-256 of the receipt's secret
//!     50      8  when it was asked for, Unix milliseconds, signed
//!     58      8  when it was decided, likewise, 0 where it was not
//!     66      8  when it was finished, likewise
//!     74     24  counts: hits in figures, hits without a known placement, hits of tests
//!     98      8  counts: days settled again u32, days whose figures stand u32
//!    106      9  counts: rows of a copy u64, whether it holds all u8
//!    115      1  a, length of the app's name, 0 where there is none
//!    116      a  the app's name
//!  116+a      2  w, length of the reason of a refusal
//!  118+a      w  the reason, UTF-8
//!        2+19·n  n, then each key: epoch u16, kind of the identifier u8, device key
//!         2+6·i  i, then each identifier that was named, in the order of the keys: how many of them are its own u16 (together n, or what n was before the
//!                keys were dropped), its kind u8, the forms that are covered u8 and not covered u8, 1 if its value was ambiguous else 0
//!             8  when an identifier was shown last that matched, Unix milliseconds, signed, 0 where none was
//!             m  where one was: of each key whether what was shown covers it, from the lowest bit of the first byte; the rest of the last byte is 0
//! ```
//!
//! A form is the bit of its place in [`ArrivingForm::ALL`]. Version 2 knew no proof 4. Version 1 ended behind the keys: those of one kind that stand together are taken for one
//! identifier's, of unknown forms.

use event::clock::UnixMs;
use event::identifier::{ArrivingForm, IdKind, Lodged};
use event::key::DeviceKey;
use thiserror::Error;

use crate::receipt::{ReceiptId, SecretDigest};
use crate::record::AppName;

/// The newest version that is written; every one up to it is read.
pub const VERSION: u8 = 3;
/// The one of a request that an earlier program knows whole.
const VERSION_BEFORE: u8 = 2;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To be erased.
    Erasure = 1,
    /// A copy of what is stored.
    Copy = 2,
}

impl Kind {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Erasure => "erasure",
            Self::Copy => "copy",
        }
    }
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing proves whose device it is: the operator decides.
    Waiting = 1,
    /// Accepted, not done yet.
    Running = 2,
    /// Refused by the operator.
    Refused = 3,
    /// Done.
    Done = 4,
    /// Nothing was stored under the identifier.
    NotLinkable = 5,
}

impl State {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Refused => "refused",
            Self::Done => "done",
            Self::NotLinkable => "not_linkable",
        }
    }
}

/// What shows that the device is the asker's. Purpose: whether an operator has to look, and an auditor. Sensitivity: none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The id cookie that the tracker gave this browser.
    Browser,
    /// The signature of a registered app, which read the identifier from the system.
    App(AppName),
    /// None: somebody typed an identifier.
    Typed,
    /// None: a registered app or party names it, whose word does not suffice.
    Claimed(AppName),
}

impl Proof {
    /// The name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::App(_) => "app",
            Self::Typed | Self::Claimed(_) => "none",
        }
    }

    /// Whether it suffices; else the operator decides.
    pub fn suffices(&self) -> bool {
        matches!(self, Self::Browser | Self::App(_))
    }

    /// The name of the app or party that signed, whether or not its word suffices.
    pub fn app(&self) -> Option<&str> {
        match self {
            Self::App(name) | Self::Claimed(name) => Some(name.as_str()),
            Self::Browser | Self::Typed => None,
        }
    }

    fn number(&self) -> u8 {
        match self {
            Self::Browser => 1,
            Self::App(_) => 2,
            Self::Typed => 3,
            Self::Claimed(_) => 4,
        }
    }
}

/// One key that the device of an identifier can have in what is stored. Purpose: to be found. Sensitivity: pseudonymous while the epoch's key exists.
/// Retention: of an erasure as long as anything could bring back what it erased; of a copy as long as its file; of a refused request until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Epoch of the key that made it.
    pub epoch: u16,
    /// Kind of the identifier.
    pub kind: IdKind,
    /// The key.
    pub device: DeviceKey,
}

/// Forms in which an identifier arrives: the bit of each one's place in [`ArrivingForm::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms(u8);

impl Forms {
    /// These.
    pub fn of(forms: &[ArrivingForm]) -> Self {
        let bit = |(place, form): (usize, &ArrivingForm)| u8::from(forms.contains(form)) << place;
        Self(ArrivingForm::ALL.iter().enumerate().map(bit).fold(0, |all, bit| all | bit))
    }

    /// Their names in the API.
    pub fn names(self) -> Vec<&'static str> {
        let forms = ArrivingForm::ALL.into_iter().enumerate();
        forms.filter(|(place, _)| self.0 >> place & 1 == 1).map(|(_, form)| form.name()).collect()
    }
}

/// An identifier that a request names. Purpose: to tell the person what was looked for, and the operator what is still to be shown. Sensitivity: none by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedId {
    /// How many of the request's keys are its own.
    pub keys: u16,
    /// What it is.
    pub kind: IdKind,
    /// Hits in which it stood for the device in one of these forms are found.
    pub covered: Forms,
    /// Those in which it came in one of these only are not. Both empty where an earlier program took the request.
    pub not_covered: Forms,
    /// Whether the value could be the identifier itself as well as a digest of one; of itself everything is covered.
    pub is_ambiguous: bool,
}

impl NamedId {
    /// One of this kind, of unknown forms.
    pub fn of_kind(kind: IdKind) -> Self {
        Self { keys: 0, kind, covered: Forms(0), not_covered: Forms(0), is_ambiguous: false }
    }

    /// One that is found as an opt-out by it would be.
    pub fn of_lodged(kind: IdKind, lodged: &Lodged) -> Self {
        Self {
            keys: 0,
            kind,
            covered: Forms::of(&lodged.covered),
            not_covered: Forms::of(&lodged.uncovered),
            is_ambiguous: lodged.ambiguous,
        }
    }

    /// The same once its keys are those of this one too.
    #[must_use]
    pub fn with(self, own: Self) -> Self {
        let covered = Forms(self.covered.0 | own.covered.0);
        let not_covered = Forms((self.not_covered.0 | own.not_covered.0) & !covered.0);
        Self { covered, not_covered, ..self }
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Hits in figures that lost the device.
    pub events: u64,
    /// Hits whose campaign or placement is not known, likewise.
    pub unresolved: u64,
    /// Hits on placements that are being tested, likewise.
    pub trial_events: u64,
    /// Days whose figures were made again.
    pub days_settled: u32,
    /// Days whose figures stand, in which the device became one that nobody can tell.
    pub days_standing: u32,
    /// Hits in a copy.
    pub rows: u64,
    /// Whether the copy holds all of them.
    pub is_complete: bool,
}

/// One request, as it is.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place in the order of asking, from 1: what the operator calls it. Sensitivity: none.
    pub number: u32,
    /// Number of the receipt: what the asker calls it. Public.
    pub receipt: ReceiptId,
    /// Digest of the receipt's secret. Purpose: only its holder may ask. Sensitivity: none without the secret.
    pub secret: SecretDigest,
    /// What is asked for.
    pub kind: Kind,
    /// What shows that the device is the asker's.
    pub proof: Proof,
    /// How far it is.
    pub state: State,
    /// When it was asked for. Unix milliseconds. Purpose: the clock of the answer. Sensitivity: low.
    pub asked_ms: UnixMs,
    /// When it was accepted or refused. Unix milliseconds.
    pub decided_ms: Option<UnixMs>,
    /// When it was done. Unix milliseconds.
    pub finished_ms: Option<UnixMs>,
    /// Why it was refused, in the operator's words; empty where it was not.
    pub why: String,
    /// What came of it.
    pub counts: Counts,
    /// What is looked for.
    pub keys: Box<[Key]>,
    /// The identifiers that were named, in the order of their keys. They stay when the keys go.
    pub ids: Box<[NamedId]>,
    /// When an identifier was last shown to the operator that is one of these. Unix milliseconds. Purpose: to show that somebody looked. Sensitivity: low.
    pub matched_ms: Option<UnixMs>,
    /// Of each key, whether what was shown covers it; empty where nothing was shown that does.
    pub matched: Box<[bool]>,
}

impl Request {
    /// The identifiers that were named: how many keys each has, and how many of those are covered by what was shown.
    pub fn ids_covered(&self) -> impl Iterator<Item = (usize, usize)> {
        let mut matched = &*self.matched;
        self.ids.iter().map(move |id| {
            let keys = usize::from(id.keys);
            let (own, left) = matched.split_at_checked(keys).unwrap_or_default();
            matched = left;
            (keys, own.iter().filter(|covers| **covers).count())
        })
    }

    /// The same without what it looks for.
    pub(super) fn without_keys(&self) -> Self {
        let Self { number, receipt, secret, kind, state, asked_ms, decided_ms, finished_ms, counts, .. } =
            *self;
        Self {
            number,
            receipt,
            secret,
            kind,
            proof: self.proof.clone(),
            state,
            asked_ms,
            decided_ms,
            finished_ms,
            why: self.why.clone(),
            counts,
            keys: Box::default(),
            ids: self.ids.clone(),
            matched_ms: self.matched_ms,
            matched: self.matched.clone(),
        }
    }

    /// How many of the identifiers that were named have been shown.
    pub fn ids_matched(&self) -> usize {
        self.ids_covered().filter(|(keys, covered)| covered == keys).count()
    }

    /// What was received before this moment is what the request is about; `None` while it is not accepted. Unix milliseconds.
    pub fn until_ms(&self) -> Option<UnixMs> {
        self.decided_ms.filter(|_| matches!(self.state, State::Running | State::Done | State::NotLinkable))
    }
}

/// Why bytes are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Written by a newer program. The operator's to solve: run that one.
    #[error(
        "record version {0} is not known to this program (it knows {VERSION}): run the version that wrote it, or a newer one"
    )]
    UnknownVersion(u8),
    /// A known version, but not its form. Ours or the disk's.
    #[error("a record is malformed")]
    Malformed,
}

/// The bytes of a request.
pub fn encode(request: &Request) -> Vec<u8> {
    let version = if matches!(request.proof, Proof::Claimed(_)) { VERSION } else { VERSION_BEFORE };
    let mut bytes = vec![version, request.kind as u8, request.state as u8, request.proof.number()];
    bytes.extend(request.number.to_le_bytes());
    bytes.extend(request.receipt.0);
    bytes.extend(request.secret.0);
    for at_ms in [Some(request.asked_ms), request.decided_ms, request.finished_ms] {
        bytes.extend(at_ms.unwrap_or(0).to_le_bytes());
    }
    let Counts { events, unresolved, trial_events, days_settled, days_standing, rows, is_complete } =
        request.counts;
    for hits in [events, unresolved, trial_events] {
        bytes.extend(hits.to_le_bytes());
    }
    for days in [days_settled, days_standing] {
        bytes.extend(days.to_le_bytes());
    }
    bytes.extend(rows.to_le_bytes());
    bytes.push(u8::from(is_complete));
    // A name has at most 64 bytes, a reason and a list of keys what the requests allow.
    let app = request.proof.app().unwrap_or_default();
    bytes.push(app.len() as u8);
    bytes.extend(app.as_bytes());
    bytes.extend((request.why.len() as u16).to_le_bytes());
    bytes.extend(request.why.as_bytes());
    bytes.extend((request.keys.len() as u16).to_le_bytes());
    for key in &request.keys {
        bytes.extend(key.epoch.to_le_bytes());
        bytes.push(key.kind as u8);
        bytes.extend(key.device.0);
    }
    bytes.extend((request.ids.len() as u16).to_le_bytes());
    for NamedId { keys, kind, covered, not_covered, is_ambiguous } in &request.ids {
        bytes.extend(keys.to_le_bytes());
        bytes.extend([*kind as u8, covered.0, not_covered.0, u8::from(*is_ambiguous)]);
    }
    bytes.extend(request.matched_ms.unwrap_or(0).to_le_bytes());
    for flags in request.matched.chunks(8) {
        bytes.push(flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag)));
    }
    bytes
}

/// Reads a request.
///
/// # Errors
/// [`DecodeError`]; the caller must not go on without it.
pub fn decode(bytes: &[u8]) -> Result<Request, DecodeError> {
    let (version, mut rest) = bytes.split_first().ok_or(DecodeError::Malformed)?;
    let request = match version {
        1 => decode_v1(&mut rest).filter(|request| !matches!(request.proof, Proof::Claimed(_))),
        2 => decode_v2(&mut rest).filter(|request| !matches!(request.proof, Proof::Claimed(_))),
        3 => decode_v2(&mut rest),
        other => return Err(DecodeError::UnknownVersion(*other)),
    };
    request.filter(|_| rest.is_empty()).ok_or(DecodeError::Malformed)
}

fn decode_v1(rest: &mut &[u8]) -> Option<Request> {
    let [kind, state, proof] = take(rest)?;
    let kind = [Kind::Erasure, Kind::Copy].into_iter().find(|known| *known as u8 == kind)?;
    let states = [State::Waiting, State::Running, State::Refused, State::Done, State::NotLinkable];
    let state = states.into_iter().find(|known| *known as u8 == state)?;
    let number = u32::from_le_bytes(take(rest)?);
    let (receipt, secret) = (ReceiptId(take(rest)?), SecretDigest(take(rest)?));
    let [asked_ms, decided_ms, finished_ms] = [time(rest)?, time(rest)?, time(rest)?];
    let counts = Counts {
        events: u64::from_le_bytes(take(rest)?),
        unresolved: u64::from_le_bytes(take(rest)?),
        trial_events: u64::from_le_bytes(take(rest)?),
        days_settled: u32::from_le_bytes(take(rest)?),
        days_standing: u32::from_le_bytes(take(rest)?),
        rows: u64::from_le_bytes(take(rest)?),
        is_complete: match take(rest)? {
            [0] => false,
            [1] => true,
            _ => return None,
        },
    };
    let [app_length] = take(rest)?;
    let app = text(rest, usize::from(app_length))?;
    let proof = match (proof, app) {
        (1, "") => Proof::Browser,
        (2, app) => Proof::App(AppName::new(app)?),
        (3, "") => Proof::Typed,
        (4, app) => Proof::Claimed(AppName::new(app)?),
        _ => return None,
    };
    let why_length = u16::from_le_bytes(take(rest)?);
    let why = text(rest, usize::from(why_length))?.to_owned();
    let count = u16::from_le_bytes(take(rest)?);
    let keys = (0..count).map(|_| key(rest)).collect::<Option<Box<[_]>>>()?;
    let ids = keys.chunk_by(|one, next| one.kind == next.kind);
    let ids = ids.filter_map(|own| Some((own.len() as u16, own.first()?.kind)));
    let ids = ids.map(|(keys, kind)| NamedId { keys, ..NamedId::of_kind(kind) }).collect();
    Some(Request {
        number,
        receipt,
        secret,
        kind,
        proof,
        state,
        asked_ms: asked_ms?,
        decided_ms,
        finished_ms,
        why,
        counts,
        keys,
        ids,
        matched_ms: None,
        matched: Box::default(),
    })
}

fn decode_v2(rest: &mut &[u8]) -> Option<Request> {
    let request = decode_v1(rest)?;
    let count = u16::from_le_bytes(take(rest)?);
    let ids = (0..count).map(|_| named_id(rest)).collect::<Option<Box<[_]>>>()?;
    let keys: usize = ids.iter().map(|id| usize::from(id.keys)).sum();
    let matched_ms = time(rest)?;
    let flags = if matched_ms.is_some() { flags(rest, keys)? } else { Box::default() };
    let fits = request.keys.is_empty() || request.keys.len() == keys;
    fits.then_some(Request { ids, matched_ms, matched: flags, ..request })
}

fn named_id(rest: &mut &[u8]) -> Option<NamedId> {
    let keys = u16::from_le_bytes(take(rest)?);
    let [kind, covered, not_covered, is_ambiguous] = take(rest)?;
    let (covered, not_covered) = (Forms(covered), Forms(not_covered));
    let kind = IdKind::from_number(kind)?;
    (is_ambiguous < 2).then_some(NamedId {
        keys,
        kind,
        covered,
        not_covered,
        is_ambiguous: is_ambiguous == 1,
    })
}

/// So many flags, and nothing behind them.
fn flags(rest: &mut &[u8], count: usize) -> Option<Box<[bool]>> {
    let (bytes, left) = rest.split_at_checked(count.div_ceil(8))?;
    *rest = left;
    let mut flags = bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    let found = flags.by_ref().take(count).collect();
    (!flags.any(|flag| flag)).then_some(found)
}

fn key(rest: &mut &[u8]) -> Option<Key> {
    let epoch = u16::from_le_bytes(take(rest)?);
    let [kind] = take(rest)?;
    Some(Key { epoch, kind: IdKind::from_number(kind)?, device: DeviceKey(take(rest)?) })
}

/// A time, or none.
#[expect(clippy::option_option, reason = "bytes that are missing are no time that is missing")]
fn time(rest: &mut &[u8]) -> Option<Option<UnixMs>> {
    let at_ms = i64::from_le_bytes(take(rest)?);
    Some((at_ms != 0).then_some(at_ms))
}

fn text<'r>(rest: &mut &'r [u8], length: usize) -> Option<&'r str> {
    let (text, left) = rest.split_at_checked(length)?;
    *rest = left;
    std::str::from_utf8(text).ok()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}
