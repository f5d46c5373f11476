//! From a line of the file to one item of `POST /v1/events`.
//!
//! A value that ties a row to a device or a view is passed on exactly or not at all: a row whose identifier is not UTF-8 is set
//! aside, never altered into another device. An agent may hold foreign bytes; they become U+FFFD.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use super::mapping::{Pair, is_exact};
use super::values;
use crate::cli::FileFormat;

/// Columns of an nginx access log in the `combined` format, in the order of [`split_combined`].
pub(super) const NGINX_COLUMNS: &[&str] = &[
    "remote_addr",
    "remote_user",
    "time_local",
    "method",
    "path",
    "status",
    "body_bytes_sent",
    "http_referer",
    "http_user_agent",
];

/// Why a line did not become an item. None of these was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Skip {
    /// Longer than the limit of a line.
    LineTooLong,
    /// Not as many columns as the header names.
    WrongColumns,
    /// Not a JSON object, or a value that is neither text nor number.
    BrokenJson,
    /// Not a line of an access log.
    BrokenLogLine,
    /// A request for something else than a beacon.
    NotABeacon,
    /// An identifier or id that is not UTF-8.
    NotUtf8,
    /// A time column, and no time in it that can be read: at its receipt the row would count on a wrong day.
    NoTime,
}

impl Skip {
    /// Name in the closing table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::WrongColumns => "wrong_columns",
            Self::BrokenJson => "broken_json",
            Self::BrokenLogLine => "broken_log_line",
            Self::NotABeacon => "not_a_beacon",
            Self::NotUtf8 => "not_utf8",
            Self::NoTime => "no_time",
        }
    }
}

/// What every row gets unless a column says otherwise.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    /// Campaign, if it is the same for all.
    pub(super) campaign: Option<String>,
    /// Placement, if it is the same for all.
    pub(super) placement: Option<String>,
    /// Stage of rows without one.
    pub(super) stage: String,
    /// In access logs: requests for this path are beacons of the stage above, besides the tracker's own paths.
    pub(super) path: Option<String>,
}

/// Turns lines into items.
pub(super) struct Rows {
    format: FileFormat,
    /// Names of the columns, TSV only.
    header: Vec<String>,
    pairs: Vec<Pair>,
    fixed: Fixed,
}

/// A cell as it stands in the file. An empty one is absent.
type Cell<'a> = Cow<'a, [u8]>;

impl Rows {
    /// Rows of a file with this header (TSV; empty for the others).
    pub(super) fn new(format: FileFormat, header: Vec<String>, pairs: Vec<Pair>, fixed: Fixed) -> Self {
        Self { format, header, pairs, fixed }
    }

    /// Appends the item of `line` to `out` as a JSON object.
    ///
    /// # Errors
    /// Why the line is no item; `out` is then as it was.
    pub(super) fn item(&self, line: &[u8], out: &mut Vec<u8>) -> Result<(), Skip> {
        let mut object = Map::new();
        let mut stage = self.fixed.stage.clone();
        match self.format {
            FileFormat::Tsv => self.read_tsv(line, &mut object)?,
            FileFormat::Ndjson => self.read_json(line, &mut object)?,
            FileFormat::Nginx => {
                if let Some(of_path) = self.read_log(line, &mut object)? {
                    stage = of_path;
                }
            }
        }
        for (name, value) in [("c", &self.fixed.campaign), ("p", &self.fixed.placement)] {
            if let Some(value) = value {
                object.insert(name.to_owned(), Value::String(value.clone()));
            }
        }
        if !object.contains_key("t") && self.pairs.iter().any(|pair| pair.field == "t") {
            return Err(Skip::NoTime);
        }
        object.entry("stage").or_insert(Value::String(stage));
        let start = out.len();
        if serde_json::to_writer(&mut *out, &object).is_err() {
            out.truncate(start);
            return Err(Skip::BrokenJson);
        }
        Ok(())
    }

    fn read_tsv(&self, line: &[u8], object: &mut Map<String, Value>) -> Result<(), Skip> {
        let cells: Vec<&[u8]> = line.split(|b| *b == b'\t').collect();
        if cells.len() != self.header.len() {
            return Err(Skip::WrongColumns);
        }
        for pair in &self.pairs {
            let place = self.header.iter().position(|name| *name == pair.column);
            if let Some(cell) = place.and_then(|n| cells.get(n)) {
                insert(object, pair.field, cell)?;
            }
        }
        Ok(())
    }

    fn read_json(&self, line: &[u8], object: &mut Map<String, Value>) -> Result<(), Skip> {
        let Ok(Value::Object(row)) = serde_json::from_slice(line) else { return Err(Skip::BrokenJson) };
        for pair in &self.pairs {
            match row.get(&pair.column) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => insert(object, pair.field, text.as_bytes())?,
                Some(Value::Number(number)) => insert(object, pair.field, number.to_string().as_bytes())?,
                Some(Value::Bool(set)) => insert(object, pair.field, if *set { b"1" } else { b"0" })?,
                Some(Value::Array(_) | Value::Object(_)) => return Err(Skip::BrokenJson),
            }
        }
        Ok(())
    }

    /// Fills in a log line's values; answers the stage that the path says, if it is one of the tracker's.
    fn read_log(&self, line: &[u8], object: &mut Map<String, Value>) -> Result<Option<String>, Skip> {
        let cells = split_combined(line).ok_or(Skip::BrokenLogLine)?;
        let [address, user, time, request, status, bytes, referer, agent] = cells;
        let (request, agent) = (&*unescaped(request), unescaped(agent));
        let mut words = request.split(|b| *b == b' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(Skip::NotABeacon) };
        let mut parts = target.splitn(2, |b| *b == b'?');
        let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let stage = stage_of_path(path);
        if method != b"GET"
            || (stage.is_none() && self.fixed.path.as_deref().map(str::as_bytes) != Some(path))
        {
            return Err(Skip::NotABeacon);
        }
        let arguments = arguments(query);
        for pair in &self.pairs {
            let cell: Cell<'_> = match pair.column.as_str() {
                "remote_addr" => address.into(),
                "remote_user" => user.into(),
                "time_local" => time.into(),
                "method" => method.into(),
                "path" => path.into(),
                "status" => status.into(),
                "body_bytes_sent" => bytes.into(),
                "http_referer" => referer.into(),
                "http_user_agent" => agent.clone(),
                other => other
                    .strip_prefix("arg_")
                    .and_then(|name| arguments.get(name.as_bytes()).cloned())
                    .unwrap_or_default(),
            };
            if *cell != *b"-" {
                insert(object, pair.field, &cell)?;
            }
        }
        Ok(stage)
    }
}

/// Puts a cell into the item under its field's name.
fn insert(object: &mut Map<String, Value>, field: &'static str, cell: &[u8]) -> Result<(), Skip> {
    let text = match std::str::from_utf8(cell) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) if is_exact(field) => return Err(Skip::NotUtf8),
        Err(_) => String::from_utf8_lossy(cell),
    };
    if text.is_empty() {
        return Ok(());
    }
    let text = match field {
        "t" => values::time(&text).ok_or(Skip::NoTime)?.into_owned(),
        "stage" => values::stage(&text).into_owned(),
        _ => text.into_owned(),
    };
    object.insert(field.to_owned(), Value::String(text));
    Ok(())
}

/// The stage that a path of the tracker's native grammar says.
fn stage_of_path(path: &[u8]) -> Option<String> {
    match path {
        b"/i" => Some("impression".to_owned()),
        b"/c" => Some("click".to_owned()),
        _ => path
            .strip_prefix(b"/e/")
            .filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name).into_owned()),
    }
}

/// The decoded parameters of a query. The last of a doubled name counts.
fn arguments(query: &[u8]) -> HashMap<Vec<u8>, Cell<'static>> {
    query
        .split(|b| *b == b'&')
        .filter_map(|pair| {
            let mut parts = pair.splitn(2, |b| *b == b'=');
            let name: Vec<u8> = percent_decode(parts.next()?).collect();
            Some((name, Cow::Owned(percent_decode(parts.next()?).collect())))
        })
        .collect()
}

/// nginx writes quotes, backslashes, control and non-ASCII bytes as `\\xHH`; here they become bytes again.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let value = match (first, after.first()) {
            (b'\\', Some(b'x')) => digit(after.get(1)).zip(digit(after.get(2))),
            _ => None,
        };
        if let Some((high, low)) = value {
            bytes.push((high * 16 + low) as u8);
            rest = after.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Cow::Owned(bytes)
}

/// `arg_<name>` for each parameter in a log line's query: the columns that it has besides the fixed ones.
pub(super) fn argument_names(line: &[u8]) -> Vec<String> {
    let Some([_, _, _, request, ..]) = split_combined(line) else { return Vec::new() };
    let query =
        request.split(|b| *b == b' ').nth(1).and_then(|target| target.splitn(2, |b| *b == b'?').nth(1));
    let mut names: Vec<String> = arguments(query.unwrap_or_default())
        .into_keys()
        .filter_map(|name| String::from_utf8(name).ok())
        .map(|name| format!("arg_{name}"))
        .collect();
    names.sort();
    names
}

/// Splits `addr - user [time] "request" status bytes "referer" "agent"`.
fn split_combined(line: &[u8]) -> Option<[&[u8]; 8]> {
    let (address, rest) = split_at(line, b" - ")?;
    let (user, rest) = split_at(rest, b" [")?;
    let (time, rest) = split_at(rest, b"] \"")?;
    let (request, rest) = split_at(rest, b"\" ")?;
    let (status, rest) = split_at(rest, b" ")?;
    let (bytes, rest) = split_at(rest, b" \"")?;
    let (referer, rest) = split_at(rest, b"\" \"")?;
    let end = rest.iter().rposition(|b| *b == b'"')?;
    Some([address, user, time, request, status, bytes, referer, rest.get(..end)?])
}

fn split_at<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(field: &'static str, column: &str) -> Pair {
        Pair { field, column: column.to_owned(), guessed: false }
    }

    fn fixed() -> Fixed {
        Fixed {
            campaign: Some("k".into()),
            placement: Some("p".into()),
            stage: "impression".into(),
            path: None,
        }
    }

    fn item(rows: &Rows, line: &[u8]) -> Result<Value, Skip> {
        let mut out = Vec::new();
        rows.item(line, &mut out)?;
        Ok(serde_json::from_slice(&out).expect("is JSON"))
    }

    #[test]
    fn a_tsv_row_becomes_an_item_and_an_agent_may_hold_foreign_bytes() {
        let header = ["when", "what", "dev", "agent"].map(str::to_owned).to_vec();
        let pairs =
            vec![pair("t", "when"), pair("stage", "what"), pair("cookie", "dev"), pair("ua", "agent")];
        let rows = Rows::new(FileFormat::Tsv, header, pairs, fixed());
        let value = item(&rows, b"1382351342623\tclk\tD2~b\tMoz\xffilla").expect("an item");
        assert_eq!(
            value,
            serde_json::json!({"c":"k","p":"p","t":"1382351342623","stage":"click","cookie":"D2~b","ua":"Moz\u{fffd}illa"})
        );
        assert_eq!(item(&rows, b"1\timp\tD\xff\tx"), Err(Skip::NotUtf8), "a device is never altered");
        assert_eq!(item(&rows, b"1\timp\tD"), Err(Skip::WrongColumns));
        assert_eq!(item(&rows, b"\timp\tD\tx"), Err(Skip::NoTime));
        assert_eq!(item(&rows, b"yesterday\timp\tD\tx"), Err(Skip::NoTime));
        assert_eq!(
            item(&rows, b"1\t\t\t").expect("an item"),
            serde_json::json!({"c":"k","p":"p","t":"1","stage":"impression"})
        );
    }

    #[test]
    fn a_json_row_may_hold_text_numbers_and_truth_values() {
        let rows =
            Rows::new(FileFormat::Ndjson, vec![], vec![pair("t", "ts"), pair("lmt", "limited")], fixed());
        let value = item(&rows, br#"{"ts":1382351342,"limited":true,"more":[1]}"#).expect("an item");
        assert_eq!((&value["t"], &value["lmt"]), (&"1382351342".into(), &"1".into()));
        assert_eq!(item(&rows, br#"{"ts":[1]}"#), Err(Skip::BrokenJson));
        assert_eq!(item(&rows, b"ts=1"), Err(Skip::BrokenJson));
    }

    #[test]
    fn escapes_of_access_logs_become_bytes() {
        assert_eq!(&*unescaped(br"a\x22b\xE4\xb8\xad\n\x2"), b"a\"b\xe4\xb8\xad\\n\\x2");
        assert_eq!(&*unescaped(b"plain"), b"plain");
    }

    #[test]
    fn an_access_log_line_gives_its_stage_time_and_parameters() {
        let pairs = vec![
            pair("ip", "remote_addr"),
            pair("t", "time_local"),
            pair("ua", "http_user_agent"),
            pair("cookie", "arg_uid"),
        ];
        let mut rows = Rows::new(FileFormat::Nginx, vec![], pairs, fixed());
        let line = |request: &str| {
            format!(
                "192.0.2.7 - - [21/Oct/2013:18:29:02 +0800] \"{request}\" 200 43 \"-\" \"Agent \\x22x\\x22\""
            )
            .into_bytes()
        };
        let value = item(&rows, &line("GET /c?uid=a%2Bb&uid=z%20y HTTP/1.1")).expect("an item");
        assert_eq!(
            value,
            serde_json::json!({"c":"k","p":"p","stage":"click","ip":"192.0.2.7","t":"1382351342000","ua":"Agent \"x\"","cookie":"z y"})
        );
        assert_eq!(
            item(&rows, &line("GET /e/viewable?uid=1 HTTP/1.1")).expect("an item")["stage"],
            "viewable"
        );
        assert_eq!(item(&rows, &line("GET /p.gif?uid=1 HTTP/1.1")), Err(Skip::NotABeacon));
        assert_eq!(item(&rows, &line("POST /c?uid=1 HTTP/1.1")), Err(Skip::NotABeacon));
        assert_eq!(item(&rows, &line("\\x16\\x03")), Err(Skip::NotABeacon));
        assert_eq!(item(&rows, b"not a log line"), Err(Skip::BrokenLogLine));
        rows.fixed.path = Some("/p.gif".into());
        assert_eq!(item(&rows, &line("GET /p.gif?uid=1 HTTP/1.1")).expect("an item")["stage"], "impression");
    }
}
