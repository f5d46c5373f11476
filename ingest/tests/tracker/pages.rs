//! What pages and players fetch, and what a page of another origin may read.

use crate::rig::Rig;

#[test]
fn the_page_tag_is_handed_out_and_counts_nothing() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let plain = client.get("/tag.js", &[]);
    assert_eq!((plain.status, plain.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert!(plain.text().contains("data-sightline-campaign"));
    let packed = client.get("/tag.js?v=1", &[("accept-encoding", "gzip")]);
    assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"));
    assert!(
        packed.body.len() <= 4096 && packed.body.starts_with(&[0x1f, 0x8b]),
        "{} bytes",
        packed.body.len()
    );
    assert_eq!(client.get("/tag.js", &[("if-none-match", plain.header("etag"))]).status, 304);
    let head = client.request("HEAD", "/tag.js", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), plain.body.len().to_string());
    assert_eq!(rig.stop().received(), 0);
}

#[test]
fn a_wrapper_is_made_for_who_asks_and_counts_nothing() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let rid =
        |text: &str| text.split("rid=").nth(1).map(|rest| rest.get(..32).unwrap_or_default().to_owned());
    let [first, second] =
        [(); 2].map(|()| client.get("/vast?c=demo&p=p1", &[("origin", "https://player.example")]));
    assert_eq!((first.status, first.header("content-type")), (200, "application/xml; charset=utf-8"));
    assert!(first.header("cache-control").contains("no-store"));
    assert_eq!(first.header("access-control-allow-origin"), "https://player.example");
    assert_eq!(first.header("access-control-allow-credentials"), "true");
    assert!(
        first.text().contains("<VASTAdTagURI><![CDATA[https://ads.example.net/vast]]>"),
        "{}",
        first.text()
    );
    assert!(first.text().contains("<![CDATA[http://"), "{}", first.text());
    assert_ne!(rid(&first.text()), rid(&second.text()), "two views under one id");
    assert_eq!(client.request("HEAD", "/vast?c=demo&p=p1", &[], b"").status, 200);
    for (target, status) in [
        ("/vast?c=demo&p=bare", 404),
        ("/vast?c=demo&p=none", 404),
        ("/vast?c=none&p=p1", 404),
        ("/vast", 400),
    ] {
        assert_eq!(client.get(target, &[]).status, status, "{target}");
    }
    assert_eq!(rig.stop().received(), 0);
}

#[test]
fn the_wrappers_urls_begin_with_the_public_address() {
    let rig = Rig::with(|settings, _| settings.public_url = Some("https://t.example/".to_owned()));
    let text = rig.connect().get("/vast?c=demo&p=p1", &[]).text();
    assert_eq!(text.matches("<![CDATA[https://t.example/vast/").count(), 11, "{text}");
    rig.stop();
}

#[test]
fn a_page_may_read_whether_its_simple_request_was_stored() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let page = ("origin", "https://page.example");
    let batch = client.request(
        "POST",
        "/v1/events",
        &[page, ("content-type", "text/plain;charset=UTF-8")],
        br#"[{"c":"demo","p":"p1","stage":"viewable","rid":"a"}]"#,
    );
    assert_eq!(batch.text(), r#"{"results":[{"outcome":"accepted"}]}"#);
    for reply in [
        batch,
        client.get("/i?c=demo&p=p1&rid=b", &[page]),
        client.get("/e/viewable?c=demo&p=p1&rid=c", &[page]),
    ] {
        assert_eq!(reply.header("access-control-allow-origin"), "https://page.example");
        assert_eq!(reply.header("access-control-allow-credentials"), "true");
    }
    // A frame without an origin of its own says so.
    assert_eq!(
        client.get("/i?c=demo&p=p1&rid=d", &[("origin", "null")]).header("access-control-allow-origin"),
        "null"
    );
    for reply in [
        client.get("/i?c=demo&p=p1&rid=e", &[]),
        client.get("/tag.js", &[page]),
        client.get("/nothing", &[page]),
    ] {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(reply.header("access-control-allow-credentials"), "");
    }
    assert_eq!(rig.stop().received(), 5);
}

#[test]
fn the_tags_batches_carry_the_browsers_cookie_only_if_no_item_speaks_against_it() {
    let rig = Rig::with(|settings, _| settings.id_cookie = true);
    let mut client = rig.connect();
    let plain = r#"{"c":"demo","p":"p1"}"#;
    let limited = r#"{"c":"demo","p":"p1","lmt":1}"#;
    let mut sent = |items: &[&str], cookie: &str| {
        let body = format!("[{}]", items.join(","));
        let headers = [("cookie", cookie), ("content-type", "text/plain;charset=UTF-8")];
        client.request("POST", "/v1/events", &headers, body.as_bytes()).header("set-cookie").to_owned()
    };
    let given = sent(&[plain, plain], "a=b");
    let cookie = given.split(';').next().unwrap_or_default();
    assert!(cookie.starts_with("sightline_id="), "{given}");
    for items in [&[limited][..], &[plain, limited], &[limited, plain], &[]] {
        assert_eq!(sent(items, "a=b"), "", "{items:?}");
    }
    assert_eq!(sent(&[plain, limited, plain], cookie), "", "it is not renewed");
    let stored = rig.stop();
    let last: Vec<_> = stored.events.iter().rev().take(3).map(|event| event.device.is_some()).collect();
    assert_eq!(last, [true, false, true]);
    assert_eq!(stored.events.iter().filter(|event| event.device.is_some()).count(), 2);
}
