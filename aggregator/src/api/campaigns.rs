//! Campaigns and placements through the API: they are shown, added, changed and removed, one by one or by a sheet.
//!
//! Bodies and answers are JSON objects with the catalog's keys (`universes` and `creatives` for its lists); `null` takes a key away.
//!
//! Operator and auditor are shown all of it; an advertiser all of its campaigns but the catalog's version, which would tell when somebody else's part
//! changes; a medium what it needs to deliver: the flight, landing hosts and creatives, and its own placements, never a cost, a universe, whose the
//! campaign is, or what another medium has. Only the operator changes anything, on the aggregator that settles.
//!
//! A change names the catalog's version that it is based on, in `If-Match`, `version` of the query or of the body: 428 without one where something
//! would be overwritten, 412 with the present one where it is another. One change at a time is made: read, changed, checked whole, entered in
//! the audit log, replaced. What is wrong is told key by key (422).
//!
//! Must never: write the catalog anywhere but through [`CatalogText`](crate::CatalogText).

mod body;
mod change;
mod import;
mod refusal;
mod show;

use hyper::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH};
use hyper::{Method, StatusCode};
use serde_json::{Map, Value};

#[cfg(test)]
pub(super) use self::refusal::Code;
pub(super) use self::refusal::NotChanged;
use super::problem::Problem;
use super::{Answer, bad, decode, json_answer};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Add,
    Show(String),
    Change(String),
    Remove(String),
    Placements(String),
    AddPlacement(String),
    Import(String),
    ShowPlacement(String, String),
    ChangePlacement(String, String),
    RemovePlacement(String, String),
    Template,
}

impl Route {
    /// The route of a request; `None` if it is none of these.
    ///
    /// # Errors
    /// One of these paths with a method that it does not have.
    pub(super) fn of(method: &Method, path: &str) -> Result<Option<Self>, Problem> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let route = match (parts.as_slice(), method) {
            (["v1", "campaigns"], &Method::POST) => Self::Add,
            (["v1", "campaigns"], &Method::GET) => return Ok(None),
            (["v1", "campaigns"], _) => return Err(Problem::Method("GET, POST")),
            (["v1", "campaigns", campaign], method) => {
                let campaign = decode(campaign)?;
                match *method {
                    Method::GET => Self::Show(campaign),
                    Method::PATCH => Self::Change(campaign),
                    Method::DELETE => Self::Remove(campaign),
                    _ => return Err(Problem::Method("GET, PATCH, DELETE")),
                }
            }
            (["v1", "campaigns", campaign, "placements"], method) => {
                let campaign = decode(campaign)?;
                match *method {
                    Method::GET => Self::Placements(campaign),
                    Method::POST => Self::AddPlacement(campaign),
                    _ => return Err(Problem::Method("GET, POST")),
                }
            }
            (["v1", "campaigns", campaign, "placements", "import"], &Method::POST) => {
                Self::Import(decode(campaign)?)
            }
            (["v1", "campaigns", campaign, "placements", placement], method) => {
                let (campaign, placement) = (decode(campaign)?, decode(placement)?);
                match *method {
                    Method::GET => Self::ShowPlacement(campaign, placement),
                    Method::PATCH => Self::ChangePlacement(campaign, placement),
                    Method::DELETE => Self::RemovePlacement(campaign, placement),
                    // It may be an id too.
                    _ if placement == "import" => return Err(Problem::Method("GET, POST, PATCH, DELETE")),
                    _ => return Err(Problem::Method("GET, PATCH, DELETE")),
                }
            }
            (["v1", "placements-template"], &Method::GET) => Self::Template,
            (["v1", "placements-template"], _) => return Err(Problem::Method("GET")),
            _ => return Ok(None),
        };
        Ok(Some(route))
    }

    /// The name in the security log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Add => "campaigns",
            Self::Show(_) | Self::Change(_) | Self::Remove(_) => "campaign",
            Self::Placements(_) | Self::AddPlacement(_) => "placements",
            Self::ShowPlacement(..) | Self::ChangePlacement(..) | Self::RemovePlacement(..) => "placement",
            Self::Import(_) => "placements_import",
            Self::Template => "placements_template",
        }
    }

    /// The act in the audit log that is entered when all is done.
    pub(super) fn done(&self) -> &'static str {
        match self {
            Self::Add => "campaign.added",
            Self::Show(_) => "campaign.read",
            Self::Change(_) => "campaign.changed",
            Self::Remove(_) => "campaign.removed",
            Self::Placements(_) => "placements.read",
            Self::AddPlacement(_) => "placement.added",
            Self::Import(_) => "placements.imported",
            Self::ShowPlacement(..) => "placement.read",
            Self::ChangePlacement(..) => "placement.changed",
            Self::RemovePlacement(..) => "placement.removed",
            Self::Template => "placements_template.read",
        }
    }

    /// The act that is entered before anything is changed.
    fn begun(&self) -> &'static str {
        match self {
            Self::Add => "campaign.add",
            Self::Change(_) => "campaign.change",
            Self::Remove(_) => "campaign.remove",
            Self::AddPlacement(_) => "placement.add",
            Self::Import(_) => "placements.import",
            Self::ChangePlacement(..) => "placement.change",
            Self::RemovePlacement(..) => "placement.remove",
            Self::Show(_) | Self::Placements(_) | Self::ShowPlacement(..) | Self::Template => self.done(),
        }
    }

    /// What it is about, for the audit log.
    pub(super) fn object(&self) -> String {
        match self {
            Self::Add | Self::Template => "all campaigns".to_owned(),
            Self::Show(campaign)
            | Self::Change(campaign)
            | Self::Remove(campaign)
            | Self::Placements(campaign)
            | Self::AddPlacement(campaign)
            | Self::Import(campaign) => format!("campaign {campaign}"),
            Self::ShowPlacement(campaign, placement)
            | Self::ChangePlacement(campaign, placement)
            | Self::RemovePlacement(campaign, placement) => {
                format!("campaign {campaign} placement {placement}")
            }
        }
    }

    /// Whether it changes the catalog.
    fn is_change(&self) -> bool {
        !matches!(self, Self::Show(_) | Self::Placements(_) | Self::ShowPlacement(..) | Self::Template)
    }
}

/// The version that a request is based on, in its header or query.
fn version(headers: &HeaderMap, query: &[(String, String)]) -> Result<Option<u32>, Problem> {
    let header = headers.get(IF_MATCH).map(|value| value.to_str().unwrap_or_default());
    let asked = query.iter().find(|(name, _)| name == "version").map(|(_, value)| value.as_str());
    header.or(asked).map(read_version).transpose()
}

fn read_version(text: &str) -> Result<u32, Problem> {
    let bare = text.trim().trim_matches('"');
    let is_version = bare.len() == 8 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    let read = is_version.then(|| u32::from_str_radix(bare, 16).ok()).flatten();
    read.ok_or_else(|| {
        bad("a version of the catalog has eight hex digits, as `version` and ETag of an answer")
    })
}

/// An answer with the catalog's version, in its body and as ETag.
fn versioned(status: StatusCode, version: u32, mut shown: Map<String, Value>) -> Answer {
    let text = format!("{version:08x}");
    let tag = HeaderValue::from_str(&format!("\"{text}\"")).expect("hex digits in quotes");
    shown.shift_insert(0, "version".to_owned(), text.into());
    let mut answer = json_answer(status, &shown);
    answer.headers_mut().insert(ETAG, tag);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_are_told_apart() {
        let of = |method: Method, path: &str| Route::of(&method, path).map_err(|_| ());
        let c = || "c 1".to_owned();
        assert_eq!(of(Method::GET, "/v1/campaigns"), Ok(None));
        assert_eq!(of(Method::POST, "/v1/campaigns"), Ok(Some(Route::Add)));
        assert_eq!(of(Method::GET, "/v1/campaigns/c%201"), Ok(Some(Route::Show(c()))));
        assert_eq!(of(Method::GET, "/v1/campaigns/c/reach"), Ok(None));
        assert_eq!(of(Method::POST, "/v1/campaigns/c%201/placements/import"), Ok(Some(Route::Import(c()))));
        let placement = Route::ChangePlacement(c(), "import".to_owned());
        assert_eq!(of(Method::PATCH, "/v1/campaigns/c%201/placements/import"), Ok(Some(placement)));
        assert_eq!(of(Method::GET, "/v1/campaigns/c/placements/p/hits"), Ok(None));
        assert_eq!(of(Method::PUT, "/v1/campaigns/c"), Err(()));
        assert_eq!(of(Method::POST, "/v1/placements-template"), Err(()));
    }

    #[test]
    fn versions_are_eight_hex_digits() {
        for text in ["1a2b3c4d", "\"1A2B3C4D\""] {
            assert_eq!(read_version(text).ok(), Some(0x1a2b_3c4d), "{text}");
        }
        for text in ["", "*", "1a2b3c4", "+1a2b3c4", "1a2b3c4d5"] {
            assert!(read_version(text).is_err(), "{text}");
        }
    }
}
