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
