//! Heartbeats over HTTP: what an opt-out role answers when it is asked how far the registry reaches, and the nodes that ask.
//!
//! ```text
//! GET /v1/heartbeat
//!   200 {"reach":1234,"registry_ms":1795255200000,"kafka":true}
//!   503 the role has not read the registry to its end, or must not: it cannot answer for what it told people before
//! ```
//!
//! `reach` is the offset after the newest record of the topic that says something of an opt-out and that the role has applied: every opt-out that this
//! role ever answered for stands before it. `registry_ms` tells one registry from another in its place. `kafka` says whether Kafka took a heartbeat
//! within the lease; it is for people.
//!
//! Whoever can reach the page can read it. It holds no personal data: how many records there are, not whose.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event::clock::UnixMs;
use serde::{Deserialize, Serialize};

/// How often an opt-out role says that it lives, and how often a node asks.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Where it is asked for.
pub(crate) const PATH: &str = "/v1/heartbeat";

/// Longest that a node waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Longest answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// How far the registry reaches that a role answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) reach: i64,
    pub(crate) registry_ms: UnixMs,
    pub(crate) kafka: bool,
}

/// Who hears the answers.
pub(crate) trait Hears: Send + Sync + 'static {
    /// The role of this number answered a request that was sent then, or why it did not.
    fn answered(&self, role: usize, sent: Instant, beat: Result<Beat, String>);

    /// Whether asking is over.
    fn is_stopped(&self) -> bool;
}

/// Asks one role every second, on a thread of its own, until [`Hears::is_stopped`]. Unparking the thread makes it look.
///
/// # Errors
/// No thread.
pub(crate) fn ask_for_ever(
    url: &str,
    role: usize,
    hears: Arc<impl Hears>,
) -> std::io::Result<JoinHandle<()>> {
    let url = format!("{}{PATH}", url.trim_end_matches('/'));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        // The environment's proxies are not for the inner network.
        .proxy(None)
        .max_redirects(0)
        // A connection for each question: one that the role closed meanwhile costs no answer.
        .max_idle_connections(0)
        .build()
        .into();
    std::thread::Builder::new().name(format!("opt-out-ask-{role}")).spawn(move || {
        while !hears.is_stopped() {
            let sent = Instant::now();
            hears.answered(role, sent, ask(&agent, &url));
            if !hears.is_stopped() {
                std::thread::park_timeout(INTERVAL.saturating_sub(sent.elapsed()));
            }
        }
    })
}

fn ask(agent: &ureq::Agent, url: &str) -> Result<Beat, String> {
    let answer = agent.get(url).call().map_err(|error| error.to_string())?;
    let (_, mut body) = answer.into_parts();
    body.with_config().limit(ANSWER_BYTES_MAX).read_json().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_reads_as_it_is_documented() {
        let beat = Beat { reach: 1234, registry_ms: 1_795_255_200_000, kafka: true };
        let json = serde_json::to_string(&beat).unwrap();
        assert_eq!(json, r#"{"reach":1234,"registry_ms":1795255200000,"kafka":true}"#);
        assert_eq!(serde_json::from_str::<Beat>(&json).unwrap(), beat);
        // A newer role may say more.
        let newer = json.replace('}', r#","more":1}"#);
        assert_eq!(serde_json::from_str::<Beat>(&newer).unwrap(), beat);
    }
}
