//! Who is known by what, and which settings are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use event::key::signature::{KEY_HEADER, SIGNATURE_HEADER, TIME_HEADER, sign};

use super::*;

const NOW_MS: UnixMs = 1_795_262_400_000;
const SECRET: &str = "a-signing-key-of-this-test-with-enough-bytes";
const ASKED: Asked<'_> =
    Asked { method: "POST", target: "/v1/events", idempotency_key: b"", device_ip: b"", device_agent: b"" };

fn server(name: &str) -> Server {
    Server {
        name: name.to_owned(),
        key_sha256: None,
        key_file: None,
        signing_key_files: Vec::new(),
        networks: Vec::new(),
        signature: Signature::Optional,
        rights: vec![Right::Ip],
    }
}

fn key_file(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
    path
}

fn with(headers: &[(HeaderName, &str)]) -> HeaderMap {
    headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("valid"))).collect()
}

#[test]
fn a_key_is_known_by_its_file_or_its_digest() {
    let dir = tempfile::tempdir().expect("a folder");
    let key_file = key_file(dir.path(), "key", "0123456789abcdef-secret\n", 0o600);
    let hex = digest(b"another-secret-of-16").iter().fold(String::new(), |mut hex, byte| {
        use std::fmt::Write as _;
        write!(hex, "{byte:02X}").expect("a string takes it");
        hex
    });
    let settings = Settings {
        server: vec![
            Server { key_file: Some(key_file.clone()), ..server("a") },
            Server { key_sha256: Some(hex), rights: vec![Right::Backdate], ..server("b") },
        ],
        debug_key_file: Some(key_file),
        ..Settings::default()
    };
    let senders = Senders::load(&settings).expect("valid");
    for (value, expected) in [
        ("Bearer 0123456789abcdef-secret", Sender::Server(Rights { ip: true, ..Rights::default() })),
        ("bearer another-secret-of-16", Sender::Server(Rights { backdate: true, ..Rights::default() })),
        ("Bearer 0123456789abcdef-secreT", Sender::UnknownKey),
        ("Bearer ", Sender::UnknownKey),
        ("Basic abc", Sender::UnknownKey),
    ] {
        assert_eq!(senders.sender(&with(&[(AUTHORIZATION, value)])), expected, "{value}");
    }
    assert_eq!(senders.sender(&HeaderMap::new()), Sender::Viewer);
    assert!(senders.is_debugging(&with(&[(X_SIGHTLINE_DEBUG, "0123456789abcdef-secret")])));
    assert!(!senders.is_debugging(&with(&[(X_SIGHTLINE_DEBUG, "0123456789abcdef")])));
    assert!(!Senders::default().is_debugging(&with(&[(X_SIGHTLINE_DEBUG, "")])));
}

#[test]
fn a_server_needs_a_good_key() {
    let dir = tempfile::tempdir().expect("a folder");
    let short = key_file(dir.path(), "short", "short", 0o600);
    let open = key_file(dir.path(), "open", SECRET, 0o640);
    let good = key_file(dir.path(), "good", SECRET, 0o600);
    let signing =
        |name: &str, path: &PathBuf| Server { signing_key_files: vec![path.clone()], ..server(name) };
    let load = |servers: Vec<Server>| Senders::load(&Settings { server: servers, ..Settings::default() });
    load(vec![signing("signs", &good), Server { key_file: Some(good.clone()), ..server("bears") }])
        .expect("valid");
    for (bad, said) in [
        (server("none"), "needs key_sha256, key_file, signing_key_files or networks"),
        (Server { key_sha256: Some("ab".to_owned()), ..server("hex") }, "not 64 hex digits"),
        (Server { key_sha256: Some("é".repeat(32)), ..server("not-ascii") }, "not 64 hex digits"),
        (Server { key_file: Some(dir.path().join("absent")), ..server("absent") }, "cannot read"),
        (Server { key_file: Some(short.clone()), ..server("short") }, "16 to 256 bytes"),
        (Server { key_file: Some(open.clone()), ..server("open") }, "mode 640"),
        (
            Server { key_file: Some(short.clone()), key_sha256: Some("0".repeat(64)), ..server("both") },
            "both",
        ),
        (signing("short-secret", &short), "32 to 256 bytes"),
        (signing("open-secret", &open), "chmod 600"),
        (signing("two words", &good), "visible ASCII"),
        (
            Server { signature: Signature::Required, key_file: Some(good.clone()), ..server("must") },
            "no signing_key_files",
        ),
        (Server { signing_key_files: vec![good.clone(); 9], ..server("many") }, "at most 8"),
    ] {
        let error =
            load(vec![bad.clone()]).err().unwrap_or_else(|| panic!("{} was taken", bad.name)).to_string();
        assert!(error.contains(&bad.name) && error.contains(said), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
    let error =
        load(vec![signing("a", &good), signing("a", &good)]).err().expect("two of one name").to_string();
    assert!(error.contains("under the name of another"), "{error}");
}

/// A server that signs with a second key of two, one that must sign and has a bearer key too, and one that never signs.
fn signers(dir: &Path) -> Senders {
    let file = |name: &str, text: &str| key_file(dir, name, text, 0o600);
    let (old, new) = (file("old", "the-signing-key-of-last-year-000000000"), file("new", SECRET));
    let settings = Settings {
        server: vec![
            Server { signing_key_files: vec![old, new.clone()], ..server("rotating") },
            Server {
                key_file: Some(file("bearer", "0123456789abcdef-secret")),
                signing_key_files: vec![new],
                signature: Signature::Required,
                ..server("strict")
            },
            Server { key_file: Some(file("plain", "another-secret-of-16")), ..server("plain") },
        ],
        ..Settings::default()
    };
    Senders::load(&settings).expect("valid")
}

fn signed_by(name: &str, secret: &str, time_seconds: i64) -> HeaderMap {
    let secret = Secret::new(secret).expect("a good secret");
    with(&[
        (HeaderName::from_static(KEY_HEADER), name),
        (HeaderName::from_static(TIME_HEADER), &time_seconds.to_string()),
        (HeaderName::from_static(SIGNATURE_HEADER), &sign(&secret, name, time_seconds, ASKED, b"[]")),
    ])
}

#[test]
fn a_signature_gives_its_servers_rights_and_nobody_elses() {
    let dir = tempfile::tempdir().expect("a folder");
    let senders = signers(dir.path());
    let known = |headers: &HeaderMap, body: &[u8]| {
        let known = senders.claim(headers, NOW_MS).verify(ASKED, &digest(body));
        (known.sender, known.name.to_owned(), known.signature.is_some())
    };
    let rights = Rights { ip: true, ..Rights::default() };
    let now = NOW_MS / 1000;
    for name in ["rotating", "strict"] {
        let headers = signed_by(name, SECRET, now);
        assert_eq!(known(&headers, b"[]"), (Sender::Server(rights), name.to_owned(), true));
        assert_eq!(known(&headers, b"[{}]").0, Sender::Refused(Refused::Mismatch), "another body");
        assert_eq!(senders.sender(&headers), Sender::Refused(Refused::Mismatch), "not checked yet");
    }
    let old = signed_by("rotating", "the-signing-key-of-last-year-000000000", now);
    assert_eq!(known(&old, b"[]").0, Sender::Server(rights), "while keys change, both are good");
    for (headers, refused) in [
        (signed_by("strict", "the-signing-key-of-last-year-000000000", now), Refused::Mismatch),
        (signed_by("plain", SECRET, now), Refused::UnknownKey),
        (signed_by("nobody", SECRET, now), Refused::UnknownKey),
        (signed_by("rotating", SECRET, now - 301), Refused::Clock(-301)),
        (signed_by("rotating", SECRET, now + 301), Refused::Clock(301)),
        (with(&[(AUTHORIZATION, "Bearer 0123456789abcdef-secret")]), Refused::Required),
    ] {
        assert_eq!(known(&headers, b"[]"), (Sender::Refused(refused), known(&headers, b"[]").1, false));
    }
    let mut half = signed_by("rotating", SECRET, now);
    half.remove(TIME_HEADER);
    // A key that is good by itself does not mend a signature that is none.
    half.insert(AUTHORIZATION, HeaderValue::from_static("Bearer another-secret-of-16"));
    assert_eq!(known(&half, b"[]").0, Sender::Refused(Refused::Missing(TIME_HEADER)));
    assert_eq!(known(&HeaderMap::new(), b"[]"), (Sender::Viewer, String::new(), false));
    let plain = with(&[(AUTHORIZATION, "Bearer another-secret-of-16"), (X_SIGHTLINE_DEBUG, "x")]);
    assert_eq!(known(&plain, b"[]"), (Sender::Server(rights), "plain".to_owned(), false));
}
