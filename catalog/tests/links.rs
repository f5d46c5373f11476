//! What is handed out is what is understood: every link of every medium in every dialect, with its macros replaced by what that medium puts
//! there, gives the device that the raw identifier gives natively; with its macros left as they are, none.

use std::collections::BTreeMap;

use catalog::Catalog;
use catalog::links::{LinkMaker, Purposes, Wanted};
use event::agent;
use event::dialect::{Dialects, Scratch};
use event::hit::{Field, Hit};
use event::identifier::{IdField, IdKind, identify};
use event::key::{DeviceKey, KeyRing};
use event::link::LinkKeys;
use event::profile::{Held, Profile, Profiles, Remap, ValueForm};
use event::record::{Platform, flag};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

const MAC: &str = "F4F5DB1A2B3C";
const MAC_COLONS: &str = "F4:F5:DB:1A:2B:3C";

/// One raw identifier of each kind.
const RAW: [(IdKind, IdField, &str); 9] = [
    (IdKind::Oaid, IdField::Oaid, "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5"),
    (IdKind::Imei, IdField::Imei, "356938035643809"),
    (IdKind::Aaid, IdField::Aaid, "38400000-8cf0-41bd-b23e-10b96e40000d"),
    (IdKind::AndroidId, IdField::AndroidId, "aef63b12c0d94e57"),
    (IdKind::Mac, IdField::Mac, MAC),
    (IdKind::Idfa, IdField::Idfa, "6D92078A-8246-4BA4-AE5B-76104861E7DC"),
    (IdKind::Caid, IdField::Caid, "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
    (IdKind::Idfv, IdField::Idfv, "599F9C00-92DC-4B5C-9464-7971F01F8370"),
    (IdKind::OpenUdid, IdField::OpenUdid, "57319d6a7bd58c2d1a4c2be5f8e4de0ab1b0a1f2"),
];

fn keys() -> KeyRing {
    let mut next = 0_u8;
    KeyRing::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(31).wrapping_add(7);
            *byte = next;
        }
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What a medium puts in the place of a macro; `None` where the test has nothing of the kind.
fn value(held: Held, is_ios: bool) -> Option<String> {
    Some(match (held.field?, held.form) {
        (Field::Id(id), form) => {
            let kind = match id.kind() {
                IdKind::MacColons => IdKind::Mac,
                // A player's advertising id is that of its system.
                _ if id == IdField::Ifa && is_ios => IdKind::Idfa,
                kind => kind,
            };
            let (_, _, raw) = RAW.into_iter().find(|(known, ..)| *known == kind)?;
            match form {
                ValueForm::Raw => raw.to_owned(),
                ValueForm::Md5 => hex(&Md5::digest(raw)),
                ValueForm::Md5Colons => hex(&Md5::digest(MAC_COLONS)),
                ValueForm::Sha1 => hex(&Sha1::digest(raw)),
                ValueForm::Sha256 => hex(&Sha256::digest(raw)),
                ValueForm::Sha256OfMd5 => hex(&Sha256::digest(hex(&Md5::digest(raw)))),
                ValueForm::Seconds | ValueForm::Milliseconds | ValueForm::DateTime => return None,
            }
        }
        (Field::Time, ValueForm::Milliseconds) => "1795305600000".to_owned(),
        (Field::Time, _) => "1795305600".to_owned(),
        (Field::Os, _) => if is_ios { "1" } else { "0" }.to_owned(),
        _ => return None,
    })
}

/// A link as the medium fires it.
fn fired(url: &str, profile: &Profile, is_ios: bool) -> String {
    let macros: BTreeMap<String, Option<String>> = profile
        .macros()
        .map(|(name, meaning)| {
            let held = meaning.on_ios.filter(|_| is_ios).unwrap_or(meaning.held);
            (profile.written(name), value(held, is_ios))
        })
        .collect();
    // The longer first: one macro may begin with another.
    let mut names: Vec<_> = macros.into_iter().collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    names.into_iter().fold(url.to_owned(), |url, (name, value)| match value {
        Some(value) => url.replace(&name, &value),
        None => url,
    })
}

/// The device of the raw identifier alone.
fn raw_key(kind: IdKind, platform: Platform, keys: &KeyRing) -> Option<DeviceKey> {
    let (_, field, raw) = RAW.into_iter().find(|(known, ..)| *known == kind)?;
    let mut hit = Hit::default();
    *hit.ids.get_mut(field as usize)? = Some(raw.as_bytes());
    identify(&hit, platform, keys, Remap::none()).device.map(|device| device.key)
}

#[test]
fn a_link_gives_the_device_of_the_raw_identifier() {
    let (dialects, profiles, keys) = (Dialects::built_in(), Profiles::built_in(), keys());
    let head = "[[campaign]]\nid = \"1000\"\nname = \"C\"\ntime_zone = \"UTC\"\n".to_owned();
    let placement = |(number, name): (usize, &str)| {
        format!(
            "[[campaign.placement]]\nid = \"{number}\"\nname = \"P\"\nmedium = \"M\"\nprofile = \"{name}\"\n"
        )
    };
    let names = profiles.iter().map(|profile| profile.name()).enumerate();
    let text = [head].into_iter().chain(names.map(placement)).collect::<Vec<_>>().concat();
    let catalog = Catalog::parse(&text, "c").expect("is right");
    let campaign = &catalog.campaigns["1000"];
    let none = LinkKeys::default();
    let maker = LinkMaker {
        base: "https://t.example",
        dialects,
        profiles,
        purposes: &Purposes::Usual,
        keys: &none,
        sign: false,
        expires: None,
    };
    let mut devices = 0;
    for (number, profile) in profiles.iter().enumerate() {
        let placement = &campaign.placements[&number.to_string()];
        for made in maker.links(campaign, placement, &Wanted::All).expect("are made") {
            for is_ios in [false, true] {
                let url = fired(&made.links[0].url, profile, is_ios);
                let target = &url["https://t.example".len()..];
                let (path, query) =
                    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
                let entry = dialects.route(path, query).expect("is routed");
                let mut scratch = Scratch::new();
                let reading = entry.read(&mut scratch);
                assert_eq!(reading.defect, None, "{url}");
                let platform = if is_ios { Platform::Ios } else { Platform::Android };
                let found = agent::platform(reading.hit.os, b"");
                assert!(found == platform || reading.hit.os.is_none(), "{url}");
                let remap = placement.remap(entry.number);
                let identity = identify(&reading.hit, platform, &keys, remap);
                let Some(device) = identity.device else { continue };
                if identity.flags & flag::ID_SHA_ONLY != 0 {
                    continue;
                }
                devices += 1;
                let what = format!("{} by {} in {}: {url}", device.kind.name(), profile.name(), made.dialect);
                // A hash with colons meets no other form.
                if device.kind != IdKind::MacColons {
                    assert_eq!(Some(device.key), raw_key(device.kind, platform, &keys), "{what}");
                }
                assert_eq!(identity.ids_usable, identity.ids_present, "{what}");
            }
        }
    }
    assert!(devices > 100, "only {devices} links gave a device");
}
