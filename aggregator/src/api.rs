//! The report API over HTTP.
//!
//! Owns routes, authorisation and the form of answers; what is in them comes from [`crate::report`] and [`crate::settle`].
//!
//! | | |
//! |---|---|
//! | `GET /v1/campaigns`, `POST /v1/campaigns` | the campaigns; a new one |
//! | `GET /v1/campaigns/{campaign}`, `PATCH`, `DELETE /v1/campaigns/{campaign}` | one as the catalog has it; changes it; takes it away |
//! | `GET /v1/campaigns/{campaign}/placements`, `POST /v1/campaigns/{campaign}/placements` | its placements with their plans; a new one |
//! | `POST /v1/campaigns/{campaign}/placements/import` | placements from a sheet, all or nothing (`dry_run`, `existing`, `profiles`, `version`) |
//! | `GET /v1/campaigns/{campaign}/placements/{placement}`, `PATCH`, `DELETE /v1/campaigns/{campaign}/placements/{placement}` | one of them |
//! | `GET /v1/placements-template` | an empty sheet (`format`, `language`) |
//! | `GET /v1/profiles` | the profiles of media's macros (`medium`) |
//! | `GET /v1/campaigns/{campaign}/delivery`, `…/reach`, `…/frequency`, `…/ids`, `…/overlap` | a report (`from`, `to`, `by`, `filter`, `format` and more) |
//! | `GET /v1/campaigns/{campaign}/workbook` | all of them in one workbook (`from`, `to`, `filter`, `language` and more) |
//! | `GET /v1/campaigns/{campaign}/links` | its tracking URLs (`dialect`, `stages`, `format`, `sign`, `days`, `base`) |
//! | `GET /v1/campaigns/{campaign}/placements/{placement}/hits` | newest hits on a placement in its trial state (`limit`) |
//! | `GET /v1/campaigns/{campaign}/media-numbers`, `PUT /v1/campaigns/{campaign}/media-numbers` | what media say that they delivered (`medium`, `version`); takes it (`existing`, `dry_run`) |
//! | `GET /v1/alerts` | what somebody has to be told (`campaign`) |
//! | `GET /v1/campaigns/{campaign}/closings`, `POST /v1/campaigns/{campaign}/closings` | periods whose figures stay as they are; closes one |
//! | `GET /v1/set-aside` | devices that are set aside (`from`, `to`) |
//! | `GET /v1/tokens`, `POST /v1/tokens` | who has a token; makes one |
//! | `GET /v1/tokens/{token}`, `DELETE /v1/tokens/{token}` | one of them; revokes it |
//! | `GET /v1/books` | outcome counts of each journal and their sum |
//! | `POST /v1/settle[?day=YYYY-MM-DD]` | brings changed days up to date, today too, and says what was done; 409 where another aggregator settles |
//! | `GET /v1/me` | whose token it is, what it may do, and how figures are shown to it |
//! | `GET /openapi.yaml` | this API described; needs no token |
//!
//! `GET /` is the dashboard, its files are below `/dashboard/`: they hold no figures and need no token.
//!
//! Every other request needs `Authorization: Bearer <token>`. What a token sees is [`crate::view`]'s to say, what of it [`crate::report`]'s: operator and
//! auditor see everything, only the operator changes anything, advertisers and media see their own campaigns and placements. What a token does not see
//! is answered like what does not exist. An error is `{"error":{"code":"…","message":"…"}}`.
//!
//! Every access is entered in the audit log (`access`) before the answer leaves; where that cannot be done, the answer is 503.
//!
//! Must never: run a statement on the runtime's own thread, or show the engine's words to a caller.

mod access;
mod alerts;
mod answers;
mod books;
mod campaigns;
mod closings;
mod dashboard;
mod links;
mod me;
mod numbers;
mod problem;
mod profiles;
mod query;
mod tokens;
mod trial;

pub(crate) use trial::flag_names;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;

use self::access::Access;
use self::answers::{body, description, file, json_answer};
pub use self::links::LinkParts;
use self::problem::{Problem, too_large};
use self::query::{bad, days, decode, none, query, settle_day};
use crate::catalog_text::CatalogText;
use crate::form::Form;
use crate::report::{BookAsked, Kind, Refused, ReportError, Reporter, Request};
use crate::settle::SettledDay;
use crate::tokens::{Gate, Who};
use crate::turns::Turns;
use crate::work::Worker;

/// Longest a settle request waits for the journal to be in the store.
const CATCH_UP_MAX: Duration = Duration::from_mins(10);

/// Where the API is described.
const DESCRIPTION_PATH: &str = "/openapi.yaml";

/// Answers requests.
pub(crate) struct Api {
    /// Who is let in.
    pub(crate) gate: Gate,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) worker: Arc<Worker>,
    /// Memory of one statement, bytes.
    pub(crate) statement_bytes_max: u64,
    /// Reports that are computed at the same time.
    pub(crate) reports: Turns,
    /// One: settling goes on one at a time, and reports do not wait for it.
    pub(crate) settles: Turns,
    /// What links are made by.
    pub(crate) links: LinkParts,
    /// The time.
    pub(crate) clock: event::clock::Clock,
    /// Where the catalog's text is kept, where it can be changed.
    pub(crate) catalog_text: Option<Arc<dyn CatalogText>>,
    /// One: the catalog is changed by one request at a time.
    pub(crate) edits: Turns,
    /// Bodies that are held in memory at the same time.
    pub(crate) bodies: Semaphore,
    /// Uploads of media's numbers that are read and kept at the same time. Apart from the others: media may be slow.
    pub(crate) uploads: Semaphore,
    /// Where every access is entered.
    pub(crate) audit: audit::Log,
    /// That a request came and how it was answered; nothing of what it asked for.
    pub(crate) security: security_log::Recorder,
}

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

#[derive(Serialize)]
struct Settled {
    days: Vec<SettledDay>,
    adopted: u64,
}

impl Api {
    /// Answers one request. Its body is read by the routes that take one, behind the token.
    pub(crate) async fn answer(
        self: Arc<Self>,
        peer: IpAddr,
        request: hyper::Request<Incoming>,
    ) -> Result<Answer, Infallible> {
        let with_body = may_have_body(request.headers());
        let (head, body) = request.into_parts();
        let mut answer = match self.authorize(&head.headers) {
            _ if head.uri.path() == DESCRIPTION_PATH => description(&head.method),
            _ if dashboard::is_of(head.uri.path()) => dashboard::answer(&head),
            Ok(who) => {
                let access = Access::of(&head.method, head.uri.path(), head.uri.query().unwrap_or(""));
                let answer = self.route(&head, body, &who).await;
                self.entered(&who.actor, access, answer.unwrap_or_else(Problem::answer)).await
            }
            Err(problem) => problem.answer(),
        };
        if with_body {
            // Where the body ends is not ours to guess: what follows on this connection is not taken for a request.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        access::note(&self, peer, &head, &answer);
        Ok(answer)
    }

    async fn route(self: &Arc<Self>, head: &Parts, body: Incoming, who: &Who) -> Result<Answer, Problem> {
        let query = query(head.uri.query().unwrap_or(""))?;
        if let Some(route) = campaigns::Route::of(&head.method, head.uri.path())? {
            return self.campaign_route(route, (&head.headers, &query), body, who).await;
        }
        let parts: Vec<&str> = head.uri.path().trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["v1", "campaigns"] => {
                only(&head.method, &Method::GET)?;
                none(&query)?;
                let view = who.view.clone();
                self.blocking((&self.reports, who), move |api| {
                    let rows = api.reporter.campaigns(&view).map_err(Problem::Store)?;
                    Ok(json_answer(StatusCode::OK, &json!({ "campaigns": rows })))
                })
                .await
            }
            ["v1", "campaigns", campaign, "media-numbers"] => {
                let campaign = decode(campaign)?;
                self.media_numbers(head, (&campaign, &query), body, who).await
            }
            ["v1", "campaigns", campaign, "closings"] => {
                let campaign = decode(campaign)?;
                self.closings(head, (&campaign, &query), body, who).await
            }
            ["v1", "campaigns", campaign, rest @ ..] => {
                let campaign = decode(campaign)?;
                self.of_campaign(head, (&campaign, rest), &query, who).await
            }
            ["v1", "me"] => {
                only(&head.method, &Method::GET)?;
                none(&query)?;
                Ok(self.me(who))
            }
            ["v1", "profiles"] => self.profiles(&head.method, &query),
            ["v1", "alerts"] => {
                only(&head.method, &Method::GET)?;
                let (query, view) = (query.clone(), who.view.clone());
                self.blocking((&self.reports, who), move |api| api.alerts(&query, &view)).await
            }
            ["v1", "tokens", rest @ ..] => self.tokens(head, rest, body, who).await,
            ["v1", "set-aside"] => {
                only(&head.method, &Method::GET)?;
                self.set_aside(&query, who).await
            }
            ["v1", "books"] => {
                only(&head.method, &Method::GET)?;
                of_the_house(who)?;
                none(&query)?;
                let books =
                    self.blocking((&self.reports, who), |api| api.books().map_err(Problem::Store)).await?;
                Ok(json_answer(StatusCode::OK, &books))
            }
            ["v1", "settle"] => {
                only(&head.method, &Method::POST)?;
                may_change(who)?;
                let day = settle_day(&query)?;
                self.enter_settle(&who.actor, &query).await?;
                let settled = self.blocking((&self.settles, who), move |api| api.settle(day)).await?;
                Ok(json_answer(StatusCode::OK, &settled))
            }
            _ => Err(Problem::NotFound("no such path")),
        }
    }

    async fn set_aside(self: &Arc<Self>, query: &[(String, String)], who: &Who) -> Result<Answer, Problem> {
        of_the_house(who)?;
        let (from, to) = days(query)?;
        let list = move |api: &Self| api.reporter.set_aside(from, to).map_err(Problem::Store);
        let (devices, has_more) = self.blocking((&self.reports, who), list).await?;
        let max = self.reporter.rules.ceiling;
        let answer = json!({ "device_day_impressions_max": max, "devices": devices, "has_more": has_more });
        Ok(json_answer(StatusCode::OK, &answer))
    }

    /// What lies below a campaign. Whether the token sees the campaign is asked before anything is looked up, so that one which it does not see is
    /// answered like one that nobody has.
    async fn of_campaign(
        self: &Arc<Self>,
        head: &Parts,
        (campaign, rest): (&str, &[&str]),
        query: &[(String, String)],
        who: &Who,
    ) -> Result<Answer, Problem> {
        let sight = || {
            let catalog = self.reporter.catalog.load();
            who.view.of(&catalog, campaign).ok_or(Problem::UnknownCampaign)
        };
        match rest {
            ["links"] => {
                only(&head.method, &Method::GET)?;
                let request = links::Request::parse(campaign.to_owned(), query)?;
                let (sight, may_sign) = (sight()?, who.view.may_change());
                self.blocking((&self.reports, who), move |api| {
                    let now_ms = api.clock.now_ms();
                    let list = api.make_links(&request, (&sight, may_sign), now_ms)?;
                    if request.form == Form::Json {
                        return Ok(json_answer(StatusCode::OK, &list));
                    }
                    let bytes = list.write(&request, now_ms).map_err(Problem::from)?;
                    Ok(file(request.form, bytes, |extension| request.file_name(extension)))
                })
                .await
            }
            ["workbook"] => {
                only(&head.method, &Method::GET)?;
                let asked = BookAsked::parse((campaign, &sight()?), query).map_err(Problem::Refused)?;
                self.blocking((&self.reports, who), move |api| {
                    let book = api.reporter.bound(&asked);
                    let book = book.map_err(|error| report_problem(error, api.statement_bytes_max))?;
                    let bytes = book.write(api.clock.now_ms()).map_err(Problem::from)?;
                    Ok(file(Form::Xlsx, bytes, |extension| book.file_name(extension)))
                })
                .await
            }
            ["placements", placement, "hits"] => {
                only(&head.method, &Method::GET)?;
                let hits = trial::Request::parse(campaign.to_owned(), decode(placement)?, query)?;
                let sight = sight()?;
                let hits =
                    self.blocking((&self.reports, who), move |api| api.trial_hits(&hits, &sight)).await?;
                Ok(json_answer(StatusCode::OK, &hits))
            }
            [report] => {
                let kind = Kind::from_name(report).ok_or(Problem::NotFound(
                    "no such report; there are delivery, reach, frequency, ids, overlap",
                ))?;
                only(&head.method, &Method::GET)?;
                let request = Request::parse(kind, (campaign, sight()?), query).map_err(Problem::Refused)?;
                self.report(request, who).await
            }
            _ => Err(Problem::NotFound("no such path")),
        }
    }

    /// Who asks.
    fn authorize(self: &Arc<Self>, headers: &HeaderMap) -> Result<Who, Problem> {
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent.and_then(|sent| {
            let (scheme, token) = sent.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let now_ms = self.clock.now_ms();
        let who = self.gate.admit(token, now_ms).map_err(|refusal| Problem::of_refusal(&refusal))?;
        if let Some(used) = self.gate.use_to_write(&who, now_ms) {
            let api = Arc::clone(self);
            // It waits for the disk or for Kafka; nobody waits for it.
            tokio::task::spawn_blocking(move || api.gate.write_use(&used));
        }
        Ok(who)
    }

    async fn report(self: &Arc<Self>, request: Request, who: &Who) -> Result<Answer, Problem> {
        self.blocking((&self.reports, who), move |api| {
            let report = api.reporter.report(&request);
            let report = report.map_err(|error| report_problem(error, api.statement_bytes_max))?;
            let bytes = report.write(request.form, api.clock.now_ms()).map_err(Problem::from)?;
            Ok(file(request.form, bytes, |extension| report.file_name(extension)))
        })
        .await
    }

    fn settle(&self, day: Option<u16>) -> Result<Settled, Problem> {
        if !self.worker.is_settler() {
            return Err(Problem::NotSettler);
        }
        if !self.worker.catch_up(CATCH_UP_MAX) {
            return Err(Problem::Behind);
        }
        self.worker.look_for_unresolved();
        let adopted = self.worker.follow_rules().map_err(Problem::Store)?;
        let days = self.worker.settle_changed(day).map_err(Problem::Store)?;
        Ok(Settled { days, adopted })
    }

    /// Runs work that waits for the store on a thread of its own, when it is its turn. The turn ends with the work, even if the caller went away.
    async fn blocking<T, F>(self: &Arc<Self>, (turns, who): (&Turns, &Who), work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    {
        let turn = turns.take(&who.view).await.map_err(|_| Problem::Busy)?;
        let api = Arc::clone(self);
        let work = move || {
            let done = work(&api);
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(Problem::Busy))
    }
}

/// Why there is no report.
fn report_problem(error: ReportError, statement_bytes_max: u64) -> Problem {
    match error {
        ReportError::UnknownCampaign => Problem::UnknownCampaign,
        error @ (ReportError::DevicesExpired { .. } | ReportError::NotClosed | ReportError::OtherMembers) => {
            Problem::Refused(Refused::NotOffered(error.to_string()))
        }
        ReportError::Refused(refused) => Problem::Refused(refused),
        ReportError::Store(error) => too_large(error, statement_bytes_max),
        ReportError::Numbers(error) => numbers::unread(&error),
        ReportError::Closings(error) => closings::problem(error),
    }
}

fn of_the_house(who: &Who) -> Result<(), Problem> {
    if who.view.is_of_the_house() { Ok(()) } else { Err(Problem::Forbidden) }
}

fn may_change(who: &Who) -> Result<(), Problem> {
    if who.view.may_change() { Ok(()) } else { Err(Problem::Forbidden) }
}

/// Whether a request announces a body, in whatever way.
fn may_have_body(headers: &HeaderMap) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH);
    headers.contains_key(TRANSFER_ENCODING)
        || lengths.iter().count() > 1
        || lengths.iter().any(|length| length.as_bytes() != b"0")
}

fn only(method: &Method, allowed: &Method) -> Result<(), Problem> {
    if method == allowed {
        Ok(())
    } else {
        Err(Problem::Method(if *allowed == Method::POST { "POST" } else { "GET" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_seen_however_it_is_announced() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            headers
        };
        assert!(!may_have_body(&headers(&[("content-length", "0")])) && !may_have_body(&headers(&[])));
        for pairs in [
            &[("content-length", "5")][..],
            &[("content-length", "0"), ("content-length", "0")],
            &[("transfer-encoding", "chunked"), ("content-length", "0")],
        ] {
            assert!(may_have_body(&headers(pairs)), "{pairs:?}");
        }
    }
}
