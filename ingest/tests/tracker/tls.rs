//! Beacons inside TLS, over HTTP/1.1 and HTTP/2: the same answers and the same books as in plain, and no way to hold a lane up.
//!
//! HTTP/2 is spoken twice: by a client library for what clients do, and frame by frame for what none should.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::outcome::Outcome;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::disk::Mood;
use crate::rig::{Client, PATIENCE, Rig, Wire, eventually};

/// The host in the certificate.
pub(crate) const NAME: &str = "tracker.example";
const PIXEL: &str = "/i?c=demo&p=p1";

/// Kinds of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// Error codes (RFC 9113, section 7).
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Wire for Tls {
    fn shutdown_write(&mut self) -> std::io::Result<()> {
        self.conn.send_close_notify();
        self.flush()
    }
}

/// A tracker with TLS.
pub(crate) fn rig() -> Rig {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut ingest::Settings)) -> Rig {
    Rig::with(|settings, _| {
        settings.listen_tls = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        change(settings);
    })
}

fn address(rig: &Rig) -> SocketAddr {
    rig.tls_address.expect("the rig speaks TLS")
}

fn trust(rig: &Rig, alpn: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&rig.certificate()).expect("PEM")).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config
}

/// A connection inside TLS, with `alpn` agreed on.
pub(crate) fn connect(rig: &Rig, alpn: &[u8]) -> Client {
    let mut stream = TcpStream::connect(address(rig)).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.set_nodelay(true).expect("set");
    let name = ServerName::try_from(NAME).expect("a name");
    let mut session = ClientConnection::new(Arc::new(trust(rig, alpn)), name).expect("a session");
    while session.is_handshaking() {
        session.complete_io(&mut stream).expect("a handshake");
    }
    assert_eq!(session.alpn_protocol(), Some(alpn));
    Client::over(Box::new(StreamOwned::new(session, stream)))
}

/// HTTP/2 frame by frame.
struct Frames(Client);

/// A frame that came.
#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frames {
    /// Connects and greets.
    fn open(rig: &Rig, settings: &[u8]) -> Self {
        let mut frames = Self(connect(rig, b"h2"));
        frames.0.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames.send(&frame(SETTINGS, 0, 0, settings));
        frames
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.send(bytes);
    }

    /// The next frame; `None` at the end of the connection.
    fn next(&mut self) -> Option<Frame> {
        let head = self.0.read_bytes(9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload: self.0.read_bytes(length)? })
    }

    /// Reads on to a frame of this kind; `None` at the end of the connection. Pings are answered, as every client does.
    fn await_kind(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let next = self.next()?;
            if next.kind == PING && next.flags & ACK == 0 {
                self.send(&frame(PING, ACK, 0, &next.payload));
            }
            if next.kind == kind {
                return Some(next);
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of a request, packed without compression (RFC 7541, section 6.2.2): `GET` or `POST` of `target`.
fn head(method: &str, target: &str) -> Vec<u8> {
    let method = if method == "GET" { 0x82 } else { 0x83 };
    let mut block = vec![method, 0x87, 0x04];
    block.push(u8::try_from(target.len()).expect("short").min(126));
    assert!(target.len() < 127, "one byte of length");
    block.extend(target.as_bytes());
    block.extend([0x01, u8::try_from(NAME.len()).expect("short")]);
    block.extend(NAME.as_bytes());
    block
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", PIXEL))
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

fn code(frame: &Frame) -> u32 {
    let at = frame.payload.len().min(if frame.kind == GOAWAY { 8 } else { 4 });
    u32::from_be_bytes(frame.payload[at - 4..at].try_into().expect("four bytes"))
}

/// Requests over one HTTP/2 connection of a client library.
fn over_http2<T>(rig: &Rig, work: impl AsyncFnOnce(h2::client::SendRequest<hyper::body::Bytes>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address(rig)).await.expect("connected");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(trust(rig, b"h2")));
        let name = ServerName::try_from(NAME).expect("a name");
        let stream = connector.connect(name, stream).await.expect("a handshake");
        let (client, connection) = h2::client::handshake(stream).await.expect("greeted");
        tokio::spawn(connection);
        work(client.ready().await.expect("ready")).await
    })
}

/// One request; status, body, and what `header` says.
async fn ask(
    client: &mut h2::client::SendRequest<hyper::body::Bytes>,
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
    body: &'static [u8],
) -> (u16, Vec<u8>, hyper::HeaderMap) {
    let mut request = hyper::Request::builder().method(method).uri(format!("https://{NAME}{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (answer, mut sending) =
        client.send_request(request.body(()).expect("a request"), body.is_empty()).expect("sent");
    if !body.is_empty() {
        sending.send_data(hyper::body::Bytes::from_static(body), true).expect("sent");
    }
    let answer = answer.await.expect("an answer");
    let (parts, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("whole");
        body.flow_control().release_capacity(chunk.len()).expect("released");
        bytes.extend(chunk);
    }
    (parts.status.as_u16(), bytes, parts.headers)
}

#[test]
fn beacons_in_every_version_get_the_same_answer_and_are_counted_alike() {
    let rig = rig();
    let mut plain = rig.connect().get(&format!("{PIXEL}&rid=1"), &[]);
    let mut http1 = connect(&rig, b"http/1.1").get(&format!("{PIXEL}&rid=2"), &[]);
    assert!(plain.is_pixel() && http1.is_pixel());
    // The one header that a second may change.
    assert!(plain.headers.remove("date").is_some() && http1.headers.remove("date").is_some());
    assert_eq!((&plain.headers, &plain.body), (&http1.headers, &http1.body));
    over_http2(&rig, async |mut client| {
        let debug = [("x-sightline-debug", crate::rig::DEBUG_KEY)];
        let (status, body, headers) = ask(&mut client, ("GET", &format!("{PIXEL}&rid=3")), &debug, b"").await;
        assert_eq!((status, &body), (200, &plain.body));
        assert_eq!(headers["x-sightline-outcome"], "accepted");
        for (name, value) in &plain.headers {
            assert_eq!(headers[name.as_str()].to_str().expect("text"), value, "{name}");
        }
        let (status, _, headers) =
            ask(&mut client, ("GET", "/c?c=demo&p=p1&u=https%3A%2F%2Fwww.example.com%2F"), &[], b"").await;
        assert_eq!((status, headers["location"].to_str().expect("text")), (302, "https://www.example.com/"));
        let batch = br#"[{"c":"demo","p":"p1","stage":"impression"},{"c":"demo"}]"#;
        let (status, body, _) = ask(&mut client, ("POST", "/v1/events"), &[], batch).await;
        assert_eq!(status, 200);
        assert!(String::from_utf8_lossy(&body).contains("missing_placement"), "{body:?}");
    });
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.events.len()), (6, 5));
    // A click on a slow disk goes out unconfirmed.
    assert_eq!(stored.count(Outcome::Accepted) + stored.count(Outcome::UnconfirmedClick), 5);
}

#[test]
fn the_authority_stands_for_the_host_and_urls_are_secure() {
    let rig = rig();
    let wrapper = |body: &[u8]| {
        let text = String::from_utf8_lossy(body).into_owned();
        assert!(text.contains(&format!("https://{NAME}/")) && !text.contains("http://tracker"), "{text}");
    };
    over_http2(&rig, async |mut client| {
        let (status, body, _) = ask(&mut client, ("GET", "/vast?c=demo&p=p1"), &[], b"").await;
        assert_eq!(status, 200);
        wrapper(&body);
        // Whatever else a header claims.
        let (_, body, _) =
            ask(&mut client, ("GET", "/vast?c=demo&p=p1"), &[("host", "evil.example")], b"").await;
        wrapper(&body);
    });
    wrapper(&connect(&rig, b"http/1.1").get("/vast?c=demo&p=p1", &[]).body);
    rig.stop();
}

#[test]
fn who_knocks_without_shaking_hands_is_let_go() {
    let rig = rig();
    let began = Instant::now();
    let mut silent = Client::to(address(&rig));
    let mut half = Client::to(address(&rig));
    // The head of a ClientHello that never comes whole.
    half.send(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    let mut plain = Client::to(address(&rig));
    plain.send(b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n\r\n");
    // An alert of TLS and the end, long before the time of a handshake is over; never an answer of HTTP.
    let alert = plain.read_bytes(7).expect("an alert");
    assert_eq!(alert[..3], [0x15, 3, 3]);
    assert!(plain.is_closed());
    assert!(connect(&rig, b"http/1.1").get(PIXEL, &[]).is_pixel());
    assert!(silent.is_closed() && half.is_closed());
    assert!(began.elapsed() >= Duration::from_secs(1), "not before their time");
    assert_eq!(rig.stop().received(), 1);
}

#[test]
fn requests_beyond_the_limit_of_a_connection_are_refused_and_the_others_answered() {
    let rig = with(|settings| settings.limits.streams_max = 4);
    rig.disk.set(Mood::Hung);
    let mut frames = Frames::open(&rig, &[]);
    let requests: Vec<u8> = (0..10).flat_map(|number| get(1 + 2 * number)).collect();
    frames.send(&requests);
    let refused: Vec<u32> = (0..6)
        .map(|_| {
            let reset = frames.await_kind(RST_STREAM).expect("a refusal");
            assert_eq!(code(&reset), REFUSED_STREAM);
            reset.stream
        })
        .collect();
    assert_eq!(refused, [9, 11, 13, 15, 17, 19]);
    eventually("requests that wait for the disk", || !rig.is_disk_idle());
    rig.disk.set(Mood::Well);
    for _ in 0..4 {
        assert_eq!(frames.await_kind(HEADERS).expect("an answer").payload[0], 0x88, ":status 200");
    }
    assert_eq!(rig.stop().received(), 4);
}

#[test]
fn all_requests_of_a_lane_are_bounded_too() {
    let rig = with(|settings| settings.limits.connections_max = 3);
    rig.disk.set(Mood::Hung);
    let mut frames = Frames::open(&rig, &[]);
    frames.send(&(0..5).flat_map(|number| get(1 + 2 * number)).collect::<Vec<u8>>());
    for _ in 0..2 {
        let answer = frames.await_kind(HEADERS).expect("an answer");
        assert!([7, 9].contains(&answer.stream), "the last two: {answer:?}");
        assert_ne!(answer.payload[0], 0x88, "not 200");
    }
    rig.disk.set(Mood::Well);
    for _ in 0..3 {
        assert_eq!(frames.await_kind(HEADERS).expect("an answer").payload[0], 0x88, ":status 200");
    }
    assert_eq!(rig.stop().received(), 3);
}

#[test]
fn huge_headers_are_refused_and_bound_the_connection() {
    let rig = rig();
    over_http2(&rig, async |mut client| {
        let long = "x".repeat(30_000);
        let (status, _, _) = ask(&mut client, ("GET", PIXEL), &[("x-long", &long)], b"").await;
        assert_eq!(status, 431);
        let long = format!("{PIXEL}&x={}", "x".repeat(9_000));
        assert_eq!(ask(&mut client, ("GET", &long), &[], b"").await.0, 414);
        assert_eq!(ask(&mut client, ("GET", PIXEL), &[], b"").await.0, 200, "the connection goes on");
    });
    // A head that never ends.
    let mut frames = Frames::open(&rig, &[]);
    frames.send(&frame(HEADERS, 0, 1, &head("GET", PIXEL)));
    let piece = frame(CONTINUATION, 0, 1, &[[0x00, 1].as_slice(), b"a", &[100], &[b'x'; 100]].concat());
    frames.send(&piece.repeat(60));
    assert_ne!(code(&frames.await_kind(GOAWAY).expect("a word about it")), 0);
    assert!(rig.get(PIXEL).is_pixel());
    assert_eq!(rig.stop().received(), 2);
}

#[test]
fn a_flood_of_requests_taken_back_ends_its_connection_alone() {
    let rig = rig();
    let mut bystander = connect(&rig, b"http/1.1");
    assert!(bystander.get(PIXEL, &[]).is_pixel());
    let flood = |count: u32| -> Vec<u8> {
        (0..count).flat_map(|number| [get(1 + 2 * number), reset(1 + 2 * number)].concat()).collect()
    };
    let mut frames = Frames::open(&rig, &[]);
    frames.send(&flood(200));
    let end = frames.await_kind(GOAWAY).expect("a word about it");
    assert_eq!(code(&end), ENHANCE_YOUR_CALM);
    // Of more the word is lost: the connection is reset under what was not read.
    let mut frames = Frames::open(&rig, &[]);
    frames.send(&flood(5_000));
    while frames.next().is_some() {}
    assert!(bystander.get(PIXEL, &[]).is_pixel());
    let received = rig.stop().received();
    assert!(received < 2 + 1_000, "{received} of 5,200 were looked at");
}

#[test]
fn what_is_no_http2_ends_the_connection_and_nothing_else() {
    let rig = rig();
    for (what, bytes) in [
        ("a frame for stream 0", frame(DATA, 0, 0, b"x")),
        ("data nobody asked for", frame(DATA, 0, 1, b"x")),
        ("an even stream", get(2)),
        ("a frame longer than allowed", vec![0xff, 0xff, 0xff, HEADERS, END_HEADERS, 0, 0, 0, 1]),
        ("broken compression", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 20])),
        ("settings of a wrong length", frame(SETTINGS, 0, 0, &[0; 5])),
    ] {
        let mut frames = Frames::open(&rig, &[]);
        frames.send(&bytes);
        assert_ne!(code(&frames.await_kind(GOAWAY).expect(what)), 0, "{what}");
    }
    let mut frames = Frames(connect(&rig, b"h2"));
    frames.send(b"GET /i?c=demo&p=p1 HTTP/1.1\r\nHost: x\r\n\r\n");
    let first = frames.await_kind(GOAWAY);
    assert!(first.is_none_or(|end| code(&end) != 0), "HTTP/1.1 where HTTP/2 was agreed on");
    assert!(rig.get(PIXEL).is_pixel());
    assert_eq!(rig.stop().received(), 1);
}

#[test]
fn a_slow_body_is_cut_off_and_the_connection_goes_on() {
    let rig = with(|settings| settings.limits.body_seconds_max = 1);
    let mut frames = Frames::open(&rig, &[]);
    frames.send(&frame(HEADERS, END_HEADERS, 1, &head("POST", "/v1/events")));
    frames.send(&frame(DATA, 0, 1, b"["));
    frames.send(&get(3));
    let first = frames.await_kind(HEADERS).expect("an answer");
    assert_eq!((first.stream, first.payload[0]), (3, 0x88));
    let late = frames.await_kind(HEADERS).expect("an answer");
    assert_eq!(late.stream, 1);
    assert_ne!(late.payload[0], 0x88, "408");
    frames.send(&get(5));
    assert_eq!(frames.await_kind(HEADERS).expect("an answer").stream, 5);
    assert_eq!(rig.stop().received(), 2);
}

#[test]
fn an_idle_connection_is_said_goodbye_to() {
    let rig = with(|settings| settings.limits.idle_seconds_max = 1);
    let mut frames = Frames::open(&rig, &[]);
    frames.send(&get(1));
    frames.await_kind(HEADERS).expect("an answer");
    // Pings do not keep it.
    frames.send(&frame(PING, 0, 0, b"12345678"));
    assert_eq!(code(&frames.await_kind(GOAWAY).expect("a goodbye")), 0);
    while frames.await_kind(PING).is_some() {}
    let mut http1 = connect(&rig, b"http/1.1");
    assert!(http1.get(PIXEL, &[]).is_pixel());
    assert!(http1.is_closed());
    rig.stop();
}

#[test]
fn a_client_that_takes_no_answer_is_cut_off() {
    let rig = with(|settings| {
        settings.limits.idle_seconds_max = 1;
        settings.limits.write_seconds_max = 1;
    });
    // SETTINGS_INITIAL_WINDOW_SIZE 0: the body of no answer can be sent.
    let mut frames = Frames::open(&rig, &[0, 4, 0, 0, 0, 0]);
    frames.send(&get(1));
    frames.await_kind(HEADERS).expect("the head of an answer");
    frames.await_kind(GOAWAY).expect("a goodbye");
    while let Some(next) = frames.next() {
        assert_ne!(next.kind, DATA, "{next:?}");
    }
    assert_eq!(rig.stop().received(), 1);
}

#[test]
fn a_stop_answers_what_is_under_way_and_says_goodbye() {
    let rig = rig();
    let mut idle = Frames::open(&rig, &[]);
    idle.send(&get(1));
    idle.await_kind(HEADERS).expect("an answer");
    rig.disk.set(Mood::Hung);
    let mut waiting = Frames::open(&rig, &[]);
    waiting.send(&get(1));
    eventually("a request that waits for the disk", || !rig.is_disk_idle());
    rig.handle.as_ref().expect("running").begin_stop();
    assert_eq!(code(&idle.await_kind(GOAWAY).expect("a goodbye")), 0);
    while idle.await_kind(PING).is_some() {}
    rig.disk.set(Mood::Well);
    assert_eq!(waiting.await_kind(HEADERS).expect("an answer").payload[0], 0x88, ":status 200");
    while waiting.await_kind(PING).is_some() {}
    assert_eq!(rig.stop().events.len(), 2);
}

#[test]
fn a_caller_that_takes_his_request_back_is_still_counted() {
    let rig = rig();
    rig.disk.set(Mood::Hung);
    let mut frames = Frames::open(&rig, &[]);
    frames.send(&get(1));
    eventually("a request that waits for the disk", || !rig.is_disk_idle());
    for stream in [3, 5] {
        frames.send(&get(stream));
    }
    // What arrived behind an answered ping has been read: a reset that is read together with its request takes it back unseen.
    frames.send(&frame(PING, 0, 0, b"12345678"));
    frames.await_kind(PING).expect("its answer");
    eventually("requests that wait behind it", || rig.queued() >= 2);
    for stream in [1, 3] {
        frames.send(&reset(stream));
    }
    drop(frames);
    rig.disk.set(Mood::Well);
    let stored = rig.stop();
    assert_eq!((stored.received(), stored.count(Outcome::Accepted)), (3, 3));
    assert_eq!(stored.events.len(), 3);
}

#[test]
fn a_tracker_without_a_certificate_does_not_start_with_tls() {
    let rig = Rig::start();
    let settings = ingest::Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        listen_tls: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..ingest::Settings::default()
    };
    let error = rig.start_another(settings).err().expect("refused");
    assert_eq!(error.key(), Some("tracker.listen_tls"));
    assert!(error.to_string().contains("without a certificate"), "{error}");
    rig.stop();
}
