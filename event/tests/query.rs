//! The parser on any bytes, and on whatever a sender may rightly have written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use event::dialect::{Scratch, Table, is_unreplaced_macro};
use event::hit::{Field, Hit};
use event::identifier::{IdField, identify};
use event::key::KeyRing;
use event::outcome::Outcome;
use event::profile::Remap;
use event::record::Platform;
use event::{agent, time};
use proptest::prelude::*;

/// The value of a field, as the test's own reading of the hit.
fn value<'a>(hit: &Hit<'a>, field: Field) -> Option<&'a [u8]> {
    match field {
        Field::Campaign => hit.campaign,
        Field::Placement => hit.placement,
        Field::Creative => hit.creative,
        Field::Time => hit.time,
        Field::RequestId => hit.request_id,
        Field::LandingUrl => hit.landing_url,
        Field::UserAgent => hit.user_agent,
        Field::Id(id) => hit.ids[id as usize],
        _ => None,
    }
}

const NAMES: &[(&str, Field)] = &[
    ("c", Field::Campaign),
    ("p", Field::Placement),
    ("cr", Field::Creative),
    ("t", Field::Time),
    ("rid", Field::RequestId),
    ("u", Field::LandingUrl),
    ("ua", Field::UserAgent),
    ("oaid", Field::Id(IdField::Oaid)),
    ("imei_md5", Field::Id(IdField::ImeiMd5)),
    ("mac", Field::Id(IdField::Mac)),
    ("cookie", Field::Id(IdField::Cookie)),
];

/// Percent-encodes what a sender has to and, by `also`, some that it need not.
fn escaped(value: &[u8], also: u64) -> String {
    let mut text = String::new();
    for (index, byte) in value.iter().enumerate() {
        let needs = !byte.is_ascii_graphic() || matches!(byte, b'%' | b'&' | b'+' | b'=' | b'#');
        if needs || also >> (index % 64) & 1 == 1 {
            let hex = format!("%{byte:02x}");
            text.push_str(&if index % 2 == 0 { hex.to_uppercase() } else { hex });
        } else {
            text.push(char::from(*byte));
        }
    }
    text
}

/// What a field takes and does not take for something else.
fn fits(field: Field, value: &[u8]) -> bool {
    !value.is_empty()
        && value.trim_ascii() == value
        && !is_unreplaced_macro(value)
        // The dialect's words for what is not known, and for what is withheld.
        && !matches!(value, b"-1" | b"-2")
        && match field {
            Field::Campaign | Field::Placement => event::hit::is_catalog_id(value),
            Field::Creative => {
                std::str::from_utf8(value).is_ok_and(|text| !text.chars().any(char::is_control))
            }
            _ => true,
        }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(query in proptest::collection::vec(any::<u8>(), 0..400), received_ms in 0..4_000_000_000_000_i64) {
        let mut scratch = Scratch::new();
        let reading = Table::native().read(&query, &mut scratch);
        let keys = keys();
        for platform in Platform::ALL {
            let _ = identify(&reading.hit, platform, &keys, &Remap::NONE);
        }
        if let Err(outcome) = time::judge(reading.hit.time, received_ms, None, false) {
            prop_assert_eq!(outcome, Outcome::TooLate);
        }
        let _ = agent::platform(reading.hit.os, &query);
        prop_assert!(agent::cut(&query).len() <= event::record::AGENT_BYTES_MAX);
    }

    #[test]
    fn queries_of_known_names_and_odd_values_are_read_without_harm(
        parts in proptest::collection::vec((0..NAMES.len(), "[%&=+_{}\\[\\]$0-9a-fA-FxX -]{0,12}"), 0..12)
    ) {
        let query: Vec<String> = parts.iter().map(|(name, value)| format!("{}={value}", NAMES[*name].0)).collect();
        let mut scratch = Scratch::new();
        let reading = Table::native().read(query.join("&").as_bytes(), &mut scratch);
        if let Some(defect) = reading.defect {
            prop_assert!(matches!(defect, Outcome::Malformed | Outcome::Contradictory | Outcome::TooLong));
        }
    }

    #[test]
    fn what_was_written_is_what_is_read(
        texts in proptest::array::uniform11("[A-Za-z0-9._-]{1,40}"),
        odd in proptest::collection::vec(any::<u8>(), 1..40),
        at in 2..NAMES.len(),
        also in any::<u64>(),
        order in Just((0..NAMES.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut values: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        if fits(NAMES[at].1, &odd) {
            values[at] = odd;
        }
        prop_assume!(NAMES.iter().zip(&values).all(|((_, field), value)| fits(*field, value)));
        let query: Vec<String> = order.iter().map(|index| format!("{}={}", NAMES[*index].0, escaped(&values[*index], also))).collect();
        let mut scratch = Scratch::new();
        let hit = match Table::native().parse(query.join("&").as_bytes(), &mut scratch) {
            Ok(hit) => hit,
            Err(outcome) => return Err(TestCaseError::fail(format!("{outcome:?}"))),
        };
        let mut json = Hit::default();
        for ((name, field), expected) in NAMES.iter().zip(&values) {
            prop_assert_eq!(value(&hit, *field), Some(expected.as_slice()), "{}", name);
            prop_assert_eq!(Table::native().set(&mut json, name, expected), Ok(()));
            prop_assert_eq!(value(&json, *field), Some(expected.as_slice()), "{}", name);
        }
        prop_assert_eq!((hit.parameters_unknown, hit.macros_unreplaced), (0, 0));
    }

    #[test]
    fn a_scratch_keeps_nothing_of_the_query_before(first in "[a-z=&%0-9]{0,60}", second in "(c=a&)?(p=b&)?(oaid=[a-f0-9]{16})?") {
        let mut used = Scratch::new();
        let _ = Table::native().read(first.as_bytes(), &mut used);
        let mut fresh = Scratch::new();
        let again = Table::native().read(second.as_bytes(), &mut used);
        let alone = Table::native().read(second.as_bytes(), &mut fresh);
        prop_assert_eq!(again.defect, alone.defect);
        for (_, field) in NAMES {
            prop_assert_eq!(value(&again.hit, *field), value(&alone.hit, *field));
        }
    }
}

fn keys() -> KeyRing {
    let mut next = 0_u8;
    KeyRing::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(37).wrapping_add(11);
            *byte = next;
        }
    })
}
