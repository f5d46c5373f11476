//! Addresses are cut before they are kept.

use std::net::IpAddr;

use smallvec::SmallVec;

/// A network as it is kept: 3 bytes of a /24 or 6 bytes of a /48.
pub type Network = SmallVec<[u8; 6]>;

/// Cuts an address to its /24 or /48.
pub fn cut(_address: IpAddr) -> Network {
    todo!()
}
