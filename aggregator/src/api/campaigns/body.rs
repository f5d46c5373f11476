//! Bodies of requests: read within limits, and JSON turned into fields of the catalog.

use std::time::Duration;

use bytes::Bytes;
use catalog::edit::{Fields, Value as Field};
use catalog::{Mistake, Money, MoneyError, mistake};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::problem::Problem;
use super::super::{Api, bad};
use super::refusal::{Code, refusal, refusal_with};
use crate::told::Told;

/// Longest body of JSON, bytes.
pub(super) const JSON_BYTES_MAX: usize = 1 << 20;
/// How long a body may take.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// Keys of a campaign in the order in which a new one is written.
const CAMPAIGN_ORDER: &[&str] = &["id", "name", "advertiser", "time_zone", "starts", "ends"];
/// Keys of a placement in that order.
const PLACEMENT_ORDER: &[&str] = &["id", "name", "medium", "source", "state"];
/// Lists of a campaign, and what the catalog calls one entry.
const LISTS: [(&str, &str); 2] = [("universes", "universe"), ("creatives", "creative")];
/// Keys whose value is a day.
const DAYS: &[&str] = &["starts", "ends", "from", "to", "date"];

impl Api {
    /// A body of at most so many bytes, when it is its turn: few are held in memory at a time.
    pub(super) async fn whole_body(&self, body: Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
        let too_large = || {
            let message = format!("the body is longer than {bytes_max} bytes");
            refusal(Code::TooLarge, message)
        };
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(too_large());
        }
        match tokio::time::timeout(BODY_WAIT, Limited::new(body, bytes_max).collect()).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(bad("the body did not come whole")),
            Err(_) => {
                Err(refusal(Code::Timeout, format!("the body did not come within {} s", BODY_WAIT.as_secs())))
            }
        }
    }
}

/// What a body of JSON says: fields, and the version that it is based on.
pub(super) struct Said {
    pub(super) fields: Fields,
    pub(super) version: Option<String>,
}

/// Reads a JSON object of the catalog's keys.
pub(super) fn read(bytes: &[u8], is_placement: bool) -> Result<Said, Problem> {
    let object: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|error| bad(&format!("the body is no JSON object: {error}")))?;
    let mut said = Said { fields: Vec::new(), version: None };
    let mut wrong = Vec::new();
    for (key, value) in object {
        let key = LISTS
            .iter()
            .find(|(list, _)| !is_placement && *list == key)
            .map_or(key, |(_, of)| (*of).to_owned());
        if key == "version" {
            said.version = Some(value.as_str().unwrap_or_default().to_owned());
            continue;
        }
        match field(&key, &value) {
            Ok(value) => said.fields.push((key, value)),
            Err(problem) => wrong.push((key, problem)),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong_fields(wrong));
    }
    let order = if is_placement { PLACEMENT_ORDER } else { CAMPAIGN_ORDER };
    said.fields.sort_by_key(|(key, _)| order.iter().position(|name| name == key).unwrap_or(order.len()));
    Ok(said)
}

/// A key with what is wrong there.
#[derive(Serialize)]
struct WrongField {
    key: String,
    #[serde(flatten)]
    mistake: Told,
}

/// A refusal that names each wrong key.
pub(super) fn wrong_fields(wrong: Vec<(String, Mistake)>) -> Problem {
    let message = match wrong.as_slice() {
        [(_, problem)] => problem.words.clone(),
        several => format!("{} keys have wrong values", several.len()),
    };
    let list: Vec<Value> =
        wrong.into_iter().map(|(key, mistake)| json!(WrongField { key, mistake: mistake.into() })).collect();
    let message = format!("{message}; nothing was changed");
    refusal_with(Code::Refused, message, Map::from_iter([("fields".to_owned(), list.into())]))
}

/// A value of JSON as one of the catalog; `None` for `null`. Whether it is allowed there the catalog's reader says.
fn field(key: &str, value: &Value) -> Result<Option<Field>, Mistake> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(flag) => Field::Flag(*flag),
        Value::String(text) if DAYS.contains(&key) => {
            let day = text
                .parse()
                .map_err(|_| mistake!("day_form", "`{key}` is a day such as \"2026-11-01\"", key));
            Field::Date(day?)
        }
        Value::Number(_) | Value::String(_) if key == "cost" => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let money: Money =
                text.parse().map_err(|form: MoneyError| mistake!("money_form", "`cost`: {form}", form))?;
            Field::Decimal(money.to_string())
        }
        Value::String(text) => Field::Text(text.clone()),
        Value::Number(number) => match number.as_u64() {
            Some(whole) => Field::Whole(whole),
            None => Field::Decimal(number.to_string()),
        },
        Value::Array(values) => {
            let values = values.iter().map(|value| field("", value)).collect::<Result<Vec<_>, _>>()?;
            if values.iter().any(Option::is_none) {
                return Err(format!("`{key}` has null in its list").into());
            }
            Field::List(values.into_iter().flatten().collect())
        }
        Value::Object(entries) => {
            let mut table = Vec::new();
            for (key, value) in entries {
                if let Some(value) = field(key, value)? {
                    table.push((key.clone(), value));
                }
            }
            Field::Table(table)
        }
    }))
}
