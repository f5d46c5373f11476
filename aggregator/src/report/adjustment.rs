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
const NAMES: [&str; 39] = [
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
    "stages_tracked",
    "stages_viewable",
    "stages_not_viewable",
    "stages_not_measurable",
    "stages_starts",
    "stages_first_quartiles",
    "stages_midpoints",
    "stages_third_quartiles",
    "stages_completes",
    "stages_conversions",
    "measured",
    "unmeasured",
    "identified_impressions",
    "identified",
    "usable",
    "reach",
    "cumulative_reach",
    "devices",
    "n_plus",
    "unique",
    "stacked_reach",
    "incremental_reach",
    "shared",
];

/// The group that they stand in.
const GROUP: &str = "adjustment";

/// What can be told of why figures would be other ones now, in the head of a closed report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Since {
    /// Hits of its days that came since; where the report is shaped a multiple of k, `None` for none and for fewer.
    pub(crate) late_hits: Option<u64>,
    /// Hits of its days whose device was erased since; told where the report is exact.
    pub(crate) erased_hits: Option<u64>,
    /// The campaign's limit between two clicks.
    pub(crate) double_click_seconds: Option<Changed<u32>>,
    /// The rules that judge validity.
    pub(crate) rules: Option<Changed<String>>,
    /// The catalog; told where the report is exact.
    pub(crate) catalog: Option<Changed<String>>,
    /// Whether devices of its days are no longer kept, so that there is nothing to hold its figures against.
    pub(crate) devices_expired: bool,
    /// Whether members of its overlap have no part in the campaign any more, for one has another name now, so that likewise.
    pub(crate) members_changed: bool,
    /// Whether its figures of now could not be had, so that likewise.
    pub(crate) unavailable: bool,
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

/// One side of an adjustment: which column stands where, and the rows by what they are about.
struct Side {
    places: BTreeMap<String, usize>,
    /// Whether a row that is not there has nothing in it. Of frequencies that are shaped the last ones are left out.
    is_whole: bool,
}

impl Side {
    fn of(table: &Table<'_>, is_shaped: bool) -> Self {
        let places = table.columns.iter().enumerate().map(|(at, column)| (column.place.flat(), at));
        let places: BTreeMap<String, usize> = places.collect();
        Self { is_whole: !is_shaped || !places.contains_key("frequency"), places }
    }

    fn cell<'c>(&self, name: &str, row: &[Cell<'c>]) -> Cell<'c> {
        self.places.get(name).and_then(|at| row.get(*at)).copied().unwrap_or(Cell::Nothing)
    }

    /// A figure; of an open-ended frequency only what is the same as of one by itself.
    fn figure<'c>(&self, name: &str, row: Option<&Vec<Cell<'c>>>, is_open: bool) -> Cell<'c> {
        match row {
            None if self.is_whole => Cell::Count(0),
            Some(row) if name == "n_plus" || self.is_open(row) == is_open => self.cell(name, row),
            None | Some(_) => Cell::Nothing,
        }
    }

    fn is_open(&self, row: &[Cell<'_>]) -> bool {
        matches!(self.cell("or_more", row), Cell::Flag(true))
    }

    /// What a row is about.
    fn key(&self, row: &[Cell<'_>]) -> String {
        let text = |name: &str| match self.cell(name, row) {
            Cell::Text(text) | Cell::Day(text) => text.to_owned(),
            Cell::Count(count) => count.to_string(),
            _ => String::new(),
        };
        [text("kind"), text("frequency"), text("key")].join("\u{1f}")
    }
}

/// Puts the columns behind those of a closed table. `present` is the same table now, `None` where there is none; `k` where both are shaped.
pub(super) fn add<'r>(table: &mut Table<'r>, present: Option<Table<'r>>, k: Option<u64>) {
    let then = Side::of(table, k.is_some());
    let adjusted: Vec<&'static str> =
        NAMES.into_iter().filter(|name| then.places.contains_key(*name)).collect();
    let now = present.as_ref().map(|present| Side::of(present, k.is_some()));
    let is_known = |name: &str| now.as_ref().is_some_and(|now| now.places.contains_key(name));
    let mut rows: BTreeMap<String, Vec<Cell<'r>>> = BTreeMap::new();
    let mut order = Vec::new();
    if let (Some(present), Some(now)) = (present, &now) {
        order.extend(present.rows.iter().map(|row| now.key(row)));
        rows.extend(present.rows.into_iter().map(|row| (now.key(&row), row)));
    }
    let change = |name: &str, before: Option<&Vec<Cell<'r>>>, after: Option<&Vec<Cell<'r>>>| {
        let Some(now) = now.as_ref().filter(|_| is_known(name)) else { return Cell::Nothing };
        let (before_is_open, after_is_open) =
            (before.map(|row| then.is_open(row)), after.map(|row| now.is_open(row)));
        // A row that is only there once is open-ended as it is there.
        let before = then.figure(name, before, after_is_open.or(before_is_open).unwrap_or(false));
        difference(before, now.figure(name, after, before_is_open.or(after_is_open).unwrap_or(false)), k)
    };
    for row in &mut table.rows {
        let present = rows.remove(&then.key(row));
        let changes: Vec<Cell<'r>> =
            adjusted.iter().map(|name| change(name, Some(row), present.as_ref())).collect();
        row.extend(changes);
    }
    // Rows that came since, in the order of the present table.
    let added: Vec<Vec<Cell<'r>>> = order.iter().filter_map(|key| rows.remove(key)).collect();
    for row in added {
        let changes: Vec<Cell<'r>> = adjusted.iter().map(|name| change(name, None, Some(&row))).collect();
        let cell = |column: &Column| {
            let is_kept = is_of_key(column) || column.kind == Type::Flag;
            let now = now.as_ref().filter(|_| is_kept);
            now.map_or(Cell::Nothing, |now| now.cell(&column.place.flat(), &row))
        };
        let cells: Vec<Cell<'r>> = table.columns.iter().map(cell).chain(changes).collect();
        table.rows.push(cells);
    }
    for column in table.columns.iter_mut().filter(|column| !is_of_key(column) && column.kind != Type::Flag) {
        column.may_be_empty = true;
    }
    let column = |name: &'static str| Column {
        place: Place::Member(GROUP, name),
        kind: Type::Change,
        may_be_empty: true,
    };
    table.columns.extend(adjusted.into_iter().map(column));
}

/// Whether a column says what a row is about.
fn is_of_key(column: &Column) -> bool {
    matches!(column.place, Place::Alone("key" | "kind" | "frequency") | Place::Name("members", _))
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
            language: None,
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

    fn frequencies(rows: &[(u64, bool, u64, u64)]) -> Table<'static> {
        let column = |name, kind| Column { place: Place::Alone(name), kind, may_be_empty: false };
        let cells = |(frequency, is_open, devices, n_plus): &(u64, bool, u64, u64)| {
            let (frequency, is_open) = (Cell::Count(*frequency), Cell::Flag(*is_open));
            vec![Cell::Text("total"), frequency, is_open, Cell::Count(*devices), Cell::Count(*n_plus)]
        };
        let columns = [
            column("key", Type::Text),
            column("frequency", Type::Count),
            column("or_more", Type::Flag),
            column("devices", Type::Count),
            column("n_plus", Type::Count),
        ];
        Table { columns: columns.to_vec(), rows: rows.iter().map(cells).collect(), ..table(&[]) }
    }

    #[test]
    fn an_open_ended_frequency_is_not_held_against_one_by_itself() {
        let closed = frequencies(&[(1, false, 100, 300), (2, true, 200, 200)]);
        let present = frequencies(&[(1, false, 160, 420), (2, false, 160, 260), (3, true, 100, 100)]);
        let changes = |closed: &Table<'static>, present: &Table<'static>, k| {
            let mut table = closed.clone();
            add(&mut table, Some(present.clone()), k);
            let lines = written(&table);
            lines[1..]
                .iter()
                .map(|line| line.splitn(4, ',').skip(1).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        let more = ["1 false 100,300,60,120", "2 true 200,200,,60", "3 true ,,,"];
        assert_eq!(changes(&closed, &present, Some(50)), more, "those above are in the last one");
        let fewer = ["1 false 160,420,-60,-120", "2 false 160,260,,-60", "3 true 100,100,,"];
        assert_eq!(changes(&present, &closed, Some(50)), fewer);
        // Nothing is left out of exact ones: what is not there is nobody.
        let all = frequencies(&[(1, false, 160, 260), (2, false, 100, 100)]);
        let few = frequencies(&[(1, false, 300, 300)]);
        assert_eq!(changes(&few, &all, None), ["1 false 300,300,-140,-40", "2 false ,,100,100"]);
    }
}
