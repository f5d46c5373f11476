//! The dashboard in a real browser, as people use it: signed in with a token, figures on the screen are those of the API, in both languages; what is
//! provisional or left out says so; a view can be sent by its address; names of campaigns are only names; and nobody is kept out by how he reads it.
//!
//! `SIGHTLINE_PICTURES=DIR` writes pictures of every page for people to look at.

#![cfg(test)]

mod support;

use std::fs;

use serde_json::{Value, json};

use support::barriers::{axe, barriers, picture};
use support::dashboard::{
    PATIENCE, address, cells, come, fill, nothing_was_refused, open, press, said, send, sheet, sign_in, tile,
    wait_for_figures, wait_for_file, wait_to_read,
};
use support::http::Connection;
use support::truth::{number, rows};
use support::webdriver::Browser;
use support::{Instance, Options, wait_for};

const DAY_S: i64 = 24 * 60 * 60;
/// What a script would leave behind if one of these names ran.
const HOSTILE: &str = "<img src=x onerror='window.hacked=1'>\\\"</script><b>c</b>{x}";

const CATALOG: &str = r#"
[[campaign]]
id = "shop"
name = "Spring 春季"
time_zone = "UTC"
advertiser = "acme"
landing_hosts = ["www.example.com"]
[[campaign.placement]]
id = "p1"
name = "First"
medium = "One"
[[campaign.placement]]
id = "p2"
name = "Second"
medium = "Two"
[[campaign.placement]]
id = "small"
name = "Third"
medium = "Three"
[[campaign.placement]]
id = "try"
name = "In trial"
medium = "Four"
state = "trial"
[[campaign]]
id = "hostile"
name = "HOSTILE"
time_zone = "UTC"
[[campaign.placement]]
id = "h1"
name = "HOSTILE"
medium = "HOSTILE"
[[campaign]]
id = "empty"
name = "Nothing yet"
time_zone = "Asia/Shanghai"
"#;

/// An instance with known beacons: on the day before yesterday and yesterday, settled, and today.
struct Stage {
    instance: Instance,
    yesterday: String,
}

impl Stage {
    fn set() -> Self {
        let catalog = CATALOG.replace("HOSTILE", HOSTILE);
        let instance = Instance::start(Options { catalog, ..Options::default() });
        let now = event::clock::Clock::System.now_ms() / 1000;
        let noon = now - now % DAY_S + DAY_S / 2;
        // Devices by placement; each sees two impressions on a past day, and a few come back.
        for (placement, devices, days_back, views) in
            [("p1", 120, 1, 2), ("p1", 80, 2, 1), ("p2", 90, 1, 1), ("small", 12, 1, 1), ("try", 3, 0, 1)]
        {
            for view in 0..views {
                send(
                    &instance,
                    "shop",
                    placement,
                    devices,
                    (days_back != 0).then_some(noon - days_back * DAY_S + view),
                );
            }
        }
        send(&instance, "shop", "p2", 25, None);
        send(&instance, "hostile", "h1", 5, None);
        send(&instance, "shop", "nobody", 4, None);
        instance.settle();
        let yesterday =
            chrono::DateTime::from_timestamp(noon - DAY_S, 0).expect("a time").format("%Y-%m-%d").to_string();
        Self { instance, yesterday }
    }

    /// Makes a token as its operator.
    fn token(&self, wanted: &Value) -> (String, String) {
        let token = format!("Bearer {}", self.instance.secret("operator.token"));
        let mut connection = Connection::open(self.instance.reports()).expect("a connection");
        let answer =
            connection.post_json("/v1/tokens", &[("authorization", &token)], wanted).expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.text());
        let made = answer.json();
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("token"), text("id"))
    }

    fn revoke(&self, id: &str) {
        let answer = self.instance.try_ask("DELETE", &format!("/v1/tokens/{id}")).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn a_token_opens_the_page_is_in_no_address_and_closes_with_its_revocation() {
    let stage = Stage::set();
    let mut browser = come("en-US");
    browser.open(&address(&stage.instance, ""));
    sign_in_wrongly(&mut browser);
    let (token, id) =
        stage.token(&json!({"name": "ACME, Ms Li", "role": "advertiser", "advertisers": ["acme"]}));
    browser.run("document.querySelector('#token').value = ''");
    browser.requests();
    sign_in(&mut browser, &token);
    let text = browser.text();
    assert!(
        text.contains("Spring 春季") && text.contains("ACME, Ms Li") && !text.contains("hostile"),
        "{text}"
    );
    assert!(!text.contains("New campaign") && !text.contains("Tokens"), "nothing that it may not do: {text}");
    open(&mut browser, &stage.instance, "#/c/shop");
    assert!(!browser.url().contains("sightline_"), "{}", browser.url());
    let asked = browser.requests();
    let urls: Vec<&str> = asked.iter().filter_map(|request| request["request"]["url"].as_str()).collect();
    assert!(urls.len() > 10 && urls.iter().all(|url| !url.contains(&token)), "{urls:?}");
    assert!(browser.cookies().is_empty(), "no cookie is needed");
    assert_eq!(said(&mut browser, "localStorage.getItem('sightline.token')"), "null", "unless asked to");
    assert_eq!(said(&mut browser, "sessionStorage.getItem('sightline.token')"), token);

    stage.revoke(&id);
    press(&mut browser, "#refresh");
    wait_to_read(&mut browser, "Your token is no longer in force");
    assert_eq!(said(&mut browser, "sessionStorage.getItem('sightline.token')"), "null");
    // The address stays: whoever signs in again is where he was.
    press(&mut browser, "#keep");
    sign_in(&mut browser, &stage.instance.secret("operator.token"));
    wait_to_read(&mut browser, "Delivery by day");
    assert!(browser.url().ends_with("#/c/shop"), "{}", browser.url());
    assert_eq!(said(&mut browser, "localStorage.getItem('sightline.token') !== null"), "true");
    press(&mut browser, "#sign-out");
    wait_to_read(&mut browser, "You are signed out");
    assert_eq!(said(&mut browser, "localStorage.getItem('sightline.token')"), "null");
    nothing_was_refused(&mut browser);
}

fn sign_in_wrongly(browser: &mut Browser) {
    wait_for("the place for the token", PATIENCE, || !browser.find_all("#token").is_empty());
    fill(browser, "#token", "sightline_operator_0000000000000000_00");
    press(browser, "form .main");
    wait_to_read(browser, "This token does not open anything");
    assert_eq!(said(browser, "document.activeElement.id"), "token");
}

#[test]
fn figures_on_the_screen_are_those_of_the_api_and_a_view_can_be_sent() {
    let stage = Stage::set();
    let mut browser = come("en-US");
    browser.open(&address(&stage.instance, "#/c/shop"));
    sign_in(&mut browser, &stage.instance.secret("operator.token"));
    let delivery = rows(&stage.instance.report("shop/delivery", ""))[0].clone();
    let reach = rows(&stage.instance.report("shop/reach", ""))[0].clone();
    // By hand: 240 + 80 + 90 + 12 + 25 impressions of 120 devices, for all placements share their devices.
    assert_eq!((number(&delivery, "impressions"), number(&reach, "reach")), (447, 120));
    for (name, row) in
        [("impressions", &delivery), ("clicks", &delivery), ("unresolved", &delivery), ("reach", &reach)]
    {
        assert_eq!(tile(&mut browser, name), number(row, name), "{name}");
    }
    let levels = cells(&mut browser, "levels");
    let n_plus: Vec<String> =
        reach["n_plus"].as_array().expect("a list").iter().map(ToString::to_string).collect();
    assert_eq!(levels.iter().map(|row| row[1].clone()).collect::<Vec<_>>(), n_plus);
    let days = rows(&stage.instance.report("shop/delivery", "by=day")).clone();
    let shown = cells(&mut browser, "delivery-day");
    assert_eq!(shown.len(), days.len());
    for (shown, day) in shown.iter().zip(&days) {
        assert!(shown[0].starts_with(day["key"].as_str().expect("a day")), "{shown:?}");
        assert_eq!(shown[1], number(day, "impressions").to_string());
    }
    assert!(
        shown.last().expect("today")[0].ends_with("Provisional") && !shown[0][0].contains("Provisional"),
        "{shown:?}"
    );
    let plotted = said(&mut browser, "document.querySelectorAll('.plot canvas').length");
    assert!(plotted.parse::<u32>().is_ok_and(|plots| plots >= 4), "{plotted} plots");

    // One day, gross, by medium: all of it in the address, and the same after it is loaded anew by somebody else.
    let day = stage.yesterday.clone();
    browser.run(&format!("const field = document.querySelector('#to'); field.value = '{day}'; field.dispatchEvent(new Event('change', {{bubbles: true}}))"));
    wait_for("the address has the day", PATIENCE, || browser.url().contains(&format!("to={day}")));
    wait_for_figures(&mut browser);
    press(&mut browser, "[data-filter=gross]");
    wait_for_figures(&mut browser);
    press(&mut browser, "#by option[value=medium]");
    wait_for("the address has all", PATIENCE, || {
        ["filter=gross", "by=medium"].iter().all(|part| browser.url().contains(part))
    });
    wait_for_figures(&mut browser);
    let url = browser.url();
    let expected =
        rows(&stage.instance.report("shop/delivery", &format!("to={day}&filter=gross")))[0].clone();
    assert_eq!(number(&expected, "impressions"), 422, "without today");
    for _ in 0..2 {
        assert_eq!(tile(&mut browser, "impressions"), 422);
        let media: Vec<String> = cells(&mut browser, "breakdown")
            .into_iter()
            .map(|row| format!("{} {}", row[0], row[1]))
            .collect();
        assert_eq!(media, ["One 320", "Two 90", "Three 12"]);
        browser.open("about:blank");
        browser.open(&url);
        wait_for_figures(&mut browser);
    }
    // What only reports of devices know is asked of them alone.
    browser.open("about:blank");
    browser.open(&format!("{url}&audience=all&precision=exact"));
    wait_for_figures(&mut browser);
    assert_eq!(tile(&mut browser, "impressions"), 422);
    assert_eq!(said(&mut browser, "document.querySelectorAll('.notice.bad').length"), "0");
    assert!(!cells(&mut browser, "levels").is_empty() && !cells(&mut browser, "breakdown").is_empty());
    browser.open("about:blank");
    browser.open(&url);
    wait_for_figures(&mut browser);
    press(&mut browser, "#language");
    wait_to_read(&mut browser, "每日投放");
    wait_for_figures(&mut browser);
    assert_eq!(tile(&mut browser, "impressions"), 422);
    assert_eq!(browser.url(), url, "the language is the reader's, not the view's");
    nothing_was_refused(&mut browser);
}

#[test]
fn what_is_left_out_or_may_still_change_says_so() {
    let stage = Stage::set();
    let (token, _) = stage.token(&json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let mut browser = come("en-US");
    browser.open(&address(&stage.instance, "#/c/shop"));
    sign_in(&mut browser, &token);
    let text = browser.text();
    assert!(
        text.contains("Devices rounded down to 10s") && text.contains("Nothing below 50 devices"),
        "{text}"
    );
    assert!(!text.contains("Provisional"), "only settled days are offered: {text}");
    assert_eq!(tile(&mut browser, "impressions"), 422, "without today");
    assert_eq!(tile(&mut browser, "reach"), 120);
    // Two rows are left out: the small one, and the smallest other one.
    let marks = said(
        &mut browser,
        "[...document.querySelectorAll('[data-card=breakdown] tbody tr')].map(row => row.children[1].querySelectorAll('.left-out').length > 0)",
    );
    assert_eq!(marks.matches("true").count(), 2, "{marks}");
    assert!(text.contains("Left out: fewer than 50 devices"), "{text}");
    // The operator sees today, marked as what it is.
    press(&mut browser, "#sign-out");
    sign_in(&mut browser, &stage.instance.secret("operator.token"));
    wait_to_read(&mut browser, "Provisional:");
    assert_eq!(tile(&mut browser, "impressions"), 447);
    nothing_was_refused(&mut browser);
}

#[test]
fn a_hostile_name_is_only_a_name() {
    let stage = Stage::set();
    let mut browser = come("en-US");
    let name = HOSTILE.replace("\\\"", "\"");
    browser.open(&address(&stage.instance, ""));
    sign_in(&mut browser, &stage.instance.secret("operator.token"));
    wait_to_read(&mut browser, &name);
    for view in [
        "#/c/hostile",
        "#/c/hostile?by=medium",
        "#/c/hostile/setup",
        "#/c/hostile/live",
        "#/c/%3Cimg%20src=x%20onerror=hacked=1%3E",
    ] {
        open(&mut browser, &stage.instance, view);
        assert_eq!(
            said(&mut browser, "document.querySelectorAll('main img, main b.c, main script').length"),
            "0",
            "{view}"
        );
        nothing_was_refused(&mut browser);
    }
    open(&mut browser, &stage.instance, "#/c/hostile?by=medium");
    assert_eq!(cells(&mut browser, "breakdown")[0][0], name);
}

#[test]
fn an_export_holds_the_figures_of_the_screen() {
    let stage = Stage::set();
    let folder = tempfile::tempdir().expect("a folder");
    let mut browser = come("en-US");
    browser.devtools(
        "Browser.setDownloadBehavior",
        &json!({"behavior": "allow", "downloadPath": folder.path()}),
    );
    browser.open(&address(&stage.instance, "#/c/shop?by=medium"));
    sign_in(&mut browser, &stage.instance.secret("operator.token"));
    let shown = cells(&mut browser, "breakdown");
    for format in ["xlsx", "csv", "parquet"] {
        browser.run("document.querySelector('[data-card=breakdown] .menu').open = true");
        press(&mut browser, &format!("[data-card=breakdown] [data-export='delivery.{format}']"));
        let file = wait_for_file(folder.path(), format);
        assert!(
            file.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("shop-delivery-by-medium-net")),
            "{}",
            file.display()
        );
        match format {
            "xlsx" => {
                let mut exported = sheet(&file);
                exported.sort_by(|a, b| {
                    b[1].parse::<f64>().ok().partial_cmp(&a[1].parse().ok()).expect("numbers")
                });
                let pairs = |rows: &[Vec<String>]| {
                    rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect::<Vec<_>>()
                };
                assert_eq!(pairs(&exported), pairs(&shown));
            }
            "csv" => assert!(fs::read_to_string(&file).expect("text").contains("\nOne,320,")),
            _ => assert!(fs::read(&file).expect("bytes").starts_with(b"PAR1")),
        }
    }
    // The codes of all placements in one file.
    open(&mut browser, &stage.instance, "#/c/shop/setup");
    // The installation does not say where its tracker is: whoever hands out codes does, and nothing is guessed.
    assert_eq!(said(&mut browser, "document.querySelector('#base').value"), "");
    browser.run("document.querySelector('#base').value = 'https://t.example.com'");
    press(&mut browser, "#take-base");
    wait_to_read(&mut browser, "4 URLs");
    press(&mut browser, "#codes-csv");
    wait_for("the codes are there", PATIENCE, || {
        fs::read_to_string(folder.path().join("shop-links.csv"))
            .is_ok_and(|text| text.contains("p1") && text.contains("small"))
    });
    nothing_was_refused(&mut browser);
}

#[test]
fn nobody_is_kept_out_by_how_he_reads_it_at_a_desk() {
    look_at_all("desktop", [("en-US", "light"), ("zh-CN", "dark")]);
}

#[test]
fn nobody_is_kept_out_by_how_he_reads_it_on_a_phone() {
    look_at_all("phone", [("zh-CN", "light"), ("en-US", "dark")]);
}

/// Every page, held against the checker, and not wider than the window.
fn look_at_all(device: &str, ways: [(&str, &str); 2]) {
    let stage = Stage::set();
    let checker = axe();
    let views = [
        ("campaigns", ""),
        ("report", "#/c/shop"),
        ("empty", "#/c/empty"),
        ("live", "#/c/shop/live"),
        ("setup", "#/c/shop/setup"),
        ("closings", "#/c/shop/closings"),
        ("unknown", "#/c/none"),
        ("tokens", "#/tokens"),
        ("books", "#/books"),
        ("new", "#/new"),
    ];
    for (language, scheme) in ways {
        let mut browser = come(language);
        let is_phone = device == "phone";
        let (width, height) = if is_phone { (390, 844) } else { (1440, 900) };
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        browser.devtools("Emulation.setDeviceMetricsOverride", &size);
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.devtools("Emulation.setEmulatedMedia", &media);
        let look = |browser: &mut Browser, what: &str| {
            picture(browser, &format!("dashboard-{what}-{language}-{device}-{scheme}"));
            assert!(!browser.is_too_wide(), "{what}: wider than a {device}");
            let found = barriers(browser, &checker);
            assert!(found.is_empty(), "{what}, {language}, {device}, {scheme}:\n{found}");
        };
        browser.open(&address(&stage.instance, ""));
        wait_for("the place for the token", PATIENCE, || !browser.find_all("#token").is_empty());
        look(&mut browser, "sign-in");
        sign_in(&mut browser, &stage.instance.secret("operator.token"));
        for (what, view) in views {
            open(&mut browser, &stage.instance, view);
            browser
                .run("document.querySelectorAll('details:not(.menu)').forEach(one => { one.open = true; })");
            look(&mut browser, what);
        }
        for (view, opener) in [
            ("#/tokens", "#new-token"),
            ("#/c/shop/setup", "#edit-campaign"),
            ("#/c/shop/setup", "[data-edit=p1]"),
            ("#/c/shop/setup", "#import"),
        ] {
            open(&mut browser, &stage.instance, view);
            press(&mut browser, opener);
            look(&mut browser, &opener.replace(['#', '[', ']', '='], ""));
        }
        nothing_was_refused(&mut browser);
    }
}

#[test]
fn the_files_ask_for_no_token_and_figures_do() {
    let stage = Stage::set();
    let mut connection = Connection::open(stage.instance.reports()).expect("a connection");
    let page = connection.get("/", &[]).expect("an answer");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("script-src 'self';")
            && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    for path in ["/v1/me", "/v1/campaigns", "/v1/campaigns/shop/delivery"] {
        assert_eq!(connection.get(path, &[]).expect("an answer").status, 401, "{path}");
    }
    let me = |token: &str| {
        let token = format!("Bearer {token}");
        let mut connection = Connection::open(stage.instance.reports()).expect("a connection");
        connection.get("/v1/me", &[("authorization", &token)]).expect("an answer").json()
    };
    let operator = json!({"role": "operator", "name": "operator", "exact": true, "may_change": true, "k": 50, "device_step": 10});
    assert_eq!(me(&stage.instance.secret("operator.token")), operator);
    let (token, _) = stage.token(&json!({"name": "Video", "role": "medium", "media": ["One"]}));
    let medium = json!({"role": "medium", "name": "Video", "exact": false, "may_change": false, "k": 50, "device_step": 10});
    assert_eq!(me(&token), medium);
}
