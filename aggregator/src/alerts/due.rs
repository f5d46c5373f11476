//! Since when each placement is due: live, with a plan for today. Silence is counted from then on at the earliest, for nothing could come before: a plan
//! may be entered behind its first day, and a trial may end in the middle of it.
//!
//! It is kept with the campaign's alerts, because a restart is no new begin:
//!
//! ```json
//! {"due":{"at":[[1795176000000,"0123456789ab89abcdef0123"]],"many":null}}
//! ```
//!
//! `at`: moments, each with the placements that were found due at that look first, by [`NAME_DIGITS`] hex digits of their ids' digest. Where more than
//! [`PLACEMENTS_MAX`] are due, `many` holds their number and the moment at which it last grew, which then stands for all of them.

use std::collections::{BTreeMap, BTreeSet};

use event::clock::UnixMs;
use serde::{Deserialize, Serialize};

use super::state::short;

/// Placements that are kept one by one; with them and all of its alerts a campaign's document is below the desk's limit.
pub(crate) const PLACEMENTS_MAX: usize = 500;
/// Digits of a placement's name here: of so few placements no two are likely to share them, and then the earlier moment counts for both.
const NAME_DIGITS: usize = 12;

/// Since when the placements of a campaign are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    by_name: BTreeMap<String, UnixMs>,
    many: Option<Many>,
}

/// More than are kept one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Many {
    count: usize,
    since_ms: UnixMs,
}

/// The form in the document.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Written {
    at: Vec<(UnixMs, String)>,
    many: Option<Many>,
}

fn name(placement: &str) -> String {
    short(placement, NAME_DIGITS / 2)
}

impl Due {
    /// Takes over which placements are due at a look. Answers whether that has to be written.
    pub(crate) fn follow(&mut self, placements: &[&str], now_ms: UnixMs) -> bool {
        let before = self.clone();
        if placements.len() > PLACEMENTS_MAX {
            let known = self.many.map_or(0, |many| many.count);
            let since_ms =
                self.many.filter(|_| placements.len() <= known).map_or(now_ms, |many| many.since_ms);
            self.many = Some(Many { count: placements.len(), since_ms });
            self.by_name.clear();
        } else {
            // Fewer than there were: those that are left were due then.
            let since_ms = self.many.take().map_or(now_ms, |many| many.since_ms);
            let names: BTreeSet<String> = placements.iter().map(|placement| name(placement)).collect();
            self.by_name.retain(|known, _| names.contains(known));
            for name in names {
                self.by_name.entry(name).or_insert(since_ms);
            }
        }
        *self != before
    }

    /// Since when a placement is due; `None` where it is not.
    pub(crate) fn since_ms(&self, placement: &str) -> Option<UnixMs> {
        self.many.map(|many| many.since_ms).or_else(|| self.by_name.get(&name(placement)).copied())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.many.is_none()
    }
}

impl From<&Due> for Written {
    fn from(due: &Due) -> Self {
        let mut at: BTreeMap<UnixMs, String> = BTreeMap::new();
        for (name, since_ms) in &due.by_name {
            at.entry(*since_ms).or_default().push_str(name);
        }
        Self { at: at.into_iter().collect(), many: due.many }
    }
}

impl From<Written> for Due {
    fn from(Written { at, many }: Written) -> Self {
        let mut by_name = BTreeMap::new();
        for (since_ms, names) in at {
            let names = names.as_bytes().chunks_exact(NAME_DIGITS);
            by_name.extend(names.map(|name| (String::from_utf8_lossy(name).into_owned(), since_ms)));
        }
        Self { by_name, many }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(due: &Due) -> Due {
        let text = serde_json::to_string(&Written::from(due)).expect("JSON");
        serde_json::from_str::<Written>(&text).expect("is read").into()
    }

    #[test]
    fn a_placement_is_due_from_the_look_on_that_found_it_first() {
        let mut due = Due::default();
        assert!(due.follow(&["a", "b"], 1) && !due.follow(&["a", "b"], 2));
        assert!(due.follow(&["a", "b", "c"], 3));
        assert_eq!(["a", "b", "c", "d"].map(|id| due.since_ms(id)), [Some(1), Some(1), Some(3), None]);
        assert_eq!(read_back(&due), due);
        // Whose plan has a gap is due anew behind it.
        assert!(due.follow(&["b", "c"], 4) && due.follow(&["a", "b", "c"], 5));
        assert_eq!((due.since_ms("a"), due.since_ms("b")), (Some(5), Some(1)));
        assert!(due.follow(&[], 6) && due.is_empty());
    }

    #[test]
    fn more_than_are_kept_one_by_one_are_due_since_their_number_grew() {
        let ids: Vec<String> = (0..PLACEMENTS_MAX + 2).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut due = Due::default();
        assert!(due.follow(&ids[..=PLACEMENTS_MAX], 1) && !due.follow(&ids[..=PLACEMENTS_MAX], 2));
        assert_eq!(due.since_ms("7"), Some(1));
        assert!(due.follow(&ids, 3));
        assert_eq!((due.since_ms("7"), read_back(&due)), (Some(3), due.clone()));
        assert!(due.follow(&ids[..2], 4));
        assert_eq!((due.since_ms("1"), due.since_ms("7")), (Some(3), None));
    }
}
