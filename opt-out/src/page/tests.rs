//! The texts are complete, and nothing that was typed can become HTML.

use super::*;

const TEMPLATES: [&str; 4] = [FRAME, HOME, RECEIPT, REQUEST];

#[test]
fn both_languages_have_the_same_keys_and_every_line_is_read() {
    let files = [include_str!("en.texts"), include_str!("zh.texts")];
    let keys = files.map(|file| {
        let mut keys: Vec<_> = texts(file).into_keys().collect();
        keys.sort_unstable();
        keys
    });
    assert_eq!(keys[0], keys[1]);
    for file in files {
        let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(lines, texts(file).len(), "a line is no text, or a key stands twice");
    }
}

#[test]
fn every_placeholder_has_a_value_or_a_text() {
    /// What the functions of this module fill in.
    const VALUES: [&str; 27] = [
        "notice",
        "gpc",
        "browser",
        "kinds",
        "receipts",
        "lang",
        "ids",
        "receipt",
        "secret",
        "at",
        "policy",
        "tag",
        "body",
        "operator",
        "imprint",
        "switch",
        "words",
        "stored",
        "rights",
        "rights_hint",
        "rights_how",
        "download",
        "state",
        "fetch",
        "heading",
        "due",
        "log",
    ];
    let texts = texts(include_str!("en.texts"));
    let mut seen = 0;
    for template in TEMPLATES {
        for part in template.split("{{").skip(1) {
            let key = part.trim_start_matches('{').split("}}").next().unwrap();
            assert!(VALUES.contains(&key) || texts.contains_key(key), "{key}");
            seen += 1;
        }
    }
    assert!(seen > 40);
    let kinds = KINDS.map(|(kind, _)| format!("kind.{}", kind.name()));
    let forms = event::identifier::ArrivingForm::ALL.map(|form| format!("form.{}", form.name()));
    for key in kinds.iter().chain(&forms) {
        assert!(texts.contains_key(key.as_str()), "{key}");
    }
}

#[test]
fn values_are_escaped_and_templates_have_no_script() {
    let html = render("<p title=\"{{a}}\">{{{b}}}{{title}}</p>{{", Language::English, |key| match key {
        "a" => Some("<\"'&>".to_owned()),
        "b" => Some("<b></b>".to_owned()),
        _ => None,
    });
    assert_eq!(html, "<p title=\"&lt;&quot;&#39;&amp;&gt;\"><b></b>Opt out of ad measurement</p>");
    for template in TEMPLATES {
        assert!(
            !template.contains("style=") && !template.contains(" on") && !template.contains("<style"),
            "for the policy"
        );
        let scripts = template.matches("<script").count();
        assert_eq!(template.matches("<script type=\"module\" src=\"/").count(), scripts, "none inline");
    }
}

#[test]
fn the_language_is_the_chosen_one_or_the_preferred_one() {
    use Language::{Chinese, English};
    for (chosen, accepted, expected) in [
        (Some("zh"), Some("en"), Chinese),
        (Some("zh-CN"), None, Chinese),
        (Some("en"), Some("zh"), English),
        (Some("fr"), Some("zh"), Chinese),
        (None, Some("zh-CN,zh;q=0.9,en;q=0.8"), Chinese),
        (None, Some("en-GB,en;q=0.9,zh;q=0.8"), English),
        (None, Some("fr-FR, zh;q=0.2, en;q=0.1"), Chinese),
        (None, Some("ZH"), Chinese),
        (None, Some("zh;q=0, en;q=0.1"), English),
        (None, Some("zh;q=rubbish"), English),
        (None, Some("fr"), English),
        (None, Some(""), English),
        (None, None, English),
    ] {
        assert_eq!(Language::choose(chosen, accepted), expected, "{chosen:?} {accepted:?}");
    }
}

#[test]
fn the_colours_have_the_contrast_that_the_style_sheet_claims() {
    let themes: Vec<HashMap<&str, &str>> = STYLE
        .lines()
        .filter(|line| line.contains("--text:"))
        .map(|line| {
            let pairs = line.split(';').filter_map(|pair| pair.trim().rsplit_once(": #"));
            pairs.map(|(name, colour)| (name.rsplit("--").next().unwrap(), &colour[..6])).collect()
        })
        .collect();
    assert_eq!(themes.len(), 2, "light and dark");
    for theme in themes {
        for (on, of) in [
            ("paper", "text"),
            ("paper", "quiet"),
            ("paper", "act"),
            ("paper", "act-over"),
            ("act", "act-text"),
            ("act-over", "act-text"),
            ("paper", "good"),
            ("paper", "bad"),
            ("ground", "text"),
            ("ground", "quiet"),
            ("ground", "act"),
            ("ground", "good"),
            ("ground", "bad"),
            ("good-paper", "good"),
            ("bad-paper", "bad"),
            ("note-paper", "note"),
        ] {
            let ratio = contrast(theme[on], theme[of]);
            assert!(ratio >= 7.0, "{of} on {on}: {ratio:.1} to 1");
        }
    }
}

/// Contrast ratio of WCAG 2.2.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |colour: &str| {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    };
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    a.max(b) / a.min(b)
}

#[test]
fn the_built_in_policy_ends_with_the_version_in_force() {
    let versions = disclosed::built_in();
    assert_eq!(versions.last().map(|policy| policy.version), Some(crate::Settings::default().policy_version));
    let settings = crate::Settings { policy: versions, ..crate::Settings::default() };
    assert_eq!(settings.check(), Ok(()));
}
