//! How fast it is, measured: an open-loop load driver, the CPU time of a server's processes, and the comparison with nginx.
//!
//! * [`load`] drives a server: at a fixed rate with latency counted from the intended send time, or to saturation.
//! * `connection` is one of its connections.
//! * [`answer`] reads just enough of an HTTP answer to know where it ends and what it says.
//! * [`beacon`] writes the requests: the impression of a native tracking URL as a phone's browser sends it.
//! * [`cpu`] reads what a process and its children spent, thread by thread.
//! * [`sample`] makes events as they are stored.
//! * [`server`] starts and stops what is measured.
//! * `src/bin/load.rs` is the driver by itself, `src/bin/floor.rs` the least that an HTTP server in Rust does,
//!   `src/bin/compare.rs` the comparison, `src/bin/pipeline.rs` the way through a cluster; `benches/*.rs` are the micro-benchmarks.
//!
//! Nothing here is part of the product, and the product uses none of it.

pub mod answer;
pub mod beacon;
mod connection;
pub mod cpu;
pub mod load;
pub mod sample;
pub mod server;
