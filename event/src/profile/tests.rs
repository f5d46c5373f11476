//! Tests of the profiles: the files of the program are sound, wrong ones are refused, and what a medium fills in is read as what it is.

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::*;
use crate::hit::Hit;
use crate::identifier::{IdKind, identify, lodge};
use crate::key::KeyRing;

fn keys() -> KeyRing {
    let mut next = 0_u8;
    KeyRing::generate(|bytes| {
        for byte in bytes {
            next = next.wrapping_mul(37).wrapping_add(11);
            *byte = next;
        }
    })
}

fn hex<D: Digest>(text: &str) -> String {
    D::digest(text).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The identifiers of the templates that Miaozhen hands out.
const TEMPLATE: &[(&str, IdField)] = &[
    ("OPENUDID", IdField::OpenUdid),
    ("ANDROIDID1", IdField::AndroidId),
    ("ANDROIDID", IdField::AndroidIdMd5),
    ("IMEI", IdField::ImeiMd5),
    ("RAWIMEI", IdField::Imei),
    ("AAID", IdField::Aaid),
    ("IDFA", IdField::Idfa),
    ("IDFV", IdField::Idfv),
    ("IDFA1", IdField::IdfaMd5),
    ("MAC1", IdField::MacColonsMd5),
    ("MAC", IdField::MacMd5),
    ("MAC2", IdField::Mac2),
    ("OAID", IdField::Oaid),
    ("OAID1", IdField::OaidMd5),
    ("CAID", IdField::Caid),
    ("CAID1", IdField::CaidMd5),
];

fn remap(profile: &str) -> Remap {
    profile_of(profile).remap_of(TEMPLATE.iter().map(|(name, field)| (*name, Field::Id(*field))))
}

fn profile_of(name: &str) -> &'static Arc<Profile> {
    Profiles::built_in().get(name).unwrap_or_else(|| panic!("{name}"))
}

/// The fields that are read as another one on every platform.
fn changes(profile: &str) -> Vec<(IdField, Option<IdField>)> {
    remap(profile).changes().map(|(field, [android, ..])| (field, android)).collect()
}

#[test]
fn every_medium_of_the_trade_is_there() {
    let names: Vec<&str> = Profiles::built_in().iter().map(|profile| profile.name()).collect();
    assert!(names.is_sorted());
    for name in [
        "standard",
        "kuaishou",
        "xiaomi",
        "oppo",
        "huawei",
        "tencent",
        "oceanengine",
        "baidu",
        "uc",
        "iqiyi",
        "weibo",
        "bilibili",
        "xiaohongshu",
        "alimama",
        "gridsum",
        "ipinyou",
        "mintegral",
        "vast",
        "zhihu",
    ] {
        assert!(names.contains(&name), "{name}");
        let profile = profile_of(name);
        assert_eq!(profile.name(), name);
        assert!(profile.macros().count() > 0 && !profile.styles().is_empty());
    }
    assert!(Profiles::built_in().get("nobody").is_none());
}

#[test]
fn a_profile_changes_only_what_its_medium_fills_otherwise() {
    use IdField::*;
    assert_eq!(changes("standard"), []);
    assert_eq!(changes("iqiyi"), []);
    assert_eq!(
        changes("kuaishou"),
        [
            (ImeiMd5, Some(Imei)),
            (AndroidIdMd5, Some(AndroidId)),
            (MacMd5, Some(Mac)),
            (Mac2, Some(MacColonsMd5))
        ]
    );
    assert_eq!(changes("gridsum"), [(Oaid, Some(OaidMd5))]);
    assert_eq!(changes("ipinyou"), [(Oaid, Some(OaidMd5))]);
    assert_eq!(changes("xiaohongshu"), [(Idfa, Some(IdfaMd5))]);
    assert_eq!(changes("uc"), [(IdfaMd5, Some(Idfa))]);
}

#[test]
fn one_macro_for_two_kinds_is_read_by_the_system() {
    use Platform::{Android, Ios, Pc, Tv, Unknown};
    let remap = remap("tencent");
    for (field, platform, held) in [
        (IdField::ImeiMd5, Android, IdField::ImeiMd5),
        (IdField::ImeiMd5, Ios, IdField::IdfaMd5),
        (IdField::ImeiMd5, Unknown, IdField::ImeiMd5),
        (IdField::IdfaMd5, Android, IdField::ImeiMd5),
        (IdField::IdfaMd5, Tv, IdField::ImeiMd5),
        (IdField::IdfaMd5, Ios, IdField::IdfaMd5),
        (IdField::IdfaMd5, Pc, IdField::IdfaMd5),
        (IdField::Oaid, Android, IdField::Oaid),
    ] {
        assert_eq!(remap.field(field, platform), Some(held), "{} {platform:?}", field.name());
    }
}

#[test]
fn nothing_is_read_where_the_medium_puts_no_identifier() {
    let text = "name = \"x\"\ntitle = { zh = \"x\", en = \"x\" }\nstyles = [\"__X__\"]\n[macros]\n\
                OAID = { holds = \"creative\" }\nIMEI = { holds = \"other\" }";
    let profiles = Profiles::with([("x.toml".into(), text.into())], Dialects::built_in().tables()).unwrap();
    let remap =
        profiles.get("x").unwrap().remap_of(TEMPLATE.iter().map(|(name, field)| (*name, Field::Id(*field))));
    let mut hit = Hit::default();
    hit.ids[IdField::Oaid as usize] = Some(b"1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5");
    hit.ids[IdField::ImeiMd5 as usize] = Some(b"8d3ebd3654fb46a2832296669cf1b536");
    let identity = identify(&hit, Platform::Android, &keys(), &remap);
    assert!(identity.device.is_none() && identity.opt_out.is_empty());
    assert_eq!((identity.flags, identity.ids_present), (0, 0));
    assert!(identify(&hit, Platform::Android, &keys(), &Remap::NONE).device.is_some());
}

/// The raw identifiers of one device, canonical.
fn raw(kind: IdKind) -> &'static str {
    match kind {
        // Its looks say nothing: it could be a digest as well.
        IdKind::Oaid => "5dfa8e1b7c904d2e8f3a6b5c4d7e9f01",
        IdKind::Imei => "868049039501257",
        IdKind::Aaid => "7268ceb0-5411-4004-b7cb-bd1fee4b6277",
        IdKind::AndroidId => "00a1b2c3d4e5f607",
        IdKind::Mac => "001A2B3C4D5E",
        IdKind::MacColons => "00:1A:2B:3C:4D:5E",
        IdKind::Idfa => "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0",
        IdKind::Idfv => "4E0046F7-8BD4-4F3E-9F91-358B137D2BF0",
        IdKind::Caid => "4f5e6a7b8c9d0e1f2a3b4c5d6e7f8091",
        IdKind::OpenUdid => "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
        IdKind::Cookie => "D2EHBh9~b29",
    }
}

/// What a medium puts there for that device.
fn filled(kind: IdKind, form: ValueForm) -> String {
    let raw = raw(kind);
    match form {
        ValueForm::Md5 | ValueForm::Md5Colons => hex::<Md5>(raw).to_uppercase(),
        ValueForm::Sha1 => hex::<Sha1>(raw),
        ValueForm::Sha256 => hex::<Sha256>(raw),
        ValueForm::Sha256OfMd5 => hex::<Sha256>(&hex::<Md5>(raw)),
        ValueForm::Raw | ValueForm::Seconds | ValueForm::Milliseconds | ValueForm::DateTime => raw.to_owned(),
    }
}

/// Whatever is handed out for a medium is understood when it comes back filled, and so is the template as Miaozhen hands it out.
#[test]
fn what_a_medium_fills_in_meets_the_device() {
    let keys = keys();
    let mut checked = 0;
    let in_tables = Dialects::built_in().tables().iter().enumerate().flat_map(|(number, table)| {
        let ids = table.macros().filter_map(|(template, field)| match field {
            Field::Id(field) => Some((template, field)),
            _ => None,
        });
        ids.map(move |(template, field)| (Some(number), template, field))
    });
    let by_hand = TEMPLATE.iter().map(|(template, field)| (None, *template, *field));
    let places: Vec<_> = in_tables.chain(by_hand).collect();
    for profile in Profiles::built_in().iter() {
        for (number, template, field) in &places {
            let remap = number
                .map_or_else(|| remap(profile.name()), |number| profile.remap_of_number(number).clone());
            let handed_out = profile.macro_for(Some(template), Field::Id(*field)).map(|(_, meaning)| meaning);
            for meaning in handed_out.into_iter().chain(profile.get(template)) {
                for platform in [Platform::Android, Platform::Ios] {
                    let on_ios = meaning.on_ios.filter(|_| platform == Platform::Ios);
                    let held = on_ios.unwrap_or(meaning.held);
                    let Some(Field::Id(id)) = held.field else { continue };
                    let kind = match (id, platform) {
                        (IdField::Ifa, Platform::Ios) => IdKind::Idfa,
                        _ => id.kind(),
                    };
                    let value = filled(kind, held.form);
                    let mut hit = Hit::default();
                    hit.ids[*field as usize] = Some(value.as_bytes());
                    let found = identify(&hit, platform, &keys, &remap);
                    let what = format!("{} {template} {} {value}", profile.name(), field.name());
                    let lodged = lodge(kind, raw(kind).as_bytes(), &keys).expect("good");
                    assert!(found.opt_out.iter().any(|hash| lodged.hashes.contains(hash)), "{what}");
                    // And it is the same device as that of a medium that sends it raw.
                    if held.form != ValueForm::Sha1 && kind != IdKind::MacColons {
                        let mut plain = Hit::default();
                        let field = IdField::from_name(kind.name()).expect("each kind has a field");
                        plain.ids[field as usize] = Some(raw(kind).as_bytes());
                        let plain = identify(&plain, platform, &keys, &Remap::NONE);
                        assert_eq!(found.device, plain.device, "{what}");
                    }
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 200, "{checked}");
}

#[test]
fn macros_are_written_as_the_medium_writes_them() {
    assert_eq!(profile_of("kuaishou").written("IMEI2"), "__IMEI2__");
    assert_eq!(profile_of("huawei").written("oaid"), "{oaid}");
    assert_eq!(profile_of("vast").written("IFA"), "[IFA]");
    let chosen = |profile: &str, template, field| {
        profile_of(profile).macro_for(template, field).map(|(name, _)| name.to_owned())
    };
    let id = Field::Id;
    assert_eq!(chosen("kuaishou", Some("IMEI"), id(IdField::ImeiMd5)).as_deref(), Some("IMEI2"));
    assert_eq!(chosen("kuaishou", Some("MAC"), id(IdField::MacMd5)).as_deref(), Some("MAC3"));
    assert_eq!(chosen("kuaishou", Some("TS"), Field::Time).as_deref(), Some("TS"));
    assert_eq!(chosen("huawei", Some("OAID"), id(IdField::Oaid)).as_deref(), Some("oaid"));
    assert_eq!(chosen("huawei", Some("TS"), Field::Time).as_deref(), Some("trace_time"));
    assert_eq!(chosen("gridsum", Some("OAID"), id(IdField::Oaid)).as_deref(), Some("OAID"));
    assert_eq!(chosen("tencent", Some("IMEI"), id(IdField::ImeiMd5)).as_deref(), Some("MUID"));
    assert_eq!(chosen("tencent", Some("IDFA1"), id(IdField::IdfaMd5)).as_deref(), Some("MUID"));
    assert_eq!(chosen("ipinyou", Some("IMEI"), id(IdField::ImeiMd5)), None);
    assert_eq!(chosen("vast", None, Field::UserAgent).as_deref(), Some("DEVICEUA"));
}

#[test]
fn files_of_ones_own_stand_beside_or_instead_of_the_programs() {
    let text = |name: &str, oaid: &str| {
        format!(
            "name = \"{name}\"\ntitle = {{ zh = \"甲\", en = \"A\" }}\nstyles = [\"$X\", \"%%X%%\"]\n[macros]\nOAID = {{ holds = \"oaid\", form = \"{oaid}\" }}"
        )
    };
    let files = [
        ("a.toml".to_owned(), text("a-medium", "sha256_of_md5")),
        ("k.toml".to_owned(), text("kuaishou", "md5")),
    ];
    let profiles = Profiles::with(files, Dialects::built_in().tables()).unwrap();
    let own = profiles.get("a-medium").unwrap();
    assert_eq!(own.title(), &Title { zh: "甲".into(), en: "A".into() });
    assert_eq!(own.written("OAID"), "$OAID");
    assert_eq!(
        own.get("oaid").unwrap().held,
        Held { field: Some(Field::Id(IdField::OaidMd5)), form: ValueForm::Sha256OfMd5 }
    );
    assert_eq!(profiles.get("kuaishou").unwrap().macros().count(), 1);
    assert!(profiles.get("standard").is_some());
    assert_eq!(own.remap_of_number(99), &Remap::NONE, "a dialect that the set was not compiled against");
    let twice = [("a.toml".to_owned(), text("b", "md5")), ("b.toml".to_owned(), text("b", "raw"))];
    let error = Profiles::with(twice, Dialects::built_in().tables()).unwrap_err().to_string();
    assert_eq!(error, "b.toml: another file is the profile `b` as well");
}

#[test]
fn a_wrong_file_is_refused() {
    let head = "name = \"x\"\ntitle = { zh = \"x\", en = \"x\" }\nstyles = [\"__X__\"]\n";
    let with = |line: &str| format!("{head}[macros]\n{line}");
    let many: Vec<String> = (0..513).map(|n| format!("M{n} = {{ holds = \"other\" }}")).collect();
    for (text, says) in [
        (
            with("A = { holds = \"imai\" }"),
            "macro `A`: `holds` is the kind of an identifier, a field of a hit, or \"other\"; `imai` is none",
        ),
        (with("A = { holds = \"imei\" }"), "macro `A`: say in which `form`"),
        (
            with("A = { holds = \"imei\", form = \"md6\" }"),
            "form `md6` does not exist; there are raw md5 md5_colons",
        ),
        (
            with("A = { holds = \"imei\", form = \"md5_colons\" }"),
            "a imei in the form md5_colons has no field",
        ),
        (with("A = { holds = \"openudid\", form = \"sha1\" }"), "a openudid in the form sha1 has no field"),
        (with("A = { holds = \"cookie\", form = \"md5\" }"), "has no field"),
        (with("A = { holds = \"mac_colons\", form = \"md5\" }"), "has no field"),
        (with("A = { holds = \"imei_md5\" }"), "`imei_md5` is none"),
        (with("A = { holds = \"time\" }"), "a time's `form` is seconds, milliseconds or date_time"),
        (with("A = { holds = \"time\", form = \"md5\" }"), "a time's `form`"),
        (with("A = { holds = \"ip\", form = \"md5\" }"), "`ip` has no `form`"),
        (with("A = { holds = \"other\", ios = { holds = \"idfa\" } }"), "say in which `form`"),
        (with("A = { holds = \"other\", hods = \"x\" }"), "unknown field `hods`"),
        (with("A = { holds = \"other\" }\na = { holds = \"other\" }"), "macro `a`: stands twice"),
        (with("\"1A\" = { holds = \"other\" }"), "macro `1A`: a name has up to 64 letters"),
        (with("\"A B\" = { holds = \"other\" }"), "macro `A B`: a name has"),
        (with(&format!("{} = {{ holds = \"other\" }}", "A".repeat(65))), "a name has up to 64"),
        (with(&many.join("\n")), "more than 512 macros"),
        (
            head.replace("__X__", "<X>") + "[macros]",
            "`styles` is a list of one or more of __X__ {X} {{X}} [X] ${X} %%X%% $X",
        ),
        (head.replace("\"__X__\"", "") + "[macros]", "`styles` is a list"),
        (
            head.replace("name = \"x\"", "name = \"X\"") + "[macros]",
            "`name` has 1 to 32 characters of a-z 0-9 - _",
        ),
        (head.replace("zh = \"x\"", "zh = \" \"") + "[macros]", "each `title` has 1 to 128 bytes"),
        (head.replace(", en = \"x\"", "") + "[macros]", "missing field `en`"),
        (head.to_owned(), "missing field `macros`"),
        (format!("{head}[macros]\n#{}", "x".repeat(70_000)), "longer than 65536 bytes"),
    ] {
        let error = Profiles::with([("x.toml".into(), text)], Dialects::built_in().tables())
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("x.toml: ") && error.contains(says), "{error:?}\nshould say {says:?}");
    }
}

#[test]
fn a_profile_is_proposed_by_the_name_of_a_medium_as_people_write_it() {
    let proposed =
        |medium: &str| Profiles::built_in().proposed(medium).map(|profile| profile.name().to_owned());
    for (medium, profile) in [
        ("快手", "kuaishou"),
        (" 抖音开屏", "oceanengine"),
        ("kuaishou feed", "kuaishou"),
        ("iQIYI", "iqiyi"),
        ("UC浏览器", "uc"),
        ("OPPO", "oppo"),
    ] {
        assert_eq!(proposed(medium).as_deref(), Some(profile), "{medium}");
    }
    // A word is no part of another one, and nobody's name is none.
    for medium in ["", "UCLA News", "Opposite", "Video One", "腾讯视频", "standard"] {
        assert_eq!(proposed(medium), None, "{medium}");
    }
    // Two that go by one name propose nothing.
    let twin = "name = \"twin\"\ntitle = { zh = \"T\", en = \"T\" }\nmedia = [\"快手极速版\"]\nstyles = [\"__X__\"]\n[macros]\n";
    let profiles = Profiles::with([("twin.toml".to_owned(), twin.to_owned())], Dialects::built_in().tables());
    let profiles = profiles.expect("is one");
    assert!(profiles.proposed("快手极速版").is_none() && profiles.proposed("快手").is_some());
    let blank = twin.replace("快手极速版", " ");
    assert!(Profiles::with([("twin.toml".to_owned(), blank)], Dialects::built_in().tables()).is_err());
    // Each name of a medium is one profile's.
    for profile in Profiles::built_in().iter() {
        for medium in profile.media() {
            assert_eq!(proposed(medium).as_deref(), Some(profile.name()), "{medium}");
        }
    }
}
