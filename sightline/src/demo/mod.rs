//! The demo.
mod plan;
