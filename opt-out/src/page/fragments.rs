//! Parts of the page that are made of lists: states, kinds, receipts, forms.
//!
//! It must never put anything into a page that was typed: what it shows are names of the program and receipts.

use std::fmt::Write as _;

use event::identifier::{ArrivingForm, IdKind};

use super::{KINDS, Language, Notice, Shown, escape, time};
use crate::cookies::Cookies;
use crate::desk::{Desk, DoneId};
use crate::problem::Problem;
use crate::receipt::Secret;
use crate::registry::Status;
use crate::requests::{Kind, Request, State};
use crate::rights;

/// The languages as they call themselves.
const LANGUAGES: [(Language, &str); 2] = [(Language::Chinese, "中文"), (Language::English, "English")];

/// The other language by a link.
pub(super) fn switch(language: Language) -> String {
    let link = |(other, name): (Language, &str)| {
        let current = if other == language { " aria-current=\"true\"" } else { "" };
        let (code, tag) = (other.code(), other.tag());
        format!("<a href=\"/opt-out?lang={code}\" lang=\"{tag}\" hreflang=\"{tag}\"{current}>{name}</a>")
    };
    nav(language, &LANGUAGES.map(link).join(" "))
}

/// The other language of a receipt: its secret must not be lost on the way, nor go into a URL.
pub(super) fn switch_of_receipt(language: Language, shown: &Shown<'_>) -> String {
    let ids: Vec<String> = shown.ids.iter().map(DoneId::to_text).collect();
    let receipt = shown.status.receipt.to_string();
    let fields =
        [("action", "show"), ("receipt", &receipt), ("secret", &shown.secret), ("ids", &ids.join(" "))]
            .map(hidden);
    nav(
        language,
        &format!(
            "<form method=\"post\" action=\"/opt-out\">{}{}</form>",
            fields.concat(),
            language_buttons(language)
        ),
    )
}

/// The same of a request.
pub(super) fn switch_of_request(language: Language, request: &Request, secret: &Secret) -> String {
    let fields =
        [("action", "request"), ("receipt", &request.receipt.to_string()), ("secret", &secret.reveal())]
            .map(hidden);
    nav(
        language,
        &format!(
            "<form method=\"post\" action=\"/opt-out\">{}{}</form>",
            fields.concat(),
            language_buttons(language)
        ),
    )
}

fn hidden((name, value): (&str, &str)) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value))
}

fn language_buttons(language: Language) -> String {
    let button = |(other, name): (Language, &str)| {
        let current = if other == language { " aria-current=\"true\"" } else { "" };
        let (code, tag) = (other.code(), other.tag());
        format!("<button name=\"lang\" value=\"{code}\" lang=\"{tag}\"{current}>{name}</button>")
    };
    LANGUAGES.map(button).join(" ")
}

fn nav(language: Language, inner: &str) -> String {
    format!("<nav aria-label=\"{}\">{inner}</nav>", escape(language.text("language")))
}

/// What was done, or why not. It takes the focus, so that a screen reader begins with it.
pub(super) fn notice(language: Language, notice: &Notice<'_>) -> String {
    let (class, role, text) = match notice {
        Notice::Done(key) => ("done", "status", escape(language.text(key))),
        Notice::Failed(key) => ("problem", "alert", escape(language.text(key))),
        Notice::State(status) => {
            let (key, at_ms) = match status.opted_in_ms {
                Some(at_ms) => ("back.state_in", at_ms),
                None => ("back.state_out", status.opted_out_ms),
            };
            ("done", "status", format!("{} {}", escape(language.text(key)), time(at_ms)))
        }
        Notice::Problem(problem) => {
            let text = match problem {
                Problem::BadIds(ids) => ids.first().map_or("bad_id", |bad| bad.reason()),
                other => other.code(),
            };
            ("problem", "alert", escape(language.text(&format!("problem.{text}"))))
        }
    };
    format!("<p class=\"notice {class}\" role=\"{role}\" tabindex=\"-1\" autofocus>{text}</p>")
}

/// The state of this browser, and the button that changes it.
pub(super) fn browser(language: Language, opted_out: bool) -> String {
    let (class, state, action, button) = if opted_out {
        ("is-out", "browser.is_out", "browser_in", "browser.opt_in")
    } else {
        ("is-in", "browser.is_in", "browser_out", "browser.opt_out")
    };
    let quiet = if opted_out { " class=\"quiet\"" } else { "" };
    format!(
        "<p class=\"state {class}\">{}</p>\n<button{quiet} name=\"action\" value=\"{action}\">{}</button>",
        escape(language.text(state)),
        escape(language.text(button))
    )
}

pub(super) fn kinds(language: Language, chosen: Option<IdKind>) -> String {
    let option = |(kind, example): (IdKind, &str)| {
        let selected = if chosen == Some(kind) { " selected" } else { "" };
        format!(
            "<option value=\"{}\" data-example=\"{} {example}\"{selected}>{}</option>",
            kind.name(),
            escape(language.text("device.example")),
            escape(language.text(&format!("kind.{}", kind.name())))
        )
    };
    KINDS.into_iter().map(option).collect()
}

/// The receipts that this browser holds, each with a button.
pub(super) fn receipts(language: Language, statuses: &[Status]) -> String {
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
            "<li><span><code>{}</code> {} {}</span>",
            status.receipt,
            escape(language.text(key)),
            time(at_ms)
        );
        if status.opted_in_ms.is_none() {
            let (code, button) = (language.code(), escape(language.text("back.button")));
            let _ = write!(
                html,
                "<form method=\"post\" action=\"/opt-out\"><input type=\"hidden\" name=\"lang\" value=\"{code}\">\
                 <input type=\"hidden\" name=\"receipt\" value=\"{receipt}\">\
                 <button class=\"quiet\" name=\"action\" value=\"receipt\" aria-label=\"{button} {receipt}\">{button}</button></form>",
                receipt = status.receipt
            );
        }
        html.push_str("</li>\n");
    }
    html + "</ul>"
}

/// What was done for each identifier: by its kind, never by its value.
pub(super) fn ids(language: Language, ids: &[DoneId]) -> String {
    let names = |forms: &[ArrivingForm]| -> String {
        let name = |form: &ArrivingForm| {
            format!("<li>{}</li>", escape(language.text(&format!("form.{}", form.name()))))
        };
        forms.iter().map(name).collect()
    };
    let mut html = String::new();
    for id in ids {
        let kind = escape(language.text(&format!("kind.{}", id.kind.name())));
        let covered = escape(language.text("receipt.covered"));
        let _ = write!(
            html,
            "<dt>{kind}</dt><dd>{covered}<ul class=\"chips yes\">{}</ul></dd>",
            names(&id.covered)
        );
        if !id.uncovered.is_empty() {
            let label = escape(language.text("receipt.not_covered"));
            let why = match (id.ambiguous, id.uncovered.as_slice()) {
                (true, _) => "receipt.ambiguous",
                (false, [ArrivingForm::RawWithoutDashes]) => "receipt.why_not_dashes",
                (false, _) => "receipt.why_not",
            };
            let _ = write!(
                html,
                "<dd>{label}<ul class=\"chips no\">{}</ul><p class=\"small\">{}</p></dd>",
                names(&id.uncovered),
                escape(language.text(why))
            );
        }
    }
    html
}

/// What there is besides an opt-out, and within how many working days it is answered.
pub(super) fn rights_hint(desk: &Desk, language: Language) -> String {
    let days = desk.settings.requests.answer_working_days;
    language.text("rights.hint").replace("{days}", &days.to_string())
}

/// How one shows that a device is one's own; where to turn to, if the operator says it.
pub(super) fn rights_how(desk: &Desk, language: Language) -> String {
    let how = language.text("rights.how");
    if desk.settings.operator.contact.is_empty() {
        return how.to_owned();
    }
    format!("{how} {}", language.text("rights.contact"))
}

/// What a browser can ask for here, and what was asked for before; nothing where this process cannot do it.
pub(super) fn rights(desk: &Desk, language: Language, cookies: &Cookies) -> String {
    if desk.requests.is_none() {
        return String::new();
    }
    let text = |key: &str| escape(language.text(key));
    let lang = hidden(("lang", language.code()));
    let own = if rights::own_id_of(desk, cookies).is_some() {
        format!(
            "<p>{}</p><form method=\"post\" action=\"/opt-out\">{lang}<p class=\"buttons\">\
             <button class=\"quiet\" name=\"action\" value=\"erase\">{}</button> \
             <button class=\"quiet\" name=\"action\" value=\"copy\">{}</button></p></form>",
            text("rights.own"),
            text("rights.erase"),
            text("rights.copy")
        )
    } else {
        format!("<p class=\"note\">{}</p>", text("rights.none"))
    };
    format!(
        "{own}<details><summary>{}</summary><form method=\"post\" action=\"/opt-out\" autocomplete=\"off\" class=\"narrow\">{lang}\
         <label for=\"request-receipt\">{}</label>\
         <input id=\"request-receipt\" name=\"receipt\" type=\"text\" required maxlength=\"64\" autocorrect=\"off\" spellcheck=\"false\">\
         <label for=\"request-secret\">{}</label>\
         <input id=\"request-secret\" name=\"secret\" type=\"text\" required maxlength=\"128\" autocorrect=\"off\" spellcheck=\"false\">\
         <button class=\"quiet\" name=\"action\" value=\"request\">{}</button></form></details>",
        text("rights.asked"),
        text("request.number"),
        text("request.secret"),
        text("back.status")
    )
}

/// How far a request is.
pub(super) fn request_state(language: Language, request: &Request) -> String {
    let key = match (request.state, request.kind) {
        (State::Waiting, _) => "request.waiting",
        (State::Running, _) => "request.running",
        (State::Refused, _) => "request.refused",
        (State::NotLinkable, _) => "request.not_linkable",
        (State::Done, Kind::Erasure) => "request.erased",
        (State::Done, Kind::Copy) => "request.copied",
    };
    let counts = request.counts;
    let hits = if request.kind == Kind::Copy {
        counts.rows
    } else {
        counts.events + counts.unresolved + counts.trial_events
    };
    let text = language.text(key).replace("{hits}", &hits.to_string());
    format!("<p>{}</p><p>{}</p>", escape(&text), escape(&request.why))
}

/// The button that hands out the file of a copy.
pub(super) fn fetch(language: Language, request: &Request, secret: &Secret) -> String {
    if (request.kind, request.state) != (Kind::Copy, State::Done) {
        return String::new();
    }
    let (receipt, secret) = (request.receipt.to_string(), secret.reveal());
    let fields = [("lang", language.code()), ("receipt", &receipt), ("secret", &secret)].map(hidden);
    format!(
        "<form method=\"post\" action=\"/opt-out\">{}<button name=\"action\" value=\"fetch\">{}</button></form>",
        fields.concat(),
        escape(language.text("request.fetch"))
    )
}
