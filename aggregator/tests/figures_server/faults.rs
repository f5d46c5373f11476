//! One statement after the other goes wrong in every way: the figures stay right, and nobody is told of what only waits.

use std::time::Duration;

use aggregator::Settings;
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

const PLANNED: &str = r#"
[[campaign]]
id = "utc"
name = "UTC"
time_zone = "UTC"
alerts = { silent_hours = 1 }
[[campaign.placement]]
id = "p1"
name = "One"
medium = "Medium A"
plan = [{ from = 2026-11-20, to = 2026-11-20, impressions = 50 }]
"#;

#[test]
fn a_placement_whose_hits_wait_to_be_loaded_is_not_called_silent() {
    let rig = Rig::with(PLANNED, Settings::default());
    let Some(faults) = faults() else { return };
    let open = || rig.get("/v1/alerts")["alerts"].as_array().expect("a list").len();
    // It has been due for as long as it may be silent.
    rig.clock.advance_ms(-DAY_MS / 24);
    rig.look_for_alerts();
    rig.clock.advance_ms(DAY_MS / 24);
    // Slow is no trouble: nothing says that anything is wrong but what is not there yet. It takes twice as long as a look waits.
    let statement = format!("{} INSERT INTO events", rig.database);
    faults.next(&statement, Fault::LateBefore(Duration::from_secs(20)), 1);
    rig.push(&[hit(NOON_MS)]);
    while faults.seen(&statement) == 0 {
        std::thread::yield_now();
    }
    rig.look_for_alerts();
    assert_eq!(rig.sql("SELECT count() FROM events"), "0", "it was looked while the hit waited");
    assert_eq!(open(), 0);
    rig.load();
    rig.look_for_alerts();
    assert_eq!(open(), 0);
    rig.clock.advance_ms(DAY_MS / 24);
    rig.look_for_alerts();
    assert_eq!(open(), 1, "it is looked at all the same");
}
