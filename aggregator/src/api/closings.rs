//! `/v1/campaigns/{campaign}/closings`: periods whose figures stay as they are.
//!
//! | | |
//! |---|---|
//! | `GET …` | every closing of the campaign, in the order in which they were made |
//! | `POST …` `{"from":"2026-11-01","to":"2026-11-30","note":"…"}` | closes a range of settled days; operator |
//!
//! A range that is closed already is closed again as another version, and `note` has to say why. Periods are closed on the aggregator that settles (409
//! elsewhere); what is about to be done is in the audit log before it is.

use std::sync::Arc;
use std::time::Duration;

use audit::Entry;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::problem::{Entry as Refusal, Problem};
use super::tokens::{self, moment};
use super::{Answer, Api, bad, json_answer, may_change, none, report_problem};
use crate::closings::{Closing, ClosingError, NOTE_BYTES_MAX, may_close};
use crate::report::{CloseError, Wanted, day};
use crate::store::day_text;
use crate::tokens::Who;
use crate::view::View;

/// Longest a closing waits for what came before it to be in the store.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// The body of a `POST`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    from: String,
    to: String,
    #[serde(default)]
    note: String,
}

/// A closing as it is shown.
#[derive(Serialize)]
struct Row {
    from: String,
    to: String,
    version: u64,
    /// Whether it is the newest of its range, from which reports are answered.
    newest: bool,
    closed_at: String,
    /// The token's role, for operator and auditor its id and name too; not told to media.
    closed_by: Option<String>,
    /// Not told to media.
    note: Option<String>,
    time_zone: String,
    /// Of all its reports; told to the house, for it counts the placements of all tenants of the campaign.
    rows: Option<usize>,
    versions: Versions,
}

#[derive(Serialize)]
struct Versions {
    program: String,
    /// Told to the house: it changes with everybody's campaigns.
    catalog: Option<String>,
    rules: String,
}

impl Api {
    pub(super) async fn closings(
        self: &Arc<Self>,
        head: &Parts,
        (campaign, query): (&str, &[(String, String)]),
        body: Incoming,
        who: &Who,
    ) -> Result<Answer, Problem> {
        none(query)?;
        {
            let catalog = self.reporter.catalog.load();
            who.view.of(&catalog, campaign).ok_or(Problem::UnknownCampaign)?;
        }
        match head.method {
            Method::GET => {
                let (campaign, view) = (campaign.to_owned(), who.view.clone());
                self.blocking((&self.reports, who), move |api| {
                    let list = api.reporter.closings.list(&campaign).map_err(problem)?;
                    let rows: Vec<Row> = list.iter().map(|one| row(one, &list, &view)).collect();
                    Ok(json_answer(StatusCode::OK, &json!({ "campaign": campaign, "closings": rows })))
                })
                .await
            }
            Method::POST => {
                may_change(who)?;
                if !self.worker.is_settler() {
                    return Err(Problem::NotSettler);
                }
                let wanted = wanted(campaign, &tokens::read(body).await?, who)?;
                self.close_period(wanted, who).await
            }
            _ => Err(Problem::Method("GET, POST")),
        }
    }

    async fn close_period(self: &Arc<Self>, wanted: Wanted, who: &Who) -> Result<Answer, Problem> {
        let before = self.reporter.closings.list(&wanted.campaign).map_err(problem)?;
        // What is refused at once is not entered as an act; it is asked again when it is this closing's turn.
        may_close(&before, (wanted.from, wanted.to), &wanted.note).map_err(problem)?;
        let details = json!({"from": day_text(wanted.from), "to": day_text(wanted.to), "note": wanted.note});
        let object = format!("campaign {}", wanted.campaign);
        self.enter(Entry::new(&who.actor, "period.close", object, details)).await?;
        let view = who.view.clone();
        // Nobody settles by hand meanwhile, which would change what is closed.
        self.blocking((&self.settles, who), move |api| {
            // What came before it is in it, or its day is not settled: what is late came later.
            if !api.worker.catch_up(CATCH_UP_MAX) {
                return Err(Problem::Behind);
            }
            let closing =
                api.reporter.close(&wanted).map_err(|error| refused(error, api.statement_bytes_max))?;
            let list = api.reporter.closings.list(&wanted.campaign).map_err(problem)?;
            Ok(json_answer(StatusCode::CREATED, &row(&closing, &list, &view)))
        })
        .await
    }
}

fn wanted(campaign: &str, body: &[u8], who: &Who) -> Result<Wanted, Problem> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        bad(&format!("the body is {{\"from\":\"2026-11-01\",\"to\":\"2026-11-30\",\"note\":\"…\"}}: {error}"))
    })?;
    let from = day("from", &body.from).map_err(Problem::Refused)?;
    let to = day("to", &body.to).map_err(Problem::Refused)?;
    let note = body.note.trim().to_owned();
    if from > to {
        return Err(bad("from is after to"));
    }
    if note.len() > NOTE_BYTES_MAX || note.chars().any(char::is_control) {
        return Err(bad(&format!("note has at most {NOTE_BYTES_MAX} bytes, on one line")));
    }
    Ok(Wanted { campaign: campaign.to_owned(), from, to, note, by: who.actor.clone() })
}

fn row(closing: &Closing, list: &[Closing], view: &View) -> Row {
    let (is_medium, is_of_the_house) = (matches!(view, View::Medium(_)), view.is_of_the_house());
    let by = if is_of_the_house {
        closing.by.clone()
    } else {
        closing.by.split(' ').next().unwrap_or_default().to_owned()
    };
    let of_range = list.iter().filter(|one| (one.from, one.to) == (closing.from, closing.to));
    Row {
        from: day_text(closing.from),
        to: day_text(closing.to),
        version: closing.version,
        newest: of_range.map(|one| one.version).max() == Some(closing.version),
        closed_at: moment(closing.at_ms),
        closed_by: (!is_medium).then_some(by),
        note: (!is_medium).then(|| closing.note.clone()),
        time_zone: closing.time_zone.clone(),
        rows: is_of_the_house.then_some(closing.rows),
        versions: Versions {
            program: closing.program.clone(),
            catalog: is_of_the_house.then(|| closing.catalog.clone()),
            rules: closing.rules.clone(),
        },
    }
}

fn refused(error: CloseError, statement_bytes_max: u64) -> Problem {
    match error {
        CloseError::NotSettled { .. } | CloseError::Changing => {
            let message = error.to_string();
            let days = if let CloseError::NotSettled { days } = error { days } else { Vec::new() };
            Problem::Entry(Refusal::NotSettled { message, days })
        }
        CloseError::Report(error) => report_problem(error, statement_bytes_max),
        CloseError::Closing(error) => problem(error),
    }
}

/// What is not kept, or cannot be read.
pub(super) fn problem(error: ClosingError) -> Problem {
    match error {
        ClosingError::NeedsNote => bad(&error.to_string()),
        ClosingError::Changing { .. } => Problem::Entry(Refusal::Changing(error.to_string())),
        ClosingError::TooMany | ClosingError::TooLarge => Problem::Entry(Refusal::Full(error.to_string())),
        ClosingError::Desk(desk::Error::Behind(why)) => {
            tracing::error!(why, "closed periods cannot be read");
            Problem::Entry(Refusal::Unread)
        }
        ClosingError::Desk(error @ desk::Error::Part { .. }) => {
            tracing::error!(%error, "a closed period cannot be read");
            Problem::Entry(Refusal::Unread)
        }
        ClosingError::Desk(error) => Problem::Desk(error),
        ClosingError::Form { .. } | ClosingError::Pack(_) => {
            tracing::error!(%error, "a closed period cannot be kept or read");
            Problem::Entry(Refusal::Unread)
        }
    }
}
