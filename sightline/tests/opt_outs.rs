//! Promise 4 (an opt-out holds): from the next request on, over restarts, with a filter that is forced to collide, and for nobody else.

#[cfg(test)]
mod support;
