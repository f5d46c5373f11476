//! The region libraries behind a report, from the notes of the lanes.

use event::record::{RegionLibrary, encode_region_library};
use serde_json::{Value, json};

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, hit};

fn note(rig: &Rig, at_ms: i64, name: &str) {
    let mut bytes = Vec::new();
    encode_region_library(&RegionLibrary { at_ms, built: 1_793_664_000, version: 0x2a, name }, &mut bytes);
    rig.push_bytes(&bytes);
}

fn names(rig: &Rig, query: &str) -> Vec<String> {
    let report = rig.report(&format!("utc/delivery?by=region{query}"));
    let libraries = report["region_libraries"].as_array().expect("a list");
    libraries.iter().map(|library| library["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_report_by_region_names_the_libraries_of_its_days() {
    let rig = Rig::new();
    assert_eq!(rig.report("utc/reach?by=region")["region_libraries"], json!([]));
    note(&rig, NOON_MS - 3 * DAY_MS, "First");
    rig.push(&[Hit { region: "CN-SH", device: Some(1), ..hit(NOON_MS - 2 * DAY_MS) }]);
    note(&rig, NOON_MS - DAY_MS, "Second");
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.push_books(2, 0, {
        let mut outcomes = [0; event::outcome::Outcome::COUNT];
        outcomes[0] = 2;
        outcomes
    });
    rig.settle();
    let first = json!({"name": "First", "built": "2026-11-03", "version": "0000002a"});
    for query in ["utc/delivery", "utc/reach", "utc/frequency"] {
        let report = rig.report(&format!("{query}?by=region&from=2026-11-17&to=2026-11-18"));
        assert_eq!(report["region_libraries"], json!([first]), "{query}");
        assert!(report["rows"].as_array().is_some_and(|rows| rows[0]["key"] == "CN-SH"), "{report}");
    }
    assert_eq!(names(&rig, ""), ["First", "Second"], "the day of the change has both");
    assert_eq!(names(&rig, "&from=2026-11-20&to=2026-11-20"), ["Second"]);
    assert_eq!(names(&rig, "&from=2026-11-10&to=2026-11-16"), Vec::<String>::new());
    assert_eq!(rig.report("utc/delivery")["region_libraries"], Value::Null, "only where regions are shown");
}
