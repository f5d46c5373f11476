//! Never a second request out of one: raw bytes that a proxy in front and we might read differently.

use proptest::prelude::*;

use crate::rig::{Client, Rig};
use crate::tls;

/// What the hidden request would be counted as.
const HIDDEN: &str = "GET /i?c=demo&p=p1&rid=hidden HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_request_hidden_in_another_is_never_served() {
    hide_requests(&Rig::start, &Rig::connect);
}

#[test]
fn nor_inside_tls() {
    hide_requests(&tls::rig, &|rig| tls::connect(rig, b"http/1.1"));
}

fn hide_requests(start: &dyn Fn() -> Rig, connect: &dyn Fn(&Rig) -> Client) {
    let rig = start();
    let hidden_bytes = HIDDEN.len();
    for (what, head, body) in [
        ("both lengths", "Content-Length: 5\r\nTransfer-Encoding: chunked", format!("0\r\n\r\n{HIDDEN}")),
        (
            "both, the other way round",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            format!("0\r\n\r\n{HIDDEN}"),
        ),
        ("two lengths", &format!("Content-Length: {hidden_bytes}\r\nContent-Length: 0"), HIDDEN.to_owned()),
        ("two lengths in one", &format!("Content-Length: 0, {hidden_bytes}"), HIDDEN.to_owned()),
        ("the same length twice", "Content-Length: 0\r\nContent-Length: 0", HIDDEN.to_owned()),
        ("a signed length", &format!("Content-Length: +{hidden_bytes}"), HIDDEN.to_owned()),
        ("a hexadecimal length", "Content-Length: 0x0", HIDDEN.to_owned()),
        ("a huge length", "Content-Length: 18446744073709551616", HIDDEN.to_owned()),
        ("a space before the colon", "Content-Length : 0", HIDDEN.to_owned()),
        ("a tab before the colon", "Transfer-Encoding\t: chunked", format!("0\r\n\r\n{HIDDEN}")),
        ("a folded line", "X: a\r\n Content-Length: 0", HIDDEN.to_owned()),
        ("a folded coding", "Transfer-Encoding:\r\n chunked", format!("0\r\n\r\n{HIDDEN}")),
        ("an unknown coding", "Transfer-Encoding: xchunked", format!("0\r\n\r\n{HIDDEN}")),
        ("chunked, then identity", "Transfer-Encoding: chunked, identity", format!("0\r\n\r\n{HIDDEN}")),
        (
            "the coding twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            format!("0\r\n\r\n{HIDDEN}"),
        ),
        ("a bare LF in a head", "X: a\nContent-Length: 0", HIDDEN.to_owned()),
        ("a head's end by bare LF", &format!("X: a\n\n{}", HIDDEN.trim_end()), String::new()),
        ("a bare CR", "X: a\rContent-Length: 0", HIDDEN.to_owned()),
        ("a NUL", "X: a\0", HIDDEN.to_owned()),
        ("two hosts", "Host: y", HIDDEN.to_owned()),
        ("a sound chunked body", "Transfer-Encoding: chunked", format!("2\r\n[]\r\n0\r\n\r\n{HIDDEN}")),
        ("a chunk size with a sign", "Transfer-Encoding: chunked", format!("+2\r\n[]\r\n0\r\n\r\n{HIDDEN}")),
        (
            "a chunk size that wraps",
            "Transfer-Encoding: chunked",
            format!("10000000000000002\r\n[]\r\n0\r\n\r\n{HIDDEN}"),
        ),
        ("a chunk ended by bare LF", "Transfer-Encoding: chunked", format!("2\n[]\n0\n\n{HIDDEN}")),
        (
            "a chunk with an extension",
            "Transfer-Encoding: chunked",
            format!("2;a=\"\n\"\r\n[]\r\n0\r\n\r\n{HIDDEN}"),
        ),
        ("a chunk longer than said", "Transfer-Encoding: chunked", format!("1\r\n[]\r\n0\r\n\r\n{HIDDEN}")),
        (
            "trailers",
            "Transfer-Encoding: chunked",
            format!("2\r\n[]\r\n0\r\nContent-Length: 5\r\n\r\n{HIDDEN}"),
        ),
    ] {
        let mut client = connect(&rig);
        client.send(format!("POST /v1/events HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{body}").as_bytes());
        client.shutdown_write();
        let mut answers = 0;
        while let Some(reply) = client.reply(false) {
            answers += 1;
            assert!(!reply.is_pixel(), "{what}: the hidden request was answered");
        }
        assert!(answers <= 1, "{what}: {answers} answers");
    }
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (0, 0));
}

#[test]
fn a_body_is_no_request_whoever_leaves_it_unread() {
    let rig = Rig::start();
    for target in ["/i?c=demo&p=p1", "/nowhere"] {
        let mut client = rig.connect();
        let length = HIDDEN.len();
        client.send(
            format!("GET {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{HIDDEN}")
                .as_bytes(),
        );
        client.shutdown_write();
        assert!(client.reply(false).is_some());
        assert!(client.reply(false).is_none(), "{target}");
    }
    let stored = rig.stop();
    assert_eq!(stored.received(), 1);
    assert_eq!(stored.only().view, 0);
}

#[test]
fn sound_requests_in_a_row_are_all_served() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let pixel = "GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let batch = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]";
    client.send(format!("{pixel}{batch}{pixel}{pixel}").as_bytes());
    let statuses: Vec<_> = (0..4).map(|_| client.reply(false).expect("an answer").status).collect();
    assert_eq!(statuses, [200; 4]);
    // And in pieces of one byte.
    for byte in format!("{pixel}{batch}").bytes() {
        client.send(&[byte]);
    }
    assert!(client.reply(false).expect("an answer").is_pixel());
    assert_eq!(client.reply(false).expect("an answer").text(), r#"{"results":[]}"#);
    assert_eq!(rig.stop().received(), 4);
}

#[test]
fn no_bytes_bring_a_lane_down() {
    let rig = Rig::start();
    let word = prop::sample::select(vec![
        "GET ",
        "POST ",
        "/i?c=demo&p=p1",
        "/c?u=",
        "/v1/events",
        " HTTP/1.1",
        "\r\n",
        "Host: x\r\n",
        "\n",
        "\r\n\r\n",
        "Content-Length: 3\r\n",
        "Content-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Cookie: ;=,;\r\n",
        "[{}]",
        "X-Forwarded-For: ,,\r\n",
        "Authorization: Bearer \r\n",
        "%",
        "\0",
        "&oaid=1&oaid=2",
        "é",
    ]);
    let part = prop_oneof![
        4 => word.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(parts in prop::collection::vec(part, 0..24))| {
        let mut client = rig.connect();
        client.send(&parts.concat());
        client.shutdown_write();
        while client.reply(false).is_some() {}
    });
    assert!(rig.get("/i?c=demo&p=p1").is_pixel());
    assert!(rig.handle.as_ref().expect("running").readiness().clicks);
    rig.stop();
}
