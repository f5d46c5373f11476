//! No plausible identifier is taken for a bad one, and nothing that arrives does harm.

use event::hit::Hit;
use event::identifier::{IdKind, RawId, lodge};
use event::profile::Profiles;
use proptest::prelude::*;

use super::*;

const SEED: u64 = 0x5147_4854_4c49_4e45;
/// Identifiers of each kind.
const COUNT: usize = 100_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn hex(&mut self, len: usize) -> String {
        let words: Vec<String> = (0..len.div_ceil(16)).map(|_| format!("{:016x}", self.next())).collect();
        words.concat().split_at(len).0.to_owned()
    }

    fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    /// As a device of that kind has it.
    fn id(&mut self, field: IdField) -> String {
        let variant = self.next() % 4;
        match field {
            IdField::Oaid => match variant {
                0 => self.uuid(),
                1 => self.hex(16),
                2 => self.hex(64),
                _ => self.hex(32),
            },
            // Allocation codes in use begin with 35, 86 or 01.
            IdField::Imei => {
                let head = [35, 86, 1][(variant % 3) as usize];
                format!("{head:02}{:013}", self.next() % 10_u64.pow(13))
            }
            IdField::Aaid | IdField::Ifa => self.uuid(),
            IdField::Idfa | IdField::Idfv => self.uuid().to_uppercase(),
            // Made of 64 random bits; zeros at its head are lost by some.
            IdField::AndroidId => format!("{:x}", self.next() | 1 << 40),
            IdField::Mac | IdField::Mac2 | IdField::Mac3 | IdField::Mac4 => {
                let hex = self.hex(12);
                let pairs: Vec<&str> = (0..6).map(|at| &hex[at * 2..at * 2 + 2]).collect();
                [hex.clone(), pairs.join(":"), pairs.join("-"), hex.to_uppercase()][variant as usize].clone()
            }
            IdField::Caid => self.hex(32),
            IdField::OpenUdid => self.hex(40),
            IdField::Cookie => self.hex(22),
            IdField::OaidMd5
            | IdField::ImeiMd5
            | IdField::AaidMd5
            | IdField::AndroidIdMd5
            | IdField::MacMd5
            | IdField::MacColonsMd5
            | IdField::IdfaMd5
            | IdField::CaidMd5 => {
                let len = [32, 32, 40, 64][variant as usize];
                self.hex(len)
            }
        }
    }
}

#[test]
fn plausible_identifiers_are_usable() {
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    for field in IdField::ALL {
        // Digests are alike, whatever was hashed.
        let count = if field.name().ends_with("_md5") { COUNT / 5 } else { COUNT };
        for _ in 0..count {
            let value = random.id(field);
            assert!(RawId::new(field, value.as_bytes(), None).reduce().is_ok(), "{} {value}", field.name());
        }
    }
}

#[test]
fn plausible_identifiers_that_were_hashed_or_padded_are_usable() {
    println!("seed {SEED:#x}");
    let mut random = Random(SEED);
    for _ in 0..2_000 {
        let imei = random.id(IdField::Imei);
        for padded in [format!("{imei:0>32}"), format!("{imei:0<32}")] {
            for field in [IdField::Imei, IdField::ImeiMd5] {
                let [padded, plain] =
                    [&padded, &imei].map(|value| identity(Platform::Android, &[(field, value)]).device);
                assert!(padded.is_some() && padded == plain, "{imei}");
            }
        }
        for digest in digests(&imei) {
            let shortened = digest.trim_start_matches('0');
            if digest.len() - shortened.len() <= 3 {
                let [whole, short] = [&*digest, shortened]
                    .map(|value| identity(Platform::Android, &[(IdField::ImeiMd5, value)]).device);
                assert!(whole.is_some() && whole == short, "{digest}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_fields_are_read_without_harm(
        values in proptest::collection::vec((0..IdField::COUNT, proptest::collection::vec(any::<u8>(), 0..200)), 0..6),
        version in proptest::option::of("[0-9a-z,]{0,12}"),
        ifa_type in proptest::option::of("[a-z]{0,6}"),
        profile in 0..18_usize,
    ) {
        let mut hit = Hit::default();
        for (field, value) in &values {
            hit.ids[*field] = Some(value);
        }
        hit.caid_version = version.as_deref().map(str::as_bytes);
        hit.ifa_type = ifa_type.as_deref().map(str::as_bytes);
        let keys = keys();
        let remap = Profiles::built_in().iter().nth(profile).unwrap().remap_of_number(1);
        for platform in Platform::ALL {
            let identity = identify(&hit, platform, &keys, remap);
            prop_assert_eq!(identity.ids_usable & !identity.ids_present, 0);
            prop_assert_eq!(identity.ids_usable == 0, identity.opt_out.is_empty());
            prop_assert!(identity.device.is_none() || identity.ids_usable != 0);
            let distinct: std::collections::HashSet<_> = identity.opt_out.iter().collect();
            prop_assert_eq!(distinct.len(), identity.opt_out.len(), "each is looked up once");
        }
    }

    #[test]
    fn lists_of_caids_are_read_without_harm(text in "[\\[\\]{}\"\\\\,:|_0-9a-f cvedrsionq]{0,80}", field in 0..2_usize) {
        let field = [IdField::Caid, IdField::CaidMd5][field];
        let identity = identity(Platform::Ios, &[(field, &text)]);
        prop_assert!(identity.opt_out.len() <= 4);
        let _ = lodge(IdKind::Caid, text.as_bytes(), &keys());
    }
}
