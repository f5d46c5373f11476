//! Tests of the keys: the hash against an independent HMAC, epochs, the key file.

use ::hmac::{Hmac, KeyInit, Mac as _};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::identifier::{IdField, RawId};

/// Device key 00 01 … 1f, opt-out key 20 21 … 3f.
const FILE: &str = "# a comment
sightline-keys 1
epoch 1 current 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
opt-out 202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f
checksum cbe7aec8800473984a6247b6347c14e2
";

fn ring() -> KeyRing {
    KeyRing::from_file_text(FILE).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn refused(text: &str) -> KeyError {
    KeyRing::from_file_text(text).err().unwrap()
}

/// These are stored for years. Computed with another implementation (Python's hmac and hashlib): a change here would make every known
/// device a new one and every opt-out void.
#[test]
fn golden_device_keys_and_opt_out_hashes() {
    let keys = ring();
    for (field, value, version, device, opt_out) in [
        (
            IdField::Imei,
            "868049039501257",
            None,
            "ff36c6b983cce3e357e20cebf2804601",
            "8361b37cfa8f13147381d8bb46d2f221",
        ),
        (
            IdField::Oaid,
            "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5",
            None,
            "73bdf3235d2f3e91dfd440ecbe6ab6de",
            "7b418c8d2e7fb35730894266092e2281",
        ),
        (
            IdField::OaidMd5,
            "a58f9fffa86c12e6fb43f5232a46d53ef06196f4be138d185a09b1294c736c50",
            None,
            "a7caee6fe9c1a07c2112cdb29892b5bb",
            "78035d639c435ab434bc38a6b27c03c6",
        ),
        (
            IdField::Caid,
            "4F5E6A7B8C9D0E1F2A3B4C5D6E7F8091",
            Some(&b"20230330"[..]),
            "f5d706e002e64f3d773357e49ab9622b",
            "dea44623f16b95a82a1968a82a613559",
        ),
        (
            IdField::Mac,
            "00:1a:2b:3c:4d:5e",
            None,
            "bf1361693b664029967aedbcd1014404",
            "b23fe0d738ff74310f71d6f5a8d4295a",
        ),
    ] {
        let id = RawId::new(field, value.as_bytes(), version).reduce().ok().unwrap();
        assert_eq!(hex(&keys.device_key(&id).0), device, "{}", field.name());
        assert_eq!(hex(&keys.opt_out_hash(&id).0), opt_out, "{}", field.name());
    }
}

proptest! {
    #[test]
    fn hashes_as_the_hmac_crate_does(key in any::<[u8; KEY_BYTES]>(), message in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
        let mut reference = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        reference.update(&message);
        let (first, second) = message.split_at(cut.min(message.len()));
        let ours = hmac::Keyed::new(&key).hash(&[first, b"", second]);
        prop_assert_eq!(&ours[..], &reference.finalize().into_bytes()[..16]);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,300}") {
        prop_assert!(KeyRing::from_file_text(&text).is_err());
    }

    #[test]
    fn any_damage_of_one_byte_is_noticed(at in 12..FILE.len() - 1, byte in 0x20_u8..0x7f) {
        let mut bytes = FILE.as_bytes().to_vec();
        // Blanks are not part of the words, and the checksum's own digits may be of either case.
        let means_the_same = bytes[at].eq_ignore_ascii_case(&byte) || bytes[at].is_ascii_whitespace() || byte == b' ';
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        prop_assert!(means_the_same || KeyRing::from_file_text(&text).is_err());
    }
}

#[test]
fn every_cut_of_the_file_is_noticed() {
    for length in 0..FILE.len() - 1 {
        assert!(KeyRing::from_file_text(&FILE[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_written_file_is_read_again() {
    let mut next = 0_u8;
    let mut random = |bytes: &mut [u8]| {
        for byte in bytes {
            next = next.wrapping_mul(37).wrapping_add(11);
            *byte = next;
        }
    };
    let first = KeyRing::generate(&mut random);
    let second = first.rotated_at(1_795_348_800, &mut random).unwrap();
    let read = KeyRing::from_file_text(&second.to_file_text()).unwrap();
    assert_eq!((first.epoch(), second.epoch(), read.epoch()), (1, 2, 2));
    assert_eq!(read.epochs().collect::<Vec<_>>(), [1, 2]);
    let id = || RawId::new(IdField::Imei, b"868049039501257", None).reduce().ok().unwrap();
    assert_eq!(read.device_key(&id()), second.device_key(&id()));
    assert_ne!(read.device_key(&id()), first.device_key(&id()), "a rotation makes new devices");
    assert_eq!(read.device_key_of(1, &id()), Some(first.device_key(&id())));
    assert_eq!(read.device_key_of(2, &id()), Some(second.device_key(&id())));
    assert_eq!(read.device_key_of(3, &id()), None);
    assert_eq!(read.opt_out_hash(&id()), first.opt_out_hash(&id()), "an opt-out survives rotations");
    assert_eq!(read.to_file_text().as_str(), second.to_file_text().as_str());
    assert!(second.to_file_text().starts_with("# SECRET."));
}

#[test]
fn blanks_and_comments_mean_nothing() {
    let spaced = FILE.replace("epoch 1 ", "\n  epoch\t1   ").replace("checksum", "# more\r\n checksum ");
    assert_eq!(KeyRing::from_file_text(&spaced).unwrap().epoch(), 1);
}

#[test]
fn epochs_run_out() {
    let mut count = 0_u8;
    let mut random = |bytes: &mut [u8]| {
        count += 1;
        bytes.iter_mut().enumerate().for_each(|(index, byte)| *byte = count ^ index as u8);
    };
    let mut ring = KeyRing::generate(&mut random);
    while let Ok(next) = ring.rotated_at(1_795_348_800, &mut random) {
        ring = next;
    }
    assert_eq!(ring.epochs().count(), 64);
    assert!(ring.to_file_text().len() < 16 * 1024);
    assert_eq!(KeyRing::from_file_text(&ring.to_file_text()).unwrap().epoch(), 64);
}

#[test]
#[should_panic(expected = "the source of randomness gave none")]
fn a_source_that_gives_nothing_makes_no_keys() {
    KeyRing::generate(|_| {});
}

#[test]
fn wrong_files_are_refused_with_their_line() {
    let line = |line, problem| KeyError::Line { line, problem };
    let zero = "0".repeat(64);
    for (from, to, error) in [
        (
            "sightline-keys 1",
            "sightline-keys 4",
            line(2, "this version of the key file is not known to this program"),
        ),
        ("sightline-keys 1\n", "", line(2, "a key file begins with `sightline-keys 1`")),
        (
            "sightline-keys 1\n",
            "sightline-keys 1\nsightline-keys 1\n",
            line(3, "`sightline-keys` stands twice"),
        ),
        ("epoch 1", "epoch 0", line(3, "an epoch is a number from 1 to 65535")),
        ("epoch 1", "epoch 65536", line(3, "an epoch is a number from 1 to 65535")),
        ("current", "old", line(3, "an epoch is `current` or `sealed`")),
        ("current 00", "current 0g", line(3, "a key is 64 hex digits")),
        ("current 00", "current ", line(3, "a key is 64 hex digits")),
        ("opt-out 20", "opt-out 2020", line(4, "a key is 64 hex digits")),
        ("checksum cb", "checksum ", line(5, "a checksum is 32 hex digits")),
        (
            "checksum",
            "checksumm",
            line(5, "expected `epoch <number> current|sealed <key>`, `opt-out <key>` or `checksum <sum>`"),
        ),
        ("current", "sealed", KeyError::Checksum),
        ("epoch 1", "epoch 7", KeyError::Checksum),
        ("checksum cb", "checksum cc", KeyError::Checksum),
        ("checksum cbe7aec8800473984a6247b6347c14e2\n", "", KeyError::Missing("checksum")),
    ] {
        assert!(FILE.contains(from), "{from}");
        assert_eq!(refused(&FILE.replacen(from, to, 1)), error, "{from} → {to}");
    }
    let own = FILE.split("opt-out ").nth(1).unwrap().split('\n').next().unwrap();
    assert_eq!(refused(&FILE.replace(own, &zero)), line(4, "a key of one repeated byte is none"));
    let twice = FILE.replace("checksum", &format!("opt-out {own}\nchecksum"));
    assert_eq!(refused(&twice), line(5, "`opt-out` stands twice"));
    let after = format!("{FILE}epoch 2 sealed {own}\n");
    assert_eq!(refused(&after), line(6, "nothing may follow the checksum"));
    let unordered = FILE.replace("opt-out", &format!("epoch 1 sealed {own}\nopt-out"));
    assert_eq!(refused(&unordered), line(4, "epochs stand in ascending order, each once"));
    let two = FILE.replace("opt-out", &format!("epoch 2 current {own}\nopt-out"));
    assert_eq!(refused(&two), line(4, "only one epoch is current"));
    assert_eq!(refused(&" ".repeat(20_000)), KeyError::TooLong);
}

#[test]
fn a_device_is_found_under_every_epoch_that_is_still_here() {
    let mut next = 0;
    let mut random = |bytes: &mut [u8]| {
        next += 1;
        bytes.iter_mut().zip(next..).for_each(|(byte, value)| *byte = value);
    };
    let ring = KeyRing::generate(&mut random)
        .rotated_at(1_795_348_800, &mut random)
        .and_then(|ring| ring.rotated_at(1_795_348_800, &mut random));
    let ring = ring.expect("room for epochs");
    let id = RawId::new(IdField::Imei, b"868049039501257", None).reduce().expect("a good id");
    let keys: Vec<_> = ring.device_keys(&id).collect();
    assert_eq!(keys.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2, 3]);
    for (epoch, key) in &keys {
        assert_eq!(ring.device_key_of(*epoch, &id), Some(*key));
    }
    assert_eq!(keys.last().map(|(_, key)| *key), Some(ring.device_key(&id)));
    assert!(keys[0].1 != keys[1].1 && keys[1].1 != keys[2].1 && keys[0].1 != keys[2].1);
}

/// Stored for months. Computed with another implementation (hmac, hashlib and a `SipHash` of its own in Python): a change here would count each view
/// twice that began before it.
#[test]
fn golden_hashes_of_views() {
    let keys = ring();
    assert_eq!(keys.view_hash(b"317e8e08fed2b2d352e5fc3aca41ff1a"), 996_959_206_671_419_172);
    assert_eq!(keys.view_hash(b"r-1"), 10_298_298_490_713_674_177);
    assert_eq!(keys.view_hash(b""), 3_750_299_047_935_182_086);
    assert_eq!(keys.batch_item_hash("stitcher", b"2026-11-21-0001", 0), 14_140_132_769_956_371_297);
    assert_eq!(keys.batch_item_hash("stitcher", b"2026-11-21-0001", 4_999), 12_622_836_672_738_008_995);
    assert_eq!(keys.batch_item_hash("", b"k", 1), 9_258_533_091_799_646_581);
    assert_eq!(keys.signed_item_hash("stitcher", &[b'a'; 64], 0), 15_884_160_624_416_740_801);
}

/// The three hashes of one name.
fn views(keys: &KeyRing, name: &[u8]) -> [u64; 3] {
    [keys.view_hash(name), keys.batch_item_hash("s", name, 0), keys.signed_item_hash("s", name, 0)]
}

/// A ring of keys that `seed` alone decides.
fn drawn(mut seed: u64) -> KeyRing {
    KeyRing::generate(|bytes| {
        bytes.fill_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as u8
        });
    })
}

#[test]
fn a_view_is_the_same_over_rotations_and_on_every_node() {
    let first = drawn(1);
    let mut next = 0_u8;
    let random = |bytes: &mut [u8]| {
        bytes.fill_with(|| {
            next = next.wrapping_add(1);
            next
        });
    };
    let rotated = first.rotated_at(1_795_348_800, random).unwrap();
    let other_node = KeyRing::from_file_text(&rotated.to_file_text()).unwrap();
    for name in [&b"r-1"[..], b"868049039501257", b""] {
        assert_eq!(views(&rotated, name), views(&first, name));
        assert_eq!(views(&other_node, name), views(&first, name));
    }
    let id = || RawId::new(IdField::Imei, b"868049039501257", None).reduce().ok().unwrap();
    assert_ne!(rotated.device_key(&id()), first.device_key(&id()), "it did rotate");
}

proptest! {
    /// Whoever has what is stored and guesses an id gets nothing that meets it: another ring gives another hash, and so does each digest without a key.
    #[test]
    fn a_view_cannot_be_computed_without_the_key(name in proptest::collection::vec(any::<u8>(), 0..200), seeds in any::<[u64; 2]>()) {
        prop_assume!(seeds[0] as u32 != seeds[1] as u32);
        let [one, other] = seeds.map(drawn);
        let views = views(&one, &name);
        for (ours, others) in views.iter().zip(self::views(&other, &name)) {
            prop_assert_ne!(*ours, others);
        }
        let labelled = |label: &[u8]| [label, &name].concat();
        for message in [name.clone(), labelled(b"sightline view 1\0"), labelled(view::REQUEST)] {
            let sip = view_without_a_key(&message);
            let digests = [md5::Md5::digest(&message).to_vec(), sha1::Sha1::digest(&message).to_vec(), Sha256::digest(&message).to_vec()];
            for digest in digests.iter().chain([&sip]) {
                let first = *digest.first_chunk::<8>().unwrap();
                for word in [u64::from_le_bytes(first), u64::from_be_bytes(first)] {
                    prop_assert!(!views.contains(&word), "a digest without a key is stored");
                }
            }
        }
    }
}

/// `SipHash` under a key of nothing.
fn view_without_a_key(message: &[u8]) -> Vec<u8> {
    siphasher::sip::SipHasher24::new_with_key(&[0; 16]).hash(message).to_le_bytes().to_vec()
}

#[test]
fn no_two_names_of_a_view_are_one() {
    let keys = ring();
    let names = [
        keys.batch_item_hash("a", b"b/c", 0),
        keys.batch_item_hash("a/b", b"c", 0),
        keys.batch_item_hash("a", b"b/c/0", 0),
        keys.batch_item_hash("ab", b"/c", 0),
        keys.batch_item_hash("", b"ab/c", 0),
        keys.batch_item_hash("a", b"b/c", 1),
        keys.signed_item_hash("a", b"b/c", 0),
        keys.view_hash(b"a/b/c/0"),
        keys.view_hash(b"a/b/c"),
    ];
    for (place, name) in names.iter().enumerate() {
        assert!(!names[..place].contains(name), "{place}");
    }
}

/// An id that is, byte for byte, the message of a batch's or a signed request's item: their keys keep them apart, and from one another.
#[test]
fn a_request_id_cannot_be_made_to_meet_an_item() {
    let keys = ring();
    for (server, name, place) in [("s", &b"k"[..], 0_usize), ("stitcher", &[b'a'; 64], 4_999), ("", b"", 0)] {
        let length = |part: &[u8]| (part.len() as u64).to_le_bytes();
        let message = [
            &length(server.as_bytes()),
            server.as_bytes(),
            &length(name),
            name,
            &(place as u64).to_le_bytes(),
        ]
        .concat();
        let hashes = [
            keys.view_hash(&message),
            keys.batch_item_hash(server, name, place),
            keys.signed_item_hash(server, name, place),
        ];
        assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
    }
}

/// The keys of views are hashes under the opt-out key: none of them may be the hash of an identifier, which is stored.
#[test]
fn the_keys_of_views_are_the_hash_of_no_identifier() {
    for label in [view::REQUEST, view::BATCH_ITEM, view::SIGNED_ITEM] {
        assert_ne!(label[0], MESSAGE_VERSION);
    }
}

#[test]
fn a_sealed_epoch_keeps_its_time_and_goes_when_it_is_destroyed() {
    let mut next = 0_u8;
    let mut random = |bytes: &mut [u8]| {
        for byte in bytes {
            next = next.wrapping_mul(5).wrapping_add(3);
            *byte = next;
        }
    };
    let id = || RawId::new(IdField::Imei, b"868049039501257", None).reduce().ok().unwrap();
    let first = KeyRing::generate(&mut random);
    assert!(first.to_file_text().contains("sightline-keys 1\n"), "earlier programs read it");
    let second = first.rotated_at(1_795_348_800, &mut random).unwrap();
    let text = second.to_file_text();
    assert!(text.contains("sightline-keys 2\n") && text.contains(" 1795348800\n"));
    let read = KeyRing::from_file_text(&text).unwrap();
    assert_eq!(read.sealed().collect::<Vec<_>>(), [(1, Some(1_795_348_800))]);
    assert_eq!((read.epoch(), read.device_key_of(1, &id())), (2, Some(first.device_key(&id()))));

    let third = read.without(1, 0).unwrap();
    assert_eq!((third.epoch(), third.sealed().count()), (2, 0));
    assert_eq!(third.device_key_of(1, &id()), None);
    assert_eq!(third.device_key(&id()), second.device_key(&id()));
    assert_eq!(third.opt_out_hash(&id()), first.opt_out_hash(&id()), "who opted out stays opted out");
    for epoch in [1, 2, 9] {
        assert_eq!(third.without(epoch, 0).err(), Some(KeyError::NotSealed { epoch }));
    }
    // A time is no part of the first version, and no other word is one.
    let old = text.replace("sightline-keys 2", "sightline-keys 1");
    assert!(matches!(KeyRing::from_file_text(&old), Err(KeyError::Line { .. })));
    assert!(KeyRing::from_file_text(&text.replace(" 1795348800", " soon")).is_err());
    assert_eq!(
        KeyRing::from_file_text(&text.replace(" 1795348800", " 1795348801")).err(),
        Some(KeyError::Checksum)
    );
}

#[test]
fn two_keys_overlap_until_a_day_begins() {
    const NOW: u64 = 1_795_348_800 + 7;
    let until_day = (NOW / DAY_SECONDS) as u16 + 15;
    let mut next = 0;
    let mut random = |bytes: &mut [u8]| {
        next += 1;
        bytes.iter_mut().zip(next..).for_each(|(byte, value)| *byte = value);
    };
    let id = RawId::new(IdField::Imei, b"868049039501257", None).reduce().expect("a good id");
    let first = KeyRing::generate(&mut random);
    assert_eq!((first.overlap(), first.former(&id)), (None, None));

    let second = first.rotated_with_overlap(NOW, until_day, &mut random).expect("room");
    assert_eq!(second.overlap(), Some(Overlap { epoch: 1, until_day }));
    let former = second.former(&id).expect("it overlaps");
    assert_eq!((former.key, former.epoch, former.until_day), (first.device_key(&id), 1, until_day));
    let end_ms = i64::from(until_day) * 86_400_000;
    let ended = u64::from(until_day) * DAY_SECONDS;
    assert!(former.is_in_force(end_ms - 1) && !former.is_in_force(end_ms));
    assert_eq!(second.sealed().collect::<Vec<_>>(), [(1, Some(u64::from(until_day) * DAY_SECONDS))]);

    let text = second.to_file_text();
    assert!(text.contains("sightline-keys 3\n") && text.contains("epoch 1 overlap "));
    let read = KeyRing::from_file_text(&text).expect("a key file");
    assert_eq!((read.overlap(), read.former(&id)), (second.overlap(), second.former(&id)));
    assert_eq!(read.to_file_text().as_str(), text.as_str());
    let read = read.without_ended_overlap(ended - 1);
    assert_eq!(read.former(&id), second.former(&id));
    let over = read.without_ended_overlap(ended);
    assert_eq!((over.overlap(), over.former(&id)), (None, None));
    assert_eq!(over.sealed().collect::<Vec<_>>(), second.sealed().collect::<Vec<_>>());
    assert_eq!(over.device_keys(&id).collect::<Vec<_>>(), second.device_keys(&id).collect::<Vec<_>>());

    // The next overlap waits for the end of this one; a cut does not, and ends it.
    let again = second.rotated_with_overlap(NOW + 1, until_day + 1, &mut random).err();
    assert_eq!(again, Some(KeyError::Overlapping { epoch: 1 }));
    let cut = second.rotated_at(NOW + 9, &mut random).expect("room");
    assert_eq!((cut.overlap(), cut.former(&id)), (None, None));
    assert_eq!(cut.sealed().collect::<Vec<_>>(), [(1, Some(NOW + 9)), (2, Some(NOW + 9))]);
    assert!(cut.to_file_text().contains("sightline-keys 2\n"));
    let third = second.rotated_with_overlap(ended, until_day + 30, &mut random).expect("the first has ended");
    assert_eq!(third.overlap(), Some(Overlap { epoch: 2, until_day: until_day + 30 }));
    assert_eq!(third.sealed().next(), Some((1, Some(ended))), "sealed when its overlap ended");
    assert_eq!(third.former(&id).map(|former| former.key), Some(second.device_key(&id)));
}

/// Pairs live until their overlap's day, whatever becomes of the keys. Were a key on the right of some and on the left of others, a device would be tied
/// over two rotations.
#[test]
fn no_two_overlaps_whose_pairs_live_have_a_key_in_common() {
    const NOW: u64 = 1_795_348_800;
    let until_day = (NOW / DAY_SECONDS) as u16 + 14;
    let ended = u64::from(until_day) * DAY_SECONDS;
    let mut next = 0;
    let mut random = |bytes: &mut [u8]| {
        next += 1;
        bytes.iter_mut().zip(next..).for_each(|(byte, value)| *byte = value);
    };
    let first = KeyRing::generate(&mut random);
    let second = first.rotated_with_overlap(NOW, until_day, &mut random).expect("room");
    // The key before stays as long as the overlap runs: what refuses the next overlap goes by it.
    assert_eq!(second.without(1, ended - 1).err(), Some(KeyError::Overlapping { epoch: 1 }));
    let alone = second.without(1, ended).expect("the overlap is over");
    assert_eq!((alone.overlap(), alone.epochs().collect::<Vec<_>>()), (None, vec![2]));

    // A cut ends it; the key may go then, and the next overlap is of other keys than the one that was broken off.
    let third = second.rotated_at(NOW + 1, &mut random).expect("room");
    for keys in
        [third.without(1, NOW + 2).expect("sealed"), third.without(2, NOW + 2).expect("sealed"), third]
    {
        let fourth = keys.rotated_with_overlap(NOW + 3, until_day, &mut random).expect("none runs");
        assert_eq!((fourth.overlap(), fourth.epoch()), (Some(Overlap { epoch: 3, until_day }), 4));
    }
}

#[test]
fn an_overlap_stands_right_before_the_current_epoch_and_ends_at_a_midnight() {
    let mut next = 0;
    let mut random = |bytes: &mut [u8]| {
        next += 1;
        bytes.iter_mut().zip(next..).for_each(|(byte, value)| *byte = value);
    };
    let ring = KeyRing::generate(&mut random)
        .rotated_with_overlap(1_795_348_800, 20_800, &mut random)
        .expect("room for epochs");
    let text = ring.to_file_text();
    let of = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        refused(&text.replacen(from, to, 1))
    };
    let with_time =
        |error: KeyError| matches!(error, KeyError::Line { problem, .. } if problem.contains("a midnight"));
    assert!(with_time(of("1797120000", "1797120001")));
    assert!(with_time(of("1797120000", "9999936000")));
    assert!(
        matches!(of("sightline-keys 3", "sightline-keys 2"), KeyError::Line { .. }),
        "version 2 has no overlap"
    );
    assert!(matches!(of(" 1797120000", ""), KeyError::Line { .. }));
}
