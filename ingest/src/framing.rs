//! Where requests begin and end on a connection, strictly: the guard against requests smuggled inside another.
//!
//! The HTTP library below takes a bare LF for an end of line, a repeated `Content-Length` for a single one, and a request that has both
//! lengths. A proxy in front that reads the same bytes otherwise sees other requests than we do. So each head is looked at before the library
//! gets it, and what two readers could understand in two ways is refused with 400. It owns this one judgement; it never answers, and
//! it never changes a byte except to spoil a refused head.
//!
//! ```text
//!            ┌── head without a body ──┐
//!            ▼                         │
//!          Head ── Content-Length n ──► Body(n) ── n bytes later ──► Head
//!            ├──── Transfer-Encoding ──► Opaque     the connection ends with this request: what follows is never read as one
//!            └──── two meanings ──────► Refused     the byte at fault becomes NUL, which no HTTP head may hold
//! ```

/// How the bytes of a connection are being read.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    /// The beginning of a head whose end has not come; empty when heads come whole, as nearly all do.
    partial: Vec<u8>,
    head_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body { bytes_left: u64 },
    Opaque,
    Refused,
}

/// What is to be done with bytes that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They may pass.
    Pass,
    /// The byte at this place is where a second meaning begins: it and all that follow must not pass.
    Refuse(usize),
}

/// What the lines of a head said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    lines: usize,
    is_http_11: bool,
    hosts: u8,
    content_length: Option<u64>,
    has_transfer_encoding: bool,
}

impl Framing {
    /// A connection on which nothing has come yet. Heads longer than `head_bytes_max` are left to the library, which refuses them.
    pub(crate) fn new(head_bytes_max: usize) -> Self {
        Self { state: State::Head, partial: Vec::new(), head_bytes_max }
    }

    /// Whether the beginning of a head has come, and its end has not.
    pub(crate) fn is_inside_head(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Whether the connection must end with the request that is under way.
    pub(crate) fn is_last_request(&self) -> bool {
        matches!(self.state, State::Opaque | State::Refused)
    }

    /// Looks at the next bytes of the connection.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Verdict {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.state {
                State::Opaque => return Verdict::Pass,
                State::Refused => return Verdict::Refuse(at),
                State::Body { bytes_left } => {
                    let taken = bytes_left.min(rest.len() as u64);
                    at += taken as usize;
                    let bytes_left = bytes_left - taken;
                    self.state = if bytes_left == 0 { State::Head } else { State::Body { bytes_left } };
                }
                State::Head => match self.head(rest) {
                    Ok(taken) => at += taken,
                    Err(fault) => {
                        self.state = State::Refused;
                        return Verdict::Refuse(at + fault);
                    }
                },
            }
        }
        Verdict::Pass
    }

    /// Reads on in a head: how many of `fresh` belong to it, or which of them is at fault.
    fn head(&mut self, fresh: &[u8]) -> Result<usize, usize> {
        if self.partial.is_empty() {
            if let Some((head, end)) = read_head(fresh)? {
                self.state = head.next_state();
                return Ok(end);
            }
            self.keep(fresh);
            self.give_up_if_too_long(fresh.len());
            Ok(fresh.len())
        } else {
            let before = self.partial.len();
            self.keep(fresh);
            // A fault lies in the fresh bytes: the lines before them were looked at when they came.
            let read = read_head(&self.partial).map_err(|fault| fault.saturating_sub(before))?;
            let Some((head, end)) = read else {
                self.give_up_if_too_long(before + fresh.len());
                return Ok(fresh.len());
            };
            self.partial = Vec::new();
            self.state = head.next_state();
            Ok(end - before)
        }
    }

    /// Keeps the beginning of a head, as far as a head may go.
    fn keep(&mut self, fresh: &[u8]) {
        let room = self.head_bytes_max.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(fresh.get(..room).unwrap_or(fresh));
    }

    /// Its end has not come. One that is too long is refused by the library, so nothing after it is a request.
    fn give_up_if_too_long(&mut self, bytes: usize) {
        if bytes > self.head_bytes_max {
            self.state = State::Opaque;
            self.partial = Vec::new();
        }
    }
}

impl Head {
    fn next_state(self) -> State {
        match self.content_length {
            _ if self.has_transfer_encoding => State::Opaque,
            Some(bytes_left) if bytes_left > 0 => State::Body { bytes_left },
            Some(_) | None => State::Head,
        }
    }

    /// Takes one line without its end. `Err` if two readers could understand it in two ways.
    fn take(&mut self, line: &[u8]) -> Result<(), ()> {
        self.lines += 1;
        if self.lines == 1 {
            self.is_http_11 = line.ends_with(b"HTTP/1.1");
            return Ok(());
        }
        match line.first() {
            // A folded line.
            Some(b' ' | b'\t') => Err(()),
            Some(b'c' | b'C') => match value_of(line, b"content-length") {
                Some(value) => self.take_length(value),
                None => Ok(()),
            },
            Some(b't' | b'T') => match value_of(line, b"transfer-encoding") {
                Some(_) if self.has_transfer_encoding || self.content_length.is_some() => Err(()),
                Some(_) => {
                    self.has_transfer_encoding = true;
                    Ok(())
                }
                None => Ok(()),
            },
            Some(b'h' | b'H') if value_of(line, b"host").is_some() => {
                self.hosts = self.hosts.saturating_add(1);
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn take_length(&mut self, value: &[u8]) -> Result<(), ()> {
        if self.content_length.is_some() || self.has_transfer_encoding {
            return Err(());
        }
        let digits = std::str::from_utf8(value.trim_ascii()).map_err(|_| ())?;
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(());
        }
        self.content_length = Some(digits.parse().map_err(|_| ())?);
        Ok(())
    }

    /// RFC 9112 §3.2: HTTP/1.1 has exactly one Host, HTTP/1.0 at most one.
    fn has_sound_host(self) -> bool {
        self.hosts == 1 || (self.hosts == 0 && !self.is_http_11)
    }
}

/// The value of a header line if its name is `name` (given in lower case). A name with a space before the colon counts as that name:
/// the library refuses it.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let rest = rest.trim_ascii_start();
    (found.eq_ignore_ascii_case(name) && rest.first() == Some(&b':'))
        .then(|| rest.get(1..).unwrap_or_default())
}

/// Reads a head from its first byte. `Some` with the place after its empty line, `None` while that has not come, `Err` with the place of
/// a fault.
fn read_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, usize> {
    let mut head = Head::default();
    let mut start = 0;
    for feed in memchr::memchr_iter(b'\n', bytes) {
        let line = bytes.get(start..feed).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err(feed);
        };
        start = feed + 1;
        if !line.is_empty() {
            head.take(line).map_err(|()| feed)?;
        } else if head.lines > 0 {
            // The spoiled byte is the last of the head, so that the library does not see its end.
            return if head.has_sound_host() { Ok(Some((head, start))) } else { Err(feed) };
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD_BYTES_MAX: usize = 24 * 1024;

    fn feed_whole(bytes: &[u8]) -> (Verdict, Framing) {
        let mut framing = Framing::new(HEAD_BYTES_MAX);
        (framing.feed(bytes), framing)
    }

    fn feed_bytewise(bytes: &[u8]) -> (Option<usize>, Framing) {
        let mut framing = Framing::new(HEAD_BYTES_MAX);
        for (at, byte) in bytes.iter().enumerate() {
            if framing.feed(&[*byte]) != Verdict::Pass {
                return (Some(at), framing);
            }
        }
        (None, framing)
    }

    #[test]
    fn sound_requests_pass_whole_and_in_pieces() {
        for (bytes, state) in [
            (&b"GET /i HTTP/1.1\r\nHost: x\r\n\r\n"[..], State::Head),
            (b"GET /i HTTP/1.1\r\nHost: x\r\n\r\nGET /i HTTP/1.1\r\nhost: x\r\n\r\n", State::Head),
            (b"\r\nGET /i HTTP/1.0\r\n\r\n", State::Head),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na\nb", State::Head),
            (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na\n", State::Body { bytes_left: 1 }),
            (
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
                State::Head,
            ),
            (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n", State::Opaque),
            (b"GET /i HTTP/1.1\r\nHost: x\r\nCon", State::Head),
        ] {
            let text = String::from_utf8_lossy(bytes);
            let (verdict, framing) = feed_whole(bytes);
            assert_eq!((verdict, framing.state), (Verdict::Pass, state), "{text}");
            let (fault, framing) = feed_bytewise(bytes);
            assert_eq!((fault, framing.state), (None, state), "{text}");
        }
    }

    #[test]
    fn what_two_readers_may_read_in_two_ways_is_refused() {
        for head in [
            "GET / HTTP/1.1\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\n",
            "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tfolded\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\ncontent-length : 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let (verdict, framing) = feed_whole(head.as_bytes());
            assert!(matches!(verdict, Verdict::Refuse(_)), "{head:?}");
            assert!(framing.is_last_request());
            let (fault, _) = feed_bytewise(head.as_bytes());
            let Verdict::Refuse(place) = verdict else { unreachable!("asserted above") };
            assert_eq!(fault, Some(place), "{head:?}");
        }
    }

    #[test]
    fn an_endless_head_is_left_to_the_library_and_not_kept() {
        let mut framing = Framing::new(1024);
        assert_eq!(framing.feed(b"GET / HTTP/1.1\r\n"), Verdict::Pass);
        for _ in 0..10_000 {
            assert_eq!(framing.feed(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"), Verdict::Pass);
        }
        assert_eq!(framing.partial.capacity(), 0);
        assert!(framing.is_last_request());
    }

    #[test]
    fn of_a_head_no_more_is_kept_than_it_may_have() {
        let mut framing = Framing::new(1024);
        let mut bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\nHost: x\n");
        let fault = bytes.len() - 1;
        assert_eq!(framing.feed(bytes.get(..20).expect("a beginning")), Verdict::Pass);
        // What comes in one piece behind the head is not copied, and judged all the same.
        assert_eq!(framing.feed(bytes.get(20..).expect("the rest")), Verdict::Refuse(fault - 20));
        assert!(framing.partial.capacity() <= 1024);
        // A head that is exactly as long as it may be has its end.
        let start = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
        let head = |bytes: usize| format!("{start}{}\r\n\r\n", "y".repeat(bytes - start.len() - 4));
        for (bytes, state) in [(1024, State::Head), (1025, State::Opaque)] {
            let mut framing = Framing::new(1024);
            let head = head(bytes);
            let (first, rest) = head.as_bytes().split_at(20);
            assert_eq!((framing.feed(first), framing.feed(rest)), (Verdict::Pass, Verdict::Pass));
            assert_eq!((framing.state, framing.partial.capacity()), (state, 0), "{bytes}");
        }
    }

    proptest! {
        /// However the bytes are cut into pieces, the judgement is the same, and nothing panics.
        #[test]
        fn the_cut_does_not_matter(
            parts in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1", "Host: x", "Content-Length: 4", "Transfer-Encoding: chunked", "X: y", " ", "\r\n", "\r\n", "\r\n\r\n", "\n", "abcd", ":",
            ]), 0..24),
            cuts in prop::collection::vec(1_usize..9, 1..40),
        ) {
            let bytes = parts.concat().into_bytes();
            let (whole, _) = feed_whole(&bytes);
            let mut framing = Framing::new(HEAD_BYTES_MAX);
            let mut at = 0;
            let mut fault = None;
            for cut in cuts.iter().cycle() {
                if at >= bytes.len() || fault.is_some() { break; }
                let piece = &bytes[at..bytes.len().min(at + cut)];
                if let Verdict::Refuse(place) = framing.feed(piece) { fault = Some(at + place); }
                at += piece.len();
            }
            prop_assert_eq!(whole, fault.map_or(Verdict::Pass, Verdict::Refuse));
        }
    }
}
