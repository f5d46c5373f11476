//! One statement after the other goes wrong in every way: the figures stay right.

use event::stage::Stage;
use test_server::Fault;

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, faults, hit};

/// Tries until a day is settled: more than a fault takes.
const TRIES_MAX: u32 = 10;

/// Impressions of new devices and a click of the first one, on a day that is over.
fn hits(from: u64) -> Vec<Hit> {
    let at = |n: u64| Hit { device: Some(n + 1), view: n + 1, ..hit(NOON_MS - DAY_MS + n as i64) };
    let mut hits: Vec<Hit> = (from..from + 5).map(at).collect();
    hits.push(Hit { stage: Stage::Click, view: 0, ..at(from) });
    hits
}

#[test]
fn figures_are_right_whatever_befalls_any_statement() {
    let rig = Rig::new();
    // A real server has no faults that can be switched.
    let Some(faults) = faults() else { return };
    let mut pushed = 0;
    for fault in
        [Fault::Unavailable, Fault::Exception(252), Fault::CutBefore, Fault::CutAfter, Fault::CutAnswer]
    {
        for table in ["events", "marks", "judged", "deliveries", "device_days", "settled"] {
            let statement = format!("{} INSERT INTO {table}", rig.database);
            let before = faults.seen(&statement);
            faults.next(&statement, fault.clone(), 1);
            rig.push(&hits(pushed));
            pushed += 5;
            let settled = (0..TRIES_MAX).any(|_| {
                let (status, _) = rig.call("POST", "/v1/settle");
                status == 200 && rig.report("utc/reach")["settled_until"] == "2026-11-19"
            });
            assert!(settled, "{table} {fault:?}");
            assert!(faults.seen(&statement) > before, "{table} {fault:?}: nothing was asked");
            let row = rig.row("utc/reach");
            for (what, expected) in [
                ("impressions", pushed),
                ("identified_impressions", pushed),
                ("reach", pushed),
                ("clicks", pushed / 5),
            ] {
                assert_eq!(row[what], expected, "{what} after {table} {fault:?}");
            }
            assert_eq!(rig.row("utc/delivery")["impressions"], pushed, "{table} {fault:?}");
        }
    }
    // What was stored twice is there, and was counted once.
    let twice = rig.sql("SELECT count() > uniqExact(journal, seq) FROM events");
    assert_eq!(twice, "1");
}
