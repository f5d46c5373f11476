//! The catalog's file: what is read from it, and that each mistake is refused with its line and with what would be right.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod mistakes;

use catalog::{Catalog, PlacementState, limit};
use chrono::NaiveDate;
use event::profile::Remap;
use event::record::SourceKind;
use proptest::prelude::*;

use mistakes::{Mistake, refused};

const TEXT: &str = r#"# a catalog
[[campaign]]
id = "demo"
name = "Demo campaign"
time_zone = "Asia/Shanghai"
starts = 2026-11-01
ends = 2026-12-31
double_click_seconds = 30
landing_hosts = ["www.example.com", ".Example.org"]
[[campaign.placement]]
id = "p1"
name = "Homepage banner"
medium = "Example Video"
source = "s2s"
landing_hosts = ["shop.example.net"]
landing_page = "https://shop.example.net/"
profile = "kuaishou"
state = "trial"
signed_links = true
vast_tag = "https://ads.example.com/vast?id=7&cb=[CACHEBUSTING]"
[[campaign.placement]]
id = "p2"
name = "Second"
medium = "Example Video"
[[campaign]]
id = "bare"
name = "Bare"
time_zone = "UTC"
"#;

#[test]
fn reads_every_key() {
    let catalog = Catalog::parse(TEXT, "catalog.toml").unwrap();
    assert_eq!(catalog.campaigns.len(), 2);
    let demo = &catalog.campaigns["demo"];
    assert_eq!((demo.id.as_str(), demo.name.as_str()), ("demo", "Demo campaign"));
    assert_eq!(demo.time_zone, chrono_tz::Asia::Shanghai);
    assert_eq!(demo.starts, NaiveDate::from_ymd_opt(2026, 11, 1));
    assert_eq!(demo.ends, NaiveDate::from_ymd_opt(2026, 12, 31));
    assert_eq!(demo.double_click_seconds, 30);
    assert_eq!(demo.landing_hosts, ["www.example.com", ".example.org"]);
    let (first, second) = (&demo.placements["p1"], &demo.placements["p2"]);
    assert_eq!((first.name.as_str(), first.medium.as_str()), ("Homepage banner", "Example Video"));
    assert_eq!((first.source, second.source), (SourceKind::Server, SourceKind::Client));
    assert_eq!(first.landing_hosts, ["shop.example.net"]);
    assert_eq!(first.landing_page.as_deref(), Some("https://shop.example.net/"));
    assert_eq!(second.landing_page, None);
    assert_eq!(first.profile.as_ref().map(|profile| profile.name()), Some("kuaishou"));
    assert_eq!((first.state, second.state), (PlacementState::Trial, PlacementState::Live));
    assert!(first.signed_links && !second.signed_links);
    assert_eq!(first.vast_tag.as_deref(), Some("https://ads.example.com/vast?id=7&cb=[CACHEBUSTING]"));
    assert!(second.profile.is_none() && second.vast_tag.is_none());
    assert_eq!(second.remap(0), &Remap::NONE);
    let bare = &catalog.campaigns["bare"];
    assert_eq!((bare.starts, bare.ends, bare.double_click_seconds), (None, None, 0));
    assert!(bare.placements.is_empty() && bare.landing_hosts.is_empty());
}

#[test]
fn an_empty_file_is_an_empty_catalog() {
    assert!(Catalog::parse("# nothing yet\n", "catalog.toml").unwrap().campaigns.is_empty());
}

#[test]
fn the_version_is_of_the_text() {
    let version = |text: &str| Catalog::parse(text, "catalog.toml").unwrap().version;
    // The first 32 bits of the SHA-256 of nothing.
    assert_eq!(version(""), 0xe3b0_c442);
    assert_ne!(version(TEXT), version(&format!("{TEXT}\n")));
}

const MISTAKES: &[Mistake] = &[
    ("name = \"Demo", "naem = \"Demo", "catalog.toml:4: unknown key `naem`; did you mean `name`?"),
    ("medium =", "media =", "catalog.toml:13: unknown key `media`"),
    ("source =", "zzz =", "catalog.toml:14: unknown key `zzz` Allowed here: id, name, medium"),
    (
        "[[campaign]]
id = \"bare\"",
        "[[campaigns]]
id = \"bare\"",
        "catalog.toml:25: unknown key `campaigns`; did you mean `campaign`?",
    ),
    ("time_zone = \"Asia/Shanghai\"", "", "catalog.toml:2: `time_zone` is missing here"),
    (
        "Asia/Shanghai",
        "Asia/Shangai",
        "catalog.toml:5: time zone `Asia/Shangai` is not in the IANA time zone database; did you mean `Asia/Shanghai`?",
    ),
    ("\"Asia/Shanghai\"", "8", "catalog.toml:5: `time_zone` is integer, expected a text in quotes"),
    ("2026-11-01", "\"2026-11-01\"", "catalog.toml:6: `starts` is a day without quotes"),
    ("2026-11-01", "2026-11-01T00:00:00Z", "catalog.toml:6: `starts` is a day without quotes and time"),
    ("2026-11-01", "2026-13-01", "catalog.toml:6: "),
    ("2026-12-31", "2026-10-31", "catalog.toml:7: `ends` (2026-10-31) is before `starts` (2026-11-01)"),
    ("= 30", "= -1", "catalog.toml:8: `double_click_seconds` is a whole number of seconds from 0 to 86400"),
    ("= 30", "= 86401", "catalog.toml:8: `double_click_seconds`"),
    ("= 30", "= 1.5", "catalog.toml:8: `double_click_seconds`"),
    (
        "[\"www.example.com\", \".Example.org\"]",
        "\"www.example.com\"",
        "catalog.toml:9: `landing_hosts` is string, expected a list",
    ),
    (
        "\"www.example.com\",",
        "\"https://www.example.com\",",
        "catalog.toml:9: landing host `https://www.example.com`: a host stands without scheme",
    ),
    ("\"www.example.com\",", "\"www.example.com:8080\",", "a host stands without port"),
    ("\"www.example.com\",", "\"*.example.com\",", "a leading dot"),
    ("\"www.example.com\",", "\"www.exämple.com\",", "`xn--` form"),
    ("\"www.example.com\",", "\"www example com\",", "that is no host name"),
    ("\"www.example.com\",", "\"www.example.com.\",", "that is no host name"),
    ("\"www.example.com\",", "\".com\",", "at least two labels"),
    ("\"www.example.com\",", "\".127.0.0.1\",", "at least two labels"),
    ("\"www.example.com\",", "7,", "catalog.toml:9: `landing_hosts` is integer"),
    ("id = \"p1\"", "id = \"p 1\"", "catalog.toml:11: a placement's id has 1 to 64 characters"),
    ("id = \"demo\"", "id = \"\"", "catalog.toml:3: a campaign's id has 1 to 64 characters"),
    (
        "id = \"demo\"",
        "id = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        "catalog.toml:3: a campaign's id has 1 to 64 characters",
    ),
    ("name = \"Homepage banner\"", "name = \" \"", "catalog.toml:12: `name` has 1 to 256 bytes"),
    ("name = \"Homepage banner\"", "name = \"a\\u0007\"", "catalog.toml:12: `name` has 1 to 256 bytes"),
    ("\"s2s\"", "\"S2S\"", "catalog.toml:14: `S2S` is no kind of source: c2s, s2s or ssai"),
    (
        "https://shop.example.net/",
        "https://evil.example/",
        "catalog.toml:16: the host of `landing_page` is not registered: add \"evil.example\"",
    ),
    (
        "https://shop.example.net/",
        "shop.example.net",
        "catalog.toml:16: `landing_page` must be an http or https URL",
    ),
    ("https://shop.example.net/", "https://a@shop.example.net/", "catalog.toml:16: `landing_page` must be"),
    (
        "\"kuaishou\"",
        "\"kuaishu\"",
        "catalog.toml:17: there is no profile of a medium `kuaishu`; did you mean `kuaishou`? There are: ",
    ),
    ("\"kuaishou\"", "\"zzz\"", "catalog.toml:17: there is no profile of a medium `zzz`. There are: alimama"),
    ("\"kuaishou\"", "7", "catalog.toml:17: `profile` is integer, expected a text in quotes"),
    ("state = \"trial\"", "dialect = \"Ad Master\"", "catalog.toml:18: `Ad Master` is no name of a dialect"),
    ("\"trial\"", "\"trail\"", "catalog.toml:18: `trail` is no state of a placement: live or trial"),
    (
        "signed_links = true",
        "signed_links = \"yes\"",
        "catalog.toml:19: `signed_links` is string, expected true or false",
    ),
    (
        "https://ads.example.com/vast",
        "//ads.example.com/vast",
        "catalog.toml:20: `vast_tag` must be an http or https URL",
    ),
    ("https://ads.example.com/vast", "https://ads.example.com/a b", "catalog.toml:20: `vast_tag` must be"),
    ("https://ads.example.com/vast", "https://a@ads.example.com/", "catalog.toml:20: `vast_tag` must be"),
    ("id = \"p2\"", "id = \"p1\"", "catalog.toml:22: placement `p1` of campaign `demo` stands twice"),
    ("id = \"bare\"", "id = \"demo\"", "catalog.toml:26: campaign `demo` stands twice"),
    ("id = \"bare\"", "id = \"bare\"\nid = \"b\"", "catalog.toml:27: duplicate key: `id`"),
    ("id = \"bare\"", "id = bare", "catalog.toml:26: "),
];

#[test]
fn each_mistake_is_refused_with_line_and_remedy() {
    mistakes::are_told(TEXT, MISTAKES);
}

#[test]
fn a_missing_key_names_the_line_of_its_table() {
    assert!(
        refused(TEXT, "medium = \"Example Video\"\nsource", "source")
            .starts_with("catalog.toml:10: `medium` is missing here")
    );
}

#[test]
fn lists_have_limits() {
    let hosts: Vec<String> = (0..=limit::LANDING_HOSTS_MAX).map(|n| format!("\"h{n}.example\"")).collect();
    let message = refused(TEXT, "[\"shop.example.net\"]", &format!("[{}]", hosts.join(",")));
    assert!(message.contains("`landing_hosts` has more than 1000 hosts"), "{message}");
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = Catalog::parse(&text, "catalog.toml").map_err(|error| assert!(error.line >= 1));
    }

    #[test]
    fn any_damage_is_read_or_refused_on_a_line_of_the_file(at in 0..TEXT.len(), byte in 0x20_u8..0x7f) {
        let mut bytes = TEXT.as_bytes().to_vec();
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if let Err(error) = Catalog::parse(&text, "catalog.toml") {
            prop_assert!((1..=text.lines().count()).contains(&error.line));
        }
    }
}
