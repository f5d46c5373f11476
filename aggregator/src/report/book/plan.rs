//! The sheet of the plan: a row for each range of each placement's, as far as the placements are seen; of one without a plan a row all the same.

use catalog::{Campaign, Placement};

use super::column;
use crate::form::{Cell, Language, Table, Type};
use crate::view::Sight;

/// The plan of a campaign.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) rows: Vec<Row>,
    /// Whether whoever asks is told what placements cost.
    tells_costs: bool,
}

/// One range.
pub(super) struct Row {
    /// Id, name, medium, kind of source, state.
    texts: [String; 5],
    /// First and last day, impressions of each and of all of them.
    range: Option<(String, String, u64, u64)>,
    /// Of the placement, in its first row.
    cost: Option<f64>,
}

impl Plan {
    /// That of the placements that are seen, by id.
    pub(super) fn of(campaign: &Campaign, sight: &Sight) -> Self {
        let seen = campaign.placements.values().filter(|placement| sight.sees(placement));
        let mut placements: Vec<&Placement> = seen.map(AsRef::as_ref).collect();
        placements.sort_by(|a, b| a.id.cmp(&b.id));
        let tells_costs = sight.only().is_none();
        let rows = placements.into_iter().flat_map(|placement| rows(placement, tells_costs)).collect();
        Self { rows, tells_costs }
    }

    pub(super) fn table(&self, language: Language) -> Table<'_> {
        let mut columns = vec![
            column("key", Type::Text),
            column("name", Type::Text),
            column("medium", Type::Text),
            column("source", Type::Text),
            column("state", Type::Text),
            column("from", Type::Day),
            column("to", Type::Day),
            column("per_day", Type::Count),
            column("planned", Type::Count),
        ];
        if self.tells_costs {
            columns.push(column("cost", Type::Number));
        }
        Table {
            name: "plan",
            about: serde_json::Map::from_iter([("by".to_owned(), "placement".into())]),
            notes: Vec::new(),
            columns,
            rows: self.rows.iter().map(|row| row.cells(self.tells_costs)).collect(),
            language: Some(language),
        }
    }
}

impl Row {
    fn cells(&self, tells_costs: bool) -> Vec<Cell<'_>> {
        let texts = self.texts.iter().map(|text| Cell::Text(text));
        let range = match &self.range {
            Some((from, to, a_day, all)) => {
                [Cell::Day(from), Cell::Day(to), Cell::Count(*a_day), Cell::Count(*all)]
            }
            None => [Cell::Nothing; 4],
        };
        let cost = tells_costs.then(|| self.cost.map_or(Cell::Nothing, Cell::Number));
        texts.chain(range).chain(cost).collect()
    }
}

fn rows(placement: &Placement, tells_costs: bool) -> Vec<Row> {
    let texts = || {
        [
            placement.id.clone(),
            placement.name.clone(),
            placement.medium.clone(),
            placement.source.name().to_owned(),
            placement.state.name().to_owned(),
        ]
    };
    let cost = placement.cost.filter(|_| tells_costs).map(|cost| cost.hundredths as f64 / 100.0);
    let mut rows: Vec<Row> = placement
        .plan
        .iter()
        .map(|range| {
            let all = range.days().saturating_mul(range.impressions);
            let range = Some((range.from.to_string(), range.to.to_string(), range.impressions, all));
            Row { texts: texts(), range, cost: None }
        })
        .collect();
    match rows.first_mut() {
        Some(first) => first.cost = cost,
        None => rows.push(Row { texts: texts(), range: None, cost }),
    }
    rows
}
