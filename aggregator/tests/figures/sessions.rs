//! Ad views as SDKs report them: up to seven hits and a click of one group id, retried, late by up to seven days, in any order. A random
//! workload whose truth is computed apart, from the views and not from the hits.

use std::collections::BTreeMap;

use event::record::flag;
use event::stage::Stage;
use serde_json::Value;

use crate::rig::{DAY_MS, Hit, NOON_MS, Random, Rig, hit, seed};

const VERDICTS: [Stage; 3] = [Stage::Viewable, Stage::NotViewable, Stage::NotMeasurable];
const QUARTILES: [Stage; 4] = [Stage::FirstQuartile, Stage::Midpoint, Stage::ThirdQuartile, Stage::Complete];
const PLACEMENTS: [&str; 3] = ["p1", "p2", "p3"];

/// A hit of a view: tied by the group id, told from others by its own time.
fn of(view: u64, stage: Stage, time_ms: i64) -> Hit {
    Hit {
        view,
        stage,
        device: Some(view),
        flags: flag::DUPLICATE_BY_TIME,
        client_time_ms: Some(time_ms),
        ..hit(time_ms)
    }
}

/// What one day, one placement or all must show.
#[derive(Clone, Debug, Default, PartialEq)]
struct Truth {
    net_impressions: u64,
    gross_impressions: u64,
    tracked: u64,
    verdicts: [u64; 3],
    quartiles: [u64; 4],
    clicks: u64,
    conflicts: u64,
}

/// One view of the random workload.
struct View {
    id: u64,
    placement: &'static str,
    device: Option<u64>,
    begin: i64,
    is_impression_lost: bool,
}

impl View {
    fn at(&self, stage: Stage, after_ms: i64) -> Hit {
        Hit { placement: self.placement, device: self.device, ..of(self.id, stage, self.begin + after_ms) }
    }

    /// The moment by whose day a later stage counts: the impression's, where it is known.
    fn counted(&self, after_ms: i64) -> i64 {
        if self.is_impression_lost { self.begin + after_ms } else { self.begin }
    }
}

#[derive(Default)]
struct World {
    hits: Vec<Hit>,
    by: BTreeMap<String, Truth>,
}

impl World {
    fn count(&mut self, placement: &str, time_ms: i64, change: impl Fn(&mut Truth)) {
        let day = chrono::DateTime::from_timestamp_millis(time_ms).expect("a time").date_naive();
        for key in ["total".to_owned(), day.to_string(), placement.to_owned()] {
            change(self.by.entry(key).or_default());
        }
    }

    /// A hit with its retries, each received later. How many came in all.
    fn send(&mut self, random: &mut Random, hit: &Hit) -> u64 {
        let times = 1 + [0, 0, 0, 1, 2, 3][random.below(6) as usize];
        for _ in 0..times {
            let late_ms =
                if random.below(4) == 0 { random.below(7 * DAY_MS as u64) } else { random.below(5_000) };
            self.hits.push(Hit { received_ms: hit.time_ms + late_ms as i64, ..hit.clone() });
        }
        times
    }

    fn view(&mut self, random: &mut Random, view: u64) {
        let device = (random.below(4) > 0).then_some(view % 90 + 1);
        // One in three begins within a minute before or after a midnight.
        let day = NOON_MS - DAY_MS / 2 - (1 + random.below(5) as i64) * DAY_MS;
        let begin = match random.below(3) {
            0 => day + random.below(120_000) as i64 - 60_000,
            _ => day + random.below(DAY_MS as u64) as i64,
        };
        let view = View {
            id: view,
            placement: PLACEMENTS[random.below(3) as usize],
            device,
            begin,
            is_impression_lost: random.below(20) == 0,
        };
        if random.below(2) == 0 {
            self.send(random, &view.at(Stage::Tracked, -300));
            self.count(view.placement, begin - 300, |truth| truth.tracked += 1);
        }
        self.impression(random, &view);
        for (n, stage) in QUARTILES.into_iter().enumerate().take(random.below(5) as usize) {
            let after_ms = 4_000 * (n as i64 + 1);
            self.send(random, &view.at(stage, after_ms));
            self.count(view.placement, view.counted(after_ms), |truth| truth.quartiles[n] += 1);
        }
        self.verdicts(random, &view);
        if random.below(6) == 0 {
            let after_ms = random.below(90_000) as i64;
            self.send(random, &view.at(Stage::Click, after_ms));
            self.count(view.placement, begin + after_ms, |truth| truth.clicks += 1);
        }
    }

    fn impression(&mut self, random: &mut Random, view: &View) {
        if view.is_impression_lost {
            return;
        }
        let times = self.send(random, &view.at(Stage::Impression, 0));
        self.count(view.placement, view.begin, |truth| {
            truth.net_impressions += 1;
            truth.gross_impressions += times;
        });
        if random.below(25) == 0 {
            // The same id, stage and time on another device: something else, kept apart. Where no device was known, it is the view's.
            self.hits.push(Hit { device: Some(5_000 + view.id), ..view.at(Stage::Impression, 0) });
            let conflicts = u64::from(view.device.is_some());
            self.count(view.placement, view.begin, |truth| {
                truth.net_impressions += conflicts;
                truth.gross_impressions += 1;
                truth.conflicts += conflicts;
            });
        }
    }

    /// None to three verdicts, at moments of their own: the best one counts, of equal ones the first.
    fn verdicts(&mut self, random: &mut Random, view: &View) {
        let mut said: Vec<(usize, i64)> = (0..random.below(4))
            .map(|n| (random.below(3) as usize, 1_000 + n as i64 * 20_000 + random.below(9_000) as i64))
            .collect();
        for (kind, after_ms) in &said {
            self.send(random, &view.at(VERDICTS[*kind], *after_ms));
        }
        said.sort_unstable();
        if let Some((kind, after_ms)) = said.first() {
            self.count(view.placement, view.counted(*after_ms), |truth| truth.verdicts[*kind] += 1);
        }
    }

    fn shuffle(&mut self, random: &mut Random) {
        for n in (1..self.hits.len()).rev() {
            self.hits.swap(n, random.below(n as u64 + 1) as usize);
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn seen(row: &Value) -> Truth {
    let stage = |name: &str| number(&row["stages"][name]);
    Truth {
        net_impressions: number(&row["net_impressions"]),
        gross_impressions: number(&row["gross_impressions"]),
        tracked: stage("tracked"),
        verdicts: ["viewable", "not_viewable", "not_measurable"].map(stage),
        quartiles: ["first_quartiles", "midpoints", "third_quartiles", "completes"].map(stage),
        clicks: number(&row["net_clicks"]),
        conflicts: number(&row["conflicts"]),
    }
}

fn check(rig: &Rig, world: &World) {
    let mut keys = 0;
    for by in ["total", "day", "placement"] {
        for row in rig.rows(&format!("utc/delivery?by={by}")) {
            let key = row["key"].as_str().expect("a key");
            let truth = &world.by[key];
            assert_eq!(&seen(&row), truth, "{key}");
            let measured = truth.verdicts[0] + truth.verdicts[1];
            assert_eq!(number(&row["measured"]), measured, "{key}");
            assert_eq!(number(&row["unmeasured"]), truth.net_impressions.saturating_sub(measured), "{key}");
            let rate = |name: &str, part: u64, whole: u64| match row[name].as_f64() {
                Some(rate) => assert!((rate - part as f64 / whole as f64).abs() < 1e-12, "{key} {name}"),
                None => assert_eq!(whole, 0, "{key} {name}"),
            };
            rate("measured_rate", measured, truth.net_impressions);
            rate("viewable_rate", truth.verdicts[0], measured);
            keys += 1;
        }
    }
    assert_eq!(keys, world.by.len());
}

#[test]
fn random_views_count_once_in_any_order() {
    let random = &mut Random(seed());
    let mut world = World::default();
    for view in 1..=500 {
        world.view(random, view);
    }
    world.shuffle(random);
    let rig = Rig::new();
    let (first, second) = world.hits.split_at(random.below(world.hits.len() as u64) as usize);
    rig.push(first);
    rig.settle();
    rig.push(second);
    rig.settle();
    check(&rig, &world);
    let live = Rig::new();
    live.push(&world.hits);
    live.load();
    check(&live, &world);
}

#[test]
fn a_session_whose_queue_was_offline_for_five_days_counts_once() {
    let rig = Rig::new();
    let begin = NOON_MS - 5 * DAY_MS;
    let stages = [
        (Stage::Tracked, -200),
        (Stage::Impression, 0),
        (Stage::FirstQuartile, 4_000),
        (Stage::Midpoint, 8_000),
        (Stage::ThirdQuartile, 12_000),
        (Stage::Complete, 16_000),
        (Stage::Viewable, 2_000),
        (Stage::Click, 9_000),
    ];
    let queue =
        stages.map(|(stage, after_ms)| Hit { received_ms: NOON_MS, ..of(1, stage, begin + after_ms) });
    // Backwards, and three times over.
    for _ in 0..3 {
        rig.push(&queue.iter().rev().cloned().collect::<Vec<_>>());
        rig.settle();
    }
    let row = rig.row("utc/delivery?from=2026-11-15&to=2026-11-15");
    let truth = Truth {
        net_impressions: 1,
        gross_impressions: 3,
        tracked: 1,
        verdicts: [1, 0, 0],
        quartiles: [1; 4],
        clicks: 1,
        conflicts: 0,
    };
    assert_eq!(seen(&row), truth);
    assert_eq!((&row["measured_rate"], &row["viewable_rate"]), (&1.0.into(), &1.0.into()));
    assert_eq!(rig.rows("utc/delivery?by=day").len(), 1);
}

#[test]
fn of_a_views_verdicts_the_best_counts() {
    let rig = Rig::new();
    let begin = NOON_MS - DAY_MS;
    let mut hits = Vec::new();
    for (view, said) in [
        (1, &[Stage::NotViewable, Stage::Viewable][..]),
        (2, &[Stage::Viewable, Stage::NotViewable, Stage::Viewable]),
        (3, &[Stage::NotMeasurable, Stage::NotViewable]),
        (4, &[Stage::NotMeasurable]),
        (5, &[]),
    ] {
        hits.push(of(view, Stage::Impression, begin));
        hits.extend(said.iter().zip(1..).map(|(stage, n)| of(view, *stage, begin + n * 1_000)));
    }
    // Hours later the same id is another view's.
    hits.push(of(3, Stage::Viewable, begin + 4 * 3_600_000));
    // Another device's verdict is no verdict on this view.
    hits.push(Hit { device: Some(77), ..of(4, Stage::Viewable, begin + 2_000) });
    rig.push(&hits);
    rig.load();
    for _ in ["live", "settled"] {
        for filter in ["net", "gross"] {
            let row = rig.row(&format!("utc/delivery?filter={filter}"));
            assert_eq!(seen(&row).verdicts, [4, 1, 1], "{filter}");
            assert_eq!((&row["measured"], &row["outdone_verdicts"]), (&5.into(), &4.into()), "{filter}");
            assert_eq!((&row["unmeasured"], &row["viewable_rate"]), (&0.into(), &0.8.into()), "{filter}");
        }
        rig.settle();
    }
}

#[test]
fn without_impressions_or_verdicts_there_are_no_rates() {
    let rig = Rig::new();
    rig.push(&[of(1, Stage::Impression, NOON_MS - DAY_MS), of(2, Stage::Tracked, NOON_MS - 2 * DAY_MS)]);
    rig.settle();
    let rows = rig.rows("utc/delivery?by=day");
    assert_eq!((&rows[0]["measured_rate"], &rows[0]["viewable_rate"]), (&Value::Null, &Value::Null));
    assert_eq!((&rows[1]["measured_rate"], &rows[1]["viewable_rate"]), (&0.0.into(), &Value::Null));
    assert_eq!(rows[1]["unmeasured"], 1);
}
