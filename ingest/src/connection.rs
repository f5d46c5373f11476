//! One connection: its bytes pass through the [`Guard`], its deadlines are kept in [`Connection`] and watched once a second.
//!
//! It owns every time limit of a connection. A timer for each request would cost more than the request, so a connection only notes the
//! second in which its phase must be over, and the lane's sweep wakes the few that are late. It must never look at what a beacon says.
//!
//! ```text
//!  Idle ──first byte──► Head ──complete──► Serving ──► Body ──► Storage ──► Idle …
//!  closed quietly       408                (no limit:  408      503
//!                                           no waiting)
//!  besides, at any time: an answer that the peer does not take for `write_seconds_max` cuts the connection off
//! ```
//!
//! An HTTP/2 connection is listed once for itself and once for each of its requests, which have phases of their own: see [`crate::secure`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::framing::{Framing, Verdict};
use crate::settings::Limits;

/// Most bytes that are read from a connection before they are worked on. Holds the longest head (see [`Limits`]) by being added to it.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;

/// The answer to a head that does not come to its end. The library cannot write it: for it there is no request yet.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between requests.
    Idle,
    /// A head has begun.
    Head,
    /// A request is being decided: no waiting, no limit.
    Serving,
    /// A body is being read.
    Body,
    /// A request waits for the journal.
    Storage,
    /// An HTTP/2 connection takes no more requests: the peer has its last answers still to take.
    Closing,
}

/// What guard, service and sweep share about one connection.
pub(crate) struct Connection {
    /// The other end.
    pub(crate) peer: IpAddr,
    /// Whether it is inside TLS.
    pub(crate) is_secure: bool,
    /// Whether it is one request of an HTTP/2 connection, not a connection.
    is_stream: bool,
    pace: Rc<Pace>,
    phase: Cell<Phase>,
    /// The second (of [`Pace`]) after which the phase is late.
    deadline_seconds: Cell<u32>,
    /// The same for a write that the peer does not take.
    write_deadline_seconds: Cell<Option<u32>>,
    is_late: Cell<bool>,
    is_last_request: Cell<bool>,
    is_inside_head: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// The clock of a lane's connections, and all of them.
pub(crate) struct Pace {
    limits: Limits,
    now_seconds: Cell<u32>,
    is_draining: Cell<bool>,
    next_id: Cell<u64>,
    open: RefCell<HashMap<u64, Rc<Connection>>>,
    /// How many of them are requests of HTTP/2 connections.
    streams_open: Cell<usize>,
    bytes_received: Cell<u64>,
}

/// An open connection in [`Pace`]'s list; dropping it takes it off.
pub(crate) struct Listed {
    id: u64,
    connection: Rc<Connection>,
}

/// A socket, or what TLS makes of one, whose bytes are judged before the HTTP library reads them.
pub(crate) struct Guard<S> {
    stream: S,
    framing: Framing,
    connection: Rc<Connection>,
}

impl Pace {
    pub(crate) fn new(limits: Limits) -> Rc<Self> {
        Rc::new(Self {
            limits,
            now_seconds: Cell::new(0),
            is_draining: Cell::new(false),
            next_id: Cell::new(0),
            open: RefCell::default(),
            streams_open: Cell::new(0),
            bytes_received: Cell::new(0),
        })
    }

    /// Lists a new connection; `None` if there are as many as there may be.
    pub(crate) fn open(self: &Rc<Self>, peer: IpAddr, is_secure: bool) -> Option<Listed> {
        (self.open_count() < self.limits.connections_max).then(|| self.list(peer, is_secure, false))
    }

    /// Lists a request of an HTTP/2 connection; `None` if there are as many of them as there may be connections.
    pub(crate) fn open_stream(self: &Rc<Self>, peer: IpAddr) -> Option<Listed> {
        if self.streams_open.get() >= self.limits.connections_max {
            return None;
        }
        self.streams_open.set(self.streams_open.get() + 1);
        Some(self.list(peer, true, true))
    }

    fn list(self: &Rc<Self>, peer: IpAddr, is_secure: bool, is_stream: bool) -> Listed {
        let connection = Rc::new(Connection {
            peer,
            is_secure,
            is_stream,
            pace: Rc::clone(self),
            phase: Cell::new(Phase::Idle),
            deadline_seconds: Cell::new(0),
            write_deadline_seconds: Cell::new(None),
            is_late: Cell::new(false),
            is_last_request: Cell::new(false),
            is_inside_head: Cell::new(false),
            waker: RefCell::new(None),
        });
        connection.enter(Phase::Idle);
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        self.open.borrow_mut().insert(id, Rc::clone(&connection));
        Listed { id, connection }
    }

    /// How many connections are open.
    pub(crate) fn open_count(&self) -> usize {
        self.open.borrow().len() - self.streams_open.get()
    }

    /// Bytes read from all connections since the lane began.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.bytes_received.get()
    }

    /// So many bytes came.
    fn note_received(&self, bytes: usize) {
        self.bytes_received.set(self.bytes_received.get() + bytes as u64);
    }

    /// One second has passed: wakes what is late.
    pub(crate) fn sweep(&self) {
        let now = self.now_seconds.get() + 1;
        self.now_seconds.set(now);
        for connection in self.open.borrow().values() {
            if connection.is_overdue(now) {
                connection.is_late.set(true);
                connection.wake();
            }
        }
    }

    /// From now on connections without a request are closed, and others after their answer.
    pub(crate) fn drain(&self) {
        self.is_draining.set(true);
        for connection in self.open.borrow().values() {
            connection.wake();
        }
    }
}

impl Listed {
    /// What is shared about the connection.
    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let pace = &self.connection.pace;
        pace.open.borrow_mut().remove(&self.id);
        if self.connection.is_stream {
            pace.streams_open.set(pace.streams_open.get() - 1);
        }
    }
}

impl Connection {
    /// Begins a phase and its time limit.
    pub(crate) fn enter(&self, phase: Phase) {
        let limits = &self.pace.limits;
        let limit_seconds = match phase {
            Phase::Idle => limits.idle_seconds_max,
            Phase::Head => limits.head_seconds_max,
            Phase::Serving => u32::MAX,
            Phase::Body => limits.body_seconds_max,
            Phase::Storage => limits.storage_seconds_max,
            Phase::Closing => limits.write_seconds_max,
        };
        self.phase.set(phase);
        self.is_late.set(false);
        self.deadline_seconds.set(self.pace.now_seconds.get().saturating_add(limit_seconds));
    }

    /// The request is answered: the connection waits for the next.
    pub(crate) fn rest(&self) {
        self.enter(if self.is_inside_head.get() { Phase::Head } else { Phase::Idle });
    }

    /// Whether the connection ends with the request that is under way.
    pub(crate) fn ends_after_request(&self) -> bool {
        self.is_last_request.get() || self.pace.is_draining.get()
    }

    /// Whether the lane stops.
    pub(crate) fn is_draining(&self) -> bool {
        self.pace.is_draining.get()
    }

    /// Whether the phase is late. If it is not, the task is woken once it is.
    pub(crate) fn poll_late(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_late.get() {
            return Poll::Ready(());
        }
        self.remember(context);
        Poll::Pending
    }

    fn is_overdue(&self, now: u32) -> bool {
        now > self.deadline_seconds.get() || self.write_deadline_seconds.get().is_some_and(|end| now > end)
    }

    /// Whether it has nothing more to do in a drain.
    fn is_drained(&self) -> bool {
        self.phase.get() == Phase::Idle && self.pace.is_draining.get()
    }

    /// Notes whether the peer takes what is written; `Err` once it has not for too long.
    fn mark_write<T>(&self, context: &Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.write_deadline_seconds.set(None);
            return poll;
        }
        let now = self.pace.now_seconds.get();
        match self.write_deadline_seconds.get() {
            Some(end) if now > end => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Some(_) => poll,
            None => {
                let end = now.saturating_add(self.pace.limits.write_seconds_max);
                self.write_deadline_seconds.set(Some(end));
                self.remember(context);
                poll
            }
        }
    }

    fn remember(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    pub(crate) fn new(stream: S, connection: Rc<Connection>) -> Self {
        let framing = Framing::new(connection.pace.limits.head_bytes_max());
        Self { stream, framing, connection }
    }

    /// Judges what was just read into `buf` behind its first `before` bytes.
    fn judge(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            return;
        }
        self.connection.pace.note_received(fresh.len());
        if let Verdict::Refuse(place) = self.framing.feed(fresh) {
            if let Some(byte) = buf.filled_mut().get_mut(before + place) {
                *byte = 0;
            }
            buf.set_filled(before + place + 1);
        }
        self.connection.is_last_request.set(self.framing.is_last_request());
        self.connection.is_inside_head.set(self.framing.is_inside_head());
        if self.connection.phase.get() == Phase::Idle && self.framing.is_inside_head() {
            self.connection.enter(Phase::Head);
        }
    }

    /// Whether the connection is to be closed, for the next request has not come in time; says so to a peer that has begun one.
    fn is_over(&mut self) -> bool {
        let phase = self.connection.phase.get();
        if !matches!(phase, Phase::Idle | Phase::Head) || !self.connection.is_late.get() {
            return false;
        }
        if phase == Phase::Head {
            // If the socket takes none of it the peer learns no reason: it is closed either way.
            let mut context = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut self.stream).poll_write(&mut context, REQUEST_TIMEOUT);
            let _ = Pin::new(&mut self.stream).poll_flush(&mut context);
        }
        true
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over() {
            // Nothing read is the end of the stream.
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buf) {
            Poll::Ready(Ok(())) => {
                self.judge(buf, before);
                Poll::Ready(Ok(()))
            }
            // TLS calls it an error when the peer leaves without its parting word, as many do. Every request says its own length, so nothing can be
            // cut short by that.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What has come is served even in a drain; what has not will find another instance.
            Poll::Pending if self.connection.is_drained() => Poll::Ready(Ok(())),
            Poll::Pending => {
                self.connection.remember(context);
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.connection.mark_write(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS takes what is written into a buffer of its own: whether the peer takes it shows here.
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.connection.mark_write(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The same without a judgement, for HTTP/2: its frames have one meaning.
pub(crate) struct Meter<S> {
    stream: S,
    connection: Rc<Connection>,
}

impl<S> Meter<S> {
    pub(crate) fn new(stream: S, connection: Rc<Connection>) -> Self {
        Self { stream, connection }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Meter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buf) {
            Poll::Ready(Ok(())) => {
                self.connection.pace.note_received(buf.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Meter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.connection.mark_write(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.connection.mark_write(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
