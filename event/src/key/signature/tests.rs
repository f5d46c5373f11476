//! Signatures against values made by another program, and what is refused.

use super::*;

const SECRET: &str = "not-a-secret-but-64-characters-long-as-openssl-rand-hex-32-makes";
const BODY: &[u8] = br#"[{"c":"demo","p":"p1"}]"#;
/// 2026-11-21T12:00:00Z.
const NOW_MS: UnixMs = 1_795_262_400_000;
const BATCH: Asked<'_> = Asked {
    method: "POST",
    target: "/v1/events",
    idempotency_key: b"2026-11-21-0001",
    device_ip: b"",
    device_agent: b"",
};

/// By `printf '%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s' v1 stitcher 1795262400 POST /v1/events 2026-11-21-0001 "" "" "$body_sha256" |
/// openssl dgst -sha256 -hmac "$SECRET"`.
const BATCH_SIGNATURE: &str = "v1=9933017227d7838447162ef22de2cf745c48b350326e23347565955ff87d1eb8";
/// The same of `GET /i?c=demo&p=p1`, without a key and a body.
const PIXEL_SIGNATURE: &str = "v1=17fe10b89929c8395cdf1b53f7fc87daaf348a7698855c4e896b1e6947d95230";
/// The same for the viewer at 203.0.113.9 with the agent `Mozilla/5.0 (TV)`.
const VIEWER_SIGNATURE: &str = "v1=1263260e464ddce111c7b7396967fcfc4804a10634350f1f6b63b9c015a48951";

fn secret(text: &str) -> Secret {
    Secret::new(text).expect("a good secret")
}

fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// What a request with these headers is read as.
fn read<'a>(headers: &'a [(&'a str, &'a str)]) -> Option<Result<Signed<'a>, Refused>> {
    Signed::read(|name| {
        headers.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_bytes())
    })
}

fn headers(time: &'static str, signature: &'static str) -> [(&'static str, &'static str); 3] {
    [(KEY_HEADER, "stitcher"), (TIME_HEADER, time), (SIGNATURE_HEADER, signature)]
}

fn refusal(headers: &[(&str, &str)]) -> Option<Refused> {
    read(headers).and_then(Result::err)
}

#[test]
fn a_signature_is_what_openssl_makes_of_it() {
    assert_eq!(sign(&secret(SECRET), "stitcher", 1_795_262_400, BATCH, BODY), BATCH_SIGNATURE);
    let pixel = Asked { method: "GET", target: "/i?c=demo&p=p1", idempotency_key: b"", ..BATCH };
    assert_eq!(sign(&secret(SECRET), "stitcher", 1_795_262_400, pixel, b""), PIXEL_SIGNATURE);
    let viewer = Asked { device_ip: b"203.0.113.9", device_agent: b"Mozilla/5.0 (TV)", ..pixel };
    assert_eq!(sign(&secret(SECRET), "stitcher", 1_795_262_400, viewer, b""), VIEWER_SIGNATURE);
}

#[test]
fn one_of_several_secrets_suffices_and_nothing_signed_may_change() {
    let given = headers("1795262400", BATCH_SIGNATURE);
    let signed = read(&given).and_then(Result::ok).expect("three sound headers");
    assert_eq!(signed.name(), b"stitcher");
    let secrets = [secret("another-secret-which-has-enough-bytes"), secret(&format!(" {SECRET}\n"))];
    let verify = |asked, body: &[u8]| signed.verify(&secrets, asked, &digest(body));
    let signature = verify(BATCH, BODY).expect("its own");
    assert_eq!(format!("v1={}", String::from_utf8_lossy(&signature)), BATCH_SIGNATURE);

    assert_eq!(signed.verify(&secrets[..1], BATCH, &digest(BODY)), Err(Refused::Mismatch));
    assert_eq!(signed.verify([], BATCH, &digest(BODY)), Err(Refused::Mismatch));
    for (asked, body) in [
        (Asked { method: "PUT", ..BATCH }, BODY),
        (Asked { target: "/v1/events?", ..BATCH }, BODY),
        (Asked { idempotency_key: b"", ..BATCH }, BODY),
        (Asked { idempotency_key: b"2026-11-21-0002", ..BATCH }, BODY),
        (Asked { idempotency_key: b"", device_ip: b"2026-11-21-0001", ..BATCH }, BODY),
        (Asked { device_ip: b"203.0.113.9", ..BATCH }, BODY),
        (Asked { device_agent: b"Mozilla/5.0 (TV)", ..BATCH }, BODY),
        (BATCH, b"[]"),
    ] {
        assert_eq!(verify(asked, body), Err(Refused::Mismatch));
    }
    for (place, value) in [(0, "stitchers"), (1, "1795262401"), (1, "01795262400")] {
        let mut other = given;
        other[place].1 = value;
        let refused =
            read(&other).expect("signed").and_then(|signed| signed.verify(&secrets, BATCH, &digest(BODY)));
        assert!(refused.is_err(), "{value}");
    }
}

#[test]
fn the_case_of_the_digits_makes_no_other_request_of_it() {
    let upper = BATCH_SIGNATURE.to_uppercase().replace("V1=", "v1=");
    let given = [(KEY_HEADER, "stitcher"), (TIME_HEADER, "1795262400"), (SIGNATURE_HEADER, &*upper)];
    let signed = read(&given).and_then(Result::ok).expect("sound headers");
    let signature = signed.verify([&secret(SECRET)], BATCH, &digest(BODY)).expect("its own");
    assert_eq!(format!("v1={}", String::from_utf8_lossy(&signature)), BATCH_SIGNATURE);
}

#[test]
fn the_window_ends_where_it_says() {
    let given = headers("1795262400", BATCH_SIGNATURE);
    let signed = read(&given).and_then(Result::ok).expect("sound headers");
    for (now_ms, expected) in [
        (NOW_MS, Ok(())),
        (NOW_MS + 300_999, Ok(())),
        (NOW_MS + 301_000, Err(Refused::Clock(-301))),
        (NOW_MS - 300_000, Ok(())),
        (NOW_MS - 300_001, Err(Refused::Clock(301))),
        (0, Err(Refused::Clock(1_795_262_400))),
    ] {
        assert_eq!(signed.check_time(now_ms), expected, "{now_ms}");
    }
    assert!(Refused::Clock(-301).to_string().contains("301 s behind this server's clock, allowed are 300 s"));
    assert!(Refused::Clock(301).to_string().contains("301 s ahead of"));
}

#[test]
fn what_is_missing_twice_or_malformed_is_named() {
    assert!(read(&[]).is_none());
    assert!(read(&[("authorization", "Bearer x")]).is_none());
    let whole = headers("1795262400", BATCH_SIGNATURE);
    for (place, (name, _)) in whole.into_iter().enumerate() {
        let mut without = whole.to_vec();
        let header = without.remove(place);
        assert_eq!(refusal(&without), Some(Refused::Missing(name)));
        assert!(refusal(&[header]).is_some_and(|refused| matches!(refused, Refused::Missing(_))));
        let twice = [&whole[..], &[header]].concat();
        assert_eq!(refusal(&twice), Some(Refused::Repeated(name)));
    }
    for name in [IDEMPOTENCY_HEADER, DEVICE_IP_HEADER, DEVICE_AGENT_HEADER] {
        let once = [&whole[..], &[(name, "x")]].concat();
        assert_eq!(refusal(&once), None, "{name}");
        assert_eq!(refusal(&[&once[..], &[(name, "x")]].concat()), Some(Refused::Repeated(name)));
    }
    for time in ["", "-1", "1795262400.5", "1795262400000", " 1795262400", "0x6b", "now"] {
        assert!(
            matches!(refusal(&headers(time, BATCH_SIGNATURE)), Some(Refused::Malformed(TIME_HEADER, _))),
            "{time}"
        );
    }
    let long = format!("{BATCH_SIGNATURE}0").leak();
    for signature in ["", "v1=", "v1", &BATCH_SIGNATURE[3..], &BATCH_SIGNATURE[..66], long, "v2=00", "v1=g0"]
    {
        let refused = refusal(&headers("1795262400", signature));
        assert!(matches!(refused, Some(Refused::Malformed(SIGNATURE_HEADER, _))), "{signature}");
    }
}

#[test]
fn a_weak_secret_is_none() {
    for (text, expected) in [
        ("", SecretError::Length(0)),
        ("   31-bytes-are-one-byte-too-few-.\n", SecretError::Length(31)),
        (&"ab".repeat(129), SecretError::Length(258)),
        (&"0".repeat(64), SecretError::Weak),
    ] {
        assert_eq!(Secret::new(text).err(), Some(expected), "{text:?}");
    }
    let error = SecretError::Length(3).to_string();
    assert!(
        error.contains("32 to 256") && error.contains("has 3") && error.contains("openssl rand"),
        "{error}"
    );
}
