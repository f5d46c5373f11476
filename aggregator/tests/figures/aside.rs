//! Ids with more impressions on a day than one device sees: set aside as no device, and listed.

use aggregator::Settings;
use event::stage::Stage;
use serde_json::{Value, json};

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, hit};

const CEILING: u64 = 50;

fn settings() -> Settings {
    Settings { device_day_impressions_max: CEILING, ..Settings::default() }
}

fn catalog() -> String {
    format!("{CATALOG}{}", CATALOG.replace("\"utc\"", "\"other\""))
}

/// `count` impressions of a device, a second apart.
fn seen(device: u64, count: u64, day: i64) -> impl Iterator<Item = Hit> {
    (0..count).map(move |n| Hit { device: Some(device), ..hit(NOON_MS - day * DAY_MS + n as i64 * 1_000) })
}

/// Device 7 passes the ceiling yesterday, half of it in another campaign, and not the day before; device 8 meets it exactly.
fn hits() -> Vec<Hit> {
    let half = CEILING / 2 + 5;
    seen(7, half, 1)
        .chain(seen(7, half, 1).map(|hit| Hit { campaign: "other", placement: "p2", ..hit }))
        .chain(seen(7, 10, 2))
        .chain(seen(8, CEILING, 1))
        .chain(std::iter::once(Hit { stage: Stage::Click, ..seen(7, 1, 1).next().expect("one") }))
        .collect()
}

fn check(rig: &Rig) {
    let yesterday = "from=2026-11-19&to=2026-11-19";
    let row = rig.row(&format!("utc/delivery?{yesterday}"));
    assert_eq!((&row["impressions"], &row["identified_impressions"]), (&80.into(), &50.into()));
    assert_eq!(row["clicks"], 1);
    let ids = rig.row(&format!("utc/ids?{yesterday}"));
    assert_eq!((&ids["set_aside"], &ids["usable"], &ids["identified"]), (&30.into(), &50.into(), &50.into()));
    for by in ["total", "placement", "creative", "platform"] {
        let row = rig.row(&format!("utc/reach?by={by}&{yesterday}"));
        assert_eq!(
            (&row["reach"], &row["impressions"], &row["clicks"]),
            (&1.into(), &80.into(), &1.into()),
            "{by}"
        );
        assert_eq!(row["n_plus"][9], 1, "{by}");
    }
    assert_eq!(rig.row(&format!("other/reach?{yesterday}"))["reach"], 0);
    // Both devices, for the day before has device 7 as a device.
    assert_eq!(rig.row("utc/reach")["reach"], 2);
    let kinds = rig.rows(&format!("utc/reach?by=id_kind&{yesterday}"));
    assert_eq!((&kinds[0]["key"], &kinds[0]["impressions"]), (&"none".into(), &30.into()));
}

#[test]
fn an_id_over_the_ceiling_is_no_device_on_that_day() {
    let mut rig = Rig::with(&catalog(), settings());
    rig.push(&hits());
    rig.load();
    check(&rig);
    assert_eq!(rig.get("/v1/set-aside")["devices"], json!([]), "nothing is settled");
    rig.settle();
    check(&rig);
    let list = rig.get("/v1/set-aside");
    assert_eq!((&list["device_day_impressions_max"], &list["has_more"]), (&CEILING.into(), &false.into()));
    let devices = list["devices"].as_array().expect("devices");
    assert_eq!(devices.len(), 1, "{devices:?}");
    assert_eq!(
        (&devices[0]["day"], &devices[0]["device"], &devices[0]["kind"], &devices[0]["impressions"]),
        (&"2026-11-19".into(), &"0000000000000007".into(), &"oaid".into(), &60.into())
    );
    assert_eq!(
        devices[0]["placements"],
        json!([
            {"campaign": "other", "placement": "p2", "medium": "Medium B", "impressions": 30},
            {"campaign": "utc", "placement": "p1", "medium": "Medium A", "impressions": 30}
        ])
    );
    assert_eq!(rig.get("/v1/set-aside?from=2026-11-20")["devices"], json!([]));
    // Everything comes again, after a crash at its worst: rows that stand twice count once.
    rig.restart(|rig| rig.lane.remove_cursor("aggregator").expect("the cursor goes"));
    rig.settle();
    check(&rig);
    assert_eq!(rig.get("/v1/set-aside")["devices"][0]["impressions"], 60);
}

/// An SDK that retries without an end sends one view again and again.
#[test]
fn repeats_do_not_lift_a_device_over_the_ceiling() {
    let rig = Rig::with(&catalog(), settings());
    let storm = seen(7, 3 * CEILING, 1).map(|hit| Hit { view: 70, ..hit });
    rig.push(
        &storm
            .chain(seen(8, CEILING, 1).map(|hit| Hit { view: 80 + hit.time_ms as u64, ..hit }))
            .collect::<Vec<_>>(),
    );
    rig.settle();
    assert_eq!(rig.get("/v1/set-aside")["devices"], json!([]));
    let row = rig.row("utc/reach?from=2026-11-19&to=2026-11-19");
    assert_eq!((&row["reach"], &row["impressions"]), (&2.into(), &(CEILING + 1).into()));
}

#[test]
fn another_ceiling_judges_past_days_anew() {
    let mut rig = Rig::with(&catalog(), settings());
    rig.push(&hits());
    rig.settle();
    check(&rig);
    rig.settings.device_day_impressions_max = 0;
    rig.restart(|_| ());
    assert_eq!(rig.settle()["days"].as_array().map(Vec::len), Some(2));
    assert_eq!(rig.row("utc/reach?from=2026-11-19&to=2026-11-19")["reach"], 2);
    assert_eq!(rig.get("/v1/set-aside")["devices"], Value::Array(Vec::new()));
    rig.settings.device_day_impressions_max = CEILING;
    rig.restart(|_| ());
    rig.settle();
    check(&rig);
}

#[test]
fn clicks_of_an_id_that_is_set_aside_are_no_double_clicks() {
    let windowed = CATALOG.replace("time_zone = \"UTC\"", "time_zone = \"UTC\"\ndouble_click_seconds = 2");
    let rig = Rig::with(&windowed, settings());
    let click = |device: u64, after_ms: i64| Hit {
        stage: Stage::Click,
        device: Some(device),
        ..hit(NOON_MS - DAY_MS + after_ms)
    };
    let clicks = [click(7, 0), click(7, 500), click(8, 0), click(8, 500)];
    rig.push(&seen(7, CEILING + 1, 1).chain(seen(8, 1, 1)).chain(clicks).collect::<Vec<_>>());
    rig.load();
    for _ in ["live", "settled"] {
        let row = rig.row("utc/delivery");
        assert_eq!((&row["net_clicks"], &row["removed_clicks"]["double_click"]), (&3.into(), &1.into()));
        rig.settle();
    }
}

#[test]
fn a_day_is_asked_for_as_a_day() {
    let rig = Rig::new();
    for path in
        ["/v1/set-aside?from=x", "/v1/set-aside?by=day", "/v1/set-aside?from=2026-11-19&from=2026-11-19"]
    {
        assert_eq!(rig.call("GET", path).0, 400, "{path}");
    }
    assert_eq!(rig.call("POST", "/v1/set-aside").0, 405);
}
