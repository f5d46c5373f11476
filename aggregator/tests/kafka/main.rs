//! The aggregator with a real Kafka (`deploy/kafka/start`) and the embedded engine. The binary `kafka_server` has the same tests with the store on a
//! server.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that fails panics")]
#![allow(clippy::print_stdout, reason = "figures of a run are printed")]

mod broker;
mod group;
#[path = "../figures/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the figures")]
mod rig;
