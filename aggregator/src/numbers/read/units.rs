//! What the header of a column of numbers says beside its name.
//!
//! Must never: let pass what may make other numbers of those below, thousands of them, people instead of impressions, or what was planned.

use super::Column;
use crate::sheet::headings::{NOTES, says_more};

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

/// Whether what stands in brackets behind the name of a column is anything but an explanation.
pub(super) fn is_other(column: Column, header: &str) -> bool {
    let of_column: &[&str] = match column {
        Column::Impressions => &IMPRESSIONS,
        Column::Clicks => &CLICKS,
        Column::Placement | Column::Day => return false,
    };
    says_more(header, |word| of_column.contains(&word) || COUNTED.contains(&word) || NOTES.contains(&word))
}
