//! The page tag: the script that publishers put on their pages, `GET /tag.js`.
//!
//! It owns how the script (`assets/tag.js`) is handed out: packed once, named by its content, kept by browsers for an hour. What the script
//! does on a page is documented there and in the README. It must never differ by who asks: the script is the same for everybody, sets no
//! cookie, and asking for it counts nothing.

use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use sha2::{Digest, Sha256};

use crate::answer::{self, Answer};
use crate::route::emptied;

/// Most bytes of the packed script: what one connection's first flight carries beside its headers.
#[cfg(test)]
const PACKED_BYTES_MAX: usize = 4096;
/// Bytes of the content's SHA-256 in its entity tag.
const ETAG_BYTES: usize = 12;

const SOURCE: &str = include_str!("../assets/tag.js");
/// A new tag is on every page within the hour; until then, and while the tracker is away, the old one does.
const KEPT: HeaderValue =
    HeaderValue::from_static("public, max-age=3600, stale-while-revalidate=86400, stale-if-error=604800");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
const BY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// One of the two forms in which the script travels.
struct Form {
    bytes: Bytes,
    etag: String,
}

static PLAIN: LazyLock<Form> = LazyLock::new(|| Form::new(SOURCE.as_bytes().into(), ""));
static PACKED: LazyLock<Form> = LazyLock::new(|| Form::new(packed(), "-gzip"));

/// Answers `GET` and `HEAD` of the script: whole, or 304 where the browser has it.
pub(crate) fn serve(headers: HeaderMap) -> Answer {
    let is_packed = takes_gzip(&headers);
    let form: &Form = if is_packed { &PACKED } else { &PLAIN };
    let has_it = headers.get_all(IF_NONE_MATCH).iter().any(|value| names(value.as_bytes(), &form.etag));
    let headers = emptied(headers);
    let mut answer = if has_it {
        answer::script(StatusCode::NOT_MODIFIED, headers, Bytes::new())
    } else {
        answer::script(StatusCode::OK, headers, form.bytes.clone())
    };
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, KEPT);
    headers.insert(VARY, BY_ENCODING);
    if let Ok(etag) = HeaderValue::from_str(&form.etag) {
        headers.insert(ETAG, etag);
    }
    if is_packed && !has_it {
        headers.insert(CONTENT_ENCODING, GZIP);
    }
    answer
}

impl Form {
    fn new(bytes: Bytes, form: &str) -> Self {
        let digest = Sha256::digest(SOURCE.as_bytes());
        let hex = digest.iter().take(ETAG_BYTES).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        Self { bytes, etag: format!("\"{hex}{form}\"") }
    }
}

fn packed() -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Into memory, where nothing can fail; without it the script would go out plain under a wrong name.
    encoder.write_all(SOURCE.as_bytes()).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte").into()
}

/// Whether `Accept-Encoding` names gzip, and not as something that is not wanted (`gzip;q=0`).
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().any(|line| {
        line.as_bytes().split(|byte| *byte == b',').any(|coding| {
            let mut parts = coding.split(|byte| *byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let is_unwanted =
                parts.any(|part| matches!(part.trim_ascii(), b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"));
            (name.eq_ignore_ascii_case(b"gzip") || name == b"*") && !is_unwanted
        })
    })
}

/// Whether an `If-None-Match` names this entity tag. A proxy may have weakened it (`W/`), which makes no difference here (RFC 9110 13.1.2).
fn names(line: &[u8], etag: &str) -> bool {
    line.split(|byte| *byte == b',').any(|one| {
        let one = one.trim_ascii();
        one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == etag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderName, PRAGMA, SET_COOKIE};

    use super::*;

    fn asked(headers: &[(HeaderName, &str)]) -> Answer {
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a header value")));
        serve(pairs.collect())
    }

    #[test]
    fn the_packed_script_keeps_its_limit_and_is_the_script() {
        assert!(PACKED.bytes.len() <= PACKED_BYTES_MAX, "{} bytes packed", PACKED.bytes.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*PACKED.bytes).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, SOURCE);
    }

    #[test]
    fn the_script_needs_no_right_that_a_content_security_policy_withholds() {
        for word in [
            "eval(",
            "Function(",
            "innerHTML",
            ".style",
            "document.write",
            "localStorage",
            "sessionStorage",
            "document.cookie",
            "indexedDB",
        ] {
            assert!(!SOURCE.contains(word), "{word}");
        }
    }

    #[test]
    fn the_script_is_kept_by_its_name_and_packed_for_those_who_take_it() {
        let plain = asked(&[]);
        assert_eq!(plain.status(), StatusCode::OK);
        assert_eq!(plain.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(plain.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(plain.headers()["cross-origin-resource-policy"], "cross-origin");
        assert_eq!(plain.headers()["x-content-type-options"], "nosniff");
        assert!(plain.headers()[CACHE_CONTROL].to_str().expect("ascii").starts_with("public, max-age="));
        for absent in [CONTENT_ENCODING, PRAGMA, SET_COOKIE] {
            assert!(!plain.headers().contains_key(&absent), "{absent}");
        }
        let etag = plain.headers()[ETAG].to_str().expect("ascii").to_owned();
        let packed = asked(&[(ACCEPT_ENCODING, "br, gzip;q=0.8")]);
        assert_eq!((packed.status(), &packed.headers()[CONTENT_ENCODING]), (StatusCode::OK, &GZIP));
        let packed_etag = packed.headers()[ETAG].to_str().expect("ascii").to_owned();
        assert_ne!(etag, packed_etag, "two forms under one name");
        assert_eq!((&plain.headers()[VARY], &packed.headers()[VARY]), (&BY_ENCODING, &BY_ENCODING));

        for (known, status) in [
            (etag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"old\", W/{etag}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            (packed_etag, StatusCode::OK),
            ("\"old\"".to_owned(), StatusCode::OK),
        ] {
            let answer = asked(&[(IF_NONE_MATCH, &known)]);
            assert_eq!(answer.status(), status, "{known}");
            assert!(answer.headers().contains_key(ETAG) && answer.headers().contains_key(CACHE_CONTROL));
        }
    }

    #[test]
    fn gzip_goes_only_to_those_who_take_it() {
        for (value, expected) in [
            ("gzip", true),
            ("GZIP, deflate, br", true),
            ("br, *", true),
            ("br;q=1.0, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
            ("br", false),
            ("xgzip", false),
            ("", false),
        ] {
            let is_packed = asked(&[(ACCEPT_ENCODING, value)]).headers().contains_key(CONTENT_ENCODING);
            assert_eq!(is_packed, expected, "{value}");
        }
    }
}
