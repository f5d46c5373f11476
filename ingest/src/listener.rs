//! Sockets, threads and connections: one listening socket, one thread, one runtime and one journal lane for each core.
//!
//! It owns the life of a lane: bind, accept, serve, drain. It must never let one lane wait for another: nothing here is shared but the address.
//!
//! All lanes listen on one address with `SO_REUSEPORT`, and the kernel deals connections out. Because that option would also let a second
//! instance join in unnoticed, the address is first bound without it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use journal::Writer;
use security_log::{Hit, Role};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::connection::{Guard, Listed, READ_BYTES_MAX};
use crate::lane::Lane;
use crate::metrics::{End, Tally};
use crate::route::serve;
use crate::settings::Settings;
use crate::{Error, Shared, secure};

/// Connections that the kernel keeps for a lane that has not accepted them yet.
const BACKLOG_CONNECTIONS: i32 = 4096;
/// After the system refused to hand over a connection: time for others to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a draining lane looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(5);
/// The lane's tick: see [`Lane::tick`].
const TICK: Duration = Duration::from_secs(1);

/// The listening sockets of a lane.
pub(crate) struct Sockets {
    plain: StdListener,
    tls: Option<StdListener>,
}

/// Binds the sockets of each lane. Besides them: the address in plain, and the one with TLS.
///
/// # Errors
/// An address is in use, or not ours.
pub(crate) fn bind(
    settings: &Settings,
    lanes: usize,
) -> Result<(Vec<Sockets>, SocketAddr, Option<SocketAddr>), Error> {
    let (plain, address) = bind_all("tracker.listen", settings.listen, lanes)?;
    let Some(listen_tls) = settings.listen_tls else {
        return Ok((plain.into_iter().map(|plain| Sockets { plain, tls: None }).collect(), address, None));
    };
    let (tls, tls_address) = bind_all("tracker.listen_tls", listen_tls, lanes)?;
    let both = plain.into_iter().zip(tls).map(|(plain, tls)| Sockets { plain, tls: Some(tls) });
    Ok((both.collect(), address, Some(tls_address)))
}

/// Binds one listening socket for each lane; the first takes a free port if none is given.
fn bind_all(
    key: &'static str,
    address: SocketAddr,
    count: usize,
) -> Result<(Vec<StdListener>, SocketAddr), Error> {
    let error = |source| Error::Bind { key, address, source };
    // Not held: only to learn whether somebody else listens there.
    drop(socket(address, false).map_err(error)?);
    let mut address = address;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let listener: StdListener = socket(address, true).map_err(error)?.into();
        address = listener.local_addr().map_err(error)?;
        listeners.push(listener);
    }
    Ok((listeners, address))
}

fn socket(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG_CONNECTIONS)?;
    Ok(socket)
}

/// Runs a lane on the current thread until it is told to stop and has drained.
///
/// # Errors
/// The runtime or its listener could not be made.
pub(crate) fn run(
    shared: &Shared,
    writer: Writer,
    sockets: Sockets,
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let lane = Lane::new(shared, writer, Tally::new(&shared.dialects));
    // Both now: at the end nothing may be missing that settles what is still open.
    let (serving, draining) = (runtime()?, runtime()?);
    serving.block_on(live(Rc::clone(&lane), sockets, shared.tls.clone(), stop))?;
    // Whatever is still open has used up its time. What it leaves in the journal is settled by `finish`.
    drop(serving);
    let drive = lane.writer.drive();
    draining.block_on(async {
        spawn_local(drive);
        let wait_max = Duration::from_secs(u64::from(lane.settings.limits.storage_seconds_max));
        if timeout(wait_max, lane.finish()).await.is_err() {
            tracing::error!(seconds = wait_max.as_secs(), "journal_did_not_drain");
        }
    });
    lane.writer.close();
    Ok(())
}

/// A runtime of this thread alone: its tasks are woken without a lock, as no other thread runs them.
fn runtime() -> io::Result<LocalRuntime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

async fn live(
    lane: Rc<Lane>,
    sockets: Sockets,
    acceptor: Option<tls::Acceptor>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let doors = Doors::open(sockets, acceptor)?;
    spawn_local(lane.writer.drive());
    let ticking = Rc::clone(&lane);
    spawn_local(async move {
        let mut ticks = interval(TICK);
        // A stalled lane lengthens its deadlines rather than taking them for passed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            ticking.tick();
        }
    });
    let http = http();
    let mut connections = JoinSet::new();
    let mut stopping = std::pin::pin!(stop.wait_for(|is_stopping| *is_stopping));
    loop {
        tokio::select! {
            biased;
            _ = &mut stopping => break,
            accepted = doors.accept() => match accepted {
                Ok(caller) => open(&lane, &http, caller, &mut connections),
                Err(error) => accept_failed(&lane, &error).await,
            },
            Some(ended) = connections.join_next(), if !connections.is_empty() => report_panic(ended),
        }
    }
    drain(&lane, &http, doors, connections).await;
    Ok(())
}

/// The sockets of a lane, open.
struct Doors {
    plain: TcpListener,
    tls: Option<(TcpListener, tls::Acceptor)>,
}

/// Who came in.
struct Caller {
    stream: TcpStream,
    peer: SocketAddr,
    /// What is agreed on with him first, where he came in for TLS.
    tls: Option<tls::Acceptor>,
}

impl Doors {
    fn open(sockets: Sockets, acceptor: Option<tls::Acceptor>) -> io::Result<Self> {
        let tls = sockets.tls.zip(acceptor);
        let tls =
            tls.map(|(socket, acceptor)| Ok::<_, io::Error>((TcpListener::from_std(socket)?, acceptor)));
        Ok(Self { plain: TcpListener::from_std(sockets.plain)?, tls: tls.transpose()? })
    }

    async fn accept(&self) -> io::Result<Caller> {
        let Some((secure, acceptor)) = &self.tls else {
            let (stream, peer) = self.plain.accept().await?;
            return Ok(Caller { stream, peer, tls: None });
        };
        // In no fixed order: neither door keeps callers of the other out.
        tokio::select! {
            accepted = self.plain.accept() => accepted.map(|(stream, peer)| Caller { stream, peer, tls: None }),
            accepted = secure.accept() => {
                accepted.map(|(stream, peer)| Caller { stream, peer, tls: Some(acceptor.clone()) })
            }
        }
    }
}

/// The HTTP library's settings. Time limits are not among them: see [`crate::connection`].
fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.keep_alive(true)
        // A caller that has sent its request may close its sending side and still gets its answer.
        .half_close(true)
        // Head and body of an answer are small: one buffer, one write.
        .writev(false)
        .header_read_timeout(None);
    http
}

fn open(
    lane: &Rc<Lane>,
    http: &http1::Builder,
    Caller { stream, peer, tls }: Caller,
    connections: &mut JoinSet<()>,
) {
    let Some(listed) = lane.pace.open(peer.ip(), tls.is_some()) else {
        lane.ended(peer.ip(), End::Refused);
        return;
    };
    // Without it the kernel holds small answers back; a socket that refuses is served all the same.
    let _ = stream.set_nodelay(true);
    let head_bytes_max = lane.settings.limits.head_bytes_max();
    let mut http = http.clone();
    http.max_header_size(head_bytes_max).max_buf_size(head_bytes_max + READ_BYTES_MAX);
    let lane = Rc::clone(lane);
    match tls {
        None => connections.spawn_local(converse(lane, http, stream, listed)),
        Some(acceptor) => connections.spawn_local(secure::converse(lane, http, (stream, acceptor), listed)),
    };
}

/// Serves one connection of HTTP/1.1 to its end.
pub(crate) async fn converse<S>(lane: Rc<Lane>, http: http1::Builder, stream: S, listed: Listed)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let connection = Rc::clone(listed.connection());
    let guard = Guard::new(stream, Rc::clone(&connection));
    let service = service_fn(|request| serve(&lane, &connection, request));
    let result = http.serve_connection(TokioIo::new(guard), service).await;
    lane.ended(
        listed.connection().peer,
        match result {
            Ok(()) => End::Done,
            Err(error) if error.is_parse() => End::BadHttp,
            Err(_) => End::Broken,
        },
    );
}

impl Lane {
    /// Counts how a connection ended, and notes one that got no answer of ours in the security log.
    pub(crate) fn ended(&self, peer: IpAddr, end: End) {
        self.tally.ended(end);
        if end != End::Done {
            self.security.note(&Hit::unanswered(Role::Tracker, end.name(), peer, self.clock.now_ms()));
        }
    }
}

async fn accept_failed(lane: &Lane, error: &io::Error) {
    lane.tally.accept_failed();
    // One connection that was gone before we came to it says nothing about the next.
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(error = %error.kind(), "accept_failed");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Takes what the kernel has already accepted for us, then gives every request under way its time.
async fn drain(lane: &Rc<Lane>, http: &http1::Builder, doors: Doors, mut connections: JoinSet<()>) {
    while let Ok(Ok(caller)) = timeout(Duration::ZERO, doors.accept()).await {
        open(lane, http, caller, &mut connections);
    }
    drop(doors);
    let end = Instant::now() + Duration::from_secs(u64::from(lane.settings.limits.drain_seconds_max));
    lane.pace.drain();
    while lane.pace.open_count() > 0 && Instant::now() < end {
        sleep_until((Instant::now() + DRAIN_LOOK).min(end)).await;
    }
    if lane.pace.open_count() > 0 {
        tracing::warn!(connections = lane.pace.open_count(), "drain_time_over");
    }
    connections.abort_all();
    while let Some(ended) = connections.join_next().await {
        report_panic(ended);
    }
}

/// A panic ends one connection, not the lane.
fn report_panic(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("connection_panicked");
    }
}
