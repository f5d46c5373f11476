//! What is looked for in an answer: a cell or row that tells too much.

use std::collections::BTreeMap;
use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};
use serde_json::Value;

use super::{Asker, DAYS, K, OURS, STEP};
use crate::forms::{check_workbook, flat, is_same, read_by_engine};

/// The columns that count devices, and those that are rounded as they are because they would give devices away.
pub(super) const OF_DEVICES: [&str; 9] = [
    "reach",
    "n_plus",
    "exactly",
    "devices",
    "cumulative_reach",
    "interval_low",
    "interval_high",
    "cumulative_low",
    "cumulative_high",
];
const ROUNDED: [&str; 5] =
    ["identified_impressions", "identified", "usable", "identified_by_kind", "sha_only"];
/// Ends of intervals lie where they lie; of what is estimated they are functions of what is shown.
const ENDS: [&str; 4] = ["interval_low", "interval_high", "cumulative_low", "cumulative_high"];

pub(super) fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().expect("rows")
}

pub(super) fn key(row: &Value) -> &str {
    row["key"].as_str().expect("a key")
}

/// The counts in a cell, in a list or object of them; each with its place.
pub(super) fn counts(value: &Value) -> Vec<(String, Option<u64>)> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().map(|(n, item)| (n.to_string(), item.as_u64())).collect()
        }
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), field.as_u64())).collect(),
        other => vec![(String::new(), other.as_u64())],
    }
}

/// Whether a row is shown: one that is left out has nothing but its key.
pub(super) fn is_shown(row: &Value) -> bool {
    ["impressions", "devices", "n_plus"].iter().any(|name| row[*name].is_u64())
}

/// Every cell of a row against what was counted; of an estimate one device stands for `weight`.
pub(super) fn no_cell_is_unrounded_or_small(place: &str, (shown, counted): (&Value, &Value), weight: u64) {
    let (k, step) = (K * weight, STEP * weight);
    let is_computed = |name: &str| weight > 1 && ENDS.contains(&name);
    let names = OF_DEVICES.iter().chain(&ROUNDED);
    for name in names.filter(|name| shown.get(**name).is_some() && !is_computed(name)) {
        for ((at, shown), (_, counted)) in counts(&shown[*name]).into_iter().zip(counts(&counted[*name])) {
            let (Some(shown), Some(counted)) = (shown, counted) else { continue };
            assert_eq!(shown % step, 0, "{place} {name} {at} is not rounded");
            if OF_DEVICES.contains(name) {
                assert!(shown >= k && counted >= k, "{place} {name} {at}: {shown} of {counted} is below k");
            } else {
                assert!(counted == 0 || counted >= k, "{place} {name} {at}: {counted} is below k");
            }
        }
    }
    for name in ["signals", "device_risks", "withheld_impressions", "withheld", "sha_only"] {
        let Some(cells) = shown.get(name) else { continue };
        for (at, shown) in counts(cells) {
            assert!(
                shown.is_none_or(|hits| hits == 0 || hits >= K),
                "{place} {name} {at}: {shown:?} is below k"
            );
        }
    }
    // What is computed is computed of what is shown.
    for (name, part, (whole, times)) in [
        ("average_frequency", "identified_impressions", ("reach", 1.0)),
        ("id_coverage", "identified_impressions", ("impressions", 1.0)),
        ("id_coverage", "identified", ("impressions", 1.0)),
        ("return_rate", "usable", ("impressions", 1.0)),
        ("reach_percent", "reach", ("universe", 100.0)),
        ("grp", "impressions", ("universe", 100.0)),
    ] {
        if let (Some(ratio), Some(part)) = (shown.get(name).and_then(Value::as_f64), shown.get(part)) {
            let count = |value: &Value| value.as_u64().expect("shown with its ratio") as f64;
            assert!(
                (ratio - count(part) * times / count(&shown[whole])).abs() < 1e-9,
                "{place} {name}: {shown}"
            );
        }
    }
    for name in ["identified_standard_error", "frequency_standard_error"] {
        let Some(error) = shown.get(name).and_then(Value::as_f64).filter(|error| *error > 0.0) else {
            continue;
        };
        let digits = format!("{error:e}");
        let digits = digits.split('e').next().unwrap_or_default();
        // What is nearest to two digits may be written with many.
        let two = (digits.parse::<f64>().expect("a number") * 10.0).round() / 10.0;
        assert!((digits.parse::<f64>().expect("a number") - two).abs() < 1e-9, "{place} {name}: {error}");
    }
}

/// No row in which fewer than k stand, and none that the total less all others gives away.
pub(super) fn no_row_is_small_nor_given_away(place: &str, shown: &Value, stands_for: &BTreeMap<String, u64>) {
    let hidden: Vec<u64> = rows(shown)
        .iter()
        .filter(|row| !is_shown(row))
        .filter_map(|row| stands_for.get(key(row)).copied())
        .collect();
    let mut others = 0;
    for row in rows(shown).iter().filter(|row| is_shown(row) && row["impressions"] != 0) {
        let count = stands_for.get(key(row)).copied().unwrap_or(0);
        assert!(count >= K, "{place}: {count} stand in {row}");
        others += 1;
    }
    let is_safe = hidden.is_empty() || others == 0 || hidden.iter().any(|count| *count >= K);
    assert!(is_safe, "{place}: {hidden:?} are what the others leave of the total");
}

/// The workbook has what the reports give, and nothing of others.
pub(super) fn the_workbook_says_no_more(asker: &Asker<'_>, language: usize) {
    let range = format!("&from={}&to={}", DAYS[0], DAYS[1]);
    let path = format!("/v1/campaigns/{OURS}");
    let target = format!("{path}/workbook?language={}{range}", ["en", "zh"][language]);
    let (status, bytes) = asker.rig.bytes_as(&target, &asker.bearer);
    assert_eq!(status, 200);
    check_workbook(bytes, language, |query| asker.shown(&format!("{path}/{query}{range}")));
}

/// The same report in the other forms: the same cells, and nothing in those that are left out.
pub(super) fn other_forms_say_the_same(asker: &Asker<'_>, (path, weight): (&str, u64), report: &Value) {
    let mut expected: Vec<_> = rows(report).iter().map(flat).collect();
    // Who has no second member has a column for it all the same.
    let names: BTreeMap<String, Value> =
        expected.iter().flatten().map(|(name, _)| (name.clone(), Value::Null)).collect();
    for row in &mut expected {
        names.iter().filter(|(name, _)| name.starts_with("members_")).for_each(|(name, none)| {
            row.entry(name.clone()).or_insert_with(|| none.clone());
        });
    }
    let bytes = |format: &str| {
        let (status, bytes) = asker.rig.bytes_as(&format!("{path}&format={format}"), &asker.bearer);
        assert_eq!(status, 200, "{path} {format}");
        bytes
    };
    let read = read_by_engine(asker.rig, &bytes("parquet"));
    assert_eq!(read.len(), expected.len(), "{path}");
    for (read, row) in read.iter().zip(&expected) {
        assert!(read.keys().eq(row.keys()), "{path}: {read:?}");
        assert!(
            row.iter().all(|(name, value)| is_same(&read[name], value)),
            "{path}: {read:?} is not {row:?}"
        );
    }
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes("xlsx"))).expect("a workbook");
    let sheet = book.worksheet_range_at(0).expect("a sheet").expect("cells");
    let text = String::from_utf8(bytes("csv")).expect("UTF-8");
    let mut csv = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let header = csv.headers().expect("a header").clone();
    let records: Vec<_> = csv.records().map(|record| record.expect("a row")).collect();
    assert_eq!((sheet.height(), records.len()), (expected.len() + 1, expected.len()), "{path}");
    for (line, (row, record)) in expected.iter().zip(&records).enumerate() {
        for (at, name) in header.iter().enumerate() {
            let place = || format!("{path} {name} of {row:?}");
            let cell = sheet.get((line + 1, at)).unwrap_or(&Data::Empty);
            match &row[name] {
                Value::Null => assert!(record[at].is_empty() && *cell == Data::Empty, "{}", place()),
                Value::Number(number) => {
                    let number = number.as_f64().expect("a number");
                    assert!(
                        record[at].parse::<f64>().is_ok_and(|cell| (cell - number).abs() < 1e-9),
                        "{}",
                        place()
                    );
                    assert!(matches!(cell, Data::Float(cell) if (cell - number).abs() < 1e-9), "{}", place());
                }
                Value::Bool(flag) => {
                    assert!(record[at] == flag.to_string() && *cell == Data::Bool(*flag), "{}", place());
                }
                _ => {}
            }
        }
        assert_eq!(header.len(), row.len(), "{path}");
    }
    let about = book.worksheet_range("about").expect("a sheet");
    let says = |name: &str| {
        about.rows().find(|row| row[0] == Data::String(name.to_owned())).map(|row| row[1].to_string())
    };
    assert_eq!(
        [says("privacy_k"), says("privacy_device_step")],
        [Some((K * weight).to_string()), Some((STEP * weight).to_string())],
        "{path}"
    );
}
