//! Every form in which an identifier is lodged against every form and field in which it arrives.

use event::identifier::{ArrivingForm, IdKind, Lodged, lodge};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Raw,
    Md5,
    Sha1,
    Sha256,
    Sha256OfMd5,
}

const ALL: [Written; 5] = [Written::Raw, Written::Md5, Written::Sha1, Written::Sha256, Written::Sha256OfMd5];

fn write(raw: &str, written: Written) -> String {
    let [md5, sha1, sha256, sha256_of_md5] = digests(raw);
    match written {
        Written::Raw => raw.to_owned(),
        Written::Md5 => md5,
        Written::Sha1 => sha1,
        Written::Sha256 => sha256,
        Written::Sha256OfMd5 => sha256_of_md5,
    }
}

/// What can be made of what was lodged (DOMAIN §4: forward only).
fn is_derivable(lodged: Written, arriving: Written) -> bool {
    match lodged {
        Written::Raw => true,
        Written::Md5 => matches!(arriving, Written::Raw | Written::Md5 | Written::Sha256OfMd5),
        Written::Sha1 | Written::Sha256 | Written::Sha256OfMd5 => lodged == arriving,
    }
}

/// A kind, an identifier of it, and the fields.
type Arriving = (IdKind, &'static str, &'static [(IdField, Option<&'static str>)]);

/// One identifier of each kind that stands for it in templates, and every field in which it arrives; `ifa` with its type.
const ARRIVING: &[Arriving] = &[
    (
        IdKind::Oaid,
        "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5",
        &[(IdField::Oaid, None), (IdField::OaidMd5, None), (IdField::Ifa, Some("oaid"))],
    ),
    (IdKind::Imei, "868049039501257", &[(IdField::Imei, None), (IdField::ImeiMd5, None)]),
    (
        IdKind::Aaid,
        "7268ceb0-5411-4004-b7cb-bd1fee4b6277",
        &[
            (IdField::Aaid, None),
            (IdField::AaidMd5, None),
            (IdField::Ifa, Some("gaid")),
            (IdField::Ifa, None),
        ],
    ),
    (IdKind::AndroidId, "00a1b2c3d4e5f607", &[(IdField::AndroidId, None), (IdField::AndroidIdMd5, None)]),
    (
        IdKind::Mac,
        "001A2B3C4D5E",
        &[
            (IdField::Mac, None),
            (IdField::MacMd5, None),
            (IdField::Mac2, None),
            (IdField::Mac3, None),
            (IdField::Mac4, None),
        ],
    ),
    (IdKind::MacColons, "00:1A:2B:3C:4D:5E", &[(IdField::MacColonsMd5, None)]),
    (
        IdKind::Idfa,
        "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0",
        &[(IdField::Idfa, None), (IdField::IdfaMd5, None), (IdField::Ifa, Some("idfa"))],
    ),
    (
        IdKind::Idfv,
        "4E0046F7-8BD4-4F3E-9F91-358B137D2BF0",
        &[(IdField::Idfv, None), (IdField::Ifa, Some("idfv"))],
    ),
    (IdKind::Caid, "4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091", &[(IdField::Caid, None), (IdField::CaidMd5, None)]),
    (IdKind::OpenUdid, "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", &[(IdField::OpenUdid, None)]),
    (IdKind::Cookie, "D2EHBh9~b29", &[(IdField::Cookie, None)]),
];

fn is_met(lodged: &Lodged, field: IdField, ifa_type: Option<&str>, value: &str, keys: &KeyRing) -> bool {
    let mut hit = hit(&[(field, value)]);
    hit.ifa_type = ifa_type.map(str::as_bytes);
    let identity = identify(&hit, Platform::Unknown, keys, &Remap::NONE);
    assert!(!identity.opt_out.is_empty(), "{} {value}", field.name());
    identity.opt_out.iter().any(|hash| lodged.hashes.contains(hash))
}

#[test]
fn what_can_be_derived_is_met_in_every_field() {
    let (keys, mut checked) = (keys(), 0);
    for (kind, raw, fields) in ARRIVING {
        for lodged_as in ALL {
            // Nobody hashes a cookie's id: no dialect has a field for it.
            if *kind == IdKind::Cookie && lodged_as != Written::Raw {
                continue;
            }
            let lodged = lodge(*kind, write(raw, lodged_as).as_bytes(), &keys).expect("good");
            for (field, ifa_type) in *fields {
                for arriving_as in ALL {
                    let value = write(raw, arriving_as);
                    // A MAC in the digest's field is read as the address, whose own space is the other.
                    let is_other_space = *kind == IdKind::MacColons && arriving_as == Written::Raw;
                    let has_raw_field = *field != IdField::CaidMd5 || arriving_as != Written::Raw;
                    if !has_raw_field {
                        continue;
                    }
                    for value in [value.clone(), value.to_uppercase()] {
                        // The letter case of an OAID and of a cookie's id is part of them; an Idfa lower case meets in another test.
                        if arriving_as == Written::Raw
                            && value != write(raw, arriving_as)
                            && matches!(kind, IdKind::Cookie | IdKind::Oaid)
                        {
                            continue;
                        }
                        let expected = is_derivable(lodged_as, arriving_as);
                        let met = is_met(&lodged, *field, *ifa_type, &value, &keys);
                        let what = format!(
                            "{} lodged as {lodged_as:?}, arriving as {arriving_as:?} in {} ({ifa_type:?})",
                            kind.name(),
                            field.name()
                        );
                        assert!(met || !expected, "{what} is not met");
                        // A reading that is wrong may meet as well, never the forms of a plain digest.
                        if !expected && !lodged.ambiguous && !is_other_space {
                            assert!(!met, "{what} is met");
                        }
                        checked += 1;
                    }
                }
            }
            assert!(
                lodged_as != Written::Raw || lodged.ambiguous || lodged.covered.contains(&ArrivingForm::Raw)
            );
        }
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn another_device_is_not_met() {
    let keys = keys();
    for (kind, raw, fields) in ARRIVING.iter().filter(|(kind, ..)| *kind != IdKind::Cookie) {
        let lodged = lodge(*kind, raw.as_bytes(), &keys).expect("good");
        for (field, ifa_type) in *fields {
            for digest in digests("another device") {
                assert!(
                    !is_met(&lodged, *field, *ifa_type, &digest, &keys),
                    "{} {}",
                    kind.name(),
                    field.name()
                );
            }
        }
    }
}
