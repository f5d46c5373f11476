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
/// Before this moment (2000-01-01) a number is no time, for a caller with the right to backdate either: no beacon is older (the first guideline
/// for the measurement of online ads is the IAB's of January 2002), and formatted times are read from this year on too. It is a clock
/// that was never set, or a number of another kind, so nothing of it is kept.
pub const TIME_MS_BEGIN: i64 = 946_684_800_000;
/// From this moment on (2100-01-01) a number is no time. It may be an identifier in the wrong parameter (an IMEI is a number of 15 digits), so
/// nothing of it is kept.
pub const TIME_MS_END: i64 = 4_102_444_800_000;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const MINUTE_MS: i64 = 60 * 1000;

/// What became of a client's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The time by which the event counts, Unix milliseconds.
    pub time_ms: UnixMs,
    /// The client's time as sent, where it was a time from [`TIME_MS_BEGIN`] to [`TIME_MS_END`]; Unix milliseconds.
    pub client_time_ms: Option<UnixMs>,
    /// Bits of [`flag`]: client time absent, clock broken, backdated.
    pub flags: u32,
}

/// Judges the client's time against receipt.
///
/// * Absent: receipt, flagged absent.
/// * More than [`AHEAD_MS_MAX`] ahead, older than [`BELIEVED_MS_MAX`], before the campaign, or no time (not a number, before
///   [`TIME_MS_BEGIN`], from [`TIME_MS_END`] on): a broken clock; receipt, flagged. What is no time rejects nothing: the ad was shown, only its
///   clock is unknown.
/// * Up to [`LATE_MS_MAX`] old: used.
/// * Between: [`Outcome::TooLate`].
///
/// A caller with the right to backdate is believed about the past, also before the campaign; a time ahead, and what is no time, stays a
/// broken clock.
///
/// # Errors
/// [`Outcome::TooLate`], and no other.
pub fn judge(
    client: Option<&[u8]>,
    received_ms: UnixMs,
    campaign_start_ms: Option<UnixMs>,
    may_backdate: bool,
) -> Result<Judged, Outcome> {
    judge_at_offset(client, None, received_ms, campaign_start_ms, may_backdate)
}

/// As [`judge`], where the dialect writes formatted times: `offset_minutes` is by how much those without an offset of their own are ahead of
/// UTC ([`crate::hit::Hit::time_offset_minutes`]).
///
/// # Errors
/// As [`judge`].
pub fn judge_at_offset(
    client: Option<&[u8]>,
    offset_minutes: Option<i16>,
    received_ms: UnixMs,
    campaign_start_ms: Option<UnixMs>,
    may_backdate: bool,
) -> Result<Judged, Outcome> {
    let Some(client) = client else {
        return Ok(Judged { time_ms: received_ms, client_time_ms: None, flags: flag::CLIENT_TIME_ABSENT });
    };
    let broken =
        |client_time_ms| Judged { time_ms: received_ms, client_time_ms, flags: flag::CLIENT_CLOCK_BROKEN };
    let is_time = |ms: &UnixMs| (TIME_MS_BEGIN..TIME_MS_END).contains(ms);
    let Some(client_ms) = parse(client, offset_minutes).filter(is_time) else {
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

/// Unix milliseconds of a time as senders write it: a number, or a formatted time.
fn parse(text: &[u8], offset_minutes: Option<i16>) -> Option<UnixMs> {
    if let (Some(offset), 14 | 17) = (offset_minutes, text.len())
        && let Some(ms) = compact(text)
    {
        return Some(ms - i64::from(offset) * MINUTE_MS);
    }
    number(text).or_else(|| iso(text, offset_minutes))
}

/// Unix milliseconds of a decimal number of seconds or milliseconds, told apart by magnitude. A fraction of a second
/// (`1700000000.25`, as JSON encoders write it) counts to the millisecond; one of a millisecond is dropped.
fn number(text: &[u8]) -> Option<UnixMs> {
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
    Some(whole * 1000 + thousandths(fraction.as_bytes()))
}

/// The first three digits of a fraction.
fn thousandths(fraction: &[u8]) -> i64 {
    fraction.iter().chain(b"00").take(3).fold(0, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0')))
}

/// `yyyyMMddHHmmss`, with three more digits for milliseconds or without.
fn compact(text: &[u8]) -> Option<i64> {
    let mut rest = text;
    let date = (digits(&mut rest, 4, 4)?, digits(&mut rest, 2, 2)?, digits(&mut rest, 2, 2)?);
    let time = (digits(&mut rest, 2, 2)?, digits(&mut rest, 2, 2)?, digits(&mut rest, 2, 2)?);
    let ms = if rest.is_empty() { 0 } else { digits(&mut rest, 3, 3)? };
    let from_2000 = (2000..2100).contains(&date.0);
    moment(date, time, ms).filter(|_| rest.is_empty() && from_2000)
}

/// ISO 8601 as VAST's `[TIMESTAMP]` has it, and as loosely as the example in its own text: `2016-01-17T8:15:07.127-05`. A time without
/// an offset is that of the dialect; without either there is no telling when it was.
fn iso(text: &[u8], offset_minutes: Option<i16>) -> Option<i64> {
    let mut rest = text;
    let date = (
        digits(&mut rest, 4, 4).filter(|_| eat(&mut rest, b"-"))?,
        digits(&mut rest, 1, 2).filter(|_| eat(&mut rest, b"-"))?,
        digits(&mut rest, 1, 2).filter(|_| eat(&mut rest, b"Tt "))?,
    );
    let hour = digits(&mut rest, 1, 2).filter(|_| eat(&mut rest, b":"))?;
    let minute = digits(&mut rest, 1, 2)?;
    let second = if eat(&mut rest, b":") { digits(&mut rest, 1, 2)? } else { 0 };
    let mut ms = 0;
    if eat(&mut rest, b".,") {
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, behind) = rest.split_at_checked(len).filter(|_| len > 0)?;
        ms = thousandths(fraction);
        rest = behind;
    }
    let offset = if rest.is_empty() { offset_minutes? } else { self::offset_minutes(rest)? };
    Some(moment(date, (hour, minute, second), ms)? - i64::from(offset) * MINUTE_MS)
}

/// Minutes ahead of UTC of `Z`, `+08:00`, `+0800` or `-05`. A blank is a plus that somebody decoded as a form. `None` beyond 14 hours:
/// no place on earth is further ahead.
pub(crate) fn offset_minutes(text: &[u8]) -> Option<i16> {
    if matches!(text, b"Z" | b"z") {
        return Some(0);
    }
    let (sign, rest) = text.split_first()?;
    let mut rest = rest;
    let hours = digits(&mut rest, 1, 2)?;
    let minutes = if rest.is_empty() {
        0
    } else {
        eat(&mut rest, b":");
        digits(&mut rest, 2, 2).filter(|minutes| rest.is_empty() && *minutes < 60)?
    };
    let total = (hours * 60 + minutes) as i16;
    match sign {
        b'+' | b' ' => Some(total),
        b'-' => Some(-total),
        _ => None,
    }
    .filter(|total| total.abs() <= 14 * 60)
}

/// Takes a number of so many digits.
fn digits(rest: &mut &[u8], min: usize, max: usize) -> Option<i64> {
    let len = rest.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, behind) = rest.split_at_checked(len).filter(|_| len >= min)?;
    *rest = behind;
    Some(number.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

/// Takes one of these bytes, if it comes next.
fn eat(rest: &mut &[u8], any: &[u8]) -> bool {
    match rest.split_first() {
        Some((first, behind)) if any.contains(first) => {
            *rest = behind;
            true
        }
        _ => false,
    }
}

/// Unix milliseconds of a moment in UTC. A leap second is the first of the next minute.
fn moment(
    (year, month, day): (i64, i64, i64),
    (hour, minute, second): (i64, i64, i64),
    ms: i64,
) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 31,
    };
    let is_moment = (1..=12).contains(&month)
        && (1..=days_of_month).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    // Days from 1970, in years that begin in March, so that the leap day is the last (H. Hinnant, days_from_civil).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days =
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    is_moment.then_some((days * 86_400 + hour * 3600 + minute * 60 + second) * 1000 + ms)
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
            assert_eq!(parse(text.as_bytes(), None), Some(ms), "{text}");
        }
    }

    #[test]
    fn formatted_times_are_read_at_their_offset() {
        let china = Some(480);
        for (text, offset, ms) in [
            ("20261121200000", china, Some(1_795_262_400_000)),
            ("20261121200000123", china, Some(1_795_262_400_123)),
            ("20240229235959", china, Some(1_709_222_399_000)),
            ("20230229000000", china, Some(20_230_229_000_000)),
            ("2026-11-21T12:00:00Z", None, Some(1_795_262_400_000)),
            ("2026-11-21T20:00:00+08:00", None, Some(1_795_262_400_000)),
            ("2026-11-21T20:00:00 0800", None, Some(1_795_262_400_000)),
            ("2026-11-21 20:00:00", china, Some(1_795_262_400_000)),
            ("2026-11-21 20:00", china, Some(1_795_262_400_000)),
            ("2016-01-17T8:15:07.127-05", None, Some(1_453_036_507_127)),
            ("1970-01-01T00:00:00Z", None, Some(0)),
            ("2026-11-21T20:00:00", None, None),
            ("2026-11-21T24:00:00Z", None, None),
            ("2026-13-21T20:00:00Z", None, None),
            ("2026-11-31T20:00:00Z", None, None),
            ("2026-11-21T20:00:00+25:00", None, None),
            ("2026-11-21T20:00:00.Z", None, None),
            ("2026-11-21T20:00:00Zx", None, None),
            ("1795219200", china, Some(1_795_219_200_000)),
            ("1795219200123", china, Some(1_795_219_200_123)),
        ] {
            assert_eq!(parse(text.as_bytes(), offset), ms, "{text}");
        }
        // A number of 14 digits is a formatted time only where the dialect has such times.
        let judged = judge(Some(b"20261121200000"), NOW, None, true).unwrap();
        assert_eq!(judged.client_time_ms, None);
        // An IMEI is none, even there.
        for imei in [&b"35693803564380"[..], b"86712104567890"] {
            let judged = judge_at_offset(Some(imei), china, NOW, None, true).unwrap();
            assert_eq!(judged.client_time_ms, None);
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
        assert_eq!(at(TIME_MS_BEGIN), broken(TIME_MS_BEGIN));
    }

    #[test]
    fn a_clock_that_was_never_set_is_broken_with_any_right() {
        let broken = Judged { time_ms: NOW, client_time_ms: None, flags: flag::CLIENT_CLOCK_BROKEN };
        for text in ["0", "1", "17953400", "946684799", "946684799999", "1970-01-01T00:00:00Z"] {
            for may_backdate in [false, true] {
                assert_eq!(judge(Some(text.as_bytes()), NOW, None, may_backdate).unwrap(), broken, "{text}");
            }
        }
        let oldest = judge(Some(b"946684800"), NOW, None, true).unwrap();
        assert_eq!((oldest.time_ms, oldest.flags), (TIME_MS_BEGIN, flag::BACKDATED));
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
