//! Query strings: taken apart, and read by the routes whose parameters are few.

use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::report::{Refused, day};
use crate::store::day_number;

/// Longest query string, bytes.
const QUERY_BYTES_MAX: usize = 2048;

pub(super) fn none(query: &[(String, String)]) -> Result<(), Problem> {
    if query.is_empty() {
        Ok(())
    } else {
        Err(Problem::Refused(Refused::Bad("no parameters are known here".to_owned())))
    }
}

/// `from` and `to`.
pub(super) fn days(query: &[(String, String)]) -> Result<(Option<u16>, Option<u16>), Problem> {
    let (mut from, mut to) = (None, None);
    for (name, value) in query {
        let end = match name.as_str() {
            "from" => &mut from,
            "to" => &mut to,
            _ => return Err(bad("the only parameters are from and to")),
        };
        if end.replace(day(name, value).map_err(Problem::Refused)?).is_some() {
            return Err(bad("a parameter stands there twice"));
        }
    }
    Ok((from, to))
}

pub(super) fn bad(message: &str) -> Problem {
    Problem::Refused(Refused::Bad(message.to_owned()))
}

pub(super) fn settle_day(query: &[(String, String)]) -> Result<Option<u16>, Problem> {
    let bad =
        || Problem::Refused(Refused::Bad("the only parameter is day, such as day=2026-11-21".to_owned()));
    match query {
        [] => Ok(None),
        [(name, value)] if name == "day" => {
            let date = chrono::NaiveDate::parse_from_str(value, "%Y-%m-%d").map_err(|_| bad())?;
            day_number(date).map(Some).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

/// Splits and decodes a query string. `+` is a blank.
pub(super) fn query(text: &str) -> Result<Vec<(String, String)>, Problem> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(Problem::Refused(Refused::Bad(format!(
            "the query is longer than {QUERY_BYTES_MAX} bytes"
        ))));
    }
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

pub(super) fn decode(text: &str) -> Result<String, Problem> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| Problem::Refused(Refused::Bad("an escape is not UTF-8".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_split_before_they_are_decoded() {
        let pairs = query("a=b%26c&d=1+2&&e").map_err(|_| ()).expect("a query");
        let expected = [("a", "b&c"), ("d", "1 2"), ("e", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs, expected);
        assert!(query("a=%ff").is_err());
        assert!(query(&"a".repeat(QUERY_BYTES_MAX + 1)).is_err());
    }
}
