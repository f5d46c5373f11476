//! What people ask of what is stored of them: to be erased, or a copy. Who may ask, in which state a request is, and until when it has to be answered.
//!
//! It owns the requests and their journal. It must never see an identifier, only keys that were made of one; never say that something is asked for
//! before that is durable; and never tell anything of a request to whoever has not its secret. The work itself is the aggregator's, which another
//! crate wires to this one: [`Requests::next_after`] says what is to be done, [`Requests::finish`] takes what came of it. What is not finished is handed out
//! again, after a crash too, so the work has to bear being done twice.
//!
//! # A request's way
//!
//! ```text
//!  asked ──► waiting ──► running ──► done
//!     │         │            └─────► not linkable     nothing was stored under the identifier
//!     │         └───► refused        by the operator, who says why
//!     └─────────────► running        where the request proves that the device is the asker's
//! ```
//!
//! An id that somebody typed is no proof: it waits for the operator, who has [`RequestSettings::answer_working_days`] for it ([`due`]), and who can say yes
//! only once the person has shown him every identifier that the request names ([`matching`]).
//!
//! A request that was refused, found nothing, or was a copy is forgotten [`RequestSettings::answered_days_max`] days after its answer, and earlier where
//! there would be too many else. What was erased is remembered as long as anything could bring it back ([`Requests::forget_erased`]).
//!
//! # The audit log
//!
//! Each act on a request is entered there before it is written here; where that cannot be done, it is not done. What then fails to be written has a
//! second entry that says so.
//!
//! # The journal
//!
//! One of its own beside the registry's: no node that measures has any use for it, and a program that does not know it can still read the registry.
//! Each record is a whole request as it is now ([`record`]); the newest one of a number stands.

mod book;
mod copies;
pub mod due;
mod error;
pub mod matching;
pub mod record;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::clock::{Clock, UnixMs};
use event::key::DeviceKey;
use serde_json::{Value, json};

use self::book::{Book, of_party};
pub use self::error::RequestError;
pub use self::record::{Counts, Key, Kind, NamedId, Proof, Request, State};
use crate::receipt::{ReceiptId, Secret, SecretDigest};
use crate::settings::{RequestSettings, Settings};

/// Name of the cursor that keeps the whole journal.
const CURSOR: &str = "requests";
/// Keys of one request: 20 identifiers of the kind with the most forms under three epochs fit.
pub const KEYS_MAX: usize = 8_192;
/// Keys of all requests in memory, 20 bytes each: more are not taken. A browser has some ten, a typed identifier at most a few hundred for each epoch.
pub const KEYS_HELD_MAX: usize = 4_000_000;
/// Apps and other companies may hold one of so many parts of the room for requests: those that wait, all of them, and their keys. However much one of
/// them sends, a person who asks himself finds room.
pub const PARTIES_SHARE: usize = 2;
/// How long after it was finished a browser that asks for the same copy again is given the one that it has. Milliseconds.
const COPY_AGAIN_MS: i64 = 3_600_000;
/// Likewise for the same erasure: in this time hardly anything was measured that it would not have found. Milliseconds.
const ERASURE_AGAIN_MS: i64 = 60_000;
/// Longest reason of a refusal, bytes.
pub const WHY_BYTES_MAX: usize = 1_000;

/// What a request looks for: the identifiers that it names, and the keys of each.
pub struct Sought(pub Vec<(NamedId, Vec<Key>)>);

impl From<Vec<Key>> for Sought {
    /// Those of one identifier, of unknown forms.
    fn from(keys: Vec<Key>) -> Self {
        Self(keys.first().map(|key| (NamedId::of_kind(key.kind), keys.clone())).into_iter().collect())
    }
}

/// What the asker gets, once.
pub struct Submitted {
    /// The request.
    pub request: Request,
    /// Its secret.
    pub secret: Secret,
}

/// Requests in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestStats {
    /// Requests that wait for the operator.
    pub waiting: u64,
    /// Requests that wait or run, and should have been answered.
    pub overdue: u64,
    /// Requests that are accepted and not done.
    pub running: u64,
    /// Requests that this folder once held and does not hold any more.
    pub lost: u64,
}

/// The requests. Cheap to clone. Its changes wait for the disk: call them where that may be.
#[derive(Clone)]
pub struct Requests(Arc<Inner>);

struct Inner {
    settings: RequestSettings,
    clock: Clock,
    copies: PathBuf,
    audit: audit::Log,
    writer: journal::Writer,
    /// Holds the whole journal back from removal.
    _cursor: Mutex<journal::Reader>,
    /// One change at a time, so that what is decided on still holds when it is written.
    turn: Mutex<()>,
    book: Mutex<Book>,
}

impl Requests {
    /// Opens the requests in `dir`, makes the folder if it is not there, and reads them. Copies of data stand in `dir/copies`.
    ///
    /// # Errors
    /// [`RequestError`]: damage, an unknown version, the disk.
    pub fn open(
        dir: &Path,
        settings: &Settings,
        clock: Clock,
        audit: audit::Log,
    ) -> Result<Self, RequestError> {
        let (log, copies) = (dir.join("journal"), dir.join("copies"));
        std::fs::create_dir_all(&log)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&copies)?;
        let own = clock.clone();
        let (writer, recovery) =
            journal::Lane::open(&log, settings.registry.journal(), Arc::new(move || own.now_ms()))?;
        if !(recovery.damaged.is_empty()
            && recovery.missing_segments.is_empty()
            && recovery.set_aside.is_empty())
        {
            return Err(RequestError::Damaged("files are missing or unreadable".to_owned()));
        }
        let mut reader = writer.reader(CURSOR)?;
        let mut book = Book::default();
        while let Some(frame) = reader.next_frame()? {
            if frame.lost_before > 0 {
                return Err(RequestError::Damaged(format!("{} records are missing", frame.lost_before)));
            }
            for (_, bytes) in frame.records() {
                book.put(record::decode(bytes).map_err(|error| RequestError::Damaged(error.to_string()))?);
            }
        }
        book.forget_answered(copies::answered_since(&settings.requests, &clock));
        book.shrink(settings.requests.requests_max, of_parties(settings.requests.requests_max));
        let inner = Inner {
            settings: settings.requests.clone(),
            clock,
            copies,
            audit,
            writer,
            _cursor: Mutex::new(reader),
            turn: Mutex::new(()),
            book: Mutex::new(book),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Takes a request in, durably. With proof it runs; else it waits for the operator. What a browser asked for already, and is not done yet or was done just
    /// now, is not asked for twice: the request gets another secret, which its asker has from now on.
    ///
    /// # Errors
    /// [`RequestError::Full`], [`RequestError::TooManyKeys`], [`RequestError::Unavailable`].
    pub fn submit(
        &self,
        kind: Kind,
        proof: Proof,
        sought: impl Into<Sought>,
    ) -> Result<Submitted, RequestError> {
        let Sought(sought) = sought.into();
        let ids = sought.iter().map(|(id, keys)| NamedId { keys: keys.len() as u16, ..*id }).collect();
        let keys: Vec<Key> = sought.into_iter().flat_map(|(_, keys)| keys).collect();
        if keys.len() > KEYS_MAX {
            return Err(RequestError::TooManyKeys);
        }
        let _turn = self.turn();
        let now_ms = self.0.clock.now_ms();
        let is_proved = proof.suffices();
        let secret = Secret::new(random()?);
        let asked_before = if proof == Proof::Browser { self.book().same(kind, &keys, now_ms) } else { None };
        // An erasure took its file with it.
        let asked_before = asked_before.filter(|request| {
            (request.kind, request.state) != (Kind::Copy, State::Done)
                || self.copy_path(request.receipt).exists()
        });
        if let Some(mut request) = asked_before {
            request.secret = secret.digest();
            self.write("person", "request.asked_again", &request)?;
            return Ok(Submitted { request, secret });
        }
        let (number, receipt) = {
            let mut book = self.book();
            self.0.settings.make_room(&mut book, &proof, keys.len())?;
            (book.last + 1, new_receipt(&book)?)
        };
        let request = Request {
            number,
            receipt,
            secret: secret.digest(),
            kind,
            proof,
            state: if is_proved { State::Running } else { State::Waiting },
            asked_ms: now_ms,
            decided_ms: is_proved.then_some(now_ms),
            finished_ms: None,
            why: String::new(),
            counts: Counts::default(),
            keys: keys.into(),
            ids,
            matched_ms: None,
            matched: Box::default(),
        };
        let actor = request.proof.app().map_or_else(|| "person".to_owned(), |app| format!("app {app}"));
        self.write(&actor, "request.submitted", &request)?;
        Ok(Submitted { request, secret })
    }

    /// A request, for whoever has its secret. Takes as long where there is none of this number.
    pub fn of_holder(&self, receipt: ReceiptId, secret: &Secret) -> Option<Request> {
        const NOBODYS: SecretDigest = SecretDigest([0; 32]);
        let book = self.book();
        let request = book.by_receipt.get(&receipt).and_then(|number| book.by_number.get(number));
        let matches = request.map_or(&NOBODYS, |request| &request.secret).matches(secret);
        request.filter(|_| matches).cloned()
    }

    /// A request by its number, for the operator.
    pub fn get(&self, number: u32) -> Option<Request> {
        self.book().by_number.get(&number).cloned()
    }

    /// All requests, or those that wait or are overdue, oldest first, for the operator; at most `limit` of them, without their keys, and how many there are.
    pub fn list(&self, only_open: bool, limit: usize) -> (Vec<Request>, usize) {
        let book = self.book();
        let wanted =
            |request: &&Request| !only_open || request.state == State::Waiting || self.is_overdue(request);
        let number = book.by_number.values().filter(wanted).count();
        // Of all of them the newest are wanted; of those that wait, the oldest.
        let skipped = if only_open { 0 } else { number.saturating_sub(limit) };
        let listed = book.by_number.values().filter(wanted).skip(skipped).take(limit);
        (listed.map(Request::without_keys).collect(), number)
    }

    /// The operator's yes: the request runs. Only once all of its identifiers were shown ([`matching`]), and under the keys of `epoch`, the newest.
    ///
    /// # Errors
    /// [`RequestError::Unknown`], [`RequestError::NotWaiting`], [`RequestError::NotMatched`], [`RequestError::Rotated`], [`RequestError::Unavailable`].
    pub fn accept(&self, number: u32, epoch: u16) -> Result<Request, RequestError> {
        let _turn = self.turn();
        let mut request = self.waiting(number)?;
        matching::check(&request, epoch)?;
        request.state = State::Running;
        request.decided_ms = Some(self.0.clock.now_ms());
        self.write("operator", "request.accepted", &request)?;
        Ok(request)
    }

    /// The operator's no, and why, which the asker reads.
    ///
    /// # Errors
    /// [`RequestError::Why`], [`RequestError::Unknown`], [`RequestError::NotWaiting`], [`RequestError::Unavailable`].
    pub fn refuse(&self, number: u32, why: &str) -> Result<Request, RequestError> {
        let why = why.trim();
        if why.is_empty() || why.len() > WHY_BYTES_MAX {
            return Err(RequestError::Why);
        }
        let _turn = self.turn();
        let mut request = self.waiting(number)?;
        request.state = State::Refused;
        request.decided_ms = Some(self.0.clock.now_ms());
        why.clone_into(&mut request.why);
        // Nothing is looked for any more.
        request.keys = Box::default();
        self.write("operator", "request.refused", &request)?;
        Ok(request)
    }

    fn waiting(&self, number: u32) -> Result<Request, RequestError> {
        let request = self.get(number).ok_or(RequestError::Unknown)?;
        match request.state {
            State::Waiting => Ok(request),
            state => Err(RequestError::NotWaiting(state)),
        }
    }

    /// The oldest request after this number that is to be done.
    pub fn next_after(&self, number: u32) -> Option<Request> {
        let book = self.book();
        let mut later = book.by_number.range(number.saturating_add(1)..).map(|(_, request)| request);
        later.find(|request| request.state == State::Running).cloned()
    }

    /// Takes in what came of a request; `None` where nothing was stored under its keys.
    ///
    /// # Errors
    /// [`RequestError::Unavailable`]: it is handed out again.
    pub fn finish(&self, number: u32, counts: Option<Counts>) -> Result<Request, RequestError> {
        let _turn = self.turn();
        let mut request = self.get(number).ok_or(RequestError::Unknown)?;
        if request.state != State::Running {
            return Ok(request);
        }
        request.state = if counts.is_some() { State::Done } else { State::NotLinkable };
        request.counts = counts.unwrap_or_default();
        request.finished_ms = Some(self.0.clock.now_ms());
        match (request.kind, request.state) {
            // A file that lies here until it is fetched would outlive what was erased.
            (Kind::Erasure, _) => self.remove_copies_of(&request.keys)?,
            // Its keys stay as long as its file: an erasure finds it by them.
            (Kind::Copy, State::Done) => {}
            (Kind::Copy, _) => request.keys = Box::default(),
        }
        self.write("system", "request.carried_out", &request)?;
        Ok(request)
    }

    /// The newest number that was given.
    pub fn newest(&self) -> u32 {
        self.book().last
    }

    /// Says what the newest number was when that was last looked at, and how many were missing before: a folder that was lost, or is an older one's, is no
    /// first start. No number is given twice. How many requests are missing.
    pub fn expect_newest(&self, newest: u32, lost: u32) -> u32 {
        let mut book = self.book();
        book.lost = newest.saturating_sub(book.last).max(lost);
        book.last = book.last.max(newest);
        book.lost
    }

    /// The keys of every erasure that was carried out, and when it was accepted: what was received before must not come back. One that still runs
    /// has to find it first.
    pub fn erased(&self) -> Vec<(Vec<DeviceKey>, UnixMs)> {
        let book = self.book();
        let erasures = book
            .by_number
            .values()
            .filter(|request| request.kind == Kind::Erasure && request.finished_ms.is_some());
        erasures
            .filter_map(|request| {
                let until_ms = request.until_ms()?;
                Some((request.keys.iter().map(|key| key.device).collect(), until_ms))
            })
            .collect()
    }

    /// The day at whose end a request has to be answered.
    pub fn due(&self, request: &Request) -> chrono::NaiveDate {
        due::due(&self.0.settings, request.asked_ms)
    }

    /// Whether it waits for an answer, or runs, longer than it may.
    pub fn is_overdue(&self, request: &Request) -> bool {
        matches!(request.state, State::Waiting | State::Running)
            && due::local_day(&self.0.settings, self.0.clock.now_ms()) > self.due(request)
    }

    /// The requests in numbers.
    pub fn stats(&self) -> RequestStats {
        let book = self.book();
        let mut stats = RequestStats { lost: u64::from(book.lost), ..RequestStats::default() };
        for request in book.by_number.values() {
            stats.overdue += u64::from(self.is_overdue(request));
            match request.state {
                State::Waiting => stats.waiting += 1,
                State::Running => stats.running += 1,
                State::Refused | State::Done | State::NotLinkable => {}
            }
        }
        stats
    }

    /// Takes no more. Blocks until what is under way is on the disk.
    pub fn close(&self) {
        self.0.writer.close();
    }

    /// Enters an act in the audit log, writes the request as it is then, and takes it in force once that is durable.
    fn write(&self, actor: &str, act: &'static str, request: &Request) -> Result<(), RequestError> {
        self.enter(actor, act, request)?;
        let append = || self.0.writer.append(&record::encode(request)).map_err(|error| error.to_string());
        let written = append().and_then(|commit| commit.wait().map_err(|error| error.to_string()));
        if let Err(error) = written {
            // It may be durable all the same: the next start tells.
            self.enter("system", "request.not_written", request)?;
            return Err(RequestError::Unavailable(error));
        }
        self.book().put(request.clone());
        Ok(())
    }

    fn enter(&self, actor: &str, act: &'static str, request: &Request) -> Result<(), RequestError> {
        self.0.audit.append(&entry(actor, act, request))?;
        Ok(())
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // A request is put in whole: a panic elsewhere leaves nothing half done.
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The apps' and other companies' share of a limit, rounded up.
fn of_parties(limit: usize) -> usize {
    limit.div_ceil(PARTIES_SHARE)
}

impl RequestSettings {
    /// Forgets what is answered until one more request finds room, or says which limit it does not.
    fn make_room(&self, book: &mut Book, proof: &Proof, keys: usize) -> Result<(), RequestError> {
        let is_party = proof.app().is_some();
        let own_max = of_parties(self.requests_max);
        book.shrink(self.requests_max - 1, if is_party { own_max - 1 } else { own_max });
        let (all, own) = (book.held(|_| true), book.held(of_party));
        let keys_held = book.keys + keys;
        let waits = !proof.suffices();
        let limits = [
            (all.requests >= self.requests_max, "opt_out.requests.requests_max"),
            (waits && all.waiting >= self.waiting_max, "opt_out.requests.waiting_max"),
            (keys_held > KEYS_HELD_MAX, "memory for 4,000,000 keys"),
            (
                is_party && own.requests >= own_max,
                "half of opt_out.requests.requests_max for apps and parties",
            ),
            (
                is_party && waits && own.waiting >= of_parties(self.waiting_max),
                "half of opt_out.requests.waiting_max for apps and parties",
            ),
            (
                is_party && own.keys + keys > of_parties(KEYS_HELD_MAX),
                "memory for 2,000,000 keys for apps and parties",
            ),
        ];
        match limits.into_iter().find(|(is_reached, _)| *is_reached) {
            Some((_, limit)) => Err(RequestError::Full { limit }),
            None => Ok(()),
        }
    }
}

/// What the audit log is told of an act: the request as it is after it. Neither its keys nor what the operator wrote.
fn entry(actor: &str, act: &'static str, request: &Request) -> audit::Entry {
    let Counts { events, unresolved, trial_events, days_settled, days_standing, rows, is_complete } =
        request.counts;
    let mut details = json!({
        "receipt": request.receipt.to_string(),
        "kind": request.kind.name(),
        "state": request.state.name(),
        "proof": request.proof.name(),
    });
    let result = match (request.kind, request.state) {
        (Kind::Erasure, State::Done) => json!({
            "hits": events, "hits_unresolved": unresolved, "hits_in_trial": trial_events,
            "days_made_again": days_settled, "days_standing": days_standing,
        }),
        (Kind::Copy, State::Done) => json!({ "hits": rows, "complete": is_complete }),
        // How far the operator was shown what he decides on.
        (_, State::Waiting | State::Running | State::Refused) if !request.proof.suffices() => {
            json!({ "ids": request.ids.len(), "ids_matched": request.ids_matched() })
        }
        _ => Value::Null,
    };
    if let (Value::Object(details), Value::Object(result)) = (&mut details, result) {
        details.extend(result);
    }
    audit::Entry::new(actor, act, format!("request {}", request.number), details)
}

fn new_receipt(book: &Book) -> Result<ReceiptId, RequestError> {
    loop {
        let receipt = ReceiptId(random()?);
        if !book.by_receipt.contains_key(&receipt) {
            return Ok(receipt);
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], RequestError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(RequestError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
