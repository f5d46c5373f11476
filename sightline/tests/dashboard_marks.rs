//! Figures of the dashboard as what they are: closed ones with what changed since beside them, estimates with their interval, what is left out marked
//! and not drawn as nothing, a medium's number beside ours of the same days. And what is chosen on the report page: days, members of an overlap.

#![cfg(test)]

mod support;

use serde_json::{Value, json};

use support::dashboard::{
    PATIENCE, address, cells, come, nothing_was_refused, open, press, said, send, sign_in, tile,
    wait_for_figures, wait_to_read,
};
use support::http::Connection;
use support::truth::rows;
use support::webdriver::Browser;
use support::{Instance, Options, wait_for};

const DAY_S: i64 = 24 * 60 * 60;

const CATALOG: &str = r#"
[[campaign]]
id = "shop"
name = "Spring"
time_zone = "UTC"
advertiser = "acme"
[[campaign.creative]]
id = "cr1"
name = "Spring, 15 s"
[[campaign.placement]]
id = "p1"
name = "First"
medium = "One"
[[campaign.placement]]
id = "p2"
name = "Second"
medium = "Two"
[[campaign.placement]]
id = "p3"
name = "Third"
medium = "Three"
"#;

struct Stage {
    instance: Instance,
    noon: i64,
}

impl Stage {
    fn set(reports: &str) -> Self {
        let instance = Instance::start(Options {
            catalog: CATALOG.to_owned(),
            reports: reports.to_owned(),
            ..Options::default()
        });
        let now = event::clock::Clock::System.now_ms() / 1000;
        Self { instance, noon: now - now % DAY_S + DAY_S / 2 }
    }

    /// So many days ago.
    fn day(&self, back: i64) -> String {
        let noon = chrono::DateTime::from_timestamp(self.noon - back * DAY_S, 0).expect("a time");
        noon.format("%Y-%m-%d").to_string()
    }

    /// One impression of each of so many devices, so many days ago; `view` tells those of one day apart.
    fn send(&self, placement: &str, devices: u32, (back, view): (i64, i64)) {
        send(&self.instance, "shop", placement, devices, Some(self.noon - back * DAY_S + view));
    }

    fn post(&self, target: &str, body: &Value) -> Value {
        let token = format!("Bearer {}", self.instance.secret("operator.token"));
        let mut connection = Connection::open(self.instance.reports()).expect("a connection");
        let answer = connection.post_json(target, &[("authorization", &token)], body).expect("an answer");
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        answer.json()
    }

    fn close(&self, back: i64) {
        let day = self.day(back);
        self.post("/v1/campaigns/shop/closings", &json!({"from": day, "to": day, "note": "as billed"}));
    }

    fn token(&self, wanted: &Value) -> String {
        self.post("/v1/tokens", wanted)["token"].as_str().expect("a token").to_owned()
    }

    /// A browser in which whoever has the token looks at a view.
    fn look(&self, token: &str, view: &str) -> Browser {
        let mut browser = come("en-US");
        browser.open(&address(&self.instance, view));
        sign_in(&mut browser, token);
        wait_for_figures(&mut browser);
        browser
    }

    fn operator(&self) -> String {
        self.instance.secret("operator.token")
    }
}

/// The figure of a tile as it was closed, and what stands below it.
fn closed_tile(browser: &mut Browser, name: &str) -> (String, String) {
    let part = |browser: &mut Browser, of: &str| {
        said(browser, &format!("document.querySelector('[data-tile={name}] .value'){of}"))
    };
    let figure = part(browser, ".firstChild.textContent");
    (figure, part(browser, ".querySelector('.change')?.lastChild.textContent ?? ''"))
}

fn text_of(browser: &mut Browser, selector: &str) -> String {
    said(browser, &format!("document.querySelector('{selector}')?.textContent ?? ''"))
}

#[test]
fn closed_figures_stay_and_what_changed_stands_beside_them() {
    let stage = Stage::set("");
    stage.send("p1", 120, (1, 0));
    stage.send("p1", 120, (1, 1));
    stage.send("p1", 80, (2, 0));
    stage.instance.settle();
    stage.close(1);
    stage.close(2);
    // Late hits: of devices that are known, on a placement that the closing has not; and a few of the day before.
    stage.send("p2", 90, (1, 2));
    stage.send("p1", 7, (2, 3));
    stage.instance.settle();
    let view = |back: i64| format!("#/c/shop?from={0}&to={0}", stage.day(back));
    let mut browser = stage.look(&stage.operator(), &view(1));
    wait_to_read(&mut browser, "Closed, version 1");
    assert_eq!(closed_tile(&mut browser, "impressions"), ("240".to_owned(), "+90".to_owned()));
    assert_eq!(closed_tile(&mut browser, "reach"), ("120".to_owned(), String::new()));
    let beside = text_of(&mut browser, "[data-adjustment]");
    assert!(beside.contains("Net impressions +90") && beside.contains("90 hits came late"), "{beside}");
    assert!(!beside.contains("Reach"), "{beside}");
    let table = cells(&mut browser, "breakdown");
    assert!(table[0][0].starts_with("First") && table[0][1] == "240", "{table:?}");
    assert!(table[1][0].starts_with("Secondcame since") && table[1][1].starts_with('–'), "{table:?}");
    assert!(table[1][1].ends_with("+90"), "{table:?}");
    // Those of now, and back.
    press(&mut browser, "#closed-state");
    wait_for("figures of now", PATIENCE, || browser.url().contains("state=present"));
    wait_to_read(&mut browser, "These are the figures of now");
    wait_for_figures(&mut browser);
    assert_eq!(tile(&mut browser, "impressions"), 330);
    assert_eq!(text_of(&mut browser, "[data-adjustment]"), "");
    press(&mut browser, "#closed-state");
    wait_to_read(&mut browser, "Closed, version 1");

    open(&mut browser, &stage.instance, &view(2));
    assert_eq!(closed_tile(&mut browser, "impressions"), ("80".to_owned(), "+7".to_owned()));
    nothing_was_refused(&mut browser);

    // An advertiser is told of no few hits, and not that there are none.
    let token = stage.token(&json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let mut browser = stage.look(&token, &view(2));
    assert_eq!(closed_tile(&mut browser, "impressions"), ("80".to_owned(), String::new()));
    let beside = text_of(&mut browser, "[data-adjustment]");
    assert!(beside.contains("No change of 50 or more is known"), "{beside}");
    assert!(!beside.contains("Nothing has changed"), "{beside}");
    open(&mut browser, &stage.instance, &view(1));
    assert_eq!(closed_tile(&mut browser, "impressions"), ("240".to_owned(), "+90".to_owned()));

    // Of several media's placements the closing holds nothing: figures of now, and it says so.
    let token = stage.token(&json!({"name": "Both", "role": "medium", "media": ["One", "Two"]}));
    let mut browser = stage.look(&token, &view(1));
    wait_to_read(&mut browser, "Figures of now, not of the closing");
    let overlap = text_of(&mut browser, "[data-card=overlap]");
    assert!(overlap.contains("These are figures of now"), "each card says so: {overlap}");
    assert_eq!(tile(&mut browser, "impressions"), 330);
    nothing_was_refused(&mut browser);
}

#[test]
fn estimates_say_what_they_may_be_off_by() {
    let stage = Stage::set("exact_device_days = 10\nsample_device_days = 100");
    for (placement, devices, back) in [("p1", 400, 1), ("p2", 300, 1), ("p1", 200, 2)] {
        stage.send(placement, devices, (back, 0));
    }
    stage.instance.settle();
    let mut browser = stage.look(&stage.operator(), "#/c/shop?by=medium");
    wait_to_read(&mut browser, "Estimated from");
    let report = stage.instance.report("shop/reach", "");
    let row = &rows(&report)[0];
    assert!(report["sample"].is_number() && row["exact"] == json!(false), "{report}");
    let with_half = |count: &Value, low: &Value, high: &Value| {
        let [low, high] = [low, high].map(|end| end.as_u64().expect("an end"));
        format!("{count} ± {}", (high - low).div_ceil(2))
    };
    let expected = with_half(&row["reach"], &row["interval_low"][0], &row["interval_high"][0]);
    assert_eq!(text_of(&mut browser, "[data-tile=reach] .value"), expected);
    assert_eq!(tile(&mut browser, "impressions"), 900, "hits are counted");
    let days = stage.instance.report("shop/reach", "by=day");
    let last = rows(&days).last().expect("a day").clone();
    let shown = cells(&mut browser, "reach-curve");
    let cumulative = with_half(&last["cumulative_reach"], &last["cumulative_low"], &last["cumulative_high"]);
    assert_eq!(shown.last().expect("a day")[2], cumulative);
    let overlap = stage.instance.report("shop/overlap", "by=medium");
    let first = rows(&overlap).iter().find(|row| row["stack_position"] == json!(1)).expect("a first").clone();
    let ends = (&first["interval_low"]["reach"], &first["interval_high"]["reach"]);
    assert_eq!(cells(&mut browser, "overlap")[0][2], with_half(&first["reach"], ends.0, ends.1));
    for (card, column) in [("frequency", 1), ("levels", 4)] {
        let shown = cells(&mut browser, card);
        assert!(shown.iter().all(|row| row[column].contains(" ± ")), "{card}: {shown:?}");
    }
    assert!(cells(&mut browser, "breakdown").iter().all(|row| row[2].contains('±')));
    press(&mut browser, "#precision");
    wait_to_read(&mut browser, "Every device is counted");
    wait_for_figures(&mut browser);
    assert_eq!(tile(&mut browser, "reach"), 400);
    let text = browser.text();
    assert!(!text.contains('±') && !text.contains('≈'), "{text}");
    nothing_was_refused(&mut browser);
}

#[test]
fn what_is_left_out_is_not_drawn_as_nothing() {
    let stage = Stage::set("");
    stage.send("p1", 120, (1, 0));
    stage.send("p1", 12, (1, 3 * 60 * 60));
    stage.send("p1", 90, (1, 6 * 60 * 60));
    stage.send("p1", 70, (3, 0));
    stage.instance.settle();
    let token = stage.token(&json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let mut browser = stage.look(&token, "#/c/shop");
    let plot = |browser: &mut Browser, card: &str| {
        said(
            browser,
            &format!("document.querySelector('[data-card={card}] .plot').getAttribute('aria-label')"),
        )
    };
    // The hour of 12 devices, and the smallest other one.
    let hours = plot(&mut browser, "delivery-hour");
    assert!(hours.ends_with("Left out to protect privacy: 2 of them."), "{hours}");
    // The day between the two on which nothing came has its place.
    let days = plot(&mut browser, "delivery-day");
    assert!(days.contains("on 3 days from"), "{days}");
    assert!(browser.text().contains("Left out: fewer than 50 devices"));
    nothing_was_refused(&mut browser);
}

#[test]
fn of_an_overlap_only_what_holds_is_shown() {
    let stage = Stage::set("");
    // The devices of each are the first of the others': 45 of the first alone are too few, and without them it would share all.
    stage.send("p1", 145, (2, 0));
    stage.send("p2", 100, (2, 0));
    stage.instance.settle();
    let token = stage.token(&json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let mut browser = stage.look(&token, "#/c/shop");
    let overlap = text_of(&mut browser, "[data-card=overlap]");
    assert!(overlap.contains("too few devices here to tell what these share"), "{overlap}");
    assert!(!overlap.contains("100%"), "{overlap}");
    // With more of them two can be held against each other, and a third cannot.
    for (placement, devices) in [("p1", 400), ("p2", 300), ("p3", 30)] {
        stage.send(placement, devices, (1, 0));
    }
    stage.instance.settle();
    browser.run("location.reload()");
    wait_to_read(&mut browser, "Members are left out where too few devices");
    wait_for_figures(&mut browser);
    let overlap = text_of(&mut browser, "[data-card=overlap]");
    assert!(overlap.contains("Those shown together, devices, at least: 400"), "{overlap}");
    assert!(overlap.contains("75.0%"), "300 of the 400: {overlap}");
}

#[test]
fn a_report_that_stands_open_is_drawn_anew_where_it_stands() {
    let stage = Stage::set("");
    stage.send("p1", 80, (1, 0));
    send(&stage.instance, "shop", "p2", 30, None);
    stage.instance.settle();
    let mut browser = come("en-US");
    // A minute is two seconds here.
    let hurry = "const now = performance.now.bind(performance); performance.now = () => now() * 30;";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": hurry }));
    browser.open(&address(&stage.instance, "#/c/shop"));
    sign_in(&mut browser, &stage.operator());
    assert_eq!(tile(&mut browser, "impressions"), 110);
    // Each figure that holds a day that may still change says so, and what is not there says why.
    let legends = |browser: &mut Browser, card: &str| {
        said(
            browser,
            &format!(
                "[...document.querySelectorAll('[data-card={card}] .legend')].map(one => one.textContent).join()"
            ),
        )
    };
    for card in ["frequency", "levels", "breakdown", "removed", "ids"] {
        let said = legends(&mut browser, card);
        assert!(
            said.contains(&format!("Includes days that may still change: {}", stage.day(0))),
            "{card}: {said}"
        );
    }
    assert_eq!(
        said(&mut browser, "document.querySelectorAll('[data-card=frequency] .swatch.striped').length"),
        "1"
    );
    assert_eq!(cells(&mut browser, "levels")[9].last().map(String::as_str), Some("0 (10+)"));
    assert!(text_of(&mut browser, "[data-pointless]").contains("No reach % and no GRP"));
    // Somebody reads: a table is open and sorted his way, and he is at one of its heads.
    browser.run(
        "document.querySelector('[data-card=delivery-day] .behind').open = true; \
         const head = document.querySelector('[data-card=breakdown] thead .sort'); head.click(); head.focus(); scrollTo(0, 600)",
    );
    send(&stage.instance, "shop", "p2", 45, Some(chrono::Utc::now().timestamp()));
    wait_for("the hits that came", PATIENCE, || tile(&mut browser, "impressions") == 155);
    let first = |browser: &mut Browser| cells(browser, "breakdown")[1][1].clone();
    wait_for("those of the placement", PATIENCE, || first(&mut browser) == "75");
    assert!(cells(&mut browser, "breakdown")[0][0].starts_with("First"), "by name");
    assert_eq!(said(&mut browser, "document.querySelector('[data-card=delivery-day] .behind').open"), "true");
    let at = "document.activeElement.closest('[data-card=breakdown]') && document.activeElement.textContent";
    assert_eq!(said(&mut browser, at), "Placement");
    assert_eq!(said(&mut browser, "scrollY"), "600");
    nothing_was_refused(&mut browser);
}

#[test]
fn a_medium_s_number_stands_beside_ours_of_the_same_days() {
    let stage = Stage::set("");
    stage.send("p1", 80, (2, 0));
    stage.send("p1", 240, (1, 0));
    stage.instance.settle();
    let token = format!("Bearer {}", stage.operator());
    let sheet = format!("placement,day,impressions\np1,{},300\n", stage.day(1));
    let answer = Connection::open(stage.instance.reports())
        .and_then(|mut connection| {
            let headers = [("authorization", token.as_str()), ("content-type", "text/csv")];
            connection.request("PUT", "/v1/campaigns/shop/media-numbers", &headers, sheet.as_bytes())
        })
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut browser = stage.look(&stage.operator(), "#/c/shop");
    assert_eq!(text_of(&mut browser, "[data-tile=gap] .below"), "medium says 300 · ours 240");
    let table = cells(&mut browser, "breakdown");
    assert_eq!(table[0][1..5], ["320", "300", "240", "20.0%"], "{table:?}");
    nothing_was_refused(&mut browser);
}

#[test]
fn what_was_delivered_is_shown_where_devices_cannot_be_counted() {
    let stage = Stage::set("");
    stage.send("p1", 80, (1, 0));
    stage.instance.settle();
    let mut browser = stage.look(&stage.operator(), "#/tokens");
    browser.devtools("Network.enable", &json!({}));
    browser.devtools("Network.setBlockedURLs", &json!({"urls": ["*/reach?*", "*/reach"]}));
    browser.run("location.hash = '#/c/shop'");
    wait_for("the tiles", PATIENCE, || !browser.find_all("[data-tile=impressions]").is_empty());
    wait_for_figures(&mut browser);
    assert_eq!(tile(&mut browser, "impressions"), 80);
    assert!(!browser.find_all("[data-card=tiles] .notice.bad").is_empty(), "and says that reach is missing");
    let table = cells(&mut browser, "breakdown");
    assert!(table[0][0].starts_with("First") && table[0][1] == "80", "{table:?}");
}

#[test]
fn days_are_taken_when_they_are_typed_and_members_of_an_overlap_when_they_are_chosen() {
    let stage = Stage::set("");
    for (placement, devices) in [("p1", 80), ("p2", 60), ("p3", 40)] {
        stage.send(placement, devices, (1, 0));
        stage.send(placement, devices, (2, 0));
    }
    stage.instance.settle();
    let mut browser = stage.look(&stage.operator(), "#/c/shop");
    browser.requests();
    let day = stage.day(1);
    let (year, month, date) = (&day[..4], &day[5..7], &day[8..]);
    let field = browser.find("#from");
    browser.type_into(&field, &format!("{month}{date}{year}\u{e007}"));
    wait_for("the address has the day", PATIENCE, || browser.url().contains(&format!("from={day}")));
    wait_for_figures(&mut browser);
    assert_eq!(tile(&mut browser, "impressions"), 180);
    let asked: Vec<String> = browser
        .requests()
        .iter()
        .filter_map(|one| one["request"]["url"].as_str().map(str::to_owned))
        .collect();
    let others = asked.iter().filter(|url| url.contains("from=") && !url.contains(&format!("from={day}")));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new(), "days that were half typed");
    // Ranges on offer are those of the whole campaign.
    let offered = said(
        &mut browser,
        "JSON.stringify([...document.querySelector('#preset').options].map(one => one.dataset.from))",
    );
    assert!(offered.contains(&stage.day(2)), "{offered}");

    assert_eq!(cells(&mut browser, "overlap").len(), 6, "three in the stack, three in the matrix");
    browser.run("document.querySelector('[data-card=overlap] .menu').open = true");
    press(&mut browser, "[data-card=overlap] .choice input[value=Three]");
    press(&mut browser, "#overlap-apply");
    wait_for("the address has the members", PATIENCE, || browser.url().contains("members=One%2CTwo"));
    wait_for_figures(&mut browser);
    let shown = cells(&mut browser, "overlap");
    assert_eq!(shown.iter().take(2).map(|row| row[1].as_str()).collect::<Vec<_>>(), ["One", "Two"]);
    assert_eq!(shown.len(), 4, "{shown:?}");
    nothing_was_refused(&mut browser);
}

#[test]
fn creatives_and_regions_are_called_by_their_names() {
    let stage = Stage::set("");
    let agent = ("user-agent", "Dalvik/2.1.0 (Linux; U; Android 14; M2102J2SC Build/UKQ1.230804.001)");
    let hit = |creative: &str| json!({"c": "shop", "p": "p1", "os": "0", "rid": creative, "cr": creative});
    let hits = json!([hit("cr1"), hit("cr2")]);
    let sent = Connection::open(stage.instance.tracker())
        .and_then(|mut tracker| tracker.post_json("/v1/events", &[agent], &hits))
        .expect("an answer");
    assert_eq!(sent.status, 200, "{}", sent.text());
    stage.instance.settle();
    let mut browser = stage.look(&stage.operator(), "#/c/shop?by=creative");
    let mut names: Vec<String> =
        cells(&mut browser, "breakdown").into_iter().map(|row| row[0].clone()).collect();
    names.sort();
    assert_eq!(names, ["Spring, 15 scr1", "cr2"], "the name, and the id below it");
    let called = browser.run(
        "return import(document.querySelector('link[href$=\"/names.js\"]').href).then(({names}) => \
         ['CN-SH', 'CN', 'US-CA', 'CN-31', 'unknown'].map(code => names({placements: []}, null).of('region', code)))",
    );
    assert_eq!(called, json!(["Shanghai", "China", "United States CA", "China 31", "unknown"]));
    nothing_was_refused(&mut browser);
}
