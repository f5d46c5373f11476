//! What a user agent says.

use crate::record::Platform;

/// The platform by the `os` parameter, else by the agent.
pub fn platform(_os: Option<&[u8]>, _agent: &[u8]) -> Platform {
    todo!()
}

/// The part of an agent that is kept: valid UTF-8, at most [`crate::record::AGENT_BYTES_MAX`] bytes.
pub fn cut(_agent: &[u8]) -> &str {
    todo!()
}
