//! The fields of one hit, as its dialect understood them: borrowed, decoded bytes, nothing decided yet.

use crate::identifier::IdField;
use crate::stage::Stage;

/// What can be said about a beacon in any dialect. The dialect table names these fields; see `dialects/native.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Campaign id as in the catalog.
    Campaign,
    /// Placement id as in the catalog.
    Placement,
    /// Creative id, free text of the campaign.
    Creative,
    /// Client time, Unix seconds or milliseconds, told apart by magnitude.
    Time,
    /// Request id: one for each ad view, repeated by retries.
    RequestId,
    /// The viewer's address, from registered servers only.
    Ip,
    /// The viewer's agent, from registered servers only.
    UserAgent,
    /// Operating system.
    Os,
    /// Landing URL of a click.
    LandingUrl,
    /// Stage of the view; in a path or in JSON.
    Stage,
    /// TCF: whether GDPR applies.
    Gdpr,
    /// TCF consent string.
    GdprConsent,
    /// GPP string.
    Gpp,
    /// GPP section ids.
    GppSid,
    /// Limit ad tracking.
    LimitAdTracking,
    /// Child-directed.
    ChildDirected,
    /// CAID's version.
    CaidVersion,
    /// An identifier.
    Id(IdField),
}

impl Field {
    /// The field of a name in a dialect table.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "campaign" => Self::Campaign,
            "placement" => Self::Placement,
            "creative" => Self::Creative,
            "time" => Self::Time,
            "request_id" => Self::RequestId,
            "ip" => Self::Ip,
            "user_agent" => Self::UserAgent,
            "os" => Self::Os,
            "landing_url" => Self::LandingUrl,
            "stage" => Self::Stage,
            "gdpr" => Self::Gdpr,
            "gdpr_consent" => Self::GdprConsent,
            "gpp" => Self::Gpp,
            "gpp_sid" => Self::GppSid,
            "limit_ad_tracking" => Self::LimitAdTracking,
            "child_directed" => Self::ChildDirected,
            "caid_version" => Self::CaidVersion,
            id => return IdField::from_name(id).map(Self::Id),
        })
    }
}

/// Whether this can be a campaign's or placement's id: 1 to 64 bytes of `A-Za-z0-9._-`. The catalog takes no other, so a hit with
/// another can never be adopted.
pub fn is_catalog_id(id: &[u8]) -> bool {
    (1..=crate::dialect::limit::CATALOG_ID_BYTES_MAX).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// One hit. A value that was an unreplaced macro or empty is absent here. Holds raw identifiers: it cannot be printed.
#[derive(Clone, Default)]
pub struct Hit<'a> {
    /// Campaign id.
    pub campaign: Option<&'a [u8]>,
    /// Placement id.
    pub placement: Option<&'a [u8]>,
    /// Creative id.
    pub creative: Option<&'a [u8]>,
    /// Client time as sent.
    pub time: Option<&'a [u8]>,
    /// Request id.
    pub request_id: Option<&'a [u8]>,
    /// Viewer's address as a parameter.
    pub ip: Option<&'a [u8]>,
    /// Viewer's agent as a parameter.
    pub user_agent: Option<&'a [u8]>,
    /// Operating system as sent.
    pub os: Option<&'a [u8]>,
    /// Landing URL.
    pub landing_url: Option<&'a [u8]>,
    /// Stage, where a parameter says it. The path's stage is set by the route.
    pub stage: Option<Stage>,
    /// TCF `gdpr`.
    pub gdpr: Option<&'a [u8]>,
    /// TCF consent string.
    pub gdpr_consent: Option<&'a [u8]>,
    /// GPP string.
    pub gpp: Option<&'a [u8]>,
    /// GPP section ids.
    pub gpp_sid: Option<&'a [u8]>,
    /// `lmt`.
    pub limit_ad_tracking: Option<&'a [u8]>,
    /// `coppa`.
    pub child_directed: Option<&'a [u8]>,
    /// CAID version.
    pub caid_version: Option<&'a [u8]>,
    /// Identifiers by field, `IdField as usize`.
    pub ids: [Option<&'a [u8]>; IdField::COUNT],
    /// How many values were unreplaced macros.
    pub macros_unreplaced: u8,
    /// How many parameters were in no table, and were dropped.
    pub parameters_unknown: u8,
}
