//! The dashboard's pages as a person uses them: what is pressed, typed, waited for and read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Connection;
use super::webdriver::{Browser, Setup};
use super::{Instance, wait_for};

/// Longest wait for a page or a figure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The address of a view.
pub(crate) fn address(instance: &Instance, view: &str) -> String {
    format!("http://{}/{view}", instance.reports())
}

/// Impressions of that many devices, at a time of the client or now.
pub(crate) fn send(instance: &Instance, campaign: &str, placement: &str, devices: u32, at: Option<i64>) {
    let item = |device: u32| {
        let mut item = json!({
            "c": campaign, "p": placement, "os": "0", "rid": format!("{campaign}-{placement}-{device}-{}", at.unwrap_or(0)),
            "oaid": format!("7c0a1b2c-3d4e-4f50-8a1b-{device:012x}"),
        });
        if let Some(at) = at {
            item["t"] = at.into();
        }
        item
    };
    let items: Vec<Value> = (0..devices).map(item).collect();
    let agent = ("user-agent", "Dalvik/2.1.0 (Linux; U; Android 14; M2102J2SC Build/UKQ1.230804.001)");
    let mut tracker = Connection::open(instance.tracker()).expect("a connection");
    let answer = tracker.post_json("/v1/events", &[agent], &Value::from(items)).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A browser that notes what the policy would not let.
pub(crate) fn come(language: &str) -> Browser {
    let mut browser =
        Browser::start_as(&Setup { language: Some(language), keeps_requests: true, ..Setup::default() });
    let notes = "window.refused = []; addEventListener('securitypolicyviolation', event => refused.push(event.violatedDirective + ' ' + event.blockedURI)); \
                 addEventListener('error', event => refused.push(event.message)); addEventListener('unhandledrejection', event => refused.push(String(event.reason)));";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": notes }));
    browser
}

pub(crate) fn said(browser: &mut Browser, script: &str) -> String {
    browser.run(&format!("return String({script})")).as_str().unwrap_or_default().to_owned()
}

pub(crate) fn press(browser: &mut Browser, selector: &str) {
    let found = browser.find(selector);
    browser.click(&found);
}

pub(crate) fn fill(browser: &mut Browser, selector: &str, text: &str) {
    let field = browser.find(selector);
    browser.type_into(&field, text);
}

/// Waits until everything that the page asked for is there.
pub(crate) fn wait_for_figures(browser: &mut Browser) {
    // A page asks for a dozen reports.
    wait_for("the page has what it asked for", 2 * PATIENCE, || {
        browser.run("return Boolean(document.querySelector('main h1') && !document.querySelector('[aria-busy=true], .skeleton'))") == json!(true)
    });
}

pub(crate) fn wait_to_read(browser: &mut Browser, text: &str) {
    wait_for(&format!("the page says: {text}"), PATIENCE, || browser.text().contains(text));
}

pub(crate) fn sign_in(browser: &mut Browser, token: &str) {
    wait_for("the place for the token", PATIENCE, || !browser.find_all("#token").is_empty());
    fill(browser, "#token", token);
    press(browser, "form .main");
    wait_for("the door opens", PATIENCE, || browser.find_all("#token").is_empty());
    wait_for_figures(browser);
}

pub(crate) fn open(browser: &mut Browser, instance: &Instance, view: &str) {
    // A page of its own: another fragment alone would not load anything.
    browser.open("about:blank");
    browser.open(&address(instance, view));
    wait_for("the page is drawn", PATIENCE, || !browser.find_all("main h1").is_empty());
    wait_for_figures(browser);
}

pub(crate) fn nothing_was_refused(browser: &mut Browser) {
    assert_eq!(said(browser, "JSON.stringify(window.refused)"), "[]", "the policy or a script complains");
    assert_eq!(said(browser, "window.hacked"), "undefined", "a name ran as a script");
}

/// The figure of a tile, digits only.
pub(crate) fn tile(browser: &mut Browser, name: &str) -> u64 {
    let text = said(browser, &format!("document.querySelector('[data-tile={name}] .value').textContent"));
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{name}: {text}"))
}

/// The cells of a card's table, row by row; without what only ears hear.
pub(crate) fn cells(browser: &mut Browser, card: &str) -> Vec<Vec<String>> {
    let script = format!(
        "return [...document.querySelectorAll('[data-card=\"{card}\"] .scroll tbody tr')].map(row => [...row.children].map(cell => cell.textContent.trim()))"
    );
    serde_json::from_value(browser.run(&script)).expect("rows of texts")
}

/// The one finished file of that kind.
pub(crate) fn wait_for_file(folder: &Path, extension: &str) -> PathBuf {
    let mut found = None;
    wait_for(&format!("a file .{extension}"), PATIENCE, || {
        let paths = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        // The browser makes an empty file of that name first, and puts what it fetched in its place.
        let is_whole = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.len() > 0);
        found = paths
            .into_iter()
            .find(|path| path.extension().is_some_and(|of| of == extension) && is_whole(path));
        found.is_some()
    });
    found.expect("waited for")
}

/// The rows below the header of a workbook's first sheet.
pub(crate) fn sheet(path: &Path) -> Vec<Vec<String>> {
    use calamine::Reader as _;
    let mut book: calamine::Xlsx<_> = calamine::open_workbook(path).expect("a workbook");
    let range = book.worksheet_range_at(0).expect("a sheet").expect("is read");
    range.rows().skip(1).map(|row| row.iter().map(ToString::to_string).collect()).collect()
}
