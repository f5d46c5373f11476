//! Answers as the server gives them: headers, status, and exceptions.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aggregator::engine::EngineError;
use bytes::Bytes;
use hyper::body::{Body, Frame};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// An exception of the server.
#[derive(Debug)]
pub(crate) struct Exception {
    pub(crate) code: u32,
    message: String,
}

impl Exception {
    pub(crate) fn new(code: u32, words: &str) -> Self {
        Self { code, message: format!("Code: {code}. DB::Exception: {words}") }
    }
}

impl From<EngineError> for Exception {
    fn from(error: EngineError) -> Self {
        let code = error.code();
        match (code, error) {
            (Some(code), EngineError::Statement { message }) => {
                // The engine's words begin with the code, as the server's do.
                let begin = message.find("Code: ").unwrap_or(0);
                Self { code, message: message.get(begin..).unwrap_or_default().to_owned() }
            }
            // UNKNOWN_EXCEPTION
            (_, error) => Self::new(1002, &error.to_string()),
        }
    }
}

/// The status of an exception, as `exceptionCodeToHTTPStatus` of the server has it.
fn status_of(code: u32) -> StatusCode {
    match code {
        // REQUIRED_PASSWORD
        194 => StatusCode::UNAUTHORIZED,
        // UNKNOWN_USER, WRONG_PASSWORD, AUTHENTICATION_FAILED, SET_NON_GRANTED_ROLE, ACCESS_DENIED
        192 | 193 | 516 | 512 | 497 => StatusCode::FORBIDDEN,
        // BAD_ARGUMENTS, CANNOT_COMPILE_REGEXP, CANNOT_PARSE_…, DUPLICATE_COLUMN, ILLEGAL_COLUMN, THERE_IS_NO_COLUMN, SYNTAX_ERROR,
        // INCORRECT_DATA, TYPE_MISMATCH, …
        36 | 427 | 6 | 25 | 26 | 38 | 41 | 72 | 226 | 675 | 676 | 27 | 15 | 44 | 16 | 126 | 136 | 167
        | 168 | 154 | 62 | 117 | 53 | 69 => StatusCode::BAD_REQUEST,
        // UNKNOWN_TABLE, …FUNCTION, …IDENTIFIER, …TYPE, …STORAGE, …DATABASE, …SETTING, …AGGREGATE_FUNCTION, …FORMAT, …ROLE
        60 | 46 | 47 | 50 | 56 | 81 | 115 | 183 | 63 | 73 | 336 | 78 | 511 => StatusCode::NOT_FOUND,
        // QUERY_IS_TOO_LARGE
        66 => StatusCode::PAYLOAD_TOO_LARGE,
        // NOT_IMPLEMENTED
        48 => StatusCode::NOT_IMPLEMENTED,
        // SOCKET_TIMEOUT, CANNOT_OPEN_FILE, CANNOT_SCHEDULE_TASK
        209 | 76 | 439 => StatusCode::SERVICE_UNAVAILABLE,
        // HTTP_LENGTH_REQUIRED
        381 => StatusCode::LENGTH_REQUIRED,
        // TIMEOUT_EXCEEDED
        159 => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// How an answer is packed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packing {
    /// `Accept-Encoding: lz4`
    pub(crate) http: bool,
    /// `compress=1`
    pub(crate) blocks: bool,
}

impl Packing {
    fn pack(self, bytes: Vec<u8>) -> io::Result<Bytes> {
        let bytes = if self.blocks { crate::blocks::pack(&bytes) } else { bytes };
        if !self.http || bytes.is_empty() {
            return Ok(bytes.into());
        }
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(&bytes)?;
        Ok(frame.finish().map_err(io::Error::other)?.into())
    }
}

/// An answer to a statement.
pub(crate) fn answer(
    bytes: Vec<u8>,
    format: &str,
    packing: Packing,
    took: Duration,
) -> io::Result<Response<Pieces>> {
    let written = bytes.len();
    let mut response = plain(StatusCode::OK, packing.pack(bytes)?);
    set(&mut response, "x-clickhouse-format", format);
    set(&mut response, "x-clickhouse-timezone", "UTC");
    let summary = format!(
        r#"{{"read_rows":"0","read_bytes":"0","written_rows":"0","written_bytes":"0","total_rows_to_read":"0","result_rows":"0","result_bytes":"{written}","elapsed_ns":"{}"}}"#,
        took.as_nanos()
    );
    set(&mut response, "x-clickhouse-summary", &summary);
    if packing.http && written > 0 {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("lz4"));
    }
    Ok(response)
}

/// An exception's answer, packed as the answer would have been.
pub(crate) fn exception(exception: &Exception, packing: Packing) -> io::Result<Response<Pieces>> {
    let text = format!("{}\n", exception.message.trim_end());
    let mut response = plain(status_of(exception.code), packing.pack(text.into_bytes())?);
    set(&mut response, "x-clickhouse-exception-code", &exception.code.to_string());
    if packing.http {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("lz4"));
    }
    Ok(response)
}

/// A plain text.
pub(crate) fn plain(status: StatusCode, body: impl Into<Bytes>) -> Response<Pieces> {
    let mut response = Response::new(Pieces::whole(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    set(&mut response, "x-clickhouse-server-display-name", "test-server");
    response
}

fn set(response: &mut Response<Pieces>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
}

/// A body of unknown length, sent in chunks as the server does; it may break off.
pub(crate) struct Pieces(VecDeque<Result<Bytes, io::Error>>);

impl Pieces {
    fn whole(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([Ok(bytes)]) })
    }

    /// The same body, broken off in its middle.
    pub(crate) fn cut(mut self) -> Self {
        if let Some(Ok(bytes)) = self.0.pop_front() {
            self.0.push_back(Ok(bytes.slice(..bytes.len() / 2)));
        }
        self.0.push_back(Err(io::Error::from(io::ErrorKind::ConnectionAborted)));
        self
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| piece.map(Frame::data)))
    }
}
