//! Rows of sums in a sheet. They are no placement and no number of a day; what they say is held against what the rows add up to, for a sheet whose own
//! total is another one was changed behind it, or lacks a row.

use std::collections::BTreeMap;

use catalog::{Mistake, mistake};

use super::{Cell, header};

/// What such a row is called.
const WORDS: [&str; 17] = [
    "合计",
    "总计",
    "小计",
    "汇总",
    "共计",
    "总和",
    "总数",
    "总合计",
    "求和",
    "累计",
    "total",
    "totals",
    "subtotal",
    "subtotals",
    "grandtotal",
    "sum",
    "totalsum",
];
/// How such a name ends that says of what it is the sum: `示例新闻小计`.
const ENDS: [&str; 4] = ["合计", "总计", "小计", "共计"];

/// Whether a cell says that its row is one of sums.
pub(crate) fn is_total(cell: &Cell) -> bool {
    let Cell::Text(text) = cell else { return false };
    header::names(text)
        .iter()
        .any(|name| WORDS.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end)))
}

/// What a sum is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Over {
    /// The cells of a column.
    Column(usize),
    /// Planned impressions of all days.
    Plan,
}

/// A sum that a sheet says.
struct Said {
    row: usize,
    at: usize,
    value: u64,
    /// What the rows above it add up to, and those behind the last row of sums, in each way that may be meant.
    above: Vec<u64>,
    over: Vec<Over>,
}

/// A sum that is not what its rows add up to.
pub(crate) struct Differs {
    pub(crate) row: usize,
    /// Column, from 0.
    pub(crate) at: usize,
    pub(crate) said: u64,
    pub(crate) counted: u64,
}

/// Sums of what is read, and of what the sheet says.
#[derive(Default)]
pub(crate) struct Sums {
    all: BTreeMap<Over, u64>,
    since: BTreeMap<Over, u64>,
    said: Vec<Said>,
    /// Rows of sums.
    pub(crate) rows: Vec<usize>,
}

impl Sums {
    /// Takes in what a row says.
    pub(crate) fn add(&mut self, over: Over, amount: u64) {
        for sums in [&mut self.all, &mut self.since] {
            let sum = sums.entry(over).or_default();
            *sum = sum.saturating_add(amount);
        }
    }

    /// Takes in a cell of a row of sums, which may be over one thing or another.
    pub(crate) fn say(&mut self, (row, at): (usize, usize), value: u64, over: &[Over]) {
        let above = [&self.all, &self.since];
        let above =
            above.iter().flat_map(|sums| over.iter().map(|over| sums.get(over).copied().unwrap_or(0)));
        self.said.push(Said { row, at, value, above: above.collect(), over: over.to_vec() });
    }

    /// A row of sums is over: behind it another part of the sheet begins.
    pub(crate) fn end_row(&mut self, row: usize) {
        self.rows.push(row);
        self.since.clear();
    }

    /// What the sheet says otherwise than its rows. A sum may stand below the rows that it is of, or above all of them.
    pub(crate) fn differing(&self) -> Vec<Differs> {
        let differs = |said: &Said| {
            let whole: Vec<u64> =
                said.over.iter().map(|over| self.all.get(over).copied().unwrap_or(0)).collect();
            let is_met = said.above.contains(&said.value) || whole.contains(&said.value);
            // The nearest is most likely what was meant.
            let near = said.above.iter().chain(&whole).min_by_key(|sum| sum.abs_diff(said.value));
            let (row, at, counted) = (said.row, said.at, near.copied().unwrap_or(0));
            (!is_met).then_some(Differs { row, at, said: said.value, counted })
        };
        self.said.iter().filter_map(differs).collect()
    }
}

/// What is said of a sum that is another one.
pub(crate) fn differs(counted: impl std::fmt::Display) -> Mistake {
    mistake!(
        "sum_differs",
        "this is the sheet's own total, and its rows add up to {counted}: look whether a row or a number is wrong",
        counted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_sums_are_told_by_their_name() {
        for text in [
            "合计",
            "总计：",
            "小 计",
            "Total",
            "TOTAL:",
            "Sub-total",
            "Grand total",
            "合计（次）",
            "新闻小计",
            "Sum",
        ] {
            assert!(is_total(&Cell::Text(text.to_owned())), "{text}");
        }
        for text in ["", "Total Video", "统计", "设计", "summer", "p-total", "合计划"] {
            assert!(!is_total(&Cell::Text(text.to_owned())), "{text}");
        }
        assert!(!is_total(&Cell::Number(5.0)));
    }

    #[test]
    fn a_sum_is_of_its_part_or_of_all_above_or_of_the_whole_sheet() {
        let differing = |above: u64, part: u64, whole: u64| {
            let mut sums = Sums::default();
            let over = Over::Column(3);
            sums.say((2, 3), above, &[over]);
            sums.end_row(2);
            sums.add(over, 5);
            sums.end_row(4);
            sums.add(over, 7);
            sums.say((6, 3), part, &[over]);
            sums.end_row(6);
            sums.say((7, 3), whole, &[over, Over::Plan]);
            sums.end_row(7);
            sums.differing().iter().map(|differs| (differs.row, differs.counted)).collect::<Vec<_>>()
        };
        assert_eq!(differing(12, 7, 12), []);
        assert_eq!(differing(12, 12, 12), []);
        assert_eq!(differing(13, 8, 0), [(2, 12), (6, 7)], "no plan was said");
        assert_eq!(differing(12, 7, 11), [(7, 12)]);
    }
}
