//! What media say that they delivered ([`crate::numbers`]), beside what was counted.
//!
//! Only placements and days of which something was said are compared: a row says over how many of our impressions. A row that nothing was counted in is
//! there all the same if its medium says that it delivered, for that is the widest gap of all.

use std::collections::BTreeMap;

use event::stage::Stage;
use serde::{Deserialize, Serialize};

use super::cells::{CellRow, Histogram, is_counted, key_text, stored_key};
use super::request::{By, Filter, Request};
use super::rows::DeliveryRow;
use super::{Days, ReportError, Reporter};
use crate::numbers::Cells;
use crate::statement;
use crate::store::day_text;

/// What stands behind the compared part of each row, by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Behind(BTreeMap<String, Part>);

/// A row's compared part, and its rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Most devices, and hits without one, on one placement and day that is compared.
    pub(super) compared: u64,
    /// The same of those that are not.
    pub(super) rest: u64,
    /// Whether there is any hit of ours in the compared part.
    pub(super) has_hits: bool,
    /// Whether clicks were said wherever impressions were.
    pub(super) clicks_everywhere: bool,
}

/// What we counted on one placement and day.
#[derive(Clone, Copy, Debug, Default)]
struct Ours {
    impressions: u64,
    clicks: u64,
    without_device: u64,
}

impl Behind {
    /// Of a row.
    pub(super) fn of(&self, key: &str) -> Part {
        self.0.get(key).copied().unwrap_or_default()
    }
}

impl Reporter {
    /// Puts into rows, by their keys, what media say and what of ours it is held against. Rows that only media know of are added.
    pub(super) fn compare(
        &self,
        request: &Request,
        days: &Days,
        rows: &mut BTreeMap<String, DeliveryRow>,
    ) -> Result<Behind, ReportError> {
        if !matches!(request.by, By::Total | By::Day | By::Placement | By::Medium) {
            return Ok(Behind::default());
        }
        let said = self.said(request, days)?;
        if said.is_empty() {
            return Ok(Behind::default());
        }
        let by_cell = Request { by: By::PlacementDay, ..request.clone() };
        let mut ours: BTreeMap<String, Ours> = BTreeMap::new();
        let stages = [Stage::Impression, Stage::Click];
        let cells: Vec<CellRow> = self.cells(statement::REPORT_DELIVERY, &by_cell, days, &stages)?;
        for cell in cells.iter().filter(|cell| is_counted(&cell.class, request.filter)) {
            let ours = ours.entry(cell.key.clone()).or_default();
            ours.impressions += cell.impressions;
            ours.clicks += cell.clicks;
            ours.without_device += cell.impressions.saturating_sub(cell.identified);
        }
        let media = self.media(&request.campaign);
        let key_of = |placement: &str, day: &str| match request.by {
            By::Day => day.to_owned(),
            By::Placement => placement.to_owned(),
            By::Medium => media.get(placement).map_or("", |medium| stored_key(medium)).to_owned(),
            _ => String::new(),
        };
        for ((placement, day), said) in &said {
            let day = day_text(*day);
            let ours = ours.get(&format!("{day} {placement}")).copied().unwrap_or_default();
            let row = rows.entry(key_of(placement, &day)).or_default();
            *row.reported_impressions.get_or_insert(0) += said.impressions;
            *row.compared_impressions.get_or_insert(0) += ours.impressions;
            if let Some(clicks) = said.clicks {
                *row.reported_clicks.get_or_insert(0) += clicks;
                *row.compared_clicks.get_or_insert(0) += ours.clicks;
            }
        }
        for row in rows.values_mut() {
            row.gap = gap(row.reported_impressions, row.compared_impressions);
        }
        if request.sight.is_exact() {
            return Ok(Behind::default());
        }
        // Net is what stands in each row, in either filter.
        let devices = self.histograms(&Request { filter: Filter::Net, ..by_cell }, days)?;
        let mut behind = BTreeMap::new();
        for (cell, ours) in &ours {
            let (day, placement) = cell.split_once(' ').unwrap_or_default();
            let said = said_of(&said, placement, day);
            let key = key_text(request.by, key_of(placement, day));
            let part: &mut Part =
                behind.entry(key).or_insert(Part { clicks_everywhere: true, ..Part::default() });
            let stands_for = devices.get(cell).map_or(0, reached) + ours.without_device;
            match said {
                Some(clicks) => {
                    part.compared = part.compared.max(stands_for);
                    part.has_hits |= ours.impressions > 0 || ours.clicks > 0;
                    part.clicks_everywhere &= clicks;
                }
                None => part.rest = part.rest.max(stands_for),
            }
        }
        Ok(Behind(behind))
    }

    /// What media say of the placements that whoever asks sees, on the days of the report.
    fn said(&self, request: &Request, days: &Days) -> Result<Cells, ReportError> {
        let (from, to) = match (days.from, days.to) {
            (Some(from), Some(to)) => (from, to),
            // Nothing was counted: whatever is said is more.
            _ if request.sight.is_exact() => (request.from.unwrap_or(0), request.to.unwrap_or(u16::MAX)),
            _ => return Ok(Cells::new()),
        };
        // What was said of a placement stays with it, as its hits do, whoever has it by now.
        if request.sight.only().is_none() && !request.is_present_word {
            return Ok(self.numbers.in_force(&request.campaign, from..=to, |_, _| true)?);
        }
        // But what was said by whose it was before is nothing to whose it is.
        let media = self.media(&request.campaign);
        let is_its_own = |medium: &str, placement: &str| {
            request.sight.sees_id(placement) && media.get(placement).is_some_and(|now| now == medium)
        };
        Ok(self.numbers.in_force(&request.campaign, from..=to, is_its_own)?)
    }

    /// The medium of each placement, by the catalog.
    fn media(&self, campaign: &str) -> BTreeMap<String, String> {
        let catalog = self.catalog.load();
        let placements =
            catalog.campaigns.get(campaign).into_iter().flat_map(|found| found.placements.values());
        placements.map(|placement| (placement.id.clone(), placement.medium.clone())).collect()
    }
}

/// Whether something was said of a placement and day, and if so whether clicks were.
fn said_of(said: &Cells, placement: &str, day: &str) -> Option<bool> {
    let day = super::day("day", day).ok()?;
    said.get(&(placement.to_owned(), day)).map(|said| said.clicks.is_some())
}

fn reached(histogram: &Histogram) -> u64 {
    histogram.n_plus(1).first().copied().unwrap_or(0)
}

/// The share of what is reported that we did not count.
fn gap(reported: Option<u64>, compared: Option<u64>) -> Option<f64> {
    let (reported, compared) = (reported.filter(|reported| *reported > 0)?, compared?);
    Some((reported as f64 - compared as f64) / reported as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_a_share_of_what_is_reported() {
        assert_eq!(gap(Some(100), Some(90)), Some(0.1));
        assert_eq!(gap(Some(100), Some(150)), Some(-0.5));
        assert_eq!(gap(Some(100), Some(0)), Some(1.0));
        assert_eq!((gap(Some(0), Some(5)), gap(None, None)), (None, None));
    }
}
