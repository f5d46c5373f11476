//! What became of a closed period's figures since: for each row present − closed, in columns of their own beside what stays as it was.
//!
//! Both sides are shaped before they are held against each other, so that an adjustment tells no more than the two do; where a report is shaped, one of
//! fewer than k is left out, for a few hits may be one person's.
//!
//! Must never: change a closed figure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::form::{Cell, Column, Place, Table, Type};

/// The figures that are adjusted, in whichever report they stand.
const NAMES: [&str; 23] = [
    "impressions",
    "gross_impressions",
    "net_impressions",
    "removed_impressions_duplicate",
    "removed_impressions_robot",
    "removed_impressions_non_browser",
    "removed_impressions_data_center",
    "removed_impressions_double_click",
    "clicks",
    "gross_clicks",
    "net_clicks",
    "removed_clicks_duplicate",
    "removed_clicks_robot",
    "removed_clicks_non_browser",
    "removed_clicks_data_center",
    "removed_clicks_double_click",
    "identified_impressions",
    "identified",
    "usable",
    "reach",
    "cumulative_reach",
    "devices",
    "n_plus",
];

/// The group that they stand in.
const GROUP: &str = "adjustment";

/// What can be told of why figures would be other ones now, in the head of a closed report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Since {
    /// Hits of its days that came since; `None` where few of them may not be told.
    pub(crate) late_hits: Option<u64>,
    /// Hits of its days whose device was erased since; likewise, and not told to media.
    pub(crate) erased_hits: Option<u64>,
    /// The campaign's limit between two clicks.
    pub(crate) double_click_seconds: Option<Changed<u32>>,
    /// The rules that judge validity.
    pub(crate) rules: Option<Changed<String>>,
    /// The catalog.
    pub(crate) catalog: Option<Changed<String>>,
    /// Whether devices of its days are no longer kept, so that there is nothing to hold its figures against.
    pub(crate) devices_expired: bool,
    /// Days whose present figures may still change.
    pub(crate) provisional_days: Vec<String>,
}

/// What was another one then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Changed<T> {
    closed: T,
    present: T,
}

impl<T: PartialEq> Changed<T> {
    pub(super) fn of(closed: T, present: T) -> Option<Self> {
        (closed != present).then_some(Self { closed, present })
    }
}

/// Puts the columns behind those of a closed table. `present` is the same table now, `None` where there is none; `k` where both are shaped.
pub(super) fn add<'r>(table: &mut Table<'r>, present: Option<Table<'r>>, k: Option<u64>) {
    let named = columns(table);
    let adjusted: Vec<(&'static str, usize)> =
        NAMES.into_iter().filter_map(|name| Some((name, *named.get(name)?))).collect();
    let mut now: BTreeMap<String, Vec<Cell<'r>>> = BTreeMap::new();
    let is_known = present.is_some();
    let order: Vec<String> =
        present.iter().flat_map(|table| table.rows.iter()).map(|row| key(&named, row)).collect();
    for row in present.into_iter().flat_map(|table| table.rows) {
        now.insert(key(&named, &row), row);
    }
    for row in &mut table.rows {
        let present = now.remove(&key(&named, row));
        let change = |(_, at): &(&'static str, usize)| {
            let before = row.get(*at).copied().unwrap_or(Cell::Nothing);
            // A row that is no longer there has nothing in it.
            let after =
                present.as_ref().map_or(Cell::Count(0), |row| row.get(*at).copied().unwrap_or(Cell::Nothing));
            if is_known { difference(before, after, k) } else { Cell::Nothing }
        };
        let changes: Vec<Cell<'r>> = adjusted.iter().map(change).collect();
        row.extend(changes);
    }
    // Rows that came since, in the order of the present table.
    let added: Vec<Vec<Cell<'r>>> = order.iter().filter_map(|key| now.remove(key)).collect();
    for row in added {
        let changes: Vec<Cell<'r>> = adjusted
            .iter()
            .map(|(_, at)| difference(Cell::Count(0), row.get(*at).copied().unwrap_or(Cell::Nothing), k))
            .collect();
        let is_kept = |at: usize| {
            table.columns.get(at).is_some_and(|column| is_of_key(column) || column.kind == Type::Flag)
        };
        let mut row: Vec<Cell<'r>> = row
            .into_iter()
            .enumerate()
            .map(|(at, cell)| if is_kept(at) { cell } else { Cell::Nothing })
            .collect();
        row.extend(changes);
        table.rows.push(row);
    }
    for column in table.columns.iter_mut().filter(|column| !is_of_key(column) && column.kind != Type::Flag) {
        column.may_be_empty = true;
    }
    let column = |(name, _): (&'static str, usize)| Column {
        place: Place::Member(GROUP, name),
        kind: Type::Change,
        may_be_empty: true,
    };
    table.columns.extend(adjusted.into_iter().map(column));
}

/// Whether a column says what a row is about.
fn is_of_key(column: &Column) -> bool {
    matches!(column.place, Place::Alone("key" | "frequency"))
}

/// Where each column stands, by its flat name.
fn columns(table: &Table<'_>) -> BTreeMap<String, usize> {
    table.columns.iter().enumerate().map(|(at, column)| (column.place.flat(), at)).collect()
}

/// What a row is about. Of frequencies, an open-ended one is another row than the same one by itself.
fn key(named: &BTreeMap<String, usize>, row: &[Cell<'_>]) -> String {
    let text = |name: &str| match named.get(name).and_then(|at| row.get(*at)) {
        Some(Cell::Text(text) | Cell::Day(text)) => (*text).to_owned(),
        Some(Cell::Count(count)) => count.to_string(),
        Some(Cell::Flag(flag)) => flag.to_string(),
        _ => String::new(),
    };
    [text("frequency"), text("or_more"), text("key")].join("\u{1f}")
}

fn difference<'c>(before: Cell<'_>, after: Cell<'_>, k: Option<u64>) -> Cell<'c> {
    let (Cell::Count(before), Cell::Count(after)) = (before, after) else { return Cell::Nothing };
    let change = i128::from(after) - i128::from(before);
    let Ok(change) = i64::try_from(change) else { return Cell::Nothing };
    let is_few = k.is_some_and(|k| change != 0 && change.unsigned_abs() < k);
    if is_few { Cell::Nothing } else { Cell::Change(change) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&'static str, Option<u64>, bool)]) -> Table<'static> {
        let column = |name, kind| Column { place: Place::Alone(name), kind, may_be_empty: false };
        let cells = |(key, reach, mark): &(&'static str, Option<u64>, bool)| {
            vec![
                Cell::Text(key),
                reach.map_or(Cell::Nothing, Cell::Count),
                Cell::Number(0.5),
                Cell::Flag(*mark),
            ]
        };
        Table {
            name: "reach",
            about: serde_json::Map::new(),
            notes: Vec::new(),
            columns: vec![
                column("key", Type::Text),
                column("reach", Type::Count),
                column("id_coverage", Type::Rate),
                column("suppressed", Type::Flag),
            ],
            rows: rows.iter().map(cells).collect(),
        }
    }

    fn written(table: &Table<'_>) -> Vec<String> {
        let text = table.write(crate::form::Form::Csv { mark: false }, 0).expect("is written");
        String::from_utf8(text).expect("UTF-8").lines().map(str::to_owned).collect()
    }

    #[test]
    fn closed_figures_stay_and_what_came_and_went_stands_beside_them() {
        let closed = table(&[("a", Some(100), false), ("b", Some(70), false), ("c", None, true)]);
        let present = table(&[("a", Some(103), false), ("c", Some(60), false), ("d", Some(9), false)]);
        let mut exact = closed.clone();
        add(&mut exact, Some(present.clone()), None);
        assert_eq!(
            written(&exact),
            [
                "key,reach,id_coverage,suppressed,adjustment_reach",
                "a,100,0.5,false,3",
                "b,70,0.5,false,-70",
                "c,,0.5,true,",
                "d,,,false,9"
            ]
        );
        let mut shaped = closed.clone();
        add(&mut shaped, Some(present), Some(50));
        assert_eq!(
            written(&shaped)[1..],
            ["a,100,0.5,false,", "b,70,0.5,false,-70", "c,,0.5,true,", "d,,,false,"]
        );
        let mut unknown = closed;
        add(&mut unknown, None, None);
        assert_eq!(written(&unknown)[1], "a,100,0.5,false,");
    }
}
