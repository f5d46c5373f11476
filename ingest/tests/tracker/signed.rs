//! Signed requests and batches that come again: who is believed, what is refused, and what the repeats are called.

use std::io::Write;

use event::key::signature::{
    Asked, DEVICE_AGENT_HEADER, DEVICE_IP_HEADER, IDEMPOTENCY_HEADER, KEY_HEADER, SIGNATURE_HEADER, Secret,
    TIME_HEADER, sign,
};
use event::outcome::Outcome;
use event::record::SourceKind;
use proptest::prelude::*;

use crate::rig::{
    NEW_SECRET, NOW_MS, OLD_SECRET, Reply, Rig, SERVER_KEY, SIGNER_KEY, STRICT_KEY, STRICT_SECRET,
};

const NOW: i64 = NOW_MS / 1000;
const BODY: &[u8] =
    br#"[{"c":"demo","p":"s2s","ip":"203.0.113.9","ua":"TheViewer"},{"c":"demo","p":"p1","stage":"click"}]"#;

type Headers = Vec<(&'static str, String)>;

/// The three headers, and the idempotency key if there is one.
fn headers(
    (name, secret): (&str, &str),
    time: i64,
    (method, target): (&str, &str),
    key: &str,
    body: &[u8],
) -> Headers {
    let secret = Secret::new(secret).expect("a good secret");
    let asked = Asked::of(method, target, |name| (name == IDEMPOTENCY_HEADER).then_some(key.as_bytes()));
    let mut headers = vec![
        (KEY_HEADER, name.to_owned()),
        (TIME_HEADER, time.to_string()),
        (SIGNATURE_HEADER, sign(&secret, name, time, asked, body)),
    ];
    if !key.is_empty() {
        headers.push((IDEMPOTENCY_HEADER, key.to_owned()));
    }
    headers
}

fn batch(name: &str, secret: &str, time: i64, key: &str, body: &[u8]) -> Headers {
    headers((name, secret), time, ("POST", "/v1/events"), key, body)
}

fn post(rig: &Rig, headers: &Headers, body: &[u8]) -> Reply {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    rig.connect().request("POST", "/v1/events", &headers, body)
}

fn outcomes(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let value: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    let results = value["results"].as_array().expect("results");
    results.iter().map(|result| result["outcome"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_signed_batch_has_its_servers_rights() {
    let rig = Rig::start();
    for (name, secret) in [("signer", NEW_SECRET), ("signer", OLD_SECRET), ("strict", STRICT_SECRET)] {
        let reply = post(&rig, &batch(name, secret, NOW, "", BODY), BODY);
        assert_eq!(outcomes(&reply), ["accepted", "accepted"], "{name}");
    }
    let bearer = vec![("authorization", format!("Bearer {SIGNER_KEY}"))];
    assert_eq!(outcomes(&post(&rig, &bearer, BODY)), ["accepted", "accepted"], "its key suffices too");
    let stored = rig.stop();
    let first = &stored.events[0];
    assert_eq!((first.agent.as_str(), first.source), ("TheViewer", SourceKind::Server));
}

#[test]
fn the_signature_is_over_the_body_as_it_is_sent() {
    let rig = Rig::start();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(BODY).expect("compressed");
    let gzip = encoder.finish().expect("compressed");
    let zstd = zstd::stream::encode_all(BODY, 3).expect("compressed");
    for (encoding, packed) in [("gzip", &gzip), ("zstd", &zstd)] {
        let mut signed = batch("strict", STRICT_SECRET, NOW, "", packed);
        signed.push(("content-encoding", encoding.to_owned()));
        assert_eq!(outcomes(&post(&rig, &signed, packed)), ["accepted", "accepted"], "{encoding}");
        let mut unpacked = batch("strict", STRICT_SECRET, NOW, "", BODY);
        unpacked.push(("content-encoding", encoding.to_owned()));
        let reply = post(&rig, &unpacked, packed);
        assert!(reply.status == 401 && reply.text().contains("does not match"), "{}", reply.text());
    }
    // In pieces, as a client sends that does not know the length.
    let mut chunked = rig.connect();
    let mut head = "POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".to_owned();
    for (name, value) in batch("strict", STRICT_SECRET, NOW, "", BODY) {
        head.extend([name, ": ", &value, "\r\n"]);
    }
    chunked.send(format!("{head}\r\n").as_bytes());
    for piece in BODY.chunks(10) {
        chunked.send(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
    }
    chunked.send(b"0\r\n\r\n");
    assert_eq!(outcomes(&chunked.reply(false).expect("an answer")), ["accepted", "accepted"]);
    assert_eq!(rig.stop().events.len(), 6);
}

#[test]
fn what_is_not_signed_rightly_is_refused_with_the_cause_and_nothing_is_accepted() {
    let rig = Rig::start();
    let good = || batch("signer", NEW_SECRET, NOW, "key-1", BODY);
    let without = |name: &str| good().into_iter().filter(|(header, _)| *header != name).collect::<Headers>();
    let with = |name: &'static str, value: &str| {
        let mut headers = without(name);
        headers.push((name, value.to_owned()));
        headers
    };
    let twice = [good(), vec![(TIME_HEADER, NOW.to_string())]].concat();
    let other_target = headers(("signer", NEW_SECRET), NOW, ("POST", "/v1/events?x"), "key-1", BODY);
    let other_method = headers(("signer", NEW_SECRET), NOW, ("GET", "/v1/events"), "key-1", BODY);
    for (headers, body, said) in [
        (good(), &b"[]"[..], "does not match"),
        (with(IDEMPOTENCY_HEADER, "key-2"), BODY, "does not match"),
        (without(IDEMPOTENCY_HEADER), BODY, "does not match"),
        (other_target, BODY, "does not match"),
        (other_method, BODY, "does not match"),
        (batch("signer", STRICT_SECRET, NOW, "", BODY), BODY, "does not match"),
        (batch("nobody", NEW_SECRET, NOW, "", BODY), BODY, "names nobody"),
        (batch("all", SERVER_KEY.repeat(2).as_str(), NOW, "", BODY), BODY, "names nobody"),
        (
            batch("signer", NEW_SECRET, NOW - 301, "", BODY),
            BODY,
            "301 s behind this server's clock, allowed are 300 s",
        ),
        (batch("signer", NEW_SECRET, NOW + 301, "", BODY), BODY, "301 s ahead of this server's clock"),
        (with(TIME_HEADER, &NOW_MS.to_string()), BODY, "Unix seconds"),
        (with(SIGNATURE_HEADER, "v1=0"), BODY, "64 hex digits"),
        (without(SIGNATURE_HEADER), BODY, "x-sightline-signature is missing"),
        (without(TIME_HEADER), BODY, "x-sightline-time is missing"),
        (without(KEY_HEADER), BODY, "x-sightline-key is missing"),
        (twice, BODY, "more than once"),
        (vec![("authorization", format!("Bearer {STRICT_KEY}"))], BODY, "have to be signed"),
        // A bearer key does not help a signature that is wrong.
        (
            [with(SIGNATURE_HEADER, "v1=0"), vec![("authorization", format!("Bearer {SERVER_KEY}"))]]
                .concat(),
            BODY,
            "64 hex",
        ),
    ] {
        let reply = post(&rig, &headers, body);
        assert_eq!(reply.status, 401, "{said}: {}", reply.text());
        assert_eq!(reply.header("www-authenticate"), "Bearer, Sightline-Signature");
        assert!(
            reply.text().contains(said) && reply.text().contains("nothing was accepted"),
            "{}",
            reply.text()
        );
        for secret in [NEW_SECRET, OLD_SECRET, STRICT_SECRET] {
            assert!(!reply.text().contains(secret), "{}", reply.text());
        }
    }
    // At the ends of the window.
    for time in [NOW - 300, NOW + 300] {
        assert_eq!(post(&rig, &batch("signer", NEW_SECRET, time, "", b"[]"), b"[]").status, 200);
    }
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (0, 0));
}

#[test]
fn a_signed_pixel_has_rights_and_a_wrongly_signed_one_is_nobodys() {
    let rig = Rig::start();
    let target = "/i?c=demo&p=s2s&ip=203.0.113.9&ua=TheViewer";
    let send = |target: &str, headers: &Headers| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        rig.outcome(target, &headers)
    };
    let signed = |target: &str| headers(("strict", STRICT_SECRET), NOW, ("GET", target), "", b"");
    assert_eq!(send(target, &signed(target)), "accepted");
    let click = "/c?c=demo&p=s2s&ip=203.0.113.9&ua=TheViewer";
    assert_eq!(send(click, &signed(click)), "accepted");
    assert_eq!(send(target, &signed(click)), "rejected; reason=bad_signature");
    assert_eq!(send(click, &signed(target)), "rejected; reason=bad_signature");
    let stale = headers(("strict", STRICT_SECRET), NOW - 400, ("GET", target), "", b"");
    assert_eq!(send(target, &stale), "rejected; reason=bad_signature");
    let bearer = vec![("authorization", format!("Bearer {STRICT_KEY}"))];
    assert_eq!(send(target, &bearer), "rejected; reason=bad_signature");
    let reply = rig.connect().get(target, &[("x-sightline-key", "strict")]);
    assert!(reply.is_pixel(), "a pixel is answered as one whatever becomes of it");
    let stored = rig.stop();
    assert_eq!(stored.events.len(), 2);
    assert!(stored.events.iter().all(|event| event.agent == "TheViewer" && !event.network.is_empty()));
    assert_eq!((stored.received(), stored.count(Outcome::BadSignature)), (7, 5));
}

#[test]
fn repeats_of_a_batch_have_the_views_of_the_first() {
    let rig = Rig::start();
    let body: &[u8] =
        br#"[{"c":"demo","p":"p1"},{"c":"demo","p":"p1","rid":"own"},{"c":"demo","p":"p1","stage":"click"}]"#;
    let key = |key: &str| vec![("idempotency-key", key.to_owned())];
    let bearer = ("authorization", format!("Bearer {SIGNER_KEY}"));
    let sendings: Vec<(Headers, &str, &[u8])> = vec![
        ([key("day-1"), vec![bearer.clone()]].concat(), "signer", b"day-1"),
        ([key("day-1"), vec![bearer.clone()]].concat(), "signer", b"day-1"),
        ([key("day-2"), vec![bearer]].concat(), "signer", b"day-2"),
        (batch("signer", NEW_SECRET, NOW, "day-1", body), "signer", b"day-1"),
        // A retry signs anew, perhaps with another key.
        (batch("signer", OLD_SECRET, NOW + 7, "day-1", body), "signer", b"day-1"),
        (batch("strict", STRICT_SECRET, NOW, "day-1", body), "strict", b"day-1"),
    ];
    for (headers, _, _) in &sendings {
        assert_eq!(outcomes(&post(&rig, headers, body)), ["accepted"; 3]);
    }
    let views: Vec<u64> = rig.stop().events.iter().map(|event| event.view).collect();
    let keys = Rig::keys();
    let expected = sendings.iter().flat_map(|(_, server, key)| {
        [keys.batch_item_hash(server, key, 0), keys.view_hash(b"own"), keys.batch_item_hash(server, key, 2)]
    });
    assert_eq!(views, expected.collect::<Vec<_>>());
}

#[test]
fn a_replayed_request_is_the_same_view_also_without_a_key() {
    let rig = Rig::start();
    let target = "/i?c=demo&p=s2s";
    let pixel = headers(("strict", STRICT_SECRET), NOW, ("GET", target), "", b"");
    let pixel: Vec<_> = pixel.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let signed = batch("strict", STRICT_SECRET, NOW, "", BODY);
    for _ in 0..3 {
        assert!(rig.connect().get(target, &pixel).is_pixel());
        assert_eq!(outcomes(&post(&rig, &signed, BODY)), ["accepted", "accepted"]);
    }
    let later = batch("strict", STRICT_SECRET, NOW + 1, "", BODY);
    assert_eq!(outcomes(&post(&rig, &later, BODY)), ["accepted", "accepted"]);
    let unsigned = vec![("authorization", format!("Bearer {SERVER_KEY}"))];
    assert_eq!(outcomes(&post(&rig, &unsigned, BODY)), ["accepted", "accepted"]);
    let views: Vec<u64> = rig.stop().events.iter().map(|event| event.view).collect();
    let (first, rest) = views.split_at(9);
    for replayed in first.chunks(3) {
        assert_eq!(replayed, &first[..3], "each time the same three views");
        assert!(!replayed.contains(&0));
    }
    assert!(first[0] != first[1] && first[1] != first[2]);
    assert!(rest[..2].iter().all(|view| *view != 0 && !first.contains(view)), "signed anew: another request");
    assert_eq!(&rest[2..], [0, 0], "nothing tells a repeat of an unsigned batch without a key");
}

/// Headers of a signed pixel that names its viewer in headers.
fn viewer(target: &str, ip: &str, agent: &str) -> Headers {
    let secret = Secret::new(STRICT_SECRET).expect("a good secret");
    let asked = Asked {
        device_ip: ip.as_bytes(),
        device_agent: agent.as_bytes(),
        ..Asked::of("GET", target, |_| None)
    };
    vec![
        (KEY_HEADER, "strict".to_owned()),
        (TIME_HEADER, NOW.to_string()),
        (SIGNATURE_HEADER, sign(&secret, "strict", NOW, asked, b"")),
        (DEVICE_IP_HEADER, ip.to_owned()),
        (DEVICE_AGENT_HEADER, agent.to_owned()),
    ]
}

#[test]
fn a_signed_pixel_cannot_be_sent_again_with_another_viewer() {
    let rig = Rig::start();
    let target = "/i?c=demo&p=s2s";
    let send = |headers: &Headers| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        rig.outcome(target, &headers)
    };
    let signed = viewer(target, "203.0.113.9", "TheViewer");
    assert_eq!(send(&signed), "accepted");
    let without =
        |name: &str| signed.iter().filter(|(known, _)| *known != name).cloned().collect::<Headers>();
    let with = |name: &'static str, value: &str| [without(name), vec![(name, value.to_owned())]].concat();
    for forged in [
        with(DEVICE_IP_HEADER, "203.0.114.9"),
        with(DEVICE_AGENT_HEADER, "Another"),
        without(DEVICE_IP_HEADER),
        without(DEVICE_AGENT_HEADER),
        with(DEVICE_IP_HEADER, ""),
        // Which of the two would be believed, and which one is signed?
        [signed.clone(), vec![(DEVICE_IP_HEADER, "203.0.114.9".to_owned())]].concat(),
        [vec![(DEVICE_AGENT_HEADER, "Another".to_owned())], signed.clone()].concat(),
    ] {
        assert_eq!(send(&forged), "rejected; reason=bad_signature", "{forged:?}");
    }
    // A batch takes its viewer from the same headers, and says what is wrong.
    let mut batch = batch("strict", STRICT_SECRET, NOW, "", br#"[{"c":"demo","p":"s2s"}]"#);
    batch.push((DEVICE_IP_HEADER, "203.0.114.9".to_owned()));
    let reply = post(&rig, &batch, br#"[{"c":"demo","p":"s2s"}]"#);
    assert!(reply.status == 401 && reply.text().contains("X-Device-IP or nothing"), "{}", reply.text());
    let stored = rig.stop();
    assert_eq!((stored.events.len(), stored.count(Outcome::BadSignature)), (1, 7));
    assert_eq!(stored.events[0].agent, "TheViewer");
}

#[test]
fn one_pixel_signed_twice_in_a_second_for_two_viewers_is_two_views() {
    let rig = Rig::start();
    let target = "/i?c=demo&p=s2s";
    for (ip, agent) in [
        ("203.0.113.9", "TheViewer"),
        ("203.0.114.9", "TheViewer"),
        ("203.0.113.9", "Another"),
        ("203.0.113.9", "TheViewer"),
    ] {
        let signed = viewer(target, ip, agent);
        let signed: Vec<_> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(rig.outcome(target, &signed), "accepted");
    }
    let views: Vec<u64> = rig.stop().events.iter().map(|event| event.view).collect();
    assert!(views[0] != views[1] && views[0] != views[2] && views[1] != views[2] && !views.contains(&0));
    assert_eq!(views[0], views[3], "and the very same request is the same view");
}

#[test]
fn an_idempotency_key_is_of_registered_servers_and_no_request_id_meets_it() {
    let rig = Rig::with(|settings, _| {
        settings.server[0].networks = vec!["127.0.0.0/8".parse().expect("a network")];
    });
    let item: &[u8] = br#"[{"c":"demo","p":"p1"}]"#;
    let key = || vec![("idempotency-key", "day-1".to_owned())];
    assert_eq!(outcomes(&post(&rig, &key(), item)), ["accepted"], "known by its network");
    let forged: &[u8] = br#"[{"c":"demo","p":"p1","rid":"all/day-1/0"}]"#;
    assert_eq!(outcomes(&post(&rig, &vec![], forged)), ["accepted"]);
    // Ids that stand for nothing are none: the key names the items.
    let nameless: &[u8] =
        br#"[{"c":"demo","p":"p1","rid":"null"},{"c":"demo","p":"p1","gid":"0","rid":"-1"}]"#;
    assert_eq!(outcomes(&post(&rig, &key(), nameless)), ["accepted", "accepted"]);
    let views: Vec<u64> = rig.stop().events.iter().map(|event| event.view).collect();
    let keys = Rig::keys();
    let named = |index| keys.batch_item_hash("all", b"day-1", index);
    assert_eq!(views, [named(0), keys.view_hash(b"all/day-1/0"), named(0), named(1)]);
    assert_ne!(views[0], views[1]);

    let rig = Rig::start();
    let reply = post(&rig, &key(), item);
    assert_eq!(reply.status, 400);
    assert!(
        reply.text().contains("from registered servers only")
            && reply.text().contains("nothing was accepted"),
        "{}",
        reply.text()
    );
    assert_eq!(rig.stop().received(), 0);
}

#[test]
fn an_idempotency_key_that_is_none_is_refused() {
    let rig = Rig::start();
    for key in ["two words".to_owned(), String::new(), "k".repeat(129)] {
        let bearer = ("authorization", format!("Bearer {SERVER_KEY}"));
        let reply = post(&rig, &vec![bearer, ("idempotency-key", key)], BODY);
        assert!(reply.status == 400 && reply.text().contains("1 to 128 visible ASCII"), "{}", reply.text());
    }
    let twice = vec![
        ("authorization", format!("Bearer {SERVER_KEY}")),
        ("idempotency-key", "a".to_owned()),
        ("idempotency-key", "a".to_owned()),
    ];
    assert_eq!(post(&rig, &twice, BODY).status, 400);
    assert_eq!(rig.stop().received(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever stands in the headers: 401 or the batch as it would be without, never more rights.
    #[test]
    fn no_headers_forge_a_signature(values in prop::collection::vec((0..3_usize, "[ -~]{0,80}"), 1..5)) {
        let rig = shared();
        let names = [KEY_HEADER, TIME_HEADER, SIGNATURE_HEADER];
        let headers: Headers = values.into_iter().map(|(name, value)| (names[name], value)).collect();
        let reply = post(rig, &headers, BODY);
        prop_assert_eq!(reply.status, 401, "{}", reply.text());
    }
}

/// One tracker for all cases.
fn shared() -> &'static Rig {
    static RIG: std::sync::OnceLock<Rig> = std::sync::OnceLock::new();
    RIG.get_or_init(Rig::start)
}
