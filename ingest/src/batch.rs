//! A batch of beacons as JSON: read whole, checked whole, then each item decided for itself.
//!
//! It owns the body's limits and the shape of the results. It must never accept a part of a body that is broken or too large, and never hold
//! more of them in memory than `batches_in_flight_max`.
//!
//! ```text
//! body ── Content-Encoding gzip | zstd | none ──► text, at most body_decoded_bytes_max
//!      ── '[' : one array · else : one object after the other (NDJSON) ──► at most batch_items_max items
//!      ── each item: an object of names as in a query, strings, numbers or booleans; null is absent ──► its own outcome
//! ```
//!
//! Answers: 200 with the results in order; 503 with the same if something failed to be stored and nothing was; 400, 401, 413, 415 with nothing
//! accepted and nothing counted. An item that failed says `storage_failed`: send those items again.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use bytes::Bytes;
use event::dialect::Table;
use event::hit::Hit;
use event::outcome::Outcome;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::answer::{self, Answer};
use crate::beacon::{self, Said};
use crate::books::Books;
use crate::caller::Caller;
use crate::connection::{Connection, Phase};
use crate::lane::{Desk, Fate, Lane, Waited, wait, wait_masked};
use crate::route::emptied;
use crate::senders::Sender;
use crate::settings::Limits;

/// Items decided, and chunks of [`DECODE_BYTES`] decompressed, before other connections of the thread get a turn.
const ITEMS_IN_A_ROW: usize = 64;
/// Bytes decompressed in one go.
const DECODE_BYTES: usize = 64 * 1024;
/// Largest window of a zstd body, as a power of two: 8 MiB, what every encoder stays within unless told otherwise.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Why a body is refused as a whole.
enum Refusal {
    TooLarge(&'static str, usize),
    TooSlow,
    Encoding,
    Broken(String),
}

/// Counts a batch as being worked on.
struct InFlight<'a>(&'a Cell<usize>);

/// Answers a batch.
pub(crate) async fn serve(
    lane: &Rc<Lane>,
    connection: &Connection,
    headers: HeaderMap,
    body: Incoming,
) -> Answer {
    let caller = Caller::read(&headers, connection.peer, &lane.settings, &lane.senders);
    if caller.sender == Sender::UnknownKey {
        return answer::text(
            StatusCode::UNAUTHORIZED,
            HeaderMap::new(),
            "this server key is not registered\n",
        );
    }
    let Some(_in_flight) = InFlight::begin(lane) else {
        return answer::try_later(HeaderMap::new());
    };
    connection.enter(Phase::Body);
    let limits = &lane.settings.limits;
    let text = match read(connection, &headers, body, limits).await {
        Ok(text) => text,
        Err(refusal) => return refusal.answer(),
    };
    connection.enter(Phase::Serving);
    let fates = match items(&text, limits.batch_items_max) {
        Ok(items) => decide_all(lane, &caller, &items).await,
        Err(refusal) => return refusal.answer(),
    };
    connection.enter(Phase::Storage);
    let outcomes = wait_all(connection, fates).await;
    let is_stored = outcomes.iter().any(|outcome| *outcome != Outcome::StorageFailed);
    let status =
        if is_stored || outcomes.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(status, emptied(headers), results(&outcomes))
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

impl Refusal {
    /// The refusal ends the connection where the rest of the body is unread.
    fn answer(self) -> Answer {
        let (status, words) = match self {
            Self::TooLarge(limit, value) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("larger than {limit} = {value}; nothing was accepted\n"),
            ),
            Self::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "the body took too long; nothing was accepted\n".to_owned())
            }
            Self::Encoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Encoding must be gzip, zstd or identity; nothing was accepted\n".to_owned(),
            ),
            Self::Broken(what) => (StatusCode::BAD_REQUEST, format!("{what}; nothing was accepted\n")),
        };
        let mut answer = answer::text(status, HeaderMap::new(), words);
        answer::close(&mut answer);
        answer
    }
}

/// Reads the body and decompresses it.
async fn read(
    connection: &Connection,
    headers: &HeaderMap,
    body: Incoming,
    limits: &Limits,
) -> Result<Bytes, Refusal> {
    let encoding = headers.get(CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes().trim_ascii());
    let is = |name: &[u8]| encoding.eq_ignore_ascii_case(name);
    if !(is(b"") || is(b"identity") || is(b"gzip") || is(b"x-gzip") || is(b"zstd")) {
        return Err(Refusal::Encoding);
    }
    let raw = collect(connection, body, limits.body_bytes_max).await?;
    if is(b"gzip") || is(b"x-gzip") {
        decode(flate2::bufread::MultiGzDecoder::new(&*raw), limits.body_decoded_bytes_max).await
    } else if is(b"zstd") {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(&*raw).map_err(|_| broken_encoding())?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| broken_encoding())?;
        decode(decoder, limits.body_decoded_bytes_max).await
    } else {
        Ok(raw)
    }
}

/// The body as sent, in one piece.
async fn collect(connection: &Connection, mut body: Incoming, bytes_max: usize) -> Result<Bytes, Refusal> {
    let too_large = Refusal::TooLarge("body_bytes_max", bytes_max);
    let said_bytes = body.size_hint().lower();
    if said_bytes > bytes_max as u64 {
        return Err(too_large);
    }
    let mut whole = Vec::new();
    loop {
        let next = {
            let mut frame = body.frame();
            std::future::poll_fn(|context| match std::pin::Pin::new(&mut frame).poll(context) {
                std::task::Poll::Ready(frame) => std::task::Poll::Ready(Ok(frame)),
                std::task::Poll::Pending => connection.poll_late(context).map(|()| Err(Refusal::TooSlow)),
            })
            .await?
        };
        let Some(frame) = next else { return Ok(whole.into()) };
        let frame =
            frame.map_err(|_| Refusal::Broken("the body ended early or is not sound HTTP".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(too_large);
        }
        if whole.is_empty() && data.len() as u64 == said_bytes {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
}

/// Decompresses, and stops at the limit whatever the body promises.
async fn decode(decoder: impl Read, bytes_max: usize) -> Result<Bytes, Refusal> {
    let mut text = Vec::new();
    let mut rest = decoder.take(bytes_max as u64 + 1);
    loop {
        let mut piece = rest.by_ref().take(DECODE_BYTES as u64);
        match piece.read_to_end(&mut text) {
            Ok(0) => return Ok(text.into()),
            Ok(_) if text.len() > bytes_max => {
                return Err(Refusal::TooLarge("body_decoded_bytes_max", bytes_max));
            }
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(broken_encoding()),
        }
    }
}

fn broken_encoding() -> Refusal {
    Refusal::Broken("the body is not what its Content-Encoding says".to_owned())
}

/// Takes the text apart into items; broken JSON anywhere refuses all of it.
fn items(text: &[u8], items_max: usize) -> Result<Vec<&RawValue>, Refusal> {
    // The error of the library quotes no value, only a place.
    let broken = |error: serde_json::Error| {
        Refusal::Broken(format!("broken JSON at line {}, column {}", error.line(), error.column()))
    };
    let too_many = || Refusal::TooLarge("batch_items_max", items_max);
    let text = std::str::from_utf8(text).map_err(|error| {
        Refusal::Broken(format!("the body is not UTF-8 from byte {}", error.valid_up_to()))
    })?;
    if text.trim_ascii_start().starts_with('[') {
        let mut json = serde_json::Deserializer::from_str(text);
        let items = json.deserialize_seq(Items { items_max }).map_err(broken)?;
        let Some(items) = items else { return Err(too_many()) };
        json.end().map_err(broken)?;
        return Ok(items);
    }
    let mut items = Vec::new();
    for item in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let item = item.map_err(broken)?;
        if items.len() == items_max {
            return Err(too_many());
        }
        items.push(item);
    }
    Ok(items)
}

/// Reads an array up to a number of items; `None` if it has more.
struct Items {
    items_max: usize,
}

impl<'de> Visitor<'de> for Items {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        let mut count = 0_usize;
        while let Some(item) = seq.next_element::<&RawValue>()? {
            count += 1;
            if count <= self.items_max {
                items.push(item);
            }
        }
        Ok((count <= self.items_max).then_some(items))
    }
}

/// Decides about every item and appends what is to be stored.
async fn decide_all(lane: &Rc<Lane>, caller: &Caller<'_>, items: &[&RawValue]) -> Vec<Fate> {
    let mut fates = Vec::with_capacity(items.len());
    for (index, chunk) in items.chunks(ITEMS_IN_A_ROW).enumerate() {
        if index > 0 {
            tokio::task::yield_now().await;
        }
        let mut desk = lane.desk();
        let Desk { catalog, opt_outs, record, .. } = &mut *desk;
        let mut rules = lane.rules(catalog.load(), opt_outs);
        for item in chunk {
            let fields = fields(item.get());
            let said = match &fields {
                Ok(fields) => said(fields),
                Err(outcome) => Said::defective(*outcome),
            };
            lane.tally.macros_unreplaced(said.hit.macros_unreplaced);
            let decision = beacon::decide(&said, caller, &mut rules, lane.clock.now_ms(), record);
            fates.push(lane.carry_out(Books::receive(), decision, record, Outcome::StorageFailed));
        }
    }
    fates
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

impl Said<'_> {
    fn defective(outcome: Outcome) -> Self {
        Self {
            hit: Hit::default(),
            defect: Some(outcome),
            stage: None,
            is_landing_refused: false,
            is_item: true,
        }
    }
}

type Fields<'a> = SmallVec<[(Cow<'a, str>, Value<'a>); 24]>;

/// The value of a field, decoded.
enum Value<'a> {
    Absent,
    Plain(Cow<'a, [u8]>),
    /// An array or an object, which no field takes.
    Nested,
}

/// A JSON string, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads an item's fields.
fn fields(item: &str) -> Result<Fields<'_>, Outcome> {
    if !item.starts_with('{') {
        return Err(Outcome::Malformed);
    }
    serde_json::Deserializer::from_str(item).deserialize_map(FieldsVisitor).map_err(|_| Outcome::Malformed)
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::new();
        while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            fields.push((name, value_of(value.get())));
        }
        Ok(fields)
    }
}

/// A value as a query would say it: `true` is 1 and `false` 0.
fn value_of(json: &str) -> Value<'_> {
    match json.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<Text<'_>>(json) {
            Ok(Text(Cow::Borrowed(text))) => Value::Plain(Cow::Borrowed(text.as_bytes())),
            Ok(Text(Cow::Owned(text))) => Value::Plain(Cow::Owned(text.into_bytes())),
            // A lone surrogate: sound JSON, but no text.
            Err(_) => Value::Nested,
        },
        Some(b'{' | b'[') => Value::Nested,
        Some(b'n') | None => Value::Absent,
        Some(b't') => Value::Plain(Cow::Borrowed(b"1")),
        Some(b'f') => Value::Plain(Cow::Borrowed(b"0")),
        Some(_) => Value::Plain(Cow::Borrowed(json.as_bytes())),
    }
}

/// What an item says, by the native dialect's names.
fn said<'a>(fields: &'a Fields<'_>) -> Said<'a> {
    let table = Table::native();
    let mut hit = Hit::default();
    let mut defect = None;
    for (name, value) in fields {
        let result = match value {
            Value::Plain(value) => table.set(&mut hit, name, value),
            Value::Absent => Ok(()),
            Value::Nested => {
                // Under a name that nobody asked for it is dropped like any other value; under one of ours it is not what the field takes.
                let unknown = hit.parameters_unknown;
                let result = table.set(&mut hit, name, b"");
                if hit.parameters_unknown == unknown { Err(Outcome::Malformed) } else { result }
            }
        };
        if let Err(outcome) = result {
            defect.get_or_insert(outcome);
        }
    }
    let stage = hit.stage;
    Said { hit, defect, stage, is_landing_refused: false, is_item: true }
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
        Outcome::UnknownStage => Some("stage is missing or not known"),
        Outcome::TooLate => Some("t lies 7 to 30 days back"),
        Outcome::NotPermitted => Some("ip and ua need a server key with these rights"),
        Outcome::TooLong => Some("a value is longer than its field takes"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(text: &str, items_max: usize) -> Result<usize, StatusCode> {
        items(text.as_bytes(), items_max)
            .map(|items| items.len())
            .map_err(|refusal| refusal.answer().status())
    }

    #[test]
    fn arrays_and_lines_are_both_batches() {
        for (text, expected) in [
            ("[]", Ok(0)),
            ("", Ok(0)),
            (" [ {} , {\"a\":[1,2]} ] \n", Ok(2)),
            ("{}\n{}\n", Ok(2)),
            ("{}\r\n\r\n{}", Ok(2)),
            ("{}", Ok(1)),
            ("[1,\"x\",null]", Ok(3)),
            ("[{},{},{},{}]", Err(StatusCode::PAYLOAD_TOO_LARGE)),
            ("{}{}{}{}", Err(StatusCode::PAYLOAD_TOO_LARGE)),
            ("[{}", Err(StatusCode::BAD_REQUEST)),
            ("[{}] x", Err(StatusCode::BAD_REQUEST)),
            ("{}\n{", Err(StatusCode::BAD_REQUEST)),
            ("[{},]", Err(StatusCode::BAD_REQUEST)),
            ("c=1&p=2", Err(StatusCode::BAD_REQUEST)),
        ] {
            assert_eq!(count(text, 3), expected, "{text}");
        }
    }

    fn stage_and_defect(item: &str) -> (Option<&'static str>, Option<Outcome>) {
        let fields = match fields(item) {
            Ok(fields) => fields,
            Err(outcome) => return (None, Some(outcome)),
        };
        let said = said(&fields);
        (said.stage.map(event::stage::Stage::name), said.defect)
    }

    #[test]
    fn an_item_is_read_as_a_query_would_be() {
        for (item, expected) in [
            (r#"{"c":"demo","p":"p1","stage":"click"}"#, (Some("click"), None)),
            (r#"{"stage":"cli\u0063k"}"#, (Some("click"), None)),
            (r#"{"stage":null}"#, (None, None)),
            (r#"{"stage":"nonsense"}"#, (None, Some(Outcome::UnknownStage))),
            (r#"{"t":1763712000,"lmt":true,"stage":"imp"}"#, (Some("impression"), None)),
            (r#"{"c":{"x":1}}"#, (None, Some(Outcome::Malformed))),
            (r#"{"unasked":{"x":1}}"#, (None, None)),
            (r#"{"c":"a","c":"b"}"#, (None, Some(Outcome::Contradictory))),
            (r#"{"c":"\ud800"}"#, (None, Some(Outcome::Malformed))),
            ("[]", (None, Some(Outcome::Malformed))),
            ("1", (None, Some(Outcome::Malformed))),
        ] {
            assert_eq!(stage_and_defect(item), expected, "{item}");
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

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(items) = items(&bytes, 10) {
                prop_assert!(items.len() <= 10);
                for item in items { let _ = stage_and_defect(item.get()); }
            }
        }

        #[test]
        fn no_json_breaks_it(parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"c\"", "\"p\"", "\"stage\"", "\"imp\"", "1", "-1e999", "true", "null", "\"\\ud800\"", " ", "\n",
        ]), 0..40)) {
            if let Ok(items) = items(parts.concat().as_bytes(), 10) {
                for item in items { let _ = stage_and_defect(item.get()); }
            }
        }
    }
}
