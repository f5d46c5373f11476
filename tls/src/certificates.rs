//! Certificate and key: read from their files, judged, and put in force while connections go on.
//!
//! A renewal writes two files one after the other. So a pair that does not fit is looked at once more before it counts as wrong; until a
//! good one is there, the one before it stays in force. It must never print what a key file holds.
//!
//! ```text
//!              changed, good            ┌── the same at the next look: refused, counted, logged; the old pair stays
//!  in force ──────────────► in force    │
//!      └── changed, not good ──► suspect┴── changed again: judged anew
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use event::clock::{Clock, UnixMs};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use crate::handshake::Acceptor;
use crate::metrics;
use crate::settings::Settings;

/// Largest certificate file, bytes: a chain has some kilobytes.
const CERTIFICATE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Largest key file, bytes: an RSA key of 16,384 bits has 13 KB.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Permissions that a key file must not give: any, to anybody but its owner.
const MODE_REFUSED: u32 = 0o077;
/// A certificate that ends within this is warned of. Renewals that run by themselves come a month before the end.
const EXPIRY_WARNING_MS: i64 = 14 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// What browsers and other clients may ask for, what we like best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why certificate and key cannot be used. The operator's to solve. Says which file, never what a key file holds.
#[derive(Debug, Error)]
pub enum Error {
    /// A file cannot be read, or is too large.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Others on this machine may read or change the key.
    #[error(
        "the key file {path} has mode {mode:03o}: only its owner may have rights to it; run chmod 600 {path}"
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{path} {problem}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The key is another certificate's.
    #[error(
        "the key in {key} is not that of the certificate in {certificate}: the server's own certificate has to come first in its file, then those that signed it"
    )]
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// It is not in its time.
    #[error("the certificate in {path} {problem}")]
    Time {
        /// The file.
        path: PathBuf,
        /// Which end is missed.
        problem: String,
    },
    /// Whatever else the library says.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

impl Error {
    /// The file at fault, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Read { path, .. }
            | Self::Mode { path, .. }
            | Self::Form { path, .. }
            | Self::Time { path, .. } => Some(path),
            Self::Mismatch { key, .. } => Some(key),
            Self::Library(_) => None,
        }
    }
}

/// What a look at the files found.
#[derive(Debug)]
pub enum Look {
    /// Nothing new.
    Same,
    /// A new pair, in force from now on.
    Taken,
    /// A change that makes no good pair yet: the next look decides.
    Unsettled,
    /// A new pair that cannot be used; the one before it stays in force.
    Refused(Error),
}

/// The certificate in force, for all roles of a process.
pub struct Certificates {
    settings: Settings,
    certificate: PathBuf,
    key: PathBuf,
    clock: Clock,
    in_force: Arc<InForce>,
    config: Arc<ServerConfig>,
    seen: Mutex<Seen>,
}

/// What the looks have found so far.
struct Seen {
    /// What was judged last.
    judged: Content,
    /// What was found not to be good, once.
    suspect: Option<Content>,
    /// The warning of the near end was given then.
    warned_ms: Option<UnixMs>,
}

/// SHA-256 over what both files held, or over why they could not be read.
type Content = [u8; 32];

#[derive(Debug)]
struct InForce(ArcSwap<Pair>);

/// A certificate with its key, and what its end and names are.
#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    expires_seconds: i64,
    names: Vec<String>,
}

impl ResolvesServerCert for InForce {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}

impl Certificates {
    /// Reads and judges the pair that the settings name; `None` where they name none.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn load(settings: &Settings, clock: &Clock) -> Result<Option<Self>, Error> {
        let Some((certificate, key)) = settings.files() else { return Ok(None) };
        let provider = Arc::new(ring::default_provider());
        let read = Files::read(certificate, key);
        let judged = content(&read);
        let pair = read?.judge(&provider, clock.now_ms())?;
        metrics::expires(pair.expires_seconds);
        let in_force = Arc::new(InForce(ArcSwap::from_pointee(pair)));
        let config = config(provider, Arc::clone(&in_force))?;
        Ok(Some(Self {
            settings: settings.clone(),
            certificate: certificate.to_path_buf(),
            key: key.to_path_buf(),
            clock: clock.clone(),
            in_force,
            config: Arc::new(config),
            seen: Mutex::new(Seen { judged, suspect: None, warned_ms: None }),
        }))
    }

    /// What turns the connections of a role into streams. The name stands in metrics.
    pub fn acceptor(&self, role: &'static str) -> Acceptor {
        Acceptor::new(Arc::clone(&self.config), self.settings.handshake_wait(), role)
    }

    /// Names and addresses in the certificate in force.
    pub fn names(&self) -> Vec<String> {
        self.in_force.0.load().names.clone()
    }

    /// When the certificate in force ends, Unix seconds.
    pub fn expires_seconds(&self) -> i64 {
        self.in_force.0.load().expires_seconds
    }

    /// Looks whether the files have changed, and puts a new pair in force. `is_asked` decides about what does not fit at once, for whoever asks has
    /// finished writing. Reads two files: not for a thread that must not wait.
    pub fn look(&self, is_asked: bool) -> Look {
        let read = Files::read(&self.certificate, &self.key);
        let content = content(&read);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.warn_of_end(&mut seen);
        if content == seen.judged && !is_asked {
            seen.suspect = None;
            return Look::Same;
        }
        let pair = read.and_then(|files| files.judge(self.config.crypto_provider(), self.clock.now_ms()));
        match pair {
            Ok(_) if content == seen.judged => Look::Same,
            Ok(pair) => {
                tracing::info!(expires_unix_seconds = pair.expires_seconds, "certificate_taken");
                metrics::expires(pair.expires_seconds);
                metrics::taken();
                self.in_force.0.store(Arc::new(pair));
                *seen = Seen { judged: content, suspect: None, warned_ms: None };
                Look::Taken
            }
            Err(error) if is_asked || seen.suspect == Some(content) => {
                tracing::error!(%error, "certificate_refused");
                metrics::refused();
                seen.judged = content;
                seen.suspect = None;
                Look::Refused(error)
            }
            Err(_) => {
                seen.suspect = Some(content);
                Look::Unsettled
            }
        }
    }

    /// Once a day, when the end of the certificate in force is near or past.
    fn warn_of_end(&self, seen: &mut Seen) {
        let now_ms = self.clock.now_ms();
        let left_ms = self.expires_seconds().saturating_mul(1000).saturating_sub(now_ms);
        let is_due = seen.warned_ms.is_none_or(|warned| now_ms.saturating_sub(warned) >= DAY_MS);
        if left_ms > EXPIRY_WARNING_MS || !is_due {
            return;
        }
        seen.warned_ms = Some(now_ms);
        let expires_unix_seconds = self.expires_seconds();
        if left_ms <= 0 {
            tracing::error!(expires_unix_seconds, "certificate_expired");
        } else {
            tracing::warn!(expires_unix_seconds, days = left_ms / DAY_MS, "certificate_expires_soon");
        }
    }
}

fn config(provider: Arc<CryptoProvider>, in_force: Arc<InForce>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(in_force);
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    // The tickets carry the sessions, under keys that change by themselves every few hours: nothing is kept here, nothing is shared between the
    // lanes but those keys.
    config.ticketer = ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Early data can be sent again by whoever recorded it.
    config.max_early_data_size = 0;
    Ok(config)
}

/// What the two files hold.
struct Files<'p> {
    certificate: (&'p Path, Vec<u8>),
    key: (&'p Path, Zeroizing<Vec<u8>>),
}

fn content(read: &Result<Files<'_>, Error>) -> Content {
    let mut hash = Sha256::new();
    match read {
        Ok(files) => {
            hash.update((files.certificate.1.len() as u64).to_le_bytes());
            hash.update(&files.certificate.1);
            hash.update(files.key.1.as_slice());
        }
        Err(error) => hash.update(error.to_string()),
    }
    hash.finalize().into()
}

impl<'p> Files<'p> {
    fn read(certificate: &'p Path, key: &'p Path) -> Result<Self, Error> {
        let key_text = read(key, KEY_FILE_BYTES_MAX, |mode| {
            if mode & MODE_REFUSED != 0 {
                return Err(Error::Mode { path: key.to_path_buf(), mode });
            }
            Ok(())
        })?;
        let chain = read(certificate, CERTIFICATE_FILE_BYTES_MAX, |_| Ok(()))?;
        Ok(Self { certificate: (certificate, chain.to_vec()), key: (key, key_text) })
    }

    fn judge(&self, provider: &CryptoProvider, now_ms: UnixMs) -> Result<Pair, Error> {
        let (path, text) = &self.certificate;
        let wrong = |problem: String| Error::Form { path: path.to_path_buf(), problem };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(format!("is no sound PEM: {error}")))?;
        let Some(own) = chain.first() else {
            return Err(wrong("holds no certificate (a PEM block \"CERTIFICATE\")".to_owned()));
        };
        let (_, own) = X509Certificate::from_der(own)
            .map_err(|error| wrong(format!("holds a certificate that cannot be read: {error}")))?;
        let (expires_seconds, names) = (own.validity().not_after.timestamp(), names(&own));
        self.judge_time(&own, now_ms)?;
        let (key_path, key_text) = (self.key.0.to_path_buf(), self.key.1.as_slice());
        let key = PrivateKeyDer::from_pem_slice(key_text).map_err(|_| Error::Form {
            path: key_path.clone(),
            problem: "holds no private key in PEM without a password".to_owned(),
        })?;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                Error::Mismatch { certificate: path.to_path_buf(), key: key_path.clone() }
            }
            rustls::Error::InvalidCertificate(_) => wrong(format!("cannot be used: {error}")),
            _ => Error::Form {
                path: key_path.clone(),
                problem: "holds a key of a kind that is not supported: RSA from 2048 bits, ECDSA P-256 or P-384, Ed25519"
                    .to_owned(),
            },
        })?;
        Ok(Pair { key: Arc::new(key), expires_seconds, names })
    }

    fn judge_time(&self, own: &X509Certificate<'_>, now_ms: UnixMs) -> Result<(), Error> {
        let now = now_ms.div_euclid(1000);
        let (from, to) = (own.validity().not_before, own.validity().not_after);
        let problem = if to.timestamp() < now {
            format!("expired on {to}: renew it")
        } else if from.timestamp() > now {
            format!("is not good before {from}: look at the system's clock, or wait")
        } else {
            return Ok(());
        };
        Err(Error::Time { path: self.certificate.0.to_path_buf(), problem })
    }
}

/// The names that a certificate is for.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
        },
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(name).collect()
}

/// A whole file within its size; `allows` is asked about the mode of the open file, the one that is read.
fn read(
    path: &Path,
    bytes_max: u64,
    allows: impl FnOnce(u32) -> Result<(), Error>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")));
    }
    allows(about.permissions().mode() & 0o777)?;
    // Room for all of it from the start: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(about.len().min(bytes_max) as usize + 1));
    let length = file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if length as u64 > bytes_max {
        let words = format!("it has more than {bytes_max} bytes");
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, words)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
