//! Promise 1 (an answered beacon is a durable beacon, counted once) against `kill -9` at random moments, and against a kill at each
//! rename of an insert and of a generation switch.

#[cfg(test)]
mod support;
