//! The report API's listener: connections, their limits and their end.
//!
//! Owns the runtime of its one thread. Work that waits for the store runs on the runtime's blocking threads, never on it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tls::{Acceptor, Listeners, Terms, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::api::Api;

/// Connections at the same time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// How long a request's head may take.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long answers under way are waited for at the end.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after a failed accept (no file handles left, …).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves until `stop` turns true. Blocks: give it a thread.
pub(crate) fn serve(listeners: Listeners, api: Arc<Api>, stop: watch::Receiver<bool>) -> std::io::Result<()> {
    // Reports and a settle request at the same time.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(64).build()?;
    runtime.block_on(async {
        // Inside, for a socket is registered with the runtime that it is made in.
        accept(Doors::open(listeners)?, api, stop).await;
        Ok::<(), std::io::Error>(())
    })?;
    // A statement of the engine cannot be broken off; what still runs ends by itself.
    runtime.shutdown_timeout(DRAIN);
    Ok(())
}

/// The API's sockets, open.
struct Doors {
    plain: TcpListener,
    tls: Option<(TcpListener, Acceptor)>,
}

impl Doors {
    fn open(listeners: Listeners) -> std::io::Result<Self> {
        let open = |listener: std::net::TcpListener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let tls =
            listeners.tls.map(|secure| Ok::<_, std::io::Error>((open(secure.listener)?, secure.acceptor)));
        Ok(Self { plain: open(listeners.plain)?, tls: tls.transpose()? })
    }

    async fn accept(&self) -> std::io::Result<(TcpStream, IpAddr, Option<Acceptor>)> {
        let secure = async {
            match &self.tls {
                Some((listener, acceptor)) => (listener.accept().await, acceptor.clone()),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.plain.accept() => accepted.map(|(stream, peer)| (stream, peer.ip(), None)),
            (accepted, acceptor) = secure => accepted.map(|(stream, peer)| (stream, peer.ip(), Some(acceptor))),
        }
    }
}

async fn accept(doors: Doors, api: Arc<Api>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            accepted = async { (place.await, doors.accept().await) } => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            (Ok(place), Ok((stream, peer, acceptor))) => {
                let (api, stop) = (Arc::clone(&api), stop.clone());
                connections.spawn(async move {
                    connection((stream, peer), acceptor, api, stop).await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
            (Err(_), _) => break,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(doors);
    let _ = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection(
    (stream, peer): (TcpStream, IpAddr),
    acceptor: Option<Acceptor>,
    api: Arc<Api>,
    stop: watch::Receiver<bool>,
) {
    // A socket that refuses is served all the same.
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => converse((stream, peer), Version::PLAIN, api, stop).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok((stream, protocol)) => {
                converse((stream, peer), Version::secure(protocol), api, stop).await;
            }
            Err(_) => api.unanswered("no_handshake", peer),
        },
    }
}

async fn converse<S>(
    (stream, peer): (S, IpAddr),
    version: Version,
    api: Arc<Api>,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let terms = Terms {
        head_bytes_max: HEAD_BYTES_MAX,
        headers_max: HEADERS_MAX,
        head_wait: HEAD_WAIT,
        drain: DRAIN,
    };
    let noting = Arc::clone(&api);
    let answer = move |request| {
        let api = Arc::clone(&api);
        async move {
            let Ok(answer) = api.answer(peer, request).await;
            answer
        }
    };
    let ended = tls::converse(stream, version, terms, answer, stopped(&mut stop)).await;
    if let Err(error) = ended {
        noting.unanswered(if tls::is_bad_http(&error) { "bad_http" } else { "broken" }, peer);
        tracing::debug!(%error, "a connection to the report API ended early");
    }
}

/// Ends when the server shall end.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left to stop it: that ends it too.
    let _ = stop.wait_for(|stop| *stop).await.map(drop);
}
