//! Until when a request has to be answered: working days, counted on the calendar of the place that the settings name.
//!
//! A working day is Monday to Friday and none of [`RequestSettings::holidays`], or one of [`RequestSettings::working_weekend_days`]. Neither is known by
//! itself: without the one a date may be too early, without the other too late.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Weekday};
use event::clock::UnixMs;

use crate::settings::RequestSettings;

/// Days that are looked at for one date: beyond, somebody has declared years of holidays.
const DAYS_MAX: u64 = 3_660;

/// The day at whose end a request has to be answered: the last of so many working days after the one on which it was asked.
pub fn due(settings: &RequestSettings, asked_ms: UnixMs) -> NaiveDate {
    let mut day = local_day(settings, asked_ms);
    let mut left = settings.answer_working_days;
    for _ in 0..DAYS_MAX {
        if left == 0 {
            break;
        }
        day = day.checked_add_days(Days::new(1)).unwrap_or(day);
        left -= u32::from(is_working_day(settings, day));
    }
    day
}

/// The day of a moment on the calendar of the settings.
pub fn local_day(settings: &RequestSettings, at_ms: UnixMs) -> NaiveDate {
    let offset = TimeDelta::minutes(i64::from(settings.utc_offset_minutes));
    let local = DateTime::from_timestamp_millis(at_ms).and_then(|at| at.checked_add_signed(offset));
    local.map_or(NaiveDate::MAX, |local| local.date_naive())
}

fn is_working_day(settings: &RequestSettings, day: NaiveDate) -> bool {
    let is_weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
    (!is_weekend || settings.working_weekend_days.contains(&day)) && !settings.holidays.contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMs {
        DateTime::parse_from_rfc3339(text).expect("a time").timestamp_millis()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn fifteen_working_days_are_three_weeks_and_weekends_do_not_count() {
        let settings = RequestSettings::default();
        for (asked, expected) in [
            // Friday: the next Monday is the first.
            ("2026-11-20T02:00:00Z", "2026-12-11"),
            ("2026-11-21T02:00:00Z", "2026-12-11"),
            ("2026-11-22T02:00:00Z", "2026-12-11"),
            ("2026-11-23T02:00:00Z", "2026-12-14"),
            // Still Sunday in London, Monday in Shanghai.
            ("2026-11-22T16:00:00Z", "2026-12-14"),
            ("2026-11-22T15:59:59Z", "2026-12-11"),
        ] {
            assert_eq!(due(&settings, at(asked)), day(expected), "{asked}");
        }
    }

    #[test]
    fn holidays_count_only_where_they_are_set() {
        let settings = RequestSettings {
            // The third of October 2026 is a Saturday.
            holidays: (1..=7).filter_map(|n| NaiveDate::from_ymd_opt(2026, 10, n)).collect(),
            ..RequestSettings::default()
        };
        assert_eq!(due(&settings, at("2026-09-30T02:00:00Z")), day("2026-10-28"));
        assert_eq!(due(&RequestSettings::default(), at("2026-09-30T02:00:00Z")), day("2026-10-21"));
    }

    #[test]
    fn a_weekend_that_is_worked_counts_where_it_is_set() {
        let worked =
            RequestSettings { working_weekend_days: vec![day("2026-11-29")], ..RequestSettings::default() };
        assert_eq!(due(&worked, at("2026-11-20T02:00:00Z")), day("2026-12-10"));
    }

    #[test]
    fn an_endless_holiday_is_no_endless_loop() {
        let all = day("2026-01-01").iter_days().take(5_000).collect();
        let settings = RequestSettings { holidays: all, ..RequestSettings::default() };
        assert!(due(&settings, at("2026-09-30T02:00:00Z")) > day("2036-01-01"));
    }
}
