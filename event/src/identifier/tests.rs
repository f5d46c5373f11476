//! Tests of the identifiers: every form of one id meets, bad values never get further, preferences hold.

use std::collections::HashSet;

use md5::{Digest, Md5};
use proptest::prelude::*;
use sha1::Sha1;
use sha2::Sha256;

use super::*;
use crate::profile::Remap;
use crate::record::flag;

fn keys() -> KeyRing {
    let mut next = 0_u8;
    KeyRing::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(37).wrapping_add(11);
            *byte = next;
        }
    })
}

fn hit<'a>(ids: &[(IdField, &'a str)]) -> Hit<'a> {
    let mut hit = Hit::default();
    for (field, value) in ids {
        hit.ids[*field as usize] = Some(value.as_bytes());
    }
    hit
}

fn identity(platform: Platform, ids: &[(IdField, &str)]) -> Identity {
    identify(&hit(ids), platform, &keys(), &Remap::NONE)
}

fn device(ids: &[(IdField, &str)]) -> Option<Device> {
    identity(Platform::Unknown, ids).device
}

fn hex<D: Digest>(text: &str) -> String {
    D::digest(text).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn reduced(field: IdField, value: &str) -> Result<(IdKind, Form, String), Unusable> {
    let id = RawId::new(field, value.as_bytes(), None).reduce()?;
    Ok((id.kind(), id.form(), String::from_utf8(id.hex().to_vec()).unwrap()))
}

fn md5(field: IdField, value: &str) -> String {
    match reduced(field, value) {
        Ok((_, Form::Md5, hex)) => hex,
        other => panic!("{} {value}: {other:?}", field.name()),
    }
}

const IMEI: &str = "868049039501257";
const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
const IDFA: &str = "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0";
const GAID: &str = "7268ceb0-5411-4004-b7cb-bd1fee4b6277";
const UDID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
const CAID: &str = "4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091";

#[test]
fn vectors_printed_by_vendors() {
    assert_eq!(md5(IdField::Imei, IMEI), "8d3ebd3654fb46a2832296669cf1b536");
    assert_eq!(md5(IdField::Oaid, OAID), "83e9158a4fb54c0e1ef0b238639a23ae");
    assert_eq!(md5(IdField::Idfa, IDFA), "77d06cb28c1771e8019be4f4fb6e1938");
    assert_eq!(md5(IdField::Aaid, GAID), "7c687d7812ae6ca319aecea51d0d7750");
    assert_eq!(
        hex::<Sha256>(&md5(IdField::Oaid, OAID)),
        "a58f9fffa86c12e6fb43f5232a46d53ef06196f4be138d185a09b1294c736c50"
    );
}

#[test]
fn raw_forms_are_brought_to_one() {
    for (field, forms) in [
        (
            IdField::Imei,
            vec![
                IMEI,
                "00000000000000000868049039501257",
                "86804903950125700000000000000000",
                " 868049039501257 ",
            ],
        ),
        (
            IdField::AndroidId,
            vec!["00a1b2c3d4e5f607", "a1b2c3d4e5f607", "0A1B2C3D4E5F607", "00A1B2C3D4E5F607"],
        ),
        (IdField::Idfa, vec![IDFA, "3e0046f7-8bd4-4f3e-9f91-358b137d2bf0"]),
        (IdField::Idfv, vec![IDFA, "3e0046f7-8bd4-4f3e-9f91-358b137d2bf0"]),
        (IdField::Aaid, vec![GAID, "7268CEB0-5411-4004-B7CB-BD1FEE4B6277"]),
        (IdField::Mac, vec!["001A2B3C4D5E", "00:1a:2b:3c:4d:5e", "00-1A-2b-3C-4d-5E", "001a2b3c4d5e"]),
        (IdField::OpenUdid, vec![UDID, "0A1B2C3D4E5F60718293A4B5C6D7E8F901234567"]),
        (IdField::Caid, vec![CAID, "4F5E6A7B8C9D0E1F2A3B4C5D6E7F8091"]),
    ] {
        let first = md5(field, forms[0]);
        for form in &forms {
            assert_eq!(md5(field, form), first, "{} {form}", field.name());
        }
    }
    assert_eq!(md5(IdField::AndroidId, "a1b2c3d4e5f607"), hex::<Md5>("00a1b2c3d4e5f607"));
    assert_eq!(md5(IdField::Mac, "00:1a:2b:3c:4d:5e"), hex::<Md5>("001A2B3C4D5E"));
    assert_eq!(md5(IdField::Idfv, IDFA), hex::<Md5>(IDFA));
    assert_eq!(md5(IdField::Imei, "86804903950125"), hex::<Md5>("86804903950125"));
}

#[test]
fn an_oaid_and_a_cookie_are_hashed_as_they_are() {
    for value in [
        "a1b2c3d4e5f60718",
        "A1B2C3D4E5F60718",
        OAID,
        "1FE9A970-EFBB-29E0-0BDD-F5DBBF751AB5",
        CAID,
        UDID,
        &"aB3d".repeat(16),
    ] {
        assert_eq!(md5(IdField::Oaid, value), hex::<Md5>(value));
        assert_eq!(md5(IdField::Cookie, value), hex::<Md5>(value));
    }
    assert_eq!(md5(IdField::Cookie, "D2EHBh9~b29"), hex::<Md5>("D2EHBh9~b29"));
}

#[test]
fn raw_and_md5_meet() {
    for (raw, hashed, value, canonical) in [
        (IdField::Oaid, IdField::OaidMd5, OAID, OAID),
        (IdField::Imei, IdField::ImeiMd5, IMEI, IMEI),
        (IdField::Aaid, IdField::AaidMd5, GAID, GAID),
        (IdField::AndroidId, IdField::AndroidIdMd5, "A1B2C3D4E5F607", "00a1b2c3d4e5f607"),
        (IdField::Mac, IdField::MacMd5, "00:1a:2b:3c:4d:5e", "001A2B3C4D5E"),
        (IdField::Idfa, IdField::IdfaMd5, IDFA, IDFA),
        (IdField::Caid, IdField::CaidMd5, CAID, CAID),
    ] {
        let digest = hex::<Md5>(canonical);
        let of_raw = device(&[(raw, value)]).unwrap();
        for form in [digest.clone(), digest.to_uppercase()] {
            assert_eq!(device(&[(hashed, &form)]), Some(of_raw), "{}", raw.name());
        }
    }
    // Fields without a twin for digests, and fields of which some media send digests.
    for field in [
        IdField::Imei,
        IdField::Aaid,
        IdField::AndroidId,
        IdField::Idfa,
        IdField::Idfv,
        IdField::OpenUdid,
        IdField::Mac,
    ] {
        let digest = hex::<Md5>("anything");
        assert_eq!(md5(field, &digest), digest, "{}", field.name());
    }
    assert_ne!(
        device(&[(IdField::MacColonsMd5, &hex::<Md5>("00:1A:2B:3C:4D:5E"))]),
        device(&[(IdField::Mac, "001A2B3C4D5E")])
    );
}

#[test]
fn a_digest_gets_its_lost_zeros_back() {
    let full = format!("000{}", &hex::<Sha256>("x")[..61]);
    for (length, form) in [(32, Form::Md5), (40, Form::Sha1), (64, Form::Sha256)] {
        let digest = &full[..length];
        for lost in 0..=3 {
            let found = reduced(IdField::ImeiMd5, &digest[lost..].to_uppercase());
            assert_eq!(found, Ok((IdKind::Imei, form, digest.to_owned())), "{length} − {lost}");
        }
        assert_eq!(reduced(IdField::ImeiMd5, &digest[4..]), Err(Unusable::Shape));
        assert_eq!(
            reduced(IdField::ImeiMd5, &format!("0{}", full.repeat(2).get(..length).unwrap())),
            Err(Unusable::Shape)
        );
    }
}

#[test]
fn the_md5_field_takes_an_imei_padded_to_its_length() {
    for padded in ["00000000000000000868049039501257", "86804903950125700000000000000000"] {
        assert_eq!(device(&[(IdField::ImeiMd5, padded)]), device(&[(IdField::Imei, IMEI)]));
    }
}

#[test]
fn a_caid_is_value_and_version() {
    let with = |value: &'static str, version: Option<&'static str>| {
        let mut hit = hit(&[(IdField::Caid, value)]);
        hit.caid_version = version.map(str::as_bytes);
        identify(&hit, Platform::Ios, &keys(), &Remap::NONE)
    };
    let one = with(CAID, Some("20230330"));
    assert_eq!(with("20230330_4F5E6A7B8C9D0E1F2A3B4C5D6E7F8091", None).device, one.device);
    assert_eq!(with("20230330_4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091", Some("20220111")).device, one.device);
    assert_ne!(with(CAID, Some("20220111")).device, one.device);
    assert_ne!(with(CAID, None).device, one.device);
    assert_eq!(with(CAID, Some("20220111")).opt_out, one.opt_out, "an opt-out holds for every version");
    let mut hashed = hit(&[(IdField::CaidMd5, "1e5088be3a9a8912ed5edc8eb9d0b919")]);
    hashed.caid_version = Some(b"20230330");
    assert_eq!(identify(&hashed, Platform::Ios, &keys(), &Remap::NONE).device, one.device);
    for wrong in [
        "_4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091",
        "2023_0330_4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091",
        "4f5e6a7b8c9d0e1f2a3b4c5d6e7f809g",
    ] {
        assert_eq!(reduced(IdField::Caid, wrong), Err(Unusable::Shape), "{wrong}");
    }
}

#[test]
fn what_has_not_the_shape_of_its_kind_is_refused() {
    let long = "a1".repeat(33);
    for (field, value) in [
        (IdField::Oaid, "short12"),
        (IdField::Oaid, long.as_str()),
        (IdField::Oaid, "a1b2c3d4 e5f60718"),
        (IdField::Oaid, "a1b2c3d4%e5f60718"),
        (IdField::Oaid, "a1b2c3d4e5f6071é"),
        (IdField::OaidMd5, "1fe9a970efbb29e00bddf5db"),
        (IdField::Imei, "86804903950125A"),
        (IdField::Imei, "8680490395012"),
        (IdField::Imei, "8680490395012571"),
        (IdField::Imei, "A0000012345678"),
        (IdField::AndroidId, "a1b2c3d4e5f60718a"),
        (IdField::AndroidId, "a1b2c3d4e"),
        (IdField::AndroidId, "g1b2c3d4e5f60718"),
        (IdField::Aaid, "7268ceb05411-4004-b7cb-bd1fee4b6277"),
        (IdField::Idfa, "3E0046F7-8BD4-4F3E-9F91-358B137D2BFG"),
        (IdField::Idfa, "3E0046F7_8BD4_4F3E_9F91_358B137D2BF0"),
        (IdField::Mac, "00:1a:2b:3c:4d"),
        (IdField::Mac, "00:1a-2b:3c:4d:5e"),
        (IdField::Mac, "00.1a.2b.3c.4d.5e"),
        (IdField::Mac, "001a2b3c4d5g"),
        (IdField::OpenUdid, "0a1b2c3d4e5f60718293a4b5c6d7e8f90123456g"),
        (IdField::Cookie, "two words"),
        (IdField::ImeiMd5, "86804903950125A"),
    ] {
        assert_eq!(reduced(field, value), Err(Unusable::Shape), "{} {value}", field.name());
        let identity = identity(Platform::Unknown, &[(field, value)]);
        assert!(identity.device.is_none() && identity.opt_out.is_empty());
        assert_eq!(identity.flags, flag::ID_BAD);
    }
}

/// Every field in which a value could be sent.
fn refused_everywhere(value: &str) {
    for field in IdField::ALL {
        assert!(reduced(field, value).is_err(), "{} {value:?}", field.name());
    }
}

const BAD_VALUES: &str = "0 00000000 000000000000 00000000000000 000000000000000 0000000000000000 00000000000000000000000000000000 \
    00000000-0000-0000-0000-000000000000 00:00:00:00:00:00 02:00:00:00:00:00 020000000000 9774d56d682e549c \
    9774D56D682E549C null NULL Null nUlL (null) unknown UNKNOWN Unknown unknow undefined None -1 -2 空值 OAID \
    oaid IMEI 812345678912345 111111111111 111111111111111 ffffffffffffffff FFFFFFFFFFFFFFFF \
    ff:ff:ff:ff:ff:ff FF:FF:FF:FF:FF:FF __OAID__ __OAID1__ __IDFA__ __IDFV__ __MAC1__ __ANDROIDID__ \
    __ANDROIDID1__ __AAID__ __CAID__ __OPENUDID__ __DUID__ __MUID__ __OAID_MD5__ __HASH_OAID__ \
    __HASH_ANDROID_ID__ __IDFAMD5__ {{IMEI}} {{OAID}} {IMEI} {IDFA} [imei] [idfa] ${IMEI} [M_MAC] %%OAID%% \
    $IMEI __oaid__ __Imei__ __AndroidID__ ---- -- _ ::";

#[test]
fn bad_values_never_become_a_device_in_any_form() {
    for value in BAD_VALUES.split(' ') {
        refused_everywhere(value);
        let md5 = hex::<Md5>(value);
        if value == "nUlL" || value.chars().all(|c| "-_:".contains(c)) {
            continue;
        }
        for digest in [md5.clone(), hex::<Sha1>(value), hex::<Sha256>(value), hex::<Sha256>(&md5)] {
            for field in IdField::ALL
                .into_iter()
                .filter(|field| field.kind() != IdKind::Oaid || field.name().ends_with("md5"))
            {
                for form in [digest.clone(), digest.to_uppercase()] {
                    assert!(
                        reduced(field, &form).is_err() || is_taken_raw(field, &form),
                        "{} of {value:?}",
                        field.name()
                    );
                }
            }
        }
    }
}

/// A digest in these fields is read as a raw identifier of the same length.
fn is_taken_raw(field: IdField, value: &str) -> bool {
    match field {
        IdField::Cookie => true,
        IdField::Caid => value.len() == 32,
        IdField::OpenUdid => value.len() == 40,
        _ => false,
    }
}

/// From vendors' documents and a media platform's published list; among them two whose value nobody knows.
const PUBLISHED_DIGESTS: &str = "d41d8cd98f00b204e9800998ecf8427e e3f5536a141811db40efd6400f1d0a4e 5284047f4ffb4e04824a2fd1d1f0cd62 \
    37a6259cc0c1dae299a7866489dff0bd 6c3e226b4d4795d518ab341b0824ec29 dd4b21e9ef71e1291183a46b913ae6f2 \
    1e4a1b03d1b6cd8a174a826f76e009f4 9f89c84a559f573636a47ff8daed0d33 4b997118e2db4480b95d28cc741b3917 \
    ad921d60486366258809553a3db49a4a cfcd208495d565ef66e7dff9f98764da cd9e459ea708a948d5c2f5a6ca8838cf \
    cf95dc53f383f9a836fd749f3ef439cd c47532bbb1e2883c902071591ae1ec9b 528c8e6cd4a3c6598999a0e9df15ad32 \
    35b9ab5a36f3234dd26db357fd4a0dc1 0ed86b8d2dfe3691c7e6c7f081c8e667 5c940de9c166a32dc1f63d9dafc6822f \
    87fc1283f74ea0948df256cd5631bed5 bbb93ef26e3c101ff11cdd21cab08a94 88183b946cc5f0e8c96b2e66e1c74a7e \
    6adf97f83acf6453d4a6a4b1070f3754 a4d2f177eb466a7d08f8f2b340b77129 6bb61e3b7bce0931da574d19d1d82c88 \
    5d7b9adcbe1c629ec722529dd12e5129 593c9b4a9390551d53e5cacf28ebd638 a261c265df3a6d24b5ad3cc1ddafd8e6 \
    6f02d73ef17f7fdcfb22c75ecac4f005 6e0d8da38b72b0a55a28f0764389a1e7 b87983b9fac1e3a2f93678cea2bda73b \
    a98bd7f18dfc3465bdbd36b8582ee7ad 3ac0af175f6fd85f26aacac1b2b70897 1d9316b4fe1da5d5ea1315db95d8202f \
    afbb28e3ac9747a2b9f92e82725974d5 7160a37ade116cc671543f01093adb47 16f40f9d1f703e3e22f2b783b78852dc \
    c996ad2f182c0df734857778314c85c7 8a7b7ca322e02750b792c947e2d72399 3ef4a95438ef95eea7f099e988edb16f \
    f1f0eb8c5d47f4d3e344ac86ca54452a e6492d37a475229d1a7bd42d2748e3ad 61d871d99e1db426482e0cf72978f6bf \
    ba9c9819241abc6c425edad28d4b50e2 296b50438e650cbe3c04db191dacc550 d5ca38fe81f3ab88e1c87a45ad4a449a \
    3c9c62d45d57c448c0535dad027025b7 c51291225ac28b94a9d3b0bf81fe8c56 60386d4928ddef4b525a012dec5042a9 \
    cc7e38fd8866d3e8231662e809728c59 f96a5d936c9539114d696237f32d963d e2c0780097033a597f0e02d99e1ce5c6 \
    288dcfe74ef658d505a3b836e494ca70 c45d94b063f229ff5918a22e39111fab 3a6bff0799c7389f522f3847c33a468f \
    81684c2e68ade2cd4bf9f2e8a67dd4fe";

#[test]
fn published_digests_of_bad_values() {
    for digest in PUBLISHED_DIGESTS.split(' ') {
        for field in
            [IdField::OaidMd5, IdField::ImeiMd5, IdField::MacColonsMd5, IdField::IdfaMd5, IdField::Idfv]
        {
            assert!(matches!(reduced(field, digest), Err(Unusable::Bad | Unusable::Zero)), "{digest}");
        }
    }
}

#[test]
fn good_values_that_look_a_little_like_bad_ones() {
    for (field, value) in [
        (IdField::Oaid, "nullabcd"),
        (IdField::Cookie, "null-1"),
        (IdField::Cookie, "1"),
        (IdField::Cookie, "0x1"),
        (IdField::Cookie, "__abc"),
        (IdField::Imei, "000000000000001"),
        (IdField::Mac, "02:00:00:00:00:01"),
        (IdField::AndroidId, "9774d56d682e549d"),
        (IdField::Idfa, "00000000-0000-0000-0000-000000000001"),
    ] {
        assert!(reduced(field, value).is_ok(), "{} {value}", field.name());
    }
}

#[test]
fn the_platform_chooses_the_device() {
    use IdKind::{Aaid, AndroidId, Caid, Cookie, Idfa, Idfv, Imei, Mac, Oaid, OpenUdid};
    let all = [
        (IdField::Oaid, OAID),
        (IdField::Imei, IMEI),
        (IdField::Aaid, GAID),
        (IdField::AndroidId, "00a1b2c3d4e5f607"),
        (IdField::Mac, "001A2B3C4D5E"),
        (IdField::Idfa, IDFA),
        (IdField::Caid, CAID),
        (IdField::Idfv, "4E0046F7-8BD4-4F3E-9F91-358B137D2BF0"),
        (IdField::OpenUdid, UDID),
        (IdField::Cookie, "D2EHBh9~b29"),
    ];
    let order = |platform: Platform| {
        let mut left = all.to_vec();
        let mut kinds = Vec::new();
        while let Some(device) = identity(platform, &left).device {
            kinds.push(device.kind);
            left.retain(|(field, _)| field.kind() != device.kind);
        }
        assert!(left.is_empty());
        kinds
    };
    assert_eq!(
        order(Platform::Android),
        [Oaid, Imei, Aaid, AndroidId, Mac, OpenUdid, Cookie, Idfa, Caid, Idfv]
    );
    assert_eq!(order(Platform::Ios), [Idfa, Caid, Idfv, OpenUdid, Cookie, Oaid, Imei, Aaid, AndroidId, Mac]);
    assert_eq!(
        order(Platform::Unknown),
        [Oaid, Imei, Aaid, AndroidId, Mac, Idfa, Caid, Idfv, OpenUdid, Cookie]
    );
    assert_eq!(order(Platform::Pc)[0], Cookie);
    for platform in Platform::ALL {
        assert_eq!(order(platform).len(), all.len());
        let kinds: HashSet<_> = preference(platform).iter().collect();
        assert_eq!(kinds.len(), IdKind::ALL.len(), "every kind has its place");
        assert_eq!(
            identity(platform, &all).opt_out.len(),
            all.len() + 1,
            "every id is looked up, a raw MAC twice"
        );
    }
}

#[test]
fn the_next_usable_identifier_stands_in_for_a_bad_one() {
    let identity = identity(
        Platform::Android,
        &[(IdField::OaidMd5, "0ed86b8d2dfe3691c7e6c7f081c8e667"), (IdField::Imei, IMEI)],
    );
    assert_eq!(identity.device.map(|device| device.kind), Some(IdKind::Imei));
    assert_eq!((identity.flags, identity.opt_out.len()), (flag::ID_USABLE, 1));
}

#[test]
fn without_an_identifier_nothing_is_flagged() {
    let identity = identity(Platform::Android, &[]);
    assert!(identity.device.is_none() && identity.opt_out.is_empty());
    assert_eq!(identity.flags, 0);
}

#[test]
fn a_sha_digest_is_chosen_only_when_there_is_nothing_better() {
    let sha = hex::<Sha256>(IMEI);
    let alone = identity(Platform::Android, &[(IdField::ImeiMd5, &sha)]);
    assert_eq!(alone.flags, flag::ID_SHA_ONLY | flag::ID_USABLE);
    assert_eq!(alone.device.map(|device| device.kind), Some(IdKind::Imei));
    assert_ne!(alone.device, device(&[(IdField::Imei, IMEI)]));
    let beside = identity(Platform::Android, &[(IdField::ImeiMd5, &sha), (IdField::Cookie, "D2EHBh9~b29")]);
    assert_eq!(
        (beside.flags, beside.device.map(|device| device.kind)),
        (flag::ID_USABLE, Some(IdKind::Cookie))
    );
    assert_eq!(beside.opt_out.len(), 2);
}

#[test]
fn zeros_say_that_the_person_limits_tracking() {
    use Platform::{Android, Ios, Unknown};
    let zero = "00000000-0000-0000-0000-000000000000";
    let zero_md5 = "9f89c84a559f573636a47ff8daed0d33";
    let limited = |platform, ids: &[(IdField, &str)]| {
        let identity = identity(platform, ids);
        assert_eq!(identity.flags & flag::WITHHELD_LMT != 0, identity.device.is_none());
        identity.device.is_none()
    };
    assert!(limited(Android, &[(IdField::Oaid, zero), (IdField::Imei, IMEI)]));
    assert!(limited(Android, &[(IdField::OaidMd5, zero_md5), (IdField::Imei, IMEI)]));
    assert!(limited(Ios, &[(IdField::Idfa, zero), (IdField::Caid, CAID)]));
    assert!(limited(Unknown, &[(IdField::Idfa, zero), (IdField::Idfv, IDFA)]));
    assert!(
        !limited(Android, &[(IdField::Idfa, zero), (IdField::Oaid, OAID)]),
        "not this phone's kind of id"
    );
    assert!(!limited(Ios, &[(IdField::Oaid, zero), (IdField::Caid, CAID)]));
    assert!(!limited(Unknown, &[(IdField::Idfa, zero), (IdField::Oaid, OAID)]));
    assert!(!limited(Unknown, &[(IdField::Oaid, zero), (IdField::Idfa, IDFA)]));
    assert!(
        !limited(Android, &[(IdField::Oaid, zero), (IdField::OaidMd5, &hex::<Md5>(OAID))]),
        "it is there after all"
    );
    assert!(
        !limited(Android, &[(IdField::Aaid, zero), (IdField::Oaid, OAID)]),
        "phones without that service"
    );
    let looked_up = identity(Android, &[(IdField::Oaid, zero), (IdField::Imei, IMEI)]).opt_out;
    assert_eq!(looked_up.len(), 1, "an opt-out is honoured all the same");
}

/// Which arriving forms of one identifier are in what was lodged.
fn met(lodged: &Lodged, arriving: &[(IdField, String)]) -> Vec<bool> {
    let keys = keys();
    let is_met = |(field, value): &(IdField, String)| {
        let identity = identify(&hit(&[(*field, value)]), Platform::Unknown, &keys, &Remap::NONE);
        assert!(!identity.opt_out.is_empty(), "{} {value}", field.name());
        identity.opt_out.iter().any(|hash| lodged.hashes.contains(hash))
    };
    arriving.iter().map(is_met).collect()
}

#[test]
fn what_is_lodged_meets_what_it_says_that_it_covers() {
    use ArrivingForm::{
        MacOtherSeparators, Md5 as M, OaidOtherCase, Raw, Sha1 as S1, Sha256 as S2, Sha256OfMd5 as SM,
    };
    for (kind, raw_field, digest_field, value, canonical) in [
        (IdKind::Imei, IdField::Imei, IdField::ImeiMd5, "86-804903-950125-7", IMEI),
        (IdKind::Oaid, IdField::Oaid, IdField::OaidMd5, OAID, OAID),
        (IdKind::Aaid, IdField::Aaid, IdField::AaidMd5, "7268CEB0-5411-4004-B7CB-BD1FEE4B6277", GAID),
        (IdKind::Idfa, IdField::Idfa, IdField::IdfaMd5, IDFA, IDFA),
        (IdKind::AndroidId, IdField::AndroidId, IdField::AndroidIdMd5, "A1B2C3D4E5F607", "00a1b2c3d4e5f607"),
        (IdKind::Mac, IdField::Mac, IdField::MacMd5, "00:1a:2b:3c:4d:5e", "001A2B3C4D5E"),
        (IdKind::Idfv, IdField::Idfv, IdField::Idfv, IDFA, IDFA),
    ] {
        let (md5, sha1, sha256) = (hex::<Md5>(canonical), hex::<Sha1>(canonical), hex::<Sha256>(canonical));
        let sha256_of_md5 = hex::<Sha256>(&md5);
        let arriving = [
            (raw_field, canonical.to_owned()),
            (digest_field, md5.clone()),
            (digest_field, sha1.clone()),
            (digest_field, sha256.clone()),
            (digest_field, sha256_of_md5.clone()),
        ];
        for (lodged_value, expected, covered) in [
            (value, [true, true, true, true, true], vec![Raw, M, S1, S2, SM]),
            (&md5, [true, true, false, false, true], vec![Raw, M, SM]),
            (&sha1.to_uppercase(), [false, false, true, false, false], vec![S1]),
            (&sha256, [false, false, false, true, false], vec![S2]),
            (&sha256_of_md5, [false, false, false, false, true], vec![S2]),
        ] {
            let lodged = lodge(kind, lodged_value.as_bytes(), &keys()).ok().unwrap();
            assert_eq!(met(&lodged, &arriving), expected, "{} {lodged_value}", kind.name());
            let plain = |form: &&ArrivingForm| !matches!(form, MacOtherSeparators | OaidOtherCase);
            assert_eq!(lodged.covered.iter().filter(plain).copied().collect::<Vec<_>>(), covered);
            let special = usize::from(matches!(kind, IdKind::Mac | IdKind::Oaid));
            assert_eq!(
                lodged.covered.len() + lodged.uncovered.len(),
                5 + special,
                "each form is in one of the two"
            );
        }
    }
}

/// Every kind × every form that is lodged, raw or hashed in the page × every form that arrives: what the answer says is covered is met, and what it
/// says is not covered is not.
#[test]
fn the_answer_is_true_of_every_kind_and_of_every_form() {
    use ArrivingForm::{Md5 as M, Raw, Sha1 as S1, Sha256 as S2, Sha256OfMd5 as SM};
    let mut combinations = 0;
    for (kind, raw_field, digest_field, raw) in [
        (IdKind::Oaid, IdField::Oaid, IdField::OaidMd5, OAID),
        (IdKind::Oaid, IdField::Oaid, IdField::OaidMd5, "a1b2c3d4e5f60718"),
        (IdKind::Imei, IdField::Imei, IdField::ImeiMd5, IMEI),
        (IdKind::Aaid, IdField::Aaid, IdField::AaidMd5, GAID),
        (IdKind::AndroidId, IdField::AndroidId, IdField::AndroidIdMd5, "00a1b2c3d4e5f607"),
        (IdKind::Mac, IdField::Mac, IdField::MacMd5, "001A2B3C4D5E"),
        (IdKind::MacColons, IdField::Mac, IdField::MacColonsMd5, "00:1A:2B:3C:4D:5E"),
        (IdKind::Idfa, IdField::Idfa, IdField::IdfaMd5, IDFA),
        (IdKind::Idfv, IdField::Idfv, IdField::Idfv, IDFA),
        (IdKind::Caid, IdField::Caid, IdField::CaidMd5, CAID),
        (IdKind::OpenUdid, IdField::OpenUdid, IdField::OpenUdid, UDID),
    ] {
        let (md5, sha1, sha256) = (hex::<Md5>(raw), hex::<Sha1>(raw), hex::<Sha256>(raw));
        let sha256_of_md5 = hex::<Sha256>(&md5);
        let forms: [(ArrivingForm, IdField, &str); 5] = [
            (Raw, raw_field, raw),
            (M, digest_field, &md5),
            (S1, digest_field, &sha1),
            (S2, digest_field, &sha256),
            (SM, digest_field, &sha256_of_md5),
        ];
        let lodged = lodged_in_every_form(kind, raw, &forms);
        for (name, lodged) in &lodged {
            let is_told = lodged.ambiguous || lodged.covered.contains(&Raw) != name.starts_with("sha");
            assert!(is_told, "{} {name}", kind.name());
            for (form, field, value) in &forms {
                // A SHA-256 that was lodged says of itself that it is met, whatever it was made from.
                let said = if *name == "sha256_of_md5" && *form == SM { S2 } else { *form };
                if *name == "sha256_of_md5" && *form == S2 {
                    continue;
                }
                let [is_met] = met(lodged, &[(*field, (*value).to_owned())])[..] else { panic!() };
                let what = format!("{}: lodged {name}, arrives {}", kind.name(), form.name());
                assert!(!lodged.covered.contains(&said) || is_met, "{what}: said to be covered");
                // What may be the identifier or a digest of one: the answer says that all is covered if it is the identifier.
                let is_better = lodged.ambiguous && *name == "raw";
                assert_eq!(
                    is_better && lodged.uncovered.contains(&said),
                    is_met && lodged.uncovered.contains(&said),
                    "{what}"
                );
                assert!(!is_better || is_met, "{what}: the identifier itself");
                assert!(
                    lodged.covered.contains(&said) || lodged.uncovered.contains(&said),
                    "{what}: nothing is said"
                );
                combinations += 1;
            }
        }
        // What nobody can make of a hash, and the page says so.
        let bare = raw.replace('-', "").to_lowercase();
        let [(_, in_page), ..] = &lodged[..] else { panic!() };
        if matches!(kind, IdKind::Aaid | IdKind::Idfa | IdKind::Idfv) {
            assert_eq!(in_page.uncovered[..], [ArrivingForm::RawWithoutDashes]);
            assert_eq!(met(in_page, &[(raw_field, bare.clone())]), [false], "{}", kind.name());
            let whole = lodge(kind, raw.as_bytes(), &keys()).ok().unwrap();
            assert_eq!(met(&whole, &[(raw_field, bare)]), [true], "{}", kind.name());
        } else {
            assert!(in_page.uncovered.is_empty(), "{}", kind.name());
        }
    }
    assert_eq!(combinations, 11 * (6 * 5 - 1));
}

/// What is lodged by the page's hashes, and by each form.
fn lodged_in_every_form<'f>(
    kind: IdKind,
    raw: &str,
    forms: &[(ArrivingForm, IdField, &'f str)],
) -> Vec<(&'f str, Lodged)> {
    let digests = |text: String| TextDigests {
        md5: Md5::digest(&text).into(),
        sha1: Sha1::digest(&text).into(),
        sha256: Sha256::digest(&text).into(),
    };
    let texts: Vec<TextDigests> = page_texts(kind, raw).into_iter().map(digests).collect();
    let mut lodged = vec![("in the page", lodge_hashed(kind, &texts, &keys()).ok().unwrap())];
    for (form, _, value) in forms {
        lodged.push((form.name(), lodge(kind, value.as_bytes(), &keys()).ok().unwrap()));
    }
    lodged
}

/// The canonical texts that the page's script hashes.
fn page_texts(kind: IdKind, raw: &str) -> Vec<String> {
    match kind {
        IdKind::Oaid => vec![raw.to_owned(), raw.to_lowercase(), raw.to_uppercase()],
        IdKind::Mac | IdKind::MacColons => vec!["001A2B3C4D5E".to_owned(), "00:1A:2B:3C:4D:5E".to_owned()],
        IdKind::Imei => vec![raw.to_owned(), raw[..14].to_owned()],
        _ => vec![raw.to_owned()],
    }
}

#[test]
fn a_raw_oaid_is_lodged_in_each_case_and_a_mac_both_ways() {
    let upper = OAID.to_uppercase();
    let lodged = lodge(IdKind::Oaid, OAID.as_bytes(), &keys()).ok().unwrap();
    let arriving = [
        (IdField::Oaid, upper.clone()),
        (IdField::OaidMd5, hex::<Md5>(&upper)),
        (IdField::OaidMd5, hex::<Sha256>(&upper)),
    ];
    assert_eq!(met(&lodged, &arriving), [true; 3]);
    assert!(lodged.uncovered.is_empty() && !lodged.ambiguous);
    let digest = lodge(IdKind::Oaid, hex::<Md5>(OAID).as_bytes(), &keys()).ok().unwrap();
    assert_eq!(met(&digest, &arriving), [false; 3]);
    assert!(digest.uncovered.contains(&ArrivingForm::OaidOtherCase));

    let arriving = [
        (IdField::Mac, "00-1A-2B-3C-4D-5E".to_owned()),
        (IdField::MacMd5, hex::<Md5>("001A2B3C4D5E")),
        (IdField::MacColonsMd5, hex::<Md5>("00:1A:2B:3C:4D:5E")),
    ];
    for kind in [IdKind::Mac, IdKind::MacColons] {
        let lodged = lodge(kind, b"001a2b3c4d5e", &keys()).ok().unwrap();
        assert_eq!(met(&lodged, &arriving), [true; 3]);
        let colons = lodge(kind, hex::<Md5>("00:1A:2B:3C:4D:5E").as_bytes(), &keys()).ok().unwrap();
        assert_eq!(met(&colons, &arriving), [true, false, true], "a raw MAC is looked up both ways");
        assert!(colons.uncovered.contains(&ArrivingForm::MacOtherSeparators));
    }
}

#[test]
fn a_value_that_may_be_raw_or_a_digest_is_lodged_as_both() {
    let digest = hex::<Md5>(OAID);
    let lodged = lodge(IdKind::Oaid, digest.as_bytes(), &keys()).ok().unwrap();
    assert_eq!(met(&lodged, &[(IdField::Oaid, digest.clone()), (IdField::Oaid, OAID.into())]), [true, true]);
    assert!(lodged.ambiguous && lodged.uncovered.contains(&ArrivingForm::Sha1));
    let lodged = lodge(IdKind::Caid, hex::<Md5>(CAID).as_bytes(), &keys()).ok().unwrap();
    assert_eq!(
        met(&lodged, &[(IdField::Caid, CAID.into()), (IdField::CaidMd5, hex::<Md5>(CAID))]),
        [true, true]
    );
    let lodged = lodge(IdKind::Caid, format!("20230330_{CAID}").as_bytes(), &keys()).ok().unwrap();
    assert_eq!(met(&lodged, &[(IdField::Caid, format!("20220111_{CAID}"))]), [true]);
    let lodged = lodge(IdKind::Cookie, b"D2EHBh9~b29", &keys()).ok().unwrap();
    assert_eq!(met(&lodged, &[(IdField::Cookie, "D2EHBh9~b29".into())]), [true]);
}

#[test]
fn an_imei_is_lodged_with_and_without_its_check_digit() {
    // An IMEI that specifications print as their example, and one of a vendor.
    for (device, imei) in [("49015420323751", "490154203237518"), ("35693803564380", "356938035643809")] {
        let arriving = [device, imei].map(|text| {
            [
                (IdField::Imei, text.to_owned()),
                (IdField::ImeiMd5, hex::<Md5>(text)),
                (IdField::ImeiMd5, hex::<Sha1>(text)),
                (IdField::ImeiMd5, hex::<Sha256>(text)),
                (IdField::ImeiMd5, hex::<Sha256>(&hex::<Md5>(text))),
            ]
        });
        // A wrong check digit is a slip of the pen: the device is the same.
        let slip = format!("{device}5");
        for lodged in [device, imei, &slip, &format!("{}{imei}", "0".repeat(17))] {
            let lodged = lodge(IdKind::Imei, lodged.as_bytes(), &keys()).ok().unwrap();
            assert_eq!(met(&lodged, arriving.as_flattened()), [true; 10]);
        }
    }
    let lodged = lodge(IdKind::Imei, b"490154203237518", &keys()).ok().unwrap();
    assert_eq!(met(&lodged, &[(IdField::Imei, "490154203237526".into())]), [false], "the next device");
}

#[test]
fn a_raw_mac_is_lodged_both_ways_in_both_fields() {
    let texts = ["001A2B3C4D5E", "00:1A:2B:3C:4D:5E"];
    let digests = texts.map(|text| {
        [hex::<Md5>(text), hex::<Sha1>(text), hex::<Sha256>(text), hex::<Sha256>(&hex::<Md5>(text))]
    });
    let mut arriving = vec![(IdField::Mac, texts[0].to_owned()), (IdField::Mac, texts[1].to_owned())];
    for digest in digests.as_flattened() {
        arriving.extend(
            [IdField::MacMd5, IdField::MacColonsMd5, IdField::Mac].map(|field| (field, digest.clone())),
        );
    }
    for kind in [IdKind::Mac, IdKind::MacColons] {
        for text in texts {
            let lodged = lodge(kind, text.as_bytes(), &keys()).ok().unwrap();
            assert_eq!(met(&lodged, &arriving), [true; 26]);
        }
    }
}

/// A medium that fills the raw field with a digest, as those do whose macro for the OAID is filled with its MD5.
#[test]
fn a_digest_in_the_field_of_the_raw_value_is_met() {
    let hex32 = "5DFA8E1B7C904D2E8F3A6B5C4D7E9F01";
    for (kind, field, raw) in [
        (IdKind::Oaid, IdField::Oaid, OAID),
        (IdKind::Oaid, IdField::Oaid, hex32),
        (IdKind::Caid, IdField::Caid, CAID),
        (IdKind::OpenUdid, IdField::OpenUdid, UDID),
        (IdKind::Cookie, IdField::Cookie, "D2EHBh9~b29"),
        (IdKind::Imei, IdField::Imei, IMEI),
        (IdKind::AndroidId, IdField::AndroidId, "00a1b2c3d4e5f607"),
        (IdKind::Idfa, IdField::Idfa, IDFA),
        (IdKind::Idfv, IdField::Idfv, IDFA),
        (IdKind::Aaid, IdField::Aaid, GAID),
        (IdKind::Mac, IdField::Mac, "001A2B3C4D5E"),
    ] {
        let (md5, sha1, sha256) = (hex::<Md5>(raw), hex::<Sha1>(raw), hex::<Sha256>(raw));
        let sha256_of_md5 = hex::<Sha256>(&md5);
        let in_raw_field = |digests: &[&String]| -> Vec<(IdField, String)> {
            digests.iter().flat_map(|hex| [(field, (*hex).clone()), (field, hex.to_uppercase())]).collect()
        };
        let lodged = lodge(kind, raw.as_bytes(), &keys()).ok().unwrap();
        let all = in_raw_field(&[&md5, &sha1, &sha256, &sha256_of_md5]);
        assert_eq!(met(&lodged, &all), [true; 8], "{} {raw}", kind.name());
        assert!(lodged.uncovered.is_empty() || lodged.ambiguous);
        // Of a digest that was lodged: itself, and what can be made of it.
        if kind != IdKind::Cookie {
            for text in [md5.clone(), md5.to_uppercase()] {
                let lodged = lodge(kind, text.as_bytes(), &keys()).ok().unwrap();
                assert_eq!(
                    met(&lodged, &in_raw_field(&[&md5, &sha256_of_md5])),
                    [true; 4],
                    "{}",
                    kind.name()
                );
            }
            for digest in [&sha1, &sha256, &sha256_of_md5] {
                let lodged = lodge(kind, digest.as_bytes(), &keys()).ok().unwrap();
                assert_eq!(met(&lodged, &in_raw_field(&[digest])), [true; 2], "{} {digest}", kind.name());
            }
        }
    }
    let upper = hex::<Md5>(&OAID.to_uppercase());
    let lodged = lodge(IdKind::Oaid, OAID.as_bytes(), &keys()).ok().unwrap();
    assert_eq!(met(&lodged, &[(IdField::Oaid, upper)]), [true], "hashed in the other case");
    assert!(lodged.hashes.len() <= 32, "each id has to fit many times over into a record");
    let stranger = hex::<Md5>(GAID);
    assert_eq!(met(&lodged, &[(IdField::Oaid, stranger)]), [false]);
}

#[test]
fn what_identifies_nobody_cannot_be_lodged() {
    for kind in IdKind::ALL {
        for bad in [
            "",
            "null",
            "UNKNOWN",
            "000000000000000",
            "00000000-0000-0000-0000-000000000000",
            "__IMEI__",
            "-1",
        ] {
            assert_eq!(
                lodge(kind, bad.as_bytes(), &keys()).err(),
                Some(LodgeError::Bad),
                "{} {bad}",
                kind.name()
            );
        }
        if kind != IdKind::Cookie {
            let zeros = hex::<Md5>("000000000000000");
            assert_eq!(
                lodge(kind, zeros.as_bytes(), &keys()).err(),
                Some(LodgeError::Bad),
                "{}",
                kind.name()
            );
            let long = "ab".repeat(100);
            assert_eq!(lodge(kind, long.as_bytes(), &keys()).err(), Some(LodgeError::Malformed(kind)));
        }
    }
    for wrong in ["12345", "7c0a1b2c-3d4e-4f50-8a1b-2c3d4e5f6071"] {
        let refused = lodge(IdKind::Imei, wrong.as_bytes(), &keys()).err();
        assert_eq!(refused, Some(LodgeError::Malformed(IdKind::Imei)), "{wrong}");
    }
    let message = LodgeError::Malformed(IdKind::Imei).to_string();
    assert_eq!(message, "neither a imei nor its MD5, SHA-1 or SHA-256 in hex");
}

#[test]
fn names_and_numbers_of_kinds_are_one_to_one() {
    for kind in IdKind::ALL {
        assert_eq!(IdKind::from_name(kind.name()), Some(kind));
        assert_eq!(IdKind::from_number(kind as u8), Some(kind));
    }
    assert_eq!(IdKind::from_number(0), None);
}

proptest! {
    #[test]
    fn any_value_in_any_field_is_reduced_or_refused(field in 0..IdField::COUNT, value in proptest::collection::vec(any::<u8>(), 0..140)) {
        if let Ok(id) = RawId::new(IdField::ALL[field], &value, None).reduce() {
            prop_assert!(id.hex().len() == id.form().hex_len());
            prop_assert!(id.hex().iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        }
    }

    #[test]
    fn whatever_arrives_raw_can_be_opted_out_raw(kind in 0..IdKind::ALL.len(), value in "[0-9a-fA-F]{10,64}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9]{14,15}|([0-9A-F]{2}:){5}[0-9A-F]{2}") {
        let kind = IdKind::ALL[kind];
        let field = IdField::from_name(kind.name()).unwrap_or(IdField::MacColonsMd5);
        let identity = identify(&hit(&[(field, &value)]), Platform::Unknown, &keys(), &Remap::NONE);
        match lodge(kind, value.as_bytes(), &keys()) {
            Ok(lodged) => prop_assert!(identity.opt_out.iter().all(|hash| lodged.hashes.contains(hash))),
            Err(_) => prop_assert!(identity.opt_out.is_empty()),
        }
    }
}
