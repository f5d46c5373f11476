//! Random reports in every form, read back by other readers than our writers: each column and each value as JSON has it.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test that fails panics")]

use std::collections::BTreeSet;
use std::io::Cursor;

use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;
use bytes::Bytes;
use calamine::{Data, Reader, Xlsx};
use event::clock::UnixMs;
use event::identifier::IdKind;
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::form::{Form, Language};
use crate::report::ids::IdsRow;
use crate::report::overlap::{Ends, Masks, OverlapRow};
use crate::report::rows::{DeliveryRow, FrequencyRow, ReachRow, Report, Rows, Versions};
use crate::report::sample::Sample;
use crate::store::day_text;

/// 2026-11-22.
const MADE_MS: UnixMs = 1_795_305_600_000;
/// Members of each overlap.
const MEMBERS: usize = 3;
/// What no cell of a spreadsheet may begin with.
const FORMULAS: &str = "=+-@\t\r\n＝＋－＠";

/// Draws numbers (SplitMix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// Of any size that a spreadsheet counts without rounding.
    fn count(&mut self) -> u64 {
        let bits = self.next() % 54;
        self.next() & ((1 << bits) - 1)
    }

    fn number(&mut self) -> f64 {
        self.count() as f64 / (1 + self.count()) as f64
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.next().is_multiple_of(3)).then(|| value(self))
    }

    fn day(&mut self) -> String {
        day_text((self.next() % 30_000) as u16)
    }

    fn list<T>(&mut self, length: usize, value: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..length).map(|_| value(self)).collect()
    }
}

fn delivery(draw: &mut Draw, key: String) -> DeliveryRow {
    let mut row = DeliveryRow { key, ..DeliveryRow::default() };
    for count in [
        &mut row.impressions,
        &mut row.gross_impressions,
        &mut row.net_impressions,
        &mut row.removed_impressions.duplicate,
        &mut row.removed_impressions.robot,
        &mut row.removed_impressions.non_browser,
        &mut row.removed_impressions.data_center,
        &mut row.removed_impressions.double_click,
        &mut row.clicks,
        &mut row.gross_clicks,
        &mut row.net_clicks,
        &mut row.removed_clicks.duplicate,
        &mut row.removed_clicks.robot,
        &mut row.removed_clicks.non_browser,
        &mut row.removed_clicks.data_center,
        &mut row.removed_clicks.double_click,
        &mut row.stages.tracked,
        &mut row.stages.viewable,
        &mut row.stages.not_viewable,
        &mut row.stages.not_measurable,
        &mut row.stages.starts,
        &mut row.stages.first_quartiles,
        &mut row.stages.midpoints,
        &mut row.stages.third_quartiles,
        &mut row.stages.completes,
        &mut row.stages.conversions,
        &mut row.measured,
        &mut row.unmeasured,
        &mut row.outdone_verdicts,
        &mut row.identified_impressions,
        &mut row.withheld_impressions,
        &mut row.unidentified_impressions,
        &mut row.signals.gpc,
        &mut row.signals.dnt,
        &mut row.signals.limit_ad_tracking,
        &mut row.signals.no_consent,
        &mut row.signals.gpp,
        &mut row.signals.child_directed,
        &mut row.bad_id_impressions,
        &mut row.macros_unreplaced,
        &mut row.conflicts,
    ] {
        *count = draw.count();
    }
    for rate in [&mut row.measured_rate, &mut row.viewable_rate, &mut row.id_coverage] {
        *rate = draw.maybe(Draw::number);
    }
    for count in [
        &mut row.unresolved,
        &mut row.reported_impressions,
        &mut row.reported_clicks,
        &mut row.compared_impressions,
        &mut row.compared_clicks,
    ] {
        *count = draw.maybe(Draw::count);
    }
    row.gap = draw.maybe(|draw| 1.0 - draw.number());
    row.planned = draw.maybe(Draw::count);
    row.fulfilment = draw.maybe(Draw::number);
    row.settled_until = draw.maybe(Draw::day);
    row
}

fn reach(draw: &mut Draw, key: String, (by_day, levels): (bool, usize)) -> ReachRow {
    ReachRow {
        key,
        impressions: draw.count(),
        identified_impressions: draw.count(),
        without_device: 0,
        identified_standard_error: draw.number(),
        id_coverage: draw.maybe(Draw::number),
        clicks: draw.count(),
        reach: draw.count(),
        average_frequency: draw.maybe(Draw::number),
        frequency_standard_error: draw.number(),
        n_plus: draw.list(levels, Draw::count),
        exactly: draw.list(levels, Draw::count),
        standard_error: draw.list(levels, Draw::number),
        interval_low: draw.list(levels, Draw::count),
        interval_high: draw.list(levels, Draw::count),
        exact: draw.next().is_multiple_of(2),
        cumulative_reach: by_day.then(|| draw.count()),
        cumulative_low: by_day.then(|| draw.count()),
        cumulative_high: by_day.then(|| draw.count()),
        universe: draw.maybe(Draw::count),
        reach_percent: draw.maybe(Draw::number),
        grp: draw.maybe(Draw::number),
        cost_per_point: draw.maybe(Draw::number),
        settled_until: draw.maybe(Draw::day),
    }
}

fn frequency(draw: &mut Draw, key: String) -> FrequencyRow {
    FrequencyRow {
        key,
        frequency: (draw.next() % 80) as usize,
        or_more: draw.next().is_multiple_of(2),
        devices: draw.count(),
        n_plus: draw.count(),
        impressions: draw.count(),
        standard_error: draw.number(),
        interval_low: draw.count(),
        interval_high: draw.count(),
        exact: draw.next().is_multiple_of(2),
        settled_until: draw.maybe(Draw::day),
    }
}

fn ends(draw: &mut Draw) -> Ends {
    Ends {
        reach: draw.count(),
        unique: draw.maybe(Draw::count),
        stacked_reach: draw.maybe(Draw::count),
        incremental_reach: draw.maybe(Draw::count),
        shared: draw.maybe(Draw::count),
    }
}

fn overlap(draw: &mut Draw, key: String) -> OverlapRow {
    let members = (0..=draw.next() % MEMBERS as u64).map(|n| format!("{key}{n}")).collect();
    OverlapRow {
        key,
        kind: "member",
        members,
        reach: draw.count(),
        unique: draw.maybe(Draw::count),
        stack_position: draw.maybe(Draw::count),
        stacked_reach: draw.maybe(Draw::count),
        incremental_reach: draw.maybe(Draw::count),
        shared: draw.maybe(Draw::count),
        standard_error: draw.number(),
        interval_low: ends(draw),
        interval_high: ends(draw),
        exact: draw.next().is_multiple_of(2),
        settled_until: draw.maybe(Draw::day),
    }
}

fn ids(draw: &mut Draw, key: String) -> IdsRow {
    let mut row = IdsRow { key, ..IdsRow::default() };
    for count in [
        &mut row.impressions,
        &mut row.identified,
        &mut row.usable,
        &mut row.withheld,
        &mut row.bad,
        &mut row.absent,
        &mut row.set_aside,
        &mut row.macros_unreplaced,
        &mut row.sha_only,
        &mut row.device_risks.root,
        &mut row.device_risks.emulator,
        &mut row.device_risks.hook,
        &mut row.device_risks.adb,
    ] {
        *count = draw.count();
    }
    for kind in IdKind::ALL {
        row.identified_by_kind.add(kind as u8, draw.count());
    }
    row.id_coverage = draw.maybe(Draw::number);
    row.return_rate = draw.maybe(Draw::number);
    row.settled_until = draw.maybe(Draw::day);
    row
}

/// A report of any kind with these keys, or days in their place.
fn report(keys: &[String], by_day: bool, levels: usize, seed: u64) -> Report {
    let mut draw = Draw(seed);
    let draw = &mut draw;
    let keys =
        keys.iter().map(|key| if by_day { draw.day() } else { key.clone() }).collect::<Vec<_>>().into_iter();
    let (kind, rows) = match seed % 5 {
        0 => ("delivery", Rows::Delivery(keys.map(|key| delivery(draw, key)).collect())),
        1 => ("reach", Rows::Reach(keys.map(|key| reach(draw, key, (by_day, levels))).collect())),
        2 => ("frequency", Rows::Frequency(keys.map(|key| frequency(draw, key)).collect())),
        3 => ("ids", Rows::Ids(keys.map(|key| ids(draw, key)).collect())),
        _ => ("overlap", Rows::Overlap(keys.map(|key| overlap(draw, key)).collect())),
    };
    Report {
        campaign: "=demo".to_owned(),
        kind,
        from: draw.maybe(Draw::day),
        to: draw.maybe(Draw::day),
        time_zone: "Asia/Shanghai".to_owned(),
        by: if by_day { "day" } else { "creative" },
        filter: "net",
        settled_until: draw.maybe(Draw::day),
        provisional_days: draw.list(3, Draw::day),
        key_changes: Vec::new(),
        identified_impressions: rows.identified_impressions(),
        share: None,
        universe: None,
        universes: Vec::new(),
        region_libraries: None,
        closed: crate::report::closed::ClosedBy::Nothing,
        adjustment: None,
        versions: Versions {
            program: "1.2.3".into(),
            catalog: "0000002a".to_owned(),
            rules: "07".to_owned(),
        },
        levels,
        sight: crate::view::Sight::exact(),
        sample: Sample::ALL,
        masks: (kind == "overlap")
            .then(|| Masks::new((0..MEMBERS).map(|n| n.to_string()).collect(), Vec::new(), [])),
        devices: std::collections::BTreeMap::new(),
        compared: crate::report::reported::Behind::default(),
        rows,
    }
}

fn bytes(report: &Report, form: Form) -> Vec<u8> {
    report.table().write(form, MADE_MS).unwrap_or_else(|error| panic!("{error}"))
}

/// The values of a JSON object under the names that they have elsewhere, in its order.
fn flat(value: &Value) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    for (name, value) in value.as_object().expect("an object") {
        match value {
            Value::Object(fields) => {
                out.extend(fields.iter().map(|(field, value)| (format!("{name}_{field}"), value.clone())));
            }
            // Elsewhere every row has a cell for each member that any of them has.
            Value::Array(items) if name == "members" => {
                let cell = |n: usize| items.get(n).cloned().unwrap_or(Value::Null);
                out.extend((0..MEMBERS).map(|n| (format!("{name}_{}", n + 1), cell(n))));
            }
            Value::Array(items) => {
                out.extend((1..).zip(items).map(|(n, value)| (format!("{name}_{n}"), value.clone())));
            }
            value => out.push((name.clone(), value.clone())),
        }
    }
    out
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-14 * one.abs().max(other.abs())
}

fn is_day(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 10 && text.parse::<chrono::NaiveDate>().is_ok())
}

fn check_csv(report: &Report, json: &[Vec<(String, Value)>]) {
    let text = String::from_utf8(bytes(report, Form::Csv { mark: true })).expect("UTF-8");
    let text = text.strip_prefix('\u{feff}').expect("the mark");
    assert_eq!(text.as_bytes(), bytes(report, Form::Csv { mark: false }));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("a record")).collect();
    assert_eq!(records.len(), json.len());
    for (record, row) in records.iter().zip(json) {
        assert_eq!(header, row.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        for (cell, (name, value)) in record.iter().zip(row) {
            // A number below 0 is a number.
            assert!(value.is_number() || !cell.starts_with(|c| FORMULAS.contains(c)), "{name}: {cell:?}");
            match value {
                Value::String(text) => {
                    for piece in cell.split(';') {
                        assert!(
                            !piece.trim_start().starts_with(|c| FORMULAS.contains(c)),
                            "{name}: {cell:?}"
                        );
                    }
                    assert_eq!(cell.replace('\'', ""), text.replace('\'', ""), "{name}");
                }
                Value::Number(number) if number.is_f64() => {
                    let read: f64 = cell.parse().expect("a number");
                    assert!(is_near(read, number.as_f64().expect("a number")), "{name}: {cell} {number}");
                }
                Value::Null => assert_eq!(cell, "", "{name}"),
                value => assert_eq!(cell, value.to_string(), "{name}"),
            }
        }
    }
}

fn check_sheet_cell(cell: Option<&Data>, (name, value): (&str, &Value)) {
    match (cell.unwrap_or(&Data::Empty), value) {
        (Data::DateTime(date), Value::String(text)) => {
            let read = day_text((date.as_f64() - 25_569.0) as u16);
            assert_eq!(read, *text, "{name}");
        }
        (Data::String(read), Value::String(text)) => {
            assert!(!is_day(value), "{name}: a day is a date");
            assert_eq!(read, text, "{name}");
        }
        (Data::Empty, Value::String(text)) => assert_eq!(text, "", "{name}"),
        (Data::Float(read), Value::Number(number)) => {
            assert!(is_near(*read, number.as_f64().expect("a number")), "{name}: {read} {number}");
        }
        (Data::Bool(read), Value::Bool(flag)) => assert_eq!(read, flag, "{name}"),
        (Data::Empty, Value::Null) => {}
        (read, value) => panic!("{name}: {read:?} is not {value}"),
    }
}

fn check_xlsx(report: &Report, json: &[Vec<(String, Value)>], head: &Map<String, Value>) {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes(report, Form::Xlsx))).expect("a workbook");
    assert_eq!(book.sheet_names(), [report.kind, "about"]);
    for sheet in [report.kind, "about"] {
        let formulas = book.worksheet_formula(sheet).expect("a sheet");
        assert!(formulas.used_cells().all(|(_, _, formula)| formula.is_empty()), "no formula");
    }
    let sheet = book.worksheet_range(report.kind).expect("a sheet");
    for (line, row) in (1..).zip(json) {
        for (at, (name, value)) in (0..).zip(row) {
            assert_eq!(sheet.get_value((0, at)), Some(&Data::String(name.clone())));
            check_sheet_cell(sheet.get_value((line, at)), (name, value));
        }
        assert_eq!(sheet.get_value((line, row.len() as u32)), None, "no column more");
    }
    assert_eq!(sheet.height(), json.len() + 1);
    let about = book.worksheet_range("about").expect("a sheet");
    let mut line = 0;
    for (name, value) in head {
        let facts = match value {
            Value::Array(items) => vec![(name.clone(), items.clone())],
            Value::Object(fields) => {
                fields.iter().map(|(field, value)| (format!("{name}_{field}"), vec![value.clone()])).collect()
            }
            value => vec![(name.clone(), vec![value.clone()])],
        };
        for (name, values) in facts {
            assert_eq!(about.get_value((line, 0)), Some(&Data::String(name.clone())));
            for (at, value) in (1..).zip(&values) {
                check_sheet_cell(about.get_value((line, at)), (&name, value));
            }
            line += 1;
        }
    }
    let says_errors = about.get_value((line, 0)) == Some(&Data::String("standard_error".to_owned()));
    assert_eq!(says_errors, report.kind == "reach");
}

fn check_parquet(report: &Report, json: &[Vec<(String, Value)>], head: &Map<String, Value>) {
    let file = SerializedFileReader::new(Bytes::from(bytes(report, Form::Parquet))).expect("a file");
    let rows: Vec<_> =
        file.get_row_iter(None).expect("rows").map(|row| row.expect("a row").into_columns()).collect();
    assert_eq!(rows.len(), json.len());
    for (read, row) in rows.iter().zip(json) {
        assert_eq!(read.len(), row.len());
        for ((column, field), (name, value)) in read.iter().zip(row) {
            assert_eq!(column, name);
            match (field, value) {
                (Field::Date(day), Value::String(text)) => assert_eq!(day_text(*day as u16), *text, "{name}"),
                (Field::Str(read), Value::String(text)) => {
                    assert!(name != "settled_until" && !(name == "key" && report.by == "day"));
                    assert_eq!(read, text, "{name}");
                }
                (Field::Long(read), Value::Number(number)) => {
                    assert_eq!(read.to_string(), number.to_string());
                }
                (Field::Double(read), Value::Number(number)) => {
                    assert!(is_near(*read, number.as_f64().expect("a number")), "{name}: {read} {number}");
                }
                (Field::Bool(read), Value::Bool(flag)) => assert_eq!(read, flag, "{name}"),
                (Field::Null, Value::Null) => {}
                (read, value) => panic!("{name}: {read:?} is not {value}"),
            }
        }
    }
    let facts = file.metadata().file_metadata().key_value_metadata().expect("facts");
    let fact = |name: &str| {
        let fact = facts.iter().find(|fact| fact.key == format!("sightline.{name}"));
        fact.unwrap_or_else(|| panic!("{name}")).value.clone().unwrap_or_default()
    };
    for name in ["campaign", "report", "from", "to", "time_zone", "by", "filter", "settled_until"] {
        assert_eq!(fact(name), head[name].as_str().unwrap_or_default(), "{name}");
    }
    assert_eq!(fact("provisional_days"), report.provisional_days.join(","));
    assert_eq!(
        (fact("versions_program"), fact("versions_catalog")),
        ("1.2.3".to_owned(), "0000002a".to_owned())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_form_says_what_json_says(
        keys in proptest::collection::vec("[ -~一-龥＝＋－＠\t\n\r;\"']{0,12}|_x0041_|[=+@-]cmd.{0,20}", 1..6),
        by_day in any::<bool>(),
        levels in 1_usize..=80,
        seed in any::<u64>(),
    ) {
        let report = report(&keys, by_day, levels, seed);
        let mut json: Map<String, Value> = serde_json::from_slice(&bytes(&report, Form::Json)).expect("JSON");
        let rows = json.shift_remove("rows").expect("rows");
        let rows: Vec<_> = rows.as_array().expect("a list").iter().map(flat).collect();
        prop_assert!(rows.len() == keys.len() && rows.iter().all(|row| row.len() >= 7));
        check_csv(&report, &rows);
        check_xlsx(&report, &rows, &json);
        check_parquet(&report, &rows, &json);
    }
}

/// Names before a colon in the text that `derive(Debug)` makes of a row: its fields, and those of the structs in it.
fn fields(row: &impl std::fmt::Debug) -> BTreeSet<String> {
    let text = format!("{row:?}");
    let name = |part: &str| part.rsplit([' ', '{', '(', '[']).next().unwrap_or_default().to_owned();
    text.split(": ").filter(|part| !part.ends_with('}')).map(name).filter(|name| !name.is_empty()).collect()
}

/// All names of a JSON object and the objects in it.
fn names(value: &Value, into: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        into.insert(name.clone());
        names(value, into);
    }
}

/// What estimates may be off by, where no field of the row says so.
fn follows(kind: &str) -> &'static [&'static str] {
    match kind {
        "reach" => &[
            "identified_low",
            "identified_high",
            "id_coverage_low",
            "id_coverage_high",
            "frequency_low",
            "frequency_high",
            "exactly_standard_error",
            "exactly_low",
            "exactly_high",
            "reach_percent_low",
            "reach_percent_high",
        ],
        "frequency" => &["devices_standard_error", "devices_low", "devices_high"],
        _ => &[],
    }
}

#[test]
fn the_lists_have_every_field_of_their_rows() {
    let draw = &mut Draw(1);
    let key = "key".to_owned();
    for (seed, mut fields) in [
        (0, fields(&delivery(draw, key.clone()))),
        (1, fields(&reach(draw, key.clone(), (true, 3)))),
        (2, fields(&frequency(draw, key.clone()))),
        (3, fields(&ids(draw, key.clone()))),
        (4, fields(&overlap(draw, key))),
    ] {
        let report = report(&["a".to_owned()], true, 3, seed);
        let json: Value = serde_json::from_slice(&bytes(&report, Form::Json)).expect("JSON");
        let mut written = BTreeSet::new();
        names(&json["rows"][0], &mut written);
        // For shaping alone.
        fields.remove("without_device");
        if seed == 3 {
            // A list in the row, an object outside.
            fields.extend(IdKind::ALL.map(|kind| kind.name().to_owned()));
        }
        // What follows from the others and the sample.
        fields.extend(follows(report.kind).iter().map(|name| (*name).to_owned()));
        assert_eq!(written, fields, "{}", report.kind);
        assert!(fields.len() >= 7);
    }
}

#[test]
fn every_column_has_a_heading_in_words() {
    for (seed, language) in (0..5).flat_map(|seed| [(seed, Language::English), (seed, Language::Chinese)]) {
        let report = report(&["a".to_owned()], true, 3, seed);
        let mut table = report.table();
        let then = table.clone();
        crate::report::adjustment::add(&mut table, Some(then), None);
        table.language = Some(language);
        let mut headings = BTreeSet::new();
        for column in &table.columns {
            let heading = table.heading(column);
            assert!(!heading.contains(['_', '#']), "{}: {heading}", column.place.flat());
            let is_in_both = ["GRP", "CPRP"].contains(&heading.as_str());
            assert!(is_in_both || heading.is_ascii() == (language == Language::English), "{heading}");
            assert!(headings.insert(heading.clone()), "{heading} stands twice in {}", report.kind);
        }
    }
}
