//! Keys: the public ones of the parties, as they publish them (RFC 7517), and our own.
//!
//! | algorithm | key | from |
//! |---|---|---|
//! | `ES256` | EC, P-256 | RFC 7518 |
//! | `RS256` | RSA, 2,048 to 8,192 bits | RFC 7518 |
//! | `EdDSA` | OKP, Ed25519 | RFC 8037 |
//!
//! The framework names no algorithms; its examples use the first two. A key has one algorithm, its own, whatever a token's head says: so a public key can
//! never be taken for the secret of an HMAC, and `none` is no algorithm at all.
//!
//! It owns both kinds of keys. It must never print a private one, nor fetch any from a network.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::jws::{self, Token};
use crate::key_file::{self, KeyFileError};

/// Longest file of public keys, bytes, and most keys in one.
const FILE_BYTES_MAX: u64 = 64 << 10;
const KEYS_MAX: usize = 32;
/// Longest name of a key, bytes.
const KID_BYTES_MAX: usize = 256;
/// Shortest and longest modulus of an RSA key, bytes.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
/// Others who may write a file of public keys decide who is believed.
const MODE_REFUSED: u32 = 0o022;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// Why keys cannot be used. The operator's to solve. Says which file, never what a private one holds.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It cannot be read, or is too large.
    #[error("cannot read the keys in {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Others may change it.
    #[error(
        "{path} has mode {mode:o}: others than its owner may change whom it makes us believe; run chmod go-w {path}"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What a key file of a party has that it may not, or has not.
    #[error("the keys in {path}: {problem}")]
    Public {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// A file with a key of our own cannot be read.
    #[error(transparent)]
    Own(#[from] KeyFileError),
    /// It holds none.
    #[error(
        "{path} holds no P-256 key as PKCS#8 PEM: make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    NotOwn {
        /// The file.
        path: PathBuf,
    },
    /// No key to sign with.
    #[error("no key to sign acknowledgements with: name one in opt_out.dsr.key_files")]
    None,
    /// The system gave no random bytes. Ours; may pass.
    #[error("no random bytes")]
    Random,
}

/// Why a token is not taken for a party's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unverified {
    /// The party has no key of that name.
    Key,
    /// The token names another algorithm than the key's.
    Algorithm,
    Signature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Es256,
    Rs256,
    EdDsa,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A public key of a party.
struct PublicKey {
    kid: String,
    algorithm: Algorithm,
    /// The point, or the modulus.
    bytes: Vec<u8>,
    /// RSA only.
    exponent: Vec<u8>,
}

/// The public keys of a party.
pub struct PublicKeys(Vec<PublicKey>);

/// A file that a party publishes: its set of keys, its `dsrdelete.json` of the framework's version 1.0, or one key.
#[derive(Deserialize)]
struct Published {
    #[serde(default)]
    keys: Option<Vec<Jwk>>,
    #[serde(default, rename = "publicKey")]
    public_key: Option<Vec<Jwk>>,
    #[serde(flatten)]
    alone: Jwk,
}

#[derive(Deserialize)]
struct Jwk {
    kty: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// The private part, of every type; `k` is that of a secret.
    d: Option<serde::de::IgnoredAny>,
    k: Option<serde::de::IgnoredAny>,
}

impl PublicKeys {
    /// Reads the files of a party.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn load(paths: &[PathBuf]) -> Result<Self, KeyError> {
        let mut keys = Self(Vec::new());
        for path in paths {
            let text = read_public(path)?;
            keys.add(&text).map_err(|problem| KeyError::Public { path: path.clone(), problem })?;
        }
        Ok(keys)
    }

    /// The keys in the text of such a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_text(text: &[u8]) -> Result<Self, String> {
        let mut keys = Self(Vec::new());
        keys.add(text)?;
        Ok(keys)
    }

    fn add(&mut self, text: &[u8]) -> Result<(), String> {
        let published: Published =
            serde_json::from_slice(text).map_err(|error| format!("no set of keys in JSON: {error}"))?;
        let Published { keys, public_key, alone } = published;
        let found = keys.or(public_key).unwrap_or_else(|| vec![alone]);
        if found.is_empty() || found.len() > KEYS_MAX {
            return Err(format!("{} keys: 1 to {KEYS_MAX} are allowed", found.len()));
        }
        for jwk in found {
            let key = public_key_of(jwk)?;
            if self.0.iter().any(|other| other.kid == key.kid) {
                return Err(format!("two keys have the kid {:?}", key.kid));
            }
            self.0.push(key);
        }
        Ok(())
    }

    /// Holds a token against the key that it names.
    pub(crate) fn verify(&self, token: &Token<'_>) -> Result<(), Unverified> {
        let named = token.kid.as_deref().ok_or(Unverified::Key)?;
        let key = self.0.iter().find(|key| key.kid == named).ok_or(Unverified::Key)?;
        if token.algorithm != key.algorithm.name() {
            return Err(Unverified::Algorithm);
        }
        let verified = match key.algorithm {
            Algorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.bytes)
                .verify(token.signed, &token.signature),
            Algorithm::EdDsa => {
                UnparsedPublicKey::new(&ED25519, &key.bytes).verify(token.signed, &token.signature)
            }
            Algorithm::Rs256 => RsaPublicKeyComponents { n: &key.bytes, e: &key.exponent }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                token.signed,
                &token.signature,
            ),
        };
        verified.map_err(|_| Unverified::Signature)
    }
}

fn read_public(path: &Path) -> Result<Vec<u8>, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & MODE_REFUSED != 0 {
        return Err(KeyError::Mode { path: path.to_owned(), mode });
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let words = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, words)));
    }
    Ok(text)
}

fn public_key_of(jwk: Jwk) -> Result<PublicKey, String> {
    let kid = jwk.kid.unwrap_or_default();
    if kid.is_empty() || kid.len() > KID_BYTES_MAX {
        return Err(format!(
            "a key without a kid of 1 to {KID_BYTES_MAX} bytes, by which its tokens name it"
        ));
    }
    let refused = |problem: &str| Err(format!("the key {kid:?} {problem}"));
    if jwk.d.is_some() || jwk.k.is_some() {
        return refused(
            "is private: only its public half belongs here, and the other is now known to whoever made this file",
        );
    }
    if jwk.used_for.is_some_and(|used_for| used_for != "sig") {
        return refused("is not for signatures: its use is not \"sig\"");
    }
    let part = |text: Option<String>| URL_SAFE_NO_PAD.decode(text.unwrap_or_default()).unwrap_or_default();
    let (algorithm, bytes, exponent) = match (jwk.kty.as_deref(), jwk.crv.as_deref()) {
        (Some("EC"), Some("P-256")) => {
            let (x, y) = (part(jwk.x), part(jwk.y));
            if x.len() != 32 || y.len() != 32 {
                return refused("has no x and y of 32 bytes in base64url");
            }
            (Algorithm::Es256, [&[4], &x[..], &y[..]].concat(), Vec::new())
        }
        (Some("OKP"), Some("Ed25519")) => {
            let x = part(jwk.x);
            if x.len() != 32 {
                return refused("has no x of 32 bytes in base64url");
            }
            (Algorithm::EdDsa, x, Vec::new())
        }
        (Some("RSA"), _) => {
            let (n, e) = (without_zeros(part(jwk.n)), without_zeros(part(jwk.e)));
            if !MODULUS_BYTES.contains(&n.len()) || e.is_empty() {
                return refused("has no n of 2,048 to 8,192 bits and e in base64url");
            }
            (Algorithm::Rs256, n, e)
        }
        _ => return refused("is of no type that is taken: EC with P-256, RSA, or OKP with Ed25519"),
    };
    if jwk.alg.is_some_and(|alg| alg != algorithm.name()) {
        return refused("is for another algorithm than ES256, RS256 or EdDSA, or not of its type");
    }
    Ok(PublicKey { kid, algorithm, bytes, exponent })
}

fn without_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// A public key of ours, as it is published.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OwnJwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
    kid: String,
    #[serde(rename = "use")]
    used_for: &'static str,
    alg: &'static str,
}

/// Our keys.
pub(crate) struct Signer {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    /// The newest first.
    pub(crate) published: Vec<OwnJwk>,
}

#[derive(Serialize)]
struct OwnHead<'a> {
    typ: &'static str,
    alg: &'static str,
    kid: &'a str,
}

impl Signer {
    /// Reads our keys: the first one signs.
    pub(crate) fn load(paths: &[PathBuf]) -> Result<Self, KeyError> {
        let (random, mut pairs, mut published) = (SystemRandom::new(), Vec::new(), Vec::new());
        for path in paths {
            let pair = pair_of(&key_file::read(path)?, &random);
            let pair = pair.ok_or_else(|| KeyError::NotOwn { path: path.clone() })?;
            published.extend(own_jwk(&pair));
            pairs.push(pair);
        }
        let pair = pairs.into_iter().next().ok_or(KeyError::None)?;
        Ok(Self { pair, random, published })
    }

    /// A token of ours.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Option<String> {
        let kid = &self.published.first()?.kid;
        let head = serde_json::to_vec(&OwnHead { typ: "JWT", alg: "ES256", kid }).ok()?;
        let mut token = jws::unsigned(&head, &serde_json::to_vec(claims).ok()?);
        let signature = self.pair.sign(&self.random, token.as_bytes()).ok()?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Some(token)
    }
}

/// Draws a key of ours: the text of its file.
///
/// # Errors
/// [`KeyError::Random`].
pub fn draw() -> Result<Zeroizing<String>, KeyError> {
    let drawn = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let der = drawn.map_err(|_| KeyError::Random)?;
    let text = Zeroizing::new(STANDARD.encode(der.as_ref()));
    let mut pem = Zeroizing::new(String::with_capacity(1024));
    pem.push_str(PEM_BEGIN);
    for (place, digit) in text.chars().enumerate() {
        if place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(digit);
    }
    pem.push('\n');
    pem.push_str(PEM_END);
    pem.push('\n');
    Ok(pem)
}

fn pair_of(pem: &str, random: &SystemRandom) -> Option<EcdsaKeyPair> {
    let (_, rest) = pem.split_once(PEM_BEGIN)?;
    let (body, _) = rest.split_once(PEM_END)?;
    let mut text = Zeroizing::new(String::with_capacity(body.len()));
    text.extend(body.split_whitespace());
    let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).ok()?);
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, random).ok()
}

/// The public half; its name is the key's thumbprint (RFC 7638).
fn own_jwk(pair: &EcdsaKeyPair) -> Option<OwnJwk> {
    let (x, y) = pair.public_key().as_ref().strip_prefix(&[4])?.split_at_checked(32)?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    let thumbprint = Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
    let kid = URL_SAFE_NO_PAD.encode(thumbprint);
    Some(OwnJwk { kty: "EC", crv: "P-256", x, y, kid, used_for: "sig", alg: "ES256" })
}
