//! The header of a sheet: found below titles, over one row or two.

use super::{Cell, Grid};

/// Rows that may stand above the header: titles, notes.
pub(super) const HEADER_ROW_MAX: usize = 20;

/// A header.
pub(crate) struct Header {
    /// Place of its first row in the grid.
    pub(crate) at: usize,
    /// Number of that row, as spreadsheets show it.
    pub(crate) row: usize,
    /// What it calls the columns.
    pub(crate) cells: Vec<Option<Cell>>,
    /// How many rows of the grid are above the first one with values.
    pub(crate) below: usize,
}

/// Finds the header, which may take two rows where cells are merged. `is_named` says whether a cell is the name of a column, `says` whether one below it may
/// belong to the header too.
pub(crate) fn find(
    grid: &Grid,
    is_header: impl Fn(&[Option<Cell>]) -> bool,
    (is_named, says): (impl Fn(&Cell) -> bool, impl Fn(&Cell) -> bool),
) -> Option<Header> {
    let at = grid.rows.iter().take(HEADER_ROW_MAX).position(|(_, cells)| is_header(cells))?;
    let (row, top) = grid.rows.get(at)?;
    // Below each name of a column stands nothing, and beside them are names.
    let is_second = |second: &[Option<Cell>]| {
        let is_free = top
            .iter()
            .zip(second)
            .all(|(top, second)| second.is_none() || !top.as_ref().is_some_and(&is_named));
        is_free && second.iter().flatten().any(&says)
    };
    let second = grid.rows.get(at + 1).filter(|(below, cells)| *below == row + 1 && is_second(cells));
    let mut cells: Vec<Option<Cell>> = top.clone();
    if let Some((_, second)) = second {
        cells.resize(cells.len().max(second.len()), None);
        for (cell, second) in cells.iter_mut().zip(second) {
            if second.is_some() {
                cell.clone_from(second);
            }
        }
    }
    Some(Header { at, row: *row, cells, below: at + 1 + usize::from(second.is_some()) })
}

/// A header's name, whole and without what stands in brackets, which explains: `点位ID（必填）`.
pub(crate) fn names(text: &str) -> [String; 2] {
    [plain(text), plain(text.split(['(', '（', '[', '【']).next().unwrap_or_default())]
}

/// A name without what people write in many ways: blanks, signs, capitals, wide letters.
pub(super) fn plain(text: &str) -> String {
    let narrow = |c: char| match c {
        '！'..='～' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        other => other,
    };
    text.chars().map(narrow).filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
