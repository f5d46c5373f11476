//! The records' bytes against what was once written.

use super::*;
use crate::tests::Random;

const OPT_OUT_V1: &[u8] = include_bytes!("../../golden/opted-out-v1.bin");
const BEGUN_V1: &[u8] = include_bytes!("../../golden/begun-v1.bin");
const OPT_IN_V1: &[u8] = include_bytes!("../../golden/opted-in-v1.bin");
const TAKEN_BACK_V2: &[u8] = include_bytes!("../../golden/taken-back-v2.bin");
const HEARTBEAT_V2: &[u8] = include_bytes!("../../golden/heartbeat-v2.bin");
const APP_OPT_OUT_V3: &[u8] = include_bytes!("../../golden/opted-out-by-app-v3.bin");
const APP_TAKEN_BACK_V3: &[u8] = include_bytes!("../../golden/taken-back-by-app-v3.bin");
const REGISTER_OPT_OUT_V4: &[u8] = include_bytes!("../../golden/opted-out-by-register-v4.bin");
const REGISTER_TAKEN_BACK_V4: &[u8] = include_bytes!("../../golden/taken-back-by-register-v4.bin");
const ALL: [&[u8]; 9] = [
    OPT_OUT_V1,
    OPT_IN_V1,
    BEGUN_V1,
    TAKEN_BACK_V2,
    HEARTBEAT_V2,
    APP_OPT_OUT_V3,
    APP_TAKEN_BACK_V3,
    REGISTER_OPT_OUT_V4,
    REGISTER_TAKEN_BACK_V4,
];

fn opted_out() -> Record {
    Record::OptedOut(OptedOut {
        receipt: ReceiptId(*b"0123456789"),
        at_ms: 1_795_300_000_123,
        source: Source::Api,
        policy_version: 0x0102,
        secret: SecretDigest([0xa5; 32]),
        hashes: Box::new([OptOutHash([1; 16]), OptOutHash(*b"abcdefghijklmnop")]),
    })
}

fn opted_in() -> Record {
    Record::OptedIn { receipt: ReceiptId(*b"0123456789"), at_ms: -1 }
}

fn begun() -> Record {
    Record::Begun { key_check: OptOutHash(*b"abcdefghijklmnop"), at_ms: 1 }
}

fn taken_back() -> Record {
    Record::TakenBack(TakenBack {
        receipt: ReceiptId(*b"0123456789"),
        at_ms: 1_795_300_000_456,
        opted_out_ms: 1_795_300_000_123,
        source: Source::Page,
        policy_version: 0x0102,
        secret: SecretDigest([0xa5; 32]),
    })
}

fn heartbeat() -> Record {
    Record::Heartbeat { at_ms: 1_795_300_000_789, registry_ms: 1 }
}

/// The same record from an app.
fn by_app(record: Record) -> Record {
    by(Source::App(AppName::new("com.example.player").unwrap()), record)
}

/// The same record from a register.
fn by_register(record: Record) -> Record {
    by(Source::Register(AppName::new("national-register").unwrap()), record)
}

fn by(source: Source, record: Record) -> Record {
    match record {
        Record::OptedOut(record) => Record::OptedOut(OptedOut { source, ..record }),
        Record::TakenBack(record) => Record::TakenBack(TakenBack { source, ..record }),
        other => other,
    }
}

#[test]
fn the_bytes_equal_the_golden_files() {
    let app =
        [by_app(opted_out()), by_app(taken_back()), by_register(opted_out()), by_register(taken_back())];
    let records = [opted_out(), opted_in(), begun(), taken_back(), heartbeat()].into_iter().chain(app);
    for (record, golden) in records.zip(ALL) {
        assert_eq!(record.encode(), golden);
        assert_eq!(format!("{:?}", Record::decode(golden).unwrap()), format!("{record:?}"));
    }
}

#[test]
fn an_unknown_version_is_named_and_not_guessed() {
    let mut bytes = OPT_IN_V1.to_vec();
    bytes[0] = 5;
    assert_eq!(Record::decode(&bytes).err(), Some(RecordError::UnknownVersion(5)));
    assert!(RecordError::UnknownVersion(5).to_string().contains("record version 5 is not known"));
}

#[test]
fn no_version_takes_the_records_of_another() {
    for golden in ALL {
        let mut bytes = golden.to_vec();
        for other in [VERSION, VERSION_TOPIC, VERSION_APP, VERSION_REGISTER]
            .into_iter()
            .filter(|other| *other != golden[0])
        {
            bytes[0] = other;
            assert_eq!(Record::decode(&bytes).err(), Some(RecordError::Malformed), "{other}");
        }
    }
}

#[test]
fn in_a_topic_a_record_stands_under_its_own_key() {
    let receipt = ReceiptId(*b"0123456789").to_string();
    let beat = heartbeat_key(0xa5);
    assert_eq!(beat, "heartbeat/00000000000000a5");
    let sound = [
        (&*receipt, opted_out()),
        (&receipt, taken_back()),
        (&receipt, by_app(opted_out())),
        (&receipt, by_app(taken_back())),
        (&receipt, by_register(opted_out())),
        ("begun", begun()),
        (&beat, heartbeat()),
    ];
    for (key, record) in &sound {
        let read = Record::of_topic(key.as_bytes(), &record.encode()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", Some(record)));
        for (other, _) in sound.iter().filter(|(other, _)| other != key) {
            assert!(Record::of_topic(other.as_bytes(), &record.encode()).is_err(), "{other}: {record:?}");
        }
    }
    assert!(Record::of_topic(receipt.as_bytes(), &opted_in().encode()).is_err(), "of a journal");
    assert!(matches!(Record::of_topic(beat.as_bytes(), b""), Ok(None)));
    assert!(Record::of_topic(receipt.as_bytes(), b"").is_err(), "an opt-out that somebody deleted");
}

#[test]
fn every_cut_and_every_surplus_is_malformed() {
    for golden in ALL {
        for length in 0..golden.len() {
            assert!(Record::decode(&golden[..length]).is_err(), "cut at {length}");
        }
        assert!(Record::decode(&[golden, &[0]].concat()).is_err());
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut random = Random::announced();
    for round in 0..20_000 {
        let mut bytes = [OPT_OUT_V1, TAKEN_BACK_V2, APP_OPT_OUT_V3, APP_TAKEN_BACK_V3][round % 4].to_vec();
        bytes.truncate(1 + random.below(bytes.len() as u64) as usize);
        for _ in 0..4 {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next_u64() as u8;
        }
        if let Ok(record) = Record::decode(&bytes) {
            assert_eq!(record.encode(), bytes, "what is read is written back alike");
        }
    }
}

#[test]
fn a_name_is_short_and_visible() {
    for name in ["a", "com.example.player", &"x".repeat(64)] {
        assert_eq!(AppName::new(name).unwrap().as_str(), name);
    }
    for name in ["", " ", "two words", "\u{e9}", "a\n", &"x".repeat(65)] {
        assert!(AppName::new(name).is_none(), "{name:?}");
    }
}
