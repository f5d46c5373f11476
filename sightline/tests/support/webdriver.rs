//! A headless Chromium, driven over the WebDriver protocol (W3C, JSON over HTTP) by Debian's `chromedriver`. Each browser has an empty
//! profile of its own, asks nobody but the page it is told to open, and is gone when it is dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::http::Connection;
use super::{program, signal, wait_for};

/// Key under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Longest start of the driver, seconds.
const START_SECONDS_MAX: u64 = 60;

/// A browser with one window.
pub(crate) struct Browser {
    connection: Connection,
    session: String,
    driver: Child,
    profile: tempfile::TempDir,
}

/// An element of the page.
#[derive(Clone, Debug)]
pub(crate) struct Element(String);

/// How a browser is set up. `..Setup::default()` leaves the rest as it is delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup<'a> {
    /// Replaces the user agent.
    pub(crate) agent: Option<&'a str>,
    /// What it asks pages for (`zh-CN`). Default: `en-US`.
    pub(crate) language: Option<&'a str>,
    /// More switches on Chromium's command line.
    pub(crate) switches: &'a [&'a str],
    /// Whether cookies of other sites are blocked.
    pub(crate) blocks_third_party_cookies: bool,
    /// Whether scripts are blocked.
    pub(crate) blocks_scripts: bool,
    /// Whether [`Browser::requests`] is kept.
    pub(crate) keeps_requests: bool,
}

impl Browser {
    /// Starts one. `agent` replaces the user agent; `language` is what it asks pages for (`zh-CN`).
    pub(crate) fn start(agent: Option<&str>, language: &str) -> Self {
        Self::start_with(agent, language, &[])
    }

    /// As [`start`](Self::start), with more switches on Chromium's command line.
    pub(crate) fn start_with(agent: Option<&str>, language: &str, switches: &[&str]) -> Self {
        Self::start_as(&Setup { agent, language: Some(language), switches, ..Setup::default() })
    }

    /// Starts one that is set up in its own way.
    pub(crate) fn start_as(setup: &Setup<'_>) -> Self {
        let chromium = program(&["chromium", "google-chrome"]);
        let chromedriver = program(&["chromedriver"]);
        let profile = tempfile::tempdir().expect("a folder");
        let log = profile.path().join("driver.log");
        let out = File::create(&log).expect("a log");
        let driver = Command::new(chromedriver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a second handle of the log"))
            .stderr(out)
            // A group of its own, so that everything it starts can be ended with it.
            .process_group(0)
            .spawn()
            .expect("chromedriver runs");
        let address = driver_address(&log);
        let connection = Connection::open(address).expect("chromedriver answers");
        let mut browser = Self { connection, session: String::new(), driver, profile };
        browser.begin_session(&chromium, setup);
        browser
    }

    /// Opens a page and waits until it and its images are there.
    pub(crate) fn open(&mut self, url: &str) {
        self.command("POST", "url", &json!({"url": url}));
    }

    /// Address of the page that is shown.
    pub(crate) fn url(&mut self) -> String {
        self.command("GET", "url", &Value::Null).as_str().expect("a URL").to_owned()
    }

    /// What a person can read on the page; nothing while one page takes the place of another.
    pub(crate) fn text(&mut self) -> String {
        let body = self.find_all("body").into_iter().next();
        let text = body
            .and_then(|body| self.try_command("GET", &format!("element/{}/text", body.0), &Value::Null).ok());
        text.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The page's source.
    pub(crate) fn source(&mut self) -> String {
        self.command("GET", "source", &Value::Null).as_str().expect("source").to_owned()
    }

    /// The first element of a CSS selector; fails where there is none.
    pub(crate) fn find(&mut self, selector: &str) -> Element {
        let found = self.find_all(selector);
        found.into_iter().next().unwrap_or_else(|| panic!("no element `{selector}` in:\n{}", self.source()))
    }

    /// Every element of a CSS selector.
    pub(crate) fn find_all(&mut self, selector: &str) -> Vec<Element> {
        let found = self.command("POST", "elements", &json!({"using": "css selector", "value": selector}));
        let found = found.as_array().expect("a list of elements");
        found.iter().filter_map(|one| one[ELEMENT].as_str()).map(|id| Element(id.to_owned())).collect()
    }

    /// Clicks on it as a person does.
    pub(crate) fn click(&mut self, element: &Element) {
        self.command("POST", &format!("element/{}/click", element.0), &json!({}));
    }

    /// What a person can read on it.
    pub(crate) fn text_of(&mut self, element: &Element) -> String {
        self.command("GET", &format!("element/{}/text", element.0), &Value::Null)
            .as_str()
            .expect("text")
            .to_owned()
    }

    /// Types into it.
    pub(crate) fn type_into(&mut self, element: &Element, text: &str) {
        self.command("POST", &format!("element/{}/value", element.0), &json!({"text": text}));
    }

    /// The cookies of the page that is shown.
    pub(crate) fn cookies(&mut self) -> Vec<Value> {
        self.command("GET", "cookie", &Value::Null).as_array().expect("cookies").clone()
    }

    /// Writes a picture of the whole page.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let shot = self.command("GET", "screenshot", &Value::Null);
        let text = shot.as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        fs::write(path, bytes).expect("the picture is written");
    }

    /// What a script gives back, the body of a function, run in the page.
    pub(crate) fn run(&mut self, script: &str) -> Value {
        self.command("POST", "execute/sync", &json!({"script": script, "args": []}))
    }

    /// Whether the page is wider than the window, so that a person has to scroll sideways.
    pub(crate) fn is_too_wide(&mut self) -> bool {
        let script = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
        self.run(script).as_bool().expect("yes or no")
    }

    /// Puts the window away: its page is hidden until [`resize`](Self::resize) brings it back.
    pub(crate) fn minimize(&mut self) {
        self.command("POST", "window/minimize", &json!({}));
    }

    /// Sets the window's size, pixels.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        self.command("POST", "window/rect", &json!({"width": width, "height": height}));
    }

    /// What the page asked for since the last look at it: method, URL, headers and body of each request, as JSON of Chromium's own protocol.
    pub(crate) fn requests(&mut self) -> Vec<Value> {
        let lines = self.command("POST", "se/log", &json!({"type": "performance"}));
        let lines = lines.as_array().expect("lines").iter().filter_map(|line| line["message"].as_str());
        let messages = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // Redirects and extra headers are messages of their own.
        let names =
            ["Network.requestWillBeSent", "Network.requestWillBeSentExtraInfo", "Network.webSocketCreated"];
        messages
            .map(|message| message["message"].clone())
            .filter(|message| message["method"].as_str().is_some_and(|name| names.contains(&name)))
            .map(|message| message["params"].clone())
            .collect()
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn devtools(&mut self, method: &str, parameters: &Value) -> Value {
        self.command("POST", "goog/cdp/execute", &json!({"cmd": method, "params": parameters}))
    }

    fn begin_session(&mut self, chromium: &Path, setup: &Setup<'_>) {
        let language = setup.language.unwrap_or("en-US");
        let profile = self.profile.path().join("profile");
        let mut arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        arguments.push(format!("--accept-lang={language}"));
        arguments.extend(setup.switches.iter().map(|switch| (*switch).to_owned()));
        arguments.extend(setup.agent.map(|agent| format!("--user-agent={agent}")));
        // Where a browser blocks cookies of other sites (1), the opt-out page says what it cannot reach.
        let cookies = u8::from(setup.blocks_third_party_cookies);
        let mut preferences =
            json!({"intl.accept_languages": language, "profile.cookie_controls_mode": cookies});
        if setup.blocks_scripts {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {
                "binary": chromium,
                "args": arguments,
                "prefs": preferences,
            },
            "goog:loggingPrefs": if setup.keeps_requests { json!({"performance": "ALL"}) } else { json!({}) },
            "timeouts": {"pageLoad": 30_000, "implicit": 0, "script": 60_000},
        }}});
        let answer = self.connection.post_json("/session", &[], &capabilities).expect("chromedriver answers");
        assert_eq!(answer.status, 200, "no session: {}", answer.text());
        let id = answer.json()["value"]["sessionId"].as_str().map(str::to_owned);
        self.session = id.unwrap_or_else(|| panic!("no session: {}", answer.text()));
    }

    fn command(&mut self, method: &str, what: &str, body: &Value) -> Value {
        self.try_command(method, what, body).unwrap_or_else(|error| panic!("{method} {what}: {error}"))
    }

    /// The command's value, or what the driver says is wrong.
    fn try_command(&mut self, method: &str, what: &str, body: &Value) -> Result<Value, String> {
        let target = format!("/session/{}/{what}", self.session);
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let headers = [("content-type", "application/json; charset=utf-8")];
        let answer = self
            .connection
            .request(method, &target, &headers, body.as_bytes())
            .expect("chromedriver answers");
        if answer.status == 200 { Ok(answer.json()["value"].clone()) } else { Err(answer.text()) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.connection.request("DELETE", &format!("/session/{}", self.session), &[], b"");
        }
        signal(&format!("-{}", self.driver.id()), "KILL");
        let _ = self.driver.wait();
    }
}

fn driver_address(log: &PathBuf) -> SocketAddr {
    let mut port = None;
    wait_for("chromedriver has started", Duration::from_secs(START_SECONDS_MAX), || {
        let text = fs::read_to_string(log).unwrap_or_default();
        port = text
            .lines()
            .find(|line| line.contains("started successfully on port"))
            .and_then(|line| line.trim_end_matches('.').rsplit(' ').next()?.parse::<u16>().ok());
        port.is_some()
    });
    SocketAddr::from(([127, 0, 0, 1], port.expect("waited for")))
}
