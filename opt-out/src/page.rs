//! The page's looks: templates, texts in two languages, and the words that a browser sent to choose between them.
//!
//! It owns `page/`: HTML with `{{key}}` (escaped) and `{{{key}}}` (HTML made here), and `en.texts` and `zh.texts` with the same keys. It
//! must never put anything that a person typed into a page.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use event::identifier::{ArrivingForm, IdKind};

use crate::api::rfc3339;
use crate::cookies::Cookies;
use crate::desk::{Desk, Done};
use crate::problem::Problem;
use crate::registry::Status;

/// The style sheet, served as a file of its own so that no inline style need be allowed.
pub(crate) const STYLE: &str = include_str!("page/style.css");

const FRAME: &str = include_str!("page/frame.html");
const HOME: &str = include_str!("page/home.html");
const RECEIPT: &str = include_str!("page/receipt.html");

/// Kinds that a person can look up, in the order of the form. Cookie ids are the medium's, and the page's cookie does better.
const KINDS: [IdKind; 9] = [
    IdKind::Oaid,
    IdKind::Idfa,
    IdKind::Aaid,
    IdKind::Imei,
    IdKind::AndroidId,
    IdKind::Mac,
    IdKind::Idfv,
    IdKind::Caid,
    IdKind::OpenUdid,
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

    fn code(self) -> &'static str {
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
    /// What was wrong.
    Problem(&'a Problem),
}

/// The page with its forms.
pub(crate) fn home(
    desk: &Desk,
    language: Language,
    cookies: &Cookies,
    notice: Option<&Notice<'_>>,
) -> String {
    let statuses: Vec<Status> = cookies
        .receipts
        .iter()
        .rev()
        .filter_map(|(id, secret)| desk.registry.status(*id, secret).ok())
        .collect();
    let body = render(HOME, language, |key| {
        Some(match key {
            "notice" => notice.map_or_else(String::new, |notice| notice_html(language, notice)),
            "browser" => browser_html(language, cookies.opted_out),
            "kinds" => kinds_html(language),
            "receipts" => receipts_html(language, &statuses),
            "lang" => language.code().to_owned(),
            _ => return None,
        })
    });
    frame(desk, language, true, &body)
}

/// The page that hands out a receipt.
pub(crate) fn receipt(desk: &Desk, language: Language, done: &Done) -> String {
    let body = render(RECEIPT, language, |key| {
        Some(match key {
            "ids" => ids_html(language, done),
            "receipt" => done.lodging.receipt.to_string(),
            "secret" => done.lodging.secret.reveal(),
            "at" => rfc3339(done.lodging.at_ms),
            "policy" => done.lodging.policy_version.to_string(),
            "lang" => language.code().to_owned(),
            _ => return None,
        })
    });
    // Choosing the other language here would lose the secret: the switch is left out.
    frame(desk, language, false, &body)
}

fn frame(desk: &Desk, language: Language, with_switch: bool, body: &str) -> String {
    let operator = desk.settings.operator_name.trim();
    render(FRAME, language, |key| {
        Some(match key {
            "tag" => language.tag().to_owned(),
            "body" => body.to_owned(),
            "operator" if operator.is_empty() => language.text("operator.unnamed").to_owned(),
            "operator" => operator.to_owned(),
            "contact" => desk.settings.operator_contact.trim().to_owned(),
            "switch" if with_switch => switch_html(language),
            "switch" => String::new(),
            _ => return None,
        })
    })
}

fn switch_html(language: Language) -> String {
    let link = |other: Language, name: &str| {
        let current = if other == language { " aria-current=\"true\"" } else { "" };
        let (code, tag) = (other.code(), other.tag());
        format!("<a href=\"/opt-out?lang={code}\" lang=\"{tag}\" hreflang=\"{tag}\"{current}>{name}</a>")
    };
    let label = escape(language.text("language"));
    let (chinese, english) = (link(Language::Chinese, "中文"), link(Language::English, "English"));
    format!("<nav aria-label=\"{label}\">{chinese} {english}</nav>")
}

fn notice_html(language: Language, notice: &Notice<'_>) -> String {
    match notice {
        Notice::Done(key) => format!("<p class=\"done\" role=\"status\">{}</p>", escape(language.text(key))),
        Notice::Problem(problem) => {
            let text = match problem {
                Problem::BadIds(ids) => ids.first().map_or("bad_id", |bad| bad.reason()),
                other => other.code(),
            };
            let key = format!("problem.{text}");
            format!("<p class=\"problem\" role=\"alert\">{}</p>", escape(language.text(&key)))
        }
    }
}

fn browser_html(language: Language, opted_out: bool) -> String {
    let (state, action, button) = if opted_out {
        ("browser.is_out", "browser_in", "browser.opt_in")
    } else {
        ("browser.is_in", "browser_out", "browser.opt_out")
    };
    format!(
        "<p class=\"state\">{}</p>\n<button name=\"action\" value=\"{action}\">{}</button>",
        escape(language.text(state)),
        escape(language.text(button))
    )
}

fn kinds_html(language: Language) -> String {
    let option = |kind: IdKind| {
        let key = format!("kind.{}", kind.name());
        format!("<option value=\"{}\">{}</option>", kind.name(), escape(language.text(&key)))
    };
    KINDS.into_iter().map(option).collect()
}

/// The receipts that this browser holds, each with a button.
fn receipts_html(language: Language, statuses: &[Status]) -> String {
    if statuses.is_empty() {
        return String::new();
    }
    let mut html = format!("<h3>{}</h3>\n<ul class=\"receipts\">\n", escape(language.text("back.mine")));
    for status in statuses {
        let (key, at_ms) = match status.opted_in_ms {
            Some(at_ms) => ("back.was_taken_back", at_ms),
            None => ("back.holds_since", status.opted_out_ms),
        };
        let _ = write!(
            html,
            "<li><code>{}</code> {} {}",
            status.receipt,
            escape(language.text(key)),
            rfc3339(at_ms)
        );
        if status.opted_in_ms.is_none() {
            let (code, button) = (language.code(), escape(language.text("back.button")));
            let _ = write!(
                html,
                "<form method=\"post\" action=\"/opt-out\"><input type=\"hidden\" name=\"lang\" value=\"{code}\">\
                 <input type=\"hidden\" name=\"receipt\" value=\"{receipt}\">\
                 <button name=\"action\" value=\"receipt\" aria-label=\"{button} {receipt}\">{button}</button></form>",
                receipt = status.receipt
            );
        }
        html.push_str("</li>\n");
    }
    html + "</ul>"
}

/// What was done for each identifier: by its kind, never by its value.
fn ids_html(language: Language, done: &Done) -> String {
    let names = |forms: &[ArrivingForm]| {
        let names: Vec<_> =
            forms.iter().map(|form| escape(language.text(&format!("form.{}", form.name())))).collect();
        names.join(language.text("list.comma"))
    };
    let mut html = String::new();
    for id in &done.ids {
        let kind = escape(language.text(&format!("kind.{}", id.kind.name())));
        let _ = write!(
            html,
            "<dt>{kind}</dt><dd>{} {}</dd>",
            escape(language.text("receipt.covered")),
            names(&id.covered)
        );
        if !id.uncovered.is_empty() {
            let label = escape(language.text("receipt.not_covered"));
            let _ = write!(html, "<dd class=\"problem\">{label} {}</dd>", names(&id.uncovered));
            if id.ambiguous {
                let _ = write!(html, "<dd>{}</dd>", escape(language.text("receipt.ambiguous")));
            }
        }
    }
    html
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
