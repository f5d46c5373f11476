//! The difference attack on what is closed and on what media say: a closed report, its adjustment and the present one beside each other, and numbers that a
//! medium chooses so that what stands beside them cuts a row.
#![allow(
    clippy::format_collect,
    clippy::too_many_lines,
    reason = "short texts, and one attack from its beginning to its end"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Asker, DAYS, K, OF_DEVICES, OURS, PLACEMENTS, Question, STEP, is_shown, key,
    no_cell_is_unrounded_or_small, no_row_is_small_nor_given_away, questions, rig, rows, workload,
};
use crate::access::bearer;
use crate::rig::{DAY_MS, Hit, NOON_MS, Random, Rig, TOKEN, seed};

const CLOSINGS: &str = "/v1/campaigns/ours/closings";
/// Figures of an overlap that are sums over sets of members.
const OF_SETS: [&str; 4] = ["unique", "shared", "stacked_reach", "incremental_reach"];
const NUMBERS: &str = "/v1/campaigns/ours/media-numbers";

fn advertiser(rig: &Rig) -> Asker<'_> {
    Asker::new(rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}), OURS)
}

fn name(row: &Value) -> String {
    format!("{} {} {}", row["kind"], key(row), row["frequency"])
}

/// A closed report and the present one are all that there is to hold against each other; what stands between the two is no more.
fn adjustments_tell_no_more(path: &str, closed: &Value, present: &Value) -> usize {
    let why = &closed["adjustment"];
    assert!(why["late_hits"].as_u64().is_none_or(|hits| hits >= K && hits % K == 0), "{path}: {why}");
    assert!(why["erased_hits"].is_null() && why["catalog"].is_null(), "{path}: {why}");
    let now: BTreeMap<String, &Value> = rows(present).iter().map(|row| (name(row), row)).collect();
    let mut told = 0;
    for row in rows(closed) {
        let after = now.get(&name(row));
        for (column, change) in row["adjustment"].as_object().expect("an adjustment") {
            let Some(change) = change.as_i64() else { continue };
            let figure = |of: &Value| match (column.strip_prefix("removed_"), column.strip_prefix("stages_"))
            {
                (Some(removed), _) => {
                    let (stage, reason) = removed.split_once('_').expect("a reason");
                    of[format!("removed_{stage}")][reason].as_i64()
                }
                (None, Some(stage)) => of["stages"][stage].as_i64(),
                (None, None) => of[column.as_str()].as_i64(),
            };
            // A row that is not there has nothing in it; a figure that is left out of one that is has no adjustment.
            let before = if row["settled_until"].is_null() { Some(0) } else { figure(row) };
            let after = after.map_or(Some(0), |after| figure(after));
            let (Some(before), Some(after)) = (before, after) else {
                panic!("{path}: {column} of {row} is adjusted, and left out")
            };
            assert_eq!(before + change, after, "{path}: {column} of {row}");
            assert!(change == 0 || change.unsigned_abs() >= K, "{path}: {column} of {row}");
            let is_of_devices = OF_DEVICES.contains(&column.as_str()) || OF_SETS.contains(&column.as_str());
            assert!(!is_of_devices || change.unsigned_abs() % STEP == 0, "{path}: {column} of {row}");
            told += usize::from(change != 0);
        }
    }
    told
}

#[test]
fn closed_figures_and_their_adjustments_tell_no_small_and_no_unrounded_count() {
    let random = &mut Random(seed() + 1);
    let rig = rig();
    let asker = advertiser(&rig);
    let body = json!({"from": DAYS[0], "to": DAYS[1], "note": "between us"}).to_string();
    let (status, made) = rig.send_as("POST", CLOSINGS, Some(&format!("Bearer {TOKEN}")), &body);
    assert_eq!(status, 201, "{made}");
    // Half as much again comes late, by devices of then and others.
    rig.clock.advance_ms(DAY_MS);
    let late = workload(random).into_iter().step_by(2);
    let late: Vec<Hit> = late
        .map(|hit| Hit { received_ms: NOON_MS + DAY_MS - 1000, view: hit.view + 500_000, ..hit })
        .collect();
    rig.push(&late);
    rig.settle();
    let medium = bearer(&rig, &json!({"name": "B", "role": "medium", "media": ["B"]}));
    let range = format!("&from={}&to={}", DAYS[0], DAYS[1]);
    let (mut shown_rows, mut left_out, mut told) = (0, 0, 0);
    for question in questions() {
        let Question { kind, by, filter, more } = question;
        // An estimate of a closed period is the count.
        if !more.is_empty() {
            continue;
        }
        let path = format!("/v1/campaigns/ours/{kind}?by={by}&filter={filter}{range}");
        let (shown, counted) = (asker.shown(&path), asker.counted(&path));
        assert_eq!(shown["closed"]["version"], 1, "{path}");
        let truth: BTreeMap<String, &Value> = rows(&counted).iter().map(|row| (name(row), row)).collect();
        for row in rows(&shown) {
            if kind != "frequency" || row["or_more"] == false {
                no_cell_is_unrounded_or_small(&path, (row, truth[&name(row)]), 1);
            }
            if is_shown(row) { shown_rows += 1 } else { left_out += 1 }
        }
        no_row_is_small_nor_given_away(&path, &shown, &asker.stands_for(question, &range, &counted));
        told += adjustments_tell_no_more(&path, &shown, &asker.shown(&format!("{path}&state=present")));
        let [closed, present] =
            ["", "&state=present"].map(|state| asker.ask(&format!("{path}{state}"), &medium));
        told += adjustments_tell_no_more(&path, &closed, &present);
    }
    for (by, who) in
        ["medium", "placement", "id_kind"].iter().flat_map(|by| [(by, &asker.bearer), (by, &medium)])
    {
        let path = format!("/v1/campaigns/ours/overlap?by={by}{range}");
        let closed = asker.ask(&path, who);
        // Held against the same members; each stacks as it is shown.
        let members = rows(&closed).iter().filter(|row| row["kind"] == "member").map(key);
        // Pairs are called by the order of their members.
        let members: Vec<&str> = members.collect::<BTreeSet<_>>().into_iter().collect();
        let present = asker.ask(&format!("{path}&state=present&members={}", members.join(",")), who);
        for row in rows(&closed) {
            for figure in OF_SETS.iter().chain(&["reach"]) {
                let is_safe = row[*figure].as_u64().is_none_or(|devices| devices >= K && devices % STEP == 0);
                assert!(is_safe, "{path} {figure}: {row}");
            }
        }
        told += adjustments_tell_no_more(&path, &closed, &present);
    }
    for who in [&asker.bearer, &medium] {
        let listed = asker.ask(CLOSINGS, who)["closings"][0].clone();
        assert!(listed["rows"].is_null() && listed["versions"]["catalog"].is_null(), "{listed}");
    }
    println!("{shown_rows} rows shown, {left_out} left out, {told} figures adjusted");
    assert!(shown_rows > 100 && left_out > 10 && told > 100, "{shown_rows} {left_out} {told}");
}

/// What stands in each placement's day, net: impressions, and devices with hits without one.
fn cells(asker: &Asker<'_>) -> BTreeMap<(String, &'static str), (u64, u64)> {
    let mut cells = BTreeMap::new();
    for day in DAYS {
        let path = format!("/v1/campaigns/ours/reach?by=placement&levels=1&from={day}&to={day}");
        for row in rows(&asker.counted(&path)) {
            let count = |name: &str| row[name].as_u64().expect(name);
            let stands_for = count("reach") + count("impressions") - count("identified_impressions");
            cells.insert((key(row).to_owned(), day), (count("impressions"), stands_for));
        }
    }
    cells
}

#[test]
fn numbers_that_are_chosen_to_cut_a_row_get_no_part_of_it_that_is_too_small() {
    let random = &mut Random(seed());
    let rig = rig();
    let asker = advertiser(&rig);
    let truth = cells(&asker);
    let medium_of: BTreeMap<&str, &str> = PLACEMENTS.into_iter().collect();
    let media = ["A", "B", "C", "D"]
        .map(|name| (name, bearer(&rig, &json!({"name": name, "role": "medium", "media": [name]}))));
    let (mut shown, mut left_out) = (0, 0);
    for _ in 0..12 {
        let said: Vec<(&str, &str)> = PLACEMENTS
            .iter()
            .flat_map(|(placement, _)| DAYS.map(|day| (*placement, day)))
            .filter(|_| random.below(2) == 0)
            .collect();
        for (name, bearer) in &media {
            let of_medium = said.iter().filter(|(placement, _)| medium_of[placement] == *name);
            let lines: String =
                of_medium.map(|(placement, day)| format!("{placement},{day},77,1\n")).collect();
            let body = format!("placement,day,imp,clicks\n{lines}");
            let (status, answer) =
                rig.send_as("PUT", &format!("{NUMBERS}?existing=replace"), Some(bearer), &body);
            assert_eq!(status, if lines.is_empty() { 422 } else { 200 }, "{answer}");
        }
        // A medium that gave nothing this time stands by what it gave before.
        let said: Vec<(String, String)> = ["A", "B", "C", "D"]
            .iter()
            .flat_map(|name| {
                let given = asker.ask(&format!("{NUMBERS}?medium={name}"), &asker.auditor);
                let text = |row: &Value, name: &str| row[name].as_str().expect("text").to_owned();
                let rows = given["rows"].as_array().cloned().unwrap_or_default();
                rows.iter().map(|row| (text(row, "placement"), text(row, "day"))).collect::<Vec<_>>()
            })
            .collect();
        let (name, bearer) = &media[1];
        for (who, only) in [(&asker.bearer, None), (bearer, Some(*name))] {
            for by in ["total", "day", "placement", "medium"] {
                let path = format!("/v1/campaigns/ours/delivery?by={by}&from={}&to={}", DAYS[0], DAYS[1]);
                for row in rows(&asker.ask(&path, who)) {
                    let is_of = |(placement, day): &(String, &str)| match by {
                        "day" => key(row) == *day,
                        "placement" => key(row) == placement,
                        "medium" => key(row) == medium_of[placement.as_str()],
                        _ => true,
                    };
                    let is_seen =
                        |cell: &(String, &str)| only.is_none_or(|only| medium_of[cell.0.as_str()] == only);
                    let of_row = truth.iter().filter(|(cell, _)| is_of(cell) && is_seen(cell));
                    let is_said = |cell: &(String, &str)| {
                        said.iter().any(|(placement, day)| *placement == cell.0 && day == cell.1)
                    };
                    let (compared, rest): (Vec<_>, Vec<_>) = of_row.partition(|(cell, _)| is_said(cell));
                    let most = |cells: &[(_, &(u64, u64))]| {
                        cells.iter().map(|(_, (_, stands_for))| *stands_for).max()
                    };
                    let Some(ours) = row["compared_impressions"].as_u64() else {
                        left_out += usize::from(row["reported_impressions"].is_u64());
                        assert!(row["gap"].is_null(), "{path}: {row}");
                        continue;
                    };
                    assert_eq!(
                        ours,
                        compared.iter().map(|(_, (hits, _))| hits).sum::<u64>(),
                        "{path}: {row}"
                    );
                    let is_whole = rest.iter().all(|(_, (hits, _))| *hits == 0);
                    let is_safe =
                        [most(&compared), most(&rest)].iter().all(|most| most.is_some_and(|most| most >= K));
                    assert!(is_whole || ours == 0 || is_safe, "{path}: {row} {compared:?} {rest:?}");
                    shown += 1;
                }
            }
            for (other, _) in &media {
                let given = asker.ask(&format!("{NUMBERS}?medium={other}"), who);
                assert!(only.is_none_or(|only| only == *other) || given["rows"].is_null(), "{given}");
            }
        }
    }
    println!("{shown} shown, {left_out} left out");
    assert!(shown > 50 && left_out > 5, "{shown} {left_out}");
}
