//! What a beacon is stored as: fields, signals, rights, addresses.

use std::collections::HashSet;

use event::address;
use event::outcome::Outcome;
use event::record::{Platform, SourceKind, flag};
use event::stage::Stage;

use crate::rig::{DEBUG_KEY, NOW_MS, PLAIN_SERVER_KEY, Rig, SERVER_KEY};

const OAID: &str = "3f8c2d9e-7a41-4b6f-9c1e-5d2a8b7c6e10";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36";

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[test]
fn an_impression_is_stored_with_all_that_it_said() {
    let rig = Rig::start();
    let target = format!("/i?c=demo&p=p1&cr=red&rid=r-1&t={}&oaid={OAID}", (NOW_MS - 5_000) / 1000);
    let reply = rig.connect().get(&target, &[("user-agent", ANDROID)]);
    assert!(reply.is_pixel());
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("cross-origin-resource-policy"), "cross-origin");
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.count(Outcome::Accepted)), (1, 1));
    let event = stored.only();
    assert_eq!(
        (event.campaign.as_str(), event.placement.as_str(), event.creative.as_str()),
        ("demo", "p1", "red")
    );
    assert_eq!(
        (event.stage, event.source, event.platform),
        (Stage::Impression, SourceKind::Client, Platform::Android)
    );
    assert_eq!((event.received_ms, event.time_ms), (NOW_MS, NOW_MS - 5_000));
    assert_eq!(event.client_time_ms, Some(NOW_MS - 5_000));
    assert_eq!(event.view, Rig::keys().view_hash(b"r-1"));
    assert!(event.device.is_some());
    assert_eq!(event.agent, ANDROID);
    assert_eq!(event.network, address::cut([127, 0, 0, 1].into()).to_vec());
    assert_eq!(event.flags, flag::ID_USABLE);
}

#[test]
fn each_stage_has_its_path_and_head_counts_nothing() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for stage in Stage::ALL {
        let target = format!("/e/{}?c=demo&p=p1", stage.name());
        assert!(client.get(&target, &[]).is_pixel());
        let head = client.request("HEAD", &target, &[], b"");
        assert_eq!((head.status, head.header("content-length")), (200, "43"));
    }
    assert_eq!(client.request("HEAD", "/i?c=demo&p=p1", &[], b"").status, 200);
    let stored = rig.stop();
    let stages: Vec<_> = stored.events.iter().map(|event| event.stage).collect();
    assert_eq!(stages, Stage::ALL);
    assert_eq!(stored.received(), 12);
}

#[test]
fn what_is_fetched_ahead_of_time_is_not_even_gross() {
    let rig = Rig::start();
    for header in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
        ("x-purpose", "preview"),
        ("x-purpose", "instant"),
    ] {
        assert_eq!(rig.outcome("/i?c=demo&p=p1", &[header]), "rejected; reason=prefetch");
    }
    let stored = rig.stop();
    assert_eq!((stored.count(Outcome::Prefetch), stored.events.len()), (6, 0));
}

#[test]
fn a_privacy_signal_withholds_the_device_and_keeps_the_impression() {
    let rig = Rig::with(|settings, _| settings.honour_dnt = true);
    let mut client = rig.connect();
    let target = |more: &str| format!("/i?c=demo&p=p1&oaid={OAID}{more}");
    let cases: &[(&str, &[(&str, &str)], u32)] = &[
        ("", &[], 0),
        ("", &[("sec-gpc", "1")], flag::WITHHELD_GPC),
        ("", &[("dnt", "1")], flag::WITHHELD_DNT),
        ("&lmt=1", &[], flag::WITHHELD_LMT),
        ("&lmt=0", &[], 0),
        ("&coppa=1", &[], flag::WITHHELD_CHILD),
        ("&gdpr=1", &[], flag::WITHHELD_CONSENT),
        ("&gdpr=1&gdpr_consent=CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", &[], flag::WITHHELD_CONSENT),
        ("&gdpr=0", &[], 0),
        ("&gdpr=%24%7BGDPR%7D", &[], flag::MACRO_UNREPLACED),
        ("&gpp=DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA&gpp_sid=2", &[], flag::WITHHELD_CONSENT),
        ("&gpp_sid=7", &[], flag::WITHHELD_GPP),
        ("&gpp_sid=-1", &[], 0),
        (
            "&lmt=1&coppa=1",
            &[("sec-gpc", "1")],
            flag::WITHHELD_LMT | flag::WITHHELD_CHILD | flag::WITHHELD_GPC,
        ),
    ];
    for (more, headers, _) in cases {
        let mut headers = headers.to_vec();
        headers.push(("user-agent", ANDROID));
        assert!(client.get(&target(more), &headers).is_pixel(), "{more}");
    }
    let stored = rig.stop();
    assert_eq!(stored.events.len(), cases.len());
    for ((more, headers, flags), event) in cases.iter().zip(&stored.events) {
        let flags = flags | flag::CLIENT_TIME_ABSENT | flag::ID_USABLE;
        assert_eq!(event.flags, flags, "{more} {headers:?}");
        let is_withheld = flags & !(flag::CLIENT_TIME_ABSENT | flag::ID_USABLE | flag::MACRO_UNREPLACED) != 0;
        assert_eq!(event.device.is_none(), is_withheld, "{more} {headers:?}");
    }
}

#[test]
fn while_two_keys_overlap_a_device_says_what_it_was_under_the_one_before() {
    let today = (NOW_MS / 86_400_000) as u16;
    let target = format!("/i?c=demo&p=p1&oaid={OAID}");
    let device = |rig: Rig, more: &str| {
        assert!(rig.connect().get(&format!("{target}{more}"), &[("user-agent", ANDROID)]).is_pixel());
        rig.stop().only().device
    };
    let rotated = |until_day: u16| {
        let mut seed = 99_u8;
        let random = |bytes: &mut [u8]| {
            for byte in bytes {
                seed = seed.wrapping_mul(29).wrapping_add(11);
                *byte = seed;
            }
        };
        let keys = Rig::keys().rotated_with_overlap(0, until_day, random).expect("room for an epoch");
        Rig::with_keys(keys, |_, _| {})
    };
    let before = device(Rig::start(), "").expect("a device");
    assert_eq!((before.epoch, before.former), (1, None));

    let now = device(rotated(today + 1), "").expect("a device");
    let former = now.former.expect("the keys overlap");
    assert_eq!((former.key, former.epoch, former.until_day), (before.key, 1, today + 1));
    assert_eq!((now.epoch, now.kind), (2, before.kind));
    assert_ne!(now.key, before.key);

    let later = device(rotated(today), "").expect("a device");
    assert_eq!((later.key, later.former), (now.key, None), "the overlap is over");
    assert_eq!(device(rotated(today + 1), "&lmt=1"), None, "nothing of a device that is withheld");
}

#[test]
fn dnt_alone_means_nothing_unless_the_setting_says_so() {
    let rig = Rig::start();
    let target = format!("/i?c=demo&p=p1&oaid={OAID}");
    assert!(rig.connect().get(&target, &[("dnt", "1"), ("user-agent", ANDROID)]).is_pixel());
    assert!(rig.stop().only().device.is_some());
}

#[test]
fn only_a_registered_server_speaks_for_a_viewer() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let viewer = "&ip=203.0.113.77&ua=TheViewer";
    let all = bearer(SERVER_KEY);
    let none = bearer(PLAIN_SERVER_KEY);
    let wrong = bearer("wrong-key-of-the-test");
    let here = address::cut([127, 0, 0, 1].into()).to_vec();
    let there = address::cut([203, 0, 113, 77].into()).to_vec();
    let nowhere = Vec::new();
    let cases: &[(&str, &str, &[(&str, &str)], &Vec<u8>, &str)] = &[
        // The viewer's own connection: parameters and headers of others mean nothing.
        ("p1", viewer, &[], &here, "Conn"),
        ("p1", viewer, &[("authorization", &wrong)], &here, "Conn"),
        ("p1", "", &[("x-device-ip", "203.0.113.77"), ("x-device-user-agent", "TheViewer")], &here, "Conn"),
        // A registered server's connection is nobody's viewer.
        ("p1", viewer, &[("authorization", &all)], &there, "TheViewer"),
        ("p1", "", &[("authorization", &all)], &nowhere, ""),
        ("p1", viewer, &[("authorization", &none)], &nowhere, ""),
        // Neither is whoever fires a placement of servers.
        ("s2s", viewer, &[], &nowhere, ""),
        ("s2s", viewer, &[("authorization", &all)], &there, "TheViewer"),
        (
            "s2s",
            "",
            &[("authorization", &all), ("x-device-ip", "203.0.113.77"), ("x-device-user-agent", "TheViewer")],
            &there,
            "TheViewer",
        ),
    ];
    for (placement, more, headers, ..) in cases {
        let mut headers = headers.to_vec();
        headers.push(("user-agent", "Conn"));
        assert!(client.get(&format!("/i?c=demo&p={placement}{more}"), &headers).is_pixel());
    }
    let reply = client
        .get("/i?c=demo&p=p1&ip=nonsense", &[("authorization", &all), ("x-sightline-debug", DEBUG_KEY)]);
    assert_eq!(
        reply.header("x-sightline-outcome"),
        "accepted",
        "the ad was shown, only the address is unknown"
    );
    let stored = rig.stop();
    assert_eq!(stored.events.len(), cases.len() + 1);
    assert!(stored.events[cases.len()].network.is_empty());
    for ((placement, more, headers, network, agent), event) in cases.iter().zip(&stored.events) {
        assert_eq!(
            (&event.network, event.agent.as_str()),
            (*network, *agent),
            "{placement} {more} {headers:?}"
        );
        assert_eq!(event.flags & flag::AGENT_EMPTY != 0, agent.is_empty());
        let source = if *placement == "s2s" { SourceKind::Server } else { SourceKind::Client };
        assert_eq!(event.source, source);
    }
}

#[test]
fn a_server_with_the_right_sends_times_outside_the_window() {
    let rig = Rig::start();
    let eight_days = NOW_MS - 8 * 86_400_000;
    let year = NOW_MS - 365 * 86_400_000;
    let key = bearer(SERVER_KEY);
    for time in [eight_days, year] {
        let target = format!("/i?c=demo&p=p1&t={time}");
        assert_eq!(rig.outcome(&target, &[("authorization", &key)]), "accepted");
    }
    assert_eq!(rig.outcome(&format!("/i?c=demo&p=p1&t={eight_days}"), &[]), "rejected; reason=too_late");
    let stored = rig.stop();
    assert_eq!(stored.events.iter().map(|event| event.time_ms).collect::<Vec<_>>(), [eight_days, year]);
    assert!(stored.events.iter().all(|event| event.flags & flag::BACKDATED != 0));
}

#[test]
fn behind_a_trusted_proxy_the_viewer_is_the_rightmost_stranger() {
    let forwarded = ("x-forwarded-for", "198.51.100.1, 203.0.113.77, 127.0.0.1");
    let network = |trusted: &[&str]| {
        let rig = Rig::with(|settings, _| {
            settings.trusted_proxies = trusted.iter().map(|text| text.parse().expect("a network")).collect();
        });
        assert!(rig.connect().get("/i?c=demo&p=p1", &[forwarded]).is_pixel());
        rig.stop().only().network.clone()
    };
    assert_eq!(network(&[]), address::cut([127, 0, 0, 1].into()).to_vec());
    assert_eq!(network(&["127.0.0.0/8"]), address::cut([203, 0, 113, 77].into()).to_vec());
}

#[test]
fn no_identifier_is_found_in_the_journal() {
    let rig = Rig::start();
    let ids = [
        ("oaid", OAID),
        ("imei", "490154203237518"),
        ("android_id", "9a3c1f0b7e2d4c58"),
        ("mac", "a4:5e:60:c1:22:0f"),
        ("cookie", "visitor-83640177"),
    ];
    let query = ids.map(|(name, value)| format!("&{name}={value}")).concat();
    assert!(rig.get(&format!("/i?c=demo&p=p1&rid=request-55513{query}")).is_pixel());
    assert!(rig.get(&format!("/i?c=later&p=p1{query}")).is_pixel());
    let stored = rig.stop();
    assert_eq!(stored.events.len(), 2);
    for event in &stored.events {
        let bytes = String::from_utf8_lossy(&event.bytes).to_lowercase();
        for (_, value) in ids {
            let parts: HashSet<&str> = [value].into_iter().chain(value.split(['-', ':'])).collect();
            for part in parts.into_iter().filter(|part| part.len() > 3) {
                assert!(!bytes.contains(part), "{part}");
            }
        }
        assert!(!bytes.contains("request-55513"));
    }
}

#[test]
fn a_new_catalog_is_in_force_with_the_next_beacon() {
    let rig = Rig::start();
    assert_eq!(rig.outcome("/i?c=fresh&p=p1", &[]), "unresolved");
    let text = "[[campaign]]\nid = \"fresh\"\nname = \"Fresh\"\ntime_zone = \"UTC\"\n[[campaign.placement]]\nid = \"p1\"\nname = \"P\"\nmedium = \"M\"\n";
    rig.catalog.store(catalog::Catalog::parse(text, "catalog.toml").expect("sound").into());
    assert_eq!(rig.outcome("/i?c=fresh&p=p1", &[]), "accepted");
    rig.stop();
}

#[test]
fn a_media_server_speaks_for_viewers_from_its_own_network_without_a_key() {
    let rig = Rig::with(|settings, _| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        settings.server[0].networks = vec!["203.0.113.0/24".parse().expect("a network")];
    });
    let old = (NOW_MS / 1000) - 20 * 86_400;
    let target = "/i?c=demo&p=s2s&ip=198.51.100.7&ua=Viewer&cr=a";
    let mut client = rig.connect();
    for (from, target) in [
        ("203.0.113.9", target.to_owned()),
        ("203.0.114.9", target.to_owned()),
        ("203.0.113.9", format!("{target}&t={old}")),
    ] {
        assert!(client.get(&target, &[("x-forwarded-for", from), ("user-agent", "Server/1")]).is_pixel());
    }
    let stored = rig.stop();
    let seen: Vec<_> =
        stored.events.iter().map(|event| (event.agent.as_str(), event.network.clone())).collect();
    let cut = |text: &str| address::cut(text.parse().expect("an address")).to_vec();
    assert_eq!(seen, [("Viewer", cut("198.51.100.7")), ("", Vec::new())], "a stranger speaks for nobody");
    assert_eq!(stored.count(Outcome::TooLate), 1, "an address gives no right to backdate");
}
