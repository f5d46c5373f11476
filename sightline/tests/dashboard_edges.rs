//! The dashboard where things do not go smoothly: mistakes in the reader's language, a file that is mended and chosen again, two people at one campaign,
//! a part that cannot be said at present, a redraw under somebody's hands, days that cannot be closed yet, and browsers of another age.

#![cfg(test)]

mod support;

use std::fs;

use serde_json::{Value, json};

use support::barriers::{axe, barriers, picture};
use support::dashboard::{
    PATIENCE, address, come, fill, nothing_was_refused, open, press, said, send, sign_in, wait_for_figures,
    wait_to_read,
};
use support::http::Connection;
use support::webdriver::Browser;
use support::{Instance, Options, wait_for};

const CATALOG: &str = r#"
[[campaign]]
id = "shop"
name = "Spring"
time_zone = "UTC"
advertiser = "acme"
starts = YESTERDAY
landing_hosts = ["www.example.com"]
[[campaign.placement]]
id = "p1"
name = "First"
medium = "One"
plan = [{ from = YESTERDAY, to = TOMORROW, impressions = 100 }]
[[campaign.placement]]
id = "try"
name = "Tried"
medium = "One"
state = "trial"
"#;

fn day(from_today: i64) -> String {
    (chrono::Utc::now() + chrono::Duration::days(from_today)).format("%Y-%m-%d").to_string()
}

fn start() -> Instance {
    let catalog = CATALOG.replace("YESTERDAY", &day(-1)).replace("TOMORROW", &day(1));
    Instance::start(Options { catalog, ..Options::default() })
}

fn signed_in(instance: &Instance, language: &str) -> Browser {
    let mut browser = come(language);
    browser.open(&address(instance, ""));
    sign_in(&mut browser, &instance.secret("operator.token"));
    browser
}

/// A script that runs before those of each page.
fn ahead(browser: &mut Browser, script: &str) {
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }));
}

/// Changes the campaign as somebody else does.
fn change(instance: &Instance, wanted: &Value) {
    let token = format!("Bearer {}", instance.secret("operator.token"));
    let version =
        instance.ask("GET", "/v1/campaigns/shop")["version"].as_str().expect("a version").to_owned();
    let headers = [
        ("authorization", token.as_str()),
        ("if-match", version.as_str()),
        ("content-type", "application/json"),
    ];
    let mut connection = Connection::open(instance.reports()).expect("a connection");
    let answer = connection
        .request("PATCH", "/v1/campaigns/shop", &headers, wanted.to_string().as_bytes())
        .expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Types over what stands in a field.
fn over(browser: &mut Browser, selector: &str, text: &str) {
    browser.run(&format!("document.querySelector('{selector}').value = ''"));
    fill(browser, selector, text);
}

fn wait_until_gone(browser: &mut Browser, selector: &str) {
    wait_for(&format!("{selector} is gone"), PATIENCE, || browser.find_all(selector).is_empty());
}

fn wait_for_one(browser: &mut Browser, selector: &str) {
    wait_for(selector, PATIENCE, || !browser.find_all(selector).is_empty());
}

#[test]
fn mistakes_are_told_in_the_readers_language_and_a_mended_file_can_be_chosen_again() {
    let instance = start();
    let mut browser = signed_in(&instance, "zh-CN");
    open(&mut browser, &instance, "#/new");
    fill(&mut browser, "[data-key=id] input", "a b!");
    fill(&mut browser, "[data-key=name] input", "秋季");
    over(&mut browser, "[data-key=time_zone] input", "Asia/Shangai");
    press(&mut browser, ".form .main");
    wait_for_one(&mut browser, "[data-key=id] [aria-invalid]");
    let at = |browser: &mut Browser, key: &str| {
        said(browser, &format!("document.querySelector('[data-key={key}] .problem').textContent"))
    };
    assert!(at(&mut browser, "id").starts_with("1 至 64 个字符"), "{}", at(&mut browser, "id"));
    assert_eq!(at(&mut browser, "time_zone"), "没有时区“Asia/Shangai”，是否为 Asia/Shanghai？");
    // What cannot be read as a number is not sent as nothing.
    fill(&mut browser, "[data-limit=gap_max]", "1-2");
    press(&mut browser, ".form .main");
    wait_for("the number", PATIENCE, || at(&mut browser, "alerts") == "这里应填数字。");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sheet.csv");
    let header = "点位ID,点位名称,媒体,落地页\n";
    let name = path.to_str().expect("a path").to_owned();
    fs::write(&path, format!("{header}x1,开机屏,,https://evil.example/\n")).expect("written");
    open(&mut browser, &instance, "#/c/shop/setup");
    press(&mut browser, "#import");
    fill(&mut browser, "#import-file", &name);
    wait_for_one(&mut browser, "#import-result tbody");
    let told = said(&mut browser, "document.querySelector('#import-result tbody').innerText");
    assert!(told.contains("此项必填。") && told.contains("“evil.example”不在落地页域名中"), "{told}");
    fs::write(&path, "\n , ,\n").expect("written");
    fill(&mut browser, "#import-file", &name);
    wait_to_read(&mut browser, "文件为空。");
    fs::write(&path, format!("{header}x1,开机屏,视频一,https://www.example.com/\n")).expect("written");
    fill(&mut browser, "#import-file", &name);
    wait_for_one(&mut browser, "#import-take");
    // Somebody changes the catalog between the look and the taking: it is looked through again, and then taken.
    change(&instance, &json!({ "name": "春季" }));
    press(&mut browser, "#import-take");
    wait_to_read(&mut browser, "已重新检查文件");
    press(&mut browser, "#import-take");
    wait_to_read(&mut browser, "新增 1 个");
    // However the dialog is closed, the page below shows it.
    press(&mut browser, "dialog header .close");
    wait_until_gone(&mut browser, "dialog");
    wait_to_read(&mut browser, "开机屏");
    nothing_was_refused(&mut browser);
}

#[test]
fn two_people_at_one_campaign_lose_nothing_that_they_typed() {
    let instance = start();
    let universe = |persons: u32| json!([{"persons": persons, "source": "Panel", "date": "2026-06-30"}]);
    change(&instance, &json!({ "universes": universe(1000) }));
    let mut browser = signed_in(&instance, "en-US");
    open(&mut browser, &instance, "#/c/shop/setup");
    press(&mut browser, "#edit-campaign");
    over(&mut browser, "dialog [data-limit=gap_max]", "5");
    // Somebody else has changed something else, a table too: all of it is in force.
    change(&instance, &json!({ "name": "Summer", "universes": universe(2000) }));
    press(&mut browser, "dialog .form .main");
    wait_until_gone(&mut browser, "dialog");
    wait_to_read(&mut browser, "Largest gap to the medium: 5%");
    let present = instance.ask("GET", "/v1/campaigns/shop");
    assert_eq!((&present["name"], &present["alerts"]["gap_max"]), (&json!("Summer"), &json!(0.05)));
    assert_eq!(present["universes"][0]["persons"], 2000);
    // The same: it is told, and what was typed stays.
    press(&mut browser, "#edit-campaign");
    over(&mut browser, "dialog [data-key=name] input", "Mine");
    change(&instance, &json!({ "name": "Theirs" }));
    press(&mut browser, "dialog .form .main");
    wait_to_read(&mut browser, "set this to “Theirs”");
    assert_eq!(said(&mut browser, "document.querySelector('dialog [data-key=name] input').value"), "Mine");
    press(&mut browser, "dialog .form .main");
    wait_until_gone(&mut browser, "dialog");
    wait_to_read(&mut browser, "Mine");
    assert_eq!(instance.ask("GET", "/v1/campaigns/shop")["name"], "Mine");
    // Whoever opened a dialog is where he was, also after the page was drawn anew.
    wait_for("the button", PATIENCE, || said(&mut browser, "document.activeElement.id") == "edit-campaign");
    press(&mut browser, "[data-edit=p1]");
    press(&mut browser, "dialog .actions .quiet");
    wait_for("the row", PATIENCE, || said(&mut browser, "document.activeElement.dataset.edit") == "p1");
    nothing_was_refused(&mut browser);
}

#[test]
fn a_part_that_cannot_be_said_takes_no_page_away_and_a_redraw_no_place() {
    let instance = start();
    send(&instance, "shop", "p1", 60, None);
    instance.settle();
    let mut browser = come("en-US");
    ahead(
        &mut browser,
        "const asked = fetch; window.away = true; \
         window.fetch = (url, more) => (away && /alerts|closings|media-numbers/.test(url) \
         ? Promise.resolve(new Response('{\"error\":{\"code\":\"desk_unread\",\"message\":\"x\"}}', {status: 503})) : asked(url, more));",
    );
    browser.open(&address(&instance, ""));
    sign_in(&mut browser, &instance.secret("operator.token"));
    wait_to_read(&mut browser, "Spring");
    wait_for_one(&mut browser, "#lacking");
    open(&mut browser, &instance, "#/c/shop");
    wait_to_read(&mut browser, "Delivery by day");
    wait_to_read(&mut browser, "What people entered (tokens, closings, media’s numbers) cannot be read");
    browser.run("window.away = false");
    press(&mut browser, "#lacking-again");
    wait_until_gone(&mut browser, "#lacking");
    wait_for_figures(&mut browser);
    press(&mut browser, "#refresh");
    wait_for_figures(&mut browser);
    wait_for("the button", PATIENCE, || said(&mut browser, "document.activeElement.id") == "refresh");
    nothing_was_refused(&mut browser);
}

#[test]
fn alerts_of_one_kind_share_a_line_that_opens() {
    let instance = start();
    send(&instance, "shop", "p1", 60, None);
    instance.settle();
    let mut browser = come("en-US");
    ahead(
        &mut browser,
        "const asked = fetch; const one = (id, kind) => ({id, campaign: 'shop', placement: id, kind, since: '2026-11-20T12:00:00Z', value: 12, limit: 12, \
         text: {en: `Words of ${id}.`, zh: id}}); \
         window.fetch = (url, more) => (/v1\\/alerts/.test(url) \
         ? Promise.resolve(new Response(JSON.stringify({alerts: [one('a', 'not_started'), one('b', 'gap'), one('c', 'not_started')], has_more: false}))) : asked(url, more));",
    );
    browser.open(&address(&instance, ""));
    sign_in(&mut browser, &instance.secret("operator.token"));
    wait_to_read(&mut browser, "Not started: 2 placements");
    wait_to_read(&mut browser, "Words of b.");
    assert!(!browser.text().contains("Words of a."));
    open(&mut browser, &instance, "#/c/shop");
    wait_for_one(&mut browser, "[data-card=alerts] details");
    assert_eq!(browser.find_all("[data-card=alerts] [data-alert]").len(), 2);
    assert!(browser.text().contains("Words of b.") && !browser.text().contains("Words of c."));
    press(&mut browser, "[data-card=alerts] summary");
    wait_to_read(&mut browser, "Words of c.");
    assert!(browser.text().contains("Words of a."));
    picture(&mut browser, "alerts");
    let found = barriers(&mut browser, &axe());
    assert!(found.is_empty(), "{found}");
}

#[test]
fn what_a_left_page_asked_for_is_broken_off() {
    let instance = start();
    send(&instance, "shop", "p1", 60, None);
    instance.settle();
    let mut browser = come("en-US");
    // Figures do not come, and whoever asked for them says when he no longer waits.
    ahead(
        &mut browser,
        "const asked = fetch; window.held = true; window.broken = 0; \
         window.fetch = (url, more) => (held && /delivery|reach/.test(url) ? new Promise((_, fail) => more.signal.addEventListener('abort', \
         () => { broken += 1; fail(new DOMException('', 'AbortError')); })) : asked(url, more));",
    );
    browser.open(&address(&instance, "#/c/shop?by=medium"));
    fill(&mut browser, "#token", &instance.secret("operator.token"));
    press(&mut browser, "form .main");
    wait_for_one(&mut browser, "#from");
    browser.run("location.hash = '#/tokens'");
    wait_to_read(&mut browser, "No tokens but the operator");
    assert_ne!(said(&mut browser, "window.broken"), "0");
    // Back again, they are asked for anew.
    browser.run("window.held = false; location.hash = '#/c/shop?by=medium'");
    wait_to_read(&mut browser, "Delivery by day");
    wait_for_figures(&mut browser);
    assert!(browser.find_all(".notice.bad").is_empty());
    nothing_was_refused(&mut browser);
}

#[test]
fn hits_come_in_under_somebody_s_hands_and_leave_him_where_he_is() {
    let instance = start();
    send(&instance, "shop", "try", 1, None);
    send(&instance, "shop", "nobody", 2, None);
    let mut browser = signed_in(&instance, "en-US");
    open(&mut browser, &instance, "#/c/shop/live");
    let rows = "document.querySelectorAll('[data-card=hits] tbody tr').length";
    wait_for("the first hit", PATIENCE, || said(&mut browser, rows) == "1");
    browser.run("document.querySelector('[data-card=hits] .scroll').focus()");
    send(&instance, "shop", "try", 2, None);
    wait_for("the others", PATIENCE, || !["0", "1"].contains(&said(&mut browser, rows).as_str()));
    assert_eq!(
        said(&mut browser, "document.activeElement.closest('[data-card=hits]')?.dataset.placement"),
        "try"
    );
    wait_for("who is not in the catalog", PATIENCE, || {
        said(&mut browser, "document.querySelector('[data-card=live] .tag.bad')?.textContent")
            == "2 hits, not in the catalog"
    });
    nothing_was_refused(&mut browser);
}

#[test]
fn days_that_are_not_settled_are_named_and_a_second_closing_says_why() {
    let instance = start();
    let noon = chrono::Utc::now().timestamp() / 86_400 * 86_400 - 43_200;
    send(&instance, "shop", "p1", 80, Some(noon));
    send(&instance, "shop", "p1", 10, None);
    instance.settle();
    let mut browser = signed_in(&instance, "en-US");
    // What is settled is held against the plan of the same days; today stands beside it.
    wait_to_read(&mut browser, "80 / 100");
    wait_to_read(&mut browser, "+10 not settled");
    wait_to_read(&mut browser, "30.0% of the flight’s 300");
    // A closing takes its time: it is held up, to look at what is said meanwhile.
    ahead(
        &mut browser,
        "const asked = fetch; window.fetch = (url, more) => (more?.method === 'POST' && /closings/.test(url) \
         ? new Promise(go => { window.go = go; }).then(() => asked(url, more)) : asked(url, more));",
    );
    open(&mut browser, &instance, "#/c/shop/closings");
    wait_to_read(&mut browser, &format!("Settled until {}: days up to then can be closed.", day(-1)));
    let proposed =
        "[...document.querySelectorAll('[data-card=closings] form input[type=date]')].map(one => one.value)";
    assert_eq!(said(&mut browser, proposed), format!("{0},{0}", day(-1)));
    let close = |browser: &mut Browser, to: &str| {
        let from = day(-1);
        browser.run(&format!(
            "document.querySelector('[data-card=closings] details').open = true; \
             document.querySelector('[data-key=from] input').value = '{from}'; document.querySelector('[data-key=to] input').value = '{to}';"
        ));
        press(browser, "[data-card=closings] form .main");
    };
    close(&mut browser, &day(0));
    wait_to_read(&mut browser, &format!("Not settled: {}", day(0)));
    assert!(browser.find_all("dialog").is_empty(), "nobody is asked for what is refused");
    close(&mut browser, &day(-1));
    // Who says yes sees what is closed.
    wait_for_one(&mut browser, "#draft");
    let figures =
        said(&mut browser, "[...document.querySelectorAll('#draft dd')].map(one => one.textContent)");
    assert_eq!(figures, "80,80,0,80,100", "gross, net, clicks, reach, planned");
    press(&mut browser, "#confirm");
    wait_for_one(&mut browser, "dialog progress");
    wait_for("the request", PATIENCE, || browser.run("return Boolean(window.go)") == json!(true));
    browser.run("window.go()");
    // Every report of the period is computed.
    wait_for("the period is closed", PATIENCE * 4, || browser.find_all("dialog").is_empty());
    wait_to_read(&mut browser, "in force");
    wait_for_figures(&mut browser);
    close(&mut browser, &day(-1));
    wait_to_read(&mut browser, "say why it is closed again");
    assert!(browser.find_all("dialog").is_empty(), "nothing is asked before it is said");
    nothing_was_refused(&mut browser);
}

#[test]
fn a_browser_that_knows_no_pairs_of_colours_gets_the_half_that_is_wanted() {
    let instance = start();
    let mut browser = come("en-US");
    ahead(&mut browser, "CSS.supports = () => false;");
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.devtools("Emulation.setEmulatedMedia", &dark);
    browser.open(&address(&instance, ""));
    wait_for_one(&mut browser, "#token");
    let paper = "document.documentElement.style.getPropertyValue('--paper')";
    assert_eq!(said(&mut browser, paper), "#1a222a");
    press(&mut browser, "#theme");
    assert_eq!(said(&mut browser, paper), "#fff");
    assert_eq!(said(&mut browser, "document.activeElement.id"), "theme");
    assert_eq!(said(&mut browser, "getComputedStyle(document.documentElement).colorScheme"), "light");
    nothing_was_refused(&mut browser);
}

#[test]
fn a_scope_is_asked_of_those_who_have_one() {
    let instance = start();
    let mut browser = signed_in(&instance, "en-US");
    open(&mut browser, &instance, "#/tokens");
    press(&mut browser, "#new-token");
    // What is asked goes with the page that it is asked on.
    wait_for_one(&mut browser, "dialog");
    browser.run("location.hash = '#/'");
    wait_until_gone(&mut browser, "dialog");
    open(&mut browser, &instance, "#/tokens");
    press(&mut browser, "#new-token");
    fill(&mut browser, "dialog [data-key=name] input", "Audit");
    fill(&mut browser, "dialog [data-key=advertisers] textarea", "acme");
    press(&mut browser, "dialog [data-key=role] option[value=auditor]");
    assert_eq!(said(&mut browser, "document.querySelector('[data-key=advertisers]').hidden"), "true");
    press(&mut browser, "dialog [data-key=role] option[value=medium]");
    assert_eq!(said(&mut browser, "document.querySelector('[data-key=media]').hidden"), "false");
    press(&mut browser, "dialog .form .main");
    wait_for_one(&mut browser, "dialog [data-key=media] [aria-invalid]");
    press(&mut browser, "dialog [data-key=role] option[value=auditor]");
    press(&mut browser, "dialog .form .main");
    wait_for_one(&mut browser, "#made-token");
    let token = said(&mut browser, "document.querySelector('#made-token').value");
    assert!(token.starts_with("sightline_auditor_"), "{token}");
    nothing_was_refused(&mut browser);
}
