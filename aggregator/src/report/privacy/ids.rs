//! What a role may see of what ids were like.

use super::super::cells::ratio;
use super::super::ids::IdsRow;
use super::{Hidden, Limits, small_cells, small_rows};

pub(super) fn ids(rows: &mut [IdsRow], limits: Limits, devices: impl Fn(&str) -> u64) -> Vec<Hidden> {
    let stands_for: Vec<Option<u64>> = rows
        .iter()
        .map(|row| {
            let without_device = row.impressions.saturating_sub(row.identified);
            (row.impressions > 0).then_some(devices(&row.key) + without_device)
        })
        .collect();
    let mut hidden = small_rows(&stands_for, limits);
    for ((row, hidden), stands_for) in rows.iter_mut().zip(&mut hidden).zip(stands_for) {
        if hidden.all || stands_for.is_none() {
            continue;
        }
        let kinds: Vec<(String, u64)> = row
            .identified_by_kind
            .iter()
            .map(|(kind, hits)| (format!("identified_by_kind_{kind}"), hits))
            .collect();
        let kinds: Vec<(&str, u64)> = kinds.iter().map(|(cell, hits)| (cell.as_str(), *hits)).collect();
        if limits.is_small(devices(&row.key)) {
            hidden.hide(&["identified", "id_coverage", "usable", "return_rate", "absent", "sha_only"]);
            for (cell, _) in &kinds {
                hidden.hide(&[cell]);
            }
        }
        small_cells(&kinds, limits, hidden);
        let risks = &row.device_risks;
        for (cell, hits, of) in [
            ("device_risks_root", risks.root, row.impressions),
            ("device_risks_emulator", risks.emulator, row.impressions),
            ("device_risks_hook", risks.hook, row.impressions),
            ("device_risks_adb", risks.adb, row.impressions),
            ("sha_only", row.sha_only, row.identified),
            ("withheld", row.withheld, row.impressions),
        ] {
            // Who has the property, and who has not.
            if limits.is_few(hits) || limits.is_few(of.saturating_sub(hits)) {
                hidden.hide(&[cell]);
            }
        }
        row.sha_only = limits.round(row.sha_only);
        row.identified = limits.round(row.identified);
        row.identified_by_kind.change(|hits| limits.round(hits));
        let usable = limits.round(row.usable);
        // The rest goes where no id was, so that the four still add up to the impressions.
        row.absent += row.usable - usable;
        row.usable = usable;
        row.id_coverage = ratio(row.identified, row.impressions);
        row.return_rate = ratio(row.usable, row.impressions);
    }
    hidden
}
