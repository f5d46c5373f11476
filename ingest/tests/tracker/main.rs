//! The tracker over real sockets, with a real journal on disk. Every test ends by reading the journal back and balancing the books.

#![expect(clippy::indexing_slicing, reason = "in a test a bad index is a failure like any other")]
#![expect(clippy::type_complexity, reason = "tables of cases")]

mod bad_input;
mod batches;
mod beacons;
mod dialects;
mod disk;
#[path = "../mmdb/mod.rs"]
mod mmdb;
mod openapi;
mod opt_outs;
mod pages;
mod profiles;
mod regions;
mod rig;
mod signed;
mod smuggling;
mod stopping;
mod tls;
mod unknown_opt_outs;
