//! What is counted of TLS, declared once. Labels are our own words, never a client's.

use metrics::{Counter, counter, describe_counter, describe_gauge, gauge};

/// Handshakes by role and result.
const HANDSHAKES: &str = "tls_handshakes_total";
/// Looks at the certificate's files that found something new.
const RELOADS: &str = "tls_certificate_reloads_total";
/// When the certificate in force ends.
const EXPIRES: &str = "tls_certificate_expires_unix_seconds";

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// HTTP/1.1 follows.
    Http1,
    /// HTTP/2 follows.
    Http2,
    /// The client did not finish it in time.
    TimedOut,
    /// The client went away: what only looks whether somebody listens does that.
    Abandoned,
    /// What came was no TLS: plain HTTP as a rule.
    NotTls,
    /// No common version or cipher, a certificate that the client does not trust, damage.
    Failed,
}

impl Ending {
    const LABELS: [&'static str; 6] = ["http1", "http2", "timed_out", "abandoned", "not_tls", "failed"];
}

/// The counters of one role.
pub(crate) struct Handshakes([Counter; Ending::LABELS.len()]);

impl Handshakes {
    pub(crate) fn of(role: &'static str) -> Self {
        Self(Ending::LABELS.map(|result| {
            let counter = counter!(HANDSHAKES, "role" => role, "result" => result);
            counter.increment(0);
            counter
        }))
    }

    pub(crate) fn count(&self, ending: Ending) {
        if let Some(counter) = self.0.get(ending as usize) {
            counter.increment(1);
        }
    }
}

/// Declares the metrics at zero, for the roles that may speak TLS. The recorder must be installed before. Without TLS they stay there, so that
/// an alert on them need not know.
pub fn declare(roles: &[&'static str]) {
    describe_counter!(
        HANDSHAKES,
        "TLS handshakes by role and result: `http1` and `http2` went well; `abandoned` by a client that went away, `not_tls` was plain HTTP as a rule."
    );
    describe_counter!(
        RELOADS,
        "Certificates found in the files while running, by result: `taken`, or `refused` while the one before it stays in force."
    );
    describe_gauge!(EXPIRES, "When the certificate in force expires, Unix seconds; 0 without TLS.");
    for role in roles {
        drop(Handshakes::of(role));
    }
    for result in ["taken", "refused"] {
        counter!(RELOADS, "result" => result).increment(0);
    }
    gauge!(EXPIRES).set(0.0);
}

pub(crate) fn taken() {
    counter!(RELOADS, "result" => "taken").increment(1);
}

pub(crate) fn refused() {
    counter!(RELOADS, "result" => "refused").increment(1);
}

pub(crate) fn expires(unix_seconds: i64) {
    gauge!(EXPIRES).set(unix_seconds as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_in_the_order_of_the_endings() {
        assert_eq!(Ending::LABELS[Ending::Http1 as usize], "http1");
        assert_eq!(Ending::LABELS[Ending::TimedOut as usize], "timed_out");
        assert_eq!(Ending::LABELS[Ending::NotTls as usize], "not_tls");
        assert_eq!(Ending::LABELS[Ending::Failed as usize], "failed");
    }
}
