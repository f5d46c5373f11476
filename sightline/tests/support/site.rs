//! What stands around a tracker on the web: a publisher's site, and a front before the tracker that notes what passes and fails when told to.
//! Both are plain HTTP/1.1, one request a connection.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::http::Connection;

/// Longest wait for a browser's bytes, seconds.
const READ_SECONDS_MAX: u64 = 10;
/// Largest body of a request, bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An answer. Without a status the connection is cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A web server on a port of its own; gone when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A publisher's or an advertiser's site: files by path.
pub(crate) struct Site {
    server: Server,
    files: Arc<Mutex<HashMap<String, Reply>>>,
    asked: Arc<Mutex<HashSet<String>>>,
}

/// How the front fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It does not.
    None,
    /// The next requests that carry events, one after the other: a status, or 0 to cut the connection.
    Next(Vec<u16>),
    /// All that a page sends by `fetch`; beacons pass.
    Fetches,
}

/// What stands before a tracker.
pub(crate) struct Front {
    server: Server,
    passing: Arc<Passing>,
}

struct Passing {
    tracker: Mutex<Option<SocketAddr>>,
    fault: Mutex<Fault>,
    passed: Mutex<Vec<(Request, u16)>>,
}

/// An event of the page tag that passed the front.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// What the tag said.
    pub(crate) event: Value,
    /// What the front answered.
    pub(crate) status: u16,
    /// Whether it came by `sendBeacon`.
    pub(crate) is_beacon: bool,
    /// The headers that went with it.
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    /// The first header of this name (lower case), or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(READ_SECONDS_MAX)))?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut request = Self { method, target, headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let bytes = request.header("content-length").parse().unwrap_or(0_usize);
        assert!(bytes <= BODY_BYTES_MAX, "a body of {bytes} bytes");
        request.body.resize(bytes, 0);
        reader.read_exact(&mut request.body)?;
        Ok(request)
    }
}

impl Reply {
    /// A file.
    pub(crate) fn file(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        // Ad servers and those of players' scripts let every page read.
        let headers = [("content-type", content_type), ("access-control-allow-origin", "*")];
        Self {
            status: 200,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: body.into(),
        }
    }

    fn write(&self, mut stream: &TcpStream, is_head: bool) -> std::io::Result<()> {
        if self.status == 0 {
            return Ok(());
        }
        let mut head = format!(
            "HTTP/1.1 {} -\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if is_head { Ok(()) } else { stream.write_all(&self.body) }
    }
}

impl Server {
    /// Starts one that answers with `handler`, each connection in a thread of its own.
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let stop = Arc::new(AtomicBool::new(false));
        let handler = Arc::new(handler);
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::Acquire) {
                        return;
                    }
                    let handler = Arc::clone(&handler);
                    std::thread::spawn(move || {
                        // A browser that hangs up early, or opens a connection ahead of time, is no fault.
                        let Ok(request) = Request::read(&stream) else { return };
                        if !request.target.is_empty() {
                            let _ = handler(&request).write(&stream, request.method == "HEAD");
                        }
                    });
                }
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Site {
    pub(crate) fn start() -> Self {
        let files: Arc<Mutex<HashMap<String, Reply>>> = Arc::default();
        let asked: Arc<Mutex<HashSet<String>>> = Arc::default();
        let server = Server::start({
            let (files, asked) = (Arc::clone(&files), Arc::clone(&asked));
            move |request| {
                let path = request.target.split('?').next().unwrap_or_default();
                asked.lock().expect("not poisoned").insert(path.to_owned());
                let file = files.lock().expect("not poisoned").get(path).cloned();
                file.unwrap_or(Reply { status: 404, ..Reply::default() })
            }
        });
        Self { server, files, asked }
    }

    /// Puts a file there; its URL. The site's name is `localhost`, of which a front is another origin.
    pub(crate) fn publish(&self, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> String {
        self.files.lock().expect("not poisoned").insert(path.to_owned(), Reply::file(content_type, body));
        self.url(path)
    }

    /// Whether somebody asked for a path.
    pub(crate) fn has_served(&self, path: &str) -> bool {
        self.asked.lock().expect("not poisoned").contains(path)
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.server.address.port())
    }
}

impl Front {
    /// Starts one; [`stand_before`](Self::stand_before) says of what.
    pub(crate) fn start() -> Self {
        let passing = Arc::new(Passing {
            tracker: Mutex::default(),
            fault: Mutex::new(Fault::None),
            passed: Mutex::default(),
        });
        let server = Server::start({
            let passing = Arc::clone(&passing);
            move |request| passing.answer(request)
        });
        Self { server, passing }
    }

    pub(crate) fn stand_before(&self, tracker: SocketAddr) {
        *self.passing.tracker.lock().expect("not poisoned") = Some(tracker);
    }

    /// What URLs of the tracker begin with.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}", self.server.address.port())
    }

    pub(crate) fn fail(&self, fault: Fault) {
        *self.passing.fault.lock().expect("not poisoned") = fault;
    }

    /// Every request but those for the tag, and what was answered.
    pub(crate) fn passed(&self) -> Vec<(Request, u16)> {
        self.passing.passed.lock().expect("not poisoned").clone()
    }

    /// Every event of the page tag that came, of one creative, in the order of its coming.
    pub(crate) fn sent(&self, creative: &str) -> Vec<Sent> {
        let batches = self.passed().into_iter().filter(|(request, _)| request.target == "/v1/events");
        let mut sent = Vec::new();
        for (request, status) in batches {
            let events: Vec<Value> = serde_json::from_slice(&request.body).expect("a batch");
            let is_beacon = request.header("sec-fetch-mode") == "no-cors";
            for event in events.into_iter().filter(|event| event["cr"] == creative) {
                sent.push(Sent { event, status, is_beacon, headers: request.headers.clone() });
            }
        }
        sent
    }

    /// The stages of a creative that were answered with 200, in the order of their client times.
    pub(crate) fn stages(&self, creative: &str) -> Vec<String> {
        let mut kept: Vec<Value> = self
            .sent(creative)
            .into_iter()
            .filter(|sent| sent.status == 200)
            .map(|sent| sent.event)
            .collect();
        kept.sort_by_key(|event| event["t"].as_u64());
        kept.iter().map(|event| event["stage"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Passing {
    fn answer(&self, request: &Request) -> Reply {
        let reply = self.fault(request).unwrap_or_else(|| self.pass(request));
        if request.target != "/tag.js" {
            self.passed.lock().expect("not poisoned").push((request.clone(), reply.status));
        }
        reply
    }

    fn fault(&self, request: &Request) -> Option<Reply> {
        let mut fault = self.fault.lock().expect("not poisoned");
        let status = match &mut *fault {
            Fault::Next(statuses) if request.method == "POST" && !statuses.is_empty() => statuses.remove(0),
            Fault::Fetches if request.header("sec-fetch-mode") == "cors" => 503,
            Fault::None | Fault::Next(_) | Fault::Fetches => return None,
        };
        let headers = vec![
            ("access-control-allow-origin".to_owned(), request.header("origin").to_owned()),
            ("access-control-allow-credentials".to_owned(), "true".to_owned()),
        ];
        Some(Reply { status, headers, body: b"not stored: send it again later\n".to_vec() })
    }

    fn pass(&self, request: &Request) -> Reply {
        let tracker = self.tracker.lock().expect("not poisoned").expect("a tracker to stand before");
        let headers: Vec<(&str, &str)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !matches!(*name, "host" | "connection" | "content-length"))
            .collect();
        let answered = Connection::open(tracker).and_then(|mut tracker| {
            tracker.request(&request.method, &request.target, &headers, &request.body)
        });
        match answered {
            Ok(answer) => Reply {
                status: answer.status,
                headers: answer
                    .headers
                    .into_iter()
                    .filter(|(name, _)| name != "content-length" && name != "connection")
                    .collect(),
                body: answer.body,
            },
            Err(_) => Reply { status: 502, ..Reply::default() },
        }
    }
}
