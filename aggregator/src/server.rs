//! The report API's listener: connections, their limits and their end.
//!
//! Owns the runtime of its one thread. Work that waits for the store runs on the runtime's blocking threads, never on it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
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
pub(crate) fn serve(
    listener: TcpListener,
    api: Arc<Api>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    // Reports and a settle request at the same time.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(64).build()?;
    runtime.block_on(async {
        // Inside, for a socket is registered with the runtime that it is made in.
        accept(tokio::net::TcpListener::from_std(listener)?, api, stop).await;
        Ok::<(), std::io::Error>(())
    })?;
    // A statement of the engine cannot be broken off; what still runs ends by itself.
    runtime.shutdown_timeout(DRAIN);
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, api: Arc<Api>, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            accepted = async { (place.await, listener.accept().await) } => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let (api, stop) = (Arc::clone(&api), stop.clone());
                connections.spawn(async move {
                    connection(stream, api, stop).await;
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
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}

async fn connection(stream: tokio::net::TcpStream, api: Arc<Api>, mut stop: watch::Receiver<bool>) {
    let service = service_fn(move |request| Arc::clone(&api).answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the report API ended early");
    }
}

/// Ends when the server shall end.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left to stop it: that ends it too.
    let _ = stop.wait_for(|stop| *stop).await.map(drop);
}
