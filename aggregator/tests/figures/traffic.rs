//! General invalid traffic: robots, programs, data centres, double clicks. Every removed hit keeps one reason.

use aggregator::Settings;
use event::givt::{Automated, automated};
use event::stage::Stage;

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, hit};

const ROBOTS: [&str; 12] = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "SOME-BOT/1.0",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; ExampleBot/1.0; +https://example.com)",
    "Mozilla/5.0 (compatible; ExampleSpider)",
    "AppEngine-Google; (+http://code.google.com/appengine; appid: example)",
];

const PROGRAMS: [&str; 10] = [
    "curl/8.5.0",
    "Wget/1.21.4",
    "python-requests/2.31.0",
    "Go-http-client/1.1",
    "Java/1.8.0_362",
    "libwww-perl/6.67",
    "PostmanRuntime/7.36.0",
    "Python/3.11 aiohttp/3.9.1",
    "Ruby",
    "Lavf/60.16.100",
];

/// What viewers' devices and the SDKs on them send.
const VIEWERS: [&str; 20] = [
    "",
    "Dalvik/2.1.0 (Linux; U; Android 13; M2012K11AC Build/TKQ1.220829.002)",
    "okhttp/4.12.0",
    "ExampleApp/7.2 CFNetwork/1474 Darwin/23.0.0",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19 Build/PPR1.180610.011) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36",
    "Dalvik/2.1.0 (Linux; U; Android 10; CUBOT NOTE 20 Build/QP1A.190711.020)",
    "Apache-HttpClient/UNAVAILABLE (java 1.4)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.44",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; SLCC2; .NET CLR 2.0.50727)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
    "Mozilla/5.0 (Linux; U; Android 4.0; JavaScript Abbot) AppleWebKit/534.30",
    "Spider%20Solitaire/4.5.1 CFNetwork/1474 Darwin/23.0.0",
    "Splash/5.3 CFNetwork/1474 Darwin/23.0.0",
    "Robot%20Unicorn/1.2 CFNetwork/1474 Darwin/23.0.0",
    "Dalvik/2.1.0 (Linux; U; Android 10; Spider)",
    "Dart/3.1 (dart:io)",
    "libcurl-agent/1.0",
    "Rusty/2.0 okhttp/4.12.0",
    "Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36",
];

#[test]
fn robots_and_programs_leave_net_and_viewers_stay() {
    let rig = Rig::new();
    let of = |agent: &&str| Hit { agent: (*agent).to_owned(), device: Some(1), ..hit(NOON_MS - DAY_MS) };
    let hits: Vec<Hit> = ROBOTS.iter().chain(&PROGRAMS).chain(&VIEWERS).map(of).collect();
    rig.push(&hits);
    rig.load();
    // What is said of one agent is what the store makes of it.
    for (agents, expected) in
        [(&ROBOTS[..], Some(Automated::Robot)), (&PROGRAMS, Some(Automated::NonBrowser)), (&VIEWERS, None)]
    {
        for agent in agents {
            assert_eq!(automated(agent.as_bytes()), expected, "{agent}");
        }
    }
    for _ in ["live", "settled"] {
        let row = rig.row("utc/delivery");
        assert_eq!(row["removed_impressions"]["robot"], ROBOTS.len());
        assert_eq!(row["removed_impressions"]["non_browser"], PROGRAMS.len());
        assert_eq!(row["net_impressions"], VIEWERS.len());
        rig.settle();
    }
}

#[test]
fn each_viewer_by_itself_is_valid() {
    let rig = Rig::new();
    let day = |n: usize| NOON_MS - (n as i64 + 1) * DAY_MS;
    let hits: Vec<Hit> = VIEWERS
        .iter()
        .enumerate()
        .map(|(n, agent)| Hit { agent: (*agent).to_owned(), received_ms: NOON_MS, ..hit(day(n)) })
        .collect();
    rig.push(&hits);
    rig.settle();
    for row in rig.rows("utc/delivery?by=day") {
        assert_eq!(row["net_impressions"], 1, "{}", row["key"]);
    }
}

#[test]
fn a_new_list_judges_past_days_anew() {
    let mut rig = Rig::new();
    rig.push(&[
        Hit { network: vec![198, 51, 100], ..hit(NOON_MS - DAY_MS) },
        Hit { network: vec![0x20, 0x01, 0x0d, 0xb8, 0, 1], ..hit(NOON_MS - DAY_MS) },
        hit(NOON_MS - DAY_MS),
    ]);
    rig.settle();
    assert_eq!(rig.row("utc/delivery")["net_impressions"], 3);
    rig.settings.data_center_networks = vec!["198.51.0.0/16".to_owned(), "2001:db8::/32".to_owned()];
    rig.restart(|_| ());
    assert_eq!(rig.settle()["days"].as_array().expect("days").len(), 1);
    let row = rig.row("utc/delivery");
    assert_eq!((&row["net_impressions"], &row["removed_impressions"]["data_center"]), (&1.into(), &2.into()));
    // The same list again changes nothing.
    rig.restart(|_| ());
    assert_eq!(rig.settle()["days"].as_array().expect("days").len(), 0);
}

#[test]
fn double_clicks_leave_net_by_the_campaigns_window() {
    let windowed = CATALOG.replace("time_zone = \"UTC\"", "time_zone = \"UTC\"\ndouble_click_seconds = 2");
    let rig = Rig::new();
    let midnight = NOON_MS - DAY_MS / 2;
    let click = |device: u64, placement: &'static str, time_ms: i64| Hit {
        stage: Stage::Click,
        device: Some(device),
        placement,
        ..hit(time_ms)
    };
    rig.push(&[
        // The second within the window, the third within that of the second; the fourth after it.
        click(1, "p1", midnight - DAY_MS + 10_000),
        click(1, "p1", midnight - DAY_MS + 12_000),
        click(1, "p1", midnight - DAY_MS + 13_500),
        click(1, "p1", midnight - DAY_MS + 15_501),
        // Another placement, another device, no device.
        click(1, "p2", midnight - DAY_MS + 10_500),
        click(2, "p1", midnight - DAY_MS + 10_500),
        Hit { device: None, ..click(0, "p1", midnight - DAY_MS + 10_600) },
        Hit { device: None, ..click(0, "p1", midnight - DAY_MS + 10_700) },
        // Across midnight.
        click(3, "p1", midnight - 500),
        click(3, "p1", midnight + 500),
    ]);
    rig.settle();
    assert_eq!(rig.row("utc/delivery")["net_clicks"], 10);
    rig.set_catalog(&windowed);
    assert_eq!(rig.settle()["days"].as_array().expect("days").len(), 2);
    let rows = rig.rows("utc/delivery?by=day");
    assert_eq!((&rows[0]["net_clicks"], &rows[0]["removed_clicks"]["double_click"]), (&7.into(), &2.into()));
    assert_eq!((&rows[1]["net_clicks"], &rows[1]["removed_clicks"]["double_click"]), (&0.into(), &1.into()));
    let by_creative = rig.row("utc/reach?by=creative");
    assert_eq!(by_creative["clicks"], 7);
}

#[test]
fn networks_that_are_longer_than_what_is_kept_are_refused() {
    let settings = Settings { data_center_networks: vec!["192.0.2.7/32".to_owned()], ..Settings::default() };
    let error = settings.check().expect_err("refused").to_string();
    assert!(error.contains("192.0.2.7/32") && error.contains("/24"), "{error}");
}
