//! Whether a request is a registered party's, in time, for us, and about an identifier that we know: from the token's text to a verdict, without effects.
//!
//! ```text
//! rqJWT, version 2.0: {"version":"2.0","orJWT":"…","jti":"…","iss":"vendor.example","iat":1795255200,
//!                      "identifierValue":"…","identifierType":"oaid","identifierFormat":"plaintext"}
//!        version 1.0: {"version":"1.0","idJWT":"…","jti":"…","iss":"vendor.example","iat":1795255200,
//!                      "sub":{"identifierValue":"…","identifierType":"oaid","identifierFormat":"plaintext"}}
//! orJWT:               {"version":"2.0","jti":"…","iss":"publisher.example","iat":1795255200}      idJWT: with a "sub" of its own
//! ```
//!
//! `aud`, `exp` and `nbf` are in neither version; where a party adds them, they hold. What is not listed here is passed over.
//!
//! It owns the order of the steps: form, issuer, key, algorithm, signature, and only then anything that the token says. It must never look for a key
//! anywhere but among the registered ones.

use std::borrow::Cow;

use event::identifier::IdKind;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::jwk::{KeyError, PublicKeys, Unverified};
use super::jws::Token;
use super::published;
use super::verdict::{Fault, Version, Whose};
use crate::record::AppName;
use crate::settings::{DsrParty, PartyRight};

/// How far ahead of our clock a token may be issued, seconds: the framework's own five minutes.
pub(crate) const SKEW_SECONDS: i64 = 300;
/// Oldest token of a first party that a request may hold, seconds: the month within which the laws want an answer.
const ORIGIN_AGE_SECONDS_MAX: i64 = 30 * 24 * 3_600;
/// Longest `jti`, bytes.
const JTI_BYTES_MAX: usize = 256;
/// Longest value of an identifier, bytes; the identifiers' own limits are below it.
const VALUE_BYTES_MAX: usize = 1_024;

/// The registered parties.
pub struct Parties(Vec<Party>);

/// A registered party.
pub(crate) struct Party {
    pub(crate) name: AppName,
    pub(crate) rights: Vec<PartyRight>,
    requires_audience: bool,
    keys: PublicKeys,
}

/// What a request is held against.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Our domain.
    pub domain: &'a str,
    /// Unix seconds.
    pub now_seconds: i64,
    /// Oldest request, seconds.
    pub age_seconds_max: i64,
}

/// A request that is a registered party's. Neither `Debug` nor `Clone`: it holds an identifier.
pub struct Request {
    pub(crate) version: Version,
    /// The requester's place among the parties.
    pub(crate) party: usize,
    pub(crate) kind: IdKind,
    pub(crate) value: Zeroizing<String>,
    pub(crate) jti: String,
    /// From when on its age alone refuses it, Unix seconds.
    pub(crate) good_until_seconds: i64,
}

/// A request that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The version in which to say so.
    pub version: Version,
    /// Why.
    pub fault: Fault,
    /// Whose request it is, as its signature shows: the place among the parties. `None`: anybody's.
    pub party: Option<usize>,
}

impl Refused {
    /// The party that must have sent it. `None`: perhaps anybody. A token that was good once is good for no more than this refusal, and anybody on its
    /// way may have kept it.
    pub(crate) fn sender(&self) -> Option<usize> {
        let may_be_kept = matches!(self.fault, Fault::Used | Fault::Time(_) | Fault::Future(_));
        self.party.filter(|_| !may_be_kept)
    }
}

impl Parties {
    /// Reads the keys that the settings name.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(parties: &[DsrParty]) -> Result<Self, KeyError> {
        let registered = |party: &DsrParty| {
            let keys = PublicKeys::load(&party.key_files);
            // The settings were checked: a domain that is no name does not come here.
            keys.map(|keys| Party::of(party, keys)).transpose()
        };
        parties.iter().filter_map(registered).collect::<Result<_, _>>().map(Self)
    }

    /// One party with these keys.
    pub fn one(party: &DsrParty, keys: PublicKeys) -> Self {
        Self(Party::of(party, keys).into_iter().collect())
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Party> {
        self.0.get(place)
    }

    fn find(&self, issuer: &str) -> Option<(usize, &Party)> {
        self.0.iter().enumerate().find(|(_, party)| party.name.as_str() == issuer)
    }
}

impl Party {
    fn of(party: &DsrParty, keys: PublicKeys) -> Option<Self> {
        let name = AppName::new(&party.domain)?;
        Some(Self { name, rights: party.rights.clone(), requires_audience: party.require_audience, keys })
    }

    /// Whether its word suffices for it.
    pub(crate) fn may(&self, right: PartyRight) -> bool {
        self.rights.contains(&right)
    }

    fn verify(&self, token: &Token<'_>, whose: Whose) -> Result<(), Fault> {
        self.keys.verify(token).map_err(|why| match why {
            Unverified::Key => Fault::Key(whose),
            Unverified::Algorithm => Fault::Algorithm(whose),
            Unverified::Signature => Fault::Signature(whose),
        })
    }
}

/// Read before all else, for the version in which to answer.
#[derive(Deserialize)]
struct Lead<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
}

/// Claims of either token. Neither `Debug` nor `Serialize`: they hold an identifier. A name that comes twice is refused.
#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default)]
    jti: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    iss: Option<Cow<'a, str>>,
    #[serde(default)]
    iat: Option<Value>,
    #[serde(default)]
    exp: Option<Value>,
    #[serde(default)]
    nbf: Option<Value>,
    #[serde(default)]
    aud: Option<Audience>,
    #[serde(borrow, default, rename = "orJWT")]
    origin: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "idJWT")]
    identity: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sub: Option<Subject<'a>>,
    #[serde(borrow, default, rename = "identifierValue")]
    value: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "identifierType")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "identifierFormat")]
    format: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Version 1.0's `sub`: an object in its examples, a text in its table.
#[derive(Deserialize)]
#[serde(untagged)]
enum Subject<'a> {
    Object(#[serde(borrow)] Identifier<'a>),
    Text(String),
}

#[derive(Deserialize)]
struct Identifier<'a> {
    #[serde(borrow, rename = "identifierValue")]
    value: Cow<'a, str>,
    #[serde(borrow, rename = "identifierType")]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "identifierFormat")]
    format: Cow<'a, str>,
}

/// Judges a request by its text.
///
/// # Errors
/// [`Refused`].
pub fn judge(text: &str, parties: &Parties, terms: Terms<'_>) -> Result<Request, Refused> {
    let newest = |fault| Refused { version: Version::Two, fault, party: None };
    let token = Token::read(text).ok_or_else(|| newest(Fault::Token(Whose::Request)))?;
    let version = version_of(&token).ok_or_else(|| newest(Fault::Token(Whose::Request)))?;
    let (place, claims) =
        admitted(&token, version, parties).map_err(|(fault, party)| Refused { version, fault, party })?;
    let refused = |fault| Refused { version, fault, party: Some(place) };
    let party = parties.get(place).ok_or_else(|| refused(Fault::Issuer(Whose::Request)))?;
    judge_claims(&claims, version, (place, party), parties, terms).map_err(refused)
}

/// Form, issuer, key, algorithm, signature. What is refused is the party's only if that is known by then.
fn admitted<'t>(
    token: &'t Token<'_>,
    version: Version,
    parties: &Parties,
) -> Result<(usize, Claims<'t>), (Fault, Option<usize>)> {
    let whose = Whose::Request;
    let claims = claims_of(token).map_err(|()| (Fault::Token(whose), None))?;
    let issuer = claims.iss.as_deref().ok_or((Fault::Missing(whose), None))?;
    let (place, party) = parties.find(issuer).ok_or((Fault::Issuer(whose), None))?;
    party.verify(token, whose).map_err(|fault| (fault, None))?;
    debug_assert!(version_of(token) == Some(version), "it was read from the same bytes");
    Ok((place, claims))
}

/// All that is said by the token of a party that is known.
fn judge_claims(
    claims: &Claims<'_>,
    version: Version,
    (place, party): (usize, &Party),
    parties: &Parties,
    terms: Terms<'_>,
) -> Result<Request, Fault> {
    let jti = jti_of(claims, Whose::Request)?;
    let issued = time(claims, version, terms.now_seconds, terms.age_seconds_max, Whose::Request)?;
    check_audience(claims, party, terms.domain)?;
    let origin = match version {
        Version::One => claims.identity.as_deref(),
        Version::Two => claims.origin.as_deref(),
    };
    let caused = check_origin(origin, version, parties, terms.now_seconds)?;
    if issued < caused {
        return Err(Fault::Sequence);
    }
    let (kind, value) = identifier(claims, version)?;
    let good_until_seconds = issued + terms.age_seconds_max;
    Ok(Request { version, party: place, kind, value, jti: jti.to_owned(), good_until_seconds })
}

fn version_of(token: &Token<'_>) -> Option<Version> {
    let lead: Lead<'_> = serde_json::from_slice(&token.payload).ok()?;
    [Version::One, Version::Two].into_iter().find(|version| version.name() == lead.version)
}

/// The claims; the reader's own error may quote them and goes no further.
fn claims_of<'t>(token: &'t Token<'_>) -> Result<Claims<'t>, ()> {
    serde_json::from_slice(&token.payload).map_err(|_| ())
}

fn jti_of<'c>(claims: &'c Claims<'_>, whose: Whose) -> Result<&'c str, Fault> {
    let jti = claims.jti.as_deref().ok_or(Fault::Missing(whose))?;
    if (1..=JTI_BYTES_MAX).contains(&jti.len()) { Ok(jti) } else { Err(Fault::Token(whose)) }
}

/// Holds a token's times against ours; when it was issued, Unix seconds.
fn time(claims: &Claims<'_>, version: Version, now: i64, age_max: i64, whose: Whose) -> Result<i64, Fault> {
    let issued = claims.iat.as_ref().ok_or(Fault::Missing(whose))?;
    // Version 2.0 takes a positive integer only; the RFC, and so 1.0, fractions too.
    let takes_fractions = version == Version::One;
    let issued = seconds(issued, takes_fractions).ok_or(Fault::Time(whose))?;
    if issued > now.saturating_add(SKEW_SECONDS) {
        return Err(Fault::Future(whose));
    }
    let is_past = issued < now.saturating_sub(age_max);
    let until = |claim: &Option<Value>, otherwise| {
        claim.as_ref().map_or(Some(otherwise), |claim| seconds(claim, true)).ok_or(Fault::Time(whose))
    };
    let is_over = until(&claims.exp, i64::MAX)? <= now;
    let has_begun = until(&claims.nbf, 0)? <= now.saturating_add(SKEW_SECONDS);
    if is_past || is_over || !has_begun { Err(Fault::Time(whose)) } else { Ok(issued) }
}

/// A claim's positive number of seconds.
fn seconds(claim: &Value, takes_fractions: bool) -> Option<i64> {
    let whole = claim.as_i64();
    let fraction = || claim.as_f64().filter(|seconds| takes_fractions && *seconds < 1e12).map(|s| s as i64);
    whole.or_else(fraction).filter(|seconds| *seconds > 0)
}

fn check_audience(claims: &Claims<'_>, party: &Party, domain: &str) -> Result<(), Fault> {
    let is_ours = match &claims.aud {
        None => !party.requires_audience,
        Some(Audience::One(name)) => name == domain,
        Some(Audience::Several(names)) => names.iter().any(|name| name == domain),
    };
    if is_ours { Ok(()) } else { Err(Fault::Audience) }
}

/// Holds the first party's token against its key; when it was issued, Unix seconds.
fn check_origin(text: Option<&str>, version: Version, parties: &Parties, now: i64) -> Result<i64, Fault> {
    let whose = Whose::Origin;
    let text = text.ok_or(Fault::Missing(Whose::Request))?;
    let token = Token::read(text).ok_or(Fault::Token(whose))?;
    if version_of(&token) != Some(version) {
        return Err(Fault::Token(whose));
    }
    let claims = claims_of(&token).map_err(|()| Fault::Token(whose))?;
    let issuer = claims.iss.as_deref().ok_or(Fault::Missing(whose))?;
    let (_, party) = parties.find(issuer).ok_or(Fault::Issuer(whose))?;
    party.verify(&token, whose)?;
    jti_of(&claims, whose)?;
    if version == Version::One && claims.sub.is_none() {
        return Err(Fault::Missing(whose));
    }
    time(&claims, version, now, ORIGIN_AGE_SECONDS_MAX, whose)
}

/// What the request is about.
fn identifier(claims: &Claims<'_>, version: Version) -> Result<(IdKind, Zeroizing<String>), Fault> {
    const MISSING: Fault = Fault::Missing(Whose::Request);
    match version {
        Version::Two => {
            let (value, kind, format) = (&claims.value, &claims.kind, &claims.format);
            let all = value.as_deref().zip(kind.as_deref()).zip(format.as_deref());
            let ((value, kind), format) = all.ok_or(MISSING)?;
            taken(value, kind, format)
        }
        Version::One => match claims.sub.as_ref().ok_or(MISSING)? {
            Subject::Object(of) => taken(&of.value, &of.kind, &of.format),
            Subject::Text(text) => {
                let of: Identifier<'_> = serde_json::from_str(text).map_err(|_| MISSING)?;
                taken(&of.value, &of.kind, &of.format)
            }
        },
    }
}

fn taken(value: &str, kind: &str, format: &str) -> Result<(IdKind, Zeroizing<String>), Fault> {
    let kind = published::kind_of(kind).ok_or(Fault::Type)?;
    let format =
        published::Format::named(format).filter(|format| format.is_taken(kind)).ok_or(Fault::Format)?;
    if value.is_empty() || value.len() > VALUE_BYTES_MAX {
        return Err(Fault::Value);
    }
    if !format.fits(kind, value) {
        return Err(Fault::Mismatch);
    }
    Ok((kind, Zeroizing::new(value.to_owned())))
}
