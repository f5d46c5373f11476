//! The opt-out page in a real browser over TLS: its own and the tracker's host share a domain, two publishers stand on others. Whoever opts out there is
//! counted on neither any more, until the receipt takes it back; in each language, with cookies of other sites allowed and blocked, with scripts and
//! without. And: what is typed is nowhere but in the page, and nobody is kept out by how he reads it.
//!
//! `SIGHTLINE_PICTURES=DIR` writes pictures of the page for people to look at; `deploy/axe/fetch` brings the accessibility checker.

#![cfg(test)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use support::barriers::{axe, barriers, picture};
use support::http::hex;
use support::truth::{number, rows};
use support::webdriver::{Browser, Setup};
use support::{Instance, Options, wait_for};

/// A browser's agent without the word that headless ones carry.
const PERSON: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
/// Every name is this machine; the certificate is the test's own.
const SWITCHES: [&str; 2] = ["--host-resolver-rules=MAP * 127.0.0.1", "--ignore-certificate-errors"];
const PAGE_HOST: &str = "privacy.measured.example.com";
const TRACKER_HOST: &str = "t.measured.example.com";
/// Publishers, on different registrable domains.
const PUBLISHERS: [&str; 2] = ["www.news-one.net", "www.news-two.org"];
const OAID: &str = "7c0a1b2c-3d4e-4f50-8a1b-2c3d4e5f6071";
/// Longest wait for a page or a count.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is said where.
struct Said {
    blocked: &'static str,
    sent: &'static str,
    unknown: &'static str,
    is_out: &'static str,
    receipt: &'static str,
    taken_back: &'static str,
}

const ENGLISH: Said = Said {
    blocked: "Your browser blocks cookies of other sites.",
    sent: "the opt-out reaches the pages where advertisements stand",
    unknown: "If your browser blocks cookies of other sites",
    is_out: "This browser is opted out.",
    receipt: "Done. The device is left out from its next request on.",
    taken_back: "The receipt's opt-out is taken back.",
};
const CHINESE: Said = Said {
    blocked: "您的浏览器阻止第三方 Cookie。",
    sent: "退出对投放广告的网页同样有效",
    unknown: "如果您的浏览器阻止第三方 Cookie",
    is_out: "这个浏览器已退出监测。",
    receipt: "已完成。从下一次请求起不再监测这台设备。",
    taken_back: "该回执的退出已撤回。",
};

/// One way to come to the page.
#[derive(Clone, Copy)]
struct Visitor {
    language: &'static str,
    blocks_cookies: bool,
    has_scripts: bool,
}

impl Visitor {
    fn said(self) -> &'static Said {
        if self.language == "zh-CN" { &CHINESE } else { &ENGLISH }
    }

    fn come(self) -> Browser {
        Browser::start_as(&Setup {
            agent: Some(PERSON),
            language: Some(self.language),
            switches: &SWITCHES,
            blocks_third_party_cookies: self.blocks_cookies,
            blocks_scripts: !self.has_scripts,
            keeps_requests: true,
        })
    }
}

/// A tracker with its page, and the publishers.
struct Stage {
    instance: Instance,
    publishers: Publishers,
    views: AtomicUsize,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = [PAGE_HOST, TRACKER_HOST, PUBLISHERS[0], PUBLISHERS[1]].map(str::to_owned);
        let certificate =
            rcgen::CertificateParams::new(names).expect("names").self_signed(&key).expect("issued");
        put(folder.path(), "c.pem", &certificate.pem());
        put(folder.path(), "k.pem", &key.serialize_pem());
        let listen_tls = "listen_tls = \"127.0.0.1:0\"";
        let at = folder.path().display();
        let instance = Instance::start(Options {
            tracker: format!("{listen_tls}\nid_cookie = true\nid_cookie_domain = \"measured.example.com\""),
            opt_out: format!(
                "{listen_tls}\ncookie_domain = \"measured.example.com\"\n[opt_out.operator]\nname = \"Example Measurement Ltd.\"\n\
                 name_zh = \"示例监测有限公司\"\ncontact = \"privacy@measured.example.com\"\naddress = \"1 Example Road, Shanghai\"\n\
                 privacy_url = \"https://measured.example.com/privacy\"\nregister_number = \"ICP 00000000\"\n\
                 [opt_out.limits]\nrequests_burst_max = 100000"
            ),
            sections: format!("[tls]\ncertificate_file = \"{at}/c.pem\"\nkey_file = \"{at}/k.pem\""),
            // The most that it ever says about what it does.
            log: "trace".to_owned(),
            ..Options::default()
        });
        let publishers = Publishers::serve(&certificate.pem(), &key.serialize_pem());
        Self { instance, publishers, views: AtomicUsize::new(0), _folder: folder }
    }

    fn port(&self, role: &str) -> u16 {
        let text = fs::read_to_string(self.instance.data().join("instance.json")).expect("the instance runs");
        let told: Value = serde_json::from_str(&text).expect("JSON");
        let address = told[format!("{role}_tls")].as_str().unwrap_or_else(|| panic!("{role}: {told}"));
        address.parse::<SocketAddr>().expect("an address").port()
    }

    fn page(&self) -> String {
        format!("https://{PAGE_HOST}:{}/opt-out", self.port("opt_out"))
    }

    /// (counted, left out) of all beacons so far.
    fn counts(&self) -> [u64; 2] {
        ["accepted", "opted_out"]
            .map(|outcome| self.instance.metric(&format!("ingest_beacons_total{{outcome=\"{outcome}\"}}")))
    }

    /// Opens a page of each publisher, with a beacon that carries these parameters too; how many were counted, and how many left out.
    fn visit(&self, browser: &mut Browser, parameters: &str) -> [u64; 2] {
        let before = self.counts();
        for host in PUBLISHERS {
            let view = self.views.fetch_add(1, Ordering::Relaxed);
            let beacon = format!(
                "https://{TRACKER_HOST}:{}/i?c=demo&p=p1&rid=view-{view}{parameters}",
                self.port("tracker")
            );
            let beacon = beacon.replace('&', "&amp;");
            let path = format!("/{view}");
            self.publishers.publish(
                &path,
                format!("<!doctype html><title>News</title><p>News.</p><img src=\"{beacon}\" alt=\"\">"),
            );
            browser.open(&format!("https://{host}:{}{path}", self.publishers.address.port()));
        }
        let all = |[counted, left_out]: [u64; 2]| counted + left_out;
        wait_for("both beacons are in the books", PATIENCE, || {
            all(self.counts()) == all(before) + PUBLISHERS.len() as u64
        });
        let after = self.counts();
        [after[0] - before[0], after[1] - before[1]]
    }

    /// Impressions that the report shows.
    fn reported(&self) -> u64 {
        self.instance.settle();
        let report = self.instance.report("demo/delivery", "filter=gross");
        rows(&report).first().map_or(0, |row| number(row, "impressions"))
    }
}

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

fn press(browser: &mut Browser, selector: &str) {
    let button = browser.find(selector);
    browser.click(&button);
}

fn fill(browser: &mut Browser, selector: &str, text: &str) {
    let field = browser.find(selector);
    browser.type_into(&field, text);
}

/// Waits until a person can read this.
fn wait_to_read(browser: &mut Browser, text: &str) {
    wait_for(&format!("the page says: {text}"), PATIENCE, || browser.text().contains(text));
}

/// Opens the page, and waits until its scripts, if they may run, have done what they do at the beginning.
fn open_page(browser: &mut Browser, stage: &Stage, visitor: Visitor) {
    browser.open(&stage.page());
    if visitor.has_scripts {
        wait_for("the scripts have run", PATIENCE, || {
            !browser.find_all("html[data-script=ready]").is_empty()
                && !browser.find_all("#reach[data-result]").is_empty()
        });
    }
}

/// By the browser's cookie: what the page says, and what it does on the publishers' pages.
fn opt_out_by_browser(stage: &Stage, visitor: Visitor, browser: &mut Browser) {
    let said = visitor.said();
    assert_eq!(stage.visit(browser, ""), [2, 0], "measured at first");
    open_page(browser, stage, visitor);
    let text = browser.text();
    match (visitor.has_scripts, visitor.blocks_cookies) {
        (true, true) => assert!(text.contains(said.blocked) && !text.contains(said.sent), "{text}"),
        (true, false) => assert!(text.contains(said.sent) && !text.contains(said.blocked), "{text}"),
        (false, _) => assert!(text.contains(said.unknown), "{text}"),
    }
    let had_id = browser.cookies().iter().any(|cookie| cookie["name"] == "sightline_id");
    assert_eq!(had_id, !visitor.blocks_cookies, "the tracker gave the browser its cookie, if it takes it");
    press(browser, "button[value=browser_out]");
    wait_to_read(browser, said.is_out);
    let cookies = browser.cookies();
    let cookie = |name: &str| cookies.iter().find(|cookie| cookie["name"] == name);
    assert!(cookie("sightline_id").is_none(), "the id cookie goes with the same answer: {cookies:?}");
    let opted_out = cookie("sightline_opt_out").unwrap_or_else(|| panic!("no opt-out cookie: {cookies:?}"));
    assert_eq!(opted_out["domain"], ".measured.example.com", "page and tracker share it");
    assert_eq!((opted_out["sameSite"].as_str(), opted_out["secure"].as_bool()), (Some("None"), Some(true)));
    assert!(cookie("sightline_probe").is_none(), "the probe is gone: {cookies:?}");

    // Where the browser keeps its cookies to itself the page has said that it cannot reach the publishers' pages.
    let expected = if visitor.blocks_cookies { [2, 0] } else { [0, 2] };
    assert_eq!(stage.visit(browser, ""), expected);
    open_page(browser, stage, visitor);
    press(browser, "button[value=browser_in]");
    wait_for("the page offers to opt out again", PATIENCE, || {
        !browser.find_all("button[value=browser_out]").is_empty()
    });
    assert_eq!(stage.visit(browser, ""), [2, 0], "measured again");
}

/// By an identifier: nothing of it is in a request, the receipt takes it back.
fn opt_out_by_id(stage: &Stage, visitor: Visitor, browser: &mut Browser) {
    let said = visitor.said();
    let beacons = [format!("&oaid={OAID}"), format!("&oaid_md5={}", md5(OAID))];
    for beacon in &beacons {
        assert_eq!(stage.visit(browser, beacon), [2, 0], "measured at first");
    }
    open_page(browser, stage, visitor);
    browser.requests();
    fill(browser, "#value", OAID);
    press(browser, "button[value=device]");
    wait_to_read(browser, said.receipt);
    let asked = browser.requests();
    let holds = |value: &Value| holds_id(&value.to_string());
    assert!(asked.iter().any(|request| request["request"]["method"] == "POST"), "{asked:?}");
    assert!(asked.iter().all(|request| !holds_id(request["request"]["url"].as_str().unwrap_or_default())));
    // Without scripts it is sent, in a body: so what is looked at with them does show it.
    let is_sent = asked.iter().any(holds);
    assert_eq!(is_sent, !visitor.has_scripts, "whether the identifier leaves the page: {asked:?}");
    assert!(!holds_id(&browser.url()) && !holds_id(&browser.source()), "the page repeats what was typed");
    for beacon in &beacons {
        assert_eq!(stage.visit(browser, beacon), [0, 2], "left out: {beacon}");
    }
    assert_eq!(stage.visit(browser, "&oaid=8c0a1b2c-3d4e-4f50-8a1b-2c3d4e5f6071"), [2, 0], "another device");

    // The receipt's number and secret, typed by hand. (The page with them is gone: lodge once more to read them.)
    open_page(browser, stage, visitor);
    fill(browser, "#value", OAID);
    press(browser, "button[value=device]");
    wait_to_read(browser, said.receipt);
    let codes = browser.find_all(".keep code");
    let texts: Vec<String> = codes.iter().map(|code| browser.text_of(code)).collect();
    assert!(texts.len() == 2 && texts[0].len() == 19 && texts[1].len() > 50, "{texts:?}");
    open_page(browser, stage, visitor);
    // The first receipt by this browser's own memory, the second by what it says.
    press(browser, ".receipts li:last-child button");
    wait_to_read(browser, said.taken_back);
    assert_eq!(stage.visit(browser, &beacons[0]), [0, 2], "one receipt still holds");
    open_page(browser, stage, visitor);
    for (selector, text) in ["#receipt", "#secret"].iter().zip(&texts) {
        fill(browser, selector, &text.to_lowercase().replace('-', ""));
    }
    press(browser, ".narrow button[value=receipt]");
    wait_to_read(browser, said.taken_back);
    for beacon in &beacons {
        assert_eq!(stage.visit(browser, beacon), [2, 0], "measured again: {beacon}");
    }
}

/// Whether a text holds the identifier, in whatever case, with its dashes or without, escaped or not.
fn holds_id(text: &str) -> bool {
    let text = text.to_lowercase();
    [OAID.to_owned(), OAID.replace('-', ""), OAID.replace('-', "%2d")].iter().any(|id| text.contains(id))
}

fn md5(text: &str) -> String {
    use md5::{Digest as _, Md5};
    hex(&Md5::digest(text))
}

fn walk(has_scripts: bool) {
    let stage = Stage::set();
    for (language, blocks_cookies) in [("en-US", false), ("en-US", true), ("zh-CN", false), ("zh-CN", true)] {
        let visitor = Visitor { language, blocks_cookies, has_scripts };
        let mut browser = visitor.come();
        opt_out_by_browser(&stage, visitor, &mut browser);
        opt_out_by_id(&stage, visitor, &mut browser);
    }
    let [counted, left_out] = stage.counts();
    assert_eq!(stage.reported(), counted, "the report shows what was counted");
    assert!(left_out > 0);
}

#[test]
fn whoever_opts_out_with_scripts_is_counted_nowhere_until_the_receipt_takes_it_back() {
    walk(true);
}

#[test]
fn whoever_opts_out_without_scripts_is_counted_nowhere_until_the_receipt_takes_it_back() {
    walk(false);
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn what_is_typed_is_in_no_request_log_or_file() {
    let mut stage = Stage::set();
    let visitor = Visitor { language: "en-US", blocks_cookies: false, has_scripts: true };
    let mut browser = visitor.come();
    for value in [OAID.to_owned(), OAID.to_uppercase(), OAID.replace('-', "")] {
        open_page(&mut browser, &stage, visitor);
        fill(&mut browser, "#value", &value);
        press(&mut browser, "button[value=device]");
        wait_to_read(&mut browser, ENGLISH.receipt);
    }
    // A mistake is told at once and sends nothing.
    open_page(&mut browser, &stage, visitor);
    let before = browser.requests();
    assert!(!before.iter().any(|request| holds_id(&request.to_string())), "{before:?}");
    let select = browser.find("#kind option[value=imei]");
    browser.click(&select);
    // Without its dashes it looks like a digest where it is none of its kind: only a person can say.
    for (typed, told, focus) in [
        (OAID, "This is not an identifier of the chosen kind", "value"),
        ("000000000000000", "Many devices send this value", "value"),
        (&OAID.replace('-', ""), "This looks like a hash", "is-digest"),
    ] {
        browser.run("document.querySelector('#value').value = ''");
        fill(&mut browser, "#value", typed);
        press(&mut browser, "button[value=device]");
        wait_to_read(&mut browser, told);
        wait_for(&format!("the focus is on {focus}"), PATIENCE, || {
            browser.run("return document.activeElement.id") == focus
        });
        assert_eq!(browser.requests(), Vec::<Value>::new(), "nothing is asked for");
    }
    assert!(stage.instance.terminate().success());
    let log = stage.instance.logs().to_lowercase();
    assert!(log.contains("opt-out") && !holds_id(&log), "the log holds the identifier");
    let files = files(stage.instance.root());
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!holds_id(&text), "{} holds the identifier", file.display());
        let raw: Vec<u8> = (0..16)
            .map(|at| u8::from_str_radix(&OAID.replace('-', "")[2 * at..2 * at + 2], 16).expect("hex"))
            .collect();
        assert!(!bytes.windows(16).any(|window| window == raw), "{} holds its bytes", file.display());
    }
}

/// While the page's script is not there, and where scripts may run, nothing is sent; after a while the page says why.
#[test]
fn a_page_whose_script_has_not_loaded_sends_no_identifier() {
    let stage = Stage::set();
    let mut browser = Visitor { language: "en-US", blocks_cookies: false, has_scripts: true }.come();
    browser.devtools("Network.enable", &json!({}));
    browser.devtools("Network.setBlockedURLs", &json!({"urls": ["*opt-out-hash.js*"]}));
    browser.open(&stage.page());
    wait_to_read(&mut browser, "It is sent to us once");
    browser.requests();
    fill(&mut browser, "#value", OAID);
    let enter = json!({"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
    browser.devtools("Input.dispatchKeyEvent", &enter);
    let button = browser.find("button[value=device]");
    browser.click(&button);
    assert_eq!(browser.run("return document.querySelector('button[value=device]').disabled"), json!(true));
    wait_to_read(&mut browser, "The script that hashes what you enter has not loaded");
    assert_eq!(browser.url(), stage.page());
    let asked = browser.requests();
    assert!(!asked.iter().any(|request| request["request"]["method"] == "POST"), "{asked:?}");
    assert!(!asked.iter().any(|request| holds_id(&request.to_string())), "{asked:?}");
    // With it, the same form is taken.
    browser.devtools("Network.setBlockedURLs", &json!({"urls": []}));
    open_page(&mut browser, &stage, Visitor { language: "en-US", blocks_cookies: false, has_scripts: true });
    let text = browser.text();
    assert!(!text.contains("has not loaded") && !text.contains("It is sent to us once"), "{text}");
    fill(&mut browser, "#value", OAID);
    browser.devtools("Input.dispatchKeyEvent", &enter);
    wait_to_read(&mut browser, ENGLISH.receipt);
}

/// What the page says of the browser's own settings, in either language, and of a probe that is not answered.
#[test]
fn the_page_tells_of_global_privacy_control_and_of_a_probe_without_an_answer() {
    let stage = Stage::set();
    for (language, on, off) in [
        (
            "en-US",
            "Your browser sends Global Privacy Control",
            "Your browser does not send Global Privacy Control",
        ),
        ("zh-CN", "您的浏览器发送了全球隐私控制", "您的浏览器没有发送全球隐私控制"),
    ] {
        let visitor = Visitor { language, blocks_cookies: false, has_scripts: true };
        let mut browser = visitor.come();
        browser.devtools("Network.enable", &json!({}));
        open_page(&mut browser, &stage, visitor);
        let text = browser.text();
        assert!(text.contains(off) && !text.contains(on), "{text}");
        browser.devtools("Network.setExtraHTTPHeaders", &json!({"headers": {"Sec-GPC": "1"}}));
        // What the frame says is heard by nobody.
        let deaf = "addEventListener('message', (event) => event.stopImmediatePropagation(), true)";
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": deaf }));
        open_page(&mut browser, &stage, visitor);
        let text = browser.text();
        assert!(text.contains(on) && !text.contains(off), "{text}");
        assert!(text.contains(visitor.said().unknown), "{text}");
        let result = browser.run("return document.querySelector('#reach').dataset.result");
        assert_eq!(result, json!("unknown"));
    }
}

/// Each look of the page: the beginning, opted out, a mistake, the receipt; on a phone and a desktop, in light and dark, in both languages.
#[test]
fn nobody_is_kept_out_by_how_he_reads_the_page() {
    let stage = Stage::set();
    let checker = axe();
    for language in ["en-US", "zh-CN"] {
        let visitor = Visitor { language, blocks_cookies: language == "zh-CN", has_scripts: true };
        let said = visitor.said();
        let mut browser = visitor.come();
        for (device, width, height) in [("phone", 390, 844), ("desktop", 1280, 900)] {
            for scheme in ["light", "dark"] {
                let is_phone = device == "phone";
                let size =
                    json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
                browser.devtools("Emulation.setDeviceMetricsOverride", &size);
                let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
                browser.devtools("Emulation.setEmulatedMedia", &media);
                let look = |browser: &mut Browser, what: &str| {
                    picture(browser, &format!("{what}-{language}-{device}-{scheme}"));
                    assert!(!browser.is_too_wide(), "{what}: wider than a {device}");
                    let found = barriers(browser, &checker);
                    assert!(found.is_empty(), "{what}, {language}, {device}, {scheme}:\n{found}");
                };
                open_page(&mut browser, &stage, visitor);
                look(&mut browser, "home");
                browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })");
                fill(&mut browser, "#value", "4711");
                press(&mut browser, "button[value=device]");
                wait_for("the mistake is told", PATIENCE, || {
                    !browser.find_all("[aria-invalid=true]").is_empty()
                });
                look(&mut browser, "mistake");
                browser.run("document.querySelector('#value').value = ''");
                fill(&mut browser, "#value", &md5(OAID));
                wait_for("it asks which it is", PATIENCE, || {
                    browser.run("return !document.querySelector('#is-digest-line').hidden") == json!(true)
                });
                press(&mut browser, "#is-digest");
                look(&mut browser, "ambiguous");
                press(&mut browser, "button[value=device]");
                wait_to_read(&mut browser, said.receipt);
                look(&mut browser, "receipt");
                stage.visit(&mut browser, "");
                open_page(&mut browser, &stage, visitor);
                if !visitor.blocks_cookies {
                    press(&mut browser, "button[value=copy]");
                    wait_for("the request's number", PATIENCE, || {
                        !browser.find_all("#receipt-number").is_empty()
                    });
                    look(&mut browser, "request");
                }
                open_page(&mut browser, &stage, visitor);
                press(&mut browser, "button[value=browser_out]");
                wait_to_read(&mut browser, said.is_out);
                wait_for("the focus is on what was done", PATIENCE, || {
                    browser.run("return document.activeElement.className") == "notice done"
                });
                look(&mut browser, "opted-out");
                press(&mut browser, "button[value=browser_in]");
                wait_for("the page offers to opt out again", PATIENCE, || {
                    !browser.find_all("button[value=browser_out]").is_empty()
                });
            }
        }
    }
}

/// With the keyboard alone: to the skip link, to the field, to the button, and the receipt in the other language without losing its secret.
#[test]
fn the_keyboard_is_enough_and_the_language_switch_keeps_the_receipt() {
    let stage = Stage::set();
    let visitor = Visitor { language: "en-US", blocks_cookies: false, has_scripts: true };
    let mut browser = visitor.come();
    open_page(&mut browser, &stage, visitor);
    let mut seen = Vec::new();
    let tab = json!({"type": "keyDown", "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
    for _ in 0..12 {
        browser.devtools("Input.dispatchKeyEvent", &tab);
        let at = browser.run(
            "const e = document.activeElement; return e.id || e.value || e.getAttribute('href') || e.tagName",
        );
        seen.push(at.as_str().unwrap_or_default().to_owned());
    }
    let expected = [
        "#main",
        "/opt-out?lang=zh",
        "/opt-out?lang=en",
        "browser_out",
        "kind",
        "value",
        "device",
        "SUMMARY",
    ];
    assert_eq!(seen[..expected.len()], expected, "{seen:?}");

    fill(&mut browser, "#value", OAID);
    browser.devtools("Input.dispatchKeyEvent", &json!({"type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}));
    wait_to_read(&mut browser, ENGLISH.receipt);
    let secret = browser.find("#receipt-secret");
    let secret = browser.text_of(&secret);
    press(&mut browser, "nav button[value=zh]");
    wait_to_read(&mut browser, CHINESE.receipt);
    let kept = browser.find("#receipt-secret");
    assert_eq!(browser.text_of(&kept), secret);
    assert!(!browser.url().contains(&secret) && browser.url().ends_with("/opt-out"), "{}", browser.url());
}

/// The publishers' pages, over TLS.
struct Publishers {
    address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publishers {
    fn serve(certificate: &str, key: &str) -> Self {
        let certificates = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .expect("a certificate");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let pages: Arc<Mutex<HashMap<String, String>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (pages, stop) = (Arc::clone(&pages), Arc::clone(&stop));
            move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    let (config, pages) = (Arc::clone(&config), Arc::clone(&pages));
                    // A browser that hangs up early, or opens a connection ahead of time, is no fault.
                    std::thread::spawn(move || drop(answer(stream, config, &pages)));
                }
            }
        });
        Self { address, pages, stop, thread: Some(thread) }
    }

    fn publish(&self, path: &str, text: String) {
        self.pages.lock().expect("not poisoned").insert(path.to_owned(), text);
    }
}

fn answer(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    pages: &Mutex<HashMap<String, String>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let session = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(session, stream));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let page = pages.lock().expect("not poisoned").get(path).cloned();
    let (status, text) = page.map_or((404, String::new()), |page| (200, page));
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 {status} -\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
