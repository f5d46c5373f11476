//! Values as they are written into the catalog's text.

use chrono::NaiveDate;
use toml_edit::{Array, Date, Datetime, InlineTable};

/// Keys with their new values in the order in which they are written; `None` takes a key away.
pub type Fields = Vec<(String, Option<Value>)>;

/// A value of the catalog, not judged yet: the catalog's reader has the last word.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A day.
    Date(NaiveDate),
    /// A whole number.
    Whole(u64),
    /// A number that is written as it stands here: digits, a point, digits, perhaps with a sign ahead.
    Decimal(String),
    /// Yes or no.
    Flag(bool),
    /// A list.
    List(Vec<Value>),
    /// Keys and values.
    Table(Vec<(String, Value)>),
}

/// The value that fields give a key.
pub fn field<'f>(fields: &'f Fields, key: &str) -> Option<&'f Value> {
    fields.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_ref())
}

impl Value {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Its text on one line.
    pub fn written(&self) -> String {
        self.one_line().to_string().trim().to_owned()
    }

    /// As it is written, on one line but for a list of tables, which has a line for each.
    pub(super) fn to_toml(&self) -> toml_edit::Value {
        match self {
            Self::List(values) if values.len() > 1 && values.iter().all(|v| matches!(v, Self::Table(_))) => {
                let mut array = Array::new();
                for value in values {
                    array.push_formatted(value.one_line().decorated("\n  ", ""));
                }
                array.set_trailing("\n");
                array.set_trailing_comma(true);
                array.into()
            }
            other => other.one_line(),
        }
    }

    /// As it is written on one line.
    pub(super) fn one_line(&self) -> toml_edit::Value {
        match self {
            // Its own writing would take several lines.
            Self::Text(text) if text.contains(['\n', '\r']) => {
                quoted(text).parse().unwrap_or_else(|_| text.as_str().into())
            }
            Self::Text(text) => text.as_str().into(),
            Self::Date(date) => toml_date(*date),
            Self::Whole(number) => match i64::try_from(*number) {
                Ok(number) => number.into(),
                // Beyond what TOML holds, and beyond every limit of the catalog: its reader says so.
                Err(_) => i64::MAX.into(),
            },
            Self::Decimal(text) => {
                // Digits as they were given: a float's own writing could round or use an exponent.
                text.parse().unwrap_or_else(|_| text.as_str().into())
            }
            Self::Flag(flag) => (*flag).into(),
            Self::List(values) => values.iter().map(Self::one_line).collect::<Array>().into(),
            Self::Table(entries) => {
                let mut table = InlineTable::new();
                for (key, value) in entries {
                    table.insert(key, value.one_line());
                }
                table.into()
            }
        }
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn toml_date(date: NaiveDate) -> toml_edit::Value {
    use chrono::Datelike;
    match u16::try_from(date.year()) {
        Ok(year) => {
            let date = Date { year, month: date.month() as u8, day: date.day() as u8 };
            Datetime { date: Some(date), time: None, offset: None }.into()
        }
        Err(_) => date.to_string().into(),
    }
}
