//! Changes of the device keys within a report: who was counted before one and behind it.
//!
//! A rotation of the keys makes every device a new one. While two keys overlap, reports tie the two by the pairs that the loader keeps
//! ([`crate::pairs`]); afterwards nobody can, and whoever stands on both sides counts twice. A report of devices says which of it holds.
//!
//! Pairs are asked for only where the range holds devices under both keys: all other reports run without them.

use serde::{Deserialize, Serialize};

use super::{Days, ReportError, Reporter};
use crate::pairs::{self, Overlap};
use crate::store::{StoreError, day_text};

/// Whether devices before and behind a change of keys are tied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Matched {
    /// Those that came back during the overlap.
    Yes,
    /// Not all of those: the table of pairs was full.
    Some,
    /// None.
    No,
}

/// A change of the device keys within the range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyChange {
    /// The first day of the range with devices under the later key, `YYYY-MM-DD`.
    pub day: String,
    /// Whether a device on both sides counts once.
    pub matched: Matched,
    /// Where it does: the first day, in UTC, on which it will count twice in a report over both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// The keys of a report.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) changes: Vec<KeyChange>,
    /// The ends of the overlaps whose pairs are looked up.
    pub(super) overlaps: Vec<u16>,
    /// Those overlaps as they were before any pair was looked up.
    looked_up: Vec<Overlap>,
}

/// Days under one key.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    epoch: u16,
    first_day: u16,
}

impl Reporter {
    /// The keys under which the devices of a report stand.
    pub(super) fn keys(&self, days: &Days) -> Result<Keys, ReportError> {
        let epoch = |(epoch, first_day): (&u16, &u16)| Epoch { epoch: *epoch, first_day: *first_day };
        let epochs: Vec<Epoch> = days.epochs.iter().map(epoch).collect();
        if epochs.len() < 2 {
            return Ok(Keys::default());
        }
        Ok(keys_of(&epochs, &pairs::overlaps(&self.store, self.clock.now_ms())?))
    }
}

impl Reporter {
    /// Whether no pair that a report looked up came or went meanwhile, and none of its overlaps ended: its statements look them up one after another.
    pub(super) fn pairs_stood_still(&self, keys: &Keys) -> Result<bool, StoreError> {
        if keys.overlaps.is_empty() {
            return Ok(true);
        }
        Ok(keys.are_of(&pairs::overlaps(&self.store, self.clock.now_ms())?))
    }
}

impl Keys {
    /// Whether the overlaps looked up are these, pair for pair.
    fn are_of(&self, now: &[Overlap]) -> bool {
        self.of_report(now).eq(&self.looked_up)
    }

    /// Those whose pairs are looked up.
    fn of_report<'a>(&'a self, overlaps: &'a [Overlap]) -> impl Iterator<Item = &'a Overlap> {
        overlaps.iter().filter(|one| self.overlaps.contains(&one.until_day))
    }
}

/// Each key beside the one before it, both of which have devices in the range.
fn keys_of(epochs: &[Epoch], overlaps: &[Overlap]) -> Keys {
    let mut keys = Keys::default();
    for (before, now) in epochs.iter().zip(epochs.iter().skip(1)) {
        let is_theirs = |one: &&Overlap| (one.epoch_former, one.epoch) == (before.epoch, now.epoch);
        let until = overlaps.iter().filter(is_theirs).map(|one| one.until_day).max();
        let has_gaps = overlaps.iter().filter(is_theirs).any(|one| one.has_gaps == 1);
        keys.changes.push(KeyChange {
            day: day_text(now.first_day),
            matched: match (until, has_gaps) {
                (None, _) => Matched::No,
                (Some(_), true) => Matched::Some,
                (Some(_), false) => Matched::Yes,
            },
            until: until.map(day_text),
        });
        keys.overlaps.extend(overlaps.iter().filter(is_theirs).map(|one| one.until_day));
    }
    keys.overlaps.sort_unstable();
    keys.overlaps.dedup();
    keys.looked_up = keys.of_report(overlaps).copied().collect();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u16 = 20_778;

    fn epochs(numbers: &[u16]) -> Vec<Epoch> {
        numbers.iter().map(|epoch| Epoch { epoch: *epoch, first_day: DAY + *epoch }).collect()
    }

    fn overlap(epoch_former: u16, has_gaps: u8) -> Overlap {
        Overlap { epoch_former, epoch: epoch_former + 1, until_day: DAY + 14, has_gaps, pairs: 6 }
    }

    #[test]
    fn only_pairs_between_two_keys_of_the_range_are_looked_up() {
        let none = keys_of(&epochs(&[1]), &[overlap(1, 0)]);
        assert!(none.changes.is_empty() && none.overlaps.is_empty());
        let keys = keys_of(&epochs(&[1, 2, 3]), &[overlap(2, 0)]);
        assert_eq!(keys.overlaps, [DAY + 14]);
        let told: Vec<_> = keys.changes.iter().map(|change| (change.day.as_str(), change.matched)).collect();
        assert_eq!(told, [("2026-11-23", Matched::No), ("2026-11-24", Matched::Yes)]);
        assert_eq!(keys.changes[1].until.as_deref(), Some("2026-12-05"));
        let apart = keys_of(&epochs(&[1, 3]), &[overlap(1, 0), overlap(2, 0)]);
        assert_eq!((apart.changes[0].matched, apart.overlaps.len()), (Matched::No, 0));
    }

    #[test]
    fn pairs_that_come_or_go_and_overlaps_that_end_are_noticed() {
        let other = Overlap { until_day: DAY + 50, ..overlap(3, 0) };
        let before = [overlap(2, 0), other];
        let keys = keys_of(&epochs(&[1, 2, 3]), &before);
        assert!(keys.are_of(&before));
        assert!(keys.are_of(&before[..1]), "the report looks nothing up in the other one");
        assert!(keys.are_of(&[overlap(2, 0), Overlap { pairs: 7, ..other }]));
        for pairs in [5, 7] {
            assert!(!keys.are_of(&[Overlap { pairs, ..overlap(2, 0) }, other]), "{pairs}");
        }
        assert!(!keys.are_of(&[overlap(2, 1), other]), "the table has become full");
        assert!(!keys.are_of(&[other]), "it has ended");
        assert!(keys_of(&epochs(&[1, 2]), &[]).are_of(&before), "nothing was looked up");
    }

    #[test]
    fn gaps_are_told_of_the_overlap_that_has_them() {
        let keys = keys_of(&epochs(&[1, 2, 3]), &[overlap(1, 1), overlap(2, 0)]);
        let matched: Vec<_> = keys.changes.iter().map(|change| change.matched).collect();
        assert_eq!((matched, keys.overlaps.len()), (vec![Matched::Some, Matched::Yes], 1));
    }
}
