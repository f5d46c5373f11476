//! What we publish: `dsrdelete.json` in the root of our domain, and our keys.
//!
//! The file has the members of both versions of the framework: 2.0 names the keys by `jwksUri`, 1.0 holds them in `publicKey`. A reader of either
//! passes over the other's.
//!
//! It owns the lists of types and formats: those that requests are held against ([`kind_of`], [`Format::named`]) are those that are published.

use event::identifier::IdKind;
use serde::Serialize;

use super::jwk::{OwnJwk, Signer};
use crate::api::to_json;
use crate::settings::Settings;

/// The file, where the framework wants it, and where its version 2.0 has it in an example.
pub(crate) const FILE: [&str; 2] = ["/dsrdelete.json", "/.well-known/iabtl/dsrdelete.json"];
/// Our keys.
pub(crate) const KEYS: &str = "/.well-known/iabtl/jwks.json";
/// Where requests are sent to.
pub(crate) const ENDPOINT: &str = "/v1/dsr";

/// How the value of an identifier is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As it is.
    Plain,
    /// A digest of it, in hex.
    Md5,
    Sha1,
    Sha256,
}

impl Format {
    const ALL: [Self; 4] = [Self::Plain, Self::Md5, Self::Sha1, Self::Sha256];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plaintext",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    fn hex_digits(self) -> Option<usize> {
        match self {
            Self::Plain => None,
            Self::Md5 => Some(32),
            Self::Sha1 => Some(40),
            Self::Sha256 => Some(64),
        }
    }

    /// Whether identifiers of a kind are taken in it. A CAID is of a version, which a digest does not tell.
    pub(crate) fn is_taken(self, kind: IdKind) -> bool {
        kind != IdKind::Caid || self == Self::Plain
    }

    /// Whether a value looks like it. The kinds whose own values can look like a digest may be both.
    pub(crate) fn fits(self, kind: IdKind, value: &str) -> bool {
        let is_hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(digits) = self.hex_digits() {
            return is_hex && value.len() == digits;
        }
        let is_digest = is_hex && Self::ALL.iter().any(|of| of.hex_digits() == Some(value.len()));
        !is_digest || looks_like_a_digest(kind)
    }
}

fn looks_like_a_digest(kind: IdKind) -> bool {
    match kind {
        IdKind::Oaid | IdKind::Caid | IdKind::OpenUdid | IdKind::Cookie => true,
        IdKind::Imei
        | IdKind::Aaid
        | IdKind::AndroidId
        | IdKind::Mac
        | IdKind::MacColons
        | IdKind::Idfa
        | IdKind::Idfv => false,
    }
}

/// The kind of a type that is published. A MAC is one type: both ways to hash it are looked for.
pub(crate) fn kind_of(name: &str) -> Option<IdKind> {
    IdKind::from_name(name).filter(|kind| *kind != IdKind::MacColons)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    endpoint: String,
    poll_frequency: u32,
    identifiers: Vec<Listed>,
    jwks_uri: String,
    public_key: &'a [OwnJwk],
    vendor_script_requirement: bool,
}

#[derive(Serialize)]
struct Listed {
    id: usize,
    #[serde(rename = "type")]
    kind: &'static str,
    format: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeySet<'a> {
    poll_frequency: u32,
    keys: &'a [OwnJwk],
}

/// Both documents, as they are served.
pub(crate) struct Published {
    pub(crate) file: Vec<u8>,
    pub(crate) keys: Vec<u8>,
}

impl Published {
    pub(crate) fn new(settings: &Settings, signer: &Signer) -> Self {
        let (url, poll_frequency) = (settings.dsr_url(), settings.dsr.poll_seconds);
        let kinds = IdKind::ALL.into_iter().filter(|kind| kind_of(kind.name()).is_some());
        let pairs = kinds.flat_map(|kind| Format::ALL.map(|format| (kind, format)));
        let taken = pairs.filter(|(kind, format)| format.is_taken(*kind));
        let listed = taken.map(|(kind, format)| (kind.name(), format.name()));
        let file = File {
            endpoint: format!("{url}{ENDPOINT}"),
            poll_frequency,
            identifiers: listed.zip(1..).map(|((kind, format), id)| Listed { id, kind, format }).collect(),
            jwks_uri: format!("{url}{KEYS}"),
            public_key: &signer.published,
            vendor_script_requirement: false,
        };
        let keys = KeySet { poll_frequency, keys: &signer.published };
        Self { file: to_json(&file), keys: to_json(&keys) }
    }
}
