//! What the documents name exists: paths in backticks, relative links, `make` targets.

use crate::Finding;

/// Endings by which a path is taken for one of ours even when its first folder does not exist.
const OUR_ENDINGS: [&str; 7] = [".rs", ".md", ".sql", ".conf", ".sh", ".yaml", ".lock"];

/// Paths and `make` targets in `text` that do not exist. `exists` answers for a path from the root; `targets` are the Makefile's.
pub fn missing(path: &str, text: &str, exists: impl Fn(&str) -> bool, targets: &[String]) -> Vec<Finding> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let stands = |named: &str| exists(named) || exists(&resolve(folder, named));
    let mut found = Vec::new();
    for (line, span) in code_spans(text) {
        if let Some(target) = span.strip_prefix("make ").and_then(|rest| rest.split_whitespace().next())
            && is_target(target)
            && !targets.iter().any(|known| known == target)
        {
            found.push(Finding::new(path, line, format!("`make {target}` is no target of the Makefile")));
        }
        let named = span.split_whitespace().next().unwrap_or_default().trim_end_matches('/');
        if is_path(named, &exists) && !stands(named) {
            found.push(Finding::new(path, line, format!("`{named}` does not exist")));
        }
    }
    for (line, link) in links(text) {
        let named = link.split('#').next().unwrap_or_default().trim_end_matches('/');
        if !named.is_empty() && !exists(&resolve(folder, named)) {
            found.push(Finding::new(path, line, format!("the link to {named} leads nowhere")));
        }
    }
    found
}

/// The targets of a Makefile.
pub fn make_targets(makefile: &str) -> Vec<String> {
    makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, rest)| is_target(name) && !rest.starts_with('='))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn is_target(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether a word in backticks means a path of this repository: it has a folder, nothing but the characters of our paths, and
/// either its first folder exists or its ending is one of ours.
fn is_path(word: &str, exists: impl Fn(&str) -> bool) -> bool {
    let word = word.strip_prefix("./").unwrap_or(word);
    let Some((first, _)) = word.split_once('/') else { return false };
    let ours = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
    // What cargo builds is there once it is built.
    !first.is_empty()
        && first != "target"
        && word.bytes().all(ours)
        && (exists(first) || OUR_ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

/// `named` as seen from `folder`, with `.` and `..` taken out.
fn resolve(folder: &str, named: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in named.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Lines outside fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

/// What stands in backticks, with its line.
fn code_spans(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(line, text)| text.split('`').skip(1).step_by(2).map(move |span| (line, span)))
}

/// Relative targets of Markdown links, with their lines.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text)
        .flat_map(|(line, text)| {
            text.split("](")
                .skip(1)
                .filter_map(|rest| rest.split_once(')'))
                .map(move |(link, _)| (line, link))
        })
        .filter(|(_, link)| !link.contains(':') && !link.starts_with('#') && !link.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exists(path: &str) -> bool {
        ["target", "journal", "journal/src/lane.rs", "benches", "benches/README.md", "benches/nginx.conf"]
            .contains(&path)
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        missing(path, text, exists, &["test".to_owned()]).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        assert_eq!(
            lines("README.md", "see `journal/src/lane.rs` and\n`journal/src/gone.rs`, `gone/src/a.rs`\n"),
            [2, 2]
        );
        assert_eq!(
            lines(
                "README.md",
                "`image/gif`, `/v1/events`, `target/release/gone`, `a.rs`, `journal/lane-<n>/`, `x / y`\n"
            ),
            []
        );
        assert_eq!(lines("README.md", "```\n`journal/gone.rs`\n```\n"), []);
        assert_eq!(
            lines("benches/README.md", "`./nginx.conf` and [this](nginx.conf#a), [that](gone.conf)\n"),
            [1]
        );
    }

    #[test]
    fn a_target_that_does_not_exist_is_found() {
        assert_eq!(lines("README.md", "`make test` then `make tea`\n"), [1]);
        assert_eq!(
            make_targets("A := b\n.PHONY: x\ntest: fmt ## Runs\n\tcargo test\nrun-demo:\n"),
            ["test", "run-demo"]
        );
    }
}
