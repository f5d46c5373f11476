//! Rules for manifests and the lock file: the arrows between the crates, one list of versions, one source of packages.
//! Licences, bans and advisories are cargo-deny's (`deny.toml`).

use toml::{Table, Value};

use crate::Finding;

/// A crate of the workspace and the crates of the workspace that it may use.
pub type Arrow = (&'static str, &'static [&'static str]);

const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The crate uses only those crates of the workspace that its arrow names. `members` are all crates of the workspace.
pub fn arrows(path: &str, manifest: &Table, members: &[String], arrows: &[Arrow]) -> Vec<Finding> {
    let name = package_name(manifest);
    let Some((_, allowed)) = arrows.iter().find(|(from, _)| *from == name) else {
        return vec![Finding::new(
            path,
            0,
            format!("the crate {name:?} has no arrow in the list of tidy.rs: add it"),
        )];
    };
    dependencies(manifest)
        .filter(|(_, used, _)| members.iter().any(|member| member == used) && !allowed.contains(used))
        .map(|(table, used, _)| {
            let what = format!("{name} must not use {used} ([{table}]): allowed are {allowed:?}");
            Finding::new(path, 0, what)
        })
        .collect()
}

/// Versions, paths and branches stand in the workspace's manifest; a member says `workspace = true` and which features it needs.
pub fn no_versions(path: &str, manifest: &Table) -> Vec<Finding> {
    dependencies(manifest)
        .filter_map(|(table, used, value)| {
            let entry = value.as_table();
            if entry.and_then(|entry| entry.get("workspace")).and_then(Value::as_bool) == Some(true) {
                return None;
            }
            Some(Finding::new(path, 0, format!("{used} in [{table}] must be `workspace = true`")))
        })
        .collect()
}

/// A member takes the workspace's lints and has no cargo features of its own: what differs at run time is configuration.
pub fn member_shape(path: &str, manifest: &Table) -> Vec<Finding> {
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    let mut found = Vec::new();
    if lints != Some(true) && !keeps_workspace_lints(manifest) {
        found.push(Finding::new(
            path,
            0,
            "the member must take the workspace's lints: `[lints] workspace = true`",
        ));
    }
    if manifest.contains_key("features") {
        found.push(Finding::new(path, 0, "no cargo features: what differs at run time is configuration"));
    }
    found
}

/// The one crate that needs `unsafe_code = "deny"` instead of `forbid` must write its lints out, as cargo inherits all or none.
fn keeps_workspace_lints(manifest: &Table) -> bool {
    let lint = |tool: &str, name: &str| manifest.get("lints")?.get(tool)?.get(name).cloned();
    lint("rust", "unsafe_code").and_then(|value| value.as_str().map(|level| level == "deny")) == Some(true)
        && lint("rust", "missing_docs").is_some()
        && lint("clippy", "unwrap_used").is_some()
        && lint("clippy", "pedantic").is_some()
}

/// Every package of a lock file comes from the workspace or from the default registry.
pub fn locked_sources(path: &str, lock: &Table) -> Vec<Finding> {
    let packages = lock.get("package").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    packages
        .iter()
        .filter_map(|package| {
            let source = package.get("source")?.as_str()?;
            let name = package.get("name").and_then(Value::as_str).unwrap_or("?");
            let default = source.starts_with("registry+https://github.com/rust-lang/");
            (!default).then(|| {
                Finding::new(path, 0, format!("{name} comes from {source}, not from the default registry"))
            })
        })
        .collect()
}

/// The name of a manifest's package.
pub fn package_name(manifest: &Table) -> &str {
    manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// (table, package, entry) of everything the manifest depends on, on any platform.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&str, &str, &Value)> {
    let targets =
        manifest.get("target").and_then(Value::as_table).into_iter().flat_map(|targets| targets.values());
    let tables = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    tables.flat_map(|table| {
        DEPENDENCY_TABLES.iter().filter_map(|name| Some((*name, table.get(*name)?.as_table()?))).flat_map(
            |(name, entries)| {
                entries.iter().map(move |(key, value)| {
                    let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                    (name, package, value)
                })
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Table {
        text.parse().unwrap()
    }

    const ARROWS: &[Arrow] = &[("event", &[]), ("catalog", &["event"])];

    fn members() -> Vec<String> {
        ["event", "catalog"].map(str::to_owned).to_vec()
    }

    #[test]
    fn an_arrow_against_the_list_is_found() {
        let wrong = manifest("[package]\nname = 'event'\n[dev-dependencies]\ncatalog.workspace = true\n");
        assert_eq!(arrows("event/Cargo.toml", &wrong, &members(), ARROWS).len(), 1);
        let renamed = manifest(
            "[package]\nname = 'event'\n[target.'cfg(unix)'.dependencies]\nx = { workspace = true, package = 'catalog' }\n",
        );
        assert_eq!(arrows("event/Cargo.toml", &renamed, &members(), ARROWS).len(), 1);
        let right = manifest(
            "[package]\nname = 'catalog'\n[dependencies]\nevent.workspace = true\nserde.workspace = true\n",
        );
        assert_eq!(arrows("catalog/Cargo.toml", &right, &members(), ARROWS), []);
        let unknown = manifest("[package]\nname = 'utils'\n");
        assert_eq!(arrows("utils/Cargo.toml", &unknown, &members(), ARROWS).len(), 1);
    }

    #[test]
    fn a_version_in_a_member_is_found() {
        for wrong in ["serde = '1'", "serde = { version = '1' }", "event = { path = '../event' }"] {
            let text = format!("[package]\nname = 'x'\n[dependencies]\n{wrong}\n");
            assert_eq!(no_versions("x/Cargo.toml", &manifest(&text)).len(), 1, "{wrong}");
        }
        let right = manifest("[dependencies]\nserde = { workspace = true, features = ['rc'] }\n");
        assert_eq!(no_versions("x/Cargo.toml", &right), []);
    }

    #[test]
    fn a_member_without_the_workspace_lints_is_found() {
        assert_eq!(member_shape("x/Cargo.toml", &manifest("[package]\nname = 'x'\n")).len(), 1);
        assert_eq!(
            member_shape("x/Cargo.toml", &manifest("[lints]\nworkspace = true\n[features]\na = []\n")).len(),
            1
        );
        assert_eq!(member_shape("x/Cargo.toml", &manifest("[lints.rust]\nunsafe_code = 'deny'\n")).len(), 1);
        assert_eq!(member_shape("x/Cargo.toml", &manifest("[lints]\nworkspace = true\n")), []);
        let written_out = "[lints.rust]\nunsafe_code = 'deny'\nmissing_docs = 'warn'\n\
                           [lints.clippy]\nunwrap_used = 'warn'\npedantic = 'warn'\n";
        assert_eq!(member_shape("x/Cargo.toml", &manifest(written_out)), []);
    }

    #[test]
    fn a_package_from_elsewhere_is_found() {
        let git = manifest("[[package]]\nname = 'a'\nsource = 'git+https://example.com/a#1'\n");
        assert_eq!(locked_sources("Cargo.lock", &git).len(), 1);
        let own = manifest("[[package]]\nname = 'a'\n");
        assert_eq!(locked_sources("Cargo.lock", &own), []);
    }
}
