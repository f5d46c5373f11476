//! Several writers and settlers on one store: marks, generations, what is given up and what comes late.

use std::collections::BTreeSet;

use serde_json::json;

use crate::rig::{DAY_MS, Hit, NOON_MS, Random, Rig, hit, seed, sql};

/// The day that most tests here are about.
const YESTERDAY: &str = "2026-11-19";

/// A row of `marks` of some other process, opened now.
fn mark(rig: &Rig, writer: u64, opened: u64, closed: u64) {
    let now_ms = rig.clock.now_ms();
    rig.sql(&format!("INSERT INTO marks SELECT '{YESTERDAY}', {writer}, {opened}, {closed}, fromUnixTimestamp64Milli({now_ms})"));
}

fn settled_days(rig: &Rig) -> usize {
    rig.settle()["days"].as_array().expect("days").len()
}

fn is_settled(rig: &Rig) -> bool {
    rig.report("utc/delivery")["settled_until"] == YESTERDAY
}

#[test]
fn an_insert_beside_a_settle_step_makes_the_day_dirty_when_it_ends() {
    let rig = Rig::new();
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.load();
    mark(&rig, 7, 2, 0);
    // The step sees half of what the other process inserts.
    assert_eq!(settled_days(&rig), 1);
    assert!(!is_settled(&rig));
    rig.sql("INSERT INTO events SELECT * REPLACE (toUInt64(9) AS journal) FROM events");
    // Settling again before the insert has ended is of no use; the day stays provisional.
    assert_eq!(settled_days(&rig), 0);
    let report = rig.report("utc/delivery");
    assert_eq!(
        (&report["provisional_days"], &report["rows"][0]["impressions"]),
        (&json!([YESTERDAY]), &1.into())
    );
    mark(&rig, 7, 0, 3);
    assert!(!is_settled(&rig));
    assert_eq!(settled_days(&rig), 1);
    assert!(is_settled(&rig));
    assert_eq!(rig.row("utc/delivery")["impressions"], 2);
    assert_eq!(settled_days(&rig), 0);
}

#[test]
fn the_mark_of_a_dead_writer_is_given_up_by_its_age_and_a_late_end_is_seen() {
    let rig = Rig::new();
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.settle();
    mark(&rig, 7, 2, 0);
    rig.clock.advance_ms(599_000);
    rig.settle();
    assert!(!is_settled(&rig));
    rig.clock.advance_ms(2_000);
    assert_eq!(settled_days(&rig), 1);
    assert!(is_settled(&rig));
    // It was only held up.
    rig.sql("INSERT INTO events SELECT * REPLACE (toUInt64(9) AS journal) FROM events");
    mark(&rig, 7, 0, 3);
    assert!(!is_settled(&rig));
    assert_eq!(settled_days(&rig), 1);
    assert_eq!(rig.row("utc/delivery")["impressions"], 2);
    // Its next insert is open again.
    mark(&rig, 7, 4, 0);
    assert!(!is_settled(&rig));
}

#[test]
fn writers_do_not_cover_for_each_other() {
    let rig = Rig::new();
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.settle();
    mark(&rig, 7, 2, 0);
    mark(&rig, 8, 200, 0);
    mark(&rig, 8, 0, 201);
    assert_eq!(settled_days(&rig), 1);
    assert!(!is_settled(&rig));
    mark(&rig, 7, 0, 3);
    assert_eq!(settled_days(&rig), 1);
    assert!(is_settled(&rig));
}

#[test]
fn two_settlers_at_once_leave_a_whole_day_that_is_right() {
    let first = Rig::new();
    let second = first.beside();
    for round in 1..=12_u64 {
        let hits: Vec<Hit> = (0..40)
            .map(|n| Hit {
                device: Some(round * 1000 + n),
                ..hit(NOON_MS - DAY_MS + (round * 40 + n) as i64)
            })
            .collect();
        let (one, other) = hits.split_at(usize::try_from(round * 3).expect("a few"));
        first.push(one);
        second.push(other);
        std::thread::scope(|scope| {
            scope.spawn(|| first.settle());
            scope.spawn(|| second.settle());
        });
        // Whoever settled last has seen both journals only if the other one's was in the store by then.
        first.settle();
        for rig in [&first, &second] {
            assert!(is_settled(rig), "round {round}");
            let row = rig.row("utc/reach");
            assert_eq!(
                (&row["impressions"], &row["reach"]),
                (&(round * 40).into(), &(round * 40).into()),
                "round {round}"
            );
        }
    }
    let numbers = "SELECT count() = uniqExact(day, generation) FROM (SELECT DISTINCT _part, day, generation FROM deliveries)";
    assert_eq!(first.sql(numbers), "1", "a generation was written by one settler");
}

#[test]
fn what_another_settler_has_under_way_is_left_alone_for_an_hour() {
    let rig = Rig::new();
    rig.push(&[Hit { device: Some(1), ..hit(NOON_MS - DAY_MS) }]);
    rig.settle();
    let reach = rig.report("utc/reach?by=day");
    rig.sql("INSERT INTO deliveries SELECT * REPLACE (generation + 1000000 AS generation) FROM deliveries");
    let left = || rig.sql("SELECT uniqExact(generation) FROM deliveries");
    rig.settle();
    rig.clock.advance_ms(59 * 60_000);
    rig.settle();
    assert_eq!(left(), "2");
    rig.clock.advance_ms(2 * 60_000);
    rig.settle();
    assert_eq!(left(), "1");
    assert_eq!(rig.report("utc/reach?by=day"), reach);
}

#[test]
fn a_store_of_the_earlier_form_is_settled_anew() {
    let mut rig = Rig::new();
    rig.push(&[hit(NOON_MS - DAY_MS), hit(NOON_MS - 2 * DAY_MS)]);
    rig.settle();
    let before = rig.report("utc/delivery?by=day");
    let database = rig.database.clone();
    rig.restart(|_| {
        for text in [
            "CREATE TABLE changed (day Date, mark SimpleAggregateFunction(max, UInt64)) ENGINE = AggregatingMergeTree ORDER BY day",
            "INSERT INTO changed SELECT DISTINCT day, 5 FROM marks",
            "CREATE TABLE generations (one UInt8, generation SimpleAggregateFunction(max, UInt64)) ENGINE = AggregatingMergeTree ORDER BY one",
            "CREATE TABLE judged (day Date) ENGINE = Memory",
            "DROP TABLE marks",
            "ALTER TABLE settled RENAME COLUMN marks TO marks_until",
            "ALTER TABLE settled UPDATE marks_until = 5 WHERE 1 SETTINGS mutations_sync = 1",
        ] {
            sql(&database, text);
        }
    });
    assert_eq!(rig.report("utc/delivery?by=day")["provisional_days"], json!(["2026-11-18", YESTERDAY]));
    assert_eq!(settled_days(&rig), 2);
    assert_eq!(rig.report("utc/delivery?by=day"), before);
    rig.restart(|_| ());
    assert_eq!(settled_days(&rig), 0);
    assert_eq!(rig.sql("SELECT count() FROM system.tables WHERE database = currentDatabase() AND name IN ('changed', 'generations', 'judged')"), "0");
}

/// A process that inserts one event at a time, and may die at any moment.
#[derive(Default)]
struct Planted {
    id: u64,
    inserts: u64,
    /// The event under way and whether it is in the store.
    under_way: Option<(u64, bool)>,
}

/// All of them, and what became of their events.
struct Plant<'a> {
    rig: &'a Rig,
    writers: [Planted; 2],
    next_id: u64,
    next_event: u64,
    /// Half done by one that died: for another one to do again.
    again: Vec<u64>,
    stored: BTreeSet<u64>,
    closed: BTreeSet<u64>,
}

impl Plant<'_> {
    /// One writer does its next step, or dies.
    fn step(&mut self, which: usize, dies: bool) {
        let writer = &mut self.writers[which];
        if dies || writer.id == 0 {
            self.again.extend(writer.under_way.take().map(|(event, _)| event));
            self.next_id += 1;
            *writer = Planted { id: self.next_id, ..Planted::default() };
        }
        match writer.under_way {
            None => {
                let event = self.again.pop().unwrap_or(self.next_event);
                self.next_event = self.next_event.max(event + 1);
                writer.inserts += 1;
                writer.under_way = Some((event, false));
                mark(self.rig, writer.id, 2 * writer.inserts, 0);
            }
            Some((event, false)) => {
                writer.under_way = Some((event, true));
                self.rig.sql(&format!(
                    "INSERT INTO events SELECT * REPLACE (toUInt64(9) AS journal, toUInt64({event}) AS seq) FROM (SELECT * FROM events WHERE journal != 9 LIMIT 1)"
                ));
                self.stored.insert(event);
            }
            Some((event, true)) => {
                writer.under_way = None;
                mark(self.rig, writer.id, 0, 2 * writer.inserts + 1);
                self.closed.insert(event);
            }
        }
    }

    /// Every writer ends what it has under way.
    fn finish(&mut self) {
        while let Some(which) = self.writers.iter().position(|writer| writer.under_way.is_some()) {
            self.step(which, false);
        }
    }

    /// Impressions that a settled day may show: all whose inserts were said to be complete, and perhaps some of the others.
    fn assert_right(&self, round: u64) {
        let report = self.rig.report("utc/delivery");
        if report["settled_until"] == YESTERDAY {
            let shown = report["rows"][0]["impressions"].as_u64().expect("a count") as usize;
            let allowed = self.closed.len() + 1..=self.stored.len() + 1;
            assert!(allowed.contains(&shown), "round {round}: {shown} of {allowed:?}");
        }
    }
}

#[test]
fn a_day_that_is_called_settled_misses_nothing_whatever_goes_on_beside_its_settling() {
    let mut random = Random(seed());
    let rig = Rig::new();
    let second = rig.beside();
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.load();
    let mut plant = Plant {
        rig: &rig,
        writers: Default::default(),
        next_id: 100,
        next_event: 0,
        again: Vec::new(),
        stored: BTreeSet::new(),
        closed: BTreeSet::new(),
    };
    let mut seen_settled = 0;
    for round in 0..24 {
        if random.below(3) == 0 {
            // Whoever is under way now is taken for dead.
            rig.clock.advance_ms(11 * 60_000);
            rig.settle();
            plant.assert_right(round);
            seen_settled += usize::from(is_settled(&rig));
        }
        std::thread::scope(|scope| {
            let settling = [&rig, &second].map(|rig| scope.spawn(move || settled_days(rig)));
            for _ in 0..random.below(6) {
                plant.step(random.below(2) as usize, random.below(40) == 0);
            }
            if random.below(2) == 0 {
                plant.finish();
            }
            for settling in settling {
                settling.join().expect("it settles");
            }
        });
        plant.assert_right(round);
    }
    assert!(seen_settled > 0, "never settled: nothing was tested");
    // Those that were held up end after all, and nothing stays half done.
    plant.finish();
    while !plant.again.is_empty() {
        plant.step(0, false);
        plant.finish();
    }
    rig.clock.advance_ms(11 * 60_000);
    second.settle();
    assert!(is_settled(&rig));
    assert_eq!(plant.stored, (0..plant.next_event).collect());
    assert_eq!(rig.sql("SELECT uniqExact(journal, seq) - 1 FROM events"), plant.next_event.to_string());
    assert_eq!(rig.row("utc/delivery")["impressions"], plant.stored.len() as u64 + 1);
}
