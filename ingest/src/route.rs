//! From a request to its answer: which path means what, and the way of a pixel.
//!
//! It owns the paths and methods of the tracker (DESIGN §9). It must never log or count a path: identifiers sit in them.
//!
//! ```text
//! GET  /i?…          impression            HEAD: the same answer, nothing counted
//! GET  /e/{stage}?…  any stage
//! GET  /c?…          click, see [`crate::click`]
//! POST /v1/events    batch, see [`crate::batch`]
//! GET  /tag.js       the page tag, see [`crate::tag`]
//! GET  /vast?…       a placement's VAST wrapper, see [`crate::vast`]
//! OPTIONS            on each of them: what is allowed, for browsers that ask first
//! ```

use std::convert::Infallible;
use std::rc::Rc;

use catalog::Catalog;
use event::clock::UnixMs;
use event::dialect::Table;
use event::outcome::Outcome;
use event::stage::Stage;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};

use crate::answer::{self, Answer};
use crate::beacon::{self, Rules, Said};
use crate::books::Books;
use crate::caller::Caller;
use crate::connection::{Connection, Phase};
use crate::lane::{Desk, Fate, Lane, Waited, wait, wait_masked};
use crate::{batch, click, tag, vast};

/// What a path is for. The order is that of the label in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A pixel with the stage that its path says, if that is one.
    Pixel(Option<Stage>),
    /// The click.
    Click,
    /// The batch.
    Batch,
    /// The page tag.
    Tag,
    /// The VAST wrapper.
    Vast,
    /// None of ours.
    Unknown,
}

impl Route {
    /// Names in the metrics.
    pub(crate) const NAMES: [&'static str; 6] = ["pixel", "click", "batch", "tag", "vast", "unknown"];

    /// Its place among [`Route::NAMES`].
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Pixel(_) => 0,
            Self::Click => 1,
            Self::Batch => 2,
            Self::Tag => 3,
            Self::Vast => 4,
            Self::Unknown => 5,
        }
    }

    fn of(path: &str) -> Self {
        match path {
            "/i" => Self::Pixel(Some(Stage::Impression)),
            "/c" => Self::Click,
            "/v1/events" => Self::Batch,
            "/tag.js" => Self::Tag,
            "/vast" => Self::Vast,
            _ => match path.strip_prefix("/e/") {
                Some(stage) if !stage.contains('/') => Self::Pixel(Stage::from_name(stage.as_bytes())),
                Some(_) | None => Self::Unknown,
            },
        }
    }

    fn allowed(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Pixel(_) | Self::Click | Self::Tag | Self::Vast => "GET, HEAD, OPTIONS",
            Self::Batch => "POST, OPTIONS",
            Self::Unknown => "",
        })
    }

    /// The page that may read the answer although the request carried cookies: whichever sent a simple request to a route that pages use.
    fn reader(self, parts: &Parts) -> Option<HeaderValue> {
        match self {
            Self::Pixel(_) | Self::Batch | Self::Vast if parts.method != Method::OPTIONS => {
                parts.headers.get(ORIGIN).cloned()
            }
            Self::Pixel(_) | Self::Batch | Self::Vast | Self::Click | Self::Tag | Self::Unknown => None,
        }
    }
}

/// Answers a request.
pub(crate) async fn serve(
    lane: Rc<Lane>,
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    connection.enter(Phase::Serving);
    let (parts, body) = request.into_parts();
    let route = Route::of(parts.uri.path());
    let reader = route.reader(&parts);
    let mut answer = if target_bytes(&parts) > lane.settings.limits.url_bytes_max {
        uri_too_long(&lane)
    } else {
        dispatch(&lane, &connection, route, parts, body).await
    };
    if let Some(origin) = reader {
        answer::let_read(&mut answer, origin);
    }
    if connection.ends_after_request() {
        answer::close(&mut answer);
    }
    lane.tally.answered(route, answer.status());
    connection.rest();
    Ok(answer)
}

async fn dispatch(
    lane: &Rc<Lane>,
    connection: &Connection,
    route: Route,
    mut parts: Parts,
    body: Incoming,
) -> Answer {
    let headers = std::mem::take(&mut parts.headers);
    match (route, &parts.method) {
        (Route::Pixel(stage), &Method::GET) => pixel(lane, connection, &parts, headers, stage).await,
        (Route::Pixel(_), &Method::HEAD) => answer::pixel(emptied(headers)),
        (Route::Click, &Method::GET) => click::serve(lane, connection, &parts, headers).await,
        (Route::Click, &Method::HEAD) => click::look(lane, &parts, emptied(headers)),
        (Route::Batch, &Method::POST) => batch::serve(lane, connection, headers, body).await,
        (Route::Tag, &Method::GET | &Method::HEAD) => tag::serve(headers),
        (Route::Vast, &Method::GET | &Method::HEAD) => vast::serve(lane, connection, &parts, headers),
        (Route::Unknown, _) => answer::text(StatusCode::NOT_FOUND, emptied(headers), "not found\n"),
        (_, &Method::OPTIONS) => answer::options(emptied(headers), route.allowed()),
        (_, _) => answer::not_allowed(emptied(headers), route.allowed()),
    }
}

async fn pixel(
    lane: &Rc<Lane>,
    connection: &Connection,
    parts: &Parts,
    headers: HeaderMap,
    stage: Option<Stage>,
) -> Answer {
    let is_debugging = lane.senders.is_debugging(&headers);
    let fate = {
        let mut desk = lane.desk();
        let Desk { catalog, opt_outs, scratch, record } = &mut *desk;
        let caller = Caller::read(&headers, connection.peer, &lane.settings, &lane.senders);
        let reading = Table::native().read(query(parts), scratch);
        lane.tally.macros_unreplaced(reading.hit.macros_unreplaced);
        let said = Said {
            hit: reading.hit,
            defect: reading.defect,
            stage,
            is_landing_refused: false,
            is_item: false,
        };
        let now_ms = lane.clock.now_ms();
        let mut rules = lane.rules(catalog.load(), opt_outs, now_ms);
        let decision = beacon::decide(&said, &caller, &mut rules, now_ms, record);
        lane.carry_out(Books::receive(), decision, record, Outcome::StorageFailed)
    };
    finish_pixel(lane, connection, fate, emptied(headers), is_debugging).await
}

/// Waits for the journal and answers as a pixel does. Also for clicks that lead nowhere: no person waits for them.
pub(crate) async fn finish_pixel(
    lane: &Lane,
    connection: &Connection,
    fate: Fate,
    headers: HeaderMap,
    is_debugging: bool,
) -> Answer {
    connection.enter(Phase::Storage);
    let (is_kept, outcome) = match fate {
        Fate::Settled(outcome) => (true, outcome),
        Fate::Refused(outcome) => (false, outcome),
        Fate::Appended(waiting) => {
            let timed = lane.tally.begin_wait();
            let waited = wait(connection, waiting).await;
            lane.tally.end_wait(timed);
            match waited {
                Waited::Outcome(outcome) => (outcome.is_stored(), outcome),
                Waited::TooLong => (false, Outcome::StorageFailed),
            }
        }
        Fate::Masked(commit, shown) => {
            let timed = lane.tally.begin_wait();
            let is_kept = wait_masked(connection, commit).await;
            lane.tally.end_wait(timed);
            (is_kept, if is_kept { shown } else { Outcome::StorageFailed })
        }
    };
    let mut answer = if is_kept { answer::pixel(headers) } else { answer::try_later(headers) };
    if is_debugging {
        answer::tell(&mut answer, outcome);
    }
    answer
}

impl Lane {
    /// By what beacons are judged that come now.
    pub(crate) fn rules<'a>(
        &'a self,
        catalog: &'a Catalog,
        opt_outs: &'a mut opt_out::Reader,
        now_ms: UnixMs,
    ) -> Rules<'a> {
        Rules {
            catalog,
            keys: &self.keys,
            opt_outs,
            honour_dnt: self.settings.honour_dnt,
            may_measure: self.standing.may_measure(now_ms),
        }
    }
}

/// The query of a request's target, or nothing.
pub(crate) fn query(parts: &Parts) -> &[u8] {
    parts.uri.query().unwrap_or_default().as_bytes()
}

/// The map that an answer's headers go into: the request's, emptied, which saves making one.
pub(crate) fn emptied(mut headers: HeaderMap) -> HeaderMap {
    headers.clear();
    headers
}

fn target_bytes(parts: &Parts) -> usize {
    parts.uri.path_and_query().map_or(0, |target| target.as_str().len())
}

fn uri_too_long(lane: &Lane) -> Answer {
    let words =
        format!("the request target is longer than url_bytes_max = {}\n", lane.settings.limits.url_bytes_max);
    let mut answer = answer::text(StatusCode::URI_TOO_LONG, HeaderMap::new(), words);
    answer::close(&mut answer);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_the_contract_says() {
        for (path, route) in [
            ("/i", Route::Pixel(Some(Stage::Impression))),
            ("/e/viewable", Route::Pixel(Some(Stage::Viewable))),
            ("/e/click", Route::Pixel(Some(Stage::Click))),
            ("/e/nonsense", Route::Pixel(None)),
            ("/e/", Route::Pixel(None)),
            ("/c", Route::Click),
            ("/v1/events", Route::Batch),
            ("/e", Route::Unknown),
            ("/e/a/b", Route::Unknown),
            ("/", Route::Unknown),
            ("/i/", Route::Unknown),
            ("/I", Route::Unknown),
            ("/x", Route::Unknown),
            ("/r", Route::Unknown),
            ("/tag.js", Route::Tag),
            ("/vast", Route::Vast),
            ("/vast/", Route::Unknown),
            ("*", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
            assert!(Route::NAMES.get(route.number()).is_some());
        }
    }
}
