//! Values as other systems write them turned into what the tracker takes: times and stage names. Pure functions.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime};

/// A recorded time as Unix seconds or milliseconds. Numbers pass as they are (the tracker tells the two apart by size);
/// RFC 3339 and the time of access logs become milliseconds. `None` for anything else, times without a zone among it: a guess
/// would move rows to another day.
pub(super) fn time(value: &str) -> Option<Cow<'_, str>> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Cow::Borrowed(value));
    }
    if let Some((seconds, _)) = value.split_once('.')
        && value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && seconds.len() >= 9
    {
        return fraction_of_seconds(value).map(|ms| Cow::Owned(ms.to_string()));
    }
    let parsed = DateTime::parse_from_rfc3339(value)
        .or_else(|_| DateTime::parse_from_str(value, "%Y-%m-%d %H:%M:%S%.f%:z"))
        .or_else(|_| DateTime::parse_from_str(value, "%d/%b/%Y:%H:%M:%S %z"));
    if let Ok(moment) = parsed {
        return Some(Cow::Owned(moment.timestamp_millis().to_string()));
    }
    if let Some(utc) = value.strip_suffix(" UTC")
        && let Ok(moment) = NaiveDateTime::parse_from_str(utc, "%Y-%m-%d %H:%M:%S%.f")
    {
        return Some(Cow::Owned(moment.and_utc().timestamp_millis().to_string()));
    }
    None
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
            assert_eq!(time(written).as_deref(), Some(ms), "{written}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_none() {
        for written in ["2013-10-21 18:29:02", "yesterday", "12.5", ""] {
            assert_eq!(time(written), None, "{written}");
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
