//! Sealing for who holds the private key, and opening by it.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use x25519_dalek::{PublicKey as Point, StaticSecret};
use zeroize::Zeroizing;

use crate::error::Error;

const PUBLIC_PREFIX: &str = "sightline_security_public_";
const PRIVATE_PREFIX: &str = "sightline_security_private_";
const MAGIC: &[u8; 8] = b"SLSECLOG";
const VERSION: u8 = 2;
/// From this version on a file has a last frame that says so.
const VERSION_WITH_END: u8 = 2;
/// Bytes of a file's head.
pub(crate) const HEAD_BYTES: usize = MAGIC.len() + 1 + 32;
const LABEL: &[u8] = b"sightline security log 1";

/// What a process needs to write the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(Point);

/// What opens the log. Not for the process that writes it.
pub struct PrivateKey(StaticSecret);

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl PublicKey {
    /// As it stands in its file.
    pub fn to_text(&self) -> String {
        text(PUBLIC_PREFIX, self.0.as_bytes())
    }

    /// From its file.
    ///
    /// # Errors
    /// It is none.
    pub fn from_text(from: &str) -> Result<Self, Error> {
        Ok(Self(Point::from(*bytes(PUBLIC_PREFIX, from)?)))
    }
}

impl PrivateKey {
    /// A new one.
    ///
    /// # Errors
    /// The system's random source.
    pub fn draw() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(Error::Random)?;
        Ok(Self(StaticSecret::from(*bytes)))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(Point::from(&self.0))
    }

    /// As it stands in its file.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(text(PRIVATE_PREFIX, self.0.as_bytes()))
    }

    /// From its file.
    ///
    /// # Errors
    /// It is none.
    pub fn from_text(from: &str) -> Result<Self, Error> {
        Ok(Self(StaticSecret::from(*bytes(PRIVATE_PREFIX, from)?)))
    }
}

/// Seals the frames of one file.
pub(crate) struct Sealer {
    key: LessSafeKey,
    pub(crate) head: [u8; HEAD_BYTES],
    next: u64,
}

impl Sealer {
    /// For a new file: nobody keeps what opens it but the holder of the private key.
    pub(crate) fn new(public: &PublicKey) -> Result<Self, Error> {
        let ephemeral = PrivateKey::draw()?;
        let point = ephemeral.public();
        let mut head = [0; HEAD_BYTES];
        let (magic, rest) = head.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        if let Some((version, to)) = rest.split_first_mut() {
            *version = VERSION;
            to.copy_from_slice(point.0.as_bytes());
        }
        let shared = ephemeral.0.diffie_hellman(&public.0);
        Ok(Self { key: file_key(shared.as_bytes(), &point.0, &public.0), head, next: 0 })
    }

    /// The next frame, with its length in front.
    pub(crate) fn seal(&mut self, mut plain: Vec<u8>) -> Vec<u8> {
        let number = nonce(self.next);
        self.next += 1;
        let sealed = self.key.seal_in_place_append_tag(number, Aad::from(&self.head), &mut plain);
        sealed.expect("a frame is shorter than the cipher's limit of 256 GiB");
        let mut frame = (plain.len() as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&plain);
        frame
    }
}

/// Opens the frames of one file, in order.
pub(crate) struct Opener {
    key: LessSafeKey,
    head: [u8; HEAD_BYTES],
    next: u64,
    /// Whether the file's last frame says that it is.
    pub(crate) has_end: bool,
}

impl Opener {
    /// `None` for a head of another form.
    pub(crate) fn new(private: &PrivateKey, head: [u8; HEAD_BYTES]) -> Option<Self> {
        let rest = head.strip_prefix(MAGIC)?;
        let (version, point) = rest.split_first()?;
        let point = Point::from(<[u8; 32]>::try_from(point).ok()?);
        let shared = private.0.diffie_hellman(&point);
        let key = file_key(shared.as_bytes(), &point, &private.public().0);
        let has_end = *version >= VERSION_WITH_END;
        (1..=VERSION).contains(version).then_some(Self { key, head, next: 0, has_end })
    }

    /// What is in the next frame; `None` if it was changed, or is not the next, or was sealed for another key.
    pub(crate) fn open(&mut self, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let number = nonce(self.next);
        let length = self.key.open_in_place(number, Aad::from(&self.head), &mut sealed).ok()?.len();
        self.next += 1;
        sealed.truncate(length);
        Some(sealed)
    }
}

fn file_key(shared: &[u8; 32], ephemeral: &Point, public: &Point) -> LessSafeKey {
    let mut state = Hmac::<Sha256>::new_from_slice(shared).expect("HMAC takes keys of every length");
    state.update(LABEL);
    state.update(ephemeral.as_bytes());
    state.update(public.as_bytes());
    let key = Zeroizing::new(<[u8; 32]>::from(state.finalize().into_bytes()));
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*key).expect("its key has 32 bytes"))
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes.iter_mut().zip(number.to_le_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(bytes)
}

fn text(prefix: &str, bytes: &[u8; 32]) -> String {
    bytes.iter().fold(prefix.to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(prefix: &'static str, text: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
    let error = || Error::Key { prefix };
    let hex = text.trim().strip_prefix(prefix).filter(|hex| hex.len() == 64).ok_or_else(error)?;
    let mut bytes = Zeroizing::new([0; 32]);
    for (to, pair) in bytes.iter_mut().zip(hex.as_bytes().as_chunks::<2>().0) {
        let pair = str::from_utf8(pair).map_err(|_| error())?;
        *to = u8::from_str_radix(pair, 16).map_err(|_| error())?;
    }
    Ok(bytes)
}
