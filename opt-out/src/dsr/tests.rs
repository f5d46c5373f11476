//! Keys that are taken and keys that are not, and our own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::jwk::Signer;
use super::*;

const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

/// RFC 7515, A.3.
fn good() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "one"})
}

fn with(name: &str, value: Value) -> Value {
    let mut jwk = good();
    jwk[name] = value;
    jwk
}

fn read(value: &Value) -> Result<(), String> {
    PublicKeys::from_text(value.to_string().as_bytes()).map(drop)
}

#[test]
fn each_form_in_which_a_party_publishes_its_keys_is_read() {
    let two = json!([good(), with("kid", "two".into())]);
    for published in [
        good(),
        json!({"keys": two, "pollFrequency": 604_800}),
        json!({"endpoint": "https://p.example/api", "identifiers": [], "publicKey": two, "vendorScriptRequirement": false}),
        with("alg", "ES256".into()),
        with("use", "sig".into()),
        json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "one", "alg": "EdDSA"}),
    ] {
        assert_eq!(read(&published), Ok(()), "{published}");
    }
}

#[test]
fn a_key_that_is_secret_weak_or_nameless_is_refused() {
    for (published, said) in [
        (with("d", "AAAA".into()), "is private"),
        (json!({"kty": "oct", "k": "AAAA", "kid": "one"}), "is private"),
        (json!({"kty": "oct", "kid": "one"}), "of no type"),
        (with("crv", "P-384".into()), "of no type"),
        (with("crv", "secp256k1".into()), "of no type"),
        (with("x", "AAAA".into()), "x and y of 32 bytes"),
        (with("alg", "HS256".into()), "for another algorithm"),
        (with("alg", "EdDSA".into()), "for another algorithm"),
        (with("use", "enc".into()), "not for signatures"),
        (with("kid", Value::Null), "without a kid"),
        (with("kid", "".into()), "without a kid"),
        (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "one"}), "2,048"),
        (json!({"keys": []}), "0 keys"),
        (json!({"keys": [good(), good()]}), "two keys have the kid"),
        (json!([good()]), "no set of keys"),
        (json!("words"), "no set of keys"),
    ] {
        let error = read(&published).expect_err(&published.to_string());
        assert!(error.contains(said), "{published}: {error}");
    }
}

#[test]
fn a_file_that_others_may_write_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    fs::write(&path, good().to_string()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    let error = PublicKeys::load(std::slice::from_ref(&path)).err().unwrap().to_string();
    assert!(error.contains("mode 664") && error.contains("chmod go-w"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(PublicKeys::load(std::slice::from_ref(&path)).is_ok());
    fs::write(&path, " ".repeat(70_000)).unwrap();
    assert!(PublicKeys::load(&[path]).err().unwrap().to_string().contains("more than 65536 bytes"));
}

#[test]
fn our_own_key_is_its_owners_alone_and_named_by_its_thumbprint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dsr.pem");
    fs::write(&path, draw().unwrap().as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Signer::load(std::slice::from_ref(&path)).err().unwrap().to_string().contains("chmod 600"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let signer = Signer::load(std::slice::from_ref(&path)).unwrap();
    let published = serde_json::to_value(&signer.published).unwrap();
    assert_eq!(published[0]["kid"].as_str().map(str::len), Some(43));
    assert!(read(&json!({ "keys": published })).is_ok(), "others can read what we publish");
    assert_eq!(
        serde_json::to_value(&Signer::load(std::slice::from_ref(&path)).unwrap().published).unwrap(),
        published
    );
    fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(Signer::load(&[path]).err().unwrap().to_string().contains("openssl genpkey"));
    assert!(matches!(Signer::load(&[]).err(), Some(KeyError::None)));
}

#[test]
fn a_key_that_openssl_made_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dsr.pem");
    fs::write(&path, include_str!("../../golden/openssl-p256.pem")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Signer::load(&[path]).is_ok());
}
