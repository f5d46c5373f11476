//! The bytes of a connection on their way: [`Meter`] notes what comes and goes, [`Guard`] judges besides what HTTP/1.1 has in them, before the
//! library reads it.
//!
//! It owns which bytes pass; when a connection is late is [`super::Connection`]'s. It must never look at what a request says.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connection, Phase};
use crate::framing::{Framing, Verdict};

/// The answer to a head that does not come to its end. The library cannot write it: for it there is no request yet.
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A socket, or what TLS makes of one, whose bytes are judged before the HTTP library reads them.
pub(crate) struct Guard<S> {
    stream: Meter<S>,
    framing: Framing,
    connection: Rc<Connection>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    pub(crate) fn new(stream: S, connection: Rc<Connection>) -> Self {
        let framing = Framing::new(connection.pace.limits.head_bytes_max());
        Self { stream: Meter::new(stream, Rc::clone(&connection)), framing, connection }
    }

    /// Judges what was just read into `buf` behind its first `before` bytes.
    fn judge(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            return;
        }
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
            let socket = &mut self.stream.stream;
            let _ = Pin::new(&mut *socket).poll_write(&mut context, REQUEST_TIMEOUT);
            let _ = Pin::new(socket).poll_flush(&mut context);
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
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A stream of which it is noted how much comes, and whether the peer takes what is written. All that HTTP/2 needs: its frames have one meaning.
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
            // TLS calls it an error when the peer leaves without its parting word, as many do. Every request says its own length, so nothing can be
            // cut short by that.
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
        // TLS takes what is written into a buffer of its own: whether the peer takes it shows here.
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.connection.mark_write(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
