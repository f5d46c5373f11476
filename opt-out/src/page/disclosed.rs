//! What the page has to disclose: who runs it, what is stored of a beacon, which versions the policy had.
//!
//! The table of what is stored is made from the event's own declaration ([`event::record::FIELDS`]), so that it cannot say anything else than the program
//! does.

use std::fmt::Write as _;

use event::record::{FIELDS, FieldNote, Retention, Sensitivity, Words};

use super::{Language, escape};
use crate::settings::{Operator, Policy, Settings};

/// The versions of the policy where the operator describes none; see its head for the form.
const POLICY: &str = include_str!("policy.tsv");

impl Language {
    fn of(self, words: Words) -> &'static str {
        match self {
            Self::English => words.en,
            Self::Chinese => words.zh,
        }
    }
}

impl Operator {
    /// The name, if there is one.
    pub(super) fn name_in(&self, language: Language) -> Option<&str> {
        let own = match language {
            Language::Chinese => self.name_zh.trim(),
            Language::English => "",
        };
        [own, self.name.trim()].into_iter().find(|name| !name.is_empty())
    }
}

/// Who runs this.
pub(super) fn operator(language: Language, operator: &Operator) -> String {
    match operator.name_in(language) {
        Some(name) => format!("<strong>{}</strong>", escape(name)),
        None => format!("<strong class=\"unnamed\">{}</strong>", escape(language.text("operator.unnamed"))),
    }
}

/// Where he can be reached.
pub(super) fn imprint(language: Language, operator: &Operator) -> String {
    let line = |key: &str, text: &str| {
        let text = text.trim();
        let label = escape(language.text(key));
        if text.is_empty() {
            String::new()
        } else {
            format!("<div><dt>{label}</dt><dd>{}</dd></div>", escape(text))
        }
    };
    let url = escape(operator.privacy_url.trim());
    let privacy = if url.is_empty() {
        String::new()
    } else {
        format!(
            "<div><dt>{}</dt><dd><a href=\"{url}\" rel=\"noreferrer\">{url}</a></dd></div>",
            escape(language.text("imprint.privacy"))
        )
    };
    let name = operator.name_in(language).unwrap_or_else(|| language.text("operator.unnamed"));
    format!(
        "<dl class=\"imprint\">{}{}{}{privacy}{}</dl>",
        line("imprint.operator", name),
        line("imprint.contact", &operator.contact),
        line("imprint.address", &operator.address),
        line("imprint.register", &operator.register_number)
    )
}

/// What is stored of a beacon, field by field: first what says something about a person, then everything.
pub(super) fn stored(language: Language, event_days: u16) -> String {
    // What stands for a device first.
    let of = |sensitivity| FIELDS.iter().filter(move |field| field.sensitivity == sensitivity);
    let personal = of(Sensitivity::Pseudonym).chain(of(Sensitivity::Personal));
    format!(
        "{}<details><summary>{}</summary>{}</details>",
        table(language, event_days, personal),
        escape(language.text("stored.all")),
        table(language, event_days, FIELDS.iter())
    )
}

fn table<'f>(language: Language, event_days: u16, fields: impl Iterator<Item = &'f FieldNote>) -> String {
    let [what, for_what, how_long] =
        ["stored.what", "stored.purpose", "stored.long"].map(|key| escape(language.text(key)));
    let mut html = format!(
        "<table><thead><tr><th scope=\"col\">{what}</th><th scope=\"col\">{for_what}</th><th scope=\"col\">{how_long}</th></tr></thead><tbody>"
    );
    for field in fields {
        let key = match field.retention {
            Retention::Event => "stored.days",
            Retention::EventOrErased => "stored.days_or_erased",
        };
        let long = language.text(key).replace("{days}", &event_days.to_string());
        let _ = write!(
            html,
            "<tr data-field=\"{}\"><th scope=\"row\">{}</th><td data-label=\"{for_what}\">{}</td><td data-label=\"{how_long}\">{}</td></tr>",
            field.name,
            escape(language.of(field.what)),
            escape(language.of(field.purpose)),
            escape(&long)
        );
    }
    html + "</tbody></table>"
}

/// What the security log notes, and for how long.
pub(super) fn security_log(language: Language, days: Option<u16>) -> String {
    days.map_or_else(String::new, |days| {
        let text = language.text("stored.log").replace("{days}", &days.to_string());
        format!("<p class=\"small\">{}</p>", escape(&text))
    })
}

/// The versions of the policy, the newest first.
pub(super) fn policy(language: Language, settings: &Settings) -> String {
    let built_in: Vec<Policy> = if settings.policy.is_empty() { built_in() } else { Vec::new() };
    let versions = settings.policy.iter().chain(&built_in).rev();
    let mut html = String::from("<dl class=\"policy\">");
    for version in versions {
        let changes = match language {
            Language::Chinese if !version.changes_zh.trim().is_empty() => &version.changes_zh,
            Language::Chinese | Language::English => &version.changes,
        };
        let current = if version.version == settings.policy_version {
            format!(" <strong>({})</strong>", escape(language.text("policy.current")))
        } else {
            String::new()
        };
        let _ = write!(
            html,
            "<dt>{} {} · <time datetime=\"{date}\">{date}</time>{current}</dt><dd>{}</dd>",
            escape(language.text("policy.version")),
            version.version,
            escape(changes),
            date = escape(&version.date)
        );
    }
    html + "</dl>"
}

/// The program's own versions.
pub(super) fn built_in() -> Vec<Policy> {
    let version = |line: &str| {
        let mut columns = line.split('\t');
        let version = columns.next()?.parse().ok()?;
        let mut text = || columns.next().map(str::to_owned);
        Some(Policy { version, date: text()?, changes: text()?, changes_zh: text()? })
    };
    POLICY.lines().filter_map(version).collect()
}
