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
