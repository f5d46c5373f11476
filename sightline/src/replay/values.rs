//! Values as other systems write them, turned into what the tracker takes: times and stage names. Pure functions.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime};

/// A recorded time as Unix seconds or milliseconds. Numbers pass as they are (the tracker tells the two apart by size);
/// RFC 3339 and the time of access logs become milliseconds; anything else passes as it is, for the tracker to refuse.
/// Times without a zone are refused there too: a guess would move rows to another day.
pub(super) fn time(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    if value.bytes().all(|b| b.is_ascii_digit()) {
        return Cow::Borrowed(value);
    }
    if let Some((seconds, _)) = value.split_once('.')
        && value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && seconds.len() >= 9
    {
        return fraction_of_seconds(value).map_or(Cow::Borrowed(value), |ms| Cow::Owned(ms.to_string()));
    }
    let parsed = DateTime::parse_from_rfc3339(value)
        .or_else(|_| DateTime::parse_from_str(value, "%Y-%m-%d %H:%M:%S%.f%:z"))
        .or_else(|_| DateTime::parse_from_str(value, "%d/%b/%Y:%H:%M:%S %z"));
    if let Ok(moment) = parsed {
        return Cow::Owned(moment.timestamp_millis().to_string());
    }
    if let Some(utc) = value.strip_suffix(" UTC")
        && let Ok(moment) = NaiveDateTime::parse_from_str(utc, "%Y-%m-%d %H:%M:%S%.f")
    {
        return Cow::Owned(moment.and_utc().timestamp_millis().to_string());
    }
    Cow::Borrowed(value)
}

/// `1382351342.623` (nginx's `$msec`) as milliseconds.
fn fraction_of_seconds(value: &str) -> Option<i64> {
    let (seconds, fraction) = value.split_once('.')?;
    let seconds: i64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    seconds.checked_mul(1000)?.checked_add(digits.parse().ok()?)
}

/// The tracker's name of a stage that logs often write otherwise. Unknown names pass as they are, for the tracker to refuse.
pub(super) fn stage(value: &str) -> Cow<'_, str> {
    let plain = value.trim().to_lowercase().replace('_', "-");
    let name = match plain.as_str() {
        "imp" | "impression" | "impressions" | "view" | "show" | "pv" => "impression",
        "clk" | "click" | "clicks" => "click",
        "conv" | "conversion" => "conversion",
        "firstquartile" => "first-quartile",
        "thirdquartile" => "third-quartile",
        "notviewable" => "not-viewable",
        _ => return Cow::Owned(plain),
    };
    Cow::Borrowed(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_other_systems_become_milliseconds() {
        for (written, ms) in [
            ("1382351342623", "1382351342623"),
            ("1382351342", "1382351342"),
            ("1382351342.623", "1382351342623"),
            ("1382351342.6", "1382351342600"),
            ("21/Oct/2013:18:29:02 +0800", "1382351342000"),
            ("2013-10-21T10:29:02.623Z", "1382351342623"),
            ("2013-10-21T18:29:02+08:00", "1382351342000"),
            ("2013-10-21 10:29:02.623 UTC", "1382351342623"),
        ] {
            assert_eq!(time(written), ms, "{written}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_left_for_the_tracker_to_refuse() {
        for written in ["2013-10-21 18:29:02", "yesterday", "12.5", ""] {
            assert_eq!(time(written), written);
        }
    }

    #[test]
    fn stages_are_known_by_their_usual_names() {
        assert_eq!(stage("imp"), "impression");
        assert_eq!(stage("CLK"), "click");
        assert_eq!(stage("first_quartile"), "first-quartile");
        assert_eq!(stage("viewable"), "viewable");
        assert_eq!(stage("bid"), "bid");
    }
}
