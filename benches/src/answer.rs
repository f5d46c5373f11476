//! Just enough of an HTTP/1.1 answer for a load driver: where it ends, its status, whether the connection stays open.
//!
//! It takes answers with a `Content-Length` (or with a status that has no body). Chunked answers are refused: no server that is
//! measured here sends any, and a driver that spends its time in a parser measures itself.

/// What the bytes read so far hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Incomplete,
    /// One whole answer.
    Done(Answer),
    /// No answer that this driver understands.
    Broken,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Length of head and body, bytes.
    pub bytes: usize,
    /// The server closes the connection after it.
    pub closes: bool,
}

/// Looks whether `bytes` hold a whole answer.
pub fn parse(bytes: &[u8]) -> Progress {
    let Some(head_bytes) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Progress::Incomplete;
    };
    let head = bytes.get(..head_bytes).unwrap_or_default();
    let Some(status) = status(head) else { return Progress::Broken };
    let mut body_bytes = matches!(status, 204 | 304).then_some(0);
    let mut closes = false;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) =
            (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default());
        if name.eq_ignore_ascii_case(b"content-length") {
            let Some(length) = std::str::from_utf8(value).ok().and_then(|v| v.trim().parse().ok()) else {
                return Progress::Broken;
            };
            body_bytes = Some(length);
        } else if name.eq_ignore_ascii_case(b"connection") {
            closes = value.trim_ascii().eq_ignore_ascii_case(b"close");
        }
    }
    let Some(body_bytes) = body_bytes else { return Progress::Broken };
    let answer_bytes = head_bytes + 4 + body_bytes;
    if bytes.len() < answer_bytes {
        return Progress::Incomplete;
    }
    Progress::Done(Answer { status, bytes: answer_bytes, closes })
}

/// `HTTP/1.1 200 …`
fn status(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\ncontent-length: 3\r\n\r\nGIF";

    #[test]
    fn an_answer_is_done_with_its_last_byte() {
        for length in 0..GIF.len() {
            assert_eq!(parse(&GIF[..length]), Progress::Incomplete, "{length}");
        }
        let answer = Answer { status: 200, bytes: GIF.len(), closes: false };
        assert_eq!(parse(GIF), Progress::Done(answer));
        let two = [GIF, GIF].concat();
        assert_eq!(parse(&two), Progress::Done(answer));
    }

    #[test]
    fn an_answer_says_that_the_connection_ends() {
        let busy = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(parse(busy), Progress::Done(Answer { status: 503, bytes: busy.len(), closes: true }));
        let none = b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n";
        assert_eq!(parse(none), Progress::Done(Answer { status: 204, bytes: none.len(), closes: false }));
    }

    #[test]
    fn what_has_no_length_is_refused() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Progress::Broken);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), Progress::Broken);
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), Progress::Broken);
    }
}
