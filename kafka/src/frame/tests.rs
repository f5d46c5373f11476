//! The form of frames: golden bytes, cuts, flips, and runs that are split.

use proptest::prelude::*;

use super::*;

const GOLDEN: &[u8] = include_bytes!("../../golden/frame-v1.bin");

fn example() -> Vec<u8> {
    let long = vec![7; 200];
    let records: [&[u8]; 3] = [b"first", &long, b""];
    encode(0x0123_4567_89ab_cdef, 42, 3, records.into_iter()).remove(0)
}

#[test]
fn the_bytes_equal_the_golden_file() {
    assert_eq!(example(), GOLDEN);
    let frame = decode(GOLDEN).expect("is a frame");
    assert_eq!(
        (frame.journal_id, frame.first_seq, frame.lost_before, frame.count),
        (0x0123_4567_89ab_cdef, 42, 3, 3)
    );
    let records: Vec<_> = frame.records().map(|(seq, record)| (seq, record.len())).collect();
    assert_eq!(records, [(42, 5), (43, 200), (44, 0)]);
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    for length in 0..GOLDEN.len() {
        assert!(decode(&GOLDEN[..length]).is_err(), "cut at {length}");
    }
    for bit in 0..GOLDEN.len() * 8 {
        let mut bytes = GOLDEN.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = GOLDEN.to_vec();
    bytes[0] = 9;
    assert_eq!(decode(&bytes), Err(FrameError::UnknownVersion(9)));
    assert_eq!(decode(b"garbage"), Err(FrameError::Corrupt("no frame's beginning")));
}

proptest! {
    #[test]
    fn runs_come_back_whole_in_messages_of_bounded_length(
        lengths in prop::collection::vec(0_usize..70_000, 0..40),
        first_seq in 0_u64..u64::MAX - 100,
    ) {
        let records: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(n, length)| vec![n as u8; *length]).collect();
        let messages = encode(5, first_seq, 1, records.iter().map(Vec::as_slice));
        let mut back = Vec::new();
        for (n, message) in messages.iter().enumerate() {
            prop_assert!(message.len() <= BYTES_MAX);
            let frame = decode(message).expect("is a frame");
            prop_assert_eq!(frame.lost_before, u64::from(n == 0));
            back.extend(frame.records().map(|(seq, record)| (seq, record.to_vec())));
        }
        let wanted: Vec<_> = records.into_iter().enumerate().map(|(n, record)| (first_seq + n as u64, record)).collect();
        prop_assert_eq!(back, wanted);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(frame) = decode(&bytes) {
            prop_assert_eq!(frame.records().count(), frame.count as usize);
        }
    }
}
