//! The tests of `figures` once more, with the store on a ClickHouse server: the stand-in over the engine, or the one that `CLICKHOUSE_URL` names.
//! `alone` is left out: servers are shared; and `links`: they are made without the store.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that fails panics")]
#![allow(clippy::print_stdout, reason = "seeds are printed")]

#[path = "../figures/access.rs"]
mod access;
#[path = "../figures/api.rs"]
mod api;
#[path = "../figures/aside.rs"]
mod aside;
#[path = "../figures/closings.rs"]
mod closings;
#[path = "../figures/duplicates.rs"]
mod duplicates;
mod erased_elsewhere;
#[path = "../figures/erasing.rs"]
mod erasing;
mod faults;
#[path = "../figures/ids.rs"]
mod ids;
#[path = "../figures/loading.rs"]
mod loading;
#[path = "../figures/numbers.rs"]
mod numbers;
#[path = "../figures/oracle.rs"]
mod oracle;
#[path = "../figures/overlap.rs"]
mod overlap;
#[path = "../figures/rig.rs"]
mod rig;
#[path = "../figures/sampled.rs"]
mod sampled;
#[path = "../figures/sessions.rs"]
mod sessions;
#[path = "../figures/settling.rs"]
mod settling;
#[path = "../figures/stacks.rs"]
mod stacks;
#[path = "../figures/together.rs"]
mod together;
#[path = "../figures/traffic.rs"]
mod traffic;
#[path = "../figures/trial.rs"]
mod trial;
#[path = "../figures/unresolved.rs"]
mod unresolved;
#[path = "../figures/views.rs"]
mod views;
