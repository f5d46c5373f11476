//! What a role may see of delivery: counts of hits, what of them stands beside media's own numbers, and which signals withheld devices.

use super::super::cells::ratio;
use super::super::reported::{Behind, Part};
use super::super::rows::DeliveryRow;
use super::{Hidden, Limits, small_cells, small_rows};

pub(super) fn delivery(
    rows: &mut [DeliveryRow],
    limits: Limits,
    devices: impl Fn(&str) -> u64,
) -> Vec<Hidden> {
    let stands_for: Vec<Option<u64>> = rows.iter().map(|row| stands_for(row, devices(&row.key))).collect();
    let mut hidden = small_rows(&stands_for, limits);
    for ((row, hidden), stands_for) in rows.iter_mut().zip(&mut hidden).zip(stands_for) {
        if hidden.all || stands_for.is_none() {
            continue;
        }
        if limits.is_small(devices(&row.key)) {
            hidden.hide(&["identified_impressions", "id_coverage", "unidentified_impressions"]);
        }
        let signals = &row.signals;
        let signals = [
            ("signals_gpc", signals.gpc),
            ("signals_dnt", signals.dnt),
            ("signals_limit_ad_tracking", signals.limit_ad_tracking),
            ("signals_no_consent", signals.no_consent),
            ("signals_gpp", signals.gpp),
            ("signals_child_directed", signals.child_directed),
        ];
        if small_cells(&signals, limits, hidden) || limits.is_few(row.withheld_impressions) {
            hidden.hide(&["withheld_impressions", "unidentified_impressions"]);
        }
        row.identified_impressions = limits.round(row.identified_impressions);
        row.id_coverage = ratio(row.identified_impressions, row.impressions);
        row.unidentified_impressions =
            row.impressions.saturating_sub(row.identified_impressions + row.withheld_impressions);
    }
    hidden
}

/// What media say is their own word and stands where its row does. What of ours it is held against is a part of the row that a medium can choose by
/// what it gives numbers for: it is shown if it is the whole row, or if k stand behind a placement's day within it and behind one of the rest.
pub(super) fn compared(rows: &[DeliveryRow], hidden: &mut [Hidden], (behind, limits): (&Behind, Limits)) {
    for (row, hidden) in rows.iter().zip(hidden) {
        if row.compared_impressions.is_none() {
            continue;
        }
        let part = behind.of(&row.key);
        let is_small = behind_part(row, part).is_some_and(|fewest| limits.is_small(fewest));
        if is_small {
            hidden.hide(&["compared_impressions", "gap"]);
        }
        if part.has_hits && (is_small || !part.clicks_everywhere) {
            hidden.hide(&["compared_clicks"]);
        }
    }
}

/// Fewest that stand behind the gap of a row, which is not shown where they are too few: those of the row, and of the part that is compared. `None` where
/// nothing of ours is in it.
pub(in crate::report) fn behind_gap(row: &DeliveryRow, devices: u64, part: Part) -> Option<u64> {
    stands_for(row, devices).into_iter().chain(behind_part(row, part)).min()
}

/// Fewest behind a placement's day of what is compared, and behind one of the rest; `None` where it is the whole row, or nothing of ours.
fn behind_part(row: &DeliveryRow, part: Part) -> Option<u64> {
    let is_whole = row.compared_impressions == Some(row.impressions)
        && row.compared_clicks.is_none_or(|clicks| clicks == row.clicks);
    (part.has_hits && !is_whole).then(|| part.compared.min(part.rest))
}

/// Whom a row stands for: its devices, and its hits without one. `None` without any figure.
fn stands_for(row: &DeliveryRow, devices: u64) -> Option<u64> {
    // What was removed is nobody's: robots, data centres, repeats of a hit that stands elsewhere.
    let hits = match row.net_impressions {
        0 => row.gross_impressions,
        net => devices + net.saturating_sub(row.identified_impressions),
    };
    (!is_empty(row)).then_some(hits)
}

/// Whether nothing of ours was counted in a row.
pub(crate) fn is_empty(row: &DeliveryRow) -> bool {
    *row == DeliveryRow {
        key: row.key.clone(),
        unresolved: row.unresolved,
        reported_impressions: row.reported_impressions,
        reported_clicks: row.reported_clicks,
        compared_impressions: row.compared_impressions,
        compared_clicks: row.compared_clicks,
        gap: row.gap,
        planned: row.planned,
        fulfilment: row.fulfilment,
        settled_until: row.settled_until.clone(),
        ..DeliveryRow::default()
    }
}
