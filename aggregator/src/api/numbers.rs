//! `/v1/campaigns/{campaign}/media-numbers`: what media say that they delivered.
//!
//! | | |
//! |---|---|
//! | `GET …[?medium=…[&version=…]]` | who gave numbers when; with a medium its rows too, those in force or those of a version |
//! | `PUT …[?existing=keep\|replace][&dry_run=true]` | rows of placement, day, impressions, clicks; JSON, CSV or XLSX; operator, or a medium for its own placements |
//!
//! An upload is taken whole or not at all: what is wrong in any row is told for every row. Rows replace what was said of the same placement and day;
//! with `existing=replace` all that the media of the upload said before goes. It is kept on the aggregator that settles (409 elsewhere), and in the audit
//! log before it is.
//!
//! Must never: take a number for a placement that whoever gives it does not see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit::Entry;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::problem::{Entry as Refusal, Problem, Wrong};
use super::tokens::moment;
use super::{Answer, Api, bad, json_answer};
use crate::numbers::read::{Around, BYTES_MAX, Reading, Unreadable, read};
use crate::numbers::{Cells, NumbersError, OfMedium, Upload, Version};
use crate::report::local_day;
use crate::store::day_text;
use crate::tokens::Who;
use crate::view::{Sight, View};

/// Longest that a body may take.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// What parameters a `PUT` has.
const PARAMETERS: &str = "the parameters are existing (keep, replace) and dry_run (true, false)";

/// A version as it is shown.
#[derive(Serialize)]
struct Row {
    version: u64,
    given: String,
    /// The token's role; for operator and auditor its id and name too.
    given_by: String,
    given_rows: usize,
    replaced: bool,
    rows: usize,
    first_day: Option<String>,
    last_day: Option<String>,
    impressions: u64,
    clicks: u64,
}

/// What a placement's medium says of a day.
#[derive(Serialize)]
struct SaidRow {
    placement: String,
    day: String,
    impressions: u64,
    clicks: Option<u64>,
}

#[derive(Clone, Copy, Default)]
struct Options {
    replaces: bool,
    is_dry: bool,
}

impl Api {
    pub(super) async fn media_numbers(
        self: &Arc<Self>,
        head: &Parts,
        (campaign, query): (&str, &[(String, String)]),
        body: Incoming,
        who: &Who,
    ) -> Result<Answer, Problem> {
        let sight = {
            let catalog = self.reporter.catalog.load();
            who.view.of(&catalog, campaign).ok_or(Problem::UnknownCampaign)
        };
        match head.method {
            Method::GET => {
                let asked = asked(query)?;
                self.show_numbers(campaign.to_owned(), asked, &sight?, who).await
            }
            Method::PUT => {
                let options = options(query)?;
                let sight = sight?;
                if !matches!(who.view, View::Operator | View::Medium(_)) {
                    return Err(Problem::Forbidden);
                }
                if !self.worker.is_settler() {
                    return Err(Problem::NotSettler);
                }
                self.take_numbers(campaign, options, (&sight, who), body).await
            }
            _ => Err(Problem::Method("GET, PUT")),
        }
    }

    async fn take_numbers(
        self: &Arc<Self>,
        campaign: &str,
        options: Options,
        (sight, who): (&Sight, &Who),
        body: Incoming,
    ) -> Result<Answer, Problem> {
        // Until it is kept: what is made of a body takes up more than the body.
        let _turn = self.uploads.acquire().await.map_err(|_| Problem::Busy)?;
        let (campaign_id, body) = (campaign.to_owned(), whole(body).await?);
        let now_ms = self.clock.now_ms();
        let (seen, by) = (sight.clone(), who.actor.clone());
        // Reading takes a while.
        let reading = self
            .blocking((&self.reports, who), move |api| {
                let catalog = api.reporter.catalog.load();
                let known = catalog.campaigns.get(&campaign_id).ok_or(Problem::UnknownCampaign)?;
                let today = local_day(now_ms, Some(known));
                read(&body, &Around { campaign: known, sight: &seen, today })
                    .map_err(|error| unreadable(&error))
            })
            .await?;
        if reading.wrong_count > 0 {
            return Err(wrong(reading));
        }
        let said = |media: &BTreeMap<String, Cells>| -> Vec<Value> {
            media.iter().map(|(medium, cells)| json!({"medium": medium, "rows": cells.len()})).collect()
        };
        let (rows, media) = (reading.rows, said(&reading.media));
        let mut answer = json!({
            "campaign": campaign, "dry_run": options.is_dry, "rows": rows, "media": media, "ignored_columns": reading.ignored,
            "sheet": reading.sheet, "unread_sheets": reading.unread,
            "warnings": reading.warnings, "sum_rows": reading.sum_rows,
        });
        if options.is_dry {
            return Ok(json_answer(StatusCode::OK, &answer));
        }
        let details = json!({"rows": rows, "replaced": options.replaces, "media": reading.media.len()});
        self.enter(Entry::new(&who.actor, "numbers.give", format!("campaign {campaign}"), details)).await?;
        let upload = Upload {
            campaign: campaign.to_owned(),
            media: reading.media,
            replaces: options.replaces,
            by,
            at_ms: now_ms,
        };
        let api = Arc::clone(self);
        // It waits for the disk or for Kafka, and goes on if whoever asked goes away.
        let given = tokio::task::spawn_blocking(move || api.reporter.numbers.give(&upload)).await;
        let given = given.map_err(|_| Problem::Busy)?.map_err(not_kept)?;
        let view = &who.view;
        let versions: Vec<Value> = given
            .into_iter()
            .map(|(medium, version)| json!({"medium": medium, "version": row(&version, view)}))
            .collect();
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("media".to_owned(), versions.into());
        }
        Ok(json_answer(StatusCode::OK, &answer))
    }

    async fn show_numbers(
        self: &Arc<Self>,
        campaign: String,
        (medium, version): (Option<String>, Option<u64>),
        sight: &Sight,
        who: &Who,
    ) -> Result<Answer, Problem> {
        let (sight, view) = (sight.clone(), who.view.clone());
        self.blocking((&self.reports, who), move |api| {
            let numbers = &api.reporter.numbers;
            let is_seen = |of: &OfMedium| match &view {
                View::Medium(media) => media.contains(&of.medium),
                View::Operator | View::Auditor | View::Advertiser(_) => true,
            };
            let mut media = numbers.media(&campaign).map_err(|error| unread(&error))?;
            media.retain(|of| is_seen(of) && medium.as_ref().is_none_or(|medium| of.medium == *medium));
            let mut rows = None;
            if let Some(of) = medium.is_some().then(|| media.first()).flatten() {
                let wanted = |one: &&Version| version.is_none_or(|version| one.number == version);
                let found = of.versions.iter().rev().find(wanted);
                let found = found.ok_or(Problem::NotFound("no version of that number is kept"))?;
                let cells =
                    numbers.cells_of(&campaign, found, &(0..=u16::MAX)).map_err(|error| unread(&error))?;
                rows = Some(said_rows(api, &campaign, &sight, cells));
            }
            let listed: Vec<Value> = media
                .iter()
                .map(|of| {
                    let versions: Vec<Row> = of.versions.iter().rev().map(|one| row(one, &view)).collect();
                    json!({"medium": of.medium, "versions": versions})
                })
                .collect();
            let mut answer = json!({"campaign": campaign, "media": listed});
            if let (Some(rows), Some(fields)) = (rows, answer.as_object_mut()) {
                fields.insert("rows".to_owned(), json!(rows));
            }
            Ok(json_answer(StatusCode::OK, &answer))
        })
        .await
    }
}

/// The rows of a version, of placements that are seen. One that left the catalog is shown to who sees everything.
fn said_rows(api: &Api, campaign: &str, sight: &Sight, cells: Cells) -> Vec<SaidRow> {
    let catalog = api.reporter.catalog.load();
    let is_seen = |id: &str| {
        let placement = catalog.campaigns.get(campaign).and_then(|campaign| campaign.placements.get(id));
        sight.is_exact() || placement.is_some_and(|placement| sight.sees(placement))
    };
    let seen = cells.into_iter().filter(|((placement, _), _)| is_seen(placement));
    seen.map(|((placement, day), said)| SaidRow {
        placement,
        day: day_text(day),
        impressions: said.impressions,
        clicks: said.clicks,
    })
    .collect()
}

fn row(version: &Version, view: &View) -> Row {
    let role = || version.by.split(' ').next().unwrap_or_default().to_owned();
    Row {
        version: version.number,
        given: moment(version.at_ms),
        given_by: if view.is_of_the_house() { version.by.clone() } else { role() },
        given_rows: version.given_rows,
        replaced: version.replaced,
        rows: version.rows,
        first_day: version.first_day.map(day_text),
        last_day: version.last_day.map(day_text),
        impressions: version.impressions,
        clicks: version.clicks,
    }
}

fn asked(query: &[(String, String)]) -> Result<(Option<String>, Option<u64>), Problem> {
    let (mut medium, mut version) = (None, None);
    for (name, value) in query {
        match name.as_str() {
            "medium" => medium = Some(value.clone()),
            "version" => {
                version = Some(value.parse().map_err(|_| bad("version must be a whole number"))?);
            }
            _ => return Err(bad("the parameters are medium and version")),
        }
    }
    if version.is_some() && medium.is_none() {
        return Err(bad("version is of a medium: say which"));
    }
    Ok((medium, version))
}

fn options(query: &[(String, String)]) -> Result<Options, Problem> {
    let mut options = Options::default();
    for (name, value) in query {
        match (name.as_str(), value.as_str()) {
            ("existing", "keep" | "replace") => options.replaces = value == "replace",
            ("dry_run", "true" | "false") => options.is_dry = value == "true",
            _ => return Err(bad(PARAMETERS)),
        }
    }
    Ok(options)
}

/// The body of an upload.
async fn whole(body: Incoming) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(BODY_WAIT, Limited::new(body, BYTES_MAX).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Problem::Entry(Refusal::TooLong(BYTES_MAX)))
        }
        Ok(Err(_)) | Err(_) => Err(bad("the body did not come whole within 30 s")),
    }
}

fn unreadable(error: &Unreadable) -> Problem {
    let message = format!("{error}; nothing was taken");
    Problem::Entry(Refusal::Sheet(Box::new(Wrong {
        message,
        mistake: Some(error.mistake().into()),
        ..Wrong::default()
    })))
}

fn wrong(reading: Reading) -> Problem {
    let message = match reading.wrong_count {
        1 => "one cell is wrong; nothing was taken".to_owned(),
        count => format!("{count} cells are wrong; nothing was taken"),
    };
    Problem::Entry(Refusal::Sheet(Box::new(Wrong {
        message,
        cells: reading.wrong,
        cell_count: reading.wrong_count,
        ignored_columns: reading.ignored,
        mistake: None,
    })))
}

/// What was not kept.
fn not_kept(error: NumbersError) -> Problem {
    match error {
        NumbersError::Desk(error) => Problem::Desk(error),
        NumbersError::TooMany { .. } => Problem::Entry(Refusal::Full(error.to_string())),
        NumbersError::Changing { .. } => Problem::Entry(Refusal::Changing(error.to_string())),
        NumbersError::Form { .. } => unread(&error),
    }
}

/// What cannot be read.
pub(super) fn unread(error: &NumbersError) -> Problem {
    tracing::error!(%error, "media's own numbers cannot be read");
    Problem::Entry(Refusal::Unread)
}
