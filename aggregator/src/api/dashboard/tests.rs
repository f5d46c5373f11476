//! What the files may be: all of them are served, none of them runs anything that a report could smuggle in, and each word stands in both languages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard")
}

/// Names of all files below the folder, from it.
fn names(below: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(below).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return names(&path);
            }
            let name = path.strip_prefix(folder()).expect("is below").to_string_lossy().into_owned();
            BTreeSet::from([name])
        })
        .collect()
}

/// Our own scripts.
fn scripts() -> impl Iterator<Item = &'static Source> {
    SOURCES.iter().filter(|source| source.media_type == SCRIPT && !source.name.starts_with("vendor/"))
}

fn get(path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = hyper::Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(&request.body(()).expect("a request").into_parts().0)
}

#[test]
fn every_file_of_the_folder_is_served_with_its_type_and_no_other() {
    let listed: BTreeSet<String> = SOURCES.iter().map(|source| source.name.to_owned()).collect();
    assert_eq!(listed, names(&folder()));
    assert_eq!(get("/", &[]).headers()[CONTENT_TYPE], HTML);
    for source in SOURCES.iter().filter(|source| source.name != "index.html") {
        let answer = get(&format!("/dashboard/{}/{}", FILES.version, source.name), &[]);
        assert_eq!(
            (answer.status(), &answer.headers()[CONTENT_TYPE]),
            (StatusCode::OK, &HeaderValue::from_static(source.media_type))
        );
        assert_eq!(answer.headers()[CONTENT_SECURITY_POLICY], POLICY);
        assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    for path in [
        "/dashboard/0/app.js",
        "/dashboard/app.js",
        "/dashboard/",
        &format!("/dashboard/{}/../Cargo.toml", FILES.version),
    ] {
        assert_eq!(get(path, &[]).status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn a_browser_asks_again_for_the_page_alone_and_gets_it_packed() {
    let page = get("/", &[]);
    assert_eq!(page.headers()[CACHE_CONTROL], "no-cache");
    let tag = page.headers()[ETAG].to_str().expect("a text").to_owned();
    let known = get("/", &[("if-none-match", &tag)]);
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    let path = format!("/dashboard/{}/app.js", FILES.version);
    assert!(get(&path, &[]).headers()[CACHE_CONTROL].to_str().expect("a text").contains("immutable"));
    let packed = get(&path, &[("accept-encoding", "br, gzip;q=0.5")]);
    assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
    let total: usize =
        FILES.files.iter().filter(|file| file.media_type != PLAIN).map(|file| file.packed.len()).sum();
    // A fifth of it is the plots, and as much are the words of two languages.
    assert!(total < 130_000, "{total} bytes go over the line: the dashboard is meant to be small");
}

#[test]
fn code_is_sent_without_its_comments_line_by_line() {
    for source in SOURCES.iter().filter(|source| source.is_ours()) {
        let sent = without_comments(source.text);
        assert_eq!(sent.lines().count(), source.text.lines().count(), "{}", source.name);
        let kept = sent.lines().zip(source.text.lines()).filter(|(sent, _)| !sent.is_empty());
        for (sent, written) in kept {
            assert_eq!(sent, written, "{}", source.name);
            assert!(!sent.trim_start().starts_with("//") && !sent.contains("/*"), "{}: {sent}", source.name);
        }
    }
    assert_eq!(
        without_comments("a; // stays\n/** goes\n * too */\n* { b }\n  // goes\nc"),
        "a; // stays\n\n\n* { b }\n\nc\n"
    );
}

#[test]
fn the_page_names_every_script_and_nothing_outside() {
    let page = SOURCES.first().expect("the page").text;
    for script in scripts() {
        assert!(
            page.contains(&format!("dashboard/VERSION/{}\"", script.name)),
            "{} is not loaded ahead",
            script.name
        );
    }
    for source in SOURCES.iter().filter(|source| !source.name.starts_with("vendor/")) {
        let outside = source
            .text
            .replace("http://www.w3.org/", "")
            .replace("https://www.example.com/", "")
            .replace("https://t.example.com", "");
        assert!(
            !outside.contains("http://") && !outside.contains("https://"),
            "{} names another site",
            source.name
        );
    }
    assert!(!page.contains("style=") && !page.contains("onclick"), "the policy would not let it");
}

#[test]
fn no_text_is_ever_read_as_markup_or_as_a_script() {
    const NEVER: [&str; 9] = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
        "srcdoc",
        "setHTML",
    ];
    for script in scripts() {
        for word in NEVER {
            assert!(!script.text.contains(word), "{}: {word}", script.name);
        }
        assert!(script.text.lines().count() <= 400, "{} is long: look for the seam", script.name);
        assert!(script.text.starts_with("// "), "{} does not say what it is", script.name);
    }
}

/// Key, English, Chinese of each line of words.
fn words() -> Vec<(String, String, String)> {
    let lines =
        scripts().filter(|script| script.name.starts_with("words/")).flat_map(|script| script.text.lines());
    lines
        .filter_map(|line| {
            let rest = line.strip_prefix("  '")?;
            let (key, rest) = rest.split_once("': ['")?;
            let (english, chinese) = rest.strip_suffix("'],")?.split_once("', '")?;
            Some((key.to_owned(), english.replace("\\'", "'"), chinese.replace("\\'", "'")))
        })
        .collect()
}

#[test]
fn each_word_stands_in_both_languages_and_is_known() {
    let words = words();
    let lines: usize = scripts()
        .filter(|script| script.name.starts_with("words/"))
        .map(|script| script.text.matches("': ['").count())
        .sum();
    assert_eq!(words.len(), lines, "each key is one line: 'key': ['English', '中文'],");
    let keys: BTreeSet<&str> = words.iter().map(|(key, ..)| key.as_str()).collect();
    assert_eq!(keys.len(), words.len(), "a key stands there twice");
    let holes = |text: &str| -> BTreeSet<String> {
        text.split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    for (key, english, chinese) in &words {
        assert!(!english.is_empty() && !chinese.is_empty(), "{key}");
        assert_eq!(holes(english), holes(chinese), "{key}");
        let is_chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        assert!(!english.contains(is_chinese), "{key} is not English");
    }
    for script in scripts() {
        for (at, _) in script.text.match_indices("t('") {
            let before = script.text.get(..at).and_then(|text| text.chars().last());
            let key = script.text.get(at + 3..).and_then(|rest| rest.split('\'').next()).expect("a key");
            let is_call = before.is_none_or(|c| !c.is_ascii_alphanumeric());
            assert!(!is_call || keys.contains(key), "{}: there are no words for {key}", script.name);
        }
    }
}

#[test]
fn what_the_api_names_has_words() {
    let words = words();
    let is_known = |key: &str| words.iter().any(|(known, ..)| known == key);
    let outcomes =
        event::outcome::Outcome::ALL.into_iter().map(|outcome| format!("outcome.{}", outcome.name()));
    let stages = event::stage::Stage::ALL.into_iter().map(|stage| format!("stage.{}", stage.name()));
    let kinds = event::identifier::IdKind::ALL.into_iter().map(|kind| format!("id_kind.{}", kind.name()));
    let flags = crate::api::flag_names(u32::MAX).into_iter().map(|name| format!("flag.{name}"));
    let description: serde_json::Value =
        yaml_serde::from_str(crate::api::answers::DESCRIPTION).expect("YAML");
    let codes = description.pointer("/components/schemas/Problem/properties/error/properties/code/enum");
    let codes = codes.and_then(serde_json::Value::as_array).expect("a list");
    let errors = codes.iter().map(|code| format!("error.{}", code.as_str().expect("a text")));
    for key in outcomes.chain(stages).chain(kinds).chain(flags).chain(errors) {
        assert!(is_known(&key), "{key}");
    }
}

/// Every `mistake!(…)` of the sources below a folder: its code, and all that stands in it.
fn mistakes(below: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(below).expect("a folder").map(|entry| entry.expect("an entry").path());
    let of_file = |path: PathBuf| {
        if path.is_dir() {
            return mistakes(&path);
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let calls = text.split("mistake!(").skip(1).filter_map(|rest| {
            let rest = rest.trim_start().strip_prefix('"')?;
            let (code, rest) = rest.split_once('"')?;
            let is_code = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let words = rest.split(");").next().unwrap_or(rest);
            is_code.then(|| (code.to_owned(), words.to_owned()))
        });
        calls.collect()
    };
    entries.flat_map(of_file).collect()
}

#[test]
fn each_mistake_that_people_can_make_has_words_that_name_its_values() {
    let words = words();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found: Vec<(String, String)> =
        ["src", "../catalog/src"].iter().flat_map(|folder| mistakes(&root.join(folder))).collect();
    assert!(found.len() > 60, "{} found", found.len());
    for (code, call) in &found {
        let key = format!("wrong.{code}");
        let (_, english, chinese) =
            words.iter().find(|(known, ..)| *known == key).unwrap_or_else(|| panic!("no words for {key}"));
        for text in [english, chinese] {
            for hole in text.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                assert!(call.contains(hole), "{key} names {hole}, which the mistake does not tell: {call}");
            }
        }
    }
}

#[test]
fn limits_of_alerts_are_shown_as_they_are_where_nothing_is_said() {
    use crate::alerts::judge::default;
    let fields = SOURCES.iter().find(|source| source.name == "fields.js").expect("is there").text;
    for (name, unit, value) in [
        ("gap_max", "share", default::GAP_MAX),
        ("over_delivery_max", "share", default::OVER_DELIVERY_MAX),
        ("silent_hours", "hours", f64::from(default::SILENT_HOURS)),
    ] {
        assert!(fields.contains(&format!("['{name}', '{unit}', {value}]")), "{name}");
    }
}
