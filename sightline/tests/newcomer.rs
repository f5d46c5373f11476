//! From an empty installation to figures that can be sent, in the browser alone: a campaign is made, ten placements come from a sheet (after one with
//! mistakes, shown at their rows), their codes are downloaded and fired, the report is read, and its XLSX holds what the screen shows.

#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

use support::dashboard::{
    PATIENCE, address, cells, come, fill, nothing_was_refused, press, said, sheet, sign_in, tile,
    wait_for_figures, wait_for_file, wait_to_read,
};
use support::http::Connection;
use support::webdriver::Browser;
use support::{Instance, Options, wait_for};

const HEADER: &str = "Placement ID,Placement name,Medium,Landing page,From,To,Impressions per day\n";
/// Media and how many placements each has.
const MEDIA: [(&str, usize); 3] = [("视频一", 4), ("News", 3), ("Music", 3)];
/// A phone's app.
const AGENT: &str = "Dalvik/2.1.0 (Linux; U; Android 14; M2102J2SC Build/UKQ1.230804.001)";

/// Placement ids with their media.
fn placements() -> Vec<(String, &'static str)> {
    let all = MEDIA.iter().flat_map(|(medium, count)| std::iter::repeat_n(*medium, *count));
    all.enumerate().map(|(at, medium)| (format!("p{:02}", at + 1), medium)).collect()
}

/// Impressions that are fired at each: the first has most.
fn fired(at: usize) -> u32 {
    20 - at as u32
}

fn fill_field(browser: &mut Browser, key: &str, text: &str) {
    let selector = format!("[data-key={key}] input, [data-key={key}] textarea");
    browser.run(&format!("document.querySelector('{selector}').value = ''"));
    fill(browser, &selector, text);
}

fn make_campaign(browser: &mut Browser) {
    wait_to_read(browser, "No campaigns yet");
    press(browser, "#new-campaign");
    wait_to_read(browser, "Create campaign");
    // A mistake is told at its field.
    fill_field(browser, "id", "autumn 2026!");
    fill_field(browser, "name", "Autumn 秋季");
    fill_field(browser, "time_zone", "UTC");
    fill_field(browser, "landing_hosts", "www.example.com");
    press(browser, ".form .main");
    wait_for("the id is refused", PATIENCE, || !browser.find_all("[data-key=id] [aria-invalid]").is_empty());
    let wrong = said(browser, "document.querySelector('[data-key=id] .problem').textContent");
    assert!(!wrong.is_empty(), "it says why");
    fill_field(browser, "id", "autumn-2026");
    press(browser, ".form .main");
    wait_to_read(browser, "No placements yet");
}

fn import(browser: &mut Browser, folder: &Path) {
    let today = chrono::Utc::now().format("%Y-%m-%d").to_string();
    let rows: Vec<String> = placements()
        .iter()
        .map(|(id, medium)| {
            format!("{id},Placement {id},{medium},https://www.example.com/,{today},{today},100\n")
        })
        .collect();
    let right = folder.join("right.csv");
    // Its own total is of other rows than these.
    fs::write(&right, format!("{HEADER}{}合计,,,,,,900\n", rows.concat())).expect("written");
    let wrong = folder.join("wrong.csv");
    let mistakes = rows.concat().replace(
        &format!("p03,Placement p03,视频一,https://www.example.com/,{today},{today},100"),
        &format!("p03,Placement p03,,https://elsewhere.example.net/,{today},{today},many"),
    );
    fs::write(&wrong, format!("{HEADER}{mistakes}")).expect("written");

    press(browser, "#import");
    fill(browser, "#import-file", wrong.to_str().expect("a path"));
    wait_for("the wrong cells are shown", PATIENCE, || {
        browser.find_all("#import-result tbody tr").len() >= 2
    });
    let told = said(
        browser,
        "[...document.querySelectorAll('#import-result tbody tr')].map(row => row.children[0].textContent)",
    );
    assert!(told.split(',').all(|row| row == "Row 4"), "row by row, as the spreadsheet counts: {told}");
    assert!(browser.find_all("#import-take").is_empty(), "nothing to take");
    fill(browser, "#import-file", right.to_str().expect("a path"));
    wait_to_read(browser, "10 new, 0 changed");
    wait_to_read(browser, "its rows add up to 1000");
    let sum = said(browser, "document.querySelector('#import-sum').innerText");
    assert!(sum.contains("1,000") && sum.contains(&today), "what is planned in all, and when: {sum}");
    press(browser, "#import-take");
    wait_to_read(browser, "Imported: 10 new");
    press(browser, "#import-close");
    wait_for("ten placements stand there", PATIENCE, || cells(browser, "placements").len() == 10);
}

/// Fires what the downloaded codes say: of each placement as many views as [`fired`], each of another device.
fn fire_codes(browser: &mut Browser, instance: &Instance, folder: &Path) {
    wait_for("the place for the tracker's address", PATIENCE, || !browser.find_all("#base").is_empty());
    browser.run(&format!("document.querySelector('#base').value = 'http://{}'", instance.tracker()));
    press(browser, "#take-base");
    wait_for("the codes are shown", PATIENCE, || browser.find_all("details.codes").len() == 10);
    press(browser, "#codes-xlsx");
    let codes = sheet(&wait_for_file(folder, "xlsx"));
    let mut tracker = Connection::open(instance.tracker()).expect("a connection");
    for (at, (id, _)) in placements().iter().enumerate() {
        let of = codes.iter().find(|row| row[0] == *id && row[3] == "native" && row[4] == "impression");
        let url = &of.unwrap_or_else(|| panic!("no code of {id} in {codes:?}"))[6];
        let target = url.strip_prefix(&format!("http://{}", instance.tracker())).expect("is the tracker's");
        for device in 0..fired(at) {
            let target = target
                .replace("__REQUESTID__", &format!("{id}-{device}"))
                .replace("__OAID__", &format!("7c0a1b2c-3d4e-4f50-8a1b-{device:012x}"))
                .replace("__OS__", "0");
            // What the medium's app would leave out.
            let target: String =
                target.split('&').filter(|part| !part.contains("__")).collect::<Vec<_>>().join("&");
            let answer = tracker.get(&target, &[("user-agent", AGENT)]).expect("an answer");
            assert_eq!(answer.status, 200, "{target}");
        }
    }
}

#[test]
fn a_newcomer_gets_from_nothing_to_figures_that_can_be_sent() {
    let instance = Instance::start(Options { catalog: String::new(), ..Options::default() });
    let folder = tempfile::tempdir().expect("a folder");
    let mut browser = come("en-US");
    let began = Instant::now();
    browser.devtools(
        "Browser.setDownloadBehavior",
        &json!({"behavior": "allow", "downloadPath": folder.path()}),
    );
    browser.open(&address(&instance, ""));
    sign_in(&mut browser, &instance.secret("operator.token"));
    make_campaign(&mut browser);
    import(&mut browser, folder.path());
    fire_codes(&mut browser, &instance, folder.path());

    press(&mut browser, "[data-tab=report]");
    let total: u32 = (0..10).map(fired).sum();
    wait_for("all beacons are in the report", PATIENCE, || {
        if browser.find_all("#refresh").is_empty() {
            return false;
        }
        press(&mut browser, "#refresh");
        wait_for_figures(&mut browser);
        !browser.find_all("[data-tile=impressions]").is_empty()
            && tile(&mut browser, "impressions") == u64::from(total)
    });
    let reach = instance.report("autumn-2026/reach", "");
    assert_eq!(tile(&mut browser, "reach"), 20, "all fire for the same devices: {reach}");
    assert!(browser.find_all(".plot canvas").len() >= 4);
    wait_to_read(&mut browser, "Provisional:");
    let shown = cells(&mut browser, "breakdown");
    fs::remove_file(wait_for_file(folder.path(), "xlsx")).expect("the codes are read");
    browser.run("document.querySelector('[data-card=breakdown] .menu').open = true");
    press(&mut browser, "[data-card=breakdown] [data-export='delivery.xlsx']");
    let path = wait_for_file(folder.path(), "xlsx");
    let exported = sheet(&path);
    fs::remove_file(path).expect("the table is read");
    let figures: BTreeMap<String, u32> =
        exported.iter().map(|row| (row[0].clone(), row[3].parse().expect("a count"))).collect();
    assert!(exported.iter().all(|row| row[1] == format!("Placement {}", row[0])), "ids have their names");
    assert_eq!(figures.len(), 10);
    for (at, (id, medium)) in placements().iter().enumerate() {
        assert_eq!(figures[id], fired(at), "{id}");
        let row = shown.iter().find(|row| row[0].contains(id)).unwrap_or_else(|| panic!("{id} in {shown:?}"));
        assert!(row[0].contains(medium) && row[1] == fired(at).to_string(), "{row:?}");
    }
    assert!(sheets_of_the_whole(&mut browser, folder.path()) > 10, "and all of it at once");
    nothing_was_refused(&mut browser);
    assert!(began.elapsed() < 2 * PATIENCE * 4, "a person's five minutes");
}

/// Takes the whole report away, and answers how many sheets it has.
fn sheets_of_the_whole(browser: &mut Browser, folder: &Path) -> usize {
    use calamine::Reader as _;
    press(browser, "#workbook");
    let has_come = || {
        let mut files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        files.any(|path| path.extension().is_some_and(|of| of == "xlsx"))
    };
    wait_for("the whole report", PATIENCE, || {
        // Where it takes long it is handed over by another press.
        if !browser.find_all("[data-save]").is_empty() {
            press(browser, "[data-save]");
        }
        has_come()
    });
    let book: calamine::Xlsx<_> = calamine::open_workbook(wait_for_file(folder, "xlsx")).expect("a workbook");
    book.sheet_names().len()
}
