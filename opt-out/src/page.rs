//! The page's looks: templates, texts in two languages, and the words that a browser sent to choose between them.
//!
//! It owns `page/`: HTML with `{{key}}` (escaped) and `{{{key}}}` (HTML made here), `en.texts` and `zh.texts` with the same keys, the style sheet and
//! the scripts. It must never put anything that a person typed into a page, nor need a script for anything.
//!
//! | file | |
//! |---|---|
//! | `page.js` | reads the form, tells what the browser does with cookies of other sites |
//! | `hash.js` | from an identifier to the digests that are sent in its place |
//! | `probe.js` | runs in a frame without an origin, which stands for a page of another site |

mod disclosed;
mod fragments;

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::DateTime;
use event::clock::UnixMs;
use event::identifier::IdKind;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cookies::Cookies;
use crate::desk::{Desk, DoneId};
use crate::problem::Problem;
use crate::receipt::Secret;
use crate::registry::Status;
use crate::requests::Request;

/// The style sheet, served as a file of its own so that no inline style need be allowed.
pub(crate) const STYLE: &str = include_str!("page/style.css");

/// The page's script.
pub(crate) const SCRIPT: &str = include_str!("page/page.js");
/// What it hashes with.
pub(crate) const HASH_SCRIPT: &str = include_str!("page/hash.js");
/// The script of the frame that finds out about cookies.
pub(crate) const PROBE_SCRIPT: &str = include_str!("page/probe.js");
/// That frame.
pub(crate) const PROBE: &str =
    "<!doctype html><html lang=\"en\"><title>-</title><script src=\"/opt-out/probe.js\"></script>";

const FRAME: &str = include_str!("page/frame.html");
const HOME: &str = include_str!("page/home.html");
const RECEIPT: &str = include_str!("page/receipt.html");
const REQUEST: &str = include_str!("page/request.html");

/// Kinds that a person can look up, in the order of the form, and how each looks. Cookie ids are the medium's, and the page's cookie does better.
const KINDS: [(IdKind, &str); 9] = [
    (IdKind::Oaid, "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5"),
    (IdKind::Idfa, "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0"),
    (IdKind::Aaid, "7268ceb0-5411-4004-b7cb-bd1fee4b6277"),
    (IdKind::Imei, "868049039501257"),
    (IdKind::AndroidId, "a1b2c3d4e5f60718"),
    (IdKind::Mac, "00:1A:2B:3C:4D:5E"),
    (IdKind::Idfv, "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0"),
    (IdKind::Caid, "4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091"),
    (IdKind::OpenUdid, "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"),
];

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Chinese,
}

impl Language {
    /// The one that was chosen by `lang=`, else the one that the browser prefers, else English.
    pub(crate) fn choose(chosen: Option<&str>, accept_language: Option<&str>) -> Self {
        chosen
            .and_then(Self::of_tag)
            .or_else(|| accept_language.and_then(Self::preferred))
            .unwrap_or(Self::English)
    }

    fn of_tag(tag: &str) -> Option<Self> {
        match tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "zh" => Some(Self::Chinese),
            "en" => Some(Self::English),
            _ => None,
        }
    }

    /// Best of an `Accept-Language`: the highest weight, the first of equals.
    fn preferred(header: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for range in header.split(',') {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let weight =
                weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()).unwrap_or(0.0);
            if let Some(language) =
                Self::of_tag(tag).filter(|_| weight > best.map_or(0.0, |(weight, _)| weight))
            {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }

    /// `lang` attribute and `Content-Language`.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// A text of `page/*.texts`; the key itself where there is none, which a test rules out.
    fn text<'k>(self, key: &'k str) -> &'k str
    where
        Self: 'k,
    {
        static ENGLISH: LazyLock<HashMap<&str, &str>> =
            LazyLock::new(|| texts(include_str!("page/en.texts")));
        static CHINESE: LazyLock<HashMap<&str, &str>> =
            LazyLock::new(|| texts(include_str!("page/zh.texts")));
        let texts = match self {
            Self::English => &*ENGLISH,
            Self::Chinese => &*CHINESE,
        };
        texts.get(key).copied().unwrap_or(key)
    }
}

/// Lines of `key = text`, in quotes where blanks at its ends count; empty lines and those that begin with `#` say nothing.
fn texts(file: &'static str) -> HashMap<&'static str, &'static str> {
    let lines = file.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, text)| (key.trim(), text.trim().trim_matches('"')))
        .collect()
}

/// What stands above the forms after something was done or could not be.
pub(crate) enum Notice<'a> {
    /// Key of a text.
    Done(&'static str),
    /// Key of a text about what did not come about.
    Failed(&'static str),
    /// What was wrong.
    Problem(&'a Problem),
    /// A receipt that was asked after.
    State(&'a Status),
}

/// What the page is to show.
#[derive(Default)]
pub(crate) struct View<'a> {
    /// Above the forms.
    pub(crate) notice: Option<Notice<'a>>,
    /// The kind that was chosen before.
    pub(crate) kind: Option<IdKind>,
    /// Whether the browser sends Global Privacy Control, where that was looked at.
    pub(crate) gpc: Option<bool>,
}

impl<'a> View<'a> {
    /// For the browser that sent these headers. Of Global Privacy Control only the value 1 means anything.
    pub(crate) fn of(
        headers: &hyper::header::HeaderMap,
        notice: Option<Notice<'a>>,
        kind: Option<IdKind>,
    ) -> Self {
        Self { notice, kind, gpc: Some(headers.get("sec-gpc").is_some_and(|value| value == "1")) }
    }
}

/// A receipt as it is handed out, or shown once more.
pub(crate) struct Shown<'a> {
    /// Its state.
    pub(crate) status: &'a Status,
    /// Its secret, in the open.
    pub(crate) secret: String,
    /// What was done for each identifier.
    pub(crate) ids: &'a [DoneId],
}

/// The page with its forms.
pub(crate) fn home(desk: &Desk, language: Language, cookies: &Cookies, view: &View<'_>) -> String {
    let statuses: Vec<Status> = cookies
        .receipts
        .iter()
        .rev()
        .filter_map(|(id, secret)| desk.registry.status(*id, secret).ok())
        .collect();
    let body = render(HOME, language, |key| {
        Some(match key {
            "notice" => {
                view.notice.as_ref().map_or_else(String::new, |notice| fragments::notice(language, notice))
            }
            "gpc" => {
                let key = match view.gpc {
                    Some(true) => "gpc.on",
                    Some(false) => "gpc.off",
                    None => "gpc.unsaid",
                };
                language.text(key).to_owned()
            }
            "browser" => fragments::browser(language, cookies.opted_out),
            "kinds" => fragments::kinds(language, view.kind),
            "receipts" => fragments::receipts(language, &statuses),
            "words" => WORDS.clone(),
            "stored" => disclosed::stored(language, desk.kept.event_days),
            "log" => disclosed::security_log(language, desk.kept.security_log_days),
            "policy" => disclosed::policy(language, &desk.settings),
            "rights_hint" => fragments::rights_hint(desk, language),
            "rights_how" => fragments::rights_how(desk, language),
            "rights" => fragments::rights(desk, language, cookies),
            "lang" => language.code().to_owned(),
            _ => return None,
        })
    });
    frame(desk, language, &fragments::switch(language), &body)
}

/// The values that identify nobody, for the script: JSON, in lower case.
static WORDS: LazyLock<String> = LazyLock::new(|| {
    let mut words: Vec<String> = event::identifier::words_for_nothing().map(str::to_lowercase).collect();
    words.sort_unstable();
    words.dedup();
    serde_json::to_string(&words).unwrap_or_default()
});

/// The page that hands out a receipt.
pub(crate) fn receipt(desk: &Desk, language: Language, shown: &Shown<'_>) -> String {
    let number = shown.status.receipt.to_string();
    let at = time(shown.status.opted_out_ms);
    let policy = shown.status.policy_version.to_string();
    let file = || {
        let operator = desk.settings.operator.name_in(language);
        let lines = [
            language.text("title").to_owned(),
            operator.unwrap_or_else(|| language.text("operator.unnamed")).to_owned(),
            format!("{}: {number}", language.text("back.receipt")),
            format!("{}: {}", language.text("back.secret"), shown.secret),
            format!("{}: {at}", language.text("receipt.at")),
            format!("{}: {policy}", language.text("receipt.policy")),
            language.text("receipt.why").to_owned(),
        ];
        format!(
            "data:text/plain;charset=utf-8,{}",
            utf8_percent_encode(&(lines.join("\r\n") + "\r\n"), NON_ALPHANUMERIC)
        )
    };
    let body = render(RECEIPT, language, |key| {
        Some(match key {
            "ids" => fragments::ids(language, shown.ids),
            "receipt" => number.clone(),
            "secret" => shown.secret.clone(),
            "at" => at.clone(),
            "policy" => policy.clone(),
            "download" => file(),
            "lang" => language.code().to_owned(),
            _ => return None,
        })
    });
    frame(desk, language, &fragments::switch_of_receipt(language, shown), &body)
}

/// The page of a request for erasure or a copy: how far it is, and its receipt. `is_new`: it has just been taken.
pub(crate) fn request(
    desk: &Desk,
    language: Language,
    request: &Request,
    secret: &Secret,
    is_new: bool,
) -> String {
    let due = desk.requests.as_ref().map_or_else(String::new, |requests| requests.due(request).to_string());
    let body = render(REQUEST, language, |key| {
        Some(match key {
            "state" => fragments::request_state(language, request),
            "fetch" => fragments::fetch(language, request, secret),
            "heading" if is_new => language.text("request.taken").to_owned(),
            "heading" => language.text("request.title").to_owned(),
            "receipt" => request.receipt.to_string(),
            "secret" => secret.reveal(),
            "at" => time(request.asked_ms),
            "due" => due.clone(),
            "lang" => language.code().to_owned(),
            _ => return None,
        })
    });
    frame(desk, language, &fragments::switch_of_request(language, request, secret), &body)
}

fn frame(desk: &Desk, language: Language, switch: &str, body: &str) -> String {
    let operator = &desk.settings.operator;
    render(FRAME, language, |key| {
        Some(match key {
            "tag" => language.tag().to_owned(),
            "body" => body.to_owned(),
            "operator" => disclosed::operator(language, operator),
            "imprint" => disclosed::imprint(language, operator),
            "switch" => switch.to_owned(),
            _ => return None,
        })
    })
}

/// Fills a template: `{{key}}` escaped, `{{{key}}}` as it is. What `value` does not know is a text.
fn render(template: &str, language: Language, value: impl Fn(&str) -> Option<String>) -> String {
    let mut html = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        html.push_str(before);
        let (is_html, after) = after.strip_prefix('{').map_or((false, after), |after| (true, after));
        let (key, after) = after.split_once(if is_html { "}}}" } else { "}}" }).unwrap_or((after, ""));
        let text = value(key).unwrap_or_else(|| language.text(key).to_owned());
        html.push_str(&if is_html { text } else { escape(&text) });
        rest = after;
    }
    html + rest
}

/// A moment as people read it, UTC.
fn time(at_ms: UnixMs) -> String {
    DateTime::from_timestamp_millis(at_ms)
        .map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests;
