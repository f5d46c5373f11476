//! The API of persons' requests: `POST /v1/erasures`, `POST /v1/copies`, `GET /v1/requests/{receipt}` and its copy.
//!
//! ```text
//! POST /v1/erasures  {}                                          this browser, by the id cookie that the tracker gave it; from our own page only
//!                    {"ids":[{"kind":"oaid","value":"…"}]}       these identifiers: signed by an app with the right to it, or they wait for the operator
//!                    {…,"opt_out":true}                          and opt out in the same call, which needs no proof
//! POST /v1/copies    likewise, without "opt_out"
//!   202 {"receipt":"7K3D-…","secret":"…","kind":"erasure","state":"running","proof":"browser","asked_at":"…","due_on":"2026-12-11",
//!        "ids":[{"kind":"oaid","covered":["raw",…],"not_covered":[],"ambiguous":false}],"detail":"…","opt_out":{…}}
//!   503 {"error":"full",…,"opt_out":{…}}       the opt-out holds, and the rest was not taken
//!
//! GET /v1/requests/7K3D-…        Authorization: Bearer <the receipt's secret>
//!   200 {"receipt":"7K3D-…","kind":"erasure","state":"done",…,"result":{…}}
//! GET /v1/requests/7K3D-…/copy   likewise: the file
//! ```
//!
//! It must never tell whether something is stored under an identifier to whoever has not proved that it is his, and never take a secret from a URL.
//! Whoever has not the secret is told the same of a request that is there and of one that is not.

use std::time::Duration;

use event::id_cookie;
use event::identifier::{IdKind, devices, lacks_version, lodge};
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::api::{self, Answer, IdRequest, rfc3339};
use crate::cookies::{self, Cookies};
use crate::desk::Desk;
use crate::metrics::{Asked, IdResult, Proved};
use crate::origin;
use crate::problem::{BadId, Problem};
use crate::receipt::{ReceiptId, Secret};
use crate::record::Source;
use crate::requests::{Key, Kind, NamedId, Proof, Request, RequestError, Requests, Sought, State, Submitted};
use crate::settings::AppRight;
use crate::shape::{Field, Shape, Shaped};

/// Copies that are read and sent at the same time; each may be held in memory whole. Others wait, as long as a request may wait for the disk.
const COPIES_SENT_MAX: usize = 2;
/// Longest file of a copy that is sent, bytes; what is written ends long before.
const COPY_BYTES_MAX: u64 = 64 << 20;

static COPIES_SENT: Semaphore = Semaphore::const_new(COPIES_SENT_MAX);

/// Neither `Debug` nor `Serialize`: it holds raw identifiers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking<'a> {
    #[serde(borrow, default)]
    ids: Option<Vec<IdRequest<'a>>>,
    #[serde(default)]
    opt_out: bool,
}

impl Shaped for Asking<'_> {
    const SHAPE: Shape =
        Shape::Object(&[Field::may_be("ids", Shape::List(&api::ID)), Field::may_be("opt_out", Shape::Flag)]);
}

#[derive(Serialize)]
pub(crate) struct Told {
    receipt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    kind: &'static str,
    state: &'static str,
    proof: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    asked_at: String,
    /// The day at whose end it has to be answered.
    due_on: String,
    decided_at: Option<String>,
    finished_at: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Came>,
    /// What is looked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ids: Vec<Named>,
    detail: &'static str,
    /// The receipt of the opt-out that was made with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    opt_out: Option<OptedOut>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Came {
    Erased { hits: u64, hits_in_no_figure: u64, days_made_again: u32, days_standing: u32 },
    Copied { hits: u64, complete: bool, path: String, until: Option<String> },
}

/// An identifier that was named, and the forms in which it is found.
#[derive(Serialize)]
struct Named {
    kind: &'static str,
    covered: Vec<&'static str>,
    not_covered: Vec<&'static str>,
    ambiguous: bool,
}

impl Named {
    /// `None` where an earlier program took the request, and kept nothing of it.
    fn of(id: NamedId) -> Option<Self> {
        let (covered, mut not_covered) = (id.covered.names(), id.not_covered.names());
        // A CAID's key is of its version.
        not_covered.extend((id.kind == IdKind::Caid).then_some("other_versions"));
        let is_known = !covered.is_empty();
        is_known.then_some(Self { kind: id.kind.name(), covered, not_covered, ambiguous: id.is_ambiguous })
    }
}

#[derive(PartialEq, Eq, Serialize)]
pub(crate) struct OptedOut {
    receipt: String,
    secret: String,
}

impl std::fmt::Debug for OptedOut {
    /// Nothing of the secret.
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("OptedOut")
    }
}

/// `POST /v1/erasures` and `/v1/copies`. `source` says who asks, `from` whether a browser's request comes from our own page.
pub(crate) async fn ask(
    desk: &Desk,
    kind: Kind,
    body: &[u8],
    source: Source,
    (headers, from): (&HeaderMap, origin::From),
) -> Result<Answer, Problem> {
    let requests = desk.requests.clone().ok_or(Problem::NotOffered)?;
    let asking: Asking<'_> = api::parse(body)?;
    if asking.opt_out && kind == Kind::Copy {
        return Err(Problem::CopyOptsOut);
    }
    let own = own_id(desk, headers);
    let (proof, ids): (_, Vec<IdRequest<'_>>) = match (asking.ids, source) {
        (Some(ids), Source::App(app)) => {
            let right = match kind {
                Kind::Erasure => AppRight::Erasure,
                Kind::Copy => AppRight::Copy,
            };
            let own = desk.settings.app.iter().find(|known| known.name == app.as_str());
            // Whoever may only opt out says no more of whose device it is than somebody who typed.
            let suffices = own.is_some_and(|own| own.rights.contains(&right));
            (if suffices { Proof::App(app) } else { Proof::Claimed(app) }, ids)
        }
        (Some(ids), Source::Page | Source::Api | Source::Register(_)) => (Proof::Typed, ids),
        (None, Source::App(_) | Source::Register(_)) => return Err(Problem::NoIds),
        (None, Source::Page | Source::Api) => {
            if from != origin::From::Ours {
                return Err(Problem::CrossSite);
            }
            let value = own.as_deref().ok_or(Problem::NoProof)?;
            let id = IdRequest { kind: IdKind::Cookie.name().into(), value: value.into(), version: None };
            (Proof::Browser, vec![id])
        }
    };
    let keys = keys(desk, &ids)?;
    let mut opt_out =
        if asking.opt_out { Some(opt_out(desk, &ids, proof_source(&proof)).await?) } else { None };
    let proved = proved(&proof);
    let by_browser = proof == Proof::Browser;
    let own_requests = requests.clone();
    let submitted = patient(desk, move || own_requests.submit(kind, proof, keys)).await;
    let submitted = match (submitted, opt_out) {
        (Ok(submitted), opted_out) => {
            opt_out = opted_out;
            submitted
        }
        // It holds, and only its receipt takes it back: whoever is told that the rest was not taken has to get it all the same.
        (Err(problem), Some(opted_out)) => return Err(problem.with_opt_out(opted_out)),
        (Err(problem), None) => return Err(problem),
    };
    desk.metrics.person(asked(kind), proved);
    let mut told = told_first(&requests, &submitted);
    let opted_out = opt_out.is_some();
    told.opt_out = opt_out;
    let mut answer = Answer { body: api::to_json(&told), cookies: Vec::new() };
    if opted_out && by_browser {
        answer.cookies.extend(cookies::set_opt_out(desk.settings.cookie_domain.as_deref()));
    }
    Ok(answer)
}

/// `GET /v1/requests/{receipt}`.
pub(crate) fn state(desk: &Desk, receipt: &str, headers: &HeaderMap) -> Result<Answer, Problem> {
    let requests = desk.requests.as_ref().ok_or(Problem::NotOffered)?;
    let request = held(requests, receipt, headers)?;
    Ok(Answer { body: api::to_json(&told(requests, &request)), cookies: Vec::new() })
}

/// `GET /v1/requests/{receipt}/copy`: the bytes of the file.
pub(crate) async fn copy(desk: &Desk, receipt: &str, headers: &HeaderMap) -> Result<Vec<u8>, Problem> {
    let requests = desk.requests.as_ref().ok_or(Problem::NotOffered)?;
    let request = held(requests, receipt, headers)?;
    copy_of(desk, requests, &request).await
}

/// The file of a copy.
pub(crate) async fn copy_of(desk: &Desk, requests: &Requests, request: &Request) -> Result<Vec<u8>, Problem> {
    let until_ms = requests.copy_until_ms(request).ok_or(Problem::NoCopy)?;
    if desk.now_ms() >= until_ms {
        return Err(Problem::NoCopy);
    }
    let limit = Duration::from_secs(desk.settings.limits.storage_seconds_max);
    let place = tokio::time::timeout(limit, COPIES_SENT.acquire()).await;
    let _place = place.map_err(|_| Problem::Unavailable)?.map_err(|_| Problem::Unavailable)?;
    let path = requests.copy_path(request.receipt);
    let read = tokio::task::spawn_blocking(move || {
        if std::fs::metadata(&path)?.len() > COPY_BYTES_MAX {
            return Err(std::io::Error::other("the file is longer than any copy"));
        }
        std::fs::read(&path)
    });
    match read.await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Err(Problem::NoCopy),
        Ok(Err(error)) => {
            tracing::error!(%error, "a copy of data cannot be read");
            Err(Problem::Unavailable)
        }
        Err(_) => Err(Problem::Unavailable),
    }
}

/// The request of a receipt, for whoever brings its secret in the header.
fn held(requests: &Requests, receipt: &str, headers: &HeaderMap) -> Result<Request, Problem> {
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, secret) = sent.split_once(' ').unwrap_or_default();
    let secret = Secret::parse(secret).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
    // A number or a secret that is none is looked up like any other, so that it tells nothing.
    let receipt = ReceiptId::parse(receipt).unwrap_or(ReceiptId([0; ReceiptId::BYTES]));
    let (secret, is_one) = secret.map_or((Secret::new([0; Secret::BYTES]), false), |secret| (secret, true));
    requests.of_holder(receipt, &secret).filter(|_| is_one).ok_or(Problem::UnknownReceipt)
}

/// What this browser asks for on the page, by the id cookie that the tracker gave it.
pub(crate) async fn ask_as_browser(desk: &Desk, kind: Kind, cookies: &Cookies) -> Result<Submitted, Problem> {
    let requests = desk.requests.clone().ok_or(Problem::NotOffered)?;
    let value = own_id_of(desk, cookies).ok_or(Problem::NoProof)?;
    let id = IdRequest { kind: IdKind::Cookie.name().into(), value: value.into(), version: None };
    let keys = keys(desk, &[id])?;
    let submitted = patient(desk, move || requests.submit(kind, Proof::Browser, keys)).await?;
    desk.metrics.person(asked(kind), Proved::Browser);
    Ok(submitted)
}

/// A request that is asked after on the page, and the day at whose end it has to be answered.
pub(crate) fn find(desk: &Desk, receipt: ReceiptId, secret: &Secret) -> Result<Request, Problem> {
    let requests = desk.requests.as_ref().ok_or(Problem::NotOffered)?;
    requests.of_holder(receipt, secret).ok_or(Problem::UnknownReceipt)
}

/// The id that the tracker gave this browser, if it brought it and it is one of ours.
pub(crate) fn own_id_of<'c>(desk: &Desk, cookies: &'c Cookies) -> Option<&'c str> {
    let ours = cookies.ids.iter().find(|id| id_cookie::is_ours(id, &desk.keys));
    ours.and_then(|id| std::str::from_utf8(id).ok())
}

pub(crate) fn asked(kind: Kind) -> Asked {
    match kind {
        Kind::Erasure => Asked::Erasure,
        Kind::Copy => Asked::Copy,
    }
}

/// The same of the headers.
fn own_id(desk: &Desk, headers: &HeaderMap) -> Option<String> {
    let ids =
        headers.get_all(COOKIE).iter().flat_map(|line| id_cookie::find_all(HeaderValue::as_bytes(line)));
    let mut ours = ids.filter(|id| id_cookie::is_ours(id, &desk.keys));
    ours.next().and_then(|id| String::from_utf8(id.to_vec()).ok())
}

/// How a proof is counted.
pub(crate) fn proved(proof: &Proof) -> Proved {
    match proof {
        Proof::Browser => Proved::Browser,
        Proof::App(_) => Proved::App,
        Proof::Typed | Proof::Claimed(_) => Proved::Nothing,
    }
}

/// Every key of each identifier, or what is wrong with some.
pub(crate) fn keys(desk: &Desk, ids: &[IdRequest<'_>]) -> Result<Sought, Problem> {
    let limit = desk.settings.limits.ids_per_request_max;
    if ids.is_empty() {
        return Err(Problem::NoIds);
    }
    if ids.len() > limit {
        return Err(Problem::TooManyIds(limit));
    }
    if let Some(index) = api::misplaced_version(ids) {
        return Err(Problem::Version(index));
    }
    let (mut keys, mut bad) = (Vec::new(), Vec::new());
    for (index, id) in ids.iter().enumerate() {
        let Some(kind) = IdKind::from_name(&id.kind) else {
            bad.push(BadId { index, why: None });
            continue;
        };
        let (value, version) = (id.value.as_bytes(), id.version.as_ref().map(|version| version.as_bytes()));
        let found = devices(kind, value, version, &desk.keys);
        match found.and_then(|found| Ok((found, lodge(kind, value, &desk.keys)?))) {
            Ok(_) if kind == IdKind::Caid && lacks_version(value, version) => {
                return Err(Problem::NoVersion);
            }
            Ok((found, lodged)) => {
                desk.metrics.id(kind, IdResult::Sought);
                let found = found.into_iter().map(|(epoch, device)| Key { epoch, kind, device }).collect();
                keys.push((NamedId::of_lodged(kind, &lodged), found));
            }
            Err(why) => {
                desk.metrics.id(kind, api::id_result(why));
                bad.push(BadId { index, why: Some((kind, why)) });
            }
        }
    }
    if bad.is_empty() { Ok(Sought(keys)) } else { Err(Problem::BadIds(bad)) }
}

/// Who opts out with a request of this proof.
fn proof_source(proof: &Proof) -> Source {
    match proof {
        Proof::Browser | Proof::Typed | Proof::Claimed(_) => Source::Api,
        Proof::App(app) => Source::App(app.clone()),
    }
}

/// Opts the same identifiers out.
pub(crate) async fn opt_out(desk: &Desk, ids: &[IdRequest<'_>], source: Source) -> Result<OptedOut, Problem> {
    let ids: Vec<_> = ids.iter().map(|id| (IdKind::from_name(&id.kind), id.value.as_bytes())).collect();
    let done = desk.opt_out(&ids, source).await?;
    Ok(OptedOut { receipt: done.lodging.receipt.to_string(), secret: done.lodging.secret.reveal() })
}

/// Runs a change to its end on a thread that may wait, and waits for it so long as the limit says.
async fn patient<T: Send + 'static>(
    desk: &Desk,
    change: impl FnOnce() -> Result<T, RequestError> + Send + 'static,
) -> Result<T, Problem> {
    let limit = Duration::from_secs(desk.settings.limits.storage_seconds_max);
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(change)).await {
        Ok(Ok(done)) => done.map_err(Problem::from),
        Ok(Err(_)) => Err(Problem::Unavailable),
        Err(_) => {
            tracing::error!(limit_seconds = limit.as_secs(), "persons' requests: the disk is too slow");
            Err(Problem::Unavailable)
        }
    }
}

/// What whoever asked is told, once with the secret.
pub(crate) fn told_first(requests: &Requests, submitted: &Submitted) -> Told {
    let mut told = told(requests, &submitted.request);
    told.secret = Some(submitted.secret.reveal());
    told
}

/// What the holder of a request is told.
fn told(requests: &Requests, request: &Request) -> Told {
    let counts = request.counts;
    let result = match (request.kind, request.state) {
        (Kind::Erasure, State::Done) => Some(Came::Erased {
            hits: counts.events,
            hits_in_no_figure: counts.unresolved + counts.trial_events,
            days_made_again: counts.days_settled,
            days_standing: counts.days_standing,
        }),
        (Kind::Copy, State::Done) => Some(Came::Copied {
            hits: counts.rows,
            complete: counts.is_complete,
            path: format!("/v1/requests/{}/copy", request.receipt),
            until: requests.copy_until_ms(request).map(rfc3339),
        }),
        _ => None,
    };
    Told {
        receipt: request.receipt.to_string(),
        secret: None,
        kind: request.kind.name(),
        state: request.state.name(),
        proof: request.proof.name(),
        app: request.proof.app().map(str::to_owned),
        asked_at: rfc3339(request.asked_ms),
        due_on: requests.due(request).to_string(),
        decided_at: request.decided_ms.map(rfc3339),
        finished_at: request.finished_ms.map(rfc3339),
        reason: (!request.why.is_empty()).then(|| request.why.clone()),
        result,
        ids: request.ids.iter().copied().filter_map(Named::of).collect(),
        detail: detail(request),
        opt_out: None,
    }
}

fn detail(request: &Request) -> &'static str {
    match (request.kind, request.state) {
        (_, State::Waiting) => {
            "an identifier that was typed does not show whose device it is: show the operator that it is yours, with the number of this receipt. \
             He answers until due_on; public holidays count only where the operator has entered them"
        }
        (_, State::Running) => {
            "accepted; it is done in minutes, and asked for with the receipt and its secret"
        }
        (_, State::Refused) => "refused by the operator, for the reason that stands here",
        (Kind::Erasure, State::Done) => {
            "every hit received before decided_at in which one of these identifiers stood for the device, in a form that ids names as covered, has lost the device, its address and its agent; \
             the hits stay as counts. Nothing else was looked for. What comes later is measured anew unless you opt out. The journal's own copy goes with its files, after 7 days by default"
        }
        (Kind::Copy, State::Done) => {
            "fetch the file from path, with the same secret, until it is deleted: after its days, or by an erasure. It holds the hits in which one of these identifiers stood for the device, in a form that ids names \
             as covered; nothing else was looked for"
        }
        (_, State::NotLinkable) => {
            "no hit was found in which one of these identifiers stood for the device, in a form that ids names as covered; nothing else was looked for. It may have come in another form, or in \
             a hit beside another identifier that stood for the device there: such a hit holds no trace of this one, so it cannot be found by it"
        }
    }
}
