//! Identifiers that come in several shapes: CAIDs of two versions, advertising ids of a declared kind, the addresses of a television.

use event::identifier::{IdKind, lodge};
use event::record::flag;

use super::*;

const NEW: &str = "4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091";
const OLD: &str = "510b5f3b90581803d7ea6b064d5895d4";
const IDFA: &str = "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0";

fn caid(field: IdField, value: &str, version: Option<&str>) -> Identity {
    let mut hit = hit(&[(field, value)]);
    hit.caid_version = version.map(str::as_bytes);
    identify(&hit, Platform::Ios, &keys(), &Remap::NONE)
}

#[test]
fn of_two_caids_the_newer_version_is_the_device_and_both_are_looked_up() {
    let new = caid(IdField::Caid, NEW, Some("20250325"));
    let old = caid(IdField::Caid, OLD, Some("20230330"));
    assert_ne!(new.device, old.device);
    for pair in [
        format!("20250325_{NEW},20230330_{OLD}"),
        format!("20230330_{OLD},20250325_{NEW}"),
        format!("20230330_{OLD}|20250325_{NEW}"),
        format!(" 20230330_{} , 20250325_{} ", OLD.to_uppercase(), NEW.to_uppercase()),
        format!(
            "[{{\"caid\":\"{NEW}\",\"version\":\"20250325\"}},{{\"caid\":\"{OLD}\",\"version\":\"20230330\"}}]"
        ),
        format!(
            "[{{\"version\": 20230330, \"caid\": \"{OLD}\"}}, {{\"version\": 20250325, \"caid\": \"{NEW}\"}}]"
        ),
        // Tencent, and Kuaishou as it was seen.
        format!(
            "[{{\"qaid\":\"{OLD}\",\"hash_qaid\":\"{}\",\"version\":\"20230330\"}},{{\"qaid\":\"{NEW}\",\"hash_qaid\":\"{}\",\"version\":\"20250325\"}}]",
            hex::<Md5>(OLD),
            hex::<Md5>(NEW)
        ),
        format!(
            "[{{\"kenyid\":\"{NEW}\",\"kenyid_MD5\":\"{0}\",\"kenyId\":\"{NEW}\",\"kenyId_MD5\":\"{0}\",\"version\":\"20250325\"}},{{\"kenyid\":\"{OLD}\",\"kenyid_MD5\":\"{1}\",\"kenyId\":\"{OLD}\",\"kenyId_MD5\":\"{1}\",\"version\":\"20230330\"}}]",
            hex::<Md5>(NEW),
            hex::<Md5>(OLD)
        ),
    ] {
        let both = caid(IdField::Caid, &pair, None);
        assert_eq!(both.device, new.device, "{pair}");
        assert_eq!(both.opt_out.len(), 2, "{pair}");
        for one in [&new, &old] {
            assert!(both.opt_out.contains(&one.opt_out[0]), "{pair}");
        }
        assert_eq!((both.flags, both.ids_usable), (flag::ID_USABLE, 1 << IdField::Caid as u32));
    }
    for digests in [
        format!("20250325_{},20230330_{}", hex::<Md5>(NEW), hex::<Md5>(OLD)),
        format!(
            "[{{\"caid_md5\":\"{}\",\"version\":\"20250325\"}},{{\"caid_md5\":\"{}\",\"version\":\"20230330\"}}]",
            hex::<Md5>(NEW),
            hex::<Md5>(OLD)
        ),
    ] {
        let both = caid(IdField::CaidMd5, &digests, None);
        assert_eq!((both.device, both.opt_out.len()), (new.device, 2), "{digests}");
    }
}

#[test]
fn who_meets_whom_while_two_versions_live() {
    let pair = format!("20250325_{NEW},20230330_{OLD}");
    let both = caid(IdField::Caid, &pair, None).device;
    assert_eq!(
        both,
        caid(IdField::Caid, &format!("20230330_{OLD},20250325_{NEW}"), None).device,
        "the order says nothing"
    );
    assert_eq!(
        both,
        caid(IdField::Caid, NEW, Some("20250325")).device,
        "a medium that sends the new one only"
    );
    assert_ne!(
        both,
        caid(IdField::Caid, OLD, Some("20230330")).device,
        "one that sends the old one only: nothing connects them"
    );
    assert_ne!(both, caid(IdField::Caid, NEW, None).device, "one that keeps the version to itself");
    // One of the pair is bad: the other is the device.
    let half = format!("20250325_{},20230330_{OLD}", "0".repeat(32));
    assert_eq!(caid(IdField::Caid, &half, None).device, caid(IdField::Caid, OLD, Some("20230330")).device);
    // Alimama writes 0 where there is no version.
    assert_eq!(caid(IdField::Caid, &format!("0_{NEW}"), None).device, caid(IdField::Caid, NEW, None).device);
    // An opt-out by either of the two, raw or MD5, or by the pair as an app has it, holds for the pair.
    let keys = keys();
    for lodged in [NEW.to_owned(), OLD.to_owned(), hex::<Md5>(OLD), format!("20230330_{OLD}"), pair.clone()] {
        let lodged = lodge(IdKind::Caid, lodged.as_bytes(), &keys).expect("good");
        assert!(caid(IdField::Caid, &pair, None).opt_out.iter().any(|hash| lodged.hashes.contains(hash)));
    }
    let lodged = lodge(IdKind::Caid, pair.as_bytes(), &keys).expect("good");
    for value in [NEW, OLD] {
        assert!(caid(IdField::Caid, value, None).opt_out.iter().all(|hash| lodged.hashes.contains(hash)));
    }
    let half_bad = format!("20230330_{OLD},20250325_{}", "0".repeat(32));
    assert!(lodge(IdKind::Caid, half_bad.as_bytes(), &keys).is_err());
    assert!(lodge(IdKind::Caid, format!("{OLD},x").as_bytes(), &keys).is_err());
}

#[test]
fn what_is_no_list_of_caids_identifies_nobody() {
    for value in [
        "[",
        "{",
        "[]",
        "[{}]",
        "[{\"caid\"}]",
        "[{\"caid\":}]",
        "[{\"caid\":\"\"}]",
        &format!("[{{\"caid\":\"{NEW}\""),
        &format!("[{{\"caid\":\"{NEW}\\u0030\"}}]"),
        &format!("[{{\"name\":\"{NEW}\"}}]"),
        &format!("[{{\"caid\":{{\"caid\":\"{NEW}\"}}]"),
        &format!("[\"{NEW}\"]"),
        ",",
        "|",
        ",,,,,,",
        "20230330_",
        "_",
        "20230330_x,20220111_y",
        &format!("2023033020230330a_{NEW}"),
    ] {
        let identity = caid(IdField::Caid, value, None);
        assert!(identity.device.is_none() && identity.opt_out.is_empty(), "{value}");
        assert_eq!(identity.flags, flag::ID_BAD, "{value}");
    }
    let many: Vec<String> = (100..140).map(|n| format!("{n}_{}", hex::<Md5>(n.to_string()))).collect();
    assert_eq!(caid(IdField::Caid, &many.join(","), None).opt_out.len(), 4, "no list is longer");
}

#[test]
fn an_advertising_id_is_of_its_declared_kind() {
    let with = |value: &str, ifa_type: Option<&str>, platform| {
        let mut hit = hit(&[(IdField::Ifa, value)]);
        hit.ifa_type = ifa_type.map(str::as_bytes);
        identify(&hit, platform, &keys(), &Remap::NONE)
    };
    let plain = |field, value| identity(Platform::Unknown, &[(field, value)]).device;
    for (ifa_type, platform, field, value) in [
        (Some("idfa"), Platform::Unknown, IdField::Idfa, IDFA),
        (Some("IDFA"), Platform::Tv, IdField::Idfa, IDFA),
        (Some("aaid"), Platform::Ios, IdField::Aaid, IDFA),
        (Some("gaid"), Platform::Android, IdField::Aaid, IDFA),
        (Some("adid"), Platform::Android, IdField::Aaid, IDFA),
        (Some("oaid"), Platform::Android, IdField::Oaid, NEW),
        (Some("idfv"), Platform::Ios, IdField::Idfv, IDFA),
        (None, Platform::Ios, IdField::Idfa, IDFA),
        (None, Platform::Android, IdField::Aaid, IDFA),
        (None, Platform::Tv, IdField::Aaid, IDFA),
        (Some(""), Platform::Unknown, IdField::Aaid, IDFA),
    ] {
        let found = with(value, ifa_type, platform);
        assert_eq!(found.device, plain(field, value), "{ifa_type:?} {platform:?}");
        assert_eq!((found.flags, found.ids_usable), (flag::ID_USABLE, 1 << IdField::Ifa as u32));
    }
    for ifa_type in
        ["rida", "tifa", "afai", "vida", "lgudid", "msai", "psnai", "ppid", "dpid", "sessionid", "x"]
    {
        let found = with(IDFA, Some(ifa_type), Platform::Tv);
        assert!(found.device.is_none(), "{ifa_type}");
        assert_eq!(found.opt_out.len(), 4, "looked up as every kind that it may be: {ifa_type}");
        assert_eq!((found.flags, found.ids_present), (flag::ID_BAD, 1 << IdField::Ifa as u32));
    }
    // Zeros in it say that the person limits tracking, where that kind says so.
    let zero = "00000000-0000-0000-0000-000000000000";
    assert_eq!(with(zero, Some("idfa"), Platform::Ios).flags, flag::ID_BAD | flag::WITHHELD_LMT);
    assert_eq!(with(zero, None, Platform::Ios).flags, flag::ID_BAD | flag::WITHHELD_LMT);
    assert_eq!(with(zero, Some("aaid"), Platform::Android).flags, flag::ID_BAD);
    // Whatever it is said to be, the opt-out of the person holds.
    for (kind, lodged) in
        [(IdKind::Idfa, IDFA), (IdKind::Idfv, IDFA), (IdKind::Aaid, IDFA), (IdKind::Oaid, IDFA)]
    {
        let lodged = lodge(kind, lodged.as_bytes(), &keys()).ok().unwrap().hashes;
        for ifa_type in [None, Some("idfa"), Some("aaid"), Some("rida"), Some("google")] {
            for platform in Platform::ALL {
                let found = with(IDFA, ifa_type, platform).opt_out;
                assert!(found.iter().any(|hash| lodged.contains(hash)), "{kind:?} {ifa_type:?} {platform:?}");
            }
        }
    }
    // The same id once more in its own parameter is looked up once.
    let mut twice = hit(&[(IdField::Ifa, IDFA), (IdField::Idfa, IDFA)]);
    twice.ifa_type = Some(b"idfa");
    assert_eq!(identify(&twice, Platform::Ios, &keys(), &Remap::NONE).opt_out.len(), 4);
}

#[test]
fn a_televisions_further_addresses_are_addresses() {
    let (bare, colons) = ("001A2B3C4D5E", "00:1A:2B:3C:4D:5E");
    let plain = identity(Platform::Tv, &[(IdField::Mac, bare)]);
    assert_eq!(plain.opt_out.len(), 2, "a raw address is looked up in both spaces");
    for field in [IdField::Mac2, IdField::Mac3, IdField::Mac4, IdField::MacMd5, IdField::MacColonsMd5] {
        for raw in [bare, colons, "00-1a-2b-3c-4d-5e", "001a2b3c4d5e"] {
            let found = identity(Platform::Tv, &[(field, raw)]);
            assert_eq!(
                (found.device, &found.opt_out),
                (plain.device, &plain.opt_out),
                "{} {raw}",
                field.name()
            );
        }
    }
    for field in [IdField::Mac2, IdField::Mac3, IdField::Mac4] {
        let found = identity(Platform::Tv, &[(field, &hex::<Md5>(bare))]);
        assert_eq!((found.device, found.opt_out.len()), (plain.device, 1));
    }
    // Several addresses of one set: the first is the device, all are looked up.
    let second = "001A2B3C4D5F";
    let both =
        identity(Platform::Tv, &[(IdField::Mac, bare), (IdField::Mac2, second), (IdField::Mac3, colons)]);
    assert_eq!((both.device, both.opt_out.len()), (plain.device, 4));
    let only_second = identity(Platform::Tv, &[(IdField::Mac, "02:00:00:00:00:00"), (IdField::Mac2, second)]);
    assert_eq!(only_second.device, identity(Platform::Tv, &[(IdField::Mac, second)]).device);
}

#[test]
fn a_limited_hit_still_says_that_a_usable_identifier_was_there() {
    let zero = "00000000-0000-0000-0000-000000000000";
    let limited = identity(Platform::Android, &[(IdField::Oaid, zero), (IdField::Imei, "868049039501257")]);
    assert!(limited.device.is_none());
    assert_eq!(limited.flags, flag::WITHHELD_LMT | flag::ID_USABLE);
    assert_eq!(limited.ids_usable, 1 << IdField::Imei as u32);
}
