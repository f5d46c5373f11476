//! Where a click may land. A URL is taken apart as strictly as the strictest browser would: whatever two readers could understand
//! differently is no URL here, because the reader that checks it and the browser that follows it must see the same host.

/// Where a click goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing<'a> {
    /// To the asked URL: its host is registered. Holds no control character; characters beyond ASCII are for the caller to escape.
    To(&'a str),
    /// To the placement's landing page.
    Page {
        /// The registered page.
        url: &'a str,
        /// Whether something unregistered was asked for.
        refused: bool,
    },
    /// An unregistered host, or what is no URL, was asked for, and there is no page.
    Refused,
    /// Nothing was asked for, and there is no page.
    Nothing,
}

/// Longest host name, bytes (RFC 1035).
pub(crate) const HOST_BYTES_MAX: usize = 253;
/// Longest label of a host name, bytes (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// The URL as text and its host, if it is an absolute `http` or `https` URL that can be read in one way only.
///
/// Refused: user information (`https://good.example@evil.example`), backslashes, percent escapes and characters beyond ASCII in the
/// authority, control characters anywhere, an empty host, label or port, a trailing dot, other schemes, and relative or
/// protocol-relative URLs (`//evil.example`). The host keeps its letter case.
pub fn host_of(url: &[u8]) -> Option<(&str, &str)> {
    let url = std::str::from_utf8(url).ok()?;
    if url.chars().any(char::is_control) {
        return None;
    }
    let rest = strip_scheme(url, "https://").or_else(|| strip_scheme(url, "http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = split_port(authority)?;
    let port_fits = port.is_none_or(|port| {
        port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    (port_fits && is_host(host)).then_some((url, host))
}

/// Whether this is a host name, an IPv4 address, or an IPv6 address in brackets, in any letter case.
pub(crate) fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<std::net::Ipv6Addr>().is_ok();
    }
    host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
}

/// Whether `host` (of any letter case) is one of the registered hosts: the same name, or below one that begins with a dot.
pub(crate) fn is_among<'r>(host: &str, registered: impl IntoIterator<Item = &'r String>) -> bool {
    registered.into_iter().any(|registered| {
        let tail = if registered.starts_with('.') {
            // At least one byte has to stand before the dot.
            host.len()
                .checked_sub(registered.len())
                .filter(|before| *before > 0)
                .and_then(|at| host.get(at..))
        } else {
            Some(host)
        };
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(registered))
    })
}

/// Registered hosts of the whole catalog, lower case; suffixes keep their dot.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    registered: ahash::HashSet<String>,
}

impl Hosts {
    pub(crate) fn insert(&mut self, host: &str) {
        self.registered.insert(host.to_owned());
    }

    pub(crate) fn contains(&self, host: &str) -> bool {
        if !is_host(host) {
            return false;
        }
        let host = host.to_ascii_lowercase();
        let suffixes = host.match_indices('.').filter(|(at, _)| *at > 0).filter_map(|(at, _)| host.get(at..));
        std::iter::once(host.as_str()).chain(suffixes).any(|name| self.registered.contains(name))
    }
}

fn strip_scheme<'u>(url: &'u str, scheme: &str) -> Option<&'u str> {
    let (head, rest) = url.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Host and port of an authority without user information.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at_checked(end)?;
    if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
