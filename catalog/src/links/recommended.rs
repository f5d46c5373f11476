//! Which of a placement's URLs to hand out where its medium asks for none in particular: one of each kind, in one dialect. Handed out side by side, two
//! dialects would count each view twice.

use event::record::SourceKind;
use event::stage::Stage;

use super::{DialectLinks, PLAYERS, Purpose};
use crate::Placement;

const CLICK: Purpose = Purpose::Stage(Stage::Click);

/// Marks them.
pub(super) fn mark(placement: &Placement, made: &mut [DialectLinks]) {
    let has_click = |links: &DialectLinks| links.links.iter().any(|link| link.purpose == CLICK);
    let best = made.iter().position(|links| is_asked_for(placement, links));
    // Else the first that tells clicks too: the order of dialects is that of what they can say.
    let Some(best) = best.or_else(|| made.iter().position(has_click)) else { return };
    let Some(links) = made.get_mut(best) else { return };
    // The wrapper asks the player for the others itself.
    let has_wrapper = links.links.iter().any(|link| link.purpose == Purpose::VastTag);
    for link in &mut links.links {
        link.is_recommended = match link.purpose {
            Purpose::VastTag => true,
            Purpose::Stage(Stage::Impression | Stage::Click) => !has_wrapper,
            Purpose::Stage(_) => false,
        };
    }
}

/// The placement's own dialect, or that of players where one plays it.
fn is_asked_for(placement: &Placement, links: &DialectLinks) -> bool {
    let plays = placement.vast_tag.is_some() || placement.source == SourceKind::Stitching;
    match &placement.dialect {
        _ if links.links.is_empty() => false,
        _ if placement.vast_tag.is_some() => links.dialect == PLAYERS,
        Some(own) => links.dialect == *own,
        None => plays && links.dialect == PLAYERS,
    }
}
