//! TLS of the whole program: tracker, page and reports, the start, the renewal of a certificate, and what is said about a wrong one.
//!
//! The client is hyper with rustls, which trusts the test's certificate alone. What lies below HTTP is tested where it is
//! (`ingest/tests/tracker/tls.rs`).

#![cfg(test)]

mod support;

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use support::{Instance, LOOK_EVERY, Options};

/// What must come about comes about within this.
const PATIENCE: Duration = Duration::from_secs(30);

const LISTEN_TLS: &str = "listen_tls = \"127.0.0.1:0\"";

/// A certificate and its key, PEM.
struct Issued {
    certificate: String,
    key: String,
}

/// A pair for `name` and this machine, good until the first day of the year `until`.
fn issue(name: &str, until: i32) -> Issued {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params =
        rcgen::CertificateParams::new(vec![name.to_owned(), "127.0.0.1".to_owned()]).expect("names");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    Issued { certificate: params.self_signed(&key).expect("issued").pem(), key: key.serialize_pem() }
}

/// Writes a file whole, as programs that renew certificates do.
fn put(folder: &Path, name: &str, text: &str) {
    let part = folder.join(format!("{name}.part"));
    fs::write(&part, text).expect("written");
    fs::set_permissions(&part, fs::Permissions::from_mode(0o600)).expect("its mode");
    fs::rename(part, folder.join(name)).expect("in its place");
}

fn put_pair(folder: &Path, issued: &Issued) {
    put(folder, "c.pem", &issued.certificate);
    put(folder, "k.pem", &issued.key);
}

/// Every role with TLS, with a certificate in `folder`.
fn options(folder: &Path) -> Options {
    let folder = folder.display();
    Options {
        tracker: LISTEN_TLS.to_owned(),
        opt_out: LISTEN_TLS.to_owned(),
        reports: LISTEN_TLS.to_owned(),
        sections: format!(
            "[tls]\ncertificate_file = \"{folder}/c.pem\"\nkey_file = \"{folder}/k.pem\"\nhandshake_seconds_max = 1\n"
        ),
        ..Options::default()
    }
}

/// Where a role speaks TLS.
fn address(instance: &Instance, role: &str) -> SocketAddr {
    let text = fs::read_to_string(instance.data().join("instance.json")).expect("the instance runs");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let address = told[format!("{role}_tls")].as_str().unwrap_or_else(|| panic!("{role}: {told}"));
    address.parse().expect("an address")
}

fn trust(certificates: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
        roots.add(der).expect("a certificate");
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A browser-like client of one version of HTTP.
struct Browser {
    runtime: tokio::runtime::Runtime,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    version: Version,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Browser {
    fn new(certificate: &str, version: Version) -> Self {
        let builder = HttpsConnectorBuilder::new().with_tls_config(trust(&[certificate])).https_only();
        let connector = match version {
            Version::HTTP_2 => builder.enable_http2().build(),
            _ => builder.enable_http1().build(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, client: Client::builder(TokioExecutor::new()).build(connector), version }
    }

    fn ask(&self, address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().uri(format!("https://{address}{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).expect("a request");
        self.runtime.block_on(async {
            let answer = self.client.request(request).await.unwrap_or_else(|e| panic!("{target}: {e:?}"));
            assert_eq!(answer.version(), self.version, "{target}");
            let (head, body) = answer.into_parts();
            let body = body.collect().await.expect("whole").to_bytes().to_vec();
            Answer { status: head.status.as_u16(), headers: head.headers, body }
        })
    }
}

/// A connection whose certificate has been looked at.
struct Seen {
    stream: StreamOwned<ClientConnection, TcpStream>,
    certificate: Vec<u8>,
}

/// Shakes hands anew, without a ticket; trusts any of the certificates.
fn shake(address: SocketAddr, certificates: &[&str]) -> Seen {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut session = ClientConnection::new(Arc::new(trust(certificates)), name).expect("a session");
    while session.is_handshaking() {
        session.complete_io(&mut stream).expect("a handshake");
    }
    let certificate = session.peer_certificates().expect("a certificate")[0].to_vec();
    Seen { stream: StreamOwned::new(session, stream), certificate }
}

impl Seen {
    fn is_of(&self, issued: &Issued) -> bool {
        self.certificate == *CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM")
    }

    /// One request on this connection; the status line.
    fn ask(&mut self, target: &str) -> String {
        write!(self.stream, "HEAD {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").expect("sent");
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            std::io::Read::read_exact(&mut self.stream, &mut byte).expect("an answer");
            line.extend(byte);
        }
        String::from_utf8_lossy(&line).lines().next().unwrap_or_default().to_owned()
    }
}

fn eventually(what: &str, instance: &Instance, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what} did not come about\n{}", instance.log_tail());
        std::thread::sleep(LOOK_EVERY);
    }
}

fn hang_up(instance: &Instance) {
    let status = Command::new("kill").args(["-HUP", &instance.pid().to_string()]).status();
    assert!(status.expect("kill runs").success());
}

#[test]
fn tracker_page_and_reports_speak_both_versions_inside_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let issued = issue("sightline.example", 2090);
    put_pair(folder.path(), &issued);
    let instance = Instance::start(options(folder.path()));
    let token = format!("Bearer {}", instance.secret("operator.token"));
    for (number, version) in [Version::HTTP_11, Version::HTTP_2].into_iter().enumerate() {
        let browser = Browser::new(&issued.certificate, version);
        let tracker = address(&instance, "tracker");
        let pixel = browser.ask(
            tracker,
            &format!("/i?c=demo&p=p1&rid={number}&oaid=1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5"),
            &[],
        );
        assert_eq!((pixel.status, pixel.body.len()), (200, 43));
        // The tracker's answers are part of others' pages, which may still speak plain HTTP.
        assert!(!pixel.headers.contains_key("strict-transport-security"));
        let page = browser.ask(address(&instance, "opt_out"), "/opt-out", &[("accept-language", "en")]);
        assert_eq!(page.status, 200);
        assert_eq!(page.headers["strict-transport-security"], "max-age=15768000");
        let campaigns =
            browser.ask(address(&instance, "reports"), "/v1/campaigns", &[("authorization", &token)]);
        assert_eq!(campaigns.status, 200);
        assert!(campaigns.headers.contains_key("strict-transport-security"));
        assert_eq!(browser.ask(address(&instance, "reports"), "/v1/campaigns", &[]).status, 401);
        for role in ["tracker", "opt_out", "reports"] {
            let result = if version == Version::HTTP_2 { "http2" } else { "http1" };
            let name = format!("tls_handshakes_total{{role=\"{role}\",result=\"{result}\"}}");
            assert_eq!(instance.metric(&name), 1, "{name}");
        }
    }
    let mut plain = support::http::Connection::open(instance.opt_out()).expect("connected");
    let page = plain.get("/opt-out", &[]).expect("an answer");
    assert_eq!(page.header("strict-transport-security"), None, "in plain nobody can insist on TLS");
    eventually("both are in the books", &instance, || {
        instance.metric("ingest_beacons_total{outcome=\"accepted\"}") == 2
    });
    let expires = instance.metric("tls_certificate_expires_unix_seconds");
    assert_eq!(expires, 3_786_912_000, "2090-01-01");
}

#[test]
fn links_and_the_start_speak_https() {
    let folder = tempfile::tempdir().expect("a folder");
    put_pair(folder.path(), &issue("t.example.com", 2090));
    let instance = Instance::start(options(folder.path()));
    let port = address(&instance, "tracker").port();
    let links = instance.command(&["links", "--catalog", "catalog.toml", "--placement", "p1"]);
    let links = String::from_utf8_lossy(&links.stdout).into_owned();
    assert!(links.contains(&format!("\nhttps://t.example.com:{port}/i?c=demo&p=p1")), "{links}");
    assert!(!links.contains("http://127"), "{links}");
    let told = instance.logs();
    assert!(told.contains(&format!("tracker  https://t.example.com:{port}/i?")), "{told}");
    assert!(told.contains("opt-out  https://t.example.com:"), "{told}");
    assert!(told.contains("reports  https://t.example.com:"), "{told}");
    let checked = instance.command(&["check-config", "config.toml"]);
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.contains("certificate: right, for t.example.com 127.0.0.1, until 2090-01-01 00:00 UTC"),
        "{checked}"
    );
}

#[test]
fn a_renewed_certificate_is_taken_while_connections_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new, newest) =
        (issue("old.example", 2090), issue("new.example", 2091), issue("newest.example", 2092));
    let all = [old.certificate.as_str(), &new.certificate, &newest.certificate];
    put_pair(folder.path(), &old);
    let instance = Instance::start(options(folder.path()));
    let (tracker, page) = (address(&instance, "tracker"), address(&instance, "opt_out"));
    let mut kept = shake(tracker, &all);
    assert!(kept.is_of(&old));
    assert_eq!(kept.ask("/i?c=demo&p=p1"), "HTTP/1.1 200 OK");

    put_pair(folder.path(), &new);
    eventually("the new certificate", &instance, || shake(tracker, &all).is_of(&new));
    assert!(shake(page, &all).is_of(&new));
    assert_eq!(kept.ask("/i?c=demo&p=p1"), "HTTP/1.1 200 OK", "an old connection goes on");
    assert_eq!(instance.metric("tls_certificate_expires_unix_seconds"), 3_818_448_000, "2091-01-01");

    put(folder.path(), "c.pem", "rubbish");
    hang_up(&instance);
    let refused = "tls_certificate_reloads_total{result=\"refused\"}";
    eventually("a refusal", &instance, || instance.metric(refused) > 0);
    assert!(shake(tracker, &all).is_of(&new), "the one before it stays");
    assert!(instance.logs().contains("certificate_refused"), "{}", instance.log_tail());

    put_pair(folder.path(), &newest);
    hang_up(&instance);
    eventually("the newest certificate", &instance, || shake(tracker, &all).is_of(&newest));
    assert_eq!(kept.ask("/i?c=demo&p=p1"), "HTTP/1.1 200 OK");
    let mut ended = instance;
    assert!(ended.terminate().success());
}

#[test]
fn what_cannot_be_used_is_said_at_the_start_and_by_check_config() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, other, expired) =
        (issue("t.example", 2090), issue("t.example", 2090), issue("t.example", 2024));
    let mut instance = Instance::prepare(options(folder.path()));
    let mut refused = |told: &str| {
        let checked = instance.command(&["check-config", "config.toml"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(2), "{said}");
        assert!(said.contains(told), "{said} / {told}");
        let why = instance.try_restart().expect_err("does not start");
        assert!(why.contains("exit status: 2"), "{why}");
        assert!(instance.log_tail().contains(told), "{} / {told}", instance.log_tail());
    };
    refused("k.pem cannot be read");
    put_pair(folder.path(), &expired);
    refused("c.pem expired on Jan  1 00:00:00 2024");
    put(folder.path(), "c.pem", &good.certificate);
    put(folder.path(), "k.pem", &other.key);
    refused("is not that of the certificate in");
    put(folder.path(), "k.pem", &good.key);
    fs::set_permissions(folder.path().join("k.pem"), fs::Permissions::from_mode(0o644)).expect("its mode");
    refused("has mode 644");
    put(folder.path(), "c.pem", &good.key);
    put(folder.path(), "k.pem", &good.key);
    refused("c.pem holds no certificate");
    // And with a good pair it starts.
    put_pair(folder.path(), &good);
    instance.try_restart().expect("starts");
}

#[test]
fn a_port_for_tls_that_is_taken_is_named_by_its_own_key() {
    let folder = tempfile::tempdir().expect("a folder");
    put_pair(folder.path(), &issue("t.example", 2090));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = format!("listen_tls = \"{}\"", taken.local_addr().expect("bound"));
    for section in ["tracker", "opt_out", "reports"] {
        let mut options = options(folder.path());
        match section {
            "tracker" => options.tracker.clone_from(&listen),
            "opt_out" => options.opt_out.clone_from(&listen),
            _ => options.reports.clone_from(&listen),
        }
        let mut instance = Instance::prepare(options);
        assert!(instance.try_restart().is_err(), "{section}: it started");
        let log = instance.logs();
        assert!(log.contains(&format!("set another address in [{section}] listen_tls")), "{section}: {log}");
    }
}

#[test]
fn tls_without_a_certificate_and_half_a_pair_are_wrong_configurations() {
    let instance = Instance::prepare(Options { tracker: LISTEN_TLS.to_owned(), ..Options::default() });
    let said = instance.command(&["check-config", "config.toml"]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(2));
    assert!(text.contains("[tracker] listen_tls needs a certificate"), "{text}");
    assert!(text.contains("config.toml:5: "), "the line is named: {text}");
    let sections = "[tls]\ncertificate_file = \"c.pem\"\n".to_owned();
    let instance = Instance::prepare(Options { sections, ..Options::default() });
    let said = instance.command(&["check-config", "config.toml"]);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(text.contains("tls.certificate_file is set and key_file is not"), "{text}");
}

#[test]
fn plain_http_on_the_port_for_tls_is_closed_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    put_pair(folder.path(), &issue("t.example", 2090));
    let instance = Instance::start(options(folder.path()));
    for role in ["tracker", "opt_out", "reports"] {
        let count = |result: &str| {
            instance.metric(&format!("tls_handshakes_total{{role=\"{role}\",result=\"{result}\"}}"))
        };
        let mut plain = support::http::Connection::open(address(&instance, role)).expect("connected");
        plain.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        assert!(plain.read_response("GET").is_err(), "no answer in plain");
        eventually("one that was no TLS", &instance, || count("not_tls") == 1);
        // Who only looks whether somebody listens.
        drop(TcpStream::connect(address(&instance, role)).expect("connected"));
        eventually("one that went away", &instance, || count("abandoned") == 1);
        let silent = TcpStream::connect(address(&instance, role)).expect("connected");
        eventually("one that was too slow", &instance, || count("timed_out") == 1);
        drop(silent);
    }
    eventually("the lanes' counts", &instance, || {
        instance.metric("ingest_connections_total{end=\"no_handshake\"}") == 3
    });
}
