//! The text of a batch: taken apart into items, each read as a query would be.
//!
//! It owns the JSON. It must never take a part of a broken text, and never guess: what an item does not
//! say is absent, but for the stage: an item that names none is an impression, as `GET /i` is.

use std::borrow::Cow;

use event::dialect::Table;
use event::hit::Hit;
use event::outcome::Outcome;
use event::stage::Stage;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::batch::body::Refusal;
use crate::beacon::Said;

/// JSON's names say what each identifier is, whatever the medium's macros hold: no profile has a word in it.
const NO_DIALECT: usize = usize::MAX;

/// Most fields of an item: twice as many as there are names. A small body that unpacks into millions of them would hold up the lane.
const FIELDS_MAX: usize = 128;

/// Takes the text apart into items; broken JSON anywhere refuses all of it.
pub(crate) fn items(text: &[u8], items_max: usize) -> Result<Vec<&RawValue>, Refusal> {
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

impl Said<'_> {
    /// An item that is rejected for this reason whatever it says.
    pub(crate) fn defective(outcome: Outcome) -> Self {
        Self {
            hit: Hit::default(),
            defect: Some(outcome),
            dialect: "",
            dialect_number: NO_DIALECT,
            dropped_names: &[],
            is_landing_refused: false,
            is_item: true,
        }
    }
}

/// An item's fields: names and values.
pub(crate) type Fields<'a> = SmallVec<[(Cow<'a, str>, Value<'a>); 24]>;

/// The value of a field, decoded.
pub(crate) enum Value<'a> {
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
pub(crate) fn fields(item: &str) -> Result<Fields<'_>, Outcome> {
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
            if fields.len() == FIELDS_MAX {
                return Err(serde::de::Error::custom("too many fields"));
            }
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
pub(crate) fn said<'a>(fields: &'a Fields<'_>) -> Said<'a> {
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
    hit.stage.get_or_insert(Stage::Impression);
    Said {
        hit,
        defect,
        dialect: table.name(),
        dialect_number: NO_DIALECT,
        dropped_names: table.dropped_names(),
        is_landing_refused: false,
        is_item: true,
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
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
        (said.hit.stage.map(Stage::name), said.defect)
    }

    #[test]
    fn an_item_is_read_as_a_query_would_be() {
        for (item, expected) in [
            (r#"{"c":"demo","p":"p1","stage":"click"}"#, (Some("click"), None)),
            (r#"{"stage":"cli\u0063k"}"#, (Some("click"), None)),
            (r#"{"stage":null}"#, (Some("impression"), None)),
            (r#"{"stage":"nonsense"}"#, (Some("impression"), Some(Outcome::UnknownStage))),
            (r#"{"t":1763712000,"lmt":true,"stage":"imp"}"#, (Some("impression"), None)),
            (r#"{"c":{"x":1}}"#, (Some("impression"), Some(Outcome::Malformed))),
            (r#"{"unasked":{"x":1}}"#, (Some("impression"), None)),
            (r#"{"c":"a","c":"b"}"#, (Some("impression"), Some(Outcome::Contradictory))),
            (r#"{"c":"\ud800"}"#, (Some("impression"), Some(Outcome::Malformed))),
            (&format!("{{{}\"c\":\"a\"}}", "\"x\":0,".repeat(FIELDS_MAX - 1)), (Some("impression"), None)),
            (&format!("{{{}\"c\":\"a\"}}", "\"x\":0,".repeat(FIELDS_MAX)), (None, Some(Outcome::Malformed))),
            ("[]", (None, Some(Outcome::Malformed))),
            ("1", (None, Some(Outcome::Malformed))),
        ] {
            assert_eq!(stage_and_defect(item), expected, "{item}");
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
