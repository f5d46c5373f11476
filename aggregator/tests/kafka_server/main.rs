//! The tests of `kafka` once more, with the store on a ClickHouse server: the stand-in over the engine, or the one that `CLICKHOUSE_URL` names.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that fails panics")]
#![allow(clippy::print_stdout, reason = "figures of a run are printed")]

#[path = "../kafka/broker.rs"]
mod broker;
#[path = "../kafka/group.rs"]
mod group;
#[path = "../figures/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the figures")]
mod rig;
