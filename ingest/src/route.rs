//! From a request to its answer: which path means what, and the way of a pixel.
//!
//! It owns the paths and methods of the tracker (DESIGN §9). It must never log or count a path: identifiers sit in them.
//!
//! ```text
//! GET  the paths of the dialect tables: pixels and clicks, see [`event::dialect`]      HEAD: the same answer, nothing counted
//!      /i?… impression · /e/{stage}?… any stage · /c?… click, see [`crate::click`] · /x/… /r/… and the others
//! POST /v1/events    batch, see [`crate::batch`]
//! GET  /openapi.yaml the API described
//! GET  /tag.js       the page tag, see [`crate::tag`]
//! GET  /sdkconfig.xml  the configuration of the MMA China SDK, see [`crate::sdk_config`]
//! GET  /vast?…       a placement's VAST wrapper, see [`crate::vast`]
//! OPTIONS            on each of them: what is allowed, for browsers that ask first
//! ```

use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Instant;

use catalog::Catalog;
use event::clock::UnixMs;
use event::dialect::{Dialects, Entry};
use event::outcome::Outcome;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderMap, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Uri};
use security_log::{Hit, Role};

use crate::answer::{self, Answer};
use crate::beacon::{self, Rules, Said};
use crate::books::Books;
use crate::caller::Caller;
use crate::connection::{Connection, Phase};
use crate::lane::{Desk, Fate, Lane, Waited, poll_wait, poll_wait_masked};
use crate::region::Regions;
use crate::{address, batch, click, id_cookie, sdk_config, tag, vast};

/// What a path is for.
pub(crate) enum Route<'r> {
    /// A pixel or a click, in the dialect of its path.
    Beacon(Entry<'r, 'r>),
    /// The batch.
    Batch,
    /// The description of the API.
    Description,
    /// The page tag.
    Tag,
    /// The configuration of the MMA China SDK.
    SdkConfig,
    /// The VAST wrapper of the placement that a query names.
    Vast(&'r str),
    /// None of ours.
    Unknown,
}

/// What a route is counted as. The order is that of the label in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteKind {
    /// Pixels of every dialect.
    Pixel,
    /// Clicks that are redirected.
    Click,
    /// The batch.
    Batch,
    /// The page tag.
    Tag,
    /// The configuration of the MMA China SDK.
    SdkConfig,
    /// The description of the API.
    Description,
    /// VAST wrappers.
    Vast,
    /// None of ours.
    Unknown,
}

impl RouteKind {
    /// Names in the metrics, in the order of the kinds.
    pub(crate) const NAMES: [&'static str; 8] =
        ["pixel", "click", "batch", "tag", "sdk_config", "description", "vast", "unknown"];

    /// As the security log has it.
    fn noted(self) -> security_log::Route {
        static NOTED: LazyLock<[security_log::Route; 8]> =
            LazyLock::new(|| RouteKind::NAMES.map(|name| security_log::Route::named(Role::Tracker, name)));
        NOTED.get(self as usize).copied().unwrap_or(security_log::Route::named(Role::Tracker, ""))
    }
}

impl<'r> Route<'r> {
    fn of(dialects: &'r Dialects, uri: &'r Uri) -> Self {
        match uri.path() {
            "/v1/events" => Self::Batch,
            "/openapi.yaml" => Self::Description,
            "/tag.js" => Self::Tag,
            sdk_config::PATH => Self::SdkConfig,
            "/vast" => Self::Vast(uri.query().unwrap_or_default()),
            path => dialects.route(path, uri.query()).map_or(Self::Unknown, Self::Beacon),
        }
    }

    fn kind(&self) -> RouteKind {
        match self {
            Self::Beacon(entry) if entry.is_click => RouteKind::Click,
            Self::Beacon(_) => RouteKind::Pixel,
            Self::Batch => RouteKind::Batch,
            Self::Tag => RouteKind::Tag,
            Self::SdkConfig => RouteKind::SdkConfig,
            Self::Description => RouteKind::Description,
            Self::Vast(_) => RouteKind::Vast,
            Self::Unknown => RouteKind::Unknown,
        }
    }

    fn allowed(&self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Beacon(_) | Self::Tag | Self::SdkConfig | Self::Vast(_) | Self::Description => {
                "GET, HEAD, OPTIONS"
            }
            Self::Batch => "POST, OPTIONS",
            Self::Unknown => "",
        })
    }

    /// The page that may read the answer although the request carried cookies: whichever sent a simple request to a route that pages use.
    fn reader(&self, method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
        match self {
            Self::Beacon(_) | Self::Batch | Self::Vast(_) if method != Method::OPTIONS => {
                headers.get(ORIGIN).cloned()
            }
            Self::Beacon(_)
            | Self::Batch
            | Self::Vast(_)
            | Self::Tag
            | Self::SdkConfig
            | Self::Description
            | Self::Unknown => None,
        }
    }
}

/// The answer to a request, on its way.
///
/// The library moves this once for each request, so it is small. What nearly every request is, a pixel, has been decided when this is made,
/// and only its wait for the journal is left; anything else is a future of its own.
pub(crate) struct Serving {
    lane: Rc<Lane>,
    connection: Rc<Connection>,
    kind: RouteKind,
    /// Who may read the answer, see [`Route::reader`].
    reader: Option<HeaderValue>,
    /// Where the request came from and by which method, for the security log.
    from: (Option<IpAddr>, security_log::Method),
    work: Work,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every request is a pixel, which is not to be allocated"
)]
enum Work {
    Pixel(Pixel),
    Other(Pin<Box<dyn Future<Output = Answer>>>),
}

/// A pixel whose beacon is decided.
pub(crate) struct Pixel {
    fate: Fate,
    /// When it began to wait for the journal, if that is measured.
    timed: Option<Instant>,
    /// An emptied map, for the answer.
    headers: HeaderMap,
    is_debugging: bool,
    cookie: Option<HeaderValue>,
}

/// Answers a request.
pub(crate) fn serve(lane: &Rc<Lane>, connection: &Rc<Connection>, request: Request<Incoming>) -> Serving {
    connection.enter(Phase::Serving);
    let (mut parts, body) = request.into_parts();
    let headers = std::mem::take(&mut parts.headers);
    let route = Route::of(&lane.dialects, &parts.uri);
    let kind = route.kind();
    let reader = route.reader(&parts.method, &headers);
    let from = from(lane, connection, &headers, &parts.method);
    let work = match &route {
        _ if target_bytes(&parts.uri) > lane.settings.limits.url_bytes_max => {
            Work::Other(Box::pin(ready(uri_too_long(lane))))
        }
        Route::Beacon(entry) if parts.method == Method::GET && !entry.is_click => {
            Work::Pixel(pixel(lane, connection, (&parts.uri, entry), headers))
        }
        _ => Work::Other(Box::pin(dispatch(Rc::clone(lane), Rc::clone(connection), parts, headers, body))),
    };
    Serving { lane: Rc::clone(lane), connection: Rc::clone(connection), kind, reader, from, work }
}

/// Where a request came from and by which method, for the security log.
fn from(
    lane: &Lane,
    connection: &Connection,
    headers: &HeaderMap,
    method: &Method,
) -> (Option<IpAddr>, security_log::Method) {
    let trusted = &lane.settings.trusted_proxies;
    // Without proxies of ours the other end is the client: no header is looked at.
    let address = if trusted.is_empty() || !lane.security.is_on() {
        Some(connection.peer)
    } else {
        address::client(connection.peer, headers, trusted)
    };
    (address, security_log::Method::named(method.as_str()))
}

impl Future for Serving {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { lane, connection, kind, reader, from, work } = self.get_mut();
        let mut answer = match work {
            Work::Pixel(pixel) => std::task::ready!(pixel.poll(lane, connection, context)),
            Work::Other(work) => std::task::ready!(work.as_mut().poll(context)),
        };
        if let Some(origin) = reader.take() {
            answer::let_read(&mut answer, origin);
        }
        if connection.ends_after_request() {
            answer::close(&mut answer);
        }
        lane.tally.answered(*kind, answer.status());
        lane.note(*kind, *from, &answer);
        connection.rest();
        Poll::Ready(Ok(answer))
    }
}

/// Everything but the pixels of [`serve`].
async fn dispatch(
    lane: Rc<Lane>,
    connection: Rc<Connection>,
    parts: Parts,
    headers: HeaderMap,
    body: Incoming,
) -> Answer {
    let (lane, connection) = (&lane, &*connection);
    let route = Route::of(&lane.dialects, &parts.uri);
    match (&route, &parts.method) {
        (Route::Beacon(entry), &Method::GET) if entry.is_click => {
            click::serve(lane, connection, (&parts.uri, entry), headers).await
        }
        (Route::Beacon(entry), &Method::HEAD) if entry.is_click => click::look(lane, entry, emptied(headers)),
        (Route::Beacon(entry), &Method::GET) => {
            pixel(lane, connection, (&parts.uri, entry), headers).wait(lane, connection).await
        }
        (Route::Beacon(_), &Method::HEAD) => answer::pixel(emptied(headers)),
        (Route::Batch, &Method::POST) => batch::serve(lane, connection, &parts, headers, body).await,
        (Route::Tag, &Method::GET | &Method::HEAD) => tag::serve(headers),
        (Route::SdkConfig, &Method::GET | &Method::HEAD) => sdk_config::serve(headers, &lane.dialects),
        (Route::Vast(query), &Method::GET | &Method::HEAD) => vast::serve(lane, connection, query, headers),
        (Route::Description, &Method::GET | &Method::HEAD) => answer::description(emptied(headers)),
        (Route::Unknown, _) => answer::text(StatusCode::NOT_FOUND, emptied(headers), "not found\n"),
        (_, &Method::OPTIONS) => answer::options(emptied(headers), route.allowed()),
        (_, _) => answer::not_allowed(emptied(headers), route.allowed()),
    }
}

/// Decides about a pixel's beacon and carries that out.
fn pixel(
    lane: &Rc<Lane>,
    connection: &Connection,
    (uri, entry): (&Uri, &Entry<'_, '_>),
    headers: HeaderMap,
) -> Pixel {
    let is_debugging = lane.senders.is_debugging(&headers);
    let (fate, cookie) = {
        let mut desk = lane.desk();
        let Desk { catalog, opt_outs, regions, scratch, record } = &mut *desk;
        let catalog = catalog.load();
        let caller = Caller::read(&headers, connection.peer, &lane.settings, &lane.senders)
            .proved(lane, &headers, uri);
        let mut said = Said::of(entry, entry.read(scratch));
        lane.tally.read(entry.number, &said.hit);
        let cookie = id_cookie::recognise(&mut said, &caller, &lane.settings, catalog, &lane.keys);
        let now_ms = lane.clock.now_ms();
        let mut rules = lane.rules(catalog, (opt_outs, regions), now_ms);
        let (decision, findings) = beacon::decide(&said, &caller, &mut rules, now_ms, record);
        let fate = lane.carry_out(Books::receive(), decision, record, Outcome::StorageFailed);
        lane.list_trial_hit(&said, (decision, &findings), now_ms, record);
        (fate, id_cookie::allowed(cookie, decision, &findings))
    };
    Pixel::new(lane, connection, fate, (emptied(headers), is_debugging, cookie))
}

impl Pixel {
    /// Begins to wait for the journal. Also for clicks that lead nowhere: no person waits for them.
    pub(crate) fn new(
        lane: &Lane,
        connection: &Connection,
        fate: Fate,
        (headers, is_debugging, cookie): (HeaderMap, bool, Option<HeaderValue>),
    ) -> Self {
        connection.enter(Phase::Storage);
        let timed = match fate {
            Fate::Appended(_) | Fate::Masked(..) => lane.tally.begin_wait(),
            Fate::Settled(_) | Fate::Refused(_) => None,
        };
        Self { fate, timed, headers, is_debugging, cookie }
    }

    /// The answer, once the journal has the beacon.
    pub(crate) async fn wait(mut self, lane: &Lane, connection: &Connection) -> Answer {
        poll_fn(|context| self.poll(lane, connection, context)).await
    }

    fn poll(&mut self, lane: &Lane, connection: &Connection, context: &mut Context<'_>) -> Poll<Answer> {
        let (is_kept, outcome) = match &mut self.fate {
            Fate::Settled(outcome) => (true, *outcome),
            Fate::Refused(outcome) => (false, *outcome),
            Fate::Appended(waiting) => match std::task::ready!(poll_wait(connection, waiting, context)) {
                Waited::Outcome(outcome) => (outcome.is_stored(), outcome),
                Waited::TooLong => (false, Outcome::StorageFailed),
            },
            Fate::Masked(commit, shown) => {
                let is_kept = std::task::ready!(poll_wait_masked(connection, commit, context));
                (is_kept, if is_kept { *shown } else { Outcome::StorageFailed })
            }
        };
        lane.tally.end_wait(self.timed.take());
        let headers = std::mem::take(&mut self.headers);
        let mut answer = if is_kept { answer::pixel(headers) } else { answer::try_later(headers) };
        if self.is_debugging {
            answer::tell(&mut answer, outcome);
        }
        id_cookie::give(&mut answer, self.cookie.take());
        Poll::Ready(answer)
    }
}

impl Lane {
    /// Notes a request in the security log: that it came and how it was answered, and nothing of what it said.
    fn note(&self, kind: RouteKind, from: (Option<IpAddr>, security_log::Method), answer: &Answer) {
        if self.security.is_on() {
            self.security.note(&Hit {
                time_ms: self.clock.now_ms(),
                address: from.0,
                route: kind.noted(),
                method: from.1,
                status: answer.status().as_u16(),
                bytes: answer.body().size_hint().exact().unwrap_or(0),
            });
        }
    }

    /// By what beacons are judged that come now.
    pub(crate) fn rules<'a>(
        &'a self,
        catalog: &'a Catalog,
        (opt_outs, regions): (&'a mut opt_out::Reader, &'a mut Regions),
        now_ms: UnixMs,
    ) -> Rules<'a> {
        Rules {
            catalog,
            keys: &self.keys,
            link_keys: Some(&self.link_keys),
            opt_outs,
            honour_dnt: self.settings.honour_dnt,
            tcf_vendor: self.settings.tcf_vendor(),
            regions: Some(regions),
            may_measure: self.standing.may_measure(now_ms),
        }
    }
}

/// The map that an answer's headers go into: the request's, emptied, which saves making one.
pub(crate) fn emptied(mut headers: HeaderMap) -> HeaderMap {
    headers.clear();
    headers
}

fn target_bytes(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |target| target.as_str().len())
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
    fn every_kind_has_a_name_in_the_security_log() {
        let named = RouteKind::NAMES.map(|name| security_log::Route::named(Role::Tracker, name));
        let unknown = security_log::Route::named(Role::Tracker, "unknown");
        assert_eq!(named.iter().filter(|route| **route == unknown).count(), 1);
        assert_eq!(RouteKind::Click.noted(), security_log::Route::named(Role::Tracker, "click"));
    }

    #[test]
    fn paths_mean_what_the_contract_says() {
        for (target, kind) in [
            ("/i", RouteKind::Pixel),
            ("/i?c=demo", RouteKind::Pixel),
            ("/e/viewable", RouteKind::Pixel),
            ("/e/click", RouteKind::Pixel),
            ("/e/nonsense", RouteKind::Pixel),
            ("/e/", RouteKind::Pixel),
            ("/c", RouteKind::Click),
            ("/x/k=1&p=2", RouteKind::Pixel),
            ("/x.gif?k=1&p=2", RouteKind::Pixel),
            ("/r/k=1&p=2", RouteKind::Click),
            ("/r.gif?k=1&p=2", RouteKind::Click),
            ("/r?k=1&p=2", RouteKind::Click),
            ("/v1/events", RouteKind::Batch),
            ("/openapi.yaml", RouteKind::Description),
            ("/tag.js", RouteKind::Tag),
            ("/sdkconfig.xml", RouteKind::SdkConfig),
            ("/vast?c=demo", RouteKind::Vast),
            ("/vast/impression?c=demo", RouteKind::Pixel),
            ("/e", RouteKind::Unknown),
            ("/e/a/b", RouteKind::Unknown),
            ("/", RouteKind::Unknown),
            ("/i/", RouteKind::Pixel),
            ("/ii", RouteKind::Unknown),
            ("/I", RouteKind::Unknown),
            ("*", RouteKind::Unknown),
        ] {
            let uri: Uri = target.parse().expect("a target");
            let route = Route::of(Dialects::built_in(), &uri);
            assert_eq!(route.kind(), kind, "{target}");
            assert!(RouteKind::NAMES.get(kind as usize).is_some());
        }
    }
}
