//! Result codes of an acknowledgement, in either version of the framework.
//!
//! What the framework has no code for (a token for another recipient, or one that was used) is an unknown error in version 2.0 and an invalid token in
//! 1.0, which has no other.

/// Version of a token's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.0, of May 2024.
    One,
    /// 2.0, of April 2026.
    Two,
}

impl Version {
    /// As tokens say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "1.0",
            Self::Two => "2.0",
        }
    }
}

/// Which of the two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The inner one, of the first party.
    Origin,
    /// The outer one, of the requester.
    Request,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its issuer is registered with nobody here.
    Issuer(Whose),
    /// The issuer has no such key.
    Key(Whose),
    /// Not the algorithm of that key.
    Algorithm(Whose),
    /// No token, or not the claims of one.
    Token(Whose),
    /// A claim is missing.
    Missing(Whose),
    /// The signature is not that key's.
    Signature(Whose),
    /// Its time is none, or past.
    Time(Whose),
    /// It is signed ahead of the clock.
    Future(Whose),
    /// The request is older than what it says to be caused by.
    Sequence,
    /// It is for somebody else.
    Audience,
    /// It was used.
    Used,
    /// The type of the identifier is not among those that are published.
    Type,
    /// Nor its format.
    Format,
    /// The value is not of that format.
    Mismatch,
    /// The value is none of its type, or one that many devices have.
    Value,
}

/// The code of a request that was taken.
pub(crate) fn success(version: Version) -> (u32, &'static str) {
    match version {
        Version::One => (0, "success"),
        Version::Two => (10_000, "success"),
    }
}

impl Fault {
    /// Code and text for an acknowledgement.
    pub(crate) fn code(self, version: Version) -> (u32, &'static str) {
        match version {
            Version::One => (self.code_one(), self.detail()),
            Version::Two => self.code_two(),
        }
    }

    fn code_one(self) -> u32 {
        match self {
            Self::Missing(_) => 1,
            Self::Issuer(_) | Self::Key(_) | Self::Algorithm(_) | Self::Signature(_) => 2,
            Self::Token(_) | Self::Audience | Self::Used => 3,
            Self::Type => 4,
            Self::Format | Self::Mismatch | Self::Value => 5,
            Self::Time(_) | Self::Future(_) | Self::Sequence => 6,
        }
    }

    fn code_two(self) -> (u32, &'static str) {
        use Whose::{Origin, Request};
        match self {
            Self::Audience | Self::Used => (10_010, "unknown_error"),
            Self::Issuer(Origin) => (11_102, "or_dsrdelete_file_not_found"),
            Self::Issuer(Request) => (11_202, "rq_dsrdelete_file_not_found"),
            Self::Key(Origin) => (11_105, "or_jwks_kid_not_found"),
            Self::Key(Request) => (11_205, "rq_jwks_kid_not_found"),
            Self::Algorithm(Origin) => (12_101, "or_alg_claim_mismatch"),
            Self::Algorithm(Request) => (12_201, "rq_alg_claim_mismatch"),
            Self::Token(Origin) | Self::Missing(Origin) => (13_101, "or_invalid_token"),
            Self::Token(Request) | Self::Missing(Request) => (13_201, "rq_invalid_token"),
            Self::Signature(Origin) => (13_102, "or_invalid_token_signature"),
            Self::Signature(Request) => (13_202, "rq_invalid_token_signature"),
            Self::Time(Origin) => (13_103, "or_invalid_token_timestamp"),
            Self::Time(Request) => (13_203, "rq_invalid_token_timestamp"),
            // Named like the one before it, in the framework's table.
            Self::Future(Origin) => (13_104, "or_invalid_token_timestamp"),
            Self::Future(Request) => (13_204, "rq_invalid_token_timestamp_future"),
            Self::Sequence => (13_205, "rq_invalid_timestamp_sequence"),
            Self::Type => (14_201, "rq_unsupported_identifier_type"),
            Self::Format => (14_202, "rq_unsupported_identifier_format"),
            Self::Mismatch => (14_203, "rq_incorrect_identifier_format"),
            Self::Value => (14_204, "rq_invalid_identifier_value"),
        }
    }

    /// Sentence for people: what is wrong, and what to do. It names nothing that the request holds.
    pub(crate) fn detail(self) -> &'static str {
        use Whose::{Origin, Request};
        match self {
            Self::Issuer(Origin) => {
                "the first party is not registered here: only requests on behalf of registered ones are taken"
            }
            Self::Issuer(Request) => {
                "the issuer is not registered here: turn to the operator with your domain and your public keys"
            }
            Self::Key(_) => {
                "the token's kid is none of the keys that the operator has of its issuer: after a change of keys, tell him"
            }
            Self::Algorithm(_) => {
                "the token's alg is not that of its key: ES256, RS256 and EdDSA are taken, each with its own type of key"
            }
            Self::Token(_) => {
                "not a compact JWS of at most 16 KiB with claims of the framework's version 1.0 or 2.0, each once"
            }
            Self::Missing(_) => {
                "a claim is missing: version, jti, iss, iat, the first party's token, and identifier value, type and format are required"
            }
            Self::Signature(_) => "the signature is not that of the key that the token names",
            Self::Time(_) => {
                "the token's time is no positive number of seconds, or too long ago, or its exp has passed or its nbf not come: sign it anew"
            }
            Self::Future(_) => "the token was issued more than 5 minutes ahead of our clock",
            Self::Sequence => "the request was issued before the first party's token that it holds",
            Self::Audience => "the token's aud does not name this recipient",
            Self::Used => {
                "a request with this jti was done before: nothing was done again. Give each request a jti of its own"
            }
            Self::Type => "the identifier's type is none of those in dsrdelete.json",
            Self::Format => "the identifier's format is none of those in dsrdelete.json for its type",
            Self::Mismatch => {
                "the identifier's value does not look like its format: digests are hexadecimal digits, 32, 40 or 64 of them"
            }
            Self::Value => {
                "the identifier's value is not of its type, or one that many devices send, which identifies nobody"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_codes() {
        for (fault, one, two) in [
            (Fault::Missing(Whose::Request), 1, 13_201),
            (Fault::Signature(Whose::Request), 2, 13_202),
            (Fault::Signature(Whose::Origin), 2, 13_102),
            (Fault::Issuer(Whose::Request), 2, 11_202),
            (Fault::Key(Whose::Origin), 2, 11_105),
            (Fault::Algorithm(Whose::Request), 2, 12_201),
            (Fault::Token(Whose::Origin), 3, 13_101),
            (Fault::Used, 3, 10_010),
            (Fault::Type, 4, 14_201),
            (Fault::Format, 5, 14_202),
            (Fault::Mismatch, 5, 14_203),
            (Fault::Value, 5, 14_204),
            (Fault::Time(Whose::Request), 6, 13_203),
            (Fault::Future(Whose::Origin), 6, 13_104),
            (Fault::Sequence, 6, 13_205),
        ] {
            assert_eq!((fault.code(Version::One).0, fault.code(Version::Two).0), (one, two), "{fault:?}");
        }
        assert_eq!((success(Version::One).0, success(Version::Two).0), (0, 10_000));
    }
}
