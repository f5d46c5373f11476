//! What must stand in no text file of the tree: unfinished work, paths of one machine, hosts of package registries.

use crate::Finding;

/// Marks of unfinished work, written in two halves so that this file does not hold them.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

/// Package registries: a host written down would tie the build to one of them, and the clients know their own.
const REGISTRIES: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("registry.npmjs", ".org"),
    concat!("registry.yarnpkg", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("/arti", "factory/"),
];

/// Roots under which only one machine's files lie.
const MACHINE_ROOTS: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/t", "mp/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/fa", "rm/"),
];

/// A folder beside the repository, which a clone does not have.
const BESIDE: &str = concat!("../", "shared");

/// Marks of unfinished work in `text`.
pub fn unfinished(path: &str, text: &str) -> Vec<Finding> {
    each_line(path, text, |line| {
        let mark = UNFINISHED.iter().find(|mark| stands_alone(line, mark))?;
        Some(format!("`{mark}`: finish it, or say in the issue what is missing"))
    })
}

/// Paths of one machine in `text`.
pub fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    each_line(path, text, |line| {
        if line.contains(BESIDE) {
            return Some(format!("`{BESIDE}` is outside the repository: bring what is needed into the tree"));
        }
        let root = MACHINE_ROOTS.iter().find(|root| {
            line.match_indices(*root).any(|(at, _)| {
                let before = line.get(..at).unwrap_or_default().chars().next_back();
                let after = line.get(at + root.len()..).unwrap_or_default().chars().next();
                !before.is_some_and(|c| c.is_alphanumeric() || "._-}/~*>".contains(c))
                    && after.is_some_and(char::is_alphanumeric)
            })
        })?;
        Some(format!("a path below `{root}`: no other machine has it"))
    })
}

/// Hosts of package registries in `text`.
pub fn registry_hosts(path: &str, text: &str) -> Vec<Finding> {
    each_line(path, text, |line| {
        let host = REGISTRIES.iter().find(|host| line.contains(*host))?;
        Some(format!("`{host}`: registries are reached through their clients' own configuration"))
    })
}

fn each_line(path: &str, text: &str, rule: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| Some(Finding::new(path, index + 1, rule(line)?)))
        .collect()
}

/// Whether `mark` stands in `line` with no letter or digit on either side (`mktemp name.XXXXXX` is no mark).
fn stands_alone(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default().chars().next_back();
        let after = line.get(at + mark.len()..).unwrap_or_default().chars().next();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        !before.is_some_and(is_word) && (mark.ends_with('(') || !after.is_some_and(is_word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_work_is_found() {
        let text = concat!("a\n// TO", "DO: b\nmktemp x.XX", "XXXX\n let y = todo", "!();\nmastodo", "ns\n");
        let lines: Vec<_> = unfinished("a", text).iter().map(|f| f.line).collect();
        assert_eq!(lines, [2, 4]);
    }

    #[test]
    fn a_path_of_this_machine_is_found() {
        let text = concat!(
            "see /wo",
            "rk/x\n",
            "\"/t",
            "mp/a\"\n",
            "${TMPDIR:-/t",
            "mp}\n",
            "https://example.com/ho",
            "me/a\n",
            "cat ..",
            "/shared/x\n",
            "/root\n"
        );
        let lines: Vec<_> = machine_paths("a", text).iter().map(|f| f.line).collect();
        assert_eq!(lines, [1, 2, 5]);
    }

    #[test]
    fn a_registry_host_is_found() {
        assert_eq!(registry_hosts("a", concat!("x\nhttps://registry.npmjs", ".org/a\n")).len(), 1);
        assert_eq!(registry_hosts("a", "npm pack a\n"), []);
    }
}
