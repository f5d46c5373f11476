//! Sums that a sheet says itself, of rows and of columns, held against what is read from it.

use catalog::{Money, Planned, mistake};

use super::super::columns::Column;
use super::super::headings::Heading;
use super::super::totals::{Over, differs, is_total};
use super::super::{Cell, CellError, cells, letters};
use super::plan::in_all;
use super::{ERRORS_MAX, Reader};

/// What a cell adds to the sum of its column: impressions, or hundredths of an amount.
pub(super) fn amount(heading: &Heading, cell: &Cell) -> Option<u64> {
    match heading {
        Heading::Day(_) | Heading::Known(Column::Impressions) => cells::whole(cell),
        Heading::Known(Column::Cost) => cells::money(cell).map(|money| money.hundredths),
        _ => None,
    }
}

impl Reader<'_> {
    /// Whether a row is one of sums: it is called so, and is no placement that anybody could mean.
    pub(super) fn is_of_sums(&self, cells: &[Option<Cell>], id_at: usize) -> bool {
        if !cells.iter().flatten().any(is_total) {
            return false;
        }
        let cell = |at: usize| cells.get(at).and_then(Option::as_ref);
        let Some(id) = cell(id_at) else { return true };
        let text = cells::text(id).unwrap_or_default();
        if self.around.campaign.placements.contains_key(&text) || self.by_id.contains_key(&text) {
            return false;
        }
        // `Total` could be an id, of a placement that has a name and a medium.
        let is_described = [Column::Name, Column::Medium]
            .into_iter()
            .filter_map(|column| cell(self.place_of(column)?))
            .any(|cell| !is_total(cell));
        !is_described || (is_total(id) && !text.is_ascii())
    }

    /// Takes in what a row of sums says.
    pub(super) fn sum_row(&mut self, row: usize, cells: &[Option<Cell>]) {
        for used in &self.used {
            let value =
                cells.get(used.at).and_then(Option::as_ref).and_then(|cell| amount(&used.heading, cell));
            let Some(value) = value else { continue };
            let column = Over::Column(used.at);
            match used.heading {
                // Of each day, or of all days of all rows.
                Heading::Known(Column::Impressions) => {
                    self.sums.say((row, used.at), value, &[column, Over::Plan]);
                }
                _ => self.sums.say((row, used.at), value, &[column]),
            }
        }
        for (at, _) in &self.in_all {
            if let Some(value) = cells.get(*at).and_then(Option::as_ref).and_then(cells::whole) {
                self.sums.say((row, *at), value, &[Over::Plan]);
            }
        }
        self.sums.end_row(row);
    }

    /// Takes in what a row says of all days of its placement.
    pub(super) fn in_all(&mut self, forming: usize, row: usize, cells: &[Option<Cell>]) {
        let said = self.in_all.iter().find_map(|(at, _)| {
            cells.get(*at).and_then(Option::as_ref).and_then(cells::whole).map(|value| (value, *at))
        });
        if let (Some(forming), Some((value, at))) = (self.forming.get_mut(forming), said) {
            let before = forming.in_all.map_or(0, |(before, _)| before);
            forming.in_all = Some((before.saturating_add(value), (row, at)));
        }
    }

    /// Says what the sheet sums up otherwise than its rows, where these are right.
    pub(super) fn hold_sums(&mut self) {
        self.reading.sum_rows.clone_from(&self.sums.rows);
        if self.reading.error_count > 0 {
            return;
        }
        let mut warnings = Vec::new();
        for differing in self.sums.differing() {
            let is_cost = self.place_of(Column::Cost) == Some(differing.at);
            let shown = |sum: u64| {
                if is_cost { Money { hundredths: sum }.to_string() } else { sum.to_string() }
            };
            let mistake = differs(shown(differing.counted));
            warnings.push(((differing.row, differing.at), shown(differing.said), mistake));
        }
        for forming in &self.forming {
            let Some((said, place)) = forming.in_all else { continue };
            let plan: Vec<Planned> = forming.plan.iter().map(super::Range::planned).collect();
            let counted = in_all(&plan).impressions;
            if said != counted {
                let mistake = mistake!(
                    "plan_sum_differs",
                    "the sheet's own total of this placement is {said}, and the plan that was read adds up to {counted}",
                    said,
                    counted
                );
                warnings.push((place, said.to_string(), mistake));
            }
        }
        for ((row, at), value, mistake) in warnings.into_iter().take(ERRORS_MAX) {
            let header = self.header_at(at);
            self.reading.warnings.push(CellError {
                row,
                column: letters(at),
                header,
                value,
                mistake: mistake.into(),
            });
        }
        self.reading.warnings.sort_by_key(|warning| warning.row);
    }

    fn header_at(&self, at: usize) -> String {
        let used = self.used.iter().map(|used| (used.at, &used.header));
        let mut all = used.chain(self.in_all.iter().map(|(at, header)| (*at, header)));
        all.find(|(place, _)| *place == at).map(|(_, header)| header.clone()).unwrap_or_default()
    }
}
