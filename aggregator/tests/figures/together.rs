//! Several writers and settlers on one store: marks, generations, what is given up and what comes late.

use serde_json::json;

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, hit, sql};

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
