//! HTTP over what a handshake gave: the limits of HTTP/2 for every role, and the whole conversation of a connection as page and reports have it.
//!
//! The tracker has its own conversation (one thread a lane, deadlines without timers); it takes only [`http2`] and [`name_host`] from here.
//!
//! | limit of a connection of HTTP/2 | value | beyond |
//! |---|---|---|
//! | requests at the same time | [`STREAMS_MAX`]; the tracker's is a setting | refused by the library (`REFUSED_STREAM`) |
//! | headers of a request, unpacked | the role's limit of a head | 431 |
//! | requests taken back before they were looked at ("rapid reset") | [`RESETS_PENDING_MAX`] | the connection ends (`ENHANCE_YOUR_CALM`) |
//! | requests that we had to break off for their errors | [`ERRORS_MAX`] | the same |
//! | bytes of bodies on their way | [`WINDOW_BYTES`] | the peer has to wait |
//! | bytes of an answer that wait for the peer | [`SEND_BYTES_MAX`] a request | the answer waits |
//! | time without a request | the role's | `GOAWAY`, then closed |
//!
//! There are no pings to keep a connection alive: an idle one is closed, and a phone's radio is not woken for it.

use std::error::Error as StdError;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{HOST, HeaderValue, STRICT_TRANSPORT_SECURITY};
use hyper::server::conn::{http1, http2 as h2_server};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{interval, timeout};

use crate::handshake::Protocol;

/// Requests of one connection at the same time, for page and reports: a page has a handful of parts.
pub const STREAMS_MAX: u32 = 32;
/// Requests that a peer took back before they were looked at.
const RESETS_PENDING_MAX: usize = 20;
/// Requests of one connection that had to be broken off because of what the peer sent.
const ERRORS_MAX: usize = 64;
/// Bytes of bodies on their way, for one request and for a whole connection: what a connection can make us hold.
const WINDOW_BYTES: u32 = 128 * 1024;
/// Bytes of one answer that wait for the peer.
const SEND_BYTES_MAX: usize = 128 * 1024;
/// Largest frame, bytes: the least that the standard allows.
const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// How long browsers insist on TLS after a visit: six months, renewed by each. Longer would keep people away longer from the opt-out page of an
/// operator who has to go back to plain HTTP.
const INSIST: HeaderValue = HeaderValue::from_static("max-age=15768000");

/// How often an HTTP/2 connection is looked at for being idle.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// The HTTP/2 library's settings. `head_bytes_max` limits the headers of a request as they are unpacked.
pub fn http2<E: Clone>(executor: E, head_bytes_max: usize, streams_max: u32) -> h2_server::Builder<E> {
    let mut http = h2_server::Builder::new(executor);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(streams_max)
        .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buf_size(SEND_BYTES_MAX);
    http
}

/// Puts the host that an HTTP/2 request names in `:authority` where HTTP/1.1 has it. It stands above a `Host` that says something else
/// (RFC 9113, section 8.3.1).
pub fn name_host<B>(request: &mut Request<B>) {
    let named = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    if let Some(host) = named {
        request.headers_mut().insert(HOST, host);
    }
}

/// Whether a connection ended because of what the peer sent, not because it went away.
pub fn is_bad_http(error: &hyper::Error) -> bool {
    let of_http2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_parse() || of_http2.is_some_and(|error| !error.is_io())
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Version of HTTP.
    pub protocol: Protocol,
    /// Whether it is inside TLS.
    pub is_secure: bool,
}

impl Version {
    /// Plain HTTP/1.1.
    pub const PLAIN: Self = Self { protocol: Protocol::Http1, is_secure: false };

    /// What was agreed on in a handshake.
    pub fn secure(protocol: Protocol) -> Self {
        Self { protocol, is_secure: true }
    }
}

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Longest head of a request, bytes; at least 8 KiB.
    pub head_bytes_max: usize,
    /// Most headers of a request of HTTP/1.1; HTTP/2 counts their bytes.
    pub headers_max: usize,
    /// A head must be complete after this, and an HTTP/2 connection without a request is closed after this.
    pub head_wait: Duration,
    /// What is under way at the end gets this long.
    pub drain: Duration,
}

/// Speaks HTTP on a connection to its end, or until `stop` resolves and what was under way is answered.
///
/// # Errors
/// The peer's: it broke off, or sent what is no HTTP.
pub async fn converse<I, F, A, B>(
    stream: I,
    version: Version,
    terms: Terms,
    answer: F,
    stop: impl Future<Output = ()>,
) -> Result<(), hyper::Error>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let activity = Activity::default();
    let noted = activity.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        name_host(&mut request);
        let under_way = noted.begin();
        let answering = answer(request);
        async move {
            let mut response = answering.await;
            if version.is_secure {
                response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, INSIST);
            }
            drop(under_way);
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let stream = TokioIo::new(stream);
    // The two kinds of connection have the same methods and no trait in common.
    macro_rules! until_stopped {
        ($connection:expr, $idle:expr) => {{
            let mut connection = pin!($connection);
            tokio::select! {
                ended = connection.as_mut() => return ended,
                () = stop => {}
                () = $idle => {}
            }
            connection.as_mut().graceful_shutdown();
            timeout(terms.drain, connection).await.unwrap_or(Ok(()))
        }};
    }
    match version.protocol {
        Protocol::Http1 => {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(terms.head_wait)
                .max_buf_size(terms.head_bytes_max)
                .max_headers(terms.headers_max);
            // Between requests the time of the next head runs.
            until_stopped!(http.serve_connection(stream, service), std::future::pending())
        }
        Protocol::Http2 => {
            let http = http2(TokioExecutor::new(), terms.head_bytes_max, STREAMS_MAX);
            until_stopped!(http.serve_connection(stream, service), activity.idle_for(terms.head_wait))
        }
    }
}

/// How many requests of a connection began and ended.
#[derive(Clone, Default)]
struct Activity(Arc<(AtomicU64, AtomicU64)>);

/// A request under way.
struct UnderWay(Activity);

impl Activity {
    fn begin(&self) -> UnderWay {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    fn counts(&self) -> (u64, u64) {
        (self.0.0.load(Ordering::Relaxed), self.0.1.load(Ordering::Relaxed))
    }

    /// Resolves once no request has been under way for so long.
    async fn idle_for(&self, wait: Duration) {
        let mut looks = interval(IDLE_LOOK);
        let mut last = self.counts();
        let mut idle = Duration::ZERO;
        looks.tick().await;
        while idle < wait {
            looks.tick().await;
            let now = self.counts();
            idle = if now == last && now.0 == now.1 { idle + IDLE_LOOK } else { Duration::ZERO };
            last = now;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.1.fetch_add(1, Ordering::Relaxed);
    }
}
