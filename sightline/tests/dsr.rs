//! Another company's deletion request through the whole program: a beacon, the signed request, a reach that is one less; a restart, and what
//! `check-config` says of keys that cannot be used.

#![cfg(test)]

mod support;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use support::http::{Connection, Response};
use support::{Instance, Options, wait_for};

const PATIENCE: Duration = Duration::from_mins(2);
const AGENT: (&str, &str) =
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0");
const PUBLISHER: &str = "publisher.example";
const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
const OTHER: &str = "2fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";

/// A publisher with one key.
struct Publisher(EcdsaKeyPair);

impl Publisher {
    fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("random bytes");
        Self(EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &random).expect("a key"))
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let part = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "2026", "x": part(x), "y": part(y)})
    }

    fn sign(&self, claims: &Value) -> String {
        let head = json!({"typ": "JWT", "alg": "ES256", "kid": "2026"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).expect("signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A request about this OAID.
    fn request(&self, oaid: &str, jti: &str) -> String {
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        let own = |jti: &str| json!({"version": "2.0", "jti": jti, "iss": PUBLISHER, "iat": now});
        let mut claims = own(jti);
        claims["orJWT"] = self.sign(&own("or-1")).into();
        for (name, value) in
            [("identifierValue", oaid), ("identifierType", "oaid"), ("identifierFormat", "plaintext")]
        {
            claims[name] = value.into();
        }
        self.sign(&claims)
    }
}

fn fire(instance: &Instance, oaid: &str) {
    let mut connection = Connection::open(instance.tracker()).expect("connects");
    let answer = connection.get(&format!("/i?c=demo&p=p1&oaid={oaid}"), &[AGENT]).expect("an answer");
    assert_eq!(answer.status, 200);
}

fn post(instance: &Instance, token: &str) -> Response {
    let mut connection = Connection::open(instance.opt_out()).expect("connects");
    connection.post_json("/v1/dsr", &[], &json!({ "rqJWT": token })).expect("an answer")
}

fn get(instance: &Instance, path: &str, headers: &[(&str, &str)]) -> Response {
    Connection::open(instance.opt_out()).expect("connects").get(path, headers).expect("an answer")
}

#[test]
fn a_publishers_request_takes_its_device_out_and_keeps_it_out() {
    let keys = tempfile::tempdir().expect("a folder");
    let publisher = Publisher::new();
    let file = keys.path().join("publisher.jwks.json");
    std::fs::write(&file, json!({"keys": [publisher.jwk()]}).to_string()).expect("written");
    let mut instance = Instance::start(Options {
        opt_out: format!(
            "[opt_out.limits]\nrequests_burst_max = 100000\n\
             [opt_out.dsr]\ndomain = \"measurement.example\"\nurl = \"http://localhost:8081\"\n\
             [[opt_out.dsr.party]]\ndomain = {PUBLISHER:?}\nkey_files = [{file:?}]\nrights = [\"opt_out\", \"erasure\"]\n"
        ),
        ..Options::default()
    });
    (0..3).for_each(|_| fire(&instance, OAID));
    (0..2).for_each(|_| fire(&instance, OTHER));
    assert_eq!(instance.reach(), (2, 5));

    let token = publisher.request(OAID, "rq-1");
    let answer = post(&instance, &token);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let json = answer.json();
    let own = |name: &str| json["request"][name].as_str().expect("a text").to_owned();
    let (path, bearer) = (format!("/v1/requests/{}", own("receipt")), format!("Bearer {}", own("secret")));
    let mut told = Value::Null;
    wait_for("the erasure", PATIENCE, || {
        told = get(&instance, &path, &[("authorization", &bearer)]).json();
        told["state"] != "running"
    });
    assert_eq!((&told["state"], &told["result"]["hits"]), (&json!("done"), &json!(3)), "{told}");
    assert_eq!(instance.reach(), (1, 5), "one device less, no impression less");
    // Opted out too: what comes later is not measured.
    fire(&instance, OAID);
    fire(&instance, OTHER);
    assert_eq!(instance.reach(), (1, 6));

    // Our key and what was used survive.
    let file = get(&instance, "/dsrdelete.json", &[]).text();
    instance.kill9();
    instance.restart();
    assert_eq!(get(&instance, "/dsrdelete.json", &[]).text(), file);
    let again = post(&instance, &token);
    assert_eq!((again.status, &again.json()["error"]), (400, &json!("unknown_error")), "{}", again.text());
    fire(&instance, OAID);
    assert_eq!(instance.reach(), (1, 6));
    assert!(!instance.logs().contains(OAID) && !instance.logs().contains(&token));
    let log = instance.command(&[
        "audit",
        "list",
        "--act",
        "dsr",
        "--format",
        "json",
        "--data",
        &instance.data().display().to_string(),
    ]);
    let log = String::from_utf8(log.stdout).expect("text");
    // Not the second one, which anybody may send who saw the token.
    assert_eq!(log.matches("\"party publisher.example\"").count(), 1, "{log}");
    assert!(
        log.contains("\"dsr.accepted\"") && !log.contains("\"dsr.refused\"") && !log.contains(OAID),
        "{log}"
    );
}
