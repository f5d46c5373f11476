//! Which time an event counts by.

use crate::clock::UnixMs;
use crate::outcome::Outcome;

/// What became of a client's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The time by which the event counts.
    pub time_ms: UnixMs,
    /// The client's time as sent, where it was a number.
    pub client_time_ms: Option<UnixMs>,
    /// Bits of [`crate::record::flag`].
    pub flags: u32,
}

/// Judges the client's time against receipt (DESIGN §10).
///
/// # Errors
/// [`Outcome::TooLate`].
pub fn judge(
    _client: Option<&[u8]>,
    _received_ms: UnixMs,
    _campaign_start_ms: Option<UnixMs>,
    _may_backdate: bool,
) -> Result<Judged, Outcome> {
    todo!()
}
