//! Whether a page can be used by everybody: the accessibility checker (axe), and pictures of pages for people to look at.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use serde_json::json;

use super::webdriver::Browser;

/// The checker's script.
pub(crate) fn axe() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/axe/fetch");
    let fetched = Command::new(script).stdin(Stdio::null()).output().expect("deploy/axe/fetch runs");
    assert!(fetched.status.success(), "no checker: {}", String::from_utf8_lossy(&fetched.stderr));
    fs::read_to_string(String::from_utf8_lossy(&fetched.stdout).trim()).expect("the checker")
}

/// What the checker finds serious or critical, as a text; empty if nothing.
pub(crate) fn barriers(browser: &mut Browser, checker: &str) -> String {
    browser.run(checker);
    let found = browser.run(
        "return axe.run(document, {resultTypes: ['violations']}).then(result => result.violations.map(one => \
         ({id: one.id, impact: one.impact, help: one.help, at: one.nodes.map(node => node.html)})))",
    );
    let found = found.as_array().expect("a list").clone();
    let grave = found.iter().filter(|one| one["impact"] == "serious" || one["impact"] == "critical");
    grave.map(|one| one.to_string() + "\n").collect()
}

/// Writes a picture of the whole page, where pictures are wanted.
pub(crate) fn picture(browser: &mut Browser, name: &str) {
    let Some(folder) = std::env::var_os("SIGHTLINE_PICTURES") else { return };
    fs::create_dir_all(&folder).expect("a folder");
    let shot =
        browser.devtools("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}));
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(shot["data"].as_str().expect("a picture"))
        .expect("base64");
    fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).expect("the picture is written");
}
