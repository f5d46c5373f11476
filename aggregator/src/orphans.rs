//! Long documents on the desk that nothing leads to any more: what was being closed when the program ended, numbers whose version is listed no longer.
//!
//! Whoever writes sweeps first, so that there is room. What a document of a form that is not known leads to cannot be known either: then all stays.
//!
//! Must never: take away what a document may still come for.

use std::collections::BTreeSet;
use std::time::Duration;

use desk::{Desk, Kind};

use crate::{closings, numbers};

/// Nobody writes what leads to a part so long after the part.
const AGE: Duration = Duration::from_hours(24);

/// Takes them away. That it cannot is no reason not to write.
pub(crate) fn sweep(desk: &Desk) {
    match stacks(desk).and_then(|kept| kept.map_or(Ok(0), |kept| desk.sweep(&kept, AGE))) {
        Ok(0) => {}
        Ok(parts) => tracing::info!(parts, "parts of long documents that nothing leads to were taken away"),
        Err(error) => tracing::warn!(%error, "what nothing leads to on the desk is not taken away"),
    }
}

/// All that documents lead to; `None` where one of them cannot be read.
fn stacks(desk: &Desk) -> Result<Option<BTreeSet<String>>, desk::Error> {
    let mut kept = BTreeSet::new();
    for kind in [Kind::Numbers, Kind::Closings] {
        for (id, document) in desk.list(kind)? {
            let stacks = match kind {
                Kind::Numbers => numbers::stacks(&document),
                _ => closings::stacks(&document),
            };
            let Some(stacks) = stacks else {
                tracing::warn!(
                    ?kind,
                    id,
                    "a document of the desk has a form that this program does not know"
                );
                return Ok(None);
            };
            kept.extend(stacks);
        }
    }
    Ok(Some(kept))
}
