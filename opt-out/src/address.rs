//! Whose address a request came from, for the rate limit.
//!
//! It owns the list of trusted proxies and the reading of `X-Forwarded-For`. It must never believe that header from a peer that is not one
//! of our own proxies, and never log or keep an address beyond the rate limit's table in memory.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use hyper::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use thiserror::Error;

/// Entries of `X-Forwarded-For` that are looked at, from the right. More proxies in a row are no installation of ours.
const FORWARDED_HOPS_MAX: usize = 16;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cidr {
    network: u128,
    /// Of the 128 bits of the address, IPv4 written as an IPv6-mapped one.
    prefix_bits: u32,
}

/// Why a text is no network. The operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no network: write an address, a slash and the number of leading bits, as 10.0.0.0/8 or fd00::/8"
)]
pub struct CidrError {
    text: String,
}

impl Cidr {
    fn contains(self, address: IpAddr) -> bool {
        leading(bits(address), self.prefix_bits) == self.network
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `10.0.0.0/8`; an address alone is a network of its own. Bits behind the prefix are not looked at.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let error = || CidrError { text: text.to_owned() };
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let (width, mapped) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = prefix.map_or(Ok(width), |prefix| prefix.parse::<u32>().map_err(|_| error()))?;
        if prefix > width {
            return Err(error());
        }
        let prefix_bits = prefix + mapped;
        Ok(Self { network: leading(bits(address), prefix_bits), prefix_bits })
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

/// The address the request came from: the peer's, or where the peer is a trusted proxy, the rightmost address of `X-Forwarded-For` that is
/// not a trusted proxy's. An entry that is no address ends the search: the proxy that handed it on stands for all behind it.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut nearest = peer.to_canonical();
    if !is_trusted(nearest) {
        return nearest;
    }
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for entry in entries.take(FORWARDED_HOPS_MAX) {
        let Some(address) =
            std::str::from_utf8(entry).ok().and_then(|entry| entry.trim().parse::<IpAddr>().ok())
        else {
            return nearest;
        };
        nearest = address.to_canonical();
        if !is_trusted(nearest) {
            return nearest;
        }
    }
    nearest
}

/// What one person's connections have in common: the IPv4 address, or the /64 that an IPv6 subscriber gets.
pub(crate) fn subscriber(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => leading(v6.to_bits(), 64),
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    }
}

/// The first `count` bits, the others zero.
fn leading(bits: u128, count: u32) -> u128 {
    bits & u128::MAX.checked_shl(u128::BITS - count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn client_of(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let trusted: Vec<Cidr> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_our_own_proxies_are_believed() {
        let ours = &["10.0.0.0/8", "fd00::/8"];
        assert_eq!(client_of("192.0.2.1", &["198.51.100.7"], &[]), "192.0.2.1");
        assert_eq!(client_of("192.0.2.1", &["198.51.100.7"], ours), "192.0.2.1");
        assert_eq!(client_of("10.1.1.1", &["198.51.100.7"], ours), "198.51.100.7");
        assert_eq!(client_of("fd00::1", &["198.51.100.7"], ours), "198.51.100.7");
        assert_eq!(client_of("::ffff:10.1.1.1", &["198.51.100.7"], ours), "198.51.100.7");
        // What the client itself wrote stands on the left and is not reached.
        assert_eq!(client_of("10.1.1.1", &["203.0.113.9, 198.51.100.7, 10.2.2.2"], ours), "198.51.100.7");
        assert_eq!(client_of("10.1.1.1", &["203.0.113.9", "198.51.100.7"], ours), "198.51.100.7");
        assert_eq!(client_of("10.1.1.1", &["203.0.113.9, unknown"], ours), "10.1.1.1");
        assert_eq!(client_of("10.1.1.1", &[], ours), "10.1.1.1");
        assert_eq!(client_of("10.1.1.1", &["10.2.2.2"], ours), "10.2.2.2");
        // An IPv4 network that is written as an IPv6-mapped one is the same network.
        let mapped = &["::ffff:10.0.0.0/104"];
        assert_eq!(client_of("10.1.1.1", &["198.51.100.7"], mapped), "198.51.100.7");
        assert_eq!(client_of("::ffff:10.1.1.1", &["198.51.100.7"], mapped), "198.51.100.7");
        assert_eq!(client_of("11.1.1.1", &["198.51.100.7"], mapped), "11.1.1.1");
    }

    #[test]
    fn networks_are_read_or_refused() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1", "192.0.2.1/32", "fd00::/8", "::/0", "::1"] {
            assert!(text.parse::<Cidr>().is_ok(), "{text}");
        }
        for text in ["", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "example.com"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("203.0.113.9".parse().unwrap()));
        assert!(!"0.0.0.0/0".parse::<Cidr>().unwrap().contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_subscriber_is_an_ipv4_address_or_an_ipv6_64() {
        let of = |text: &str| subscriber(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
    }
}
