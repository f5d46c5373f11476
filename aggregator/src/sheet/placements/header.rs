//! The header of a sheet: found below titles, over one row or two, its columns named.

use catalog::mistake;

use super::super::columns::{self, Column, Heading};
use super::super::{Cell, Grid, cells};
use super::{Reader, Used};

/// Rows that may stand above the header: titles, notes.
const HEADER_ROW_MAX: usize = 20;

impl Reader<'_> {
    /// Finds the header, which may take two rows where cells are merged. Answers how many rows of the grid are above the first one with values; `None`
    /// if there is no use in going on.
    pub(super) fn header(&mut self, grid: &Grid) -> Option<usize> {
        let is_header = |cells: &[Option<Cell>]| {
            let known =
                cells.iter().flatten().map(columns::heading).filter(|h| matches!(h, Heading::Known(_)));
            let known: Vec<Heading> = known.collect();
            known.len() >= 2 && known.contains(&Heading::Known(Column::Id))
        };
        let found = grid.rows.iter().take(HEADER_ROW_MAX).position(|(_, cells)| is_header(cells));
        let Some((at, (row, top))) = found.and_then(|at| Some((at, grid.rows.get(at)?))) else {
            let row = grid.rows.first().map_or(1, |(row, _)| *row);
            let mistake = mistake!(
                "header_missing",
                "there is no header row: one of the first rows has to name the columns, with Placement ID (点位ID), Placement name (点位名称) \
                 and Medium (媒体) among them, as the template does"
            );
            self.error(row, None, "", mistake);
            return None;
        };
        let below = grid.rows.get(at + 1).filter(|(below, cells)| *below == row + 1 && is_second(top, cells));
        let mut headings: Vec<Option<Cell>> = top.clone();
        if let Some((_, second)) = below {
            headings.resize(headings.len().max(second.len()), None);
            for (heading, second) in headings.iter_mut().zip(second) {
                if second.is_some() {
                    heading.clone_from(second);
                }
            }
        }
        self.name_columns(*row, &headings);
        Some(at + 1 + usize::from(below.is_some()))
    }

    fn name_columns(&mut self, row: usize, headings: &[Option<Cell>]) {
        for (at, cell) in headings.iter().enumerate() {
            let Some(cell) = cell else { continue };
            let (header, heading) = (cells::shown(cell), columns::heading(cell));
            if let Heading::Unknown { nearest } = heading {
                match nearest {
                    Some(near) => {
                        self.error(
                            row,
                            Some(at),
                            &header,
                            mistake!("column_near", "no column is called this; did you mean {near}?", near),
                        );
                    }
                    None => self.reading.ignored.push(header),
                }
                continue;
            }
            if self.used.iter().any(|used| used.heading == heading) {
                self.error(
                    row,
                    Some(at),
                    &header,
                    mistake!(
                        "column_twice",
                        "another column says the same: rename the one that is not to be read"
                    ),
                );
                continue;
            }
            self.used.push(Used { at, header, heading });
        }
        let has_days = self.used.iter().any(|used| matches!(used.heading, Heading::Day(_)));
        let planned = [Column::From, Column::To, Column::Impressions].map(|column| self.place_of(column));
        match planned {
            [_, _, Some(at)] if has_days => {
                let mistake = mistake!(
                    "plan_in_two_ways",
                    "the plan is either in a column for each day, or in From, To and Impressions per day: leave one out"
                );
                self.error(row, Some(at), "", mistake);
            }
            // Where each day has a column, first and last day say nothing new.
            [_, _, None] if has_days => {
                let is_read =
                    |used: &Used| !matches!(used.heading, Heading::Known(Column::From | Column::To));
                let (kept, left): (Vec<Used>, Vec<Used>) =
                    std::mem::take(&mut self.used).into_iter().partition(is_read);
                self.used = kept;
                self.reading.ignored.extend(left.into_iter().map(|used| used.header));
            }
            [None, None, None] | [Some(_), Some(_), Some(_)] => {}
            _ => {
                let at = planned.into_iter().flatten().next();
                let mistake = mistake!(
                    "plan_columns",
                    "a plan needs the three columns From (开始日期), To (结束日期) and Impressions per day (每日曝光)"
                );
                self.error(row, at, "", mistake);
            }
        }
    }
}

/// Whether a row below the header belongs to it: below each name of a column stands nothing, and beside them are names or days.
fn is_second(top: &[Option<Cell>], second: &[Option<Cell>]) -> bool {
    let is_named = |cell: &Option<Cell>| {
        cell.as_ref().is_some_and(|cell| matches!(columns::heading(cell), Heading::Known(_)))
    };
    let is_free = top.iter().zip(second).all(|(top, second)| !is_named(top) || second.is_none());
    let says = |cell: &Cell| matches!(columns::heading(cell), Heading::Known(_) | Heading::Day(_));
    is_free && second.iter().flatten().any(says)
}
