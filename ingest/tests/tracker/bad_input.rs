//! Every row of the table of bad input (DESIGN §10) that is the tracker's.

use event::outcome::Outcome;
use event::record::flag;
use event::stage::Stage;

use crate::disk::Mood;
use crate::rig::{NOW_MS, Rig, eventually};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

#[test]
fn what_is_not_http_is_refused_and_no_beacon() {
    let rig = Rig::start();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET /i?c=demo&p=p1\r\n\r\n",
        b"GET /i?c=demo&p=p1 HTTP/3.0\r\n\r\n",
        b"GET  /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\nna me: x\r\n\r\n",
        b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\nname: a\x00b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = rig.connect();
        client.send(bytes);
        let text = String::from_utf8_lossy(bytes);
        if let Some(reply) = client.reply(false) {
            assert_eq!(reply.status, 400, "{text}");
        }
        assert!(client.is_closed(), "{text}");
    }
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (0, 0));
}

#[test]
fn a_url_or_head_over_its_limit_is_refused_and_the_connection_closed() {
    let rig = Rig::start();
    let long = |bytes: usize| format!("/i?c=demo&p=p1&cr={}", "x".repeat(bytes));
    let mut client = rig.connect();
    assert_eq!(client.get(&long(8_000), &[]).status, 200);

    let reply = client.get(&long(8_300), &[]);
    assert_eq!((reply.status, reply.header("connection")), (414, "close"));
    assert!(reply.text().contains("url_bytes_max = 8192"), "{}", reply.text());
    assert!(client.is_closed());

    let mut client = rig.connect();
    let reply = client.get("/i?c=demo&p=p1", &[("x", &"y".repeat(30_000))]);
    assert_eq!(reply.status, 431);
    assert!(client.is_closed());

    let many: Vec<(String, &str)> = (0..200).map(|n| (format!("x-{n}"), "y")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut client = rig.connect();
    assert_eq!(client.get("/i?c=demo&p=p1", &many).status, 431);
    assert!(client.is_closed());

    let stored = rig.stop();
    // Only the first was a beacon; its creative is over its limit.
    assert_eq!((stored.received(), stored.count(Outcome::TooLong)), (1, 1));
}

#[test]
fn slow_heads_and_bodies_are_closed_at_their_limit() {
    let rig = Rig::with(|settings, _| {
        settings.limits.head_seconds_max = 1;
        settings.limits.body_seconds_max = 1;
        settings.limits.idle_seconds_max = 1;
    });
    let mut slow_head = rig.connect();
    slow_head.send(b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n");
    let mut slow_body = rig.connect();
    slow_body.send(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[");
    let mut idle = rig.connect();
    assert!(idle.get("/i?c=demo&p=p1", &[]).is_pixel());

    assert_eq!(slow_head.reply(false).expect("an answer").status, 408);
    assert!(slow_head.is_closed());
    assert_eq!(slow_body.reply(false).expect("an answer").status, 408);
    assert!(slow_body.is_closed());
    assert!(idle.is_closed());
    assert_eq!(rig.stop().received(), 1);
}

#[test]
fn unknown_paths_and_methods_are_told() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for target in ["/", "/ii", "/y?c=demo", "/rr", "/tags.js", "/e", "/e/a/b", "/v1/event", "/favicon.ico"] {
        assert_eq!(client.get(target, &[]).status, 404, "{target}");
    }
    for (method, target, allow) in [
        ("POST", "/i?c=demo&p=p1", "GET, HEAD, OPTIONS"),
        ("DELETE", "/c?c=demo&p=p1", "GET, HEAD, OPTIONS"),
        ("PUT", "/e/viewable", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/events", "POST, OPTIONS"),
        ("HEAD", "/v1/events", "POST, OPTIONS"),
        ("BREW", "/i", "GET, HEAD, OPTIONS"),
        ("POST", "/tag.js", "GET, HEAD, OPTIONS"),
        ("POST", "/vast?c=demo&p=p1", "GET, HEAD, OPTIONS"),
    ] {
        let reply = client.request(method, target, &[], b"");
        assert_eq!((reply.status, reply.header("allow")), (405, allow), "{method} {target}");
    }
    assert_eq!(rig.stop().received(), 0);
}

#[test]
fn options_answers_browsers_that_ask_first() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for target in ["/i", "/c", "/e/viewable", "/v1/events", "/tag.js", "/vast"] {
        let reply = client.request("OPTIONS", target, &[("origin", "https://page.example")], b"");
        assert_eq!(reply.status, 204, "{target}");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reply.header("access-control-allow-credentials"), "");
        assert_eq!(reply.header("access-control-allow-methods"), reply.header("allow"));
        assert!(reply.header("access-control-allow-headers").contains("content-type"));
    }
    assert_eq!(rig.stop().received(), 0);
}

#[test]
fn a_pixel_that_says_something_wrong_gets_its_gif_and_a_reason() {
    let rig = Rig::start();
    for (target, outcome) in [
        ("/i?c=demo&p=%zz", "rejected; reason=malformed"),
        ("/i?c=demo&p=p%", "rejected; reason=malformed"),
        ("/i?c=de%20mo&p=p1", "rejected; reason=malformed"),
        ("/i?p=p1", "rejected; reason=missing_campaign"),
        ("/i", "rejected; reason=missing_campaign"),
        ("/i?c=__CAMPAIGN__&p=p1", "rejected; reason=missing_campaign"),
        ("/i?c=demo", "rejected; reason=missing_placement"),
        ("/i?c=demo&p=p1&c=other", "rejected; reason=contradictory"),
        ("/e/nonsense?c=demo&p=p1", "rejected; reason=unknown_stage"),
        ("/e/?c=demo&p=p1", "rejected; reason=unknown_stage"),
        (
            "/i?c=demo&p=p1&cr=0123456789012345678901234567890123456789012345678901234567890123456789",
            "rejected; reason=too_long",
        ),
        ("/i?c=demo&p=p1&c=demo&unasked=%zz", "accepted"),
    ] {
        assert!(rig.get(target).is_pixel(), "{target}");
        assert_eq!(rig.outcome(target, &[]), outcome, "{target}");
    }
    let stored = rig.stop();
    assert_eq!(stored.received(), 24);
    assert_eq!(stored.events.len(), 2);
}

#[test]
fn nobody_is_told_an_outcome_without_the_debug_key() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for headers in [&[][..], &[("x-sightline-debug", "wrong-key-of-the-test")], &[("x-sightline-debug", "")]]
    {
        let reply = client.get("/i?p=p1", headers);
        assert!(reply.is_pixel());
        assert!(!reply.headers.contains_key("x-sightline-outcome"));
    }
    rig.stop();
}

#[test]
fn a_click_lands_only_where_somebody_registered() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for (target, location) in [
        ("/c?c=demo&p=p1&u=https%3A%2F%2Fwww.example.com%2Fa%3Fb%3D1", "https://www.example.com/a?b=1"),
        ("/c?c=demo&p=p1&u=https%3A%2F%2Fshop.example.org%2F", "https://shop.example.org/"),
        ("/c?c=demo&p=p1&u=https%3A%2F%2Fevil.example%2F", "https://www.example.com/page"),
        ("/c?c=demo&p=p1&u=javascript%3Aalert(1)", "https://www.example.com/page"),
        ("/c?c=demo&p=p1", "https://www.example.com/page"),
        // An unknown campaign or placement: any registered host.
        ("/c?c=other&p=p1&u=https%3A%2F%2Fwww.example.com%2F", "https://www.example.com/"),
        ("/c?c=demo&p=new&u=https%3A%2F%2Fwww.example.com%2F", "https://www.example.com/"),
        // Whatever else is wrong with it.
        ("/c?p=p1&u=https%3A%2F%2Fwww.example.com%2F", "https://www.example.com/"),
        ("/c?c=demo&p=p1&os=%zz&u=https%3A%2F%2Fwww.example.com%2F", "https://www.example.com/"),
    ] {
        let reply = client.get(target, &[]);
        assert_eq!((reply.status, reply.header("location")), (302, location), "{target}");
        assert!(reply.header("cache-control").contains("no-store"));
        let head = client.request("HEAD", target, &[], b"");
        assert_eq!((head.status, head.header("location")), (302, location), "HEAD {target}");
    }
    for target in [
        "/c?c=demo&p=bare&u=https%3A%2F%2Fevil.example%2F",
        "/c?c=other&p=p1&u=https%3A%2F%2Fevil.example%2F",
        "/c?u=https%3A%2F%2Fevil.example%2F",
        "/c?c=demo&p=bare&u=%2F%2Fevil.example%2F",
    ] {
        assert!(client.get(target, &[]).is_plain_page(), "{target}");
    }
    for target in ["/c?c=demo&p=bare", "/c?c=other&p=p1", "/c"] {
        assert!(client.get(target, &[]).is_pixel(), "{target}");
    }
    let stored = rig.stop();
    assert_eq!(stored.received(), 16);
    assert!(stored.events.iter().all(|event| event.stage == Stage::Click));
    let refused = stored.events.iter().filter(|event| event.flags & flag::LANDING_REFUSED != 0).count();
    assert_eq!(refused, 5);
}

#[test]
fn an_unknown_campaign_or_placement_is_kept_as_unresolved() {
    let rig = Rig::start();
    for target in ["/i?c=later&p=p1", "/i?c=demo&p=later"] {
        assert!(rig.get(target).is_pixel());
        assert_eq!(rig.outcome(target, &[]), "unresolved");
    }
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.count(Outcome::Unresolved)), (4, 4));
    for event in &stored.events {
        assert_eq!((event.day, event.flags & flag::UNRESOLVED), (None, flag::UNRESOLVED));
    }
}

#[test]
fn client_times_are_judged() {
    let rig = Rig::start();
    let at = |ms: i64| format!("/i?c=demo&p=p1&t={ms}");
    for (age_ms, outcome) in [
        (0, "accepted"),
        (6 * DAY_MS, "accepted"),
        (8 * DAY_MS, "rejected; reason=too_late"),
        (29 * DAY_MS, "accepted"),
        (400 * DAY_MS, "accepted"),
        (-5 * 60_000, "accepted"),
        (-HOUR_MS, "accepted"),
    ] {
        assert_eq!(rig.outcome(&at(NOW_MS - age_ms), &[]), outcome, "{age_ms}");
    }
    let stored = rig.stop();
    let times: Vec<_> = stored
        .events
        .iter()
        .map(|event| (NOW_MS - event.time_ms, event.flags & flag::CLIENT_CLOCK_BROKEN != 0))
        .collect();
    // 29 days back lies before the campaign, which began on 1 November.
    assert_eq!(
        times,
        [(0, false), (6 * DAY_MS, false), (0, true), (0, true), (-5 * 60_000, false), (0, true)]
    );
    // 12:00 UTC is 20:00 in Shanghai.
    assert_eq!((stored.events[0].day, stored.events[0].hour), (Some((NOW_MS / DAY_MS) as u16), 20));
}

#[test]
fn a_failing_disk_turns_pixels_away_and_lets_clicks_through() {
    let rig = Rig::start();
    let mut client = rig.connect();
    assert!(client.get("/i?c=demo&p=p1&rid=before", &[]).is_pixel());
    let is_ready = |pixels: bool| {
        let readiness = rig.handle.as_ref().expect("running").readiness();
        assert!(readiness.clicks);
        readiness.pixels == pixels
    };
    assert!(is_ready(true));

    rig.disk.set(Mood::Failing);
    let reply = client.get("/i?c=demo&p=p1&rid=during", &[]);
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    assert!(is_ready(false));
    let reply = client.get("/c?c=demo&p=p1", &[]);
    assert_eq!((reply.status, reply.header("location")), (302, "https://www.example.com/page"));
    // No person waits for a click that leads nowhere: it is to be sent again.
    assert_eq!(client.get("/c?c=demo&p=bare", &[]).status, 503);
    let reply = client.request("POST", "/v1/events", &[], br#"[{"c":"demo","p":"p1","stage":"imp"}]"#);
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("storage_failed") && reply.headers.contains_key("retry-after"));
    // What was rejected besides is not stored either.
    let mixed = br#"[{"p":"p1"},{"c":"demo","p":"p1","stage":"imp"}]"#;
    let reply = client.request("POST", "/v1/events", &[], mixed);
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("missing_campaign") && reply.text().contains("storage_failed"));

    rig.disk.set(Mood::Well);
    eventually("a disk that is well again", || is_ready(true));
    assert!(client.get("/i?c=demo&p=p1&rid=after", &[]).is_pixel());
    let stored = rig.stop();
    let views: Vec<u64> = stored.events.iter().map(|event| event.view).collect();
    assert_eq!(views, [b"before", &b"after"[..]].map(|id| Rig::keys().view_hash(id)));
    // The books of the new incarnation hold what the failing disk could not take, besides what came in it.
    let last = stored.books.last().expect("books of the new incarnation");
    assert_eq!((last.received, last.outcomes[Outcome::Accepted as usize]), (7, 1));
    assert_eq!(last.outcomes[Outcome::StorageFailed as usize], 4);
    assert_eq!(last.outcomes[Outcome::MissingCampaign as usize], 1);
    assert_eq!(last.outcomes[Outcome::LostClick as usize], 1);
}

#[test]
fn what_came_while_the_disk_failed_is_in_the_books_once() {
    let rig = Rig::start();
    rig.opt_out(event::identifier::IdKind::Oaid, "oaid-of-somebody-0001");
    let opted_out = "/i?c=demo&p=p1&oaid=oaid-of-somebody-0001";
    let mut client = rig.connect();
    // An opted-out beacon appends the books themselves, so these two are recorded before the disk fails.
    assert!(client.get("/i?p=p1", &[]).is_pixel());
    assert!(client.get(opted_out, &[]).is_pixel());
    rig.disk.set(Mood::Failing);
    // Its record of the books fails with its group.
    assert_eq!(client.get(opted_out, &[]).status, 503);
    assert_eq!(client.get("/c?c=demo&p=p1", &[]).status, 302);
    assert!(client.get("/i?p=p1", &[]).is_pixel());
    rig.disk.set(Mood::Well);
    eventually("a disk that is well again", || rig.handle.as_ref().expect("running").readiness().pixels);
    assert!(client.get(opted_out, &[]).is_pixel());
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (6, 0));
    assert_eq!(stored.count(Outcome::MissingCampaign), 2);
    assert_eq!(stored.count(Outcome::OptedOut), 3);
    assert_eq!(stored.count(Outcome::LostClick), 1);
}

#[test]
fn a_click_that_went_ahead_of_a_disk_that_then_failed_is_lost() {
    let rig = Rig::start();
    rig.disk.set(Mood::Hung);
    let mut client = rig.connect();
    let debug = [("x-sightline-debug", crate::rig::DEBUG_KEY)];
    let reply = client.get("/c?c=demo&p=p1", &debug);
    assert_eq!((reply.status, reply.header("x-sightline-outcome")), (302, "unconfirmed_click"));
    rig.disk.set(Mood::Failing);
    let is_ready = || rig.handle.as_ref().expect("running").readiness().pixels;
    eventually("a failed disk", || client.get("/i?c=demo&p=p1", &[]).status == 503 && !is_ready());
    rig.disk.set(Mood::Well);
    eventually("a disk that is well again", is_ready);
    let stored = rig.stop();
    assert_eq!(stored.events.len(), 0);
    assert_eq!(stored.count(Outcome::LostClick), 1);
    assert_eq!(stored.count(Outcome::UnconfirmedClick), 0);
}

#[test]
fn a_full_journal_turns_pixels_away_and_lets_clicks_through() {
    let rig = Rig::with(|_, journal| {
        journal.frame_bytes_max = 4096;
        journal.queue_bytes_max = 8192;
        journal.segment_bytes_max = 16 * 1024;
        journal.disk_bytes_max = 32 * 1024;
        journal.compression = journal::Compression::Off;
    });
    let mut client = rig.connect();
    let mut accepted = 0;
    while client.get("/i?c=demo&p=p1", &[]).is_pixel() {
        accepted += 1;
        assert!(accepted < 5_000, "the limit was never reached");
    }
    assert_eq!(client.get("/i?c=demo&p=p1", &[]).status, 503);
    assert_eq!(client.get("/c?c=demo&p=p1", &[]).status, 302);
    let readiness = rig.handle.as_ref().expect("running").readiness();
    assert_eq!((readiness.pixels, readiness.clicks), (false, true));
    assert_eq!(rig.stop().events.len(), accepted);
}

#[test]
fn a_hung_disk_stops_no_click() {
    let rig = Rig::with(|settings, _| settings.limits.storage_seconds_max = 1);
    rig.disk.set(Mood::Hung);
    let mut client = rig.connect();
    let reply = client.get("/c?c=demo&p=p1&rid=click", &[("x-sightline-debug", crate::rig::DEBUG_KEY)]);
    assert_eq!((reply.status, reply.header("x-sightline-outcome")), (302, "unconfirmed_click"));
    // The pixel is sent off after its limit, and stays pending in the books.
    let reply = client.get("/i?c=demo&p=p1&rid=pixel", &[]);
    assert_eq!(reply.status, 503);
    eventually("a hung disk in the readiness", || !rig.handle.as_ref().expect("running").readiness().pixels);
    rig.disk.set(Mood::Well);
    let stored = rig.stop();
    // It was stored after all, and the books say so.
    assert_eq!(stored.events.len(), 2);
    assert_eq!(stored.count(Outcome::UnconfirmedClick), 1);
    assert_eq!(stored.count(Outcome::Accepted), 1);
    assert_eq!(stored.count(Outcome::StorageFailed), 0);
}
