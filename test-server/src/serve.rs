//! The HTTP side: sockets, logins, and a request's way to the engine and back.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::watch;

use crate::answer::{self, Exception, Packing, Pieces};
use crate::faults::{Fault, Faults};
use crate::form::Form;
use crate::sessions::{Sessions, Statement};
use crate::{BODY_BYTES_MAX, Login, blocks};

pub(crate) struct Front {
    pub(crate) sessions: Sessions,
    pub(crate) login: Login,
    pub(crate) faults: Faults,
}

/// Serves until it is stopped.
pub(crate) async fn run(listener: TcpListener, front: Arc<Front>, mut stopping: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        if front.faults.refuses() {
            continue;
        }
        let front = Arc::clone(&front);
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(Arc::clone(&front), request));
            // A broken connection concerns its client.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error of this function closes the connection without an answer.
async fn handle(front: Arc<Front>, request: Request<Incoming>) -> io::Result<Response<Pieces>> {
    let cut = || io::Error::from(io::ErrorKind::ConnectionAborted);
    if front.faults.refuses() {
        return Err(cut());
    }
    let (parts, body) = request.into_parts();
    let is_empty = parts.method == Method::GET && parts.uri.query().is_none();
    match parts.uri.path() {
        "/ping" => return Ok(answer::plain(StatusCode::OK, "Ok.\n")),
        "/" if is_empty => return Ok(answer::plain(StatusCode::OK, "Ok.\n")),
        "/" => {}
        _ => return Ok(answer::plain(StatusCode::NOT_FOUND, "There is no handle\n")),
    }
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else { return Err(cut()) };
    if let Err(refused) = log_in(&front.login, &parts.headers) {
        return answer::exception(&refused, Packing::default());
    }
    let mut asked = match Asked::read(&parts, &body.to_bytes()) {
        Ok(asked) => asked,
        Err(refused) => return answer::exception(&refused, Packing::default()),
    };
    let packing = asked.packing;
    let database = asked.form.get("database").unwrap_or_default();
    let fault = front.faults.meet(&format!("{database} {}", asked.text()));
    match &fault {
        Some(Fault::CutBefore) => return Err(cut()),
        Some(Fault::Unavailable) => {
            return Ok(answer::plain(StatusCode::SERVICE_UNAVAILABLE, "no server available\n"));
        }
        Some(Fault::Exception(code)) => {
            return answer::exception(&Exception::new(*code, "A fault that the test asked for."), packing);
        }
        Some(Fault::LateBefore(time)) => tokio::time::sleep(*time).await,
        Some(Fault::CutAfter | Fault::CutAnswer | Fault::LateAfter(_)) | None => {}
    }
    let started = Instant::now();
    let format = asked.format().to_owned();
    let statement = asked.statement.take();
    let ran = tokio::task::spawn_blocking(move || {
        statement.map_or(Ok(Vec::new()), |statement| front.sessions.run(&asked.form, &statement))
    });
    let ran = ran.await.map_err(io::Error::other)?;
    let response = match ran {
        Ok(bytes) => answer::answer(bytes, &format, packing, started.elapsed())?,
        Err(refused) => answer::exception(&refused, packing)?,
    };
    match fault {
        Some(Fault::CutAfter) => Err(cut()),
        Some(Fault::CutAnswer) => Ok(response.map(Pieces::cut)),
        Some(Fault::LateAfter(time)) => {
            tokio::time::sleep(time).await;
            Ok(response)
        }
        _ => Ok(response),
    }
}

fn log_in(login: &Login, headers: &HeaderMap) -> Result<(), Exception> {
    let of = |name: &str| headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let user = match of("x-clickhouse-user") {
        b"" => b"default",
        user => user,
    };
    if user == login.user.as_bytes() && of("x-clickhouse-key") == login.password.as_bytes() {
        return Ok(());
    }
    let user = String::from_utf8_lossy(user);
    let words = format!(
        "{user}: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
    );
    Err(Exception::new(516, &words))
}

/// What a request asks.
struct Asked {
    form: Form,
    statement: Option<Statement>,
    packing: Packing,
}

impl Asked {
    fn read(parts: &Parts, body: &Bytes) -> Result<Self, Exception> {
        let refused = |(code, words): (u32, String)| Exception::new(code, &words);
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut form = Form::of_url(parts.uri.query().unwrap_or_default()).map_err(refused)?;
        let boundary = header(CONTENT_TYPE)
            .strip_prefix("multipart/form-data")
            .and_then(|rest| rest.split_once("boundary="))
            .map(|(_, boundary)| boundary.trim_matches('"').to_owned());
        let mut data = unpack(&form, header(CONTENT_ENCODING), body)?;
        if let Some(boundary) = boundary {
            form.add_multipart(&data, &boundary).map_err(refused)?;
            data = Vec::new();
        }
        let statement = statement(&form, data);
        let packing = Packing {
            http: header(ACCEPT_ENCODING).split(',').any(|word| word.trim() == "lz4")
                && form.get("enable_http_compression") != Some("0"),
            blocks: form.is_on("compress"),
        };
        Ok(Self { form, statement: Some(statement), packing })
    }

    fn text(&self) -> &str {
        match &self.statement {
            Some(Statement::Query { sql, .. } | Statement::Insert { sql, .. }) => sql,
            None => "",
        }
    }

    fn format(&self) -> &str {
        match &self.statement {
            Some(Statement::Query { format, .. } | Statement::Insert { format, .. }) => format,
            None => "",
        }
    }
}

/// The body, unpacked as the URL or its header says.
fn unpack(form: &Form, encoding: &str, body: &[u8]) -> Result<Vec<u8>, Exception> {
    let body = if encoding == "lz4" {
        let mut out = Vec::new();
        let mut frame = lz4_flex::frame::FrameDecoder::new(body);
        io::copy(&mut frame, &mut out).map_err(|error| Exception::new(271, &error.to_string()))?;
        out
    } else {
        body.to_vec()
    };
    if form.is_on("decompress") {
        return blocks::unpack(&body).map_err(|(code, words)| Exception::new(code, words));
    }
    Ok(body)
}

/// The statement: the text of the URL with the body behind it. Rows may follow `INSERT … FORMAT x` in the body.
fn statement(form: &Form, body: Vec<u8>) -> Statement {
    let query = form.get("query").unwrap_or_default().trim();
    let is_insert = query.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("INSERT"));
    if let Some((sql, format)) = query.rsplit_once(" FORMAT ").filter(|_| is_insert) {
        return Statement::Insert { sql: sql.to_owned(), format: format.trim().to_owned(), rows: body };
    }
    let text = String::from_utf8_lossy(&body);
    let sql = if query.is_empty() { text.into_owned() } else { format!("{query}\n{text}") };
    let format = form.get("default_format").unwrap_or("TabSeparated").to_owned();
    Statement::Query { sql: sql.trim_end().to_owned(), format }
}
