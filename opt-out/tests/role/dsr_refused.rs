//! Deletion requests that are not taken: each with its result code in either version, nothing done, and the same said of what is there and what is not.

use event::identifier::IdField;
use opt_out::{Limits, PartyRight, Settings};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::dsr_tokens::{
    Company, NOW, OAID, OAID_MD5, OURS, acknowledged, base64url, origin, request, request_for, send,
    settings, start, subject,
};
use crate::support::{Role, send as send_raw};

const BOTH: [PartyRight; 2] = [PartyRight::OptOut, PartyRight::Erasure];

const CAID: &str = "7f3c2d9e7a414b6f9c1e5d2a8b7c6e10";

struct Scene {
    dir: TempDir,
    publisher: Company,
    role: Role,
}

fn scene(change: impl FnOnce(&mut Settings)) -> Scene {
    let dir = tempdir().expect("a folder");
    let publisher = Company::new("publisher.example", "ES256");
    let mut settings = settings(vec![publisher.registered(dir.path(), &BOTH)]);
    change(&mut settings);
    let role = start(dir.path(), settings);
    Scene { dir, publisher, role }
}

impl Scene {
    fn changed(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = request("2.0", &self.publisher, "rq-1");
        change(&mut claims);
        self.publisher.sign(&claims)
    }

    /// Sends a request that must be refused with this code, and do nothing.
    fn refused(&self, what: &str, token: &str, code: u32) {
        let answer = send(&self.role, token);
        assert_eq!(answer.status, 400, "{what}: {}", answer.body);
        let claims = acknowledged(&self.role, &answer, token);
        assert_eq!(claims["raResultCode"], code, "{what}: {claims}");
        assert!(!answer.json()["detail"].as_str().is_some_and(|text| text.contains(OAID)), "{what}");
    }

    fn nothing_was_done(&self) {
        assert!(!self.role.leaves_out(IdField::Oaid, OAID));
        let requests = self.role.requests.as_ref().expect("they are open");
        assert_eq!(requests.list(false, 10).1, 0);
        // And what was refused is not used: the right one is taken.
        let answer = send(&self.role, &self.changed(|_| ()));
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
}

#[test]
fn a_token_that_is_not_signed_by_its_issuers_key_is_nobodys() {
    let scene = scene(|_| ());
    let Scene { publisher, .. } = &scene;
    let claims = request("2.0", publisher, "rq-1");
    let with_head = |change: &dyn Fn(&mut Value)| {
        let mut head = publisher.head();
        change(&mut head);
        publisher.sign_raw(&head.to_string(), &claims.to_string())
    };
    let good = publisher.sign(&claims);
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let unsigned =
        |head: &Value| format!("{}.{}", base64url(head.to_string()), base64url(claims.to_string()));
    let none = json!({"alg": "none", "kid": publisher.kid()});
    let hmac = json!({"alg": "HS256", "kid": publisher.kid()});

    scene.refused("alg none, no signature", &format!("{}.", unsigned(&none)), 12_201);
    scene.refused("alg None, a signature", &format!("{}.{signature}", unsigned(&none)), 12_201);
    // The public key, in each form that a careless library would take for the secret.
    for secret in [publisher.jwk().to_string(), publisher.jwk()["x"].to_string()] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, unsigned(&hmac).as_bytes());
        scene.refused(
            "HS256 under the public key",
            &format!("{}.{}", unsigned(&hmac), base64url(tag)),
            12_201,
        );
    }
    for alg in ["RS256", "ES384", "PS256", "EdDSA", "es256", ""] {
        scene.refused(alg, &with_head(&|head| head["alg"] = alg.into()), 12_201);
    }
    scene.refused("another kid", &with_head(&|head| head["kid"] = "key-2".into()), 11_205);
    let no_kid = with_head(&|head| drop(head.as_object_mut().and_then(|head| head.remove("kid"))));
    scene.refused("no kid", &no_kid, 11_205);
    let impostor = Company::new("publisher.example", "ES256");
    scene.refused("another's key under the same names", &impostor.sign(&claims), 13_202);
    let own_key = |head: &mut Value| head["jwk"] = impostor.jwk();
    let mut head = impostor.head();
    own_key(&mut head);
    scene.refused(
        "a key that the token brings",
        &impostor.sign_raw(&head.to_string(), &claims.to_string()),
        13_202,
    );
    let stranger = Company::new("stranger.example", "ES256");
    scene.refused("nobody", &stranger.sign(&request("2.0", &stranger, "rq-1")), 11_202);
    let mut others = request("2.0", publisher, "rq-2");
    others["identifierType"] = "imei".into();
    let (_, of_another) =
        publisher.sign(&others).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("parts");
    scene.refused("another token's signature", &format!("{signed}.{of_another}"), 13_202);
    scene.refused("a signature of zeros", &format!("{signed}.{}", base64url([0; 64])), 13_202);
    scene.refused("a short signature", &format!("{signed}.{}", base64url([1; 63])), 13_202);
    scene.refused("no signature", &format!("{signed}."), 13_202);
    scene.nothing_was_done();
}

#[test]
fn what_is_no_token_or_could_be_read_in_two_ways_is_refused() {
    let scene = scene(|_| ());
    let Scene { publisher, .. } = &scene;
    let claims = request("2.0", publisher, "rq-1").to_string();
    let good = publisher.sign_raw(&publisher.head().to_string(), &claims);
    for (what, token) in [
        ("nothing", String::new()),
        ("words", "not a token".to_owned()),
        ("two parts", good.rsplit_once('.').expect("parts").0.to_owned()),
        ("four parts", format!("{good}.{}", base64url("x"))),
        ("padding", good.clone() + "="),
        ("cut within", good[..good.len() / 2].to_owned()),
        ("the other alphabet", good.replace(['-', '_'], "+") + "+"),
        ("a blank in it", good.replacen('.', " .", 1)),
        ("claims that are none", publisher.sign_raw(&publisher.head().to_string(), "[1]")),
        ("no JSON", publisher.sign_raw(&publisher.head().to_string(), "{")),
        ("words behind", publisher.sign_raw(&publisher.head().to_string(), &format!("{claims} x"))),
        ("no UTF-8", format!("{}.{}.{}", base64url("{}"), base64url([0xff, 0xfe]), base64url("x"))),
        ("nested", publisher.sign_raw(&publisher.head().to_string(), &"[".repeat(9_000))),
        (
            "nested within a claim",
            publisher.sign_raw(
                &publisher.head().to_string(),
                &claims.replacen('{', &format!("{{\"exp\":{}1{},", "[".repeat(4_000), "]".repeat(4_000)), 1),
            ),
        ),
        (
            "an array for a text",
            publisher.sign_raw(&publisher.head().to_string(), &claims.replacen("\"rq-1\"", "[\"rq-1\"]", 1)),
        ),
        (
            "another version",
            publisher.sign_raw(&publisher.head().to_string(), &claims.replacen("\"2.0\"", "\"3.0\"", 1)),
        ),
        (
            "a version that is a number",
            publisher.sign_raw(&publisher.head().to_string(), &claims.replacen("\"2.0\"", "2.0", 1)),
        ),
        ("a jti without end", scene.changed(|claims| claims["jti"] = "j".repeat(257).into())),
        ("an empty jti", scene.changed(|claims| claims["jti"] = "".into())),
        ("too long", scene.changed(|claims| claims["optionalParameters"] = "o".repeat(20_000).into())),
    ] {
        let answer = send(&scene.role, &token);
        assert_eq!(answer.status, 400, "{what}: {}", answer.body);
        let sent_back = if token.len() <= opt_out::dsr::TOKEN_BYTES_MAX { token.as_str() } else { "" };
        let acknowledged = acknowledged(&scene.role, &answer, sent_back);
        assert_eq!(acknowledged["raResultCode"], 13_201, "{what}: {acknowledged}");
    }
    for name in ["jti", "iss", "iat", "orJWT", "version", "identifierValue", "identifierType", "aud"] {
        let twice = claims.replacen('{', &format!("{{\"{name}\":{},", second(name)), 1);
        let twice =
            if name == "aud" { twice.replacen('{', "{\"aud\":\"measurement.example\",", 1) } else { twice };
        let token = publisher.sign_raw(&publisher.head().to_string(), &twice);
        scene.refused(&format!("{name} twice"), &token, 13_201);
    }
    let head = publisher.head().to_string();
    for head in [
        head.replacen('{', "{\"alg\":\"none\",", 1),
        head.replacen('{', "{\"kid\":\"key-2\",", 1),
        head.replacen('{', "{\"crit\":[\"b64\"],\"b64\":false,", 1),
        head.replacen('{', "{\"crit\":null,", 1),
        head.replacen("JWT", "JWE", 1),
    ] {
        scene.refused(&head, &publisher.sign_raw(&head, &claims), 13_201);
    }
    scene.nothing_was_done();
}

fn second(name: &str) -> &'static str {
    if name == "iat" { "1" } else { "\"2.0\"" }
}

#[test]
fn a_signed_request_is_held_to_its_time_its_recipient_and_what_it_is_about() {
    let scene = scene(|_| ());
    let about = |kind: &'static str, value: &'static str, format: &'static str| {
        move |claims: &mut Value| {
            let about = subject(kind, value, format);
            for name in ["identifierType", "identifierValue", "identifierFormat"] {
                claims[name] = about[name].clone();
            }
        }
    };
    let set = |name: &'static str, value: Value| move |claims: &mut Value| claims[name] = value;
    let without = |name: &'static str| {
        move |claims: &mut Value| drop(claims.as_object_mut().map(|map| map.remove(name)))
    };
    let cases: Vec<(&str, String, u32)> = vec![
        ("ahead", scene.changed(set("iat", json!(NOW + 301))), 13_204),
        ("a day old", scene.changed(set("iat", json!(NOW - 24 * 3_600 - 1))), 13_203),
        ("no number", scene.changed(set("iat", json!(NOW.to_string()))), 13_203),
        ("no whole number", scene.changed(set("iat", json!(NOW as f64 + 0.5))), 13_203),
        ("negative", scene.changed(set("iat", json!(-1))), 13_203),
        ("beyond all numbers", scene.changed(set("iat", json!(u64::MAX))), 13_203),
        ("expired", scene.changed(set("exp", json!(NOW))), 13_203),
        ("exp that is none", scene.changed(set("exp", json!("never"))), 13_203),
        ("not begun", scene.changed(set("nbf", json!(NOW + 301))), 13_203),
        ("before its cause", scene.changed(set("iat", json!(NOW - 61))), 13_205),
        ("for another", scene.changed(set("aud", json!("other.example"))), 10_010),
        ("for others", scene.changed(set("aud", json!(["a.example", "b.example"]))), 10_010),
        ("for nobody", scene.changed(set("aud", json!([]))), 10_010),
        ("no jti", scene.changed(without("jti")), 13_201),
        ("no iat", scene.changed(without("iat")), 13_201),
        ("no iss", scene.changed(without("iss")), 13_201),
        ("no first party", scene.changed(without("orJWT")), 13_201),
        ("no value", scene.changed(without("identifierValue")), 13_201),
        ("no type", scene.changed(without("identifierType")), 13_201),
        ("no format", scene.changed(without("identifierFormat")), 13_201),
        ("a type of others", scene.changed(about("email", OAID, "plaintext")), 14_201),
        ("a type that is not listed", scene.changed(about("mac_colons", OAID_MD5, "md5")), 14_201),
        ("a type in another case", scene.changed(about("OAID", OAID, "plaintext")), 14_201),
        ("a format of others", scene.changed(about("oaid", OAID, "hash")), 14_202),
        ("no digest", scene.changed(about("oaid", OAID, "sha256")), 14_203),
        ("another digest", scene.changed(about("oaid", OAID_MD5, "sha1")), 14_203),
        ("a digest as it is", scene.changed(about("imei", OAID_MD5, "plaintext")), 14_203),
        ("nothing", scene.changed(about("oaid", "", "plaintext")), 14_204),
        ("zeros", scene.changed(about("imei", "000000000000000", "plaintext")), 14_204),
        ("words", scene.changed(about("imei", "no such thing", "plaintext")), 14_204),
        ("a CAID without its version", scene.changed(about("caid", CAID, "plaintext")), 14_204),
        ("a digest of a CAID", scene.changed(about("caid", OAID_MD5, "md5")), 14_202),
    ];
    for (what, token, code) in cases {
        scene.refused(what, &token, code);
    }
    scene.nothing_was_done();
    let versioned = scene.changed(|claims| {
        claims["jti"] = "caid".into();
        about("caid", "20230330_7f3c2d9e7a414b6f9c1e5d2a8b7c6e10", "plaintext")(claims);
    });
    assert_eq!(send(&scene.role, &versioned).status, 202, "a CAID with its version");
    for good in [json!(OURS), json!(["a.example", OURS])] {
        let answer = send(
            &scene.role,
            &scene.changed(|claims| {
                claims["jti"] = good.to_string().into();
                claims["aud"] = good;
                claims["exp"] = json!(NOW + 1);
                claims["nbf"] = json!(NOW);
            }),
        );
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
}

#[test]
fn the_first_partys_token_is_held_to_the_same() {
    let scene = scene(|_| ());
    let Scene { publisher, .. } = &scene;
    let around = |inner: &str| publisher.sign(&request_for("2.0", publisher.domain, inner, "rq-1"));
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = origin("2.0", publisher);
        change(&mut claims);
        around(&publisher.sign(&claims))
    };
    let impostor = Company::new("publisher.example", "ES256");
    let stranger = Company::new("stranger.example", "ES256");
    for (what, token, code) in [
        ("no token", around("a.b.c"), 13_101),
        ("of the other version", around(&publisher.sign(&origin("1.0", publisher))), 13_101),
        ("no jti", with(&|claims| drop(claims.as_object_mut().map(|map| map.remove("jti")))), 13_101),
        ("another's key", around(&impostor.sign(&origin("2.0", publisher))), 13_102),
        ("nobody's", around(&stranger.sign(&origin("2.0", &stranger))), 11_102),
        ("no time", with(&|claims| claims["iat"] = json!("now")), 13_103),
        ("two months old", with(&|claims| claims["iat"] = json!(NOW - 60 * 86_400)), 13_103),
        ("ahead", with(&|claims| claims["iat"] = json!(NOW + 400)), 13_104),
    ] {
        scene.refused(what, &token, code);
    }
    let other_head = publisher.sign_raw(
        r#"{"alg":"RS256","kid":"key-of-publisher.example"}"#,
        "{\"version\":\"2.0\",\"iss\":\"publisher.example\"}",
    );
    scene.refused("another algorithm", &around(&other_head), 12_101);
    let other_kid = publisher
        .sign_raw(r#"{"alg":"ES256","kid":"k"}"#, "{\"version\":\"2.0\",\"iss\":\"publisher.example\"}");
    scene.refused("another kid", &around(&other_kid), 11_105);
    scene.nothing_was_done();
}

#[test]
fn version_1_has_codes_of_its_own() {
    let scene = scene(|_| ());
    let Scene { publisher, .. } = &scene;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut claims = request("1.0", publisher, "rq-1");
        change(&mut claims);
        publisher.sign(&claims)
    };
    let stranger = Company::new("stranger.example", "ES256");
    let impostor = Company::new("publisher.example", "ES256");
    for (what, token, code) in [
        ("no sub", with(&|claims| claims["sub"] = Value::Null), 1),
        ("no idJWT", with(&|claims| claims["idJWT"] = Value::Null), 1),
        (
            "an orJWT instead",
            with(&|claims| {
                claims["orJWT"] = claims["idJWT"].clone();
                claims["idJWT"] = Value::Null;
            }),
            1,
        ),
        ("a sub of words", with(&|claims| claims["sub"] = "words".into()), 1),
        ("nobody", stranger.sign(&request("1.0", &stranger, "rq-1")), 2),
        ("another's key", impostor.sign(&request("1.0", publisher, "rq-1")), 2),
        ("no jti", with(&|claims| claims["jti"] = "".into()), 3),
        ("for another", with(&|claims| claims["aud"] = "other.example".into()), 3),
        ("type", with(&|claims| claims["sub"] = subject("phone", OAID, "plaintext")), 4),
        ("format", with(&|claims| claims["sub"] = subject("oaid", OAID, "hash")), 5),
        ("zeros", with(&|claims| claims["sub"] = subject("imei", "000000000000000", "plaintext")), 5),
        ("old", with(&|claims| claims["iat"] = json!(NOW - 100_000)), 6),
    ] {
        let answer = send(&scene.role, &token);
        assert_eq!(answer.status, 400, "{what}: {}", answer.body);
        let claims = acknowledged(&scene.role, &answer, &token);
        assert_eq!((&claims["raResultCode"], &claims["version"]), (&json!(code), &json!("1.0")), "{what}");
    }
    scene.nothing_was_done();
}

#[test]
fn a_party_can_be_held_to_naming_its_recipient() {
    let scene = scene(|settings| {
        settings.dsr.party.iter_mut().for_each(|party| party.require_audience = true);
    });
    scene.refused("no aud", &scene.changed(|_| ()), 10_010);
    assert_eq!(send(&scene.role, &scene.changed(|claims| claims["aud"] = OURS.into())).status, 202);
}

#[test]
fn bodies_methods_and_types_are_held_to_the_limits_of_every_route() {
    let scene = scene(|_| ());
    let Scene { role, dir, .. } = &scene;
    let post = |kind: &str, body: &[u8]| {
        send_raw(role.address(), "POST", "/v1/dsr", &[("content-type", kind)], body)
    };
    for (kind, body, status) in [
        ("text/plain", "a.b.c", 415),
        ("application/json", "a.b.c", 400),
        ("application/json", "{}", 400),
        ("application/json", r#"{"rqJWT":1}"#, 400),
        ("application/json", r#"{"rqJWT":"a.b.c","rqJWT":"a.b.c"}"#, 400),
        ("application/json", r#"{"rqJWT":"a.b.c","more":1}"#, 400),
    ] {
        let answer = post(kind, body.as_bytes());
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert!(!answer.body.contains("acJWT"), "{body}");
    }
    assert_eq!(post("application/jwt", &[0xff; 10]).status, 400);
    let long = "x".repeat(64 * 1024 + 1);
    assert_eq!(post("application/jwt", long.as_bytes()).status, 413);
    assert_eq!(post("application/json", "[".repeat(60_000).as_bytes()).status, 400);
    let answer = role.get("/v1/dsr", &[]);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(role.call("/dsrdelete.json", "{}").status, 405);
    assert!(dir.path().exists());
}

#[test]
fn strangers_spend_their_addresss_limit_and_a_party_its_own() {
    let scene = scene(|settings| {
        settings.limits = Limits { requests_burst_max: 3, requests_per_minute: 1, ..Limits::default() };
        settings.dsr.requests_burst_max = 6;
        settings.dsr.requests_per_minute = 1;
    });
    let Scene { publisher, role, .. } = &scene;
    let stranger = Company::new("stranger.example", "ES256");
    let token = stranger.sign(&request("2.0", &stranger, "1"));
    for _ in 0..3 {
        assert_eq!(send(role, &token).status, 400);
    }
    let answer = send(role, &token);
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("60")),
        "its address has asked enough"
    );
    assert!(!answer.body.contains("acJWT"));
    // A party from the same address is still heard, until that address has made us check too many signatures.
    for jti in ["1", "2"] {
        assert_eq!(send(role, &publisher.sign(&request("2.0", publisher, jti))).status, 202);
    }
    assert_eq!(send(role, &publisher.sign(&request("2.0", publisher, "3"))).status, 429);
    role.clock.advance_ms(120_000);
    let answer = send(role, &publisher.sign(&request("2.0", publisher, "3")));
    assert_eq!(answer.status, 202, "nothing of it was used: {}", answer.body);
}

/// Whoever saw a token can send it as often as he likes: that costs the party nothing, and fills no log.
#[test]
fn a_token_that_others_send_again_neither_spends_its_partys_limit_nor_fills_the_audit_log() {
    let scene = scene(|settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        settings.limits = Limits { requests_burst_max: 2, requests_per_minute: 1, ..Limits::default() };
        settings.dsr.requests_burst_max = 3;
        settings.dsr.requests_per_minute = 1;
    });
    let Scene { publisher, role, dir } = &scene;
    let from = |address: u8, token: &str| {
        let address = format!("203.0.113.{address}");
        role.call_with("/v1/dsr", &[("x-forwarded-for", &address)], &json!({ "rqJWT": token }).to_string())
    };
    let token = |jti: &str| publisher.sign(&request("2.0", publisher, jti));
    let (first, old) = (token("1"), scene.changed(|claims| claims["iat"] = json!(NOW - 100_000)));
    let ahead = scene.changed(|claims| claims["iat"] = json!(NOW + 400));
    assert_eq!(from(1, &first).status, 202);
    for address in 2..8 {
        assert_eq!(from(address, &first).status, 200);
    }
    for (address, token) in [(10, &old), (20, &ahead)] {
        for next in 0..6 {
            assert_eq!(from(address + next, token).status, 400);
        }
    }
    // They count against the address.
    assert_eq!([from(30, &old).status, from(30, &first).status, from(30, &first).status], [400, 200, 429]);
    for jti in ["2", "3"] {
        assert_eq!(from(40, &token(jti)).status, 202, "the party's own limit is as it was");
    }
    assert_eq!(from(41, &token("4")).status, 429);
    let mut log = String::new();
    for entry in std::fs::read_dir(dir.path().join("audit")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            log += &String::from_utf8_lossy(&std::fs::read(path).expect("read"));
        }
    }
    assert_eq!((log.matches("dsr.accepted").count(), log.matches("dsr.refused").count()), (3, 0), "{log}");
}

#[test]
fn a_partys_own_limit_holds_wherever_it_comes_from() {
    let scene = scene(|settings| {
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        settings.dsr.requests_burst_max = 2;
        settings.dsr.requests_per_minute = 1;
    });
    let Scene { publisher, role, .. } = &scene;
    let from = |address: &str, jti: &str| {
        let token = publisher.sign(&request("2.0", publisher, jti));
        role.call_with("/v1/dsr", &[("x-forwarded-for", address)], &json!({ "rqJWT": token }).to_string())
    };
    assert_eq!(from("203.0.113.1", "1").status, 202);
    assert_eq!(from("203.0.113.2", "2").status, 202);
    let answer = from("203.0.113.3", "3");
    assert_eq!(answer.status, 429);
    assert!(answer.body.contains("opt_out.dsr.requests_per_minute"), "{}", answer.body);
    role.clock.advance_ms(60_000);
    assert_eq!(from("203.0.113.3", "3").status, 202);
}
