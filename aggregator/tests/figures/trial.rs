//! Placements in their trial state: their hits are in no figure, and can be looked at one by one, redacted.

use event::identifier::IdField;
use event::outcome::Outcome;
use event::record::{Platform, SourceKind, TrialHit, encode_trial_hit, flag};
use event::stage::Stage;
use serde_json::json;

use crate::rig::{CATALOG, DAY_MS, Hit, NOON_MS, Rig, hit};

const PATH: &str = "/v1/campaigns/utc/placements/new/hits";

fn catalog(state: &str) -> String {
    format!(
        "{CATALOG}[[campaign.placement]]\nid = \"new\"\nname = \"New\"\nmedium = \"Medium C\"\nstate = \"{state}\"\n"
    )
}

fn record(received_ms: i64, outcome: Outcome) -> Vec<u8> {
    let mut bytes = Vec::new();
    let place =
        |field: IdField| 1_u32 << IdField::ALL.iter().position(|other| *other == field).expect("a field");
    let hit = TrialHit {
        received_ms,
        client_clock_ms: Some(-1_500),
        campaign: "utc",
        placement: "new",
        dialect: "miaozhen",
        stage: Some(Stage::Viewable),
        outcome,
        source: SourceKind::Client,
        platform: Platform::Ios,
        flags: flag::TRIAL | flag::MACRO_UNREPLACED | flag::ID_USABLE,
        ids_present: place(IdField::Idfa) | place(IdField::CaidMd5),
        ids_usable: place(IdField::Idfa),
        macros_unreplaced: 2,
        parameters_unknown: 1,
        dropped: "mj mm",
    };
    encode_trial_hit(&hit, &mut bytes);
    bytes
}

#[test]
fn trial_hits_are_in_no_figure() {
    let rig = Rig::with(&catalog("trial"), aggregator::Settings::default());
    let trial = Hit { placement: "new", device: Some(9), flags: flag::TRIAL, ..hit(NOON_MS - DAY_MS) };
    rig.push(&[hit(NOON_MS - DAY_MS), trial.clone(), Hit { stage: Stage::Click, ..trial }]);
    rig.load();
    for _ in ["live", "settled"] {
        let rows = rig.rows("utc/delivery?by=placement&filter=gross");
        assert_eq!((rows.len(), &rows[0]["key"]), (1, &"p1".into()));
        let row = rig.row("utc/delivery?filter=gross");
        assert_eq!((&row["gross_impressions"], &row["gross_clicks"]), (&1.into(), &0.into()));
        assert_eq!(rig.row("utc/reach?filter=gross")["reach"], 0);
        assert_eq!(rig.row("utc/reach?filter=gross&by=creative")["reach"], 0);
        assert_eq!(rig.row("utc/ids?filter=gross")["impressions"], 1);
        rig.settle();
    }
    // They are stored all the same, and going live does not bring them into figures.
    assert_eq!(rig.sql("SELECT count() FROM trial_events"), "2");
    rig.set_catalog(&catalog("live"));
    rig.settle();
    assert_eq!(rig.row("utc/delivery?filter=gross")["gross_impressions"], 1);
    let campaigns = rig.get("/v1/campaigns");
    assert_eq!(campaigns["campaigns"][0]["placements"][0]["state"], "live");
}

#[test]
fn what_came_before_the_catalog_knew_a_trial_placement_is_in_no_figure_either() {
    let rig = Rig::new();
    rig.push(&[Hit { placement: "new", ..hit(NOON_MS - DAY_MS) }]);
    rig.settle();
    assert_eq!(rig.row("utc/delivery")["unresolved"], 1);
    for state in ["trial", "live"] {
        rig.set_catalog(&catalog(state));
        rig.settle();
        let row = rig.row("utc/delivery");
        assert_eq!((&row["gross_impressions"], &row["unresolved"]), (&0.into(), &0.into()), "{state}");
    }
    assert_eq!(rig.sql("SELECT count() FROM trial_events"), "1");
}

#[test]
fn the_newest_hits_of_a_trial_placement_are_shown_redacted() {
    let mut rig = Rig::with(&catalog("trial"), aggregator::Settings::default());
    let empty = rig.get(PATH);
    assert_eq!((&empty["state"], &empty["hits"]), (&"trial".into(), &json!([])));
    assert!(empty["note"].as_str().is_some_and(|note| note.contains("seven days")), "{empty}");
    for n in 0..120 {
        rig.push_bytes(&record(NOON_MS + n, if n == 119 { Outcome::TooLate } else { Outcome::Accepted }));
    }
    rig.load();
    let answer = rig.get(PATH);
    let hits = answer["hits"].as_array().expect("hits");
    assert_eq!((hits.len(), &answer["note"]), (100, &json!(null)));
    let mut newest = hits[0].clone();
    let id = newest.as_object_mut().and_then(|hit| hit.remove("id")).expect("an id");
    assert!(hits[1..].iter().all(|hit| hit["id"] != id));
    assert_eq!(
        newest,
        json!({
            "received": "2026-11-20T12:00:00.119Z",
            "received_ms": NOON_MS + 119,
            "client_clock_ms": -1500,
            "dialect": "miaozhen",
            "stage": "viewable",
            "outcome": "too_late",
            "source": "c2s",
            "platform": "ios",
            "flags": ["macro_unreplaced", "id_usable", "trial"],
            "identifiers": [
                {"name": "idfa", "kind": "idfa", "usable": true},
                {"name": "caid_md5", "kind": "caid", "usable": false}
            ],
            "macros_unreplaced": 2,
            "parameters_unknown": 1,
            "dropped": ["mj", "mm"]
        })
    );
    // Loaded twice, shown once.
    rig.restart(|rig| rig.lane.remove_cursor("aggregator").expect("the cursor goes"));
    rig.load();
    let again = rig.get(&format!("{PATH}?limit=3"));
    assert_eq!(again["hits"].as_array().map(Vec::as_slice), Some(&hits[..3]));
}

#[test]
fn a_live_placement_shows_no_single_hits_and_says_so() {
    let rig = Rig::new();
    let live = rig.get("/v1/campaigns/utc/placements/p1/hits");
    assert_eq!((&live["state"], &live["hits"]), (&"live".into(), &json!([])));
    assert!(live["note"].as_str().is_some_and(|note| note.contains("state = \"trial\"")), "{live}");
    let unknown = rig.get("/v1/campaigns/utc/placements/typo/hits");
    assert_eq!(unknown["state"], "unknown");
    for (path, status) in [
        ("/v1/campaigns/none/placements/p1/hits", 404),
        ("/v1/campaigns/utc/placements/p1/hits?limit=101", 400),
        ("/v1/campaigns/utc/placements/p1/hits?after=1", 400),
    ] {
        assert_eq!(rig.call("GET", path).0, status, "{path}");
    }
    assert_eq!(rig.call_as("GET", "/v1/campaigns/utc/placements/p1/hits", None).0, 401);
}
