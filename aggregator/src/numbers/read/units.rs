//! What the header of a column of numbers says beside its name.
//!
//! Must never: let pass what may make other numbers of those below, thousands of them, people instead of impressions, or what was planned.

use catalog::mistake;

use super::{Column, Reader};
use crate::sheet::Cell;
use crate::sheet::headings::{NOTES, is_scaled, says_more, says_scale};

/// Words that say of impressions what they are.
const IMPRESSIONS: [&str; 6] = ["pv", "imp", "imps", "impressions", "曝光", "曝光量"];
/// Words that say of clicks what they are.
const CLICKS: [&str; 5] = ["clk", "click", "clicks", "点击", "点击量"];
/// Words that say of both that they were counted one by one, for each day, by the medium.
const COUNTED: [&str; 16] = [
    "次",
    "个",
    "天",
    "日",
    "每天",
    "每日",
    "day",
    "perday",
    "aday",
    "daily",
    "媒体",
    "媒体方",
    "媒体侧",
    "实际",
    "actual",
    "delivered",
];

/// Whether a header says, in brackets behind the name of a column or without them, anything that is no explanation of it.
pub(super) fn is_other(column: Option<Column>, header: &str) -> bool {
    let of_column: &[&str] = match column {
        Some(Column::Impressions) => &IMPRESSIONS,
        Some(Column::Clicks) => &CLICKS,
        Some(Column::Placement | Column::Day) => return false,
        None => return says_scale(header) || is_scaled(header),
    };
    says_more(header, |word| of_column.contains(&word) || COUNTED.contains(&word) || NOTES.contains(&word))
}

impl Reader<'_> {
    /// Refuses titles that say that the numbers below are in thousands or the like.
    pub(super) fn titles(&mut self, above: &[(usize, Vec<Option<Cell>>)]) {
        for (row, cells) in above {
            for (at, cell) in cells.iter().enumerate() {
                if let Some(Cell::Text(text)) = cell
                    && says_scale(text)
                {
                    let mistake = mistake!(
                        "title_unit",
                        "numbers are read as they stand: write impressions and clicks in full, and leave the unit out here"
                    );
                    self.wrong_at(*row, Some((at, "")), text, mistake);
                }
            }
        }
    }
}
