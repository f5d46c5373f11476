//! The body of a batch: read within its limits, decompressed within its limits.
//!
//! It owns the refusals of a whole body. It must never hold more of a body, or of all bodies together, than the limits say, whatever their
//! headers promise.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use sha2::{Digest, Sha256};

use crate::answer::{self, Answer};
use crate::connection::Connection;
use crate::settings::Limits;

/// Bytes decompressed in one go.
const DECODE_BYTES: usize = 64 * 1024;
/// Bytes hashed in one go.
const DIGEST_BYTES: usize = 256 * 1024;
/// Largest window of a zstd body, as a power of two: 8 MiB, what every encoder stays within unless told otherwise.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Why a body is refused as a whole.
pub(crate) enum Refusal {
    TooLarge(&'static str, usize),
    TooSlow,
    /// Others hold what the lane has for bodies that are still coming.
    Busy,
    Encoding,
    Broken(String),
}

impl Refusal {
    /// The refusal ends the connection where the rest of the body is unread.
    pub(crate) fn answer(self) -> Answer {
        let (status, words) = match self {
            Self::Busy => {
                let mut answer = answer::try_later(HeaderMap::new());
                answer::close(&mut answer);
                return answer;
            }
            Self::TooLarge(limit, value) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("larger than {limit} = {value}; nothing was accepted\n"),
            ),
            Self::TooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "the body took too long; nothing was accepted\n".to_owned())
            }
            Self::Encoding => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Content-Encoding must be gzip, zstd or identity; nothing was accepted\n".to_owned(),
            ),
            Self::Broken(what) => (StatusCode::BAD_REQUEST, format!("{what}; nothing was accepted\n")),
        };
        let mut answer = answer::text(status, HeaderMap::new(), words);
        answer::close(&mut answer);
        answer
    }
}

impl Encoding {
    /// The encoding that the headers name.
    pub(crate) fn said(headers: &HeaderMap) -> Result<Self, Refusal> {
        Self::of(headers.get(CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes().trim_ascii()))
    }

    /// The encoding of a name in `Content-Encoding`; nothing is the identity.
    pub(crate) fn of(name: &[u8]) -> Result<Self, Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("") || is("identity") {
            Ok(Self::Identity)
        } else if is("gzip") || is("x-gzip") {
            Ok(Self::Gzip)
        } else if is("zstd") {
            Ok(Self::Zstd)
        } else {
            Err(Refusal::Encoding)
        }
    }
}

/// SHA-256 of a body as sent, as it is signed.
pub(crate) async fn digest(raw: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for piece in raw.chunks(DIGEST_BYTES) {
        digest.update(piece);
        if piece.len() == DIGEST_BYTES {
            tokio::task::yield_now().await;
        }
    }
    digest.finalize().into()
}

/// Decompresses a body, to at most `bytes_max` bytes.
pub(crate) async fn unpack(encoding: Encoding, raw: Bytes, bytes_max: usize) -> Result<Bytes, Refusal> {
    match encoding {
        Encoding::Identity => Ok(raw),
        Encoding::Gzip => decode(flate2::bufread::MultiGzDecoder::new(&*raw), bytes_max).await,
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(&*raw).map_err(|_| broken_encoding())?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| broken_encoding())?;
            decode(decoder, bytes_max).await
        }
    }
}

/// Bytes that one body has taken of what the lane has for bodies that are still coming.
struct Held<'a> {
    all: &'a Cell<usize>,
    bytes: usize,
}

impl Held<'_> {
    fn take(&mut self, bytes: usize, bytes_max: usize) -> Result<(), Refusal> {
        let all = self.all.get() + bytes;
        if all > bytes_max {
            return Err(Refusal::Busy);
        }
        self.all.set(all);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.bytes);
    }
}

/// The body as sent, in one piece. `coming` are the bytes of all bodies that have not come whole: a peer that sends nothing takes none.
pub(crate) async fn collect(
    connection: &Connection,
    mut body: Incoming,
    limits: &Limits,
    coming: &Cell<usize>,
) -> Result<Bytes, Refusal> {
    let bytes_max = limits.body_bytes_max;
    let mut held = Held { all: coming, bytes: 0 };
    let too_large = Refusal::TooLarge("body_bytes_max", bytes_max);
    let said_bytes = body.size_hint().lower();
    if said_bytes > bytes_max as u64 {
        return Err(too_large);
    }
    let mut whole = Vec::new();
    loop {
        let next = {
            let mut frame = pin!(body.frame());
            poll_fn(|context| match frame.as_mut().poll(context) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                Poll::Pending => connection.poll_late(context).map(|()| Err(Refusal::TooSlow)),
            })
            .await?
        };
        let Some(frame) = next else { return Ok(whole.into()) };
        let frame =
            frame.map_err(|_| Refusal::Broken("the body ended early or is not sound HTTP".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(too_large);
        }
        if whole.is_empty() && data.len() as u64 == said_bytes {
            return Ok(data);
        }
        held.take(data.len(), limits.bodies_coming_bytes_max)?;
        whole.extend_from_slice(&data);
    }
}

/// Decompresses, and stops at the limit whatever the body promises.
async fn decode(decoder: impl Read, bytes_max: usize) -> Result<Bytes, Refusal> {
    let mut text = Vec::new();
    let mut rest = decoder.take(bytes_max as u64 + 1);
    loop {
        let mut piece = rest.by_ref().take(DECODE_BYTES as u64);
        match piece.read_to_end(&mut text) {
            Ok(0) => return Ok(text.into()),
            Ok(_) if text.len() > bytes_max => {
                return Err(Refusal::TooLarge("body_decoded_bytes_max", bytes_max));
            }
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(broken_encoding()),
        }
    }
}

fn broken_encoding() -> Refusal {
    Refusal::Broken("the body is not what its Content-Encoding says".to_owned())
}
