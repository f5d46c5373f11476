//! The bytes of records. The golden files were written once, by another program after the format's drawing, and are read for ever: a test that fails here means that journals and
//! topics out there can no longer be read, and the answer is a new version beside the old one, never a new golden file under an old name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use event::identifier::IdKind;
use event::key::DeviceKey;
use event::outcome::Outcome;
use event::record::{
    AGENT_BYTES_MAX, DecodeError, Device, Event, FIELDS, Former, LIBRARY_NAME_BYTES_MAX, OutcomeCounts,
    Platform, Record, RegionLibrary, Retention, SourceKind, TrialHit, decode, encode_event, encode_outcomes,
    encode_region_library, encode_trial_hit, flag,
};
use event::stage::Stage;
use proptest::prelude::*;

const FULL: &[u8] = include_bytes!("golden/v1-event-full.bin");
const MINIMAL: &[u8] = include_bytes!("golden/v1-event-minimal.bin");
const UNRESOLVED: &[u8] = include_bytes!("golden/v1-event-unresolved.bin");
/// Of a program that had sixteen outcomes.
const OUTCOMES_16: &[u8] = include_bytes!("golden/v1-outcomes.bin");
const OUTCOMES: &[u8] = include_bytes!("golden/v1-outcomes-19.bin");
const SITE: &[u8] = include_bytes!("golden/v2-event-site.bin");
const FORMER: &[u8] = include_bytes!("golden/v3-event-former.bin");
const FORMER_SITE: &[u8] = include_bytes!("golden/v3-event-former-site.bin");
const TRIAL_HIT: &[u8] = include_bytes!("golden/v2-trial-hit.bin");
const TRIAL_HIT_MINIMAL: &[u8] = include_bytes!("golden/v2-trial-hit-minimal.bin");
const REGION_LIBRARY: &[u8] = include_bytes!("golden/v2-region-library.bin");

fn full() -> Event<'static> {
    Event {
        received_ms: 1_795_219_200_123,
        time_ms: 1_795_219_140_000,
        client_time_ms: Some(1_795_219_140_000),
        day: Some(20_778),
        hour: 23,
        stage: Stage::Viewable,
        source: SourceKind::Stitching,
        platform: Platform::Android,
        flags: flag::MACRO_UNREPLACED | flag::DUPLICATE_BY_TIME | flag::BACKDATED,
        campaign: "demo",
        placement: "homepage.banner_1-a",
        creative: "广告 1",
        region: "CN-31",
        catalog_version: 0xe3b0_c442,
        device: Some(Device {
            key: DeviceKey(*b"0123456789abcdef"),
            kind: IdKind::Oaid,
            epoch: 300,
            former: None,
        }),
        view: 11_035_641_235_243_725_980,
        network: &[203, 0, 113],
        agent: "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36",
        site: "",
    }
}

fn minimal() -> Event<'static> {
    Event {
        received_ms: 1_795_219_200_123,
        time_ms: 1_795_219_200_123,
        client_time_ms: None,
        day: Some(20_778),
        hour: 0,
        stage: Stage::Impression,
        source: SourceKind::Client,
        platform: Platform::Unknown,
        flags: flag::CLIENT_TIME_ABSENT,
        campaign: "c",
        placement: "p",
        creative: "",
        region: "",
        catalog_version: 1,
        device: None,
        view: 0,
        network: &[],
        agent: "",
        site: "",
    }
}

fn unresolved() -> Event<'static> {
    Event {
        time_ms: 1_795_219_200_123,
        client_time_ms: Some(1_895_219_200_000),
        day: None,
        hour: 0,
        flags: flag::UNRESOLVED | flag::CLIENT_CLOCK_BROKEN,
        network: &[0x20, 0x01, 0x0d, 0xb8, 0x00, 0xaa],
        ..full()
    }
}

fn with_site() -> Event<'static> {
    Event { site: "news.example.cn", ..full() }
}

/// During an overlap of two keys.
fn with_former() -> Event<'static> {
    let former = Former { key: DeviceKey(*b"fedcba9876543210"), epoch: 299, until_day: 20_792 };
    let device = full().device.map(|device| Device { former: Some(former), ..device });
    Event { device, ..full() }
}

fn trial_hit() -> TrialHit<'static> {
    TrialHit {
        received_ms: 1_795_219_200_123,
        client_clock_ms: Some(-432_000_000),
        campaign: "demo",
        placement: "homepage.banner_1-a",
        dialect: "miaozhen",
        stage: Some(Stage::Viewable),
        outcome: Outcome::Unresolved,
        source: SourceKind::Client,
        platform: Platform::Android,
        flags: flag::MACRO_UNREPLACED | flag::TRIAL,
        ids_present: 0b10_0101,
        ids_usable: 0b100,
        macros_unreplaced: 7,
        parameters_unknown: 2,
        dropped: "mj mm svl",
    }
}

fn trial_hit_minimal() -> TrialHit<'static> {
    TrialHit {
        client_clock_ms: None,
        campaign: "c",
        placement: "p",
        dialect: "native",
        stage: None,
        outcome: Outcome::MissingPlacement,
        platform: Platform::Unknown,
        flags: 0,
        ids_present: 0,
        ids_usable: 0,
        macros_unreplaced: 0,
        parameters_unknown: 0,
        dropped: "",
        ..trial_hit()
    }
}

fn region_library() -> RegionLibrary<'static> {
    RegionLibrary {
        at_ms: 1_795_219_200_123,
        built: 1_793_664_000,
        version: 0xe3b0_c442,
        name: "GeoLite2-城市",
    }
}

fn outcomes(count: usize) -> OutcomeCounts {
    let mut counts = OutcomeCounts {
        at_ms: 1_795_219_200_123,
        received: 1_000_000,
        pending: 3,
        outcomes: [0; Outcome::COUNT],
    };
    for (index, count) in counts.outcomes.iter_mut().enumerate().take(count) {
        *count = 1 << (3 * index);
    }
    counts
}

fn event_bytes(event: &Event<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_event(event, &mut bytes);
    bytes
}

fn trial_hit_bytes(hit: &TrialHit<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_trial_hit(hit, &mut bytes);
    bytes
}

fn region_library_bytes(library: &RegionLibrary<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_region_library(library, &mut bytes);
    bytes
}

fn outcome_bytes(counts: &OutcomeCounts) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_outcomes(counts, &mut bytes);
    bytes
}

#[test]
fn golden_files_are_read() {
    assert_eq!(decode(FULL), Ok(Record::Event(full())));
    assert_eq!(decode(MINIMAL), Ok(Record::Event(minimal())));
    assert_eq!(decode(UNRESOLVED), Ok(Record::Event(unresolved())));
    assert_eq!(decode(OUTCOMES_16), Ok(Record::Outcomes(outcomes(16))));
    assert_eq!(decode(OUTCOMES), Ok(Record::Outcomes(outcomes(19))));
    assert_eq!(decode(SITE), Ok(Record::Event(with_site())));
    assert_eq!(decode(FORMER), Ok(Record::Event(with_former())));
    assert_eq!(decode(FORMER_SITE), Ok(Record::Event(Event { site: "news.example.cn", ..with_former() })));
    assert_eq!(decode(TRIAL_HIT), Ok(Record::TrialHit(trial_hit())));
    assert_eq!(decode(TRIAL_HIT_MINIMAL), Ok(Record::TrialHit(trial_hit_minimal())));
    assert_eq!(decode(REGION_LIBRARY), Ok(Record::RegionLibrary(region_library())));
}

#[test]
fn golden_files_are_what_is_written() {
    assert_eq!(event_bytes(&full()), FULL);
    assert_eq!(event_bytes(&minimal()), MINIMAL);
    assert_eq!(event_bytes(&unresolved()), UNRESOLVED);
    assert_eq!(
        Outcome::COUNT,
        19,
        "more outcomes: the file of 19 must still be read, and a new one is written beside it"
    );
    assert_eq!(outcome_bytes(&outcomes(19)), OUTCOMES);
    assert_eq!(event_bytes(&with_site()), SITE);
    assert_eq!(event_bytes(&with_former()), FORMER);
    assert_eq!(event_bytes(&Event { site: "news.example.cn", ..with_former() }), FORMER_SITE);
    assert_eq!(trial_hit_bytes(&trial_hit()), TRIAL_HIT);
    assert_eq!(trial_hit_bytes(&trial_hit_minimal()), TRIAL_HIT_MINIMAL);
    assert_eq!(region_library_bytes(&region_library()), REGION_LIBRARY);
}

#[test]
fn a_usual_event_is_short() {
    let event = Event { flags: 0, region: "", creative: "10722", client_time_ms: None, ..full() };
    let without_agent = event_bytes(&event).len() - event.agent.len();
    assert!(without_agent <= 100, "{without_agent} bytes beside the agent");
    assert!(event_bytes(&minimal()).len() <= 32);
    let more = event_bytes(&with_former()).len() - event_bytes(&full()).len();
    assert!(more <= 21, "{more} bytes more while two keys overlap");
}

#[test]
fn every_cut_is_an_error() {
    let events = [FULL, MINIMAL, UNRESOLVED, SITE, FORMER, FORMER_SITE];
    let others = [OUTCOMES, OUTCOMES_16, TRIAL_HIT, TRIAL_HIT_MINIMAL, REGION_LIBRARY];
    for golden in events.into_iter().chain(others) {
        for length in 0..golden.len() {
            assert!(matches!(decode(&golden[..length]), Err(DecodeError::Truncated(_))), "{length}");
        }
        let longer = [golden, &[0]].concat();
        assert_eq!(decode(&longer), Err(DecodeError::Trailing(1)));
    }
}

#[test]
fn what_is_not_known_is_said_and_not_guessed() {
    assert_eq!(decode(&[4, 1]), Err(DecodeError::UnknownVersion(4)));
    assert_eq!(decode(&[0]), Err(DecodeError::UnknownVersion(0)));
    assert_eq!(decode(&[1, 3]), Err(DecodeError::UnknownKind(3)), "a trial hit is of version 2");
    assert_eq!(decode(&[2, 2]), Err(DecodeError::UnknownKind(2)), "books are of version 1");
    assert_eq!(decode(&[1, 4]), Err(DecodeError::UnknownKind(4)), "a region library is of version 2");
    let name = [b'x'; LIBRARY_NAME_BYTES_MAX + 1];
    let long = [&[2, 4, 0, 0, 0, 0, 0, 0, name.len() as u8][..], &name].concat();
    assert_eq!(decode(&long), Err(DecodeError::Malformed("name")));
    let without_site = [&[2], &MINIMAL[1..], &[0]].concat();
    assert_eq!(decode(&without_site), Err(DecodeError::Malformed("site")), "such an event is of version 1");
    assert_eq!(decode(&[3, 2]), Err(DecodeError::UnknownKind(2)));
    assert_eq!(decode(&[3, 3]), Err(DecodeError::UnknownKind(3)));
    let without_former = [&[3][..], &SITE[1..]].concat();
    assert_eq!(
        decode(&without_former),
        Err(DecodeError::Malformed("shape")),
        "such an event is of version 2"
    );
    let of_version_2 = [&[2][..], &FORMER_SITE[1..]].concat();
    assert_eq!(decode(&of_version_2), Err(DecodeError::Malformed("shape")));
    let of_no_device = [&[3, 1, FORMER[2] & !0x08][..], &FORMER[3..]].concat();
    assert_eq!(decode(&of_no_device), Err(DecodeError::Malformed("shape")));
    let with = |at: usize, byte: u8| {
        let mut bytes = MINIMAL.to_vec();
        bytes[at] = byte;
        decode(&bytes).err()
    };
    assert_eq!(with(2, 0x20), Some(DecodeError::Malformed("shape")));
    assert_eq!(with(2, 0x02), Some(DecodeError::Malformed("shape")));
    // received 6 bytes, time 1 byte, then stage, source, platform, hour.
    assert_eq!(with(10, 99), Some(DecodeError::Malformed("stage")));
    assert_eq!(with(11, 0), Some(DecodeError::Malformed("source")));
    assert_eq!(with(12, 9), Some(DecodeError::Malformed("platform")));
    assert_eq!(with(13, 24), Some(DecodeError::Malformed("hour")));
    assert_eq!(with(21, 4), Some(DecodeError::Malformed("network")));
}

#[test]
fn books_of_a_program_with_fewer_outcomes_are_read() {
    let mut bytes = vec![1, 2, 0, 5, 0, 2, 3, 2];
    let mut counts = OutcomeCounts { at_ms: 0, received: 5, pending: 0, outcomes: [0; Outcome::COUNT] };
    counts.outcomes[0] = 3;
    counts.outcomes[1] = 2;
    assert_eq!(decode(&bytes), Ok(Record::Outcomes(counts)));
    bytes[5] = u8::MAX;
    bytes.extend([0; 253]);
    assert_eq!(decode(&bytes), Err(DecodeError::Malformed("count")), "written by a newer program");
}

#[test]
fn a_number_has_one_encoding() {
    for superfluous in [&[0x80, 0x00][..], &[0x85, 0x80, 0x00]] {
        let bytes = [&[1, 2, 0][..], superfluous, &[0, 0]].concat();
        assert_eq!(decode(&bytes), Err(DecodeError::Malformed("received")));
    }
    let most = [&[1, 2, 0][..], &[0xff; 9], &[0x01, 0, 0]].concat();
    assert!(matches!(decode(&most), Ok(Record::Outcomes(counts)) if counts.received == u64::MAX));
    let more = [&[1, 2, 0][..], &[0xff; 9], &[0x02, 0, 0]].concat();
    assert_eq!(decode(&more), Err(DecodeError::Malformed("received")));
    let endless = [&[1, 2, 0][..], &[0xff; 20]].concat();
    assert_eq!(decode(&endless), Err(DecodeError::Malformed("received")));
}

#[test]
fn the_table_of_fields_lists_every_field_of_an_event() {
    // A new field does not compile here until it is listed.
    let Event {
        received_ms: _,
        time_ms: _,
        client_time_ms: _,
        day: _,
        hour: _,
        stage: _,
        source: _,
        platform: _,
        flags: _,
        campaign: _,
        placement: _,
        creative: _,
        region: _,
        catalog_version: _,
        device: _,
        view: _,
        network: _,
        agent: _,
        site: _,
    } = minimal();
    let debug = format!("{:#?}", Event { device: None, ..minimal() });
    let fields: Vec<&str> = debug
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with([' ', ')', ']', '}']))
        .filter_map(|line| line.split(':').next())
        .collect();
    let listed: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
    assert_eq!(listed, fields);
    for field in FIELDS {
        for words in [field.what, field.purpose] {
            assert!(words.en.is_ascii() && words.en.len() > 8, "{}: {}", field.name, words.en);
            assert!(!words.zh.is_ascii() && words.zh.chars().count() > 3, "{}: {}", field.name, words.zh);
        }
    }
    let erasable: Vec<&str> = FIELDS
        .iter()
        .filter(|field| field.retention == Retention::EventOrErased)
        .map(|field| field.name)
        .collect();
    assert_eq!(erasable, ["device", "network", "agent"], "what an erasure blanks");
}

prop_compose! {
    fn any_former()(key in any::<[u8; 16]>(), epoch in any::<u16>(), until_day in any::<u16>()) -> Former {
        Former { key: DeviceKey(key), epoch, until_day }
    }
}

prop_compose! {
    fn any_device()(
        key in any::<[u8; 16]>(),
        kind in 0..IdKind::ALL.len(),
        epoch in any::<u16>(),
        former in proptest::option::of(any_former()),
    ) -> Device {
        Device { key: DeviceKey(key), kind: IdKind::ALL[kind], epoch, former }
    }
}

#[derive(Clone, Debug)]
struct Texts {
    network: Vec<u8>,
    others: [String; 4],
    agent: String,
}

prop_compose! {
    fn any_texts()(
        network in prop_oneof![Just(0_usize), Just(3), Just(6)].prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length)),
        texts in proptest::array::uniform4("\\PC{0,64}"),
        agent in "\\PC{0,120}",
    ) -> Texts {
        Texts { network, others: texts, agent }
    }
}

prop_compose! {
    fn any_numbers()(
        times in any::<(i64, i64, Option<i64>)>(),
        day in any::<Option<u16>>(),
        hour in 0_u8..24,
        enums in (0..Stage::ALL.len(), 0..3_usize, 0..Platform::ALL.len()),
        flags in any::<u32>(),
        catalog_version in any::<u32>(),
        device in proptest::option::of(any_device()),
        view in any::<u64>(),
        same_time in any::<bool>(),
    ) -> Event<'static> {
        Event {
            received_ms: times.0,
            time_ms: times.1,
            client_time_ms: if same_time { Some(times.1) } else { times.2 },
            day,
            hour,
            stage: Stage::ALL[enums.0],
            source: SourceKind::ALL[enums.1],
            platform: Platform::ALL[enums.2],
            flags,
            catalog_version,
            device,
            view,
            ..minimal()
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again(numbers in any_numbers(), texts in any_texts()) {
        prop_assume!(texts.agent.len() <= AGENT_BYTES_MAX);
        let [campaign, placement, creative, region] = &texts.others;
        let event = Event { campaign, placement, creative, region, network: &texts.network, agent: &texts.agent, ..numbers };
        let bytes = event_bytes(&event);
        prop_assert_eq!(decode(&bytes), Ok(Record::Event(event)));
    }

    #[test]
    fn books_are_read_again(at_ms in any::<i64>(), received in any::<u64>(), pending in any::<u64>(), outcomes in any::<[u64; Outcome::COUNT]>()) {
        let counts = OutcomeCounts { at_ms, received, pending, outcomes };
        let bytes = outcome_bytes(&counts);
        prop_assert_eq!(decode(&bytes), Ok(Record::Outcomes(counts)));
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_what_is_read_is_canonical(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        version in 1_u8..4,
        kind in 0_u8..5,
    ) {
        if bytes.len() > 1 {
            bytes[0] = version;
            bytes[1] = kind;
        }
        is_canonical(&bytes)?;
    }

    #[test]
    fn damaged_records_are_read_or_refused(which in 0..8_usize, damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = [FULL, MINIMAL, UNRESOLVED, OUTCOMES, SITE, TRIAL_HIT, FORMER, REGION_LIBRARY][which].to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        is_canonical(&bytes)?;
    }
}

/// One value has one encoding: what can be read is written the same again.
fn is_canonical(bytes: &[u8]) -> Result<(), TestCaseError> {
    match decode(bytes) {
        Ok(Record::Event(event)) if event.agent.len() <= AGENT_BYTES_MAX => {
            prop_assert_eq!(event_bytes(&event), bytes);
        }
        Ok(Record::TrialHit(hit)) => prop_assert_eq!(trial_hit_bytes(&hit), bytes),
        Ok(Record::RegionLibrary(library)) => prop_assert_eq!(region_library_bytes(&library), bytes),
        // Books of fewer outcomes are filled up, so they are longer when written again.
        Ok(Record::Outcomes(counts)) => prop_assert!(outcome_bytes(&counts).len() >= bytes.len()),
        Ok(Record::Event(_)) | Err(_) => {}
    }
    Ok(())
}
