//! The bytes of a record. Any bytes decode or are refused, and a record has one encoding: what decodes as an event encodes to the same
//! bytes. (A lane's books may be of an older, shorter form; they decode to the same again.)

use event::record::{Record, decode, encode_event, encode_outcomes, encode_region_library, encode_trial_hit};

/// One record.
pub fn run(bytes: &[u8]) {
    let Ok(record) = decode(bytes) else { return };
    let mut again = Vec::new();
    match &record {
        Record::Event(event) => {
            encode_event(event, &mut again);
            assert_eq!(again, bytes, "an event has one encoding");
        }
        Record::TrialHit(hit) => {
            encode_trial_hit(hit, &mut again);
            assert_eq!(again, bytes, "a trial hit has one encoding");
        }
        Record::RegionLibrary(library) => {
            encode_region_library(library, &mut again);
            assert_eq!(again, bytes, "a region library has one encoding");
        }
        Record::Outcomes(counts) => {
            encode_outcomes(counts, &mut again);
            assert_eq!(decode(&again).as_ref(), Ok(&record));
        }
    }
}
