//! Signed requests: what a registered server or app signs, how the signature is told in three headers, and when it is taken.
//!
//! ```text
//! x-sightline-key:       name under which the signer is registered
//! x-sightline-time:      when it was signed, Unix seconds
//! x-sightline-signature: v1=<HMAC-SHA-256 of the signed text, 64 hex digits>
//!
//! signed text = nine lines, joined by line feeds, none behind the last:
//!   v1
//!   x-sightline-key, as sent
//!   x-sightline-time, as sent
//!   method, as in the request line
//!   target, as in the request line: path, and `?` and query if there is one
//!   Idempotency-Key, as sent; an empty line without one
//!   X-Device-IP, as sent; an empty line without one
//!   X-Device-User-Agent, as sent; an empty line without one
//!   SHA-256 of the body as sent (packed, if it is packed), 64 lower-case hex digits; without a body, that of nothing
//! key = the bytes of the secret as text, without what blanks surround it
//! ```
//!
//! No line can hold a line feed, so no two requests have the same text. All that is believed because of the signature stands in it, the viewer whom a
//! server names in headers included, and so all that a replay could vary to be taken for another request:
//! whoever reads a signed request can send it again within [`WINDOW_SECONDS`], and only as it is. What is done with a repeat is its receiver's to
//! say; what [`Signed::verify`] gives tells one.
//!
//! It owns the text, the window and the comparison, which takes the same time wherever two signatures differ. No I/O: headers, files and the time are
//! the caller's. It must never print a secret, nor what a header holds.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::clock::UnixMs;
use crate::dialect::hex_digit;

/// Header with the signer's name.
pub const KEY_HEADER: &str = "x-sightline-key";
/// Header with the time, Unix seconds.
pub const TIME_HEADER: &str = "x-sightline-time";
/// Header with the signature.
pub const SIGNATURE_HEADER: &str = "x-sightline-signature";
/// Header with the key of an idempotent request, which is signed too.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";
/// Header with the viewer's address as a server says it, which is signed too.
pub const DEVICE_IP_HEADER: &str = "x-device-ip";
/// Header with the viewer's agent as a server says it, which is signed too.
pub const DEVICE_AGENT_HEADER: &str = "x-device-user-agent";

/// How far the time of a signature may be from the receiver's clock, either way, seconds: what Stripe and AWS allow.
pub const WINDOW_SECONDS: i64 = 300;
/// Shortest secret, bytes: as long as the hash, as RFC 2104 advises.
pub const SECRET_BYTES_MIN: usize = 32;
/// Longest secret, bytes.
pub const SECRET_BYTES_MAX: usize = 256;
/// Longest name of a signer, bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Version that stands in the text and before the signature.
const VERSION: &str = "v1";
/// Digits of a time that are read: to the year 2286 in seconds; milliseconds have more.
const TIME_DIGITS_MAX: usize = 10;

/// A secret with which requests are signed. It cannot be printed, copied or serialised, and is wiped when dropped.
///
/// ```compile_fail,E0277
/// fn print(secret: &event::key::signature::Secret) -> String { format!("{secret:?}") }
/// ```
/// ```compile_fail,E0277
/// fn copy(secret: &event::key::signature::Secret) -> event::key::signature::Secret { fn f<T: Clone>(t: &T) -> T { t.clone() } f(secret) }
/// ```
pub struct Secret(Zeroizing<Box<[u8]>>);

/// Why a text is no secret. The operator's to solve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SecretError {
    /// Too short to be safe, or longer than anybody needs.
    #[error(
        "a signing key has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, this one has {0}: draw one with `openssl rand -hex 32`"
    )]
    Length(usize),
    /// One byte again and again: a placeholder.
    #[error("a key of one repeated character is none: draw one with `openssl rand -hex 32`")]
    Weak,
}

/// Why a request is not taken for its signer's. Says what to mend; holds nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Some of the three headers are there, and not this one.
    #[error("the request is signed in part: {0} is missing")]
    Missing(&'static str),
    /// A header is there twice: two readers could take two different ones.
    #[error("{0} is there more than once")]
    Repeated(&'static str),
    /// A header is not what it should be.
    #[error("{0} is not of its form: {1}")]
    Malformed(&'static str, &'static str),
    /// Nobody who signs is registered under the name.
    #[error("{KEY_HEADER} names nobody who is registered with a signing key here")]
    UnknownKey,
    /// The time is outside the window.
    #[error(
        "{TIME_HEADER} is {} s {} this server's clock, allowed are {WINDOW_SECONDS} s: set the clock, and sign each attempt anew",
        .0.unsigned_abs(),
        if *.0 < 0 { "behind" } else { "ahead of" }
    )]
    Clock(
        /// The header's time less the clock's, seconds.
        i64,
    ),
    /// No key of the signer makes this signature of this request.
    #[error(
        "the signature does not match: sign, with the bytes of the secret as the key, the lines v1, name, time, method, path and query, \
         Idempotency-Key or nothing, X-Device-IP or nothing, X-Device-User-Agent or nothing, and the hex SHA-256 of the body as it is sent, \
         joined by line feeds"
    )]
    Mismatch,
    /// The request was done already, and is not to be done again: a replay.
    #[error("the signature was used already: sign again, with a later time")]
    Used,
    /// The signer's key alone does not suffice.
    #[error("requests of this server have to be signed (signature = \"required\")")]
    Required,
}

/// What was asked, as far as it is signed.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Method, as in the request line.
    pub method: &'a str,
    /// Path and query, as in the request line.
    pub target: &'a str,
    /// `Idempotency-Key`, or empty.
    pub idempotency_key: &'a [u8],
    /// `X-Device-IP`, or empty.
    pub device_ip: &'a [u8],
    /// `X-Device-User-Agent`, or empty.
    pub device_agent: &'a [u8],
}

impl<'a> Asked<'a> {
    /// A request of this method and target, whose headers are these: `value` gives the only one of a name. [`Signed::read`] refuses a request that has
    /// one of them twice.
    pub fn of(method: &'a str, target: &'a str, value: impl Fn(&'static str) -> Option<&'a [u8]>) -> Self {
        let or_empty = |name| value(name).unwrap_or_default();
        Self {
            method,
            target,
            idempotency_key: or_empty(IDEMPOTENCY_HEADER),
            device_ip: or_empty(DEVICE_IP_HEADER),
            device_agent: or_empty(DEVICE_AGENT_HEADER),
        }
    }
}

/// What the three headers say. Nothing is known of its truth before [`Signed::verify`].
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    name: &'a [u8],
    time: &'a [u8],
    time_seconds: i64,
    signature: [u8; 32],
}

impl Secret {
    /// A secret of a key file's text; blanks around it do not belong to it.
    ///
    /// # Errors
    /// When it is too short, too long, or one character again and again.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let bytes = text.trim().as_bytes();
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(SecretError::Length(bytes.len()));
        }
        if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
            return Err(SecretError::Weak);
        }
        Ok(Self(Zeroizing::new(bytes.into())))
    }

    fn keyed(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("HMAC takes a key of any length")
    }
}

/// The signature of a request, as a client makes it: the value of [`SIGNATURE_HEADER`].
pub fn sign(secret: &Secret, name: &str, time_seconds: i64, asked: Asked<'_>, body: &[u8]) -> String {
    let time = time_seconds.to_string();
    let body: [u8; 32] = Sha256::digest(body).into();
    let tag = put(secret.keyed(), name.as_bytes(), time.as_bytes(), asked, &body).finalize().into_bytes();
    format!("{VERSION}={}", String::from_utf8_lossy(&hex(&tag.into())))
}

impl<'a> Signed<'a> {
    /// Reads the headers: `values` gives all of a name. `None` if the request claims no signature.
    ///
    /// # Errors
    /// [`Refused`] when only some of them are there, one is malformed, or one of them or of the headers that are signed is there twice.
    pub fn read<V: Iterator<Item = &'a [u8]>>(
        values: impl Fn(&'static str) -> V,
    ) -> Option<Result<Self, Refused>> {
        let one = |name: &'static str| {
            let mut all = values(name);
            match (all.next(), all.next()) {
                (first, None) => Ok(first),
                (_, Some(_)) => Err(Refused::Repeated(name)),
            }
        };
        match (one(KEY_HEADER), one(TIME_HEADER), one(SIGNATURE_HEADER)) {
            (Ok(None), Ok(None), Ok(None)) => None,
            (Ok(Some(name)), Ok(Some(time)), Ok(Some(signature))) => {
                let signed = [IDEMPOTENCY_HEADER, DEVICE_IP_HEADER, DEVICE_AGENT_HEADER];
                let repeated = signed.into_iter().find_map(|name| one(name).err());
                Some(repeated.map_or_else(|| Self::parse(name, time, signature), Err))
            }
            (Err(refused), _, _) | (_, Err(refused), _) | (_, _, Err(refused)) => Some(Err(refused)),
            (Ok(None), _, _) => Some(Err(Refused::Missing(KEY_HEADER))),
            (_, Ok(None), _) => Some(Err(Refused::Missing(TIME_HEADER))),
            (_, _, Ok(None)) => Some(Err(Refused::Missing(SIGNATURE_HEADER))),
        }
    }

    fn parse(name: &'a [u8], time: &'a [u8], signature: &[u8]) -> Result<Self, Refused> {
        let is_number = (1..=TIME_DIGITS_MAX).contains(&time.len()) && time.iter().all(u8::is_ascii_digit);
        if !is_number {
            return Err(Refused::Malformed(TIME_HEADER, "Unix seconds are wanted, such as 1795262400"));
        }
        let time_seconds = time.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        let digits = signature.strip_prefix(VERSION.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        let signature = digits
            .and_then(unhex)
            .ok_or(Refused::Malformed(SIGNATURE_HEADER, "v1= and 64 hex digits are wanted"))?;
        Ok(Self { name, time, time_seconds, signature })
    }

    /// The name under which the signer says to be registered.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// When it says to have been signed, Unix seconds.
    pub fn time_seconds(&self) -> i64 {
        self.time_seconds
    }

    /// Holds the time against the clock.
    ///
    /// # Errors
    /// [`Refused::Clock`] outside the window.
    pub fn check_time(&self, now_ms: UnixMs) -> Result<(), Refused> {
        let ahead_seconds = self.time_seconds - now_ms.div_euclid(1_000);
        if ahead_seconds.abs() > WINDOW_SECONDS {
            return Err(Refused::Clock(ahead_seconds));
        }
        Ok(())
    }

    /// Holds the signature against the secrets of its signer. Gives it in hex: equal for every repeat of this request, and different for every other.
    ///
    /// # Errors
    /// [`Refused::Mismatch`] when none of them made it.
    pub fn verify<'s>(
        &self,
        secrets: impl IntoIterator<Item = &'s Secret>,
        asked: Asked<'_>,
        body: &[u8; 32],
    ) -> Result<[u8; 64], Refused> {
        let is_by = |secret: &Secret| {
            // Compares in constant time.
            put(secret.keyed(), self.name, self.time, asked, body).verify_slice(&self.signature).is_ok()
        };
        if secrets.into_iter().any(is_by) { Ok(hex(&self.signature)) } else { Err(Refused::Mismatch) }
    }
}

/// The signed text.
fn put(mut keyed: Hmac<Sha256>, name: &[u8], time: &[u8], asked: Asked<'_>, body: &[u8; 32]) -> Hmac<Sha256> {
    for line in [
        VERSION.as_bytes(),
        name,
        time,
        asked.method.as_bytes(),
        asked.target.as_bytes(),
        asked.idempotency_key,
        asked.device_ip,
        asked.device_agent,
    ] {
        keyed.update(line);
        keyed.update(b"\n");
    }
    keyed.update(&hex(body));
    keyed
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
    for ([high, low], byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        (*high, *low) = (digit(byte >> 4), digit(byte & 0xf));
    }
    text
}

fn unhex(digits: &[u8]) -> Option<[u8; 32]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
