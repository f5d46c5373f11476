//! Opt-outs and signals through whole URLs: what a sender can write around an identifier must not hide it.

use event::dialect::Dialects;
use event::identifier::{IdKind, lodge};
use event::profile::Profiles;
use event::record::{Device, flag};

use super::*;

const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
const OTHER_OAID: &str = "aaaaaaaa-efbb-29e0-0bdd-f5dbbf751ab5";
const IDFA: &str = "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0";
const OTHER_IDFA: &str = "7A0046F7-8BD4-4F3E-9F91-358B137D2BF0";
const ZERO: &str = "00000000-0000-0000-0000-000000000000";

/// The identity of a URL's hit, by the profile of its medium, if it has one.
fn identity_of(target: &str, platform: Platform, profile: Option<&str>) -> Identity {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let entry = Dialects::built_in().route(path, query).unwrap();
    let mut scratch = Scratch::new();
    let reading = entry.read(&mut scratch);
    assert_eq!(reading.defect, None, "{target}");
    let profile = profile.map(|name| Profiles::built_in().get(name).unwrap());
    let remap = profile.map_or(Remap::none(), |profile| profile.remap_of_number(entry.number));
    identify(&reading.hit, platform, &keys(), remap)
}

fn is_opted_out(identity: &Identity, kind: IdKind, lodged: &str) -> bool {
    let lodged = lodge(kind, lodged.as_bytes(), &keys()).unwrap();
    identity.opt_out.iter().any(|hash| lodged.hashes.contains(hash))
}

fn device_of(target: &str) -> Option<Device> {
    identity_of(target, Platform::Android, None).device
}

#[test]
fn a_doubled_parameter_hides_no_opt_out() {
    for (kind, lodged, target) in [
        (IdKind::Oaid, OAID, format!("/x/k=1&p=2&m11={OAID}&m11={OTHER_OAID}&o=")),
        (IdKind::Oaid, OAID, format!("/x/k=1&p=2&m11={OTHER_OAID}&m11={OAID}&m11=null&o=")),
        (IdKind::Oaid, OAID, format!("/x?k=1&p=2&m11={OAID}&m11=null&m2=8d3ebd3654fb46a2832296669cf1b536")),
        (
            IdKind::Oaid,
            OAID,
            format!("/v/?gid=gad_1_2&oa={OAID}&oa=0f3c81d17ae95b53f8a9ff2c94f2ba7b&oa={OTHER_OAID}"),
        ),
        (IdKind::Idfa, IDFA, format!("/i/a1,b2,z{IDFA},z{OTHER_IDFA},zzoocdni,h")),
        (IdKind::Idfa, IDFA, format!("/adbug/i/a1&b2&z{IDFA}&znull")),
        (IdKind::Idfa, IDFA, format!("/ddm/trackimp/N1/B1.2;dc_rdid={IDFA};dc_rdid={OTHER_IDFA}")),
        (
            IdKind::Caid,
            "4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091",
            format!(
                "/x/k=1&p=2&m14=20230330_4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091&m14=20230330_{}&o=",
                hex::<Md5>("b")
            ),
        ),
        (
            IdKind::Mac,
            "001A2B3C4D5E",
            "/rtbasia/i?c=1&p=2&rmc=00:1A:2B:3C:4D:5E&rmc=00:1A:2B:3C:4D:5F".to_owned(),
        ),
        (
            IdKind::MacColons,
            "00:1A:2B:3C:4D:5E",
            "/rtbasia/i?c=1&p=2&rmc=001A2B3C4D5E&rmc=00:1A:2B:3C:4D:5F".to_owned(),
        ),
    ] {
        for platform in Platform::ALL {
            assert!(
                is_opted_out(&identity_of(&target, platform, None), kind, lodged),
                "{target} {platform:?}"
            );
        }
        let without = target.replace(lodged, "").replace("00:1A:2B:3C:4D:5E", "").replace("001A2B3C4D5E", "");
        let stranger = identity_of(&without, Platform::Android, None);
        assert!(!is_opted_out(&stranger, kind, lodged), "{target}");
    }
}

#[test]
fn of_a_doubled_parameter_the_last_usable_value_is_the_device() {
    let single = |id: &str| device_of(&format!("/x/k=1&p=2&m11={id}&o="));
    for (ids, device) in [
        (&[OAID, OTHER_OAID][..], OTHER_OAID),
        (&[OTHER_OAID, OAID], OAID),
        (&[OTHER_OAID, OAID, "null"], OAID),
        (&[OTHER_OAID, OAID, "__OAID__", "0ed86b8d2dfe3691c7e6c7f081c8e667", "-1"], OAID),
        (&[ZERO, OAID], OAID),
    ] {
        let items = ids.iter().fold(String::new(), |items, id| items + "&m11=" + id);
        let identity = identity_of(&format!("/x/k=1&p=2{items}&o="), Platform::Android, None);
        assert_eq!(identity.device, single(device), "{ids:?}");
        assert!(identity.device.is_some());
        assert_eq!((identity.flags, identity.ids_usable), (flag::ID_USABLE, 1 << IdField::Oaid as u32));
    }
    // Who came to limit tracking after the template was filled limits it.
    for last in ["", "&m11=null"] {
        let limited =
            identity_of(&format!("/x/k=1&p=2&m11={OAID}&m11={ZERO}{last}&o="), Platform::Android, None);
        assert!(limited.device.is_none() && limited.flags & flag::WITHHELD_LMT != 0);
        assert!(is_opted_out(&limited, IdKind::Oaid, OAID));
    }
}

#[test]
fn no_more_values_of_a_hit_are_overwritten_than_the_limit() {
    use event::dialect::limit::OVERWRITTEN_IDS_MAX;
    let target = |count: usize| {
        let items = (0..count).fold(String::new(), |items, n| {
            items + &format!("&m11={:016x}", 0xabcd_0000_0000_0000_u64 + n as u64)
        });
        format!("/x/k=1&p=2{items}&o=")
    };
    let defect = |target: &str| {
        let mut scratch = Scratch::new();
        Dialects::built_in().route(target, None).unwrap().read(&mut scratch).defect
    };
    assert_eq!(defect(&target(OVERWRITTEN_IDS_MAX + 1)), None);
    assert_eq!(defect(&target(OVERWRITTEN_IDS_MAX + 2)), Some(event::outcome::Outcome::Contradictory));
    // The same two in turn, however often, are two.
    let turns = format!("&m11={OAID}&m11={OTHER_OAID}").repeat(40);
    assert_eq!(defect(&format!("/x/k=1&p=2{turns}&o=")), None);
}

#[test]
fn an_opt_out_holds_whatever_the_system_is_said_to_be() {
    let idfa_md5 = hex::<Md5>(IDFA);
    let (imei, imei_md5) = ("868049039501257", hex::<Md5>("868049039501257"));
    for platform in Platform::ALL {
        for parameter in ["m2", "m5b"] {
            let of = |value: &str| {
                identity_of(&format!("/x/k=1&p=2&{parameter}={value}&o="), platform, Some("tencent"))
            };
            assert!(is_opted_out(&of(&idfa_md5), IdKind::Idfa, IDFA), "{platform:?} {parameter}");
            assert!(is_opted_out(&of(&imei_md5), IdKind::Imei, imei), "{platform:?} {parameter}");
            let doubled = format!("{idfa_md5}&{parameter}={imei_md5}");
            assert!(is_opted_out(&of(&doubled), IdKind::Idfa, IDFA), "{platform:?} {parameter}");
            // The device goes by the system; by the looks, where they tell; else there is none.
            let kind = |value: &str| of(value).device.map(|device| device.kind);
            let expected = match platform {
                Platform::Ios => Some(IdKind::Idfa),
                Platform::Android | Platform::Tv => Some(IdKind::Imei),
                Platform::Unknown | Platform::OtherMobile | Platform::Pc => None,
            };
            assert_eq!((kind(&idfa_md5), kind(&imei_md5)), (expected, expected), "{platform:?} {parameter}");
            if expected.is_none() {
                assert_eq!(
                    (kind(IDFA), kind(imei)),
                    (Some(IdKind::Idfa), Some(IdKind::Imei)),
                    "{platform:?}"
                );
                let zero = of(&hex::<Md5>(ZERO));
                assert_eq!(zero.flags, flag::ID_BAD | flag::WITHHELD_LMT, "{platform:?} {parameter}");
            }
        }
    }
}

#[test]
fn a_zero_advertising_id_limits_tracking_unless_it_is_said_to_be_androids() {
    for platform in Platform::ALL {
        for kind in ["", "&ifa_type=idfa", "&ifa_type=IDFA", "&ifa_type=oaid", "&ifa_type="] {
            let identity = identity_of(&format!("/i?c=1&p=2&ifa={ZERO}{kind}&cookie=abc"), platform, None);
            assert!(
                identity.flags & flag::WITHHELD_LMT != 0 && identity.device.is_none(),
                "{platform:?} {kind}"
            );
        }
        for kind in ["aaid", "gaid", "GAID", "adid"] {
            let target = format!("/vast/start?c=1&p=2&ifa={ZERO}&ifa_type={kind}&cookie=abc");
            let identity = identity_of(&target, platform, None);
            assert_eq!(identity.flags & flag::WITHHELD_LMT, 0, "{platform:?} {kind}");
        }
        let identity = identity_of(&format!("/ddm/trackimp/N1/B1.2;dc_rdid={ZERO}"), platform, None);
        assert!(identity.flags & flag::WITHHELD_LMT != 0, "{platform:?}");
    }
    let real = identity_of(&format!("/i?c=1&p=2&ifa={ZERO}&idfa={IDFA}"), Platform::Ios, None);
    assert!(real.device.is_some());
}

#[test]
fn a_uuid_without_its_dashes_is_met() {
    let bare = |text: &str| text.replace('-', "");
    for (kind, id, names) in [
        (IdKind::Idfa, IDFA, &["m5", "m5b"][..]),
        (IdKind::Idfv, IDFA, &["m5a"]),
        (IdKind::Aaid, "7268ceb0-5411-4004-b7cb-bd1fee4b6277", &["m4"]),
        (IdKind::Oaid, OAID, &["m11", "m11a"]),
    ] {
        for name in names {
            for written in [bare(id), bare(id).to_uppercase(), bare(id).to_lowercase()] {
                let arriving =
                    |value: &str| identity_of(&format!("/x/k=1&p=2&{name}={value}&o="), Platform::Ios, None);
                assert!(is_opted_out(&arriving(&written), kind, id), "{name}={written}");
                assert!(is_opted_out(&arriving(&written), kind, &id.to_lowercase()), "{name}={written}");
                // Whoever types it without them means the same identifier.
                if kind != IdKind::Oaid {
                    assert!(is_opted_out(&arriving(id), kind, &written), "{name}={id}, lodged as {written}");
                    assert!(is_opted_out(
                        &arriving(&hex::<Md5>(if kind == IdKind::Aaid {
                            id.to_lowercase()
                        } else {
                            id.to_uppercase()
                        })),
                        kind,
                        &written
                    ));
                }
                assert!(!is_opted_out(&arriving(OTHER_IDFA), kind, &written));
            }
        }
    }
}

#[test]
fn an_unfilled_macro_is_no_device_and_no_view() {
    for value in [
        "%257BCOOKIE%257D",
        "{{%20COOKIE%20}}",
        "{{%2520COOKIE%2520}}",
        "%3CCOOKIE%3E",
        "%23COOKIE%23",
        "%257B%257BCOOKIE%257D%257D",
        "[COOKIE%20ID]",
    ] {
        let target = format!("/i?c=1&p=2&cookie={value}&rid={value}&gid={value}");
        let (path, query) = target.split_once('?').unwrap();
        let mut scratch = Scratch::new();
        let entry = Dialects::built_in().route(path, Some(query)).unwrap();
        let hit = entry.read(&mut scratch).hit;
        assert_eq!((hit.macros_unreplaced, hit.request_id, hit.group_id), (3, None, None), "{value}");
        let identity = identify(&hit, Platform::Pc, &keys(), &Remap::NONE);
        assert!(identity.device.is_none() && identity.opt_out.is_empty(), "{value}");
    }
}
