//! The fields of one hit, as its dialect understood them: borrowed, decoded bytes, nothing decided yet.

use crate::identifier::IdField;
use crate::stage::Stage;

/// Bits of [`Hit::device_risk`]: what the MMA China SDK says of a device in `svl` (DOMAIN §2.1). They are for the rules that look for
/// invalid traffic; nothing else of that parameter is read.
pub mod risk {
    /// `l1`: rooted.
    pub const ROOT: u8 = 1 << 0;
    /// `l2`: an emulator.
    pub const EMULATOR: u8 = 1 << 1;
    /// `l3`: a hooking framework is at work.
    pub const HOOK: u8 = 1 << 2;
    /// `l4`: ADB is on.
    pub const ADB: u8 = 1 << 3;
}

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
    /// Group id: ties the hits of one view, as the MMA China SDK draws it (DOMAIN §3). Repeats are told with the client's time.
    GroupId,
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
    /// Which kind of identifier `ifa` is (VAST `[IFATYPE]`).
    IfaType,
    /// What an SDK says of the device's integrity; see [`risk`].
    DeviceRisk,
    /// Unix seconds until which a signed link is good.
    LinkExpires,
    /// A signed link's signature.
    LinkSignature,
    /// An identifier.
    Id(IdField),
}

impl Field {
    /// The fields that are no identifiers, by their names in a dialect table.
    const PLAIN: [(&'static str, Self); 22] = [
        ("campaign", Self::Campaign),
        ("placement", Self::Placement),
        ("creative", Self::Creative),
        ("time", Self::Time),
        ("request_id", Self::RequestId),
        ("group_id", Self::GroupId),
        ("ip", Self::Ip),
        ("user_agent", Self::UserAgent),
        ("os", Self::Os),
        ("landing_url", Self::LandingUrl),
        ("stage", Self::Stage),
        ("gdpr", Self::Gdpr),
        ("gdpr_consent", Self::GdprConsent),
        ("gpp", Self::Gpp),
        ("gpp_sid", Self::GppSid),
        ("limit_ad_tracking", Self::LimitAdTracking),
        ("child_directed", Self::ChildDirected),
        ("caid_version", Self::CaidVersion),
        ("ifa_type", Self::IfaType),
        ("device_risk", Self::DeviceRisk),
        ("link_expires", Self::LinkExpires),
        ("link_signature", Self::LinkSignature),
    ];

    /// The field of a name in a dialect table.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = Self::PLAIN.into_iter().find(|(known, _)| *known == name);
        plain.map(|(_, field)| field).or_else(|| IdField::from_name(name).map(Self::Id))
    }

    /// Its name in a dialect table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id(id) => id.name(),
            plain => Self::PLAIN.into_iter().find(|(_, field)| *field == plain).map_or("", |(name, _)| name),
        }
    }

    /// Every field.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::PLAIN.into_iter().map(|(_, field)| field).chain(IdField::ALL.into_iter().map(Self::Id))
    }
}

/// A set of the numbers 0 to 255, in 32 bytes: which of a table's dropped names a hit had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NumberSet([u64; 4]);

impl NumberSet {
    /// Adds a number.
    #[inline]
    pub fn insert(&mut self, number: u8) {
        if let Some(word) = self.0.get_mut(usize::from(number >> 6)) {
            *word |= 1 << (number & 63);
        }
    }

    /// Whether the number is in it.
    pub fn contains(&self, number: u8) -> bool {
        self.0.get(usize::from(number >> 6)).is_some_and(|word| word >> (number & 63) & 1 == 1)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The numbers, smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u8> + use<> {
        let words = self.0;
        (0..4_u8).zip(words).flat_map(|(place, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let lowest = (left != 0).then(|| left.trailing_zeros() as u8)?;
                left &= left - 1;
                Some(place << 6 | lowest)
            })
        })
    }
}

/// The `gpp_sid` that says that no section of GPP applies.
pub const NO_GPP_SECTION: &[u8] = b"-1";

/// Whether the value of a flag (`lmt`, `gdpr`, …) says yes: `true` in any case, or a number that is 1, however it is written (`1.0`). In a URL
/// and in JSON alike.
pub fn is_yes(value: &[u8]) -> bool {
    match value {
        b"1" => true,
        b"0" | b"" => false,
        _ => {
            let text = std::str::from_utf8(value).unwrap_or_default();
            text.eq_ignore_ascii_case("true")
                || text.parse::<f64>().is_ok_and(|number| number.total_cmp(&1.0).is_eq())
        }
    }
}

/// Whether the value of a flag says no: `false` in any case, or a number that is 0. What says neither is no answer.
pub fn is_no(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.eq_ignore_ascii_case("false")
        || text.parse::<f64>().is_ok_and(|number| number.abs().total_cmp(&0.0).is_eq())
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
    /// Group id of the view's hits.
    pub group_id: Option<&'a [u8]>,
    /// By how many minutes the dialect's formatted times are ahead of UTC; `None` where times are numbers of Unix seconds or
    /// milliseconds.
    pub time_offset_minutes: Option<i16>,
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
    /// Kind of `ifa`.
    pub ifa_type: Option<&'a [u8]>,
    /// Bits of [`risk`].
    pub device_risk: u8,
    /// End of a signed link, Unix seconds.
    pub link_expires: Option<&'a [u8]>,
    /// Signature of a link.
    pub link_signature: Option<&'a [u8]>,
    /// Identifiers by field, `IdField as usize`.
    pub ids: [Option<&'a [u8]>; IdField::COUNT],
    /// Identifiers that stood in a field before the one in `ids`, where the last of a repeated parameter counts; oldest first. An opt-out by
    /// one of them holds as well. Empty, without an allocation, in nearly every hit.
    pub overwritten: Vec<(IdField, &'a [u8])>,
    /// How many values were unreplaced macros.
    pub macros_unreplaced: u8,
    /// Parameters that the dialect knows and nobody needs: they were dropped. Numbers of names in [`crate::dialect::Table::dropped_names`].
    pub parameters_dropped: NumberSet,
    /// How many parameters were in no table, and were dropped.
    pub parameters_unknown: u8,
}
