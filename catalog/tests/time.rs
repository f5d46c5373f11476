//! A campaign's clock: constants worked out by hand, and every zone against the calendar of `chrono`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use catalog::{Campaign, Catalog, LocalTime};
use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use proptest::prelude::*;
use std::sync::Arc;

fn campaign_in(zone: &str, starts: &str) -> Arc<Campaign> {
    let text = format!("[[campaign]]\nid = \"c\"\nname = \"C\"\ntime_zone = \"{zone}\"\n{starts}");
    let catalog = Catalog::parse(&text, "catalog.toml").unwrap();
    Arc::clone(&catalog.campaigns["c"])
}

fn ms(utc: &str) -> i64 {
    DateTime::parse_from_rfc3339(utc).unwrap().timestamp_millis()
}

fn day(date: &str) -> u16 {
    let date: NaiveDate = date.parse().unwrap();
    u16::try_from(date.to_epoch_days()).unwrap()
}

#[test]
fn days_and_hours_by_hand() {
    for (zone, utc, date, hour) in [
        ("Asia/Shanghai", "2026-11-20T15:59:59.999Z", "2026-11-20", 23),
        ("Asia/Shanghai", "2026-11-20T16:00:00Z", "2026-11-21", 0),
        ("Asia/Kolkata", "2026-11-20T18:29:59.999Z", "2026-11-20", 23),
        ("Asia/Kolkata", "2026-11-20T18:30:00Z", "2026-11-21", 0),
        ("America/New_York", "2026-11-01T03:59:59Z", "2026-10-31", 23),
        ("America/New_York", "2026-11-01T04:00:00Z", "2026-11-01", 0),
        ("America/New_York", "2026-11-01T05:59:59Z", "2026-11-01", 1),
        ("America/New_York", "2026-11-01T06:00:00Z", "2026-11-01", 1),
        ("America/New_York", "2026-11-01T07:00:00Z", "2026-11-01", 2),
        ("America/New_York", "2026-11-02T04:59:59Z", "2026-11-01", 23),
        ("America/New_York", "2026-11-02T05:00:00Z", "2026-11-02", 0),
        ("America/New_York", "2026-03-08T06:59:59Z", "2026-03-08", 1),
        ("America/New_York", "2026-03-08T07:00:00Z", "2026-03-08", 3),
        // Half an hour of summer time: +10:30 until 2026-10-03T15:30Z, then +11.
        ("Australia/Lord_Howe", "2026-10-03T15:29:59Z", "2026-10-04", 1),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-04", 2),
        ("Australia/Lord_Howe", "2026-10-03T13:29:59Z", "2026-10-03", 23),
        ("UTC", "1970-01-01T00:00:00Z", "1970-01-01", 0),
    ] {
        let local = campaign_in(zone, "").local_time(ms(utc));
        assert_eq!(local, LocalTime { day: day(date), hour }, "{zone} {utc}");
    }
}

#[test]
fn moments_that_no_day_number_reaches() {
    let campaign = campaign_in("America/New_York", "");
    assert_eq!(campaign.local_time(0), LocalTime { day: 0, hour: 19 });
    assert_eq!(campaign.local_time(i64::MIN).day, 0);
    assert_eq!(campaign.local_time(i64::MAX).day, u16::MAX);
}

#[test]
fn a_flight_begins_at_local_midnight() {
    for (zone, starts, utc) in [
        ("Asia/Shanghai", "2026-11-01", "2026-10-31T16:00:00Z"),
        ("Asia/Kolkata", "2026-11-01", "2026-10-31T18:30:00Z"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00:00Z"),
        ("America/New_York", "2026-11-02", "2026-11-02T05:00:00Z"),
        // Midnight does not exist: the clocks go from 00:00 to 01:00.
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z"),
        // Midnight comes twice: the first one counts.
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"),
        // The day does not exist at all.
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"),
    ] {
        let campaign = campaign_in(zone, &format!("starts = {starts}\n"));
        assert_eq!(campaign.campaign_start_ms(), Some(ms(utc)), "{zone} {starts}");
        assert_eq!(campaign.day_start_ms(day(starts)), Some(ms(utc)), "{zone} {starts}");
    }
    assert_eq!(campaign_in("UTC", "").campaign_start_ms(), None);
}

proptest! {
    #[test]
    fn agrees_with_the_calendar_in_every_zone(
        zone in proptest::sample::select(&chrono_tz::TZ_VARIANTS[..]),
        at in 0_i64..4_000_000_000_000,
    ) {
        let local = campaign_in(zone.name(), "").local_time(at);
        let calendar = DateTime::<Utc>::from_timestamp_millis(at).unwrap().with_timezone(&zone);
        let days = i64::from(calendar.num_days_from_ce()) - 719_163;
        prop_assert_eq!(i64::from(local.day), days.max(0));
        prop_assert_eq!(u32::from(local.hour), calendar.hour());
    }

    #[test]
    fn a_day_begins_where_the_day_before_ends(
        zone in proptest::sample::select(&["Asia/Shanghai", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"][..]),
        day in 1_u16..40_000,
    ) {
        let campaign = campaign_in(zone, "");
        let start = campaign.day_start_ms(day).unwrap();
        prop_assert_eq!(campaign.local_time(start).day, day);
        prop_assert_eq!(campaign.local_time(start - 1).day, day - 1);
    }
}
