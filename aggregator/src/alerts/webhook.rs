//! Telling alerts to a URL of the operator's: one POST for each that opens or resolves.
//!
//! ```text
//! POST <url>
//! content-type: application/json
//! x-sightline-delivery: 0123456789abcdef-opened        the same in each try
//! x-sightline-timestamp: 1795176000                    seconds
//! x-sightline-signature: v1=<hex of HMAC-SHA-256(secret, timestamp + "." + body)>
//!
//! {"event":"opened","alert":{"id":…,"campaign":…,"placement":…,"kind":…,"since":…,"resolved":null,"value":…,"limit":…,"text":{"en":…,"zh":…}}}
//! ```
//!
//! Any 2xx is taken for delivered. A message may come twice, after a crash or an answer that got lost: the receiver tells by the alert's id and the event,
//! which stand in the body and are signed. `x-sightline-delivery` is both of them and is not: it is for logs, and whoever sends a message that he recorded once
//! more may write anything there.
//!
//! Must never: follow a redirect (the signed message would go where the operator did not send it), read an answer's body, or show the secret.

use std::time::Duration;

use bytes::Bytes;
use catalog::Campaign;
use event::clock::Clock;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::runtime::{Builder, Runtime};

use super::state::Kept;
use super::words::{Words, words};
use crate::tokens::hex;

/// Longest that one try may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Shortest secret, bytes.
pub(crate) const SECRET_BYTES_MIN: usize = 16;

/// Where alerts are told.
#[derive(Clone)]
pub struct Webhook {
    /// An absolute http or https URL.
    pub url: String,
    /// What messages are signed with, at least 16 bytes.
    pub secret: String,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Webhook")
    }
}

/// Operator: the webhook cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("[alerts] {0}")]
pub struct WebhookError(String);

/// An alert as answers and messages show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) campaign: String,
    pub(crate) placement: Option<String>,
    pub(crate) kind: &'static str,
    pub(crate) since: String,
    pub(crate) value: Option<f64>,
    pub(crate) limit: f64,
    pub(crate) text: Words,
}

impl Shown {
    pub(crate) fn of(id: &str, kept: &Kept, campaign: Option<&Campaign>, tells_value: bool) -> Self {
        Self {
            id: kept.id.clone(),
            campaign: id.to_owned(),
            placement: kept.placement.clone(),
            kind: kept.kind.name(),
            since: moment(kept.since_ms),
            value: tells_value.then_some(kept.value),
            limit: kept.limit,
            text: words(kept, campaign, tells_value),
        }
    }
}

fn moment(at_ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at_ms);
    time.map_or_else(String::new, |time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// A message that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    delivery: String,
    body: Vec<u8>,
}

impl Message {
    /// What is to be told next of an alert.
    pub(crate) fn of(id: &str, kept: &Kept, campaign: Option<&Campaign>) -> Self {
        let event = if kept.told == 0 { "opened" } else { "resolved" };
        let mut alert =
            serde_json::to_value(Shown::of(id, kept, campaign, true)).expect("alerts can be written");
        let resolved = kept.resolved_ms.filter(|_| kept.told > 0).map(moment);
        if let Value::Object(alert) = &mut alert {
            alert.insert("resolved".to_owned(), json!(resolved));
        }
        let body = json!({ "event": event, "alert": alert });
        Self {
            delivery: format!("{}-{event}", kept.id),
            body: serde_json::to_vec(&body).expect("alerts can be written"),
        }
    }
}

/// Sends messages. Blocks.
pub(crate) struct Sender {
    url: Uri,
    key: Hmac<Sha256>,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Runtime,
}

impl Sender {
    /// # Errors
    /// The URL, the secret or the system's certificates cannot be used.
    pub(crate) fn new(Webhook { url: address, secret }: Webhook) -> Result<Self, WebhookError> {
        let (url, secret) = (url(&address)?, secret.trim());
        if secret.len() < SECRET_BYTES_MIN {
            let problem = format!("secret_file: the secret has fewer than {SECRET_BYTES_MIN} bytes");
            return Err(WebhookError(problem));
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(ANSWER_WAIT));
        connector.enforce_http(false);
        let provider = rustls::crypto::ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = if url.scheme_str() == Some("https") {
            builder.with_provider_and_native_roots(provider).map_err(|error| {
                WebhookError(format!("webhook_url: the system's certificates cannot be read: {error}"))
            })?
        } else {
            let config = ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(|error| WebhookError(error.to_string()))?;
            builder
                .with_tls_config(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(connector);
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            url,
            key: Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length"),
            // Messages are rare: no connection is kept.
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector),
            runtime: runtime.map_err(|error| WebhookError(error.to_string()))?,
        })
    }

    /// Sends a message once.
    ///
    /// # Errors
    /// It was not taken: why, without the URL, which may hold a secret of the receiver's.
    pub(crate) fn send(&self, message: &Message) -> Result<(), String> {
        // The receiver holds it against its own clock, so a clock of tests is no use here.
        let timestamp = (Clock::System.now_ms() / 1000).to_string();
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header("content-type", "application/json")
            .header("user-agent", concat!("Sightline/", env!("CARGO_PKG_VERSION")))
            .header("x-sightline-delivery", &message.delivery)
            .header("x-sightline-timestamp", &timestamp)
            .header("x-sightline-signature", format!("v1={}", self.signature(&timestamp, &message.body)))
            .body(Full::new(Bytes::from(message.body.clone())))
            .map_err(|_| "the message is no request".to_owned())?;
        let answer = async { tokio::time::timeout(ANSWER_WAIT, self.client.request(request)).await };
        match self.runtime.block_on(answer) {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("answered {}", answer.status().as_u16())),
            Ok(Err(error)) if error.is_connect() => Err("it cannot be reached".to_owned()),
            Ok(Err(_)) => Err("the connection broke off".to_owned()),
            Err(_) => Err(format!("no answer within {} s", ANSWER_WAIT.as_secs())),
        }
    }

    fn signature(&self, timestamp: &str, body: &[u8]) -> String {
        let mut state = self.key.clone();
        state.update(timestamp.as_bytes());
        state.update(b".");
        state.update(body);
        hex(&state.finalize().into_bytes())
    }
}

pub(super) fn url(text: &str) -> Result<Uri, WebhookError> {
    let wrong = || {
        WebhookError("webhook_url: not an absolute http or https URL without user and password".to_owned())
    };
    let url: Uri = text.parse().map_err(|_| wrong())?;
    let is_right = matches!(url.scheme_str(), Some("http" | "https"))
        && url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if is_right { Ok(url) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str, secret: &str) -> Result<Sender, WebhookError> {
        Sender::new(Webhook { url: url.to_owned(), secret: secret.to_owned() })
    }

    #[test]
    fn a_signature_is_that_of_the_standard() {
        let sender = webhook("http://127.0.0.1:9/x", "0123456789abcdef0123456789abcdef\n").expect("usable");
        // printf '1795176000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let expected = "3d40cdafae8ac2266c75f750932ea51cc25c7565f754109b3bbe9114a9dedb86";
        assert_eq!(sender.signature("1795176000", b"{}"), expected);
    }

    #[test]
    fn what_is_no_web_address_or_no_secret_is_refused() {
        for url in ["", "hooks.example.com/x", "/x", "ftp://example.com/", "http://user:word@example.com/"] {
            assert!(webhook(url, &"s".repeat(16)).is_err(), "{url}");
        }
        assert!(webhook("http://example.com/", "short").is_err());
        let shown = format!("{:?}", Webhook { url: "http://e/".to_owned(), secret: "hidden".to_owned() });
        assert!(!shown.contains("hidden"));
    }
}
