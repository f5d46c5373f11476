//! Values of cells, the way that Excel leaves them: days as numbers, numbers as text, amounts with signs and commas.

use catalog::Money;
use chrono::{Days, NaiveDate};

use super::Cell;

/// Serial numbers of days that are read as days: 1982 to 2118. Others are more likely something else.
const SERIALS: std::ops::RangeInclusive<f64> = 30_000.0..=80_000.0;
/// Largest whole number that a floating point number holds exactly.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// From here on a spreadsheet keeps no digit of a number behind the fifteenth.
pub(super) const DIGITS_KEPT: f64 = 1e15;

/// The text of a cell. A whole number is written without a point: ids and names may be nothing but digits. A number whose last digits may be gone is none.
pub(crate) fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => Some(text.clone()),
        Cell::Number(number) => (number.abs() < DIGITS_KEPT).then(|| plain_number(*number)),
        Cell::Date(_) | Cell::Flag(_) | Cell::Failed(_) => None,
    }
}

/// How a cell is shown to whoever has to mend it, shortened.
pub(crate) fn shown(cell: &Cell) -> String {
    const CHARS_MAX: usize = 60;
    let text = match cell {
        Cell::Text(text) | Cell::Failed(text) => text.clone(),
        Cell::Number(number) => plain_number(*number),
        Cell::Date(day) => day.to_string(),
        Cell::Flag(flag) => flag.to_string(),
    };
    if text.chars().count() <= CHARS_MAX {
        text
    } else {
        text.chars().take(CHARS_MAX).chain(['…']).collect()
    }
}

fn plain_number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        format!("{number:.0}")
    } else {
        number.to_string()
    }
}

/// The day of a cell.
pub(crate) fn day(cell: &Cell) -> Option<NaiveDate> {
    match cell {
        Cell::Date(day) => Some(*day),
        Cell::Number(number) => day_of_serial(*number),
        Cell::Text(text) => day_of_text(text)
            .or_else(|| narrow(text).parse().ok().filter(|n: &f64| n.fract() == 0.0).and_then(day_of_serial)),
        Cell::Flag(_) | Cell::Failed(_) => None,
    }
}

/// Excel's number of a day: days since 1899-12-30. Or the day as eight digits.
fn day_of_serial(number: f64) -> Option<NaiveDate> {
    if SERIALS.contains(&number) {
        return NaiveDate::from_ymd_opt(1899, 12, 30)?.checked_add_days(Days::new(number as u64));
    }
    if number.fract() == 0.0 && (19_820_101.0..=21_181_231.0).contains(&number) {
        let digits = number as u32;
        return NaiveDate::from_ymd_opt((digits / 10_000) as i32, digits / 100 % 100, digits % 100);
    }
    None
}

/// A day with its year first: `2026-11-01`, `2026/11/1`, `2026.11.1`, `2026年11月1日`, perhaps with a midnight behind. A day first or a month first
/// cannot be told apart, so neither is one.
pub(super) fn day_of_text(text: &str) -> Option<NaiveDate> {
    let text = narrow(text);
    let text = text.trim();
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    if !time.trim().trim_matches(['0', ':', '.', 'Z']).is_empty() {
        return None;
    }
    let parts: Vec<&str> = day.trim_end_matches(['日', '号']).split(['-', '/', '.', '年', '月']).collect();
    let [year, month, day] = parts.as_slice() else { return None };
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| -> Option<u32> {
        let is_number = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    NaiveDate::from_ymd_opt(number(year, 4..=4)? as i32, number(month, 1..=2)?, number(day, 1..=2)?)
}

/// A whole number that is not negative; `10万` is 100,000.
pub(crate) fn whole(cell: &Cell) -> Option<u64> {
    match cell {
        Cell::Number(number) => {
            (number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(number)).then_some(*number as u64)
        }
        Cell::Text(text) => {
            let text = narrow(text);
            let (digits, factor) = match text.trim_end().strip_suffix('万') {
                Some(digits) => (digits, 10_000.0),
                None => (text.as_str(), 1.0),
            };
            let number: f64 = without_commas(digits)?.parse().ok()?;
            // 1.05 × 10,000 is not exactly 10,500 in floating point.
            let number = if factor > 1.0 { (number * factor * 1e4).round() / 1e4 } else { number };
            whole(&Cell::Number(number))
        }
        Cell::Date(_) | Cell::Flag(_) | Cell::Failed(_) => None,
    }
}

/// An amount of money.
pub(super) fn money(cell: &Cell) -> Option<Money> {
    match cell {
        Cell::Number(number) => {
            // What a formula leaves behind the second decimal is not meant.
            let rounded = (number * 100.0).round() / 100.0;
            ((number - rounded).abs() < 1e-6).then(|| format!("{rounded:.2}").parse().ok()).flatten()
        }
        Cell::Text(text) => {
            let text = narrow(text);
            let bare =
                text.trim().trim_start_matches(['¥', '￥', '$', '€', '£']).trim_end_matches('元').trim();
            without_commas(bare)?.parse().ok()
        }
        Cell::Date(_) | Cell::Flag(_) | Cell::Failed(_) => None,
    }
}

/// Digits with a point; commas only where they part thousands.
fn without_commas(text: &str) -> Option<String> {
    let text = text.trim();
    let (units, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = units.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let fits = is_number(first)
        && is_number(decimals)
        && rest.iter().all(|group| group.len() == 3 && is_number(group))
        && (rest.is_empty() || first.len() <= 3);
    fits.then(|| format!("{first}{}.{decimals}", rest.concat()))
}

/// Wide digits and signs as narrow ones.
pub(super) fn narrow(text: &str) -> String {
    let narrow = |c: char| match c {
        '！'..='～' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        other => other,
    };
    text.chars().map(narrow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn days_are_read_as_excel_and_people_write_them() {
        let first = NaiveDate::from_ymd_opt(2026, 11, 1);
        for text in [
            "2026-11-01",
            "2026/11/1",
            "2026.11.1",
            "2026年11月1日",
            "２０２６－１１－０１",
            "2026-11-01 00:00:00",
            "20261101",
            "46327",
        ] {
            assert_eq!(day(&of(text)), first, "{text}");
        }
        assert_eq!(day(&Cell::Number(46_327.0)), first);
        assert_eq!(day(&Cell::Number(20_261_101.0)), first);
        assert_eq!(day(&Cell::Date(first.expect("a day"))), first);
        for text in [
            "01/11/2026",
            "11/1/2026",
            "2026-13-01",
            "2026-11",
            "26-11-01",
            "2026-11-01 08:00",
            "tomorrow",
            "1",
            "2026-11-1x",
        ] {
            assert_eq!(day(&of(text)), None, "{text}");
        }
        assert_eq!(day(&Cell::Number(7.0)), None);
    }

    #[test]
    fn numbers_are_read_with_their_commas_and_never_guessed() {
        for (text, number) in [
            ("100000", 100_000),
            ("100,000", 100_000),
            ("1,000,000.0", 1_000_000),
            ("１００", 100),
            ("10万", 100_000),
            ("1.05万", 10_500),
        ] {
            assert_eq!(whole(&of(text)), Some(number), "{text}");
        }
        assert_eq!(whole(&Cell::Number(5.0)), Some(5));
        for text in ["1,00", "1,0000", "-5", "1.5", "5k", "", "1e5", ",5", "12,345,6"] {
            assert_eq!(whole(&of(text)), None, "{text}");
        }
        assert_eq!(whole(&Cell::Number(0.5)), None);
        assert_eq!(whole(&Cell::Number(-1.0)), None);
        assert_eq!(text(&Cell::Number(123.0)).as_deref(), Some("123"));
        assert_eq!(text(&Cell::Number(999_999_999_999_999.0)).as_deref(), Some("999999999999999"));
        assert_eq!(text(&Cell::Number(1_757_321_234_567_890_000.0)), None, "what it was nobody knows");
        assert_eq!(text(&of("00123")).as_deref(), Some("00123"));
    }

    #[test]
    fn amounts_are_exact() {
        for (cell, hundredths) in [
            (of("¥12,000.50"), 1_200_050),
            (of("12000元"), 1_200_000),
            (Cell::Number(0.1 + 0.2), 30),
            (Cell::Number(12_000.0), 1_200_000),
        ] {
            assert_eq!(money(&cell), Some(Money { hundredths }), "{cell:?}");
        }
        for cell in [of("12.345"), of("-1"), Cell::Number(12.345), Cell::Number(f64::NAN), of("CNY 5")] {
            assert_eq!(money(&cell), None, "{cell:?}");
        }
    }
}
