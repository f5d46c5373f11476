//! The JSON API: `POST /v1/opt-outs`, `/v1/opt-ins`, `/v1/status`.
//!
//! ```text
//! POST /v1/opt-outs  {"ids":[{"kind":"oaid","value":"…"},…]}          values raw or any digest; all of them or none. A CAID may have its
//!                    "version", which changes nothing: an opt-out covers every version. Signed by a registered app, or by nobody
//!   200 {"receipt":"7K3D-…","secret":"…","opted_out_at":"2026-11-21T10:00:00.000Z","policy_version":1,
//!        "ids":[{"kind":"oaid","covered":["raw","md5",…],"not_covered":[],"ambiguous":false},…]}
//!       "ambiguous": the value can be the id itself or a digest of one; what is not covered holds for a digest, of an id all is
//!       "note": of an IMEI whose check digit does not fit
//!   400 {"error":"invalid_json","detail":"ids[1].value has to be a text","field":"ids[1].value"}
//!   422 {"error":"bad_id","detail":"…","field":"ids[0].value","ids":[{"index":0,"kind":"imei","reason":"known_bad","detail":"…"}]}
//!
//! POST /v1/opt-ins   {"receipt":"7K3D-…","secret":"…"}                 without "secret": the receipt is one of the browser's cookie
//! POST /v1/status    {"receipt":"7K3D-…","secret":"…"}                 likewise
//!   200 {"receipt":"7K3D-…","state":"opted_out","opted_out_at":"…","opted_in_at":null,"by":"api","policy_version":1}
//!       "by": page, api or app; then "app" names it
//!
//! POST /v1/opt-ins   {}     everything that the browser's cookies stand for: its opt-out, and each receipt that was given to it
//! POST /v1/status    {}     the same, to look at
//!   200 {"browser":"opted_out","receipts":[{…},…]}
//! ```
//!
//! What stands on the strength of a cookie alone is done only for our own page. It must never say whether an identifier is lodged:
//! knowing one is not owning it.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat};
use event::clock::UnixMs;
use event::identifier::{ArrivingForm, IdKind, LodgeError};
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::cookies::{self, Cookies};
use crate::desk::{Desk, Done, DoneId};
use crate::metrics::IdResult;
use crate::origin;
use crate::problem::Problem;
use crate::receipt::{ReceiptId, Secret};
use crate::record::Source;
use crate::registry::Status;
use crate::rights::OptedOut;
use crate::shape::{self, Field, Shape, Shaped};

/// Said of an IMEI that was taken as it is.
const CHECK_DIGIT: &str =
    "taken, but its last digit, the check digit, does not fit the others: compare it with the device's";

/// What is answered when all went well: the body, and cookies to set.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// Neither `Debug` nor `Serialize`: it holds raw identifiers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptOutRequest<'a> {
    #[serde(borrow)]
    ids: Vec<IdRequest<'a>>,
}

/// An identifier in a call. Neither `Debug` nor `Serialize`: it is raw.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdRequest<'a> {
    #[serde(borrow)]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) value: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) version: Option<Cow<'a, str>>,
}

/// Not `Debug`: it holds a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptRequest<'a> {
    #[serde(borrow, default)]
    receipt: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    secret: Option<Cow<'a, str>>,
}

/// An identifier.
pub(crate) const ID: Shape = Shape::Object(&[
    Field::needed("kind", Shape::Text),
    Field::needed("value", Shape::Text),
    Field::may_be("version", Shape::Text),
]);

impl Shaped for OptOutRequest<'_> {
    const SHAPE: Shape = Shape::Object(&[Field::needed("ids", Shape::List(&ID))]);
}

impl Shaped for ReceiptRequest<'_> {
    const SHAPE: Shape =
        Shape::Object(&[Field::may_be("receipt", Shape::Text), Field::may_be("secret", Shape::Text)]);
}

#[derive(Serialize)]
struct OptOutAnswer<'a> {
    receipt: String,
    secret: String,
    opted_out_at: String,
    policy_version: u16,
    ids: &'a [IdAnswer],
}

#[derive(Serialize)]
struct IdAnswer {
    kind: &'static str,
    covered: Vec<&'static str>,
    not_covered: Vec<&'static str>,
    ambiguous: bool,
    /// What may be wrong with it although it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

#[derive(Serialize)]
struct ReceiptAnswer {
    receipt: String,
    state: &'static str,
    opted_out_at: String,
    opted_in_at: Option<String>,
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    policy_version: u16,
}

#[derive(Serialize)]
struct BrowserAnswer {
    browser: &'static str,
    receipts: Vec<ReceiptAnswer>,
}

#[derive(Serialize)]
struct ProblemAnswer<'a> {
    error: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<&'a [BadIdAnswer]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opt_out: Option<&'a OptedOut>,
}

#[derive(Serialize)]
struct BadIdAnswer {
    index: usize,
    kind: Option<&'static str>,
    reason: &'static str,
    detail: String,
}

/// `POST /v1/opt-outs`. `source` says who asks.
pub(crate) async fn opt_outs(desk: &Desk, body: &[u8], source: Source) -> Result<Answer, Problem> {
    let request: OptOutRequest<'_> = parse(body)?;
    if let Some(index) = misplaced_version(&request.ids) {
        return Err(Problem::Version(index));
    }
    let ids: Vec<_> =
        request.ids.iter().map(|id| (IdKind::from_name(&id.kind), id.value.as_bytes())).collect();
    let Done { lodging, ids } = desk.opt_out(&ids, source).await?;
    let ids: Vec<IdAnswer> = ids.into_iter().map(IdAnswer::from).collect();
    Ok(answer(&OptOutAnswer {
        receipt: lodging.receipt.to_string(),
        secret: lodging.secret.reveal(),
        opted_out_at: rfc3339(lodging.at_ms),
        policy_version: lodging.policy_version,
        ids: &ids,
    }))
}

/// `POST /v1/opt-ins`.
pub(crate) async fn opt_ins(
    desk: &Desk,
    body: &[u8],
    cookies: Cookies,
    from: origin::From,
) -> Result<Answer, Problem> {
    match parse_receipt(body)? {
        (Some(receipt), Some(secret)) => {
            Ok(answer(&ReceiptAnswer::from(desk.opt_in(receipt, secret).await?)))
        }
        (Some(receipt), None) => {
            let secret = by_cookie(from, Problem::NoSecret, || cookies.secret(receipt))?;
            Ok(answer(&ReceiptAnswer::from(desk.opt_in(receipt, secret).await?)))
        }
        (None, _) => {
            let receipts = by_cookie(from, Problem::NoReceipt, || Some(cookies.receipts))?;
            let mut taken_back = Vec::new();
            for (receipt, secret) in receipts {
                match desk.opt_in(receipt, secret).await {
                    Ok(status) => taken_back.push(ReceiptAnswer::from(status)),
                    // A cookie older than a registry that was started anew: there is nothing left to take back.
                    Err(Problem::UnknownReceipt) => {}
                    Err(problem) => return Err(problem),
                }
            }
            desk.metrics.opt_ins_cookie.increment(1);
            let mut answer = answer(&BrowserAnswer { browser: browser_state(false), receipts: taken_back });
            let gone = Cookies { opted_out: false, receipts: Vec::new(), ids: Vec::new() };
            answer.cookies.extend(cookies::forget_opt_out(desk.settings.cookie_domain.as_deref()));
            answer.cookies.extend(gone.set_receipts());
            Ok(answer)
        }
    }
}

/// `POST /v1/status`.
pub(crate) fn status(
    desk: &Desk,
    body: &[u8],
    cookies: Cookies,
    from: origin::From,
) -> Result<Answer, Problem> {
    match parse_receipt(body)? {
        (Some(receipt), Some(secret)) => {
            Ok(answer(&ReceiptAnswer::from(desk.registry.status(receipt, &secret)?)))
        }
        (Some(receipt), None) => {
            let secret = by_cookie(from, Problem::NoSecret, || cookies.secret(receipt))?;
            Ok(answer(&ReceiptAnswer::from(desk.registry.status(receipt, &secret)?)))
        }
        (None, _) => {
            let opted_out = cookies.opted_out;
            let receipts = by_cookie(from, Problem::NoReceipt, || Some(cookies.receipts))?;
            let known =
                receipts.iter().filter_map(|(receipt, secret)| desk.registry.status(*receipt, secret).ok());
            Ok(answer(&BrowserAnswer {
                browser: browser_state(opted_out),
                receipts: known.map(ReceiptAnswer::from).collect(),
            }))
        }
    }
}

/// The body that tells a problem.
pub(crate) fn problem(problem: &Problem) -> Vec<u8> {
    let ids: Option<Vec<_>> = match problem {
        Problem::BadIds(ids) => Some(ids.iter().map(BadIdAnswer::from).collect()),
        _ => None,
    };
    let opt_out = match problem {
        Problem::OptedOut(both) => Some(&both.1),
        _ => None,
    };
    let (error, detail, field) = (problem.code(), problem.detail(), problem.field());
    to_json(&ProblemAnswer { error, detail, field, ids: ids.as_deref(), opt_out })
}

/// What a cookie entitles to, if the request comes from our own page. `missing`: what a program has to be told, which has no cookies of ours.
fn by_cookie<T>(
    from: origin::From,
    missing: Problem,
    entitled: impl FnOnce() -> Option<T>,
) -> Result<T, Problem> {
    match from {
        origin::From::Ours => entitled().ok_or(Problem::UnknownReceipt),
        origin::From::Unsaid => Err(missing),
        origin::From::Others => Err(Problem::CrossSite),
    }
}

pub(crate) fn parse<'a, T: Deserialize<'a> + Shaped>(body: &'a [u8]) -> Result<T, Problem> {
    // The library's own message may quote the body: only the place is passed on.
    serde_json::from_slice(body).map_err(|error| {
        let fault = shape::fault(body, T::SHAPE);
        Problem::Json { line: error.line(), column: error.column(), fault }
    })
}

/// The place of an identifier that has a version although its kind has none.
pub(crate) fn misplaced_version(ids: &[IdRequest<'_>]) -> Option<usize> {
    ids.iter().position(|id| id.version.is_some() && id.kind != IdKind::Caid.name())
}

fn parse_receipt(body: &[u8]) -> Result<(Option<ReceiptId>, Option<Secret>), Problem> {
    let request: ReceiptRequest<'_> = parse(body)?;
    let receipt =
        request.receipt.map(|text| ReceiptId::parse(&text).ok_or(Problem::UnknownReceipt)).transpose()?;
    let secret =
        request.secret.map(|text| Secret::parse(&text).ok_or(Problem::UnknownReceipt)).transpose()?;
    match (receipt, secret) {
        (None, Some(_)) => Err(Problem::NoReceipt),
        both => Ok(both),
    }
}

/// How an identifier that cannot be taken is counted.
pub(crate) fn id_result(why: LodgeError) -> IdResult {
    match why {
        LodgeError::Bad => IdResult::KnownBad,
        LodgeError::Malformed(_) => IdResult::Malformed,
    }
}

fn answer(body: &impl Serialize) -> Answer {
    Answer { body: to_json(body), cookies: Vec::new() }
}

pub(crate) fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a struct of texts and numbers becomes JSON")
}

fn browser_state(opted_out: bool) -> &'static str {
    if opted_out { "opted_out" } else { "measured" }
}

/// `2026-11-21T10:00:00.000Z`.
pub(crate) fn rfc3339(at_ms: UnixMs) -> String {
    DateTime::from_timestamp_millis(at_ms)
        .map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

impl From<DoneId> for IdAnswer {
    fn from(done: DoneId) -> Self {
        let names = |forms: Vec<ArrivingForm>| forms.into_iter().map(ArrivingForm::name).collect();
        Self {
            kind: done.kind.name(),
            covered: names(done.covered),
            not_covered: names(done.uncovered),
            ambiguous: done.ambiguous,
            note: done.has_wrong_check_digit.then_some(CHECK_DIGIT),
        }
    }
}

impl From<Status> for ReceiptAnswer {
    fn from(status: Status) -> Self {
        Self {
            receipt: status.receipt.to_string(),
            state: if status.opted_in_ms.is_some() { "opted_in" } else { "opted_out" },
            opted_out_at: rfc3339(status.opted_out_ms),
            opted_in_at: status.opted_in_ms.map(rfc3339),
            by: match status.source {
                Source::Page => "page",
                Source::Api => "api",
                Source::App(_) => "app",
                Source::Register(_) => "register",
            },
            app: match status.source {
                Source::Page | Source::Api | Source::Register(_) => None,
                Source::App(name) => Some(name.as_str().to_owned()),
            },
            policy_version: status.policy_version,
        }
    }
}

impl From<&crate::problem::BadId> for BadIdAnswer {
    fn from(bad: &crate::problem::BadId) -> Self {
        let kind = bad.why.map(|(kind, _)| kind.name());
        Self { index: bad.index, kind, reason: bad.reason(), detail: bad.detail() }
    }
}
