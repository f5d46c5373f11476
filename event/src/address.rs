//! Addresses are cut before they are kept: /24 of IPv4, /48 of IPv6 (DOMAIN §7). The full address never reaches a record.

use std::net::IpAddr;

use smallvec::SmallVec;

/// A network as it is kept: the 3 bytes of a /24 or the 6 bytes of a /48. Both fit without an allocation.
pub type Network = SmallVec<[u8; 6]>;

/// Cuts an address to its /24 or /48. An IPv4 address in IPv6 clothes (`::ffff:a.b.c.d`) is cut as IPv4.
pub fn cut(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().into_iter().take(3).collect(),
        IpAddr::V6(v6) => v6.octets().into_iter().take(6).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_network_stays() {
        let cut_of = |text: &str| cut(text.parse().unwrap()).to_vec();
        assert_eq!(cut_of("203.0.113.77"), [203, 0, 113]);
        assert_eq!(cut_of("::ffff:203.0.113.77"), [203, 0, 113]);
        assert_eq!(cut_of("2001:db8:aa:bb::1"), [0x20, 0x01, 0x0d, 0xb8, 0x00, 0xaa]);
        assert_eq!(cut_of("::1"), [0; 6]);
    }
}
