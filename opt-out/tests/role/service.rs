//! The role over real connections: what people and apps send, and what becomes of it.

use std::io::{Read, Write};
use std::sync::Arc;

use crate::support::{
    self, NOW_MS, Role, connect, ids_json, read_answer, receipt_json, send, text, wait_until, write_head,
};
use event::clock::Clock;
use event::identifier::IdField;
use opt_out::{Limits, ListSettings, Registry, RegistrySettings, Settings};
use tempfile::tempdir;

const OAID: &str = "Abcdef0123456789";
const OTHER_OAID: &str = "1bcdef0123456789";
const IMEI: &str = "490154203237518";

/// MD5 of [`OAID`], by `printf %s … | md5sum`.
const OAID_MD5: &str = "c339350b1fbd8d8a4b76e8f759280b6e";

/// Method, path, headers and body; status and code of the answer.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

fn unlimited() -> Settings {
    let limits = Limits { requests_burst_max: 1_000_000, ..Limits::default() };
    Settings { limits, ..Settings::default() }
}

#[test]
fn an_opted_out_identifier_is_left_out_from_then_on_in_every_form_and_nobody_else_is() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    assert!(!role.leaves_out(IdField::Oaid, OAID));

    let answer = role.call("/v1/opt-outs", &ids_json(&[("oaid", OAID), ("imei", IMEI)]));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(role.leaves_out(IdField::Oaid, OAID), "from the next request on");
    assert!(role.leaves_out(IdField::OaidMd5, OAID_MD5), "raw was lodged, MD5 arrives");
    assert!(role.leaves_out(IdField::OaidMd5, &OAID_MD5.to_uppercase()));
    assert!(role.leaves_out(IdField::Imei, IMEI));
    assert!(!role.leaves_out(IdField::Oaid, OTHER_OAID));
    assert!(!role.leaves_out(IdField::AndroidId, &OAID.to_lowercase()), "kinds are apart");

    let json = answer.json();
    assert_eq!(json["opted_out_at"], "2026-11-21T10:00:00.000Z");
    assert_eq!(json["policy_version"], 1);
    assert_eq!(json["ids"][0]["kind"], "oaid");
    assert_eq!(json["ids"][1]["kind"], "imei");
    assert_eq!(
        json["ids"][1]["covered"],
        serde_json::json!(["raw", "md5", "sha1", "sha256", "sha256_of_md5"])
    );
    assert_eq!(json["ids"][1]["not_covered"], serde_json::json!([]));
    assert_eq!(json["ids"][1]["ambiguous"], false);
    for secret in [OAID, IMEI, OAID_MD5] {
        assert!(!answer.body.contains(secret), "an answer never repeats what was sent");
    }
    role.handle.stop();
}

#[test]
fn a_lodged_digest_says_what_it_cannot_cover() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let answer = role.call("/v1/opt-outs", &ids_json(&[("imei", &"0a1b2c3d".repeat(5))]));
    assert_eq!(answer.json()["ids"][0]["covered"], serde_json::json!(["sha1"]));
    let not_covered = answer.json()["ids"][0]["not_covered"].to_string();
    assert!(not_covered.contains("\"raw\"") && not_covered.contains("\"md5\""), "{not_covered}");
    assert_eq!(answer.json()["ids"][0]["ambiguous"], false, "an IMEI has no letters");
    // An OAID of 32 hex looks like the MD5 of one: as an OAID it is covered whole.
    let answer = role.call("/v1/opt-outs", &ids_json(&[("oaid", OAID_MD5)]));
    assert_eq!(answer.json()["ids"][0]["ambiguous"], true);
    let page = role.submit(&[], &format!("action=device&lang=en&kind=oaid&value={OAID_MD5}"));
    assert!(page.body.contains("every form is recognised"), "{}", page.body);
}

#[test]
fn an_opt_out_survives_restarts_until_its_receipt_takes_it_back() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let (receipt, secret) = role.lodge(&[("oaid", OAID)]);
    let role = role.restart(dir.path());
    assert!(role.leaves_out(IdField::Oaid, OAID));

    let status = role.call("/v1/status", &receipt_json(&receipt, &secret)).json();
    let expected = serde_json::json!({
        "receipt": receipt, "state": "opted_out", "opted_out_at": "2026-11-21T10:00:00.000Z", "opted_in_at": null,
        "by": "api", "policy_version": 1
    });
    assert_eq!(status, expected);

    role.clock.advance_ms(60_000);
    for _ in 0..2 {
        // Typed from paper, and a second time: it stays what it is.
        let typed = receipt_json(&receipt.to_lowercase().replace('-', " "), &secret.to_lowercase());
        let answer = role.call("/v1/opt-ins", &typed).json();
        assert_eq!(
            (&answer["state"], &answer["opted_in_at"]),
            (&"opted_in".into(), &"2026-11-21T10:01:00.000Z".into())
        );
        assert!(!role.leaves_out(IdField::Oaid, OAID), "without a rebuild or a restart");
    }
    let role = role.restart(dir.path());
    assert!(!role.leaves_out(IdField::Oaid, OAID));
    assert_eq!(role.call("/v1/status", &receipt_json(&receipt, &secret)).json()["state"], "opted_in");

    let (second, _) = role.lodge(&[("oaid", OAID)]);
    assert_ne!(receipt, second);
    assert!(role.restart(dir.path()).leaves_out(IdField::Oaid, OAID), "opting out again works");
}

#[test]
fn a_receipt_takes_back_only_what_it_did_itself() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let (mine, my_secret) = role.lodge(&[("oaid", OAID), ("imei", IMEI)]);
    let (theirs, their_secret) = role.lodge(&[("oaid", OAID)]);
    role.call("/v1/opt-ins", &receipt_json(&theirs, &their_secret));
    assert!(role.leaves_out(IdField::Oaid, OAID), "my opt-out still covers it");

    let (third, third_secret) = role.lodge(&[("oaid", OAID)]);
    let role = role.restart(dir.path());
    role.call("/v1/opt-ins", &receipt_json(&mine, &my_secret));
    assert!(role.leaves_out(IdField::Oaid, OAID), "the third receipt covers it");
    assert!(!role.leaves_out(IdField::Imei, IMEI));
    role.call("/v1/opt-ins", &receipt_json(&third, &third_secret));
    assert!(!role.leaves_out(IdField::Oaid, OAID));
    assert!(role.list.is_empty());
}

#[test]
fn without_the_secret_nothing_is_told_and_nothing_is_taken_back() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let (receipt, secret) = role.lodge(&[("oaid", OAID)]);
    let (other, _) = role.lodge(&[("imei", IMEI)]);
    for (receipt, secret) in [
        (receipt.as_str(), "0".repeat(52).as_str()),
        (other.as_str(), secret.as_str()),
        ("0000-0000-0000-0000", secret.as_str()),
        ("rubbish", secret.as_str()),
        (receipt.as_str(), "rubbish"),
        (receipt.as_str(), ""),
    ] {
        for path in ["/v1/opt-ins", "/v1/status"] {
            let answer = role.call(path, &receipt_json(receipt, secret));
            assert_eq!(
                (answer.status, &answer.json()["error"]),
                (403, &"unknown_receipt".into()),
                "{}",
                answer.body
            );
        }
    }
    for (body, error, field) in [
        (format!("{{\"receipt\":\"{receipt}\"}}"), "no_secret", "secret"),
        (format!("{{\"secret\":\"{secret}\"}}"), "no_receipt", "receipt"),
        ("{}".to_owned(), "no_receipt", "receipt"),
    ] {
        for path in ["/v1/opt-ins", "/v1/status"] {
            let answer = role.call(path, &body);
            assert_eq!((answer.status, &answer.json()["error"]), (403, &error.into()), "{}", answer.body);
            assert_eq!(answer.json()["field"], field);
        }
    }
    // Of a browser that another site has sent here, a cookie stands for nothing.
    let other_site = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    let answer = role.call_with("/v1/opt-ins", &other_site, &format!("{{\"receipt\":\"{receipt}\"}}"));
    assert_eq!((answer.status, &answer.json()["error"]), (403, &"cross_site".into()));
    assert!(role.leaves_out(IdField::Oaid, OAID));
}

#[test]
fn an_error_names_the_field_and_what_belongs_there() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let imei = "868049039501257";
    for (body, status, field, detail) in [
        (
            r#"{"ids":[{"kind":"imei","value":868049039501257}]}"#,
            400,
            "ids[0].value",
            "ids[0].value has to be a text",
        ),
        (r#"{"ids":[{"kind":"oaid"}]}"#, 400, "ids[0].value", "ids[0].value is missing"),
        (
            r#"{"ids":[{"kind":"imei","value":"1","868049039501257":1}]}"#,
            400,
            "ids[0]",
            "none of kind, value, version",
        ),
        (
            r#"{"ids":[{"kind":"imei","value":"868049039501257"},{"kind":"telephone","value":"1"}]}"#,
            422,
            "ids[1].kind",
            "",
        ),
        (r#"{"ids":[{"kind":"imei","value":"868049039501257","version":"1"}]}"#, 422, "ids[0].version", ""),
        (r#"{"ids":[]}"#, 422, "ids", ""),
    ] {
        let answer = role.call("/v1/opt-outs", body);
        assert_eq!((answer.status, &answer.json()["field"]), (status, &field.into()), "{}", answer.body);
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{}", answer.body);
        assert!(!answer.body.contains(imei), "{}", answer.body);
    }
    let answer = role.call("/v1/opt-outs", "{");
    assert!(answer.json()["field"].is_null() && answer.body.contains("line 1"), "{}", answer.body);
}

#[test]
fn an_imei_whose_check_digit_does_not_fit_is_taken_with_a_note() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    for (imei, is_noted) in [("868049039501257", false), ("868049039501256", true), ("86804903950125", false)]
    {
        let answer = role.call("/v1/opt-outs", &ids_json(&[("imei", imei)]));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let note = answer.json()["ids"][0]["note"].as_str().map(str::to_owned);
        assert_eq!(note.is_some_and(|note| note.contains("check digit")), is_noted, "{}", answer.body);
        assert!(role.leaves_out(IdField::Imei, imei));
    }
}

#[test]
fn bad_identifiers_are_refused_and_then_nothing_is_done() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    for (kind, value, reason) in [
        ("imei", "000000000000000", "known_bad"),
        ("oaid", "00000000-0000-0000-0000-000000000000", "known_bad"),
        ("android_id", "9774d56d682e549c", "known_bad"),
        ("mac", "02:00:00:00:00:00", "known_bad"),
        ("oaid", "0ed86b8d2dfe3691c7e6c7f081c8e667", "known_bad"),
        ("oaid", "__OAID__", "known_bad"),
        ("imei", "490154203237519999", "malformed"),
        ("idfa", "", "known_bad"),
        ("telephone", "13800138000", "unknown_kind"),
    ] {
        let answer = role.call("/v1/opt-outs", &ids_json(&[("oaid", OAID), (kind, value)]));
        let json = answer.json();
        assert_eq!((answer.status, &json["error"]), (422, &"bad_id".into()), "{}", answer.body);
        assert_eq!(json["ids"].as_array().unwrap().len(), 1, "only the bad one is listed");
        assert_eq!(
            (&json["ids"][0]["index"], &json["ids"][0]["reason"]),
            (&1.into(), &reason.into()),
            "{kind} {value}"
        );
        assert!(value.is_empty() || !answer.body.contains(value), "{}", answer.body);
        assert!(!answer.body.contains("telephone"), "the kind may be where somebody put the value");
    }
    assert!(role.list.is_empty() && !role.leaves_out(IdField::Oaid, OAID), "all or nothing");
    assert_eq!(role.registry.stats().receipts, 0);
}

#[test]
fn a_filter_that_lets_everybody_through_drops_nobody_else() {
    let dir = tempdir().unwrap();
    let list = ListSettings { filter_blocks_max: 1, overlay_rebuild_entries: 100, ..ListSettings::default() };
    let role = Role::start(dir.path(), Settings { list, ..unlimited() });
    let oaid = |number: usize| format!("{number:08x}-5c1b-4a7d-9e2f-0123456789ab");
    for batch in 0..15 {
        let ids: Vec<_> = (0..20).map(|one| oaid(batch * 20 + one)).collect();
        let ids: Vec<_> = ids.iter().map(|id| ("oaid", id.as_str())).collect();
        role.lodge(&ids);
    }
    wait_until("the overlay is merged", || role.list.stats().overlay_entries < 100);
    let role = role.restart(dir.path());
    assert_eq!(role.list.stats().overlay_entries, 0, "everything is behind the filter");
    for number in 0..3_000 {
        assert_eq!(role.leaves_out(IdField::Oaid, &oaid(number)), number < 300, "{number}");
    }
}

#[test]
fn identifiers_and_secrets_are_found_nowhere_on_the_disk() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let (_, secret) = role.lodge(&[("oaid", OAID), ("imei", IMEI)]);
    role.call("/v1/opt-outs", &ids_json(&[("imei", "000000000000000")]));
    role.handle.stop();
    let md5: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&OAID_MD5[2 * at..2 * at + 2], 16).unwrap()).collect();
    let mut files = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for needle in [
            OAID.as_bytes(),
            IMEI.as_bytes(),
            OAID_MD5.as_bytes(),
            &md5,
            secret.as_bytes(),
            secret.replace('-', "").as_bytes(),
        ] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle));
        }
        files += 1;
    }
    assert!(files >= 2, "journal and cursor");
}

#[test]
fn a_person_who_hangs_up_is_opted_out_all_the_same() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let body = ids_json(&[("oaid", OAID)]);
    let mut stream = connect(role.address());
    write_head(
        &mut stream,
        "POST",
        "/v1/opt-outs",
        &[("content-type", "application/json")],
        Some(body.len()),
    );
    stream.write_all(body.as_bytes()).unwrap();
    drop(stream);
    wait_until("the opt-out is in force", || role.leaves_out(IdField::Oaid, OAID));
    assert!(role.restart(dir.path()).leaves_out(IdField::Oaid, OAID));
}

#[test]
fn what_the_api_cannot_take_is_refused_with_the_reason() {
    let dir = tempdir().unwrap();
    let mut settings = unlimited();
    settings.limits.body_bytes_max = 2_000;
    let role = Role::start(dir.path(), settings);
    let json = ("content-type", "application/json");
    let many = ids_json(&vec![("oaid", OAID); 21]);
    let long = ids_json(&[("oaid", &"a".repeat(2_000))]);
    let cases: [Case<'_>; 14] = [
        ("POST", "/v1/opt-outs", &[json], "{\"ids\":[]}", 422, "no_ids"),
        ("POST", "/v1/opt-outs", &[json], &many, 422, "too_many_ids"),
        ("POST", "/v1/opt-outs", &[json], &long, 413, "body_too_large"),
        ("POST", "/v1/opt-outs", &[json], "", 400, "invalid_json"),
        (
            "POST",
            "/v1/opt-outs",
            &[json],
            "{\"ids\":[{\"kind\":\"oaid\",\"value\":12345678}]}",
            400,
            "invalid_json",
        ),
        ("POST", "/v1/opt-outs", &[json], "{\"ids\":[],\"Abcdef0123456789\":1}", 400, "invalid_json"),
        ("POST", "/v1/opt-outs", &[("content-type", "text/plain")], "{}", 415, "unsupported_media_type"),
        ("POST", "/v1/opt-outs", &[], "{}", 415, "unsupported_media_type"),
        ("POST", "/v1/opt-outs", &[json, ("content-encoding", "gzip")], "{}", 415, "unsupported_media_type"),
        ("GET", "/v1/opt-outs", &[], "", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/status", &[], "", 405, "method_not_allowed"),
        ("DELETE", "/opt-out", &[], "", 405, "method_not_allowed"),
        ("POST", "/", &[], "", 405, "method_not_allowed"),
        ("GET", "/Abcdef0123456789?x", &[], "", 404, "not_found"),
    ];
    for (method, path, headers, body, status, error) in cases {
        let answer = send(role.address(), method, path, headers, body.as_bytes());
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (status, &error.into()),
            "{method} {path}: {}",
            answer.body
        );
        assert!(
            !answer.body.contains("Abcdef0123456789") && !answer.body.contains("12345678"),
            "{}",
            answer.body
        );
        assert_eq!(answer.header("allow").is_some(), status == 405);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    assert_eq!(send(role.address(), "PUT", "/opt-out", &[], b"").header("allow"), Some("GET, HEAD, POST"));
    // A length that is not said beforehand is held to the same limit.
    let mut stream = connect(role.address());
    write_head(&mut stream, "POST", "/v1/opt-outs", &[json, ("transfer-encoding", "chunked")], None);
    stream.write_all(format!("{:x}\r\n{}\r\n", 2_001, "a".repeat(2_001)).as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).status, 413);
    assert!(role.list.is_empty());
}

#[test]
fn what_is_too_slow_or_too_long_is_cut_off() {
    let dir = tempdir().unwrap();
    let mut settings = unlimited();
    settings.limits.head_seconds_max = 1;
    settings.limits.body_seconds_max = 1;
    settings.limits.head_bytes_max = 8 * 1024;
    let role = Role::start(dir.path(), settings);

    let mut slow_head = connect(role.address());
    slow_head.write_all(b"GET / HTTP/1.1\r\nhost: a").unwrap();
    let mut slow_body = connect(role.address());
    write_head(&mut slow_body, "POST", "/v1/opt-outs", &[("content-type", "application/json")], Some(100));
    assert_eq!(read_answer(&mut slow_body, false).status, 408);
    let mut rest = Vec::new();
    let _ = slow_head.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "), "closed without an answer, or with 408");

    let mut long_head = connect(role.address());
    let _ = long_head
        .write_all(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(9_000)).as_bytes());
    let mut answer = Vec::new();
    let _ = long_head.read_to_end(&mut answer);
    assert!(
        String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 431 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    assert_eq!(role.get("/", &[]).status, 200, "others are served");
}

/// A proxy that goes by the other length than the service would take what follows for the next person's request.
#[test]
fn nothing_is_read_behind_a_body() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let body = ids_json(&[("oaid", OAID)]);
    let hidden = "GET /opt-out.css HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = |path: &str, lengths: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{lengths}\r\n\r\n")
    };
    let length = format!("content-length: {}", body.len());
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let both = format!("content-length: {}\r\ntransfer-encoding: chunked", chunked.len() + hidden.len());
    let get = format!("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for first in [
        head("/v1/opt-outs", &length) + &body,
        head("/v1/opt-outs", &format!("{length}\r\n{length}")) + &body,
        head("/v1/opt-outs", "transfer-encoding: chunked") + &chunked,
        head("/v1/opt-outs", &both) + &chunked,
        head("/nowhere", &both) + &chunked,
        get,
    ] {
        let mut stream = connect(role.address());
        stream.write_all((first.clone() + hidden).as_bytes()).unwrap();
        let mut bytes = Vec::new();
        // What was left unread may end the connection with a reset; the answer comes before it.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "one answer to {first:?}: {text}");
        let (answer, _) = text.split_once("\r\n\r\n").unwrap();
        assert!(answer.contains("connection: close") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    // Without a body a connection serves on.
    let mut stream = connect(role.address());
    let last = hidden.replace("host: a", "host: a\r\nconnection: close");
    stream.write_all((hidden.repeat(2) + &last).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 ").count(), 3, "{text}");
}

#[test]
fn connections_beyond_the_limit_wait_for_a_place() {
    let dir = tempdir().unwrap();
    let mut settings = unlimited();
    settings.limits.connections_max = 2;
    let role = Role::start(dir.path(), settings);
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = connect(role.address());
            stream.write_all(b"GET /opt-out.css HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            // Its answer shows that it has one of the places.
            assert!(stream.read(&mut [0; 64]).unwrap() > 0);
            stream
        })
        .collect();
    let mut waiting = connect(role.address());
    write_head(&mut waiting, "GET", "/", &[], None);
    waiting.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    assert!(waiting.read(&mut [0; 1]).is_err(), "no place, no answer");
    drop(held);
    waiting.set_read_timeout(Some(support::PATIENCE)).unwrap();
    assert_eq!(read_answer(&mut waiting, false).status, 200);
}

#[test]
fn one_address_may_ask_only_so_often() {
    let dir = tempdir().unwrap();
    let limits = Limits { requests_burst_max: 3, requests_per_minute: 6, ..Limits::default() };
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let role = Role::start(dir.path(), Settings { limits, trusted_proxies, ..Settings::default() });
    let body = receipt_json("0000-0000-0000-0000", &"0".repeat(52));
    let ask = |address: &str| role.call_with("/v1/status", &[("x-forwarded-for", address)], &body);
    for _ in 0..3 {
        assert_eq!(ask("198.51.100.7").status, 403);
    }
    let refused = ask("203.0.113.1, 198.51.100.7");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("10")));
    assert_eq!(refused.json()["error"], "rate_limited");
    assert_eq!(ask("198.51.100.8").status, 403, "another person");
    assert_eq!(
        role.get("/opt-out", &[("x-forwarded-for", "198.51.100.7")]).status,
        200,
        "the page is not counted"
    );
    let form = role.submit(&[("x-forwarded-for", "198.51.100.7")], "action=browser_out&lang=en");
    assert_eq!((form.status, form.header("retry-after")), (429, Some("10")));
    role.clock.advance_ms(10_000);
    assert_eq!(ask("198.51.100.7").status, 403);
    assert_eq!(ask("198.51.100.7").status, 429);
}

#[test]
fn a_header_from_a_stranger_does_not_buy_another_bucket() {
    let dir = tempdir().unwrap();
    let limits = Limits { requests_burst_max: 3, ..Limits::default() };
    let role = Role::start(dir.path(), Settings { limits, ..Settings::default() });
    let ask = |last: usize| {
        let address = format!("198.51.100.{last}");
        role.call_with("/v1/status", &[("x-forwarded-for", address.as_str())], "{}").status
    };
    assert_eq!((0..5).map(ask).collect::<Vec<_>>(), [403, 403, 403, 429, 429]);
}

#[test]
fn when_the_journal_refuses_nothing_is_promised_and_the_cookie_still_works() {
    let dir = tempdir().unwrap();
    let registry = RegistrySettings {
        disk_bytes_max: 1 << 20,
        segment_bytes_max: 1 << 20,
        ..RegistrySettings::default()
    };
    let role = Role::start(dir.path(), Settings { registry, ..unlimited() });
    // Large records until one is refused, then the smallest until not even those fit.
    let id = |number: usize| format!("{number:08X}-5C1B-4A7D-9E2F-0123456789AB");
    let mut lodged = 0;
    let mut fill = |count: usize| loop {
        let ids: Vec<_> = (lodged..lodged + count).map(id).collect();
        let ids: Vec<_> = ids.iter().map(|id| ("idfv", id.as_str())).collect();
        let answer = role.call("/v1/opt-outs", &ids_json(&ids));
        if answer.status != 200 {
            return (lodged, answer);
        }
        lodged += count;
        assert!(lodged < 100_000, "the limit of the disk is never reached");
    };
    fill(20);
    let (lodged, refused) = fill(1);
    assert!(lodged > 0);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("30")));
    assert_eq!(refused.json()["error"], "unavailable");
    assert!(role.leaves_out(IdField::Idfv, &id(lodged - 1)) && !role.leaves_out(IdField::Idfv, &id(lodged)));
    let page = role.submit(
        &[("sec-fetch-site", "same-origin")],
        &format!("action=device&kind=oaid&value={OTHER_OAID}&lang=en"),
    );
    assert_eq!((page.status, page.header("retry-after")), (503, Some("30")));
    assert!(page.body.contains("we cannot store opt-outs of devices at the moment"));
    let cookie = role.submit(&[("sec-fetch-site", "same-origin")], "action=browser_out&lang=en");
    assert_eq!(
        (cookie.status, cookie.cookie("sightline_opt_out").unwrap().0.as_str()),
        (303, "sightline_opt_out=1")
    );
}

#[test]
fn receipts_and_hashes_have_a_limit() {
    for registry in [
        RegistrySettings { receipts_max: 2, ..RegistrySettings::default() },
        RegistrySettings { hashes_max: 20, ..RegistrySettings::default() },
    ] {
        let dir = tempdir().unwrap();
        let role = Role::start(dir.path(), Settings { registry, ..unlimited() });
        let statuses: Vec<u16> = (0..8)
            .map(|number| {
                role.call(
                    "/v1/opt-outs",
                    &ids_json(&[("idfv", &format!("{number:08X}-5C1B-4A7D-9E2F-0123456789AB"))]),
                )
                .status
            })
            .collect();
        assert_eq!((statuses[0], statuses[7]), (200, 503), "{statuses:?}");
        assert!(role.registry.stats().receipts <= 5);
    }
}

#[test]
fn a_stop_lets_what_is_under_way_finish() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let body = ids_json(&[("oaid", OAID)]);
    let mut busy = connect(role.address());
    write_head(&mut busy, "POST", "/v1/opt-outs", &[("content-type", "application/json")], Some(body.len()));
    let mut idle = connect(role.address());
    idle.write_all(b"GET /opt-out.css HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 16]).unwrap() > 0);

    let (address, list, keys, clock) =
        (role.address(), role.list.clone(), Arc::clone(&role.keys), role.clock.clone());
    let settings = role.settings.clone();
    drop(role.registry);
    let stopping = std::thread::spawn(move || role.handle.stop());
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("an idle connection is closed");
    assert!(!stopping.is_finished(), "it waits for the one that is under way");
    busy.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut busy, false).status, 200);
    stopping.join().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
    assert!(!list.is_empty());
    drop(list);
    assert!(Role::start_with(dir.path(), settings, keys, clock).leaves_out(IdField::Oaid, OAID));
}

#[test]
fn another_key_or_a_damaged_registry_is_not_served() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let (settings, clock) = (role.settings.clone(), Clock::manual(NOW_MS));
    for number in 0..10 {
        role.lodge(&[("idfv", &format!("{number:08X}-5C1B-4A7D-9E2F-0123456789AB"))]);
    }
    let keys = Arc::clone(&role.keys);
    role.handle.stop();
    drop((role.registry, role.list));

    let (registry, list) = Registry::open(dir.path(), &settings, clock.clone()).unwrap();
    let error = registry.bind_key(&support::keys()).unwrap_err();
    assert!(error.to_string().contains("another opt-out key"), "{error}");
    registry.bind_key(&keys).expect("its own key");
    registry.close();
    drop((registry, list));

    // A bit in the middle turns round.
    let segment = |dir: &std::path::Path| {
        let mut segments: Vec<_> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
        segments.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
        segments.sort();
        segments.into_iter().next().unwrap()
    };
    let first = segment(dir.path());
    let whole = std::fs::read(&first).unwrap();
    for at in [whole.len() / 3, whole.len() / 2] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&first, &damaged).unwrap();
        let error = Registry::open(dir.path(), &settings, clock.clone()).err().expect("damage is refused");
        assert!(error.to_string().contains("damaged"), "{error}");
    }
    // The first file is gone, a later one is there.
    std::fs::write(&first, &whole).unwrap();
    let (registry, _) = Registry::open(dir.path(), &settings, clock.clone()).expect("whole again");
    registry.bind_key(&keys).unwrap();
    drop(registry);
    let role = Role::start_with(dir.path(), settings.clone(), keys, clock.clone());
    role.lodge(&[("oaid", OAID)]);
    role.handle.stop();
    drop((role.registry, role.list));
    std::fs::remove_file(&first).unwrap();
    let error = Registry::open(dir.path(), &settings, clock).err().expect("a missing beginning is refused");
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn the_cookies_of_a_browser_stand_for_its_receipts_on_our_own_page_only() {
    let dir = tempdir().unwrap();
    let role = Role::start(dir.path(), unlimited());
    let ours = ("sec-fetch-site", "same-origin");
    let page = role.submit(&[ours], &format!("action=device&kind=oaid&value={OAID}&lang=en"));
    assert_eq!(page.status, 200, "{}", page.body);
    let (receipts, attributes) = page.cookie("sightline_receipts").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=34560000; SameSite=Strict; Secure; HttpOnly");
    let cookies = format!("{receipts}; sightline_opt_out=1");
    let cookie = ("cookie", cookies.as_str());

    let status = role.call_with("/v1/status", &[ours, cookie], "{}").json();
    assert_eq!(
        (&status["browser"], &status["receipts"][0]["state"]),
        (&"opted_out".into(), &"opted_out".into())
    );
    let receipt = format!("{{\"receipt\":\"{}\"}}", text(&status["receipts"][0]["receipt"]));
    assert_eq!(role.call_with("/v1/status", &[ours, cookie], &receipt).json()["by"], "page");
    for other in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("x", "nothing said")]
    {
        for body in ["{}", receipt.as_str()] {
            assert_eq!(role.call_with("/v1/opt-ins", &[other, cookie], body).status, 403);
        }
    }
    assert!(role.leaves_out(IdField::Oaid, OAID));
    let answer = role.call_with("/v1/opt-ins", &[ours, cookie], "{}");
    assert_eq!(
        (answer.status, &answer.json()["receipts"][0]["state"]),
        (200, &"opted_in".into()),
        "{}",
        answer.body
    );
    assert!(answer.cookie("sightline_opt_out").unwrap().1.contains("Max-Age=0"));
    assert!(answer.cookie("sightline_receipts").unwrap().1.contains("Max-Age=0"));
    assert!(!role.leaves_out(IdField::Oaid, OAID));
}
