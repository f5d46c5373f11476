//! From a socket to a stream: the handshake within its time, and the version of HTTP that was agreed on in it.
//!
//! It owns the judgement of how a handshake ended. It must never log one: their number is the client's choice.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{InvalidMessage, ServerConfig};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
pub use tokio_rustls::server::TlsStream;

use crate::metrics::{Ending, Handshakes};

/// Version of HTTP that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, also where the client named none.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A handshake that came to no stream. It is counted already, and the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Not finished in time.
    #[error("the handshake was not finished in time")]
    TimedOut,
    /// The client went away.
    #[error("the client went away during the handshake")]
    Abandoned,
    /// What came was no TLS.
    #[error("what came was no TLS")]
    NotTls,
    /// The two did not agree.
    #[error("the handshake failed")]
    Failed,
}

/// Turns the connections of one role into streams. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    tls: TlsAcceptor,
    wait: Duration,
    handshakes: Arc<Handshakes>,
}

impl Acceptor {
    pub(crate) fn new(config: Arc<ServerConfig>, wait: Duration, role: &'static str) -> Self {
        Self { tls: TlsAcceptor::from(config), wait, handshakes: Arc::new(Handshakes::of(role)) }
    }

    /// Shakes hands. What did not work is closed, with TLS's own word about the reason where there is one.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn accept<S>(&self, socket: S) -> Result<(TlsStream<S>, Protocol), Refusal>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let ended = match timeout(self.wait, self.tls.accept(socket)).await {
            Ok(Ok(stream)) => {
                let protocol = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Protocol::Http2,
                    _ => Protocol::Http1,
                };
                Ok((stream, protocol))
            }
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(Refusal::TimedOut),
        };
        self.handshakes.count(match &ended {
            Ok((_, Protocol::Http1)) => Ending::Http1,
            Ok((_, Protocol::Http2)) => Ending::Http2,
            Err(Refusal::TimedOut) => Ending::TimedOut,
            Err(Refusal::Abandoned) => Ending::Abandoned,
            Err(Refusal::NotTls) => Ending::NotTls,
            Err(Refusal::Failed) => Ending::Failed,
        });
        ended
    }
}

fn refusal(error: &io::Error) -> Refusal {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Refusal::NotTls,
        Some(_) => Refusal::Failed,
        None => Refusal::Abandoned,
    }
}
