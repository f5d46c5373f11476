//! Rules for Rust files. Each function takes one [`Source`] and answers with what breaks its rule.

use crate::rust::{Source, closing};
use crate::{Finding, is_word_byte, words_at};

/// A thing of the outside world and the only files that may name it.
#[derive(Clone, Copy, Debug)]
pub struct OnePlace {
    /// What is named in code, as it stands there.
    pub name: &'static str,
    /// What the paths of the files that may name it begin with.
    pub paths: &'static [&'static str],
    /// Why there is only one place.
    pub why: &'static str,
}

/// Every Rust file of the product opens with `//!`: what it owns and what it must never do.
pub fn module_header(source: &Source<'_>) -> Option<Finding> {
    let opens =
        source.text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.starts_with("//!"));
    (!opens).then(|| {
        Finding::new(source.path, 1, "the file must open with `//!`: what it owns, what it must never do")
    })
}

/// Metrics are declared in files called `metrics.rs` and nowhere else: neither the macros nor a metric's name stand elsewhere.
pub fn metrics_in_one_place(source: &Source<'_>, roles: &[&str]) -> Vec<Finding> {
    const MACROS: [&str; 6] =
        ["counter", "gauge", "histogram", "describe_counter", "describe_gauge", "describe_histogram"];
    if source.path.ends_with("/metrics.rs") {
        return Vec::new();
    }
    let macros = MACROS.iter().flat_map(|name| {
        words_at(&source.code, name)
            .filter(|at| source.code.get(at + name.len()..).is_some_and(|rest| rest.starts_with('!')))
            .map(|at| (at, format!("`{name}!` outside metrics.rs")))
            .collect::<Vec<_>>()
    });
    let names =
        source.literals.iter().filter(|literal| is_metric_name(&literal.text, roles)).map(|literal| {
            (literal.offset, format!("the metric name {:?} outside metrics.rs", literal.text))
        });
    macros
        .chain(names)
        .filter(|(at, _)| !source.is_test(*at))
        .map(|(at, what)| {
            Finding::new(source.path, source.line(at), format!("{what}: declare it there, typed, once"))
        })
        .collect()
}

/// `<role>_<noun>_<unit>[_total]`.
fn is_metric_name(text: &str, roles: &[&str]) -> bool {
    const UNITS: [&str; 6] = ["_total", "_seconds", "_bytes", "_ratio", "_info", "_count"];
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && roles.iter().any(|role| text.strip_prefix(role).is_some_and(|rest| rest.starts_with('_')))
        && UNITS.iter().any(|unit| text.ends_with(unit))
}

/// `unsafe` stands only in the module that calls the embedded engine's C interface.
pub fn no_unsafe(source: &Source<'_>, allowed: impl Fn(&str) -> bool) -> Vec<Finding> {
    if allowed(source.path) {
        return Vec::new();
    }
    words_at(&source.code, "unsafe")
        .map(|at| Finding::new(source.path, source.line(at), "`unsafe` outside the engine's C interface"))
        .collect()
}

/// A thing of the outside world is named in its one place only. Tests may name it where they stand in for the world.
pub fn one_place(source: &Source<'_>, rule: OnePlace) -> Vec<Finding> {
    if rule.paths.iter().any(|path| source.path.starts_with(path)) {
        return Vec::new();
    }
    source
        .code
        .match_indices(rule.name)
        .filter(|(at, _)| {
            let before = at.checked_sub(1).and_then(|i| source.code.as_bytes().get(i));
            !before.is_some_and(|byte| is_word_byte(*byte)) && !source.is_test(*at)
        })
        .map(|(at, _)| {
            let what = format!("`{}` belongs in {} only: {}", rule.name, rule.paths.join(", "), rule.why);
            Finding::new(source.path, source.line(at), what)
        })
        .collect()
}

/// No test is switched off.
pub fn no_ignored_tests(source: &Source<'_>) -> Vec<Finding> {
    words_at(&source.code, "ignore")
        .filter(|at| {
            let before = source.code.get(..*at).unwrap_or_default().trim_end();
            before.ends_with("#[")
                || (before.ends_with(',') && before.rsplit("#[").next().is_some_and(is_cfg_attr))
        })
        .map(|at| {
            Finding::new(source.path, source.line(at), "an ignored test proves nothing: run it or remove it")
        })
        .collect()
}

fn is_cfg_attr(attribute: &str) -> bool {
    attribute.starts_with("cfg_attr") && !attribute.contains(']')
}

/// No test waits a fixed time. A sleep between two looks at a condition, inside a loop, is not fixed.
pub fn no_fixed_sleep_in_tests(source: &Source<'_>) -> Vec<Finding> {
    words_at(&source.code, "sleep")
        .filter(|at| source.code.get(at + 5..).is_some_and(|rest| rest.starts_with('(')))
        .filter(|at| !source.code.get(..*at).unwrap_or_default().trim_end().ends_with("fn"))
        .filter(|at| source.is_test(*at) && !is_polling(source, *at))
        .map(|at| {
            let what = "a fixed sleep in a test: wait for the condition itself, in a loop with a deadline";
            Finding::new(source.path, source.line(at), what)
        })
        .collect()
}

fn is_polling(source: &Source<'_>, at: usize) -> bool {
    let has = |head: &str, word: &str| words_at(head, word).next().is_some();
    source
        .blocks_around(at)
        .iter()
        .take_while(|head| !has(head, "fn"))
        .any(|head| ["loop", "while", "for"].iter().any(|word| has(head, word)))
}

/// A file's and a function's size beyond which it does not pass (the signals of CONVENTIONS lie lower and are only printed).
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Lines of a file without its tests.
    pub file_lines: usize,
    /// Lines of a function.
    pub function_lines: usize,
}

/// What is larger than `sizes`. Tests count for neither.
pub fn larger_than(source: &Source<'_>, sizes: Sizes) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines = source.lines_without_tests();
    if lines > sizes.file_lines {
        let what = format!("{lines} lines without tests, more than {}: look for the seam", sizes.file_lines);
        found.push(Finding::new(source.path, 0, what));
    }
    for function in source.functions() {
        if function.lines > sizes.function_lines && !source.is_test(function.offset) {
            let what = format!(
                "`{}` has {} lines, more than {}: look for the seam",
                function.name, function.lines, sizes.function_lines
            );
            found.push(Finding::new(source.path, function.line, what));
        }
    }
    found
}

/// No `_ =>` in a `match` whose arms name variants of `type_name`: a new variant must be looked at everywhere.
pub fn no_wildcard_on(source: &Source<'_>, type_name: &str) -> Vec<Finding> {
    let variant = format!("{type_name}::");
    words_at(&source.code, "match")
        .filter_map(|at| {
            let open = at + source.code.get(at..)?.find('{')?;
            let body = source.code.get(open + 1..closing(&source.code, open)?)?;
            let patterns = patterns(body);
            let names = patterns.iter().any(|(_, pattern)| pattern.contains(&variant));
            let wild = patterns.iter().find(|(_, pattern)| pattern.trim() == "_")?;
            names.then(|| open + 1 + wild.0)
        })
        .map(|at| {
            let what =
                format!("`_ =>` on {type_name}: name every variant, so that a new one is looked at here");
            Finding::new(source.path, source.line(at), what)
        })
        .collect()
}

/// The patterns of a `match` body with the offset of their arrows: text at the body's own depth between the end of one arm and `=>`.
fn patterns(body: &str) -> Vec<(usize, &str)> {
    let bytes = body.as_bytes();
    let mut found = Vec::new();
    let mut depth = 0usize;
    let mut start = Some(0);
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && start.is_none() {
                    start = Some(at + 1);
                }
            }
            b',' if depth == 0 => start = Some(at + 1),
            b'>' if depth == 0 && at.checked_sub(1).and_then(|i| bytes.get(i)) == Some(&b'=') => {
                if let Some(pattern) = start.take().and_then(|from| body.get(from..at - 1)) {
                    found.push((at, pattern));
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(path: &'a str, text: &'a str) -> Source<'a> {
        Source::new(path, text)
    }

    fn lines(found: &[Finding]) -> Vec<usize> {
        found.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        assert!(module_header(&at("a/src/b.rs", "use std::io;\n//! late\n")).is_some());
        assert!(module_header(&at("a/src/b.rs", "")).is_some());
        assert!(module_header(&at("a/src/b.rs", "\n//! Owns b.\nuse std::io;\n")).is_none());
    }

    #[test]
    fn a_metric_outside_its_file_is_found() {
        let text = "fn a() {\n    metrics::counter!(NAME).increment(1);\n    x(\"ingest_beacons_total\");\n}\n\
                    #[cfg(test)]\nmod tests { fn t() { x(\"ingest_beacons_total\") } }\n";
        assert_eq!(lines(&metrics_in_one_place(&at("ingest/src/road.rs", text), &["ingest"])), [2, 3]);
        assert_eq!(metrics_in_one_place(&at("ingest/src/metrics.rs", text), &["ingest"]), []);
        let harmless =
            "fn a() { counter(1); x(\"ingest_total_of\"); y(\"journal_bytes\"); z(\"ingest totals_total\") }";
        assert_eq!(metrics_in_one_place(&at("ingest/src/road.rs", harmless), &["ingest"]), []);
    }

    #[test]
    fn unsafe_is_found_in_code_only() {
        let text = "// unsafe\n#![deny(unsafe_code)]\nfn a() { unsafe { b() } }\n";
        assert_eq!(lines(&no_unsafe(&at("journal/src/a.rs", text), |_| false)), [3]);
        assert_eq!(no_unsafe(&at("aggregator/src/engine.rs", text), |path| path.contains("engine")), []);
    }

    #[test]
    fn a_second_place_for_a_foreign_thing_is_found() {
        let rule = OnePlace { name: "libloading::", paths: &["aggregator/src/engine"], why: "one place" };
        let text = "use libloading::Library;\n#[cfg(test)]\nmod tests { use libloading::x; }\n";
        assert_eq!(lines(&one_place(&at("ingest/src/a.rs", text), rule)), [1]);
        assert_eq!(one_place(&at("aggregator/src/engine/library.rs", text), rule), []);
        assert_eq!(one_place(&at("ingest/src/a.rs", "use mylibloading::x;"), rule), []);
    }

    #[test]
    fn an_ignored_test_is_found() {
        assert_eq!(
            lines(&no_ignored_tests(&at("a/tests/b.rs", "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n"))),
            [2]
        );
        assert_eq!(
            lines(&no_ignored_tests(&at("a/tests/b.rs", "#[cfg_attr(slow, ignore)]\nfn a() {}\n"))),
            [1]
        );
        assert_eq!(no_ignored_tests(&at("a/tests/b.rs", "fn a() { ignore(x, ignore) } // #[ignore]\n")), []);
    }

    #[test]
    fn a_fixed_sleep_is_found_and_polling_is_not() {
        let fixed = "fn a() {\n    thread::sleep(ONE);\n    if b { tokio::time::sleep(ONE).await; }\n}\n";
        assert_eq!(lines(&no_fixed_sleep_in_tests(&at("a/tests/b.rs", fixed))), [2, 3]);
        let polling =
            "fn a() { while !ready() { if late() { fail() } thread::sleep(STEP); } }\nfn sleep() {}\n";
        assert_eq!(no_fixed_sleep_in_tests(&at("a/tests/b.rs", polling)), []);
        assert_eq!(no_fixed_sleep_in_tests(&at("a/src/b.rs", fixed)), []);
    }

    #[test]
    fn what_is_too_large_is_found() {
        let sizes = Sizes { file_lines: 6, function_lines: 3 };
        let text =
            "fn a() {\n\n\n}\nfn b() {\n\n}\n#[cfg(test)]\nmod tests {\n    fn c() {\n\n\n\n    }\n}\n";
        assert_eq!(lines(&larger_than(&at("a/src/b.rs", text), sizes)), [0, 1]);
        let sizes = Sizes { file_lines: 7, function_lines: 4 };
        assert_eq!(larger_than(&at("a/src/b.rs", text), sizes), []);
    }

    #[test]
    fn a_wildcard_on_the_outcome_is_found() {
        let wild = "fn a() {\n match o {\n  Outcome::Accepted => { match n { _ => 1 } }\n  _ => 2,\n }\n}\n";
        assert_eq!(lines(&no_wildcard_on(&at("ingest/src/a.rs", wild), "Outcome")), [4]);
        let named = "fn a() { match o { Outcome::Accepted => match n { _ => 1 }, Outcome::Malformed => 2 } }";
        assert_eq!(no_wildcard_on(&at("ingest/src/a.rs", named), "Outcome"), []);
        let inside = "fn a() { match n { 1 => Outcome::Accepted, _ => Outcome::Malformed } }";
        assert_eq!(no_wildcard_on(&at("ingest/src/a.rs", inside), "Outcome"), []);
    }
}
