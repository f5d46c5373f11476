//! One change at a time: read, changed, checked whole, entered in the audit log, replaced.

use std::sync::Arc;

use audit::Entry;
use bytes::Bytes;
use catalog::edit::{
    Change, EditError, Fields, Value as Field, check_campaign, check_placement, edit, field, too_long,
};
use catalog::{Catalog, Mistake, mistake, version_of};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use serde_json::{Map, Value};

use super::super::access::{cut, cut_to};
use super::super::problem::Problem;
use super::super::{Answer, Api, bad, json_answer, may_change, none};
use super::body::{self, JSON_BYTES_MAX, wrong_fields};
use super::refusal::{Code, refusal, refusal_with};
use super::show::Told;
use super::{Route, import, read_version, show, version, versioned};
use crate::catalog_text::CatalogTextError;
use crate::sheet::limit::FILE_BYTES_MAX;
use crate::sheet::placements::standing;
use crate::tokens::Who;
use crate::view::View;

/// Most keys of which the audit log is told the value.
const ENTERED_MAX: usize = 20;
/// Most bytes of a list or table in it.
const ENTERED_LIST_BYTES_MAX: usize = 300;

/// What a request wants to be done with the catalog as it stands.
pub(super) struct Wanted {
    pub(super) changes: Vec<Change>,
    /// For the audit log.
    pub(super) details: Map<String, Value>,
    /// For the answer.
    pub(super) said: Map<String, Value>,
}

/// A request for a change, its body read.
pub(super) struct Asked {
    pub(super) route: Route,
    pub(super) actor: String,
    pub(super) version: Option<u32>,
    pub(super) import: import::Options,
    pub(super) fields: Fields,
    pub(super) sheet: Bytes,
}

impl Api {
    /// Answers one of these routes.
    pub(in super::super) async fn campaign_route(
        self: &Arc<Self>,
        route: Route,
        (headers, query): (&HeaderMap, &[(String, String)]),
        body: Incoming,
        who: &Who,
    ) -> Result<Answer, Problem> {
        if route == Route::Template {
            return import::template(query);
        }
        if !route.is_change() {
            none(query)?;
            return self.shown(&route, &who.view);
        }
        may_change(who)?;
        let mut asked = Asked {
            version: version(headers, query)?,
            import: import::Options::default(),
            fields: Fields::new(),
            sheet: Bytes::new(),
            route,
            actor: who.actor.clone(),
        };
        if matches!(asked.route, Route::Import(_)) {
            asked.import = import::Options::parse(query)?;
        } else {
            only_version(query)?;
        }
        if self.catalog_text.is_none() {
            return Err(refusal(Code::NotHere, "the catalog cannot be changed through this aggregator"));
        }
        self.is_to_write()?;
        let turn = self.bodies.acquire().await.map_err(|_| Problem::Busy)?;
        match &asked.route {
            Route::Import(_) => asked.sheet = self.whole_body(body, FILE_BYTES_MAX).await?,
            Route::Remove(_) | Route::RemovePlacement(..) => {}
            route => {
                let is_placement = matches!(route, Route::AddPlacement(_) | Route::ChangePlacement(..));
                let said = body::read(&self.whole_body(body, JSON_BYTES_MAX).await?, is_placement)?;
                if let Some(said) = said.version.filter(|_| asked.version.is_none()) {
                    asked.version = Some(read_version(&said)?);
                }
                asked.fields = said.fields;
            }
        }
        let answer = self.blocking((&self.edits, who), move |api| api.change(&asked)).await;
        drop(turn);
        answer
    }

    /// What is asked for, as far as it is seen: what is not is answered like what does not exist.
    fn shown(&self, route: &Route, view: &View) -> Result<Answer, Problem> {
        let catalog = self.reporter.catalog.load();
        let (Some(id), placement) = route.ids() else { return Err(Problem::NotFound("no such path")) };
        let sight = view.of(&catalog, id).ok_or(Problem::UnknownCampaign)?;
        let campaign = catalog.campaigns.get(id).ok_or(Problem::UnknownCampaign)?;
        let told = Told::to(view);
        let shown = match (route, placement) {
            (_, Some(id)) => {
                let placement = campaign.placements.get(id).filter(|placement| sight.sees(placement));
                show::placement(placement.ok_or(Problem::UnknownPlacement)?, told)
            }
            (route, None) => {
                let mut shown = match route {
                    Route::Show(_) => show::campaign(campaign, told),
                    _ => Map::new(),
                };
                shown.insert("placements".to_owned(), show::placements(campaign, &sight, told));
                shown
            }
        };
        Ok(if view.is_of_the_house() {
            versioned(StatusCode::OK, catalog.version, shown)
        } else {
            json_answer(StatusCode::OK, &shown)
        })
    }

    /// Makes a change. Blocks; the only one at its time.
    fn change(&self, asked: &Asked) -> Result<Answer, Problem> {
        self.is_to_write()?;
        let kept = self.catalog_text.as_ref().ok_or(Problem::Busy)?;
        let text = kept.read().map_err(not_kept)?;
        let before = version_of(&text);
        match asked.version {
            Some(version) if version != before => return Err(other_version(before)),
            None if asked.overwrites() => return Err(no_version()),
            _ => {}
        }
        let profiles = &self.links.profiles;
        let catalog = Catalog::parse_with(&text, "catalog", profiles)
            .map_err(|error| refused(&EditError::Broken(error)))?;
        let mut wanted = match &asked.route {
            Route::Import(campaign) => self.import(asked, campaign, &catalog)?,
            _ => self.wanted(asked, &catalog)?,
        };
        let edited = edit(&text, &wanted.changes, profiles).map_err(|error| refused(&error))?;
        let (bytes, bytes_max) = (edited.text.len(), kept.bytes_max());
        if bytes > bytes_max {
            return Err(refused(&EditError::Refused(too_long(bytes, bytes_max))));
        }
        let after = edited.catalog.version;
        if !asked.import.dry_run && after != before {
            wanted.details.insert("before".to_owned(), format!("{before:08x}").into());
            wanted.details.insert("after".to_owned(), format!("{after:08x}").into());
            let details = Value::Object(wanted.details);
            let entry = Entry::new(&asked.actor, asked.route.begun(), asked.route.object(), details);
            self.audit.append(&entry).map_err(|error| {
                tracing::error!(%error, "the catalog is not changed, for that cannot be entered");
                Problem::Audit
            })?;
        }
        let answer = answer(asked, &edited.catalog, (before, after), wanted.said)?;
        if !asked.import.dry_run && after != before {
            kept.replace(before, edited).map_err(not_kept)?;
        }
        Ok(answer)
    }

    /// The change of one campaign or placement.
    fn wanted(&self, asked: &Asked, catalog: &Catalog) -> Result<Wanted, Problem> {
        let fields = asked.fields.clone();
        let (campaign_id, placement_id) = asked.route.ids();
        let campaign =
            campaign_id.map(|id| catalog.campaigns.get(id).ok_or(Problem::UnknownCampaign)).transpose()?;
        let placement = match (campaign, placement_id) {
            (Some(campaign), Some(id)) => Some(campaign.placements.get(id).ok_or(Problem::UnknownPlacement)?),
            _ => None,
        };
        let profiles = &self.links.profiles;
        let mut wrong: Vec<(String, Mistake)> = Vec::new();
        let errors = match (&asked.route, campaign) {
            (Route::Add, _) => check_campaign(&fields, profiles),
            (Route::AddPlacement(_), Some(campaign)) => check_placement(campaign, &fields, profiles),
            (Route::ChangePlacement(..), Some(campaign)) => {
                check_placement(campaign, &standing(&fields, placement.map(AsRef::as_ref)), profiles)
            }
            _ => Vec::new(),
        };
        wrong.extend(errors.into_iter().map(|error| (error.key, error.problem)));
        if let Some(dialect) = field(&fields, "dialect").and_then(Field::as_text)
            && asked.route.ids().0.is_some()
            && self.links.dialects.get(dialect).is_none()
        {
            let known: Vec<&str> =
                self.links.dialects.tables().iter().map(event::dialect::Table::name).collect();
            let known = known.join(", ");
            wrong.push(("dialect".to_owned(), mistake!("dialect", "`dialect` is one of {known}", known)));
        }
        if let (Route::Change(id), Some(campaign)) = (&asked.route, campaign)
            && let Some(zone) = field(&fields, "time_zone").and_then(Field::as_text)
            && let before = campaign.time_zone.name()
            && zone != before
            && self.reporter.has_data(id).map_err(Problem::Store)?
        {
            // Each event keeps the day and hour that it was given.
            let mistake = mistake!(
                "time_zone_stays",
                "`time_zone` stays {before} once a campaign has hits, for their days were counted on its clock: add another campaign instead",
                before
            );
            wrong.push(("time_zone".to_owned(), mistake));
        }
        if !wrong.is_empty() {
            return Err(wrong_fields(wrong));
        }
        let details = Map::from_iter([("values".to_owned(), entered(&fields))]);
        let (campaign, placement) =
            (campaign_id.unwrap_or_default().to_owned(), placement_id.unwrap_or_default().to_owned());
        let change = match &asked.route {
            Route::Add => Change::AddCampaign(fields),
            Route::Change(_) => Change::SetCampaign { campaign, fields },
            Route::Remove(_) => Change::RemoveCampaign { campaign },
            Route::AddPlacement(_) => Change::AddPlacement { campaign, fields },
            Route::ChangePlacement(..) => Change::SetPlacement { campaign, placement, fields },
            Route::RemovePlacement(..) => Change::RemovePlacement { campaign, placement },
            _ => return Err(Problem::NotFound("no such path")),
        };
        Ok(Wanted { changes: vec![change], details, said: Map::new() })
    }
}

impl Asked {
    /// Whether it puts something in the place of what is there.
    fn overwrites(&self) -> bool {
        match self.route {
            Route::Add | Route::AddPlacement(_) => false,
            Route::Import(_) => self.import.replaces && !self.import.dry_run,
            _ => true,
        }
    }
}

impl Route {
    fn ids(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Add | Self::Template => (None, None),
            Self::Show(campaign)
            | Self::Change(campaign)
            | Self::Remove(campaign)
            | Self::Placements(campaign)
            | Self::AddPlacement(campaign)
            | Self::Import(campaign) => (Some(campaign), None),
            Self::ShowPlacement(campaign, placement)
            | Self::ChangePlacement(campaign, placement)
            | Self::RemovePlacement(campaign, placement) => (Some(campaign), Some(placement)),
        }
    }
}

/// What is answered when the change is in force.
fn answer(
    asked: &Asked,
    catalog: &Catalog,
    (before, after): (u32, u32),
    said: Map<String, Value>,
) -> Result<Answer, Problem> {
    let id_of = |fields: &Fields| field(fields, "id").and_then(Field::as_text).unwrap_or_default().to_owned();
    let (campaign, placement) = asked.route.ids();
    let campaign = campaign.map_or_else(|| id_of(&asked.fields), str::to_owned);
    let campaign = || catalog.campaigns.get(&campaign).ok_or(Problem::UnknownCampaign);
    let placement = || {
        let id = placement.map_or_else(|| id_of(&asked.fields), str::to_owned);
        campaign()?.placements.get(&id).ok_or(Problem::UnknownPlacement)
    };
    Ok(match &asked.route {
        Route::Add => versioned(StatusCode::CREATED, after, show::campaign(campaign()?, Told::ALL)),
        Route::Change(_) => versioned(StatusCode::OK, after, show::campaign(campaign()?, Told::ALL)),
        Route::AddPlacement(_) => {
            versioned(StatusCode::CREATED, after, show::placement(placement()?, Told::ALL))
        }
        Route::ChangePlacement(..) => {
            versioned(StatusCode::OK, after, show::placement(placement()?, Told::ALL))
        }
        Route::Import(_) if asked.import.dry_run => versioned(StatusCode::OK, before, said),
        _ => versioned(StatusCode::OK, after, said),
    })
}

/// The new values as the audit log is told them.
fn entered(fields: &Fields) -> Value {
    let text = |value: &Option<Field>| match value {
        None => Value::Null,
        Some(Field::Text(text)) => cut(text).into(),
        Some(Field::Whole(number)) => (*number).into(),
        Some(Field::Flag(flag)) => (*flag).into(),
        Some(Field::Date(day)) => day.to_string().into(),
        Some(Field::Decimal(number)) => cut(number).into(),
        Some(list @ (Field::List(_) | Field::Table(_))) => {
            cut_to(&list.written(), ENTERED_LIST_BYTES_MAX).into()
        }
    };
    Value::Object(fields.iter().take(ENTERED_MAX).map(|(key, value)| (cut(key), text(value))).collect())
}

fn only_version(query: &[(String, String)]) -> Result<(), Problem> {
    if query.iter().all(|(name, _)| name == "version") && query.len() < 2 {
        Ok(())
    } else {
        Err(bad("the only parameter is version"))
    }
}

fn other_version(present: u32) -> Problem {
    let message = "the catalog has changed since that version: read it again, and send the change with the version of now";
    let more = Map::from_iter([("version".to_owned(), format!("{present:08x}").into())]);
    refusal_with(Code::Version, message, more)
}

fn no_version() -> Problem {
    let message = "say which version of the catalog the change is based on, in If-Match or as version: so that nobody's change is overwritten unseen";
    refusal(Code::NoVersion, message)
}

fn not_kept(error: CatalogTextError) -> Problem {
    match error {
        CatalogTextError::Changed { present } => other_version(present),
        CatalogTextError::Away(why) => {
            tracing::error!(error = why, "the catalog cannot be read or replaced");
            let message =
                "the catalog cannot be read or replaced at present, and nothing was changed; try again";
            refusal(Code::Away, message)
        }
        CatalogTextError::Unsure(why) => {
            tracing::error!(error = why, "whether the catalog was replaced is not known");
            refusal(
                Code::Unsure,
                "whether the catalog was changed is not known: read it before you try again",
            )
        }
    }
}

fn refused(error: &EditError) -> Problem {
    let message = error.to_string();
    match error {
        EditError::UnknownCampaign => Problem::UnknownCampaign,
        EditError::UnknownPlacement => Problem::UnknownPlacement,
        EditError::Exists { .. } => refusal(Code::Exists, message),
        EditError::Broken(_) | EditError::NotEditable(_) => refusal(Code::NotEditable, message),
        EditError::IdStays => wrong_fields(vec![("id".to_owned(), message.into())]),
        EditError::Refused(_) => refusal(Code::Refused, format!("{message}; nothing was changed")),
    }
}
