//! The vectors that vendors print (`fixtures/hash_vectors.tsv`): raw and hashed forms meet, through fields, dialects and profiles.

use event::dialect::Dialects;
use event::identifier::{IdKind, lodge};
use event::profile::Profiles;
use event::record::flag;

use super::*;

const VECTORS: &str = include_str!("../fixtures/hash_vectors.tsv");

struct Vector {
    kind: IdKind,
    raw: &'static str,
    algorithm: &'static str,
    expected: &'static str,
}

fn vectors() -> Vec<Vector> {
    let lines = VECTORS.lines().filter(|line| !line.starts_with('#'));
    let of_line = |line: &'static str| {
        let [kind, raw, algorithm, expected] = *line.split('\t').take(4).collect::<Vec<_>>() else {
            panic!("{line}")
        };
        let kind = IdKind::from_name(if kind == "gaid" { "aaid" } else { kind }).expect(line);
        Vector { kind, raw, algorithm, expected }
    };
    lines.map(of_line).collect()
}

/// The field of the raw value and that of its digest.
fn fields(kind: IdKind) -> (IdField, IdField) {
    match kind {
        IdKind::Oaid => (IdField::Oaid, IdField::OaidMd5),
        IdKind::Imei => (IdField::Imei, IdField::ImeiMd5),
        IdKind::Aaid => (IdField::Aaid, IdField::AaidMd5),
        IdKind::AndroidId => (IdField::AndroidId, IdField::AndroidIdMd5),
        IdKind::Idfa => (IdField::Idfa, IdField::IdfaMd5),
        IdKind::Mac | IdKind::MacColons => (IdField::Mac, IdField::MacColonsMd5),
        other => panic!("{other:?}"),
    }
}

#[test]
fn md5_and_raw_forms_meet() {
    let (keys, native) = (keys(), Dialects::built_in().get("native").unwrap());
    let mut checked = 0;
    for Vector { kind, raw, expected, .. } in vectors().into_iter().filter(|vector| vector.algorithm == "md5")
    {
        let (raw_field, md5_field) = fields(kind);
        for platform in Platform::ALL {
            let of_raw = identity(platform, &[(raw_field, raw)]);
            for form in [expected.to_owned(), expected.to_uppercase(), mixed(expected)] {
                let of_md5 = identity(platform, &[(md5_field, &form)]);
                // The digest of a MAC with colons cannot become the device of the raw one; an opt-out of either is found.
                if kind != IdKind::MacColons {
                    assert_eq!(of_raw.device, of_md5.device, "{raw}");
                    assert!(of_raw.device.is_some() && of_md5.flags == flag::ID_USABLE);
                }
                assert!(of_md5.opt_out.iter().all(|hash| of_raw.opt_out.contains(hash)), "{raw}");
                let query =
                    |field: IdField, value: &str| format!("c=a&p=b&{}={}", field.name(), escaped(value));
                let by_url =
                    identity_of_query(native, &query(md5_field, &form), platform, &Remap::NONE, &keys);
                assert_eq!((by_url.device, &by_url.opt_out), (of_md5.device, &of_md5.opt_out), "{raw}");
                let by_url = identity_of_query(native, &query(raw_field, raw), platform, &Remap::NONE, &keys);
                assert_eq!((by_url.device, &by_url.opt_out), (of_raw.device, &of_raw.opt_out), "{raw}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 4 * 3 * Platform::ALL.len());
}

/// One medium sends the raw value into the parameter that is made for the MD5, another the MD5 into that for the raw value.
#[test]
fn forms_meet_over_dialects_and_profiles() {
    let (keys, dialects, profiles) = (keys(), Dialects::built_in(), Profiles::built_in());
    let number = dialects.tables().iter().position(|table| table.name() == "miaozhen").unwrap();
    let miaozhen = &dialects.tables()[number];
    let native = dialects.get("native").unwrap();
    let device = |profile: &str, query: &str, platform| {
        let remap = profiles.get(profile).unwrap().remap_of_number(number);
        identity_of_query(miaozhen, query, platform, remap, &keys)
            .device
            .map(|device| (device.key, device.kind))
    };
    let plain = |query: &str, platform| {
        let device = identity_of_query(native, query, platform, &Remap::NONE, &keys).device.expect(query);
        Some((device.key, device.kind))
    };
    let oaid = "5dfa8e1b7c904d2e8f3a6b5c4d7e9f01";
    let oaid_md5 = hex::<Md5>(oaid);
    for (profile, query, native_query, platform) in [
        ("kuaishou", "m2=868049039501257", "imei=868049039501257", Platform::Android),
        ("standard", "m2=8d3ebd3654fb46a2832296669cf1b536", "imei=868049039501257", Platform::Android),
        ("tencent", "m2=8D3EBD3654FB46A2832296669CF1B536", "imei=868049039501257", Platform::Android),
        (
            "tencent",
            "m2=77d06cb28c1771e8019be4f4fb6e1938",
            "idfa=3E0046F7-8BD4-4F3E-9F91-358B137D2BF0",
            Platform::Ios,
        ),
        ("tencent", "m5b=8d3ebd3654fb46a2832296669cf1b536", "imei=868049039501257", Platform::Android),
        (
            "xiaohongshu",
            "m5=77d06cb28c1771e8019be4f4fb6e1938",
            "idfa=3E0046F7-8BD4-4F3E-9F91-358B137D2BF0",
            Platform::Ios,
        ),
        ("kuaishou", "m6a=00:1a:2b:3c:4d:5e", "mac=001A2B3C4D5E", Platform::Tv),
        ("kuaishou", &format!("m11={oaid}"), &format!("oaid_md5={oaid_md5}"), Platform::Android),
        ("gridsum", &format!("m11={oaid_md5}"), &format!("oaid={oaid}"), Platform::Android),
        ("ipinyou", &format!("m11={oaid_md5}"), &format!("oaid={oaid}"), Platform::Android),
        ("standard", &format!("m11a={oaid_md5}"), &format!("oaid={oaid}"), Platform::Android),
        ("iqiyi", &format!("m6a={}", hex::<Md5>("001A2B3C4D5E")), "mac=00:1A:2B:3C:4D:5E", Platform::Tv),
        // A raw value and an MD5 in the wrong place are seen by their looks, whatever the profile says.
        ("standard", "m2=868049039501257", "imei=868049039501257", Platform::Android),
        (
            "standard",
            "m11a=1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5",
            "oaid_md5=83e9158a4fb54c0e1ef0b238639a23ae",
            Platform::Android,
        ),
        (
            "standard",
            "m5=77D06CB28C1771E8019BE4F4FB6E1938",
            "idfa=3E0046F7-8BD4-4F3E-9F91-358B137D2BF0",
            Platform::Ios,
        ),
    ] {
        assert_eq!(device(profile, query, platform), plain(native_query, platform), "{profile} {query}");
    }
    // Without the profile the MD5 of this OAID is one device more.
    assert_ne!(
        device("standard", &format!("m11={oaid_md5}"), Platform::Android),
        plain(&format!("oaid={oaid}"), Platform::Android)
    );
}

#[test]
fn the_sha_256_of_an_md5_is_kept_apart_and_found_by_an_opt_out() {
    let keys = keys();
    let vectors = vectors();
    let sha = vectors.iter().find(|vector| vector.algorithm == "sha256(md5hex)").unwrap();
    let md5 =
        vectors.iter().find(|vector| vector.kind == sha.kind && vector.algorithm == "md5").unwrap().expected;
    assert_eq!(hex::<Sha256>(md5), sha.expected);
    for form in [sha.expected.to_owned(), sha.expected.to_uppercase()] {
        let apart = identity(Platform::Android, &[(IdField::OaidMd5, &form)]);
        assert_eq!(apart.flags, flag::ID_SHA_ONLY | flag::ID_USABLE);
        let device = apart.device.expect("it is one device");
        assert_eq!(device.kind, IdKind::Oaid);
        assert_ne!(Some(device), identity(Platform::Android, &[(IdField::Oaid, sha.raw)]).device);
        for lodged in [sha.raw, md5] {
            let lodged = lodge(IdKind::Oaid, lodged.as_bytes(), &keys).expect("good");
            assert!(apart.opt_out.iter().any(|hash| lodged.hashes.contains(hash)));
        }
        let other = lodge(IdKind::Oaid, hex::<Md5>("another").as_bytes(), &keys).expect("good");
        assert!(!apart.opt_out.iter().any(|hash| other.hashes.contains(hash)));
    }
    // Beside something that meets, the SHA is looked up but is not the device.
    let both = identity(
        Platform::Android,
        &[(IdField::OaidMd5, sha.expected), (IdField::AndroidId, "d0d4845ae4495a83")],
    );
    assert_eq!(
        (both.device.unwrap().kind, both.flags, both.opt_out.len()),
        (IdKind::AndroidId, flag::ID_USABLE, 2)
    );
}
