//! The opt-out role, started as in production, over real connections on the loopback.

mod cluster;
#[cfg(test)]
mod dsr;
#[cfg(test)]
mod dsr_refused;
#[cfg(test)]
mod dsr_tokens;
mod kafka;
#[cfg(test)]
mod openapi;
mod outage;
#[cfg(test)]
mod page;
#[cfg(test)]
mod page_hash;
mod persons;
mod proof;
mod service;
mod signed;
mod support;
