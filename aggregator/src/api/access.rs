//! What the audit log is told of each request with a right token: who asked for what, and what came of it.
//!
//! A report leaves only after its entry is synced; settling begins only after that. Requests without a right token are no access: they are counted and
//! stand in the security log, where they cannot fill this one.
//!
//! Must never: enter a token, or what a caller wrote that was not understood.

use std::net::IpAddr;
use std::sync::Arc;

use audit::Entry;
use hyper::body::Body as _;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use security_log::{Hit, Role};
use serde_json::{Map, Value, json};

use super::{Answer, Api, Problem, campaigns, decode, query};

/// Parameters that say which figures were shown.
const PARAMETERS: [&str; 24] = [
    "bom",
    "from",
    "to",
    "by",
    "filter",
    "format",
    "levels",
    "language",
    "precision",
    "audience",
    "members",
    "stack",
    "limit",
    "day",
    "dialect",
    "stages",
    "sign",
    "days",
    "medium",
    "version",
    "existing",
    "profiles",
    "dry_run",
    "state",
];
/// Most bytes of a parameter's value in an entry; what is longer is cut.
const VALUE_BYTES_MAX: usize = 128;

/// What was asked for, as an entry words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    act: &'static str,
    object: String,
    parameters: Map<String, Value>,
}

impl Access {
    /// What a request asks for. What its path or query holds that cannot be decoded is left out: it is refused anyway.
    pub(super) fn of(method: &Method, path: &str, query_text: &str) -> Self {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let text = |part: &str| decode(part).unwrap_or_default();
        let campaign = |part: &str| format!("campaign {}", text(part));
        let mut parameters = Map::new();
        let edited = campaigns::Route::of(method, path).ok().flatten();
        let (act, object) = match parts.as_slice() {
            _ if let Some(route) = &edited => (route.done(), route.object()),
            ["v1", "campaigns"] => ("campaigns.read", "all campaigns".to_owned()),
            ["v1", "campaigns", of, "links"] => ("links.read", campaign(of)),
            ["v1", "campaigns", of, "media-numbers"] if method == Method::PUT => {
                ("numbers.given", campaign(of))
            }
            ["v1", "campaigns", of, "media-numbers"] => ("numbers.read", campaign(of)),
            ["v1", "campaigns", of, "closings"] if method == Method::POST => ("period.closed", campaign(of)),
            ["v1", "campaigns", of, "closings"] => ("closings.read", campaign(of)),
            ["v1", "campaigns", of, report] => {
                parameters.insert("report".to_owned(), cut(&text(report)).into());
                ("report.read", campaign(of))
            }
            ["v1", "campaigns", of, "placements", placement, "hits"] => {
                ("hits.read", format!("{} placement {}", campaign(of), text(placement)))
            }
            ["v1", "set-aside"] => ("set_aside.read", "all campaigns".to_owned()),
            ["v1", "tokens"] if method == Method::POST => ("token.created", "tokens".to_owned()),
            ["v1", "tokens"] => ("tokens.read", "tokens".to_owned()),
            ["v1", "tokens", id] if method == Method::DELETE => {
                ("token.revoked", format!("token {}", cut(&text(id))))
            }
            ["v1", "tokens", id] => ("tokens.read", format!("token {}", cut(&text(id)))),
            ["v1", "me"] => ("token.seen", "own token".to_owned()),
            ["v1", "profiles"] => ("profiles.read", "profiles".to_owned()),
            ["v1", "alerts"] => ("alerts.read", "alerts".to_owned()),
            ["v1", "books"] => ("books.read", "all campaigns".to_owned()),
            ["v1", "settle"] => ("figures.settled", "figures".to_owned()),
            _ => ("api.unknown", String::new()),
        };
        for (name, value) in query(query_text).unwrap_or_default() {
            if PARAMETERS.contains(&name.as_str()) {
                parameters.insert(name, cut(&value).into());
            }
        }
        Self { act, object, parameters }
    }

    /// The entry, once the status is known. Words of a request that was not understood are not repeated.
    fn entry(self, actor: &str, status: StatusCode, bytes: u64) -> Entry {
        let Self { act, object, mut parameters } = self;
        let object = if status.is_client_error() {
            parameters.clear();
            String::new()
        } else {
            object
        };
        parameters.insert("status".to_owned(), status.as_u16().into());
        parameters.insert("bytes".to_owned(), bytes.into());
        Entry::new(actor, act, object, Value::Object(parameters))
    }
}

impl Api {
    /// Enters the access; the answer only if that could be done.
    pub(super) async fn entered(self: &Arc<Self>, actor: &str, access: Access, answer: Answer) -> Answer {
        let bytes = answer.body().size_hint().exact().unwrap_or(0);
        let entry = access.entry(actor, answer.status(), bytes);
        match self.enter(entry).await {
            Ok(()) => answer,
            Err(problem) => problem.answer(),
        }
    }

    /// Enters what is about to be done; it must not be done if that fails.
    pub(super) async fn enter(self: &Arc<Self>, entry: Entry) -> Result<(), Problem> {
        let audit = self.audit.clone();
        // It waits for the disk.
        let entered = tokio::task::spawn_blocking(move || audit.append(&entry)).await;
        match entered {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(%error, "nothing is shown, for who asked cannot be entered");
                Err(Problem::Audit)
            }
            Err(_) => Err(Problem::Busy),
        }
    }

    /// Enters that days are about to be settled because somebody asked.
    pub(super) async fn enter_settle(
        self: &Arc<Self>,
        actor: &str,
        query: &[(String, String)],
    ) -> Result<(), Problem> {
        let day = query.first().map(|(_, day)| cut(day));
        self.enter(Entry::new(actor, "figures.settle", "figures", json!({ "day": day }))).await
    }
}

/// Notes a request in the security log, by the name of its route.
pub(super) fn note(api: &Api, peer: IpAddr, request: &Parts, answer: &Answer) {
    let parts: Vec<&str> = request.uri.path().trim_start_matches('/').split('/').collect();
    let edited = campaigns::Route::of(&request.method, request.uri.path()).ok().flatten();
    let name = match parts.as_slice() {
        _ if let Some(route) = &edited => route.name(),
        ["v1", "campaigns"] => "campaigns",
        ["v1", "campaigns", _, "links"] => "links",
        ["v1", "campaigns", _, "media-numbers"] => "media_numbers",
        ["v1", "campaigns", _, "closings"] => "closings",
        ["v1", "campaigns", _, _] => "report",
        ["v1", "campaigns", _, "placements", _, "hits"] => "hits",
        ["v1", "set-aside"] => "set_aside",
        ["v1", "profiles"] => "profiles",
        ["v1", "alerts"] => "alerts",
        ["v1", "books"] => "books",
        ["v1", "settle"] => "settle",
        ["openapi.yaml"] => "description",
        [""] | ["dashboard", ..] => "dashboard",
        ["v1", "me"] => "me",
        ["v1", "tokens"] | ["v1", "tokens", _] => "tokens",
        _ => "unknown",
    };
    api.security.note(&Hit {
        time_ms: api.clock.now_ms(),
        address: Some(peer),
        route: security_log::Route::named(Role::Reports, name),
        method: security_log::Method::named(request.method.as_str()),
        status: answer.status().as_u16(),
        bytes: answer.body().size_hint().exact().unwrap_or(0),
    });
}

impl Api {
    /// Notes a connection that ended without an answer of ours in the security log.
    pub(crate) fn unanswered(&self, how: &str, peer: IpAddr) {
        self.security.note(&Hit::unanswered(Role::Reports, how, peer, self.clock.now_ms()));
    }
}

/// The value, cut where it is longer than an entry has room for.
pub(super) fn cut(value: &str) -> String {
    cut_to(value, VALUE_BYTES_MAX)
}

/// The value, cut to at most so many bytes.
pub(super) fn cut_to(value: &str, bytes_max: usize) -> String {
    let mut end = value.len().min(bytes_max);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_which_figures_were_shown_to_whom() {
        let access = Access::of(
            &Method::GET,
            "/v1/campaigns/a%20b/reach",
            "from=2026-11-01&to=2026-11-02&by=day&filter=net&token=secret",
        );
        let entry = access.entry("operator", StatusCode::OK, 12);
        assert_eq!(
            (entry.actor.as_str(), entry.act, entry.object.as_str()),
            ("operator", "report.read", "campaign a b")
        );
        let expected = json!({
            "report": "reach", "from": "2026-11-01", "to": "2026-11-02", "by": "day", "filter": "net", "status": 200, "bytes": 12
        });
        assert_eq!(entry.details, expected);
    }

    #[test]
    fn words_of_a_request_that_was_refused_are_not_repeated() {
        let access = Access::of(&Method::GET, "/v1/campaigns/860000000000001/reach", "from=860000000000001");
        let entry = access.entry("operator", StatusCode::NOT_FOUND, 12);
        assert_eq!(entry.object, "");
        assert_eq!(entry.details, json!({"status": 404, "bytes": 12}));
    }
}
