//! Why a request was not done, and how that is told: status, a code for programs, a sentence for people.
//!
//! No variant can hold an identifier or any other part of a request. A secret of ours is in one, which is made to be answered and shows it to nothing else.

use event::identifier::{IdKind, LodgeError};
use event::key::signature::Refused;
use hyper::StatusCode;

use crate::metrics::Answer;
use crate::registry::RegistryError;
use crate::requests::{KEYS_MAX, RequestError};
use crate::rights::OptedOut;
use crate::shape::Fault;

/// Seconds after which a request that the registry could not take may come again.
const UNAVAILABLE_RETRY_SECONDS: u64 = 30;

/// Seconds after which a request that found no room may come again: somebody has to answer others first.
const FULL_RETRY_SECONDS: u64 = 3_600;

/// Why a request was not done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    NotFound,
    /// The methods that the path has.
    Method(&'static str),
    /// The limit, bytes.
    BodyTooLarge(usize),
    BodyTimeout,
    BodyBroken,
    /// The type that the path takes.
    MediaType(&'static str),
    /// Where it stops being the JSON that is wanted.
    Json {
        line: usize,
        column: usize,
        fault: Option<Fault>,
    },
    Form,
    NoIds,
    /// The limit.
    TooManyIds(usize),
    BadIds(Vec<BadId>),
    /// A version beside what is no CAID: its place.
    Version(usize),
    /// A receipt without its secret, and not from our own page, which may leave it to a cookie.
    NoSecret,
    /// Neither a receipt nor a cookie of our own page's.
    NoReceipt,
    CrossSite,
    UnknownReceipt,
    /// Seconds.
    RateLimited(u64),
    /// Seconds.
    AppRateLimited(u64),
    /// Seconds.
    PartyRateLimited(u64),
    /// Deletion requests of other companies are not taken here.
    NoExchange,
    /// A call that says to be an app's and is not shown to be.
    Signature(Refused),
    Unavailable,
    /// As many persons' requests as there may be.
    Full,
    /// A copy that shall opt out.
    CopyOptsOut,
    /// No identifier, and no id cookie of ours.
    NoProof,
    /// More than one request can look for.
    TooManyKeys(usize),
    /// What only an aggregator in the same process can do.
    NotOffered,
    /// A CAID without its version, in a request that looks for it.
    NoVersion,
    /// What was asked for beside an opt-out was not taken, and why; the opt-out holds.
    OptedOut(Box<(Problem, OptedOut)>),
    /// No copy to be fetched: not made yet, or deleted.
    NoCopy,
}

/// An identifier that cannot be lodged: which, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadId {
    /// Its place in the request, from 0.
    pub(crate) index: usize,
    /// `None`: the request names no kind that is known.
    pub(crate) why: Option<(IdKind, LodgeError)>,
}

impl BadId {
    /// The field that is wrong, as `ids[2].value`.
    pub(crate) fn field(&self) -> String {
        format!("ids[{}].{}", self.index, if self.why.is_some() { "value" } else { "kind" })
    }

    /// Code for programs.
    pub(crate) fn reason(&self) -> &'static str {
        match self.why {
            Some((_, LodgeError::Bad)) => "known_bad",
            Some((_, LodgeError::Malformed(_))) => "malformed",
            None => "unknown_kind",
        }
    }

    /// Sentence for people.
    pub(crate) fn detail(&self) -> String {
        let kinds = || IdKind::ALL.map(IdKind::name).join(", ");
        self.why.map_or_else(|| format!("the kind is none of {}", kinds()), |(_, why)| why.to_string())
    }
}

impl Problem {
    /// The same where an opt-out that was asked for with it holds.
    pub(crate) fn with_opt_out(self, opted_out: OptedOut) -> Self {
        Self::OptedOut(Box::new((self, opted_out)))
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoCopy | Self::NoExchange => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken | Self::Json { .. } | Self::Form | Self::CopyOptsOut => StatusCode::BAD_REQUEST,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotOffered => StatusCode::NOT_IMPLEMENTED,
            Self::NoIds
            | Self::TooManyIds(_)
            | Self::BadIds(_)
            | Self::Version(_)
            | Self::NoProof
            | Self::NoVersion
            | Self::TooManyKeys(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::CrossSite | Self::UnknownReceipt | Self::NoSecret | Self::NoReceipt => {
                StatusCode::FORBIDDEN
            }
            Self::RateLimited(_) | Self::AppRateLimited(_) | Self::PartyRateLimited(_) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::Unavailable | Self::Full => StatusCode::SERVICE_UNAVAILABLE,
            Self::OptedOut(both) => both.0.status(),
        }
    }

    /// Code for programs, and key of the page's text `problem.<code>`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound | Self::NoExchange => "not_found",
            Self::Method(_) => "method_not_allowed",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken => "body_broken",
            Self::MediaType(_) => "unsupported_media_type",
            Self::Json { .. } | Self::CopyOptsOut => "invalid_json",
            Self::Form => "invalid_form",
            Self::NoIds => "no_ids",
            Self::TooManyIds(_) => "too_many_ids",
            Self::BadIds(_) => "bad_id",
            Self::Version(_) => "unexpected_version",
            Self::NoSecret => "no_secret",
            Self::NoReceipt => "no_receipt",
            Self::CrossSite => "cross_site",
            Self::UnknownReceipt => "unknown_receipt",
            Self::RateLimited(_) | Self::AppRateLimited(_) | Self::PartyRateLimited(_) => "rate_limited",
            Self::Signature(_) => "bad_signature",
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::NoProof => "no_proof",
            Self::TooManyKeys(_) => "too_many_keys",
            Self::NotOffered => "not_offered",
            Self::NoCopy => "no_copy",
            Self::NoVersion => "missing_version",
            Self::OptedOut(both) => both.0.code(),
        }
    }

    /// Sentence for people who use the API: what is wrong, the limit, what to do.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::NotFound => "there is nothing here; the page is /opt-out, the API POST /v1/opt-outs, /v1/opt-ins and /v1/status".into(),
            Self::Method(allowed) => format!("this path takes {allowed}"),
            Self::BodyTooLarge(limit) => format!("the body is longer than {limit} bytes (opt_out.limits.body_bytes_max): send it in parts"),
            Self::BodyTimeout => "the body did not arrive in time: send it again".into(),
            Self::BodyBroken => "the body ended early: send it again".into(),
            Self::MediaType(wanted) => format!("the body must be {wanted}, without a content encoding"),
            Self::Json { fault: Some(Fault { field, what }), .. } => {
                let subject = if field.is_empty() { "the body" } else { field };
                format!("{subject} {what}")
            }
            Self::Json { line, column, fault: None } => {
                format!("the body is not the JSON that this path takes, at line {line}, column {column}")
            }
            Self::Form => "the form's fields are not those of the page: load the page again".into(),
            Self::CopyOptsOut => "opt_out goes with /v1/erasures only".into(),
            Self::Full => "nothing was done: more requests for erasure and copies wait for the operator, or run, than are taken at a time. Try again later, \
                           or turn to the operator by the contact on the page /opt-out; opting out works all the same"
                .into(),
            Self::NoIds => "the request holds no identifier".into(),
            Self::TooManyIds(limit) => format!("a request takes {limit} identifiers (opt_out.limits.ids_per_request_max): send several"),
            Self::BadIds(_) => "nothing was done: mend the identifiers listed and send all of them again".into(),
            Self::Version(_) => "only a caid has a version: leave it out of the others".into(),
            Self::NoSecret => "the receipt's secret is missing: it was handed out with the receipt, and belongs beside it".into(),
            Self::NoReceipt => "name a receipt and its secret: only the page itself may leave them to the browser's cookies".into(),
            Self::CrossSite => "the request does not come from our own page".into(),
            Self::UnknownReceipt => "no receipt has this number and this secret".into(),
            Self::RateLimited(seconds) => format!("too many requests from this address: try again in {seconds} seconds"),
            Self::AppRateLimited(seconds) => {
                format!("too many signed calls of this app (opt_out.limits.app_requests_per_minute): try again in {seconds} seconds")
            }
            Self::PartyRateLimited(seconds) => {
                format!("nothing was done: too many requests of this party (opt_out.dsr.requests_per_minute): send it again in {seconds} seconds")
            }
            Self::NoExchange => "this installation takes no deletion requests of other companies: none is configured ([opt_out.dsr])".into(),
            Self::Signature(refused) => format!("nothing was done: {refused}"),
            Self::NoProof => "the request names no identifier, and brings no id cookie that the tracker gave this browser: we cannot \
                              tell which rows are this browser's. For a device, name its identifier"
                .into(),
            Self::TooManyKeys(limit) => format!("these identifiers have more than {limit} stored forms together: send several requests"),
            Self::NotOffered => "this installation's opt-out role has no aggregator that would carry it out (opt_out.requests.aggregator_url): turn to \
                                 its operator. Nothing was done"
                .into(),
            Self::NoCopy => "there is no copy: it is not made yet, or it was deleted: after the days for which it is kept, or with an erasure of the same device".into(),
            Self::NoVersion => "a hit's caid is stored with its version: send the version beside the value (\"20230330\"), or \"0\" for the hits that told none; for two versions \
                                send both"
                .into(),
            Self::OptedOut(both) => {
                format!("the opt-out holds, and its receipt is here. The rest was not taken: {}", both.0.detail())
            }
            Self::Unavailable => "the registry cannot take it now: nothing is promised, try again later; it may yet be in force by itself. \
                                  The browser's opt-out cookie works all the same: the page /opt-out sets it"
                .into(),
        }
    }

    /// The field of the body that is wrong, as `ids[2].value`.
    pub(crate) fn field(&self) -> Option<String> {
        match self {
            Self::Json { fault, .. } => {
                fault.as_ref().map(|fault| fault.field.clone()).filter(|field| !field.is_empty())
            }
            Self::NoIds | Self::TooManyIds(_) => Some("ids".to_owned()),
            Self::BadIds(ids) => ids.first().map(BadId::field),
            Self::Version(index) => Some(format!("ids[{index}].version")),
            Self::NoSecret => Some("secret".to_owned()),
            Self::NoReceipt => Some("receipt".to_owned()),
            Self::CopyOptsOut => Some("opt_out".to_owned()),
            Self::OptedOut(both) => both.0.field(),
            _ => None,
        }
    }

    /// Seconds after which trying again makes sense.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited(seconds) | Self::AppRateLimited(seconds) | Self::PartyRateLimited(seconds) => {
                Some(*seconds)
            }
            Self::Unavailable => Some(UNAVAILABLE_RETRY_SECONDS),
            Self::Full => Some(FULL_RETRY_SECONDS),
            Self::OptedOut(both) => both.0.retry_after_seconds(),
            _ => None,
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        match self {
            Self::RateLimited(_) | Self::AppRateLimited(_) | Self::PartyRateLimited(_) => Answer::RateLimited,
            Self::Unavailable | Self::Full => Answer::Unavailable,
            Self::OptedOut(both) => both.0.answer(),
            _ => Answer::Refused,
        }
    }
}

impl From<RequestError> for Problem {
    /// What could not be done with a request. What is ours is logged here: it holds nothing of the request.
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Unknown => Self::UnknownReceipt,
            RequestError::TooManyKeys => Self::TooManyKeys(KEYS_MAX),
            RequestError::Full { limit } => {
                tracing::warn!(limit, "a person's request was not taken: there are as many as are allowed");
                Self::Full
            }
            RequestError::NotWaiting(_)
            | RequestError::NotMatched { .. }
            | RequestError::Rotated
            | RequestError::Why
            | RequestError::Audit(_)
            | RequestError::Unavailable(_)
            | RequestError::Damaged(_)
            | RequestError::Journal(_)
            | RequestError::Read(_)
            | RequestError::Io(_)
            | RequestError::Random(_) => {
                tracing::error!(%error, "a person's request was not taken");
                Self::Unavailable
            }
        }
    }
}

impl From<RegistryError> for Problem {
    /// What the registry could not do. What is ours is logged here: it holds nothing of the request.
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::UnknownReceipt => Self::UnknownReceipt,
            RegistryError::HashCount => Self::NoIds,
            RegistryError::Full { .. }
            | RegistryError::Unavailable(_)
            | RegistryError::NotBound
            | RegistryError::Damaged(_)
            | RegistryError::Lost { .. }
            | RegistryError::Record(_)
            | RegistryError::OtherKey
            | RegistryError::Journal(_)
            | RegistryError::Read(_)
            | RegistryError::List(_)
            | RegistryError::Replaced(_)
            | RegistryError::Kafka(_)
            | RegistryError::Settings(_)
            | RegistryError::Thread(_)
            | RegistryError::Random(_) => {
                tracing::error!(%error, "opt-out registry refused a request");
                Self::Unavailable
            }
        }
    }
}
