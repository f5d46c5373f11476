//! The answers of the tracker: pixel, redirect, plain page, JSON, refusals.
//!
//! It owns their status, headers and bytes. It must never be cacheable, and never tell a caller more than [`Outcome::shown_to_caller`].

use bytes::Bytes;
use event::outcome::Outcome;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL,
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

/// An answer on its way out. The body is one piece, so that head and body leave in one write.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A transparent GIF of one pixel: 43 bytes.
pub(crate) const GIF: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\
    !\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// Seconds after which a caller whose beacon could not be stored may send it again.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// No cache on the way may answer for us: a cached pixel is an impression that nobody counts (DOMAIN §5). `Pragma` says nothing more: it is
/// a request's header, without a meaning in an answer (RFC 9111 §5.4).
const NO_STORE: HeaderValue =
    HeaderValue::from_static("no-store, no-cache, must-revalidate, private, max-age=0");
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const CROSS_ORIGIN: HeaderValue = HeaderValue::from_static("cross-origin");
const IMAGE_GIF: HeaderValue = HeaderValue::from_static("image/gif");
const TEXT_PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const TEXT_HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");
const YAML: HeaderValue = HeaderValue::from_static("application/yaml");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const X_SIGHTLINE_OUTCOME: HeaderName = HeaderName::from_static("x-sightline-outcome");

/// The API described, OpenAPI 3.1.
const DESCRIPTION: &str = include_str!("../openapi.yaml");

/// What a person sees who clicked on an ad whose landing page is not registered.
const PLAIN_PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Sightline</title>\
<meta name=\"viewport\" content=\"width=device-width\"></head>\n<body>\n\
<p lang=\"zh\">该广告没有登记可前往的页面，请返回。</p>\n\
<p>This ad has no registered page to lead to. Please go back.</p>\n</body>\n</html>\n";

/// The pixel: 200, whatever became of the beacon (DOMAIN §1.1). `headers` is an emptied map, so that it need not be made anew.
pub(crate) fn pixel(headers: HeaderMap) -> Answer {
    body(StatusCode::OK, headers, IMAGE_GIF, Bytes::from_static(GIF))
}

/// 503 with the time after which to send again: the beacon is not stored.
pub(crate) fn try_later(headers: HeaderMap) -> Answer {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, headers, "not stored: send it again later\n");
    answer.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    answer
}

/// The redirect of a click.
pub(crate) fn redirect(headers: HeaderMap, location: HeaderValue) -> Answer {
    let mut answer = empty(StatusCode::FOUND, headers);
    answer.headers_mut().insert(LOCATION, location);
    answer
}

/// The page for a click that must not lead anywhere.
pub(crate) fn plain_page(headers: HeaderMap) -> Answer {
    let mut answer = body(StatusCode::OK, headers, TEXT_HTML, Bytes::from_static(PLAIN_PAGE.as_bytes()));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    answer
}

/// A refusal or a word to whoever tries the tracker by hand.
pub(crate) fn text(status: StatusCode, headers: HeaderMap, words: impl Into<Bytes>) -> Answer {
    body(status, headers, TEXT_PLAIN, words.into())
}

/// The API described.
pub(crate) fn description(headers: HeaderMap) -> Answer {
    body(StatusCode::OK, headers, YAML, Bytes::from_static(DESCRIPTION.as_bytes()))
}

/// Results of a batch.
pub(crate) fn json(status: StatusCode, headers: HeaderMap, bytes: Vec<u8>) -> Answer {
    let mut answer = body(status, headers, JSON, bytes.into());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    }
    answer
}

/// The page tag. Not to be kept like every answer, until its caller says for how long.
pub(crate) fn script(status: StatusCode, headers: HeaderMap, bytes: Bytes) -> Answer {
    let mut answer = body(status, headers, JAVASCRIPT, bytes);
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    answer
}

/// A document for players.
pub(crate) fn xml(headers: HeaderMap, text: String) -> Answer {
    let mut answer = body(StatusCode::OK, headers, XML, text.into());
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    answer
}

/// Lets a page of this origin read the answer to a simple request that carried the browser's cookies, so that it knows when to send again
/// and the opt-out cookie goes along all the same. What it reads is the same for everybody: no answer depends on a cookie in what it shows.
pub(crate) fn let_read(answer: &mut Answer, origin: HeaderValue) {
    const TRUE: HeaderValue = HeaderValue::from_static("true");
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
}

/// 401 with the ways to say who one is (RFC 9110 §11.6.1).
pub(crate) fn unauthorized(words: String) -> Answer {
    const WAYS: HeaderValue = HeaderValue::from_static("Bearer, Sightline-Signature");
    let mut answer = text(StatusCode::UNAUTHORIZED, HeaderMap::new(), words);
    answer.headers_mut().insert(WWW_AUTHENTICATE, WAYS);
    answer
}

/// 405 with what is allowed.
pub(crate) fn not_allowed(headers: HeaderMap, allow: HeaderValue) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, headers, "method not allowed\n");
    answer.headers_mut().insert(ALLOW, allow);
    answer
}

/// The answer to `OPTIONS`, a browser's question before it sends a batch of another origin. Credentials are not among what is allowed: a
/// page that wants the opt-out cookie to go along sends a simple request (an image, `sendBeacon`, a text by `fetch`), which asks nothing
/// first, and whose answer [`let_read`] opens.
pub(crate) fn options(headers: HeaderMap, allow: HeaderValue) -> Answer {
    const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
        "authorization, content-encoding, content-type, idempotency-key, x-sightline-debug",
    );
    const DAY_SECONDS: HeaderValue = HeaderValue::from_static("86400");
    let mut answer = empty(StatusCode::NO_CONTENT, headers);
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
    headers.insert(ALLOW, allow);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, DAY_SECONDS);
    answer
}

/// Tells a caller with the debug key what became of its beacon.
pub(crate) fn tell(answer: &mut Answer, outcome: Outcome) {
    let shown = outcome.shown_to_caller();
    let value = match shown {
        Outcome::Accepted => HeaderValue::from_static("accepted"),
        Outcome::Unresolved => HeaderValue::from_static("unresolved"),
        Outcome::UnconfirmedClick => HeaderValue::from_static("unconfirmed_click"),
        Outcome::LostClick
        | Outcome::StorageFailed
        | Outcome::OptedOut
        | Outcome::Prefetch
        | Outcome::OptOutUnknown
        | Outcome::MissingCampaign
        | Outcome::MissingPlacement
        | Outcome::Malformed
        | Outcome::Contradictory
        | Outcome::UnknownStage
        | Outcome::TooLate
        | Outcome::NotPermitted
        | Outcome::TooLong
        | Outcome::BadSignature
        | Outcome::LinkExpired
        | Outcome::UncountedEvent => {
            let text = format!("rejected; reason={}", shown.name());
            HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("rejected"))
        }
    };
    answer.headers_mut().insert(X_SIGHTLINE_OUTCOME, value);
    answer.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_name(X_SIGHTLINE_OUTCOME));
}

/// Has the connection end with this answer.
pub(crate) fn close(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, CLOSE);
}

fn body(status: StatusCode, headers: HeaderMap, content_type: HeaderValue, bytes: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(bytes));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    common(headers);
    answer
}

fn empty(status: StatusCode, headers: HeaderMap) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    common(answer.headers_mut());
    answer
}

/// On every answer: not to be kept, and to be had by pages of any origin, also those that isolate themselves.
fn common(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, CROSS_ORIGIN);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixel_is_a_gif_of_43_bytes_that_nobody_may_keep() {
        assert!(GIF.starts_with(b"GIF89a\x01\x00\x01\x00") && GIF.ends_with(b";"));
        let answer = pixel(HeaderMap::new());
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CONTENT_TYPE], "image/gif");
        assert!(answer.headers()[CACHE_CONTROL].to_str().expect("ascii").contains("no-store"));
    }

    #[test]
    fn an_opt_out_is_told_as_accepted() {
        for outcome in Outcome::ALL {
            let mut answer = pixel(HeaderMap::new());
            tell(&mut answer, outcome);
            let told = answer.headers()[X_SIGHTLINE_OUTCOME].to_str().expect("ascii").to_owned();
            assert!(!told.contains("opted"), "{told}");
            let is_stored = matches!(outcome, Outcome::Accepted | Outcome::OptedOut);
            assert_eq!(told == "accepted", is_stored, "{outcome:?}");
        }
    }
}
