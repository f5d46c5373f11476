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

mod stream;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

pub(crate) use stream::{Guard, Meter};

use crate::settings::Limits;

/// Most bytes that are read from a connection before they are worked on. Holds the longest head (see [`Limits`]) by being added to it.
pub(crate) const READ_BYTES_MAX: usize = 64 * 1024;

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
