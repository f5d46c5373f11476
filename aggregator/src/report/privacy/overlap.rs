//! What a role may see of an overlap.
//!
//! All of its figures are sums over the sets of members that devices are of. Left out one by one they could be had from the others: of three members, their
//! pairs and all give every set by itself. So the sets are made safe and not the figures: those that are too small are lumped with others
//! ([`Masks::lumped`](crate::report::overlap::Masks::lumped)), and the rows are made of the result. A figure that comes out as 0 is left out: nobody, or too few to be told from nobody.

use super::{Hidden, Limits};
use crate::report::overlap::{Masks, OverlapRow};
use crate::report::sample::Sample;

pub(super) fn overlap(
    masks: &Masks,
    (sample, settled_until): (Sample, Option<&str>),
    limits: Limits,
) -> (Vec<OverlapRow>, Vec<Hidden>) {
    let rows = masks.lumped(limits.k, limits.step).rows(sample, settled_until);
    let hidden = rows.iter().map(hidden).collect();
    (rows, hidden)
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
