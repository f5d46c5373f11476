//! Reports in every form over HTTP; Parquet as the engine reads it.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use calamine::{Data, Reader, Xlsx};
use event::stage::Stage;
use serde_json::Value;

use crate::rig::{DAY_MS, Hit, NOON_MS, Random, Rig, hit, seed};

/// The values of a row under their flat names.
pub(crate) fn flat(row: &Value) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for (name, value) in row.as_object().expect("an object") {
        match value {
            Value::Object(fields) => {
                out.extend(fields.iter().map(|(field, value)| (format!("{name}_{field}"), value.clone())));
            }
            Value::Array(items) => {
                out.extend((1..).zip(items).map(|(n, value)| (format!("{name}_{n}"), value.clone())));
            }
            value => _ = out.insert(name.clone(), value.clone()),
        }
    }
    out
}

fn workload(random: &mut Random) -> Vec<Hit> {
    (0..300)
        .map(|n| Hit {
            placement: ["p1", "p2", "p3"][random.below(3) as usize],
            creative: ["", "=1+1", "k,\"2\";@x", "三"][random.below(4) as usize],
            region: ["", "CN-SH", "CN-BJ"][random.below(3) as usize],
            device: (random.below(4) > 0).then(|| 1 + random.below(40)),
            stage: if random.below(9) == 0 { Stage::Click } else { Stage::Impression },
            view: n + 1,
            ..hit(NOON_MS - DAY_MS * (1 + random.below(5) as i64))
        })
        .collect()
}

/// As the engine writes it again: its own reader of the file.
pub(crate) fn read_by_engine(rig: &Rig, bytes: &[u8]) -> Vec<BTreeMap<String, Value>> {
    let mut file = tempfile::Builder::new().suffix(".parquet").tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    let path = file.path().display();
    let text = rig.sql(&format!(
        "SELECT formatRowNoNewline('JSONEachRow', *) FROM file('{path}', 'Parquet') FORMAT TSVRaw"
    ));
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(line).collect()
}

pub(crate) fn is_same(read: &Value, value: &Value) -> bool {
    match (read, value) {
        (Value::Number(read), Value::Number(value)) => {
            (read.as_f64().unwrap_or(f64::NAN) - value.as_f64().unwrap_or(f64::NAN)).abs() < 1e-9
        }
        // Whole numbers of 64 bits, where a reader keeps them from JavaScript.
        (Value::String(read), Value::Number(value)) => *read == value.to_string(),
        (read, value) => read == value,
    }
}

#[test]
fn each_form_of_each_report_has_the_figures_of_json() {
    let number = seed();
    let rig = Rig::new();
    rig.push(&workload(&mut Random(number)));
    rig.settle();
    for query in [
        "delivery?by=day",
        "delivery?by=creative&filter=gross",
        "delivery?by=region",
        "reach?by=day&levels=4",
        "reach?by=medium&levels=80",
        "frequency?by=placement",
        "ids?by=medium",
        "ids",
    ] {
        let path = format!("/v1/campaigns/utc/{query}{}", if query.contains('?') { "&" } else { "?" });
        let json = rig.get(&format!("{path}format=json"));
        let rows: Vec<_> = json["rows"].as_array().expect("rows").iter().map(flat).collect();
        assert!(!rows.is_empty(), "{query}");

        let (status, bytes) = rig.bytes(&format!("{path}format=parquet"));
        assert_eq!(status, 200, "{query}");
        let read = read_by_engine(&rig, &bytes);
        assert_eq!(read.len(), rows.len(), "{query}");
        for (read, row) in read.iter().zip(&rows) {
            assert!(read.keys().eq(row.keys()), "{query}: {read:?}");
            for (name, value) in row {
                assert!(is_same(&read[name], value), "{query} {name}: {} {value}", read[name]);
            }
        }

        let (status, bytes) = rig.bytes(&format!("{path}format=xlsx"));
        assert_eq!(status, 200, "{query}");
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a workbook");
        let sheet = book.worksheet_range_at(0).expect("a sheet").expect("cells");
        assert_eq!((sheet.height(), sheet.width()), (rows.len() + 1, rows[0].len()), "{query}");
        let counted = |name: &str| {
            let at = (0..sheet.width())
                .find(|at| sheet.get((0, *at)) == Some(&Data::String(name.to_owned())))
                .expect("a column");
            (1..sheet.height()).map(|line| sheet[(line, at)].to_string()).collect::<Vec<_>>()
        };
        let expected: Vec<_> = rows.iter().map(|row| row["impressions"].to_string()).collect();
        assert_eq!(counted("impressions"), expected, "{query}");

        let (status, text) = rig.call("GET", &format!("{path}format=csv"));
        assert!(status == 200 && text.starts_with('\u{feff}'), "{query}");
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let records: Vec<BTreeMap<String, String>> =
            reader.deserialize().map(|row| row.expect("a row")).collect();
        assert_eq!(records.len(), rows.len(), "{query}");
        for (record, row) in records.iter().zip(&rows) {
            assert!(record.keys().eq(row.keys()), "{query}");
            assert_eq!(record["impressions"], row["impressions"].to_string(), "{query}");
        }
    }
}

/// The sheets of a workbook, and the reports that they are.
const SHEETS: [(&str, [&str; 2]); 15] = [
    ("delivery?by=total", ["Delivery", "投放汇总"]),
    ("delivery?by=day", ["Delivery by day", "每日投放"]),
    ("delivery?by=hour", ["Delivery by hour", "分时投放"]),
    ("delivery?by=medium", ["Delivery by medium", "媒体投放"]),
    ("delivery?by=placement", ["Delivery by placement", "点位投放"]),
    ("delivery?by=creative", ["Delivery by creative", "素材投放"]),
    ("delivery?by=region", ["Delivery by region", "地域投放"]),
    ("delivery?by=platform", ["Delivery by platform", "平台投放"]),
    ("reach?by=total", ["Reach", "触达"]),
    ("reach?by=day", ["Reach by day", "每日触达"]),
    ("reach?by=medium", ["Reach by medium", "媒体触达"]),
    ("reach?by=placement", ["Reach by placement", "点位触达"]),
    ("frequency?by=total", ["Frequency", "频次分布"]),
    ("overlap?by=medium", ["Overlap of media", "媒体重合度"]),
    ("ids?by=medium", ["Ids by medium", "设备号质量"]),
];

/// A cell in words holds what JSON says; a text may be another word for it.
fn check_worded(cell: &Data, value: &Value, place: &str) {
    match (cell, value) {
        (Data::Empty, Value::Null) => {}
        (Data::Empty, Value::String(text)) => assert_eq!(text, "", "{place}"),
        (Data::Float(read), Value::Number(number)) => {
            let number = number.as_f64().expect("a number");
            assert!((read - number).abs() <= 1e-9 * number.abs().max(1.0), "{place}: {read} {number}");
        }
        (Data::Bool(read), Value::Bool(flag)) => assert_eq!(read, flag, "{place}"),
        (Data::DateTime(read), Value::String(text)) => {
            let (year, month, day, ..) = read.to_ymd_hms_milli();
            assert_eq!(format!("{year:04}-{month:02}-{day:02}"), *text, "{place}");
        }
        (Data::String(read), Value::String(text)) => {
            let is_word = ["unknown", "(others)", "total", "CN-SH", "CN-BJ", "member", "pair", "all"];
            let is_word = is_word.contains(&text.as_str()) || place.contains("platform");
            assert!(read == text || is_word, "{place}: {read} {text}");
            assert!(text.parse::<chrono::NaiveDate>().is_err(), "{place}: a day is a date");
        }
        (read, value) => panic!("{place}: {read:?} is not {value}"),
    }
}

/// A sheet in words has the rows of a report in JSON, in the order of its columns, with names beside ids.
fn check_sheet(sheet: &calamine::Range<Data>, report: &Value, place: &str) {
    let rows = report["rows"].as_array().expect("rows");
    assert_eq!(sheet.height(), rows.len() + 1, "{place}");
    let members = rows.iter().filter_map(|row| row["members"].as_array()).map(Vec::len).max().unwrap_or(0);
    for (line, row) in (1..).zip(rows) {
        let mut cells: Vec<(String, Value)> = Vec::new();
        for (name, value) in row.as_object().expect("an object") {
            match value {
                Value::Object(fields) => {
                    cells.extend(
                        fields.iter().map(|(field, value)| (format!("{name}_{field}"), value.clone())),
                    );
                }
                Value::Array(items) => {
                    let length = if name == "members" { members } else { items.len() };
                    let item = |at: usize| items.get(at).cloned().unwrap_or(Value::Null);
                    cells.extend((0..length).map(|at| (format!("{name}_{}", at + 1), item(at))));
                }
                value => cells.push((name.clone(), value.clone())),
            }
        }
        let names = sheet.width() - cells.len();
        assert!(names == 0 || ["by=placement", "by=creative"].iter().any(|by| place.contains(by)), "{place}");
        for (at, (name, value)) in cells.iter().enumerate() {
            let at = if at == 0 { 0 } else { at + names };
            let heading = sheet[(0, at)].to_string();
            assert!(!heading.contains('_') && heading != *name || name == "frequency", "{place}: {name}");
            check_worded(&sheet[(line, at)], value, &format!("{place} {name}"));
        }
    }
}

/// A workbook has the plan, and the figures of its reports and no others. `ask` answers a report below the campaign.
pub(crate) fn check_workbook(bytes: Vec<u8>, language: usize, ask: impl Fn(&str) -> Value) {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a workbook");
    let mut expected = vec![["Summary", "摘要"][language]];
    expected.extend(SHEETS.iter().map(|(_, names)| names[language]));
    expected.push(["Plan", "投放计划"][language]);
    assert_eq!(book.sheet_names(), expected);
    for (query, names) in SHEETS {
        let sheet = book.worksheet_range(names[language]).expect("a sheet");
        check_sheet(&sheet, &ask(query), query);
    }
    let total = ask("delivery?by=total");
    let first = book.worksheet_range(expected[0]).expect("a sheet");
    let beside = |heading: &str| {
        first.rows().find(|row| row[0] == Data::String(heading.to_owned())).map(|row| row[1].clone())
    };
    let net = beside(["Net impressions", "过滤后曝光"][language]).expect("is told");
    match total["rows"][0]["net_impressions"].as_f64() {
        Some(count) => assert_eq!(net, Data::Float(count)),
        None => assert!(matches!(net, Data::String(_))),
    }
    let settled = beside(["Settled until", "已定稿至"][language]).expect("is told");
    check_worded(&settled, &total["settled_until"], "settled until");
    for name in &expected[1..] {
        assert!(beside(name).is_some(), "{name} is listed");
    }
}

#[test]
fn sheets_in_words_have_the_figures_of_json_under_other_headings() {
    let rig = Rig::new();
    rig.push(&workload(&mut Random(seed())));
    rig.settle();
    for language in ["en", "zh"] {
        for query in [
            "delivery?by=day",
            "delivery?by=creative",
            "reach?by=placement",
            "overlap?by=placement",
            "ids?by=platform",
        ] {
            let path = format!("/v1/campaigns/utc/{query}");
            let json = rig.get(&format!("{path}&language={language}"));
            assert_eq!(json, rig.get(&path), "a program's form stays as it is");
            let (status, bytes) = rig.bytes(&format!("{path}&format=xlsx&language={language}"));
            assert_eq!(status, 200, "{path}");
            let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a workbook");
            let sheet = book.worksheet_range_at(0).expect("a sheet").expect("cells");
            check_sheet(&sheet, &json, query);
            let (status, text) = rig.call("GET", &format!("{path}&format=csv&language={language}"));
            assert_eq!(status, 200, "{path}");
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
            let records: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
            assert_eq!(records.len(), sheet.height(), "{path}");
            for (record, row) in records.iter().zip(sheet.rows()) {
                for (cell, read) in record.iter().zip(row) {
                    match read {
                        Data::String(text) => assert_eq!(cell.replace('\'', ""), text.replace('\'', "")),
                        Data::Float(number) => {
                            assert!(cell.parse::<f64>().is_ok_and(|cell| (cell - number).abs() < 1e-9));
                        }
                        Data::Empty => assert_eq!(cell, ""),
                        _ => {}
                    }
                }
            }
        }
    }
    let (_, bytes) = rig.bytes("/v1/campaigns/utc/delivery?by=placement&format=xlsx&language=zh");
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a workbook");
    assert_eq!(book.sheet_names(), ["投放", "说明"]);
    let sheet = book.worksheet_range_at(0).expect("a sheet").expect("cells");
    let headings: Vec<String> = (0..4).map(|at| sheet[(0, at)].to_string()).collect();
    assert_eq!(headings, ["点位", "名称", "媒体", "曝光"]);
    assert_eq!(
        (sheet[(1, 0)].to_string(), sheet[(1, 2)].to_string()),
        ("p1".to_owned(), "Medium A".to_owned())
    );
}

#[test]
fn the_whole_workbook_is_its_reports_and_a_closed_period_stays_one() {
    let rig = Rig::new();
    rig.push(&workload(&mut Random(seed())));
    rig.settle();
    let check = |range: &str, at: usize| {
        let language = ["en", "zh"][at];
        let (status, bytes) = rig.bytes(&format!("/v1/campaigns/utc/workbook?language={language}{range}"));
        assert_eq!(status, 200, "{range}");
        check_workbook(bytes, at, |query| rig.report(&format!("utc/{query}{range}")));
    };
    check("&filter=gross", 0);
    let (to, from) = (NOON_MS - 2 * DAY_MS, NOON_MS - 4 * DAY_MS);
    let day = |ms: i64| chrono::DateTime::from_timestamp_millis(ms).expect("a time").date_naive().to_string();
    let body = format!(r#"{{"from":"{}","to":"{}","note":"x"}}"#, day(from), day(to));
    let (status, said) = rig.send_as(
        "POST",
        "/v1/campaigns/utc/closings",
        Some(&format!("Bearer {}", crate::rig::TOKEN)),
        &body,
    );
    assert_eq!(status, 201, "{said}");
    rig.push(&[Hit { view: 9_000, ..hit(from) }]);
    rig.settle();
    check(&format!("&from={}&to={}", day(from), day(to)), 1);
    for (query, says) in
        [("language=fr", "en, zh"), ("format=csv", "language"), ("from=x", "2026"), ("by=day", "filter")]
    {
        let (status, body) = rig.call("GET", &format!("/v1/campaigns/utc/workbook?{query}"));
        assert!(status == 400 && body.contains(says), "{query}: {body}");
    }
    let headers = rig.headers("/v1/campaigns/utc/workbook");
    let name = headers.get("content-disposition").and_then(|name| name.to_str().ok()).unwrap_or_default();
    assert!(
        name.starts_with("attachment; filename=\"utc-report-net-") && name.ends_with(".xlsx\""),
        "{name}"
    );
}

#[test]
fn a_form_says_what_it_is_and_what_its_file_is_called() {
    let rig = Rig::new();
    for (format, media_type, ending) in [
        ("json", "application/json", None),
        ("csv", "text/csv; charset=utf-8; header=present", Some("csv")),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Some("xlsx")),
        ("parquet", "application/vnd.apache.parquet", Some("parquet")),
    ] {
        let headers = rig.headers(&format!("/v1/campaigns/utc/reach?by=day&format={format}"));
        let header = |name: &str| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(header("content-type").as_deref(), Some(media_type));
        let expected = ending.map(|ending| format!("attachment; filename=\"utc-reach-by-day-net.{ending}\""));
        assert_eq!(header("content-disposition"), expected);
    }
    let (status, text) = rig.call("GET", "/v1/campaigns/utc/reach?format=csv&bom=false");
    assert!(status == 200 && text.starts_with("key,"), "{text}");
    assert_eq!(rig.call("GET", "/v1/campaigns/utc/reach?format=xlsx&bom=false").0, 400);
}
