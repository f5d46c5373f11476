//! Dialects as data: a table says how a grammar separates its parameters and which field each one fills.
//! The fields of a hit and what a table may say stand in `dialects/native.toml`.

use crate::hit::Hit;
use crate::outcome::Outcome;

/// A dialect, ready for look-ups.
pub struct Table {}

/// The reusable buffer of one connection or task in which a query is taken apart.
#[derive(Default)]
pub struct Scratch {}

/// What a query said, also when it is to be rejected: a click lands even then.
pub struct Reading<'a> {
    /// The fields that could be read.
    pub hit: Hit<'a>,
    /// The first reason to reject the hit, if there is one.
    pub defect: Option<Outcome>,
}

/// Why a dialect table was refused.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not what a table looks like.
    #[error("{0}")]
    Toml(String),
}

impl Table {
    /// The native dialect.
    pub fn native() -> &'static Self {
        todo!()
    }
    /// Reads and checks a table.
    ///
    /// # Errors
    /// When the text is not a dialect table.
    pub fn parse_toml(_text: &str) -> Result<Self, TableError> {
        todo!()
    }
    /// One pass over a query; `Err` with the first defect.
    ///
    /// # Errors
    /// The outcome with which the hit is rejected.
    pub fn parse<'a>(&self, query: &[u8], scratch: &'a mut Scratch) -> Result<Hit<'a>, Outcome> {
        let reading = self.read(query, scratch);
        reading.defect.map_or(Ok(reading.hit), Err)
    }
    /// As [`parse`](Self::parse), but hands out what could be read beside the first defect (clicks land anyway).
    pub fn read<'a>(&self, _query: &[u8], _scratch: &'a mut Scratch) -> Reading<'a> {
        todo!()
    }
    /// Fills one field of a JSON item: same names, same rules, value already decoded.
    ///
    /// # Errors
    /// The outcome with which the item is rejected.
    pub fn set<'a>(&self, _hit: &mut Hit<'a>, _name: &str, _value: &'a [u8]) -> Result<(), Outcome> {
        todo!()
    }
}

/// Whether a value is a macro that nobody replaced, of any style.
pub fn is_unreplaced_macro(_value: &[u8]) -> bool {
    todo!()
}
