//! Deletion requests of other companies: IAB Tech Lab's Data Deletion Request Framework, versions 1.0 (May 2024) and 2.0 (April 2026).
//!
//! ```text
//! GET  /dsrdelete.json                                what we take, where, and by which keys our acknowledgements are known
//! GET  /.well-known/iabtl/jwks.json                   those keys
//! POST /v1/dsr   application/json {"rqJWT":"…"}       a request, signed by a registered party; one identifier each
//!                application/jwt  …                   the same, bare
//!   202 {"acJWT":"…","request":{"receipt":"7K3D-…","secret":"…","kind":"erasure","state":"running",…},"opt_out":{…}}
//!   200 {"acJWT":"…","receipt":"7K3D-…","detail":"…"}   the same request as before: its acknowledgement again, nothing done, no secret told
//!   400 {"acJWT":"…","error":"rq_invalid_token_signature","detail":"…"}
//! ```
//!
//! The acknowledgement is a token of ours around the request's own, with the framework's result code. It says that a request was taken, not that it is
//! done: for that its holder asks `GET /v1/requests/{receipt}`. Where the trouble is not the request's (too many of them, a disk that is full), there is no
//! acknowledgement: the status says so, and the same request may come again.
//!
//! # A request's way
//!
//! 1. `exchange` takes the body, within the limits of an address; [`judge`] says whether it is a registered party's, in time and for us.
//! 2. `transaction` holds it against [`used`] and against the party's own limit, enters it in the audit log, opts the device out and asks for its
//!    erasure, as far as the party's word suffices, notes it as used, and signs.
//!
//! # What the framework leaves open, and how we decided
//!
//! * Version 2.0 is in force, 1.0 is what is seen in the field: both are taken, each is answered in its own form, and the file has the members of both.
//! * How the token stands in the body: as a member `rqJWT` of a JSON object, or bare.
//! * Algorithms: its examples show RS256 and ES256; EdDSA beside them.
//! * Names of types are those of our API; formats `plaintext`, `md5`, `sha1`, `sha256`. No registry of either is published.
//! * How old a request may be: [`DsrSettings::age_hours_max`](crate::DsrSettings::age_hours_max). What it holds of the first party: 30 days.
//! * A repeat: whom the first acknowledgement did not reach gets it again, without the secrets, as long as its receipt is in memory, and is told to come
//!   again while the request is being done. Behind a restart, or of another identifier, it is refused.
//! * That, and a token for another recipient: an unknown error (2.0) or an invalid token (1.0). There is no claim for the recipient; where a party sends
//!   `aud`, it holds, and a party can be held to sending it.
//! * Both the requester and the first party have to be registered, and the requester's word decides: in 2.0 the first party's token names no identifier. An
//!   issuer that is not registered reads as one whose file was not found. Keys are not fetched: anybody with a domain could have any device erased.
//! * The file stands on the opt-out role. The framework wants it in the root of the registrable domain, which is seldom the tracker's host.
//! * A party is an app with another kind of key: its word stands in the same records, under its domain, so no app may have that name.
//! * A request is noted as used when it is done, not when it comes: who got no answer may send it again.
//! * A token can be kept by anybody on its way. So a repeat, and one whose time is past or not come, are neither entered in the audit log nor counted against
//!   their party's limit, but against the address that they come from.
//! * Apps and parties hold at most half of the room for requests ([`PARTIES_SHARE`](crate::requests::PARTIES_SHARE)): a person finds the other half.
//!
//! # Promises
//!
//! * A key is used with its own algorithm only, and only a registered one: nothing is fetched, and nothing that a token brings is believed.
//! * An acknowledged request is used, over restarts too. What was not acknowledged may come again.
//! * No identifier and no `jti` in a log, an error, a metric, the audit log or a file. The acknowledgement holds the request as its sender sent it, and
//!   goes to him alone.

pub(crate) mod exchange;
mod judge;
mod jwk;
mod jws;
mod published;
#[cfg(test)]
mod tests;
mod transaction;
mod used;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use event::clock::Clock;
use thiserror::Error;

pub use judge::{Parties, Refused, Request, Terms, judge};
pub use jwk::{KeyError, PublicKeys, draw};
pub use jws::{TOKEN_BYTES_MAX, Token};
pub use verdict::{Fault, Version, Whose};

use self::jwk::Signer;
use self::published::Published;
use self::used::Used;
use crate::rate::{Rate, Table};
use crate::settings::Settings;

/// Minutes for which the clock of a party may be ahead.
pub(crate) const SKEW_MINUTES: u64 = judge::SKEW_SECONDS.unsigned_abs() / 60;

/// Why the exchange cannot start. The operator's to solve.
#[derive(Debug, Error)]
pub enum DsrError {
    /// A key.
    #[error("opt_out.dsr: {0}")]
    Key(#[from] KeyError),
    /// What was used cannot be read.
    #[error(
        "the used deletion requests in {dir}: {source}; without them a request that was done could be sent again: remove the folder only if that is meant"
    )]
    Used {
        /// The folder.
        dir: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// The exchange, open.
pub struct Dsr {
    parties: Parties,
    signer: Signer,
    published: Published,
    used: Used,
    audit: audit::Log,
    rates: Mutex<Rates>,
}

/// What came lately.
struct Rates {
    /// By address, before anything is verified: a signature costs more to check than to make up.
    addresses: Table,
    /// By the party's place.
    parties: Table,
}

impl Dsr {
    /// Opens it: reads the keys, and in `dir` what was used. `own_keys` are the files of our keys, the first of which signs.
    ///
    /// # Errors
    /// [`DsrError`].
    pub fn open(
        dir: &Path,
        settings: &Settings,
        own_keys: &[PathBuf],
        clock: &Clock,
        audit: audit::Log,
    ) -> Result<Self, DsrError> {
        let own = &settings.dsr;
        let signer = Signer::load(own_keys)?;
        let used_max = usize::try_from(own.used_max()).unwrap_or(usize::MAX);
        let used = Used::open(dir, used_max, clock.now_ms().div_euclid(1_000))
            .map_err(|source| DsrError::Used { dir: dir.to_owned(), source })?;
        let rate = Rate { burst: own.requests_burst_max, per_minute: own.requests_per_minute };
        let rates = Rates {
            addresses: Table::new(rate, settings.limits.addresses_max),
            // Room for each party in either generation: none is forgotten.
            parties: Table::new(rate, 2 * own.party.len().max(1)),
        };
        Ok(Self {
            parties: Parties::load(&own.party)?,
            published: Published::new(settings, &signer),
            signer,
            used,
            audit,
            rates: Mutex::new(rates),
        })
    }

    /// Reads all keys, as a start would.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn check_keys(settings: &Settings) -> Result<(), KeyError> {
        if !settings.dsr.key_files.is_empty() {
            Signer::load(&settings.dsr.key_files)?;
        }
        Parties::load(&settings.dsr.party).map(drop)
    }

    fn rates(&self) -> std::sync::MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
