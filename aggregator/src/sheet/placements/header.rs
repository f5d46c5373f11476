//! The header of a sheet of placements: its columns named, its days told, and what must not be guessed at refused.

use std::collections::BTreeSet;

use catalog::{Mistake, mistake};
use chrono::{Days, NaiveDate};

use super::super::columns::Column;
use super::super::headings::{self, Heading, heading};
use super::super::{Cell, Grid, cells, header, letters};
use super::{Reader, Used};

/// Most days between two columns of a plan: numbers that lie further apart are no days.
const GAP_DAYS_MAX: u64 = 31;

/// Whether a sheet has a header of placements.
pub(crate) fn has_header(grid: &Grid) -> bool {
    find(grid).is_some()
}

fn find(grid: &Grid) -> Option<header::Header> {
    let is_named = |cell: &Cell| matches!(heading(cell), Heading::Known(_));
    let is_header = |cells: &[Option<Cell>]| {
        let known: Vec<Heading> = cells
            .iter()
            .flatten()
            .map(heading)
            .filter(|h| matches!(h, Heading::Known(_) | Heading::Day(_)))
            .collect();
        known.len() >= 2 && known.contains(&Heading::Known(Column::Id))
    };
    // A number may be a day, or that of a row of totals right below: see `days_below`.
    let says = |cell: &Cell| {
        cells::whole(cell).is_none() && matches!(heading(cell), Heading::Known(_) | Heading::Day(_))
    };
    header::find(grid, is_header, (is_named, says))
}

impl Reader<'_> {
    /// Finds the header, which may take two rows where cells are merged, and a third one for the days of the week. Answers how many rows of the grid are
    /// above the first one with values; `None` if there is no use in going on.
    pub(super) fn header(&mut self, grid: &Grid) -> Option<usize> {
        let Some(mut found) = find(grid) else {
            let row = grid.rows.first().map_or(1, |(row, _)| *row);
            let mistake = mistake!(
                "header_missing",
                "there is no header row: one of the first rows has to name the columns, with Placement ID (点位ID), Placement name (点位名称) \
                 and Medium (媒体) among them, as the template does"
            );
            self.error(row, None, "", mistake);
            return None;
        };
        let (above, below) = grid.rows.split_at_checked(found.at)?;
        let ((_, top), below) = below.split_first()?;
        let row = found.row;
        if found.below == found.at + 1
            && let Some((second_row, second)) = below.first().filter(|(second, _)| *second == row + 1)
        {
            match days_below(top, second) {
                Below::Other => {}
                Below::NoYear => {
                    let at = second.iter().position(Option::is_some);
                    let shown =
                        at.and_then(|at| second.get(at)?.as_ref()).map(cells::shown).unwrap_or_default();
                    self.error(*second_row, at, &shown, no_year());
                    return None;
                }
                Below::Days(days) => {
                    for (at, day) in days {
                        found.cells.resize(found.cells.len().max(at + 1), None);
                        if let Some(cell) = found.cells.get_mut(at) {
                            *cell = Some(Cell::Date(day));
                        }
                    }
                    found.below += 1;
                }
            }
        }
        let is_weekday = |cell: &Cell| matches!(cell, Cell::Text(text) if headings::is_weekday(text));
        if grid.rows.get(found.below).is_some_and(|(_, cells)| cells.iter().flatten().all(is_weekday)) {
            found.below += 1;
        }
        self.scales(above, (row, top), &found.cells);
        self.name_columns(row, &found.cells);
        self.nameless(&found.cells, grid.rows.get(found.below..).unwrap_or_default());
        Some(found.below)
    }

    /// Refuses titles that say that numbers are in thousands or the like: those above the header, and those that stand above days.
    fn scales(
        &mut self,
        above: &[(usize, Vec<Option<Cell>>)],
        (row, top): (usize, &[Option<Cell>]),
        headings: &[Option<Cell>],
    ) {
        let group_of = |at: usize| top.get(..=at).unwrap_or(top).iter().rposition(Option::is_some);
        let days = headings
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.as_ref().is_some_and(|cell| matches!(heading(cell), Heading::Day(_))));
        let groups: BTreeSet<usize> = days.filter_map(|(at, _)| group_of(at)).collect();
        let titles =
            above.iter().flat_map(|(row, cells)| cells.iter().enumerate().map(|(at, cell)| (*row, at, cell)));
        let groups = groups.iter().filter_map(|at| Some((row, *at, top.get(*at)?)));
        let scaled: Vec<(usize, usize, String)> = titles
            .chain(groups)
            .filter_map(|(row, at, cell)| match cell {
                Some(Cell::Text(text)) if headings::says_scale(text) => Some((row, at, text.clone())),
                _ => None,
            })
            .collect();
        for (row, at, text) in scaled {
            let mistake = mistake!(
                "title_unit",
                "numbers are read as they stand: write impressions and amounts in full, and leave the unit out here"
            );
            self.error(row, Some(at), &cells::shown(&Cell::Text(text)), mistake);
        }
    }

    fn name_columns(&mut self, row: usize, headings: &[Option<Cell>]) {
        let mut ignored: Vec<(usize, String)> = Vec::new();
        let mut near: Vec<(usize, String, &str, Column)> = Vec::new();
        let mut totals: Vec<(usize, String)> = Vec::new();
        for (at, cell) in headings.iter().enumerate() {
            let Some(cell) = cell else { continue };
            let header = cells::shown(cell);
            match heading(cell) {
                _ if matches!(cell, Cell::Failed(_)) => {
                    self.error(
                        row,
                        Some(at),
                        &header,
                        mistake!("cell_formula", "the formula here has no value"),
                    );
                }
                Heading::SomeDay => self.error(row, Some(at), &header, no_year()),
                Heading::Total => totals.push((at, header)),
                Heading::Unknown { nearest: Some((name, column)) } => near.push((at, header, name, column)),
                Heading::Unknown { nearest: None } => ignored.push((at, header)),
                heading if self.used.iter().any(|used| used.heading == heading) => {
                    let mistake = mistake!(
                        "column_twice",
                        "another column says the same: rename the one that is not to be read"
                    );
                    self.error(row, Some(at), &header, mistake);
                }
                heading => {
                    self.unit(row, at, &header, &heading);
                    self.used.push(Used { at, header, heading });
                }
            }
        }
        for (at, header, near, column) in near {
            if self.place_of(column).is_some() {
                ignored.push((at, header));
            } else {
                let mistake = mistake!("column_near", "no column is called this; did you mean {near}?", near);
                self.error(row, Some(at), &header, mistake);
            }
        }
        self.plan_columns(row, &totals, &mut ignored);
        let is_plain = |header: &str| !headings::has_other_unit(header, Column::Impressions, None);
        self.in_all = totals.iter().filter(|(_, header)| is_plain(header)).cloned().collect();
        ignored.extend(totals);
        ignored.sort();
        self.reading.ignored.extend(ignored.into_iter().map(|(_, header)| header));
    }

    /// Refuses a column whose numbers may be in thousands, or in another currency.
    fn unit(&mut self, row: usize, at: usize, header: &str, heading: &Heading) {
        let currency = self.around.campaign.currency.as_deref();
        let Heading::Known(column) = heading else { return };
        if headings::has_other_unit(header, *column, currency) {
            let mistake = if *column == Column::Cost {
                let currency = currency.unwrap_or("the campaign's currency");
                mistake!(
                    "column_currency",
                    "numbers are read as they stand, as amounts in {currency}: write them so, and leave the unit out here",
                    currency
                )
            } else {
                mistake!(
                    "column_unit",
                    "numbers are read as they stand, as impressions of one day: write them so, and leave the unit out here"
                )
            };
            self.error(row, Some(at), header, mistake);
        }
    }

    /// Refuses columns that are no plan together; takes first and last day away where each day has a column.
    fn plan_columns(&mut self, row: usize, totals: &[(usize, String)], ignored: &mut Vec<(usize, String)>) {
        let is_plan = |used: &Used| {
            matches!(used.heading, Heading::Known(Column::From | Column::To | Column::Impressions))
        };
        let planned = [Column::From, Column::To, Column::Impressions].map(|column| self.place_of(column));
        match planned {
            [_, _, Some(at)] if self.has_days() => {
                let mistake = mistake!(
                    "plan_in_two_ways",
                    "the plan is either in a column for each day, or in From, To and Impressions per day: leave one out"
                );
                self.error(row, Some(at), "", mistake);
            }
            // Where each day has a column, first and last day say nothing new.
            [_, _, None] if self.has_days() => {
                let (left, kept): (Vec<Used>, Vec<Used>) =
                    std::mem::take(&mut self.used).into_iter().partition(is_plan);
                self.used = kept;
                ignored.extend(left.into_iter().map(|used| (used.at, used.header)));
            }
            [None, None, None] | [Some(_), Some(_), Some(_)] => {}
            [_, _, None] if !totals.is_empty() => {
                for (at, header) in totals {
                    let mistake = mistake!(
                        "plan_total",
                        "of each day, or of all days together? Impressions per day (每日曝光) is what a plan is read from"
                    );
                    self.error(row, Some(*at), header, mistake);
                }
                self.used.retain(|used| !is_plan(used));
            }
            _ => {
                let at = planned.into_iter().flatten().next();
                let mistake = mistake!(
                    "plan_columns",
                    "a plan needs the three columns From (开始日期), To (结束日期) and Impressions per day (每日曝光)"
                );
                self.error(row, at, "", mistake);
                self.used.retain(|used| !is_plan(used));
            }
        }
    }

    /// Tells columns that have values and no header.
    fn nameless(&mut self, headings: &[Option<Cell>], rows: &[(usize, Vec<Option<Cell>>)]) {
        let filled: BTreeSet<usize> = rows
            .iter()
            .flat_map(|(_, cells)| cells.iter().enumerate().filter(|(_, cell)| cell.is_some()))
            .map(|(at, _)| at)
            .collect();
        let is_nameless = |at: &usize| headings.get(*at).is_none_or(Option::is_none);
        let nameless = filled.into_iter().filter(is_nameless).map(|at| format!("column {}", letters(at)));
        self.reading.ignored.extend(nameless);
    }
}

/// A header that is no whole day.
fn no_year() -> Mistake {
    mistake!("column_day", "this looks like a day: write all of it, as 2026-11-01, with the year first")
}

/// What the row right below the header is.
enum Below {
    /// One of days, by column.
    Days(Vec<(usize, NaiveDate)>),
    /// One of days, and nobody says of which month and year.
    NoYear,
    /// Another one.
    Other,
}

/// Looks whether a row of numbers right below the header is one of days: of the month that stands above them, or the way that spreadsheets count them.
fn days_below(top: &[Option<Cell>], second: &[Option<Cell>]) -> Below {
    let filled: Vec<(usize, &Cell)> =
        second.iter().enumerate().filter_map(|(at, cell)| Some((at, cell.as_ref()?))).collect();
    let numbers: Option<Vec<u64>> = filled.iter().map(|(_, cell)| cells::whole(cell)).collect();
    let Some(numbers) = numbers.filter(|numbers| numbers.len() >= 2) else { return Below::Other };
    let is_free = |at: usize| {
        let above = top.get(at).and_then(Option::as_ref);
        !above.is_some_and(|cell| match heading(cell) {
            Heading::Known(_) => true,
            Heading::Day(_) => headings::month_of(cell).is_none(),
            _ => false,
        })
    };
    if !filled.iter().all(|(at, _)| is_free(*at)) {
        return Below::Other;
    }
    let columns = filled.iter().map(|(at, _)| *at);
    if !numbers.iter().all(|number| (1..=31).contains(number)) {
        let days: Vec<NaiveDate> = filled.iter().filter_map(|(_, cell)| cells::day(cell)).collect();
        let is_next = |a: &NaiveDate, b: &NaiveDate| {
            a < b && a.checked_add_days(Days::new(GAP_DAYS_MAX)).is_some_and(|end| *b <= end)
        };
        let are_days =
            days.len() == filled.len() && days.iter().zip(days.iter().skip(1)).all(|(a, b)| is_next(a, b));
        return if are_days { Below::Days(columns.zip(days).collect()) } else { Below::Other };
    }
    // They go up, and begin anew with another month only.
    if !numbers.iter().zip(numbers.iter().skip(1)).all(|(a, b)| a < b || *b == 1) {
        return Below::Other;
    }
    let month = |at: usize| {
        let ahead = top.get(..=at).unwrap_or(top).iter().flatten().next_back()?;
        headings::month_of(ahead)
    };
    let day = |(at, number): (usize, u64)| {
        let (year, month) = month(at)?;
        Some((at, NaiveDate::from_ymd_opt(year, month, u32::try_from(number).ok()?)?))
    };
    columns.zip(numbers).map(day).collect::<Option<Vec<_>>>().map_or(Below::NoYear, Below::Days)
}
