//! Hits in the grammars of others: what is kept of them, where their clicks land, and what of them must never reach the disk.

use std::collections::HashSet;

use event::outcome::Outcome;
use event::record::{Platform, flag};
use event::stage::Stage;

use crate::rig::{NOW_MS, Rig, SERVER_KEY};

const SDK: &str = "Dalvik/2.1.0 (Linux; U; Android 14; 23127PN0CC Build/UKQ1.230804.001)";
const OAID: &str = "3f8c2d9e7a416f0b9c1e5d2a8b7c6e10";
const IMEI_MD5: &str = "8d3ebd3654fb46a2832296669cf1b536";

/// The hits of one ad view as the MMA China SDK fires them (DOMAIN §3): path and marks, and the stage that each stands for.
const VIEW: [(&str, &str, Stage); 8] = [
    ("x", "br=0", Stage::Tracked),
    ("x", "br=1&vx=0", Stage::Impression),
    ("x", "vc=25", Stage::FirstQuartile),
    ("x", "vc=50", Stage::Midpoint),
    ("x", "vc=75", Stage::ThirdQuartile),
    ("x", "vc=100", Stage::Complete),
    ("x", "vx=1&vk=0", Stage::Viewable),
    ("r", "o=https%3A%2F%2Fwww.example.com%2Fcar%3Fa%3D1", Stage::Click),
];

/// A hit in Miaozhen's grammar: the medium's template with its macros, what the SDK appends, and the landing page last.
fn target(path: &str, marks: &str, seconds: i64) -> String {
    let marks = if marks.starts_with("o=") { marks.to_owned() } else { format!("{marks}&o=") };
    format!(
        "/{path}/k=2070777&p=7CmBF&dx=__IPDX__&rt=2&ns=__IP__&ni=__IESID__&v=__LOC__&mo=0&m1=__ANDROIDID1__&m2={IMEI_MD5}\
         &m11=__OAID__&m11={OAID}&mt={seconds}&vf=7B3C9D21-5E0F&{marks}"
    )
}

#[test]
fn an_ad_view_of_the_sdk_is_stored_stage_by_stage() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let seconds = NOW_MS / 1000 - 5;
    for (path, marks, stage) in VIEW {
        let reply = client.get(&target(path, marks, seconds), &[("user-agent", SDK)]);
        if stage == Stage::Click {
            assert_eq!((reply.status, reply.header("location")), (302, "https://www.example.com/car?a=1"));
        } else {
            assert!(reply.is_pixel(), "{marks}");
        }
    }
    let stored = rig.stop();
    assert_eq!(stored.count(Outcome::Accepted), 8);
    let stages: Vec<_> = stored.events.iter().map(|event| event.stage).collect();
    assert_eq!(stages, VIEW.map(|(_, _, stage)| stage));
    for event in &stored.events {
        assert_eq!((event.campaign.as_str(), event.placement.as_str()), ("2070777", "7CmBF"));
        assert_eq!((event.view, event.time_ms), (Rig::keys().view_hash(b"7B3C9D21-5E0F"), seconds * 1000));
        assert_eq!(event.platform, Platform::Android);
        assert!(event.device.is_some());
        let expected = flag::DUPLICATE_BY_TIME | flag::MACRO_UNREPLACED | flag::ID_USABLE;
        assert_eq!(event.flags, expected);
    }
    let devices: HashSet<_> = stored.events.iter().filter_map(|event| event.device.map(|d| d.key)).collect();
    assert_eq!(devices.len(), 1);
}

#[test]
fn the_rest_of_a_click_behind_o_is_its_landing_page_and_nothing_else() {
    let rig = Rig::start();
    let own = "https://www.example.com/monitor/?a0=72&m0=31&m1=3161&p=other&k=1&vx=9&o=x";
    let reply = rig.get(&format!("/r/k=2070777&p=7CmBF&m2={IMEI_MD5}&o={own}"));
    assert_eq!((reply.status, reply.header("location")), (302, own));
    // Not registered: the placement's page.
    let reply = rig.get("/r/k=2070777&p=7CmBF&o=http://elsewhere.example/?u=https://www.example.com/");
    assert_eq!((reply.status, reply.header("location")), (302, "https://www.example.com/page"));
    let stored = rig.stop();
    assert_eq!(stored.count(Outcome::Accepted), 2);
    assert!(stored.events.iter().all(|event| event.stage == Stage::Click && event.placement == "7CmBF"));
    assert_eq!(stored.events[0].flags & flag::LANDING_REFUSED, 0);
    assert_ne!(stored.events[1].flags & flag::LANDING_REFUSED, 0);
}

#[test]
fn what_nobody_asked_for_never_reaches_the_disk() {
    let rig = Rig::start();
    let dir = rig.lane_dir();
    // A Wi-Fi name, a position, and the phone's name and boot time among the four flags that are kept.
    let svl =
        "%7Bl1%3A1%2Cl2%3A0%2Cl3%3A%221%22%2Cl4%3A0%2Ce1%3AZhangSansPhone%2Ce5%3A1700000000%2Ce6%3Al2%3A1%7D";
    let referer = "https://News.Example.CN:8443/politics/SecretPath?token=SecretToken#SecretPart";
    let reply = rig.connect().get(
        &format!("/x/k=2070777&p=7CmBF&mo=1&mj=SecretWifi&ml=SecretBssid&mm=31.2304,121.4737&svl={svl}&zzsecretzz=1&SecretName&o="),
        &[("referer", referer), ("user-agent", SDK)],
    );
    assert!(reply.is_pixel());
    let mut files = 0;
    for file in std::fs::read_dir(dir).expect("the lane's folder") {
        let path = file.expect("a file").path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for word in ["secret", "zhang", "31.23", "121.4", "1700000000", "politics", "token", "8443", IMEI_MD5]
        {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
        files += usize::from(text.contains("news.example.cn"));
    }
    assert!(files > 0, "the search looks where the records are");
    let stored = rig.stop();
    let event = stored.only();
    assert_eq!(event.flags & flag::DEVICE_ROOT, flag::DEVICE_ROOT);
    assert_eq!(event.flags & flag::DEVICE_HOOK, flag::DEVICE_HOOK);
    assert_eq!(event.flags & (flag::DEVICE_EMULATOR | flag::DEVICE_ADB), 0);
    assert_eq!(event.site, "news.example.cn");
}

#[test]
fn hits_of_a_trial_placement_are_listed_and_tell_no_value() {
    let rig = Rig::start();
    rig.opt_out(event::identifier::IdKind::Imei, "868049039501257");
    let mut client = rig.connect();
    let trial = "/x/k=2070777&p=TRIAL";
    for target in [
        format!("{trial}&mo=0&m2={IMEI_MD5}&m11={OAID}&mj=SecretWifi&vf=V1&br=1&o="),
        format!("{trial}&mo=0&m11={OAID}&vf=V1&br=1&o="),
        format!("{trial}&vx=9&o="),
        format!("{trial}&m11=__OAID__&m2=5284047f4ffb4e04824a2fd1d1f0cd62&o="),
        format!("/x/k=2070777&p=7CmBF&m2={IMEI_MD5}&o="),
    ] {
        assert!(client.get(&target, &[("user-agent", SDK)]).is_pixel());
    }
    assert!(client.get(&format!("{trial}&vf=V2&br=1&o="), &[("user-agent", "curl/8.5.0")]).is_pixel());
    let stored = rig.stop();
    assert_eq!((stored.count(Outcome::OptedOut), stored.count(Outcome::UnknownStage)), (2, 1));
    assert_eq!(stored.events.len(), 3, "the second, the fourth and the last");
    let said = flag::AGENT_ROBOT | flag::AGENT_NO_BROWSER;
    assert!(stored.events.iter().all(|event| event.flags & flag::TRIAL != 0 && event.flags & said == 0));
    let hits = &stored.trial_hits;
    assert_eq!(hits.len(), 5, "{hits:?}");
    let flags = |hit: &str| -> u32 {
        let (_, rest) = hit.split_once("flags: ").expect("flags");
        rest.split(',').next().and_then(|number| number.parse().ok()).expect("a number")
    };
    let of_program: Vec<bool> = hits.iter().map(|hit| flags(hit) & said == flag::AGENT_NO_BROWSER).collect();
    assert_eq!(of_program, [false, false, false, false, true], "{hits:?}");
    assert!(
        hits.iter().all(|hit| hit.contains("dialect: \"miaozhen\"") && !hit.contains("Secret")),
        "{hits:?}"
    );
    assert!(hits[0].contains("outcome: Accepted") && hits[0].contains("dropped: \"mj\""), "{}", hits[0]);
    assert!(hits[1].contains("outcome: Accepted"), "an opted-out hit looks like this one: {}", hits[1]);
    assert!(hits[2].contains("outcome: UnknownStage"), "{}", hits[2]);
    assert!(hits[3].contains("macros_unreplaced: 1") && hits[3].contains("ids_usable: 0"), "{}", hits[3]);
}

#[test]
fn a_browser_is_recognised_by_our_cookie_only_where_that_is_set_and_nothing_speaks_against_it() {
    let rig = Rig::with(|settings, _| settings.id_cookie = true);
    let mut client = rig.connect();
    let first = client.get("/i?c=demo&p=p1", &[]);
    let given = first.header("set-cookie").to_owned();
    assert!(given.starts_with("sightline_id=") && given.contains("Secure"), "{given}");
    let cookie = given.split(';').next().expect("a pair").to_owned();
    for _ in 0..2 {
        let again = client.get("/i?c=demo&p=p1", &[("cookie", &cookie)]);
        assert_eq!(again.header("set-cookie"), "", "it is not renewed");
    }
    let click = client.get("/c?c=demo&p=p1", &[("cookie", &cookie)]);
    assert_eq!(click.status, 302);
    for (target, header) in [
        ("/i?c=demo&p=p1", ("sec-gpc", "1")),
        ("/i?c=demo&p=p1", ("dnt", "1")),
        ("/i?c=demo&p=p1", ("cookie", "sightline_opt_out=1")),
        ("/i?c=demo&p=p1&lmt=1", ("accept", "*/*")),
        ("/i?c=demo&p=p1&coppa=1", ("accept", "*/*")),
        ("/i?c=demo&p=p1&gdpr=1", ("accept", "*/*")),
        ("/i?c=demo&p=p1&gpp_sid=7", ("accept", "*/*")),
        // Zeros ask for no tracking too, and a server's cookies are its own.
        ("/i?c=demo&p=p1&oaid=00000000-0000-0000-0000-000000000000", ("accept", "*/*")),
        ("/i?c=demo&p=p1&idfa=00000000-0000-0000-0000-000000000000", ("accept", "*/*")),
        ("/x/k=2070777&p=7CmBF&m11=00000000-0000-0000-0000-000000000000&o=", ("accept", "*/*")),
        ("/i?c=demo&p=s2s", ("accept", "*/*")),
    ] {
        assert_eq!(client.get(target, &[header]).header("set-cookie"), "", "{target} {header:?}");
        let both = format!("{cookie}; {}", if header.0 == "cookie" { header.1 } else { "a=b" });
        client.get(
            target,
            &[(header.0, if header.0 == "cookie" { &both } else { header.1 }), ("cookie", &both)],
        );
    }
    let stored = rig.stop();
    let devices: Vec<_> = stored.events.iter().map(|event| event.device.map(|device| device.key)).collect();
    assert_eq!(devices[0], None, "a first hit has no cookie yet");
    assert!(devices[1].is_some() && devices[1] == devices[2] && devices[1] == devices[3]);
    assert!(devices[4..].iter().all(Option::is_none), "{devices:?}");

    let rig = Rig::start();
    let reply = rig.connect().get("/i?c=demo&p=p1", &[("cookie", &cookie)]);
    assert_eq!(reply.header("set-cookie"), "");
    assert_eq!(rig.stop().only().device, None);
}

#[test]
fn formatted_times_are_read_on_the_dialects_own_clock() {
    let rig = Rig::start();
    let mut client = rig.connect();
    // The tracker's clock says 2026-11-21 12:00 UTC: 20:00 in China.
    for time in ["20261121195900", "20261121195900123", "20261113200000"] {
        assert!(client.get(&format!("/i/a2070777,b1899468,i0,m202,t{time},h"), &[]).is_pixel());
    }
    let stored = rig.stop();
    assert_eq!(stored.count(Outcome::TooLate), 1, "eight days old");
    let times: Vec<_> = stored.events.iter().map(|event| event.time_ms - NOW_MS).collect();
    assert_eq!(times, [-60_000, -59_877]);
}

#[test]
fn a_word_that_stands_for_nothing_names_no_view() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for target in [
        "/i?c=demo&p=p1&rid=-1",
        "/x/k=2070777&p=7CmBF&tr=unknown&o=",
        "/x/k=2070777&p=7CmBF&vf=null&tr=0&o=",
        "/x/k=2070777&p=7CmBF&vf=0&tr=r-1&o=",
    ] {
        assert!(client.get(target, &[]).is_pixel());
    }
    let stored = rig.stop();
    let views: Vec<_> = stored.events.iter().map(|event| event.view).collect();
    assert_eq!(views, [0, 0, 0, Rig::keys().view_hash(b"r-1")]);
    assert!(stored.events.iter().all(|event| event.flags & flag::DUPLICATE_BY_TIME == 0));
}

#[test]
fn what_could_not_be_read_gets_no_cookie() {
    let rig = Rig::with(|settings, _| settings.id_cookie = true);
    let mut client = rig.connect();
    for target in ["/i?c=demo&p=p1&gdpr=1%", "/i?c=demo&p=p1&gdpr=0&gdpr=1"] {
        assert_eq!(client.get(target, &[]).header("set-cookie"), "", "{target}");
    }
    rig.stop();
}

#[test]
fn an_address_that_a_server_cannot_say_is_none() {
    let rig = Rig::start();
    let bearer = format!("Bearer {SERVER_KEY}");
    let mut client = rig.connect();
    for ip in ["unknown", "1.2.3.4,5.6.7.8", "203.0.113.7"] {
        let target = format!("/x/k=2070777&p=7CmBF&ns={ip}&o=");
        assert!(client.get(&target, &[("authorization", &bearer)]).is_pixel());
    }
    let stored = rig.stop();
    let networks: Vec<_> = stored.events.iter().map(|event| event.network.len()).collect();
    assert_eq!(networks, [0, 0, 3]);
}

#[test]
fn a_placement_that_takes_signed_links_only_refuses_all_others() {
    let rig = Rig::start();
    let seconds = NOW_MS / 1000;
    let keys = Rig::link_keys();
    let good = keys.sign("2070777", "SIGNED", Some(seconds + 60)).expect("signed");
    let ended = keys.sign("2070777", "SIGNED", Some(seconds - 1)).expect("signed");
    let endless = keys.sign("2070777", "SIGNED", None).expect("signed");
    let other = keys.sign("2070777", "7CmBF", None).expect("signed");
    let native = "/i?c=2070777&p=SIGNED";
    for (target, expected) in [
        (format!("{native}&exp={}&sig={good}", seconds + 60), "accepted"),
        (format!("{native}&sig={endless}"), "accepted"),
        (format!("/vast/start?c=2070777&p=SIGNED&sig={endless}"), "accepted"),
        (native.to_owned(), "rejected; reason=bad_signature"),
        (format!("{native}&exp={}&sig={good}", seconds + 61), "rejected; reason=bad_signature"),
        (format!("{native}&sig={other}"), "rejected; reason=bad_signature"),
        (format!("{native}&exp={}&sig={ended}", seconds - 1), "rejected; reason=link_expired"),
        ("/x/k=2070777&p=SIGNED&o=".to_owned(), "rejected; reason=bad_signature"),
        ("/i?c=2070777&p=7CmBF".to_owned(), "accepted"),
    ] {
        assert_eq!(rig.outcome(&target, &[]), expected, "{target}");
    }
    let bearer = format!("Bearer {SERVER_KEY}");
    assert_eq!(
        rig.outcome(native, &[("authorization", &bearer)]),
        "accepted",
        "a registered server says who it is"
    );
    let click = rig.get("/c?c=2070777&p=SIGNED&u=https%3A%2F%2Fwww.example.com%2Fx");
    assert_eq!(
        (click.status, click.header("location")),
        (302, "https://www.example.com/x"),
        "a click always lands"
    );
    assert_eq!(rig.get("/vast?c=2070777&p=SIGNED").status, 403);
    let wrapper = rig.get(&format!("/vast?c=2070777&p=SIGNED&sig={endless}"));
    assert_eq!(wrapper.status, 200);
    assert!(
        wrapper.text().contains(&format!("sig={endless}")),
        "its events are signed alike: {}",
        wrapper.text()
    );
    assert_eq!(rig.stop().count(Outcome::BadSignature), 5);
}

#[test]
fn a_signal_withholds_the_device_however_it_is_written() {
    const ID: &str = "868049039501257";
    let rig = Rig::start();
    let mut client = rig.connect();
    let zero = "00000000-0000-0000-0000-000000000000";
    let cases = [
        ("lmt", "1.0", flag::WITHHELD_LMT),
        ("lmt", "true", flag::WITHHELD_LMT),
        ("coppa", "1.0", flag::WITHHELD_CHILD),
        ("gdpr", "1", flag::WITHHELD_CONSENT),
        ("gpp_sid", "7", flag::WITHHELD_GPP),
        ("gpp", "DBAA", flag::WITHHELD_GPP),
        ("gpp_sid", "-1", 0),
        ("idfa", "-2", flag::WITHHELD_LMT),
        ("idfa", "-1", 0),
        ("lmt", "0", 0),
        ("ifa", zero, flag::WITHHELD_LMT),
    ];
    for (name, value, _) in cases {
        let target = format!("/i?c=demo&p=p1&imei={ID}&{name}={value}");
        assert!(client.get(&target, &[]).is_pixel());
        let is_bare = value.parse::<f64>().is_ok() || value == "true";
        let value = if is_bare { value.to_owned() } else { format!("\"{value}\"") };
        let body = format!("[{{\"c\":\"demo\",\"p\":\"p1\",\"imei\":\"{ID}\",\"{name}\":{value}}}]");
        let reply =
            client.request("POST", "/v1/events", &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(reply.status, 200, "{body}");
    }
    for target in [
        "/ddm/trackimp/N1/Bdemo.p1;dc_rdid=7268ceb0-5411-4004-b7cb-bd1fee4b6277;gdpr=1;gdpr=0",
        "/ddm/trackimp/N1/Bdemo.p1;dc_rdid=00000000-0000-0000-0000-000000000000",
        "/vast/start?c=demo&p=p1&ifa=00000000-0000-0000-0000-000000000000&ifa_type=idfa&oaid=abcdefgh",
    ] {
        assert!(client.get(target, &[("user-agent", SDK)]).is_pixel());
    }
    let stored = rig.stop();
    assert_eq!(stored.events.len(), 2 * cases.len() + 3);
    let (pairs, others) = stored.events.split_at(2 * cases.len());
    for ((name, value, expected), events) in cases.iter().zip(pairs.chunks(2)) {
        for (event, form) in events.iter().zip(["URL", "JSON"]) {
            let withheld = flag::WITHHELD;
            assert_eq!(event.flags & withheld, *expected, "{form}: {name}={value}");
            assert_eq!(event.device.is_none(), *expected != 0, "{form}: {name}={value}");
        }
    }
    assert!(others.iter().all(|event| event.device.is_none()), "{others:?}");
}

#[test]
fn what_somebody_did_not_fill_in_or_encoded_once_more_is_seen() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for macro_left in ["%257BX%257D", "{{%20X%20}}", "%3CX%3E", "%23X%23"] {
        let target = format!("/x/k=2070777&p=7CmBF&tr={macro_left}&vf={macro_left}&m11={macro_left}&o=");
        assert!(client.get(&target, &[]).is_pixel());
        assert!(client.get(&format!("/i?c=demo&p=p1&cookie={macro_left}"), &[]).is_pixel());
    }
    for (target, location) in [
        (
            "/r/k=2070777&p=7CmBF&o=https%253A%252F%252Fwww.example.com%252Fx%253Fa%253D1",
            "https://www.example.com/x?a=1",
        ),
        ("/r/k=2070777&p=7CmBF&o=https://www.example.com/x?a=1&amp;y=2", "https://www.example.com/x?a=1&y=2"),
        ("/r/?k=2070777&p=7CmBF&o=https://www.example.com/?x=1&gid=9", "https://www.example.com/?x=1&gid=9"),
        ("/c?c=demo&p=p1&u=https%253A%252F%252Fwww.example.com%252Fx", "https://www.example.com/x"),
    ] {
        let reply = client.get(target, &[]);
        assert_eq!((reply.status, reply.header("location")), (302, location), "{target}");
    }
    let stored = rig.stop();
    assert_eq!(stored.events.len(), 12);
    for event in &stored.events[..8] {
        assert_eq!((event.view, event.device), (0, None));
        assert_ne!(event.flags & flag::MACRO_UNREPLACED, 0);
    }
}

#[test]
fn a_path_whose_marker_is_missing_is_a_rejected_pixel() {
    let rig = Rig::start();
    for target in ["/hat", "/hat?_htsinfo=QyYyJjEmMiYz", "/hat?_t=x&_htsinfo=QyYyJjEmMiYz"] {
        assert!(rig.get(target).is_pixel(), "{target}");
        assert_eq!(rig.outcome(target, &[]), "rejected; reason=unknown_stage", "{target}");
    }
    // A blank behind the base64 is no part of it: C&2&demo&p1&3.
    assert_eq!(rig.outcome("/hat?_t=i&_htsinfo=QyYyJmRlbW8mcDEmMw%20", &[]), "accepted");
    rig.stop();
}
