//! The role's HTTP service: takes connections, bounds them, and stops without breaking off what is under way.
//!
//! It owns sockets and time limits of connections. What is answered, `http` decides.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use event::clock::Clock;
use event::key::KeyRing;
use security_log::SecurityLog;
use thiserror::Error;
use tls::{Acceptor, Listeners, Terms, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::apps::Apps;
use crate::desk::Desk;
use crate::dsr::Dsr;
use crate::http;
use crate::key_file::KeyFileError;
use crate::registry::{Registry, RegistryError};
use crate::requests::Requests;
use crate::settings::{Settings, SettingsError};

/// Pause after the system could not hand a connection over (no file descriptors, no memory): it passes or it does not.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Most headers of a request.
const HEADERS_MAX: usize = 100;

/// How often the registry's and the list's state goes into the metrics.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(1);

/// What the service works with.
pub struct Parts {
    /// Settings. `listen` is not looked at: the listener is given.
    pub settings: Settings,
    /// The opened registry.
    pub registry: Registry,
    /// Requests for erasure and for copies, where somebody in this process does them; else they are answered with 501.
    pub requests: Option<Requests>,
    /// Deletion requests of other companies, where they are taken; they need `requests`.
    pub dsr: Option<Dsr>,
    /// The keys; only the opt-out key is used.
    pub keys: Arc<KeyRing>,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where it is noted that a request came and how it was answered; nothing of what it said.
    pub security: SecurityLog,
    /// How long things are kept: the page says it.
    pub kept: Kept,
}

/// How long things are kept, days.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// An event in the store.
    pub event_days: u16,
    /// The security log; `None` where there is none.
    pub security_log_days: Option<u16>,
}

/// Why the service cannot start.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The registry does not belong to the key, or cannot be bound to it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A setting cannot be used. The operator's.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A signing key of a registered app cannot be read. The operator's.
    #[error("opt_out.app: {0}")]
    AppKey(#[from] KeyFileError),
    /// The listener, the thread or its runtime.
    #[error("the opt-out service cannot start: {0}")]
    Io(#[from] io::Error),
}

/// A running service on a thread of its own. Dropping it stops the service without waiting.
pub struct Handle {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens with TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Whether it still runs. It ends by itself only if its thread panics.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Takes no more connections, lets what is under way finish within `drain_seconds_max`, and closes the registry. Blocks until then.
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the opt-out service's thread panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Starts the service on a thread with a runtime of its own. Binds the registry to its key first.
///
/// # Errors
/// [`ServiceError`].
pub fn start(parts: Parts, listeners: impl Into<Listeners>) -> Result<Handle, ServiceError> {
    check(&parts)?;
    let listeners = listeners.into();
    let (address, tls_address) = (listeners.plain.local_addr()?, listeners.tls_address()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = watch::channel(false);
    let thread = std::thread::Builder::new().name("opt-out".into()).spawn(move || {
        if let Err(error) = runtime.block_on(service(parts, listeners, stopped)) {
            tracing::error!(%error, "opt-out service ended");
        }
    })?;
    Ok(Handle { address, tls_address, stop, thread: Some(thread) })
}

/// Serves page and API on the listeners until `stopped` turns true, then drains and closes the registry.
///
/// # Errors
/// [`ServiceError`], before the first connection is taken.
pub async fn service(
    parts: Parts,
    listeners: impl Into<Listeners>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), ServiceError> {
    let apps = check(&parts)?;
    let doors = Doors::open(listeners.into())?;
    let desk = Arc::new(Desk::new(parts, apps));
    let places = Arc::new(Semaphore::new(desk.settings.limits.connections_max));
    let mut connections = JoinSet::new();
    let mut observe = tokio::time::interval(OBSERVE_INTERVAL);
    loop {
        tokio::select! {
            () = ended(&mut stopped) => break,
            _ = observe.tick() => observe_now(&desk, connections.len()),
            Some(_) = connections.join_next() => {}
            taken = doors.take(&places) => match taken {
                Ok(taken) => {
                    let (desk, stopped) = (Arc::clone(&desk), stopped.clone());
                    connections.spawn(connection(desk, taken, stopped));
                }
                Err(error) => {
                    desk.metrics.accept_failures.increment(1);
                    tracing::warn!(%error, "opt-out service: a connection could not be taken");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(doors);
    let drain = Duration::from_secs(desk.settings.limits.drain_seconds_max);
    let drained = timeout(drain, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "opt-out service: connections broken off at the stop"
        );
    }
    desk.registry.close();
    Ok(())
}

/// What would go wrong later, found before anything starts.
fn check(parts: &Parts) -> Result<Apps, ServiceError> {
    parts.settings.check()?;
    let apps = Apps::load(&parts.settings.app)?;
    parts.registry.bind_key(&parts.keys)?;
    Ok(apps)
}

fn observe_now(desk: &Desk, connections: usize) {
    desk.metrics.connections.set(connections as f64);
    desk.observe();
}

/// Waits until the service is told to stop, or nobody is left who could tell.
async fn ended(stopped: &mut watch::Receiver<bool>) {
    while !*stopped.borrow_and_update() {
        if stopped.changed().await.is_err() {
            return;
        }
    }
}

/// The service's sockets, open.
struct Doors {
    plain: TcpListener,
    tls: Option<(TcpListener, Acceptor)>,
}

/// A connection that was taken.
struct Taken {
    stream: TcpStream,
    peer: IpAddr,
    tls: Option<Acceptor>,
    /// Its place among those that may be open.
    _place: tokio::sync::OwnedSemaphorePermit,
}

impl Doors {
    fn open(listeners: Listeners) -> io::Result<Self> {
        let open = |listener: std::net::TcpListener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let tls = listeners.tls.map(|secure| Ok::<_, io::Error>((open(secure.listener)?, secure.acceptor)));
        Ok(Self { plain: open(listeners.plain)?, tls: tls.transpose()? })
    }

    /// The next connection, once there is a place for it: at the limit, connections wait in the system's queue.
    async fn take(&self, places: &Arc<Semaphore>) -> io::Result<Taken> {
        let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
        let secure = async {
            match &self.tls {
                Some((listener, acceptor)) => (listener.accept().await, acceptor.clone()),
                None => std::future::pending().await,
            }
        };
        let ((stream, peer), tls) = tokio::select! {
            accepted = self.plain.accept() => (accepted?, None),
            (accepted, acceptor) = secure => (accepted?, Some(acceptor)),
        };
        Ok(Taken { stream, peer: peer.ip(), tls, _place: place })
    }
}

/// Serves one connection to its end. Nothing is done about its errors: they are the peer's.
async fn connection(desk: Arc<Desk>, taken: Taken, stopped: watch::Receiver<bool>) {
    // A socket that refuses is served all the same.
    let _ = taken.stream.set_nodelay(true);
    match &taken.tls {
        None => converse(desk, taken.stream, taken.peer, Version::PLAIN, stopped).await,
        Some(acceptor) => match acceptor.accept(taken.stream).await {
            Ok((stream, protocol)) => {
                converse(desk, stream, taken.peer, Version::secure(protocol), stopped).await;
            }
            Err(_) => desk.unanswered("no_handshake", taken.peer),
        },
    }
}

async fn converse<S>(
    desk: Arc<Desk>,
    stream: S,
    peer: IpAddr,
    version: Version,
    mut stopped: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = desk.settings.limits;
    let terms = Terms {
        head_bytes_max: limits.head_bytes_max,
        headers_max: HEADERS_MAX,
        head_wait: Duration::from_secs(limits.head_seconds_max),
        drain: Duration::from_secs(limits.drain_seconds_max),
    };
    let its_own = Arc::clone(&desk);
    let answer = move |request| {
        let desk = Arc::clone(&its_own);
        async move { http::answer(&desk, peer, request).await }
    };
    let over = async {
        tokio::select! {
            () = ended(&mut stopped) => {}
            () = sleep(Duration::from_secs(limits.connection_seconds_max)) => {}
        }
    };
    // What is under way at the end is answered; an idle connection ends at once, and one that dawdles when the time is over.
    if let Err(error) = tls::converse(stream, version, terms, answer, over).await {
        desk.unanswered(if tls::is_bad_http(&error) { "bad_http" } else { "broken" }, peer);
    }
}
