//! One device through media that fill the same template differently: one key, one opt-out.

use std::collections::HashSet;

use event::identifier::IdKind;
use event::outcome::Outcome;

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
