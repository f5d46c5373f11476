//! What a person is told about a wrong configuration.

use super::*;

fn refused(text: &str) -> String {
    Config::parse(text, Some(Path::new("sightline.toml"))).expect_err("is refused").to_string()
}

#[test]
fn nothing_set_is_the_default() {
    assert_eq!(Config::parse("", None).expect("valid"), Config::default());
}

#[test]
fn an_unknown_key_names_line_section_nearest_key_and_what_is_allowed() {
    let error = refused("data = \"d\"\n\n[admin]\nlistn = \"127.0.0.1:1\"\n");
    assert!(
        error.starts_with("sightline.toml:4: unknown key `listn` in [admin]; did you mean `listen`?"),
        "{error}"
    );
    assert!(error.contains("allowed here: listen"), "{error}");
    assert!(error.contains("the line: listn = "), "{error}");
}

#[test]
fn an_unknown_key_at_the_top_is_told_without_a_section() {
    let error = refused("catalogue = \"c.toml\"\n");
    assert!(
        error.starts_with("sightline.toml:1: unknown key `catalogue`; did you mean `catalog`?"),
        "{error}"
    );
    let error = refused("[trakcer]\n");
    assert!(error.contains("did you mean `tracker`?"), "{error}");
}

#[test]
fn a_bad_value_names_the_line_and_what_is_allowed() {
    let error = refused("[journal]\ndurability = \"fsnc\"\n");
    assert!(
        error.starts_with("sightline.toml:2: unknown value `fsnc` in [journal]; did you mean `fsync`?"),
        "{error}"
    );
    assert!(error.contains("allowed here: fsync, os"), "{error}");
    let error = refused("[admin]\nlisten = \"everywhere\"\n");
    assert!(error.starts_with("sightline.toml:2: ") && error.contains("listen = \"everywhere\""), "{error}");
    let error = refused("[journal]\nretention_hours = -1\n");
    assert!(error.starts_with("sightline.toml:2: ") && error.contains("in [journal]"), "{error}");
}

#[test]
fn a_broken_file_names_the_line() {
    let error = refused("data = \"d\"\nno equals sign\n");
    assert!(error.starts_with("sightline.toml:2: "), "{error}");
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let error = refused("[admin]\nlisten = \"127.0.0.1:8080\"\n");
    assert!(error.contains("[tracker] and [admin] both listen on 127.0.0.1:8080"), "{error}");
    let error = refused("[journal]\ndisk_bytes_max = 1\n");
    assert!(error.contains("[journal]") && error.contains("disk_bytes_max"), "{error}");
    assert!(refused("public_url = \"t.example.com\"\n").contains("https://"), "no scheme");
    Config::parse("[tracker]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n", None)
        .expect("free ports never collide");
}

#[test]
fn an_opt_out_setting_that_is_out_of_its_range_is_refused_with_its_line() {
    let error = refused("data = \"d\"\n[opt_out.limits]\nbody_bytes_max = 0\n");
    assert!(
        error.starts_with("sightline.toml:3: opt_out.limits.body_bytes_max = 0 is not allowed: 1 to "),
        "{error}"
    );
    let error = refused("[opt_out]\npublic_origins = [\"privacy.example.com\"]\n");
    assert!(error.starts_with("sightline.toml:2: opt_out.public_origins holds "), "{error}");
}

#[test]
fn whoever_opens_the_page_to_others_has_to_name_himself() {
    let error = refused("data = \"d\"\n[opt_out]\nlisten = \"0.0.0.0:8081\"\n");
    assert!(error.contains("opt_out.operator.name is missing: the page listens on 0.0.0.0:8081"), "{error}");
    assert!(error.contains("set name in [opt_out.operator]"), "{error}");
    let named = "[opt_out]\nlisten = \"0.0.0.0:8081\"\n[opt_out.operator]\nname = \"A Ltd\"\n";
    Config::parse(named, None).expect("is right");
    Config::parse("[opt_out]\nlisten = \"127.0.0.1:9\"\n", None).expect("a trial needs no name");
}

#[test]
fn a_limit_of_the_tracker_that_is_out_of_its_range_is_refused_with_its_line() {
    let error = refused("[tracker]\nlanes = 1\n[tracker.limits]\nclick_wait_ms_max = 3600000\n");
    assert!(
        error.starts_with(
            "sightline.toml:4: tracker.limits.click_wait_ms_max = 3600000 is not allowed: 0 to 20"
        ),
        "{error}"
    );
}

#[test]
fn a_server_or_an_app_that_cannot_be_known_is_refused_with_its_line() {
    let good = "[[tracker.server]]\nname = \"good\"\nkey_file = \"k\"\n";
    for (lines, said) in [
        ("name = \"s\"\nkey_sha256 = \"12\"", ":6: server \"s\" has a key_sha256 that is not 64 hex digits"),
        ("name = \"s\"", ":5: server \"s\" needs key_sha256, key_file, signing_key_files or networks"),
        (
            "name = \"s\"\nkey_file = \"k\"\nsignature = \"required\"",
            ":7: server \"s\" has signature = \"required\" and no signing_key_files",
        ),
        (
            "name = \"two words\"\nsigning_key_files = [\"k\"]",
            ":5: server \"two words\" signs under its name",
        ),
        (
            "name = \"s\"\nsigning_key_files = [\"k\"]\nsignature = \"requird\"",
            ":7: unknown value `requird` in [[tracker.server]]; did you mean `required`?",
        ),
        (
            "name = \"s\"\nsigning_key_file = \"k\"",
            ":6: unknown key `signing_key_file` in [[tracker.server]]",
        ),
    ] {
        let error = refused(&format!("{good}[[tracker.server]]\n{lines}\n"));
        assert!(error.starts_with(&format!("sightline.toml{said}")), "{error}");
    }
    let good = "[[opt_out.app]]\nname = \"a\"\nkey_files = [\"k\"]\n";
    for (lines, said) in [
        ("name = \"a\"\nkey_files = [\"k\"]", ":5: opt_out.app.1.name = \"a\" is another app's name too"),
        ("name = \"b\"\nkey_files = []", ":6: opt_out.app.1.key_files names 0 files: 1 to 8 are allowed"),
        (
            "name = \"b\"\nkey_file = []",
            ":6: unknown key `key_file` in [[opt_out.app]]; did you mean `key_files`?",
        ),
    ] {
        let error = refused(&format!("{good}[[opt_out.app]]\n{lines}\n"));
        assert!(error.starts_with(&format!("sightline.toml{said}")), "{error}");
    }
}

#[test]
fn a_frame_that_may_not_hold_an_event_is_refused() {
    let error = refused("[journal]\nframe_bytes_max = 4095\n");
    assert!(error.contains("frame_bytes_max = 4095") && error.contains("4096 to 16777216"), "{error}");
    Config::parse("[journal]\nframe_bytes_max = 4096\n", None).expect("valid");
}

#[test]
fn the_data_folder_of_the_command_line_stands_above_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("c.toml");
    std::fs::write(&file, "data = \"from-file\"\n").expect("written");
    assert_eq!(Config::load(Some(&file), None).expect("valid").data, Path::new("from-file"));
    let config = Config::load(Some(&file), Some(Path::new("from-args"))).expect("valid");
    assert_eq!(config.catalog_path(), Path::new("from-args/catalog.toml"));
    let missing =
        Config::load(Some(&dir.path().join("none.toml")), None).expect_err("is missing").to_string();
    assert!(missing.contains("none.toml: cannot be read"), "{missing}");
}

#[test]
fn a_file_that_is_not_text_names_the_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("c.toml");
    std::fs::write(&file, b"data = \"d\"\n# \xff\n").expect("written");
    let error = Config::load(Some(&file), None).expect_err("is refused").to_string();
    assert!(error.ends_with("c.toml:2: is not UTF-8 text"), "{error}");
}

#[test]
fn what_a_cluster_needs_is_said() {
    let brokers = "[kafka]\nbrokers = [\"kafka:9092\"]\n";
    assert!(refused(brokers).contains("name it in key_file"), "all nodes share one key ring");
    let error = refused(&format!("key_file = \"device.keys\"\ncatalog = \"catalog.toml\"\n{brokers}"));
    assert!(error.contains("sightline catalog publish"), "{error}");
    Config::parse(&format!("key_file = \"device.keys\"\n{brokers}"), None).expect("valid");

    let error = refused("key_file = \"device.keys\"\n[kafka]\nbrokers = [\"kafka\"]\n");
    assert!(error.contains("kafka.brokers: \"kafka\" is not of the form \"host:9092\""), "{error}");
    assert!(error.contains(":3: "), "the line is named: {error}");
    let error = refused("[store]\nservers = [\"clickhouse\"]\n");
    assert!(error.contains(":2: [store] "), "{error}");
    let error = refused("[kafka.properties]\n\"sasl.password\" = \"x\"\n");
    assert!(error.contains("sasl_password_file"), "{error}");
    let error = refused("[store]\ncluster = \"c\"\n");
    assert!(error.contains("[store] cluster: ") && error.contains("`servers` names no server"), "{error}");
    let error = refused("[store]\nserver = \"http://clickhouse:8123\"\n");
    assert!(error.contains("did you mean `servers`?"), "{error}");
}

/// The text of an example under `deploy/`.
fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_minimal_and_the_full_example_both_say_the_defaults() {
    for name in ["minimal.toml", "full.toml"] {
        let config = Config::parse(&example(name), Some(Path::new(name))).expect("is right");
        assert_eq!(config, Config::default(), "{name}");
    }
}

/// The keys that a table takes, learned from what is said about a wrong one.
fn keys_of(table: &str) -> Vec<String> {
    let text = match table {
        "" => "no_such_key = 1\n".to_owned(),
        "[opt_out.dsr.party]" => format!("[{table}]\ndomain = \"a.example\"\nno_such_key = 1\n"),
        "[opt_out.policy]" => format!("[{table}]\nversion = 1\nno_such_key = 1\n"),
        "[tracker.server]" | "[opt_out.app]" => format!("[{table}]\nname = \"a\"\nno_such_key = 1\n"),
        _ => format!("{table}\nno_such_key = 1\n"),
    };
    let error = refused(&text);
    let listed = error.split("allowed here: ").nth(1).and_then(|rest| rest.lines().next());
    listed.unwrap_or_else(|| panic!("{table}: {error}")).split(", ").map(str::to_owned).collect()
}

#[test]
fn the_full_example_names_every_key_of_every_table() {
    let text = example("full.toml");
    let mut tables = vec![String::new()];
    let mut missing = Vec::new();
    while let Some(table) = tables.pop() {
        for key in keys_of(&table) {
            let below = match table.trim_matches(['[', ']']) {
                "" => format!("[{key}]"),
                parent => format!("[{parent}.{key}]"),
            };
            if text.contains(&below) {
                tables.push(below);
            } else if !section(&text, &table).any(|line| {
                line.strip_prefix("# ")
                    .unwrap_or(line)
                    .split('=')
                    .next()
                    .is_some_and(|name| name.trim() == key)
            }) {
                missing.push(format!("{table} {key}"));
            }
        }
    }
    assert!(missing.is_empty(), "deploy/full.toml does not name {missing:?}");
}

/// The lines of a table of the example, commented ones too.
fn section<'a>(text: &'a str, table: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .skip_while(move |line| !table.is_empty() && !line.contains(table))
        .skip(usize::from(!table.is_empty()))
        .take_while(|line| !line.trim_start_matches("# ").starts_with('['))
}

mod deploy;
mod yaml;
