//! Who may say more than a viewer: registered servers by their keys or signatures, and the debug key.
//!
//! A server sends its bearer key, or signs ([`event::key::signature`]): then nobody who reads a request on its way can make another one of it. It
//! owns the bearer keys' digests, the signing keys, and what each server may say. It must never keep a bearer key itself beyond reading it, print a
//! key, or compare one in a time that depends on where it differs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use event::clock::UnixMs;
use event::key::signature::{Asked, NAME_BYTES_MAX, Refused, Secret, Signed};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use opt_out::key_file;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::Error;
use crate::address::Cidr;
use crate::settings::{Right, Server, Settings, Signature};

/// Longest key looked at, bytes: a header cannot make us hash more.
const KEY_BYTES_MAX: usize = 256;
/// Shortest key accepted from a file, bytes.
const KEY_BYTES_MIN: usize = 16;
/// Most signing keys of one server.
const SIGNING_KEYS_MAX: usize = 8;

const X_SIGHTLINE_DEBUG: HeaderName = HeaderName::from_static("x-sightline-debug");

type KeyDigest = [u8; 32];

/// The registered servers and the debug key.
#[derive(Default)]
pub(crate) struct Senders {
    servers: Vec<Registered>,
    debug: Option<KeyDigest>,
}

pub(crate) struct Registered {
    name: String,
    bearer: Option<KeyDigest>,
    signing: Vec<Secret>,
    must_sign: bool,
    rights: Rights,
    networks: Vec<Cidr>,
}

/// What a registered server may say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) ip: bool,
    pub(crate) ua: bool,
    pub(crate) backdate: bool,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// No key: the viewer's own device, or anybody.
    Viewer,
    /// A registered server: its connection and its agent are not the viewer's.
    Server(Rights),
    /// A bearer token that is none of ours.
    UnknownKey,
    /// Signed, and not shown to be who it says; or a key that does not suffice. Nothing is taken from it.
    Refused(Refused),
}

impl Sender {
    /// What the sender may say about the viewer.
    pub(crate) fn rights(self) -> Rights {
        match self {
            Self::Server(rights) => rights,
            Self::Viewer | Self::UnknownKey | Self::Refused(_) => Rights::default(),
        }
    }
}

/// What is known of who sends a request.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) sender: Sender,
    /// The registered server's name, or empty.
    pub(crate) name: &'a str,
    /// The signature in hex, where it is one: the same in each repeat of the request.
    pub(crate) signature: Option<[u8; 64]>,
}

/// What the headers of a request say of its sender.
pub(crate) enum Claim<'a> {
    Known(Known<'a>),
    /// Signed in time by a name that is registered: only the signature is still to be checked.
    Signed(&'a Registered, Signed<'a>),
}

impl<'a> Known<'a> {
    fn is(sender: Sender, name: &'a str) -> Self {
        Self { sender, name, signature: None }
    }
}

impl Senders {
    /// Reads the keys that the settings name.
    ///
    /// # Errors
    /// A key file that cannot be read or that others may read, a key that is too short, or what [`check`] says.
    pub(crate) fn load(settings: &Settings) -> Result<Self, Error> {
        check(&settings.server)?;
        let servers = settings.server.iter().map(Registered::load).collect::<Result<_, Error>>()?;
        let debug =
            settings.debug_key_file.as_deref().map(|path| read_key("the debug key", path)).transpose()?;
        Ok(Self { servers, debug })
    }

    /// Who sent a request with these headers, before a signature is checked: what is signed is refused until it has been.
    pub(crate) fn sender(&self, headers: &HeaderMap) -> Sender {
        match signed(headers) {
            Some(_) => Sender::Refused(Refused::Mismatch),
            None => self.bearer(headers).sender,
        }
    }

    /// Who sends without a key from this address: a registered server, or the viewer. An address proves less than a key, so it never gives the
    /// right to backdate.
    pub(crate) fn by_network(&self, address: IpAddr) -> Known<'_> {
        let holds = |server: &&Registered| server.networks.iter().any(|network| network.contains(address));
        match self.servers.iter().find(holds) {
            Some(server) => {
                Known::is(Sender::Server(Rights { backdate: false, ..server.rights }), &server.name)
            }
            None => Known::is(Sender::Viewer, ""),
        }
    }

    /// What the headers say. With a signature, no other key is looked at.
    pub(crate) fn claim<'a>(&'a self, headers: &'a HeaderMap, now_ms: UnixMs) -> Claim<'a> {
        let Some(signed) = signed(headers) else { return Claim::Known(self.bearer(headers)) };
        let found = signed.and_then(|signed| {
            let is_it =
                |server: &&Registered| server.name.as_bytes() == signed.name() && !server.signing.is_empty();
            let server = self.servers.iter().find(is_it).ok_or(Refused::UnknownKey)?;
            signed.check_time(now_ms)?;
            Ok((server, signed))
        });
        match found {
            Ok((server, signed)) => Claim::Signed(server, signed),
            Err(refused) => Claim::Known(Known::is(Sender::Refused(refused), "")),
        }
    }

    fn bearer(&self, headers: &HeaderMap) -> Known<'_> {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Known::is(Sender::Viewer, "");
        };
        let mut found = Known::is(Sender::UnknownKey, "");
        let Some(key) = bearer(value.as_bytes()) else { return found };
        let digest = digest(key);
        for server in &self.servers {
            if server.bearer.is_some_and(|registered| bool::from(registered.ct_eq(&digest))) {
                let sender = if server.must_sign {
                    Sender::Refused(Refused::Required)
                } else {
                    Sender::Server(server.rights)
                };
                found = Known::is(sender, &server.name);
            }
        }
        found
    }

    /// Whether the request carries the debug key.
    pub(crate) fn is_debugging(&self, headers: &HeaderMap) -> bool {
        // Without a key of ours, no header need be looked for.
        let Some(registered) = &self.debug else { return false };
        let Some(value) = headers.get(X_SIGHTLINE_DEBUG) else { return false };
        let key = value.as_bytes();
        key.len() <= KEY_BYTES_MAX && bool::from(registered.ct_eq(&digest(key)))
    }
}

impl<'a> Claim<'a> {
    /// Whether a registered server sends this, if its signature is right where there is one.
    pub(crate) fn is_of_a_server(&self) -> bool {
        match self {
            Self::Known(known) => matches!(known.sender, Sender::Server(_)),
            Self::Signed(..) => true,
        }
    }

    /// Holds a signature against the request, whose body as sent has this SHA-256.
    pub(crate) fn verify(self, asked: Asked<'_>, body: &KeyDigest) -> Known<'a> {
        match self {
            Self::Known(known) => known,
            Self::Signed(server, signed) => match signed.verify(&server.signing, asked, body) {
                Ok(signature) => Known {
                    sender: Sender::Server(server.rights),
                    name: &server.name,
                    signature: Some(signature),
                },
                Err(refused) => Known::is(Sender::Refused(refused), ""),
            },
        }
    }
}

impl Rights {
    fn of(rights: &[Right]) -> Self {
        Self {
            ip: rights.contains(&Right::Ip),
            ua: rights.contains(&Right::Ua),
            backdate: rights.contains(&Right::Backdate),
        }
    }
}

impl Registered {
    fn load(server: &Server) -> Result<Self, Error> {
        let bearer = match (&server.key_sha256, &server.key_file) {
            (Some(hex), _) => parse_hex(hex),
            (None, Some(path)) => Some(read_key(&server.name, path)?),
            (None, None) => None,
        };
        let read = |path: &PathBuf| {
            key_file::read_secret(path).map_err(|source| Error::KeyFile { name: server.name.clone(), source })
        };
        Ok(Self {
            name: server.name.clone(),
            bearer,
            signing: server.signing_key_files.iter().map(read).collect::<Result<_, _>>()?,
            must_sign: server.signature == Signature::Required,
            rights: Rights::of(&server.rights),
            networks: server.networks.clone(),
        })
    }
}

/// What is wrong with the registered servers as far as the settings say it.
pub(crate) fn check(servers: &[Server]) -> Result<(), Error> {
    for (index, server) in servers.iter().enumerate() {
        let signs = !server.signing_key_files.is_empty();
        let is_shown = server.name.bytes().all(|byte| byte.is_ascii_graphic());
        let is_name = (1..=NAME_BYTES_MAX).contains(&server.name.len()) && is_shown;
        let is_other = |other: &Server| other.name == server.name && !other.signing_key_files.is_empty();
        let (key, problem) = if server.key_sha256.is_some() && server.key_file.is_some() {
            ("key_file", "has both key_sha256 and key_file: one of them is enough".to_owned())
        } else if server.key_sha256.is_none()
            && server.key_file.is_none()
            && !signs
            && server.networks.is_empty()
        {
            ("name", "needs key_sha256, key_file, signing_key_files or networks".to_owned())
        } else if server.signature == Signature::Required && !server.networks.is_empty() {
            (
                "networks",
                "has signature = \"required\", and networks from which none would be asked for".to_owned(),
            )
        } else if server.key_sha256.as_deref().is_some_and(|hex| parse_hex(hex).is_none()) {
            ("key_sha256", "has a key_sha256 that is not 64 hex digits".to_owned())
        } else if server.signature == Signature::Required && !signs {
            ("signature", "has signature = \"required\" and no signing_key_files".to_owned())
        } else if server.signing_key_files.len() > SIGNING_KEYS_MAX {
            let count = server.signing_key_files.len();
            ("signing_key_files", format!("has {count} signing keys, at most {SIGNING_KEYS_MAX} are allowed"))
        } else if signs && !is_name {
            ("name", "signs under its name, which has to be 1 to 64 visible ASCII characters".to_owned())
        } else if signs && servers.iter().take(index).any(is_other) {
            ("name", "signs under the name of another one".to_owned())
        } else {
            continue;
        };
        return Err(Error::Server {
            key: format!("tracker.server.{index}.{key}"),
            name: server.name.clone(),
            problem,
        });
    }
    Ok(())
}

/// Reads every key file, and keeps nothing.
pub(crate) fn check_keys(servers: &[Server]) -> Result<(), Error> {
    servers.iter().try_for_each(|server| Registered::load(server).map(drop))
}

fn read_key(name: &str, path: &Path) -> Result<KeyDigest, Error> {
    let text = key_file::read(path).map_err(|source| Error::KeyFile { name: name.to_owned(), source })?;
    let key = text.trim().as_bytes();
    if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()) {
        return Err(Error::KeyLength {
            name: name.to_owned(),
            bytes_min: KEY_BYTES_MIN,
            bytes_max: KEY_BYTES_MAX,
        });
    }
    Ok(digest(key))
}

/// What a request with these parts asks for, as it is signed.
pub(crate) fn asked<'a>(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Asked<'a> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    Asked::of(method.as_str(), target, |name| headers.get(name).map(HeaderValue::as_bytes))
}

/// Whether a header can say who sends a request. Most requests have none that does.
pub(crate) fn names_sender(name: &HeaderName) -> bool {
    *name == AUTHORIZATION || is_ours(name)
}

fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-sightline-")
}

/// The signature of a request, if it has any header of one. Most have none: they are asked for that in one go.
fn signed(headers: &HeaderMap) -> Option<Result<Signed<'_>, Refused>> {
    if !headers.keys().any(is_ours) {
        return None;
    }
    Signed::read(|name| headers.get_all(name).iter().map(HeaderValue::as_bytes))
}

fn digest(key: &[u8]) -> KeyDigest {
    Sha256::digest(key).into()
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty() && key.len() <= KEY_BYTES_MAX).then_some(key)
}

fn parse_hex(hex: &str) -> Option<KeyDigest> {
    let mut digest = KeyDigest::default();
    if hex.len() != 2 * digest.len() || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests;
