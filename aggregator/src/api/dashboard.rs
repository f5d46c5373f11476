//! The dashboard: one page at `/`, and what it is made of below `/dashboard/{version}/`.
//!
//! The files stand in `dashboard/`, as a browser runs them, and are part of the binary. They hold no figures: the page asks this API with the token of who
//! sits before it. So no token is asked for here, and no access is entered. `{version}` is made of the bytes of all files: what is below it never
//! changes and is kept by browsers; the page itself is asked for each time.
//!
//! Must never: put anything into a file that is not of this program, or let one run what is not.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::Answer;
use super::problem::Problem;

/// What its files lie below.
const FOLDER: &str = "/dashboard/";
/// Where the page names the folder.
const MARK: &str = "dashboard/VERSION/";
/// Scripts, styles and figures from here alone; in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// A file as it is in the source.
struct Source {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
}

impl Source {
    /// Whether it is a script or a style of ours; what others wrote is sent as it is.
    fn is_ours(&self) -> bool {
        [SCRIPT, STYLE].contains(&self.media_type) && !self.name.starts_with("vendor/")
    }
}

macro_rules! sources {
    ($($name:literal: $media_type:ident,)*) => {
        /// Every file of the folder.
        const SOURCES: &[Source] = &[$(Source { name: $name, media_type: $media_type, text: include_str!(concat!("../../dashboard/", $name)) },)*];
    };
}

sources! {
    "index.html": HTML,
    "address.js": SCRIPT,
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "cards.js": SCRIPT,
    "dom.js": SCRIPT,
    "fields.js": SCRIPT,
    "figures/breakdown.js": SCRIPT,
    "figures/days.js": SCRIPT,
    "figures/delivery.js": SCRIPT,
    "figures/ids.js": SCRIPT,
    "figures/overlap.js": SCRIPT,
    "figures/reach.js": SCRIPT,
    "figures/tiles.js": SCRIPT,
    "focus.js": SCRIPT,
    "form.js": SCRIPT,
    "i18n.js": SCRIPT,
    "icon.svg": IMAGE,
    "marks.js": SCRIPT,
    "names.js": SCRIPT,
    "pages/books.js": SCRIPT,
    "pages/campaign-fields.js": SCRIPT,
    "pages/campaign.js": SCRIPT,
    "pages/campaigns.js": SCRIPT,
    "pages/closings.js": SCRIPT,
    "pages/codes.js": SCRIPT,
    "pages/import.js": SCRIPT,
    "pages/live.js": SCRIPT,
    "pages/placement-fields.js": SCRIPT,
    "pages/range-bar.js": SCRIPT,
    "pages/report.js": SCRIPT,
    "pages/setup.js": SCRIPT,
    "pages/sheet.js": SCRIPT,
    "pages/sign-in.js": SCRIPT,
    "pages/tokens.js": SCRIPT,
    "parts.css": STYLE,
    "plots.js": SCRIPT,
    "present.js": SCRIPT,
    "print.css": STYLE,
    "repeat.js": SCRIPT,
    "report.css": STYLE,
    "store.js": SCRIPT,
    "style.css": STYLE,
    "tables.js": SCRIPT,
    "theme.js": SCRIPT,
    "vendor/uplot.LICENSE.txt": PLAIN,
    "vendor/uplot.css": STYLE,
    "vendor/uplot.js": SCRIPT,
    "words/figures.js": SCRIPT,
    "words/names.js": SCRIPT,
    "words/pages.js": SCRIPT,
    "words/report.js": SCRIPT,
    "words/wrong.js": SCRIPT,
    "wrong.js": SCRIPT,
}

/// A file as it is sent.
struct File {
    name: &'static str,
    media_type: &'static str,
    bytes: Bytes,
    packed: Bytes,
    /// Its bytes' hash, in quotes.
    tag: HeaderValue,
}

/// All files, and the version that their addresses name.
struct Files {
    version: String,
    files: Vec<File>,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let mut all = Sha256::new();
    for source in SOURCES {
        all.update(source.name);
        all.update(source.text);
    }
    let version = hex(&all.finalize());
    let file = |source: &Source| {
        let text = match source.media_type {
            HTML => source.text.replace(MARK, &format!("dashboard/{version}/")),
            _ if source.is_ours() => without_comments(source.text),
            _ => source.text.to_owned(),
        };
        let tag = HeaderValue::from_str(&format!("\"{}\"", hex(&Sha256::digest(&text))));
        File {
            name: source.name,
            media_type: source.media_type,
            packed: pack(text.as_bytes()),
            bytes: Bytes::from(text),
            tag: tag.expect("hex digits in quotes"),
        }
    };
    Files { files: SOURCES.iter().map(file).collect(), version }
});

/// Whether a path is of the dashboard.
pub(super) fn is_of(path: &str) -> bool {
    path == "/" || path.starts_with(FOLDER)
}

/// Answers a request for one of its files.
pub(super) fn answer(request: &Parts) -> Answer {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Problem::Method("GET, HEAD").answer();
    }
    let Some(file) = find(request.uri.path()) else {
        return Problem::NotFound("no such file of the dashboard: load the page again").answer();
    };
    let sent = |name: HeaderName| {
        request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let is_known = sent(IF_NONE_MATCH).split(',').any(|tag| tag.trim().trim_start_matches("W/") == file.tag);
    let takes_packed = sent(ACCEPT_ENCODING)
        .split(',')
        .any(|coding| coding.split(';').next().map(str::trim) == Some("gzip"));
    let body = match (is_known || request.method == Method::HEAD, takes_packed) {
        (true, _) => Bytes::new(),
        (false, true) => file.packed.clone(),
        (false, false) => file.bytes.clone(),
    };
    let mut answer = Response::new(Full::new(body));
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let kept = if file.media_type == HTML { "no-cache" } else { "public, max-age=31536000, immutable" };
    let headers = answer.headers_mut();
    headers.insert(ETAG, file.tag.clone());
    for (name, value) in [
        (CONTENT_TYPE, file.media_type),
        (CACHE_CONTROL, kept),
        (VARY, "accept-encoding"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if takes_packed && !is_known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// The file of a path; one of another version is none, so that no page is put together from two.
fn find(path: &str) -> Option<&'static File> {
    let name = match path.strip_prefix(FOLDER) {
        None => "index.html",
        Some(rest) => {
            let (version, name) = rest.split_once('/')?;
            Some(name).filter(|name| version == FILES.version && *name != "index.html")?
        }
    };
    FILES.files.iter().find(|file| file.name == name)
}

fn pack(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    packed.expect("memory takes every byte").into()
}

/// The text without its lines of comments, which are for who reads the source; empty lines stand in their place, so that an error names the right one.
fn without_comments(text: &str) -> String {
    let mut is_within = false;
    let mut line = |line: &str| {
        let begun = line.trim_start();
        let is_block = is_within || begun.starts_with("/*");
        let is_comment = is_block || begun.starts_with("//");
        is_within = is_block && !line.trim_end().ends_with("*/");
        format!("{}\n", if is_comment { "" } else { line })
    };
    text.lines().map(&mut line).collect()
}

/// The first 64 bits, as hexadecimal digits.
fn hex(hash: &[u8]) -> String {
    hash.iter().take(8).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("texts take every byte");
        text
    })
}

#[cfg(test)]
mod tests;
