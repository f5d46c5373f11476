//! TLS on our own listeners: the certificate and its renewal, the handshake, and HTTP in the version that was agreed on in it.
//!
//! | module | what |
//! |---|---|
//! | [`settings`] | the `[tls]` section |
//! | [`certificates`] | certificate and key: read, judged, put in force without a restart |
//! | [`handshake`] | from a socket to a stream and the version of HTTP, within a time |
//! | [`http`] | the limits of HTTP/2, and a whole conversation as page and reports have it |
//! | [`metrics`] | what is counted |
//!
//! TLS 1.2 and 1.3 with the ciphers of rustls, HTTP/2 and HTTP/1.1 by ALPN, one certificate for whatever name is asked for, sessions taken up
//! again by tickets, no certificates of clients. It must never take early data (0-RTT): whoever recorded it could send it again, and a
//! beacon or an opt-out would happen twice. It must never print a key or a name that a client asked for.

pub mod certificates;
pub mod handshake;
pub mod http;
pub mod metrics;
pub mod settings;

use std::net::{SocketAddr, TcpListener};

pub use certificates::{Certificates, Error, Look};
pub use handshake::{Acceptor, Protocol, Refusal};
pub use http::{Terms, Version, converse, http2, is_bad_http, name_host};
pub use settings::{Settings, SettingsError};

/// The sockets of a role: one in plain, and one with TLS where it has that too.
pub struct Listeners {
    /// Speaks plain HTTP.
    pub plain: TcpListener,
    /// Speaks TLS.
    pub tls: Option<Secure>,
}

/// A socket that speaks TLS.
pub struct Secure {
    /// The socket.
    pub listener: TcpListener,
    /// What turns its connections into streams.
    pub acceptor: Acceptor,
}

impl Listeners {
    /// Where TLS is listened for.
    ///
    /// # Errors
    /// The system's.
    pub fn tls_address(&self) -> std::io::Result<Option<SocketAddr>> {
        self.tls.as_ref().map(|secure| secure.listener.local_addr()).transpose()
    }
}

impl From<TcpListener> for Listeners {
    fn from(plain: TcpListener) -> Self {
        Self { plain, tls: None }
    }
}
