//! Overlap of media, placements and kinds of id: each figure by sets of devices in plain code, and what is refused.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use event::identifier::IdKind;
use event::stage::Stage;
use serde_json::{Value, json};

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, hit};

/// Devices of each member.
pub(crate) type Sets = BTreeMap<String, BTreeSet<u64>>;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn union<'s>(sets: impl IntoIterator<Item = &'s BTreeSet<u64>>) -> BTreeSet<u64> {
    sets.into_iter().flatten().copied().collect()
}

fn names(row: &Value) -> Vec<&str> {
    row["members"].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect()
}

/// Holds the rows of an overlap against sets, and against the identities of every overlap.
///
/// The sets hold the devices that were counted, each of which stands for `weight`.
pub(crate) fn check_rows(rows: &[Value], sets: &Sets, weight: u64) {
    let of_kind = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).collect::<Vec<_>>();
    let (members, pairs) = (of_kind("member"), of_kind("pair"));
    assert_eq!((members.len(), pairs.len()), (sets.len(), sets.len() * sets.len().saturating_sub(1) / 2));
    let mut before: Vec<&BTreeSet<u64>> = Vec::new();
    for (row, position) in members.iter().zip(1_u64..) {
        let key = row["key"].as_str().expect("a key");
        assert_eq!(names(row), [key]);
        let set = &sets[key];
        let others = union(sets.iter().filter(|(name, _)| *name != key).map(|(_, set)| set));
        let earlier = union(before.iter().copied());
        assert_eq!(number(&row["reach"]), weight * set.len() as u64, "{row}");
        assert_eq!(number(&row["unique"]), set.difference(&others).count() as u64 * weight, "{row}");
        assert_eq!(
            number(&row["incremental_reach"]),
            set.difference(&earlier).count() as u64 * weight,
            "{row}"
        );
        before.push(set);
        assert_eq!(
            number(&row["stacked_reach"]),
            union(before.iter().copied()).len() as u64 * weight,
            "{row}"
        );
        assert_eq!((number(&row["stack_position"]), &row["shared"]), (position, &Value::Null));
    }
    let reach: HashMap<&str, u64> =
        members.iter().map(|row| (row["key"].as_str().expect("a key"), number(&row["reach"]))).collect();
    for row in pairs {
        let [one, other] = names(row)[..] else { panic!("{row}") };
        assert_eq!(
            number(&row["shared"]),
            sets[one].intersection(&sets[other]).count() as u64 * weight,
            "{row}"
        );
        assert_eq!(number(&row["reach"]), reach[one] + reach[other] - number(&row["shared"]));
        assert!(number(&row["reach"]) >= reach[one].max(reach[other]));
        assert!(row["unique"].is_null() && row["stack_position"].is_null());
    }
    let all = rows.last().expect("a row of all");
    assert_eq!(
        (&all["kind"], number(&all["reach"])),
        (&json!("all"), weight * union(sets.values()).len() as u64)
    );
    assert_eq!(names(all).into_iter().collect::<BTreeSet<_>>(), sets.keys().map(String::as_str).collect());
    for row in rows {
        assert_eq!(row["exact"], weight == 1);
        let error = (number(&row["reach"]) as f64 * (weight - 1) as f64).sqrt();
        assert!((row["standard_error"].as_f64().expect("a number") - error).abs() < 1e-9 * (1.0 + error));
        for name in ["reach", "unique", "stacked_reach", "incremental_reach", "shared"] {
            let (low, high) = (&row["interval_low"][name], &row["interval_high"][name]);
            let Some(figure) = row[name].as_u64() else {
                assert!(low.is_null() && high.is_null() && row[name].is_null());
                continue;
            };
            assert!((number(low)..=number(high)).contains(&figure), "{name} of {row}");
            assert!(weight > 1 || low == high, "{name} of {row}");
        }
    }
}

/// 30 devices on p1, of which 1 to 10 on p2 too, and 21 to 25 on p3, which is of p1's medium; 41 to 50 on p2 alone.
fn traffic() -> Vec<Hit> {
    let on = |placement, devices: std::ops::RangeInclusive<u64>, time_ms: i64| {
        devices.map(move |device| Hit { placement, device: Some(device), ..hit(time_ms + device as i64) })
    };
    let yesterday = NOON_MS - DAY_MS;
    let mut hits: Vec<Hit> = on("p1", 1..=30, yesterday).collect();
    hits.extend(on("p2", 1..=10, yesterday - DAY_MS));
    hits.extend(on("p2", 41..=50, NOON_MS - 1_000));
    hits.extend(on("p3", 21..=25, yesterday));
    // Who only clicked, or is nobody, was not reached.
    hits.extend(on("p2", 100..=110, yesterday).map(|hit| Hit { stage: Stage::Click, ..hit }));
    hits.push(hit(yesterday));
    hits
}

#[test]
fn media_stacked_by_what_they_add_or_as_asked_for() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.load();
    let set =
        |ranges: &[std::ops::RangeInclusive<u64>]| ranges.iter().cloned().flatten().collect::<BTreeSet<_>>();
    let a = ("Medium A".to_owned(), set(&[1..=30]));
    let b = ("Medium B".to_owned(), set(&[1..=10, 41..=50]));
    let placements: Sets = [("p1", set(&[1..=30])), ("p2", b.1.clone()), ("p3", set(&[21..=25]))]
        .map(|(name, set)| (name.to_owned(), set))
        .into();
    for settled in [false, true] {
        let rows = rig.rows("utc/overlap");
        check_rows(&rows, &[a.clone(), b.clone()].into(), 1);
        let stack: Vec<&Value> =
            rows.iter().filter(|row| row["kind"] == "member").map(|row| &row["key"]).collect();
        assert_eq!(stack, ["Medium A", "Medium B"], "settled: {settled}");
        let rows = rig.rows("utc/overlap?stack=Medium%20B");
        assert_eq!((&rows[0]["key"], &rows[1]["incremental_reach"]), (&json!("Medium B"), &json!(20)));
        check_rows(&rig.rows("utc/overlap?by=placement"), &placements, 1);
        let two = placements.clone().into_iter().filter(|(name, _)| name != "p2").collect::<Sets>();
        let rows = rig.rows("utc/overlap?by=placement&members=p3,p1&stack=p3,p1");
        check_rows(&rows, &two, 1);
        assert_eq!((&rows[1]["key"], &rows[1]["incremental_reach"]), (&json!("p1"), &json!(25)));
        // In a stack of two days each is of these days.
        let rows = rig.rows("utc/overlap?from=2026-11-20");
        assert_eq!((rows.len(), &rows[0]["reach"]), (2, &json!(10)), "{rows:?}");
        rig.settle();
    }
    assert_eq!(rig.report("utc/overlap")["sample"], Value::Null);
    // Without anybody there is nobody to compare.
    let rows = rig.rows("utc/overlap?from=2026-11-01&to=2026-11-02");
    assert_eq!((rows.len(), &rows[0]["reach"], &rows[0]["members"]), (1, &json!(0), &json!([])));
    let rows = rig.rows("utc/overlap?from=2026-11-01&to=2026-11-02&members=Medium%20A,Medium%20B");
    check_rows(&rows, &[("Medium A".to_owned(), set(&[])), ("Medium B".to_owned(), set(&[]))].into(), 1);
}

#[test]
fn kinds_of_id_share_nobody_and_robots_stay_out_of_net() {
    let rig = Rig::new();
    let robot =
        Hit { agent: "SOME-BOT/1.0".to_owned(), placement: "p2", device: Some(1), ..hit(NOON_MS - DAY_MS) };
    let kind = |device, kind| Hit { device: Some(device), kind, ..hit(NOON_MS - DAY_MS) };
    rig.push(&[kind(1, IdKind::Oaid), kind(2, IdKind::Oaid), kind(3, IdKind::Imei), robot]);
    rig.settle();
    let sets = |members: &[(&str, &[u64])]| {
        members
            .iter()
            .map(|(name, set)| ((*name).to_owned(), set.iter().copied().collect()))
            .collect::<Sets>()
    };
    check_rows(&rig.rows("utc/overlap?by=id_kind"), &sets(&[("oaid", &[1, 2]), ("imei", &[3])]), 1);
    check_rows(&rig.rows("utc/overlap"), &sets(&[("Medium A", &[1, 2, 3])]), 1);
    check_rows(
        &rig.rows("utc/overlap?filter=gross"),
        &sets(&[("Medium A", &[1, 2, 3]), ("Medium B", &[1])]),
        1,
    );
}

#[test]
fn placements_that_left_the_catalog_are_still_told_apart() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    let before = rig.rows("utc/overlap?by=placement");
    rig.set_catalog(&crate::rig::CATALOG.replace("id = \"p2\"", "id = \"p9\""));
    assert_eq!(rig.rows("utc/overlap?by=placement"), before);
    let keys: Vec<Value> = rig.rows("utc/overlap").iter().map(|row| row["key"].clone()).collect();
    assert_eq!(keys, ["Medium A", "unknown", "Medium A + unknown", "all"]);
}

#[test]
fn what_no_overlap_can_be_made_of_is_refused() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    for (query, word) in [
        ("by=total", "placement, medium, id_kind"),
        ("by=day", "placement, medium, id_kind"),
        ("members=Medium%20C", "Medium A, Medium B"),
        ("members=Medium%20A,Medium%20A", "twice"),
        ("members=", "Medium A"),
        ("members=Medium%20A&stack=Medium%20B", "which members does not"),
        ("levels=3", "allowed are"),
        ("precision=all", "auto, exact, sampled"),
    ] {
        let (status, body) = rig.call("GET", &format!("/v1/campaigns/utc/overlap?{query}"));
        assert!(status == 400 && body.contains(word), "{query}: {status} {body}");
    }
    let (status, body) = rig.call("GET", "/v1/campaigns/utc/overlap?filter=total_net");
    assert!(status == 422 && body.contains("sophisticated invalid traffic is not judged"), "{body}");
    for kind in ["delivery", "reach", "frequency", "ids"] {
        let (status, body) = rig.call("GET", &format!("/v1/campaigns/utc/{kind}?filter=total_net"));
        assert!(status == 422 && body.contains("use net or gross"), "{kind}: {body}");
    }
}

#[test]
fn every_form_of_an_overlap_has_its_columns() {
    let rig = Rig::new();
    rig.push(&traffic());
    rig.settle();
    let (_, csv) = rig.call("GET", "/v1/campaigns/utc/overlap?format=csv&bom=false");
    let mut lines = csv.lines();
    let header = lines.next().expect("a header");
    assert!(header.starts_with("key,kind,members_1,members_2,reach,unique,stack_position,stacked_reach,incremental_reach,shared,standard_error,interval_low_reach"), "{header}");
    assert!(
        lines.next().is_some_and(
            |line| line.starts_with("Medium A,member,Medium A,,30,20,1,30,30,,0.0,30,20,30,30,,")
        ),
        "{csv}"
    );
    for form in ["xlsx", "parquet"] {
        let (status, bytes) = rig.bytes(&format!("/v1/campaigns/utc/overlap?format={form}"));
        assert!(status == 200 && bytes.len() > 1000, "{form}");
    }
}
