//! A batch of beacons as JSON: read whole, checked whole, then each item decided for itself.
//!
//! It owns the body's limits and the shape of the results. It must never accept a part of a body that is broken or too large, and never hold
//! more in memory than `batches_in_flight_max` whole bodies and `bodies_coming_bytes_max` of others. Whoever sends nothing takes up neither.
//!
//! ```text
//! body ── Content-Encoding gzip | zstd | none ──► text, at most body_decoded_bytes_max
//!      ── '[' : one array · else : one object after the other (NDJSON) ──► at most batch_items_max items
//!      ── each item: an object of names as in a query, strings, numbers or booleans; null is absent ──► its own outcome
//! ```
//!
//! A server says who it is by its key or its network, or signs the body as sent and what goes with it ([`event::key::signature`]). A batch that comes again
//! repeats nothing that counts where `repeat` can tell that it is the same.
//!
//! Answers: 200 with the results in order; 503 and `Retry-After` with the same if something failed to be stored and nothing was stored;
//! 400, 401, 408, 413, 415, or 503 without results, with nothing accepted and nothing counted. An item that failed says `storage_failed`,
//! or `opt_out_unknown` while the node does not measure, whatever the status: send those items again.

pub(crate) mod body;
pub(crate) mod items;
mod repeat;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use event::outcome::Outcome;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use serde_json::value::RawValue;

use crate::answer::{self, Answer};
use crate::batch::body::{Encoding, Refusal};
use crate::batch::items::{fields, items, said};
use crate::batch::repeat::{Repeat, idempotency_key};
use crate::beacon::{self, Said};
use crate::books::Books;
use crate::caller::Caller;
use crate::connection::{Connection, Phase};
use crate::id_cookie;
use crate::lane::{Desk, Fate, Lane, Waited, wait, wait_masked};
use crate::route::emptied;
use crate::senders::{Claim, Sender, asked};
use crate::settings::Limits;

/// Items decided before other connections of the thread get a turn.
const ITEMS_IN_A_ROW: usize = 64;

/// Counts a batch as being worked on.
struct InFlight<'a>(&'a Cell<usize>);

/// Answers a batch.
pub(crate) async fn serve(
    lane: &Rc<Lane>,
    connection: &Connection,
    parts: &Parts,
    headers: HeaderMap,
    body: Incoming,
) -> Answer {
    let mut caller = Caller::read(&headers, connection.peer, &lane.settings, &lane.senders);
    let claim = match lane.senders.claim(&headers, lane.clock.now_ms()) {
        // Before the body: nobody sends one in vain.
        Claim::Known(known) => match (unwelcome(known.sender), caller.address) {
            (Some(answer), _) => return answer,
            (None, Some(address)) if known.sender == Sender::Viewer => {
                Claim::Known(lane.senders.by_network(address))
            }
            (None, _) => Claim::Known(known),
        },
        signed @ Claim::Signed(..) => signed,
    };
    connection.enter(Phase::Body);
    let limits = &lane.settings.limits;
    let said = Encoding::said(&headers)
        .and_then(|encoding| Ok((encoding, idempotency_key(&headers, claim.is_of_a_server())?)));
    let (encoding, key) = match said {
        Ok(said) => said,
        Err(refusal) => return refusal.answer(),
    };
    let raw = match body::collect(connection, body, limits, &lane.body_bytes_coming).await {
        Ok(raw) => raw,
        Err(refusal) => return refusal.answer(),
    };
    connection.enter(Phase::Serving);
    let Some(_in_flight) = InFlight::begin(lane) else {
        return answer::try_later(HeaderMap::new());
    };
    let digest = if matches!(claim, Claim::Signed(..)) { body::digest(&raw).await } else { [0; 32] };
    let known = claim.verify(asked(&parts.method, &parts.uri, &headers), &digest);
    if let Some(answer) = unwelcome(known.sender) {
        return answer;
    }
    // Without a key it stays who it is by its address.
    if known.sender != Sender::Viewer {
        caller.sender = known.sender;
    }
    let repeat = Repeat::of(&known, key);
    let text = match body::unpack(encoding, raw, limits.body_decoded_bytes_max).await {
        Ok(text) => text,
        Err(refusal) => return refusal.answer(),
    };
    let (fates, cookie) = match items(&text, limits.batch_items_max) {
        Ok(items) => decide_all(lane, &caller, &items, repeat).await,
        Err(refusal) => return refusal.answer(),
    };
    connection.enter(Phase::Storage);
    let outcomes = wait_all(connection, fates).await;
    let mut answer = answer::json(status(&outcomes), emptied(headers), results(&outcomes));
    id_cookie::give(&mut answer, cookie);
    answer
}

/// 401 for a sender from whom nothing is taken.
fn unwelcome(sender: Sender) -> Option<Answer> {
    let why = match sender {
        Sender::Viewer | Sender::Server(_) => return None,
        Sender::UnknownKey => "this server key is not registered".to_owned(),
        Sender::Refused(refused) => refused.to_string(),
    };
    Some(answer::unauthorized(format!("{why}; nothing was accepted\n")))
}

/// The decoder of batches by itself, as a fuzz target drives it: what is wrong with each item before anything is looked up, or the status
/// with which the body is refused.
///
/// # Errors
/// The status.
#[doc(hidden)]
pub fn decode_batch(encoding: &[u8], raw: Vec<u8>, limits: &Limits) -> Result<Vec<Option<Outcome>>, u16> {
    let status = |refusal: Refusal| refusal.answer().status().as_u16();
    let encoding = Encoding::of(encoding).map_err(status)?;
    let mut unpacking = pin!(body::unpack(encoding, Bytes::from(raw), limits.body_decoded_bytes_max));
    let text = loop {
        // It only gives way to others, of whom there are none.
        if let Poll::Ready(text) = unpacking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            break text.map_err(status)?;
        }
    };
    let items = items(&text, limits.batch_items_max).map_err(status)?;
    let defect = |item: &&RawValue| fields(item.get()).map_or_else(Some, |fields| said(&fields).defect);
    Ok(items.iter().map(defect).collect())
}

impl<'a> InFlight<'a> {
    fn begin(lane: &'a Lane) -> Option<Self> {
        let count = &lane.batches_in_flight;
        (count.get() < lane.settings.limits.batches_in_flight_max).then(|| {
            count.set(count.get() + 1);
            Self(count)
        })
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Decides about every item and appends what is to be stored. A browser's page tag sends batches too: the cookie to give to one that has none,
/// if no item speaks against it.
async fn decide_all(
    lane: &Rc<Lane>,
    caller: &Caller<'_>,
    items: &[&RawValue],
    repeat: Repeat<'_>,
) -> (Vec<Fate>, Option<HeaderValue>) {
    let mut fates = Vec::with_capacity(items.len());
    let mut cookie = None;
    for (index, chunk) in items.chunks(ITEMS_IN_A_ROW).enumerate() {
        if index > 0 {
            tokio::task::yield_now().await;
        }
        let mut desk = lane.desk();
        let Desk { catalog, opt_outs, regions, record, .. } = &mut *desk;
        let mut rules = lane.rules(catalog.load(), (opt_outs, regions), lane.clock.now_ms());
        for item in chunk {
            let fields = fields(item.get());
            let mut said = match &fields {
                Ok(fields) => said(fields),
                Err(outcome) => Said::defective(*outcome),
            };
            let caller = &Caller { view: repeat.view(&lane.keys, fates.len(), &said.hit), ..*caller };
            lane.tally.read(lane.native, &said.hit);
            let given = id_cookie::recognise(&mut said, caller, &lane.settings, rules.catalog, &lane.keys);
            let now_ms = lane.clock.now_ms();
            let (decision, findings) = beacon::decide(&said, caller, &mut rules, now_ms, record);
            let given = id_cookie::allowed(given, decision, &findings);
            cookie = if fates.is_empty() { given } else { given.and(cookie) };
            fates.push(lane.carry_out(Books::receive(), decision, record, Outcome::StorageFailed));
            lane.list_trial_hit(&said, (decision, &findings), now_ms, record);
        }
    }
    (fates, cookie)
}

/// Waits for all of them; what came of each, as it may be shown.
async fn wait_all(connection: &Connection, fates: Vec<Fate>) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(fates.len());
    for fate in fates {
        outcomes.push(match fate {
            Fate::Settled(outcome) | Fate::Refused(outcome) => outcome,
            Fate::Appended(waiting) => match wait(connection, waiting).await {
                Waited::Outcome(outcome) => outcome,
                Waited::TooLong => Outcome::StorageFailed,
            },
            Fate::Masked(commit, shown) => {
                if wait_masked(connection, commit).await {
                    shown
                } else {
                    Outcome::StorageFailed
                }
            }
        });
    }
    outcomes
}

/// 503 where sending the whole batch again repeats nothing that is stored.
fn status(outcomes: &[Outcome]) -> StatusCode {
    let is_stored = outcomes.iter().any(|outcome| outcome.is_stored());
    let is_to_be_repeated =
        |outcome: &Outcome| matches!(outcome, Outcome::StorageFailed | Outcome::OptOutUnknown);
    if !is_stored && outcomes.iter().any(is_to_be_repeated) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

/// The results, in the order of the items.
fn results(outcomes: &[Outcome]) -> Vec<u8> {
    let mut json = Vec::with_capacity(16 + outcomes.len() * 24);
    json.extend_from_slice(b"{\"results\":[");
    for (index, outcome) in outcomes.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        let shown = outcome.shown_to_caller();
        match detail(shown) {
            None => {
                json.extend_from_slice(b"{\"outcome\":\"");
                json.extend_from_slice(shown.name().as_bytes());
            }
            Some(detail) => {
                json.extend_from_slice(b"{\"outcome\":\"rejected\",\"reason\":\"");
                json.extend_from_slice(shown.name().as_bytes());
                json.extend_from_slice(b"\",\"detail\":\"");
                json.extend_from_slice(detail.as_bytes());
            }
        }
        json.extend_from_slice(b"\"}");
    }
    json.extend_from_slice(b"]}");
    json
}

/// What to do about a rejection; `None` for what was not rejected. No character in it needs an escape.
fn detail(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Accepted | Outcome::Unresolved | Outcome::OptedOut => None,
        Outcome::UnconfirmedClick | Outcome::LostClick | Outcome::StorageFailed => {
            Some("could not be stored: send it again")
        }
        Outcome::Prefetch => Some("fetched ahead of time: send it when the ad is shown"),
        Outcome::OptOutUnknown => Some("the tracker does not know every opt-out: send it again"),
        Outcome::MissingCampaign => Some("c is missing"),
        Outcome::MissingPlacement => Some("p is missing"),
        Outcome::Malformed => Some("not an object, or a value is not what its field takes"),
        Outcome::Contradictory => Some("a field is there twice with different values"),
        Outcome::UnknownStage => Some("stage is not known"),
        Outcome::TooLate => Some("t lies 7 to 30 days back"),
        Outcome::NotPermitted => Some("ip and ua need a server key with these rights"),
        Outcome::TooLong => Some("a value is longer than its field takes"),
        Outcome::BadSignature => {
            Some("the placement takes signed links only: the signature is absent or wrong")
        }
        Outcome::LinkExpired => Some("the signed link's time has passed"),
        Outcome::UncountedEvent => Some("no figure counts this event"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_to_be_sent_again_whole_only_if_none_of_it_is_stored() {
        use Outcome::{Accepted, MissingCampaign, OptOutUnknown, StorageFailed, Unresolved};
        for (outcomes, expected) in [
            (&[][..], 200),
            (&[Accepted, StorageFailed], 200),
            (&[StorageFailed, Unresolved], 200),
            (&[MissingCampaign], 200),
            (&[StorageFailed], 503),
            (&[MissingCampaign, StorageFailed], 503),
            (&[OptOutUnknown, MissingCampaign], 503),
            (&[OptOutUnknown, Accepted], 200),
        ] {
            assert_eq!(status(outcomes).as_u16(), expected, "{outcomes:?}");
        }
    }

    #[test]
    fn results_are_json_and_tell_no_opt_out() {
        let bytes = results(&Outcome::ALL);
        let value: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        let results = value["results"].as_array().expect("an array");
        assert_eq!(results.len(), Outcome::COUNT);
        assert_eq!(results[Outcome::OptedOut as usize], results[Outcome::Accepted as usize]);
        for (outcome, result) in Outcome::ALL.iter().zip(results) {
            let is_rejected = result["outcome"] == "rejected";
            assert_eq!(is_rejected, result["reason"] == outcome.name(), "{outcome:?}");
            assert_eq!(is_rejected, result["detail"].is_string());
        }
    }
}
