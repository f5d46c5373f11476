//! Whose address a request came from.
//!
//! It owns the list of trusted proxies and the reading of `X-Forwarded-For`. It must never believe that header from a peer that is not
//! one of our own proxies, and never keep an address: [`event::address::cut`] does before anything is stored.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use thiserror::Error;

/// Entries of `X-Forwarded-For` that are looked at, from the right. More proxies in a row are no installation of ours.
const FORWARDED_HOPS_MAX: usize = 16;

/// Leading bits that all IPv4 addresses mapped into IPv6 have in common.
const MAPPED_PREFIX_BITS: u8 = 96;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no network: write an address, a slash and the number of leading bits, as 10.0.0.0/8 or fd00::/8"
)]
pub struct CidrError {
    text: String,
}

/// The address the request came from: the peer's, or where the peer is a trusted proxy, the rightmost address of `X-Forwarded-For` that
/// is not a trusted proxy's. `None` where that entry is no address: whoever wrote it, it was not us.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(peer, trusted) {
        return Some(peer);
    }
    let mut nearest = Some(peer);
    let mut hops = 0;
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
            hops += 1;
            if hops > FORWARDED_HOPS_MAX {
                return None;
            }
            nearest = parse(entry);
            match nearest {
                Some(address) if is_trusted(address, trusted) => {}
                Some(_) | None => return nearest,
            }
        }
    }
    nearest
}

/// An address as headers and parameters write it: alone, with a port (`192.0.2.1:80`, `[2001:db8::1]:80`), or in brackets. An IPv4 address
/// mapped into IPv6 comes out as IPv4.
pub(crate) fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let bare = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']')?;
        (rest.is_empty() || is_port(rest)).then_some(address)?
    } else if let Some((address, _)) = text.split_once(':').filter(|(_, port)| !port.contains(':')) {
        is_port(text.get(address.len()..)?).then_some(address)?
    } else {
        text
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// `:` and a port number.
fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
}

pub(crate) fn is_trusted(address: IpAddr, trusted: &[Cidr]) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

impl Cidr {
    /// Whether the network holds an address. An IPv4 network holds the IPv4-mapped form too.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_bits)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_bits)).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.0.0/8`, or an address alone for itself. An IPv4 network mapped into IPv6 comes out as IPv4.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let error = || CidrError { text: text.to_owned() };
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let network: IpAddr = address.parse().map_err(|_| error())?;
        let bits_max = if network.is_ipv4() { 32 } else { 128 };
        let prefix_bits: u8 = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= bits_max).ok_or_else(error)?,
            None => bits_max,
        };
        // Addresses are compared in their shortest form, so an IPv4 network written as IPv6 must be one of IPv4.
        match (network, network.to_canonical()) {
            (IpAddr::V6(_), network @ IpAddr::V4(_)) => {
                let prefix_bits = prefix_bits.checked_sub(MAPPED_PREFIX_BITS).ok_or_else(error)?;
                Ok(Self { network, prefix_bits })
            }
            (network, _) => Ok(Self { network, prefix_bits }),
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn networks(list: &[&str]) -> Vec<Cidr> {
        list.iter().map(|text| text.parse().expect("a network")).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn seen(peer: &str, lines: &[&str], trusted: &[&str]) -> Option<IpAddr> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).expect("a header value"));
        }
        client(ip(peer), &headers, &networks(trusted))
    }

    #[test]
    fn networks_hold_what_their_bits_say() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("::ffff:0.0.0.0/96", "203.0.113.9", "2001:db8::1"),
        ] {
            let network: Cidr = network.parse().expect("a network");
            assert!(network.contains(ip(inside)), "{network} {inside}");
            assert!(!network.contains(ip(outside)), "{network} {outside}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "::ffff:10.0.0.0/95",
            "fd00::/129",
            "10.0.0/8",
            "x/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_stranger_cannot_lend_itself_an_address() {
        assert_eq!(seen("198.51.100.7", &["203.0.113.1"], &[]), Some(ip("198.51.100.7")));
        assert_eq!(seen("198.51.100.7", &["203.0.113.1"], &["10.0.0.0/8"]), Some(ip("198.51.100.7")));
    }

    #[test]
    fn behind_proxies_the_rightmost_stranger_counts() {
        let trusted = ["10.0.0.0/8"];
        for (lines, expected) in [
            (&["203.0.113.1"][..], Some("203.0.113.1")),
            (&["1.1.1.1, 203.0.113.1"], Some("203.0.113.1")),
            (&["1.1.1.1, 203.0.113.1, 10.0.0.2"], Some("203.0.113.1")),
            (&["1.1.1.1", "203.0.113.1", "10.0.0.2,10.0.0.3"], Some("203.0.113.1")),
            (&["203.0.113.1:4711"], Some("203.0.113.1")),
            (&["[2001:db8::1]:80"], Some("2001:db8::1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["::ffff:203.0.113.1"], Some("203.0.113.1")),
            (&["1.1.1.1, unknown"], None),
            (&["1.1.1.1,"], None),
            (&["10.0.0.9, 10.0.0.2"], Some("10.0.0.9")),
            (&[], Some("10.0.0.1")),
        ] {
            assert_eq!(seen("10.0.0.1", lines, &trusted), expected.map(ip), "{lines:?}");
        }
        let long = vec!["10.0.0.2"; 40].join(",");
        assert_eq!(seen("10.0.0.1", &[&long], &trusted), None);
    }
}
