//! The delivery report: counts by key, with hits of placements that the catalog does not have beside them.

use std::collections::BTreeMap;

use event::stage::Stage;
use serde::Deserialize;

use super::cells::{CellRow, add_cell, finish_delivery, key_text};
use super::days::Days;
use super::request::{By, Request};
use super::rows::DeliveryRow;
use super::{OTHERS, ReportError, Reporter, reported};
use crate::adopt::UNRESOLVED_MS;
use crate::statement;
use crate::store::{StoreError, Value, Work, day_text};

/// Unresolved placements with a row each; the others share one.
const UNRESOLVED_ROWS_MAX: u64 = 1000;

impl Reporter {
    pub(super) fn delivery(
        &self,
        request: &Request,
        days: &Days,
        behind: &mut reported::Behind,
    ) -> Result<Vec<DeliveryRow>, ReportError> {
        let mut rows: BTreeMap<String, DeliveryRow> = BTreeMap::new();
        if request.by == By::Total {
            rows.entry(String::new()).or_default();
        }
        let cells: Vec<CellRow> = self.cells(statement::REPORT_DELIVERY, request, days, &Stage::ALL)?;
        for cell in &cells {
            add_cell(rows.entry(cell.key.clone()).or_default(), cell, request.filter);
        }
        // Nobody's placement is in nobody's sight but the operator's.
        if matches!(request.by, By::Total | By::Placement) && request.sight.is_exact() {
            for (placement, hits) in self.unresolved(request, days)? {
                let key = if request.by == By::Total { String::new() } else { placement };
                *rows.entry(key).or_default().unresolved.get_or_insert(0) += hits;
            }
            for row in rows.values_mut() {
                row.unresolved.get_or_insert(0);
            }
        }
        *behind = self.compare(request, days, &mut rows)?;
        self.add_plan(request, days, &mut rows);
        let finish = |(key, mut row): (String, DeliveryRow)| {
            row.key = key_text(request.by, key);
            finish_delivery(&mut row);
            row.settled_until = days.settled_until.map(day_text);
            row
        };
        Ok(rows.into_iter().map(finish).collect())
    }

    fn unresolved(&self, request: &Request, days: &Days) -> Result<Vec<(String, u64)>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            placement: String,
            is_rest: u8,
            hits: u64,
        }
        // Without a range of its own the report takes in unresolved hits of any day.
        let values = vec![
            ("campaign", Value::Text(request.campaign.clone())),
            ("zone", Value::Text(self.time_zone(&request.campaign).name().to_owned())),
            ("from", Value::Text(day_text(request.from.and(days.from).unwrap_or(0)))),
            ("to", Value::Text(day_text(request.to.and(days.to).unwrap_or(u16::MAX)))),
            ("since_ms", Value::Signed(self.clock.now_ms() - UNRESOLVED_MS)),
            ("rows", Value::Number(if request.by == By::Total { 0 } else { UNRESOLVED_ROWS_MAX })),
        ];
        let rows: Vec<Row> = self.store.rows(Work::Report, statement::REPORT_UNRESOLVED, &values)?;
        let key = |row: Row| if row.is_rest == 1 { OTHERS.to_owned() } else { row.placement };
        Ok(rows.into_iter().map(|row| (row.hits, key(row))).map(|(hits, key)| (key, hits)).collect())
    }
}
