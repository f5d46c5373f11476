//! What became of other companies' deletion requests, as labels. It must never name a party.

use crate::dsr::Fault;

labels! {
    /// What became of another company's deletion request.
    Deletion {
        /// Taken; the erasure runs.
        Running = "running",
        /// Taken; the erasure waits for the operator.
        Waiting = "waiting",
        /// No token, or not the claims of one.
        Malformed = "malformed",
        /// Of nobody who is registered, or under a key that is not.
        Unknown = "unknown_key",
        /// Another algorithm than the key's, or a wrong signature.
        Signature = "bad_signature",
        /// Too old, too new, out of order.
        Time = "bad_time",
        /// For somebody else.
        Audience = "other_audience",
        /// Acknowledged before.
        Used = "used",
        /// Of a type or format that is not published, or no identifier of its type.
        Identifier = "bad_identifier",
        /// Too many of one address or party.
        RateLimited = "rate_limited",
        /// It could not be taken now.
        Unavailable = "unavailable",
    }
}

impl Deletion {
    /// How a refusal is counted.
    pub(crate) fn of(fault: Fault) -> Self {
        match fault {
            Fault::Token(_) | Fault::Missing(_) => Self::Malformed,
            Fault::Issuer(_) | Fault::Key(_) => Self::Unknown,
            Fault::Algorithm(_) | Fault::Signature(_) => Self::Signature,
            Fault::Time(_) | Fault::Future(_) | Fault::Sequence => Self::Time,
            Fault::Audience => Self::Audience,
            Fault::Used => Self::Used,
            Fault::Type | Fault::Format | Fault::Mismatch | Fault::Value => Self::Identifier,
        }
    }
}
