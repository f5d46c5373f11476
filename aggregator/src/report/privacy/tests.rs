//! Random campaigns, shaped, and an attacker who has one report and knows how it was shaped.
//!
//! The truth is counted here once more, device by device, so that the attacker's findings can be held against it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::report::cells::{exactly, ratio};
use crate::report::ids::IdsRow;
use crate::report::overlap::Masks;
use crate::report::reported::Behind;
use crate::report::rows::{DeliveryRow, FrequencyRow, ReachRow, Versions};
use crate::view::Sight;

/// Impressions by device, day and placement; device 0 is a hit without one.
#[derive(Clone, Debug)]
struct Campaign {
    hits: Vec<(u64, usize, usize)>,
}

const DAYS: usize = 4;
const PLACEMENTS: usize = 3;
const LEVELS: usize = 6;

impl Campaign {
    /// Devices of some hits with how often each was reached, and the hits without a device.
    fn devices(&self, of: impl Fn(usize, usize) -> bool) -> (BTreeMap<u64, u64>, u64) {
        let mut devices = BTreeMap::new();
        for (device, day, placement) in &self.hits {
            if of(*day, *placement) {
                *devices.entry(*device).or_insert(0) += 1;
            }
        }
        let without = devices.remove(&0).unwrap_or(0);
        (devices, without)
    }

    fn row(&self, key: String, of: impl Fn(usize, usize) -> bool) -> ReachRow {
        let (devices, without) = self.devices(of);
        let identified: u64 = devices.values().sum();
        let n_plus: Vec<u64> = (1..=LEVELS as u64)
            .map(|n| devices.values().filter(|times| **times >= n).count() as u64)
            .collect();
        let reach = devices.len() as u64;
        ReachRow {
            key,
            impressions: identified + without,
            identified_impressions: identified,
            without_device: without,
            identified_standard_error: 0.0,
            id_coverage: ratio(identified, identified + without),
            clicks: 0,
            reach,
            average_frequency: ratio(identified, reach),
            frequency_standard_error: 0.0,
            exactly: exactly(&n_plus),
            standard_error: vec![0.0; n_plus.len()],
            interval_low: n_plus.clone(),
            interval_high: n_plus.clone(),
            n_plus,
            exact: true,
            cumulative_reach: None,
            cumulative_low: None,
            cumulative_high: None,
            universe: None,
            reach_percent: None,
            grp: None,
            cost_per_point: None,
            settled_until: None,
        }
    }

    fn by_day(&self, days: usize) -> Vec<ReachRow> {
        let row = |day: usize| ReachRow {
            cumulative_reach: Some(self.devices(|of, _| of <= day).0.len() as u64),
            ..self.row(format!("2026-11-{:02}", day + 1), |of, _| of == day)
        };
        (0..days).map(row).collect()
    }

    fn by_placement(&self) -> Vec<ReachRow> {
        (0..PLACEMENTS).map(|placement| self.row(format!("p{placement}"), |_, of| of == placement)).collect()
    }

    fn frequency(&self) -> Vec<FrequencyRow> {
        let mut rows = Vec::new();
        for placement in 0..PLACEMENTS {
            let (devices, _) = self.devices(|_, of| of == placement);
            let most = devices.values().max().copied().unwrap_or(0);
            for frequency in 1..=most {
                let of = |n: u64| devices.values().filter(|times| **times >= n).count() as u64;
                rows.push(FrequencyRow {
                    key: format!("p{placement}"),
                    frequency: frequency as usize,
                    or_more: false,
                    devices: of(frequency) - of(frequency + 1),
                    n_plus: of(frequency),
                    impressions: (of(frequency) - of(frequency + 1)) * frequency,
                    standard_error: 0.0,
                    interval_low: of(frequency),
                    interval_high: of(frequency),
                    exact: true,
                    settled_until: None,
                });
            }
        }
        rows
    }
}

fn report(rows: Rows, by: &'static str) -> Report {
    Report {
        campaign: "c".to_owned(),
        kind: "reach",
        from: None,
        to: None,
        time_zone: "UTC".to_owned(),
        by,
        filter: "net",
        settled_until: None,
        provisional_days: Vec::new(),
        key_changes: Vec::new(),
        identified_impressions: rows.identified_impressions(),
        share: None,
        universe: None,
        universes: Vec::new(),
        region_libraries: None,
        closed: crate::report::closed::ClosedBy::Nothing,
        adjustment: None,
        versions: Versions { program: "1".into(), catalog: String::new(), rules: String::new() },
        levels: LEVELS,
        sight: Sight::shaped(),
        sample: Sample::ALL,
        masks: None,
        devices: BTreeMap::new(),
        compared: Behind::default(),
        rows,
    }
}

/// A report as it leaves: what an attacker has.
fn written(shaped: &Shaped) -> Value {
    let json = shaped.write(Form::Json, 0).expect("is written");
    serde_json::from_slice(&json).expect("JSON")
}

fn rows_of(shaped: &Shaped) -> Vec<Map<String, Value>> {
    let rows = written(shaped)["rows"].as_array().expect("rows").clone();
    rows.into_iter().map(|row| row.as_object().expect("a row").clone()).collect()
}

fn lines(rows: Rows, by: &'static str, limits: Limits) -> Vec<Map<String, Value>> {
    rows_of(&shape(report(rows, by), limits))
}

fn count(line: &Map<String, Value>, name: &str) -> Option<u64> {
    line[name].as_u64()
}

fn list(line: &Map<String, Value>, name: &str) -> Vec<Option<u64>> {
    line[name].as_array().expect("a list").iter().map(Value::as_u64).collect()
}

/// Campaigns of some hundred devices whose groups lie on either side of k: what is interesting happens at the edges.
fn campaigns() -> impl Strategy<Value = Campaign> {
    let group = (1..160_u64, prop::collection::vec((0..DAYS, 0..PLACEMENTS), 1..5));
    let without = prop::collection::vec((0..DAYS, 0..PLACEMENTS), 0..80);
    (prop::collection::vec(group, 1..7), without).prop_map(|(groups, without)| {
        let mut hits: Vec<_> = without.into_iter().map(|(day, placement)| (0, day, placement)).collect();
        let mut next = 1;
        for (size, seen) in groups {
            for device in next..next + size {
                hits.extend(seen.iter().map(|(day, placement)| (device, *day, *placement)));
            }
            next += size;
        }
        Campaign { hits }
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    prop::sample::select(vec![(50, 10), (50, 1), (7, 3), (20, 20), (1, 1)])
        .prop_map(|(k, step)| Limits::new(k, step))
}

/// Rows that are left out, and what they stand for.
fn left_out(lines: &[Map<String, Value>], truth: &[ReachRow]) -> Vec<u64> {
    let stands_for = |row: &ReachRow| row.reach + row.impressions - row.identified_impressions;
    lines
        .iter()
        .zip(truth)
        .filter(|(line, _)| line["impressions"].is_null())
        .map(|(_, row)| stands_for(row))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_row_below_k_and_none_that_the_others_give_away(campaign in campaigns(), limits in limits()) {
        for (truth, by) in [(campaign.by_placement(), "placement"), (campaign.by_day(DAYS), "day")] {
            let lines = lines(Rows::Reach(truth.clone()), by, limits);
            let stands_for: Vec<u64> =
                truth.iter().map(|row| row.reach + row.impressions - row.identified_impressions).collect();
            for (line, (row, stands_for)) in lines.iter().zip(truth.iter().zip(&stands_for)) {
                let is_shown = !line["impressions"].is_null();
                prop_assert!(!is_shown || *stands_for >= limits.k || row.impressions == 0);
                prop_assert_eq!(line["suppressed"].as_bool(), Some(line.values().any(Value::is_null) && line_hides(line)));
                if is_shown {
                    prop_assert_eq!(count(line, "impressions"), Some(row.impressions), "hits stay exact");
                }
            }
            // The total less what is shown: a sum in which at least k stand, or the only rows that there are.
            let left_out = left_out(&lines, &truth);
            let others = stands_for.iter().filter(|count| **count > 0).count() - left_out.len();
            prop_assert!(left_out.is_empty() || others == 0 || left_out.iter().any(|count| *count >= limits.k));
        }
    }

    #[test]
    fn no_device_count_is_unrounded_or_below_k_nor_is_a_difference_of_two(campaign in campaigns(), limits in limits()) {
        for (truth, by) in [(campaign.by_placement(), "placement"), (campaign.by_day(DAYS), "day")] {
            let lines = lines(Rows::Reach(truth.clone()), by, limits);
            for (line, row) in lines.iter().zip(&truth) {
                if row.impressions == 0 {
                    continue;
                }
                let shown = list(line, "n_plus");
                let counts = shown.iter().chain([count(line, "reach")].iter()).flatten().copied().collect::<Vec<_>>();
                prop_assert!(counts.iter().all(|count| count % limits.step == 0 && *count >= limits.k), "{:?}", line);
                prop_assert!(count(line, "identified_impressions").is_none_or(|count| count % limits.step == 0));
                // Every bucket between two N+ that are shown.
                let known: Vec<(usize, u64)> = shown.iter().enumerate().filter_map(|(n, shown)| Some((n, (*shown)?))).collect();
                for pair in known.windows(2) {
                    let [(from, more), (to, less)] = pair else { continue };
                    prop_assert!(row.n_plus[*from] - row.n_plus[*to] >= limits.k && more - less >= limits.k);
                }
                let exactly = list(line, "exactly");
                for (n, bucket) in exactly.iter().enumerate().filter_map(|(n, bucket)| Some((n, (*bucket)?))) {
                    prop_assert!(row.exactly[n] >= limits.k && bucket >= limits.k);
                }
                // What is shown is what there is, less than a step lower, and adds up.
                for (n, shown) in &known {
                    prop_assert!(row.n_plus[*n] - shown < limits.step);
                }
                if exactly.iter().all(Option::is_some) {
                    prop_assert_eq!(exactly.iter().flatten().sum::<u64>(), shown[0].unwrap_or(0));
                }
                if let (Some(reach), Some(identified)) = (count(line, "reach"), count(line, "identified_impressions")) {
                    prop_assert!(identified >= reach && identified <= row.impressions);
                    // The reader of JSON is right to the last bit but one.
                    let shown = line["average_frequency"].as_f64().expect("shown with the reach");
                    prop_assert!((shown - identified as f64 / reach as f64).abs() < 1e-9, "made of what is shown");
                }
            }
        }
    }

    #[test]
    fn cumulative_reach_tells_of_no_few_that_came_in_or_came_again(campaign in campaigns(), limits in limits()) {
        let truth = campaign.by_day(DAYS);
        let lines = lines(Rows::Reach(truth.clone()), "day", limits);
        let mut before: Option<usize> = None;
        for (day, line) in lines.iter().enumerate() {
            let Some(shown) = count(line, "cumulative_reach") else { continue };
            prop_assert!(shown % limits.step == 0 && shown >= limits.k);
            let known: BTreeSet<u64> = before.map_or(BTreeSet::new(), |before| campaign.devices(|of, _| of <= before).0.into_keys().collect());
            let now: BTreeSet<u64> = campaign.devices(|of, _| of <= day).0.into_keys().collect();
            let new = now.difference(&known).count() as u64;
            prop_assert!(new >= limits.k, "{} came in", new);
            let between = before.map_or(0, |before| before + 1)..=day;
            let reach: Option<u64> = between.clone().map(|day| count(&lines[day], "reach")).sum();
            let is_first = truth.iter().take(day).all(|row| row.impressions == 0);
            if reach.is_some() && !is_first {
                let again = between.map(|day| truth[day].reach).sum::<u64>() - new;
                prop_assert!(again >= limits.k, "{} came again", again);
            }
            before = Some(day);
        }
    }

    #[test]
    fn a_frequency_report_has_no_small_bucket_and_tells_no_count_by_its_impressions(campaign in campaigns(), limits in limits()) {
        let truth = campaign.frequency();
        let shaped = shape(report(Rows::Frequency(truth.clone()), "placement"), limits);
        let lines = rows_of(&shaped);
        let true_row = |key: &str, frequency: u64| {
            truth.iter().find(|row| row.key == key && row.frequency as u64 == frequency).expect("a row that was counted")
        };
        let mut last: Option<(String, u64, u64)> = None;
        for line in &lines {
            let (key, frequency) = (line["key"].as_str().expect("a key"), count(line, "frequency").expect("a frequency"));
            let row = true_row(key, frequency);
            if let Some(n_plus) = count(line, "n_plus") {
                prop_assert!(n_plus % limits.step == 0 && n_plus >= limits.k && row.n_plus - n_plus < limits.step);
                if let Some((_, from, _)) = last.as_ref().filter(|(of, ..)| of == key) {
                    prop_assert!(true_row(key, *from).n_plus - row.n_plus >= limits.k);
                }
                last = Some((key.to_owned(), frequency, n_plus));
            }
            let is_open = line["or_more"].as_bool() == Some(true);
            if let (Some(devices), Some(impressions)) = (count(line, "devices"), count(line, "impressions")) {
                prop_assert!(devices % limits.step == 0 && devices >= limits.k);
                prop_assert!(is_open || impressions == devices * frequency, "they would give the devices away");
                prop_assert!(impressions % limits.step == 0);
            }
        }
        // The last row that is shown of a key takes in all above: how often the most frequent device was reached stays unsaid.
        for (line, next) in lines.iter().zip(lines.iter().skip(1).map(Some).chain([None])) {
            let is_last = next.is_none_or(|next| next["key"] != line["key"]);
            prop_assert_eq!(line["or_more"].as_bool(), Some(is_last));
        }
        let shown: u64 = lines.iter().filter_map(|line| count(line, "impressions")).sum();
        prop_assert_eq!(written(&shaped)["identified_impressions"].as_u64(), Some(shown));
    }

    #[test]
    fn the_same_report_a_day_longer_differs_by_multiples_of_the_step(campaign in campaigns(), limits in limits()) {
        let total = |days: usize| lines(Rows::Reach(vec![campaign.row("total".to_owned(), |day, _| day < days)]), "total", limits);
        for days in 1..DAYS {
            let (short, long) = (total(days), total(days + 1));
            if let (Some(short), Some(long)) = (count(&short[0], "reach"), count(&long[0], "reach")) {
                prop_assert_eq!((long - short) % limits.step, 0);
            }
        }
        // What is asked twice comes out alike: no mean of many answers is nearer to the truth than one.
        prop_assert_eq!(total(DAYS), total(DAYS));
    }

    #[test]
    fn who_sees_everything_sees_it_as_it_was_counted(campaign in campaigns(), limits in limits()) {
        let truth = campaign.by_day(DAYS);
        let exact = Report { sight: Sight::exact(), ..report(Rows::Reach(truth.clone()), "day") };
        let expected: Value = serde_json::from_slice(&exact.table().write(Form::Json, 0).expect("is written")).expect("JSON");
        let mut found = written(&shape(exact, limits));
        for row in found["rows"].as_array_mut().expect("rows") {
            let row = row.as_object_mut().expect("a row");
            let marks = ["suppressed", "rounded"].map(|mark| row.remove(mark));
            prop_assert_eq!(marks, [Some(Value::Bool(false)), Some(Value::Bool(false))]);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn every_form_leaves_out_the_same(campaign in campaigns(), limits in limits()) {
        let shaped = shape(report(Rows::Reach(campaign.by_placement()), "placement"), limits);
        let csv = String::from_utf8(shaped.write(Form::Csv { mark: false }, 0).expect("is written")).expect("UTF-8");
        let mut cells = csv.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let header = cells.next().expect("a header");
        for (cells, row) in cells.zip(rows_of(&shaped)) {
            let mut flat = Vec::new();
            for (name, value) in &row {
                match value {
                    Value::Array(items) => flat.extend(items.iter().enumerate().map(|(n, item)| (format!("{name}_{}", n + 1), item))),
                    other => flat.push((name.clone(), other)),
                }
            }
            prop_assert_eq!(flat.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), header.clone());
            for ((name, value), cell) in flat.iter().zip(&cells) {
                prop_assert_eq!(value.is_null(), cell.is_empty(), "{}", name);
            }
        }
        // Typed forms know which columns may be empty.
        for form in [Form::Xlsx, Form::Parquet] {
            prop_assert!(shaped.write(form, 0).is_ok());
        }
    }
}

/// Whether one of the cells that can be left out is.
fn line_hides(line: &Map<String, Value>) -> bool {
    let is_hidden = |name: &str| match &line[name] {
        Value::Null => true,
        Value::Array(items) => items.contains(&Value::Null),
        _ => false,
    };
    let always = ["impressions", "reach", "n_plus", "exactly"];
    let has_cumulative = line.contains_key("cumulative_reach") && is_hidden("cumulative_reach");
    has_cumulative || always.iter().any(|name| is_hidden(name))
}

fn delivered(key: &str, net: u64, identified: u64) -> DeliveryRow {
    DeliveryRow {
        key: key.to_owned(),
        impressions: net,
        gross_impressions: net + 7,
        net_impressions: net,
        identified_impressions: identified,
        unidentified_impressions: net - identified,
        clicks: 3,
        ..DeliveryRow::default()
    }
}

fn shaped_delivery(rows: Vec<DeliveryRow>, devices: &[(&str, u64)]) -> Vec<Map<String, Value>> {
    let devices = devices.iter().map(|(key, devices)| ((*key).to_owned(), *devices)).collect();
    let report = Report { devices, ..report(Rows::Delivery(rows), "placement") };
    rows_of(&shape(report, Limits::new(50, 10)))
}

#[test]
fn a_delivery_row_stands_for_its_devices_and_hits_without_one() {
    let rows = vec![
        delivered("few", 1000, 1000),
        delivered("some", 900, 843),
        delivered("many", 5000, 4000),
        delivered("none", 60, 0),
    ];
    let lines = shaped_delivery(rows, &[("few", 3), ("some", 400), ("many", 2000)]);
    let shown: Vec<bool> = lines.iter().map(|line| !line["impressions"].is_null()).collect();
    assert_eq!(
        shown,
        [false, true, true, false],
        "three devices, and the smallest of the others beside them"
    );
    assert_eq!(lines[0]["key"], "few");
    assert!(lines[0]["removed_impressions"]["robot"].is_null() && lines[0]["clicks"].is_null());
    let some = &lines[1];
    assert_eq!((&some["impressions"], &some["clicks"]), (&900.into(), &3.into()), "hits stand exactly");
    assert_eq!(
        (&some["identified_impressions"], &some["unidentified_impressions"]),
        (&840.into(), &60.into())
    );
    assert_eq!((&some["rounded"], &some["suppressed"]), (&true.into(), &false.into()));
}

#[test]
fn few_hits_with_a_signal_are_left_out_with_what_would_give_them_away() {
    let mut row = delivered("a", 1000, 800);
    row.signals.gpc = 120;
    row.signals.child_directed = 2;
    row.signals.dnt = 70;
    row.withheld_impressions = 192;
    let lines = shaped_delivery(vec![row], &[("a", 700)]);
    let signals = &lines[0]["signals"];
    assert!(
        signals["child_directed"].is_null()
            && signals["dnt"].is_null()
            && lines[0]["withheld_impressions"].is_null()
    );
    assert_eq!((&signals["gpc"], &signals["gpp"]), (&120.into(), &0.into()));
    assert!(lines[0]["unidentified_impressions"].is_null());
    assert_eq!(lines[0]["suppressed"], true);
}

#[test]
fn counts_by_kind_of_id_are_rounded_and_none_is_small() {
    let mut row = IdsRow {
        key: "a".to_owned(),
        impressions: 1000,
        identified: 873,
        usable: 907,
        absent: 93,
        ..IdsRow::default()
    };
    row.identified_by_kind.change(|_| 0);
    row.device_risks.root = 4;
    row.device_risks.adb = 990;
    row.device_risks.hook = 100;
    let devices = [("a".to_owned(), 600)].into();
    let report = Report { devices, ..report(Rows::Ids(vec![row]), "placement") };
    let lines = rows_of(&shape(report, Limits::new(50, 10)));
    let line = &lines[0];
    assert_eq!(
        (&line["identified"], &line["usable"], &line["absent"]),
        (&870.into(), &900.into(), &100.into())
    );
    let risks = &line["device_risks"];
    assert!(
        risks["root"].is_null() && risks["adb"].is_null(),
        "those who have it, and those who have it not"
    );
    assert_eq!(risks["hook"], 100);
}

#[test]
fn an_empty_report_says_nothing_is_there_and_not_that_it_is_small() {
    let campaign = Campaign { hits: Vec::new() };
    let lines =
        lines(Rows::Reach(vec![campaign.row("total".to_owned(), |_, _| true)]), "total", Limits::new(50, 10));
    assert_eq!((&lines[0]["reach"], &lines[0]["suppressed"]), (&0.into(), &false.into()));
}

#[test]
fn k_counts_as_the_next_multiple_of_the_step() {
    assert_eq!(Limits::new(45, 10), Limits { k: 50, step: 10 });
    assert_eq!(Limits::new(0, 0), Limits { k: 1, step: 1 });
}

/// Devices of each placement of a campaign, as an overlap of them.
fn masks(campaign: &Campaign) -> Masks {
    let mut of_device: BTreeMap<u64, u32> = BTreeMap::new();
    for (device, _, placement) in campaign.hits.iter().filter(|(device, ..)| *device != 0) {
        *of_device.entry(*device).or_insert(0) |= 1 << placement;
    }
    let names = (0..PLACEMENTS).map(|placement| format!("p{placement}")).collect();
    Masks::new(names, Vec::new(), of_device.into_values().map(|mask| (mask, 1)))
}

fn overlap_of(campaign: &Campaign, sample: Sample, limits: Limits) -> Shaped {
    let masks = masks(campaign);
    let rows = Rows::Overlap(masks.rows(sample, None));
    shape(Report { masks: Some(masks), sample, ..report(rows, "placement") }, limits)
}

/// Of three members with all their pairs every set of devices can be computed: those of one alone, of two and not the third, of all three.
fn every_set(lines: &[Map<String, Value>]) -> Option<Vec<u64>> {
    let reach = |key: &str| {
        let line = lines.iter().find(|line| line["key"] == key)?;
        // Nothing there and left out are the same to whoever computes: both come out as none.
        Some(count(line, "reach").unwrap_or(0))
    };
    let [a, b, c] = [reach("p0")?, reach("p1")?, reach("p2")?];
    // Either of two of whom one is left out is the other.
    let either = |key: &str, one: u64, other: u64| Some(reach(key)?.max(one).max(other));
    let [ab, ac, bc] = [either("p0 + p1", a, b)?, either("p0 + p2", a, c)?, either("p1 + p2", b, c)?];
    let all = reach("all")?;
    let everywhere = (all + a + b + c).checked_sub(ab + ac + bc)?;
    let two = [a + b - ab - everywhere, a + c - ac - everywhere, b + c - bc - everywhere];
    Some([vec![all - bc, all - ac, all - ab], two.to_vec(), vec![everywhere]].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_set_of_devices_that_an_overlap_tells_is_below_k(campaign in campaigns(), limits in limits(), weight in prop::sample::select(vec![1_u64, 1, 4])) {
        let sample = Sample::one_in(weight);
        let shaped = overlap_of(&campaign, sample, limits);
        let (k, step) = (limits.k * weight, limits.step * weight);
        let lines = rows_of(&shaped);
        let names = ["reach", "unique", "stacked_reach", "incremental_reach", "shared"];
        for line in &lines {
            prop_assert_eq!(&line["rounded"], &Value::Bool(true));
            for name in names {
                let figure = count(line, name);
                prop_assert!(figure.is_none_or(|devices| devices >= k && devices % step == 0), "{} of {:?}", name, line);
                prop_assert_eq!(figure.is_none(), line["interval_low"][name].is_null());
            }
            let figures: Vec<u64> = names.iter().filter_map(|name| count(line, name)).collect();
            for (one, other) in figures.iter().flat_map(|one| figures.iter().map(move |other| (*one, *other))) {
                // A part and its whole: what lies between them is devices too.
                prop_assert!(one == other || one.abs_diff(other) >= k, "{:?}", line);
            }
        }
        let sets = every_set(&lines).expect("three members");
        prop_assert!(sets.iter().all(|devices| *devices == 0 || (*devices >= k && devices % step == 0)), "{:?}", sets);
        prop_assert_eq!(lines, rows_of(&overlap_of(&campaign, sample, limits)), "the same again");
    }

    /// A sample is shown where k devices of the sample stand behind it: there are more behind them.
    #[test]
    fn an_estimate_stands_on_k_devices_that_were_counted(campaign in campaigns(), limits in limits()) {
        let sample = Sample::one_in(16);
        let estimate = |row: ReachRow| ReachRow {
            n_plus: row.n_plus.iter().map(|n| n * 16).collect(),
            reach: row.reach * 16,
            without_device: row.impressions - row.identified_impressions,
            exact: false,
            ..row
        };
        let truth = campaign.by_placement();
        let estimates = truth.iter().cloned().map(estimate).collect();
        let shaped = shape(Report { sample, ..report(Rows::Reach(estimates), "placement") }, limits);
        for (line, row) in rows_of(&shaped).iter().zip(&truth).filter(|(_, row)| row.impressions > 0) {
            for (shown, counted) in list(line, "n_plus").into_iter().zip(&row.n_plus) {
                prop_assert!(shown.is_none_or(|shown| shown % (16 * limits.step) == 0 && *counted >= limits.k), "{:?}", line);
            }
        }
    }
}

/// What a sample missed has devices all the same: their hits do not stand for themselves.
#[test]
fn hits_of_devices_that_a_sample_missed_are_not_taken_for_hits_without_one() {
    let row = |key: &str, impressions: u64, (reach, without_device): (u64, u64)| ReachRow {
        key: key.to_owned(),
        impressions,
        reach,
        identified_impressions: reach * 3,
        without_device,
        n_plus: vec![reach],
        ..ReachRow::default()
    };
    let sample = Sample::one_in(16);
    // Thirty devices, of which the sample has none; many; nobody, but hits without a device.
    let rows = vec![row("few", 2_000, (0, 0)), row("many", 9_000, (3_200, 0)), row("none", 900, (0, 900))];
    let shaped = shape(Report { sample, ..report(Rows::Reach(rows), "placement") }, Limits::new(50, 10));
    let shown: Vec<bool> = rows_of(&shaped).iter().map(|line| !line["impressions"].is_null()).collect();
    assert_eq!(shown, [false, true, false], "and the smallest other one with it");
    let rows = vec![row("many", 9_000, (3_200, 0)), row("none", 900, (0, 900))];
    let shaped = shape(Report { sample, ..report(Rows::Reach(rows), "placement") }, Limits::new(50, 10));
    assert!(rows_of(&shaped).iter().all(|line| !line["impressions"].is_null()));
}

#[test]
fn what_an_estimate_may_be_off_by_does_not_give_its_sample_away() {
    let row = ReachRow {
        key: "a".to_owned(),
        impressions: 9_000,
        reach: 3_200,
        identified_impressions: 8_000,
        identified_standard_error: 387.298_334,
        frequency_standard_error: 0.123_456,
        n_plus: vec![3_200],
        ..ReachRow::default()
    };
    let report = |row| Report { sample: Sample::one_in(16), ..report(Rows::Reach(vec![row]), "placement") };
    let line = &rows_of(&shape(report(row), Limits::new(50, 10)))[0];
    assert_eq!(
        (&line["identified_standard_error"], &line["frequency_standard_error"]),
        (&390.0.into(), &0.12.into())
    );
}

#[test]
fn few_known_by_other_forms_than_sha_are_not_told() {
    let sha_of = |sha_only: u64| {
        let row =
            IdsRow { key: "a".to_owned(), impressions: 1000, identified: 873, sha_only, ..IdsRow::default() };
        let devices = [("a".to_owned(), 600)].into();
        let report = Report { devices, ..report(Rows::Ids(vec![row]), "placement") };
        rows_of(&shape(report, Limits::new(50, 10)))[0]["sha_only"].clone()
    };
    assert_eq!(
        [0, 49, 437, 823, 824, 873].map(sha_of),
        [json!(0), Value::Null, json!(430), json!(820), Value::Null, json!(870)]
    );
}
