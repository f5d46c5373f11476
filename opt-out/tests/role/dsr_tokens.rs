//! Companies of these tests and the tokens that they sign, and the reading of ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use event::clock::Clock;
use event::key::KeyRing;
use opt_out::{DsrParty, DsrSettings, Limits, PartyRight, Settings};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};

use crate::support::{Answer, NOW_MS, Role, keys};

pub(crate) const NOW: i64 = NOW_MS / 1000;
pub(crate) const OURS: &str = "measurement.example";
pub(crate) const OAID: &str = "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5";
/// By `printf %s … | md5sum`.
pub(crate) const OAID_MD5: &str = "83e9158a4fb54c0e1ef0b238639a23ae";

/// A key of 2,048 bits that stands for nobody.
const RSA: &str = include_str!("rsa.pem");

enum Pair {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// A company with one key.
pub(crate) struct Company {
    pub(crate) domain: &'static str,
    pub(crate) alg: &'static str,
    pair: Pair,
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Company {
    pub(crate) fn new(domain: &'static str, alg: &'static str) -> Self {
        let random = SystemRandom::new();
        let pair = match alg {
            "ES256" => {
                let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                let der = der.expect("random bytes");
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random);
                Pair::Ec(pair.expect("a key"))
            }
            "EdDSA" => {
                let der = Ed25519KeyPair::generate_pkcs8(&random).expect("random bytes");
                Pair::Ed(Ed25519KeyPair::from_pkcs8(der.as_ref()).expect("a key"))
            }
            _ => {
                let body: String = RSA.lines().filter(|line| !line.starts_with('-')).collect();
                let der = STANDARD.decode(body).expect("base64");
                Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(&der).expect("a key")))
            }
        };
        Self { domain, alg, pair }
    }

    pub(crate) fn kid(&self) -> String {
        format!("key-of-{}", self.domain)
    }

    /// Its public key, as it publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key())}),
            Pair::Rsa(pair) => {
                let RsaPublicKeyComponents { n, e } =
                    RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": base64url(n), "e": base64url(e)})
            }
        };
        jwk["kid"] = self.kid().into();
        jwk["alg"] = self.alg.into();
        jwk
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_raw(&self.head().to_string(), &claims.to_string())
    }

    pub(crate) fn head(&self) -> Value {
        json!({"typ": "JWT", "alg": self.alg, "kid": self.kid()})
    }

    /// Signs these texts as they are.
    pub(crate) fn sign_raw(&self, head: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(head), base64url(claims));
        let (random, bytes) = (SystemRandom::new(), signed.as_bytes());
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, bytes).expect("signs").as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(bytes).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).expect("signs");
                signature
            }
        };
        format!("{signed}.{}", base64url(signature))
    }

    /// Writes its keys where the operator keeps them.
    pub(crate) fn file(&self, dir: &Path) -> PathBuf {
        let path = dir.join(format!("{}.jwks.json", self.domain));
        fs::write(&path, json!({"keys": [self.jwk()]}).to_string()).expect("written");
        path
    }

    pub(crate) fn registered(&self, dir: &Path, rights: &[PartyRight]) -> DsrParty {
        DsrParty {
            domain: self.domain.to_owned(),
            key_files: vec![self.file(dir)],
            rights: rights.to_vec(),
            require_audience: false,
        }
    }
}

/// Claims of a first party's token.
pub(crate) fn origin(version: &str, company: &Company) -> Value {
    let mut claims = json!({"version": version, "jti": "or-1", "iss": company.domain, "iat": NOW - 60});
    if version == "1.0" {
        claims["sub"] = subject("oaid", OAID, "plaintext");
    }
    claims
}

pub(crate) fn subject(kind: &str, value: &str, format: &str) -> Value {
    json!({"identifierValue": value, "identifierType": kind, "identifierFormat": format})
}

/// Claims of a request about [`OAID`] that `company` makes for a person of its own.
pub(crate) fn request(version: &str, company: &Company, jti: &str) -> Value {
    let inner = company.sign(&origin(version, company));
    request_for(version, company.domain, &inner, jti)
}

/// The same of `issuer`, around this first party's token.
pub(crate) fn request_for(version: &str, issuer: &str, inner: &str, jti: &str) -> Value {
    let mut claims = json!({"version": version, "jti": jti, "iss": issuer, "iat": NOW});
    let about = subject("oaid", OAID, "plaintext");
    if version == "1.0" {
        claims["idJWT"] = inner.into();
        claims["sub"] = about;
    } else {
        claims["orJWT"] = inner.into();
        for (name, value) in about.as_object().expect("a map") {
            claims[name] = value.clone();
        }
    }
    claims
}

pub(crate) fn settings(party: Vec<DsrParty>) -> Settings {
    Settings {
        dsr: DsrSettings {
            domain: OURS.to_owned(),
            url: "http://localhost:8081".to_owned(),
            party,
            ..DsrSettings::default()
        },
        limits: Limits { requests_burst_max: 1_000, ..Limits::default() },
        ..Settings::default()
    }
}

/// The file of our key, drawn once for a folder.
pub(crate) fn own_key(dir: &Path) -> PathBuf {
    let path = dir.join("dsr.pem");
    if !path.exists() {
        fs::write(&path, opt_out::dsr::draw().expect("random bytes").as_bytes()).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    }
    path
}

pub(crate) fn start(dir: &Path, settings: Settings) -> Role {
    start_with(dir, settings, keys(), Clock::manual(NOW_MS))
}

pub(crate) fn start_with(dir: &Path, settings: Settings, keys: Arc<KeyRing>, clock: Clock) -> Role {
    Role::start_for_exchange(dir, settings, (keys, clock), &[own_key(dir)])
}

/// Stops a role and starts another from what lies on the disk.
pub(crate) fn again(role: Role, dir: &Path, settings: Settings) -> Role {
    let Role { keys, clock, registry, list, requests, handle, .. } = role;
    handle.stop();
    requests.iter().for_each(opt_out::Requests::close);
    drop((registry, list, requests));
    start_with(dir, settings, keys, clock)
}

pub(crate) fn send(role: &Role, token: &str) -> Answer {
    role.call("/v1/dsr", &json!({ "rqJWT": token }).to_string())
}

/// The claims of our acknowledgement, once its signature is held against the key that we publish, and that it is about this request.
pub(crate) fn acknowledged(role: &Role, answer: &Answer, token: &str) -> Value {
    let json = answer.json();
    let text = json["acJWT"].as_str().unwrap_or_else(|| panic!("no acknowledgement: {}", answer.body));
    let parts: Vec<&str> = text.split('.').collect();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
    let head: Value = serde_json::from_slice(&decode(parts[0])).expect("JSON");
    let published = role.get("/.well-known/iabtl/jwks.json", &[]).json();
    let known = published["keys"].as_array().expect("keys").iter().find(|key| key["kid"] == head["kid"]);
    let known = known.expect("a published key");
    assert_eq!((&known["alg"], &head["alg"]), (&json!("ES256"), &json!("ES256")));
    let part = |name: &str| decode(known[name].as_str().expect("a text"));
    let point = [vec![4], part("x"), part("y")].concat();
    let signed = format!("{}.{}", parts[0], parts[1]);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decode(parts[2]))
        .expect("our signature");
    let claims: Value = serde_json::from_slice(&decode(parts[1])).expect("JSON");
    assert_eq!((&claims["rqJWT"], &claims["iss"]), (&json!(token), &json!(OURS)));
    assert_eq!(claims["iat"], role.clock.now_ms() / 1000);
    claims
}
