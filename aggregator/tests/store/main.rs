//! The store by its own interface: the same tests against the embedded engine and against a server, and what only a server can do wrong.
//!
//! The server is the stand-in over the engine, or the real one of `CLICKHOUSE_URL`; tests with switched faults always have the stand-in.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test that fails panics")]

mod certificates;
mod faults;
mod migration;
mod rig;
mod same;
