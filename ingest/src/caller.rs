//! What a request says about whoever sent it, besides the beacon itself: its address and agent, its rights, and the signals of the browser.
//!
//! It owns the reading of headers, once for each request, a batch included. It must never decide anything.

use std::net::IpAddr;

use event::key::signature::{DEVICE_AGENT_HEADER, DEVICE_IP_HEADER};
use hyper::header::{COOKIE, DNT, HeaderMap, REFERER, USER_AGENT};
use hyper::{Method, Uri};
use memchr::memmem;

use crate::address;
use crate::id_cookie;
use crate::lane::Lane;
use crate::senders::{Sender, Senders, asked, names_sender};
use crate::settings::Settings;

/// SHA-256 of nothing (FIPS 180-4).
const NO_BODY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) sender: Sender,
    /// Where the request came from; `None` if a proxy of ours does not know.
    pub(crate) address: Option<IpAddr>,
    /// `Referer`: only its host is ever looked at.
    pub(crate) referer: Option<&'a [u8]>,
    /// The id cookie that we gave this browser, where the setting is on.
    pub(crate) id_cookie: Option<&'a [u8]>,
    /// `User-Agent`, or empty.
    pub(crate) agent: &'a [u8],
    /// `X-Device-IP`: the viewer's address as a stitching server says it. Signed where the request is; empty is absent, as a signature has it.
    pub(crate) device_ip: Option<&'a [u8]>,
    /// `X-Device-User-Agent`, likewise.
    pub(crate) device_agent: Option<&'a [u8]>,
    pub(crate) signals: Signals,
    /// The view of a hit that names none, by the signature or the idempotency key of its request; 0 without one.
    pub(crate) view: u64,
}

/// What the browser asks for, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signals(u8);

impl Signals {
    /// The browser's own opt-out cookie.
    pub(crate) const OPTED_OUT: Self = Self(1 << 0);
    /// Fetched ahead of time, perhaps never shown.
    pub(crate) const PREFETCH: Self = Self(1 << 1);
    /// `Sec-GPC: 1`.
    pub(crate) const GPC: Self = Self(1 << 2);
    /// `DNT: 1`.
    pub(crate) const DNT: Self = Self(1 << 3);

    pub(crate) fn has(self, signal: Self) -> bool {
        self.0 & signal.0 != 0
    }

    fn set(&mut self, signal: Self, is_set: bool) {
        if is_set {
            self.0 |= signal.0;
        }
    }
}

impl<'a> Caller<'a> {
    /// An ordinary viewer of whom nothing is known but the agent.
    pub(crate) fn viewer(agent: &'a [u8]) -> Self {
        Self {
            sender: Sender::Viewer,
            address: None,
            referer: None,
            id_cookie: None,
            agent,
            device_ip: None,
            device_agent: None,
            signals: Signals::default(),
            view: 0,
        }
    }

    /// Reads a request's headers.
    pub(crate) fn read(headers: &'a HeaderMap, peer: IpAddr, settings: &Settings, senders: &Senders) -> Self {
        let mut caller =
            Self { address: address::client(peer, headers, &settings.trusted_proxies), ..Self::viewer(b"") };
        let mut is_sender_named = false;
        for (name, value) in headers {
            let bytes = value.as_bytes();
            // What nearly all requests have is compared as what it is; only the few other names as text.
            if *name == USER_AGENT {
                caller.agent = bytes;
            } else if *name == COOKIE {
                caller.signals.set(Signals::OPTED_OUT, has_opt_out_cookie(bytes));
                if settings.id_cookie {
                    caller.id_cookie = caller.id_cookie.or(id_cookie::find(bytes));
                }
            } else if *name == REFERER {
                caller.referer = Some(bytes);
            } else if *name == DNT {
                caller.signals.set(Signals::DNT, bytes.trim_ascii() == b"1");
            } else if names_sender(name) {
                is_sender_named = true;
            } else {
                caller.take(name.as_str(), bytes);
            }
        }
        if is_sender_named {
            caller.sender = senders.sender(headers);
        }
        if let (Sender::Viewer, Some(address)) = (caller.sender, caller.address) {
            caller.sender = senders.by_network(address).sender;
        }
        caller
    }

    /// Takes one of the rarer headers.
    fn take(&mut self, name: &str, value: &'a [u8]) {
        match name {
            "sec-purpose" | "purpose" | "x-purpose" | "x-moz" => {
                self.signals.set(Signals::PREFETCH, is_ahead_of_time(value));
            }
            "sec-gpc" => self.signals.set(Signals::GPC, value.trim_ascii() == b"1"),
            DEVICE_IP_HEADER => self.device_ip = Some(value).filter(|value| !value.is_empty()),
            DEVICE_AGENT_HEADER => self.device_agent = Some(value).filter(|value| !value.is_empty()),
            _ => {}
        }
    }

    /// The same, once a signature was held against a `GET` of this target. A request without one stays what it is.
    pub(crate) fn proved(mut self, lane: &Lane, headers: &HeaderMap, uri: &Uri) -> Self {
        if matches!(self.sender, Sender::Refused(_)) {
            let claim = lane.senders.claim(headers, lane.clock.now_ms());
            let known = claim.verify(asked(&Method::GET, uri, headers), &NO_BODY_SHA256);
            self.sender = known.sender;
            let view = |signature: [u8; 64]| lane.keys.signed_item_hash(known.name, &signature, 0);
            self.view = known.signature.map_or(0, view);
        }
        self
    }
}

/// Whether a `Cookie` header holds the opt-out cookie with any value but an empty one.
fn has_opt_out_cookie(header: &[u8]) -> bool {
    let name = opt_out::COOKIE_NAME.as_bytes();
    // Most requests have cookies of others, if any: this look-up spares them the loop.
    memmem::find(header, name).is_some()
        && header.split(|byte| *byte == b';').any(|pair| {
            let value = pair.trim_ascii().strip_prefix(name).and_then(|rest| rest.strip_prefix(b"="));
            value.is_some_and(|value| !matches!(value.trim_ascii(), b"" | b"\"\""))
        })
}

/// Whether a purpose says that nobody looks at the page yet: `prefetch`, `prefetch;prerender`, `preview`, `instant` (DOMAIN §5).
fn is_ahead_of_time(value: &[u8]) -> bool {
    value.split(|byte| matches!(byte, b';' | b',')).any(|word| {
        let word = word.trim_ascii();
        [&b"prefetch"[..], b"prerender", b"preview", b"instant"]
            .iter()
            .any(|purpose| word.eq_ignore_ascii_case(purpose))
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn signals(headers: &[(&str, &str)]) -> Signals {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
                (name, HeaderValue::from_str(value).expect("a header value"))
            })
            .collect();
        Caller::read(&headers, Ipv4Addr::LOCALHOST.into(), &Settings::default(), &Senders::default()).signals
    }

    #[test]
    fn the_opt_out_cookie_is_found_among_others() {
        for (cookie, expected) in [
            ("sightline_opt_out=1.abc", true),
            ("a=b; sightline_opt_out=1.abc; c=d", true),
            ("a=b;sightline_opt_out=x", true),
            ("sightline_opt_out=", false),
            ("sightline_opt_out=\"\"", false),
            ("sightline_opt_out", false),
            ("not_sightline_opt_out=1", false),
            ("a=sightline_opt_out=1", false),
            ("sightline_opt_outs=1", false),
        ] {
            assert_eq!(signals(&[("cookie", cookie)]).has(Signals::OPTED_OUT), expected, "{cookie}");
        }
    }

    #[test]
    fn what_is_fetched_ahead_is_seen() {
        for (name, value, expected) in [
            ("sec-purpose", "prefetch", true),
            ("sec-purpose", "prefetch;prerender", true),
            ("sec-purpose", "prefetch;anonymous-client-ip", true),
            ("purpose", "prefetch", true),
            ("purpose", "Prefetch", true),
            ("x-moz", "prefetch", true),
            ("x-purpose", "preview", true),
            ("x-purpose", "instant", true),
            ("sec-purpose", "", false),
            ("purpose", "navigation", false),
        ] {
            assert_eq!(signals(&[(name, value)]).has(Signals::PREFETCH), expected, "{name}: {value}");
        }
    }

    #[test]
    fn only_the_value_one_asks_for_privacy() {
        assert!(signals(&[("sec-gpc", "1")]).has(Signals::GPC));
        assert!(!signals(&[("sec-gpc", "0")]).has(Signals::GPC));
        assert!(!signals(&[("sec-gpc", "true")]).has(Signals::GPC));
        assert!(signals(&[("dnt", "1")]).has(Signals::DNT));
        assert!(!signals(&[("dnt", "0")]).has(Signals::DNT));
    }
}
