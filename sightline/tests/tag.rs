//! The page tag in a real browser: what an ad on a page comes to, from the pixels on the screen to the figures of the report API.
//!
//! Pages lie on one origin, the tracker behind a front on another. Times are the page's own: nothing here waits for a length of time, but
//! for what the front has seen.

#![cfg(test)]

mod support;

use std::time::Duration;

use serde_json::Value;

use support::http::percent;
use support::site::{Fault, Front, Site};
use support::truth::number;
use support::webdriver::Browser;
use support::{Instance, Options, wait_for};

/// A browser's agent without the word that headless ones carry.
const PERSON: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
/// Longest wait for what a page sends.
const ARRIVAL_MAX: Duration = Duration::from_mins(1);
/// Continuous time in view that makes an ad viewable (MRC), milliseconds.
const VIEWABLE_MS: u64 = 1000;
/// What Chromium calls Global Privacy Control: the header and the property, as a person has them who asked for it.
const GPC: &str = "--enable-features=GlobalPrivacyControlForce";

/// A tracker with its front, a site and a browser.
struct Rig {
    instance: Instance,
    front: Front,
    site: Site,
    browser: Browser,
}

impl Rig {
    fn start(switches: &[&str]) -> Self {
        Self::with(Options::default(), switches)
    }

    fn with(options: Options, switches: &[&str]) -> Self {
        let instance = Instance::start(options);
        let front = Front::start();
        front.stand_before(instance.tracker());
        let mut browser = Browser::start_with(Some(PERSON), "en-US", switches);
        browser.resize(1000, 800);
        Self { instance, front, site: Site::start(), browser }
    }

    /// Opens a page with this body and the tag. What stands below a screen's height is out of view.
    fn open(&mut self, path: &str, body: &str) {
        let page = format!(
            "<!doctype html><html lang=en><meta http-equiv=content-security-policy content=\"script-src {tracker}; style-src {site}; \
             img-src {site} data:\"><link rel=stylesheet href=/style.css><title>News</title>\
             <script async src=\"{tracker}/tag.js\"></script>{body}",
            tracker = self.front.url(),
            site = self.site.url("")
        );
        self.site.publish(
            "/style.css",
            "text/css",
            ".screen { height: 1500px } .ad { width: 300px; height: 250px } .large { width: 900px; height: 900px }",
        );
        let url = self.site.publish(path, "text/html; charset=utf-8", page);
        self.browser.open(&url);
    }

    /// Waits until a stage of a creative has been stored, and gives what the tag said.
    fn stored(&self, creative: &str, stage: &str) -> Value {
        let find = || {
            let sent = self.front.sent(creative);
            sent.into_iter().find(|sent| sent.status == 200 && sent.event["stage"] == stage)
        };
        wait_for(&format!("{stage} of {creative}"), ARRIVAL_MAX, || find().is_some());
        find().expect("waited for").event
    }

    /// The page goes: another takes its place.
    fn leave(&mut self) {
        let url = self.site.publish(
            "/elsewhere",
            "text/html",
            "<!doctype html><title>Elsewhere</title><p>Elsewhere.",
        );
        self.browser.open(&url);
    }

    /// The row of a creative in today's delivery.
    fn figures(&self, creative: &str, filter: &str) -> Value {
        self.instance.settle();
        let report = self.instance.report("demo/delivery", &format!("by=creative&filter={filter}"));
        let rows = report["rows"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .find(|row| row["key"] == creative)
            .unwrap_or_else(|| panic!("no {creative} in {report}"))
    }

    /// Holds the figures of a creative against (stage, count), gross and net alike: nothing came twice, nothing was removed.
    fn expect(&self, creative: &str, expected: &[(&str, u64)]) {
        for filter in ["gross", "net"] {
            let row = self.figures(creative, filter);
            for (name, count) in expected {
                let place = if matches!(*name, "impressions" | "clicks") { &row } else { &row["stages"] };
                assert_eq!(number(place, name), *count, "{name}, {filter}, of {creative}: {row}");
            }
        }
    }
}

/// An ad of a creative with attributes of its own.
fn ad(creative: &str, more: &str, content: &str) -> String {
    format!(
        "<div id={creative} class=ad data-sightline-campaign=demo data-sightline-placement=p1 \
         data-sightline-creative={creative} {more}>{content}</div>"
    )
}

const SCREEN: &str = "<div class=screen>News.</div>";
const PICTURE: &str = "<img alt=\"\" width=300 height=250 src=\"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7\">";

#[test]
fn an_ad_that_is_scrolled_into_view_is_viewable_after_a_second() {
    let mut rig = Rig::start(&[]);
    let unseen = ad("unseen", "", PICTURE);
    rig.open("/view", &format!("{SCREEN}{}{SCREEN}{unseen}", ad("seen", "", PICTURE)));
    let tracked = rig.stored("seen", "tracked");
    let impression = rig.stored("seen", "impression");
    rig.stored("unseen", "impression");
    let shown_ms =
        number(&rig.browser.run("const now = Date.now(); seen.scrollIntoView(); return { now }"), "now");
    let viewable = rig.stored("seen", "viewable");
    assert!(
        number(&viewable, "t") >= shown_ms + VIEWABLE_MS,
        "viewable {viewable} of what came into view at {shown_ms}"
    );
    assert!(number(&tracked, "t") <= number(&impression, "t") && number(&impression, "t") <= shown_ms);
    for event in [&impression, &viewable] {
        assert_eq!(event["rid"], tracked["rid"], "one view, one request id");
    }
    rig.leave();
    let verdict = rig.stored("unseen", "not-viewable");
    assert_ne!(verdict["rid"], tracked["rid"], "two views under one request id");
    assert_eq!(rig.front.stages("seen"), ["tracked", "impression", "viewable"]);
    assert_eq!(rig.front.stages("unseen"), ["tracked", "impression", "not-viewable"]);
    rig.expect(
        "seen",
        &[
            ("tracked", 1),
            ("impressions", 1),
            ("viewable", 1),
            ("not_viewable", 0),
            ("not_measurable", 0),
            ("clicks", 0),
        ],
    );
    rig.expect("unseen", &[("tracked", 1), ("impressions", 1), ("viewable", 0), ("not_viewable", 1)]);
}

#[test]
fn an_ad_that_is_scrolled_away_within_the_second_is_not_viewable() {
    // How long the ad was in view is the browser's to say: a machine that was too busy for a glance gets another ad.
    const TRIES: usize = 5;
    let mut rig = Rig::start(&[]);
    let mut glanced = None;
    for creative in (0..TRIES).map(|n| format!("glance-{n}")) {
        rig.open("/glance", &format!("{SCREEN}{}", ad(&creative, "", PICTURE)));
        rig.stored(&creative, "impression");
        let glance = rig.browser.run(
            "return new Promise(done => { const ad = document.querySelector('.ad'), from = performance.now(); ad.scrollIntoView();
               setTimeout(() => { scrollTo(0, 0); const ms = Math.ceil(performance.now() - from); setTimeout(() => done({ ms }), 1500) }, 400) })",
        );
        if number(&glance, "ms") < VIEWABLE_MS * 9 / 10 {
            glanced = Some(creative);
            break;
        }
        rig.leave();
    }
    let creative = glanced.expect("a glance of less than a second");
    assert_eq!(
        rig.front.stages(&creative),
        ["tracked", "impression"],
        "no verdict while it may still be seen"
    );
    rig.leave();
    rig.stored(&creative, "not-viewable");
    assert_eq!(rig.front.stages(&creative), ["tracked", "impression", "not-viewable"]);
    rig.expect(&creative, &[("tracked", 1), ("impressions", 1), ("viewable", 0), ("not_viewable", 1)]);
}

#[test]
fn a_page_that_is_hidden_within_the_second_ends_the_view_and_shown_again_begins_anew() {
    // As above: the machine may be too busy to put a window away in time.
    const TRIES: usize = 5;
    let mut rig = Rig::start(&[]);
    let mut hidden = None;
    for creative in (0..TRIES).map(|n| format!("hidden-{n}")) {
        rig.open("/hidden", &format!("{SCREEN}{}", ad(&creative, "", PICTURE)));
        rig.stored(&creative, "impression");
        rig.browser.run(
            "document.addEventListener('visibilitychange', () => { window[document.hidden ? 'hidAt' : 'shownAt'] = Date.now() });
             window.seenAt = Date.now(); document.querySelector('.ad').scrollIntoView()",
        );
        rig.browser.minimize();
        wait_for("the page is hidden", ARRIVAL_MAX, || rig.browser.run("return document.hidden") == true);
        let glance = rig.browser.run("return { ms: window.hidAt - window.seenAt }");
        rig.browser.run("return new Promise(done => setTimeout(done, 1500))");
        if number(&glance, "ms") < VIEWABLE_MS * 9 / 10 {
            hidden = Some(creative);
            break;
        }
        rig.browser.resize(1000, 800);
    }
    let creative = hidden.expect("a page that was hidden within a second");
    assert_eq!(rig.front.stages(&creative), ["tracked", "impression"], "seen on a hidden page");
    rig.browser.resize(1000, 800);
    let viewable = rig.stored(&creative, "viewable");
    let shown_ms = number(&rig.browser.run("return { ms: window.shownAt }"), "ms");
    assert!(
        number(&viewable, "t") >= shown_ms + VIEWABLE_MS,
        "viewable {viewable} of a page shown at {shown_ms}"
    );
    rig.leave();
    rig.expect(&creative, &[("impressions", 1), ("viewable", 1), ("not_viewable", 0)]);
}

#[test]
fn each_ad_is_one_view_however_it_comes_and_goes() {
    let mut rig = Rig::start(&[]);
    let broken = "<img alt=\"\" width=300 height=250 src=/missing.gif>";
    let twice = format!("<script async src=\"{}/tag.js?again\"></script>", rig.front.url());
    let large = ad("large", "", "text").replace("class=ad", "class=\"ad large\"");
    rig.open(
        "/many",
        &format!(
            "{twice}{}{}{}{SCREEN}{large}",
            ad("gone", "", PICTURE),
            ad("broken", "", broken),
            ad("empty", "", "")
        ),
    );
    rig.stored("gone", "viewable");
    rig.browser.run("document.querySelector('#gone').remove()");

    // What a script adds later is found, and what it fills later begins to render then.
    assert_eq!(rig.front.stages("empty"), ["tracked"]);
    rig.browser.run("document.querySelector('#empty').append('An ad')");
    rig.stored("empty", "impression");
    rig.browser.run(
        "const late = document.querySelector('#empty').cloneNode(true); late.id = late.dataset.sightlineCreative = 'late';
         late.dataset.sightlinePlacement = 'p2'; document.body.prepend(late)",
    );
    rig.stored("late", "viewable");
    rig.browser.run("const late = document.querySelector('#late'); document.body.append(late); document.body.prepend(late)");

    // Of a large ad 30 % are enough: of 900 rows some 400 are in the window.
    rig.browser
        .run("const ad = document.querySelector('#large'); scrollTo(0, ad.offsetTop - innerHeight + 330)");
    rig.stored("large", "viewable");
    rig.leave();
    rig.stored("broken", "tracked");
    rig.stored("empty", "viewable");
    assert_eq!(rig.front.stages("gone"), ["tracked", "impression", "viewable"]);
    assert_eq!(rig.front.stages("late"), ["tracked", "impression", "viewable"]);
    rig.expect("gone", &[("tracked", 1), ("impressions", 1), ("viewable", 1), ("not_viewable", 0)]);
    rig.expect("late", &[("tracked", 1), ("impressions", 1), ("viewable", 1), ("not_viewable", 0)]);
    rig.expect("large", &[("tracked", 1), ("impressions", 1), ("viewable", 1), ("not_viewable", 0)]);
    rig.expect("broken", &[("tracked", 1), ("impressions", 0), ("viewable", 0), ("not_viewable", 0)]);
}

#[test]
fn clicks_land_and_count_at_the_redirect_or_by_an_event() {
    const LANDED: &str = "You have landed.";
    let mut rig = Rig::start(&[]);
    let landing = rig.site.publish(
        "/landing",
        "text/html",
        format!("<!doctype html><title>Landing</title><p>{LANDED}"),
    );
    let ads = [
        ad(
            "routed",
            &format!("data-sightline-click=\"{landing}?from=ad&amp;x=1\""),
            "<a href=/nowhere>An ad</a>",
        ),
        ad("own-link", "data-sightline-click", "<a href=\"/landing?own\">An ad</a>"),
        ad("plain", "", "<a href=\"/landing?plain\">An ad</a>"),
    ];
    for (creative, landed) in [("routed", "?from=ad&x=1"), ("own-link", "?own"), ("plain", "?plain")] {
        rig.open("/click", &ads.concat());
        rig.stored(creative, "impression");
        let link = rig.browser.find(&format!("#{creative} a"));
        rig.browser.click(&link);
        wait_for("the landing page", ARRIVAL_MAX, || rig.browser.text().contains(LANDED));
        assert_eq!(rig.browser.url(), format!("{landing}{landed}"));
    }
    rig.stored("plain", "click");
    let routed = rig.front.passed().into_iter().filter(|(request, _)| request.target.starts_with("/c?"));
    let statuses: Vec<u16> = routed.map(|(_, status)| status).collect();
    assert_eq!(statuses, [302, 302], "the routed ones, and no other");
    for creative in ["routed", "own-link", "plain"] {
        rig.expect(creative, &[("clicks", 1)]);
    }
}

#[test]
fn a_browser_that_asks_for_privacy_is_counted_without_a_device() {
    for (switches, device) in [(&[][..], 1), (&[GPC][..], 0)] {
        // A browser that keeps a cookie of ours is a device from its second view on, unless it asks for privacy.
        let options = Options { tracker: "id_cookie = true".to_owned(), ..Options::default() };
        let mut rig = Rig::with(options, switches);
        // A publisher that knows the device says it in a pixel of its own; the tag itself knows none.
        let pixel = format!(
            "{}/i?c=demo&amp;p=p1&amp;cr=pixel&amp;rid=one&amp;oaid={}",
            rig.front.url(),
            percent(b"7c0a1b2c-3d4e-4f50-8a1b-2c3d4e5f6071")
        );
        let page = rig.site.publish(
            "/plain",
            "text/html",
            format!("<!doctype html><title>x</title><img alt=\"\" src=\"{pixel}\">"),
        );
        rig.browser.open(&page);
        rig.open("/privacy", &ad("first", "", PICTURE));
        rig.stored("first", "viewable");
        rig.open("/privacy", &ad("private", "", PICTURE));
        rig.stored("private", "viewable");
        for sent in rig.front.sent("private") {
            let names: Vec<&String> = sent.event.as_object().expect("an object").keys().collect();
            let is_private = |name: &&&String| {
                !["stage", "t", "c", "p", "cr", "rid", "lmt", "exp", "sig"].contains(&name.as_str())
            };
            assert_eq!(names.iter().find(is_private), None, "{}", sent.event);
            let gpc =
                sent.headers.iter().find(|(name, _)| name == "sec-gpc").map(|(_, value)| value.as_str());
            assert_eq!(
                (gpc, sent.event["lmt"].as_u64()),
                if device == 0 { (Some("1"), Some(1)) } else { (None, None) }
            );
        }
        rig.expect("private", &[("tracked", 1), ("impressions", 1), ("viewable", 1)]);
        for (creative, identified) in [("private", device), ("pixel", device)] {
            let row = rig.figures(creative, "net");
            let found = (number(&row, "impressions"), number(&row, "identified_impressions"));
            assert_eq!(found, (1, identified), "{switches:?}: {row}");
        }

        // What the page's consent managers say goes along; until they have said it there is no consent.
        let answering = "window.__tcfapi = (command, version, done) => setTimeout(() => done({ eventStatus: 'tcloaded', gdprApplies: true, tcString: 'CQ-x' }, true), 300);
             window.__gpp = (command, done) => done({ eventName: 'listenerRegistered', pingData: { signalStatus: 'ready', gppString: 'DBA~x', applicableSections: [7, 8] } }, true);";
        let silent = "window.__tcfapi = () => {}; window.__gpp = () => { throw Error('broken') };";
        let said = [
            ("gdpr", Some("1")),
            ("gdpr_consent", Some("CQ-x")),
            ("gpp", Some("DBA~x")),
            ("gpp_sid", Some("7,8")),
        ];
        let unsaid = [("gdpr", Some("1")), ("gdpr_consent", None), ("gpp", None), ("gpp_sid", Some("0"))];
        for (creative, script, expected) in [("answering", answering, said), ("silent", silent, unsaid)] {
            let page = format!(
                "<!doctype html><title>x</title><script>{script}</script><script async src=\"{}/tag.js\"></script>{}",
                rig.front.url(),
                ad(creative, "", PICTURE)
            );
            let page = rig.site.publish(&format!("/{creative}"), "text/html", page);
            rig.browser.open(&page);
            let impression = rig.stored(creative, "impression");
            for (name, value) in expected {
                let found = impression
                    .get(name)
                    .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                assert_eq!(found.as_deref(), value, "{name} in {impression}");
            }
            let row = rig.figures(creative, "net");
            assert_eq!(
                (number(&row, "impressions"), number(&row, "identified_impressions")),
                (1, 0),
                "{row}"
            );
        }
    }
}

#[test]
fn a_video_is_counted_as_it_plays() {
    let mut rig = Rig::start(&["--autoplay-policy=no-user-gesture-required"]);
    rig.site.publish("/ad.webm", "video/webm", include_bytes!("fixtures/ad.webm"));
    let video = "<video src=/ad.webm muted playsinline width=300 height=250></video>";
    rig.open("/video", &ad("film", "data-sightline-video", video));
    rig.stored("film", "tracked");
    assert_eq!(rig.front.stages("film"), ["tracked"], "nothing has played yet");
    let played_ms = number(
        &rig.browser.run("const now = Date.now(); document.querySelector('video').play(); return { now }"),
        "now",
    );
    rig.stored("film", "complete");
    let viewable = rig.stored("film", "viewable");
    assert!(
        number(&viewable, "t") >= played_ms + 2 * VIEWABLE_MS,
        "viewable {viewable} of what played from {played_ms}"
    );
    let stages: Vec<String> =
        rig.front.stages("film").into_iter().filter(|stage| stage != "viewable").collect();
    assert_eq!(
        stages,
        ["tracked", "impression", "start", "first-quartile", "midpoint", "third-quartile", "complete"]
    );
    rig.leave();
    rig.expect(
        "film",
        &[
            ("tracked", 1),
            ("impressions", 1),
            ("viewable", 1),
            ("not_viewable", 0),
            ("starts", 1),
            ("first_quartiles", 1),
            ("midpoints", 1),
            ("third_quartiles", 1),
            ("completes", 1),
        ],
    );
}

#[test]
fn a_page_rendered_ahead_of_time_counts_when_it_is_shown() {
    let mut rig = Rig::start(&[]);
    // Its own script says so when it has been rendered ahead.
    let page = format!(
        "<!doctype html><title>Ahead</title><script>window.wasAhead = document.prerendering; fetch('/ahead-is-ready')</script>\
         <script async src=\"{}/tag.js\"></script>{}",
        rig.front.url(),
        ad("ahead", "", PICTURE)
    );
    let ahead = rig.site.publish("/ahead", "text/html", page);
    let page = format!(
        "<!doctype html><title>Now</title><script type=speculationrules>{{\"prerender\":[{{\"urls\":[\"/ahead\"],\"eagerness\":\"immediate\"}}]}}</script>\
         <a href=\"{ahead}\">Go on</a>"
    );
    let page = rig.site.publish("/now", "text/html", page);
    rig.browser.open(&page);
    wait_for("the page is rendered ahead of time", ARRIVAL_MAX, || rig.site.has_served("/ahead-is-ready"));
    let before_ms = number(&rig.browser.run("return { now: Date.now() }"), "now");
    let link = rig.browser.find("a");
    rig.browser.click(&link);
    let tracked = rig.stored("ahead", "tracked");
    rig.stored("ahead", "viewable");
    assert_eq!(rig.browser.run("return window.wasAhead"), true, "the page was not rendered ahead of time");
    assert!(number(&tracked, "t") >= before_ms, "{tracked} before it was shown at {before_ms}");
    rig.expect("ahead", &[("tracked", 1), ("impressions", 1), ("viewable", 1), ("not_viewable", 0)]);
}

#[test]
fn what_was_not_stored_is_sent_again_until_it_is_and_counted_once() {
    let mut rig = Rig::start(&[]);
    // Refused, cut off, refused, taken.
    rig.front.fail(Fault::Next(vec![503, 0, 503]));
    rig.open("/again", &ad("again", "", PICTURE));
    rig.stored("again", "viewable");
    let tries: Vec<_> =
        rig.front.sent("again").into_iter().filter(|sent| sent.event["stage"] == "tracked").collect();
    let statuses: Vec<u16> = tries.iter().map(|sent| sent.status).collect();
    assert_eq!(statuses, [503, 0, 503, 200]);
    for sent in &tries {
        assert!(!sent.is_beacon);
        assert_eq!(sent.event, tries[0].event, "a retry is the same event: same rid, same t");
    }
    rig.leave();
    rig.expect("again", &[("tracked", 1), ("impressions", 1), ("viewable", 1), ("not_viewable", 0)]);

    // A page that goes before its retries are through.
    rig.front.fail(Fault::Fetches);
    rig.open("/gone", &ad("gone", "", PICTURE));
    wait_for("a first try", ARRIVAL_MAX, || {
        rig.front.sent("gone").iter().any(|sent| sent.event["stage"] == "impression")
    });
    rig.leave();
    rig.stored("gone", "impression");
    let sent = rig.front.sent("gone");
    assert!(sent.iter().all(|sent| sent.is_beacon == (sent.status == 200)), "{sent:?}");
    rig.expect("gone", &[("tracked", 1), ("impressions", 1)]);
    let row = rig.figures("gone", "net");
    let verdicts = number(&row["stages"], "viewable")
        + number(&row["stages"], "not_viewable")
        + number(&row["stages"], "not_measurable");
    assert_eq!(verdicts, 1, "{row}");
}
