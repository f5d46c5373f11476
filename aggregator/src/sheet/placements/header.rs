//! The header of a sheet of placements: its columns named.

use catalog::mistake;

use super::super::columns::{self, Column, Heading};
use super::super::{Cell, Grid, cells, header};
use super::{Reader, Used};

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
        let is_named = |cell: &Cell| matches!(columns::heading(cell), Heading::Known(_));
        let says = |cell: &Cell| matches!(columns::heading(cell), Heading::Known(_) | Heading::Day(_));
        let Some(found) = header::find(grid, is_header, (is_named, says)) else {
            let row = grid.rows.first().map_or(1, |(row, _)| *row);
            let mistake = mistake!(
                "header_missing",
                "there is no header row: one of the first rows has to name the columns, with Placement ID (点位ID), Placement name (点位名称) \
                 and Medium (媒体) among them, as the template does"
            );
            self.error(row, None, "", mistake);
            return None;
        };
        self.name_columns(found.row, &found.cells);
        Some(found.below)
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
