//! What a role may see of an overlap.
//!
//! All of its figures are sums over the sets of members that devices are of. Left out one by one they could be had from the others: of three members, their
//! pairs and all give every set by itself. So the sets are made safe and not the figures: those that are too small are lumped with others, and the rows are
//! made of the result. What that would make say something else than the truth is left out: the smallest members, with every pair of theirs, until the others
//! hold ([`Masks::safe`](crate::report::overlap::Masks::safe)). A figure that comes out as 0 is left out too: nobody, or too few to be told from nobody.

use super::{Hidden, Limits};
use crate::report::overlap::{Masks, OverlapRow};
use crate::report::sample::Sample;

/// The rows, and of which members their figures are: of each other.
pub(super) fn overlap(
    masks: &mut Masks,
    (sample, settled_until): (Sample, Option<&str>),
    limits: Limits,
) -> (Vec<OverlapRow>, Vec<Hidden>) {
    let asked = masks.rows(sample, settled_until);
    let mut rows = match masks.safe(limits.k, limits.step) {
        Some(safe) => {
            *masks = safe;
            masks.rows(sample, settled_until)
        }
        None => Vec::new(),
    };
    let is_told = |row: &OverlapRow| rows.iter().any(|told| told.kind == row.kind && told.key == row.key);
    let left_out: Vec<OverlapRow> = asked.into_iter().filter(|row| !is_told(row)).map(bare).collect();
    rows.extend(left_out);
    rows.sort_by_key(|row| ["member", "pair", "all"].iter().position(|kind| *kind == row.kind));
    let hidden = rows.iter().map(hidden).collect();
    (rows, hidden)
}

/// A row without its figures.
fn bare(row: OverlapRow) -> OverlapRow {
    OverlapRow {
        key: row.key,
        kind: row.kind,
        members: row.members,
        exact: row.exact,
        settled_until: row.settled_until,
        ..OverlapRow::default()
    }
}

fn hidden(row: &OverlapRow) -> Hidden {
    if row.reach == 0 {
        return Hidden::row();
    }
    let mut hidden = Hidden::default();
    for (name, figure) in [
        ("unique", row.unique),
        ("stacked_reach", row.stacked_reach),
        ("incremental_reach", row.incremental_reach),
        ("shared", row.shared),
    ] {
        if figure == Some(0) {
            hidden.hide(&[name, &format!("interval_low_{name}"), &format!("interval_high_{name}")]);
        }
    }
    hidden
}
