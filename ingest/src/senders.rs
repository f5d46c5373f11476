//! Who may say more than a viewer: registered servers by their keys, and the debug key.
//!
//! It owns the keys' digests and what each key permits. It must never keep a key itself beyond reading it, print one, or compare one in a
//! time that depends on where it differs.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::Error;
use crate::settings::{Right, Server, Settings};

/// Longest key looked at, bytes: a header cannot make us hash more.
const KEY_BYTES_MAX: usize = 256;
/// Shortest key accepted from a file, bytes.
const KEY_BYTES_MIN: usize = 16;
/// Largest key file, bytes: a key, and room for what editors leave around it.
const KEY_FILE_BYTES_MAX: u64 = 1024;
/// Permissions that a key file must not give: any, to anybody but its owner.
const KEY_FILE_MODE_REFUSED: u32 = 0o077;

const X_SIGHTLINE_DEBUG: HeaderName = HeaderName::from_static("x-sightline-debug");

type KeyDigest = [u8; 32];

/// The registered servers and the debug key.
#[derive(Default)]
pub(crate) struct Senders {
    servers: Vec<(KeyDigest, Rights)>,
    debug: Option<KeyDigest>,
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
}

impl Sender {
    /// What the sender may say about the viewer.
    pub(crate) fn rights(self) -> Rights {
        match self {
            Self::Server(rights) => rights,
            Self::Viewer | Self::UnknownKey => Rights::default(),
        }
    }
}

impl Senders {
    /// Reads the keys that the settings name.
    ///
    /// # Errors
    /// A key file that cannot be read or that others may read, a key that is too short, a digest that is not 64 hex digits, a server with no key or two.
    pub(crate) fn load(settings: &Settings) -> Result<Self, Error> {
        let servers = settings
            .server
            .iter()
            .map(|server| Ok((server_digest(server)?, Rights::of(&server.rights))))
            .collect::<Result<_, Error>>()?;
        let debug =
            settings.debug_key_file.as_deref().map(|path| read_key("the debug key", path)).transpose()?;
        Ok(Self { servers, debug })
    }

    /// Who sent a request with these headers.
    pub(crate) fn sender(&self, headers: &HeaderMap) -> Sender {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return Sender::Viewer;
        };
        let Some(key) = bearer(value.as_bytes()) else {
            return Sender::UnknownKey;
        };
        let digest = digest(key);
        let mut found = Sender::UnknownKey;
        for (registered, rights) in &self.servers {
            if bool::from(registered.ct_eq(&digest)) {
                found = Sender::Server(*rights);
            }
        }
        found
    }

    /// Whether the request carries the debug key.
    pub(crate) fn is_debugging(&self, headers: &HeaderMap) -> bool {
        let (Some(registered), Some(value)) = (&self.debug, headers.get(X_SIGHTLINE_DEBUG)) else {
            return false;
        };
        let key = value.as_bytes();
        key.len() <= KEY_BYTES_MAX && bool::from(registered.ct_eq(&digest(key)))
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

/// What the settings say about a server's key.
enum Said<'a> {
    Digest(KeyDigest),
    File(&'a Path),
}

fn said(server: &Server) -> Result<Said<'_>, Error> {
    match (&server.key_sha256, &server.key_file) {
        (Some(hex), None) => {
            parse_hex(hex).map(Said::Digest).ok_or_else(|| Error::KeyDigest { name: server.name.clone() })
        }
        (None, Some(path)) => Ok(Said::File(path)),
        (None, None) | (Some(_), Some(_)) => Err(Error::KeyMissing { name: server.name.clone() }),
    }
}

/// What is wrong with a server's key as far as the settings say it.
pub(crate) fn check(server: &Server) -> Result<(), Error> {
    said(server).map(drop)
}

fn server_digest(server: &Server) -> Result<KeyDigest, Error> {
    match said(server)? {
        Said::Digest(digest) => Ok(digest),
        Said::File(path) => read_key(&server.name, path),
    }
}

fn read_key(name: &str, path: &Path) -> Result<KeyDigest, Error> {
    let failed = |source| Error::KeyFile { name: name.to_owned(), path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file: the one that is read.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & KEY_FILE_MODE_REFUSED != 0 {
        return Err(Error::KeyFileMode { name: name.to_owned(), path: path.to_owned(), mode });
    }
    // Room for all of it from the start: a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize + 1));
    let bytes = file.take(KEY_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if bytes as u64 > KEY_FILE_BYTES_MAX {
        let words = format!("it has more than {KEY_FILE_BYTES_MAX} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, words)));
    }
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
mod tests {
    use hyper::header::HeaderValue;

    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn server(name: &str) -> Server {
        Server { name: name.to_owned(), key_sha256: None, key_file: None, rights: vec![Right::Ip] }
    }

    fn key_file(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path
    }

    fn with(headers: &[(HeaderName, &str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("valid")))
            .collect()
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
    fn a_server_needs_exactly_one_good_key() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str, mode: u32| key_file(dir.path(), name, text, mode);
        let short = file("short", "short", 0o600);
        let good = "0123456789abcdef-secret\n";
        let read = |path| Senders::load(&Settings { debug_key_file: Some(path), ..Settings::default() });
        for mode in [0o600, 0o400] {
            let senders = read(file(&format!("good-{mode:o}"), good, mode)).expect("a good key");
            assert!(senders.is_debugging(&with(&[(X_SIGHTLINE_DEBUG, good.trim())])));
        }
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let error = read(file(&format!("open-{mode:o}"), good, mode)).err().expect("refused").to_string();
            assert!(error.contains(&format!("{mode:o}")) && error.contains("chmod 600"), "{error}");
        }
        let long = format!("{good}{}", " ".repeat(KEY_FILE_BYTES_MAX as usize));
        let error = read(file("long", &long, 0o600)).err().expect("refused").to_string();
        assert!(error.contains("more than 1024 bytes"), "{error}");
        for bad in [
            server("none"),
            Server { key_sha256: Some("ab".to_owned()), ..server("hex") },
            Server { key_sha256: Some("é".repeat(32)), ..server("not-ascii") },
            Server { key_file: Some(dir.path().join("absent")), ..server("absent") },
            Server { key_file: Some(short.clone()), ..server("short") },
            Server { key_file: Some(short), key_sha256: Some("0".repeat(64)), ..server("both") },
        ] {
            let settings = Settings { server: vec![bad.clone()], ..Settings::default() };
            let error = Senders::load(&settings).err().unwrap_or_else(|| panic!("{} was taken", bad.name));
            assert!(error.to_string().contains(&bad.name), "{error}");
        }
    }
}
