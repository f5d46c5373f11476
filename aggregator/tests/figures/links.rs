//! Tracking URLs over the report API. That signed ones count is shown end to end, where a tracker runs.

use std::io::Cursor;
use std::sync::Arc;

use calamine::{Reader, Xlsx};
use event::link::LinkKeys;
use serde_json::{Value, json};

use crate::access::token;
use crate::rig::{CATALOG, NOON_MS, Rig, TOKEN};

const PATH: &str = "/v1/campaigns/utc/links";
const BASE: &str = "https://t.example.com";

/// The campaign, with a placement that takes signed links, one with a comma in its name, and one with a VAST tag.
fn catalog() -> String {
    format!(
        "{CATALOG}[[campaign.placement]]\nid = \"signed\"\nname = \"Signed, always\"\nmedium = \"=A\"\nsigned_links = true\n\
         [[campaign.placement]]\nid = \"film\"\nname = \"Film\"\nmedium = \"B\"\nvast_tag = \"https://ads.example.com/vast\"\n\
         [[campaign]]\nid = \"empty\"\nname = \"E\"\ntime_zone = \"UTC\"\n"
    )
}

/// A report API that knows the tracker's address and has a key.
fn rig() -> Rig {
    let mut rig = Rig::with(&catalog(), aggregator::Settings::default());
    rig.public_url = Some(format!("{BASE}/"));
    let key = format!("sightline_link_{}0f", "5a".repeat(31));
    rig.link_keys = Arc::new(LinkKeys::from_texts([key]).expect("a key"));
    rig.restart(|_| {});
    rig
}

fn links(rig: &Rig, query: &str) -> Vec<Value> {
    rig.get(&format!("{PATH}{query}"))["links"].as_array().expect("links").clone()
}

fn text<'v>(link: &'v Value, name: &str) -> &'v str {
    link[name].as_str().expect("text")
}

/// The stages of one placement's URLs in one dialect.
fn stages(links: &[Value], placement: &str, dialect: &str) -> Vec<String> {
    let of = |link: &&Value| link["placement"] == placement && link["dialect"] == dialect;
    links.iter().filter(of).map(|link| text(link, "stage").to_owned()).collect()
}

#[test]
fn every_placement_has_an_impression_and_a_click_and_more_by_name() {
    let rig = rig();
    let usual = links(&rig, "");
    for placement in ["p1", "p2", "p3", "signed", "film"] {
        for dialect in ["native", "miaozhen"] {
            assert_eq!(stages(&usual, placement, dialect), ["impression", "click"], "{placement} {dialect}");
        }
    }
    assert_eq!(stages(&usual, "film", "vast"), ["impression", "click", "vast-tag"]);
    assert_eq!(stages(&usual, "p1", "vast"), [""; 0]);
    let first = &usual[0];
    assert_eq!(
        ["placement", "medium", "name", "dialect", "stage"].map(|name| text(first, name)),
        ["film", "B", "Film", "native", "impression"]
    );
    assert!(usual.iter().all(|link| text(link, "url").starts_with(&format!("{BASE}/"))), "{usual:?}");

    let some = links(&rig, "?stages=complete,viewable");
    assert_eq!(stages(&some, "p1", "native"), ["complete", "viewable"]);
    assert_eq!(stages(&some, "p1", "miaozhen"), [""; 0], "its SDK says them by marks");
    let all = links(&rig, "?dialect=all&stages=all");
    assert!(stages(&all, "p1", "native").len() > 10 && stages(&all, "film", "vast").len() > 10);
    assert!(stages(&all, "p1", "talkingdata").contains(&"click".to_owned()));
    let one = links(&rig, "?dialect=cm360&stages=impression");
    assert!(one.len() == 5 && one.iter().all(|link| link["dialect"] == "cm360"), "{one:?}");

    // What a grammar of numbers cannot say is told, for each placement.
    let answer = rig.get(&format!("{PATH}?dialect=admaster"));
    assert_eq!(answer["links"], Value::Array(Vec::new()));
    let left_out = answer["left_out"].as_array().expect("reasons");
    assert!(
        left_out.len() == 5 && left_out[0].as_str().is_some_and(|why| why.contains("numbers")),
        "{answer}"
    );
    assert_eq!(rig.get("/v1/campaigns/empty/links")["links"], Value::Array(Vec::new()));
}

#[test]
fn one_pair_is_recommended_and_a_profile_by_the_name_of_the_medium() {
    let rig = Rig::new();
    let mut text = CATALOG.to_owned();
    for (id, more) in [
        ("feed", "medium = \"快手信息流\""),
        ("named", "medium = \"快手信息流\"\nprofile = \"standard\""),
        ("film", "medium = \"iQIYI\"\nvast_tag = \"https://ads.example.com/vast\""),
    ] {
        let placement = format!("[[campaign.placement]]\nid = \"{id}\"\nname = \"{id}\"\n{more}\n");
        text.push_str(&placement);
    }
    rig.set_catalog(&text);
    let rows = links(&rig, &format!("?stages=all&base={BASE}"));
    let of = |placement: &str| -> Vec<&Value> {
        rows.iter().filter(|row| row["placement"] == placement).collect()
    };
    let recommended = |placement: &str| -> Vec<(String, String)> {
        let marked = of(placement).into_iter().filter(|row| row["recommended"] == true);
        marked.map(|row| (row["dialect"].to_string(), row["stage"].to_string())).collect()
    };
    let pair = |dialect: &str, stages: &[&str]| -> Vec<(String, String)> {
        stages.iter().map(|stage| (format!("\"{dialect}\""), format!("\"{stage}\""))).collect()
    };
    for placement in ["feed", "named"] {
        assert_eq!(recommended(placement), pair("native", &["impression", "click"]), "{placement}");
    }
    assert_eq!(recommended("film"), pair("vast", &["vast-tag"]), "the player asks for the rest itself");
    for (placement, used, proposed) in [
        ("feed", "standard", Some("kuaishou")),
        ("named", "standard", None),
        ("film", "standard", Some("iqiyi")),
    ] {
        let row = of(placement)[0];
        assert_eq!(
            (row["profile"].as_str(), row["proposed_profile"].as_str()),
            (Some(used), proposed),
            "{row}"
        );
    }
    let asked = rig.get("/v1/profiles?medium=Kuaishou%20feed");
    assert_eq!(asked["proposed"], "kuaishou");
    assert_eq!(rig.get("/v1/profiles?medium=Anybody")["proposed"], Value::Null);
    let known = |one: &Value| one["name"] == "kuaishou" && one["title"]["zh"] == "快手";
    assert!(asked["profiles"].as_array().expect("a list").iter().any(known));
}

#[test]
fn sheets_have_the_rows_of_json_and_run_no_formula() {
    const COLUMNS: [&str; 7] = ["placement", "medium", "name", "dialect", "stage", "recommended", "url"];
    let text = |row: &Value, name: &str| match &row[name] {
        Value::Bool(is) => if *is { "yes" } else { "no" }.to_owned(),
        other => other.as_str().expect("a text").to_owned(),
    };
    let rig = rig();
    let rows = links(&rig, "?format=json&stages=all");
    let (status, body) = rig.call("GET", &format!("{PATH}?format=csv&stages=all"));
    assert_eq!(status, 200, "{body}");
    let mut csv = csv::Reader::from_reader(body.strip_prefix('\u{feff}').expect("Excel's mark").as_bytes());
    assert_eq!(csv.headers().expect("a header"), COLUMNS.as_slice());
    let records: Vec<_> = csv.records().map(|record| record.expect("a row")).collect();
    let (status, bytes) = rig.bytes(&format!("{PATH}?format=xlsx&stages=all&dialect=all"));
    assert_eq!(status, 200);
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a workbook");
    let sheet = book.worksheet_range("links").expect("a sheet of that name");
    let all = links(&rig, "?stages=all&dialect=all");
    assert_eq!((records.len(), sheet.height()), (rows.len(), all.len() + 1));
    for (at, name) in COLUMNS.into_iter().enumerate() {
        assert_eq!(sheet[(0, at)].to_string(), name);
        for (record, row) in records.iter().zip(&rows) {
            // Of a placement's texts one begins like a formula.
            let expected = text(row, name);
            let expected = if expected == "=A" { "'=A" } else { &expected };
            assert_eq!(&record[at], expected);
        }
        for (line, row) in all.iter().enumerate() {
            assert_eq!(sheet[(line + 1, at)].to_string(), text(row, name), "a text is kept as it is");
        }
    }
    assert!(records.iter().any(|record| &record[1] == "'=A") && body.contains(",\"Signed, always\","));
    assert!(
        book.worksheet_formula("links")
            .expect("a sheet")
            .used_cells()
            .all(|(_, _, formula)| formula.is_empty())
    );
    // What has no URL in a dialect is told beside the rows.
    let (_, bytes) = rig.bytes(&format!("{PATH}?format=xlsx&dialect=admaster"));
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a workbook");
    assert_eq!(book.worksheet_range("links").expect("a sheet of that name").height(), 1);
    let about = book.worksheet_range("about").expect("a sheet of that name");
    let left_out = about.rows().find(|row| row[0] == "left_out").expect("a line");
    assert!(left_out.iter().any(|cell| cell.to_string().contains("numbers")), "{left_out:?}");
    let named = &rig.headers(&format!("{PATH}?format=xlsx"))["content-disposition"];
    assert_eq!(named, "attachment; filename=\"utc-links.xlsx\"");
}

#[test]
fn a_signature_and_its_end_are_put_where_they_are_asked_for() {
    let rig = rig();
    for link in links(&rig, "") {
        let is_signed = text(&link, "url").contains("sig=");
        assert_eq!(is_signed, link["placement"] == "signed", "{link}");
        assert!(!text(&link, "url").contains("exp="), "no end was asked for: {link}");
    }
    let end = format!("exp={}", NOON_MS / 1000 + 30 * 86_400);
    for link in links(&rig, "?sign=true&days=30&stages=all") {
        let url = text(&link, "url");
        assert!(url.contains(&end) && url.contains("sig="), "{url}");
    }
    for link in links(&rig, "?sign=false&days=30") {
        assert_eq!(text(&link, "url").contains(&end), link["placement"] == "signed", "{link}");
    }
    // A key that is not there is told, and no URL is handed out that would not count.
    let none = Rig::with(&catalog(), aggregator::Settings::default());
    let (status, body) = none.call("GET", &format!("{PATH}?base={BASE}"));
    assert!(status == 422 && body.contains("[links] key_files") && !body.contains("/i?"), "{status} {body}");
}

#[test]
fn only_the_operator_is_handed_signed_links() {
    let rig = rig();
    let (_, auditor) = token(&rig, &json!({"name": "Audit", "role": "auditor"}));
    for (query, is_any) in [("", true), ("?sign=true&days=30", false)] {
        let (status, body) = rig.call_as("GET", &format!("{PATH}{query}"), Some(&auditor));
        assert!(status == 200 && body.contains("handed out by the operator"), "{status} {body}");
        assert!(!body.contains("sig="), "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let is_empty = answer["links"].as_array().expect("a list").is_empty();
        assert_eq!(!is_empty, is_any, "what is not signed is handed out: {body}");
    }
    assert!(links(&rig, "?sign=true").iter().all(|link| text(link, "url").contains("sig=")));
}

#[test]
fn links_take_the_token_and_are_asked_for_strictly() {
    let rig = rig();
    for authorization in [None, Some("Bearer wrong"), Some(TOKEN)] {
        let (status, body) = rig.call_as("GET", PATH, authorization);
        assert!(status == 401 && !body.contains("p1"), "{authorization:?}: {status} {body}");
    }
    for (method, path, status, words) in [
        ("GET", "/v1/campaigns/none/links", 404, &["unknown_campaign"][..]),
        ("POST", PATH, 405, &["GET"]),
        ("GET", "?dialect=nativ", 422, &["nativ", "native miaozhen"]),
        ("GET", "?dialect=", 422, &["native miaozhen"]),
        ("GET", "?stages=viewabel", 400, &["stages: ", "viewabel", "first-quartile", "vast-tag"]),
        ("GET", "?stages=", 400, &["stages: ", "all"]),
        ("GET", "?format=table", 400, &["format (json, csv, xlsx)"]),
        ("GET", "?sign=1", 400, &["sign (true, false)"]),
        ("GET", "?days=0", 400, &["1 to 3650"]),
        ("GET", "?days=3651", 400, &["1 to 3650"]),
        ("GET", "?base=ftp://t.example", 400, &["base must be scheme and host"]),
        ("GET", "?placement=p1", 400, &["the parameters are"]),
        ("GET", "?base=%ff", 400, &["UTF-8"]),
    ] {
        let path = if path.starts_with('?') { format!("{PATH}{path}") } else { path.to_owned() };
        let (answered, body) = rig.call(method, &path);
        assert_eq!(answered, status, "{path}: {body}");
        assert!(words.iter().all(|word| body.contains(word)), "{path}: {body}");
    }
    // Without a public address the question has to say it.
    let mut rig = rig;
    rig.public_url = None;
    rig.restart(|_| {});
    let (status, body) = rig.call("GET", PATH);
    assert!(status == 400 && body.contains("public_url") && body.contains("base="), "{body}");
    let asked = links(&rig, "?base=http://127.0.0.1:8080/&stages=click");
    assert!(asked.iter().all(|link| text(link, "url").starts_with("http://127.0.0.1:8080/")), "{asked:?}");
    assert!(
        !asked.is_empty() && asked.iter().all(|link| !text(link, "url").contains(":8080//")),
        "{asked:?}"
    );
}
