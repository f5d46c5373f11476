//! VAST players from npm in a real browser: each is given our wrapper around an ad of another server, plays it, and what it reports comes
//! out of the report API once for each event.
//!
//! `deploy/players/fetch` brings the players; `fixtures/ad.html` says how the video was made.

#![cfg(test)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use support::site::{Front, Site};
use support::truth::number;
use support::webdriver::Browser;
use support::{CATALOG, Instance, Options, wait_for};

/// A browser's agent without the word that headless ones carry.
const PERSON: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
/// Longest wait for an ad of five seconds to be played.
const PLAYED_MAX: Duration = Duration::from_mins(2);
const VIDEO: &[u8] = include_bytes!("fixtures/ad.webm");

/// A player made of a library that reads VAST 4, follows wrappers and reports; the `<video>` is the page's, as in the library's own example.
const CLIENT: &str = r"
<!doctype html><html lang=en><title>Film</title><video id=film muted playsinline width=640 height=360></video>
<script type=module>
  import { VASTClient, VASTTracker } from '/vast-client.min.js';
  const film = document.querySelector('#film');
  const client = new VASTClient();
  const { ads: [ad] } = await client.get('WRAPPER');
  const creative = ad.creatives.find(one => one.type === 'linear');
  const tracker = new VASTTracker(client, ad, creative);
  tracker.load();
  film.addEventListener('playing', () => { tracker.setDuration(film.duration); tracker.trackImpression(); }, { once: true });
  film.addEventListener('timeupdate', () => tracker.setProgress(film.currentTime));
  film.addEventListener('ended', () => tracker.complete());
  new IntersectionObserver(([entry], observer) => {
    if (entry.intersectionRatio < 0.5) return;
    observer.disconnect();
    setTimeout(() => tracker.trackViewableImpression({}, true), 2000);
  }, { threshold: [0.5] }).observe(film);
  // The player opens the ad's landing page itself; our click is the pixel beside it.
  film.addEventListener('click', () => { tracker.on('clickthrough', url => { window.landed = url; }); tracker.click(); });
  film.src = creative.mediaFiles[0].fileURL;
  await film.play();
</script>
";

/// A player of VAST 2 and 3 that does everything itself.
const PLAYER: &str = r#"
<!doctype html><html lang=en><title>Film</title><script src="/vast-player.min.js"></script>
<div id=film style="width: 640px; height: 360px"></div>
<script>
  // Without a person's touch a browser plays only what is silent.
  const make = document.createElement.bind(document);
  document.createElement = name => { const element = make(name); if (name === 'video') element.muted = true; return element; };
  window.open = url => { window.landed = url; };
  const player = new VASTPlayer(document.querySelector('#film'));
  player.load('WRAPPER').then(() => player.startAd()).catch(error => { document.title = String(error); });
</script>
"#;

struct Stage {
    instance: Instance,
    front: Front,
    site: Site,
    browser: Browser,
    landing: String,
}

impl Stage {
    /// A tracker, known to the world as its front, with a placement whose ad lies on the site.
    fn set() -> Self {
        let site = Site::start();
        let front = Front::start();
        let landing = site.url("/landing");
        for script in ["vast-client.min.js", "vast-player.min.js"] {
            let text = fs::read(players().join(script)).expect("a player");
            site.publish(&format!("/{script}"), "text/javascript", text);
        }
        let video = site.publish("/ad.webm", "video/webm", VIDEO);
        let inline = format!(
            "<?xml version=\"1.0\"?><VAST version=\"3.0\"><Ad id=\"film\"><InLine><AdSystem>Elsewhere</AdSystem><AdTitle>Film</AdTitle>\
             <Impression><![CDATA[{elsewhere}?impression]]></Impression><Creatives><Creative><Linear><Duration>00:00:05</Duration>\
             <VideoClicks><ClickThrough><![CDATA[{landing}]]></ClickThrough></VideoClicks>\
             <MediaFiles><MediaFile delivery=\"progressive\" type=\"video/webm\" width=\"640\" height=\"360\" bitrate=\"100\"><![CDATA[{video}]]></MediaFile>\
             </MediaFiles></Linear></Creative></Creatives></InLine></Ad></VAST>",
            elsewhere = site.url("/elsewhere"),
        );
        let tag = site.publish("/inline.xml", "application/xml", inline);
        let catalog =
            CATALOG.replacen("medium = \"One\"\n", &format!("medium = \"One\"\nvast_tag = \"{tag}\"\n"), 1);
        let head = format!("catalog = \"catalog.toml\"\npublic_url = \"{}\"", front.url());
        let instance = Instance::start(Options { head, catalog, ..Options::default() });
        front.stand_before(instance.tracker());
        let browser =
            Browser::start_with(Some(PERSON), "en-US", &["--autoplay-policy=no-user-gesture-required"]);
        Self { instance, front, site, browser, landing }
    }

    /// Plays the wrapper in a page of its own to the end, with a click on the film on the way.
    fn play(&mut self, page: &str, creative: &str) {
        let wrapper = format!("{}/vast?c=demo&p=p1&cr={creative}", self.front.url());
        let url = self.site.publish(&format!("/{creative}"), "text/html", page.replace("WRAPPER", &wrapper));
        self.browser.resize(1000, 800);
        self.browser.open(&url);
        self.wait_for(creative, "start");
        let film = self.browser.find("#film");
        self.browser.click(&film);
        self.wait_for(creative, "complete");
        self.wait_for(creative, "clickTracking");
        assert_eq!(self.browser.run("return window.landed"), self.landing);
    }

    fn wait_for(&mut self, creative: &str, event: &str) {
        let start = format!("/vast/{event}?");
        let mark = format!("cr={creative}");
        let has_come = || {
            let passed = self.front.passed();
            passed.iter().any(|(request, status)| {
                *status == 200 && request.target.starts_with(&start) && request.target.contains(&mark)
            })
        };
        wait_for(&format!("{event} of {creative}, in {:?}", self.browser.text()), PLAYED_MAX, has_come);
    }

    /// Holds the figures against (stage, count), gross and net alike: nothing came twice, nothing was removed.
    fn expect(&self, creative: &str, expected: &[(&str, u64)]) {
        self.instance.settle();
        for filter in ["gross", "net"] {
            let report = self.instance.report("demo/delivery", &format!("by=creative&filter={filter}"));
            let rows = report["rows"].as_array().cloned().unwrap_or_default();
            let row = rows.into_iter().find(|row| row["key"] == creative).unwrap_or_default();
            for (name, count) in expected {
                let place: &Value =
                    if matches!(*name, "impressions" | "clicks") { &row } else { &row["stages"] };
                assert_eq!(number(place, name), *count, "{name}, {filter}, of {creative}: {row}");
            }
        }
    }
}

/// The folder with the players.
fn players() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/players/fetch");
    let fetched = Command::new(script).stdin(Stdio::null()).output().expect("deploy/players/fetch runs");
    assert!(fetched.status.success(), "no players: {}", String::from_utf8_lossy(&fetched.stderr));
    PathBuf::from(String::from_utf8_lossy(&fetched.stdout).trim())
}

#[test]
fn players_from_npm_play_our_wrapper_and_each_event_arrives_once() {
    let mut stage = Stage::set();
    let played = [
        ("impressions", 1),
        ("starts", 1),
        ("first_quartiles", 1),
        ("midpoints", 1),
        ("third_quartiles", 1),
        ("completes", 1),
        ("clicks", 1),
    ];
    stage.play(CLIENT, "client");
    stage.expect("client", &played);
    stage.expect("client", &[("tracked", 1), ("viewable", 1), ("not_viewable", 0), ("not_measurable", 0)]);
    stage.play(PLAYER, "player");
    stage.expect("player", &played);
    // It knows nothing of VAST 4.
    stage.expect("player", &[("viewable", 0), ("not_viewable", 0), ("not_measurable", 0)]);
}
