//! An upload of media's own numbers, read row by row: JSON, or a sheet with a header.
//!
//! ```text
//! placement,day,impressions,clicks          names of columns in English or Chinese, in any order; clicks may be missing
//! p1,2026-11-01,120000,340
//! ```
//!
//! All that is wrong is told, by row and column, with what is allowed; then nothing is taken.
//!
//! Must never: guess, or tell a placement that whoever gives the numbers does not see from one that nobody has.

use std::collections::BTreeMap;

use catalog::{Campaign, Mistake, mistake};
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Cells, Said};
use crate::store::{day_number, day_text};
use crate::told::Told;
use crate::view::Sight;

/// Most bytes of an upload.
pub(crate) const BYTES_MAX: usize = 8 << 20;
/// Most rows of an upload.
pub(crate) const ROWS_MAX: usize = 20_000;
/// Most impressions or clicks of one placement on one day.
pub(crate) const COUNT_MAX: u64 = 1_000_000_000_000;
/// Most errors that are listed; behind them they are only counted.
const WRONG_MAX: usize = 200;
/// Rows that may stand above the header: titles, notes.
const HEADER_ROW_MAX: usize = 20;
/// Most signs of a cell that an error shows.
const SHOWN_MAX: usize = 60;

/// Columns, by what their names are without blanks, signs and capitals.
const COLUMNS: [(Column, &[&str]); 4] = [
    (
        Column::Placement,
        &[
            "placement",
            "placementid",
            "id",
            "spot",
            "spotid",
            "点位",
            "点位id",
            "点位编号",
            "广告位",
            "广告位id",
        ],
    ),
    (Column::Day, &["day", "date", "日期", "投放日期"]),
    (
        Column::Impressions,
        &[
            "impressions",
            "impression",
            "imp",
            "imps",
            "pv",
            "曝光",
            "曝光量",
            "曝光数",
            "展示",
            "展示量",
            "展现量",
        ],
    ),
    (Column::Clicks, &["clicks", "click", "clk", "点击", "点击量", "点击数"]),
];

/// Rows of text: their numbers as people count them, and their cells.
type Lines = Vec<(usize, Vec<String>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Placement,
    Day,
    Impressions,
    Clicks,
}

/// What an upload is held against.
pub(crate) struct Around<'a> {
    /// The campaign.
    pub(crate) campaign: &'a Campaign,
    /// How whoever gives the numbers sees it.
    pub(crate) sight: &'a Sight,
    /// On the campaign's clock.
    pub(crate) today: u16,
}

/// A cell that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct WrongCell {
    /// Row as spreadsheets show it, from 1; of JSON the place in `rows`, from 1.
    pub(crate) row: usize,
    /// Letters of the column; empty where it is about the whole row, and in JSON.
    pub(crate) column: String,
    /// What stands in the header there; in JSON the field's name.
    pub(crate) header: String,
    /// What stands in the cell, shortened.
    pub(crate) value: String,
    /// What is wrong and what is allowed.
    #[serde(flatten)]
    pub(crate) mistake: Told,
}

/// What an upload says.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// What is said, by medium. Not to be used where something is wrong.
    pub(crate) media: BTreeMap<String, Cells>,
    /// Rows.
    pub(crate) rows: usize,
    /// What is wrong.
    pub(crate) wrong: Vec<WrongCell>,
    /// How much is wrong, also where it is not listed.
    pub(crate) wrong_count: usize,
    /// Headers of columns that nothing was read from.
    pub(crate) ignored: Vec<String>,
}

/// Why an upload cannot be read at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("there are no rows; give at least one")]
    Empty,
    #[error("an Excel file is not read here yet: save it as CSV UTF-8")]
    Workbook,
    #[error("the file is no text in UTF-8: save it as CSV UTF-8")]
    Encoding,
    #[error("the body cannot be read as CSV: {0}")]
    Csv(String),
    #[error(
        "the body is no JSON of the form {{\"rows\":[{{\"placement\":\"p1\",\"day\":\"2026-11-01\",\"impressions\":1000,\"clicks\":10}}]}}: {0}"
    )]
    Json(String),
    #[error("there are more than {ROWS_MAX} rows: give them in several parts")]
    TooLarge,
    #[error(
        "there is no header row: one of the first rows has to name the columns placement (点位ID), day (日期) and impressions (曝光量), and may name clicks (点击量)"
    )]
    Header,
}

/// A column of the upload that something is read from.
struct Used {
    column: Column,
    at: usize,
    header: String,
}

struct Reader<'a> {
    around: &'a Around<'a>,
    used: Vec<Used>,
    /// Whether columns have letters.
    is_sheet: bool,
    rows_by_cell: BTreeMap<(String, u16), usize>,
    reading: Reading,
}

/// Reads an upload. Blocks for as long as that takes.
///
/// # Errors
/// It cannot be read; what is wrong in a row that can stands in the [`Reading`].
pub(crate) fn read(bytes: &[u8], around: &Around<'_>) -> Result<Reading, Unreadable> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_sheet = first != Some(&b'{');
    let lines = if is_sheet { sheet(bytes)? } else { json(bytes)? };
    let mut reader = Reader {
        around,
        used: Vec::new(),
        is_sheet,
        rows_by_cell: BTreeMap::new(),
        reading: Reading::default(),
    };
    let values = reader.header(&lines)?;
    for (row, cells) in values {
        reader.row(*row, cells);
    }
    if reader.reading.rows == 0 {
        return Err(Unreadable::Empty);
    }
    Ok(reader.reading)
}

/// Every object of `rows` as a row under a header of the names.
fn json(bytes: &[u8]) -> Result<Lines, Unreadable> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        rows: Vec<Map<String, Value>>,
    }
    let body: Body = serde_json::from_slice(bytes).map_err(|error| Unreadable::Json(error.to_string()))?;
    if body.rows.len() > ROWS_MAX {
        return Err(Unreadable::TooLarge);
    }
    let names = ["placement", "day", "impressions", "clicks"];
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut lines = vec![(0, names.map(str::to_owned).to_vec())];
    for (row, fields) in (1..).zip(&body.rows) {
        if let Some(unknown) = fields.keys().find(|name| !names.contains(&name.as_str())) {
            return Err(Unreadable::Json(format!("row {row} has the unknown field {}", shown(unknown))));
        }
        lines.push((row, names.iter().map(|name| fields.get(*name).map(text).unwrap_or_default()).collect()));
    }
    Ok(lines)
}

fn sheet(bytes: &[u8]) -> Result<Lines, Unreadable> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(Unreadable::Workbook);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Each row has the header's; a text with none of them has one column.
    let counts = [b',', b';', b'\t'].map(|sign| (text.bytes().filter(|byte| *byte == sign).count(), sign));
    let delimiter = counts.into_iter().max_by_key(|(count, _)| *count).map_or(b',', |(_, sign)| sign);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut lines = Lines::new();
    for record in reader.records() {
        let record = record.map_err(|error| Unreadable::Csv(error.to_string()))?;
        let line = record.position().map_or(0, |position| position.line() as usize);
        let cells: Vec<String> = record.iter().map(|cell| cell.trim().to_owned()).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            lines.push((line, cells));
        }
        if lines.len() > ROWS_MAX + HEADER_ROW_MAX {
            return Err(Unreadable::TooLarge);
        }
    }
    Ok(lines)
}

/// Which column a header names.
fn column(header: &str) -> Option<Column> {
    let bare: String = header.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    COLUMNS.iter().find(|(_, names)| names.contains(&bare.as_str())).map(|(column, _)| *column)
}

impl Reader<'_> {
    /// Finds the header. Answers what stands below it.
    fn header<'l>(&mut self, lines: &'l Lines) -> Result<&'l [(usize, Vec<String>)], Unreadable> {
        if lines.is_empty() {
            return Err(Unreadable::Empty);
        }
        let has = |cells: &[String], wanted: Column| cells.iter().any(|cell| column(cell) == Some(wanted));
        let is_header = |cells: &[String]| {
            [Column::Placement, Column::Day, Column::Impressions].iter().all(|wanted| has(cells, *wanted))
        };
        let found = lines.iter().take(HEADER_ROW_MAX).position(|(_, cells)| is_header(cells));
        let (at, (row, headers)) =
            found.and_then(|at| Some((at, lines.get(at)?))).ok_or(Unreadable::Header)?;
        for (at, header) in headers.iter().enumerate().filter(|(_, header)| !header.is_empty()) {
            match column(header) {
                None => self.reading.ignored.push(shown(header)),
                Some(column) if self.used.iter().any(|used| used.column == column) => {
                    let mistake = mistake!(
                        "column_twice",
                        "another column says the same: rename the one that is not to be read"
                    );
                    self.wrong_at(*row, Some((at, header)), header, mistake);
                }
                Some(column) => self.used.push(Used { column, at, header: header.clone() }),
            }
        }
        let values = lines.get(at + 1..).unwrap_or_default();
        if values.len() > ROWS_MAX { Err(Unreadable::TooLarge) } else { Ok(values) }
    }

    fn wrong_at(&mut self, row: usize, at: Option<(usize, &str)>, value: &str, mistake: Mistake) {
        self.reading.wrong_count += 1;
        if self.reading.wrong.len() < WRONG_MAX {
            let letters = at.filter(|_| self.is_sheet).map(|(at, _)| letters(at)).unwrap_or_default();
            self.reading.wrong.push(WrongCell {
                row,
                column: letters,
                header: at.map(|(_, header)| shown(header)).unwrap_or_default(),
                value: shown(value),
                mistake: mistake.into(),
            });
        }
    }

    fn wrong(&mut self, row: usize, column: Column, value: &str, mistake: Mistake) {
        let used = self.used.iter().find(|used| used.column == column);
        let at = used.map(|used| (used.at, used.header.clone()));
        self.wrong_at(row, at.as_ref().map(|(at, header)| (*at, header.as_str())), value, mistake);
    }

    fn row(&mut self, row: usize, cells: &[String]) {
        let cell = |column: Column| {
            let used = self.used.iter().find(|used| used.column == column);
            used.and_then(|used| cells.get(used.at)).map_or("", |cell| cell.trim())
        };
        let [placement, day, impressions, clicks] =
            [Column::Placement, Column::Day, Column::Impressions, Column::Clicks].map(cell);
        if [placement, day, impressions, clicks].iter().all(|cell| cell.is_empty()) {
            return;
        }
        self.reading.rows += 1;
        let medium = self.medium(row, placement);
        let on = self.day(row, day);
        let impressions = self.count(row, Column::Impressions, impressions);
        let clicks =
            if clicks.is_empty() { Some(None) } else { self.count(row, Column::Clicks, clicks).map(Some) };
        let (Some(medium), Some(on), Some(impressions), Some(clicks)) = (medium, on, impressions, clicks)
        else {
            return;
        };
        let cell = (placement.to_owned(), on);
        if let Some(other) = self.rows_by_cell.get(&cell) {
            let mistake = mistake!("number_twice", "row {other} is about the same placement and day", other);
            return self.wrong(row, Column::Day, day, mistake);
        }
        self.rows_by_cell.insert(cell.clone(), row);
        self.reading.media.entry(medium).or_default().insert(cell, Said { impressions, clicks });
    }

    /// The medium of a placement.
    fn medium(&mut self, row: usize, id: &str) -> Option<String> {
        let placement = self.around.campaign.placements.get(id);
        let medium =
            placement.filter(|placement| self.around.sight.sees(placement)).map(|p| p.medium.clone());
        if medium.is_none() {
            let mistake = if id.is_empty() {
                mistake!("cell_missing", "missing; allowed is the id of a placement of this campaign")
            } else {
                mistake!(
                    "number_placement",
                    "no placement of that id is known; allowed is the id of a placement of this campaign"
                )
            };
            self.wrong(row, Column::Placement, id, mistake);
        }
        medium
    }

    fn day(&mut self, row: usize, text: &str) -> Option<u16> {
        let Some(day) = day_of(text) else {
            let mistake = if text.is_empty() {
                mistake!("cell_missing", "missing; allowed is a day such as 2026-11-01")
            } else {
                mistake!("number_day", "allowed is a day such as 2026-11-01")
            };
            self.wrong(row, Column::Day, text, mistake);
            return None;
        };
        if day > self.around.today {
            let today = day_text(self.around.today);
            let mistake = mistake!("number_ahead", "this day has not begun; today is {today} there", today);
            self.wrong(row, Column::Day, text, mistake);
            return None;
        }
        Some(day)
    }

    fn count(&mut self, row: usize, column: Column, text: &str) -> Option<u64> {
        let count = count_of(text).filter(|count| *count <= COUNT_MAX);
        if count.is_none() {
            let max = COUNT_MAX;
            let mistake = if text.is_empty() {
                mistake!("cell_missing", "missing; allowed is a whole number from 0 to {max}", max)
            } else {
                mistake!("number_count", "allowed is a whole number from 0 to {max}", max)
            };
            self.wrong(row, column, text, mistake);
        }
        count
    }
}

/// A day with its year first. A day first or a month first cannot be told apart, so neither is one.
fn day_of(text: &str) -> Option<u16> {
    let parts: Vec<&str> = text.trim_end_matches('日').split(['-', '/', '.', '年', '月']).collect();
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| -> Option<u32> {
        let is_number = digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let date = match parts.as_slice() {
        [year, month, day] => {
            NaiveDate::from_ymd_opt(number(year, 4..=4)? as i32, number(month, 1..=2)?, number(day, 1..=2)?)
        }
        [digits] => number(digits, 8..=8).and_then(|digits| {
            NaiveDate::from_ymd_opt((digits / 10_000) as i32, digits / 100 % 100, digits % 100)
        }),
        _ => None,
    };
    date.and_then(day_number)
}

/// A whole number; commas only where they part thousands.
fn count_of(text: &str) -> Option<u64> {
    let mut groups = text.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = is_number(first)
        && rest.iter().all(|group| group.len() == 3 && is_number(group))
        && (rest.is_empty() || first.len() <= 3);
    fits.then(|| format!("{first}{}", rest.concat()).parse().ok()).flatten()
}

/// The letters of a column, as spreadsheets show them: `A`, `Z`, `AA`.
fn letters(column: usize) -> String {
    let mut rest = column + 1;
    let mut letters = Vec::new();
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect()
}

fn shown(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        text.to_owned()
    } else {
        text.chars().take(SHOWN_MAX).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use catalog::Catalog;

    use super::*;

    const CATALOG: &str = r#"
[[campaign]]
id = "c"
name = "C"
time_zone = "UTC"
[[campaign.placement]]
id = "p1"
name = "One"
medium = "A"
[[campaign.placement]]
id = "p2"
name = "Two"
medium = "B"
"#;

    fn read_as(body: &[u8], sight: &Sight) -> Result<Reading, Unreadable> {
        let catalog = Catalog::parse(CATALOG, "catalog.toml").expect("a catalog");
        let today = day_of("2026-11-20").expect("a day");
        read(body, &Around { campaign: &catalog.campaigns["c"], sight, today })
    }

    fn told(body: &str) -> Result<Vec<String>, Unreadable> {
        let reading = read_as(body.as_bytes(), &Sight::exact())?;
        assert_eq!(reading.wrong.len(), reading.wrong_count);
        if reading.wrong.is_empty() {
            let cell = |(cell, said): (&(String, u16), &Said)| {
                format!("{} {} {} {:?}", cell.0, day_text(cell.1), said.impressions, said.clicks)
            };
            return Ok(reading.media.values().flatten().map(cell).collect());
        }
        Ok(reading
            .wrong
            .iter()
            .map(|w| format!("{}{} {}: {}", w.column, w.row, w.value, w.mistake.message))
            .collect())
    }

    #[test]
    fn all_forms_say_the_same() {
        let expected = Ok(vec!["p1 2026-11-01 1200 Some(3)".to_owned(), "p2 2026-11-02 0 None".to_owned()]);
        for body in [
            "placement,day,impressions,clicks\np1,2026-11-01,1200,3\np2,2026-11-02,0,\n",
            "\u{feff}点位ID;日期;曝光量;点击量\r\np1;2026/11/1;1,200;3\r\n;;;\r\np2;2026年11月2日;0;\r\n",
            "Report of A\t\t\t\n\nClicks\tImp.\tDate\tPlacement ID\tNote\n3\t1,200\t20261101\tp1\tx\n\t0\t2026.11.02\tp2\t\n",
            r#"{"rows":[{"placement":"p1","day":"2026-11-01","impressions":1200,"clicks":3},
                {"placement":"p2","day":"2026-11-02","impressions":"0","clicks":null}]}"#,
        ] {
            assert_eq!(told(body), expected, "{body}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_by_row_and_column() {
        let body = "placement,day,impressions,clicks\np1,01/11/2026,x,-1\n,2026-11-01,1,1\np9,2026-11-21,1.5,\np1,2026-11-02,5,\np1,2026-11-02,5,\np1,,1,1\n";
        let wrong = told(body).expect("is read");
        for part in [
            "B2 01/11/2026: allowed is a day such as",
            "C2 x: allowed is a whole number",
            "D2 -1: allowed",
            "A3 : missing",
            "A4 p9: no placement of that id is known",
            "B4 2026-11-21: this day has not begun; today is 2026-11-20",
            "C4 1.5: allowed",
            "B6 2026-11-02: row 5 is about the same placement and day",
            "B7 : missing; allowed is a day",
        ] {
            assert!(wrong.iter().any(|told| told.starts_with(part)), "{part}: {wrong:#?}");
        }
        assert_eq!(wrong.len(), 9, "{wrong:#?}");
        let wrong = told(r#"{"rows":[{"placement":"p1","day":5,"impressions":1}]}"#).expect("is read");
        assert_eq!(wrong, ["1 5: allowed is a day such as 2026-11-01"]);
    }

    #[test]
    fn what_is_no_upload_is_told_too() {
        for (body, expected) in [
            ("", "no rows"),
            ("placement,day,impressions\n", "no rows"),
            ("a,b\n1,2\n", "no header"),
            ("{\"rows\":3}", "no JSON"),
            ("{\"rows\":[{\"placement\":\"p1\",\"views\":3}]}", "unknown field views"),
            ("{\"rows\":[]}", "no rows"),
        ] {
            let refused = told(body).expect_err(body).to_string();
            assert!(refused.contains(expected), "{body}: {refused}");
        }
        assert_eq!(read_as(b"PK\x03\x04", &Sight::exact()).err(), Some(Unreadable::Workbook));
        assert_eq!(read_as(b"a\xff", &Sight::exact()).err(), Some(Unreadable::Encoding));
        let many = "p1,2026-11-01,1\n".repeat(ROWS_MAX + 1);
        assert_eq!(told(&format!("placement,day,impressions\n{many}")), Err(Unreadable::TooLarge));
        let twice = told("placement,day,impressions,Imp\np1,2026-11-01,1,2\n").expect("is read");
        assert!(twice[0].contains("another column says the same"), "{twice:?}");
    }
}
