//! What a header cell of a sheet of placements says: a known column, a day, or something that nobody may guess at, for a plan or a cost would be wrong by
//! it and look right: a day without its year, impressions of which nobody said whether of a day or in all, numbers in thousands.

use chrono::NaiveDate;

use super::Cell;
use super::cells::{self, day_of_text, narrow};
use super::columns::{Column, KNOWN, named};
use super::header::{names, plain};

/// What a header cell says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Heading {
    /// A column that is known.
    Known(Column),
    /// Impressions planned for one day.
    Day(NaiveDate),
    /// A day, of which year or in which order is not said.
    SomeDay,
    /// Impressions, whether of a day or of all days is not said, or of all.
    Total,
    /// Nothing that is known; what is nearest, if somebody most likely meant that.
    Unknown {
        /// A known name and its column.
        nearest: Option<(&'static str, Column)>,
    },
}

/// Impressions that are not those of a day, or not surely.
const TOTALS: &[&str] = &[
    "impressions",
    "imps",
    "impression",
    "planned impressions",
    "estimated impressions",
    "total impressions",
    "impressions total",
    "曝光",
    "曝光量",
    "曝光数",
    "计划曝光",
    "计划曝光量",
    "预估曝光",
    "预估曝光量",
    "总曝光",
    "总曝光量",
    "曝光总量",
];
/// What may stand in brackets behind any name.
pub(crate) const NOTES: &[&str] =
    &["必填", "选填", "可选", "可不填", "非必填", "required", "optional", "needed"];
/// Plain impressions of a day, in brackets.
const IMPRESSIONS: &[&str] = &[
    "次",
    "个",
    "天",
    "日",
    "每天",
    "每日",
    "每",
    "日均",
    "a",
    "per",
    "day",
    "daily",
    "perday",
    "aday",
    "imp",
    "imps",
    "pv",
    "impression",
    "impressions",
    "曝光",
    "曝光量",
    "预估",
    "估算",
    "计划",
    "planned",
    "estimated",
];
/// Plain amounts, in brackets.
const AMOUNTS: &[&str] = &["净价", "总价", "合计", "含税", "不含税", "未税", "net", "total"];
/// Plain yuan.
const YUAN: &[&str] = &["元", "人民币", "人民币元", "rmb", "yuan"];
/// By what numbers are too small, in brackets or behind a colon.
const SCALES: &[&str] = &[
    "千",
    "千次",
    "千次曝光",
    "千元",
    "万",
    "万次",
    "万次曝光",
    "万元",
    "百万",
    "百万次",
    "万人次",
    "千人次",
    "k",
    "cpm",
    "000",
    "thousand",
    "thousands",
    "inthousands",
    "million",
    "millions",
];
/// What may stand ahead of a unit.
const UNIT: [&str; 4] = ["单位为", "单位", "units", "unit"];
/// Signs of currencies, and whose they are.
const SIGNS: &[(&str, &[&str])] = &[
    ("¥", &["CNY", "JPY"]),
    ("￥", &["CNY", "JPY"]),
    ("元", &["CNY", "HKD", "TWD", "MOP", "SGD"]),
    ("$", &["USD", "HKD", "TWD", "MOP", "SGD", "AUD", "CAD", "NZD"]),
    ("€", &["EUR"]),
    ("£", &["GBP"]),
];
const OPENING: [char; 3] = ['(', '[', '【'];
/// What parts words of a header.
const PARTING: [char; 12] = ['(', ')', '[', ']', '【', '】', '/', ':', ',', ';', '、', '\n'];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Reads a header cell.
pub(super) fn heading(cell: &Cell) -> Heading {
    const NOTHING: Heading = Heading::Unknown { nearest: None };
    match cell {
        Cell::Date(day) => Heading::Day(*day),
        Cell::Number(_) => cells::day(cell).map_or(NOTHING, Heading::Day),
        Cell::Text(text) => {
            if let Some(day) = day_of(text) {
                return Heading::Day(day);
            }
            let [whole, bare] = names(text);
            match known(&whole).or_else(|| known(&bare)).or_else(|| scaled(text)) {
                Some(heading) => heading,
                None if is_some_day(text) => Heading::SomeDay,
                None => Heading::Unknown { nearest: nearest(&bare) },
            }
        }
        Cell::Flag(_) | Cell::Failed(_) => NOTHING,
    }
}

/// What a name without blanks, signs and capitals stands for.
fn known(name: &str) -> Option<Heading> {
    let is_total = || TOTALS.iter().any(|total| plain(total) == name);
    named(name).map(Heading::Known).or_else(|| is_total().then_some(Heading::Total))
}

/// Whether a name of impressions or clicks has a unit behind it, without brackets, by which its numbers are too small.
pub(crate) fn is_scaled(text: &str) -> bool {
    let name = plain(text);
    let bare =
        |name: &str| ["点击", "点击量", "点击数", "clicks", "展示", "展示量", "展现量", "pv"].contains(&name);
    scaled(text).is_some() || without_unit(&name).is_some_and(|(rest, is_scale)| is_scale && bare(rest))
}

/// What a name stands for behind which a unit is written without brackets, by which its numbers are too small: `曝光量 万`, `Daily impressions k`.
fn scaled(text: &str) -> Option<Heading> {
    let whole = plain(text);
    let (mut rest, mut is_scaled) = (whole.as_str(), false);
    while let Some((shorter, is_scale)) = without_unit(rest) {
        (rest, is_scaled) = (shorter, is_scaled || is_scale);
        let found = known(rest).filter(|heading| match heading {
            Heading::Known(Column::Impressions) | Heading::Total => true,
            // That of a thousand impressions is a price, and no cost.
            Heading::Known(Column::Cost) => !whole.contains("cpm") && !whole.contains('次'),
            _ => false,
        });
        if let Some(found) = found.filter(|_| is_scaled) {
            return Some(found);
        }
    }
    None
}

/// A name without the word at its end that says of what its numbers are, and whether that makes them smaller.
fn without_unit(name: &str) -> Option<(&str, bool)> {
    let cut = |words: &[&str]| {
        let rests = words.iter().filter_map(|word| name.strip_suffix(word));
        rests.filter(|rest| !rest.is_empty()).min_by_key(|rest| rest.len())
    };
    cut(SCALES).map(|rest| (rest, true)).or_else(|| cut(IMPRESSIONS).map(|rest| (rest, false)))
}

/// A whole day, perhaps with its day of the week behind: `2026-11-01 周日`, `2026-11-01(Sun)`; or as a number, the way that cells are read.
fn day_of(text: &str) -> Option<NaiveDate> {
    let tail_at = text.find(|c: char| c.is_whitespace() || "(（[【星周礼".contains(c));
    let ahead = || {
        let (day, tail) = text.split_at_checked(tail_at?)?;
        is_weekday(tail).then(|| day_of_text(day)).flatten()
    };
    cells::day(&Cell::Text(text.to_owned())).or_else(ahead)
}

/// Whether a text is the name of a day of the week.
pub(super) fn is_weekday(text: &str) -> bool {
    let word = plain(text);
    let bare = ["星期", "礼拜", "周"].iter().find_map(|ahead| word.strip_prefix(ahead)).unwrap_or(&word);
    ["一", "二", "三", "四", "五", "六", "日", "天"].contains(&bare)
        || (word.len() >= 2 && WEEKDAYS.iter().any(|day| day.starts_with(&word)))
}

/// Year and month of a cell that stands above the days of a month.
pub(super) fn month_of(cell: &Cell) -> Option<(i32, u32)> {
    use chrono::Datelike as _;
    match cell {
        Cell::Date(day) => (day.day() == 1).then(|| (day.year(), day.month())),
        Cell::Text(text) => {
            let text = narrow(text);
            let parts: Vec<&str> = text
                .trim()
                .trim_end_matches(['月', '份'])
                .split(['-', '/', '.', '年'])
                .map(str::trim)
                .collect();
            let [year, month] = parts.as_slice() else { return None };
            let (year, month) = (digits(year, 4)?, digits(month, 2)?);
            (year >= 1_000 && (1..=12).contains(&month)).then_some((i32::try_from(year).ok()?, month))
        }
        _ => None,
    }
}

/// Whether a text is most likely a day, though not one that can be told for sure: `11/1`, `11月1日`, `1日`, `Nov 1`, `1/11/2026`.
fn is_some_day(text: &str) -> bool {
    let text = narrow(text).to_lowercase();
    if text.contains([':', '*', '%', '~', '+', '×']) {
        return false;
    }
    let words: Vec<&str> = text
        .split(|c: char| !c.is_alphanumeric() || "年月日号".contains(c))
        .filter(|word| !word.is_empty())
        .collect();
    let is_month = |word: &str| word.len() >= 3 && MONTHS.iter().any(|month| month.starts_with(word));
    let number = |word: &str| digits(word, 4).filter(|n| (1..=31).contains(n) || (1_900..=2_100).contains(n));
    let dated: Vec<&str> =
        words.iter().copied().take_while(|word| is_month(word) || number(word).is_some()).collect();
    let has_day = dated.iter().any(|word| number(word).is_some_and(|number| number <= 31));
    match dated.as_slice() {
        [only] => {
            has_day && text.trim().strip_prefix(only).is_some_and(|tail| tail.starts_with(['日', '号']))
        }
        // A month with its year is no day.
        [year, month] if number(year).is_some_and(|year| year > 31) => {
            !is_month(month) && text.contains('日')
        }
        [month, year] if number(year).is_some_and(|year| year > 31) => {
            !is_month(month) && text.contains('日')
        }
        [] => false,
        _ => has_day,
    }
}

fn digits(word: &str, digits_max: usize) -> Option<u32> {
    let is_number = (1..=digits_max).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| word.parse().ok()).flatten()
}

/// Whether what a header of impressions or cost says beside its name may change what the numbers below mean: another unit, another currency, words that
/// are not known.
pub(super) fn has_other_unit(text: &str, column: Column, currency: Option<&str>) -> bool {
    let text = narrow(text).to_lowercase();
    let [whole, bare] = names(&text);
    let is_named = known(&whole).is_some() || known(&bare).is_some();
    if (column == Column::Cost && has_foreign_sign(&text, currency)) || (!is_named && scaled(&text).is_some())
    {
        return true;
    }
    let is_plain = |word: &str| {
        let is_money = || {
            AMOUNTS.contains(&word)
                || currency.is_some_and(|currency| currency.eq_ignore_ascii_case(word))
                || (YUAN.contains(&word) && currency.is_none_or(|currency| currency == "CNY"))
        };
        match column {
            Column::Impressions => NOTES.contains(&word) || IMPRESSIONS.contains(&word),
            Column::Cost => NOTES.contains(&word) || is_money(),
            _ => true,
        }
    };
    says_more(&text, is_plain)
}

/// Whether anything but plain words stands in the brackets behind a header's name.
pub(crate) fn says_more(text: &str, is_plain: impl Fn(&str) -> bool) -> bool {
    let text = narrow(text).to_lowercase();
    let Some((_, inside)) = text.split_once(OPENING) else { return false };
    inside.split(PARTING).map(plain).filter(|word| !word.is_empty()).any(|word| !is_plain(&word))
}

/// Whether an amount has the sign of another currency than the campaign's.
pub(super) fn has_foreign_sign(text: &str, currency: Option<&str>) -> bool {
    let Some(currency) = currency else { return false };
    SIGNS.iter().any(|(sign, whose)| text.contains(sign) && !whose.contains(&currency))
}

/// Whether a title says that the numbers below are in thousands or the like: `排期（千次）`, `单位：万元`.
pub(crate) fn says_scale(text: &str) -> bool {
    let text = narrow(text).to_lowercase();
    let is_scale = |word: &str| {
        let word = plain(word);
        let bare = UNIT.iter().find_map(|unit| word.strip_prefix(unit)).unwrap_or(&word);
        SCALES.contains(&bare)
    };
    is_scale(&text) || text.split(PARTING).skip(1).any(is_scale)
}

/// The known English name that a mistyped one stands for. In short names another letter makes another word (`size` is no `site`), and a plan that lacks one
/// of its three columns is told anyway. Chinese names of two letters are all within one of each other.
fn nearest(name: &str) -> Option<(&'static str, Column)> {
    const LONG: usize = 6;
    if !name.is_ascii() || name.len() < 4 {
        return None;
    }
    let plan = [Column::From, Column::To, Column::Impressions];
    let names = KNOWN.iter().filter(|known| !plan.contains(&known.column));
    let mut names = names.flat_map(|known| known.english.iter().map(|name| (*name, known.column)));
    names.find(|(known, _)| {
        let known = plain(known);
        let is_long = known.len() >= LONG && name.len() >= LONG;
        known.len() >= LONG - 1 && is_within_one(&known, name, is_long)
    })
}

/// Whether one letter more or less or swapped with the next, or also another one, turns one text into the other.
fn is_within_one(a: &str, b: &str, may_be_other: bool) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let ahead = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let behind = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (short, long) = (a.len().min(b.len()), a.len().max(b.len()));
    let is_swapped = short == long
        && ahead + behind + 2 == long
        && a.get(ahead) == b.get(ahead + 1)
        && a.get(ahead + 1) == b.get(ahead);
    let differs_by = if may_be_other { 0..=1 } else { 1..=1 };
    (differs_by.contains(&(long - short)) && ahead + behind + 1 >= long) || is_swapped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Heading {
        heading(&Cell::Text(text.to_owned()))
    }

    #[test]
    fn headers_are_known_however_they_are_written() {
        for (text, column) in [
            ("点位ID", Column::Id),
            ("点位 ID（必填）", Column::Id),
            ("placement_id*", Column::Id),
            ("ＰＬＡＣＥＭＥＮＴ　ＩＤ", Column::Id),
            ("点位名称", Column::Name),
            ("Media", Column::Medium),
            ("landing_page", Column::LandingPage),
            ("每日曝光量(次)", Column::Impressions),
            ("Impressions (per day)", Column::Impressions),
            ("START DATE", Column::From),
        ] {
            assert_eq!(of(text), Heading::Known(column), "{text}");
        }
        for text in ["备注", "CPM", "2026年11月", "2026-11", "16:9", "728x90", "Q4 2026", "15s/30s"] {
            assert_eq!(of(text), Heading::Unknown { nearest: None }, "{text}");
        }
    }

    #[test]
    fn a_name_is_taken_for_mistyped_only_where_it_is_no_other_word() {
        for (text, near) in
            [("meduim", "Medium"), ("Stat", "State"), ("Sttae", "State"), ("Landing pgae", "Landing page")]
        {
            assert!(
                matches!(of(text), Heading::Unknown { nearest: Some((name, _)) } if name == near),
                "{text}"
            );
        }
        for text in ["Size", "Size (px)", "Slot", "Host", "Post", "Game", "Stage", "Form", "Star", "Notes"] {
            assert_eq!(of(text), Heading::Unknown { nearest: None }, "{text}");
        }
    }

    #[test]
    fn days_are_told_with_their_year_or_not_at_all() {
        let day = NaiveDate::from_ymd_opt(2026, 11, 1).expect("a day");
        for text in [
            "2026/11/1",
            "2026-11-01 周日",
            "2026-11-01(日)",
            "2026年11月1日（星期日）",
            "2026-11-01\nSun",
            "46327",
            "20261101",
        ] {
            assert_eq!(of(text), Heading::Day(day), "{text}");
        }
        assert_eq!(heading(&Cell::Number(46_327.0)), Heading::Day(day));
        for text in [
            "11/1",
            "11-1",
            "11.1",
            "11月1日",
            "1日",
            "1号",
            "Nov 1",
            "1-Nov",
            "1-Nov-26",
            "Nov 1, 2026",
            "1/11/2026",
            "11/1(日)",
            "2026-11-01 bonus",
            "26-11-01",
        ] {
            assert_eq!(of(text), Heading::SomeDay, "{text}");
        }
        let of_month = |text: &str| month_of(&Cell::Text(text.to_owned()));
        assert_eq!((of_month("2026年11月"), of_month("2026-11")), (Some((2026, 11)), Some((2026, 11))));
        assert_eq!(
            (of_month("11月"), of_month("2026年13月"), month_of(&Cell::Date(day))),
            (None, None, Some((2026, 11)))
        );
        for text in ["周日", "星期日", "日", "Sun", "sunday"] {
            assert!(is_weekday(text), "{text}");
        }
        assert!(!is_weekday("") && !is_weekday("1") && !is_weekday("周年庆"));
    }

    #[test]
    fn impressions_are_of_a_day_only_where_that_is_said() {
        for text in ["Impressions", "曝光量", "预估曝光", "Total impressions", "总曝光（次）"] {
            assert_eq!(of(text), Heading::Total, "{text}");
        }
    }

    #[test]
    fn a_unit_without_brackets_is_seen_and_a_price_is_no_cost() {
        for text in
            ["日曝光 万", "每日曝光万次/天", "Daily impressions k", "日曝光CPM", "Impressions per day '000"]
        {
            assert_eq!(of(text), Heading::Known(Column::Impressions), "{text}");
            assert!(has_other_unit(text, Column::Impressions, None), "{text}");
        }
        for text in ["曝光量 万", "曝光 千次", "Impressions thousand"] {
            assert_eq!(of(text), Heading::Total, "{text}");
            assert!(has_other_unit(text, Column::Impressions, None), "{text}");
        }
        for text in ["总价", "Total price", "总价（元）"] {
            assert_eq!(of(text), Heading::Known(Column::Cost), "{text}");
            assert!(!has_other_unit(text, Column::Cost, Some("CNY")), "{text}");
        }
        for text in ["总价 万元", "预算万", "Budget k"] {
            assert_eq!(of(text), Heading::Known(Column::Cost), "{text}");
            assert!(has_other_unit(text, Column::Cost, Some("CNY")), "{text}");
        }
        for text in ["净价CPM", "千次费用", "费用/千次", "Cost CPM", "千次", "万", "k"] {
            assert_eq!(of(text), Heading::Unknown { nearest: None }, "{text}");
        }
    }

    #[test]
    fn a_unit_is_never_passed_over() {
        let other = |text: &str, column| {
            assert_eq!(of(text), Heading::Known(column), "{text}");
            has_other_unit(text, column, Some("CNY"))
        };
        for text in [
            "每日曝光量（千次）",
            "日曝光(万)",
            "Daily impressions (K)",
            "日曝光【CPM】",
            "每日曝光（次）（万）",
        ] {
            assert!(other(text, Column::Impressions), "{text}");
        }
        for text in ["每日曝光量（次）", "日曝光（次/天，必填）", "Impressions (per day)", "每日曝光"]
        {
            assert!(!other(text, Column::Impressions), "{text}");
        }
        for text in ["预算（万元）", "费用（美元）", "Cost (USD)", "Cost ($)", "费用（元/天）", "费用$"]
        {
            assert!(other(text, Column::Cost), "{text}");
        }
        for text in ["预算（元）", "费用（人民币，含税）", "Cost (CNY)", "Cost (¥, net)", "费用"]
        {
            assert!(!other(text, Column::Cost), "{text}");
        }
        assert!(has_other_unit("费用（元）", Column::Cost, Some("USD")));
        assert!(!has_other_unit("Cost ($)", Column::Cost, Some("USD")));
        for text in [
            "排期（千次）",
            "排期（CPM）",
            "单位：万元",
            "（单位：千次/天）",
            "Plan (in thousands)",
            "曝光: K",
            "单位 万次",
            "Unit thousand",
        ] {
            assert!(says_scale(text), "{text}");
        }
        for text in ["排期（次/天）", "主办单位：万科", "2026年11月（第一波）", "千岛湖"]
        {
            assert!(!says_scale(text), "{text}");
        }
    }
}
