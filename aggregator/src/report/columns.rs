//! The columns of each report: the one list from which every form of it is written ([`crate::form`]).
//!
//! A figure that a row has and this list has not would be in no form: a test holds the lists against the fields of the rows.

use event::identifier::IdKind;

use super::cells::ratio;
use super::ids::IdsRow;
use super::overlap::{Ends, OverlapRow};
use super::rows::{DeliveryRow, FrequencyRow, ReachRow, Removed};
use super::sample::{Sample, around};
use super::universe::percent;
use crate::form::{Cell, Column, Place, Type};

/// A column and how its cell is read off a row.
pub(super) struct ColumnOf<Row> {
    pub(super) column: Column,
    pub(super) cell: Box<dyn for<'r> Fn(&'r Row) -> Cell<'r>>,
}

/// What the columns depend on.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// The rows are days.
    pub(super) by_day: bool,
    /// Frequencies listed one by one.
    pub(super) levels: usize,
    /// Members of an overlap.
    pub(super) members: usize,
    /// Which devices were counted.
    pub(super) sample: Sample,
}

/// A row with its list.
pub(super) trait Row: Sized + 'static {
    /// The list.
    fn columns(shape: Shape) -> Vec<ColumnOf<Self>>;
}

fn column<R: 'static>(
    place: Place,
    kind: Type,
    cell: impl for<'r> Fn(&'r R) -> Cell<'r> + 'static,
) -> ColumnOf<R> {
    ColumnOf { column: Column { place, kind, may_be_empty: false }, cell: Box::new(cell) }
}

/// What the row is about: a day where the rows are days.
fn key<R: 'static>(shape: Shape, key: impl for<'r> Fn(&'r R) -> &'r str + 'static) -> ColumnOf<R> {
    if shape.by_day {
        column(Place::Alone("key"), Type::Day, move |row| Cell::Day(key(row)))
    } else {
        column(Place::Alone("key"), Type::Text, move |row| Cell::Text(key(row)))
    }
}

fn count<R: 'static>(name: &'static str, of: impl Fn(&R) -> u64 + 'static) -> ColumnOf<R> {
    column(Place::Alone(name), Type::Count, move |row| Cell::Count(of(row)))
}

fn count_in<R: 'static>(
    group: &'static str,
    name: &'static str,
    of: impl Fn(&R) -> u64 + 'static,
) -> ColumnOf<R> {
    column(Place::Member(group, name), Type::Count, move |row| Cell::Count(of(row)))
}

fn some<R: 'static>(
    name: &'static str,
    kind: Type,
    of: impl for<'r> Fn(&'r R) -> Option<Cell<'r>> + 'static,
) -> ColumnOf<R> {
    let mut column = column(Place::Alone(name), kind, move |row| of(row).unwrap_or(Cell::Nothing));
    column.column.may_be_empty = true;
    column
}

/// A count that is not there in every row.
fn maybe<R: 'static>(name: &'static str, of: impl Fn(&R) -> Option<u64> + 'static) -> ColumnOf<R> {
    some(name, Type::Count, move |row| of(row).map(Cell::Count))
}

/// What a figure may be off by.
fn error<R: 'static>(name: &'static str, of: impl Fn(&R) -> f64 + 'static) -> ColumnOf<R> {
    column(Place::Alone(name), Type::Number, move |row| Cell::Number(of(row)))
}

fn rate<R: 'static>(name: &'static str, of: impl Fn(&R) -> Option<f64> + 'static) -> ColumnOf<R> {
    some(name, Type::Rate, move |row| of(row).map(Cell::Number))
}

/// Both ends of an interval.
fn both<R: 'static>(
    [low, high]: [&'static str; 2],
    of: impl Fn(&R) -> Option<(f64, f64)> + Copy + 'static,
) -> [ColumnOf<R>; 2] {
    [
        some(low, Type::Number, move |row| of(row).map(|(low, _)| Cell::Number(low))),
        some(high, Type::Number, move |row| of(row).map(|(_, high)| Cell::Number(high))),
    ]
}

fn settled_until<R: 'static>(of: impl for<'r> Fn(&'r R) -> Option<&'r str> + 'static) -> ColumnOf<R> {
    some("settled_until", Type::Day, move |row| of(row).map(Cell::Day))
}

/// The entries of a list.
fn list<R: 'static>(
    name: &'static str,
    length: usize,
    kind: Type,
    of: impl for<'r> Fn(&'r R, usize) -> Cell<'r> + Copy + 'static,
) -> impl Iterator<Item = ColumnOf<R>> {
    (0..length).map(move |at| column(Place::Item(name, at + 1), kind, move |row| of(row, at)))
}

impl Row for ReachRow {
    fn columns(shape: Shape) -> Vec<ColumnOf<Self>> {
        let counted = |counts: &[u64], at: usize| counts.get(at).copied().map_or(Cell::Nothing, Cell::Count);
        let mut columns = vec![
            key(shape, |row: &Self| &row.key),
            count("impressions", |row: &Self| row.impressions),
            count("identified_impressions", |row: &Self| row.identified_impressions),
            error("identified_standard_error", |row: &Self| row.identified_standard_error),
            count("identified_low", |row: &Self| row.identified_ends().0),
            count("identified_high", |row: &Self| row.identified_ends().1),
            rate("id_coverage", |row: &Self| row.id_coverage),
            rate("id_coverage_low", |row: &Self| ratio(row.identified_ends().0, row.impressions)),
            rate("id_coverage_high", |row: &Self| ratio(row.identified_ends().1, row.impressions)),
            count("clicks", |row: &Self| row.clicks),
            count("reach", |row: &Self| row.reach),
            some("average_frequency", Type::Number, |row: &Self| row.average_frequency.map(Cell::Number)),
            error("frequency_standard_error", |row: &Self| row.frequency_standard_error),
        ];
        columns.extend(both(["frequency_low", "frequency_high"], |row: &Self| {
            row.average_frequency.map(|average| around(average, row.frequency_standard_error))
        }));
        columns.extend(list("n_plus", shape.levels, Type::Count, move |row: &Self, at| {
            counted(&row.n_plus, at)
        }));
        columns.extend(list("exactly", shape.levels, Type::Count, move |row: &Self, at| {
            counted(&row.exactly, at)
        }));
        columns.extend(list("standard_error", shape.levels, Type::Number, |row: &Self, at| {
            row.standard_error.get(at).copied().map_or(Cell::Nothing, Cell::Number)
        }));
        columns.extend(list("interval_low", shape.levels, Type::Count, move |row: &Self, at| {
            counted(&row.interval_low, at)
        }));
        columns.extend(list("interval_high", shape.levels, Type::Count, move |row: &Self, at| {
            counted(&row.interval_high, at)
        }));
        columns.extend(ends_of_exactly(shape));
        columns.push(column(Place::Alone("exact"), Type::Flag, |row: &Self| Cell::Flag(row.exact)));
        if shape.by_day {
            columns.extend([
                maybe("cumulative_reach", |row: &Self| row.cumulative_reach),
                maybe("cumulative_low", |row: &Self| row.cumulative_low),
                maybe("cumulative_high", |row: &Self| row.cumulative_high),
            ]);
        }
        let number = |name, of: fn(&Self) -> Option<f64>| {
            some(name, Type::Number, move |row| of(row).map(Cell::Number))
        };
        columns.extend([
            maybe("universe", |row: &Self| row.universe),
            number("reach_percent", |row| row.reach_percent),
        ]);
        columns.extend(both(["reach_percent_low", "reach_percent_high"], move |row: &Self| {
            let (low, high) = shape.sample.interval(row.reach);
            percent(low, row.universe).zip(percent(high, row.universe))
        }));
        columns.extend([number("grp", |row| row.grp), number("cost_per_point", |row| row.cost_per_point)]);
        columns.push(settled_until(|row: &Self| row.settled_until.as_deref()));
        columns
    }
}

/// What the entries of `exactly` may be off by.
fn ends_of_exactly(Shape { levels, sample, .. }: Shape) -> impl Iterator<Item = ColumnOf<ReachRow>> {
    let cell = |row: &ReachRow, at: usize, of: fn(Sample, u64) -> Cell<'static>, sample: Sample| {
        row.exactly.get(at).map_or(Cell::Nothing, |devices| of(sample, *devices))
    };
    let errors = list("exactly_standard_error", levels, Type::Number, move |row: &ReachRow, at| {
        cell(row, at, |sample, devices| Cell::Number(sample.standard_error(devices)), sample)
    });
    let low = list("exactly_low", levels, Type::Count, move |row: &ReachRow, at| {
        cell(row, at, |sample, devices| Cell::Count(sample.interval(devices).0), sample)
    });
    let high = list("exactly_high", levels, Type::Count, move |row: &ReachRow, at| {
        cell(row, at, |sample, devices| Cell::Count(sample.interval(devices).1), sample)
    });
    errors.chain(low).chain(high)
}

impl Row for FrequencyRow {
    fn columns(shape: Shape) -> Vec<ColumnOf<Self>> {
        let sample = shape.sample;
        vec![
            key(shape, |row: &Self| &row.key),
            count("frequency", |row: &Self| row.frequency as u64),
            column(Place::Alone("or_more"), Type::Flag, |row: &Self| Cell::Flag(row.or_more)),
            count("devices", |row: &Self| row.devices),
            count("n_plus", |row: &Self| row.n_plus),
            count("impressions", |row: &Self| row.impressions),
            error("standard_error", |row: &Self| row.standard_error),
            count("interval_low", |row: &Self| row.interval_low),
            count("interval_high", |row: &Self| row.interval_high),
            error("devices_standard_error", move |row: &Self| sample.standard_error(row.devices)),
            count("devices_low", move |row: &Self| sample.interval(row.devices).0),
            count("devices_high", move |row: &Self| sample.interval(row.devices).1),
            column(Place::Alone("exact"), Type::Flag, |row: &Self| Cell::Flag(row.exact)),
            settled_until(|row: &Self| row.settled_until.as_deref()),
        ]
    }
}

impl Row for OverlapRow {
    fn columns(shape: Shape) -> Vec<ColumnOf<Self>> {
        let mut columns = vec![
            key(shape, |row: &Self| &row.key),
            column(Place::Alone("kind"), Type::Text, |row: &Self| Cell::Text(row.kind)),
        ];
        columns.extend((1..=shape.members.max(1)).map(member));
        columns.extend([
            count("reach", |row: &Self| row.reach),
            maybe("unique", |row: &Self| row.unique),
            maybe("stack_position", |row: &Self| row.stack_position),
            maybe("stacked_reach", |row: &Self| row.stacked_reach),
            maybe("incremental_reach", |row: &Self| row.incremental_reach),
            maybe("shared", |row: &Self| row.shared),
            error("standard_error", |row: &Self| row.standard_error),
        ]);
        columns.extend(ends("interval_low", |row| &row.interval_low));
        columns.extend(ends("interval_high", |row| &row.interval_high));
        columns.push(column(Place::Alone("exact"), Type::Flag, |row: &Self| Cell::Flag(row.exact)));
        columns.push(settled_until(|row: &Self| row.settled_until.as_deref()));
        columns
    }
}

/// A name of those whose devices a row is about.
fn member(number: usize) -> ColumnOf<OverlapRow> {
    let mut column = column(Place::Name("members", number), Type::Text, move |row: &OverlapRow| {
        row.members.get(number - 1).map_or(Cell::Nothing, |member| Cell::Text(member))
    });
    column.column.may_be_empty = true;
    column
}

fn ends(group: &'static str, of: fn(&OverlapRow) -> &Ends) -> [ColumnOf<OverlapRow>; 5] {
    let maybe = |name, end: fn(&Ends) -> Option<u64>| {
        let mut column = column(Place::Member(group, name), Type::Count, move |row| {
            end(of(row)).map_or(Cell::Nothing, Cell::Count)
        });
        column.column.may_be_empty = true;
        column
    };
    [
        count_in(group, "reach", move |row| of(row).reach),
        maybe("unique", |ends| ends.unique),
        maybe("stacked_reach", |ends| ends.stacked_reach),
        maybe("incremental_reach", |ends| ends.incremental_reach),
        maybe("shared", |ends| ends.shared),
    ]
}

impl Row for DeliveryRow {
    fn columns(shape: Shape) -> Vec<ColumnOf<Self>> {
        let mut columns = vec![
            key(shape, |row: &Self| &row.key),
            count("impressions", |row: &Self| row.impressions),
            count("gross_impressions", |row: &Self| row.gross_impressions),
            count("net_impressions", |row: &Self| row.net_impressions),
        ];
        columns.extend(removed("removed_impressions", |row| &row.removed_impressions));
        columns.extend([
            count("clicks", |row: &Self| row.clicks),
            count("gross_clicks", |row: &Self| row.gross_clicks),
            count("net_clicks", |row: &Self| row.net_clicks),
        ]);
        columns.extend(removed("removed_clicks", |row| &row.removed_clicks));
        columns.extend(stages());
        columns.extend([
            count("measured", |row: &Self| row.measured),
            count("unmeasured", |row: &Self| row.unmeasured),
            rate("measured_rate", |row: &Self| row.measured_rate),
            rate("viewable_rate", |row: &Self| row.viewable_rate),
            count("outdone_verdicts", |row: &Self| row.outdone_verdicts),
            count("identified_impressions", |row: &Self| row.identified_impressions),
            rate("id_coverage", |row: &Self| row.id_coverage),
            count("withheld_impressions", |row: &Self| row.withheld_impressions),
            count("unidentified_impressions", |row: &Self| row.unidentified_impressions),
        ]);
        columns.extend(signals());
        columns.extend([
            count("bad_id_impressions", |row: &Self| row.bad_id_impressions),
            count("macros_unreplaced", |row: &Self| row.macros_unreplaced),
            count("conflicts", |row: &Self| row.conflicts),
            maybe("unresolved", |row: &Self| row.unresolved),
            maybe("planned", |row: &Self| row.planned),
            rate("fulfilment", |row: &Self| row.fulfilment),
            maybe("reported_impressions", |row: &Self| row.reported_impressions),
            maybe("reported_clicks", |row: &Self| row.reported_clicks),
            maybe("compared_impressions", |row: &Self| row.compared_impressions),
            maybe("compared_clicks", |row: &Self| row.compared_clicks),
            rate("gap", |row: &Self| row.gap),
            settled_until(|row: &Self| row.settled_until.as_deref()),
        ]);
        columns
    }
}

fn removed(group: &'static str, of: fn(&DeliveryRow) -> &Removed) -> [ColumnOf<DeliveryRow>; 5] {
    [
        count_in(group, "duplicate", move |row| of(row).duplicate),
        count_in(group, "robot", move |row| of(row).robot),
        count_in(group, "non_browser", move |row| of(row).non_browser),
        count_in(group, "data_center", move |row| of(row).data_center),
        count_in(group, "double_click", move |row| of(row).double_click),
    ]
}

fn stages() -> [ColumnOf<DeliveryRow>; 10] {
    const GROUP: &str = "stages";
    [
        count_in(GROUP, "tracked", |row: &DeliveryRow| row.stages.tracked),
        count_in(GROUP, "viewable", |row: &DeliveryRow| row.stages.viewable),
        count_in(GROUP, "not_viewable", |row: &DeliveryRow| row.stages.not_viewable),
        count_in(GROUP, "not_measurable", |row: &DeliveryRow| row.stages.not_measurable),
        count_in(GROUP, "starts", |row: &DeliveryRow| row.stages.starts),
        count_in(GROUP, "first_quartiles", |row: &DeliveryRow| row.stages.first_quartiles),
        count_in(GROUP, "midpoints", |row: &DeliveryRow| row.stages.midpoints),
        count_in(GROUP, "third_quartiles", |row: &DeliveryRow| row.stages.third_quartiles),
        count_in(GROUP, "completes", |row: &DeliveryRow| row.stages.completes),
        count_in(GROUP, "conversions", |row: &DeliveryRow| row.stages.conversions),
    ]
}

fn signals() -> [ColumnOf<DeliveryRow>; 6] {
    const GROUP: &str = "signals";
    [
        count_in(GROUP, "gpc", |row: &DeliveryRow| row.signals.gpc),
        count_in(GROUP, "dnt", |row: &DeliveryRow| row.signals.dnt),
        count_in(GROUP, "limit_ad_tracking", |row: &DeliveryRow| row.signals.limit_ad_tracking),
        count_in(GROUP, "no_consent", |row: &DeliveryRow| row.signals.no_consent),
        count_in(GROUP, "gpp", |row: &DeliveryRow| row.signals.gpp),
        count_in(GROUP, "child_directed", |row: &DeliveryRow| row.signals.child_directed),
    ]
}

impl Row for IdsRow {
    fn columns(shape: Shape) -> Vec<ColumnOf<Self>> {
        let mut columns = vec![
            key(shape, |row: &Self| &row.key),
            count("impressions", |row: &Self| row.impressions),
            count("identified", |row: &Self| row.identified),
            rate("id_coverage", |row: &Self| row.id_coverage),
            count("usable", |row: &Self| row.usable),
            rate("return_rate", |row: &Self| row.return_rate),
            count("withheld", |row: &Self| row.withheld),
            count("bad", |row: &Self| row.bad),
            count("absent", |row: &Self| row.absent),
            count("set_aside", |row: &Self| row.set_aside),
            count("macros_unreplaced", |row: &Self| row.macros_unreplaced),
            count("sha_only", |row: &Self| row.sha_only),
        ];
        columns.extend(IdKind::ALL.into_iter().map(|kind| {
            count_in("identified_by_kind", kind.name(), move |row: &Self| row.identified_by_kind.of(kind))
        }));
        columns.extend([
            count_in("device_risks", "root", |row: &Self| row.device_risks.root),
            count_in("device_risks", "emulator", |row: &Self| row.device_risks.emulator),
            count_in("device_risks", "hook", |row: &Self| row.device_risks.hook),
            count_in("device_risks", "adb", |row: &Self| row.device_risks.adb),
            settled_until(|row: &Self| row.settled_until.as_deref()),
        ]);
        columns
    }
}

#[cfg(test)]
mod tests;
