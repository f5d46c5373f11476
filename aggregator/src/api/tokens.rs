//! `/v1/tokens`: who has a token, a new one, and the end of one.
//!
//! | | |
//! |---|---|
//! | `GET /v1/tokens`, `GET /v1/tokens/{id}` | tokens without their secrets; operator and auditor |
//! | `POST /v1/tokens` `{"name":"…","role":"advertiser","advertisers":["acme"],"expires_days":90}` | makes one; the answer alone says it; operator |
//! | `DELETE /v1/tokens/{id}` | revokes one: in force here when it is answered; operator |
//!
//! Tokens are made and revoked on the aggregator that settles (409 elsewhere). Either is in the audit log before it is done.
//!
//! Must never: show a token again, or anything that it could be found by.

use std::sync::Arc;
use std::time::Duration;

use audit::Entry;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::problem::Problem;
use super::{Answer, Api, bad, decode, json_answer, may_change, none, of_the_house, query};
pub(super) use crate::report::moment;
use crate::tokens::{self, Record, Wanted, Who};

/// Most bytes of a body.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Longest that a body may take.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// A token as it is shown.
#[derive(Serialize)]
struct Row {
    id: String,
    name: String,
    role: &'static str,
    /// Advertisers or media, by role.
    scope: Vec<String>,
    /// `in_force`, `expired` or `revoked`.
    state: &'static str,
    made: String,
    made_by: String,
    expires: Option<String>,
    revoked: Option<String>,
    /// To the minute.
    last_used: Option<String>,
}

impl Api {
    pub(super) async fn tokens(
        self: &Arc<Self>,
        head: &Parts,
        rest: &[&str],
        body: Incoming,
        who: &Who,
    ) -> Result<Answer, Problem> {
        none(&query(head.uri.query().unwrap_or(""))?)?;
        match (rest, &head.method) {
            ([], &Method::GET) => {
                of_the_house(who)?;
                let list = self
                    .blocking((&self.reports, who), |api| api.gate.list().map_err(|error| behind(&error)))
                    .await?;
                let mut rows: Vec<Row> =
                    list.into_iter().map(|(record, used)| self.row(record, used)).collect();
                rows.sort_by(|a, b| (&a.made, &a.id).cmp(&(&b.made, &b.id)));
                Ok(json_answer(StatusCode::OK, &json!({ "tokens": rows })))
            }
            ([], &Method::POST) => {
                may_change(who)?;
                self.is_to_write()?;
                self.make(&read(body).await?, who).await
            }
            ([id], &Method::GET) => {
                of_the_house(who)?;
                let (record, used) = self.token(&decode(id)?)?;
                Ok(json_answer(StatusCode::OK, &self.row(record, used)))
            }
            ([id], &Method::DELETE) => {
                may_change(who)?;
                self.is_to_write()?;
                self.revoke(&decode(id)?, who).await
            }
            ([], _) => Err(Problem::Method("GET, POST")),
            ([_], _) => Err(Problem::Method("GET, DELETE")),
            _ => Err(Problem::NotFound("no such path")),
        }
    }

    async fn make(self: &Arc<Self>, body: &[u8], who: &Who) -> Result<Answer, Problem> {
        let now_ms = self.clock.now_ms();
        let wanted = Wanted::read(body, now_ms)
            .map_err(|wrong| Problem::Field { key: wrong.key, mistake: wrong.mistake.into() })?;
        let (token, record) = tokens::draw(wanted, &who.actor, now_ms).map_err(|error| {
            tracing::error!(%error, "the system's random source failed");
            Problem::Busy
        })?;
        self.enter(Entry::new(&who.actor, "token.create", format!("token {}", record.id), said(&record)))
            .await?;
        self.put(record.clone()).await?;
        let unknown = self.unknown(&record);
        let mut answer = serde_json::to_value(self.row(record, None)).expect("rows can always be written");
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("token".to_owned(), token.into());
            // Not wrong: the catalog may follow.
            fields.insert("not_in_catalog".to_owned(), json!(unknown));
        }
        Ok(json_answer(StatusCode::CREATED, &answer))
    }

    async fn revoke(self: &Arc<Self>, id: &str, who: &Who) -> Result<Answer, Problem> {
        let (record, used) = self.token(id)?;
        if record.revoked_ms.is_some() {
            return Ok(json_answer(StatusCode::OK, &self.row(record, used)));
        }
        let record = Record { revoked_ms: Some(self.clock.now_ms()), ..record };
        self.enter(Entry::new(&who.actor, "token.revoke", format!("token {id}"), said(&record))).await?;
        self.put(record.clone()).await?;
        Ok(json_answer(StatusCode::OK, &self.row(record, used)))
    }

    fn token(&self, id: &str) -> Result<(Record, Option<i64>), Problem> {
        self.gate.find(id).map_err(|error| behind(&error))?.ok_or(Problem::UnknownToken)
    }

    async fn put(self: &Arc<Self>, record: Record) -> Result<(), Problem> {
        let api = Arc::clone(self);
        // It waits for the disk or for Kafka, and goes on if whoever asked goes away.
        let put = tokio::task::spawn_blocking(move || api.gate.put(&record)).await;
        put.map_err(|_| Problem::Busy)?.map_err(Problem::Desk)
    }

    /// One aggregator writes: of two that change one token at once the later would undo what the other did.
    pub(super) fn is_to_write(&self) -> Result<(), Problem> {
        if self.worker.is_settler() { Ok(()) } else { Err(Problem::NotSettler) }
    }

    /// Advertisers or media of the token that no campaign or placement has.
    fn unknown(&self, record: &Record) -> Vec<String> {
        let catalog = self.reporter.catalog.load();
        let is_known = |name: &String| match record.scope.role() {
            tokens::Role::Operator | tokens::Role::Auditor => true,
            tokens::Role::Advertiser => {
                catalog.campaigns.values().any(|campaign| campaign.advertiser.as_ref() == Some(name))
            }
            tokens::Role::Medium => {
                let mut placements =
                    catalog.campaigns.values().flat_map(|campaign| campaign.placements.values());
                placements.any(|placement| placement.medium == *name)
            }
        };
        record.scope.names().iter().filter(|name| !is_known(name)).cloned().collect()
    }

    fn row(&self, record: Record, used_ms: Option<i64>) -> Row {
        let state = match record.revoked_ms {
            Some(_) => "revoked",
            None if record.is_in_force(self.clock.now_ms()) => "in_force",
            None => "expired",
        };
        Row {
            id: record.id,
            name: record.name,
            role: record.scope.role().name(),
            scope: record.scope.names().to_vec(),
            state,
            made: moment(record.made_ms),
            made_by: record.made_by,
            expires: record.expires_ms.map(moment),
            revoked: record.revoked_ms.map(moment),
            last_used: used_ms.map(moment),
        }
    }
}

/// What the audit log is told of a token.
fn said(record: &Record) -> Value {
    json!({
        "name": record.name, "role": record.scope.role().name(), "scope": record.scope.names(),
        "expires": record.expires_ms.map(moment)
    })
}

/// The body of a request.
pub(super) async fn read(body: Incoming) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(BODY_WAIT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(_)) | Err(_) => Err(bad("the body has at most 65,536 bytes and comes within 10 s")),
    }
}

fn behind(error: &desk::Error) -> Problem {
    tracing::error!(%error, "tokens cannot be listed");
    Problem::TokensUnknown
}
