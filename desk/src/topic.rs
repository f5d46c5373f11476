//! The desk of a cluster: a compacted topic of one partition, read whole and followed by a thread.
//!
//! A record's key is `<kind>/<id>`; its value is one byte, the form's version, and the document. An empty document or part is none any more.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka::{Cluster, Follower, Message, Producer};

use crate::error::Error;
use crate::files::Durability;
use crate::folder::{Documents, has_room, of_kind};
use crate::shelf::{Shelf, now_ms};
use crate::{Document, Kind, LEASE, PARTS, is_id};

/// Version of a record's form.
const FORM: u8 = 1;
/// Longest wait for one message.
const STEP: Duration = Duration::from_millis(100);
/// How often the end of the topic is asked for: several times within [`LEASE`].
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for the end of the topic.
const ANSWER: Duration = Duration::from_secs(2);
/// Pause after Kafka could not be reached.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest that a write waits for Kafka, and then to be read back.
const WRITE: Duration = Duration::from_secs(10);
/// Most parts that one sweep takes away; the next one goes on.
const SWEPT_MAX: usize = 1000;

pub(crate) struct Topic {
    shared: Arc<Shared>,
    cluster: Cluster,
    producer: Mutex<Option<Producer>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// This node's copy of the parts.
    parts: Shelf,
}

#[derive(Default)]
struct State {
    documents: Documents,
    /// Offset behind the last record in `documents`; -1 until the topic was read once.
    applied: i64,
    /// When it was asked for an end of the topic that was then reached.
    current: Option<Instant>,
    /// Why the topic cannot be followed.
    failure: Option<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// What a record says.
enum Said<'m> {
    /// A document, or that what stood there is in force no longer.
    Document((Kind, String), Option<&'m [u8]>),
    /// A part, or that there is none any more.
    Part(String, Option<&'m [u8]>),
    Nothing,
}

impl<'m> Said<'m> {
    /// One that cannot be understood takes away what it replaces.
    fn of(message: &'m Message) -> Self {
        let key = std::str::from_utf8(&message.key).ok().and_then(|key| key.split_once('/'));
        let Some((name, id)) = key.filter(|(_, id)| is_id(id)) else { return Self::unknown(message) };
        let value = if let Some((&FORM, document)) = message.value.split_first() {
            Some(document).filter(|document| !document.is_empty())
        } else {
            tracing::error!(
                offset = message.offset,
                kind = name,
                "a record of the desk has a form that this program does not know: what it replaced is not in force; run the version that wrote it"
            );
            None
        };
        match Kind::from_name(name) {
            Some(kind) => Self::Document((kind, id.to_owned()), value),
            None if name == PARTS => Self::Part(id.to_owned(), value),
            None => Self::unknown(message),
        }
    }

    fn unknown(message: &Message) -> Self {
        tracing::error!(
            offset = message.offset,
            "a record of the desk has a key that this program does not know: it is passed over"
        );
        Self::Nothing
    }

    /// Enters what it says of documents.
    fn enter(self, documents: &mut Documents) {
        match self {
            Self::Document(key, Some(document)) => {
                documents.insert(key, document.into());
            }
            Self::Document(key, None) => {
                documents.remove(&key);
            }
            Self::Part(..) | Self::Nothing => {}
        }
    }
}

impl Shared {
    /// Enters a part, or takes it away.
    fn enter_part(&self, id: &str, bytes: Option<&[u8]>, at_ms: i64) {
        let Some(bytes) = bytes else { return self.parts.remove(id) };
        let at_ms = if at_ms < 0 { now_ms() } else { at_ms };
        if let Err(error) = self.parts.put((id, bytes), at_ms, Durability::Copy) {
            tracing::error!(id, %error, "a part of a long document cannot be copied here: what it belongs to cannot be read before the next start");
        }
    }
}

impl State {
    fn behind(&self, now: Instant) -> Option<String> {
        if self.current.is_some_and(|seen| now.saturating_duration_since(seen) <= LEASE) {
            return None;
        }
        Some(match (&self.failure, self.current) {
            (Some(why), _) => why.clone(),
            (None, None) => "it is being read".to_owned(),
            (None, Some(_)) => format!("its end was not seen for {} s", LEASE.as_secs()),
        })
    }
}

impl Topic {
    pub(crate) fn follow(cluster: Cluster, dir: &Path) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            parts: Shelf::empty(dir)?,
            stop: AtomicBool::new(false),
            state: Mutex::new(State { applied: -1, ..State::default() }),
            changed: Condvar::new(),
        });
        let reader = Reader { cluster: cluster.clone(), shared: Arc::clone(&shared) };
        let thread = std::thread::Builder::new().name("desk".to_owned());
        let thread = thread.spawn(move || reader.run()).map_err(Error::Thread)?;
        Ok(Self { shared, cluster, producer: Mutex::default(), thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>, Error> {
        self.current().map(|state| state.documents.get(&(kind, id.to_owned())).cloned())
    }

    pub(crate) fn get_heard(&self, kind: Kind, id: &str) -> Result<Option<Document>, Error> {
        Ok(self.heard()?.documents.get(&(kind, id.to_owned())).cloned())
    }

    /// What was heard, once everything was.
    fn heard(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.shared.state();
        if state.applied < 0 {
            return Err(Error::Behind(state.behind(Instant::now()).unwrap_or_default()));
        }
        Ok(state)
    }

    pub(crate) fn list(&self, kind: Kind) -> Result<Vec<(String, Document)>, Error> {
        self.current().map(|state| of_kind(&state.documents, kind))
    }

    pub(crate) fn behind(&self) -> Option<String> {
        self.shared.state().behind(Instant::now())
    }

    fn current(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.shared.state();
        match state.behind(Instant::now()) {
            None => Ok(state),
            Some(why) => Err(Error::Behind(why)),
        }
    }

    pub(crate) fn put(&self, kind: Kind, id: &str, document: &[u8]) -> Result<(), Error> {
        has_room(&self.current()?.documents, kind, id)?;
        let offset = self.send(&format!("{}/{id}", kind.name()), document)?;
        self.read_back(offset)
    }

    pub(crate) fn put_part(&self, id: &str, bytes: &[u8]) -> Result<(), Error> {
        drop(self.current()?);
        self.shared.parts.has_room(bytes.len())?;
        let offset = self.send(&format!("{PARTS}/{id}"), bytes)?;
        self.read_back(offset)?;
        if self.shared.parts.has(id) {
            Ok(())
        } else {
            Err(Error::Unconfirmed("its copy here could not be written".to_owned()))
        }
    }

    pub(crate) fn get_part(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        drop(self.heard()?);
        self.shared.parts.get(id)
    }

    /// Puts an empty record in the place of each part that nothing leads to.
    pub(crate) fn sweep(&self, is_orphan: impl Fn(&str) -> bool, age: Duration) -> Result<usize, Error> {
        drop(self.current()?);
        let mut orphans = self.shared.parts.old(is_orphan, age);
        orphans.truncate(SWEPT_MAX);
        let mut last = None;
        for id in &orphans {
            last = Some(self.send(&format!("{PARTS}/{id}"), &[])?);
        }
        last.map_or(Ok(()), |offset| self.read_back(offset))?;
        Ok(orphans.len())
    }

    /// Waits until a record was read back.
    fn read_back(&self, offset: i64) -> Result<(), Error> {
        let state = self.shared.state();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, WRITE, |state| state.applied <= offset && !self.shared.stopping())
            .unwrap_or_else(PoisonError::into_inner);
        if state.applied > offset {
            Ok(())
        } else {
            Err(Error::Unconfirmed("it was not read back".to_owned()))
        }
    }

    /// Sends a record and waits for its place in the log.
    fn send(&self, key: &str, document: &[u8]) -> Result<i64, Error> {
        let value = [&[FORM], document].concat();
        let unconfirmed = |why: &dyn std::fmt::Display| Error::Unconfirmed(why.to_string());
        let mut held = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|producer| producer.is_fatal().is_some()) {
            *held = None;
        }
        let producer = match &mut *held {
            Some(producer) => producer,
            none => none.insert(self.cluster.producer().map_err(|error| unconfirmed(&error))?),
        };
        let sent = producer.send(kafka::Topic::Desk, key.as_bytes(), &value, &[]);
        drop(held);
        let mut delivery = sent.map_err(|error| unconfirmed(&error))?;
        match delivery.wait(WRITE) {
            Some(Ok(placed)) => Ok(placed.offset),
            Some(Err(error)) => Err(unconfirmed(&error)),
            None => Err(unconfirmed(&"no answer")),
        }
    }

    pub(crate) fn close(&self) {
        self.shared.stop.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the desk's thread panicked");
        }
        // Behind the thread: it may be about to say once more that it is current.
        self.shared.change(|state| state.current = None);
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

/// The thread's own.
struct Reader {
    cluster: Cluster,
    shared: Arc<Shared>,
}

impl Reader {
    fn run(&self) {
        while !self.shared.stopping() {
            if let Err(error) = self.cluster.create_topics().and_then(|()| self.follow()) {
                if error.is_final() {
                    tracing::error!(%error, "the desk's topic cannot be followed; it is tried again");
                } else {
                    tracing::warn!(%error, "the desk's topic cannot be followed; it is tried again");
                }
                self.shared.change(|state| state.failure = Some(error.to_string()));
            }
            let until = Instant::now() + PAUSE;
            while !self.shared.stopping() && Instant::now() < until {
                std::thread::sleep(STEP / 2);
            }
        }
    }

    /// Reads the topic from its beginning into a new set of documents, so that one that was made anew leaves nothing of the old one in force.
    fn follow(&self) -> Result<(), kafka::Error> {
        let mut follower = self.cluster.follow(kafka::Topic::Desk)?;
        let mut asked = Instant::now();
        let end = follower.end(ANSWER)?;
        let (mut documents, mut parts) = (Documents::new(), BTreeSet::new());
        while follower.position() < end {
            if self.shared.stopping() {
                return Ok(());
            }
            if let Some(message) = step(&mut follower)? {
                let said = Said::of(&message);
                if let Said::Part(id, bytes) = &said {
                    self.shared.enter_part(id, *bytes, message.timestamp_ms);
                    let _ = if bytes.is_some() { parts.insert(id.clone()) } else { parts.remove(id) };
                }
                said.enter(&mut documents);
            }
        }
        self.shared.parts.keep_only(&parts);
        self.shared.change(|state| {
            *state = State { documents, applied: follower.position(), current: Some(asked), failure: None };
        });
        while !self.shared.stopping() {
            if let Some(message) = step(&mut follower)? {
                self.go_on(&message);
                continue;
            }
            if asked.elapsed() >= LOOK {
                asked = Instant::now();
                self.look(&follower, asked)?;
            }
        }
        Ok(())
    }

    /// Enters a record that came. Parts are written before anybody waits for the lock.
    fn go_on(&self, message: &Message) {
        let said = Said::of(message);
        if let Said::Part(id, bytes) = &said {
            self.shared.enter_part(id, *bytes, message.timestamp_ms);
        }
        self.shared.change(|state| {
            said.enter(&mut state.documents);
            state.applied = message.offset + 1;
        });
    }

    /// Whether everything was read that was there a moment ago.
    fn look(&self, follower: &Follower, asked: Instant) -> Result<(), kafka::Error> {
        match follower.end(ANSWER) {
            Ok(end) if follower.position() >= end => {
                self.shared.change(|state| {
                    state.current = Some(asked);
                    state.failure = None;
                });
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if error.is_final() => Err(error),
            Err(error) => {
                self.shared.change(|state| state.failure = Some(error.to_string()));
                Ok(())
            }
        }
    }
}

/// The next message; a Kafka that is away for a while is no end.
fn step(follower: &mut Follower) -> Result<Option<Message>, kafka::Error> {
    match follower.next(STEP) {
        Err(error) if !error.is_final() => {
            tracing::debug!(%error, "the desk's topic gives nothing");
            Ok(None)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: &str, value: &[u8], offset: i64) -> Message {
        Message { partition: 0, offset, key: key.as_bytes().to_vec(), value: value.to_vec(), timestamp_ms: 0 }
    }

    #[test]
    fn the_last_record_of_a_key_counts_and_one_not_understood_takes_it_away() {
        let mut documents = Documents::new();
        let mut enter = |key: &str, value: &[u8]| Said::of(&message(key, value, 0)).enter(&mut documents);
        enter("tokens/a1", b"\x01one");
        enter("tokens/a1", b"\x01two");
        enter("tokens/../a1", b"\x01no");
        enter("notes/a1", b"\x01no");
        enter("parts/a1-0", b"\x01no");
        assert_eq!(of_kind(&documents, Kind::Tokens).len(), 1);
        assert_eq!(documents[&(Kind::Tokens, "a1".to_owned())][..], *b"two");
        let enter = |value: &[u8], documents: &mut Documents| {
            Said::of(&message("tokens/a1", value, 0)).enter(documents);
        };
        enter(b"\x01", &mut documents);
        assert!(documents.is_empty(), "it was removed");
        enter(b"\x01three", &mut documents);
        enter(b"\x02four", &mut documents);
        assert!(documents.is_empty(), "a revocation of a later form must not leave the token in force");
    }

    #[test]
    fn a_node_that_does_not_see_the_end_stops_answering_within_the_lease() {
        assert_eq!(LEASE, Duration::from_secs(5), "what REPORTS.md says of a token that is revoked");
        let now = Instant::now();
        let state = |current: Option<Instant>| State { current, ..State::default() };
        assert!(state(None).behind(now).is_some());
        assert_eq!(state(Some(now)).behind(now + LEASE), None);
        assert!(state(Some(now)).behind(now + LEASE + Duration::from_millis(1)).is_some());
        let failed = State { failure: Some("away".to_owned()), ..state(Some(now)) };
        assert_eq!(failed.behind(now + 2 * LEASE).as_deref(), Some("away"));
        assert_eq!(failed.behind(now), None, "within the lease it is no matter");
    }
}
