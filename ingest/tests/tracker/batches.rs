//! Batches: results item by item, limits, encodings, rights.

use std::io::Write;

use event::outcome::Outcome;
use event::record::{SourceKind, flag};
use event::stage::Stage;

use crate::disk::Mood;
use crate::rig::{PLAIN_SERVER_KEY, Reply, Rig, SERVER_KEY, eventually};

const GOOD: &str = r#"{"c":"demo","p":"p1","stage":"impression"}"#;

fn post(rig: &Rig, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    rig.connect().request("POST", "/v1/events", headers, body)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

fn reasons(reply: &Reply) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    let results = value["results"].as_array().expect("results").clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    results
        .iter()
        .map(
            |result| {
                if result["outcome"] == "rejected" {
                    text(&result["reason"])
                } else {
                    text(&result["outcome"])
                }
            },
        )
        .collect()
}

#[test]
fn one_bad_item_leaves_the_others_accepted() {
    let rig = Rig::start();
    let items = [
        (GOOD, "accepted"),
        (r#"{"c":"demo","stage":"impression"}"#, "missing_placement"),
        (r#"{"p":"p1","stage":"impression"}"#, "missing_campaign"),
        (r#"{"c":"demo","p":"p1"}"#, "accepted"),
        (r#"{"c":"demo","p":"p1","stage":"shown"}"#, "unknown_stage"),
        (r#"{"c":"later","p":"p1","stage":"click"}"#, "unresolved"),
        (r#"{"c":"demo","p":"p1","stage":"click","ip":"203.0.113.1"}"#, "not_permitted"),
        (r#"{"c":"demo","p":"p1","stage":"click","ua":"x"}"#, "not_permitted"),
        (r#"{"c":{"no":1},"p":"p1","stage":"click"}"#, "malformed"),
        ("7", "malformed"),
        ("null", "malformed"),
        (
            r#"{"c":"demo","p":"p1","stage":"complete","unasked":{"deep":[1]},"rid":77,"lmt":true}"#,
            "accepted",
        ),
    ];
    let texts: Vec<&str> = items.iter().map(|(text, _)| *text).collect();
    let expected: Vec<&str> = items.iter().map(|(_, reason)| *reason).collect();
    for body in [format!("[{}]", texts.join(",")), texts.join("\n"), format!("{}\r\n", texts.join("\r\n"))] {
        let reply = post(&rig, &[("content-type", "text/plain")], body.as_bytes());
        assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reasons(&reply), expected);
    }
    let stored = rig.stop();
    assert_eq!(stored.received(), 3 * items.len() as u64);
    assert_eq!((stored.count(Outcome::Accepted), stored.count(Outcome::Unresolved)), (9, 3));
    let last = stored.events.last().expect("events");
    assert_eq!((last.stage, last.flags & flag::WITHHELD_LMT), (Stage::Complete, flag::WITHHELD_LMT));
    assert_eq!(last.view, Rig::keys().view_hash(b"77"));
}

#[test]
fn a_registered_server_sends_viewers_of_its_own() {
    let rig = Rig::start();
    let item = br#"[{"c":"demo","p":"s2s","stage":"impression","ip":"2001:db8:1:2::3","ua":"TheViewer"}]"#;
    let key = format!("Bearer {SERVER_KEY}");
    assert_eq!(reasons(&post(&rig, &[("authorization", &key)], item)), ["accepted"]);
    let key = format!("Bearer {PLAIN_SERVER_KEY}");
    assert_eq!(reasons(&post(&rig, &[("authorization", &key)], item)), ["not_permitted"]);
    let reply = post(&rig, &[("authorization", "Bearer of-bad-news-0123456789")], item);
    assert_eq!(reply.status, 401);
    let stored = rig.stop();
    assert_eq!(stored.received(), 2);
    let event = stored.only();
    assert_eq!((event.agent.as_str(), event.source), ("TheViewer", SourceKind::Server));
    assert_eq!(event.network, event::address::cut("2001:db8:1::".parse().expect("an address")).to_vec());
}

#[test]
fn encodings_are_taken_or_refused() {
    let rig = Rig::start();
    let body = format!("[{GOOD},{GOOD}]");
    let zstd = zstd::stream::encode_all(body.as_bytes(), 3).expect("compressed");
    let two = ["accepted", "accepted"];
    assert_eq!(reasons(&post(&rig, &[("content-encoding", "gzip")], &gzip(body.as_bytes()))), two);
    assert_eq!(reasons(&post(&rig, &[("content-encoding", "zstd")], &zstd)), two);
    assert_eq!(reasons(&post(&rig, &[("content-encoding", "identity")], body.as_bytes())), two);
    for encoding in ["br", "deflate", "gzip, gzip", "x"] {
        let reply = post(&rig, &[("content-encoding", encoding)], body.as_bytes());
        assert_eq!(reply.status, 415, "{encoding}");
        assert!(reply.text().contains("gzip"));
    }
    let whole = gzip(body.as_bytes());
    for bad in [body.as_bytes(), &whole[..whole.len() - 6], b"\x1f\x8b"] {
        assert_eq!(post(&rig, &[("content-encoding", "gzip")], bad).status, 400);
        assert_eq!(post(&rig, &[("content-encoding", "zstd")], bad).status, 400);
    }
    assert_eq!(rig.stop().received(), 6);
}

#[test]
fn broken_json_is_refused_as_a_whole() {
    let rig = Rig::start();
    for body in [
        format!("[{GOOD},"),
        format!("[{GOOD}"),
        format!("[{GOOD}]]"),
        format!("{GOOD}\n{{\"c\":"),
        format!("{GOOD}\nhello"),
        "c=demo&p=p1".to_owned(),
        "[{\"c\":\"demo\",}]".to_owned(),
        format!("{}1", "[".repeat(100_000)),
    ] {
        let reply = post(&rig, &[], body.as_bytes());
        assert_eq!(reply.status, 400, "{body:.60}");
        assert!(reply.text().contains("nothing was accepted"), "{}", reply.text());
    }
    let reply = post(&rig, &[], b"[{\"c\":\"\xff\xfe\"}]");
    assert_eq!(reply.status, 400);
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (0, 0));
}

#[test]
fn what_is_too_large_is_refused_with_the_limit_named() {
    let rig = Rig::with(|settings, _| {
        settings.limits.body_bytes_max = 20_000;
        settings.limits.body_decoded_bytes_max = 100_000;
        settings.limits.batch_items_max = 100;
    });
    let many = |count: usize| format!("[{}]", vec![GOOD; count].join(","));
    assert_eq!(post(&rig, &[], many(100).as_bytes()).status, 200);
    let spaces = |count: usize| format!("[{}]", " ".repeat(count));
    let bomb = gzip(&vec![b' '; 50_000_000]);
    let zstd_bomb = zstd::stream::encode_all(&vec![b' '; 50_000_000][..], 19).expect("compressed");
    let lines = vec![GOOD; 101].join("\n");
    assert!(bomb.len() > 20_000 && zstd_bomb.len() < 20_000);
    let small_bomb = gzip(&vec![b' '; 5_000_000]);
    for (headers, body, limit) in [
        (&[][..], many(101).into_bytes(), "batch_items_max = 100"),
        (&[], lines.into_bytes(), "batch_items_max = 100"),
        (&[], spaces(30_000).into_bytes(), "body_bytes_max = 20000"),
        (&[("content-encoding", "gzip")], bomb, "body_bytes_max = 20000"),
        (&[("content-encoding", "gzip")], small_bomb, "body_decoded_bytes_max = 100000"),
        (&[("content-encoding", "zstd")], zstd_bomb, "body_decoded_bytes_max = 100000"),
    ] {
        let reply = post(&rig, headers, &body);
        assert_eq!(reply.status, 413, "{limit}");
        assert!(reply.text().contains(limit), "{} instead of {limit}", reply.text());
    }
    let mut chunked = rig.connect();
    chunked.send(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..30 {
        chunked.send(format!("3e8\r\n{}\r\n", " ".repeat(1000)).as_bytes());
    }
    let reply = chunked.reply(false).expect("an answer");
    assert!(reply.status == 413 && reply.text().contains("body_bytes_max"), "{}", reply.text());
    assert_eq!(rig.stop().received(), 100);
}

#[test]
fn a_large_batch_is_accepted_whole_in_every_form() {
    let rig = Rig::start();
    let beacons: Vec<String> = (0..5_000)
        .map(|n| {
            format!(
                r#"{{"c":"demo","p":"p1","stage":"impression","rid":"r{n}","oaid":"oaid-number-{n:08}"}}"#
            )
        })
        .collect();
    let body = format!("[{}]", beacons.join(","));
    let reply = post(&rig, &[("content-encoding", "gzip")], &gzip(body.as_bytes()));
    assert_eq!(reasons(&reply), vec!["accepted"; 5_000]);
    let mut chunked = rig.connect();
    chunked.send(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(7_001) {
        chunked.send(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.send(piece);
        chunked.send(b"\r\n");
    }
    chunked.send(b"0\r\n\r\n");
    let reply = chunked.reply(false).expect("an answer");
    assert_eq!(reasons(&reply), vec!["accepted"; 5_000]);
    assert_eq!(reply.header("connection"), "close");
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (10_000, 10_000));
    assert_eq!(stored.events[0].device, stored.events[5_000].device);
}

#[test]
fn a_caller_that_asks_first_is_told_to_go_on() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let body = format!("[{GOOD}]");
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes());
    assert_eq!(client.reply(false).expect("an interim answer").status, 100);
    client.send(body.as_bytes());
    assert_eq!(reasons(&client.reply(false).expect("an answer")), ["accepted"]);
    assert_eq!(rig.stop().received(), 1);
}

/// The opening of a batch whose body has so many bytes.
fn opening(bytes: usize) -> Vec<u8> {
    format!("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n").into_bytes()
}

fn is_turned_away(reply: &Reply) -> bool {
    reply.status == 503 && reply.headers.contains_key("retry-after")
}

#[test]
fn no_more_batches_are_worked_on_than_the_limit_says() {
    let rig = Rig::with(|settings, _| settings.limits.batches_in_flight_max = 2);
    rig.disk.set(Mood::Hung);
    let body = format!("[{GOOD}]");
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut client = rig.connect();
            client.send(&[&opening(body.len()), body.as_bytes()].concat());
            client
        })
        .collect();
    eventually("a third batch turned away", || is_turned_away(&post(&rig, &[], b"[]")));
    rig.disk.set(Mood::Well);
    for client in &mut held {
        assert_eq!(reasons(&client.reply(false).expect("an answer")), ["accepted"]);
    }
    assert_eq!(post(&rig, &[], b"[]").status, 200);
    rig.stop();
}

#[test]
fn who_sends_no_body_keeps_no_batch_out() {
    let rig = Rig::with(|settings, _| settings.limits.batches_in_flight_max = 1);
    let mut held: Vec<_> = (0..20)
        .map(|_| {
            let mut client = rig.connect();
            let mut head = String::from_utf8(opening(2)).expect("text");
            head.insert_str(head.len() - 2, "Expect: 100-continue\r\n");
            client.send(head.as_bytes());
            assert_eq!(client.reply(false).expect("its body is waited for").status, 100);
            client
        })
        .collect();
    assert_eq!(reasons(&post(&rig, &[], format!("[{GOOD}]").as_bytes())), ["accepted"]);
    for client in &mut held {
        client.send(b"[]");
        assert_eq!(client.reply(false).expect("an answer").status, 200);
    }
    rig.stop();
}

#[test]
fn bodies_that_come_slowly_are_bounded_together() {
    let rig = Rig::with(|settings, _| {
        settings.limits.body_bytes_max = 1000;
        settings.limits.bodies_coming_bytes_max = 1000;
    });
    let body = format!("[{GOOD}{}]", " ".repeat(900));
    let (most, end) = body.as_bytes().split_at(900);
    let mut slow = rig.connect();
    slow.send(&[&opening(body.len()), most].concat());
    eventually("a second slow body turned away", || {
        let mut second = rig.connect();
        second.send(&[&opening(body.len()), most].concat());
        second.send(end);
        let reply = second.reply(false).expect("an answer");
        is_turned_away(&reply) && second.is_closed()
    });
    assert_eq!(reasons(&post(&rig, &[], format!("[{GOOD}]").as_bytes())), ["accepted"], "a whole one");
    slow.send(end);
    assert_eq!(reasons(&slow.reply(false).expect("an answer")), ["accepted"]);
    // What it held is free again.
    let mut third = rig.connect();
    third.send(&[&opening(body.len()), most].concat());
    third.send(end);
    assert_eq!(reasons(&third.reply(false).expect("an answer")), ["accepted"]);
    rig.stop();
}

#[test]
fn a_server_of_a_known_network_may_send_batches_without_a_key() {
    let rig = Rig::with(|settings, _| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        settings.server[0].networks = vec!["203.0.113.0/24".parse().expect("a network")];
    });
    let body = br#"[{"c":"demo","p":"p1","ip":"198.51.100.7","ua":"Viewer"}]"#;
    for (from, expected) in [("203.0.113.9", "accepted"), ("203.0.114.9", "not_permitted")] {
        let reply = rig.connect().request("POST", "/v1/events", &[("x-forwarded-for", from)], body);
        assert!(reply.text().contains(expected), "{from}: {}", reply.text());
    }
    assert_eq!(rig.stop().only().agent, "Viewer");
}
