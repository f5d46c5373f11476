//! Connections inside TLS: the handshake, then HTTP/1.1 as in plain, or HTTP/2.
//!
//! It owns the life of an HTTP/2 connection. HTTP/1.1 passes the same guard as in plain, which judges the bytes that TLS brought out. Of HTTP/2
//! each request is answered by a task of its own on the lane's thread and has deadlines of its own; the connection's are those of the time
//! without a request, and of a peer that takes nothing.
//!
//! ```text
//!  handshake ──► Idle ◄──► Serving (requests under way)
//!                 │ idle_seconds_max, or a stop: GOAWAY
//!                 ▼
//!              Closing ── last answer taken, or write_seconds_max ──► closed
//! ```

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tls::{Acceptor, Protocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use crate::answer::{self, Answer};
use crate::connection::{Connection, Listed, Meter, Phase};
use crate::lane::Lane;
use crate::listener;
use crate::metrics::End;
use crate::route::serve;

/// Serves one connection to its end.
pub(crate) async fn converse(
    lane: Rc<Lane>,
    http: http1::Builder,
    (stream, acceptor): (TcpStream, Acceptor),
    listed: Listed,
) {
    let Ok((stream, protocol)) = acceptor.accept(stream).await else {
        lane.ended(listed.connection().peer, End::NoHandshake);
        return;
    };
    listed.connection().enter(Phase::Idle);
    match protocol {
        Protocol::Http1 => listener::converse(lane, http, stream, listed).await,
        Protocol::Http2 => {
            let end = speak_http2(&lane, stream, &listed).await;
            lane.ended(listed.connection().peer, end);
        }
    }
}

/// Tasks of requests run on the lane's own thread.
#[derive(Clone, Copy)]
struct OnLane;

impl<F: Future + 'static> Executor<F> for OnLane {
    fn execute(&self, task: F) {
        spawn_local(async {
            task.await;
        });
    }
}

/// What the requests of one connection share.
struct Trunk {
    connection: Rc<Connection>,
    streams: Cell<usize>,
    is_closing: Cell<bool>,
}

/// One request under way on a connection.
struct Branch(Rc<Trunk>);

impl Trunk {
    fn branch(self: &Rc<Self>) -> Branch {
        self.streams.set(self.streams.get() + 1);
        self.settle_phase();
        Branch(Rc::clone(self))
    }

    fn settle_phase(&self) {
        if !self.is_closing.get() {
            self.connection.enter(if self.streams.get() == 0 { Phase::Idle } else { Phase::Serving });
        }
    }

    fn close(&self) {
        self.is_closing.set(true);
        self.connection.enter(Phase::Closing);
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        self.0.settle_phase();
    }
}

async fn speak_http2<S>(lane: &Rc<Lane>, stream: S, listed: &Listed) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let connection = Rc::clone(listed.connection());
    let trunk = Rc::new(Trunk {
        connection: Rc::clone(&connection),
        streams: Cell::new(0),
        is_closing: Cell::new(false),
    });
    let service = {
        let (lane, trunk) = (Rc::clone(lane), Rc::clone(&trunk));
        service_fn(move |request| answer(Rc::clone(&lane), trunk.branch(), request))
    };
    let limits = &lane.settings.limits;
    let http = tls::http2(OnLane, limits.head_bytes_max(), limits.streams_max);
    let stream = TokioIo::new(Meter::new(stream, Rc::clone(&connection)));
    let mut conversation = pin!(http.serve_connection(stream, service));
    poll_fn(|context| {
        loop {
            if let Poll::Ready(result) = conversation.as_mut().poll(context) {
                return Poll::Ready(match result {
                    Ok(()) => End::Done,
                    Err(error) if tls::is_bad_http(&error) => End::BadHttp,
                    Err(_) => End::Broken,
                });
            }
            let is_late = connection.poll_late(context).is_ready();
            match (is_late, trunk.is_closing.get()) {
                (true, true) => return Poll::Ready(End::Broken),
                (true, false) => {}
                (false, false) if connection.is_draining() => {}
                (false, _) => return Poll::Pending,
            }
            trunk.close();
            conversation.as_mut().graceful_shutdown();
        }
    })
    .await
}

/// Answers one request of a connection.
async fn answer(
    lane: Rc<Lane>,
    branch: Branch,
    mut request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    tls::name_host(&mut request);
    let Some(listed) = lane.pace.open_stream(branch.0.connection.peer) else {
        return Ok(answer::try_later(HeaderMap::new()));
    };
    let answer = serve(&lane, listed.connection(), request).await;
    drop((listed, branch));
    answer
}
