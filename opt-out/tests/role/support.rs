//! A running opt-out role in a folder of its own, and a client that speaks plain HTTP over a socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::clock::Clock;
use event::hit::Hit;
use event::identifier::{IdField, identify};
use event::key::KeyRing;
use event::profile::Remap;
use event::record::Platform;
use opt_out::{Dsr, Handle, List, Parts, Registry, Requests, Settings};
use serde_json::Value;

/// Longest wait for anything in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the page is to say.
pub(crate) const KEPT: opt_out::Kept = opt_out::Kept { event_days: 190, security_log_days: Some(200) };

/// 2026-11-21T10:00:00Z.
pub(crate) const NOW_MS: i64 = 1_795_255_200_000;

/// The role, started as in production, on a manual clock.
pub(crate) struct Role {
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) list: List,
    /// Persons' requests, where the role was started with them.
    pub(crate) requests: Option<Requests>,
    pub(crate) handle: Handle,
}

pub(crate) fn keys() -> Arc<KeyRing> {
    Arc::new(KeyRing::generate(|bytes| getrandom::fill(bytes).expect("random bytes")))
}

impl Role {
    pub(crate) fn start(dir: &Path, settings: Settings) -> Self {
        Self::start_with(dir, settings, keys(), Clock::manual(NOW_MS))
    }

    pub(crate) fn start_with(dir: &Path, settings: Settings, keys: Arc<KeyRing>, clock: Clock) -> Self {
        let (registry, list) = Registry::open(dir, &settings, clock.clone()).expect("the registry opens");
        Self::serve(registry, list, settings, keys, clock)
    }

    /// A role that takes persons' requests too: registry and requests in folders of their own.
    pub(crate) fn start_for_persons(
        dir: &Path,
        settings: Settings,
        keys: Arc<KeyRing>,
        clock: Clock,
    ) -> Self {
        let registry_dir = dir.join("registry");
        std::fs::create_dir_all(&registry_dir).expect("a folder");
        let (registry, list) =
            Registry::open(&registry_dir, &settings, clock.clone()).expect("the registry opens");
        let requests =
            Requests::open(&dir.join("requests"), &settings, clock.clone(), audit(dir)).expect("they open");
        Self::serve_with(registry, list, (Some(requests), None), settings, (keys, clock))
    }

    /// A role that takes other companies' requests too, signing with the keys of these files.
    pub(crate) fn start_for_exchange(
        dir: &Path,
        settings: Settings,
        (keys, clock): (Arc<KeyRing>, Clock),
        own: &[PathBuf],
    ) -> Self {
        let registry_dir = dir.join("registry");
        std::fs::create_dir_all(&registry_dir).expect("a folder");
        let (registry, list) =
            Registry::open(&registry_dir, &settings, clock.clone()).expect("the registry opens");
        let audit = audit(dir);
        let requests = Requests::open(&dir.join("requests"), &settings, clock.clone(), audit.clone())
            .expect("they open");
        let dsr = Dsr::open(&dir.join("dsr"), &settings, own, &clock, audit).expect("it opens");
        Self::serve_with(registry, list, (Some(requests), Some(dsr)), settings, (keys, clock))
    }

    /// The service over an open registry.
    pub(crate) fn serve(
        registry: Registry,
        list: List,
        settings: Settings,
        keys: Arc<KeyRing>,
        clock: Clock,
    ) -> Self {
        Self::serve_with(registry, list, (None, None), settings, (keys, clock))
    }

    fn serve_with(
        registry: Registry,
        list: List,
        (requests, dsr): (Option<Requests>, Option<Dsr>),
        settings: Settings,
        (keys, clock): (Arc<KeyRing>, Clock),
    ) -> Self {
        let parts = Parts {
            settings: settings.clone(),
            registry: registry.clone(),
            requests: requests.clone(),
            dsr,
            keys: Arc::clone(&keys),
            clock: clock.clone(),
            security: security_log::SecurityLog::off(),
            kept: KEPT,
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let handle = opt_out::start(parts, listener).expect("the service starts");
        Self { keys, clock, settings, registry, list, requests, handle }
    }

    /// Stops it and starts it again from what lies on the disk.
    pub(crate) fn restart(self, dir: &Path) -> Self {
        let Self { keys, clock, settings, registry, list, requests, handle } = self;
        handle.stop();
        if let Some(requests) = &requests {
            requests.close();
        }
        drop((registry, list, requests));
        Self::start_with(dir, settings, keys, clock)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.address()
    }

    pub(crate) fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.address(), "GET", target, headers, b"")
    }

    /// `POST` of JSON.
    pub(crate) fn call(&self, target: &str, body: &str) -> Answer {
        self.call_with(target, &[], body)
    }

    pub(crate) fn call_with(&self, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        send(self.address(), "POST", target, &headers, body.as_bytes())
    }

    /// `POST` of the page's form, as a browser sends it.
    pub(crate) fn submit(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [headers, &[("content-type", "application/x-www-form-urlencoded")]].concat();
        send(self.address(), "POST", "/opt-out", &headers, body.as_bytes())
    }

    /// Opts identifiers out over the API; gives receipt and secret.
    pub(crate) fn lodge(&self, ids: &[(&str, &str)]) -> (String, String) {
        let answer = self.call("/v1/opt-outs", &ids_json(ids));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let json = answer.json();
        let own = |key| text(json.get(key).expect("a receipt has it"));
        (own("receipt"), own("secret"))
    }

    /// Whether a hit that carries this identifier would be left out.
    pub(crate) fn leaves_out(&self, field: IdField, value: &str) -> bool {
        let mut hit = Hit::default();
        *hit.ids.get_mut(field as usize).expect("a place for each field") = Some(value.as_bytes());
        let hashes = identify(&hit, Platform::Unknown, &self.keys, &Remap::NONE).opt_out;
        assert!(!hashes.is_empty(), "the value is usable");
        assert_eq!(self.list.reader().contains_any(&hashes), self.list.contains_any(&hashes));
        self.list.contains_any(&hashes)
    }
}

/// An audit log below the folder.
fn audit(dir: &Path) -> audit::Log {
    audit::Log::scratch(&dir.join("audit")).expect("it opens")
}

pub(crate) fn ids_json(ids: &[(&str, &str)]) -> String {
    let ids: Vec<_> =
        ids.iter().map(|(kind, value)| serde_json::json!({"kind": kind, "value": value})).collect();
    serde_json::json!({ "ids": ids }).to_string()
}

pub(crate) fn receipt_json(receipt: &str, secret: &str) -> String {
    serde_json::json!({"receipt": receipt, "secret": secret}).to_string()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    /// `name=value` of the cookie that was set, and its attributes.
    pub(crate) fn cookie(&self, name: &str) -> Option<(String, String)> {
        let lines = self.headers.iter().filter(|(known, _)| known == "set-cookie");
        let (pair, attributes) =
            lines.filter_map(|(_, line)| line.split_once("; ")).find(|(pair, _)| pair.starts_with(name))?;
        Some((pair.to_owned(), attributes.to_owned()))
    }
}

pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = connect(address);
    write_head(&mut stream, method, target, headers, Some(body.len()));
    // An answer may come before the whole body is taken, and the rest is then refused.
    let _ = stream.write_all(body);
    read_answer(&mut stream, method == "HEAD")
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

pub(crate) fn write_head(
    stream: &mut TcpStream,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    length: Option<usize>,
) {
    let length = length.map(|length| ("content-length".to_owned(), length.to_string()));
    let host = (!headers.iter().any(|(name, _)| *name == "host"))
        .then(|| ("host".to_owned(), "privacy.example.com".to_owned()));
    let given = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let lines: Vec<_> =
        given.chain(host).chain(length).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n{}", lines.concat());
    stream.write_all((head + "\r\n").as_bytes()).expect("the head is sent");
}

/// Reads until the other end closes.
pub(crate) fn read_answer(stream: &mut TcpStream, is_head: bool) -> Answer {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(!bytes.is_empty(), "no answer: {error}");
    }
    let text = String::from_utf8(bytes).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let answer = Answer { status: status.parse().expect("a number"), headers, body: body.to_owned() };
    let length: usize = answer.header("content-length").expect("a length").parse().expect("a number");
    assert_eq!(answer.body.len(), if is_head { 0 } else { length });
    answer
}

/// Waits for a condition.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
