//! The opt-out role, started as in production, over real connections on the loopback.

mod page;
mod service;
mod support;
