//! HTTPS: certificates are checked, against the system's authorities or those of a file.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use aggregator::store::{ServerError, StoreAt, StoreError};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::rig::{Rig, servers};

/// Answers one request on each of `connections` over TLS, with a certificate of its own making for 127.0.0.1. Its address and that certificate.
fn https(connections: usize) -> (String, String, JoinHandle<()>) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
        })
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream.expect("accepted"));
            let mut head = [0; 4096];
            // A client that does not trust us goes away in the handshake.
            if stream.read(&mut head).is_ok_and(|length| length > 0) {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\n26.7");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    (url, pem, thread)
}

#[test]
fn a_server_with_an_unknown_certificate_is_refused() {
    let (url, pem, thread) = https(1);
    let mut at = servers(&[&url], Duration::ZERO);
    // Some authority, but not this one's.
    let (other, other_pem, other_thread) = https(2);
    at.authorities = Some(other_pem.clone().into_bytes());
    let error = Rig::open("unknown", StoreAt::Servers(at), "x".to_owned()).err().expect("refused");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(matches!(error, StoreError::Server(ServerError::Unreachable { .. })), "{error}");
    thread.join().expect("no panic");
    // Its own authority: the handshake succeeds and the server is asked (for its version, and for its database).
    let mut at = servers(&[&other], Duration::ZERO);
    at.authorities = Some(other_pem.into_bytes());
    assert!(Rig::open("known", StoreAt::Servers(at), "x".to_owned()).is_ok());
    // The rig asked once more, to drop its database, and found nobody.
    other_thread.join().expect("no panic");
    drop(pem);
}

#[test]
fn a_file_without_certificates_is_told() {
    let mut at = servers(&["https://127.0.0.1:1"], Duration::ZERO);
    at.authorities = Some(b"no certificate".to_vec());
    let error = Rig::open("empty", StoreAt::Servers(at), "x".to_owned()).err().expect("refused");
    assert!(error.to_string().contains("ca_file"), "{error}");
}
