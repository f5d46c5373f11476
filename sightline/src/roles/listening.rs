//! The sockets that roles listen on; a failure names the value of the configuration that asked for it.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;

use super::Ground;

/// Binds a listener, saying which value it is when that fails.
pub(super) fn bind(section: &str, key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| {
        format!(
            "cannot listen on {address}: stop what listens there, or set another address in [{section}] {key}"
        )
    })?;
    // What a runtime expects of a socket that it is given.
    listener.set_nonblocking(true).with_context(|| format!("cannot use the socket on {address}"))?;
    Ok(listener)
}

/// The listeners of a role that has one in plain and perhaps one with TLS.
pub(super) fn listeners(
    ground: &Ground,
    section: &'static str,
    listen: SocketAddr,
    listen_tls: Option<SocketAddr>,
) -> anyhow::Result<tls::Listeners> {
    let plain = bind(section, "listen", listen)?;
    let tls = match listen_tls.zip(ground.certificates.as_ref()) {
        Some((address, certificates)) => {
            let listener = bind(section, "listen_tls", address)?;
            Some(tls::Secure { listener, acceptor: certificates.acceptor(section) })
        }
        None => None,
    };
    Ok(tls::Listeners { plain, tls })
}

/// Where a listener listens.
pub(super) fn address_of(listener: &TcpListener) -> anyhow::Result<SocketAddr> {
    listener.local_addr().context("a listener has no address")
}
