//! What a role may see of delivery: counts of hits, what of them stands beside media's own numbers, and which signals withheld devices.

use super::super::cells::ratio;
use super::super::reported::Behind;
use super::super::rows::DeliveryRow;
use super::{Hidden, Limits, small_cells, small_rows};

pub(super) fn delivery(
    rows: &mut [DeliveryRow],
    limits: Limits,
    devices: impl Fn(&str) -> u64,
) -> Vec<Hidden> {
    let stands_for: Vec<Option<u64>> = rows
        .iter()
        .map(|row| {
            // What was removed is nobody's: robots, data centres, repeats of a hit that stands elsewhere.
            let hits = match row.net_impressions {
                0 => row.gross_impressions,
                net => devices(&row.key) + net.saturating_sub(row.identified_impressions),
            };
            (!is_empty(row)).then_some(hits)
        })
        .collect();
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
        let Some(impressions) = row.compared_impressions else { continue };
        let part = behind.of(&row.key);
        let is_whole =
            impressions == row.impressions && row.compared_clicks.is_none_or(|clicks| clicks == row.clicks);
        let is_small = limits.is_small(part.compared) || limits.is_small(part.rest);
        if part.has_hits && !is_whole && is_small {
            hidden.hide(&["compared_impressions", "gap"]);
        }
        if part.has_hits && ((is_small && !is_whole) || !part.clicks_everywhere) {
            hidden.hide(&["compared_clicks"]);
        }
    }
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
