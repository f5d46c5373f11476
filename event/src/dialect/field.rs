//! From a decoded value to its place in the hit: trimming, macros, limits, contradictions.

use super::{is_unreplaced_macro, risk};
use crate::hit::{Field, Hit, NO_GPP_SECTION, is_catalog_id, is_yes};
use crate::identifier::IdField;
use crate::outcome::Outcome;
use crate::stage::Stage;

/// The longest value of each field, bytes after decoding.
pub mod limit {
    /// Campaign and placement ids: the catalog's own limit.
    pub const CATALOG_ID_BYTES_MAX: usize = 64;
    /// Creative id.
    pub const CREATIVE_BYTES_MAX: usize = 64;
    /// Client time: room for any number that is one, and for what is none.
    pub const TIME_BYTES_MAX: usize = 64;
    /// Request or group id. Real ones have up to 64.
    pub const REQUEST_ID_BYTES_MAX: usize = 128;
    /// An address in text: 45 bytes, and room for a zone.
    pub const IP_BYTES_MAX: usize = 64;
    /// A user agent; real ones reach 700. At most [`crate::record::AGENT_BYTES_MAX`] are kept.
    pub const USER_AGENT_BYTES_MAX: usize = 1024;
    /// Name or number of an operating system.
    pub const OS_BYTES_MAX: usize = 64;
    /// A landing URL.
    pub const LANDING_URL_BYTES_MAX: usize = 2048;
    /// A stage's name.
    pub const STAGE_BYTES_MAX: usize = 32;
    /// `gdpr`, `lmt`, `coppa`: flags.
    pub const SIGNAL_BYTES_MAX: usize = 16;
    /// A TCF or GPP string. Those with publisher restrictions reach a few hundred.
    pub const CONSENT_BYTES_MAX: usize = 4096;
    /// GPP section ids.
    pub const GPP_SID_BYTES_MAX: usize = 64;
    /// CAID's version: eight digits today.
    pub const CAID_VERSION_BYTES_MAX: usize = 32;
    /// Kind of an advertising id: a word.
    pub const IFA_TYPE_BYTES_MAX: usize = 32;
    /// What an SDK says of the device's integrity: an object of a dozen members, most of them dropped.
    pub const DEVICE_RISK_BYTES_MAX: usize = 1024;
    /// End of a signed link: a number.
    pub const LINK_EXPIRES_BYTES_MAX: usize = 20;
    /// Signature of a link: 32 hexadecimal digits, and room for what is none.
    pub const LINK_SIGNATURE_BYTES_MAX: usize = 128;
    /// An identifier in any form: the longest that is one has 64, the rest is room for what is not.
    pub const ID_BYTES_MAX: usize = 128;
    /// CAIDs, which may be a list with versions and digests as JSON: a real one of two versions has 411 bytes.
    pub const CAID_BYTES_MAX: usize = 1024;
    /// Identifiers that others of the same parameter took the place of, in one hit: each of Miaozhen's may stand twice.
    pub const OVERWRITTEN_IDS_MAX: usize = 16;
}

/// What a second value of a field does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeats {
    /// It must be the first one again.
    Equal,
    /// It counts instead of the first.
    Last,
    /// Whichever of the two says yes counts.
    Either,
}

/// A decoded value without the blanks around it; `None` for one that is empty, or an unreplaced macro, which is counted.
#[inline]
pub(super) fn usable<'a>(hit: &mut Hit<'_>, value: &'a [u8]) -> Option<&'a [u8]> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return None;
    }
    if is_unreplaced_macro(value) {
        hit.macros_unreplaced = hit.macros_unreplaced.saturating_add(1);
        return None;
    }
    Some(value)
}

/// Puts a decoded value into its field, or rejects the hit.
#[inline]
pub(super) fn fill<'a>(
    hit: &mut Hit<'a>,
    field: Field,
    value: &'a [u8],
    repeats: Repeats,
) -> Result<(), Outcome> {
    // An object of one flag looks like a macro.
    let is_object = field == Field::DeviceRisk && memchr::memchr(b':', value).is_some();
    let Some(value) = (if is_object { Some(value.trim_ascii()) } else { usable(hit, value) }) else {
        return Ok(());
    };
    if value.len() > bytes_max(field) {
        return Err(Outcome::TooLong);
    }
    check(field, value)?;
    match field {
        Field::Stage => return fill_stage(hit, value),
        Field::DeviceRisk => hit.device_risk |= risk::flags(value),
        _ => {}
    }
    let Some(slot) = slot(hit, field) else { return Ok(()) };
    let first = match (&*slot, repeats) {
        (Some(first), Repeats::Equal) if *first != value => return Err(Outcome::Contradictory),
        (Some(first), Repeats::Either) if says_yes(field, first) => return Ok(()),
        (None | Some(_), _) => slot.replace(value),
    };
    match (first, field) {
        (Some(first), Field::Id(id)) if first != value => keep_overwritten(hit, id, first),
        _ => Ok(()),
    }
}

/// Keeps an identifier that another took the place of: whoever opted out by it is not to be measured by doubling the parameter.
#[cold]
fn keep_overwritten<'a>(hit: &mut Hit<'a>, id: IdField, value: &'a [u8]) -> Result<(), Outcome> {
    if hit.overwritten.contains(&(id, value)) {
        return Ok(());
    }
    if hit.overwritten.len() == limit::OVERWRITTEN_IDS_MAX {
        return Err(Outcome::Contradictory);
    }
    hit.overwritten.push((id, value));
    Ok(())
}

fn fill_stage(hit: &mut Hit<'_>, value: &[u8]) -> Result<(), Outcome> {
    let stage = Stage::from_name(value).ok_or(Outcome::UnknownStage)?;
    match hit.stage {
        Some(first) if first != stage => Err(Outcome::Contradictory),
        Some(_) | None => {
            hit.stage = Some(stage);
            Ok(())
        }
    }
}

/// Whether a privacy signal says yes. Of the sections of GPP any but -1, which says that none applies.
fn says_yes(field: Field, value: &[u8]) -> bool {
    if field == Field::GppSid { value != NO_GPP_SECTION } else { is_yes(value) }
}

/// What a field takes, where that can be said of the value alone. Identifiers are judged later: a bad one rejects no hit.
fn check(field: Field, value: &[u8]) -> Result<(), Outcome> {
    let fits = match field {
        Field::Campaign | Field::Placement => is_catalog_id(value),
        Field::Creative => std::str::from_utf8(value).is_ok_and(|text| !text.chars().any(char::is_control)),
        Field::Time
        | Field::RequestId
        | Field::GroupId
        | Field::Ip
        | Field::UserAgent
        | Field::Os
        | Field::LandingUrl
        | Field::Stage
        | Field::Gdpr
        | Field::GdprConsent
        | Field::Gpp
        | Field::GppSid
        | Field::LimitAdTracking
        | Field::ChildDirected
        | Field::CaidVersion
        | Field::IfaType
        | Field::DeviceRisk
        | Field::LinkExpires
        | Field::LinkSignature
        | Field::Id(_) => true,
    };
    if fits { Ok(()) } else { Err(Outcome::Malformed) }
}

/// The longest value of a field, bytes.
pub(super) fn bytes_max(field: Field) -> usize {
    match field {
        Field::Campaign | Field::Placement => limit::CATALOG_ID_BYTES_MAX,
        Field::Creative => limit::CREATIVE_BYTES_MAX,
        Field::Time => limit::TIME_BYTES_MAX,
        Field::RequestId | Field::GroupId => limit::REQUEST_ID_BYTES_MAX,
        Field::Ip => limit::IP_BYTES_MAX,
        Field::UserAgent => limit::USER_AGENT_BYTES_MAX,
        Field::Os => limit::OS_BYTES_MAX,
        Field::LandingUrl => limit::LANDING_URL_BYTES_MAX,
        Field::Stage => limit::STAGE_BYTES_MAX,
        Field::Gdpr | Field::LimitAdTracking | Field::ChildDirected => limit::SIGNAL_BYTES_MAX,
        Field::GdprConsent | Field::Gpp => limit::CONSENT_BYTES_MAX,
        Field::GppSid => limit::GPP_SID_BYTES_MAX,
        Field::CaidVersion => limit::CAID_VERSION_BYTES_MAX,
        Field::IfaType => limit::IFA_TYPE_BYTES_MAX,
        Field::DeviceRisk => limit::DEVICE_RISK_BYTES_MAX,
        Field::LinkExpires => limit::LINK_EXPIRES_BYTES_MAX,
        Field::LinkSignature => limit::LINK_SIGNATURE_BYTES_MAX,
        Field::Id(IdField::Caid | IdField::CaidMd5) => limit::CAID_BYTES_MAX,
        Field::Id(_) => limit::ID_BYTES_MAX,
    }
}

/// The place of a field in the hit; `None` for the stage and the device's risks, which are not kept as bytes.
fn slot<'h, 'a>(hit: &'h mut Hit<'a>, field: Field) -> Option<&'h mut Option<&'a [u8]>> {
    Some(match field {
        Field::Campaign => &mut hit.campaign,
        Field::Placement => &mut hit.placement,
        Field::Creative => &mut hit.creative,
        Field::Time => &mut hit.time,
        Field::RequestId => &mut hit.request_id,
        Field::GroupId => &mut hit.group_id,
        Field::Ip => &mut hit.ip,
        Field::UserAgent => &mut hit.user_agent,
        Field::Os => &mut hit.os,
        Field::LandingUrl => &mut hit.landing_url,
        Field::Stage | Field::DeviceRisk => return None,
        Field::Gdpr => &mut hit.gdpr,
        Field::GdprConsent => &mut hit.gdpr_consent,
        Field::Gpp => &mut hit.gpp,
        Field::GppSid => &mut hit.gpp_sid,
        Field::LimitAdTracking => &mut hit.limit_ad_tracking,
        Field::ChildDirected => &mut hit.child_directed,
        Field::CaidVersion => &mut hit.caid_version,
        Field::IfaType => &mut hit.ifa_type,
        Field::LinkExpires => &mut hit.link_expires,
        Field::LinkSignature => &mut hit.link_signature,
        Field::Id(id) => return hit.ids.get_mut(id as usize),
    })
}
