//! Signed tokens in their compact form (RFC 7515), as strangers send them: three parts of base64url, joined by dots.
//!
//! ```text
//! base64url({"alg":"ES256","kid":"…","typ":"JWT"}) . base64url({claims}) . base64url(signature)
//! └────────────────── what is signed ────────────────────────────────────┘
//! ```
//!
//! It owns the form. It decides nothing: which key, and whether its algorithm is the one that the head names, is `jwk`'s. It must never use a key or an
//! address that a token brings (`jwk`, `jku`, `x5u`), nor take a head that asks for an extension (`crit`), nor print what a token holds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Longest token that is read, bytes. One with another inside it, both signed with RSA keys of 8,192 bits, has about 6 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// A token whose form is right and whose signature nobody has looked at.
pub struct Token<'t> {
    /// What is signed: the first two parts and the dot between them.
    pub(crate) signed: &'t [u8],
    /// The algorithm that its head names.
    pub(crate) algorithm: String,
    /// The key that its head names.
    pub(crate) kid: Option<String>,
    /// The claims' bytes. They may hold an identifier.
    pub(crate) payload: Zeroizing<Vec<u8>>,
    pub(crate) signature: Vec<u8>,
}

/// Names that come twice are refused: two readers could take either.
#[derive(Deserialize)]
struct Head {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present", rename = "crit")]
    has_extensions: bool,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl<'t> Token<'t> {
    /// Reads a token; `None` for what is none, or too long.
    pub fn read(text: &'t str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (head, payload) = signed.split_once('.')?;
        // A further dot is in no alphabet of base64.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let head: Head = serde_json::from_slice(&decode(head)?).ok()?;
        let is_jwt = head.typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
        (is_jwt && !head.has_extensions).then_some(())?;
        Some(Self {
            signed: signed.as_bytes(),
            algorithm: head.alg,
            kid: head.kid,
            payload: Zeroizing::new(decode(payload)?),
            signature: decode(signature)?,
        })
    }
}

/// A token of these parts, before its signature.
pub(crate) fn unsigned(head: &[u8], claims: &[u8]) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(head);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut text);
    text
}
