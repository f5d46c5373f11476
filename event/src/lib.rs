//! The vocabulary of Sightline: what a beacon says, whose device it is, what became of it, and the bytes it is kept in.
//!
//! # From a query string to a record
//!
//! 1. [`dialect`] — a table turns parameters into the fields of a [`hit::Hit`], borrowed bytes, one pass.
//! 2. [`identifier`] — each identifier of the hit is brought to its canonical MD5; bad values never get further.
//!    [`profile`] says what a medium puts into each field, where media differ.
//! 3. [`key`] — the canonical form becomes a [`key::DeviceKey`] (keyed hash) and an [`key::OptOutHash`].
//! 4. [`stage`] — what the hit says happened: tracked, impression, viewable, quartile, click, conversion.
//! 5. [`record`] — the [`record::Event`] and its versioned bytes.
//! 6. [`outcome`] — what became of the beacon: exactly one [`outcome::Outcome`] for each.
//!
//! This crate does no I/O, knows no runtime and depends on no other crate of the workspace.

pub mod address;
pub mod agent;
pub mod clock;
pub mod consent;
pub mod dialect;
pub mod givt;
pub mod hit;
pub mod id_cookie;
pub mod identifier;
pub mod key;
pub mod link;
pub mod outcome;
pub mod profile;
pub mod record;
pub mod stage;
pub mod time;

/// Builds the tables that the first beacon would otherwise wait for (some milliseconds): call it before listening.
pub fn prepare() {
    dialect::Dialects::built_in();
    dialect::Table::native();
    identifier::prepare();
    profile::Profiles::built_in();
}
