//! The forms on disk: as they were written once (golden files), and no others.

use super::*;

const ID: JournalId = JournalId(0x0123_4567_89ab_cdef);
const GOLDEN: &[u8] = include_bytes!("../../golden/v1/0000000000000001.segment");
const GOLDEN_CURSOR: &[u8] = include_bytes!("../../golden/v1/store.cursor");

fn header() -> SegmentHeader {
    SegmentHeader {
        journal_id: ID,
        number: 1,
        created_ms: 1_763_700_000_123,
        first_seq: 7,
        previous: Link { segment: 0, end: 0, chain: 0 },
    }
}

/// A payload of these records.
fn payload(records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        push_record(record, &mut out);
    }
    out
}

/// A plain frame, a compressed one, one that continues it, and the mark of a clean close.
fn golden_frames() -> Vec<(bool, Vec<Vec<u8>>)> {
    let repeated =
        (0..20).map(|n| format!("a record that repeats itself, number {n}").into_bytes()).collect();
    vec![
        (false, vec![b"first".to_vec(), Vec::new(), vec![0xff; 200]]),
        (false, repeated),
        (true, vec![b"continues".to_vec()]),
        (false, Vec::new()),
    ]
}

fn golden_segment() -> Vec<u8> {
    let mut out = header().encode();
    let mut seq = 7;
    let mut encoder = Encoder::new(Compression::Zstd { level: 1, payload_bytes_min: 400 });
    for (continues, records) in golden_frames() {
        let place = Place { segment: 1, offset: out.len() as u64 };
        let (payload, count) = (payload(&records), records.len() as u32);
        let plain = Plain { journal_id: ID, first_seq: seq, count, continues, payload: &payload };
        encoder.push_frame(place, plain, &mut out);
        seq += u64::from(count);
    }
    out
}

#[test]
fn version_1_is_written_as_it_always_was() {
    let written = golden_segment();
    // The compressed bytes are the compressor's business; everything up to them is ours.
    let compressed_from = SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES + payload(&golden_frames()[0].1).len();
    assert_eq!(written[..compressed_from], GOLDEN[..compressed_from]);
    let mark = GOLDEN.len() - FRAME_HEADER_BYTES;
    assert_eq!(FrameHeader::decode(&GOLDEN[mark..]).map(|header| header.count), Some(0));
    let position = Position { segment: 1, offset: 313, journal_id: ID };
    assert_eq!(position.encode(), GOLDEN_CURSOR);
    assert_eq!(Position::decode(GOLDEN_CURSOR), Some(position));
    assert_eq!(SegmentHeader::decode(GOLDEN, 1), Ok(header()));
}

#[test]
fn a_header_is_its_own_segments_only() {
    let bytes = header().encode();
    assert_eq!(SegmentHeader::decode(&bytes, 2), Err(HeaderFault::Damaged));
    assert_eq!(SegmentHeader::decode(&bytes[..63], 1), Err(HeaderFault::Damaged));
    let mut newer = bytes.clone();
    newer[0] = 9;
    assert_eq!(
        SegmentHeader::decode(&newer, 1),
        Err(HeaderFault::Damaged),
        "a flipped version is no newer version"
    );
    let crc = crc32c::crc32c(&newer[..60]).to_le_bytes();
    newer[60..].copy_from_slice(&crc);
    assert_eq!(SegmentHeader::decode(&newer, 1), Err(HeaderFault::UnknownVersion(9)));
}

#[test]
fn records_of_any_length_come_back() {
    let lengths = [0, 1, 127, 128, 129, 16_383, 16_384, 70_000];
    let records: Vec<Vec<u8>> = lengths.iter().map(|bytes| vec![3; *bytes]).collect();
    let payload = payload(&records);
    let mut take = Take(&payload);
    for record in &records {
        assert_eq!(take.record(), Some(record.as_slice()));
    }
    assert_eq!(take.record(), None);
    assert_eq!(Take(&[0x80; 5]).record(), None, "a length without an end");
    assert_eq!(Take(&[0xff, 0xff, 0xff, 0xff, 0x0f]).record(), None, "a length without its bytes");
}

#[test]
fn a_payload_that_is_not_what_its_header_says_is_not_decoded() {
    let records = payload(&[b"one".to_vec(), b"two".to_vec()]);
    let header = |count, plain_bytes: usize, codec| FrameHeader {
        crc: 0,
        stored_bytes: records.len() as u32,
        plain_bytes: plain_bytes as u32,
        journal_id: ID,
        first_seq: 0,
        count,
        codec,
        continues: false,
    };
    assert!(Decoder::default().decode(&header(2, records.len(), 0), &records).is_some());
    for (count, bytes, codec) in
        [(1, 8, 0), (3, 8, 0), (2, 7, 0), (2, 9, 0), (2, 8, 1), (2, 8, 2), (2, 8, 255)]
    {
        assert_eq!(
            Decoder::default().decode(&header(count, bytes, codec), &records),
            None,
            "{count} {bytes} {codec}"
        );
    }
}

#[test]
fn a_compressed_payload_that_grows_beyond_its_header_is_refused() {
    let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 1).expect("compresses");
    let header = FrameHeader {
        crc: 0,
        stored_bytes: bomb.len() as u32,
        plain_bytes: 100,
        journal_id: ID,
        first_seq: 0,
        count: 100,
        codec: CODEC_ZSTD,
        continues: false,
    };
    assert_eq!(Decoder::default().decode(&header, &bomb), None);
}

proptest::proptest! {
    #[test]
    fn foreign_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = SegmentHeader::decode(&bytes, 1);
        let _ = Position::decode(&bytes);
        let framed = [FRAME_START.as_slice(), &bytes].concat();
        if let Some(header) = FrameHeader::decode(&framed) {
            assert!(!frame_verifies(Place { segment: 1, offset: 64 }, &header, &framed));
            let _ = Decoder::default().decode(&header, &bytes);
        }
    }

    #[test]
    fn a_frame_verifies_in_its_place_alone(
        records in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60), 1..8),
        segment in 1u64..1000, offset in 64u64..1_000_000, level in -5i32..5,
    ) {
        let mut out = Vec::new();
        let payload = payload(&records);
        let mut encoder = Encoder::new(Compression::Zstd { level, payload_bytes_min: 0 });
        let count = records.len() as u32;
        let plain = Plain { journal_id: ID, first_seq: 5, count, continues: false, payload: &payload };
        let place = Place { segment, offset };
        let crc = encoder.push_frame(place, plain, &mut out);
        let header = FrameHeader::decode(&out).expect("a header");
        assert_eq!((header.crc, header.count, header.first_seq), (crc, count, 5));
        assert!(frame_verifies(place, &header, &out));
        assert!(!frame_verifies(Place { segment: segment + 1, offset }, &header, &out));
        assert!(!frame_verifies(Place { segment, offset: offset + 1 }, &header, &out));
        assert_eq!(Decoder::default().decode(&header, &out[FRAME_HEADER_BYTES..]), Some(payload));
    }
}
