//! Handshakes and conversations over a pipe in memory: versions, tickets, no early data, idle connections, the end.

#![cfg(test)]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use event::clock::Clock;
use http_body_util::Full;
use hyper::{Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tls::{Acceptor, Certificates, Protocol, Settings, Terms, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "page.example";
const PIPE_BYTES: usize = 64 * 1024;
const TERMS: Terms = Terms {
    head_bytes_max: 16 * 1024,
    headers_max: 100,
    head_wait: Duration::from_secs(1),
    drain: Duration::from_secs(5),
};

/// An acceptor, and the certificate that clients have to trust.
fn acceptor() -> (Acceptor, CertificateDer<'static>) {
    let folder = tempfile::tempdir().expect("a folder");
    let issued = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("issued");
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("its mode");
        path
    };
    let settings = Settings {
        certificate_file: Some(put("c.pem", issued.cert.pem())),
        key_file: Some(put("k.pem", issued.signing_key.serialize_pem())),
        ..Settings::default()
    };
    let loaded = Certificates::load(&settings, &Clock::System).expect("good").expect("is configured");
    let certificate = CertificateDer::from_pem_slice(issued.cert.pem().as_bytes()).expect("PEM");
    (loaded.acceptor("test"), certificate)
}

fn client(
    certificate: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.enable_early_data = true;
    TlsConnector::from(Arc::new(config))
}

type Server = tls::handshake::TlsStream<DuplexStream>;

/// Both ends of a new connection.
async fn shake(acceptor: &Acceptor, connector: &TlsConnector) -> (TlsStream<DuplexStream>, Server, Protocol) {
    let (ours, theirs) = duplex(PIPE_BYTES);
    let name = ServerName::try_from(NAME).expect("a name");
    let (client, server) = tokio::join!(connector.connect(name, ours), acceptor.accept(theirs));
    let (server, protocol) = server.expect("a handshake");
    (client.expect("a handshake"), server, protocol)
}

#[tokio::test]
async fn the_best_common_version_is_spoken_and_nothing_old() {
    let (acceptor, certificate) = acceptor();
    for (versions, alpn, protocol, version) in [
        (
            [&TLS12, &TLS13].as_slice(),
            [b"http/1.1".as_slice(), b"h2"].as_slice(),
            Protocol::Http2,
            ProtocolVersion::TLSv1_3,
        ),
        (&[&TLS12], &[b"h2"], Protocol::Http2, ProtocolVersion::TLSv1_2),
        (&[&TLS13], &[b"http/1.1"], Protocol::Http1, ProtocolVersion::TLSv1_3),
        (&[&TLS13], &[], Protocol::Http1, ProtocolVersion::TLSv1_3),
    ] {
        let connector = client(&certificate, versions, alpn);
        let (client, _server, spoken) = shake(&acceptor, &connector).await;
        assert_eq!(spoken, protocol);
        assert_eq!(client.get_ref().1.protocol_version(), Some(version));
    }
    let (ours, theirs) = duplex(PIPE_BYTES);
    let connector = client(&certificate, &[&TLS13], &[b"spdy/3"]);
    let name = ServerName::try_from(NAME).expect("a name");
    let (client, server) = tokio::join!(connector.connect(name, ours), acceptor.accept(theirs));
    assert!(client.is_err() && server.is_err_and(|refusal| refusal == tls::Refusal::Failed));
}

#[tokio::test]
async fn a_session_is_taken_up_again_and_never_with_early_data() {
    let (acceptor, certificate) = acceptor();
    for version in [&TLS12, &TLS13] {
        let connector = client(&certificate, &[version], &[b"http/1.1"]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (mut client, mut server, _) = shake(&acceptor, &connector).await;
            kinds.push(client.get_ref().1.handshake_kind());
            assert!(!client.get_ref().1.is_early_data_accepted());
            // The tickets come with the first bytes.
            server.write_all(b"hello").await.expect("written");
            server.flush().await.expect("written");
            client.read_exact(&mut [0; 5]).await.expect("read");
        }
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)], "{version:?}");
    }
}

/// A server that answers `/slow` when told to and everything else at once; a client of HTTP/2 on the other end.
struct Talk {
    client: h2::client::SendRequest<Bytes>,
    /// Ends when the connection does.
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
    stop: Option<oneshot::Sender<()>>,
    answer: Option<oneshot::Sender<()>>,
}

async fn talk() -> Talk {
    let (acceptor, certificate) = acceptor();
    let connector = client(&certificate, &[&TLS13], &[b"h2"]);
    let (stream, server, protocol) = shake(&acceptor, &connector).await;
    let (stop, stopped) = oneshot::channel();
    let (answer, answered) = oneshot::channel::<()>();
    let answered = Arc::new(tokio::sync::Mutex::new(Some(answered)));
    let serve = move |request: Request<hyper::body::Incoming>| {
        let answered = Arc::clone(&answered);
        async move {
            if request.uri().path() == "/slow"
                && let Some(answered) = answered.lock().await.take()
            {
                let _ = answered.await;
            }
            let host = request.headers().get("host").map_or("", |host| host.to_str().unwrap_or(""));
            Response::new(Full::new(Bytes::from(host.to_owned())))
        }
    };
    tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        tls::converse(server, Version::secure(protocol), TERMS, serve, stopped).await
    });
    let (client, connection) = h2::client::handshake(stream).await.expect("greeted");
    let connection = tokio::spawn(connection);
    Talk { client: client.ready().await.expect("ready"), connection, stop: Some(stop), answer: Some(answer) }
}

impl Talk {
    fn ask(&mut self, path: &str) -> h2::client::ResponseFuture {
        let request = Request::get(format!("https://{NAME}{path}")).header("host", "evil.example");
        let request = request.body(()).expect("a request");
        self.client.send_request(request, true).expect("sent").0
    }
}

#[tokio::test]
async fn the_authority_is_the_host_and_browsers_are_told_to_insist() {
    let mut talk = talk().await;
    let mut answer = talk.ask("/").await.expect("an answer");
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=15768000");
    let body = answer.body_mut().data().await.expect("a body").expect("whole");
    assert_eq!(body, NAME);
}

#[tokio::test]
async fn an_idle_connection_ends_and_one_with_work_does_not() {
    let mut talk = talk().await;
    let began = Instant::now();
    let slow = talk.ask("/slow");
    // Others come and go beside it for longer than an idle connection lives.
    while began.elapsed() < TERMS.head_wait * 3 {
        talk.ask("/").await.expect("an answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!talk.connection.is_finished());
    talk.answer.take().expect("not answered yet").send(()).expect("waits");
    slow.await.expect("an answer");
    let end = tokio::time::timeout(Duration::from_secs(20), talk.connection).await;
    // Its last word may meet a pipe that is closed already.
    drop(end.expect("it ends").expect("no panic"));
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way() {
    let mut talk = talk().await;
    let slow = talk.ask("/slow");
    talk.ask("/").await.expect("an answer");
    talk.stop.take().expect("not stopped yet").send(()).expect("runs");
    talk.answer.take().expect("not answered yet").send(()).expect("waits");
    assert_eq!(slow.await.expect("an answer").status(), 200);
    let end = tokio::time::timeout(Duration::from_secs(20), talk.connection).await;
    // Its last word may meet a pipe that is closed already.
    drop(end.expect("it ends").expect("no panic"));
}
