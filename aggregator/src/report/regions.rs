//! Which region libraries stand behind a report by region.
//!
//! A lane notes in its journal which library is in force from when on; its books say how long it lived. A report names those that were in force on any
//! tracker while its days lasted. What arrived after its day was over was looked up in the library of its receipt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Days, ReportError, Reporter};
use crate::statement;
use crate::store::{Work, day_text};

/// A library as reports name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct RegionLibrary {
    /// Its type as it says itself.
    pub name: String,
    /// The day, in UTC, on which it was built.
    pub built: String,
    /// The first 32 bits of its file's SHA-256, as hexadecimal digits.
    pub version: String,
}

/// A library that came into force in a journal.
#[derive(Clone, Debug, Deserialize)]
struct Note {
    journal: String,
    at_ms: i64,
    built: u64,
    version: u32,
    name: String,
}

/// The newest books of a journal.
#[derive(Deserialize)]
struct End {
    journal: String,
    at_ms: i64,
}

impl Reporter {
    /// The libraries of a report's days.
    pub(super) fn region_libraries(
        &self,
        campaign: &str,
        days: &Days,
    ) -> Result<Vec<RegionLibrary>, ReportError> {
        let (Some(from), Some(to)) = (days.from, days.to) else { return Ok(Vec::new()) };
        let notes: Vec<Note> =
            self.store.rows(Work::Report, statement::REGION_LIBRARIES_READ, &Vec::new())?;
        let ends: Vec<End> = self.store.rows(Work::Report, statement::BOOKS_READ, &Vec::new())?;
        let ends = ends.into_iter().map(|end| (end.journal, end.at_ms)).collect();
        let range = (self.day_start_ms(campaign, from), self.day_start_ms(campaign, to.saturating_add(1)));
        Ok(in_force(&notes, &ends, range))
    }

    fn day_start_ms(&self, campaign: &str, day: u16) -> i64 {
        let catalog = self.catalog.load();
        let local = catalog.campaigns.get(campaign).and_then(|campaign| campaign.day_start_ms(day));
        local.unwrap_or(i64::from(day) * 24 * 60 * 60 * 1000)
    }
}

/// Those in force at any time of a range, its end exclusive. Notes come by journal and in its order.
fn in_force(notes: &[Note], ends: &BTreeMap<String, i64>, (start, end): (i64, i64)) -> Vec<RegionLibrary> {
    let mut libraries = Vec::new();
    for (place, note) in notes.iter().enumerate() {
        let next = notes.get(place + 1).filter(|next| next.journal == note.journal);
        // A journal whose books are not in the store yet has only begun.
        let last_ms = match next {
            Some(next) => next.at_ms,
            None => ends.get(&note.journal).copied().unwrap_or(note.at_ms).max(note.at_ms),
        };
        if note.at_ms < end && last_ms >= start {
            libraries.push(RegionLibrary {
                name: note.name.clone(),
                built: day_text(u16::try_from(note.built / 86_400).unwrap_or(u16::MAX)),
                version: format!("{:08x}", note.version),
            });
        }
    }
    libraries.sort();
    libraries.dedup();
    libraries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(journal: &str, at_ms: i64, name: &str) -> Note {
        Note { journal: journal.to_owned(), at_ms, built: 1_793_664_000, version: 42, name: name.to_owned() }
    }

    fn names(notes: &[Note], ends: &[(&str, i64)], range: (i64, i64)) -> Vec<String> {
        let ends = ends.iter().map(|(journal, at_ms)| ((*journal).to_owned(), *at_ms)).collect();
        in_force(notes, &ends, range).into_iter().map(|library| library.name).collect()
    }

    #[test]
    fn a_library_is_in_force_until_the_next_one_or_the_end_of_its_journal() {
        let notes = [note("1", 100, "a"), note("1", 200, "b"), note("2", 300, "c")];
        let ends = [("1", 250), ("2", 900)];
        assert_eq!(names(&notes, &ends, (0, 100)), Vec::<String>::new());
        assert_eq!(names(&notes, &ends, (0, 101)), ["a"]);
        assert_eq!(names(&notes, &ends, (150, 160)), ["a"]);
        assert_eq!(names(&notes, &ends, (150, 201)), ["a", "b"]);
        assert_eq!(names(&notes, &ends, (201, 260)), ["b"]);
        assert_eq!(names(&notes, &ends, (251, 299)), Vec::<String>::new());
        assert_eq!(names(&notes, &ends, (500, 600)), ["c"]);
        assert_eq!(names(&notes, &[], (500, 600)), Vec::<String>::new());
    }

    #[test]
    fn one_library_on_many_trackers_is_named_once() {
        let notes = [note("1", 100, "a"), note("2", 120, "a")];
        let libraries = in_force(&notes, &BTreeMap::new(), (0, 200));
        let expected = RegionLibrary {
            name: "a".to_owned(),
            built: "2026-11-03".to_owned(),
            version: "0000002a".to_owned(),
        };
        assert_eq!(libraries, [expected]);
    }
}
