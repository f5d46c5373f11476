//! One connection of the load driver: hands over a request, collects its answer. It never blocks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::answer::{Answer, Progress, parse};
use crate::load::Error;

/// Longest connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest answer, bytes.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// A keep-alive connection with at most one request under way.
pub(crate) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    filled: usize,
    /// When the request under way was due.
    pub(crate) due: Option<Instant>,
    /// What of the request the socket has not taken yet.
    unsent: Vec<u8>,
}

/// What reading a connection brought.
pub(crate) enum Arrived {
    Nothing,
    Whole(Answer),
    Ended,
}

/// Connects and has `epoll` say under `index` when something arrives.
pub(crate) fn open(epoll: &OwnedFd, address: SocketAddr, index: usize) -> Result<Connection, Error> {
    let connect = || -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    let stream = connect().map_err(|source| Error::Connect { address, source })?;
    // Edge-triggered: one answer is one event, and nobody is asked twice.
    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
    epoll::add(epoll, &stream, EventData::new_u64(index as u64), flags)?;
    Ok(Connection { stream, answer: vec![0; ANSWER_BYTES_MAX], filled: 0, due: None, unsent: Vec::new() })
}

impl Connection {
    /// Hands a request to the socket; what it does not take waits in `unsent`. A broken connection shows when it is read.
    pub(crate) fn send(&mut self, request: &[u8]) {
        let written = self.stream.write(request).unwrap_or(0);
        self.unsent.extend_from_slice(request.get(written..).unwrap_or_default());
    }

    /// Hands over what the socket did not take before.
    pub(crate) fn flush(&mut self) {
        if !self.unsent.is_empty()
            && let Ok(written) = self.stream.write(&self.unsent)
        {
            self.unsent.drain(..written);
        }
    }

    /// Reads until a whole answer is there or the socket has nothing more.
    pub(crate) fn read(&mut self) -> Arrived {
        loop {
            let Some(space) = self.answer.get_mut(self.filled..).filter(|space| !space.is_empty()) else {
                return Arrived::Ended;
            };
            match self.stream.read(space) {
                Ok(0) => return Arrived::Ended,
                Ok(bytes) => self.filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Arrived::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Arrived::Ended,
            }
            match parse(self.answer.get(..self.filled).unwrap_or_default()) {
                Progress::Incomplete => {}
                // Nothing was asked, or more was answered than asked: this server cannot be measured.
                Progress::Done(answer) if answer.bytes != self.filled || self.due.is_none() => {
                    return Arrived::Ended;
                }
                Progress::Done(answer) => {
                    self.filled = 0;
                    return Arrived::Whole(answer);
                }
                Progress::Broken => return Arrived::Ended,
            }
        }
    }
}
