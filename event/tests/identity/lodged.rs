//! Every form in which an identifier is lodged against every form and field in which it arrives.

use event::identifier::{ArrivingForm, IdKind, LodgeError, Lodged, devices, devices_of_digests, lodge};
use event::record::Device;

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

fn device(keys: &KeyRing, field: IdField, version: Option<&str>, value: &str) -> Device {
    let mut hit = hit(&[(field, value)]);
    hit.caid_version = version.map(str::as_bytes);
    identify(&hit, Platform::Unknown, keys, &Remap::NONE).device.expect("a usable id")
}

/// What an erasure or a copy by an id looks for holds the device of every hit that carried it in a form that an opt-out by it covers, before and
/// after rotations of the key, and no other.
#[test]
fn the_device_of_every_form_is_found_under_every_epoch() {
    let before = keys();
    let after = before
        .rotated_at(1_795_348_800, |bytes| bytes.iter_mut().zip(1..).for_each(|(byte, next)| *byte = next));
    let after = after.expect("room for an epoch");
    let mut checked = 0;
    for (kind, raw, fields) in ARRIVING {
        for lodged_as in [Written::Raw, Written::Md5] {
            if *kind == IdKind::Cookie && lodged_as != Written::Raw {
                continue;
            }
            let found = devices(*kind, write(raw, lodged_as).as_bytes(), None, &after).expect("good");
            for (field, _) in *fields {
                for arriving_as in ALL.into_iter().filter(|form| is_derivable(lodged_as, *form)) {
                    // An address in the field of digests of the form with colons is hashed without them: a digest does not lead there.
                    let is_other_space = *kind == IdKind::MacColons && lodged_as == Written::Md5;
                    let is_nowhere = matches!(field, IdField::CaidMd5 | IdField::MacColonsMd5)
                        && arriving_as == Written::Raw
                        && (*field == IdField::CaidMd5 || is_other_space);
                    if is_nowhere || *field == IdField::Ifa {
                        continue;
                    }
                    for ring in [&before, &after] {
                        let device = device(ring, *field, None, &write(raw, arriving_as));
                        assert!(
                            found.contains(&(device.epoch, device.key)),
                            "{} lodged as {lodged_as:?}, arriving as {arriving_as:?} in {}",
                            kind.name(),
                            field.name()
                        );
                        checked += 1;
                    }
                    let [other, ..] = digests("another device");
                    let stranger = device(&after, IdField::ImeiMd5, None, &other);
                    assert!(!found.iter().any(|(_, key)| *key == stranger.key));
                }
            }
            assert_eq!(found.iter().filter(|(epoch, _)| *epoch == 1).count() * 2, found.len());
        }
    }
    assert!(checked > 150, "{checked}");
}

#[test]
fn a_caid_is_found_in_its_version_and_where_none_was_said() {
    let keys = keys();
    let value = "4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091";
    let of = |version| device(&keys, IdField::Caid, version, value).key;
    let found = |value: &str, version: Option<&str>| -> Vec<_> {
        let found = devices(IdKind::Caid, value.as_bytes(), version.map(str::as_bytes), &keys);
        found.expect("good").into_iter().map(|(_, key)| key).collect()
    };
    for found in [found(value, Some("20230330")), found(&format!("20230330_{value}"), None)] {
        assert!(found.contains(&of(Some("20230330"))) && found.contains(&of(None)));
        assert!(!found.contains(&of(Some("20220111"))), "another version is another value");
    }
    assert!(!found(value, None).contains(&of(Some("20230330"))));
}

#[test]
fn what_cannot_be_opted_out_cannot_be_erased() {
    let keys = keys();
    for (kind, value, why) in [
        (IdKind::Imei, "000000000000000", LodgeError::Bad),
        (IdKind::Idfa, "00000000-0000-0000-0000-000000000000", LodgeError::Bad),
        (IdKind::Imei, "12", LodgeError::Malformed(IdKind::Imei)),
    ] {
        assert_eq!(devices(kind, value.as_bytes(), None, &keys).err(), Some(why), "{value}");
    }
}

/// Whoever typed an identifier, or any digest of it, and shows it: what he asked for is covered by what he shows, all of it. And by nothing else.
#[test]
fn what_was_typed_in_any_form_is_covered_by_the_identifier_itself() {
    let keys = keys();
    for (kind, raw, _) in ARRIVING {
        let covers = |value: &str| -> Vec<_> {
            let own = devices(*kind, value.as_bytes(), None, &keys).expect("good");
            let digests = devices_of_digests(*kind, value.as_bytes(), None, &keys).expect("good");
            own.into_iter().chain(digests).collect()
        };
        let covered = covers(raw);
        let other = covers(&raw.replace(['2', '4'], "7"));
        for typed_as in ALL {
            let typed = write(raw, typed_as);
            for typed in [typed.to_lowercase(), typed.to_uppercase(), format!(" {typed} ")] {
                // The letter case of a cookie's id is part of it.
                if *kind == IdKind::Cookie && typed.trim() != write(raw, typed_as) {
                    continue;
                }
                let asked = devices(*kind, typed.as_bytes(), None, &keys).expect("good");
                // Nobody types the digest of a cookie's id for it: it is read as an id.
                let is_covered = asked.iter().all(|key| covered.contains(key));
                assert!(is_covered, "{} typed as {typed_as:?}: {typed}", kind.name());
                assert!(
                    !asked.iter().any(|key| other.contains(key)),
                    "{} typed as {typed_as:?}",
                    kind.name()
                );
            }
        }
    }
}
