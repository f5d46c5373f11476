//! The later stages of a view count on the day and hour of its impression.

use event::stage::Stage;

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, hit};

const MIDNIGHT: i64 = NOON_MS - DAY_MS / 2;
const HOUR: i64 = 3_600_000;

fn stage(stage: Stage, view: u64, time_ms: i64) -> Hit {
    Hit { stage, view, device: Some(view), ..hit(time_ms) }
}

fn by_hour(rig: &Rig, day: &str) -> Vec<(String, u64, u64)> {
    let rows = rig.rows(&format!("utc/delivery?by=hour&from={day}&to={day}"));
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    rows.iter()
        .map(|row| {
            (
                row["key"].as_str().expect("a key").to_owned(),
                number(&row["impressions"]),
                number(&row["stages"]["viewable"]),
            )
        })
        .collect()
}

#[test]
fn a_view_that_straddles_midnight_counts_where_it_began() {
    let rig = Rig::new();
    rig.push(&[
        stage(Stage::Impression, 1, MIDNIGHT - 5_000),
        stage(Stage::Viewable, 1, MIDNIGHT + 2_000),
        stage(Stage::Complete, 1, MIDNIGHT + 20_000),
        // A click counts on its own day.
        stage(Stage::Click, 1, MIDNIGHT + 9_000),
    ]);
    rig.load();
    for _ in ["live", "settled"] {
        assert_eq!(by_hour(&rig, "2026-11-19"), [("23".to_owned(), 1, 1)]);
        let days = rig.rows("utc/delivery?by=day");
        assert_eq!((&days[0]["stages"]["completes"], &days[0]["clicks"]), (&1.into(), &0.into()));
        assert_eq!((&days[1]["stages"]["completes"], &days[1]["clicks"]), (&0.into(), &1.into()));
        rig.settle();
    }
}

#[test]
fn an_impression_that_comes_late_takes_its_stages_with_it() {
    let rig = Rig::new();
    rig.push(&[stage(Stage::Viewable, 1, MIDNIGHT + 2_000)]);
    rig.settle();
    assert_eq!(by_hour(&rig, "2026-11-20"), [("00".to_owned(), 0, 1)]);
    rig.push(&[stage(Stage::Impression, 1, MIDNIGHT - 5_000)]);
    rig.settle();
    assert_eq!(by_hour(&rig, "2026-11-19"), [("23".to_owned(), 1, 1)]);
    assert_eq!(by_hour(&rig, "2026-11-20"), []);
}

#[test]
fn a_stage_before_its_impression_across_midnight_follows_it() {
    let rig = Rig::new();
    rig.push(&[stage(Stage::Start, 1, MIDNIGHT - 1_000), stage(Stage::Impression, 1, MIDNIGHT + 1_000)]);
    rig.settle();
    let days = rig.rows("utc/delivery?by=day");
    assert_eq!(days.len(), 1, "{days:?}");
    assert_eq!((&days[0]["key"], &days[0]["stages"]["starts"]), (&"2026-11-20".into(), &1.into()));
}

#[test]
fn within_a_day_the_hour_is_the_impressions() {
    let rig = Rig::new();
    let ten = MIDNIGHT - DAY_MS + 10 * HOUR;
    rig.push(&[
        stage(Stage::Impression, 1, ten + HOUR - 1),
        stage(Stage::Viewable, 1, ten + HOUR + 30_000),
        // Of another view, whose impression is not known.
        stage(Stage::Viewable, 2, ten + 2 * HOUR),
        // Repeated: it stays out of net, and counts once more in gross.
        stage(Stage::Viewable, 1, ten + HOUR + 31_000),
    ]);
    rig.settle();
    assert_eq!(by_hour(&rig, "2026-11-19"), [("10".to_owned(), 1, 1), ("12".to_owned(), 0, 1)]);
    assert_eq!(rig.row("utc/delivery?filter=gross")["stages"]["viewable"], 3);
}

#[test]
fn an_impression_of_its_own_day_comes_before_one_across_midnight() {
    let rig = Rig::new();
    rig.push(&[
        stage(Stage::Impression, 1, MIDNIGHT - HOUR),
        // The same view on another device: a conflict, but an impression of this day.
        Hit { device: Some(9), ..stage(Stage::Impression, 1, MIDNIGHT + HOUR) },
        stage(Stage::Viewable, 1, MIDNIGHT + HOUR + 1),
    ]);
    rig.settle();
    assert_eq!(by_hour(&rig, "2026-11-20"), [("01".to_owned(), 1, 1)]);
}

#[test]
fn a_stage_stays_with_the_evening_when_its_own_day_only_repeats_it_or_comes_later() {
    let rig = Rig::new();
    rig.push(&[
        stage(Stage::Impression, 1, MIDNIGHT - HOUR),
        // The same view once more, after midnight: a repeat.
        stage(Stage::Impression, 1, MIDNIGHT + 60_000),
        stage(Stage::Viewable, 1, MIDNIGHT + 61_000),
        // An impression on another device, but after the stage.
        stage(Stage::Impression, 2, MIDNIGHT - HOUR),
        stage(Stage::Viewable, 2, MIDNIGHT + 61_000),
        Hit { device: Some(9), ..stage(Stage::Impression, 2, MIDNIGHT + 12 * HOUR) },
    ]);
    rig.load();
    for _ in ["live", "settled"] {
        assert_eq!(by_hour(&rig, "2026-11-19"), [("23".to_owned(), 2, 2)]);
        assert_eq!(by_hour(&rig, "2026-11-20"), [("00".to_owned(), 0, 0), ("12".to_owned(), 1, 0)]);
        rig.settle();
    }
    // An impression at noon leaves the day before as it is.
    rig.push(&[Hit { device: Some(10), ..stage(Stage::Impression, 1, MIDNIGHT + 11 * HOUR) }]);
    assert_eq!(rig.settle()["days"][0]["day"], "2026-11-20");
    assert_eq!(by_hour(&rig, "2026-11-19"), [("23".to_owned(), 2, 2)]);
}
