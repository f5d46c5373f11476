//! What reads bytes of strangers, under fire. Each module is one target: `run` takes any bytes and asserts what must hold for all of
//! them. `fuzz/run` builds the targets with coverage for libFuzzer, on the stable toolchain, and runs them; the inputs in
//! `fuzz/seeds/` are where they begin and are also run one by one by `cargo test` in this folder.

pub mod batch;
pub mod consent;
pub mod deletion;
pub mod dialect;
pub mod journal;
pub mod parser;
pub mod record;
