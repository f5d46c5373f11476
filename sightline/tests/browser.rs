//! A real browser: a page that embeds a beacon, a click that lands, a robot that leaves net, and the opt-out page with its cookie.
//!
//! Chromium is driven over WebDriver; the pages of publisher and advertiser are served by the test itself.

#![cfg(test)]

mod support;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use support::http::percent;
use support::truth::{number, rows};
use support::webdriver::Browser;
use support::{Instance, Options, wait_for};

/// A browser's agent without the word that headless ones carry.
const PERSON: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
/// Words on the landing page.
const LANDED: &str = "You have landed.";
/// Longest wait for a page, seconds.
const PAGE_SECONDS_MAX: u64 = 30;

#[test]
fn a_page_yields_one_impression_and_a_click_that_lands_and_a_robot_leaves_net() {
    let instance = Instance::start(Options::default());
    let pages = Pages::serve();
    let [seen, robots] = ["seen", "robots"].map(|creative| pages.publish(&instance, creative));

    let mut person = Browser::start(Some(PERSON), "en-US");
    person.open(&seen);
    let row = reported(&instance, "gross");
    assert_eq!((number(&row, "impressions"), number(&row, "clicks")), (1, 0), "{row}");
    let link = person.find("#ad");
    person.click(&link);
    wait_for("the landing page is shown", Duration::from_secs(PAGE_SECONDS_MAX), || {
        person.text().contains(LANDED)
    });
    assert_eq!(person.url(), pages.landing());
    for filter in ["gross", "net"] {
        let row = reported(&instance, filter);
        assert_eq!((number(&row, "impressions"), number(&row, "clicks")), (1, 1), "{filter}: {row}");
    }

    let mut robot = Browser::start(None, "en-US");
    robot.open(&robots);
    let [gross, net] = ["gross", "net"].map(|filter| number(&reported(&instance, filter), "impressions"));
    assert_eq!((gross, net), (2, 1), "a headless browser is in gross and not in net");
}

#[test]
fn the_opt_out_page_works_in_plain_and_the_cookie_holds_on_the_publishers_page() {
    let instance = Instance::start(Options::default());
    let pages = Pages::serve();
    let mut views = 0;
    let mut view = |browser: &mut Browser| {
        views += 1;
        let url = pages.publish(&instance, &format!("view-{views}"));
        browser.open(&url);
        number(&reported(&instance, "gross"), "impressions")
    };
    let page = format!("http://localhost:{}/opt-out", instance.opt_out().port());

    let mut browser = Browser::start(Some(PERSON), "zh-CN");
    browser.resize(900, 1400);
    assert_eq!(view(&mut browser), 1);
    browser.open(&page);
    browser.screenshot(&picture("opt-out-zh.png"));
    assert!(
        browser.text().contains("退出"),
        "a Chinese browser is spoken to in Chinese:\n{}",
        browser.text()
    );
    let button = browser.find("button[value=browser_out]");
    browser.click(&button);
    wait_for("the page says that it is done", Duration::from_secs(PAGE_SECONDS_MAX), || {
        !browser.find_all(".done").is_empty()
    });
    browser.screenshot(&picture("opt-out-done-zh.png"));
    let cookies = browser.cookies();
    let cookie = cookies.iter().find(|cookie| cookie["name"] == "sightline_opt_out");
    let cookie = cookie.unwrap_or_else(|| panic!("no opt-out cookie: {cookies:?}"));
    assert_eq!(
        (cookie["sameSite"].as_str(), cookie["secure"].as_bool()),
        (Some("None"), Some(true)),
        "{cookie}"
    );
    assert_eq!(view(&mut browser), 1, "an opted-out browser is counted");
    // Neither on a page of another site, where the cookie is a third party's.
    let foreign = pages.publish(&instance, "foreign").replace("localhost", "127.0.0.1");
    browser.open(&foreign);
    assert_eq!(
        number(&reported(&instance, "gross"), "impressions"),
        1,
        "an opted-out browser is counted elsewhere"
    );

    // Somebody else's browser is still measured.
    let mut other = Browser::start(Some(PERSON), "en-US");
    assert_eq!(view(&mut other), 2);
    other.resize(900, 1400);
    other.open(&page);
    other.screenshot(&picture("opt-out-en.png"));
    other.resize(500, 900);
    other.screenshot(&picture("opt-out-narrow.png"));
    assert!(!other.is_too_wide(), "the page does not fit a narrow window");
    other.resize(900, 1400);

    browser.open(&page);
    let button = browser.find("button[value=browser_in]");
    browser.click(&button);
    wait_for("the page offers to opt out again", Duration::from_secs(PAGE_SECONDS_MAX), || {
        !browser.find_all("button[value=browser_out]").is_empty()
    });
    assert_eq!(view(&mut browser), 3, "a browser that opted in again is counted");
    lodge_device(&mut other, &page);
}

/// A device opted out by hand: the receipt is shown, and the value that was typed is not.
fn lodge_device(browser: &mut Browser, page: &str) {
    const OAID: &str = "7c0a1b2c-3d4e-4f50-8a1b-2c3d4e5f6071";
    browser.open(page);
    let field = browser.find("#value");
    browser.type_into(&field, OAID);
    let button = browser.find("button[value=device]");
    browser.click(&button);
    wait_for("the receipt is shown", Duration::from_secs(PAGE_SECONDS_MAX), || {
        !browser.find_all(".keep code").is_empty()
    });
    browser.screenshot(&picture("receipt-en.png"));
    let codes = browser.find_all(".keep code");
    let texts: Vec<String> = codes.iter().map(|code| browser.text_of(code)).collect();
    assert!(texts.len() == 2 && texts[0].len() == 19 && texts[1].len() > 50, "{texts:?}");
    assert!(!browser.source().contains(OAID), "the page repeats what was typed");

    // The receipt takes it back, typed by hand.
    browser.open(page);
    for (selector, text) in ["#receipt", "#secret"].iter().zip(&texts) {
        let field = browser.find(selector);
        browser.type_into(&field, &text.to_lowercase().replace('-', ""));
    }
    let button = browser.find("form button[value=receipt]");
    browser.click(&button);
    wait_for("the receipt is taken back", Duration::from_secs(PAGE_SECONDS_MAX), || {
        !browser.find_all("p.done").is_empty()
    });
}

/// The one row of today's delivery.
fn reported(instance: &Instance, filter: &str) -> Value {
    instance.settle();
    let report = instance.report("demo/delivery", &format!("filter={filter}"));
    rows(&report).first().cloned().unwrap_or_else(|| panic!("no row: {report}"))
}

/// Where a picture is kept for people to look at: beside what the build makes.
fn picture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The publisher's and the advertiser's pages, on a port of their own.
struct Pages {
    address: SocketAddr,
    texts: Arc<Mutex<HashMap<String, String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pages {
    fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let landing = format!("<!doctype html><title>Landing</title><p>{LANDED}</p>");
        let texts = Arc::new(Mutex::new(HashMap::from([("/landing".to_owned(), landing)])));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (texts, stop) = (Arc::clone(&texts), Arc::clone(&stop));
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    // A browser that hangs up early is no fault.
                    let _ = stream.and_then(|stream| answer(stream, &texts));
                }
            }
        });
        Self { address, texts, stop, thread: Some(thread) }
    }

    /// A publisher's page with an ad: an impression and a link; its URL. Page and tracker are hosts of one name; the same page stands under
    /// 127.0.0.1, which is another site.
    fn publish(&self, instance: &Instance, creative: &str) -> String {
        let tracker = format!("http://localhost:{}", instance.tracker().port());
        let query = format!("c=demo&amp;p=p1&amp;cr={creative}&amp;rid=view-of-{creative}");
        let landing = percent(self.landing().as_bytes());
        let page = format!(
            "<!doctype html><html lang=en><title>News</title><p>News.</p>\
             <a id=ad href=\"{tracker}/c?{query}&amp;u={landing}\">An ad</a>\
             <img src=\"{tracker}/i?{query}\" width=1 height=1 alt=\"\">"
        );
        let path = format!("/{creative}");
        self.texts.lock().expect("not poisoned").insert(path.clone(), page);
        format!("http://localhost:{}{path}", self.address.port())
    }

    fn landing(&self) -> String {
        format!("http://localhost:{}/landing", self.address.port())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads one request and answers it.
fn answer(mut stream: TcpStream, texts: &Mutex<HashMap<String, String>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 64 * 1024 && stream.read(&mut byte)? == 1 {
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let text = texts.lock().expect("not poisoned").get(path).cloned();
    let (status, text) = text.map_or(("404 Not Found", String::new()), |text| ("200 OK", text));
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())
}
