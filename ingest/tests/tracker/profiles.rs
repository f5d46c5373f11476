//! One device through media that fill the same template differently: one key, one opt-out.

use std::collections::HashSet;

use catalog::links::{LinkMaker, Purposes, Wanted};
use event::dialect::Dialects;
use event::identifier::IdKind;
use event::link::LinkKeys;
use event::outcome::Outcome;
use event::profile::Profiles;
use event::record::flag;

use crate::rig::Rig;

const ANDROID: &str = "Dalvik/2.1.0 (Linux; U; Android 14; 23127PN0CC Build/UKQ1.230804.001)";
const IPHONE: &str = "App/1 CFNetwork/1410.0.3 Darwin/22.6.0";
/// Its looks do not tell it from a digest.
const OAID: &str = "5dfa8e1b7c904d2e8f3a6b5c4d7e9f01";
const OAID_MD5: &str = "43e05db9d05b42ed3f6d3164739193a9";
const IDFA: &str = "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0";
const IDFA_MD5: &str = "77d06cb28c1771e8019be4f4fb6e1938";

fn rig() -> Rig {
    let rig = Rig::start();
    let mut text = "[[campaign]]\nid = \"demo\"\nname = \"Demo\"\ntime_zone = \"UTC\"\n".to_owned();
    for profile in ["", "gridsum", "ipinyou", "kuaishou", "tencent", "xiaohongshu"] {
        let (id, key) = match profile {
            "" => ("plain".to_owned(), String::new()),
            _ => (profile.to_owned(), format!("profile = \"{profile}\"\n")),
        };
        text.extend(["[[campaign.placement]]\nid = \"", &id, "\"\nname = \"P\"\nmedium = \"M\"\n", &key]);
    }
    rig.catalog.store(catalog::Catalog::parse(&text, "catalog.toml").expect("sound").into());
    rig
}

/// One identifier in Miaozhen's parameters, as each medium fills them.
const HITS: [(&str, &str, &str); 7] = [
    ("plain", ANDROID, OAID),
    ("kuaishou", ANDROID, OAID),
    ("gridsum", ANDROID, OAID_MD5),
    ("ipinyou", ANDROID, OAID_MD5),
    ("plain", IPHONE, IDFA),
    ("xiaohongshu", IPHONE, IDFA_MD5),
    ("tencent", IPHONE, IDFA_MD5),
];

fn target(placement: &str, value: &str) -> String {
    let parameter = match (placement, value) {
        // Tencent's one macro, where the template asks for the IMEI's MD5.
        ("tencent", _) => "m2",
        (_, OAID | OAID_MD5) => "m11",
        _ => "m5",
    };
    format!("/x/k=demo&p={placement}&{parameter}={value}&o=")
}

#[test]
fn media_that_fill_a_macro_differently_meet_in_one_device() {
    let rig = rig();
    let mut client = rig.connect();
    for (placement, agent, value) in HITS {
        assert!(client.get(&target(placement, value), &[("user-agent", agent)]).is_pixel());
    }
    // An item of a batch means what it says, whatever the medium's macros hold.
    let items =
        format!("[{{\"stage\":\"impression\",\"c\":\"demo\",\"p\":\"gridsum\",\"oaid\":\"{OAID}\"}}]");
    let headers = [("content-type", "application/json"), ("user-agent", ANDROID)];
    assert_eq!(client.request("POST", "/v1/events", &headers, items.as_bytes()).status, 200);
    let stored = rig.stop();
    assert_eq!(stored.count(Outcome::Accepted), 8);
    let keys = |kind: IdKind| -> HashSet<_> {
        let devices = stored.events.iter().filter_map(|event| event.device);
        devices.filter(|device| device.kind == kind).map(|device| device.key).collect()
    };
    assert_eq!((keys(IdKind::Oaid).len(), keys(IdKind::Idfa).len()), (1, 1), "two devices");
    assert!(stored.events.iter().all(|event| event.device.is_some()));
}

#[test]
fn an_opt_out_holds_whatever_the_medium_fills_in() {
    let rig = rig();
    rig.opt_out(IdKind::Oaid, OAID);
    rig.opt_out(IdKind::Idfa, IDFA_MD5);
    for (placement, agent, value) in HITS {
        assert_eq!(
            rig.outcome(&target(placement, value), &[("user-agent", agent)]),
            "accepted",
            "as it is shown"
        );
    }
    let stored = rig.stop();
    assert_eq!((stored.count(Outcome::OptedOut), stored.events.len()), (7, 0));
}

/// The impression URL that is handed out for players, as a path.
fn handed_out_to_players() -> String {
    let text = "[[campaign]]\nid = \"demo\"\nname = \"Demo\"\ntime_zone = \"UTC\"\n\
                [[campaign.placement]]\nid = \"plain\"\nname = \"P\"\nmedium = \"M\"\n";
    let catalog = catalog::Catalog::parse(text, "catalog.toml").expect("sound");
    let campaign = &catalog.campaigns["demo"];
    let maker = LinkMaker {
        base: "",
        dialects: Dialects::built_in(),
        profiles: Profiles::built_in(),
        purposes: &Purposes::Usual,
        keys: &LinkKeys::default(),
        sign: false,
        expires: None,
    };
    let made = maker.links(campaign, &campaign.placements["plain"], &Wanted::Named("vast".to_owned()));
    made.expect("are made")[0].links[0].url.clone()
}

#[test]
fn a_player_s_privacy_signals_are_asked_for_and_obeyed() {
    const IFA_OF_PLAYER: &str = "38400000-8cf0-41bd-b23e-10b96e40000d";
    let url = handed_out_to_players();
    assert!(url.starts_with("/vast/impression?c=demo&p=plain&"), "{url}");
    // The macros that the player fills, and why the device is then left out.
    let cases: [(&[(&str, &str)], u32); 9] = [
        (&[], 0),
        (&[("LIMITADTRACKING", "0"), ("REGULATIONS", "-1"), ("GPPSTRING", "-1")], 0),
        (&[("LIMITADTRACKING", "1")], flag::WITHHELD_LMT),
        (&[("REGULATIONS", "coppa")], flag::WITHHELD_CHILD),
        (&[("REGULATIONS", "gdpr")], flag::WITHHELD_CONSENT),
        (&[("REGULATIONS", "gdpr%2Ccoppa")], flag::WITHHELD_CONSENT | flag::WITHHELD_CHILD),
        (&[("REGULATIONS", "gdpr"), ("GDPRCONSENT", "-1")], flag::WITHHELD_CONSENT),
        (&[("GPPSTRING", "DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA")], flag::WITHHELD_CONSENT),
        (&[("GPPSECTIONID", "7")], flag::WITHHELD_GPP),
    ];
    let rig = rig();
    let mut client = rig.connect();
    for (number, (filled, _)) in cases.iter().enumerate() {
        let own = format!("view-{number}");
        let mut target = url.clone();
        let always = [("IFA", IFA_OF_PLAYER), ("IFATYPE", "aaid"), ("ADSERVINGID", own.as_str())];
        for (name, value) in always.into_iter().chain(filled.iter().copied()) {
            assert!(target.contains(&format!("=[{name}]")), "{name} is not asked for: {target}");
            target = target.replace(&format!("[{name}]"), value);
        }
        assert!(client.get(&target, &[("user-agent", ANDROID)]).is_pixel());
    }
    let stored = rig.stop();
    assert_eq!(stored.count(Outcome::Accepted), cases.len() as u64);
    let withheld = flag::WITHHELD;
    for (event, (filled, expected)) in stored.events.iter().zip(cases) {
        assert_eq!(event.flags & withheld, expected, "{filled:?}");
        assert_eq!(event.device.is_some(), expected == 0, "{filled:?}");
    }
    let views: HashSet<_> = stored.events.iter().map(|event| event.view).collect();
    assert_eq!(views.len(), cases.len(), "each has its own request id");
}
