//! The aggregator with the real engine: every test starts it as production does and asks its report API.
//!
//! The engine's library is looked up as in production; where it is missing, the tests fail and say how to fetch it.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that fails panics")]
#![allow(clippy::print_stdout, reason = "seeds are printed")]

mod access;
mod alerts;
mod alone;
mod api;
mod aside;
mod attack;
mod campaigns;
mod closings;
mod creatives;
mod duplicates;
mod erasing;
mod forms;
mod identities;
mod ids;
mod links;
mod loading;
mod memory;
mod numbers;
mod openapi;
mod oracle;
mod overlap;
mod regions;
mod rig;
mod sampled;
mod sessions;
mod settling;
mod stacks;
mod targets;
mod tenants;
mod together;
mod traffic;
mod trial;
mod unresolved;
mod views;
