//! From the journal into the store: at least once there, exactly once in figures; books; what cannot be read.

use event::outcome::Outcome;

use crate::rig::{DAY_MS, Hit, NOON_MS, Rig, hit};

#[test]
fn what_is_loaded_twice_is_counted_once() {
    let mut rig = Rig::new();
    let hits: Vec<Hit> =
        (0..500).map(|n| Hit { device: Some(n % 200 + 1), ..hit(NOON_MS - DAY_MS + n as i64) }).collect();
    rig.push(&hits);
    rig.settle();
    let before = rig.report("utc/reach?by=day");
    // A crash between insert and cursor, at its worst: everything comes again.
    rig.restart(|rig| rig.lane.remove_cursor("aggregator").expect("the cursor goes"));
    rig.load();
    assert_eq!(rig.sql("SELECT count() FROM events"), "1000");
    rig.settle();
    assert_eq!(rig.report("utc/reach?by=day"), before);
    assert_eq!(rig.row("utc/delivery")["gross_impressions"], 500);
    assert_eq!(rig.row("utc/delivery?by=creative")["gross_impressions"], 500);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut rig = Rig::new();
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.settle();
    rig.restart(|rig| rig.push(&[hit(NOON_MS - DAY_MS + 1)]));
    rig.load();
    assert_eq!(rig.sql("SELECT count() FROM events"), "2");
}

#[test]
fn a_batch_over_many_days_is_split() {
    let rig = Rig::new();
    let hits: Vec<Hit> =
        (0..150).map(|day| Hit { received_ms: NOON_MS, ..hit(NOON_MS - day * DAY_MS) }).collect();
    rig.push(&hits);
    rig.load();
    assert_eq!(rig.sql("SELECT count(), uniq(day) FROM events"), "150\t150");
    assert_eq!(rig.rows("utc/delivery?by=day").len(), 150);
}

#[test]
fn books_are_the_newest_of_each_journal() {
    let rig = Rig::new();
    let mut outcomes = [0; Outcome::COUNT];
    outcomes[Outcome::Accepted as usize] = 5;
    rig.push_books(6, 1, outcomes);
    outcomes[Outcome::Accepted as usize] = 7;
    outcomes[Outcome::OptedOut as usize] = 2;
    rig.push_books(9, 0, outcomes);
    rig.load();
    let books = rig.get("/v1/books");
    assert_eq!(books["total"]["received"], 9);
    assert_eq!(books["total"]["outcomes"]["accepted"], 7);
    assert_eq!(books["total"]["outcomes"]["opted_out"], 2);
    assert_eq!(books["total"]["balanced"], true);
    assert_eq!(books["journals"].as_array().expect("journals").len(), 1);
}

#[test]
fn a_record_of_an_unknown_version_is_kept_and_counted() {
    let rig = Rig::new();
    rig.push_bytes(&[251, 1, 2, 3]);
    rig.push(&[hit(NOON_MS - DAY_MS)]);
    rig.load();
    assert_eq!(rig.get("/v1/books")["records_set_aside"], 1);
    assert_eq!(rig.sql("SELECT version, hex(record) FROM set_aside"), "251\tFB010203");
    assert_eq!(rig.row("utc/delivery")["impressions"], 1);
}

#[test]
fn a_record_is_kept_as_it_is() {
    let rig = Rig::new();
    let odd = Hit {
        creative: "a'b\\c\"\t\u{4e2d}",
        device: Some(0xfedc_ba98_7654_3210),
        agent: "\u{0}\n'; DROP TABLE events; --".to_owned(),
        network: vec![0x20, 0x01, 0x0d, 0xb8, 0, 1],
        ..hit(NOON_MS - DAY_MS)
    };
    rig.push(&[odd]);
    rig.load();
    assert_eq!(
        rig.sql("SELECT device, hex(agent), hex(network), hex(creative), received = time FROM events"),
        "18364758544493064720\t000A273B2044524F50205441424C45206576656E74733B202D2D\t060020010DB80001\t612762\
         5C632209E4B8AD\t1"
    );
    let rows = rig.rows("utc/reach?by=creative");
    assert_eq!(rows[0]["key"], "a'b\\c\"\t\u{4e2d}");
}
