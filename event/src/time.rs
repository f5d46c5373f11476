//! Which time an event counts by: the client's if it is plausible, else receipt (DESIGN §10, DOMAIN §1.8). Pure.

use crate::clock::UnixMs;
use crate::outcome::Outcome;
use crate::record::flag;

/// The client's time is used up to this age: the offline queue of the widest-spread SDK keeps hits for 604,800 s (DOMAIN §1.8).
pub const LATE_MS_MAX: i64 = 7 * DAY_MS;
/// Beyond [`LATE_MS_MAX`] and up to this age a hit is too late; an older time is no time but a broken clock.
pub const BELIEVED_MS_MAX: i64 = 30 * DAY_MS;
/// A client's clock may be this far ahead of ours.
pub const AHEAD_MS_MAX: i64 = 10 * 60 * 1000;
/// From this number on a time is read as milliseconds, below as seconds: as milliseconds it is March 1973, as seconds the year 5138.
pub const MILLISECONDS_FROM: i64 = 100_000_000_000;
/// From this moment on (2100-01-01) a number is no time. It may be an identifier in the wrong parameter (an IMEI is a number of 15 digits), so
/// nothing of it is kept.
pub const TIME_MS_END: i64 = 4_102_444_800_000;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What became of a client's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The time by which the event counts, Unix milliseconds.
    pub time_ms: UnixMs,
    /// The client's time as sent, where it was a number before [`TIME_MS_END`]; Unix milliseconds.
    pub client_time_ms: Option<UnixMs>,
    /// Bits of [`flag`]: client time absent, clock broken, backdated.
    pub flags: u32,
}

/// Judges the client's time against receipt.
///
/// * Absent: receipt, flagged absent.
/// * More than [`AHEAD_MS_MAX`] ahead, older than [`BELIEVED_MS_MAX`], before the campaign, or not a number: a broken clock; receipt,
///   flagged. What is not a number rejects nothing: the ad was shown, only its clock is unknown.
/// * Up to [`LATE_MS_MAX`] old: used.
/// * Between: [`Outcome::TooLate`].
///
/// A caller with the right to backdate is believed about the past, also before the campaign; a time ahead stays a broken clock.
///
/// # Errors
/// [`Outcome::TooLate`], and no other.
pub fn judge(
    client: Option<&[u8]>,
    received_ms: UnixMs,
    campaign_start_ms: Option<UnixMs>,
    may_backdate: bool,
) -> Result<Judged, Outcome> {
    let Some(client) = client else {
        return Ok(Judged { time_ms: received_ms, client_time_ms: None, flags: flag::CLIENT_TIME_ABSENT });
    };
    let broken =
        |client_time_ms| Judged { time_ms: received_ms, client_time_ms, flags: flag::CLIENT_CLOCK_BROKEN };
    let Some(client_ms) = parse(client).filter(|ms| *ms < TIME_MS_END) else {
        return Ok(broken(None));
    };
    let age_ms = received_ms.saturating_sub(client_ms);
    let before_campaign = campaign_start_ms.is_some_and(|start| client_ms < start);
    let used = |flags| Judged { time_ms: client_ms, client_time_ms: Some(client_ms), flags };
    if age_ms < -AHEAD_MS_MAX {
        Ok(broken(Some(client_ms)))
    } else if age_ms <= LATE_MS_MAX && !before_campaign {
        Ok(used(0))
    } else if may_backdate {
        Ok(used(flag::BACKDATED))
    } else if age_ms > BELIEVED_MS_MAX || before_campaign {
        Ok(broken(Some(client_ms)))
    } else {
        Err(Outcome::TooLate)
    }
}

/// Unix milliseconds of a decimal number of seconds or milliseconds, told apart by magnitude. A fraction of a second
/// (`1700000000.25`, as JSON encoders write it) counts to the millisecond; one of a millisecond is dropped.
fn parse(text: &[u8]) -> Option<UnixMs> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    if whole >= MILLISECONDS_FROM {
        return Some(whole);
    }
    let thousandths =
        fraction.bytes().chain(*b"00").take(3).fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some(whole * 1000 + thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_795_219_200_123;
    const MINUTE: i64 = 60_000;

    fn at(client_ms: i64) -> Result<Judged, Outcome> {
        judge(Some(client_ms.to_string().as_bytes()), NOW, None, false)
    }

    #[test]
    fn absent_means_receipt() {
        let judged = judge(None, NOW, None, false).unwrap();
        assert_eq!(judged, Judged { time_ms: NOW, client_time_ms: None, flags: flag::CLIENT_TIME_ABSENT });
    }

    #[test]
    fn seconds_and_milliseconds_are_told_apart() {
        for (text, ms) in [
            ("1795219200", 1_795_219_200_000),
            ("1795219200123", 1_795_219_200_123),
            ("1795219200.5", 1_795_219_200_500),
            ("1795219200.0625", 1_795_219_200_062),
            ("1795219200123.9", 1_795_219_200_123),
            ("99999999999", 99_999_999_999_000),
            ("100000000000", 100_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_a_broken_clock() {
        for text in ["-1", "+1", "", ".5", "5.", "1e9", "12a", "2026-11-21", "99999999999999999999", "１"] {
            let judged = judge(Some(text.as_bytes()), NOW, None, true).unwrap();
            assert_eq!(
                judged,
                Judged { time_ms: NOW, client_time_ms: None, flags: flag::CLIENT_CLOCK_BROKEN },
                "{text}"
            );
        }
    }

    #[test]
    fn a_number_that_can_be_an_identifier_is_not_kept() {
        for text in
            ["356938035643809", "35693803564380", "13812345678", "99999999999", "4102444800", "4102444800000"]
        {
            for may_backdate in [false, true] {
                let judged = judge(Some(text.as_bytes()), NOW, None, may_backdate).unwrap();
                let broken = Judged { time_ms: NOW, client_time_ms: None, flags: flag::CLIENT_CLOCK_BROKEN };
                assert_eq!(judged, broken, "{text}");
            }
        }
        assert_eq!(at(TIME_MS_END - 1).unwrap().client_time_ms, Some(TIME_MS_END - 1));
    }

    #[test]
    fn edges_of_the_window() {
        let used = |ms| Ok(Judged { time_ms: ms, client_time_ms: Some(ms), flags: 0 });
        let broken =
            |ms| Ok(Judged { time_ms: NOW, client_time_ms: Some(ms), flags: flag::CLIENT_CLOCK_BROKEN });
        assert_eq!(at(NOW), used(NOW));
        assert_eq!(at(NOW + 10 * MINUTE), used(NOW + 10 * MINUTE));
        assert_eq!(at(NOW + 10 * MINUTE + 1), broken(NOW + 10 * MINUTE + 1));
        assert_eq!(at(NOW - 7 * DAY_MS), used(NOW - 7 * DAY_MS));
        assert_eq!(at(NOW - 7 * DAY_MS - 1), Err(Outcome::TooLate));
        assert_eq!(at(NOW - 30 * DAY_MS), Err(Outcome::TooLate));
        assert_eq!(at(NOW - 30 * DAY_MS - 1), broken(NOW - 30 * DAY_MS - 1));
        assert_eq!(at(0), broken(0));
    }

    #[test]
    fn nothing_happens_before_the_campaign() {
        let start = NOW - 3 * DAY_MS;
        let judge_at = |ms: i64, may| judge(Some(ms.to_string().as_bytes()), NOW, Some(start), may).unwrap();
        assert_eq!(judge_at(start, false).time_ms, start);
        assert_eq!(judge_at(start - 1, false).time_ms, NOW);
        assert_eq!(judge_at(start - 1, false).flags, flag::CLIENT_CLOCK_BROKEN);
        assert_eq!(judge_at(start - 10 * DAY_MS, false).flags, flag::CLIENT_CLOCK_BROKEN);
        assert_eq!(judge_at(start - 1, true).time_ms, start - 1);
        assert_eq!(judge_at(start - 1, true).flags, flag::BACKDATED);
    }

    #[test]
    fn backdating_reaches_into_the_past_only() {
        let judge_at = |ms: i64| judge(Some(ms.to_string().as_bytes()), NOW, None, true).unwrap();
        assert_eq!(judge_at(NOW - DAY_MS).flags, 0);
        assert_eq!(judge_at(NOW - 8 * DAY_MS).flags, flag::BACKDATED);
        assert_eq!(judge_at(1_382_351_342_623).time_ms, 1_382_351_342_623);
        assert_eq!(judge_at(NOW + DAY_MS).flags, flag::CLIENT_CLOCK_BROKEN);
        assert_eq!(judge_at(NOW + DAY_MS).time_ms, NOW);
    }
}
