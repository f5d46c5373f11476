//! The wire to ClickHouse servers: the HTTP client with its certificate checks, and the thread that waits for its sockets.
//!
//! Must never: switch the checks of certificates off, or keep a connection longer than servers do.

use std::future::Future;
use std::thread::JoinHandle;
use std::time::Duration;

use clickhouse::Client;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use super::Servers;
use super::error::ServerError;

/// How long an idle connection is kept. Servers close theirs after 3 to 30 seconds (`keep_alive_timeout`).
const IDLE_MAX: Duration = Duration::from_millis(2_500);
/// Idle connections to one server.
const IDLE_CONNECTIONS_MAX: usize = 4;
/// How often a silent connection is asked whether the other side is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A client without an address.
///
/// # Errors
/// The authorities' certificates cannot be read, or the system has none and they are needed.
pub(super) fn client(servers: &Servers) -> Result<Client, ServerError> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(servers.connect_max));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_nodelay(true);
    let builder = || {
        let mut builder = HttpClient::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new());
        builder.pool_idle_timeout(IDLE_MAX).pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
        builder
    };
    if servers.addresses.iter().all(|address| address.starts_with("http://")) {
        return Ok(Client::with_http_client(builder().build(connector)));
    }
    let connector = with_certificates(connector, servers.authorities.as_deref())?;
    Ok(Client::with_http_client(builder().build(connector)))
}

fn with_certificates(
    mut connector: HttpConnector,
    authorities: Option<&[u8]>,
) -> Result<HttpsConnector<HttpConnector>, ServerError> {
    connector.enforce_http(false);
    let provider = rustls::crypto::ring::default_provider();
    let builder = HttpsConnectorBuilder::new();
    let builder = match authorities {
        None => builder.with_provider_and_native_roots(provider).map_err(|error| {
            ServerError::Client(format!(
                "the system's certificates cannot be read: {error}; set `ca_file` in [store]"
            ))
        })?,
        Some(pem) => {
            let wrong =
                |error: String| ServerError::Client(format!("the file of `ca_file` in [store]: {error}"));
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
            let config = ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(|error| ServerError::Client(error.to_string()))?;
            builder.with_tls_config(config.with_root_certificates(roots).with_no_client_auth())
        }
    };
    Ok(builder.https_or_http().enable_http1().wrap_connector(connector))
}

/// Runs requests for callers that block. Callers drive their own request; the thread waits for the sockets and lets idle connections close.
pub(super) struct Waiter {
    handle: Handle,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Waiter {
    pub(super) fn start() -> Result<Self, ServerError> {
        let client = |error: std::io::Error| ServerError::Client(error.to_string());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(client)?;
        let (stop, mut stopping) = watch::channel(false);
        let handle = runtime.handle().clone();
        let run = move || runtime.block_on(async { drop(stopping.wait_for(|stop| *stop).await) });
        let thread = std::thread::Builder::new().name("store-http".to_owned()).spawn(run).map_err(client)?;
        Ok(Self { handle, stop, thread: Some(thread) })
    }

    /// Waits for a request.
    pub(super) fn wait<T: Send>(&self, request: impl Future<Output = T> + Send) -> T {
        if Handle::try_current().is_err() {
            return self.handle.block_on(request);
        }
        // A thread of another runtime, as at the start of the process, may not drive a request; one of our own may.
        let driven = std::thread::scope(|scope| scope.spawn(|| self.handle.block_on(request)).join());
        driven.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            // A panic was reported by its own message.
            let _ = thread.join();
        }
    }
}
