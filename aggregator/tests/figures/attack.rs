//! A difference attack: what the tokens of an advertiser and of a medium may ask, all of it, held against what was counted.
//!
//! The truth is the same report as an auditor is shown it; of what a medium is shown, that of another campaign which had the medium's hits alone. Looked
//! for are device counts that are not rounded, cells in which fewer than k devices stand, and rows that the others of their report give away, in every
//! form; and that the same report a day longer tells no more.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::access::token;
use crate::rig::{Random, Rig, seed, unhurried};
use aggregator::Settings;

mod ledger;
mod looks;
mod workload;

use self::looks::{
    OF_DEVICES, is_shown, key, no_cell_is_unrounded_or_small, no_row_is_small_nor_given_away,
    other_forms_say_the_same, rows, the_workbook_says_no_more,
};
pub(crate) use self::workload::{PLACEMENTS, workload};

const K: u64 = 50;
const STEP: u64 = 10;
const DAYS: [&str; 2] = ["2026-11-16", "2026-11-17"];
/// The campaign that is asked about.
const OURS: &str = "ours";
/// The one with the hits of one of its media alone.
const TWIN: &str = "twin";
const TWIN_MEDIUM: &str = "A";

fn catalog() -> String {
    let placement = |(id, medium): &(&str, &str)| {
        format!(
            "[[campaign.placement]]\nid = \"{id}\"\nname = \"{id}\"\nmedium = \"{medium}\"\n\
             plan = [{{ from = 2026-11-16, to = 2026-11-17, impressions = 1 }}]\n"
        )
    };
    let campaign = |id: &str, advertiser: &str, rest: &str| {
        let head = format!(
            "[[campaign]]\nid = \"{id}\"\nname = \"{id}\"\ntime_zone = \"UTC\"\nadvertiser = \"{advertiser}\"\n"
        );
        head + rest + &PLACEMENTS.iter().map(placement).collect::<String>()
    };
    let universe = |of: &str, persons: u32| {
        format!("[[campaign.universe]]\n{of}persons = {persons}\nsource = \"Panel\"\ndate = 2026-06-30\n")
    };
    let universes =
        universe("", 5_000) + &universe("audience = \"f25\"\n", 700) + &universe("region = \"CN-31\"\n", 900);
    campaign(OURS, "acme", &universes) + &campaign(TWIN, "globex", "")
}

fn rig() -> Rig {
    let settings = Settings { sample_device_days: 300, ..unhurried() };
    let rig = Rig::with(&catalog(), settings);
    let hits = workload(&mut Random(seed()));
    rig.push(&workload::twin(&hits));
    rig.push(&hits);
    rig.settle();
    rig
}

/// A report that is asked for.
#[derive(Clone, Copy)]
struct Question {
    kind: &'static str,
    by: &'static str,
    filter: &'static str,
    /// What else is asked.
    more: &'static str,
}

/// What is asked: every report but overlap, counted and, where that is offered, estimated.
fn questions() -> Vec<Question> {
    let mut questions = Vec::new();
    for kind in ["delivery", "reach", "frequency", "ids"] {
        for by in ["total", "day", "placement", "medium", "creative", "region", "platform", "hour", "id_kind"]
        {
            let is_of_ids = !["creative", "region", "hour", "id_kind"].contains(&by);
            if (kind == "ids" && !is_of_ids) || (kind == "delivery" && by == "id_kind") {
                continue;
            }
            let is_estimated = ["reach", "frequency"].contains(&kind)
                && ["total", "day", "placement", "medium", "id_kind"].contains(&by);
            let more: &[&str] = match is_estimated {
                true if by == "total" => &["", "&precision=sampled", "&precision=exact"],
                true => &["", "&precision=sampled"],
                false => &[""],
            };
            for more in more {
                questions.extend(["net", "gross"].map(|filter| Question { kind, by, filter, more }));
            }
        }
    }
    questions
}

/// Who asks.
struct Asker<'r> {
    rig: &'r Rig,
    bearer: String,
    auditor: String,
    /// The campaign of which an auditor is shown what was counted.
    truth: &'static str,
    /// Reports that were asked for before.
    known: RefCell<BTreeMap<String, Value>>,
}

impl<'r> Asker<'r> {
    fn new(rig: &'r Rig, wanted: &Value, truth: &'static str) -> Self {
        let make = |wanted: &Value| token(rig, wanted).1;
        let auditor = make(&json!({"name": "Audit", "role": "auditor"}));
        Self { rig, bearer: make(wanted), auditor, truth, known: RefCell::default() }
    }

    fn ask(&self, path: &str, bearer: &str) -> Value {
        let (status, body) = self.rig.call_as("GET", path, Some(bearer));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn shown(&self, path: &str) -> Value {
        self.ask(path, &self.bearer)
    }

    /// The same report as it was counted.
    fn counted(&self, path: &str) -> Value {
        let path = path.replace(OURS, self.truth);
        let mut known = self.known.borrow_mut();
        known.entry(path.clone()).or_insert_with(|| self.ask(&path, &self.auditor)).clone()
    }

    /// What each row stands for, as it was counted.
    fn stands_for(&self, question: Question, range: &str, counted: &Value) -> BTreeMap<String, u64> {
        let Question { kind, by, filter, .. } = question;
        // Of delivery the net devices count in either filter.
        let filter = if kind == "delivery" { "net" } else { filter };
        let reach =
            self.counted(&format!("/v1/campaigns/{OURS}/reach?by={by}&filter={filter}&levels=1{range}"));
        let count = |row: &Value, name: &str| row[name].as_u64().expect("a count");
        let devices: BTreeMap<&str, &Value> = rows(&reach).iter().map(|row| (key(row), row)).collect();
        let of = |row: &Value| {
            let found = devices.get(key(row)).map_or((0, 0), |row| {
                (count(row, "reach"), count(row, "impressions") - count(row, "identified_impressions"))
            });
            let stands_for = match kind {
                "frequency" => found.0,
                "delivery" if row["net_impressions"] == 0 => count(row, "gross_impressions"),
                _ => found.0 + found.1,
            };
            (key(row).to_owned(), stands_for)
        };
        rows(counted).iter().map(of).collect()
    }

    /// One report on both days' ends. How many rows were shown, and how many left out.
    fn attack(&self, question: Question) -> (u32, u32) {
        let Question { kind, by, filter, more } = question;
        let (mut shown_rows, mut left_out) = (0, 0);
        let mut shorter: BTreeMap<String, Value> = BTreeMap::new();
        for last in DAYS {
            let range = format!("&from={}&to={last}", DAYS[0]);
            let path = format!("/v1/campaigns/{OURS}/{kind}?by={by}&filter={filter}{range}{more}");
            let (shown, counted) = (self.shown(&path), self.counted(&path));
            assert_eq!(
                [&shown["from"], &shown["to"], &shown["sample"]],
                [&counted["from"], &counted["to"], &counted["sample"]],
                "{path}: the same is compared"
            );
            let weight = counted["sample"].as_f64().map_or(1, |share| (1.0 / share) as u64);
            assert_eq!(
                shown["privacy"],
                json!({"k": K * weight, "device_step": STEP * weight, "rounded": true,
                "suppressed_rows": rows(&shown).iter().filter(|row| row["suppressed"] == true).count()}),
                "{path}"
            );
            let name = |row: &Value| format!("{} {}", key(row), row["frequency"]);
            let counted_rows: BTreeMap<String, &Value> =
                rows(&counted).iter().map(|row| (name(row), row)).collect();
            for row in rows(&shown) {
                assert_eq!(row["rounded"], true, "{path}: {row}");
                assert!(row["suppressed"] == true || is_shown(row), "{path}: {row}");
                let name = name(row);
                if kind != "frequency" || row["or_more"] == false {
                    no_cell_is_unrounded_or_small(&path, (row, counted_rows[&name]), weight);
                } else {
                    // The last row takes in all above it, so it is another one than was counted; its devices are the N+.
                    let n_plus = &counted_rows[&name]["n_plus"];
                    let counted = json!({"n_plus": n_plus, "devices": n_plus});
                    no_cell_is_unrounded_or_small(&path, (row, &counted), weight);
                    assert!(row["impressions"].as_u64().is_none_or(|hits| hits % STEP == 0), "{path}: {row}");
                }
                // A day longer: nothing between two multiples of the step.
                for column in OF_DEVICES.iter().filter(|_| weight == 1) {
                    if let (Some(now), Some(before)) =
                        (row[*column].as_u64(), shorter.get(&name).and_then(|row| row[*column].as_u64()))
                    {
                        assert_eq!(now.abs_diff(before) % STEP, 0, "{path} {column}");
                    }
                }
                if is_shown(row) { shown_rows += 1 } else { left_out += 1 }
            }
            no_row_is_small_nor_given_away(&path, &shown, &self.stands_for(question, &range, &counted));
            shorter = rows(&shown).iter().map(|row| (name(row), row.clone())).collect();
            if last == DAYS[1] && filter == "net" {
                other_forms_say_the_same(self, (&path, weight), &shown);
            }
        }
        (shown_rows, left_out)
    }

    /// What media share: each figure, and each that two of them leave, is of k devices or more.
    fn attack_overlap(&self, query: &str) -> u32 {
        const FIGURES: [&str; 5] = ["reach", "unique", "stacked_reach", "incremental_reach", "shared"];
        let mut figures_shown = 0;
        for (last, filter) in DAYS.iter().flat_map(|last| ["net", "gross"].map(|filter| (*last, filter))) {
            let path =
                format!("/v1/campaigns/{OURS}/overlap?{query}&filter={filter}&from={}&to={last}", DAYS[0]);
            let (report, counted) = (self.shown(&path), self.counted(&path));
            assert_eq!(report["sample"], counted["sample"], "{path}");
            let weight = counted["sample"].as_f64().map_or(1, |share| (1.0 / share) as u64);
            let (k, step) = (K * weight, STEP * weight);
            let reach_of = |report: &Value| -> BTreeMap<String, u64> {
                rows(report)
                    .iter()
                    .filter_map(|row| Some((key(row).to_owned(), row["reach"].as_u64()?)))
                    .collect()
            };
            let (reach, truth) = (reach_of(&report), reach_of(&counted));
            for row in rows(&report) {
                assert_eq!(row["rounded"], true, "{path}: {row}");
                for (name, figure) in FIGURES.iter().filter_map(|name| Some((name, row[*name].as_u64()?))) {
                    assert!(figure % step == 0 && figure >= k, "{path} {name}: {row}");
                    figures_shown += 1;
                }
                assert!(row["reach"].as_u64().is_none_or(|reach| reach <= truth[key(row)]), "{path}: {row}");
                for member in row["members"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let (Some(one), Some(all)) = (reach.get(member), row["reach"].as_u64()) else { continue };
                    let rest = all - one;
                    assert!(rest == 0 || rest >= k, "{path}: {rest} of {row} are not of {member}");
                }
            }
            if last == DAYS[1] && filter == "net" {
                other_forms_say_the_same(self, (&path, weight), &report);
            }
        }
        figures_shown
    }

    fn attack_all(&self, overlaps: &[&str]) {
        let (mut shown_rows, mut left_out) = (0, 0);
        for question in questions() {
            let (shown, hidden) = self.attack(question);
            shown_rows += shown;
            left_out += hidden;
        }
        let queries =
            overlaps.iter().flat_map(|query| ["", "&precision=sampled"].map(|more| format!("{query}{more}")));
        let figures: u32 = queries.map(|query| self.attack_overlap(&query)).sum();
        println!("{shown_rows} rows shown, {left_out} left out, {figures} figures of overlaps");
        assert!(
            left_out > 20 && shown_rows > 200 && figures > 30,
            "the workload has too few small rows or large ones: {left_out}, {shown_rows}, {figures}"
        );
    }
}

#[test]
fn all_that_an_advertiser_may_ask_tells_no_small_and_no_unrounded_count() {
    let rig = rig();
    let wanted = json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]});
    let asker = Asker::new(&rig, &wanted, OURS);
    asker.attack_all(&[
        "by=medium",
        "by=placement",
        "by=id_kind",
        "by=medium&members=A,B",
        "by=medium&members=A,C,D",
        "by=medium&stack=D",
        "by=medium&members=B,C&stack=C",
        "by=placement&members=p1,p5,p6&stack=p6,p1",
        "by=id_kind&members=oaid,idfa",
    ]);
    for by in ["total", "day", "region"] {
        let path = format!("/v1/campaigns/{OURS}/reach?by={by}&audience=f25");
        let (shown, counted) = (asker.shown(&path), asker.counted(&path));
        for (row, counted) in rows(&shown).iter().zip(rows(&counted)) {
            assert_eq!(key(row), key(counted));
            no_cell_is_unrounded_or_small(&path, (row, counted), 1);
        }
    }
}

#[test]
fn all_that_a_medium_may_ask_tells_no_small_and_no_unrounded_count() {
    let rig = rig();
    let wanted = json!({"name": "A", "role": "medium", "media": [TWIN_MEDIUM]});
    let asker = Asker::new(&rig, &wanted, TWIN);
    asker.attack_all(&[
        "by=medium",
        "by=placement",
        "by=id_kind",
        "by=placement&members=p1,p3&stack=p3",
        "by=id_kind&stack=idfa",
    ]);
    // Who else there is, is not told by what is refused.
    let refused =
        |query: &str| rig.call_as("GET", &format!("/v1/campaigns/{OURS}/{query}"), Some(&asker.bearer));
    for (there, nowhere) in [
        ("reach?audience=f25", "reach?audience=nobody"),
        ("overlap?members=A,B", "overlap?members=A,Nobody"),
        ("overlap?stack=B", "overlap?stack=Nobody"),
        ("overlap?by=placement&members=p2", "overlap?by=placement&members=nothing"),
    ] {
        let (status, body) = refused(there);
        assert!([400, 422].contains(&status), "{there}: {body}");
        assert_eq!((status, body), refused(nowhere), "{there}");
    }
}

#[test]
fn the_workbook_of_a_tenant_is_its_reports() {
    let rig = rig();
    let advertiser = json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]});
    let advertiser = Asker::new(&rig, &advertiser, OURS);
    the_workbook_says_no_more(&advertiser, 0);
    let of = |campaign: &str| {
        rig.call_as("GET", &format!("/v1/campaigns/{campaign}/workbook"), Some(&advertiser.bearer))
    };
    assert_eq!((of(TWIN).0, of(TWIN)), (404, of("no-such")), "another's campaign is as none");
    let medium = json!({"name": "A", "role": "medium", "media": [TWIN_MEDIUM]});
    the_workbook_says_no_more(&Asker::new(&rig, &medium, TWIN), 1);
}

/// Lists tell of what there is, and of no figure.
#[test]
fn lists_tell_tenants_no_figures() {
    let rig = rig();
    rig.look_for_alerts();
    let medium = Asker::new(&rig, &json!({"name": "A", "role": "medium", "media": [TWIN_MEDIUM]}), TWIN);
    let advertiser =
        Asker::new(&rig, &json!({"name": "ACME", "role": "advertiser", "advertisers": ["acme"]}), OURS);
    let alerts = |report: Value| report["alerts"].as_array().expect("a list").clone();
    let ours: Vec<Value> =
        alerts(rig.get("/v1/alerts")).into_iter().filter(|alert| alert["campaign"] == OURS).collect();
    assert!(ours.iter().all(|alert| alert["value"].as_f64().is_some()), "{ours:?}");
    for (asker, campaigns, placements) in
        [(&advertiser, vec![OURS], PLACEMENTS.len()), (&medium, vec![OURS, TWIN], 2)]
    {
        let list = asker.shown("/v1/campaigns");
        let list = list["campaigns"].as_array().expect("a list");
        assert_eq!(list.iter().map(|row| row["id"].as_str().expect("an id")).collect::<Vec<_>>(), campaigns);
        for row in list {
            assert!(row["first_day"].is_null() && row["last_day"].is_null(), "{row}");
            assert_eq!(row["placements"].as_array().map(Vec::len), Some(placements), "{row}");
        }
        let told: Vec<Value> = alerts(asker.shown(&format!("/v1/alerts?campaign={OURS}")));
        assert!(!told.is_empty() && told.len() <= ours.len(), "{told:?}");
        for alert in &told {
            assert!(alert["value"].is_null(), "{alert}");
            let counted =
                ours.iter().find(|one| one["id"] == alert["id"]).expect("an alert of the house's list");
            assert_ne!(alert["text"], counted["text"], "the words hold the figure");
        }
        let is_seen =
            |alert: &Value| placements > 2 || ["p1", "p3"].iter().any(|one| alert["placement"] == *one);
        assert!(told.iter().all(is_seen), "{told:?}");
    }
    let unknown = |campaign: &str| {
        rig.call_as("GET", &format!("/v1/alerts?campaign={campaign}"), Some(&advertiser.bearer))
    };
    assert_eq!((unknown(TWIN).0, unknown(TWIN)), (404, unknown("nobodys")));
}
