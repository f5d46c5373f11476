//! `GET /v1/campaigns/{campaign}/links`: the tracking URLs of a campaign's placements, as `sightline links` prints them. `catalog::links` makes
//! them; here the question is read and the answer written.

use std::sync::Arc;

use catalog::Placement;
use catalog::links::{DialectLinks, LinkMaker, Purposes, Wanted, base_of};
use event::clock::UnixMs;
use event::dialect::Dialects;
use event::link::LinkKeys;
use event::profile::Profiles;
use serde::Serialize;
use serde_json::Map;

use super::problem::Problem;
use super::{Api, bad};
use crate::form::{Cell, Column, Form, FormError, Place, Table, Type};
use crate::report::Refused;
use crate::view::Sight;

/// Most days that a link is asked to be good for.
const DAYS_MAX: i64 = 3_650;

/// What links are made by.
pub struct LinkParts {
    /// Public address of the tracker, if one is configured; else each request has to say it.
    pub base: Option<String>,
    /// The dialects.
    pub dialects: Arc<Dialects>,
    /// The profiles of media.
    pub profiles: Arc<Profiles>,
    /// Keys of signed links.
    pub keys: Arc<LinkKeys>,
}

impl Default for LinkParts {
    /// Those of the program, without an address or a key.
    fn default() -> Self {
        Self {
            base: None,
            dialects: Arc::clone(Dialects::built_in()),
            profiles: Arc::clone(Profiles::built_in()),
            keys: Arc::default(),
        }
    }
}

/// A checked request.
pub(super) struct Request {
    campaign: String,
    wanted: Wanted,
    purposes: Purposes,
    base: Option<String>,
    sign: bool,
    days: Option<i64>,
    /// How it is written: JSON, CSV or XLSX.
    pub(super) form: Form,
}

/// The answer.
#[derive(Debug, Default, Serialize)]
pub(super) struct List {
    pub(super) links: Vec<Row>,
    /// Placements without a URL, and why.
    left_out: Vec<String>,
}

/// One URL.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    placement: String,
    medium: String,
    name: String,
    dialect: String,
    stage: &'static str,
    /// Whose macros stand in it.
    profile: Option<String>,
    /// Of a placement that names no profile: the one that goes by its medium's name.
    proposed_profile: Option<String>,
    /// Whether it is the one to hand out where the medium asks for none in particular.
    recommended: bool,
    url: String,
    warnings: Vec<String>,
}

impl Request {
    /// # Errors
    /// An unknown parameter, or a value that is not allowed.
    pub(super) fn parse(campaign: String, query: &[(String, String)]) -> Result<Self, Problem> {
        let mut request = Self {
            campaign,
            wanted: Wanted::Usual,
            purposes: Purposes::Usual,
            base: None,
            sign: false,
            days: None,
            form: Form::Json,
        };
        for (name, value) in query {
            match (name.as_str(), value.as_str()) {
                ("dialect", "all") => request.wanted = Wanted::All,
                ("dialect", name) => request.wanted = Wanted::Named(name.to_owned()),
                ("stages", stages) => {
                    request.purposes =
                        Purposes::parse(stages).map_err(|error| bad(&format!("stages: {error}")))?;
                }
                ("format", "json") => request.form = Form::Json,
                ("format", "csv") => request.form = Form::Csv { mark: true },
                ("format", "xlsx") => request.form = Form::Xlsx,
                ("sign", "true" | "false") => request.sign = value == "true",
                ("days", days) => {
                    let days = days.parse().ok().filter(|days| (1..=DAYS_MAX).contains(days));
                    request.days = Some(days.ok_or_else(|| bad(&format!("days must be 1 to {DAYS_MAX}")))?);
                }
                ("base", base) => {
                    let base = base_of(base).ok_or_else(|| {
                        bad("base must be scheme and host, such as https://t.example.com, without a path")
                    })?;
                    request.base = Some(base.to_owned());
                }
                _ => {
                    return Err(bad(
                        "the parameters are dialect (a name or all), stages (all, or names with commas between them), \
                         format (json, csv, xlsx), sign (true, false), days (until signed links end) and base (https://HOST)",
                    ));
                }
            }
        }
        Ok(request)
    }
}

impl Api {
    /// The links of a campaign.
    ///
    /// # Errors
    /// No such campaign or dialect, no address to make them with, or no key to sign them with.
    pub(super) fn make_links(
        &self,
        request: &Request,
        (sight, may_sign): (&Sight, bool),
        now_ms: UnixMs,
    ) -> Result<List, Problem> {
        let parts = &self.links;
        let base = request.base.as_deref().or(parts.base.as_deref()).ok_or_else(|| {
            bad("the tracker's public address is not configured (public_url): say it with base=https://HOST")
        })?;
        let catalog = self.reporter.catalog.load();
        let campaign = catalog.campaigns.get(&request.campaign).ok_or(Problem::UnknownCampaign)?;
        let maker = LinkMaker {
            base: base.trim_end_matches('/'),
            dialects: &parts.dialects,
            profiles: &parts.profiles,
            purposes: &request.purposes,
            keys: &parts.keys,
            sign: request.sign,
            expires: request.days.map(|days| now_ms.div_euclid(1000) + days * 86_400),
        };
        let seen = campaign.placements.values().filter(|placement| sight.sees(placement));
        let mut placements: Vec<&Placement> = seen.map(AsRef::as_ref).collect();
        placements.sort_by(|a, b| a.id.cmp(&b.id));
        let mut list = List::default();
        for placement in placements {
            // Until when a signed link is good is the operator's to say, not whoever's it binds, nor an auditor's.
            if !may_sign && (request.sign || placement.signed_links) {
                list.left_out
                    .push(format!("placement {}: signed links are handed out by the operator", placement.id));
                continue;
            }
            let made = maker
                .links(campaign, placement, &request.wanted)
                .map_err(|error| Problem::Refused(Refused::NotOffered(error.to_string())))?;
            for links in made {
                if links.links.is_empty() {
                    list.left_out.extend(links.warnings);
                } else {
                    list.links.extend(of(placement, links, maker.proposed_profile(placement)));
                }
            }
        }
        Ok(list)
    }
}

impl Row {
    fn cells(&self) -> Vec<Cell<'_>> {
        let is = if self.recommended { "yes" } else { "no" };
        let texts = [&self.placement, &self.medium, &self.name, &self.dialect, self.stage, is, &self.url];
        texts.map(Cell::Text).to_vec()
    }
}

impl List {
    /// The rows as a spreadsheet; beside them, where there is a place for it, what was left out.
    ///
    /// # Errors
    /// More rows than a sheet has.
    pub(super) fn write(&self, request: &Request, made_ms: UnixMs) -> Result<Vec<u8>, FormError> {
        let column = |name| Column { place: Place::Alone(name), kind: Type::Text, may_be_empty: false };
        let table = Table {
            name: "links",
            about: Map::from_iter([
                ("campaign".to_owned(), request.campaign.as_str().into()),
                ("left_out".to_owned(), self.left_out.clone().into()),
            ]),
            notes: Vec::new(),
            columns: ["placement", "medium", "name", "dialect", "stage", "recommended", "url"]
                .map(column)
                .to_vec(),
            rows: self.links.iter().map(Row::cells).collect(),
            language: None,
        };
        table.write(request.form, made_ms)
    }
}

impl Request {
    /// A name for its file, without what a header breaks at: ids of a catalog have none of it.
    pub(super) fn file_name(&self, extension: &str) -> String {
        format!("{}-links.{extension}", self.campaign)
    }
}

fn of(placement: &Placement, links: DialectLinks, proposed_profile: Option<&str>) -> Vec<Row> {
    let DialectLinks { links, warnings, profile, .. } = links;
    let row = |link: catalog::links::Link| Row {
        placement: placement.id.clone(),
        medium: placement.medium.clone(),
        name: placement.name.clone(),
        dialect: link.dialect,
        stage: link.purpose.name(),
        profile: profile.clone(),
        proposed_profile: proposed_profile.map(str::to_owned),
        recommended: link.is_recommended,
        url: link.url,
        warnings: warnings.clone(),
    };
    links.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &[(&str, &str)]) -> Option<Request> {
        let query: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request::parse("k".to_owned(), &query).ok()
    }

    #[test]
    fn questions_are_read_strictly() {
        let request = parse(&[("dialect", "all"), ("format", "csv"), ("sign", "true"), ("days", "30")])
            .expect("is one");
        assert!(
            request.wanted == Wanted::All
                && request.form == (Form::Csv { mark: true })
                && request.sign
                && request.days == Some(30)
        );
        assert_eq!(request.purposes, Purposes::Usual);
        let request = parse(&[("stages", "all")]).expect("is one");
        assert_eq!(request.purposes, Purposes::All);
        let request = parse(&[("base", "https://t.example.com/"), ("dialect", "vast")]).expect("is one");
        assert_eq!(request.base.as_deref(), Some("https://t.example.com"));
        assert_eq!(request.wanted, Wanted::Named("vast".to_owned()));
        for wrong in [
            ("days", "0"),
            ("days", "x"),
            ("sign", "yes"),
            ("format", "xml"),
            ("base", "t.example"),
            ("base", "https://"),
            ("base", "https://t.example/i"),
            ("stages", "impresion"),
            ("stages", ""),
            ("x", "1"),
        ] {
            assert!(parse(&[wrong]).is_none(), "{wrong:?}");
        }
    }
}
