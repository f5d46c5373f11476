//! What a request does: limits, audit log, opt-out, erasure, the note that it was used, and the acknowledgement.
//!
//! It owns the order of these effects. It must never acknowledge what is not noted, nor do what the audit log does not hold.

use std::time::Duration;

use audit::Entry;
use event::clock::UnixMs;
use event::key::KeyRing;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::judge::{Party, Refused, Request, Terms, judge};
use super::used::{Denied, Done, Mark, Reserved};
use super::verdict::{self, Fault, Version};
use super::{Dsr, TOKEN_BYTES_MAX};
use crate::api::IdRequest;
use crate::desk::Desk;
use crate::metrics::Deletion;
use crate::problem::Problem;
use crate::receipt::ReceiptId;
use crate::record::Source;
use crate::requests::{Kind, Proof, Submitted};
use crate::rights::{self, OptedOut};
use crate::settings::PartyRight;

/// Why a request was not taken.
pub(super) enum Ended {
    /// Not taken: the requester's to mend.
    Refused(Refused),
    /// Taken before, as this receipt: nothing was done again.
    Repeated(Version, ReceiptId),
    /// Not taken now: it may come again as it is.
    Problem(Problem),
}

/// A request that is taken.
pub(super) struct Taken {
    pub(super) version: Version,
    pub(super) submitted: Submitted,
    pub(super) opted_out: Option<OptedOut>,
}

impl From<Problem> for Ended {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Claims of an acknowledgement.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Acknowledged<'a> {
    version: &'static str,
    #[serde(rename = "rqJWT")]
    request: &'a str,
    jti: String,
    iss: &'a str,
    iat: i64,
    ra_result_code: u32,
    ra_result_string: &'static str,
}

/// Takes a request by its text.
pub(super) async fn take(desk: &Desk, dsr: &Dsr, text: &str) -> Result<Taken, Ended> {
    let own = &desk.settings.dsr;
    let terms = Terms {
        domain: &own.domain,
        now_seconds: now_seconds(desk),
        age_seconds_max: i64::from(own.age_hours_max) * 3_600,
    };
    match judge(text, &dsr.parties, terms) {
        Ok(request) => match done(desk, dsr, &request).await {
            Err(Ended::Refused(refused)) => Err(entered(desk, dsr, refused).await),
            other => other,
        },
        Err(refused) => Err(entered(desk, dsr, refused).await),
    }
}

async fn done(desk: &Desk, dsr: &Dsr, request: &Request) -> Result<Taken, Ended> {
    let refused =
        |fault| Ended::Refused(Refused { version: request.version, fault, party: Some(request.party) });
    let party = dsr.parties.get(request.party).ok_or(Problem::NotFound)?;
    let requests = desk.requests.clone().ok_or(Problem::NotOffered)?;
    // Before the party's limit: whoever saw a token can send it again, and must not use that up.
    let mark = mark(&desk.keys, party, &request.jti);
    let about = about(&desk.keys, party, request);
    let until = request.good_until_seconds;
    let reserved = dsr.used.reserve(mark, until, now_seconds(desk)).map_err(|denied| match denied {
        Denied::Used(Some(done)) if done.about == about => Ended::Repeated(request.version, done.receipt),
        Denied::Used(_) => refused(Fault::Used),
        // Whoever waited too long for it is told how it ended when it has.
        Denied::InHand => Problem::Unavailable.into(),
        Denied::Full => Problem::Full.into(),
    })?;
    admit(desk, dsr, request.party)?;
    let ids =
        [IdRequest { kind: request.kind.name().into(), value: request.value.as_str().into(), version: None }];
    let keys = rights::keys(desk, &ids).map_err(|problem| match problem {
        // A CAID that tells no version: the framework has no claim for one beside it.
        Problem::BadIds(_) | Problem::NoVersion => refused(Fault::Value),
        other => other.into(),
    })?;
    enter(desk, dsr, accepted(party, request)).await?;
    let source = Source::App(party.name.clone());
    let mut kept =
        if party.may(PartyRight::OptOut) { Some(rights::opt_out(desk, &ids, source).await?) } else { None };
    let name = party.name.clone();
    let proof = if party.may(PartyRight::Erasure) { Proof::App(name) } else { Proof::Claimed(name) };
    let proved = rights::proved(&proof);
    let submit = move || requests.submit(Kind::Erasure, proof, keys).map_err(Problem::from);
    let submitted = match (noted(desk, (reserved, about), submit).await, kept.take()) {
        (Ok(submitted), opted_out) => {
            kept = opted_out;
            submitted
        }
        // It holds, and only its receipt takes it back.
        (Err(problem), Some(opted_out)) => return Err(problem.with_opt_out(opted_out).into()),
        (Err(problem), None) => return Err(problem.into()),
    };
    desk.metrics.person(rights::asked(Kind::Erasure), proved);
    let outcome = if submitted.request.decided_ms.is_some() { Deletion::Running } else { Deletion::Waiting };
    desk.metrics.deletion(outcome);
    Ok(Taken { version: request.version, submitted, opted_out: kept })
}

/// Asks for the erasure and notes the request as used, whatever becomes of the connection.
async fn noted(
    desk: &Desk,
    (reserved, about): (Reserved, u64),
    submit: impl FnOnce() -> Result<Submitted, Problem> + Send + 'static,
) -> Result<Submitted, Problem> {
    let now_seconds = now_seconds(desk);
    blocking(desk, move || {
        let submitted = submit()?;
        let done = Done { receipt: submitted.request.receipt, about };
        reserved.note(now_seconds, Some(done)).map_err(|error| {
            tracing::error!(%error, "a used deletion request cannot be noted, so it is not acknowledged");
            Problem::Unavailable
        })?;
        Ok(submitted)
    })
    .await
}

/// Counts a request against its party's limit.
fn admit(desk: &Desk, dsr: &Dsr, party: usize) -> Result<(), Problem> {
    dsr.rates().parties.take(party as u128, desk.now_ms()).map_err(Problem::PartyRateLimited)
}

/// A refusal; one that a party's signature stands for is entered in the audit log. What anybody may send is not, a token that its time or its use refuses
/// among it ([`Refused::sender`]): it would fill it.
async fn entered(desk: &Desk, dsr: &Dsr, refused: Refused) -> Ended {
    desk.metrics.deletion(Deletion::of(refused.fault));
    let Some(party) = refused.sender().and_then(|place| dsr.parties.get(place)) else {
        return Ended::Refused(refused);
    };
    let (code, name) = refused.fault.code(refused.version);
    let name = if refused.version == Version::One { "" } else { name };
    let details =
        json!({ "identifiers": 1, "version": refused.version.name(), "code": code, "result": name });
    let entry = Entry::new(actor(party), "dsr.refused", "deletion request", details);
    match enter(desk, dsr, entry).await {
        Ok(()) => Ended::Refused(refused),
        Err(problem) => Ended::Problem(problem),
    }
}

fn accepted(party: &Party, request: &Request) -> Entry {
    let (code, _) = verdict::success(request.version);
    let details = json!({
        "identifiers": 1, "version": request.version.name(), "code": code, "kind": request.kind.name(),
        "opt_out": party.may(PartyRight::OptOut), "erasure": party.may(PartyRight::Erasure),
    });
    Entry::new(actor(party), "dsr.accepted", "deletion request", details)
}

fn actor(party: &Party) -> String {
    format!("party {}", party.name.as_str())
}

async fn enter(desk: &Desk, dsr: &Dsr, entry: Entry) -> Result<(), Problem> {
    let audit = dsr.audit.clone();
    blocking(desk, move || {
        audit.append(&entry).map(drop).map_err(|error| {
            tracing::error!(%error, "a deletion request cannot be entered in the audit log, so it is not done");
            Problem::Unavailable
        })
    })
    .await
}

/// Runs what waits for the disk to its end, and waits for it so long as the limit says.
async fn blocking<T: Send + 'static>(
    desk: &Desk,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let limit = Duration::from_secs(desk.settings.limits.storage_seconds_max);
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(Problem::Unavailable),
        Err(_) => {
            tracing::error!(limit_seconds = limit.as_secs(), "deletion requests: the disk is too slow");
            Err(Problem::Unavailable)
        }
    }
}

/// Our acknowledgement of a request. `receipt`: the number by which it is known here; else one is drawn.
pub(super) fn acknowledge(
    desk: &Desk,
    dsr: &Dsr,
    text: &str,
    (version, code): (Version, (u32, &'static str)),
    receipt: Option<String>,
) -> Option<String> {
    let (ra_result_code, ra_result_string) = code;
    dsr.signer.sign(&Acknowledged {
        version: version.name(),
        // What is too long to be a token is not sent back.
        request: if text.len() <= TOKEN_BYTES_MAX { text } else { "" },
        jti: receipt.or_else(drawn)?,
        iss: &desk.settings.dsr.domain,
        iat: now_seconds(desk),
        ra_result_code,
        ra_result_string,
    })
}

fn drawn() -> Option<String> {
    let mut bytes = [0; ReceiptId::BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(ReceiptId(bytes).to_string())
}

/// What is remembered of a used request: nobody without the key can test a guess of its `jti`.
fn mark(keys: &KeyRing, party: &Party, jti: &str) -> Mark {
    let half = |index| keys.batch_item_hash(party.name.as_str(), jti.as_bytes(), index).to_le_bytes();
    let mut mark = [0; 16];
    mark.iter_mut().zip(half(0).into_iter().chain(half(1))).for_each(|(to, from)| *to = from);
    mark
}

/// What a request is about, as [`mark`].
fn about(keys: &KeyRing, party: &Party, request: &Request) -> u64 {
    let about = Zeroizing::new(format!("{} {}", request.kind.name(), request.value.as_str()));
    keys.batch_item_hash(party.name.as_str(), about.as_bytes(), 2)
}

fn now_seconds(desk: &Desk) -> i64 {
    let now_ms: UnixMs = desk.now_ms();
    now_ms.div_euclid(1_000)
}
