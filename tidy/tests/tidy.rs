//! The structure of this repository, checked. The rules are the crate's; the lists that they are held against stand here.

use std::path::Path;
use std::sync::LazyLock;

use tidy::manifests::{self, Arrow};
use tidy::rust::Source;
use tidy::sources::{self, OnePlace, Sizes};
use tidy::{File, Finding, documents, text_files, words};
use toml::Table;

/// Who may use whom (CONVENTIONS: the roles use the vocabulary, the vocabulary uses nobody).
const ARROWS: &[Arrow] = &[
    ("event", &[]),
    ("journal", &[]),
    ("kafka", &[]),
    ("audit", &["event"]),
    ("catalog", &["event"]),
    ("desk", &["kafka"]),
    ("security-log", &["event"]),
    ("tls", &["event"]),
    ("opt-out", &["event", "audit", "journal", "kafka", "security-log", "tls"]),
    ("ingest", &["event", "catalog", "journal", "kafka", "opt-out", "security-log", "tls"]),
    (
        "aggregator",
        &["event", "audit", "catalog", "desk", "journal", "kafka", "security-log", "test-server", "tls"],
    ),
    // Under the tests only: a server's HTTP interface over the embedded engine.
    ("test-server", &["aggregator"]),
    (
        "sightline",
        &[
            "event",
            "audit",
            "catalog",
            "desk",
            "journal",
            "kafka",
            "opt-out",
            "ingest",
            "aggregator",
            "security-log",
            "test-server",
            "tls",
        ],
    ),
    (
        "benches",
        &[
            "event",
            "audit",
            "catalog",
            "desk",
            "journal",
            "kafka",
            "opt-out",
            "ingest",
            "aggregator",
            "security-log",
            "test-server",
        ],
    ),
    ("tidy", &[]),
];

/// What metric names begin with.
const ROLES: [&str; 10] = [
    "audit",
    "security_log",
    "ingest",
    "opt_out",
    "aggregator",
    "journal",
    "catalog",
    "store",
    "sightline",
    "tls",
];

/// Things of the outside world that are named in one place.
const ONE_PLACES: [OnePlace; 6] = [
    OnePlace { name: "rdkafka", paths: &["kafka/"], why: "one crate speaks to Kafka" },
    OnePlace {
        name: "clickhouse::",
        paths: &["aggregator/src/store/"],
        why: "one module speaks to ClickHouse's servers",
    },
    OnePlace {
        name: "libloading",
        paths: &["aggregator/src/engine"],
        why: "one module speaks to the embedded engine",
    },
    OnePlace {
        name: "SystemTime::now",
        paths: &["event/src/clock.rs", "desk/src/shelf.rs", "benches/"],
        why: "decisions take time as a value; the desk, which knows no other crate of ours, has one place for what is dated by the records of other nodes",
    },
    OnePlace {
        name: "env::var",
        paths: &["sightline/src/", "aggregator/src/engine", "test-server/", "benches/", "fuzz/", "tidy/"],
        why: "the environment is configuration: the binary reads it, and the engine's place is found alike by tests and binary",
    },
    OnePlace {
        name: "metrics_exporter_prometheus",
        paths: &["sightline/src/"],
        why: "the binary exposes the metrics",
    },
];

/// A file of the product does not pass beyond these; clippy holds functions to 70 lines before that.
const SIZES_MAX: Sizes = Sizes { file_lines: 600, function_lines: 100 };

/// Beyond these a name is printed: a signal to look for the seam, not a limit.
const SIZES_SIGNAL: Sizes = Sizes { file_lines: 400, function_lines: 70 };

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["common", "util", "utils", "helpers", "misc", "shared"];

/// Longest ARCHITECTURE.md, lines.
const ARCHITECTURE_LINES_MAX: usize = 250;

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| text_files(root()).expect("the tree can be read"));

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tidy lies in the root of the tree")
}

fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// Every Rust file of the tree.
fn rust() -> impl Iterator<Item = Source<'static>> {
    FILES
        .iter()
        .filter(|file| Path::new(&file.path).extension().is_some_and(|e| e == "rs"))
        .map(|file| Source::new(&file.path, &file.text))
}

/// Path and content of each member's manifest.
fn members() -> Vec<(String, Table)> {
    let workspace: Table =
        file("Cargo.toml").expect("there is a workspace").text.parse().expect("it is TOML");
    let names = workspace.get("workspace").and_then(|w| w.get("members")).and_then(|m| m.as_array());
    names
        .expect("the workspace lists its members")
        .iter()
        .map(|name| format!("{}/Cargo.toml", name.as_str().expect("a member is a string")))
        .map(|path| {
            let manifest = file(&path).expect("a member has its manifest").text.parse();
            (path, manifest.expect("a manifest is TOML"))
        })
        .collect()
}

fn assert_none(found: impl IntoIterator<Item = Finding>) {
    let found: Vec<String> = found.into_iter().map(|finding| finding.to_string()).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_tree_is_seen() {
    assert!(rust().count() > 20, "only {} Rust files below {}", rust().count(), root().display());
    assert!(file("Makefile").is_some() && file(".ci/run").is_some());
}

#[test]
fn the_arrows_between_crates_hold() {
    let members = members();
    let names: Vec<String> =
        members.iter().map(|(_, manifest)| manifests::package_name(manifest).to_owned()).collect();
    assert_none(
        members.iter().flat_map(|(path, manifest)| manifests::arrows(path, manifest, &names, ARROWS)),
    );
}

#[test]
fn versions_lints_and_sources_stand_in_one_place() {
    let members = members();
    assert_none(members.iter().flat_map(|(path, manifest)| manifests::no_versions(path, manifest)));
    assert_none(members.iter().flat_map(|(path, manifest)| manifests::member_shape(path, manifest)));
    let locks = FILES.iter().filter(|file| file.path.ends_with("Cargo.lock"));
    assert_none(
        locks.flat_map(|file| manifests::locked_sources(&file.path, &file.text.parse().expect("TOML"))),
    );
}

#[test]
fn every_module_opens_with_its_header() {
    let product = rust().filter(|source| source.path.contains("src/") || source.path.contains("tests/"));
    assert_none(product.filter_map(|source| sources::module_header(&source)));
}

#[test]
fn metrics_are_declared_in_one_place() {
    let product = rust().filter(|source| !source.path.starts_with("tidy/"));
    assert_none(product.flat_map(|source| sources::metrics_in_one_place(&source, &ROLES)));
}

#[test]
fn foreign_things_are_named_in_one_place() {
    assert_none(rust().flat_map(|source| {
        ONE_PLACES.iter().flat_map(move |rule| sources::one_place(&source, *rule)).collect::<Vec<_>>()
    }));
}

#[test]
fn unsafe_stands_only_in_the_engines_interface() {
    let engine = |path: &str| path.starts_with("aggregator/src/engine");
    assert_none(rust().flat_map(|source| sources::no_unsafe(&source, engine)));
}

#[test]
fn tests_run_and_wait_for_conditions() {
    assert_none(rust().flat_map(|source| sources::no_ignored_tests(&source)));
    assert_none(rust().flat_map(|source| sources::no_fixed_sleep_in_tests(&source)));
}

#[test]
fn every_outcome_is_looked_at() {
    assert_none(rust().flat_map(|source| sources::no_wildcard_on(&source, "Outcome")));
    let own = rust().filter(|source| source.path == "event/src/outcome.rs");
    assert_none(own.flat_map(|source| sources::no_wildcard_on(&source, "Self")));
}

#[test]
fn files_and_functions_stay_within_their_sizes() {
    for signal in rust().flat_map(|source| sources::larger_than(&source, SIZES_SIGNAL)) {
        println!("signal: {signal}");
    }
    assert_none(rust().flat_map(|source| sources::larger_than(&source, SIZES_MAX)));
    let architecture = file("ARCHITECTURE.md").map_or(0, |file| file.text.lines().count());
    assert!(architecture <= ARCHITECTURE_LINES_MAX, "ARCHITECTURE.md has {architecture} lines");
}

#[test]
fn names_say_what_is_inside() {
    let nameless = rust().filter_map(|source| {
        let part = source.path.split('/').map(|part| part.trim_end_matches(".rs")).find(|part| {
            EMPTY_NAMES.contains(part)
                || part.rsplit_once("_v").is_some_and(|(_, v)| v.parse::<u32>().is_ok())
        })?;
        Some(Finding::new(source.path, 0, format!("`{part}` says nothing: a module is a noun of the domain")))
    });
    assert_none(nameless);
}

#[test]
fn what_the_documents_name_exists() {
    let targets = file("Makefile").map(|file| documents::make_targets(&file.text)).unwrap_or_default();
    let exists = |path: &str| root().join(path).exists();
    let documents = FILES.iter().filter(|file| Path::new(&file.path).extension().is_some_and(|e| e == "md"));
    assert_none(documents.flat_map(|file| documents::missing(&file.path, &file.text, exists, &targets)));
}

#[test]
fn no_unfinished_work_machine_paths_or_registry_hosts() {
    let text = || FILES.iter().filter(|file| !file.path.ends_with("Cargo.lock"));
    assert_none(text().flat_map(|file| words::unfinished(&file.path, &file.text)));
    assert_none(text().flat_map(|file| words::machine_paths(&file.path, &file.text)));
    assert_none(text().flat_map(|file| words::registry_hosts(&file.path, &file.text)));
}
