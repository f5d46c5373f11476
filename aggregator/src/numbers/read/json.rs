//! `{"rows":[{"placement":"p1","day":"2026-11-01","impressions":1000,"clicks":10}]}` as the rows of a sheet.
//!
//! Rows come one by one, and a value is text, a number or nothing: what a body takes up in memory is bounded by its rows, whatever stands in it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::{ROWS_MAX, Unreadable};
use crate::sheet::{Cell, Grid, cell_text};

/// The fields of a row, in the order of the columns.
const NAMES: [&str; 4] = ["placement", "day", "impressions", "clicks"];
/// Most signs of what is told of a body that is no such JSON.
const SHOWN_MAX: usize = 200;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    rows: Rows,
}

struct Rows {
    cells: Vec<Vec<Option<Cell>>>,
    has_more: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Row {
    placement: Value,
    day: Value,
    impressions: Value,
    clicks: Value,
}

#[derive(Default)]
struct Value(Option<Cell>);

pub(super) fn read(bytes: &[u8]) -> Result<Grid, Unreadable> {
    let body: Body = serde_json::from_slice(bytes)
        .map_err(|error| Unreadable::Json(error.to_string().chars().take(SHOWN_MAX).collect()))?;
    if body.rows.has_more {
        return Err(Unreadable::TooLarge);
    }
    let names = NAMES.map(|name| Some(Cell::Text(name.to_owned()))).to_vec();
    Ok(Grid { rows: [(0, names)].into_iter().chain((1..).zip(body.rows.cells)).collect() })
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneByOne;
        impl<'de> Visitor<'de> for OneByOne {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of rows")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Rows, A::Error> {
                let mut cells = Vec::new();
                while cells.len() < ROWS_MAX {
                    let Some(row) = rows.next_element::<Row>()? else {
                        return Ok(Rows { cells, has_more: false });
                    };
                    cells.push(
                        [row.placement, row.day, row.impressions, row.clicks].map(|value| value.0).to_vec(),
                    );
                }
                let has_more = rows.next_element::<IgnoredAny>()?.is_some();
                while rows.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Rows { cells, has_more })
            }
        }
        deserializer.deserialize_seq(OneByOne)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfCell;
        impl Visitor<'_> for OfCell {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number or null")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
                cell_text(text).map(Value).map_err(E::custom)
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value(Some(Cell::Number(number as f64))))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value(Some(Cell::Number(number as f64))))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value(Some(Cell::Number(number))))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value(None))
            }
        }
        deserializer.deserialize_any(OfCell)
    }
}
