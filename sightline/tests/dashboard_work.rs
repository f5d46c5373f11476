//! What is changed in the dashboard: tokens made, shown once and revoked; a campaign and its placements edited, with mistakes at their fields; media's own
//! numbers handed in, with mistakes at their rows, and the gap shown; macros proposed, and codes.

#![cfg(test)]

mod support;

use std::fs;

use serde_json::json;

use support::barriers::{axe, barriers, picture};
use support::dashboard::{
    PATIENCE, address, cells, come, fill, nothing_was_refused, open, press, said, send, sign_in,
    wait_for_figures, wait_to_read,
};
use support::webdriver::Browser;
use support::{Instance, Options, wait_for};

const CATALOG: &str = r#"
# Kept by hand too.
[[campaign]]
id = "shop"
name = "Spring"
time_zone = "UTC"
advertiser = "acme"
[[campaign.placement]]
id = "p1"
name = "First"
medium = "One"
"#;

fn start() -> (Instance, Browser) {
    let instance = Instance::start(Options { catalog: CATALOG.to_owned(), ..Options::default() });
    let mut browser = come("en-US");
    browser.open(&address(&instance, ""));
    sign_in(&mut browser, &instance.secret("operator.token"));
    (instance, browser)
}

fn wait_until_gone(browser: &mut Browser, selector: &str) {
    wait_for(&format!("{selector} is gone"), PATIENCE, || browser.find_all(selector).is_empty());
}

/// Types over what stands in a field.
fn over(browser: &mut Browser, selector: &str, text: &str) {
    browser.run(&format!("document.querySelector('{selector}').value = ''"));
    fill(browser, selector, text);
}

#[test]
fn a_token_is_made_shown_once_and_revoked() {
    let (instance, mut browser) = start();
    open(&mut browser, &instance, "#/tokens");
    press(&mut browser, "#new-token");
    fill(&mut browser, "dialog [data-key=name] input", "ACME, Ms Li");
    // Without a scope it is refused, and says where.
    press(&mut browser, "dialog .form .main");
    wait_for("the refusal", PATIENCE, || {
        !browser.find_all("dialog .notice.bad, dialog [aria-invalid]").is_empty()
    });
    // Those that campaigns have are there to be chosen.
    press(&mut browser, "dialog [data-key=advertisers] input[value=acme]");
    press(&mut browser, "dialog .form .main");
    wait_for("the token", PATIENCE, || !browser.find_all("#made-token").is_empty());
    let token = said(&mut browser, "document.querySelector('#made-token').value");
    assert!(token.starts_with("sightline_advertiser_"), "{token}");
    press(&mut browser, "#close-token");
    wait_until_gone(&mut browser, "dialog");
    wait_to_read(&mut browser, "ACME, Ms Li");
    assert!(!browser.source().contains(&token), "it is shown once");
    // Another browser is let in by it, until it is revoked.
    let mut other = come("en-US");
    other.open(&address(&instance, ""));
    sign_in(&mut other, &token);
    press(&mut browser, "[data-revoke]");
    press(&mut browser, "dialog .danger");
    wait_until_gone(&mut browser, "dialog");
    wait_to_read(&mut browser, "revoked");
    other.open("about:blank");
    other.open(&address(&instance, "#/c/shop"));
    wait_to_read(&mut other, "Sign in to Sightline");
    nothing_was_refused(&mut browser);
}

#[test]
fn campaigns_and_placements_are_edited_with_mistakes_at_their_fields() {
    let (instance, mut browser) = start();
    open(&mut browser, &instance, "#/c/shop/setup");
    press(&mut browser, "#edit-campaign");
    over(&mut browser, "dialog [data-key=time_zone] input", "Asia/Shangai");
    press(&mut browser, "dialog .form .main");
    wait_for("the refusal", PATIENCE, || !browser.find_all("dialog .notice.bad").is_empty());
    assert!(browser.text().contains("Asia/Shangai"), "it says what is wrong");
    over(&mut browser, "dialog [data-key=time_zone] input", "Asia/Shanghai");
    over(&mut browser, "dialog [data-key=name] input", "Spring 春季");
    press(&mut browser, "dialog .form .main");
    wait_until_gone(&mut browser, "dialog");
    wait_to_read(&mut browser, "Spring 春季");
    press(&mut browser, "#new-placement");
    fill(&mut browser, "dialog [data-key=id] input", "p2");
    fill(&mut browser, "dialog [data-key=name] input", "Second");
    fill(&mut browser, "dialog [data-key=medium] input", "Two");
    press(&mut browser, "dialog .form .main");
    wait_until_gone(&mut browser, "dialog");
    wait_for("both placements", PATIENCE, || cells(&mut browser, "placements").len() == 2);
    press(&mut browser, "[data-edit=p2]");
    fill(&mut browser, "dialog [data-key=landing_page] input", "https://elsewhere.example.net/");
    press(&mut browser, "dialog .form .main");
    wait_for("the mistake at its field", PATIENCE, || {
        !browser.find_all("dialog [data-key=landing_page] [aria-invalid]").is_empty()
    });
    over(&mut browser, "dialog [data-key=landing_page] input", "");
    over(&mut browser, "dialog [data-key=name] input", "Second, larger");
    press(&mut browser, "dialog .form .main");
    wait_until_gone(&mut browser, "dialog");
    wait_to_read(&mut browser, "Second, larger");
    let text = fs::read_to_string(instance.root().join("catalog.toml")).expect("the catalog");
    assert!(
        text.contains("# Kept by hand too.")
            && text.contains("Second, larger")
            && text.contains("Asia/Shanghai"),
        "{text}"
    );
    nothing_was_refused(&mut browser);
}

#[test]
fn a_new_campaign_s_form_shows_what_it_begins_with_and_takes_the_hosts_of_addresses() {
    let (instance, mut browser) = start();
    browser.devtools("Emulation.setTimezoneOverride", &json!({"timezoneId": "Europe/Paris"}));
    open(&mut browser, &instance, "#/new");
    let value = |browser: &mut Browser, key: &str| {
        said(browser, &format!("document.querySelector('[data-key={key}] input').value"))
    };
    // As the other campaigns have it, wherever this browser is.
    assert_eq!(value(&mut browser, "time_zone"), "UTC");
    assert_eq!(value(&mut browser, "double_click_seconds"), "0");
    assert_eq!(value(&mut browser, "currency"), "CNY");
    let offered =
        "[...document.querySelector('[data-key=advertiser] input').list.options].map(one => one.value)";
    assert_eq!(said(&mut browser, offered), "acme");
    assert_eq!(
        said(
            &mut browser,
            "document.querySelectorAll('[data-key=id] [placeholder], [data-key=currency] [placeholder]').length"
        ),
        "0",
        "nothing looks like a value that is none"
    );
    fill(&mut browser, "[data-key=id] input", "autumn");
    fill(&mut browser, "[data-key=name] input", "Autumn");
    over(&mut browser, "[data-key=currency] input", "eur");
    fill(
        &mut browser,
        "[data-key=landing_hosts] textarea",
        "https://www.example.com/spring?x=1\nshop.example.com:8443/a\n.example.net\nhttps://www.example.com/",
    );
    press(&mut browser, ".form .main");
    wait_to_read(&mut browser, "No placements yet");
    wait_to_read(&mut browser, "off: every click counts");
    let made = instance.ask("GET", "/v1/campaigns/autumn");
    assert_eq!(made["landing_hosts"], json!(["www.example.com", "shop.example.com", ".example.net"]));
    assert_eq!((&made["currency"], &made["double_click_seconds"]), (&json!("EUR"), &json!(0)));
    // The clock that days were counted on is not offered to be changed.
    let can_be_changed = |browser: &mut Browser| {
        open(browser, &instance, "#/c/shop/setup");
        press(browser, "#edit-campaign");
        said(browser, "!document.querySelector('dialog [data-key=time_zone] input').disabled")
    };
    assert_eq!(can_be_changed(&mut browser), "true");
    send(&instance, "shop", "p1", 5, None);
    instance.settle();
    assert_eq!(can_be_changed(&mut browser), "false");
    nothing_was_refused(&mut browser);
}

#[test]
fn media_s_numbers_are_handed_in_and_the_gap_is_shown() {
    let (instance, mut browser) = start();
    send(&instance, "shop", "p1", 80, None);
    instance.settle();
    let today = chrono::Utc::now().format("%Y-%m-%d").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let sheet = |name: &str, impressions: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!("placement,day,impressions,clicks\np1,{today},{impressions},0\n"))
            .expect("written");
        path.to_str().expect("a path").to_owned()
    };
    open(&mut browser, &instance, "#/c/shop/closings");
    fill(&mut browser, "#numbers-file", &sheet("wrong.csv", "many"));
    wait_for("the row that is wrong", PATIENCE, || !browser.find_all("#numbers-result tbody tr").is_empty());
    assert_eq!(
        said(&mut browser, "document.querySelector('#numbers-result tbody tr').children[0].textContent"),
        "Row 2"
    );
    fill(&mut browser, "#numbers-file", &sheet("right.csv", "100"));
    wait_to_read(&mut browser, "1 rows of One");
    press(&mut browser, "#numbers-take");
    wait_to_read(&mut browser, "in force");
    open(&mut browser, &instance, "#/c/shop");
    wait_for_figures(&mut browser);
    assert_eq!(
        said(&mut browser, "document.querySelector('[data-tile=gap] .value').textContent"),
        "20.0%",
        "80 against 100"
    );
    let report = instance.report("shop/delivery", "");
    assert_eq!(report["rows"][0]["gap"], json!(0.2));
    nothing_was_refused(&mut browser);
}

#[test]
fn macros_are_proposed_by_the_name_of_the_medium_and_one_pair_of_codes_is_recommended() {
    let (instance, mut browser) = start();
    open(&mut browser, &instance, "#/c/shop/setup");
    let chosen = "document.querySelector('dialog [data-key=profile] select').value";
    for (id, medium, profile) in
        [("p2", "Kuaishou feed", "kuaishou"), ("p3", "\u{7231}\u{5947}\u{827a}", "iqiyi")]
    {
        press(&mut browser, "#new-placement");
        fill(&mut browser, "dialog [data-key=medium] input", medium);
        fill(&mut browser, "dialog [data-key=id] input", id);
        fill(&mut browser, "dialog [data-key=name] input", id);
        wait_for("the proposal", PATIENCE, || said(&mut browser, chosen) == profile);
        if id == "p3" {
            browser.run(&format!("{chosen} = ''"));
        }
        press(&mut browser, "dialog .form .main");
        wait_until_gone(&mut browser, "dialog");
        wait_to_read(&mut browser, medium);
    }
    let catalog = || fs::read_to_string(instance.root().join("catalog.toml")).expect("the catalog");
    assert!(catalog().contains("\"kuaishou\"") && !catalog().contains("\"iqiyi\""), "{}", catalog());

    wait_for("the question", PATIENCE, || !browser.find_all("#base").is_empty());
    browser.run("document.querySelector('#base').value = 'https://t.example.com'");
    press(&mut browser, "#take-base");
    wait_to_read(&mut browser, "Placements without a macro profile: 2");
    wait_to_read(&mut browser, "\u{7231}\u{5947}\u{827a}: iqiyi");
    for id in ["p1", "p2", "p3"] {
        let marked = browser.find_all(&format!("[data-codes={id}] > ul .tag.good")).len();
        let others = browser.find_all(&format!("[data-codes={id}] .behind li")).len();
        assert_eq!(
            (marked, others),
            (2, 2),
            "an impression and a click, and the other format's behind them: {id}"
        );
    }
    let bare = browser.find_all("[data-codes] > summary .tag").len();
    assert_eq!(bare, 2, "which ones");
    let checker = axe();
    for (language, width) in [("en", 1440), ("zh", 390)] {
        if language == "zh" {
            press(&mut browser, "#language");
            wait_to_read(&mut browser, "未指定宏模板的点位：2 个");
        }
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
        browser.devtools("Emulation.setDeviceMetricsOverride", &size);
        wait_for("the codes", PATIENCE, || browser.find_all("[data-codes]").len() == 3);
        browser
            .run("document.querySelectorAll('.codes, .codes .behind').forEach(one => { one.open = true; })");
        picture(&mut browser, &format!("codes-{language}"));
        assert!(!browser.is_too_wide(), "{language}: wider than its window");
        let found = barriers(&mut browser, &checker);
        assert!(found.is_empty(), "{language}:\n{found}");
    }
    press(&mut browser, "#take-profiles");
    wait_to_read(&mut browser, "未指定宏模板的点位：1 个");
    assert!(catalog().contains("\"iqiyi\"") && catalog().contains("# Kept by hand too."), "{}", catalog());
    assert!(browser.find_all("#take-profiles").is_empty(), "nothing goes by the name of the other medium");
    nothing_was_refused(&mut browser);
}
