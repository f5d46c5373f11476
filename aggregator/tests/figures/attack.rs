//! A difference attack: what an advertiser's token may ask, all of it, held against what was counted.
//!
//! The truth is the same report as an auditor is shown it. Looked for are device counts that are not rounded, cells in which fewer than k devices stand, and
//! rows that the others of their report give away, in every form; and that the same report a day longer tells no more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};
use event::identifier::IdKind;
use event::record::{Platform, flag};
use event::stage::Stage;
use serde_json::{Value, json};

use crate::access::token;
use crate::forms::{flat, is_same, read_by_engine};
use crate::rig::{DAY_MS, Hit, NOON_MS, Random, Rig, hit, seed};
use aggregator::Settings;

pub(crate) const K: u64 = 50;
pub(crate) const STEP: u64 = 10;
/// A report ends on the one, and the same report on the other; few came in on that.
pub(crate) const DAYS: [&str; 2] = ["2026-11-16", "2026-11-17"];
const HITS: [u64; 2] = [2_500, 600];
pub(crate) const PLACEMENTS: [(&str, &str); 6] =
    [("p1", "A"), ("p2", "B"), ("p3", "A"), ("p4", "C"), ("p5", "D"), ("p6", "B")];
/// The columns that count devices, and those that are rounded as they are because they would give devices away.
pub(crate) const OF_DEVICES: [&str; 9] = [
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
const ROUNDED: [&str; 4] = ["identified_impressions", "identified", "usable", "identified_by_kind"];

pub(crate) fn rig() -> Rig {
    let placement = |(id, medium): &(&str, &str)| {
        format!("[[campaign.placement]]\nid = \"{id}\"\nname = \"{id}\"\nmedium = \"{medium}\"\n")
    };
    let catalog = format!(
        "[[campaign]]\nid = \"ours\"\nname = \"Ours\"\ntime_zone = \"UTC\"\nadvertiser = \"acme\"\n{}",
        PLACEMENTS.iter().map(placement).collect::<String>()
    );
    let many = 1_000_000;
    let settings = Settings {
        token_requests_burst_max: many,
        token_requests_per_minute_max: many,
        ..Settings::default()
    };
    Rig::with(&catalog, settings)
}

/// One of some, the first ones far more often than the last.
fn skewed<T: Copy>(random: &mut Random, of: &[T]) -> T {
    let below = 1 + random.below(of.len() as u64 * of.len() as u64);
    of[of.len() - (below as f64).sqrt().ceil() as usize]
}

/// Hits of devices that come again, among them few of a placement, a medium, a creative, a region, a platform, an hour, a kind of id and a day.
pub(crate) fn workload(random: &mut Random) -> Vec<Hit> {
    let placements: Vec<&str> = PLACEMENTS.iter().map(|(id, _)| *id).collect();
    let one = |random: &mut Random, day: usize, n: u64| {
        // Some devices often.
        let device = 1 + random.below(600).min(random.below(600));
        let flags = [0, flag::DEVICE_ROOT, flag::DEVICE_ADB, flag::DEVICE_HOOK | flag::DEVICE_EMULATOR];
        let withheld = [flag::WITHHELD_GPC, flag::WITHHELD_DNT, flag::WITHHELD_CHILD, flag::WITHHELD_LMT];
        let is_withheld = random.below(12) == 0;
        let has_device = !is_withheld && random.below(10) > 0;
        let hour = skewed(random, &[20, 12, 9, 22, 15, 3, 4]);
        let time_ms =
            NOON_MS - (4 - day as i64) * DAY_MS + (hour - 12) * 3_600_000 + random.below(3_000_000) as i64;
        Hit {
            campaign: "ours",
            placement: skewed(random, &placements),
            creative: skewed(random, &["", "a", "b", "rare"]),
            region: skewed(random, &["CN-31", "", "CN-11", "CN-54", "CN-71"]),
            platform: skewed(random, &[Platform::Android, Platform::Ios, Platform::Tv, Platform::Pc]),
            kind: [IdKind::Oaid, IdKind::Oaid, IdKind::Idfa, IdKind::AndroidId][device as usize % 4],
            device: has_device.then_some(device),
            stage: if random.below(15) == 0 { Stage::Click } else { Stage::Impression },
            flags: match (is_withheld, has_device) {
                (true, _) => skewed(random, &withheld),
                (false, true) => skewed(random, &flags) | flag::ID_USABLE,
                (false, false) => 0,
            },
            agent: if random.below(30) == 0 { "curl/8.0".to_owned() } else { crate::rig::PHONE.to_owned() },
            view: 1 + (day as u64 * 100_000 + n) - random.below(2),
            ..hit(time_ms)
        }
    };
    let days = (0..).zip(HITS);
    days.flat_map(|(day, hits)| (0..hits).map(move |n| (day, n)))
        .map(|(day, n)| one(random, day, n))
        .collect()
}

/// What is asked: path without the range.
pub(crate) fn questions() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut questions = Vec::new();
    for kind in ["delivery", "reach", "frequency", "ids"] {
        for by in ["total", "day", "placement", "medium", "creative", "region", "platform", "hour", "id_kind"]
        {
            let is_of_ids = !["creative", "region", "hour", "id_kind"].contains(&by);
            if (kind == "ids" && !is_of_ids) || (kind == "delivery" && by == "id_kind") {
                continue;
            }
            questions.extend(["net", "gross"].map(|filter| (kind, by, filter)));
        }
    }
    questions
}

pub(crate) struct Attack {
    pub(crate) rig: Rig,
    /// Of the advertiser, and of somebody who sees what was counted.
    pub(crate) tokens: [String; 2],
    /// Reports that were asked for before.
    pub(crate) known: RefCell<BTreeMap<String, Value>>,
}

impl Attack {
    pub(crate) fn ask(&self, who: usize, path: &str) -> Value {
        let (status, body) = self.rig.call_as("GET", path, Some(&self.tokens[who]));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The report as the advertiser is shown it, and as it was counted.
    pub(crate) fn both(&self, path: &str) -> [Value; 2] {
        [0, 1].map(|who| self.ask(who, path))
    }

    /// The devices of each row and its hits without one, as they were counted.
    fn devices(&self, (by, filter): (&str, &str), range: &str) -> BTreeMap<String, (u64, u64)> {
        let path = format!("/v1/campaigns/ours/reach?by={by}&filter={filter}&levels=1{range}");
        let mut known = self.known.borrow_mut();
        let report = known.entry(path.clone()).or_insert_with(|| self.ask(1, &path));
        let row = |row: &Value| {
            let count = |name: &str| row[name].as_u64().expect(name);
            (key(row), (count("reach"), count("impressions") - count("identified_impressions")))
        };
        rows(report).iter().map(row).collect()
    }
}

pub(crate) fn rows(report: &Value) -> &Vec<Value> {
    report["rows"].as_array().expect("rows")
}

pub(crate) fn key(row: &Value) -> String {
    row["key"].as_str().expect("a key").to_owned()
}

/// The counts in a cell, in a list or object of them; each with its place.
fn counts(value: &Value) -> Vec<(String, Option<u64>)> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().map(|(n, item)| (n.to_string(), item.as_u64())).collect()
        }
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), field.as_u64())).collect(),
        other => vec![(String::new(), other.as_u64())],
    }
}

/// Whether a row is shown: one that is left out has nothing but its key.
pub(crate) fn is_shown(row: &Value) -> bool {
    ["impressions", "devices", "n_plus"].iter().any(|name| row[*name].is_u64())
}

/// Every cell of a row against what was counted.
pub(crate) fn no_cell_is_unrounded_or_small(place: &str, shown: &Value, counted: &Value) {
    for name in OF_DEVICES.iter().chain(&ROUNDED).filter(|name| shown.get(**name).is_some()) {
        for ((at, shown), (_, counted)) in counts(&shown[*name]).into_iter().zip(counts(&counted[*name])) {
            let (Some(shown), Some(counted)) = (shown, counted) else { continue };
            assert_eq!(shown % STEP, 0, "{place} {name} {at} is not rounded");
            if OF_DEVICES.contains(name) {
                assert!(shown >= K && counted >= K, "{place} {name} {at}: {shown} of {counted} is below k");
            } else {
                assert!(counted == 0 || counted >= K, "{place} {name} {at}: {counted} is below k");
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
    for (name, part, whole) in [
        ("average_frequency", "identified_impressions", "reach"),
        ("id_coverage", "identified_impressions", "impressions"),
        ("id_coverage", "identified", "impressions"),
        ("return_rate", "usable", "impressions"),
    ] {
        if let (Some(ratio), Some(part)) = (shown.get(name).and_then(Value::as_f64), shown.get(part)) {
            let count = |value: &Value| value.as_u64().expect("shown with its ratio") as f64;
            assert!((ratio - count(part) / count(&shown[whole])).abs() < 1e-9, "{place} {name}: {shown}");
        }
    }
}

/// No row in which fewer than k stand, and none that the total less all others gives away.
pub(crate) fn no_row_is_small_nor_given_away(place: &str, shown: &Value, stands_for: &BTreeMap<String, u64>) {
    let hidden: Vec<u64> = rows(shown)
        .iter()
        .filter(|row| !is_shown(row))
        .filter_map(|row| stands_for.get(&key(row)).copied())
        .collect();
    let mut others = 0;
    for row in rows(shown).iter().filter(|row| is_shown(row) && row["impressions"] != 0) {
        let count = stands_for.get(&key(row)).copied().unwrap_or(0);
        assert!(count >= K, "{place}: {count} stand in {row}");
        others += 1;
    }
    let is_safe = hidden.is_empty() || others == 0 || hidden.iter().any(|count| *count >= K);
    assert!(is_safe, "{place}: {hidden:?} are what the others leave of the total");
}

/// What each row stands for, as it was counted.
pub(crate) fn stands_for(
    attack: &Attack,
    (kind, by, filter): (&str, &str, &str),
    range: &str,
    counted: &Value,
) -> BTreeMap<String, u64> {
    // Of delivery the net devices count in either filter.
    let filter = if kind == "delivery" { "net" } else { filter };
    let devices = attack.devices((by, filter), range);
    let of = |row: &Value| {
        let (reach, without) = devices.get(&key(row)).copied().unwrap_or_default();
        let count = match kind {
            "frequency" => reach,
            "delivery" if row["net_impressions"] == 0 => row["gross_impressions"].as_u64().expect("a count"),
            _ => reach + without,
        };
        (key(row), count)
    };
    rows(counted).iter().map(of).collect()
}

/// The same report in the other forms: the same cells, and nothing in those that are left out.
fn other_forms_say_the_same(attack: &Attack, path: &str, report: &Value) {
    let expected: Vec<_> = rows(report).iter().map(flat).collect();
    let bytes = |format: &str| {
        let (status, bytes) = attack.rig.bytes_as(&format!("{path}&format={format}"), &attack.tokens[0]);
        assert_eq!(status, 200, "{path} {format}");
        bytes
    };
    let read = read_by_engine(&attack.rig, &bytes("parquet"));
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
        [Some(K.to_string()), Some(STEP.to_string())],
        "{path}"
    );
}

/// What media share: each figure, and each that two of them leave, is of k devices or more.
fn no_overlap_is_small_nor_unrounded(attack: &Attack) {
    const FIGURES: [&str; 5] = ["reach", "unique", "stacked_reach", "incremental_reach", "shared"];
    let mut shown = 0;
    for (by, filter) in ["medium", "placement", "id_kind"].iter().flat_map(|by| [(by, "net"), (by, "gross")])
    {
        for last in DAYS {
            let path =
                format!("/v1/campaigns/ours/overlap?by={by}&filter={filter}&from={}&to={last}", DAYS[0]);
            let report = attack.ask(0, &path);
            let reach: BTreeMap<String, u64> =
                rows(&report).iter().filter_map(|row| Some((key(row), row["reach"].as_u64()?))).collect();
            for row in rows(&report) {
                assert_eq!(row["rounded"], true, "{path}: {row}");
                for (name, figure) in FIGURES.iter().filter_map(|name| Some((name, row[*name].as_u64()?))) {
                    assert!(figure % STEP == 0 && figure >= K, "{path} {name}: {row}");
                    shown += 1;
                }
                for member in row["members"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let (Some(one), Some(all)) = (reach.get(member), row["reach"].as_u64()) else { continue };
                    let rest = all - one;
                    assert!(rest == 0 || rest >= K, "{path}: {rest} of {row} are not of {member}");
                }
            }
        }
    }
    assert!(shown > 30, "{shown}");
}

#[test]
fn all_that_an_advertiser_may_ask_tells_no_small_and_no_unrounded_count() {
    let number = seed();
    let rig = rig();
    rig.push(&workload(&mut Random(number)));
    rig.settle();
    let make = |wanted: &Value| token(&rig, wanted).1;
    let advertiser = make(&json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}));
    let tokens = [advertiser, make(&json!({"name": "Audit", "role": "auditor"}))];
    let attack = Attack { rig, tokens, known: RefCell::default() };
    let (mut left_out, mut shown_rows) = (0, 0);
    for question @ (kind, by, filter) in questions() {
        let mut shorter: BTreeMap<String, Value> = BTreeMap::new();
        for last in DAYS {
            let range = format!("&from={}&to={last}", DAYS[0]);
            let path = format!("/v1/campaigns/ours/{kind}?by={by}&filter={filter}{range}");
            let [shown, counted] = attack.both(&path);
            assert_eq!(
                shown["privacy"],
                json!({"k": K, "device_step": STEP, "rounded": true,
                "suppressed_rows": rows(&shown).iter().filter(|row| row["suppressed"] == true).count()}),
                "{path}"
            );
            assert_eq!(
                (&shown["from"], &shown["to"]),
                (&counted["from"], &counted["to"]),
                "the same days are compared"
            );
            let name = |row: &Value| format!("{} {}", key(row), row["frequency"]);
            let counted_rows: BTreeMap<String, &Value> =
                rows(&counted).iter().map(|row| (name(row), row)).collect();
            for row in rows(&shown) {
                assert_eq!(row["rounded"], true, "{path}: {row}");
                assert!(row["suppressed"] == true || is_shown(row), "{path}: {row}");
                let name = name(row);
                if kind != "frequency" || row["or_more"] == false {
                    no_cell_is_unrounded_or_small(&path, row, counted_rows[&name]);
                } else {
                    // The last row takes in all above it, so it is another one than was counted; its devices are the N+.
                    no_cell_is_unrounded_or_small(
                        &path,
                        row,
                        &json!({"n_plus": counted_rows[&name]["n_plus"], "devices": counted_rows[&name]["n_plus"]}),
                    );
                    assert!(row["impressions"].as_u64().is_none_or(|hits| hits % STEP == 0), "{path}: {row}");
                }
                // A day longer: nothing between two multiples of the step.
                for column in OF_DEVICES {
                    if let (Some(now), Some(before)) =
                        (row[column].as_u64(), shorter.get(&name).and_then(|row| row[column].as_u64()))
                    {
                        assert_eq!(now.abs_diff(before) % STEP, 0, "{path} {column}");
                    }
                }
                if is_shown(row) { shown_rows += 1 } else { left_out += 1 }
            }
            no_row_is_small_nor_given_away(&path, &shown, &stands_for(&attack, question, &range, &counted));
            shorter = rows(&shown).iter().map(|row| (name(row), row.clone())).collect();
            if last == DAYS[1] && filter == "net" {
                other_forms_say_the_same(&attack, &path, &shown);
            }
        }
    }
    no_overlap_is_small_nor_unrounded(&attack);
    println!("{shown_rows} rows shown, {left_out} left out");
    assert!(
        left_out > 20 && shown_rows > 200,
        "the workload has too few small rows or large ones: {left_out}, {shown_rows}"
    );
}
