//! No value of `fixtures/bad_ids.tsv` is a device, in whatever form, case, padding, field, dialect or profile it comes.

use std::collections::BTreeSet;

use event::dialect::{Dialects, LinkFor};
use event::hit::Field;
use event::identifier::IdKind;
use event::profile::Profiles;
use event::stage::Stage;

use super::*;

const BAD_IDS: &str = include_str!("../fixtures/bad_ids.tsv");

/// The values and the published digests of the file.
fn rows() -> (Vec<&'static str>, Vec<&'static str>) {
    let (mut raw, mut md5) = (Vec::new(), Vec::new());
    for line in BAD_IDS.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let value = columns.next().unwrap();
        // A question mark stands for a value that nobody knows.
        raw.extend((value != "?").then_some(value));
        md5.extend(columns.nth(1));
    }
    assert_eq!((raw.len(), md5.len()), (53, 55), "the file is read whole");
    (raw, md5)
}

/// A value as it is, in other cases, filled up with zeros, and without those that it began with.
fn disguises(value: &str) -> BTreeSet<String> {
    let padding = "0".repeat(32_usize.saturating_sub(value.chars().count()));
    let forms = [
        value.to_owned(),
        format!("{padding}{value}"),
        format!("{value}{padding}"),
        value.trim_start_matches('0').to_owned(),
        format!(" {value} "),
    ];
    forms
        .iter()
        .flat_map(|form| [form.clone(), form.to_lowercase(), form.to_uppercase(), mixed(form)])
        .collect()
}

/// Hex in each case, and without up to three zeros at its head.
fn hex_disguises(hex: &str) -> BTreeSet<String> {
    let zeros = hex.len() - hex.trim_start_matches('0').len();
    (0..=zeros.min(3))
        .flat_map(|lost| [hex[lost..].to_owned(), hex[lost..].to_uppercase(), mixed(&hex[lost..])])
        .collect()
}

/// Everything that must not become a device.
fn everything() -> BTreeSet<String> {
    let (raw, md5) = rows();
    let mut all = BTreeSet::new();
    for value in raw {
        all.extend(disguises(value));
        // What was hashed: the value, in each case; and filled up to the length of a digest.
        let padding = "0".repeat(32_usize.saturating_sub(value.chars().count()));
        for hashed in [
            value.to_owned(),
            value.to_lowercase(),
            value.to_uppercase(),
            format!("{padding}{value}"),
            format!("{value}{padding}"),
        ] {
            all.extend(digests(&hashed).iter().flat_map(|digest| hex_disguises(digest)));
        }
    }
    for digest in md5 {
        all.extend(hex_disguises(digest));
        all.extend(hex_disguises(&hex::<Sha256>(digest)));
    }
    all
}

#[test]
fn no_bad_value_is_a_device_in_any_field() {
    let (keys, all) = (keys(), everything());
    assert!(all.len() > 2000, "{}", all.len());
    for value in &all {
        for field in IdField::ALL {
            let mut hit = hit(&[(field, value)]);
            for ifa_type in [None, Some("oaid"), Some("idfa"), Some("aaid")] {
                hit.ifa_type = ifa_type.map(str::as_bytes);
                let identity = identify(&hit, Platform::Unknown, &keys, &Remap::NONE);
                let what = format!("{} {value:?}", field.name());
                assert!(identity.device.is_none() && identity.opt_out.is_empty(), "{what}");
                assert_eq!(identity.ids_usable, 0, "{what}");
                if field != IdField::Ifa {
                    break;
                }
            }
        }
    }
}

#[test]
fn no_bad_value_is_a_device_in_a_list_of_caids() {
    let keys = keys();
    for value in everything() {
        for list in [
            format!("20230330_{value}"),
            format!("20230330_{value},20220111_{value}"),
            format!("20230330_{value}|{value}"),
            format!("[{{\"caid\":\"{value}\",\"version\":\"20230330\"}}]"),
            format!("[{{\"hash_qaid\":\"{value}\",\"version\":\"20230330\"}}]"),
        ] {
            for field in [IdField::Caid, IdField::CaidMd5] {
                let identity = identify(&hit(&[(field, &list)]), Platform::Ios, &keys, &Remap::NONE);
                assert!(identity.device.is_none() && identity.opt_out.is_empty(), "{} {list}", field.name());
            }
        }
    }
}

/// By a whole URL: the native dialect's names, and every other parameter of any dialect that holds an identifier.
#[test]
fn no_bad_value_is_a_device_through_a_url() {
    let (keys, all) = (keys(), everything());
    let native = Dialects::built_in().get("native").unwrap();
    // A few hundred values and every field of a URL at once: the fields do not know of each other.
    for (number, value) in all.iter().enumerate() {
        let ids: Vec<String> =
            IdField::ALL.iter().map(|field| format!("{}={}", field.name(), escaped(value))).collect();
        let query = format!("c=demo&p=p1&{}", ids.join("&"));
        let platform = Platform::ALL[number % Platform::ALL.len()];
        let identity = identity_of_query(native, &query, platform, &Remap::NONE, &keys);
        assert!(identity.device.is_none() && identity.opt_out.is_empty(), "{value:?}");
    }
}

/// By an impression link of every other dialect that carries identifiers, each of its parameters filled with the value.
#[test]
fn no_bad_value_is_a_device_through_a_url_of_another_dialect() {
    let (keys, all, dialects) = (keys(), everything(), Dialects::built_in());
    let mut linked = Vec::new();
    for table in dialects.tables() {
        let wanted =
            LinkFor { stage: Stage::Impression, campaign: "demo", placement: "p1", landing_url: None };
        let link_with = |value: &str| {
            let filled = escaped(value);
            let is_id = |field| matches!(field, Field::Id(_));
            table.link(wanted, |_, field| is_id(field).then(|| filled.clone()))
        };
        // A link that a good identifier goes through.
        let good = link_with("3E0046F7-8BD4-4F3E-9F91-358B137D2BF0");
        let identity_of = |link: &str| {
            let (path, query) =
                link.split_once('?').map_or((link, None), |(path, query)| (path, Some(query)));
            let mut scratch = Scratch::new();
            let entry = dialects.route(path, query).expect(link);
            assert_eq!(entry.table.name(), table.name(), "{link}");
            let reading = entry.read(&mut scratch);
            identify(&reading.hit, Platform::Unknown, &keys, &Remap::NONE)
        };
        let Some(good) = good else { continue };
        if identity_of(&good).device.is_none() {
            continue;
        }
        // Each value goes through a few of the dialects.
        let turn = linked.len();
        linked.push(table.name());
        for (_, value) in all.iter().enumerate().filter(|(number, _)| number % 4 == turn % 4) {
            let link = link_with(value).expect("as good a link");
            let identity = identity_of(&link);
            assert!(identity.device.is_none() && identity.opt_out.is_empty(), "{} {value:?}", table.name());
        }
    }
    assert!(linked.len() >= 8, "{linked:?}");
}

#[test]
fn no_bad_value_is_a_device_for_any_medium() {
    let (keys, all) = (keys(), everything());
    let profiles: Vec<_> = Profiles::built_in().iter().collect();
    let dialects = Dialects::built_in();
    for (number, value) in all.iter().enumerate() {
        let hit = Hit { ids: [Some(value.as_bytes()); IdField::COUNT], ..Hit::default() };
        let profile = profiles[number % profiles.len()];
        for dialect in 0..dialects.tables().len() {
            for platform in [Platform::Android, Platform::Ios] {
                let identity = identify(&hit, platform, &keys, profile.remap_of_number(dialect));
                assert!(
                    identity.device.is_none() && identity.opt_out.is_empty(),
                    "{} {value:?}",
                    profile.name()
                );
            }
        }
    }
}

#[test]
fn bad_values_say_that_there_was_something() {
    let bad = identity(Platform::Android, &[(IdField::OaidMd5, "0ed86b8d2dfe3691c7e6c7f081c8e667")]);
    assert_eq!(bad.flags, event::record::flag::ID_BAD);
    assert_eq!((bad.ids_present, bad.ids_usable), (1 << IdField::OaidMd5 as u32, 0));
    let one_good = identity(
        Platform::Android,
        &[(IdField::OaidMd5, "0ed86b8d2dfe3691c7e6c7f081c8e667"), (IdField::Imei, "868049039501257")],
    );
    assert_eq!(one_good.device.unwrap().kind, IdKind::Imei);
    assert_eq!(one_good.flags, event::record::flag::ID_USABLE);
    assert_eq!(one_good.ids_present, 1 << IdField::OaidMd5 as u32 | 1 << IdField::Imei as u32);
    assert_eq!(one_good.ids_usable, 1 << IdField::Imei as u32);
}

/// Each identifier parameter of each dialect has a field: none is read past the table of bad values.
#[test]
fn identifiers_of_every_dialect_are_identifier_fields() {
    for table in Dialects::built_in().tables() {
        let mut hit = Hit::default();
        for field in IdField::ALL {
            assert_eq!(Field::from_name(field.name()), Some(Field::Id(field)));
            let _ = table.set(&mut hit, field.name(), b"null");
        }
        let identity = identify(&hit, Platform::Unknown, &keys(), &Remap::NONE);
        assert!(identity.device.is_none(), "{}", table.name());
    }
}
